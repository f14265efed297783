/* Jobs: the engine's long work, listed, started, stopped, and (http_events.c)
 * told live. Over HTTP a job may rebuild an index; what reads the server's files
 * (ingest, another model) is for RESP and the command line. */
#include "http_handlers.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LISTED 50 /* jobs shown */

static void write_job(akin_buf *out, const akin_engine_job_info *job)
{
    const akin_progress *p = &job->progress;

    akin_buf_printf(out, "{\"id\":%" PRIu64 ",\"kind\":\"%s\",\"state\":\"%s\"",
                    job->id, akin_engine_job_kind_text(job->kind),
                    akin_engine_job_state_text(job->state));
    akin_buf_text(out, ",\"collection\":");
    akin_json_text(out, job->collection);
    akin_buf_text(out, ",\"what\":");
    akin_json_text(out, job->what);
    akin_buf_text(out, ",\"phase\":");
    akin_json_text(out, p->phase);
    akin_buf_printf(
        out,
        ",\"done\":%" PRIu64 ",\"total\":%" PRIu64 ",\"added\":%" PRIu64
        ",\"updated\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"failed\":%" PRIu64
        ",\"rate\":%.3g,\"seconds_left\":%.3g"
        ",\"started_ms\":%" PRId64 ",\"ended_ms\":%" PRId64 ",\"message\":",
        p->done, p->total, p->added, p->updated, p->skipped, p->failed, p->rate,
        p->seconds_left, job->started_ms, job->ended_ms);
    akin_json_text(out, job->message[0] ? job->message : NULL);
    akin_buf_text(out, "}");
}

akin_status akin__http_jobs_write(akin_engine *engine, akin_buf *out,
                                  akin_error *err)
{
    akin_engine_job_info *jobs = NULL;
    size_t n = 0;
    akin_status rc = akin_engine_job_list(engine, &jobs, &n, err);

    if (rc) return rc;
    akin_buf_text(out, "[");
    for (size_t i = 0; i < n && i < LISTED; i++) {
        if (i) akin_buf_text(out, ",");
        write_job(out, &jobs[i]);
    }
    akin_buf_text(out, "]");
    akin_free(jobs);
    return AKIN_OK;
}

akin_status akin__http_jobs(akin_http_call *call, akin_error *err)
{
    return akin__http_jobs_write(call->engine, &call->out, err);
}

/* The reply is written by http_events.c. */
akin_status akin__http_job_events(akin_http_call *call, akin_error *err)
{
    (void)call;
    (void)err;
    return AKIN_OK;
}

static akin_status job_number(const akin_http_call *call, uint64_t *out,
                              akin_error *err)
{
    char *end;

    *out = strtoull(call->params[0], &end, 10);
    if (*end || !*out)
        return akin_fail(err, AKIN_INVALID, "expected the number of a job");
    return AKIN_OK;
}

static akin_status write_one(akin_http_call *call, uint64_t id, akin_error *err)
{
    akin_engine_job_info job;
    akin_status rc = akin_engine_job_get(call->engine, id, &job, err);

    if (!rc) write_job(&call->out, &job);
    return rc;
}

akin_status akin__http_job(akin_http_call *call, akin_error *err)
{
    uint64_t id;
    akin_status rc = job_number(call, &id, err);

    return rc ? rc : write_one(call, id, err);
}

akin_status akin__http_job_cancel(akin_http_call *call, akin_error *err)
{
    uint64_t id;
    akin_status rc = job_number(call, &id, err);

    if (!rc) rc = akin_engine_job_cancel(call->engine, id, err);
    return rc ? rc : write_one(call, id, err);
}

akin_status akin__http_job_resume(akin_http_call *call, akin_error *err)
{
    uint64_t id;
    akin_status rc = job_number(call, &id, err);

    if (!rc) rc = akin_engine_job_resume(call->engine, id, err);
    return rc ? rc : write_one(call, id, err);
}

akin_status akin__http_rebuild(akin_http_call *call, akin_error *err)
{
    akin_engine_job_request request = {.kind = AKIN_ENGINE_JOB_REBUILD,
                                       .collection = call->params[0]};
    uint64_t id;

    akin_status rc = akin_engine_job_start(call->engine, &request, &id, err);
    return rc ? rc : write_one(call, id, err);
}
