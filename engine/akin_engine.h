/* akin engine: a data directory of collections, whole. This is the door of
 * libakin: everything a program needs to keep and search pictures, captions and
 * vectors without a server. The server and the command line are built on it and
 * on nothing below it.
 *
 *   options        akin_config_*          one table, akin_options
 *   directory      akin_engine_open/close/save/stats
 *   collections    akin_engine_create/drop/list/info
 *   items          akin_engine_put/get/vector/remove/set_attributes/...
 *   long work      akin_engine_ingest/rebuild/reindex, and the same as jobs
 *   questions      akin_engine_search/count/embed_text/embed_picture
 *   trust          akin_engine_check
 *   snapshots      akin_engine_snapshot_create/open/delete, akin_engine_snapshots,
 *                  akin_snapshot_restore
 *
 * Unless a comment says otherwise: a function may be called from any thread at
 * any time between open and close; arguments are borrowed for the call; spans of
 * text are UTF-8 without a NUL; a `collection` is a NUL-terminated name; an
 * unknown collection is AKIN_NOT_FOUND; writing through a read-only engine is
 * AKIN_DENIED; `err` may be NULL. An akin_* struct with a clear function is
 * filled by us and cleared by the caller (clear is a no-op on {0}). */
#ifndef AKIN_ENGINE_H
#define AKIN_ENGINE_H

#include "akin_base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AKIN_API __attribute__((visibility("default")))

#define AKIN_NAME_BYTES       128     /* longest collection name */
#define AKIN_ID_BYTES         512     /* longest item id */
#define AKIN_ATTRIBUTES_BYTES 1048576 /* longest JSON of attributes */
#define AKIN_CAPTION_BYTES    65536   /* longest caption */
#define AKIN_QUERY_MAX_K      10000   /* most matches one query returns */
#define AKIN_QUERY_MAX_TERMS  64
#define AKIN_FILTER_BYTES     65536 /* longest filter expression */
#define AKIN_DEFAULT_NAME     "default"

/* ---- options (engine/config.c) ------------------------------------------ */

typedef enum {
    AKIN_OPTION_BOOL, /* yes/no, true/false, on/off, 1/0 */
    AKIN_OPTION_UINT, /* decimal; bytes may end in K, M, G (1024) */
    AKIN_OPTION_REAL,
    AKIN_OPTION_TEXT,
    AKIN_OPTION_CHOICE /* one of the words in `choices`, comma-separated */
} akin_option_type;

/* One row of the table that config file, environment, flags and AKIN.CONFIG
 * read. "index.nprobe" is --index-nprobe on the command line and
 * AKIN_INDEX_NPROBE in the environment. */
typedef struct {
    const char *name;
    akin_option_type type;
    const char *fallback; /* the default, as text */
    double min, max;      /* UINT, REAL; TEXT: longest, in bytes */
    const char *choices;  /* CHOICE only, else NULL */
    bool live;            /* may change while the server runs */
    const char *help;
} akin_option;

/* All rows, in the order in which help prints them. */
AKIN_API const akin_option *akin_options(size_t *n);
/* The row of that name, of "index-nprobe" or of "AKIN_INDEX_NPROBE"; NULL. */
AKIN_API const akin_option *akin_option_find(const char *name);

/* The values of all options. Threads: safe. */
typedef struct akin_config akin_config;

/* Everything at its default. */
AKIN_API akin_status akin_config_open(akin_config **out,
                                      akin_error *err) AKIN_MUST_CHECK;
AKIN_API void akin_config_close(akin_config *config); /* no-op on NULL */

/* Checks and sets one option. Fails with AKIN_NOT_FOUND (no such option; the
 * message names the nearest), AKIN_INVALID (says the bounds). */
AKIN_API akin_status akin_config_set(akin_config *config, const char *name,
                                     const char *value,
                                     akin_error *err) AKIN_MUST_CHECK;
/* The same, but refuses (AKIN_DENIED) what only a restart can change. */
AKIN_API akin_status akin_config_set_live(akin_config *config, const char *name,
                                          const char *value,
                                          akin_error *err) AKIN_MUST_CHECK;
/* "name = value" lines, # comments. Errors name file and line. */
AKIN_API akin_status akin_config_load(akin_config *config, const char *path,
                                      akin_error *err) AKIN_MUST_CHECK;
/* AKIN_* variables that name an option; others are left alone. */
AKIN_API akin_status akin_config_environment(akin_config *config,
                                             akin_error *err) AKIN_MUST_CHECK;
/* Takes what is an option (--name value, --name=value, --flag, --no-flag) out of
 * argv and leaves the rest, in order; stops at "--". */
AKIN_API akin_status akin_config_args(akin_config *config, int *argc,
                                      char **argv,
                                      akin_error *err) AKIN_MUST_CHECK;

/* Values; `name` must be in the table and of that type (asserted). */
AKIN_API bool akin_config_bool(const akin_config *config, const char *name);
AKIN_API uint64_t akin_config_uint(const akin_config *config, const char *name);
AKIN_API double akin_config_real(const akin_config *config, const char *name);
/* Any option as text, copied into out (cut to size, NUL-terminated). */
AKIN_API const char *akin_config_text(const akin_config *config,
                                      const char *name, char *out, size_t size);
/* Whether it was set by anyone, or is at its default. */
AKIN_API bool akin_config_is_set(const akin_config *config, const char *name);

/* ---- the directory ------------------------------------------------------- */

typedef struct akin_engine akin_engine;

typedef struct {
    const char *data_dir;  /* NULL: option "data" */
    const char *model_dir; /* for new collections; NULL: option "model"; both
                              empty: vectors only */
    bool read_only; /* takes no lock, starts no maintenance; another process may
                        write meanwhile */
    bool load_model; /* open the model now: its errors show here, and the first
                        query is quick; else when it is first needed */
    akin_config *config; /* NULL: defaults; must outlive the engine */
} akin_engine_options;

/* Opens the directory (made when missing), its collections and their indexes,
 * and brings the indexes up to the last transaction. A model is opened when a
 * collection first needs it. Fails with AKIN_BUSY
 * (another process writes here; names its pid), AKIN_NOT_FOUND, AKIN_CORRUPT,
 * AKIN_UNSUPPORTED (written by a newer akin), AKIN_BAD_DATA (the model). */
AKIN_API akin_status akin_engine_open(const akin_engine_options *options,
                                      akin_engine **out,
                                      akin_error *err) AKIN_MUST_CHECK;
/* Cancels jobs (they stay resumable), saves, closes. No call may be in
 * progress. No-op on NULL. */
AKIN_API void akin_engine_close(akin_engine *engine);
/* Writes index generations and checkpoints now. */
AKIN_API akin_status akin_engine_save(akin_engine *engine, akin_error *err);

#define AKIN_BATCH_SIZES 9

/* Counters since open, and sizes now; for INFO and /metrics. */
typedef struct {
    uint64_t items, collections;
    uint64_t queries, query_ns;           /* searches answered, time in them */
    uint64_t puts, put_items;             /* calls, items */
    uint64_t pictures_decoded, decode_ns; /* thread time */
    uint64_t encoder_batches, encoder_items, encoder_ns;
    uint64_t batch_sizes[AKIN_BATCH_SIZES]; /* of encoder_batches: those of at
                                               most 1, 2, 4 ... items; the last
                                               one all others */
    uint64_t embeddings_reused; /* pictures and captions that were known */
    uint64_t text_cache_hits, text_cache_misses;
    uint64_t filter_cache_hits, filter_cache_misses;
    uint32_t encode_queue, decode_queue; /* waiting now */
    uint32_t jobs_running;
    uint64_t db_bytes, index_bytes, memory_bytes; /* on disk, disk, resident */
} akin_engine_stats;
AKIN_API void akin_engine_get_stats(akin_engine *engine,
                                    akin_engine_stats *out);

/* What a model that was asked for an embedding since open computes in. */
typedef struct {
    char model[64];    /* name */
    char precision[8]; /* "f32", "bf16", "int8": what "auto" came to */
    float cosine;      /* lowest to float32's, where the choice was made */
} akin_encoder_state;
/* Returns how many there are; fills at most `capacity`. */
AKIN_API size_t akin_engine_encoders(akin_engine *engine,
                                     akin_encoder_state *out, size_t capacity);

/* What a model is. */
typedef struct {
    char name[64], dir[1024];
    char architecture[16]; /* "clip", "siglip" */
    char weights[16];      /* "float32", "float16", "bfloat16", "mixed" */
    char fingerprint[65];  /* hex */
    char precision[8];     /* as above; "": it has embedded nothing yet */
    float cosine;          /* with a precision */
    uint64_t parameters;
    uint32_t dim; /* of an embedding */
    uint32_t image_size, patch, vision_layers, vision_width, vision_heads;
    uint32_t context, vocab, text_layers, text_width, text_heads;
    float logit_scale;  /* a cosine times this is a logit */
    bool has_tokenizer; /* words can be embedded */
} akin_engine_model;
/* The model of a collection (NULL: the engine's), opened if it is not. Fails as
 * embedding does. */
AKIN_API akin_status akin_engine_model_info(akin_engine *engine,
                                            const char *collection,
                                            akin_engine_model *out,
                                            akin_error *err);

/* ---- collections ---------------------------------------------------------- */

typedef enum {
    AKIN_ATTRIBUTE_NUMBER,
    AKIN_ATTRIBUTE_STRING,
    AKIN_ATTRIBUTE_BOOL,
    AKIN_ATTRIBUTE_TAGS,    /* array of strings or numbers */
    AKIN_ATTRIBUTE_DATETIME /* RFC 3339 text */
} akin_attribute_type;

/* "number", "string", "bool", "tags", "datetime". The second returns false for
 * other words. */
AKIN_API const char *akin_attribute_type_text(akin_attribute_type type);
AKIN_API bool akin_attribute_type_parse(const char *text,
                                        akin_attribute_type *out);

/* An attribute that filters use often: kept in an index of its own. */
typedef struct {
    const char *name; /* "price", "maker.city" */
    akin_attribute_type type;
} akin_field;

#define AKIN_MAX_FIELDS 64

typedef struct {
    const char *model_dir; /* NULL: the engine's model */
    uint32_t dim;          /* != 0: a collection of raw vectors, no model */
    const akin_field *fields;
    size_t nfields;
    float recall; /* recall@10 that searches aim at; 0: option index.recall */
} akin_collection_options;

/* Fails with AKIN_EXISTS, AKIN_INVALID (the name: 1..128 bytes of UTF-8 without
 * control characters and '/'; dim 1..8192), AKIN_UNSUPPORTED (no model and no
 * dim). */
AKIN_API akin_status akin_engine_create(akin_engine *engine,
                                        const char *collection,
                                        const akin_collection_options *options,
                                        akin_error *err);
/* Declares one more field and indexes what is there (seconds for a million
 * items); again the same: nothing happens. Fails with AKIN_EXISTS (of another
 * type), AKIN_INVALID (the name), AKIN_TOO_LARGE (too many). */
AKIN_API akin_status akin_engine_add_field(akin_engine *engine,
                                           const char *collection,
                                           const akin_field *field,
                                           akin_error *err);
/* Drops that index; filters on the attribute go on working. AKIN_NOT_FOUND. */
AKIN_API akin_status akin_engine_drop_field(akin_engine *engine,
                                            const char *collection,
                                            const char *name, akin_error *err);
/* Items, vectors, indexes, thumbnails, aliases, all at once. Cancels its jobs.
 * The collection's own name is wanted, not an alias. */
AKIN_API akin_status akin_engine_drop(akin_engine *engine,
                                      const char *collection, akin_error *err);

typedef struct {
    uint64_t vectors;      /* live */
    uint64_t delta;        /* of them newer than the generation */
    uint64_t tombstones;   /* dead in the generation */
    uint64_t drifted;      /* added since training that fit its lists ill; past
                            a tenth the index is trained again */
    uint64_t generation;   /* its number, 0: none */
    char kind[32];         /* "exact", "IVF4096,PQ64" ... */
    uint64_t memory_bytes; /* its own and mapped_bytes */
    uint64_t mapped_bytes; /* of its file: memory that the system takes back
                              when it is short */
    uint64_t disk_bytes;
    double recall; /* measured at the default setting; 0: exact */
    bool building;
    uint32_t nprobe,
        candidates; /* chosen for the collection's recall, k = 10 */
    char why[160];  /* what the last build since open chose, and why; or "" */
} akin_space_info;

typedef struct {
    char name[AKIN_NAME_BYTES + 1];
    uint64_t items, sequence; /* sequence: of the last change */
    uint32_t dim;
    float recall;                          /* recall@10 that searches aim at */
    char model_name[128], model_dir[1024]; /* empty: raw vectors only */
    char fingerprint[65];                  /* hex; empty: none */
    bool model_ready; /* its model is here and of that fingerprint */
    akin_space_info image, caption;
    int64_t created_ms;
    uint32_t nfields;
    struct {
        char name[128];
        akin_attribute_type type;
    } fields[AKIN_MAX_FIELDS];
} akin_collection_info;

AKIN_API akin_status akin_engine_info(akin_engine *engine,
                                      const char *collection,
                                      akin_collection_info *out,
                                      akin_error *err);
/* How far what came lately lies from what the collection holds: the distance of
 * the means in units of the collection's spread. 0: no further than chance; 1:
 * as far as an item lies from the middle of all. NAN: too few came since open.
 * Questions in words are compared with captions where there are some; where
 * not, the distance between words and pictures is in it. */
typedef struct {
    double put_image, put_caption;    /* vectors put, by space */
    double asked_text, asked_picture; /* questions in words; all others */
} akin_drift;
/* Reads a sample of the vectors when they have changed: milliseconds. */
AKIN_API akin_status akin_engine_drift(akin_engine *engine,
                                       const char *collection, akin_drift *out,
                                       akin_error *err);

/* All, sorted by name; *out is the caller's, for akin_free. */
AKIN_API akin_status akin_engine_list(akin_engine *engine,
                                      akin_collection_info **out, size_t *n,
                                      akin_error *err) AKIN_MUST_CHECK;

/* One more name of a collection, which stands wherever a name is wanted (but see
 * akin_engine_drop). */
typedef struct {
    char name[AKIN_NAME_BYTES + 1], collection[AKIN_NAME_BYTES + 1];
} akin_alias;

/* alias is from now on a name of `collection`; of none (collection NULL); or is
 * itself called `rename`. */
typedef struct {
    const char *alias, *collection, *rename;
} akin_alias_change;

#define AKIN_MAX_ALIAS_CHANGES 1024

/* All changes in order, or none; seen by others at once. Fails with
 * AKIN_NOT_FOUND (collection; alias to rename), AKIN_EXISTS (a collection has
 * that name), AKIN_INVALID (the name). */
AKIN_API akin_status akin_engine_change_aliases(
    akin_engine *engine, const akin_alias_change *changes, size_t n,
    akin_error *err);
/* Whether a collection is there, by name or alias, and its own name: into out
 * (AKIN_NAME_BYTES + 1; NULL: not wanted). Reads nothing. AKIN_NOT_FOUND. */
AKIN_API akin_status akin_engine_name(akin_engine *engine,
                                      const char *collection, char *out,
                                      akin_error *err);
/* Sorted by name; *out for akin_free. */
AKIN_API akin_status akin_engine_aliases(akin_engine *engine, akin_alias **out,
                                         size_t *n,
                                         akin_error *err) AKIN_MUST_CHECK;

/* ---- items ----------------------------------------------------------------- */

typedef enum {
    AKIN_CAPTION_METADATA, /* title and keywords in the file, if any */
    AKIN_CAPTION_FILENAME, /* else the words of the file name */
    AKIN_CAPTION_NONE
} akin_caption_from;

/* One item to put. A part whose data is NULL is left as it is (or absent, in a
 * new item); an empty caption or empty attributes are removed. */
typedef struct {
    akin_span id;        /* 1..AKIN_ID_BYTES */
    const float *vector; /* (dim) raw embedding for the image space, any length
                             but zero; not with `picture`. Takes the place of
                             that of a picture, whose hash and size go then, and
                             whose thumbnail stays */
    uint32_t dim;
    akin_span picture; /* bytes of a picture file */
    akin_span caption;
    akin_span attributes; /* JSON object */
    akin_span path;       /* where the picture came from; informative */
    int64_t modified_ms;  /* of that file; 0: unknown */
    /* With a picture, what ingesting its file does. describe: attributes say
     * path (the id), folder, width, height, format, bytes, modified, and are
     * merged into those that are there. make_caption: without a caption, one is
     * made as `captions` says. */
    bool describe, make_caption;
    akin_caption_from captions;
} akin_item_input;

typedef enum {
    AKIN_PUT_FAILED,
    AKIN_PUT_ADDED,
    AKIN_PUT_UPDATED,
    AKIN_PUT_UNCHANGED /* equal to what is stored; nothing written */
} akin_put_outcome;

typedef struct {
    akin_status status;
    akin_put_outcome outcome;
    bool reused;       /* same bytes known already: no embedding was computed */
    char message[240]; /* when status is not AKIN_OK */
} akin_put_result;

typedef struct {
    bool create;  /* make the collection when missing: with the engine's model
                     for pictures and captions, raw when the first item has a
                     vector */
    bool replace; /* parts not given are removed, not kept */
} akin_put_options;

/* Puts n items, results: (n), caller's. Decoding, encoding and storing overlap;
 * concurrent calls share the encoder's batches. Returns when all good items are
 * on disk and visible to the next query; a bad item only fails its own result.
 * Two inputs with one id in a call: the later wins. options may be NULL.
 * Returns other than AKIN_OK when nothing was attempted or the store failed;
 * then results are undefined. */
AKIN_API akin_status akin_engine_put(akin_engine *engine,
                                     const char *collection,
                                     const akin_item_input *items, size_t n,
                                     const akin_put_options *options,
                                     akin_put_result *results, akin_error *err);

/* An item as stored. Strings are NULL when absent. */
typedef struct {
    char *id, *caption, *attributes, *path, *format;
    int64_t added_ms, changed_ms, modified_ms;
    uint64_t picture_bytes;
    uint32_t width, height; /* of the picture, orientation applied; 0: none */
    bool has_image, has_caption; /* which vectors are there */
    char hash[65];               /* SHA-256 of the picture's bytes, or "" */
} akin_item_info;
AKIN_API void akin_item_info_clear(akin_item_info *item);

/* Fails with AKIN_NOT_FOUND (collection or item; the message says which). */
AKIN_API akin_status akin_engine_get(akin_engine *engine,
                                     const char *collection, akin_span id,
                                     akin_item_info *out, akin_error *err);
/* AKIN_OK when the item is there, else AKIN_NOT_FOUND. */
AKIN_API akin_status akin_engine_exists(akin_engine *engine,
                                        const char *collection, akin_span id,
                                        akin_error *err);

typedef enum {
    AKIN_QUERY_AUTO,
    AKIN_QUERY_IMAGE,
    AKIN_QUERY_CAPTION,
    AKIN_QUERY_BOTH /* fused */
} akin_query_space;

/* The stored unit vector, dim floats in *out for akin_free. space AUTO: the
 * picture's, else the caption's. norm (may be NULL): the length the vector had
 * when it was given raw, 1 for embeddings. */
AKIN_API akin_status akin_engine_vector(akin_engine *engine,
                                        const char *collection, akin_span id,
                                        akin_query_space space, float **out,
                                        uint32_t *dim, float *norm,
                                        akin_error *err) AKIN_MUST_CHECK;
/* The thumbnail (JPEG or PNG) appended to out. AKIN_NOT_FOUND when none. */
AKIN_API akin_status akin_engine_thumbnail(akin_engine *engine,
                                           const char *collection, akin_span id,
                                           akin_buf *out, akin_error *err);

/* Removes those that exist, in one transaction; *removed: how many. */
AKIN_API akin_status akin_engine_remove(akin_engine *engine,
                                        const char *collection,
                                        const akin_span *ids, size_t n,
                                        size_t *removed, akin_error *err);
/* Removes only vectors of those that exist, in one transaction: the picture's,
 * the caption's, or both. The items stay, and are not found by them. */
AKIN_API akin_status akin_engine_remove_vectors(akin_engine *engine,
                                                const char *collection,
                                                const akin_span *ids, size_t n,
                                                bool image, bool caption,
                                                akin_error *err);
/* Replaces the attributes by a JSON object; empty removes them. */
AKIN_API akin_status akin_engine_set_attributes(akin_engine *engine,
                                                const char *collection,
                                                akin_span id, akin_span json,
                                                akin_error *err);
/* Makes of an item's attributes (a JSON object; NULL: none) what they shall be:
 * appends an object to out, or nothing to remove them. */
typedef akin_status akin_attributes_change(void *user, const char *attributes,
                                           akin_buf *out, akin_error *err);
/* Changes the attributes by what they are. When another write to the item comes
 * between reading and writing, `change` is called again, with what that one has
 * left: neither is lost. AKIN_BUSY when there is always another. */
AKIN_API akin_status akin_engine_change_attributes(
    akin_engine *engine, const char *collection, akin_span id,
    akin_attributes_change *change, void *user, akin_error *err);

/* Ids as NUL-terminated strings. */
typedef struct {
    char **ids;
    size_t n;
    char *memory; /* private */
} akin_ids;
AKIN_API void akin_ids_clear(akin_ids *ids);

/* Which items count, by their attributes. The expression language is that of
 * Redis vector sets: .field and .a.b select attributes; == != < <= > >= in not
 * and or ! && || + - * / % ** ( ); numbers, "text" or 'text', true, false, null,
 * [lists]; `x in .list` and `x in .text` look inside. Beyond Redis: `x not in
 * [..]`, exists(.a),
 * count(.a) (elements of a list; 0: not there or null), id, time(x), an RFC 3339
 * text as milliseconds since 1970, and any(.list, expression), whose fields are
 * those of one element of a list of objects. */
typedef struct {
    akin_span text; /* empty: all items */
    /* An attribute that is missing makes the comparison it stands in false, as
     * in Qdrant, and one with a list at left true when it is for one of its
     * elements. Otherwise the whole item fails, as in Redis. */
    bool missing_is_false;
} akin_filter;
/* Only parses the expression. AKIN_INVALID: the message has the column. */
AKIN_API akin_status akin_filter_check(akin_filter filter, akin_error *err);

/* Which ids, in bytewise order. A start or end whose data is NULL is open. */
typedef struct {
    akin_span start, end;
    bool after_start, before_end; /* the bound itself is left out */
    size_t limit;                 /* 0: AKIN_QUERY_MAX_K */
    akin_filter filter;
} akin_range;
AKIN_API akin_status akin_engine_range(akin_engine *engine,
                                       const char *collection,
                                       const akin_range *range, akin_ids *out,
                                       akin_error *err);
typedef struct {
    const char *attribute; /* "price", "maker.city" */
    bool descending;
    akin_span start; /* a number or RFC 3339: from there on; empty: all */
    size_t limit;    /* 1..AKIN_QUERY_MAX_K */
    akin_filter filter;
} akin_order;

typedef struct {
    akin_ids ids;
    double *values; /* (ids.n) numbers; of a time: milliseconds since 1970 */
    bool *times;    /* (ids.n) whether it is one */
} akin_ordered;
AKIN_API void akin_ordered_clear(akin_ordered *ordered);

/* Items in the order of an attribute's numbers or times; items without either
 * are left out, one with several in a list comes for each. Reads all
 * attributes: some 2 s for a million items. AKIN_INVALID. */
AKIN_API akin_status akin_engine_order(akin_engine *engine,
                                       const char *collection,
                                       const akin_order *order,
                                       akin_ordered *out, akin_error *err);
/* n ids at random: distinct, so at most all of them, or with repetition. */
AKIN_API akin_status akin_engine_random(akin_engine *engine,
                                        const char *collection, size_t n,
                                        bool distinct, akin_ids *out,
                                        akin_error *err);
/* How many items pass the filter. */
AKIN_API akin_status akin_engine_count(akin_engine *engine,
                                       const char *collection,
                                       akin_filter filter, uint64_t *out,
                                       akin_error *err);

typedef struct {
    char *text; /* a value's JSON, or a name */
    char *type; /* "text", "integer", "real", "true", "false", "array" ... */
    uint64_t count;
} akin_facet_row;

/* Rows, most first; clear frees. */
typedef struct {
    akin_facet_row *rows;
    size_t n, capacity;
} akin_facet;
AKIN_API void akin_facet_clear(akin_facet *facet);

/* How many of the items that pass the filter have which value of an attribute
 * ("color", "maker.city"); elements of lists are counted one by one. Reads all
 * attributes: some 2 s for a million items. */
AKIN_API akin_status akin_engine_facet(akin_engine *engine,
                                       const char *collection,
                                       const char *attribute,
                                       akin_filter filter, uint32_t limit,
                                       akin_facet *out, akin_error *err);
/* Names of attributes, by a sample of the items. */
AKIN_API akin_status akin_engine_attributes(akin_engine *engine,
                                            const char *collection,
                                            uint32_t limit, akin_facet *out,
                                            akin_error *err);

/* ---- search ------------------------------------------------------------------ */

typedef enum {
    AKIN_TERM_VECTOR,
    AKIN_TERM_ITEM,
    AKIN_TERM_TEXT,
    AKIN_TERM_PICTURE
} akin_term_kind;

/* One part of a question; the weighted sum of all is what is searched for. */
typedef struct {
    akin_term_kind kind;
    float weight; /* usually 1; negative: away from it; 0 or not finite fails */
    akin_span data;      /* ITEM: id; TEXT: words; PICTURE: file bytes */
    const float *vector; /* VECTOR: (dim), any length but zero */
    uint32_t dim;
} akin_query_term;

typedef struct {
    const akin_query_term *terms;
    size_t nterms; /* 1..AKIN_QUERY_MAX_TERMS */
    akin_query_space space;
    uint32_t k;      /* 1..AKIN_QUERY_MAX_K */
    uint32_t offset; /* first skip so many; k + offset <= AKIN_QUERY_MAX_K */
    akin_filter filter;
    bool exact;      /* scan everything */
    float recall;    /* wanted, 0: the collection's */
    uint32_t nprobe; /* lists visited, 0: what `recall` needs */
    bool has_min_score;
    float min_score;      /* matches below are left out */
    bool with_attributes; /* JSON */
    bool with_captions;
    bool with_vectors;   /* of the space searched; fused: the picture's */
    bool include_self;   /* items named as ITEM terms may be matches */
    uint32_t timeout_ms; /* 0: none */
    bool from_memory;    /* where ids alone are asked for: fail with AKIN_BUSY,
                            as if it had not been asked, rather than read one
                            from disk or wait for what does */
} akin_query;

typedef struct {
    const char *id;
    float score;          /* cosine -1..1; fused: 0..1, comparable only within
                             this reply */
    float image, caption; /* cosines per space; NAN when not compared */
    const char *attributes, *match_caption; /* NULL: absent or not asked for */
    const float *vector;                    /* (dim) or NULL */
} akin_match;

typedef struct {
    akin_match *matches; /* (n), best first; valid until clear */
    size_t n;
    uint32_t dim;
    bool exact;          /* the true best k, not an approximation */
    bool fused;          /* several rankings were fused */
    uint64_t considered; /* items that pass the filter (all: no filter) */
    uint64_t embed_ns, filter_ns, search_ns, fetch_ns;
    void *memory; /* private */
} akin_results;
AKIN_API void akin_results_clear(akin_results *results);

/* Answers one query. A text in a collection with captions and space AUTO fuses
 * picture space, caption space and full text. Fails with AKIN_INVALID (filter:
 * message has the column), AKIN_NOT_FOUND (collection, item of a term),
 * AKIN_WRONG_MODEL (text or picture, and the collection's vectors are of another
 * model than the one that is here), AKIN_UNSUPPORTED (text or picture and the
 * collection has no model), AKIN_BAD_DATA (the picture), AKIN_TIMEOUT.
 * What is removed while it searches is left out and made up for by those that
 * come next; not where k + offset is near AKIN_QUERY_MAX_K, beyond which nothing
 * is searched for: there may then be fewer than k matches. */
AKIN_API akin_status akin_engine_search(akin_engine *engine,
                                        const char *collection,
                                        const akin_query *query,
                                        akin_results *out, akin_error *err);
/* Answers n queries on one collection, each as akin_engine_search does. Those
 * that search one space for as many, with the same filter, recall and so on, are
 * searched together, in less time; for `exact` they then count as one.
 * out, errs: (n), caller's. errs[i].status: AKIN_OK, or how query i failed. */
AKIN_API void akin_engine_search_many(akin_engine *engine,
                                      const char *collection,
                                      const akin_query *queries, size_t n,
                                      akin_results *out, akin_error *errs);

/* About how long a search by one vector for k items takes, ns; UINT64_MAX: not
 * known, or long. Waits for nothing. */
AKIN_API uint64_t akin_engine_search_cost(akin_engine *engine,
                                          const char *collection, uint32_t k);

/* Unit embeddings by the collection's model (NULL: the engine's), *out for
 * akin_free. */
AKIN_API akin_status akin_engine_embed_text(akin_engine *engine,
                                            const char *collection,
                                            akin_span text, float **out,
                                            uint32_t *dim,
                                            akin_error *err) AKIN_MUST_CHECK;
AKIN_API akin_status akin_engine_embed_picture(akin_engine *engine,
                                               const char *collection,
                                               akin_span bytes, float **out,
                                               uint32_t *dim,
                                               akin_error *err) AKIN_MUST_CHECK;

/* ---- duplicates -------------------------------------------------------------- */

/* How sure it is. EXACT: the same bytes, or the same pixels once upright. NEAR:
 * the same picture, perhaps recompressed, resized, cropped a little, framed,
 * marked, brightened, turned or mirrored. SIMILAR: embeddings are close. */
typedef enum {
    AKIN_LEVEL_EXACT,
    AKIN_LEVEL_NEAR,
    AKIN_LEVEL_SIMILAR
} akin_level;

/* "exact", "near", "similar". The second returns false for other words. */
AKIN_API const char *akin_level_text(akin_level level);
AKIN_API bool akin_level_parse(const char *text, akin_level *out);

/* One picture of a group, and the evidence that it belongs there: how it
 * compares with the member `beside`. */
typedef struct {
    akin_item_info item;
    size_t beside; /* member of the group; its own number: the centre, to which
                      the others are compared */
    akin_level level;
    bool same_bytes, same_pixels;
    uint32_t distance; /* of perceptual hashes, 0..255; UINT32_MAX: not known */
    float similarity;  /* of the pictures themselves, -1..1; NAN: not known */
    float cosine;      /* of embeddings; NAN: not known */
    uint32_t turn;     /* EXIF orientation that turns it like `beside`, 1..8 */
} akin_dupe_member;

typedef struct {
    akin_dupe_member *members; /* (n), by time of adding */
    size_t n;
    size_t keep;      /* which one to keep */
    char why[160];    /* that one and not the next best, in words */
    akin_level level; /* the weakest of the members' */
} akin_dupe_group;

#define AKIN_DUPES_MAX 1000 /* groups in one answer, about */

typedef struct {
    akin_level level; /* and everything surer */
    uint32_t count;   /* groups wanted, 0: 20; a few more may come */
    uint64_t cursor;  /* of the page before; 0: the first page */
    /* Which picture to keep is decided by the first rule that tells two apart:
     * path begins with an earlier one of `prefer`; the rules of `keep`, like
     * "avoid:/tmp,format:png,newest" (NULL: none); then those of
     * "raw,resolution,size,format,oldest,name" that were not named. */
    const char *const *prefer;
    size_t nprefer;
    const char *keep;
} akin_dupe_query;

/* A rule to keep by: name, or name:value. value NULL: it takes none; in
 * brackets: it may be left out. */
typedef struct {
    const char *name, *value, *help; /* help: what is kept */
} akin_keep_rule;
/* All rules. */
AKIN_API const akin_keep_rule *akin_keep_rules(size_t *n);
/* Whether `keep` of a query can be read. Fails with AKIN_INVALID. */
AKIN_API akin_status akin_keep_check(const char *keep, akin_error *err);

typedef struct {
    akin_dupe_group *groups;
    size_t n;
    uint64_t cursor;  /* for the next page; 0: this was the last */
    uint64_t pending; /* pictures that were not looked at yet */
} akin_dupe_page;
AKIN_API void akin_dupe_page_clear(akin_dupe_page *page);

/* A page of groups of duplicates. Pictures are looked at when they are put;
 * where some are not yet (of an older directory, of an interrupted put), about a
 * second is spent on these first, and `pending` says how many are left: ask
 * again. Groups of pages that were read before do not change by the reading.
 * Every member of a group was compared with its centre, so weak links do not
 * chain. Fails with AKIN_INVALID. */
AKIN_API akin_status akin_engine_dupes(akin_engine *engine,
                                       const char *collection,
                                       const akin_dupe_query *query,
                                       akin_dupe_page *out, akin_error *err);

/* No two of these n items (2..AKIN_DUPES_MAX) are duplicates of each other, nor
 * are other items with the same pictures, now or later. undo: forget that.
 * Fails with AKIN_NOT_FOUND, AKIN_INVALID. */
AKIN_API akin_status akin_engine_dismiss(akin_engine *engine,
                                         const char *collection,
                                         const akin_span *ids, size_t n,
                                         bool undo, akin_error *err);

/* What merging changes in the kept item: captions and attributes (JSON), ""
 * where there are none. */
typedef struct {
    bool changed;
    char *caption, *attributes;
    char *caption_before, *attributes_before;
} akin_merge;
AKIN_API void akin_merge_clear(akin_merge *merge);

/* Merges what is known of n items, copies of the item `keep`, into it. Its own
 * caption stays, or the first copy's is taken; attributes that it lacks are
 * taken, lists joined, objects merged; what differs is written down in its
 * attribute `merged`. What describes only the copy's file (path, folder, width,
 * height, format, bytes, modified) is left out. The copies stay as they are;
 * putting caption_before and attributes_before again undoes it. dry_run: only
 * says what would be. Fails with AKIN_NOT_FOUND, AKIN_INVALID (keep is among
 * ids), AKIN_TOO_LARGE. */
AKIN_API akin_status akin_engine_merge(akin_engine *engine,
                                       const char *collection, akin_span keep,
                                       const akin_span *ids, size_t n,
                                       bool dry_run, akin_merge *out,
                                       akin_error *err);

/* ---- long work ---------------------------------------------------------------- */

typedef struct {
    char phase[24]; /* "listing", "adding", "training" ... */
    uint64_t done;  /* of total, everything below included */
    uint64_t total; /* 0: not known yet */
    uint64_t added, updated, skipped, failed; /* skipped: unchanged */
    uint64_t reused;     /* of added and updated: not encoded again */
    uint64_t bytes;      /* read */
    double rate;         /* done per second, over the last few seconds */
    double seconds_left; /* negative: not known */
} akin_progress;

/* Called now and then (about 10 times a second) from one thread at a time, and
 * once at the end; false cancels. */
typedef bool akin_progress_call(void *user, const akin_progress *progress);

typedef struct {
    char *what;    /* path, or row of a catalogue */
    char *message; /* why */
} akin_failure;

#define AKIN_MAX_FAILURES 1000

/* How long work ended. */
typedef struct {
    akin_progress progress;
    double seconds;
    akin_failure *failures; /* first AKIN_MAX_FAILURES of progress.failed */
    size_t nfailures;
} akin_report;
AKIN_API void akin_report_clear(akin_report *report);

/* What to read. Each path is a folder (its pictures, id = path below it), a
 * picture (id = file name) or a catalogue (.csv, .tsv, .jsonl, .ndjson: columns
 * id, image, caption or title or text; the others become attributes). */
typedef struct {
    const char *const *paths;
    size_t npaths;
    bool flat;         /* do not go into folders below */
    bool hidden;       /* names beginning with a dot too */
    bool follow_links; /* symbolic links to folders; those to files always */
    akin_caption_from captions;
    bool force;       /* read again what looks unchanged */
    bool prune;       /* remove items whose file is gone (folders only) */
    bool whole_paths; /* id = absolute path, so that several folders fit into
                         one collection; not for catalogues */
} akin_ingest;

/* Reads everything into the collection (made when missing), one transaction a
 * batch. What is unchanged by path, time and size is skipped without reading
 * it; after an interruption of any kind the same call goes on. One bad file
 * never ends it. progress and out may be NULL. AKIN_CANCELLED: stopped by the
 * callback; everything done so far is kept, out is filled. */
AKIN_API akin_status akin_engine_ingest(akin_engine *engine,
                                        const char *collection,
                                        const akin_ingest *source,
                                        akin_progress_call *progress,
                                        void *user, akin_report *out,
                                        akin_error *err);

/* What akin_engine_ingest would put, one by one, without putting it: for a
 * program that sends it to another machine. One thread; needs no engine. */
typedef struct akin_source akin_source;

typedef struct {
    akin_item_input item; /* all but the picture, which is not read */
    const char *file;     /* the picture's path; NULL: none */
    int64_t file_size;
    const char *label; /* for messages */
} akin_source_item;

/* Lists folders; *total (may be NULL): about how many there are. `what` stays
 * the caller's and must outlive the source. */
AKIN_API akin_status akin_source_open(const akin_ingest *what,
                                      akin_source **out, uint64_t *total,
                                      akin_error *err) AKIN_MUST_CHECK;
/* The next one, valid until the next call. AKIN_NOT_FOUND, and no label: the
 * end. Another status with a label: this one cannot be read, go on. */
AKIN_API akin_status akin_source_next(akin_source *source,
                                      akin_source_item *out, akin_error *err);
/* Folders and rows that could not be read so far; the source's. */
AKIN_API const akin_failure *akin_source_failures(const akin_source *source,
                                                  size_t *n);
AKIN_API void akin_source_close(akin_source *source); /* no-op on NULL */

/* Builds the indexes of the collection anew from the stored vectors. */
AKIN_API akin_status akin_engine_rebuild(akin_engine *engine,
                                         const char *collection,
                                         akin_progress_call *progress,
                                         void *user, akin_error *err);

/* One measured setting of an approximate index, k = 10. */
typedef struct {
    uint32_t nprobe, candidates; /* lists visited, vectors rescored */
    float recall, error;         /* recall@10; half its 95% interval */
    float qps;                   /* queries a second of one thread */
} akin_recall_point;

#define AKIN_RECALL_POINTS 48

typedef struct {
    bool exact;       /* the space is searched exactly: there is no curve */
    float target;     /* the collection's */
    uint32_t queries; /* measured with so many */
    uint32_t nprobe,
        candidates; /* what the target needs; 0: a scan is cheaper */
    size_t npoints; /* ascending in cost */
    akin_recall_point points[AKIN_RECALL_POINTS];
} akin_recall;

/* Measures recall against exact search on `sample` vectors of the space itself
 * (0: 256), or, with text, on captions as queries among pictures: words are
 * unlike the vectors of pictures and have a curve of their own. The planner
 * keeps what was measured. space: IMAGE or CAPTION. AKIN_UNSUPPORTED: text, and
 * too few captions. */
AKIN_API akin_status akin_engine_recall(
    akin_engine *engine, const char *collection, akin_query_space space,
    bool text, size_t sample, akin_progress_call *progress, void *user,
    akin_recall *out, akin_error *err);

/* What suits a space, what it has, and what its target needs. */
typedef struct {
    uint64_t vectors;
    char chosen[32]; /* "exact", "IVF4000,PQ64": what a build would make now */
    char why[160];
    char current[32];      /* what is in use: the same, or "exact" */
    uint64_t sample;       /* vectors that training reads; 0: exact */
    uint64_t memory_bytes; /* estimated: while searched, besides the file */
    uint64_t build_bytes;  /* more while it is built */
    uint64_t disk_bytes;   /* its file */
    double seconds;        /* to build, on an idle machine */
    double took;           /* training and adding the current one; 0: none */
    /* What the target needs with the current one, k = 10. [1]: asked in words
     * (image space); nprobe 0: a scan; recall 0: not measured. */
    struct {
        uint32_t nprobe, candidates;
        float recall;
    } needs[2];
} akin_space_tuning;

typedef struct {
    float target; /* recall@10 */
    akin_space_tuning image, caption;
} akin_tuning;

/* Measures nothing and changes nothing. */
AKIN_API akin_status akin_engine_tuning(akin_engine *engine,
                                        const char *collection,
                                        akin_tuning *out, akin_error *err);

/* Embeds everything again with another model and swaps when done; until then
 * queries see the old vectors. Pictures are read again from their paths. An
 * interrupted call goes on where it stopped; one with another model, or with the
 * one that the collection has, takes back what it did. AKIN_BUSY: another call
 * is at it. */
AKIN_API akin_status akin_engine_reindex(akin_engine *engine,
                                         const char *collection,
                                         const char *model_dir,
                                         akin_progress_call *progress,
                                         void *user, akin_report *out,
                                         akin_error *err);

typedef enum {
    AKIN_ENGINE_JOB_INGEST,
    AKIN_ENGINE_JOB_REBUILD,
    AKIN_ENGINE_JOB_REINDEX
} akin_engine_job_kind;

typedef enum {
    AKIN_ENGINE_JOB_QUEUED,
    AKIN_ENGINE_JOB_RUNNING,
    AKIN_ENGINE_JOB_DONE,
    AKIN_ENGINE_JOB_FAILED,
    AKIN_ENGINE_JOB_CANCELLED,
    AKIN_ENGINE_JOB_INTERRUPTED /* the process ended; akin_engine_job_resume goes
                                   on, with REBUILD the next process does */
} akin_engine_job_state;

AKIN_API const char *akin_engine_job_kind_text(akin_engine_job_kind kind);
AKIN_API const char *akin_engine_job_state_text(akin_engine_job_state state);

typedef struct {
    akin_engine_job_kind kind;
    const char *collection;
    const akin_ingest *ingest; /* INGEST */
    const char *model_dir;     /* REINDEX */
    const char *index;         /* REBUILD: "IVF4096", "IVF4096,PQ64": lists and
                                  code bytes; NULL: by size. A later training
                                  chooses by size again */
} akin_engine_job_request;

typedef struct {
    uint64_t id; /* from 1 */
    akin_engine_job_kind kind;
    akin_engine_job_state state;
    char collection[AKIN_NAME_BYTES + 1];
    char what[256]; /* the first path, or the model directory */
    akin_progress progress;
    int64_t started_ms, ended_ms; /* 0: not yet */
    char message[240];            /* FAILED: why */
} akin_engine_job_info;

/* Starts the work in the background; one job per collection runs at a time, the
 * others wait. */
AKIN_API akin_status akin_engine_job_start(
    akin_engine *engine, const akin_engine_job_request *request, uint64_t *id,
    akin_error *err);
AKIN_API akin_status akin_engine_job_resume(akin_engine *engine, uint64_t id,
                                            akin_error *err);
AKIN_API akin_status akin_engine_job_cancel(akin_engine *engine, uint64_t id,
                                            akin_error *err);
AKIN_API akin_status akin_engine_job_get(akin_engine *engine, uint64_t id,
                                         akin_engine_job_info *out,
                                         akin_error *err);
/* Newest first; *out for akin_free. */
AKIN_API akin_status akin_engine_job_list(akin_engine *engine,
                                          akin_engine_job_info **out, size_t *n,
                                          akin_error *err) AKIN_MUST_CHECK;
/* Until the job ended or timeout_ms passed (AKIN_TIMEOUT); fills out. */
AKIN_API akin_status akin_engine_job_wait(akin_engine *engine, uint64_t id,
                                          uint32_t timeout_ms,
                                          akin_engine_job_info *out,
                                          akin_error *err);
/* What failed in it so far. */
AKIN_API akin_status akin_engine_job_report(akin_engine *engine, uint64_t id,
                                            akin_report *out, akin_error *err);

/* ---- trust --------------------------------------------------------------------- */

typedef struct {
    uint64_t items, vectors; /* looked at */
    uint64_t problems;
    uint64_t repaired;
    char **messages; /* (nmessages), the first AKIN_MAX_FAILURES */
    size_t nmessages;
} akin_check_report;
AKIN_API void akin_check_report_clear(akin_check_report *report);

/* Checks store and indexes of one collection (NULL: all) against each other:
 * the database itself, counts, vectors finite, unit and of their fingerprint,
 * every item found by its own vector. repair: what is derived and damaged is
 * rebuilt. AKIN_OK also when problems were found: read the report. */
AKIN_API akin_status akin_engine_check(akin_engine *engine,
                                       const char *collection, bool repair,
                                       akin_progress_call *progress, void *user,
                                       akin_check_report *out, akin_error *err);

/* ---- snapshots (engine/snapshot.c) --------------------------------------------- */

/* A snapshot is one file under the data directory, a tar of a data directory
 * with one collection in it, or (collection NULL) with everything; whoever
 * unpacks it into an empty folder can open that. */
typedef struct {
    char name[256];
    uint64_t size;
    int64_t created_ms;
    char sha256[65]; /* hex; "": not known */
} akin_snapshot_info;

/* Whether a snapshot may be called that: no path, "NAME.snapshot". */
AKIN_API bool akin_snapshot_name_ok(const char *name);
/* The SHA-256 noted beside one, in PATH.sha256, in hex; "": none is. */
AKIN_API void akin_snapshot_digest(const char *path, char out[65]);
/* Makes one, as of one moment, while everything goes on. Fails with AKIN_BUSY
 * (another is being made), AKIN_CANCELLED (by progress, which may be NULL, or
 * by closing the engine); nothing is left then. */
AKIN_API akin_status akin_engine_snapshot_create(
    akin_engine *engine, const char *collection, akin_progress_call *progress,
    void *user, akin_snapshot_info *out, akin_error *err);
/* The same as a file anywhere: `path` is replaced, and gone after a failure; its
 * name is not noted, nor its digest. A folder PATH.making is used meanwhile.
 * Also of an engine opened for reading only. */
AKIN_API akin_status akin_engine_snapshot_write(
    akin_engine *engine, const char *collection, const char *path,
    akin_progress_call *progress, void *user, akin_snapshot_info *out,
    akin_error *err);
/* What one made now would be called in the folder `place`. */
AKIN_API akin_status akin_engine_snapshot_name(akin_engine *engine,
                                               const char *collection,
                                               const char *place, char out[256],
                                               akin_error *err);
/* Newest first, at most 10,000; *out for akin_free. The collection need not be
 * there any more. */
AKIN_API akin_status akin_engine_snapshots(akin_engine *engine,
                                           const char *collection,
                                           akin_snapshot_info **out, size_t *n,
                                           akin_error *err) AKIN_MUST_CHECK;
/* Opens its file for reading; *fd is the caller's to close. AKIN_NOT_FOUND. */
AKIN_API akin_status akin_engine_snapshot_open(akin_engine *engine,
                                               const char *collection,
                                               const char *name,
                                               akin_snapshot_info *out, int *fd,
                                               akin_error *err);
/* Makes the collection, under its name or an alias, what it was in the snapshot:
 * one that is there is, with `replace`, replaced in one step when everything is
 * read and checked, else AKIN_EXISTS; its aliases stay. location: the name of one of its own
 * snapshots, or "file://" and a path below DIR/snapshots; NULL: what was
 * uploaded, which is gone afterwards. sha256: what it must be; may be NULL but
 * with an upload. Other writes wait while rows are copied. Fails with
 * AKIN_NOT_FOUND, AKIN_BAD_DATA (damaged), AKIN_UNSUPPORTED (of a whole store;
 * of a newer akin; an address), AKIN_BUSY, AKIN_CANCELLED. */
AKIN_API akin_status akin_engine_snapshot_recover(
    akin_engine *engine, const char *collection, const char *location,
    const char *sha256, bool replace, akin_progress_call *progress, void *user,
    akin_error *err);
/* Appends bytes to the one snapshot that is being uploaded, which has `offset`
 * bytes so far; 0: begins another. No bytes at 0: drops it. AKIN_INVALID. */
AKIN_API akin_status akin_engine_snapshot_upload(akin_engine *engine,
                                                 uint64_t offset,
                                                 akin_span bytes,
                                                 akin_error *err);
AKIN_API akin_status akin_engine_snapshot_delete(akin_engine *engine,
                                                 const char *collection,
                                                 const char *name,
                                                 akin_error *err);

typedef struct {
    uint64_t items, collections;
    bool compared; /* its SHA-256, with what was noted in FILE.sha256 */
    char *kept;    /* where what was there is now, for akin_free; NULL: nothing
                      was */
} akin_restored;

/* Makes a snapshot (one collection or all) the data directory `dir`, which must
 * be missing or empty. replace: or anything that no process has open; it is kept
 * under another name. Everything is read, checked and on disk in DIR.restoring
 * before that becomes `dir` in one step. Needs no engine. Fails with AKIN_EXISTS
 * (not empty), AKIN_BUSY (open), AKIN_BAD_DATA (damaged, no snapshot),
 * AKIN_UNSUPPORTED (of a newer akin), AKIN_CANCELLED, AKIN_IO; then `dir` is as
 * it was. */
AKIN_API akin_status akin_snapshot_restore(const char *file, const char *dir,
                                           bool replace,
                                           akin_progress_call *progress,
                                           void *user, akin_restored *out,
                                           akin_error *err);

/* ---- audit --------------------------------------------------------------- */

#define AKIN_AUDIT_BYTES 400 /* of each text; longer ones are cut */

/* A destructive command, or a run of the same one by the same client, each less
 * than a minute after the one before. Times in ms since 1970. */
typedef struct {
    int64_t first_ms, last_ms;
    uint64_t times;
    const char *who, *what;
    const char *detail; /* of the last */
} akin_audit_entry;

/* Keeps an entry (the newest 10,000 stay). Any bytes; what is no text becomes
 * question marks. */
AKIN_API akin_status akin_engine_audit_note(akin_engine *engine, akin_span who,
                                            akin_span what, akin_span detail,
                                            akin_error *err);
/* Newest first, at most limit (0: all); call returns false to end. It may not
 * call the engine. */
typedef bool akin_audit_each_entry(void *user, const akin_audit_entry *entry);
AKIN_API akin_status akin_engine_audit(akin_engine *engine, uint64_t limit,
                                       akin_audit_each_entry *call, void *user,
                                       akin_error *err) AKIN_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
