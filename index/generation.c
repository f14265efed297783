/* A generation: one immutable file, mapped.
 *
 *   0           akin__head, akin__far, zeros up to 8192
 *   8192        labels    (rows) u64, ascending
 *   norms_at    norms     (rows) f32, 1 / length
 *   vectors_at  vectors   (rows, dim) f16
 *   ivf_at      what FAISS wrote, its ids being rows; empty when flat
 *   digests_at  SHA-256 of each 64 KiB from 8192 on, the last one shorter
 *
 * Sections begin at multiples of 4096. The head holds the digest of the
 * digests and of itself, so that one flipped bit anywhere is found, and nothing
 * is believed before its block was compared. All but the vectors, a tenth of
 * the file, is compared when it is opened; a block of vectors when one of its
 * rows is read first, and all that is left by akin_index_verify. So opening
 * does not wait for a gigabyte to be read. */
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

/* *out NULL where there is one processor. */
static akin_status digest_pool(akin_pool **out, akin_error *err)
{
    uint32_t threads = akin_cpu_count();
    if (threads > 8) threads = 8;
    *out = NULL;
    return threads > 1 ? akin_pool_open(threads - 1, 0, "digest", out, err)
                       : AKIN_OK;
}

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
    akin_pool *pool = NULL;
    akin_status rc = blocks > 256 ? digest_pool(&pool, err) : AKIN_OK;
    if (rc) return rc;
    akin_pool_each(pool, blocks, digest_block, &job);
    akin_pool_close(pool);
    if (job.failed)
        return akin_fail(err, (akin_status)job.failed,
                         "cannot compute the digests of %zu blocks", blocks);
    return AKIN_OK;
}

/* The digests themselves, which the head vouches for. */
static akin_status check_table(const akin__gen *gen, akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];
    akin_span table = {gen->digests, (size_t)gen->n_blocks * AKIN_SHA256_BYTES};
    akin_status rc = akin_sha256_of(table, digest, err);
    if (rc) return rc;
    if (memcmp(digest, gen->head.digests_digest, sizeof digest) != 0)
        return akin_fail(err, AKIN_CORRUPT, "%s: the digests are damaged",
                         gen->path);
    return AKIN_OK;
}

enum { NOT_YET, AS_WRITTEN, DAMAGED }; /* of a block */

static akin_status check_block(akin__gen *gen, uint64_t i, akin_error *err)
{
    unsigned char state =
        atomic_load_explicit(&gen->blocks[i], memory_order_acquire);
    uint64_t at = AKIN__HEAD_BYTES + i * AKIN__BLOCK;
    if (state == NOT_YET) {
        uint8_t digest[AKIN_SHA256_BYTES];
        uint64_t left = gen->head.digests_at - at;
        akin_span span = {gen->map.data + at,
                          (size_t)(left < AKIN__BLOCK ? left : AKIN__BLOCK)};
        akin_status rc = akin_sha256_of(span, digest, err);
        if (rc) return rc;
        state = memcmp(digest, gen->digests + i * AKIN_SHA256_BYTES,
                       sizeof digest) == 0
                    ? AS_WRITTEN
                    : DAMAGED;
        if (state == DAMAGED) atomic_store(&gen->damaged, true);
        atomic_store_explicit(&gen->blocks[i], state, memory_order_release);
    }
    if (state == AS_WRITTEN) return AKIN_OK;
    return akin_fail(err, AKIN_CORRUPT,
                     "%s: damaged between byte %llu and the next %u", gen->path,
                     (unsigned long long)at, AKIN__BLOCK);
}

/* The blocks that hold the bytes [from, to) of the file. */
static void blocks_of(uint64_t from, uint64_t to, uint64_t *first,
                      uint64_t *end)
{
    *first = (from - AKIN__HEAD_BYTES) / AKIN__BLOCK;
    *end = to > from ? (to - 1 - AKIN__HEAD_BYTES) / AKIN__BLOCK + 1 : *first;
}

akin_status akin__gen_check_row(akin__gen *gen, uint64_t row, akin_error *err)
{
    uint64_t width = gen->head.dim * sizeof(uint16_t), i, end;
    uint64_t at = gen->head.vectors_at + row * width;
    akin_status rc = AKIN_OK;
    blocks_of(at, at + width, &i, &end);
    for (; i < end && !rc; i++)
        rc = check_block(gen, i, err);
    return rc;
}

void akin__gen_expect(akin__gen *gen, uint64_t row)
{
    uint64_t width = gen->head.dim * sizeof(uint16_t), i, end;
    uint64_t at = gen->head.vectors_at + row * width;
    if (atomic_load_explicit(&gen->sound, memory_order_acquire)) return;
    blocks_of(at, at + width, &i, &end);
    for (; i < end; i++) {
        uint64_t from = AKIN__HEAD_BYTES + i * AKIN__BLOCK;
        uint64_t left = gen->head.digests_at - from;
        if (atomic_load(&gen->blocks[i]) == NOT_YET)
            (void)posix_madvise((void *)(gen->map.data + from),
                                left < AKIN__BLOCK ? left : AKIN__BLOCK,
                                POSIX_MADV_WILLNEED);
    }
}

typedef struct {
    akin__gen *gen;
    uint64_t first;
    atomic_bool failed;
} check_job;

static void check_part(void *arg, size_t i)
{
    check_job *job = arg;
    if (check_block(job->gen, job->first + i, NULL))
        atomic_store(&job->failed, true);
}

/* Blocks [first, end), on all processors. */
static akin_status check_blocks(akin__gen *gen, uint64_t first, uint64_t end,
                                akin_error *err)
{
    check_job job = {.gen = gen, .first = first};
    akin_pool *pool = NULL;
    akin_status rc = end - first > 256 ? digest_pool(&pool, err) : AKIN_OK;
    if (rc) return rc;
    akin_pool_each(pool, (size_t)(end - first), check_part, &job);
    akin_pool_close(pool);
    for (uint64_t i = first; i < end && job.failed && !rc; i++)
        rc = check_block(gen, i, err); /* what it was */
    return rc;
}

akin_status akin__gen_check_all(akin__gen *gen, akin_error *err)
{
    akin_status rc = AKIN_OK;
    pthread_mutex_lock(&gen->checking);
    if (!atomic_load(&gen->sound)) {
        rc = check_blocks(gen, 0, gen->n_blocks, err);
        if (!rc) atomic_store(&gen->sound, true);
    }
    pthread_mutex_unlock(&gen->checking);
    return rc;
}

akin_status akin__gen_verify(akin__gen *gen, akin_build_progress *progress,
                             void *user, akin_error *err)
{
    enum { STEP = 64 }; /* 4 MiB: 3 ms, or a disk's tenth of a second */
    for (uint64_t i = 0; i < gen->n_blocks; i++) {
        if (atomic_load(&gen->sound)) return AKIN_OK;
        if (progress && i % STEP == 0 &&
            !progress(user, "verify", i, gen->n_blocks))
            return akin_fail(err, AKIN_CANCELLED, "stopped");
        akin_status rc = check_block(gen, i, err);
        if (rc) return rc;
    }
    atomic_store(&gen->sound, true);
    return AKIN_OK;
}

/* At opening: the digests, and all that lies before and behind the vectors. */
static akin_status check_most(akin__gen *gen, akin_error *err)
{
    const akin__head *head = &gen->head;
    uint64_t first, end;
    uint64_t vectors_end =
        head->vectors_at + head->rows * head->dim * sizeof(uint16_t);
    gen->digests = gen->map.data + head->digests_at;
    gen->n_blocks = akin__block_count(head->digests_at);
    gen->blocks = akin_calloc((size_t)gen->n_blocks, 1);
    if (!gen->blocks)
        return akin_fail(err, AKIN_NOMEM, "out of memory for %llu blocks",
                         (unsigned long long)gen->n_blocks);
    akin_status rc = check_table(gen, err);
    blocks_of(AKIN__HEAD_BYTES, head->vectors_at, &first, &end);
    if (!rc) rc = check_blocks(gen, first, end, err);
    blocks_of(vectors_end, head->digests_at, &first, &end);
    if (!rc) rc = check_blocks(gen, first, end, err);
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
    atomic_init(&gen->sound, !check);
    pthread_mutex_init(&gen->checking, NULL);
    gen->path = akin_strdup(path);
    rc = gen->path ? gen_map(gen, fd, path, err)
                   : akin_fail(err, AKIN_NOMEM, "out of memory");
    if (rc) goto done;
    memcpy(&gen->head, gen->map.data, sizeof gen->head);
    rc = check_head(&gen->head, gen->map.size, path, dim, fingerprint, err);
    if (rc) goto done;
    rc = akin__curves_unpack(&gen->head, gen->map.data, &gen->curves, err);
    if (rc) rc = akin_fail_prefix(err, rc, "%s", path);
    if (rc) goto done;
    if (check) rc = check_most(gen, err);
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
    pthread_mutex_destroy(&gen->checking);
    akin_free((void *)gen->blocks);
    akin_free(gen->path);
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
