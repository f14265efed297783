/* Files of the CLIP reference: the small part in tests/data/clip, which is
 * always there, and the whole set in ../shared/clip-reference beside the clone
 * (AKIN_REFERENCE names another place). Both have the same layout. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include "akin_embed.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define REFERENCE_SMALL AKIN_TESTS "/data/clip"

/* The whole set, or NULL after saying that it was skipped. */
static inline const char *reference_full(void)
{
    const char *dir = getenv("AKIN_REFERENCE");

    if (!dir || !*dir) dir = AKIN_SOURCE "/../shared/clip-reference";
    if (access(dir, R_OK) == 0) return dir;
    printf("skipped: no reference data in %s\n", dir);
    return NULL;
}

/* printf into a path; the result is overwritten by the eighth call after. */
static inline const char *reference_path(const char *root, const char *fmt,
                                         const char *a)
{
    static char paths[8][1200];
    static int next;
    char *path = paths[next++ % 8];
    int used = snprintf(path, sizeof paths[0], "%s/", root);

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(path + used, sizeof paths[0] - (size_t)used, fmt, a);
#pragma GCC diagnostic pop
    return path;
}

static inline bool reference_has(const char *path)
{
    return access(path, R_OK) == 0;
}

/* A whole file; free with akin_free. Fails the test when it is not there. */
static inline void *reference_read(const char *path, size_t *size)
{
    uint8_t *data = NULL;
    akin_error err;

    if (akin_file_read(path, 64u << 20, &data, size, &err))
        fail_msg("%s", err.message);
    return data;
}

static inline akin_model *reference_model(const char *dir)
{
    akin_model *model = NULL;
    akin_error err;

    if (akin_model_open(dir, &model, &err)) fail_msg("%s", err.message);
    return model;
}

static inline akin_encoder *reference_encoder(const akin_model *model,
                                              uint32_t threads, uint32_t batch)
{
    akin_encoder_options options = {.threads = threads,
                                    .max_batch = batch,
                                    .precision = AKIN_PRECISION_F32};
    akin_encoder *encoder = NULL;
    akin_error err;

    if (akin_encoder_open(model, &options, &encoder, &err))
        fail_msg("%s", err.message);
    return encoder;
}

static inline double reference_cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;

    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

/* Decodes the hex of a string ("-": empty) in place; returns its length. */
static inline size_t reference_unhex(char *hex)
{
    size_t n = 0;

    if (strcmp(hex, "-") == 0) return 0;
    for (; hex[2 * n] && hex[2 * n + 1]; n++) {
        unsigned byte = 0;

        sscanf(hex + 2 * n, "%2x", &byte);
        hex[n] = (char)byte;
    }
    return n;
}

#endif
