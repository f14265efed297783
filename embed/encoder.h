/* An encoder's inside, for encoder.c and for tests that trace a pass. */
#ifndef AKIN_EMBED_ENCODER_H
#define AKIN_EMBED_ENCODER_H

#include "internal.h"

struct akin_encoder {
    const akin_model *model;
    akin_precision precision;
    uint32_t threads;
    akin__packs *packs; /* of the model; NULL: float32 */
    size_t worker_pictures;
    akin__worker *workers; /* (threads) */
    akin_pool *pool;       /* threads - 1: the caller is one of them */
    float table[3 * 256];  /* pixel values to network inputs, by channel */
};

/* For tests; encode with one thread then. */
void akin__encoder_trace(akin_encoder *encoder, akin__trace *trace, void *user);

#endif
