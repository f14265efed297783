/* What the files of storage/ share.
 *
 * Locks: write.mutex (queue of calls) and pool.mutex (free readers) are never
 * held together; neither is held while SQLite works. thumbs.mutex guards the
 * connection to thumbs.db and is taken by the writer after its commit. */
#ifndef AKIN_STORAGE_INTERNAL_H
#define AKIN_STORAGE_INTERNAL_H

#include "akin_storage.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define AKIN__APPLICATION_ID 0x616b696e /* "akin" */
#define AKIN__NUM_BITS       40         /* of a vector's key: space, num */
#define AKIN__MAX_SPACE      0x7fffff   /* a key has 63 bits */
#define AKIN__PAGE_BYTES     8192
#define AKIN__STATEMENTS     96
#define AKIN__MAX_READERS    64

/* ---- one connection (sql.c) --------------------------------------------- */

typedef struct {
    sqlite3_stmt *stmt;
    uint64_t hash; /* of the SQL text */
    bool busy;
} akin__cached;

typedef struct akin__conn {
    sqlite3 *db;
    akin__cached cached[AKIN__STATEMENTS];
    uint32_t next; /* to be dropped when all places are taken */
    bool dirty;    /* writer: the op under way has changed something */
} akin__conn;

akin_status akin__conn_open(const char *path, bool read_only, bool unsafe,
                            uint64_t cache_bytes, akin__conn *conn,
                            akin_error *err);
void akin__conn_close(akin__conn *conn);

akin_status akin__sqlite_status(int rc);
/* Fails with what the connection says. rc: from SQLite. */
akin_status akin__fail_sqlite(akin__conn *conn, int rc, const char *doing,
                              akin_error *err);

/* A statement from the connection's cache; give it back with akin__release.
 * Values are bound in order by a letter each: i int64_t, u uint64_t, d double,
 * t akin_span text, b akin_span bytes (both: data NULL is SQL NULL), s const
 * char * text, h const uint8_t * hash (NULL: SQL NULL), n NULL (no argument).
 * They must live until the release. */
akin_status akin__query(akin__conn *conn, sqlite3_stmt **out, akin_error *err,
                        const char *sql, const char *types, ...);
/* Next row; *row false at the end. */
akin_status akin__step(akin__conn *conn, sqlite3_stmt *stmt, bool *row,
                       akin_error *err);
void akin__release(akin__conn *conn, sqlite3_stmt *stmt); /* no-op on NULL */
/* A statement without rows, begun and ended. */
akin_status akin__run(akin__conn *conn, akin_error *err, const char *sql,
                      const char *types, ...);
/* First column of the first row; *found (may be NULL) false without a row. */
akin_status akin__one(akin__conn *conn, int64_t *out, bool *found,
                      akin_error *err, const char *sql, const char *types, ...);
/* Several statements without values. */
akin_status akin__exec(akin__conn *conn, const char *sql, akin_error *err);

akin_span akin__column(sqlite3_stmt *stmt, int column); /* NUL behind it */
uint64_t akin__column_u64(sqlite3_stmt *stmt, int column);
const uint8_t *akin__column_hash(sqlite3_stmt *stmt, int column);

/* ---- the handle (open.c) ------------------------------------------------ */

/* A call to akin_storage_write, on its caller's stack. */
typedef struct akin__call {
    const akin_write *ops;
    size_t n;
    akin_write_result *results;
    akin_status status; /* of the transaction */
    akin_error error;
    bool done;
    pthread_cond_t woken;
    struct akin__call *next;
} akin__call;

struct akin_storage {
    char *dir;
    akin_storage_options options;
    int lock_fd; /* -1: read only */

    struct {
        pthread_mutex_t mutex;
        pthread_cond_t free;
        akin__conn conns[AKIN__MAX_READERS];
        bool open[AKIN__MAX_READERS], busy[AKIN__MAX_READERS];
        uint32_t n;
    } pool;

    struct {
        pthread_mutex_t mutex;
        pthread_cond_t work;
        akin__call *first, *last;
        bool stop, running;
        pthread_t thread;
        akin__conn conn;   /* the writer thread's */
        uint64_t seq;      /* the writer thread's; last given out */
        atomic_bool sweep; /* set at open and by the writer thread: it may use
                              conn with nothing queued, for dropped things are
                              left */
    } write;

    struct {
        pthread_mutex_t mutex;
        akin__conn conn;
        bool open;
        bool changed; /* in a transaction, of the writer thread */
    } thumbs;

    _Atomic uint64_t calls, ops, transactions;
};

/* A reader in a transaction of its own (one snapshot). */
akin_status akin__read_begin(akin_storage *storage, akin__conn **out,
                             akin_error *err);
void akin__read_end(akin_storage *storage, akin__conn *conn); /* NULL: no-op */

/* ---- schema (schema.c) -------------------------------------------------- */

extern const char *const akin__schema[]; /* step i makes version i + 1 */
extern const uint32_t akin__schema_steps;
extern const char *const akin__thumbs_schema[];
extern const uint32_t akin__thumbs_schema_steps;

/* Brings the file to version `steps` in one transaction. */
akin_status akin__migrate(akin__conn *conn, const char *const *schema,
                          uint32_t steps, const char *path, bool read_only,
                          akin_error *err);

/* ---- writer (writer.c) -------------------------------------------------- */

akin_status akin__writer_start(akin_storage *storage, akin_error *err);
void akin__writer_stop(akin_storage *storage);

/* ---- operations on the writing connection (put.c, ops.c) ---------------- */

typedef struct {
    akin_storage *storage;
    akin__conn *conn;
    int64_t now_ms;
} akin__writing;

uint64_t akin__next_seq(akin__writing *w);

/* Op in AKIN_WRITE_PUT .. order. What it finds wrong before it changes anything
 * (conn->dirty false) concerns it alone; later failures end the transaction. */
akin_status akin__op(akin__writing *w, const akin_write *op,
                     akin_write_result *result, akin_error *err);
akin_status akin__op_put(akin__writing *w, const akin_write *op,
                         akin_write_result *result, akin_error *err);
akin_status akin__op_remove(akin__writing *w, const akin_write *op,
                            akin_write_result *result, akin_error *err);
akin_status akin__op_vector(akin__writing *w, const akin_write *op,
                            akin_write_result *result, akin_error *err);
akin_status akin__op_field(akin__writing *w, const akin_write *op,
                           akin_write_result *result, akin_error *err);
akin_status akin__op_unfield(akin__writing *w, const akin_write *op,
                             akin_write_result *result, akin_error *err);
akin_status akin__op_aliases(akin__writing *w, const akin_write *op,
                             akin_write_result *result, akin_error *err);
akin_status akin__op_import(akin__writing *w, const akin_write *op,
                            akin_write_result *result, akin_error *err);
/* After the commit: the thumbnails of what was imported, as `collection`, out of
 * the directory: all or none. */
akin_status akin__import_thumbs(akin_storage *storage, const char *dir,
                                uint64_t collection, akin_error *err);
akin_status akin__op_audit(akin__writing *w, const akin_write *op,
                           akin_write_result *result, akin_error *err);
akin_status akin__op_dupes(akin__writing *w, const akin_write *op,
                           akin_write_result *result, akin_error *err);
akin_status akin__op_dismiss(akin__writing *w, const akin_write *op,
                             akin_write_result *result, akin_error *err);
akin_status akin__sketch_set(akin__conn *conn, uint64_t num,
                             const uint8_t *sketch, akin_error *err);
/* An op of akin_storage_check: the full text index of a collection against its
 * captions, which SQLite does only on a connection that may write. */
#define AKIN__WRITE_CHECK_TEXT ((akin_write_kind)1000)

/* Removes one slice of what was dropped; *left: there is more. nums: numbers of
 * removed items (their thumbnails go), at most AKIN__SLICE. */
#define AKIN__SLICE 512
akin_status akin__sweep(akin__conn *conn, bool *left, uint64_t *nums,
                        size_t *count, akin_error *err);

/* ---- vectors on the writing connection (spaces.c) ------------------------ */

/* Float16 vectors are unit vectors up to their rounding. */
#define AKIN__UNIT_TOLERANCE 0.02
double akin__vector_length(akin_span vector); /* not finite: NAN */

/* Well formed for storing: dim, model, finite values, length 1. */
akin_status akin__check_vector(const akin_vector *v, akin_error *err);
/* Stores a vector in the space of (collection, kind, its model), made if it is
 * missing. */
akin_status akin__vector_set(akin__conn *conn, uint32_t collection,
                             akin_space kind, uint64_t num, uint64_t seq,
                             const akin_vector *v, akin_error *err);
/* Removes an item's vectors of a kind, of all models but `except` (NULL: of
 * all), leaving a removal for each. */
akin_status akin__vectors_drop(akin__conn *conn, uint32_t collection,
                               akin_space kind, uint64_t num, uint64_t seq,
                               const uint8_t *except, akin_error *err);

/* ---- collections and spaces (collections.c) ------------------------------ */

/* A collection's row without its texts. */
typedef struct {
    uint32_t collection;
    uint8_t model[2][AKIN_HASH_BYTES]; /* current, other */
    uint32_t dim[2];
    bool present[2];
    bool captions; /* it has a full text table */
    bool fields;   /* it has declared fields of type tags */
    uint64_t seq, items, trimmed_seq;
} akin__collection;

/* AKIN_NOT_FOUND: "no collection 7". */
akin_status akin__collection_row(akin__conn *conn, uint32_t collection,
                                 akin__collection *out, akin_error *err);

/* Number of the space of (collection, kind, model), 0 if there is none. */
akin_status akin__space_find(akin__conn *conn, uint32_t collection,
                             akin_space kind, const uint8_t *model,
                             uint64_t *space, uint32_t *dim, akin_error *err);
uint64_t akin__key(uint64_t space, uint64_t num);

/* ---- items (read.c) ----------------------------------------------------- */

#define AKIN__ITEM_COLUMNS                                                     \
    "num, seq, collection, id, attributes, source, format, mtime, size, "      \
    "created, changed, content_hash, pixel_hash, phashes, width, height"

/* What a loop over items of one collection needs. */
typedef struct {
    akin__conn *conn;
    akin__collection collection;
    uint32_t with;
    uint64_t space[AKIN_SPACES]; /* of the current model; 0: none */
    size_t capacity;             /* of item->memory */
} akin__item_reader;

akin_status akin__item_reader_init(akin__item_reader *reader, akin__conn *conn,
                                   uint32_t collection, uint32_t with,
                                   akin_error *err);
/* Fills item from a row of AKIN__ITEM_COLUMNS; reuses item->memory. */
akin_status akin__item_fill(akin__item_reader *reader, sqlite3_stmt *row,
                            akin_item *item, akin_error *err);

/* ---- captions (text.c) -------------------------------------------------- */

/* table: the collection has its full text table, else it is made. replace: the
 * item may have a caption. An empty caption is removed. */
akin_status akin__caption_set(akin__conn *conn, uint32_t collection, bool table,
                              bool replace, uint64_t num, akin_span caption,
                              akin_error *err);
/* Makes the collection's full text table. */
akin_status akin__captions_make(akin__conn *conn, uint32_t collection,
                                akin_error *err);
akin_status akin__caption_remove(akin__conn *conn, uint32_t collection,
                                 uint64_t num, akin_error *err);

akin_status akin__caption_check(akin__conn *conn, uint32_t collection,
                                akin_error *err);
akin_status akin__text_functions(akin__conn *conn, akin_error *err);

/* ---- attributes and fields (json.c, fields.c, predicate.c) --------------- */

typedef enum {
    AKIN__MISSING, /* not there, or an object (text: its JSON) */
    AKIN__NUMBER,
    AKIN__STRING,
    AKIN__NULL,
    AKIN__ARRAY,   /* text: JSON between the brackets */
    AKIN__LITERALS /* first, count: nodes of the predicate */
} akin__value_type;

typedef struct {
    akin__value_type type;
    bool escaped; /* text still has JSON escapes */
    bool there;   /* the path leads somewhere, if only to an object */
    double number;
    akin_span text;
    uint32_t first, count;
} akin__value;

/* Value at a path (names joined by dots) of a JSON object. */
akin__value akin__json_field(akin_span json, akin_span path);
/* Next element of an array's text (start with *at = 0); false at its end.
 * Elements that are arrays or objects come as AKIN__MISSING, the latter with
 * their text. */
bool akin__json_element(akin_span array, size_t *at, akin__value *out);
/* Decodes a string's escapes; out holds text.size bytes. Returns the length. */
size_t akin__json_decode(akin_span text, char *out);
/* The number a whole text spells, as strtod reads it in the C locale; *is (may
 * be NULL): whether it spells one; 0 if not. */
double akin__text_number(akin_span text, bool *is);
/* Writes json without needless escapes of printable ASCII (\u0041, \/), so that
 * SQLite's json_extract, which compares names as written, and akin__json_field
 * see the same names. Equal JSON; out holds json.size bytes. */
size_t akin__json_plain(akin_span json, char *out);
bool akin__utf8_valid(akin_span text);
/* An RFC 3339 date or date and time (UTC without a zone) in milliseconds. */
bool akin__text_time(akin_span text, double *out);

/* akin_predicate_match that can say AKIN_NOMEM. */
akin_status akin__predicate_eval(const akin_predicate *predicate, akin_span id,
                                 akin_span attributes, bool *pass);
/* Number a literal node compares as; text of a string node as it stands. */
double akin__literal_number(const akin_predicate_node *node);

/* Checks a path and writes it as SQLite spells it: $."a"."b" */
akin_status akin__json_path(akin_span path, akin_buf *out, akin_error *err);

/* Puts the elements of an item's tag fields into the tags table; remove takes
 * out those of its old attributes. */
akin_status akin__tags_add(akin__conn *conn, uint32_t collection, uint64_t num,
                           akin_span attributes, akin_error *err);
akin_status akin__tags_remove(akin__conn *conn, uint32_t collection,
                              uint64_t num, akin_span attributes,
                              akin_error *err);

/* The expression index of a declared field; path: as SQLite spells it. */
akin_status akin__field_index(akin__conn *conn, uint32_t collection,
                              uint64_t field, const char *path,
                              akin_error *err);
/* Drops the expression indexes of a collection and their fields. */
akin_status akin__fields_drop(akin__conn *conn, uint32_t collection,
                              akin_error *err);

/* The SQL function akin_match of the readers. */
akin_status akin__select_functions(akin__conn *conn, akin_error *err);

/* ---- thumbnails (thumbs.c) ---------------------------------------------- */

akin_status akin__thumbs_open(akin_storage *storage, akin_error *err);
void akin__thumbs_close(akin_storage *storage);
/* After a commit; failures are logged. keep: do not overwrite. */
void akin__thumb_set(akin_storage *storage, uint64_t num, akin_span thumb,
                     bool keep);
/* Drops thumbnails whose items are gone. */
akin_status akin__thumbs_sweep(akin_storage *storage, akin_error *err);
void akin__thumbs_begin(akin_storage *storage);
void akin__thumbs_end(akin_storage *storage);

/* ---- checks of what comes in (validate.c) -------------------------------- */

/* Of a collection or an alias. */
akin_status akin__check_name(akin_span name, akin_error *err);
/* A text's checks: at most `limit` bytes of UTF-8 without NUL. */
akin_status akin__check_text(akin_span text, size_t limit, const char *what,
                             akin_error *err);
/* Same, and a JSON object. */
akin_status akin__check_object(akin__conn *conn, akin_span json, size_t limit,
                               const char *what, akin_error *err);

#endif
