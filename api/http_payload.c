/* Payloads, which are akin's attributes: which members a reply shows, and
 * changing some of them. Paths are member names joined by dots ("maker.city").
 *
 * What changes only a part of them reads, merges and writes, and does so again
 * when another write to the item came between, so that neither is lost. */
#include "http_points.h"

#include <string.h>

/* ---- what a reply shows ---------------------------------------------------- */

static akin_status check_paths(const json_t *paths, akin_error *err)
{
    size_t i;
    json_t *path;

    if (paths && !json_is_array(paths))
        return akin_fail(err, AKIN_INVALID,
                         "`with_payload`: expected an array of field names, "
                         "got %s",
                         akin_json_kind(paths));
    json_array_foreach(paths, i, path)
    {
        if (!json_is_string(path))
            return akin_fail(err, AKIN_INVALID,
                             "`with_payload`: expected names of fields, got %s",
                             akin_json_kind(path));
    }
    return AKIN_OK;
}

akin_status akin__http_selection_read(const json_t *value, bool fallback,
                                      akin_http_selection *out, akin_error *err)
{
    *out = (akin_http_selection){.any = fallback};
    if (!value || json_is_null(value)) return AKIN_OK;
    if (json_is_boolean(value)) {
        out->any = json_is_true(value);
        return AKIN_OK;
    }
    out->any = true;
    if (json_is_object(value)) {
        out->include = json_object_get(value, "include");
        out->exclude = json_object_get(value, "exclude");
    } else {
        out->include = value;
    }
    akin_status rc = check_paths(out->include, err);
    return rc ? rc : check_paths(out->exclude, err);
}

/* One step of a path: copies the name into part, returns what follows. */
static const char *step(const char *path, char part[256])
{
    size_t n = strcspn(path, ".");
    size_t kept = n < 255 ? n : 255;

    memcpy(part, path, kept);
    part[kept] = 0;
    return path[n] ? path + n + 1 : NULL;
}

static void copy_path(json_t *to, const json_t *from, const char *path)
{
    char part[256];

    while (path) {
        path = step(path, part);
        json_t *value = json_object_get(from, part);
        if (!value) return;
        if (!path) {
            json_object_set(to, part, value);
            return;
        }
        json_t *below = json_object_get(to, part);
        if (!below) {
            below = json_object();
            json_object_set_new(to, part, below);
        }
        to = below;
        from = value;
    }
}

static void delete_path(json_t *from, const char *path)
{
    char part[256];

    while (from && path) {
        path = step(path, part);
        if (!path) json_object_del(from, part);
        from = json_object_get(from, part);
    }
}

/* Appends the chosen members of an object. */
static void write_chosen(akin_buf *out, json_t *all,
                         const akin_http_selection *selection)
{
    json_t *chosen = all, *path;
    size_t i;

    if (selection->include) {
        chosen = json_object();
        json_array_foreach(selection->include, i, path)
            copy_path(chosen, all, json_string_value(path));
    } else {
        json_incref(chosen);
    }
    json_array_foreach(selection->exclude, i, path)
        delete_path(chosen, json_string_value(path));
    akin_json_value(out, chosen);
    json_decref(chosen);
}

void akin__http_payload_write(akin_buf *out, const char *attributes,
                              const akin_http_selection *selection)
{
    akin_error err;
    json_t *all = NULL;

    if (!attributes || !*attributes) {
        akin_buf_text(out, "{}");
    } else if (!selection->include && !selection->exclude) {
        akin_buf_text(out, attributes); /* SQLite keeps valid JSON only */
    } else if (akin_json_parse(akin_span_of(attributes), &all, &err)) {
        akin_buf_text(out, "{}");
    } else {
        write_chosen(out, all, selection);
        json_decref(all);
    }
}

/* ---- which points a change is for --------------------------------------------- */

static akin_status each_id(const json_t *points, akin_http_page *page,
                           void *user, akin_error *err)
{
    akin_http_ids ids;
    akin_status rc = akin__http_ids_read(points, &ids, err);

    if (!rc && ids.n) rc = page(user, ids.spans, ids.n, err);
    akin__http_ids_clear(&ids);
    return rc;
}

/* Pages of ids in their order; the change may remove them as it goes. */
static akin_status each_match(akin_http_call *call, const json_t *filter,
                              akin_http_page *page, void *user, akin_error *err)
{
    akin_buf text = {0};
    akin_ids ids = {0};
    akin_range range = {.limit = 1000};
    char *last = NULL;
    akin_status rc = akin__http_filter_read(filter, &text, &range.filter, err);

    while (!rc) {
        range.start = akin_span_of(last);
        range.after_start = last != NULL;
        akin_ids_clear(&ids);
        rc =
            akin_engine_range(call->engine, call->params[0], &range, &ids, err);
        if (rc || !ids.n) break;
        akin_span spans[1000];
        for (size_t i = 0; i < ids.n; i++)
            spans[i] = akin_span_of(ids.ids[i]);
        akin_free(last);
        last = akin_strdup(ids.ids[ids.n - 1]);
        if (!last) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        if (!rc) rc = page(user, spans, ids.n, err);
    }
    akin_ids_clear(&ids);
    akin_free(last);
    akin_buf_clear(&text);
    return rc;
}

akin_status akin__http_each_point(akin_http_call *call, const json_t *body,
                                  akin_http_page *page, void *user,
                                  akin_error *err)
{
    const json_t *points = json_object_get(body, "points");
    const json_t *filter = json_object_get(body, "filter");

    if (json_is_array(points)) return each_id(points, page, user, err);
    if (json_is_object(filter) || json_is_string(filter))
        return each_match(call, filter, page, user, err);
    return akin_fail(err, AKIN_INVALID,
                     "Validation error in JSON body: expected `points` (an "
                     "array of ids) or `filter`");
}

/* ---- changing a part ------------------------------------------------------------- */

typedef enum { SET, OVERWRITE, DELETE_KEYS, CLEAR } change_kind;

typedef struct {
    akin_http_call *call;
    change_kind kind;
    json_t *payload;    /* SET, OVERWRITE */
    const char *key;    /* SET: merged below this path; NULL: at the top */
    const json_t *keys; /* DELETE_KEYS */
} change;

/* The object at a path, made when it is not there. */
static json_t *object_at(json_t *object, const char *path)
{
    char part[256];

    while (path) {
        path = step(path, part);
        json_t *below = json_object_get(object, part);
        if (!json_is_object(below)) {
            below = json_object();
            json_object_set_new(object, part, below);
        }
        object = below;
    }
    return object;
}

/* An akin_attributes_change. */
static akin_status merge(void *user, const char *attributes, akin_buf *out,
                         akin_error *err)
{
    const change *c = user;
    json_t *object = NULL, *key;
    akin_status rc = AKIN_OK;
    size_t i;

    if (attributes)
        rc = akin_json_parse(akin_span_of(attributes), &object, err);
    else
        object = json_object();
    if (rc) return rc;
    if (c->kind == SET &&
        json_object_update(object_at(object, c->key), c->payload))
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    json_array_foreach(c->keys, i, key)
        delete_path(object, json_string_value(key));
    if (!rc && json_object_size(object)) akin_json_value(out, object);
    json_decref(object);
    return rc;
}

static akin_status replace(const change *c, akin_span id, akin_error *err)
{
    akin_http_call *call = c->call;
    akin_buf text = {0};
    akin_status rc;

    if (json_object_size(c->payload)) akin_json_value(&text, c->payload);
    if (text.failed)
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    else
        rc = akin_engine_set_attributes(call->engine, call->params[0], id,
                                        (akin_span){text.data, text.size}, err);
    akin_buf_clear(&text);
    return rc;
}

static akin_status change_page(void *user, const akin_span *ids, size_t n,
                               akin_error *err)
{
    change *c = user;
    akin_http_call *call = c->call;
    bool whole = c->kind == CLEAR || c->kind == OVERWRITE;
    akin_status rc = AKIN_OK;

    for (size_t i = 0; !rc && i < n; i++) {
        rc = whole ? replace(c, ids[i], err)
                   : akin_engine_change_attributes(
                         call->engine, call->params[0], ids[i], merge, c, err);
        if (rc == AKIN_NOT_FOUND) rc = AKIN_OK; /* as Qdrant: others go on */
    }
    return rc;
}

static akin_status apply(change *c, const json_t *body, akin_error *err)
{
    akin_status rc =
        akin__http_check_collection(c->call, c->call->params[0], err);
    if (!rc) rc = akin__http_each_point(c->call, body, change_page, c, err);
    return rc;
}

static akin_status set_payload(akin_http_call *call, const json_t *body,
                               change_kind kind, akin_error *err)
{
    change c = {.call = call, .kind = kind};

    akin_status rc =
        akin_json_get(body, "payload", JSON_OBJECT, &c.payload, err);
    if (!rc) rc = akin_json_get_text(body, "key", &c.key, err);
    if (rc) return rc;
    if (!c.payload)
        return akin_fail(err, AKIN_INVALID,
                         "Validation error in JSON body: `payload` is missing");
    return apply(&c, body, err);
}

akin_status akin__http_payload_set(akin_http_call *call, const json_t *body,
                                   akin_error *err)
{
    return set_payload(call, body, SET, err);
}

akin_status akin__http_payload_overwrite(akin_http_call *call,
                                         const json_t *body, akin_error *err)
{
    return set_payload(call, body,
                       json_object_get(body, "key") ? SET : OVERWRITE, err);
}

akin_status akin__http_payload_delete(akin_http_call *call, const json_t *body,
                                      akin_error *err)
{
    json_t *keys, *key;
    size_t i;

    akin_status rc = akin_json_get(body, "keys", JSON_ARRAY, &keys, err);
    if (rc) return rc;
    if (!keys)
        return akin_fail(err, AKIN_INVALID,
                         "Validation error in JSON body: `keys` is missing");
    json_array_foreach(keys, i, key)
    {
        if (!json_is_string(key))
            return akin_fail(err, AKIN_INVALID,
                             "`keys`: expected names, got %s",
                             akin_json_kind(key));
    }
    change c = {.call = call, .kind = DELETE_KEYS, .keys = keys};
    return apply(&c, body, err);
}

akin_status akin__http_payload_clear(akin_http_call *call, const json_t *body,
                                     akin_error *err)
{
    change c = {.call = call, .kind = CLEAR};
    return apply(&c, body, err);
}
