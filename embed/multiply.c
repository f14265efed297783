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

/* rows and ahead are constants where this is called. ahead: fetch the next
 * rows of w. */
static inline __attribute__((always_inline)) void
block(float *y, size_t ldy, const float *x, const float *w, size_t K,
      size_t rows, bool ahead)
{
    size_t whole = K - K % W;
    vf sums[ROWS][COLS] = {0};

    for (size_t k = 0; k < whole; k += W) {
        vf b[COLS];

        for (size_t n = 0; n < COLS; n++) {
            b[n] = load(w + n * K + k);
            if (ahead) {
                __builtin_prefetch(w + (n + COLS) * K + k);
                __builtin_prefetch(w + (n + FAR) * K + k, 0, 2);
            }
        }
        for (size_t r = 0; r < rows; r++) {
            vf a = load(x + r * K + k);

            IN_REGISTER(a);
            for (size_t n = 0; n < COLS; n++)
                sums[r][n] += a * b[n];
        }
    }
    for (size_t r = 0; r < rows; r++) {
        for (size_t n = 0; n < COLS; n++) {
            float total = sum(sums[r][n]);

            for (size_t k = whole; k < K; k++)
                total += x[r * K + k] * w[n * K + k];
            y[r * ldy + n] += total;
        }
    }
}

void akin__multiply_few(float *y, size_t ldy, const float *x, const float *w,
                        size_t R, size_t N, size_t K)
{
    size_t whole = N - N % COLS;

    for (size_t n = 0; n < whole; n += COLS) {
        size_t r = 0;

        for (; r + ROWS <= R; r += ROWS) {
            if (r == 0)
                block(y + n, ldy, x, w + n * K, K, ROWS, true);
            else
                block(y + r * ldy + n, ldy, x + r * K, w + n * K, K, ROWS,
                      false);
        }
        switch (R - r) {
#define CASE(left)                                                             \
    case left:                                                                 \
        block(y + r * ldy + n, ldy, x + r * K, w + n * K, K, left, true);      \
        break
            CASE(1);
            CASE(2);
#if ROWS == 6
            CASE(3);
            CASE(4);
            CASE(5);
#endif
        default: break;
        }
    }
    akin__multiply_few_plain(y + whole, ldy, x, w + whole * K, R, N - whole, K);
}
