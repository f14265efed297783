/* Small spaces: exact answers equal a naive model, writes take effect at once. */
#include "common.h"

#include "internal.h"

static void test_kernel_equals_plain_loop(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (size_t dim = 1; dim < 200; dim += dim < 40 ? 1 : 37) {
        float queries[7][200];
        uint16_t rows[9][200];
        const float *q[7];
        const uint16_t *r[9];
        float out[63], one;
        for (size_t i = 0; i < 7; i++) {
            for (size_t d = 0; d < dim; d++)
                queries[i][d] = normal(&seed);
            q[i] = queries[i];
        }
        for (size_t i = 0; i < 9; i++) {
            float v[200];
            for (size_t d = 0; d < dim; d++)
                v[d] = normal(&seed);
            akin_half_from_float(rows[i], v, dim);
            r[i] = rows[i];
        }
        akin__dots(q, 7, r, 9, dim, out);
        for (size_t i = 0; i < 9; i++)
            for (size_t j = 0; j < 7; j++) {
                float plain = akin__dot_plain(q[j], r[i], dim);
                assert_true(fabsf(out[i * 7 + j] - plain) < 1e-3f);
                /* the same bits whatever the shape of the call */
                akin__dots(&q[j], 1, &r[i], 1, dim, &one);
                assert_memory_equal(&one, &out[i * 7 + j], sizeof one);
            }
    }
}

static void test_search_equals_model(void **state)
{
    (void)state;
    const uint32_t dim = 48, n = 700, k = 10, nq = 37;
    uint64_t seed = 2;
    uint16_t *vectors = malloc(n * dim * 2u), *half = malloc(nq * dim * 2u);
    float *queries = malloc(nq * dim * sizeof *queries);
    uint64_t labels[700];
    akin_hit hits[37 * 10];
    uint32_t nhits[37];
    bool exact = false;
    akin_error err;
    model m = model_new(dim, n);
    akin_index *index = open_index(dim, NULL, 0, NULL);
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    clustered(1, &seed, n, dim, 20, vectors);
    clustered(1, &seed, nq, dim, 20, half);
    akin_float_from_half(queries, half, nq * dim);
    for (uint32_t i = 0; i < n; i++) {
        labels[i] = i + 1;
        model_put(&m, i + 1, vectors + i * dim);
    }
    ok(akin_index_put_many(index, labels, vectors, n, &err), &err);
    for (int round = 0; round < 2; round++) { /* from the delta; a flat file */
        ok(akin_index_search(index, queries, nq, &params, hits, nhits, &exact,
                             &err),
           &err);
        assert_true(exact);
        for (uint32_t q = 0; q < nq; q++)
            same_hits(&m, queries + q * dim, NULL, hits + q * k, nhits[q], k);
        ok(akin_index_build(index, 1, NULL, NULL, &err), &err);
    }
    /* a vector finds itself with cosine 1 */
    akin_float_from_half(queries, vectors + 5 * dim, dim);
    ok(akin_index_search(index, queries, 1, &params, hits, nhits, NULL, &err),
       &err);
    assert_int_equal(hits[0].label, 6);
    assert_true(hits[0].cosine > 0.999999f && hits[0].cosine <= 1);
    params.min_cosine = hits[3].cosine;
    ok(akin_index_search(index, queries, 1, &params, hits, nhits, NULL, &err),
       &err);
    assert_int_equal(nhits[0], 4);
    akin_index_close(index);
    model_free(&m);
    free(vectors);
    free(half);
    free(queries);
}

static void test_put_replace_remove(void **state)
{
    (void)state;
    uint16_t a[4], b[4];
    const float x[4] = {1, 0, 0, 0}, y[4] = {0, 1, 0, 0};
    float got[4], cosines[3];
    uint64_t labels[3] = {7, 9, 8};
    akin_hit hits[10];
    uint32_t nhits;
    size_t removed;
    akin_error err;
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    akin_index *index = open_index(4, NULL, 0, NULL);
    akin_index_stats stats;
    akin_half_from_float(a, x, 4);
    akin_half_from_float(b, y, 4);
    for (int round = 0; round < 2; round++) { /* over a delta; over a file */
        ok(put_one(index, 7, a, &err), &err);
        ok(put_one(index, 9, b, &err), &err);
        if (round) ok(akin_index_build(index, 5, NULL, NULL, &err), &err);
        ok(put_one(index, 7, b, &err), &err);
        ok(akin_index_search(index, x, 1, &params, hits, &nhits, NULL, &err),
           &err);
        assert_int_equal(nhits, 2);
        assert_int_equal(hits[0].label, 7); /* equal cosines: by label */
        assert_int_equal(hits[1].label, 9);
        assert_true(fabsf(hits[0].cosine) < 1e-6f);
        ok(akin_index_get(index, 7, got, &err), &err);
        assert_memory_equal(got, y, sizeof y);
        ok(akin_index_cosines(index, y, labels, 3, cosines, &err), &err);
        assert_true(cosines[0] == 1 && cosines[1] == 1 && isnan(cosines[2]));
        labels[2] = 7; /* twice in one call */
        ok(akin_index_remove(index, labels, 3, &removed, &err), &err);
        labels[2] = 8;
        assert_int_equal(removed, 2);
        assert_false(has_label(index, 7));
        assert_int_equal(akin_index_get(index, 7, got, &err), AKIN_NOT_FOUND);
        ok(akin_index_search(index, x, 1, &params, hits, &nhits, NULL, &err),
           &err);
        assert_int_equal(nhits, 0);
        akin_index_get_stats(index, &stats);
        assert_int_equal(stats.live, 0);
    }
    akin_index_close(index);
}

static void test_one_label_twice_in_a_put(void **state)
{
    (void)state;
    uint16_t v[8];
    const float f[8] = {1, 0, 0, 0, 0, 1, 0, 0};
    uint64_t labels[2] = {3, 3};
    float got[4];
    akin_error err;
    akin_index_stats stats;
    akin_index *index = open_index(4, NULL, 0, NULL);
    akin_half_from_float(v, f, 8);
    ok(akin_index_put_many(index, labels, v, 2, &err), &err);
    ok(akin_index_get(index, 3, got, &err), &err);
    assert_memory_equal(got, f + 4, sizeof got);
    akin_index_get_stats(index, &stats);
    assert_int_equal(stats.live, 1);
    ok(akin_index_put_many(index, labels, v, 2, &err), &err);
    akin_index_get_stats(index, &stats);
    assert_int_equal(stats.live, 1);
    akin_index_close(index);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    uint16_t zero[4] = {0}, inf[4] = {0x7c00, 0, 0, 0},
             one[4] = {0x3c00, 0, 0, 0};
    float nan_query[4] = {NAN, 0, 0, 0}, x[4] = {1, 0, 0, 0};
    akin_hit hits[10];
    uint32_t nhits;
    uint64_t covered;
    akin_error err;
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    akin_index_options options = {.dim = 0};
    akin_index *index = NULL;
    assert_int_equal(akin_index_open(&options, &index, &covered, &err),
                     AKIN_INVALID);
    index = open_index(4, NULL, 0, NULL);
    assert_int_equal(put_one(index, 0, one, &err), AKIN_INVALID);
    assert_int_equal(put_one(index, 1, zero, &err), AKIN_INVALID);
    assert_int_equal(put_one(index, 1, inf, &err), AKIN_INVALID);
    assert_false(has_label(index, 1));
    assert_int_equal(akin_index_search(index, nan_query, 1, &params, hits,
                                       &nhits, NULL, &err),
                     AKIN_INVALID);
    params.k = 0;
    assert_int_equal(
        akin_index_search(index, x, 1, &params, hits, &nhits, NULL, &err),
        AKIN_INVALID);
    akin_index_close(index);
}

static void test_sample(void **state)
{
    (void)state;
    const uint32_t n = 500;
    uint64_t labels[500], out[500], again[500], seed = 4;
    uint16_t *v = malloc(n * 8 * 2u);
    size_t counts[501] = {0};
    akin_error err;
    akin_index *index = open_index(8, NULL, 0, NULL);
    clustered(1, &seed, n, 8, 5, v);
    for (uint32_t i = 0; i < n; i++)
        labels[i] = n - i;
    ok(akin_index_put_many(index, labels, v, n, &err), &err);
    assert_int_equal(akin_index_sample(index, 1, 1000, out), n);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(out[i], i + 1);
    for (uint64_t round = 0; round < 2000; round++) {
        assert_int_equal(akin_index_sample(index, round, 50, out), 50);
        for (int i = 0; i < 50; i++) {
            assert_true(i == 0 || out[i] > out[i - 1]);
            counts[out[i]]++;
        }
    }
    for (uint32_t i = 1; i <= n; i++) /* 200 expected, deviation 13 */
        assert_in_range(counts[i], 120, 280);
    akin_index_sample(index, 9, 50, out);
    akin_index_sample(index, 9, 50, again);
    assert_memory_equal(out, again, 50 * sizeof *out);
    akin_index_close(index);
    free(v);
}

static void test_selector(void **state)
{
    (void)state;
    akin_selector s;
    akin_error err;
    ok(akin_selector_init(&s, 100, &err), &err);
    assert_false(akin_selector_has(&s, 100));
    assert_false(akin_selector_has(&s, UINT64_MAX));
    ok(akin_selector_set(&s, 100, &err), &err);
    ok(akin_selector_set(&s, 100000, &err), &err);
    ok(akin_selector_set(&s, 100, &err), &err);
    assert_int_equal(s.count, 2);
    assert_true(akin_selector_has(&s, 100) && akin_selector_has(&s, 100000));
    assert_int_equal(akin_selector_count(&s), 2);
    assert_int_equal(akin_selector_set(&s, UINT64_MAX, &err), AKIN_INVALID);
    akin_selector_clear(&s);
    akin_selector_clear(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernel_equals_plain_loop),
        cmocka_unit_test(test_search_equals_model),
        cmocka_unit_test(test_put_replace_remove),
        cmocka_unit_test(test_one_label_twice_in_a_put),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_selector),
    };
    return cmocka_run_group_tests_name("index/exact", tests, NULL, NULL);
}
