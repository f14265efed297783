/* Writing JSON and reading base64: what comes out is JSON whatever goes in. */
#include "json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *written(akin_buf *out, const char *bytes, size_t size)
{
    out->size = 0;
    akin_json_span(out, (akin_span){bytes, size});
    return akin_buf_cstr(out);
}

static void test_texts(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"", "\"\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\n\t\x01\x1f\x7f", "\"\\n\\t\\u0001\\u001f\\u007f\""},
        {"caf\xc3\xa9 \xf0\x9f\x98\x80", "\"caf\xc3\xa9 \xf0\x9f\x98\x80\""},
        {"a\xffz", "\"a\xef\xbf\xbdz\""},
        {"\xc3", "\"\xef\xbf\xbd\""},                 /* cut off */
        {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""}, /* overlong */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xf4\x90\x80\x80",
         "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    akin_buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(written(&out, cases[i].in, strlen(cases[i].in)),
                            cases[i].out);
    akin_buf_clear(&out);
}

/* Any bytes but NUL give a text that jansson takes. */
static void test_random_bytes(void **state)
{
    akin_buf out = {0};
    uint32_t seed = 4711;

    (void)state;
    for (int round = 0; round < 5000; round++) {
        char bytes[24];
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1664525 + 1013904223;
            bytes[i] = (char)(seed >> 24);
            if (!bytes[i]) bytes[i] = 'x'; /* texts have no NUL */
        }
        written(&out, bytes, sizeof bytes);
        json_t *value = NULL;
        akin_error err;
        if (akin_json_parse((akin_span){out.data, out.size}, &value, &err))
            fail_msg("seed 4711, round %d: %s", round, err.message);
        json_decref(value);
    }
    akin_buf_clear(&out);
}

static void test_numbers(void **state)
{
    static const float floats[] = {0,     1,         0.1f,     -3.25e-30f,
                                   1e38f, 1.17e-38f, 16777217, 0.333333343f};
    static const double doubles[] = {0.1, 9.99, 1e300, 123456789.125,
                                     0.1 + 0.2};
    akin_buf out = {0};

    (void)state;
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        out.size = 0;
        akin_json_float(&out, floats[i]);
        assert_true(strtof(akin_buf_cstr(&out), NULL) == floats[i]);
    }
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
        out.size = 0;
        akin_json_double(&out, doubles[i]);
        assert_true(strtod(akin_buf_cstr(&out), NULL) == doubles[i]);
    }
    out.size = 0;
    akin_json_double(&out, 9.99);
    assert_string_equal(akin_buf_cstr(&out), "9.99");
    out.size = 0;
    akin_json_float(&out, NAN);
    akin_json_double(&out, INFINITY);
    assert_string_equal(akin_buf_cstr(&out), "nullnull");
    akin_buf_clear(&out);
}

static void test_values_come_back(void **state)
{
    static const char text[] =
        "{\"a\":[1,2.5,-3.0,true,false,null,\"x\"],\"b\":{\"c\":{}},\"d\":"
        "9007199254740993}";
    json_t *value = NULL;
    akin_buf out = {0};

    (void)state;
    assert_int_equal(akin_json_parse(akin_span_of(text), &value, NULL), 0);
    akin_json_value(&out, value);
    assert_string_equal(akin_buf_cstr(&out), text);
    json_decref(value);
    akin_buf_clear(&out);
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {
        "", "{", "{\"a\":}", "[1,]", "\"\xff\"", "nul", "{}{}", "1e999", "'a'"};
    json_t *value;
    akin_error err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(akin_json_parse(akin_span_of(bad[i]), &value, &err),
                         AKIN_INVALID);
        assert_null(value);
    }
}

static void test_base64(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } cases[] = {
        {"", ""},
        {"YQ==", "a"},
        {"YWI=", "ab"},
        {"YWJj", "abc"},
        {"YWJjZA", "abcd"},
        {"Y W\nJj", "abc"},
        {"_-8=", "\xff\xef"},
        {"data:image/png;base64,YWJj", "abc"},
        {"Y", NULL},
        {"YQ=a", NULL},
        {"Y*==", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        akin_buf out = {0};
        akin_status rc =
            akin_base64_decode(cases[i].in, strlen(cases[i].in), &out, NULL);
        if (cases[i].out) {
            assert_int_equal(rc, AKIN_OK);
            assert_string_equal(akin_buf_cstr(&out), cases[i].out);
        } else {
            assert_int_equal(rc, AKIN_INVALID);
        }
        akin_buf_clear(&out);
    }
}

static void test_vectors(void **state)
{
    json_t *good = json_pack("[f, i, f]", 0.5, 2, -1.0);
    json_t *bad = json_pack("[f, s]", 0.5, "x"), *empty = json_array();
    float *v = NULL;
    uint32_t n = 0;

    (void)state;
    assert_int_equal(akin_json_vector(good, &v, &n, NULL), AKIN_OK);
    assert_int_equal(n, 3);
    assert_true(v[0] == 0.5f && v[1] == 2 && v[2] == -1);
    akin_free(v);
    assert_int_equal(akin_json_vector(bad, &v, &n, NULL), AKIN_INVALID);
    assert_int_equal(akin_json_vector(empty, &v, &n, NULL), AKIN_INVALID);
    assert_int_equal(akin_json_vector(NULL, &v, &n, NULL), AKIN_INVALID);
    json_decref(good);
    json_decref(bad);
    json_decref(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_values_come_back),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
