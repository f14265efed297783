/* The server: one libuv loop that owns every socket, and two pools of threads
 * that run the commands. HTTP lives beside RESP in the same loop: it listens
 * with handles of akin_server_loop and runs its handlers through
 * akin_server_hand_off. */
#ifndef AKIN_API_SERVER_H
#define AKIN_API_SERVER_H

#include <uv.h>

#include "commands.h"

typedef struct {
    const char *bind;      /* address; NULL or empty: no TCP */
    uint16_t port;         /* 0: any free one */
    const char *unix_path; /* NULL or empty: none */
    uint32_t max_clients;
    uint32_t idle_seconds; /* without a request; 0: never closed */
    uint32_t threads;      /* that run commands; 0: by processors */
    size_t request_bytes;  /* largest request */
    size_t output_bytes;   /* replies waiting for one client, beyond which its
                              requests wait */
    size_t memory_bytes;   /* requests of all clients together */
    bool handle_signals;   /* SIGINT, SIGTERM: stop; a second one: exit */
} akin_server_options;

/* Listens. Fails with AKIN_IO (address in use; says which), AKIN_NOMEM. The
 * service is borrowed; its `server` is set. */
akin_status akin_server_open(akin_service *service,
                             const akin_server_options *options,
                             akin_server **out,
                             akin_error *err) AKIN_MUST_CHECK;
/* Serves on the calling thread until akin_server_stop or a signal; then lets
 * running commands finish, sends their replies and closes. */
void akin_server_run(akin_server *server);
/* Any thread. Returns at once. */
void akin_server_stop(akin_server *server);
/* After run returned. No-op on NULL. */
void akin_server_close(akin_server *server);

uint16_t akin_server_port(const akin_server *server); /* the one bound; 0 */
uv_loop_t *akin_server_loop(akin_server *server);

/* Work for a pool thread that comes back to the loop: run(task) on a worker,
 * then done(task) on the loop thread. Call on the loop thread. slow: on the pool
 * whose threads may be held for minutes. AKIN_BUSY: the queue is full and
 * neither will be called. */
typedef struct akin_task akin_task;
struct akin_task {
    akin_task *next;
    void (*run)(akin_task *task);
    void (*done)(akin_task *task);
    akin_server *server;
    bool patient; /* run may set it: done can wait until the loop has something
                     to do anyway, a second at most */
    bool awaited, finished; /* the server's */
};
akin_status akin_server_hand_off(akin_server *server, akin_task *task,
                                 bool slow, akin_error *err) AKIN_MUST_CHECK;

/* Tasks that wait for a worker; any thread, while the server runs. */
typedef struct {
    uint32_t usual, slow;
} akin_server_queues;
akin_server_queues akin_server_queued(akin_server *server);

/* Something else that lives in the loop, such as HTTP: when the server stops,
 * stop(arg) is called once, and the loop runs on until idle(arg), by when it has
 * closed its handles. Loop thread; before run. */
typedef struct {
    void (*stop)(void *arg);
    bool (*idle)(void *arg);
    void *arg;
} akin_server_guest;
void akin_server_set_guest(akin_server *server, const akin_server_guest *guest);

/* Counters; any thread. */
typedef struct {
    _Atomic uint64_t connections, rejected, requests, bad_requests;
    _Atomic uint64_t bytes_in, bytes_out, clients, held_bytes;
    _Atomic uint64_t idle_closed, over_limit_closed;
} akin_server_stats;
const akin_server_stats *akin_server_get_stats(const akin_server *server);

/* CLIENT LIST's lines, or one client's. Loop thread. */
void akin_server_client_list(akin_server *server, uint64_t only, akin_buf *out);

#endif
