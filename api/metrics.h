/* What the server counts, in Prometheus' text format.
 *
 * Requests are counted by front (RESP, HTTP) and command, with a latency
 * histogram each; what the engine counts is read when it is asked for. All
 * functions: any thread. A NULL akin_metrics counts nothing. */
#ifndef AKIN_API_METRICS_H
#define AKIN_API_METRICS_H

#include "akin_engine.h"

typedef struct akin_metrics akin_metrics;

typedef enum { AKIN_FRONT_RESP, AKIN_FRONT_HTTP, AKIN_FRONTS } akin_front;

/* NULL when out of memory. */
akin_metrics *akin_metrics_new(void) AKIN_MUST_CHECK;
void akin_metrics_free(akin_metrics *metrics); /* no-op on NULL */

/* A request was answered, `ns` after it was complete. command: the name in the
 * table of commands or routes, copied; the first 256 names of a front are told
 * apart, so never pass what a client sent. */
void akin_metrics_request(akin_metrics *metrics, akin_front front,
                          const char *command, uint64_t ns, bool failed);
/* A connection was opened (+1), closed (-1). */
void akin_metrics_connection(akin_metrics *metrics, akin_front front,
                             int change);
/* A connection was refused: too many, or not logged in. */
void akin_metrics_refused(akin_metrics *metrics, akin_front front);
void akin_metrics_bytes(akin_metrics *metrics, akin_front front,
                        uint64_t received, uint64_t sent);

/* Appends everything to out. engine and workers may be NULL. Reads the engine's
 * list of collections: not for the event loop. */
void akin_metrics_write(akin_metrics *metrics, akin_engine *engine,
                        akin_pool *workers, akin_buf *out);

#endif
