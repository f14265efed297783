/* Freeing what DROP and FORGET left behind, a slice a transaction, so that a
 * million dropped items do not hold up a write. A collection without a name and
 * a space without a collection are dropped; their rows still say so after a
 * crash. */
#include "internal.h"

/* One dropped space: its vectors, then its removals, then itself. */
static akin_status sweep_space(akin__conn *conn, uint64_t space,
                               akin_error *err)
{
    akin_status rc =
        akin__run(conn, err,
                  "DELETE FROM vectors WHERE key IN (SELECT key FROM vectors"
                  " WHERE key > ?1 AND key < ?2 LIMIT ?3)",
                  "uui", akin__key(space, 0), akin__key(space + 1, 0),
                  (int64_t)AKIN__SLICE);
    if (rc || sqlite3_changes(conn->db) > 0) return rc;
    rc = akin__run(conn, err, "DELETE FROM removals WHERE space = ?1", "u",
                   space);
    return rc ? rc
              : akin__run(conn, err, "DELETE FROM spaces WHERE space = ?1", "u",
                          space);
}

static akin_status sweep_items(akin__conn *conn, uint64_t collection,
                               uint64_t *nums, size_t *count, akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = true;
    akin_status rc = akin__query(conn, &stmt, err,
                                 "SELECT num FROM items INDEXED BY"
                                 " items_collection WHERE collection = ?1"
                                 " LIMIT ?2",
                                 "ui", collection, (int64_t)AKIN__SLICE);
    *count = 0;
    while (!rc && row && *count < AKIN__SLICE) {
        rc = akin__step(conn, stmt, &row, err);
        if (!rc && row) nums[(*count)++] = akin__column_u64(stmt, 0);
    }
    akin__release(conn, stmt);
    for (size_t i = 0; !rc && i < *count; i++)
        rc = akin__run(conn, err, "DELETE FROM items WHERE num = ?1", "u",
                       nums[i]);
    if (rc || *count > 0) return rc;
    return akin__run(conn, err, "DELETE FROM collections WHERE collection = ?1",
                     "u", collection);
}

/* Tags of fields that are no more. */
static akin_status sweep_tags(akin__conn *conn, bool *some, akin_error *err)
{
    int64_t field;
    akin_status rc = akin__one(conn, &field, some, err,
                               "SELECT field FROM fields WHERE collection IN"
                               " (SELECT collection FROM collections"
                               "  WHERE name IS NULL) LIMIT 1",
                               "");
    if (rc || !*some) return rc;
    rc = akin__run(conn, err,
                   "DELETE FROM tags WHERE (field, value, num) IN (SELECT"
                   " field, value, num FROM tags WHERE field = ?1 LIMIT ?2)",
                   "ii", field, (int64_t)AKIN__SLICE);
    if (rc || sqlite3_changes(conn->db) > 0) return rc;
    return akin__run(conn, err, "DELETE FROM fields WHERE field = ?1", "i",
                     field);
}

akin_status akin__sweep(akin__conn *conn, bool *left, uint64_t *nums,
                        size_t *count, akin_error *err)
{
    int64_t which;

    *count = 0;
    *left = true;
    akin_status rc = akin__one(conn, &which, left, err,
                               "SELECT space FROM spaces"
                               " WHERE collection IS NULL LIMIT 1",
                               "");
    if (rc) return rc;
    if (*left) return sweep_space(conn, (uint64_t)which, err);
    rc = sweep_tags(conn, left, err);
    if (rc || *left) return rc;
    rc = akin__one(conn, &which, left, err,
                   "SELECT collection FROM collections WHERE name IS NULL"
                   " LIMIT 1",
                   "");
    if (rc || !*left) return rc;
    return sweep_items(conn, (uint64_t)which, nums, count, err);
}
