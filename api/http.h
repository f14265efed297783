/* HTTP beside RESP: a REST interface in the shape of Qdrant's, the gallery
 * page, metrics. libmicrohttpd parses and writes; its epoll descriptor is
 * polled by the server's libuv loop, and requests run on the server's workers.
 * docs/http.md describes what clients see. */
#ifndef AKIN_API_HTTP_H
#define AKIN_API_HTTP_H

#include "metrics.h"

#include <uv.h>

typedef struct akin_http akin_http;

typedef struct {
    const char *host;      /* numeric address; NULL: 127.0.0.1 */
    uint16_t port;         /* 0: any free one */
    const char *password;  /* NULL or empty: none is asked for */
    size_t body_bytes;     /* largest body of a request; 0: 64 MiB */
    uint32_t connections;  /* at once; 0: 512 */
    uint32_t idle_s;       /* a silent connection is closed; 0: 60 */
    uint32_t timeout_ms;   /* of one search; 0: 30,000 */
    uint32_t slow_ms;      /* log requests that took longer; 0: never */
    akin_metrics *metrics; /* may be NULL; outlives the akin_http */
} akin_http_options;

/* Listens. loop, engine, workers outlive the akin_http; options are copied.
 * Loop thread. Fails with AKIN_INVALID (host), AKIN_IO (the port is taken). */
akin_status akin_http_open(uv_loop_t *loop, akin_engine *engine,
                           akin_pool *workers, const akin_http_options *options,
                           akin_http **out, akin_error *err) AKIN_MUST_CHECK;
/* The port it listens on. */
uint16_t akin_http_port(const akin_http *http);
/* From now on /readyz answers 503 (false) or 200 (true, at first). */
void akin_http_ready(akin_http *http, bool ready);
/* Accepts nothing more, answers what is under way, then frees itself and calls
 * done(user) from the loop. Loop thread, once; workers must still run. */
void akin_http_close(akin_http *http, void (*done)(void *user), void *user);

#endif
