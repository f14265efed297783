/* Ingest beside its parts: how fast a folder becomes searchable, beside the
 * encoder alone, decoding alone, and the GEMM peak of this machine.
 *
 *     bench_pipeline MODEL_DIR PICTURES_DIR [threads]
 *
 * Every step runs on all processors, so what the whole can reach at most is the
 * bound 1 / (1 / step + 1 / step ...): it is printed for the steps an ingest
 * cannot do without (reading and decoding, encoding) and for those that describe
 * the picture too (hashes, thumbnail). A step alone also waits for nothing: the
 * processor time a picture takes says the same without the waits. "files to
 * vectors" decodes and encodes, overlapped, and keeps nothing. A row is the median
 * of three runs where it can be repeated. */
#include "akin_embed.h"
#include "akin_engine.h"
#include "picture_internal.h"

#include <cblas.h>
#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what, const akin_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    exit(1);
}

static double seconds_since(uint64_t start)
{
    return (double)(akin_mono_ns() - start) / 1e9;
}

static double process_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median3(double *v)
{
    qsort(v, 3, sizeof *v, by_value);
    return v[1];
}

/* ---- GEMM ------------------------------------------------------------------------- */

static double gemm_gflops(int threads)
{
    enum { SIDE = 1536, TIMES = 4 };
    float *a = akin_calloc((size_t)SIDE * SIDE * 3, sizeof *a);
    if (!a) exit(1);
    float *b = a + SIDE * SIDE, *c = b + SIDE * SIDE;
    double rate[3];

    openblas_set_num_threads(threads);
    for (size_t i = 0; i < 2 * SIDE * SIDE; i++)
        a[i] = (float)(i % 17) - 8;
    for (int run = 0; run < 3; run++) {
        uint64_t start = akin_mono_ns();
        for (int i = 0; i < TIMES; i++)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE,
                        SIDE, 1, a, SIDE, b, SIDE, 0, c, SIDE);
        rate[run] =
            2.0 * SIDE * SIDE * SIDE * TIMES / seconds_since(start) / 1e9;
    }
    akin_free(a);
    openblas_set_num_threads(1);
    return median3(rate);
}

/* Floating point operations of one picture's pass: products alone. */
static double picture_flops(const akin_model_info *m)
{
    double width = m->vision_width, side = m->image_size / m->patch;
    double tokens = side * side + 1;
    double layer = 12 * width * width * tokens + 2 * tokens * tokens * width;
    double patches = 3.0 * m->patch * m->patch * width * side * side;
    return 2 * (patches + m->vision_layers * layer + width * m->dim);
}

/* ---- the encoder alone ---------------------------------------------------------------- */

/* *ms: of processor time an image. */
static double encoder_rate(const akin_model *model, uint32_t threads,
                           double *ms)
{
    enum { BATCH = 32 };
    const akin_model_info *info = akin_model_get_info(model);
    size_t bytes = (size_t)info->image_size * info->image_size * 3;
    akin_encoder_options options = {.max_batch = BATCH, .threads = threads};
    akin_encoder *encoder;
    akin_error err;
    double rate[3];

    if (akin_encoder_open(model, &options, &encoder, &err))
        die("encoder", &err);
    uint8_t *pixels = akin_calloc(BATCH, bytes);
    float *out = akin_calloc(BATCH, info->dim * sizeof *out);
    if (!pixels || !out) exit(1);
    for (size_t i = 0; i < BATCH * bytes; i++)
        pixels[i] = (uint8_t)(i * 2654435761u >> 24);
    if (akin_encoder_images(encoder, pixels, BATCH, out, &err))
        die("encoder", &err); /* warm */
    double cpu = process_seconds();
    size_t all = 0;
    for (int run = 0; run < 3; run++) {
        uint64_t start = akin_mono_ns();
        size_t n = 0;
        for (; seconds_since(start) < 2; n += BATCH)
            if (akin_encoder_images(encoder, pixels, BATCH, out, &err))
                die("encoder", &err);
        rate[run] = (double)n / seconds_since(start);
        all += n;
    }
    *ms = 1e3 * (process_seconds() - cpu) / (double)all;
    akin_free(pixels);
    akin_free(out);
    akin_encoder_close(encoder);
    return median3(rate);
}

/* ---- decoding alone --------------------------------------------------------------------- */

typedef struct {
    char **paths;
    size_t n, capacity;
    const akin_model_info *info;
} listing;

static listing files;

static int add_path(const char *path, const struct stat *st, int type,
                    struct FTW *ftw)
{
    (void)st, (void)ftw;
    if (type == FTW_F && akin_grow(&files.paths, &files.capacity, files.n + 1,
                                   sizeof *files.paths, NULL) == AKIN_OK)
        files.paths[files.n++] = akin_strdup(path);
    return 0;
}

typedef struct {
    const listing *files;
    size_t first;
    bool describe;   /* hashes and thumbnail too */
    bool here;       /* drawings too, not in their own processes */
    uint8_t *pixels; /* (n, image_size, image_size, 3), NULL: not kept */
    atomic_ullong nanoseconds; /* of processor time, if described */
} decoding;

static uint64_t thread_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void describe(const akin_picture *picture)
{
    akin_picture_hashes hashes;
    akin_buf thumb = {0};
    if (akin_picture_hash(picture, &hashes, NULL) ||
        akin_picture_thumbnail(picture, 256, &thumb, NULL))
        exit(1);
    akin_buf_clear(&thumb);
}

static void decode_one(void *arg, size_t i)
{
    decoding *d = arg;
    const akin_model_info *m = d->files->info;
    akin_picture_options options = {.shrink_to = m->resize_edge};
    akin_picture_transform transform = {m->resize, m->resize_edge,
                                        m->image_size};
    size_t row = (size_t)m->image_size * m->image_size * 3, size;
    akin_picture picture = {0};
    uint8_t *bytes = NULL, *made = d->pixels ? NULL : akin_alloc(row);
    uint8_t *to = d->pixels ? d->pixels + i * row : made;
    akin__picture_fill_options(&options);
    if (to &&
        !akin_file_read(d->files->paths[d->first + i], 1u << 28, &bytes, &size,
                        NULL) &&
        !(d->here ? akin__picture_decode_here : akin_picture_decode)(
            (akin_span){bytes, size}, &options, &picture, NULL) &&
        !akin_picture_prepare(&picture, &transform, to, NULL) && d->describe) {
        uint64_t start = thread_ns();
        describe(&picture);
        d->nanoseconds += thread_ns() - start;
    }
    akin_picture_clear(&picture);
    akin_free(bytes);
    akin_free(made);
}

static akin_pool *open_pool(uint32_t threads)
{
    akin_pool *pool = NULL;
    akin_error err;
    if (akin_pool_open(threads, 0, "decode", &pool, &err)) die("pool", &err);
    return pool;
}

typedef struct {
    double all, here; /* here: without what drawings cost beside librsvg */
    double describing;
    double ms; /* of this process' time to decode one, drawings here */
} rates;

static rates decode_rates(uint32_t threads)
{
    akin_pool *pool = open_pool(threads);
    size_t n = files.n < 2000 ? files.n : 2000;
    decoding kinds[3] = {{.files = &files},
                         {.files = &files, .here = true},
                         {.files = &files, .describe = true}};
    double rate[3][3], described, cpu = 0;

    for (int run = 0; run < 3; run++)
        for (int kind = 0; kind < 3; kind++) {
            uint64_t start = akin_mono_ns();
            double before = process_seconds();
            akin_pool_each(pool, n, decode_one, &kinds[kind]);
            cpu += kind == 1 ? process_seconds() - before : 0;
            rate[kind][run] = (double)n / seconds_since(start);
        }
    akin_pool_close(pool);
    described = (double)kinds[2].nanoseconds / 1e9 / 3;
    return (rates){median3(rate[0]), median3(rate[1]),
                   (double)n * threads / described, 1e3 * cpu / 3 / (double)n};
}

/* ---- files to vectors ------------------------------------------------------------------- */

enum { GROUP = 64 };

typedef struct {
    akin_encoder *encoder;
    akin_queue *full, *empty; /* of pixels of GROUP pictures */
    float *out;
} encoding;

static void *encode_all(void *arg)
{
    encoding *e = arg;
    akin_error err;
    for (uint8_t *pixels; (pixels = akin_queue_pop(e->full));) {
        if (akin_encoder_images(e->encoder, pixels, GROUP, e->out, &err))
            die("encoder", &err);
        if (!akin_queue_push(e->empty, pixels)) exit(1);
    }
    return NULL;
}

/* Whole groups of pictures, again and again for five seconds at least. */
static double vectors_rate(const akin_model *model, uint32_t threads)
{
    const akin_model_info *m = akin_model_get_info(model);
    akin_encoder_options options = {.max_batch = 32, .threads = threads};
    akin_pool *pool = open_pool(threads);
    encoding e = {.out = akin_calloc(GROUP, m->dim * sizeof(float))};
    size_t bytes = (size_t)m->image_size * m->image_size * 3, n = 0;
    pthread_t thread;
    akin_error err;

    if (!e.out || akin_encoder_open(model, &options, &e.encoder, &err) ||
        akin_queue_open(3, &e.full, &err) || akin_queue_open(3, &e.empty, &err))
        exit(1);
    for (int i = 0; i < 3; i++)
        if (!akin_queue_push(e.empty, akin_calloc(GROUP, bytes))) exit(1);
    uint64_t start = akin_mono_ns();
    if (pthread_create(&thread, NULL, encode_all, &e)) exit(1);
    while (seconds_since(start) < 5) {
        decoding d = {.files = &files, .pixels = akin_queue_pop(e.empty)};
        d.first = n % (files.n - GROUP + 1);
        akin_pool_each(pool, GROUP, decode_one, &d);
        if (!akin_queue_push(e.full, d.pixels)) exit(1);
        n += GROUP;
    }
    akin_queue_close(e.full);
    pthread_join(thread, NULL);
    double rate = (double)n / seconds_since(start);
    for (int i = 0; i < 3; i++)
        akin_free(akin_queue_pop(e.empty));
    akin_queue_free(e.full);
    akin_queue_free(e.empty);
    akin_encoder_close(e.encoder);
    akin_pool_close(pool);
    akin_free(e.out);
    return rate;
}

/* ---- the whole pipeline ------------------------------------------------------------------ */

static double pipeline(const char *model, const char *pictures,
                       const char *threads)
{
    char *dir;
    akin_engine *engine = NULL;
    akin_config *config = NULL;
    akin_engine_stats stats;
    akin_report report;
    akin_error err;
    akin_ingest source = {.paths = &pictures, .npaths = 1};

    if (akin_dir_temporary("bench-pipeline", &dir, &err)) die("pipeline", &err);
    if (akin_config_open(&config, &err) ||
        akin_config_set(config, "threads", threads, &err))
        die("threads", &err);
    akin_engine_options options = {.data_dir = dir,
                                   .model_dir = model,
                                   .config = config,
                                   .load_model = true};
    if (akin_engine_open(&options, &engine, &err)) die("open", &err);
    double cpu = process_seconds();
    if (akin_engine_ingest(engine, "bench", &source, NULL, NULL, &report, &err))
        die("ingest", &err);
    cpu = process_seconds() - cpu;
    akin_engine_get_stats(engine, &stats);
    double n = (double)report.progress.added;
    double rate = n / report.seconds;
    printf("pipeline          %10.1f images/s   %.0f images in %.1f s, %llu "
           "failed\n",
           rate, n, report.seconds, (unsigned long long)report.progress.failed);
    printf("  encoder busy    %10.0f %%\n",
           100 * (double)stats.encoder_ns / 1e9 / report.seconds);
    printf("  rows a batch    %10.1f\n",
           (double)stats.encoder_items / (double)stats.encoder_batches);
    printf("  processor time  %10.3f ms an image, %.2f processors busy\n",
           1e3 * cpu / n, cpu / report.seconds);
    akin_report_clear(&report);
    akin_engine_close(engine);
    akin_config_close(config);
    (void)akin_dir_remove(dir, NULL);
    akin_free(dir);
    return rate;
}

int main(int argc, char **argv)
{
    akin_model *model;
    akin_error err;
    char threads_text[16];

    if (argc < 3) {
        fprintf(stderr,
                "usage: bench_pipeline MODEL_DIR PICTURES_DIR [threads]\n");
        return 2;
    }
    uint32_t threads =
        argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : akin_cpu_count();
    snprintf(threads_text, sizeof threads_text, "%u", threads);
    if (akin_model_open(argv[1], &model, &err)) die(argv[1], &err);
    const akin_model_info *info = akin_model_get_info(model);
    if (nftw(argv[2], add_path, 16, FTW_PHYS) || !files.n) {
        fprintf(stderr, "%s: no pictures\n", argv[2]);
        return 1;
    }
    double peak = gemm_gflops((int)threads);
    double flops = picture_flops(info) / 1e9;
    double ms, encoder = encoder_rate(model, threads, &ms);
    printf("model             %s, %u px, %.2f GFLOP an image, %u threads\n",
           info->name, info->image_size, flops, threads);
    printf("GEMM peak         %10.1f GFLOP/s  = %.1f images/s\n", peak,
           peak / flops);
    printf(
        "encoder alone     %10.1f images/s   %.0f %% of the peak, %.3f ms of "
        "processor time\n",
        encoder, 100 * encoder * flops / peak, ms);
    files.info = info;
    rates r = decode_rates(threads);
    double bound = 1 / (1 / r.here + 1 / encoder);
    printf("decoding alone    %10.1f images/s   %.1f with drawings rendered in "
           "this process, %.3f ms\n",
           r.all, r.here, r.ms);
    printf("describing alone  %10.1f images/s   hashes, thumbnail\n",
           r.describing);
    printf("bound             %10.1f images/s   of decoding and encoding\n",
           bound);
    printf("  and describing  %10.1f images/s\n",
           1 / (1 / bound + 1 / r.describing));
    if (files.n >= GROUP) {
        double vectors = vectors_rate(model, threads);
        printf("files to vectors  %10.1f images/s   %.2f of the encoder, %.2f "
               "of the bound\n",
               vectors, vectors / encoder, vectors / bound);
    }
    double rate = pipeline(argv[1], argv[2], threads_text);
    printf("pipeline/encoder  %10.2f\n", rate / encoder);
    printf("pipeline/bound    %10.2f   of decoding and encoding\n",
           rate / bound);
    akin_model_close(model);
    for (size_t i = 0; i < files.n; i++)
        akin_free(files.paths[i]);
    akin_free(files.paths);
    return 0;
}
