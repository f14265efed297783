/* A copy of the two files while everything goes on: SQLite's online backup,
 * read from one snapshot (the source connection stays in a transaction, so that
 * writes do not start it over). A copy is written under another name and gets
 * its own when it is whole and on disk. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES_A_STEP 512 /* 4 MiB */

typedef struct {
    akin_storage *storage;
    const char *dir;
    akin_backup_progress *progress;
    void *user;
    uint64_t done, total; /* pages of the files before this one */
} backup;

static akin_status copy_pages(backup *b, akin__conn *from, akin__conn *to,
                              akin_error *err)
{
    sqlite3_backup *copy =
        sqlite3_backup_init(to->db, "main", from->db, "main");
    akin_status status = AKIN_OK;
    int rc = SQLITE_OK;

    if (!copy)
        return akin__fail_sqlite(to, sqlite3_errcode(to->db), "backup", err);
    while (rc == SQLITE_OK && !status) {
        rc = sqlite3_backup_step(copy, PAGES_A_STEP);
        uint64_t total = (uint64_t)sqlite3_backup_pagecount(copy);
        uint64_t left = (uint64_t)sqlite3_backup_remaining(copy);
        if (b->progress && !b->progress(b->user, b->done + total - left,
                                        b->total > total ? b->total : total))
            status = akin_fail(err, AKIN_CANCELLED, "backup cancelled");
    }
    b->done += (uint64_t)sqlite3_backup_pagecount(copy);
    int end = sqlite3_backup_finish(copy);
    if (status) return status;
    if (rc == SQLITE_DONE) rc = end;
    return rc ? akin__fail_sqlite(to, rc, "backup", err) : AKIN_OK;
}

static akin_status pages_of(akin__conn *conn, uint64_t *total, akin_error *err)
{
    int64_t pages;
    akin_status rc =
        akin__one(conn, &pages, NULL, err, "PRAGMA page_count", "");
    if (!rc) *total += (uint64_t)pages;
    return rc;
}

static akin_status copy_file(backup *b, akin__conn *from, const char *name,
                             akin_error *err)
{
    char path[4300], partial[4310];
    akin__conn to;

    snprintf(path, sizeof path, "%s/%s", b->dir, name);
    snprintf(partial, sizeof partial, "%s.partial", path);
    if (unlink(partial) != 0 && errno != ENOENT)
        return akin_fail_errno(err, errno, "cannot remove %s", partial);
    memset(&to, 0, sizeof to);
    int open_rc = sqlite3_open_v2(
        partial, &to.db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    akin_status rc = open_rc ? akin__fail_sqlite(&to, open_rc, partial, err)
                             : copy_pages(b, from, &to, err);
    akin__conn_close(&to);
    if (!rc && rename(partial, path) != 0)
        rc = akin_fail_errno(err, errno, "cannot rename %s", partial);
    if (rc) unlink(partial);
    return rc;
}

/* A connection in a transaction that has fixed its snapshot. */
static akin_status open_source(backup *b, const char *name, akin__conn *conn,
                               akin_error *err)
{
    char path[4300];
    snprintf(path, sizeof path, "%s/%s", b->storage->dir, name);
    akin_status rc = akin__conn_open(path, true, false, 1u << 20, conn, err);
    if (!rc) rc = akin__exec(conn, "BEGIN", err);
    return rc ? rc : pages_of(conn, &b->total, err);
}

static akin_status check_target(const char *dir, akin_error *err)
{
    static const char *const names[] = {"akin.db", "thumbs.db"};
    char path[4300];
    struct stat st;

    if (strlen(dir) > AKIN_MAX_PATH_BYTES)
        return akin_fail(err, AKIN_INVALID,
                         "directory name of %zu bytes, expected at most %d",
                         strlen(dir), AKIN_MAX_PATH_BYTES);
    akin_status rc = akin_dir_make(dir, err);
    for (int i = 0; !rc && i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (stat(path, &st) == 0)
            rc = akin_fail(err, AKIN_EXISTS, "%s exists", path);
    }
    return rc;
}

akin_status akin_storage_backup(akin_storage *s, const char *dir,
                                akin_backup_progress *progress, void *user,
                                akin_error *err)
{
    backup b = {s, dir, progress, user, 0, 0};
    akin__conn conn = {0}, thumbs = {0};
    char path[4300];

    akin_status rc = check_target(dir, err);
    if (rc) return rc;
    rc = open_source(&b, "akin.db", &conn, err);
    if (!rc && s->thumbs.open) rc = open_source(&b, "thumbs.db", &thumbs, err);
    /* akin.db last: a directory with it is a whole backup. */
    if (!rc && s->thumbs.open) rc = copy_file(&b, &thumbs, "thumbs.db", err);
    if (!rc) {
        rc = copy_file(&b, &conn, "akin.db", err);
        snprintf(path, sizeof path, "%s/thumbs.db", dir);
        if (rc && s->thumbs.open) unlink(path);
    }
    akin__conn_close(&conn);
    akin__conn_close(&thumbs);
    return rc ? rc : akin_dir_sync(dir, err);
}
