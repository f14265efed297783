/* Questions: what a request asks for, and the hits that answer it. */
#ifndef AKIN_API_HTTP_QUERY_H
#define AKIN_API_HTTP_QUERY_H

#include "http_points.h"

/* ---- terms (http_terms.c) --------------------------------------------------- */

/* Parts of a question with the memory they point to. Start from {0}; clear also
 * after a failure. */
typedef struct {
    akin_query_term terms[AKIN_QUERY_MAX_TERMS];
    size_t n;
    void *owned[AKIN_QUERY_MAX_TERMS]; /* ids, vectors, pictures */
} akin_http_terms;

void akin__http_terms_clear(akin_http_terms *terms);
/* Adds a vector, an id, {"text"}, {"image"}, {"id"} or {"vector"}, with its
 * "weight" times `weight`. Borrows from the JSON. */
akin_status akin__http_terms_add(akin_http_terms *terms, const json_t *value,
                                 double weight,
                                 akin_error *err) AKIN_MUST_CHECK;
/* Adds each of an array (or the one value), the weights sharing `weight`. */
akin_status akin__http_terms_add_all(akin_http_terms *terms,
                                     const json_t *values, double weight,
                                     akin_error *err) AKIN_MUST_CHECK;
/* The unit vector of one term, for akin_free. */
akin_status akin__http_term_vector(akin_http_call *call, const char *collection,
                                   const akin_query_term *term,
                                   akin_query_space space, float **out,
                                   uint32_t *dim,
                                   akin_error *err) AKIN_MUST_CHECK;

/* ---- hits (http_search.c) ----------------------------------------------------- */

typedef struct {
    const akin_match *match; /* of one of results */
    double score;
} akin_http_hit;

/* Start from {0}; clear also after a failure. */
typedef struct {
    akin_http_hit *hits;
    size_t n, capacity;
    akin_results *results; /* (nresults), what the hits point into */
    size_t nresults, result_capacity;
} akin_http_hits;

void akin__http_hits_clear(akin_http_hits *hits);
akin_status akin__http_hits_add(akin_http_hits *hits, const akin_match *match,
                                double score, akin_error *err) AKIN_MUST_CHECK;
/* Best first; of one score by id. */
void akin__http_hits_sort(akin_http_hits *hits);
/* Moves the results of `from` over, so that its matches live on; `from` keeps
 * nothing. */
akin_status akin__http_hits_adopt(akin_http_hits *hits, akin_http_hits *from,
                                  akin_error *err) AKIN_MUST_CHECK;

#define AKIN_HTTP_MOST_MATCHES 100000 /* of all searches of one question */

/* What one question wants beside its terms. */
typedef struct {
    akin_query_space space;
    uint32_t limit, offset;
    akin_filter filter;
    akin_buf filter_text;
    bool exact, has_threshold, need_vectors, include_self;
    bool attributes, captions; /* are shown */
    double threshold;
    uint32_t nprobe;
    float recall;
} akin_http_want;

/* Reads limit, offset, filter, score_threshold, params, using. Clear the
 * filter_text. */
akin_status akin__http_want_read(const json_t *body, uint32_t limit,
                                 akin_http_want *out,
                                 akin_error *err) AKIN_MUST_CHECK;
/* AKIN_TIMEOUT when the request has had its time. A server that stops lets it
 * have that. */
akin_status akin__http_check_time(const akin_http_call *call,
                                  akin_error *err) AKIN_MUST_CHECK;
/* Searches for the terms and adds what it finds, in what is left of the
 * request's time. AKIN_INVALID when one question asks for more searches or
 * matches than are made for it. */
akin_status akin__http_search_terms(akin_http_call *call,
                                    const char *collection,
                                    const akin_http_terms *terms,
                                    const akin_http_want *want,
                                    akin_http_hits *hits,
                                    akin_error *err) AKIN_MUST_CHECK;

/* ---- strategies (http_strategies.c) ---------------------------------------------- */

/* {"positive", "negative", "strategy"} of recommend. */
akin_status akin__http_recommend(akin_http_call *call, const char *collection,
                                 const json_t *spec, const akin_http_want *want,
                                 akin_http_hits *hits,
                                 akin_error *err) AKIN_MUST_CHECK;
/* {"target", "context": [{"positive", "negative"}]}; without a target: context.
 */
akin_status akin__http_discover(akin_http_call *call, const char *collection,
                                const json_t *target, const json_t *context,
                                const akin_http_want *want,
                                akin_http_hits *hits,
                                akin_error *err) AKIN_MUST_CHECK;
/* Scores hits by their vectors' cosine with the weighted sum of the terms. */
akin_status akin__http_rescore(akin_http_call *call, const char *collection,
                               const akin_http_terms *terms,
                               const akin_http_want *want, akin_http_hits *hits,
                               akin_error *err) AKIN_MUST_CHECK;
/* Fuses n rankings into out, best first: "rrf" (with its k and weights) or
 * "dbsf". */
akin_status akin__http_fuse(akin_http_hits *rankings, size_t n,
                            const json_t *query, akin_http_hits *out,
                            akin_error *err) AKIN_MUST_CHECK;

/* ---- universal query (http_query.c) -------------------------------------------------- */

/* Answers one body of /points/query. */
akin_status akin__http_query_run(akin_http_call *call, const json_t *body,
                                 uint32_t limit, akin_http_hits *hits,
                                 akin_error *err) AKIN_MUST_CHECK;
/* Appends [{"id", "version", "score", "payload", "vector"}, ...]. */
akin_status akin__http_hits_write(akin_http_call *call, const json_t *body,
                                  bool payload, const akin_http_hits *hits,
                                  akin_error *err) AKIN_MUST_CHECK;

/* ---- http_scroll.c ----------------------------------------------------------- */

/* Appends an array of points with score 0: in the order of their ids, or of a
 * field ({"query": {"order_by": ...}}), or random ones ({"sample": "random"}).
 */
akin_status akin__http_list_points(akin_http_call *call, const json_t *body,
                                   akin_error *err) AKIN_MUST_CHECK;

#endif
