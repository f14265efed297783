/* From tensor names to towers. Three spellings are known: Hugging Face's CLIP
 * and SigLIP, and OpenAI's / OpenCLIP's. Every tensor's shape is checked
 * against the config. Large matrices stay where they are in the mapping;
 * vectors (biases, LayerNorm) are copied, so that they are float32 and
 * aligned. */
#include "internal.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names of one layer's tensors; a name is prefix + number + this. */
typedef struct {
    const char *norm1, *norm2, *in_proj, *q, *k, *v, *proj, *fc1, *fc2;
} layer_names;

static const layer_names hf_layer = {
    "layer_norm1",        "layer_norm2",      NULL,
    "self_attn.q_proj",   "self_attn.k_proj", "self_attn.v_proj",
    "self_attn.out_proj", "mlp.fc1",          "mlp.fc2"};
static const layer_names open_clip_layer = {
    "ln_1", "ln_2",          "attn.in_proj_", NULL,        NULL,
    NULL,   "attn.out_proj", "mlp.c_fc",      "mlp.c_proj"};

typedef struct {
    const layer_names *layer;
    const char *vision_layers, *text_layers;
    const char *patch, *class_embedding, *vision_positions;
    const char *pre, *vision_post, *vision_out;
    const char *tokens, *text_positions, *text_post, *text_out;
    bool transposed_out; /* projections stored (in, out) */
} name_table;

static const name_table hf_names = {
    &hf_layer,
    "vision_model.encoder.layers.",
    "text_model.encoder.layers.",
    "vision_model.embeddings.patch_embedding",
    "vision_model.embeddings.class_embedding",
    "vision_model.embeddings.position_embedding.weight",
    "vision_model.pre_layrnorm", /* their spelling */
    "vision_model.post_layernorm",
    "visual_projection.weight",
    "text_model.embeddings.token_embedding.weight",
    "text_model.embeddings.position_embedding.weight",
    "text_model.final_layer_norm",
    "text_projection.weight",
    false};
static const name_table open_clip_names = {&open_clip_layer,
                                           "visual.transformer.resblocks.",
                                           "transformer.resblocks.",
                                           "visual.conv1",
                                           "visual.class_embedding",
                                           "visual.positional_embedding",
                                           "visual.ln_pre",
                                           "visual.ln_post",
                                           "visual.proj",
                                           "token_embedding.weight",
                                           "positional_embedding",
                                           "ln_final",
                                           "text_projection",
                                           true};

typedef struct {
    akin_model *model;
    const name_table *names;
    akin_error *err;
    akin_status rc; /* first failure; later steps do nothing */
} binder;

static void shape_text(const uint64_t *shape, uint32_t rank, char *out,
                       size_t size)
{
    size_t used = 0;

    out[0] = 0;
    for (uint32_t i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%llu",
                                 i ? " x " : "", (unsigned long long)shape[i]);
}

/* A weight of exactly this shape. */
static const akin__tensor *need(binder *b, const char *name, uint32_t rank,
                                const uint64_t *shape)
{
    const akin__tensor *t;
    char want[96], got[200];

    if (b->rc) return NULL;
    t = akin__tensors_find(b->model->tensors, name);
    if (!t) {
        b->rc = akin_fail(b->err, AKIN_CORRUPT, "tensor %s is missing", name);
        return NULL;
    }
    if (t->dtype == AKIN__OTHER) {
        b->rc = akin_fail(b->err, AKIN_UNSUPPORTED,
                          "tensor %s: weights must be F32, F16 or BF16", name);
        return NULL;
    }
    if (t->rank != rank || memcmp(t->shape, shape, rank * sizeof *shape) != 0) {
        shape_text(shape, rank, want, sizeof want);
        shape_text(t->shape, t->rank, got, sizeof got);
        b->rc =
            akin_fail(b->err, AKIN_CORRUPT,
                      "tensor %s: expected shape %s, got %s", name, want, got);
        return NULL;
    }
    b->model->info.parameters += t->count;
    return t;
}

/* A copy as aligned float32 that the model owns. */
static const float *copy_of(binder *b, const akin__tensor *t)
{
    float *copy;

    if (b->rc) return NULL;
    copy = akin__model_own(b->model, (size_t)t->count * sizeof *copy, b->err);
    if (!copy) {
        b->rc = AKIN_NOMEM;
        return NULL;
    }
    akin__tensor_read(t, 0, (size_t)t->count, copy);
    return copy;
}

static const float *vector(binder *b, size_t n, const char *fmt, ...)
    AKIN_PRINTF(3, 4);

static const float *vector(binder *b, size_t n, const char *fmt, ...)
{
    uint64_t shape[1] = {n};
    char name[160];
    va_list args;

    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    return copy_of(b, need(b, name, 1, shape));
}

static void bind_norm(binder *b, akin__norm *norm, size_t width,
                      const char *prefix, const char *name)
{
    norm->gain = vector(b, width, "%s%s.weight", prefix, name);
    norm->bias = vector(b, width, "%s%s.bias", prefix, name);
}

/* One matrix with a bias: prefix + name + ".weight" / ".bias". */
static void bind_linear(binder *b, akin__linear *l, size_t out, size_t in,
                        const char *prefix, const char *name)
{
    uint64_t shape[2] = {out, in};
    char full[160];

    *l = (akin__linear){
        .parts = 1, .out = out, .in = in, .id = ++b->model->linear_count};
    snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    l->part[0] = need(b, full, 2, shape);
    l->bias = vector(b, out, "%s%s.bias", prefix, name);
}

/* q, k and v as three matrices of C rows. */
static void bind_qkv_parts(binder *b, akin__linear *l, size_t width,
                           const char *prefix)
{
    const layer_names *n = b->names->layer;
    const char *names[3] = {n->q, n->k, n->v};
    uint64_t shape[2] = {width, width};
    float *bias;

    *l = (akin__linear){.parts = 3,
                        .out = 3 * width,
                        .in = width,
                        .id = ++b->model->linear_count};
    bias = akin__model_own(b->model, l->out * sizeof *bias, b->err);
    if (!bias && !b->rc) b->rc = AKIN_NOMEM;
    l->bias = bias;
    for (size_t i = 0; i < 3 && !b->rc; i++) {
        uint64_t bias_shape[1] = {width};
        const akin__tensor *t;
        char full[160];

        snprintf(full, sizeof full, "%s%s.weight", prefix, names[i]);
        l->part[i] = need(b, full, 2, shape);
        snprintf(full, sizeof full, "%s%s.bias", prefix, names[i]);
        t = need(b, full, 1, bias_shape);
        if (t) akin__tensor_read(t, 0, width, bias + i * width);
    }
}

/* q, k and v stacked in one tensor: prefix + "weight" / "bias". */
static void bind_qkv_stacked(binder *b, akin__linear *l, size_t width,
                             const char *prefix, const char *name)
{
    uint64_t shape[2] = {3 * width, width};
    char full[160];

    *l = (akin__linear){.parts = 1,
                        .out = 3 * width,
                        .in = width,
                        .id = ++b->model->linear_count};
    snprintf(full, sizeof full, "%s%sweight", prefix, name);
    l->part[0] = need(b, full, 2, shape);
    l->bias = vector(b, l->out, "%s%sbias", prefix, name);
}

static void bind_layer(binder *b, akin__layer *layer,
                       const akin__tower_config *c, const char *prefix)
{
    const layer_names *n = b->names->layer;

    bind_norm(b, &layer->norm1, c->width, prefix, n->norm1);
    bind_norm(b, &layer->norm2, c->width, prefix, n->norm2);
    if (n->in_proj)
        bind_qkv_stacked(b, &layer->qkv, c->width, prefix, n->in_proj);
    else
        bind_qkv_parts(b, &layer->qkv, c->width, prefix);
    bind_linear(b, &layer->proj, c->width, c->width, prefix, n->proj);
    bind_linear(b, &layer->fc1, c->mlp, c->width, prefix, n->fc1);
    bind_linear(b, &layer->fc2, c->width, c->mlp, prefix, n->fc2);
}

static void bind_layers(binder *b, akin__tower *tower, const char *prefix)
{
    if (b->rc) return;
    tower->layers = akin__model_own(
        b->model, tower->config.layers * sizeof *tower->layers, b->err);
    if (!tower->layers) {
        b->rc = AKIN_NOMEM;
        return;
    }
    memset(tower->layers, 0, tower->config.layers * sizeof *tower->layers);
    for (uint32_t i = 0; i < tower->config.layers && !b->rc; i++) {
        char full[100];

        snprintf(full, sizeof full, "%s%u.", prefix, i);
        bind_layer(b, &tower->layers[i], &tower->config, full);
    }
}

/* The projection to the embedding, which has no bias. OpenCLIP stores it the
 * other way round; it is small, and turned once here. */
static void bind_out(binder *b, akin__tower *tower, size_t dim,
                     const char *name)
{
    size_t width = tower->config.width;
    uint64_t plain[2] = {dim, width}, turned[2] = {width, dim};
    const akin__tensor *t =
        need(b, name, 2, b->names->transposed_out ? turned : plain);
    const float *stored = b->names->transposed_out ? copy_of(b, t) : NULL;
    float *copy;

    tower->out =
        (akin__linear){.part = {t}, .parts = 1, .out = dim, .in = width};
    if (!stored) return;
    copy = akin__model_own(b->model, dim * width * sizeof *copy, b->err);
    if (!copy) {
        b->rc = AKIN_NOMEM;
        return;
    }
    for (size_t i = 0; i < width; i++) {
        for (size_t j = 0; j < dim; j++)
            copy[j * width + i] = stored[i * dim + j];
    }
    tower->out.f32[0] = copy;
}

static void bind_patch(binder *b, const akin__config *c)
{
    uint64_t shape[4] = {c->vision.width, 3, c->patch, c->patch};
    char name[160];

    snprintf(name, sizeof name, "%s.weight", b->names->patch);
    b->model->patch = (akin__linear){.part = {need(b, name, 4, shape)},
                                     .parts = 1,
                                     .out = c->vision.width,
                                     .in = (size_t)3 * c->patch * c->patch,
                                     .id = ++b->model->linear_count};
    if (c->siglip)
        b->model->patch.bias =
            vector(b, c->vision.width, "%s.bias", b->names->patch);
}

static void bind_positions(binder *b, akin__tower *tower, uint64_t rows,
                           const char *name)
{
    uint64_t shape[2] = {rows, tower->config.width};

    tower->positions = copy_of(b, need(b, name, 2, shape));
}

/* SigLIP pools its picture with one attention layer whose query is learned. */
static void bind_head(binder *b, size_t width, size_t mlp)
{
    static const char prefix[] = "vision_model.head.";
    akin__pooling_head *head = &b->model->head;
    uint64_t probe[3] = {1, 1, width};

    head->probe = copy_of(b, need(b, "vision_model.head.probe", 3, probe));
    bind_qkv_stacked(b, &head->qkv, width, prefix, "attention.in_proj_");
    bind_linear(b, &head->proj, width, width, prefix, "attention.out_proj");
    bind_norm(b, &head->norm, width, prefix, "layernorm");
    bind_linear(b, &head->fc1, mlp, width, prefix, "mlp.fc1");
    bind_linear(b, &head->fc2, width, mlp, prefix, "mlp.fc2");
    head->qkv.id = head->proj.id = head->fc1.id = head->fc2.id = 0;
}

static void bind_vision(binder *b, const akin__config *c)
{
    uint64_t side = c->image_size / c->patch;
    akin__tower *tower = &b->model->vision;

    bind_patch(b, c);
    bind_positions(b, tower, side * side + (c->siglip ? 0 : 1),
                   b->names->vision_positions);
    bind_layers(b, tower, b->names->vision_layers);
    bind_norm(b, &tower->post, c->vision.width, "", b->names->vision_post);
    if (c->siglip) {
        bind_head(b, c->vision.width, c->vision.mlp);
        return;
    }
    b->model->class_embedding =
        vector(b, c->vision.width, "%s", b->names->class_embedding);
    bind_norm(b, &b->model->pre, c->vision.width, "", b->names->pre);
    bind_out(b, tower, c->dim, b->names->vision_out);
}

static void bind_text(binder *b, const akin__config *c)
{
    uint64_t table[2] = {c->vocab, c->text.width};
    akin__tower *tower = &b->model->text;

    b->model->token_table = need(b, b->names->tokens, 2, table);
    bind_positions(b, tower, c->context, b->names->text_positions);
    bind_layers(b, tower, b->names->text_layers);
    bind_norm(b, &tower->post, c->text.width, "", b->names->text_post);
    if (c->siglip) {
        bind_linear(b, &tower->out, c->dim, c->text.width, "text_model.",
                    "head");
        tower->out.id = 0;
    } else {
        bind_out(b, tower, c->dim, b->names->text_out);
    }
}

/* One number; logit scales come as a scalar or as a list of one. */
static float scalar(binder *b, const char *name, float fallback)
{
    const akin__tensor *t = akin__tensors_find(b->model->tensors, name);
    float value = fallback;

    if (t && t->count == 1 && t->dtype != AKIN__OTHER)
        akin__tensor_read(t, 0, 1, &value);
    return value;
}

akin_status akin__weights_bind(akin_model *model, akin_error *err)
{
    const akin__config *c = &model->config;
    bool open_clip =
        akin__tensors_find(model->tensors, "visual.conv1.weight") != NULL;
    binder b = {model, open_clip ? &open_clip_names : &hf_names, err, AKIN_OK};

    model->vision.config = c->vision;
    model->text.config = c->text;
    bind_vision(&b, c);
    bind_text(&b, c);
    model->info.logit_scale = expf(scalar(&b, "logit_scale", 0));
    model->info.logit_bias = scalar(&b, "logit_bias", 0);
    return b.rc;
}

/* ---- float32 views ---------------------------------------------------------- */

static akin_status widen(akin__blocks *blocks, akin__linear *l, akin_error *err)
{
    for (uint32_t i = 0; i < l->parts; i++) {
        const akin__tensor *t = l->part[i];
        float *copy;

        if (l->f32[i]) continue;
        if (t->dtype == AKIN__F32 && (uintptr_t)t->data % sizeof(float) == 0) {
            l->f32[i] = (const float *)(const void *)t->data;
            continue;
        }
        copy = akin__blocks_add(blocks, (size_t)t->count * sizeof *copy, err);
        if (!copy) return AKIN_NOMEM;
        akin__tensor_read(t, 0, (size_t)t->count, copy);
        l->f32[i] = copy;
    }
    return AKIN_OK;
}

/* Those with an id; f is called for each until one fails. */
typedef akin_status linear_step(akin__blocks *blocks, akin__linear *l,
                                akin_error *err);

static akin_status each_in_tower(akin_model *model, akin__tower *tower,
                                 linear_step *f, akin_error *err)
{
    akin_status rc = AKIN_OK;

    for (uint32_t i = 0; i < tower->config.layers && !rc; i++) {
        akin__layer *layer = &tower->layers[i];
        akin__linear *all[] = {&layer->qkv, &layer->proj, &layer->fc1,
                               &layer->fc2};

        for (size_t k = 0; k < 4 && !rc; k++)
            rc = f(&model->wide, all[k], err);
    }
    return rc;
}

static akin_status each_packable(akin_model *model, linear_step *f,
                                 akin_error *err)
{
    akin_status rc = f(&model->wide, &model->patch, err);

    if (!rc) rc = each_in_tower(model, &model->vision, f, err);
    if (!rc) rc = each_in_tower(model, &model->text, f, err);
    return rc;
}

static akin_status forget(akin__blocks *blocks, akin__linear *l,
                          akin_error *err)
{
    (void)blocks;
    (void)err;
    memset(l->f32, 0, sizeof l->f32);
    return AKIN_OK;
}

static void drop_wide(akin_model *model)
{
    (void)each_packable(model, forget, NULL); /* cannot fail */
    akin__blocks_free(&model->wide);
}

static akin_status widen_ends(akin_model *model, akin_error *err)
{
    akin__linear *ends[] = {&model->vision.out, &model->text.out,
                            &model->head.qkv,   &model->head.proj,
                            &model->head.fc1,   &model->head.fc2};
    akin_status rc = AKIN_OK;

    for (size_t i = 0; i < sizeof ends / sizeof ends[0] && !rc; i++)
        rc = widen(&model->owned, ends[i], err);
    model->widened_ends = rc == AKIN_OK;
    return rc;
}

akin_status akin__model_widen(const akin_model *model, akin_precision precision,
                              akin_error *err)
{
    /* what changes is a cache behind the lock; the model stays the same */
    akin_model *m = (akin_model *)(uintptr_t)model;
    bool all = precision == AKIN_PRECISION_F32;
    akin_status rc = AKIN_OK;

    pthread_mutex_lock(&m->lock);
    if (!m->widened_ends) rc = widen_ends(m, err);
    if (!rc && all && m->wide_users == 0) {
        rc = each_packable(m, widen, err);
        if (rc) drop_wide(m);
    }
    if (!rc && all) m->wide_users++;
    pthread_mutex_unlock(&m->lock);
    return rc;
}

void akin__model_narrow(const akin_model *model, akin_precision precision)
{
    akin_model *m = (akin_model *)(uintptr_t)model;

    if (precision != AKIN_PRECISION_F32) return;
    pthread_mutex_lock(&m->lock);
    if (--m->wide_users == 0) drop_wide(m);
    pthread_mutex_unlock(&m->lock);
}

void akin__linear_read(const akin__linear *l, size_t first, size_t n,
                       float *out)
{
    size_t height = l->out / l->parts;

    for (size_t i = first; i < first + n; i++, out += l->in)
        akin__tensor_read(l->part[i / height], (uint64_t)(i % height) * l->in,
                          l->in, out);
}
