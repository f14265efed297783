/* Questions: /points/query and the older search, recommend and discover, which
 * are special cases of it. A body is run into a list of hits; the list is
 * written as Qdrant's scored points. */
#include "http_query.h"

#include "http_handlers.h"

#include <math.h>
#include <string.h>

#define MAX_DEPTH    4  /* of prefetch inside prefetch */
#define MAX_PREFETCH 16 /* side by side */
#define MAX_BATCH    64

/* outer: of the question that this one is a prefetch of; NULL: of none. */
static akin_status run(akin_http_call *call, const json_t *body, uint32_t limit,
                       unsigned depth, const akin_http_want *outer,
                       akin_http_hits *hits, akin_error *err);

/* ---- prefetch ------------------------------------------------------------------- */

static bool is_fusion(const json_t *query)
{
    return json_object_get(query, "fusion") || json_object_get(query, "rrf");
}

static akin_status run_prefetches(akin_http_call *call, const json_t *prefetch,
                                  unsigned depth, const akin_http_want *outer,
                                  akin_http_hits *rankings, size_t *n,
                                  akin_error *err)
{
    size_t count = json_is_array(prefetch) ? json_array_size(prefetch) : 1;

    *n = 0;
    if (depth == MAX_DEPTH || count > MAX_PREFETCH)
        return akin_fail(err, AKIN_INVALID,
                         "`prefetch`: at most %d side by side, %d deep",
                         MAX_PREFETCH, MAX_DEPTH);
    for (size_t i = 0; i < count; i++) {
        const json_t *one =
            json_is_array(prefetch) ? json_array_get(prefetch, i) : prefetch;
        rankings[i] = (akin_http_hits){0};
        (*n)++;
        akin_status rc =
            run(call, one, 10, depth + 1, outer, &rankings[i], err);
        if (rc) return akin_fail_prefix(err, rc, "prefetch %zu", i);
    }
    return AKIN_OK;
}

/* Keeps the page that is wanted of a sorted list. */
static void page(akin_http_hits *hits, const akin_http_want *want)
{
    size_t n = 0;

    while (n < hits->n &&
           !(want->has_threshold && hits->hits[n].score < want->threshold))
        n++;
    size_t from = want->offset < n ? want->offset : n;
    n -= from;
    if (n > want->limit) n = want->limit;
    memmove(hits->hits, hits->hits + from, n * sizeof *hits->hits);
    hits->n = n;
}

/* Puts all rankings into one list, to be scored anew. */
static akin_status merge(akin_http_hits *rankings, size_t n,
                         akin_http_hits *out, akin_error *err)
{
    akin_status rc = AKIN_OK;

    for (size_t r = 0; !rc && r < n; r++) {
        for (size_t i = 0; !rc && i < rankings[r].n; i++)
            rc = akin__http_hits_add(out, rankings[r].hits[i].match,
                                     rankings[r].hits[i].score, err);
        if (!rc) rc = akin__http_hits_adopt(out, &rankings[r], err);
    }
    return rc;
}

/* ---- one question ------------------------------------------------------------------ */

/* A vector, an id, {"nearest": ...}, {"text"}, {"image"}, {"terms": [...]}. */
static akin_status read_nearest(const json_t *query, akin_http_terms *terms,
                                akin_error *err)
{
    const json_t *nearest = json_object_get(query, "nearest");
    const json_t *list = json_object_get(query, "terms");
    size_t i;
    json_t *one;
    akin_status rc = AKIN_OK;

    if (!list)
        return akin__http_terms_add(terms, nearest ? nearest : query, 1, err);
    if (!json_array_size(list))
        return akin_fail(err, AKIN_INVALID,
                         "`terms`: expected an array of at least one");
    json_array_foreach(list, i, one)
    {
        if (!rc) rc = akin__http_terms_add(terms, one, 1, err);
    }
    return rc;
}

static akin_status run_nearest(akin_http_call *call, const json_t *query,
                               const akin_http_want *want,
                               akin_http_hits *rankings, size_t nrankings,
                               akin_http_hits *hits, akin_error *err)
{
    const char *collection = call->params[0];
    akin_http_terms terms = {0};
    akin_status rc = read_nearest(query, &terms, err);

    if (!rc && !nrankings)
        rc = akin__http_search_terms(call, collection, &terms, want, hits, err);
    if (!rc && nrankings) rc = merge(rankings, nrankings, hits, err);
    if (!rc && nrankings)
        rc = akin__http_rescore(call, collection, &terms, want, hits, err);
    akin__http_terms_clear(&terms);
    return rc;
}

static akin_status run_kind(akin_http_call *call, const json_t *query,
                            const akin_http_want *want,
                            akin_http_hits *rankings, size_t nrankings,
                            akin_http_hits *hits, akin_error *err)
{
    static const char *const unknown[] = {"formula", "mmr",
                                          "relevance_feedback"};
    const json_t *recommend = json_object_get(query, "recommend");
    const json_t *discover = json_object_get(query, "discover");
    const json_t *context = json_object_get(query, "context");

    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (json_object_get(query, unknown[i]))
            return akin_fail(err, AKIN_UNSUPPORTED, "`query`: akin has no `%s`",
                             unknown[i]);
    if (json_object_get(query, "order_by") || json_object_get(query, "sample"))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "`query`: akin orders and samples what is stored, not "
                         "what a `prefetch` found");
    if (is_fusion(query)) {
        akin_status rc = akin__http_fuse(rankings, nrankings, query, hits, err);
        page(hits, want);
        return rc;
    }
    if (nrankings && (recommend || discover || context))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "`prefetch`: can be fused, or scored again by a "
                         "nearest query");
    if (recommend)
        return akin__http_recommend(call, call->params[0], recommend, want,
                                    hits, err);
    if (discover)
        return akin__http_discover(
            call, call->params[0], json_object_get(discover, "target"),
            json_object_get(discover, "context"), want, hits, err);
    if (context)
        return akin__http_discover(call, call->params[0], NULL, context, want,
                                   hits, err);
    return run_nearest(call, query, want, rankings, nrankings, hits, err);
}

/* Bodies of /search have "vector", of /recommend "positive", of /discover
 * "target"; all others "query". */
static json_t *as_query(const json_t *body)
{
    static const char *const recommend[] = {"positive", "negative", "strategy"};
    json_t *vector = json_object_get(body, "vector");
    json_t *inner = json_object();
    json_t *name =
        json_is_object(vector) ? json_object_get(vector, "vector") : NULL;

    if (json_object_get(body, "query")) {
        json_decref(inner);
        return json_incref(json_object_get(body, "query"));
    }
    if (vector) {
        json_object_set(inner, "nearest", name ? name : vector);
        return inner;
    }
    bool discover =
        json_object_get(body, "target") || json_object_get(body, "context");
    json_t *outer = json_object();
    for (size_t i = 0; !discover && i < 3; i++) {
        json_t *value = json_object_get(body, recommend[i]);
        if (value) json_object_set(inner, recommend[i], value);
    }
    if (discover) {
        json_object_set(inner, "target", json_object_get(body, "target"));
        json_object_set(inner, "context", json_object_get(body, "context"));
    }
    json_object_set_new(outer, discover ? "discover" : "recommend", inner);
    return outer;
}

static akin_status run(akin_http_call *call, const json_t *body, uint32_t limit,
                       unsigned depth, const akin_http_want *outer,
                       akin_http_hits *hits, akin_error *err)
{
    const json_t *prefetch = json_object_get(body, "prefetch");
    akin_http_hits rankings[MAX_PREFETCH];
    size_t n = 0;
    akin_http_want want;
    json_t *query = as_query(body);

    akin_status rc = akin__http_want_read(body, limit, &want, err);
    if (!rc && json_object_get(body, "lookup_from"))
        rc = akin_fail(err, AKIN_UNSUPPORTED, "akin has no `lookup_from`");
    if (outer) { /* which says what is shown */
        want.need_vectors = outer->need_vectors;
        want.attributes = outer->attributes;
        want.captions = outer->captions;
    }
    akin_http_want inner = want;
    if (!is_fusion(query)) inner.need_vectors = true; /* to score them anew */
    if (!rc && (json_is_array(prefetch) ? json_array_size(prefetch) > 0
                                        : json_is_object(prefetch)))
        rc = run_prefetches(call, prefetch, depth, &inner, rankings, &n, err);
    if (!rc) rc = run_kind(call, query, &want, rankings, n, hits, err);
    for (size_t i = 0; i < n; i++)
        akin__http_hits_clear(&rankings[i]);
    akin_buf_clear(&want.filter_text);
    json_decref(query);
    return rc;
}

akin_status akin__http_query_run(akin_http_call *call, const json_t *body,
                                 uint32_t limit, akin_http_hits *hits,
                                 akin_error *err)
{
    if (!json_is_object(body))
        return akin_fail(err, AKIN_INVALID, "expected an object, got %s",
                         akin_json_kind(body));
    call->searches = call->matches = 0;
    return run(call, body, limit, 0, NULL, hits, err);
}

/* ---- writing hits --------------------------------------------------------------------- */

static void write_space_score(akin_buf *out, const char *name, float score,
                              bool *first)
{
    if (isnan(score)) return;
    akin_buf_printf(out, "%s\"%s\":", *first ? "" : ",", name);
    akin_json_float(out, score);
    *first = false;
}

static void write_details(akin_buf *out, const akin_match *match)
{
    bool first = true;

    akin_buf_text(out, ",\"caption\":");
    akin_json_text(out, match->match_caption);
    akin_buf_text(out, ",\"scores\":{");
    write_space_score(out, "image", match->image, &first);
    write_space_score(out, "caption", match->caption, &first);
    akin_buf_text(out, "}");
}

akin_status akin__http_hits_write(akin_http_call *call, const json_t *body,
                                  bool payload, const akin_http_hits *hits,
                                  akin_error *err)
{
    akin_http_selection selection;
    akin_http_vectors vectors;
    bool details = false;
    akin_buf *out = &call->out;

    akin_status rc = akin__http_selection_read(
        json_object_get(body, "with_payload"), payload, &selection, err);
    if (!rc) rc = akin__http_vectors_read(body, &vectors, err);
    if (!rc) rc = akin_json_get_bool(body, "with_details", &details, err);
    if (!rc) akin_buf_text(out, "[");
    for (size_t i = 0; !rc && i < hits->n; i++) {
        const akin_match *match = hits->hits[i].match;
        akin_buf_text(out, i ? ",{\"id\":" : "{\"id\":");
        akin__http_id_write(out, match->id);
        akin_buf_text(out, ",\"version\":0,\"score\":");
        akin_json_float(out, (float)hits->hits[i].score);
        if (selection.any) {
            akin_buf_text(out, ",\"payload\":");
            akin__http_payload_write(out, match->attributes, &selection);
        }
        if (vectors.any)
            rc = akin__http_vectors_write(call, call->params[0], match->id,
                                          &vectors, err);
        if (details) write_details(out, match);
        akin_buf_text(out, "}");
    }
    akin_buf_text(out, "]");
    return rc;
}

/* ---- routes ------------------------------------------------------------------------------ */

static akin_status answer(akin_http_call *call, const json_t *body,
                          akin_error *err)
{
    akin_http_hits hits = {0};
    akin_status rc = akin__http_query_run(call, body, 10, &hits, err);

    if (!rc) rc = akin__http_hits_write(call, body, false, &hits, err);
    akin__http_hits_clear(&hits);
    return rc;
}

/* Without a question /points/query shows points as they come. */
static bool is_listing(const json_t *body)
{
    const json_t *query = json_object_get(body, "query");

    if (json_object_get(query, "sample") || json_object_get(query, "order_by"))
        return !json_object_get(body, "prefetch");
    return (!query || json_is_null(query)) &&
           !json_object_get(body, "prefetch");
}

static akin_status answer_query(akin_http_call *call, const json_t *body,
                                akin_error *err)
{
    akin_status rc;

    akin_buf_text(&call->out, "{\"points\":");
    if (is_listing(body))
        rc = akin__http_list_points(call, body, err);
    else
        rc = answer(call, body, err);
    akin_buf_text(&call->out, "}");
    return rc;
}

typedef akin_status answerer(akin_http_call *call, const json_t *body,
                             akin_error *err);

static akin_status answer_one(akin_http_call *call, answerer *one,
                              akin_error *err)
{
    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    return rc ? rc : one(call, call->json, err);
}

static akin_status answer_batch(akin_http_call *call, answerer *one,
                                akin_error *err)
{
    json_t *searches, *body;
    size_t i;

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc)
        rc = akin_json_get(call->json, "searches", JSON_ARRAY, &searches, err);
    if (!rc && json_array_size(searches) > MAX_BATCH)
        rc = akin_fail(err, AKIN_INVALID, "`searches`: at most %d", MAX_BATCH);
    if (rc) return rc;
    akin_buf_text(&call->out, "[");
    json_array_foreach(searches, i, body)
    {
        if (i) akin_buf_text(&call->out, ",");
        rc = one(call, body, err);
        if (rc) return akin_fail_prefix(err, rc, "search %zu", i);
    }
    akin_buf_text(&call->out, "]");
    return AKIN_OK;
}

akin_status akin__http_query_points(akin_http_call *call, akin_error *err)
{
    return answer_one(call, answer_query, err);
}

akin_status akin__http_query_batch(akin_http_call *call, akin_error *err)
{
    return answer_batch(call, answer_query, err);
}

akin_status akin__http_search_points(akin_http_call *call, akin_error *err)
{
    return answer_one(call, answer, err);
}

akin_status akin__http_search_batch(akin_http_call *call, akin_error *err)
{
    return answer_batch(call, answer, err);
}
