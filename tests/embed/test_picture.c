/* Pictures against the reference (Pillow): decoded pixels, then the resize, on
 * their own and together, so that a failure names its stage. */
#include "picture_set.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static picture_set sets[2];
static size_t set_count;

static int open_sets(void **state)
{
    (void)state;
    set_count = 0;
    if (picture_set_small(&sets[set_count])) set_count++;
    assert_int_equal(set_count, 1);
    if (picture_set_reference(&sets[set_count]))
        set_count++;
    else
        print_message("the whole reference is not here: small set only\n");
    return 0;
}

/* As the reference treats files: no profile, no alpha, turned only in the
 * variant that says so. */
static akin_picture_options like_reference(const picture_line *line)
{
    akin_picture_options o = {.drop_alpha = true, .ignore_profile = true};

    o.ignore_orientation = strcmp(line->variant, "oriented") != 0;
    return o;
}

static void decode_line(const picture_set *set, const picture_line *line,
                        akin_picture *picture)
{
    char name[80];
    akin_error err = {0};
    akin_picture_options options = like_reference(line);
    akin_map map;

    snprintf(name, sizeof name, "src/%s", line->file);
    map = picture_set_map(set, name);
    assert_non_null(map.data);
    if (akin_picture_decode((akin_span){map.data, map.size}, &options, picture,
                            &err) != AKIN_OK)
        fail_msg("%s: %s", line->file, err.message);
    akin_map_close(&map);
}

/* Pillow clips 16-bit grey at 255, which nobody wants; see the variant
 * "scaled" of the same file. */
static bool white_by_mistake(const picture_line *line)
{
    return strcmp(line->name, "png_grey16") == 0 &&
           strcmp(line->variant, "asis") == 0;
}

static void decoded_pixels(void **state)
{
    size_t s, i;
    int wrong = 0;

    (void)state;
    for (s = 0; s < set_count; s++) {
        for (i = 0; i < sets[s].n; i++) {
            const picture_line *line = &sets[s].line[i];
            akin_picture picture;
            uint8_t digest[AKIN_SHA256_BYTES];
            char hex[2 * AKIN_SHA256_BYTES + 1];

            if (white_by_mistake(line)) continue;
            decode_line(&sets[s], line, &picture);
            assert_int_equal(akin_sha256_of((akin_span){picture.pixels,
                                                        (size_t)picture.width *
                                                            picture.height * 3},
                                            digest, NULL),
                             AKIN_OK);
            akin_hex(digest, sizeof digest, hex);
            if (picture.width != line->width ||
                picture.height != line->height ||
                strcmp(hex, line->sha256) != 0) {
                print_error("%s %s: %ux%u, expected %ux%u, or other pixels\n",
                            line->file, line->variant, picture.width,
                            picture.height, line->width, line->height);
                wrong++;
            }
            akin_picture_clear(&picture);
        }
    }
    assert_int_equal(wrong, 0);
}

static int count_different(const uint8_t *a, const uint8_t *b, size_t n)
{
    int different = 0;
    size_t i;

    for (i = 0; i < n; i++)
        different += a[i] != b[i];
    return different;
}

/* Compares the prepared pictures of one set with one array. from_decoded: from
 * decoded.u8 instead of from the files. */
static void check_prepared(const picture_set *set, const char *array,
                           akin_picture_transform t, bool from_decoded)
{
    size_t bytes = (size_t)t.image_size * t.image_size * 3, i;
    akin_map want = picture_set_map(set, array);
    akin_map decoded = {0};
    uint8_t *out = akin_alloc(bytes);
    akin_error err = {0};
    int wrong = 0;

    assert_non_null(want.data);
    assert_non_null(out);
    if (from_decoded) decoded = picture_set_map(set, "decoded.u8");
    for (i = 0; i < set->n; i++) {
        const picture_line *line = &set->line[i];
        size_t row = t.image_size == 224 ? (size_t)line->row224 : i;
        akin_picture picture = {0};
        int different;

        if ((t.image_size == 224 && line->row224 < 0) ||
            (from_decoded && line->decoded_offset < 0) ||
            (!from_decoded && white_by_mistake(line)))
            continue;
        if (from_decoded) {
            picture.width = line->width;
            picture.height = line->height;
            picture.pixels =
                (uint8_t *)(uintptr_t)decoded.data + line->decoded_offset;
        } else {
            decode_line(set, line, &picture);
        }
        if (akin_picture_prepare(&picture, &t, out, &err) != AKIN_OK)
            fail_msg("%s: %s", line->file, err.message);
        assert_true((row + 1) * bytes <= want.size);
        different = count_different(out, want.data + row * bytes, bytes);
        if (different != 0) {
            print_error("%s %s, %s: %d of %zu values differ\n", line->file,
                        line->variant, array, different, bytes);
            wrong++;
        }
        if (!from_decoded) akin_picture_clear(&picture);
    }
    akin_free(out);
    akin_map_close(&want);
    akin_map_close(&decoded);
    assert_int_equal(wrong, 0);
}

static const akin_picture_transform shortest_32 = {AKIN_RESIZE_SHORTEST, 32,
                                                   32},
                                    shortest_64 = {AKIN_RESIZE_SHORTEST, 64,
                                                   64},
                                    shortest_224 = {AKIN_RESIZE_SHORTEST, 224,
                                                    224},
                                    squash_32 = {AKIN_RESIZE_SQUASH, 32, 32};

static void resize_from_decoded(void **state)
{
    (void)state;
    if (set_count < 2) skip();
    check_prepared(&sets[1], "pixels_32.u8", shortest_32, true);
    check_prepared(&sets[1], "pixels_64.u8", shortest_64, true);
    check_prepared(&sets[1], "pixels_224.u8", shortest_224, true);
    check_prepared(&sets[1], "pixels_siglip_32.u8", squash_32, true);
}

static void file_to_pixels(void **state)
{
    size_t s;

    (void)state;
    for (s = 0; s < set_count; s++) {
        check_prepared(&sets[s], "pixels_32.u8", shortest_32, false);
        check_prepared(&sets[s], "pixels_siglip_32.u8", squash_32, false);
    }
    if (set_count < 2) return;
    check_prepared(&sets[1], "pixels_64.u8", shortest_64, false);
    check_prepared(&sets[1], "pixels_224.u8", shortest_224, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoded_pixels),
        cmocka_unit_test(resize_from_decoded),
        cmocka_unit_test(file_to_pixels),
    };

    return cmocka_run_group_tests(tests, open_sets, NULL);
}
