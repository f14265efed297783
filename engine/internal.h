/* What the files of engine/ share. Who holds whom:
 *
 *   engine -> models (opened on first use, kept until close)
 *          -> collections (counted; a dropped one lives until its last user)
 *   collection -> view (counted; the two indexes of one model; swapped whole
 *                 when the model changes or an index is built from nothing)
 *
 * Lock order: engine.snapshot_lock, collection.renewing, the gate (akin__freeze,
 * akin__write_enter: it waits as a lock does), engine.lock, dupes.lock,
 * collection.lock, view.apply, model.lock, lane.lock. A put looks for duplicates
 * inside the gate, and only tries dupes.lock.
 * jobs.lock comes after engine.snapshot_lock and before all of the collection,
 * since whoever replaces one waits there for its jobs; the jobs themselves work
 * without it. Inside it: meter.lock alone.
 * Nothing of ours is taken inside engine.wake_lock, drift.lock and the locks of a
 * meter, of caches, of ids, of options and of the table of hashes.
 * Storage and index have locks of their own and call nothing of ours but the
 * callbacks we hand them. */
#ifndef AKIN_ENGINE_INTERNAL_H
#define AKIN_ENGINE_INTERNAL_H

#include "akin_engine.h"

#include "akin_embed.h"
#include "akin_index.h"
#include "akin_storage.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

/* ---- models and encoders (model.c) ---------------------------------------- */

/* Two lanes, so that a question never waits behind a batch of pictures. */
typedef enum { AKIN__QUERY, AKIN__BULK, AKIN__LANES } akin__lane_kind;

typedef struct akin__lane akin__lane;

typedef struct akin__model {
    struct akin__model *next;
    akin_engine *engine;
    char *dir; /* absolute */
    akin_model *model;
    const akin_model_info *info;
    pthread_mutex_t lock; /* held while a lane opens, for seconds: not for what
                             only looks at lanes */
    _Atomic(akin__lane *) lanes[AKIN__LANES]; /* NULL until first used */
} akin__model;

/* The model of a directory, opened if it is not yet; lives as long as the
 * engine. */
akin_status akin__model_get(akin_engine *engine, const char *dir,
                            akin__model **out, akin_error *err);
/* That of a collection; NULL: the engine's. */
akin_status akin__model_for(akin_engine *engine, const char *collection,
                            akin__model **out, akin_error *err);
/* What it computes in; false: no encoder was needed yet. */
bool akin__model_encoder(akin__model *model, akin_encoder_state *out);
void akin__models_close(akin_engine *engine);
/* Requests waiting in all lanes. */
uint32_t akin__models_queued(akin_engine *engine);

/* Embeds n rows in batches shared with other callers: pixels (n, S, S, 3) or
 * texts (n), the other NULL. out: (n, dim) unit vectors. failed: (n), caller's,
 * set to the status of each row; a row that failed leaves its reason in err, and
 * the call returns AKIN_OK unless nothing could be done. */
akin_status akin__encode(akin__model *model, akin__lane_kind lane,
                         const uint8_t *pixels, const akin_span *texts,
                         size_t n, float *out, akin_status *failed,
                         akin_error *err);

/* Decodes and prepares one picture. pixels: (S, S, 3). picture: NULL or filled,
 * the caller clears it. */
akin_status akin__decode(akin__model *model, akin_span bytes, uint8_t *pixels,
                         akin_picture *picture, akin_error *err);

/* Embeds one text for a query, through the cache. out: (dim). */
akin_status akin__embed_query_text(akin__model *model, akin_span text,
                                   float *out, akin_error *err);
/* Embeds one picture for a query; known bytes are not encoded again. */
akin_status akin__embed_query_picture(akin__model *model, akin_span bytes,
                                      float *out, akin_error *err);

/* ---- cache of text embeddings (cache.c) ------------------------------------ */

typedef struct akin__cache akin__cache;
/* capacity in entries; 0: a cache that holds nothing. */
akin_status akin__cache_open(size_t capacity, akin__cache **out,
                             akin_error *err);
void akin__cache_close(akin__cache *cache);
/* key: any bytes. true: out (dim) was filled. */
bool akin__cache_get(akin__cache *cache, akin_span key, float *out, size_t dim);
/* Best effort; forgets the entry used longest ago. */
void akin__cache_put(akin__cache *cache, akin_span key, const float *vector,
                     size_t dim);

/* ---- ids by number (ids.c) --------------------------------------------------- */

typedef struct akin__ids akin__ids;
#define AKIN__SHORT_ID 55 /* bytes; longer ones are not remembered */
akin_status akin__ids_open(akin__ids **out, akin_error *err);
void akin__ids_close(akin__ids *ids);
/* Its size, and out with a NUL behind it; 0: not remembered. */
size_t akin__ids_get(akin__ids *ids, uint64_t num,
                     char out[AKIN__SHORT_ID + 1]);
/* Best effort. */
void akin__ids_put(akin__ids *ids, uint64_t num, akin_span id);
void akin__ids_forget(akin__ids *ids, uint64_t num); /* of an item removed */

/* ---- filters (filter.c, select.c) ------------------------------------------ */

/* A parsed expression; clear frees. */
typedef struct {
    akin_predicate predicate;
    akin_predicate_node *nodes;
    size_t capacity;
    char *text; /* names and unescaped strings */
} akin__expression;

akin_status akin__filter_parse(akin_filter filter, akin__expression *out,
                               akin_error *err);
void akin__expression_clear(akin__expression *expression);

/* The items that pass a filter, as of one version of the collection. */
typedef struct akin__selection {
    akin_selector selector;
    atomic_uint refs;
    uint64_t version;
    bool missing_is_false;
    char *text;
    uint64_t used; /* clock of the last use */
} akin__selection;

#define AKIN__SELECTIONS 32 /* kept per collection */

/* The items that the last writes changed, a ring: a selection that is not older
 * than it is brought up to date by looking at those alone. */
#define AKIN__CHANGES 8192
typedef struct {
    struct {
        uint64_t version, num;
    } * ring;        /* (AKIN__CHANGES), NULL until there is one */
    uint64_t n;      /* ever noted; the next goes to n % AKIN__CHANGES */
    uint64_t before; /* all changes of later versions are here */
} akin__changes;

struct akin__collection;
/* What a write changed, as version `version`. collection.lock is held. */
void akin__changes_note(struct akin__collection *c, uint64_t version,
                        const akin_write_result *results, size_t n);
/* From the cache, brought up to date, or from storage. Release when done. */
akin_status akin__select(struct akin__collection *c, akin_filter filter,
                         akin__selection **out, akin_error *err);
void akin__selection_release(akin__selection *selection); /* no-op on NULL */

/* ---- drift (drift.c) --------------------------------------------------------- */

typedef enum {
    AKIN__IN_WORDS,
    AKIN__BY_PICTURE,
    AKIN__QUESTIONS
} akin__question;

/* What is put into a view and asked of it lately. Threads: safe. */
typedef struct akin__drift akin__drift;
akin_status akin__drift_open(uint32_t dim, akin__drift **out, akin_error *err);
void akin__drift_close(akin__drift *drift); /* no-op on NULL */
/* vectors: (n, dim) float16 of any length. unit: (dim). */
void akin__drift_put(akin__drift *drift, akin_space space,
                     const uint16_t *vectors, size_t n);
void akin__drift_asked(akin__drift *drift, akin__question kind,
                       const float *unit);

/* ---- collections (collection.c, view.c) ------------------------------------- */

typedef struct {
    atomic_uint refs;
    uint8_t fingerprint[AKIN_HASH_BYTES]; /* zero: raw vectors, no model */
    char hex[2 * AKIN_HASH_BYTES + 1];
    bool raw;
    uint32_t dim;
    char *model_dir; /* NULL when raw */
    char *dir;       /* of the generations */
    akin_index *index[AKIN_SPACES];
    akin__drift *drift;
    char why[AKIN_SPACES][160]; /* of the last build; under apply */
    pthread_mutex_t apply; /* held while changes go from storage to index */
    _Atomic uint64_t applied[AKIN_SPACES]; /* storage seq that is in there */
    /* akin_mono_ns: a build failed, the next is not sooner. Of the maintenance
     * thread. */
    uint64_t build_after[AKIN_SPACES];
} akin__view;

/* An attribute that filters have to scan for (autofield.c). */
typedef struct {
    char name[AKIN_MAX_NAME_BYTES + 1];
    akin_field_type type;
    unsigned scans; /* 0: the slot is free */
    bool declared;
} akin__candidate;

#define AKIN__CANDIDATES 16

typedef struct akin__dupes akin__dupes; /* dupes.h */

typedef struct akin__collection {
    struct akin__collection *next;
    akin_engine *engine;
    atomic_uint refs;
    uint32_t num;
    char name[AKIN_NAME_BYTES + 1];
    float recall; /* wanted; 0: option index.recall */

    pthread_mutex_t renewing; /* held while the view is renewed; taken before
                                 the collection is frozen, never after */
    pthread_mutex_t lock;     /* all below */
    pthread_cond_t calm;      /* writers became 0, or frozen became false */
    akin__view *view;
    uint32_t writers; /* puts between reading the model and their commit */
    bool frozen;      /* a change of model waits for writers to leave */
    bool reindexing;  /* there is one change of model at a time */
    bool dropped;
    bool replaced; /* dropped, but its rows stay until its last user leaves */
    _Atomic uint64_t version; /* grows after each commit; for caches */
    akin__selection *selections[AKIN__SELECTIONS];
    akin__changes changes;
    uint64_t clock;
    akin__candidate candidates[AKIN__CANDIDATES];
    akin__dupes *dupes; /* NULL: nobody has looked for duplicates yet */
} akin__collection;

struct akin__alias {
    char name[AKIN_NAME_BYTES + 1];
    uint32_t collection;
};

akin_status akin__collections_open(akin_engine *engine, akin_error *err);
void akin__collections_close(akin_engine *engine);

/* Finds, by name or alias, and holds. AKIN_NOT_FOUND. */
akin_status akin__collection_find(akin_engine *engine, const char *name,
                                  akin__collection **out, akin_error *err);
/* The same without waiting, for the loop: AKIN_BUSY while another has
 * engine.lock, which is held across the store's changes of names and while a
 * model is read; for an alias while they have to be read again; and always in a
 * reader beside a writer. */
akin_status akin__collection_find_now(akin_engine *engine, const char *name,
                                      akin__collection **out, akin_error *err);
void akin__collection_hold(akin__collection *c);
void akin__collection_release(akin__collection *c); /* no-op on NULL */
akin_status akin__check_collection_name(const char *name, akin_error *err);
/* Drops what the store has of collection `num`, which nobody uses; a failure is
 * logged: without a name it goes at the next open. */
void akin__collection_drop(akin_engine *engine, uint32_t num);
/* Opens collection `num`, which has no name yet, and puts it in the place of
 * `name` (made when missing; not `replace` and there: AKIN_EXISTS); drops num
 * when that fails. */
akin_status akin__collection_replace(akin_engine *engine, const char *name,
                                     uint32_t num, bool replace,
                                     akin_error *err);
/* The name itself, or the collection's whose alias it is, into out
 * (AKIN_NAME_BYTES + 1); unknown ones as they are. */
void akin__real_name(akin_engine *engine, const char *name, char *out);
/* Aliases as the store has them now. engine.lock is held, or nobody else is
 * here yet. */
akin_status akin__aliases_load(akin_engine *engine, akin_error *err);
/* The same after a change that is committed: what fails is done later. */
void akin__aliases_changed(akin_engine *engine);
/* Number of the collection whose alias it is; 0: none. engine.lock is held. */
uint32_t akin__alias_find(const akin_engine *engine, const char *name);
/* All of them, held; *out for akin__collections_release. */
akin_status akin__collections_all(akin_engine *engine, akin__collection ***out,
                                  size_t *n, akin_error *err);
void akin__collections_release(akin__collection **all, size_t n);

/* After a selection that took ns; and, now and then, what follows from it. */
void akin__note_selection(akin__collection *c, const akin_predicate *predicate,
                          uint64_t ns);
void akin__declare_fields(akin__collection *c);

/* Between enter and leave the collection's model stays what it is. Enter fails
 * with AKIN_NOT_FOUND when it was dropped meanwhile. */
akin_status akin__write_enter(akin__collection *c, akin_error *err);
void akin__write_leave(akin__collection *c);
void akin__freeze(akin__collection *c); /* waits until no writer is inside */
void akin__thaw(akin__collection *c);

/* After a commit: brings the indexes up to the store, so that the next query
 * sees it. results: of the n writes. */
akin_status akin__publish(akin__collection *c, const akin_write_result *results,
                          size_t n, akin_error *err);

/* Opens the indexes of the collection's current model and catches up with the
 * store. wipe: a bit, 1 << akin_space, for each space that is read from the
 * store alone, without what was built of it. */
#define AKIN__EVERY_SPACE ((1u << AKIN_SPACES) - 1)
akin_status akin__view_open(akin_engine *engine, const akin_collection *from,
                            unsigned wipe, akin__view **out, akin_error *err);
/* Where its indexes are kept, for akin_free: by collection and fingerprint, so
 * that those of two models never share a folder. NULL: no memory. */
char *akin__view_dir(const akin_engine *engine, uint32_t collection,
                     const uint8_t fingerprint[AKIN_HASH_BYTES]);
akin__view *akin__view_hold(akin__collection *c);
void akin__view_release(akin__view *view);
/* Makes `view` the collection's; the old one goes with its last user. */
void akin__view_swap(akin__collection *c, akin__view *view);
/* The spaces, a bit for each, of which a file turned out to be damaged: see
 * akin_index_verify. */
unsigned akin__view_damaged(const akin__view *view);
/* Opens a damaged view anew, its damaged spaces from the store alone (4 s for a
 * million vectors), and makes it the collection's. Writes go on meanwhile. why:
 * for the log. AKIN_OK without more when another thread has done it. */
akin_status akin__view_renew(akin__collection *c, akin__view *damaged,
                             const char *why, akin_error *err);
/* Compares what opening left of the files; renews a view that is damaged. */
void akin__view_verify(akin__collection *c);
/* Applies what the store has and the indexes have not. */
akin_status akin__view_catch_up(akin__collection *c, akin__view *view,
                                akin_error *err);
/* The model that made the view's vectors: the engine's own if its fingerprint
 * is that one, else from where the collection says. AKIN_UNSUPPORTED,
 * AKIN_WRONG_MODEL. */
akin_status akin__view_model(akin_engine *engine, const akin__view *view,
                             akin__model **out, akin_error *err);

/* The recall@10 that a query of the collection aims at. */
float akin__recall_target(const akin__collection *c, float wanted);
/* Captions' vectors as a sample of text queries, (n, dim) for akin_free; NULL
 * when there are too few. */
float *akin__text_sample(akin__view *view, size_t *n);

/* The recall that a collection's settings (JSON) ask for; 0: none. */
float akin__settings_recall(const char *settings);

/* Lists and code bytes that someone asked for; 0: by size. */
typedef struct {
    uint32_t nlist, m;
} akin__shape;
/* "IVF4096" or "IVF4096,PQ64"; NULL or "": by size. AKIN_INVALID. */
akin_status akin__shape_parse(const char *text, akin__shape *out,
                              akin_error *err);

/* Writes a new generation of one space and lets storage forget what it covers.
 * shape: NULL: by size. */
akin_status akin__space_build(akin__collection *c, akin__view *view,
                              akin_space space, bool retrain,
                              const akin__shape *shape,
                              akin_build_progress *progress, void *user,
                              akin_build_report *report, akin_error *err);

/* What the maintenance thread does for a space, every second (engine.c). */
void akin__build_if_wanted(akin__collection *c, akin_space space);

/* ---- the put pipeline (prepare.c, encode.c, pipeline.c) -------------------------------- */

/* Stored of each picture, for finding copies of it: the 4 words of
 * akin_picture_hashes.whole, the 4 of trimmed, and detail. */
#define AKIN__PHASHES 9

/* One item on its way. `in` points into memory of the caller, or into
 * `memory`. */
typedef struct {
    akin_item_input in;
    const char *file; /* the picture is read from here, unless it is unchanged;
                         NULL: in.picture */
    int64_t file_mtime_ns, file_size;
    bool describe; /* file: attributes say path, size, format ... and are merged
                      into those that are there; captions by caption_from */
    akin_caption_from caption_from;
    bool force;        /* do not trust time and size */
    const char *label; /* for the list of failures */
    char *memory[2]; /* freed with the chunk; in, file, label may point here */

    /* from here on made by the pipeline */
    uint8_t *bytes;     /* of file */
    akin_item existing; /* as stored, {0}: new */
    bool stored;        /* existing is filled */
    bool known_file;    /* file has the time and size it had */
    bool hashed;        /* a picture was read; hash is filled */
    bool new_picture;   /* pixel_hash ... thumb, too */
    uint8_t hash[AKIN_HASH_BYTES];
    uint8_t pixel_hash[AKIN_HASH_BYTES];
    uint64_t phashes[AKIN__PHASHES];
    uint8_t sketch[AKIN_SKETCH_BYTES];
    uint32_t width, height;
    char format[8];
    akin_buf thumb;
    char *made_caption, *made_attributes;
    size_t pixel_row; /* in chunk.pixels; SIZE_MAX: nothing to encode */
    bool encode_caption;
    bool has_image, has_caption; /* the half rows below are filled */
    float norm;
    akin_put_result result;
    bool skip; /* unchanged, known before storing */
} akin__work;

/* Items that are decoded, encoded and stored together. */
typedef struct akin__chunk {
    akin__work *works;
    size_t n, capacity;
    akin__collection *collection;
    akin__view *view;
    akin__model *model; /* NULL: none, and none needed */
    bool replace;
    bool entered;    /* akin__write_enter was called */
    uint8_t *pixels; /* (rows, S, S, 3) */
    atomic_size_t rows;
    uint16_t *halves;   /* (n, 2, dim): image, caption */
    akin_status status; /* of the store step as a whole */
    akin_error error;
    uint64_t bytes; /* read, for progress */
} akin__chunk;

akin_status akin__chunk_open(size_t capacity, akin__chunk **out,
                             akin_error *err);
void akin__chunk_close(akin__chunk *chunk);

/* Key of the cache of what was encoded lately: model, content, space. */
#define AKIN__CONTENT_KEY (2 * AKIN_HASH_BYTES + 1)
void akin__content_key(const akin__model *model, akin_space space,
                       const uint8_t hash[AKIN_HASH_BYTES],
                       uint8_t key[AKIN__CONTENT_KEY]);
/* Nothing, or a JSON object that can be read and merged here: SQLite takes more
 * (integers of any length, \u0000). AKIN_INVALID, AKIN_TOO_LARGE. */
akin_status akin__check_attributes(akin_span json, akin_error *err);
void akin__work_fail(akin__work *w, akin_status status, const char *message);

/* The three steps. Failures of single items go into their results. */
akin_status akin__chunk_prepare(akin__chunk *chunk, akin_error *err);
akin_status akin__chunk_encode(akin__chunk *chunk, akin_error *err);
akin_status akin__chunk_store(akin__chunk *chunk, akin_error *err);

/* Where chunks come from and go to. next fills an empty chunk (at most
 * capacity works) from the calling thread; 0 works: the end. done is called
 * from one other thread, in order, after the chunk is stored. stop, if it turns
 * true, ends early: chunks not yet encoded are dropped. */
typedef struct {
    akin__collection *collection;
    size_t batch;
    bool replace;
    akin_status (*next)(void *user, akin__chunk *chunk, akin_error *err);
    void (*done)(void *user, akin__chunk *chunk);
    void *user;
    atomic_bool *stop; /* may be NULL */
} akin__flow;

akin_status akin__flow_run(const akin__flow *flow, akin_error *err);

/* ---- reading sources (walk.c, catalogue.c, svgmeta.c) ------------------------ */

typedef struct {
    char *path;     /* absolute, or the path as given when it is a file */
    const char *id; /* tail of path */
    int64_t mtime_ns, size;
} akin__file;

typedef struct {
    akin__file *files;
    size_t n, capacity;
    akin_failure *failures; /* folders that could not be read */
    size_t nfailures, failure_capacity;
} akin__files;

void akin__files_clear(akin__files *files);
/* Appends the pictures under a folder, sorted by name within each. tick is
 * called now and then; false stops (AKIN_CANCELLED). */
akin_status akin__walk(const char *folder, const akin_ingest *options,
                       bool (*tick)(void *user, size_t found), void *user,
                       akin__files *out, akin_error *err);
/* Snapshots that a process which died left half made or half uploaded go; best
 * effort. The store is ours. AKIN_NOMEM. */
akin_status akin__snapshots_sweep(akin_engine *engine, akin_error *err);

typedef struct akin__catalogue akin__catalogue;

typedef struct {
    char *memory; /* akin_free */
    uint64_t line;
    akin_span id, image, caption, attributes;
    float *vector; /* inside memory; NULL: none */
    uint32_t dim;
} akin__row;

bool akin__is_catalogue(const char *path); /* by its extension */
akin_status akin__catalogue_open(const char *path, akin__catalogue **out,
                                 akin_error *err);
void akin__catalogue_close(akin__catalogue *catalogue);
/* The next row; AKIN_NOT_FOUND at the end; AKIN_BAD_DATA for a bad row, after
 * which the next call goes on (row->line says which). */
akin_status akin__catalogue_next(akin__catalogue *catalogue, akin__row *row,
                                 akin_error *err);

/* "title, keyword, keyword" from an SVG's Dublin Core metadata; NULL when it
 * has none or is not sound. For akin_free. */
char *akin__svg_caption(akin_span bytes);
/* "red_shoe-01.jpg" to "red shoe 01"; NULL when out of memory. */
char *akin__filename_caption(const char *path);

/* ---- fusion (fuse.c) --------------------------------------------------------- */

typedef struct {
    const uint64_t *labels; /* best first */
    size_t n;
    double weight;
} akin__ranking;

typedef struct {
    uint64_t label;
    double score; /* 0..1 */
} akin__fused;

/* Reciprocal rank fusion. out: room for all labels together; sorted, best
 * first. */
akin_status akin__fuse(const akin__ranking *rankings, size_t n,
                       akin__fused *out, size_t *nout, akin_error *err);

/* ---- report helpers (report.c) -------------------------------------------------- */

/* Progress with a sliding rate. A thread of its own calls the caller's function
 * ten times a second, however long the work is silent. Counters: any thread. */
typedef struct {
    const akin_engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    pthread_t ticker;
    bool ticking, over;
    akin_report report;
    akin_progress_call *call;
    void *user;
    uint64_t started_ns;
    struct {
        uint64_t ns, done;
    } past[16];
    unsigned at;
    atomic_bool stop;
} akin__meter;

akin_status akin__meter_open(akin__meter *meter, const akin_engine *engine,
                             akin_progress_call *call, void *user,
                             akin_error *err);
void akin__meter_phase(akin__meter *meter, const char *phase);
void akin__meter_add(akin__meter *meter, const akin_progress *delta);
void akin__meter_total(akin__meter *meter, uint64_t total);
void akin__meter_set(akin__meter *meter, uint64_t done, uint64_t total);
void akin__meter_failure(akin__meter *meter, const char *what,
                         const char *message);
bool akin__meter_stopped(akin__meter *meter);
akin_status akin__report_copy(const akin_report *from, akin_report *out,
                              akin_error *err);
/* A copy of how it stands now. */
akin_status akin__meter_copy(akin__meter *meter, akin_report *out,
                             akin_error *err);
/* Calls once more and hands the report over (out NULL: frees it). */
void akin__meter_close(akin__meter *meter, akin_report *out);

/* ---- long work (ingest.c, reindex.c) --------------------------------------------- */

akin_status akin__ingest(akin_engine *engine, const char *collection,
                         const akin_ingest *source, akin__meter *meter,
                         akin_error *err);
akin_status akin__rebuild(akin_engine *engine, const char *collection,
                          const char *index, akin__meter *meter,
                          akin_error *err);
akin_status akin__reindex(akin_engine *engine, const char *collection,
                          const char *model_dir, akin__meter *meter,
                          akin_error *err);

/* ---- jobs as records (job_record.c) ---------------------------------------- */

/* What a job is to do, and how it stands. */
typedef struct {
    akin_engine_job_info info;
    char **paths; /* of ingest; ends with NULL */
    akin_ingest ingest;
    char *model_dir; /* NULL: none */
    char *index;     /* of rebuild; NULL: by size */
} akin__task;

void akin__task_clear(akin__task *task);
/* Copies the paths, made absolute. */
akin_status akin__task_set_paths(akin__task *task, const char *const *paths,
                                 size_t n, akin_error *err);
/* What resuming needs, as JSON for free(); and back, into a task of {0}. */
char *akin__task_parameters(const akin__task *task);
akin_status akin__task_read(akin__task *task, const char *text,
                            akin_error *err);
/* false: not a job that we know. */
bool akin__task_info(const akin_job_info *row, akin_engine_job_info *out);
/* State and progress to storage; best effort, for people. */
void akin__task_save(akin_engine *engine, const akin_engine_job_info *info);
void akin__task_save_failures(akin_engine *engine, uint64_t id,
                              const akin_report *report);

/* ---- jobs (jobs.c) ------------------------------------------------------------ */

typedef struct akin__jobs akin__jobs;
akin_status akin__jobs_open(akin_engine *engine, akin__jobs **out,
                            akin_error *err);
void akin__jobs_close(akin__jobs *jobs); /* cancels, waits */
uint32_t akin__jobs_running(akin__jobs *jobs);
/* Goes on with rebuilds that the end of an earlier process interrupted. */
void akin__jobs_resume_builds(akin_engine *engine);
/* Cancels and waits for those of one collection. */
void akin__jobs_cancel_collection(akin__jobs *jobs, const char *collection);

/* ---- the answer to a query (fetch.c) ----------------------------------------- */

/* The hits that are wanted, best first. */
typedef struct {
    akin_engine *engine;
    akin__collection *collection;
    akin__view *view;
    const akin_query *query;
    akin__fused *hits; /* (n); those of items that are gone are taken out */
    size_t n;
    const float *vectors[AKIN_SPACES]; /* (dim) */
    bool spaces[AKIN_SPACES], fused;
} akin__page;

/* Fills out's matches and memory; out->dim is set. On failure, too,
 * akin_results_clear frees them. */
akin_status akin__fetch(const akin__page *page, akin_results *out,
                        akin_error *err);

/* ---- the engine ------------------------------------------------------------------ */

typedef struct {
    atomic_uint_fast64_t queries, query_ns, puts, put_items, decoded, decode_ns,
        batches, batch_items, batch_ns, text_hits, text_misses, filter_hits,
        filter_misses, reused, batch_sizes[AKIN_BATCH_SIZES];
} akin__counters;

struct akin_engine {
    akin_config *config, *own_config;
    bool read_only;
    char *data_dir, *index_dir;
    char *model_dir; /* NULL: none */
    akin_storage *storage;
    akin_pool *decoders;
    akin__cache *texts;  /* query texts */
    akin__cache *recent; /* pictures and captions encoded lately */
    akin__ids *ids;      /* of items, by number */
    akin__jobs *jobs;
    akin__counters counters;

    pthread_mutex_t lock; /* models, collections */
    akin__model *models;
    akin__collection *collections;
    struct akin__alias *aliases; /* (naliases), by name */
    size_t naliases;
    bool aliases_stale; /* not those of the store: read before they are used */

    pthread_mutex_t snapshot_lock; /* one snapshot is made at a time */
    pthread_t maintenance;
    bool maintained;
    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    bool closing;
    atomic_bool stop; /* ends long work */
};

akin_status akin__writable(const akin_engine *engine, akin_error *err);
akin_status akin__nomem(akin_error *err);
/* Whole and well-formed UTF-8 without NUL. */
bool akin__is_utf8(akin_span text);
akin_status akin__check_id(akin_span id, akin_error *err);
uint32_t akin__threads(const akin_engine *engine);
bool akin__span_equal(akin_span a, akin_span b);
/* A copy for akin_free in *out, which is left where text.data is NULL; false: out
 * of memory. */
bool akin__copy_text(char **out, akin_span text);
int akin__compare_nums(const void *a, const void *b); /* uint64_t, for qsort */
/* An akin_build_progress whose user is the engine: until that closes. */
bool akin__go_on(void *user, const char *phase, uint64_t done, uint64_t total);

#endif
