/* What the C API of FAISS 1.7.3 lacks, in its style: search with parameters of
 * the call, training knobs, codes copied between indexes. Included by ivf.c and
 * faiss_shim.cpp only. Functions return 0, or -1 with a message. */
#ifndef AKIN_FAISS_SHIM_H
#define AKIN_FAISS_SHIM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <faiss/c_api/Index_c.h>

#include "akin_base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    char *text;
    size_t size;
} shim_message;

/* Rows a search may return: not in `dead`, and their label in `words`. */
typedef struct {
    const uint64_t *dead;  /* bitmap over rows; NULL: none */
    const uint64_t *words; /* bitmap over labels; NULL: all */
    size_t n_words;
    const uint64_t *labels; /* of the rows */
} shim_filter;

typedef struct {
    int dim, nlist, m;
    int iterations;
    int seed;
    akin_pool *pool; /* NULL: this thread alone */
    int (*progress)(void *user, int done, int total); /* 0 cancels; or NULL */
    void *user;
} shim_training;

/* 1: cancelled. */
int akin__shim_train(const shim_training *how, const float *sample, int64_t n,
                     FaissIndex **out, shim_message msg);
/* Empty, with the training of `from`, and its codes: row_map (old row -> new,
 * -1: none), of n_rows. */
int akin__shim_copy(const FaissIndex *from, const int64_t *row_map,
                    int64_t n_rows, FaissIndex **out, shim_message msg);
/* *fit: sum over vectors of the inner product with their centroid. */
int akin__shim_add(FaissIndex *index, int64_t n, const float *x,
                   const int64_t *rows, akin_pool *pool, double *fit,
                   shim_message msg);
/* Scans the given lists, whose centroids' inner products with the query are
 * `dots`. */
int akin__shim_search(const FaissIndex *index, const float *query, int nprobe,
                      const int64_t *lists, const float *dots, int k,
                      const shim_filter *filter, float *scores, int64_t *rows,
                      shim_message msg);
/* out: (nlist, dim). */
int akin__shim_centroids(const FaissIndex *index, float *out, shim_message msg);
/* Reads at the file's position, the lists mapped; what is found must be an
 * IVF-PQ of these figures. */
int akin__shim_read(FILE *file, int dim, int nlist, int m, int64_t rows,
                    FaissIndex **out, shim_message msg);
size_t akin__shim_bytes(const FaissIndex *index);

#ifdef __cplusplus
}
#endif
#endif
