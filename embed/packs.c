/* The weights of a model as oneDNN multiplies them: quantised and laid out in
 * blocks. They belong to the model and are shared by its encoders.
 *
 * Each tower is packed when it is first needed: who asks with words waits for
 * the text tower alone, a quarter of ViT-B/32. Its weights lie in one piece of
 * memory, in large pages where the kernel has them: reading them is most of what
 * a short text costs.
 *
 * The patch GEMM takes pixels as they are, 8-bit integers, less the model's mean
 * as a zero point, which is exact in bfloat16 as well; the normalisation is
 * folded into weights and bias, and the weights are turned to the pixels' order
 * so that cutting patches is copying. */
#include "lowp.h"
#include "quantize.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define INT8_MOST  65536 /* inputs: sums of 255 * 127 stay within 32 bits */
#define LARGE_PAGE ((size_t)2 << 20)
#define ALIGN      ((size_t)64)

/* ---- one pack --------------------------------------------------------------- */

/* Copies plain (out, in) values to `to`, in the layout of the shape. */
static akin_status lay_out(akin__packs *p, akin__pack *k, void *plain, void *to,
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
        rc = dnnl_memory_create(&k->weights, &k->shape->weights, p->engine, to);
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
    return rc ? akin__dnnl_failed(err, "reorder", rc) : AKIN_OK;
}

/* Zero point of pixels: near their mean, or the error of the weights would be
 * multiplied by large numbers that mean nothing. */
int32_t akin__pixel_zero(const akin__config *c)
{
    float zero = rintf((c->mean[0] + c->mean[1] + c->mean[2]) / 3 * 255);

    return zero < 0 ? 0 : zero > 255 ? 255 : (int32_t)zero;
}

/* Patches: w (3, P, P) for normalised values becomes (P, P, 3) for pixels less
 * their zero point; returns what is left over for the bias. */
static float fold_pixels(const akin__config *c, const float *w, float *turned)
{
    size_t P = c->patch;
    double rest = 0, zero = akin__pixel_zero(c);

    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < P * P; i++) {
            float v = w[k * P * P + i] / c->std[k];

            rest += (double)v * (zero / 255 - c->mean[k]);
            turned[i * 3 + k] = v / 255;
        }
    }
    return (float)rest;
}

/* Row j of l where it lies, or copied to `row`. */
static const float *weights_row(const akin__linear *l, size_t j, float *row)
{
    size_t height = l->out / l->parts;
    const akin__tensor *t = l->part[j / height];

    if (t->dtype == AKIN__F32 && (uintptr_t)t->data % sizeof *row == 0)
        return (const float *)(const void *)t->data + j % height * l->in;
    akin__linear_read(l, j, 1, row);
    return row;
}

/* Converts the outputs of one pack; plain: (out, in) int8 or bfloat16. */
static akin_status convert(const akin__packs *p, const akin_model *model,
                           akin__pack *k, void *plain, float *spare,
                           akin_error *err)
{
    const akin__linear *l = k->linear;
    size_t in = l->in;

    for (size_t j = 0; j < k->to - k->from; j++) {
        const float *row = weights_row(l, k->from + j, spare);

        if (!akin__all_finite(row, in))
            return akin_fail(err, AKIN_BAD_DATA,
                             "tensor %s: a weight is not finite",
                             l->part[0]->name);
        k->bias[j] = l->bias ? l->bias[k->from + j] : 0;
        if (l == &model->patch) {
            k->bias[j] += fold_pixels(&model->config, row, spare + in);
            row = spare + in;
        }
        if (p->precision == AKIN_PRECISION_INT8)
            akin__quantize_weights((int8_t *)plain + j * in, row, in,
                                   &k->scale[j], &k->sums[j]);
        else
            akin__to_bf16((uint16_t *)plain + j * in, row, in);
    }
    return AKIN_OK;
}

/* ---- a tower ---------------------------------------------------------------- */

typedef struct {
    akin__packs *packs;
    const akin_model *model;
    const akin__packed_tower *tower;
    uint8_t *base; /* of the tower's weights */
    size_t next;   /* pack; taken by whichever thread is free */
    size_t plain_bytes, row_floats;
    pthread_mutex_t lock; /* over the two below */
    akin_status rc;
    akin_error err;
} filling;

static akin_status fill_some(filling *f, akin_error *err)
{
    void *plain = akin_alloc(f->plain_bytes);
    float *spare = akin_alloc(2 * f->row_floats * sizeof *spare);
    akin_status rc = AKIN_OK;
    size_t i;

    if (!plain || !spare) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    while (!rc && (i = __atomic_fetch_add(&f->next, 1, __ATOMIC_RELAXED)) <
                      f->tower->end) {
        akin__pack *k = &f->packs->list[i];

        rc = convert(f->packs, f->model, k, plain, spare, err);
        if (!rc) rc = lay_out(f->packs, k, plain, f->base + k->offset, err);
    }
    akin_free(plain);
    akin_free(spare);
    return rc;
}

static void fill_part(void *arg, size_t i)
{
    filling *f = arg;
    akin_error err;
    int before = akin__one_thread();
    akin_status rc = fill_some(f, &err);

    (void)i;
    akin__threads_back(before);
    if (!rc) return;
    pthread_mutex_lock(&f->lock);
    if (!f->rc) {
        f->rc = rc;
        f->err = err;
    }
    pthread_mutex_unlock(&f->lock);
}

/* All packs of the tower, on all processors. */
static akin_status fill_tower(filling *f, akin_error *err)
{
    uint32_t threads = akin_cpu_count();
    akin_pool *pool = NULL;
    akin_status rc = AKIN_OK;

    for (size_t i = f->tower->first; i < f->tower->end; i++) {
        const akin__shape *s = f->packs->list[i].shape;
        size_t bytes = s->out * s->in *
                       (f->packs->precision == AKIN_PRECISION_INT8 ? 1 : 2);

        if (bytes > f->plain_bytes) f->plain_bytes = bytes;
        if (s->in > f->row_floats) f->row_floats = s->in;
    }
    if (threads > 64) threads = 64;
    if (threads > 1) rc = akin_pool_open(threads - 1, 0, "pack", &pool, err);
    if (rc) return rc;
    pthread_mutex_init(&f->lock, NULL);
    akin_pool_each(pool, threads, fill_part, f);
    akin_pool_close(pool);
    pthread_mutex_destroy(&f->lock);
    if (f->rc && err) *err = f->err;
    return f->rc;
}

/* Also after a failure: the next call begins anew. */
static void empty_tower(akin__packs *p, akin__packed_tower *t)
{
    for (size_t i = t->first; i < t->end; i++) {
        dnnl_memory_destroy(p->list[i].weights);
        p->list[i].weights = NULL;
    }
    akin_free(t->block);
    t->block = NULL;
}

/* Pages of the file that hold nothing but this tensor's bytes leave the process;
 * who reads them again gets them from the page cache. */
static void let_go(const akin__tensor *t, size_t page)
{
    uintptr_t from = ((uintptr_t)t->data + page - 1) & ~(page - 1);
    uintptr_t to = ((uintptr_t)t->data + t->size) & ~(page - 1);

    if (from < to) (void)madvise((void *)from, to - from, MADV_DONTNEED);
}

static void let_go_of_files(const akin__packs *p, const akin__packed_tower *t)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (size_t i = t->first; i < t->end; i++) {
        const akin__linear *l = p->list[i].linear;

        for (size_t k = 0; k < l->parts; k++)
            let_go(l->part[k], page);
    }
}

static akin_status pack_tower(akin__packs *p, const akin_model *model,
                              akin__packed_tower *t, akin_error *err)
{
    filling f = {.packs = p, .model = model, .tower = t, .next = t->first};
    size_t align = t->size_bytes > LARGE_PAGE ? LARGE_PAGE : ALIGN;
    akin_status rc;

    t->block = akin_alloc(t->size_bytes + align);
    if (!t->block)
        return akin_fail(err, AKIN_NOMEM,
                         "out of memory for %zu bytes of "
                         "weights",
                         t->size_bytes);
    f.base = (uint8_t *)(((uintptr_t)t->block + align - 1) & ~(align - 1));
    if (align == LARGE_PAGE) /* no harm where it fails */
        (void)madvise(f.base, t->size_bytes, MADV_HUGEPAGE);
    rc = fill_tower(&f, err);
    if (rc) {
        empty_tower(p, t);
        return rc;
    }
    let_go_of_files(p, t);
    __atomic_store_n(&t->ready, true, __ATOMIC_RELEASE);
    return AKIN_OK;
}

akin_status akin__packs_need(akin__packs *p, const akin_model *model,
                             bool texts, akin_error *err)
{
    akin__packed_tower *t = &p->towers[texts];
    akin_status rc = AKIN_OK;

    if (__atomic_load_n(&t->ready, __ATOMIC_ACQUIRE)) return AKIN_OK;
    pthread_mutex_lock(&p->filling);
    if (!t->ready) rc = pack_tower(p, model, t, err);
    pthread_mutex_unlock(&p->filling);
    return rc;
}

/* ---- all of a model --------------------------------------------------------- */

/* Notes outputs [from, to) of l, to be filled later. */
static akin_status add_pack(akin__packs *p, const akin__linear *l, size_t from,
                            size_t to, akin_error *err)
{
    size_t out = to - from;
    akin__pack *k;
    akin_status rc;

    rc = akin_grow(&p->list, &p->capacity, p->count + 1, sizeof *p->list, err);
    if (rc) return rc;
    k = &p->list[p->count++];
    *k = (akin__pack){.id = l->id, .from = from, .to = to, .linear = l};
    k->bias = akin_calloc(out, sizeof *k->bias);
    k->scale = akin_calloc(out, sizeof *k->scale);
    k->sums = akin_calloc(out, sizeof *k->sums);
    if (!k->bias || !k->scale || !k->sums)
        return akin_fail(err, AKIN_NOMEM, "out of memory");
    return akin__shape_get(p, out, l->in, &k->shape, err);
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

/* Where each pack of the tower lies; what was added since the last one is this
 * tower's. */
static void place_tower(akin__packs *p, akin__packed_tower *t, size_t first)
{
    t->first = first;
    t->end = p->count;
    for (size_t i = t->first; i < t->end; i++) {
        size_t bytes = dnnl_memory_desc_get_size(&p->list[i].shape->weights);

        p->list[i].offset = t->size_bytes;
        t->size_bytes += (bytes + ALIGN - 1) & ~(ALIGN - 1);
    }
}

static void free_packs(akin__packs *packs)
{
    for (size_t i = 0; i < 2; i++)
        empty_tower(packs, &packs->towers[i]);
    for (size_t i = 0; i < packs->count; i++) {
        akin_free(packs->list[i].bias);
        akin_free(packs->list[i].scale);
        akin_free(packs->list[i].sums);
    }
    for (size_t i = 0; i < packs->shape_count; i++) {
        for (size_t k = 0; k < AKIN__ROW_COUNTS; k++)
            dnnl_primitive_destroy(packs->shapes[i].gemm[k]);
    }
    dnnl_primitive_attr_destroy(packs->own_scratch);
    dnnl_engine_destroy(packs->engine);
    pthread_mutex_destroy(&packs->lock);
    pthread_mutex_destroy(&packs->filling);
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
    pthread_mutex_init(&p->filling, NULL);
    status = dnnl_engine_create(&p->engine, dnnl_cpu, 0);
    if (!status) status = dnnl_primitive_attr_create(&p->own_scratch);
    if (!status)
        status = dnnl_primitive_attr_set_scratchpad_mode(
            p->own_scratch, dnnl_scratchpad_mode_user);
    if (status)
        rc = akin__dnnl_failed(err, "engine", status);
    else if (model->patch.in > INT8_MOST || c->vision.mlp > INT8_MOST ||
             c->text.mlp > INT8_MOST)
        rc = akin_fail(err, AKIN_UNSUPPORTED,
                       "%s: more than %d inputs to a layer",
                       akin_precision_name(precision), INT8_MOST);
    else
        rc = add_pack(p, &model->patch, 0, model->patch.out, err);
    if (!rc) rc = add_tower(p, &model->vision, err);
    if (!rc) place_tower(p, &p->towers[0], 0);
    if (!rc) rc = add_tower(p, &model->text, err);
    if (!rc) place_tower(p, &p->towers[1], p->towers[0].end);
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

const akin__pack *akin__pack_find(const akin__packs *p, uint32_t id,
                                  size_t from)
{
    size_t low = 0, high = p->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const akin__pack *k = &p->list[middle];

        if (k->id == id && k->from == from) return k;
        if (k->id < id || (k->id == id && k->from < from))
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
