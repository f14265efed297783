/* One connection: reading, the queue of its requests, running them, writing.
 * Everything here is the loop thread's but what a worker does with a batch: run
 * it, send its replies, take what came meanwhile.
 *
 * A client that has several requests under way gets a reply as soon as it is
 * there, or with those of the last PATIENCE_NS, and can go on; what it asks then
 * is given to the worker that still runs the requests before (`more`, under the
 * batch's lock), so that neither thread is woken for it.
 *
 * A client that waits for each reply, and is the only one that asks, would wait
 * longest for a worker to wake (15 us, of a search of 70, and as much for
 * the processor to come to rest). A search that takes well below a millisecond
 * by the index's own figures is run by the loop itself then. It reads no file and
 * asks no store; but the index is mapped, and a part of it that was compared with
 * its digest may have left memory since: then a search waits for the disk, once,
 * and none is run here for SLOW_NS. As soon as another client's request had to
 * wait for such a one, workers run them again for a while.
 *
 * A request is counted in stats.held_bytes from when it came until it is freed:
 * in its client's `held` while it waits, then by itself, as its batch's. */
#include "server_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH_REQUESTS  32          /* that one hand-off carries */
#define QUEUED_REQUESTS 1024        /* beyond which the socket is not read */
#define QUEUED_BYTES    (8u << 20)  /* as well; many pictures */
#define SCARCE_BYTES    (64u << 10) /* the same, when memory is scarce */
#define PATIENCE_NS     200000      /* that a reply waits for others */
#define QUICK_NS        500000      /* that a search on the loop may take */
#define CROWD_NS        20000    /* one that comes so soon after had to wait */
#define CROWDED_NS      50000000 /* then none is run on the loop so long */
#define SLOW_NS         1000000000 /* as long, after one that took far longer */
#define FLUSH_BYTES     65536
#define SPARE_BYTES     65536        /* memory kept for the next reply */
#define REPLY_BYTES     (512u << 20) /* of one hand-off; more is refused */
#define GUEST_ARGS      16           /* of a client that has not logged in */
#define GUEST_BYTES     16384

typedef struct {
    akin_request *first, *last;
    size_t n, bytes;
} queue;

/* Some requests on their way to a worker and back. */
typedef struct {
    akin_task task;
    akin__client *client;
    queue requests;
    akin_reply reply;
    bool reads;    /* began with a read; what it takes later may write */
    bool may_send; /* nothing else is on its way to the socket */
    size_t sent;   /* of the reply, by the worker */
    queue more;    /* came meanwhile; under lock, as is */
    bool open;     /* the worker will look for more */
} batch;

typedef struct {
    uv_write_t request;
    akin__client *client;
    akin_buf data;
    size_t from; /* what lies before is sent */
} writing;

struct akin__client {
    akin__client *prev, *next;
    akin_server *server;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } at;
    akin_session session;
    akin_resp_parser *parser;
    queue waiting; /* not started yet */
    size_t held;   /* of stats.held_bytes: waiting, half read */
    int fd;
    batch *running, *spare; /* spare: for the next hand-off; or NULL */
    uv_mutex_t lock;        /* more and open of the running batch */
    akin_reply reply;       /* of commands run on the loop, not yet written */
    size_t writing_bytes;   /* handed to libuv, not on the wire */
    bool reading;
    bool ended;   /* nothing more will be read from it */
    bool closing; /* uv_close was called */
    bool dropped; /* close as soon as the running batch is back */
    char fatal[AKIN_ERROR_BYTES]; /* last reply, before closing; or empty */
    uint64_t since_ms, active_ms; /* uv_now */
    char address[96];
};

static void pump(akin__client *c);

static akin_resp_limits limits_of(const akin_server *s, bool authenticated)
{
    size_t most = s->options.request_bytes;
    akin_resp_limits limits = {.args = 1u << 18,
                               .bulk_bytes = most,
                               .request_bytes = most,
                               .inline_bytes = 65536};
    if (!authenticated) {
        limits.args = GUEST_ARGS;
        limits.bulk_bytes = limits.request_bytes = GUEST_BYTES;
    }
    return limits;
}

/* ---- queues ----------------------------------------------------------------- */

static void push(queue *q, akin_request *r)
{
    r->next = NULL;
    if (q->last)
        q->last->next = r;
    else
        q->first = r;
    q->last = r;
    q->n++;
    q->bytes += r->bytes;
}

static akin_request *pop(queue *q)
{
    akin_request *r = q->first;
    q->first = r->next;
    if (!q->first) q->last = NULL;
    q->n--;
    q->bytes -= r->bytes;
    r->next = NULL;
    return r;
}

/* Frees all. */
static void discard(queue *q)
{
    while (q->first)
        akin_request_free(pop(q));
}

/* Frees all of what a batch was given. */
static void discard_given(akin_server *s, queue *q)
{
    size_t bytes = q->bytes;
    discard(q);
    atomic_fetch_sub(&s->stats.held_bytes, bytes);
}

/* ---- closing ---------------------------------------------------------------- */

static void count_held(akin__client *c, size_t held)
{
    atomic_fetch_add(&c->server->stats.held_bytes, held - c->held);
    c->held = held;
}

static void on_closed(uv_handle_t *handle)
{
    akin__client *c = handle->data;
    akin_server *s = c->server;
    count_held(c, 0);
    if (c->prev)
        c->prev->next = c->next;
    else
        s->clients = c->next;
    if (c->next) c->next->prev = c->prev;
    atomic_fetch_sub(&s->stats.clients, 1);
    discard(&c->waiting);
    uv_mutex_destroy(&c->lock);
    akin_resp_parser_free(c->parser);
    akin_buf_clear(&c->reply.out);
    if (c->spare) akin_buf_clear(&c->spare->reply.out);
    akin_free(c->spare);
    akin_free(c);
}

/* Something waits for the running batch to come back. */
static void await_running(akin__client *c)
{
    if (akin__server_task_await(&c->running->task))
        uv_async_send(&c->server->wake);
}

void akin__client_drop(akin__client *c)
{
    c->dropped = true;
    if (c->closing) return;
    if (c->running) { /* its memory is in use */
        await_running(c);
        return;
    }
    c->closing = true;
    uv_close(&c->at.handle, on_closed);
}

/* ---- writing ---------------------------------------------------------------- */

static void on_written(uv_write_t *request, int status)
{
    writing *w = (writing *)request;
    akin__client *c = w->client;
    size_t bytes = w->data.size - w->from;
    c->writing_bytes -= bytes;
    if (status == 0) atomic_fetch_add(&c->server->stats.bytes_out, bytes);
    akin_buf_clear(&w->data);
    akin_free(w);
    if (c->closing) return;
    c->active_ms = uv_now(&c->server->loop);
    if (status)
        akin__client_drop(c);
    else
        pump(c);
}

/* Leaves what lies in data from `from` on to libuv, which takes the memory. */
static void send_later(akin__client *c, akin_buf *data, size_t from)
{
    writing *w = akin_calloc(1, sizeof *w);
    if (!w) {
        akin_buf_clear(data);
        akin__client_drop(c);
        return;
    }
    w->client = c;
    w->data = *data;
    w->from = from;
    *data = (akin_buf){.limit = data->limit};
    size_t bytes = w->data.size - from;
    c->writing_bytes += bytes;
    uv_buf_t buf = uv_buf_init((char *)w->data.data + from, (unsigned)bytes);
    int rc = uv_write(&w->request, &c->at.stream, &buf, 1, on_written);
    if (rc) {
        c->writing_bytes -= bytes;
        akin_buf_clear(&w->data);
        akin_free(w);
        akin__client_drop(c);
    }
}

/* Empties a buffer; keeps its memory if that is little. */
static void empty(akin_buf *data)
{
    if (data->capacity > SPARE_BYTES)
        akin_buf_clear(data);
    else
        data->size = 0;
}

/* Sends what `data` holds from `from` on: what the socket takes at once, then
 * the rest. */
static void send_buffer(akin__client *c, akin_buf *data, size_t from)
{
    if (data->failed || c->closing) {
        akin_buf_clear(data);
        akin__client_drop(c);
        return;
    }
    while (from < data->size && !c->writing_bytes) {
        uv_buf_t buf = uv_buf_init((char *)data->data + from,
                                   (unsigned)(data->size - from));
        int n = uv_try_write(&c->at.stream, &buf, 1);
        if (n <= 0) break; /* uv_write tells a failure from a full socket */
        from += (size_t)n;
        atomic_fetch_add(&c->server->stats.bytes_out, (uint64_t)n);
        c->active_ms = uv_now(&c->server->loop);
    }
    if (from < data->size)
        send_later(c, data, from);
    else
        empty(data);
}

static void flush(akin__client *c)
{
    if (c->reply.out.size || c->reply.out.failed)
        send_buffer(c, &c->reply.out, 0);
}

/* ---- running ---------------------------------------------------------------- */

static void run_one(akin__client *c, const akin_request *r, akin_reply *reply)
{
    reply->proto = c->session.proto;
    akin_call call = {.service = c->server->service,
                      .session = &c->session,
                      .argc = r->argc,
                      .argv = r->argv,
                      .reply = reply};
    akin_dispatch(&call);
}

/* On a worker: puts on the wire what the socket takes of the reply, so that it
 * need not wait for the loop. Until the batch is back the loop writes nothing to
 * this socket and does not close it. True: all is sent, and the reply is empty. */
static bool send_now(batch *b)
{
    akin_buf *out = &b->reply.out;
    if (!b->may_send || out->failed) return false;
    while (b->sent < out->size) {
        ssize_t n = send(b->client->fd, out->data + b->sent,
                         out->size - b->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false; /* the loop finds out why */
        b->sent += (size_t)n;
        atomic_fetch_add(&b->client->server->stats.bytes_out, (uint64_t)n);
    }
    b->sent = 0;
    empty(out);
    return true;
}

/* On a worker: runs the batch's requests and frees them. True: all is sent. */
static bool run_requests(batch *b)
{
    akin_call calls[BATCH_REQUESTS];
    size_t n = 0;
    uint64_t last = akin_mono_ns();
    bool sent = false;
    b->reply.proto = b->client->session.proto;
    for (akin_request *r = b->requests.first; r; r = r->next)
        calls[n++] = (akin_call){.service = b->client->server->service,
                                 .session = &b->client->session,
                                 .argc = r->argc,
                                 .argv = r->argv,
                                 .reply = &b->reply};
    for (size_t i = 0; i < n;) {
        i += akin_dispatch_some(calls + i, n - i);
        uint64_t now = akin_mono_ns();
        if (i < n && now - last < PATIENCE_NS) continue;
        sent = send_now(b);
        last = now;
    }
    discard_given(b->client->server, &b->requests);
    return sent;
}

/* On a worker: gives it what came meanwhile, unless it has to stop: because the
 * client does not read, or so that another gets its turn. False: it is over, and
 * nothing will be put into b->more any more. */
static bool take_more(batch *b, bool sent)
{
    akin__client *c = b->client;
    bool go_on = sent && !akin_server_queued(c->server).usual;
    uv_mutex_lock(&c->lock);
    go_on &= b->more.first != NULL;
    if (go_on) {
        b->requests = b->more;
        b->more = (queue){0};
    }
    b->open = go_on;
    uv_mutex_unlock(&c->lock);
    return go_on;
}

/* On a worker. The client's session is ours to read until run returns. */
static void run_batch(akin_task *task)
{
    batch *b = (batch *)task;
    bool sent;
    do
        sent = run_requests(b);
    while (take_more(b, sent));
    task->patient = sent && !b->more.first;
}

/* Takes the memory of a batch that is over, for the next one or for good. */
static void retire(akin__client *c, batch *b)
{
    empty(&b->reply.out);
    if (!c->spare && !b->reply.out.failed) {
        c->spare = b;
    } else {
        akin_buf_clear(&b->reply.out);
        akin_free(b);
    }
}

/* Puts what a batch did not come to before what waits. */
static void put_back(akin__client *c, queue *more)
{
    c->held += more->bytes;
    while (c->waiting.first)
        push(more, pop(&c->waiting));
    c->waiting = *more;
    *more = (queue){0};
}

static void batch_done(akin_task *task)
{
    batch *b = (batch *)task;
    akin__client *c = b->client;
    c->running = NULL;
    c->server->reading -= b->reads;
    put_back(c, &b->more);
    if (c->dropped || b->reply.out.failed) {
        if (b->reply.out.failed)
            akin_log(AKIN_LOG_WARN, "client %llu: a reply was too large",
                     (unsigned long long)c->session.id);
        akin__client_drop(c);
    } else {
        c->active_ms = uv_now(&c->server->loop);
        send_buffer(c, &b->reply.out, b->sent);
        pump(c);
    }
    retire(c, b);
}

static bool runs_on_loop(const akin_command *row, const akin__client *c)
{
    return !row || (row->flags & AKIN_CMD_LOOP) || !c->session.authenticated;
}

static const akin_command *row_of(const akin_request *r)
{
    return akin_command_find(r->argv[0]);
}

static bool is_slow(const akin_command *row, const akin_request *r)
{
    return row && akin_command_is_slow(row, r->argc, r->argv);
}

/* What CLIENT LIST shows. */
static void note_command(akin__client *c, const akin_request *r)
{
    const akin_command *row = row_of(r);
    c->session.last = row ? row->name : NULL;
}

static bool memory_is_scarce(const akin_server *s)
{
    uint64_t most = s->options.memory_bytes;
    return most && atomic_load(&s->stats.held_bytes) > most / 2;
}

/* How much may wait of a client before its socket is not read, and how much a
 * worker is given at once; of both, one request may be more. */
static size_t queue_limit(const akin_server *s)
{
    return memory_is_scarce(s) ? SCARCE_BYTES : QUEUED_BYTES;
}

/* Makes the request at the front a batch's. */
static void give(akin__client *c, queue *to, const akin_command *row)
{
    c->session.last = row->name;
    c->held -= c->waiting.first->bytes;
    push(to, pop(&c->waiting));
}

/* Gives the requests at the front that the usual pool may run, until it is
 * enough. */
static void give_usual(akin__client *c, queue *to)
{
    while (c->waiting.first && to->n < BATCH_REQUESTS &&
           (!to->n || to->bytes < queue_limit(c->server))) {
        const akin_command *row = row_of(c->waiting.first);
        if (runs_on_loop(row, c) || is_slow(row, c->waiting.first)) break;
        give(c, to, row);
    }
}

/* Hands the requests at the front that one pool may run to a worker. */
static void start_batch(akin__client *c)
{
    batch *b = c->spare ? c->spare : akin_calloc(1, sizeof *b);
    akin_error err;
    if (!b) {
        akin__client_drop(c);
        return;
    }
    c->spare = NULL;
    const akin_command *row = row_of(c->waiting.first);
    bool slow = is_slow(row, c->waiting.first);
    *b = (batch){.task = {.run = run_batch, .done = batch_done},
                 .client = c,
                 .reply = b->reply,
                 .reads = row->flags & AKIN_CMD_READ,
                 .may_send = !c->writing_bytes && c->fd >= 0,
                 .open = !slow};
    b->reply.out.limit = REPLY_BYTES;
    if (slow)
        give(c, &b->requests, row);
    else
        give_usual(c, &b->requests);
    c->running = b;
    c->server->reading += b->reads;
    if (akin_server_hand_off(c->server, &b->task, slow, &err)) {
        c->running = NULL;
        c->server->reading -= b->reads;
        for (akin_request *r = b->requests.first; r; r = r->next)
            akin_reply_error(&c->reply, "BUSY", err.message);
        discard_given(c->server, &b->requests);
        retire(c, b);
    }
}

/* Runs the request at the front here, where that is quick and nobody waits. */
static bool run_quickly(akin__client *c)
{
    akin_server *s = c->server;
    akin_request *r = c->waiting.first;
    uint64_t start = akin_mono_ns();
    if (r->next || s->reading || s->stopping || start < s->quick_after_ns)
        return false;
    if (s->quick_client != c->session.id &&
        start - s->quick_end_ns < CROWD_NS) {
        s->quick_after_ns = start + CROWDED_NS;
        return false;
    }
    c->reply.proto = c->session.proto;
    akin_call call = {.service = s->service,
                      .session = &c->session,
                      .argc = r->argc,
                      .argv = r->argv,
                      .reply = &c->reply};
    bool done = akin_dispatch_quick(&call, QUICK_NS);
    uint64_t end = akin_mono_ns();
    if (end - start > 4 * QUICK_NS)
        s->quick_after_ns = end + SLOW_NS;
    else if (!done && end - start > CROWD_NS) /* searched, and in vain */
        s->quick_after_ns = end + CROWDED_NS;
    if (!done) return false;
    s->quick_end_ns = end;
    s->quick_client = c->session.id;
    note_command(c, r);
    akin_request_free(pop(&c->waiting));
    return true;
}

/* Gives the worker that runs requests of this client the next ones. */
static void give_more(akin__client *c)
{
    batch *b = c->running;
    uv_mutex_lock(&c->lock);
    if (b->open && c->waiting.first) give_usual(c, &b->more);
    uv_mutex_unlock(&c->lock);
}

static void update_limits(akin__client *c)
{
    akin_resp_limits limits = limits_of(c->server, c->session.authenticated);
    akin_resp_parser_limit(c->parser, &limits);
}

static void start_reading(akin__client *c);

/* Reads the socket or not: by what is waiting, and not beside a running batch
 * while memory is scarce. */
static void steer_reading(akin__client *c)
{
    bool pause = c->running && memory_is_scarce(c->server);
    bool want = !c->ended && !c->closing && !c->dropped && !pause &&
                c->waiting.n < QUEUED_REQUESTS &&
                c->waiting.bytes < queue_limit(c->server);
    if (pause) await_running(c);
    if (want && !c->reading) {
        start_reading(c);
    } else if (!want && c->reading) {
        c->reading = false;
        uv_read_stop(&c->at.stream);
    }
}

static void say_goodbye(akin__client *c)
{
    if (c->fatal[0]) {
        akin_reply_error(&c->reply, "ERR", c->fatal);
        c->fatal[0] = 0;
    }
    flush(c);
    if (!c->writing_bytes) akin__client_drop(c);
}

/* Starts what may start; called after everything that may allow more. */
static void pump(akin__client *c)
{
    if (c->running && !c->dropped) give_more(c);
    while (!c->running && c->waiting.first && !c->dropped && !c->session.quit &&
           c->writing_bytes + c->reply.out.size <
               c->server->options.output_bytes) {
        if (!runs_on_loop(row_of(c->waiting.first), c)) {
            if (run_quickly(c)) continue;
            flush(c);
            if (!c->dropped) start_batch(c);
            continue;
        }
        bool guest = !c->session.authenticated;
        akin_request *r = pop(&c->waiting);
        note_command(c, r);
        run_one(c, r, &c->reply);
        akin_request_free(r);
        if (guest != !c->session.authenticated) update_limits(c);
        if (c->reply.out.size >= FLUSH_BYTES) flush(c);
    }
    if (!c->running && c->session.quit) {
        c->ended = true;
        discard(&c->waiting);
    }
    if (c->dropped) return;
    if (!c->running)
        flush(c);
    else if (c->waiting.first || c->ended || c->session.quit)
        await_running(c);
    if (c->dropped) return;
    count_held(c, c->waiting.bytes + akin_resp_pending(c->parser));
    steer_reading(c);
    if (c->ended && !c->running && !c->waiting.first) say_goodbye(c);
}

/* ---- reading ---------------------------------------------------------------- */

static void fatal(akin__client *c, const char *message)
{
    c->ended = true;
    snprintf(c->fatal, sizeof c->fatal, "%s", message);
}

static void take_bytes(akin__client *c, const char *data, size_t size)
{
    akin_server *s = c->server;
    while (size && !c->ended && !c->dropped) {
        akin_request *r;
        akin_error err;
        size_t used;
        akin_resp_state state =
            akin_resp_parse(c->parser, data, size, &used, &r, &err);
        data += used;
        size -= used;
        if (state == AKIN_RESP_BAD) {
            atomic_fetch_add(&s->stats.bad_requests, 1);
            fatal(c, err.message);
        } else if (state == AKIN_RESP_REQUEST) {
            push(&c->waiting, r);
            atomic_fetch_add(&s->stats.requests, 1);
            /* The limits of what follows depend on whether this logs in. */
            if (!c->session.authenticated) pump(c);
        }
    }
    if (c->dropped) return;
    count_held(c, c->waiting.bytes + akin_resp_pending(c->parser));
    if (s->options.memory_bytes && c->held > SCARCE_BYTES &&
        atomic_load(&s->stats.held_bytes) > s->options.memory_bytes) {
        atomic_fetch_add(&s->stats.over_limit_closed, 1);
        fatal(c, "the requests of all clients together take too much memory; "
                 "try again later");
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    akin__client *c = handle->data;
    (void)suggested;
    *buf = uv_buf_init(c->server->read_buffer, AKIN_SERVER_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    akin__client *c = stream->data;
    if (n == 0) return;
    akin__server_tasks_run_done(c->server); /* the patient ones */
    if (c->dropped) return;
    if (n == UV_EOF) {
        c->ended = true; /* it may still read: answer what it asked */
    } else if (n < 0) {
        akin__client_drop(c);
        return;
    } else {
        c->active_ms = uv_now(&c->server->loop);
        atomic_fetch_add(&c->server->stats.bytes_in, (uint64_t)n);
        take_bytes(c, buf->base, (size_t)n);
    }
    if (!c->dropped) pump(c);
}

static void start_reading(akin__client *c)
{
    c->reading = true;
    if (uv_read_start(&c->at.stream, on_alloc, on_read)) akin__client_drop(c);
}

/* ---- coming and going ------------------------------------------------------- */

static void peer_address(akin__client *c, bool tcp)
{
    struct sockaddr_storage at;
    int size = sizeof at;
    char host[64];
    if (!tcp) {
        snprintf(c->address, sizeof c->address, "%s:0",
                 c->server->unix_path ? c->server->unix_path : "");
        return;
    }
    if (uv_tcp_getpeername(&c->at.tcp, (struct sockaddr *)&at, &size)) return;
    bool six = at.ss_family == AF_INET6;
    if (six)
        uv_ip6_name((struct sockaddr_in6 *)&at, host, sizeof host);
    else
        uv_ip4_name((struct sockaddr_in *)&at, host, sizeof host);
    snprintf(c->address, sizeof c->address, six ? "[%s]:%u" : "%s:%u", host,
             ntohs(six ? ((struct sockaddr_in6 *)&at)->sin6_port
                       : ((struct sockaddr_in *)&at)->sin_port));
}

static void link_client(akin_server *s, akin__client *c)
{
    c->next = s->clients;
    if (s->clients) s->clients->prev = c;
    s->clients = c;
    atomic_fetch_add(&s->stats.clients, 1);
    atomic_fetch_add(&s->stats.connections, 1);
}

void akin__client_accept(akin_server *s, uv_stream_t *listener)
{
    akin__client *c = akin_calloc(1, sizeof *c);
    if (!c) return; /* libuv asks again */
    bool tcp = listener == (uv_stream_t *)&s->tcp;
    akin_resp_limits limits;

    c->server = s;
    uv_mutex_init(&c->lock);
    c->session.proto = 2;
    c->session.authenticated = !s->service->password[0];
    c->session.id = ++s->last_client_id;
    c->session.address = c->address;
    c->since_ms = c->active_ms = uv_now(&s->loop);
    limits = limits_of(s, c->session.authenticated);
    c->parser = akin_resp_parser_new(&limits);
    if (tcp)
        uv_tcp_init(&s->loop, &c->at.tcp);
    else
        uv_pipe_init(&s->loop, &c->at.pipe, 0);
    c->at.handle.data = c;
    link_client(s, c);
    if (!c->parser || uv_accept(listener, &c->at.stream)) {
        akin__client_drop(c);
        return;
    }
    if (tcp) {
        uv_tcp_nodelay(&c->at.tcp, 1);
        uv_tcp_keepalive(&c->at.tcp, 1, 300);
    }
    peer_address(c, tcp);
    if (uv_fileno(&c->at.handle, &c->fd)) c->fd = -1;
    if (atomic_load(&s->stats.clients) > s->options.max_clients) {
        atomic_fetch_add(&s->stats.rejected, 1);
        fatal(c, "max number of clients reached");
    }
    pump(c);
}

void akin__client_sweep(akin_server *s, uint64_t now_ms)
{
    uint64_t limit = (uint64_t)s->options.idle_seconds * 1000;
    for (akin__client *c = s->clients; c && limit; c = c->next)
        if (!c->running && !c->dropped && now_ms - c->active_ms > limit) {
            atomic_fetch_add(&s->stats.idle_closed, 1);
            akin__client_drop(c);
        }
}

void akin__client_finish(akin__client *c)
{
    c->ended = true;
    discard(&c->waiting);
    if (!c->dropped) pump(c);
}

void akin__client_finish_all(akin_server *s)
{
    for (akin__client *c = s->clients; c; c = c->next)
        akin__client_finish(c);
}

void akin__client_drop_all(akin_server *s)
{
    for (akin__client *c = s->clients; c; c = c->next)
        akin__client_drop(c);
}

/* One line a client, fields as Redis names them. A worker that runs a
 * command of it only reads the session. */
void akin_server_client_list(akin_server *s, uint64_t only, akin_buf *out)
{
    uint64_t now = uv_now(&s->loop);
    for (const akin__client *c = s->clients; c; c = c->next) {
        if (c->dropped || (only && c->session.id != only)) continue;
        akin_buf_printf(
            out,
            "id=%llu addr=%s name=%s age=%llu idle=%llu flags=N db=0 sub=0 "
            "psub=0 multi=-1 qbuf=%zu obl=%zu cmd=%s user=default resp=%d "
            "lib-name=%s lib-ver=%s\n",
            (unsigned long long)c->session.id, c->address, c->session.name,
            (unsigned long long)(now - c->since_ms) / 1000,
            (unsigned long long)(now - c->active_ms) / 1000, c->held,
            c->writing_bytes, c->session.last ? c->session.last : "NULL",
            c->session.proto, c->session.library, c->session.library_version);
    }
}
