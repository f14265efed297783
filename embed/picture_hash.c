/* Perceptual hashes; picture_compare.c compares those who have similar ones.
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

#define SIDE        AKIN_PICTURE_SKETCH
#define FREQUENCIES 16
#define COS_BITS    14

#define TRIM_TOLERANCE 10 /* of 255: noise in a border, not a white wall */
#define TRIM_SHARE     3  /* at most 1/3 of a side at a time */
#define TRIM_ROUNDS    6

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
 * corner; again while that changes anything, since a corner may lie in the border
 * of another side, and a margin inside a frame. */
static box find_borders(const akin_picture *p)
{
    size_t stride = (size_t)p->width * 3;
    box b = {0, 0, p->width, p->height}, before;
    int round = 0;

#define AT(x, y) (p->pixels + (size_t)(y)*stride + (size_t)(x)*3)
    do {
        uint32_t most_x = (b.right - b.left) / TRIM_SHARE;
        uint32_t most_y = (b.bottom - b.top) / TRIM_SHARE;
        const box least = {b.left + most_x, b.top + most_y, b.right - most_x,
                           b.bottom - most_y};
        const uint8_t *near = AT(b.left, b.top);
        const uint8_t *far = AT(b.right - 1, b.bottom - 1);

        before = b;
        while (b.top < least.top &&
               one_colour(AT(b.left, b.top), 3, b.right - b.left, near))
            b.top++;
        while (b.bottom > least.bottom &&
               one_colour(AT(b.left, b.bottom - 1), 3, b.right - b.left, far))
            b.bottom--;
        near = AT(b.left, b.top);
        far = AT(b.right - 1, b.bottom - 1);
        while (b.left < least.left &&
               one_colour(AT(b.left, b.top), stride, b.bottom - b.top, near))
            b.left++;
        while (
            b.right > least.right &&
            one_colour(AT(b.right - 1, b.top), stride, b.bottom - b.top, far))
            b.right--;
    } while (memcmp(&before, &b, sizeof b) != 0 && ++round < TRIM_ROUNDS);
#undef AT
    return b;
}

akin_status akin__picture_inner(const akin_picture *picture, akin_picture *out,
                                akin_error *err)
{
    box b = find_borders(picture);
    size_t bytes = (size_t)(b.right - b.left) * 3, y;

    *out =
        (akin_picture){.width = b.right - b.left, .height = b.bottom - b.top};
    if (out->width == picture->width && out->height == picture->height)
        return AKIN_OK;
    out->pixels = akin_alloc(bytes * out->height);
    if (out->pixels == NULL)
        return akin_fail(err, AKIN_NOMEM, "not enough memory for a hash");
    for (y = 0; y < out->height; y++)
        memcpy(out->pixels + y * bytes,
               picture->pixels + ((b.top + y) * picture->width + b.left) * 3,
               bytes);
    return AKIN_OK;
}

static akin_status hash_trimmed(const akin_picture *picture,
                                akin_picture_hashes *out, akin_error *err)
{
    uint8_t sketch[SIDE * SIDE];
    akin_picture inner;
    akin_status rc = akin__picture_inner(picture, &inner, err);

    if (rc) return rc;
    out->trimmed = out->whole;
    if (inner.pixels == NULL) return AKIN_OK;
    rc = draw_sketch(&inner, sketch, err);
    if (rc == AKIN_OK) out->trimmed = sign_hash(sketch);
    akin_picture_clear(&inner);
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
