/* Embeddings against the reference: every model, both towers, both conventions
 * for the end of a text; any batch and thread count gives the same. */
#include <stdarg.h>

#include "encoder.h"
#include "reference.h"

/* Prints and checks the distance of n rows: before normalising max abs 3e-5,
 * cosine above 0.999999. */
static void compare(const char *what, const float *got, const float *want,
                    size_t n, size_t dim)
{
    double worst = 0, lowest = 1;

    for (size_t i = 0; i < n; i++) {
        double cosine = reference_cosine(got + i * dim, want + i * dim, dim);

        lowest = cosine < lowest ? cosine : lowest;
        for (size_t k = 0; k < dim; k++) {
            double d = fabs((double)got[i * dim + k] - want[i * dim + k]);

            worst = d > worst || d != d ? d : worst;
        }
    }
    printf("%s: %zu rows, max abs %.2g, lowest cosine 1 - %.2g\n", what, n,
           worst, 1 - lowest);
    assert_true(worst <= 3e-5);
    assert_true(lowest > 0.999999);
}

/* The picture rows of a model; pixels: file in images/. */
static void check_images(const char *root, const char *name,
                         const char *goldens, const char *pixels_file)
{
    akin_model *model =
        reference_model(reference_path(root, "models/%s", name));
    const akin_model_info *info = akin_model_get_info(model);
    akin_encoder *encoder = reference_encoder(model, 2, 16);
    size_t pixel_bytes, golden_bytes, n;
    uint8_t *pixels = reference_read(
        reference_path(root, "images/%s", pixels_file), &pixel_bytes);
    float *want =
        reference_read(reference_path(root, "embeddings/%s.image.f32", goldens),
                       &golden_bytes);
    float *got = akin_calloc(golden_bytes, 1);
    akin_error err;

    n = pixel_bytes / (3 * info->image_size * info->image_size);
    assert_int_equal(n * info->dim * sizeof *want, golden_bytes);
    assert_int_equal(akin_encoder_images_raw(encoder, pixels, n, got, &err), 0);
    compare(reference_path(name, "%s", "pictures"), got, want, n, info->dim);
    akin_free(pixels);
    akin_free(want);
    akin_free(got);
    akin_encoder_close(encoder);
    akin_model_close(model);
}

/* Rows of token ids, padded to `context`; counts are what is before the padding,
 * or all. */
static void check_ids(const char *root, const char *name, const char *ids_path,
                      const char *golden_path)
{
    akin_model *model =
        reference_model(reference_path(root, "models/%s", name));
    const akin_model_info *info = akin_model_get_info(model);
    akin_encoder *encoder = reference_encoder(model, 2, 16);
    size_t id_bytes, golden_bytes, n;
    int32_t *ids = reference_read(ids_path, &id_bytes);
    float *want = reference_read(golden_path, &golden_bytes);
    float *got = akin_calloc(golden_bytes, 1);
    uint32_t *counts;
    akin_error err;

    n = id_bytes / (4 * info->context);
    assert_int_equal(n * info->dim * sizeof *want, golden_bytes);
    counts = akin_calloc(n, sizeof *counts);
    for (size_t i = 0; i < n; i++)
        counts[i] = info->context;
    assert_int_equal(
        akin_encoder_ids_raw(encoder, ids, info->context, counts, n, got, &err),
        0);
    compare(reference_path(name, "%s", "texts"), got, want, n, info->dim);
    akin_free(counts);
    akin_free(ids);
    akin_free(want);
    akin_free(got);
    akin_encoder_close(encoder);
    akin_model_close(model);
}

static void small_set(void **state)
{
    const char *root = REFERENCE_SMALL;

    (void)state;
    check_images(root, "tiny-quickgelu", "tiny-quickgelu", "pixels_32.u8");
    check_ids(root, "tiny-quickgelu",
              REFERENCE_SMALL "/embeddings/tiny-quickgelu.input_ids.i32",
              REFERENCE_SMALL "/embeddings/tiny-quickgelu.text.f32");
}

static void whole_set(void **state)
{
    static const struct {
        const char *model, *goldens, *pixels;
    } cases[] = {
        {"tiny-quickgelu", "tiny-quickgelu", "pixels_32.u8"},
        {"tiny-quickgelu-openclip", "tiny-quickgelu", "pixels_32.u8"},
        {"tiny-gelu", "tiny-gelu", "pixels_64.u8"},
        {"tiny-gelu-legacy-eos", "tiny-gelu", "pixels_64.u8"},
        {"tiny-fullvocab", "tiny-fullvocab", "pixels_32.u8"},
        {"tiny-siglip", "tiny-siglip", "pixels_siglip_32.u8"},
    };
    const char *root = reference_full();

    (void)state;
    for (size_t i = 0; root && i < sizeof cases / sizeof cases[0]; i++) {
        check_images(root, cases[i].model, cases[i].goldens, cases[i].pixels);
        check_ids(
            root, cases[i].model,
            reference_path(root, "embeddings/%s.input_ids.i32",
                           cases[i].goldens),
            reference_path(root, "embeddings/%s.text.f32", cases[i].goldens));
    }
}

static double furthest(const float *a, const float *b, size_t n)
{
    double worst = 0;

    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - b[i]);

        worst = d > worst || d != d ? d : worst;
    }
    return worst;
}

/* Unit vectors of all pictures and texts, and every logit: the exponentiated
 * scale times the cosine, plus SigLIP's bias. */
static void check_logits(const char *root, const char *name, const char *pixels,
                         bool unit)
{
    akin_model *model =
        reference_model(reference_path(root, "models/%s", name));
    const akin_model_info *info = akin_model_get_info(model);
    akin_encoder *encoder = reference_encoder(model, 2, 16);
    size_t bytes, n, m, dim = info->dim, context = info->context;
    uint8_t *images =
        reference_read(reference_path(root, "images/%s", pixels), &bytes);
    float *pictures, *texts, *want;
    uint32_t *counts;
    int32_t *ids;
    double worst = 0;
    akin_error err;

    n = bytes / (3 * info->image_size * info->image_size);
    pictures = akin_calloc(n * dim, sizeof *pictures);
    assert_int_equal(akin_encoder_images(encoder, images, n, pictures, &err),
                     0);
    ids = reference_read(
        reference_path(root, "embeddings/%s.input_ids.i32", name), &bytes);
    m = bytes / (4 * context);
    counts = akin_calloc(m, sizeof *counts);
    texts = akin_calloc(m * dim, sizeof *texts);
    for (size_t i = 0; i < m; i++)
        counts[i] = info->context;
    assert_int_equal(
        akin_encoder_ids(encoder, ids, context, counts, m, texts, &err), 0);
    if (unit) {
        want = reference_read(
            reference_path(root, "embeddings/%s.image_norm.f32", name), &bytes);
        assert_int_equal(bytes, n * dim * sizeof *want);
        assert_true(furthest(pictures, want, n * dim) <= 1e-5);
        akin_free(want);
        want = reference_read(
            reference_path(root, "embeddings/%s.text_norm.f32", name), &bytes);
        assert_int_equal(bytes, m * dim * sizeof *want);
        assert_true(furthest(texts, want, m * dim) <= 1e-5);
        akin_free(want);
    }
    want = reference_read(
        reference_path(root, "embeddings/%s.logits_per_image.f32", name),
        &bytes);
    assert_int_equal(bytes, n * m * sizeof *want);
    for (size_t i = 0; i < n * m; i++) {
        double dot = 0;

        for (size_t k = 0; k < dim; k++)
            dot += (double)pictures[i / m * dim + k] * texts[i % m * dim + k];
        dot = info->logit_scale * dot + info->logit_bias;
        worst = fmax(worst, fabs(dot - want[i]));
    }
    printf("%s: %zu logits, max abs %.2g\n", name, n * m, worst);
    assert_true(worst <= 1e-3);
    assert_true(info->sigmoid == (info->logit_bias != 0));
    akin_free(want);
    akin_free(images);
    akin_free(ids);
    akin_free(counts);
    akin_free(pictures);
    akin_free(texts);
    akin_encoder_close(encoder);
    akin_model_close(model);
}

static void logits(void **state)
{
    const char *root = reference_full();

    (void)state;
    if (!root) return;
    check_logits(root, "tiny-quickgelu", "pixels_32.u8", true);
    check_logits(root, "tiny-gelu", "pixels_64.u8", true);
    check_logits(root, "tiny-fullvocab", "pixels_32.u8", true);
    check_logits(root, "tiny-siglip", "pixels_siglip_32.u8", false);
}

/* What the network sees of the 8-bit pixels. want: picture x RGB x row x column.
 */
static void check_pixel_values(const akin_encoder *e, const uint8_t *pixels,
                               const float *want, size_t S)
{
    for (size_t c = 0; c < 3; c++) {
        for (size_t i = 0; i < S * S; i++)
            assert_true(fabsf(e->table[c * 256 + pixels[3 * i + c]] -
                              want[c * S * S + i]) <= 1e-6f);
    }
}

static void pixel_values(void **state)
{
    const char *root = reference_full();
    size_t bytes, count, S = 32;
    akin_model *model;
    akin_encoder *e;
    uint8_t *pixels;
    float *want;

    (void)state;
    if (!root) return;
    model =
        reference_model(reference_path(root, "models/%s", "tiny-quickgelu"));
    e = reference_encoder(model, 1, 1);
    pixels = reference_read(reference_path(root, "images/%s", "pixels_32.u8"),
                            &count);
    want = reference_read(
        reference_path(root, "images/%s", "pixel_values_32.f32"), &bytes);
    assert_int_equal(bytes, count * sizeof *want);
    for (size_t at = 0; at < count; at += 3 * S * S)
        check_pixel_values(e, pixels + at, want + at, S);
    akin_free(pixels);
    akin_free(want);
    akin_encoder_close(e);
    akin_model_close(model);
}

/* Eight id sequences that tell the two conventions apart. */
static void end_of_text(void **state)
{
    static const char *const models[] = {"tiny-gelu", "tiny-gelu-legacy-eos"};
    const char *root = reference_full();

    (void)state;
    for (size_t i = 0; root && i < 2; i++)
        check_ids(root, models[i],
                  reference_path(root, "%s", "eos/input_ids.i32"),
                  reference_path(root, "eos/%s.text.f32", models[i]));
}

/* From strings to unit vectors, and logits from those. */
static void texts_to_unit_vectors(void **state)
{
    const char *root = REFERENCE_SMALL;
    akin_model *model =
        reference_model(reference_path(root, "models/%s", "tiny-quickgelu"));
    size_t dim = akin_model_get_info(model)->dim, bytes, n = 0;
    akin_encoder *encoder = reference_encoder(model, 2, 16);
    float *want = reference_read(
        reference_path(root, "embeddings/%s.text.f32", "tiny-quickgelu"),
        &bytes);
    float *got = akin_calloc(bytes, 1);
    FILE *file = fopen(reference_path(root, "%s", "texts/texts.tsv"), "r");
    static char lines[61][4096];
    akin_span texts[61];
    akin_error err;

    (void)state;
    assert_non_null(file);
    while (n < 61 && fgets(lines[n], sizeof lines[n], file)) {
        char *hex = strchr(lines[n], '\t') + 1;

        if (lines[n][0] == '#') continue;
        hex[strcspn(hex, "\t\n")] = 0;
        texts[n] = (akin_span){hex, reference_unhex(hex)};
        n++;
    }
    fclose(file);
    assert_int_equal(n * dim * sizeof *want, bytes);
    assert_int_equal(akin_encoder_texts(encoder, texts, n, got, &err), 0);
    for (size_t i = 0; i < n; i++) {
        double length = 0, worst = 0, norm = 0;

        for (size_t k = 0; k < dim; k++) {
            length += (double)got[i * dim + k] * got[i * dim + k];
            norm += (double)want[i * dim + k] * want[i * dim + k];
        }
        assert_true(fabs(length - 1) < 1e-5);
        for (size_t k = 0; k < dim; k++)
            worst = fmax(
                worst, fabs(got[i * dim + k] - want[i * dim + k] / sqrt(norm)));
        assert_true(worst < 1e-5);
    }
    akin_free(want);
    akin_free(got);
    akin_encoder_close(encoder);
    akin_model_close(model);
}

/* Any split into batches and threads, bit for bit. */
static void same_for_any_batch(void **state)
{
    static const uint32_t shapes[][2] = {{1, 1}, {1, 3}, {3, 5}, {4, 1024}};
    const char *root = REFERENCE_SMALL;
    akin_model *model =
        reference_model(reference_path(root, "models/%s", "tiny-quickgelu"));
    size_t bytes, n = 8, dim = akin_model_get_info(model)->dim;
    uint8_t *pixels = reference_read(
        reference_path(root, "images/%s", "pixels_32.u8"), &bytes);
    float first[8 * 32] = {0}, again[8 * 32] = {0};
    akin_error err;

    (void)state;
    assert_int_equal(dim, 32);
    for (size_t i = 0; i < 4; i++) {
        akin_encoder *encoder =
            reference_encoder(model, shapes[i][0], shapes[i][1]);

        assert_int_equal(
            akin_encoder_images(encoder, pixels, n, i ? again : first, &err),
            0);
        for (size_t k = 0; i && k < n * dim; k++)
            assert_true(fabsf(first[k] - again[k]) < 1e-5f);
        akin_encoder_close(encoder);
    }
    akin_free(pixels);
    akin_model_close(model);
}

static void wrong_arguments(void **state)
{
    akin_model *model =
        reference_model(REFERENCE_SMALL "/models/tiny-quickgelu");
    akin_encoder *encoder = reference_encoder(model, 1, 4);
    akin_encoder_options options = {.max_batch = 100000};
    int32_t ids[77] = {1512, 5, 1513};
    uint32_t count = 3;
    float out[32];
    akin_encoder *none = NULL;
    akin_error err;

    (void)state;
    assert_int_equal(akin_encoder_ids(encoder, ids, 77, &count, 1, out, &err),
                     0);
    ids[1] = 1514;
    assert_int_equal(akin_encoder_ids(encoder, ids, 77, &count, 1, out, &err),
                     AKIN_INVALID);
    ids[1] = -1;
    assert_int_equal(akin_encoder_ids(encoder, ids, 77, &count, 1, out, &err),
                     AKIN_INVALID);
    ids[1] = 5;
    count = 78;
    assert_int_equal(akin_encoder_ids(encoder, ids, 78, &count, 1, out, &err),
                     AKIN_INVALID);
    count = 0;
    assert_int_equal(akin_encoder_ids(encoder, ids, 77, &count, 1, out, &err),
                     AKIN_INVALID);
    assert_int_equal(akin_encoder_open(model, &options, &none, &err),
                     AKIN_INVALID);
    assert_null(none);
    assert_int_equal(akin_encoder_texts(encoder, NULL, 0, out, &err), AKIN_OK);
    akin_encoder_close(encoder);
    akin_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_set),
        cmocka_unit_test(whole_set),
        cmocka_unit_test(end_of_text),
        cmocka_unit_test(logits),
        cmocka_unit_test(pixel_values),
        cmocka_unit_test(texts_to_unit_vectors),
        cmocka_unit_test(same_for_any_batch),
        cmocka_unit_test(wrong_arguments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
