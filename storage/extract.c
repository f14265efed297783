/* One collection as a directory of its own, and such a directory as a collection
 * again: rows are read from one file and written into another. Out of it they
 * keep their numbers; into it items, spaces and fields get numbers that were
 * never used, by adding the same to each, and one change number.
 *
 * Columns come from SQLite's table_info, so that a new column is copied without
 * a word here; a new table needs a row in `tables`. */
#include "extract.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef akin__copying copying;

#define ROWS_A_STEP 1024 /* between two calls of progress */

static const struct {
    const char *table, *from; /* t is the table; ?1 the collection's number */
} tables[] = {
    {"collections", "collections t WHERE t.collection = ?1"},
    {"spaces", "spaces t WHERE t.collection = ?1"},
    {"fields", "fields t WHERE t.collection = ?1"},
    {"items", "items t WHERE t.collection = ?1"},
    {"vectors", "spaces s CROSS JOIN vectors t ON t.key >= s.space << 40"
                " AND t.key < (s.space + 1) << 40 WHERE s.collection = ?1"},
    {"tags", "fields f CROSS JOIN tags t ON t.field = f.field"
             " WHERE f.collection = ?1"},
    {"sketches", "items i CROSS JOIN sketches t ON t.num = i.num"
                 " WHERE i.collection = ?1"},
    {"dupe_queue", "dupe_queue t WHERE t.collection = ?1"},
    {"dupe_edges", "dupe_edges t WHERE t.collection = ?1"},
    {"dupe_dismissed", "dupe_dismissed t WHERE t.collection = ?1"},
};

/* ---- rows ---------------------------------------------------------------- */

static void write_column(const copying *c, const char *table,
                         const char *column, akin_buf *out)
{
    int64_t keys = (int64_t)((uint64_t)c->spaces << AKIN__NUM_BITS) + c->nums;
    bool edge = !strcmp(table, "dupe_edges") && strlen(column) == 1;
    const struct {
        const char *name;
        int64_t add;
    } shifted[] = {{"num", c->nums},
                   {"space", c->spaces},
                   {"field", c->fields},
                   {"key", keys},
                   {edge ? column : "", c->nums}}; /* a, b */

    if (!strcmp(column, "collection")) {
        akin_buf_printf(out, "%u", c->target);
        return;
    }
    if (c->seq && !strcmp(column, "seq")) {
        akin_buf_printf(out, "%" PRIu64, c->seq);
        return;
    }
    /* There is nothing to catch up with, and the name may be taken. */
    if (!strcmp(table, "collections") &&
        (!strcmp(column, "trimmed") || !strcmp(column, "name"))) {
        akin_buf_text(out, *column == 't' ? "0" : "NULL");
        return;
    }
    akin_buf_printf(out, "t.\"%s\"", column);
    for (size_t i = 0; i < sizeof shifted / sizeof *shifted; i++)
        if (!strcmp(column, shifted[i].name))
            akin_buf_printf(out, " + %" PRId64, shifted[i].add);
}

/* "SELECT t.a, t.b + 7 FROM ..." and "INSERT INTO x(a, b) VALUES(?, ?)" */
static akin_status write_statements(const copying *c, const char *table,
                                    const char *from, akin_buf *select,
                                    akin_buf *insert, akin_error *err)
{
    sqlite3_stmt *stmt;
    akin_buf marks = {0};
    bool row = true;
    akin_status rc =
        akin__query(c->to, &stmt, err, "SELECT name FROM pragma_table_info(?1)",
                    "s", table);

    akin_buf_text(select, "SELECT ");
    akin_buf_printf(insert, "INSERT INTO %s(", table);
    for (bool first = true; !rc; first = false) {
        rc = akin__step(c->to, stmt, &row, err);
        if (rc || !row) break;
        const char *column = (const char *)sqlite3_column_text(stmt, 0);
        akin_buf_text(select, first ? "" : ", ");
        write_column(c, table, column ? column : "", select);
        akin_buf_printf(insert, "%s\"%s\"", first ? "" : ", ",
                        column ? column : "");
        akin_buf_text(&marks, first ? "?" : ", ?");
    }
    akin__release(c->to, stmt);
    akin_buf_printf(select, " FROM %s", from);
    akin_buf_printf(insert, ") VALUES(%s)",
                    marks.failed ? "" : akin_buf_cstr(&marks));
    if (!rc && (marks.failed || select->failed || insert->failed))
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    akin_buf_clear(&marks);
    return rc;
}

static akin_status step_on(copying *c, akin_error *err)
{
    if (++c->done % ROWS_A_STEP || !c->progress) return AKIN_OK;
    uint64_t done = c->done < c->total ? c->done : c->total;
    return c->progress(c->user, done, c->total)
               ? AKIN_OK
               : akin_fail(err, AKIN_CANCELLED, "snapshot cancelled");
}

static akin_status copy_rows(copying *c, const char *select, const char *insert,
                             akin_error *err)
{
    sqlite3_stmt *in = NULL, *out = NULL;
    bool row = true;
    akin_status rc =
        akin__query(c->from, &in, err, select, "u", (uint64_t)c->collection);

    if (!rc) rc = akin__query(c->to, &out, err, insert, "");
    while (!rc) {
        rc = akin__step(c->from, in, &row, err);
        if (rc || !row) break;
        for (int i = 0; i < sqlite3_column_count(in); i++)
            sqlite3_bind_value(out, i + 1, sqlite3_column_value(in, i));
        c->to->dirty = true;
        int step = sqlite3_step(out);
        if (step != SQLITE_DONE)
            rc = akin__fail_sqlite(c->to, step, "snapshot", err);
        sqlite3_reset(out);
        if (!rc) rc = step_on(c, err);
    }
    akin__release(c->to, out);
    akin__release(c->from, in);
    return rc;
}

static akin_status copy_table(copying *c, size_t i, akin_error *err)
{
    akin_buf select = {0}, insert = {0};
    akin_status rc = AKIN_OK;

    if (!strcmp(tables[i].table, "dupe_queue")) /* the triggers filled it */
        rc = akin__run(c->to, err,
                       "DELETE FROM dupe_queue WHERE collection = ?1", "u",
                       (uint64_t)c->target);
    if (!rc)
        rc = write_statements(c, tables[i].table, tables[i].from, &select,
                              &insert, err);
    if (!rc)
        rc = copy_rows(c, akin_buf_cstr(&select), akin_buf_cstr(&insert), err);
    akin_buf_clear(&select);
    akin_buf_clear(&insert);
    return rc;
}

static akin_status copy_captions(copying *c, akin_error *err)
{
    char select[160], insert[100];
    int64_t captions;
    akin_status rc =
        akin__one(c->from, &captions, NULL, err,
                  "SELECT captions FROM collections WHERE collection = ?1", "u",
                  (uint64_t)c->collection);

    if (rc || !captions) return rc;
    sqlite3_snprintf((int)sizeof select, select,
                     "SELECT rowid + %lld, caption FROM captions_%u"
                     " WHERE ?1 > 0",
                     (long long)c->nums, c->collection);
    sqlite3_snprintf((int)sizeof insert, insert,
                     "INSERT INTO captions_%u(rowid, caption) VALUES(?1, ?2)",
                     c->target);
    rc = akin__captions_make(c->to, c->target, err);
    return rc ? rc : copy_rows(c, select, insert, err);
}

static akin_status make_indexes(copying *c, akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = true;
    akin_status rc = akin__query(c->to, &stmt, err,
                                 "SELECT field, path FROM fields WHERE"
                                 " collection = ?1 AND type <> 'tags'",
                                 "u", (uint64_t)c->target);
    while (!rc) {
        rc = akin__step(c->to, stmt, &row, err);
        if (rc || !row) break;
        uint64_t field = akin__column_u64(stmt, 0);
        akin_buf path = {0};
        rc = akin__json_path(akin__column(stmt, 1), &path, err);
        if (!rc)
            rc = akin__field_index(c->to, c->target, field,
                                   akin_buf_cstr(&path), err);
        akin_buf_clear(&path);
    }
    akin__release(c->to, stmt);
    return rc;
}

akin_status akin__copy_collection(copying *c, akin_span name, akin_error *err)
{
    int64_t rows;
    akin_status rc = akin__one(
        c->from, &rows, NULL, err,
        "SELECT items + (SELECT coalesce(sum(count), 0) FROM spaces"
        " WHERE collection = ?1) FROM collections WHERE collection = ?1",
        "u", (uint64_t)c->collection);
    if (!rc) c->total = (uint64_t)rows;
    for (size_t i = 0; !rc && i < sizeof tables / sizeof *tables; i++)
        rc = copy_table(c, i, err);
    if (!rc) rc = copy_captions(c, err);
    if (!rc) rc = make_indexes(c, err);
    if (!rc)
        rc = akin__run(c->to, err,
                       "UPDATE collections SET name = ?1 WHERE collection = ?2",
                       "tu", name, (uint64_t)c->target);
    return rc;
}

/* ---- thumbnails ---------------------------------------------------------- */

akin_status akin__copy_thumbs(copying *c, akin__conn *items, akin__conn *from,
                              akin__conn *to, akin_error *err)
{
    sqlite3_stmt *stmt, *thumb = NULL;
    bool row = true, found;
    akin_status rc = akin__query(items, &stmt, err,
                                 "SELECT num FROM items WHERE collection = ?1",
                                 "u", (uint64_t)c->collection);

    while (!rc) {
        rc = akin__step(items, stmt, &row, err);
        if (rc || !row) break;
        uint64_t num = akin__column_u64(stmt, 0);
        rc = akin__query(from, &thumb, err,
                         "SELECT picture FROM thumbs WHERE num = ?1", "u", num);
        if (!rc) rc = akin__step(from, thumb, &found, err);
        if (!rc && found)
            rc = akin__run(to, err,
                           "INSERT OR REPLACE INTO thumbs VALUES"
                           "(?1, ?2)",
                           "ub", (uint64_t)((int64_t)num + c->nums),
                           akin__column(thumb, 0));
        akin__release(from, thumb);
        thumb = NULL;
        if (!rc) rc = step_on(c, err);
    }
    akin__release(items, stmt);
    return rc;
}

/* ---- out of the store ---------------------------------------------------- */

static akin_status open_fresh(const char *path, const char *const *schema,
                              uint32_t steps, akin__conn *conn, akin_error *err)
{
    akin_status rc = akin__conn_open(path, false, true, 16u << 20, conn, err);
    if (!rc) rc = akin__migrate(conn, schema, steps, path, false, err);
    if (!rc) rc = akin__exec(conn, "BEGIN IMMEDIATE", err);
    return rc;
}

static akin_status export_thumbs(copying *c, akin_storage *s, const char *dir,
                                 akin_error *err)
{
    char path[4300];
    akin__conn from = {0}, to = {0};

    snprintf(path, sizeof path, "%s/thumbs.db", s->dir);
    akin_status rc = akin__conn_open(path, true, false, 1u << 20, &from, err);
    snprintf(path, sizeof path, "%s/thumbs.db", dir);
    if (!rc)
        rc = open_fresh(path, akin__thumbs_schema, akin__thumbs_schema_steps,
                        &to, err);
    if (!rc) rc = akin__copy_thumbs(c, c->from, &from, &to, err);
    if (!rc) rc = akin__exec(&to, "COMMIT", err);
    akin__conn_close(&from);
    akin__conn_close(&to);
    return rc;
}

static akin_status name_of(copying *c, akin_buf *out, akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row;
    akin_status rc = akin__query(
        c->from, &stmt, err,
        "SELECT name FROM collections WHERE collection = ?1 AND name NOT NULL",
        "u", (uint64_t)c->collection);

    if (!rc) rc = akin__step(c->from, stmt, &row, err);
    if (!rc && !row)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no collection %u", c->collection);
    if (!rc) {
        akin_span name = akin__column(stmt, 0);
        akin_buf_append(out, name.data, name.size);
        if (out->failed) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    akin__release(c->from, stmt);
    return rc;
}

static akin_status export_rows(copying *c, akin_error *err)
{
    akin_buf name = {0};
    int64_t seq;

    akin_status rc = name_of(c, &name, err);
    if (!rc)
        rc = akin__copy_collection(c, (akin_span){name.data, name.size}, err);
    if (!rc)
        rc = akin__one(c->from, &seq, NULL, err,
                       "SELECT value FROM counters WHERE name = 'seq'", "");
    if (!rc)
        rc = akin__run(c->to, err,
                       "UPDATE counters SET value = ?1 WHERE name = 'seq'", "i",
                       seq);
    akin_buf_clear(&name);
    return rc ? rc : akin__exec(c->to, "COMMIT", err);
}

akin_status akin_storage_export(akin_storage *s, uint32_t collection,
                                const char *dir, akin_backup_progress *progress,
                                void *user, akin_error *err)
{
    char path[4300];
    akin__conn from = {0}, to = {0};
    copying c = {.from = &from,
                 .to = &to,
                 .collection = collection,
                 .target = collection,
                 .progress = progress,
                 .user = user};

    if (strlen(dir) > AKIN_MAX_PATH_BYTES)
        return akin_fail(err, AKIN_INVALID, "the directory's name is too long");
    akin_status rc = akin_dir_make(dir, err);
    snprintf(path, sizeof path, "%s/akin.db", s->dir);
    if (!rc) rc = akin__conn_open(path, true, false, 16u << 20, &from, err);
    if (!rc) rc = akin__exec(&from, "BEGIN", err); /* one snapshot of it */
    snprintf(path, sizeof path, "%s/akin.db", dir);
    if (!rc && access(path, F_OK) == 0)
        rc = akin_fail(err, AKIN_EXISTS, "%s exists", path);
    if (!rc) rc = open_fresh(path, akin__schema, akin__schema_steps, &to, err);
    if (!rc) rc = export_rows(&c, err);
    if (!rc && s->thumbs.open) rc = export_thumbs(&c, s, dir, err);
    akin__conn_close(&to);
    akin__conn_close(&from);
    return rc ? rc : akin_dir_sync(dir, err);
}
