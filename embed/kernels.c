/* LayerNorm, softmax, activations, biases. */
#include "kernels.h"
#include "vector.h"

#include <math.h>

/* ---- LayerNorm -------------------------------------------------------------- */

void akin__layernorm_plain(float *out, const float *x, const akin__norm *norm,
                           float eps, size_t R, size_t C)
{
    for (size_t r = 0; r < R; r++, x += C, out += C) {
        double mean = 0, variance = 0, scale;

        for (size_t c = 0; c < C; c++)
            mean += x[c];
        mean /= (double)C;
        for (size_t c = 0; c < C; c++)
            variance += (x[c] - mean) * (x[c] - mean);
        scale = 1 / sqrt(variance / (double)C + eps);
        for (size_t c = 0; c < C; c++)
            out[c] =
                (float)((x[c] - mean) * scale) * norm->gain[c] + norm->bias[c];
    }
}

static void layernorm_row(float *out, const float *x, const akin__norm *norm,
                          float eps, size_t C)
{
    size_t whole = C - C % W;
    vf total = {0}, square = {0};
    float mean, scale, rest = 0;

    for (size_t c = 0; c < whole; c += W)
        total += load(x + c);
    for (size_t c = whole; c < C; c++)
        rest += x[c];
    mean = (sum(total) + rest) / (float)C;
    rest = 0;
    for (size_t c = 0; c < whole; c += W) {
        vf d = load(x + c) - mean;

        square += d * d;
    }
    for (size_t c = whole; c < C; c++)
        rest += (x[c] - mean) * (x[c] - mean);
    scale = 1 / sqrtf((sum(square) + rest) / (float)C + eps);
    for (size_t c = 0; c < whole; c += W)
        store(out + c, (load(x + c) - mean) * scale * load(norm->gain + c) +
                           load(norm->bias + c));
    for (size_t c = whole; c < C; c++)
        out[c] = (x[c] - mean) * scale * norm->gain[c] + norm->bias[c];
}

void akin__layernorm(float *out, const float *x, const akin__norm *norm,
                     float eps, size_t R, size_t C)
{
    for (size_t r = 0; r < R; r++)
        layernorm_row(out + r * C, x + r * C, norm, eps, C);
}

/* ---- softmax ---------------------------------------------------------------- */

void akin__softmax_plain(float *x, size_t R, size_t n, size_t stride,
                         float scale, bool causal)
{
    for (size_t r = 0; r < R; r++, x += stride) {
        size_t used = causal && r + 1 < n ? r + 1 : n;
        float top = -INFINITY, total = 0;

        for (size_t i = 0; i < used; i++)
            top = fmaxf(top, x[i] * scale);
        for (size_t i = 0; i < used; i++)
            total += x[i] = expf(x[i] * scale - top);
        for (size_t i = 0; i < used; i++)
            x[i] /= total;
        for (size_t i = used; i < stride; i++)
            x[i] = 0;
    }
}

static void softmax_row(float *x, size_t n, size_t stride, float scale)
{
    size_t whole = n - n % W;
    vf top = splat(-INFINITY), total = {0}, last;
    float most, inverse;

    for (size_t i = 0; i < whole; i += W)
        top = vmax(load(x + i), top);
    last = load_part(x + whole, n - whole, -INFINITY);
    top = vmax(last, top);
    most = greatest(top) * scale;
    for (size_t i = 0; i < whole; i += W) {
        vf e = vexp(load(x + i) * scale - most);

        total += e;
        store(x + i, e);
    }
    last = vexp(last * scale - most);
    inverse = 1 / (sum(total) + sum(last));
    for (size_t i = 0; i < whole; i += W)
        store(x + i, load(x + i) * inverse);
    store_part(x + whole, last * inverse, n - whole);
    for (size_t i = n; i < stride; i++)
        x[i] = 0;
}

void akin__softmax(float *x, size_t R, size_t n, size_t stride, float scale,
                   bool causal)
{
    for (size_t r = 0; r < R; r++)
        softmax_row(x + r * stride, causal && r + 1 < n ? r + 1 : n, stride,
                    scale);
}

/* ---- activations ------------------------------------------------------------ */

static float activate_one(akin__act act, float x)
{
    switch (act) {
    case AKIN__QUICK_GELU: return x / (1 + expf(-1.702f * x));
    case AKIN__GELU: return 0.5f * x * (1 + erff(x * 0.70710678f));
    case AKIN__GELU_TANH:
        return 0.5f * x *
               (1 + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case AKIN__ACT_NONE: break;
    }
    return x;
}

void akin__activate_plain(akin__act act, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = activate_one(act, x[i]);
}

#define EACH(f)                                                                \
    do {                                                                       \
        for (; i + W <= n; i += W)                                             \
            store(x + i, f(load(x + i)));                                      \
        if (i < n) store_part(x + i, f(load_part(x + i, n - i, 0)), n - i);    \
    } while (0)

void akin__activate(akin__act act, float *x, size_t n)
{
    size_t i = 0;

    switch (act) {
    case AKIN__QUICK_GELU: EACH(quick_gelu); break;
    case AKIN__GELU: EACH(gelu); break;
    case AKIN__GELU_TANH: EACH(gelu_tanh); break;
    case AKIN__ACT_NONE: break;
    }
}

/* ---- biases ----------------------------------------------------------------- */

void akin__rows_set(float *y, const float *bias, size_t R, size_t C, size_t ld)
{
    for (size_t r = 0; r < R; r++) {
        if (bias)
            memcpy(y + r * ld, bias, C * sizeof *y);
        else
            memset(y + r * ld, 0, C * sizeof *y);
    }
}

void akin__rows_add(float *y, const float *bias, size_t R, size_t C, size_t ld)
{
    for (size_t r = 0; bias && r < R; r++, y += ld) {
        for (size_t c = 0; c < C; c++)
            y[c] += bias[c];
    }
}
