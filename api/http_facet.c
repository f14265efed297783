/* Counts for those who choose a filter: values of a field, names of fields. */
#include "http_handlers.h"
#include "http_points.h"

#include <inttypes.h>

#define FIELDS 64

/* {"key": "color", "limit": 10, "filter": ...} */
akin_status akin__http_facet(akin_http_call *call, akin_error *err)
{
    akin_filter filter = {0};
    akin_facet facet = {0};
    akin_buf text = {0};
    uint64_t limit = 10;
    const char *key = NULL;

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc) rc = akin_json_get_text(call->json, "key", &key, err);
    if (!rc && !key)
        rc = akin_fail(err, AKIN_INVALID,
                       "Validation error in JSON body: `key` is missing");
    if (!rc) rc = akin_json_get_uint(call->json, "limit", 1, 1000, &limit, err);
    if (!rc)
        rc = akin__http_filter_read(json_object_get(call->json, "filter"),
                                    &text, &filter, err);
    if (!rc)
        rc = akin_engine_facet(call->engine, call->params[0], key, filter,
                               (uint32_t)limit, &facet, err);
    akin_buf_text(&call->out, "{\"hits\":[");
    for (size_t i = 0; !rc && i < facet.n; i++)
        akin_buf_printf(&call->out, "%s{\"value\":%s,\"count\":%" PRIu64 "}",
                        i ? "," : "", facet.rows[i].text, facet.rows[i].count);
    akin_buf_text(&call->out, "]}");
    akin_facet_clear(&facet);
    akin_buf_clear(&text);
    return rc;
}

akin_status akin__http_fields(akin_http_call *call, akin_error *err)
{
    akin_facet facet = {0};

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc)
        rc = akin_engine_attributes(call->engine, call->params[0], FIELDS,
                                    &facet, err);
    akin_buf_text(&call->out, "{\"fields\":[");
    for (size_t i = 0; !rc && i < facet.n; i++) {
        akin_buf_text(&call->out, i ? ",{\"name\":" : "{\"name\":");
        akin_json_text(&call->out, facet.rows[i].text);
        akin_buf_printf(&call->out, ",\"type\":\"%s\",\"sampled\":%" PRIu64 "}",
                        facet.rows[i].type, facet.rows[i].count);
    }
    akin_buf_text(&call->out, "]}");
    akin_facet_clear(&facet);
    return rc;
}
