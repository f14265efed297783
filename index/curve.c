/* Recall curves: what recall@k the generation reaches at which nprobe and
 * candidates, against an exact scan, for k from 10 to the largest that may be
 * asked for; and the cheapest settings for a recall.
 *
 * The exact scan is one for all k: the first queries, by which a large k is
 * measured, keep more of what they find.
 *
 * One pass through so many lists says what any number of candidates reaches:
 * they come in the order of their codes' scores, and the exact cosines are
 * computed in that order. The lists are gone through anew for each nprobe.
 *
 * A hit counts when its cosine reaches that of the last true neighbour, so
 * that duplicates, of which picture collections are full, do not count as
 * misses. Points are ordered by modelled cost, not by the measured time: the
 * same vectors then always give the same plan. */
#include "internal.h"

#include <math.h>
#include <string.h>
#include <time.h>

#define STEPS       6 /* numbers of candidates, each twice the one before */
#define GOOD_ENOUGH 0.9995f
#define WIDE_ENOUGH 0.997f

const uint32_t akin__level_k[AKIN__LEVELS] = {
    AKIN__CURVE_K, 30, 100, 300, 1000, AKIN_INDEX_MAX_K};

/* Queries that measure a level. The larger k, the more neighbours each has to
 * count, and the longer each takes. */
static size_t level_queries(unsigned level, size_t nq)
{
    static const size_t most[AKIN__LEVELS] = {SIZE_MAX, 128, 128, 64, 32, 16};
    return nq < most[level] ? nq : most[level];
}

bool akin__curve_pick(const akin_curve *curve, float recall, akin__plan *plan)
{
    const akin_curve_point *point = NULL;
    for (uint32_t i = 0; i < curve->n_points; i++) {
        const akin_curve_point *p = &curve->points[i];
        if (p->recall >= recall) point = p;
        /* five times in six the true recall is at least that */
        if (p->recall - p->error / 2 >= recall) break;
    }
    if (curve->n_points && !point) return false;
    plan->nprobe = point ? point->nprobe : 16;
    plan->candidates = point ? point->candidates : 20 * AKIN__CURVE_K;
    plan->recall = point ? point->recall : NAN;
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
    size_t *at;      /* (nq + 1): where each query's true neighbours lie */
    akin_hit *truth; /* at[q + 1] - at[q] of a query */
    uint32_t *found; /* (nq) of them there are */
    akin_pool *pool;
    uint32_t first;            /* nprobe to begin with */
    uint32_t nprobe, fewest;   /* of the pass at hand; candidates of a step: */
    uint32_t steps;            /* fewest << step */
    double *recalls, *seconds; /* (nq, STEPS) */
    atomic_bool failed;
    akin_error why;
} measure;

/* Neighbours of query q that are kept, its own label not counted. */
static uint32_t room_of(const measure *m, size_t q)
{
    return (uint32_t)(m->at[q + 1] - m->at[q] - 1);
}

/* Takes a query's own label out of its sorted hits, and what is beyond k. */
static uint32_t without_self(const measure *m, size_t q, akin_hit *hits,
                             uint32_t n, uint32_t k)
{
    for (uint32_t i = 0; m->self && i < n; i++)
        if (hits[i].label == m->self[q]) {
            memmove(hits + i, hits + i + 1, (n - i - 1) * sizeof *hits);
            return n - 1;
        }
    return n < k ? n : k;
}

/* The truth of AKIN__SCAN_QUERIES queries. */
static void truth_part(void *arg, size_t part)
{
    measure *m = arg;
    akin__top tops[AKIN__SCAN_QUERIES];
    size_t first = part * AKIN__SCAN_QUERIES;
    akin__scan scan = {.tops = tops, .dim = m->dim};
    akin_error err;
    for (size_t q = first; q < m->nq && scan.nq < AKIN__SCAN_QUERIES; q++) {
        const float *query = m->queries + q * m->dim;
        scan.queries[scan.nq] = query;
        scan.inverse[scan.nq] = akin__query_inverse(query, m->dim);
        tops[scan.nq++] = (akin__top){.hits = m->truth + m->at[q],
                                      .k = room_of(m, q) + 1,
                                      .min_cosine = -1};
    }
    if (akin__scan_generation(&scan, m->view, m->selector, &err) &&
        !atomic_exchange(&m->failed, true))
        m->why = err;
    for (size_t i = 0; i < scan.nq; i++) {
        akin__top_sort(&tops[i]);
        m->found[first + i] = without_self(m, first + i, tops[i].hits,
                                           tops[i].n, room_of(m, first + i));
    }
}

/* Room for what each query's largest level asks for. */
static akin_status make_room(measure *m, unsigned levels, akin_error *err)
{
    m->at = akin_calloc(m->nq + 1, sizeof *m->at);
    if (m->at)
        for (size_t q = 0; q < m->nq; q++) {
            unsigned level = levels - 1;
            while (level && q >= level_queries(level, m->nq))
                level--;
            m->at[q + 1] = m->at[q] + akin__level_k[level] + 1;
        }
    if (m->at) m->truth = akin_calloc(m->at[m->nq], sizeof *m->truth);
    m->found = akin_calloc(m->nq, sizeof *m->found);
    m->recalls = akin_calloc(m->nq * STEPS, sizeof *m->recalls);
    m->seconds = akin_calloc(m->nq * STEPS, sizeof *m->seconds);
    if (m->truth && m->found && m->recalls && m->seconds) return AKIN_OK;
    return akin_fail(err, AKIN_NOMEM, "out of memory for %zu queries", m->nq);
}

/* Of this thread: a busy machine then disturbs the measurement least. */
static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The cosine of a query with each of up to AKIN__SCAN_ROWS candidates, as a
 * scan computes it. */
static void cosines_of(const measure *m, const float *query,
                       const akin_hit *candidates, size_t n, float *out)
{
    const akin__gen *gen = m->view->gen;
    const uint16_t *rows[AKIN__SCAN_ROWS];
    float inverse = akin__query_inverse(query, m->dim);
    for (size_t i = 0; i < n; i++) {
        rows[i] = gen->vectors + candidates[i].label * m->dim;
        akin__prefetch_row(rows[i], m->dim);
    }
    akin__dots(&query, 1, rows, n, m->dim, out);
    for (size_t i = 0; i < n; i++)
        out[i] = out[i] * gen->norms[candidates[i].label] * inverse;
}

/* The share of query q's true neighbours among its first candidates, for each
 * number of them; seconds: what came before. */
static void count_right(measure *m, size_t q, const akin__top *best,
                        double seconds)
{
    const float *query = m->queries + q * m->dim;
    const uint64_t *labels = m->view->gen->labels;
    uint32_t want = m->found[q] < m->k ? m->found[q] : m->k, right = 0, at = 0;
    float last = want ? m->truth[m->at[q] + want - 1].cosine : 0;
    float cosines[AKIN__SCAN_ROWS];
    double start = cpu_seconds();
    for (uint32_t step = 0; step < m->steps; step++) {
        uint32_t end = m->fewest << step;
        if (end > best->n) end = best->n;
        while (at < end) {
            uint32_t n = end - at;
            if (n > AKIN__SCAN_ROWS) n = AKIN__SCAN_ROWS;
            cosines_of(m, query, best->hits + at, n, cosines);
            for (uint32_t i = 0; i < n; i++, at++)
                right +=
                    cosines[i] >= last &&
                    !(m->self && labels[best->hits[at].label] == m->self[q]);
        }
        m->recalls[q * STEPS + step] =
            want ? fmin(right, want) / (double)want : 1;
        m->seconds[q * STEPS + step] = seconds + (cpu_seconds() - start);
    }
}

/* One query through the lists. */
static void pass_of_one(void *arg, size_t q)
{
    measure *m = arg;
    const akin__view *view = m->view;
    const akin__gen *gen = view->gen;
    const akin__filter filter = {view->dead ? view->dead->words : NULL,
                                 m->selector, gen->labels};
    uint32_t most = m->fewest << (m->steps - 1);
    float *padded = akin_calloc(gen->head.ivf_dim, sizeof *padded);
    const float *query = padded;
    akin_hit *rows = akin_alloc(most * sizeof *rows);
    akin__top best = {.hits = rows, .k = most, .min_cosine = -INFINITY};
    double start = cpu_seconds();
    akin_status rc;
    akin_error err;
    if (padded && rows) {
        memcpy(padded, m->queries + q * m->dim, m->dim * sizeof *padded);
        rc = akin__ivf_search(gen->ivf, &query, 1, m->nprobe, 0, &filter, &best,
                              &err);
    } else {
        rc = akin_fail(&err, AKIN_NOMEM, "out of memory for %u candidates",
                       most);
    }
    if (!rc) {
        double seconds = cpu_seconds() - start;
        akin__top_sort(&best);
        count_right(m, q, &best, seconds);
    } else if (!atomic_exchange(&m->failed, true)) {
        m->why = err;
    }
    akin_free(padded);
    akin_free(rows);
}

/* The point of a step of the pass. */
static akin_curve_point point_at(const measure *m, uint32_t step)
{
    akin_curve_point point = {.nprobe = m->nprobe,
                              .candidates = m->fewest << step};
    double sum = 0, squares = 0, seconds = 1e-9, n = (double)m->nq, spread;
    for (size_t q = 0; q < m->nq; q++) {
        double recall = m->recalls[q * STEPS + step];
        sum += recall;
        squares += recall * recall;
        seconds += m->seconds[q * STEPS + step];
    }
    point.qps = (float)(n / seconds);
    spread = 1.96 * sqrt(fmax(0, squares / n - sum / n * sum / n) / n);
    point.recall = (float)(sum / n);
    /* where no query missed any: the rule of three */
    point.error = (float)fmax(spread, 3 / (n * m->k));
    return point;
}

/* Whether twice the candidates gain what they cost. */
static bool gains(float before, float after)
{
    return after >= before + (before < 0.8f ? 0.05f : 0.001f);
}

/* All queries through m->nprobe lists, with more candidates while that helps
 * and is not enough. */
static akin_status measure_pass(measure *m, float enough, akin_error *err)
{
    for (;; m->steps++) {
        float last;
        akin_pool_each(m->pool, m->nq, pass_of_one, m);
        if (m->failed)
            return akin_fail(err, m->why.status, "%s", m->why.message);
        last = point_at(m, m->steps - 1).recall;
        if (m->steps == STEPS || last > enough ||
            !gains(point_at(m, m->steps - 2).recall, last))
            return AKIN_OK;
    }
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
    /* where the lists hold too few for k, a search falls back to a scan */
    while (m->first < m->view->gen->head.nlist &&
           rows * m->first < 4. * k * m->view->gen->head.nlist)
        m->first *= 2;
}

/* The fewest candidates that may do for k. */
static uint32_t fewest_for(uint32_t k)
{
    return k > AKIN__CURVE_K ? 2 * k : 5 * k;
}

static double scan_cost(const measure *m)
{
    const akin__head *head = &m->view->gen->head;
    return akin__exact_cost(m->share * (double)head->rows, head->dim);
}

/* Lists times 2 and candidates times 2 from few to many, as far as either
 * still helps and the whole is cheaper than an exact scan. */
static akin_status measure_grid(measure *m, float enough, akin_curve *curve,
                                akin_build_progress *progress, void *user,
                                akin_error *err)
{
    const akin__head *head = &m->view->gen->head;
    float best = 0, before = 0, earlier;
    m->fewest = fewest_for(m->k);
    m->steps = 3;
    for (m->nprobe = m->first; m->nprobe <= head->nlist; m->nprobe *= 2) {
        float here = 0;
        akin_status rc = measure_pass(m, enough, err);
        if (rc) return rc;
        for (uint32_t step = 0; step < m->steps; step++) {
            akin_curve_point point = point_at(m, step);
            if (step && !gains(here, point.recall)) break;
            if (curve->n_points == AKIN_CURVE_POINTS) goto full;
            curve->points[curve->n_points++] = point;
            here = point.recall;
        }
        if (progress &&
            !progress(user, "measure", curve->n_points, AKIN_CURVE_POINTS))
            return akin_fail(err, AKIN_CANCELLED, "measuring was cancelled");
        earlier = before;
        before = best;
        if (here > best) best = here;
        /* four times the lists gained nothing */
        if (best > enough ||
            (m->nprobe >= 16 && earlier > 0.9f && best < earlier + 0.0005f))
            break;
        if (cost_of(m, &(akin_curve_point){.nprobe = 2 * m->nprobe,
                                           .candidates = 2 * m->fewest}) >
            scan_cost(m))
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

/* All levels of k, from what the levels below need. */
static akin_status measure_levels(measure *m, akin_curve *out, unsigned levels,
                                  akin_build_progress *progress, void *user,
                                  akin_error *err)
{
    size_t nq = m->nq;
    akin_status rc = AKIN_OK;
    for (unsigned i = 0; i < levels && !rc; i++) {
        akin_curve_point cheapest;
        if (i) skip_poor(m, &out[i - 1]);
        narrow(m, akin__level_k[i], level_queries(i, nq));
        out[i].n_queries = (uint32_t)m->nq;
        cheapest = (akin_curve_point){.nprobe = m->first,
                                      .candidates = fewest_for(m->k)};
        if (i && cost_of(m, &cheapest) > scan_cost(m)) continue;
        rc = measure_grid(m, i ? WIDE_ENOUGH : GOOD_ENOUGH, &out[i], progress,
                          user, err);
    }
    return rc;
}

akin_status akin__curve_measure(const akin__view *view, const float *queries,
                                const uint64_t *self, size_t nq,
                                const akin_selector *selector, akin_pool *pool,
                                akin_build_progress *progress, void *user,
                                akin_curve *out, unsigned levels,
                                akin_error *err)
{
    measure m = {.view = view, .queries = queries, .self = self, .nq = nq};
    akin_status rc;
    memset(out, 0, levels * sizeof *out);
    m.dim = view->gen->head.dim;
    m.pool = pool;
    m.selector = selector;
    m.share =
        selector ? (double)selector->count / (double)view->gen->head.rows : 1;
    m.first = 1;
    if (!nq || !view->gen->head.rows) return AKIN_OK;
    rc = make_room(&m, levels, err);
    if (!rc) {
        akin_pool_each(pool, (nq + AKIN__SCAN_QUERIES - 1) / AKIN__SCAN_QUERIES,
                       truth_part, &m);
        rc = m.failed ? akin_fail(err, m.why.status, "%s", m.why.message)
                      : measure_levels(&m, out, levels, progress, user, err);
    }
    akin_free(m.at);
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
                                 void *user, akin_curve *out, unsigned levels,
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
                             user, out, levels, err);
done:
    akin_selector_clear(&selector);
    akin_free(labels);
    akin_free(vectors);
    akin_free(queries);
    return rc;
}

/* ---- public ---------------------------------------------------------------------- */

/* Puts a kind's curves in place of those in use, unless a build has swapped. */
static akin_status use_curve(akin_index *index, const akin__view *view,
                             akin_query_kind kind, const akin_curve *curves,
                             akin_error *err)
{
    akin__curves *fresh = akin_calloc(1, sizeof *fresh), *old = NULL;
    if (!fresh) return akin_fail(err, AKIN_NOMEM, "out of memory");
    atomic_init(&fresh->refs, 1);
    pthread_mutex_lock(&index->write_lock);
    pthread_mutex_lock(&index->view_lock);
    if (index->view.gen == view->gen) {
        old = index->view.curves;
        fresh->set = old->set;
        memcpy(fresh->set.level[kind], curves, sizeof fresh->set.level[kind]);
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
    akin_curve curves[AKIN__LEVELS];
    akin_status rc = akin__build_pool(index, &pool, err);
    if (rc) goto done;
    if (!view.gen || !view.gen->ivf)
        rc = akin_fail(err, AKIN_UNTRAINED, "this space is searched exactly");
    else
        rc = akin__gen_check_all(view.gen, err);
    if (rc) goto done;
    if (queries)
        rc = akin__curve_measure(&view, queries, NULL, n_queries, NULL, pool,
                                 progress, user, curves, AKIN__LEVELS, err);
    else
        rc = akin__curve_of_items(&view, seed, sample, 1, pool, progress, user,
                                  curves, AKIN__LEVELS, err);
    if (!rc) rc = use_curve(index, &view, kind, curves, err);
    if (!rc) *out = curves[0];
done:
    akin_pool_close(pool);
    akin__view_drop(&view);
    return rc;
}
