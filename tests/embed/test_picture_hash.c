/* Hashes and comparison on a few photographs: every change of
 * picture_changes.h is seen through, other photographs are not. The whole
 * measurement is in long_picture_hash.c. */
#include "picture_changes.h"
#include "picture_set.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PHOTOS 6

static const char *const names[PHOTOS] = {"tshirt-1", "tshirt-2", "shoes-1",
                                          "shoes-2",  "hat-1",    "hat-2"};
static akin_picture photos[PHOTOS];
static akin_picture_hashes hashes[PHOTOS];

static void decode(akin_span bytes, akin_picture *out)
{
    akin_error err = {0};

    if (akin_picture_decode(bytes, NULL, out, &err) != AKIN_OK)
        fail_msg("%s", err.message);
}

static int load(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < PHOTOS; i++) {
        char path[1024];
        akin_map map;

        snprintf(path, sizeof path, AKIN_TESTS "/data/pictures/photos/%s.jpg",
                 names[i]);
        map = picture_set_map(NULL, path);
        decode((akin_span){map.data, map.size}, &photos[i]);
        assert_int_equal(akin_picture_hash(&photos[i], &hashes[i], NULL),
                         AKIN_OK);
        akin_map_close(&map);
    }
    return 0;
}

static int unload(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < PHOTOS; i++)
        akin_picture_clear(&photos[i]);
    return 0;
}

static void every_change_is_near(void **state)
{
    size_t i, change;

    (void)state;
    for (i = 0; i < PHOTOS; i++) {
        for (change = 0; change < CHANGE_COUNT; change++) {
            akin_buf jpeg = {0};
            akin_picture copy;
            akin_picture_hashes h;
            akin_picture_match m;
            bool near;

            picture_changed(&photos[i], (picture_change)change, &jpeg);
            decode((akin_span){jpeg.data, jpeg.size}, &copy);
            assert_int_equal(akin_picture_hash(&copy, &h, NULL), AKIN_OK);
            akin_picture_compare(&hashes[i], &h, true, &m);
            near = m.distance <= AKIN_PICTURE_NEAR_DISTANCE ||
                   m.similarity >= AKIN_PICTURE_NEAR_SIMILARITY;
            if (!near)
                fail_msg("%s %s: distance %u, similarity %.3f", names[i],
                         picture_change_name[change], m.distance,
                         (double)m.similarity);
            if (change == CHANGE_MIRROR) assert_int_equal(m.orientation, 2);
            if (change == CHANGE_QUARTER) /* b has to be turned left */
                assert_int_equal(m.orientation, 8);
            assert_memory_not_equal(h.pixels, hashes[i].pixels,
                                    sizeof h.pixels);
            akin_picture_clear(&copy);
            akin_buf_clear(&jpeg);
        }
    }
}

static void other_photographs_are_not_near(void **state)
{
    size_t i, k;

    (void)state;
    for (i = 0; i < PHOTOS; i++) {
        for (k = 0; k < PHOTOS; k++) {
            akin_picture_match m;

            akin_picture_compare(&hashes[i], &hashes[k], true, &m);
            if (i == k) {
                assert_int_equal(m.distance, 0);
                assert_int_equal(m.orientation, 1);
                assert_true(m.similarity > 0.999f);
            } else {
                assert_true(m.distance > AKIN_PICTURE_NEAR_DISTANCE + 10);
                assert_true(m.similarity < AKIN_PICTURE_NEAR_SIMILARITY - 0.2f);
            }
        }
    }
}

/* The hash of the turned pixels is the turned hash, for all eight. The sketch is
 * square, so both see the same pixels; 2 bits may sit at the threshold. */
static void turning_the_hash_is_turning_the_picture(void **state)
{
    const uint32_t n = 32;
    uint32_t o, x, y;
    akin_picture small = picture_blank(n, n, 0), turned;
    akin_picture_hashes before, after;

    (void)state;
    assert_int_equal(akin_picture_resize(&photos[0], n, n, small.pixels, NULL),
                     AKIN_OK);
    assert_int_equal(akin_picture_hash(&small, &before, NULL), AKIN_OK);
    for (o = 1; o <= 8; o++) {
        akin_picture_phash want = akin_picture_turned(&before.whole, o);

        turned = picture_blank(n, n, 0);
        for (y = 0; y < n; y++)
            for (x = 0; x < n; x++) {
                uint32_t tx[9] = {0, x,         n - 1 - x, n - 1 - x, x,
                                  y, n - 1 - y, n - 1 - y, y};
                uint32_t ty[9] = {0, y, y,         n - 1 - y, n - 1 - y,
                                  x, x, n - 1 - x, n - 1 - x};

                memcpy(picture_at(&turned, tx[o], ty[o]),
                       picture_at(&small, x, y), 3);
            }
        assert_int_equal(akin_picture_hash(&turned, &after, NULL), AKIN_OK);
        assert_true(akin_picture_distance(&want, &after.whole) <= 2);
        akin_picture_clear(&turned);
    }
    akin_picture_clear(&small);
}

static void blank_pictures_have_no_detail(void **state)
{
    akin_picture white = picture_blank(200, 100, 255);
    akin_picture grey = picture_blank(32, 32, 99);
    akin_picture_hashes a, b;
    size_t i;

    (void)state;
    memset(picture_at(&grey, 7, 3), 100, 3); /* less than a frequency needs */
    assert_int_equal(akin_picture_hash(&white, &a, NULL), AKIN_OK);
    assert_int_equal(akin_picture_hash(&grey, &b, NULL), AKIN_OK);
    assert_true(a.detail < AKIN_PICTURE_MIN_DETAIL);
    assert_true(b.detail < AKIN_PICTURE_MIN_DETAIL);
    for (i = 0; i < 4; i++)
        assert_true(a.whole.word[i] == 0 && b.whole.word[i] == 0);
    assert_true(hashes[0].detail >= AKIN_PICTURE_MIN_DETAIL);
    akin_picture_clear(&white);
    akin_picture_clear(&grey);
}

/* Equal pixels have equal `pixels`, whatever the file. */
static void pixel_hash_sees_through_formats(void **state)
{
    akin_picture copy;
    akin_picture_hashes h;
    akin_buf ppm = {0};

    (void)state;
    akin_buf_printf(&ppm, "P6\n%u %u\n255\n", photos[2].width,
                    photos[2].height);
    akin_buf_append(&ppm, photos[2].pixels,
                    (size_t)photos[2].width * photos[2].height * 3);
    decode((akin_span){ppm.data, ppm.size}, &copy);
    assert_int_equal(akin_picture_hash(&copy, &h, NULL), AKIN_OK);
    assert_memory_equal(&h, &hashes[2], sizeof h);
    akin_picture_clear(&copy);
    akin_buf_clear(&ppm);
}

static void thumbnail_fits_and_looks_alike(void **state)
{
    static const uint32_t sides[] = {1, 64, 200, 5000};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof sides / sizeof *sides; i++) {
        akin_buf jpeg = {0};
        akin_picture small;
        akin_picture_hashes h;
        uint32_t longer;

        assert_int_equal(
            akin_picture_thumbnail(&photos[0], sides[i], &jpeg, NULL), AKIN_OK);
        decode((akin_span){jpeg.data, jpeg.size}, &small);
        assert_string_equal(small.format, "jpeg");
        longer = small.width > small.height ? small.width : small.height;
        assert_true(longer <= sides[i]);
        if (sides[i] == 5000) {
            assert_int_equal(small.width, photos[0].width);
            assert_int_equal(small.height, photos[0].height);
        }
        assert_int_equal(akin_picture_hash(&small, &h, NULL), AKIN_OK);
        if (sides[i] >= 64)
            assert_true(akin_picture_distance(&h.whole, &hashes[0].whole) < 12);
        akin_picture_clear(&small);
        akin_buf_clear(&jpeg);
    }
    assert_int_equal(akin_picture_thumbnail(&photos[0], 0, NULL, NULL),
                     AKIN_INVALID);
}

static void lack_of_memory_is_an_error(void **state)
{
    akin_picture_hashes h;
    uint64_t nth, made;

    (void)state;
    akin_alloc_fail_at(0);
    assert_int_equal(akin_picture_hash(&photos[0], &h, NULL), AKIN_OK);
    made = akin_alloc_fail_at(0);
    for (nth = 1; nth <= made; nth++) {
        akin_alloc_fail_at(nth);
        assert_int_equal(akin_picture_hash(&photos[0], &h, NULL), AKIN_NOMEM);
    }
    akin_alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_change_is_near),
        cmocka_unit_test(other_photographs_are_not_near),
        cmocka_unit_test(turning_the_hash_is_turning_the_picture),
        cmocka_unit_test(blank_pictures_have_no_detail),
        cmocka_unit_test(pixel_hash_sees_through_formats),
        cmocka_unit_test(thumbnail_fits_and_looks_alike),
        cmocka_unit_test(lack_of_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
