/* What lowp.c (multiplying) and packs.c (weights) share. oneDNN's types stay in
 * these two. */
#ifndef AKIN_EMBED_LOWP_H
#define AKIN_EMBED_LOWP_H

#include "internal.h"

#include <dnnl.h>

#define AKIN__CHUNK 64 /* most rows of one product */
/* Numbers of rows that primitives are made for: each up to 20, then each
 * fourth. A text of ten tokens takes three quarters of the time of one of 16. */
#define AKIN__ROW_COUNTS (20 + (AKIN__CHUNK - 20) / 4)

/* What GEMMs of one size share. */
typedef struct {
    size_t out, in;
    dnnl_memory_desc_t weights; /* their layout */
    dnnl_primitive_t gemm[AKIN__ROW_COUNTS];
} akin__shape;

/* Outputs [from, to) of a linear layer. */
typedef struct {
    const akin__linear *linear;
    uint32_t id; /* its id */
    size_t from, to;
    akin__shape *shape;
    size_t offset; /* of the weights in their tower's memory */
    dnnl_memory_t weights;
    float *bias;   /* with normalisation folded in, for patches */
    float *scale;  /* int8: (out) */
    int32_t *sums; /* int8: (out) */
} akin__pack;

/* The packs of one tower lie behind one another in one piece of memory. */
typedef struct {
    size_t first, end; /* in packs->list */
    size_t size_bytes;
    void *block;
    bool ready;
} akin__packed_tower;

struct akin__packs {
    akin_precision precision;
    dnnl_engine_t engine;
    akin__shape shapes[16];
    size_t shape_count;
    akin__pack *list; /* sorted by id, from */
    size_t count, capacity;
    akin__packed_tower towers[2];           /* pictures', texts' */
    size_t most_in, most_out, most_scratch; /* the last in bytes */
    dnnl_primitive_attr_t own_scratch;
    pthread_mutex_t lock;    /* over shapes[].gemm */
    pthread_mutex_t filling; /* over towers */
};

/* lowp.c. The shape for (out, in), its layout filled in. */
akin_status akin__shape_get(akin__packs *packs, size_t out, size_t in,
                            akin__shape **found, akin_error *err);
akin_status akin__dnnl_failed(akin_error *err, const char *what,
                              dnnl_status_t status);

/* packs.c. NULL when there is none. */
const akin__pack *akin__pack_find(const akin__packs *packs, uint32_t id,
                                  size_t from);
/* Zero point of pixels: near their mean, or the error of the weights would be
 * multiplied by large numbers that mean nothing. */
int32_t akin__pixel_zero(const akin__config *config);

#endif
