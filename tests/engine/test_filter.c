/* Filter expressions: what they mean, what is refused and where, and, on random
 * expressions and items, the same answers as a naive reading of each item. */
#include "harness.h"

static akin_status check(const char *text, akin_error *err)
{
    return akin_filter_check((akin_filter){akin_span_of(text), false}, err);
}

static void errors_name_the_column(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int column;
    } bad[] = {{".price <", 9},
               {".price < 50 .b", 13},
               {"(.a == 1", 9},
               {".a == 'x", 7},
               {".", 2},
               {".a.. == 1", 4},
               {".a in [1 2]", 10},
               {".a in [1,]", 10},
               {"and .a", 1},
               {".a = 1", 4},
               {"1e999", 1},
               {"0x10 == .a", 1},
               {"nan < .a", 1},
               {"exists(5)", 8},
               {"exists .a", 8},
               {".a == @b", 7},
               {".a & .b", 4},
               {"[.a] == 1", 2},
               {"12abc == .a", 1},
               {"time(.a", 8},
               {"any(.a)", 7},
               {"any(5, .a)", 5},
               {"any(.a, )", 9},
               {"any(.a, .b == 1", 16},
               {"any .a", 5},
               {".a not 5", 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        akin_error error = {0};
        char column[32];
        if (check(bad[i].text, &error) != AKIN_INVALID)
            fail_msg("accepted: %s", bad[i].text);
        snprintf(column, sizeof column, "column %d:", bad[i].column);
        if (!strstr(error.message, column))
            fail_msg("%s: %s, expected %s", bad[i].text, error.message, column);
    }
    char deep[4000], wide[20000] = "";
    memset(deep, '(', 1999);
    deep[1999] = 0;
    assert_int_equal(check(deep, NULL), AKIN_INVALID);
    memset(deep, '!', 3999);
    deep[3999] = 0;
    assert_int_equal(check(deep, NULL), AKIN_INVALID);
    for (int i = 0; i < 3000; i++)
        strcat(wide, i ? "+.a" : ".a");
    assert_int_equal(check(wide, NULL), AKIN_INVALID);
    char *huge = akin_calloc(1, AKIN_FILTER_BYTES + 2);
    memset(huge, ' ', AKIN_FILTER_BYTES + 1);
    assert_int_equal(check(huge, NULL), AKIN_TOO_LARGE);
    akin_free(huge);
    must(check("((((((((((((.a == 1))))))))))))", err));
    must(check("not not not .a", err));
    must(check("any(.a, .b == 1 and any(.c, .d in [1, 2])) or .e", err));
    must(check(".a not in ['x'] and not .b", err));
    char any[AKIN_FILTER_BYTES] = "";
    for (int i = 0; i < 20; i++)
        strcat(any, "any(.a, ");
    strcat(any, ".b");
    for (int i = 0; i < 20; i++)
        strcat(any, ")");
    assert_int_equal(check(any, NULL), AKIN_INVALID);
}

/* It once ended the copy that is parsed, whose end stood where it was: what lay
 * behind the copy was read as the filter. */
static void a_nul_in_a_filter_is_refused(void **state)
{
    (void)state;
    size_t size = AKIN_FILTER_BYTES;
    char *text = akin_alloc(size);
    assert_non_null(text);
    for (size_t at = 0; at < 9; at++) {
        akin_error error = {0};
        memset(text, 'y', size);
        memcpy(text, ".a == 'x'", 9);
        text[at] = 0;
        text[size - 1] = '\'';
        assert_int_equal(
            akin_filter_check((akin_filter){{text, size}, false}, &error),
            AKIN_INVALID);
        assert_non_null(strstr(error.message, "NUL"));
    }
    akin_free(text);
}

/* One collection of few items; which ids pass. */
static akin_engine *shop(const char *dir)
{
    static const char *const attributes[] = {
        "{\"price\":10,\"brand\":\"acme\",\"sold\":false,\"tags\":[\"a\",\"b\"]"
        "}",
        "{\"price\":50,\"brand\":\"zeta\",\"sold\":true,\"at\":\"2024-05-01T00:"
        "00:00Z\"}",
        "{\"price\":\"70\",\"maker\":{\"city\":\"Bonn\"},\"sold\":null}",
        "{\"caf\xc3\xa9\":1,\"a-b\":2,\"quote\":\"it's \\\"it\\\"\"}", NULL};
    static const float unit[2] = {1, 0};
    static const char *const ids[] = {"0", "1", "2", "3", "4"};
    akin_engine *engine = open_engine(dir, NULL);
    akin_item_input items[5];
    akin_put_result results[5];
    memset(items, 0, sizeof items);
    for (int i = 0; i < 5; i++) {
        items[i].id = akin_span_of(ids[i]);
        items[i].vector = unit;
        items[i].dim = 2;
        items[i].attributes = akin_span_of(attributes[i]);
    }
    must(akin_engine_put(engine, "c", items, 5,
                         &(akin_put_options){.create = true}, results, err));
    return engine;
}

static void expressions_mean_what_redis_says(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pass;
    } cases[] = {{".price < 50", "0"},
                 {".price <= 50 and .brand in [\"acme\", 'zeta']", "01"},
                 {".price < 50 and .brand in [\"acme\"] and not .sold", "0"},
                 {".price == 70", "2"},
                 {".price + 20 == 70 || .price * 7 == 70", "01"},
                 {"2 ** 3 ** 2 == 512 and exists(.price)", "012"},
                 {"-2 ** 2 == 4 and exists(.price)", "012"},
                 {"10 - 4 - 3 == 3 and exists(.price)", "012"},
                 {"7 % 4 == 3 and 2 + 3 * 4 == 14 && exists(.price)", "012"},
                 {".maker.city == \"Bonn\"", "2"},
                 {"\"b\" in .tags", "0"},
                 {"\"et\" in .brand", "1"},
                 {".sold", "1"},
                 {"!.sold and .brand == 'acme'", "0"},
                 {"not .price > 5", ""}, /* (not .price) > 5, as in Redis */
                 {"not (.price > 5) or .price == 10", "0"},
                 {".caf\xc3\xa9 == 1", "3"},
                 {".a-b == 2", "3"},
                 {".quote == 'it\\'s \"it\"'", "3"},
                 {"exists(.sold)", "012"},
                 {"not exists(.price)", "34"},
                 {"time(.at) > time('2024-01-01T00:00:00Z')", "1"},
                 {"-.price < -40", "12"},
                 {".price in [10, 50]", "01"},
                 {".price in []", ""},
                 {"true", "01234"},
                 {"false", ""},
                 {"null", ""},
                 {"1 > 2 or 2 > 1", "01234"}};
    char *dir = scratch_make();
    akin_engine *engine = shop(dir);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        akin_range range = {.filter.text = akin_span_of(cases[i].text)};
        akin_ids found;
        char got[16] = "";
        akin_error error = {0};
        if (akin_engine_range(engine, "c", &range, &found, &error))
            fail_msg("%s: %s", cases[i].text, error.message);
        for (size_t j = 0; j < found.n; j++)
            strcat(got, found.ids[j]);
        if (strcmp(got, cases[i].pass) != 0)
            fail_msg("%s: expected \"%s\", got \"%s\"", cases[i].text,
                     cases[i].pass, got);
        akin_ids_clear(&found);
    }
    /* a missing attribute: fails the item, or only the comparison */
    uint64_t n;
    akin_filter filter = {akin_span_of("not (.price > 5)"), false};
    must(akin_engine_count(engine, "c", filter, &n, err));
    assert_int_equal(n, 0);
    filter.missing_is_false = true;
    must(akin_engine_count(engine, "c", filter, &n, err));
    assert_int_equal(n, 2);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

/* ---- random filters against a naive reading -------------------------------------- */

static uint64_t random_state = 20240611;

static unsigned rnd(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

enum { N = 500, DIM = 8 };
static float vectors[N][DIM];
static int price[N], stock[N];
static bool here[N];

typedef struct {
    char text[200];
    int low, high, modulus;
    bool negated;
} rule;

static rule random_rule(void)
{
    rule r = {.low = (int)rnd(100), .modulus = (int)rnd(7) + 1};
    r.high = r.low + (int)rnd(60);
    r.negated = rnd(4) == 0;
    snprintf(r.text, sizeof r.text,
             "%s(.price >= %d and .price < %d or .stock %% %d == 0)",
             r.negated ? "not " : "", r.low, r.high, r.modulus);
    return r;
}

static bool passes(const rule *r, int i)
{
    bool in = (price[i] >= r->low && price[i] < r->high) ||
              stock[i] % r->modulus == 0;
    return in != r->negated;
}

static float cosine(const float *a, const float *b)
{
    double dot = 0, aa = 0, bb = 0;
    for (int i = 0; i < DIM; i++) {
        dot += (double)a[i] * b[i];
        aa += (double)a[i] * a[i];
        bb += (double)b[i] * b[i];
    }
    return (float)(dot / sqrt(aa * bb));
}

static void put_one(akin_engine *engine, int i)
{
    char id[16], attributes[64];
    snprintf(id, sizeof id, "%d", i);
    snprintf(attributes, sizeof attributes, "{\"price\":%d,\"stock\":%d}",
             price[i], stock[i]);
    akin_item_input item = {.id = akin_span_of(id),
                            .vector = vectors[i],
                            .dim = DIM,
                            .attributes = akin_span_of(attributes)};
    akin_put_result result;
    must(akin_engine_put(engine, "c", &item, 1,
                         &(akin_put_options){.create = true}, &result, err));
    assert_int_equal(result.status, AKIN_OK);
}

static void check_rule(akin_engine *engine, const rule *r)
{
    float query_vector[DIM];
    for (int i = 0; i < DIM; i++)
        query_vector[i] = (float)rnd(2001) / 1000 - 1;
    query_vector[0] += 0.001f;
    akin_query_term term = {.kind = AKIN_TERM_VECTOR,
                            .weight = 1,
                            .vector = query_vector,
                            .dim = DIM};
    akin_query query = one_term(&term, 10);
    query.filter.text = akin_span_of(r->text);
    akin_results found;
    must(akin_engine_search(engine, "c", &query, &found, err));

    size_t pass = 0, better[11] = {0};
    for (int i = 0; i < N; i++) {
        if (!here[i] || !passes(r, i)) continue;
        pass++;
        float score = cosine(query_vector, vectors[i]);
        for (size_t j = 0; j < found.n; j++)
            better[j] += score > found.matches[j].score + 2e-3f;
    }
    if (found.n != (pass < 10 ? pass : 10) || found.considered != pass)
        fail_msg("%s: %zu pass, %zu came", r->text, pass, found.n);
    for (size_t j = 0; j < found.n; j++) {
        int i = (int)strtol(found.matches[j].id, NULL, 10);
        assert_true(here[i] && passes(r, i));
        assert_true(better[j] <= j); /* nobody better was left out */
        assert_true(fabsf(found.matches[j].score -
                          cosine(query_vector, vectors[i])) < 2e-3f);
    }
    akin_results_clear(&found);
}

static void random_filters_agree_with_a_naive_reading(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, NULL);
    print_message("seed %llu\n", (unsigned long long)random_state);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < DIM; j++)
            vectors[i][j] = (float)rnd(2001) / 1000 - 1;
        price[i] = (int)rnd(150);
        stock[i] = (int)rnd(40);
        here[i] = true;
        put_one(engine, i);
    }
    for (int round = 0; round < 200; round++) {
        rule r = random_rule();
        check_rule(engine, &r);
        check_rule(engine, &r); /* from the cache */
        int i = (int)rnd(N);
        switch (rnd(3)) { /* and the cache must notice */
        case 0: {
            char id[16];
            size_t removed;
            snprintf(id, sizeof id, "%d", i);
            akin_span span = akin_span_of(id);
            must(akin_engine_remove(engine, "c", &span, 1, &removed, err));
            assert_int_equal(removed, here[i]);
            here[i] = false;
            break;
        }
        case 1:
            price[i] = (int)rnd(150);
            here[i] = true;
            put_one(engine, i);
            break;
        default:
            if (!here[i]) break;
            stock[i] = (int)rnd(40);
            char id[16], json[64];
            snprintf(id, sizeof id, "%d", i);
            snprintf(json, sizeof json, "{\"price\":%d,\"stock\":%d}", price[i],
                     stock[i]);
            must(akin_engine_set_attributes(engine, "c", akin_span_of(id),
                                            akin_span_of(json), err));
        }
        check_rule(engine, &r);
    }
    akin_engine_stats stats;
    akin_engine_get_stats(engine, &stats);
    assert_true(stats.filter_cache_hits >= 200);
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_name_the_column),
        cmocka_unit_test(a_nul_in_a_filter_is_refused),
        cmocka_unit_test(expressions_mean_what_redis_says),
        cmocka_unit_test(random_filters_agree_with_a_naive_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
