/* akin collections, info, reindex, check, jobs. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

/* A reply as JSON. `switches` names the keys, in a comma-separated list, whose 0
 * and 1 mean false and true; `reals` those that are numbers as text. */
typedef struct {
    const char *switches, *reals;
} json_shape;

static bool listed(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; p && *p;) {
        size_t size = strcspn(p, ",");
        if (size == n && !strncmp(p, word, n)) return true;
        p += size + (p[size] == ',');
    }
    return false;
}

static json_t *map_json(const redisReply *map, const json_shape *shape);

static json_t *value_json(const redisReply *v, const char *key,
                          const json_shape *shape)
{
    switch (v->type) {
    case REDIS_REPLY_INTEGER:
        return listed(shape->switches, key) ? json_boolean(v->integer)
                                            : json_integer(v->integer);
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        if (listed(shape->reals, key)) return json_real(strtod(v->str, NULL));
        return json_string(v->str);
    case REDIS_REPLY_ARRAY: return map_json(v, shape);
    default: return json_null();
    }
}

static json_t *map_json(const redisReply *map, const json_shape *shape)
{
    json_t *object = json_object();
    for (size_t i = 0; i + 1 < map->elements; i += 2)
        json_object_set_new(
            object, map->element[i]->str,
            value_json(map->element[i + 1], map->element[i]->str, shape));
    return object;
}

/* Prints it and lets go of it. */
static void dump(json_t *root)
{
    json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    printf("\n");
    json_decref(root);
}

void akin_reply_print_json(const redisReply *map, const char *switches,
                           const char *reals)
{
    dump(map_json(map, &(json_shape){switches, reals}));
}

static json_t *list_json(const redisReply *list, const json_shape *shape)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->elements; i++)
        json_array_append_new(array, map_json(list->element[i], shape));
    return array;
}

static int done(redisReply *reply)
{
    if (!reply) return AKIN_EXIT_CANNOT;
    freeReplyObject(reply);
    return AKIN_EXIT_OK;
}

/* ---- collections ------------------------------------------------------------------ */

static int list_collections(akin_cli *cli)
{
    static const akin_column columns[] = {{"name", AKIN_LEFT, true},
                                          {"items", AKIN_RIGHT, false},
                                          {"dim", AKIN_RIGHT, false},
                                          {"index", AKIN_LEFT, false},
                                          {"model", AKIN_LEFT, true}};
    const json_shape shape = {NULL, NULL};
    char items[32];
    redisReply *list = akin_link_ask(cli->link, "AKIN.LIST");
    if (!list) return AKIN_EXIT_CANNOT;
    if (cli->json) {
        dump(list_json(list, &shape));
    } else if (list->elements) {
        akin_table *table = akin_table_new(columns, 5);
        for (size_t i = 0; i < list->elements; i++) {
            const redisReply *row = list->element[i];
            const char *model = akin_field_text(row, "model");
            akin_table_cell(table, "%s", akin_field_text(row, "name"));
            akin_table_cell(
                table, "%s",
                akin_thousands((uint64_t)akin_field_int(row, "items"), items));
            akin_table_cell(table, "%" PRId64, akin_field_int(row, "dim"));
            akin_table_cell(table, "%s", akin_field_text(row, "index"));
            akin_table_cell(table, "%s", *model ? model : "-");
        }
        akin_table_print(table, cli);
        akin_table_free(table);
    } else if (!cli->quiet) {
        akin_cli_fail(0, "no collections yet; 'akin add FILES' makes one");
    }
    return done(list);
}

static int create_collection(akin_cli *cli, const char *name)
{
    akin_words words = {0};
    char model[4096];
    const char *dim = akin_cli_value(cli, "dim", NULL);
    bool fields = false;
    akin_words_add(&words, "AKIN.CREATE");
    akin_words_add(&words, name);
    if (dim) {
        akin_words_add(&words, "DIM");
        akin_words_add(&words, dim);
    } else if (akin_config_is_set(cli->config, "model") &&
               *akin_config_text(cli->config, "model", model, sizeof model)) {
        akin_words_add(&words, "MODEL");
        akin_words_add(&words, model);
    }
    for (size_t i = 0; i < cli->ngiven; i++) {
        if (strcmp(cli->given[i].name, "field") != 0) continue;
        const char *value = cli->given[i].value;
        const char *colon = strrchr(value, ':');
        if (!colon || colon == value) {
            akin_words_clear(&words);
            return akin_cli_usage(cli, "--field wants NAME:TYPE, got '%s'",
                                  value);
        }
        if (!fields) akin_words_add(&words, "SCHEMA");
        fields = true;
        akin_words_bytes(&words, value, (size_t)(colon - value));
        akin_words_add(&words, colon + 1);
    }
    redisReply *reply = akin_words_ask(cli->link, &words);
    akin_words_clear(&words);
    if (reply && !cli->quiet && !cli->json) printf("created %s\n", name);
    if (reply && cli->json) dump(json_pack("{s:s}", "created", name));
    return done(reply);
}

static bool confirmed(akin_cli *cli, const char *name)
{
    char answer[16];
    if (akin_cli_has(cli, "yes")) return true;
    if (!isatty(STDIN_FILENO)) {
        akin_cli_fail(0, "dropping '%s' removes all its items; say --yes",
                      name);
        return false;
    }
    fprintf(stderr, "Remove collection '%s' and all its items? [y/N] ", name);
    return fgets(answer, sizeof answer, stdin) &&
           (answer[0] == 'y' || answer[0] == 'Y');
}

static int drop_collection(akin_cli *cli, const char *name)
{
    if (!confirmed(cli, name)) return AKIN_EXIT_USAGE;
    redisReply *reply = akin_link_ask(cli->link, "AKIN.DROP", name);
    if (reply && cli->json)
        dump(json_pack("{s:s}", "dropped", name));
    else if (reply && !cli->quiet)
        printf("dropped %s\n", name);
    return done(reply);
}

int akin_cli_collections(akin_cli *cli)
{
    const char *verb = cli->argc ? cli->argv[0] : "list";
    if (!strcmp(verb, "list") && cli->argc <= 1) return list_collections(cli);
    if (!strcmp(verb, "create") && cli->argc == 2)
        return create_collection(cli, cli->argv[1]);
    if (!strcmp(verb, "drop") && cli->argc == 2)
        return drop_collection(cli, cli->argv[1]);
    return akin_cli_usage(cli, "expected list, create NAME or drop NAME");
}

/* ---- info ---------------------------------------------------------------------------- */

static void print_space(const akin_cli *cli, const redisReply *info,
                        const char *name)
{
    const redisReply *space = akin_reply_field(info, name);
    char vectors[32], memory[32], recall[32] = "";
    double measured = akin_field_real(space, "recall");
    if (!space || !akin_field_int(space, "vectors")) return;
    if (measured > 0)
        snprintf(recall, sizeof recall, ", recall %.3f", measured);
    akin_print_field(
        cli, name, "%s vectors, %s%s, %s in memory%s",
        akin_thousands((uint64_t)akin_field_int(space, "vectors"), vectors),
        akin_field_text(space, "index"), recall,
        akin_byte_size((uint64_t)akin_field_int(space, "memory_bytes"), memory),
        akin_field_int(space, "building") ? ", building" : "");
}

static void print_info(const akin_cli *cli, const redisReply *info)
{
    char items[32], when[32];
    const redisReply *fields = akin_reply_field(info, "fields");
    const char *model = akin_field_text(info, "model");
    akin_print_field(cli, "collection", "%s", akin_field_text(info, "name"));
    akin_print_field(
        cli, "items", "%s",
        akin_thousands((uint64_t)akin_field_int(info, "items"), items));
    akin_print_field(cli, "dimensions", "%" PRId64,
                     akin_field_int(info, "dim"));
    if (*model) {
        akin_print_field(cli, "model", "%s%s", model,
                         akin_field_int(info, "model_ready")
                             ? ""
                             : " (not here: words and pictures cannot be "
                               "searched with)");
        akin_print_field(cli, "fingerprint", "%.16s",
                         akin_field_text(info, "fingerprint"));
    }
    print_space(cli, info, "image");
    print_space(cli, info, "caption");
    for (size_t i = 0; fields && i + 1 < fields->elements; i += 2)
        akin_print_field(cli, "field", "%s: %s", fields->element[i]->str,
                         fields->element[i + 1]->str);
    akin_print_field(cli, "created", "%s",
                     akin_when(akin_field_int(info, "created"), when));
}

int akin_cli_info(akin_cli *cli)
{
    const json_shape shape = {"model_ready,building",
                              "recall,memory_per_vector,disk_per_vector"};
    const char *name = cli->argc ? cli->argv[0] : cli->collection;
    if (akin_cli_has(cli, "server")) {
        redisReply *text = akin_link_ask(cli->link, "INFO", "all");
        if (text) printf("%s", text->str);
        return done(text);
    }
    redisReply *info = akin_link_ask(cli->link, "AKIN.INFO", name);
    if (info && cli->json)
        dump(map_json(info, &shape));
    else if (info)
        print_info(cli, info);
    return done(info);
}

/* ---- reindex ------------------------------------------------------------------------- */

int akin_cli_reindex(akin_cli *cli)
{
    const char *name = cli->argc ? cli->argv[0] : cli->collection;
    char model[4096] = "";
    redisReply *reply, *job = NULL;
    if (akin_cli_has(cli, "embed")) {
        akin_config_text(cli->config, "model", model, sizeof model);
        if (!*model)
            return akin_cli_usage(cli, "--embed wants --model DIR with it");
        char *real = realpath(model, NULL);
        reply = akin_link_ask(cli->link, "AKIN.REINDEX", name, "MODEL",
                              real ? real : model);
        free(real);
    } else {
        reply = akin_link_ask(cli->link, "AKIN.REINDEX", name);
    }
    if (!reply) return AKIN_EXIT_CANNOT;
    int code = akin_cli_follow(cli, reply->integer, "building", &job);
    freeReplyObject(reply);
    if (!code && cli->json)
        dump(json_pack("{s:s}", "reindexed", name));
    else if (!code && !cli->quiet)
        printf("%s is indexed anew\n", name);
    if (job) freeReplyObject(job);
    return code;
}

/* ---- check --------------------------------------------------------------------------- */

static void print_check(const redisReply *report)
{
    const redisReply *messages = akin_reply_field(report, "messages");
    int64_t problems = akin_field_int(report, "problems");
    int64_t repaired = akin_field_int(report, "repaired");
    char items[32], vectors[32], count[32];
    for (size_t i = 0; messages && i < messages->elements; i++)
        printf("%s\n", messages->element[i]->str);
    printf(
        "%s items, %s vectors: ",
        akin_thousands((uint64_t)akin_field_int(report, "items"), items),
        akin_thousands((uint64_t)akin_field_int(report, "vectors"), vectors));
    if (!problems)
        printf("no problems\n");
    else
        printf("%s problem%s%s\n", akin_thousands((uint64_t)problems, count),
               problems == 1 ? "" : "s",
               repaired == problems ? ", repaired" : "");
}

int akin_cli_check(akin_cli *cli)
{
    const json_shape shape = {NULL, NULL};
    akin_words words = {0};
    akin_words_add(&words, "AKIN.CHECK");
    if (cli->argc || akin_cli_has(cli, "collection"))
        akin_words_add(&words, cli->argc ? cli->argv[0] : cli->collection);
    if (akin_cli_has(cli, "repair")) akin_words_add(&words, "REPAIR");
    redisReply *report = akin_words_ask(cli->link, &words);
    akin_words_clear(&words);
    if (!report) return AKIN_EXIT_CANNOT;
    if (cli->json) {
        const redisReply *messages = akin_reply_field(report, "messages");
        json_t *list = json_array(), *root = map_json(report, &shape);
        for (size_t i = 0; messages && i < messages->elements; i++)
            json_array_append_new(list, json_string(messages->element[i]->str));
        json_object_set_new(root, "messages", list);
        dump(root);
    } else {
        print_check(report);
    }
    bool clean = akin_field_int(report, "problems") ==
                 akin_field_int(report, "repaired");
    freeReplyObject(report);
    return clean ? AKIN_EXIT_OK : AKIN_EXIT_NOTHING;
}

/* ---- jobs ---------------------------------------------------------------------------- */

static const json_shape job_shape = {NULL, "rate,seconds_left"};

static int list_jobs(akin_cli *cli)
{
    static const akin_column columns[] = {
        {"id", AKIN_RIGHT, false},    {"kind", AKIN_LEFT, false},
        {"state", AKIN_LEFT, false},  {"collection", AKIN_LEFT, true},
        {"done", AKIN_RIGHT, false},  {"failed", AKIN_RIGHT, false},
        {"started", AKIN_LEFT, true}, {"what", AKIN_LEFT, true}};
    char number[32], when[32];
    redisReply *list = akin_link_ask(cli->link, "AKIN.JOB", "LIST");
    if (!list) return AKIN_EXIT_CANNOT;
    if (cli->json) {
        dump(list_json(list, &job_shape));
    } else if (list->elements) {
        akin_table *table = akin_table_new(columns, 8);
        for (size_t i = 0; i < list->elements; i++) {
            const redisReply *job = list->element[i];
            akin_table_cell(table, "%" PRId64, akin_field_int(job, "id"));
            akin_table_cell(table, "%s", akin_field_text(job, "kind"));
            akin_table_cell(table, "%s", akin_field_text(job, "state"));
            akin_table_cell(table, "%s", akin_field_text(job, "collection"));
            akin_table_cell(
                table, "%s",
                akin_thousands((uint64_t)akin_field_int(job, "done"), number));
            akin_table_cell(table, "%" PRId64, akin_field_int(job, "failed"));
            akin_table_cell(table, "%s",
                            akin_when(akin_field_int(job, "started"), when));
            akin_table_cell(table, "%s", akin_field_text(job, "what"));
        }
        akin_table_print(table, cli);
        akin_table_free(table);
    } else if (!cli->quiet) {
        akin_cli_fail(0, "no jobs");
    }
    return done(list);
}

int akin_cli_audit(akin_cli *cli)
{
    static const json_shape shape = {NULL, NULL};
    static const akin_column columns[] = {{"when", AKIN_LEFT, false},
                                          {"times", AKIN_RIGHT, false},
                                          {"who", AKIN_LEFT, true},
                                          {"what", AKIN_LEFT, true},
                                          {"last of them", AKIN_LEFT, true}};
    char when[32];
    redisReply *list = akin_link_ask(cli->link, "AKIN.AUDIT", "COUNT",
                                     cli->argc ? cli->argv[0] : "100");
    if (!list) return AKIN_EXIT_CANNOT;
    if (cli->json) {
        dump(list_json(list, &shape));
    } else if (list->elements) {
        akin_table *table = akin_table_new(columns, 5);
        for (size_t i = 0; i < list->elements; i++) {
            const redisReply *e = list->element[i];
            akin_table_cell(table, "%s",
                            akin_when(akin_field_int(e, "last"), when));
            akin_table_cell(table, "%" PRId64, akin_field_int(e, "times"));
            akin_table_cell(table, "%s", akin_field_text(e, "who"));
            akin_table_cell(table, "%s", akin_field_text(e, "what"));
            akin_table_cell(table, "%s", akin_field_text(e, "detail"));
        }
        akin_table_print(table, cli);
        akin_table_free(table);
    } else if (!cli->quiet) {
        akin_cli_fail(0, "nothing was removed");
    }
    return done(list);
}

static int list_failures(akin_cli *cli, const char *id)
{
    redisReply *list = akin_link_ask(cli->link, "AKIN.JOB", "FAILURES", id);
    if (!list) return AKIN_EXIT_CANNOT;
    json_t *array = json_array();
    for (size_t i = 0; i < list->elements; i++) {
        const redisReply *pair = list->element[i];
        if (pair->elements != 2) continue;
        if (cli->json)
            json_array_append_new(array, json_pack("{s:s, s:s}", "what",
                                                   pair->element[0]->str, "why",
                                                   pair->element[1]->str));
        else
            printf("%s: %s\n", pair->element[0]->str, pair->element[1]->str);
    }
    if (cli->json)
        dump(array);
    else
        json_decref(array);
    return done(list);
}

static void print_state(const akin_cli *cli, const redisReply *job)
{
    if (cli->json)
        dump(map_json(job, &job_shape));
    else if (!cli->quiet)
        printf("%s\n", akin_field_text(job, "state"));
}

/* Asks again and again: a server lets only eight AKIN.JOB WAIT at a time. */
static int wait_for_job(akin_cli *cli, const char *id)
{
    const struct timespec pause = {0, AKIN_CLI_POLL_NS};
    int64_t seconds, number;
    if (!akin_span_int(akin_span_of(id), &number))
        return akin_cli_usage(cli, "wait wants a job's number, got '%s'", id);
    if (!akin_cli_number(cli, "timeout", 0, 86400, 3600, &seconds))
        return AKIN_EXIT_USAGE;
    uint64_t end_ns = akin_mono_ns() + (uint64_t)seconds * 1000000000;
    redisReply *job = akin_link_ask(cli->link, "AKIN.JOB", id);
    while (job && !akin_cli_job_ended(job) && akin_mono_ns() < end_ns) {
        freeReplyObject(job);
        nanosleep(&pause, NULL);
        job = akin_link_ask(cli->link, "AKIN.JOB", id);
    }
    if (!job) return AKIN_EXIT_CANNOT;
    bool ok = !strcmp(akin_field_text(job, "state"), "done");
    print_state(cli, job);
    freeReplyObject(job);
    return ok ? AKIN_EXIT_OK : AKIN_EXIT_NOTHING;
}

/* A server's job goes on by itself; one of a directory opened here would end
 * with us, so we stay. */
static int resume_job(akin_cli *cli, const char *id)
{
    redisReply *job = NULL;
    int64_t number;
    int code = done(akin_link_ask(cli->link, "AKIN.JOB", "RESUME", id));
    if (code || !akin_link_engine(cli->link)) return code;
    akin_span_int(akin_span_of(id), &number); /* RESUME took it */
    code = akin_cli_follow(cli, number, "working", &job);
    if (!job) return code;
    print_state(cli, job);
    freeReplyObject(job);
    return code;
}

int akin_cli_jobs(akin_cli *cli)
{
    const char *verb = cli->argc ? cli->argv[0] : "list";
    const char *id = cli->argc == 2 ? cli->argv[1] : NULL;
    if (!strcmp(verb, "list") && cli->argc <= 1) return list_jobs(cli);
    if (!strcmp(verb, "failures") && id) return list_failures(cli, id);
    if (!strcmp(verb, "wait") && id) return wait_for_job(cli, id);
    if (!strcmp(verb, "cancel") && id)
        return done(akin_link_ask(cli->link, "AKIN.JOB", "CANCEL", id));
    if (!strcmp(verb, "resume") && id) return resume_job(cli, id);
    return akin_cli_usage(
        cli, "expected list, wait ID, cancel ID, resume ID or failures ID");
}
