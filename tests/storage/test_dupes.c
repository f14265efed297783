/* Duplicates in storage: what is queued, what edges come back, what stays
 * dismissed. */
#include "one_collection.h"

#include <sqlite3.h>

/* An item whose bytes are determined by `content`. */
static uint64_t put(const char *id, uint8_t content)
{
    uint8_t hash[AKIN_HASH_BYTES] = {content}, sketch[AKIN_SKETCH_BYTES];
    uint64_t phashes[2] = {content, 7};
    memset(sketch, content, sizeof sketch);
    akin_item_data item = {.id = text(id),
                           .content_hash = hash,
                           .phashes = phashes,
                           .phash_count = 2,
                           .sketch = sketch};
    return write_one(s, put_op(c, &item)).num;
}

static akin_outcome look(uint64_t num, uint8_t content, uint64_t other,
                         uint8_t other_content, akin_dupe level)
{
    uint8_t hash[AKIN_HASH_BYTES] = {content};
    uint8_t other_hash[AKIN_HASH_BYTES] = {other_content};
    akin_dupe_edge edge = {.num = other,
                           .level = level,
                           .distance = 9,
                           .similarity = 0.5f,
                           .cosine = 0.25f,
                           .turn = 6,
                           .content_hash = other_hash};
    return write_one(s, (akin_write){.kind = AKIN_WRITE_DUPES,
                                     .collection = c,
                                     .num = num,
                                     .content_hash = hash,
                                     .edges = &edge,
                                     .nedges = other ? 1 : 0})
        .outcome;
}

typedef struct {
    uint64_t from[64];
    akin_dupe_edge edge[64];
    size_t n;
} edges;

static bool take_edge(void *user, uint64_t from, const akin_dupe_edge *edge)
{
    edges *e = user;
    assert_true(e->n < 64);
    e->from[e->n] = from;
    e->edge[e->n++] = *edge;
    return true;
}

static edges component(uint64_t num, akin_dupe level)
{
    edges e = {.n = 0};
    ok(akin_storage_dupe_component(s, c, num, level, 100, take_edge, &e,
                                   &error));
    return e;
}

static bool take_num(void *user, uint64_t num)
{
    uint64_t *out = user;
    while (*out)
        out++;
    out[0] = num;
    return true;
}

static uint64_t queued(uint64_t nums[16])
{
    uint64_t total;
    memset(nums, 0, 16 * sizeof *nums);
    ok(akin_storage_dupe_queue(s, c, 15, take_num, nums, &total, &error));
    return total;
}

static void dismiss(const char *a, const char *b, bool undo)
{
    write_one(s, (akin_write){.kind = AKIN_WRITE_DISMISS,
                              .collection = c,
                              .pair = {text(a), text(b)},
                              .undo = undo});
}

static void test_queue(void **state)
{
    (void)state;
    uint64_t q[16], a = put("a", 1), b = put("b", 2), d = put("d", 3);
    akin_item_data plain = {.id = text("words"), .caption = text("no picture")};
    write_one(s, put_op(c, &plain));

    assert_int_equal(queued(q), 3); /* words has no picture */
    assert_int_equal(q[0], a);
    look(a, 1, 0, 0, AKIN_DUPE_NEAR);
    look(b, 2, a, 1, AKIN_DUPE_NEAR);
    look(d, 3, 0, 0, AKIN_DUPE_NEAR);
    assert_int_equal(queued(q), 0);

    put("d", 3); /* the same again */
    assert_int_equal(queued(q), 0);
    put("b", 4); /* another picture: it, and what it was joined to */
    assert_int_equal(queued(q), 2);
    assert_int_equal(q[0], a);
    assert_int_equal(q[1], b);
    assert_int_equal(component(a, AKIN_DUPE_SIMILAR).n, 0);

    /* A look at what it was is not stored, and it stays queued. */
    assert_int_equal(look(b, 2, a, 1, AKIN_DUPE_NEAR), AKIN_UNCHANGED);
    assert_int_equal(queued(q), 2);
    look(a, 1, b, 2, AKIN_DUPE_NEAR);
    assert_int_equal(component(a, AKIN_DUPE_SIMILAR).n, 0);
    look(b, 4, a, 1, AKIN_DUPE_NEAR);
    assert_int_equal(component(a, AKIN_DUPE_SIMILAR).n, 2);

    akin_item_data gone = {.id = text("b")};
    write_one(s, (akin_write){.kind = AKIN_WRITE_REMOVE,
                              .collection = c,
                              .item = &gone});
    assert_int_equal(queued(q), 1);
    assert_int_equal(q[0], a);
    assert_int_equal(component(a, AKIN_DUPE_SIMILAR).n, 0);
}

static void test_sketch(void **state)
{
    (void)state;
    uint8_t sketch[AKIN_SKETCH_BYTES];
    uint64_t a = put("a", 5);
    ok(akin_storage_sketch(s, a, sketch, &error));
    assert_int_equal(sketch[0], 5);
    assert_int_equal(sketch[AKIN_SKETCH_BYTES - 1], 5);
    put("a", 6);
    ok(akin_storage_sketch(s, a, sketch, &error));
    assert_int_equal(sketch[0], 6);
    assert_int_equal(akin_storage_sketch(s, a + 1, sketch, &error),
                     AKIN_NOT_FOUND);
}

static void test_edges(void **state)
{
    (void)state;
    uint64_t next, a = put("a", 1), b = put("b", 2), d = put("d", 3);
    look(b, 2, a, 1, AKIN_DUPE_NEAR);
    look(d, 3, b, 2, AKIN_DUPE_SIMILAR);

    edges e = component(b, AKIN_DUPE_NEAR);
    assert_int_equal(e.n, 2);
    assert_int_equal(e.from[0], b);
    assert_int_equal(e.edge[0].num, a);
    assert_int_equal(e.edge[0].turn, 6);
    assert_int_equal(e.edge[0].distance, 9);
    assert_true(e.edge[0].similarity == 0.5f && e.edge[0].cosine == 0.25f);
    assert_int_equal(e.from[1], a);
    assert_int_equal(e.edge[1].num, b);
    assert_int_equal(e.edge[1].turn, 8); /* the other way round */
    assert_int_equal(component(b, AKIN_DUPE_SIMILAR).n, 4);
    assert_int_equal(component(b, AKIN_DUPE_EXACT).n, 0);

    look(a, 1, b, 2, AKIN_DUPE_SIMILAR); /* weaker: the stronger one stays */
    assert_int_equal(component(a, AKIN_DUPE_NEAR).n, 2);
    look(a, 1, b, 2, AKIN_DUPE_EXACT);
    assert_int_equal(component(a, AKIN_DUPE_EXACT).n, 2);

    ok(akin_storage_dupe_next(s, c, 0, AKIN_DUPE_SIMILAR, &next, &error));
    assert_int_equal(next, a);
    ok(akin_storage_dupe_next(s, c, a, AKIN_DUPE_SIMILAR, &next, &error));
    assert_int_equal(next, b);
    ok(akin_storage_dupe_next(s, c, a, AKIN_DUPE_NEAR, &next, &error));
    assert_int_equal(next, 0);

    akin_write bad = {.kind = AKIN_WRITE_DUPES, .collection = c, .num = a};
    assert_int_equal(try_one(s, bad).status, AKIN_INVALID);
}

static bool count_pair(void *user, size_t a, size_t b)
{
    assert_true(a < 2 && b < 2 && a != b);
    ++*(int *)user;
    return true;
}

static bool is_dismissed(uint64_t a, uint64_t b)
{
    const uint64_t nums[2] = {a, b};
    int pairs = 0;
    ok(akin_storage_dismissed(s, c, nums, 2, count_pair, &pairs, &error));
    return pairs > 0;
}

static void test_dismissed(void **state)
{
    (void)state;
    uint64_t a = put("a", 1), b = put("b", 2), d = put("d", 1);
    look(b, 2, a, 1, AKIN_DUPE_NEAR);
    look(d, 1, a, 1, AKIN_DUPE_EXACT);
    dismiss("b", "a", false);
    assert_int_equal(component(b, AKIN_DUPE_NEAR).n, 0);

    /* The same pictures under other names are no duplicates either. */
    look(d, 1, b, 2, AKIN_DUPE_NEAR);
    assert_true(is_dismissed(b, d));
    assert_int_equal(component(b, AKIN_DUPE_NEAR).n, 0);
    akin_item_data gone = {.id = text("b")};
    write_one(s, (akin_write){.kind = AKIN_WRITE_REMOVE,
                              .collection = c,
                              .item = &gone});
    uint64_t again = put("again", 2);
    assert_true(is_dismissed(again, a));
    dismiss("a", "again", true);
    assert_false(is_dismissed(again, a));

    uint64_t pairs;
    ok(akin_storage_dismissals(s, c, &pairs, &error));
    assert_int_equal(pairs, 0);

    /* Equal bytes: only these two. */
    assert_int_equal(component(a, AKIN_DUPE_EXACT).n, 2);
    dismiss("a", "d", false);
    assert_int_equal(component(a, AKIN_DUPE_EXACT).n, 0);
    assert_false(is_dismissed(a, put("e", 1)));

    akin_write bad = {.kind = AKIN_WRITE_DISMISS,
                      .collection = c,
                      .pair = {text("a"), text("nobody")}};
    assert_int_equal(try_one(s, bad).status, AKIN_NOT_FOUND);
    bad.pair[1] = text("a");
    assert_int_equal(try_one(s, bad).status, AKIN_INVALID);
}

/* A directory from before there were duplicates: everything is queued. */
static void test_older_file(void **state)
{
    (void)state;
    char path[300];
    sqlite3 *db;
    uint64_t q[16], a = put("a", 1);
    snprintf(path, sizeof path, "%s/akin.db", dir);
    akin_storage_close(s);
    s = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db,
                     "DROP TRIGGER dupe_added; DROP TRIGGER dupe_changed;"
                     "DROP TRIGGER dupe_removed; DROP TRIGGER dupe_dropped;"
                     "DROP TABLE dupe_queue; DROP TABLE sketches;"
                     "DROP TABLE dupe_edges; DROP TABLE dupe_dismissed;"
                     "DROP TABLE aliases; DROP TABLE audit;"
                     "PRAGMA user_version = 1;",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    s = open_dir(dir);
    assert_int_equal(queued(q), 1);
    assert_int_equal(q[0], a);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_queue), TEST(test_sketch),
                                       TEST(test_edges), TEST(test_dismissed),
                                       TEST(test_older_file)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
