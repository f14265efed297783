/* Model directories: which layout, which files, in which order they are opened.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void *akin__blocks_add(akin__blocks *blocks, size_t size, akin_error *err)
{
    void *block;

    if (akin_grow(&blocks->list, &blocks->capacity, blocks->count + 1,
                  sizeof *blocks->list, err))
        return NULL;
    block = akin_alloc(size);
    if (!block) {
        akin_fail(err, AKIN_NOMEM, "out of memory for %zu bytes of weights",
                  size);
        return NULL;
    }
    blocks->list[blocks->count++] = block;
    return block;
}

void akin__blocks_free(akin__blocks *blocks)
{
    for (size_t i = 0; i < blocks->count; i++)
        akin_free(blocks->list[i]);
    akin_free(blocks->list);
    *blocks = (akin__blocks){0};
}

void *akin__model_own(akin_model *model, size_t size, akin_error *err)
{
    return akin__blocks_add(&model->owned, size, err);
}

char *akin__cache_folder(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (cache && *cache == '/') return akin_format("%s/akin", cache);
    if (home && *home == '/') return akin_format("%s/.cache/akin", home);
    return NULL;
}

/* *path: where the file is, owned by the caller; NULL when it is not there. */
static akin_status find_file(const char *dir, const char *name, char **path,
                             akin_error *err)
{
    *path = akin_format("%s/%s", dir, name);
    if (!*path) return akin_fail(err, AKIN_NOMEM, "out of memory");
    if (access(*path, F_OK) != 0) {
        akin_free(*path);
        *path = NULL;
    }
    return AKIN_OK;
}

static const struct {
    const char *config, *weights;
    bool open_clip;
} layouts[] = {
    {"config.json", "model.safetensors", false},
    {"config.json", "model.safetensors.index.json", false},
    {"open_clip_config.json", "open_clip_model.safetensors", true},
    {"open_clip_config.json", "open_clip_model.safetensors.index.json", true},
    {"open_clip_config.json", "model.safetensors", true},
};

static akin_status no_layout(const char *dir, akin_error *err)
{
    char *pickle = NULL;
    akin_status rc = find_file(dir, "pytorch_model.bin", &pickle, err);

    if (!rc)
        rc = akin_fail(
            err, AKIN_NOT_FOUND,
            "%s: expected config.json and model.safetensors (or "
            "open_clip_config.json and open_clip_model.safetensors)%s",
            dir, pickle ? "; pytorch_model.bin is not read, convert it" : "");
    akin_free(pickle);
    return rc;
}

static akin_status open_tensors(akin_model *model, const char *dir,
                                bool *open_clip, akin_error *err)
{
    struct stat st;

    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return akin_fail(err, AKIN_NOT_FOUND, "no such model directory: %s",
                         dir);
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        char *config = NULL, *weights = NULL;
        akin_status rc = find_file(dir, layouts[i].config, &config, err);
        bool is_this;

        if (!rc) rc = find_file(dir, layouts[i].weights, &weights, err);
        is_this = !rc && config && weights;
        if (is_this) {
            *open_clip = layouts[i].open_clip;
            rc = akin__tensors_open(weights, &model->tensors, err);
        }
        akin_free(config);
        akin_free(weights);
        if (rc || is_this) return rc;
    }
    return no_layout(dir, err);
}

static void set_name(akin_model_info *info, const char *dir)
{
    size_t end = strlen(dir), start;

    while (end > 1 && dir[end - 1] == '/')
        end--;
    start = end;
    while (start > 0 && dir[start - 1] != '/')
        start--;
    if (end - start >= sizeof info->name) end = start + sizeof info->name - 1;
    memcpy(info->name, dir + start, end - start);
    info->name[end - start] = 0;
}

static void set_dtype(akin_model *model)
{
    static const char *const names[] = {"float32", "float16", "bfloat16"};
    const akin__layer *v = &model->vision.layers[0],
                      *t = &model->text.layers[0];
    akin__dtype dtype = v->fc1.part[0]->dtype;
    const char *name = t->fc1.part[0]->dtype == dtype ? names[dtype] : "mixed";

    memcpy(model->info.weights_dtype, name, strlen(name) + 1);
}

static void set_info(akin_model *model, const char *dir)
{
    const akin__config *c = &model->config;
    akin_model_info *info = &model->info;
    const char *architecture = c->siglip ? "siglip" : "clip";

    info->dim = c->dim;
    info->context = c->context;
    info->vocab = c->vocab;
    info->image_size = c->image_size;
    info->resize_edge = c->resize_edge;
    info->resize = c->resize;
    memcpy(info->mean, c->mean, sizeof info->mean);
    memcpy(info->std, c->std, sizeof info->std);
    info->vision_layers = c->vision.layers;
    info->vision_width = c->vision.width;
    info->vision_heads = c->vision.heads;
    info->patch = c->patch;
    info->text_layers = c->text.layers;
    info->text_width = c->text.width;
    info->text_heads = c->text.heads;
    info->sigmoid = c->siglip;
    info->has_tokenizer = model->tokenizer != NULL;
    memcpy(info->architecture, architecture, strlen(architecture) + 1);
    set_name(info, dir);
    set_dtype(model);
    akin_hex(info->fingerprint_bytes, AKIN_SHA256_BYTES, info->fingerprint);
}

static akin_status open_tokenizer(akin_model *model, const char *dir,
                                  akin_error *err)
{
    akin_status rc;

    /* SigLIP's is SentencePiece: its texts come as ids */
    if (model->config.siglip) return AKIN_OK;
    rc = akin__tokenizer_open(dir, &model->tokenizer, err);
    if (rc || !model->tokenizer) return rc;
    if ((uint32_t)akin__tokenizer_max_id(model->tokenizer) >=
        model->config.vocab)
        return akin_fail(err, AKIN_CORRUPT,
                         "%s: the tokenizer gives ids up to %d, the model has "
                         "%u",
                         dir, akin__tokenizer_max_id(model->tokenizer),
                         model->config.vocab);
    return AKIN_OK;
}

akin_status akin_model_open(const char *dir, akin_model **out, akin_error *err)
{
    akin_model *model = akin_calloc(1, sizeof *model);
    bool open_clip = false;
    akin_status rc;

    *out = NULL;
    if (!model) return akin_fail(err, AKIN_NOMEM, "out of memory");
    pthread_mutex_init(&model->lock, NULL);
    rc = open_tensors(model, dir, &open_clip, err);
    if (rc) goto failed;
    rc = akin__config_read(dir, open_clip, &model->config, err);
    if (rc) goto failed;
    rc = akin__weights_bind(model, err);
    if (rc) {
        akin_fail_prefix(err, rc, "%s", dir);
        goto failed;
    }
    rc = open_tokenizer(model, dir, err);
    if (rc) goto failed;
    rc = akin__fingerprint(dir, model->tensors, (int64_t)time(NULL),
                           model->info.fingerprint_bytes, err);
    if (rc) goto failed;
    set_info(model, dir);
    *out = model;
    return AKIN_OK;

failed:
    akin_model_close(model);
    return rc;
}

void akin_model_close(akin_model *model)
{
    if (!model) return;
    akin__tokenizer_close(model->tokenizer);
    akin__blocks_free(&model->owned);
    akin__tensors_close(model->tensors);
    pthread_mutex_destroy(&model->lock);
    akin_free(model);
}

const akin_model_info *akin_model_get_info(const akin_model *model)
{
    return &model->info;
}

akin_status akin_model_tokenize(const akin_model *model, akin_span text,
                                int32_t *ids, uint32_t capacity,
                                uint32_t *count, akin_error *err)
{
    akin_buf list = {0};
    akin_status rc;

    *count = 0;
    if (!model->tokenizer)
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "model %s has no tokenizer: pass token ids",
                         model->info.name);
    if (text.size > AKIN__TEXT_LIMIT)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "text of %zu bytes, more than the limit of %d",
                         text.size, AKIN__TEXT_LIMIT);
    rc = akin__tokenizer_encode(model->tokenizer, text, model->config.context,
                                &list, err);
    if (!rc && list.size > capacity * sizeof *ids)
        rc = akin_fail(err, AKIN_TOO_LARGE, "room for %u ids, need %zu",
                       capacity, list.size / sizeof *ids);
    if (!rc) {
        *count = (uint32_t)(list.size / sizeof *ids);
        memcpy(ids, list.data, list.size);
    }
    akin_buf_clear(&list);
    return rc;
}
