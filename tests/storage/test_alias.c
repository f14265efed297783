/* Aliases change in one step and outlive a restart; a declared field is dropped
 * with its index; single vectors are removed; items in the order of an
 * attribute are the naive truth. */
#include "helpers.h"

#include "internal.h"

#include <math.h>

typedef struct {
    char text[400];
} listing;

static bool list_one(void *user, const char *alias, uint32_t collection)
{
    listing *l = user;
    size_t used = strlen(l->text);
    snprintf(l->text + used, sizeof l->text - used, "%s=%u ", alias,
             collection);
    return true;
}

static void expect_aliases(akin_storage *s, const char *want)
{
    listing l = {""};
    ok(akin_storage_aliases(s, list_one, &l, &error));
    assert_string_equal(l.text, want);
}

static akin_status change(akin_storage *s, const akin_alias_op *ops, size_t n)
{
    return try_one(s, (akin_write){.kind = AKIN_WRITE_ALIASES,
                                   .aliases = ops,
                                   .naliases = n})
        .status;
}

static void test_aliases(void **state)
{
    (void)state;
    char *dir = temp_dir(), want[100];
    akin_storage *s = open_dir(dir);
    uint32_t a = make_collection(s, "a"), b = make_collection(s, "b");

    akin_alias_op two[] = {{.name = text("x"), .collection = a},
                           {.name = text("y"), .collection = b}};
    assert_int_equal(change(s, two, 2), AKIN_OK);
    snprintf(want, sizeof want, "x=%u y=%u ", a, b);
    expect_aliases(s, want);

    /* the second is wrong: nothing of the first stays */
    akin_alias_op bad[] = {{.name = text("x"), .collection = b},
                           {.name = text("z"), .collection = 999}};
    assert_int_equal(change(s, bad, 2), AKIN_NOT_FOUND);
    bad[1] = (akin_alias_op){.name = text("a"), .collection = b};
    assert_int_equal(change(s, bad, 2), AKIN_EXISTS);
    bad[1] = (akin_alias_op){.name = text("none"), .to = text("w")};
    assert_int_equal(change(s, bad, 2), AKIN_NOT_FOUND);
    bad[1] = (akin_alias_op){.name = text("y"), .to = text("b")};
    assert_int_equal(change(s, bad, 2), AKIN_EXISTS);
    bad[1] = (akin_alias_op){.name = text("a/b"), .collection = b};
    assert_int_equal(change(s, bad, 2), AKIN_INVALID);
    assert_int_equal(change(s, NULL, AKIN_MAX_ALIASES + 1), AKIN_TOO_LARGE);
    expect_aliases(s, want);
    assert_int_equal(
        try_one(s, (akin_write){.kind = AKIN_WRITE_CREATE, .name = text("x")})
            .status,
        AKIN_EXISTS);

    /* delete and create in one step; rename onto another */
    akin_alias_op move[] = {{.name = text("x")},
                            {.name = text("x"), .collection = b},
                            {.name = text("x"), .to = text("y")}};
    assert_int_equal(change(s, move, 3), AKIN_OK);
    akin_storage_close(s);
    s = open_dir(dir);
    snprintf(want, sizeof want, "y=%u ", b);
    expect_aliases(s, want);
    write_one(s, (akin_write){.kind = AKIN_WRITE_DROP, .collection = b});
    expect_aliases(s, "");
    akin_storage_close(s);
    remove_dir(dir);
}

/* ---- fields, vectors ----------------------------------------------------- */

static int64_t indexes(akin_storage *s)
{
    char path[300];
    sqlite3 *db;
    sqlite3_stmt *stmt;
    snprintf(path, sizeof path, "%s/akin.db", s->dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_prepare_v2(
            db,
            "SELECT (SELECT count(*) FROM sqlite_schema WHERE name GLOB"
            " 'field_[0-9]*') + (SELECT count(*) FROM tags)",
            -1, &stmt, NULL),
        SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return n;
}

static void test_a_field_is_dropped(void **state)
{
    (void)state;
    char *dir = temp_dir();
    akin_storage *s = open_dir(dir);
    uint32_t c = make_collection(s, "c");
    akin_item_data item = {.id = text("i"),
                           .attributes = text("{\"n\":1,\"t\":[\"x\",2]}")};
    write_one(s, put_op(c, &item));
    akin_write declare = {.kind = AKIN_WRITE_FIELD,
                          .collection = c,
                          .name = text("n"),
                          .type = AKIN_FIELD_NUMBER};
    akin_write drop = {
        .kind = AKIN_WRITE_UNFIELD, .collection = c, .name = text("n")};
    for (int tags = 0; tags < 2; tags++) {
        declare.name = drop.name = text(tags ? "t" : "n");
        declare.type = tags ? AKIN_FIELD_TAGS : AKIN_FIELD_NUMBER;
        assert_int_equal(try_one(s, drop).status, AKIN_NOT_FOUND);
        write_one(s, declare);
        assert_int_equal(indexes(s), tags ? 2 : 1);
        write_one(s, drop);
        assert_int_equal(indexes(s), 0);
        declare.type = AKIN_FIELD_STRING; /* another type is free now */
        write_one(s, declare);
        write_one(s, drop);
    }
    akin_storage_close(s);
    remove_dir(dir);
}

static void test_one_vector_is_removed(void **state)
{
    (void)state;
    char *dir = temp_dir();
    akin_storage *s = open_dir(dir);
    uint32_t c = make_collection(s, "c");
    uint16_t image[DIM], caption[DIM];
    akin_item got = {0};

    make_vector(1, DIM, image);
    make_vector(2, DIM, caption);
    akin_item_data item = {
        .id = text("i"),
        .caption = text("words"),
        .vectors = {{image, DIM, 1, MODEL_A}, {caption, DIM, 1, MODEL_A}}};
    write_one(s, put_op(c, &item));
    akin_item_data name = {.id = text("i")};
    akin_write op = put_op(c, &name);
    op.flags = AKIN_PUT_UPDATE_ONLY;
    op.drop = 1u << AKIN_SPACE_IMAGE;
    assert_int_equal(write_one(s, op).outcome, AKIN_UPDATED);
    assert_int_equal(write_one(s, op).outcome, AKIN_UNCHANGED);
    ok(akin_storage_get(s, c, text("i"), AKIN_WITH_VECTORS | AKIN_WITH_CAPTION,
                        &got, &error));
    assert_null(got.vectors[AKIN_SPACE_IMAGE].data);
    assert_non_null(got.vectors[AKIN_SPACE_CAPTION].data);
    assert_int_equal(got.caption.size, 5);
    akin_item_clear(&got);
    op.drop = 1u << AKIN_SPACE_CAPTION;
    write_one(s, op);
    ok(akin_storage_get(s, c, text("i"), AKIN_WITH_VECTORS | AKIN_WITH_CAPTION,
                        &got, &error));
    assert_null(got.vectors[AKIN_SPACE_CAPTION].data);
    assert_int_equal(got.caption.size, 5);
    akin_item_clear(&got);
    akin_storage_close(s);
    remove_dir(dir);
}

/* ---- order --------------------------------------------------------------- */

enum { N = 500 };
static double value_of[N]; /* NAN: none */

static bool odd(void *user, uint64_t num)
{
    (void)user;
    return num % 2;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The values that should come, sorted. */
static size_t naive(const uint64_t *nums, bool filtered, bool descending,
                    double start, size_t limit, double *out)
{
    size_t n = 0;
    for (int i = 0; i < N; i++) {
        if (value_of[i] != value_of[i] || (filtered && !odd(NULL, nums[i])))
            continue;
        if (start == start &&
            (descending ? value_of[i] > start : value_of[i] < start))
            continue;
        out[n++] = value_of[i];
    }
    qsort(out, n, sizeof *out, ascending);
    for (size_t i = 0; descending && i < n / 2; i++) {
        double t = out[i];
        out[i] = out[n - 1 - i];
        out[n - 1 - i] = t;
    }
    return n < limit ? n : limit;
}

static void test_order_is_the_naive_truth(void **state)
{
    (void)state;
    static akin_item_data items[N];
    static akin_write ops[N];
    static akin_write_result results[N];
    static char ids[N][12], json[N][64];
    static uint64_t nums[N];
    char *dir = temp_dir();
    akin_storage *s = open_dir(dir);
    uint32_t c = make_collection(s, "c");
    uint64_t random = 42;

    print_message("seed 42\n");
    for (int i = 0; i < N; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        unsigned r = (unsigned)(random >> 40) % 200;
        value_of[i] = (double)r / 4;
        snprintf(ids[i], sizeof ids[i], "%d", i);
        snprintf(json[i], sizeof json[i], "{\"v\":%g}", value_of[i]);
        if (i % 7 == 0) snprintf(json[i], sizeof json[i], "{\"v\":\"soon\"}");
        if (i % 11 == 0) snprintf(json[i], sizeof json[i], "{\"w\":1}");
        if (i % 7 == 0 || i % 11 == 0) value_of[i] = (double)NAN;
        items[i] =
            (akin_item_data){.id = text(ids[i]), .attributes = text(json[i])};
        ops[i] = put_op(c, &items[i]);
    }
    ok(akin_storage_write(s, ops, N, results, &error));
    for (int i = 0; i < N; i++)
        nums[i] = results[i].num;
    static const size_t limits[] = {1, 2, 10, 499, 1000};
    static const char *const starts[] = {"", "20", "0", "1000"};
    static akin_ordered_value got[1000];
    double want[N];
    for (int k = 0; k < 80; k++) {
        size_t n, limit = limits[k % 5];
        bool filtered = k / 5 % 2, descending = k / 10 % 2;
        const char *start = starts[k / 20];
        akin_ordering o = {.path = text("v"),
                           .descending = descending,
                           .start = text(start),
                           .limit = limit};
        ok(akin_storage_order(s, c, &o, filtered ? odd : NULL, NULL, got, &n,
                              &error));
        size_t m =
            naive(nums, filtered, descending,
                  *start ? strtod(start, NULL) : (double)NAN, limit, want);
        assert_int_equal(n, m);
        for (size_t i = 0; i < n; i++) {
            assert_true(got[i].value == want[i]);
            assert_true(!i || got[i].value != got[i - 1].value ||
                        got[i].num > got[i - 1].num);
        }
    }
    akin_storage_close(s);
    remove_dir(dir);
}

static void test_order_of_lists_and_times(void **state)
{
    (void)state;
    char *dir = temp_dir();
    akin_storage *s = open_dir(dir);
    uint32_t c = make_collection(s, "c");
    akin_ordered_value got[10];
    size_t n;

    akin_item_data list = {.id = text("list"),
                           .attributes = text("{\"v\":[5,\"x\",1,[0]]}")};
    akin_item_data time = {.id = text("time"),
                           .attributes =
                               text("{\"v\":\"1970-01-01T00:00:00.003Z\"}")};
    uint64_t first = write_one(s, put_op(c, &list)).num;
    uint64_t second = write_one(s, put_op(c, &time)).num;
    akin_ordering o = {.path = text("v"), .limit = 10};
    ok(akin_storage_order(s, c, &o, NULL, NULL, got, &n, &error));
    assert_int_equal(n, 3);
    assert_true(got[0].num == first && got[0].value == 1 && !got[0].time);
    assert_true(got[1].num == second && got[1].value == 3 && got[1].time);
    assert_true(got[2].num == first && got[2].value == 5);
    o.start = text("1970-01-01T00:00:00.002Z");
    ok(akin_storage_order(s, c, &o, NULL, NULL, got, &n, &error));
    assert_int_equal(n, 2);

    akin_ordering bad[] = {
        {.path = text("v"), .limit = 0},
        {.path = text("v"), .limit = AKIN_MAX_ORDERED + 1},
        {.path = text(""), .limit = 1},
        {.path = text("a..b"), .limit = 1},
        {.path = text("v"), .limit = 1, .start = text("soon")}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(
            akin_storage_order(s, c, &bad[i], NULL, NULL, got, &n, &error),
            AKIN_INVALID);
    akin_storage_close(s);
    remove_dir(dir);
}

/* ---- snapshots ----------------------------------------------------------- */

static akin_item_data tagged = {.id = {"i", 1},
                                .attributes = {"{\"n\":1,\"t\":[\"x\"]}", 17}};

/* A table that is new has to be a decision: a row in extract.c, or here. */
static void test_every_table_is_copied_or_left(void **state)
{
    (void)state;
    static const char known[] =
        " collections spaces fields items vectors tags sketches dupe_queue"
        " dupe_edges dupe_dismissed" /* copied */
        " counters removals jobs job_errors aliases audit sqlite_sequence ";
    char *dir = temp_dir(), name[100], path[300];
    akin_storage *s = open_dir(dir);
    sqlite3 *db;
    sqlite3_stmt *stmt;

    make_collection(s, "c");
    akin_storage_close(s);
    /* a connection of our own: the writer's is its thread's */
    snprintf(path, sizeof path, "%s/akin.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(
                         db,
                         "SELECT name FROM sqlite_schema WHERE type = 'table'",
                         -1, &stmt, NULL),
                     SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        snprintf(name, sizeof name, " %s ",
                 (const char *)sqlite3_column_text(stmt, 0));
        if (!strstr(known, name))
            fail_msg("is the table%sof a collection? then extract.c copies it",
                     name);
    }
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    remove_dir(dir);
}

static void test_numbers_are_never_used_twice(void **state)
{
    (void)state;
    char *dir = temp_dir(), copy[200];
    akin_storage *s = open_dir(dir);
    uint32_t c = make_collection(s, "c");
    uint64_t last = 0;

    write_one(s, (akin_write){.kind = AKIN_WRITE_FIELD,
                              .collection = c,
                              .name = text("t"),
                              .type = AKIN_FIELD_TAGS});
    last = write_one(s, put_op(c, &tagged)).num;
    snprintf(copy, sizeof copy, "%s/copy", dir);
    ok(akin_storage_export(s, c, copy, NULL, NULL, &error));
    assert_int_equal(akin_storage_export(s, c, copy, NULL, NULL, &error),
                     AKIN_EXISTS);
    ok(akin_storage_import_check(copy, false, &error));
    for (int i = 0; i < 3; i++) {
        akin_item item = {0};
        uint32_t next =
            (uint32_t)write_one(
                s, (akin_write){.kind = AKIN_WRITE_IMPORT, .dir = copy})
                .num;
        assert_true(next > c);
        c = next;
        ok(akin_storage_get(s, c, text("i"), 0, &item, &error));
        assert_true(item.num > last);
        last = item.num;
        akin_item_clear(&item);
        /* the tags go with the item, so they are its own */
        write_one(s, (akin_write){.kind = AKIN_WRITE_REMOVE,
                                  .collection = c,
                                  .item = &tagged});
    }
    assert_int_equal(indexes(s), 1); /* the first's */
    akin_storage_close(s);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_a_field_is_dropped),
        cmocka_unit_test(test_one_vector_is_removed),
        cmocka_unit_test(test_order_is_the_naive_truth),
        cmocka_unit_test(test_order_of_lists_and_times),
        cmocka_unit_test(test_every_table_is_copied_or_left),
        cmocka_unit_test(test_numbers_are_never_used_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
