/* Indexes: what they deliver, what suits them, building them anew. */
#include <string.h>

#include "commands.h"

static void row_double(akin_reply *r, const char *name, double value)
{
    akin_reply_text(r, name);
    akin_reply_double(r, value);
}

/* ---- AKIN.RECALL ------------------------------------------------------------------ */

/* What is measured: a space, asked with its own vectors or with words. */
typedef struct {
    akin_query_space space;
    bool text;
    const char *space_name, *queries;
} kind_of_query;

static const kind_of_query kinds[] = {
    {AKIN_QUERY_IMAGE, false, "image", "items"},
    {AKIN_QUERY_IMAGE, true, "image", "text"},
    {AKIN_QUERY_CAPTION, false, "caption", "items"},
};
#define NKINDS (sizeof kinds / sizeof *kinds)

typedef struct {
    char name[AKIN_NAME_BYTES + 1];
    bool image, caption, text_only;
    int64_t sample; /* 0: the engine's */
} recall_options;

static akin_status recall_parse(akin_call *c, recall_options *o,
                                akin_error *err)
{
    akin_args args = akin_args_of(c, 2);
    akin_status rc = akin_collection_name(c->argv[1], o->name, err);
    while (!rc && args.at < args.n) {
        if (akin_args_word(&args, "SPACE")) {
            o->image = akin_args_word(&args, "image");
            o->caption = !o->image && akin_args_word(&args, "caption");
            if (!o->image && !o->caption)
                rc = akin_fail(err, AKIN_INVALID,
                               "expected the space image or caption");
        } else if (akin_args_word(&args, "TEXT")) {
            o->text_only = true;
        } else if (akin_args_word(&args, "SAMPLE")) {
            rc = akin_args_int(&args, "SAMPLE", 16, 100000, &o->sample, err);
        } else {
            rc = akin_bad_option(args.argv[args.at], err);
        }
    }
    if (!rc && o->text_only && o->caption)
        rc = akin_fail(err, AKIN_INVALID,
                       "captions are measured with captions as they are");
    return rc;
}

static bool go_on(void *user, const akin_progress *progress)
{
    const akin_service *service = user;
    (void)progress;
    return !atomic_load(&service->stopping);
}

static bool wanted(const recall_options *o, const kind_of_query *kind)
{
    bool caption = kind->space == AKIN_QUERY_CAPTION;
    if (o->text_only && !kind->text) return false;
    return caption ? !o->image : !o->caption;
}

static void curve_map(akin_reply *r, const kind_of_query *kind,
                      const akin_recall *m)
{
    akin_reply_map(r, 8);
    akin_reply_row_text(r, "space", kind->space_name);
    akin_reply_row_text(r, "queries", kind->queries);
    akin_reply_text(r, "exact");
    akin_reply_bool(r, m->exact);
    row_double(r, "target", m->target);
    akin_reply_row_int(r, "sample", m->queries);
    akin_reply_row_int(r, "nprobe", m->nprobe);
    akin_reply_row_int(r, "candidates", m->candidates);
    akin_reply_text(r, "curve");
    akin_reply_array(r, m->npoints);
    for (size_t i = 0; i < m->npoints; i++) {
        const akin_recall_point *p = &m->points[i];
        akin_reply_map(r, 5);
        akin_reply_row_int(r, "nprobe", p->nprobe);
        akin_reply_row_int(r, "candidates", p->candidates);
        row_double(r, "recall", p->recall);
        row_double(r, "error", p->error);
        row_double(r, "qps", p->qps);
    }
}

/* One of the curves; *there is false where there is nothing to measure and
 * nobody named it. */
static akin_status measure(akin_call *c, const recall_options *o,
                           const kind_of_query *kind, akin_recall *out,
                           bool *there, akin_error *err)
{
    akin_status rc =
        akin_engine_recall(c->service->engine, o->name, kind->space, kind->text,
                           (size_t)o->sample, go_on, c->service, out, err);
    *there = !rc && !(out->exact && kind->text && !o->text_only);
    if (rc == AKIN_UNSUPPORTED && kind->text && !o->text_only) return AKIN_OK;
    return rc;
}

akin_status akin_cmd_recall(akin_call *c, akin_error *err)
{
    recall_options o = {.sample = 0};
    akin_recall *curves = akin_calloc(NKINDS, sizeof *curves);
    bool there[NKINDS] = {false};
    akin_tuning has;
    size_t n = 0;
    akin_status rc = curves ? recall_parse(c, &o, err)
                            : akin_fail(err, AKIN_NOMEM, "no memory");
    if (!rc) rc = akin_engine_tuning(c->service->engine, o.name, &has, err);
    for (size_t i = 0; i < NKINDS && !rc; i++) {
        bool image = kinds[i].space == AKIN_QUERY_IMAGE;
        if (!wanted(&o, &kinds[i])) continue;
        if (!(image ? has.image.vectors : has.caption.vectors)) continue;
        rc = measure(c, &o, &kinds[i], &curves[i], &there[i], err);
        n += there[i];
    }
    if (!rc) akin_reply_array(c->reply, n);
    for (size_t i = 0; i < NKINDS && !rc; i++)
        if (there[i]) curve_map(c->reply, &kinds[i], &curves[i]);
    akin_free(curves);
    return rc;
}

/* ---- AKIN.TUNE -------------------------------------------------------------------- */

static void needs_map(akin_reply *r, const char *name,
                      const akin_space_tuning *t, int text)
{
    akin_reply_text(r, name);
    akin_reply_map(r, 3);
    akin_reply_row_int(r, "nprobe", t->needs[text].nprobe);
    akin_reply_row_int(r, "candidates", t->needs[text].candidates);
    row_double(r, "recall", t->needs[text].recall);
}

static void tuning_map(akin_reply *r, const char *name, float target,
                       const akin_space_tuning *t)
{
    akin_reply_map(r, 14);
    akin_reply_row_text(r, "space", name);
    akin_reply_row_int(r, "vectors", t->vectors);
    akin_reply_row_text(r, "chosen", t->chosen);
    akin_reply_row_text(r, "why", t->why);
    akin_reply_row_text(r, "current", t->current);
    row_double(r, "target", target);
    needs_map(r, "items", t, 0);
    needs_map(r, "text", t, 1);
    akin_reply_row_int(r, "sample", t->sample);
    akin_reply_row_int(r, "memory_bytes", t->memory_bytes);
    akin_reply_row_int(r, "build_bytes", t->build_bytes);
    akin_reply_row_int(r, "disk_bytes", t->disk_bytes);
    row_double(r, "build_seconds", t->seconds);
    row_double(r, "took_seconds", t->took);
}

akin_status akin_cmd_tune(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_tuning tuning;
    akin_status rc = akin_collection_name(c->argv[1], name, err);
    if (!rc) rc = akin_engine_tuning(c->service->engine, name, &tuning, err);
    if (rc) return rc;
    bool image = tuning.image.vectors > 0;
    bool caption = tuning.caption.vectors > 0;
    akin_reply_array(c->reply, (size_t)image + caption);
    if (image) tuning_map(c->reply, "image", tuning.target, &tuning.image);
    if (caption)
        tuning_map(c->reply, "caption", tuning.target, &tuning.caption);
    return AKIN_OK;
}

/* ---- building --------------------------------------------------------------------- */

static akin_status start(akin_call *c, const akin_engine_job_request *request,
                         akin_error *err)
{
    uint64_t id;
    akin_status rc =
        akin_engine_job_start(c->service->engine, request, &id, err);
    if (!rc) akin_reply_int(c->reply, (int64_t)id);
    return rc;
}

akin_status akin_cmd_rebuild(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1], index[32] = "";
    akin_args args = akin_args_of(c, 2);
    akin_span text = {0};
    akin_collection_info *info;
    akin_status rc = akin_collection_name(c->argv[1], name, err);
    if (!rc && akin_args_word(&args, "INDEX")) {
        rc = akin_args_next(&args, "an index, as IVF4096,PQ64", &text, err);
        if (!rc &&
            (text.size >= sizeof index || memchr(text.data, 0, text.size)))
            rc = akin_fail(err, AKIN_INVALID,
                           "expected an index, as IVF4096,PQ64");
        if (!rc) memcpy(index, text.data, text.size);
    }
    if (!rc && args.at < args.n) rc = akin_bad_option(args.argv[args.at], err);
    if (rc) return rc;
    /* a job that cannot begin should fail here, not when somebody looks */
    info = akin_calloc(1, sizeof *info);
    if (!info) return akin_fail(err, AKIN_NOMEM, "no memory");
    rc = akin_engine_info(c->service->engine, name, info, err);
    akin_free(info);
    if (rc) return rc;
    return start(c,
                 &(akin_engine_job_request){.kind = AKIN_ENGINE_JOB_REBUILD,
                                            .collection = name,
                                            .index = index},
                 err);
}

akin_status akin_cmd_reindex(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_args args = akin_args_of(c, 2);
    akin_span model = {0};
    akin_status rc = akin_collection_name(c->argv[1], name, err);
    if (!rc && akin_args_word(&args, "MODEL"))
        rc = akin_args_next(&args, "a model directory", &model, err);
    if (!rc && args.at < args.n) rc = akin_bad_option(args.argv[args.at], err);
    if (rc) return rc;
    return start(
        c,
        &(akin_engine_job_request){.kind = model.data ? AKIN_ENGINE_JOB_REINDEX
                                                      : AKIN_ENGINE_JOB_REBUILD,
                                   .collection = name,
                                   .model_dir = model.data},
        err);
}
