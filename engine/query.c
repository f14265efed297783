/* One question, start to end: terms to query vectors, filter to selection,
 * search (one space, or three rankings fused), then the items themselves.
 *
 * Each space has a query vector of its own, the weighted sum of the terms: a
 * text or picture is the same vector in both, a stored item is its picture's
 * vector among pictures and its caption's among captions.
 *
 * Several questions at once go through each step one after the other, but the
 * search: there those that want the same of one space are one call. */
#include "internal.h"

#include <math.h>
#include <string.h>

typedef struct {
    akin_engine *engine;
    akin__collection *c;
    akin__view *view;
    const akin_query *query;
    uint64_t deadline_ns; /* 0: none */

    float *vectors[AKIN_SPACES]; /* (dim) each */
    akin_buf words;              /* of text terms that pull */
    bool any_text, all_text;
    uint64_t self[AKIN_QUERY_MAX_TERMS]; /* numbers of ITEM terms */
    size_t nself;
    akin__selection *selection;
    bool spaces[AKIN_SPACES], fused; /* the plan */

    akin__fused *hits; /* best first */
    float *cosines;    /* (nhits), of the space searched; NULL: fused */
    size_t nhits;
    size_t extra; /* hits looked for beyond what is asked for */
    size_t lost; /* hits that were removed before they were fetched, where there
                     may be more hits */
} asking;

/* How many hits are looked for. */
static size_t wanted(const asking *a)
{
    return (size_t)a->query->k + a->query->offset + a->extra;
}

static akin_status check_time(const asking *a, akin_error *err)
{
    return a->deadline_ns && akin_mono_ns() > a->deadline_ns
               ? akin_fail(err, AKIN_TIMEOUT, "the query took more than %u ms",
                           a->query->timeout_ms)
               : AKIN_OK;
}

static bool is_self(const asking *a, uint64_t label)
{
    for (size_t i = 0; i < a->nself && !a->query->include_self; i++)
        if (a->self[i] == label) return true;
    return false;
}

/* ---- terms to vectors ----------------------------------------------------------------- */

static void add_term(asking *a, int space, const float *vector, float weight)
{
    for (uint32_t i = 0; i < a->view->dim; i++)
        a->vectors[space][i] += weight * vector[i];
}

static akin_status item_term(asking *a, const akin_query_term *term,
                             float *vector, akin_error *err)
{
    uint32_t dim = a->view->dim;
    akin_item item = {0};
    akin_status rc = akin__check_id(term->data, err);
    if (!rc)
        rc = akin_storage_get(a->engine->storage, a->c->num, term->data,
                              AKIN_WITH_VECTORS, &item, err);
    if (rc == AKIN_NOT_FOUND)
        return akin_fail(err, AKIN_NOT_FOUND, "no item \"%.*s\"",
                         (int)(term->data.size < 200 ? term->data.size : 200),
                         (const char *)term->data.data);
    if (rc) return rc;

    a->self[a->nself++] = item.num;
    for (int space = 0; space < AKIN_SPACES && !rc; space++) {
        const akin_vector *v = &item.vectors[space];
        if (!v->data) v = &item.vectors[1 - space];
        if (!v->data || v->dim != dim) {
            rc = akin_fail(err, AKIN_NOT_FOUND,
                           "item \"%s\" has no vector of the current model",
                           (const char *)item.id.data);
            break;
        }
        akin_float_from_half(vector, v->data, dim);
        add_term(a, space, vector, term->weight);
    }
    akin_item_clear(&item);
    return rc;
}

static akin_status given_vector(const asking *a, const akin_query_term *term,
                                float *vector, akin_error *err)
{
    if (term->dim != a->view->dim)
        return akin_fail(err, AKIN_INVALID, "expected %u dimensions, got %u",
                         a->view->dim, term->dim);
    memcpy(vector, term->vector, term->dim * sizeof *vector);
    return akin_normalize(vector, term->dim)
               ? AKIN_OK
               : akin_fail(err, AKIN_INVALID,
                           "the query vector is zero or not finite");
}

static akin_status resolve_term(asking *a, const akin_query_term *term,
                                float *vector, akin_error *err)
{
    akin__model *model;
    akin_status rc = AKIN_OK;

    if (!isfinite(term->weight) || term->weight == 0)
        return akin_fail(err, AKIN_INVALID,
                         "a term's weight must be a number other than 0");
    a->all_text &= term->kind == AKIN_TERM_TEXT;
    a->any_text |= term->kind == AKIN_TERM_TEXT;
    switch (term->kind) {
    case AKIN_TERM_ITEM: return item_term(a, term, vector, err);
    case AKIN_TERM_VECTOR: rc = given_vector(a, term, vector, err); break;
    case AKIN_TERM_TEXT:
    case AKIN_TERM_PICTURE:
        rc = akin__view_model(a->engine, a->view, &model, err);
        if (!rc)
            rc =
                term->kind == AKIN_TERM_TEXT
                    ? akin__embed_query_text(model, term->data, vector, err)
                    : akin__embed_query_picture(model, term->data, vector, err);
        break;
    default: return akin_fail(err, AKIN_INVALID, "no such kind of term");
    }
    if (rc) return rc;
    if (term->kind == AKIN_TERM_TEXT && term->weight > 0) {
        akin_buf_append(&a->words, term->data.data, term->data.size);
        akin_buf_text(&a->words, " ");
    }
    for (int space = 0; space < AKIN_SPACES; space++)
        add_term(a, space, vector, term->weight);
    return AKIN_OK;
}

static akin_status resolve(asking *a, akin_error *err)
{
    uint32_t dim = a->view->dim;
    akin_status rc = AKIN_OK;
    float *vector = akin_calloc(dim, sizeof *vector);

    for (int space = 0; space < AKIN_SPACES; space++) {
        a->vectors[space] = akin_calloc(dim, sizeof **a->vectors);
        if (!a->vectors[space]) rc = akin__nomem(err);
    }
    if (!vector) rc = akin__nomem(err);
    a->all_text = true;
    for (size_t i = 0; i < a->query->nterms && !rc; i++)
        rc = resolve_term(a, &a->query->terms[i], vector, err);
    akin_free(vector);
    for (int space = 0; space < AKIN_SPACES && !rc; space++)
        if (!akin_normalize(a->vectors[space], dim))
            rc = akin_fail(err, AKIN_INVALID,
                           "the terms cancel out: no direction is left");
    return rc;
}

/* ---- plan --------------------------------------------------------------------------------- */

static uint64_t live(const akin__view *view, akin_space space)
{
    akin_index_stats stats;
    akin_index_get_stats(view->index[space], &stats);
    return stats.live;
}

static void plan(asking *a)
{
    bool images = live(a->view, AKIN_SPACE_IMAGE) > 0;
    bool captions = live(a->view, AKIN_SPACE_CAPTION) > 0;

    switch (a->query->space) {
    case AKIN_QUERY_IMAGE: a->spaces[AKIN_SPACE_IMAGE] = true; break;
    case AKIN_QUERY_CAPTION: a->spaces[AKIN_SPACE_CAPTION] = true; break;
    case AKIN_QUERY_BOTH: a->fused = true; break;
    case AKIN_QUERY_AUTO:
        a->fused = a->all_text && captions;
        a->spaces[images ? AKIN_SPACE_IMAGE : AKIN_SPACE_CAPTION] = !a->fused;
        break;
    }
    if (!a->fused) return;
    a->spaces[AKIN_SPACE_IMAGE] = images;
    a->spaces[AKIN_SPACE_CAPTION] = captions;
}

/* ---- rankings --------------------------------------------------------------------------------- */

static akin_search_params space_params(const asking *a, akin_space space,
                                       size_t want)
{
    const akin_query *q = a->query;
    akin_search_params params = AKIN_SEARCH_DEFAULTS;

    params.k = (uint32_t)(want + a->nself);
    if (params.k > AKIN_INDEX_MAX_K) params.k = AKIN_INDEX_MAX_K;
    params.recall = akin__recall_target(a->c, q->recall);
    params.nprobe = q->nprobe;
    params.exact = q->exact;
    if (!a->fused && q->has_min_score) params.min_cosine = q->min_score;
    if (a->selection) params.selector = &a->selection->selector;
    /* Words are far from the vectors of pictures, not from those of captions */
    if (a->any_text && space == AKIN_SPACE_IMAGE) params.kind = AKIN_QUERY_TEXT;
    return params;
}

/* Takes the first `want` of the hits that are not items asked about. */
static size_t take_hits(const asking *a, const akin_hit *hits, uint32_t nhits,
                        size_t want, uint64_t *labels, float *cosines)
{
    size_t n = 0;
    for (uint32_t i = 0; i < nhits && n < want; i++) {
        if (is_self(a, hits[i].label)) continue;
        labels[n] = hits[i].label;
        cosines[n++] = hits[i].cosine;
    }
    return n;
}

/* The best `want` of one space, without the items asked about. labels and
 * cosines: (want + nself). */
static akin_status search_space(asking *a, akin_space space, size_t want,
                                uint64_t *labels, float *cosines, size_t *n,
                                bool *exact, akin_error *err)
{
    akin_search_params params = space_params(a, space, want);
    uint32_t nhits = 0;
    bool is_exact = true;

    akin_hit *hits = akin_calloc(params.k, sizeof *hits);
    if (!hits) return akin__nomem(err);
    akin_status rc =
        akin_index_search(a->view->index[space], a->vectors[space], 1, &params,
                          hits, &nhits, &is_exact, err);
    *n = rc ? 0 : take_hits(a, hits, nhits, want, labels, cosines);
    *exact &= is_exact;
    akin_free(hits);
    return rc;
}

typedef struct {
    asking *a;
    uint64_t *labels;
    size_t n, want;
} text_list;

static bool text_allowed(void *user, uint64_t num)
{
    const asking *a = user;
    return !a->selection || akin_selector_has(&a->selection->selector, num);
}

static bool text_found(void *user, uint64_t num, double score)
{
    text_list *list = user;
    (void)score;
    if (!is_self(list->a, num)) list->labels[list->n++] = num;
    return list->n < list->want;
}

static akin_status search_words(asking *a, size_t want, uint64_t *labels,
                                size_t *n, akin_error *err)
{
    text_list list = {.a = a, .labels = labels, .want = want};
    akin_span words = {a->words.data, a->words.size};
    akin_status rc = AKIN_OK;
    if (words.size)
        rc = akin_storage_text_search(a->engine->storage, a->c->num, words,
                                      (uint32_t)(want + a->nself), text_allowed,
                                      a, text_found, &list, err);
    *n = list.n;
    return rc;
}

static akin_space only_space(const asking *a)
{
    return a->spaces[AKIN_SPACE_IMAGE] ? AKIN_SPACE_IMAGE : AKIN_SPACE_CAPTION;
}

/* Where one space is searched: its hits become the question's. NULL: search
 * now. */
static akin_status search_one(asking *a, const akin_hit *hits, uint32_t nhits,
                              bool *exact, akin_error *err)
{
    size_t want = wanted(a);
    uint64_t *labels = akin_calloc(want, sizeof *labels);
    a->cosines = akin_calloc(want, sizeof *a->cosines);
    a->hits = akin_calloc(want, sizeof *a->hits);
    akin_status rc =
        labels && a->cosines && a->hits ? AKIN_OK : akin__nomem(err);
    if (!rc && hits)
        a->nhits = take_hits(a, hits, nhits, want, labels, a->cosines);
    else if (!rc)
        rc = search_space(a, only_space(a), want, labels, a->cosines, &a->nhits,
                          exact, err);
    for (size_t i = 0; i < a->nhits && !rc; i++)
        a->hits[i] = (akin__fused){labels[i], a->cosines[i]};
    akin_free(labels);
    return rc;
}

/* Rankings are cut at this depth: an item beyond it adds at most 1/61 of what
 * the first one of a ranking does. */
static size_t fusion_depth(size_t want)
{
    size_t depth = 4 * want > 200 ? 4 * want : 200;
    return depth < AKIN_INDEX_MAX_K ? depth : AKIN_INDEX_MAX_K;
}

static akin_status search_fused(asking *a, size_t want, bool *exact,
                                akin_error *err)
{
    static const char *const weights[] = {"fuse.image", "fuse.caption",
                                          "fuse.text"};
    enum { N = AKIN_SPACES + 1 };
    size_t depth = fusion_depth(want);
    akin__ranking rankings[N];
    size_t used = 0;
    akin_status rc = AKIN_OK;
    uint64_t *labels = akin_calloc(N * depth, sizeof *labels);
    float *cosines = akin_calloc(depth, sizeof *cosines);

    a->hits = akin_calloc(N * depth, sizeof *a->hits);
    if (!labels || !cosines || !a->hits) rc = akin__nomem(err);
    for (int i = 0; i < N && !rc; i++) {
        akin__ranking r = {.labels = labels + (size_t)i * depth};
        uint64_t *to = labels + (size_t)i * depth;
        r.weight = akin_config_real(a->engine->config, weights[i]);
        if (i < AKIN_SPACES ? !a->spaces[i] : !a->words.size) continue;
        if (r.weight <= 0) continue;
        rc = i < AKIN_SPACES
                 ? search_space(a, i, depth, to, cosines, &r.n, exact, err)
                 : search_words(a, depth, to, &r.n, err);
        rankings[used++] = r;
    }
    if (!rc && used) rc = akin__fuse(rankings, used, a->hits, &a->nhits, err);
    if (!rc && a->query->has_min_score)
        while (a->nhits && a->hits[a->nhits - 1].score < a->query->min_score)
            a->nhits--;
    akin_free(labels);
    akin_free(cosines);
    return rc;
}

static akin_status fetch(asking *a, akin_results *out, akin_error *err)
{
    const akin_query *q = a->query;
    size_t skip = q->offset < a->nhits ? q->offset : a->nhits;
    size_t n = a->nhits - skip, most = q->k + a->extra;
    if (n > most) n = most;
    akin__page page = {.engine = a->engine,
                       .collection = a->c,
                       .view = a->view,
                       .query = q,
                       .hits = a->hits + skip,
                       .n = n,
                       .fused = a->fused};
    memcpy(page.vectors, a->vectors, sizeof page.vectors);
    memcpy(page.spaces, a->spaces, sizeof page.spaces);
    akin_status rc = akin__fetch(&page, out, err);
    a->lost = !rc && n == most ? n - out->n : 0;
    if (!rc && out->n > q->k) out->n = q->k;
    return rc;
}

/* ---- the whole --------------------------------------------------------------------------------- */

static akin_status check_query(const akin_query *q, akin_error *err)
{
    if (q->k < 1 || q->k > AKIN_QUERY_MAX_K ||
        q->offset > AKIN_QUERY_MAX_K - q->k)
        return akin_fail(err, AKIN_INVALID,
                         "expected k from 1 and k + offset up to %d, got %u + "
                         "%u",
                         AKIN_QUERY_MAX_K, q->k, q->offset);
    if (q->nterms < 1 || q->nterms > AKIN_QUERY_MAX_TERMS)
        return akin_fail(err, AKIN_INVALID, "expected 1 to %d terms, got %zu",
                         AKIN_QUERY_MAX_TERMS, q->nterms);
    if (!(q->recall >= 0 && q->recall <= 1))
        return akin_fail(err, AKIN_INVALID, "expected a recall of 0 to 1");
    return AKIN_OK;
}

static uint64_t lap(uint64_t *since)
{
    uint64_t now = akin_mono_ns(), passed = now - *since;
    *since = now;
    return passed;
}

/* For the drift of questions: once for each that was answered, not for its
 * further pages. */
static void note_question(const asking *a)
{
    akin__question kind = a->all_text ? AKIN__IN_WORDS : AKIN__BY_PICTURE;
    if (!a->query->offset)
        akin__drift_asked(a->view->drift, kind, a->vectors[AKIN_SPACE_IMAGE]);
}

/* All before the search. */
static akin_status prepare(asking *a, akin_results *out, akin_error *err)
{
    const akin_query *q = a->query;
    uint64_t clock = akin_mono_ns();
    akin_status rc = resolve(a, err);

    out->embed_ns = lap(&clock);
    out->dim = a->view->dim;
    if (!rc) rc = check_time(a, err);
    if (!rc && q->filter.text.size)
        rc = akin__select(a->c, q->filter, &a->selection, err);
    out->filter_ns = lap(&clock);
    if (!rc) rc = check_time(a, err);
    if (rc) return rc;

    plan(a);
    out->exact = true;
    out->fused = a->fused;
    if (a->selection)
        out->considered = a->selection->selector.count;
    else
        for (int space = 0; space < AKIN_SPACES; space++)
            if (a->spaces[space] && live(a->view, space) > out->considered)
                out->considered = live(a->view, space);
    return AKIN_OK;
}

static akin_status search(asking *a, akin_results *out, akin_error *err)
{
    uint64_t clock = akin_mono_ns();
    akin_status rc = a->fused ? search_fused(a, wanted(a), &out->exact, err)
                              : search_one(a, NULL, 0, &out->exact, err);
    out->search_ns = lap(&clock);
    return rc;
}

/* Forgets what was found. */
static void search_over(asking *a, akin_results *out)
{
    akin_results kept = *out;
    akin_free(a->hits);
    akin_free(a->cosines);
    a->hits = NULL;
    a->cosines = NULL;
    a->nhits = 0;
    kept.matches = NULL;
    kept.memory = NULL;
    kept.n = 0;
    akin_results_clear(out);
    *out = kept;
}

/* The items of the hits. Where some were removed between the search and this,
 * and fewer than k are left, it searches for more: others may remove at any
 * pace, so for a bounded number of times. */
static akin_status finish(asking *a, akin_results *out, akin_error *err)
{
    uint64_t clock = akin_mono_ns();
    akin_status rc = check_time(a, err);
    if (!rc) rc = fetch(a, out, err);
    for (int again = 0; !rc && again < 8 && a->lost && out->n < a->query->k;
         again++) {
        a->extra = 2 * a->extra + a->lost + 8;
        search_over(a, out);
        rc = search(a, out, err);
        if (!rc) rc = check_time(a, err);
        if (!rc) rc = fetch(a, out, err);
    }
    out->fetch_ns = lap(&clock);
    return rc;
}

static void asking_clear(asking *a)
{
    for (int space = 0; space < AKIN_SPACES; space++)
        akin_free(a->vectors[space]);
    akin_buf_clear(&a->words);
    akin__selection_release(a->selection);
    akin_free(a->hits);
    akin_free(a->cosines);
}

static asking asking_of(akin_engine *engine, const akin_query *query,
                        uint64_t started)
{
    asking a = {.engine = engine, .query = query};
    if (query->timeout_ms)
        a.deadline_ns = started + (uint64_t)query->timeout_ms * 1000000;
    return a;
}

static void count(akin_engine *engine, size_t n, uint64_t started)
{
    atomic_fetch_add(&engine->counters.queries, n);
    atomic_fetch_add(&engine->counters.query_ns, akin_mono_ns() - started);
}

/* Asks and clears. */
static akin_status ask_view(asking a, akin_results *out, akin_error *err)
{
    akin_status rc = prepare(&a, out, err);
    if (!rc) rc = search(&a, out, err);
    if (!rc) rc = finish(&a, out, err);
    if (!rc) note_question(&a);
    if (rc) akin_results_clear(out);
    asking_clear(&a);
    return rc;
}

akin_status akin_engine_search(akin_engine *engine, const char *collection,
                               const akin_query *query, akin_results *out,
                               akin_error *err)
{
    uint64_t started = akin_mono_ns();
    asking a = asking_of(engine, query, started);

    memset(out, 0, sizeof *out);
    akin_status rc = check_query(query, err);
    if (!rc)
        rc = query->from_memory
                 ? akin__collection_find_now(engine, collection, &a.c, err)
                 : akin__collection_find(engine, collection, &a.c, err);
    if (rc) return rc;
    akin_error why = {0};
    a.view = akin__view_hold(a.c);
    rc = ask_view(a, out, &why);
    if (rc && err) *err = why;
    if (rc == AKIN_CORRUPT && akin__view_damaged(a.view)) {
        if (query->from_memory) {
            rc = akin_fail(err, AKIN_BUSY, "the index has to be read again");
            goto done;
        }
        rc = akin__view_renew(a.c, a.view, why.message, err);
        akin__view_release(a.view);
        a.view = akin__view_hold(a.c);
        if (!rc) rc = ask_view(a, out, err);
    }
done:
    akin__view_release(a.view);
    akin__collection_release(a.c);
    if (!query->from_memory || rc != AKIN_BUSY) count(engine, 1, started);
    return rc;
}

/* ---- several at once ------------------------------------------------------------------------------- */

/* One of several questions. */
typedef struct {
    asking asking;
    akin_search_params params; /* where one space is searched */
    bool waits;                /* prepared, and not searched yet */
} member;

static bool alike(const member *x, const member *y)
{
    const akin_search_params *a = &x->params, *b = &y->params;
    return y->waits && !x->asking.fused && !y->asking.fused &&
           only_space(&x->asking) == only_space(&y->asking) && a->k == b->k &&
           a->recall == b->recall && a->nprobe == b->nprobe &&
           a->candidates == b->candidates && a->exact == b->exact &&
           a->min_cosine == b->min_cosine && a->selector == b->selector &&
           a->kind == b->kind;
}

/* Searches for `first` and those of the n - first behind it that are like it in
 * one call. Best effort: those that wait after it are searched alone. */
static void search_alike(member *all, size_t first, size_t n, akin_results *out,
                         akin_error *errs)
{
    const asking *a = &all[first].asking;
    const akin_search_params *params = &all[first].params;
    akin_space space = only_space(a);
    uint64_t clock = akin_mono_ns();
    size_t some = 0, dim = a->view->dim, *who = akin_calloc(n, sizeof *who);
    uint32_t *nhits = akin_calloc(n, sizeof *nhits);
    float *queries = akin_calloc(n * dim, sizeof *queries);
    akin_hit *hits = akin_calloc(n * params->k, sizeof *hits);
    bool exact, found = who && nhits && queries && hits;

    for (size_t i = first; i < n && found; i++)
        if (alike(&all[first], &all[i])) {
            memcpy(queries + some * dim, all[i].asking.vectors[space],
                   dim * sizeof *queries);
            who[some++] = i;
        }
    found = some > 1 && !akin_index_search(a->view->index[space], queries, some,
                                           params, hits, nhits, &exact, NULL);
    uint64_t each_ns = lap(&clock) / (some ? some : 1);
    for (size_t i = 0; i < some && found; i++) {
        member *m = &all[who[i]];
        akin_results *to = &out[who[i]];
        akin_error *err = &errs[who[i]];
        err->status =
            search_one(&m->asking, hits + i * params->k, nhits[i], NULL, err);
        to->exact = exact;
        to->search_ns = each_ns;
        m->waits = false;
    }
    akin_free(who);
    akin_free(nhits);
    akin_free(queries);
    akin_free(hits);
}

static void ask_all(member *all, size_t n, akin__view *view,
                    akin__collection *c, akin_results *out, akin_error *errs)
{
    for (size_t i = 0; i < n; i++) {
        asking *a = &all[i].asking;
        a->c = c;
        a->view = view;
        errs[i].status = check_query(a->query, &errs[i]);
        if (!errs[i].status) errs[i].status = prepare(a, &out[i], &errs[i]);
        all[i].waits = !errs[i].status;
        if (all[i].waits && !a->fused)
            all[i].params = space_params(a, only_space(a), wanted(a));
    }
    for (size_t i = 0; i + 1 < n; i++)
        if (all[i].waits && !all[i].asking.fused)
            search_alike(all, i, n, out, errs);
    for (size_t i = 0; i < n; i++) {
        asking *a = &all[i].asking;
        if (all[i].waits) errs[i].status = search(a, &out[i], &errs[i]);
        if (!errs[i].status) errs[i].status = finish(a, &out[i], &errs[i]);
        if (!errs[i].status) note_question(a);
        if (errs[i].status) akin_results_clear(&out[i]);
        asking_clear(a);
    }
}

void akin_engine_search_many(akin_engine *engine, const char *collection,
                             const akin_query *queries, size_t n,
                             akin_results *out, akin_error *errs)
{
    uint64_t started = akin_mono_ns();
    akin__collection *c;
    akin_error err;
    if (!n) return;
    member *all = akin_calloc(n, sizeof *all);
    akin_status rc = all ? akin__collection_find(engine, collection, &c, &err)
                         : akin__nomem(&err);

    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        if (rc)
            errs[i] = err;
        else
            all[i].asking = asking_of(engine, &queries[i], started);
    if (!rc) {
        akin__view *view = akin__view_hold(c);
        ask_all(all, n, view, c, out, errs);
        akin__view_release(view);
        akin__collection_release(c);
        count(engine, n, started);
    }
    for (size_t i = 0; i < n && !rc; i++) /* another view may be sound */
        if (errs[i].status == AKIN_CORRUPT)
            errs[i].status = akin_engine_search(engine, collection, &queries[i],
                                                &out[i], &errs[i]);
    akin_free(all);
}

uint64_t akin_engine_search_cost(akin_engine *engine, const char *collection,
                                 uint32_t k)
{
    const akin_query query = {.k = k};
    asking a = asking_of(engine, &query, 0);
    if (akin__collection_find_now(engine, collection, &a.c, NULL))
        return UINT64_MAX;
    a.view = akin__view_hold(a.c);
    plan(&a);
    akin_search_params params = space_params(&a, only_space(&a), k);
    uint64_t ns = akin_index_cost_ns(a.view->index[only_space(&a)], &params);
    akin__view_release(a.view);
    akin__collection_release(a.c);
    return ns;
}

/* ---- embeddings for their own sake ------------------------------------------------------------- */

akin_status akin__model_for(akin_engine *engine, const char *collection,
                            akin__model **out, akin_error *err)
{
    akin__collection *c;

    if (collection) {
        akin_status rc = akin__collection_find(engine, collection, &c, err);
        if (rc) return rc;
        akin__view *view = akin__view_hold(c);
        rc = akin__view_model(engine, view, out, err);
        akin__view_release(view);
        akin__collection_release(c);
        return rc;
    }
    if (engine->model_dir)
        return akin__model_get(engine, engine->model_dir, out, err);
    return akin_fail(err, AKIN_UNSUPPORTED,
                     "there is no model; name its directory with --model");
}

static akin_status embed(akin_engine *engine, const char *collection,
                         akin_span data, bool picture, float **out,
                         uint32_t *dim, akin_error *err)
{
    akin__model *model = NULL;

    *out = NULL;
    akin_status rc = akin__model_for(engine, collection, &model, err);
    if (rc) return rc;
    *dim = model->info->dim;
    *out = akin_calloc(*dim, sizeof **out);
    if (!*out) return akin__nomem(err);
    rc = picture ? akin__embed_query_picture(model, data, *out, err)
                 : akin__embed_query_text(model, data, *out, err);
    if (rc) {
        akin_free(*out);
        *out = NULL;
    }
    return rc;
}

akin_status akin_engine_embed_text(akin_engine *engine, const char *collection,
                                   akin_span text, float **out, uint32_t *dim,
                                   akin_error *err)
{
    return embed(engine, collection, text, false, out, dim, err);
}

akin_status akin_engine_embed_picture(akin_engine *engine,
                                      const char *collection, akin_span bytes,
                                      float **out, uint32_t *dim,
                                      akin_error *err)
{
    return embed(engine, collection, bytes, true, out, dim, err);
}
