/* A reader beside a writer, which changes under it what it has open. */
#include "harness.h"
#include "internal.h"

enum { DIM = 8, N = 600 };

static char *dir;
static akin_config *config;
static akin_engine *writer, *reader;

static akin_engine *open_one(bool read_only)
{
    akin_engine *engine = NULL;
    akin_engine_options options = {.data_dir = dir,
                                   .model_dir = "",
                                   .config = config,
                                   .read_only = read_only};
    must(akin_engine_open(&options, &engine, err));
    return engine;
}

static int setup(void **state)
{
    (void)state;
    dir = scratch_make();
    must(akin_config_open(&config, err));
    must(akin_config_set(config, "index.auto", "no", err));
    must(akin_config_set(config, "index.exact-below", "300", err));
    writer = open_one(false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    akin_engine_close(reader);
    akin_engine_close(writer);
    reader = writer = NULL;
    akin_config_close(config);
    scratch_remove(dir);
    akin_free(dir);
    return 0;
}

static void make(const char *name, unsigned n)
{
    static float vectors[N][DIM];
    static char ids[N][12];
    static akin_item_input in[N];
    static akin_put_result results[N];
    akin_collection_options options = {.dim = DIM};
    must(akin_engine_create(writer, name, &options, err));
    for (unsigned i = 0; i < n; i++) {
        for (unsigned d = 0; d < DIM; d++)
            vectors[i][d] = (float)(1 + (i * 2654435761u >> d * 3) % 97);
        snprintf(ids[i], sizeof ids[i], "%u", i);
        in[i] = (akin_item_input){
            .id = akin_span_of(ids[i]), .vector = vectors[i], .dim = DIM};
    }
    must(akin_engine_put(writer, name, in, n, NULL, results, err));
}

static void expect(const char *name, uint64_t items)
{
    akin_collection_info *info = test_calloc(1, sizeof *info);
    must(akin_engine_info(reader, name, info, err));
    assert_int_equal(info->items, items);
    assert_int_equal(info->image.vectors, items);
    test_free(info);
    akin_query_term term = item_term("1");
    akin_query query = one_term(&term, 3);
    akin_results found;
    must(akin_engine_search(reader, name, &query, &found, err));
    assert_int_equal(found.n, 3);
    akin_results_clear(&found);
}

/* When all but the end of a file is written. */
static bool open_a_reader(void *user, const char *phase, uint64_t done,
                          uint64_t total)
{
    (void)done, (void)total;
    if (strcmp(phase, "save")) return true;
    akin_engine_close(reader);
    reader = open_one(true);
    expect("c", N);
    ++*(int *)user;
    return true;
}

/* Once the reader took the writer's unfinished file for a crash's. */
static void a_build_outlives_a_reader_that_opens(void **state)
{
    (void)state;
    akin__collection *c;
    akin_collection_info *info = test_calloc(1, sizeof *info);
    int opened = 0;

    make("c", N);
    must(akin__collection_find(writer, "c", &c, err));
    akin__view *view = akin__view_hold(c);
    for (int i = 0; i < 2; i++)
        must(akin__space_build(c, view, AKIN_SPACE_IMAGE, true, NULL,
                               open_a_reader, &opened, NULL, err));
    akin__view_release(view);
    akin__collection_release(c);
    assert_int_equal(opened, 2);
    expect("c", N);
    akin_engine_close(writer);
    writer = open_one(false);
    must(akin_engine_info(writer, "c", info, err));
    assert_int_equal(info->image.generation, 2);
    assert_int_equal(info->image.delta, 0);
    test_free(info);
}

/* Once it answered for good that there was no such collection. */
static void a_name_that_is_given_again_is_found(void **state)
{
    (void)state;
    akin_snapshot_info made;
    akin__collection *user;
    uint64_t n;

    make("c", 50);
    make("d", 30);
    must(akin_engine_snapshot_create(writer, "d", NULL, NULL, &made, err));
    reader = open_one(true);
    expect("c", 50);
    must(akin_engine_drop(writer, "c", err));
    assert_int_equal(akin_engine_count(reader, "c", (akin_filter){0}, &n, NULL),
                     AKIN_NOT_FOUND);
    make("c", 20);
    expect("c", 20);
    must(akin_engine_drop(writer, "c", err));
    make("c", 10); /* nobody asked between */
    expect("c", 10);

    akin_alias_change alias = {.alias = "c", .collection = "d"};
    must(akin_engine_drop(writer, "c", err));
    must(akin_engine_change_aliases(writer, &alias, 1, err));
    expect("c", 30);

    akin_span gone = akin_span_of("7");
    size_t removed;
    must(akin_engine_remove(writer, "d", &gone, 1, &removed, err));
    expect("d", 29);
    must(akin__collection_find(writer, "d", &user, err));
    must(akin_engine_snapshot_recover(writer, "d", made.name, NULL, true, NULL,
                                      NULL, err));
    expect("d", 30); /* the old rows are there until their user leaves */
    akin__collection_release(user);
    expect("c", 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_build_outlives_a_reader_that_opens,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_that_is_given_again_is_found,
                                        setup, teardown),
    };
    return cmocka_run_group_tests_name("engine/reader", tests, NULL, NULL);
}
