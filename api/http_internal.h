/* What the files of the HTTP side share. A request is an akin_http_call: the
 * loop thread fills it from the connection, one worker runs its handler, the
 * loop thread sends what that wrote. Never are both at it at once. */
#ifndef AKIN_API_HTTP_INTERNAL_H
#define AKIN_API_HTTP_INTERNAL_H

#include "http.h"
#include "json.h"
#include "metrics.h"

#include <microhttpd.h>
#include <stdatomic.h>

#define HTTP_PARAMS      3          /* most {names} in a path */
#define HTTP_QUERY       16         /* most ?name=value pairs */
#define HTTP_PACKED      32         /* most constant files kept compressed */
#define HTTP_CHUNK_BYTES (4u << 20) /* most of a streamed body, at a time */
#define HTTP_HELD_TIMES  4 /* all bodies, of the largest; so all told_bytes */

typedef struct akin_http_call akin_http_call;
/* Any status but AKIN_OK becomes an error reply and takes back what was written
 * before. */
typedef akin_status akin_http_handler(akin_http_call *call, akin_error *err);

enum {
    HTTP_OPEN = 1 << 0, /* without a key */
    HTTP_RAW = 1 << 1,  /* the handler writes the whole reply, no envelope */
    HTTP_LOOP = 1 << 2, /* runs on the loop thread; must not touch the engine */
    HTTP_SLOW = 1 << 3, /* may take long: on the pool for such */
    HTTP_JSON =
        1 << 4, /* the body is a JSON object; an empty one reads as {} */
    HTTP_CHUNKS = 1 << 5, /* the body may be endless: run per piece of it */
    HTTP_FORM = 1 << 6,   /* the body may be multipart/form-data */
    HTTP_EVENTS = 1 << 7, /* answers with a stream of events */
    HTTP_AUDIT = 1 << 8   /* destroys: noted in the audit */
};

/* One row of the table: dispatch, metrics and /openapi.json read it. */
typedef struct {
    const char *method;
    const char *path; /* "/collections/{collection}/points/{id}" */
    const char *name; /* in metrics, logs and as operationId */
    unsigned flags;
    akin_http_handler *run;
    const char *tag, *summary;
    const char *body, *result; /* names of schemas; NULL: none, anything */
} akin_http_route;

struct akin_http_call {
    akin_task task; /* first: what the server hands back is the call */
    akin_http *http;
    akin_service *service;
    akin_engine *engine;
    struct MHD_Connection *connection;
    const akin_http_route *route; /* NULL: no such path */
    uint64_t started_ns;          /* the first byte was there */
    uint64_t ready_ns;            /* the request was complete */

    /* the request */
    char *target;              /* path and query, cut up in place */
    char *params[HTTP_PARAMS]; /* decoded, in the order of the path */
    char *names[HTTP_QUERY], *values[HTTP_QUERY]; /* decoded */
    size_t nquery;
    akin_buf body;
    bool more;         /* HTTP_CHUNKS: the body is not at its end */
    size_t told_bytes; /* HTTP_CHUNKS: of out, in http->told_bytes */
    size_t
        consumed; /* HTTP_CHUNKS: set by the handler, bytes it is done with */
    size_t received_bytes;
    struct MHD_PostProcessor *form; /* HTTP_FORM, when it is one */
    json_t *json;                   /* HTTP_JSON */
    char if_none_match[256], if_range[80], range[40];
    bool html; /* the client would like a page */
    bool gzip; /* and takes it compressed */

    /* the reply */
    unsigned status;   /* 200 unless the handler says otherwise */
    const char *type;  /* application/json unless it says otherwise; static */
    const char *cache; /* Cache-Control; NULL: no-store */
    char etag[80];     /* with its quotes; "": none */
    char disposition[280];
    char allow[64]; /* for 405 */
    size_t sent_bytes;
    akin_buf out;
    akin_span constant;  /* sent instead of out when data is not NULL; static */
    int file;            /* sent instead, when it is not -1; closed after */
    uint64_t file_bytes; /* its size */
    bool gzipped;        /* what is sent */
    uint64_t deadline_ns; /* searches end then; set before the handler */
    size_t searches;      /* that the question at hand has made, */
    size_t matches;       /* and for how many matches in all */
    void *state;          /* a streaming handler's own, and who frees it */
    void (*state_free)(void *state);

    enum { HTTP_READING, HTTP_RUNNING, HTTP_DONE } phase;
    bool failed; /* the reply is an error, what else comes is dropped */
};

/* A connection, so that one that never comes to its request is closed. */
typedef struct akin_http_peer {
    struct akin_http_peer *next;
    struct MHD_Connection *connection;
    uint64_t since_ns; /* it connected, or its last request was done */
    bool asking;       /* the headers of a request are here */
} akin_http_peer;

struct akin_http {
    akin_service *service;
    akin_http_options options;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;  /* what libmicrohttpd wants to be woken for */
    uv_timer_t ticker; /* events, and the end of the stop */
    int nclosing;      /* handles not closed yet */
    int listener;
    uint16_t port;
    bool stopping, stopped;
    bool closed_one;   /* a connection, in this turn */
    uint64_t quiet_ns; /* stopping: since then no worker is at a request */
    size_t calls;      /* request structs alive */
    size_t held_bytes; /* in their bodies */
    atomic_size_t told_bytes; /* in replies to /bulk */
    akin_http_stats stats;
    struct {
        const void *plain;
        akin_buf bytes;
    } packed[HTTP_PACKED]; /* constant files, compressed; loop thread */
    size_t npacked;
    struct akin_http_peer *peers;
    struct akin_http_stream *streams;
    akin_buf events; /* the last event sent */
    bool events_asked;
    uint64_t events_ns;
};

/* ---- http.c -------------------------------------------------------------- */

/* Lets libmicrohttpd do what can be done without waiting. Loop thread. */
void akin__http_pump(akin_http *http);
/* The headers that every reply has. */
void akin__http_headers(struct MHD_Response *response,
                        const akin_http_call *call);

/* ---- http_gzip.c, http_file.c ----------------------------------------------- */

bool akin__http_accepts_gzip(const char *header); /* Accept-Encoding, or NULL */
/* Compresses the reply where that is worth it. On the worker: what the handler
 * wrote. On the loop thread: a constant file. */
void akin__http_gzip(akin_http_call *call);
void akin__http_gzip_constant(akin_http_call *call);
/* A response of `size` bytes of call->file, which it takes; NULL: no memory. */
struct MHD_Response *akin__http_file(akin_http_call *call, uint64_t from,
                                     uint64_t size);

/* ---- http_routes.c ------------------------------------------------------- */

const akin_http_route *akin__http_routes(size_t *n);
/* Cuts call->target into path parameters and query, and finds the route.
 * Returns AKIN_NOT_FOUND, AKIN_INVALID (bad escapes), AKIN_UNSUPPORTED (another
 * method: call->allow says which ones there are). */
akin_status akin__http_route(akin_http_call *call, const char *method,
                             akin_error *err);
/* Undoes %XX in place; false when one is malformed or a NUL. */
bool akin__http_unescape(char *text);
/* ?name=; NULL when it is not there. */
const char *akin__http_query(const akin_http_call *call, const char *name);

/* ---- http_call.c --------------------------------------------------------- */

/* Runs the handler and leaves the reply in the call. */
void akin__http_run(akin_http_call *call);
/* Leaves a note in the audit of what the call has destroyed. Workers only. */
void akin__http_audit(const akin_http_call *call);
/* Makes the reply an error in Qdrant's envelope. */
void akin__http_fail(akin_http_call *call, akin_status rc,
                     const akin_error *err);
void akin__http_call_free(akin_http_call *call);

/* ---- http_auth.c --------------------------------------------------------- */

/* Whether the request may be answered: its key, and that a page of another
 * site did not send it. */
akin_status akin__http_allowed(akin_http_call *call, akin_error *err);

/* ---- http_events.c ------------------------------------------------------- */

/* Whether one more can listen; AKIN_BUSY. */
akin_status akin__http_events_room(const akin_http *http, akin_error *err);
/* Answers the call with events until the client goes away. Loop thread. */
enum MHD_Result akin__http_events_begin(akin_http_call *call);
/* Every half second while someone listens. */
void akin__http_events_tick(akin_http *http);
/* Ends all streams. */
void akin__http_events_stop(akin_http *http);

/* ---- http_jobs.c --------------------------------------------------------- */

/* Appends the list of jobs, newest first. */
akin_status akin__http_jobs_write(akin_engine *engine, akin_buf *out,
                                  akin_error *err);

/* ---- http_upload.c ------------------------------------------------------- */

/* A piece of a part of call->form (an MHD_PostDataIterator). */
enum MHD_Result akin__http_form_part(void *user, enum MHD_ValueKind kind,
                                     const char *key, const char *filename,
                                     const char *type, const char *encoding,
                                     const char *data, uint64_t at,
                                     size_t size);

/* ---- http_ids.c: Qdrant's ids and akin's --------------------------------- */

/* A point's id as text: an integer in decimal, a UUID in lower case with
 * hyphens, any other text as it is. out: for akin_free. Fails with
 * AKIN_INVALID. */
akin_status akin__http_id(const json_t *value, char **out,
                          akin_error *err) AKIN_MUST_CHECK;
/* The same from a path. Never longer than the text; in place. */
void akin__http_id_fold(char *text);
/* The way back: an id that reads as an unsigned integer becomes one. */
void akin__http_id_write(akin_buf *out, const char *id);

/* "keyword", {"type": "integer"} ... or one of akin's own words. */
akin_status akin__http_field_type(const json_t *schema,
                                  akin_attribute_type *out,
                                  akin_error *err) AKIN_MUST_CHECK;

#define HTTP_IDS 100000 /* most ids in one request */

/* Ids of an array; clear also after a failure. */
typedef struct {
    akin_span *spans; /* NUL behind each */
    size_t n;
} akin_http_ids;
akin_status akin__http_ids_read(const json_t *array, akin_http_ids *out,
                                akin_error *err) AKIN_MUST_CHECK;
void akin__http_ids_clear(akin_http_ids *ids);

#endif
