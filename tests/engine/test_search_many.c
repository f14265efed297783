/* Several questions at once get the answers that each gets alone: over an exact
 * index and over lists, mixed in what they ask for, with failures among them.
 * And k matches come, though some of the nearest are removed meanwhile. */
#include "harness.h"

#include "internal.h"

#include <pthread.h>
#include <stdatomic.h>

enum { DIM = 12, N = 600, MOST = 40 };

static akin_engine *engine;

static void fill(float *v, unsigned seed)
{
    for (int i = 0; i < DIM; i++) {
        seed = seed * 1664525u + 1013904223u;
        v[i] = (float)(seed >> 8) / 8388608.0f - 1;
    }
}

static void put_items(void)
{
    static float vectors[N][DIM];
    static char ids[N][16], attributes[N][32];
    static akin_item_input items[N];
    static akin_put_result results[N];
    const akin_put_options create = {.create = true};
    for (unsigned i = 0; i < N; i++) {
        fill(vectors[i], i);
        snprintf(ids[i], sizeof ids[i], "i%u", i);
        snprintf(attributes[i], sizeof attributes[i], "{\"part\": %u}", i % 4);
        items[i] = (akin_item_input){.id = akin_span_of(ids[i]),
                                     .attributes = akin_span_of(attributes[i]),
                                     .vector = vectors[i],
                                     .dim = DIM};
    }
    must(akin_engine_put(engine, "v", items, N, &create, results, err));
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(results[i].status, AKIN_OK);
}

/* Fails with the number of the query. */
static void same(const akin_results *a, const akin_results *b, size_t query)
{
    if (a->n != b->n) fail_msg("query %zu: %zu and %zu", query, a->n, b->n);
    assert_int_equal(a->fused, b->fused);
    assert_int_equal(a->considered, b->considered);
    for (size_t i = 0; i < a->n; i++) {
        const akin_match *x = &a->matches[i], *y = &b->matches[i];
        if (strcmp(x->id, y->id) != 0 || x->score != y->score)
            fail_msg("query %zu, match %zu: %s %.9g and %s %.9g", query, i,
                     x->id, (double)x->score, y->id, (double)y->score);
        assert_int_equal(!x->attributes, !y->attributes);
        if (x->attributes) assert_string_equal(x->attributes, y->attributes);
    }
}

static void compare(const char *collection, const akin_query *queries, size_t n)
{
    akin_results all[MOST], one;
    akin_error errs[MOST], err = {0};
    akin_engine_search_many(engine, collection, queries, n, all, errs);
    for (size_t i = 0; i < n; i++) {
        akin_status rc =
            akin_engine_search(engine, collection, &queries[i], &one, &err);
        assert_int_equal(errs[i].status, rc);
        if (rc) {
            assert_string_equal(errs[i].message, err.message);
            assert_int_equal(all[i].n, 0);
        } else {
            same(&all[i], &one, i);
        }
        akin_results_clear(&one);
        akin_results_clear(&all[i]);
    }
}

static void ask_vectors(void)
{
    static float vectors[MOST][DIM];
    static const float zero[DIM];
    akin_query_term terms[MOST];
    akin_query queries[MOST];
    for (unsigned i = 0; i < MOST; i++) {
        fill(vectors[i], 1000 + i);
        terms[i] = (akin_query_term){.kind = AKIN_TERM_VECTOR,
                                     .weight = 1,
                                     .vector = vectors[i],
                                     .dim = DIM};
        queries[i] = one_term(&terms[i], 7);
    }
    akin_engine_stats before, after;
    akin_engine_get_stats(engine, &before);
    compare("v", queries, MOST); /* all alike */
    akin_engine_get_stats(engine, &after);
    assert_int_equal(after.queries - before.queries, 2 * MOST);
    compare("v", queries, 1);

    terms[0] = item_term("i7");
    terms[1] = item_term("not there");
    terms[2] = item_term("i8");
    queries[2].include_self = true;
    terms[3].vector = zero;
    terms[4].dim = DIM - 1;
    queries[5].k = 0;
    queries[6].filter.text = akin_span_of(".part == 1");
    queries[7].filter.text = akin_span_of(".part == 1");
    queries[8].filter.text = akin_span_of(".part == 2");
    queries[9].filter.text = akin_span_of(".part ==");
    queries[10].exact = true;
    queries[11].exact = true;
    queries[12].has_min_score = true;
    queries[12].min_score = 0.5f;
    queries[13].k = 20;
    queries[14].k = 20;
    queries[15].offset = 13; /* as many are looked for as above */
    queries[16].with_attributes = true;
    queries[17].nprobe = 2;
    queries[18].nprobe = 2;
    queries[19].recall = 0.5f;
    queries[20].space = AKIN_QUERY_CAPTION;
    queries[21].space = AKIN_QUERY_CAPTION;
    queries[22].space = AKIN_QUERY_BOTH;
    compare("v", queries, MOST);
    compare("no such collection", queries, 3);
}

static void vectors_in_all_ways(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_config *config = NULL;
    must(akin_config_open(&config, err));
    must(akin_config_set(config, "index.exact-below", "200", err));
    must(akin_config_set(config, "index.auto", "no", err));
    akin_engine_options options = {
        .data_dir = dir, .model_dir = "", .config = config};
    must(akin_engine_open(&options, &engine, err));
    put_items();
    ask_vectors();
    must(akin_engine_rebuild(engine, "v", NULL, NULL, err));
    akin_collection_info info;
    must(akin_engine_info(engine, "v", &info, err));
    assert_non_null(strstr(info.image.kind, "IVF"));
    ask_vectors();
    akin_engine_close(engine);
    akin_config_close(config);
    scratch_remove(dir);
    akin_free(dir);
}

/* Words, which are fused, beside words asked of one space. */
static void words(void **state)
{
    (void)state;
    static const char *const captions[] = {"a red house", "a blue boat",
                                           "two green trees", "a yellow cat"};
    enum { CAPTIONS = sizeof captions / sizeof *captions };
    char *dir = scratch_make();
    akin_item_input items[CAPTIONS];
    akin_put_result results[CAPTIONS];
    const akin_put_options create = {.create = true};
    akin_query_term terms[CAPTIONS * 2];
    akin_query queries[CAPTIONS * 2];
    engine = open_engine(dir, STARTER);
    for (size_t i = 0; i < CAPTIONS; i++) {
        items[i] = (akin_item_input){.id = akin_span_of(captions[i]),
                                     .caption = akin_span_of(captions[i])};
        terms[i] = terms[CAPTIONS + i] = text_term(captions[i] + 2);
        queries[i] = one_term(&terms[i], 3);
        queries[CAPTIONS + i] = queries[i];
        queries[CAPTIONS + i].space = AKIN_QUERY_CAPTION;
    }
    must(akin_engine_put(engine, "c", items, CAPTIONS, &create, results, err));
    compare("c", queries, (size_t)CAPTIONS * 2);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

/* What the server's loop asks before it searches itself, and how it does. */
static void from_memory_or_not_at_all(void **state)
{
    (void)state;
    char *dir = scratch_make();
    float vector[DIM];
    akin_results found;
    akin_error error;
    engine = open_engine(dir, NULL);
    assert_true(akin_engine_search_cost(engine, "v", 10) == UINT64_MAX);
    put_items();
    uint64_t cost = akin_engine_search_cost(engine, "v", 10);
    assert_in_range(cost, N, 1000 * N);
    akin_engine_close(engine);

    engine = open_engine(dir, NULL); /* it remembers no ids yet */
    assert_int_equal(akin_engine_search_cost(engine, "v", 10), cost);
    fill(vector, 77);
    akin_query_term term = {
        .kind = AKIN_TERM_VECTOR, .weight = 1, .vector = vector, .dim = DIM};
    akin_query query = one_term(&term, 10);
    query.from_memory = true;
    assert_int_equal(akin_engine_search(engine, "v", &query, &found, &error),
                     AKIN_BUSY);
    assert_int_equal(found.n, 0);
    assert_int_equal(atomic_load(&engine->counters.queries), 0);
    query.from_memory = false;
    must(akin_engine_search(engine, "v", &query, &found, err));
    assert_int_equal(found.n, 10);
    akin_results_clear(&found);
    query.from_memory = true;
    must(akin_engine_search(engine, "v", &query, &found, err));
    assert_int_equal(found.n, 10);
    akin_results_clear(&found);
    /* somebody changes aliases, and waits for the disk */
    pthread_mutex_lock(&engine->lock);
    assert_true(akin_engine_search_cost(engine, "v", 10) == UINT64_MAX);
    assert_int_equal(akin_engine_search(engine, "v", &query, &found, &error),
                     AKIN_BUSY);
    pthread_mutex_unlock(&engine->lock);
    assert_int_equal(atomic_load(&engine->counters.queries), 2);
    /* they could not be read again: that is no matter for its own name */
    engine->aliases_stale = true;
    assert_int_equal(akin_engine_search_cost(engine, "v", 10), cost);
    must(akin_engine_search(engine, "v", &query, &found, err));
    assert_int_equal(found.n, 10);
    akin_results_clear(&found);
    assert_int_equal(
        akin_engine_search(engine, "other", &query, &found, &error), AKIN_BUSY);
    query.from_memory = false;
    assert_int_equal(
        akin_engine_search(engine, "other", &query, &found, &error),
        AKIN_NOT_FOUND);
    assert_false(engine->aliases_stale);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

static atomic_bool over;

/* Removes the items near number 0 and puts them again. */
static void *come_and_go(void *arg)
{
    const float *vector = arg;
    while (!atomic_load(&over))
        for (unsigned i = 0; i < 12; i++) {
            char id[16];
            size_t removed;
            akin_put_result result;
            snprintf(id, sizeof id, "near%u", i);
            akin_item_input item = {
                .id = akin_span_of(id), .vector = vector, .dim = DIM};
            if (akin_engine_put(engine, "v", &item, 1, NULL, &result, NULL) ||
                akin_engine_remove(engine, "v", &item.id, 1, &removed, NULL))
                atomic_store(&over, true);
        }
    return NULL;
}

static void k_matches_though_items_go(void **state)
{
    enum { SEARCHES = 3000, K = 10, TOGETHER = 4 };
    char *dir = scratch_make();
    float vector[DIM];
    pthread_t writer;
    (void)state;
    engine = open_engine(dir, NULL);
    put_items();
    fill(vector, 12345);
    akin_query_term term = {
        .kind = AKIN_TERM_VECTOR, .weight = 1, .vector = vector, .dim = DIM};
    akin_query queries[TOGETHER];
    for (int i = 0; i < TOGETHER; i++) {
        queries[i] = one_term(&term, K);
        queries[i].with_attributes = true; /* asks the store */
    }
    atomic_store(&over, false);
    pthread_create(&writer, NULL, come_and_go, vector);
    size_t few = 0;
    for (int i = 0; i < SEARCHES; i++) {
        akin_results found[TOGETHER];
        akin_error errs[TOGETHER];
        size_t n = i % 2 ? TOGETHER : 1;
        akin_engine_search_many(engine, "v", queries, n, found, errs);
        for (size_t j = 0; j < n; j++) {
            few += errs[j].status || found[j].n != K;
            akin_results_clear(&found[j]);
        }
    }
    bool wrote = !atomic_exchange(&over, true);
    pthread_join(writer, NULL);
    assert_true(wrote);
    assert_int_equal(few, 0);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_in_all_ways),
        cmocka_unit_test(words),
        cmocka_unit_test(from_memory_or_not_at_all),
        cmocka_unit_test(k_matches_though_items_go),
    };
    return cmocka_run_group_tests_name("engine/search_many", tests, NULL, NULL);
}
