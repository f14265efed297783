/* A directory opened again: only what changed since the index was written is
 * read from the store, and an index file that is damaged costs no answer. */
#include "harness.h"
#include "internal.h"

#include <dirent.h>

enum { DIM = 64, N = 3000, K = 10 };

typedef struct {
    char *dir;
    akin_config *config;
    akin_engine *engine;
} place;

static void reopen(place *p)
{
    akin_engine_options options = {
        .data_dir = p->dir, .model_dir = "", .config = p->config};
    akin_engine_close(p->engine);
    p->engine = NULL;
    must(akin_engine_open(&options, &p->engine, err));
}

static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void vector_of(unsigned i, float *out)
{
    uint64_t state = 1000 + i;
    for (int d = 0; d < DIM; d++)
        out[d] = (float)(next(&state) % 2001) / 1000 - 1;
    akin_normalize(out, DIM);
}

static void put(place *p, unsigned first, unsigned n)
{
    static float vectors[N * DIM];
    static char ids[N][12];
    static akin_item_input in[N];
    static akin_put_result results[N];
    for (unsigned i = 0; i < n; i++) {
        vector_of(first + i, vectors + i * DIM);
        snprintf(ids[i], sizeof ids[i], "%u", first + i);
        in[i] = (akin_item_input){.id = akin_span_of(ids[i]),
                                  .vector = vectors + i * DIM,
                                  .dim = DIM};
    }
    must(akin_engine_put(p->engine, "c", in, n, NULL, results, err));
}

/* A directory of N items with a trained index, open. */
static int setup(void **state)
{
    place *p = test_calloc(1, sizeof *p);
    akin_collection_options options = {.dim = DIM};
    p->dir = scratch_make();
    must(akin_config_open(&p->config, err));
    must(akin_config_set(p->config, "index.auto", "no", err));
    must(akin_config_set(p->config, "index.exact-below", "1000", err));
    reopen(p);
    must(akin_engine_create(p->engine, "c", &options, err));
    put(p, 0, N);
    must(akin_engine_rebuild(p->engine, "c", NULL, NULL, err));
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    place *p = *state;
    akin_engine_close(p->engine);
    akin_config_close(p->config);
    scratch_remove(p->dir);
    akin_free(p->dir);
    test_free(p);
    return 0;
}

static akin_space_info info(place *p)
{
    akin_collection_info *all = test_calloc(1, sizeof *all);
    must(akin_engine_info(p->engine, "c", all, err));
    akin_space_info out = all->image;
    test_free(all);
    return out;
}

/* The K nearest of a query, as the vectors say. */
static void expect_right(place *p, unsigned query, bool exact)
{
    float vector[DIM];
    vector_of(query, vector);
    akin_query_term term = {
        .kind = AKIN_TERM_VECTOR, .weight = 1, .vector = vector, .dim = DIM};
    akin_query q = one_term(&term, K);
    akin_results found;
    q.exact = exact;
    must(akin_engine_search(p->engine, "c", &q, &found, err));
    assert_int_equal(found.n, K);
    assert_int_equal(atoi(found.matches[0].id), query);
    for (size_t i = 0; i < found.n; i++) {
        float other[DIM];
        double dot = 0;
        vector_of((unsigned)atoi(found.matches[i].id), other);
        for (int d = 0; d < DIM; d++)
            dot += (double)vector[d] * other[d];
        assert_true(fabs(dot - (double)found.matches[i].score) < 2e-3);
    }
    akin_results_clear(&found);
}

static void test_only_changes_are_read(void **state)
{
    place *p = *state;
    const akin_span gone[] = {akin_span_of("5"), akin_span_of("6"),
                              akin_span_of("3001")};
    size_t removed;
    reopen(p);
    assert_int_equal(info(p).generation, 1);
    assert_int_equal(info(p).delta, 0);
    put(p, N, 7);
    must(akin_engine_remove(p->engine, "c", gone, 3, &removed, err));
    assert_int_equal(removed, 3);
    reopen(p);
    akin_space_info now = info(p);
    assert_int_equal(now.generation, 1);
    assert_int_equal(now.vectors, N + 4);
    assert_int_equal(now.delta, 6);
    assert_int_equal(now.tombstones, 2);
    expect_right(p, 7, true);
    expect_right(p, N + 6, false);
}

/* Flips a bit of a vector in the middle of the collection's only generation,
 * while the engine is closed. */
static void damage(place *p)
{
    char path[600];
    bool done = false;
    akin_engine_close(p->engine);
    p->engine = NULL;
    snprintf(path, sizeof path, "%s/index/1/0000000000000000/image", p->dir);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        if (strncmp(e->d_name, "generation", 10) != 0) continue;
        char *file = akin_format("%s/%s", path, e->d_name);
        FILE *f = fopen(file, "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, 200000, SEEK_SET), 0);
        int byte = getc(f);
        assert_int_equal(fseek(f, 200000, SEEK_SET), 0);
        assert_int_not_equal(putc(byte ^ 4, f), EOF);
        assert_int_equal(fclose(f), 0);
        akin_free(file);
        done = true;
    }
    closedir(dir);
    assert_true(done);
}

static void test_a_search_that_meets_damage(void **state)
{
    place *p = *state;
    damage(p);
    /* stands for a generation of the other space, which is sound */
    char *sound =
        akin_format("%s/index/1/0000000000000000/caption/sound", p->dir);
    FILE *file = fopen(sound, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    reopen(p);
    for (unsigned i = 0; i < 50; i++)
        expect_right(p, i * 59, false);
    expect_right(p, 1234, true);
    assert_int_equal(info(p).generation, 0);
    assert_int_equal(info(p).delta, N);
    assert_int_equal(access(sound, F_OK), 0);
    akin_free(sound);
    put(p, N, 5);
    expect_right(p, N + 4, true);
    must(akin_engine_rebuild(p->engine, "c", NULL, NULL, err));
    reopen(p);
    assert_int_equal(info(p).delta, 0);
    expect_right(p, N + 4, false);
    must_be_clean(p->engine);
}

/* Searched together: each is answered, from what is sound. */
static void test_searches_together_that_meet_damage(void **state)
{
    place *p = *state;
    enum { TOGETHER = 3 };
    float vectors[TOGETHER][DIM];
    akin_query_term terms[TOGETHER];
    akin_query queries[TOGETHER];
    akin_results found[TOGETHER];
    akin_error errs[TOGETHER];
    damage(p);
    reopen(p);
    for (unsigned i = 0; i < TOGETHER; i++) {
        vector_of(i * 900, vectors[i]);
        terms[i] = (akin_query_term){.kind = AKIN_TERM_VECTOR,
                                     .weight = 1,
                                     .vector = vectors[i],
                                     .dim = DIM};
        queries[i] = one_term(&terms[i], K);
        queries[i].exact = true; /* reads every row */
    }
    akin_engine_search_many(p->engine, "c", queries, TOGETHER, found, errs);
    for (unsigned i = 0; i < TOGETHER; i++) {
        assert_int_equal(errs[i].status, AKIN_OK);
        assert_int_equal(found[i].n, K);
        assert_int_equal(atoi(found[i].matches[0].id), i * 900);
        akin_results_clear(&found[i]);
    }
    assert_int_equal(info(p).generation, 0);
}

static void test_damage_that_nobody_asks_for(void **state)
{
    place *p = *state;
    damage(p);
    reopen(p);
    for (int i = 0; i < 3000 && info(p).generation; i++)
        usleep(20000); /* the maintenance thread reads the file */
    assert_int_equal(info(p).generation, 0);
    assert_int_equal(info(p).vectors, N);
    expect_right(p, 1234, true);
}

/* Once it was always 0: a file of /proc has no size. */
static void test_memory_is_told(void **state)
{
    place *p = *state;
    akin_engine_stats stats;
    akin_engine_get_stats(p->engine, &stats);
    assert_in_range(stats.memory_bytes, 1u << 20, (uint64_t)1 << 36);
    assert_int_equal(stats.items, N);
}

static void test_check_tells_of_damage(void **state)
{
    place *p = *state;
    akin_check_report report;
    damage(p);
    reopen(p);
    must(akin_engine_check(p->engine, NULL, true, NULL, NULL, &report, err));
    /* unless the maintenance thread was first */
    assert_in_range(report.problems, 0, 1);
    assert_int_equal(report.repaired, report.problems);
    akin_check_report_clear(&report);
    must_be_clean(p->engine);
}

/* What finding damage does, some times while an index is being built. */
static void *renew_often(void *of)
{
    const place *p = of;
    akin__collection *c;
    must(akin__collection_find(p->engine, "c", &c, err));
    for (int i = 0; i < 20; i++) {
        akin__view *view = akin__view_hold(c);
        must(akin__view_renew(c, view, "a test says so", err));
        akin__view_release(view);
        usleep(2000);
    }
    akin__collection_release(c);
    return NULL;
}

static void test_a_build_that_loses_its_place(void **state)
{
    place *p = *state;
    pthread_t thread;
    uint64_t before = info(p).generation;
    assert_int_equal(pthread_create(&thread, NULL, renew_often, p), 0);
    for (int i = 0; i < 3; i++)
        must(akin_engine_rebuild(p->engine, "c", NULL, NULL, err));
    pthread_join(thread, NULL);
    assert_true(info(p).generation > before);
    assert_int_equal(info(p).delta, 0);
    expect_right(p, 1234, true);
    reopen(p);
    assert_int_equal(info(p).delta, 0);
    must_be_clean(p->engine);
}

/* Enough for the space to ask for a build. */
static void remove_first(place *p, unsigned n)
{
    static char names[N][12];
    static akin_span ids[N];
    size_t removed;
    for (unsigned i = 0; i < n; i++) {
        snprintf(names[i], sizeof names[i], "%u", i);
        ids[i] = akin_span_of(names[i]);
    }
    must(akin_engine_remove(p->engine, "c", ids, n, &removed, err));
    assert_int_equal(removed, n);
}

static void test_a_build_that_fails_is_not_repeated_at_once(void **state)
{
    const akin_space space = AKIN_SPACE_IMAGE;
    place *p = *state;
    akin__collection *c;
    uint64_t before = info(p).generation, started = akin_mono_ns();

    remove_first(p, 2000);
    must(akin__collection_find(p->engine, "c", &c, err));
    akin__view *view = akin__view_hold(c);
    char *folder = akin_format("%s/image", view->dir);
    char *aside = akin_format("%s/aside", view->dir);
    assert_int_equal(rename(folder, aside), 0);
    akin__build_if_wanted(c, space);
    assert_true(view->build_after[space] >= started + 60000000000);
    assert_int_equal(rename(aside, folder), 0);
    view->build_after[space] = UINT64_MAX; /* however slow this machine is */
    akin__build_if_wanted(c, space);
    assert_int_equal(info(p).generation, before);
    view->build_after[space] = akin_mono_ns();
    akin__build_if_wanted(c, space);
    assert_true(info(p).generation > before);
    assert_int_equal(info(p).tombstones, 0);
    akin_free(folder);
    akin_free(aside);
    akin__view_release(view);
    akin__collection_release(c);
    expect_right(p, 2500, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_changes_are_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_search_that_meets_damage, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_searches_together_that_meet_damage,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_that_nobody_asks_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_memory_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_build_that_loses_its_place,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_build_that_fails_is_not_repeated_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_check_tells_of_damage, setup,
                                        teardown),
    };
    return cmocka_run_group_tests_name("engine/reopen", tests, NULL, NULL);
}
