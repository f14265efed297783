/* One request on its worker: parse the body, run the handler, close the
 * envelope. Replies look like Qdrant's:
 *
 *     {"result": ..., "status": "ok", "time": 0.0012}
 *     {"status": {"error": "..."}, "time": 0.0001} */
#include "http_internal.h"

#include <string.h>
#include <unistd.h>

#define REPLY_BYTES (256u << 20) /* the largest reply */

static double seconds(const akin_http_call *call)
{
    uint64_t from = call->ready_ns ? call->ready_ns : call->started_ns;
    return (double)(akin_mono_ns() - from) / 1e9;
}

static void drop_reply(akin_http_call *call)
{
    akin_buf_clear(&call->out);
    call->out = (akin_buf){0};
    atomic_fetch_sub(&call->http->told_bytes, call->told_bytes);
    call->told_bytes = 0;
}

void akin__http_fail(akin_http_call *call, akin_status rc,
                     const akin_error *err)
{
    call->failed = true;
    call->status = call->allow[0] ? 405 : (unsigned)akin_status_http(rc);
    call->type = NULL;
    call->cache = NULL;
    call->etag[0] = 0;
    call->gzipped = false;
    call->disposition[0] = 0;
    if (call->file >= 0) close(call->file);
    call->file = -1;
    call->constant = (akin_span){0};
    drop_reply(call);
    akin_buf_text(&call->out, "{\"status\":{\"error\":");
    akin_json_text(&call->out, err->message);
    akin_buf_printf(&call->out, "},\"time\":%.9f}", seconds(call));
}

static akin_status parse_body(akin_http_call *call, akin_error *err)
{
    if (!call->body.size) {
        call->json = json_object();
        return call->json ? AKIN_OK
                          : akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    akin_status rc = akin_json_parse(
        (akin_span){call->body.data, call->body.size}, &call->json, err);
    if (rc) return rc;
    if (json_is_object(call->json)) return AKIN_OK;
    return akin_fail(err, AKIN_INVALID,
                     "Format error in JSON body: expected an object, got %s",
                     akin_json_kind(call->json));
}

void akin__http_run(akin_http_call *call)
{
    akin_error err = {0};
    akin_status rc = AKIN_OK;
    unsigned flags = call->route->flags;

    call->out.limit = REPLY_BYTES;
    call->deadline_ns =
        akin_mono_ns() + (uint64_t)call->http->options.timeout_ms * 1000000;
    if (flags & HTTP_JSON) rc = parse_body(call, &err);
    if (!rc && !(flags & HTTP_RAW)) akin_buf_text(&call->out, "{\"result\":");
    if (!rc) rc = call->route->run(call, &err);
    if (!rc && !(flags & HTTP_RAW))
        akin_buf_printf(&call->out, ",\"status\":\"ok\",\"time\":%.9f}",
                        seconds(call));
    if (!rc && call->out.failed)
        rc = akin_fail(&err, AKIN_TOO_LARGE,
                       "the reply would be larger than %u bytes", REPLY_BYTES);
    if (!rc && flags & HTTP_AUDIT) akin__http_audit(call);
    if (rc)
        akin__http_fail(call, rc, &err);
    else if (!(flags & HTTP_LOOP) && !call->more)
        akin__http_gzip(call);
}

void akin__http_call_free(akin_http_call *call)
{
    if (call->state_free) call->state_free(call->state);
    if (call->form) MHD_destroy_post_processor(call->form);
    if (call->file >= 0) close(call->file);
    json_decref(call->json);
    akin_buf_clear(&call->body);
    drop_reply(call);
    akin_free(call->target);
    akin_free(call);
}
