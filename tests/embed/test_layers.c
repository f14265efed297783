/* Every intermediate result of one picture and one text, in the order of
 * computation, so that the first failure names the stage. Needs the whole
 * reference. Within 3e-5 of the largest value of each array. */
#include <stdarg.h>

#include "encoder.h"
#include "reference.h"

typedef struct {
    const char *root;
    size_t stages;
} layers_check;

static void check_stage(void *user, const char *tower, const char *stage,
                        const float *data, size_t rows, size_t cols, size_t ld)
{
    layers_check *check = user;
    bool turned = strcmp(stage, "00_patch_conv") == 0; /* channel first there */
    char name[128];
    size_t bytes;
    float *want;
    double most = 0, worst = 0;

    snprintf(name, sizeof name, "%s.%s", tower, stage);
    want = reference_read(reference_path(check->root, "layers/%s.f32", name),
                          &bytes);
    if (bytes != rows * cols * sizeof *want)
        fail_msg("%s: %zu x %zu values, expected %zu", name, rows, cols,
                 bytes / sizeof *want);
    for (size_t r = 0; r < rows; r++) {
        for (size_t c = 0; c < cols; c++) {
            float w = turned ? want[c * rows + r] : want[r * cols + c];
            double d = fabs((double)data[r * ld + c] - w);

            most = fmax(most, fabs(w));
            worst = d > worst || d != d ? d : worst;
        }
    }
    if (!(worst <= 3e-5 * most))
        fail_msg("%s: off by %g, largest value %g", name, worst, most);
    akin_free(want);
    check->stages++;
}

static void every_layer(void **state)
{
    const char *root = reference_full();
    layers_check check = {root, 0};
    akin_model *model;
    akin_encoder *encoder;
    uint8_t *pixels;
    size_t bytes;
    int32_t ids[77];
    uint32_t count = 0;
    float out[32];
    akin_error err;

    (void)state;
    if (!root) return;
    model =
        reference_model(reference_path(root, "models/%s", "tiny-quickgelu"));
    encoder = reference_encoder(model, 1, 1);
    akin__encoder_trace(encoder, check_stage, &check);
    pixels = reference_read(reference_path(root, "images/%s", "pixels_32.u8"),
                            &bytes);
    assert_int_equal(akin_encoder_images_raw(encoder, pixels, 1, out, &err), 0);
    assert_int_equal(check.stages, 3 + 3 * 12 + 2);
    check.stages = 0;
    assert_int_equal(akin_model_tokenize(model,
                                         akin_span_of("a photo of a cat"), ids,
                                         77, &count, &err),
                     0);
    assert_int_equal(
        akin_encoder_ids_raw(encoder, ids, 77, &count, 1, out, &err), 0);
    assert_int_equal(check.stages, 1 + 2 * 12 + 2);
    akin_free(pixels);
    akin_encoder_close(encoder);
    akin_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_layer)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
