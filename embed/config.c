/* Model configuration: Hugging Face's config.json + preprocessor_config.json,
 * or OpenCLIP's open_clip_config.json. Missing keys take the defaults of the
 * program that writes the file. Every number is checked against bounds that
 * keep later size computations far from overflow; what the forward pass does
 * not know is refused by name rather than ignored. */
#include "internal.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define CONFIG_LIMIT (4u << 20)

/* One file being read: the first complaint is kept, later reads do nothing. */
typedef struct {
    const char *path;
    akin_error *err;
    akin_status rc;
} reader;

static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_null(value) ? NULL : value;
}

static uint32_t get_u32(reader *r, const json_t *object, const char *key,
                        uint32_t low, uint32_t high, uint32_t fallback)
{
    const json_t *value = member(object, key);

    if (!value || r->rc) return fallback;
    if (!json_is_integer(value) || json_integer_value(value) < low ||
        json_integer_value(value) > high) {
        r->rc = akin_fail(r->err, AKIN_CORRUPT,
                          "%s: %s: expected a whole number from %u to %u",
                          r->path, key, low, high);
        return fallback;
    }
    return (uint32_t)json_integer_value(value);
}

static double get_number(reader *r, const json_t *object, const char *key,
                         double low, double high, double fallback)
{
    const json_t *value = member(object, key);
    double number;

    if (!value || r->rc) return fallback;
    number = json_number_value(value);
    if (!json_is_number(value) || !(number >= low && number <= high)) {
        r->rc = akin_fail(r->err, AKIN_CORRUPT,
                          "%s: %s: expected a number from %g to %g", r->path,
                          key, low, high);
        return fallback;
    }
    return number;
}

/* Fails with AKIN_UNSUPPORTED unless the key is absent or has this value. */
static void require_bool(reader *r, const json_t *object, const char *key,
                         bool want)
{
    const json_t *value = member(object, key);

    if (value && !r->rc && !(want ? json_is_true(value) : json_is_false(value)))
        r->rc =
            akin_fail(r->err, AKIN_UNSUPPORTED, "%s: %s: only %s is supported",
                      r->path, key, want ? "true" : "false");
}

static void require_absent(reader *r, const json_t *object, const char *key)
{
    const json_t *value = member(object, key);

    if (value && !json_is_false(value) && !r->rc)
        r->rc = akin_fail(r->err, AKIN_UNSUPPORTED, "%s: %s is not supported",
                          r->path, key);
}

static akin__act get_act(reader *r, const json_t *object, akin__act fallback)
{
    static const struct {
        const char *name;
        akin__act act;
    } names[] = {
        {"quick_gelu", AKIN__QUICK_GELU},
        {"gelu", AKIN__GELU},
        {"gelu_pytorch_tanh", AKIN__GELU_TANH},
        {"gelu_new", AKIN__GELU_TANH},
    };
    const json_t *value = member(object, "hidden_act");
    const char *text = json_string_value(value);

    if (!value || r->rc) return fallback;
    for (size_t i = 0; text && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(text, names[i].name) == 0) return names[i].act;
    }
    r->rc = akin_fail(r->err, AKIN_UNSUPPORTED,
                      "%s: hidden_act %.40s is not supported", r->path,
                      text ? text : "(not a string)");
    return fallback;
}

static json_t *load(reader *r, bool optional)
{
    uint8_t *text = NULL;
    size_t size = 0;
    json_error_t bad;
    json_t *root;
    akin_error local = {0};
    akin_status rc = akin_file_read(r->path, CONFIG_LIMIT, &text, &size,
                                    r->err ? r->err : &local);

    if (rc == AKIN_NOT_FOUND && optional) return NULL;
    if (rc) {
        r->rc = rc;
        return NULL;
    }
    root = json_loadb((const char *)text, size, JSON_REJECT_DUPLICATES, &bad);
    if (!root)
        r->rc = akin_fail(r->err, AKIN_CORRUPT, "%s: line %d: %s", r->path,
                          bad.line, bad.text);
    else if (!json_is_object(root))
        r->rc =
            akin_fail(r->err, AKIN_CORRUPT, "%s: not a JSON object", r->path);
    akin_free(text);
    return root;
}

/* ---- Hugging Face --------------------------------------------------------- */

/* Old CLIP configs have text_config_dict beside text_config; transformers
 * completes it with defaults and lets it win. */
static const json_t *tower_object(reader *r, const json_t *root,
                                  const char *key, const char *old_key)
{
    const json_t *old = member(root, old_key), *value = member(root, key);

    if (old) value = old;
    if (value && !json_is_object(value) && !r->rc)
        r->rc = akin_fail(r->err, AKIN_CORRUPT, "%s: %s is not an object",
                          r->path, value == old ? old_key : key);
    return value;
}

static void read_tower(reader *r, const json_t *object, akin__tower_config *t)
{
    t->width = get_u32(r, object, "hidden_size", 1, 16384, t->width);
    t->mlp = get_u32(r, object, "intermediate_size", 1, 131072, t->mlp);
    t->layers = get_u32(r, object, "num_hidden_layers", 1, 512, t->layers);
    t->heads = get_u32(r, object, "num_attention_heads", 1, 1024, t->heads);
    t->eps = (float)get_number(r, object, "layer_norm_eps", 0, 1, t->eps);
    t->act = get_act(r, object, t->act);
}

static void read_hf(reader *r, const json_t *root, akin__config *c)
{
    const char *type = json_string_value(member(root, "model_type"));
    const json_t *text, *vision;

    if (type && strcmp(type, "siglip") == 0) {
        c->siglip = true;
        c->vision =
            (akin__tower_config){768, 12, 12, 3072, AKIN__GELU_TANH, 1e-6f};
        c->text = c->vision;
        c->patch = 16;
        c->vocab = 32000;
        c->context = 64;
        c->pool = AKIN__POOL_LAST;
    } else if (!type || strcmp(type, "clip") == 0) {
        c->vision =
            (akin__tower_config){768, 12, 12, 3072, AKIN__QUICK_GELU, 1e-5f};
        c->text =
            (akin__tower_config){512, 12, 8, 2048, AKIN__QUICK_GELU, 1e-5f};
        c->patch = 32;
        c->vocab = 49408;
        c->context = 77;
    } else {
        r->rc = akin_fail(r->err, AKIN_UNSUPPORTED,
                          "%s: model_type %.60s: expected clip or siglip",
                          r->path, type);
        return;
    }
    text = tower_object(r, root, "text_config", "text_config_dict");
    vision = tower_object(r, root, "vision_config", "vision_config_dict");
    read_tower(r, text, &c->text);
    read_tower(r, vision, &c->vision);
    c->vocab = get_u32(r, text, "vocab_size", 3, 1u << 24, c->vocab);
    c->context =
        get_u32(r, text, "max_position_embeddings", 2, 8192, c->context);
    c->pad_id = (int32_t)get_u32(r, text, "pad_token_id", 0, INT32_MAX, 1);
    c->eos_id = (int32_t)get_u32(r, text, "eos_token_id", 0, INT32_MAX, 49407);
    c->image_size = get_u32(r, vision, "image_size", 1, 4096, 224);
    c->patch = get_u32(r, vision, "patch_size", 1, 4096, c->patch);
    if (get_u32(r, vision, "num_channels", 1, 64, 3) != 3 && !r->rc)
        r->rc = akin_fail(r->err, AKIN_UNSUPPORTED,
                          "%s: num_channels: only 3 is supported", r->path);
    if (c->siglip) {
        c->dim = get_u32(r, text, "projection_size", 1, 65536, c->text.width);
        require_bool(r, vision, "vision_use_head", true);
    } else {
        c->dim = get_u32(r, root, "projection_dim", 1, 65536, 512);
        /* transformers: configs from before the fix say 2 whatever it is */
        c->pool = c->eos_id == 2 ? AKIN__POOL_HIGHEST : AKIN__POOL_EOS;
    }
}

/* ---- OpenCLIP ------------------------------------------------------------- */

static void read_open_clip_vision(reader *r, const json_t *v, akin__config *c)
{
    static const char *const unknown[] = {
        "timm_model_name",  "ls_init_value",
        "attentional_pool", "global_average_pool",
        "no_ln_pre",        "final_ln_after_pool",
        "qk_norm",          "scaled_cosine_attn",
        "scale_heads",      "input_patchnorm"};
    const char *pool = json_string_value(member(v, "pool_type"));
    uint32_t head;

    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        require_absent(r, v, unknown[i]);
    if (pool && strcmp(pool, "tok") != 0 && !r->rc)
        r->rc = akin_fail(r->err, AKIN_UNSUPPORTED,
                          "%s: vision pool_type %.40s is not supported",
                          r->path, pool);
    if (json_is_array(member(v, "layers")) && !r->rc)
        r->rc = akin_fail(r->err, AKIN_UNSUPPORTED,
                          "%s: ResNet towers are not supported", r->path);
    c->vision.layers = get_u32(r, v, "layers", 1, 512, 12);
    c->vision.width = get_u32(r, v, "width", 1, 16384, 768);
    head = get_u32(r, v, "head_width", 1, 16384, 64);
    c->vision.heads = c->vision.width / head;
    c->vision.mlp =
        (uint32_t)(c->vision.width * get_number(r, v, "mlp_ratio", 0.01, 8, 4));
    c->image_size = get_u32(r, v, "image_size", 1, 4096, 224);
    c->patch = get_u32(r, v, "patch_size", 1, 4096, 16);
}

static void read_open_clip_text(reader *r, const json_t *t, akin__config *c)
{
    static const char *const unknown[] = {
        "hf_model_name",  "ls_init_value",      "embed_cls",
        "no_causal_mask", "proj_bias",          "proj_type",
        "qk_norm",        "scaled_cosine_attn", "scale_heads"};
    const char *pool = json_string_value(member(t, "pool_type"));

    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        const char *text = json_string_value(member(t, unknown[i]));

        if (!text || strcmp(text, "linear") != 0) /* proj_type's default */
            require_absent(r, t, unknown[i]);
    }
    if (pool && strcmp(pool, "argmax") != 0 && !r->rc)
        r->rc = akin_fail(r->err, AKIN_UNSUPPORTED,
                          "%s: text pool_type %.40s is not supported", r->path,
                          pool);
    c->pool = AKIN__POOL_HIGHEST;
    c->context = get_u32(r, t, "context_length", 2, 8192, 77);
    c->vocab = get_u32(r, t, "vocab_size", 3, 1u << 24, 49408);
    c->text.width = get_u32(r, t, "width", 1, 16384, 512);
    c->text.heads = get_u32(r, t, "heads", 1, 1024, 8);
    c->text.layers = get_u32(r, t, "layers", 1, 512, 12);
    c->text.mlp =
        (uint32_t)(c->text.width * get_number(r, t, "mlp_ratio", 0.01, 8, 4));
}

static void read_vector(reader *r, const json_t *object, const char *key,
                        float low, float out[3])
{
    const json_t *value = member(object, key);

    if (!value || r->rc) return;
    for (size_t i = 0; i < 3; i++) {
        double number = json_number_value(json_array_get(value, i));

        if (json_array_size(value) != 3 ||
            !json_is_number(json_array_get(value, i)) ||
            !(number >= low && number <= 1000)) {
            r->rc = akin_fail(r->err, AKIN_CORRUPT,
                              "%s: %s: expected three numbers from %g to 1000",
                              r->path, key, (double)low);
            return;
        }
        out[i] = (float)number;
    }
}

static void read_open_clip(reader *r, const json_t *root, akin__config *c)
{
    const json_t *model = member(root, "model_cfg");
    const json_t *vision = member(model, "vision_cfg");
    const json_t *text = member(model, "text_cfg");
    const json_t *pre = member(root, "preprocess_cfg");
    const char *mode = json_string_value(member(pre, "resize_mode"));
    const char *filter = json_string_value(member(pre, "interpolation"));

    if (!json_is_object(vision) || !json_is_object(text)) {
        r->rc =
            akin_fail(r->err, AKIN_CORRUPT,
                      "%s: no model_cfg with vision_cfg and text_cfg", r->path);
        return;
    }
    c->vision.eps = c->text.eps = 1e-5f;
    c->vision.act = c->text.act = json_is_true(member(model, "quick_gelu"))
                                      ? AKIN__QUICK_GELU
                                      : AKIN__GELU;
    c->dim = get_u32(r, model, "embed_dim", 1, 65536, 512);
    read_open_clip_vision(r, vision, c);
    read_open_clip_text(r, text, c);
    c->resize_edge = c->image_size;
    read_vector(r, pre, "mean", -1000, c->mean);
    read_vector(r, pre, "std", 1e-6f, c->std);
    if (mode && strcmp(mode, "squash") == 0)
        c->resize = AKIN_RESIZE_SQUASH;
    else if (mode && strcmp(mode, "shortest") != 0 && !r->rc)
        r->rc =
            akin_fail(r->err, AKIN_UNSUPPORTED,
                      "%s: resize_mode %.40s is not supported", r->path, mode);
    if (filter && strcmp(filter, "bicubic") != 0 && !r->rc)
        r->rc = akin_fail(r->err, AKIN_UNSUPPORTED,
                          "%s: interpolation %.40s: only bicubic is supported",
                          r->path, filter);
}

/* ---- preprocessing -------------------------------------------------------- */

/* size and crop_size come as 224, {"height": 224, "width": 224} or
 * {"shortest_edge": 224}. Returns the edge; *square tells the second form. */
static uint32_t get_edge(reader *r, const json_t *object, const char *key,
                         uint32_t fallback, bool *square)
{
    const json_t *value = member(object, key);
    uint32_t width, height;

    *square = false;
    if (!json_is_object(value))
        return get_u32(r, object, key, 1, 16384, fallback);
    if (member(value, "shortest_edge"))
        return get_u32(r, value, "shortest_edge", 1, 16384, fallback);
    width = get_u32(r, value, "width", 1, 16384, fallback);
    height = get_u32(r, value, "height", 1, 16384, fallback);
    *square = true;
    if (width != height && !r->rc)
        r->rc =
            akin_fail(r->err, AKIN_UNSUPPORTED, "%s: %s: %u x %u is not square",
                      r->path, key, width, height);
    return width;
}

static void read_preprocessor(reader *r, const json_t *root, akin__config *c)
{
    uint32_t crop, filter = get_u32(r, root, "resample", 0, 5, 3);
    bool squash, square;

    read_vector(r, root, "image_mean", -1000, c->mean);
    read_vector(r, root, "image_std", 1e-6f, c->std);
    c->resize_edge = get_edge(r, root, "size", c->resize_edge, &squash);
    if (squash) c->resize = AKIN_RESIZE_SQUASH;
    crop = squash ? c->resize_edge : c->image_size;
    if (!squash || json_is_true(member(root, "do_center_crop")))
        crop = get_edge(r, root, "crop_size", crop, &square);
    require_bool(r, root, "do_resize", true);
    require_bool(r, root, "do_normalize", true);
    require_bool(r, root, "do_rescale", true);
    if (!squash) require_bool(r, root, "do_center_crop", true);
    if (filter != 3 && !r->rc)
        r->rc = akin_fail(r->err, AKIN_UNSUPPORTED,
                          "%s: resample %u: only 3 (bicubic) is supported",
                          r->path, filter);
    if (fabs(get_number(r, root, "rescale_factor", 0, 1, 1.0 / 255) -
             1.0 / 255) > 1e-9 &&
        !r->rc)
        r->rc =
            akin_fail(r->err, AKIN_UNSUPPORTED,
                      "%s: rescale_factor: only 1/255 is supported", r->path);
    if (crop != c->image_size && !r->rc)
        r->rc = akin_fail(r->err, AKIN_CORRUPT,
                          "%s: pictures of %u x %u for a model that takes %u",
                          r->path, crop, crop, c->image_size);
    if (c->resize_edge < crop && !r->rc)
        r->rc = akin_fail(r->err, AKIN_UNSUPPORTED,
                          "%s: size %u is smaller than crop_size %u", r->path,
                          c->resize_edge, crop);
}

/* ---- both ------------------------------------------------------------------ */

static void check_tower(reader *r, const char *name,
                        const akin__tower_config *t)
{
    if (!r->rc && (t->heads == 0 || t->width % t->heads != 0 || t->mlp == 0))
        r->rc =
            akin_fail(r->err, AKIN_CORRUPT,
                      "%s: %s tower: width %u does not divide into %u heads",
                      r->path, name, t->width, t->heads);
}

static void check(reader *r, const akin__config *c)
{
    check_tower(r, "vision", &c->vision);
    check_tower(r, "text", &c->text);
    if (!r->rc && (c->patch > c->image_size || c->image_size / c->patch > 128))
        r->rc = akin_fail(r->err, AKIN_CORRUPT,
                          "%s: patches of %u pixels in pictures of %u", r->path,
                          c->patch, c->image_size);
    if (!r->rc && c->siglip && c->dim != c->vision.width)
        r->rc = akin_fail(r->err, AKIN_CORRUPT,
                          "%s: texts come %u wide, pictures %u", r->path,
                          c->dim, c->vision.width);
}

akin_status akin__config_read(const char *dir, bool open_clip,
                              akin__config *config, akin_error *err)
{
    static const float clip_mean[3] = {0.48145466f, 0.4578275f, 0.40821073f};
    static const float clip_std[3] = {0.26862954f, 0.26130258f, 0.27577711f};
    char *main_path = akin_format(
        "%s/%s", dir, open_clip ? "open_clip_config.json" : "config.json");
    char *pre_path = akin_format("%s/preprocessor_config.json", dir);
    reader r = {main_path, err, AKIN_OK};
    json_t *root = NULL, *pre = NULL;

    *config = (akin__config){0};
    if (!main_path || !pre_path) {
        r.rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        goto done;
    }
    memcpy(config->mean, clip_mean, sizeof clip_mean);
    memcpy(config->std, clip_std, sizeof clip_std);
    root = load(&r, false);
    if (r.rc) goto done;
    if (open_clip)
        read_open_clip(&r, root, config);
    else
        read_hf(&r, root, config);
    if (r.rc) goto done;
    if (!open_clip) {
        config->resize_edge = config->image_size;
        if (config->siglip) {
            config->resize = AKIN_RESIZE_SQUASH;
            for (int i = 0; i < 3; i++)
                config->mean[i] = config->std[i] = 0.5f;
        }
        r.path = pre_path;
        pre = load(&r, true);
        if (pre && !r.rc) read_preprocessor(&r, pre, config);
        r.path = main_path;
    }
    check(&r, config);

done:
    json_decref(root);
    json_decref(pre);
    akin_free(main_path);
    akin_free(pre_path);
    return r.rc;
}
