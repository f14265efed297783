/* bfloat16 and int8 GEMMs through oneDNN.
 *
 * Weights are converted once and laid out as oneDNN likes them (packs.c).
 * int8 weights have a scale for each output, activations a scale and a zero
 * point for each row (token), found as the row is quantised:
 * x = scale (q - zero), so
 *     y = row scale * output scale * (sum q w - zero * sum w) + bias
 * with the sum of an output's weights known beforehand. Rows go through in
 * chunks of 64, whose results are still in the second cache level when they are
 * scaled back (3 % faster than 256 on ViT-B/32).
 *
 * oneDNN makes a primitive for each number of rows (0.1 ms); large numbers are
 * rounded up to a multiple of four, and the rows in between hold whatever was
 * there before. Scratch memory of primitives is ours: what the library manages
 * itself may only be used in the thread that made the primitive. */
#include "lowp.h"
#include "quantize.h"

#include <string.h>

#define CHUNK AKIN__CHUNK

bool akin__lowp_supported(akin_precision precision)
{
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();

    if (precision == AKIN_PRECISION_BF16)
        return (isa & dnnl_cpu_isa_avx512_core_bf16) ==
               dnnl_cpu_isa_avx512_core_bf16;
    if (precision == AKIN_PRECISION_INT8) /* with AVX2 alone: not measured */
        return (isa & dnnl_cpu_isa_avx512_core_vnni) ==
               dnnl_cpu_isa_avx512_core_vnni;
    return precision == AKIN_PRECISION_F32;
}

/* ---- a thread's memory ------------------------------------------------------- */

/* A thread's memory: the chunk's input, its result, the primitive's scratch, the
 * rows' scales. */
typedef struct {
    void *in, *acc, *scratch;
    akin__affine *rows;
} chunk;

static size_t rounded(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

static chunk chunk_of(const akin__packs *p, void *scratch)
{
    uint8_t *base = scratch;
    size_t in = rounded(CHUNK * p->most_in * sizeof(uint16_t));
    size_t acc = rounded(CHUNK * p->most_out * sizeof(float));

    return (chunk){
        base, base + in, base + in + acc,
        (akin__affine *)(void *)(base + in + acc + rounded(p->most_scratch))};
}

size_t akin__packs_scratch(const akin__packs *p)
{
    return rounded(CHUNK * p->most_in * sizeof(uint16_t)) +
           rounded(CHUNK * p->most_out * sizeof(float)) +
           rounded(p->most_scratch) + CHUNK * sizeof(akin__affine);
}

/* ---- oneDNN ----------------------------------------------------------------- */

akin_status akin__dnnl_failed(akin_error *err, const char *what,
                              dnnl_status_t status)
{
    return akin_fail(err,
                     status == dnnl_out_of_memory ? AKIN_NOMEM : AKIN_INTERNAL,
                     "oneDNN: %s failed with status %d", what, (int)status);
}

/* Description of rows x (in -> out); weights in the given layout, or any. */
static dnnl_status_t describe(const akin__packs *p, size_t rows, size_t out,
                              size_t in, const dnnl_memory_desc_t *weights,
                              dnnl_primitive_desc_t *result)
{
    bool int8 = p->precision == AKIN_PRECISION_INT8;
    dnnl_dims_t x_dims = {(dnnl_dim_t)rows, (dnnl_dim_t)in};
    dnnl_dims_t w_dims = {(dnnl_dim_t)in, (dnnl_dim_t)out};
    dnnl_dims_t y_dims = {(dnnl_dim_t)rows, (dnnl_dim_t)out};
    dnnl_memory_desc_t x, w, y;
    dnnl_matmul_desc_t matmul;
    dnnl_status_t rc;

    rc = dnnl_memory_desc_init_by_tag(&x, 2, x_dims, int8 ? dnnl_u8 : dnnl_bf16,
                                      dnnl_ab);
    if (!rc)
        rc = dnnl_memory_desc_init_by_tag(
            &w, 2, w_dims, int8 ? dnnl_s8 : dnnl_bf16, dnnl_format_tag_any);
    if (!rc)
        rc = dnnl_memory_desc_init_by_tag(&y, 2, y_dims,
                                          int8 ? dnnl_s32 : dnnl_f32, dnnl_ab);
    if (!rc)
        rc = dnnl_matmul_desc_init(&matmul, &x, weights ? weights : &w, NULL,
                                   &y);
    if (!rc)
        rc = dnnl_primitive_desc_create(result, &matmul, p->own_scratch,
                                        p->engine, NULL);
    return rc;
}

/* Which of the numbers of rows is the least that is enough. */
static size_t count_index(size_t rows)
{
    return rows <= 20 ? rows - 1 : 20 + (rows - 21) / 4;
}

static size_t row_count(size_t index)
{
    return index < 20 ? index + 1 : 24 + (index - 20) * 4;
}

static size_t scratch_of(const_dnnl_primitive_desc_t d)
{
    return dnnl_memory_desc_get_size(
        dnnl_primitive_desc_query_md(d, dnnl_query_scratchpad_md, 0));
}

/* Fills in the layout of the weights, and what scratch memory is needed. */
static dnnl_status_t measure(akin__packs *p, akin__shape *s)
{
    dnnl_primitive_desc_t d = NULL;
    dnnl_status_t status = describe(p, CHUNK, s->out, s->in, NULL, &d);

    if (status) return status;
    s->weights = *dnnl_primitive_desc_query_md(d, dnnl_query_weights_md, 0);
    if (scratch_of(d) > p->most_scratch) p->most_scratch = scratch_of(d);
    dnnl_primitive_desc_destroy(d);
    return dnnl_success;
}

akin_status akin__shape_get(akin__packs *p, size_t out, size_t in,
                            akin__shape **found, akin_error *err)
{
    dnnl_status_t status;
    akin__shape *s;

    for (size_t i = 0; i < p->shape_count; i++) {
        if (p->shapes[i].out == out && p->shapes[i].in == in) {
            *found = &p->shapes[i];
            return AKIN_OK;
        }
    }
    if (p->shape_count == sizeof p->shapes / sizeof p->shapes[0])
        return akin_fail(err, AKIN_INTERNAL, "too many sizes of weights");
    s = &p->shapes[p->shape_count++];
    s->out = out;
    s->in = in;
    status = measure(p, s);
    if (status) return akin__dnnl_failed(err, "matmul", status);
    p->most_in = in > p->most_in ? in : p->most_in;
    p->most_out = out > p->most_out ? out : p->most_out;
    *found = s;
    return AKIN_OK;
}

/* The primitive for that many rows; NULL when oneDNN has none, or one that wants
 * more scratch memory than the largest. */
static dnnl_primitive_t make_gemm(const akin__packs *p, const akin__shape *s,
                                  size_t rows)
{
    dnnl_primitive_t gemm = NULL;
    dnnl_primitive_desc_t d = NULL;

    if (describe(p, rows, s->out, s->in, &s->weights, &d)) return NULL;
    if (scratch_of(d) > p->most_scratch ||
        dnnl_primitive_create(&gemm, d) != dnnl_success)
        gemm = NULL;
    dnnl_primitive_desc_destroy(d);
    return gemm;
}

/* Made when it is first needed. *rows becomes the number that it is for: the
 * next in the list, or, where that cannot be had, a whole chunk. */
static dnnl_primitive_t gemm_of(akin__packs *p, akin__shape *s, size_t *rows)
{
    size_t i = count_index(*rows);
    dnnl_primitive_t gemm = __atomic_load_n(&s->gemm[i], __ATOMIC_ACQUIRE);

    *rows = row_count(i);
    if (gemm) return gemm;
    pthread_mutex_lock(&p->lock);
    gemm = s->gemm[i];
    if (!gemm) {
        gemm = make_gemm(p, s, *rows);
        __atomic_store_n(&s->gemm[i], gemm, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&p->lock);
    if (gemm || *rows == CHUNK) return gemm;
    *rows = CHUNK;
    return gemm_of(p, s, rows);
}

/* y (rows, out) = x (rows, in) W^T, in the packs' types. */
static bool multiply(akin__packs *p, const akin__pack *k, const chunk *c,
                     size_t rows)
{
    bool int8 = p->precision == AKIN_PRECISION_INT8;
    dnnl_memory_t mx = NULL, my = NULL, ms = NULL;
    dnnl_memory_desc_t dx, dy, ds;
    dnnl_stream_t stream = NULL;
    dnnl_primitive_t gemm;
    bool ok = false;

    gemm = gemm_of(p, k->shape, &rows);
    if (!gemm) return false;
    if (!dnnl_memory_desc_init_by_tag(
            &dx, 2, (dnnl_dims_t){(dnnl_dim_t)rows, (dnnl_dim_t)k->shape->in},
            int8 ? dnnl_u8 : dnnl_bf16, dnnl_ab) &&
        !dnnl_memory_desc_init_by_tag(
            &dy, 2, (dnnl_dims_t){(dnnl_dim_t)rows, (dnnl_dim_t)k->shape->out},
            int8 ? dnnl_s32 : dnnl_f32, dnnl_ab) &&
        !dnnl_memory_desc_init_by_tag(
            &ds, 1, (dnnl_dims_t){(dnnl_dim_t)p->most_scratch}, dnnl_u8,
            dnnl_a) &&
        !dnnl_memory_create(&mx, &dx, p->engine, c->in) &&
        !dnnl_memory_create(&my, &dy, p->engine, c->acc) &&
        !dnnl_memory_create(&ms, &ds, p->engine, c->scratch) &&
        !dnnl_stream_create(&stream, p->engine, dnnl_stream_default_flags)) {
        dnnl_exec_arg_t args[4] = {{DNNL_ARG_SRC, mx},
                                   {DNNL_ARG_WEIGHTS, k->weights},
                                   {DNNL_ARG_DST, my},
                                   {DNNL_ARG_SCRATCHPAD, ms}};

        ok = !dnnl_primitive_execute(gemm, stream, 4, args) &&
             !dnnl_stream_wait(stream);
    }
    dnnl_memory_destroy(mx);
    dnnl_memory_destroy(my);
    dnnl_memory_destroy(ms);
    dnnl_stream_destroy(stream);
    return ok;
}

/* ---- multiplying ------------------------------------------------------------ */

static void to_chunk(const akin__packs *p, const chunk *c, const float *x,
                     size_t rows, size_t in)
{
    for (size_t r = 0; r < rows; r++) {
        if (p->precision == AKIN_PRECISION_INT8)
            c->rows[r] =
                akin__quantize_row((uint8_t *)c->in + r * in, x + r * in, in);
        else
            akin__to_bf16((uint16_t *)c->in + r * in, x + r * in, in);
    }
}

static void from_chunk(const akin__packs *p, const akin__pack *k,
                       const chunk *c, size_t rows, float *y, size_t ldy,
                       bool add, akin__act act)
{
    akin__finish finish = {k->scale, k->sums, k->bias, act, add};
    size_t out = k->shape->out;

    for (size_t r = 0; r < rows; r++) {
        if (p->precision == AKIN_PRECISION_INT8)
            akin__finish_int8(y + r * ldy, (const int32_t *)c->acc + r * out,
                              out, c->rows[r], &finish);
        else
            akin__finish_f32(y + r * ldy, (const float *)c->acc + r * out, out,
                             &finish);
    }
}

bool akin__packed_linear(const akin__packs *packs, const akin__linear *l,
                         size_t from, size_t to, const float *x, size_t R,
                         float *y, size_t ldy, bool add, akin__act act,
                         void *scratch)
{
    /* primitives are made when they are first needed, behind a lock */
    akin__packs *p = (akin__packs *)(uintptr_t)packs;
    chunk c = chunk_of(p, scratch);

    for (size_t at = from; at < to;) {
        const akin__pack *k = akin__pack_find(p, l->id, at);

        if (!k || k->to > to) return false;
        for (size_t r = 0; r < R; r += CHUNK) {
            size_t rows = R - r < CHUNK ? R - r : CHUNK;

            to_chunk(p, &c, x + r * l->in, rows, l->in);
            if (!multiply(p, k, &c, rows)) return false;
            from_chunk(p, k, &c, rows, y + r * ldy + (at - from), ldy, add,
                       act);
        }
        at = k->to;
    }
    return true;
}

void akin__packed_multiply(const akin__packs *packs, const akin__linear *l,
                           size_t from, size_t to, size_t R, void *scratch)
{
    akin__packs *p = (akin__packs *)(uintptr_t)packs;
    chunk c = chunk_of(p, scratch);

    for (size_t at = from; at < to;) {
        const akin__pack *k = akin__pack_find(p, l->id, at);

        if (!k) return;
        for (size_t r = 0; r < R; r += CHUNK)
            (void)multiply(p, k, &c, R - r < CHUNK ? R - r : CHUNK);
        at = k->to;
    }
}

/* Pixels of patch number i (of all pictures together), as they are. */
static void copy_patch(const akin__packs *p, const akin__config *c,
                       const uint8_t *pixels, size_t i, chunk *to, size_t row)
{
    int32_t zero = akin__pixel_zero(c);
    size_t S = c->image_size, P = c->patch, G = S / P, in = 3 * P * P;
    const uint8_t *from = pixels + i / (G * G) * S * S * 3 +
                          (i % (G * G) / G * P * S + i % G * P) * 3;

    for (size_t y = 0; y < P; y++, from += S * 3) {
        size_t at = row * in + y * 3 * P;

        if (p->precision == AKIN_PRECISION_INT8) {
            memcpy((uint8_t *)to->in + at, from, 3 * P);
        } else {
            float values[3 * 64];

            for (size_t x = 0; x < 3 * P; x += 192) {
                size_t n = 3 * P - x < 192 ? 3 * P - x : 192;

                for (size_t k = 0; k < n; k++)
                    values[k] = (float)(from[x + k] - zero);
                akin__to_bf16((uint16_t *)to->in + at + x, values, n);
            }
        }
    }
    to->rows[row] = (akin__affine){1, zero};
}

bool akin__packed_patches(const akin__packs *packs, const akin_model *model,
                          const uint8_t *pixels, size_t n, float *y,
                          void *scratch)
{
    akin__packs *p = (akin__packs *)(uintptr_t)packs;
    const akin__config *c = &model->config;
    size_t G = c->image_size / c->patch, patches = n * G * G;
    size_t C = c->vision.width;
    const akin__pack *k = akin__pack_find(p, model->patch.id, 0);
    chunk to = chunk_of(p, scratch);

    for (size_t i = 0; i < patches; i += CHUNK) {
        size_t rows = patches - i < CHUNK ? patches - i : CHUNK;

        for (size_t r = 0; r < rows; r++)
            copy_patch(p, c, pixels, i + r, &to, r);
        if (!k || !multiply(p, k, &to, rows)) return false;
        from_chunk(p, k, &to, rows, y + i * C, C, false, AKIN__ACT_NONE);
    }
    return true;
}
