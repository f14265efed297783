/* encode: speed of the encoder, beside the time that its matrix products alone
 * take and how close each precision stays to float32.
 *
 *     encode MODEL_DIR [PRECISION...]
 *
 * bench/make_model writes a MODEL_DIR. One row a precision, thread count and
 * batch: pictures a second by the clock and by CPU time (which other work on the
 * machine disturbs less), share of the passes' CPU time that is GEMM, cosine.
 * Then texts: a short one, 64 of them, and one padded to 77 tokens as most
 * programs encode it. */
#include "encoder.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PICTURES    32
#define SHORT_TEXT  10
#define LONG_TEXT   77
#define SHORT_TEXTS 64

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const akin_error *err)
{
    fprintf(stderr, "encode: %s\n", err->message);
    exit(1);
}

static void *need(void *p)
{
    akin_error err = {.message = "out of memory"};

    if (!p) die(&err);
    return p;
}

static akin_encoder *open_encoder(const akin_model *model,
                                  akin_precision precision, uint32_t threads,
                                  uint32_t batch)
{
    akin_encoder_options o = {batch, threads, precision};
    akin_encoder *e = NULL;
    akin_error err;

    if (akin_encoder_open(model, &o, &e, &err)) die(&err);
    return e;
}

static double lowest_cosine(const float *a, const float *b, size_t n,
                            size_t dim)
{
    double lowest = 1;

    for (size_t i = 0; i < n; i++) {
        double dot = 0;

        for (size_t k = 0; k < dim; k++)
            dot += (double)a[i * dim + k] * b[i * dim + k];
        lowest = fmin(lowest, dot);
    }
    return lowest;
}

/* ---- the products alone ----------------------------------------------------- */

typedef struct {
    akin_encoder *e;
    const float *x; /* zeros would be as fast; these are not */
    float *y;
    double seconds;
} products;

static void product(products *p, const akin__linear *l, size_t from, size_t to,
                    size_t R)
{
    double start = cpu_seconds();

    if (p->e->packs)
        akin__packed_multiply(p->e->packs, l, from, to, R,
                              p->e->workers[0].scratch);
    else
        akin__linear_f32(l, from, to, p->x, R, p->y, to - from, true);
    p->seconds += cpu_seconds() - start;
}

/* CPU seconds of the layers' products for B pictures: those that a pass makes. */
static double vision_products(akin_encoder *e, size_t B, const float *x,
                              float *y)
{
    const akin_model *m = e->model;
    const akin__tower *v = &m->vision;
    size_t side = m->config.image_size / m->config.patch, C = v->config.width;
    size_t R = B * (side * side + 1);
    products p = {e, x, y, 0};
    int before = akin__one_thread();

    product(&p, &m->patch, 0, C, B * side * side);
    for (uint32_t i = 0; i < v->config.layers; i++) {
        const akin__layer *layer = &v->layers[i];
        bool last = i + 1 == v->config.layers;
        size_t rows = last ? B : R;

        if (last) {
            product(&p, &layer->qkv, C, 3 * C, R);
            product(&p, &layer->qkv, 0, C, B);
        } else {
            product(&p, &layer->qkv, 0, 3 * C, R);
        }
        product(&p, &layer->proj, 0, C, rows);
        product(&p, &layer->fc1, 0, layer->fc1.out, rows);
        product(&p, &layer->fc2, 0, C, rows);
    }
    akin__threads_back(before);
    return p.seconds;
}

static double share_of_products(akin_encoder *e, size_t B, double cpu)
{
    const akin__config *c = &e->model->config;
    size_t side = c->image_size / c->patch, widest = 4 * c->vision.width;
    size_t floats;
    float *x, *y;
    double best = 1e9;

    widest = c->vision.mlp > widest ? c->vision.mlp : widest;
    if ((size_t)3 * c->patch * c->patch > widest)
        widest = (size_t)3 * c->patch * c->patch;
    floats = B * (side * side + 1) * widest;
    x = need(akin_calloc(floats, sizeof *x));
    y = need(akin_calloc(floats, sizeof *y));
    for (size_t i = 0; i < floats; i++)
        x[i] = (float)(i % 17) - 8;
    for (int round = 0; round < 3; round++)
        best = fmin(best, vision_products(e, B, x, y));
    akin_free(x);
    akin_free(y);
    return best / cpu;
}

/* ---- pictures --------------------------------------------------------------- */

static void pictures_row(const akin_model *model, akin_precision precision,
                         uint32_t threads, uint32_t batch,
                         const uint8_t *pixels, const float *exact, float *out)
{
    akin_encoder *e = open_encoder(model, precision, threads, batch);
    size_t n = batch < PICTURES ? PICTURES / 4 : PICTURES;
    size_t S = model->config.image_size, dim = model->config.dim;
    double best_wall = 1e9, best_cpu = 1e9, share = 0;
    char part[16] = "-";
    akin_error err;

    n = n < batch ? batch : n;
    for (int round = 0; round < 4; round++) {
        uint64_t start = akin_mono_ns();
        double cpu = cpu_seconds();

        for (size_t i = 0; i < n; i += batch) {
            if (akin_encoder_images(e, pixels + i * S * S * 3, batch,
                                    out + i * dim, &err))
                die(&err);
        }
        best_cpu = fmin(best_cpu, cpu_seconds() - cpu);
        best_wall = fmin(best_wall, 1e-9 * (double)(akin_mono_ns() - start));
    }
    if (threads == 1 && !model->config.siglip) {
        share = share_of_products(e, batch, best_cpu * batch / (double)n);
        snprintf(part, sizeof part, "%.0f %%", 100 * share);
    }
    printf("%-5s %7u %6u %11.1f %14.1f %12s %12.6f\n",
           akin_precision_name(precision), threads, batch,
           (double)n / best_wall, (double)n / best_cpu, part,
           lowest_cosine(out, exact, n, dim));
    fflush(stdout);
    akin_encoder_close(e);
}

static void pictures_table(const akin_model *model,
                           const akin_precision *precisions, size_t count)
{
    static const uint32_t batches[] = {1, 8, PICTURES};
    size_t S = model->config.image_size, dim = model->config.dim;
    uint8_t *pixels = need(akin_calloc(PICTURES, S * S * 3));
    float *exact = need(akin_calloc(PICTURES * dim, sizeof *exact));
    float *out = need(akin_calloc(PICTURES * dim, sizeof *out));
    akin_encoder *e = open_encoder(model, AKIN_PRECISION_F32, 0, PICTURES);
    uint32_t state = 7, cpus = akin_cpu_count();
    akin_error err;

    for (size_t i = 0; i < PICTURES * S * S * 3; i++) { /* blotches */
        if (i % 97 == 0) state = state * 1664525u + 1013904223u;
        pixels[i] = (uint8_t)((state >> (8 + 8 * (i % 3))) + i / S % 32);
    }
    if (akin_encoder_images(e, pixels, PICTURES, exact, &err)) die(&err);
    akin_encoder_close(e);
    printf("\nprec. threads  batch  pictures/s  per CPU second  GEMM share  "
           "lowest cosine\n");
    for (size_t p = 0; p < count; p++) {
        for (size_t b = 0; b < 3; b++)
            pictures_row(model, precisions[p], 1, batches[b], pixels, exact,
                         out);
        if (cpus > 1)
            pictures_row(model, precisions[p], cpus, PICTURES, pixels, exact,
                         out);
    }
    akin_free(pixels);
    akin_free(exact);
    akin_free(out);
}

/* ---- texts ------------------------------------------------------------------ */

/* CPU milliseconds for n texts of `length` tokens, the last one EOS. */
static double texts_ms(akin_encoder *e, uint32_t n, uint32_t length, float *out)
{
    static int32_t ids[SHORT_TEXTS * LONG_TEXT];
    static uint32_t counts[SHORT_TEXTS];
    const akin__config *c = &e->model->config;
    double best = 1e9;
    akin_error err;

    for (uint32_t i = 0; i < n; i++) {
        counts[i] = length;
        for (uint32_t k = 0; k < length; k++)
            ids[i * length + k] = (int32_t)(3 + (i * 131 + k * 17) % 1000);
        ids[i * length + length - 1] =
            c->pool == AKIN__POOL_EOS ? c->eos_id : (int32_t)c->vocab - 1;
    }
    for (int round = 0; round < 5; round++) {
        double start = cpu_seconds();

        if (akin_encoder_ids(e, ids, length, counts, n, out, &err)) die(&err);
        best = fmin(best, cpu_seconds() - start);
    }
    return 1e3 * best;
}

static void texts_table(const akin_model *model,
                        const akin_precision *precisions, size_t count)
{
    size_t dim = model->config.dim;
    float *out = need(akin_calloc(SHORT_TEXTS * dim, sizeof *out));

    if (model->config.context < LONG_TEXT) return;
    printf(
        "\nprec.  one of %d tokens  %d of them  padded to %d   (CPU ms each; "
        "one thread)\n",
        SHORT_TEXT, SHORT_TEXTS, LONG_TEXT);
    for (size_t p = 0; p < count; p++) {
        akin_encoder *e = open_encoder(model, precisions[p], 1, PICTURES);
        double one = texts_ms(e, 1, SHORT_TEXT, out);
        double many = texts_ms(e, SHORT_TEXTS, SHORT_TEXT, out) / SHORT_TEXTS;

        printf("%-5s %17.1f %11.1f %13.1f\n",
               akin_precision_name(precisions[p]), one, many,
               texts_ms(e, 1, LONG_TEXT, out));
        fflush(stdout);
        akin_encoder_close(e);
    }
    akin_free(out);
}

int main(int argc, char **argv)
{
    akin_precision precisions[8] = {AKIN_PRECISION_F32};
    size_t count = 1;
    akin_model *model = NULL;
    double cpu = cpu_seconds();
    uint64_t start = akin_mono_ns();
    akin_error err;

    if (argc < 2 || argc > 8) {
        fprintf(stderr, "usage: encode MODEL_DIR [f32|bf16|int8]...\n");
        return 2;
    }
    akin_log_set(AKIN_LOG_INFO, NULL, NULL);
    if (akin_model_open(argv[1], &model, &err)) die(&err);
    printf("%s: %llu parameters, %s; opened in %.2f s, %.2f s CPU\n",
           model->info.name, (unsigned long long)model->info.parameters,
           model->info.weights_dtype, 1e-9 * (double)(akin_mono_ns() - start),
           cpu_seconds() - cpu);
    if (argc == 2) {
        for (int p = AKIN_PRECISION_BF16; p <= AKIN_PRECISION_INT8; p++) {
            if (akin__lowp_supported((akin_precision)p))
                precisions[count++] = (akin_precision)p;
        }
    }
    for (int i = 2; i < argc; i++) {
        if (!akin_precision_parse(argv[i], &precisions[i - 2])) {
            fprintf(stderr, "encode: no precision %s\n", argv[i]);
            return 2;
        }
        count = (size_t)i - 1;
    }
    pictures_table(model, precisions, count);
    texts_table(model, precisions, count);
    akin_model_close(model);
    return 0;
}
