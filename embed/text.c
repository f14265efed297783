/* The text tower. With a causal mask nothing behind the pooled token can change
 * it, so a text is computed up to there and no padding exists; several texts
 * lie behind one another in one matrix. SigLIP has no mask: its texts are padded
 * to the full context. */
#include "kernels.h"

#include <string.h>

/* Row of the token that becomes the embedding. */
static uint32_t pooled_row(const akin__config *c, const int32_t *ids,
                           uint32_t count)
{
    uint32_t best = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (c->pool == AKIN__POOL_EOS && ids[i] == c->eos_id) return i;
        if (c->pool == AKIN__POOL_HIGHEST && ids[i] > ids[best]) best = i;
    }
    return best;
}

uint32_t akin__text_length(const akin_model *model, const int32_t *ids,
                           uint32_t count)
{
    const akin__config *c = &model->config;

    return c->pool == AKIN__POOL_LAST ? c->context
                                      : pooled_row(c, ids, count) + 1;
}

static void embed_tokens(const akin_model *model, const int32_t *ids,
                         uint32_t length, float *x)
{
    size_t C = model->text.config.width;

    for (uint32_t i = 0; i < length; i++, x += C) {
        const float *position = model->text.positions + i * C;

        akin__tensor_read(model->token_table, (uint64_t)ids[i] * C, C, x);
        for (size_t c = 0; c < C; c++)
            x[c] += position[c];
    }
}

bool akin__text(const akin_model *model, akin__worker *worker,
                const int32_t *ids, size_t stride, const uint32_t *lengths,
                size_t n, float *out)
{
    const akin__tower *tower = &model->text;
    size_t C = tower->config.width, dim = model->config.dim, R;
    akin__pass pass = {.tower = tower,
                       .B = n,
                       .start = worker->start,
                       .pick = worker->pick,
                       .causal = model->config.pool != AKIN__POOL_LAST,
                       .x = worker->x,
                       .h = worker->h,
                       .big = worker->big,
                       .scores = worker->scores,
                       .packs = worker->packs,
                       .scratch = worker->scratch,
                       .trace = worker->trace,
                       .trace_user = worker->trace_user,
                       .trace_tower = "text"};

    worker->start[0] = 0;
    for (size_t b = 0; b < n; b++) {
        worker->start[b + 1] = worker->start[b] + lengths[b];
        worker->pick[b] = worker->start[b + 1] - 1;
        embed_tokens(model, ids + b * stride, lengths[b],
                     pass.x + worker->start[b] * C);
    }
    R = worker->start[n];
    akin__emit(&pass, "01_embeddings", pass.x, R, C, C);
    akin__layers(&pass);
    if (pass.trace) { /* all rows are there */
        akin__layernorm(pass.h, pass.x, &tower->post, tower->config.eps, R, C);
        akin__emit(&pass, "89_final_layernorm", pass.h, R, C, C);
        for (size_t b = 0; b < n; b++)
            memmove(pass.h + b * C, pass.h + worker->pick[b] * C,
                    C * sizeof *out);
    } else {
        akin__layernorm(pass.h, pass.x, &tower->post, tower->config.eps, n, C);
    }
    akin__linear_f32(&tower->out, 0, dim, pass.h, n, out, dim, false);
    akin__emit(&pass, "91_projection", out, n, dim, dim);
    return !pass.failed;
}
