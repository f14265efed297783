/* Searches, writes, removes and builds at once. Meant for ThreadSanitizer; in
 * any build it checks that every answer is one state of the index: a label is
 * in it once, an item that is never removed is always found, and a
 * replaced vector is the old or the new. */
#include "common.h"

#include <pthread.h>
#include <stdatomic.h>

enum { DIM = 16, N = 900, FIXED = 100, K = 20 };

typedef struct {
    akin_index *index;
    uint16_t *vectors; /* (N, DIM) */
    atomic_bool stop;
    atomic_uint searches;
} shared;

static void *searcher(void *arg)
{
    shared *s = arg;
    uint64_t seed = (uint64_t)atomic_fetch_add(&s->searches, 1) + 100;
    while (!atomic_load(&s->stop)) {
        akin_hit hits[K];
        uint32_t nhits;
        akin_error err;
        akin_search_params params = AKIN_SEARCH_DEFAULTS;
        uint64_t label = 1 + next_random(&seed) % FIXED;
        float query[DIM], got[DIM], cosine;
        akin_float_from_half(query, s->vectors + (label - 1) * DIM, DIM);
        params.k = K;
        params.exact = next_random(&seed) % 2;
        ok(akin_index_search(s->index, query, 1, &params, hits, &nhits, NULL,
                             &err),
           &err);
        assert_int_equal(nhits, K);
        assert_int_equal(hits[0].label, label);
        for (uint32_t i = 0; i < nhits; i++)
            for (uint32_t j = 0; j < i; j++)
                assert_true(hits[i].label != hits[j].label);
        ok(akin_index_get(s->index, label, got, &err), &err);
        ok(akin_index_cosines(s->index, query, &label, 1, &cosine, &err), &err);
        assert_true(cosine > 0.9999f);
        atomic_fetch_add(&s->searches, 1);
    }
    return NULL;
}

/* Replaces and removes items above FIXED, and puts the fixed ones again. */
static void *writer(void *arg)
{
    shared *s = arg;
    uint64_t seed = 5;
    while (!atomic_load(&s->stop)) {
        akin_error err;
        uint64_t label = 1 + next_random(&seed) % N;
        if (label > FIXED && next_random(&seed) % 3 == 0)
            ok(akin_index_remove(s->index, &label, 1, NULL, &err), &err);
        else
            ok(put_one(s->index, label, s->vectors + (label - 1) * DIM, &err),
               &err);
    }
    return NULL;
}

static void test_together(void **state)
{
    (void)state;
    shared s = {0};
    pthread_t threads[3];
    akin_error err;
    akin_index_stats stats;
    uint64_t seed = 3;
    char *dir = make_folder();
    s.vectors = malloc(N * DIM * 2u);
    s.index = open_index(DIM, dir, 300, NULL);
    clustered(2, &seed, N, DIM, 30, s.vectors);
    for (uint64_t i = 0; i < N; i++)
        ok(put_one(s.index, i + 1, s.vectors + i * DIM, &err), &err);
    pthread_create(&threads[0], NULL, searcher, &s);
    pthread_create(&threads[1], NULL, searcher, &s);
    pthread_create(&threads[2], NULL, writer, &s);
    for (int i = 0; i < 6; i++) {
        akin_build_params params = {.retrain = i % 2};
        unsigned before = atomic_load(&s.searches);
        ok(akin_index_build(s.index, (uint64_t)i, &params, NULL, &err), &err);
        akin_index_get_stats(s.index, &stats);
        (void)akin_index_wants_build(s.index);
        while (atomic_load(&s.searches) < before + 20)
            usleep(1000);
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(stats.kind, AKIN_INDEX_IVFPQ);
    akin_index_close(s.index);
    remove_folder(dir);
    free(s.vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_together)};
    return cmocka_run_group_tests_name("index/threads", tests, NULL, NULL);
}
