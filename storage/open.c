/* Opening and closing a directory, the lock, and the pool of readers.
 *
 * LOCK is flock'ed, so that it is free again the moment its process ends, in
 * whatever way; the pid written in it is only for the message. Readers are
 * opened when first needed and kept. A reader call runs in one transaction:
 * WAL gives it one snapshot and it waits for nobody. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static akin_status held_by(int fd, const char *dir, akin_error *err)
{
    char text[32] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;

    if (pid <= 0)
        return akin_fail(err, AKIN_BUSY,
                         "%s is open in another process; use --connect", dir);
    return akin_fail(err, AKIN_BUSY, "%s is open in process %ld; use --connect",
                     dir, pid);
}

static akin_status lock(akin_storage *s, akin_error *err)
{
    char path[4200], text[32];
    snprintf(path, sizeof path, "%s/LOCK", s->dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return akin_fail_errno(err, errno, "cannot open %s", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        akin_status rc =
            errno == EWOULDBLOCK
                ? held_by(fd, s->dir, err)
                : akin_fail_errno(err, errno, "cannot lock %s", path);
        close(fd);
        return rc;
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        akin_status rc = akin_fail_errno(err, errno, "cannot write %s", path);
        close(fd);
        return rc;
    }
    s->lock_fd = fd;
    return AKIN_OK;
}

static akin_status check_dir(akin_storage *s, akin_error *err)
{
    struct stat st;

    if (strlen(s->dir) > AKIN_MAX_PATH_BYTES)
        return akin_fail(err, AKIN_INVALID,
                         "directory name of %zu bytes, expected at most %d",
                         strlen(s->dir), AKIN_MAX_PATH_BYTES);
    if (stat(s->dir, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return AKIN_OK;
        return akin_fail(err, AKIN_INVALID, "%s is not a directory", s->dir);
    }
    if (errno != ENOENT)
        return akin_fail_errno(err, errno, "cannot open %s", s->dir);
    if (!s->options.create || s->options.read_only)
        return akin_fail(err, AKIN_NOT_FOUND, "no such directory: %s", s->dir);
    return akin_dir_make(s->dir, err);
}

static akin_status open_main(akin_storage *s, akin_error *err)
{
    const akin_storage_options *o = &s->options;
    char path[4200];
    struct stat st;
    akin_status rc;

    snprintf(path, sizeof path, "%s/akin.db", s->dir);
    bool there = stat(path, &st) == 0;
    if (!there && (!o->create || o->read_only))
        return akin_fail(err, AKIN_NOT_FOUND, "no data in %s (no akin.db)",
                         s->dir);
    rc = akin__conn_open(path, o->read_only, o->unsafe, o->cache_bytes,
                         &s->write.conn, err);
    if (!rc)
        rc = akin__migrate(&s->write.conn, akin__schema, akin__schema_steps,
                           path, o->read_only, err);
    if (!rc && !there) rc = akin_dir_sync(s->dir, err);
    return rc;
}

/* Jobs of a process that ended are not running; a clock of changes goes on
 * where it stood. */
static akin_status resume(akin_storage *s, akin_error *err)
{
    int64_t seq = 0;
    akin_status rc =
        akin__run(&s->write.conn, err,
                  "UPDATE jobs SET state = ?1, changed = ?2 "
                  "WHERE state = 0",
                  "ii", (int64_t)AKIN_JOB_INTERRUPTED, akin_now_ms());
    if (!rc)
        rc = akin__one(&s->write.conn, &seq, NULL, err,
                       "SELECT value FROM counters WHERE name = 'seq'", "");
    s->write.seq = (uint64_t)seq;
    s->write.sweep = true;
    return rc;
}

static akin_status open_all(akin_storage *s, akin_error *err)
{
    akin_status rc = check_dir(s, err);
    if (!rc && !s->options.read_only) rc = lock(s, err);
    if (!rc) rc = open_main(s, err);
    if (!rc) rc = akin__thumbs_open(s, err);
    if (rc) return rc;
    if (s->options.read_only) {
        akin__conn_close(&s->write.conn); /* it was only for the check */
        return AKIN_OK;
    }
    rc = resume(s, err);
    return rc ? rc : akin__writer_start(s, err);
}

akin_status akin_storage_open(const akin_storage_options *options,
                              akin_storage **out, akin_error *err)
{
    *out = NULL;
    if (!options->dir || !*options->dir)
        return akin_fail(err, AKIN_INVALID, "no data directory given");
    akin_storage *s = akin_calloc(1, sizeof *s);
    if (!s) return akin_fail(err, AKIN_NOMEM, "out of memory");

    s->options = *options;
    s->lock_fd = -1;
    if (s->options.cache_bytes == 0) s->options.cache_bytes = 16u << 20;
    s->pool.n = options->readers ? options->readers : 8;
    if (s->pool.n > AKIN__MAX_READERS) s->pool.n = AKIN__MAX_READERS;
    pthread_mutex_init(&s->pool.mutex, NULL);
    pthread_cond_init(&s->pool.free, NULL);
    pthread_mutex_init(&s->write.mutex, NULL);
    pthread_cond_init(&s->write.work, NULL);
    pthread_mutex_init(&s->thumbs.mutex, NULL);

    akin_status rc = AKIN_OK;
    s->dir = akin_strdup(options->dir);
    if (!s->dir) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    if (!rc) rc = open_all(s, err);
    if (rc) {
        akin_storage_close(s);
        return rc;
    }
    *out = s;
    return AKIN_OK;
}

void akin_storage_close(akin_storage *s)
{
    if (!s) return;
    akin__writer_stop(s);
    for (uint32_t i = 0; i < s->pool.n; i++)
        if (s->pool.open[i]) akin__conn_close(&s->pool.conns[i]);
    if (s->write.conn.db && !s->options.read_only)
        sqlite3_wal_checkpoint_v2(s->write.conn.db, NULL,
                                  SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    akin__conn_close(&s->write.conn);
    akin__thumbs_close(s);
    if (s->lock_fd >= 0) close(s->lock_fd);
    pthread_mutex_destroy(&s->pool.mutex);
    pthread_cond_destroy(&s->pool.free);
    pthread_mutex_destroy(&s->write.mutex);
    pthread_cond_destroy(&s->write.work);
    pthread_mutex_destroy(&s->thumbs.mutex);
    akin_free(s->dir);
    akin_free(s);
}

/* Index of a free reader, preferring one that is open; waits for one. */
static uint32_t take(akin_storage *s)
{
    uint32_t found = UINT32_MAX;

    pthread_mutex_lock(&s->pool.mutex);
    for (;;) {
        for (uint32_t i = 0; i < s->pool.n; i++) {
            if (s->pool.busy[i]) continue;
            if (found == UINT32_MAX) found = i;
            if (!s->pool.open[i]) continue;
            found = i;
            break;
        }
        if (found != UINT32_MAX) break;
        pthread_cond_wait(&s->pool.free, &s->pool.mutex);
    }
    s->pool.busy[found] = true;
    pthread_mutex_unlock(&s->pool.mutex);
    return found;
}

static void give(akin_storage *s, uint32_t i, bool is_open)
{
    pthread_mutex_lock(&s->pool.mutex);
    s->pool.busy[i] = false;
    s->pool.open[i] = is_open;
    pthread_cond_signal(&s->pool.free);
    pthread_mutex_unlock(&s->pool.mutex);
}

static akin_status open_reader(akin_storage *s, akin__conn *conn,
                               akin_error *err)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/akin.db", s->dir);
    akin_status rc =
        akin__conn_open(path, true, false, s->options.cache_bytes, conn, err);
    if (rc) return rc;
    rc = akin__text_functions(conn, err);
    if (!rc) rc = akin__select_functions(conn, err);
    if (rc) akin__conn_close(conn);
    return rc;
}

akin_status akin__read_begin(akin_storage *s, akin__conn **out, akin_error *err)
{
    uint32_t i = take(s);
    akin__conn *conn = &s->pool.conns[i];
    akin_status rc = AKIN_OK;

    *out = NULL;
    bool is_open = s->pool.open[i]; /* ours while busy[i] */
    if (!is_open) rc = open_reader(s, conn, err);
    if (rc) {
        give(s, i, false);
        return rc;
    }
    rc = akin__run(conn, err, "BEGIN", "");
    if (rc) {
        give(s, i, true);
        return rc;
    }
    *out = conn;
    return AKIN_OK;
}

void akin__read_end(akin_storage *s, akin__conn *conn)
{
    if (!conn) return;
    if (akin__run(conn, NULL, "COMMIT", ""))
        sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
    give(s, (uint32_t)(conn - s->pool.conns), true);
}

static uint64_t file_bytes(akin_storage *s, const char *name)
{
    char path[4200];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", s->dir, name);
    return stat(path, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

akin_status akin_storage_stat(akin_storage *s, akin_storage_info *out,
                              akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool row = false;

    memset(out, 0, sizeof *out);
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(
        conn, &stmt, err,
        "SELECT (SELECT value FROM counters WHERE name = 'seq'),"
        " (SELECT count(*) FROM collections WHERE name IS NOT NULL),"
        " (SELECT sum(items) FROM collections WHERE name IS NOT NULL),"
        " (SELECT sum(count) FROM spaces WHERE collection IS NOT NULL)",
        "");
    if (!rc) rc = akin__step(conn, stmt, &row, err);
    if (!rc && row) {
        out->seq = akin__column_u64(stmt, 0);
        out->collections = akin__column_u64(stmt, 1);
        out->items = akin__column_u64(stmt, 2);
        out->vectors = akin__column_u64(stmt, 3);
    }
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    if (rc) return rc;

    out->file_bytes = file_bytes(s, "akin.db");
    out->wal_bytes = file_bytes(s, "akin.db-wal");
    out->thumb_bytes = file_bytes(s, "thumbs.db");
    out->calls = s->calls;
    out->ops = s->ops;
    out->transactions = s->transactions;
    out->schema_version = akin__schema_steps;
    pthread_mutex_lock(&s->pool.mutex);
    for (uint32_t i = 0; i < s->pool.n; i++)
        out->readers_busy += s->pool.busy[i];
    pthread_mutex_unlock(&s->pool.mutex);
    return AKIN_OK;
}
