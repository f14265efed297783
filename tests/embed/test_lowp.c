/* bfloat16 and int8: row kernels against their plain loops, and embeddings close
 * enough to float32's. Where the processor lacks the instructions the second
 * part says so and passes. */
#include <stdarg.h>

#include "quantize.h"
#include "reference.h"

#define SEED 411u

static uint32_t random_state = SEED;

static float random_value(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (float)(random_state >> 8) / 8388608.0f - 1;
}

static const size_t sizes[] = {1, 15, 16, 33, 64, 768, 771};
#define SIZES (sizeof sizes / sizeof sizes[0])

static void quantizing(void **state)
{
    float x[771];
    uint8_t a[771], b[771];
    akin__affine zeros;

    (void)state;
    for (size_t s = 0; s < SIZES; s++) {
        for (int shift = -2; shift <= 2; shift++) {
            size_t n = sizes[s];
            akin__affine p, q;

            for (size_t i = 0; i < n; i++)
                x[i] = random_value() * 3 + (float)shift * 2;
            p = akin__quantize_row(a, x, n);
            q = akin__quantize_row_plain(b, x, n);
            assert_true(p.scale == q.scale && p.zero == q.zero);
            assert_in_range(p.zero, 0, 255);
            for (size_t i = 0; i < n; i++) {
                float back = p.scale * (float)(a[i] - p.zero);

                assert_true(abs(a[i] - b[i]) <= 1);
                assert_true(fabsf(back - x[i]) <= 0.51f * p.scale);
            }
        }
    }
    memset(x, 0, sizeof x); /* a row of zeros stays one */
    zeros = akin__quantize_row(a, x, 64);
    assert_int_equal(zeros.zero, a[5]);
}

static void quantizing_weights(void **state)
{
    float w[771], p, q;
    int8_t a[771], b[771];
    int32_t m, n;

    (void)state;
    for (size_t s = 0; s < SIZES; s++) {
        for (size_t i = 0; i < sizes[s]; i++)
            w[i] = random_value() * 0.1f;
        assert_true(akin__all_finite(w, sizes[s]));
        akin__quantize_weights(a, w, sizes[s], &p, &m);
        akin__quantize_weights_plain(b, w, sizes[s], &q, &n);
        assert_true(p == q && abs(m - n) <= 2);
        for (size_t i = 0; i < sizes[s]; i++) {
            assert_true(abs(a[i] - b[i]) <= 1);
            assert_true(fabsf((float)a[i] * p - w[i]) <= 0.51f * p);
        }
        w[sizes[s] - 1] = NAN;
        assert_false(akin__all_finite(w, sizes[s]));
        w[sizes[s] - 1] = INFINITY;
        assert_false(akin__all_finite(w, sizes[s]));
    }
}

static void to_bf16(void **state)
{
    float x[771];
    uint16_t a[771], b[771];

    (void)state;
    for (size_t s = 0; s < SIZES; s++) {
        for (size_t i = 0; i < sizes[s]; i++)
            x[i] = random_value() * 1000;
        akin__to_bf16(a, x, sizes[s]);
        akin__to_bf16_plain(b, x, sizes[s]);
        assert_memory_equal(a, b, sizes[s] * sizeof *a);
    }
    x[0] = 1.00390625f; /* half way: to even, down */
    x[1] = 1.01171875f; /* half way: to even, up */
    akin__to_bf16(a, x, 2);
    assert_int_equal(a[0], 0x3f80);
    assert_int_equal(a[1], 0x3f82);
}

static void finishing(void **state)
{
    static const akin__act acts[] = {AKIN__ACT_NONE, AKIN__QUICK_GELU,
                                     AKIN__GELU, AKIN__GELU_TANH};
    float scale[771], bias[771], values[771], a[771], b[771];
    int32_t acc[771], sums[771];
    akin__affine affine = {0.01f, 100};

    (void)state;
    for (size_t i = 0; i < 771; i++) {
        scale[i] = 0.001f + 0.001f * fabsf(random_value());
        bias[i] = random_value();
        values[i] = random_value() * 5;
        sums[i] = (int32_t)(random_value() * 1000);
        acc[i] = affine.zero * sums[i] + (int32_t)(random_value() * 100000);
    }
    for (size_t k = 0; k < 5 * SIZES; k++) {
        size_t n = sizes[k % SIZES], act = k / SIZES;
        akin__finish f = {scale, sums, k % 2 ? bias : NULL, acts[act % 4],
                          act == 4};

        for (int type = 0; type < 2; type++) {
            for (size_t i = 0; i < n; i++)
                a[i] = b[i] = random_value();
            if (type) {
                akin__finish_int8(a, acc, n, affine, &f);
                akin__finish_int8_plain(b, acc, n, affine, &f);
            } else {
                akin__finish_f32(a, values, n, &f);
                akin__finish_f32_plain(b, values, n, &f);
            }
            for (size_t i = 0; i < n; i++)
                assert_true(fabsf(a[i] - b[i]) < 5e-6f);
        }
    }
}

/* Lowest cosine to the reference over all pictures and texts of a model. */
static double lowest_cosine(const char *root, const char *name,
                            const char *pixels_file, akin_precision precision)
{
    akin_encoder_options options = {.threads = 2, .precision = precision};
    akin_model *model =
        reference_model(reference_path(root, "models/%s", name));
    const akin_model_info *info = akin_model_get_info(model);
    akin_encoder *encoder = NULL;
    size_t bytes, n, dim = info->dim;
    uint8_t *pixels =
        reference_read(reference_path(root, "images/%s", pixels_file), &bytes);
    float *want = reference_read(
        reference_path(root, "embeddings/%s.image.f32", name), &bytes);
    float *got = akin_calloc(64 * dim, sizeof *got);
    int32_t *ids;
    uint32_t counts[64];
    double lowest = 1;
    akin_error err;

    if (akin_encoder_open(model, &options, &encoder, &err))
        fail_msg("%s", err.message);
    assert_int_equal(akin_encoder_precision(encoder), precision);
    n = bytes / dim / sizeof *want;
    assert_int_equal(akin_encoder_images(encoder, pixels, n, got, &err), 0);
    for (size_t i = 0; i < n; i++)
        lowest =
            fmin(lowest, reference_cosine(got + i * dim, want + i * dim, dim));
    akin_free(want);
    want = reference_read(reference_path(root, "embeddings/%s.text.f32", name),
                          &bytes);
    ids = reference_read(
        reference_path(root, "embeddings/%s.input_ids.i32", name), &bytes);
    n = bytes / 4 / info->context;
    for (size_t i = 0; i < n; i++)
        counts[i] = info->context;
    assert_int_equal(
        akin_encoder_ids(encoder, ids, info->context, counts, n, got, &err), 0);
    for (size_t i = 0; i < n; i++)
        lowest =
            fmin(lowest, reference_cosine(got + i * dim, want + i * dim, dim));
    akin_free(ids);
    akin_free(want);
    akin_free(got);
    akin_free(pixels);
    akin_encoder_close(encoder);
    akin_model_close(model);
    printf("%s, %s: lowest cosine to float32 %.5f\n", name,
           akin_precision_name(precision), lowest);
    return lowest;
}

/* false after saying so when the processor cannot. */
static bool can(akin_precision precision)
{
    if (akin__lowp_supported(precision)) return true;
    printf("skipped: this processor has no %s\n",
           akin_precision_name(precision));
    return false;
}

static void embeddings(void **state)
{
    static const struct {
        const char *model, *pixels;
    } cases[] = {
        {"tiny-quickgelu", "pixels_32.u8"},
        {"tiny-gelu", "pixels_64.u8"},
        {"tiny-fullvocab", "pixels_32.u8"},
        {"tiny-siglip", "pixels_siglip_32.u8"},
    };
    const char *full = reference_full();

    (void)state;
    for (size_t i = 0; i < (full ? 4 : 1); i++) {
        const char *root = full ? full : REFERENCE_SMALL;

        if (can(AKIN_PRECISION_BF16))
            assert_true(lowest_cosine(root, cases[i].model, cases[i].pixels,
                                      AKIN_PRECISION_BF16) > 0.9995);
        if (can(AKIN_PRECISION_INT8))
            assert_true(lowest_cosine(root, cases[i].model, cases[i].pixels,
                                      AKIN_PRECISION_INT8) > 0.997);
    }
}

static akin_encoder *open_with(const akin_model *model,
                               akin_precision precision)
{
    akin_encoder_options options = {.precision = precision};
    akin_encoder *encoder = NULL;
    akin_error err;

    if (akin_encoder_open(model, &options, &encoder, &err))
        fail_msg("%s", err.message);
    return encoder;
}

/* A text of any length comes out alone as it does among others, though products
 * of each number of rows are other ones. */
static void every_length(void **state)
{
    akin_model *model =
        reference_model(REFERENCE_SMALL "/models/tiny-quickgelu");
    const akin_model_info *info = akin_model_get_info(model);
    size_t n = info->context, dim = info->dim;
    int32_t *ids = akin_calloc(n * n, sizeof *ids);
    uint32_t *counts = akin_calloc(n, sizeof *counts);
    float *together = akin_calloc(n * dim, sizeof *together);
    float *alone = akin_calloc(dim, sizeof *alone);
    akin_error err;

    (void)state;
    for (size_t i = 0; i < n; i++) { /* BOS, arbitrary ones, EOS */
        counts[i] = (uint32_t)i + 1;
        for (size_t k = 0; k < i; k++)
            ids[i * n + k] = k ? (int32_t)((i * 31 + k * 17) % 1500) : 1512;
        ids[i * n + i] = 1513;
    }
    for (int p = AKIN_PRECISION_F32; p <= AKIN_PRECISION_INT8; p++) {
        akin_encoder *e;

        if (!akin__lowp_supported((akin_precision)p)) continue;
        e = open_with(model, (akin_precision)p);
        assert_int_equal(akin_encoder_ids(e, ids, n, counts, n, together, &err),
                         0);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(
                akin_encoder_ids(e, ids + i * n, n, counts + i, 1, alone, &err),
                0);
            for (size_t k = 0; k < dim; k++)
                assert_true(fabsf(alone[k] - together[i * dim + k]) < 1e-5f);
        }
        akin_encoder_close(e);
    }
    akin_free(ids);
    akin_free(counts);
    akin_free(together);
    akin_free(alone);
    akin_model_close(model);
}

/* AUTO takes nothing below the bound; the fingerprint is the model's exactly
 * where the bound holds; the second open reads what the first measured. */
static void choosing(void **state)
{
    akin_model *model =
        reference_model(REFERENCE_SMALL "/models/tiny-quickgelu");
    const uint8_t *own = akin_model_get_info(model)->fingerprint_bytes;
    akin_encoder *e = open_with(model, AKIN_PRECISION_AUTO), *again;

    (void)state;
    assert_int_not_equal(akin_encoder_precision(e), AKIN_PRECISION_AUTO);
    assert_true(akin_encoder_cosine(e) >= AKIN_PRECISION_COSINE);
    assert_memory_equal(akin_encoder_fingerprint(e), own, AKIN_SHA256_BYTES);
    printf("auto: %s\n", akin_precision_name(akin_encoder_precision(e)));
    again = open_with(model, AKIN_PRECISION_AUTO);
    assert_true(fabsf(akin_encoder_cosine(e) - akin_encoder_cosine(again)) <
                1e-6f);
    akin_encoder_close(e);
    akin_encoder_close(again);
    for (int p = AKIN_PRECISION_F32; p <= AKIN_PRECISION_INT8; p++) {
        if (!akin__lowp_supported((akin_precision)p)) continue;
        e = open_with(model, (akin_precision)p);
        assert_int_equal(akin_encoder_precision(e), p);
        assert_true(
            (memcmp(akin_encoder_fingerprint(e), own, AKIN_SHA256_BYTES) ==
             0) == (akin_encoder_cosine(e) >= AKIN_PRECISION_COSINE));
        akin_encoder_close(e);
    }
    akin_model_close(model);
}

/* A cache file of any content changes nothing but time. */
static void damaged_cache(void **state)
{
    static const char *const contents[] = {
        "", "akin precision 1\n", "akin precision 1\nint8 nan\nbf16 7\n",
        "akin precision 9\nint8 1.0\n", "int8 1.0\n"};
    akin_model *model =
        reference_model(REFERENCE_SMALL "/models/tiny-quickgelu");
    char path[1300];
    akin_encoder *e = open_with(model, AKIN_PRECISION_AUTO);
    akin_precision want = akin_encoder_precision(e);

    (void)state;
    akin_encoder_close(e);
    snprintf(path, sizeof path, "%s/akin/precision-%.32s",
             getenv("XDG_CACHE_HOME"), akin_model_get_info(model)->fingerprint);
    for (size_t i = 0; i < 5; i++) {
        FILE *file = fopen(path, "w");

        if (!file) fail_msg("no %s", path);
        fputs(contents[i], file);
        fclose(file);
        e = open_with(model, AKIN_PRECISION_AUTO);
        assert_int_equal(akin_encoder_precision(e), want);
        akin_encoder_close(e);
    }
    akin_model_close(model);
}

static char *cache;

static int setup(void **state)
{
    (void)state;
    if (akin_dir_temporary("akin-cache", &cache, NULL)) return -1;
    return setenv("XDG_CACHE_HOME", cache, 1);
}

static int teardown(void **state)
{
    (void)state;
    akin_status rc = akin_dir_remove(cache, NULL);
    akin_free(cache);
    return rc ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantizing),    cmocka_unit_test(quantizing_weights),
        cmocka_unit_test(to_bf16),       cmocka_unit_test(finishing),
        cmocka_unit_test(embeddings),    cmocka_unit_test(choosing),
        cmocka_unit_test(damaged_cache), cmocka_unit_test(every_length),
    };

    printf("seed %u\n", SEED);
    return cmocka_run_group_tests(tests, setup, teardown);
}
