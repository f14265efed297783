/* make_model: writes a CLIP of a published geometry with random weights, so that
 * speed can be measured without downloading anything.
 *
 *     make_model DIR [vit-b-32|vit-b-16|vit-l-14] [TOKENIZER_DIR]
 *
 * Hugging Face's layout, float32. Weights are scaled so that attention has
 * clear peaks and the activations reach both ends of GELU. tokenizer.json is
 * copied from TOKENIZER_DIR (models/starter does: its vocabulary is smaller, the table of
 * token embeddings is not). */
#include "akin_base.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    unsigned image, patch, width, layers, heads;
    unsigned text_width, text_heads, dim;
} geometry;

static const geometry geometries[] = {
    {"vit-b-32", 224, 32, 768, 12, 12, 512, 8, 512},
    {"vit-b-16", 224, 16, 768, 12, 12, 512, 8, 512},
    {"vit-l-14", 224, 14, 1024, 24, 16, 768, 12, 768},
};

typedef struct {
    char name[100];
    unsigned shape[4], rank;
    float scale, shift; /* values: shift + scale * normal */
} tensor;

typedef struct {
    tensor *list;
    size_t count, capacity;
} plan;

static uint64_t random_state = 88172645463325252u;

/* xorshift64*: about normal, as a sum of four uniforms */
static float normal(void)
{
    float sum = 0;

    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    for (int i = 0; i < 4; i++)
        sum += (float)(random_state * 2685821657736338717u >> 16 * i & 0xffff);
    return (sum / 65535 - 2) * 1.7320508f;
}

static void die(const char *message)
{
    fprintf(stderr, "make_model: %s\n", message);
    exit(1);
}

static void add(plan *p, const char *prefix, const char *name, float scale,
                float shift, unsigned a, unsigned b)
{
    akin_error err;
    tensor *t;

    if (akin_grow(&p->list, &p->capacity, p->count + 1, sizeof *p->list, &err))
        die(err.message);
    t = &p->list[p->count++];
    *t = (tensor){.shape = {a, b}, .rank = b ? 2 : 1, scale, shift};
    snprintf(t->name, sizeof t->name, "%.48s%.48s", prefix, name);
}

static void add_norm(plan *p, const char *prefix, const char *name, unsigned n)
{
    char full[48];

    snprintf(full, sizeof full, "%s.weight", name);
    add(p, prefix, full, 0.25f, 1, n, 0);
    snprintf(full, sizeof full, "%s.bias", name);
    add(p, prefix, full, 0.1f, 0, n, 0);
}

static void add_linear(plan *p, const char *prefix, const char *name,
                       float gain, unsigned out, unsigned in)
{
    char full[48];

    snprintf(full, sizeof full, "%s.weight", name);
    add(p, prefix, full, gain / sqrtf((float)in), 0, out, in);
    snprintf(full, sizeof full, "%s.bias", name);
    add(p, prefix, full, 0.1f, 0, out, 0);
}

static void add_layers(plan *p, const char *tower, unsigned layers, unsigned C)
{
    for (unsigned i = 0; i < layers; i++) {
        char prefix[48];

        snprintf(prefix, sizeof prefix, "%s.encoder.layers.%u.", tower, i);
        add_norm(p, prefix, "layer_norm1", C);
        add_norm(p, prefix, "layer_norm2", C);
        add_linear(p, prefix, "self_attn.q_proj", 1.4f, C, C);
        add_linear(p, prefix, "self_attn.k_proj", 1.4f, C, C);
        add_linear(p, prefix, "self_attn.v_proj", 1, C, C);
        add_linear(p, prefix, "self_attn.out_proj", 0.7f, C, C);
        add_linear(p, prefix, "mlp.fc1", 1, 4 * C, C);
        add_linear(p, prefix, "mlp.fc2", 0.7f, C, 4 * C);
    }
}

static void plan_model(plan *p, const geometry *g)
{
    unsigned side = g->image / g->patch;
    tensor *conv;

    add(p, "vision_model.embeddings.", "class_embedding", 0.3f, 0, g->width, 0);
    add(p, "vision_model.embeddings.", "patch_embedding.weight",
        1 / sqrtf(3.0f * (float)(g->patch * g->patch)), 0, g->width, 3);
    conv = &p->list[p->count - 1];
    conv->rank = 4;
    conv->shape[2] = conv->shape[3] = g->patch;
    add(p, "vision_model.embeddings.", "position_embedding.weight", 0.2f, 0,
        side * side + 1, g->width);
    add_norm(p, "vision_model.", "pre_layrnorm", g->width);
    add_layers(p, "vision_model", g->layers, g->width);
    add_norm(p, "vision_model.", "post_layernorm", g->width);
    add(p, "", "visual_projection.weight", 1 / sqrtf((float)g->width), 0,
        g->dim, g->width);
    add(p, "text_model.embeddings.", "token_embedding.weight", 0.5f, 0, 49408,
        g->text_width);
    add(p, "text_model.embeddings.", "position_embedding.weight", 0.2f, 0, 77,
        g->text_width);
    add_layers(p, "text_model", 12, g->text_width);
    add_norm(p, "text_model.", "final_layer_norm", g->text_width);
    add(p, "", "text_projection.weight", 1 / sqrtf((float)g->text_width), 0,
        g->dim, g->text_width);
    add(p, "", "logit_scale", 0, 4.6052f, 1, 0);
}

static size_t count_of(const tensor *t)
{
    size_t n = 1;

    for (unsigned i = 0; i < t->rank; i++)
        n *= t->shape[i];
    return n;
}

static void write_header(FILE *file, const plan *p)
{
    akin_buf text = {0};
    size_t offset = 0;
    uint64_t length;

    for (size_t i = 0; i < p->count; i++) {
        const tensor *t = &p->list[i];
        size_t bytes = 4 * count_of(t);

        akin_buf_printf(&text, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[",
                        i ? "," : "{", t->name);
        for (unsigned k = 0; k < t->rank; k++)
            akin_buf_printf(&text, "%s%u", k ? "," : "", t->shape[k]);
        akin_buf_printf(&text, "],\"data_offsets\":[%zu,%zu]}", offset,
                        offset + bytes);
        offset += bytes;
    }
    akin_buf_text(&text, "}");
    while (text.size % 8)
        akin_buf_text(&text, " ");
    if (text.failed) die("out of memory");
    length = text.size;
    fwrite(&length, 8, 1, file);
    fwrite(text.data, 1, text.size, file);
    akin_buf_clear(&text);
}

static void write_values(FILE *file, const tensor *t)
{
    size_t n = count_of(t), width = t->rank == 2 ? t->shape[1] : n;
    float *row = akin_calloc(width, sizeof *row);

    if (!row) die("out of memory");
    for (size_t done = 0; done < n; done += width) {
        for (size_t i = 0; i < width; i++)
            row[i] = t->shift + t->scale * normal();
        fwrite(row, sizeof *row, width, file);
    }
    akin_free(row);
}

static void write_weights(const char *dir, const geometry *g)
{
    char *path = akin_format("%s/model.safetensors", dir);
    FILE *file = path ? fopen(path, "wb") : NULL;
    plan p = {0};

    if (!file) die("cannot write model.safetensors");
    plan_model(&p, g);
    write_header(file, &p);
    for (size_t i = 0; i < p.count; i++)
        write_values(file, &p.list[i]);
    if (ferror(file) || fclose(file)) die("cannot write model.safetensors");
    akin_free(p.list);
    akin_free(path);
}

static void write_config(const char *dir, const geometry *g, unsigned eos)
{
    char *path = akin_format("%s/config.json", dir);
    FILE *file = path ? fopen(path, "w") : NULL;

    if (!file) die("cannot write config.json");
    fprintf(file,
            "{\"model_type\": \"clip\", \"projection_dim\": %u,\n"
            " \"text_config\": {\"hidden_size\": %u, \"intermediate_size\": "
            "%u,\n  \"num_attention_heads\": %u, \"num_hidden_layers\": 12, "
            "\"eos_token_id\": %u},\n"
            " \"vision_config\": {\"hidden_size\": %u, \"intermediate_size\": "
            "%u,\n  \"num_attention_heads\": %u, \"num_hidden_layers\": %u,\n"
            "  \"image_size\": %u, \"patch_size\": %u}}\n",
            g->dim, g->text_width, 4 * g->text_width, g->text_heads, eos,
            g->width, 4 * g->width, g->heads, g->layers, g->image, g->patch);
    if (fclose(file)) die("cannot write config.json");
    akin_free(path);
}

/* Returns the id of the end-of-text token. */
static unsigned copy_tokenizer(const char *from, const char *dir)
{
    char *source = akin_format("%s/tokenizer.json", from);
    char *target = akin_format("%s/tokenizer.json", dir);
    uint8_t *data = NULL;
    size_t size = 0;
    unsigned eos = 49407;
    const char *sep;
    akin_error err;

    if (!source || !target) die("out of memory");
    if (akin_file_read(source, 64u << 20, &data, &size, &err) ||
        akin_file_replace(target, (akin_span){data, size}, &err))
        die(err.message);
    sep = strstr((char *)data, "\"sep\"");
    if (sep && (sep = strchr(sep, ',')))
        eos = (unsigned)strtoul(sep + 1, NULL, 10);
    akin_free(data);
    akin_free(source);
    akin_free(target);
    return eos;
}

int main(int argc, char **argv)
{
    const char *name = argc > 2 ? argv[2] : "vit-b-32";
    akin_error err;

    if (argc < 2 || argc > 4) {
        fprintf(stderr, "usage: make_model DIR [vit-b-32|vit-b-16|vit-l-14] "
                        "[TOKENIZER_DIR]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof geometries / sizeof geometries[0]; i++) {
        if (strcmp(geometries[i].name, name) != 0) continue;
        if (akin_dir_make(argv[1], &err)) die(err.message);
        write_config(argv[1], &geometries[i],
                     argc > 3 ? copy_tokenizer(argv[3], argv[1]) : 49407);
        write_weights(argv[1], &geometries[i]);
        return 0;
    }
    die("unknown geometry");
    return 1;
}
