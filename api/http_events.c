/* Jobs with live progress, as server-sent events: while somebody listens, a
 * worker writes the list of jobs every half second, and the streams get it when
 * it has changed, or an empty comment every 15 seconds so that dead ones are
 * noticed. Streams are suspended connections that each event resumes. */
#include "http_internal.h"

#include <string.h>

#define KEEP_ALIVE_NS  15000000000ull
#define STREAM_BYTES   (1u << 20) /* waiting for one slow reader */
#define STREAM_MAXIMUM 64

typedef struct akin_http_stream {
    struct akin_http_stream *next;
    akin_http *http;
    struct MHD_Connection *connection;
    akin_buf waiting;
    bool suspended, ending;
} stream;

static ssize_t read_stream(void *user, uint64_t at, char *out, size_t room)
{
    stream *s = user;
    size_t n = s->waiting.size < room ? s->waiting.size : room;

    (void)at;
    if (n) {
        memcpy(out, s->waiting.data, n);
        s->waiting.size -= n;
        memmove(s->waiting.data, s->waiting.data + n, s->waiting.size);
        return (ssize_t)n;
    }
    if (s->ending || s->waiting.failed) return MHD_CONTENT_READER_END_OF_STREAM;
    MHD_suspend_connection(s->connection);
    s->suspended = true;
    return 0;
}

static void free_stream(void *user)
{
    stream *s = user;
    stream **link = &s->http->streams;

    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    akin_buf_clear(&s->waiting);
    akin_free(s);
}

static void send_to(stream *s, const void *data, size_t size)
{
    akin_buf_append(&s->waiting, data, size);
    if (s->suspended) MHD_resume_connection(s->connection);
    s->suspended = false;
}

static size_t count_streams(const akin_http *http)
{
    size_t n = 0;
    for (const stream *s = http->streams; s; s = s->next)
        n++;
    return n;
}

akin_status akin__http_events_room(const akin_http *http, akin_error *err)
{
    if (http->stopping) return akin_fail(err, AKIN_BUSY, "the server stops");
    if (count_streams(http) < STREAM_MAXIMUM) return AKIN_OK;
    return akin_fail(err, AKIN_BUSY, "%d streams of events are open already",
                     STREAM_MAXIMUM);
}

enum MHD_Result akin__http_events_begin(akin_http_call *call)
{
    akin_http *http = call->http;
    stream *s = akin_calloc(1, sizeof *s);

    if (!s) return MHD_NO;
    s->http = http;
    s->connection = call->connection;
    s->waiting.limit = STREAM_BYTES;
    s->next = http->streams;
    http->streams = s;
    call->type = "text/event-stream";
    akin_buf_text(&s->waiting, ": akin\n\n");
    akin_buf_append(&s->waiting, http->events.data, http->events.size);

    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, 4096, read_stream, s, free_stream);
    if (!response) {
        free_stream(s);
        return MHD_NO;
    }
    akin__http_headers(response, call);
    enum MHD_Result ok = MHD_queue_response(call->connection, 200, response);
    MHD_destroy_response(response);
    return ok;
}

/* ---- the list of jobs ---------------------------------------------------- */

typedef struct {
    akin_task task; /* first */
    akin_http *http;
    akin_buf event;
} listing;

static void write_listing(akin_task *task)
{
    listing *l = (listing *)task;
    akin_buf_text(&l->event, "event: jobs\ndata: ");
    akin_error err;
    if (akin__http_jobs_write(l->http->service->engine, &l->event, &err))
        l->event.failed = true;
    akin_buf_text(&l->event, "\n\n");
}

static void send_listing(akin_task *task)
{
    listing *l = (listing *)task;
    akin_http *http = l->http;
    uint64_t now = akin_mono_ns();
    akin_buf *last = &http->events;
    bool same = last->size == l->event.size &&
                (!last->size || !memcmp(last->data, l->event.data, last->size));
    bool still = now - http->events_ns < KEEP_ALIVE_NS;

    http->events_asked = false;
    http->stats.in_flight--;
    if (!l->event.failed && !(same && still)) {
        for (stream *s = http->streams; s; s = s->next)
            send_to(s, same ? (const void *)":\n\n" : l->event.data,
                    same ? 3 : l->event.size);
        http->events_ns = now;
        akin_buf old = *last;
        *last = l->event;
        l->event = old;
    }
    akin_buf_clear(&l->event);
    akin_free(l);
    akin__http_pump(http);
}

void akin__http_events_tick(akin_http *http)
{
    if (!http->streams || http->events_asked) return;
    listing *l = akin_calloc(1, sizeof *l);
    if (!l) return;
    l->http = http;
    l->task.run = write_listing;
    l->task.done = send_listing;
    if (akin_server_hand_off(http->service->server, &l->task, false, NULL)) {
        akin_free(l);
        return;
    }
    http->events_asked = true;
    http->stats.in_flight++;
}

void akin__http_events_stop(akin_http *http)
{
    for (stream *s = http->streams; s; s = s->next) {
        s->ending = true;
        if (s->suspended) MHD_resume_connection(s->connection);
        s->suspended = false;
    }
}
