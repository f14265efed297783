/* Looking items up by something other than their id: ranges, chance, hashes,
 * the file they came from. */
#include "internal.h"

#include <string.h>

/* Walks rows (num, id). */
static akin_status each_id(akin__conn *conn, sqlite3_stmt *stmt,
                           akin_id_each *each, void *user, akin_error *err)
{
    akin_status rc = AKIN_OK;
    bool row = true;

    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (!rc && row &&
            !each(user, akin__column_u64(stmt, 0), akin__column(stmt, 1)))
            break;
    }
    return rc;
}

akin_status akin_storage_range(akin_storage *s, uint32_t collection,
                               const akin_id_range *range, uint64_t limit,
                               akin_id_each *each, void *user, akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    akin__collection c;
    char sql[160];

    /* The least id is one NUL byte: x'' stands before all. */
    akin_span start = range->start.data ? range->start : akin_span_of("");
    sqlite3_snprintf(
        (int)sizeof sql, sql,
        "SELECT num, id FROM items WHERE collection = ?1 AND id %s ?2%s%s"
        " ORDER BY id LIMIT ?3",
        range->start_excluded ? ">" : ">=",
        !range->end.data      ? ""
        : range->end_excluded ? " AND id <"
                              : " AND id <=",
        range->end.data ? " ?4" : "");
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__collection_row(conn, collection, &c, err);
    if (!rc)
        rc = akin__query(
            conn, &stmt, err, sql, range->end.data ? "ubib" : "ubi",
            (uint64_t)collection, start,
            limit && limit < INT64_MAX ? (int64_t)limit : (int64_t)-1,
            range->end);
    if (!rc) rc = each_id(conn, stmt, each, user, err);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}

/* ---- at random ----------------------------------------------------------- */

static uint64_t next_random(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static akin_status all_nums(akin__conn *conn, uint32_t collection,
                            uint64_t **nums, size_t *n, akin_error *err)
{
    sqlite3_stmt *stmt;
    size_t capacity = 0;
    bool row = true;
    akin_status rc = akin__query(conn, &stmt, err,
                                 "SELECT num FROM items INDEXED BY"
                                 " items_collection WHERE collection = ?1"
                                 " ORDER BY num",
                                 "u", (uint64_t)collection);
    *n = 0;
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        rc = akin_grow(nums, &capacity, *n + 1, sizeof **nums, err);
        if (!rc) (*nums)[(*n)++] = akin__column_u64(stmt, 0);
    }
    akin__release(conn, stmt);
    return rc;
}

static bool seen(const uint64_t *nums, size_t n, uint64_t num)
{
    for (size_t i = 0; i < n; i++)
        if (nums[i] == num) return true;
    return false;
}

/* The first and the last number, or 0 and 0. */
static akin_status span_of(akin__conn *conn, uint32_t collection, int64_t *low,
                           int64_t *high, akin_error *err)
{
    akin_status rc = akin__one(conn, low, NULL, err,
                               "SELECT min(num) FROM items INDEXED BY"
                               " items_collection WHERE collection = ?1",
                               "u", (uint64_t)collection);
    return rc ? rc
              : akin__one(conn, high, NULL, err,
                          "SELECT max(num) FROM items INDEXED BY"
                          " items_collection WHERE collection = ?1",
                          "u", (uint64_t)collection);
}

/* A few out of many: numbers at random, of which those count that are an item's
 * of the collection. Other collections have numbers in between; whoever took
 * the next item instead would nearly always get the one behind a large gap.
 * Ends with fewer when `tries` are used up. */
static akin_status few_nums(akin__conn *conn, uint32_t collection, int64_t low,
                            int64_t high, uint64_t count, uint64_t tries,
                            uint64_t *state, uint64_t **nums, size_t *n,
                            akin_error *err)
{
    int64_t one;
    size_t capacity = 0;
    bool found;
    akin_status rc = akin_grow(nums, &capacity, count, sizeof **nums, err);

    *n = 0;
    while (!rc && *n < count && tries--) {
        uint64_t num =
            (uint64_t)low + next_random(state) % ((uint64_t)(high - low) + 1);
        rc = akin__one(conn, &one, &found, err,
                       "SELECT 1 FROM items WHERE num = ?2 AND collection = ?1",
                       "uu", (uint64_t)collection, num);
        if (!rc && found && !seen(*nums, *n, num)) (*nums)[(*n)++] = num;
    }
    return rc;
}

/* A few or, where finding those would take longer, all. */
static akin_status draw(akin__conn *conn, const akin__collection *c,
                        uint64_t count, uint64_t *state, uint64_t **nums,
                        size_t *n, akin_error *err)
{
    int64_t low = 0, high = 0;
    akin_status rc = span_of(conn, c->collection, &low, &high, err);

    /* Eight times the tries that finding them takes; one costs as much as
     * reading some 16 numbers in a row. */
    uint64_t gap = (uint64_t)(high - low) / c->items;
    uint64_t tries = 8 * count * (gap + 1);
    if (!rc && count <= 256 && tries < c->items / 16) {
        rc = few_nums(conn, c->collection, low, high, count, tries, state, nums,
                      n, err);
        if (rc || *n == count) return rc;
        akin_free(*nums);
        *nums = NULL;
    }
    return rc ? rc : all_nums(conn, c->collection, nums, n, err);
}

akin_status akin_storage_random(akin_storage *s, uint32_t collection,
                                uint64_t count, uint64_t seed,
                                akin_id_each *each, void *user, akin_error *err)
{
    akin__conn *conn;
    akin__collection c;
    uint64_t *nums = NULL, state = seed;
    size_t n = 0;
    bool more = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__collection_row(conn, collection, &c, err);
    if (rc || count == 0 || c.items == 0) goto done;
    rc = draw(conn, &c, count, &state, &nums, &n, err);
    for (size_t i = 0; !rc && more && i < n && i < count; i++) {
        size_t j = i + (size_t)(next_random(&state) % (n - i));
        uint64_t num = nums[j];
        nums[j] = nums[i];
        nums[i] = num;
        sqlite3_stmt *stmt;
        bool row = false;
        rc = akin__query(conn, &stmt, err,
                         "SELECT id FROM items WHERE num = ?1", "u", num);
        if (!rc) rc = akin__step(conn, stmt, &row, err);
        if (!rc && row) more = each(user, num, akin__column(stmt, 0));
        akin__release(conn, stmt);
    }
done:
    akin_free(nums);
    akin__read_end(s, conn);
    return rc;
}

/* ---- by hash and source -------------------------------------------------- */

akin_status akin_storage_by_hash(akin_storage *s, uint32_t collection,
                                 akin_hash_kind kind,
                                 const uint8_t hash[AKIN_HASH_BYTES],
                                 akin_id_each *each, void *user,
                                 akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    akin__collection c;
    const char *sql =
        kind == AKIN_BY_PIXELS
            ? "SELECT num, id FROM items INDEXED BY items_pixels"
              " WHERE pixel_hash = ?2 AND collection = ?1 ORDER BY num"
            : "SELECT num, id FROM items INDEXED BY items_content"
              " WHERE content_hash = ?2 AND collection = ?1 ORDER BY num";

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__collection_row(conn, collection, &c, err);
    if (!rc)
        rc = akin__query(conn, &stmt, err, sql, "uh", (uint64_t)collection,
                         hash);
    if (!rc) rc = each_id(conn, stmt, each, user, err);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}
