/* Recall you ask for: targets, and measuring what an index delivers. */
#include "internal.h"

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
        if (!out->nprobe && p->recall >= out->target) {
            out->nprobe = p->nprobe;
            out->candidates = p->candidates;
        }
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
    if (!rc) fill(out, &curve);
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
