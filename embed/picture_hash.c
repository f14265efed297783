/* Perceptual hashes and the comparison of candidates for duplicates.
 *
 * The hash: brightness of the picture squashed to 32 x 32 (our own antialiased
 * resize), its 16 x 16 lowest DCT coefficients, one bit for the sign of each but
 * the mean. Signs do not change with brightness and contrast, and they make the
 * eight orientations of a picture permutations and complements of one hash:
 * mirroring changes the sign of the odd frequencies, a transposition swaps the
 * two frequencies. Integers throughout, so that every machine has the same bits.
 *
 *   word 2 * (v >= 8) + (u >= 8), bit 8 * (v % 8) + u % 8
 *   u, v: frequency across, down
 *
 * Measured on 2577 photographs of clothing (3.3 million pairs) against the
 * changes of tests/embed/picture_changes.h; pairs of different photographs with
 * distance d or less, and copies found at that distance:
 *
 *                       255 signs   63 signs   pHash 64   dHash 64
 *   at 1 wrong in 10^6     <= 44       <= 6       <= 4       <= 1
 *   JPEG 30, half size     100 %      100 %      100 %    51-68 %
 *   brighter x 1.3         100 %       94 %       64 %       18 %
 *   watermark              100 %       92 %       56 %       33 %
 *
 * so the longer hash of signs it is, and no difference hash. A border of one
 * colour moves everything (0 % found): hence the second hash, of the picture
 * without borders (99 %). A crop of 5 % a side moves everything too (0 % at any
 * safe distance): candidates from elsewhere (embeddings) are compared by their
 * sketches, the crop being searched for. Long tests print the table of what is
 * found (tests/embed/long_picture_hash.c). */
#include "picture_internal.h"

#include <math.h>
#include <string.h>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#define SIDE        AKIN_PICTURE_SKETCH
#define FREQUENCIES 16
#define COS_BITS    14

#define TRIM_TOLERANCE 10 /* of 255: noise in a border, not a white wall */
#define TRIM_SHARE     3  /* at most 1/3 of a side is border */

/* ---- sketch and hash ------------------------------------------------------ */

static uint8_t brightness(const uint8_t *rgb)
{
    return (uint8_t)((299u * rgb[0] + 587u * rgb[1] + 114u * rgb[2] + 500u) /
                     1000u);
}

static akin_status draw_sketch(const akin_picture *picture, uint8_t *sketch,
                               akin_error *err)
{
    uint8_t rgb[SIDE * SIDE * 3];
    akin_status rc = akin_picture_resize(picture, SIDE, SIDE, rgb, err);
    size_t i;

    if (rc) return rc;
    for (i = 0; i < SIDE * SIDE; i++)
        sketch[i] = brightness(rgb + 3 * i);
    return AKIN_OK;
}

static akin_picture_phash sign_hash(const uint8_t *sketch)
{
    /* a hundredth of a brightness level: below that a frequency is absent */
    const int64_t least = ((int64_t)SIDE * SIDE << (2 * COS_BITS)) / 4 / 100;
    akin_picture_phash hash = {{0}};
    int32_t wave[FREQUENCIES][SIDE], across[SIDE][FREQUENCIES];
    uint32_t u, v, x, y;

    for (u = 0; u < FREQUENCIES; u++)
        for (x = 0; x < SIDE; x++)
            wave[u][x] = (int32_t)lrint(cos(M_PI * (x + 0.5) * u / SIDE) *
                                        (1 << COS_BITS));
    for (y = 0; y < SIDE; y++) {
        for (u = 0; u < FREQUENCIES; u++) {
            int32_t sum = 0;

            for (x = 0; x < SIDE; x++)
                sum += sketch[y * SIDE + x] * wave[u][x];
            across[y][u] = sum;
        }
    }
    for (v = 0; v < FREQUENCIES; v++) {
        for (u = 0; u < FREQUENCIES; u++) {
            int64_t sum = 0;

            for (y = 0; y < SIDE; y++)
                sum += (int64_t)across[y][u] * wave[v][y];
            if (sum > least && u + v != 0)
                hash.word[2 * (v / 8) + u / 8] |= UINT64_C(1)
                                                  << (8 * (v % 8) + u % 8);
        }
    }
    return hash;
}

static uint8_t deviation(const uint8_t *sketch)
{
    double sum = 0, squares = 0, mean;
    size_t i;

    for (i = 0; i < SIDE * SIDE; i++) {
        sum += sketch[i];
        squares += (double)sketch[i] * sketch[i];
    }
    mean = sum / (SIDE * SIDE);
    return (uint8_t)lrint(sqrt(squares / (SIDE * SIDE) - mean * mean));
}

/* ---- borders -------------------------------------------------------------- */

typedef struct {
    uint32_t left, top, right, bottom; /* right, bottom: one behind */
} box;

/* Whether a line of n pixels, `step` bytes apart, has one colour but for 2 % of
 * its pixels. */
static bool one_colour(const uint8_t *line, size_t step, uint32_t n,
                       const uint8_t colour[3])
{
    uint32_t odd = 0, i, c;

    for (i = 0; i < n; i++, line += step) {
        bool differs = false;

        for (c = 0; c < 3; c++) {
            int d = line[c] - colour[c];

            differs |= d > TRIM_TOLERANCE || d < -TRIM_TOLERANCE;
        }
        odd += differs;
    }
    return odd * 50 <= n;
}

/* Takes lines off the four sides while they have the colour of the side's
 * corner; twice, since a corner may lie in the border of another side. */
static box find_borders(const akin_picture *p)
{
    size_t stride = (size_t)p->width * 3;
    uint32_t most_x = p->width / TRIM_SHARE, most_y = p->height / TRIM_SHARE;
    box b = {0, 0, p->width, p->height};
    int round;

#define AT(x, y) (p->pixels + (size_t)(y)*stride + (size_t)(x)*3)
    for (round = 0; round < 2; round++) {
        const uint8_t *near = AT(b.left, b.top);
        const uint8_t *far = AT(b.right - 1, b.bottom - 1);

        while (b.top < most_y &&
               one_colour(AT(b.left, b.top), 3, b.right - b.left, near))
            b.top++;
        while (p->height - b.bottom < most_y &&
               one_colour(AT(b.left, b.bottom - 1), 3, b.right - b.left, far))
            b.bottom--;
        near = AT(b.left, b.top);
        far = AT(b.right - 1, b.bottom - 1);
        while (b.left < most_x &&
               one_colour(AT(b.left, b.top), stride, b.bottom - b.top, near))
            b.left++;
        while (
            p->width - b.right < most_x &&
            one_colour(AT(b.right - 1, b.top), stride, b.bottom - b.top, far))
            b.right--;
    }
#undef AT
    return b;
}

static akin_status hash_trimmed(const akin_picture *picture,
                                akin_picture_hashes *out, akin_error *err)
{
    uint8_t sketch[SIDE * SIDE];
    box b = find_borders(picture);
    akin_picture inner = {.width = b.right - b.left,
                          .height = b.bottom - b.top};
    size_t bytes = (size_t)inner.width * 3, y;
    akin_status rc;

    if (inner.width == picture->width && inner.height == picture->height) {
        out->trimmed = out->whole;
        return AKIN_OK;
    }
    inner.pixels = akin_alloc(bytes * inner.height);
    if (inner.pixels == NULL)
        return akin_fail(err, AKIN_NOMEM, "not enough memory for a hash");
    for (y = 0; y < inner.height; y++)
        memcpy(inner.pixels + y * bytes,
               picture->pixels + ((b.top + y) * picture->width + b.left) * 3,
               bytes);
    rc = draw_sketch(&inner, sketch, err);
    if (rc == AKIN_OK) out->trimmed = sign_hash(sketch);
    akin_free(inner.pixels);
    return rc;
}

static akin_status hash_pixels(const akin_picture *picture,
                               akin_picture_hashes *out, akin_error *err)
{
    uint8_t size[8];
    akin_sha256 *sha = akin_sha256_begin();
    int i;

    if (sha == NULL)
        return akin_fail(err, AKIN_NOMEM, "not enough memory for a hash");
    for (i = 0; i < 4; i++) {
        size[i] = (uint8_t)(picture->width >> 8 * i);
        size[4 + i] = (uint8_t)(picture->height >> 8 * i);
    }
    akin_sha256_add(sha, size, sizeof size);
    akin_sha256_add(sha, picture->pixels,
                    (size_t)picture->width * picture->height * 3);
    akin_sha256_finish(sha, out->pixels);
    return AKIN_OK;
}

akin_status akin_picture_hash(const akin_picture *picture,
                              akin_picture_hashes *out, akin_error *err)
{
    akin_status rc;

    memset(out, 0, sizeof *out);
    rc = draw_sketch(picture, out->sketch, err);
    if (rc) return rc;
    out->whole = sign_hash(out->sketch);
    out->detail = deviation(out->sketch);
    rc = hash_trimmed(picture, out, err);
    return rc ? rc : hash_pixels(picture, out, err);
}

/* ---- distances ------------------------------------------------------------ */

uint32_t akin_picture_distance(const akin_picture_phash *a,
                               const akin_picture_phash *b)
{
    uint32_t i, bits = 0;

    for (i = 0; i < 4; i++)
        bits += (uint32_t)__builtin_popcountll(a->word[i] ^ b->word[i]);
    return bits;
}

/* An 8 x 8 matrix of bits (Hacker's Delight, 7-3). */
static uint64_t transposed(uint64_t m)
{
    uint64_t t;

    t = (m ^ m >> 7) & UINT64_C(0x00aa00aa00aa00aa);
    m ^= t ^ t << 7;
    t = (m ^ m >> 14) & UINT64_C(0x0000cccc0000cccc);
    m ^= t ^ t << 14;
    t = (m ^ m >> 28) & UINT64_C(0x00000000f0f0f0f0);
    return m ^ t ^ t << 28;
}

akin_picture_phash akin_picture_turned(const akin_picture_phash *hash,
                                       uint32_t orientation)
{
    const uint64_t odd_across = UINT64_C(0xaaaaaaaaaaaaaaaa);
    const uint64_t odd_down = UINT64_C(0xff00ff00ff00ff00);
    bool mirror = orientation == 2 || orientation == 3 || orientation == 6 ||
                  orientation == 7;
    bool flip = orientation == 3 || orientation == 4 || orientation == 7 ||
                orientation == 8;
    akin_picture_phash out = *hash;
    uint32_t i;

    if (orientation >= 5) {
        out.word[0] = transposed(hash->word[0]);
        out.word[1] = transposed(hash->word[2]);
        out.word[2] = transposed(hash->word[1]);
        out.word[3] = transposed(hash->word[3]);
    }
    for (i = 0; i < 4; i++)
        out.word[i] ^= (mirror ? odd_across : 0) ^ (flip ? odd_down : 0);
    return out;
}

static uint32_t least_distance(const akin_picture_hashes *a,
                               const akin_picture_hashes *b,
                               uint32_t orientation)
{
    akin_picture_phash whole = akin_picture_turned(&b->whole, orientation);
    akin_picture_phash trimmed = akin_picture_turned(&b->trimmed, orientation);
    uint32_t d[4] = {akin_picture_distance(&a->whole, &whole),
                     akin_picture_distance(&a->trimmed, &trimmed),
                     akin_picture_distance(&a->whole, &trimmed),
                     akin_picture_distance(&a->trimmed, &whole)};
    uint32_t least = d[0], i;

    for (i = 1; i < 4; i++)
        if (d[i] < least) least = d[i];
    return least;
}

/* ---- looking for a crop ---------------------------------------------------- */

/* Looking at one candidate climbs through some 150 windows, so these loops run in
 * vectors of LANES floats: 10 times the speed of one by one. */
#define LANES 16 /* half a row */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

static inline lanes load(const float *from)
{
    lanes v;

    memcpy(&v, from, sizeof v);
    return v;
}

typedef struct {
    float at[SIDE][SIDE];
} field;

static void load_field(field *out, const uint8_t *sketch, uint32_t orientation)
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
    }
}

/* Where the 32 samples of a window that starts at share `from` and ends `to`
 * before the end lie: left neighbour and weight of the right one. */
static void place_samples(float from, float to, uint32_t left[SIDE],
                          float weight[SIDE])
{
    uint32_t i;

    for (i = 0; i < SIDE; i++) {
        float p = from * SIDE + (1 - from - to) * ((float)i + 0.5f) - 0.5f;

        p = p < 0 ? 0 : p > SIDE - 1 ? SIDE - 1 : p;
        left[i] = (uint32_t)p;
        if (left[i] > SIDE - 2) left[i] = SIDE - 2;
        weight[i] = p - (float)left[i];
    }
}

/* A row of SIDE samples at left[] + weight[] each. */
#if defined(__AVX512F__)
static inline void sample_row(const lanes in[2], const uint32_t left[SIDE],
                              const float weight[SIDE], float out[SIDE])
{
    __m512i one = _mm512_set1_epi32(1);
    uint32_t half;

    for (half = 0; half < 2; half++) {
        __m512i at = _mm512_loadu_si512(left + half * LANES);
        __m512 a = _mm512_permutex2var_ps((__m512)in[0], at, (__m512)in[1]);
        __m512 b = _mm512_permutex2var_ps(
            (__m512)in[0], _mm512_add_epi32(at, one), (__m512)in[1]);
        __m512 w = _mm512_loadu_ps(weight + half * LANES);

        _mm512_storeu_ps(out + half * LANES,
                         _mm512_fmadd_ps(w, _mm512_sub_ps(b, a), a));
    }
}
#else
static inline void sample_row(const lanes in[2], const uint32_t left[SIDE],
                              const float weight[SIDE], float out[SIDE])
{
    float row[SIDE];
    uint32_t x;

    memcpy(row, in, sizeof row);
    for (x = 0; x < SIDE; x++)
        out[x] = row[left[x]] + weight[x] * (row[left[x] + 1] - row[left[x]]);
}
#endif

static void cut_window(field *out, const field *in, const float cut[4])
{
    uint32_t column[SIDE], row[SIDE], y, half;
    float right[SIDE], below[SIDE];

    place_samples(cut[0], cut[2], column, right);
    place_samples(cut[1], cut[3], row, below);
    for (y = 0; y < SIDE; y++) {
        lanes mixed[2];

        for (half = 0; half < 2; half++) {
            lanes a = load(&in->at[row[y]][half * LANES]);
            lanes b = load(&in->at[row[y] + 1][half * LANES]);

            mixed[half] = a + below[y] * (b - a);
        }
        sample_row(mixed, column, right, out->at[y]);
    }
}

/* Gradients across and down of the first SIDE - 1 columns and rows, zeros in the
 * last column. */
typedef struct {
    lanes across[SIDE - 1][2], down[SIDE - 1][2];
    float energy;
} slopes;

static inline lanes slope(const field *f, uint32_t y, uint32_t half,
                          uint32_t next)
{
    const float *at = (const float *)f->at + y * SIDE + half * LANES;
    lanes d = load(at + next) - load(at);

    /* of the last column there is no slope: its neighbour is in the next row */
    if (half == 1) d[LANES - 1] = 0;
    return d;
}

static float sum_of(lanes v)
{
    float sum = 0;
    uint32_t i;

    for (i = 0; i < LANES; i++)
        sum += v[i];
    return sum;
}

static void find_slopes(slopes *out, const field *f)
{
    lanes energy = {0};
    uint32_t y, half;

    for (y = 0; y + 1 < SIDE; y++) {
        for (half = 0; half < 2; half++) {
            lanes dx = slope(f, y, half, 1), dy = slope(f, y, half, SIDE);

            out->across[y][half] = dx;
            out->down[y][half] = dy;
            energy += dx * dx + dy * dy;
        }
    }
    out->energy = 1e-3f + sum_of(energy);
}

/* Correlation of the gradients; brightness itself is dominated by what all
 * product photographs share, something dark on something light. */
static float correlation(const field *a, const slopes *b)
{
    lanes ab = {0}, aa = {0};
    uint32_t y, half;

    for (y = 0; y + 1 < SIDE; y++) {
        for (half = 0; half < 2; half++) {
            lanes dx = slope(a, y, half, 1), dy = slope(a, y, half, SIDE);

            ab += dx * b->across[y][half] + dy * b->down[y][half];
            aa += dx * dx + dy * dy;
        }
    }
    return sum_of(ab) / sqrtf((1e-3f + sum_of(aa)) * b->energy);
}

#define BLOCKS 4    /* a side, of 8 x 8 pixels */
#define FLOOR  0.15 /* of the mean gradient energy: even blocks agree */

/* The second lowest correlation of 16 blocks. Two shirts on one carpet agree
 * nearly everywhere, but not where the print is; one block may be off in copies
 * too, under a stamp or at a corner. */
static float weak_block(const field *a, const field *b)
{
    double ab[BLOCKS * BLOCKS] = {0}, aa[BLOCKS * BLOCKS] = {0};
    double bb[BLOCKS * BLOCKS] = {0}, all_a = 1e-3, all_b = 1e-3;
    double lowest = 2, second = 2;
    uint32_t x, y, i;

    for (y = 0; y + 1 < SIDE; y++) {
        for (x = 0; x + 1 < SIDE; x++) {
            double ax = a->at[y][x + 1] - a->at[y][x];
            double bx = b->at[y][x + 1] - b->at[y][x];
            double ay = a->at[y + 1][x] - a->at[y][x];
            double by = b->at[y + 1][x] - b->at[y][x];

            i = y * BLOCKS / SIDE * BLOCKS + x * BLOCKS / SIDE;
            ab[i] += ax * bx + ay * by;
            aa[i] += ax * ax + ay * ay;
            bb[i] += bx * bx + by * by;
        }
    }
    for (i = 0; i < BLOCKS * BLOCKS; i++) {
        all_a += aa[i] / (BLOCKS * BLOCKS);
        all_b += bb[i] / (BLOCKS * BLOCKS);
    }
    for (i = 0; i < BLOCKS * BLOCKS; i++) {
        double c = (ab[i] / sqrt(all_a * all_b) + FLOOR) /
                   sqrt((aa[i] / all_a + FLOOR) * (bb[i] / all_b + FLOOR));

        if (c < lowest) {
            second = lowest;
            lowest = c;
        } else if (c < second) {
            second = c;
        }
    }
    return (float)second;
}

/* The lower of both, for the crop and turn that were found. */
static float weakest(const field *a, const field *b,
                     const akin_picture_match *found)
{
    field window;
    float block;

    cut_window(&window, found->cut_b ? b : a, found->cut);
    block = weak_block(found->cut_b ? a : &window, found->cut_b ? &window : b);
    return block < found->similarity ? block : found->similarity;
}

#define MOST_CUT 0.2f
#define MOVES    12

/* The m-th neighbour of a window: one side in or out, all four in, a shift.
 * false: outside of what is looked at. */
static bool move_window(const float cut[4], uint32_t m, float step,
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
static float climb(const field *a, const slopes *b, float step, float start,
                   float cut[4])
{
    float best = start, next[4], chosen[4] = {0};
    field window;
    uint32_t m, i;

    for (i = 0; i < MOVES; i++) {
        float before = best;

        for (m = 0; m < MOVES; m++) {
            float now;

            if (!move_window(cut, m, step, next)) continue;
            cut_window(&window, a, next);
            now = correlation(&window, b);
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

/* One orientation of b against a, cutting one or the other. */
static void match_turned(const field *a, const field *b, uint32_t orientation,
                         akin_picture_match *out)
{
    slopes of_a, of_b;
    float start;
    uint32_t side;

    find_slopes(&of_a, a);
    find_slopes(&of_b, b);
    start = correlation(a, &of_b);
    for (side = 0; side < 2; side++) {
        float cut[4] = {0}, best = start, step;

        for (step = 0.04f; step > 0.009f; step /= 2)
            best = side == 0 ? climb(a, &of_b, step, best, cut)
                             : climb(b, &of_a, step, best, cut);
        if (best > out->similarity) {
            out->similarity = best;
            out->cut_b = side == 1;
            out->orientation = orientation;
            memcpy(out->cut, cut, sizeof cut);
        }
    }
}

void akin_picture_compare(const akin_picture_hashes *a,
                          const akin_picture_hashes *b, bool turned,
                          akin_picture_match *out)
{
    uint32_t orientation, last = turned ? 8 : 1;
    field of_a, of_b;

    memset(out, 0, sizeof *out);
    out->distance = UINT32_MAX;
    out->similarity = -2;
    load_field(&of_a, a->sketch, 1);
    for (orientation = 1; orientation <= last; orientation++) {
        uint32_t distance = least_distance(a, b, orientation);

        if (distance < out->distance) out->distance = distance;
        load_field(&of_b, b->sketch, orientation);
        match_turned(&of_a, &of_b, orientation, out);
    }
    load_field(&of_b, b->sketch, out->orientation);
    out->similarity = weakest(&of_a, &of_b, out);
}
