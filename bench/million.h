/* What the parts of bench_million share. */
#ifndef AKIN_BENCH_MILLION_H
#define AKIN_BENCH_MILLION_H

#include <pthread.h>
#include <stdatomic.h>

#include "akin_engine.h"
#include "ann_data.h"

#define NAME     "million"
#define DIM      512
#define CLUSTERS 2000
#define SEED     1
#define BATCH    1000
#define K        10
#define QUERIES  500
#define FEW      200 /* of them, where each has to be asked exactly, too */

/* Ends the program with the message of `failure`, which the calls fill. */
extern akin_error failure;
void must(akin_status rc);
double now(void);              /* seconds */
double resident_mb(char kind); /* 'a'nonymous, 'f'ile, 'p'eak of both */

akin_engine *open_engine(const char *dir, const char *automatic);
akin_collection_info *info_of(akin_engine *engine); /* for free() */
void print_info(akin_engine *engine);
/* Items first, first + 1, ... with the vectors of `rows`, (n, DIM) float16. */
void put_items(akin_engine *engine, const uint16_t *rows, size_t first,
               size_t n);
/* Queries, and behind them rows that can be put as new items. */
void make_queries(size_t more, ann_vectors *rows, float **queries);

/* One query; returns the number of results, ids in out (K). */
size_t ask(akin_engine *engine, const float *vector, const char *filter,
           bool exact, long *out);

/* A thread that asks one query after the other and notes how long each took. */
typedef struct {
    akin_engine *engine;
    const float *queries;
    double *seconds;
    size_t n, most;
    atomic_bool stop;
    pthread_t thread;
} asker;

void asker_start(asker *a, akin_engine *engine, const float *queries);
/* Ends it and prints the QPS, p50, p99 and the longest. */
void asker_end(asker *a, const char *what);

/* Recall of n queries against exact search, queries a second, whether all k
 * came. filter: NULL, none. */
void measure(akin_engine *engine, const float *queries, size_t n,
             const char *filter, const char *name);

/* The parts. akin: the program. */
void million_search(const char *dir);
void million_open(const char *dir, const char *akin);
void million_crash(const char *dir, const char *akin);
void million_change(const char *dir);
void million_snapshot(const char *dir, const char *akin);

#endif
