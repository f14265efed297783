/* Transformer layers of both towers. GEMMs are OpenBLAS's; a bias is put into
 * the output first and the GEMM adds to it, which costs nothing because
 * OpenBLAS would otherwise fill the output with zeros.
 *
 * Only one row of a sequence becomes the embedding (class token, end of text).
 * In the last layer keys and values are therefore computed for all rows, the
 * rest for that row alone: a twelfth of ViT-B's work less, with the same
 * result. */
#include "kernels.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define QUERY_BLOCK 128 /* rows of a score matrix: bounds its memory */
#define FEW_ROWS    56  /* up to here akin__multiply_few is faster */

void akin__emit(const akin__pass *pass, const char *stage, const float *data,
                size_t rows, size_t cols, size_t ld)
{
    if (pass->trace)
        pass->trace(pass->trace_user, pass->trace_tower, stage, data, rows,
                    cols, ld);
}

static void emit_layer(const akin__pass *pass, uint32_t layer, const char *name,
                       const float *data, size_t cols, size_t ld)
{
    char stage[64];

    if (!pass->trace) return;
    snprintf(stage, sizeof stage, "1%u%s", layer, name);
    akin__emit(pass, stage, data, pass->start[pass->B], cols, ld);
}

void akin__linear_f32(const akin__linear *l, size_t from, size_t to,
                      const float *x, size_t R, float *y, size_t ldy, bool add)
{
    size_t height = l->out / l->parts;
    const float *bias = l->bias ? l->bias + from : NULL;

    if (add)
        akin__rows_add(y, bias, R, to - from, ldy);
    else
        akin__rows_set(y, bias, R, to - from, ldy);
    for (size_t p = 0; p < l->parts; p++) {
        size_t low = p * height > from ? p * height : from;
        size_t high = (p + 1) * height < to ? (p + 1) * height : to;

        const float *w = l->f32[p] + (low - p * height) * l->in;

        if (low >= high) continue;
        if (R <= FEW_ROWS)
            akin__multiply_few(y + (low - from), ldy, x, w, R, high - low,
                               l->in);
        else
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)R,
                        (blasint)(high - low), (blasint)l->in, 1, x,
                        (blasint)l->in, w, (blasint)l->in, 1, y + (low - from),
                        (blasint)ldy);
    }
}

void akin__linear_in(akin__pass *pass, const akin__linear *l, size_t from,
                     size_t to, const float *x, size_t R, float *y, size_t ldy,
                     bool add, akin__act act)
{
    if (pass->packs && l->id) {
        if (!akin__packed_linear(pass->packs, l, from, to, x, R, y, ldy, add,
                                 act, pass->scratch))
            pass->failed = true;
        return;
    }
    akin__linear_f32(l, from, to, x, R, y, ldy, add);
    for (size_t r = 0; r < R && act; r++)
        akin__activate(act, y + r * ldy, to - from);
}

size_t akin__scores_size(size_t T)
{
    return (T < QUERY_BLOCK ? T : QUERY_BLOCK) * T;
}

/* One head of one sequence. q, k, v: (T, ld) columns of the head; out: (T, C).
 */
static void attend_head(const akin__pass *pass, const float *q, const float *k,
                        const float *v, size_t ld, size_t T, size_t D,
                        float *out, size_t C)
{
    float scale = 1 / sqrtf((float)D);

    for (size_t first = 0; first < T; first += QUERY_BLOCK) {
        size_t rows = T - first < QUERY_BLOCK ? T - first : QUERY_BLOCK;
        size_t keys = pass->causal ? first + rows : T;

        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (blasint)rows,
                    (blasint)keys, (blasint)D, 1, q + first * ld, (blasint)ld,
                    k, (blasint)ld, 0, pass->scores, (blasint)keys);
        if (pass->causal) {
            for (size_t i = 0; i < rows; i++)
                akin__softmax(pass->scores + i * keys, 1, first + i + 1, keys,
                              scale, false);
        } else {
            akin__softmax(pass->scores, rows, keys, keys, scale, false);
        }
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)rows,
                    (blasint)D, (blasint)keys, 1, pass->scores, (blasint)keys,
                    v, (blasint)ld, 0, out + first * C, (blasint)C);
    }
}

/* qkv: (R, 3C); out: (R, C). */
static void attend(const akin__pass *pass, const float *qkv, float *out)
{
    size_t C = pass->tower->config.width, H = pass->tower->config.heads;
    size_t D = C / H, ld = 3 * C;

    for (size_t b = 0; b < pass->B; b++) {
        size_t row = pass->start[b], T = pass->start[b + 1] - row;

        for (size_t h = 0; h < H; h++) {
            const float *q = qkv + row * ld + h * D;

            attend_head(pass, q, q + C, q + 2 * C, ld, T, D,
                        out + row * C + h * D, C);
        }
    }
}

void akin__attend_one(const akin__pass *pass, const float *q, size_t ldq,
                      const float *kv, size_t ldkv, float *out)
{
    size_t C = pass->tower->config.width, H = pass->tower->config.heads;
    size_t D = C / H;
    float scale = 1 / sqrtf((float)D);

    for (size_t b = 0; b < pass->B; b++) {
        size_t row = pass->start[b];
        size_t T =
            pass->causal ? pass->pick[b] + 1 - row : pass->start[b + 1] - row;

        for (size_t h = 0; h < H; h++) {
            const float *k = kv + row * ldkv + h * D;

            cblas_sgemv(CblasRowMajor, CblasNoTrans, (blasint)T, (blasint)D, 1,
                        k, (blasint)ldkv, q + b * ldq + h * D, 1, 0,
                        pass->scores, 1);
            akin__softmax(pass->scores, 1, T, T, scale, false);
            cblas_sgemv(CblasRowMajor, CblasTrans, (blasint)T, (blasint)D, 1,
                        k + C, (blasint)ldkv, pass->scores, 1, 0,
                        out + b * C + h * D, 1);
        }
    }
}

/* x += in W^T + bias. spare takes the product alone when it is traced. */
static void add_linear(akin__pass *pass, const akin__linear *l, const float *in,
                       size_t R, float *spare, uint32_t layer, const char *name)
{
    size_t C = l->out;

    if (!pass->trace) {
        akin__linear_in(pass, l, 0, C, in, R, pass->x, C, true, AKIN__ACT_NONE);
        return;
    }
    akin__linear_in(pass, l, 0, C, in, R, spare, C, false, AKIN__ACT_NONE);
    emit_layer(pass, layer, name, spare, C, C);
    for (size_t i = 0; i < R * C; i++)
        pass->x[i] += spare[i];
}

static void mlp(akin__pass *pass, const akin__layer *layer, size_t R,
                uint32_t number)
{
    const akin__tower_config *c = &pass->tower->config;

    akin__layernorm(pass->h, pass->x, &layer->norm2, c->eps, R, c->width);
    emit_layer(pass, number, "h_layernorm2", pass->h, c->width, c->width);
    if (pass->trace) { /* in two steps, to see both */
        akin__linear_in(pass, &layer->fc1, 0, c->mlp, pass->h, R, pass->big,
                        c->mlp, false, AKIN__ACT_NONE);
        emit_layer(pass, number, "i_fc1", pass->big, c->mlp, c->mlp);
        akin__activate(c->act, pass->big, R * c->mlp);
        emit_layer(pass, number, "j_activation", pass->big, c->mlp, c->mlp);
    } else {
        akin__linear_in(pass, &layer->fc1, 0, c->mlp, pass->h, R, pass->big,
                        c->mlp, false, c->act);
    }
    add_linear(pass, &layer->fc2, pass->big, R, pass->h, number, "k_fc2");
    emit_layer(pass, number, "l_layer_out", pass->x, c->width, c->width);
}

static void whole_layer(akin__pass *pass, uint32_t number)
{
    const akin__layer *layer = &pass->tower->layers[number];
    size_t R = pass->start[pass->B], C = pass->tower->config.width;

    akin__layernorm(pass->h, pass->x, &layer->norm1, pass->tower->config.eps, R,
                    C);
    emit_layer(pass, number, "a_layernorm1", pass->h, C, C);
    akin__linear_in(pass, &layer->qkv, 0, 3 * C, pass->h, R, pass->big, 3 * C,
                    false, AKIN__ACT_NONE);
    emit_layer(pass, number, "b_q", pass->big, C, 3 * C);
    emit_layer(pass, number, "c_k", pass->big + C, C, 3 * C);
    emit_layer(pass, number, "d_v", pass->big + 2 * C, C, 3 * C);
    attend(pass, pass->big, pass->h);
    emit_layer(pass, number, "e_attention_context", pass->h, C, C);
    add_linear(pass, &layer->proj, pass->h, R, pass->big, number,
               "f_attention_out");
    emit_layer(pass, number, "g_after_attention", pass->x, C, C);
    mlp(pass, layer, R, number);
}

/* Moves the picked rows to the front; pick[b] >= b, so in place. */
static void gather(float *x, const uint32_t *pick, size_t B, size_t C)
{
    for (size_t b = 0; b < B; b++)
        memmove(x + b * C, x + pick[b] * C, C * sizeof *x);
}

/* The last layer, for the picked rows alone. */
static void last_layer(akin__pass *pass)
{
    uint32_t number = pass->tower->config.layers - 1;
    const akin__layer *layer = &pass->tower->layers[number];
    size_t R = pass->start[pass->B], C = pass->tower->config.width, B = pass->B;
    float *kv = pass->big, *q = pass->big + R * 2 * C;

    akin__layernorm(pass->h, pass->x, &layer->norm1, pass->tower->config.eps, R,
                    C);
    akin__linear_in(pass, &layer->qkv, C, 3 * C, pass->h, R, kv, 2 * C, false,
                    AKIN__ACT_NONE);
    gather(pass->h, pass->pick, B, C);
    gather(pass->x, pass->pick, B, C);
    akin__linear_in(pass, &layer->qkv, 0, C, pass->h, B, q, C, false,
                    AKIN__ACT_NONE);
    akin__attend_one(pass, q, C, kv, 2 * C, pass->h);
    add_linear(pass, &layer->proj, pass->h, B, pass->big, number, "");
    mlp(pass, layer, B, number);
}

void akin__layers(akin__pass *pass)
{
    uint32_t layers = pass->tower->config.layers;
    bool short_cut = pass->pick && !pass->trace;

    for (uint32_t i = 0; i + short_cut < layers; i++)
        whole_layer(pass, i);
    if (short_cut) last_layer(pass);
}
