/* Who destroyed what, and when: one row for a command, and one for a run of the
 * same command of the same client on the same collection, so that removing ten
 * thousand items one by one does not push everything else out. */
#include "internal.h"

#include <string.h>

#define RUN_MS 60000 /* from the last one on */

/* The newest row's number when it is of the same run, else 0. */
static akin_status find_run(akin__writing *w, const akin_audit *a, int64_t *n,
                            akin_error *err)
{
    bool found;
    akin_status rc = akin__one(w->conn, n, &found, err,
                               "SELECT n FROM audit WHERE n = (SELECT max(n)"
                               " FROM audit) AND who = ?1 AND what = ?2 AND"
                               " last >= ?3",
                               "tti", a->who, a->what, w->now_ms - RUN_MS);
    if (!found) *n = 0;
    return rc;
}

akin_status akin__op_audit(akin__writing *w, const akin_write *op,
                           akin_write_result *result, akin_error *err)
{
    const akin_audit *a = op->audit;
    int64_t n = 0;

    if (!a || !a->who.data || !a->what.data || !a->detail.data)
        return akin_fail(err, AKIN_INVALID, "audit without who, what, detail");
    akin_status rc = akin__check_text(a->who, AKIN_MAX_AUDIT_BYTES, "who", err);
    if (!rc) rc = akin__check_text(a->what, AKIN_MAX_AUDIT_BYTES, "what", err);
    if (!rc)
        rc = akin__check_text(a->detail, AKIN_MAX_AUDIT_BYTES, "detail", err);
    if (!rc) rc = find_run(w, a, &n, err);
    if (rc) return rc;
    result->outcome = n ? AKIN_UPDATED : AKIN_CREATED;
    if (n)
        return akin__run(w->conn, err,
                         "UPDATE audit SET last = ?1, times = times + 1,"
                         " detail = ?2 WHERE n = ?3",
                         "iti", w->now_ms, a->detail, n);
    rc = akin__run(w->conn, err,
                   "INSERT INTO audit(first, last, times, who, what, detail)"
                   " VALUES(?1, ?1, 1, ?2, ?3, ?4)",
                   "ittt", w->now_ms, a->who, a->what, a->detail);
    if (rc) return rc;
    return akin__run(w->conn, err, "DELETE FROM audit WHERE n <= ?1", "i",
                     (int64_t)sqlite3_last_insert_rowid(w->conn->db) -
                         AKIN_MAX_AUDIT);
}

akin_status akin_storage_audit(akin_storage *s, uint64_t limit,
                               akin_audit_each *each, void *user,
                               akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool row = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT first, last, times, who, what, detail FROM audit"
                     " ORDER BY n DESC LIMIT ?1",
                     "i",
                     limit && limit < INT64_MAX ? (int64_t)limit : (int64_t)-1);
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        akin_audit a = {.first_ms = sqlite3_column_int64(stmt, 0),
                        .last_ms = sqlite3_column_int64(stmt, 1),
                        .times = akin__column_u64(stmt, 2),
                        .who = akin__column(stmt, 3),
                        .what = akin__column(stmt, 4),
                        .detail = akin__column(stmt, 5)};
        if (!each(user, &a)) break;
    }
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}
