/* Captions and their full text index: one FTS5 table per collection, made with
 * the first caption, whose rowid is the item's number.
 *
 * What a user types is cut into words and every word quoted, so that no
 * character means anything to FTS5's query language; the words are joined by
 * OR and ranked by BM25, which puts items with more of them first. The last
 * word also matches as the beginning of a word (one is still typing it). */
#include "internal.h"

#include <math.h>
#include <string.h>

#define MAX_WORDS       64
#define MIN_PREFIX      3    /* shorter beginnings match half the dictionary */
#define MAX_QUERY_BYTES 4096 /* of the text searched for */

static akin_status make_table(akin__conn *conn, uint32_t collection,
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
    if (!table) rc = make_table(conn, collection, err);
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

/* ---- searching ------------------------------------------------------------ */

static bool in_word(uint8_t c)
{
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z');
}

/* Writes the FTS5 query; returns the number of words. */
static int build_query(akin_span text, akin_buf *out)
{
    const char *p = text.data;
    int words = 0;

    for (size_t i = 0; i < text.size && words < MAX_WORDS;) {
        size_t from = i;
        while (i < text.size && in_word((uint8_t)p[i]))
            i++;
        if (i == from) {
            i++;
            continue;
        }
        akin_buf_text(out, words++ ? " OR \"" : "\"");
        akin_buf_append(out, p + from, i - from);
        akin_buf_text(out, "\"");
        if (i == text.size && i - from >= MIN_PREFIX) akin_buf_text(out, "*");
    }
    return words;
}

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

static akin_status run_search(akin__conn *conn, uint32_t collection,
                              akin_span query, uint32_t k, allowing *a,
                              akin_text_each *each, void *user, akin_error *err)
{
    char sql[240];
    sqlite3_stmt *stmt;
    bool row = true;

    /* Not "ORDER BY rank": that sorts all matches, this keeps the best k. */
    sqlite3_snprintf((int)sizeof sql, sql,
                     "SELECT rowid, bm25(captions_%u) FROM captions_%u"
                     " WHERE captions_%u MATCH ?1%s"
                     " ORDER BY bm25(captions_%u), rowid LIMIT ?2",
                     collection, collection, collection,
                     a->allow ? " AND akin_allow(?3, rowid)" : "", collection);
    akin_status rc = akin__query(conn, &stmt, err, sql, a->allow ? "tun" : "tu",
                                 query, (uint64_t)k);
    if (!rc && a->allow) sqlite3_bind_pointer(stmt, 3, a, "akin_allow", NULL);
    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (!rc && row &&
            !each(user, akin__column_u64(stmt, 0),
                  -sqlite3_column_double(stmt, 1)))
            break;
    }
    akin__release(conn, stmt);
    return rc;
}

akin_status akin_storage_text_search(akin_storage *s, uint32_t collection,
                                     akin_span text, uint32_t k,
                                     akin_num_allow *allow, void *allow_user,
                                     akin_text_each *each, void *user,
                                     akin_error *err)
{
    akin__conn *conn;
    akin__collection c;
    akin_buf query = {0};
    allowing a = {allow, allow_user};

    akin_status rc = akin__check_text(text, MAX_QUERY_BYTES, "text", err);
    if (rc) return rc;
    int words = build_query(text, &query);
    const char *built = akin_buf_cstr(&query);
    if (!built) {
        akin_buf_clear(&query);
        return akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    rc = akin__read_begin(s, &conn, err);
    if (!rc) {
        rc = akin__collection_row(conn, collection, &c, err);
        if (!rc && words && k && c.captions)
            rc = run_search(conn, collection, akin_span_of(built), k, &a, each,
                            user, err);
        akin__read_end(s, conn);
    }
    akin_buf_clear(&query);
    return rc;
}
