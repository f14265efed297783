/* Captions: full text search, and what users type. */
#include "one_collection.h"

static void put(const char *id, const char *caption)
{
    akin_item_data in = {.id = text(id), .caption = text(caption)};
    write_one(s, put_op(c, &in));
}

typedef struct {
    uint64_t nums[50];
    int n;
} hits;

static bool hit(void *user, uint64_t num, double score)
{
    hits *h = user;
    assert_true(score == score && h->n < 50);
    h->nums[h->n++] = num;
    return true;
}

/* Ids found, best first, with spaces between. */
static const char *find(const char *words, uint32_t k)
{
    static char ids[500];
    hits h = {.n = 0};
    ok(akin_storage_text_search(s, c, text(words), k, NULL, NULL, hit, &h,
                                &error));
    ids[0] = 0;
    for (int i = 0; i < h.n; i++) {
        akin_item item;
        ok(akin_storage_get_num(s, c, h.nums[i], 0, &item, &error));
        strcat(ids, (const char *)item.id.data);
        strcat(ids, " ");
        akin_item_clear(&item);
    }
    return ids;
}

static void test_search(void **state)
{
    (void)state;
    assert_string_equal(find("anything", 10), ""); /* no captions yet */
    put("a", "A red Béret on a wooden chair");
    put("b", "blue beret");
    put("c", "wooden table, red cloth");
    put("d", "Ein grüner Stuhl");
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "x%d", i);
        put(id, "something else entirely about weather and stones");
    }
    assert_string_equal(find("BERET", 10), "b a ");
    assert_string_equal(find("béret", 10), "b a ");
    /* More of the words first; some of them will do. */
    assert_string_equal(find("red wooden beret", 1), "a ");
    assert_int_equal(strlen(find("red wooden beret", 10)), 6);
    put("e", "beret beret beret"); /* BM25 alone would put it first */
    assert_string_equal(find("beret wooden", 2), "a e ");
    assert_string_equal(find("beret wooden", 10), "a e c b ");
    akin_item_data gone = {.id = text("e")};
    write_one(s, (akin_write){.kind = AKIN_WRITE_REMOVE,
                              .collection = c,
                              .item = &gone});
    assert_string_equal(find("gruner", 10), "d ");
    assert_string_equal(find("tab", 10), "c ");   /* still typing */
    assert_string_equal(find("tab x9y", 10), ""); /* but not before the last */
    assert_string_equal(find("ta", 10), "");
    assert_string_equal(find("blue", 0), "");
}

static void test_captions_follow_their_items(void **state)
{
    (void)state;
    put("a", "first words");
    put("a", "second words");
    assert_string_equal(find("first", 10), "");
    assert_string_equal(find("second", 10), "a ");
    akin_item_data none = {.id = text("a"), .caption = {"", 0}};
    write_one(s, put_op(c, &none));
    assert_string_equal(find("second", 10), "");
    put("a", "third");
    assert_string_equal(find("third", 10), "a ");
    write_one(s, (akin_write){.kind = AKIN_WRITE_REMOVE,
                              .collection = c,
                              .item = &none});
    assert_string_equal(find("third", 10), "");
    /* Other collections have their own. */
    put("b", "mine");
    uint32_t mine = c;
    c = make_collection(s, "other");
    put("b", "theirs");
    assert_string_equal(find("mine", 10), "");
    c = mine;
    assert_string_equal(find("mine theirs", 10), "b ");
}

static void test_whatever_users_type(void **state)
{
    (void)state;
    static const char *const typed[] = {"\"",
                                        "\"\"",
                                        "'",
                                        "*",
                                        "a*",
                                        "-",
                                        "^",
                                        "a:b",
                                        "caption:red",
                                        "NEAR(a b)",
                                        "AND",
                                        "OR",
                                        "NOT",
                                        "a AND",
                                        "(",
                                        ")",
                                        "((a",
                                        "{a b}:c",
                                        "+",
                                        "a + b",
                                        "\\",
                                        "%",
                                        "_",
                                        ";",
                                        "--",
                                        "/* */",
                                        "'; DROP TABLE items; --",
                                        "red\" OR \"blue",
                                        "",
                                        "   ",
                                        "\n\t",
                                        "\u200b",
                                        "\U0001f600",
                                        "\u00e9",
                                        "!!!",
                                        "a\"b\"c",
                                        "\xe2\x82\xac",
                                        "captions_1",
                                        "rank",
                                        "match"};
    put("a", "red");
    for (size_t i = 0; i < sizeof typed / sizeof *typed; i++)
        find(typed[i], 10);
    char many[4000] = "";
    while (strlen(many) < sizeof many - 8)
        strcat(many, "word ");
    find(many, 10);
    hits h = {.n = 0};
    assert_int_equal(akin_storage_text_search(s, c, text("\xff"), 10, NULL,
                                              NULL, hit, &h, &error),
                     AKIN_INVALID);
    char *huge = calloc(1, 5001);
    memset(huge, 'a', 5000);
    assert_int_equal(akin_storage_text_search(s, c, text(huge), 10, NULL, NULL,
                                              hit, &h, &error),
                     AKIN_TOO_LARGE);
    free(huge);
    assert_string_equal(find("red", 10), "a ");
}

static bool odd(void *user, uint64_t num)
{
    ++*(int *)user;
    return num & 1;
}

static bool count(void *user, uint64_t num, double score)
{
    (void)score;
    assert_true(num & 1);
    return ++*(int *)user < 5;
}

static void test_only_allowed_items(void **state)
{
    (void)state;
    int asked = 0, got = 0;
    for (int i = 0; i < 40; i++) {
        char id[16];
        snprintf(id, sizeof id, "x%d", i);
        put(id, "the same words");
    }
    ok(akin_storage_text_search(s, c, text("words"), 3, odd, &asked, count,
                                &got, &error));
    assert_int_equal(got, 3); /* k of those that are allowed */
    assert_true(asked >= 40);
    got = 0;
    ok(akin_storage_text_search(s, c, text("words"), 30, odd, &asked, count,
                                &got, &error));
    assert_int_equal(got, 5); /* stopped */
}

static void test_common_words_are_left_out(void **state)
{
    (void)state;
    enum { MANY = 21000, BATCH = 1000 };
    static akin_item_data items[BATCH];
    static akin_write ops[BATCH];
    static akin_write_result results[BATCH];
    static char ids[BATCH][16];
    static const char *const captions[] = {"the cat", "the dog", "the cat",
                                           "a bird"};
    akin_storage_close(s);
    akin_storage_options o = {.dir = dir, .unsafe = true};
    ok(akin_storage_open(&o, &s, &error));
    for (int from = 0; from < MANY; from += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            snprintf(ids[i], sizeof ids[i], "%d", from + i);
            items[i] = (akin_item_data){.id = text(ids[i]),
                                        .caption = text(captions[i % 4])};
            ops[i] = put_op(c, &items[i]);
        }
        ok(akin_storage_write(s, ops, BATCH, results, &error));
    }
    put("u", "the unicorn");
    put("v", "the unicorn and the cat");
    assert_string_equal(find("the unicorn", 10), "u v ");
    assert_string_equal(find("the", 4), "0 1 2 4 "); /* alone it stays */
    assert_string_equal(find("unicorn bird the", 3), "u v 3 ");
    assert_string_equal(find("the the dog", 2), "1 5 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_search),
        T(test_captions_follow_their_items),
        T(test_whatever_users_type),
        T(test_only_allowed_items),
        T(test_common_words_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
