/* The writer thread, the directory, jobs: group commit, locks, failures of
 * memory and disk, versions of the file. */
#include "helpers.h"

#include "internal.h"

#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char *dir;

static int setup(void **state)
{
    (void)state;
    dir = temp_dir();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_dir(dir);
    return 0;
}

/* ---- group commit -------------------------------------------------------- */

#define THREADS 16
#define EACH    40

typedef struct {
    akin_storage *s;
    uint32_t c;
    int thread;
} writing;

static void *write_many(void *arg)
{
    writing *w = arg;
    for (int i = 0; i < EACH; i++) {
        char id[32];
        uint16_t v[DIM];
        akin_write_result r;
        akin_error err;
        akin_item got;
        snprintf(id, sizeof id, "%d-%d", w->thread, i);
        make_vector((uint64_t)(w->thread * EACH + i + 1), DIM, v);
        akin_item_data in = {.id = text(id),
                             .caption = text(id),
                             .vectors = {{v, DIM, 1, MODEL_A}}};
        akin_write op = put_op(w->c, &in);
        if (akin_storage_write(w->s, &op, 1, &r, &err) || r.status) return w;
        /* Acknowledged is visible. */
        if (akin_storage_get(w->s, w->c, text(id), 3, &got, &err)) return w;
        bool same = got.num == r.num && got.vectors[0].data &&
                    !memcmp(got.vectors[0].data, v, sizeof v);
        akin_item_clear(&got);
        if (!same) return w;
    }
    return NULL;
}

static void test_concurrent_writes_share_transactions(void **state)
{
    (void)state;
    akin_storage *s = open_dir(dir);
    uint32_t c = make_collection(s, "default");
    pthread_t threads[THREADS];
    writing w[THREADS];
    akin_storage_info info;
    for (int i = 0; i < THREADS; i++) {
        w[i] = (writing){s, c, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &w[i]),
                         0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    ok(akin_storage_stat(s, &info, &error));
    assert_int_equal(info.items, THREADS * EACH);
    assert_int_equal(info.vectors, THREADS * EACH);
    assert_int_equal(info.calls, THREADS * EACH + 1);
    print_message("%llu calls in %llu transactions\n",
                  (unsigned long long)info.calls,
                  (unsigned long long)info.transactions);
    assert_true(info.transactions < info.calls);
    akin_storage_close(s);
}

/* ---- the directory ------------------------------------------------------- */

static void test_one_writer_process(void **state)
{
    (void)state;
    akin_storage *s = open_dir(dir), *second = NULL;
    akin_storage_options o = {.dir = dir};
    char pid[40];
    assert_int_equal(akin_storage_open(&o, &second, &error), AKIN_BUSY);
    assert_null(second);
    snprintf(pid, sizeof pid, "open in process %ld;", (long)getpid());
    assert_non_null(strstr(error.message, pid));
    assert_non_null(strstr(error.message, "--connect"));

    uint32_t c = make_collection(s, "default");
    akin_item_data in = {.id = text("x")};
    write_one(s, put_op(c, &in));
    o.read_only = true; /* may read beside it */
    ok(akin_storage_open(&o, &second, &error));
    ok(akin_storage_find(second, c, text("x"), NULL, NULL, &error));
    akin_write op = put_op(c, &in);
    assert_int_equal(akin_storage_write(second, &op, 1, NULL, &error),
                     AKIN_DENIED);
    akin_storage_close(second);
    akin_storage_close(s);
    o.read_only = false;
    ok(akin_storage_open(&o, &s, &error));
    akin_storage_close(s);
}

static void test_bad_directories(void **state)
{
    (void)state;
    akin_storage *s;
    char path[200];
    akin_storage_options o = {.dir = path};
    snprintf(path, sizeof path, "%s/none", dir);
    assert_int_equal(akin_storage_open(&o, &s, &error), AKIN_NOT_FOUND);
    o.create = true;
    o.read_only = true;
    assert_int_equal(akin_storage_open(&o, &s, &error), AKIN_NOT_FOUND);
    o.read_only = false;
    snprintf(path, sizeof path, "%s/a/b", dir);
    ok(akin_storage_open(&o, &s, &error));
    akin_storage_close(s);
    snprintf(path, sizeof path, "%s/a/b/akin.db", dir);
    assert_int_equal(akin_storage_open(&o, &s, &error), AKIN_INVALID);
    o.dir = "";
    assert_int_equal(akin_storage_open(&o, &s, &error), AKIN_INVALID);
    o.dir = dir; /* there, but without a file */
    o.create = false;
    assert_int_equal(akin_storage_open(&o, &s, &error), AKIN_NOT_FOUND);
}

/* Runs SQL on the file as another program would. */
static void tamper(const char *sql)
{
    char path[200];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/akin.db", dir);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 60000);
    int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
    if (rc) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void test_foreign_and_newer_files_are_refused(void **state)
{
    (void)state;
    akin_storage *s = NULL;
    akin_storage_options o = {.dir = dir, .create = true};
    tamper("CREATE TABLE other(x)");
    assert_int_equal(akin_storage_open(&o, &s, &error), AKIN_UNSUPPORTED);
    assert_non_null(strstr(error.message, "another program"));
    tamper("PRAGMA application_id = 12345");
    assert_int_equal(akin_storage_open(&o, &s, &error), AKIN_UNSUPPORTED);

    teardown(NULL);
    setup(NULL);
    o.dir = dir;
    akin_storage_close(open_dir(dir));
    tamper("PRAGMA user_version = 1000");
    assert_int_equal(akin_storage_open(&o, &s, &error), AKIN_UNSUPPORTED);
    assert_non_null(strstr(error.message, "newer akin"));
    assert_non_null(strstr(error.message, "1000"));

    char path[200];
    snprintf(path, sizeof path, "%s/akin.db", dir);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 5000; i++)
        fputs("this is not a database ", f);
    fclose(f);
    assert_int_equal(akin_storage_open(&o, &s, &error), AKIN_CORRUPT);
}

static void test_an_older_file_is_migrated_in_one_step(void **state)
{
    (void)state;
    static const char *const steps[] = {
        "CREATE TABLE a(x); INSERT INTO a VALUES(1), (2);",
        "ALTER TABLE a ADD COLUMN y; UPDATE a SET y = x * 10;",
        "CREATE TABLE b AS SELECT y FROM a; CREATE TABLE a(fails);"};
    akin__conn conn;
    char path[200];
    int64_t v;
    snprintf(path, sizeof path, "%s/old.db", dir);
    ok(akin__conn_open(path, false, false, 1 << 20, &conn, &error));
    ok(akin__migrate(&conn, steps, 1, path, false, &error));
    assert_int_equal(akin__migrate(&conn, steps, 2, path, true, &error),
                     AKIN_UNSUPPORTED); /* read only */
    ok(akin__migrate(&conn, steps, 2, path, false, &error));
    ok(akin__one(&conn, &v, NULL, &error, "SELECT sum(y) FROM a", ""));
    assert_int_equal(v, 30);
    /* A step that fails leaves the version before it, whole. */
    assert_true(akin__migrate(&conn, steps, 3, path, false, &error) != AKIN_OK);
    ok(akin__one(&conn, &v, NULL, &error, "PRAGMA user_version", ""));
    assert_int_equal(v, 2);
    ok(akin__one(&conn, &v, NULL, &error,
                 "SELECT count(*) FROM sqlite_schema WHERE name = 'b'", ""));
    assert_int_equal(v, 0);
    ok(akin__migrate(&conn, steps, 2, path, false, &error));
    assert_int_equal(akin__migrate(&conn, steps, 1, path, false, &error),
                     AKIN_UNSUPPORTED);
    akin__conn_close(&conn);
}

/* ---- failures ------------------------------------------------------------ */

static int64_t rows(akin_storage *s, const char *sql)
{
    akin__conn *conn;
    int64_t n;
    ok(akin__read_begin(s, &conn, &error));
    ok(akin__one(conn, &n, NULL, &error, sql, ""));
    akin__read_end(s, conn);
    return n;
}

static uint64_t items_of(akin_storage *s)
{
    akin_storage_info info;
    ok(akin_storage_stat(s, &info, &error));
    return info.items;
}

/* The writing thread looks for dropped things after opening, when nothing is
 * queued: on a busy machine after the first writes. Until then its connection is
 * in use and what it allocates counts. */
static akin_storage *open_and_settle(void)
{
    akin_storage *s = open_dir(dir);
    while (atomic_load(&s->write.sweep))
        sched_yield();
    return s;
}

static void test_a_full_disk_loses_nothing(void **state)
{
    (void)state;
    akin_storage *s = open_and_settle();
    uint32_t c = make_collection(s, "default");
    static char caption[60000];
    char id[16];
    memset(caption, 'x', sizeof caption - 1);
    akin_item_data in = {.caption = text(caption)};
    akin_write op = put_op(c, &in);
    int stored = 0;

    /* The writing thread is idle: nobody else uses its connection. */
    assert_int_equal(
        sqlite3_exec(s->write.conn.db, "PRAGMA max_page_count = 100", 0, 0, 0),
        SQLITE_OK);
    akin_status rc = AKIN_OK;
    while (!rc && stored < 1000) {
        akin_write_result r;
        snprintf(id, sizeof id, "i%d", stored);
        in.id = text(id);
        rc = akin_storage_write(s, &op, 1, &r, &error);
        if (rc) assert_int_equal(r.status, rc);
        stored += !rc;
    }
    assert_int_equal(rc, AKIN_IO);
    assert_non_null(strstr(error.message, "full"));
    assert_true(stored > 2 && stored < 100);
    assert_int_equal(items_of(s), stored);
    assert_int_equal(akin_storage_write(s, &op, 1, NULL, &error), AKIN_IO);
    sqlite3_exec(s->write.conn.db, "PRAGMA max_page_count = 1000000", 0, 0, 0);
    ok(akin_storage_write(s, &op, 1, NULL, &error));
    akin_storage_close(s);
    s = open_dir(dir);
    assert_int_equal(items_of(s), stored + 1);
    akin_storage_close(s);
}

static bool any_finding(void *user, const char *finding)
{
    (void)user;
    print_message("finding: %s\n", finding);
    return true;
}

static void test_no_memory_is_an_error_and_leaves_no_trace(void **state)
{
    (void)state;
    akin_storage *s = open_and_settle();
    uint32_t c = make_collection(s, "default");
    uint16_t v[DIM];
    akin_item got;
    uint64_t findings;
    int failures = 0;
    make_vector(1, DIM, v);
    write_one(s, (akin_write){.kind = AKIN_WRITE_FIELD,
                              .collection = c,
                              .name = text("t"),
                              .type = AKIN_FIELD_TAGS});
    for (uint64_t nth = 1; nth < 40; nth++) {
        char id[16];
        snprintf(id, sizeof id, "i%d", (int)nth % 3);
        char attributes[64];
        snprintf(attributes, sizeof attributes, "{\"t\":[\"\\n%d\"]}",
                 (int)nth);
        akin_item_data in = {.id = text(id),
                             .caption = text("words"),
                             .attributes = text(attributes),
                             .vectors = {{v, DIM, 1, MODEL_A}}};
        akin_write op = put_op(c, &in);
        akin_write_result r = {0};
        akin_alloc_fail_at(nth % 8 + 1);
        akin_status rc = akin_storage_write(s, &op, 1, &r, &error);
        if (!rc) rc = r.status;
        akin_alloc_fail_at(0);
        assert_true(rc == AKIN_OK || rc == AKIN_NOMEM);
        failures += rc != AKIN_OK;
        akin_alloc_fail_at(1);
        rc = akin_storage_get(s, c, text(id), 3, &got, &error);
        akin_alloc_fail_at(0);
        assert_true(rc == AKIN_NOMEM || rc == AKIN_NOT_FOUND);
    }
    assert_true(failures > 3);
    ok(akin_storage_check(s, any_finding, NULL, &findings, &error));
    assert_int_equal(findings, 0);
    akin_storage_close(s);
    akin_storage_options o = {.dir = dir};
    for (uint64_t nth = 1;; nth++) {
        akin_alloc_fail_at(nth);
        akin_status rc = akin_storage_open(&o, &s, &error);
        akin_alloc_fail_at(0);
        if (!rc) break;
        assert_int_equal(rc, AKIN_NOMEM);
        assert_null(s);
    }
    akin_storage_close(s);
}

static void test_an_op_that_fails_half_way_fails_alone(void **state)
{
    (void)state;
    akin_storage *s = open_and_settle();
    uint32_t c = make_collection(s, "default");
    akin_item_data a = {.id = text("a"), .attributes = text("{\"n\":1}")};
    akin_item_data b = {.id = text("b")}, d = {.id = text("d")};
    akin_write_result r[3];
    write_one(s, put_op(c, &a));
    tamper("UPDATE items SET attributes = '{'"); /* no index over that */
    akin_write ops[3] = {put_op(c, &b),
                         {.kind = AKIN_WRITE_FIELD,
                          .collection = c,
                          .name = text("n"),
                          .type = AKIN_FIELD_NUMBER},
                         put_op(c, &d)};
    ok(akin_storage_write(s, ops, 3, r, &error));
    assert_int_equal(r[0].status, AKIN_OK);
    assert_int_equal(r[0].outcome, AKIN_CREATED);
    assert_true(r[1].status != AKIN_OK && r[1].error.message[0]);
    assert_int_equal(r[2].status, AKIN_OK);
    assert_int_equal(r[2].outcome, AKIN_CREATED);
    assert_int_equal(items_of(s), 3);
    assert_int_equal(rows(s, "SELECT count(*) FROM fields"), 0);
    akin_storage_close(s);
}

/* ---- jobs ---------------------------------------------------------------- */

static bool see_job(void *user, const akin_job_info *job)
{
    char *out = user;
    sprintf(out + strlen(out), "%s/%s/%s/%s/%s/%d ", job->kind,
            akin_job_state_name(job->state), job->parameters, job->progress,
            job->message, (int)job->errors);
    return true;
}

static bool see_error(void *user, akin_span item, const char *message)
{
    char *out = user;
    if (strlen(out) < 100)
        sprintf(out + strlen(out), "%s=%s ", (const char *)item.data, message);
    return true;
}

static void test_jobs(void **state)
{
    (void)state;
    akin_storage *s = open_dir(dir);
    char out[1000] = "";
    akin_write start = {.kind = AKIN_WRITE_JOB,
                        .name = text("ingest"),
                        .settings = text("{\"dir\":\"/p\"}")};
    uint64_t a = write_one(s, start).num;
    start.name = text("rebuild");
    start.settings = text("{}");
    uint64_t b = write_one(s, start).num;
    write_one(s, (akin_write){.kind = AKIN_WRITE_JOB_SET,
                              .job = a,
                              .progress = text("{\"done\":7}")});
    akin_item_data which = {.id = text("bad.png")};
    for (int i = 0; i < AKIN_MAX_JOB_ERRORS + 5; i += 15) {
        akin_write ops[15];
        for (int j = 0; j < 15; j++)
            ops[j] = (akin_write){.kind = AKIN_WRITE_JOB_ERROR,
                                  .job = a,
                                  .item = &which,
                                  .message = text("truncated")};
        ok(akin_storage_write(s, ops, 15, NULL, &error));
    }
    write_one(s, (akin_write){.kind = AKIN_WRITE_JOB_SET,
                              .job = b,
                              .state = AKIN_JOB_DONE,
                              .message = text("fine")});
    akin_storage_close(s);
    s = open_dir(dir); /* what ran does not any more */
    ok(akin_storage_jobs(s, 0, 0, see_job, out, &error));
    assert_string_equal(out, "rebuild/done/{}/{}/fine/0 "
                             "ingest/interrupted/{\"dir\":\"/p\"}/"
                             "{\"done\":7}//1005 ");
    out[0] = 0;
    ok(akin_storage_jobs(s, b, 0, see_job, out, &error));
    assert_string_equal(out, "rebuild/done/{}/{}/fine/0 ");
    out[0] = 0;
    ok(akin_storage_job_errors(s, a, see_error, out, &error));
    assert_true(strncmp(out, "bad.png=truncated bad.png=truncated ", 36) == 0);
    assert_int_equal(
        try_one(s, (akin_write){.kind = AKIN_WRITE_JOB_SET, .job = 99}).status,
        AKIN_NOT_FOUND);
    akin_storage_close(s);
}

static bool count_job(void *user, const akin_job_info *job)
{
    (void)job;
    ++*(int *)user;
    return true;
}

/* Each may leave a megabyte of parameters and a thousand errors. */
static void test_old_jobs_are_forgotten(void **state)
{
    (void)state;
    enum { N = AKIN_MAX_JOBS };
    akin_storage *s = open_dir(dir);
    akin_write *ops = akin_calloc(2 * N, sizeof *ops);
    akin_item_data which = {.id = text("bad.png")};
    akin_write start = {
        .kind = AKIN_WRITE_JOB, .name = text("ingest"), .settings = text("{}")};
    uint64_t runs = write_one(s, start).num, old = write_one(s, start).num;
    char out[1000] = "";
    int n = 0;

    for (uint64_t job = runs; job <= old; job++)
        write_one(s, (akin_write){.kind = AKIN_WRITE_JOB_ERROR,
                                  .job = job,
                                  .item = &which,
                                  .message = text("truncated")});
    write_one(s, (akin_write){.kind = AKIN_WRITE_JOB_SET,
                              .job = old,
                              .state = AKIN_JOB_INTERRUPTED});
    for (uint64_t i = 0; i < N; i++) {
        ops[2 * i] = start;
        ops[2 * i + 1] = (akin_write){.kind = AKIN_WRITE_JOB_SET,
                                      .job = old + 1 + i,
                                      .state = AKIN_JOB_FAILED};
    }
    ok(akin_storage_write(s, ops, 2 * N - 2, NULL, &error));
    ok(akin_storage_job_errors(s, old, see_error, out, &error));
    assert_string_equal(out, "bad.png=truncated ");
    ok(akin_storage_write(s, ops + 2 * N - 2, 2, NULL, &error));
    out[0] = 0;
    ok(akin_storage_job_errors(s, old, see_error, out, &error));
    assert_string_equal(out, "");
    ok(akin_storage_jobs(s, old, 0, see_job, out, &error));
    assert_string_equal(out, "");
    ok(akin_storage_jobs(s, runs, 0, see_job, out, &error));
    assert_string_equal(out, "ingest/running/{}/{}//1 ");
    ok(akin_storage_job_errors(s, runs, see_error, out, &error));
    assert_non_null(strstr(out, "bad.png=truncated"));
    ok(akin_storage_jobs(s, 0, 0, count_job, &n, &error));
    assert_int_equal(n, 1 + N);
    akin_storage_close(s);
    akin_free(ops);
}

/* ---- audit ---------------------------------------------------------------- */

static bool see_entry(void *user, const akin_audit *a)
{
    char *out = user;
    size_t n = strlen(out);
    assert_true(a->first_ms > 0);
    if (n < 300)
        snprintf(out + n, 400 - n, "%s|%s|%s x%d;", (const char *)a->who.data,
                 (const char *)a->what.data, (const char *)a->detail.data,
                 (int)a->times);
    return true;
}

static void note(akin_storage *s, const char *who, const char *what,
                 const char *detail)
{
    akin_audit a = {
        .who = text(who), .what = text(what), .detail = text(detail)};
    write_one(s, (akin_write){.kind = AKIN_WRITE_AUDIT, .audit = &a});
}

static void test_audit_joins_runs_and_is_bounded(void **state)
{
    (void)state;
    akin_storage *s = open_dir(dir);
    char out[400] = "";
    for (int i = 0; i < 5; i++)
        note(s, "me", "VREM shop", i == 4 ? "e" : "d");
    note(s, "you", "VREM shop", "f");
    note(s, "you", "AKIN.DROP shop", "");
    akin_storage_close(s);
    s = open_dir(dir);
    ok(akin_storage_audit(s, 0, see_entry, out, &error));
    assert_string_equal(out, "you|AKIN.DROP shop| x1;you|VREM shop|f x1;"
                             "me|VREM shop|e x5;");
    out[0] = 0;
    ok(akin_storage_audit(s, 1, see_entry, out, &error));
    assert_string_equal(out, "you|AKIN.DROP shop| x1;");

    akin_audit bad = {
        .who = text("\xff"), .what = text("x"), .detail = text("")};
    assert_int_equal(
        try_one(s, (akin_write){.kind = AKIN_WRITE_AUDIT, .audit = &bad})
            .status,
        AKIN_INVALID);
    tamper("UPDATE sqlite_sequence SET seq = 1000000 WHERE name = 'audit'");
    note(s, "me", "VREM shop", "g");     /* far from the others now */
    tamper("UPDATE audit SET last = 0"); /* a run has ended */
    note(s, "me", "VREM shop", "h");
    out[0] = 0;
    ok(akin_storage_audit(s, 0, see_entry, out, &error));
    assert_string_equal(out, "me|VREM shop|h x1;me|VREM shop|g x1;");
    akin_storage_close(s);
}

/* ---- drop in the background ---------------------------------------------- */

static void test_dropped_rows_are_freed(void **state)
{
    (void)state;
    akin_storage *s = open_dir(dir);
    uint32_t c = make_collection(s, "default"), keep = make_collection(s, "k");
    uint16_t v[DIM];
    char id[16];
    make_vector(1, DIM, v);
    akin_item_data in = {.caption = text("words"),
                         .attributes = text("{\"t\":[1,\"a\"],\"n\":2}"),
                         .vectors = {{v, DIM, 1, MODEL_A}}};
    akin_write op = put_op(c, &in);
    write_one(s, (akin_write){.kind = AKIN_WRITE_FIELD,
                              .collection = c,
                              .name = text("t"),
                              .type = AKIN_FIELD_TAGS});
    write_one(s, (akin_write){.kind = AKIN_WRITE_FIELD,
                              .collection = c,
                              .name = text("n")});
    for (int i = 0; i < 1200; i++) {
        snprintf(id, sizeof id, "%d", i);
        in.id = text(id);
        write_one(s, op);
    }
    op.collection = keep;
    write_one(s, op);
    assert_int_equal(rows(s, "SELECT count(*) FROM tags"), 2400);
    write_one(s, (akin_write){.kind = AKIN_WRITE_DROP, .collection = c});
    while (rows(s, "SELECT count(*) FROM collections") != 1)
        usleep(5000);
    assert_int_equal(rows(s, "SELECT count(*) FROM items"), 1);
    assert_int_equal(rows(s, "SELECT count(*) FROM vectors"), 1);
    assert_int_equal(rows(s, "SELECT count(*) FROM spaces"), 1);
    assert_int_equal(rows(s, "SELECT count(*) FROM tags"), 0);
    assert_int_equal(rows(s, "SELECT count(*) FROM fields"), 0);
    assert_int_equal(rows(s, "SELECT count(*) FROM sqlite_schema WHERE name"
                             " LIKE 'field%' AND type = 'index'"
                             " AND sql IS NOT NULL"),
                     0);
    uint64_t findings;
    ok(akin_storage_check(s, any_finding, NULL, &findings, &error));
    assert_int_equal(findings, 0);
    akin_storage_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_concurrent_writes_share_transactions),
        T(test_one_writer_process),
        T(test_bad_directories),
        T(test_foreign_and_newer_files_are_refused),
        T(test_an_older_file_is_migrated_in_one_step),
        T(test_a_full_disk_loses_nothing),
        T(test_no_memory_is_an_error_and_leaves_no_trace),
        T(test_an_op_that_fails_half_way_fails_alone),
        T(test_jobs),
        T(test_old_jobs_are_forgotten),
        T(test_audit_joins_runs_and_is_bounded),
        T(test_dropped_rows_are_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
