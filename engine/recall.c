/* Recall you ask for: targets, and measuring what an index delivers. */
#include "internal.h"

#include <math.h>
#include <string.h>

float akin__recall_target(const akin__collection *c, float wanted)
{
    if (wanted > 0) return wanted;
    if (c->recall > 0) return c->recall;
    return (float)akin_config_real(c->engine->config, "index.recall");
}

static bool measuring(void *user, const char *phase, uint64_t done,
                      uint64_t total)
{
    akin__meter *meter = user;
    akin__meter_phase(meter, phase);
    akin__meter_set(meter, done, total);
    return !akin__meter_stopped(meter);
}

_Static_assert(AKIN_RECALL_POINTS >= AKIN_CURVE_POINTS, "no point is lost");

static void fill(akin_recall *out, const akin_curve *curve)
{
    out->queries = curve->n_queries;
    for (uint32_t i = 0; i < curve->n_points && i < AKIN_CURVE_POINTS; i++) {
        const akin_curve_point *p = &curve->points[i];
        out->points[out->npoints++] = (akin_recall_point){
            p->nprobe, p->candidates, p->recall, p->error, p->qps};
    }
}

static akin_status measure(akin__collection *c, akin_space space, bool text,
                           size_t sample, akin__meter *meter, akin_recall *out,
                           akin_error *err)
{
    akin__view *view = akin__view_hold(c);
    akin_query_kind kind = text ? AKIN_QUERY_TEXT : AKIN_QUERY_ITEM;
    akin_index_stats stats;
    akin_curve curve = {0};
    float *texts = NULL;
    size_t ntexts = 0;
    akin_status rc = AKIN_OK;

    out->target = akin__recall_target(c, 0);
    akin_index_get_stats(view->index[space], &stats);
    out->exact = stats.kind != AKIN_INDEX_IVFPQ;
    if (!out->exact && text) {
        texts = akin__text_sample(view, &ntexts);
        if (!texts)
            rc = akin_fail(err, AKIN_UNSUPPORTED,
                           "there are too few captions to stand for text "
                           "queries");
    }
    if (!rc && !out->exact)
        rc = akin_index_measure(view->index[space], kind, texts, ntexts, sample,
                                1, measuring, meter, &curve, err);
    if (!rc && !out->exact) {
        akin_search_params params = AKIN_SEARCH_DEFAULTS;
        akin_index_settings needs;
        params.recall = out->target;
        params.kind = kind;
        akin_index_settings_for(view->index[space], &params, &needs);
        out->nprobe = needs.nprobe;
        out->candidates = needs.candidates;
        fill(out, &curve);
    }
    akin_free(texts);
    akin__view_release(view);
    return rc;
}

akin_status akin_engine_recall(akin_engine *engine, const char *collection,
                               akin_query_space space, bool text, size_t sample,
                               akin_progress_call *progress, void *user,
                               akin_recall *out, akin_error *err)
{
    akin__collection *c;
    akin__meter meter;

    memset(out, 0, sizeof *out);
    if (space != AKIN_QUERY_IMAGE && space != AKIN_QUERY_CAPTION)
        return akin_fail(err, AKIN_INVALID,
                         "expected the space image or caption");
    if (text && space == AKIN_QUERY_CAPTION)
        return akin_fail(err, AKIN_INVALID,
                         "captions are measured with captions as they are");
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    rc = akin__meter_open(&meter, engine, progress, user, err);
    if (!rc) {
        rc = measure(c,
                     space == AKIN_QUERY_IMAGE ? AKIN_SPACE_IMAGE
                                               : AKIN_SPACE_CAPTION,
                     text, sample, &meter, out, err);
        akin__meter_close(&meter, NULL);
    }
    akin__collection_release(c);
    return rc;
}

/* ---- what was chosen, and why ------------------------------------------------------ */

static void tune(akin__collection *c, akin__view *view, akin_space space,
                 float target, akin_space_tuning *out)
{
    const akin_build_params params = {
        .memory_bytes = akin_config_uint(c->engine->config, "index.memory")};
    akin_index *index = view->index[space];
    akin_index_choice choice;
    akin_index_stats stats;

    akin_index_choose(index, &params, &choice);
    akin_index_get_stats(index, &stats);
    out->vectors = stats.live;
    if (choice.trained)
        snprintf(out->chosen, sizeof out->chosen, "IVF%u,PQ%u", choice.nlist,
                 choice.m);
    else
        snprintf(out->chosen, sizeof out->chosen, "exact");
    memcpy(out->why, choice.why, sizeof out->why);
    out->sample = choice.sample;
    out->memory_bytes = choice.memory_bytes;
    out->build_bytes = choice.build_bytes;
    out->disk_bytes = choice.disk_bytes;
    out->seconds = choice.seconds;
    out->took = stats.trained_seconds;
    snprintf(out->current, sizeof out->current, "exact");
    if (stats.kind != AKIN_INDEX_IVFPQ) return;
    snprintf(out->current, sizeof out->current, "IVF%u,PQ%u", stats.nlist,
             stats.m);
    for (int text = 0; text < 2; text++) {
        akin_search_params search = AKIN_SEARCH_DEFAULTS;
        akin_index_settings needs;
        search.recall = target;
        search.kind = text ? AKIN_QUERY_TEXT : AKIN_QUERY_ITEM;
        akin_index_settings_for(index, &search, &needs);
        out->needs[text].nprobe = needs.nprobe;
        out->needs[text].candidates = needs.candidates;
        out->needs[text].recall = isnan(needs.recall) ? 0 : needs.recall;
    }
}

akin_status akin_engine_tuning(akin_engine *engine, const char *collection,
                               akin_tuning *out, akin_error *err)
{
    akin__collection *c;
    akin_status rc = akin__collection_find(engine, collection, &c, err);

    memset(out, 0, sizeof *out);
    if (rc) return rc;
    akin__view *view = akin__view_hold(c);
    out->target = akin__recall_target(c, 0);
    tune(c, view, AKIN_SPACE_IMAGE, out->target, &out->image);
    tune(c, view, AKIN_SPACE_CAPTION, out->target, &out->caption);
    akin__view_release(view);
    akin__collection_release(c);
    return AKIN_OK;
}
