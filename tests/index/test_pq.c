/* The product quantizer's scores as akin's own loop adds them are those of
 * FAISS; tables and searches of several queries at once are those of each alone.
 * Looks inside. */
#include "common.h"
#include "internal.h"

#include <faiss/c_api/IndexIVF_c.h>
#include <faiss/c_api/Index_c.h>
#include <faiss/c_api/index_io_c.h>

enum { N = 3000, NQ = 40 };

static int by_row(const void *a, const void *b)
{
    const akin_hit *x = a, *y = b;
    return (x->label > y->label) - (x->label < y->label);
}

/* A trained generation of n clustered vectors, labels 1 to n. */
static akin_index *make(uint32_t dim, uint32_t m)
{
    uint16_t *vectors = malloc((size_t)N * dim * 2);
    uint64_t *labels = malloc(N * sizeof *labels), seed = 5;
    akin_build_params params = {.m = m, .nlist = 40};
    akin_index *index = open_index(dim, NULL, 1000, NULL);
    akin_error err;
    clustered(9, &seed, N, dim, 60, vectors);
    for (size_t i = 0; i < N; i++)
        labels[i] = i + 1;
    ok(akin_index_put_many(index, labels, vectors, N, &err), &err);
    ok(akin_index_build(index, 1, &params, NULL, &err), &err);
    free(vectors);
    free(labels);
    return index;
}

/* The same lists, read by FAISS from the generation's file. */
static FaissIndex *faiss_copy(const akin__gen *gen)
{
    FILE *file = tmpfile();
    FaissIndex *faiss = NULL;
    assert_non_null(file);
    assert_int_equal(
        fwrite(gen->map.data + gen->head.ivf_at, 1, gen->head.ivf_bytes, file),
        gen->head.ivf_bytes);
    rewind(file);
    assert_int_equal(faiss_read_index(file, 0, &faiss), 0);
    fclose(file);
    return faiss;
}

/* Every row of every list: the same rows with the same scores. */
static void compare(const akin__gen *gen, FaissIndex *faiss, const float *query)
{
    akin_hit *mine = malloc(N * sizeof *mine),
             *theirs = malloc(N * sizeof *theirs);
    akin__top top = {.hits = mine, .k = N, .min_cosine = -INFINITY};
    const akin__filter all = {NULL, NULL, gen->labels};
    float *scores = malloc(N * sizeof *scores), *padded;
    idx_t *rows = malloc(N * sizeof *rows);
    uint32_t n = 0;
    uint32_t nprobe = gen->head.nlist;
    akin_error err;
    padded = calloc(gen->head.ivf_dim, sizeof *padded);
    memcpy(padded, query, gen->head.dim * sizeof *padded);
    const float *one = padded;
    ok(akin__ivf_search(gen->ivf, &one, 1, nprobe, 0, &all, &top, &err), &err);
    faiss_IndexIVF_set_nprobe((FaissIndexIVF *)faiss, nprobe);
    assert_int_equal(faiss_Index_search(faiss, 1, padded, N, scores, rows), 0);
    for (size_t i = 0; i < N && rows[i] >= 0; i++)
        theirs[n++] = (akin_hit){(uint64_t)rows[i], scores[i]};
    assert_int_equal(top.n, n);
    assert_true(n > 0);
    qsort(mine, n, sizeof *mine, by_row);
    qsort(theirs, n, sizeof *theirs, by_row);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(mine[i].label, theirs[i].label);
        /* FAISS adds one after the other, akin four sums; and the centroids
         * that akin compares with are float16 */
        assert_true(fabsf(mine[i].cosine - theirs[i].cosine) < 1e-3f);
    }
    free(mine);
    free(theirs);
    free(scores);
    free(rows);
    free(padded);
}

static void same_scores(uint32_t dim, uint32_t m)
{
    akin_index *index = make(dim, m);
    akin__view view = akin__view_get(index);
    FaissIndex *faiss = faiss_copy(view.gen);
    uint16_t *half = malloc(dim * sizeof *half);
    float *query = malloc(dim * sizeof *query);
    uint64_t seed = 77;
    printf("dim %u: IVF%u,PQ%u\n", dim, view.gen->head.nlist, view.gen->head.m);
    for (int q = 0; q < NQ; q++) {
        clustered(9, &seed, 1, dim, 60, half);
        akin_float_from_half(query, half, dim);
        akin_normalize(query, dim);
        compare(view.gen, faiss, query);
    }
    faiss_Index_free(faiss);
    akin__view_drop(&view);
    akin_index_close(index);
    free(half);
    free(query);
}

/* 64 code bytes: the loop's eight at a time. */
static void test_codes_of_64_bytes(void **state)
{
    (void)state;
    same_scores(512, 64);
}

/* 12, and 5: its tail; a width that is padded. */
static void test_odd_codes(void **state)
{
    (void)state;
    same_scores(48, 12);
    same_scores(10, 5);
    same_scores(33, 0);
}

/* More queries than are searched together, and a rest of one. */
enum { TOGETHER = 37 };

/* All in one call and each alone: the same hits, to the bit. */
static void compare_together(const akin_index *index, uint32_t dim,
                             const float *queries,
                             const akin_search_params *params)
{
    akin_hit *all = calloc(TOGETHER * params->k, sizeof *all);
    akin_hit *one = calloc(params->k, sizeof *one);
    uint32_t counts[TOGETHER], n;
    bool exact;
    akin_error err;
    ok(akin_index_search(index, queries, TOGETHER, params, all, counts, &exact,
                         &err),
       &err);
    assert_false(exact);
    for (size_t q = 0; q < TOGETHER; q++) {
        ok(akin_index_search(index, queries + q * dim, 1, params, one, &n, NULL,
                             &err),
           &err);
        assert_int_equal(counts[q], n);
        assert_true(n > 0);
        for (uint32_t i = 0; i < n; i++) {
            const akin_hit *hit = &all[q * params->k + i];
            assert_int_equal(hit->label, one[i].label);
            assert_true(hit->cosine == one[i].cosine);
        }
    }
    free(all);
    free(one);
}

static void test_queries_together(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{512, 64}, {48, 12}, {33, 0}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        uint32_t dim = shapes[s][0];
        akin_index *index = make(dim, shapes[s][1]);
        akin_search_params params = AKIN_SEARCH_DEFAULTS;
        akin_selector selector;
        uint16_t *half = malloc(TOGETHER * dim * sizeof *half);
        float *queries = malloc(TOGETHER * dim * sizeof *queries);
        uint64_t seed = 78, removed[] = {5, 50, 500};
        akin_error err;
        clustered(9, &seed, TOGETHER, dim, 60, half);
        akin_float_from_half(queries, half, TOGETHER * dim);
        params.k = 10;
        params.nprobe = 3;
        params.candidates = 60;
        compare_together(index, dim, queries, &params);
        ok(akin_index_remove(index, removed, 3, NULL, &err), &err);
        ok(akin_selector_init(&selector, N, &err), &err);
        for (uint64_t label = 1; label <= N; label += 3)
            ok(akin_selector_set(&selector, label, &err), &err);
        params.selector = &selector;
        compare_together(index, dim, queries, &params);
        akin_selector_clear(&selector);
        akin_index_close(index);
        free(half);
        free(queries);
    }
}

/* The tables' kernel and the plain loop; four queries and each alone. */
static void test_tables(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{64, 8}, {12, 4}, {5, 2}, {3, 7}};
    enum { NTABLES = 7, MOST = 64 * 8 };
    float *book = malloc(MOST * 256 * sizeof *book);
    float *memory = malloc((NTABLES + 2) * 64 * 256 * sizeof *memory);
    float x[NTABLES * MOST];
    uint64_t seed = 3;
    for (size_t i = 0; i < MOST * 256; i++)
        book[i] = normal(&seed);
    for (size_t i = 0; i < NTABLES * MOST; i++)
        x[i] = normal(&seed);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t m = shapes[s][0], width = shapes[s][1], entries = m * 256;
        const float *queries[NTABLES];
        float *out[NTABLES], *one = memory + NTABLES * entries;
        float *plain = one + entries;
        for (size_t q = 0; q < NTABLES; q++) {
            queries[q] = x + q * MOST;
            out[q] = memory + q * entries;
        }
        akin__tables(book, queries, NTABLES, m, width, out);
        for (size_t q = 0; q < NTABLES; q++) {
            akin__tables(book, &queries[q], 1, m, width, &one);
            akin__table_plain(book, queries[q], m, width, plain);
            assert_memory_equal(out[q], one, entries * sizeof *one);
            for (size_t i = 0; i < entries; i++)
                assert_true(fabsf(one[i] - plain[i]) < 1e-5f);
        }
    }
    free(book);
    free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries_together),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_codes_of_64_bytes),
        cmocka_unit_test(test_odd_codes),
    };
    return cmocka_run_group_tests_name("index/pq", tests, NULL, NULL);
}
