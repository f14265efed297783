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
    bool is_wide;          /* counts in model->wide_users */
    float cosine;          /* lowest, to float32; 1 for that itself */
    uint8_t fingerprint[AKIN_SHA256_BYTES];
    float table[3 * 256]; /* pixel values to network inputs, by channel */
};

/* Opens an encoder of exactly options->precision, which is not AUTO, without
 * measuring anything. */
akin_status akin__encoder_open_fixed(const akin_model *model,
                                     const akin_encoder_options *options,
                                     akin_encoder **out, akin_error *err);
/* Sets cosine, from the user's cache or by trying. */
akin_status akin__encoder_measure(akin_encoder *e, akin_error *err);

/* For tests; encode with one thread then. */
void akin__encoder_trace(akin_encoder *encoder, akin__trace *trace, void *user);

#endif
