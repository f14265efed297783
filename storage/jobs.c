/* Jobs: reading. */
#include "internal.h"

static const char *const state_names[AKIN_JOB_STATES] = {
    "running", "done", "failed", "cancelled", "interrupted"};

const char *akin_job_state_name(akin_job_state state)
{
    return (unsigned)state < AKIN_JOB_STATES ? state_names[state] : "unknown";
}

static const char *text(sqlite3_stmt *stmt, int column)
{
    const unsigned char *t = sqlite3_column_text(stmt, column);
    return t ? (const char *)t : "";
}

akin_status akin_storage_jobs(akin_storage *s, uint64_t job, uint64_t limit,
                              akin_job_each *each, void *user, akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool row = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT job, kind, collection, state, parameters,"
                     " progress, message, errors, created, changed FROM jobs"
                     " WHERE ?1 = 0 OR job = ?1 ORDER BY job DESC LIMIT ?2",
                     "ui", job,
                     limit && limit < INT64_MAX ? (int64_t)limit : (int64_t)-1);
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        akin_job_info info = {.job = akin__column_u64(stmt, 0),
                              .kind = text(stmt, 1),
                              .collection = (uint32_t)akin__column_u64(stmt, 2),
                              .state =
                                  (akin_job_state)akin__column_u64(stmt, 3),
                              .parameters = text(stmt, 4),
                              .progress = text(stmt, 5),
                              .message = text(stmt, 6),
                              .errors = akin__column_u64(stmt, 7),
                              .created_ms = sqlite3_column_int64(stmt, 8),
                              .changed_ms = sqlite3_column_int64(stmt, 9)};
        if (!each(user, &info)) break;
    }
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}

akin_status akin_storage_job_errors(akin_storage *s, uint64_t job,
                                    akin_job_error_each *each, void *user,
                                    akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool row = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT item, message FROM job_errors WHERE job = ?1"
                     " ORDER BY n",
                     "u", job);
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        akin_span item = akin__column(stmt, 0);
        if (!each(user, item, text(stmt, 1))) break;
    }
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}
