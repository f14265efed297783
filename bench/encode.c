/* encode: speed of the encoder in one table, beside what its matrix products
 * alone take, the peak of such products on this processor, and ONNX Runtime.
 *
 *     encode MODEL_DIR [--onnx bench/peers/onnx/encode.mjs] [PRECISION...]
 *
 * bench/make_model writes a MODEL_DIR. One row a precision, thread count and
 * batch: pictures a second by the clock and by CPU time (which other work on the
 * machine disturbs less); texts of 10 tokens, a batch of them in a call; the time
 * of the pass's products run alone, and of the same number of multiplications at
 * the peak (encode_peak.c), by the time of the pass; lowest cosine to float32.
 * Then one short text beside one padded to 77 tokens, as most programs encode it.
 * With --onnx the same is asked of ONNX Runtime in the same run (node, see
 * bench/peers/onnx). */
#include "encode_peak.h"
#include "encoder.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PICTURES   32
#define SHORT_TEXT 10
#define LONG_TEXT  77

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
    double seconds, multiplications;
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
    p->multiplications += (double)R * (double)(to - from) * (double)l->in;
}

/* The products of a pass over B pictures. */
static products vision_products(akin_encoder *e, size_t B, const float *x,
                                float *y)
{
    const akin_model *m = e->model;
    const akin__tower *v = &m->vision;
    size_t side = m->config.image_size / m->config.patch, C = v->config.width;
    size_t R = B * (side * side + 1);
    products p = {e, x, y, 0, 0};
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
    return p;
}

/* Shares of `cpu` seconds that B pictures took: the products alone, and as many
 * multiplications at the peak. */
static void shares(akin_encoder *e, size_t B, double cpu, double *alone,
                   double *peak)
{
    const akin__config *c = &e->model->config;
    size_t side = c->image_size / c->patch, widest = 4 * c->vision.width;
    size_t floats;
    float *x, *y;
    double best = 1e9;
    products p = {0};

    widest = c->vision.mlp > widest ? c->vision.mlp : widest;
    if ((size_t)3 * c->patch * c->patch > widest)
        widest = (size_t)3 * c->patch * c->patch;
    floats = B * (side * side + 1) * widest;
    x = need(akin_calloc(floats, sizeof *x));
    y = need(akin_calloc(floats, sizeof *y));
    for (size_t i = 0; i < floats; i++)
        x[i] = (float)(i % 17) - 8;
    for (int round = 0; round < 3; round++) {
        p = vision_products(e, B, x, y);
        best = fmin(best, p.seconds);
    }
    akin_free(x);
    akin_free(y);
    *alone = best / cpu;
    *peak = p.multiplications / gemm_peak(akin_encoder_precision(e)) / cpu;
}

/* ---- ONNX Runtime ----------------------------------------------------------- */

typedef struct {
    akin_precision precision;
    unsigned threads, batch, tokens; /* tokens 0: pictures */
    double wall, cpu, cosine;        /* pictures or texts a second */
} peer_row;

static peer_row peers[64];
static size_t peer_count;

/* Lines of encode.mjs: precision, threads, batch, tokens, per second, per CPU
 * second, cosine. */
static void ask_peer(const char *script, const char *dir, unsigned threads)
{
    char command[2000], line[300], name[8];
    FILE *answer;

    snprintf(command, sizeof command, "node '%s' '%s' %u", script, dir,
             threads);
    answer = popen(command, "r");
    if (!need(answer)) return;
    while (fgets(line, sizeof line, answer) && peer_count < 64) {
        peer_row *r = &peers[peer_count];

        if (sscanf(line, "%7s %u %u %u %lf %lf %lf", name, &r->threads,
                   &r->batch, &r->tokens, &r->wall, &r->cpu, &r->cosine) == 7 &&
            akin_precision_parse(name, &r->precision))
            peer_count++;
    }
    if (pclose(answer) || peer_count == 0)
        fprintf(stderr, "encode: %s gave nothing\n", command);
}

static const peer_row *peer_of(akin_precision precision, unsigned threads,
                               unsigned batch, unsigned tokens)
{
    for (size_t i = 0; i < peer_count; i++) {
        const peer_row *r = &peers[i];

        if (r->precision == precision && r->threads == threads &&
            r->batch == batch && r->tokens == tokens)
            return r;
    }
    return NULL;
}

static void print_number(int width, int digits, double value)
{
    if (value > 0)
        printf(" %*.*f", width, digits, value);
    else
        printf(" %*s", width, "-");
}

/* ---- texts ------------------------------------------------------------------ */

/* CPU milliseconds for n texts of `length` tokens, the last one EOS. */
static double texts_ms(akin_encoder *e, uint32_t n, uint32_t length)
{
    static int32_t ids[PICTURES * LONG_TEXT];
    static uint32_t counts[PICTURES];
    const akin__config *c = &e->model->config;
    float *out = need(akin_calloc(n * c->dim, sizeof *out));
    double best = 1e9;
    akin_error err;

    for (uint32_t i = 0; i < n; i++) {
        counts[i] = length;
        for (uint32_t k = 0; k < length; k++)
            ids[i * length + k] = (int32_t)(3 + (i * 131 + k * 17) % 1000);
        ids[i * length + length - 1] =
            c->pool == AKIN__POOL_EOS ? c->eos_id : (int32_t)c->vocab - 1;
    }
    for (int round = 0; round < 10; round++) {
        double start = cpu_seconds();

        if (akin_encoder_ids(e, ids, length, counts, n, out, &err)) die(&err);
        best = fmin(best, cpu_seconds() - start);
    }
    akin_free(out);
    return 1e3 * best;
}

static void texts_table(const akin_model *model,
                        const akin_precision *precisions, size_t count)
{
    if (model->config.context < LONG_TEXT) return;
    printf("\none text, CPU ms    of %d tokens   padded to %d   ratio   "
           "ONNX: %d tokens    padded\n",
           SHORT_TEXT, LONG_TEXT, SHORT_TEXT);
    for (size_t p = 0; p < count; p++) {
        akin_encoder *e = open_encoder(model, precisions[p], 1, PICTURES);
        double one = texts_ms(e, 1, SHORT_TEXT);
        double padded = texts_ms(e, 1, LONG_TEXT);
        const peer_row *a = peer_of(precisions[p], 1, 1, SHORT_TEXT);
        const peer_row *b = peer_of(precisions[p], 1, 1, LONG_TEXT);

        printf("%-17s %14.1f %14.1f %7.1f", akin_precision_name(precisions[p]),
               one, padded, padded / one);
        print_number(17, 1, a ? 1e3 / a->cpu : 0);
        print_number(9, 1, b ? 1e3 / b->cpu : 0);
        printf("\n");
        fflush(stdout);
        akin_encoder_close(e);
    }
}

/* ---- pictures --------------------------------------------------------------- */

static void pictures_row(const akin_model *model, akin_precision precision,
                         uint32_t threads, uint32_t batch,
                         const uint8_t *pixels, const float *exact, float *out)
{
    akin_encoder *e = open_encoder(model, precision, threads, batch);
    size_t n = batch < PICTURES ? PICTURES / 4 : PICTURES;
    size_t S = model->config.image_size, dim = model->config.dim;
    double best_wall = 1e9, best_cpu = 1e9, alone = 0, peak = 0;
    const peer_row *peer = peer_of(precision, threads, batch, 0);
    const peer_row *peer_texts = peer_of(precision, threads, batch, SHORT_TEXT);
    akin_error err;

    n = n < batch ? batch : n;
    for (int round = 0; round < 5; round++) {
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
    if (threads == 1 && !model->config.siglip)
        shares(e, batch, best_cpu * batch / (double)n, &alone, &peak);
    printf("%-5s %7u %6u %11.1f %10.1f %10.0f", akin_precision_name(precision),
           threads, batch, (double)n / best_wall, (double)n / best_cpu,
           1e3 * batch / texts_ms(e, batch, SHORT_TEXT));
    print_number(9, 2, alone);
    print_number(8, 2, peak);
    printf(" %9.6f", lowest_cosine(out, exact, n, dim));
    print_number(11, 1, peer ? peer->cpu : 0);
    print_number(9, 0, peer_texts ? peer_texts->cpu : 0);
    print_number(9, 6, peer ? peer->cosine : 0);
    printf("\n");
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
    printf("\nprec. threads  batch  pictures/s  per CPU s  texts per  of its   "
           "of GEMM   lowest     ONNX Runtime, per CPU s\n"
           "                                               CPU s      GEMMs    "
           "peak    cosine   pictures    texts    cosine\n");
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

/* The precisions named on the command line, or all that this processor has. */
static size_t parse_precisions(char **names, int n, akin_precision *out)
{
    size_t count = 0;

    for (int i = 0; i < n; i++) {
        if (!akin_precision_parse(names[i], &out[count++])) {
            fprintf(stderr, "encode: no precision %s\n", names[i]);
            exit(2);
        }
    }
    if (n) return count;
    for (int p = AKIN_PRECISION_F32; p <= AKIN_PRECISION_INT8; p++) {
        if (akin__lowp_supported((akin_precision)p))
            out[count++] = (akin_precision)p;
    }
    return count;
}

int main(int argc, char **argv)
{
    akin_precision precisions[8];
    akin_model *model = NULL;
    akin_encoder *chosen;
    int first = 2;
    size_t count;
    akin_error err;

    if (argc < 2 || argc > 8) {
        fprintf(stderr, "usage: encode MODEL_DIR [--onnx SCRIPT] "
                        "[f32|bf16|int8]...\n");
        return 2;
    }
    akin_log_set(AKIN_LOG_INFO, NULL, NULL);
    if (argc > 3 && strcmp(argv[2], "--onnx") == 0) {
        ask_peer(argv[3], argv[1], 1);
        if (akin_cpu_count() > 1) ask_peer(argv[3], argv[1], akin_cpu_count());
        first = 4;
    }
    count = parse_precisions(argv + first, argc - first, precisions);
    if (akin_model_open(argv[1], &model, &err)) die(&err);
    chosen = open_encoder(model, AKIN_PRECISION_AUTO, 0, 1);
    printf("%s: %llu parameters, %s; auto is %s\n", model->info.name,
           (unsigned long long)model->info.parameters,
           model->info.weights_dtype,
           akin_precision_name(akin_encoder_precision(chosen)));
    akin_encoder_close(chosen);
    pictures_table(model, precisions, count);
    texts_table(model, precisions, count);
    akin_model_close(model);
    return 0;
}
