#include "retrieval.h"

#include <math.h>
#include <string.h>

#define TOP   10
#define LANES 16
#define CHUNK 32 /* queries of one part */

const uint32_t akin_retrieval_cuts[AKIN_RETRIEVAL_CUTS] = {1, 5, 10};

/* In lanes, so that the compiler may use vector registers. */
static float dot(const float *a, const float *b, uint32_t dim)
{
    float lane[LANES] = {0}, sum = 0;
    uint32_t i = 0;
    for (; i + LANES <= dim; i += LANES)
        for (uint32_t j = 0; j < LANES; j++)
            lane[j] += a[i + j] * b[i + j];
    for (uint32_t j = 0; j < LANES; j++)
        sum += lane[j];
    for (; i < dim; i++)
        sum += a[i] * b[i];
    return sum;
}

typedef struct {
    float score;
    uint32_t at;
} ranked;

/* Puts one more into the best `n` so far (at most TOP); gives how many there
 * are now. */
static uint32_t insert(ranked *best, uint32_t n, ranked one)
{
    uint32_t i = n;
    if (n == TOP && one.score <= best[TOP - 1].score) return n;
    if (n == TOP) i = TOP - 1;
    for (; i > 0 && best[i - 1].score < one.score; i--)
        best[i] = best[i - 1];
    best[i] = one;
    return n < TOP ? n + 1 : TOP;
}

/* One query's figures; `used` is false when nothing is relevant to it. */
typedef struct {
    bool used;
    uint32_t relevant; /* in its pool */
    uint32_t first;    /* rank of the first relevant one, TOP: none */
    uint32_t hits;     /* among the first TOP */
    double gain;       /* normalised */
} figures;

typedef struct {
    const akin_retrieval_set *queries, *pool;
    const uint32_t *self;
    uint32_t dim;
    figures *of;
} work;

static void measure_one(const work *w, size_t q)
{
    uint32_t group = w->queries->groups[q], n = 0;
    const float *query = w->queries->vectors + q * w->dim;
    ranked best[TOP] = {{0, 0}};
    figures f = {.first = TOP};
    double ideal = 0;

    for (size_t i = 0; group != AKIN_RETRIEVAL_NONE && i < w->pool->n; i++)
        f.relevant +=
            w->pool->groups[i] == group && !(w->self && w->self[q] == i);
    f.used = f.relevant > 0;
    for (size_t i = 0; f.used && i < w->pool->n; i++) {
        if (w->self && w->self[q] == i) continue;
        ranked one = {dot(query, w->pool->vectors + i * w->dim, w->dim),
                      (uint32_t)i};
        n = insert(best, n, one);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i < f.relevant) ideal += 1 / log2(i + 2.0);
        if (w->pool->groups[best[i].at] != group) continue;
        if (f.first == TOP) f.first = i;
        f.hits++;
        f.gain += 1 / log2(i + 2.0);
    }
    if (f.used) f.gain /= ideal;
    w->of[q] = f;
}

static void measure_part(void *arg, size_t part)
{
    const work *w = arg;
    for (size_t q = part * CHUNK; q < (part + 1) * CHUNK; q++)
        if (q < w->queries->n) measure_one(w, q);
}

/* That one of `relevant` of n is among k drawn without putting back. */
static double chance_at(size_t n, size_t relevant, size_t k)
{
    double none = 1;
    for (size_t i = 0; i < k && i < n; i++)
        none *=
            n - i > relevant ? (double)(n - relevant - i) / (double)(n - i) : 0;
    return 1 - none;
}

static void sum_up(const work *w, akin_retrieval *out)
{
    size_t n = w->pool->n - (w->self ? 1 : 0);
    size_t shown = n < TOP ? n : TOP;
    for (size_t q = 0; q < w->queries->n; q++) {
        const figures *f = &w->of[q];
        if (!f->used) continue;
        out->queries++;
        for (int c = 0; c < AKIN_RETRIEVAL_CUTS; c++) {
            out->recall[c] += f->first < akin_retrieval_cuts[c];
            out->chance[c] += chance_at(n, f->relevant, akin_retrieval_cuts[c]);
        }
        out->precision += (double)f->hits / (double)shown;
        out->precision_chance += (double)f->relevant / (double)n;
        out->ndcg += f->gain;
    }
    if (!out->queries) return;
    double each = 1 / (double)out->queries;
    for (int c = 0; c < AKIN_RETRIEVAL_CUTS; c++) {
        out->recall[c] *= each;
        out->chance[c] *= each;
    }
    out->precision *= each;
    out->precision_chance *= each;
    out->ndcg *= each;
}

akin_status akin_retrieval_measure(const akin_retrieval_set *queries,
                                   const akin_retrieval_set *pool, uint32_t dim,
                                   const uint32_t *self, uint32_t threads,
                                   akin_retrieval *out, akin_error *err)
{
    work w = {.queries = queries, .pool = pool, .self = self, .dim = dim};
    akin_pool *helpers = NULL;

    memset(out, 0, sizeof *out);
    out->pool = pool->n;
    w.of = akin_calloc(queries->n + 1, sizeof *w.of);
    if (!w.of)
        return akin_fail(err, AKIN_NOMEM, "no memory for %zu queries",
                         queries->n);
    akin_status rc = threads > 1 ? akin_pool_open(threads - 1, 0, "akin-bench",
                                                  &helpers, err)
                                 : AKIN_OK;
    if (!rc) {
        akin_pool_each(helpers, (queries->n + CHUNK - 1) / CHUNK, measure_part,
                       &w);
        sum_up(&w, out);
    }
    akin_pool_close(helpers);
    akin_free(w.of);
    return rc;
}

/* ---- classes ---------------------------------------------------------------- */

/* How many classes are nearer than the right one. */
static uint32_t rank_of(const float *picture, uint32_t right,
                        const float *vectors, uint32_t classes, uint32_t dim)
{
    uint32_t before = 0;
    float score = dot(picture, vectors + (size_t)right * dim, dim);
    for (uint32_t c = 0; c < classes; c++) {
        float other = dot(picture, vectors + (size_t)c * dim, dim);
        if (c != right && (other > score || (other == score && c < right)))
            before++;
    }
    return before;
}

akin_status akin_retrieval_classify(const akin_retrieval_set *pictures,
                                    const float *vectors, uint32_t classes,
                                    uint32_t dim, akin_classification *out,
                                    akin_error *err)
{
    struct {
        size_t n, right;
    } *of = akin_calloc((size_t)classes + 1, sizeof *of);
    uint32_t seen = 0;

    memset(out, 0, sizeof *out);
    out->classes = classes;
    if (!of)
        return akin_fail(err, AKIN_NOMEM, "no memory for %u classes", classes);
    for (size_t i = 0; i < pictures->n; i++) {
        uint32_t right = pictures->groups[i];
        if (right >= classes) continue;
        uint32_t rank =
            rank_of(pictures->vectors + i * dim, right, vectors, classes, dim);
        out->queries++;
        out->accuracy += rank == 0;
        out->accuracy5 += rank < 5;
        of[right].n++;
        of[right].right += rank == 0;
    }
    for (uint32_t c = 0; c < classes; c++) {
        if (!of[c].n) continue;
        seen++;
        out->balanced += (double)of[c].right / (double)of[c].n;
        if ((double)of[c].n > out->majority) out->majority = (double)of[c].n;
    }
    if (out->queries) {
        out->accuracy /= (double)out->queries;
        out->accuracy5 /= (double)out->queries;
        out->majority /= (double)out->queries;
        out->balanced /= seen;
    }
    akin_free(of);
    return AKIN_OK;
}
