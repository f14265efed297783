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
#include <stdlib.h>
#include <string.h>

#define SAVE_NS  2000000000u
#define MAX_JOBS 64 /* not ended at one time */
#define KEEP     64 /* ended ones kept in memory; storage has AKIN_MAX_JOBS */

typedef struct job {
    struct job *next; /* newer first */
    akin_engine *engine;
    akin__task task;
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

static bool ended(const job *j)
{
    return j->task.info.state != AKIN_ENGINE_JOB_QUEUED &&
           j->task.info.state != AKIN_ENGINE_JOB_RUNNING;
}

static void job_free(job *j)
{
    akin__task_clear(&j->task);
    akin_report_clear(&j->report);
    akin_free(j);
}

/* ---- running ------------------------------------------------------------------------------- */

static bool on_progress(void *user, const akin_progress *progress)
{
    job *j = user;
    akin__jobs *jobs = j->engine->jobs;
    akin_engine_job_info copy;
    uint64_t now = akin_mono_ns();

    pthread_mutex_lock(&jobs->lock);
    j->task.info.progress = *progress;
    bool save = now - j->saved_ns > SAVE_NS;
    if (save) j->saved_ns = now;
    bool go_on = !j->cancel && !jobs->closing;
    copy = j->task.info;
    pthread_mutex_unlock(&jobs->lock);
    if (save) akin__task_save(j->engine, &copy);
    return go_on;
}

static akin_status work(job *j, akin__meter *meter, akin_error *err)
{
    switch (j->task.info.kind) {
    case AKIN_ENGINE_JOB_INGEST:
        return akin__ingest(j->engine, j->task.info.collection, &j->task.ingest,
                            meter, err);
    case AKIN_ENGINE_JOB_REBUILD:
        return akin__rebuild(j->engine, j->task.info.collection, j->task.index,
                             meter, err);
    case AKIN_ENGINE_JOB_REINDEX:
        return akin__reindex(j->engine, j->task.info.collection,
                             j->task.model_dir, meter, err);
    }
    return akin_fail(err, AKIN_INVALID, "no such kind of job");
}

/* An older job of the same collection that has not ended. */
static bool must_wait(const job *j)
{
    for (const job *o = j->next; o; o = o->next)
        if (!ended(o) &&
            !strcmp(o->task.info.collection, j->task.info.collection))
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
    if (!stop) j->task.info.state = AKIN_ENGINE_JOB_RUNNING;
    pthread_mutex_unlock(&jobs->lock);

    akin_status rc = stop ? AKIN_CANCELLED : run(j, &report, &error);

    pthread_mutex_lock(&jobs->lock);
    akin_engine_job_info info = j->task.info;
    info.state = end_state(jobs, j, rc);
    if (info.state == AKIN_ENGINE_JOB_FAILED)
        snprintf(info.message, sizeof info.message, "%.*s",
                 (int)sizeof info.message - 1, error.message);
    if (!stop) info.progress = report.progress;
    info.ended_ms = akin_now_ms();
    j->report = report;
    pthread_mutex_unlock(&jobs->lock);
    /* On disk first: whoever waits and then looks finds it ended. */
    akin__task_save_failures(j->engine, info.id, &j->report);
    akin__task_save(j->engine, &info);

    pthread_mutex_lock(&jobs->lock);
    j->task.info = info;
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
    j->task.info.state = AKIN_ENGINE_JOB_QUEUED;
    j->task.info.started_ms = akin_now_ms();
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
    if (rc) { /* its row must not look as if it ran */
        j->task.info.state = AKIN_ENGINE_JOB_CANCELLED;
        akin__task_save(jobs->engine, &j->task.info);
        job_free(j);
    }
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
            if (ended(j) || strcmp(j->task.info.collection, collection) != 0)
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
        if (j->task.info.id == id) return j;
    return NULL;
}

static akin_status no_job(uint64_t id, akin_error *err)
{
    return akin_fail(err, AKIN_NOT_FOUND, "no job %llu",
                     (unsigned long long)id);
}

static akin_status fill_request(akin_engine *engine, job *j,
                                const akin_engine_job_request *request,
                                akin_error *err)
{
    static const akin_ingest nothing;
    const akin_ingest *in = request->ingest ? request->ingest : &nothing;
    const char *what = request->model_dir;

    if ((unsigned)request->kind > AKIN_ENGINE_JOB_REINDEX)
        return akin_fail(err, AKIN_INVALID, "no such kind of job");
    if (request->kind == AKIN_ENGINE_JOB_INGEST && !in->npaths)
        return akin_fail(err, AKIN_INVALID, "nothing to add was named");
    if (request->kind == AKIN_ENGINE_JOB_REINDEX && !request->model_dir)
        return akin_fail(err, AKIN_INVALID, "no model directory was named");
    akin__shape shape;
    akin_status rc = akin__shape_parse(request->index, &shape, err);
    if (rc) return rc;
    if (strlen(request->collection) > AKIN_NAME_BYTES)
        return akin_fail(err, AKIN_INVALID,
                         "the collection's name is too long");
    j->task.info.kind = request->kind;
    akin__real_name(engine, request->collection, j->task.info.collection);
    j->task.ingest = *in;
    rc = akin__task_set_paths(&j->task, in->paths, in->npaths, err);
    if (!rc && request->index && *request->index &&
        !(j->task.index = akin_strdup(request->index)))
        rc = akin__nomem(err);
    if (!what) what = request->index;
    if (!rc && request->model_dir &&
        !(j->task.model_dir = akin_strdup(request->model_dir)))
        rc = akin__nomem(err);
    if (!rc && !what && in->npaths) what = j->task.paths[0];
    snprintf(j->task.info.what, sizeof j->task.info.what, "%s",
             what ? what : "");
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
    rc = fill_request(engine, j, request, err);
    char *parameters = rc ? NULL : akin__task_parameters(&j->task);
    if (!rc && !parameters)
        rc = akin_fail(err, AKIN_INVALID, "a path is not UTF-8");
    if (!rc) {
        akin_write op = {
            .kind = AKIN_WRITE_JOB,
            .name = akin_span_of(akin_engine_job_kind_text(j->task.info.kind)),
            .settings = akin_span_of(parameters)};
        akin_write_result result = {0};
        rc = akin_storage_write(engine->storage, &op, 1, &result, err);
        if (!rc && result.status) {
            rc = result.status;
            if (err) *err = result.error;
        }
        j->task.info.id = *id = result.num;
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
    if (!akin__task_info(row, &l->j->task.info)) return false;
    akin_engine_job_info info = l->j->task.info;
    l->rc = akin__task_read(&l->j->task, row->parameters, l->err);
    info.progress = (akin_progress){0};
    info.ended_ms = 0;
    info.message[0] = 0;
    l->j->task.info = info;
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
    if (old && !active) old->task.info.id = 0; /* the new one takes its place */
    pthread_mutex_unlock(&engine->jobs->lock);
    if (active)
        return akin_fail(err, AKIN_EXISTS, "job %llu is running",
                         (unsigned long long)id);
    job *j = akin_calloc(1, sizeof *j);
    if (!j) return akin__nomem(err);
    loading l = {.j = j, .rc = AKIN_NOT_FOUND, .err = err};
    rc = akin_storage_jobs(engine->storage, id, 1, load_row, &l, err);
    if (!rc) rc = l.rc;
    if (!rc && j->task.info.state == AKIN_ENGINE_JOB_DONE)
        rc = akin_fail(err, AKIN_INVALID, "job %llu is done",
                       (unsigned long long)id);
    if (rc) {
        job_free(j);
        return rc == AKIN_NOT_FOUND ? no_job(id, err) : rc;
    }
    /* Not when it first tells how far it is: until then its row would be that of
     * an old job that has ended, and go when a new one comes. */
    j->task.info.state = AKIN_ENGINE_JOB_QUEUED;
    akin__task_save(engine, &j->task.info);
    return launch(engine->jobs, j, err);
}

typedef struct {
    uint64_t ids[MAX_JOBS];
    size_t n;
} unfinished;

static bool note_build(void *user, const akin_job_info *row)
{
    unfinished *u = user;
    akin_engine_job_info info;
    if (akin__task_info(row, &info) && info.kind == AKIN_ENGINE_JOB_REBUILD &&
        info.state == AKIN_ENGINE_JOB_INTERRUPTED)
        u->ids[u->n++] = info.id;
    return u->n < MAX_JOBS;
}

void akin__jobs_resume_builds(akin_engine *engine)
{
    enum { NEWEST = 100 };
    unfinished u = {.n = 0};
    akin_error error = {0};
    if (akin_storage_jobs(engine->storage, 0, NEWEST, note_build, &u, &error))
        akin_log(AKIN_LOG_WARN, "jobs: %s", error.message);
    while (u.n)
        if (akin_engine_job_resume(engine, u.ids[--u.n], &error))
            akin_log(AKIN_LOG_WARN, "job %llu is not resumed: %s",
                     (unsigned long long)u.ids[u.n], error.message);
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
                          (unsigned long long)id,
                          akin_engine_job_state_text(info.state));
}

static bool copy_info(akin__jobs *jobs, uint64_t id, akin_engine_job_info *out)
{
    pthread_mutex_lock(&jobs->lock);
    job *j = find(jobs, id);
    if (j) *out = j->task.info;
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
    if (copy_info(l->jobs, row->job, out) || akin__task_info(row, out)) l->n++;
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
                       (unsigned long long)id,
                       akin_engine_job_state_text(out->state));
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
