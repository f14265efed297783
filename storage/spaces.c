/* Vectors on the writing connection. Every change carries the change number it
 * belongs to; a vector that goes leaves a row in removals, so that an index can
 * follow from any change number on. */
#include "internal.h"

static akin_status make_space(akin__conn *conn, uint32_t collection,
                              akin_space kind, const akin_vector *v,
                              uint64_t *space, akin_error *err)
{
    uint32_t dim;
    akin_status rc =
        akin__space_find(conn, collection, kind, v->model, space, &dim, err);
    if (rc || *space) return rc;
    rc = akin__run(conn, err,
                   "INSERT INTO spaces(collection, kind, model, dim)"
                   " VALUES(?1, ?2, ?3, ?4)",
                   "uihu", (uint64_t)collection, (int64_t)kind, v->model,
                   (uint64_t)v->dim);
    if (rc) return rc;
    *space = (uint64_t)sqlite3_last_insert_rowid(conn->db);
    if (*space > AKIN__MAX_SPACE)
        return akin_fail(err, AKIN_TOO_LARGE, "too many spaces in one file");
    return AKIN_OK;
}

akin_status akin__vector_set(akin__conn *conn, uint32_t collection,
                             akin_space kind, uint64_t num, uint64_t seq,
                             const akin_vector *v, akin_error *err)
{
    uint64_t space;
    int64_t there = 0;
    akin_status rc = make_space(conn, collection, kind, v, &space, err);

    if (!rc)
        rc = akin__one(conn, &there, NULL, err,
                       "SELECT count(*) FROM vectors WHERE key = ?1", "u",
                       akin__key(space, num));
    if (!rc)
        rc = akin__run(
            conn, err,
            "INSERT OR REPLACE INTO vectors(key, space, seq, norm, vector)"
            " VALUES(?1, ?2, ?3, ?4, ?5)",
            "uuudb", akin__key(space, num), space, seq,
            v->norm > 0 ? (double)v->norm : 1.0,
            (akin_span){v->data, (size_t)v->dim * sizeof(uint16_t)});
    if (!rc && !there)
        rc = akin__run(conn, err,
                       "UPDATE spaces SET count = count + 1 WHERE space = ?1",
                       "u", space);
    return rc;
}

static akin_status drop_one(akin__conn *conn, uint64_t space, uint64_t num,
                            uint64_t seq, akin_error *err)
{
    akin_status rc = akin__run(conn, err, "DELETE FROM vectors WHERE key = ?1",
                               "u", akin__key(space, num));
    if (rc || sqlite3_changes(conn->db) == 0) return rc;
    rc = akin__run(conn, err,
                   "INSERT INTO removals(space, seq, num) VALUES(?1, ?2, ?3)",
                   "uuu", space, seq, num);
    if (!rc)
        rc = akin__run(conn, err,
                       "UPDATE spaces SET count = count - 1 WHERE space = ?1",
                       "u", space);
    return rc;
}

/* The collection's next space of the kind after *space; 0: there is none. */
static akin_status next_space(akin__conn *conn, uint32_t collection,
                              akin_space kind, const uint8_t *except,
                              uint64_t *space, akin_error *err)
{
    int64_t next;
    akin_status rc =
        akin__one(conn, &next, NULL, err,
                  "SELECT space FROM spaces WHERE collection = ?1"
                  " AND kind = ?2 AND model IS NOT ?3 AND space > ?4"
                  " ORDER BY space LIMIT 1",
                  "uihu", (uint64_t)collection, (int64_t)kind, except, *space);
    *space = (uint64_t)next;
    return rc;
}

akin_status akin__vectors_drop(akin__conn *conn, uint32_t collection,
                               akin_space kind, uint64_t num, uint64_t seq,
                               const uint8_t *except, akin_error *err)
{
    uint64_t space = 0;
    akin_status rc = next_space(conn, collection, kind, except, &space, err);

    while (!rc && space) {
        rc = drop_one(conn, space, num, seq, err);
        if (!rc) rc = next_space(conn, collection, kind, except, &space, err);
    }
    return rc;
}
