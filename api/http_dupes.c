/* Groups of duplicates to review, pairs that are none, and keeping one of a
 * group: the other points go, no file is touched. */
#include "http_handlers.h"
#include "http_points.h"

#include <inttypes.h>
#include <string.h>

static akin_status read_query(const json_t *body, akin_dupe_query *q,
                              akin_error *err)
{
    const char *level = NULL;
    uint64_t limit = 20;

    akin_status rc = akin_json_get_text(body, "level", &level, err);
    if (!rc)
        rc = akin_json_get_uint(body, "limit", 1, AKIN_DUPES_MAX, &limit, err);
    if (!rc)
        rc = akin_json_get_uint(body, "cursor", 0, INT64_MAX, &q->cursor, err);
    q->count = (uint32_t)limit;
    q->level = AKIN_LEVEL_NEAR;
    if (!rc && level && !akin_level_parse(level, &q->level))
        rc = akin_fail(err, AKIN_INVALID,
                       "`level`: expected exact, near or similar, got %.40s",
                       level);
    return rc;
}

/* Appends ,"name": and leaves the value to the caller. */
static void name(akin_buf *out, const char *text)
{
    akin_buf_printf(out, ",\"%s\":", text);
}

/* How a member compares with the one beside it. */
static void write_evidence(akin_buf *out, const akin_dupe_group *g,
                           const akin_dupe_member *m)
{
    name(out, "beside");
    akin__http_id_write(out, g->members[m->beside].item.id);
    name(out, "level");
    akin_json_text(out, akin_level_text(m->level));
    name(out, "same");
    akin_json_text(out, m->same_bytes    ? "bytes"
                        : m->same_pixels ? "pixels"
                                         : NULL);
    if (m->distance != UINT32_MAX) {
        name(out, "distance");
        akin_buf_printf(out, "%u", m->distance);
    }
    name(out, "similarity");
    akin_json_float(out, m->similarity);
    name(out, "cosine");
    akin_json_float(out, m->cosine);
    name(out, "turn");
    akin_buf_printf(out, "%u", m->turn);
}

static void write_member(akin_buf *out, const akin_dupe_group *g, size_t i)
{
    const akin_dupe_member *m = &g->members[i];
    const akin_item_info *item = &m->item;

    akin_buf_text(out, "{\"id\":");
    akin__http_id_write(out, item->id);
    name(out, "keep");
    akin_buf_text(out, i == g->keep ? "true" : "false");
    name(out, "format");
    akin_json_text(out, item->format);
    akin_buf_printf(out,
                    ",\"width\":%u,\"height\":%u,\"bytes\":%" PRIu64
                    ",\"modified_ms\":%" PRId64 ",\"added_ms\":%" PRId64,
                    item->width, item->height, item->picture_bytes,
                    item->modified_ms, item->added_ms);
    if (m->beside != i) write_evidence(out, g, m);
    akin_buf_text(out, "}");
}

static void write_group(akin_buf *out, const akin_dupe_group *g)
{
    akin_buf_printf(out,
                    "{\"level\":\"%s\",\"keep\":", akin_level_text(g->level));
    akin__http_id_write(out, g->members[g->keep].item.id);
    name(out, "why");
    akin_json_text(out, g->why);
    name(out, "members");
    for (size_t i = 0; i < g->n; i++) {
        akin_buf_text(out, i ? "," : "[");
        write_member(out, g, i);
    }
    akin_buf_text(out, "]}");
}

/* {"level": "near", "limit": 20, "cursor": 0} */
akin_status akin__http_duplicates(akin_http_call *call, akin_error *err)
{
    akin_dupe_query query = {0};
    akin_dupe_page page = {0};

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc) rc = read_query(call->json, &query, err);
    if (!rc)
        rc = akin_engine_dupes(call->engine, call->params[0], &query, &page,
                               err);
    if (rc) return rc;
    akin_buf_printf(&call->out,
                    "{\"cursor\":%" PRIu64 ",\"pending\":%" PRIu64
                    ",\"groups\":[",
                    page.cursor, page.pending);
    for (size_t i = 0; i < page.n; i++) {
        if (i) akin_buf_text(&call->out, ",");
        write_group(&call->out, &page.groups[i]);
    }
    akin_buf_text(&call->out, "]}");
    akin_dupe_page_clear(&page);
    return AKIN_OK;
}

/* {"points": [1, 2], "undo": false} */
akin_status akin__http_dismiss(akin_http_call *call, akin_error *err)
{
    akin_http_ids ids = {0};
    bool undo = false;

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc) rc = akin_json_get_bool(call->json, "undo", &undo, err);
    if (!rc)
        rc = akin__http_ids_read(json_object_get(call->json, "points"), &ids,
                                 err);
    if (!rc)
        rc = akin_engine_dismiss(call->engine, call->params[0], ids.spans,
                                 ids.n, undo, err);
    akin__http_ids_clear(&ids);
    akin_buf_text(&call->out, "true");
    return rc;
}

/* {"keep": 1, "points": [2, 3], "merge": true} */
akin_status akin__http_keep(akin_http_call *call, akin_error *err)
{
    akin_http_ids ids = {0};
    akin_merge merged = {0};
    char *keep = NULL;
    bool merge = true;
    size_t removed = 0;

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc) rc = akin_json_get_bool(call->json, "merge", &merge, err);
    if (!rc)
        rc = akin__http_ids_read(json_object_get(call->json, "points"), &ids,
                                 err);
    if (!rc)
        rc = akin__http_id(json_object_get(call->json, "keep"), &keep, err);
    /* a dry run still says whether they are there, and others than `keep` */
    if (!rc)
        rc =
            akin_engine_merge(call->engine, call->params[0], akin_span_of(keep),
                              ids.spans, ids.n, !merge, &merged, err);
    if (!rc)
        rc = akin_engine_remove(call->engine, call->params[0], ids.spans, ids.n,
                                &removed, err);
    akin_buf_printf(&call->out, "{\"removed\":%zu,\"merged\":%s}", removed,
                    merge && merged.changed ? "true" : "false");
    akin_merge_clear(&merged);
    akin__http_ids_clear(&ids);
    akin_free(keep);
    return rc;
}
