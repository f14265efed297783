/* Retrieval metrics over unit vectors: what `akin bench retrieval` reports.
 * Pure functions; any thread. */
#ifndef AKIN_API_RETRIEVAL_H
#define AKIN_API_RETRIEVAL_H

#include "akin_base.h"

#define AKIN_RETRIEVAL_NONE UINT32_MAX

/* n unit vectors of `dim` floats each, and to which group each belongs:
 * something in the pool is relevant to a query of the same group.
 * AKIN_RETRIEVAL_NONE: relevant to nothing. */
typedef struct {
    const float *vectors;
    const uint32_t *groups;
    size_t n;
} akin_retrieval_set;

enum { AKIN_RETRIEVAL_CUTS = 3 };
extern const uint32_t akin_retrieval_cuts[AKIN_RETRIEVAL_CUTS]; /* 1, 5, 10 */

/* Means over the queries that have something relevant in the pool. Chance is
 * what a random order gives on average. */
typedef struct {
    size_t queries, pool;
    /* share of queries with something relevant among the first 1, 5, 10 */
    double recall[AKIN_RETRIEVAL_CUTS], chance[AKIN_RETRIEVAL_CUTS];
    /* share of relevant ones among the first 10 (or the pool, when smaller) */
    double precision, precision_chance;
    /* normalised discounted cumulative gain of the first 10, relevance 0 or 1
     * (Jarvelin and Kekalainen 2002) */
    double ndcg;
} akin_retrieval;

/* Ranks the pool for each query by cosine; of equal scores the earlier in the
 * pool comes first. self (may be NULL): for each query its own place in the
 * pool, left out of its ranking. threads: 1..256. AKIN_NOMEM. */
akin_status akin_retrieval_measure(const akin_retrieval_set *queries,
                                   const akin_retrieval_set *pool, uint32_t dim,
                                   const uint32_t *self, uint32_t threads,
                                   akin_retrieval *out,
                                   akin_error *err) AKIN_MUST_CHECK;

typedef struct {
    size_t queries;
    uint32_t classes;
    double accuracy, accuracy5; /* its class is the first, among the first 5 */
    double balanced;            /* mean of the accuracies of the classes */
    double majority;            /* share of the largest class */
} akin_classification;

/* Each picture gets the class whose vector, (classes, dim), is nearest; its
 * group is the right one. AKIN_NOMEM. */
akin_status akin_retrieval_classify(const akin_retrieval_set *pictures,
                                    const float *vectors, uint32_t classes,
                                    uint32_t dim, akin_classification *out,
                                    akin_error *err) AKIN_MUST_CHECK;

#endif
