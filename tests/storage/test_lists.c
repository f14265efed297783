/* Predicates as Qdrant means them: lists are looked into, elements counted, ids
 * compared; with and without an index on the field. */
#include "helpers.h"

typedef struct {
    akin_predicate_node nodes[4];
    uint32_t n;
} built;

/* left op right, where right is a string. */
static built compare(akin_predicate_node left, akin_predicate_op op,
                     const char *right)
{
    built b = {.n = 3};
    b.nodes[0] = left;
    b.nodes[1] =
        (akin_predicate_node){.op = AKIN_P_STRING, .text = text(right)};
    b.nodes[2] = (akin_predicate_node){.op = op, .left = 0, .right = 1};
    return b;
}

static akin_predicate_node field(const char *path)
{
    return (akin_predicate_node){.op = AKIN_P_FIELD, .text = text(path)};
}

static bool pass(const built *b, bool missing_fails, const char *json)
{
    akin_predicate p = {b->nodes, b->n, missing_fails};
    ok(akin_predicate_check(&p, &error));
    return akin_predicate_match(&p, text(json));
}

static void test_any_element(void **state)
{
    (void)state;
    built equal = compare(field("a"), AKIN_P_EQ, "x");
    assert_true(pass(&equal, false, "{\"a\":[\"w\",\"x\"]}"));
    assert_true(pass(&equal, false, "{\"a\":\"x\"}"));
    assert_false(pass(&equal, false, "{\"a\":[\"xx\"]}"));
    assert_false(pass(&equal, false, "{\"a\":[]}"));
    assert_false(pass(&equal, false, "{}"));
    /* as Redis means it, a list equals nothing */
    assert_false(pass(&equal, true, "{\"a\":[\"w\",\"x\"]}"));

    built above = compare(field("a"), AKIN_P_GT, "4");
    assert_true(pass(&above, false, "{\"a\":[1,5]}"));
    assert_false(pass(&above, false, "{\"a\":[1,2]}"));
}

static double count_of(const char *json, double want)
{
    built b = {.n = 3};
    b.nodes[0] = (akin_predicate_node){.op = AKIN_P_COUNT, .text = text("a.b")};
    b.nodes[1] = (akin_predicate_node){.op = AKIN_P_NUMBER, .number = want};
    b.nodes[2] = (akin_predicate_node){.op = AKIN_P_EQ, .left = 0, .right = 1};
    return pass(&b, false, json);
}

static void test_count(void **state)
{
    (void)state;
    assert_true(count_of("{\"a\":{\"b\":[1,[2,3],{}]}}", 3));
    assert_true(count_of("{\"a\":{\"b\":[]}}", 0));
    assert_true(count_of("{\"a\":{\"b\":null}}", 0));
    assert_true(count_of("{\"a\":{\"b\":\"one\"}}", 1));
    assert_true(count_of("{\"a\":{\"b\":{\"c\":1}}}", 1));
    assert_true(count_of("{\"a\":1}", 0));
}

static bool add_num(void *user, const uint64_t *nums, size_t n)
{
    uint64_t *total = user;
    (void)nums;
    *total += n;
    return true;
}

static uint64_t selected(akin_storage *s, uint32_t collection, const built *b)
{
    akin_predicate p = {b->nodes, b->n, false};
    uint64_t total = 0;
    ok(akin_storage_select(s, collection, &p, add_num, &total, &error));
    return total;
}

#define ITEMS 3000

/* So many items that plans are made: every hundredth has the tag in a list,
 * every thousandth as a text. */
static void test_select(void **state)
{
    (void)state;
    char *dir = temp_dir();
    akin_storage *s = open_dir(dir);
    uint32_t c = make_collection(s, "c");

    static char ids[ITEMS][16], json[ITEMS][32];
    static akin_item_data items[ITEMS];
    static akin_write ops[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
        snprintf(ids[i], sizeof ids[i], "i%d", i);
        snprintf(json[i], sizeof json[i], "{\"a\":%s}",
                 i % 1000 == 1  ? "\"red\""
                 : i % 100 == 2 ? "[\"pink\",\"red\"]"
                                : "\"blue\"");
        items[i] =
            (akin_item_data){.id = text(ids[i]), .attributes = text(json[i])};
        ops[i] = (akin_write){
            .kind = AKIN_WRITE_PUT, .collection = c, .item = &items[i]};
    }
    ok(akin_storage_write(s, ops, ITEMS, NULL, &error));
    built red = compare(field("a"), AKIN_P_EQ, "red");
    built one =
        compare((akin_predicate_node){.op = AKIN_P_ID}, AKIN_P_EQ, "i7");
    assert_int_equal(selected(s, c, &red), 33);
    assert_int_equal(selected(s, c, &one), 1);
    write_one(s, (akin_write){.kind = AKIN_WRITE_FIELD,
                              .collection = c,
                              .name = text("a"),
                              .type = AKIN_FIELD_STRING});
    assert_int_equal(selected(s, c, &red), 33);
    akin_storage_close(s);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_element),
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_select),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
