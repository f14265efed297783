/* How bench_socket asks and what it measures: somebody who answers queries is
 * asked all of them, from so many threads, each with so many under way, and
 * wall time, latencies and processor time of either side are kept. */
#ifndef BENCH_SOCKET_LOAD_H
#define BENCH_SOCKET_LOAD_H

#include <stdatomic.h>
#include <sys/types.h>

#include "akin_engine.h"
#include "ann_rivals.h"

#define LOAD_K        10
#define LOAD_DIM      512
#define LOAD_NAME     "bench"
#define LOAD_THREADS  64
#define LOAD_TOGETHER 8 /* queries of a call of LOAD_MANY */

/* What all of them are asked. */
typedef struct {
    size_t n;
    float *floats;   /* (n, LOAD_DIM) */
    int64_t *truth;  /* (n, LOAD_K) */
    char **requests; /* (n) VSIM with FP32, as sent; hiredis's memory */
    size_t *sizes;   /* (n) */
    char **texts;    /* (n) the same with VALUES */
    size_t *text_sizes;
} load_queries;

typedef enum {
    LOAD_ENGINE,
    LOAD_MANY, /* akin_engine_search_many */
    LOAD_SOCKET,
    LOAD_SOCKET_TEXT,
    LOAD_FAISS
} load_by;

/* Who is asked, and how. */
typedef struct {
    const char *name;
    load_by by;
    size_t threads, depth; /* depth: requests under way a connection */
    akin_engine *engine;
    const char *socket;
    pid_t server;
    const rival *faiss;
} load_contestant;

/* One round over all queries. */
typedef struct {
    double qps, recall;
    double answer_us, ask_us; /* processor time a query: of who answers (all its
                                 threads), of who asks; in process there is one
                                 for both, and ask_us is 0 */
} load_round;

/* latency_ns: (queries->n), from sending to having read. */
void load_ask(const load_queries *queries, const load_contestant *who,
              load_round *out, uint64_t *latency_ns);

/* A connection that adds items at a steady pace until told to stop. rows:
 * float16 vectors (n, LOAD_DIM), used in turn; ids count from first. */
typedef struct {
    const char *socket;
    const uint16_t *rows;
    size_t n, first;
    double per_second;
    atomic_bool stop;
    size_t done;      /* after load_write_end */
    uint64_t *ack_ns; /* (room) */
    size_t room;
} load_writer;

/* The thread of a load_writer. */
void *load_write(void *writer);

/* Requests of all queries; queries->floats and n are set. */
void load_prepare(load_queries *queries);
void load_clear(load_queries *queries);

_Noreturn void load_die(const char *what, const char *why);
/* The value below which this share lies, in microseconds; sorts. */
double load_quantile_us(uint64_t *ns, size_t n, double share);

#endif
