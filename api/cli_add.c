/* akin add. Where the directory or the server shares our files, the engine
 * reads them itself (AKIN.INGEST, a job that we follow). */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static bool paths_exist(akin_cli *cli)
{
    for (int i = 0; i < cli->argc; i++)
        if (access(cli->argv[i], R_OK)) {
            akin_cli_fail(0, "cannot read '%s'", cli->argv[i]);
            return false;
        }
    return true;
}

static int ask_to_ingest(akin_cli *cli, int64_t *job)
{
    static const struct {
        const char *option, *word;
    } switches[] = {{"flat", "FLAT"},
                    {"hidden", "HIDDEN"},
                    {"follow", "FOLLOW"},
                    {"force", "FORCE"},
                    {"prune", "PRUNE"}};
    const char *captions = akin_cli_value(cli, "captions", NULL);
    akin_words words = {0};
    akin_words_add(&words, "AKIN.INGEST");
    akin_words_add(&words, cli->collection);
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (akin_cli_has(cli, switches[i].option))
            akin_words_add(&words, switches[i].word);
    if (captions) {
        akin_words_add(&words, "CAPTIONS");
        akin_words_add(&words, captions);
    }
    for (int i = 0; i < cli->argc; i++) {
        /* The server stands in another directory. */
        char *real = realpath(cli->argv[i], NULL);
        akin_words_printf(&words, "%s", real ? real : cli->argv[i]);
        free(real);
    }
    redisReply *reply = akin_words_ask(cli->link, &words);
    akin_words_clear(&words);
    if (!reply) return AKIN_EXIT_CANNOT;
    *job = reply->integer;
    freeReplyObject(reply);
    return AKIN_EXIT_OK;
}

static void print_failures(akin_cli *cli, int64_t job)
{
    char id[24];
    snprintf(id, sizeof id, "%" PRId64, job);
    redisReply *list =
        akin_link_ask(cli->link, "AKIN.JOB", "FAILURES", id, NULL);
    for (size_t i = 0; list && i < list->elements; i++)
        if (list->element[i]->elements == 2)
            fprintf(stderr, "%s: %s\n", list->element[i]->element[0]->str,
                    list->element[i]->element[1]->str);
    if (list) freeReplyObject(list);
}

static void print_summary(akin_cli *cli, const redisReply *job)
{
    static const char *const counts[] = {"added", "updated", "unchanged",
                                         "failed"};
    char number[32];
    json_t *root = json_object();
    json_object_set_new(root, "collection", json_string(cli->collection));
    for (size_t i = 0; i < 4; i++) {
        int64_t n = akin_field_int(job, counts[i]);
        json_object_set_new(root, counts[i], json_integer(n));
        if (!cli->json && !cli->quiet)
            printf("%s%s %s", i ? ", " : "",
                   akin_thousands((uint64_t)n, number), counts[i]);
    }
    if (cli->json) json_dumpf(root, stdout, JSON_COMPACT);
    if (cli->json || !cli->quiet) printf("\n");
    json_decref(root);
}

int akin_cli_add(akin_cli *cli)
{
    int64_t job = 0;
    redisReply *end = NULL;
    if (!cli->argc)
        return akin_cli_usage(cli, "expected files, folders or catalogues");
    if (!paths_exist(cli)) return AKIN_EXIT_CANNOT;
    int code = ask_to_ingest(cli, &job);
    if (!code) code = akin_cli_follow(cli, job, "adding", &end);
    if (end) {
        print_failures(cli, job);
        print_summary(cli, end);
        if (code == AKIN_EXIT_INTERRUPTED && !cli->quiet)
            akin_cli_fail(0, "stopped; the same command goes on from here");
        if (!code && akin_field_int(end, "failed")) code = AKIN_EXIT_NOTHING;
        freeReplyObject(end);
    }
    return code;
}
