/* Collections in Qdrant's words. A Qdrant collection of plain vectors
 * ({"vectors": {"size": n, "distance": "Cosine"}}) is an akin collection of raw
 * vectors; without "vectors" it is one of the server's model, which takes
 * pictures and texts. What Qdrant reports and akin has no like of (shards,
 * segments) is reported as one of each. */
#include "http_handlers.h"
#include "http_points.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

akin_status akin__http_collections(akin_http_call *call, akin_error *err)
{
    akin_collection_info *list = NULL;
    size_t n;
    akin_status rc = akin_engine_list(call->engine, &list, &n, err);

    if (rc) return rc;
    akin_buf_text(&call->out, "{\"collections\":[");
    for (size_t i = 0; i < n; i++) {
        akin_buf_text(&call->out, i ? ",{\"name\":" : "{\"name\":");
        akin_json_text(&call->out, list[i].name);
        akin_buf_text(&call->out, "}");
    }
    akin_buf_text(&call->out, "]}");
    akin_free(list);
    return AKIN_OK;
}

/* ---- one collection ------------------------------------------------------- */

static void write_space(akin_buf *out, const char *name,
                        const akin_space_info *s)
{
    akin_buf_printf(out,
                    "\"%s\":{\"vectors\":%" PRIu64 ",\"delta\":%" PRIu64
                    ",\"tombstones\":%" PRIu64 ",\"index\":\"%s\""
                    ",\"memory_bytes\":%" PRIu64 ",\"disk_bytes\":%" PRIu64
                    ",\"building\":%s,\"recall\":",
                    name, s->vectors, s->delta, s->tombstones, s->kind,
                    s->memory_bytes, s->disk_bytes,
                    s->building ? "true" : "false");
    akin_json_double(out, s->recall > 0 ? s->recall : 1);
    akin_buf_text(out, "}");
}

/* Qdrant's word for the index of a payload field. */
static const char *schema_of(akin_attribute_type type)
{
    switch (type) {
    case AKIN_ATTRIBUTE_NUMBER: return "float";
    case AKIN_ATTRIBUTE_BOOL: return "bool";
    case AKIN_ATTRIBUTE_DATETIME: return "datetime";
    case AKIN_ATTRIBUTE_STRING:
    case AKIN_ATTRIBUTE_TAGS: break;
    }
    return "keyword";
}

static void write_fields(akin_buf *out, const akin_collection_info *info)
{
    akin_buf_text(out, "\"payload_schema\":{");
    for (uint32_t i = 0; i < info->nfields; i++) {
        if (i) akin_buf_text(out, ",");
        akin_json_text(out, info->fields[i].name);
        akin_buf_printf(out,
                        ":{\"data_type\":\"%s\",\"akin_type\":\"%s\","
                        "\"points\":%" PRIu64 "}",
                        schema_of(info->fields[i].type),
                        akin_attribute_type_text(info->fields[i].type),
                        info->items);
    }
    akin_buf_text(out, "}");
}

static void write_akin(akin_buf *out, const akin_collection_info *info)
{
    akin_buf_text(out, "\"akin\":{\"model\":");
    akin_json_text(out, info->model_name[0] ? info->model_name : NULL);
    akin_buf_text(out, ",\"fingerprint\":");
    akin_json_text(out, info->fingerprint[0] ? info->fingerprint : NULL);
    akin_buf_printf(out,
                    ",\"model_ready\":%s,\"created_ms\":%" PRId64
                    ",\"sequence\":%" PRIu64 ",",
                    info->model_ready ? "true" : "false", info->created_ms,
                    info->sequence);
    write_space(out, "image", &info->image);
    akin_buf_text(out, ",");
    write_space(out, "caption", &info->caption);
    akin_buf_text(out, "}");
}

akin_status akin__http_collection(akin_http_call *call, akin_error *err)
{
    akin_buf *out = &call->out;
    akin_collection_info *info = akin_alloc(sizeof *info);

    if (!info) return akin_fail(err, AKIN_NOMEM, "out of memory");
    akin_status rc = akin_engine_info(call->engine, call->params[0], info, err);
    if (rc) goto done;
    bool building = info->image.building || info->caption.building;
    akin_buf_printf(
        out,
        "{\"status\":\"%s\",\"optimizer_status\":\"ok\","
        "\"points_count\":%" PRIu64 ",\"indexed_vectors_count\":%" PRIu64
        ",\"segments_count\":1,\"config\":{\"params\":{\"vectors\":"
        "{\"size\":%u,\"distance\":\"Cosine\"},\"shard_number\":1,"
        "\"replication_factor\":1,\"write_consistency_factor\":1,"
        "\"on_disk_payload\":true},\"hnsw_config\":{\"m\":0,"
        "\"ef_construct\":100,\"full_scan_threshold\":20000},"
        "\"optimizer_config\":{\"deleted_threshold\":0.2,"
        "\"vacuum_min_vector_number\":1000,\"default_segment_number\":1,"
        "\"flush_interval_sec\":1},\"wal_config\":{\"wal_capacity_mb\":32,"
        "\"wal_segments_ahead\":0},\"quantization_config\":null},",
        building ? "yellow" : "green", info->items,
        info->image.vectors + info->caption.vectors - info->image.delta -
            info->caption.delta,
        info->dim);
    write_fields(out, info);
    akin_buf_text(out, ",");
    write_akin(out, info);
    akin_buf_text(out, "}");

done:
    akin_free(info);
    return rc;
}

akin_status akin__http_collection_exists(akin_http_call *call, akin_error *err)
{
    akin_status rc = akin_engine_name(call->engine, call->params[0], NULL, err);
    if (rc && rc != AKIN_NOT_FOUND) return rc;
    akin_buf_printf(&call->out, "{\"exists\":%s}", rc ? "false" : "true");
    return AKIN_OK;
}

/* ---- creating and deleting ---------------------------------------------------- */

/* "vectors": {"size", "distance"}; absent or {}: the server's model. */
static akin_status read_vectors(const json_t *body, uint32_t *dim,
                                akin_error *err)
{
    json_t *vectors;
    const char *distance = "Cosine";
    uint64_t size = 0;

    *dim = 0;
    if (json_object_size(json_object_get(body, "sparse_vectors")))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "`sparse_vectors`: akin keeps dense vectors only");
    akin_status rc = akin_json_get(body, "vectors", JSON_OBJECT, &vectors, err);
    if (rc || !json_object_size(vectors)) return rc;
    if (!json_object_get(vectors, "size"))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "`vectors`: expected {\"size\", \"distance\"}; akin's "
                         "collections hold no further named vectors");
    rc = akin_json_get_uint(vectors, "size", 1, 8192, &size, err);
    if (!rc) rc = akin_json_get_text(vectors, "distance", &distance, err);
    if (rc) return rc;
    if (strcasecmp(distance, "Cosine"))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "`distance`: akin compares by Cosine, not %s",
                         distance);
    if (json_object_get(vectors, "multivector_config"))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "`multivector_config`: one vector an item");
    *dim = (uint32_t)size;
    return AKIN_OK;
}

/* Beyond Qdrant: "payload_schema": {"price": "float", "tags": "keyword"}. */
static akin_status read_fields(const json_t *body, akin_field *fields,
                               size_t *n, akin_error *err)
{
    json_t *schema, *value;
    const char *name;

    *n = 0;
    akin_status rc =
        akin_json_get(body, "payload_schema", JSON_OBJECT, &schema, err);
    if (rc || !schema) return rc;
    if (json_object_size(schema) > AKIN_MAX_FIELDS)
        return akin_fail(err, AKIN_INVALID,
                         "`payload_schema`: at most %d fields",
                         AKIN_MAX_FIELDS);
    json_object_foreach(schema, name, value)
    {
        rc = akin__http_field_type(value, &fields[*n].type, err);
        if (rc) return rc;
        fields[(*n)++].name = name;
    }
    return AKIN_OK;
}

akin_status akin__http_field_type(const json_t *schema,
                                  akin_attribute_type *out, akin_error *err)
{
    static const struct {
        const char *word;
        akin_attribute_type type;
    } words[] = {{"keyword", AKIN_ATTRIBUTE_STRING},
                 {"text", AKIN_ATTRIBUTE_STRING},
                 {"uuid", AKIN_ATTRIBUTE_STRING},
                 {"integer", AKIN_ATTRIBUTE_NUMBER},
                 {"float", AKIN_ATTRIBUTE_NUMBER}};
    const char *word = json_string_value(
        json_is_object(schema) ? json_object_get(schema, "type") : schema);

    for (size_t i = 0; word && i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].word, word)) {
            *out = words[i].type;
            return AKIN_OK;
        }
    if (word && akin_attribute_type_parse(word, out)) return AKIN_OK;
    return akin_fail(err, AKIN_INVALID,
                     "field type: expected keyword, text, uuid, integer, "
                     "float, bool, datetime or tags, got %s",
                     word ? word : akin_json_kind(schema));
}

/* Qdrant tells a collection and an alias apart. */
static akin_status say_exists(akin_http_call *call, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    bool alias = !akin_engine_name(call->engine, call->params[0], name, NULL) &&
                 strcmp(name, call->params[0]);

    if (alias)
        return akin_fail(err, AKIN_INVALID,
                         "Wrong input: Can't create collection with name "
                         "%.128s. Alias with the same name already exists",
                         call->params[0]);
    return akin_fail(err, AKIN_EXISTS,
                     "Wrong input: Collection `%.128s` already exists!",
                     call->params[0]);
}

akin_status akin__http_create_collection(akin_http_call *call, akin_error *err)
{
    akin_field fields[AKIN_MAX_FIELDS];
    akin_collection_options options = {.fields = fields};

    akin_status rc = read_vectors(call->json, &options.dim, err);
    if (!rc) rc = read_fields(call->json, fields, &options.nfields, err);
    if (!rc)
        rc = akin_engine_create(call->engine, call->params[0], &options, err);
    if (rc == AKIN_EXISTS) return say_exists(call, err);
    if (!rc) akin_buf_text(&call->out, "true");
    return rc;
}

akin_status akin__http_update_collection(akin_http_call *call, akin_error *err)
{
    akin_status rc = akin_engine_name(call->engine, call->params[0], NULL, err);
    if (!rc) akin_buf_text(&call->out, "true");
    return rc;
}

/* {"field_name": "color", "field_schema": "keyword"} */
akin_status akin__http_create_index(akin_http_call *call, akin_error *err)
{
    akin_field field = {.type = AKIN_ATTRIBUTE_STRING};
    const json_t *schema = json_object_get(call->json, "field_schema");

    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (!rc)
        rc = akin_json_get_text(call->json, "field_name", &field.name, err);
    if (!rc && !field.name)
        rc = akin_fail(err, AKIN_INVALID,
                       "Validation error in JSON body: `field_name` is "
                       "missing");
    if (!rc && schema && !json_is_null(schema))
        rc = akin__http_field_type(schema, &field.type, err);
    if (!rc)
        rc = akin_engine_add_field(call->engine, call->params[0], &field, err);
    if (!rc)
        akin_buf_text(&call->out,
                      "{\"operation_id\":0,\"status\":\"completed\"}");
    return rc;
}

/* As in Qdrant, it is no error when there was none. */
akin_status akin__http_delete_index(akin_http_call *call, akin_error *err)
{
    akin_status rc = akin__http_check_collection(call, call->params[0], err);
    if (rc) return rc;
    rc = akin_engine_drop_field(call->engine, call->params[0], call->params[1],
                                err);
    if (rc && rc != AKIN_NOT_FOUND) return rc;
    akin_buf_text(&call->out, "{\"operation_id\":0,\"status\":\"completed\"}");
    return AKIN_OK;
}

/* Qdrant answers false, with 200, when there was none. */
akin_status akin__http_delete_collection(akin_http_call *call, akin_error *err)
{
    akin_status rc = akin_engine_drop(call->engine, call->params[0], err);

    if (rc && rc != AKIN_NOT_FOUND) return rc;
    akin_buf_text(&call->out, rc ? "false" : "true");
    return AKIN_OK;
}
