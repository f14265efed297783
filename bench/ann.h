/* What the files of bench_ann share. */
#ifndef BENCH_ANN_H
#define BENCH_ANN_H

#include "akin_index.h"
#include "ann_data.h"
#include "ann_rivals.h"

#define K 10

typedef struct {
    size_t n, queries;
    uint32_t dim, clusters, threads;
    uint64_t seed;
    const char *vectors, *text, *dir, *parts;
} settings;

/* Queries with their exact answers. */
typedef struct {
    const char *name;
    akin_query_kind kind;
    size_t n;
    float *floats;  /* (n, dim) */
    int64_t *truth; /* (n, K) rows; label - 1 */
} query_set;

typedef struct {
    settings o;
    ann_vectors items;
    query_set sets[2];
    size_t n_sets;
    akin_index *index;
    double build_s;
    char dataset[40];
} bench;

/* The K best rows of one query into rows (-1: none); returns nothing else. */
typedef void searcher(const void *arg, const float *query, int64_t *rows);

/* Runs all queries on `threads` threads after a few to warm up, and prints a
 * row. Returns queries per CPU-second, which a busy machine disturbs least. */
double run(const bench *b, const char *index, const char *setting,
           const query_set *set, const int64_t *truth, size_t threads,
           searcher *search, const void *arg, double build_s, double bytes);
double bytes_of(const bench *b); /* a vector, in memory and mapped */
double process_seconds(void);    /* of the processors, so far */
void die(const akin_error *err);

typedef struct {
    const akin_index *index;
    akin_search_params params;
} akin_arg;
void search_akin(const void *arg, const float *query, int64_t *rows);

typedef struct {
    const rival *rival;
    int candidates;
} rival_arg;
void search_rival(const void *arg, const float *query, int64_t *rows);

/* ann_parts.c */
void bench_filters(const bench *b);
void bench_wide(const bench *b); /* k of 1 to 10000 */
void bench_writes(const bench *b);
void bench_opq(const bench *b);

#endif
