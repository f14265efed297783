/* Snapshots: one is a data directory in a tar, whole and of one moment, of the
 * store or of one collection; names cannot lead anywhere else. */
#include "harness.h"

#include "akin_storage.h"

#include <pthread.h>
#include <sqlite3.h> /* to forge one */
#include <stdatomic.h>
#include <sys/stat.h>

static char *dir;
static akin_engine *engine;

static int setup(void **state)
{
    (void)state;
    dir = scratch_make();
    engine = open_engine(dir, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
    return 0;
}

static void make(const char *name)
{
    static const akin_field fields[] = {{"n", AKIN_ATTRIBUTE_NUMBER},
                                        {"tags", AKIN_ATTRIBUTE_TAGS}};
    akin_collection_options o = {.dim = 3, .fields = fields, .nfields = 2};
    must(akin_engine_create(engine, name, &o, err));
}

static void put(const char *name, int first, int n)
{
    akin_item_input items[100];
    akin_put_result results[100];
    static char ids[100][16], json[100][64];
    static float vectors[100][3];

    assert_true(n <= 100);
    memset(items, 0, sizeof items);
    for (int i = 0; i < n; i++) {
        int k = first + i;
        snprintf(ids[i], sizeof ids[i], "%d", k);
        snprintf(json[i], sizeof json[i], "{\"n\":%d,\"tags\":[\"t%d\"]}", k,
                 k % 3);
        vectors[i][0] = 1;
        vectors[i][1] = (float)k;
        items[i] = (akin_item_input){.id = akin_span_of(ids[i]),
                                     .vector = vectors[i],
                                     .dim = 3,
                                     .attributes = akin_span_of(json[i])};
    }
    must(akin_engine_put(engine, name, items, (size_t)n, NULL, results, err));
    for (int i = 0; i < n; i++)
        assert_int_equal(results[i].status, AKIN_OK);
}

static uint64_t count(akin_engine *e, const char *name, const char *filter)
{
    uint64_t n = 0;
    must(akin_engine_count(e, name, (akin_filter){akin_span_of(filter), true},
                           &n, err));
    return n;
}

/* Unpacks it with tar into a folder, for scratch_remove and akin_free. */
static char *unpack(const char *collection, const char *name)
{
    char *into = scratch_make();
    char *command = akin_format("tar -xf '%s/snapshots/%s%s/%s' -C '%s'", dir,
                                collection ? "collections/" : "",
                                collection ? collection : "", name, into);
    assert_int_equal(system(command), 0);
    akin_free(command);
    return into;
}

static void clean(akin_engine *e)
{
    akin_check_report report = {0};
    must(akin_engine_check(e, NULL, false, NULL, NULL, &report, err));
    if (report.problems) fail_msg("%s", report.messages[0]);
    akin_check_report_clear(&report);
}

static void a_snapshot_is_a_data_directory(void **state)
{
    (void)state;
    akin_snapshot_info made, listed[1], *list;
    akin_collection_info info;
    size_t n;

    make("shop");
    make("other");
    put("other", 500, 100);
    put("shop", 0, 90);
    for (int whole = 0; whole < 2; whole++) {
        const char *of = whole ? NULL : "shop";
        must(akin_engine_snapshot_create(engine, of, NULL, NULL, &made, err));
        must(akin_engine_snapshots(engine, of, &list, &n, err));
        assert_int_equal(n, 1);
        memcpy(listed, list, sizeof listed);
        akin_free(list);
        assert_string_equal(listed->name, made.name);
        assert_int_equal(strlen(listed->sha256), 64);
        assert_int_equal(listed->size, made.size);

        char *into = unpack(of, made.name);
        akin_engine *copy = open_engine(into, NULL);
        clean(copy);
        must(akin_engine_info(copy, "shop", &info, err));
        assert_int_equal(info.items, 90);
        assert_int_equal(info.nfields, 2);
        assert_int_equal(count(copy, "shop", ".n < 10"), 10);
        assert_int_equal(count(copy, "shop", "\"t1\" in .tags"), 30);
        akin_status rc = akin_engine_info(copy, "other", &info, NULL);
        assert_int_equal(rc, whole ? AKIN_OK : AKIN_NOT_FOUND);
        float v[3] = {1, 7, 0};
        akin_query_term term = {
            .kind = AKIN_TERM_VECTOR, .weight = 1, .vector = v, .dim = 3};
        akin_query query = {.terms = &term, .nterms = 1, .k = 1};
        akin_results results = {0};
        must(akin_engine_search(copy, "shop", &query, &results, err));
        assert_string_equal(results.matches[0].id, "7");
        akin_results_clear(&results);
        akin_engine_close(copy);
        scratch_remove(into);
        akin_free(into);
        must(akin_engine_snapshot_delete(engine, of, made.name, err));
        assert_int_equal(
            akin_engine_snapshot_delete(engine, of, made.name, NULL),
            AKIN_NOT_FOUND);
    }
}

static bool refuse(void *user, const akin_progress *progress)
{
    (void)user, (void)progress;
    return false;
}

/* Who reads only can write one elsewhere, while another process writes. */
static void one_is_written_anywhere_and_restored(void **state)
{
    (void)state;
    akin_snapshot_info made;
    akin_collection_info info;
    akin_restored restored = {0};
    char *into = scratch_make(), *path = akin_format("%s/x", into);
    char *to = akin_format("%s/to", into), name[256];
    akin_engine_options o = {.data_dir = dir, .read_only = true};
    akin_engine *reader;

    make("shop");
    put("shop", 0, 90);
    must(akin_engine_open(&o, &reader, err));
    put("shop", 90, 10);
    must(akin_engine_snapshot_name(reader, "shop", into, name, err));
    assert_true(akin_snapshot_name_ok(name));
    assert_int_equal(strncmp(name, "shop-20", 7), 0);
    assert_int_equal(
        akin_engine_snapshot_create(reader, NULL, NULL, NULL, &made, NULL),
        AKIN_DENIED);
    must(
        akin_engine_snapshot_write(reader, NULL, path, NULL, NULL, &made, err));
    assert_int_equal(strlen(made.sha256), 64);
    must(akin_snapshot_restore(path, to, false, NULL, NULL, &restored, err));
    assert_int_equal(restored.items, 100);
    assert_int_equal(restored.collections, 1);
    assert_false(restored.compared);
    assert_null(restored.kept);
    akin_engine *copy = open_engine(to, NULL);
    assert_int_equal(
        akin_snapshot_restore(path, to, false, NULL, NULL, &restored, NULL),
        AKIN_EXISTS);
    assert_int_equal(
        akin_snapshot_restore(path, to, true, NULL, NULL, &restored, NULL),
        AKIN_BUSY);
    clean(copy);
    must(akin_engine_info(copy, "shop", &info, err));
    assert_int_equal(info.items, 100);
    akin_engine_close(copy);
    must(akin_snapshot_restore(path, to, true, NULL, NULL, &restored, err));
    assert_non_null(restored.kept);
    akin_free(restored.kept);
    assert_int_equal(
        akin_snapshot_restore(path, to, true, refuse, NULL, &restored, NULL),
        AKIN_CANCELLED);
    copy = open_engine(to, NULL);
    clean(copy);
    akin_engine_close(copy);
    akin_engine_close(reader);
    scratch_remove(into);
    akin_free(into);
    akin_free(path);
    akin_free(to);
}

/* The database is whole for SQLite, but not one of ours. */
static void a_forged_one_is_not_restored(void **state)
{
    (void)state;
    static const char *const sql[] = {
        "CREATE VIEW v AS SELECT 1",
        "DROP VIEW v; CREATE VIRTUAL TABLE words USING fts5(x)",
        "DROP TABLE words; UPDATE spaces SET kind = 7"};
    akin_restored restored;
    akin_snapshot_info made;
    sqlite3 *db;
    char *into = scratch_make(), *path = akin_format("%s/x", into);
    char *to = akin_format("%s/to", into);
    char *database = akin_format("%s/akin.db", dir);

    make("shop");
    make("other");
    put("shop", 0, 9);
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        assert_int_equal(sqlite3_open(database, &db), SQLITE_OK);
        sqlite3_busy_timeout(db, 60000);
        if (sqlite3_exec(db, sql[i], NULL, NULL, NULL))
            fail_msg("%s: %s", sql[i], sqlite3_errmsg(db));
        sqlite3_close(db);
        must(akin_engine_snapshot_write(engine, NULL, path, NULL, NULL, &made,
                                        err));
        assert_int_equal(
            akin_snapshot_restore(path, to, false, NULL, NULL, &restored, NULL),
            AKIN_BAD_DATA);
        assert_int_not_equal(access(to, F_OK), 0);
    }
    scratch_remove(into);
    akin_free(into);
    akin_free(path);
    akin_free(to);
    akin_free(database);
}

/* DIR.restoring may be anybody's. */
static void a_restore_removes_only_its_own(void **state)
{
    (void)state;
    akin_restored restored;
    akin_snapshot_info made;
    struct stat st;
    char *into = scratch_make(), *path = akin_format("%s/x", into);
    char *to = akin_format("%s/to", into);
    char *place = akin_format("%s/to.restoring", into);
    char *ours = akin_format("%s/akin.db-wal", place);
    char *theirs = akin_format("%s/akin.db.mine", place);

    make("shop");
    put("shop", 0, 9);
    must(
        akin_engine_snapshot_write(engine, NULL, path, NULL, NULL, &made, err));
    must(akin_dir_make(place, err));
    must(akin_dir_make(to, err));
    assert_int_equal(chmod(to, 0710), 0);
    write_file(ours, "x", 1);
    write_file(theirs, "x", 1);
    assert_int_equal(
        akin_snapshot_restore(path, to, false, NULL, NULL, &restored, NULL),
        AKIN_EXISTS);
    assert_int_equal(access(ours, F_OK) | access(theirs, F_OK), 0);
    assert_int_equal(unlink(theirs), 0);
    assert_int_equal(
        akin_snapshot_restore(into, to, false, NULL, NULL, &restored, NULL),
        AKIN_INVALID); /* no file: nothing was touched */
    assert_int_equal(access(ours, F_OK), 0);
    must(akin_snapshot_restore(path, to, false, NULL, NULL, &restored, err));
    assert_int_equal(restored.items, 9);
    assert_int_not_equal(access(place, F_OK), 0);
    assert_int_equal(stat(to, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0710);
    scratch_remove(into);
    akin_free(into);
    akin_free(path);
    akin_free(to);
    akin_free(place);
    akin_free(ours);
    akin_free(theirs);
}

/* Its sender, or this process, died. */
static void a_half_upload_goes_at_the_next_open(void **state)
{
    (void)state;
    char *upload = akin_format("%s/snapshots/.upload", dir);
    char *making = akin_format("%s/snapshots/.making", dir);
    char *packed = akin_format("%s/packed", making);

    must(akin_engine_snapshot_upload(engine, 0, akin_span_of("half"), err));
    must(akin_dir_make(making, err));
    write_file(packed, "half", 4);
    assert_int_equal(access(upload, F_OK), 0);
    akin_engine_close(engine);
    engine = open_engine(dir, NULL);
    assert_int_not_equal(access(upload, F_OK), 0);
    assert_int_not_equal(access(making, F_OK), 0);
    akin_free(upload);
    akin_free(making);
    akin_free(packed);
}

static void pictures_captions_and_thumbnails_come_along(void **state)
{
    (void)state;
    static uint8_t picture[20000];
    akin_snapshot_info made;
    akin_put_result result;
    akin_item_info item = {0};
    akin_buf thumb = {0}, same = {0};

    if (access(STARTER "/model.safetensors", R_OK)) skip();
    akin_engine_close(engine);
    engine = open_engine(dir, STARTER);
    must(akin_engine_create(engine, "caf\xc3\xa9 ..", NULL, err));
    must(akin_engine_create(engine, "pics", NULL, err));
    for (unsigned i = 0; i < 4; i++) {
        char id[8];
        snprintf(id, sizeof id, "p%u", i);
        akin_item_input in = {.id = akin_span_of(id),
                              .caption = akin_span_of("a red shoe")};
        in.picture =
            (akin_span){picture, make_picture(i, picture, sizeof picture)};
        must(akin_engine_put(engine, i < 2 ? "pics" : "caf\xc3\xa9 ..", &in, 1,
                             NULL, &result, err));
        assert_int_equal(result.status, AKIN_OK);
    }
    must(akin_engine_thumbnail(engine, "caf\xc3\xa9 ..", akin_span_of("p3"),
                               &thumb, err));
    must(akin_engine_snapshot_create(engine, "caf\xc3\xa9 ..", NULL, NULL,
                                     &made, err));
    char *into = unpack("caf%C3%A9%20..", made.name);
    akin_engine *copy = open_engine(into, STARTER);
    clean(copy);
    must(akin_engine_get(copy, "caf\xc3\xa9 ..", akin_span_of("p3"), &item,
                         err));
    assert_string_equal(item.caption, "a red shoe");
    assert_true(item.has_image && item.has_caption);
    must(akin_engine_thumbnail(copy, "caf\xc3\xa9 ..", akin_span_of("p3"),
                               &same, err));
    assert_int_equal(same.size, thumb.size);
    assert_memory_equal(same.data, thumb.data, thumb.size);
    akin_query_term term = {
        .kind = AKIN_TERM_TEXT, .weight = 1, .data = akin_span_of("red shoe")};
    akin_query query = {.terms = &term, .nterms = 1, .k = 5};
    akin_results results = {0};
    must(akin_engine_search(copy, "caf\xc3\xa9 ..", &query, &results, err));
    assert_int_equal(results.n, 2);
    akin_results_clear(&results);
    akin_item_info_clear(&item);
    akin_buf_clear(&thumb);
    akin_buf_clear(&same);
    akin_engine_close(copy);
    scratch_remove(into);
    akin_free(into);
}

static void recover(const char *collection, const char *name)
{
    must(akin_engine_snapshot_recover(engine, collection, name, NULL, true,
                                      NULL, NULL, err));
}

static void expect_picture(const char *collection, const char *id,
                           const akin_buf *thumb)
{
    akin_item_info item = {0};
    akin_buf same = {0};

    must(akin_engine_get(engine, collection, akin_span_of(id), &item, err));
    assert_string_equal(item.caption, "a red shoe");
    assert_true(item.has_image && item.has_caption && item.hash[0]);
    must(akin_engine_thumbnail(engine, collection, akin_span_of(id), &same,
                               err));
    assert_int_equal(same.size, thumb->size);
    assert_memory_equal(same.data, thumb->data, thumb->size);
    akin_item_info_clear(&item);
    akin_buf_clear(&same);
}

/* Numbers of items, spaces and fields are others than in the snapshot. */
static void what_is_recovered_is_what_was(void **state)
{
    (void)state;
    static uint8_t picture[20000];
    static const akin_field price = {"price", AKIN_ATTRIBUTE_NUMBER};
    akin_snapshot_info made;
    akin_put_result result;
    akin_buf thumb = {0};
    akin_dupe_page before = {0}, after = {0};
    akin_dupe_query all = {.level = AKIN_LEVEL_EXACT};

    if (access(STARTER "/model.safetensors", R_OK)) skip();
    akin_engine_close(engine);
    engine = open_engine(dir, STARTER);
    akin_collection_options o = {.fields = &price, .nfields = 1};
    must(akin_engine_create(engine, "pics", &o, err));
    for (unsigned i = 0; i < 6; i++) {
        char id[8];
        snprintf(id, sizeof id, "p%u", i);
        akin_item_input in = {.id = akin_span_of(id),
                              .caption = akin_span_of("a red shoe"),
                              .attributes = akin_span_of("{\"price\":7}")};
        in.picture =
            (akin_span){picture, make_picture(i / 2, picture, sizeof picture)};
        must(akin_engine_put(engine, "pics", &in, 1, NULL, &result, err));
        assert_int_equal(result.status, AKIN_OK);
    }
    must(
        akin_engine_thumbnail(engine, "pics", akin_span_of("p3"), &thumb, err));
    must(akin_engine_dupes(engine, "pics", &all, &before, err));
    assert_int_equal(before.n, 3);
    must(akin_engine_snapshot_create(engine, "pics", NULL, NULL, &made, err));
    akin_span gone[] = {akin_span_of("p3"), akin_span_of("p5")};
    size_t removed;
    must(akin_engine_remove(engine, "pics", gone, 2, &removed, err));
    for (int round = 0; round < 3; round++) {
        recover("pics", made.name);
        expect_picture("pics", "p3", &thumb);
        assert_int_equal(count(engine, "pics", ".price == 7"), 6);
        must(akin_engine_dupes(engine, "pics", &all, &after, err));
        assert_int_equal(after.n, 3);
        assert_int_equal(after.pending, 0);
        akin_dupe_page_clear(&after);
        clean(engine);
    }
    akin_engine_close(engine);
    engine = open_engine(dir, STARTER);
    expect_picture("pics", "p3", &thumb);
    clean(engine);
    akin_query_term term = {
        .kind = AKIN_TERM_TEXT, .weight = 1, .data = akin_span_of("red shoe")};
    akin_query query = {.terms = &term, .nterms = 1, .k = 10};
    akin_results results = {0};
    must(akin_engine_search(engine, "pics", &query, &results, err));
    assert_int_equal(results.n, 6);
    akin_results_clear(&results);
    akin_dupe_page_clear(&before);
    akin_buf_clear(&thumb);
}

/* Whatever the store has of them. */
static int64_t collections(void)
{
    char *database = akin_format("%s/akin.db", dir);
    sqlite3 *db;
    sqlite3_stmt *stmt;

    assert_int_equal(sqlite3_open(database, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT count(*) FROM collections"
                                        " WHERE name NOT NULL",
                                        -1, &stmt, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    akin_free(database);
    return n;
}

/* Its rows came, and those it took the place of went with their thumbnails. */
static void one_with_unreadable_thumbnails_replaces_nothing(void **state)
{
    (void)state;
    static const uint8_t junk[9000] = "not a database";
    akin_snapshot_info made;
    akin_error error;

    make("shop");
    put("shop", 0, 50);
    must(akin_engine_snapshot_create(engine, "shop", NULL, NULL, &made, err));
    put("shop", 50, 10);
    char *into = unpack("shop", made.name);
    char *thumbs = akin_format("%s/thumbs.db", into);
    char *path =
        akin_format("%s/snapshots/collections/shop/%s", dir, made.name);
    char *pack = akin_format(
        "tar --format=ustar -cf '%s' -C '%s' akin.db thumbs.db", path, into);
    char *beside = akin_format("%s.sha256", path);
    write_file(thumbs, junk, sizeof junk);
    assert_int_equal(system(pack), 0);
    assert_int_equal(unlink(beside), 0);
    assert_int_equal(akin_engine_snapshot_recover(engine, "shop", made.name,
                                                  NULL, true, NULL, NULL,
                                                  &error),
                     AKIN_BAD_DATA);
    assert_non_null(strstr(error.message, "thumbnails"));
    assert_int_equal(count(engine, "shop", ""), 60);
    assert_int_equal(collections(), 1);
    clean(engine);
    scratch_remove(into);
    akin_free(into);
    akin_free(thumbs);
    akin_free(path);
    akin_free(pack);
    akin_free(beside);
}

static atomic_bool stop;
static atomic_int written;

static void *keep_asking(void *arg)
{
    uint64_t *wrong = arg;
    while (!atomic_load(&stop)) {
        uint64_t n = 0;
        if (akin_engine_count(engine, "shop", (akin_filter){.text = {"", 0}},
                              &n, NULL) ||
            (n != 50 && n != 60))
            ++*wrong;
        atomic_fetch_add(&written, 1);
    }
    return NULL;
}

static void readers_see_the_old_or_the_new(void **state)
{
    (void)state;
    akin_snapshot_info fifty, sixty;
    uint64_t wrong = 0;
    pthread_t thread;

    make("shop");
    put("shop", 0, 50);
    must(akin_engine_snapshot_create(engine, "shop", NULL, NULL, &fifty, err));
    put("shop", 50, 10);
    must(akin_engine_snapshot_create(engine, "shop", NULL, NULL, &sixty, err));
    atomic_store(&stop, false);
    atomic_store(&written, 0);
    assert_int_equal(pthread_create(&thread, NULL, keep_asking, &wrong), 0);
    for (int i = 0; i < 10; i++) {
        int before = atomic_load(&written);
        recover("shop", i % 2 ? sixty.name : fifty.name);
        while (atomic_load(&written) < before + 5)
            usleep(100);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(wrong, 0);
    assert_int_equal(count(engine, "shop", ""), 60);
    put("shop", 60, 10);
    assert_int_equal(count(engine, "shop", ""), 70);
    clean(engine);
}

/* The collection that is made while the snapshot is read. */
static bool make_when_it_imports(void *user, const akin_progress *p)
{
    if (!strcmp(p->phase, "importing")) make(user);
    return true;
}

static void a_collection_is_replaced_only_when_told(void **state)
{
    (void)state;
    akin_snapshot_info made;
    make("shop");
    put("shop", 0, 50);
    must(akin_engine_snapshot_create(engine, "shop", NULL, NULL, &made, err));
    put("shop", 50, 10);
    assert_int_equal(akin_engine_snapshot_recover(engine, "shop", made.name,
                                                  NULL, false, NULL, NULL,
                                                  NULL),
                     AKIN_EXISTS);
    assert_int_equal(count(engine, "shop", ""), 60);
    char *file =
        akin_format("file://%s/snapshots/collections/shop/%s", dir, made.name);
    char late[] = "late";
    assert_int_equal(akin_engine_snapshot_recover(engine, late, file, NULL,
                                                  false, make_when_it_imports,
                                                  late, NULL),
                     AKIN_EXISTS);
    assert_int_equal(count(engine, late, ""), 0);
    put(late, 0, 3);
    assert_int_equal(count(engine, late, ""), 3);
    must(akin_engine_snapshot_recover(engine, "free", file, NULL, false, NULL,
                                      NULL, err));
    assert_int_equal(count(engine, "free", ""), 50);
    clean(engine);
    akin_free(file);
}

static bool count_one(void *user, const akin_collection *c)
{
    (void)c;
    ++*(int *)user;
    return true;
}

static int stored(akin_storage *s)
{
    int n = 0;
    must(akin_storage_collections(s, count_one, &n, err));
    return n;
}

/* The process died between the copy and its name. */
static void a_half_recovered_collection_goes_at_the_next_open(void **state)
{
    (void)state;
    akin_storage_options o = {.dir = dir};
    akin_collection_info *list;
    akin_collection shop = {0};
    akin_storage *s = NULL;
    char *copy = akin_format("%s/copy", dir);
    size_t n;

    make("shop");
    put("shop", 0, 50);
    akin_engine_close(engine);
    must(akin_storage_open(&o, &s, err));
    must(akin_storage_collection(s, akin_span_of("shop"), &shop, err));
    must(akin_storage_export(s, shop.collection, copy, NULL, NULL, err));
    must(akin_storage_import_check(copy, false, err));
    akin_write op = {.kind = AKIN_WRITE_IMPORT, .dir = copy};
    must(akin_storage_write(s, &op, 1, NULL, err));
    assert_int_equal(stored(s), 2);
    akin_collection_clear(&shop);
    akin_storage_close(s);
    engine = open_engine(dir, NULL);
    must(akin_engine_list(engine, &list, &n, err));
    assert_int_equal(n, 1);
    assert_string_equal(list->name, "shop");
    akin_free(list);
    assert_int_equal(count(engine, "shop", ""), 50);
    akin_engine_close(engine);
    must(akin_storage_open(&o, &s, err));
    assert_int_equal(stored(s), 1);
    akin_storage_close(s);
    engine = open_engine(dir, NULL);
    akin_free(copy);
}

static void *keep_writing(void *arg)
{
    while (!atomic_load(&stop)) {
        put("shop", atomic_load(&written), 10);
        atomic_fetch_add(&written, 10);
    }
    return arg;
}

/* Puts of ten are one transaction: none may be there in part. */
static void it_is_of_one_moment(void **state)
{
    (void)state;
    akin_snapshot_info made;
    akin_collection_info info;
    pthread_t thread;

    make("shop");
    atomic_store(&stop, false);
    atomic_store(&written, 0);
    assert_int_equal(pthread_create(&thread, NULL, keep_writing, NULL), 0);
    while (!atomic_load(&written))
        usleep(1000);
    for (int whole = 0; whole < 2; whole++) {
        const char *of = whole ? NULL : "shop";
        must(akin_engine_snapshot_create(engine, of, NULL, NULL, &made, err));
        char *into = unpack(of, made.name);
        akin_engine *copy = open_engine(into, NULL);
        clean(copy);
        must(akin_engine_info(copy, "shop", &info, err));
        assert_true(info.items >= 10 && info.items % 10 == 0);
        akin_engine_close(copy);
        scratch_remove(into);
        akin_free(into);
    }
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}

static void a_cancelled_snapshot_leaves_nothing(void **state)
{
    (void)state;
    akin_snapshot_info made, *list;
    size_t n;
    char *path = akin_format("%s/snapshots/.making", dir);

    make("shop");
    put("shop", 0, 50);
    for (int whole = 0; whole < 2; whole++) {
        const char *of = whole ? NULL : "shop";
        assert_int_equal(
            akin_engine_snapshot_create(engine, of, refuse, NULL, &made, NULL),
            AKIN_CANCELLED);
        must(akin_engine_snapshots(engine, of, &list, &n, err));
        assert_int_equal(n, 0);
        akin_free(list);
        assert_int_equal(access(path, F_OK), -1);
    }
    akin_free(path);
}

static void names_lead_nowhere_else(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      ".snapshot",
                                      "..",
                                      "../akin.db",
                                      "../../akin.db",
                                      "/etc/passwd",
                                      "a/b.snapshot",
                                      "..%2f.snapshot/x",
                                      "a\nb.snapshot",
                                      "a.snapshot/../../akin.db",
                                      ".hidden.snapshot",
                                      "akin.db",
                                      "x.snapshot.sha256",
                                      "\xff.snapshot"};
    akin_snapshot_info info;
    akin_collection_info collection;
    int fd;

    make("shop");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(akin_snapshot_name_ok(bad[i]));
        for (int whole = 0; whole < 2; whole++) {
            const char *of = whole ? NULL : "shop";
            assert_int_equal(
                akin_engine_snapshot_open(engine, of, bad[i], &info, &fd, NULL),
                AKIN_NOT_FOUND);
            assert_int_equal(fd, -1);
            assert_int_equal(
                akin_engine_snapshot_delete(engine, of, bad[i], NULL),
                AKIN_NOT_FOUND);
        }
    }
    /* a link out of the folder is not followed */
    char *folder = akin_format("%s/snapshots", dir);
    char *link = akin_format("%s/snapshots/x.snapshot", dir);
    char *database = akin_format("%s/akin.db", dir);
    must(akin_dir_make(folder, err));
    assert_int_equal(symlink(database, link), 0);
    assert_int_equal(
        akin_engine_snapshot_open(engine, NULL, "x.snapshot", &info, &fd, NULL),
        AKIN_NOT_FOUND);
    must(akin_engine_info(engine, "shop", &collection, err));
    assert_int_equal(
        akin_engine_snapshot_create(engine, "none", NULL, NULL, &info, NULL),
        AKIN_NOT_FOUND);
    akin_free(folder);
    akin_free(link);
    akin_free(database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_snapshot_is_a_data_directory),
        T(one_is_written_anywhere_and_restored),
        T(a_forged_one_is_not_restored),
        T(a_restore_removes_only_its_own),
        T(a_half_upload_goes_at_the_next_open),
        T(pictures_captions_and_thumbnails_come_along),
        T(it_is_of_one_moment),
        T(what_is_recovered_is_what_was),
        T(a_collection_is_replaced_only_when_told),
        T(one_with_unreadable_thumbnails_replaces_nothing),
        T(readers_see_the_old_or_the_new),
        T(a_half_recovered_collection_goes_at_the_next_open),
        T(a_cancelled_snapshot_leaves_nothing),
        T(names_lead_nowhere_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
