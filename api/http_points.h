/* Points in requests and replies: shared by the handlers that put, change,
 * find and show them. */
#ifndef AKIN_API_HTTP_POINTS_H
#define AKIN_API_HTTP_POINTS_H

#include "http_internal.h"

/* ---- http_payload.c ------------------------------------------------------- */

/* "with_payload": true, false, [names], {"include"}, {"exclude"}. Borrows from
 * the body. */
typedef struct {
    bool any;
    const json_t *include, *exclude;
} akin_http_selection;

akin_status akin__http_selection_read(const json_t *value, bool fallback,
                                      akin_http_selection *out,
                                      akin_error *err) AKIN_MUST_CHECK;
/* Appends the chosen part of attributes (JSON text; NULL: none). */
void akin__http_payload_write(akin_buf *out, const char *attributes,
                              const akin_http_selection *selection);

/* Calls page for the points that a body names by "points" or "filter", at most
 * HTTP_IDS or 1,000 a page. */
typedef akin_status akin_http_page(void *user, const akin_span *ids, size_t n,
                                   akin_error *err);
akin_status akin__http_each_point(akin_http_call *call, const json_t *body,
                                  akin_http_page *page, void *user,
                                  akin_error *err) AKIN_MUST_CHECK;

/* Changes that a body describes, for a route of their own and in a batch. The
 * collection is call->params[0]. */
typedef akin_status akin_http_change(akin_http_call *call, const json_t *body,
                                     akin_error *err);
akin_http_change akin__http_payload_set, akin__http_payload_overwrite,
    akin__http_payload_delete, akin__http_payload_clear; /* http_payload.c */
akin_http_change akin__http_upsert, akin__http_delete;   /* http_points.c */

/* ---- http_points.c -------------------------------------------------------- */

/* AKIN_NOT_FOUND in Qdrant's words when there is no such collection. */
akin_status akin__http_check_collection(akin_http_call *call,
                                        const char *collection,
                                        akin_error *err) AKIN_MUST_CHECK;

/* One point as read; clear also after a failure. Borrows from the JSON. */
typedef struct {
    akin_item_input input;
    char *id;
    float *vector;
    akin_buf picture, attributes;
} akin_http_point;

akin_status akin__http_point_read(const json_t *value, akin_http_point *out,
                                  akin_error *err) AKIN_MUST_CHECK;
void akin__http_point_clear(akin_http_point *point);
/* The bytes of an "image" member: base64, a data URL, not a link. */
akin_status akin__http_picture_read(const json_t *value, akin_buf *out,
                                    akin_error *err) AKIN_MUST_CHECK;

/* "with_vector": true, false, [names of spaces]. */
typedef struct {
    bool any, named, image, caption;
} akin_http_vectors;
akin_status akin__http_vectors_read(const json_t *body, akin_http_vectors *out,
                                    akin_error *err) AKIN_MUST_CHECK;
/* Appends ,"vector":... of an item. */
akin_status akin__http_vectors_write(akin_http_call *call,
                                     const char *collection, const char *id,
                                     const akin_http_vectors *which,
                                     akin_error *err) AKIN_MUST_CHECK;
/* Appends a record {"id", "payload", "vector"}. AKIN_NOT_FOUND. */
akin_status akin__http_record_write(akin_http_call *call, akin_span id,
                                    const akin_http_selection *selection,
                                    const akin_http_vectors *vectors,
                                    bool details,
                                    akin_error *err) AKIN_MUST_CHECK;

/* ---- http_filter.c -------------------------------------------------------- */

/* Turns a filter (Qdrant's object, or akin's expression as a string; NULL or
 * null: none) into the engine's. text holds what out points to and is cleared
 * by the caller. */
akin_status akin__http_filter_read(const json_t *value, akin_buf *text,
                                   akin_filter *out,
                                   akin_error *err) AKIN_MUST_CHECK;

#endif
