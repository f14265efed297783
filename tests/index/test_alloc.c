/* The nth allocation fails: every call says so, changes nothing, leaks nothing
 * (under AddressSanitizer), and works when it is tried again. */
#include "common.h"

enum { DIM = 16, N = 700 };

typedef struct {
    akin_index *index;
    char *dir;
    uint16_t *vectors;
    float query[DIM];
    akin_selector selector;
} fixture;

typedef akin_status operation(fixture *f, akin_error *err);

static akin_status op_open(fixture *f, akin_error *err)
{
    akin_index_options options = {
        .dim = DIM, .dir = f->dir, .fingerprint = "test"};
    akin_index *index = NULL;
    uint64_t covered;
    akin_status rc = akin_index_open(&options, &index, &covered, err);
    if (!rc) akin_index_close(index);
    return rc;
}

static akin_status op_put(fixture *f, akin_error *err)
{
    static uint64_t labels[N];
    for (uint64_t i = 0; i < N; i++)
        labels[i] = i + 1;
    return akin_index_put_many(f->index, labels, f->vectors, N, err);
}

static akin_status op_remove(fixture *f, akin_error *err)
{
    uint64_t labels[2] = {3, 5};
    return akin_index_remove(f->index, labels, 2, NULL, err);
}

static akin_status op_search(fixture *f, akin_error *err)
{
    akin_hit hits[10];
    uint32_t nhits;
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    params.selector = &f->selector;
    params.nprobe = 4;
    return akin_index_search(f->index, f->query, 1, &params, hits, &nhits, NULL,
                             err);
}

static akin_status op_cosines(fixture *f, akin_error *err)
{
    uint64_t labels[3] = {1, 2, 99999};
    float out[3];
    return akin_index_cosines(f->index, f->query, labels, 3, out, err);
}

static akin_status op_build(fixture *f, akin_error *err)
{
    akin_build_params params = {.retrain = true};
    return akin_index_build(f->index, 7, &params, NULL, err);
}

static akin_status op_measure(fixture *f, akin_error *err)
{
    akin_curve curve;
    return akin_index_measure(f->index, AKIN_QUERY_ITEM, NULL, 0, 20, 1, NULL,
                              NULL, &curve, err);
}

static void try_each(fixture *f, const char *name, operation *op)
{
    uint64_t nth;
    akin_error err;
    /* each of the first 32, then fewer and fewer: builds make thousands */
    for (nth = 1;; nth += 1 + nth / 32) {
        akin_index_stats before = {0}, after = {0};
        akin_status rc;
        akin_index_get_stats(f->index, &before);
        akin_alloc_fail_at(nth);
        rc = op(f, &err);
        akin_alloc_fail_at(0);
        if (!rc) break;
        if (rc != AKIN_NOMEM)
            fail_msg("%s, allocation %llu: %s", name, (unsigned long long)nth,
                     err.message);
        akin_index_get_stats(f->index, &after);
        assert_int_equal(before.live, after.live);
        assert_int_equal(before.generation, after.generation);
        if (nth > 10000) fail_msg("%s never succeeds", name);
    }
    printf("%s: about %llu allocations\n", name, (unsigned long long)nth - 1);
    assert_true(nth > 1);
}

static void test_each_allocation(void **state)
{
    (void)state;
    fixture f = {.dir = make_folder()};
    uint64_t seed = 1;
    akin_error err;
    f.vectors = malloc(N * DIM * 2u);
    clustered(1, &seed, N, DIM, 20, f.vectors);
    akin_float_from_half(f.query, f.vectors, DIM);
    for (uint64_t i = 1; i <= N; i += 2)
        ok(akin_selector_set(&f.selector, i, &err), &err);
    f.index = open_index(DIM, f.dir, 300, NULL);
    try_each(&f, "put", op_put);
    try_each(&f, "build", op_build);
    try_each(&f, "put over a generation", op_put);
    try_each(&f, "build again", op_build);
    try_each(&f, "remove", op_remove);
    try_each(&f, "search", op_search);
    try_each(&f, "cosines", op_cosines);
    try_each(&f, "measure", op_measure);
    try_each(&f, "open", op_open);
    akin_index_close(f.index);
    akin_selector_clear(&f.selector);
    remove_folder(f.dir);
    free(f.vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};
    return cmocka_run_group_tests_name("index/alloc", tests, NULL, NULL);
}
