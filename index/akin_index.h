/* akin index: nearest neighbours over one space of one collection.
 *
 * A space is searched exactly while it is small. Past a threshold
 * akin_index_build trains an IVF-PQ generation, whose candidates are rescored
 * from the stored float16 vectors, so that every score is a true cosine.
 * Vectors newer than the generation lie in a delta that is scanned exactly.
 *
 * Unless a comment says otherwise a function may be called from any thread.
 * Searches never wait for a build, nor for a write longer than it takes to copy
 * a few pointers; each sees one state: all of a write or none of it.
 *
 * The index stores nothing that storage does not have: its folder may be
 * deleted while closed, and the owner then puts all vectors again. */
#ifndef AKIN_INDEX_H
#define AKIN_INDEX_H

#include "akin_base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define AKIN_INDEX_MAX_K   10000
#define AKIN_INDEX_MAX_DIM 8192
/* Bounds what a bitmap over labels may take: 8 GiB. */
#define AKIN_INDEX_MAX_LABEL (((uint64_t)1 << 36) - 1)

typedef struct akin_index akin_index;

typedef struct {
    uint32_t dim;           /* floats in a vector, 1..AKIN_INDEX_MAX_DIM */
    const char *dir;        /* folder of this space's generations, made if it is
                              missing; NULL: in memory only. Copied. */
    bool read_only;         /* dir is another process's, which may be building:
                              nothing in it is made, written or removed; a
                              build fails */
    char fingerprint[65];   /* model fingerprint as lower-case hex, or any text
                              under 65 bytes: a generation of another one is
                              ignored; NUL-terminated */
    uint64_t exact_below;   /* items up to which a space is searched exactly;
                              0: 20000 */
    uint32_t build_threads; /* threads of one build; 0: all processors */
    float recall;           /* recall@k searches aim at unless they say
                               otherwise, 0 < recall <= 1; 0: 0.95 */
} akin_index_options;

/* Called from the building thread, some times a second at most.
 * phase: "copy", "train", "add", "measure", "save", or
 * "verify"; done of total in it.
 * Return false to cancel. */
typedef bool akin_build_progress(void *user, const char *phase, uint64_t done,
                                 uint64_t total);

/* Opens the newest sound generation in dir, if there is one.
 * covered_seq: storage change number whose effects it holds: the owner then
 * replays the puts and removes of all later changes. 0: there was none, or it
 * was damaged (logged, and replaced by the next build): put everything.
 * Fails with AKIN_INVALID, AKIN_NOMEM, AKIN_IO. */
akin_status akin_index_open(const akin_index_options *options, akin_index **out,
                            uint64_t *covered_seq,
                            akin_error *err) AKIN_MUST_CHECK;
/* Opening compares the digests of all but the vectors, which are nearly all of
 * a file; a vector is compared when it is read first. A search, get, cosines,
 * measure or build that meets damage fails with AKIN_CORRUPT and says where;
 * the owner then opens the index anew without the generation and puts
 * everything. verify compares all that is left, in the calling thread, while
 * others search; progress ("verify") may be NULL, and returns false to cancel.
 * Fails with AKIN_CORRUPT, AKIN_CANCELLED, AKIN_NOMEM. */
akin_status akin_index_verify(akin_index *index, akin_build_progress *progress,
                              void *user, akin_error *err);
/* Whether any of these has met damage. */
bool akin_index_damaged(const akin_index *index);
/* No other call may be running. No-op on NULL. */
void akin_index_close(akin_index *index);

/* ---- writing ------------------------------------------------------------ */

/* Stores the vectors of n labels, each in place of its earlier one if there is
 * one; they become visible together, to every search that starts after the
 * return. A later vector of the same label wins.
 * labels:  (n) the items' numbers in storage, above 0; numbers grow and are
 *          never given to another item (a bitmap over them should stay dense).
 * vectors: (n, dim) float16, of any length above 0.
 * Fails with AKIN_INVALID (label 0 or above AKIN_INDEX_MAX_LABEL, a zero or
 * non-finite vector), AKIN_NOMEM, AKIN_TOO_LARGE (2 billion wait for a build);
 * then nothing has changed. */
akin_status akin_index_put_many(akin_index *index, const uint64_t *labels,
                                const uint16_t *vectors, size_t n,
                                akin_error *err);

/* Removes labels; unknown ones are skipped. Gone from every search that starts
 * after the return. removed: how many were there; may be NULL.
 * Fails with AKIN_NOMEM; then nothing has changed. */
akin_status akin_index_remove(akin_index *index, const uint64_t *labels,
                              size_t n, size_t *removed, akin_error *err);

/* ---- selector ----------------------------------------------------------- */

/* The set of labels a filter leaves. Plain memory of the caller's; not locked:
 * fill it in one thread, then any number may search with it. Start from {0}. */
typedef struct {
    uint64_t *words; /* bit label % 64 of word label / 64 */
    size_t n_words;
    uint64_t count; /* bits set */
} akin_selector;

/* Room for labels up to max_label, none set. set grows it where needed.
 * Fails with AKIN_NOMEM, AKIN_INVALID (above AKIN_INDEX_MAX_LABEL). */
akin_status akin_selector_init(akin_selector *selector, uint64_t max_label,
                               akin_error *err) AKIN_MUST_CHECK;
akin_status akin_selector_set(akin_selector *selector, uint64_t label,
                              akin_error *err) AKIN_MUST_CHECK;
bool akin_selector_has(const akin_selector *selector, uint64_t label);
/* Counts again, after the caller wrote words itself (and, or, not). */
uint64_t akin_selector_count(akin_selector *selector);
void akin_selector_clear(akin_selector *selector); /* frees; no-op on {0} */

/* ---- searching ---------------------------------------------------------- */

/* Where a query comes from: words are out of distribution for the vectors of
 * pictures, and need more candidates for the same recall. */
typedef enum { AKIN_QUERY_ITEM, AKIN_QUERY_TEXT } akin_query_kind;

/* Start from AKIN_SEARCH_DEFAULTS. */
typedef struct {
    uint32_t k;           /* neighbours wanted, 1..AKIN_INDEX_MAX_K */
    float recall;         /* recall wanted, up to 1; 0: the index's own. The
                             measured curve turns it into nprobe and candidates;
                             1 is exact */
    akin_query_kind kind; /* whose curve */
    uint32_t nprobe;      /* inverted lists visited; 0: by recall */
    uint32_t candidates;  /* rows rescored exactly; 0: by recall */
    bool exact;           /* scan everything that the selector leaves */
    float min_cosine;     /* hits below are left out; -1: none are */
    const akin_selector *selector; /* NULL: all labels. Borrowed */
} akin_search_params;

#define AKIN_SEARCH_DEFAULTS ((akin_search_params){.k = 10, .min_cosine = -1})

typedef struct {
    uint64_t label;
    float cosine; /* of the query and the stored float16 vector, -1..1 */
} akin_hit;

/* Finds the k nearest neighbours of each of n queries. If k labels pass the
 * selector, k come back (before min_cosine).
 * queries: (n, dim), any length above 0.
 * hits:    (n, k), caller's; row i holds nhits[i] hits, best first, equal
 *          cosines by label.
 * exact:   true when every row is the exact answer; may be NULL.
 * Fails with AKIN_INVALID, AKIN_NOMEM, AKIN_CORRUPT, AKIN_INTERNAL. */
akin_status akin_index_search(const akin_index *index, const float *queries,
                              size_t n, const akin_search_params *params,
                              akin_hit *hits, uint32_t *nhits, bool *exact,
                              akin_error *err);

/* What a search with these parameters would do now. */
typedef struct {
    bool exact; /* a scan: the rest is 0, recall 1 */
    uint32_t nprobe, candidates;
    float recall; /* measured at these settings, or nearby; NaN: unknown */
} akin_index_settings;

void akin_index_settings_for(const akin_index *index,
                             const akin_search_params *params,
                             akin_index_settings *out);

/* About how long a search of one query would take, of what is in memory, ns.
 * UINT64_MAX: part of the file has still to be compared with its digest. */
uint64_t akin_index_cost_ns(const akin_index *index,
                            const akin_search_params *params);

/* The stored vector of a label as dim floats, as put (not scaled).
 * Fails with AKIN_NOT_FOUND, AKIN_CORRUPT. */
akin_status akin_index_get(const akin_index *index, uint64_t label, float *out,
                           akin_error *err);

/* Exact cosines of one query with n given labels; NaN where a label is not
 * there. query: (dim). labels, out: (n). Fails with AKIN_INVALID, AKIN_NOMEM,
 * AKIN_CORRUPT. */
akin_status akin_index_cosines(const akin_index *index, const float *query,
                               const uint64_t *labels, size_t n, float *out,
                               akin_error *err);

/* Up to n different labels drawn at random, the same for the same seed and
 * contents; all of them when there are at most n. out: (n), ascending. Returns
 * how many. Looks at every row: milliseconds at a million. */
size_t akin_index_sample(const akin_index *index, uint64_t seed, size_t n,
                         uint64_t *out);

/* ---- building ----------------------------------------------------------- */

typedef enum {
    AKIN_BUILD_NOT_NEEDED,
    AKIN_BUILD_FIRST,   /* past exact_below without a trained generation */
    AKIN_BUILD_MERGE,   /* the delta or the tombstones have become many */
    AKIN_BUILD_RETRAIN, /* grown several times, or drifted, since training */
} akin_build_need;

/* Whether a build would pay now. Cheap. */
akin_build_need akin_index_wants_build(const akin_index *index);

/* {0} is the default for everything. */
typedef struct {
    bool retrain;          /* train again even where merging would do */
    uint32_t nlist;        /* inverted lists; 0: about 4 sqrt(n) */
    uint32_t m;            /* PQ bytes a vector; 0: by dim */
    uint64_t memory_bytes; /* most that the training sample may take, which
                              bounds nlist; 0: 1 GiB */
    uint64_t seed;
    const float *text_queries; /* (n_text, dim) sample of text queries, for
                                  their own recall curve; NULL: none */
    size_t n_text;
    akin_build_progress *progress; /* NULL: none */
    void *user;
} akin_build_params;

/* What a build would choose for what is in the index now. */
typedef struct {
    bool trained;  /* false: searched exactly, nlist, m and sample are 0 */
    uint64_t rows; /* live items */
    uint32_t dim, nlist, m;
    uint64_t sample;       /* vectors trained on */
    uint64_t memory_bytes; /* anonymous, while it is searched */
    uint64_t build_bytes;  /* more while it is built, at most */
    uint64_t disk_bytes;   /* of its file, mapped */
    double seconds;        /* to build, roughly, on an idle machine */
    char why[160];
} akin_index_choice;

/* params: memory_bytes, nlist and m count; NULL: defaults. */
void akin_index_choose(const akin_index *index, const akin_build_params *params,
                       akin_index_choice *out);

/* One measured point of a recall curve, with k = 10. */
typedef struct {
    uint32_t nprobe;
    uint32_t candidates; /* rescored rows */
    float recall;        /* recall@10 */
    float error;         /* half width of its 95% confidence interval */
    float qps;           /* queries a second of one thread, one a call */
} akin_curve_point;

#define AKIN_CURVE_POINTS 40

typedef struct {
    uint32_t n_points; /* 0: not measured; ascending in cost */
    uint32_t n_queries;
    akin_curve_point points[AKIN_CURVE_POINTS];
} akin_curve;

typedef struct {
    akin_build_need did; /* NOT_NEEDED: rewritten without training (small) */
    uint64_t rows;
    uint32_t nlist, m;
    double seconds, train_seconds, add_seconds, measure_seconds;
    float recall;      /* measured at the index's own target */
    float text_recall; /* the same for text queries; NaN: none given */
    char why[160];     /* one line: what was chosen and why */
} akin_build_report;

/* Writes a new generation that holds all that is in the index now, and swaps
 * it in with one step; searches and writes go on meanwhile. One build at a time.
 * covered_seq: the last storage change whose puts and removes had all returned
 * before this call; what open gives back after a restart.
 * Interrupted at any moment the old generation stays. report may be NULL.
 * Fails with AKIN_BUSY (another build), AKIN_DENIED (opened read_only),
 * AKIN_CANCELLED, AKIN_NOMEM, AKIN_IO, AKIN_CORRUPT, AKIN_INTERNAL. */
akin_status akin_index_build(akin_index *index, uint64_t covered_seq,
                             const akin_build_params *params,
                             akin_build_report *report, akin_error *err);

/* Measures a curve now on `sample` random items (0: 256), or on the given
 * queries (n_queries, dim), and keeps it for the planner until the next build.
 * Takes seconds at a million items. Fails with AKIN_UNTRAINED (no IVF-PQ
 * generation), AKIN_NOMEM, AKIN_CORRUPT, AKIN_CANCELLED. */
akin_status akin_index_measure(akin_index *index, akin_query_kind kind,
                               const float *queries, size_t n_queries,
                               size_t sample, uint64_t seed,
                               akin_build_progress *progress, void *user,
                               akin_curve *out, akin_error *err);

/* ---- figures ------------------------------------------------------------ */

typedef enum {
    AKIN_INDEX_NONE, /* no generation: all in the delta */
    AKIN_INDEX_FLAT, /* searched exactly */
    AKIN_INDEX_IVFPQ
} akin_index_kind;

typedef struct {
    akin_index_kind kind;
    uint64_t live;          /* items */
    uint64_t rows;          /* rows of the generation */
    uint64_t tombstones;    /* of them removed or replaced */
    uint64_t delta;         /* live items newer than the generation */
    uint64_t delta_rows;    /* rows of the delta, dead ones too */
    uint64_t generation;    /* number, 0: none */
    uint64_t covered_seq;   /* 0: none */
    uint64_t trained_on;    /* rows there were at the last training */
    double trained_seconds; /* how long that and adding them took */
    uint64_t drifted;       /* rows added since that fit the lists ill */
    uint32_t dim, nlist, m;
    uint32_t nprobe, candidates; /* chosen for the index's own recall, k = 10 */
    float recall;                /* measured there; NaN: exact or unknown */
    uint64_t bytes_memory;       /* anonymous: delta, tombstones, codebooks */
    uint64_t bytes_mapped; /* of the generation's file, shared with the page
                              cache */
    uint64_t bytes_disk;
    bool building;
} akin_index_stats;

void akin_index_get_stats(const akin_index *index, akin_index_stats *out);

#ifdef __cplusplus
}
#endif
#endif
