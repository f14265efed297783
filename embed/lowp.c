/* bfloat16 and int8 GEMMs through oneDNN.
 *
 * Weights are converted once and laid out as oneDNN likes them (packed); they
 * belong to the model and are shared by its encoders. int8 weights have a scale
 * for each output, activations a scale and a zero point for each row (token),
 * found as the row is quantised: x = scale (q - zero), so
 *     y = row scale * output scale * (sum q w - zero * sum w) + bias
 * with the sum of an output's weights known beforehand. Rows go through in
 * chunks of 64, whose results are still in the second cache level when they are
 * scaled back (3 % faster than 256 on ViT-B/32).
 *
 * Pixels are 8-bit integers already: the patch GEMM takes them as they are, less
 * the model's mean as a zero point, which is exact in bfloat16 as well; the
 * normalisation is folded into weights and bias, and the weights are turned to
 * the pixels' order so that cutting patches is copying.
 *
 * oneDNN makes a primitive for each number of rows; numbers are rounded up to
 * few, and the rows in between hold whatever was there before. Scratch memory of
 * primitives is ours: what the library manages itself may only be used in the
 * thread that made the primitive. */
#include "internal.h"
#include "quantize.h"

#include <dnnl.h>
#include <math.h>
#include <string.h>

#define CHUNK     64
#define INT8_MOST 65536 /* inputs: sums of 255 * 127 stay within 32 bits */

static const uint32_t row_counts[] = {8, 16, 24, 32, 48, CHUNK};
#define ROW_COUNTS (sizeof row_counts / sizeof row_counts[0])

/* What GEMMs of one size share. */
typedef struct {
    size_t out, in;
    dnnl_memory_desc_t weights; /* their layout */
    dnnl_primitive_t gemm[ROW_COUNTS];
} shape;

typedef struct {
    const akin__linear *linear;
    uint32_t id;     /* its id */
    size_t from, to; /* its outputs */
    shape *shape;
    dnnl_memory_t weights;
    float *bias;   /* with normalisation folded in, for patches */
    float *scale;  /* int8: (out) */
    int32_t *sums; /* int8: (out) */
} pack;

struct akin__packs {
    akin_precision precision;
    dnnl_engine_t engine;
    shape shapes[16];
    size_t shape_count;
    pack *list; /* sorted by id, from */
    size_t count, capacity;
    size_t most_in, most_out, most_scratch; /* the last in bytes */
    dnnl_primitive_attr_t own_scratch;
    pthread_mutex_t lock; /* over shapes[].gemm */
};

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

static akin_status dnnl_failed(akin_error *err, const char *what,
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

/* Fills in the layout of the weights, and what scratch memory is needed. */
static dnnl_status_t measure(akin__packs *p, shape *s)
{
    const dnnl_memory_desc_t *layout = NULL;

    for (size_t i = ROW_COUNTS; i-- > 0;) { /* the largest decides */
        dnnl_primitive_desc_t d = NULL;
        dnnl_status_t status =
            describe(p, row_counts[i], s->out, s->in, layout, &d);
        size_t bytes;

        if (status) return status;
        if (!layout)
            s->weights =
                *dnnl_primitive_desc_query_md(d, dnnl_query_weights_md, 0);
        layout = &s->weights;
        bytes = dnnl_memory_desc_get_size(
            dnnl_primitive_desc_query_md(d, dnnl_query_scratchpad_md, 0));
        p->most_scratch = bytes > p->most_scratch ? bytes : p->most_scratch;
        dnnl_primitive_desc_destroy(d);
    }
    return dnnl_success;
}

static akin_status shape_of(akin__packs *p, size_t out, size_t in,
                            shape **found, akin_error *err)
{
    dnnl_status_t status;
    shape *s;

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
    if (status) return dnnl_failed(err, "matmul", status);
    p->most_in = in > p->most_in ? in : p->most_in;
    p->most_out = out > p->most_out ? out : p->most_out;
    *found = s;
    return AKIN_OK;
}

/* The primitive for row_counts[i] rows, made when it is first needed. */
static dnnl_primitive_t gemm_of(akin__packs *p, shape *s, size_t i)
{
    dnnl_primitive_t gemm = __atomic_load_n(&s->gemm[i], __ATOMIC_ACQUIRE);
    dnnl_primitive_desc_t d = NULL;

    if (gemm) return gemm;
    pthread_mutex_lock(&p->lock);
    gemm = s->gemm[i];
    if (!gemm &&
        describe(p, row_counts[i], s->out, s->in, &s->weights, &d) == 0) {
        if (dnnl_primitive_create(&gemm, d) != dnnl_success) gemm = NULL;
        dnnl_primitive_desc_destroy(d);
        __atomic_store_n(&s->gemm[i], gemm, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&p->lock);
    return gemm;
}

/* y (rows, out) = x (rows, in) W^T, in the packs' types. */
static bool multiply(akin__packs *p, const pack *k, const chunk *c, size_t rows)
{
    bool int8 = p->precision == AKIN_PRECISION_INT8;
    dnnl_memory_t mx = NULL, my = NULL, ms = NULL;
    dnnl_memory_desc_t dx, dy, ds;
    dnnl_stream_t stream = NULL;
    dnnl_primitive_t gemm;
    bool ok = false;
    size_t i = 0;

    while (row_counts[i] < rows)
        i++;
    gemm = gemm_of(p, k->shape, i);
    if (!gemm) return false;
    if (!dnnl_memory_desc_init_by_tag(
            &dx, 2, (dnnl_dims_t){row_counts[i], (dnnl_dim_t)k->shape->in},
            int8 ? dnnl_u8 : dnnl_bf16, dnnl_ab) &&
        !dnnl_memory_desc_init_by_tag(
            &dy, 2, (dnnl_dims_t){row_counts[i], (dnnl_dim_t)k->shape->out},
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

/* ---- packing ---------------------------------------------------------------- */

/* Copies plain (out, in) values into the layout of the shape. */
static akin_status lay_out(akin__packs *p, pack *k, void *plain,
                           akin_error *err)
{
    dnnl_data_type_t type =
        p->precision == AKIN_PRECISION_INT8 ? dnnl_s8 : dnnl_bf16;
    dnnl_dims_t dims = {(dnnl_dim_t)k->shape->in, (dnnl_dim_t)k->shape->out};
    dnnl_memory_desc_t from;
    dnnl_memory_t source = NULL;
    dnnl_primitive_desc_t d = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_stream_t stream = NULL;
    dnnl_status_t rc;

    rc = dnnl_memory_desc_init_by_tag(&from, 2, dims, type, dnnl_ba);
    if (!rc) rc = dnnl_memory_create(&source, &from, p->engine, plain);
    if (!rc)
        rc = dnnl_memory_create(&k->weights, &k->shape->weights, p->engine,
                                DNNL_MEMORY_ALLOCATE);
    if (!rc)
        rc = dnnl_reorder_primitive_desc_create(
            &d, &from, p->engine, &k->shape->weights, p->engine, NULL);
    if (!rc) rc = dnnl_primitive_create(&reorder, d);
    if (!rc)
        rc = dnnl_stream_create(&stream, p->engine, dnnl_stream_default_flags);
    if (!rc) {
        dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, source},
                                   {DNNL_ARG_TO, k->weights}};

        rc = dnnl_primitive_execute(reorder, stream, 2, args);
        if (!rc) rc = dnnl_stream_wait(stream);
    }
    dnnl_stream_destroy(stream);
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(d);
    dnnl_memory_destroy(source);
    return rc ? dnnl_failed(err, "reorder", rc) : AKIN_OK;
}

/* Zero point of pixels: near their mean, or the error of the weights would be
 * multiplied by large numbers that mean nothing. */
static int32_t pixel_zero(const akin__config *c)
{
    float zero = rintf((c->mean[0] + c->mean[1] + c->mean[2]) / 3 * 255);

    return zero < 0 ? 0 : zero > 255 ? 255 : (int32_t)zero;
}

/* Patches: w (3, P, P) for normalised values becomes (P, P, 3) for pixels less
 * their zero point; returns what is left over for the bias. */
static float fold_pixels(const akin__config *c, float *w, float *turned)
{
    size_t P = c->patch;
    double rest = 0, zero = pixel_zero(c);

    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < P * P; i++) {
            float v = w[k * P * P + i] / c->std[k];

            rest += (double)v * (zero / 255 - c->mean[k]);
            turned[i * 3 + k] = v / 255;
        }
    }
    memcpy(w, turned, 3 * P * P * sizeof *w);
    return (float)rest;
}

/* Converts the outputs of one pack; plain: (out, in) int8 or bfloat16. */
static akin_status convert(akin__packs *p, const akin_model *model,
                           const akin__linear *l, pack *k, void *plain,
                           float *row, akin_error *err)
{
    size_t in = l->in;

    for (size_t j = 0; j < k->to - k->from; j++) {
        akin__linear_read(l, k->from + j, 1, row);
        if (!akin__all_finite(row, in))
            return akin_fail(err, AKIN_BAD_DATA,
                             "tensor %s: a weight is not finite",
                             l->part[0]->name);
        k->bias[j] = l->bias ? l->bias[k->from + j] : 0;
        if (l == &model->patch)
            k->bias[j] += fold_pixels(&model->config, row, row + in);
        if (p->precision == AKIN_PRECISION_INT8)
            akin__quantize_weights((int8_t *)plain + j * in, row, in,
                                   &k->scale[j], &k->sums[j]);
        else
            akin__to_bf16((uint16_t *)plain + j * in, row, in);
    }
    return AKIN_OK;
}

/* Notes outputs [from, to) of l, to be filled later. */
static akin_status add_pack(akin__packs *p, const akin__linear *l, size_t from,
                            size_t to, akin_error *err)
{
    size_t out = to - from;
    pack *k;
    akin_status rc;

    rc = akin_grow(&p->list, &p->capacity, p->count + 1, sizeof *p->list, err);
    if (rc) return rc;
    k = &p->list[p->count++];
    *k = (pack){.id = l->id, .from = from, .to = to, .linear = l};
    k->bias = akin_calloc(out, sizeof *k->bias);
    k->scale = akin_calloc(out, sizeof *k->scale);
    k->sums = akin_calloc(out, sizeof *k->sums);
    if (!k->bias || !k->scale || !k->sums)
        return akin_fail(err, AKIN_NOMEM, "out of memory");
    return shape_of(p, out, l->in, &k->shape, err);
}

/* The last layer's q and k+v are multiplied by different numbers of rows. */
static akin_status add_tower(akin__packs *p, const akin__tower *tower,
                             akin_error *err)
{
    size_t C = tower->config.width;
    akin_status rc = AKIN_OK;

    for (uint32_t i = 0; i < tower->config.layers && !rc; i++) {
        const akin__layer *layer = &tower->layers[i];
        const akin__linear *rest[] = {&layer->proj, &layer->fc1, &layer->fc2};

        if (i + 1 < tower->config.layers) {
            rc = add_pack(p, &layer->qkv, 0, 3 * C, err);
        } else {
            rc = add_pack(p, &layer->qkv, 0, C, err);
            if (!rc) rc = add_pack(p, &layer->qkv, C, 3 * C, err);
        }
        for (size_t k = 0; k < 3 && !rc; k++)
            rc = add_pack(p, rest[k], 0, rest[k]->out, err);
    }
    return rc;
}

typedef struct {
    akin__packs *packs;
    const akin_model *model;
    pthread_mutex_t lock; /* over the two below */
    akin_status rc;
    akin_error err;
} filling;

static akin_status fill_pack(filling *f, pack *k, akin_error *err)
{
    const akin__linear *l = k->linear;
    float *row = akin_calloc(2 * l->in, sizeof *row);
    void *plain = akin_calloc((k->to - k->from) * l->in, sizeof(uint16_t));
    akin_status rc;

    if (row && plain)
        rc = convert(f->packs, f->model, l, k, plain, row, err);
    else
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    if (!rc) rc = lay_out(f->packs, k, plain, err);
    akin_free(row);
    akin_free(plain);
    return rc;
}

static void fill_part(void *arg, size_t i)
{
    filling *f = arg;
    akin_error err;
    int before = akin__one_thread();
    akin_status rc = fill_pack(f, &f->packs->list[i], &err);

    akin__threads_back(before);
    if (!rc) return;
    pthread_mutex_lock(&f->lock);
    if (!f->rc) {
        f->rc = rc;
        f->err = err;
    }
    pthread_mutex_unlock(&f->lock);
}

/* All packs, on all processors. */
static akin_status fill_packs(akin__packs *p, const akin_model *model,
                              akin_error *err)
{
    filling f = {.packs = p, .model = model};
    uint32_t threads = akin_cpu_count();
    akin_pool *pool = NULL;
    akin_status rc = AKIN_OK;

    if (threads > 1)
        rc = akin_pool_open(threads > 64 ? 64 : threads - 1, 0, "pack", &pool,
                            err);
    if (rc) return rc;
    pthread_mutex_init(&f.lock, NULL);
    akin_pool_each(pool, p->count, fill_part, &f);
    akin_pool_close(pool);
    pthread_mutex_destroy(&f.lock);
    if (f.rc && err) *err = f.err;
    return f.rc;
}

static void free_packs(akin__packs *packs)
{
    for (size_t i = 0; i < packs->count; i++) {
        dnnl_memory_destroy(packs->list[i].weights);
        akin_free(packs->list[i].bias);
        akin_free(packs->list[i].scale);
        akin_free(packs->list[i].sums);
    }
    for (size_t i = 0; i < packs->shape_count; i++) {
        for (size_t k = 0; k < ROW_COUNTS; k++)
            dnnl_primitive_destroy(packs->shapes[i].gemm[k]);
    }
    dnnl_primitive_attr_destroy(packs->own_scratch);
    dnnl_engine_destroy(packs->engine);
    pthread_mutex_destroy(&packs->lock);
    akin_free(packs->list);
    akin_free(packs);
}

static akin_status make_packs(const akin_model *model, akin_precision precision,
                              akin__packs **out, akin_error *err)
{
    const akin__config *c = &model->config;
    akin__packs *p = akin_calloc(1, sizeof *p);
    dnnl_status_t status;
    akin_status rc;

    *out = NULL;
    if (!p) return akin_fail(err, AKIN_NOMEM, "out of memory");
    p->precision = precision;
    p->most_scratch = 64; /* not empty even if none is needed */
    pthread_mutex_init(&p->lock, NULL);
    status = dnnl_engine_create(&p->engine, dnnl_cpu, 0);
    if (!status) status = dnnl_primitive_attr_create(&p->own_scratch);
    if (!status)
        status = dnnl_primitive_attr_set_scratchpad_mode(
            p->own_scratch, dnnl_scratchpad_mode_user);
    if (status)
        rc = dnnl_failed(err, "engine", status);
    else if (model->patch.in > INT8_MOST || c->vision.mlp > INT8_MOST ||
             c->text.mlp > INT8_MOST)
        rc = akin_fail(err, AKIN_UNSUPPORTED,
                       "%s: more than %d inputs to a layer",
                       akin_precision_name(precision), INT8_MOST);
    else
        rc = add_pack(p, &model->patch, 0, model->patch.out, err);
    if (!rc) rc = add_tower(p, &model->vision, err);
    if (!rc) rc = add_tower(p, &model->text, err);
    if (!rc) rc = fill_packs(p, model, err);
    if (rc) {
        free_packs(p);
        return rc;
    }
    *out = p;
    return AKIN_OK;
}

akin_status akin__packs_get(const akin_model *model, akin_precision precision,
                            akin__packs **out, akin_error *err)
{
    /* a cache behind the lock, as in akin__model_widen */
    akin_model *m = (akin_model *)(uintptr_t)model;
    akin_status rc = AKIN_OK;

    if (!akin__lowp_supported(precision))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "this processor has no instructions for %s",
                         akin_precision_name(precision));
    pthread_mutex_lock(&m->lock);
    if (!m->packs[precision])
        rc = make_packs(model, precision, &m->packs[precision], err);
    if (!rc) m->pack_users[precision]++;
    *out = m->packs[precision];
    pthread_mutex_unlock(&m->lock);
    return rc;
}

void akin__packs_put(const akin_model *model, akin__packs *packs)
{
    akin_model *m = (akin_model *)(uintptr_t)model;
    akin_precision precision;

    if (!packs) return;
    precision = packs->precision;
    pthread_mutex_lock(&m->lock);
    if (--m->pack_users[precision] == 0) {
        free_packs(packs);
        m->packs[precision] = NULL;
    }
    pthread_mutex_unlock(&m->lock);
}

/* ---- multiplying ------------------------------------------------------------ */

static const pack *find_pack(const akin__packs *p, uint32_t id, size_t from)
{
    size_t low = 0, high = p->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const pack *k = &p->list[middle];

        if (k->id == id && k->from == from) return k;
        if (k->id < id || (k->id == id && k->from < from))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

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

static void from_chunk(const akin__packs *p, const pack *k, const chunk *c,
                       size_t rows, float *y, size_t ldy, bool add,
                       akin__act act)
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
        const pack *k = find_pack(p, l->id, at);

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
        const pack *k = find_pack(p, l->id, at);

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
    int32_t zero = pixel_zero(c);
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
    const pack *k = find_pack(p, model->patch.id, 0);
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
