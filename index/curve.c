/* Recall curves: what recall@10 (and @30, @100) the generation reaches at which
 * nprobe and candidates, against an exact scan; and the cheapest settings for a
 * recall.
 *
 * A hit counts when its cosine reaches that of the last true neighbour, so
 * that duplicates, of which picture collections are full, do not count as
 * misses. Points are ordered by modelled cost, not by the measured time: the
 * same vectors then always give the same plan. */
#include "internal.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define WIDE_QUERIES 128 /* each has more neighbours to count */
#define GOOD_ENOUGH  0.9995f
#define WIDE_ENOUGH  0.997f

const uint32_t akin__wide_k[AKIN__WIDES] = {30, AKIN__MOST_K};

bool akin__curve_pick(const akin_curve *curve, float recall, akin__plan *plan)
{
    const akin_curve_point *point = NULL;
    plan->nprobe = 16;
    plan->candidates = 20 * AKIN__CURVE_K;
    plan->recall = NAN;
    for (uint32_t i = 0; i < curve->n_points; i++) {
        const akin_curve_point *p = &curve->points[i];
        if (p->recall >= recall) point = p;
        /* five times in six the true recall is at least that */
        if (p->recall - p->error / 2 >= recall) break;
    }
    if (curve->n_points && !point) return false;
    if (point) {
        plan->nprobe = point->nprobe;
        plan->candidates = point->candidates;
        plan->recall = point->recall;
    }
    return true;
}

/* ---- measuring -------------------------------------------------------------- */

typedef struct {
    const akin__view *view;
    const float *queries; /* (nq, dim) */
    const uint64_t *self; /* (nq) left out of the answers; NULL: none */
    const akin_selector *selector; /* NULL: all rows */
    double share;                  /* of the rows that it leaves */
    size_t nq, dim;
    uint32_t k;      /* neighbours that count */
    uint32_t most;   /* of all curves measured here */
    akin_hit *truth; /* (nq, most + 1) */
    uint32_t *found; /* (nq) */
    akin_pool *pool;
    size_t parts;   /* of AKIN__SCAN_QUERIES queries */
    uint32_t first; /* nprobe to begin with */
    akin__plan plan;
    double *recalls, *seconds; /* (nq), (parts): of the point at hand */
    atomic_bool failed;
    akin_error why;
} measure;

/* Takes a query's own label out of its sorted hits. */
static uint32_t without_self(const measure *m, size_t q, akin_hit *hits,
                             uint32_t n)
{
    for (uint32_t i = 0; m->self && i < n; i++)
        if (hits[i].label == m->self[q]) {
            memmove(hits + i, hits + i + 1, (n - i - 1) * sizeof *hits);
            return n - 1;
        }
    return n < m->k ? n : m->k;
}

/* A scan for the queries from first on. hits: room for k + 1 a query. */
static void scan_init(const measure *m, size_t first, akin_hit *hits,
                      akin__top *tops, akin__scan *scan)
{
    *scan = (akin__scan){.tops = tops, .dim = m->dim};
    for (size_t q = first; q < m->nq && scan->nq < AKIN__SCAN_QUERIES; q++) {
        const float *query = m->queries + q * m->dim;
        scan->queries[scan->nq] = query;
        scan->inverse[scan->nq] = akin__query_inverse(query, m->dim);
        tops[scan->nq] = (akin__top){.hits = hits + scan->nq * (m->k + 1),
                                     .k = m->k + 1,
                                     .min_cosine = -1};
        scan->nq++;
    }
}

/* The truth of AKIN__SCAN_QUERIES queries; k is `most`. */
static void truth_part(void *arg, size_t part)
{
    measure *m = arg;
    akin__top tops[AKIN__SCAN_QUERIES];
    size_t first = part * AKIN__SCAN_QUERIES;
    akin__scan scan;
    scan_init(m, first, m->truth + first * (m->k + 1), tops, &scan);
    akin_error err;
    if (akin__scan_generation(&scan, m->view, m->selector, &err) &&
        !atomic_exchange(&m->failed, true))
        m->why = err;
    for (size_t i = 0; i < scan.nq; i++) {
        akin__top_sort(&tops[i]);
        m->found[first + i] =
            without_self(m, first + i, tops[i].hits, tops[i].n);
    }
}

static akin_status find_truth(measure *m, akin_error *err)
{
    m->parts = (m->nq + AKIN__SCAN_QUERIES - 1) / AKIN__SCAN_QUERIES;
    m->k = m->most;
    m->truth = akin_calloc(m->nq * (m->most + 1), sizeof *m->truth);
    m->found = akin_calloc(m->nq, sizeof *m->found);
    m->recalls = akin_calloc(m->nq, sizeof *m->recalls);
    m->seconds = akin_calloc(m->parts, sizeof *m->seconds);
    if (!m->truth || !m->found || !m->recalls || !m->seconds)
        return akin_fail(err, AKIN_NOMEM, "out of memory for %zu queries",
                         m->nq);
    akin_pool_each(m->pool, m->parts, truth_part, m);
    if (m->failed) return akin_fail(err, m->why.status, "%s", m->why.message);
    return AKIN_OK;
}

/* Of this thread: a busy machine then disturbs the measurement least. */
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The share of query q's true neighbours among its hits. */
static double recall_of(const measure *m, size_t q, akin__top *top)
{
    const akin_hit *truth = m->truth + q * (m->most + 1);
    uint32_t right = 0, found, want = m->found[q];
    if (want > m->k) want = m->k;
    akin__top_sort(top);
    found = without_self(m, q, top->hits, top->n);
    for (uint32_t i = 0; i < found && right < want; i++)
        right += top->hits[i].cosine >= truth[want - 1].cosine;
    return want ? (double)right / want : 1;
}

/* AKIN__SCAN_QUERIES queries at the point that m->plan is. */
static void point_part(void *arg, size_t part)
{
    measure *m = arg;
    akin_hit hits[AKIN__SCAN_QUERIES * (AKIN__MOST_K + 1)];
    akin__top tops[AKIN__SCAN_QUERIES];
    size_t first = part * AKIN__SCAN_QUERIES;
    double start = cpu_seconds();
    akin_error err;
    akin__scan scan;
    bool exact;
    scan_init(m, first, hits, tops, &scan);
    if (akin__search_ivf(m->view, &m->plan, m->selector, &scan, 1, &exact,
                         &err)) {
        if (!atomic_exchange(&m->failed, true)) m->why = err;
        return;
    }
    m->seconds[part] = cpu_seconds() - start;
    for (size_t i = 0; i < scan.nq; i++)
        m->recalls[first + i] = recall_of(m, first + i, &tops[i]);
}

/* Runs all queries at one point, which has its nprobe and candidates. */
static akin_status measure_point(measure *m, akin_curve_point *point,
                                 akin_error *err)
{
    double sum = 0, squares = 0, seconds = 1e-9, n = (double)m->nq, spread;
    m->plan =
        (akin__plan){.nprobe = point->nprobe, .candidates = point->candidates};
    akin_pool_each(m->pool, m->parts, point_part, m);
    if (m->failed) return akin_fail(err, m->why.status, "%s", m->why.message);
    for (size_t part = 0; part < m->parts; part++)
        seconds += m->seconds[part];
    for (size_t q = 0; q < m->nq; q++) {
        sum += m->recalls[q];
        squares += m->recalls[q] * m->recalls[q];
    }
    point->qps = (float)(n / seconds);
    spread = 1.96 * sqrt(fmax(0, squares / n - sum / n * sum / n) / n);
    point->recall = (float)(sum / n);
    /* where no query missed any: the rule of three */
    point->error = (float)fmax(spread, 3 / (n * m->k));
    return AKIN_OK;
}

static double cost_of(const measure *m, const akin_curve_point *p)
{
    return akin__ivf_cost(&m->view->gen->head, p->nprobe, p->candidates,
                          m->share, m->selector);
}

/* Keeps the points that no cheaper one beats, cheapest first. */
static void keep_best(const measure *m, akin_curve *curve)
{
    akin_curve_point *p = curve->points;
    uint32_t kept = 0;
    float best = -1;
    for (uint32_t i = 1; i < curve->n_points; i++) {
        akin_curve_point x = p[i];
        uint32_t j = i;
        for (; j > 0 && cost_of(m, &p[j - 1]) > cost_of(m, &x); j--)
            p[j] = p[j - 1];
        p[j] = x;
    }
    for (uint32_t i = 0; i < curve->n_points; i++)
        if (p[i].recall > best) {
            best = p[i].recall;
            p[kept++] = p[i];
        }
    curve->n_points = kept;
}

/* The first k neighbours of the first nq queries count from here on. */
static void narrow(measure *m, uint32_t k, size_t nq)
{
    double rows = m->share * (double)m->view->gen->head.rows;
    m->k = k;
    m->nq = nq;
    m->parts = (nq + AKIN__SCAN_QUERIES - 1) / AKIN__SCAN_QUERIES;
    /* where the lists hold too few for k, a search falls back to a scan */
    while (m->first < m->view->gen->head.nlist &&
           rows * m->first < 4. * k * m->view->gen->head.nlist)
        m->first *= 2;
}

/* Lists times 2 and candidates times 2 from few to many, as far as either
 * still helps and the whole is cheaper than an exact scan. */
static akin_status measure_grid(measure *m, float enough, akin_curve *curve,
                                akin_build_progress *progress, void *user,
                                akin_error *err)
{
    const akin__head *head = &m->view->gen->head;
    double exact = akin__exact_cost(m->share * (double)head->rows, head->dim);
    uint32_t fewest = m->k > AKIN__CURVE_K ? 2 * m->k : 5 * m->k;
    float best = 0;
    curve->n_queries = (uint32_t)m->nq;
    for (uint32_t nprobe = m->first; nprobe <= head->nlist; nprobe *= 2) {
        float before = best, here = 0;
        for (uint32_t candidates = fewest; candidates <= 32 * fewest;
             candidates *= 2) {
            akin_curve_point point = {.nprobe = nprobe,
                                      .candidates = candidates};
            if (curve->n_points == AKIN_CURVE_POINTS) goto full;
            akin_status rc = measure_point(m, &point, err);
            if (rc) return rc;
            curve->points[curve->n_points++] = point;
            if (progress &&
                !progress(user, "measure", curve->n_points, AKIN_CURVE_POINTS))
                return akin_fail(err, AKIN_CANCELLED,
                                 "measuring was cancelled");
            if (point.recall < here + (here < 0.8f ? 0.05f : 0.001f)) break;
            here = point.recall;
        }
        if (here > best) best = here;
        if (best > enough ||
            (nprobe >= 16 && before > 0.9f && best < before + 0.0005f))
            break;
        if (cost_of(m, &(akin_curve_point){.nprobe = 2 * nprobe,
                                           .candidates = 2 * fewest}) > exact)
            break;
    }
full:
    keep_best(m, curve);
    return AKIN_OK;
}

/* A larger k needs at least the lists that a smaller one does. */
static void skip_poor(measure *m, const akin_curve *smaller)
{
    for (uint32_t i = 0; i < smaller->n_points; i++) {
        if (smaller->points[i].nprobe > m->first)
            m->first = smaller->points[i].nprobe;
        if (smaller->points[i].recall > 0.8f) return;
    }
}

akin_status akin__curve_measure(const akin__view *view, const float *queries,
                                const uint64_t *self, size_t nq,
                                const akin_selector *selector, akin_pool *pool,
                                akin_build_progress *progress, void *user,
                                akin_curve *out, akin_curve *wide,
                                akin_error *err)
{
    measure m = {.view = view, .queries = queries, .self = self, .nq = nq};
    akin_status rc;
    memset(out, 0, sizeof *out);
    if (wide) memset(wide, 0, AKIN__WIDES * sizeof *wide);
    m.dim = view->gen->head.dim;
    m.pool = pool;
    m.selector = selector;
    m.share =
        selector ? (double)selector->count / (double)view->gen->head.rows : 1;
    m.most = wide ? AKIN__MOST_K : AKIN__CURVE_K;
    m.first = 1;
    if (!nq || !view->gen->head.rows) return AKIN_OK;
    rc = find_truth(&m, err);
    narrow(&m, AKIN__CURVE_K, nq);
    if (!rc) rc = measure_grid(&m, GOOD_ENOUGH, out, progress, user, err);
    for (int i = 0; !rc && wide && i < AKIN__WIDES; i++) {
        skip_poor(&m, i ? &wide[i - 1] : out);
        narrow(&m, akin__wide_k[i], nq < WIDE_QUERIES ? nq : WIDE_QUERIES);
        rc = measure_grid(&m, WIDE_ENOUGH, &wide[i], progress, user, err);
    }
    akin_free(m.truth);
    akin_free(m.found);
    akin_free(m.recalls);
    akin_free(m.seconds);
    return rc;
}

/* One label in `filter`, at random. */
static akin_status random_filter(const akin__gen *gen, unsigned filter,
                                 akin_selector *selector, akin_error *err)
{
    akin_status rc =
        akin_selector_init(selector, gen->labels[gen->head.rows - 1], err);
    for (uint64_t row = 0; !rc && row < gen->head.rows; row++) {
        uint64_t state = gen->labels[row];
        if (akin__random(&state) % filter == 0)
            rc = akin_selector_set(selector, gen->labels[row], err);
    }
    return rc;
}

akin_status akin__curve_of_items(const akin__view *view, uint64_t seed,
                                 size_t sample, unsigned filter,
                                 akin_pool *pool, akin_build_progress *progress,
                                 void *user, akin_curve *out, akin_curve *wide,
                                 akin_error *err)
{
    size_t n = sample ? sample : 256, dim = view->gen->head.dim;
    uint64_t *labels = akin_calloc(n, sizeof *labels);
    const uint16_t **vectors = akin_calloc(n, sizeof *vectors);
    float *queries = akin_calloc(n * dim, sizeof *queries);
    akin_selector selector = {0};
    akin_status rc = AKIN_OK;
    if (!labels || !vectors || !queries)
        rc = akin_fail(err, AKIN_NOMEM, "out of memory for %zu queries", n);
    else if (filter > 1)
        rc = random_filter(view->gen, filter, &selector, err);
    if (rc) goto done;
    n = akin__sample(view, seed, n, labels, vectors);
    for (size_t i = 0; i < n; i++)
        akin_float_from_half(queries + i * dim, vectors[i], dim);
    rc = akin__curve_measure(view, queries, labels, n,
                             filter > 1 ? &selector : NULL, pool, progress,
                             user, out, wide, err);
done:
    akin_selector_clear(&selector);
    akin_free(labels);
    akin_free(vectors);
    akin_free(queries);
    return rc;
}

/* ---- public ---------------------------------------------------------------------- */

/* Puts a curve in place of the one in use, unless a build has swapped. */
static akin_status use_curve(akin_index *index, const akin__view *view,
                             akin_query_kind kind, const akin_curve *curve,
                             const akin_curve *wide, akin_error *err)
{
    akin__curves *fresh = akin_calloc(1, sizeof *fresh), *old = NULL;
    if (!fresh) return akin_fail(err, AKIN_NOMEM, "out of memory");
    atomic_init(&fresh->refs, 1);
    pthread_mutex_lock(&index->write_lock);
    pthread_mutex_lock(&index->view_lock);
    if (index->view.gen == view->gen) {
        old = index->view.curves;
        memcpy(fresh->by, old->by, sizeof fresh->by);
        fresh->by[kind] = *curve;
        memcpy(&fresh->by[AKIN__WIDE + AKIN__WIDES * kind], wide,
               AKIN__WIDES * sizeof *wide);
        index->view.curves = fresh;
        fresh = NULL;
    }
    pthread_mutex_unlock(&index->view_lock);
    pthread_mutex_unlock(&index->write_lock);
    akin__curves_unref(old);
    akin__curves_unref(fresh);
    return AKIN_OK;
}

akin_status akin_index_measure(akin_index *index, akin_query_kind kind,
                               const float *queries, size_t n_queries,
                               size_t sample, uint64_t seed,
                               akin_build_progress *progress, void *user,
                               akin_curve *out, akin_error *err)
{
    akin__view view = akin__view_get(index);
    akin_pool *pool = NULL;
    akin_curve wide[AKIN__WIDES];
    akin_status rc = akin__build_pool(index, &pool, err);
    if (rc) goto done;
    if (!view.gen || !view.gen->ivf)
        rc = akin_fail(err, AKIN_UNTRAINED, "this space is searched exactly");
    else
        rc = akin__gen_check_all(view.gen, err);
    if (rc) goto done;
    if (queries)
        rc = akin__curve_measure(&view, queries, NULL, n_queries, NULL, pool,
                                 progress, user, out, wide, err);
    else
        rc = akin__curve_of_items(&view, seed, sample, 1, pool, progress, user,
                                  out, wide, err);
    if (!rc) rc = use_curve(index, &view, kind, out, wide, err);
done:
    akin_pool_close(pool);
    akin__view_drop(&view);
    return rc;
}
