/* Vectors: by number, by content, and as a stream of changes for the index. */
#include "internal.h"

#include <string.h>

akin_status akin_storage_vector_by_hash(akin_storage *s,
                                        const uint8_t hash[AKIN_HASH_BYTES],
                                        const uint8_t model[AKIN_HASH_BYTES],
                                        uint16_t *out, uint32_t dim,
                                        akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool row = false;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT vector FROM items i INDEXED BY items_content"
                     " CROSS JOIN spaces s ON s.collection = i.collection"
                     "  AND s.kind = 0 AND s.model = ?2 AND s.dim = ?3"
                     " CROSS JOIN vectors v ON v.key = (s.space << 40 | i.num)"
                     " WHERE i.content_hash = ?1 LIMIT 1",
                     "hhu", hash, model, (uint64_t)dim);
    if (!rc) rc = akin__step(conn, stmt, &row, err);
    if (!rc && row) {
        size_t size = (size_t)sqlite3_column_bytes(stmt, 0);
        if (size == (size_t)dim * sizeof *out)
            memcpy(out, sqlite3_column_blob(stmt, 0), size);
        else
            rc = akin_fail(err, AKIN_CORRUPT,
                           "stored vector has %zu bytes, expected %zu", size,
                           (size_t)dim * sizeof *out);
    }
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    if (!rc && !row)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no vector of this content");
    return rc;
}

/* The space of (collection, kind, model or the current one); 0 if none. */
static akin_status find_space(akin__conn *conn, uint32_t collection,
                              akin_space kind, const uint8_t *model,
                              akin__collection *c, uint64_t *space,
                              uint32_t *dim, akin_error *err)
{
    *space = 0;
    *dim = 0;
    if ((unsigned)kind >= AKIN_SPACES)
        return akin_fail(err, AKIN_INVALID, "no space %u", (unsigned)kind);
    akin_status rc = akin__collection_row(conn, collection, c, err);
    if (rc) return rc;
    if (!model && !c->present[0]) return AKIN_OK;
    return akin__space_find(conn, collection, kind, model ? model : c->model[0],
                            space, dim, err);
}

/* ---- changes ------------------------------------------------------------- */

static akin_status each_removal(akin__conn *conn, uint64_t space,
                                uint64_t since, akin_change_each *each,
                                void *user, bool *more, akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = true;
    akin_status rc = akin__query(conn, &stmt, err,
                                 "SELECT num, seq FROM removals"
                                 " WHERE space = ?1 AND seq > ?2 ORDER BY seq",
                                 "uu", space, since);
    while (!rc && row && *more) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        akin_change change = {.num = akin__column_u64(stmt, 0),
                              .seq = akin__column_u64(stmt, 1)};
        *more = each(user, &change);
    }
    akin__release(conn, stmt);
    return rc;
}

static akin_status each_vector(akin__conn *conn, uint64_t space, uint32_t dim,
                               uint64_t since, akin_change_each *each,
                               void *user, akin_error *err)
{
    sqlite3_stmt *stmt = NULL;
    akin_status rc;
    bool row = true;
    /* A copy: SQLite's bytes need not be aligned. */
    uint16_t *vector = akin_alloc((size_t)dim * sizeof *vector);
    if (!vector) return akin_fail(err, AKIN_NOMEM, "out of memory");

    if (since == 0) /* in the order of the file */
        rc = akin__query(conn, &stmt, err,
                         "SELECT key, seq, vector FROM vectors"
                         " WHERE key > ?1 AND key < ?2",
                         "uu", akin__key(space, 0), akin__key(space + 1, 0));
    else
        rc = akin__query(conn, &stmt, err,
                         "SELECT key, seq, vector FROM vectors"
                         " INDEXED BY vectors_seq"
                         " WHERE space = ?1 AND seq > ?2",
                         "uu", space, since);
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        akin_change change = {.num = akin__column_u64(stmt, 0) -
                                     akin__key(space, 0),
                              .seq = akin__column_u64(stmt, 1),
                              .vector = vector,
                              .dim = dim};
        size_t size = (size_t)sqlite3_column_bytes(stmt, 2);
        if (size != (size_t)dim * sizeof *vector) {
            rc = akin_fail(err, AKIN_CORRUPT,
                           "vector of item %llu has %zu bytes, expected %zu",
                           (unsigned long long)change.num, size,
                           (size_t)dim * sizeof *vector);
            break;
        }
        if (size) memcpy(vector, sqlite3_column_blob(stmt, 2), size);
        if (!each(user, &change)) break;
    }
    akin__release(conn, stmt);
    akin_free(vector);
    return rc;
}

akin_status akin_storage_changes(akin_storage *s, uint32_t collection,
                                 akin_space kind, const uint8_t *model,
                                 uint64_t since, akin_change_each *each,
                                 void *user, uint64_t *upto, akin_error *err)
{
    akin__conn *conn;
    akin__collection c;
    uint64_t space;
    uint32_t dim;
    int64_t seq;
    bool more = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__one(conn, &seq, NULL, err,
                   "SELECT value FROM counters WHERE name = 'seq'", "");
    if (!rc)
        rc = find_space(conn, collection, kind, model, &c, &space, &dim, err);
    if (rc) goto done;
    if (since != 0 && since < c.trimmed_seq) {
        rc = akin_fail(err, AKIN_CANCELLED,
                       "changes after %llu are asked for, those up to %llu "
                       "were trimmed",
                       (unsigned long long)since,
                       (unsigned long long)c.trimmed_seq);
        goto done;
    }
    if (space && since != 0)
        rc = each_removal(conn, space, since, each, user, &more, err);
    if (!rc && space && more)
        rc = each_vector(conn, space, dim, since, each, user, err);
    if (!rc) *upto = (uint64_t)seq;
done:
    akin__read_end(s, conn);
    return rc;
}
