/* The RESP parser: whole, byte by byte, cut anywhere, at its limits, hostile and
 * random input; and the writer in both versions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "resp.h"

static const akin_resp_limits limits = {
    .args = 16, .bulk_bytes = 4096, .request_bytes = 8192, .inline_bytes = 256};

/* Feeds `size` bytes in pieces of `step`; writes what came out as text: each
 * request as (arg|arg), an error as its message. */
static void transcript(const void *input, size_t size, size_t step, char *out,
                       size_t room)
{
    akin_resp_parser *p = akin_resp_parser_new(&limits);
    const uint8_t *bytes = input;
    akin_buf text = {0};
    bool dead = false;

    assert_non_null(p);
    for (size_t at = 0; at < size && !dead;) {
        size_t n = size - at < step ? size - at : step, used;
        akin_request *r;
        akin_error err;
        akin_resp_state state =
            akin_resp_parse(p, bytes + at, n, &used, &r, &err);
        assert_true(used <= n);
        at += used;
        if (state == AKIN_RESP_MORE) {
            assert_int_equal(used, n);
            assert_null(r);
        } else if (state == AKIN_RESP_REQUEST) {
            akin_buf_text(&text, "(");
            for (size_t i = 0; i < r->argc; i++) {
                assert_int_equal(
                    ((const char *)r->argv[i].data)[r->argv[i].size], 0);
                if (i) akin_buf_text(&text, "|");
                akin_buf_append(&text, r->argv[i].data, r->argv[i].size);
            }
            akin_buf_text(&text, ")");
            akin_request_free(r);
        } else {
            akin_buf_text(&text, err.message);
            /* and it stays bad */
            assert_int_equal(akin_resp_parse(p, "x", 1, &used, &r, &err),
                             AKIN_RESP_BAD);
            dead = true;
        }
    }
    akin_resp_parser_free(p);
    assert_true(text.size < room);
    memcpy(out, text.data ? (char *)text.data : "", text.size);
    out[text.size] = 0;
    akin_buf_clear(&text);
}

/* The same result however the input is cut. */
static void expect_bytes(const char *input, size_t size, const char *want)
{
    char got[4096];
    for (size_t step = 1; step <= size; step = step < 8 ? step + 1 : step * 2) {
        transcript(input, size, step, got, sizeof got);
        assert_string_equal(got, want);
    }
    transcript(input, size, size ? size : 1, got, sizeof got);
    assert_string_equal(got, want);
}

static void expect(const char *input, const char *want)
{
    expect_bytes(input, strlen(input), want);
}

static void arrays(void **state)
{
    (void)state;
    expect("*1\r\n$4\r\nPING\r\n", "(PING)");
    expect("*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n*1\r\n$4\r\nPING\r\n",
           "(ECHO|hi)(PING)");
    expect("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "(ECHO|)");
    expect("*1\r\n$6\r\na\r\nb\r\n\r\n", "(a\r\nb\r\n)");
    expect_bytes("*1\r\n$3\r\na\0b\r\n", 13, "(a");
}

static void empty_arrays_ask_for_nothing(void **state)
{
    (void)state;
    expect("*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n", "(PING)");
}

static void lines(void **state)
{
    (void)state;
    expect("PING\r\n", "(PING)");
    expect("PING\n", "(PING)");
    expect("  set  a   b \r\n\r\n\nget a\r\n", "(set|a|b)(get|a)");
    expect("echo \"a b\\n\\x41\\\"\" 'c d\\''\r\n", "(echo|a b\nA\"|c d')");
    expect("echo \"\" ''\r\n", "(echo||)");
    expect("echo \"a\r\n", "Protocol error: unbalanced quotes in request");
    expect("echo \"a\"b\r\n", "Protocol error: unbalanced quotes in request");
}

static void malformed(void **state)
{
    (void)state;
    expect("*x\r\n", "Protocol error: invalid multibulk length");
    expect("*\r\n", "Protocol error: invalid multibulk length");
    expect("*1\rx", "Protocol error: invalid multibulk length");
    expect("*1\r\n+OK\r\n", "Protocol error: expected '$', got '+'");
    expect("*1\r\n*1\r\n", "Protocol error: expected '$', got '*'");
    expect("*1\r\n$-1\r\n", "Protocol error: invalid bulk length");
    expect("*1\r\n$abc\r\n", "Protocol error: invalid bulk length");
    expect("*1\r\n$3\r\nabcd\r\n", "Protocol error: expected CR after bulk");
    expect("*1\r\n$3\r\nabc\rx", "Protocol error: expected LF after bulk");
    expect("*1\r\n$4\r\nPING\r\n*1\r\n!", /* what came before still counts */
           "(PING)Protocol error: expected '$', got '!'");
    expect("*99999999999999999999999999\r\n",
           "Protocol error: invalid multibulk length");
}

static void limits_hold(void **state)
{
    (void)state;
    char line[600];
    expect("*17\r\n", "Protocol error: invalid multibulk length");
    expect("*1\r\n$4097\r\n", "Protocol error: invalid bulk length");
    expect("*1\r\n$9223372036854775807\r\n",
           "Protocol error: invalid bulk length");
    memset(line, 'a', sizeof line);
    expect_bytes(line, sizeof line, "Protocol error: too big inline request");
    memset(line, ' ', 200);
    for (int i = 0; i < 40; i += 2)
        line[i] = 'a';
    line[200] = '\n';
    expect_bytes(line, 201, "Protocol error: too many arguments");
}

static void request_limit_holds(void **state)
{
    (void)state;
    char input[16384], got[16384];
    size_t n = 0;
    n += (size_t)snprintf(input, sizeof input, "*3\r\n");
    for (int i = 0; i < 2; i++) {
        n += (size_t)snprintf(input + n, sizeof input - n, "$4090\r\n");
        memset(input + n, 'x', 4090);
        n += 4090;
        n += (size_t)snprintf(input + n, sizeof input - n, "\r\n");
    }
    n += (size_t)snprintf(input + n, sizeof input - n, "$4000\r\n");
    transcript(input, n, n, got, sizeof got);
    assert_string_equal(got, "Protocol error: request too large");
}

/* A length that is only announced takes no memory. */
static void announced_is_not_allocated(void **state)
{
    akin_resp_limits large = limits;
    akin_error err;
    akin_request *r;
    size_t used;
    (void)state;
    large.bulk_bytes = large.request_bytes = 1u << 30;
    akin_resp_parser *p = akin_resp_parser_new(&large);
    assert_non_null(p);
    static const char head[] = "*1\r\n$1000000000\r\nabc";
    assert_int_equal(akin_resp_parse(p, head, sizeof head - 1, &used, &r, &err),
                     AKIN_RESP_MORE);
    assert_true(akin_resp_pending(p) < 4096);
    akin_resp_parser_free(p);
}

/* Eight megabytes a byte at a time: what is quadratic does not end. */
static void large_argument_byte_by_byte(void **state)
{
    enum { SIZE = 8 << 20 };
    akin_resp_limits large = limits;
    char head[32];
    akin_error err;
    akin_request *r = NULL;
    size_t used;
    (void)state;
    large.bulk_bytes = large.request_bytes = SIZE;
    akin_resp_parser *p = akin_resp_parser_new(&large);
    assert_non_null(p);
    int n = snprintf(head, sizeof head, "*1\r\n$%d\r\n", (int)SIZE);
    assert_int_equal(akin_resp_parse(p, head, (size_t)n, &used, &r, &err),
                     AKIN_RESP_MORE);
    for (int i = 0; i < SIZE; i++) {
        char c = (char)('a' + i % 26);
        assert_int_equal(akin_resp_parse(p, &c, 1, &used, &r, &err),
                         AKIN_RESP_MORE);
    }
    assert_int_equal(akin_resp_parse(p, "\r\n", 2, &used, &r, &err),
                     AKIN_RESP_REQUEST);
    assert_int_equal(r->argv[0].size, SIZE);
    assert_int_equal(((const char *)r->argv[0].data)[27], 'b');
    akin_request_free(r);
    akin_resp_parser_free(p);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Random bytes, and random damage to good requests, in random pieces: the two
 * ways of cutting agree and nothing is read out of bounds (sanitizers). */
static void random_input(void **state)
{
    static const char good[] =
        "*3\r\n$4\r\nVADD\r\n$1\r\nk\r\n$5\r\nhello\r\nPING a 'b c'\r\n";
    uint64_t seed = 20261;
    char input[512], one[8192], other[8192];
    (void)state;
    for (int round = 0; round < 4000; round++) {
        size_t size = 0;
        if (round % 2) {
            size = next_random(&seed) % sizeof input;
            for (size_t i = 0; i < size; i++)
                input[i] =
                    "*$\r\n0123456789-PX\"' \\\0+:"[next_random(&seed) % 25];
        } else {
            while (size + sizeof good < sizeof input) {
                memcpy(input + size, good, sizeof good - 1);
                size += sizeof good - 1;
            }
            for (int hits = 0; hits < 3; hits++)
                input[next_random(&seed) % size] = (char)next_random(&seed);
        }
        transcript(input, size, 1 + next_random(&seed) % 64, one, sizeof one);
        transcript(input, size, 1, other, sizeof other);
        if (strcmp(one, other)) fail_msg("seed 20261, round %d", round);
    }
}

static void numbers(void **state)
{
    int64_t i;
    double d;
    (void)state;
    assert_true(akin_span_int(akin_span_of("-42"), &i));
    assert_int_equal(i, -42);
    assert_true(akin_span_int(akin_span_of("9223372036854775807"), &i));
    assert_false(akin_span_int(akin_span_of("9223372036854775808"), &i));
    assert_false(akin_span_int(akin_span_of(""), &i));
    assert_false(akin_span_int(akin_span_of(" 1"), &i));
    assert_false(akin_span_int(akin_span_of("1 "), &i));
    assert_false(akin_span_int(akin_span_of("1x"), &i));
    assert_true(akin_span_double(akin_span_of("-1.5e3"), &d));
    assert_true(d == -1500);
    assert_false(akin_span_double(akin_span_of("0x10"), &d));
    assert_false(akin_span_double(akin_span_of("nan"), &d));
    assert_false(akin_span_double(akin_span_of("inf"), &d));
    assert_false(akin_span_double(akin_span_of("1e999"), &d));
    assert_false(akin_span_double(akin_span_of("1,5"), &d));
    assert_true(akin_span_is(akin_span_of("withScores"), "WITHSCORES"));
    assert_false(akin_span_is(akin_span_of("WITHSCORE"), "WITHSCORES"));
}

static void write_all(akin_reply *r)
{
    akin_reply_map(r, 1);
    akin_reply_text(r, "a");
    akin_reply_int(r, -7);
    akin_reply_double(r, 0.1);
    akin_reply_float(r, 0.1f);
    akin_reply_bool(r, true);
    akin_reply_null(r);
    akin_reply_null_array(r);
    akin_reply_set(r, 0);
    akin_reply_verbatim(r, "hi", 2);
    akin_reply_error(r, "ERR", "two\r\nlines");
}

static void replies(void **state)
{
    (void)state;
    akin_reply two = {.proto = 2}, three = {.proto = 3};
    write_all(&two);
    assert_string_equal(akin_buf_cstr(&two.out),
                        "*2\r\n$1\r\na\r\n:-7\r\n$3\r\n0.1\r\n$3\r\n0.1\r\n"
                        ":1\r\n$-1\r\n*-1\r\n*0\r\n$2\r\nhi\r\n"
                        "-ERR two  lines\r\n");
    write_all(&three);
    assert_string_equal(akin_buf_cstr(&three.out),
                        "%1\r\n$1\r\na\r\n:-7\r\n,0.1\r\n,0.1\r\n#t\r\n_\r\n"
                        "_\r\n~0\r\n=6\r\ntxt:hi\r\n-ERR two  lines\r\n");
    akin_buf_clear(&two.out);
    akin_buf_clear(&three.out);
}

/* Every float comes back from its text as the same bits. */
static void doubles_round_trip(void **state)
{
    uint64_t seed = 7;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        akin_reply r = {.proto = 3};
        uint32_t bits =
            (uint32_t)(next_random(&seed) << 9 ^ next_random(&seed));
        float f;
        memcpy(&f, &bits, sizeof f);
        if (f != f || f - f != 0) continue;
        akin_reply_float(&r, f);
        assert_true(strtof(akin_buf_cstr(&r.out) + 1, NULL) == f);
        r.out.size = 0;
        akin_reply_double(&r, (double)f / 3);
        assert_true(strtod(akin_buf_cstr(&r.out) + 1, NULL) == (double)f / 3);
        akin_buf_clear(&r.out);
    }
}

/* Scores have a quick way of their own: the text must be that of the plain one. */
static void scores_as_printf(void **state)
{
    uint64_t seed = 8;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        akin_reply r = {.proto = 3};
        char text[40];
        float f = (float)(next_random(&seed) % 20000001) * 1e-7f - 1;
        if (i % 2) f = ldexpf(f, -(int)(next_random(&seed) % 16));
        for (int precision = 6; precision <= 9; precision++) {
            snprintf(text, sizeof text, ",%.*g\r\n", precision, (double)f);
            if (strtof(text + 1, NULL) == f) break;
        }
        akin_reply_float(&r, f);
        assert_string_equal(akin_buf_cstr(&r.out), text);
        akin_buf_clear(&r.out);
    }
}

/* -1: not a number. */
static void assert_float(const char *text, double expected)
{
    float f = -1;
    assert_int_equal(akin_span_float(akin_span_of(text), &f), expected != -1);
    if (expected != -1) assert_true(f == (float)expected);
}

static void components(void **state)
{
    uint64_t seed = 9;
    (void)state;
    for (int i = 0; i < 100000; i++) {
        char text[64];
        uint32_t bits =
            (uint32_t)(next_random(&seed) << 9 ^ next_random(&seed));
        float f, read;
        memcpy(&f, &bits, sizeof f);
        if (f != f || f - f != 0) continue;
        snprintf(text, sizeof text, i % 3 ? "%.9g" : "%.17g", (double)f);
        assert_true(akin_span_float(akin_span_of(text), &read));
        assert_true(read == f);
    }
    assert_float("0", 0);
    assert_float("5.", 5);
    assert_float(".5", 0.5);
    assert_float("+2", 2);
    assert_float("-3e2", -300);
    assert_float("3E-2", 0.03);
    assert_float("00000000000000000000000000012.5", 12.5);
    assert_float("123456789012345678901234567890", 123456789012345678901e9);
    assert_float("1e38", 1e38);
    assert_float("1e39", -1);
    assert_float("1e-60", 0);
    assert_float("", -1);
    assert_float(".", -1);
    assert_float("-", -1);
    assert_float("1e", -1);
    assert_float("1e+", -1);
    assert_float("1.2.3", -1);
    assert_float("1 ", -1);
    assert_float("0x10", -1);
    assert_float("nan", -1);
    assert_float("inf", -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays),
        cmocka_unit_test(empty_arrays_ask_for_nothing),
        cmocka_unit_test(lines),
        cmocka_unit_test(malformed),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(request_limit_holds),
        cmocka_unit_test(announced_is_not_allocated),
        cmocka_unit_test(large_argument_byte_by_byte),
        cmocka_unit_test(random_input),
        cmocka_unit_test(numbers),
        cmocka_unit_test(replies),
        cmocka_unit_test(doubles_round_trip),
        cmocka_unit_test(scores_as_printf),
        cmocka_unit_test(components),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
