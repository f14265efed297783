/* Filters: the evaluator on known cases, and select (by scan and by index)
 * against a naive evaluator that shares no code with it: attributes are made
 * from values the test keeps, and the naive side never sees JSON. */
#include "helpers.h"

#include "internal.h"

#include <math.h>

/* ---- building predicates ------------------------------------------------- */

typedef struct {
    akin_predicate_node nodes[AKIN_MAX_NODES + 1];
    uint32_t n;
    char texts[64][32];
    uint32_t text_count;
} builder;

static uint32_t add(builder *b, akin_predicate_node node)
{
    assert_true(b->n < AKIN_MAX_NODES);
    b->nodes[b->n] = node;
    return b->n++;
}

static uint32_t number(builder *b, double v)
{
    return add(b, (akin_predicate_node){.op = AKIN_P_NUMBER, .number = v});
}

static uint32_t string(builder *b, const char *s)
{
    return add(b, (akin_predicate_node){.op = AKIN_P_STRING, .text = text(s)});
}

static uint32_t field(builder *b, const char *path)
{
    return add(b,
               (akin_predicate_node){.op = AKIN_P_FIELD, .text = text(path)});
}

static uint32_t node(builder *b, akin_predicate_op op, uint32_t l, uint32_t r)
{
    return add(b, (akin_predicate_node){.op = op, .left = l, .right = r});
}

static akin_predicate done(const builder *b, bool missing_fails)
{
    return (akin_predicate){b->nodes, b->n, missing_fails};
}

static bool passes(const builder *b, bool missing_fails, const char *json)
{
    akin_predicate p = done(b, missing_fails);
    ok(akin_predicate_check(&p, &error));
    return akin_predicate_match(&p, text(json));
}

/* ---- known cases --------------------------------------------------------- */

/* any(.list, .a == 1 and .b == 2), the EACH at node 0. */
static void build_each(builder *b)
{
    uint32_t each =
        add(b, (akin_predicate_node){.op = AKIN_P_EACH, .text = text("list")});
    uint32_t a = node(b, AKIN_P_EQ, field(b, "a"), number(b, 1));
    uint32_t two = node(b, AKIN_P_EQ, field(b, "b"), number(b, 2));
    node(b, AKIN_P_AND, a, two);
    uint32_t any = node(b, AKIN_P_ANY, each, 0);
    b->nodes[each].right = any - each;
}

static void test_each(void **state)
{
    (void)state;
    const struct {
        const char *json;
        bool pass;
    } cases[] = {
        {"{\"list\":[{\"a\":1,\"b\":2}]}", true},
        {"{\"list\":[{\"a\":1,\"b\":3},{\"a\":2,\"b\":2}]}", false},
        {"{\"list\":[7,[],{},\"x\",{\"a\":9},{\"b\":2,\"a\":1}]}", true},
        {"{\"list\":[[{\"a\":1,\"b\":2}]]}", false},
        {"{\"list\":{\"a\":1,\"b\":2}}", false},
        {"{\"list\":[],\"a\":1,\"b\":2}", false},
        {"{\"a\":1,\"b\":2}", false},
        {"{\"list\":[{\"a\":1,\"b\":2", true}, /* damaged: no crash */
        {"{\"list\":[{\"a\":1,\"b\"", false},
        {"{\"list\":[{", false},
        {"{\"list\":[", false},
    };
    builder b = {.n = 0};
    build_each(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int strict = 0; strict < 2; strict++)
            if (passes(&b, strict, cases[i].json) != cases[i].pass)
                fail_msg("case %zu: %s", i, cases[i].json);
    /* beside a field of the item, and as an operand of not */
    uint32_t any = b.n - 1;
    uint32_t no = node(&b, AKIN_P_NOT, any, 0);
    node(&b, AKIN_P_AND, no, field(&b, "c"));
    assert_true(passes(&b, false, "{\"c\":1}"));
    assert_false(passes(&b, false, "{\"c\":1,\"list\":[{\"a\":1,\"b\":2}]}"));
}

static void refuse(builder b, uint32_t i, akin_predicate_node n)
{
    b.nodes[i] = n;
    akin_predicate p = done(&b, false);
    assert_int_equal(akin_predicate_check(&p, &error), AKIN_INVALID);
}

/* Nodes 0 EACH, 1..7 its predicate, 8 ANY, 9 a literal, 10 an operator. */
static void test_each_is_checked(void **state)
{
    (void)state;
    builder b = {.n = 0};
    build_each(&b);
    number(&b, 1);
    node(&b, AKIN_P_EQ, 8, 9);
    assert_true(passes(&b, false, "{\"list\":[{\"a\":1,\"b\":2}]}"));
    akin_span list = text("list");
    for (uint32_t right = 0; right < 20; right++)
        if (right != 8)
            refuse(b, 0,
                   (akin_predicate_node){
                       .op = AKIN_P_EACH, .text = list, .right = right});
    refuse(b, 0,
           (akin_predicate_node){
               .op = AKIN_P_EACH, .text = list, .right = UINT32_MAX});
    refuse(b, 0, (akin_predicate_node){.op = AKIN_P_EACH, .right = 8});
    refuse(b, 0, (akin_predicate_node){.op = AKIN_P_NUMBER});
    refuse(b, 8, (akin_predicate_node){.op = AKIN_P_ANY, .left = 1});
    refuse(b, 8, (akin_predicate_node){.op = AKIN_P_ANY, .left = 8});
    refuse(b, 8, (akin_predicate_node){.op = AKIN_P_NUMBER});
    for (uint32_t inside = 1; inside < 8; inside++) {
        refuse(
            b, 10,
            (akin_predicate_node){.op = AKIN_P_EQ, .left = inside, .right = 9});
        refuse(
            b, 10,
            (akin_predicate_node){.op = AKIN_P_EQ, .left = 9, .right = inside});
        refuse(b, 10, (akin_predicate_node){.op = AKIN_P_NOT, .left = inside});
    }
    refuse(b, 7, (akin_predicate_node){.op = AKIN_P_NOT, .left = 0});
    builder deep = {.n = 0};
    for (int i = 0; i <= AKIN_MAX_EACH; i++)
        add(&deep, (akin_predicate_node){.op = AKIN_P_EACH, .text = list});
    number(&deep, 1);
    for (uint32_t i = AKIN_MAX_EACH + 1; i-- > 0;)
        deep.nodes[i].right = node(&deep, AKIN_P_ANY, i, 0) - i;
    akin_predicate p = done(&deep, false);
    assert_int_equal(akin_predicate_check(&p, &error), AKIN_INVALID);
}

static void test_not_in(void **state)
{
    (void)state;
    builder b = {.n = 0};
    field(&b, "a");
    uint32_t first = string(&b, "x");
    string(&b, "y");
    node(&b, AKIN_P_LIST, first, 2);
    node(&b, AKIN_P_NOT_IN, 0, 3);
    assert_true(passes(&b, true, "{\"a\":\"z\"}"));
    assert_false(passes(&b, true, "{\"a\":\"x\"}"));
    assert_false(passes(&b, true, "{\"a\":null}"));
    assert_false(passes(&b, true, "{}"));
    assert_false(passes(&b, false, "{}"));
    assert_true(passes(&b, false, "{\"a\":[\"x\",\"z\"]}"));
    assert_false(passes(&b, false, "{\"a\":[\"x\",\"y\"]}"));
}

static void test_comparisons(void **state)
{
    (void)state;
    const struct {
        akin_predicate_op op;
        const char *string; /* right side; NULL: number */
        double number;
        const char *json;
        bool strict, lenient;
    } cases[] = {
        {AKIN_P_EQ, NULL, 5, "{\"a\":5}", 1, 1},
        {AKIN_P_EQ, NULL, 5, "{\"a\":\"5\"}", 1, 1},
        {AKIN_P_EQ, NULL, 5, "{\"a\":5.0e0}", 1, 1},
        {AKIN_P_EQ, NULL, 0, "{\"a\":\"x\"}", 1, 1}, /* as in Redis */
        {AKIN_P_EQ, "5", 0, "{\"a\":5}", 1, 1},
        {AKIN_P_EQ, "x", 0, "{\"a\":\"x\"}", 1, 1},
        {AKIN_P_EQ, "x", 0, "{\"a\":\"X\"}", 0, 0},
        {AKIN_P_EQ, "\u00e9\n\"", 0, "{\"a\":\"\\u00e9\\n\\\"\"}", 1, 1},
        {AKIN_P_EQ, "\U0001f600", 0, "{\"a\":\"\\ud83d\\ude00\"}", 1, 1},
        {AKIN_P_EQ, NULL, 1, "{\"a\":true}", 1, 1},
        {AKIN_P_EQ, NULL, 0, "{\"a\":false}", 1, 1},
        {AKIN_P_EQ, NULL, 0, "{\"a\":null}", 0, 0},
        {AKIN_P_NE, NULL, 0, "{\"a\":null}", 1, 1},
        {AKIN_P_EQ, NULL, 0, "{\"a\":[]}", 0, 0},
        {AKIN_P_EQ, NULL, 0, "{\"a\":{\"b\":0}}", 0, 0},
        {AKIN_P_EQ, NULL, 0, "{\"b\":0}", 0, 0},
        {AKIN_P_NE, NULL, 0, "{\"b\":0}", 0, 0},
        {AKIN_P_EQ, NULL, 1, "{\"x\":{\"a\":2},\"a\":1}", 1, 1},
        {AKIN_P_EQ, NULL, 1, "{ \"\\u0061\" : 1 }", 1, 1},
        {AKIN_P_EQ, NULL, 1, "{\"b\":\"\\\\\",\"c\":[\"]\",{}],\"a\":1}", 1, 1},
        {AKIN_P_LT, NULL, 5, "{\"a\":4.99}", 1, 1},
        {AKIN_P_LT, NULL, 5, "{\"a\":5}", 0, 0},
        {AKIN_P_LE, NULL, 5, "{\"a\":5}", 1, 1},
        {AKIN_P_GT, NULL, 5, "{\"a\":\"10\"}", 1, 1},
        {AKIN_P_GE, "10", 0, "{\"a\":10}", 1, 1},
        {AKIN_P_GT, NULL, -1, "{\"a\":null}", 0, 0},
        {AKIN_P_IN, "ell", 0, "{\"a\":\"hello\"}", 0, 0}, /* a in "ell" */
        {AKIN_P_IN, "well, hello", 0, "{\"a\":\"hello\"}", 1, 1},
        {AKIN_P_IN, "x", 0, "{\"a\":\"\"}", 1, 1},
        {AKIN_P_LT, NULL, 1e300, "{\"a\":-1.5e+300}", 1, 1},
        {AKIN_P_EQ, NULL, 0.1, "{\"a\":0.1}", 1, 1},
        {AKIN_P_EQ, NULL, 123456789012345680.0, "{\"a\":123456789012345678}", 1,
         1},
        {AKIN_P_EQ, NULL, 5, "", 0, 0},
        {AKIN_P_EQ, NULL, 5, "{\"a\":5", 1, 1}, /* damaged: no crash */
        {AKIN_P_EQ, NULL, 5, "{\"a\"", 0, 0},
        {AKIN_P_EQ, "5", 0, "{\"a\":\"5\\", 0, 0},
        {AKIN_P_EQ, NULL, 5, "[[[", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        builder b = {.n = 0};
        field(&b, "a");
        if (cases[i].string)
            string(&b, cases[i].string);
        else
            number(&b, cases[i].number);
        node(&b, cases[i].op, 0, 1);
        if (passes(&b, true, cases[i].json) != cases[i].strict ||
            passes(&b, false, cases[i].json) != cases[i].lenient)
            fail_msg("case %zu: %s", i, cases[i].json);
    }
}

static void test_missing_attributes(void **state)
{
    (void)state;
    /* not (.a > 1) or .b == 2 */
    builder b = {.n = 0};
    uint32_t gt = node(&b, AKIN_P_GT, field(&b, "a"), number(&b, 1));
    uint32_t no = node(&b, AKIN_P_NOT, gt, 0);
    uint32_t eq = node(&b, AKIN_P_EQ, field(&b, "b"), number(&b, 2));
    node(&b, AKIN_P_OR, no, eq);
    assert_false(passes(&b, true, "{\"b\":2}")); /* as in Redis: all or none */
    assert_true(passes(&b, false, "{\"b\":2}"));
    assert_true(passes(&b, false, "{\"x\":1}")); /* not (nothing > 1) */
    assert_true(passes(&b, true, "{\"a\":1,\"b\":0}"));
    /* EXISTS looks without demanding. */
    builder e = {.n = 0};
    add(&e, (akin_predicate_node){.op = AKIN_P_EXISTS, .text = text("a.b")});
    node(&e, AKIN_P_NOT, 0, 0);
    assert_true(passes(&e, true, "{\"a\":{\"c\":1}}"));
    assert_false(passes(&e, true, "{\"a\":{\"b\":null}}"));
    assert_false(passes(&e, true, "{\"a\":{\"b\":{}}}"));
}

static void test_lists_arithmetic_time(void **state)
{
    (void)state;
    builder b = {.n = 0}; /* "red" in .tags and .price * 2 ** 3 % 7 - -1 == 4 */
    uint32_t in = node(&b, AKIN_P_IN, string(&b, "red"), field(&b, "tags"));
    uint32_t pow = node(&b, AKIN_P_POW, number(&b, 2), number(&b, 3));
    uint32_t mul = node(&b, AKIN_P_MUL, field(&b, "price"), pow);
    uint32_t mod = node(&b, AKIN_P_MOD, mul, number(&b, 7));
    uint32_t neg = node(&b, AKIN_P_NEGATE, number(&b, 1), 0);
    uint32_t sub = node(&b, AKIN_P_SUB, mod, neg);
    uint32_t eq = node(&b, AKIN_P_EQ, sub, number(&b, 4));
    node(&b, AKIN_P_AND, in, eq);
    assert_true(passes(&b, true,
                       "{\"tags\":[1,{},[2],\"r\\u0065d\"],"
                       "\"price\":10}"));
    assert_false(passes(&b, true, "{\"tags\":[\"red\"],\"price\":11}"));
    assert_false(passes(&b, true, "{\"tags\":[\"blue\"],\"price\":10}"));
    assert_true(passes(&b, true, "{\"tags\":\"bored\",\"price\":\"10\"}"));

    builder l = {.n = 0}; /* .a in ["x", 5, null] */
    field(&l, "a");
    uint32_t first = string(&l, "x");
    number(&l, 5);
    add(&l, (akin_predicate_node){.op = AKIN_P_NULL});
    node(&l, AKIN_P_IN, 0, node(&l, AKIN_P_LIST, first, 3));
    assert_true(passes(&l, true, "{\"a\":\"5\"}"));
    assert_true(passes(&l, true, "{\"a\":null}"));
    assert_true(passes(&l, true, "{\"a\":0}")); /* "x" is no number: 0 */
    assert_false(passes(&l, true, "{\"a\":6}"));

    builder t = {.n = 0}; /* time(.at) >= time("2024-02-29T12:00:00+01:00") */
    uint32_t at = node(&t, AKIN_P_TIME, field(&t, "at"), 0);
    uint32_t when =
        node(&t, AKIN_P_TIME, string(&t, "2024-02-29T12:00:00+01:00"), 0);
    node(&t, AKIN_P_GE, at, when);
    assert_true(passes(&t, true, "{\"at\":\"2024-02-29T11:00:00Z\"}"));
    assert_true(passes(&t, true, "{\"at\":\"2024-02-29 11:00:00.000\"}"));
    assert_false(passes(&t, true, "{\"at\":\"2024-02-29T10:59:59.999Z\"}"));
    assert_true(passes(&t, true, "{\"at\":\"2024-03-01\"}"));
    assert_false(passes(&t, true, "{\"at\":\"yesterday\"}"));
    assert_false(passes(&t, true, "{\"at\":1e15}"));
}

static void test_malformed_predicates(void **state)
{
    (void)state;
    akin_predicate_node self = {.op = AKIN_P_NOT, .left = 0};
    akin_predicate_node odd = {.op = (akin_predicate_op)99};
    akin_predicate_node nan = {.op = AKIN_P_NUMBER, .number = NAN};
    akin_predicate_node empty = {.op = AKIN_P_FIELD};
    akin_predicate_node dots[] = {{.op = AKIN_P_FIELD, .text = text("a..b")},
                                  {.op = AKIN_P_FIELD, .text = text(".a")},
                                  {.op = AKIN_P_FIELD, .text = text("a.")}};
    akin_predicate_node list[] = {{.op = AKIN_P_FIELD, .text = text("a")},
                                  {.op = AKIN_P_LIST, .left = 0, .right = 1}};
    akin_predicate_node far = {.op = AKIN_P_LIST, .left = 5, .right = 1};
    akin_predicate_node wrap = {
        .op = AKIN_P_LIST, .left = 1, .right = UINT32_MAX};
    const akin_predicate bad[] = {
        {NULL, 1, true},    {&self, 0, true},    {&self, 1, true},
        {&odd, 1, true},    {&nan, 1, true},     {&empty, 1, true},
        {dots, 1, true},    {dots + 1, 1, true}, {dots + 2, 1, true},
        {list, 2, true},    {&far, 1, true},     {&wrap, 1, true},
        {&self, 2000, true}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(akin_predicate_check(&bad[i], &error), AKIN_INVALID);
}

/* ---- a random collection and the naive truth ----------------------------- */

#define ITEMS 3000

typedef enum { NOTHING, NUM, STR, NIL, LIST } kind;

typedef struct {
    kind kind;
    double number;
    char string[16];
    /* Of a list: a number below 1000, else the string "<n - 1000>", or the
     * string "t<-n - 1>" when negative. */
    double elements[3];
    int count;
} value;

static const char *const names[] = {"price", "brand", "mixed", "tags"};
enum { FIELDS = 4 };
static value values[ITEMS][FIELDS];
static uint64_t nums[ITEMS];
static char *dir;
static akin_storage *s;
static uint32_t c;
static uint64_t random_state;

static uint32_t rnd(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static const char *const odd_strings[] = {
    "acme", "it's", "\"quoted\"", "'; DROP TABLE items; --",
    "7",    "",     "0x10",       "a\\b"};

static value random_value(int f)
{
    value v = {.kind = NOTHING};
    uint32_t r = rnd(10);
    if (f == 0 && r < 9) v = (value){.kind = NUM, .number = rnd(10000) / 4.0};
    if (f == 1 && r < 8) {
        v.kind = STR;
        if (rnd(50) == 0)
            strcpy(v.string, odd_strings[rnd(8)]);
        else
            sprintf(v.string, "brand%u", rnd(600));
    }
    if (f == 2 && r < 7) {
        v.kind = (kind)(1 + r % 3);
        v.number = rnd(300);
        sprintf(v.string, rnd(2) ? "%u" : "m%u", rnd(300));
    }
    if (f == 3 && r < 8) {
        v.kind = r == 0 ? STR : LIST;
        v.count = (int)rnd(4);
        for (int i = 0; i < v.count; i++)
            v.elements[i] = rnd(2)   ? -(double)rnd(400) - 1
                            : rnd(2) ? rnd(400)
                                     : 1000 + rnd(400);
        sprintf(v.string, "t%u", rnd(400));
    }
    return v;
}

/* The string of a number is its digits. */
static value element_of(const value *v, int i)
{
    double e = v->elements[i];
    value out = {.kind = e < 0 || e >= 1000 ? STR : NUM, .number = e};
    if (e < 0)
        sprintf(out.string, "t%g", -e - 1);
    else
        sprintf(out.string, "%g", e >= 1000 ? e - 1000 : e);
    return out;
}

static void print_string(char *out, const char *string)
{
    char *at = out + strlen(out);
    *at++ = '"';
    for (; *string; string++) {
        if (*string == '"' || *string == '\\') *at++ = '\\';
        *at++ = *string;
    }
    strcpy(at, "\"");
}

static void print_value(char *out, const value *v)
{
    if (v->kind == NUM) sprintf(out + strlen(out), "%.17g", v->number);
    if (v->kind == NIL) strcat(out, "null");
    if (v->kind == STR) print_string(out, v->string);
    if (v->kind != LIST) return;
    strcat(out, "[");
    for (int i = 0; i < v->count; i++) {
        char element[20];
        value e = element_of(v, i);
        sprintf(element, e.kind == STR ? "\"%s\"" : "%s", e.string);
        sprintf(out + strlen(out), "%s%s", i ? "," : "", element);
    }
    strcat(out, "]");
}

static void make_item(int i)
{
    char json[300] = "{", id[16];
    for (int f = 0; f < FIELDS; f++) {
        values[i][f] = random_value(f);
        if (values[i][f].kind == NOTHING) continue;
        sprintf(json + strlen(json), "%s\"%s\":", json[1] ? "," : "", names[f]);
        print_value(json, &values[i][f]);
    }
    strcat(json, "}");
    sprintf(id, "%d", i);
    akin_item_data in = {.id = text(id), .attributes = text(json)};
    nums[i] = write_one(s, put_op(c, &in)).num;
}

static int setup(void **state)
{
    (void)state;
    random_state = 20240601;
    dir = temp_dir();
    akin_storage_options o = {.dir = dir, .create = true, .unsafe = true};
    ok(akin_storage_open(&o, &s, &error));
    c = make_collection(s, "default");
    uint32_t other = make_collection(s, "other");
    for (int i = 0; i < ITEMS; i++)
        make_item(i);
    akin_item_data in = {.id = text("x"),
                         .attributes = text("{\"price\":1,\"brand\":\"acme\","
                                            "\"tags\":[1,\"t1\"]}")};
    write_one(s, put_op(other, &in));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    akin_storage_close(s);
    remove_dir(dir);
    return 0;
}

/* ---- the naive evaluator ---------------------------------------------------
 */

static double spell(const char *string)
{
    char *end;
    double v = strtod(string, &end);
    return *string && !*end ? v : 0;
}

static double as_number(const value *v)
{
    return v->kind == NUM ? v->number : v->kind == STR ? spell(v->string) : 0;
}

static bool naive_equal(const value *a, const value *b)
{
    if (a->kind == LIST || b->kind == LIST) return false;
    if (a->kind == NIL || b->kind == NIL) return a->kind == b->kind;
    if (a->kind == STR && b->kind == STR) return !strcmp(a->string, b->string);
    return as_number(a) == as_number(b);
}

static bool naive_in(const value *a, const value *b)
{
    if (b->kind == STR && a->kind == STR)
        return strstr(b->string, a->string) != NULL;
    for (int i = 0; b->kind == LIST && i < b->count; i++) {
        value v = element_of(b, i);
        if (naive_equal(a, &v)) return true;
    }
    return false;
}

/* A condition: field op literal, or literal in field, perhaps mirrored. */
typedef struct {
    int field;
    akin_predicate_op op;
    value literal;
    bool literal_left, negated;
} condition;

static bool naive_compare(akin_predicate_op op, const value *a, const value *b)
{
    double x = as_number(a), y = as_number(b);
    if (op == AKIN_P_EQ) return naive_equal(a, b);
    if (op == AKIN_P_NE) return !naive_equal(a, b);
    if (op == AKIN_P_IN) return naive_in(a, b);
    if (a->kind == LIST || b->kind == LIST || a->kind == NIL || b->kind == NIL)
        return false;
    return op == AKIN_P_LT   ? x < y
           : op == AKIN_P_LE ? x <= y
           : op == AKIN_P_GT ? x > y
                             : x >= y;
}

static bool naive_condition(const condition *k, int item, bool *missing)
{
    const value *v = &values[item][k->field];
    if (v->kind == NOTHING) {
        *missing = true;
        return k->negated;
    }
    bool pass = k->literal_left ? naive_compare(k->op, &k->literal, v)
                                : naive_compare(k->op, v, &k->literal);
    return pass != k->negated;
}

static condition random_condition(void)
{
    static const akin_predicate_op ops[] = {AKIN_P_EQ, AKIN_P_EQ, AKIN_P_EQ,
                                            AKIN_P_LT, AKIN_P_LE, AKIN_P_GT,
                                            AKIN_P_GE, AKIN_P_NE, AKIN_P_IN};
    condition k = {.field = (int)rnd(FIELDS)};
    do
        k.literal = random_value(k.field);
    while (k.literal.kind == NOTHING || k.literal.kind == LIST);
    k.op = ops[rnd(9)];
    if (k.field == 3) {
        k.op = AKIN_P_IN;
        if (rnd(3) == 0) k.literal = (value){.kind = NUM, .number = rnd(400)};
        if (rnd(40) == 0) k.literal = (value){.kind = NUM, .number = 0};
    }
    k.literal_left = k.field == 3 || rnd(3) == 0;
    if (k.op == AKIN_P_IN && k.field != 3) k.literal_left = rnd(2);
    k.negated = rnd(8) == 0;
    return k;
}

static uint32_t build_condition(builder *b, const condition *k)
{
    uint32_t l, f;
    if (k->literal.kind == NUM)
        l = number(b, k->literal.number);
    else if (k->literal.kind == NIL)
        l = add(b, (akin_predicate_node){.op = AKIN_P_NULL});
    else {
        char *copy = b->texts[b->text_count++ % 64];
        strcpy(copy, k->literal.string);
        l = string(b, copy);
    }
    f = field(b, names[k->field]);
    uint32_t n = k->literal_left ? node(b, k->op, l, f) : node(b, k->op, f, l);
    return k->negated ? node(b, AKIN_P_NOT, n, 0) : n;
}

/* ---- select against it --------------------------------------------------- */

typedef struct {
    bool *seen;
    size_t n;
} selection;

static bool collect(void *user, const uint64_t *got, size_t n)
{
    selection *sel = user;
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        if (got[i] >= nums[0]) at = (size_t)(got[i] - nums[0]);
        assert_true(at < ITEMS && nums[at] == got[i]);
        assert_false(sel->seen[at]); /* each once */
        sel->seen[at] = true;
    }
    sel->n += n;
    return true;
}

static int indexed;

static void compare_once(void)
{
    builder b = {.n = 0};
    condition k[4];
    int n = 1 + (int)rnd(4);
    bool ors[4], strict = rnd(2);
    uint32_t root = 0;
    static bool seen[ITEMS];
    char *how = NULL;

    for (int i = 0; i < n; i++) {
        k[i] = random_condition();
        ors[i] = rnd(2);
        uint32_t one = build_condition(&b, &k[i]);
        root =
            i == 0 ? one : node(&b, ors[i] ? AKIN_P_OR : AKIN_P_AND, root, one);
    }
    akin_predicate p = done(&b, strict);
    selection sel = {seen, 0};
    memset(seen, 0, sizeof seen);
    ok(akin_storage_select(s, c, &p, collect, &sel, &error));
    ok(akin_storage_explain(s, c, &p, &how, &error));
    indexed += how[0] == 'i';
    for (int item = 0; item < ITEMS; item++) {
        bool missing = false, want = false;
        for (int i = 0; i < n; i++) {
            bool one = naive_condition(&k[i], item, &missing);
            want = i == 0 ? one : ors[i] ? want || one : want && one;
        }
        if (strict && missing) want = false;
        if (seen[item] != want)
            fail_msg("item %d: expected %d, by %s", item, want, how);
    }
    akin_free(how);
}

static void declare(const char *name, akin_field_type type)
{
    write_one(s, (akin_write){.kind = AKIN_WRITE_FIELD,
                              .collection = c,
                              .name = text(name),
                              .type = type});
}

static void test_select_is_the_naive_truth(void **state)
{
    (void)state;
    print_message("seed 20240601\n");
    for (int i = 0; i < 150; i++)
        compare_once();
    assert_int_equal(indexed, 0);
    declare("price", AKIN_FIELD_NUMBER);
    declare("brand", AKIN_FIELD_STRING);
    declare("mixed", AKIN_FIELD_NUMBER);
    declare("tags", AKIN_FIELD_TAGS);
    for (int i = 0; i < 1000; i++)
        compare_once();
    for (int i = 0; i < ITEMS; i += 2)
        make_item(i); /* change half of them */
    for (int i = 0; i < 500; i++)
        compare_once();
    print_message("%d of 1500 by index\n", indexed);
    assert_true(indexed > 200);
    uint64_t findings;
    ok(akin_storage_check(s, NULL, NULL, &findings, &error));
    assert_int_equal(findings, 0);
}

static bool count(void *user, const uint64_t *got, size_t n)
{
    (void)got;
    *(size_t *)user += n;
    return true;
}

static void explained(const builder *b, const char *want)
{
    akin_predicate p = done(b, true);
    char *how;
    ok(akin_storage_explain(s, c, &p, &how, &error));
    if (!strstr(how, want)) fail_msg("expected %s, got %s", want, how);
    akin_free(how);
}

static void test_the_index_is_used(void **state)
{
    (void)state;
    declare("price", AKIN_FIELD_NUMBER);
    declare("brand", AKIN_FIELD_STRING);
    declare("price", AKIN_FIELD_NUMBER); /* again: no matter */
    builder b = {.n = 0};
    uint32_t cheap = node(&b, AKIN_P_LT, field(&b, "price"), number(&b, 20));
    explained(&b, "index: price");
    uint32_t brand =
        node(&b, AKIN_P_EQ, string(&b, "brand7"), field(&b, "brand"));
    explained(&b, "index: brand");
    node(&b, AKIN_P_AND, cheap, brand);
    explained(&b, "index: brand"); /* the more selective */
    node(&b, AKIN_P_OR, cheap, brand);
    explained(&b, "price");
    builder all = {.n = 0};
    node(&all, AKIN_P_GT, field(&all, "price"), number(&all, 20));
    explained(&all, "scan");

    /* And SQLite answers the probe from the index alone. */
    char path[200], plan[500] = "", sql[400];
    sqlite3 *db;
    sqlite3_stmt *stmt;
    snprintf(path, sizeof path, "%s/akin.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    snprintf(sql, sizeof sql,
             "EXPLAIN QUERY PLAN SELECT num FROM items INDEXED BY field_1"
             " WHERE collection = %u AND attributes IS NOT NULL"
             " AND json_extract(attributes, '$.\"price\"') <= ?1",
             c);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        strcat(plan, (const char *)sqlite3_column_text(stmt, 3));
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    assert_non_null(strstr(plan, "SEARCH items USING"));
    assert_non_null(strstr(plan, "INDEX field_1 (<expr><?)"));
}

static void test_hostile_names_and_values(void **state)
{
    (void)state;
    static const char *const hostile[] = {
        "a'); DROP TABLE items; --", "\"", "a\"b", "$.x", "x\\", "price'"};
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        akin_write op = {.kind = AKIN_WRITE_FIELD,
                         .collection = c,
                         .name = text(hostile[i]),
                         .type = AKIN_FIELD_STRING};
        akin_write_result r = try_one(s, op);
        bool quotes = strpbrk(hostile[i], "\"\\") != NULL;
        if (strcmp(hostile[i], "$.x") && quotes)
            assert_int_equal(r.status, AKIN_INVALID);
        for (size_t j = 0; j < sizeof hostile / sizeof *hostile; j++) {
            builder b = {.n = 0};
            size_t n = 0;
            if (strcmp(hostile[i], "$.x") == 0)
                field(&b, "$x");
            else
                field(&b, hostile[i]);
            node(&b, AKIN_P_EQ, 0, string(&b, hostile[j]));
            akin_predicate p = done(&b, false);
            akin_status rc = akin_storage_select(s, c, &p, count, &n, &error);
            assert_int_equal(rc, AKIN_OK);
            assert_int_equal(n, 0);
        }
    }
    akin_storage_info info;
    ok(akin_storage_stat(s, &info, &error));
    assert_int_equal(info.items, ITEMS + 1);
}

static bool stop_at_once(void *user, const uint64_t *got, size_t n)
{
    (void)got;
    *(size_t *)user += n;
    return false;
}

static void test_a_callback_stops(void **state)
{
    (void)state;
    builder b = {.n = 0};
    size_t n = 0;
    number(&b, 1);
    akin_predicate p = done(&b, true);
    ok(akin_storage_select(s, c, &p, count, &n, &error));
    assert_int_equal(n, ITEMS);
    n = 0;
    ok(akin_storage_select(s, c, &p, stop_at_once, &n, &error));
    assert_int_equal(n, 1024);
    assert_int_equal(akin_storage_select(s, 99, &p, count, &n, &error),
                     AKIN_NOT_FOUND);
}

/* ---- JSON reader --------------------------------------------------------- */

static void test_numbers_are_read_exactly(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",
                                        "-0",
                                        "7",
                                        "-12.5",
                                        "3.14159265358979",
                                        "123456789012345",
                                        "1234567890123456789",
                                        "1e5",
                                        "2.5E-3",
                                        "0.1",
                                        "999999999999999.9",
                                        "4.9e-324",
                                        "1.7976931348623157e308",
                                        "0x1F",
                                        " 5",
                                        "inf",
                                        "-.5",
                                        "5."};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        bool is;
        double got = akin__text_number(text(texts[i]), &is);
        assert_true(is && got == strtod(texts[i], NULL));
    }
    static const char *const none[] = {"", "-", ".", "5x", "1e", "e5", "--5"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        bool is;
        assert_true(akin__text_number(text(none[i]), &is) == 0 && !is);
    }
}

/* Every prefix of every mutation of a document: no read past the end (ASan),
 * no hang. */
static void test_damaged_json_is_harmless(void **state)
{
    (void)state;
    static const char json[] =
        "{\"a\":{\"b\":[1,\"x\\u00e9\\n\",null,[2],{\"c\":3}],\"d\":\"\\ud83d"
        "\\ude00\"},\"e\":-1.5e3,\"t\":true}";
    static const char *const paths[] = {"a", "a.b", "a.d", "e", "t", "zz"};
    random_state = 7;
    for (int round = 0; round < 3000; round++) {
        size_t size = rnd(sizeof json);
        char *copy = malloc(size + 1); /* exact, so that ASan sees */
        memcpy(copy, json, size);
        for (uint32_t i = rnd(3); i-- > 0 && size;)
            copy[rnd((uint32_t)size)] = "{}[]\",:\\u0"[rnd(10)];
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
            akin__value v =
                akin__json_field((akin_span){copy, size}, text(paths[i]));
            akin__value element;
            size_t at = 0;
            char *decoded = malloc(v.text.size + 1);
            if (v.type == AKIN__STRING)
                assert_true(akin__json_decode(v.text, decoded) <= v.text.size);
            free(decoded);
            while (v.type == AKIN__ARRAY &&
                   akin__json_element(v.text, &at, &element))
                assert_true(at <= v.text.size);
        }
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        cmocka_unit_test(test_comparisons),
        cmocka_unit_test(test_missing_attributes),
        cmocka_unit_test(test_lists_arithmetic_time),
        cmocka_unit_test(test_malformed_predicates),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_each_is_checked),
        cmocka_unit_test(test_not_in),
        T(test_select_is_the_naive_truth),
        T(test_the_index_is_used),
        T(test_hostile_names_and_values),
        T(test_a_callback_stops),
        cmocka_unit_test(test_numbers_are_read_exactly),
        cmocka_unit_test(test_damaged_json_is_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
