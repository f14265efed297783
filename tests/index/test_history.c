/* Random histories of puts, replacements, removes, builds, cancelled builds and
 * restarts give the same answers as a naive model. A restart plays back what
 * the owner would: every change after the covered one. */
#include "common.h"

enum { DIM = 12, MAX = 1500, STEPS = 1200, K = 10 };

typedef struct {
    uint64_t label;
    uint16_t vector[DIM];
    bool put;
} change;

typedef struct {
    akin_index *index;
    char *dir;
    model m;
    change *log; /* change number i at [i] */
    uint64_t seq, seed;
} world;

static void apply(world *w, const change *c)
{
    akin_error err;
    if (c->put)
        ok(put_one(w->index, c->label, c->vector, &err), &err);
    else
        ok(akin_index_remove(w->index, &c->label, 1, NULL, &err), &err);
}

static void do_change(world *w, bool put)
{
    change *c = &w->log[++w->seq];
    c->put = put;
    c->label = 1 + next_random(&w->seed) % MAX;
    if (put) {
        clustered(7, &w->seed, 1, DIM, 12, c->vector);
        model_put(&w->m, c->label, c->vector);
    } else {
        w->m.there[c->label] = false;
    }
    apply(w, c);
}

static void restart(world *w)
{
    uint64_t covered;
    akin_index_close(w->index);
    w->index = open_index(DIM, w->dir, 400, &covered);
    assert_true(covered <= w->seq);
    for (uint64_t i = covered + 1; i <= w->seq; i++)
        apply(w, &w->log[i]);
}

static void compare(world *w)
{
    akin_hit hits[3 * K];
    uint32_t nhits[3];
    float queries[3 * DIM];
    uint16_t half[3 * DIM];
    akin_index_stats stats;
    akin_error err;
    akin_selector selector = {0};
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    uint64_t label = 1 + next_random(&w->seed) % MAX;
    clustered(7, &w->seed, 3, DIM, 12, half);
    akin_float_from_half(queries, half, 3 * DIM);
    if (next_random(&w->seed) % 2) {
        double share = uniform(&w->seed);
        for (uint64_t i = 1; i <= MAX; i++)
            if (uniform(&w->seed) < share)
                ok(akin_selector_set(&selector, i, &err), &err);
        params.selector = &selector;
    }
    /* exact by request, or IVF-PQ over all lists and rows */
    if (next_random(&w->seed) % 2)
        params.exact = true;
    else
        params.nprobe = params.candidates = MAX;
    ok(akin_index_search(w->index, queries, 3, &params, hits, nhits, NULL,
                         &err),
       &err);
    for (int q = 0; q < 3; q++)
        same_hits(&w->m, queries + q * DIM, params.selector, hits + q * K,
                  nhits[q], K);
    assert_int_equal(has_label(w->index, label), w->m.there[label]);
    akin_index_get_stats(w->index, &stats);
    assert_int_equal(stats.live, model_count(&w->m));
    akin_selector_clear(&selector);
}

/* Changes while a build runs: it must carry them over. */
static bool interfere(void *user, const char *phase, uint64_t done,
                      uint64_t total)
{
    world *w = user;
    (void)phase;
    (void)done;
    (void)total;
    for (int i = 0; i < 5; i++)
        do_change(w, next_random(&w->seed) % 3 != 0);
    compare(w);
    return true;
}

static bool cancel(void *user, const char *phase, uint64_t done, uint64_t total)
{
    (void)user;
    (void)phase;
    (void)done;
    return total == 0 || done * 2 < total;
}

static void step(world *w)
{
    akin_error err;
    akin_build_params params = {0};
    switch (next_random(&w->seed) % 100) {
    case 0: restart(w); break;
    case 1:
        params.retrain = next_random(&w->seed) % 2;
        params.progress = interfere;
        params.user = w;
        ok(akin_index_build(w->index, w->seq, &params, NULL, &err), &err);
        break;
    case 2:
        params.progress = cancel;
        (void)akin_index_build(w->index, w->seq, &params, NULL, &err);
        break;
    default: do_change(w, next_random(&w->seed) % 4 != 0);
    }
}

static void run(uint64_t seed)
{
    world w = {.seed = seed, .m = model_new(DIM, MAX), .dir = make_folder()};
    printf("seed %llu\n", (unsigned long long)seed);
    w.log = calloc(STEPS * 60, sizeof *w.log);
    w.index = open_index(DIM, w.dir, 400, NULL);
    for (int i = 0; i < 300 + (int)(next_random(&w.seed) % 500); i++)
        do_change(&w, true);
    for (int i = 0; i < STEPS; i++) {
        step(&w);
        if (i % 20 == 0) compare(&w);
    }
    restart(&w);
    compare(&w);
    akin_index_close(w.index);
    remove_folder(w.dir);
    model_free(&w.m);
    free(w.log);
}

static void test_histories(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++)
        run(seed);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_histories)};
    if (argc > 1) { /* a seed of your own */
        run(strtoull(argv[1], NULL, 10));
        return 0;
    }
    return cmocka_run_group_tests_name("index/history", tests, NULL, NULL);
}
