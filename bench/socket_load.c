#include "socket_load.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    const load_queries *queries;
    const load_contestant *who;
    size_t thread;
    int64_t *rows; /* (queries, LOAD_K) */
    uint64_t *latency_ns, cpu_ns;
} part;

void load_die(const char *what, const char *why)
{
    fprintf(stderr, "bench_socket: %s: %s\n", what, why);
    exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t)) load_die("clock", "cannot read it");
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static redisContext *connect_to(const char *socket)
{
    redisContext *link = redisConnectUnix(socket);
    if (!link || link->err) load_die("connect", link ? link->errstr : "memory");
    return link;
}

/* ---- requests ------------------------------------------------------------- */

static void format_text(const float *vector, char **out, size_t *size)
{
    char values[LOAD_DIM][24], count[16], k[16];
    const char *argv[LOAD_DIM + 6] = {"VSIM", LOAD_NAME, "VALUES", count};
    int n = 4;
    snprintf(count, sizeof count, "%d", LOAD_DIM);
    snprintf(k, sizeof k, "%d", LOAD_K);
    for (int i = 0; i < LOAD_DIM; i++) {
        snprintf(values[i], sizeof values[i], "%.9g", (double)vector[i]);
        argv[n++] = values[i];
    }
    argv[n++] = "COUNT";
    argv[n++] = k;
    long long bytes = redisFormatCommandArgv(out, n, argv, NULL);
    if (bytes < 0) load_die("request", "memory");
    *size = (size_t)bytes;
}

void load_prepare(load_queries *q)
{
    q->requests = calloc(q->n, sizeof *q->requests);
    q->sizes = calloc(q->n, sizeof *q->sizes);
    q->texts = calloc(q->n, sizeof *q->texts);
    q->text_sizes = calloc(q->n, sizeof *q->text_sizes);
    if (!q->requests || !q->sizes || !q->texts || !q->text_sizes)
        load_die("memory", "none");
    for (size_t i = 0; i < q->n; i++) {
        const float *vector = q->floats + i * LOAD_DIM;
        int size = redisFormatCommand(&q->requests[i],
                                      "VSIM " LOAD_NAME " FP32 %b COUNT %d",
                                      vector, LOAD_DIM * sizeof(float), LOAD_K);
        if (size < 0) load_die("request", "memory");
        q->sizes[i] = (size_t)size;
        format_text(vector, &q->texts[i], &q->text_sizes[i]);
    }
}

void load_clear(load_queries *q)
{
    for (size_t i = 0; i < q->n; i++) {
        redisFreeCommand(q->requests[i]);
        redisFreeCommand(q->texts[i]);
    }
    free(q->requests);
    free(q->sizes);
    free(q->texts);
    free(q->text_sizes);
    free(q->floats);
    free(q->truth);
}

/* ---- asking ---------------------------------------------------------------- */

static void ask_engine(const part *p, size_t q)
{
    akin_query_term term = {.kind = AKIN_TERM_VECTOR,
                            .weight = 1,
                            .vector = p->queries->floats + q * LOAD_DIM,
                            .dim = LOAD_DIM};
    akin_query question = {.terms = &term, .nterms = 1, .k = LOAD_K};
    akin_results found;
    akin_error err;
    if (akin_engine_search(p->who->engine, LOAD_NAME, &question, &found, &err))
        load_die("search", err.message);
    for (size_t i = 0; i < found.n; i++)
        p->rows[q * LOAD_K + i] = atoll(found.matches[i].id);
    akin_results_clear(&found);
}

/* From query q on, every step-th, up to LOAD_TOGETHER; the latency of each is
 * that of all. */
static void ask_many(const part *p, size_t q, size_t step)
{
    akin_query_term terms[LOAD_TOGETHER];
    akin_query questions[LOAD_TOGETHER];
    akin_results found[LOAD_TOGETHER];
    akin_error errs[LOAD_TOGETHER];
    uint64_t start = akin_mono_ns();
    size_t n = 0;
    for (; n < LOAD_TOGETHER && q + n * step < p->queries->n; n++) {
        terms[n] = (akin_query_term){.kind = AKIN_TERM_VECTOR,
                                     .weight = 1,
                                     .vector = p->queries->floats +
                                               (q + n * step) * LOAD_DIM,
                                     .dim = LOAD_DIM};
        questions[n] =
            (akin_query){.terms = &terms[n], .nterms = 1, .k = LOAD_K};
    }
    akin_engine_search_many(p->who->engine, LOAD_NAME, questions, n, found,
                            errs);
    for (size_t i = 0; i < n; i++) {
        if (errs[i].status) load_die("search", errs[i].message);
        for (size_t j = 0; j < found[i].n; j++)
            p->rows[(q + i * step) * LOAD_K + j] =
                atoll(found[i].matches[j].id);
        akin_results_clear(&found[i]);
    }
    for (size_t i = 0; i < n; i++)
        p->latency_ns[q + i * step] = akin_mono_ns() - start;
}

static void append(redisContext *link, const part *p, size_t q)
{
    bool text = p->who->by == LOAD_SOCKET_TEXT;
    p->latency_ns[q] = akin_mono_ns();
    if (redisAppendFormattedCommand(
            link, text ? p->queries->texts[q] : p->queries->requests[q],
            text ? p->queries->text_sizes[q] : p->queries->sizes[q]))
        load_die("VSIM", link->errstr);
}

static void take(redisContext *link, const part *p, size_t q)
{
    redisReply *reply = NULL;
    if (redisGetReply(link, (void **)&reply)) load_die("VSIM", link->errstr);
    if (reply->type == REDIS_REPLY_ERROR) load_die("VSIM", reply->str);
    p->latency_ns[q] = akin_mono_ns() - p->latency_ns[q];
    for (size_t i = 0; i < reply->elements && i < LOAD_K; i++)
        p->rows[q * LOAD_K + i] = atoll(reply->element[i]->str);
    freeReplyObject(reply);
}

/* `depth` requests under way: one is sent for each reply that was read, and
 * hiredis writes what has gathered when it has nothing left to read. */
static void ask_socket(const part *p, size_t step)
{
    redisContext *link = connect_to(p->who->socket);
    size_t sent = p->thread;
    for (size_t d = 0; d < p->who->depth && sent < p->queries->n;
         d++, sent += step)
        append(link, p, sent);
    for (size_t q = p->thread; q < p->queries->n; q += step) {
        take(link, p, q);
        if (sent >= p->queries->n) continue;
        append(link, p, sent);
        sent += step;
    }
    redisFree(link);
}

static void *run_part(void *arg)
{
    part *p = arg;
    size_t step = p->who->threads;
    uint64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    if (p->who->by == LOAD_SOCKET || p->who->by == LOAD_SOCKET_TEXT) {
        ask_socket(p, step);
    } else if (p->who->by == LOAD_MANY) {
        for (size_t q = p->thread; q < p->queries->n; q += step * LOAD_TOGETHER)
            ask_many(p, q, step);
    } else {
        for (size_t q = p->thread; q < p->queries->n; q += step) {
            uint64_t start = akin_mono_ns();
            if (p->who->by == LOAD_ENGINE)
                ask_engine(p, q);
            else
                rival_search(p->who->faiss, p->queries->floats + q * LOAD_DIM,
                             LOAD_K, p->rows + q * LOAD_K);
            p->latency_ns[q] = akin_mono_ns() - start;
        }
    }
    p->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu;
    return NULL;
}

static double recall_of(const load_queries *queries, const int64_t *rows)
{
    size_t right = 0;
    for (size_t q = 0; q < queries->n; q++)
        for (size_t i = 0; i < LOAD_K; i++)
            for (size_t j = 0; j < LOAD_K; j++)
                right += rows[q * LOAD_K + j] == queries->truth[q * LOAD_K + i];
    return (double)right / (double)(queries->n * LOAD_K);
}

void load_ask(const load_queries *queries, const load_contestant *who,
              load_round *out, uint64_t *latency_ns)
{
    int64_t *rows = calloc(queries->n * LOAD_K, sizeof *rows);
    pthread_t ids[LOAD_THREADS];
    part parts[LOAD_THREADS];
    clockid_t server_clock = CLOCK_MONOTONIC;
    bool socket = who->by == LOAD_SOCKET || who->by == LOAD_SOCKET_TEXT;
    uint64_t server_ns = 0, asking_ns = 0, start, ns;

    if (!rows) load_die("memory", "none");
    for (size_t i = 0; i < queries->n * LOAD_K; i++)
        rows[i] = -1;
    if (socket && clock_getcpuclockid(who->server, &server_clock))
        load_die("server", "has no clock");
    if (socket) server_ns = clock_ns(server_clock);
    start = akin_mono_ns();
    for (size_t t = 0; t < who->threads; t++) {
        parts[t] = (part){queries, who, t, rows, latency_ns, 0};
        pthread_create(&ids[t], NULL, run_part, &parts[t]);
    }
    for (size_t t = 0; t < who->threads; t++) {
        pthread_join(ids[t], NULL);
        asking_ns += parts[t].cpu_ns;
    }
    ns = akin_mono_ns() - start;
    if (socket) server_ns = clock_ns(server_clock) - server_ns;
    double n = (double)queries->n;
    *out = (load_round){.qps = n / ((double)ns * 1e-9),
                        .recall = recall_of(queries, rows),
                        .answer_us =
                            (double)(socket ? server_ns : asking_ns) * 1e-3 / n,
                        .ask_us = socket ? (double)asking_ns * 1e-3 / n : 0};
    free(rows);
}

/* ---- writing --------------------------------------------------------------- */

static void sleep_until(uint64_t ns)
{
    struct timespec at = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL)) {
    }
}

void *load_write(void *arg)
{
    load_writer *w = arg;
    redisContext *link = connect_to(w->socket);
    float vector[LOAD_DIM];
    uint64_t started = akin_mono_ns();
    for (size_t i = 0; !atomic_load(&w->stop); i++) {
        sleep_until(started + (uint64_t)((double)i * 1e9 / w->per_second));
        akin_float_from_half(vector, w->rows + i % w->n * LOAD_DIM, LOAD_DIM);
        char id[24];
        snprintf(id, sizeof id, "%zu", w->first + i);
        uint64_t start = akin_mono_ns();
        redisReply *reply = redisCommand(link, "VADD " LOAD_NAME " FP32 %b %s",
                                         vector, sizeof vector, id);
        if (!reply || reply->type == REDIS_REPLY_ERROR)
            load_die("VADD", reply ? reply->str : link->errstr);
        freeReplyObject(reply);
        if (i < w->room) w->ack_ns[i] = akin_mono_ns() - start;
        w->done = i + 1;
    }
    redisFree(link);
    return NULL;
}

/* ---- figures --------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

double load_quantile_us(uint64_t *ns, size_t n, double share)
{
    if (!n) return 0;
    qsort(ns, n, sizeof *ns, by_size);
    size_t at = (size_t)(share * (double)n);
    return (double)ns[at < n ? at : n - 1] * 1e-3;
}
