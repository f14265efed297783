/* VSIM and AKIN.SEARCH: one reading of the arguments, two replies.
 *
 * VSIM answers as Redis does: ids, with scores (1 + cosine) / 2 and attributes
 * when asked for. AKIN.SEARCH tells everything: whether the answer is exact,
 * each match's cosine in either space, its attributes and caption. Where several
 * rankings were fused, the score is the fused one, 0 to 1. EPSILON is a distance
 * on that scale: 1 - score.
 *
 * VSIMs on one collection that a client sent in a row are asked together, which
 * spares the index work; each has its own options, reply or error.
 *
 * EF, FILTER-EF and NOTHREAD steer Redis's graph; they are read, checked, and
 * change nothing. A source may be given several times, each with a WEIGHT
 * behind it; the weighted sum is what is searched for. */
#include <math.h>

#include "commands.h"

#define DEFAULT_COUNT 10

typedef struct {
    char collection[AKIN_NAME_BYTES + 1];
    akin_query query;
    akin_query_term terms[AKIN_QUERY_MAX_TERMS];
    float *vectors[AKIN_QUERY_MAX_TERMS]; /* owned; by term */
    double epsilon;
    bool with_scores;
} question;

static void question_clear(question *q)
{
    for (size_t i = 0; i < q->query.nterms; i++)
        akin_free(q->vectors[i]);
}

static akin_status vector_term(akin_args *args, question *q,
                               akin_query_term *term, bool blob,
                               akin_error *err)
{
    float **vector = &q->vectors[q->query.nterms];
    term->kind = AKIN_TERM_VECTOR;
    akin_status rc = blob ? akin_args_fp32(args, vector, &term->dim, err)
                          : akin_args_values(args, vector, &term->dim, err);
    term->vector = *vector;
    return rc;
}

/* Reads a source when one comes next; *found says. */
static akin_status read_source(akin_args *args, question *q, bool *found,
                               akin_error *err)
{
    static const struct {
        const char *word, *what;
        akin_term_kind kind;
    } plain[] = {
        {"ELE", "an element", AKIN_TERM_ITEM},
        {"TEXT", "words", AKIN_TERM_TEXT},
        {"IMAGE", "the bytes of a picture", AKIN_TERM_PICTURE},
    };
    akin_query_term term = {.weight = 1};
    akin_status rc = AKIN_OK;
    size_t i = 0, n = sizeof plain / sizeof *plain;

    *found = true;
    if (q->query.nterms == AKIN_QUERY_MAX_TERMS)
        return akin_fail(err, AKIN_INVALID, "a query has at most %d sources",
                         AKIN_QUERY_MAX_TERMS);
    q->vectors[q->query.nterms] = NULL;
    if (akin_args_word(args, "FP32")) {
        rc = vector_term(args, q, &term, true, err);
    } else if (akin_args_word(args, "VALUES")) {
        rc = vector_term(args, q, &term, false, err);
    } else {
        while (i < n && !akin_args_word(args, plain[i].word))
            i++;
        *found = i < n;
        if (!*found) return AKIN_OK;
        term.kind = plain[i].kind;
        rc = akin_args_next(args, plain[i].what, &term.data, err);
    }
    if (!rc) q->terms[q->query.nterms++] = term;
    return rc;
}

static akin_status read_space(akin_args *args, akin_query *query,
                              akin_error *err)
{
    static const struct {
        const char *word;
        akin_query_space space;
    } spaces[] = {{"AUTO", AKIN_QUERY_AUTO},
                  {"IMAGE", AKIN_QUERY_IMAGE},
                  {"CAPTION", AKIN_QUERY_CAPTION},
                  {"BOTH", AKIN_QUERY_BOTH}};
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
        if (akin_args_word(args, spaces[i].word)) {
            query->space = spaces[i].space;
            return AKIN_OK;
        }
    return akin_fail(err, AKIN_INVALID,
                     "SPACE is image, caption, both or auto");
}

static akin_status read_weight(akin_args *args, question *q, akin_error *err)
{
    double weight;
    akin_status rc =
        akin_args_double(args, "WEIGHT", -1000, 1000, &weight, err);
    if (!rc && weight == 0)
        rc = akin_fail(err, AKIN_INVALID, "invalid WEIGHT: 0 leaves it out");
    if (!rc) q->terms[q->query.nterms - 1].weight = (float)weight;
    return rc;
}

static akin_status read_u32(akin_args *args, const char *what, int64_t min,
                            int64_t max, uint32_t *out, akin_error *err)
{
    int64_t n;
    akin_status rc = akin_args_int(args, what, min, max, &n, err);
    if (!rc && out) *out = (uint32_t)n;
    return rc;
}

static akin_status read_count(akin_args *args, akin_query *query,
                              akin_error *err)
{
    int64_t n;
    akin_span text;
    akin_status rc = akin_args_next(args, "COUNT", &text, err);
    if (rc) return rc;
    if (!akin_span_int(text, &n) || n <= 0)
        return akin_fail(err, AKIN_INVALID, "invalid COUNT");
    query->k = n > AKIN_QUERY_MAX_K ? AKIN_QUERY_MAX_K : (uint32_t)n;
    return AKIN_OK;
}

static akin_status read_recall(akin_args *args, akin_query *query,
                               akin_error *err)
{
    double recall;
    akin_status rc = akin_args_double(args, "RECALL", 0.01, 1, &recall, err);
    if (!rc) query->recall = (float)recall;
    return rc;
}

static bool read_switch(akin_args *args, question *q)
{
    const struct {
        const char *word;
        bool *set, value;
    } switches[] = {
        {"WITHSCORES", &q->with_scores, true},
        {"WITHATTRIBS", &q->query.with_attributes, true},
        {"WITHCAPTIONS", &q->query.with_captions, true},
        {"NOSELF", &q->query.include_self, false},
        {"TRUTH", &q->query.exact, true},
        {"NOTHREAD", NULL, true},
    };
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (akin_args_word(args, switches[i].word)) {
            if (switches[i].set) *switches[i].set = switches[i].value;
            return true;
        }
    return false;
}

static akin_status read_option(akin_args *args, question *q, akin_error *err)
{
    akin_query *query = &q->query;
    bool found;
    akin_status rc;
    if (read_switch(args, q)) return AKIN_OK;
    if (akin_args_word(args, "COUNT")) return read_count(args, query, err);
    if (akin_args_word(args, "OFFSET"))
        return read_u32(args, "OFFSET", 0, AKIN_QUERY_MAX_K, &query->offset,
                        err);
    if (akin_args_word(args, "EPSILON"))
        return akin_args_double(args, "EPSILON", 1e-9, 2, &q->epsilon, err);
    if (akin_args_word(args, "FILTER"))
        return akin_args_next(args, "a filter", &query->filter.text, err);
    if (akin_args_word(args, "SPACE")) return read_space(args, query, err);
    if (akin_args_word(args, "WEIGHT")) return read_weight(args, q, err);
    if (akin_args_word(args, "RECALL")) return read_recall(args, query, err);
    if (akin_args_word(args, "NPROBE"))
        return read_u32(args, "NPROBE", 1, 1 << 20, &query->nprobe, err);
    if (akin_args_word(args, "TIMEOUT"))
        return read_u32(args, "TIMEOUT", 1, 3600000, &query->timeout_ms, err);
    if (akin_args_word(args, "EF"))
        return read_u32(args, "EF", 1, 1000000, NULL, err);
    if (akin_args_word(args, "FILTER-EF"))
        return read_u32(args, "FILTER-EF", 1, INT32_MAX, NULL, err);
    rc = read_source(args, q, &found, err);
    if (!rc && !found) rc = akin_bad_option(args->argv[args->at], err);
    return rc;
}

static akin_status question_parse(akin_call *c, question *q, akin_error *err)
{
    akin_args args = akin_args_of(c, 2);
    bool found = false;
    akin_status rc = akin_collection_name(c->argv[1], q->collection, err);

    q->query.terms = q->terms;
    q->query.k = DEFAULT_COUNT;
    q->query.include_self = true;
    q->epsilon = 2;
    if (!rc) rc = read_source(&args, q, &found, err);
    if (!rc && !found)
        rc = akin_fail(err, AKIN_INVALID,
                       "vector type must be ELE, FP32, VALUES, TEXT or IMAGE");
    while (!rc && args.at < args.n)
        rc = read_option(&args, q, err);
    if (!rc && q->query.k + q->query.offset > AKIN_QUERY_MAX_K)
        rc = akin_fail(err, AKIN_INVALID,
                       "COUNT and OFFSET together are at most %d",
                       AKIN_QUERY_MAX_K);
    return rc;
}

static double reply_score(const akin_results *results, const akin_match *match)
{
    double score = (double)match->score;
    return results->fused ? score : (1 + score) / 2;
}

/* How many of the matches, best first, are within the distance asked for. */
static size_t within(const akin_results *results, double epsilon)
{
    size_t n = 0;
    while (n < results->n &&
           1 - reply_score(results, &results->matches[n]) <= epsilon)
        n++;
    return n;
}

/* Whether AKIN_NOT_FOUND was about the collection. */
static bool collection_missing(akin_call *c, const question *q)
{
    uint64_t n;
    return akin_engine_count(c->service->engine, q->collection,
                             (akin_filter){0}, &n, NULL) == AKIN_NOT_FOUND;
}

/* Parses, asks. *missing: there is no such collection. */
static akin_status ask(akin_call *c, question *q, akin_results *results,
                       bool *missing, akin_error *err)
{
    akin_status rc = question_parse(c, q, err);
    *missing = false;
    q->query.from_memory = c->from_memory;
    if (!rc)
        rc = akin_engine_search(c->service->engine, q->collection, &q->query,
                                results, err);
    if (rc == AKIN_NOT_FOUND && c->from_memory) return AKIN_BUSY;
    if (rc == AKIN_NOT_FOUND) *missing = collection_missing(c, q);
    return rc;
}

/* ---- VSIM ---------------------------------------------------------------------- */

/* Redis: a flat array; in RESP3 with scores or attributes a map of id to score,
 * attributes, or [score, attributes]. */
static void vsim_reply(akin_reply *r, const question *q,
                       const akin_results *results)
{
    bool scores = q->with_scores, attributes = q->query.with_attributes;
    size_t n = within(results, q->epsilon);
    if (!scores && !attributes)
        akin_reply_array(r, n);
    else if (r->proto >= 3)
        akin_reply_map(r, n);
    else
        akin_reply_array(r, n * (1u + scores + attributes));
    for (size_t i = 0; i < n; i++) {
        const akin_match *match = &results->matches[i];
        akin_reply_text(r, match->id);
        if (scores && attributes && r->proto >= 3) akin_reply_array(r, 2);
        if (scores) akin_reply_float(r, (float)reply_score(results, match));
        if (attributes) akin_reply_text(r, match->attributes);
    }
}

static akin_status vsim_answer(akin_call *c, akin_status rc, bool missing,
                               const question *q, const akin_results *results)
{
    if (missing) {
        akin_reply_array(c->reply, 0);
        return AKIN_OK;
    }
    if (!rc) vsim_reply(c->reply, q, results);
    return rc;
}

akin_status akin_cmd_vsim(akin_call *c, akin_error *err)
{
    question q = {0};
    akin_results results = {0};
    bool missing;
    akin_status rc = ask(c, &q, &results, &missing, err);
    rc = vsim_answer(c, rc, missing, &q, &results);
    akin_results_clear(&results);
    question_clear(&q);
    return rc;
}

bool akin_vsim_is_quick(const akin_call *c, uint64_t most_ns)
{
    akin_args args = akin_args_of(c, 2);
    char collection[AKIN_NAME_BYTES + 1];
    akin_span text;
    int64_t n = 0, k = DEFAULT_COUNT;

    if (akin_args_word(&args, "FP32"))
        args.at++;
    else if (akin_args_word(&args, "VALUES") &&
             !akin_args_next(&args, "", &text, NULL) &&
             akin_span_int(text, &n) && n > 0 &&
             (uint64_t)n <= args.n - args.at)
        args.at += (size_t)n;
    else
        return false;
    while (args.at < args.n)
        if (akin_args_word(&args, "COUNT")) {
            if (akin_args_int(&args, "COUNT", 1, AKIN_QUERY_MAX_K, &k, NULL))
                return false;
        } else if (!akin_args_word(&args, "WITHSCORES")) {
            return false;
        }
    return !akin_collection_name(c->argv[1], collection, NULL) &&
           akin_engine_search_cost(c->service->engine, collection,
                                   (uint32_t)k) <= most_ns;
}

struct akin_vsims {
    size_t n;
    question questions[AKIN_VSIMS_MOST];
    akin_query queries[AKIN_VSIMS_MOST];
    akin_results results[AKIN_VSIMS_MOST];
    akin_error errs[AKIN_VSIMS_MOST];
};

akin_vsims *akin_vsims_ask(akin_call *calls, size_t n, size_t *asked)
{
    akin_vsims *v = akin_calloc(1, sizeof *v);
    *asked = 0;
    while (v && v->n < n && v->n < AKIN_VSIMS_MOST) {
        question *q = &v->questions[v->n];
        if (question_parse(&calls[v->n], q, NULL)) {
            question_clear(q);
            break;
        }
        v->queries[v->n++] = q->query;
    }
    if (!v || v->n < 2) {
        akin_vsims_free(v);
        return NULL;
    }
    akin_engine_search_many(calls->service->engine, v->questions->collection,
                            v->queries, v->n, v->results, v->errs);
    *asked = v->n;
    return v;
}

akin_status akin_vsims_answer(const akin_vsims *v, size_t i, akin_call *c,
                              akin_error *err)
{
    akin_status rc = v->errs[i].status;
    bool missing =
        rc == AKIN_NOT_FOUND && collection_missing(c, &v->questions[i]);
    if (rc) *err = v->errs[i];
    return vsim_answer(c, rc, missing, &v->questions[i], &v->results[i]);
}

void akin_vsims_free(akin_vsims *v)
{
    for (size_t i = 0; v && i < v->n; i++) {
        akin_results_clear(&v->results[i]);
        question_clear(&v->questions[i]);
    }
    akin_free(v);
}

/* ---- AKIN.SEARCH ----------------------------------------------------------------- */

static void cosine(akin_reply *r, const char *name, float value)
{
    akin_reply_text(r, name);
    if (isnan(value))
        akin_reply_null(r);
    else
        akin_reply_float(r, value);
}

static void match_map(akin_reply *r, const question *q,
                      const akin_results *results, const akin_match *match)
{
    akin_reply_map(r, 5u + q->query.with_captions);
    akin_reply_text(r, "id");
    akin_reply_text(r, match->id);
    akin_reply_text(r, "score");
    akin_reply_float(r, (float)reply_score(results, match));
    cosine(r, "image", match->image);
    cosine(r, "caption", match->caption);
    akin_reply_text(r, "attributes");
    akin_reply_text(r, match->attributes);
    if (q->query.with_captions) {
        akin_reply_text(r, "words");
        akin_reply_text(r, match->match_caption);
    }
}

static void number(akin_reply *r, const char *name, uint64_t value)
{
    akin_reply_text(r, name);
    akin_reply_int(r, (int64_t)value);
}

akin_status akin_cmd_search(akin_call *c, akin_error *err)
{
    question q = {0};
    akin_results results = {0};
    akin_reply *r = c->reply;
    bool missing;

    q.query.with_attributes = true;
    akin_status rc = ask(c, &q, &results, &missing, err);
    if (!rc) {
        size_t n = within(&results, q.epsilon);
        akin_reply_map(r, 7);
        akin_reply_text(r, "matches");
        akin_reply_array(r, n);
        for (size_t i = 0; i < n; i++)
            match_map(r, &q, &results, &results.matches[i]);
        akin_reply_text(r, "exact");
        akin_reply_bool(r, results.exact);
        akin_reply_text(r, "fused");
        akin_reply_bool(r, results.fused);
        number(r, "considered", results.considered);
        number(r, "embed_us", results.embed_ns / 1000);
        number(r, "search_us", (results.filter_ns + results.search_ns) / 1000);
        number(r, "fetch_us", results.fetch_ns / 1000);
    }
    akin_results_clear(&results);
    question_clear(&q);
    return rc;
}
