/* The HTTP server: libmicrohttpd's daemon inside the server's libuv loop.
 *
 * Everything here runs on the loop thread. The daemon keeps its sockets in an
 * epoll descriptor; the loop polls that one descriptor and calls MHD_run. A
 * request that is complete is handed to a worker and its connection suspended;
 * when the worker is done the connection is resumed, libmicrohttpd calls
 * `access` once more and the reply is queued. So the loop never waits, and a
 * connection that waits for a worker costs nothing.
 *
 * Bodies are gathered in memory, each at most options.body_bytes, all together
 * at most HTTP_HELD_TIMES as much; routes that take endless bodies (HTTP_CHUNKS)
 * get them in pieces, and reading pauses while a piece is worked on. What these
 * have written by then is counted apart (told_bytes): it is in nobody's way. */
#include "http.h"

#include "http_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTION_MEMORY (64u << 10) /* request line and headers */
#define READ_SECONDS      600         /* a request must be complete after */
#define HEADER_TIMES      2 /* times idle_s, until a request's headers are in */
#define TICK_MS           500
#define STOP_SECONDS      5 /* replies must be out after */

static void on_timer(uv_timer_t *timer)
{
    akin__http_pump(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    akin__http_pump(poll->data);
}

void akin__http_pump(akin_http *http)
{
    MHD_UNSIGNED_LONG_LONG wait_ms;

    if (http->stopped) return;
    /* At its limit of connections it stops listening, and looks whether it may
     * again only when it runs. */
    do {
        http->closed_one = false;
        MHD_run(http->daemon);
    } while (http->closed_one);
    if (MHD_get_timeout(http->daemon, &wait_ms) == MHD_YES)
        uv_timer_start(&http->timer, on_timer, wait_ms, 0);
    else
        uv_timer_stop(&http->timer);
}

/* ---- sending ------------------------------------------------------------- */

static void header(struct MHD_Response *response, const char *name,
                   const char *value)
{
    if (MHD_add_response_header(response, name, value) != MHD_YES)
        akin_log(AKIN_LOG_WARN, "http: cannot add header %s", name);
}

void akin__http_headers(struct MHD_Response *response,
                        const akin_http_call *call)
{
    header(response, "Content-Type",
           call->type ? call->type : "application/json");
    header(response, "Cache-Control", call->cache ? call->cache : "no-store");
    header(response, "X-Content-Type-Options", "nosniff");
    header(response, "Referrer-Policy", "no-referrer");
    header(response, "Content-Security-Policy",
           "default-src 'none'; script-src 'self'; style-src 'self'; "
           "img-src 'self' blob: data:; connect-src 'self'; "
           "manifest-src 'self'; base-uri 'none'; form-action 'none'; "
           "frame-ancestors 'none'");
    if (call->etag[0]) header(response, "ETag", call->etag);
    if (call->gzipped) header(response, "Content-Encoding", "gzip");
    if (call->gzipped || call->etag[0])
        header(response, "Vary", "Accept-Encoding");
    if (call->disposition[0])
        header(response, "Content-Disposition", call->disposition);
    if (call->allow[0]) header(response, "Allow", call->allow);
    if (call->status == 503) header(response, "Retry-After", "1");
    if (call->status == 401)
        header(response, "WWW-Authenticate", "Bearer realm=\"akin\"");
}

/* "bytes=a-b", "bytes=a-", "bytes=-n" of a body of size bytes. false: none, or
 * several, or out of bounds: the whole body is sent. */
static bool parse_range(const char *text, uint64_t size, uint64_t *from,
                        uint64_t *to)
{
    const char *digits = "0123456789";

    if (strncmp(text, "bytes=", 6) || !size) return false;
    text += 6;
    size_t first = strspn(text, digits);
    size_t last = text[first] == '-' ? strspn(text + first + 1, digits) : 0;
    if (text[first] != '-' || text[first + 1 + last] || first + last == 0)
        return false;
    unsigned long long a = strtoull(text, NULL, 10);
    unsigned long long b = strtoull(text + first + 1, NULL, 10);
    if (!first) { /* the last b bytes */
        *from = b < size ? size - b : 0;
        *to = size - 1;
        return b > 0;
    }
    *from = a;
    *to = last && b < size ? b : size - 1;
    return a < size && *from <= *to;
}

/* What of the body is sent. */
typedef struct {
    uint64_t from, size;
    char content_range[80]; /* "": all of it */
} part;

static part choose_part(akin_http_call *call)
{
    uint64_t size = call->file >= 0       ? call->file_bytes
                    : call->constant.data ? call->constant.size
                                          : call->out.size;
    part all = {.size = size};
    uint64_t from, to;

    if (call->status != 200 || !call->etag[0] || !call->range[0] ||
        (call->if_range[0] && strcmp(call->if_range, call->etag)) ||
        !parse_range(call->range, size, &from, &to))
        return all;
    part some = {.from = from, .size = to - from + 1};
    snprintf(some.content_range, sizeof some.content_range,
             "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from, to, size);
    call->status = 206;
    return some;
}

/* The reply's body moves from the call to the response. */
static struct MHD_Response *make_response(akin_http_call *call, const part *p)
{
    if (call->status == 304)
        return MHD_create_response_from_buffer(0, (void *)"",
                                               MHD_RESPMEM_PERSISTENT);
    if (call->file >= 0) return akin__http_file(call, p->from, p->size);
    if (call->constant.data)
        return MHD_create_response_from_buffer(
            (size_t)p->size, (uint8_t *)call->constant.data + p->from,
            MHD_RESPMEM_PERSISTENT);
    if (p->from)
        memmove(call->out.data, call->out.data + p->from, (size_t)p->size);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(
            (size_t)p->size, call->out.data, akin_free);
    if (response) call->out = (akin_buf){0};
    return response;
}

/* The path as it came, but decoded: its row's with the parameters in place. */
static void write_path(const akin_http_call *call, akin_buf *out)
{
    size_t n = 0;

    for (const char *c = call->route->path; *c; c++) {
        if (*c != '{') {
            akin_buf_append(out, c, 1);
            continue;
        }
        akin_buf_text(out, call->params[n++]);
        c = strchr(c, '}');
    }
}

static void write_address(const akin_http_call *call, char *out, size_t size)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        call->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char port[8];

    *out = 0;
    if (!info || getnameinfo(info->client_addr, sizeof(struct sockaddr_in6),
                             out, (socklen_t)(size - sizeof port), port,
                             sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
        return;
    size_t used = strlen(out);
    snprintf(out + used, size - used, ":%s", port);
}

static void note_slow(const akin_http_call *call, uint64_t ns)
{
    char address[96];
    akin_buf path = {0};

    write_address(call, address, sizeof address);
    write_path(call, &path);
    akin_span words[] = {akin_span_of(call->route->method),
                         {path.data, path.size},
                         {call->body.data, call->body.size}};
    akin_slowlog_note(call->service->slowlog, ns, words,
                      call->body.size ? 3 : 2, address, "");
    akin_buf_clear(&path);
}

/* Of several changes at once only those with a deletion among them count. */
void akin__http_audit(const akin_http_call *call)
{
    char address[96];
    akin_buf what = {0};
    bool batch = !strcmp(call->route->name, "batch_update");

    if (batch && !memmem(call->body.data, call->body.size, "\"delete", 7))
        return;
    write_address(call, address, sizeof address);
    akin_buf_printf(&what, "%s ", call->route->method);
    write_path(call, &what);
    if (!what.failed)
        akin_audit(call->service, address[0] ? address : "HTTP", "",
                   (akin_span){what.data, what.size},
                   (akin_span){call->body.data, call->body.size});
    akin_buf_clear(&what);
}

/* Whether the client has what it asks for: an ETag of its list, or "*". */
static bool is_known(const akin_http_call *call)
{
    const char *list = call->if_none_match;

    if (!call->etag[0] || !*list || call->status != 200) return false;
    return strstr(list, call->etag) || !strcmp(list, "*");
}

static void count(akin_http_call *call)
{
    akin_http *http = call->http;
    size_t n = http->stats.nroutes - 1, at = n;
    uint64_t now = akin_mono_ns();
    uint64_t ns = now - (call->ready_ns ? call->ready_ns : call->started_ns);

    if (call->route) at = (size_t)(call->route - akin__http_routes(&n));
    akin_metrics_count(&http->stats.stats[at], ns, call->status >= 400);
    http->stats.bytes_out += call->sent_bytes;
    /* uploads and the like are as slow as they are large */
    if (call->route && !(call->route->flags & (HTTP_SLOW | HTTP_LOOP)) &&
        akin_took_long(call->service, ns))
        note_slow(call, ns);
}

static enum MHD_Result send_reply(akin_http_call *call)
{
    akin__http_gzip_constant(call);
    if (is_known(call)) call->status = 304;
    part p = choose_part(call);
    call->sent_bytes = call->status == 304 ? 0 : p.size;
    count(call);
    struct MHD_Response *response = make_response(call, &p);
    if (!response) return MHD_NO;
    akin__http_headers(response, call);
    if (call->etag[0] && !call->gzipped)
        header(response, "Accept-Ranges", "bytes");
    if (p.content_range[0]) header(response, "Content-Range", p.content_range);
    enum MHD_Result ok =
        MHD_queue_response(call->connection, call->status, response);
    MHD_destroy_response(response);
    return ok;
}

static enum MHD_Result finish(akin_http_call *call)
{
    call->phase = HTTP_DONE;
    if (!call->failed && call->route && call->route->flags & HTTP_EVENTS) {
        akin_error err;
        akin_status rc = akin__http_events_room(call->http, &err);
        if (!rc) return akin__http_events_begin(call);
        akin__http_fail(call, rc, &err);
    }
    return send_reply(call);
}

/* ---- running ------------------------------------------------------------- */

static void run_task(akin_task *task)
{
    akin__http_run((akin_http_call *)task);
}

/* Frees what the handler is done with; the rest stays in front of what comes.
 */
static void drop_consumed(akin_http_call *call)
{
    size_t n = call->consumed;

    call->http->held_bytes -= n;
    call->body.size -= n;
    memmove(call->body.data, call->body.data + n, call->body.size);
    call->consumed = 0;
}

static void task_done(akin_task *task)
{
    akin_http_call *call = (akin_http_call *)task;
    akin_http *http = call->http;

    http->stats.in_flight--;
    if (call->more && !call->failed) drop_consumed(call);
    call->phase = call->more ? HTTP_READING : HTTP_DONE;
    MHD_resume_connection(call->connection);
    akin__http_pump(http);
}

static enum MHD_Result submit(akin_http_call *call, bool more)
{
    akin_error err;
    bool slow = call->route->flags & HTTP_SLOW;

    call->more = more;
    if (!more) call->ready_ns = akin_mono_ns();
    if (call->route->flags & HTTP_LOOP) {
        akin__http_run(call);
        return finish(call);
    }
    call->task.run = run_task;
    call->task.done = task_done;
    akin_status rc =
        akin_server_hand_off(call->service->server, &call->task, slow, &err);
    if (rc) {
        akin__http_fail(call, rc, &err);
        return more ? MHD_YES : finish(call);
    }
    call->phase = HTTP_RUNNING;
    call->http->stats.in_flight++;
    MHD_suspend_connection(call->connection);
    return MHD_YES;
}

/* ---- receiving ----------------------------------------------------------- */

static const char *value_of(akin_http_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

static void copy_header(akin_http_call *call, const char *name, char *out,
                        size_t size)
{
    const char *value = value_of(call, name);

    if (value && strlen(value) < size) memcpy(out, value, strlen(value) + 1);
}

static akin_status check_size(akin_http_call *call, akin_error *err)
{
    const char *length = value_of(call, "Content-Length");
    size_t limit = call->http->options.body_bytes;

    if (!length || call->route->flags & HTTP_CHUNKS ||
        strtoull(length, NULL, 10) <= limit)
        return AKIN_OK;
    return akin_fail(err, AKIN_TOO_LARGE,
                     "Payload Too Large: at most %zu bytes are taken, got %s",
                     limit, length);
}

/* A form is read by libmicrohttpd, which wants the connection for that. */
static akin_status open_form(akin_http_call *call, akin_error *err)
{
    const char *type = value_of(call, "Content-Type");

    if (!(call->route->flags & HTTP_FORM)) return AKIN_OK;
    if (type && !strncasecmp(type, "multipart/form-data", 19))
        call->form = MHD_create_post_processor(call->connection, 64u << 10,
                                               akin__http_form_part, call);
    if (call->form) return AKIN_OK;
    return akin_fail(err, AKIN_UNSUPPORTED,
                     "expected a body of multipart/form-data");
}

static akin_http_peer *peer_of(struct MHD_Connection *connection)
{
    return MHD_get_connection_info(connection,
                                   MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        ->socket_context;
}

/* Headers are there: everything that can be said without the body. */
static enum MHD_Result begin(akin_http_call *call,
                             struct MHD_Connection *connection,
                             const char *method)
{
    akin_error err;
    const char *accept;

    call->connection = connection;
    akin_http_peer *peer = peer_of(connection);
    if (peer) peer->asking = true;
    accept = value_of(call, "Accept");
    call->html = accept && strstr(accept, "text/html");
    copy_header(call, "If-None-Match", call->if_none_match,
                sizeof call->if_none_match);
    copy_header(call, "Range", call->range, sizeof call->range);
    copy_header(call, "If-Range", call->if_range, sizeof call->if_range);
    call->gzip = akin__http_accepts_gzip(value_of(call, "Accept-Encoding"));

    akin_status rc = akin__http_route(call, method, &err);
    if (!rc) rc = akin__http_allowed(call, &err);
    if (!rc) rc = check_size(call, &err);
    if (!rc) rc = open_form(call, &err);
    if (!rc) return MHD_YES;
    akin__http_fail(call, rc, &err);
    /* The rest of a short body is read and dropped, so that the connection can
     * be used again; a long one costs the connection. */
    return rc == AKIN_TOO_LARGE ? finish(call) : MHD_YES;
}

static enum MHD_Result receive(akin_http_call *call, const char *data,
                               size_t *size)
{
    akin_http *http = call->http;
    size_t n = *size, limit = http->options.body_bytes;
    bool chunks = call->route && call->route->flags & HTTP_CHUNKS;
    size_t piece = limit / 2 < HTTP_CHUNK_BYTES ? limit / 2 : HTTP_CHUNK_BYTES;
    akin_error err;

    *size = 0;
    http->stats.bytes_in += n;
    call->received_bytes += n;
    if (!chunks && call->received_bytes > 2 * limit) return MHD_NO;
    if (!chunks &&
        akin_mono_ns() - call->started_ns > READ_SECONDS * 1000000000ull)
        return MHD_NO;
    if (call->failed) return MHD_YES;
    if (call->body.size + n > limit)
        akin__http_fail(call,
                        akin_fail(&err, AKIN_TOO_LARGE,
                                  "Payload Too Large: at most %zu bytes are "
                                  "taken%s",
                                  limit, chunks ? " in one line" : ""),
                        &err);
    else if (http->held_bytes + n > HTTP_HELD_TIMES * limit)
        akin__http_fail(
            call, akin_fail(&err, AKIN_BUSY, "too many large requests at once"),
            &err);
    if (call->failed) return MHD_YES;
    akin_buf_append(&call->body, data, n);
    if (call->body.failed) return MHD_NO;
    http->held_bytes += n;
    if (chunks && call->body.size >= piece) return submit(call, true);
    return MHD_YES;
}

static enum MHD_Result access_call(void *user,
                                   struct MHD_Connection *connection,
                                   const char *url, const char *method,
                                   const char *version, const char *data,
                                   size_t *size, void **slot)
{
    akin_http_call *call = *slot;

    (void)user;
    (void)url;
    (void)version;
    if (!call) return MHD_NO; /* out of memory */
    if (!call->connection) return begin(call, connection, method);
    /* libmicrohttpd goes on with chunks it has already, suspended or not; what
     * is not taken comes again. */
    if (call->phase == HTTP_RUNNING) return MHD_YES;
    if (*size) return receive(call, data, size);
    if (call->failed || call->phase == HTTP_DONE) return finish(call);
    return submit(call, false);
}

/* The request line is there. What this returns becomes *slot above. */
static void *first_line(void *user, const char *target,
                        struct MHD_Connection *connection)
{
    akin_http *http = user;
    akin_http_call *call = akin_calloc(1, sizeof *call);

    (void)connection;
    if (!call) return NULL;
    call->target = akin_strdup(target);
    if (!call->target) {
        akin_free(call);
        return NULL;
    }
    call->http = http;
    call->service = http->service;
    call->engine = http->service->engine;
    call->started_ns = akin_mono_ns();
    call->status = 200;
    call->file = -1;
    http->calls++;
    http->stats.bytes_in += strlen(target);
    return call;
}

static void completed(void *user, struct MHD_Connection *connection,
                      void **slot, enum MHD_RequestTerminationCode code)
{
    akin_http *http = user;
    akin_http_call *call = *slot;
    akin_http_peer *peer = peer_of(connection);

    (void)code;
    if (peer) {
        peer->asking = false;
        peer->since_ns = akin_mono_ns();
    }
    if (!call) return;
    http->held_bytes -= call->body.size;
    http->calls--;
    akin__http_call_free(call);
    *slot = NULL;
}

static void connection_changed(void *user, struct MHD_Connection *connection,
                               void **slot,
                               enum MHD_ConnectionNotificationCode code)
{
    akin_http *http = user;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        akin_http_peer *peer = akin_calloc(1, sizeof *peer);
        http->stats.connections++;
        http->stats.clients++;
        *slot = peer;
        if (!peer) return; /* then only silence closes it */
        *peer =
            (akin_http_peer){http->peers, connection, akin_mono_ns(), false};
        http->peers = peer;
        return;
    }
    http->stats.clients--;
    http->closed_one = true;
    akin_http_peer **link = &http->peers;
    while (*link && *link != *slot)
        link = &(*link)->next;
    if (*link) *link = (*link)->next;
    akin_free(*slot);
    *slot = NULL;
}

/* libmicrohttpd closes silent connections; one that sends its headers byte by
 * byte is not silent. */
static void close_dawdlers(akin_http *http)
{
    uint64_t now = akin_mono_ns();
    uint64_t most = HEADER_TIMES * http->options.idle_s * 1000000000ull;

    for (akin_http_peer *p = http->peers; p; p = p->next) {
        if (p->asking || now - p->since_ns < most) continue;
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(
            p->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        shutdown(info->connect_fd, SHUT_RDWR);
    }
}

/* ---- opening ------------------------------------------------------------- */

static void library_log(void *user, const char *fmt, va_list args)
{
    char line[512];

    (void)user;
    vsnprintf(line, sizeof line, fmt, args);
    line[strcspn(line, "\r\n")] = 0;
    akin_log(AKIN_LOG_DEBUG, "http: %s", line);
}

/* Paths are cut up before they are decoded, so that an id may hold a slash. */
static size_t leave_escaped(void *user, struct MHD_Connection *connection,
                            char *text)
{
    (void)user;
    (void)connection;
    return strlen(text);
}

static akin_status listen_on(akin_http *http, akin_error *err)
{
    const char *host = http->options.bind;
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    char port[8];
    int on = 1, fd;

    snprintf(port, sizeof port, "%u", http->options.port);
    if (getaddrinfo(host, port, &hints, &list))
        return akin_fail(err, AKIN_INVALID,
                         "http: expected a numeric address, got %s", host);
    fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool ok = fd >= 0 && !bind(fd, list->ai_addr, list->ai_addrlen) &&
              !listen(fd, 511) &&
              !getsockname(fd, (struct sockaddr *)&bound, &size);
    int cause = errno;
    freeaddrinfo(list);
    if (!ok) {
        if (fd >= 0) close(fd);
        return akin_fail_errno(err, cause, "http: cannot listen on %s:%s", host,
                               port);
    }
    http->port = ntohs(bound.ss_family == AF_INET6
                           ? ((struct sockaddr_in6 *)&bound)->sin6_port
                           : ((struct sockaddr_in *)&bound)->sin_port);
    http->listener = fd;
    return AKIN_OK;
}

static akin_status start_daemon(akin_http *http, akin_error *err)
{
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_LISTEN_SOCKET, http->listener, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, http->options.connections, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, http->options.idle_s, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)library_log, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)first_line, http},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)leave_escaped, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)completed, http},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)connection_changed, http},
        {MHD_OPTION_END, 0, NULL}};

    http->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, access_call, http, MHD_OPTION_ARRAY, items, MHD_OPTION_END);
    if (http->daemon) return AKIN_OK;
    return akin_fail(err, AKIN_IO, "http: libmicrohttpd did not start");
}

static void on_tick(uv_timer_t *timer);

static akin_status start_polling(akin_http *http, akin_error *err)
{
    uv_loop_t *loop = akin_server_loop(http->service->server);
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);

    http->poll.data = http->timer.data = http->ticker.data = http;
    int rc = uv_poll_init(loop, &http->poll, info->epoll_fd);
    if (rc)
        return akin_fail(err, AKIN_IO, "http: cannot poll: %s",
                         uv_strerror(rc));
    uv_timer_init(loop, &http->timer);
    uv_timer_init(loop, &http->ticker);
    http->nclosing = 3;
    uv_poll_start(&http->poll, UV_READABLE, on_readable);
    uv_timer_start(&http->ticker, on_tick, TICK_MS, TICK_MS);
    return AKIN_OK;
}

static akin_status open_stats(akin_http *http, akin_error *err)
{
    size_t n;
    const akin_http_route *routes = akin__http_routes(&n);
    const char **names = akin_calloc(n + 1, sizeof *names);

    http->stats.names = names;
    http->stats.stats = akin_calloc(n + 1, sizeof *http->stats.stats);
    http->stats.nroutes = n + 1;
    if (!names || !http->stats.stats)
        return akin_fail(err, AKIN_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        names[i] = routes[i].name;
    names[n] = "unknown";
    return AKIN_OK;
}

/* ---- stopping ------------------------------------------------------------ */

static void handle_closed(uv_handle_t *handle)
{
    akin_http *http = handle->data;
    http->nclosing--;
}

/* Workers are done, and so is what they wrote, or its readers take too long. */
static void stop_if_quiet(akin_http *http)
{
    uint64_t now = akin_mono_ns();

    if (http->stopped) return;
    if (http->stats.in_flight) {
        http->quiet_ns = now;
        return;
    }
    if (http->calls && now - http->quiet_ns <= STOP_SECONDS * 1000000000ull)
        return;
    akin__http_events_stop(http);
    MHD_run(http->daemon);
    http->stopped = true;
    uv_close((uv_handle_t *)&http->poll, handle_closed);
    uv_close((uv_handle_t *)&http->timer, handle_closed);
    uv_close((uv_handle_t *)&http->ticker, handle_closed);
    MHD_stop_daemon(http->daemon);
    http->daemon = NULL;
}

static void on_tick(uv_timer_t *timer)
{
    akin_http *http = timer->data;

    if (http->stopping) {
        stop_if_quiet(http);
        return;
    }
    akin__http_events_tick(http);
    close_dawdlers(http);
}

static void stop_guest(void *arg)
{
    akin_http *http = arg;

    if (http->stopping) return;
    http->stopping = true;
    http->quiet_ns = akin_mono_ns();
    MHD_quiesce_daemon(http->daemon);
    close(http->listener);
    http->listener = -1;
    akin__http_events_stop(http);
    akin__http_pump(http);
    uv_timer_start(&http->ticker, on_tick, 0, 10);
}

static bool guest_is_idle(void *arg)
{
    const akin_http *http = arg;
    return http->stopped && !http->nclosing;
}

static void become_guest(akin_http *http)
{
    akin_server_guest guest = {stop_guest, guest_is_idle, http};
    akin_server_set_guest(http->service->server, &guest);
}

akin_status akin_http_open(akin_service *service,
                           const akin_http_options *options, akin_http **out,
                           akin_error *err)
{
    akin_http *http = akin_calloc(1, sizeof *http);
    akin_status rc;

    if (!http) return akin_fail(err, AKIN_NOMEM, "out of memory");
    http->service = service;
    http->options = *options;
    http->listener = -1;
    if (!options->body_bytes) http->options.body_bytes = 64u << 20;
    if (!options->connections) http->options.connections = 512;
    if (!options->idle_s) http->options.idle_s = 60;
    if (!options->timeout_ms) http->options.timeout_ms = 30000;
    if (!options->bind || !*options->bind) http->options.bind = "127.0.0.1";
    rc = open_stats(http, err);
    if (!rc) rc = listen_on(http, err);
    if (!rc) rc = start_daemon(http, err);
    if (!rc) rc = start_polling(http, err);
    http->options.bind = NULL; /* the caller's, not needed any more */
    if (rc) {
        akin_http_close(http);
        return rc;
    }
    become_guest(http);
    *out = http;
    return AKIN_OK;
}

uint16_t akin_http_port(const akin_http *http)
{
    return http->port;
}

void akin_http_close(akin_http *http)
{
    if (!http) return;
    if (http->daemon) MHD_stop_daemon(http->daemon);
    if (http->listener >= 0) close(http->listener);
    akin_buf_clear(&http->events);
    for (size_t i = 0; i < http->npacked; i++)
        akin_buf_clear(&http->packed[i].bytes);
    akin_free((void *)http->stats.names);
    akin_free(http->stats.stats);
    akin_free(http);
}
