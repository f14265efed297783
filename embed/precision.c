/* Which precision an encoder computes in, and how close it stays to float32.
 *
 * For bfloat16 and int8 that is measured, by embedding a few drawn pictures and
 * sentences in both: AUTO takes the fastest whose lowest cosine is at least
 * 0.999. The measurement (one second for ViT-B/32) is kept in the user's cache
 * folder, akin/precision-FINGERPRINT, as lines of name and cosine; without one
 * it is made at each open. Embeddings that close are compared with float32's,
 * and so share the model's fingerprint; others get one of their own. */
#include "encoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICTURES    4
#define TEXTS       8
#define CACHE_TITLE "akin precision 1\n"
#define CACHE_LIMIT 4096

static const char *const sentences[TEXTS] = {
    "a photo of a cat",
    "two children playing on the beach at sunset",
    "blue denim jacket with silver buttons",
    "a map of the city centre",
    "car",
    "an old stone bridge over a river in autumn, seen from below",
    "red running shoes, size 42",
    "a drawing of a house with a tree and the sun",
};

/* ---- what is measured with -------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* A colour gradient, twelve filled shapes over it, a little noise. */
static void draw(uint8_t *pixels, size_t S, uint32_t seed)
{
    uint32_t state = seed;
    uint8_t ground[6];

    for (size_t i = 0; i < 6; i++)
        ground[i] = (uint8_t)next_random(&state);
    for (size_t i = 0; i < S * S * 3; i++) {
        size_t c = i % 3, y = i / 3 / S;

        pixels[i] = (uint8_t)((ground[c] * (S - y) + ground[3 + c] * y) / S);
    }
    for (int shape = 0; shape < 12; shape++) {
        double x0 = next_random(&state) % S, y0 = next_random(&state) % S;
        double rx = 1 + next_random(&state) % (S / 3 + 1);
        double ry = 1 + next_random(&state) % (S / 3 + 1);
        bool round = next_random(&state) & 1;
        uint32_t colour = next_random(&state);

        for (size_t i = 0; i < S * S; i++) {
            double dx = ((double)(i % S) - x0) / rx;
            double dy = ((double)(i / S) - y0) / ry;

            if (round ? dx * dx + dy * dy > 1 : fabs(dx) > 1 || fabs(dy) > 1)
                continue;
            for (size_t c = 0; c < 3; c++)
                pixels[3 * i + c] = (uint8_t)(colour >> 8 * c);
        }
    }
    for (size_t i = 0; i < S * S * 3; i++)
        pixels[i] ^= (uint8_t)(next_random(&state) & 7);
}

/* ids: (TEXTS, context). Models without a tokenizer get arbitrary ids. */
static akin_status write_ids(const akin_model *model, int32_t *ids,
                             uint32_t *counts, akin_error *err)
{
    uint32_t context = model->config.context, state = 5;
    akin_status rc = AKIN_OK;

    for (size_t i = 0; i < TEXTS && !rc; i++) {
        int32_t *row = ids + i * context;

        if (model->tokenizer) {
            rc = akin_model_tokenize(model, akin_span_of(sentences[i]), row,
                                     context, &counts[i], err);
            continue;
        }
        counts[i] = 2 + (uint32_t)i < context ? 2 + (uint32_t)i : context;
        for (uint32_t k = 0; k < counts[i]; k++)
            row[k] = (int32_t)(next_random(&state) % model->config.vocab);
    }
    return rc;
}

typedef struct {
    uint8_t *pixels;
    int32_t *ids;
    uint32_t counts[TEXTS];
    float *out[2]; /* (PICTURES + TEXTS, dim): float32's and the other's */
} trial;

static akin_status embed(const akin_model *model, const trial *t,
                         akin_encoder *e, float *out, akin_error *err)
{
    akin_status rc = akin_encoder_images(e, t->pixels, PICTURES, out, err);

    if (!rc)
        rc = akin_encoder_ids(e, t->ids, model->config.context, t->counts,
                              TEXTS, out + PICTURES * model->config.dim, err);
    return rc;
}

static float lowest_cosine(const trial *t, size_t dim)
{
    double lowest = 1;

    for (size_t i = 0; i < PICTURES + TEXTS; i++) {
        double dot = 0; /* of unit vectors */

        for (size_t k = 0; k < dim; k++)
            dot += (double)t->out[0][i * dim + k] * t->out[1][i * dim + k];
        lowest = dot < lowest ? dot : lowest;
    }
    return (float)lowest;
}

/* Sets e->cosine by comparing e with a float32 encoder opened for it. */
static akin_status measure(akin_encoder *e, akin_error *err)
{
    const akin_model *model = e->model;
    size_t S = model->config.image_size, dim = model->config.dim;
    akin_encoder_options options = {.max_batch = PICTURES,
                                    .threads = e->threads,
                                    .precision = AKIN_PRECISION_F32};
    akin_encoder *exact = NULL;
    trial t = {0};
    akin_status rc;

    t.pixels = akin_calloc(PICTURES, S * S * 3);
    t.ids = akin_calloc(TEXTS, model->config.context * sizeof *t.ids);
    for (int i = 0; i < 2; i++)
        t.out[i] = akin_calloc(PICTURES + TEXTS, dim * sizeof **t.out);
    if (!t.pixels || !t.ids || !t.out[0] || !t.out[1]) {
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        goto done;
    }
    for (uint32_t i = 0; i < PICTURES; i++)
        draw(t.pixels + i * S * S * 3, S, 100 + i);
    rc = write_ids(model, t.ids, t.counts, err);
    if (!rc) rc = akin__encoder_open_fixed(model, &options, &exact, err);
    if (!rc) rc = embed(model, &t, exact, t.out[0], err);
    if (!rc) rc = embed(model, &t, e, t.out[1], err);
    if (!rc) e->cosine = lowest_cosine(&t, dim);
done:
    akin_encoder_close(exact);
    akin_free(t.pixels);
    akin_free(t.ids);
    akin_free(t.out[0]);
    akin_free(t.out[1]);
    return rc;
}

/* ---- what was measured before ----------------------------------------------- */

static char *cache_path(const akin_model *model, const char *folder)
{
    return folder ? akin_format("%s/precision-%.32s", folder,
                                model->info.fingerprint)
                  : NULL;
}

/* The cosine kept for this precision, or -2. *text: the whole file, freed by the
 * caller. */
static float read_cache(const char *path, akin_precision precision, char **text)
{
    char key[32];
    size_t size = 0;
    const char *line;
    float value;

    *text = NULL;
    if (!path ||
        akin_file_read(path, CACHE_LIMIT, (uint8_t **)text, &size, NULL) ||
        strncmp(*text, CACHE_TITLE, strlen(CACHE_TITLE)) != 0)
        return -2;
    snprintf(key, sizeof key, "\n%s ", akin_precision_name(precision));
    line = strstr(*text, key);
    if (!line) return -2;
    value = strtof(line + strlen(key), NULL);
    return value >= -1 && value <= 1.001f ? value : -2;
}

/* Failing to keep a measurement costs time, nothing else. */
static void write_cache(const char *folder, const char *path, const char *text,
                        const akin_encoder *e)
{
    akin_buf out = {0};
    bool ours = text && strncmp(text, CACHE_TITLE, strlen(CACHE_TITLE)) == 0;

    akin_buf_text(&out, ours ? text : CACHE_TITLE);
    akin_buf_printf(&out, "%s %.6f\n", akin_precision_name(e->precision),
                    (double)e->cosine);
    if (!path || out.failed || out.size > CACHE_LIMIT ||
        akin_dir_make(folder, NULL) ||
        akin_file_replace(path, (akin_span){out.data, out.size}, NULL))
        akin_log(AKIN_LOG_DEBUG, "the measurement is not kept in %s",
                 path ? path : "a cache folder");
    akin_buf_clear(&out);
}

akin_status akin__encoder_measure(akin_encoder *e, akin_error *err)
{
    char *folder = akin__cache_folder(), *path = cache_path(e->model, folder);
    char *text = NULL;
    akin_status rc = AKIN_OK;

    e->cosine = read_cache(path, e->precision, &text);
    if (e->cosine < -1) {
        rc = measure(e, err);
        if (!rc) {
            akin_log(AKIN_LOG_INFO,
                     "model %s at %s: lowest cosine to float32 %.5f on %d "
                     "pictures and %d texts",
                     e->model->info.name, akin_precision_name(e->precision),
                     (double)e->cosine, PICTURES, TEXTS);
            write_cache(folder, path, text, e);
        }
    }
    akin_free(text);
    akin_free(path);
    akin_free(folder);
    return rc;
}

/* ---- choosing --------------------------------------------------------------- */

/* SHA-256 of the model's fingerprint and the precision's name. */
static akin_status own_fingerprint(akin_encoder *e, akin_error *err)
{
    const char *name = akin_precision_name(e->precision);
    akin_sha256 *hash = akin_sha256_begin();

    if (!hash) return akin_fail(err, AKIN_NOMEM, "out of memory");
    akin_sha256_add(hash, e->model->info.fingerprint_bytes, AKIN_SHA256_BYTES);
    akin_sha256_add(hash, name, strlen(name));
    akin_sha256_finish(hash, e->fingerprint);
    return AKIN_OK;
}

static akin_status open_measured(const akin_model *model,
                                 const akin_encoder_options *options,
                                 akin_encoder **out, akin_error *err)
{
    akin_encoder *e = NULL;
    akin_status rc = akin__encoder_open_fixed(model, options, &e, err);

    if (!rc && e->precision != AKIN_PRECISION_F32) {
        rc = akin__encoder_measure(e, err);
        if (!rc && e->cosine < AKIN_PRECISION_COSINE)
            rc = own_fingerprint(e, err);
    }
    if (rc) {
        akin_encoder_close(e);
        e = NULL;
    }
    *out = e;
    return rc;
}

akin_status akin_encoder_open(const akin_model *model,
                              const akin_encoder_options *options,
                              akin_encoder **out, akin_error *err)
{
    static const akin_precision fastest_first[] = {AKIN_PRECISION_INT8,
                                                   AKIN_PRECISION_BF16};
    akin_encoder_options o = options ? *options : (akin_encoder_options){0};

    *out = NULL;
    if (o.precision != AKIN_PRECISION_AUTO)
        return open_measured(model, &o, out, err);
    for (size_t i = 0; i < 2; i++) {
        akin_status rc;

        o.precision = fastest_first[i];
        if (!akin__lowp_supported(o.precision)) continue;
        rc = open_measured(model, &o, out, err);
        if (rc == AKIN_OK && (*out)->cosine >= AKIN_PRECISION_COSINE)
            return AKIN_OK;
        akin_encoder_close(*out);
        *out = NULL;
        /* a model that only float32 can take is no error here */
        if (rc && rc != AKIN_UNSUPPORTED && rc != AKIN_BAD_DATA) return rc;
    }
    o.precision = AKIN_PRECISION_F32;
    return open_measured(model, &o, out, err);
}

float akin_encoder_cosine(const akin_encoder *encoder)
{
    return encoder->cosine;
}

const uint8_t *akin_encoder_fingerprint(const akin_encoder *encoder)
{
    return encoder->fingerprint;
}
