/* Vectors for bench/ann: a generator and a loader. Rows are float16. */
#ifndef BENCH_ANN_DATA_H
#define BENCH_ANN_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "akin_base.h"

typedef struct {
    uint32_t dim;
    size_t n;
    uint16_t *rows; /* (n, dim) */
} ann_vectors;

typedef enum {
    ANN_ITEMS, /* what is indexed */
    ANN_LIKE,  /* queries of the same distribution */
    ANN_TEXT   /* queries of a shifted one, as captions are to pictures */
} ann_part;

/* CLIP-like vectors: a common offset that puts random pairs at cosine 0.5,
 * `clusters` clusters of uneven size and width, variance falling along the
 * dimensions, each cluster spread along some 24 directions of its own. Texts
 * lie off to one side and a little further from the centers. The parts of one
 * seed share clusters. */
akin_status ann_generate(ann_part part, size_t n, uint32_t dim,
                         uint32_t clusters, uint64_t seed, ann_vectors *out,
                         akin_error *err);

/* .fvecs, or .npy of float32 or float16 in C order; at most `most` rows (0:
 * all). */
akin_status ann_load(const char *path, size_t most, ann_vectors *out,
                     akin_error *err);
void ann_clear(ann_vectors *v);

#endif
