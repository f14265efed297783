/* Long work: started here, done by the engine in the background, watched with
 * AKIN.JOB. */
#include <string.h>

#include "commands.h"

#define WAIT_STEP_MS 100 /* how late a wait notices that the server stops */
#define MAX_WAITS    8   /* at once: of the 16 threads of server_tasks.c */
#define MAX_PATHS    4096

/* ---- AKIN.INGEST ------------------------------------------------------------------ */

typedef struct {
    char collection[AKIN_NAME_BYTES + 1];
    akin_ingest source;
} ingestion;

/* Options come before the paths. *paths is for akin_free. */
static akin_status ingest_parse(akin_call *c, ingestion *in,
                                const char ***paths, akin_error *err)
{
    akin_args args = akin_args_of(c, 2);
    const struct {
        const char *word;
        bool *set;
    } switches[] = {{"FLAT", &in->source.flat},
                    {"HIDDEN", &in->source.hidden},
                    {"FOLLOW", &in->source.follow_links},
                    {"FORCE", &in->source.force},
                    {"PRUNE", &in->source.prune}};
    akin_status rc = akin_collection_name(c->argv[1], in->collection, err);
    for (bool option = true; option && !rc;) {
        option = false;
        for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
            if (akin_args_word(&args, switches[i].word))
                option = *switches[i].set = true;
        if (akin_args_word(&args, "CAPTIONS")) {
            option = true;
            rc = akin_args_captions(&args, &in->source.captions, err);
        }
    }
    if (rc) return rc;
    size_t n = args.n - args.at;
    if (!n || n > MAX_PATHS)
        return akin_fail(err, AKIN_INVALID, "expected 1 to %d paths",
                         MAX_PATHS);
    *paths = akin_calloc(n, sizeof **paths);
    if (!*paths) return akin_fail(err, AKIN_NOMEM, "no memory for the paths");
    for (size_t i = 0; i < n; i++) {
        akin_span path = args.argv[args.at + i];
        if (!path.size || memchr(path.data, 0, path.size))
            return akin_fail(err, AKIN_INVALID, "a path is empty or has a NUL");
        (*paths)[i] = path.data;
    }
    in->source.paths = *paths;
    in->source.npaths = n;
    return AKIN_OK;
}

akin_status akin_cmd_ingest(akin_call *c, akin_error *err)
{
    ingestion in = {0};
    const char **paths = NULL;
    uint64_t id;
    akin_status rc = ingest_parse(c, &in, &paths, err);
    if (!rc) {
        akin_engine_job_request request = {.kind = AKIN_ENGINE_JOB_INGEST,
                                           .collection = in.collection,
                                           .ingest = &in.source};
        rc = akin_engine_job_start(c->service->engine, &request, &id, err);
    }
    if (!rc) akin_reply_int(c->reply, (int64_t)id);
    akin_free(paths);
    return rc;
}

/* ---- AKIN.JOB --------------------------------------------------------------------- */

static void job_map(akin_reply *r, const akin_engine_job_info *job)
{
    const akin_progress *p = &job->progress;
    akin_reply_map(r, 18);
    akin_reply_row_int(r, "id", job->id);
    akin_reply_row_text(r, "kind", akin_engine_job_kind_text(job->kind));
    akin_reply_row_text(r, "state", akin_engine_job_state_text(job->state));
    akin_reply_row_text(r, "collection", job->collection);
    akin_reply_row_text(r, "what", job->what);
    akin_reply_row_text(r, "phase", p->phase);
    akin_reply_row_int(r, "done", p->done);
    akin_reply_row_int(r, "total", p->total);
    akin_reply_row_int(r, "added", p->added);
    akin_reply_row_int(r, "updated", p->updated);
    akin_reply_row_int(r, "unchanged", p->skipped);
    akin_reply_row_int(r, "failed", p->failed);
    akin_reply_row_int(r, "bytes", p->bytes);
    akin_reply_text(r, "rate");
    akin_reply_double(r, p->rate);
    akin_reply_text(r, "seconds_left");
    if (p->seconds_left < 0)
        akin_reply_null(r);
    else
        akin_reply_double(r, p->seconds_left);
    akin_reply_row_int(r, "started", (uint64_t)job->started_ms);
    akin_reply_row_int(r, "ended", (uint64_t)job->ended_ms);
    akin_reply_row_text(r, "message", job->message);
}

static akin_status job_list(akin_call *c, akin_error *err)
{
    akin_engine_job_info *jobs = NULL;
    size_t n = 0;
    akin_status rc = akin_engine_job_list(c->service->engine, &jobs, &n, err);
    if (rc) return rc;
    akin_reply_array(c->reply, n);
    for (size_t i = 0; i < n; i++)
        job_map(c->reply, &jobs[i]);
    akin_free(jobs);
    return AKIN_OK;
}

/* Waits in short steps, so that the server can end meanwhile. */
static akin_status wait_in_steps(akin_call *c, uint64_t id, int64_t timeout_ms,
                                 akin_engine_job_info *job, akin_error *err)
{
    int64_t waited = 0;
    akin_status rc;
    do {
        int64_t step = timeout_ms - waited;
        if (step > WAIT_STEP_MS) step = WAIT_STEP_MS;
        rc = akin_engine_job_wait(c->service->engine, id, (uint32_t)step, job,
                                  err);
        waited += WAIT_STEP_MS;
    } while (rc == AKIN_TIMEOUT && waited < timeout_ms &&
             !atomic_load(&c->service->stopping));
    return rc;
}

/* A wait holds a thread, maybe for a day and for a client that has gone: on TCP
 * that looks the same as one that has nothing more to say. So they are few, and
 * the other threads are left to what does something. */
static akin_status job_wait(akin_call *c, uint64_t id, int64_t timeout_ms,
                            akin_error *err)
{
    akin_engine_job_info job;
    atomic_uint *waits = &c->service->waits;
    akin_status rc = akin_engine_job_wait(c->service->engine, id, 0, &job, err);
    if (rc == AKIN_TIMEOUT && timeout_ms) {
        if (atomic_fetch_add(waits, 1) < MAX_WAITS)
            rc = wait_in_steps(c, id, timeout_ms, &job, err);
        else
            rc = akin_fail(err, AKIN_BUSY,
                           "%d clients wait for jobs already; AKIN.JOB id says "
                           "at once how one stands",
                           MAX_WAITS);
        atomic_fetch_sub(waits, 1);
    }
    if (rc && rc != AKIN_TIMEOUT) return rc;
    job_map(c->reply, &job); /* ended or not: `state` says */
    return AKIN_OK;
}

static akin_status job_failures(akin_call *c, uint64_t id, akin_error *err)
{
    akin_report report = {0};
    akin_status rc =
        akin_engine_job_report(c->service->engine, id, &report, err);
    if (!rc) {
        akin_reply_array(c->reply, report.nfailures);
        for (size_t i = 0; i < report.nfailures; i++) {
            akin_reply_array(c->reply, 2);
            akin_reply_text(c->reply, report.failures[i].what);
            akin_reply_text(c->reply, report.failures[i].message);
        }
    }
    akin_report_clear(&report);
    return rc;
}

static akin_status job_get(akin_call *c, uint64_t id, akin_error *err)
{
    akin_engine_job_info job;
    akin_status rc = akin_engine_job_get(c->service->engine, id, &job, err);
    if (!rc) job_map(c->reply, &job);
    return rc;
}

akin_status akin_cmd_job(akin_call *c, akin_error *err)
{
    akin_args args = akin_args_of(c, 1);
    int64_t id, timeout_ms = 3600000;
    akin_status rc;

    if (akin_args_word(&args, "LIST")) return job_list(c, err);
    bool wait = akin_args_word(&args, "WAIT");
    bool cancel = !wait && akin_args_word(&args, "CANCEL");
    bool resume = !wait && !cancel && akin_args_word(&args, "RESUME");
    bool failures =
        !wait && !cancel && !resume && akin_args_word(&args, "FAILURES");
    rc = akin_args_int(&args, "job", 1, INT64_MAX, &id, err);
    if (!rc && wait && args.at < args.n)
        rc = akin_args_int(&args, "timeout", 0, 86400000, &timeout_ms, err);
    if (!rc && args.at < args.n) rc = akin_bad_option(args.argv[args.at], err);
    if (rc) return rc;
    if (wait) return job_wait(c, (uint64_t)id, timeout_ms, err);
    if (failures) return job_failures(c, (uint64_t)id, err);
    if (!cancel && !resume) return job_get(c, (uint64_t)id, err);
    rc = (cancel ? akin_engine_job_cancel : akin_engine_job_resume)(
        c->service->engine, (uint64_t)id, err);
    if (!rc) akin_reply_simple(c->reply, "OK");
    return rc;
}

/* ---- trust ------------------------------------------------------------------------ */

static bool go_on(void *user, const akin_progress *progress)
{
    const akin_service *service = user;
    (void)progress;
    return !atomic_load(&service->stopping);
}

akin_status akin_cmd_check(akin_call *c, akin_error *err)
{
    akin_args args = akin_args_of(c, 1);
    char name[AKIN_NAME_BYTES + 1];
    akin_check_report report = {0};
    akin_span collection = {0};
    akin_status rc = AKIN_OK;

    if (args.n > 1 && !akin_span_is(args.argv[1], "REPAIR"))
        collection = args.argv[args.at++];
    bool repair = akin_args_word(&args, "REPAIR");
    if (args.at < args.n) return akin_bad_option(args.argv[args.at], err);
    if (collection.data) rc = akin_collection_name(collection, name, err);
    if (!rc)
        rc =
            akin_engine_check(c->service->engine, collection.data ? name : NULL,
                              repair, go_on, c->service, &report, err);
    if (!rc) {
        akin_reply_map(c->reply, 5);
        akin_reply_row_int(c->reply, "items", report.items);
        akin_reply_row_int(c->reply, "vectors", report.vectors);
        akin_reply_row_int(c->reply, "problems", report.problems);
        akin_reply_row_int(c->reply, "repaired", report.repaired);
        akin_reply_text(c->reply, "messages");
        akin_reply_array(c->reply, report.nmessages);
        for (size_t i = 0; i < report.nmessages; i++)
            akin_reply_text(c->reply, report.messages[i]);
    }
    akin_check_report_clear(&report);
    return rc;
}

akin_status akin_cmd_save(akin_call *c, akin_error *err)
{
    akin_status rc = akin_engine_save(c->service->engine, err);
    if (!rc) akin_reply_simple(c->reply, "OK");
    return rc;
}
