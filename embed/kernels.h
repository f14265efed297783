/* Passes over rows of floats between the GEMMs. Each is written with 16-wide
 * vectors (GCC's and clang's vector extension: AVX-512, or pairs of AVX2
 * registers) and has the plain loop beside it, named ..._plain; test_kernels
 * compares them. */
#ifndef AKIN_EMBED_KERNELS_H
#define AKIN_EMBED_KERNELS_H

#include "internal.h"

/* out, x: (R, C); gain, bias: (C). out may be x. */
void akin__layernorm(float *out, const float *x, const akin__norm *norm,
                     float eps, size_t R, size_t C);
void akin__layernorm_plain(float *out, const float *x, const akin__norm *norm,
                           float eps, size_t R, size_t C);

/* Softmax of scale * x over the first n of each row's `stride` values; the rest
 * becomes 0. causal: row i has min(n, i + 1) values. x: (R, stride). */
void akin__softmax(float *x, size_t R, size_t n, size_t stride, float scale,
                   bool causal);
void akin__softmax_plain(float *x, size_t R, size_t n, size_t stride,
                         float scale, bool causal);

/* x: n values, in place. AKIN__ACT_NONE does nothing. */
void akin__activate(akin__act act, float *x, size_t n);
void akin__activate_plain(akin__act act, float *x, size_t n);

/* y (R, ldy) += x (R, K) W^T, W (N, K) as it lies in the file: for few rows,
 * where OpenBLAS spends its time on copying W. */
void akin__multiply_few(float *y, size_t ldy, const float *x, const float *w,
                        size_t R, size_t N, size_t K);
void akin__multiply_few_plain(float *y, size_t ldy, const float *x,
                              const float *w, size_t R, size_t N, size_t K);

/* Every row of y (R, ld) becomes bias, or 0 where bias is NULL. */
void akin__rows_set(float *y, const float *bias, size_t R, size_t C, size_t ld);
/* bias is added to every row; nothing where it is NULL. */
void akin__rows_add(float *y, const float *bias, size_t R, size_t C, size_t ld);

#endif
