/* Duplicates: the queue of items to be looked at, the edges that looking found,
 * and the pairs that a person dismissed.
 *
 * Nobody computes anything here. Triggers (schema.c) queue what is new or has
 * changed; the engine looks and writes what it found with AKIN_WRITE_DUPES,
 * which takes the item off the queue in the same transaction: after a crash a
 * look is either done or still to be done. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAME_BYTES  1
#define SAME_PIXELS 2

/* ---- writing ------------------------------------------------------------- */

akin_status akin__sketch_set(akin__conn *conn, uint64_t num,
                             const uint8_t *sketch, akin_error *err)
{
    return akin__run(conn, err,
                     "INSERT OR REPLACE INTO sketches VALUES(?1, ?2)", "ub",
                     num, (akin_span){sketch, AKIN_SKETCH_BYTES});
}

static akin_status has_content(akin__conn *conn, uint32_t collection,
                               uint64_t num, const uint8_t *hash, bool *out,
                               akin_error *err)
{
    int64_t one;
    return akin__one(conn, &one, out, err,
                     "SELECT 1 FROM items WHERE num = ?1 AND collection = ?2"
                     " AND content_hash = ?3",
                     "uuh", num, (uint64_t)collection, hash);
}

/* An edge that was found stronger from its other end stays. */
static akin_status store_edge(akin__conn *conn, const akin_write *op,
                              const akin_dupe_edge *e, akin_error *err)
{
    bool ours = op->num < e->num;
    int64_t same =
        (e->same_bytes ? SAME_BYTES : 0) | (e->same_pixels ? SAME_PIXELS : 0);
    /* A turn from b to a undoes that from a to b: 6 and 8 change places. */
    uint64_t turn = ours           ? e->turn
                    : e->turn == 6 ? 8
                    : e->turn == 8 ? 6
                                   : e->turn;
    return akin__run(
        conn, err,
        "INSERT INTO dupe_edges VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
        " ON CONFLICT(a, b) DO UPDATE SET level = excluded.level,"
        " same = excluded.same, distance = excluded.distance,"
        " similarity = excluded.similarity, cosine = excluded.cosine,"
        " turn = excluded.turn WHERE excluded.level <= level",
        "uuuiiiddu", ours ? op->num : e->num, ours ? e->num : op->num,
        (uint64_t)op->collection, (int64_t)e->level, same,
        e->distance == UINT32_MAX ? INT64_C(-1) : (int64_t)e->distance,
        (double)e->similarity, (double)e->cosine, turn);
}

static akin_status check_edges(const akin_write *op, akin_error *err)
{
    if (!op->content_hash || op->nedges > AKIN_MAX_DUPE_EDGES ||
        (op->nedges && !op->edges))
        return akin_fail(err, AKIN_INVALID,
                         "%zu duplicates of an item, expected at most %d",
                         op->nedges, AKIN_MAX_DUPE_EDGES);
    for (size_t i = 0; i < op->nedges; i++) {
        const akin_dupe_edge *e = &op->edges[i];
        if (e->num == op->num || (unsigned)e->level > AKIN_DUPE_SIMILAR ||
            e->turn < 1 || e->turn > 8 || !e->content_hash ||
            !isfinite(e->similarity) || !isfinite(e->cosine))
            return akin_fail(err, AKIN_INVALID, "edge %zu is not sound", i);
    }
    return AKIN_OK;
}

akin_status akin__op_dupes(akin__writing *w, const akin_write *op,
                           akin_write_result *result, akin_error *err)
{
    bool there = false;
    akin_status rc = check_edges(op, err);
    if (!rc)
        rc = has_content(w->conn, op->collection, op->num, op->content_hash,
                         &there, err);
    result->num = op->num;
    result->outcome = AKIN_UNCHANGED;
    if (rc || !there) return rc;
    for (size_t i = 0; i < op->nedges && !rc; i++) {
        const akin_dupe_edge *e = &op->edges[i];
        rc = has_content(w->conn, op->collection, e->num, e->content_hash,
                         &there, err);
        if (!rc && there) rc = store_edge(w->conn, op, e, err);
    }
    if (!rc && op->sketch)
        rc = akin__sketch_set(w->conn, op->num, op->sketch, err);
    if (!rc)
        rc = akin__run(w->conn, err, "DELETE FROM dupe_queue WHERE num = ?1",
                       "u", op->num);
    result->outcome = AKIN_UPDATED;
    return rc;
}

/* ---- dismissed pairs ----------------------------------------------------- */

/* What a pair is remembered by: two content hashes, or two ids. */
typedef struct {
    uint8_t hash[2][AKIN_HASH_BYTES];
    uint8_t id[2][1 + AKIN_MAX_ID_BYTES];
    size_t id_size[2];
    bool hashed[2], found;
} pair_keys;

static akin_status load_side(akin__conn *conn, sqlite3_stmt *stmt, int side,
                             pair_keys *keys, akin_error *err)
{
    bool row;
    akin_status rc = akin__step(conn, stmt, &row, err);
    keys->found = keys->found && row;
    if (rc || !row) return rc;
    akin_span id = akin__column(stmt, 0);
    const uint8_t *hash = akin__column_hash(stmt, 1);
    if (id.size > AKIN_MAX_ID_BYTES)
        return akin_fail(err, AKIN_CORRUPT,
                         "an item's id has %zu bytes, expected at most %d",
                         id.size, AKIN_MAX_ID_BYTES);
    keys->id[side][0] = 'i';
    keys->id_size[side] = 1 + id.size;
    memcpy(keys->id[side] + 1, id.data, id.size);
    keys->hashed[side] = hash != NULL;
    if (hash) memcpy(keys->hash[side], hash, AKIN_HASH_BYTES);
    return AKIN_OK;
}

static bool by_content(const pair_keys *keys)
{
    return keys->hashed[0] && keys->hashed[1] &&
           memcmp(keys->hash[0], keys->hash[1], AKIN_HASH_BYTES);
}

/* The two keys as they are stored, the lower one first. Room for 'h' is in
 * `room`. */
static void order_keys(const pair_keys *keys, bool content,
                       uint8_t room[2][1 + AKIN_HASH_BYTES], akin_span out[2])
{
    for (int i = 0; i < 2; i++) {
        room[i][0] = 'h';
        memcpy(room[i] + 1, keys->hash[i], AKIN_HASH_BYTES);
        out[i] = content ? (akin_span){room[i], 1 + AKIN_HASH_BYTES}
                         : (akin_span){keys->id[i], keys->id_size[i]};
    }
    size_t least = out[0].size < out[1].size ? out[0].size : out[1].size;
    int order = memcmp(out[0].data, out[1].data, least);
    if (order > 0 || (order == 0 && out[0].size > out[1].size)) {
        akin_span first = out[1];
        out[1] = out[0];
        out[0] = first;
    }
}

static akin_status load_pair_ids(akin__conn *conn, uint32_t collection,
                                 const akin_span ids[2], pair_keys *keys,
                                 akin_error *err)
{
    akin_status rc = AKIN_OK;
    memset(keys, 0, sizeof *keys);
    keys->found = true;
    for (int i = 0; i < 2 && !rc; i++) {
        sqlite3_stmt *stmt;
        rc = akin__query(conn, &stmt, err,
                         "SELECT id, content_hash FROM items"
                         " WHERE collection = ?1 AND id = ?2",
                         "ub", (uint64_t)collection, ids[i]);
        if (!rc) rc = load_side(conn, stmt, i, keys, err);
        akin__release(conn, stmt);
        if (!rc && !keys->found)
            rc = akin_fail(err, AKIN_NOT_FOUND, "no item \"%.*s\"",
                           (int)(ids[i].size < 200 ? ids[i].size : 200),
                           ids[i].data ? (const char *)ids[i].data : "");
    }
    return rc;
}

akin_status akin__op_dismiss(akin__writing *w, const akin_write *op,
                             akin_write_result *result, akin_error *err)
{
    static const char add[] = "INSERT OR IGNORE INTO dupe_dismissed"
                              " VALUES(?1, ?2, ?3, ?4)";
    static const char take[] = "DELETE FROM dupe_dismissed WHERE"
                               " collection = ?1 AND a = ?2 AND b = ?3"
                               " AND ?4 >= 0";
    pair_keys keys;
    uint8_t room[2][1 + AKIN_HASH_BYTES];
    akin_span pair[2];
    akin_status rc =
        load_pair_ids(w->conn, op->collection, op->pair, &keys, err);

    if (rc) return rc;
    if (keys.id_size[0] == keys.id_size[1] &&
        !memcmp(keys.id[0], keys.id[1], keys.id_size[0]))
        return akin_fail(err, AKIN_INVALID,
                         "a pair to dismiss are two items, got one twice");
    order_keys(&keys, by_content(&keys), room, pair);
    rc = akin__run(w->conn, err, op->undo ? take : add, "ubbi",
                   (uint64_t)op->collection, pair[0], pair[1], w->now_ms);
    result->outcome =
        sqlite3_changes(w->conn->db) ? AKIN_UPDATED : AKIN_UNCHANGED;
    return rc;
}

static akin_status is_dismissed(akin__conn *conn, uint32_t collection,
                                uint64_t a, uint64_t b, bool *out,
                                akin_error *err)
{
    const uint64_t nums[2] = {a, b};
    uint8_t room[2][1 + AKIN_HASH_BYTES];
    pair_keys keys = {.found = true};
    akin_status rc = AKIN_OK;

    *out = false;
    for (int i = 0; i < 2 && !rc && keys.found; i++) {
        sqlite3_stmt *stmt;
        rc = akin__query(conn, &stmt, err,
                         "SELECT id, content_hash FROM items WHERE num = ?1",
                         "u", nums[i]);
        if (!rc) rc = load_side(conn, stmt, i, &keys, err);
        akin__release(conn, stmt);
    }
    for (int content = 0; content < 2 && !rc && keys.found && !*out;
         content++) {
        akin_span pair[2];
        int64_t one;
        if (content && !by_content(&keys)) continue;
        order_keys(&keys, content, room, pair);
        rc = akin__one(conn, &one, out, err,
                       "SELECT 1 FROM dupe_dismissed WHERE collection = ?1"
                       " AND a = ?2 AND b = ?3",
                       "ubb", (uint64_t)collection, pair[0], pair[1]);
    }
    return rc;
}

/* What dismissed pairs may know an item by. */
typedef struct {
    uint8_t *bytes; /* akin_free */
    size_t size, place;
} item_key;

typedef struct {
    item_key *keys; /* sorted by their bytes */
    size_t n;
} item_keys;

static int compare_keys(const void *a, const void *b)
{
    const item_key *x = a, *y = b;
    size_t least = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->bytes, y->bytes, least);
    return order ? order : x->size < y->size ? -1 : x->size > y->size;
}

static akin_status add_key(item_keys *keys, char kind, akin_span text,
                           size_t place, akin_error *err)
{
    item_key *key = &keys->keys[keys->n];
    *key = (item_key){akin_alloc(1 + text.size), 1 + text.size, place};
    if (!key->bytes) return akin_fail(err, AKIN_NOMEM, "out of memory");
    key->bytes[0] = (uint8_t)kind;
    memcpy(key->bytes + 1, text.data, text.size);
    keys->n++;
    return AKIN_OK;
}

static akin_status load_keys(akin__conn *conn, const uint64_t *nums, size_t n,
                             item_keys *keys, akin_error *err)
{
    akin_status rc = AKIN_OK;
    keys->keys = akin_calloc(2 * n + 1, sizeof *keys->keys);
    if (!keys->keys) return akin_fail(err, AKIN_NOMEM, "out of memory");
    for (size_t i = 0; i < n && !rc; i++) {
        sqlite3_stmt *stmt;
        bool row = false;
        rc = akin__query(conn, &stmt, err,
                         "SELECT id, content_hash FROM items WHERE num = ?1",
                         "u", nums[i]);
        if (!rc) rc = akin__step(conn, stmt, &row, err);
        const uint8_t *hash = row ? akin__column_hash(stmt, 1) : NULL;
        if (row) rc = add_key(keys, 'i', akin__column(stmt, 0), i, err);
        if (!rc && hash)
            rc = add_key(keys, 'h', (akin_span){hash, AKIN_HASH_BYTES}, i, err);
        akin__release(conn, stmt);
    }
    qsort(keys->keys, keys->n, sizeof *keys->keys, compare_keys);
    return rc;
}

/* All items of `keys` that the other side of a dismissed pair stands for. */
static bool give_pairs(const item_keys *keys, size_t place, akin_span other,
                       akin_pair_each *each, void *user)
{
    item_key key = {.bytes = (uint8_t *)(uintptr_t)other.data,
                    .size = other.size};
    size_t low = 0, high = keys->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_keys(&keys->keys[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < keys->n && !compare_keys(&keys->keys[low], &key); low++)
        if (!each(user, place, keys->keys[low].place)) return false;
    return true;
}

akin_status akin_storage_dismissed(akin_storage *s, uint32_t collection,
                                   const uint64_t *nums, size_t n,
                                   akin_pair_each *each, void *user,
                                   akin_error *err)
{
    akin__conn *conn;
    item_keys keys = {0};
    bool more = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = load_keys(conn, nums, n, &keys, err);
    for (size_t i = 0; i < keys.n && !rc && more; i++) {
        sqlite3_stmt *stmt;
        bool row = true;
        rc = akin__query(conn, &stmt, err,
                         "SELECT b FROM dupe_dismissed WHERE collection = ?1"
                         " AND a = ?2",
                         "ub", (uint64_t)collection,
                         (akin_span){keys.keys[i].bytes, keys.keys[i].size});
        while (!rc && row && more) {
            rc = akin__step(conn, stmt, &row, err);
            if (!rc && row)
                more = give_pairs(&keys, keys.keys[i].place,
                                  akin__column(stmt, 0), each, user);
        }
        akin__release(conn, stmt);
    }
    for (size_t i = 0; i < keys.n; i++)
        akin_free(keys.keys[i].bytes);
    akin_free(keys.keys);
    akin__read_end(s, conn);
    return rc;
}

akin_status akin_storage_dismissals(akin_storage *s, uint32_t collection,
                                    uint64_t *out, akin_error *err)
{
    akin__conn *conn;
    int64_t count = 0;
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__one(conn, &count, NULL, err,
                   "SELECT count(*) FROM dupe_dismissed WHERE collection = ?1",
                   "u", (uint64_t)collection);
    akin__read_end(s, conn);
    *out = (uint64_t)count;
    return rc;
}

/* ---- reading ------------------------------------------------------------- */

akin_status akin_storage_dupe_queue(akin_storage *s, uint32_t collection,
                                    uint64_t limit, akin_num_each *each,
                                    void *user, uint64_t *total,
                                    akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    int64_t count = 0;
    bool row = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    if (total)
        rc = akin__one(conn, &count, NULL, err,
                       "SELECT count(*) FROM dupe_queue WHERE collection = ?1",
                       "u", (uint64_t)collection);
    if (!rc)
        rc = akin__query(conn, &stmt, err,
                         "SELECT num FROM dupe_queue WHERE collection = ?1"
                         " ORDER BY num LIMIT ?2",
                         "ui", (uint64_t)collection, (int64_t)limit);
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (!rc && row && !each(user, akin__column_u64(stmt, 0))) break;
    }
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    if (total) *total = (uint64_t)count;
    return rc;
}

akin_status akin_storage_phashes(akin_storage *s, uint32_t collection,
                                 akin_phash_each *each, void *user,
                                 akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    uint64_t words[AKIN_MAX_PHASHES];
    bool row = true;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT num, phashes FROM items INDEXED BY"
                     " items_collection WHERE collection = ?1"
                     " AND phashes IS NOT NULL",
                     "u", (uint64_t)collection);
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        akin_span bytes = akin__column(stmt, 1);
        if (bytes.size % sizeof *words || bytes.size > sizeof words) continue;
        memcpy(words, bytes.data, bytes.size);
        if (!each(user, akin__column_u64(stmt, 0), words,
                  (uint32_t)(bytes.size / sizeof *words)))
            break;
    }
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}

akin_status akin_storage_sketch(akin_storage *s, uint64_t num, uint8_t *out,
                                akin_error *err)
{
    akin__conn *conn;
    sqlite3_stmt *stmt = NULL;
    bool row = false;

    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__query(conn, &stmt, err,
                     "SELECT sketch FROM sketches WHERE num = ?1", "u", num);
    if (!rc) rc = akin__step(conn, stmt, &row, err);
    akin_span bytes = row ? akin__column(stmt, 0) : (akin_span){0};
    if (!rc && bytes.size == AKIN_SKETCH_BYTES)
        memcpy(out, bytes.data, bytes.size);
    else if (!rc)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no sketch of item %llu",
                       (unsigned long long)num);
    akin__release(conn, stmt);
    akin__read_end(s, conn);
    return rc;
}

/* ---- what hangs together ------------------------------------------------- */

/* Items in the order they were reached, and where each stands. */
typedef struct {
    uint64_t *nums;
    size_t n, capacity, most;
    size_t *slots, nslots; /* of nums + 1; 0: empty. A power of two */
} reached;

static size_t *slot_of(const reached *r, uint64_t num)
{
    size_t at = (size_t)(num * UINT64_C(0x9e3779b97f4a7c15) >> 20);
    for (;; at++) {
        size_t *slot = &r->slots[at & (r->nslots - 1)];
        if (!*slot || r->nums[*slot - 1] == num) return slot;
    }
}

static akin_status grow_slots(reached *r, akin_error *err)
{
    size_t n = r->nslots ? r->nslots * 2 : 64;
    size_t *old = r->slots;
    r->slots = akin_calloc(n, sizeof *r->slots);
    if (!r->slots) {
        r->slots = old;
        return akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    r->nslots = n;
    for (size_t i = 0; i < r->n; i++)
        *slot_of(r, r->nums[i]) = i + 1;
    akin_free(old);
    return AKIN_OK;
}

static akin_status reach(reached *r, uint64_t num, akin_error *err)
{
    akin_status rc = AKIN_OK;
    if (r->n * 2 >= r->nslots) rc = grow_slots(r, err);
    if (rc) return rc;
    size_t *slot = slot_of(r, num);
    if (*slot || r->n >= r->most) return AKIN_OK;
    rc = akin_grow(&r->nums, &r->capacity, r->n + 1, sizeof *r->nums, err);
    if (rc) return rc;
    r->nums[r->n++] = num;
    *slot = r->n;
    return AKIN_OK;
}

static void read_edge(sqlite3_stmt *stmt, bool reversed, akin_dupe_edge *out)
{
    int64_t same = sqlite3_column_int64(stmt, 2);
    int64_t distance = sqlite3_column_int64(stmt, 3);
    uint32_t turn = (uint32_t)akin__column_u64(stmt, 6);

    *out = (akin_dupe_edge){.num = akin__column_u64(stmt, 0),
                            .level = (akin_dupe)sqlite3_column_int64(stmt, 1),
                            .same_bytes = same & SAME_BYTES,
                            .same_pixels = same & SAME_PIXELS,
                            .distance =
                                distance < 0 ? UINT32_MAX : (uint32_t)distance,
                            .similarity = (float)sqlite3_column_double(stmt, 4),
                            .cosine = (float)sqlite3_column_double(stmt, 5),
                            .turn = !reversed   ? turn
                                    : turn == 6 ? 8
                                    : turn == 8 ? 6
                                                : turn};
}

typedef struct {
    akin__conn *conn;
    uint32_t collection;
    akin_dupe level;
    bool dismissals; /* there are some */
    reached reached;
    akin_dupe_edge_each *each;
    void *user;
    bool stopped;
} walk;

/* The edges of one item on one side; what they lead to is reached. */
static akin_status walk_side(walk *w, uint64_t from, bool reversed,
                             akin_error *err)
{
    static const char *const sql[] = {
        "SELECT b, level, same, distance, similarity, cosine, turn"
        " FROM dupe_edges WHERE a = ?1 AND level <= ?2 AND collection = ?3",
        "SELECT a, level, same, distance, similarity, cosine, turn"
        " FROM dupe_edges WHERE b = ?1 AND level <= ?2 AND collection = ?3"};
    sqlite3_stmt *stmt;
    bool row = true, dismissed = false;
    akin_status rc =
        akin__query(w->conn, &stmt, err, sql[reversed], "uiu", from,
                    (int64_t)w->level, (uint64_t)w->collection);
    while (!rc && row && !w->stopped) {
        akin_dupe_edge edge;
        rc = akin__step(w->conn, stmt, &row, err);
        if (rc || !row) break;
        read_edge(stmt, reversed, &edge);
        if (w->dismissals)
            rc = is_dismissed(w->conn, w->collection, from, edge.num,
                              &dismissed, err);
        if (rc || dismissed) continue;
        rc = reach(&w->reached, edge.num, err);
        if (!rc) w->stopped = !w->each(w->user, from, &edge);
    }
    akin__release(w->conn, stmt);
    return rc;
}

akin_status akin_storage_dupe_component(akin_storage *s, uint32_t collection,
                                        uint64_t num, akin_dupe level,
                                        size_t most, akin_dupe_edge_each *each,
                                        void *user, akin_error *err)
{
    walk w = {.collection = collection,
              .level = level,
              .reached.most = most,
              .each = each,
              .user = user};
    int64_t one;
    akin_status rc = akin__read_begin(s, &w.conn, err);
    if (rc) return rc;
    rc = akin__one(w.conn, &one, &w.dismissals, err,
                   "SELECT 1 FROM dupe_dismissed WHERE collection = ?1 LIMIT 1",
                   "u", (uint64_t)collection);
    if (!rc) rc = reach(&w.reached, num, err);
    for (size_t i = 0; i < w.reached.n && !rc && !w.stopped; i++) {
        rc = walk_side(&w, w.reached.nums[i], false, err);
        if (!rc) rc = walk_side(&w, w.reached.nums[i], true, err);
    }
    akin_free(w.reached.nums);
    akin_free(w.reached.slots);
    akin__read_end(s, w.conn);
    return rc;
}

akin_status akin_storage_dupe_next(akin_storage *s, uint32_t collection,
                                   uint64_t after, akin_dupe level,
                                   uint64_t *num, akin_error *err)
{
    akin__conn *conn;
    int64_t next = 0;
    bool found = false;
    akin_status rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__one(conn, &next, &found, err,
                   "SELECT a FROM dupe_edges WHERE collection = ?1 AND a > ?2"
                   " AND level <= ?3 ORDER BY a LIMIT 1",
                   "uui", (uint64_t)collection, after, (int64_t)level);
    *num = found ? (uint64_t)next : 0;
    akin__read_end(s, conn);
    return rc;
}
