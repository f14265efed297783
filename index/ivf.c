/* IVF-PQ through FAISS's C API, and the shim beside it where that has nothing.
 * The only C file that sees a FAISS header. */
#include "internal.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <faiss/c_api/error_c.h>
#include <faiss/c_api/index_io_c.h>

#include "faiss_shim.h"

struct akin__ivf {
    FaissIndex *faiss;
    uint32_t dim, nlist;
    int64_t rows; /* of the generation it was read with */
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
                           int64_t rows, akin__ivf **out, akin_error *err)
{
    akin__ivf *ivf = akin_calloc(1, sizeof *ivf);
    if (!ivf) {
        faiss_Index_free(faiss);
        return akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    *ivf = (akin__ivf){faiss, dim, nlist, rows};
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
    return ivf_new(faiss, (uint32_t)training.dim, how->nlist, 0, out, err);
}

akin_status akin__ivf_copy(const akin__ivf *from, const int64_t *row_map,
                           akin__ivf **out, akin_error *err)
{
    char text[256] = "";
    FaissIndex *faiss = NULL;
    if (akin__shim_copy(from->faiss, row_map, from->rows, &faiss,
                        (shim_message){text, sizeof text}))
        return faiss_failed(err, text);
    return ivf_new(faiss, from->dim, from->nlist, 0, out, err);
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
    return ivf_new(faiss, head->ivf_dim, head->nlist, (int64_t)head->rows, out,
                   err);
}

void akin__ivf_free(akin__ivf *ivf)
{
    if (!ivf) return;
    faiss_Index_free(ivf->faiss);
    akin_free(ivf);
}

akin_status akin__ivf_search(const akin__ivf *ivf, const float *query,
                             uint32_t nprobe, uint32_t candidates,
                             const akin__filter *filter, int64_t *rows,
                             float *scores, akin_error *err)
{
    char text[256] = "";
    const akin_selector *selector = filter->selector;
    static const uint64_t nothing = 0;
    shim_filter f = {filter->dead, selector ? &nothing : NULL, 0,
                     filter->labels};
    if (selector && selector->words) {
        f.words = selector->words;
        f.n_words = selector->n_words;
    }
    if (akin__shim_search(ivf->faiss, query,
                          (int)(nprobe < ivf->nlist ? nprobe : ivf->nlist),
                          (int)candidates, &f, scores, rows,
                          (shim_message){text, sizeof text}))
        return faiss_failed(err, text);
    return AKIN_OK;
}

size_t akin__ivf_bytes(const akin__ivf *ivf)
{
    return akin__shim_bytes(ivf->faiss);
}
