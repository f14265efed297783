/* Many at once: puts of pictures and vectors, removals, searches, builds, a
 * check. What is acknowledged is seen by the same thread's next query; at the end
 * store and index agree. Meant to run under ThreadSanitizer too. */
#include "harness.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WRITERS = 3, SEARCHERS = 2, ROUNDS = 60, DIM = 12 };

static akin_engine *engine;
static atomic_bool over;

static void fill(float *v, unsigned seed)
{
    for (int i = 0; i < DIM; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)(seed >> 8) / 8388608.0f - 1;
    }
}

/* Writers share the ids, so they overwrite and remove each other's. */
static void *write_vectors(void *arg)
{
    unsigned seed = *(unsigned *)arg;
    for (int round = 0; round < ROUNDS; round++) {
        float v[DIM];
        char id[16], own[16];
        akin_put_result results[2];
        size_t removed;
        seed = seed * 1664525u + 1013904223u;
        fill(v, seed);
        snprintf(id, sizeof id, "s%u", (seed >> 16) % 40);
        snprintf(own, sizeof own, "own%u", *(unsigned *)arg);
        akin_item_input items[] = {
            {.id = akin_span_of(id), .vector = v, .dim = DIM},
            {.id = akin_span_of(own), .vector = v, .dim = DIM}};
        must(akin_engine_put(engine, "v", items, 2, NULL, results, err));
        assert_int_equal(results[0].status | results[1].status, AKIN_OK);

        akin_query_term term = {
            .kind = AKIN_TERM_VECTOR, .weight = 1, .vector = v, .dim = DIM};
        akin_query query = one_term(&term, 60);
        akin_results found;
        bool seen = false;
        must(akin_engine_search(engine, "v", &query, &found, err));
        for (size_t i = 0; i < found.n; i++)
            seen |= !strcmp(found.matches[i].id, own) &&
                    found.matches[i].score > 0.999f;
        assert_true(seen); /* read your writes */
        akin_results_clear(&found);
        if (seed % 3 == 0) {
            akin_span gone = akin_span_of(id);
            must(akin_engine_remove(engine, "v", &gone, 1, &removed, err));
        }
    }
    return NULL;
}

static void *write_pictures(void *arg)
{
    unsigned base = *(unsigned *)arg * 1000;
    uint8_t bytes[PICTURE_BYTES];
    for (unsigned i = 0; i < ROUNDS / 2; i++) {
        char id[16];
        akin_put_result result;
        snprintf(id, sizeof id, "p%u", base + i);
        akin_item_input item = {.id = akin_span_of(id),
                                .caption = akin_span_of(id)};
        item.picture.size = make_picture(base + i, bytes, sizeof bytes);
        item.picture.data = bytes;
        must(akin_engine_put(engine, "p", &item, 1, NULL, &result, err));
        assert_int_equal(result.status, AKIN_OK);
    }
    return NULL;
}

static void *search_all_the_time(void *arg)
{
    (void)arg;
    static const char *const words[] = {"a cat", "red", "p1001", "car"};
    for (unsigned i = 0; !atomic_load(&over); i++) {
        akin_query_term term = text_term(words[i % 4]);
        akin_query query = one_term(&term, 10);
        akin_results found;
        must(akin_engine_search(engine, "p", &query, &found, err));
        for (size_t j = 1; j < found.n; j++)
            assert_true(found.matches[j].score <= found.matches[j - 1].score);
        akin_results_clear(&found);
        akin_engine_stats stats;
        akin_engine_get_stats(engine, &stats);
    }
    return NULL;
}

static void *build_and_check(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        must(akin_engine_rebuild(engine, "v", NULL, NULL, err));
        must_be_clean(engine);
    }
    return NULL;
}

static void many_at_once(void **state)
{
    (void)state;
    char *dir = scratch_make();
    pthread_t threads[2 * WRITERS + SEARCHERS + 1];
    unsigned seeds[WRITERS] = {1, 2, 3};
    size_t n = 0;
    engine = open_engine(dir, STARTER);
    must(akin_engine_create(engine, "v", &(akin_collection_options){.dim = DIM},
                            err));
    must(akin_engine_create(engine, "p", NULL, err));
    atomic_store(&over, false);
    for (int i = 0; i < SEARCHERS; i++)
        pthread_create(&threads[n++], NULL, search_all_the_time, NULL);
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[n++], NULL, write_vectors, &seeds[i]);
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[n++], NULL, write_pictures, &seeds[i]);
    pthread_create(&threads[n++], NULL, build_and_check, NULL);
    for (size_t i = SEARCHERS; i < n; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&over, true);
    for (size_t i = 0; i < SEARCHERS; i++)
        pthread_join(threads[i], NULL);

    assert_int_equal(count_items(engine, "p"), WRITERS * (ROUNDS / 2));
    must_be_clean(engine);
    akin_engine_close(engine);
    engine = open_engine(dir, STARTER);
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(many_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
