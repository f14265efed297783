/* Searching a view: exact scans, and IVF-PQ candidates rescored from the stored
 * float16 vectors. plan.c says which. */
#include "internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- exact ------------------------------------------------------------------ */

static void scan_all(akin__scan *scan, const akin__view *view,
                     const akin_selector *selector)
{
    const akin__gen *gen = view->gen;
    for (uint64_t row = 0; row < gen->head.rows; row++) {
        if (!akin__gen_live(view, row)) continue;
        if (selector && !akin_selector_has(selector, gen->labels[row]))
            continue;
        akin__scan_add(scan, gen->labels[row], gen->vectors + row * scan->dim,
                       gen->norms[row]);
    }
}

/* By the selector's bits, where they are few. */
static akin_status scan_selected(akin__scan *scan, const akin__view *view,
                                 const akin_selector *selector, akin_error *err)
{
    akin__gen *gen = view->gen;
    uint64_t from = 0;
    for (size_t w = 0; w < selector->n_words; w++)
        for (uint64_t bits = selector->words[w]; bits; bits &= bits - 1) {
            uint64_t label = w * 64 + (unsigned)__builtin_ctzll(bits);
            int64_t found = akin__gen_find(gen, label, from);
            if (found < 0) continue;
            uint64_t row = (uint64_t)found;
            from = row + 1;
            if (!akin__gen_live(view, row)) continue;
            akin_status rc = akin__gen_check(gen, row, err);
            if (rc) return rc;
            akin__prefetch_row(gen->vectors + row * scan->dim, scan->dim);
            akin__scan_add(scan, label, gen->vectors + row * scan->dim,
                           gen->norms[row]);
            if (from >= gen->head.rows) return AKIN_OK;
        }
    return AKIN_OK;
}

akin_status akin__scan_generation(akin__scan *scan, const akin__view *view,
                                  const akin_selector *selector,
                                  akin_error *err)
{
    akin_status rc;
    if (!view->gen || !view->gen->head.rows) return AKIN_OK;
    if (selector && selector->count < view->gen->head.rows / 16) {
        rc = scan_selected(scan, view, selector, err);
    } else {
        rc = akin__gen_check_all(view->gen, err);
        if (!rc) scan_all(scan, view, selector);
    }
    akin__scan_flush(scan);
    return rc;
}

void akin__scan_delta(akin__scan *scan, const akin__view *view,
                      const akin_selector *selector)
{
    const akin__delta *delta = view->delta;
    for (size_t row = 0; row < view->delta_rows; row++) {
        uint64_t label = akin__delta_label(delta, row);
        if (!akin__delta_visible(view, row)) continue;
        if (selector && !akin_selector_has(selector, label)) continue;
        akin__scan_add(scan, label, akin__delta_vector(delta, row),
                       akin__delta_norm(delta, row));
    }
    akin__scan_flush(scan);
}

/* ---- IVF-PQ ------------------------------------------------------------------- */

/* Scratch of some queries that are searched together. */
typedef struct {
    float *queries; /* (together, ivf dim), padded with zeros */
    akin_hit *rows; /* (together, candidates) */
} scratch;

static akin_status scratch_init(scratch *s, const akin__gen *gen,
                                size_t together, uint32_t candidates,
                                akin_error *err)
{
    s->queries = akin_calloc(together * gen->head.ivf_dim, sizeof *s->queries);
    s->rows = akin_calloc(together * candidates, sizeof *s->rows);
    if (s->queries && s->rows) return AKIN_OK;
    return akin_fail(err, AKIN_NOMEM, "out of memory for %u candidates",
                     candidates);
}

static void scratch_clear(scratch *s)
{
    akin_free(s->queries);
    akin_free(s->rows);
}

/* Rescores one query's candidates into its heap. *enough: as many rows came as
 * were asked for, or all; else more may pass the selector. */
static akin_status rescore(const akin__view *view, const akin__top *best,
                           akin__scan *one, bool *enough, akin_error *err)
{
    akin__gen *gen = view->gen;
    uint64_t live = gen->head.rows - (view->dead ? view->dead->count : 0);
    for (uint32_t i = 0; i < best->n; i++)
        akin__gen_expect(gen, best->hits[i].label);
    for (uint32_t i = 0; i < best->n; i++) {
        uint64_t row = best->hits[i].label;
        akin_status rc = akin__gen_check(gen, row, err);
        if (rc) return rc;
        akin__prefetch_row(gen->vectors + row * one->dim, one->dim);
        akin__scan_add(one, gen->labels[row], gen->vectors + row * one->dim,
                       gen->norms[row]);
    }
    akin__scan_flush(one);
    *enough = one->seen >= one->tops->k || one->seen >= live;
    return AKIN_OK;
}

/* The queries of a scan from `first` on, n of them, through the lists. */
static akin_status search_lists(const akin__view *view, const akin__plan *plan,
                                const akin_selector *selector,
                                const akin__scan *all, size_t first, size_t n,
                                scratch *s, bool *exact, akin_error *err)
{
    const akin__gen *gen = view->gen;
    const float *queries[AKIN__SCAN_QUERIES] = {0};
    akin__top best[AKIN__SCAN_QUERIES];
    akin__filter filter = {view->dead ? view->dead->words : NULL, selector,
                           gen->labels};
    akin_status rc;
    for (size_t i = 0; i < n; i++) {
        float *query = s->queries + i * gen->head.ivf_dim;
        memcpy(query, all->queries[first + i], all->dim * sizeof *query);
        queries[i] = query;
        best[i] = (akin__top){.hits = s->rows + i * plan->candidates,
                              .k = plan->candidates,
                              .min_cosine = -INFINITY};
    }
    rc = akin__ivf_search(gen->ivf, queries, n, plan->nprobe, plan->least,
                          &filter, best, err);
    for (size_t i = 0; i < n && !rc; i++) {
        akin__scan one = {.tops = &all->tops[first + i],
                          .nq = 1,
                          .dim = all->dim,
                          .queries = {all->queries[first + i]},
                          .inverse = {all->inverse[first + i]}};
        bool enough = false;
        rc = rescore(view, &best[i], &one, &enough, err);
        if (rc) break;
        if (enough) {
            *exact = false;
        } else {
            one.tops->n = 0;
            rc = akin__scan_generation(&one, view, selector, err);
        }
    }
    return rc;
}

akin_status akin__search_ivf(const akin__view *view, const akin__plan *plan,
                             const akin_selector *selector,
                             const akin__scan *all, size_t together,
                             bool *exact, akin_error *err)
{
    scratch s = {0};
    if (together > all->nq) together = all->nq;
    akin_status rc =
        scratch_init(&s, view->gen, together, plan->candidates, err);
    for (size_t q = 0; q < all->nq && !rc; q += together) {
        size_t n = all->nq - q < together ? all->nq - q : together;
        rc = search_lists(view, plan, selector, all, q, n, &s, exact, err);
    }
    scratch_clear(&s);
    return rc;
}

/* ---- search --------------------------------------------------------------------- */

static akin_status check_search(const akin_index *index, const float *queries,
                                size_t n, const akin_search_params *p,
                                akin_error *err)
{
    if (p->k < 1 || p->k > AKIN_INDEX_MAX_K)
        return akin_fail(err, AKIN_INVALID, "expected k from 1 to %u, got %u",
                         AKIN_INDEX_MAX_K, p->k);
    if (!(p->recall >= 0 && p->recall <= 1))
        return akin_fail(err, AKIN_INVALID,
                         "expected a recall from 0 to 1, got %g",
                         (double)p->recall);
    for (size_t i = 0; i < n; i++)
        if (akin__query_inverse(queries + i * index->dim, index->dim) == 0)
            return akin_fail(err, AKIN_INVALID,
                             "query %zu is zero or not finite", i);
    return AKIN_OK;
}

/* Up to AKIN__SCAN_QUERIES queries, so that a scan reads each row once. */
static akin_status search_some(const akin_index *index, const akin__view *view,
                               const float *queries, size_t n,
                               const akin_search_params *params, akin_hit *hits,
                               uint32_t *nhits, bool *exact, akin_error *err)
{
    akin__top tops[AKIN__SCAN_QUERIES];
    akin__scan scan = {.tops = tops, .nq = n, .dim = index->dim};
    akin__plan plan = {.exact = true};
    akin_status rc = AKIN_OK;
    for (size_t q = 0; q < n; q++) {
        scan.queries[q] = queries + q * index->dim;
        scan.inverse[q] = akin__query_inverse(scan.queries[q], index->dim);
        tops[q] = (akin__top){.hits = hits + q * params->k,
                              .k = params->k,
                              .min_cosine = params->min_cosine};
    }
    if (view->gen && view->gen->head.rows) akin__plan_for(view, params, &plan);
    if (plan.exact)
        rc = akin__scan_generation(&scan, view, params->selector, err);
    else
        rc = akin__search_ivf(view, &plan, params->selector, &scan, n, exact,
                              err);
    if (rc) return rc;
    akin__scan_delta(&scan, view, params->selector);
    for (size_t q = 0; q < n; q++) {
        akin__top_sort(&tops[q]);
        nhits[q] = tops[q].n;
    }
    return AKIN_OK;
}

akin_status akin_index_search(const akin_index *index, const float *queries,
                              size_t n, const akin_search_params *params,
                              akin_hit *hits, uint32_t *nhits, bool *exact,
                              akin_error *err)
{
    akin_search_params p = *params;
    akin__view view;
    bool all_exact = true;
    akin_status rc = check_search(index, queries, n, params, err);
    if (rc) return rc;
    if (p.recall == 0) p.recall = index->recall;
    view = akin__view_get(index);
    for (size_t q = 0; q < n && !rc; q += AKIN__SCAN_QUERIES) {
        size_t some = n - q < AKIN__SCAN_QUERIES ? n - q : AKIN__SCAN_QUERIES;
        rc = search_some(index, &view, queries + q * index->dim, some, &p,
                         hits + q * p.k, nhits + q, &all_exact, err);
    }
    akin__view_drop(&view);
    if (exact) *exact = all_exact;
    return rc;
}

uint64_t akin_index_cost_ns(const akin_index *index,
                            const akin_search_params *params)
{
    akin_search_params p = *params;
    akin__view view = akin__view_get(index);
    const akin__gen *gen = view.gen;
    akin__plan plan = {.exact = true};
    double cost = akin__exact_cost((double)view.delta_rows, index->dim);
    bool sound =
        !gen || atomic_load_explicit(&gen->sound, memory_order_acquire);
    if (p.recall == 0) p.recall = index->recall;
    if (gen && gen->head.rows) {
        akin__plan_for(&view, &p, &plan);
        cost += plan.exact
                    ? akin__exact_cost((double)gen->head.rows, index->dim)
                    : akin__ivf_cost(&gen->head, plan.nprobe, plan.candidates,
                                     1, view.dead != NULL);
    }
    akin__view_drop(&view);
    return sound ? (uint64_t)cost : UINT64_MAX;
}

/* ---- sample --------------------------------------------------------------------- */

uint64_t akin__random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15ull; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/* Knuth's algorithm S: one pass, every live row with the same chance. */
size_t akin__sample(const akin__view *view, uint64_t seed, size_t n,
                    uint64_t *labels, const uint16_t **vectors)
{
    uint64_t rows = view->gen ? view->gen->head.rows : 0;
    uint64_t left = akin__view_live(view), dim = view->delta->dim;
    size_t got = 0;
    for (uint64_t i = 0; i < rows + view->delta_rows && got < n; i++) {
        size_t d = (size_t)(i - rows);
        if (i < rows ? !akin__gen_live(view, i) : !akin__delta_visible(view, d))
            continue;
        double u = (double)(akin__random(&seed) >> 11) * 0x1p-53;
        if (u * (double)left-- >= (double)(n - got)) continue;
        labels[got] =
            i < rows ? view->gen->labels[i] : akin__delta_label(view->delta, d);
        if (vectors)
            vectors[got] = i < rows ? view->gen->vectors + i * dim
                                    : akin__delta_vector(view->delta, d);
        got++;
    }
    return got;
}

static int by_label(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

size_t akin_index_sample(const akin_index *index, uint64_t seed, size_t n,
                         uint64_t *out)
{
    akin__view view = akin__view_get(index);
    size_t got = akin__sample(&view, seed, n, out, NULL);
    akin__view_drop(&view);
    qsort(out, got, sizeof *out, by_label);
    return got;
}
