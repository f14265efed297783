/* The picture tower: pixels to patches, layers, class token (CLIP) or attention
 * pooling (SigLIP), projection.
 *
 * Patches become a matrix by table: 256 values a channel, each already
 * normalised as the reference does it, so the 8-bit pixels are read once and no
 * float picture exists. */
#include "kernels.h"

#include <string.h>

/* One picture's patches. pixels: (S, S, 3); out: (G * G, 3 * P * P), a row in
 * the order of the convolution's weights: channel, row, column. */
static void cut_patches(const float *lut, const uint8_t *pixels, size_t S,
                        size_t P, float *out)
{
    size_t G = S / P;

    for (size_t gy = 0; gy < G; gy++) {
        for (size_t gx = 0; gx < G; gx++) {
            for (size_t y = 0; y < P; y++) {
                const uint8_t *p = pixels + ((gy * P + y) * S + gx * P) * 3;
                float *o = out + y * P;

                for (size_t x = 0; x < P; x++) {
                    o[x] = lut[p[3 * x]];
                    o[x + P * P] = lut[256 + p[3 * x + 1]];
                    o[x + 2 * P * P] = lut[512 + p[3 * x + 2]];
                }
            }
            out += 3 * P * P;
        }
    }
}

/* pass->h (n * G * G, C): the patches' embeddings without positions. */
static void patches(akin__pass *pass, const akin_model *model, const float *lut,
                    const uint8_t *pixels, size_t n)
{
    const akin__config *c = &model->config;
    size_t S = c->image_size, P = c->patch, G = S / P, C = c->vision.width;

    if (pass->packs) {
        if (!akin__packed_patches(pass->packs, model, pixels, n, pass->h,
                                  pass->scratch))
            pass->failed = true;
        return;
    }
    for (size_t b = 0; b < n; b++)
        cut_patches(lut, pixels + b * S * S * 3, S, P,
                    pass->big + b * G * G * 3 * P * P);
    akin__linear_f32(&model->patch, 0, C, pass->big, n * G * G, pass->h, C,
                     false);
}

/* x (n, T, C) from patches (n, G * G, C): class token in front, positions. */
static void add_positions(const akin_model *model, const float *patches,
                          size_t n, size_t T, float *x)
{
    size_t C = model->vision.config.width, extra = model->class_embedding != 0;

    for (size_t b = 0; b < n; b++) {
        const float *position = model->vision.positions;

        for (size_t c = 0; c < C && extra; c++)
            x[c] = model->class_embedding[c] + position[c];
        x += extra * C;
        position += extra * C;
        for (size_t i = 0; i < (T - extra) * C; i++)
            x[i] = patches[i] + position[i];
        x += (T - extra) * C;
        patches += (T - extra) * C;
    }
}

/* SigLIP: one learned query attends to the normalised rows. Leaves (B, C) in
 * pass->x. */
static void pooling_head(const akin_model *model, akin__pass *pass)
{
    const akin__pooling_head *head = &model->head;
    const akin__tower_config *c = &pass->tower->config;
    size_t R = pass->start[pass->B], C = c->width, B = pass->B;
    float *kv = pass->big, *q = pass->big + 2 * R * C;

    akin__layernorm(pass->h, pass->x, &pass->tower->post, c->eps, R, C);
    akin__linear_f32(&head->qkv, C, 3 * C, pass->h, R, kv, 2 * C, false);
    akin__linear_f32(&head->qkv, 0, C, head->probe, 1, q, C, false);
    akin__attend_one(pass, q, 0, kv, 2 * C, pass->h);
    akin__linear_f32(&head->proj, 0, C, pass->h, B, pass->x, C, false);
    akin__layernorm(pass->h, pass->x, &head->norm, c->eps, B, C);
    akin__linear_f32(&head->fc1, 0, c->mlp, pass->h, B, pass->big, c->mlp,
                     false);
    akin__activate(c->act, pass->big, B * c->mlp);
    akin__linear_f32(&head->fc2, 0, C, pass->big, B, pass->x, C, true);
}

static void class_token_out(const akin_model *model, akin__pass *pass,
                            float *out)
{
    size_t C = pass->tower->config.width;

    if (pass->trace) { /* all rows are there */
        for (size_t b = 0; b < pass->B; b++)
            memmove(pass->x + b * C, pass->x + pass->pick[b] * C,
                    C * sizeof *out);
    }
    akin__layernorm(pass->h, pass->x, &pass->tower->post,
                    pass->tower->config.eps, pass->B, C);
    akin__emit(pass, "90_pooled_post_layernorm", pass->h, pass->B, C, C);
    akin__linear_f32(&pass->tower->out, 0, model->config.dim, pass->h, pass->B,
                     out, model->config.dim, false);
}

bool akin__vision(const akin_model *model, akin__worker *worker,
                  const float *lut, const uint8_t *pixels, size_t n, float *out)
{
    const akin__config *c = &model->config;
    size_t G = c->image_size / c->patch, C = c->vision.width;
    size_t T = G * G + (c->siglip ? 0 : 1);
    akin__pass pass = {.tower = &model->vision,
                       .B = n,
                       .start = worker->start,
                       .pick = c->siglip ? NULL : worker->pick,
                       .x = worker->x,
                       .h = worker->h,
                       .big = worker->big,
                       .scores = worker->scores,
                       .packs = worker->packs,
                       .scratch = worker->scratch,
                       .trace = worker->trace,
                       .trace_user = worker->trace_user,
                       .trace_tower = "image"};

    patches(&pass, model, lut, pixels, n);
    akin__emit(&pass, "00_patch_conv", pass.h, n * G * G, C, C);
    for (size_t b = 0; b <= n; b++)
        worker->start[b] = worker->pick[b] = (uint32_t)(b * T);
    add_positions(model, pass.h, n, T, pass.x);
    akin__emit(&pass, "01_embeddings", pass.x, n * T, C, C);
    if (model->pre.gain) {
        akin__layernorm(pass.x, pass.x, &model->pre, c->vision.eps, n * T, C);
        akin__emit(&pass, "02_pre_layernorm", pass.x, n * T, C, C);
    }
    akin__layers(&pass);
    if (c->siglip) {
        pooling_head(model, &pass);
        memcpy(out, pass.x, n * C * sizeof *out);
    } else {
        class_token_out(model, &pass, out);
    }
    akin__emit(&pass, "91_projection", out, n, c->dim, c->dim);
    return !pass.failed;
}
