/* IVF-PQ through FAISS's C API, and the shim beside it where that has nothing.
 * The only C file that sees a FAISS header.
 *
 * A search is here, over the lists as FAISS keeps them. The lists are chosen by
 * a scan of the centroids as float16, with the kernel of the vectors: at low
 * nprobe that is most of a query, and bound by memory, so that half the bytes
 * take half the time. The tables are made from a turned copy of the codebook:
 * FAISS 1.7.3 has no kernel for sub-vectors of 8 (16 us for 64 of them; here
 * 7, and of four queries at once less). The codes are scored by a loop
 * with several sums: the one in FAISS 1.7.3 adds all table entries to one, and
 * waits for each addition (160 ns a code of 64 bytes; here 30). Its mapped lists
 * also start a pool of threads for every query, to read ahead.
 *
 * Several queries read the centroids and the codebook once, each list for
 * itself: few queries share one. */
#include "internal.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_io_c.h>

#include "faiss_shim.h"

struct akin__ivf {
    FaissIndex *faiss;
    uint32_t dim, nlist, m;
    int64_t rows;        /* of the generation it was read with */
    uint16_t *centroids; /* (nlist, dim) float16, for choosing lists; NULL until
                            read from a file */
    float *book; /* (m, dim / m, 256) of the PQ; NULL until read from a file */
    /* What a filter asks for, in the order of the lists: looked up by row it
     * would be a miss of the cache for each row scanned. NULL: not made */
    uint32_t *labels; /* (rows) less first_label */
    size_t *starts;   /* (nlist) where each list's begin */
    uint64_t first_label;
};

/* Sub-vectors of 8 floats from 256 dimensions on; shorter ones below, because
 * a code of a few bytes would tell too little apart. */
static uint32_t sub_width(uint32_t dim)
{
    return dim >= 256 ? 8 : dim >= 64 ? 4 : 2;
}

uint32_t akin__ivf_dim(uint32_t dim)
{
    uint32_t width = sub_width(dim);
    return (dim + width - 1) / width * width;
}

uint32_t akin__ivf_m(uint32_t dim)
{
    return akin__ivf_dim(dim) / sub_width(dim);
}

static akin_status faiss_failed(akin_error *err, const char *message)
{
    return akin_fail(
        err, strcmp(message, "out of memory") == 0 ? AKIN_NOMEM : AKIN_INTERNAL,
        "FAISS: %s", message);
}

static akin_status ivf_new(FaissIndex *faiss, uint32_t dim, uint32_t nlist,
                           uint32_t m, int64_t rows, akin__ivf **out,
                           akin_error *err)
{
    akin__ivf *ivf = akin_calloc(1, sizeof *ivf);
    if (!ivf) {
        faiss_Index_free(faiss);
        return akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    *ivf = (akin__ivf){
        .faiss = faiss, .dim = dim, .nlist = nlist, .m = m, .rows = rows};
    *out = ivf;
    return AKIN_OK;
}

static int train_progress(void *user, int done, int total)
{
    const akin__ivf_train *how = user;
    return !how->progress ||
           how->progress(how->user, "train", (uint64_t)done, (uint64_t)total);
}

akin_status akin__ivf_train_new(const akin__ivf_train *how, const float *sample,
                                size_t n, akin__ivf **out, akin_error *err)
{
    char text[256] = "";
    FaissIndex *faiss = NULL;
    shim_training training = {
        .dim = (int)akin__ivf_dim(how->dim),
        .nlist = (int)how->nlist,
        .m = (int)how->m,
        .iterations = 10,
        .seed = (int)(how->seed & 0x7fffffff),
        .pool = how->pool,
        .progress = train_progress,
        .user = (void *)how,
    };
    int rc = akin__shim_train(&training, sample, (int64_t)n, &faiss,
                              (shim_message){text, sizeof text});
    if (rc > 0) return akin_fail(err, AKIN_CANCELLED, "training was cancelled");
    if (rc) return faiss_failed(err, text);
    return ivf_new(faiss, (uint32_t)training.dim, how->nlist, how->m, 0, out,
                   err);
}

akin_status akin__ivf_copy(const akin__ivf *from, const int64_t *row_map,
                           akin__ivf **out, akin_error *err)
{
    char text[256] = "";
    FaissIndex *faiss = NULL;
    if (akin__shim_copy(from->faiss, row_map, from->rows, &faiss,
                        (shim_message){text, sizeof text}))
        return faiss_failed(err, text);
    return ivf_new(faiss, from->dim, from->nlist, from->m, 0, out, err);
}

akin_status akin__ivf_add(akin__ivf *ivf, const float *vectors, size_t n,
                          const int64_t *rows, akin_pool *pool, double *fit,
                          akin_error *err)
{
    char text[256] = "";
    if (akin__shim_add(ivf->faiss, (int64_t)n, vectors, rows, pool, fit,
                       (shim_message){text, sizeof text}))
        return faiss_failed(err, text);
    return AKIN_OK;
}

akin_status akin__ivf_write(const akin__ivf *ivf, FILE *file, akin_error *err)
{
    if (faiss_write_index(ivf->faiss, file)) {
        const char *why = faiss_get_last_error();
        return akin_fail(err, AKIN_IO, "cannot write the lists: %s",
                         why ? why : "unknown");
    }
    return AKIN_OK;
}

static akin_status keep_centroids(akin__ivf *ivf, akin_error *err)
{
    char text[256] = "";
    size_t n = (size_t)ivf->nlist * ivf->dim;
    float *floats = akin_alloc(n * sizeof *floats);
    akin_status rc = AKIN_OK;
    ivf->centroids = akin_alloc(n * sizeof *ivf->centroids);
    ivf->book = akin_alloc((size_t)ivf->dim * 256 * sizeof *ivf->book);
    if (!floats || !ivf->centroids || !ivf->book)
        rc = akin_fail(err, AKIN_NOMEM, "out of memory for %u centroids",
                       ivf->nlist);
    else if (akin__shim_centroids(ivf->faiss, floats,
                                  (shim_message){text, sizeof text}) ||
             akin__shim_book(ivf->faiss, ivf->book,
                             (shim_message){text, sizeof text}))
        rc = faiss_failed(err, text);
    else
        akin_half_from_float(ivf->centroids, floats, n);
    akin_free(floats);
    return rc;
}

akin_status akin__ivf_read(int fd, uint64_t at, const akin__head *head,
                           akin__ivf **out, akin_error *err)
{
    char text[256] = "";
    FaissIndex *faiss = NULL;
    int copy = dup(fd), rc;
    FILE *file = copy < 0 ? NULL : fdopen(copy, "rb");
    if (!file) {
        if (copy >= 0) close(copy);
        return akin_fail_errno(err, errno, "cannot read the lists");
    }
    rc = fseeko(file, (off_t)at, SEEK_SET);
    if (rc)
        snprintf(text, sizeof text, "%s", strerror(errno));
    else
        rc = akin__shim_read(file, (int)head->ivf_dim, (int)head->nlist,
                             (int)head->m, (int64_t)head->rows, &faiss,
                             (shim_message){text, sizeof text});
    fclose(file);
    if (rc)
        return akin_fail(err, AKIN_CORRUPT, "cannot read the lists: %s", text);
    akin_status status = ivf_new(faiss, head->ivf_dim, head->nlist, head->m,
                                 (int64_t)head->rows, out, err);
    if (status) return status;
    status = keep_centroids(*out, err);
    if (status) {
        akin__ivf_free(*out);
        *out = NULL;
    }
    return status;
}

void akin__ivf_free(akin__ivf *ivf)
{
    if (!ivf) return;
    faiss_Index_free(ivf->faiss);
    akin_free(ivf->centroids);
    akin_free(ivf->book);
    akin_free(ivf->labels);
    akin_free(ivf->starts);
    akin_free(ivf);
}

akin_status akin__ivf_name(akin__ivf *ivf, const uint64_t *labels,
                           akin_error *err)
{
    size_t rows = (size_t)ivf->rows, at = 0;
    if (!rows || labels[rows - 1] - labels[0] > UINT32_MAX) return AKIN_OK;
    ivf->labels = akin_calloc(rows, sizeof *ivf->labels);
    ivf->starts = akin_calloc(ivf->nlist, sizeof *ivf->starts);
    if (!ivf->labels || !ivf->starts)
        return akin_fail(err, AKIN_NOMEM, "out of memory for %zu rows", rows);
    ivf->first_label = labels[0];
    for (size_t list = 0; list < ivf->nlist; list++) {
        const uint8_t *codes, *ids;
        const void *list_rows;
        size_t n = akin__shim_list(ivf->faiss, list, &codes, &list_rows);
        ids = list_rows;
        if (n > rows - at)
            return akin_fail(err, AKIN_CORRUPT,
                             "the lists hold more than %zu rows", rows);
        ivf->starts[list] = at;
        for (size_t i = 0; i < n; i++) {
            int64_t row;
            memcpy(&row, ids + i * sizeof row, sizeof row);
            if (row >= 0 && row < ivf->rows)
                ivf->labels[at + i] = (uint32_t)(labels[row] - labels[0]);
        }
        at += n;
    }
    return AKIN_OK;
}

/* The lists whose centroids have the largest inner product with each query,
 * best first. best: (nq, most). */
static void choose_lists(const akin__ivf *ivf, const float *const *queries,
                         size_t nq, uint32_t most, akin_hit *best)
{
    akin__top tops[AKIN__SCAN_QUERIES];
    const uint16_t *rows[AKIN__SCAN_ROWS];
    float dots[AKIN__SCAN_ROWS * AKIN__SCAN_QUERIES];
    for (size_t q = 0; q < nq; q++)
        tops[q] = (akin__top){
            .hits = best + q * most, .k = most, .min_cosine = -INFINITY};
    for (uint32_t first = 0; first < ivf->nlist; first += AKIN__SCAN_ROWS) {
        uint32_t n = ivf->nlist - first;
        if (n > AKIN__SCAN_ROWS) n = AKIN__SCAN_ROWS;
        for (uint32_t i = 0; i < n; i++)
            rows[i] = ivf->centroids + (size_t)(first + i) * ivf->dim;
        akin__dots(queries, nq, rows, n, ivf->dim, dots);
        for (size_t q = 0; q < nq; q++)
            for (uint32_t i = 0; i < n; i++)
                if (tops[q].n < most || dots[i * nq + q] > tops[q].hits->cosine)
                    akin__top_push(&tops[q], first + i, dots[i * nq + q]);
    }
    for (size_t q = 0; q < nq; q++)
        akin__top_sort(&tops[q]);
}

/* base plus the table entries that a code names. */
static float score_code(const float *tables, const uint8_t *code, uint32_t m,
                        float base)
{
    float a = base, b = 0, c = 0, d = 0;
    uint32_t i = 0;
    for (; i + 8 <= m; i += 8, tables += 8 * 256) {
        uint64_t x;
        memcpy(&x, code + i, sizeof x);
        a += tables[x & 255];
        b += tables[256 + (x >> 8 & 255)];
        c += tables[512 + (x >> 16 & 255)];
        d += tables[768 + (x >> 24 & 255)];
        a += tables[1024 + (x >> 32 & 255)];
        b += tables[1280 + (x >> 40 & 255)];
        c += tables[1536 + (x >> 48 & 255)];
        d += tables[1792 + (x >> 56)];
    }
    for (; i < m; i++, tables += 256)
        a += tables[code[i]];
    return a + b + (c + d);
}

/* near: the list's part of ivf->labels, or NULL; i: place in the list. */
static inline bool passes(const akin__filter *filter, uint64_t row,
                          const akin__ivf *ivf, const uint32_t *near, size_t i)
{
    if (filter->dead && akin__bit(filter->dead, row)) return false;
    if (!filter->selector) return true;
    return akin_selector_has(filter->selector, near ? ivf->first_label + near[i]
                                                    : filter->labels[row]);
}

static uint64_t scan_list(const akin__ivf *ivf, size_t list,
                          const float *tables, float base,
                          const akin__filter *filter, akin__top *top)
{
    const uint8_t *codes;
    const void *rows;
    size_t n = akin__shim_list(ivf->faiss, list, &codes, &rows);
    const uint32_t *near = ivf->labels ? ivf->labels + ivf->starts[list] : NULL;
    bool all = !filter->dead && !filter->selector;
    uint64_t passed = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t row; /* mapped lists lie at any address */
        memcpy(&row, (const uint8_t *)rows + i * sizeof row, sizeof row);
        if (row < 0 || row >= ivf->rows) continue;
        if (!all && !passes(filter, (uint64_t)row, ivf, near, i)) continue;
        passed++;
        float score = score_code(tables, codes + i * ivf->m, ivf->m, base);
        if (top->n < top->k || score > top->hits[0].cosine)
            akin__top_push(top, (uint64_t)row, score);
    }
    return passed;
}

/* Tables of four queries, 256 KB at 64 code bytes, stay in the second level of
 * the cache until they are used. */
#define TABLES_TOGETHER 4

akin_status akin__ivf_search(const akin__ivf *ivf, const float *const *queries,
                             size_t nq, uint32_t nprobe, uint64_t least,
                             const akin__filter *filter, akin__top *tops,
                             akin_error *err)
{
    size_t entries = (size_t)ivf->m * 256;
    size_t tables = nq < TABLES_TOGETHER ? nq : TABLES_TOGETHER;
    float *memory, *table[TABLES_TOGETHER];
    akin_hit *lists;
    uint32_t most;
    if (nprobe > ivf->nlist) nprobe = ivf->nlist;
    most = least && nprobe < ivf->nlist / 4 ? 4 * nprobe
           : least                          ? ivf->nlist
                                            : nprobe;
    memory = akin_alloc(tables * entries * sizeof *memory);
    lists = akin_alloc(nq * most * sizeof *lists);
    if (!memory || !lists) {
        akin_free(memory);
        akin_free(lists);
        return akin_fail(err, AKIN_NOMEM, "out of memory for %u lists", most);
    }
    for (size_t i = 0; i < tables; i++)
        table[i] = memory + i * entries;
    choose_lists(ivf, queries, nq, most, lists);
    for (size_t q = 0; q < nq; q++) {
        const akin_hit *at = lists + q * most;
        uint64_t passed = 0;
        if (q % TABLES_TOGETHER == 0)
            akin__tables(ivf->book, queries + q,
                         nq - q < TABLES_TOGETHER ? nq - q : TABLES_TOGETHER,
                         ivf->m, ivf->dim / ivf->m, table);
        for (uint32_t i = 0; i < nprobe || (i < most && passed < least); i++)
            passed +=
                scan_list(ivf, (size_t)at[i].label, table[q % TABLES_TOGETHER],
                          at[i].cosine, filter, &tops[q]);
    }
    akin_free(memory);
    akin_free(lists);
    return AKIN_OK;
}

size_t akin__ivf_bytes(const akin__ivf *ivf)
{
    return akin__shim_bytes(ivf->faiss) +
           (ivf->centroids ? (size_t)ivf->nlist * ivf->dim * 2 : 0) +
           (ivf->book ? (size_t)ivf->dim * 256 * sizeof *ivf->book : 0) +
           (ivf->labels ? (size_t)ivf->rows * sizeof *ivf->labels : 0);
}
