/* What the server counts, in Prometheus' text format: requests and latency of
 * RESP commands (akin_command_stats) and HTTP routes (the same struct), sockets
 * (akin_server_stats), and what the engine counts. */
#ifndef AKIN_API_METRICS_H
#define AKIN_API_METRICS_H

#include "server.h"

/* The HTTP side's share; any thread. */
typedef struct {
    size_t nroutes;
    const char *const *names;  /* (nroutes) */
    akin_command_stats *stats; /* (nroutes) */
    _Atomic uint64_t connections, clients, refused, bytes_in, bytes_out;
    _Atomic uint64_t in_flight; /* handed to workers, not answered yet */
} akin_http_stats;

/* Adds one call that took ns. */
void akin_metrics_count(akin_command_stats *stats, uint64_t ns, bool failed);

/* Appends everything to out; http may be NULL. Asks the engine for its
 * collections: not for the loop thread. */
void akin_metrics_write(akin_service *service, const akin_http_stats *http,
                        akin_buf *out);

#endif
