/* A generation: one immutable file, mapped.
 *
 *   0           akin__head, zeros up to 8192
 *   8192        labels    (rows) u64, ascending
 *   norms_at    norms     (rows) f32, 1 / length
 *   vectors_at  vectors   (rows, dim) f16
 *   ivf_at      what FAISS wrote, its ids being rows; empty when flat
 *   digests_at  SHA-256 of each 4 MiB from 8192 on, the last one shorter
 *
 * Sections begin at multiples of 4096. The head holds the digest of the
 * digests and of itself, so that one flipped bit anywhere is found; blocks are
 * compared on all processors when the file is opened (1.1 GB: about 0.4 s on
 * two). Nothing is believed before that. */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static uint64_t page_up(uint64_t at)
{
    return (at + AKIN__PAGE - 1) / AKIN__PAGE * AKIN__PAGE;
}

uint64_t akin__block_count(uint64_t end)
{
    return (end - AKIN__HEAD_BYTES + AKIN__BLOCK - 1) / AKIN__BLOCK;
}

void akin__head_layout(akin__head *head)
{
    head->labels_at = AKIN__HEAD_BYTES;
    head->norms_at = page_up(head->labels_at + head->rows * sizeof(uint64_t));
    head->vectors_at = page_up(head->norms_at + head->rows * sizeof(float));
    head->ivf_at =
        page_up(head->vectors_at + head->rows * head->dim * sizeof(uint16_t));
    head->digests_at = page_up(head->ivf_at + head->ivf_bytes);
    head->size = head->digests_at +
                 akin__block_count(head->digests_at) * AKIN_SHA256_BYTES;
}

/* ---- digests -------------------------------------------------------------- */

typedef struct {
    const uint8_t *data;
    uint64_t end;
    uint8_t *out;
    atomic_int failed; /* akin_status */
} digest_job;

static void digest_block(void *arg, size_t i)
{
    digest_job *job = arg;
    uint64_t at = AKIN__HEAD_BYTES + i * AKIN__BLOCK;
    uint64_t size = job->end - at < AKIN__BLOCK ? job->end - at : AKIN__BLOCK;
    akin_span span = {job->data + at, (size_t)size};
    akin_status rc =
        akin_sha256_of(span, job->out + i * AKIN_SHA256_BYTES, NULL);
    if (rc) atomic_store(&job->failed, (int)rc);
}

akin_status akin__digest_blocks(const uint8_t *data, uint64_t end, uint8_t *out,
                                akin_error *err)
{
    digest_job job = {.data = data, .end = end, .out = out};
    size_t blocks = (size_t)akin__block_count(end);
    uint32_t threads = akin_cpu_count();
    akin_pool *pool = NULL;
    if (threads > 8) threads = 8;
    if (blocks > 4 && threads > 1) {
        akin_status rc = akin_pool_open(threads - 1, 0, "digest", &pool, err);
        if (rc) return rc;
    }
    akin_pool_each(pool, blocks, digest_block, &job);
    akin_pool_close(pool);
    if (job.failed)
        return akin_fail(err, (akin_status)job.failed,
                         "cannot compute the digests of %zu blocks", blocks);
    return AKIN_OK;
}

static akin_status check_digests(const akin__gen *gen, const char *path,
                                 akin_error *err)
{
    const akin__head *head = &gen->head;
    size_t bytes =
        (size_t)akin__block_count(head->digests_at) * AKIN_SHA256_BYTES;
    const uint8_t *stored = gen->map.data + head->digests_at;
    uint8_t digest[AKIN_SHA256_BYTES], *blocks = NULL;
    akin_status rc = akin_sha256_of((akin_span){stored, bytes}, digest, err);
    if (rc) return rc;
    if (memcmp(digest, head->digests_digest, sizeof digest) != 0)
        return akin_fail(err, AKIN_CORRUPT, "%s: the digests are damaged",
                         path);
    blocks = akin_alloc(bytes);
    if (!blocks)
        return akin_fail(err, AKIN_NOMEM, "out of memory for %zu bytes", bytes);
    rc = akin__digest_blocks(gen->map.data, head->digests_at, blocks, err);
    for (size_t i = 0; !rc && i < bytes; i += AKIN_SHA256_BYTES)
        if (memcmp(blocks + i, stored + i, AKIN_SHA256_BYTES) != 0)
            rc = akin_fail(
                err, AKIN_CORRUPT,
                "%s: damaged between byte %llu and the next 4 MiB", path,
                (unsigned long long)(AKIN__HEAD_BYTES +
                                     i / AKIN_SHA256_BYTES * AKIN__BLOCK));
    akin_free(blocks);
    return rc;
}

/* ---- opening ----------------------------------------------------------------- */

static akin_status check_head(const akin__head *head, uint64_t size,
                              const char *path, uint32_t dim,
                              const char *fingerprint, akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];
    akin__head expected;
    if (head->magic != AKIN__MAGIC)
        return akin_fail(err, AKIN_CORRUPT, "%s: not a generation file", path);
    if (head->version != AKIN__VERSION)
        return akin_fail(err, AKIN_CORRUPT, "%s: version %u, expected %u", path,
                         head->version, AKIN__VERSION);
    akin_status rc = akin_sha256_of(
        (akin_span){head, offsetof(akin__head, digest)}, digest, err);
    if (rc) return rc;
    if (memcmp(digest, head->digest, sizeof digest) != 0)
        return akin_fail(err, AKIN_CORRUPT, "%s: the header is damaged", path);
    if (head->dim != dim)
        return akin_fail(err, AKIN_WRONG_MODEL,
                         "%s: expected %u dimensions, got %u", path, dim,
                         head->dim);
    if (strncmp(head->fingerprint, fingerprint, sizeof head->fingerprint) != 0)
        return akin_fail(err, AKIN_WRONG_MODEL, "%s: of another model", path);
    if (head->rows > UINT64_MAX / 65536 || head->ivf_bytes > size) goto layout;
    expected = *head;
    akin__head_layout(&expected);
    if (memcmp(&expected, head, sizeof expected) != 0 || head->size != size)
        goto layout;
    return AKIN_OK;
layout:
    return akin_fail(err, AKIN_CORRUPT,
                     "%s: %llu bytes do not hold what the header says", path,
                     (unsigned long long)size);
}

static akin_status gen_map(akin__gen *gen, int fd, const char *path,
                           akin_error *err)
{
    struct stat st;
    void *data;
    if (fstat(fd, &st))
        return akin_fail_errno(err, errno, "cannot read %s", path);
    if (st.st_size < (off_t)AKIN__HEAD_BYTES)
        return akin_fail(err, AKIN_CORRUPT, "%s: cut to %lld bytes", path,
                         (long long)st.st_size);
    data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return akin_fail_errno(err, errno, "cannot map %s", path);
    gen->map.data = data;
    gen->map.size = (size_t)st.st_size;
    return AKIN_OK;
}

akin_status akin__gen_open(int fd, const char *path, uint32_t dim,
                           const char *fingerprint, bool check, akin__gen **out,
                           akin_error *err)
{
    akin_status rc;
    akin__gen *gen = akin_calloc(1, sizeof *gen);
    if (!gen) return akin_fail(err, AKIN_NOMEM, "out of memory");
    atomic_init(&gen->refs, 1);
    rc = gen_map(gen, fd, path, err);
    if (rc) goto done;
    memcpy(&gen->head, gen->map.data, sizeof gen->head);
    rc = check_head(&gen->head, gen->map.size, path, dim, fingerprint, err);
    if (rc) goto done;
    if (check) rc = check_digests(gen, path, err);
    if (rc) goto done;
    gen->labels = akin__at(gen->map.data, gen->head.labels_at);
    gen->norms = akin__at(gen->map.data, gen->head.norms_at);
    gen->vectors = akin__at(gen->map.data, gen->head.vectors_at);
    for (uint64_t i = 1; i < gen->head.rows; i++)
        if (gen->labels[i] <= gen->labels[i - 1]) {
            rc = akin_fail(err, AKIN_CORRUPT, "%s: labels are not ascending",
                           path);
            goto done;
        }
    if (gen->head.kind == AKIN_INDEX_IVFPQ)
        rc = akin__ivf_read(fd, gen->head.ivf_at, &gen->head, &gen->ivf, err);
    if (gen->ivf) rc = akin__ivf_name(gen->ivf, gen->labels, err);
done:
    if (rc)
        akin__gen_unref(gen);
    else
        *out = gen;
    return rc;
}

void akin__gen_unref(akin__gen *gen)
{
    if (!gen || atomic_fetch_sub(&gen->refs, 1) > 1) return;
    akin__ivf_free(gen->ivf);
    if (gen->map.data) munmap((void *)gen->map.data, gen->map.size);
    akin_free(gen);
}

int64_t akin__gen_find(const akin__gen *gen, uint64_t label, uint64_t from)
{
    const uint64_t *labels = gen->labels;
    uint64_t rows = gen->head.rows, low = from, high, last;
    if (from >= rows || label < labels[from]) return -1;
    last = labels[rows - 1];
    if (label > last) return -1;
    /* labels ascend by at least 1 a row, which bounds the row from both sides
     * and finds it at once where they are dense */
    high = from + (label - labels[from]);
    if (high > rows - 1) high = rows - 1;
    if (last - label < rows - 1 - low) low = rows - 1 - (last - label);
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (labels[mid] < label)
            low = mid + 1;
        else
            high = mid;
    }
    return labels[low] == label ? (int64_t)low : -1;
}
