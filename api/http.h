/* HTTP beside RESP: a REST interface in the shape of Qdrant's, the gallery
 * page, metrics. libmicrohttpd parses and writes; its epoll descriptor is
 * polled by the server's loop, and requests run on the server's workers
 * (akin_server_hand_off). docs/http.md describes what clients see. */
#ifndef AKIN_API_HTTP_H
#define AKIN_API_HTTP_H

#include "server.h"

typedef struct akin_http akin_http;

typedef struct {
    const char *bind;     /* numeric address; NULL or empty: 127.0.0.1 */
    uint16_t port;        /* 0: any free one */
    size_t body_bytes;    /* largest body of a request; 0: 64 MiB */
    uint32_t connections; /* at once; 0: 512 */
    uint32_t idle_s;      /* a silent connection is closed; 0: 60 */
    uint32_t timeout_ms;  /* of the searches of a request; 0: 30,000 */
} akin_http_options;

/* Listens, once akin_server_open has set service->server and before
 * akin_server_run; it is the server's guest from then on and ends with it. The
 * service outlives the akin_http; options are copied. The password is the
 * service's. Fails with AKIN_INVALID (address), AKIN_IO (the port is taken),
 * AKIN_NOMEM. */
akin_status akin_http_open(akin_service *service,
                           const akin_http_options *options, akin_http **out,
                           akin_error *err) AKIN_MUST_CHECK;
/* The port it listens on. */
uint16_t akin_http_port(const akin_http *http);
/* After akin_server_run returned, before akin_server_close; no-op on NULL. */
void akin_http_close(akin_http *http);

#endif
