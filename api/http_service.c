/* What watches a server asks for: alive, ready, metrics. */
#include "http_handlers.h"

#include <string.h>

akin_status akin__http_healthz(akin_http_call *call, akin_error *err)
{
    (void)err;
    call->type = "text/plain; charset=utf-8";
    akin_buf_text(&call->out, "healthz check passed\n");
    return AKIN_OK;
}

/* Ready: a worker was free to come here, the database answers, and the server
 * is not about to stop. */
akin_status akin__http_readyz(akin_http_call *call, akin_error *err)
{
    akin_collection_info *list = NULL;
    size_t n;

    if (atomic_load(&call->service->stopping))
        return akin_fail(err, AKIN_BUSY, "the server is stopping");
    akin_status rc = akin_engine_list(call->engine, &list, &n, err);
    akin_free(list);
    if (rc) return rc;
    call->type = "text/plain; charset=utf-8";
    akin_buf_text(&call->out, "all shards are ready\n");
    return AKIN_OK;
}

akin_status akin__http_metrics(akin_http_call *call, akin_error *err)
{
    (void)err;
    call->type = "text/plain; version=0.0.4; charset=utf-8";
    akin_metrics_write(call->service, &call->http->stats, &call->out);
    return AKIN_OK;
}
