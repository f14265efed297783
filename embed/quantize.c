/* Quantising rows before a GEMM of lower precision, and what follows it, each
 * in one pass over data that is still in the cache. */
#include "quantize.h"
#include "kernels.h"
#include "vector.h"

typedef uint8_t vu8 __attribute__((vector_size(W)));
typedef int8_t vi8 __attribute__((vector_size(W)));
typedef uint16_t vu16 __attribute__((vector_size(2 * W)));

static inline vi load_int(const int32_t *p)
{
    vi v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- to 8 bits -------------------------------------------------------------- */

static akin__affine affine_of(float low, float high)
{
    float scale = (high - low) / 255;

    if (!(scale > 1e-30f)) return (akin__affine){1e-30f, 0};
    return (akin__affine){scale, (int32_t)lrintf(-low / scale)};
}

akin__affine akin__quantize_row_plain(uint8_t *q, const float *x, size_t n)
{
    float low = 0, high = 0, inverse;
    akin__affine a;

    for (size_t i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    a = affine_of(low, high);
    inverse = 1 / a.scale;
    for (size_t i = 0; i < n; i++) {
        float v = rintf(x[i] * inverse) + (float)a.zero;

        q[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    return a;
}

akin__affine akin__quantize_row(uint8_t *q, const float *x, size_t n)
{
    const float magic = 12582912.0f; /* rounds, as in vexp */
    vf low = {0}, high = {0}, zero;
    size_t whole = n - n % W;
    float part[2][W], inverse;
    akin__affine a;

    for (size_t i = 0; i < whole; i += W) {
        vf v = load(x + i);

        low = vmin(v, low);
        high = vmax(v, high);
    }
    if (whole < n) {
        vf v = load_part(x + whole, n - whole, 0);

        low = vmin(v, low);
        high = vmax(v, high);
    }
    store(part[0], low);
    store(part[1], high);
    for (size_t i = 1; i < W; i++) {
        part[0][0] = part[0][i] < part[0][0] ? part[0][i] : part[0][0];
        part[1][0] = part[1][i] > part[1][0] ? part[1][i] : part[1][0];
    }
    a = affine_of(part[0][0], part[1][0]);
    inverse = 1 / a.scale;
    zero = splat((float)a.zero);
    for (size_t i = 0; i < n; i += W) {
        vf v = i < whole ? load(x + i) : load_part(x + i, n - i, 0);
        vu8 bytes;

        v = v * inverse + magic;
        v = v - magic + zero;
        v = vmin(vmax(v, splat(0)), splat(255));
        bytes = __builtin_convertvector(__builtin_convertvector(v, vi), vu8);
        memcpy(q + i, &bytes, i < whole ? W : n - i);
    }
    return a;
}

bool akin__all_finite(const float *x, size_t n)
{
    vf total = {0};
    size_t i = 0;
    float rest = 0;

    for (; i + W <= n; i += W)
        total += load(x + i) * 0.0f; /* NaN for what is not finite */
    for (; i < n; i++)
        rest += x[i] * 0;
    return sum(total) + rest == 0;
}

void akin__quantize_weights_plain(int8_t *q, const float *w, size_t n,
                                  float *scale, int32_t *total)
{
    float most = 0, inverse;

    for (size_t i = 0; i < n; i++)
        most = fabsf(w[i]) > most ? fabsf(w[i]) : most;
    *scale = most / 127;
    inverse = most > 0 ? 127 / most : 0;
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        q[i] = (int8_t)lrintf(w[i] * inverse);
        *total += q[i];
    }
}

void akin__quantize_weights(int8_t *q, const float *w, size_t n, float *scale,
                            int32_t *total)
{
    const float magic = 12582912.0f;
    vf top = {0};
    vi sums = {0};
    float most, inverse;

    for (size_t i = 0; i < n; i += W) {
        vf v = i + W <= n ? load(w + i) : load_part(w + i, n - i, 0);

        top = vmax(vmax(v, -v), top);
    }
    most = greatest(top);
    *scale = most / 127;
    inverse = most > 0 ? 127 / most : 0;
    for (size_t i = 0; i < n; i += W) {
        vf v = i + W <= n ? load(w + i) : load_part(w + i, n - i, 0);
        vi whole;
        vi8 bytes;

        v = v * inverse + magic;
        whole = __builtin_convertvector(v - magic, vi);
        sums += whole;
        bytes = __builtin_convertvector(whole, vi8);
        memcpy(q + i, &bytes, i + W <= n ? W : n - i);
    }
    *total = 0;
    for (size_t i = 0; i < W; i++)
        *total += sums[i];
}

void akin__to_bf16_plain(uint16_t *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, x + i, 4);
        out[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

void akin__to_bf16(uint16_t *out, const float *x, size_t n)
{
    size_t i = 0;

    for (; i + W <= n; i += W) {
        typedef uint32_t vu __attribute__((vector_size(4 * W)));
        vu bits = (vu)load(x + i);
        vu16 half = __builtin_convertvector(
            (bits + 0x7fff + (bits >> 16 & 1)) >> 16, vu16);

        memcpy(out + i, &half, sizeof half);
    }
    akin__to_bf16_plain(out + i, x + i, n - i);
}

/* ---- back ------------------------------------------------------------------- */

static void finish_plain(float *y, float value, size_t j, const akin__finish *f)
{
    if (f->bias) value += f->bias[j];
    akin__activate_plain(f->act, &value, 1);
    *y = f->add ? *y + value : value;
}

static float int8_value(const int32_t *acc, size_t j, akin__affine affine,
                        const akin__finish *f)
{
    return (float)(acc[j] - affine.zero * f->sums[j]) *
           (affine.scale * f->scale[j]);
}

void akin__finish_int8_plain(float *y, const int32_t *acc, size_t n,
                             akin__affine affine, const akin__finish *f)
{
    for (size_t j = 0; j < n; j++)
        finish_plain(y + j, int8_value(acc, j, affine, f), j, f);
}

void akin__finish_f32_plain(float *y, const float *acc, size_t n,
                            const akin__finish *f)
{
    for (size_t j = 0; j < n; j++)
        finish_plain(y + j, acc[j], j, f);
}

static inline vf curve(akin__act act, vf v)
{
    switch (act) {
    case AKIN__QUICK_GELU: return quick_gelu(v);
    case AKIN__GELU: return gelu(v);
    case AKIN__GELU_TANH: return gelu_tanh(v);
    case AKIN__ACT_NONE: break;
    }
    return v;
}

/* act and add are constants where these are called, so each call below becomes
 * a loop without branches. */
static inline __attribute__((always_inline)) void
int8_loop(float *y, const int32_t *acc, size_t n, akin__affine affine,
          const akin__finish *f, akin__act act, bool add)
{
    for (size_t j = 0; j + W <= n; j += W) {
        vi exact = load_int(acc + j) - affine.zero * load_int(f->sums + j);
        vf v = __builtin_convertvector(exact, vf) *
               (affine.scale * load(f->scale + j));

        if (f->bias) v += load(f->bias + j);
        v = curve(act, v);
        store(y + j, add ? load(y + j) + v : v);
    }
}

static inline __attribute__((always_inline)) void
f32_loop(float *y, const float *acc, size_t n, const akin__finish *f,
         akin__act act, bool add)
{
    for (size_t j = 0; j + W <= n; j += W) {
        vf v = load(acc + j);

        if (f->bias) v += load(f->bias + j);
        v = curve(act, v);
        store(y + j, add ? load(y + j) + v : v);
    }
}

void akin__finish_int8(float *y, const int32_t *acc, size_t n,
                       akin__affine affine, const akin__finish *f)
{
    if (f->add)
        int8_loop(y, acc, n, affine, f, AKIN__ACT_NONE, true);
    else if (f->act == AKIN__QUICK_GELU)
        int8_loop(y, acc, n, affine, f, AKIN__QUICK_GELU, false);
    else if (f->act == AKIN__GELU)
        int8_loop(y, acc, n, affine, f, AKIN__GELU, false);
    else if (f->act == AKIN__GELU_TANH)
        int8_loop(y, acc, n, affine, f, AKIN__GELU_TANH, false);
    else
        int8_loop(y, acc, n, affine, f, AKIN__ACT_NONE, false);
    for (size_t j = n - n % W; j < n; j++)
        finish_plain(y + j, int8_value(acc, j, affine, f), j, f);
}

void akin__finish_f32(float *y, const float *acc, size_t n,
                      const akin__finish *f)
{
    if (f->add)
        f32_loop(y, acc, n, f, AKIN__ACT_NONE, true);
    else if (f->act == AKIN__QUICK_GELU)
        f32_loop(y, acc, n, f, AKIN__QUICK_GELU, false);
    else if (f->act == AKIN__GELU)
        f32_loop(y, acc, n, f, AKIN__GELU, false);
    else if (f->act == AKIN__GELU_TANH)
        f32_loop(y, acc, n, f, AKIN__GELU_TANH, false);
    else
        f32_loop(y, acc, n, f, AKIN__ACT_NONE, false);
    for (size_t j = n - n % W; j < n; j++)
        finish_plain(y + j, acc[j], j, f);
}
