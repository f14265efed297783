/* Snapshots that somebody made up: SQLite finds them whole, their rows are not
 * such as this program writes. */
#include "one_collection.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>

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
        "UPDATE items SET phashes = 'aaaaaaaa'",
        "UPDATE items SET num = 1 << 36 WHERE num = 3",
        "WITH RECURSIVE n(i) AS (SELECT 9 UNION ALL SELECT i + 1 FROM n"
        " WHERE i < 80) INSERT INTO spaces SELECT i, 1, 0, randomblob(32), 3, 0"
        " FROM n"};
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

static uint64_t num_of(uint32_t collection, const char *id)
{
    uint64_t num = 0;
    ok(akin_storage_find(s, collection, text(id), &num, NULL, &error));
    return num;
}

static uint32_t import(const char *copy)
{
    ok(akin_storage_import_check(copy, false, &error));
    return (uint32_t)write_one(
               s, (akin_write){.kind = AKIN_WRITE_IMPORT, .dir = copy})
        .num;
}

/* What a query counts in the open storage. */
static int64_t number(const char *sql)
{
    char path[300];
    sqlite3 *db;
    sqlite3_stmt *stmt;

    snprintf(path, sizeof path, "%s/akin.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return n;
}

static bool no_finding(void *user, const char *finding)
{
    (void)user;
    fail_msg("%s", finding);
    return true;
}

/* Numbers are never given out again: the highest there is once became the
 * store's, which then took no item any more, not even after a restart. */
static void test_gaps_between_numbers_are_closed(void **state)
{
    (void)state;
    char copy[200];
    akin_item item = {0};
    uint64_t found = 0, findings;

    write_one(s, (akin_write){.kind = AKIN_WRITE_FIELD,
                              .collection = c,
                              .name = text("t"),
                              .type = AKIN_FIELD_TAGS});
    put_items(c, 3);
    akin_item_data third = {.id = text("3"),
                            .caption = text("a red shoe"),
                            .attributes = text("{\"t\":[\"x\"]}")};
    write_one(s, put_op(c, &third));
    forged_copy(
        "copy",
        "UPDATE items SET num = (1 << 36) - 1 WHERE num = 3;"
        "INSERT OR REPLACE INTO dupe_queue VALUES((1 << 36) - 1, 1);"
        "UPDATE captions_1 SET rowid = (1 << 36) - 1 WHERE rowid = 3;"
        "UPDATE tags SET num = (1 << 36) - 1, field = (1 << 62) - 1;"
        "UPDATE fields SET field = (1 << 62) - 1;"
        "UPDATE vectors SET key = key + (1 << 36) - 4 WHERE key & 7 = 3;"
        "UPDATE vectors SET key = key + (((1 << 22) - 1) << 40),"
        " space = 1 << 22;"
        "UPDATE spaces SET space = 1 << 22;"
        "INSERT INTO dupe_edges VALUES(1, (1 << 36) - 1, 1, 0, 1, 0, 1, 1, 1),"
        " (1, 77, 1, 0, 1, 0, 1, 1, 1);" /* 77: nobody */
        "INSERT INTO sketches VALUES(77, zeroblob(1024));"
        "INSERT INTO dupe_queue VALUES(77, 1);",
        copy);
    uint32_t fresh = import(copy);
    assert_int_equal(num_of(fresh, "1"), 4);
    assert_int_equal(num_of(fresh, "2"), 5);
    assert_int_equal(num_of(fresh, "3"), 6);
    ok(akin_storage_get(s, fresh, text("3"),
                        AKIN_WITH_VECTORS | AKIN_WITH_CAPTION, &item, &error));
    uint16_t vector[DIM];
    make_vector(3, DIM, vector);
    assert_non_null(item.vectors[0].data);
    assert_memory_equal(item.vectors[0].data, vector, sizeof vector);
    assert_int_equal(item.caption.size, strlen("a red shoe"));
    akin_item_clear(&item);
    ok(akin_storage_dupe_next(s, fresh, 0, AKIN_DUPE_SIMILAR, &found, &error));
    assert_int_equal(found, 4);
    ok(akin_storage_check(s, no_finding, NULL, &findings, &error));

    assert_int_equal(
        number("SELECT count(*) FROM tags WHERE field = 2 AND num = 6"), 1);
    assert_int_equal(number("SELECT count(*) FROM dupe_edges"), 1);
    assert_int_equal(number("SELECT count(*) FROM dupe_queue"), 6);
    assert_int_equal(number("SELECT count(*) FROM sketches"), 0);
    assert_int_equal(number("SELECT max(space) FROM spaces"), 2);

    /* what comes next stands right behind */
    uint64_t num =
        write_one(s, put_op(c, &(akin_item_data){.id = text("4")})).num;
    assert_int_equal(num, 7);
    for (int i = 0; i < 3; i++)
        fresh = import(copy);
    assert_int_equal(num_of(fresh, "3"), 16);
}

/* Every file may grow to that size; 0: to any. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The disk was full. The numbers that the items would have had went to others,
 * which were then shown with the snapshot's pictures. */
static void test_a_failed_import_leaves_no_thumbnails(void **state)
{
    (void)state;
    enum { N = 3000 };
    char copy[200];
    size_t size;
    uint8_t *got;
    uint32_t full = make_collection(s, "full");
    akin_write *puts = akin_calloc(N, sizeof *puts);
    akin_write_result *results = akin_calloc(N, sizeof *results);
    akin_item_data *items = akin_calloc(N, sizeof *items);
    char(*ids)[12] = akin_calloc(N, sizeof *ids);

    for (int i = 0; i < N; i++) {
        snprintf(ids[i], sizeof *ids, "%d", i);
        items[i] = (akin_item_data){
            .id = text(ids[i]),
            .attributes = text("{\"a\":\"much longer than the thumbnail\","
                               "\"b\":\"much longer than the thumbnail\"}"),
            .thumb = text("T")};
        puts[i] = put_op(full, &items[i]);
    }
    ok(akin_storage_write(s, puts, N, results, &error));
    snprintf(copy, sizeof copy, "%s/copy", dir);
    ok(akin_storage_export(s, full, copy, NULL, NULL, &error));
    ok(akin_storage_import_check(copy, false, &error));
    akin_storage_close(s); /* an empty log */
    s = open_dir(dir);

    akin_write op = {.kind = AKIN_WRITE_IMPORT, .dir = copy};
    signal(SIGXFSZ, SIG_IGN);
    limit_files(200000);
    assert_int_equal(akin_storage_write(s, &op, 1, results, NULL), AKIN_IO);
    limit_files(0);
    uint64_t num =
        write_one(s, put_op(c, &(akin_item_data){.id = text("new")})).num;
    assert_int_equal(num, N + 1);
    assert_int_equal(akin_storage_thumb(s, num, &got, &size, NULL),
                     AKIN_NOT_FOUND);

    uint32_t fresh = import(copy);
    ok(akin_storage_thumb(s, num_of(fresh, "0"), &got, &size, &error));
    akin_free(got);
    assert_int_equal(size, 1);
    ok(akin_storage_thumb(s, num_of(fresh, "2999"), &got, &size, &error));
    akin_free(got);
    assert_int_equal(
        akin_storage_thumb(s, num_of(fresh, "2999") + 1, &got, &size, NULL),
        AKIN_NOT_FOUND);
    akin_free(puts);
    akin_free(results);
    akin_free(items);
    akin_free(ids);
}

/* The snapshot's thumbnails cannot be read: it was a success, and what it took
 * the place of was dropped with thumbnails that nothing can make again. */
static void test_an_import_without_its_thumbnails_says_so(void **state)
{
    (void)state;
    static const char junk[9000] = "not a database";
    char copy[200], path[300];
    akin_collection collection;
    akin_write_result result = {0};
    akin_write op = {.kind = AKIN_WRITE_IMPORT, .dir = copy};

    write_one(
        s, put_op(c, &(akin_item_data){.id = text("a"), .thumb = text("T")}));
    forged_copy("copy", "SELECT 1", copy);
    snprintf(path, sizeof path, "%s/thumbs.db", copy);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(junk, 1, sizeof junk, file), sizeof junk);
    assert_int_equal(fclose(file), 0);
    ok(akin_storage_import_check(copy, false, &error));
    ok(akin_storage_write(s, &op, 1, &result, &error));
    assert_int_equal(result.status, AKIN_BAD_DATA);
    assert_non_null(strstr(result.error.message, "thumbnails"));
    ok(akin_storage_collection_by_num(s, (uint32_t)result.num, &collection,
                                      &error));
    assert_int_equal(collection.items, 1);
    akin_collection_clear(&collection);

    assert_int_equal(remove(path),
                     0); /* made without: there is nothing to lose */
    import(copy);
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
        T(test_gaps_between_numbers_are_closed),
        T(test_a_failed_import_leaves_no_thumbnails),
        T(test_an_import_without_its_thumbnails_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
