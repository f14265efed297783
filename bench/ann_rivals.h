/* What bench/ann measures akin against. The one place outside index/ that sees
 * FAISS's headers: it calls FAISS as a user without akin would. C++, as FAISS
 * and hnswlib are. */
#ifndef BENCH_ANN_RIVALS_H
#define BENCH_ANN_RIVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rival rival;

/* The k best rows of one query, best first; -1 where there are none. */
void rival_search(const rival *r, const float *query, int k, int64_t *rows);
/* nprobe, or ef. Not while searches run. */
void rival_set(rival *r, int setting);
/* How many times k are rescored, where there is rescoring. */
void rival_set_candidates(rival *r, int times_k);
size_t rival_bytes(const rival *r);
void rival_free(rival *r);

/* Exact truth: rows, (nq, k), of the best by inner product. rows16: (n, dim)
 * float16, converted a block at a time. */
void faiss_truth(const uint16_t *rows16, size_t n, size_t dim,
                 const float *queries, size_t nq, int k, int64_t *rows);
rival *faiss_flat(const uint16_t *rows16, size_t n, size_t dim);
/* The IVF-PQ that akin wrote at `at` of its generation file, read into memory
 * and searched as FAISS searches it, without rescoring. NULL on failure. */
rival *faiss_read(const char *path, uint64_t at);
/* FAISS's own answer to what akin does: IVF-PQ, nlist about 4 sqrt(n), codes of
 * dim / 8 bytes, nprobe 16, and the best 20 x k rescored from float32
 * (IndexRefineFlat). */
rival *faiss_refine(const uint16_t *rows16, size_t n, size_t dim);
/* Any factory string, inner product, trained on 50 rows a list (with PQ's
 * annealing off and its rounds at 10, as akin trains), rows added. rival_set
 * sets its nprobe. train_s, add_s: of the processors. NULL on failure. */
rival *faiss_factory(const uint16_t *rows16, size_t n, size_t dim,
                     const char *factory, double *train_s, double *add_s);
/* NULL where hnswlib was not there when this was compiled. */
rival *hnsw_build(const uint16_t *rows16, size_t n, size_t dim, int m, int ef);

#ifdef __cplusplus
}
#endif
#endif
