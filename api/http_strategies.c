/* Ways to rank beside the nearest: recommend, discover, context, rescoring and
 * fusion, with Qdrant's formulas. Those that are no plain sum of vectors take
 * candidates from the index (the nearest of each positive example) and score
 * them by their stored vectors; in a collection of at most CANDIDATES items that
 * is exact. */
#include "http_query.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#define CANDIDATES 1000

typedef struct {
    float *vectors[AKIN_QUERY_MAX_TERMS];
    double weights[AKIN_QUERY_MAX_TERMS];
    size_t n;
    uint32_t dim;
} examples;

static void examples_clear(examples *e)
{
    for (size_t i = 0; i < e->n; i++)
        akin_free(e->vectors[i]);
    e->n = 0;
}

static akin_status examples_read(akin_http_call *call, const char *collection,
                                 const akin_http_terms *terms,
                                 akin_query_space space, examples *out,
                                 akin_error *err)
{
    *out = (examples){0};
    for (size_t i = 0; i < terms->n; i++) {
        uint32_t dim = 0;
        akin_status rc = akin__http_check_time(call, err);
        if (!rc)
            rc = akin__http_term_vector(call, collection, &terms->terms[i],
                                        space, &out->vectors[i], &dim, err);
        if (rc) return rc;
        out->weights[out->n++] = (double)terms->terms[i].weight;
        if (out->dim && out->dim != dim)
            return akin_fail(err, AKIN_INVALID,
                             "expected vectors of one length, got %u and %u",
                             out->dim, dim);
        out->dim = dim;
    }
    return AKIN_OK;
}

/* What is compared is of one width: a vector in a request may have any, and one
 * that was read before a change of the model has the old one's. */
static akin_status check_width(const examples *e, const akin_http_hits *hits,
                               akin_error *err)
{
    for (size_t i = 0; i < hits->nresults; i++)
        if (hits->results[i].dim != e->dim)
            return akin_fail(err, AKIN_INVALID,
                             "expected %u dimensions, got %u",
                             hits->results[i].dim, e->dim);
    return AKIN_OK;
}

/* NAN when there is no vector to compare. Widths were checked. */
static double similarity(const examples *e, size_t i, const akin_match *match)
{
    double sum = 0;

    if (!match->vector) return NAN;
    for (uint32_t d = 0; d < e->dim; d++)
        sum += (double)e->vectors[i][d] * (double)match->vector[d];
    return sum;
}

/* x / (1 + |x|), moved to 0..1: Qdrant's scaled_fast_sigmoid. */
static double squash(double x)
{
    return 0.5 * (x / (1 + fabs(x)) + 1);
}

/* ---- candidates ---------------------------------------------------------------- */

static bool named(const akin_http_terms *terms, const char *id)
{
    for (size_t i = 0; i < terms->n; i++)
        if (terms->terms[i].kind == AKIN_TERM_ITEM &&
            !strcmp(terms->terms[i].data.data, id))
            return true;
    return false;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const akin_http_hit *)a)->match->id,
                  ((const akin_http_hit *)b)->match->id);
}

/* Drops what was found twice and, unless wanted, the examples themselves. */
static void make_unique(akin_http_hits *hits, const akin_http_terms *examples_,
                        bool include_self)
{
    size_t kept = 0;

    if (hits->n) qsort(hits->hits, hits->n, sizeof *hits->hits, by_id);
    for (size_t i = 0; i < hits->n; i++) {
        const char *id = hits->hits[i].match->id;
        if (kept && !strcmp(hits->hits[kept - 1].match->id, id)) continue;
        if (!include_self && examples_ && named(examples_, id)) continue;
        hits->hits[kept++] = hits->hits[i];
    }
    hits->n = kept;
}

/* The nearest of each term from `from` on, with their vectors. Turned away
 * from, when its weight is negative. */
static akin_status gather(akin_http_call *call, const char *collection,
                          const akin_http_terms *terms, size_t from, size_t to,
                          const akin_http_want *want, akin_http_hits *hits,
                          akin_error *err)
{
    akin_http_want broad = *want;
    akin_status rc = AKIN_OK;

    broad.limit = want->limit + want->offset;
    if (broad.limit < CANDIDATES) broad.limit = CANDIDATES;
    broad.offset = 0;
    broad.has_threshold = false;
    broad.need_vectors = true;
    broad.include_self = true;
    if (want->space == AKIN_QUERY_AUTO || want->space == AKIN_QUERY_BOTH)
        broad.space = AKIN_QUERY_IMAGE;
    for (size_t i = from; !rc && i < to; i++) {
        akin_http_terms one = {.n = 1};
        one.terms[0] = terms->terms[i];
        rc = akin__http_search_terms(call, collection, &one, &broad, hits, err);
    }
    return rc;
}

/* Sorts, applies the threshold and cuts out the page. */
static void cut(akin_http_hits *hits, const akin_http_want *want)
{
    size_t n = 0;

    akin__http_hits_sort(hits);
    while (n < hits->n &&
           !(want->has_threshold && hits->hits[n].score < want->threshold))
        n++;
    size_t from = want->offset < n ? want->offset : n;
    n -= from;
    if (n > want->limit) n = want->limit;
    memmove(hits->hits, hits->hits + from, n * sizeof *hits->hits);
    hits->n = n;
}

/* ---- recommend -------------------------------------------------------------------- */

static double best_score(const examples *e, const akin_match *match)
{
    double positive = -INFINITY, negative = -INFINITY;

    for (size_t i = 0; i < e->n; i++) {
        double s = similarity(e, i, match);
        if (e->weights[i] > 0 && s > positive) positive = s;
        if (e->weights[i] < 0 && s > negative) negative = s;
    }
    return positive > negative ? squash(positive) : -squash(negative);
}

static double sum_scores(const examples *e, const akin_match *match)
{
    double sum = 0;

    for (size_t i = 0; i < e->n; i++)
        sum += (e->weights[i] > 0 ? 1 : -1) * similarity(e, i, match);
    return sum;
}

static akin_status
rank_examples(akin_http_call *call, const char *collection,
              const akin_http_terms *terms, const akin_http_want *want,
              double (*score)(const examples *, const akin_match *),
              akin_http_hits *hits, akin_error *err)
{
    examples e;
    akin_status rc =
        examples_read(call, collection, terms, want->space, &e, err);

    if (!rc) rc = gather(call, collection, terms, 0, terms->n, want, hits, err);
    if (!rc) rc = check_width(&e, hits, err);
    make_unique(hits, terms, want->include_self);
    for (size_t i = 0; !rc && i < hits->n; i++)
        hits->hits[i].score = score(&e, hits->hits[i].match);
    if (!rc) cut(hits, want);
    examples_clear(&e);
    return rc;
}

akin_status akin__http_recommend(akin_http_call *call, const char *collection,
                                 const json_t *spec, const akin_http_want *want,
                                 akin_http_hits *hits, akin_error *err)
{
    const json_t *positive = json_object_get(spec, "positive");
    const json_t *negative = json_object_get(spec, "negative");
    const char *strategy = "average_vector";
    akin_http_terms terms = {0};
    bool average;

    akin_status rc = akin_json_get_text(spec, "strategy", &strategy, err);
    average = !strcmp(strategy, "average_vector");
    bool away = json_array_size(negative) > 0;
    if (!rc && average && !json_array_size(positive))
        rc = akin_fail(err, AKIN_INVALID,
                       "Wrong input: At least one positive vector ID required "
                       "with this strategy");
    /* avg(positive) + avg(positive) - avg(negative) */
    if (!rc)
        rc = akin__http_terms_add_all(&terms, positive, average && away ? 2 : 1,
                                      err);
    if (!rc) rc = akin__http_terms_add_all(&terms, negative, -1, err);
    if (!rc && !terms.n)
        rc = akin_fail(err, AKIN_INVALID,
                       "Wrong input: expected `positive` or `negative`");
    if (!rc && average)
        rc = akin__http_search_terms(call, collection, &terms, want, hits, err);
    else if (!rc && !strcmp(strategy, "best_score"))
        rc = rank_examples(call, collection, &terms, want, best_score, hits,
                           err);
    else if (!rc && !strcmp(strategy, "sum_scores"))
        rc = rank_examples(call, collection, &terms, want, sum_scores, hits,
                           err);
    else if (!rc)
        rc = akin_fail(err, AKIN_INVALID,
                       "`strategy`: expected average_vector, best_score or "
                       "sum_scores, got %.60s",
                       strategy);
    akin__http_terms_clear(&terms);
    return rc;
}

/* ---- discover ----------------------------------------------------------------------- */

/* Terms: [target,] positive, negative, positive, negative, ... */
static akin_status read_context(const json_t *target, const json_t *context,
                                akin_http_terms *terms, akin_error *err)
{
    size_t i;
    json_t *pair;
    akin_status rc = AKIN_OK;

    if (target && !json_is_null(target))
        rc = akin__http_terms_add(terms, target, 1, err);
    if (!rc && json_is_object(context)) {
        rc = akin__http_terms_add(terms, json_object_get(context, "positive"),
                                  1, err);
        if (!rc)
            rc = akin__http_terms_add(
                terms, json_object_get(context, "negative"), 1, err);
        return rc;
    }
    json_array_foreach(context, i, pair)
    {
        if (!rc)
            rc = akin__http_terms_add(terms, json_object_get(pair, "positive"),
                                      1, err);
        if (!rc)
            rc = akin__http_terms_add(terms, json_object_get(pair, "negative"),
                                      1, err);
    }
    if (!rc && !terms->n)
        rc = akin_fail(err, AKIN_INVALID,
                       "Wrong input: expected `target` or `context`");
    return rc;
}

/* With a target: how many pairs it is on the right side of, then the target.
 * Without: how far it is on the wrong side of any. */
static double discover_score(const examples *e, bool target,
                             const akin_match *match)
{
    double rank = 0, loss = 0;

    for (size_t i = target; i + 1 < e->n; i += 2) {
        double d = similarity(e, i, match) - similarity(e, i + 1, match);
        rank += d > 0 ? 1 : d < 0 ? -1 : 0;
        loss += fmin(d - 1e-6, 0);
    }
    return target ? rank + squash(similarity(e, 0, match))
                  : loss / (1 + fabs(loss));
}

akin_status akin__http_discover(akin_http_call *call, const char *collection,
                                const json_t *target, const json_t *context,
                                const akin_http_want *want,
                                akin_http_hits *hits, akin_error *err)
{
    akin_http_terms terms = {0};
    examples e = {0};
    bool has_target = target && !json_is_null(target);

    akin_status rc = read_context(target, context, &terms, err);
    if (!rc) rc = examples_read(call, collection, &terms, want->space, &e, err);
    if (!rc) rc = gather(call, collection, &terms, 0, terms.n, want, hits, err);
    if (!rc) rc = check_width(&e, hits, err);
    make_unique(hits, &terms, want->include_self);
    for (size_t i = 0; !rc && i < hits->n; i++)
        hits->hits[i].score =
            discover_score(&e, has_target, hits->hits[i].match);
    if (!rc) cut(hits, want);
    examples_clear(&e);
    akin__http_terms_clear(&terms);
    return rc;
}

/* ---- rescoring ------------------------------------------------------------------------ */

akin_status akin__http_rescore(akin_http_call *call, const char *collection,
                               const akin_http_terms *terms,
                               const akin_http_want *want, akin_http_hits *hits,
                               akin_error *err)
{
    examples e;
    akin_status rc =
        examples_read(call, collection, terms, want->space, &e, err);
    if (!rc) rc = check_width(&e, hits, err);
    float *sum = rc ? NULL : akin_calloc(e.dim, sizeof *sum);

    if (!rc && !sum) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    for (size_t i = 0; !rc && i < e.n; i++)
        for (uint32_t d = 0; d < e.dim; d++)
            sum[d] += (float)e.weights[i] * e.vectors[i][d];
    if (!rc && !akin_normalize(sum, e.dim))
        rc = akin_fail(err, AKIN_INVALID, "the query cancels itself out");
    make_unique(hits, terms, want->include_self);
    examples one = {.vectors = {sum}, .n = 1, .dim = e.dim};
    for (size_t i = 0; !rc && i < hits->n; i++) {
        double s = similarity(&one, 0, hits->hits[i].match);
        hits->hits[i].score = isnan(s) ? -1 : s;
    }
    if (!rc) cut(hits, want);
    akin_free(sum);
    examples_clear(&e);
    return rc;
}

/* ---- fusion ---------------------------------------------------------------------------- */

/* Adds up the scores of what stands in several rankings. */
static void add_up(akin_http_hits *hits)
{
    size_t kept = 0;

    if (hits->n) qsort(hits->hits, hits->n, sizeof *hits->hits, by_id);
    for (size_t i = 0; i < hits->n; i++) {
        akin_http_hit *last = kept ? &hits->hits[kept - 1] : NULL;
        if (last && !strcmp(last->match->id, hits->hits[i].match->id))
            last->score += hits->hits[i].score;
        else
            hits->hits[kept++] = hits->hits[i];
    }
    hits->n = kept;
}

/* Reciprocal rank: 1 / (k + position), k = 2 as in Qdrant. */
static void rank_scores(akin_http_hits *ranking, double k, double weight)
{
    for (size_t i = 0; i < ranking->n; i++)
        ranking->hits[i].score = weight / (k + (double)i);
}

/* Distribution based: mean - 3 sigma is 0, mean + 3 sigma is 1. */
static void distribution_scores(akin_http_hits *ranking)
{
    double mean = 0, variance = 0;
    size_t n = ranking->n;

    for (size_t i = 0; i < n; i++)
        mean += ranking->hits[i].score / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += pow(ranking->hits[i].score - mean, 2);
    double sigma = n > 1 ? sqrt(variance / (double)(n - 1)) : 0;
    for (size_t i = 0; i < n; i++) {
        double *score = &ranking->hits[i].score;
        *score = sigma > 0 ? (*score - mean + 3 * sigma) / (6 * sigma) : 0.5;
    }
}

akin_status akin__http_fuse(akin_http_hits *rankings, size_t n,
                            const json_t *query, akin_http_hits *out,
                            akin_error *err)
{
    const json_t *rrf = json_object_get(query, "rrf");
    const char *kind = json_string_value(json_object_get(query, "fusion"));
    const json_t *weights = json_object_get(rrf, "weights");
    double k = 2;

    akin_status rc = rrf ? akin_json_get_real(rrf, "k", &k, err) : AKIN_OK;
    if (!rc && !rrf && (!kind || (strcmp(kind, "rrf") && strcmp(kind, "dbsf"))))
        rc = akin_fail(err, AKIN_INVALID, "`fusion`: expected rrf or dbsf");
    if (!rc && !(k > 0))
        rc = akin_fail(err, AKIN_INVALID, "`k`: expected more than 0");
    for (size_t r = 0; !rc && r < n; r++) {
        const json_t *weight = json_array_get(weights, r);
        if (rrf || !strcmp(kind, "rrf"))
            rank_scores(&rankings[r], k,
                        json_is_number(weight) ? json_number_value(weight) : 1);
        else
            distribution_scores(&rankings[r]);
        for (size_t i = 0; !rc && i < rankings[r].n; i++)
            rc = akin__http_hits_add(out, rankings[r].hits[i].match,
                                     rankings[r].hits[i].score, err);
        if (!rc) rc = akin__http_hits_adopt(out, &rankings[r], err);
    }
    add_up(out);
    akin__http_hits_sort(out);
    return rc;
}
