/* The starter model against what PyTorch computes from the same weights
 * (tests/data/starter/README.md): ids, text and picture embeddings. Pictures go
 * through decoding and scaling too, so this is the way of a user's picture. */
#include <stdarg.h>

#include "reference.h"

#define STARTER AKIN_TESTS "/data/starter"

static void texts(void **state)
{
    akin_model *model = reference_model(AKIN_SOURCE "/models/starter");
    akin_encoder *encoder = reference_encoder(model, 1, 4);
    size_t dim = akin_model_get_info(model)->dim, bytes, n = 0;
    float *want = reference_read(STARTER "/texts.f32", &bytes);
    float *got = akin_calloc(dim, sizeof *got);
    FILE *file = fopen(STARTER "/texts.tsv", "r");
    char line[4096];

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        char *tab = strchr(line, '\t'), *next = tab + 1;
        akin_span text;
        int32_t ids[77];
        uint32_t count = 0, i = 0;
        akin_error err;

        if (line[0] == '#' && n == 0 && strncmp(line, "#text\t", 6) == 0)
            continue;
        *tab = 0;
        text = akin_span_of(line);
        assert_int_equal(
            akin_model_tokenize(model, text, ids, 77, &count, &err), 0);
        while (*next && *next != '\n') {
            assert_true(i < count);
            assert_int_equal(ids[i++], strtol(next, &next, 10));
        }
        assert_int_equal(i, count);
        assert_int_equal(akin_encoder_texts(encoder, &text, 1, got, &err), 0);
        assert_true((n + 1) * dim * sizeof *want <= bytes);
        assert_true(reference_cosine(got, want + n * dim, dim) > 0.9999);
        n++;
    }
    assert_int_equal(n * dim * sizeof *want, bytes);
    fclose(file);
    akin_free(want);
    akin_free(got);
    akin_encoder_close(encoder);
    akin_model_close(model);
}

static void embed_file(const akin_model *model, akin_encoder *encoder,
                       const char *path, float *out)
{
    const akin_model_info *info = akin_model_get_info(model);
    akin_picture_transform transform = {info->resize, info->resize_edge,
                                        info->image_size};
    size_t bytes, S = info->image_size;
    void *data = reference_read(path, &bytes);
    uint8_t *pixels = akin_alloc(S * S * 3);
    akin_picture picture;
    akin_error err;

    assert_int_equal(
        akin_picture_decode((akin_span){data, bytes}, NULL, &picture, &err), 0);
    assert_int_equal(akin_picture_prepare(&picture, &transform, pixels, &err),
                     0);
    assert_int_equal(akin_encoder_images(encoder, pixels, 1, out, &err), 0);
    akin_picture_clear(&picture);
    akin_free(pixels);
    akin_free(data);
}

static void pictures(void **state)
{
    akin_model *model = reference_model(AKIN_SOURCE "/models/starter");
    akin_encoder *encoder = reference_encoder(model, 1, 4);
    size_t dim = akin_model_get_info(model)->dim, bytes, n = 0;
    float *want = reference_read(STARTER "/images.f32", &bytes);
    float *got = akin_calloc(dim, sizeof *got);
    FILE *file = fopen(STARTER "/images.tsv", "r");
    char line[512];

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#') continue;
        line[strcspn(line, "\t")] = 0;
        embed_file(model, encoder, reference_path(STARTER, "%s", line), got);
        assert_true((n + 1) * dim * sizeof *want <= bytes);
        if (reference_cosine(got, want + n * dim, dim) <= 0.9999)
            fail_msg("%s: cosine %g", line,
                     reference_cosine(got, want + n * dim, dim));
        n++;
    }
    assert_int_equal(n * dim * sizeof *want, bytes);
    fclose(file);
    akin_free(want);
    akin_free(got);
    akin_encoder_close(encoder);
    akin_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(pictures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
