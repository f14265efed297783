/* Filters in use: an attribute that is filtered by again and again is indexed by
 * itself, and a selection is remembered until the collection changes. Looks
 * inside, so that "took long" needs no clock. */
#include "harness.h"

#include "internal.h"

enum { N = 10500, BATCH = 500, LONG_NS = 40000000 };

static void put(akin_engine *engine, unsigned from, unsigned n)
{
    static char ids[BATCH][16], json[BATCH][64];
    static float vectors[BATCH][4];
    akin_item_input items[BATCH];
    akin_put_result results[BATCH];
    akin_put_options create = {.create = true};
    assert_true(n <= BATCH);
    for (unsigned i = 0; i < n; i++) {
        unsigned x = from + i;
        snprintf(ids[i], sizeof ids[i], "%u", x);
        snprintf(json[i], sizeof json[i], "{\"price\":%u,\"brand\":\"b%u\"}",
                 x % 100, x % 7);
        for (unsigned d = 0; d < 4; d++)
            vectors[i][d] = 1 + (float)((x >> d) % 16);
        items[i] = (akin_item_input){.id = akin_span_of(ids[i]),
                                     .vector = vectors[i],
                                     .dim = 4,
                                     .attributes = akin_span_of(json[i])};
    }
    must(akin_engine_put(engine, "c", items, n, &create, results, err));
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(results[i].status, AKIN_OK);
}

static uint64_t count(akin_engine *engine, const char *filter)
{
    uint64_t n;
    must(akin_engine_count(
        engine, "c", (akin_filter){.text = akin_span_of(filter)}, &n, err));
    return n;
}

/* As if a selection had taken ns, `times` times. */
static void note(akin_engine *engine, const char *filter, uint64_t ns,
                 int times)
{
    akin__collection *c;
    akin__expression expression;
    must(akin__collection_find(engine, "c", &c, err));
    must(akin__filter_parse((akin_filter){.text = akin_span_of(filter)},
                            &expression, err));
    for (int i = 0; i < times; i++)
        akin__note_selection(c, &expression.predicate, ns);
    akin__declare_fields(c);
    akin__expression_clear(&expression);
    akin__collection_release(c);
}

static uint32_t fields(akin_engine *engine, const char *name)
{
    akin_collection_info *info = calloc(1, sizeof *info);
    must(akin_engine_info(engine, "c", info, err));
    uint32_t n = info->nfields;
    bool there = !name;
    for (uint32_t i = 0; i < n; i++)
        there |= name && !strcmp(info->fields[i].name, name);
    free(info);
    assert_true(there);
    return n;
}

static akin_config *config; /* of the engine that is open */

static akin_engine *open_quiet(const char *dir)
{
    akin_engine *engine;
    must(akin_config_open(&config, err));
    must(akin_config_set(config, "index.auto", "no", err));
    akin_engine_options options = {
        .data_dir = dir, .model_dir = "", .config = config};
    must(akin_engine_open(&options, &engine, err));
    return engine;
}

static void shut(akin_engine *engine)
{
    akin_engine_close(engine);
    akin_config_close(config);
}

static void a_heavy_attribute_is_indexed(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_quiet(dir);
    for (unsigned i = 0; i < N; i += BATCH)
        put(engine, i, BATCH);
    uint64_t cheap = 0, both = 0; /* counted here: a slow machine's selections
                                     would be heavy in earnest */
    for (unsigned x = 0; x < N + 100; x++) {
        cheap += x % 100 < 10;
        both += (x % 7 == 1 || x % 7 == 2) && x % 100 > 50;
    }

    note(engine, ".price < 10", 1000, 10); /* quick: no need */
    assert_int_equal(fields(engine, NULL), 0);
    note(engine, ".price < 10", LONG_NS, 2); /* not often enough */
    assert_int_equal(fields(engine, NULL), 0);
    note(engine, ".price < 10", LONG_NS, 1);
    assert_int_equal(fields(engine, "price"), 1);
    note(engine, ".brand in [\"b1\", \"b2\"] and .price > 50", LONG_NS, 3);
    assert_int_equal(fields(engine, "brand"), 2);
    note(engine, ".brand == \"b1\"", LONG_NS, 9); /* once is enough */
    assert_int_equal(fields(engine, NULL), 2);

    put(engine, N, 100); /* now by the indexes */
    assert_int_equal(count(engine, ".price < 10"), cheap);
    assert_int_equal(
        count(engine, ".brand in [\"b1\", \"b2\"] and .price > 50"), both);
    shut(engine);
    scratch_remove(dir);
    akin_free(dir);
}

static void a_selection_follows_the_changes(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_quiet(dir);
    akin_query_term term = {.kind = AKIN_TERM_VECTOR,
                            .weight = 1,
                            .vector = (float[]){1, 2, 3, 4},
                            .dim = 4};
    akin_query query = one_term(&term, 10);
    akin_results found;
    akin_engine_stats stats;
    put(engine, 0, 300);
    query.filter.text = akin_span_of(".price == 5");
    for (int i = 0; i < 4; i++) {
        must(akin_engine_search(engine, "c", &query, &found, err));
        assert_int_equal(found.n, 3);
        akin_results_clear(&found);
    }
    akin_engine_get_stats(engine, &stats);
    assert_int_equal(stats.filter_cache_misses, 1);
    assert_int_equal(stats.filter_cache_hits, 3);
    put(engine, 300, 100); /* one more passes */
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, 4);
    akin_results_clear(&found);
    akin_engine_get_stats(engine, &stats);
    assert_int_equal(stats.filter_cache_misses, 1);
    assert_int_equal(stats.filter_cache_hits, 4);
    for (int i = 0; i < 30; i++) /* more than are remembered */
        put(engine, 400 + 300 * i, 300);
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, 10);
    akin_results_clear(&found);
    uint64_t pass, before;
    akin_filter filter = {.text = query.filter.text};
    must(akin_engine_count(engine, "c", filter, &before, err));
    assert_int_equal(before, 94);
    akin_engine_get_stats(engine, &stats);
    assert_int_equal(stats.filter_cache_misses, 2);
    for (int i = 0; i < 20; i++) /* some of those go, some twice */
        put(engine, 0, 300);
    akin_span gone = akin_span_of("5");
    size_t removed;
    must(akin_engine_remove(engine, "c", &gone, 1, &removed, err));
    must(akin_engine_count(engine, "c", filter, &pass, err));
    assert_int_equal(pass, before - removed);
    akin_engine_get_stats(engine, &stats);
    assert_int_equal(stats.filter_cache_misses, 2);
    shut(engine);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_heavy_attribute_is_indexed),
        cmocka_unit_test(a_selection_follows_the_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
