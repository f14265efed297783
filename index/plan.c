/* What a search does: scan, or so many lists and candidates.
 *
 * The recall curves say what an unfiltered search of so many neighbours needs.
 * Under a filter nprobe grows as the survivors thin out, so that as many of them
 * are looked at as without one; past some point a scan of all survivors is
 * cheaper, and exact. Costs below are nanoseconds of one Zen 4 core; only their
 * ratios matter. */
#include "internal.h"

#include <math.h>

/* The share of the generation's rows that a selector leaves. Its count bounds
 * it from above; a look at some rows corrects for labels of other spaces. */
static double selectivity(const akin__view *view, const akin_selector *selector)
{
    const akin__gen *gen = view->gen;
    uint64_t rows = gen->head.rows, looks = rows < 128 ? rows : 128, hits = 0;
    double bound = (double)selector->count / (double)rows, share;
    for (uint64_t i = 0; i < looks; i++) {
        uint64_t row =
            (uint64_t)(((double)i + 0.5) * (double)rows / (double)looks);
        hits += akin_selector_has(selector, gen->labels[row]);
    }
    share = (double)(hits + 1) / (double)(looks + 1);
    return share < bound ? share : bound;
}

double akin__exact_cost(double rows, double dim)
{
    return rows * (15 + 0.2 * dim);
}

double akin__ivf_cost(const akin__head *head, uint32_t nprobe,
                      uint32_t candidates, double share, bool filtered)
{
    double looked = (double)head->rows * nprobe / head->nlist;
    return (double)head->nlist * head->dim * 0.1 + looked * (filtered ? 4 : 0) +
           looked * share * (4 + 0.5 * head->m) +
           candidates * (60 + 0.3 * head->dim);
}

/* Settings for all rows at a level of k; false: none are known at a cost below a
 * scan's. */
static bool pick(const akin__view *view, akin_query_kind kind, float recall,
                 int level, akin__plan *plan)
{
    const akin_curve *item = view->curves->set.level[AKIN_QUERY_ITEM];
    const akin_curve *text = view->curves->set.level[AKIN_QUERY_TEXT];
    const akin_curve *curve = item + level;
    if (kind == AKIN_QUERY_TEXT && text->n_points)
        curve = text + level;
    else if (kind == AKIN_QUERY_TEXT) /* they reach less than items at the same
                                         settings: aim at half the loss */
        recall = (1 + recall) / 2;
    if (level && !curve->n_points) return false;
    return akin__curve_pick(curve, recall, plan);
}

static double between(double near, double far, double t)
{
    return near * pow(far / near, t);
}

/* Settings for all rows and any k up to the last level's, between the levels by
 * the logarithm of k, and nearer to the level above: once the neighbours begin
 * to lie in other clusters the need grows fast, then slower (at 200,000 words
 * reached 0.938 of 0.95 with k = 200 halfway between 100 and 300). Where the
 * level above does not reach the recall below the cost of a scan, or was not
 * measured, all lists and 32 candidates for a neighbour stand for it, which miss
 * next to nothing: what lies between is then more than is needed, and too dear
 * where it is far. */
static bool pick_for(const akin__view *view, akin_query_kind kind, float recall,
                     double k, akin__plan *plan)
{
    int level = 0;
    double near_k, far_k, t;
    akin__plan far = {.nprobe = view->gen->head.nlist};
    while (level + 2 < AKIN__LEVELS && k > akin__level_k[level + 1])
        level++;
    if (!pick(view, kind, recall, level, plan)) return false;
    if (k <= AKIN__CURVE_K) {
        plan->candidates =
            (uint32_t)ceil(plan->candidates * fmax(0.5, k / AKIN__CURVE_K));
        return true;
    }
    near_k = akin__level_k[level];
    far_k = akin__level_k[level + 1];
    far.candidates = 32 * akin__level_k[level + 1];
    far.recall = plan->recall;
    (void)pick(view, kind, recall, level + 1, &far);
    t = log(k / near_k) / log(far_k / near_k);
    t = t * (2 - t);
    if (far.nprobe < plan->nprobe) far.nprobe = plan->nprobe;
    if (far.candidates < plan->candidates) far.candidates = plan->candidates;
    plan->nprobe = (uint32_t)ceil(between(plan->nprobe, far.nprobe, t));
    plan->candidates =
        (uint32_t)ceil(between(plan->candidates, far.candidates, t));
    if (t > 0.5) plan->recall = far.recall;
    return true;
}

/* Lists for the share of rows that pass, by what was measured with k = 10 at
 * shares of 1/8 and 1/64, interpolated in the logarithm; false: a scan. *near:
 * settings with the candidates that it takes. */
static bool pick_filtered(const akin__view *view, float recall, double share,
                          akin__plan *near, double *nprobe)
{
    const akin_curve *filtered = view->curves->set.filtered;
    const akin_curve *end = filtered + AKIN__FILTERED;
    akin__plan far;
    double level = 1, t;
    if (share < 1. / 8 && filtered->n_points) {
        if (!akin__curve_pick(filtered++, recall, near)) return false;
        level = 1. / 8;
    }
    if (filtered >= end || !filtered->n_points) {
        *nprobe = near->nprobe * level / share;
        return true;
    }
    t = log(level / share) / log(8);
    if (!akin__curve_pick(filtered, recall, &far)) {
        /* out of reach there, at a cost below a scan's: near it, scan; far
         * from it, go by twice the most that was tried */
        if (t > 0.6) return false;
        far.nprobe = 2 * filtered->points[filtered->n_points - 1].nprobe;
        far.candidates = near->candidates;
    }
    *nprobe = between(near->nprobe, far.nprobe, t);
    near->candidates = (uint32_t)ceil(
        fmax(near->candidates, between(near->candidates, far.candidates, t)));
    return true;
}

/* How far the levels of k say what a filtered search needs: for items with k up
 * to 10 its own curves do. */
#define FILTER_REACH 100

/* Settings under a filter. The k-th neighbour among the share of rows that
 * pass lies as far off as the k/share-th among all, and the lists that hold it
 * with it: the levels of k say what is needed for that, and curves measured
 * under filters with k = 10. Both err, so that half of the loss allowed is kept
 * back, and survivors for 20 times k are looked at, which matters where lists
 * are short. Texts are taken to go as much further than items as they do
 * without a filter, a larger k to take as many more candidates; plan: the
 * settings for that. */
static bool pick_rare(const akin__view *view, const akin_search_params *params,
                      double share, akin__plan *plan)
{
    const akin__head *head = &view->gen->head;
    akin__plan near, far, item;
    double nprobe, rows = (double)head->rows, reach = params->k / share;
    float recall = 0.5f + 0.5f * params->recall;
    bool few = params->k <= AKIN__CURVE_K, known = reach <= AKIN_INDEX_MAX_K;
    if (!pick(view, AKIN_QUERY_ITEM, recall, 0, &item)) return false;
    near = item;
    if (!pick_filtered(view, recall, share, &near, &nprobe)) return false;
    if (few) nprobe *= fmax(1, (double)plan->nprobe / item.nprobe);
    if (few && params->kind == AKIN_QUERY_ITEM) known = reach <= FILTER_REACH;
    known = known && pick_for(view, params->kind, recall, reach, &far);
    if (!known && !few) return false;
    if (known) nprobe = fmax(nprobe, far.nprobe);
    if (few)
        nprobe = fmax(nprobe, 20. * params->k * head->nlist / (rows * share));
    plan->nprobe = nprobe < head->nlist ? (uint32_t)ceil(nprobe) : head->nlist;
    plan->candidates = (uint32_t)ceil(
        near.candidates * fmax(1, (double)plan->candidates / item.candidates));
    return true;
}

void akin__plan_for(const akin__view *view, const akin_search_params *params,
                    akin__plan *plan)
{
    const akin__head *head = &view->gen->head;
    const akin__plan exact = {.exact = true, .recall = 1};
    double share = 1, rows = (double)head->rows;
    *plan = exact;
    if (!view->gen->ivf || params->exact) return;
    if (params->nprobe) { /* settings that the caller names are his to choose */
        plan->exact = false;
        plan->recall = NAN;
        plan->nprobe =
            params->nprobe < head->nlist ? params->nprobe : head->nlist;
        plan->candidates =
            params->candidates ? params->candidates : 20 * params->k;
    } else {
        if (params->recall >= 1) return;
        if (params->selector) share = selectivity(view, params->selector);
        if (view->dead) share *= 1 - (double)view->dead->count / rows;
        share = fmax(share, 1 / rows);
        if (!pick_for(view, params->kind, params->recall, params->k, plan) ||
            (share < 0.9 && !pick_rare(view, params, share, plan))) {
            *plan = exact;
            return;
        }
        if (plan->nprobe > head->nlist) plan->nprobe = head->nlist;
        if (plan->candidates > rows) plan->candidates = (uint32_t)rows;
        plan->exact = false;
        if (params->candidates) plan->candidates = params->candidates;
        /* where the filter leaves out just the lists near the query, look on */
        if (share < 0.9)
            plan->least =
                (uint64_t)(0.5 * share * plan->nprobe * rows / head->nlist) + 1;
        if (akin__exact_cost(rows * share, head->dim) <
            akin__ivf_cost(head, plan->nprobe, plan->candidates, share,
                           share < 0.9))
            *plan = exact;
    }
    if (plan->candidates < params->k) plan->candidates = params->k;
}

void akin_index_settings_for(const akin_index *index,
                             const akin_search_params *params,
                             akin_index_settings *out)
{
    akin_search_params p = *params;
    akin__view view = akin__view_get(index);
    akin__plan plan = {.exact = true, .recall = 1};
    if (p.recall == 0) p.recall = index->recall;
    if (view.gen && view.gen->head.rows) akin__plan_for(&view, &p, &plan);
    *out = (akin_index_settings){.exact = plan.exact, .recall = plan.recall};
    if (!plan.exact) {
        out->nprobe = plan.nprobe;
        out->candidates = plan.candidates;
        if (p.kind == AKIN_QUERY_TEXT &&
            !view.curves->set.level[AKIN_QUERY_TEXT]->n_points)
            out->recall = NAN; /* guessed from the items' */
    }
    akin__view_drop(&view);
}
