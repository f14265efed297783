/* How many lists and code bytes suit a space, and what that will take.
 *
 * nlist near 4 sqrt(n) keeps the choice of lists and the lists themselves about
 * equally dear, and was best or near it from 20,000 to a million. A code byte
 * for 8 dimensions: with exact rescoring behind it PQ64 of 512 was never worse
 * than more bytes at the same speed.
 *
 * No OPQ rotation before the codes: docs/index.md says what was measured. */
#include "internal.h"

#include <math.h>

#define POINTS_A_CENTROID 50 /* training sample; 20 loses a point of recall */
#define FEWEST_A_CENTROID 39 /* rows; what FAISS asks for */
#define FEWEST_SAMPLED    20
#define PQ_SAMPLE         ((uint64_t)256 * 64) /* 64 a centroid */
#define DEFAULT_MEMORY    ((uint64_t)1 << 30)
#define BATCH_BYTES       ((uint64_t)64 << 20) /* adding, and what FAISS keeps */

/* Multiply-adds a second of one thread of a Zen 4, as training and adding got
 * them at a million vectors of 512. */
#define TRAIN_RATE 4e10
#define ADD_RATE   2.5e10

static void choose_lists(uint64_t rows, const akin_build_params *params,
                         uint64_t most_sampled, akin_index_choice *out)
{
    uint64_t nlist =
        params->nlist ? params->nlist : (uint64_t)(4 * sqrt((double)rows));
    const char *why = params->nlist ? "lists as asked" : "4 sqrt(n) lists";
    if (nlist > rows / FEWEST_A_CENTROID) {
        nlist = rows / FEWEST_A_CENTROID;
        why = "as many lists as there are rows to train them";
    }
    if (!params->nlist && nlist > most_sampled / FEWEST_SAMPLED) {
        nlist = most_sampled / FEWEST_SAMPLED;
        why = "as many lists as index.memory can train";
    }
    out->nlist = nlist < 1 ? 1 : (uint32_t)nlist;
    snprintf(out->why, sizeof out->why, "%s, a code byte for %u dimensions",
             why, akin__ivf_dim(out->dim) / out->m);
}

/* Seconds: ten rounds over the sample, then every row against every centroid
 * and into its code. */
static void estimate(uint64_t rows, uint32_t threads, akin_index_choice *out)
{
    double dim = akin__ivf_dim(out->dim), nlist = out->nlist;
    double train = 10 * (double)out->sample * nlist * dim +
                   10 * (double)PQ_SAMPLE * 256 * dim;
    double add = (double)rows * dim * (nlist + 256);
    out->seconds = (train / TRAIN_RATE + add / ADD_RATE) / threads;
    out->memory_bytes = (uint64_t)(nlist * dim * 6) + 4 * rows;
    out->build_bytes = (uint64_t)((double)out->sample * dim * sizeof(float)) +
                       BATCH_BYTES + rows * (out->m + sizeof(int64_t));
    out->disk_bytes = rows * ((uint64_t)out->dim * 2 + 8 + 4 + out->m + 8) +
                      (uint64_t)(nlist * dim * sizeof(float));
}

void akin__choose(uint64_t rows, uint32_t dim, const akin_build_params *params,
                  uint32_t threads, akin_index_choice *out)
{
    uint64_t memory =
        params->memory_bytes ? params->memory_bytes : DEFAULT_MEMORY;
    uint32_t width = akin__ivf_dim(dim);
    uint64_t most = memory / (width * sizeof(float));
    *out = (akin_index_choice){.rows = rows, .dim = dim, .trained = true};
    out->m = akin__ivf_m(dim);
    if (params->m && width % params->m == 0) out->m = params->m;
    choose_lists(rows, params, most, out);
    out->sample = (uint64_t)out->nlist * POINTS_A_CENTROID;
    if (out->sample < PQ_SAMPLE) out->sample = PQ_SAMPLE;
    if (out->sample > most) out->sample = most;
    if (out->sample > rows) out->sample = rows;
    estimate(rows, threads ? threads : 1, out);
}

void akin_index_choose(const akin_index *index, const akin_build_params *params,
                       akin_index_choice *out)
{
    static const akin_build_params defaults;
    akin__view view = akin__view_get(index);
    uint64_t live = akin__view_live(&view);
    if (akin__wants_lists(index, &view)) {
        akin__choose(live, index->dim, params ? params : &defaults,
                     index->build_threads, out);
    } else {
        *out = (akin_index_choice){.rows = live, .dim = index->dim};
        out->memory_bytes = out->disk_bytes =
            live * ((uint64_t)index->dim * 2 + 8 + 4);
        snprintf(out->why, sizeof out->why,
                 "up to %llu items are scanned exactly, without an index",
                 (unsigned long long)index->exact_below);
    }
    akin__view_drop(&view);
}
