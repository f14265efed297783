/* akin dedup: duplicates of folders, straight from the files, or of a collection.
 *
 * For folders it opens a data directory of its own in this process (no server:
 * what it does is about files of this machine), reads what is new, and prints,
 * reports, reviews or applies what the engine says. Each set of paths has a
 * collection of its own there; embeddings are shared between them by the files'
 * bytes. For a collection (-c) it asks the data directory or the server that
 * other commands ask. */
#include "cli_dedup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES 4096

/* ---- options --------------------------------------------------------------------- */

static bool of_collection(const akin_cli *cli)
{
    return akin_cli_has(cli, "collection");
}

static int check_combination(const akin_cli *cli)
{
    bool undo = akin_cli_has(cli, "undo"), apply = akin_cli_has(cli, "apply");
    bool review = akin_cli_has(cli, "review");
    int ways = akin_cli_has(cli, "trash") + akin_cli_has(cli, "hardlink") +
               akin_cli_has(cli, "delete");
    if (undo ? cli->argc || apply || review : !cli->argc == !of_collection(cli))
        return akin_cli_usage(cli, undo ? "--undo takes no path"
                                        : "expected PATH ... or -c COLLECTION");
    if (ways > 1)
        return akin_cli_usage(cli, "one of --trash, --hardlink and --delete");
    if ((akin_cli_has(cli, "hardlink") || akin_cli_has(cli, "delete")) &&
        !apply && !review)
        return akin_cli_usage(cli, "--hardlink and --delete go with --apply "
                                   "or --review");
    if (review && (apply || cli->json))
        return akin_cli_usage(cli, "--review asks by itself; it does not go "
                                   "with --apply and --json");
    return AKIN_EXIT_OK;
}

int akin_cli_dedup_check(akin_cli *cli)
{
    akin_level level;
    akin_error err;
    int code = check_combination(cli);
    if (code) return code;
    if (!akin_dedup_level(cli, &level))
        return akin_cli_usage(cli, "--level is exact, near or similar");
    if (akin_keep_check(akin_cli_value(cli, "keep", NULL), &err))
        return akin_cli_usage(cli, "--keep: %s", err.message);
    if (akin_cli_has(cli, "apply") && level == AKIN_LEVEL_SIMILAR)
        return akin_cli_usage(cli, "similar pictures are not duplicates; "
                                   "--apply wants --level near or exact, or "
                                   "--review, which asks");
    for (int i = 0; i < cli->argc; i++)
        if (access(cli->argv[i], R_OK))
            return akin_cli_fail(AKIN_EXIT_CANNOT, "cannot read '%s': %s",
                                 cli->argv[i], strerror(errno));
    return AKIN_EXIT_OK;
}

/* A directory of the user: variable/akin, or ~/below/akin. */
static char *user_dir(const char *variable, const char *below)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    if (base && *base == '/') return akin_format("%s/akin", base);
    return akin_format("%s/%s/akin", home ? home : ".", below);
}

/* Where the index is, and where journal and trash are: both in --data, or the
 * one in the cache, which may be emptied, and the others not. */
static bool find_places(const akin_cli *cli, char **data, akin_dedup_work *work)
{
    char text[TEXT_BYTES];
    akin_config_text(cli->config, "data", text, sizeof text);
    char *share = user_dir("XDG_DATA_HOME", ".local/share");
    char *cache = user_dir("XDG_CACHE_HOME", ".cache");
    const char *trash = akin_cli_value(cli, "trash", NULL);
    if (*text) {
        *data = akin_strdup(text);
        work->dir = akin_format("%s/dedup", text);
    } else if (share && cache) {
        *data = akin_format("%s/dedup", cache);
        work->dir = akin_format("%s/dedup", share);
    }
    if (trash)
        work->trash = akin_strdup(trash);
    else if (work->dir)
        work->trash = akin_format("%s/trash", work->dir);
    akin_free(share);
    akin_free(cache);
    work->action = akin_cli_has(cli, "hardlink") ? AKIN_DEDUP_HARDLINK
                   : akin_cli_has(cli, "delete") ? AKIN_DEDUP_DELETE
                                                 : AKIN_DEDUP_TRASH;
    return *data && work->dir && work->trash;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The collection of these paths: a name made from them. */
static akin_status collection_of(const akin_cli *cli,
                                 char out[AKIN_NAME_BYTES + 1], akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];
    akin_buf text = {0};
    char **real = akin_calloc((size_t)cli->argc, sizeof *real);
    if (!real) return akin_fail(err, AKIN_NOMEM, "no memory for the paths");
    for (int i = 0; i < cli->argc; i++) {
        char *path = realpath(cli->argv[i], NULL);
        real[i] = akin_strdup(path ? path : cli->argv[i]);
        free(path);
        if (!real[i]) text.failed = true;
    }
    if (!text.failed)
        qsort(real, (size_t)cli->argc, sizeof *real, compare_texts);
    for (int i = 0; i < cli->argc; i++) {
        if (real[i]) akin_buf_append(&text, real[i], strlen(real[i]) + 1);
        akin_free(real[i]);
    }
    akin_buf_printf(&text, "%d%d", akin_cli_has(cli, "flat"),
                    akin_cli_has(cli, "hidden"));
    akin_status rc =
        text.failed
            ? akin_fail(err, AKIN_NOMEM, "no memory for the paths")
            : akin_sha256_of((akin_span){text.data, text.size}, digest, err);
    if (!rc) {
        memcpy(out, "dedup-", 6);
        akin_hex(digest, 8, out + 6);
    }
    akin_free(real);
    akin_buf_clear(&text);
    return rc;
}

/* ---- opening ----------------------------------------------------------------------- */

akin_status akin_dedup_link(const akin_cli *cli, akin_link **out,
                            akin_error *err)
{
    akin_link_options options = {
        .config = cli->config,
        .connect = akin_cli_value(cli, "connect", getenv("AKIN_CONNECT"))};
    if (options.connect && !*options.connect) options.connect = NULL;
    return akin_link_open(&options, out, err);
}

static akin_status open_folders(akin_dedup *d, const char *data,
                                akin_error *err)
{
    akin_engine_options options = {.data_dir = data, .config = d->cli->config};
    akin_status rc = akin_cli_default_model(d->cli->config, err);
    if (!rc) rc = collection_of(d->cli, d->collection, err);
    if (!rc) rc = akin_engine_open(&options, &d->engine, err);
    if (rc == AKIN_BUSY)
        rc = akin_fail(err, rc,
                       "%s is open in another process; --data DIR gives the "
                       "folders' index a place of its own, -c COLLECTION "
                       "takes the pictures that are in it",
                       data);
    if (!rc) akin_cli_catch_interrupt();
    return rc ? rc : akin_dedup_read(d, err);
}

static akin_status open_collection(akin_dedup *d, akin_error *err)
{
    akin_span words[] = {akin_span_of("VCARD"),
                         akin_span_of(d->cli->collection)};
    redisReply *reply = NULL;
    snprintf(d->collection, sizeof d->collection, "%s", d->cli->collection);
    akin_status rc = akin_dedup_link(d->cli, &d->link, err);
    if (!rc) akin_cli_catch_interrupt();
    if (!rc) rc = akin_link_call(d->link, words, 2, &reply, err);
    if (!rc) d->pictures = (uint64_t)reply->integer;
    freeReplyObject(reply);
    return rc;
}

/* ---- the command ----------------------------------------------------------------------- */

static bool on_terminal(void)
{
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static void print_all(const akin_dedup *d)
{
    for (size_t c = 0; c < d->n; c++)
        akin_dedup_print(d->cli, d->choices[c].group, false);
    fflush(stdout);
}

static int act(akin_dedup *d)
{
    const akin_cli *cli = d->cli;
    const char *page = akin_cli_value(cli, "html", NULL);
    bool apply = akin_cli_has(cli, "apply"),
         review = akin_cli_has(cli, "review");
    int code = d->n ? AKIN_EXIT_OK : AKIN_EXIT_NOTHING;
    int page_code = page ? akin_dedup_html(d, NULL, page) : AKIN_EXIT_OK;
    if (page_code) return page_code;
    if (review && !on_terminal()) {
        akin_cli_fail(0, "--review asks on a terminal; there is none, so the "
                         "groups are only listed");
        review = false;
    }
    if (review && d->n)
        code = akin_dedup_review(d, &apply);
    else if (!cli->json && !cli->quiet)
        print_all(d);
    if (code == AKIN_EXIT_INTERRUPTED) return code;
    if (apply && d->n) code = akin_dedup_apply(d);
    if (cli->json)
        akin_dedup_json(d, apply);
    else
        akin_dedup_summary(d, apply);
    return code;
}

static int find_and_act(akin_cli *cli, const char *data, akin_dedup_work *work)
{
    akin_dedup d = {.cli = cli, .work = work};
    akin_error err;
    int code;
    akin_status rc = of_collection(cli) ? open_collection(&d, &err)
                                        : open_folders(&d, data, &err);
    if (!rc) rc = akin_dedup_find(&d, &err);
    if (rc == AKIN_CANCELLED)
        code = akin_cli_fail(AKIN_EXIT_INTERRUPTED,
                             "stopped; the same command goes on from here");
    else
        code = rc ? akin_cli_status(&err) : act(&d);
    akin_dedup_clear(&d);
    akin_engine_close(d.engine);
    akin_link_close(d.link);
    return code;
}

int akin_cli_dedup(akin_cli *cli)
{
    akin_dedup_work work = {.action = AKIN_DEDUP_TRASH};
    char *data = NULL;
    int code;

    if (!find_places(cli, &data, &work))
        code = akin_cli_fail(AKIN_EXIT_CANNOT, "no memory");
    else if (akin_cli_has(cli, "undo"))
        code = akin_dedup_undo(cli, &work);
    else
        code = find_and_act(cli, data, &work);
    akin_free(data);
    akin_free(work.dir);
    akin_free(work.trash);
    return code;
}
