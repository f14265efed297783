/* Snapshots of a collection, and of the whole store when the path names none. */
#include "http_handlers.h"
#include "http_points.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *collection_of(const akin_http_call *call)
{
    bool of_one = !strncmp(call->route->path, "/collections/", 13);
    return of_one ? call->params[0] : NULL;
}

static const char *name_of(const akin_http_call *call)
{
    return collection_of(call) ? call->params[1] : call->params[0];
}

static akin_status check(akin_http_call *call, akin_error *err)
{
    const char *collection = collection_of(call);
    return collection ? akin__http_check_collection(call, collection, err)
                      : AKIN_OK;
}

static void write_snapshot(akin_buf *out, const akin_snapshot_info *s)
{
    time_t seconds = (time_t)(s->created_ms / 1000);
    struct tm tm;
    char stamp[32];

    gmtime_r(&seconds, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    akin_buf_text(out, "{\"name\":");
    akin_json_text(out, s->name);
    akin_buf_printf(
        out,
        ",\"creation_time\":\"%s\",\"size\":%" PRIu64 ",\"checksum\":", stamp,
        s->size);
    akin_json_text(out, s->sha256[0] ? s->sha256 : NULL);
    akin_buf_text(out, "}");
}

static bool go_on(void *user, const akin_progress *progress)
{
    const akin_http_call *call = user;
    (void)progress;
    return !atomic_load(&call->service->stopping);
}

akin_status akin__http_create_snapshot(akin_http_call *call, akin_error *err)
{
    akin_snapshot_info made;
    akin_status rc = check(call, err);

    if (!rc)
        rc = akin_engine_snapshot_create(call->engine, collection_of(call),
                                         go_on, call, &made, err);
    if (!rc) write_snapshot(&call->out, &made);
    return rc;
}

akin_status akin__http_snapshots(akin_http_call *call, akin_error *err)
{
    akin_snapshot_info *list = NULL;
    size_t n = 0;
    akin_status rc = check(call, err);

    if (!rc)
        rc = akin_engine_snapshots(call->engine, collection_of(call), &list, &n,
                                   err);
    akin_buf_text(&call->out, "[");
    for (size_t i = 0; !rc && i < n; i++) {
        if (i) akin_buf_text(&call->out, ",");
        write_snapshot(&call->out, &list[i]);
    }
    akin_buf_text(&call->out, "]");
    akin_free(list);
    return rc;
}

static akin_status not_there(akin_status rc, const char *name, akin_error *err)
{
    return rc == AKIN_NOT_FOUND
               ? akin_fail(err, rc, "Not found: Snapshot %.255s not found",
                           name)
               : rc;
}

/* {"location": NAME or "file://...", "checksum"} */
akin_status akin__http_recover_snapshot(akin_http_call *call, akin_error *err)
{
    const char *location = NULL, *checksum = NULL;

    akin_status rc = akin_json_get_text(call->json, "location", &location, err);
    if (!rc) rc = akin_json_get_text(call->json, "checksum", &checksum, err);
    if (!rc && !location)
        rc = akin_fail(err, AKIN_INVALID,
                       "Validation error in JSON body: `location` is missing");
    if (!rc)
        rc = akin_engine_snapshot_recover(call->engine, call->params[0],
                                          location, checksum, true, go_on, call,
                                          err);
    if (!rc) akin_buf_text(&call->out, "true");
    return not_there(rc, location, err);
}

akin_status akin__http_delete_snapshot(akin_http_call *call, akin_error *err)
{
    akin_status rc = check(call, err);

    if (rc) return rc;
    rc = akin_engine_snapshot_delete(call->engine, collection_of(call),
                                     name_of(call), err);
    if (!rc) akin_buf_text(&call->out, "true");
    return not_there(rc, name_of(call), err);
}

akin_status akin__http_get_snapshot(akin_http_call *call, akin_error *err)
{
    akin_snapshot_info found;
    akin_status rc = check(call, err);

    if (rc) return rc;
    rc = akin_engine_snapshot_open(call->engine, collection_of(call),
                                   name_of(call), &found, &call->file, err);
    if (rc) return not_there(rc, name_of(call), err);
    call->file_bytes = found.size;
    call->type = "application/x-tar";
    snprintf(call->etag, sizeof call->etag, "\"%.64s\"", found.sha256);
    snprintf(call->disposition, sizeof call->disposition,
             "attachment; filename=\"%.247s\"", found.name);
    return AKIN_OK;
}
