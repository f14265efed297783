/* The fast loops of the resize against the plain ones, over shapes that reach
 * every edge: few and many taps, row tails, the last bytes of a picture. */
#include "akin_embed.h"
#include "picture_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t random_state = 20260722;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) +
                   UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % n);
}

/* Noise with plenty of 0 and 255, so that sums go past both clips. */
static void fill(uint8_t *p, size_t n)
{
    while (n-- > 0) {
        uint32_t r = random_below(512);
        *p++ = (uint8_t)(r < 128 ? 0 : r < 256 ? 255 : r - 256);
    }
}

static void across_equals_plain(void **state)
{
    int round;

    (void)state;
    for (round = 0; round < 400; round++) {
        uint32_t in = 1 + random_below(round % 4 == 0 ? 900 : 120);
        uint32_t out = 1 + random_below(150);
        uint32_t from = random_below(out), n = 1 + random_below(out - from);
        uint32_t rows = 1 + random_below(11);
        size_t bytes = (size_t)in * 3;
        /* exactly as large as needed: ASan sees a read behind it */
        uint8_t *pixels = malloc(bytes * rows);
        uint8_t *plain = malloc((size_t)n * 3 * rows);
        uint8_t *fast = malloc((size_t)n * 3 * rows);
        akin__picture_filter filter;

        fill(pixels, bytes * rows);
        assert_int_equal(
            akin__picture_filter_init(&filter, in, in, out, from, n, NULL),
            AKIN_OK);
        akin__picture_across_plain(&filter, pixels, bytes, rows, plain);
        akin__picture_across(&filter, pixels, bytes, rows, bytes * rows, fast);
        assert_memory_equal(plain, fast, (size_t)n * 3 * rows);
        akin__picture_filter_clear(&filter);
        free(pixels);
        free(plain);
        free(fast);
    }
}

static void down_equals_plain(void **state)
{
    int round;

    (void)state;
    for (round = 0; round < 400; round++) {
        uint32_t in = 1 + random_below(round % 4 == 0 ? 900 : 120);
        uint32_t out = 1 + random_below(150), i;
        size_t bytes = 1 + random_below(100);
        uint8_t *pixels = malloc(bytes * in);
        uint8_t *plain = malloc(bytes), *fast = malloc(bytes);
        akin__picture_filter filter;

        fill(pixels, bytes * in);
        assert_int_equal(
            akin__picture_filter_init(&filter, in, in, out, 0, out, NULL),
            AKIN_OK);
        for (i = 0; i < out; i++) {
            const int32_t *weight = filter.weight + (size_t)i * filter.taps;
            const uint8_t *rows = pixels + filter.first[i] * bytes;

            akin__picture_down_plain(weight, filter.count[i], rows, bytes,
                                     bytes, plain);
            akin__picture_down(weight, filter.count[i], rows, bytes, bytes,
                               fast);
            assert_memory_equal(plain, fast, bytes);
        }
        akin__picture_filter_clear(&filter);
        free(pixels);
        free(plain);
        free(fast);
    }
}

static void weights_sum_to_one(void **state)
{
    static const uint32_t sizes[][2] = {
        {1, 1}, {1, 7}, {7, 1}, {3000, 224}, {224, 224}, {65500, 3}, {5, 640}};
    size_t s;

    (void)state;
    for (s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        akin__picture_filter f;
        uint32_t i, t;

        assert_int_equal(akin__picture_filter_init(&f, sizes[s][0], sizes[s][0],
                                                   sizes[s][1], 0, sizes[s][1],
                                                   NULL),
                         AKIN_OK);
        for (i = 0; i < f.n; i++) {
            int64_t sum = 0;

            assert_true(f.first[i] + f.count[i] <= f.in);
            for (t = 0; t < f.taps; t++) {
                size_t at = (size_t)i * f.taps + t;

                sum += f.weight[at];
                assert_int_equal(f.high[at] * 2048 + f.low[at], f.weight[at]);
                assert_true(t < f.count[i] || f.weight[at] == 0);
            }
            /* each weight is rounded by itself */
            assert_true(llabs(sum - (1 << PICTURE_FILTER_BITS)) <= f.count[i]);
        }
        akin__picture_filter_clear(&f);
    }
}

static void wrong_sizes_are_refused(void **state)
{
    uint8_t pixel[3] = {1, 2, 3}, out[3];
    akin_picture one = {.pixels = pixel, .width = 1, .height = 1};
    akin_picture none = {0},
                 thin = {.pixels = pixel, .width = UINT32_MAX, .height = 1};
    akin_picture_transform t = {AKIN_RESIZE_SHORTEST, 2, 3};

    (void)state;
    assert_int_equal(akin_picture_resize(&none, 1, 1, out, NULL), AKIN_INVALID);
    assert_int_equal(akin_picture_resize(&one, 0, 1, out, NULL), AKIN_INVALID);
    assert_int_equal(akin_picture_resize(&one, 1, 65536, out, NULL),
                     AKIN_INVALID);
    assert_int_equal(akin_picture_prepare(&one, &t, out, NULL), AKIN_INVALID);
    t = (akin_picture_transform){AKIN_RESIZE_SQUASH, 0, 0};
    assert_int_equal(akin_picture_prepare(&one, &t, out, NULL), AKIN_INVALID);
    t = (akin_picture_transform){AKIN_RESIZE_SHORTEST, 1, 1};
    assert_int_equal(akin_picture_prepare(&thin, &t, out, NULL), AKIN_INVALID);
    assert_int_equal(akin_picture_prepare(&one, &t, out, NULL), AKIN_OK);
    assert_memory_equal(out, pixel, 3);
}

static void lack_of_memory_is_an_error(void **state)
{
    static uint8_t pixels[40 * 30 * 3];
    uint8_t out[8 * 8 * 3];
    akin_picture p = {.pixels = pixels, .width = 40, .height = 30};
    akin_picture_transform t = {AKIN_RESIZE_SHORTEST, 8, 8};
    uint64_t nth, made;

    (void)state;
    akin_alloc_fail_at(0);
    assert_int_equal(akin_picture_prepare(&p, &t, out, NULL), AKIN_OK);
    made = akin_alloc_fail_at(0);
    assert_true(made > 0);
    for (nth = 1; nth <= made; nth++) {
        akin_alloc_fail_at(nth);
        assert_int_equal(akin_picture_prepare(&p, &t, out, NULL), AKIN_NOMEM);
    }
    akin_alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(across_equals_plain),
        cmocka_unit_test(down_equals_plain),
        cmocka_unit_test(weights_sum_to_one),
        cmocka_unit_test(wrong_sizes_are_refused),
        cmocka_unit_test(lack_of_memory_is_an_error),
    };

    print_message("seed %llu\n", (unsigned long long)random_state);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
