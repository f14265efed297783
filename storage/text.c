/* Captions and their full text index: one FTS5 table per collection, made with
 * the first caption, whose rowid is the item's number.
 *
 * What a user types is cut into words and every word quoted, so that no
 * character means anything to FTS5's query language. Captions with all the
 * words come first, then those with any, each ranked by BM25: with a million
 * captions the first kind is found twenty times as fast as BM25 over all that
 * have any, and it nearly always suffices. The last word also matches as the
 * beginning of a word (one is still typing it).
 *
 * A word that more than half of the captions have weighs nothing in BM25 (its
 * IDF is 0), but costs most of the time: with others beside it, it is left
 * out. How common a word is, is sampled. */
#include "internal.h"

#include <string.h>

#define MAX_WORDS       64
#define MIN_PREFIX      3    /* shorter beginnings match half the dictionary */
#define MAX_QUERY_BYTES 4096 /* of the text searched for */

akin_status akin__captions_make(akin__conn *conn, uint32_t collection,
                                akin_error *err)
{
    char sql[200];
    sqlite3_snprintf((int)sizeof sql, sql,
                     "CREATE VIRTUAL TABLE captions_%u USING fts5(caption,"
                     " tokenize = 'unicode61 remove_diacritics 2')",
                     collection);
    akin_status rc = akin__run(conn, err, sql, "");
    return rc ? rc
              : akin__run(conn, err,
                          "UPDATE collections SET captions = 1"
                          " WHERE collection = ?1",
                          "u", (uint64_t)collection);
}

akin_status akin__caption_remove(akin__conn *conn, uint32_t collection,
                                 uint64_t num, akin_error *err)
{
    char sql[80];
    sqlite3_snprintf((int)sizeof sql, sql,
                     "DELETE FROM captions_%u WHERE rowid = ?1", collection);
    return akin__run(conn, err, sql, "u", num);
}

akin_status akin__caption_set(akin__conn *conn, uint32_t collection, bool table,
                              bool replace, uint64_t num, akin_span caption,
                              akin_error *err)
{
    char sql[100];
    akin_status rc = AKIN_OK;

    if (table && replace) rc = akin__caption_remove(conn, collection, num, err);
    if (rc || caption.size == 0) return rc;
    if (!table) rc = akin__captions_make(conn, collection, err);
    sqlite3_snprintf((int)sizeof sql, sql,
                     "INSERT INTO captions_%u(rowid, caption) VALUES(?1, ?2)",
                     collection);
    return rc ? rc : akin__run(conn, err, sql, "ut", num, caption);
}

akin_status akin__caption_check(akin__conn *conn, uint32_t collection,
                                akin_error *err)
{
    char sql[120];
    akin__collection c;
    akin_status rc = akin__collection_row(conn, collection, &c, err);
    if (rc || !c.captions) return rc;
    sqlite3_snprintf((int)sizeof sql, sql,
                     "INSERT INTO captions_%u(captions_%u)"
                     " VALUES('integrity-check')",
                     collection, collection);
    rc = akin__run(conn, err, sql, "");
    conn->dirty = false; /* it has only read */
    return rc;
}

/* ---- searching ----------------------------------------------------------- */

static bool in_word(uint8_t c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z');
}

/* The words of a text as FTS5 phrases: "word", the last perhaps "word"*. */
typedef struct {
    akin_buf text;
    akin_span at[MAX_WORDS]; /* into text */
    int count;
} phrases;

static akin_status split(akin_span text, phrases *out, akin_error *err)
{
    const char *p = text.data;
    size_t starts[MAX_WORDS + 1] = {0};

    for (size_t i = 0; i < text.size && out->count < MAX_WORDS;) {
        size_t from = i;
        while (i < text.size && in_word((uint8_t)p[i]))
            i++;
        if (i == from) {
            i++;
            continue;
        }
        bool typing = i == text.size && i - from >= MIN_PREFIX;
        akin_buf_text(&out->text, "\"");
        akin_buf_append(&out->text, p + from, i - from);
        akin_buf_text(&out->text, typing ? "\"*" : "\"");
        starts[++out->count] = out->text.size;
    }
    if (out->text.failed) return akin_fail(err, AKIN_NOMEM, "out of memory");
    for (int i = 0; i < out->count; i++)
        out->at[i] =
            (akin_span){out->text.data + starts[i], starts[i + 1] - starts[i]};
    return AKIN_OK;
}

/* ---- common words -------------------------------------------------------- */

#define SAMPLED_FROM 20000 /* captions; fewer are searched fast enough */
#define WINDOWS      8
#define WINDOW       256 /* captions, about */

typedef struct {
    int64_t start[WINDOWS];
    int64_t captions; /* in all windows */
} sample;

static akin_status take_sample(akin__conn *conn, uint32_t collection,
                               sample *out, akin_error *err)
{
    char sql[160];
    int64_t low = 0, high = 0;

    memset(out, 0, sizeof *out);
    sqlite3_snprintf((int)sizeof sql, sql,
                     "SELECT min(id) FROM captions_%u_content", collection);
    akin_status rc = akin__one(conn, &low, NULL, err, sql, "");
    sqlite3_snprintf((int)sizeof sql, sql,
                     "SELECT max(id) FROM captions_%u_content", collection);
    if (!rc) rc = akin__one(conn, &high, NULL, err, sql, "");
    sqlite3_snprintf((int)sizeof sql, sql,
                     "SELECT count(*) FROM captions_%u_content"
                     " WHERE id BETWEEN ?1 AND ?2",
                     collection);
    for (int i = 0; !rc && i < WINDOWS; i++) {
        int64_t n = 0;
        out->start[i] = low + (high - low) / WINDOWS * i;
        rc = akin__one(conn, &n, NULL, err, sql, "ii", out->start[i],
                       out->start[i] + WINDOW - 1);
        out->captions += n;
    }
    return rc;
}

/* How many of the sample's captions have the word. */
static akin_status count_sample(akin__conn *conn, uint32_t collection,
                                const sample *from, akin_span word,
                                int64_t *out, akin_error *err)
{
    char sql[160];
    akin_status rc = AKIN_OK;

    *out = 0;
    sqlite3_snprintf((int)sizeof sql, sql,
                     "SELECT count(*) FROM captions_%u WHERE captions_%u"
                     " MATCH ?1 AND rowid BETWEEN ?2 AND ?3",
                     collection, collection);
    for (int i = 0; !rc && i < WINDOWS; i++) {
        int64_t n = 0;
        rc = akin__one(conn, &n, NULL, err, sql, "tii", word, from->start[i],
                       from->start[i] + WINDOW - 1);
        *out += n;
    }
    return rc;
}

/* Leaves out the words that are too common; the least common one stays in any
 * case. */
static akin_status drop_common(akin__conn *conn, const akin__collection *c,
                               phrases *words, akin_error *err)
{
    int64_t counts[MAX_WORDS] = {0};
    sample s;
    int rarest = 0, kept = 0;

    if (c->items < SAMPLED_FROM || words->count < 2) return AKIN_OK;
    akin_status rc = take_sample(conn, c->collection, &s, err);
    for (int i = 0; !rc && i < words->count; i++) {
        rc = count_sample(conn, c->collection, &s, words->at[i], &counts[i],
                          err);
        if (counts[i] < counts[rarest]) rarest = i;
    }
    for (int i = 0; i < words->count; i++)
        if (counts[i] <= s.captions / 2 || i == rarest)
            words->at[kept++] = words->at[i];
    words->count = kept;
    return rc;
}

/* ---- running ------------------------------------------------------------- */

typedef struct {
    akin_num_allow *allow;
    void *user;
} allowing;

static void sql_allow(sqlite3_context *context, int n, sqlite3_value **values)
{
    (void)n;
    allowing *a = sqlite3_value_pointer(values[0], "akin_allow");
    int64_t num = sqlite3_value_int64(values[1]);
    sqlite3_result_int(context, a && a->allow(a->user, (uint64_t)num));
}

akin_status akin__text_functions(akin__conn *conn, akin_error *err)
{
    int rc = sqlite3_create_function_v2(conn->db, "akin_allow", 2,
                                        SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL,
                                        sql_allow, NULL, NULL, NULL);
    return rc ? akin__fail_sqlite(conn, rc, "akin_allow", err) : AKIN_OK;
}

typedef struct {
    uint64_t num;
    double score;
} found;

typedef struct {
    akin__conn *conn;
    uint32_t collection, k;
    allowing allowed;
    found *hits;
    size_t n, capacity;
} searching;

static bool has(const searching *q, size_t first, uint64_t num)
{
    for (size_t i = 0; i < first; i++)
        if (q->hits[i].num == num) return true;
    return false;
}

/* Adds the best of an FTS5 query that are not there yet, up to k in all. */
static akin_status run(searching *q, akin_span query, akin_error *err)
{
    char sql[240];
    sqlite3_stmt *stmt;
    size_t first = q->n;
    bool row = true, some = q->allowed.allow != NULL;

    /* Not "ORDER BY rank": that sorts all matches, this keeps the best k. */
    sqlite3_snprintf((int)sizeof sql, sql,
                     "SELECT rowid, bm25(captions_%u) FROM captions_%u"
                     " WHERE captions_%u MATCH ?1%s"
                     " ORDER BY bm25(captions_%u), rowid LIMIT ?2",
                     q->collection, q->collection, q->collection,
                     some ? " AND akin_allow(?3, rowid)" : "", q->collection);
    akin_status rc = akin__query(q->conn, &stmt, err, sql, some ? "tun" : "tu",
                                 query, (uint64_t)q->k);
    if (!rc && some)
        sqlite3_bind_pointer(stmt, 3, &q->allowed, "akin_allow", NULL);
    while (!rc && row && q->n < q->k) {
        rc = akin__step(q->conn, stmt, &row, err);
        if (rc || !row) break;
        found hit = {akin__column_u64(stmt, 0),
                     -sqlite3_column_double(stmt, 1)};
        if (has(q, first, hit.num)) continue;
        rc = akin_grow(&q->hits, &q->capacity, q->n + 1, sizeof *q->hits, err);
        if (!rc) q->hits[q->n++] = hit;
    }
    akin__release(q->conn, stmt);
    return rc;
}

static akin_status run_joined(searching *q, const phrases *words,
                              const char *joint, akin_error *err)
{
    akin_buf query = {0};
    for (int i = 0; i < words->count; i++) {
        if (i) akin_buf_text(&query, joint);
        akin_buf_append(&query, words->at[i].data, words->at[i].size);
    }
    akin_status rc = query.failed
                         ? akin_fail(err, AKIN_NOMEM, "out of memory")
                         : run(q, (akin_span){query.data, query.size}, err);
    akin_buf_clear(&query);
    return rc;
}

static akin_status search(searching *q, phrases *words, akin_error *err)
{
    akin__collection c;
    akin_status rc = akin__collection_row(q->conn, q->collection, &c, err);

    if (rc || !c.captions || words->count == 0 || q->k == 0) return rc;
    rc = drop_common(q->conn, &c, words, err);
    if (!rc) rc = run_joined(q, words, " AND ", err);
    if (!rc && words->count > 1 && q->n < q->k)
        rc = run_joined(q, words, " OR ", err);
    return rc;
}

akin_status akin_storage_text_search(akin_storage *s, uint32_t collection,
                                     akin_span text, uint32_t k,
                                     akin_num_allow *allow, void *allow_user,
                                     akin_text_each *each, void *user,
                                     akin_error *err)
{
    phrases words = {.count = 0};
    searching q = {
        .collection = collection, .k = k, .allowed = {allow, allow_user}};

    akin_status rc = akin__check_text(text, MAX_QUERY_BYTES, "text", err);
    if (!rc) rc = split(text, &words, err);
    if (!rc) rc = akin__read_begin(s, &q.conn, err);
    if (!rc) rc = search(&q, &words, err);
    akin__read_end(s, q.conn);
    for (size_t i = 0; !rc && i < q.n; i++)
        if (!each(user, q.hits[i].num, q.hits[i].score)) break;
    akin_free(q.hits);
    akin_buf_clear(&words.text);
    return rc;
}
