/* What values an attribute has, and which attributes there are: counts for
 * people who choose a filter. SQLite's JSON functions walk the attributes; the
 * predicate is evaluated by akin_match, as in select.c. */
#include "internal.h"

/* Attributes of so many items are looked at to list their names. */
#define SAMPLED 5000

static akin_status each_value(akin__conn *conn, sqlite3_stmt *stmt,
                              akin_facet_each *each, void *user,
                              akin_error *err)
{
    bool row = true, more = true;
    akin_status rc = AKIN_OK;

    while (!rc && more) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        more = each(user, akin__column(stmt, 0), akin__column(stmt, 1),
                    akin__column_u64(stmt, 2));
    }
    return rc;
}

akin_status akin_storage_facet(akin_storage *s, uint32_t collection,
                               akin_span path, const akin_predicate *predicate,
                               uint32_t limit, akin_facet_each *each,
                               void *user, akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    akin_buf json_path = {0};

    akin_status rc = predicate ? akin_predicate_check(predicate, err) : AKIN_OK;
    if (!rc) rc = akin__json_path(path, &json_path, err);
    if (!rc) rc = akin__read_begin(s, &conn, err);
    if (rc) {
        akin_buf_clear(&json_path);
        return rc;
    }
    rc = akin__query(
        conn, &stmt, err,
        "SELECT CASE j.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'"
        " ELSE json_quote(j.atom) END AS value, min(j.type), count(*) AS n"
        " FROM items i, json_each(i.attributes, ?3) j"
        " WHERE i.collection = ?2 AND j.atom IS NOT NULL"
        " AND json_type(i.attributes, ?3) <> 'object'"
        " AND (?5 OR akin_match(?1, i.id, i.attributes))"
        " GROUP BY value ORDER BY n DESC, value LIMIT ?4",
        "nutui", (uint64_t)collection,
        (akin_span){json_path.data, json_path.size}, (uint64_t)limit,
        (int64_t)(predicate == NULL));
    if (!rc && predicate)
        sqlite3_bind_pointer(stmt, 1, (void *)(uintptr_t)predicate,
                             "akin_predicate", NULL);
    if (!rc) rc = each_value(conn, stmt, each, user, err);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    akin_buf_clear(&json_path);
    return rc;
}

akin_status akin_storage_attribute_names(akin_storage *s, uint32_t collection,
                                         uint32_t limit, akin_facet_each *each,
                                         void *user, akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT j.key, min(j.type), count(*) AS n FROM"
                     " (SELECT attributes FROM items WHERE collection = ?1"
                     "  AND attributes IS NOT NULL LIMIT ?2) t,"
                     " json_each(t.attributes) j"
                     " GROUP BY j.key ORDER BY n DESC, j.key LIMIT ?3",
                     "uuu", (uint64_t)collection, (uint64_t)SAMPLED,
                     (uint64_t)limit);
    if (!rc) rc = each_value(conn, stmt, each, user, err);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}
