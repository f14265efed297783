/* A connection and its statements.
 *
 * Preparing costs about as much as running a short statement, so each
 * connection keeps what it prepared, found by the text's hash. A connection is
 * used by one thread at a time, hence NOMUTEX. */
#include "internal.h"

#include <string.h>

akin_status akin__sqlite_status(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return AKIN_OK;
    case SQLITE_NOMEM: return AKIN_NOMEM;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return AKIN_BUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return AKIN_CORRUPT;
    case SQLITE_TOOBIG: return AKIN_TOO_LARGE;
    case SQLITE_INTERRUPT: return AKIN_CANCELLED;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM: return AKIN_IO;
    default: return AKIN_INTERNAL;
    }
}

akin_status akin__fail_sqlite(akin__conn *conn, int rc, const char *doing,
                              akin_error *err)
{
    const char *text = conn->db ? sqlite3_errmsg(conn->db) : NULL;
    return akin_fail(err, akin__sqlite_status(rc), "%s: %s", doing,
                     text ? text : sqlite3_errstr(rc));
}

akin_status akin__exec(akin__conn *conn, const char *sql, akin_error *err)
{
    int rc = sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
    return rc ? akin__fail_sqlite(conn, rc, "SQLite", err) : AKIN_OK;
}

static akin_status set_up(akin__conn *conn, bool read_only, bool unsafe,
                          uint64_t cache_bytes, akin_error *err)
{
    char text[400];

    /* The other process that may hold a lock is a backup tool or the shell. */
    sqlite3_busy_timeout(conn->db, 10000);
    sqlite3_extended_result_codes(conn->db, 1);
    sqlite3_snprintf((int)sizeof text, text,
                     "PRAGMA cache_size = -%lld;"
                     "PRAGMA temp_store = MEMORY;"
                     "PRAGMA foreign_keys = ON;",
                     (long long)(cache_bytes / 1024));
    akin_status rc = akin__exec(conn, text, err);
    /* Looking vectors up by number takes half the time of pread. Nothing ever
     * truncates the file while it is open. */
    if (!rc && read_only)
        rc = akin__exec(conn, "PRAGMA mmap_size = 2147418112", err);
    if (rc || read_only) return rc;
    /* A quarter of 32 MiB pages the WAL before it is copied back; Debian builds
     * SQLite with secure_delete on, which writes every freed page. */
    sqlite3_snprintf((int)sizeof text, text,
                     "PRAGMA page_size = %d;"
                     "PRAGMA journal_mode = WAL;"
                     "PRAGMA synchronous = %s;"
                     "PRAGMA secure_delete = OFF;"
                     "PRAGMA wal_autocheckpoint = 4096;"
                     "PRAGMA journal_size_limit = 67108864;",
                     AKIN__PAGE_BYTES, unsafe ? "OFF" : "FULL");
    return akin__exec(conn, text, err);
}

akin_status akin__conn_open(const char *path, bool read_only, bool unsafe,
                            uint64_t cache_bytes, akin__conn *conn,
                            akin_error *err)
{
    int flags = read_only ? SQLITE_OPEN_READONLY
                          : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;

    memset(conn, 0, sizeof *conn);
    int rc =
        sqlite3_open_v2(path, &conn->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    akin_status status = rc ? akin__fail_sqlite(conn, rc, path, err)
                            : set_up(conn, read_only, unsafe, cache_bytes, err);
    if (status) {
        akin__conn_close(conn);
        return rc ? status : akin_fail_prefix(err, status, "%s", path);
    }
    return AKIN_OK;
}

void akin__conn_close(akin__conn *conn)
{
    for (uint32_t i = 0; i < AKIN__STATEMENTS; i++)
        sqlite3_finalize(conn->cached[i].stmt);
    sqlite3_close(conn->db);
    memset(conn, 0, sizeof *conn);
}

static uint64_t hash_text(const char *s)
{
    uint64_t h = 1469598103934665603u; /* FNV-1a */
    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 1099511628211u;
    return h;
}

/* A place for a new statement: an empty one, or the next that is not busy. */
static akin__cached *place(akin__conn *conn)
{
    for (uint32_t i = 0; i < AKIN__STATEMENTS; i++)
        if (!conn->cached[i].stmt) return &conn->cached[i];
    for (uint32_t i = 0; i < AKIN__STATEMENTS; i++) {
        akin__cached *c = &conn->cached[conn->next++ % AKIN__STATEMENTS];
        if (c->busy) continue;
        sqlite3_finalize(c->stmt);
        memset(c, 0, sizeof *c);
        return c;
    }
    return NULL;
}

static akin_status prepare(akin__conn *conn, const char *sql,
                           sqlite3_stmt **out, akin_error *err)
{
    uint64_t hash = hash_text(sql);

    for (uint32_t i = 0; i < AKIN__STATEMENTS; i++) {
        akin__cached *c = &conn->cached[i];
        if (c->busy || c->hash != hash || !c->stmt) continue;
        if (strcmp(sqlite3_sql(c->stmt), sql) != 0) continue;
        c->busy = true;
        *out = c->stmt;
        return AKIN_OK;
    }
    akin__cached *c = place(conn);
    if (!c)
        return akin_fail(err, AKIN_INTERNAL, "more than %d statements in use",
                         AKIN__STATEMENTS);
    int rc = sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT,
                                &c->stmt, NULL);
    if (rc) return akin__fail_sqlite(conn, rc, "SQLite", err);
    c->hash = hash;
    c->busy = true;
    *out = c->stmt;
    return AKIN_OK;
}

static int bind_bytes(sqlite3_stmt *stmt, int i, akin_span s, bool text)
{
    if (!s.data) return sqlite3_bind_null(stmt, i);
    if (text)
        return sqlite3_bind_text64(stmt, i, s.data, s.size, SQLITE_STATIC,
                                   SQLITE_UTF8);
    return sqlite3_bind_blob64(stmt, i, s.data, s.size, SQLITE_STATIC);
}

static int bind(sqlite3_stmt *stmt, const char *types, va_list args)
{
    int rc = SQLITE_OK;
    for (int i = 1; types[i - 1] && !rc; i++) {
        switch (types[i - 1]) {
        case 'i':
            rc = sqlite3_bind_int64(stmt, i, va_arg(args, int64_t));
            break;
        case 'u':
            rc = sqlite3_bind_int64(stmt, i, (int64_t)va_arg(args, uint64_t));
            break;
        case 'd':
            rc = sqlite3_bind_double(stmt, i, va_arg(args, double));
            break;
        case 't':
            rc = bind_bytes(stmt, i, va_arg(args, akin_span), true);
            break;
        case 'b':
            rc = bind_bytes(stmt, i, va_arg(args, akin_span), false);
            break;
        case 's':
            rc = bind_bytes(stmt, i, akin_span_of(va_arg(args, const char *)),
                            true);
            break;
        case 'h': {
            const uint8_t *hash = va_arg(args, const uint8_t *);
            rc = bind_bytes(stmt, i, (akin_span){hash, AKIN_HASH_BYTES}, false);
            break;
        }
        case 'n': rc = sqlite3_bind_null(stmt, i); break;
        default: rc = SQLITE_MISUSE;
        }
    }
    return rc;
}

static akin_status query(akin__conn *conn, sqlite3_stmt **out, akin_error *err,
                         const char *sql, const char *types, va_list args)
{
    *out = NULL;
    akin_status status = prepare(conn, sql, out, err);
    if (status) return status;
    int rc = bind(*out, types, args);
    if (!rc) return AKIN_OK;
    akin__release(conn, *out);
    *out = NULL;
    return akin__fail_sqlite(conn, rc, "SQLite", err);
}

akin_status akin__query(akin__conn *conn, sqlite3_stmt **out, akin_error *err,
                        const char *sql, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    akin_status rc = query(conn, out, err, sql, types, args);
    va_end(args);
    return rc;
}

akin_status akin__step(akin__conn *conn, sqlite3_stmt *stmt, bool *row,
                       akin_error *err)
{
    int rc = sqlite3_step(stmt);
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) return AKIN_OK;
    return akin__fail_sqlite(conn, rc, "SQLite", err);
}

void akin__release(akin__conn *conn, sqlite3_stmt *stmt)
{
    if (!stmt) return;
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    for (uint32_t i = 0; i < AKIN__STATEMENTS; i++)
        if (conn->cached[i].stmt == stmt) conn->cached[i].busy = false;
}

akin_status akin__run(akin__conn *conn, akin_error *err, const char *sql,
                      const char *types, ...)
{
    sqlite3_stmt *stmt;
    bool row;
    va_list args;

    va_start(args, types);
    akin_status rc = query(conn, &stmt, err, sql, types, args);
    va_end(args);
    if (rc) return rc;
    conn->dirty = true;
    rc = akin__step(conn, stmt, &row, err);
    akin__release(conn, stmt);
    return rc;
}

akin_status akin__one(akin__conn *conn, int64_t *out, bool *found,
                      akin_error *err, const char *sql, const char *types, ...)
{
    sqlite3_stmt *stmt;
    bool row = false;
    va_list args;

    *out = 0;
    va_start(args, types);
    akin_status rc = query(conn, &stmt, err, sql, types, args);
    va_end(args);
    if (!rc) rc = akin__step(conn, stmt, &row, err);
    if (!rc && row) *out = sqlite3_column_int64(stmt, 0);
    if (found) *found = row;
    akin__release(conn, stmt);
    return rc;
}

akin_span akin__column(sqlite3_stmt *stmt, int column)
{
    if (sqlite3_column_type(stmt, column) == SQLITE_NULL)
        return (akin_span){NULL, 0};
    /* As text even for bytes: that is what puts a NUL behind. */
    const void *data = sqlite3_column_text(stmt, column);
    int size = sqlite3_column_bytes(stmt, column);
    return (akin_span){data, size > 0 ? (size_t)size : 0};
}

uint64_t akin__column_u64(sqlite3_stmt *stmt, int column)
{
    int64_t v = sqlite3_column_int64(stmt, column);
    return v > 0 ? (uint64_t)v : 0;
}

const uint8_t *akin__column_hash(sqlite3_stmt *stmt, int column)
{
    const void *data = sqlite3_column_blob(stmt, column);
    return sqlite3_column_bytes(stmt, column) == AKIN_HASH_BYTES ? data : NULL;
}
