/* IVF-PQ generations: recall floors, filters, tombstones, merges, reload. The
 * truth is the naive model. */
#include "common.h"

#include "internal.h"

enum { DIM = 64, N = 6000, NQ = 60, K = 10 };

typedef struct {
    akin_index *index;
    char *dir;
    model m;
    float *queries;
    uint64_t seed;
} space;

static void space_open(space *s)
{
    uint64_t covered;
    s->index = open_index(DIM, s->dir, 1000, &covered);
}

/* N clustered items, labels 1, 3, 5, ..., in a trained generation. */
static void space_make(space *s, bool on_disk)
{
    uint16_t *vectors = malloc(N * DIM * 2u), half[DIM];
    uint64_t *labels = malloc(N * sizeof *labels);
    akin_build_report report;
    akin_error err;
    *s = (space){.seed = 11, .m = model_new(DIM, 2 * N + 1)};
    if (on_disk) s->dir = make_folder();
    space_open(s);
    clustered(3, &s->seed, N, DIM, 150, vectors);
    for (size_t i = 0; i < N; i++) {
        labels[i] = 2 * i + 1;
        model_put(&s->m, labels[i], vectors + i * DIM);
    }
    ok(akin_index_put_many(s->index, labels, vectors, N, &err), &err);
    s->queries = malloc(NQ * DIM * sizeof(float));
    for (size_t i = 0; i < NQ; i++) {
        clustered(3, &s->seed, 1, DIM, 150, half);
        akin_float_from_half(s->queries + i * DIM, half, DIM);
    }
    assert_int_equal(akin_index_wants_build(s->index), AKIN_BUILD_FIRST);
    ok(akin_index_build(s->index, 42, NULL, &report, &err), &err);
    assert_int_equal(report.did, AKIN_BUILD_FIRST);
    assert_int_equal(akin_index_wants_build(s->index), AKIN_BUILD_NOT_NEEDED);
    free(vectors);
    free(labels);
}

static void space_free(space *s)
{
    akin_index_close(s->index);
    if (s->dir) remove_folder(s->dir);
    model_free(&s->m);
    free(s->queries);
}

static double mean_recall(space *s, const akin_search_params *params,
                          bool *exact)
{
    akin_hit hits[NQ * K];
    uint32_t nhits[NQ];
    double sum = 0;
    akin_error err;
    ok(akin_index_search(s->index, s->queries, NQ, params, hits, nhits, exact,
                         &err),
       &err);
    for (int q = 0; q < NQ; q++) {
        const float *query = s->queries + q * DIM;
        for (uint32_t i = 0; i < nhits[q]; i++) /* scores are true cosines */
            assert_true(fabs(model_cosine(&s->m, query, hits[q * K + i].label) -
                             hits[q * K + i].cosine) < 1e-5);
        sum += recall_of(&s->m, query, params->selector, hits + q * K, nhits[q],
                         K);
    }
    return sum / NQ;
}

/* Recall at several nprobe, and what is asked for without naming one. */
static void check_floors(space *s)
{
    static const struct {
        uint32_t nprobe;
        double floor;
    } floors[] = {{1, 0.4}, {4, 0.75}, {16, 0.93}, {64, 0.98}};
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    bool exact;
    for (size_t i = 0; i < 4; i++) {
        params.nprobe = floors[i].nprobe;
        params.candidates = 400;
        double recall = mean_recall(s, &params, &exact);
        printf("nprobe %u: recall %.3f\n", params.nprobe, recall);
        assert_true(recall >= floors[i].floor);
    }
    params = AKIN_SEARCH_DEFAULTS;
    assert_true(mean_recall(s, &params, &exact) >= 0.93);
    params.recall = 1;
    assert_true(mean_recall(s, &params, &exact) == 1 && exact);
    params.recall = 0;
    params.exact = true;
    assert_true(mean_recall(s, &params, &exact) == 1 && exact);
}

static void remove_every_third(space *s)
{
    akin_error err;
    size_t removed;
    for (uint64_t label = 1; label < 2 * N; label += 6) {
        ok(akin_index_remove(s->index, &label, 1, &removed, &err), &err);
        assert_int_equal(removed, 1);
        s->m.there[label] = false;
    }
}

static void test_recall_tombstones_merge_reload(void **state)
{
    (void)state;
    space s;
    akin_error err;
    akin_build_report report;
    akin_index_stats stats;
    uint64_t covered;
    uint16_t half[DIM];
    space_make(&s, true);
    check_floors(&s);
    remove_every_third(&s);
    akin_index_get_stats(s.index, &stats);
    assert_int_equal(stats.tombstones, N / 3);
    check_floors(&s);

    /* new ones and replaced ones, in the delta and then merged */
    for (uint64_t label = 1; label < 2000; label++) {
        clustered(3, &s.seed, 1, DIM, 150, half);
        ok(put_one(s.index, label, half, &err), &err);
        model_put(&s.m, label, half);
    }
    check_floors(&s);
    ok(akin_index_build(s.index, 77, NULL, &report, &err), &err);
    assert_int_equal(report.did, AKIN_BUILD_MERGE);
    akin_index_get_stats(s.index, &stats);
    assert_int_equal(stats.live, model_count(&s.m));
    assert_int_equal(stats.rows, stats.live);
    assert_int_equal(stats.tombstones + stats.delta_rows, 0);
    check_floors(&s);

    akin_index_close(s.index);
    s.index = open_index(DIM, s.dir, 1000, &covered);
    assert_int_equal(covered, 77);
    akin_index_get_stats(s.index, &stats);
    assert_int_equal(stats.kind, AKIN_INDEX_IVFPQ);
    assert_int_equal(stats.live, model_count(&s.m));
    check_floors(&s);
    space_free(&s);
}

static bool stop_in_add(void *user, const char *phase, uint64_t done,
                        uint64_t total)
{
    int *training = user;
    (void)done;
    *training += strcmp(phase, "train") == 0 && total > 1;
    return strcmp(phase, "add") != 0;
}

/* What was trained before an interruption is not trained again, also by another
 * process; unless it is damaged, or is of other lists. */
static void test_an_interrupted_build_goes_on(void **state)
{
    (void)state;
    space s;
    akin_error err;
    akin_index_stats stats;
    char path[64];
    int training = 0;
    akin_build_params params = {
        .retrain = true, .progress = stop_in_add, .user = &training};
    bool exact;
    space_make(&s, true);
    snprintf(path, sizeof path, "%s/training.akin", s.dir);
    assert_int_not_equal(access(path, F_OK), 0); /* done: forgotten */
    assert_int_equal(akin_index_build(s.index, 43, &params, NULL, &err),
                     AKIN_CANCELLED);
    assert_true(training > 2);
    assert_int_equal(access(path, F_OK), 0);
    akin_index_close(s.index);
    space_open(&s);

    training = 0;
    params.nlist = 50; /* not what was trained */
    assert_int_equal(akin_index_build(s.index, 43, &params, NULL, &err),
                     AKIN_CANCELLED);
    assert_true(training > 2);
    training = 0; /* now it is */
    assert_int_equal(akin_index_build(s.index, 43, &params, NULL, &err),
                     AKIN_CANCELLED);
    assert_int_equal(training, 0);

    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, 5000, SEEK_SET), 0);
    assert_int_equal(fputc('x', f), 'x');
    assert_int_equal(fclose(f), 0);
    assert_int_equal(akin_index_build(s.index, 43, &params, NULL, &err),
                     AKIN_CANCELLED);
    assert_true(training > 2); /* and wrote it anew */

    training = 0;
    params.progress = NULL;
    ok(akin_index_build(s.index, 43, &params, NULL, &err), &err);
    assert_int_not_equal(access(path, F_OK), 0);
    akin_index_get_stats(s.index, &stats);
    assert_int_equal(stats.nlist, 50);
    params = (akin_build_params){.retrain = true};
    ok(akin_index_build(s.index, 43, &params, NULL, &err), &err);
    check_floors(&s);
    akin_search_params all = AKIN_SEARCH_DEFAULTS;
    all.nprobe = UINT32_MAX;
    all.candidates = N;
    assert_true(mean_recall(&s, &all, &exact) == 1);
    space_free(&s);
}

/* Puts n vectors of a world as labels from `from` on. */
static void put_world(akin_index *index, uint64_t world, uint64_t *seed,
                      uint64_t from, size_t n)
{
    uint16_t *vectors = malloc(n * DIM * 2u);
    uint64_t *labels = malloc(n * sizeof *labels);
    akin_error err;
    clustered(world, seed, n, DIM, 20, vectors);
    for (size_t i = 0; i < n; i++)
        labels[i] = from + i;
    ok(akin_index_put_many(index, labels, vectors, n, &err), &err);
    free(vectors);
    free(labels);
}

/* Trained again when there are four times as many, or when what was added lies
 * far from all lists; not for more of the same. */
static void test_trained_again(void **state)
{
    (void)state;
    akin_index *index = open_index(DIM, NULL, 500, NULL);
    akin_build_report report;
    akin_index_stats stats;
    akin_error err;
    uint64_t seed = 21;
    put_world(index, 3, &seed, 1, 1000);
    ok(akin_index_build(index, 1, NULL, &report, &err), &err);
    assert_int_equal(report.did, AKIN_BUILD_FIRST);
    put_world(index, 3, &seed, 1001, 1000); /* more of the same */
    ok(akin_index_build(index, 2, NULL, &report, &err), &err);
    assert_int_equal(report.did, AKIN_BUILD_MERGE);
    assert_int_equal(akin_index_wants_build(index), AKIN_BUILD_NOT_NEEDED);
    put_world(index, 3, &seed, 2001, 1999);
    assert_int_not_equal(akin_index_wants_build(index), AKIN_BUILD_RETRAIN);
    put_world(index, 3, &seed, 4000, 1); /* four times as many */
    assert_int_equal(akin_index_wants_build(index), AKIN_BUILD_RETRAIN);
    ok(akin_index_build(index, 3, NULL, &report, &err), &err);
    assert_int_equal(report.did, AKIN_BUILD_RETRAIN);
    akin_index_get_stats(index, &stats);
    assert_int_equal(stats.trained_on, 4000);

    put_world(index, 777, &seed, 4001, 1000); /* another world */
    ok(akin_index_build(index, 4, NULL, &report, &err), &err);
    assert_int_equal(report.did, AKIN_BUILD_MERGE);
    assert_int_equal(akin_index_wants_build(index), AKIN_BUILD_RETRAIN);
    ok(akin_index_build(index, 5, NULL, &report, &err), &err);
    assert_int_equal(report.did, AKIN_BUILD_RETRAIN);
    assert_int_equal(akin_index_wants_build(index), AKIN_BUILD_NOT_NEEDED);
    akin_index_close(index);
}

/* However little memory is allowed, a build has as many lists as it can train. */
static void test_memory_bounds_the_training(void **state)
{
    (void)state;
    static const struct {
        uint64_t memory;
        uint32_t nlist;
        uint64_t sample;
    } cases[] = {{0, 153, 6000},           /* N / 39 */
                 {600 * DIM * 4, 30, 600}, /* 20 points a list */
                 {300 * DIM * 4, 15, 300}};
    space s;
    akin_error err;
    akin_index_choice choice;
    akin_index_stats stats;
    space_make(&s, false);
    for (size_t i = 0; i < 3; i++) {
        akin_build_params params = {.retrain = true,
                                    .memory_bytes = cases[i].memory};
        akin_index_choose(s.index, &params, &choice);
        printf("%llu bytes: %s\n", (unsigned long long)cases[i].memory,
               choice.why);
        assert_int_equal(choice.nlist, cases[i].nlist);
        assert_int_equal(choice.sample, cases[i].sample);
        ok(akin_index_build(s.index, 1, &params, NULL, &err), &err);
        akin_index_get_stats(s.index, &stats);
        assert_int_equal(stats.nlist, cases[i].nlist);
    }
    space_free(&s);
}

/* What is asked for holds at any k, with and without a filter. */
static void test_larger_k(void **state)
{
    (void)state;
    static const uint32_t ks[] = {1, 3, 30, 100, 200};
    space s;
    akin_error err;
    akin_selector half = {0};
    space_make(&s, false);
    for (uint64_t label = 1; label <= 2 * N; label++)
        if (uniform(&s.seed) < 0.5)
            ok(akin_selector_set(&half, label, &err), &err);
    for (int filtered = 0; filtered < 2; filtered++)
        for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
            akin_search_params params = AKIN_SEARCH_DEFAULTS;
            akin_hit *hits = calloc(NQ * ks[i], sizeof *hits);
            uint32_t nhits[NQ];
            double sum = 0;
            bool exact;
            params.k = ks[i];
            params.recall = 0.9f;
            if (filtered) params.selector = &half;
            ok(akin_index_search(s.index, s.queries, NQ, &params, hits, nhits,
                                 &exact, &err),
               &err);
            for (int q = 0; q < NQ; q++) {
                assert_int_equal(nhits[q], ks[i]);
                sum += recall_of(&s.m, s.queries + q * DIM, params.selector,
                                 hits + (size_t)q * ks[i], nhits[q], ks[i]);
            }
            printf("k = %u%s: recall %.3f%s\n", ks[i],
                   filtered ? ", half pass" : "", sum / NQ,
                   exact ? ", exact" : "");
            assert_true(sum / NQ >= 0.87);
            free(hits);
        }
    akin_selector_clear(&half);
    space_free(&s);
}

/* With all lists probed and all rows rescored IVF-PQ is an exact search. */
static void test_all_lists_equal_exact(void **state)
{
    (void)state;
    space s;
    akin_hit hits[NQ * K];
    uint32_t nhits[NQ];
    akin_error err;
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    space_make(&s, false);
    remove_every_third(&s);
    params.nprobe = UINT32_MAX;
    params.candidates = N;
    ok(akin_index_search(s.index, s.queries, NQ, &params, hits, nhits, NULL,
                         &err),
       &err);
    for (int q = 0; q < NQ; q++)
        same_hits(&s.m, s.queries + q * DIM, NULL, hits + q * K, nhits[q], K);
    space_free(&s);
}

static void test_filter_never_costs_results(void **state)
{
    (void)state;
    static const double shares[] = {0.5, 0.1, 0.01, 0.001, 0.0003};
    space s;
    akin_error err;
    space_make(&s, false);
    remove_every_third(&s);
    for (size_t i = 0; i < 5; i++) {
        akin_selector selector;
        akin_search_params params = AKIN_SEARCH_DEFAULTS;
        size_t exist;
        bool exact;
        ok(akin_selector_init(&selector, 2 * N, &err), &err);
        for (uint64_t label = 1; label <= 2 * N; label++)
            if (uniform(&s.seed) < shares[i])
                ok(akin_selector_set(&selector, label, &err), &err);
        params.selector = &selector;
        free(model_search(&s.m, s.queries, &selector, &exist));
        for (uint32_t nprobe = 0; nprobe <= 1; nprobe++) {
            akin_hit hits[NQ * K];
            uint32_t nhits[NQ];
            params.nprobe = nprobe; /* by plan; one list, which cannot do */
            params.candidates = nprobe ? 20 : 0;
            ok(akin_index_search(s.index, s.queries, NQ, &params, hits, nhits,
                                 &exact, &err),
               &err);
            for (int q = 0; q < NQ; q++) {
                assert_int_equal(nhits[q], exist < K ? exist : K);
                for (uint32_t j = 0; j < nhits[q]; j++)
                    assert_true(
                        akin_selector_has(&selector, hits[q * K + j].label));
            }
        }
        params.nprobe = params.candidates = 0;
        double recall = mean_recall(&s, &params, &exact);
        printf("share %.4f, %zu survivors: recall %.3f%s\n", shares[i], exist,
               recall, exact ? ", exact" : "");
        assert_true(recall >= 0.93);
        akin_selector_clear(&selector);
    }
    /* none pass */
    akin_selector nothing = {0};
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    akin_hit hits[K];
    uint32_t nhits;
    params.selector = &nothing;
    ok(akin_index_search(s.index, s.queries, 1, &params, hits, &nhits, NULL,
                         &err),
       &err);
    assert_int_equal(nhits, 0);
    params.nprobe = 3;
    ok(akin_index_search(s.index, s.queries, 1, &params, hits, &nhits, NULL,
                         &err),
       &err);
    assert_int_equal(nhits, 0);
    space_free(&s);
}

/* Of the generation in use. */
static void curve_of(const akin_index *index, akin_query_kind kind,
                     akin_curve *out)
{
    akin__view view = akin__view_get(index);
    *out = view.curves->set.level[kind][0];
    akin__view_drop(&view);
}

static void test_curve(void **state)
{
    (void)state;
    space s;
    akin_curve curve;
    akin_error err;
    akin_index_stats stats;
    space_make(&s, false);
    curve_of(s.index, AKIN_QUERY_ITEM, &curve);
    assert_true(curve.n_points > 0 && curve.n_queries == 256);
    for (uint32_t i = 0; i < curve.n_points; i++) {
        printf("nprobe %3u candidates %4u: recall %.3f +- %.3f\n",
               curve.points[i].nprobe, curve.points[i].candidates,
               (double)curve.points[i].recall, (double)curve.points[i].error);
        assert_true(i == 0 ||
                    curve.points[i].recall > curve.points[i - 1].recall);
    }
    assert_true(curve.points[curve.n_points - 1].recall > 0.95f);
    curve_of(s.index, AKIN_QUERY_TEXT, &curve);
    assert_int_equal(curve.n_points, 0);
    ok(akin_index_measure(s.index, AKIN_QUERY_TEXT, s.queries, NQ, 0, 1, NULL,
                          NULL, &curve, &err),
       &err);
    assert_int_equal(curve.n_queries, NQ);
    curve_of(s.index, AKIN_QUERY_TEXT, &curve);
    assert_true(curve.n_points > 0);
    akin_index_get_stats(s.index, &stats);
    assert_true(stats.nprobe > 0 && stats.recall >= 0.9f);
    space_free(&s);
}

static bool cancel_at(void *user, const char *phase, uint64_t done,
                      uint64_t total)
{
    (void)done;
    (void)total;
    return strcmp(phase, user) != 0;
}

static void test_cancel_leaves_the_old_generation(void **state)
{
    (void)state;
    static char phases[][8] = {"copy", "train", "add", "measure", "save"};
    space s;
    akin_error err;
    akin_index_stats before, after;
    space_make(&s, true);
    akin_index_get_stats(s.index, &before);
    for (size_t i = 0; i < 5; i++) {
        akin_build_params params = {
            .retrain = true, .progress = cancel_at, .user = phases[i]};
        assert_int_equal(akin_index_build(s.index, 50, &params, NULL, &err),
                         AKIN_CANCELLED);
        akin_index_get_stats(s.index, &after);
        assert_int_equal(after.generation, before.generation);
        assert_int_equal(after.covered_seq, 42);
    }
    char command[128]; /* nothing else but, perhaps, what was trained */
    snprintf(command, sizeof command,
             "test $(ls '%s' | grep -v training.akin | wc -l) = 1", s.dir);
    assert_int_equal(system(command), 0);
    space_free(&s);
}

static void test_odd_dimensions(void **state)
{
    (void)state;
    static const uint32_t dims[] = {1, 2, 3, 17, 65, 257};
    for (size_t i = 0; i < 6; i++) {
        uint32_t dim = dims[i], n = 600, nhits;
        uint64_t seed = i;
        uint16_t *v = malloc(n * dim * 2u);
        float *q = malloc(dim * sizeof *q);
        akin_hit hits[K];
        akin_error err;
        akin_index_stats stats;
        akin_search_params params = AKIN_SEARCH_DEFAULTS;
        model m = model_new(dim, n);
        akin_index *index = open_index(dim, NULL, 300, NULL);
        clustered(1, &seed, n, dim, 10, v);
        for (uint32_t label = 1; label <= n; label++) {
            ok(put_one(index, label, v + (label - 1) * dim, &err), &err);
            model_put(&m, label, v + (label - 1) * dim);
        }
        ok(akin_index_build(index, 1, NULL, NULL, &err), &err);
        akin_index_get_stats(index, &stats);
        assert_int_equal(stats.kind, AKIN_INDEX_IVFPQ);
        akin_float_from_half(q, v, dim);
        params.nprobe = stats.nlist;
        params.candidates = n;
        ok(akin_index_search(index, q, 1, &params, hits, &nhits, NULL, &err),
           &err);
        same_hits(&m, q, NULL, hits, nhits, K);
        akin_index_close(index);
        model_free(&m);
        free(v);
        free(q);
    }
}

static void test_shrinks_back_to_flat(void **state)
{
    (void)state;
    space s;
    akin_error err;
    akin_index_stats stats;
    akin_build_report report;
    space_make(&s, true);
    for (uint64_t label = 1; label < 2 * N; label++)
        if (label > 600) {
            ok(akin_index_remove(s.index, &label, 1, NULL, &err), &err);
            s.m.there[label] = false;
        }
    assert_int_equal(akin_index_wants_build(s.index), AKIN_BUILD_MERGE);
    ok(akin_index_build(s.index, 50, NULL, &report, &err), &err);
    akin_index_get_stats(s.index, &stats);
    assert_int_equal(stats.kind, AKIN_INDEX_FLAT);
    assert_int_equal(stats.live, 300);
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    bool exact;
    assert_true(mean_recall(&s, &params, &exact) == 1 && exact);
    space_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recall_tombstones_merge_reload),
        cmocka_unit_test(test_an_interrupted_build_goes_on),
        cmocka_unit_test(test_trained_again),
        cmocka_unit_test(test_memory_bounds_the_training),
        cmocka_unit_test(test_larger_k),
        cmocka_unit_test(test_all_lists_equal_exact),
        cmocka_unit_test(test_filter_never_costs_results),
        cmocka_unit_test(test_curve),
        cmocka_unit_test(test_cancel_leaves_the_old_generation),
        cmocka_unit_test(test_odd_dimensions),
        cmocka_unit_test(test_shrinks_back_to_flat),
    };
    return cmocka_run_group_tests_name("index/ivf", tests, NULL, NULL);
}
