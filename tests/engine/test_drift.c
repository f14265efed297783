/* Drift of what is put and of what is asked, on vectors about known middles. */
#include "harness.h"

#define DIM 32

static uint32_t seed;

static float noise(void)
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / (float)(1u << 24) - 0.5f;
}

/* A vector about axis `at`. */
static void draw(int at, float *out)
{
    for (int i = 0; i < DIM; i++)
        out[i] = noise();
    out[at] += 2;
}

static void put_about(akin_engine *engine, int at, unsigned from, unsigned n)
{
    akin_put_options create = {.create = true};
    for (unsigned i = from; i < from + n; i++) {
        float vector[DIM];
        char id[16];
        akin_put_result result;
        snprintf(id, sizeof id, "%u", i);
        draw(at, vector);
        akin_item_input input = {
            .id = akin_span_of(id), .vector = vector, .dim = DIM};
        must(akin_engine_put(engine, "c", &input, 1, &create, &result, err));
        assert_int_equal(result.status, AKIN_OK);
    }
}

static void ask_about(akin_engine *engine, int at, unsigned n, uint32_t offset)
{
    for (unsigned i = 0; i < n; i++) {
        float vector[DIM];
        draw(at, vector);
        akin_query_term term = {.kind = AKIN_TERM_VECTOR,
                                .weight = 1,
                                .vector = vector,
                                .dim = DIM};
        akin_query q = one_term(&term, 1);
        akin_results results;
        q.offset = offset;
        must(akin_engine_search(engine, "c", &q, &results, err));
        akin_results_clear(&results);
    }
}

static akin_drift drift_of(akin_engine *engine)
{
    akin_drift drift;
    must(akin_engine_drift(engine, "c", &drift, err));
    print_message("put %.3f, asked %.3f\n", drift.put_image,
                  drift.asked_picture);
    return drift;
}

static void what_is_new_is_told_from_what_is_there(void **state)
{
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, NULL);
    (void)state;
    seed = 20261123;

    put_about(engine, 0, 0, 20);
    assert_true(isnan(drift_of(engine).put_image)); /* too few */
    put_about(engine, 0, 20, 380);
    assert_true(drift_of(engine).put_image < 0.1);
    assert_true(isnan(drift_of(engine).asked_picture));
    assert_true(isnan(drift_of(engine).put_caption));

    ask_about(engine, 0, 100, 0);
    assert_true(drift_of(engine).asked_picture < 0.15);
    ask_about(engine, 5, 400, 20); /* further pages are not asked anew */
    assert_true(drift_of(engine).asked_picture < 0.15);
    ask_about(engine, 5, 400, 0);
    assert_true(drift_of(engine).asked_picture > 1);

    put_about(engine, 5, 400, 300);
    assert_true(drift_of(engine).put_image > 0.2);

    /* what was there when the directory is opened is not new */
    akin_engine_close(engine);
    engine = open_engine(dir, NULL);
    assert_true(isnan(drift_of(engine).put_image));
    put_about(engine, 9, 1000, 60);
    assert_true(drift_of(engine).put_image > 0.7);

    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

static void one_picture_many_times_has_no_drift(void **state)
{
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, NULL);
    akin_put_options create = {.create = true};
    float vector[DIM] = {1};
    (void)state;

    for (unsigned i = 0; i < 40; i++) {
        char id[16];
        akin_put_result result;
        snprintf(id, sizeof id, "%u", i);
        akin_item_input input = {
            .id = akin_span_of(id), .vector = vector, .dim = DIM};
        must(akin_engine_put(engine, "c", &input, 1, &create, &result, err));
    }
    assert_true(isnan(drift_of(engine).put_image));
    akin_drift drift;
    assert_int_equal(akin_engine_drift(engine, "none", &drift, NULL),
                     AKIN_NOT_FOUND);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_new_is_told_from_what_is_there),
        cmocka_unit_test(one_picture_many_times_has_no_drift),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
