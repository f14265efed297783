/* The colours of two pictures, place by place: copies of a drawing look the same,
 * another drawing of the same composition does not. */
#include "picture_changes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct {
    uint8_t stripe[3][3];
} flag;

static const flag france = {{{0, 35, 149}, {255, 255, 255}, {237, 41, 57}}};
static const flag italy = {{{0, 146, 70}, {255, 255, 255}, {206, 43, 55}}};
static const flag belgium = {{{0, 0, 0}, {255, 217, 0}, {239, 51, 64}}};

/* Stripes from left to right, with a disc in the middle one; 300 x 200. */
static akin_picture draw(const flag *f, uint32_t disc)
{
    akin_picture p = picture_blank(300, 200, 0);
    uint32_t x, y;

    for (y = 0; y < p.height; y++)
        for (x = 0; x < p.width; x++) {
            int32_t dx = (int32_t)x - 150, dy = (int32_t)y - 100;
            bool in = dx * dx + dy * dy < (int32_t)(disc * disc);
            memcpy(picture_at(&p, x, y), f->stripe[in ? 2 : x / 100], 3);
        }
    return p;
}

static void get(const akin_picture *p, akin_picture_colours *out)
{
    assert_int_equal(akin_picture_get_colours(p, out, NULL), AKIN_OK);
}

static void copies_look_the_same(void **state)
{
    static const picture_change changes[] = {
        CHANGE_JPEG_75,  CHANGE_JPEG_30,  CHANGE_HALF,     CHANGE_THUMB,
        CHANGE_CROP_3,   CHANGE_BORDER_W, CHANGE_BORDER_B, CHANGE_GAMMA,
        CHANGE_CONTRAST, CHANGE_GREY,     CHANGE_WARM,     CHANGE_BLUR,
        CHANGE_MIRROR,   CHANGE_QUARTER};
    akin_picture p = draw(&belgium, 30);
    akin_picture_colours a, b;
    size_t i;

    (void)state;
    get(&p, &a);
    for (i = 0; i < sizeof changes / sizeof *changes; i++) {
        uint32_t turn = changes[i] == CHANGE_MIRROR    ? 2
                        : changes[i] == CHANGE_QUARTER ? 8
                                                       : 1;
        akin_buf jpeg = {0};
        akin_picture copy;

        picture_changed(&p, changes[i], &jpeg);
        assert_int_equal(akin_picture_decode((akin_span){jpeg.data, jpeg.size},
                                             NULL, &copy, NULL),
                         AKIN_OK);
        get(&copy, &b);
        float d = akin_picture_colour_difference(&a, &b, turn);
        if (d > AKIN_PICTURE_COLOUR_LIMIT)
            fail_msg("%s: %.3f", picture_change_name[changes[i]], (double)d);
        assert_true(
            akin_picture_colour_difference(&b, &a, turn == 8 ? 6 : turn) <=
            AKIN_PICTURE_COLOUR_LIMIT);
        akin_buf_clear(&jpeg);
        akin_picture_clear(&copy);
    }
    akin_picture_clear(&p);
}

static void others_do_not(void **state)
{
    static const flag *const flags[] = {&france, &italy, &belgium};
    akin_picture_colours c[6];
    size_t i, k;

    (void)state;
    for (i = 0; i < 6; i++) {
        akin_picture p = draw(flags[i % 3], i < 3 ? 0 : 40);
        get(&p, &c[i]);
        akin_picture_clear(&p);
    }
    for (i = 0; i < 6; i++)
        for (k = 0; k < 6; k++) {
            float d = akin_picture_colour_difference(&c[i], &c[k], 1);
            if (i == k)
                assert_true(d < 0.01f);
            else if (d <= AKIN_PICTURE_COLOUR_LIMIT)
                fail_msg("flags %zu and %zu: %.3f", i, k, (double)d);
        }
}

/* In grey two flags may be one; that is not enough to join them. */
static void grey_says_little(void **state)
{
    flag grey = {{{60, 60, 60}, {255, 255, 255}, {96, 96, 96}}};
    akin_picture p = draw(&france, 0), q = draw(&grey, 0);
    akin_picture_colours a, b;

    (void)state;
    get(&p, &a);
    get(&q, &b);
    assert_true(akin_picture_colour_difference(&a, &b, 1) >
                AKIN_PICTURE_COLOUR_LIMIT / 2);
    akin_picture_clear(&p);
    akin_picture_clear(&q);
}

static void drawings_are_even(void **state)
{
    akin_picture p = draw(&france, 0);
    akin_picture_hashes h;
    uint32_t seed = 1;
    size_t i;

    (void)state;
    assert_int_equal(akin_picture_hash(&p, &h, NULL), AKIN_OK);
    assert_true(akin_picture_evenness(&h) > 0.5f);
    for (i = 0; i < sizeof h.sketch; i++) {
        seed = seed * 1664525 + 1013904223;
        h.sketch[i] = (uint8_t)(seed >> 24);
    }
    assert_true(akin_picture_evenness(&h) < 0.01f);
    akin_picture_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_look_the_same),
        cmocka_unit_test(others_do_not),
        cmocka_unit_test(grey_says_little),
        cmocka_unit_test(drawings_are_even),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
