/* The product for few rows: a short text, one picture's last layer. It is bound
 * by reading W from memory, so W is read once, in place, each four of its rows
 * against all of x, while the next ones are fetched. ViT-B/32's text tower, 10
 * tokens: 13 ms where OpenBLAS takes 29; from about 60 rows on OpenBLAS is
 * faster. */
#include "kernels.h"
#include "vector.h"

/* ROWS of x by COLS of w at a time: as many sums as there are registers. */
#ifdef __AVX512F__
#define ROWS 6
#define COLS 4
/* keeps v in a register: gcc would load it again for each product */
#define IN_REGISTER(v) __asm__("" : "+v"(v))
#else
#define ROWS           3
#define COLS           2
#define IN_REGISTER(v) (void)(v)
#endif
/* Of each four floats: two vectors mingled, then two such pairs. */
#define EACH_FOUR(a, b, i, j, k, l)                                            \
    __builtin_shufflevector(a, b, i, j, k, l, i + 4, j + 4, k + 4, l + 4,      \
                            i + 8, j + 8, k + 8, l + 8, i + 12, j + 12,        \
                            k + 12, l + 12)
#define LOW_PAIRS(a, b)   EACH_FOUR(a, b, 0, 16, 1, 17)
#define HIGH_PAIRS(a, b)  EACH_FOUR(a, b, 2, 18, 3, 19)
#define LOW_HALVES(a, b)  EACH_FOUR(a, b, 0, 1, 16, 17)
#define HIGH_HALVES(a, b) EACH_FOUR(a, b, 2, 3, 18, 19)

#define FAR 32 /* rows of w fetched ahead into the second cache level */

void akin__multiply_few_plain(float *y, size_t ldy, const float *x,
                              const float *w, size_t R, size_t N, size_t K)
{
    for (size_t r = 0; r < R; r++) {
        for (size_t n = 0; n < N; n++) {
            float total = 0;

            for (size_t k = 0; k < K; k++)
                total += x[r * K + k] * w[n * K + k];
            y[r * ldy + n] += total;
        }
    }
}

/* y[n] += the sum of v[n]. Four at once take a third of the time of four sums,
 * which matters where K is small. */
static inline void add_sums(float *y, const vf *v)
{
#if COLS == 4
    vf ab = LOW_PAIRS(v[0], v[1]) + HIGH_PAIRS(v[0], v[1]);
    vf cd = LOW_PAIRS(v[2], v[3]) + HIGH_PAIRS(v[2], v[3]);
    vf all = LOW_HALVES(ab, cd) + HIGH_HALVES(ab, cd);
    vf8 half = __builtin_shufflevector(all, all, 0, 1, 2, 3, 4, 5, 6, 7) +
               __builtin_shufflevector(all, all, 8, 9, 10, 11, 12, 13, 14, 15);
    vf4 sums, old;

    sums = __builtin_shufflevector(half, half, 0, 1, 2, 3) +
           __builtin_shufflevector(half, half, 4, 5, 6, 7);
    memcpy(&old, y, sizeof old);
    sums += old;
    memcpy(y, &sums, sizeof sums);
#else
    for (size_t n = 0; n < COLS; n++)
        y[n] += sum(v[n]);
#endif
}

/* rows and ahead are constants where this is called. next: the row of w from
 * which `ahead` rows are fetched. */
static inline __attribute__((always_inline)) void
block(float *y, size_t ldy, const float *x, const float *w, const float *next,
      size_t K, size_t rows, size_t ahead)
{
    size_t whole = K - K % W;
    vf sums[ROWS][COLS] = {0};

    for (size_t k = 0; k < whole; k += W) {
        vf b[COLS];

        for (size_t n = 0; n < COLS; n++) {
            b[n] = load(w + n * K + k);
            IN_REGISTER(b[n]);
        }
        for (size_t n = 0; n < ahead; n++) {
            __builtin_prefetch(next + (n + COLS) * K + k);
            __builtin_prefetch(next + (n + FAR) * K + k, 0, 2);
        }
        for (size_t r = 0; r < rows; r++) {
            vf a = load(x + r * K + k);

            IN_REGISTER(a);
            for (size_t n = 0; n < COLS; n++)
                sums[r][n] += a * b[n];
        }
    }
    for (size_t r = 0; r < rows; r++) {
        add_sums(y + r * ldy, sums[r]);
        for (size_t n = 0; n < COLS && whole < K; n++) {
            for (size_t k = whole; k < K; k++)
                y[r * ldy + n] += x[r * K + k] * w[n * K + k];
        }
    }
}

static inline __attribute__((always_inline)) void
rows_block(float *y, size_t ldy, const float *x, const float *w,
           const float *next, size_t K, size_t rows, size_t ahead)
{
    switch (ahead) {
    case 0: block(y, ldy, x, w, next, K, rows, 0); break;
    case 1: block(y, ldy, x, w, next, K, rows, 1); break;
    case 2: block(y, ldy, x, w, next, K, rows, 2); break;
    default: block(y, ldy, x, w, next, K, rows, COLS); break;
    }
}

/* COLS columns of y. The rows of w that come next are fetched evenly over the
 * blocks of x's rows: memory would else wait while the later ones compute (ten
 * tokens: 14 ms). */
static void columns(float *y, size_t ldy, const float *x, const float *w,
                    size_t R, size_t K)
{
    size_t blocks = (R + ROWS - 1) / ROWS;
    size_t parts = blocks < COLS ? blocks : COLS;

    for (size_t p = 0; p < blocks; p++) {
        size_t r = p * ROWS, from = p < parts ? COLS * p / parts : COLS;
        size_t to = p < parts ? COLS * (p + 1) / parts : COLS;

#define CASE(rows)                                                             \
    case rows:                                                                 \
        rows_block(y + r * ldy, ldy, x + r * K, w, w + from * K, K, rows,      \
                   to - from);                                                 \
        break
        switch (R - r) {
            CASE(1);
            CASE(2);
#if ROWS == 6
            CASE(3);
            CASE(4);
            CASE(5);
#endif
        default:
            rows_block(y + r * ldy, ldy, x + r * K, w, w + from * K, K, ROWS,
                       to - from);
        }
    }
}

void akin__multiply_few(float *y, size_t ldy, const float *x, const float *w,
                        size_t R, size_t N, size_t K)
{
    size_t whole = N - N % COLS;

    for (size_t n = 0; n < whole; n += COLS)
        columns(y + n, ldy, x, w + n * K, R, K);
    akin__multiply_few_plain(y + whole, ldy, x, w + whole * K, R, N - whole, K);
}
