/* Rows between float32 and the types that oneDNN multiplies. As in kernels.h the
 * plain loops stand beside, and test_lowp compares. */
#ifndef AKIN_EMBED_QUANTIZE_H
#define AKIN_EMBED_QUANTIZE_H

#include "internal.h"

/* x = scale * (q - zero), of one row. */
typedef struct {
    float scale;
    int32_t zero; /* 0..255 */
} akin__affine;

/* q: (n), 0..255 over the range of the row, which is made to include 0. */
akin__affine akin__quantize_row(uint8_t *q, const float *x, size_t n);
akin__affine akin__quantize_row_plain(uint8_t *q, const float *x, size_t n);

/* One output's weights: w = scale * q, -127..127; *sum is that of q. */
void akin__quantize_weights(int8_t *q, const float *w, size_t n, float *scale,
                            int32_t *sum);
void akin__quantize_weights_plain(int8_t *q, const float *w, size_t n,
                                  float *scale, int32_t *sum);
bool akin__all_finite(const float *x, size_t n);

/* Round to nearest even. */
void akin__to_bf16(uint16_t *out, const float *x, size_t n);
void akin__to_bf16_plain(uint16_t *out, const float *x, size_t n);

/* What follows one row of a GEMM: y = act(value + bias), or y += that. */
typedef struct {
    const float *scale;  /* (n): of the weights' rows */
    const int32_t *sums; /* (n): sums of the quantised weights' rows */
    const float *bias;   /* (n), or NULL */
    akin__act act;
    bool add;
} akin__finish;

/* value = affine.scale * scale[j] * (acc[j] - affine.zero * sums[j]) */
void akin__finish_int8(float *y, const int32_t *acc, size_t n,
                       akin__affine affine, const akin__finish *finish);
void akin__finish_int8_plain(float *y, const int32_t *acc, size_t n,
                             akin__affine affine, const akin__finish *finish);
/* value = acc[j] */
void akin__finish_f32(float *y, const float *acc, size_t n,
                      const akin__finish *finish);
void akin__finish_f32_plain(float *y, const float *acc, size_t n,
                            const akin__finish *finish);

#endif
