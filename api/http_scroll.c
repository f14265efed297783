/* Points as they come or in the order of a field: scroll, count, random samples.
 * Ids are in bytewise order of their text, so that 10 comes before 9: a page's
 * order is stable, which is what scrolling needs. */
#include "http_handlers.h"
#include "http_query.h"

#include <inttypes.h>
#include <math.h>
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

/* ,"order_value": of the i-th; times in microseconds, as Qdrant has them. */
static void write_order_value(akin_buf *out, const akin_ordered *ordered,
                              size_t i)
{
    double value = ordered->values[i] * (ordered->times[i] ? 1000 : 1);

    akin_buf_text(out, ",\"order_value\":");
    if (fabs(value) < 9007199254740992 && floor(value) == value)
        akin_buf_printf(out, "%" PRId64, (int64_t)value);
    else
        akin_json_double(out, value);
}

/* [record, ...]; an item that was removed meanwhile is left out. scored: with
 * the version and score of a scored point. ordered: whose ids these are, or
 * NULL. */
static akin_status write_records(akin_http_call *call, const akin_ids *ids,
                                 size_t n, const shown *s, bool scored,
                                 const akin_ordered *ordered, akin_error *err)
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
        if (rc || out->failed) continue;
        out->size--; /* into the record, before its brace */
        if (scored) akin_buf_text(out, ",\"version\":0,\"score\":0");
        if (ordered) write_order_value(out, ordered, i);
        akin_buf_text(out, "}");
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

/* "price", or {"key": "price", "direction": "desc", "start_from": 10}. The
 * start, as text, is put into `start`. */
static akin_status read_order(const json_t *spec, akin_order *out,
                              akin_buf *start, akin_error *err)
{
    const json_t *from = json_object_get(spec, "start_from");
    const char *direction = "asc";
    akin_status rc = AKIN_OK;

    out->attribute = json_string_value(spec);
    if (json_is_object(spec)) {
        rc = akin_json_get_text(spec, "key", &out->attribute, err);
        if (!rc) rc = akin_json_get_text(spec, "direction", &direction, err);
    }
    if (!rc && (!out->attribute || !*out->attribute))
        rc = akin_fail(err, AKIN_INVALID,
                       "`order_by`: expected the name of a field, or {\"key\", "
                       "\"direction\", \"start_from\"}, got %s",
                       akin_json_kind(spec));
    if (!rc && strcmp(direction, "asc") && strcmp(direction, "desc"))
        rc = akin_fail(err, AKIN_INVALID,
                       "`order_by`: `direction`: expected asc or desc, got "
                       "%.60s",
                       direction);
    if (rc || !from || json_is_null(from)) goto done;
    if (json_string_length(from))
        akin_buf_text(start, json_string_value(from));
    else if (json_is_number(from))
        akin_json_value(start, from);
    else
        rc = akin_fail(err, AKIN_INVALID,
                       "`start_from`: expected a number or a date and time, "
                       "got %s",
                       akin_json_kind(from));
    out->start = (akin_span){start->data, start->size};

done:
    out->descending = *direction == 'd';
    return rc;
}

/* The first `limit` in the order of a field. */
static akin_status ordered_points(akin_http_call *call, const json_t *body,
                                  const json_t *spec, size_t limit,
                                  akin_ordered *out, akin_error *err)
{
    akin_order order = {.limit = limit};
    akin_buf text = {0}, start = {0};

    akin_status rc = read_order(spec, &order, &start, err);
    if (!rc)
        rc = akin__http_filter_read(json_object_get(body, "filter"), &text,
                                    &order.filter, err);
    if (!rc)
        rc = akin_engine_order(call->engine, call->params[0], &order, out, err);
    akin_buf_clear(&text);
    akin_buf_clear(&start);
    return rc;
}

/* There is no next page: whoever wants one says where it starts. */
static akin_status scroll_ordered(akin_http_call *call, const json_t *spec,
                                  size_t limit, const shown *s, akin_error *err)
{
    const json_t *offset = json_object_get(call->json, "offset");
    akin_ordered ordered = {0};

    if (offset && !json_is_null(offset))
        return akin_fail(err, AKIN_INVALID,
                         "Wrong input: Cannot use an `offset` when using "
                         "`order_by`. The alternative for paging is to use "
                         "`order_by.start_from` and a filter to exclude the "
                         "IDs that you've already seen for the "
                         "`order_by.start_from` value");
    akin_status rc =
        ordered_points(call, call->json, spec, limit, &ordered, err);
    if (!rc) {
        akin_buf_text(&call->out, "{\"points\":");
        rc = write_records(call, &ordered.ids, ordered.ids.n, s, false,
                           &ordered, err);
        akin_buf_text(&call->out, ",\"next_page_offset\":null}");
    }
    akin_ordered_clear(&ordered);
    return rc;
}

akin_status akin__http_scroll(akin_http_call *call, akin_error *err)
{
    const json_t *body = call->json;
    const json_t *order = json_object_get(body, "order_by");
    akin_ids ids = {0};
    uint64_t limit = 10;
    shown s;

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc)
        rc = akin_json_get_uint(body, "limit", 1, AKIN_QUERY_MAX_K - 1, &limit,
                                err);
    if (!rc) rc = read_shown(body, true, &s, err);
    if (!rc && order && !json_is_null(order))
        return scroll_ordered(call, order, limit, &s, err);
    if (!rc)
        rc = range_ids(call, body, json_object_get(body, "offset"), limit + 1,
                       &ids, err);
    if (!rc) {
        akin_buf_text(&call->out, "{\"points\":");
        rc = write_records(call, &ids, ids.n > limit ? limit : ids.n, &s, false,
                           NULL, err);
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
                                   akin_error *err)
{
    const json_t *query = json_object_get(body, "query");
    const json_t *order = json_object_get(query, "order_by");
    bool random = json_object_get(query, "sample") != NULL;
    uint64_t limit = 10, offset = 0;
    akin_ordered ordered = {0};
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
    else if (!rc && order)
        rc = ordered_points(call, body, order, limit + offset, &ordered, err);
    else if (!rc)
        rc = range_ids(call, body, NULL, limit + offset, &ids, err);
    if (!rc) {
        akin_ordered from = ordered;
        akin_ids rest = order ? ordered.ids : ids;
        size_t skip = random ? 0 : offset < rest.n ? offset : rest.n;
        rest.ids += skip;
        from.values += order ? skip : 0;
        from.times += order ? skip : 0;
        rc = write_records(call, &rest, rest.n - skip, &s, true,
                           order ? &from : NULL, err);
    }
    akin_ids_clear(&ids);
    akin_ordered_clear(&ordered);
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
