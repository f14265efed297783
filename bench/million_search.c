/* bench_million: searching, filters, and the two together with changes. */
#include "million.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t ask(akin_engine *engine, const float *vector, const char *filter,
           bool exact, long *out)
{
    akin_query_term term = {
        .kind = AKIN_TERM_VECTOR, .weight = 1, .vector = vector, .dim = DIM};
    akin_query query = {.terms = &term, .nterms = 1, .k = K, .exact = exact};
    akin_results found;
    akin_error err;
    if (filter) query.filter.text = akin_span_of(filter);
    if (akin_engine_search(engine, NAME, &query, &found, &err)) {
        fprintf(stderr, "bench_million: %s\n", err.message);
        exit(1);
    }
    size_t n = found.n;
    for (size_t i = 0; i < n; i++)
        out[i] = strtol(found.matches[i].id, NULL, 10);
    akin_results_clear(&found);
    return n;
}

/* ---- times -------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void *ask_on(void *arg)
{
    asker *a = arg;
    long ids[K];
    while (!atomic_load(&a->stop) && a->n < a->most) {
        double start = now();
        ask(a->engine, a->queries + a->n % QUERIES * DIM, NULL, false, ids);
        a->seconds[a->n++] = now() - start;
    }
    return NULL;
}

void asker_start(asker *a, akin_engine *engine, const float *queries)
{
    *a = (asker){.engine = engine, .queries = queries, .most = 5000000};
    a->seconds = malloc(a->most * sizeof *a->seconds);
    if (!a->seconds || pthread_create(&a->thread, NULL, ask_on, a)) abort();
}

void asker_end(asker *a, const char *what)
{
    double sum = 0;
    atomic_store(&a->stop, true);
    pthread_join(a->thread, NULL);
    for (size_t i = 0; i < a->n; i++)
        sum += a->seconds[i];
    qsort(a->seconds, a->n, sizeof *a->seconds, ascending);
    if (a->n)
        printf("  %s: %.0f QPS of one thread, p50 %.2f ms, p99 %.2f ms, "
               "longest %.0f ms\n",
               what, (double)a->n / sum, a->seconds[a->n / 2] * 1e3,
               a->seconds[a->n * 99 / 100] * 1e3, a->seconds[a->n - 1] * 1e3);
    fflush(stdout);
    free(a->seconds);
}

/* ---- recall --------------------------------------------------------------------- */

typedef struct {
    akin_engine *engine;
    const float *queries;
    const char *filter;
    size_t n;
    long (*exact)[K];
    size_t *nexact;
    atomic_size_t next;
} truths;

static void *find_truths(void *arg)
{
    truths *t = arg;
    for (size_t q; (q = atomic_fetch_add(&t->next, 1)) < t->n;)
        t->nexact[q] =
            ask(t->engine, t->queries + q * DIM, t->filter, true, t->exact[q]);
    return NULL;
}

void measure(akin_engine *engine, const float *queries, size_t n,
             const char *filter, const char *name)
{
    truths t = {.engine = engine, .queries = queries, .filter = filter, .n = n};
    size_t right = 0, there = 0, full = 0, size = sizeof *t.exact;
    long found[K];
    uint64_t pass = 0;
    double first = now(), seconds = 0;
    pthread_t other;
    akin_filter f = {.text = akin_span_of(filter ? filter : "")};

    ask(engine, queries, filter, false, found);
    first = now() - first;
    must(akin_engine_count(engine, NAME, f, &pass, &failure));
    t.exact = calloc(t.n, size);
    t.nexact = calloc(t.n, sizeof *t.nexact);
    if (!t.exact || !t.nexact) abort();
    double start = now();
    if (pthread_create(&other, NULL, find_truths, &t)) abort();
    find_truths(&t);
    pthread_join(other, NULL);
    double scanned = now() - start;
    for (size_t q = 0; q < t.n; q++) {
        start = now();
        size_t got = ask(engine, queries + q * DIM, filter, false, found);
        seconds += now() - start;
        there += t.nexact[q];
        full += got == t.nexact[q] && (got == K || got == pass);
        for (size_t i = 0; i < t.nexact[q]; i++)
            for (size_t j = 0; j < got; j++)
                right += t.exact[q][i] == found[j];
    }
    printf("  %-22s %8" PRIu64 " pass: recall %.4f, %6.0f QPS, all k in %zu of "
           "%zu, first query %.1f ms; scans: %.0f QPS of two threads\n",
           name, pass, (double)right / (double)there, (double)t.n / seconds,
           full, t.n, first * 1e3, (double)t.n / scanned);
    fflush(stdout);
    free(t.exact);
    free(t.nexact);
}

static void measure_filters(akin_engine *engine, const float *queries)
{
    static const unsigned bounds[] = {5000, 1000, 100, 10, 1};
    char filter[64], name[64];
    for (size_t i = 0; i < 5; i++) {
        snprintf(filter, sizeof filter, ".u < %u", bounds[i]);
        snprintf(name, sizeof name, "filter %g%%", bounds[i] / 100.);
        measure(engine, queries, FEW, filter, name);
    }
}

/* A field that was not declared: read from the JSON until it has been asked for
 * three times, then indexed by itself. */
static void measure_undeclared(const char *dir, const float *queries)
{
    akin_engine *engine = open_engine(dir, "yes");
    char filter[64];
    long ids[K];
    bool indexed = false;
    measure(engine, queries, FEW, ".v < 100", "1%, not declared");
    for (unsigned i = 0; i < 3; i++) {
        snprintf(filter, sizeof filter, ".v < %u", 90 + i);
        ask(engine, queries, filter, false, ids);
    }
    double start = now();
    while (!indexed && now() - start < 60) {
        usleep(100000);
        akin_collection_info *info = info_of(engine);
        for (size_t i = 0; i < info->nfields; i++)
            indexed |= !strcmp(info->fields[i].name, "v");
        free(info);
    }
    printf("  %s after %.1f s\n", indexed ? "indexed by itself" : "NOT indexed",
           now() - start);
    measure(engine, queries, FEW, ".v < 101", "1%, then");
    akin_engine_close(engine);
}

void million_search(const char *dir)
{
    ann_vectors rows = {0};
    float *queries;
    asker a[2];
    make_queries(0, &rows, &queries);
    akin_engine *engine = open_engine(dir, "no");
    print_info(engine);
    measure(engine, queries, QUERIES, NULL, "no filter");
    for (int threads = 1; threads <= 2; threads++) {
        for (int i = 0; i < threads; i++)
            asker_start(&a[i], engine, queries);
        sleep(4);
        for (int i = 0; i < threads; i++)
            asker_end(&a[i], threads == 1 ? "one thread" : "one of two");
    }
    measure_filters(engine, queries);
    printf("  memory: %.0f MB, %.0f MB of mapped files\n", resident_mb('a'),
           resident_mb('f'));
    akin_engine_close(engine);
    measure_undeclared(dir, queries);
    ann_clear(&rows);
    free(queries);
}
