/* What server.c (sockets, clients) and server_tasks.c (threads) share. */
#ifndef AKIN_API_SERVER_INTERNAL_H
#define AKIN_API_SERVER_INTERNAL_H

#include "server.h"

#define AKIN_SERVER_READ_BYTES 65536

typedef struct akin__client akin__client;

struct akin_server {
    akin_service *service;
    akin_server_options options;
    char *unix_path; /* ours to remove; NULL: none */
    uv_loop_t loop;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
    uv_async_t wake; /* a task is done, or stop was asked for */
    uv_signal_t term, interrupt;
    uv_timer_t timer; /* each second */
    bool tcp_open, pipe_open, loop_open;
    uint16_t port;

    akin_pool *pool, *slow_pool;
    uv_mutex_t lock; /* done_first, done_last, hasty, awaited, finished */
    akin_task *done_first, *done_last;
    bool hasty; /* no task may be patient any more */
    atomic_bool stop_asked;
    unsigned tasks; /* handed off and not back; loop thread */

    akin_server_guest guest; /* or {0} */
    akin__client *clients;   /* loop thread */
    uint64_t last_client_id;
    unsigned reading; /* batches that run and began with a read: others ask;
                         loop thread, as is: */
    /* Searches on the loop: none before quick_after_ns; the last one ended at
     * quick_end_ns and was quick_client's. akin_mono_ns. */
    uint64_t quick_after_ns, quick_end_ns, quick_client;
    bool stopping;
    uint64_t stop_at_ms; /* when patience with slow readers ends */
    akin_server_stats stats;
    char read_buffer[AKIN_SERVER_READ_BYTES]; /* one read at a time uses it */
};

/* server_tasks.c */
akin_status akin__server_tasks_open(akin_server *server, akin_error *err);
void akin__server_tasks_run_done(akin_server *server);
/* The loop waits for this task, or for all: patience ends. True: it is done
 * already, and its `done` will be called by the next run_done. */
bool akin__server_task_await(akin_task *task);
void akin__server_tasks_await_all(akin_server *server);
void akin__server_tasks_close(akin_server *server);

/* server_client.c. accept: a connection waits on the listening stream. */
void akin__client_accept(akin_server *server, uv_stream_t *listener);
void akin__client_sweep(akin_server *server, uint64_t now_ms);
/* Ends a connection: at once, or when what runs has been answered. */
void akin__client_drop(akin__client *client);
void akin__client_finish(akin__client *client);
void akin__client_finish_all(akin_server *server);
void akin__client_drop_all(akin_server *server);

#endif
