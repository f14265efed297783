/* Jobs as storage keeps them: parameters and progress as JSON, states, failures.
 * jobs.c runs them. */
#include "internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[] = {[AKIN_ENGINE_JOB_INGEST] = "ingest",
                                         [AKIN_ENGINE_JOB_REBUILD] = "rebuild",
                                         [AKIN_ENGINE_JOB_REINDEX] = "reindex"};
static const char *const state_names[] = {
    [AKIN_ENGINE_JOB_QUEUED] = "queued",
    [AKIN_ENGINE_JOB_RUNNING] = "running",
    [AKIN_ENGINE_JOB_DONE] = "done",
    [AKIN_ENGINE_JOB_FAILED] = "failed",
    [AKIN_ENGINE_JOB_CANCELLED] = "cancelled",
    [AKIN_ENGINE_JOB_INTERRUPTED] = "interrupted"};

#define NKINDS  (sizeof kind_names / sizeof *kind_names)
#define NSTATES (sizeof state_names / sizeof *state_names)

const char *akin_engine_job_kind_text(akin_engine_job_kind kind)
{
    return (size_t)kind < NKINDS ? kind_names[kind] : "unknown";
}

const char *akin_engine_job_state_text(akin_engine_job_state state)
{
    return (size_t)state < NSTATES ? state_names[state] : "unknown";
}

void akin__task_clear(akin__task *j)
{
    for (size_t i = 0; j->paths && j->paths[i]; i++)
        akin_free(j->paths[i]);
    akin_free(j->paths);
    akin_free(j->model_dir);
    akin_free(j->index);
}

/* ---- to and from JSON ---------------------------------------------------------------- */

static char *dump(json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return text;
}

char *akin__task_parameters(const akin__task *j)
{
    const akin_ingest *in = &j->ingest;
    json_t *paths = json_array();
    for (size_t i = 0; i < in->npaths; i++)
        json_array_append_new(paths, json_string(in->paths[i]));
    return dump(json_pack(
        "{s:s, s:o, s:b, s:b, s:b, s:i, s:b, s:b, s:b, s:s, s:s}", "collection",
        j->info.collection, "paths", paths, "flat", in->flat, "hidden",
        in->hidden, "follow_links", in->follow_links, "captions",
        (int)in->captions, "force", in->force, "prune", in->prune,
        "whole_paths", in->whole_paths, "model",
        j->model_dir ? j->model_dir : "", "index", j->index ? j->index : ""));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

akin_status akin__task_set_paths(akin__task *j, const char *const *paths,
                                 size_t n, akin_error *err)
{
    j->paths = akin_calloc(n + 1, sizeof *j->paths);
    if (!j->paths) return akin__nomem(err);
    for (size_t i = 0; i < n; i++) {
        /* the server's folder may be another one when the job is resumed */
        char *absolute = realpath(paths[i], NULL);
        j->paths[i] = akin_strdup(absolute ? absolute : paths[i]);
        free(absolute);
        if (!j->paths[i]) return akin__nomem(err);
    }
    j->ingest.paths = (const char *const *)j->paths;
    j->ingest.npaths = n;
    return AKIN_OK;
}

akin_status akin__task_read(akin__task *j, const char *text, akin_error *err)
{
    json_t *p = json_loads(text ? text : "{}", 0, NULL);
    json_t *list = json_object_get(p, "paths");
    size_t n = json_array_size(list);
    const char **paths = akin_calloc(n + 1, sizeof *paths);
    akin_status rc = paths ? AKIN_OK : akin__nomem(err);

    for (size_t i = 0; i < n && !rc; i++) {
        const char *path = json_string_value(json_array_get(list, i));
        paths[i] = path ? path : "";
    }
    if (!rc) rc = akin__task_set_paths(j, paths, n, err);
    akin_free(paths);
    snprintf(j->info.collection, sizeof j->info.collection, "%s",
             text_of(p, "collection"));
    j->ingest.flat = json_is_true(json_object_get(p, "flat"));
    j->ingest.hidden = json_is_true(json_object_get(p, "hidden"));
    j->ingest.follow_links = json_is_true(json_object_get(p, "follow_links"));
    j->ingest.captions =
        (akin_caption_from)json_integer_value(json_object_get(p, "captions"));
    j->ingest.force = json_is_true(json_object_get(p, "force"));
    j->ingest.prune = json_is_true(json_object_get(p, "prune"));
    j->ingest.whole_paths = json_is_true(json_object_get(p, "whole_paths"));
    if (*text_of(p, "model")) j->model_dir = akin_strdup(text_of(p, "model"));
    if (*text_of(p, "index")) j->index = akin_strdup(text_of(p, "index"));
    const char *what = j->model_dir ? j->model_dir
                       : j->index   ? j->index
                       : n          ? j->paths[0]
                                    : "";
    snprintf(j->info.what, sizeof j->info.what, "%s", what);
    json_decref(p);
    return rc;
}

#define COUNTERS(X)                                                            \
    X(done) X(total) X(added) X(updated) X(skipped) X(failed) X(reused) X(bytes)

static char *progress_text(const akin_progress *p)
{
    json_t *object = json_pack("{s:s}", "phase", p->phase);
#define PUT(name)                                                              \
    json_object_set_new(object, #name, json_integer((json_int_t)p->name));
    COUNTERS(PUT)
#undef PUT
    return dump(object);
}

static void read_progress(akin_progress *out, const char *text)
{
    json_t *object = json_loads(text ? text : "{}", 0, NULL);
    snprintf(out->phase, sizeof out->phase, "%s", text_of(object, "phase"));
#define GET(name)                                                              \
    out->name = (uint64_t)json_integer_value(json_object_get(object, #name));
    COUNTERS(GET)
#undef GET
    out->seconds_left = -1;
    json_decref(object);
}

/* ---- to and from storage ---------------------------------------------------------------- */

static akin_job_state stored_state(akin_engine_job_state state)
{
    switch (state) {
    case AKIN_ENGINE_JOB_DONE: return AKIN_JOB_DONE;
    case AKIN_ENGINE_JOB_FAILED: return AKIN_JOB_FAILED;
    case AKIN_ENGINE_JOB_CANCELLED: return AKIN_JOB_CANCELLED;
    case AKIN_ENGINE_JOB_INTERRUPTED: return AKIN_JOB_INTERRUPTED;
    default: return AKIN_JOB_RUNNING;
    }
}

static akin_engine_job_state engine_state(akin_job_state state)
{
    switch (state) {
    case AKIN_JOB_DONE: return AKIN_ENGINE_JOB_DONE;
    case AKIN_JOB_FAILED: return AKIN_ENGINE_JOB_FAILED;
    case AKIN_JOB_CANCELLED: return AKIN_ENGINE_JOB_CANCELLED;
    case AKIN_JOB_INTERRUPTED: return AKIN_ENGINE_JOB_INTERRUPTED;
    default: return AKIN_ENGINE_JOB_RUNNING;
    }
}

void akin__task_save(akin_engine *engine, const akin_engine_job_info *info)
{
    char *progress = progress_text(&info->progress);
    akin_write op = {.kind = AKIN_WRITE_JOB_SET,
                     .job = info->id,
                     .state = stored_state(info->state),
                     .progress = akin_span_of(progress),
                     .message = akin_span_of(info->message)};
    akin_error error = {0};
    if (akin_storage_write(engine->storage, &op, 1, NULL, &error))
        akin_log(AKIN_LOG_WARN, "job %llu: %s", (unsigned long long)info->id,
                 error.message);
    free(progress);
}

void akin__task_save_failures(akin_engine *engine, uint64_t id,
                              const akin_report *report)
{
    size_t n = report->nfailures;
    akin_item_data *items = akin_calloc(n + 1, sizeof *items);
    akin_write *ops = akin_calloc(n + 1, sizeof *ops);
    for (size_t i = 0; i < n && items && ops; i++) {
        const akin_failure *f = &report->failures[i];
        items[i].source = akin_span_of(f->what);
        ops[i] = (akin_write){.kind = AKIN_WRITE_JOB_ERROR,
                              .job = id,
                              .item = &items[i],
                              .message = akin_span_of(f->message)};
    }
    akin_error error = {0};
    if (n && items && ops &&
        akin_storage_write(engine->storage, ops, n, NULL, &error))
        akin_log(AKIN_LOG_WARN, "job %llu: %s", (unsigned long long)id,
                 error.message);
    akin_free(items);
    akin_free(ops);
}

bool akin__task_info(const akin_job_info *row, akin_engine_job_info *out)
{
    akin__task parsed = {0};
    size_t kind = 0;
    while (kind < NKINDS && strcmp(kind_names[kind], row->kind) != 0)
        kind++;
    if (kind == NKINDS) return false;
    if (akin__task_read(&parsed, row->parameters, NULL)) {
        akin__task_clear(&parsed);
        return false;
    }
    *out = parsed.info;
    out->id = row->job;
    out->kind = (akin_engine_job_kind)kind;
    out->state = engine_state(row->state);
    read_progress(&out->progress, row->progress);
    out->started_ms = row->created_ms;
    if (row->state != AKIN_JOB_RUNNING) out->ended_ms = row->changed_ms;
    snprintf(out->message, sizeof out->message, "%s",
             row->message ? row->message : "");
    akin__task_clear(&parsed);
    return true;
}
