/* Parts of a question. Where Qdrant takes a vector or an id, akin takes words
 * and pictures as well:
 *
 *     [0.1, 0.2, ...]   42   "shoes/41.jpg"
 *     {"text": "a red shoe"}   {"image": "<base64>"}   {"id": 42, "weight": -1}
 *
 * In /points/query a text alone is an id, as in Qdrant. */
#include "http_query.h"

#include <math.h>
#include <string.h>

void akin__http_terms_clear(akin_http_terms *terms)
{
    for (size_t i = 0; i < terms->n; i++)
        akin_free(terms->owned[i]);
    terms->n = 0;
}

static akin_status set_vector(akin_query_term *term, void **owned,
                              const json_t *value, akin_error *err)
{
    float *v = NULL;
    akin_status rc = akin_json_vector(value, &v, &term->dim, err);

    *owned = v;
    term->kind = AKIN_TERM_VECTOR;
    term->vector = v;
    return rc;
}

static akin_status set_id(akin_query_term *term, void **owned,
                          const json_t *value, akin_error *err)
{
    char *id = NULL;
    akin_status rc = akin__http_id(value, &id, err);

    *owned = id;
    term->kind = AKIN_TERM_ITEM;
    term->data = akin_span_of(id);
    return rc;
}

static akin_status set_picture(akin_query_term *term, void **owned,
                               const json_t *value, akin_error *err)
{
    akin_buf bytes = {0};
    akin_status rc = akin__http_picture_read(value, &bytes, err);

    *owned = bytes.data;
    term->kind = AKIN_TERM_PICTURE;
    term->data = (akin_span){bytes.data, bytes.size};
    return rc;
}

static akin_status set_text(akin_query_term *term, const json_t *value,
                            akin_error *err)
{
    if (!json_is_string(value) || !json_string_length(value))
        return akin_fail(
            err, AKIN_INVALID, "`text`: expected a text with words, got %s",
            json_is_string(value) ? "an empty one" : akin_json_kind(value));
    term->kind = AKIN_TERM_TEXT;
    term->data =
        (akin_span){json_string_value(value), json_string_length(value)};
    return AKIN_OK;
}

static akin_status set_object(akin_query_term *term, void **owned,
                              const json_t *value, akin_error *err)
{
    const json_t *text = json_object_get(value, "text");
    const json_t *image = json_object_get(value, "image");
    const json_t *id = json_object_get(value, "id");
    const json_t *vector = json_object_get(value, "vector");
    double weight = 1;

    akin_status rc = akin_json_get_real(value, "weight", &weight, err);
    if (rc) return rc;
    term->weight *= (float)weight;
    if (text) return set_text(term, text, err);
    if (image) return set_picture(term, owned, image, err);
    if (id) return set_id(term, owned, id, err);
    if (json_is_array(vector)) return set_vector(term, owned, vector, err);
    return akin_fail(err, AKIN_INVALID,
                     "expected a vector, an id, {\"text\": ...} or "
                     "{\"image\": ...}");
}

akin_status akin__http_terms_add(akin_http_terms *terms, const json_t *value,
                                 double weight, akin_error *err)
{
    if (terms->n == AKIN_QUERY_MAX_TERMS)
        return akin_fail(err, AKIN_INVALID,
                         "a question has at most %d vectors, ids, texts and "
                         "pictures",
                         AKIN_QUERY_MAX_TERMS);
    akin_query_term *term = &terms->terms[terms->n];
    void **owned = &terms->owned[terms->n++];
    *owned = NULL;
    *term = (akin_query_term){.weight = (float)weight};
    if (json_is_array(value)) return set_vector(term, owned, value, err);
    if (json_is_object(value)) return set_object(term, owned, value, err);
    return set_id(term, owned, value, err);
}

akin_status akin__http_terms_add_all(akin_http_terms *terms,
                                     const json_t *values, double weight,
                                     akin_error *err)
{
    size_t i, n = json_array_size(values);
    json_t *value;
    akin_status rc = AKIN_OK;

    if (!values || json_is_null(values)) return AKIN_OK;
    if (!json_is_array(values) || json_is_real(json_array_get(values, 0)))
        return akin_fail(err, AKIN_INVALID,
                         "expected an array of vectors and ids, got %s",
                         json_is_array(values) ? "an array of numbers"
                                               : akin_json_kind(values));
    json_array_foreach(values, i, value)
    {
        rc = akin__http_terms_add(terms, value, weight / (double)n, err);
        if (rc) break;
    }
    return rc;
}

static akin_status copy_vector(const akin_query_term *term, float **out,
                               uint32_t *dim, akin_error *err)
{
    *out = akin_alloc(term->dim * sizeof **out);
    *dim = term->dim;
    if (!*out) return akin_fail(err, AKIN_NOMEM, "out of memory");
    memcpy(*out, term->vector, term->dim * sizeof **out);
    if (akin_normalize(*out, term->dim)) return AKIN_OK;
    akin_free(*out);
    *out = NULL;
    return akin_fail(err, AKIN_INVALID,
                     "vector: expected finite numbers, not all zero");
}

akin_status akin__http_term_vector(akin_http_call *call, const char *collection,
                                   const akin_query_term *term,
                                   akin_query_space space, float **out,
                                   uint32_t *dim, akin_error *err)
{
    *out = NULL;
    switch (term->kind) {
    case AKIN_TERM_VECTOR: return copy_vector(term, out, dim, err);
    case AKIN_TERM_ITEM:
        return akin_engine_vector(call->engine, collection, term->data, space,
                                  out, dim, NULL, err);
    case AKIN_TERM_TEXT:
        return akin_engine_embed_text(call->engine, collection, term->data, out,
                                      dim, err);
    case AKIN_TERM_PICTURE: break;
    }
    return akin_engine_embed_picture(call->engine, collection, term->data, out,
                                     dim, err);
}
