/* Dot products of float32 queries with float16 rows, and the heap that keeps
 * the best.
 *
 * A scan is bound by memory (a 512-d row is 1 KB), so one pass over the rows
 * serves several queries: a tile of 4 rows by 1 query, or 2 by 4, holds its
 * accumulators in registers. Each dot has one accumulator register of its own
 * in every tile shape, which keeps its rounding the same everywhere; the tiles'
 * several dots are what hides the latency of the multiply-adds. */
#include "internal.h"

#include <math.h>

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>
#define LANES 16
typedef __m512 lanes;
static inline lanes lanes_zero(void)
{
    return _mm512_setzero_ps();
}
static inline lanes lanes_load(const float *p, size_t n)
{
    if (n >= LANES) return _mm512_loadu_ps(p);
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline lanes lanes_half(const uint16_t *p, size_t n)
{
    if (n >= LANES)
        return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_cvtph_ps(
        _mm256_maskz_loadu_epi16((__mmask16)((1u << n) - 1), p));
}
static inline lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline float lanes_sum(lanes a)
{
    return _mm512_reduce_add_ps(a);
}
static inline lanes lanes_all(float x)
{
    return _mm512_set1_ps(x);
}
static inline void lanes_store(float *p, lanes a)
{
    _mm512_storeu_ps(p, a);
}
#elif defined(__AVX2__) && defined(__F16C__) && defined(__FMA__)
#include <immintrin.h>
#include <string.h>
#define LANES 8
typedef __m256 lanes;
static inline lanes lanes_zero(void)
{
    return _mm256_setzero_ps();
}
static inline lanes lanes_load(const float *p, size_t n)
{
    float tail[LANES] = {0};
    if (n >= LANES) return _mm256_loadu_ps(p);
    memcpy(tail, p, n * sizeof *p);
    return _mm256_loadu_ps(tail);
}
static inline lanes lanes_half(const uint16_t *p, size_t n)
{
    uint16_t tail[LANES] = {0};
    if (n < LANES) {
        memcpy(tail, p, n * sizeof *p);
        p = tail;
    }
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static inline lanes lanes_fma(lanes a, lanes b, lanes c)
{
    return _mm256_fmadd_ps(a, b, c);
}
static inline float lanes_sum(lanes a)
{
    __m128 x =
        _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
static inline lanes lanes_all(float x)
{
    return _mm256_set1_ps(x);
}
static inline void lanes_store(float *p, lanes a)
{
    _mm256_storeu_ps(p, a);
}
#endif

float akin__dot_plain(const float *query, const uint16_t *row, size_t dim)
{
    float part[64], sum = 0;
    for (size_t i = 0; i < dim; i += 64) {
        size_t n = dim - i < 64 ? dim - i : 64;
        akin_float_from_half(part, row + i, n);
        for (size_t j = 0; j < n; j++)
            sum += part[j] * query[i + j];
    }
    return sum;
}

#ifdef LANES

/* out[r * stride + q], R rows by Q queries. */
#define TILE(name, R, Q)                                                       \
    static void name(const float *const *queries, const uint16_t *const *rows, \
                     size_t dim, float *out, size_t stride)                    \
    {                                                                          \
        lanes acc[R][Q], x[R];                                                 \
        for (int r = 0; r < R; r++)                                            \
            for (int q = 0; q < Q; q++)                                        \
                acc[r][q] = lanes_zero();                                      \
        size_t i = 0;                                                          \
        for (; i + LANES <= dim; i += LANES) {                                 \
            for (int r = 0; r < R; r++)                                        \
                x[r] = lanes_half(rows[r] + i, LANES);                         \
            for (int q = 0; q < Q; q++) {                                      \
                lanes y = lanes_load(queries[q] + i, LANES);                   \
                for (int r = 0; r < R; r++)                                    \
                    acc[r][q] = lanes_fma(x[r], y, acc[r][q]);                 \
            }                                                                  \
        }                                                                      \
        if (i < dim)                                                           \
            for (int r = 0; r < R; r++)                                        \
                for (int q = 0; q < Q; q++)                                    \
                    acc[r][q] = lanes_fma(lanes_half(rows[r] + i, dim - i),    \
                                          lanes_load(queries[q] + i, dim - i), \
                                          acc[r][q]);                          \
        for (int r = 0; r < R; r++)                                            \
            for (int q = 0; q < Q; q++)                                        \
                out[(size_t)r * stride + (size_t)q] = lanes_sum(acc[r][q]);    \
    }

TILE(tile_4x1, 4, 1)
TILE(tile_1x1, 1, 1)
TILE(tile_2x4, 2, 4)
TILE(tile_1x4, 1, 4)

void akin__dots(const float *const *queries, size_t nq,
                const uint16_t *const *rows, size_t nr, size_t dim, float *out)
{
    size_t q = 0, r;
    for (; q + 4 <= nq; q += 4) {
        for (r = 0; r + 2 <= nr; r += 2)
            tile_2x4(queries + q, rows + r, dim, out + r * nq + q, nq);
        for (; r < nr; r++)
            tile_1x4(queries + q, rows + r, dim, out + r * nq + q, nq);
    }
    for (; q < nq; q++) {
        for (r = 0; r + 4 <= nr; r += 4)
            tile_4x1(queries + q, rows + r, dim, out + r * nq + q, nq);
        for (; r < nr; r++)
            tile_1x1(queries + q, rows + r, dim, out + r * nq + q, nq);
    }
}

#else

void akin__dots(const float *const *queries, size_t nq,
                const uint16_t *const *rows, size_t nr, size_t dim, float *out)
{
    for (size_t r = 0; r < nr; r++)
        for (size_t q = 0; q < nq; q++)
            out[r * nq + q] = akin__dot_plain(queries[q], rows[r], dim);
}

#endif

/* ---- tables of the product quantizer ------------------------------------------- */

void akin__table_plain(const float *book, const float *query, size_t m,
                       size_t width, float *out)
{
    for (size_t j = 0; j < m; j++, query += width, book += width * 256)
        for (size_t c = 0; c < 256; c++) {
            float sum = 0;
            for (size_t d = 0; d < width; d++)
                sum += book[d * 256 + c] * query[d];
            *out++ = sum;
        }
}

#ifdef LANES

/* Q queries; two registers of columns by Q hold the sums. */
#define TABLES(name, Q)                                                        \
    static void name(const float *book, const float *const *queries, size_t m, \
                     size_t width, float *const *out)                          \
    {                                                                          \
        for (size_t j = 0; j < m; j++, book += width * 256)                    \
            for (size_t c = 0; c < 256; c += 2 * LANES) {                      \
                lanes a[Q], b[Q];                                              \
                for (int q = 0; q < Q; q++)                                    \
                    a[q] = b[q] = lanes_zero();                                \
                for (size_t d = 0; d < width; d++) {                           \
                    lanes x = lanes_load(book + d * 256 + c, LANES);           \
                    lanes y = lanes_load(book + d * 256 + c + LANES, LANES);   \
                    for (int q = 0; q < Q; q++) {                              \
                        lanes z = lanes_all(queries[q][j * width + d]);        \
                        a[q] = lanes_fma(x, z, a[q]);                          \
                        b[q] = lanes_fma(y, z, b[q]);                          \
                    }                                                          \
                }                                                              \
                for (int q = 0; q < Q; q++) {                                  \
                    lanes_store(out[q] + j * 256 + c, a[q]);                   \
                    lanes_store(out[q] + j * 256 + c + LANES, b[q]);           \
                }                                                              \
            }                                                                  \
    }

TABLES(tables_1, 1)
TABLES(tables_4, 4)

void akin__tables(const float *book, const float *const *queries, size_t nq,
                  size_t m, size_t width, float *const *out)
{
    size_t q = 0;
    for (; q + 4 <= nq; q += 4)
        tables_4(book, queries + q, m, width, out + q);
    for (; q < nq; q++)
        tables_1(book, queries + q, m, width, out + q);
}

#else

void akin__tables(const float *book, const float *const *queries, size_t nq,
                  size_t m, size_t width, float *const *out)
{
    for (size_t q = 0; q < nq; q++)
        akin__table_plain(book, queries[q], m, width, out[q]);
}

#endif

float akin__inverse_norm(const uint16_t *row, size_t dim)
{
    double sum = 0;
    float part[64];
    for (size_t i = 0; i < dim; i += 64) {
        size_t n = dim - i < 64 ? dim - i : 64;
        akin_float_from_half(part, row + i, n);
        for (size_t j = 0; j < n; j++)
            sum += (double)part[j] * part[j];
    }
    return sum > 0 && isfinite(sum) ? (float)(1 / sqrt(sum)) : 0;
}

float akin__query_inverse(const float *query, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (double)query[i] * query[i];
    return sum > 0 && isfinite(sum) ? (float)(1 / sqrt(sum)) : 0;
}

/* ---- top-k ------------------------------------------------------------------ */

static inline bool better(const akin_hit *a, const akin_hit *b)
{
    return a->cosine != b->cosine ? a->cosine > b->cosine : a->label < b->label;
}

static void sift_down(akin_hit *hits, uint32_t n, uint32_t i)
{
    akin_hit x = hits[i];
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && better(&hits[child], &hits[child + 1])) child++;
        if (!better(&x, &hits[child])) break;
        hits[i] = hits[child];
        i = child;
    }
    hits[i] = x;
}

void akin__top_push(akin__top *top, uint64_t label, float cosine)
{
    akin_hit x = {label, cosine};
    if (cosine < top->min_cosine) return;
    if (top->n < top->k) {
        uint32_t i = top->n++;
        while (i > 0 && better(&top->hits[(i - 1) / 2], &x)) {
            top->hits[i] = top->hits[(i - 1) / 2];
            i = (i - 1) / 2;
        }
        top->hits[i] = x;
    } else if (better(&x, &top->hits[0])) {
        top->hits[0] = x;
        sift_down(top->hits, top->n, 0);
    }
}

void akin__top_sort(akin__top *top)
{
    for (uint32_t n = top->n; n > 1; n--) {
        akin_hit worst = top->hits[0];
        top->hits[0] = top->hits[n - 1];
        sift_down(top->hits, n - 1, 0);
        top->hits[n - 1] = worst;
    }
}

void akin__scan_flush(akin__scan *scan)
{
    float dots[AKIN__SCAN_ROWS * AKIN__SCAN_QUERIES];
    akin__dots(scan->queries, scan->nq, scan->rows, scan->n, scan->dim, dots);
    for (size_t q = 0; q < scan->nq; q++) {
        akin__top *top = &scan->tops[q];
        for (size_t r = 0; r < scan->n; r++) {
            float cosine =
                dots[r * scan->nq + q] * scan->norms[r] * scan->inverse[q];
            if (top->n == top->k && cosine < top->hits[0].cosine) continue;
            cosine = cosine > 1 ? 1 : cosine < -1 ? -1 : cosine;
            akin__top_push(top, scan->labels[r], cosine);
        }
    }
    scan->seen += scan->n;
    scan->n = 0;
}
