/* Long work in the background. One thread a job; jobs of one collection run one
 * after the other, in the order they came. A job is a row in storage from the
 * moment it is accepted (parameters, state, progress every two seconds), so that
 * after the process ended it can be resumed: the work itself skips what is done.
 *
 * jobs.lock guards the list and every field of a job but the meter's, which has
 * a lock of its own (taken inside jobs.lock, never around it: the meter lets go
 * of its lock before it calls on_progress). */
#include "internal.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SAVE_NS  2000000000u
#define MAX_JOBS 64 /* not ended at one time */
#define KEEP     64 /* ended ones kept in memory; storage has them all */

typedef struct job {
    struct job *next; /* newer first */
    akin_engine *engine;
    akin_engine_job_info info;
    char **paths;
    akin_ingest ingest;
    char *model_dir;
    bool cancel;
    akin__meter *meter; /* while it runs */
    akin_report report; /* when it ended */
    uint64_t saved_ns;
} job;

struct akin__jobs {
    akin_engine *engine;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* some job's state */
    job *list;
    uint32_t threads;
    bool closing;
};

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

static bool ended(const job *j)
{
    return j->info.state != AKIN_ENGINE_JOB_QUEUED &&
           j->info.state != AKIN_ENGINE_JOB_RUNNING;
}

static void job_free(job *j)
{
    for (size_t i = 0; j->paths && j->paths[i]; i++)
        akin_free(j->paths[i]);
    akin_free(j->paths);
    akin_free(j->model_dir);
    akin_report_clear(&j->report);
    akin_free(j);
}

/* ---- to and from JSON ---------------------------------------------------------------- */

static char *dump(json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return text;
}

/* What resuming needs. For free(). */
static char *parameters_text(const job *j)
{
    const akin_ingest *in = &j->ingest;
    json_t *paths = json_array();
    for (size_t i = 0; i < in->npaths; i++)
        json_array_append_new(paths, json_string(in->paths[i]));
    return dump(
        json_pack("{s:s, s:o, s:b, s:b, s:b, s:i, s:b, s:b, s:s}", "collection",
                  j->info.collection, "paths", paths, "flat", in->flat,
                  "hidden", in->hidden, "follow_links", in->follow_links,
                  "captions", (int)in->captions, "force", in->force, "prune",
                  in->prune, "model", j->model_dir ? j->model_dir : ""));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static akin_status set_paths(job *j, const char *const *paths, size_t n,
                             akin_error *err)
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

static akin_status read_parameters(job *j, const char *text, akin_error *err)
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
    if (!rc) rc = set_paths(j, paths, n, err);
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
    if (*text_of(p, "model")) j->model_dir = akin_strdup(text_of(p, "model"));
    const char *what = j->model_dir ? j->model_dir : n ? j->paths[0] : "";
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

/* State and progress as of `info`, a copy; best effort, for people only. */
static void save_state(akin_engine *engine, const akin_engine_job_info *info)
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

static void save_failures(job *j)
{
    size_t n = j->report.nfailures;
    akin_item_data *items = akin_calloc(n + 1, sizeof *items);
    akin_write *ops = akin_calloc(n + 1, sizeof *ops);
    for (size_t i = 0; i < n && items && ops; i++) {
        const akin_failure *f = &j->report.failures[i];
        items[i].source = akin_span_of(f->what);
        ops[i] = (akin_write){.kind = AKIN_WRITE_JOB_ERROR,
                              .job = j->info.id,
                              .item = &items[i],
                              .message = akin_span_of(f->message)};
    }
    akin_error error = {0};
    if (n && items && ops &&
        akin_storage_write(j->engine->storage, ops, n, NULL, &error))
        akin_log(AKIN_LOG_WARN, "job %llu: %s", (unsigned long long)j->info.id,
                 error.message);
    akin_free(items);
    akin_free(ops);
}

static bool info_of_row(const akin_job_info *row, akin_engine_job_info *out)
{
    job parsed = {0};
    size_t kind = 0;
    while (kind < NKINDS && strcmp(kind_names[kind], row->kind) != 0)
        kind++;
    if (kind == NKINDS || read_parameters(&parsed, row->parameters, NULL))
        return false;
    *out = parsed.info;
    out->id = row->job;
    out->kind = (akin_engine_job_kind)kind;
    out->state = engine_state(row->state);
    read_progress(&out->progress, row->progress);
    out->started_ms = row->created_ms;
    if (row->state != AKIN_JOB_RUNNING) out->ended_ms = row->changed_ms;
    snprintf(out->message, sizeof out->message, "%s",
             row->message ? row->message : "");
    for (size_t i = 0; parsed.paths && parsed.paths[i]; i++)
        akin_free(parsed.paths[i]);
    akin_free(parsed.paths);
    akin_free(parsed.model_dir);
    return true;
}

/* ---- running ------------------------------------------------------------------------------- */

static bool on_progress(void *user, const akin_progress *progress)
{
    job *j = user;
    akin__jobs *jobs = j->engine->jobs;
    akin_engine_job_info copy;
    uint64_t now = akin_mono_ns();

    pthread_mutex_lock(&jobs->lock);
    j->info.progress = *progress;
    bool save = now - j->saved_ns > SAVE_NS;
    if (save) j->saved_ns = now;
    bool go_on = !j->cancel && !jobs->closing;
    copy = j->info;
    pthread_mutex_unlock(&jobs->lock);
    if (save) save_state(j->engine, &copy);
    return go_on;
}

static akin_status work(job *j, akin__meter *meter, akin_error *err)
{
    switch (j->info.kind) {
    case AKIN_ENGINE_JOB_INGEST:
        return akin__ingest(j->engine, j->info.collection, &j->ingest, meter,
                            err);
    case AKIN_ENGINE_JOB_REBUILD:
        return akin__rebuild(j->engine, j->info.collection, meter, err);
    case AKIN_ENGINE_JOB_REINDEX:
        return akin__reindex(j->engine, j->info.collection, j->model_dir, meter,
                             err);
    }
    return akin_fail(err, AKIN_INVALID, "no such kind of job");
}

/* An older job of the same collection that has not ended. */
static bool must_wait(const job *j)
{
    for (const job *o = j->next; o; o = o->next)
        if (!ended(o) && !strcmp(o->info.collection, j->info.collection))
            return true;
    return false;
}

static akin_engine_job_state end_state(akin__jobs *jobs, const job *j,
                                       akin_status rc)
{
    if (!rc) return AKIN_ENGINE_JOB_DONE;
    if (rc != AKIN_CANCELLED) return AKIN_ENGINE_JOB_FAILED;
    return jobs->closing && !j->cancel ? AKIN_ENGINE_JOB_INTERRUPTED
                                       : AKIN_ENGINE_JOB_CANCELLED;
}

static akin_status run(job *j, akin_report *report, akin_error *err)
{
    akin__jobs *jobs = j->engine->jobs;
    akin__meter meter;
    akin_status rc = akin__meter_open(&meter, j->engine, on_progress, j, err);
    if (rc) return rc;
    pthread_mutex_lock(&jobs->lock);
    j->meter = &meter;
    pthread_mutex_unlock(&jobs->lock);
    rc = work(j, &meter, err);
    pthread_mutex_lock(&jobs->lock);
    j->meter = NULL;
    pthread_mutex_unlock(&jobs->lock);
    akin__meter_close(&meter, report);
    return rc;
}

static void *job_main(void *arg)
{
    job *j = arg;
    akin__jobs *jobs = j->engine->jobs;
    akin_report report = {0};
    akin_error error = {0};

    pthread_mutex_lock(&jobs->lock);
    while (must_wait(j) && !j->cancel && !jobs->closing)
        pthread_cond_wait(&jobs->changed, &jobs->lock);
    bool stop = j->cancel || jobs->closing;
    if (!stop) j->info.state = AKIN_ENGINE_JOB_RUNNING;
    pthread_mutex_unlock(&jobs->lock);

    akin_status rc = stop ? AKIN_CANCELLED : run(j, &report, &error);

    pthread_mutex_lock(&jobs->lock);
    akin_engine_job_info info = j->info;
    info.state = end_state(jobs, j, rc);
    if (info.state == AKIN_ENGINE_JOB_FAILED)
        snprintf(info.message, sizeof info.message, "%.*s",
                 (int)sizeof info.message - 1, error.message);
    if (!stop) info.progress = report.progress;
    info.ended_ms = akin_now_ms();
    j->report = report;
    pthread_mutex_unlock(&jobs->lock);
    /* On disk first: whoever waits and then looks finds it ended. */
    save_failures(j);
    save_state(j->engine, &info);

    pthread_mutex_lock(&jobs->lock);
    j->info = info;
    jobs->threads--;
    pthread_cond_broadcast(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
    return NULL;
}

/* Forgets the oldest ended ones. Lock held. */
static void drop_old(akin__jobs *jobs)
{
    size_t kept = 0;
    for (job **link = &jobs->list; *link;) {
        job *j = *link;
        if (ended(j) && ++kept > KEEP) {
            *link = j->next;
            job_free(j);
        } else {
            link = &j->next;
        }
    }
}

/* Puts the job on the list and starts its thread; takes it over. */
static akin_status launch(akin__jobs *jobs, job *j, akin_error *err)
{
    pthread_attr_t attr;
    pthread_t thread;
    akin_status rc = AKIN_OK;

    j->engine = jobs->engine;
    j->info.state = AKIN_ENGINE_JOB_QUEUED;
    j->info.started_ms = akin_now_ms();
    j->saved_ns = akin_mono_ns();
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&jobs->lock);
    drop_old(jobs);
    j->next = jobs->list;
    if (jobs->closing || jobs->threads >= MAX_JOBS)
        rc = akin_fail(err, AKIN_BUSY, "%u jobs are waiting already",
                       jobs->threads);
    if (!rc) {
        int e = pthread_create(&thread, &attr, job_main, j);
        if (e) rc = akin_fail_errno(err, e, "cannot start a job");
    }
    if (!rc) {
        jobs->list = j;
        jobs->threads++;
    }
    pthread_mutex_unlock(&jobs->lock);
    pthread_attr_destroy(&attr);
    if (rc) job_free(j);
    return rc;
}

/* ---- opening and closing ----------------------------------------------------------------------- */

akin_status akin__jobs_open(akin_engine *engine, akin__jobs **out,
                            akin_error *err)
{
    pthread_condattr_t attr;
    akin__jobs *jobs = akin_calloc(1, sizeof *jobs);
    if (!jobs) return akin__nomem(err);
    jobs->engine = engine;
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&jobs->changed, &attr);
    pthread_condattr_destroy(&attr);
    *out = jobs;
    return AKIN_OK;
}

void akin__jobs_close(akin__jobs *jobs)
{
    if (!jobs) return;
    pthread_mutex_lock(&jobs->lock);
    jobs->closing = true;
    pthread_cond_broadcast(&jobs->changed);
    while (jobs->threads)
        pthread_cond_wait(&jobs->changed, &jobs->lock);
    pthread_mutex_unlock(&jobs->lock);
    while (jobs->list) {
        job *j = jobs->list;
        jobs->list = j->next;
        job_free(j);
    }
    pthread_mutex_destroy(&jobs->lock);
    pthread_cond_destroy(&jobs->changed);
    akin_free(jobs);
}

uint32_t akin__jobs_running(akin__jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    uint32_t n = jobs->threads;
    pthread_mutex_unlock(&jobs->lock);
    return n;
}

void akin__jobs_cancel_collection(akin__jobs *jobs, const char *collection)
{
    pthread_mutex_lock(&jobs->lock);
    for (bool busy = true; busy;) {
        busy = false;
        for (job *j = jobs->list; j; j = j->next) {
            if (ended(j) || strcmp(j->info.collection, collection) != 0)
                continue;
            j->cancel = busy = true;
        }
        pthread_cond_broadcast(&jobs->changed);
        if (busy) pthread_cond_wait(&jobs->changed, &jobs->lock);
    }
    pthread_mutex_unlock(&jobs->lock);
}

/* ---- what callers ask ---------------------------------------------------------------------------- */

static job *find(akin__jobs *jobs, uint64_t id)
{
    for (job *j = jobs->list; j; j = j->next)
        if (j->info.id == id) return j;
    return NULL;
}

static akin_status no_job(uint64_t id, akin_error *err)
{
    return akin_fail(err, AKIN_NOT_FOUND, "no job %llu",
                     (unsigned long long)id);
}

static akin_status fill_request(job *j, const akin_engine_job_request *request,
                                akin_error *err)
{
    static const akin_ingest nothing;
    const akin_ingest *in = request->ingest ? request->ingest : &nothing;
    const char *what = request->model_dir;

    if ((size_t)request->kind >= NKINDS)
        return akin_fail(err, AKIN_INVALID, "no such kind of job");
    if (request->kind == AKIN_ENGINE_JOB_INGEST && !in->npaths)
        return akin_fail(err, AKIN_INVALID, "nothing to add was named");
    if (request->kind == AKIN_ENGINE_JOB_REINDEX && !request->model_dir)
        return akin_fail(err, AKIN_INVALID, "no model directory was named");
    if (strlen(request->collection) > AKIN_NAME_BYTES)
        return akin_fail(err, AKIN_INVALID,
                         "the collection's name is too long");
    j->info.kind = request->kind;
    snprintf(j->info.collection, sizeof j->info.collection, "%s",
             request->collection);
    j->ingest = *in;
    akin_status rc = set_paths(j, in->paths, in->npaths, err);
    if (!rc && what && !(j->model_dir = akin_strdup(what)))
        rc = akin__nomem(err);
    if (!rc && !what && in->npaths) what = j->paths[0];
    snprintf(j->info.what, sizeof j->info.what, "%s", what ? what : "");
    return rc;
}

akin_status akin_engine_job_start(akin_engine *engine,
                                  const akin_engine_job_request *request,
                                  uint64_t *id, akin_error *err)
{
    akin_status rc = akin__writable(engine, err);
    if (rc) return rc;
    job *j = akin_calloc(1, sizeof *j);
    if (!j) return akin__nomem(err);
    rc = fill_request(j, request, err);
    char *parameters = rc ? NULL : parameters_text(j);
    if (!rc && !parameters)
        rc = akin_fail(err, AKIN_INVALID, "a path is not UTF-8");
    if (!rc) {
        akin_write op = {.kind = AKIN_WRITE_JOB,
                         .name = akin_span_of(kind_names[j->info.kind]),
                         .settings = akin_span_of(parameters)};
        akin_write_result result = {0};
        rc = akin_storage_write(engine->storage, &op, 1, &result, err);
        if (!rc && result.status) {
            rc = result.status;
            if (err) *err = result.error;
        }
        j->info.id = *id = result.num;
    }
    free(parameters);
    if (rc) {
        job_free(j);
        return rc;
    }
    return launch(engine->jobs, j, err);
}

typedef struct {
    job *j;
    akin_status rc;
    akin_error *err;
} loading;

static bool load_row(void *user, const akin_job_info *row)
{
    loading *l = user;
    if (!info_of_row(row, &l->j->info)) return false;
    akin_engine_job_info info = l->j->info;
    l->rc = read_parameters(l->j, row->parameters, l->err);
    info.progress = (akin_progress){0};
    info.ended_ms = 0;
    info.message[0] = 0;
    l->j->info = info;
    return false;
}

akin_status akin_engine_job_resume(akin_engine *engine, uint64_t id,
                                   akin_error *err)
{
    akin_status rc = akin__writable(engine, err);
    if (rc) return rc;
    pthread_mutex_lock(&engine->jobs->lock);
    job *old = find(engine->jobs, id);
    bool active = old && !ended(old);
    if (old && !active) old->info.id = 0; /* the new one takes its place */
    pthread_mutex_unlock(&engine->jobs->lock);
    if (active)
        return akin_fail(err, AKIN_EXISTS, "job %llu is running",
                         (unsigned long long)id);
    job *j = akin_calloc(1, sizeof *j);
    if (!j) return akin__nomem(err);
    loading l = {.j = j, .rc = AKIN_NOT_FOUND, .err = err};
    rc = akin_storage_jobs(engine->storage, id, 1, load_row, &l, err);
    if (!rc) rc = l.rc;
    if (!rc && j->info.state == AKIN_ENGINE_JOB_DONE)
        rc = akin_fail(err, AKIN_INVALID, "job %llu is done",
                       (unsigned long long)id);
    if (rc) {
        job_free(j);
        return rc == AKIN_NOT_FOUND ? no_job(id, err) : rc;
    }
    return launch(engine->jobs, j, err);
}

akin_status akin_engine_job_cancel(akin_engine *engine, uint64_t id,
                                   akin_error *err)
{
    pthread_mutex_lock(&engine->jobs->lock);
    job *j = find(engine->jobs, id);
    bool active = j && !ended(j);
    if (active) j->cancel = true;
    pthread_cond_broadcast(&engine->jobs->changed);
    pthread_mutex_unlock(&engine->jobs->lock);
    if (active) return AKIN_OK;
    akin_engine_job_info info;
    akin_status rc = akin_engine_job_get(engine, id, &info, err);
    return rc ? rc
              : akin_fail(err, AKIN_INVALID, "job %llu is %s",
                          (unsigned long long)id, state_names[info.state]);
}

static bool copy_info(akin__jobs *jobs, uint64_t id, akin_engine_job_info *out)
{
    pthread_mutex_lock(&jobs->lock);
    job *j = find(jobs, id);
    if (j) *out = j->info;
    pthread_mutex_unlock(&jobs->lock);
    return j != NULL;
}

typedef struct {
    akin__jobs *jobs;
    akin_engine_job_info *infos;
    size_t n, capacity;
    bool failed;
} listing;

static bool list_row(void *user, const akin_job_info *row)
{
    listing *l = user;
    if (akin_grow(&l->infos, &l->capacity, l->n + 1, sizeof *l->infos, NULL)) {
        l->failed = true;
        return false;
    }
    akin_engine_job_info *out = &l->infos[l->n];
    if (copy_info(l->jobs, row->job, out) || info_of_row(row, out)) l->n++;
    return true;
}

akin_status akin_engine_job_get(akin_engine *engine, uint64_t id,
                                akin_engine_job_info *out, akin_error *err)
{
    if (id && copy_info(engine->jobs, id, out)) return AKIN_OK;
    listing l = {.jobs = engine->jobs};
    akin_status rc = AKIN_OK;
    if (id) rc = akin_storage_jobs(engine->storage, id, 1, list_row, &l, err);
    if (!rc && l.failed) rc = akin__nomem(err);
    if (!rc && !l.n) rc = no_job(id, err);
    if (!rc) *out = l.infos[0];
    akin_free(l.infos);
    return rc;
}

akin_status akin_engine_job_list(akin_engine *engine,
                                 akin_engine_job_info **out, size_t *n,
                                 akin_error *err)
{
    enum { NEWEST = 1000 };
    listing l = {.jobs = engine->jobs};
    akin_status rc =
        akin_storage_jobs(engine->storage, 0, NEWEST, list_row, &l, err);
    if (!rc && !l.infos) l.infos = akin_alloc(1);
    if (!rc && (l.failed || !l.infos)) rc = akin__nomem(err);
    if (rc) {
        akin_free(l.infos);
        return rc;
    }
    *out = l.infos;
    *n = l.n;
    return AKIN_OK;
}

akin_status akin_engine_job_wait(akin_engine *engine, uint64_t id,
                                 uint32_t timeout_ms, akin_engine_job_info *out,
                                 akin_error *err)
{
    akin__jobs *jobs = engine->jobs;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    bool late = false;
    pthread_mutex_lock(&jobs->lock);
    for (job *j; (j = find(jobs, id)) && !ended(j) && !late;)
        late = pthread_cond_timedwait(&jobs->changed, &jobs->lock, &until) ==
               ETIMEDOUT;
    pthread_mutex_unlock(&jobs->lock);
    akin_status rc = akin_engine_job_get(engine, id, out, err);
    if (!rc && late && out->state <= AKIN_ENGINE_JOB_RUNNING)
        rc = akin_fail(err, AKIN_TIMEOUT, "job %llu is still %s",
                       (unsigned long long)id, state_names[out->state]);
    return rc;
}

static bool add_failure(void *user, akin_span item, const char *message)
{
    akin_report *out = user;
    akin_failure *f = &out->failures[out->nfailures];
    f->what = akin_strndup(item.data ? item.data : "", item.size);
    f->message = akin_strdup(message);
    if (!f->what || !f->message) {
        akin_free(f->what);
        akin_free(f->message);
        return false;
    }
    return ++out->nfailures < AKIN_MAX_FAILURES;
}

akin_status akin_engine_job_report(akin_engine *engine, uint64_t id,
                                   akin_report *out, akin_error *err)
{
    akin__jobs *jobs = engine->jobs;
    akin_engine_job_info info;
    akin_status rc = akin_engine_job_get(engine, id, &info, err);
    if (rc) return rc;

    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&jobs->lock);
    job *j = find(jobs, id);
    if (j)
        rc = j->meter ? akin__meter_copy(j->meter, out, err)
                      : akin__report_copy(&j->report, out, err);
    pthread_mutex_unlock(&jobs->lock);
    if (j) return rc;

    out->progress = info.progress;
    out->seconds = (double)(info.ended_ms - info.started_ms) / 1000;
    out->failures = akin_calloc(AKIN_MAX_FAILURES, sizeof *out->failures);
    if (!out->failures) return akin__nomem(err);
    rc = akin_storage_job_errors(engine->storage, id, add_failure, out, err);
    if (rc) akin_report_clear(out);
    return rc;
}
