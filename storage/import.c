/* A directory with one collection (extract.c) becomes a collection of this store,
 * under a name that no user can give, until AKIN_WRITE_REPLACE gives it one. */
#include "extract.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- is it sound? -------------------------------------------------------- */

static akin_status refuse(const char *what, akin_error *err)
{
    return akin_fail(err, AKIN_BAD_DATA, "the snapshot is damaged: %s", what);
}

static akin_status whole(akin__conn *conn, akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = false, fine = false;
    akin_status rc =
        akin__query(conn, &stmt, err, "PRAGMA integrity_check(1)", "");

    if (!rc) rc = akin__step(conn, stmt, &row, err);
    if (!rc && row) {
        akin_span text = akin__column(stmt, 0);
        fine = text.size == 2 && !memcmp(text.data, "ok", 2);
        if (!fine) rc = refuse(text.data, err);
    }
    akin__release(conn, stmt);
    return rc == AKIN_CORRUPT ? refuse("not a database", err) : rc;
}

/* What the tables must hold that SQLite does not know of. The type stands
 * beside every length: a text's is counted up to its first NUL. */
static akin_status plausible(akin__conn *conn, akin_error *err)
{
    static const struct {
        const char *sql, *what;
    } none[] = {
        {"SELECT count(*) FROM sqlite_schema WHERE type = 'view' OR"
         " (sql LIKE 'CREATE VIRTUAL%' AND name NOT GLOB 'captions_[0-9]*')",
         "it has tables of another program"},
        {"SELECT count(*) FROM vectors t LEFT JOIN spaces s ON"
         " s.space = t.space WHERE s.space IS NULL OR"
         " typeof(t.vector) <> 'blob' OR"
         " length(t.vector) <> 2 * s.dim OR t.key >> 40 <> t.space",
         "a vector's size is not its space's"},
        {"SELECT count(*) FROM spaces WHERE typeof(model) <> 'blob' OR"
         " length(model) <> 32 OR kind NOT IN"
         " (0, 1) OR dim NOT BETWEEN 1 AND 65536",
         "a space is not one of akin's"},
        {"SELECT count(*) FROM items WHERE num NOT BETWEEN 1 AND 68719476735"
         " OR typeof(id) <> 'blob' OR length(id) NOT BETWEEN 1 AND 512",
         "an item's number or id"},
        {"SELECT count(*) FROM items WHERE"
         " (content_hash NOT NULL AND (typeof(content_hash) <> 'blob' OR"
         "  length(content_hash) <> 32)) OR"
         " (pixel_hash NOT NULL AND (typeof(pixel_hash) <> 'blob' OR"
         "  length(pixel_hash) <> 32)) OR"
         " (phashes NOT NULL AND (typeof(phashes) <> 'blob' OR"
         "  length(phashes) > 128 OR length(phashes) % 8 <> 0))",
         "an item's hashes"},
        {"SELECT count(*) FROM (SELECT 1 FROM spaces WHERE collection NOT NULL"
         " GROUP BY collection HAVING count(*) > 64)",
         "a collection of too many models"},
    };
    int64_t n;

    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        akin_status rc = akin__one(conn, &n, NULL, err, none[i].sql, "");
        if (rc || n) return refuse(none[i].what, err);
    }
    return AKIN_OK;
}

static akin_status count_collections(akin__conn *conn, akin_error *err)
{
    int64_t n;
    akin_status rc =
        akin__one(conn, &n, NULL, err,
                  "SELECT count(*) FROM collections WHERE name NOT NULL", "");
    if (rc || n == 1) return rc;
    return akin_fail(err, AKIN_UNSUPPORTED,
                     "a snapshot of %lld collections: unpack it into a data "
                     "directory; one of a single collection can be recovered",
                     (long long)n);
}

akin_status akin_storage_import_check(const char *dir, bool any,
                                      akin_error *err)
{
    char path[4300];
    akin__conn conn = {0};

    if (strlen(dir) > AKIN_MAX_PATH_BYTES)
        return akin_fail(err, AKIN_INVALID, "the directory's name is too long");
    snprintf(path, sizeof path, "%s/akin.db", dir);
    if (access(path, R_OK)) return refuse("it has no akin.db", err);
    akin_status rc = akin__conn_open(path, false, true, 16u << 20, &conn, err);
    if (!rc) rc = whole(&conn, err);
    if (!rc)
        rc = akin__migrate(&conn, akin__schema, akin__schema_steps,
                           "the snapshot", false, err);
    if (!rc && !any) rc = count_collections(&conn, err);
    if (!rc) rc = plausible(&conn, err);
    akin__conn_close(&conn);
    return rc == AKIN_CORRUPT ? refuse("not a database", err) : rc;
}

/* ---- in ------------------------------------------------------------------ */

static const char only_collection[] =
    "SELECT collection FROM collections WHERE name NOT NULL";

akin_status akin__op_import(akin__writing *w, const akin_write *op,
                            akin_write_result *result, akin_error *err)
{
    char path[4300], name[32];
    akin__conn from = {0};
    akin__copying c = {.from = &from, .to = w->conn};
    int64_t number = 0, target = 0;

    if (!op->dir || strlen(op->dir) > AKIN_MAX_PATH_BYTES)
        return akin_fail(err, AKIN_INVALID, "import without a directory");
    snprintf(path, sizeof path, "%s/akin.db", op->dir);
    akin_status rc = akin__conn_open(path, false, true, 16u << 20, &from, err);
    if (!rc) rc = akin__one(&from, &number, NULL, err, only_collection, "");
    if (!rc)
        rc = akin__one(w->conn, &target, NULL, err,
                       "SELECT 1 + coalesce((SELECT seq FROM sqlite_sequence"
                       " WHERE name = 'collections'), 0)",
                       "");
    c.collection = (uint32_t)number;
    c.target = (uint32_t)target;
    if (!rc && target > UINT32_MAX)
        rc = akin_fail(err, AKIN_TOO_LARGE, "no collection numbers are left");
    if (!rc) rc = akin__number_anew(&c, err);
    if (!rc) {
        result->seq = c.seq = akin__next_seq(w);
        result->num = c.target;
        result->outcome = AKIN_CREATED;
        snprintf(name, sizeof name, "%c%u", AKIN_HIDDEN, c.target);
        rc = akin__copy_collection(&c, akin_span_of(name), err);
    }
    akin__conn_close(&from);
    /* The snapshot's fault is not the store's. */
    return rc == AKIN_CORRUPT ? refuse("it cannot be read", err) : rc;
}

/* ---- its thumbnails ------------------------------------------------------ */

static akin_status copy_thumbs(akin_storage *s, const char *dir,
                               akin__copying *c, akin_error *err)
{
    char path[4300];
    akin__conn thumbs = {0}, *to = &s->thumbs.conn;

    snprintf(path, sizeof path, "%s/thumbs.db", dir);
    if (access(path, F_OK)) return AKIN_OK; /* made without */
    akin_status rc = akin__conn_open(path, false, true, 1u << 20, &thumbs, err);
    pthread_mutex_lock(&s->thumbs.mutex);
    if (!rc) rc = akin__exec(to, "BEGIN IMMEDIATE", err);
    if (!rc) {
        rc = akin__copy_thumbs(c, c->from, &thumbs, to, err);
        if (!rc) rc = akin__exec(to, "COMMIT", err);
        if (rc) sqlite3_exec(to->db, "ROLLBACK", NULL, NULL, NULL);
    }
    pthread_mutex_unlock(&s->thumbs.mutex);
    akin__conn_close(&thumbs);
    return rc;
}

akin_status akin__import_thumbs(akin_storage *s, const char *dir,
                                uint64_t collection, akin_error *err)
{
    char path[4300];
    akin__conn from = {0};
    akin__copying c = {.from = &from, .anew = true};
    int64_t number, first;

    snprintf(path, sizeof path, "%s/akin.db", dir);
    akin_status rc = akin__conn_open(path, false, true, 16u << 20, &from, err);
    if (!rc) rc = akin__one(&from, &number, NULL, err, only_collection, "");
    if (!rc)
        rc = akin__one(&s->write.conn, &first, NULL, err,
                       "SELECT min(num) FROM items INDEXED BY items_collection"
                       " WHERE collection = ?1",
                       "u", collection);
    if (!rc) {
        c.collection = (uint32_t)number;
        c.nums = first - 1;
        rc = copy_thumbs(s, dir, &c, err);
    }
    akin__conn_close(&from);
    if (rc == AKIN_CORRUPT) return refuse("its thumbnails", err);
    return rc ? akin_fail_prefix(err, rc, "thumbnails") : AKIN_OK;
}
