/* Reciprocal rank fusion (Cormack, Clarke, Buettcher: Reciprocal Rank Fusion
 * Outperforms Condorcet and Individual Rank Learning Methods, SIGIR 2009): an
 * item's score is the sum of weight / (60 + rank) over the rankings it is in.
 * Cosines of words with pictures, of words with captions and BM25 live on three
 * scales; ranks are comparable. Scores are divided by the best possible one, so
 * that an item which is first everywhere has 1.
 *
 * The weights (options fuse.*) were measured on the 8,118 drawings of
 * openclipart with the starter model: names of folders as queries, share of the
 * first ten that lie in such a folder. 100 names as they are, which keywords often
 * repeat, and 33 in German, French and Spanish, which they seldom do:
 *
 *     picture : caption : words    en     de     fr     es
 *         1   :    0    :   0     0.30   0.15   0.22   0.24
 *         0   :    1    :   0     0.34   0.17   0.19   0.24
 *         0   :    0    :   1     0.57   0.16   0.24   0.24
 *         1   :    1    :   1     0.52   0.27   0.28   0.30
 *        0.5  :    1    :   1     0.54   0.24   0.25   0.30
 *        0.5  :   0.5   :   1     0.58   0.27   0.29   0.31
 *        0.5  :   0.3   :   1     0.58   0.24   0.27   0.29 */
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
