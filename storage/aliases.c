/* Aliases: other names of collections. A name is a collection's or an alias,
 * never both; names of dropped collections are free. */
#include "internal.h"

#include <string.h>

/* ---- changing ------------------------------------------------------------ */

static akin_status name_is_free(akin__writing *w, akin_span name,
                                akin_error *err)
{
    int64_t there = 0;
    akin_status rc = akin__check_name(name, err);

    if (!rc)
        rc = akin__one(w->conn, &there, NULL, err,
                       "SELECT count(*) FROM collections WHERE name = ?1", "t",
                       name);
    if (rc || !there) return rc;
    return akin_fail(err, AKIN_EXISTS, "collection \"%.*s\" exists",
                     (int)name.size, (const char *)name.data);
}

static akin_status set_alias(akin__writing *w, const akin_alias_op *a,
                             akin_error *err)
{
    akin__collection c;
    akin_status rc = akin__collection_row(w->conn, a->collection, &c, err);

    if (!rc) rc = name_is_free(w, a->name, err);
    return rc ? rc
              : akin__run(w->conn, err,
                          "INSERT INTO aliases(alias, collection)"
                          " VALUES(?1, ?2) ON CONFLICT(alias)"
                          " DO UPDATE SET collection = excluded.collection",
                          "tu", a->name, (uint64_t)a->collection);
}

static akin_status rename_alias(akin__writing *w, const akin_alias_op *a,
                                akin_error *err)
{
    int64_t there;
    akin_status rc = akin__check_name(a->name, err);

    if (!rc)
        rc = akin__one(w->conn, &there, NULL, err,
                       "SELECT count(*) FROM aliases WHERE alias = ?1", "t",
                       a->name);
    if (!rc && !there)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no alias \"%.*s\"",
                       (int)a->name.size, (const char *)a->name.data);
    if (!rc) rc = name_is_free(w, a->to, err);
    return rc ? rc
              : akin__run(w->conn, err,
                          "UPDATE OR REPLACE aliases SET alias = ?2"
                          " WHERE alias = ?1",
                          "tt", a->name, a->to);
}

akin_status akin__op_aliases(akin__writing *w, const akin_write *op,
                             akin_write_result *result, akin_error *err)
{
    akin_status rc = AKIN_OK;

    if (op->naliases > AKIN_MAX_ALIASES)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "expected at most %d changes of aliases, got %zu",
                         AKIN_MAX_ALIASES, op->naliases);
    for (size_t i = 0; !rc && i < op->naliases; i++) {
        const akin_alias_op *a = &op->aliases[i];
        if (a->to.data)
            rc = rename_alias(w, a, err);
        else if (a->collection)
            rc = set_alias(w, a, err);
        else
            rc = akin__run(w->conn, err, "DELETE FROM aliases WHERE alias = ?1",
                           "t", a->name);
    }
    result->outcome = AKIN_UPDATED;
    return rc;
}

/* ---- reading ------------------------------------------------------------- */

akin_status akin_storage_aliases(akin_storage *s, akin_alias_each *each,
                                 void *user, akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool row = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc =
        akin__query(conn, &stmt, err,
                    "SELECT alias, collection FROM aliases ORDER BY alias", "");
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        const char *alias = (const char *)sqlite3_column_text(stmt, 0);
        if (alias && !each(user, alias, (uint32_t)akin__column_u64(stmt, 1)))
            break;
    }
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}
