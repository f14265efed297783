/* Points as they come: scroll, count, random samples. Ids are in bytewise order
 * of their text, so that 10 comes before 9: a page's order is stable, which is
 * what scrolling needs. */
#include "http_handlers.h"
#include "http_query.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    akin_http_selection selection;
    akin_http_vectors vectors;
    bool details;
} shown;

static akin_status read_shown(const json_t *body, bool payload, shown *out,
                              akin_error *err)
{
    out->details = false;
    akin_status rc = akin__http_selection_read(
        json_object_get(body, "with_payload"), payload, &out->selection, err);
    if (!rc) rc = akin__http_vectors_read(body, &out->vectors, err);
    if (!rc) rc = akin_json_get_bool(body, "with_details", &out->details, err);
    return rc;
}

/* [record, ...]; an item that was removed meanwhile is left out. scored: with
 * the version and score of a scored point. */
static akin_status write_records(akin_http_call *call, const akin_ids *ids,
                                 size_t n, const shown *s, bool scored,
                                 akin_error *err)
{
    akin_buf *out = &call->out;
    akin_status rc = AKIN_OK;
    bool first = true;

    akin_buf_text(out, "[");
    for (size_t i = 0; !rc && i < n; i++) {
        size_t before = out->size;
        if (!first) akin_buf_text(out, ",");
        rc = akin__http_record_write(call, akin_span_of(ids->ids[i]),
                                     &s->selection, &s->vectors, s->details,
                                     err);
        if (rc == AKIN_NOT_FOUND) {
            out->size = before;
            rc = AKIN_OK;
            continue;
        }
        first = false;
        if (scored && !rc && !out->failed) {
            out->size--; /* into the record, before its brace */
            akin_buf_text(out, ",\"version\":0,\"score\":0}");
        }
    }
    akin_buf_text(out, "]");
    return rc;
}

/* Ids from `offset` (an id, may be NULL) on that pass the filter. */
static akin_status range_ids(akin_http_call *call, const json_t *body,
                             const json_t *offset, size_t limit, akin_ids *out,
                             akin_error *err)
{
    akin_range range = {.limit = limit};
    akin_buf text = {0};
    char *start = NULL;

    akin_status rc = akin__http_filter_read(json_object_get(body, "filter"),
                                            &text, &range.filter, err);
    if (!rc && offset && !json_is_null(offset))
        rc = akin__http_id(offset, &start, err);
    range.start = akin_span_of(start);
    if (!rc)
        rc = akin_engine_range(call->engine, call->params[0], &range, out, err);
    akin_free(start);
    akin_buf_clear(&text);
    return rc;
}

akin_status akin__http_scroll(akin_http_call *call, akin_error *err)
{
    const json_t *body = call->json;
    akin_ids ids = {0};
    uint64_t limit = 10;
    shown s;

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc)
        rc = akin_json_get_uint(body, "limit", 1, AKIN_QUERY_MAX_K - 1, &limit,
                                err);
    if (!rc && json_object_get(body, "order_by") &&
        !json_is_null(json_object_get(body, "order_by")))
        rc = akin_fail(err, AKIN_UNSUPPORTED, "akin has no `order_by`");
    if (!rc) rc = read_shown(body, true, &s, err);
    if (!rc)
        rc = range_ids(call, body, json_object_get(body, "offset"), limit + 1,
                       &ids, err);
    if (!rc) {
        akin_buf_text(&call->out, "{\"points\":");
        rc = write_records(call, &ids, ids.n > limit ? limit : ids.n, &s, false,
                           err);
        akin_buf_text(&call->out, ",\"next_page_offset\":");
        if (ids.n > limit)
            akin__http_id_write(&call->out, ids.ids[limit]);
        else
            akin_buf_text(&call->out, "null");
        akin_buf_text(&call->out, "}");
    }
    akin_ids_clear(&ids);
    return rc;
}

akin_status akin__http_list_points(akin_http_call *call, const json_t *body,
                                   bool random, akin_error *err)
{
    uint64_t limit = 10, offset = 0;
    akin_ids ids = {0};
    shown s;

    akin_status rc =
        akin_json_get_uint(body, "limit", 1, AKIN_QUERY_MAX_K, &limit, err);
    if (!rc)
        rc = akin_json_get_uint(body, "offset", 0, AKIN_QUERY_MAX_K - limit,
                                &offset, err);
    if (!rc) rc = read_shown(body, false, &s, err);
    if (!rc && random && json_object_size(json_object_get(body, "filter")))
        rc = akin_fail(err, AKIN_UNSUPPORTED,
                       "`sample`: akin samples without a filter only");
    if (!rc && random)
        rc = akin_engine_random(call->engine, call->params[0], limit, true,
                                &ids, err);
    else if (!rc)
        rc = range_ids(call, body, NULL, limit + offset, &ids, err);
    if (!rc) {
        akin_ids rest = ids;
        size_t skip = random ? 0 : offset < ids.n ? offset : ids.n;
        rest.ids += skip;
        rc = write_records(call, &rest, ids.n - skip, &s, true, err);
    }
    akin_ids_clear(&ids);
    return rc;
}

akin_status akin__http_count(akin_http_call *call, akin_error *err)
{
    akin_filter filter = {0};
    akin_buf text = {0};
    uint64_t count = 0;

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc)
        rc = akin__http_filter_read(json_object_get(call->json, "filter"),
                                    &text, &filter, err);
    if (!rc)
        rc = akin_engine_count(call->engine, call->params[0], filter, &count,
                               err);
    if (!rc) akin_buf_printf(&call->out, "{\"count\":%" PRIu64 "}", count);
    akin_buf_clear(&text);
    return rc;
}
