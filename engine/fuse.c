/* Reciprocal rank fusion (Cormack, Clarke, Buettcher: Reciprocal Rank Fusion
 * Outperforms Condorcet and Individual Rank Learning Methods, SIGIR 2009): an
 * item's score is the sum of weight / (60 + rank) over the rankings it is in.
 * Cosines of words with pictures, of words with captions and BM25 live on three
 * scales; ranks are comparable. Scores are divided by the best possible one, so
 * that an item which is first everywhere has 1.
 *
 * The weights (options fuse.*) were measured on the 8,114 drawings of
 * openclipart with the first starter model: 80 folder names as queries, share of
 * the first ten that lie in such a folder.
 *
 *     picture space alone 0.19   caption space alone 0.52   words alone 0.53
 *     picture : caption : words   1:1:1 0.56   0.5:1:1 0.60   0.3:1:1 0.60
 *                                 0.5:1:2 0.61   0:1:1 0.61
 *
 * Keywords often repeat the folder's name, which favours words; half a weight
 * for the picture space costs little there and finds what has no caption. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define RRF_K 60.0

static int by_label(const void *a, const void *b)
{
    const akin__fused *x = a, *y = b;
    return (x->label > y->label) - (x->label < y->label);
}

static int by_score(const void *a, const void *b)
{
    const akin__fused *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return by_label(a, b);
}

akin_status akin__fuse(const akin__ranking *rankings, size_t n,
                       akin__fused *out, size_t *nout, akin_error *err)
{
    double best = 0;
    size_t total = 0, kept = 0;

    for (size_t r = 0; r < n; r++) {
        best += rankings[r].weight / (RRF_K + 1);
        for (size_t i = 0; i < rankings[r].n; i++)
            out[total++] =
                (akin__fused){rankings[r].labels[i],
                              rankings[r].weight / (RRF_K + 1 + (double)i)};
    }
    *nout = 0;
    if (best <= 0)
        return akin_fail(err, AKIN_INVALID,
                         "fuse.image, fuse.caption and fuse.text are all 0");
    qsort(out, total, sizeof *out, by_label);
    for (size_t i = 0; i < total; i++) {
        if (kept && out[kept - 1].label == out[i].label)
            out[kept - 1].score += out[i].score;
        else
            out[kept++] = out[i];
    }
    for (size_t i = 0; i < kept; i++)
        out[i].score /= best;
    qsort(out, kept, sizeof *out, by_score);
    *nout = kept;
    return AKIN_OK;
}
