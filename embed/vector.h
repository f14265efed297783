/* Sixteen floats at once, in GCC's and clang's vector extension, and the curves
 * that the towers need. exp is 2^n times a polynomial (Cephes' coefficients, 2
 * ulp); erf the rational approximation that Eigen uses (4 ulp). None branches. */
#ifndef AKIN_EMBED_VECTOR_H
#define AKIN_EMBED_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define W 16

typedef float vf __attribute__((vector_size(4 * W)));
typedef int32_t vi __attribute__((vector_size(4 * W)));

static inline vf load(const float *p)
{
    vf v;

    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

/* The first n < W values, the rest `fill`. */
static inline vf load_part(const float *p, size_t n, float fill)
{
    float part[W];

    for (size_t i = 0; i < W; i++)
        part[i] = i < n ? p[i] : fill;
    return load(part);
}

static inline void store_part(float *p, vf v, size_t n)
{
    memcpy(p, &v, n * sizeof *p);
}

static inline vf splat(float x)
{
    return x - (vf){0};
}

static inline vf pick(vi mask, vf yes, vf no)
{
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

static inline vf vmin(vf a, vf b)
{
    return pick(a < b, a, b);
}

static inline vf vmax(vf a, vf b)
{
    return pick(a > b, a, b);
}

typedef float vf8 __attribute__((vector_size(32)));
typedef float vf4 __attribute__((vector_size(16)));

static inline float sum(vf v)
{
    vf8 half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
               __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    vf4 quarter = __builtin_shufflevector(half, half, 0, 1, 2, 3) +
                  __builtin_shufflevector(half, half, 4, 5, 6, 7);

    return quarter[0] + quarter[1] + (quarter[2] + quarter[3]);
}

static inline float greatest(vf v)
{
    float part[W], best;

    store(part, v);
    best = part[0];
    for (size_t i = 1; i < W; i++)
        best = part[i] > best ? part[i] : best;
    return best;
}

/* exp(x) for x in about -87..88; 0 below, the value at 88 above. NaN stays. */
static inline vf vexp(vf x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds */
    vi below = x < -87.3f;
    vf n, r, p;

    x = pick(x > 88.0f, splat(88.0f), x);
    x = pick(below, splat(-87.3f), x);
    n = x * 1.44269504f + magic;
    n = n - magic;
    r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    p = p * (vf)((__builtin_convertvector(n, vi) + 127) << 23);
    return pick(below, splat(0), p);
}

static inline vf verf(vf x)
{
    vf y, p, q;

    x = vmax(vmin(x, splat(4)), splat(-4));
    y = x * x;
    p = y * -2.72614225801306e-10f + 2.77068142495902e-08f;
    p = p * y - 2.10102402082508e-06f;
    p = p * y - 5.69250639462346e-05f;
    p = p * y - 7.34990630326855e-04f;
    p = p * y - 2.95459980854025e-03f;
    p = p * y - 1.60960333262415e-02f;
    q = y * -1.45660718464996e-05f - 2.13374055278905e-04f;
    q = q * y - 1.68282697438203e-03f;
    q = q * y - 7.37332916720468e-03f;
    q = q * y - 1.42647390514189e-02f;
    return x * p / q;
}

static inline vf quick_gelu(vf x)
{
    return x / (1 + vexp(x * -1.702f));
}

static inline vf gelu(vf x)
{
    return 0.5f * x * (1 + verf(x * 0.70710678f));
}

/* 0.5 (1 + tanh(u)) is the sigmoid of 2u */
static inline vf gelu_tanh(vf x)
{
    vf u = x * 1.59576912f * (1 + 0.044715f * x * x);

    return x / (1 + vexp(-u));
}

#endif
