/* Encoders: options, memory, threads; splits calls into batches.
 *
 * Threads split the batch: each has a worker with memory of its own and calls
 * OpenBLAS for itself, with one BLAS thread. Nothing is shared but the weights,
 * and a row comes out the same whichever thread computes it. */
#include "encoder.h"

#include <cblas.h>
#include <string.h>

/* libgomp's, which Debian's OpenBLAS runs on. Declared here because clang has no
 * <omp.h> of its own unless LLVM's runtime is installed too. */
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);

#define DEFAULT_BATCH 32
#define MAX_BATCH     1024
#define MAX_THREADS   256
#define TEXT_ROWS     1024 /* tokens of texts packed together */

static const char *const precision_names[] = {
    [AKIN_PRECISION_AUTO] = "auto",
    [AKIN_PRECISION_F32] = "f32",
    [AKIN_PRECISION_BF16] = "bf16",
    [AKIN_PRECISION_INT8] = "int8",
};

const char *akin_precision_name(akin_precision precision)
{
    return precision_names[precision];
}

bool akin_precision_parse(const char *name, akin_precision *out)
{
    for (int i = AKIN_PRECISION_AUTO; i <= AKIN_PRECISION_INT8; i++) {
        if (strcmp(name, precision_names[i]) == 0) {
            *out = (akin_precision)i;
            return true;
        }
    }
    return false;
}

/* ---- memory ----------------------------------------------------------------- */

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Picture rows of one sequence. */
static size_t picture_rows(const akin__config *c)
{
    size_t side = c->image_size / c->patch;

    return side * side + (c->siglip ? 0 : 1);
}

/* Floats for `rows` rows of a tower; patch: inputs of a patch, or 0. */
static void tower_floats(const akin__tower_config *t, size_t rows, size_t patch,
                         size_t floats[3])
{
    floats[0] = most(floats[0], rows * t->width);
    floats[1] = floats[0];
    floats[2] =
        most(floats[2], rows * most(most((size_t)3 * t->width, t->mlp), patch));
}

static akin_status open_worker(akin_encoder *e, akin__worker *w,
                               akin_error *err)
{
    const akin__config *c = &e->model->config;
    size_t rows = picture_rows(c) * e->worker_pictures;
    size_t text_rows = most(TEXT_ROWS, c->context), sequences, bytes;
    size_t floats[3] = {0};
    size_t scores =
        most(akin__scores_size(picture_rows(c)), akin__scores_size(c->context));
    akin_status rc;

    w->pictures = e->worker_pictures;
    w->texts = text_rows;
    w->text_rows = text_rows;
    sequences = most(w->pictures, w->texts) + 1;
    tower_floats(&c->vision, rows, (size_t)3 * c->patch * c->patch, floats);
    tower_floats(&c->text, text_rows, 0, floats);
    bytes = (floats[0] + floats[1] + floats[2] + scores) * sizeof(float) +
            2 * sequences * sizeof(uint32_t) + 7 * 64 +
            (e->packs ? akin__packs_scratch(e->packs) : 0);
    rc = akin_arena_init(&w->arena, bytes, err);
    if (rc) return rc;
    w->x = akin_arena_take(&w->arena, floats[0] * sizeof(float));
    w->h = akin_arena_take(&w->arena, floats[1] * sizeof(float));
    w->big = akin_arena_take(&w->arena, floats[2] * sizeof(float));
    w->scores = akin_arena_take(&w->arena, scores * sizeof(float));
    w->start = akin_arena_take(&w->arena, sequences * sizeof(uint32_t));
    w->pick = akin_arena_take(&w->arena, sequences * sizeof(uint32_t));
    w->packs = e->packs;
    if (e->packs)
        w->scratch = akin_arena_take(&w->arena, akin__packs_scratch(e->packs));
    if (!w->x || !w->h || !w->big || !w->scores || !w->start || !w->pick ||
        (e->packs && !w->scratch))
        return akin_fail(err, AKIN_INTERNAL, "activations do not fit");
    return AKIN_OK;
}

/* As the reference: value * (1 / 255) in double, rounded to float32; then the
 * rest in float32. */
static void fill_table(akin_encoder *e)
{
    const akin__config *c = &e->model->config;

    for (size_t k = 0; k < 3; k++) {
        for (size_t v = 0; v < 256; v++) {
            float value = (float)((double)v * (1.0 / 255));

            e->table[k * 256 + v] = (value - c->mean[k]) / c->std[k];
        }
    }
}

akin_status akin__encoder_open_fixed(const akin_model *model,
                                     const akin_encoder_options *options,
                                     akin_encoder **out, akin_error *err)
{
    akin_encoder_options o = *options;
    akin_encoder *e;
    int before;
    akin_status rc;

    *out = NULL;
    if (o.max_batch > MAX_BATCH || o.threads > MAX_THREADS)
        return akin_fail(err, AKIN_INVALID,
                         "batch %u, threads %u: at most %d and %d", o.max_batch,
                         o.threads, MAX_BATCH, MAX_THREADS);
    e = akin_calloc(1, sizeof *e);
    if (!e) return akin_fail(err, AKIN_NOMEM, "out of memory");
    e->model = model;
    e->precision = o.precision;
    e->cosine = 1;
    memcpy(e->fingerprint, model->info.fingerprint_bytes,
           sizeof e->fingerprint);
    e->threads = o.threads ? o.threads : akin_cpu_count();
    if (e->threads > MAX_THREADS) e->threads = MAX_THREADS;
    o.max_batch = o.max_batch ? o.max_batch : DEFAULT_BATCH;
    e->worker_pictures = (o.max_batch + e->threads - 1) / e->threads;
    fill_table(e);
    rc = akin__model_widen(model, e->precision, err);
    e->is_wide = rc == AKIN_OK;
    if (!rc && e->precision != AKIN_PRECISION_F32)
        rc = akin__packs_get(model, e->precision, &e->packs, err);
    if (rc) goto failed;
    e->workers = akin_calloc(e->threads, sizeof *e->workers);
    if (!e->workers) {
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        goto failed;
    }
    for (uint32_t i = 0; i < e->threads && !rc; i++)
        rc = open_worker(e, &e->workers[i], err);
    if (!rc && e->threads > 1)
        rc = akin_pool_open(e->threads - 1, 0, "encode", &e->pool, err);
    if (rc) goto failed;
    before = akin__one_thread();
    openblas_set_num_threads(1); /* where it runs on threads of its own */
    akin__threads_back(before);
    *out = e;
    return AKIN_OK;

failed:
    akin_encoder_close(e);
    return rc;
}

void akin_encoder_close(akin_encoder *encoder)
{
    if (!encoder) return;
    akin_pool_close(encoder->pool);
    for (uint32_t i = 0; encoder->workers && i < encoder->threads; i++)
        akin_arena_clear(&encoder->workers[i].arena);
    akin_free(encoder->workers);
    akin__packs_put(encoder->model, encoder->packs);
    if (encoder->is_wide)
        akin__model_narrow(encoder->model, encoder->precision);
    akin_free(encoder);
}

akin_precision akin_encoder_precision(const akin_encoder *encoder)
{
    return encoder->precision;
}

void akin__encoder_trace(akin_encoder *encoder, akin__trace *trace, void *user)
{
    for (uint32_t i = 0; i < encoder->threads; i++) {
        encoder->workers[i].trace = trace;
        encoder->workers[i].trace_user = user;
    }
}

/* ---- a call ----------------------------------------------------------------- */

typedef struct {
    akin_encoder *encoder;
    size_t n, parts;
    float *out; /* (n, dim) */
    const uint8_t *pixels;
    const int32_t *ids;
    size_t stride;
    const uint32_t *lengths;
    bool failed;
} job;

int akin__one_thread(void)
{
    int before = omp_get_max_threads();

    omp_set_num_threads(1);
    return before;
}

void akin__threads_back(int before)
{
    omp_set_num_threads(before);
}

static void run_part(void (*part)(job *, akin__worker *, size_t, size_t),
                     job *j, size_t i)
{
    size_t from = j->n * i / j->parts, to = j->n * (i + 1) / j->parts;
    int before = akin__one_thread();

    part(j, &j->encoder->workers[i], from, to);
    akin__threads_back(before);
}

static void encode_pictures(job *j, akin__worker *w, size_t from, size_t to)
{
    const akin_encoder *e = j->encoder;
    size_t S = e->model->config.image_size, dim = e->model->config.dim;

    while (from < to) {
        size_t n = to - from < w->pictures ? to - from : w->pictures;

        if (!akin__vision(e->model, w, e->table, j->pixels + from * S * S * 3,
                          n, j->out + from * dim))
            __atomic_store_n(&j->failed, true, __ATOMIC_RELAXED);
        from += n;
    }
}

static void encode_texts(job *j, akin__worker *w, size_t from, size_t to)
{
    const akin_encoder *e = j->encoder;
    size_t dim = e->model->config.dim;

    while (from < to) {
        size_t n = 0, rows = 0;

        while (from + n < to && n < w->texts &&
               rows + j->lengths[from + n] <= w->text_rows)
            rows += j->lengths[from + n++];
        if (!akin__text(e->model, w, j->ids + from * j->stride, j->stride,
                        j->lengths + from, n, j->out + from * dim))
            __atomic_store_n(&j->failed, true, __ATOMIC_RELAXED);
        from += n;
    }
}

static void pictures_part(void *arg, size_t i)
{
    run_part(encode_pictures, arg, i);
}

static void texts_part(void *arg, size_t i)
{
    run_part(encode_texts, arg, i);
}

static akin_status run(job *j, akin_part *part, akin_error *err)
{
    const akin_encoder *e = j->encoder;

    if (e->packs && j->n) {
        akin_status rc =
            akin__packs_need(e->packs, e->model, j->pixels == NULL, err);

        if (rc) return rc;
    }
    j->parts = j->n < j->encoder->threads ? j->n : j->encoder->threads;
    akin_pool_each(j->parts > 1 ? j->encoder->pool : NULL, j->parts, part, j);
    return j->failed ? akin_fail(err, AKIN_INTERNAL,
                                 "oneDNN refused a multiplication")
                     : AKIN_OK;
}

static akin_status normalize_rows(float *out, size_t n, size_t dim,
                                  akin_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!akin_normalize(out + i * dim, dim))
            return akin_fail(err, AKIN_BAD_DATA,
                             "embedding %zu is not finite or zero: are the "
                             "model's weights sound?",
                             i);
    }
    return AKIN_OK;
}

akin_status akin_encoder_images_raw(akin_encoder *encoder,
                                    const uint8_t *pixels, size_t n, float *out,
                                    akin_error *err)
{
    job j = {.encoder = encoder, .n = n, .out = out, .pixels = pixels};

    return run(&j, pictures_part, err);
}

akin_status akin_encoder_images(akin_encoder *encoder, const uint8_t *pixels,
                                size_t n, float *out, akin_error *err)
{
    akin_status rc = akin_encoder_images_raw(encoder, pixels, n, out, err);

    return rc ? rc : normalize_rows(out, n, encoder->model->config.dim, err);
}

static akin_status check_ids(const akin__config *c, const int32_t *ids,
                             size_t stride, const uint32_t *counts, size_t n,
                             akin_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (counts[i] < 1 || counts[i] > c->context || counts[i] > stride)
            return akin_fail(err, AKIN_INVALID,
                             "text %zu: %u token ids, expected 1 to %u", i,
                             counts[i], c->context);
        for (uint32_t k = 0; k < counts[i]; k++) {
            int32_t id = ids[i * stride + k];

            if (id < 0 || (uint32_t)id >= c->vocab)
                return akin_fail(err, AKIN_INVALID,
                                 "text %zu: token id %d, expected 0 to %u", i,
                                 id, c->vocab - 1);
        }
    }
    return AKIN_OK;
}

/* SigLIP: a copy with every row padded to the context. */
static akin_status pad_ids(const akin__config *c, job *j,
                           const uint32_t *counts, int32_t **out,
                           akin_error *err)
{
    int32_t *copy = akin_calloc(j->n, c->context * sizeof *copy);

    *out = copy;
    if (!copy) return akin_fail(err, AKIN_NOMEM, "out of memory");
    for (size_t i = 0; i < j->n; i++) {
        for (uint32_t k = 0; k < c->context; k++)
            copy[i * c->context + k] =
                k < counts[i] ? j->ids[i * j->stride + k] : c->pad_id;
    }
    j->ids = copy;
    j->stride = c->context;
    return AKIN_OK;
}

akin_status akin_encoder_ids_raw(akin_encoder *encoder, const int32_t *ids,
                                 size_t stride, const uint32_t *counts,
                                 size_t n, float *out, akin_error *err)
{
    const akin__config *c = &encoder->model->config;
    job j = {
        .encoder = encoder, .n = n, .out = out, .ids = ids, .stride = stride};
    uint32_t *lengths = NULL;
    int32_t *padded = NULL;
    akin_status rc = check_ids(c, ids, stride, counts, n, err);

    if (rc) return rc;
    lengths = akin_calloc(n, sizeof *lengths);
    if (!lengths) return akin_fail(err, AKIN_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        lengths[i] =
            akin__text_length(encoder->model, ids + i * stride, counts[i]);
    j.lengths = lengths;
    if (c->pool == AKIN__POOL_LAST) rc = pad_ids(c, &j, counts, &padded, err);
    if (!rc) rc = run(&j, texts_part, err);
    akin_free(padded);
    akin_free(lengths);
    return rc;
}

akin_status akin_encoder_ids(akin_encoder *encoder, const int32_t *ids,
                             size_t stride, const uint32_t *counts, size_t n,
                             float *out, akin_error *err)
{
    akin_status rc =
        akin_encoder_ids_raw(encoder, ids, stride, counts, n, out, err);

    return rc ? rc : normalize_rows(out, n, encoder->model->config.dim, err);
}

akin_status akin_encoder_texts(akin_encoder *encoder, const akin_span *texts,
                               size_t n, float *out, akin_error *err)
{
    size_t context = encoder->model->config.context;
    int32_t *ids = akin_calloc(n, context * sizeof *ids);
    uint32_t *counts = akin_calloc(n, sizeof *counts);
    akin_status rc = AKIN_OK;

    if (!ids || !counts) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    for (size_t i = 0; i < n && !rc; i++)
        rc = akin_model_tokenize(encoder->model, texts[i], ids + i * context,
                                 (uint32_t)context, &counts[i], err);
    if (!rc) rc = akin_encoder_ids(encoder, ids, context, counts, n, out, err);
    akin_free(ids);
    akin_free(counts);
    return rc;
}
