/* Groups: the best hits of each value of a payload field. The engine ranks
 * items, so more are asked for than are shown, and more again while groups are
 * not full and there is more to be had. */
#include "http_handlers.h"
#include "http_query.h"

#include <string.h>

typedef struct {
    akin_buf key; /* as JSON */
    size_t *hits; /* (n), which of the hits */
    size_t n;
} group;

typedef struct {
    group *groups; /* (limit) */
    size_t n, limit, size;
    const char *by;
} grouping;

static void clear(grouping *g)
{
    for (size_t i = 0; i < g->n; i++) {
        akin_buf_clear(&g->groups[i].key);
        akin_free(g->groups[i].hits);
    }
    g->n = 0;
}

static const json_t *value_at(const json_t *object, const char *path)
{
    char part[256];

    while (object && *path) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof part) return NULL;
        memcpy(part, path, n);
        part[n] = 0;
        object = json_object_get(object, part);
        path += path[n] ? n + 1 : n;
    }
    return object;
}

static group *find_group(grouping *g, akin_buf *key)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->groups[i].key.size == key->size &&
            !memcmp(g->groups[i].key.data, key->data, key->size))
            return &g->groups[i];
    if (g->n == g->limit) return NULL;
    size_t *hits = akin_calloc(g->size, sizeof *hits);
    if (!hits) return NULL;
    group *fresh = &g->groups[g->n++];
    *fresh = (group){.key = *key, .hits = hits};
    *key = (akin_buf){0};
    return fresh;
}

static void put_value(grouping *g, const json_t *value, size_t hit)
{
    akin_buf key = {0};

    if (!json_is_string(value) && !json_is_integer(value)) return;
    akin_json_value(&key, value);
    group *to = key.failed ? NULL : find_group(g, &key);
    if (to && to->n < g->size && !(to->n && to->hits[to->n - 1] == hit))
        to->hits[to->n++] = hit;
    akin_buf_clear(&key);
}

/* Sorts the hits into groups, best first as they come. */
static void sort_in(grouping *g, const akin_http_hits *hits)
{
    akin_error err;

    clear(g);
    for (size_t i = 0; i < hits->n; i++) {
        const char *attributes = hits->hits[i].match->attributes;
        json_t *all = NULL;
        if (!attributes ||
            akin_json_parse(akin_span_of(attributes), &all, &err))
            continue;
        const json_t *value = value_at(all, g->by);
        if (json_is_array(value))
            for (size_t j = 0; j < json_array_size(value); j++)
                put_value(g, json_array_get(value, j), i);
        else
            put_value(g, value, i);
        json_decref(all);
    }
}

static bool full(const grouping *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->groups[i].n < g->size) return false;
    return g->n == g->limit;
}

/* The largest limit that is not refused, for all searches that the first round
 * made: each finds limit + offset then, but those of prefetches, which have
 * limits of their own. */
static size_t most_wanted(const akin_http_call *call, size_t offset)
{
    const json_t *prefetch = json_object_get(call->json, "prefetch");
    size_t most = AKIN_QUERY_MAX_K;

    if (!json_is_object(prefetch) && !json_array_size(prefetch) &&
        call->searches * most > AKIN_HTTP_MOST_MATCHES)
        most = AKIN_HTTP_MOST_MATCHES / call->searches;
    return most > offset ? most - offset : 0;
}

/* Each round is a question of its own, with all it may find: of the one before
 * nothing is kept. */
static akin_status collect(akin_http_call *call, grouping *g,
                           akin_http_hits *hits, akin_error *err)
{
    size_t wanted = g->limit * g->size * 4;
    uint64_t offset = 0;
    akin_status rc = akin_json_get_uint(call->json, "offset", 0,
                                        AKIN_QUERY_MAX_K - 100, &offset, err);
    json_t *body = rc ? NULL : json_copy(call->json);

    if (rc) return rc;
    if (!body) return akin_fail(err, AKIN_NOMEM, "out of memory");
    if (wanted < 100) wanted = 100;
    if (wanted > AKIN_QUERY_MAX_K - offset) wanted = AKIN_QUERY_MAX_K - offset;
    for (;;) {
        akin__http_hits_clear(hits);
        json_object_set_new(body, "limit", json_integer((json_int_t)wanted));
        rc = akin__http_query_run(call, body, 10, hits, err);
        if (rc) break;
        sort_in(g, hits);
        size_t most = most_wanted(call, offset);
        if (full(g) || hits->n < wanted || wanted >= most) break;
        wanted = wanted * 4 < most ? wanted * 4 : most;
    }
    json_decref(body);
    return rc;
}

static akin_status write_groups(akin_http_call *call, const grouping *g,
                                const akin_http_hits *hits, akin_error *err)
{
    akin_status rc = AKIN_OK;

    akin_buf_text(&call->out, "{\"groups\":[");
    for (size_t i = 0; !rc && i < g->n; i++) {
        akin_http_hits some = {0};
        akin_buf_text(&call->out, i ? ",{\"id\":" : "{\"id\":");
        akin_buf_append(&call->out, g->groups[i].key.data,
                        g->groups[i].key.size);
        akin_buf_text(&call->out, ",\"hits\":");
        for (size_t j = 0; !rc && j < g->groups[i].n; j++) {
            const akin_http_hit *hit = &hits->hits[g->groups[i].hits[j]];
            rc = akin__http_hits_add(&some, hit->match, hit->score, err);
        }
        if (!rc) rc = akin__http_hits_write(call, call->json, true, &some, err);
        akin_buf_text(&call->out, "}");
        akin__http_hits_clear(&some);
    }
    akin_buf_text(&call->out, "]}");
    return rc;
}

akin_status akin__http_groups(akin_http_call *call, akin_error *err)
{
    akin_http_hits hits = {0};
    grouping g = {0};
    uint64_t limit = 10, size = 3;

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc) rc = akin_json_get_text(call->json, "group_by", &g.by, err);
    if (!rc && (!g.by || !*g.by))
        rc = akin_fail(err, AKIN_INVALID,
                       "Validation error in JSON body: `group_by` is missing");
    if (!rc && json_object_get(call->json, "with_lookup") &&
        !json_is_null(json_object_get(call->json, "with_lookup")))
        rc = akin_fail(err, AKIN_UNSUPPORTED, "akin has no `with_lookup`");
    if (!rc) rc = akin_json_get_uint(call->json, "limit", 1, 1000, &limit, err);
    if (!rc)
        rc = akin_json_get_uint(call->json, "group_size", 1, 1000, &size, err);
    if (rc) return rc;
    g.limit = limit;
    g.size = size;
    g.groups = akin_calloc(g.limit, sizeof *g.groups);
    rc = g.groups ? collect(call, &g, &hits, err)
                  : akin_fail(err, AKIN_NOMEM, "out of memory");
    if (!rc) rc = write_groups(call, &g, &hits, err);
    clear(&g);
    akin_free(g.groups);
    akin__http_hits_clear(&hits);
    return rc;
}
