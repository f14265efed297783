/* Ingest beside its parts: how fast a folder becomes searchable, beside the
 * encoder alone, decoding alone, and the GEMM peak of this machine.
 *
 *     bench_pipeline MODEL_DIR PICTURES_DIR [threads]
 *
 * Encoding should be the only bottleneck: "pipeline / encoder" near 1 says that
 * decoding, hashing and the disk hide behind it; for a small model decoding is
 * the larger work, and the bound is where both together fill the processors. A
 * row is the median of three runs where it can be repeated. */
#include "akin_embed.h"
#include "akin_engine.h"

#include <cblas.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static double encoder_rate(const akin_model *model, uint32_t threads)
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
    for (int run = 0; run < 3; run++) {
        uint64_t start = akin_mono_ns();
        size_t n = 0;
        for (; seconds_since(start) < 2; n += BATCH)
            if (akin_encoder_images(encoder, pixels, BATCH, out, &err))
                die("encoder", &err);
        rate[run] = (double)n / seconds_since(start);
    }
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

static void decode_one(void *arg, size_t i)
{
    const listing *l = arg;
    const akin_model_info *m = l->info;
    akin_picture_options options = {.shrink_to = m->resize_edge};
    akin_picture_transform transform = {m->resize, m->resize_edge,
                                        m->image_size};
    akin_picture picture = {0};
    uint8_t *bytes = NULL;
    size_t size;
    uint8_t *pixels = akin_alloc((size_t)m->image_size * m->image_size * 3);
    if (pixels && !akin_file_read(l->paths[i], 1u << 28, &bytes, &size, NULL) &&
        !akin_picture_decode((akin_span){bytes, size}, &options, &picture,
                             NULL))
        (void)akin_picture_prepare(&picture, &transform, pixels, NULL);
    akin_picture_clear(&picture);
    akin_free(bytes);
    akin_free(pixels);
}

static double decode_rate(const akin_model_info *info, uint32_t threads)
{
    akin_pool *pool = NULL;
    akin_error err;
    size_t n = files.n < 2000 ? files.n : 2000;
    files.info = info;
    if (akin_pool_open(threads, 0, "decode", &pool, &err)) die("pool", &err);
    uint64_t start = akin_mono_ns();
    akin_pool_each(pool, n, decode_one, &files);
    double rate = (double)n / seconds_since(start);
    akin_pool_close(pool);
    return rate;
}

/* ---- the whole pipeline ------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void pipeline(const char *model, const char *pictures,
                     const char *threads, double encoder)
{
    char dir[] = "/tmp/akin-bench-XXXXXX";
    akin_engine *engine = NULL;
    akin_config *config = NULL;
    akin_engine_stats stats;
    akin_report report;
    akin_error err;
    akin_ingest source = {.paths = &pictures, .npaths = 1};

    if (!mkdtemp(dir)) exit(1);
    if (akin_config_open(&config, &err) ||
        akin_config_set(config, "threads", threads, &err))
        die("threads", &err);
    akin_engine_options options = {.data_dir = dir,
                                   .model_dir = model,
                                   .config = config,
                                   .load_model = true};
    if (akin_engine_open(&options, &engine, &err)) die("open", &err);
    if (akin_engine_ingest(engine, "bench", &source, NULL, NULL, &report, &err))
        die("ingest", &err);
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
    printf("  decoding        %10.1f thread-s\n",
           (double)stats.decode_ns / 1e9);
    printf("pipeline/encoder  %10.2f\n", rate / encoder);
    akin_report_clear(&report);
    akin_engine_close(engine);
    akin_config_close(config);
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
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
    double encoder = encoder_rate(model, threads);
    printf("model             %s, %u px, %.2f GFLOP an image, %u threads\n",
           info->name, info->image_size, flops, threads);
    printf("GEMM peak         %10.1f GFLOP/s  = %.1f images/s\n", peak,
           peak / flops);
    printf("encoder alone     %10.1f images/s   %.0f %% of the peak\n", encoder,
           100 * encoder * flops / peak);
    printf("decoding alone    %10.1f images/s\n", decode_rate(info, threads));
    pipeline(argv[1], argv[2], threads_text, encoder);
    akin_model_close(model);
    for (size_t i = 0; i < files.n; i++)
        akin_free(files.paths[i]);
    akin_free(files.paths);
    return 0;
}
