/* Snapshots that somebody made up: SQLite finds them whole, their rows are not
 * such as this program writes. */
#include "one_collection.h"

#include <sqlite3.h>

/* Runs SQL on DIR/akin.db of a directory that is not open. */
static void forge(const char *where, const char *sql)
{
    char path[300], *why = NULL;
    sqlite3 *db;

    snprintf(path, sizeof path, "%s/akin.db", where);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &why)) fail_msg("%s: %s", sql, why);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* Items "1" to "n" with a vector, a content hash and a perceptual hash. */
static void put_items(uint32_t collection, uint64_t n)
{
    for (uint64_t i = 1; i <= n; i++) {
        char id[24];
        uint16_t vector[DIM];
        uint8_t hash[AKIN_HASH_BYTES] = {(uint8_t)i};
        snprintf(id, sizeof id, "%llu", (unsigned long long)i);
        make_vector(i, DIM, vector);
        akin_item_data d = {
            .id = text(id),
            .content_hash = hash,
            .pixel_hash = hash,
            .phashes = &i,
            .phash_count = 1,
            .vectors[0] = {.data = vector, .dim = DIM, .model = MODEL_A}};
        write_one(s, put_op(collection, &d));
    }
}

/* The collection's snapshot, changed by `sql`. NAME in *copy. */
static void forged_copy(const char *name, const char *sql, char copy[200])
{
    snprintf(copy, 200, "%s/%s", dir, name);
    ok(akin_storage_export(s, c, copy, NULL, NULL, &error));
    forge(copy, sql);
}

#define LONG_TEXT "'a' || char(0) || printf('%.5000c', 'b')"

static void test_values_of_another_type_are_refused(void **state)
{
    (void)state;
    static const char *const sql[] = {
        "UPDATE items SET id = CAST(id AS TEXT)",
        "UPDATE items SET id = " LONG_TEXT " WHERE num = 2",
        "UPDATE items SET id = 12 WHERE num = 2",
        "UPDATE vectors SET vector = 'aaaaaaaaaaaaaaa' || " LONG_TEXT,
        "UPDATE vectors SET vector = zeroblob(17)",
        "UPDATE spaces SET model = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'",
        "UPDATE items SET content_hash = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'",
        "UPDATE items SET content_hash = zeroblob(33)",
        "UPDATE items SET pixel_hash = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'",
        "UPDATE items SET pixel_hash = zeroblob(31)",
        "UPDATE items SET phashes = zeroblob(136)",
        "UPDATE items SET phashes = zeroblob(12)",
        "UPDATE items SET phashes = 'aaaaaaaa'"};
    char copy[200], name[8];

    put_items(c, 3);
    forged_copy("as-it-is", "SELECT 1", copy);
    ok(akin_storage_import_check(copy, false, &error));
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        snprintf(name, sizeof name, "%zu", i);
        forged_copy(name, sql[i], copy);
        if (akin_storage_import_check(copy, false, NULL) != AKIN_BAD_DATA)
            fail_msg("accepted: %s", sql[i]);
    }
}

static bool count_edge(void *user, uint64_t from, const akin_dupe_edge *edge)
{
    (void)from, (void)edge;
    ++*(int *)user;
    return true;
}

/* It was copied behind the room of 512 bytes that an id has. */
static void test_a_long_id_is_not_copied(void **state)
{
    (void)state;
    int n = 0;

    put_items(c, 2);
    akin_storage_close(s);
    forge(dir, "INSERT INTO dupe_edges VALUES(1, 2, 1, 0, 1, 0, 1, 1, 1);"
               "INSERT INTO dupe_dismissed VALUES(1, x'61', x'62', 0);"
               "UPDATE items SET id = " LONG_TEXT " WHERE num = 2");
    s = open_dir(dir);
    assert_int_equal(akin_storage_dupe_component(s, c, 1, AKIN_DUPE_SIMILAR, 10,
                                                 count_edge, &n, &error),
                     AKIN_CORRUPT);
    assert_non_null(strstr(error.message, "512"));
    assert_int_equal(n, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_values_of_another_type_are_refused),
        T(test_a_long_id_is_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
