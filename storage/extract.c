/* One collection as a directory of its own, and such a directory as a collection
 * again: rows are read from one file and written into another. Out of it they
 * keep their numbers; into it items, spaces and fields get numbers that were
 * never used, and one change number. The new ones lie close together, whatever
 * gaps the old ones had: numbers are never given out again, so a snapshot must
 * not be able to use them up. Rows about what is not there are left out.
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

/* What the number `value` of a kind becomes; NULL: there is no such. */
static void write_number(const copying *c, const char *kind, const char *value,
                         akin_buf *out)
{
    if (c->anew)
        akin_buf_printf(out, "(SELECT fresh FROM temp.new_%s WHERE old = %s)",
                        kind, value);
    else
        akin_buf_text(out, value);
}

/* Whether it is such a number. */
static bool write_column(const copying *c, const char *table,
                         const char *column, akin_buf *out)
{
    static const struct {
        const char *table, *column, *kind, *value; /* table NULL: all */
    } numbers[] = {{NULL, "num", "nums", "t.num"},
                   {NULL, "space", "spaces", "t.space"},
                   {NULL, "field", "fields", "t.field"},
                   {"dupe_edges", "a", "nums", "t.a"},
                   {"dupe_edges", "b", "nums", "t.b"}};

    if (!strcmp(column, "collection")) {
        akin_buf_printf(out, "%u", c->target);
        return false;
    }
    if (c->seq && !strcmp(column, "seq")) {
        akin_buf_printf(out, "%" PRIu64, c->seq);
        return false;
    }
    /* There is nothing to catch up with, and the name may be taken. */
    if (!strcmp(table, "collections") &&
        (!strcmp(column, "trimmed") || !strcmp(column, "name"))) {
        akin_buf_text(out, *column == 't' ? "0" : "NULL");
        return false;
    }
    if (c->anew && !strcmp(column, "key")) {
        akin_buf_text(out, "(");
        write_number(c, "spaces", "t.key >> 40", out);
        akin_buf_text(out, " << 40) | ");
        write_number(c, "nums", "(t.key & 1099511627775)", out);
        return true;
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(column, numbers[i].column) ||
            (numbers[i].table && strcmp(table, numbers[i].table)))
            continue;
        write_number(c, numbers[i].kind, numbers[i].value, out);
        return true;
    }
    akin_buf_printf(out, "t.\"%s\"", column);
    return false;
}

/* How the rows of a table are copied: "SELECT t.a, t.b FROM ...", "INSERT INTO
 * x(a, b) VALUES(?, ?)", and the columns that are numbers, by a bit each. */
typedef struct {
    akin_buf select, insert;
    uint64_t numbers;
} statements;

static akin_status write_statements(const copying *c, const char *table,
                                    const char *from, statements *out,
                                    akin_error *err)
{
    sqlite3_stmt *stmt;
    akin_buf marks = {0};
    bool row = true;
    akin_status rc =
        akin__query(c->to, &stmt, err, "SELECT name FROM pragma_table_info(?1)",
                    "s", table);

    akin_buf_text(&out->select, "SELECT ");
    akin_buf_printf(&out->insert, "INSERT INTO %s(", table);
    for (unsigned i = 0; !rc && i < 64; i++) {
        rc = akin__step(c->to, stmt, &row, err);
        if (rc || !row) break;
        const char *column = (const char *)sqlite3_column_text(stmt, 0);
        akin_buf_text(&out->select, i ? ", " : "");
        if (write_column(c, table, column ? column : "", &out->select))
            out->numbers |= (uint64_t)1 << i;
        akin_buf_printf(&out->insert, "%s\"%s\"", i ? ", " : "",
                        column ? column : "");
        akin_buf_text(&marks, i ? ", ?" : "?");
    }
    akin__release(c->to, stmt);
    akin_buf_printf(&out->select, " FROM %s", from);
    akin_buf_printf(&out->insert, ") VALUES(%s)",
                    marks.failed ? "" : akin_buf_cstr(&marks));
    if (!rc && (marks.failed || out->select.failed || out->insert.failed))
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

/* Every number the row is about is one that exists. */
static bool known(sqlite3_stmt *row, uint64_t numbers)
{
    for (int i = 0; numbers >> i; i++)
        if (numbers >> i & 1 && sqlite3_column_type(row, i) == SQLITE_NULL)
            return false;
    return true;
}

static akin_status copy_rows(copying *c, const char *select, const char *insert,
                             uint64_t numbers, akin_error *err)
{
    sqlite3_stmt *in = NULL, *out = NULL;
    bool row = true;
    akin_status rc =
        akin__query(c->from, &in, err, select, "u", (uint64_t)c->collection);

    if (!rc) rc = akin__query(c->to, &out, err, insert, "");
    while (!rc) {
        rc = akin__step(c->from, in, &row, err);
        if (rc || !row) break;
        if (!known(in, numbers)) continue;
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
    statements s = {.numbers = 0};
    akin_status rc = AKIN_OK;

    if (!strcmp(tables[i].table, "dupe_queue")) /* the triggers filled it */
        rc = akin__run(c->to, err,
                       "DELETE FROM dupe_queue WHERE collection = ?1", "u",
                       (uint64_t)c->target);
    if (!rc) rc = write_statements(c, tables[i].table, tables[i].from, &s, err);
    if (!rc)
        rc = copy_rows(c, akin_buf_cstr(&s.select), akin_buf_cstr(&s.insert),
                       s.numbers, err);
    akin_buf_clear(&s.select);
    akin_buf_clear(&s.insert);
    return rc;
}

static akin_status copy_captions(copying *c, akin_error *err)
{
    char insert[100];
    akin_buf select = {0};
    int64_t captions;
    akin_status rc =
        akin__one(c->from, &captions, NULL, err,
                  "SELECT captions FROM collections WHERE collection = ?1", "u",
                  (uint64_t)c->collection);

    if (rc || !captions) return rc;
    akin_buf_text(&select, "SELECT ");
    write_number(c, "nums", "t.rowid", &select);
    akin_buf_printf(&select, ", caption FROM captions_%u t WHERE ?1 > 0",
                    c->collection);
    sqlite3_snprintf((int)sizeof insert, insert,
                     "INSERT INTO captions_%u(rowid, caption) VALUES(?1, ?2)",
                     c->target);
    if (select.failed) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    if (!rc) rc = akin__captions_make(c->to, c->target, err);
    if (!rc) rc = copy_rows(c, akin_buf_cstr(&select), insert, 1, err);
    akin_buf_clear(&select);
    return rc;
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

/* ---- new numbers --------------------------------------------------------- */

/* temp.new_KIND: the numbers that the collection has, and those they become, in
 * the same order and without gaps. *after: what they begin behind. */
static akin_status number_kind(copying *c, const char *kind, const char *table,
                               const char *column, int64_t most, int64_t *after,
                               akin_error *err)
{
    char sql[300];
    int64_t n;
    akin_status rc = akin__one(
        c->to, after, NULL, err,
        "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?1), 0)",
        "s", table);

    sqlite3_snprintf((int)sizeof sql, sql,
                     "CREATE TEMP TABLE new_%s("
                     "old INTEGER PRIMARY KEY, fresh INTEGER NOT NULL)",
                     kind);
    if (!rc) rc = akin__exec(c->from, sql, err);
    sqlite3_snprintf((int)sizeof sql, sql,
                     "INSERT INTO temp.new_%s SELECT %s,"
                     " ?2 + row_number() OVER (ORDER BY %s) FROM %s"
                     " WHERE collection = ?1",
                     kind, column, column, table);
    if (!rc)
        rc =
            akin__run(c->from, err, sql, "ui", (uint64_t)c->collection, *after);
    sqlite3_snprintf((int)sizeof sql, sql, "SELECT count(*) FROM temp.new_%s",
                     kind);
    if (!rc) rc = akin__one(c->from, &n, NULL, err, sql, "");
    if (!rc && n > most - *after)
        rc =
            akin_fail(err, AKIN_TOO_LARGE, "no numbers are left for %s", table);
    return rc;
}

akin_status akin__number_anew(copying *c, akin_error *err)
{
    int64_t after;
    akin_status rc = number_kind(c, "nums", "items", "num",
                                 (int64_t)AKIN_MAX_NUM, &c->nums, err);
    if (!rc)
        rc = number_kind(c, "spaces", "spaces", "space", AKIN__MAX_SPACE,
                         &after, err);
    if (!rc)
        rc =
            number_kind(c, "fields", "fields", "field", INT64_MAX, &after, err);
    c->anew = true;
    return rc;
}

/* ---- thumbnails ---------------------------------------------------------- */

akin_status akin__copy_thumbs(copying *c, akin__conn *items, akin__conn *from,
                              akin__conn *to, akin_error *err)
{
    sqlite3_stmt *stmt, *thumb = NULL;
    bool row = true, found;
    akin_status rc = akin__query(items, &stmt, err,
                                 "SELECT num FROM items WHERE collection = ?1"
                                 " ORDER BY num",
                                 "u", (uint64_t)c->collection);

    for (uint64_t fresh = (uint64_t)c->nums + 1; !rc; fresh++) {
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
                           "ub", c->anew ? fresh : num, akin__column(thumb, 0));
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
