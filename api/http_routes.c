/* The table of routes, and finding one's row. Literal paths stand before those
 * with a {name} in the same place. A path is cut at its slashes before it is
 * decoded, so that an id may hold a slash as %2F. */
#include "http_handlers.h"
#include "http_internal.h"

#include <stdio.h>
#include <string.h>

#define COLLECTION "/collections/{collection}"
#define POINTS     COLLECTION "/points"

static const akin_http_route table[] = {
    {"GET", "/", "root", HTTP_OPEN | HTTP_RAW | HTTP_LOOP, akin__http_root,
     "service", "The gallery for a browser, the version for a program", NULL,
     NULL},
    {"GET", "/gallery/{file}", "gallery", HTTP_OPEN | HTTP_RAW | HTTP_LOOP,
     akin__http_gallery_file, "service", "A file of the gallery", NULL, NULL},
    {"GET", "/healthz", "healthz", HTTP_OPEN | HTTP_RAW | HTTP_LOOP,
     akin__http_healthz, "service", "The process is alive", NULL, NULL},
    {"GET", "/livez", "livez", HTTP_OPEN | HTTP_RAW | HTTP_LOOP,
     akin__http_healthz, "service", "The process is alive", NULL, NULL},
    {"GET", "/readyz", "readyz", HTTP_OPEN | HTTP_RAW, akin__http_readyz,
     "service", "Requests can be answered", NULL, NULL},
    {"GET", "/metrics", "metrics", HTTP_RAW, akin__http_metrics, "service",
     "Counters in the text format of Prometheus", NULL, NULL},
    {"GET", "/openapi.json", "openapi", HTTP_OPEN | HTTP_RAW,
     akin__http_openapi, "service", "This description", NULL, NULL},

    /* collections */
    {"GET", "/collections", "get_collections", 0, akin__http_collections,
     "collections", "Names of all collections", NULL, "CollectionNames"},
    {"GET", COLLECTION, "get_collection", 0, akin__http_collection,
     "collections", "Size, model and index of a collection", NULL,
     "Collection"},
    {"PUT", COLLECTION, "create_collection", HTTP_JSON,
     akin__http_create_collection, "collections",
     "Create a collection of the model of the server, or of raw vectors",
     "CreateCollection", "Boolean"},
    {"PATCH", COLLECTION, "update_collection", HTTP_JSON,
     akin__http_update_collection, "collections",
     "Taken for compatibility, changes nothing", "Any", "Boolean"},
    {"DELETE", COLLECTION, "delete_collection", HTTP_AUDIT,
     akin__http_delete_collection, "collections",
     "Delete a collection and everything in it", NULL, "Boolean"},
    {"POST", "/collections/aliases", "update_aliases", HTTP_JSON,
     akin__http_change_aliases, "aliases",
     "Give collections other names, all actions or none", "Aliasing",
     "Boolean"},
    {"GET", "/aliases", "get_aliases", 0, akin__http_aliases, "aliases",
     "Aliases of all collections", NULL, "Aliases"},
    {"GET", COLLECTION "/aliases", "get_collection_aliases", 0,
     akin__http_collection_aliases, "aliases", "Aliases of a collection", NULL,
     "Aliases"},
    {"GET", COLLECTION "/exists", "collection_exists", 0,
     akin__http_collection_exists, "collections",
     "Whether a collection is there", NULL, "Exists"},
    {"PUT", COLLECTION "/index", "create_index", HTTP_JSON | HTTP_SLOW,
     akin__http_create_index, "collections",
     "Give a field of the payload an index", "CreateIndex", "Update"},
    {"DELETE", COLLECTION "/index/{field}", "delete_index", HTTP_SLOW,
     akin__http_delete_index, "collections",
     "Drop the index of a field of the payload", NULL, "Update"},
    {"POST", COLLECTION "/rebuild", "rebuild_index", 0, akin__http_rebuild,
     "jobs", "Build the indexes anew, as a job", NULL, "Job"},

    /* snapshots */
    {"GET", "/snapshots", "list_full_snapshots", 0, akin__http_snapshots,
     "snapshots", "Snapshots of the whole store", NULL, "Snapshots"},
    {"POST", "/snapshots", "create_full_snapshot", HTTP_SLOW,
     akin__http_create_snapshot, "snapshots", "Copy the whole store", NULL,
     "Snapshot"},
    {"GET", "/snapshots/{snapshot}", "get_full_snapshot", HTTP_RAW,
     akin__http_get_snapshot, "snapshots", "Its file, also by ranges", NULL,
     NULL},
    {"DELETE", "/snapshots/{snapshot}", "delete_full_snapshot", HTTP_AUDIT,
     akin__http_delete_snapshot, "snapshots", "Delete it", NULL, "Boolean"},
    {"GET", COLLECTION "/snapshots", "list_snapshots", 0, akin__http_snapshots,
     "snapshots", "Snapshots of a collection", NULL, "Snapshots"},
    {"POST", COLLECTION "/snapshots", "create_snapshot", HTTP_SLOW,
     akin__http_create_snapshot, "snapshots", "Copy a collection", NULL,
     "Snapshot"},
    {"PUT", COLLECTION "/snapshots/recover", "recover_snapshot",
     HTTP_JSON | HTTP_SLOW | HTTP_AUDIT, akin__http_recover_snapshot,
     "snapshots", "Make a collection what it was in a snapshot", "Recover",
     "Boolean"},
    {"GET", COLLECTION "/snapshots/{snapshot}", "get_snapshot", HTTP_RAW,
     akin__http_get_snapshot, "snapshots", "Its file, also by ranges", NULL,
     NULL},
    {"DELETE", COLLECTION "/snapshots/{snapshot}", "delete_snapshot",
     HTTP_AUDIT, akin__http_delete_snapshot, "snapshots", "Delete it", NULL,
     "Boolean"},

    /* points: putting and changing */
    {"PUT", POINTS, "upsert_points", HTTP_JSON, akin__http_put_points, "points",
     "Put points, replacing those of the same ids", "Upsert", "Update"},
    {"POST", POINTS, "get_points", HTTP_JSON, akin__http_get_points, "points",
     "Points by id", "GetPoints", "Records"},
    {"PUT", POINTS "/vectors", "update_vectors", HTTP_JSON,
     akin__http_put_vectors, "points",
     "Replace vectors of points, and nothing else of them", "Upsert", "Update"},
    {"POST", POINTS "/vectors/delete", "delete_vectors", HTTP_JSON | HTTP_AUDIT,
     akin__http_delete_vectors, "points",
     "Delete vectors of points, and nothing else of them", "DeleteVectors",
     "Update"},
    {"POST", POINTS "/delete", "delete_points", HTTP_JSON | HTTP_AUDIT,
     akin__http_delete_points, "points", "Delete points by id or filter",
     "PointSelector", "Update"},
    {"POST", POINTS "/payload", "set_payload", HTTP_JSON,
     akin__http_set_payload, "points", "Merge into the payload of points",
     "SetPayload", "Update"},
    {"PUT", POINTS "/payload", "overwrite_payload", HTTP_JSON,
     akin__http_overwrite_payload, "points", "Replace the payload of points",
     "SetPayload", "Update"},
    {"POST", POINTS "/payload/delete", "delete_payload", HTTP_JSON,
     akin__http_delete_payload, "points",
     "Delete keys of the payload of points", "DeletePayload", "Update"},
    {"POST", POINTS "/payload/clear", "clear_payload", HTTP_JSON,
     akin__http_clear_payload, "points", "Remove the payload of points",
     "PointSelector", "Update"},
    {"POST", POINTS "/batch", "batch_update", HTTP_JSON | HTTP_AUDIT,
     akin__http_batch, "points", "Several changes in order", "Batch",
     "Updates"},
    {"POST", POINTS "/upload", "upload", HTTP_FORM | HTTP_SLOW,
     akin__http_upload, "points", "Put pictures sent as multipart/form-data",
     "Form", "Outcomes"},
    {"POST", POINTS "/bulk", "bulk", HTTP_RAW | HTTP_CHUNKS | HTTP_SLOW,
     akin__http_bulk, "points", "Put points, one of JSON a line", "Lines",
     NULL},

    /* points: questions */
    {"POST", POINTS "/query", "query_points", HTTP_JSON,
     akin__http_query_points, "search",
     "Find points: nearest, recommend, discover, fused", "Query", "Points"},
    {"POST", POINTS "/query/batch", "query_batch", HTTP_JSON,
     akin__http_query_batch, "search", "Several queries", "Queries",
     "PointLists"},
    {"POST", POINTS "/query/groups", "query_groups", HTTP_JSON,
     akin__http_groups, "search",
     "Find points, grouped by a field of the payload", "Groups", "GroupList"},
    {"POST", POINTS "/search", "search_points", HTTP_JSON,
     akin__http_search_points, "search", "Find the nearest points", "Search",
     "ScoredPoints"},
    {"POST", POINTS "/search/batch", "search_batch", HTTP_JSON,
     akin__http_search_batch, "search", "Several searches", "Queries",
     "ScoredLists"},
    {"POST", POINTS "/search/groups", "search_groups", HTTP_JSON,
     akin__http_groups, "search", "Search, grouped by a field of the payload",
     "Groups", "GroupList"},
    {"POST", POINTS "/recommend", "recommend_points", HTTP_JSON,
     akin__http_search_points, "search",
     "Find points like some and unlike others", "Recommend", "ScoredPoints"},
    {"POST", POINTS "/recommend/batch", "recommend_batch", HTTP_JSON,
     akin__http_search_batch, "search", "Several recommendations", "Queries",
     "ScoredLists"},
    {"POST", POINTS "/recommend/groups", "recommend_groups", HTTP_JSON,
     akin__http_groups, "search",
     "Recommend, grouped by a field of the payload", "Groups", "GroupList"},
    {"POST", POINTS "/discover", "discover_points", HTTP_JSON,
     akin__http_search_points, "search",
     "Find points near a target, on one side of pairs", "Discover",
     "ScoredPoints"},
    {"POST", POINTS "/discover/batch", "discover_batch", HTTP_JSON,
     akin__http_search_batch, "search", "Several discoveries", "Queries",
     "ScoredLists"},
    {"POST", POINTS "/scroll", "scroll_points", HTTP_JSON, akin__http_scroll,
     "search", "Page through points", "Scroll", "Page"},
    {"POST", POINTS "/count", "count_points", HTTP_JSON, akin__http_count,
     "search", "Count points", "Count", "Counted"},
    {"POST", COLLECTION "/facet", "facet", HTTP_JSON, akin__http_facet,
     "search", "Count the values of a field of the payload", "Facet",
     "FacetHits"},
    {"GET", COLLECTION "/fields", "fields", 0, akin__http_fields, "collections",
     "Names of the fields in the payloads, by a sample", NULL, "Fields"},
    {"POST", COLLECTION "/duplicates", "duplicates", HTTP_JSON | HTTP_SLOW,
     akin__http_duplicates, "duplicates",
     "Groups of duplicate pictures, with the evidence", "Duplicates",
     "DuplicatePage"},
    {"POST", COLLECTION "/duplicates/dismiss", "dismiss_duplicates", HTTP_JSON,
     akin__http_dismiss, "duplicates",
     "These are no duplicates of each other; undo: they may be", "Dismiss",
     "Boolean"},
    {"POST", COLLECTION "/duplicates/keep", "keep_duplicate", HTTP_JSON,
     akin__http_keep, "duplicates",
     "Keep one point, with what is known of the others, and delete those",
     "Keep", "Kept"},
    {"GET", POINTS "/{id}", "get_point", 0, akin__http_get_point, "points",
     "A point, ?details=1 with what is known of its picture", NULL, "Record"},
    {"GET", POINTS "/{id}/thumbnail", "thumbnail", HTTP_RAW,
     akin__http_thumbnail, "points", "The small picture of a point", NULL,
     NULL},

    /* embeddings and jobs */
    {"POST", "/v1/embeddings", "embeddings", HTTP_RAW | HTTP_JSON,
     akin__http_embeddings, "embeddings", "Embed texts and pictures", "Embed",
     "Embeddings"},
    {"GET", "/jobs", "get_jobs", 0, akin__http_jobs, "jobs",
     "Long work, newest first", NULL, "Jobs"},
    {"GET", "/jobs/events", "job_events", HTTP_RAW | HTTP_LOOP | HTTP_EVENTS,
     akin__http_job_events, "jobs",
     "The list of jobs as server-sent events, when it changes", NULL, NULL},
    {"GET", "/jobs/{job}", "get_job", 0, akin__http_job, "jobs", "One job",
     NULL, "Job"},
    {"POST", "/jobs/{job}/cancel", "cancel_job", 0, akin__http_job_cancel,
     "jobs", "Stop a job, it can be resumed", NULL, "Job"},
    {"POST", "/jobs/{job}/resume", "resume_job", 0, akin__http_job_resume,
     "jobs", "Go on with a job that was stopped", NULL, "Job"},
};

const akin_http_route *akin__http_routes(size_t *n)
{
    *n = sizeof table / sizeof *table;
    return table;
}

/* ---- paths ----------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f') return (c | 32) - 'a' + 10;
    return -1;
}

bool akin__http_unescape(char *text)
{
    char *out = text;

    for (const char *in = text; *in; in++) {
        char c = *in;
        if (c == '%') {
            int high = hex(in[1]), low = high < 0 ? -1 : hex(in[2]);
            if (low < 0 || !(high | low)) return false;
            c = (char)(high << 4 | low);
            in += 2;
        }
        *out++ = c;
    }
    *out = 0;
    return true;
}

static akin_status cut_query(akin_http_call *call, char *query, akin_error *err)
{
    char *save = NULL;

    for (char *pair = strtok_r(query, "&", &save); pair;
         pair = strtok_r(NULL, "&", &save)) {
        char *equal = strchr(pair, '=');
        if (call->nquery == HTTP_QUERY)
            return akin_fail(err, AKIN_INVALID,
                             "at most %d query parameters are taken",
                             HTTP_QUERY);
        if (equal) *equal++ = 0;
        for (char *c = equal; c && *c; c++)
            if (*c == '+') *c = ' ';
        if (!akin__http_unescape(pair) ||
            (equal && !akin__http_unescape(equal)))
            return akin_fail(err, AKIN_INVALID, "malformed %%XX in the query");
        call->names[call->nquery] = pair;
        call->values[call->nquery++] = equal ? equal : pair + strlen(pair);
    }
    return AKIN_OK;
}

const char *akin__http_query(const akin_http_call *call, const char *name)
{
    for (size_t i = 0; i < call->nquery; i++)
        if (!strcmp(call->names[i], name)) return call->values[i];
    return NULL;
}

/* Compares one path with one pattern; params: where each {name} began. */
static bool matches(const char *pattern, const char *path,
                    const char *params[HTTP_PARAMS], size_t *nparams)
{
    *nparams = 0;
    while (*pattern || *path) {
        if (*pattern == '{') {
            if (*path == '/' || !*path) return false;
            params[(*nparams)++] = path;
            pattern = strchr(pattern, '}') + 1;
            path += strcspn(path, "/");
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return true;
}

/* "/collections/" is "/collections". */
static void drop_last_slash(char *path)
{
    size_t n = strlen(path);
    if (n > 1 && path[n - 1] == '/') path[n - 1] = 0;
}

/* The path's row; other methods' names go to call->allow. */
static const akin_http_route *find(akin_http_call *call, const char *method,
                                   const char *params[HTTP_PARAMS],
                                   size_t *nparams)
{
    const char *wanted = strcmp(method, "HEAD") ? method : "GET";
    size_t n;
    const akin_http_route *routes = akin__http_routes(&n);

    for (size_t i = 0; i < n; i++) {
        if (!matches(routes[i].path, call->target, params, nparams)) continue;
        if (!strcmp(routes[i].method, wanted)) {
            call->allow[0] = 0;
            return &routes[i];
        }
        size_t used = strlen(call->allow);
        if (!strstr(call->allow, routes[i].method))
            snprintf(call->allow + used, sizeof call->allow - used, "%s%s",
                     used ? ", " : "", routes[i].method);
    }
    return NULL;
}

akin_status akin__http_route(akin_http_call *call, const char *method,
                             akin_error *err)
{
    const char *params[HTTP_PARAMS];
    size_t n;
    char *query = strchr(call->target, '?');

    if (query) *query++ = 0;
    drop_last_slash(call->target);
    call->route = find(call, method, params, &n);
    if (!call->route && call->allow[0])
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "%s is not possible here, but %s is", method,
                         call->allow);
    if (!call->route)
        return akin_fail(err, AKIN_NOT_FOUND,
                         "no such path; /openapi.json lists those that are "
                         "there");
    for (size_t i = 0; i < n; i++) {
        char *param = (char *)params[i];
        param[strcspn(param, "/")] = 0; /* the last slash before the next */
        call->params[i] = param;
    }
    for (size_t i = 0; i < n; i++)
        if (!akin__http_unescape(call->params[i]))
            return akin_fail(err, AKIN_INVALID, "malformed %%XX in the path");
    return query ? cut_query(call, query, err) : AKIN_OK;
}
