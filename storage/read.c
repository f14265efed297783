/* Items: reading. What a callback or a caller gets is one block of memory:
 * vectors first (aligned), then hashes, then the texts each with a NUL. */
#include "internal.h"

#include <string.h>

enum { /* AKIN__ITEM_COLUMNS */
       C_NUM,
       C_SEQ,
       C_COLLECTION,
       C_ID,
       C_ATTRIBUTES,
       C_SOURCE,
       C_FORMAT,
       C_MTIME,
       C_SIZE,
       C_CREATED,
       C_CHANGED,
       C_CONTENT,
       C_PIXELS,
       C_PHASHES,
       C_WIDTH,
       C_HEIGHT
};

akin_status akin__item_reader_init(akin__item_reader *r, akin__conn *conn,
                                   uint32_t collection, uint32_t with,
                                   akin_error *err)
{
    uint32_t dim;

    memset(r, 0, sizeof *r);
    r->conn = conn;
    r->with = with;
    akin_status rc =
        akin__collection_row(conn, collection, &r->collection, err);
    for (int kind = 0; !rc && kind < AKIN_SPACES; kind++)
        if ((with & AKIN_WITH_VECTORS) && r->collection.present[0])
            rc = akin__space_find(conn, collection, (akin_space)kind,
                                  r->collection.model[0], &r->space[kind], &dim,
                                  err);
    return rc;
}

/* What is read besides the row, each in a statement that stays open until the
 * item is filled. */
typedef struct {
    sqlite3_stmt *vector[AKIN_SPACES], *caption;
    akin_span vector_bytes[AKIN_SPACES], caption_text;
    float norm[AKIN_SPACES];
} beside;

static akin_status read_vector(akin__item_reader *r, uint64_t num, int kind,
                               beside *b, akin_error *err)
{
    bool row = false;
    if (!r->space[kind]) return AKIN_OK;
    akin_status rc = akin__query(r->conn, &b->vector[kind], err,
                                 "SELECT vector, norm FROM vectors"
                                 " WHERE key = ?1",
                                 "u", akin__key(r->space[kind], num));
    if (!rc) rc = akin__step(r->conn, b->vector[kind], &row, err);
    if (rc || !row) return rc;
    b->vector_bytes[kind].data = sqlite3_column_blob(b->vector[kind], 0);
    b->vector_bytes[kind].size =
        (size_t)sqlite3_column_bytes(b->vector[kind], 0);
    b->norm[kind] = (float)sqlite3_column_double(b->vector[kind], 1);
    return AKIN_OK;
}

static akin_status read_caption(akin__item_reader *r, uint64_t num, beside *b,
                                akin_error *err)
{
    char sql[96];
    bool row = false;

    if (!(r->with & AKIN_WITH_CAPTION) || !r->collection.captions)
        return AKIN_OK;
    sqlite3_snprintf((int)sizeof sql, sql,
                     "SELECT caption FROM captions_%u WHERE rowid = ?1",
                     r->collection.collection);
    akin_status rc = akin__query(r->conn, &b->caption, err, sql, "u", num);
    if (!rc) rc = akin__step(r->conn, b->caption, &row, err);
    if (!rc && row) b->caption_text = akin__column(b->caption, 0);
    return rc;
}

static akin_span place_text(uint8_t **at, akin_span s)
{
    if (!s.data) return s;
    uint8_t *p = *at;
    if (s.size) memcpy(p, s.data, s.size);
    p[s.size] = 0;
    *at = p + s.size + 1;
    return (akin_span){p, s.size};
}

static const void *place_bytes(uint8_t **at, const void *data, size_t size)
{
    if (!data) return NULL;
    void *p = *at;
    memcpy(p, data, size);
    *at += size;
    return p;
}

static size_t up(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static akin_status reserve(akin__item_reader *r, akin_item *item, size_t size,
                           akin_error *err)
{
    if (item->memory && r->capacity >= size) return AKIN_OK;
    void *p = akin_alloc(size);
    if (!p) return akin_fail(err, AKIN_NOMEM, "out of memory");
    akin_free(item->memory);
    item->memory = p;
    r->capacity = size;
    return AKIN_OK;
}

static akin_status assemble(akin__item_reader *r, sqlite3_stmt *row,
                            const beside *b, akin_item *item, akin_error *err)
{
    static const int columns[] = {C_ID, C_ATTRIBUTES, C_SOURCE, C_FORMAT};
    akin_span *const texts[] = {&item->id, &item->attributes, &item->source,
                                &item->format};
    const uint8_t *content = akin__column_hash(row, C_CONTENT);
    const uint8_t *pixels = akin__column_hash(row, C_PIXELS);
    const void *phashes = sqlite3_column_blob(row, C_PHASHES);
    size_t phash_bytes = (size_t)sqlite3_column_bytes(row, C_PHASHES) & ~7u;
    size_t size =
        3 * AKIN_HASH_BYTES + up(phash_bytes) + b->caption_text.size + 8;

    for (int i = 0; i < 4; i++)
        size += akin__column(row, columns[i]).size + 1;
    for (int i = 0; i < AKIN_SPACES; i++)
        size += up(b->vector_bytes[i].size);
    akin_status rc = reserve(r, item, size, err);
    if (rc) return rc;

    uint8_t *at = item->memory;
    for (int i = 0; i < AKIN_SPACES; i++) {
        akin_vector *v = &item->vectors[i];
        akin_span bytes = b->vector_bytes[i];
        *v = (akin_vector){0};
        v->data = place_bytes(&at, bytes.data, bytes.size);
        at += up(bytes.size) - bytes.size;
        if (!v->data) continue;
        v->dim = (uint32_t)(bytes.size / sizeof(uint16_t));
        v->norm = b->norm[i];
    }
    const uint8_t *model =
        place_bytes(&at, r->collection.model[0], AKIN_HASH_BYTES);
    for (int i = 0; i < AKIN_SPACES; i++)
        if (item->vectors[i].data) item->vectors[i].model = model;
    item->phashes = place_bytes(&at, phashes, phash_bytes);
    item->phash_count = (uint32_t)(phash_bytes / 8);
    item->content_hash = place_bytes(&at, content, AKIN_HASH_BYTES);
    item->pixel_hash = place_bytes(&at, pixels, AKIN_HASH_BYTES);
    for (int i = 0; i < 4; i++)
        *texts[i] = place_text(&at, akin__column(row, columns[i]));
    item->caption = place_text(&at, b->caption_text);
    return AKIN_OK;
}

akin_status akin__item_fill(akin__item_reader *r, sqlite3_stmt *row,
                            akin_item *item, akin_error *err)
{
    beside b = {0};
    akin_status rc = AKIN_OK;

    item->num = akin__column_u64(row, C_NUM);
    item->seq = akin__column_u64(row, C_SEQ);
    item->collection = (uint32_t)akin__column_u64(row, C_COLLECTION);
    item->source_mtime_ns = sqlite3_column_int64(row, C_MTIME);
    item->source_size = sqlite3_column_int64(row, C_SIZE);
    item->created_ms = sqlite3_column_int64(row, C_CREATED);
    item->changed_ms = sqlite3_column_int64(row, C_CHANGED);
    item->width = (uint32_t)akin__column_u64(row, C_WIDTH);
    item->height = (uint32_t)akin__column_u64(row, C_HEIGHT);
    for (int kind = 0; !rc && kind < AKIN_SPACES; kind++)
        rc = read_vector(r, item->num, kind, &b, err);
    if (!rc) rc = read_caption(r, item->num, &b, err);
    if (!rc) rc = assemble(r, row, &b, item, err);
    for (int kind = 0; kind < AKIN_SPACES; kind++)
        akin__release(r->conn, b.vector[kind]);
    akin__release(r->conn, b.caption);
    return rc;
}

void akin_item_clear(akin_item *item)
{
    akin_free(item->memory);
    memset(item, 0, sizeof *item);
}

/* ---- one item ------------------------------------------------------------ */

static akin_status not_found(akin_span id, akin_error *err)
{
    return akin_fail(err, AKIN_NOT_FOUND, "no item \"%.*s\"",
                     (int)(id.size < 200 ? id.size : 200),
                     id.data ? (const char *)id.data : "");
}

akin_status akin_storage_get(akin_storage *s, uint32_t collection, akin_span id,
                             uint32_t with, akin_item *out, akin_error *err)
{
    akin__item_reader r;
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool row = false;

    memset(out, 0, sizeof *out);
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__item_reader_init(&r, conn, collection, with, err);
    if (!rc)
        rc = akin__query(conn, &stmt, err,
                         "SELECT " AKIN__ITEM_COLUMNS
                         " FROM items WHERE collection = ?1 AND id = ?2",
                         "ub", (uint64_t)collection, id);
    if (!rc) rc = akin__step(conn, stmt, &row, err);
    if (!rc)
        rc = row ? akin__item_fill(&r, stmt, out, err) : not_found(id, err);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    if (rc) akin_item_clear(out);
    return rc;
}

/* The item of one num into *item; *found. */
static akin_status read_num(akin__item_reader *r, uint64_t num, bool *found,
                            akin_item *item, akin_error *err)
{
    sqlite3_stmt *stmt;
    *found = false;
    akin_status rc = akin__query(
        r->conn, &stmt, err,
        "SELECT " AKIN__ITEM_COLUMNS " FROM items WHERE num = ?1", "u", num);
    if (!rc) rc = akin__step(r->conn, stmt, found, err);
    if (!rc && *found &&
        akin__column_u64(stmt, C_COLLECTION) != r->collection.collection)
        *found = false;
    if (!rc && *found) rc = akin__item_fill(r, stmt, item, err);
    akin__release(r->conn, stmt);
    return rc;
}

akin_status akin_storage_get_num(akin_storage *s, uint32_t collection,
                                 uint64_t num, uint32_t with, akin_item *out,
                                 akin_error *err)
{
    akin__item_reader r;
    akin__conn *conn;
    bool found = false;

    memset(out, 0, sizeof *out);
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__item_reader_init(&r, conn, collection, with, err);
    if (!rc) rc = read_num(&r, num, &found, out, err);
    akin__read_end(s, conn);
    if (!rc && !found)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no item number %llu",
                       (unsigned long long)num);
    if (rc) akin_item_clear(out);
    return rc;
}

akin_status akin_storage_find(akin_storage *s, uint32_t collection,
                              akin_span id, uint64_t *num, uint64_t *seq,
                              akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool row = false;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT num, seq FROM items"
                     " WHERE collection = ?1 AND id = ?2",
                     "ub", (uint64_t)collection, id);
    if (!rc) rc = akin__step(conn, stmt, &row, err);
    if (!rc && row && num) *num = akin__column_u64(stmt, 0);
    if (!rc && row && seq) *seq = akin__column_u64(stmt, 1);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc ? rc : row ? AKIN_OK : not_found(id, err);
}

/* ---- many items ---------------------------------------------------------- */

akin_status akin_storage_get_many(akin_storage *s, uint32_t collection,
                                  const uint64_t *nums, size_t n, uint32_t with,
                                  akin_item_each *each, void *user,
                                  akin_error *err)
{
    akin__item_reader r;
    akin__conn *conn;
    akin_item item = {0};
    bool found, more = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__item_reader_init(&r, conn, collection, with, err);
    for (size_t i = 0; !rc && more && i < n; i++) {
        rc = read_num(&r, nums[i], &found, &item, err);
        if (!rc && found) more = each(user, i, &item);
    }
    akin_item_clear(&item);
    akin__read_end(s, conn);
    return rc;
}

/* Walks rows of AKIN__ITEM_COLUMNS. */
static akin_status each_row(akin__item_reader *r, sqlite3_stmt *stmt,
                            akin_item_each *each, void *user, akin_error *err)
{
    akin_item item = {0};
    akin_status rc = AKIN_OK;
    bool row = true;

    for (size_t at = 0; !rc && row; at++) {
        rc = akin__step(r->conn, stmt, &row, err);
        if (rc || !row) break;
        rc = akin__item_fill(r, stmt, &item, err);
        if (!rc && !each(user, at, &item)) break;
    }
    akin_item_clear(&item);
    return rc;
}

static int64_t sql_limit(uint64_t limit)
{
    return limit == 0 || limit > INT64_MAX ? -1 : (int64_t)limit;
}

akin_status akin_storage_scan(akin_storage *s, uint32_t collection,
                              uint64_t after, uint64_t limit, uint32_t with,
                              akin_item_each *each, void *user, akin_error *err)
{
    akin__item_reader r;
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__item_reader_init(&r, conn, collection, with, err);
    if (!rc)
        rc = akin__query(conn, &stmt, err,
                         "SELECT " AKIN__ITEM_COLUMNS
                         " FROM items INDEXED BY items_collection"
                         " WHERE collection = ?1 AND num > ?2"
                         " ORDER BY num LIMIT ?3",
                         "uui", (uint64_t)collection, after, sql_limit(limit));
    if (!rc) rc = each_row(&r, stmt, each, user, err);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}

akin_status akin_storage_missing(akin_storage *s, uint32_t collection,
                                 akin_space space, const uint8_t *model,
                                 uint64_t after, uint64_t limit,
                                 akin_item_each *each, void *user,
                                 akin_error *err)
{
    akin__item_reader r;
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    uint64_t have = 0, want = 0;
    uint32_t dim;

    if ((unsigned)space >= AKIN_SPACES)
        return akin_fail(err, AKIN_INVALID, "no space %u", (unsigned)space);
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__item_reader_init(&r, conn, collection, AKIN_WITH_CAPTION, err);
    if (!rc && r.collection.present[0])
        rc = akin__space_find(conn, collection, space, r.collection.model[0],
                              &have, &dim, err);
    if (!rc)
        rc = akin__space_find(conn, collection, space, model, &want, &dim, err);
    if (!rc && have)
        rc = akin__query(
            conn, &stmt, err,
            "SELECT " AKIN__ITEM_COLUMNS
            " FROM (SELECT key FROM vectors WHERE key > ?1 + ?3 AND key < ?2) v"
            " CROSS JOIN items ON num = v.key - ?1 WHERE NOT EXISTS"
            " (SELECT 1 FROM vectors o WHERE o.key = v.key - ?1 + ?4)"
            " ORDER BY v.key LIMIT ?5",
            "uuuui", akin__key(have, 0), akin__key(have + 1, 0), after,
            akin__key(want, 0), sql_limit(limit));
    if (!rc && have) rc = each_row(&r, stmt, each, user, err);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}
