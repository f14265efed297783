/* What the files of index/ share: the parts of an index, bottom up.
 *
 *   kernel.c      float16 dot products, top-k
 *   delta.c       append-only rows newer than the generation
 *   map.c         label -> row of the delta
 *   generation.c  the file: layout, reading, finding a label
 *   writer.c      the file: writing
 *   ivf.c         IVF-PQ through FAISS; faiss_shim.cpp: what its C API lacks
 *   index.c       open, views, single labels, figures
 *   write.c       put, remove
 *   search.c      plan, exact scan, IVF-PQ search
 *   curve.c       recall measured
 *   curve_file.c  how the curves lie in the file
 *   plan.c        nprobe and candidates chosen from it, and by cost
 *   choose.c      how many lists and code bytes to build
 *   training.c    what an interrupted build leaves to the next
 *   build.c       a new generation
 *
 * Concurrency. An index's state is one akin__view: a generation, its
 * tombstones, a delta with the number of rows that count, a write number.
 * Everything a view points to is either immutable or grows where no earlier
 * view looks, and is counted, so that a search copies the view under view_lock
 * and then runs without a lock. Writers take write_lock, prepare, then publish
 * the next view under view_lock. Tombstones are copied when they change (125
 * KB at a million rows, some 6 us); a delta row carries the write number at
 * which it died instead, and a view sees the rows that died later than itself.
 * Locking order: build flag, write_lock, view_lock. */
#ifndef AKIN_INDEX_INTERNAL_H
#define AKIN_INDEX_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "akin_index.h"

/* ---- kernel.c ------------------------------------------------------------ */

/* Dot products of nq queries with nr float16 rows, out: (nr, nq). One dot's
 * terms are always added in the same order, whatever else is in the call: a
 * cosine does not depend on the path that computed it. */
void akin__dots(const float *const *queries, size_t nq,
                const uint16_t *const *rows, size_t nr, size_t dim, float *out);
/* The plain loop of the same, for one pair. */
float akin__dot_plain(const float *query, const uint16_t *row, size_t dim);
/* Inner products of queries' sub-vectors with the PQ's centroids, out: nq of
 * (m, 256). book: (m, width, 256), a component of all centroids in a row;
 * queries: nq of (m * width). One query's are the same whatever others are in
 * the call. */
void akin__tables(const float *book, const float *const *queries, size_t nq,
                  size_t m, size_t width, float *const *out);
/* The plain loop of the same, for one query. */
void akin__table_plain(const float *book, const float *query, size_t m,
                       size_t width, float *out);
/* 1 / length of a row; 0 when it is zero or not finite. */
float akin__inverse_norm(const uint16_t *row, size_t dim);
float akin__query_inverse(const float *query, size_t dim);

/* The best k hits so far, a heap with the worst on top. hits: room for k. */
typedef struct {
    akin_hit *hits;
    uint32_t k, n;
    float min_cosine;
} akin__top;

void akin__top_push(akin__top *top, uint64_t label, float cosine);
void akin__top_sort(akin__top *top); /* best first; ends its use as a heap */

/* Rows gathered for several queries at once, scored when full. */
#define AKIN__SCAN_ROWS    32
#define AKIN__SCAN_QUERIES 16
typedef struct {
    const float *queries[AKIN__SCAN_QUERIES];
    float inverse[AKIN__SCAN_QUERIES]; /* 1 / length of each query */
    akin__top *tops;                   /* (nq) */
    size_t nq, dim;
    const uint16_t *rows[AKIN__SCAN_ROWS];
    uint64_t labels[AKIN__SCAN_ROWS];
    float norms[AKIN__SCAN_ROWS]; /* 1 / length */
    size_t n;
    uint64_t seen; /* rows scored */
} akin__scan;

void akin__scan_flush(akin__scan *scan);

static inline void akin__scan_add(akin__scan *scan, uint64_t label,
                                  const uint16_t *row, float norm)
{
    scan->rows[scan->n] = row;
    scan->labels[scan->n] = label;
    scan->norms[scan->n] = norm;
    if (++scan->n == AKIN__SCAN_ROWS) akin__scan_flush(scan);
}

/* Asks for a row that is not next to the one before. */
static inline void akin__prefetch_row(const uint16_t *row, size_t dim)
{
    for (size_t i = 0; i < dim; i += 32)
        __builtin_prefetch(row + i);
}

/* ---- delta.c ------------------------------------------------------------- */

#define AKIN__DELTA_FIRST  64 /* rows of the first chunk; each next doubles */
#define AKIN__DELTA_CHUNKS 25
#define AKIN__ALIVE        UINT64_MAX

typedef struct {
    uint16_t *vectors; /* (rows, dim); the start of the allocation */
    uint64_t *labels;
    _Atomic uint64_t *died; /* write number at which the row died */
    float *norms;
} akin__chunk;

typedef struct {
    atomic_uint refs;
    uint32_t dim;
    size_t rows; /* writers only; readers have their view's */
    akin__chunk chunks[AKIN__DELTA_CHUNKS];
} akin__delta;

akin__delta *akin__delta_new(uint32_t dim);
void akin__delta_unref(akin__delta *delta);
/* Room for n more rows. */
akin_status akin__delta_reserve(akin__delta *delta, size_t n, akin_error *err);
/* Appends into reserved room; returns the row. */
size_t akin__delta_append(akin__delta *delta, uint64_t label,
                          const uint16_t *vector, float norm);
/* Memory that the first `rows` rows touch. */
size_t akin__delta_bytes(const akin__delta *delta, size_t rows);

static inline size_t akin__delta_at(size_t row, unsigned *chunk)
{
    unsigned c = 63 - (unsigned)__builtin_clzll(row / AKIN__DELTA_FIRST + 1);
    *chunk = c;
    return row - AKIN__DELTA_FIRST * (((size_t)1 << c) - 1);
}
static inline uint64_t akin__delta_label(const akin__delta *d, size_t row)
{
    unsigned c;
    size_t i = akin__delta_at(row, &c);
    return d->chunks[c].labels[i];
}
static inline const uint16_t *akin__delta_vector(const akin__delta *d,
                                                 size_t row)
{
    unsigned c;
    size_t i = akin__delta_at(row, &c);
    return d->chunks[c].vectors + i * d->dim;
}
static inline float akin__delta_norm(const akin__delta *d, size_t row)
{
    unsigned c;
    size_t i = akin__delta_at(row, &c);
    return d->chunks[c].norms[i];
}
static inline uint64_t akin__delta_died(const akin__delta *d, size_t row)
{
    unsigned c;
    size_t i = akin__delta_at(row, &c);
    return atomic_load_explicit(&d->chunks[c].died[i], memory_order_acquire);
}
void akin__delta_kill(akin__delta *delta, size_t row, uint64_t seq);

/* ---- map.c --------------------------------------------------------------- */

#define AKIN__GONE UINT32_MAX /* removed: look no further */

/* Open addressing, linear probing; label 0 is a free slot. */
typedef struct {
    uint64_t *keys;
    uint32_t *rows;
    size_t capacity, used; /* a power of two, or 0 */
} akin__map;

/* False where the label was never in the delta: the generation knows. */
bool akin__map_find(const akin__map *map, uint64_t label, uint32_t *row);
/* Needs room: see grown. */
void akin__map_set(akin__map *map, uint64_t label, uint32_t row);
/* A copy of map with room for n more labels in *out, or *out empty when there
 * is room already. */
akin_status akin__map_grown(const akin__map *map, size_t n, akin__map *out,
                            akin_error *err);
void akin__map_clear(akin__map *map);

/* A section of a mapped file; aligned, as the file's layout makes it. */
static inline const void *akin__at(const uint8_t *data, uint64_t at)
{
    return data + at;
}

/* ---- generation.c --------------------------------------------------------- */

typedef struct akin__ivf akin__ivf;

/* Recall curves of a generation: of each kind of query at some levels of k, the
 * last of them the largest k there is; of items at the first level under random
 * filters that leave 1/8 and 1/64 of the rows. */
#define AKIN__KINDS    2 /* of akin_query_kind */
#define AKIN__LEVELS   6
#define AKIN__CURVE_K  10 /* of the first level */
#define AKIN__FILTERED 2
extern const uint32_t akin__level_k[AKIN__LEVELS];

typedef struct {
    akin_curve level[AKIN__KINDS][AKIN__LEVELS];
    akin_curve filtered[AKIN__FILTERED];
} akin__curve_set;

/* How they lie in the file: the levels of k up to 100 in the head. */
#define AKIN__HEAD_LEVELS 3
#define AKIN__HEAD_CURVES (AKIN__KINDS * AKIN__HEAD_LEVELS + AKIN__FILTERED)
#define AKIN__FAR_LEVELS  (AKIN__LEVELS - AKIN__HEAD_LEVELS)
#define AKIN__FAR_POINTS  11

/* The first bytes of the file; akin__far follows, then zeros up to
 * AKIN__HEAD_BYTES. Numbers are in the machine's order: the magic read
 * backwards refuses another's. */
#define AKIN__MAGIC      0x315844494e494b41ull /* "AKINIDX1" */
#define AKIN__VERSION    5u
#define AKIN__HEAD_BYTES 8192u
#define AKIN__PAGE       4096u
#define AKIN__BLOCK      65536u /* bytes under one digest */

typedef struct {
    uint64_t magic;
    uint32_t version, dim;
    uint32_t kind, nlist, m, ivf_dim;
    uint64_t number, covered_seq, rows;
    uint64_t trained_on, drifted; /* rows then; rows added since that fit ill */
    uint64_t measured_on;         /* rows when the item curve was measured */
    float fit;                    /* mean cosine to the centroid, at training */
    float trained_s;              /* how long training and adding took */
    char fingerprint[72];
    /* sections, each at a multiple of AKIN__PAGE */
    uint64_t labels_at, norms_at, vectors_at, ivf_at, ivf_bytes;
    uint64_t digests_at, size;            /* of the file */
    akin_curve curves[AKIN__HEAD_CURVES]; /* akin__curves_pack has the order */
    uint8_t digests_digest[AKIN_SHA256_BYTES];
    uint8_t digest[AKIN_SHA256_BYTES]; /* of all before it */
} akin__head;

/* After the head: the curves of the levels beyond it. */
typedef struct {
    struct {
        uint32_t n_points, n_queries;
        akin_curve_point points[AKIN__FAR_POINTS];
    } curves[AKIN__KINDS][AKIN__FAR_LEVELS];
    uint8_t digest[AKIN_SHA256_BYTES]; /* of all before it */
} akin__far;
_Static_assert(sizeof(akin__head) + sizeof(akin__far) <= AKIN__HEAD_BYTES,
               "both lie before the sections");

typedef struct {
    atomic_uint refs;
    akin__head head;
    akin__curve_set curves;
    akin_map map;
    const uint64_t *labels;  /* (rows) ascending */
    const float *norms;      /* (rows) 1 / length */
    const uint16_t *vectors; /* (rows, dim) */
    akin__ivf *ivf;          /* NULL: flat */
    char *path;              /* for messages */
    atomic_bool sound;       /* nothing is left to compare */
    atomic_bool damaged;     /* some block is not as it was written */
    const uint8_t *digests;  /* (n_blocks, 32); below is unused once sound */
    atomic_uchar *blocks;    /* (n_blocks) what is known of each */
    uint64_t n_blocks;
    pthread_mutex_t checking; /* held while all is compared */
} akin__gen;

/* Opens and checks a file by its descriptor, which is not kept. `path` is for
 * messages, copied. check: the file is not just written: compare digests, those
 * of the vectors later (akin__gen_check). Fails with AKIN_CORRUPT,
 * AKIN_WRONG_MODEL (another dim or fingerprint), AKIN_NOMEM, AKIN_IO. */
akin_status akin__gen_open(int fd, const char *path, uint32_t dim,
                           const char *fingerprint, bool check, akin__gen **out,
                           akin_error *err);
void akin__gen_unref(akin__gen *gen);
/* Before the vector of a row is read. Fails with AKIN_CORRUPT, AKIN_NOMEM. */
akin_status akin__gen_check_row(akin__gen *gen, uint64_t row, akin_error *err);
static inline akin_status akin__gen_check(akin__gen *gen, uint64_t row,
                                          akin_error *err)
{
    if (atomic_load_explicit(&gen->sound, memory_order_acquire)) return AKIN_OK;
    return akin__gen_check_row(gen, row, err);
}
/* Asks the disk for what checking a row will read, so that it answers for many
 * at once. */
void akin__gen_expect(akin__gen *gen, uint64_t row);
/* Before all vectors are read: at once, on all processors. */
akin_status akin__gen_check_all(akin__gen *gen, akin_error *err);
/* The same without hurry, on the calling thread. AKIN_CANCELLED: progress said
 * so. */
akin_status akin__gen_verify(akin__gen *gen, akin_build_progress *progress,
                             void *user, akin_error *err);
/* Row of a label, at or after `from`; -1 when it is not there. */
int64_t akin__gen_find(const akin__gen *gen, uint64_t label, uint64_t from);
/* SHA-256 of every AKIN__BLOCK bytes of data from AKIN__HEAD_BYTES to end;
 * out: (blocks, 32), blocks = akin__block_count(end). */
akin_status akin__digest_blocks(const uint8_t *data, uint64_t end, uint8_t *out,
                                akin_error *err);
uint64_t akin__block_count(uint64_t end);
/* Places the sections, from rows, dim and ivf_bytes. */
void akin__head_layout(akin__head *head);

/* ---- writer.c -------------------------------------------------------------- */

/* A generation's file while it is written: under a temporary name in dir, or
 * in memory when dir is NULL. */
typedef struct {
    FILE *file;
    char *temporary, *path; /* NULL: in memory */
    const char *dir;        /* borrowed */
    uint64_t at;            /* bytes written */
} akin__writer;

akin_status akin__writer_open(akin__writer *w, const char *dir, uint64_t number,
                              akin_error *err);
akin_status akin__writer_append(akin__writer *w, const void *data, size_t size,
                                akin_error *err);
/* Zeros up to the next multiple of AKIN__PAGE. */
akin_status akin__writer_align(akin__writer *w, akin_error *err);
/* Digests, head (its sections are set), curves, fsync, rename. */
akin_status akin__writer_finish(akin__writer *w, akin__head *head,
                                const akin__curve_set *curves, akin_error *err);
/* Removes the temporary file unless finished. */
void akin__writer_clear(akin__writer *w);
/* Removes the files of all generations but one (0: of all), and leftovers. */
void akin__remove_others(const char *dir, uint64_t keep);
/* Number of the newest generation in dir below `below`, 0 when there is none. */
uint64_t akin__newest(const char *dir, uint64_t below);
char *akin__gen_path(const char *dir, uint64_t number);

/* ---- ivf.c ------------------------------------------------------------------ */

/* Which rows a search may return. */
typedef struct {
    const uint64_t *dead;          /* bitmap over rows; NULL: none */
    const akin_selector *selector; /* over labels; NULL: all */
    const uint64_t *labels;        /* of the rows */
} akin__filter;

typedef struct {
    uint32_t dim, nlist, m;
    akin_pool *pool; /* NULL: the calling thread alone */
    uint64_t seed;
    akin_build_progress *progress;
    void *user;
} akin__ivf_train;

/* Width of the vectors FAISS sees: dim rounded up so that it divides. */
uint32_t akin__ivf_dim(uint32_t dim);
uint32_t akin__ivf_m(uint32_t dim); /* PQ bytes a vector that suit dim */
/* sample: (n, akin__ivf_dim(dim)), in random order. Fails with AKIN_CANCELLED, AKIN_NOMEM,
 * AKIN_INTERNAL. */
akin_status akin__ivf_train_new(const akin__ivf_train *how, const float *sample,
                                size_t n, akin__ivf **out, akin_error *err);
/* An empty one with the training of another, and the codes of its rows that
 * row_map (rows of `from` -> rows here, -1: leave out) keeps. */
akin_status akin__ivf_copy(const akin__ivf *from, const int64_t *row_map,
                           akin__ivf **out, akin_error *err);
/* vectors: (n, ivf dim); rows: (n). Adds to *fit the sum of the vectors' inner
 * products with their centroids. */
akin_status akin__ivf_add(akin__ivf *ivf, const float *vectors, size_t n,
                          const int64_t *rows, akin_pool *pool, double *fit,
                          akin_error *err);
akin_status akin__ivf_write(const akin__ivf *ivf, FILE *file, akin_error *err);
/* Maps the lists of what write put at `at` of the file fd is of. */
akin_status akin__ivf_read(int fd, uint64_t at, const akin__head *head,
                           akin__ivf **out, akin_error *err);
/* labels: (rows) of the generation, ascending: makes filters quick. Optional. */
akin_status akin__ivf_name(akin__ivf *ivf, const uint64_t *labels,
                           akin_error *err);
void akin__ivf_free(akin__ivf *ivf);
/* The rows that look best to each of nq queries, AKIN__SCAN_QUERIES at most, by
 * score, into heaps whose labels are rows; the same as one by one. queries: nq
 * of (ivf dim). nprobe lists, and more, up to four times as many, until `least`
 * rows have passed the filter. */
akin_status akin__ivf_search(const akin__ivf *ivf, const float *const *queries,
                             size_t nq, uint32_t nprobe, uint64_t least,
                             const akin__filter *filter, akin__top *tops,
                             akin_error *err);
size_t akin__ivf_bytes(const akin__ivf *ivf); /* anonymous memory */

/* ---- index.c, write.c ------------------------------------------------------------------ */

/* Rows of a generation that are removed or replaced. */
typedef struct {
    atomic_uint refs;
    uint64_t count;
    uint64_t words[];
} akin__dead;

/* Recall curves in use: the generation's, or measured since. */
typedef struct {
    atomic_uint refs;
    akin__curve_set set;
} akin__curves;

typedef struct {
    akin__gen *gen;       /* NULL: none */
    akin__dead *dead;     /* NULL: none */
    akin__curves *curves; /* NULL: none */
    akin__delta *delta;
    size_t delta_rows;
    uint64_t delta_live;
    uint64_t seq; /* write number */
} akin__view;

struct akin_index {
    uint32_t dim, build_threads;
    uint64_t exact_below;
    float recall;
    char *dir; /* NULL: in memory only */
    bool read_only;
    char fingerprint[65];
    pthread_mutex_t write_lock;
    pthread_mutex_t view_lock; /* guards view and map for readers */
    akin__view view;
    akin__map map;
    atomic_bool building;
    atomic_uint_fast64_t number; /* of the newest generation */
    /* when the last build ended and how long it took, akin_mono_ns */
    atomic_uint_fast64_t built_at, build_ns;
};

/* The threads of a build beside the caller's; *pool NULL where it is one. */
akin_status akin__build_pool(const akin_index *index, akin_pool **pool,
                             akin_error *err);
akin__view akin__view_get(const akin_index *index);
void akin__view_drop(akin__view *view);
uint64_t akin__view_live(const akin__view *view);

/* Where a label lives: a row of the delta (or AKIN__GONE), else a row of the
 * generation (or -1). */
typedef struct {
    int64_t row;
    uint32_t delta_row;
} akin__place;

/* False: not there. */
bool akin__locate(const akin__view *view, const akin__map *map, uint64_t label,
                  akin__place *place);
akin__curves *akin__curves_new(const akin__curve_set *set);
akin__dead *akin__dead_copy(const akin__dead *from, uint64_t rows);
void akin__dead_unref(akin__dead *dead);
void akin__curves_unref(akin__curves *curves);

static inline bool akin__bit(const uint64_t *words, uint64_t i)
{
    return words[i / 64] >> (i % 64) & 1;
}
static inline bool akin__gen_live(const akin__view *view, uint64_t row)
{
    return !view->dead || !akin__bit(view->dead->words, row);
}
static inline bool akin__delta_visible(const akin__view *view, size_t row)
{
    return akin__delta_died(view->delta, row) > view->seq;
}

/* ---- plan.c -------------------------------------------------------------------- */

typedef struct {
    bool exact;
    uint32_t nprobe, candidates;
    uint64_t least; /* survivors to score; 0: as many as there are */
    float recall;   /* measured there; NaN: unknown */
} akin__plan;

/* How to search the view's generation. params->recall is set. */
void akin__plan_for(const akin__view *view, const akin_search_params *params,
                    akin__plan *plan);

/* What a search costs, ns. share: of the rows that pass the selector. */
double akin__exact_cost(double rows, double dim);
double akin__ivf_cost(const akin__head *head, uint32_t nprobe,
                      uint32_t candidates, double share, bool filtered);

/* ---- search.c ------------------------------------------------------------------ */

/* All queries of a scan through the lists, into its heaps; *exact is cleared
 * when the answer of any is approximate. together: so many at a time, which
 * changes nothing but the time they take. */
akin_status akin__search_ivf(const akin__view *view, const akin__plan *plan,
                             const akin_selector *selector,
                             const akin__scan *all, size_t together,
                             bool *exact, akin_error *err);
/* Scores all rows of the generation that live and pass; then the delta's.
 * Fails with AKIN_CORRUPT, AKIN_NOMEM: see akin__gen_check. */
akin_status akin__scan_generation(akin__scan *scan, const akin__view *view,
                                  const akin_selector *selector,
                                  akin_error *err);
void akin__scan_delta(akin__scan *scan, const akin__view *view,
                      const akin_selector *selector);

uint64_t akin__random(uint64_t *state);
/* Up to n live rows of a view, at random. labels, vectors (may be NULL): (n). */
size_t akin__sample(const akin__view *view, uint64_t seed, size_t n,
                    uint64_t *labels, const uint16_t **vectors);

/* ---- curve.c -------------------------------------------------------------------- */

/* Measures curves over the live rows of a view with an IVF-PQ generation, all
 * of which was compared.
 * queries: (nq, dim); self: (nq) label to leave out of each answer, or NULL.
 * out: (levels) from the first level of k on; a level where a scan is cheaper
 * stays empty. */
akin_status akin__curve_measure(const akin__view *view, const float *queries,
                                const uint64_t *self, size_t nq,
                                const akin_selector *selector, akin_pool *pool,
                                akin_build_progress *progress, void *user,
                                akin_curve *out, unsigned levels,
                                akin_error *err);
/* The same on `sample` (0: 256) of the view's own rows. filter: one label in
 * this many passes; 1: all. */
akin_status akin__curve_of_items(const akin__view *view, uint64_t seed,
                                 size_t sample, unsigned filter,
                                 akin_pool *pool, akin_build_progress *progress,
                                 void *user, akin_curve *out, unsigned levels,
                                 akin_error *err);
/* The cheapest settings that reach `recall` at the curve's k, or some that are
 * usual where it was not measured; false, and *plan as it was: only exact
 * does. */
bool akin__curve_pick(const akin_curve *curve, float recall, akin__plan *plan);

/* ---- curve_file.c ---------------------------------------------------------------- */

/* Into the head and what follows it. Fails with AKIN_INTERNAL. */
akin_status akin__curves_pack(const akin__curve_set *set, akin__head *head,
                              akin__far *far, akin_error *err);
/* Back; `file` begins with a head that was checked. Fails with AKIN_CORRUPT. */
akin_status akin__curves_unpack(const akin__head *head, const uint8_t *file,
                                akin__curve_set *set, akin_error *err);

/* ---- training.c ------------------------------------------------------------------ */

/* Keeps a training in the index's folder, best effort. head: dim, rows, nlist
 * and m are set. */
void akin__training_save(const akin_index *index, const akin__head *head,
                         const akin_build_params *params, const akin__ivf *ivf);
/* True: *out is what an interrupted build had trained, empty, and head->nlist
 * its. */
bool akin__training_load(const akin_index *index, akin__head *head,
                         const akin_build_params *params, akin__ivf **out);
void akin__training_forget(const akin_index *index);

/* ---- choose.c -------------------------------------------------------------------- */

/* What to build for so many rows. */
void akin__choose(uint64_t rows, uint32_t dim, const akin_build_params *params,
                  uint32_t threads, akin_index_choice *out);

/* ---- build.c --------------------------------------------------------------------- */

/* Whether a build of what the view has would train lists. */
bool akin__wants_lists(const akin_index *index, const akin__view *view);

#endif
