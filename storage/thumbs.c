/* Thumbnails, in a file of their own. They can be made again from the pictures,
 * so their commits do not wait for the disk and their failures are logged. One
 * connection, shared under a mutex. */
#include "internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

akin_status akin__thumbs_open(akin_storage *s, akin_error *err)
{
    char path[4200];
    struct stat st;
    akin__conn *conn = &s->thumbs.conn;
    bool read_only = s->options.read_only;

    snprintf(path, sizeof path, "%s/thumbs.db", s->dir);
    if (read_only && stat(path, &st) != 0) return AKIN_OK; /* none */
    akin_status rc =
        akin__conn_open(path, read_only, false, 2u << 20, conn, err);
    if (!rc && !read_only)
        rc = akin__exec(conn, "PRAGMA synchronous = NORMAL", err);
    if (!rc)
        rc = akin__migrate(conn, akin__thumbs_schema, akin__thumbs_schema_steps,
                           path, read_only, err);
    if (rc) akin__conn_close(conn);
    s->thumbs.open = !rc;
    return rc;
}

void akin__thumbs_close(akin_storage *s)
{
    if (!s->thumbs.open) return;
    if (!s->options.read_only)
        sqlite3_wal_checkpoint_v2(s->thumbs.conn.db, NULL,
                                  SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    akin__conn_close(&s->thumbs.conn);
    s->thumbs.open = false;
}

void akin__thumbs_begin(akin_storage *s)
{
    s->thumbs.changed = false;
}

void akin__thumb_set(akin_storage *s, uint64_t num, akin_span thumb, bool keep)
{
    akin_error error = {0};
    akin__conn *conn = &s->thumbs.conn;
    akin_status rc = AKIN_OK;

    pthread_mutex_lock(&s->thumbs.mutex);
    if (!s->thumbs.changed) rc = akin__run(conn, &error, "BEGIN IMMEDIATE", "");
    s->thumbs.changed = !rc;
    if (!rc && thumb.size == 0)
        rc = akin__run(conn, &error, "DELETE FROM thumbs WHERE num = ?1", "u",
                       num);
    else if (!rc)
        rc = akin__run(conn, &error,
                       keep ? "INSERT OR IGNORE INTO thumbs VALUES(?1, ?2)"
                            : "INSERT OR REPLACE INTO thumbs VALUES(?1, ?2)",
                       "ub", num, thumb);
    pthread_mutex_unlock(&s->thumbs.mutex);
    if (rc) akin_log(AKIN_LOG_WARN, "thumbnail: %s", error.message);
}

void akin__thumbs_end(akin_storage *s)
{
    akin_error error = {0};
    if (!s->thumbs.changed) return;
    pthread_mutex_lock(&s->thumbs.mutex);
    akin_status rc = akin__run(&s->thumbs.conn, &error, "COMMIT", "");
    if (rc) sqlite3_exec(s->thumbs.conn.db, "ROLLBACK", NULL, NULL, NULL);
    s->thumbs.changed = false;
    pthread_mutex_unlock(&s->thumbs.mutex);
    if (rc) akin_log(AKIN_LOG_WARN, "thumbnails: %s", error.message);
}

akin_status akin_storage_thumb(akin_storage *s, uint64_t num, uint8_t **out,
                               size_t *size, akin_error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    akin_status rc = AKIN_OK;

    *out = NULL;
    *size = 0;
    pthread_mutex_lock(&s->thumbs.mutex);
    if (s->thumbs.open) {
        akin__conn *conn = &s->thumbs.conn;
        rc = akin__query(conn, &stmt, err,
                         "SELECT picture FROM thumbs WHERE num = ?1", "u", num);
        if (!rc) rc = akin__step(conn, stmt, &row, err);
        if (!rc && row) {
            *size = (size_t)sqlite3_column_bytes(stmt, 0);
            *out = akin_alloc(*size);
            if (!*out)
                rc = akin_fail(err, AKIN_NOMEM, "out of memory");
            else if (*size)
                memcpy(*out, sqlite3_column_blob(stmt, 0), *size);
        }
        akin__release(conn, stmt);
    }
    pthread_mutex_unlock(&s->thumbs.mutex);
    if (!rc && !row)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no thumbnail of item %llu",
                       (unsigned long long)num);
    return rc;
}

/* ---- thumbnails whose items are gone -------------------------------------- */

/* Up to AKIN__SLICE numbers after `after`. */
static akin_status list(akin_storage *s, uint64_t after, uint64_t *nums,
                        size_t *n, akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = true;
    akin__conn *conn = &s->thumbs.conn;

    *n = 0;
    pthread_mutex_lock(&s->thumbs.mutex);
    akin_status rc = akin__query(conn, &stmt, err,
                                 "SELECT num FROM thumbs WHERE num > ?1"
                                 " ORDER BY num LIMIT ?2",
                                 "ui", after, (int64_t)AKIN__SLICE);
    while (!rc && row && *n < AKIN__SLICE) {
        rc = akin__step(conn, stmt, &row, err);
        if (!rc && row) nums[(*n)++] = akin__column_u64(stmt, 0);
    }
    akin__release(conn, stmt);
    pthread_mutex_unlock(&s->thumbs.mutex);
    return rc;
}

/* Keeps of nums those without an item. */
static akin_status orphans(akin_storage *s, uint64_t *nums, size_t *n,
                           akin_error *err)
{
    akin__conn *conn;
    size_t kept = 0;
    int64_t one;
    bool there;
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    for (size_t i = 0; !rc && i < *n; i++) {
        rc = akin__one(conn, &one, &there, err,
                       "SELECT 1 FROM items WHERE num = ?1", "u", nums[i]);
        if (!there) nums[kept++] = nums[i];
    }
    akin__read_end(s, conn);
    *n = kept;
    return rc;
}

/* The numbers are listed before the items are looked up: a thumbnail is stored
 * after its item, so one listed without an item has lost it. */
akin_status akin__thumbs_sweep(akin_storage *s, akin_error *err)
{
    uint64_t nums[AKIN__SLICE], last = 0;
    size_t n;
    akin_status rc;

    if (!s->thumbs.open || s->options.read_only) return AKIN_OK;
    do {
        rc = list(s, last, nums, &n, err);
        if (rc || n == 0) return rc;
        last = nums[n - 1];
        rc = orphans(s, nums, &n, err);
        pthread_mutex_lock(&s->thumbs.mutex);
        for (size_t i = 0; !rc && i < n; i++)
            rc = akin__run(&s->thumbs.conn, err,
                           "DELETE FROM thumbs WHERE num = ?1", "u", nums[i]);
        pthread_mutex_unlock(&s->thumbs.mutex);
    } while (!rc);
    return rc;
}
