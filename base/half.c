/* float16 <-> float32. With F16C eight at a time; else bit by bit, the way of
 * F. Giesen's "half_to_float_fast" and its inverse, rounding to nearest even. */
#include "akin_base.h"

#include <math.h>
#include <string.h>
#ifdef __F16C__
#include <immintrin.h>
#endif

static uint16_t half_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude >= 0x7F800000u) /* infinity, NaN (kept quiet, payload cut) */
        return (uint16_t)(sign | 0x7C00u |
                          (magnitude > 0x7F800000u
                               ? 0x200u | (magnitude >> 13 & 0x3FFu)
                               : 0));
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u);
    if (magnitude <
        0x38800000u) { /* subnormal: adding 0.5 rounds in hardware */
        float scaled;
        memcpy(&scaled, &magnitude, sizeof scaled);
        scaled += 0.5f;
        memcpy(&bits, &scaled, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3F000000u));
    }
    uint32_t odd = magnitude >> 13 & 1u;
    return (uint16_t)(sign | (magnitude + 0xC8000FFFu + odd) >> 13);
}

static float float_of(uint16_t half)
{
    uint32_t bits = (uint32_t)(half & 0x7FFFu) << 13,
             exponent = bits & 0xF800000u;
    float value;
    bits += (127u - 15u) << 23;
    if (exponent == 0xF800000u) {
        bits += (128u - 16u) << 23;
    } else if (exponent == 0) {
        bits += 1u << 23;
        memcpy(&value, &bits, sizeof value);
        value -= 6.103515625e-05f; /* 2^-14 */
        memcpy(&bits, &value, sizeof bits);
    }
    bits |= (uint32_t)(half & 0x8000u) << 16;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void akin_half_from_float(uint16_t *out, const float *in, size_t n)
{
    size_t i = 0;
#ifdef __F16C__
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(out + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(in + i),
                                         _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++)
        out[i] = half_of(in[i]);
}

void akin_float_from_half(float *out, const uint16_t *in, size_t n)
{
    size_t i = 0;
#ifdef __F16C__
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(
                                      (const __m128i *)(in + i))));
#endif
    for (; i < n; i++)
        out[i] = float_of(in[i]);
}

bool akin_normalize(float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * v[i];
    if (!(sum > 0) || !isfinite(sum)) return false;
    double scale = 1 / sqrt(sum);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(v[i] * scale);
    return true;
}
