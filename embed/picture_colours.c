/* The second look at pictures with little in them: drawings, signs, flags, cards.
 * There is much more of them that looks alike than of photographs, and few bits
 * of a hash that say anything (two flags of three stripes, five of hearts and five of
 * diamonds). So all of their colours are compared, each with the one in its
 * place: after cutting off a crop and a frame, and after what a change of brightness
 * or tint did, no place may look other. */
#include "picture_field.h"

#include <string.h>

#define CELLS       (SIDE * SIDE)
#define FADED       3.0f /* levels of colour, less is grey */
#define COLOURED    24   /* levels between the channels of a frame */
#define LEAST_TIMES 0.55 /* of a change of brightness */
#define MOST_TIMES  1.8
#define GREYED      2.0f /* many flags are the same one in grey: less may differ */
#define DARK        8.0f /* what may have been clipped there says nothing */
#define BRIGHT      246.0f

/* ---- getting them --------------------------------------------------------- */

static akin_status draw_planes(const akin_picture *picture,
                               uint8_t planes[3][CELLS], akin_error *err)
{
    uint8_t rgb[CELLS * 3];
    akin_status rc = akin_picture_resize(picture, SIDE, SIDE, rgb, err);
    size_t i, c;

    if (rc) return rc;
    for (c = 0; c < 3; c++)
        for (i = 0; i < CELLS; i++)
            planes[c][i] = rgb[3 * i + c];
    return AKIN_OK;
}

/* Whether the two corners that borders begin with are white, grey or black. The
 * outer stripes of a flag are no frame. */
static bool is_frame(const akin_picture *picture)
{
    size_t end = ((size_t)picture->width * picture->height - 1) * 3, at;

    for (at = 0; at <= end; at += end ? end : 1) {
        const uint8_t *p = picture->pixels + at;
        int low = p[0], high = p[0], c;

        for (c = 1; c < 3; c++) {
            low = p[c] < low ? p[c] : low;
            high = p[c] > high ? p[c] : high;
        }
        if (high - low > COLOURED) return false;
    }
    return true;
}

/* Nothing is left to be compared. */
static bool is_plain(const uint8_t plane[CELLS])
{
    uint8_t low = 255, high = 0;
    size_t i;

    for (i = 0; i < CELLS; i++) {
        low = plane[i] < low ? plane[i] : low;
        high = plane[i] > high ? plane[i] : high;
    }
    return high - low < COLOURED;
}

akin_status akin_picture_get_colours(const akin_picture *picture,
                                     akin_picture_colours *out, akin_error *err)
{
    akin_picture inner = {0};
    akin_status rc = draw_planes(picture, out->planes[0], err);

    if (!rc) rc = akin__picture_inner(picture, &inner, err);
    if (rc) return rc;
    out->framed = inner.pixels != NULL && is_frame(picture);
    if (out->framed) rc = draw_planes(&inner, out->planes[1], err);
    if (out->framed && !rc) out->framed = !is_plain(out->planes[1][1]);
    akin_picture_clear(&inner);
    return rc;
}

/* ---- laying one over the other -------------------------------------------------- */

typedef struct {
    field channel[3], brightness;
} view;

static void load_view(view *out, const uint8_t planes[3][CELLS],
                      uint32_t orientation)
{
    uint32_t x, y;

    for (x = 0; x < 3; x++)
        load_field(&out->channel[x], planes[x], orientation);
    for (y = 0; y < SIDE; y++)
        for (x = 0; x <= SIDE; x++)
            out->brightness.at[y][x] = 0.299f * out->channel[0].at[y][x] +
                                       0.587f * out->channel[1].at[y][x] +
                                       0.114f * out->channel[2].at[y][x];
}

static float climb_all(const view *cutting, const view *whole, float cut[4])
{
    slopes s;
    float best, step;

    find_slopes(SIDE, &s, &whole->brightness);
    best = correlation(SIDE, &cutting->brightness, &s);
    for (step = 0.04f; step > 0.009f; step /= 2)
        best = climb(SIDE, &cutting->brightness, &s, step, best, cut);
    return best;
}

static void cut_view(view *v, const float cut[4])
{
    field window;
    uint32_t c;

    for (c = 0; c < 3; c++) {
        cut_window(SIDE, &window, &v->channel[c], cut);
        v->channel[c] = window;
    }
    cut_window(SIDE, &window, &v->brightness, cut);
    v->brightness = window;
}

/* Of the two pictures, with and without their frames, the two that fit best, cut
 * to what they share. */
static void lay_over(const akin_picture_colours *a,
                     const akin_picture_colours *b, uint32_t orientation,
                     view *of_a, view *of_b)
{
    float best = -2, cuts[2][4] = {{0}}, of_cut[2];
    uint32_t i, j;

    for (i = 0; i < (a->framed ? 2u : 1u); i++) {
        for (j = 0; j < (b->framed ? 2u : 1u); j++) {
            view one, other;
            slopes s;
            float now;

            load_view(&one, a->planes[i], 1);
            load_view(&other, b->planes[j], orientation);
            find_slopes(SIDE, &s, &other.brightness);
            now = correlation(SIDE, &one.brightness, &s);
            if (now <= best) continue;
            best = now;
            *of_a = one;
            *of_b = other;
        }
    }
    of_cut[0] = climb_all(of_a, of_b, cuts[0]);
    of_cut[1] = climb_all(of_b, of_a, cuts[1]);
    if (of_cut[0] >= of_cut[1])
        cut_view(of_a, cuts[0]);
    else
        cut_view(of_b, cuts[1]);
}

/* ---- the difference --------------------------------------------------------------- */

static float spread(const field *f)
{
    double sum = 0, squares = 0;
    uint32_t x, y;

    for (y = 0; y < SIDE; y++)
        for (x = 0; x < SIDE; x++) {
            sum += f->at[y][x];
            squares += (double)f->at[y][x] * f->at[y][x];
        }
    sum /= CELLS;
    return (float)sqrt(fmax(0, squares / CELLS - sum * sum));
}

static bool is_grey(const view *v)
{
    double sum = 0;
    uint32_t x, y;

    for (y = 0; y < SIDE; y++)
        for (x = 0; x < SIDE; x++) {
            double red = v->channel[0].at[y][x] - v->brightness.at[y][x];
            double blue = v->channel[2].at[y][x] - v->brightness.at[y][x];
            sum += red * red + blue * blue;
        }
    return sum < FADED * FADED * CELLS;
}

/* b as times * a + plus, clipped to a byte. */
typedef struct {
    float times, plus;
} tone;

/* By least squares; clipped: also where b may have been clipped. */
static tone fit(const field *a, const field *b, bool clipped)
{
    double n = 0, sa = 0, sb = 0, saa = 0, sab = 0, k;
    uint32_t x, y;

    for (y = 0; y < SIDE; y++)
        for (x = 0; x < SIDE; x++) {
            double p = a->at[y][x], q = b->at[y][x];
            if (!clipped && (q < DARK || q > BRIGHT)) continue;
            n++;
            sa += p;
            sb += q;
            saa += p * p;
            sab += p * q;
        }
    if (n < CELLS / 64) return (tone){1, 0};
    sa /= n;
    sb /= n;
    saa = saa / n - sa * sa;
    sab = sab / n - sa * sb;
    k = saa > 1 ? sab / saa : 1;
    k = k < LEAST_TIMES ? LEAST_TIMES : k > MOST_TIMES ? MOST_TIMES : k;
    return (tone){(float)k, (float)(sb - k * sa)};
}

/* How far b is outside of what a has in a place and beside it, which is where a
 * crop cut between two pixels has it. */
static float outside(const field *a, uint32_t x, uint32_t y, float b)
{
    float here = a->at[y][x], low = here, high = here;
    float beside[4] = {
        a->at[y][x > 0 ? x - 1 : x], a->at[y][x + 1 < SIDE ? x + 1 : x],
        a->at[y > 0 ? y - 1 : y][x], a->at[y + 1 < SIDE ? y + 1 : y][x]};
    uint32_t i;

    for (i = 0; i < 4; i++) {
        low = fminf(low, (here + beside[i]) / 2);
        high = fmaxf(high, (here + beside[i]) / 2);
    }
    return b < low ? b - low : b > high ? b - high : 0;
}

/* The most that the mean of 3 x 3 places is off. */
static float worst_place(const field *a, const field *b, tone t)
{
    field toned;
    float off[SIDE][SIDE], worst = 0;
    uint32_t x, y, i;

    for (y = 0; y < SIDE; y++)
        for (x = 0; x < SIDE; x++)
            toned.at[y][x] =
                fminf(255, fmaxf(0, t.times * a->at[y][x] + t.plus));
    for (y = 0; y < SIDE; y++)
        for (x = 0; x < SIDE; x++)
            off[y][x] = outside(&toned, x, y, b->at[y][x]);
    for (y = 0; y + 2 < SIDE; y++)
        for (x = 0; x + 2 < SIDE; x++) {
            float sum_off = 0;
            for (i = 0; i < 9; i++)
                sum_off += off[y + i / 3][x + i % 3];
            worst = fmaxf(worst, fabsf(sum_off) / 9);
        }
    return worst;
}

static float least_worst(const field *a, const field *b)
{
    float best = worst_place(a, b, fit(a, b, false));

    best = fminf(best, worst_place(a, b, fit(a, b, true)));
    return fminf(best, worst_place(a, b, (tone){1.3f, 0}));
}

static float difference_from(const view *a, const view *b, bool grey)
{
    float worst = 0;
    uint32_t c;

    if (grey)
        worst = least_worst(&a->brightness, &b->brightness);
    else
        for (c = 0; c < 3; c++)
            worst = fmaxf(worst, least_worst(&a->channel[c], &b->channel[c]));
    return worst / (spread(&b->brightness) + 4);
}

float akin_picture_colour_difference(const akin_picture_colours *a,
                                     const akin_picture_colours *b,
                                     uint32_t orientation)
{
    view of_a, of_b;
    bool grey_a, grey_b;
    float least;

    lay_over(a, b, orientation, &of_a, &of_b);
    grey_a = is_grey(&of_a);
    grey_b = is_grey(&of_b);
    least = fminf(difference_from(&of_a, &of_b, grey_a || grey_b),
                  difference_from(&of_b, &of_a, grey_a || grey_b));
    return grey_a == grey_b ? least : GREYED * least;
}
