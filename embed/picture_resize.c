/* Scaling as Pillow up to 12 does it, to the last bit, because embeddings are
 * compared with those of models that were trained and evaluated on its pixels.
 *
 * Bicubic with a = -0.5, support 2 * max(scale, 1) (antialiased). The weights
 * of an output pixel are normalised to sum 1 in double precision, then rounded
 * to integers with 22 fraction bits; rows first, then columns, each pass
 * rounded and clipped to 8 bits. This file is compiled with contraction off: a
 * fused multiply-add in the weights would change their last bit.
 *
 * The fast loops stay exact by splitting each weight into w = high * 2^11 + low,
 * 0 <= low < 2^11: both halves fit 16 bits, so that pairs of taps go through
 * the 16-bit multiply-add (pmaddwd) into 32-bit sums, and
 * sum(w p) = sum(high p) * 2^11 + sum(low p) holds in integers. */
#include "picture_internal.h"

#include <math.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define HALF     (1 << (PICTURE_FILTER_BITS - 1))
#define LOW_BITS 11
#define MAX_SIDE 65535u

static double bicubic(double x)
{
    const double a = -0.5;

    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

/* Weights of the i-th output of the window, in the order of operations of Pillow's
 * precompute_coeffs. */
static void weigh(akin__picture_filter *f, uint32_t i, double scale,
                  double support, double *k)
{
    double center = (f->from + i + 0.5) * scale;
    double inverse = 1.0 / (scale < 1.0 ? 1.0 : scale), sum = 0.0;
    int64_t first = (int64_t)(center - support + 0.5);
    int64_t end = (int64_t)(center + support + 0.5);
    int32_t *weight = f->weight + (size_t)i * f->taps;
    uint32_t t, count;

    if (first < 0) first = 0;
    if (end > f->in) end = f->in;
    count = (uint32_t)(end - first);
    for (t = 0; t < count; t++) {
        k[t] = bicubic(((double)(t + first) - center + 0.5) * inverse);
        sum += k[t];
    }
    for (t = 0; t < count; t++) {
        double w = sum != 0.0 ? k[t] / sum : k[t];

        weight[t] = (int32_t)(w < 0 ? -0.5 + w * (1 << PICTURE_FILTER_BITS)
                                    : 0.5 + w * (1 << PICTURE_FILTER_BITS));
        f->high[(size_t)i * f->taps + t] = (int16_t)(weight[t] >> LOW_BITS);
        f->low[(size_t)i * f->taps + t] =
            (int16_t)(weight[t] & ((1 << LOW_BITS) - 1));
    }
    f->first[i] = (uint32_t)first;
    f->count[i] = count;
}

akin_status akin__picture_filter_init(akin__picture_filter *filter, uint32_t in,
                                      double extent, uint32_t out,
                                      uint32_t from, uint32_t n,
                                      akin_error *err)
{
    double scale = extent / out;
    double support = 2.0 * (scale < 1.0 ? 1.0 : scale);
    double *k;
    uint32_t i;

    memset(filter, 0, sizeof *filter);
    filter->in = in;
    filter->from = from;
    filter->n = n;
    filter->taps = ((uint32_t)ceil(support) * 2 + 1 + 3) / 4 * 4;
    filter->first = akin_calloc(n, sizeof *filter->first);
    filter->count = akin_calloc(n, sizeof *filter->count);
    filter->weight =
        akin_calloc((size_t)n * filter->taps, sizeof *filter->weight);
    filter->high = akin_calloc((size_t)n * filter->taps, sizeof *filter->high);
    filter->low = akin_calloc((size_t)n * filter->taps, sizeof *filter->low);
    k = akin_calloc(filter->taps, sizeof *k);
    if (filter->first == NULL || filter->count == NULL ||
        filter->weight == NULL || filter->high == NULL || filter->low == NULL ||
        k == NULL) {
        akin_free(k);
        akin__picture_filter_clear(filter);
        return akin_fail(err, AKIN_NOMEM,
                         "not enough memory to scale %u pixels to %u", in, out);
    }
    for (i = 0; i < n; i++)
        weigh(filter, i, scale, support, k);
    akin_free(k);
    return AKIN_OK;
}

void akin__picture_filter_clear(akin__picture_filter *filter)
{
    akin_free(filter->first);
    akin_free(filter->count);
    akin_free(filter->weight);
    akin_free(filter->high);
    akin_free(filter->low);
    memset(filter, 0, sizeof *filter);
}

static uint8_t clip(int32_t sum)
{
    sum >>= PICTURE_FILTER_BITS;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

/* One output pixel of one row. */
static void across_pixel(const akin__picture_filter *filter, uint32_t i,
                         const uint8_t *in, uint8_t *out)
{
    const int32_t *weight = filter->weight + (size_t)i * filter->taps;
    const uint8_t *p = in + (size_t)filter->first[i] * 3;
    uint32_t t, c;

    for (c = 0; c < 3; c++) {
        int32_t sum = HALF;

        for (t = 0; t < filter->count[i]; t++)
            sum += p[3 * t + c] * weight[t];
        out[c] = clip(sum);
    }
}

void akin__picture_across_plain(const akin__picture_filter *filter,
                                const uint8_t *in, size_t stride, uint32_t rows,
                                uint8_t *out)
{
    uint32_t i, row;

    for (row = 0; row < rows; row++, in += stride)
        for (i = 0; i < filter->n; i++, out += 3)
            across_pixel(filter, i, in, out);
}

void akin__picture_down_plain(const int32_t *weight, uint32_t count,
                              const uint8_t *in, size_t stride, size_t bytes,
                              uint8_t *out)
{
    size_t x;
    uint32_t t;

    for (x = 0; x < bytes; x++) {
        int32_t sum = HALF;

        for (t = 0; t < count; t++)
            sum += in[t * stride + x] * weight[t];
        out[x] = clip(sum);
    }
}

#if defined(__AVX2__)

/* sum + the products of pairs of 16-bit numbers. */
static inline __m256i add_products(__m256i sum, __m256i a, __m256i b)
{
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
    return _mm256_dpwssd_epi32(sum, a, b);
#else
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
#endif
}

#define ROWS 4 /* share the weights of a pixel; 2 sums each fill 8 registers */

/* The sums of one pixel as 32-bit numbers R, G, B, and one of no sense. */
static inline __m128i finish_sums(__m256i high, __m256i low)
{
    __m256i both = _mm256_add_epi32(_mm256_slli_epi32(high, LOW_BITS), low);
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both),
                                _mm256_extracti128_si256(both, 1));

    return _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(HALF)),
                          PICTURE_FILTER_BITS);
}

/* One pixel of ROWS rows. Four taps a step: 12 bytes become (R0 R1)(G0 G1)(B0 B1)
 * in the lower half of a register and taps 2 and 3 in the upper one, as 16-bit
 * pairs. spare: a fourth byte behind each pixel may be written. */
static inline void across_rows(const akin__picture_filter *filter, uint32_t i,
                               const uint8_t *in, size_t stride, bool spare,
                               uint8_t *out)
{
    const __m256i pairs = _mm256_setr_epi8(
        0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1,
        7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    const __m256i spread =
        _mm256_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5,
                         6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
    const int16_t *high = filter->high + (size_t)i * filter->taps;
    const int16_t *low = filter->low + (size_t)i * filter->taps;
    const uint8_t *p = in + (size_t)filter->first[i] * 3;
    size_t row_bytes = (size_t)filter->n * 3;
    __m256i high0 = _mm256_setzero_si256(), low0 = high0;
    __m256i high1 = high0, low1 = high0, high2 = high0, low2 = high0;
    __m256i high3 = high0, low3 = high0;
    __m128i pixels;
    uint32_t t, row;
    uint8_t rgb[16];

    for (t = 0; t < filter->count[i]; t += 4, p += 12) {
        __m256i wh, wl, taps;
        int64_t h, l;

        memcpy(&h, high + t, sizeof h);
        memcpy(&l, low + t, sizeof l);
        wh = _mm256_shuffle_epi8(_mm256_set1_epi64x(h), spread);
        wl = _mm256_shuffle_epi8(_mm256_set1_epi64x(l), spread);
#define ADD_ROW(row)                                                           \
    taps = _mm256_broadcastsi128_si256(                                        \
        _mm_loadu_si128((const __m128i *)(p + row * stride)));                 \
    taps = _mm256_shuffle_epi8(taps, pairs);                                   \
    high##row = add_products(high##row, taps, wh);                             \
    low##row = add_products(low##row, taps, wl);
        ADD_ROW(0)
        ADD_ROW(1)
        ADD_ROW(2)
        ADD_ROW(3)
#undef ADD_ROW
    }
    pixels = _mm_packus_epi16(
        _mm_packs_epi32(finish_sums(high0, low0), finish_sums(high1, low1)),
        _mm_packs_epi32(finish_sums(high2, low2), finish_sums(high3, low3)));
    _mm_storeu_si128((__m128i *)rgb, pixels);
    for (row = 0; row < ROWS; row++)
        memcpy(out + row * row_bytes, rgb + row * 4, spare ? 4 : 3);
}

void akin__picture_across(const akin__picture_filter *filter, const uint8_t *in,
                          size_t stride, uint32_t rows, size_t readable,
                          uint8_t *out)
{
    size_t row_bytes = (size_t)filter->n * 3;
    uint32_t i, row;

    for (; rows >= ROWS; rows -= ROWS) {
        size_t last = (ROWS - 1) * stride;

        for (i = 0; i < filter->n; i++) {
            size_t steps = ((size_t)filter->count[i] + 3) / 4;
            size_t end = (size_t)filter->first[i] * 3 + steps * 12 + 4;

            if (last + end <= readable) {
                if (i + 1 < filter->n)
                    across_rows(filter, i, in, stride, true,
                                out + 3 * (size_t)i);
                else
                    across_rows(filter, i, in, stride, false,
                                out + 3 * (size_t)i);
                continue;
            }
            for (row = 0; row < ROWS; row++)
                across_pixel(filter, i, in + row * stride,
                             out + row * row_bytes + 3 * (size_t)i);
        }
        in += ROWS * stride;
        out += ROWS * row_bytes;
        readable -= ROWS * stride < readable ? ROWS * stride : readable;
    }
    akin__picture_across_plain(filter, in, stride, rows, out);
}

static __m256i down_sum(__m256i high, __m256i low)
{
    __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, LOW_BITS), low);

    sum = _mm256_add_epi32(sum, _mm256_set1_epi32(HALF));
    return _mm256_srai_epi32(sum, PICTURE_FILTER_BITS);
}

/* 16 columns, two rows a step. */
static void down_columns(const int32_t *weight, uint32_t count,
                         const uint8_t *in, size_t stride, uint8_t *out)
{
    __m256i high[2], low[2], words;
    uint32_t t, half;

    for (half = 0; half < 2; half++)
        high[half] = low[half] = _mm256_setzero_si256();
    for (t = 0; t < count; t += 2) {
        bool pair = t + 1 < count;
        int32_t w0 = weight[t], w1 = pair ? weight[t + 1] : 0;
        const uint8_t *p = in + t * stride;
        __m128i a = _mm_loadu_si128((const __m128i *)p);
        __m128i b = _mm_loadu_si128((const __m128i *)(pair ? p + stride : p));
        const int32_t mask = (1 << LOW_BITS) - 1;
        __m256i wh =
            _mm256_set1_epi32((int32_t)((uint32_t)(w1 >> LOW_BITS) << 16 |
                                        (uint16_t)(w0 >> LOW_BITS)));
        __m256i wl = _mm256_set1_epi32((w1 & mask) << 16 | (w0 & mask));

        for (half = 0; half < 2; half++) {
            __m256i taps = _mm256_cvtepu8_epi16(
                half == 0 ? _mm_unpacklo_epi8(a, b) : _mm_unpackhi_epi8(a, b));

            high[half] = add_products(high[half], taps, wh);
            low[half] = add_products(low[half], taps, wl);
        }
    }
    words = _mm256_packs_epi32(down_sum(high[0], low[0]),
                               down_sum(high[1], low[1]));
    words = _mm256_permute4x64_epi64(words, 0xd8);
    _mm_storeu_si128((__m128i *)out,
                     _mm_packus_epi16(_mm256_castsi256_si128(words),
                                      _mm256_extracti128_si256(words, 1)));
}

void akin__picture_down(const int32_t *weight, uint32_t count,
                        const uint8_t *in, size_t stride, size_t bytes,
                        uint8_t *out)
{
    size_t x;

    for (x = 0; x + 16 <= bytes; x += 16)
        down_columns(weight, count, in + x, stride, out + x);
    akin__picture_down_plain(weight, count, in + x, stride, bytes - x, out + x);
}

#else /* compilers vectorise the plain loops for other processors */

void akin__picture_across(const akin__picture_filter *filter, const uint8_t *in,
                          size_t stride, uint32_t rows, size_t readable,
                          uint8_t *out)
{
    (void)readable;
    akin__picture_across_plain(filter, in, stride, rows, out);
}

void akin__picture_down(const int32_t *weight, uint32_t count,
                        const uint8_t *in, size_t stride, size_t bytes,
                        uint8_t *out)
{
    akin__picture_down_plain(weight, count, in, stride, bytes, out);
}

#endif

/* Part of a picture scaled to (height, width): `rows` x `columns` pixels from
 * (top, left) on. Only what these need is computed. */
typedef struct {
    uint32_t width, height, left, top, columns, rows;
} window;

static akin_status scale(const akin_picture *picture, const window *w,
                         uint8_t *out, akin_error *err)
{
    size_t stride = (size_t)picture->width * 3;
    size_t bytes = (size_t)w->columns * 3;
    double extent_x = picture->width, extent_y = picture->height;
    akin__picture_filter across = {0}, down = {0};
    uint8_t *middle = NULL;
    const uint8_t *from = picture->pixels;
    uint32_t first, end, i;
    akin_status rc;

    if (picture->shrink > 1) { /* pixels at the end may be cut or narrower */
        extent_x = (double)picture->file_width / picture->shrink;
        extent_y = (double)picture->file_height / picture->shrink;
    }
    rc = akin__picture_filter_init(&across, picture->width, extent_x, w->width,
                                   w->left, w->columns, err);
    if (rc) goto done;
    rc = akin__picture_filter_init(&down, picture->height, extent_y, w->height,
                                   w->top, w->rows, err);
    if (rc) goto done;
    first = down.first[0];
    end = down.first[w->rows - 1] + down.count[w->rows - 1];
    middle = akin_alloc((size_t)(end - first) * bytes);
    if (middle == NULL) {
        rc = akin_fail(err, AKIN_NOMEM, "not enough memory to scale a picture");
        goto done;
    }
    /* a pass that keeps the size has the weights 0 1 0: a copy */
    from += (size_t)first * stride;
    if (w->width == picture->width && w->width == extent_x)
        for (i = 0; i < end - first; i++)
            memcpy(middle + i * bytes, from + i * stride + (size_t)w->left * 3,
                   bytes);
    else
        akin__picture_across(&across, from, stride, end - first,
                             (picture->height - first) * stride, middle);
    for (i = 0; i < w->rows; i++)
        akin__picture_down(down.weight + (size_t)i * down.taps, down.count[i],
                           middle + (down.first[i] - first) * bytes, bytes,
                           bytes, out + i * bytes);

done:
    akin_free(middle);
    akin__picture_filter_clear(&across);
    akin__picture_filter_clear(&down);
    return rc;
}

/* A shrunk picture must have about as many pixels as its file's size says. */
static bool covers(uint64_t pixels, uint64_t file, uint64_t shrink)
{
    return pixels * shrink < file + shrink && (pixels + 1) * shrink > file;
}

static akin_status check_picture(const akin_picture *p, akin_error *err)
{
    if (p->pixels == NULL || p->width == 0 || p->height == 0)
        return akin_fail(err, AKIN_INVALID, "expected a picture with pixels");
    if (p->shrink > 1 && (!covers(p->width, p->file_width, p->shrink) ||
                          !covers(p->height, p->file_height, p->shrink)))
        return akin_fail(
            err, AKIN_INVALID, "%u x %u pixels are not %u x %u shrunk by %u",
            p->width, p->height, p->file_width, p->file_height, p->shrink);
    return AKIN_OK;
}

akin_status akin_picture_resize(const akin_picture *picture, uint32_t width,
                                uint32_t height, uint8_t *out, akin_error *err)
{
    window w = {width, height, 0, 0, width, height};
    akin_status rc = check_picture(picture, err);

    if (rc) return rc;
    if (width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE)
        return akin_fail(err, AKIN_INVALID, "expected sides 1 to %u, got %ux%u",
                         MAX_SIDE, width, height);
    return scale(picture, &w, out, err);
}

akin_status akin_picture_prepare(const akin_picture *picture,
                                 const akin_picture_transform *transform,
                                 uint8_t *out, akin_error *err)
{
    uint32_t size = transform->image_size, edge = transform->resize_edge;
    uint32_t width, height, shorter, longer;
    window w = {size, size, 0, 0, size, size};
    akin_status rc = check_picture(picture, err);

    if (rc) return rc;
    if (size == 0 || size > AKIN_PICTURE_MAX_MODEL_SIDE)
        return akin_fail(err, AKIN_INVALID,
                         "expected image_size 1 to %u, "
                         "got %u",
                         AKIN_PICTURE_MAX_MODEL_SIDE, size);
    if (transform->resize == AKIN_RESIZE_SQUASH)
        return scale(picture, &w, out, err);
    if (edge < size || edge > AKIN_PICTURE_MAX_MODEL_SIDE)
        return akin_fail(err, AKIN_INVALID,
                         "expected resize_edge %u to %u, got %u", size,
                         AKIN_PICTURE_MAX_MODEL_SIDE, edge);
    /* from the file's size, so that shrinking moves no crop by a pixel */
    width = picture->shrink > 1 ? picture->file_width : picture->width;
    height = picture->shrink > 1 ? picture->file_height : picture->height;
    shorter = width < height ? width : height;
    longer = width < height ? height : width;
    if (longer > UINT32_MAX / AKIN_PICTURE_MAX_MODEL_SIDE)
        return akin_fail(err, AKIN_INVALID, "a side of %u is too long", longer);
    longer = (uint32_t)((uint64_t)edge * longer / shorter);
    w.width = width < height ? edge : longer;
    w.height = width < height ? longer : edge;
    w.left = (w.width - size) / 2;
    w.top = (w.height - size) / 2;
    return scale(picture, &w, out, err);
}
