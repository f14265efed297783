/* The doctor: reads everything and says what does not agree. SQLite checks its
 * own structure; the rest is what our schema promises, one query a promise,
 * each giving the finding as text. Everything is read in one snapshot. */
#include "internal.h"

#include <math.h>
#include <string.h>

static const char *const promises[] = {
    "SELECT printf('item %d: change %d is beyond the last one, %d', num, seq,"
    " value) FROM items, counters WHERE name = 'seq' AND seq > value",

    "SELECT printf('item %d: attributes are not a JSON object', num) FROM items"
    " WHERE attributes IS NOT NULL AND CASE WHEN json_valid(attributes)"
    " THEN json_type(attributes) <> 'object' ELSE 1 END",

    "SELECT printf('item %d: %s of %d bytes, expected 32', num, 'hash',"
    " max(length(coalesce(content_hash, zeroblob(32))),"
    "     length(coalesce(pixel_hash, zeroblob(32))))) FROM items"
    " WHERE length(content_hash) <> 32 OR length(pixel_hash) <> 32",

    "SELECT printf('vector of item %d in space %d: %d bytes, expected %d',"
    " key & 1099511627775, s.space, length(vector), 2 * dim)"
    " FROM vectors v JOIN spaces s ON s.space = v.space"
    " WHERE length(vector) <> 2 * dim",

    "SELECT printf('vector %d: key is of space %d, row of space %d', key,"
    " key >> 40, space) FROM vectors WHERE key >> 40 <> space",

    "SELECT printf('vector of item %d in space %d: no such space',"
    " key & 1099511627775, v.space) FROM vectors v"
    " LEFT JOIN spaces s ON s.space = v.space WHERE s.space IS NULL",

    "SELECT printf('vector of item %d in space %d: no such item in collection"
    " %d', key & 1099511627775, v.space, s.collection)"
    " FROM vectors v JOIN spaces s ON s.space = v.space"
    " LEFT JOIN items i ON i.num = (key & 1099511627775)"
    " WHERE s.collection IS NOT NULL AND s.collection IS NOT i.collection",

    "SELECT printf('vector of item %d in space %d: change %d is beyond the last"
    " one, %d', key & 1099511627775, space, seq, value)"
    " FROM vectors, counters WHERE name = 'seq' AND seq > value",

    "SELECT printf('space %d: %d vectors, counted as %d', space, n, count)"
    " FROM (SELECT s.space, s.count, (SELECT count(*) FROM vectors v"
    "  WHERE v.space = s.space) n FROM spaces s WHERE collection IS NOT NULL)"
    " WHERE n <> count",

    "SELECT printf('space %d: %d dimensions, its model has %d', space, s.dim,"
    " c.dim) FROM spaces s JOIN collections c ON c.collection = s.collection"
    " AND c.model = s.model WHERE s.dim <> c.dim",

    "SELECT printf('collection %d: %d items, counted as %d', collection, n,"
    " items) FROM (SELECT c.collection, c.items, (SELECT count(*) FROM items i"
    "  WHERE i.collection = c.collection) n FROM collections c"
    "  WHERE name IS NOT NULL) WHERE n <> items",

    "SELECT printf('removal of item %d: change %d is beyond the last one, %d',"
    " num, seq, value) FROM removals, counters"
    " WHERE name = 'seq' AND seq > value",

    "SELECT printf('tag of item %d, field %d: no such item', t.num, t.field)"
    " FROM tags t JOIN fields f ON f.field = t.field"
    " JOIN collections c ON c.collection = f.collection AND name IS NOT NULL"
    " LEFT JOIN items i ON i.num = t.num WHERE i.num IS NULL",

    "SELECT printf('duplicates %d and %d: no such items in collection %d', a, "
    "b,"
    " e.collection) FROM dupe_edges e LEFT JOIN items i ON i.num = a"
    " LEFT JOIN items j ON j.num = b WHERE i.collection IS NOT e.collection"
    " OR j.collection IS NOT e.collection",

    "SELECT printf('table %s: row %d refers to a missing row of %s', \"table\","
    " rowid, parent) FROM pragma_foreign_key_check",

    "SELECT 'SQLite: ' || integrity_check FROM pragma_integrity_check"
    " WHERE integrity_check <> 'ok'",
};

typedef struct {
    akin_finding_each *each;
    void *user;
    uint64_t findings;
    bool stopped;
} report;

static void found(report *r, const char *finding)
{
    r->findings++;
    if (!r->stopped && !r->each(r->user, finding)) r->stopped = true;
}

static akin_status run_promise(akin__conn *conn, const char *sql, report *r,
                               akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = true;
    akin_status rc = akin__query(conn, &stmt, err, sql, "");
    while (!rc && row && !r->stopped) {
        rc = akin__step(conn, stmt, &row, err);
        const char *text =
            !rc && row ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
        if (text) found(r, text);
    }
    akin__release(conn, stmt);
    return rc;
}

/* A damaged file makes the query itself fail: that is a finding. */
static akin_status keep_promise(akin__conn *conn, const char *sql, report *r,
                                akin_error *err)
{
    akin_error error = {0};
    akin_status rc = run_promise(conn, sql, r, &error);
    if (rc != AKIN_CORRUPT && rc != AKIN_INTERNAL) {
        if (rc && err) *err = error;
        return rc;
    }
    found(r, error.message);
    return AKIN_OK;
}

static akin_status check_lengths(akin__conn *conn, report *r, akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = true;
    char text[120];
    akin_status rc =
        akin__query(conn, &stmt, err, "SELECT key, vector FROM vectors", "");
    while (!rc && row && !r->stopped) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        int64_t key = sqlite3_column_int64(stmt, 0);
        akin_span bytes = {sqlite3_column_blob(stmt, 1),
                           (size_t)sqlite3_column_bytes(stmt, 1)};
        double length = akin__vector_length(bytes);
        if (fabs(length - 1) <= AKIN__UNIT_TOLERANCE) continue;
        sqlite3_snprintf((int)sizeof text, text,
                         "vector of item %lld in space %lld: length %.4f, "
                         "expected 1",
                         key & (((int64_t)1 << AKIN__NUM_BITS) - 1),
                         key >> AKIN__NUM_BITS, length);
        found(r, text);
    }
    akin__release(conn, stmt);
    return rc;
}

static akin_status list_captioned(akin__conn *conn, uint32_t **out, size_t *n,
                                  akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = true;
    size_t capacity = 0;
    akin_status rc = akin__query(conn, &stmt, err,
                                 "SELECT collection FROM collections"
                                 " WHERE captions <> 0",
                                 "");
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        rc = akin_grow(out, &capacity, *n + 1, sizeof **out, err);
        if (!rc) (*out)[(*n)++] = (uint32_t)akin__column_u64(stmt, 0);
    }
    akin__release(conn, stmt);
    return rc;
}

static akin_status check_captions(akin__conn *conn, uint32_t collection,
                                  report *r, akin_error *err)
{
    char sql[300];
    sqlite3_snprintf((int)sizeof sql, sql,
                     "SELECT printf('caption %%d: no such item in collection"
                     " %u', t.rowid) FROM captions_%u t LEFT JOIN items i"
                     " ON i.num = t.rowid WHERE i.collection IS NOT %u",
                     collection, collection, collection);
    return keep_promise(conn, sql, r, err);
}

/* The words against the captions: only a connection that may write can ask. */
static akin_status check_words(akin_storage *s, uint32_t collection, report *r,
                               akin_error *err)
{
    akin_write op = {.kind = AKIN__WRITE_CHECK_TEXT, .collection = collection};
    akin_write_result result;
    char text[200];

    if (s->options.read_only || r->stopped) return AKIN_OK;
    akin_status rc = akin_storage_write(s, &op, 1, &result, err);
    if (rc || !result.status || result.status == AKIN_NOT_FOUND) return rc;
    sqlite3_snprintf((int)sizeof text, text,
                     "captions of collection %u: full text index: %s",
                     collection, result.error.message);
    found(r, text);
    return AKIN_OK;
}

akin_status akin_storage_check(akin_storage *s, akin_finding_each *each,
                               void *user, uint64_t *findings, akin_error *err)
{
    akin__conn *conn;
    report r = {each, user, 0, false};
    uint32_t *captioned = NULL;
    size_t n = 0;

    *findings = 0;
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    for (size_t i = 0; !rc && i < sizeof promises / sizeof *promises; i++)
        rc = keep_promise(conn, promises[i], &r, err);
    if (!rc) rc = check_lengths(conn, &r, err);
    if (!rc) rc = list_captioned(conn, &captioned, &n, err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = check_captions(conn, captioned[i], &r, err);
    akin__read_end(s, conn);
    for (size_t i = 0; !rc && i < n; i++)
        rc = check_words(s, captioned[i], &r, err);
    if (!rc) rc = akin__thumbs_sweep(s, err);
    akin_free(captioned);
    *findings = r.findings;
    return rc;
}
