/* Parts of bench_ann that go beyond one index beside another: filters, large k,
 * writes while searching, and what OPQ would gain. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ann.h"
#include "internal.h" /* akin__random */

void bench_filters(const bench *b)
{
    static const double shares[] = {0.5, 0.1, 0.01, 0.001, 0.0001};
    query_set set = b->sets[0];
    int64_t *truth = calloc(set.n * K, sizeof *truth);
    if (set.n > 300) set.n = 300;
    for (size_t s = 0; s < 5; s++) {
        akin_arg arg = {b->index, AKIN_SEARCH_DEFAULTS};
        akin_selector selector;
        uint64_t step = (uint64_t)(1 / shares[s]), seed = 77;
        size_t full = 0, want;
        char setting[40];
        akin_error err;
        if (akin_selector_init(&selector, b->items.n, &err)) die(&err);
        for (uint64_t label = 1; label <= b->items.n; label++)
            if (akin__random(&seed) % step == 0 &&
                akin_selector_set(&selector, label, &err))
                die(&err);
        arg.params.selector = &selector;
        arg.params.exact = true;
        for (size_t q = 0; q < set.n; q++)
            search_akin(&arg, set.floats + q * b->items.dim, truth + q * K);
        arg.params.exact = false;
        want = selector.count < K ? (size_t)selector.count : K;
        for (size_t q = 0; q < set.n; q++) {
            int64_t rows[K];
            size_t got = 0;
            search_akin(&arg, set.floats + q * b->items.dim, rows);
            for (size_t i = 0; i < K; i++)
                got += rows[i] >= 0;
            full += got == want;
        }
        snprintf(setting, sizeof setting, "filter %g%%, %llu pass",
                 100 * shares[s], (unsigned long long)selector.count);
        run(b, "akin", setting, &set, truth, 1, search_akin, &arg, b->build_s,
            bytes_of(b));
        printf("# k of k results in %zu of %zu queries\n", full, set.n);
        akin_selector_clear(&selector);
    }
    free(truth);
}

typedef struct {
    const bench *b;
    atomic_bool stop;
    unsigned writes;
} write_load;

static void *write_200(void *arg)
{
    write_load *w = arg;
    const bench *b = w->b;
    uint64_t seed = 3;
    akin_error err;
    while (!atomic_load(&w->stop)) {
        uint64_t label = 1 + akin__random(&seed) % b->items.n;
        if (akin_index_put_many(b->index, &label,
                                b->items.rows + (label - 1) * b->items.dim, 1,
                                &err))
            die(&err);
        w->writes++;
        usleep(5000);
    }
    return NULL;
}

void bench_writes(const bench *b)
{
    akin_arg arg = {b->index, AKIN_SEARCH_DEFAULTS};
    write_load load = {.b = b};
    pthread_t id;
    if (pthread_create(&id, NULL, write_200, &load)) exit(1);
    for (int i = 0; i < 3; i++)
        run(b, "akin", "with 200 writes/s", &b->sets[0], b->sets[0].truth, 1,
            search_akin, &arg, b->build_s, bytes_of(b));
    atomic_store(&load.stop, true);
    pthread_join(id, NULL);
}

/* ---- large k ----------------------------------------------------------------- */

static void search_k(const bench *b, const query_set *set, uint32_t k,
                     bool exact, akin_hit *hits)
{
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    uint32_t *nhits = calloc(set->n, sizeof *nhits);
    akin_error err;
    params.k = k;
    params.kind = set->kind;
    params.exact = exact;
    if (exact) {
        if (akin_index_search(b->index, set->floats, set->n, &params, hits,
                              nhits, NULL, &err))
            die(&err);
    } else {
        for (size_t q = 0; q < set->n; q++)
            if (akin_index_search(b->index, set->floats + q * b->items.dim, 1,
                                  &params, hits + q * k, nhits, NULL, &err))
                die(&err);
    }
    free(nhits);
}

/* recall@k at the index's own target, for each k. */
void bench_wide(const bench *b)
{
    static const uint32_t ks[] = {1,   3,   10,   30,   100,
                                  200, 300, 1000, 3000, 10000};
    const size_t n_ks = sizeof ks / sizeof *ks, most = ks[n_ks - 1];
    for (size_t s = 0; s < b->n_sets; s++) {
        query_set set = b->sets[s];
        if (set.n > 300) set.n = 300;
        akin_hit *truth = calloc(set.n * most, sizeof *truth);
        akin_hit *found = calloc(set.n * most, sizeof *found);
        search_k(b, &set, (uint32_t)most, true, truth);
        for (size_t i = 0; i < n_ks; i++) {
            uint32_t k = ks[i];
            size_t right = 0;
            double start = process_seconds();
            if (k > b->items.n) break;
            search_k(b, &set, k, false, found);
            double seconds = process_seconds() - start;
            for (size_t q = 0; q < set.n; q++)
                for (uint32_t j = 0; j < k; j++)
                    right += found[q * k + j].cosine >=
                             truth[q * most + k - 1].cosine;
            printf("%-14s %-20s k = %-22u %-6s %7.4f   1 %8.0f q/cpu_s\n",
                   b->dataset, "akin", k, set.name,
                   (double)right / ((double)set.n * k),
                   (double)set.n / seconds);
            fflush(stdout);
        }
        free(truth);
        free(found);
    }
}

/* ---- OPQ --------------------------------------------------------------------- */

typedef struct {
    const bench *b;
    rival *faiss;
    int candidates;
} rescored;

/* FAISS's candidates, the best k of them by the float16 rows. hits: room for k. */
static uint32_t rescore(const rescored *r, const float *query, uint32_t k,
                        akin_hit *hits)
{
    size_t dim = r->b->items.dim;
    akin__top top = {.hits = hits, .k = k, .min_cosine = -2};
    int64_t all[4000];
    rival_search(r->faiss, query, r->candidates, all);
    for (int i = 0; i < r->candidates && all[i] >= 0; i++) {
        const uint16_t *row = r->b->items.rows + (size_t)all[i] * dim;
        float dot;
        akin__dots(&query, 1, &row, 1, dim, &dot);
        akin__top_push(&top, (uint64_t)all[i], dot);
    }
    akin__top_sort(&top);
    return top.n;
}

static void search_rescored(const void *arg, const float *query, int64_t *rows)
{
    akin_hit hits[K] = {{0}};
    uint32_t n = rescore(arg, query, K, hits);
    for (uint32_t i = 0; i < K; i++)
        rows[i] = i < n ? (int64_t)hits[i].label : -1;
}

/* recall@100 of 200 queries, where the candidates weigh more. */
static void opq_wide(const bench *b, const char *factory, rescored *r)
{
    static const int nprobes[] = {32, 128};
    static const int candidates[] = {200, 400, 800, 1600};
    enum { WIDE = 100 };
    for (size_t s = 0; s < b->n_sets; s++) {
        query_set set = b->sets[s];
        if (set.n > 200) set.n = 200;
        akin_hit *truth = calloc(set.n * WIDE, sizeof *truth);
        akin_hit hits[WIDE];
        search_k(b, &set, WIDE, true, truth);
        for (size_t p = 0; p < 2; p++)
            for (size_t c = 0; c < 4; c++) {
                size_t right = 0;
                double start = process_seconds();
                rival_set(r->faiss, nprobes[p]);
                r->candidates = candidates[c];
                for (size_t q = 0; q < set.n; q++) {
                    uint32_t n =
                        rescore(r, set.floats + q * b->items.dim, WIDE, hits);
                    for (uint32_t i = 0; i < n; i++)
                        for (uint32_t j = 0; j < WIDE; j++)
                            right +=
                                truth[q * WIDE + j].label == hits[i].label + 1;
                }
                printf("%-14s %-20s k = 100, nprobe %d, %d rescored: %-6s "
                       "%7.4f, %.0f q/cpu_s\n",
                       b->dataset, factory, nprobes[p], candidates[c], set.name,
                       (double)right / ((double)set.n * WIDE),
                       (double)set.n / (process_seconds() - start));
            }
        free(truth);
    }
}

static void opq_one(const bench *b, const char *factory)
{
    static const uint32_t nprobes[] = {4, 16, 64};
    static const int candidates[] = {50, 100, 200};
    double train_s, add_s;
    rescored r = {b,
                  faiss_factory(b->items.rows, b->items.n, b->items.dim,
                                factory, &train_s, &add_s),
                  0};
    if (!r.faiss) exit(1);
    printf("# %s: trained in %.1f s of the processors, added in %.1f\n",
           factory, train_s, add_s);
    for (size_t s = 0; s < b->n_sets; s++)
        for (size_t p = 0; p < 3; p++)
            for (size_t c = 0; c < 3; c++) {
                char setting[40];
                r.candidates = candidates[c];
                rival_set(r.faiss, (int)nprobes[p]);
                snprintf(setting, sizeof setting, "nprobe %u, %d rescored",
                         nprobes[p], candidates[c]);
                run(b, factory, setting, &b->sets[s], b->sets[s].truth, 1,
                    search_rescored, &r, train_s + add_s,
                    (double)rival_bytes(r.faiss) / (double)b->items.n);
            }
    opq_wide(b, factory, &r);
    rival_free(r.faiss);
}

/* The same lists and codes in FAISS with and without an OPQ rotation, candidates
 * rescored as akin does; with akin's code size, and half of it. */
void bench_opq(const bench *b)
{
    akin_index_stats stats;
    akin_index_get_stats(b->index, &stats);
    uint32_t nlist = stats.nlist ? stats.nlist : 100;
    uint32_t m = stats.m ? stats.m : akin__ivf_m(b->items.dim);
    for (uint32_t half = 1; half <= 2; half++)
        for (int opq = 0; opq < 2; opq++) {
            char factory[64], rotation[24] = "";
            if (opq) snprintf(rotation, sizeof rotation, "OPQ%u,", m / half);
            snprintf(factory, sizeof factory, "%sIVF%u,PQ%unp", rotation, nlist,
                     m / half);
            opq_one(b, factory);
        }
}
