/* Check finds damage and only damage; a backup is a whole copy taken while
 * writes go on. */
#include "helpers.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>

static char *dir;
static akin_storage *s;
static uint32_t c;

static void put(int i)
{
    uint16_t v[DIM];
    char id[24];
    uint8_t hash[AKIN_HASH_BYTES] = {(uint8_t)i, 1};
    make_vector((uint64_t)i + 1, DIM, v);
    snprintf(id, sizeof id, "item-%d", i);
    akin_item_data in = {.id = text(id),
                         .attributes = text("{\"tags\":[\"a\",2]}"),
                         .caption = text("some words"),
                         .content_hash = hash,
                         .thumb = text("thumbnail"),
                         .vectors = {{v, DIM, 1, MODEL_A}}};
    write_one(s, put_op(c, &in));
}

static int setup(void **state)
{
    (void)state;
    dir = temp_dir();
    s = open_dir(dir);
    c = make_collection(s, "default");
    write_one(s, (akin_write){.kind = AKIN_WRITE_FIELD,
                              .collection = c,
                              .name = text("tags"),
                              .type = AKIN_FIELD_TAGS});
    for (int i = 0; i < 20; i++)
        put(i);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    akin_storage_close(s);
    remove_dir(dir);
    return 0;
}

static bool keep(void *user, const char *finding)
{
    strncat(user, finding, 900);
    strcat(user, "\n");
    return strlen(user) < 1000;
}

static void tamper(const char *file, const char *sql)
{
    char path[200];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/%s", dir, file);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static uint64_t check(char *out)
{
    uint64_t findings;
    out[0] = 0;
    ok(akin_storage_check(s, keep, out, &findings, &error));
    return findings;
}

static void test_every_kind_of_damage_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *damage, *finding;
    } cases[] = {
        {"UPDATE items SET seq = 99999 WHERE num = 3", "item 3: change 99999"},
        {"UPDATE items SET attributes = '{' WHERE num = 3",
         "not a JSON object"},
        {"UPDATE items SET attributes = '[]' WHERE num = 3",
         "not a JSON object"},
        {"UPDATE items SET content_hash = x'00' WHERE num = 3", "hash"},
        {"UPDATE vectors SET vector = x'0000' WHERE (key & 255) = 3",
         "2 bytes, expected 16"},
        {"UPDATE vectors SET vector = zeroblob(16) WHERE (key & 255) = 3",
         "length 0.0000, expected 1"},
        {"UPDATE vectors SET space = 7 WHERE (key & 255) = 3", "no such space"},
        {"UPDATE vectors SET seq = 99999 WHERE (key & 255) = 3",
         "change 99999"},
        {"DELETE FROM vectors WHERE (key & 255) = 3", "19 vectors, counted"},
        {"DELETE FROM items WHERE num = 3", "no such item"},
        {"UPDATE collections SET items = 5", "20 items, counted as 5"},
        {"INSERT INTO removals VALUES(1, 99999, 1)", "removal of item 1"},
        {"INSERT INTO tags VALUES(1, 'x', 777)", "tag of item 777"},
        {"INSERT INTO job_errors VALUES(5, 0, 'x', 'y')", "missing row"},
        {"INSERT INTO captions_1(rowid, caption) VALUES(555, 'x')",
         "caption 555"},
        {"UPDATE captions_1_content SET c0 = 'other words' WHERE id = 3",
         "full text index"},
        {"UPDATE spaces SET dim = 9", "16 bytes, expected 18"},
    };
    char out[2000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (check(out) != 0) fail_msg("before case %zu: %s", i, out);
        tamper("akin.db", cases[i].damage);
        if (check(out) == 0 || !strstr(out, cases[i].finding))
            fail_msg("%s: expected %s, got %s", cases[i].damage,
                     cases[i].finding, out);
        teardown(NULL);
        setup(NULL);
    }
}

static void test_orphan_thumbnails_are_swept(void **state)
{
    (void)state;
    char out[2000];
    uint8_t *thumb;
    size_t size;
    tamper("thumbs.db", "INSERT INTO thumbs VALUES(12345, 'x')");
    ok(akin_storage_thumb(s, 12345, &thumb, &size, &error));
    akin_free(thumb);
    assert_int_equal(check(out), 0);
    assert_int_equal(akin_storage_thumb(s, 12345, &thumb, &size, &error),
                     AKIN_NOT_FOUND);
    ok(akin_storage_thumb(s, 7, &thumb, &size, &error));
    akin_free(thumb);
}

static void test_a_damaged_page_is_found(void **state)
{
    (void)state;
    char out[2000], path[200];
    akin_storage_close(s);
    snprintf(path, sizeof path, "%s/akin.db", dir);
    FILE *f = fopen(path, "r+b");
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    for (long page = 8192 * 4; page < size; page += 8192 * 3) {
        fseek(f, page + 1000, SEEK_SET);
        for (int i = 0; i < 6000; i++)
            fputc(0xa5, f);
    }
    fclose(f);
    s = NULL;
    akin_storage_options o = {.dir = dir};
    akin_status rc = akin_storage_open(&o, &s, &error);
    if (rc) { /* found even sooner */
        assert_int_equal(rc, AKIN_CORRUPT);
        return;
    }
    uint64_t findings = 0;
    out[0] = 0;
    rc = akin_storage_check(s, keep, out, &findings, &error);
    assert_true(rc == AKIN_CORRUPT || findings > 0);
}

/* ---- backup -------------------------------------------------------------- */

static atomic_bool stop;

static atomic_int written;

static void *keep_writing(void *arg)
{
    while (!stop)
        put(100 + written++);
    return arg;
}

typedef struct {
    uint64_t calls, done, total, cancel_at;
} progress;

static bool see(void *user, uint64_t done, uint64_t total)
{
    progress *p = user;
    p->calls++;
    assert_true(done >= p->done && done <= total);
    p->done = done;
    p->total = total;
    return p->calls != p->cancel_at;
}

static void test_backup_while_writing(void **state)
{
    (void)state;
    char copy[200], path[300], out[2000];
    struct stat st;
    progress p = {0};
    pthread_t thread;
    snprintf(copy, sizeof copy, "%s/copy", dir);
    stop = false;
    written = 0;
    assert_int_equal(pthread_create(&thread, NULL, keep_writing, NULL), 0);
    while (!written)
        usleep(1000);
    ok(akin_storage_backup(s, copy, see, &p, &error));
    stop = true;
    pthread_join(thread, NULL);
    assert_true(p.calls >= 1 && p.done == p.total);
    assert_int_equal(akin_storage_backup(s, copy, NULL, NULL, &error),
                     AKIN_EXISTS);
    snprintf(path, sizeof path, "%s/akin.db.partial", copy);
    assert_int_equal(stat(path, &st), -1);

    akin_storage *whole = s;
    s = open_dir(copy);
    assert_int_equal(check(out), 0);
    akin_storage_info info;
    ok(akin_storage_stat(s, &info, &error));
    assert_true(info.items >= 20 && info.items <= 20u + (unsigned)written + 1);
    uint8_t *thumb;
    size_t size;
    ok(akin_storage_thumb(s, 7, &thumb, &size, &error));
    akin_free(thumb);
    put(5000); /* and it can be written */
    akin_storage_close(s);
    s = whole;
}

static void test_a_cancelled_backup_leaves_nothing(void **state)
{
    (void)state;
    char copy[200], path[300];
    static const char *const names[] = {"akin.db", "thumbs.db",
                                        "akin.db.partial", "thumbs.db.partial"};
    struct stat st;
    snprintf(copy, sizeof copy, "%s/copy", dir);
    for (uint64_t at = 1; at <= 2; at++) {
        progress p = {.cancel_at = at};
        assert_int_equal(akin_storage_backup(s, copy, see, &p, &error),
                         AKIN_CANCELLED);
        for (int i = 0; i < 4; i++) {
            snprintf(path, sizeof path, "%s/%s", copy, names[i]);
            assert_int_equal(stat(path, &st), -1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_every_kind_of_damage_is_found),
        T(test_orphan_thumbnails_are_swept),
        T(test_a_damaged_page_is_found),
        T(test_backup_while_writing),
        T(test_a_cancelled_backup_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
