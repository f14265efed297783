/* The recall asked for holds at any k: 24,000 items in clusters of some 60, so
 * that a large k has its neighbours in many lists, asked with items and with
 * words, under filters, and from the file opened again. */
#include "common.h"

#include "internal.h"

enum { DIM = 64, N = 24000, CLUSTERS = 400, NQ = 64, NTEXT = 256 };

static const float target = 0.95f;
/* What 64 queries may come out below it by chance. */
static const double slack = 0.01;

typedef struct {
    akin_index *index;
    char *dir;
    uint16_t *vectors; /* (N, DIM) of labels 1.. */
    float *queries[2]; /* by akin_query_kind: (NQ, DIM) */
    float *text;       /* (NTEXT, DIM) for the build */
} space;

/* Points around centers with an offset that pictures share, or, of words,
 * with another, and further off. */
static void draw(uint64_t *state, bool words, uint16_t *out)
{
    uint64_t center = 7000003 + next_random(state) % CLUSTERS, shared = 99;
    float v[DIM];
    for (int d = 0; d < DIM; d++) {
        float gap = normal(&shared);
        v[d] = (words ? 0.4f + 0.5f * gap : 0.7f) + normal(&center) +
               (words ? 0.8f : 0.5f) * normal(state);
    }
    akin_normalize(v, DIM);
    akin_half_from_float(out, v, DIM);
}

static float *draw_floats(uint64_t *state, bool words, size_t n)
{
    uint16_t half[DIM];
    float *out = calloc(n * DIM, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        draw(state, words, half);
        akin_float_from_half(out + i * DIM, half, DIM);
    }
    return out;
}

static int setup(void **state)
{
    static space s;
    uint64_t seed = 41, covered, *labels = calloc(N, sizeof *labels);
    akin_error err;
    s.dir = make_folder();
    s.index = open_index(DIM, s.dir, 1000, &covered);
    s.vectors = calloc((size_t)N * DIM, sizeof *s.vectors);
    for (size_t i = 0; i < N; i++) {
        labels[i] = i + 1;
        draw(&seed, false, s.vectors + i * DIM);
    }
    ok(akin_index_put_many(s.index, labels, s.vectors, N, &err), &err);
    s.queries[AKIN_QUERY_ITEM] = draw_floats(&seed, false, NQ);
    s.queries[AKIN_QUERY_TEXT] = draw_floats(&seed, true, NQ);
    s.text = draw_floats(&seed, true, NTEXT);
    akin_build_params params = {.text_queries = s.text, .n_text = NTEXT};
    ok(akin_index_build(s.index, 1, &params, NULL, &err), &err);
    free(labels);
    *state = &s;
    return 0;
}

static int teardown(void **state)
{
    space *s = *state;
    akin_index_close(s->index);
    remove_folder(s->dir);
    free(s->vectors);
    free(s->queries[0]);
    free(s->queries[1]);
    free(s->text);
    return 0;
}

static uint32_t search(const space *s, const akin_search_params *params,
                       akin_hit *hits, bool *exact)
{
    uint32_t nhits[NQ];
    akin_error err;
    ok(akin_index_search(s->index, s->queries[params->kind], NQ, params, hits,
                         nhits, exact, &err),
       &err);
    for (int q = 1; q < NQ; q++)
        assert_int_equal(nhits[q], nhits[0]);
    return nhits[0];
}

/* Asks for the target and compares with a scan; returns whether it scanned. */
static bool check(const space *s, akin_query_kind kind, uint32_t k,
                  const akin_selector *selector, const char *what)
{
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    akin_hit *truth = calloc((size_t)NQ * k, sizeof *truth);
    akin_hit *found = calloc((size_t)NQ * k, sizeof *found);
    akin_index_settings needs;
    size_t right = 0;
    uint32_t n;
    bool exact;
    params.k = k;
    params.kind = kind;
    params.selector = selector;
    params.exact = true;
    n = search(s, &params, truth, &exact);
    params.exact = false;
    params.recall = target;
    akin_index_settings_for(s->index, &params, &needs);
    assert_int_equal(search(s, &params, found, &exact), n);
    for (size_t q = 0; q < NQ; q++)
        for (size_t i = 0; i < n; i++)
            right += found[q * k + i].cosine >= truth[q * k + n - 1].cosine;
    double recall = (double)right / ((double)NQ * n);
    printf("%s, %s, k = %u: recall %.3f, nprobe %u, %u candidates%s\n",
           kind == AKIN_QUERY_TEXT ? "words" : "items", what, k, recall,
           needs.nprobe, needs.candidates, exact ? ", a scan" : "");
    assert_true(recall >= (double)target - slack);
    free(truth);
    free(found);
    return exact;
}

static void test_the_target_holds_at_any_k(void **state)
{
    static const uint32_t ks[] = {1,   10,  20,   60,   100,  150,
                                  200, 500, 1000, 3000, 10000};
    for (int kind = 0; kind < 2; kind++)
        for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
            bool scanned = check(*state, kind, ks[i], NULL, "all");
            /* and not by scanning all */
            assert_true(!scanned || ks[i] > 500);
        }
}

static void test_and_under_filters(void **state)
{
    static const uint32_t ks[] = {10, 50, 200, 1000};
    static const double shares[] = {0.5, 0.1};
    uint64_t seed = 17;
    akin_error err;
    for (size_t f = 0; f < 2; f++) {
        akin_selector selector = {0};
        for (uint64_t label = 1; label <= N; label++)
            if (uniform(&seed) < shares[f])
                ok(akin_selector_set(&selector, label, &err), &err);
        for (int kind = 0; kind < 2; kind++)
            for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
                check(*state, kind, ks[i], &selector,
                      f ? "a tenth" : "half of them");
        akin_selector_clear(&selector);
    }
}

static void test_the_file_keeps_what_was_measured(void **state)
{
    space *s = *state;
    uint64_t covered;
    akin__view view = akin__view_get(s->index);
    akin__curve_set before = view.curves->set;
    akin__view_drop(&view);
    const akin_curve *item = before.level[AKIN_QUERY_ITEM];
    assert_true(item[AKIN__HEAD_LEVELS - 1].n_points > 0);
    assert_true(item[AKIN__HEAD_LEVELS].n_points > 0);
    assert_true(item[AKIN__LEVELS - 1].n_queries > 0);
    akin_index_close(s->index);
    s->index = open_index(DIM, s->dir, 1000, &covered);
    assert_int_equal(covered, 1);
    view = akin__view_get(s->index);
    for (int kind = 0; kind < AKIN__KINDS; kind++) {
        for (int level = 0; level < AKIN__LEVELS; level++)
            assert_int_equal(view.curves->set.level[kind][level].n_queries,
                             before.level[kind][level].n_queries);
        check(s, kind, 120, NULL, "opened again");
        check(s, kind, 1000, NULL, "opened again");
    }
    akin__view_drop(&view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_target_holds_at_any_k),
        cmocka_unit_test(test_and_under_filters),
        cmocka_unit_test(test_the_file_keeps_what_was_measured),
    };
    return cmocka_run_group_tests_name("index/large_k", tests, setup, teardown);
}
