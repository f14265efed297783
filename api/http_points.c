/* Putting, reading and deleting points. A point is an akin item: its vector is
 * an array of numbers, or what it is to be made of,
 *
 *     {"id": 1, "vector": [0.1, ...], "payload": {...}}
 *     {"id": 2, "vector": {"image": "<base64>"}, "caption": "a red shoe"}
 *     {"id": 3, "vector": {"text": "a red shoe"}}
 *
 * and where Qdrant has named vectors, akin has the two of "image" and
 * "caption". */
#include "http_points.h"

#include "http_handlers.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

akin_status akin__http_check_collection(akin_http_call *call,
                                        const char *collection, akin_error *err)
{
    akin_status rc = akin_engine_name(call->engine, collection, NULL, err);
    return rc == AKIN_NOT_FOUND
               ? akin_fail(err, rc, "Not found: Collection `%s` doesn't exist!",
                           collection)
               : rc;
}

/* ---- reading a point --------------------------------------------------------- */

akin_status akin__http_picture_read(const json_t *value, akin_buf *out,
                                    akin_error *err)
{
    const char *text = json_string_value(value);

    if (!text)
        return akin_fail(err, AKIN_INVALID,
                         "`image`: expected base64 text, got %s",
                         akin_json_kind(value));
    if (!strncasecmp(text, "http://", 7) || !strncasecmp(text, "https://", 8))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "`image`: pictures are not fetched from addresses; "
                         "send the file's bytes as base64");
    akin_status rc =
        akin_base64_decode(text, json_string_length(value), out, err);
    if (!rc && !out->size) rc = akin_fail(err, AKIN_INVALID, "`image`: empty");
    return rc;
}

static akin_status read_numbers(const json_t *array, akin_http_point *out,
                                akin_error *err)
{
    if (out->vector)
        return akin_fail(err, AKIN_INVALID, "`vector`: two for one space");
    akin_status rc =
        akin_json_vector(array, &out->vector, &out->input.dim, err);
    out->input.vector = out->vector;
    return rc;
}

static akin_status read_text(const json_t *value, akin_http_point *out,
                             akin_error *err)
{
    const char *text = json_string_value(value);

    if (!text)
        return akin_fail(err, AKIN_INVALID, "`text`: expected a string, got %s",
                         akin_json_kind(value));
    out->input.caption = (akin_span){text, json_string_length(value)};
    return AKIN_OK;
}

static akin_status read_vector_part(const char *name, const json_t *value,
                                    akin_http_point *out, akin_error *err)
{
    bool unnamed = !*name || !strcmp(name, "default");
    const json_t *inner = NULL;

    if (json_is_null(value) || !strcmp(name, "model") ||
        !strcmp(name, "options"))
        return AKIN_OK;
    if (!strcmp(name, "text")) return read_text(value, out, err);
    if (!strcmp(name, "caption")) {
        if (json_is_object(value)) inner = json_object_get(value, "text");
        return read_text(inner ? inner : value, out, err);
    }
    if (!unnamed && strcmp(name, "image"))
        return akin_fail(err, AKIN_INVALID,
                         "Wrong input: Not existing vector name error: %s",
                         name);
    if (json_is_array(value)) return read_numbers(value, out, err);
    if (json_is_object(value)) inner = json_object_get(value, "image");
    return akin__http_picture_read(inner ? inner : value, &out->picture, err);
}

static akin_status read_vector(const json_t *value, akin_http_point *out,
                               akin_error *err)
{
    const char *name;
    json_t *part;

    if (!value || json_is_null(value)) return AKIN_OK;
    if (json_is_array(value)) return read_numbers(value, out, err);
    if (!json_is_object(value))
        return akin_fail(err, AKIN_INVALID,
                         "`vector`: expected an array of numbers or an object, "
                         "got %s",
                         akin_json_kind(value));
    json_object_foreach((json_t *)value, name, part)
    {
        akin_status rc = read_vector_part(name, part, out, err);
        if (rc) return rc;
    }
    return AKIN_OK;
}

akin_status akin__http_point_read(const json_t *value, akin_http_point *out,
                                  akin_error *err)
{
    json_t *payload;
    const json_t *vector = json_object_get(value, "vector");
    const json_t *caption = json_object_get(value, "caption");

    *out = (akin_http_point){0};
    if (!json_is_object(value))
        return akin_fail(err, AKIN_INVALID, "expected a point, got %s",
                         akin_json_kind(value));
    akin_status rc = akin__http_id(json_object_get(value, "id"), &out->id, err);
    if (!rc)
        rc = read_vector(vector ? vector : json_object_get(value, "vectors"),
                         out, err);
    if (!rc && caption && !json_is_null(caption))
        rc = read_text(caption, out, err);
    if (!rc) rc = akin_json_get(value, "payload", JSON_OBJECT, &payload, err);
    if (rc) return rc;
    if (json_object_size(payload)) akin_json_value(&out->attributes, payload);
    if (out->attributes.failed)
        return akin_fail(err, AKIN_NOMEM, "out of memory");
    out->input.id = akin_span_of(out->id);
    if (payload)
        out->input.attributes = (akin_span){
            out->attributes.size ? (void *)out->attributes.data : "",
            out->attributes.size};
    if (out->picture.size)
        out->input.picture = (akin_span){out->picture.data, out->picture.size};
    return AKIN_OK;
}

void akin__http_point_clear(akin_http_point *point)
{
    akin_free(point->id);
    akin_free(point->vector);
    akin_buf_clear(&point->picture);
    akin_buf_clear(&point->attributes);
    *point = (akin_http_point){0};
}

/* ---- upsert ---------------------------------------------------------------------- */

typedef struct {
    akin_http_point *points;
    akin_item_input *inputs;
    akin_put_result *results;
    size_t n, capacity;
} point_set;

static akin_status set_init(point_set *set, size_t capacity, akin_error *err)
{
    *set = (point_set){.capacity = capacity};
    if (capacity > HTTP_IDS)
        return akin_fail(err, AKIN_INVALID,
                         "expected at most %d points, got %zu", HTTP_IDS,
                         capacity);
    set->points = akin_calloc(capacity, sizeof *set->points);
    set->inputs = akin_calloc(capacity, sizeof *set->inputs);
    set->results = akin_calloc(capacity, sizeof *set->results);
    if (set->points && set->inputs && set->results) return AKIN_OK;
    return akin_fail(err, AKIN_NOMEM, "out of memory");
}

static void set_clear(point_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        akin__http_point_clear(&set->points[i]);
    akin_free(set->points);
    akin_free(set->inputs);
    akin_free(set->results);
}

static akin_status set_add(point_set *set, const json_t *value, akin_error *err)
{
    akin_http_point *point = &set->points[set->n];
    akin_status rc = akin__http_point_read(value, point, err);

    set->inputs[set->n++] = point->input;
    if (rc) akin_fail_prefix(err, rc, "point %zu", set->n - 1);
    return rc;
}

/* {"points": [...]} */
static akin_status read_points(const json_t *points, point_set *set,
                               akin_error *err)
{
    size_t i;
    json_t *point;
    akin_status rc = set_init(set, json_array_size(points), err);

    json_array_foreach(points, i, point)
    {
        if (rc) return rc;
        rc = set_add(set, point, err);
    }
    return rc;
}

/* The i-th of "vectors": an array of vectors, or an object of such arrays. */
static json_t *batch_vector(const json_t *vectors, size_t i)
{
    const char *name;
    json_t *column, *one;

    if (json_is_array(vectors)) return json_incref(json_array_get(vectors, i));
    one = json_object();
    json_object_foreach((json_t *)vectors, name, column)
        json_object_set(one, name, json_array_get(column, i));
    return one;
}

/* {"batch": {"ids": [...], "vectors": [...], "payloads": [...]}} */
static akin_status read_batch(const json_t *batch, point_set *set,
                              akin_error *err)
{
    const json_t *ids = json_object_get(batch, "ids");
    const json_t *vectors = json_object_get(batch, "vectors");
    const json_t *payloads = json_object_get(batch, "payloads");
    size_t n = json_array_size(ids);
    bool fits = (!json_is_array(vectors) || json_array_size(vectors) == n) &&
                (!json_is_array(payloads) || json_array_size(payloads) == n);

    if (!json_is_array(ids) || !fits)
        return akin_fail(err, AKIN_INVALID,
                         "`batch`: expected ids, vectors and payloads of one "
                         "length");
    akin_status rc = set_init(set, n, err);
    for (size_t i = 0; !rc && i < n; i++) {
        json_t *payload = json_array_get(payloads, i);
        json_t *point = json_object();
        json_object_set(point, "id", json_array_get(ids, i));
        json_object_set_new(point, "vector", batch_vector(vectors, i));
        if (payload) json_object_set(point, "payload", payload);
        rc = set_add(set, point, err);
        /* the caption is borrowed from the vectors, which outlive the point */
        json_decref(point);
    }
    return rc;
}

/* Qdrant refuses a request with one bad point; akin has stored the good ones
 * by then, and says so. */
static akin_status report_failures(const point_set *set, akin_error *err)
{
    size_t failed = 0, first = 0;

    for (size_t i = set->n; i-- > 0;)
        if (set->results[i].status) {
            failed++;
            first = i;
        }
    if (!failed) return AKIN_OK;
    return akin_fail(
        err, set->results[first].status,
        "%s%zu of %zu points failed, the others are stored; point "
        "%s: %s",
        set->results[first].status == AKIN_INVALID ? "Wrong input: " : "",
        failed, set->n, set->points[first].id, set->results[first].message);
}

akin_status akin__http_upsert(akin_http_call *call, const json_t *body,
                              akin_error *err)
{
    const json_t *points = json_object_get(body, "points");
    const json_t *batch = json_object_get(body, "batch");
    akin_put_options options = {.replace = true};
    point_set set = {0};
    akin_status rc;

    rc = akin__http_check_collection(call, call->params[0], err);
    if (rc) return rc;
    if (json_is_object(batch))
        rc = read_batch(batch, &set, err);
    else if (json_is_array(points))
        rc = read_points(points, &set, err);
    else
        rc = akin_fail(err, AKIN_INVALID,
                       "Validation error in JSON body: expected `points` or "
                       "`batch`");
    if (!rc && set.n)
        rc = akin_engine_put(call->engine, call->params[0], set.inputs, set.n,
                             &options, set.results, err);
    if (!rc) rc = report_failures(&set, err);
    set_clear(&set);
    return rc;
}

/* {"points": [{"id", "vector"}]}: parts not given stay, points must be there. */
static akin_status update_vectors(akin_http_call *call, const json_t *body,
                                  akin_error *err)
{
    const json_t *points = json_object_get(body, "points");
    point_set set = {0};

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc && !json_is_array(points))
        rc = akin_fail(err, AKIN_INVALID,
                       "Validation error in JSON body: `points` is missing");
    if (!rc) rc = read_points(points, &set, err);
    for (size_t i = 0; !rc && i < set.n; i++) {
        set.inputs[i].attributes = (akin_span){0};
        rc = akin_engine_exists(call->engine, call->params[0], set.inputs[i].id,
                                err);
    }
    if (!rc && set.n)
        rc = akin_engine_put(call->engine, call->params[0], set.inputs, set.n,
                             NULL, set.results, err);
    if (!rc) rc = report_failures(&set, err);
    set_clear(&set);
    return rc;
}

typedef struct {
    akin_http_call *call;
    bool image, caption;
} vector_removal;

static akin_status remove_vectors_page(void *user, const akin_span *ids,
                                       size_t n, akin_error *err)
{
    const vector_removal *r = user;
    return akin_engine_remove_vectors(r->call->engine, r->call->params[0], ids,
                                      n, r->image, r->caption, err);
}

/* {"points" or "filter", "vector": ["image", "caption"]}; the vector without a
 * name is the picture's. */
static akin_status delete_vectors(akin_http_call *call, const json_t *body,
                                  akin_error *err)
{
    const json_t *names = json_object_get(body, "vector");
    vector_removal r = {.call = call};
    json_t *name;
    size_t i;

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (rc) return rc;
    if (!names) names = json_object_get(body, "vectors");
    if (!json_array_size(names))
        return akin_fail(err, AKIN_INVALID,
                         "Validation error in JSON body: `vector`: expected "
                         "names of vectors, got %s",
                         akin_json_kind(names));
    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);
        if (text && (!*text || !strcmp(text, "image")))
            r.image = true;
        else if (text && !strcmp(text, "caption"))
            r.caption = true;
        else
            return akin_fail(err, AKIN_INVALID,
                             "Wrong input: Not existing vector name error: %s",
                             text ? text : akin_json_kind(name));
    }
    return akin__http_each_point(call, body, remove_vectors_page, &r, err);
}

/* ---- deleting ------------------------------------------------------------------------ */

static akin_status remove_page(void *user, const akin_span *ids, size_t n,
                               akin_error *err)
{
    akin_http_call *call = user;
    size_t removed;
    return akin_engine_remove(call->engine, call->params[0], ids, n, &removed,
                              err);
}

akin_status akin__http_delete(akin_http_call *call, const json_t *body,
                              akin_error *err)
{
    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc) rc = akin__http_each_point(call, body, remove_page, call, err);
    return rc;
}

/* ---- showing -------------------------------------------------------------------------- */

akin_status akin__http_vectors_read(const json_t *body, akin_http_vectors *out,
                                    akin_error *err)
{
    const json_t *value = json_object_get(body, "with_vector");
    size_t i;
    json_t *name;

    *out = (akin_http_vectors){0};
    if (!value) value = json_object_get(body, "with_vectors");
    if (!value || json_is_null(value)) return AKIN_OK;
    if (json_is_boolean(value)) {
        out->any = json_is_true(value);
        return AKIN_OK;
    }
    if (!json_is_array(value))
        return akin_fail(err, AKIN_INVALID,
                         "`with_vector`: expected a boolean or names, got %s",
                         akin_json_kind(value));
    out->any = out->named = true;
    json_array_foreach(value, i, name)
    {
        const char *text = json_string_value(name);
        out->image |= text && !strcmp(text, "image");
        out->caption |= text && !strcmp(text, "caption");
    }
    return AKIN_OK;
}

static akin_status write_vector(akin_http_call *call, const char *collection,
                                const char *id, akin_query_space space,
                                const char *name, bool *first, akin_error *err)
{
    float *v = NULL;
    uint32_t dim;
    akin_status rc = akin_engine_vector(
        call->engine, collection, akin_span_of(id), space, &v, &dim, NULL, err);

    if (rc && rc != AKIN_NOT_FOUND) return rc;
    if (!rc) {
        if (name)
            akin_buf_printf(&call->out, "%s\"%s\":", *first ? "" : ",", name);
        akin_json_floats(&call->out, v, dim);
        *first = false;
    } else if (!name) {
        akin_buf_text(&call->out, "{}");
    }
    akin_free(v);
    return AKIN_OK;
}

akin_status akin__http_vectors_write(akin_http_call *call,
                                     const char *collection, const char *id,
                                     const akin_http_vectors *which,
                                     akin_error *err)
{
    bool first = true;
    akin_status rc = AKIN_OK;

    akin_buf_text(&call->out, ",\"vector\":");
    if (!which->named)
        return write_vector(call, collection, id, AKIN_QUERY_AUTO, NULL, &first,
                            err);
    akin_buf_text(&call->out, "{");
    if (which->image)
        rc = write_vector(call, collection, id, AKIN_QUERY_IMAGE, "image",
                          &first, err);
    if (!rc && which->caption)
        rc = write_vector(call, collection, id, AKIN_QUERY_CAPTION, "caption",
                          &first, err);
    akin_buf_text(&call->out, "}");
    return rc;
}

static void write_details(akin_buf *out, const akin_item_info *item)
{
    akin_buf_text(out, ",\"caption\":");
    akin_json_text(out, item->caption);
    akin_buf_text(out, ",\"picture\":");
    if (item->hash[0] || item->width) {
        akin_buf_printf(out,
                        "{\"width\":%u,\"height\":%u,\"bytes\":%" PRIu64
                        ",\"sha256\":\"%s\",\"format\":",
                        item->width, item->height, item->picture_bytes,
                        item->hash);
        akin_json_text(out, item->format);
        akin_buf_text(out, "}");
    } else {
        akin_buf_text(out, "null");
    }
    akin_buf_printf(out,
                    ",\"spaces\":{\"image\":%s,\"caption\":%s},\"added_ms\":"
                    "%" PRId64 ",\"changed_ms\":%" PRId64,
                    item->has_image ? "true" : "false",
                    item->has_caption ? "true" : "false", item->added_ms,
                    item->changed_ms);
}

akin_status akin__http_record_write(akin_http_call *call, akin_span id,
                                    const akin_http_selection *selection,
                                    const akin_http_vectors *vectors,
                                    bool details, akin_error *err)
{
    akin_item_info item = {0};
    akin_status rc =
        akin_engine_get(call->engine, call->params[0], id, &item, err);

    if (rc) return rc;
    akin_buf_text(&call->out, "{\"id\":");
    akin__http_id_write(&call->out, item.id);
    if (selection->any) {
        akin_buf_text(&call->out, ",\"payload\":");
        akin__http_payload_write(&call->out, item.attributes, selection);
    }
    if (vectors->any)
        rc = akin__http_vectors_write(call, call->params[0], item.id, vectors,
                                      err);
    if (details) write_details(&call->out, &item);
    akin_buf_text(&call->out, "}");
    akin_item_info_clear(&item);
    return rc;
}

/* ---- routes ----------------------------------------------------------------------------- */

static void write_done(akin_http_call *call)
{
    akin_buf_text(&call->out, "{\"operation_id\":0,\"status\":\"completed\"}");
}

static akin_status run_change(akin_http_call *call, akin_http_change *change,
                              akin_error *err)
{
    akin_status rc = change(call, call->json, err);
    if (!rc) write_done(call);
    return rc;
}

akin_status akin__http_put_vectors(akin_http_call *call, akin_error *err)
{
    return run_change(call, update_vectors, err);
}

akin_status akin__http_delete_vectors(akin_http_call *call, akin_error *err)
{
    return run_change(call, delete_vectors, err);
}

akin_status akin__http_put_points(akin_http_call *call, akin_error *err)
{
    return run_change(call, akin__http_upsert, err);
}

akin_status akin__http_delete_points(akin_http_call *call, akin_error *err)
{
    return run_change(call, akin__http_delete, err);
}

akin_status akin__http_set_payload(akin_http_call *call, akin_error *err)
{
    return run_change(call, akin__http_payload_set, err);
}

akin_status akin__http_overwrite_payload(akin_http_call *call, akin_error *err)
{
    return run_change(call, akin__http_payload_overwrite, err);
}

akin_status akin__http_delete_payload(akin_http_call *call, akin_error *err)
{
    return run_change(call, akin__http_payload_delete, err);
}

akin_status akin__http_clear_payload(akin_http_call *call, akin_error *err)
{
    return run_change(call, akin__http_payload_clear, err);
}

/* {"operations": [{"upsert": {...}}, {"delete": {...}}, ...]}, in order. */
akin_status akin__http_batch(akin_http_call *call, akin_error *err)
{
    static const struct {
        const char *name;
        akin_http_change *run;
    } kinds[] = {{"upsert", akin__http_upsert},
                 {"delete", akin__http_delete},
                 {"update_vectors", update_vectors},
                 {"delete_vectors", delete_vectors},
                 {"set_payload", akin__http_payload_set},
                 {"overwrite_payload", akin__http_payload_overwrite},
                 {"delete_payload", akin__http_payload_delete},
                 {"clear_payload", akin__http_payload_clear}};
    json_t *list, *one;
    size_t i;

    akin_status rc =
        akin_json_get(call->json, "operations", JSON_ARRAY, &list, err);
    if (!rc) akin_buf_text(&call->out, "[");
    json_array_foreach(list, i, one)
    {
        akin_http_change *run = NULL;
        const json_t *body = NULL;
        for (size_t k = 0; !body && k < sizeof kinds / sizeof *kinds; k++) {
            body = json_object_get(one, kinds[k].name);
            run = kinds[k].run;
        }
        if (!body)
            return akin_fail(err, AKIN_UNSUPPORTED,
                             "operation %zu: expected upsert, delete or a "
                             "change of payload",
                             i);
        if (!rc) rc = run(call, body, err);
        if (rc) return akin_fail_prefix(err, rc, "operation %zu", i);
        if (i) akin_buf_text(&call->out, ",");
        write_done(call);
    }
    akin_buf_text(&call->out, "]");
    return rc;
}

/* {"ids": [...]}: those that exist, in the order asked for. */
akin_status akin__http_get_points(akin_http_call *call, akin_error *err)
{
    akin_http_selection selection;
    akin_http_vectors vectors;
    akin_http_ids ids = {0};
    bool details = false, first = true;

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc)
        rc = akin__http_selection_read(
            json_object_get(call->json, "with_payload"), true, &selection, err);
    if (!rc) rc = akin__http_vectors_read(call->json, &vectors, err);
    if (!rc) rc = akin_json_get_bool(call->json, "with_details", &details, err);
    if (!rc)
        rc = akin__http_ids_read(json_object_get(call->json, "ids"), &ids, err);
    akin_buf_text(&call->out, "[");
    for (size_t i = 0; !rc && i < ids.n; i++) {
        size_t before = call->out.size;
        if (!first) akin_buf_text(&call->out, ",");
        rc = akin__http_record_write(call, ids.spans[i], &selection, &vectors,
                                     details, err);
        if (rc == AKIN_NOT_FOUND) {
            call->out.size = before;
            rc = AKIN_OK;
        } else {
            first = false;
        }
    }
    akin_buf_text(&call->out, "]");
    akin__http_ids_clear(&ids);
    return rc;
}

/* ?details: what akin knows beside the payload; ?vector: with it. */
akin_status akin__http_get_point(akin_http_call *call, akin_error *err)
{
    akin_http_selection selection = {.any = true};
    akin_http_vectors vectors = {
        .any = !akin__http_query(call, "vector") ||
               strcmp(akin__http_query(call, "vector"), "false")};

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (rc) return rc;
    akin__http_id_fold(call->params[1]);
    rc = akin__http_record_write(
        call, akin_span_of(call->params[1]), &selection, &vectors,
        akin__http_query(call, "details") != NULL, err);
    if (rc == AKIN_NOT_FOUND)
        akin_fail(err, rc, "Not found: Point with id %s does not exists!",
                  call->params[1]);
    return rc;
}
