/* akin index: what suits a collection, what its indexes deliver, building them
 * anew. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "cli.h"

static int finish(redisReply *reply)
{
    freeReplyObject(reply);
    return AKIN_EXIT_OK;
}

static void dump(json_t *root)
{
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    printf("\n");
    json_decref(root);
}

/* ---- tune ------------------------------------------------------------------------- */

static void print_needs(const akin_cli *cli, const redisReply *space,
                        const char *key, const char *name)
{
    const redisReply *needs = akin_reply_field(space, key);
    double recall = akin_field_real(needs, "recall");
    char measured[48] = "not measured yet";
    if (recall > 0)
        snprintf(measured, sizeof measured, "measured %.3f", recall);
    if (akin_field_int(needs, "nprobe"))
        akin_print_field(
            cli, name, "nprobe %" PRId64 ", %" PRId64 " candidates; recall %s",
            akin_field_int(needs, "nprobe"),
            akin_field_int(needs, "candidates"), measured);
    else
        akin_print_field(cli, name, "a scan of everything");
}

static void print_costs(const akin_cli *cli, const redisReply *space)
{
    char memory[32], file[32], build[32];
    double took = akin_field_real(space, "took_seconds");
    akin_print_field(
        cli, "memory", "%s, and the file of %s as far as there is room",
        akin_byte_size((uint64_t)akin_field_int(space, "memory_bytes"), memory),
        akin_byte_size((uint64_t)akin_field_int(space, "disk_bytes"), file));
    if (!akin_field_int(space, "sample")) return;
    akin_byte_size((uint64_t)akin_field_int(space, "build_bytes"), build);
    if (took > 0)
        akin_print_field(cli, "building",
                         "about %.0f s on an idle machine, %s of memory; the "
                         "current one took %.0f s",
                         akin_field_real(space, "build_seconds"), build, took);
    else
        akin_print_field(cli, "building",
                         "about %.0f s on an idle machine, %s of memory",
                         akin_field_real(space, "build_seconds"), build);
}

static void print_tuning(const akin_cli *cli, const redisReply *space)
{
    char vectors[32];
    const char *chosen = akin_field_text(space, "chosen");
    const char *current = akin_field_text(space, "current");
    bool image = !strcmp(akin_field_text(space, "space"), "image");
    akin_print_field(
        cli, "space", "%s, %s vectors", akin_field_text(space, "space"),
        akin_thousands((uint64_t)akin_field_int(space, "vectors"), vectors));
    akin_print_field(cli, "index", "%s%s%s", chosen,
                     strcmp(chosen, current) ? "; in use: " : ", in use",
                     strcmp(chosen, current) ? current : "");
    akin_print_field(cli, "why", "%s", akin_field_text(space, "why"));
    akin_print_field(cli, "recall@10", "%.3g is aimed at",
                     akin_field_real(space, "target"));
    if (strcmp(current, "exact")) {
        print_needs(cli, space, "items", "items");
        if (image) print_needs(cli, space, "text", "words");
    }
    print_costs(cli, space);
}

static json_t *needs_json(const redisReply *space, const char *key)
{
    const redisReply *needs = akin_reply_field(space, key);
    return json_pack("{s:I, s:I, s:f}", "nprobe",
                     (json_int_t)akin_field_int(needs, "nprobe"), "candidates",
                     (json_int_t)akin_field_int(needs, "candidates"), "recall",
                     akin_field_real(needs, "recall"));
}

static json_t *tuning_json(const redisReply *space)
{
    static const char *const texts[] = {"space", "chosen", "why", "current"};
    static const char *const numbers[] = {"vectors", "sample", "memory_bytes",
                                          "build_bytes", "disk_bytes"};
    static const char *const reals[] = {"target", "build_seconds",
                                        "took_seconds"};
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_object_set_new(out, texts[i],
                            json_string(akin_field_text(space, texts[i])));
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(out, numbers[i],
                            json_integer(akin_field_int(space, numbers[i])));
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        json_object_set_new(out, reals[i],
                            json_real(akin_field_real(space, reals[i])));
    json_object_set_new(out, "items", needs_json(space, "items"));
    json_object_set_new(out, "text", needs_json(space, "text"));
    return out;
}

static int tune(akin_cli *cli, const char *name)
{
    redisReply *spaces = akin_link_ask(cli->link, "AKIN.TUNE", name);
    if (!spaces) return AKIN_EXIT_CANNOT;
    json_t *list = json_array();
    for (size_t i = 0; i < spaces->elements; i++) {
        if (cli->json) {
            json_array_append_new(list, tuning_json(spaces->element[i]));
            continue;
        }
        if (i) printf("\n");
        print_tuning(cli, spaces->element[i]);
    }
    if (cli->json)
        dump(list);
    else
        json_decref(list);
    if (!cli->json && !spaces->elements && !cli->quiet)
        akin_cli_fail(0, "'%s' is empty", name);
    return finish(spaces);
}

/* ---- recall ----------------------------------------------------------------------- */

static void print_curve(akin_cli *cli, const redisReply *m)
{
    static const akin_column columns[] = {
        {"nprobe", AKIN_RIGHT, false},    {"candidates", AKIN_RIGHT, false},
        {"recall@10", AKIN_RIGHT, false}, {"+-", AKIN_RIGHT, false},
        {"queries/s", AKIN_RIGHT, false}, {"", AKIN_LEFT, false}};
    const redisReply *curve = akin_reply_field(m, "curve");
    bool text = !strcmp(akin_field_text(m, "queries"), "text");
    printf("%s space, asked %s: ", akin_field_text(m, "space"),
           text ? "in words" : "with its own vectors");
    if (akin_field_int(m, "exact")) {
        printf("searched exactly, recall 1\n");
        return;
    }
    printf("%" PRId64 " queries, recall@10 of %.3g aimed at\n",
           akin_field_int(m, "sample"), akin_field_real(m, "target"));
    akin_table *table = akin_table_new(columns, 6);
    for (size_t i = 0; curve && i < curve->elements; i++) {
        const redisReply *p = curve->element[i];
        bool used =
            akin_field_int(p, "nprobe") == akin_field_int(m, "nprobe") &&
            akin_field_int(p, "candidates") == akin_field_int(m, "candidates");
        akin_table_cell(table, "%" PRId64, akin_field_int(p, "nprobe"));
        akin_table_cell(table, "%" PRId64, akin_field_int(p, "candidates"));
        akin_table_cell(table, "%.4f", akin_field_real(p, "recall"));
        akin_table_cell(table, "%.4f", akin_field_real(p, "error"));
        akin_table_cell(table, "%.0f", akin_field_real(p, "qps"));
        akin_table_cell(table, "%s", used ? "used" : "");
    }
    akin_table_print(table, cli);
    akin_table_free(table);
    if (!akin_field_int(m, "nprobe"))
        printf("the target is reached by a scan of everything\n");
}

static json_t *curve_json(const redisReply *m)
{
    const redisReply *curve = akin_reply_field(m, "curve");
    json_t *points = json_array();
    for (size_t i = 0; curve && i < curve->elements; i++) {
        const redisReply *p = curve->element[i];
        json_array_append_new(
            points,
            json_pack("{s:I, s:I, s:f, s:f, s:f}", "nprobe",
                      (json_int_t)akin_field_int(p, "nprobe"), "candidates",
                      (json_int_t)akin_field_int(p, "candidates"), "recall",
                      akin_field_real(p, "recall"), "error",
                      akin_field_real(p, "error"), "qps",
                      akin_field_real(p, "qps")));
    }
    return json_pack(
        "{s:s, s:s, s:b, s:f, s:I, s:I, s:I, s:o}", "space",
        akin_field_text(m, "space"), "queries", akin_field_text(m, "queries"),
        "exact", (int)akin_field_int(m, "exact"), "target",
        akin_field_real(m, "target"), "sample",
        (json_int_t)akin_field_int(m, "sample"), "nprobe",
        (json_int_t)akin_field_int(m, "nprobe"), "candidates",
        (json_int_t)akin_field_int(m, "candidates"), "curve", points);
}

static int recall(akin_cli *cli, const char *name)
{
    akin_words words = {0};
    const char *space = akin_cli_value(cli, "space", NULL);
    const char *sample = akin_cli_value(cli, "sample", NULL);
    akin_words_add(&words, "AKIN.RECALL");
    akin_words_add(&words, name);
    if (space) {
        akin_words_add(&words, "SPACE");
        akin_words_add(&words, space);
    }
    if (sample) {
        akin_words_add(&words, "SAMPLE");
        akin_words_add(&words, sample);
    }
    redisReply *curves = akin_words_ask(cli->link, &words);
    akin_words_clear(&words);
    if (!curves) return AKIN_EXIT_CANNOT;
    json_t *list = json_array();
    for (size_t i = 0; i < curves->elements; i++) {
        if (cli->json) {
            json_array_append_new(list, curve_json(curves->element[i]));
            continue;
        }
        if (i) printf("\n");
        print_curve(cli, curves->element[i]);
    }
    if (cli->json)
        dump(list);
    else
        json_decref(list);
    return finish(curves);
}

/* ---- rebuild ---------------------------------------------------------------------- */

static int rebuild(akin_cli *cli, const char *name)
{
    const char *index = akin_cli_value(cli, "index", NULL);
    redisReply *job = NULL, *reply;
    reply = index
                ? akin_link_ask(cli->link, "AKIN.REBUILD", name, "INDEX", index)
                : akin_link_ask(cli->link, "AKIN.REBUILD", name);
    if (!reply) return AKIN_EXIT_CANNOT;
    int code = akin_cli_follow(cli, reply->integer, "building", &job);
    freeReplyObject(reply);
    if (job) freeReplyObject(job);
    if (code) return code;
    if (cli->quiet && !cli->json) return AKIN_EXIT_OK;
    return tune(cli, name);
}

int akin_cli_index(akin_cli *cli)
{
    const char *verb = cli->argc ? cli->argv[0] : "tune";
    const char *name = cli->argc > 1 ? cli->argv[1] : cli->collection;
    if (akin_cli_has(cli, "index") && strcmp(verb, "rebuild") != 0)
        return akin_cli_usage(cli, "--index is for rebuild");
    if (strcmp(verb, "recall") != 0 &&
        (akin_cli_has(cli, "space") || akin_cli_has(cli, "sample")))
        return akin_cli_usage(cli, "--space and --sample are for recall");
    if (!strcmp(verb, "tune")) return tune(cli, name);
    if (!strcmp(verb, "recall")) return recall(cli, name);
    if (!strcmp(verb, "rebuild")) return rebuild(cli, name);
    return akin_cli_usage(cli, "expected tune, recall or rebuild");
}
