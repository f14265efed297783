/* AKIN.*: collections, items whole, embeddings, options, help. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "commands.h"

/* ---- collections --------------------------------------------------------------- */

typedef struct {
    char name[AKIN_NAME_BYTES + 1];
    char model[1024];
    char field_names[AKIN_MAX_FIELDS][128];
    akin_field fields[AKIN_MAX_FIELDS];
    akin_collection_options options;
} creation;

/* SCHEMA's "field type" pairs go on to the end, or to a word that is no type. */
static akin_status read_schema(akin_args *args, creation *create,
                               akin_error *err)
{
    while (args->at < args->n) {
        akin_span name, type;
        char word[32];
        size_t i = create->options.nfields;
        akin_status rc = akin_args_next(args, "a field", &name, err);
        if (!rc) rc = akin_args_next(args, "the field's type", &type, err);
        if (rc) return rc;
        if (i == AKIN_MAX_FIELDS)
            return akin_fail(err, AKIN_INVALID, "more than %d fields",
                             AKIN_MAX_FIELDS);
        if (!name.size || name.size >= sizeof create->field_names[i])
            return akin_fail(err, AKIN_INVALID,
                             "a field's name has 1 to 127 bytes");
        memcpy(create->field_names[i], name.data, name.size);
        snprintf(word, sizeof word, "%.*s",
                 (int)(type.size < 31 ? type.size : 31),
                 (const char *)type.data);
        create->fields[i].name = create->field_names[i];
        if (!akin_attribute_type_parse(word, &create->fields[i].type))
            return akin_fail(err, AKIN_INVALID,
                             "'%s' is no type of a field: number, string, "
                             "bool, tags, datetime",
                             word);
        create->options.nfields++;
    }
    return AKIN_OK;
}

static akin_status read_path(akin_args *args, const char *what, char *out,
                             size_t size, akin_error *err)
{
    akin_span text;
    akin_status rc = akin_args_next(args, what, &text, err);
    if (rc) return rc;
    if (!text.size || text.size >= size || memchr(text.data, 0, text.size))
        return akin_fail(err, AKIN_INVALID, "%s is empty or too long", what);
    memcpy(out, text.data, text.size);
    out[text.size] = 0;
    return AKIN_OK;
}

static akin_status create_parse(akin_call *c, creation *create, akin_error *err)
{
    akin_args args = akin_args_of(c, 2);
    int64_t dim;
    double recall = 0;
    akin_status rc = akin_collection_name(c->argv[1], create->name, err);
    create->options.fields = create->fields;
    while (!rc && args.at < args.n) {
        if (akin_args_word(&args, "MODEL")) {
            rc = read_path(&args, "a model directory", create->model,
                           sizeof create->model, err);
            create->options.model_dir = create->model;
        } else if (akin_args_word(&args, "DIM")) {
            rc = akin_args_int(&args, "DIM", 1, 32768, &dim, err);
            if (!rc) create->options.dim = (uint32_t)dim;
        } else if (akin_args_word(&args, "RECALL")) {
            rc = akin_args_double(&args, "RECALL", 0.01, 1, &recall, err);
            create->options.recall = (float)recall;
        } else if (akin_args_word(&args, "SCHEMA")) {
            rc = read_schema(&args, create, err);
        } else {
            rc = akin_bad_option(args.argv[args.at], err);
        }
    }
    return rc;
}

akin_status akin_cmd_create(akin_call *c, akin_error *err)
{
    creation *create = akin_calloc(1, sizeof *create);
    if (!create) return akin_fail(err, AKIN_NOMEM, "no memory");
    akin_status rc = create_parse(c, create, err);
    if (!rc)
        rc = akin_engine_create(c->service->engine, create->name,
                                &create->options, err);
    if (!rc) akin_reply_simple(c->reply, "OK");
    akin_free(create);
    return rc;
}

akin_status akin_cmd_drop(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_status rc = akin_collection_name(c->argv[1], name, err);
    if (!rc) rc = akin_engine_drop(c->service->engine, name, err);
    if (!rc) akin_reply_simple(c->reply, "OK");
    return rc;
}

static void row_bool(akin_reply *r, const char *name, bool value)
{
    akin_reply_text(r, name);
    akin_reply_bool(r, value);
}

akin_status akin_cmd_list(akin_call *c, akin_error *err)
{
    akin_collection_info *list = NULL;
    size_t n = 0;
    akin_status rc = akin_engine_list(c->service->engine, &list, &n, err);
    if (rc) return rc;
    akin_reply_array(c->reply, n);
    for (size_t i = 0; i < n; i++) {
        akin_reply_map(c->reply, 5);
        akin_reply_row_text(c->reply, "name", list[i].name);
        akin_reply_row_int(c->reply, "items", list[i].items);
        akin_reply_row_int(c->reply, "dim", list[i].dim);
        akin_reply_row_text(c->reply, "index",
                            list[i].image.kind[0] ? list[i].image.kind
                                                  : list[i].caption.kind);
        akin_reply_row_text(c->reply, "model", list[i].model_name);
    }
    akin_free(list);
    return AKIN_OK;
}

static double each(uint64_t bytes, uint64_t vectors)
{
    return vectors ? (double)bytes / (double)vectors : 0;
}

static void space_map(akin_reply *r, const char *name,
                      const akin_space_info *space)
{
    akin_reply_text(r, name);
    akin_reply_map(r, 14);
    akin_reply_row_text(r, "index", space->kind);
    akin_reply_row_int(r, "vectors", space->vectors);
    akin_reply_row_int(r, "delta", space->delta);
    akin_reply_row_int(r, "tombstones", space->tombstones);
    akin_reply_row_int(r, "memory_bytes", space->memory_bytes);
    akin_reply_row_int(r, "disk_bytes", space->disk_bytes);
    akin_reply_text(r, "recall");
    akin_reply_double(r, space->recall);
    row_bool(r, "building", space->building);
    akin_reply_row_int(r, "mapped_bytes", space->mapped_bytes);
    akin_reply_text(r, "memory_per_vector");
    akin_reply_double(r, each(space->memory_bytes, space->vectors));
    akin_reply_text(r, "disk_per_vector");
    akin_reply_double(r, each(space->disk_bytes, space->vectors));
    akin_reply_row_int(r, "nprobe", space->nprobe);
    akin_reply_row_int(r, "candidates", space->candidates);
    akin_reply_row_text(r, "why", space->why);
}

akin_status akin_cmd_describe(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_reply *r = c->reply;
    akin_collection_info *info = akin_calloc(1, sizeof *info);
    if (!info) return akin_fail(err, AKIN_NOMEM, "no memory");

    akin_status rc = akin_collection_name(c->argv[1], name, err);
    if (!rc) rc = akin_engine_info(c->service->engine, name, info, err);
    if (!rc) {
        akin_reply_map(r, 12);
        akin_reply_row_text(r, "name", info->name);
        akin_reply_row_int(r, "items", info->items);
        akin_reply_row_int(r, "dim", info->dim);
        akin_reply_row_text(r, "model", info->model_name);
        akin_reply_row_text(r, "model_directory", info->model_dir);
        akin_reply_row_text(r, "fingerprint", info->fingerprint);
        row_bool(r, "model_ready", info->model_ready);
        akin_reply_row_int(r, "created", (uint64_t)info->created_ms);
        akin_reply_row_int(r, "sequence", info->sequence);
        space_map(r, "image", &info->image);
        space_map(r, "caption", &info->caption);
        akin_reply_text(r, "fields");
        akin_reply_map(r, info->nfields);
        for (uint32_t i = 0; i < info->nfields; i++)
            akin_reply_row_text(r, info->fields[i].name,
                                akin_attribute_type_text(info->fields[i].type));
    }
    akin_free(info);
    return rc;
}

/* ---- items ----------------------------------------------------------------------- */

static void item_map(akin_reply *r, const akin_item_info *item)
{
    akin_reply_map(r, 14);
    akin_reply_row_text(r, "id", item->id);
    akin_reply_row_text(r, "caption", item->caption);
    akin_reply_row_text(r, "attributes", item->attributes);
    akin_reply_row_text(r, "path", item->path);
    akin_reply_row_text(r, "format", item->format);
    akin_reply_row_int(r, "width", item->width);
    akin_reply_row_int(r, "height", item->height);
    akin_reply_row_int(r, "bytes", item->picture_bytes);
    akin_reply_row_text(r, "hash", item->hash);
    row_bool(r, "has_image", item->has_image);
    row_bool(r, "has_caption", item->has_caption);
    akin_reply_row_int(r, "added", (uint64_t)item->added_ms);
    akin_reply_row_int(r, "changed", (uint64_t)item->changed_ms);
    akin_reply_row_int(r, "modified", (uint64_t)item->modified_ms);
}

akin_status akin_cmd_get(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_item_info item = {0};
    akin_status rc = akin_collection_name(c->argv[1], name, err);
    if (!rc)
        rc = akin_engine_get(c->service->engine, name, c->argv[2], &item, err);
    if (!rc) {
        item_map(c->reply, &item);
    } else if (rc == AKIN_NOT_FOUND) {
        akin_reply_null(c->reply);
        rc = AKIN_OK;
    }
    akin_item_info_clear(&item);
    return rc;
}

akin_status akin_cmd_thumb(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_buf picture = {0};
    akin_status rc = akin_collection_name(c->argv[1], name, err);
    if (!rc)
        rc = akin_engine_thumbnail(c->service->engine, name, c->argv[2],
                                   &picture, err);
    if (!rc) {
        akin_reply_bulk(c->reply, picture.data, picture.size);
    } else if (rc == AKIN_NOT_FOUND) {
        akin_reply_null(c->reply);
        rc = AKIN_OK;
    }
    akin_buf_clear(&picture);
    return rc;
}

akin_status akin_cmd_count(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_args args = akin_args_of(c, 2);
    akin_filter filter = {0};
    uint64_t n;
    akin_status rc = akin_collection_name(c->argv[1], name, err);
    while (!rc && args.at < args.n) {
        if (akin_args_word(&args, "FILTER"))
            rc = akin_args_next(&args, "a filter", &filter.text, err);
        else
            rc = akin_bad_option(args.argv[args.at], err);
    }
    if (!rc) rc = akin_engine_count(c->service->engine, name, filter, &n, err);
    if (!rc) akin_reply_int(c->reply, (int64_t)n);
    return rc;
}

akin_status akin_cmd_embed(akin_call *c, akin_error *err)
{
    akin_args args = akin_args_of(c, 2);
    char name[AKIN_NAME_BYTES + 1];
    akin_span source, collection = {0};
    bool text = akin_span_is(c->argv[1], "TEXT"), blob = false;
    float *vector = NULL;
    uint32_t dim = 0;

    if (!text && !akin_span_is(c->argv[1], "IMAGE"))
        return akin_fail(err, AKIN_INVALID, "expected TEXT or IMAGE");
    akin_status rc = akin_args_next(&args, "what to embed", &source, err);
    while (!rc && args.at < args.n) {
        if (akin_args_word(&args, "FP32"))
            blob = true;
        else if (akin_args_word(&args, "COLLECTION"))
            rc = akin_args_next(&args, "a collection", &collection, err);
        else
            rc = akin_bad_option(args.argv[args.at], err);
    }
    if (!rc && collection.data)
        rc = akin_collection_name(collection, name, err);
    if (rc) return rc;
    rc = (text ? akin_engine_embed_text : akin_engine_embed_picture)(
        c->service->engine, collection.data ? name : NULL, source, &vector,
        &dim, err);
    if (!rc && blob) {
        akin_reply_bulk(c->reply, vector, dim * sizeof *vector);
    } else if (!rc) {
        akin_reply_array(c->reply, dim);
        for (uint32_t i = 0; i < dim; i++)
            akin_reply_float(c->reply, vector[i]);
    }
    akin_free(vector);
    return rc;
}

/* ---- options --------------------------------------------------------------------- */

/* "*" in a pattern stands for any text; iterative, with one point to go back
 * to. */
static bool pattern_fits(const char *pattern, const char *text)
{
    const char *star = NULL, *retry = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            retry = text;
        } else if (*pattern == '?' || !strncasecmp(pattern, text, 1)) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

static bool is_secret(const akin_option *option)
{
    return strstr(option->name, "pass") != NULL;
}

static void config_get(akin_call *c, const char *pattern)
{
    size_t n, fits = 0;
    char value[4096];
    const akin_option *options = akin_options(&n);
    for (size_t i = 0; i < n; i++)
        fits += pattern_fits(pattern, options[i].name);
    akin_reply_map(c->reply, fits);
    for (size_t i = 0; i < n; i++) {
        if (!pattern_fits(pattern, options[i].name)) continue;
        akin_config_text(c->service->config, options[i].name, value,
                         sizeof value);
        akin_reply_text(c->reply, options[i].name);
        akin_reply_text(c->reply,
                        is_secret(&options[i]) && *value ? "(set)" : value);
    }
}

akin_status akin_cmd_config(akin_call *c, akin_error *err)
{
    if (akin_span_is(c->argv[1], "GET") && c->argc == 3) {
        config_get(c, c->argv[2].data);
        return AKIN_OK;
    }
    if (!akin_span_is(c->argv[1], "SET") || c->argc != 4)
        return akin_fail(err, AKIN_INVALID,
                         "expected GET pattern or SET option value");
    akin_status rc = akin_config_set_live(c->service->config, c->argv[2].data,
                                          c->argv[3].data, err);
    if (!rc) akin_reply_simple(c->reply, "OK");
    return rc;
}

/* ---- help ------------------------------------------------------------------------ */

akin_status akin_cmd_help(akin_call *c, akin_error *err)
{
    size_t n;
    const akin_command *rows = akin_commands(&n), *one = NULL;
    if (c->argc > 1) {
        one = akin_command_find(c->argv[1]);
        if (!one)
            return akin_fail(err, AKIN_NOT_FOUND,
                             "there is no command '%.*s'; AKIN.HELP lists them",
                             AKIN_SHOWN(c->argv[1]));
        akin_reply_array(c->reply, 2);
        akin_reply_printf(c->reply, "%s %s", one->name, one->syntax);
        akin_reply_text(c->reply, one->summary);
        return AKIN_OK;
    }
    akin_reply_array(c->reply, n);
    for (size_t i = 0; i < n; i++)
        akin_reply_printf(c->reply, "%s: %s", rows[i].name, rows[i].summary);
    return AKIN_OK;
}
