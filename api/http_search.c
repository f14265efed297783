/* One search of the engine, and lists of hits.
 *
 * A question may be made of many searches (prefetches in prefetches, examples),
 * whose matches are all kept until it is answered, with vectors and payloads. So
 * their number is bounded, and the time is that of the request. */
#include "http_query.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_SEARCHES 64 /* of one question; as many as it has examples */

/* ---- hits ------------------------------------------------------------------- */

void akin__http_hits_clear(akin_http_hits *hits)
{
    for (size_t i = 0; i < hits->nresults; i++)
        akin_results_clear(&hits->results[i]);
    akin_free(hits->results);
    akin_free(hits->hits);
    *hits = (akin_http_hits){0};
}

akin_status akin__http_hits_add(akin_http_hits *hits, const akin_match *match,
                                double score, akin_error *err)
{
    akin_status rc = akin_grow(&hits->hits, &hits->capacity, hits->n + 1,
                               sizeof *hits->hits, err);
    if (!rc) hits->hits[hits->n++] = (akin_http_hit){match, score};
    return rc;
}

static int better(const void *a, const void *b)
{
    const akin_http_hit *x = a, *y = b;

    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return strcmp(x->match->id, y->match->id);
}

void akin__http_hits_sort(akin_http_hits *hits)
{
    if (hits->n) qsort(hits->hits, hits->n, sizeof *hits->hits, better);
}

static akin_status room_for_results(akin_http_hits *hits, size_t more,
                                    akin_error *err)
{
    return akin_grow(&hits->results, &hits->result_capacity,
                     hits->nresults + more, sizeof *hits->results, err);
}

akin_status akin__http_hits_adopt(akin_http_hits *hits, akin_http_hits *from,
                                  akin_error *err)
{
    akin_status rc = room_for_results(hits, from->nresults, err);

    if (rc) return rc;
    for (size_t i = 0; i < from->nresults; i++)
        hits->results[hits->nresults++] = from->results[i];
    from->nresults = 0;
    akin__http_hits_clear(from);
    return AKIN_OK;
}

/* ---- what is wanted ------------------------------------------------------------ */

static akin_status read_params(const json_t *params, akin_http_want *out,
                               akin_error *err)
{
    uint64_t nprobe = 0;
    double recall = 0;

    akin_status rc = akin_json_get_bool(params, "exact", &out->exact, err);
    if (!rc) rc = akin_json_get_uint(params, "nprobe", 1, 65536, &nprobe, err);
    if (!rc) rc = akin_json_get_real(params, "recall", &recall, err);
    out->nprobe = (uint32_t)nprobe;
    out->recall = (float)recall;
    return rc;
}

/* What the reply shows is read with the matches. */
static void read_shown(const json_t *body, akin_http_want *out)
{
    const json_t *payload = json_object_get(body, "with_payload");

    out->attributes = json_object_get(body, "group_by") ||
                      (payload && !json_is_false(payload));
    out->captions = json_is_true(json_object_get(body, "with_details"));
}

static akin_status read_space(const json_t *body, akin_http_want *out,
                              akin_error *err)
{
    const char *space = "";

    akin_status rc = akin_json_get_text(body, "using", &space, err);
    if (rc) return rc;
    if (!strcmp(space, "image"))
        out->space = AKIN_QUERY_IMAGE;
    else if (!strcmp(space, "caption"))
        out->space = AKIN_QUERY_CAPTION;
    else if (!strcmp(space, "both"))
        out->space = AKIN_QUERY_BOTH;
    else if (*space && strcmp(space, "default"))
        return akin_fail(err, AKIN_INVALID,
                         "Wrong input: Not existing vector name error: %s",
                         space);
    return AKIN_OK;
}

akin_status akin__http_want_read(const json_t *body, uint32_t limit,
                                 akin_http_want *out, akin_error *err)
{
    uint64_t n = limit, offset = 0;
    json_t *params;

    *out = (akin_http_want){.threshold = NAN};
    akin_status rc =
        akin_json_get_uint(body, "limit", 1, AKIN_QUERY_MAX_K, &n, err);
    if (!rc)
        rc = akin_json_get_uint(body, "offset", 0, AKIN_QUERY_MAX_K - n,
                                &offset, err);
    if (!rc)
        rc = akin_json_get_real(body, "score_threshold", &out->threshold, err);
    if (!rc) rc = akin_json_get(body, "params", JSON_OBJECT, &params, err);
    if (!rc && params) rc = read_params(params, out, err);
    if (!rc) rc = read_space(body, out, err);
    if (!rc)
        rc = akin__http_filter_read(json_object_get(body, "filter"),
                                    &out->filter_text, &out->filter, err);
    read_shown(body, out);
    out->limit = (uint32_t)n;
    out->offset = (uint32_t)offset;
    out->has_threshold = !isnan(out->threshold);
    return rc;
}

/* ---- searching -------------------------------------------------------------------- */

static akin_status too_late(const akin_http_call *call, akin_error *err)
{
    return akin_fail(err, AKIN_TIMEOUT, "the query took more than %u ms",
                     call->http->options.timeout_ms);
}

akin_status akin__http_check_time(const akin_http_call *call, akin_error *err)
{
    return akin_mono_ns() < call->deadline_ns ? AKIN_OK : too_late(call, err);
}

/* Refuses by what is asked for, not by what there is: a question that works
 * goes on working as the collection grows. */
static akin_status count_search(akin_http_call *call, uint32_t limit,
                                akin_error *err)
{
    call->searches++;
    call->matches += limit;
    if (call->searches > MOST_SEARCHES)
        return akin_fail(err, AKIN_INVALID,
                         "a question may be made of at most %d searches (of "
                         "its prefetches and examples)",
                         MOST_SEARCHES);
    if (call->matches > AKIN_HTTP_MOST_MATCHES)
        return akin_fail(err, AKIN_INVALID,
                         "the searches that a question is made of may find at "
                         "most %d in all: lower its limit and offset, those of "
                         "its prefetches, or give fewer examples",
                         AKIN_HTTP_MOST_MATCHES);
    return akin__http_check_time(call, err);
}

static uint32_t left_ms(const akin_http_call *call)
{
    uint64_t now = akin_mono_ns();
    return now < call->deadline_ns
               ? (uint32_t)((call->deadline_ns - now) / 1000000) + 1
               : 1;
}

akin_status akin__http_search_terms(akin_http_call *call,
                                    const char *collection,
                                    const akin_http_terms *terms,
                                    const akin_http_want *want,
                                    akin_http_hits *hits, akin_error *err)
{
    akin_query query = {.terms = terms->terms,
                        .nterms = terms->n,
                        .space = want->space,
                        .k = want->limit,
                        .offset = want->offset,
                        .filter = want->filter,
                        .exact = want->exact,
                        .recall = want->recall,
                        .nprobe = want->nprobe,
                        .has_min_score = want->has_threshold,
                        .min_score = (float)want->threshold,
                        .with_attributes = want->attributes,
                        .with_captions = want->captions,
                        .with_vectors = want->need_vectors,
                        .include_self = want->include_self,
                        .timeout_ms = left_ms(call)};

    akin_status rc = count_search(call, want->limit, err);
    if (!rc) rc = room_for_results(hits, 1, err);
    if (rc) return rc;
    akin_results *results = &hits->results[hits->nresults];
    *results = (akin_results){0};
    rc = akin_engine_search(call->engine, collection, &query, results, err);
    if (rc == AKIN_TIMEOUT) return too_late(call, err);
    if (rc) return rc;
    hits->nresults++;
    for (size_t i = 0; !rc && i < results->n; i++)
        rc = akin__http_hits_add(hits, &results->matches[i],
                                 results->matches[i].score, err);
    return rc;
}
