/* akin get, rm, embed. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define MAX_FILE (64u << 20)

/* ---- get ------------------------------------------------------------------------- */

static json_t *text_json(const redisReply *item, const char *key)
{
    const char *text = akin_field_text(item, key);
    return *text ? json_string(text) : json_null();
}

static json_t *vector_json(const redisReply *vector)
{
    json_t *list = json_array();
    for (size_t i = 0; vector && i < vector->elements; i++)
        json_array_append_new(list,
                              json_real(strtod(vector->element[i]->str, NULL)));
    return list;
}

static json_t *item_json(const redisReply *item, const redisReply *vector)
{
    const char *attributes = akin_field_text(item, "attributes");
    json_t *object = *attributes ? json_loads(attributes, 0, NULL) : NULL;
    json_t *root = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:o, s:b, s:b, s:I, s:I}",
        "id", text_json(item, "id"), "caption", text_json(item, "caption"),
        "attributes", object ? object : json_null(), "path",
        text_json(item, "path"), "format", text_json(item, "format"), "width",
        (json_int_t)akin_field_int(item, "width"), "height",
        (json_int_t)akin_field_int(item, "height"), "bytes",
        (json_int_t)akin_field_int(item, "bytes"), "hash",
        text_json(item, "hash"), "has_image",
        (int)akin_field_int(item, "has_image"), "has_caption",
        (int)akin_field_int(item, "has_caption"), "added",
        (json_int_t)akin_field_int(item, "added"), "changed",
        (json_int_t)akin_field_int(item, "changed"));
    if (vector) json_object_set_new(root, "vector", vector_json(vector));
    return root;
}

static void print_vector(const redisReply *vector)
{
    for (size_t i = 0; i < vector->elements; i++)
        printf("%s%s", i ? " " : "", vector->element[i]->str);
    printf("\n");
}

static void print_item(const akin_cli *cli, const redisReply *item,
                       const redisReply *vector)
{
    static const char *const texts[] = {"caption", "path"};
    const char *attributes = akin_field_text(item, "attributes");
    char size[32], when[32];
    akin_print_field(cli, "id", "%s", akin_field_text(item, "id"));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (*akin_field_text(item, texts[i]))
            akin_print_field(cli, texts[i], "%s",
                             akin_field_text(item, texts[i]));
    if (*attributes) akin_print_field(cli, "attributes", "%s", attributes);
    if (akin_field_int(item, "bytes"))
        akin_print_field(
            cli, "picture", "%s, %" PRId64 " x %" PRId64 ", %s",
            akin_field_text(item, "format"), akin_field_int(item, "width"),
            akin_field_int(item, "height"),
            akin_byte_size((uint64_t)akin_field_int(item, "bytes"), size));
    akin_print_field(cli, "vectors", "%s%s%s",
                     akin_field_int(item, "has_image") ? "image" : "",
                     akin_field_int(item, "has_image") &&
                             akin_field_int(item, "has_caption")
                         ? ", "
                         : "",
                     akin_field_int(item, "has_caption") ? "caption" : "");
    akin_print_field(cli, "added", "%s",
                     akin_when(akin_field_int(item, "added"), when));
    if (akin_field_int(item, "changed") != akin_field_int(item, "added"))
        akin_print_field(cli, "changed", "%s",
                         akin_when(akin_field_int(item, "changed"), when));
    if (vector) {
        akin_print_field(cli, "vector", "%zu numbers", vector->elements);
        print_vector(vector);
    }
}

static int save_thumbnail(akin_cli *cli, const char *id)
{
    const char *file = akin_cli_value(cli, "thumbnail", NULL);
    akin_error err;
    akin_status rc = AKIN_OK;
    int code = AKIN_EXIT_OK;
    if (!file) return code;
    redisReply *thumb =
        akin_link_ask(cli->link, "AKIN.THUMB", cli->collection, id);
    if (!thumb) return AKIN_EXIT_CANNOT;
    if (thumb->type == REDIS_REPLY_STRING)
        rc = akin_file_replace(
            file, (akin_span){thumb->str, (size_t)thumb->len}, &err);
    else
        code = akin_cli_fail(AKIN_EXIT_NOTHING, "'%s' has no thumbnail", id);
    freeReplyObject(thumb);
    return rc ? akin_cli_status(&err) : code;
}

static int get_one(akin_cli *cli, const char *id, json_t *list, bool first)
{
    redisReply *vector = NULL;
    redisReply *item =
        akin_link_ask(cli->link, "AKIN.GET", cli->collection, id);
    if (!item) return AKIN_EXIT_CANNOT;
    if (item->type == REDIS_REPLY_NIL) {
        freeReplyObject(item);
        return akin_cli_fail(AKIN_EXIT_NOTHING, "no item '%s' in %s", id,
                             cli->collection);
    }
    if (akin_cli_has(cli, "vector"))
        vector = akin_link_ask(cli->link, "VEMB", cli->collection, id);
    if (vector && vector->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(vector);
        vector = NULL;
    }
    if (cli->json) {
        json_array_append_new(list, item_json(item, vector));
    } else {
        if (!first) printf("\n");
        print_item(cli, item, vector);
    }
    freeReplyObject(item);
    if (vector) freeReplyObject(vector);
    return save_thumbnail(cli, id);
}

int akin_cli_get(akin_cli *cli)
{
    int code = AKIN_EXIT_OK;
    json_t *list = json_array();
    for (int i = 0; i < cli->argc; i++) {
        int one = get_one(cli, cli->argv[i], list, i == 0);
        if (one > code) code = one;
    }
    if (cli->json) {
        bool single = cli->argc == 1 && json_array_size(list) == 1;
        json_dumpf(single ? json_array_get(list, 0) : list, stdout,
                   JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        printf("\n");
    }
    json_decref(list);
    return code;
}

/* ---- rm -------------------------------------------------------------------------- */

int akin_cli_rm(akin_cli *cli)
{
    akin_error err;
    int removed = 0;
    char number[32];
    bool quiet = cli->quiet || akin_cli_has(cli, "missing-ok");
    for (int i = 0; i < cli->argc; i++) {
        akin_span argv[] = {akin_span_of("VREM"), akin_span_of(cli->collection),
                            akin_span_of(cli->argv[i])};
        redisReply *reply = NULL;
        if (akin_link_call(cli->link, argv, 3, &reply, &err))
            return akin_cli_status(&err);
        bool gone = reply->type == REDIS_REPLY_INTEGER && reply->integer;
        removed += gone;
        freeReplyObject(reply);
        if (!gone && !quiet)
            akin_cli_fail(0, "no item '%s' in %s", cli->argv[i],
                          cli->collection);
    }
    if (cli->json)
        printf("{\"removed\": %d}\n", removed);
    else if (!cli->quiet)
        printf("removed %s\n", akin_thousands((uint64_t)removed, number));
    return removed == cli->argc || akin_cli_has(cli, "missing-ok")
               ? AKIN_EXIT_OK
               : AKIN_EXIT_NOTHING;
}

/* ---- embed ----------------------------------------------------------------------- */

int akin_cli_embed(akin_cli *cli)
{
    const char *image = akin_cli_value(cli, "image", NULL);
    akin_words words = {0};
    char *text = akin_cli_joined(cli);
    akin_error err;
    uint8_t *data = NULL;
    size_t size = 0;
    redisReply *reply = NULL;

    if (!image == !cli->argc) {
        akin_free(text);
        return akin_cli_usage(cli, "expected words or --image FILE");
    }
    akin_words_add(&words, "AKIN.EMBED");
    if (image) {
        if (akin_file_read(image, MAX_FILE, &data, &size, &err)) {
            akin_words_clear(&words);
            akin_free(text);
            return akin_cli_status(&err);
        }
        akin_words_add(&words, "IMAGE");
        akin_words_bytes(&words, data, size);
    } else {
        akin_words_add(&words, "TEXT");
        akin_words_add(&words, text ? text : "");
    }
    if (akin_cli_has(cli, "collection")) {
        akin_words_add(&words, "COLLECTION");
        akin_words_add(&words, cli->collection);
    }
    reply = akin_words_ask(cli->link, &words);
    if (reply && cli->json) {
        json_t *root =
            json_pack("{s:I, s:o}", "dim", (json_int_t)reply->elements,
                      "vector", vector_json(reply));
        json_dumpf(root, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
        printf("\n");
        json_decref(root);
    } else if (reply) {
        print_vector(reply);
    }
    akin_free(data);
    akin_free(text);
    akin_words_clear(&words);
    if (!reply) return AKIN_EXIT_CANNOT;
    freeReplyObject(reply);
    return AKIN_EXIT_OK;
}
