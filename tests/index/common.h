/* What the tests of index/ share: clustered vectors, a naive model, a folder. */
#ifndef TESTS_INDEX_COMMON_H
#define TESTS_INDEX_COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "akin_index.h"

/* Fails the test with the error's text unless rc is AKIN_OK. */
static inline void ok(akin_status rc, const akin_error *err)
{
    if (rc) fail_msg("%s: %s", akin_status_text(rc), err->message);
}

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static inline double uniform(uint64_t *state)
{
    return (double)(next_random(state) >> 11) * 0x1p-53;
}

static inline float normal(uint64_t *state)
{
    double u = uniform(state) + 1e-12, v = uniform(state);
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

/* n unit vectors around `clusters` centers with a common offset, as CLIP's
 * are, in float16. The centers depend on `world`, the points on *state. */
static inline void clustered(uint64_t world, uint64_t *state, size_t n,
                             uint32_t dim, uint32_t clusters, uint16_t *out)
{
    float *v = malloc(dim * sizeof *v);
    for (size_t i = 0; i < n; i++) {
        uint64_t center = world * 1000003 + next_random(state) % clusters;
        for (uint32_t d = 0; d < dim; d++)
            v[d] = 0.7f + normal(&center) + 1.1f * normal(state);
        akin_normalize(v, dim);
        akin_half_from_float(out + i * dim, v, dim);
    }
    free(v);
}

/* The naive model: labels 1..max, a row of floats or nothing. */
typedef struct {
    uint32_t dim;
    size_t max;
    float *vectors; /* (max + 1, dim) */
    bool *there;
} model;

static inline model model_new(uint32_t dim, size_t max)
{
    return (model){dim, max, calloc((max + 1) * dim, sizeof(float)),
                   calloc(max + 1, 1)};
}

static inline void model_free(model *m)
{
    free(m->vectors);
    free(m->there);
}

static inline void model_put(model *m, uint64_t label, const uint16_t *vector)
{
    akin_float_from_half(m->vectors + label * m->dim, vector, m->dim);
    m->there[label] = true;
}

static inline size_t model_count(const model *m)
{
    size_t n = 0;
    for (size_t i = 0; i <= m->max; i++)
        n += m->there[i];
    return n;
}

static inline double model_cosine(const model *m, const float *q,
                                  uint64_t label)
{
    const float *v = m->vectors + label * m->dim;
    double dot = 0, a = 0, b = 0;
    for (uint32_t d = 0; d < m->dim; d++) {
        dot += (double)q[d] * v[d];
        a += (double)q[d] * q[d];
        b += (double)v[d] * v[d];
    }
    return dot / sqrt(a * b);
}

typedef struct {
    uint64_t label;
    double cosine;
} model_hit;

static int by_cosine(const void *a, const void *b)
{
    const model_hit *x = a, *y = b;
    if (x->cosine != y->cosine) return x->cosine < y->cosine ? 1 : -1;
    return (x->label > y->label) - (x->label < y->label);
}

/* All that pass, best first; the caller frees. */
static inline model_hit *model_search(const model *m, const float *q,
                                      const akin_selector *selector, size_t *n)
{
    model_hit *hits = calloc(m->max + 1, sizeof *hits);
    *n = 0;
    for (uint64_t label = 1; label <= m->max; label++)
        if (m->there[label] &&
            (!selector || akin_selector_has(selector, label)))
            hits[(*n)++] = (model_hit){label, model_cosine(m, q, label)};
    qsort(hits, *n, sizeof *hits, by_cosine);
    return hits;
}

/* Exact hits agree with the model: same count, cosines within 1e-5, and where
 * the order differs the cosines are that close. */
static inline void same_hits(const model *m, const float *q,
                             const akin_selector *selector,
                             const akin_hit *hits, uint32_t nhits, uint32_t k)
{
    size_t n;
    model_hit *truth = model_search(m, q, selector, &n);
    assert_int_equal(nhits, n < k ? n : k);
    for (uint32_t i = 0; i < nhits; i++) {
        assert_true(fabs(hits[i].cosine - truth[i].cosine) < 1e-5);
        assert_true(m->there[hits[i].label]);
        assert_true(fabs(model_cosine(m, q, hits[i].label) - hits[i].cosine) <
                    1e-5);
        for (uint32_t j = 0; j < i; j++)
            assert_true(hits[j].label != hits[i].label);
    }
    free(truth);
}

/* recall@k of hits against the model, by cosine. */
static inline double recall_of(const model *m, const float *q,
                               const akin_selector *selector,
                               const akin_hit *hits, uint32_t nhits, uint32_t k)
{
    size_t n, right = 0;
    model_hit *truth = model_search(m, q, selector, &n);
    size_t want = n < k ? n : k;
    for (uint32_t i = 0; i < nhits && want; i++)
        right += hits[i].cosine >= truth[want - 1].cosine - 1e-6;
    free(truth);
    return want ? (double)right / (double)want : 1;
}

static inline char *make_folder(void)
{
    char *dir;
    assert_int_equal(akin_dir_temporary("akin-index", &dir, NULL), AKIN_OK);
    return dir;
}

static inline void remove_folder(char *dir)
{
    assert_int_equal(akin_dir_remove(dir, NULL), AKIN_OK);
    akin_free(dir);
}

static inline akin_index *open_index(uint32_t dim, const char *dir,
                                     uint64_t exact_below, uint64_t *covered)
{
    akin_index_options options = {.dim = dim,
                                  .dir = dir,
                                  .fingerprint = "test",
                                  .exact_below = exact_below,
                                  .build_threads = 1};
    akin_index *index = NULL;
    akin_error err;
    uint64_t seq;
    ok(akin_index_open(&options, &index, covered ? covered : &seq, &err), &err);
    return index;
}

static inline akin_status put_one(akin_index *index, uint64_t label,
                                  const uint16_t *vector, akin_error *err)
{
    return akin_index_put_many(index, &label, vector, 1, err);
}

static inline bool has_label(const akin_index *index, uint64_t label)
{
    float out[AKIN_INDEX_MAX_DIM];
    return akin_index_get(index, label, out, NULL) == AKIN_OK;
}

#endif
