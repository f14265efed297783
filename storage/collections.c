/* Collections and their spaces: reading. */
#include "internal.h"

#include <string.h>

static const uint8_t no_model[AKIN_HASH_BYTES];

akin_status akin__collection_row(akin__conn *conn, uint32_t collection,
                                 akin__collection *out, akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row;

    memset(out, 0, sizeof *out);
    akin_status rc = akin__query(
        conn, &stmt, err,
        "SELECT seq, items, trimmed, captions, model, dim, other_model,"
        " other_dim, EXISTS(SELECT 1 FROM fields WHERE"
        " fields.collection = ?1 AND type = 'tags')"
        " FROM collections WHERE collection = ?1 AND name IS NOT NULL",
        "u", (uint64_t)collection);
    if (rc) return rc;
    rc = akin__step(conn, stmt, &row, err);
    if (!rc && !row)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no collection %u", collection);
    if (rc) goto done;
    out->collection = collection;
    out->seq = akin__column_u64(stmt, 0);
    out->items = akin__column_u64(stmt, 1);
    out->trimmed_seq = akin__column_u64(stmt, 2);
    out->captions = sqlite3_column_int(stmt, 3) != 0;
    out->fields = sqlite3_column_int(stmt, 8) != 0;
    for (int i = 0; i < 2; i++) {
        const uint8_t *model = akin__column_hash(stmt, 4 + 2 * i);
        out->present[i] = model != NULL;
        if (model) memcpy(out->model[i], model, AKIN_HASH_BYTES);
        out->dim[i] = (uint32_t)akin__column_u64(stmt, 5 + 2 * i);
    }
done:
    akin__release(conn, stmt);
    return rc;
}

akin_status akin__space_find(akin__conn *conn, uint32_t collection,
                             akin_space kind, const uint8_t *model,
                             uint64_t *space, uint32_t *dim, akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = false;

    *space = 0;
    *dim = 0;
    akin_status rc =
        akin__query(conn, &stmt, err,
                    "SELECT space, dim FROM spaces WHERE "
                    "collection = ?1 AND kind = ?2 AND model = ?3",
                    "uih", (uint64_t)collection, (int64_t)kind, model);
    if (!rc) rc = akin__step(conn, stmt, &row, err);
    if (!rc && row) {
        *space = akin__column_u64(stmt, 0);
        *dim = (uint32_t)akin__column_u64(stmt, 1);
    }
    akin__release(conn, stmt);
    return rc;
}

uint64_t akin__key(uint64_t space, uint64_t num)
{
    return space << AKIN__NUM_BITS | num;
}

#define COLUMNS                                                                \
    "collection, name, settings, seq, trimmed, items, created, model, dim,"    \
    " model_path, other_model, other_dim, other_path,"                         \
    " (SELECT count FROM spaces s WHERE s.collection = c.collection"           \
    "  AND s.kind = 0 AND s.model = c.model),"                                 \
    " (SELECT count FROM spaces s WHERE s.collection = c.collection"           \
    "  AND s.kind = 1 AND s.model = c.model)"

static char *put_text(char *at, sqlite3_stmt *row, int column, const char **out)
{
    akin_span s = akin__column(row, column);
    *out = at;
    if (s.size) memcpy(at, s.data, s.size);
    at[s.size] = '\0';
    return at + s.size + 1;
}

static void fill_model(sqlite3_stmt *row, int column,
                       akin_collection_model *out)
{
    const uint8_t *model = akin__column_hash(row, column);
    out->present = model != NULL;
    memcpy(out->model, model ? model : no_model, AKIN_HASH_BYTES);
    out->dim = (uint32_t)akin__column_u64(row, column + 1);
}

static akin_status fill(sqlite3_stmt *row, akin_collection *out,
                        akin_error *err)
{
    static const int texts[] = {1, 2, 9, 12};
    size_t size = 0;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        size += akin__column(row, texts[i]).size + 1;
    char *at = akin_alloc(size);
    if (!at) return akin_fail(err, AKIN_NOMEM, "out of memory");
    out->memory = at;
    at = put_text(at, row, 1, &out->name);
    at = put_text(at, row, 2, &out->settings);
    at = put_text(at, row, 9, &out->current.path);
    put_text(at, row, 12, &out->other.path);
    out->collection = (uint32_t)akin__column_u64(row, 0);
    out->seq = akin__column_u64(row, 3);
    out->trimmed_seq = akin__column_u64(row, 4);
    out->items = akin__column_u64(row, 5);
    out->created_ms = sqlite3_column_int64(row, 6);
    fill_model(row, 7, &out->current);
    fill_model(row, 10, &out->other);
    out->vectors[AKIN_SPACE_IMAGE] = akin__column_u64(row, 13);
    out->vectors[AKIN_SPACE_CAPTION] = akin__column_u64(row, 14);
    return AKIN_OK;
}

void akin_collection_clear(akin_collection *collection)
{
    akin_free(collection->memory);
    memset(collection, 0, sizeof *collection);
}

static akin_status read_one(akin__conn *conn, sqlite3_stmt *stmt, bool *found,
                            akin_collection *out, akin_error *err)
{
    akin_status rc = akin__step(conn, stmt, found, err);
    return rc || !*found ? rc : fill(stmt, out, err);
}

akin_status akin_storage_collection(akin_storage *s, akin_span name,
                                    akin_collection *out, akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool found = false;

    memset(out, 0, sizeof *out);
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT " COLUMNS " FROM collections c WHERE name = ?1",
                     "t", name);
    if (!rc) rc = read_one(conn, stmt, &found, out, err);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    if (!rc && !found)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no collection \"%.*s\"",
                       (int)(name.size < 128 ? name.size : 128),
                       name.data ? (const char *)name.data : "");
    return rc;
}

akin_status akin_storage_collection_by_num(akin_storage *s, uint32_t collection,
                                           akin_collection *out,
                                           akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool found = false;

    memset(out, 0, sizeof *out);
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT " COLUMNS " FROM collections c"
                     " WHERE collection = ?1 AND name IS NOT NULL",
                     "u", (uint64_t)collection);
    if (!rc) rc = read_one(conn, stmt, &found, out, err);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    if (!rc && !found)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no collection %u", collection);
    return rc;
}

akin_status akin_storage_collections(akin_storage *s,
                                     akin_collection_each *each, void *user,
                                     akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool found = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT " COLUMNS " FROM collections c"
                     " WHERE name IS NOT NULL ORDER BY name",
                     "");
    while (!rc && found) {
        akin_collection c = {0};
        rc = read_one(conn, stmt, &found, &c, err);
        if (!rc && found && !each(user, &c)) found = false;
        akin_collection_clear(&c);
    }
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}

static const char *const type_names[AKIN_FIELD_TYPES] = {
    "number", "string", "bool", "tags", "datetime"};

const char *akin_field_type_name(akin_field_type type)
{
    return (unsigned)type < AKIN_FIELD_TYPES ? type_names[type] : "unknown";
}

akin_status akin_storage_fields(akin_storage *s, uint32_t collection,
                                akin_field_each *each, void *user,
                                akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    akin__collection c;
    bool row = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__collection_row(conn, collection, &c, err);
    if (!rc)
        rc = akin__query(conn, &stmt, err,
                         "SELECT path, type FROM fields WHERE collection = ?1"
                         " ORDER BY field",
                         "u", (uint64_t)collection);
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        const char *path = (const char *)sqlite3_column_text(stmt, 0);
        const char *name = (const char *)sqlite3_column_text(stmt, 1);
        unsigned type = 0;
        while (type < AKIN_FIELD_TYPES && name &&
               strcmp(name, type_names[type]) != 0)
            type++;
        if (path && !each(user, path, (akin_field_type)type)) break;
    }
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}
