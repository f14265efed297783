/* akin add. Where the directory or the server shares our files, the engine
 * reads them itself (AKIN.INGEST, a job that we follow); else their bytes are
 * sent (cli_send.c). */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "cli_send.h"

int akin_cli_add_check(akin_cli *cli)
{
    for (int i = 0; i < cli->argc; i++)
        if (access(cli->argv[i], R_OK))
            return akin_cli_fail(AKIN_EXIT_CANNOT, "cannot read '%s': %s",
                                 cli->argv[i], strerror(errno));
    /* From here on, so that Ctrl-C while the model loads ends in order too. */
    akin_cli_catch_interrupt();
    return AKIN_EXIT_OK;
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
    redisReply *list = akin_link_ask(cli->link, "AKIN.JOB", "FAILURES", id);
    for (size_t i = 0; list && i < list->elements; i++)
        if (list->element[i]->elements == 2)
            fprintf(stderr, "%s: %s\n", list->element[i]->element[0]->str,
                    list->element[i]->element[1]->str);
    if (list) freeReplyObject(list);
}

static void print_summary(const akin_cli *cli, const akin_progress *p)
{
    const struct {
        const char *name;
        uint64_t n;
    } counts[] = {{"added", p->added},
                  {"updated", p->updated},
                  {"unchanged", p->skipped},
                  {"failed", p->failed}};
    char number[32];
    if (cli->json) {
        json_t *root = json_pack("{s:s}", "collection", cli->collection);
        for (size_t i = 0; i < 4; i++)
            json_object_set_new(root, counts[i].name,
                                json_integer((json_int_t)counts[i].n));
        json_dumpf(root, stdout, JSON_COMPACT);
        json_decref(root);
    }
    for (size_t i = 0; i < 4 && !cli->json && !cli->quiet; i++)
        printf("%s%s %s", i ? ", " : "", akin_thousands(counts[i].n, number),
               counts[i].name);
    if (cli->json || !cli->quiet) printf("\n");
}

static int add_as_job(akin_cli *cli, akin_progress *p)
{
    int64_t job = 0;
    redisReply *end = NULL;
    int code = ask_to_ingest(cli, &job);
    if (!code) code = akin_cli_follow(cli, job, "adding", &end);
    if (!end) return code;
    print_failures(cli, job);
    p->added = (uint64_t)akin_field_int(end, "added");
    p->updated = (uint64_t)akin_field_int(end, "updated");
    p->skipped = (uint64_t)akin_field_int(end, "unchanged");
    p->failed = (uint64_t)akin_field_int(end, "failed");
    freeReplyObject(end);
    return code;
}

static int add_by_sending(akin_cli *cli, akin_progress *p)
{
    static const char *const words[] = {"metadata", "filename", "none"};
    const char *captions = akin_cli_value(cli, "captions", words[0]);
    akin_ingest what = {.paths = (const char *const *)cli->argv,
                        .npaths = (size_t)cli->argc,
                        .flat = akin_cli_has(cli, "flat"),
                        .hidden = akin_cli_has(cli, "hidden"),
                        .follow_links = akin_cli_has(cli, "follow"),
                        .force = akin_cli_has(cli, "force")};
    akin_report report = {0};
    size_t i = 0;
    while (i < 3 && strcmp(words[i], captions) != 0)
        i++;
    if (i == 3)
        return akin_cli_usage(cli, "--captions is metadata, filename or none");
    what.captions = (akin_caption_from)i;
    if (akin_cli_has(cli, "prune"))
        return akin_cli_usage(cli, "--prune works only where the files are: "
                                   "on the server's machine");
    int code = akin_cli_send(cli, &what, &report);
    *p = report.progress;
    return code;
}

int akin_cli_add(akin_cli *cli)
{
    akin_progress p = {0};
    bool send = akin_cli_has(cli, "send") || !akin_link_shares_files(cli->link);
    int code = send ? add_by_sending(cli, &p) : add_as_job(cli, &p);
    if (code && code != AKIN_EXIT_INTERRUPTED) return code;
    print_summary(cli, &p);
    if (code && !cli->quiet)
        akin_cli_fail(0, "stopped; the same command goes on from here");
    return !code && p.failed ? AKIN_EXIT_NOTHING : code;
}
