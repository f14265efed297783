/* akin storage: the truth, in SQLite. Collections, items with their vectors
 * (float16), captions with full text, attributes with filters, jobs, and
 * thumbnails beside them.
 *
 *   DIR/akin.db      everything but thumbnails
 *   DIR/thumbs.db    thumbnails
 *   DIR/LOCK         held by the one process that writes
 *
 * One thread of the storage owns the writing connection. akin_storage_write may
 * be called from any thread and returns when its transaction is on disk; calls
 * that come together share one transaction. Reads may be called from any
 * thread, borrow a connection for the call and see the last commit; those with
 * a callback see one snapshot throughout. A callback must not call the storage
 * and must not keep what it was lent; it returns false to stop (the call then
 * returns AKIN_OK). Every call may fail with AKIN_NOMEM, AKIN_IO,
 * AKIN_CORRUPT. */
#ifndef AKIN_STORAGE_H
#define AKIN_STORAGE_H

#include "akin_base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AKIN_MAX_ID_BYTES         512     /* item id */
#define AKIN_MAX_NAME_BYTES       128     /* collection, field names */
#define AKIN_MAX_ATTRIBUTES_BYTES 1048576 /* JSON of one item */
#define AKIN_MAX_CAPTION_BYTES    65536   /* caption of one item */
#define AKIN_MAX_PATH_BYTES       4096    /* source path */
#define AKIN_MAX_SETTINGS_BYTES   1048576 /* JSON of a collection or a job */
#define AKIN_MAX_DIM              65536   /* width of a vector */
#define AKIN_MAX_PHASHES          16      /* perceptual hash words, item */
#define AKIN_MAX_THUMB_BYTES      1048576 /* one thumbnail */
#define AKIN_MAX_NODES            1024    /* nodes of a predicate */
#define AKIN_MAX_JOBS             1000    /* kept besides those that run */
#define AKIN_MAX_JOB_ERRORS       1000    /* errors kept of one job */
#define AKIN_HASH_BYTES           32      /* content, pixel, model hash */
#define AKIN_SKETCH_BYTES         1024    /* small grey picture of an item */
#define AKIN_MAX_DUPE_EDGES       256     /* found by one look */
#define AKIN_MAX_NUM              0xfffffffff /* item number: an index's label */

typedef struct akin_storage akin_storage;

typedef enum { AKIN_SPACE_IMAGE, AKIN_SPACE_CAPTION, AKIN_SPACES } akin_space;

/* ---- opening ------------------------------------------------------------ */

typedef struct {
    const char *dir;
    bool create;    /* make the directory and the file if missing */
    bool read_only; /* no LOCK, no writes; the directory must exist */
    bool unsafe;    /* commits do not wait for the disk; for bulk tests only */
    uint32_t readers;     /* connections for reads; 0: 8 */
    uint64_t cache_bytes; /* page cache of one connection; 0: 16 MiB */
} akin_storage_options;

/* Opens DIR, migrates an older file forward, marks jobs that were running as
 * interrupted. Fails with AKIN_NOT_FOUND (no such directory and !create),
 * AKIN_BUSY (open in another process, named in the message), AKIN_UNSUPPORTED
 * (file of a newer akin, or not akin's). */
akin_status akin_storage_open(const akin_storage_options *options,
                              akin_storage **out,
                              akin_error *err) AKIN_MUST_CHECK;
/* Waits for writes under way; no other call may run. No-op on NULL. */
void akin_storage_close(akin_storage *storage);

typedef struct {
    uint64_t seq; /* last change number given out */
    uint64_t collections, items, vectors;
    uint64_t file_bytes, wal_bytes, thumb_bytes;
    uint64_t calls, ops, transactions; /* writes since open */
    uint32_t readers_busy;
    uint32_t schema_version;
} akin_storage_info;

akin_status akin_storage_stat(akin_storage *storage, akin_storage_info *out,
                              akin_error *err) AKIN_MUST_CHECK;

/* ---- writing ------------------------------------------------------------ */

/* A unit vector in float16. model: AKIN_HASH_BYTES, fingerprint of the model
 * that made it (all zero: came from the user). norm: length before it was
 * scaled to 1, for giving the user's vector back; 0 reads as 1. data NULL: no
 * vector. */
typedef struct {
    const uint16_t *data; /* (dim) */
    uint32_t dim;
    float norm;
    const uint8_t *model;
} akin_vector;

/* What an item is made of. A span with data NULL (a pointer that is NULL, a
 * vector without data) means "not given"; a span with data and size 0 removes
 * what is stored. */
typedef struct {
    akin_span id;         /* 1..AKIN_MAX_ID_BYTES, any bytes */
    akin_span attributes; /* a JSON object */
    akin_span caption;    /* UTF-8 */
    akin_vector vectors[AKIN_SPACES];
    akin_span source;                     /* path or URL it came from */
    int64_t source_mtime_ns, source_size; /* of the file; with source */
    const uint8_t *content_hash; /* AKIN_HASH_BYTES, of the file's bytes */
    const uint8_t *pixel_hash;   /* AKIN_HASH_BYTES, of oriented pixels */
    const uint64_t *phashes;     /* perceptual hashes, with content_hash */
    uint32_t phash_count;
    const uint8_t *sketch;  /* AKIN_SKETCH_BYTES, with content_hash */
    uint32_t width, height; /* pixels, oriented; 0: not given */
    akin_span format;       /* "jpeg", "png", ... */
    akin_span thumb;        /* picture file, goes to thumbs.db after commit */
} akin_item_data;

typedef enum {
    AKIN_WRITE_PUT,       /* item */
    AKIN_WRITE_REMOVE,    /* item: id */
    AKIN_WRITE_VECTOR,    /* vector of another model for an item that exists */
    AKIN_WRITE_CREATE,    /* collection */
    AKIN_WRITE_CHANGE,    /* collection: settings, models */
    AKIN_WRITE_DROP,      /* collection, with everything in it */
    AKIN_WRITE_TRIM,      /* forget removals up to a change number */
    AKIN_WRITE_FORGET,    /* drop the vectors of one model */
    AKIN_WRITE_FIELD,     /* declare and index an attribute */
    AKIN_WRITE_JOB,       /* new job */
    AKIN_WRITE_JOB_SET,   /* state, progress of a job */
    AKIN_WRITE_JOB_ERROR, /* add an error to a job */
    AKIN_WRITE_DUPES,     /* what a look for an item's duplicates found */
    AKIN_WRITE_DISMISS,   /* a pair is no duplicate; or is, after all */
    AKIN_WRITE_UNFIELD,   /* undo FIELD */
    AKIN_WRITE_ALIASES,   /* other names of collections */
    AKIN_WRITE_IMPORT,    /* a collection from an exported directory */
    AKIN_WRITE_REPLACE,   /* gives a collection the name of another */
    AKIN_WRITE_AUDIT      /* a row of the audit */
} akin_write_kind;

enum {                           /* akin_write.flags */
       AKIN_PUT_CREATE_ONLY = 1, /* AKIN_EXISTS if the id is there */
       AKIN_PUT_UPDATE_ONLY = 2, /* AKIN_NOT_FOUND if it is not */
       AKIN_PUT_REPLACE = 4 /* what is not given is removed, else it is kept */
};

typedef enum {
    AKIN_JOB_RUNNING,
    AKIN_JOB_DONE,
    AKIN_JOB_FAILED,
    AKIN_JOB_CANCELLED,
    AKIN_JOB_INTERRUPTED, /* the process ended while it ran */
    AKIN_JOB_STATES
} akin_job_state;

typedef enum {
    AKIN_FIELD_NUMBER,
    AKIN_FIELD_STRING,
    AKIN_FIELD_BOOL,
    AKIN_FIELD_TAGS,     /* array of strings or numbers */
    AKIN_FIELD_DATETIME, /* RFC 3339 text */
    AKIN_FIELD_TYPES
} akin_field_type;

typedef enum { AKIN_DUPE_EXACT, AKIN_DUPE_NEAR, AKIN_DUPE_SIMILAR } akin_dupe;

/* Why one item may be a duplicate of another. */
typedef struct {
    uint64_t num; /* the other item */
    akin_dupe level;
    bool same_bytes, same_pixels;
    uint32_t
        distance;     /* of perceptual hashes, bits; UINT32_MAX: not compared */
    float similarity; /* of sketches, -1..1; -2: not compared */
    float cosine;     /* of embeddings; -2: not compared */
    uint32_t turn;    /* orientation that fits best, 1..8 */
    const uint8_t *content_hash; /* of the other item, when it was looked at;
                                    NULL when read */
} akin_dupe_edge;

/* Gives a collection one more name, or (collection 0) takes that name away, or
 * (to given) calls it `to` from now on. */
typedef struct {
    akin_span name, to;
    uint32_t collection;
} akin_alias_op;

#define AKIN_MAX_ALIASES 1024 /* in one op */

/* A destructive command, or a run of the same one by the same client: each less
 * than a minute after the one before. */
typedef struct {
    int64_t first_ms, last_ms; /* set by the storage, */
    uint64_t times;            /* this too */
    akin_span who, what;       /* UTF-8 */
    akin_span detail;          /* of the last of a run */
} akin_audit;

#define AKIN_MAX_AUDIT       10000 /* rows; older ones are forgotten */
#define AKIN_MAX_AUDIT_BYTES 1000  /* of each text */

/* First byte of the name of a collection that is not one yet. */
#define AKIN_HIDDEN 1

/* One change. Everything is borrowed for the call. Members by kind:
 *
 * PUT    collection, item, flags, drop (1 << space: remove that vector, where
 *        none is given), if_seq (0: any; AKIN_CANCELLED when the item's seq is
 *        another). New content bumps the item's seq. A vector's
 *        model must be the collection's current one (AKIN_WRONG_MODEL) and its
 *        dim that model's; a collection created without a model takes both from
 *        its first vector. A caption that changes without a caption vector
 *        drops the stale one; a content_hash that changes drops what is known
 *        of the old picture and is not given anew (image vector, pixel_hash,
 *        phashes, width, height, format). An image vector that is given without
 *        a content_hash is no picture's and drops the old one. A new vector drops those of other
 *        models in its space, for they are of the old content. The same content
 *        again changes nothing ("unchanged").
 * REMOVE collection, item.id (AKIN_NOT_FOUND).
 * VECTOR collection, num, space, vector, if_seq: stores a vector beside those
 *        of other models; AKIN_CANCELLED when the item's seq is no longer
 *        if_seq. For re-embedding.
 * CREATE name, settings, model, model_path, dim; without a model (model NULL)
 *        model and dim are set by the first vector. AKIN_EXISTS. The result's
 *        num is the collection's number.
 * CHANGE collection; settings, if given, are replaced; model/model_path/dim,
 *        if given, become the collection's other model; with swap the two
 *        models change places (after that assignment).
 * DROP   collection. Its aliases go with it.
 * TRIM   collection, seq: removals up to and including seq are forgotten.
 * FORGET collection, model: drops all vectors of that model, which may not be
 *        the current one (freed in the background, as after DROP); the other
 *        model, if it is that, is no more.
 * FIELD  collection, name (path: names joined by dots), type. Builds an index
 *        over what is there (4 to 12 s for a million items; other writes wait,
 *        reads do not). At most 64 a collection.
 * JOB    name (its kind), collection or 0, settings (parameters, JSON). The
 *        result's num is the job's number. Of those that have ended the
 *        newest AKIN_MAX_JOBS stay.
 * JOB_SET job, state, progress (JSON, if given), message (if given).
 * JOB_ERROR job, item.id or item.source, message; the first
 *        AKIN_MAX_JOB_ERRORS are kept, the rest only counted.
 * DUPES  collection, num, content_hash (of the item when it was looked at),
 *        edges, nedges, sketch (NULL: leave it): stores the edges and takes the
 *        item off the queue. "unchanged", and still queued, when the item has
 *        other content meanwhile; edges to such items are left out.
 * DISMISS collection, pair (two ids), undo. Remembered by the bytes of the two
 *        pictures where these differ, so also for other items with these
 *        pictures; else by the ids. AKIN_NOT_FOUND.
 * UNFIELD collection, name: drops the index of a declared attribute.
 *        AKIN_NOT_FOUND.
 * ALIASES aliases, naliases: all of them, in order, or none. An alias given
 *        again moves. AKIN_NOT_FOUND (collection, or alias to rename),
 *        AKIN_EXISTS (a collection has that name), AKIN_INVALID.
 * IMPORT dir (passed akin_storage_import_check): adds what is in there, in one
 *        transaction (other writes wait: about 10 s for a million items). The
 *        collection's name begins with AKIN_HIDDEN. The result's num is its
 *        number; with a status, too, when it is there without its thumbnails
 *        (disk full, snapshot damaged): to be dropped.
 * REPLACE collection, name, num: gives it that name, and the aliases of
 *        collection num, which had the name and now has a hidden one, until its
 *        last reader drops it (0: none).
 * AUDIT  audit: who, what, detail. */
typedef struct {
    akin_write_kind kind;
    uint32_t collection;
    uint32_t flags;
    const akin_item_data *item;
    uint64_t num, seq, if_seq;
    akin_space space;
    akin_vector vector;
    akin_span name;
    akin_span settings; /* a JSON object */
    const uint8_t *model;
    akin_span model_path;
    uint32_t dim;
    bool swap;
    akin_field_type type;
    uint64_t job;
    akin_job_state state;
    akin_span progress;
    akin_span message;
    const uint8_t *content_hash;
    const akin_dupe_edge *edges;
    size_t nedges;
    const uint8_t *sketch;
    akin_span pair[2];
    bool undo;
    const akin_audit *audit;
    uint32_t drop;
    const akin_alias_op *aliases;
    size_t naliases;
    const char *dir;
} akin_write;

typedef enum { AKIN_UNCHANGED, AKIN_CREATED, AKIN_UPDATED } akin_outcome;

typedef struct {
    akin_status status; /* AKIN_OK: committed */
    akin_outcome outcome;
    uint64_t num; /* item number: the label in the index, never reused */
    uint64_t seq; /* change number; 0 when nothing changed */
    akin_error error;
} akin_write_result;

/* Carries out n ops in order, in one transaction with those of other callers,
 * and returns when it is on disk. An op that fails leaves no trace and does not
 * stop the others: its reason is in its result. Returns AKIN_OK unless the
 * transaction as a whole failed; then nothing of it was stored and every result
 * says so. results: (n), or NULL: then the first op that failed fails the call
 * (the others are stored). */
akin_status akin_storage_write(akin_storage *storage, const akin_write *ops,
                               size_t n, akin_write_result *results,
                               akin_error *err) AKIN_MUST_CHECK;

/* ---- collections -------------------------------------------------------- */

typedef struct {
    uint8_t model[AKIN_HASH_BYTES]; /* fingerprint; zero: user's vectors */
    uint32_t dim;                   /* 0: not known yet */
    bool present;
    const char *path;
} akin_collection_model;

typedef struct {
    uint32_t collection; /* number, never reused */
    const char *name;
    const char *settings; /* JSON */
    akin_collection_model current, other;
    uint64_t items;
    uint64_t vectors[AKIN_SPACES]; /* of the current model */
    uint64_t seq; /* last change in it: what was read before it is stale */
    uint64_t trimmed_seq; /* akin_storage_changes cannot start before it */
    int64_t created_ms;
    void *memory;
} akin_collection;

/* name: 1..AKIN_MAX_NAME_BYTES bytes of UTF-8 without control characters and
 * '/'. Fails with AKIN_NOT_FOUND. Freed by akin_collection_clear. */
akin_status akin_storage_collection(akin_storage *storage, akin_span name,
                                    akin_collection *out,
                                    akin_error *err) AKIN_MUST_CHECK;
akin_status akin_storage_collection_by_num(akin_storage *storage,
                                           uint32_t collection,
                                           akin_collection *out,
                                           akin_error *err) AKIN_MUST_CHECK;
void akin_collection_clear(akin_collection *collection);

typedef bool akin_collection_each(void *user, const akin_collection *c);
/* By name. */
akin_status akin_storage_collections(akin_storage *storage,
                                     akin_collection_each *each, void *user,
                                     akin_error *err) AKIN_MUST_CHECK;

typedef bool akin_alias_each(void *user, const char *alias,
                             uint32_t collection);
/* By name. */
akin_status akin_storage_aliases(akin_storage *storage, akin_alias_each *each,
                                 void *user, akin_error *err) AKIN_MUST_CHECK;

typedef bool akin_field_each(void *user, const char *name,
                             akin_field_type type);
akin_status akin_storage_fields(akin_storage *storage, uint32_t collection,
                                akin_field_each *each, void *user,
                                akin_error *err) AKIN_MUST_CHECK;
const char *akin_field_type_name(akin_field_type type);

/* ---- items -------------------------------------------------------------- */

/* Texts are followed by a NUL that size does not count; data NULL: none.
 * Valid until akin_item_clear (in a callback: until it returns). */
typedef struct {
    uint64_t num, seq;
    uint32_t collection;
    akin_span id, attributes, caption, source, format;
    int64_t source_mtime_ns, source_size, created_ms, changed_ms;
    const uint8_t *content_hash, *pixel_hash; /* NULL: none */
    const uint64_t *phashes;
    uint32_t phash_count;
    uint32_t width, height;
    akin_vector vectors[AKIN_SPACES]; /* current model, if asked and there */
    void *memory;
} akin_item;

enum { AKIN_WITH_VECTORS = 1, AKIN_WITH_CAPTION = 2 }; /* what to read */

/* Fail with AKIN_NOT_FOUND. Freed by akin_item_clear. */
akin_status akin_storage_get(akin_storage *storage, uint32_t collection,
                             akin_span id, uint32_t with, akin_item *out,
                             akin_error *err) AKIN_MUST_CHECK;
akin_status akin_storage_get_num(akin_storage *storage, uint32_t collection,
                                 uint64_t num, uint32_t with, akin_item *out,
                                 akin_error *err) AKIN_MUST_CHECK;
void akin_item_clear(akin_item *item);

/* num and seq of an id without reading the rest; AKIN_NOT_FOUND. */
akin_status akin_storage_find(akin_storage *storage, uint32_t collection,
                              akin_span id, uint64_t *num, uint64_t *seq,
                              akin_error *err) AKIN_MUST_CHECK;

/* Items by number, in the order of nums; those that are gone are left out.
 * at: position in nums. */
typedef bool akin_item_each(void *user, size_t at, const akin_item *item);
akin_status akin_storage_get_many(akin_storage *storage, uint32_t collection,
                                  const uint64_t *nums, size_t n, uint32_t with,
                                  akin_item_each *each, void *user,
                                  akin_error *err) AKIN_MUST_CHECK;

/* Items with num > after, by num, at most limit (0: all). at counts up. */
akin_status akin_storage_scan(akin_storage *storage, uint32_t collection,
                              uint64_t after, uint64_t limit, uint32_t with,
                              akin_item_each *each, void *user,
                              akin_error *err) AKIN_MUST_CHECK;

typedef struct {
    akin_span start, end; /* data NULL: from the first / to the last */
    bool start_excluded, end_excluded;
} akin_id_range;

typedef bool akin_id_each(void *user, uint64_t num, akin_span id);
/* Ids by bytes, at most limit (0: all). */
akin_status akin_storage_range(akin_storage *storage, uint32_t collection,
                               const akin_id_range *range, uint64_t limit,
                               akin_id_each *each, void *user,
                               akin_error *err) AKIN_MUST_CHECK;

/* Items in the order of an attribute. */
typedef struct {
    akin_span path;
    bool descending;
    akin_span start; /* a number, or RFC 3339: from there on; empty: open */
    size_t limit;    /* 1..AKIN_MAX_ORDERED */
} akin_ordering;

#define AKIN_MAX_ORDERED 10001

/* A value of a sorted attribute: a number, or a time in milliseconds. */
typedef struct {
    uint64_t num;
    double value;
    bool time;
} akin_ordered_value;

/* Numbers and RFC 3339 texts at a path, sorted, of equal ones the older item
 * first; an element of a list each, so that an item may come several times.
 * allow (NULL: all), asked for each item, as in akin_storage_text_search. Reads
 * all attributes. out: (limit), caller's. AKIN_INVALID (start, path, limit). */
typedef bool akin_num_allow(void *user, uint64_t num);
akin_status akin_storage_order(akin_storage *storage, uint32_t collection,
                               const akin_ordering *ordering,
                               akin_num_allow *allow, void *user,
                               akin_ordered_value *out, size_t *n,
                               akin_error *err) AKIN_MUST_CHECK;

/* At most `count` distinct items picked at random from `seed`, in random
 * order. */
akin_status akin_storage_random(akin_storage *storage, uint32_t collection,
                                uint64_t count, uint64_t seed,
                                akin_id_each *each, void *user,
                                akin_error *err) AKIN_MUST_CHECK;

typedef enum { AKIN_BY_CONTENT, AKIN_BY_PIXELS } akin_hash_kind;
/* Items whose hash is `hash`, by num. */
akin_status akin_storage_by_hash(akin_storage *storage, uint32_t collection,
                                 akin_hash_kind kind,
                                 const uint8_t hash[AKIN_HASH_BYTES],
                                 akin_id_each *each, void *user,
                                 akin_error *err) AKIN_MUST_CHECK;

/* ---- vectors ------------------------------------------------------------ */

/* Image vector of any item (of any collection) with this content hash and
 * model: the embedding cache. out: (dim). AKIN_NOT_FOUND. */
akin_status akin_storage_vector_by_hash(akin_storage *storage,
                                        const uint8_t hash[AKIN_HASH_BYTES],
                                        const uint8_t model[AKIN_HASH_BYTES],
                                        uint16_t *out, uint32_t dim,
                                        akin_error *err) AKIN_MUST_CHECK;

typedef struct {
    uint64_t num, seq;
    const uint16_t *vector; /* (dim); NULL: removed */
    uint32_t dim;
} akin_change;

typedef bool akin_change_each(void *user, const akin_change *change);
/* What happened to one space after change `since`: first the removals, then the
 * vectors that are new or changed, in no promised order (since 0: all vectors
 * there are, no removals). *upto: the storage's seq that the snapshot shows;
 * start the next call there. model NULL: the current one. Fails with
 * AKIN_CANCELLED when removals after `since` were trimmed: start again
 * from 0. */
akin_status akin_storage_changes(akin_storage *storage, uint32_t collection,
                                 akin_space space, const uint8_t *model,
                                 uint64_t since, akin_change_each *each,
                                 void *user, uint64_t *upto,
                                 akin_error *err) AKIN_MUST_CHECK;

/* Items with num > after, by num, that have a vector of the current model in
 * the space but none of `model`: what a re-embedding job still has to do. */
akin_status akin_storage_missing(akin_storage *storage, uint32_t collection,
                                 akin_space space, const uint8_t *model,
                                 uint64_t after, uint64_t limit,
                                 akin_item_each *each, void *user,
                                 akin_error *err) AKIN_MUST_CHECK;

/* ---- filters ------------------------------------------------------------ */

/* A predicate is an array of nodes in which every operand stands before its
 * operator; the last node is the root. Values are those of Redis's vector-set
 * FILTER: numbers (true is 1, false 0), strings, null, lists.
 *   - A string that meets a number is read as one (0 if it is none). So does
 *     == between them; lists equal nothing but an operand of IN.
 *   - IN: left is an element of the list at right, or a substring of the string
 *     at right. NOT_IN: it is not.
 *   - Truth: 0, "" and null are false, all else is true.
 * A path is names joined by dots, looked up in the attributes object. */
typedef enum {
    AKIN_P_NUMBER, /* number */
    AKIN_P_STRING, /* text */
    AKIN_P_NULL,
    AKIN_P_LIST,   /* `right` literals from node `left` on */
    AKIN_P_FIELD,  /* text: path */
    AKIN_P_EXISTS, /* text: path; 1 if it is there (null counts), else 0 */
    AKIN_P_COUNT,  /* text: path; elements of a list, 0 if it is not there or
                      null, else 1 */
    AKIN_P_ID,     /* the item's id */
    AKIN_P_NOT,    /* left, as the other unary */
    AKIN_P_NEGATE,
    AKIN_P_TIME, /* RFC 3339 text at left to milliseconds since 1970 */
    AKIN_P_AND,  /* left, right, as the rest */
    AKIN_P_OR,
    AKIN_P_EQ,
    AKIN_P_NE,
    AKIN_P_LT,
    AKIN_P_LE,
    AKIN_P_GT,
    AKIN_P_GE,
    AKIN_P_IN,
    AKIN_P_NOT_IN, /* false of null, and of what is not there */
    AKIN_P_ADD,
    AKIN_P_SUB,
    AKIN_P_MUL,
    AKIN_P_DIV,
    AKIN_P_MOD,
    AKIN_P_POW,
    /* EACH (text: path, right: nodes from here to its ANY) opens a predicate of
     * its own about the elements of a list of objects, of which its nodes,
     * those up to ANY (left: the EACH), read the fields; ANY is true when that
     * is of one element. May be nested, at most AKIN_MAX_EACH deep; operands do
     * not reach into it or out of it. */
    AKIN_P_EACH,
    AKIN_P_ANY
} akin_predicate_op;

#define AKIN_MAX_EACH 16

typedef struct {
    akin_predicate_op op;
    uint32_t left, right; /* operands: numbers of earlier nodes */
    double number;
    akin_span text;
} akin_predicate_node;

typedef struct {
    const akin_predicate_node *nodes;
    uint32_t count; /* 1..AKIN_MAX_NODES */
    /* What an attribute that is not there (or is an object) does. true: the
     * item does not pass, as in Redis. false: the comparison it stands in is
     * false, as in Qdrant; EXISTS, NOT, AND, OR go on from there. And, as in
     * Qdrant, a comparison with a list at left (IN too) is true when it is for
     * one of its elements. */
    bool missing_fails;
} akin_predicate;

/* Whether a predicate is well formed. AKIN_INVALID names the node. */
akin_status akin_predicate_check(const akin_predicate *predicate,
                                 akin_error *err) AKIN_MUST_CHECK;

/* Whether attributes (JSON; empty: none) pass a predicate that was checked; ID
 * reads as "". */
bool akin_predicate_match(const akin_predicate *predicate,
                          akin_span attributes);

typedef bool akin_nums_each(void *user, const uint64_t *nums, size_t n);
/* Numbers of the items that pass, each once, in batches, in no promised order.
 * Uses the index of a declared field where that is the cheaper way. */
akin_status akin_storage_select(akin_storage *storage, uint32_t collection,
                                const akin_predicate *predicate,
                                akin_nums_each *each, void *user,
                                akin_error *err) AKIN_MUST_CHECK;

/* Of the n items `nums` those that are there and pass, in their order. */
akin_status akin_storage_select_among(akin_storage *storage,
                                      uint32_t collection,
                                      const akin_predicate *predicate,
                                      const uint64_t *nums, size_t n,
                                      akin_nums_each *each, void *user,
                                      akin_error *err) AKIN_MUST_CHECK;

/* The way select would go, for people: "scan" or the field's name and how many
 * rows it reads (freed by akin_free). */
akin_status akin_storage_explain(akin_storage *storage, uint32_t collection,
                                 const akin_predicate *predicate, char **out,
                                 akin_error *err) AKIN_MUST_CHECK;

/* value: JSON of a text, number or boolean, or an attribute's name; type: as
 * SQLite's json_type calls it ("text", "integer", "array" ...). */
typedef bool akin_facet_each(void *user, akin_span value, akin_span type,
                             uint64_t count);
/* The commonest values at a path, elements of lists one by one, most first, at
 * most limit. predicate NULL: of all items. Reads all attributes. */
akin_status akin_storage_facet(akin_storage *storage, uint32_t collection,
                               akin_span path, const akin_predicate *predicate,
                               uint32_t limit, akin_facet_each *each,
                               void *user, akin_error *err) AKIN_MUST_CHECK;
/* Names of attributes, the commonest first, by the first 5,000 items. */
akin_status akin_storage_attribute_names(akin_storage *storage,
                                         uint32_t collection, uint32_t limit,
                                         akin_facet_each *each, void *user,
                                         akin_error *err) AKIN_MUST_CHECK;

/* ---- captions ----------------------------------------------------------- */

typedef bool akin_text_each(void *user, uint64_t num, double score);
/* Items whose caption has all of the words, then those that have any, each best
 * first (BM25, higher is better), at most k. Words that more than half of many
 * captions have are left out when there are others. text: anything a user
 * types, at most 4096 bytes. allow, if given, says which items count; it is
 * asked before `each` is called and may not call the storage either. */
akin_status akin_storage_text_search(akin_storage *storage, uint32_t collection,
                                     akin_span text, uint32_t k,
                                     akin_num_allow *allow, void *allow_user,
                                     akin_text_each *each, void *user,
                                     akin_error *err) AKIN_MUST_CHECK;

/* ---- jobs --------------------------------------------------------------- */

typedef struct {
    uint64_t job;
    const char *kind;
    uint32_t collection;
    akin_job_state state;
    const char *parameters, *progress, *message; /* JSON, JSON, text */
    uint64_t errors;                             /* how many there were */
    int64_t created_ms, changed_ms;
} akin_job_info;

typedef bool akin_job_each(void *user, const akin_job_info *job);
/* Newest first, at most limit (0: all). job: only that one (0: all). */
akin_status akin_storage_jobs(akin_storage *storage, uint64_t job,
                              uint64_t limit, akin_job_each *each, void *user,
                              akin_error *err) AKIN_MUST_CHECK;

typedef bool akin_job_error_each(void *user, akin_span item,
                                 const char *message);
akin_status akin_storage_job_errors(akin_storage *storage, uint64_t job,
                                    akin_job_error_each *each, void *user,
                                    akin_error *err) AKIN_MUST_CHECK;
const char *akin_job_state_name(akin_job_state state);

/* ---- audit -------------------------------------------------------------- */

/* Newest first, at most limit (0: all). */
typedef bool akin_audit_each(void *user, const akin_audit *entry);
akin_status akin_storage_audit(akin_storage *storage, uint64_t limit,
                               akin_audit_each *each, void *user,
                               akin_error *err) AKIN_MUST_CHECK;

/* ---- duplicates --------------------------------------------------------- */

/* Items with a picture that was not looked at yet: new ones, changed ones, and
 * neighbours of removed ones. Oldest first, at most limit. total (may be NULL):
 * all there are. */
typedef bool akin_num_each(void *user, uint64_t num);
akin_status akin_storage_dupe_queue(akin_storage *storage, uint32_t collection,
                                    uint64_t limit, akin_num_each *each,
                                    void *user, uint64_t *total,
                                    akin_error *err) AKIN_MUST_CHECK;

/* Perceptual hashes of all items that have some, by num. */
typedef bool akin_phash_each(void *user, uint64_t num, const uint64_t *phashes,
                             uint32_t count);
akin_status akin_storage_phashes(akin_storage *storage, uint32_t collection,
                                 akin_phash_each *each, void *user,
                                 akin_error *err) AKIN_MUST_CHECK;

/* out: (AKIN_SKETCH_BYTES). AKIN_NOT_FOUND. */
akin_status akin_storage_sketch(akin_storage *storage, uint64_t num,
                                uint8_t *out, akin_error *err) AKIN_MUST_CHECK;

/* The edges of all items that `num` is joined to, directly or over others, by
 * edges of `level` or stricter that were not dismissed; each edge comes from
 * both its ends, num's first. Goes no further than `most` items. */
typedef bool akin_dupe_edge_each(void *user, uint64_t from,
                                 const akin_dupe_edge *edge);
akin_status akin_storage_dupe_component(akin_storage *storage,
                                        uint32_t collection, uint64_t num,
                                        akin_dupe level, size_t most,
                                        akin_dupe_edge_each *each, void *user,
                                        akin_error *err) AKIN_MUST_CHECK;
/* The first item above number `after` from which such an edge, dismissed or
 * not, leads to a higher number. *num 0: none. */
akin_status akin_storage_dupe_next(akin_storage *storage, uint32_t collection,
                                   uint64_t after, akin_dupe level,
                                   uint64_t *num,
                                   akin_error *err) AKIN_MUST_CHECK;
/* How many pairs are dismissed. */
akin_status akin_storage_dismissals(akin_storage *storage, uint32_t collection,
                                    uint64_t *out,
                                    akin_error *err) AKIN_MUST_CHECK;
/* The pairs among these n items that were dismissed, as places in nums; a pair
 * may come twice. */
typedef bool akin_pair_each(void *user, size_t a, size_t b);
akin_status akin_storage_dismissed(akin_storage *storage, uint32_t collection,
                                   const uint64_t *nums, size_t n,
                                   akin_pair_each *each, void *user,
                                   akin_error *err) AKIN_MUST_CHECK;

/* ---- thumbnails, check, backup ------------------------------------------ */

/* Fails with AKIN_NOT_FOUND. *out is freed by akin_free. */
akin_status akin_storage_thumb(akin_storage *storage, uint64_t num,
                               uint8_t **out, size_t *size,
                               akin_error *err) AKIN_MUST_CHECK;

/* Reads everything and reports what is wrong, one finding a line. *findings:
 * how many. Thumbnails without an item are dropped, not reported. */
typedef bool akin_finding_each(void *user, const char *finding);
akin_status akin_storage_check(akin_storage *storage, akin_finding_each *each,
                               void *user, uint64_t *findings,
                               akin_error *err) AKIN_MUST_CHECK;

/* Writes a copy of akin.db and thumbs.db into dir (made; must be empty of
 * them) while reads and writes go on. Done in slices; progress, if given, is
 * asked between them, and false cancels (AKIN_CANCELLED, files removed). */
typedef bool akin_backup_progress(void *user, uint64_t done, uint64_t total);
akin_status akin_storage_backup(akin_storage *storage, const char *dir,
                                akin_backup_progress *progress, void *user,
                                akin_error *err) AKIN_MUST_CHECK;

/* The same of one collection: dir becomes a directory that can be opened as any
 * other, with that collection and nothing else, as of one moment. Aliases and
 * jobs stay behind. */
akin_status akin_storage_export(akin_storage *storage, uint32_t collection,
                                const char *dir, akin_backup_progress *progress,
                                void *user, akin_error *err) AKIN_MUST_CHECK;

/* Whether AKIN_WRITE_IMPORT can read it: whole, plausible, one collection (any:
 * no matter how many, for a directory that is to be opened); of an older akin:
 * brings it up to date. It must be nobody else's. AKIN_BAD_DATA,
 * AKIN_UNSUPPORTED. */
akin_status akin_storage_import_check(const char *dir, bool any,
                                      akin_error *err) AKIN_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
