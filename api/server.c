/* Which thread may touch what.
 *
 *   loop thread   runs akin_server_run. Owns every uv handle, every client, its
 *                 parser and its queue of requests. Runs the commands whose row
 *                 says AKIN_CMD_LOOP. Never decodes, embeds, reads a file or
 *                 touches SQLite, and never waits for a lock that is held while
 *                 any of this happens. Searches only what takes well below a
 *                 millisecond, for the one client that asks: see run_quickly.
 *   workers       run one task at a time: its requests, its session and its
 *                 reply belong to the worker until the task is done; the loop
 *                 reads of that session only what it keeps itself. A worker
 *                 sends its reply, as far as the socket takes it without
 *                 waiting; meanwhile the loop neither writes to that socket nor
 *                 closes it. What is left goes back to the loop.
 *   any thread    akin_server_stop, the statistics, the service's `stopping`.
 *
 * A client's requests run in the order they came: the loop takes commands off
 * the front of its queue, runs those that are cheap itself and hands the others,
 * a few at a time, to a worker; while that works nothing else of this client
 * starts. Different clients run side by side. Back pressure is a chain: a client
 * that does not read its replies gets no further request started, so its queue
 * fills, so the loop stops reading its socket. */
#include "server_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define STOP_PATIENCE_MS 10000 /* for clients that do not read their replies */

static akin_status uv_fail(akin_error *err, int code, const char *what,
                           const char *which)
{
    return akin_fail(err, AKIN_IO, "%s %s: %s", what, which, uv_strerror(code));
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

static void stop_listening(akin_server *s)
{
    if (s->tcp_open) close_handle((uv_handle_t *)&s->tcp);
    if (s->pipe_open) close_handle((uv_handle_t *)&s->pipe);
    s->tcp_open = s->pipe_open = false;
    if (s->unix_path) unlink(s->unix_path);
}

static void begin_stop(akin_server *s)
{
    if (s->stopping) return;
    akin_log(AKIN_LOG_INFO, "stopping: waiting for running commands");
    s->stopping = true;
    s->stop_at_ms = uv_now(&s->loop) + STOP_PATIENCE_MS;
    atomic_store(&s->service->stopping, true);
    stop_listening(s);
    akin__server_tasks_await_all(s);
    akin__client_finish_all(s);
    if (s->guest.stop) s->guest.stop(s->guest.arg);
}

static bool busy(const akin_server *s)
{
    return s->tasks || s->clients ||
           (s->guest.idle && !s->guest.idle(s->guest.arg));
}

static void on_wake(uv_async_t *wake)
{
    akin_server *s = wake->data;
    akin__server_tasks_run_done(s);
    if (atomic_load(&s->stop_asked)) begin_stop(s);
}

static void on_timer(uv_timer_t *timer)
{
    akin_server *s = timer->data;
    uint64_t now = uv_now(&s->loop);
    akin__server_tasks_run_done(s);
    akin__client_sweep(s, now);
    if (s->stopping && now >= s->stop_at_ms && !s->tasks)
        akin__client_drop_all(s);
}

static void on_signal(uv_signal_t *signal, int number)
{
    akin_server *s = signal->data;
    if (s->stopping) _exit(128 + number); /* asked twice: at once */
    begin_stop(s);
}

static void on_connection(uv_stream_t *listener, int status)
{
    akin_server *s = listener->data;
    if (status < 0)
        akin_log(AKIN_LOG_WARN, "accept: %s", uv_strerror(status));
    else
        akin__client_accept(s, listener);
}

static akin_status listen_tcp(akin_server *s, akin_error *err)
{
    const char *host = s->options.bind;
    struct sockaddr_storage at;
    char where[128];
    snprintf(where, sizeof where, "%s:%u", host, s->options.port);
    int rc = uv_ip4_addr(host, s->options.port, (struct sockaddr_in *)&at);
    if (rc) rc = uv_ip6_addr(host, s->options.port, (struct sockaddr_in6 *)&at);
    if (rc)
        return akin_fail(err, AKIN_INVALID,
                         "cannot listen on '%s': give an address such as "
                         "127.0.0.1, 0.0.0.0 or ::1",
                         host);
    uv_tcp_init(&s->loop, &s->tcp);
    s->tcp.data = s;
    s->tcp_open = true;
    rc = uv_tcp_bind(&s->tcp, (struct sockaddr *)&at, 0);
    if (!rc) rc = uv_listen((uv_stream_t *)&s->tcp, 511, on_connection);
    if (rc) return uv_fail(err, rc, "cannot listen on", where);
    int size = sizeof at;
    uv_tcp_getsockname(&s->tcp, (struct sockaddr *)&at, &size);
    s->port =
        ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                       : ((struct sockaddr_in *)&at)->sin_port);
    return AKIN_OK;
}

/* A socket file that nobody listens on is left over from a crash. */
static bool unix_socket_alive(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof at.sun_path) return false;
    memcpy(at.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool alive = fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof at);
    if (fd >= 0) close(fd);
    return alive;
}

static akin_status listen_unix(akin_server *s, akin_error *err)
{
    const char *path = s->options.unix_path;
    struct sockaddr_un limit;
    struct stat st;
    if (strlen(path) >= sizeof limit.sun_path)
        return akin_fail(err, AKIN_INVALID,
                         "the socket's path is longer than %zu bytes: %s",
                         sizeof limit.sun_path - 1, path);
    if (!lstat(path, &st)) {
        if (!S_ISSOCK(st.st_mode))
            return akin_fail(err, AKIN_EXISTS,
                             "%s is there and is no socket; choose another "
                             "path with --unix",
                             path);
        if (unix_socket_alive(path))
            return akin_fail(err, AKIN_BUSY,
                             "another server listens on %s already", path);
        unlink(path);
    }
    uv_pipe_init(&s->loop, &s->pipe, 0);
    s->pipe.data = s;
    s->pipe_open = true;
    int rc = uv_pipe_bind(&s->pipe, path);
    if (!rc) {
        s->unix_path = akin_strdup(path);
        chmod(path, 0600);
        rc = uv_listen((uv_stream_t *)&s->pipe, 511, on_connection);
    }
    return rc ? uv_fail(err, rc, "cannot listen on", path) : AKIN_OK;
}

static akin_status init_loop(akin_server *s, akin_error *err)
{
    int rc = uv_loop_init(&s->loop);
    if (rc) return uv_fail(err, rc, "cannot start", "the event loop");
    s->loop_open = true;
    uv_mutex_init(&s->lock);
    uv_async_init(&s->loop, &s->wake, on_wake);
    uv_timer_init(&s->loop, &s->timer);
    uv_signal_init(&s->loop, &s->term);
    uv_signal_init(&s->loop, &s->interrupt);
    s->wake.data = s->timer.data = s->term.data = s->interrupt.data = s;
    return AKIN_OK;
}

akin_status akin_server_open(akin_service *service,
                             const akin_server_options *options,
                             akin_server **out, akin_error *err)
{
    akin_server *s = akin_calloc(1, sizeof *s);
    akin_status rc;

    *out = NULL;
    if (!s) return akin_fail(err, AKIN_NOMEM, "no memory for the server");
    s->service = service;
    s->options = *options;
    rc = init_loop(s, err);
    if (!rc) rc = akin__server_tasks_open(s, err);
    if (!rc && options->bind && *options->bind) rc = listen_tcp(s, err);
    if (!rc && options->unix_path && *options->unix_path)
        rc = listen_unix(s, err);
    if (rc) {
        akin_server_close(s);
        return rc;
    }
    service->server = s;
    *out = s;
    return AKIN_OK;
}

void akin_server_run(akin_server *s)
{
    uv_timer_start(&s->timer, on_timer, 1000, 1000);
    if (s->options.handle_signals) {
        uv_signal_start(&s->term, on_signal, SIGTERM);
        uv_signal_start(&s->interrupt, on_signal, SIGINT);
    }
    while (!s->stopping || busy(s))
        uv_run(&s->loop, UV_RUN_ONCE);
}

void akin_server_stop(akin_server *s)
{
    atomic_store(&s->stop_asked, true);
    uv_async_send(&s->wake);
}

static void close_any(uv_handle_t *handle, void *arg)
{
    (void)arg;
    close_handle(handle);
}

void akin_server_close(akin_server *s)
{
    if (!s) return;
    s->stopping = true;
    akin__server_tasks_close(s);
    if (s->loop_open) {
        stop_listening(s);
        uv_walk(&s->loop, close_any, NULL);
        while (uv_run(&s->loop, UV_RUN_DEFAULT)) {
        }
        uv_loop_close(&s->loop);
        uv_mutex_destroy(&s->lock);
    }
    if (s->service->server == s) s->service->server = NULL;
    akin_free(s->unix_path);
    akin_free(s);
}

void akin_server_set_guest(akin_server *s, const akin_server_guest *guest)
{
    s->guest = *guest;
}

uint16_t akin_server_port(const akin_server *s)
{
    return s->port;
}

uv_loop_t *akin_server_loop(akin_server *s)
{
    return &s->loop;
}

const akin_server_stats *akin_server_get_stats(const akin_server *s)
{
    return &s->stats;
}
