/* The nth allocation fails, for every n until nothing asks that often: a clear
 * error or success, never a crash, never a half item, and the engine goes on. */
#include "harness.h"

static akin_engine *engine;
static uint8_t picture[PICTURE_BYTES];
static size_t picture_size;

static akin_status put(akin_error *err)
{
    akin_item_input items[] = {
        {.id = akin_span_of("p"),
         .picture = {picture, picture_size},
         .caption = akin_span_of("a caption"),
         .attributes = akin_span_of("{\"n\":1}")},
        {.id = akin_span_of("q"), .caption = akin_span_of("more words")}};
    akin_put_result results[2];
    akin_status rc =
        akin_engine_put(engine, "c", items, 2,
                        &(akin_put_options){.replace = true}, results, err);
    for (int i = 0; i < 2 && !rc; i++)
        if (results[i].status) {
            snprintf(err->message, sizeof err->message, "%s",
                     results[i].message);
            rc = results[i].status;
        }
    return rc;
}

static akin_status search(akin_error *err)
{
    akin_query_term terms[] = {text_term("a caption"), item_term("p")};
    akin_query query = {.terms = terms, .nterms = 2, .k = 5};
    akin_results found;
    query.space = AKIN_QUERY_BOTH;
    query.filter.text = akin_span_of(".n == 1 or exists(.m)");
    query.with_attributes = query.with_captions = query.with_vectors = true;
    akin_status rc = akin_engine_search(engine, "c", &query, &found, err);
    akin_results_clear(&found);
    return rc;
}

/* Two that are searched together. */
static akin_status search_many(akin_error *err)
{
    akin_query_term terms[] = {item_term("p"), item_term("q")};
    akin_query queries[] = {one_term(&terms[0], 5), one_term(&terms[1], 5)};
    akin_results found[2];
    akin_error errs[2];
    akin_status rc = AKIN_OK;
    queries[0].space = queries[1].space = AKIN_QUERY_CAPTION;
    akin_engine_search_many(engine, "c", queries, 2, found, errs);
    for (int i = 0; i < 2; i++) {
        if (errs[i].status) {
            rc = errs[i].status;
            *err = errs[i];
        }
        akin_results_clear(&found[i]);
    }
    return rc;
}

static akin_status look(akin_error *err)
{
    akin_item_info item;
    akin_collection_info info;
    akin_ids ids;
    akin_range range = {.limit = 5};
    akin_status rc =
        akin_engine_get(engine, "c", akin_span_of("p"), &item, err);
    if (!rc) akin_item_info_clear(&item);
    if (!rc) rc = akin_engine_info(engine, "c", &info, err);
    if (!rc) {
        rc = akin_engine_range(engine, "c", &range, &ids, err);
        if (!rc) akin_ids_clear(&ids);
    }
    return rc;
}

static akin_status drop_and_create(akin_error *err)
{
    akin_status rc = akin_engine_create(
        engine, "d", &(akin_collection_options){.dim = 3}, err);
    if (rc == AKIN_EXISTS) fail_msg("half a collection was left");
    if (rc) return rc;
    for (int i = 0; i < 2; i++) { /* one allocation fails once */
        rc = akin_engine_drop(engine, "d", err);
        if (rc != AKIN_NOMEM) return rc;
    }
    return rc;
}

static void every_allocation(const char *name,
                             akin_status (*call)(akin_error *))
{
    unsigned failed = 0;
    for (uint64_t n = 1;; n++) {
        akin_error error = {0};
        akin_alloc_fail_at(n);
        akin_status rc = call(&error);
        uint64_t made = akin_alloc_fail_at(0);
        if (rc) {
            failed++;
            if (rc != AKIN_NOMEM || !error.message[0])
                print_message("%s, allocation %llu: %s: %s\n", name,
                              (unsigned long long)n, akin_status_text(rc),
                              error.message);
            assert_true(error.message[0]);
        } else if (made < n) {
            break; /* nothing failed any more */
        }
        if (n > 5000) fail_msg("%s never ends", name);
    }
    print_message("%s: failed %u times\n", name, failed);
    assert_true(failed > 0);
    akin_error error = {0};
    akin_status rc = call(&error);
    if (rc) fail_msg("%s afterwards: %s", name, error.message);
}

static void calls_survive_failing_allocations(void **state)
{
    (void)state;
    char *dir = scratch_make();
    picture_size = make_picture(5, picture, sizeof picture);
    akin_config *config;
    must(akin_config_open(&config, err));
    /* allocations of the maintenance thread would be counted too */
    must(akin_config_set(config, "index.auto", "no", err));
    must(akin_config_set(config, "query.cache", "0", err));
    akin_engine_options options = {
        .data_dir = dir, .model_dir = STARTER, .config = config};
    must(akin_engine_open(&options, &engine, err));
    must(akin_engine_create(engine, "c", NULL, err));
    every_allocation("put", put);
    must_be_clean(engine);
    every_allocation("search", search);
    every_allocation("search many", search_many);
    every_allocation("look", look);
    every_allocation("create and drop", drop_and_create);
    must_be_clean(engine);
    akin_engine_close(engine);
    akin_config_close(config);
    scratch_remove(dir);
    akin_free(dir);
}

/* ---- what was committed is not reported as failed ---------------------------- */

static void point_alias(const char *alias, const char *collection)
{
    akin_alias_change change = {.alias = alias, .collection = collection};
    must(akin_engine_change_aliases(engine, &change, 1, err));
}

static void expect_name(const char *name, const char *real)
{
    char got[AKIN_NAME_BYTES + 1];
    must(akin_engine_name(engine, name, got, err));
    assert_string_equal(got, real);
}

/* The alias points where the answer says, now and after the next change. */
static void a_failed_change_of_aliases_changed_nothing(void)
{
    bool at_c = true;
    unsigned failed = 0;
    for (uint64_t n = 1;; n++) {
        akin_error error = {0};
        akin_alias_change change = {.alias = "now",
                                    .collection = at_c ? "d" : "c"};
        akin_alloc_fail_at(n);
        akin_status rc = akin_engine_change_aliases(engine, &change, 1, &error);
        bool made = akin_alloc_fail_at(0) >= n;
        if (rc) assert_int_equal(rc, AKIN_NOMEM);
        at_c ^= !rc;
        failed += rc != 0;
        expect_name("now", at_c ? "c" : "d");
        point_alias("other", "c");
        expect_name("now", at_c ? "c" : "d");
        if (!made) break;
    }
    assert_true(failed > 0);
}

static void a_failed_drop_dropped_nothing(void)
{
    for (uint64_t n = 1;; n++) {
        akin_alias_change change = {.alias = "now", .collection = "d"};
        akin_error error = {0};
        must(akin_engine_change_aliases(engine, &change, 1, err));
        akin_alloc_fail_at(n);
        akin_status rc = akin_engine_drop(engine, "d", &error);
        bool made = akin_alloc_fail_at(0) >= n;
        if (rc)
            expect_name("d", "d");
        else
            must(akin_engine_create(engine, "d",
                                    &(akin_collection_options){.dim = 3}, err));
        if (rc)
            expect_name("now", "d");
        else
            assert_int_equal(akin_engine_name(engine, "now", NULL, NULL),
                             AKIN_NOT_FOUND);
        if (!made) break;
    }
}

static akin_status recover(const char *snapshot, uint64_t fail_at,
                           uint64_t *made)
{
    akin_error error = {0};
    akin_alloc_fail_at(fail_at);
    akin_status rc = akin_engine_snapshot_recover(engine, "c", snapshot, NULL,
                                                  true, NULL, NULL, &error);
    *made = akin_alloc_fail_at(0);
    return rc;
}

/* The last allocations of a recovery: those after its commit are among them. */
static void a_failed_recovery_left_the_collection(void)
{
    enum { LAST = 24 };
    akin_snapshot_info snapshot;
    uint64_t all, made;
    unsigned failed = 0;

    must(akin_engine_snapshot_create(engine, "c", NULL, NULL, &snapshot, err));
    must(put(err));
    point_alias("now", "c");
    assert_int_equal(recover(snapshot.name, 0, &all), AKIN_OK);
    assert_int_equal(count_items(engine, "c"), 0);
    for (uint64_t n = all > LAST ? all - LAST : 1; n <= all; n++) {
        must(put(err));
        akin_status rc = recover(snapshot.name, n, &made);
        failed += rc != 0;
        assert_int_equal(count_items(engine, "now"), rc ? 2 : 0);
        assert_int_equal(count_items(engine, "c"), rc ? 2 : 0);
    }
    print_message("recovery: %llu allocations, failed %u times\n",
                  (unsigned long long)all, failed);
    must_be_clean(engine);
}

static void what_is_committed_did_not_fail(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_config *config;
    must(akin_config_open(&config, err));
    must(akin_config_set(config, "index.auto", "no", err));
    akin_engine_options options = {
        .data_dir = dir, .model_dir = STARTER, .config = config};
    must(akin_engine_open(&options, &engine, err));
    must(akin_engine_create(engine, "c", NULL, err));
    must(akin_engine_create(engine, "d", &(akin_collection_options){.dim = 3},
                            err));
    picture_size = make_picture(5, picture, sizeof picture);
    point_alias("now", "c");
    a_failed_change_of_aliases_changed_nothing();
    a_failed_drop_dropped_nothing();
    a_failed_recovery_left_the_collection();
    akin_engine_close(engine);
    akin_config_close(config);
    scratch_remove(dir);
    akin_free(dir);
}

static void opening_survives_failing_allocations(void **state)
{
    (void)state;
    char *dir = scratch_make();
    engine = open_engine(dir, STARTER);
    must(akin_engine_create(engine, "c", NULL, err));
    must(put(err));
    akin_engine_close(engine);
    akin_engine_options options = {.data_dir = dir, .model_dir = STARTER};
    bool opened = false;
    for (uint64_t n = 1; !opened; n++) {
        akin_error error = {0};
        akin_alloc_fail_at(n);
        akin_status rc = akin_engine_open(&options, &engine, &error);
        opened = akin_alloc_fail_at(0) < n && !rc;
        if (!rc && !opened) akin_engine_close(engine);
        if (rc) assert_true(error.message[0]);
        assert_true(n < 5000);
    }
    must_be_clean(engine);
    assert_int_equal(count_items(engine, "c"), 2);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_survive_failing_allocations),
        cmocka_unit_test(what_is_committed_did_not_fail),
        cmocka_unit_test(opening_survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
