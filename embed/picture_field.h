/* Pictures of 32 x 32 or 16 x 16 values, one or two vectors a row: cutting windows
 * out of them, correlating them, and climbing to the window that looks most like
 * another picture. */
#ifndef AKIN_PICTURE_FIELD_H
#define AKIN_PICTURE_FIELD_H

#include "picture_internal.h"
#include "vector.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#define SIDE   AKIN_PICTURE_SKETCH
#define COARSE (SIDE / 2)

_Static_assert(COARSE == W && SIDE == 2 * W, "rows are one and two vectors");

/* n x n values in rows of SIDE + 1; behind a row's end stands its last value. */
typedef struct {
    float at[SIDE][SIDE + 1];
} field;

static inline void load_field(field *out, const uint8_t *sketch,
                              uint32_t orientation)
{
    bool mirror = orientation == 2 || orientation == 3 || orientation == 6 ||
                  orientation == 7;
    bool flip = orientation == 3 || orientation == 4 || orientation == 7 ||
                orientation == 8;
    uint32_t x, y;

    for (y = 0; y < SIDE; y++) {
        for (x = 0; x < SIDE; x++) {
            uint32_t sx = mirror ? SIDE - 1 - x : x;
            uint32_t sy = flip ? SIDE - 1 - y : y;

            out->at[y][x] = orientation >= 5 ? sketch[sx * SIDE + sy]
                                             : sketch[sy * SIDE + sx];
        }
        out->at[y][SIDE] = out->at[y][SIDE - 1];
    }
}

static inline void halve(field *out, const field *in)
{
    uint32_t x, y;

    for (y = 0; y < COARSE; y++) {
        const float *a = in->at[2 * y], *b = in->at[2 * y + 1];

        for (x = 0; x < COARSE; x++)
            out->at[y][x] =
                (a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1]) / 4;
        out->at[y][COARSE] = out->at[y][COARSE - 1];
    }
}

/* Where the n samples of a window that starts at share `from` and ends `to`
 * before the end lie: left neighbour and weight of the right one. */
static inline void place_samples(uint32_t n, float from, float to,
                                 int32_t *left, float *weight)
{
    const float most = (float)n - 1;
    uint32_t i;

    for (i = 0; i < n; i++) {
        float p = from * (float)n + (1 - from - to) * ((float)i + 0.5f) - 0.5f;

        p = p < 0 ? 0 : p > most ? most : p;
        left[i] = (int32_t)p;
        if (left[i] > (int32_t)n - 2) left[i] = (int32_t)n - 2;
        weight[i] = p - (float)left[i];
    }
}

/* n samples of a row at left[] + weight[] each. */
#if defined(__AVX512F__)
static inline void sample_row(uint32_t n, const vf in[2], const int32_t *left,
                              const float *weight, float *out)
{
    uint32_t x;

    for (x = 0; x < n; x += W) {
        __m512i at = _mm512_loadu_si512(left + x);
        __m512i next = _mm512_add_epi32(at, _mm512_set1_epi32(1));
        __m512 a, b;

        if (n == W) {
            a = _mm512_permutexvar_ps(at, (__m512)in[0]);
            b = _mm512_permutexvar_ps(next, (__m512)in[0]);
        } else {
            a = _mm512_permutex2var_ps((__m512)in[0], at, (__m512)in[1]);
            b = _mm512_permutex2var_ps((__m512)in[0], next, (__m512)in[1]);
        }
        store(out + x, (vf)a + load(weight + x) * ((vf)b - (vf)a));
    }
}
#else
static inline void sample_row(uint32_t n, const vf in[2], const int32_t *left,
                              const float *weight, float *out)
{
    float row[SIDE];
    uint32_t x;

    memcpy(row, in, n * sizeof *row);
    for (x = 0; x < n; x++)
        out[x] = row[left[x]] + weight[x] * (row[left[x] + 1] - row[left[x]]);
}
#endif

static inline void cut_window(uint32_t n, field *out, const field *in,
                              const float cut[4])
{
    int32_t column[SIDE], row[SIDE];
    float right[SIDE], below[SIDE];
    uint32_t x, y;

    place_samples(n, cut[0], cut[2], column, right);
    place_samples(n, cut[1], cut[3], row, below);
    for (y = 0; y < n; y++) {
        const float *a = in->at[row[y]], *b = in->at[row[y] + 1];
        vf mixed[2];

        for (x = 0; x < n; x += W)
            mixed[x / W] = load(a + x) + below[y] * (load(b + x) - load(a + x));
        /* cppcheck-suppress uninitvar */
        sample_row(n, mixed, column, right, out->at[y]);
        out->at[y][n] = out->at[y][n - 1];
    }
}

/* Differences to the right and downwards; none to the right of the last column. */
typedef struct {
    vf across[SIDE][2], down[SIDE][2];
    float energy;
} slopes;

static inline vf across(const field *f, uint32_t x, uint32_t y)
{
    return load(&f->at[y][x] + 1) - load(&f->at[y][x]);
}

static inline vf down(const field *f, uint32_t x, uint32_t y)
{
    return load(&f->at[y + 1][x]) - load(&f->at[y][x]);
}

static inline void find_slopes(uint32_t n, slopes *out, const field *f)
{
    vf energy = splat(0);
    uint32_t x, y;

    for (y = 0; y + 1 < n; y++) {
        for (x = 0; x < n; x += W) {
            vf dx = across(f, x, y), dy = down(f, x, y);

            out->across[y][x / W] = dx;
            out->down[y][x / W] = dy;
            energy += dx * dx + dy * dy;
        }
    }
    out->energy = sum(energy) + 1e-3f;
}

/* Correlation of the gradients; brightness itself is dominated by what all
 * product photographs share, something dark on something light. */
static inline float correlation(uint32_t n, const field *a, const slopes *b)
{
    vf ab = splat(0), aa = splat(0);
    uint32_t x, y;

    for (y = 0; y + 1 < n; y++) {
        for (x = 0; x < n; x += W) {
            vf dx = across(a, x, y), dy = down(a, x, y);

            ab += dx * b->across[y][x / W] + dy * b->down[y][x / W];
            aa += dx * dx + dy * dy;
        }
    }
    return sum(ab) / sqrtf((sum(aa) + 1e-3f) * b->energy);
}

#define MOST_CUT 0.2f
#define MOVES    12

/* The m-th neighbour of a window: one side in or out, all four in, a shift.
 * false: outside of what is looked at. */
static inline bool move_window(const float cut[4], uint32_t m, float step,
                               float out[4])
{
    uint32_t i;

    memcpy(out, cut, 4 * sizeof *out);
    if (m < 8) {
        out[m / 2] += m % 2 ? -step : step;
    } else if (m == 8) {
        for (i = 0; i < 4; i++)
            out[i] += step;
    } else if (m == 9 || m == 10) { /* to the right; down */
        out[m - 9] += step;
        out[m - 7] -= step;
    } else {
        out[0] += step;
        out[1] += step;
    }
    for (i = 0; i < 4; i++)
        if (out[i] < 0 || out[i] > MOST_CUT) return false;
    return true;
}

/* Climbs from `cut` to the window of a that looks most like the whole of b. */
static inline float climb(uint32_t n, const field *a, const slopes *b,
                          float step, float start, float cut[4])
{
    float best = start, next[4], chosen[4] = {0};
    field window;
    uint32_t m, i;

    for (i = 0; i < MOVES; i++) {
        float before = best;

        for (m = 0; m < MOVES; m++) {
            float now;

            if (!move_window(cut, m, step, next)) continue;
            cut_window(n, &window, a, next);
            now = correlation(n, &window, b);
            if (now > best) {
                best = now;
                memcpy(chosen, next, sizeof chosen);
            }
        }
        if (best <= before) break;
        memcpy(cut, chosen, sizeof chosen);
    }
    return best;
}

#endif
