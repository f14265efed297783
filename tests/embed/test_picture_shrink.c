/* Shrink-on-load must not change embeddings: with the rule of akin_picture_decode
 * (shorter side at least 1.5 times shrink_to) the cosine to the embedding of the
 * whole decode stays above 0.999, with the starter model. Each photograph is made
 * just large enough for each factor, which is the worst case of the rule. */
#include "picture_changes.h"
#include "picture_set.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static akin_model *model;
static akin_encoder *encoder;
static const akin_model_info *info;

static int open_model(void **state)
{
    akin_encoder_options options = {
        .max_batch = 2, .threads = 1, .precision = AKIN_PRECISION_F32};
    akin_error err = {0};

    (void)state;
    if (akin_model_open(AKIN_SOURCE "/models/starter", &model, &err) ||
        akin_encoder_open(model, &options, &encoder, &err)) {
        print_error("%s\n", err.message);
        return -1;
    }
    info = akin_model_get_info(model);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    akin_encoder_close(encoder);
    akin_model_close(model);
    return 0;
}

static uint32_t decode_and_prepare(akin_span bytes, uint32_t shrink_to,
                                   uint8_t *out)
{
    akin_picture_options options = {.shrink_to = shrink_to};
    akin_picture_transform transform = {info->resize, info->resize_edge,
                                        info->image_size};
    akin_picture p;
    uint32_t shrink;

    assert_int_equal(akin_picture_decode(bytes, &options, &p, NULL), AKIN_OK);
    assert_int_equal(akin_picture_prepare(&p, &transform, out, NULL), AKIN_OK);
    shrink = p.shrink;
    akin_picture_clear(&p);
    return shrink;
}

/* Cosine of the two embeddings of a photograph scaled so that `factor` is just
 * allowed; PNG takes the box average, JPEG the decoder's own way. */
static float cosine(const akin_picture *photo, uint32_t factor, bool jpeg)
{
    uint32_t shorter =
        photo->width < photo->height ? photo->width : photo->height;
    double scale = (1.5 * info->resize_edge * factor + 0.5) / shorter;
    size_t pixels = (size_t)info->image_size * info->image_size * 3, i;
    akin_picture big = picture_scaled(photo, scale);
    uint8_t *both = akin_alloc(2 * pixels);
    float *embeddings = akin_alloc(2 * info->dim * sizeof *embeddings);
    akin_buf file = {0};
    float sum = 0;

    if (jpeg) {
        picture_to_jpeg(&big, 90, &file);
    } else {
        akin_buf_printf(&file, "P6\n%u %u\n255\n", big.width, big.height);
        akin_buf_append(&file, big.pixels, (size_t)big.width * big.height * 3);
    }
    assert_int_equal(
        decode_and_prepare((akin_span){file.data, file.size}, 0, both), 1);
    assert_int_equal(decode_and_prepare((akin_span){file.data, file.size},
                                        info->resize_edge, both + pixels),
                     factor);
    assert_int_equal(akin_encoder_images(encoder, both, 2, embeddings, NULL),
                     AKIN_OK);
    for (i = 0; i < info->dim; i++)
        sum += embeddings[i] * embeddings[info->dim + i];
    akin_buf_clear(&file);
    akin_free(both);
    akin_free(embeddings);
    akin_picture_clear(&big);
    return sum;
}

static void embeddings_stay(void **state)
{
    static const char *const names[] = {"tshirt-1", "tshirt-2", "shoes-1",
                                        "shoes-2",  "hat-1",    "hat-2"};
    float least = 1;
    size_t i;

    (void)state;
    for (i = 0; i < 6; i++) {
        char path[1024];
        akin_map map;
        akin_picture photo;
        uint32_t factor;
        int jpeg;

        snprintf(path, sizeof path, AKIN_TESTS "/data/pictures/photos/%s.jpg",
                 names[i]);
        map = picture_set_map(NULL, path);
        assert_int_equal(akin_picture_decode((akin_span){map.data, map.size},
                                             NULL, &photo, NULL),
                         AKIN_OK);
        for (factor = 2; factor <= 8; factor *= 2) {
            for (jpeg = 0; jpeg < 2; jpeg++) {
                float c = cosine(&photo, factor, jpeg);

                if (c < 0.999f)
                    fail_msg("%s, %s by %u: cosine %.5f", names[i],
                             jpeg ? "jpeg" : "boxes", factor, (double)c);
                least = c < least ? c : least;
            }
        }
        akin_picture_clear(&photo);
        akin_map_close(&map);
    }
    print_message("least cosine %.5f\n", (double)least);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(embeddings_stay)};

    return cmocka_run_group_tests(tests, open_model, close_model);
}
