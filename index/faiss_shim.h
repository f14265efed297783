/* What the C API of FAISS 1.7.3 lacks, in its style: the parts of a search,
 * training knobs, codes copied between indexes. Included by ivf.c and
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
 * -1: none), of n_rows; 0: only the training. */
int akin__shim_copy(const FaissIndex *from, const int64_t *row_map,
                    int64_t n_rows, FaissIndex **out, shim_message msg);
/* *fit: sum over vectors of the inner product with their centroid. */
int akin__shim_add(FaissIndex *index, int64_t n, const float *x,
                   const int64_t *rows, akin_pool *pool, double *fit,
                   shim_message msg);
/* out: (nlist, dim). */
int akin__shim_centroids(const FaissIndex *index, float *out, shim_message msg);
/* The PQ's centroids, a component of all 256 of a sub-vector in a row.
 * out: (m, dim / m, 256). */
int akin__shim_book(const FaissIndex *index, float *out, shim_message msg);
/* A list of an index that was read: its PQ codes, (n, m), and rows, n int64 at
 * any address. Returns n. Does not fail. */
size_t akin__shim_list(const FaissIndex *index, size_t list,
                       const uint8_t **codes, const void **rows);
/* Reads at the file's position, the lists mapped; what is found must be an
 * IVF-PQ of these figures. */
int akin__shim_read(FILE *file, int dim, int nlist, int m, int64_t rows,
                    FaissIndex **out, shim_message msg);
size_t akin__shim_bytes(const FaissIndex *index);

#ifdef __cplusplus
}
#endif
#endif
