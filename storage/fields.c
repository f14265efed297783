/* Declared fields: an index per field, so that a selective filter need not read
 * all items.
 *
 *   tags       rows (field, element, item) in the table tags
 *   the rest   a partial expression index on items, field_N
 *
 * The element of a tag is the text or the number itself; a text that spells a
 * number has a row for that, too, since filters compare the two as numbers. A
 * field that holds a text instead of an array has one row with an empty blob:
 * `in` then means substring, and the filter itself has to look. */
#include "plan.h"

#include <string.h>

static bool plain_name(const char *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i] < 0x20 || p[i] > 0x7e || p[i] == '"' || p[i] == '\\')
            return false;
    return size > 0;
}

akin_status akin__json_path(akin_span path, akin_buf *out, akin_error *err)
{
    const char *p = path.data, *end = p + path.size;

    if (path.size == 0 || path.size > AKIN_MAX_NAME_BYTES)
        return akin_fail(err, AKIN_INVALID,
                         "field of %zu bytes, expected 1 to %d", path.size,
                         AKIN_MAX_NAME_BYTES);
    akin_buf_text(out, "$");
    for (;;) {
        const char *dot = memchr(p, '.', (size_t)(end - p));
        const char *stop = dot ? dot : end;
        if (!plain_name(p, (size_t)(stop - p)))
            return akin_fail(err, AKIN_INVALID,
                             "field \"%.*s\": an indexed field's names are "
                             "printable ASCII without quotes and backslashes",
                             (int)path.size, (const char *)path.data);
        akin_buf_text(out, ".\"");
        akin_buf_append(out, p, (size_t)(stop - p));
        akin_buf_text(out, "\"");
        if (!dot) break;
        p = dot + 1;
    }
    return out->failed ? akin_fail(err, AKIN_NOMEM, "out of memory") : AKIN_OK;
}

/* ---- tags ---------------------------------------------------------------- */

typedef struct {
    akin__conn *conn;
    uint64_t field, num;
    bool remove;
} tagging;

static akin_status tag_row(const tagging *t, const char *types, akin_span text,
                           double number, akin_error *err)
{
    const char *sql = t->remove ? "DELETE FROM tags WHERE field = ?1"
                                  " AND num = ?2 AND value = ?3"
                                : "INSERT OR IGNORE INTO tags(field, num,"
                                  " value) VALUES(?1, ?2, ?3)";
    if (types[2] == 'd')
        return akin__run(t->conn, err, sql, types, t->field, t->num, number);
    return akin__run(t->conn, err, sql, types, t->field, t->num, text);
}

static akin_status tag_text(const tagging *t, const akin__value *v,
                            akin_error *err)
{
    char *decoded = NULL;
    akin_span text = v->text;
    bool is;

    if (v->escaped) {
        decoded = akin_alloc(text.size);
        if (!decoded) return akin_fail(err, AKIN_NOMEM, "out of memory");
        text = (akin_span){decoded, akin__json_decode(text, decoded)};
    }
    double number = akin__text_number(text, &is);
    if (text.size == 0) text.data = "";
    akin_status rc = tag_row(t, "uut", text, 0, err);
    if (!rc && is) rc = tag_row(t, "uud", text, number, err);
    akin_free(decoded);
    return rc;
}

static akin_status tag_item(const tagging *t, akin_span attributes,
                            akin_span path, akin_error *err)
{
    akin__value v = akin__json_field(attributes, path), element;
    akin_status rc = AKIN_OK;
    size_t at = 0;

    if (v.type == AKIN__STRING)
        return tag_row(t, "uub", (akin_span){"", 0}, 0, err);
    if (v.type != AKIN__ARRAY) return AKIN_OK;
    while (!rc && akin__json_element(v.text, &at, &element)) {
        if (element.type == AKIN__NUMBER)
            rc = tag_row(t, "uud", (akin_span){0}, element.number, err);
        if (element.type == AKIN__STRING) rc = tag_text(t, &element, err);
    }
    return rc;
}

static akin_status each_tag_field(akin__conn *conn, uint32_t collection,
                                  uint64_t num, akin_span attributes,
                                  bool remove, akin_error *err)
{
    tagging t = {conn, 0, num, remove};
    sqlite3_stmt *stmt;
    bool row = true;
    akin_status rc = akin__query(conn, &stmt, err,
                                 "SELECT field, path FROM fields"
                                 " WHERE collection = ?1 AND type = 'tags'",
                                 "u", (uint64_t)collection);
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        t.field = akin__column_u64(stmt, 0);
        rc = tag_item(&t, attributes, akin__column(stmt, 1), err);
    }
    akin__release(conn, stmt);
    return rc;
}

akin_status akin__tags_add(akin__conn *conn, uint32_t collection, uint64_t num,
                           akin_span attributes, akin_error *err)
{
    return each_tag_field(conn, collection, num, attributes, false, err);
}

akin_status akin__tags_remove(akin__conn *conn, uint32_t collection,
                              uint64_t num, akin_span attributes,
                              akin_error *err)
{
    return each_tag_field(conn, collection, num, attributes, true, err);
}

static akin_status tag_all(akin__conn *conn, uint32_t collection,
                           uint64_t field, akin_span path, akin_error *err)
{
    tagging t = {conn, field, 0, false};
    sqlite3_stmt *stmt;
    bool row = true;
    akin_status rc = akin__query(conn, &stmt, err,
                                 "SELECT num, attributes FROM items"
                                 " WHERE collection = ?1"
                                 " AND attributes IS NOT NULL",
                                 "u", (uint64_t)collection);
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        t.num = akin__column_u64(stmt, 0);
        rc = tag_item(&t, akin__column(stmt, 1), path, err);
    }
    akin__release(conn, stmt);
    return rc;
}

/* ---- declaring ----------------------------------------------------------- */

akin_status akin__field_index(akin__conn *conn, uint32_t collection,
                              uint64_t field, const char *path, akin_error *err)
{
    /* %Q quotes the path as an SQL string: an index takes no parameters. */
    char *sql = sqlite3_mprintf(
        "CREATE INDEX field_%llu ON items(json_extract(attributes, %Q))"
        " WHERE collection = %u AND attributes IS NOT NULL",
        (unsigned long long)field, path, collection);
    if (!sql) return akin_fail(err, AKIN_NOMEM, "out of memory");
    akin_status rc = akin__run(conn, err, sql, "");
    sqlite3_free(sql);
    return rc;
}

static akin_status declare(akin__writing *w, const akin_write *op,
                           const char *path, akin_write_result *result,
                           akin_error *err)
{
    akin_status rc = akin__run(
        w->conn, err,
        "INSERT INTO fields(collection, path, type) VALUES(?1, ?2, ?3)", "uts",
        (uint64_t)op->collection, op->name, akin_field_type_name(op->type));
    if (rc) return rc;
    uint64_t field = (uint64_t)sqlite3_last_insert_rowid(w->conn->db);
    result->num = field;
    result->outcome = AKIN_CREATED;
    if (op->type == AKIN_FIELD_TAGS)
        return tag_all(w->conn, op->collection, field, op->name, err);
    return akin__field_index(w->conn, op->collection, field, path, err);
}

akin_status akin__op_field(akin__writing *w, const akin_write *op,
                           akin_write_result *result, akin_error *err)
{
    akin__collection c;
    akin_buf path = {0};
    int64_t field, same, count;
    bool found;

    if ((unsigned)op->type >= AKIN_FIELD_TYPES)
        return akin_fail(err, AKIN_INVALID, "no field type %u",
                         (unsigned)op->type);
    akin_status rc = akin__collection_row(w->conn, op->collection, &c, err);
    if (!rc) rc = akin__json_path(op->name, &path, err);
    if (rc) goto done;
    rc = akin__one(w->conn, &field, &found, err,
                   "SELECT field FROM fields WHERE collection = ?1 AND"
                   " path = ?2",
                   "ut", (uint64_t)op->collection, op->name);
    if (!rc)
        rc = akin__one(w->conn, &same, NULL, err,
                       "SELECT type = ?2 FROM fields WHERE field = ?1", "is",
                       field, akin_field_type_name(op->type));
    if (!rc)
        rc = akin__one(w->conn, &count, NULL, err,
                       "SELECT count(*) FROM fields WHERE collection = ?1", "u",
                       (uint64_t)op->collection);
    if (rc) goto done;
    result->num = (uint64_t)field;
    if (found && !same)
        rc = akin_fail(err, AKIN_EXISTS,
                       "field \"%.*s\" is declared with another type",
                       (int)op->name.size, (const char *)op->name.data);
    else if (!found && count >= AKIN__MAX_FIELDS)
        rc = akin_fail(err, AKIN_TOO_LARGE,
                       "collection %u has %lld declared fields already",
                       op->collection, (long long)count);
    else if (!found)
        rc = declare(w, op, akin_buf_cstr(&path), result, err);
done:
    akin_buf_clear(&path);
    return rc;
}

/* A field of tags leaves its rows in one statement, the others an index. */
static akin_status forget_field(akin__conn *conn, int64_t field, bool tags,
                                akin_error *err)
{
    char sql[64];
    akin_status rc;

    sqlite3_snprintf((int)sizeof sql, sql, "DROP INDEX field_%lld", field);
    rc = tags ? akin__run(conn, err, "DELETE FROM tags WHERE field = ?1", "i",
                          field)
              : akin__run(conn, err, sql, "");
    return rc ? rc
              : akin__run(conn, err, "DELETE FROM fields WHERE field = ?1", "i",
                          field);
}

akin_status akin__op_unfield(akin__writing *w, const akin_write *op,
                             akin_write_result *result, akin_error *err)
{
    akin__collection c;
    int64_t field, tags;
    bool found;

    akin_status rc = akin__collection_row(w->conn, op->collection, &c, err);
    if (!rc)
        rc = akin__one(w->conn, &field, &found, err,
                       "SELECT field FROM fields WHERE collection = ?1 AND"
                       " path = ?2",
                       "ut", (uint64_t)op->collection, op->name);
    if (!rc && !found)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no declared field \"%.*s\"",
                       (int)(op->name.size < 128 ? op->name.size : 128),
                       op->name.data ? (const char *)op->name.data : "");
    if (!rc)
        rc = akin__one(w->conn, &tags, NULL, err,
                       "SELECT type = 'tags' FROM fields WHERE field = ?1", "i",
                       field);
    if (rc) return rc;
    result->num = (uint64_t)field;
    result->outcome = AKIN_UPDATED;
    return forget_field(w->conn, field, tags != 0, err);
}

akin_status akin__fields_drop(akin__conn *conn, uint32_t collection,
                              akin_error *err)
{
    for (;;) {
        int64_t field;
        bool found;
        akin_status rc = akin__one(conn, &field, &found, err,
                                   "SELECT field FROM fields WHERE"
                                   " collection = ?1 AND type <> 'tags'",
                                   "u", (uint64_t)collection);
        if (rc || !found) return rc;
        rc = forget_field(conn, field, false, err);
        if (rc) return rc;
    }
}
