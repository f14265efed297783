/* akin demo: what akin does, shown on the drawings of Debian's openclipart-svg.
 * It runs the program's own commands one after another as a person would type
 * them, prints each, and has a server of its own answer; with --keep that one
 * stays. What can be done once is not done again, so the second time takes
 * seconds. The data are in a directory of the demo's own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "cli_main.h"

#define DRAWINGS  "/usr/share/openclipart/svg"
#define START_MS  30000
#define MAX_WORDS 24
#define LOG_BYTES 65536 /* of the server's log that are shown */

static const char *const questions[] = {"red car",        "birthday cake",
                                        "a cat",          "sailing boat",
                                        "christmas tree", "ein Fahrrad"};
static const char *const items[] = {
    "food/fruit/apple.svg", "transportation/fire_engine_romus_01.svg",
    "animals/crawfish1_ganson.svg",
    "transportation/bicycle_philippe_colin_01.svg"};

#define NQUESTIONS (sizeof questions / sizeof *questions)
#define NITEMS     (sizeof items / sizeof *items)

typedef struct {
    akin_cli *cli;
    const char *folder, *sheet;
    bool own; /* a folder of the user's: the drawings' ids are not in it */
    char *data, *log, *socket;
    pid_t server; /* started by us; 0: none, or another's */
    unsigned port, http_port;
} demo;

/* ---- steps ------------------------------------------------------------------------- */

static void say(const demo *d, const char *text)
{
    printf(d->cli->color ? "\033[1m%s\033[0m\n" : "%s\n", text);
    fflush(stdout);
}

/* Prints a command line and runs it here; gives its exit code. */
static int run(const demo *d, const char *const *words, size_t n)
{
    char *argv[MAX_WORDS + 1] = {0};
    akin_buf line = {0};
    akin_buf_text(&line, "$");
    for (size_t i = 0; i < n; i++) {
        const char *quote = strchr(words[i], ' ') ? "\"" : "";
        akin_buf_printf(&line, " %s%s%s", quote, words[i], quote);
        argv[i] = (char *)words[i];
    }
    const char *text = akin_buf_cstr(&line);
    if (text) say(d, text);
    akin_buf_clear(&line);
    if (akin_cli_interrupted()) return AKIN_EXIT_INTERRUPTED;
    return akin_cli_main((int)n, argv);
}

#define run_words(d, ...)                                                      \
    run(d, (const char *const[]){__VA_ARGS__},                                 \
        sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* Whether the demo's vectors are of another model than the one that is here,
 * as after an update. */
static bool is_stale(const demo *d)
{
    akin_link_options options = {.config = d->cli->config, .write = true};
    akin_span words[] = {akin_span_of("AKIN.INFO"),
                         akin_span_of(AKIN_DEFAULT_NAME)};
    akin_link *link = NULL;
    redisReply *info = NULL;
    bool stale = false;
    if (!akin_link_open(&options, &link, NULL) &&
        !akin_link_call(link, words, 2, &info, NULL)) {
        stale = !akin_field_int(info, "model_ready");
        freeReplyObject(info);
    }
    akin_link_close(link);
    return stale;
}

static int add(const demo *d)
{
    if (is_stale(d)) {
        int code = run_words(d, "akin", "reindex", "--embed");
        if (code) return code;
    }
    int code = run_words(d, "akin", "add", d->folder);
    /* some of the drawings are not well-formed: they are listed */
    return code == AKIN_EXIT_NOTHING ? AKIN_EXIT_OK : code;
}

static int ask(const demo *d)
{
    int code = AKIN_EXIT_OK;
    for (size_t i = 0; i < NQUESTIONS && code <= AKIN_EXIT_NOTHING; i++)
        code = run_words(d, "akin", "search", "--limit", "5", questions[i]);
    for (size_t i = 0; i < NITEMS && code <= AKIN_EXIT_NOTHING && !d->own; i++)
        code = run_words(d, "akin", "similar", "--limit", "5", items[i]);
    if (code > AKIN_EXIT_NOTHING) return code;

    const char *words[MAX_WORDS] = {"akin", "sheet", "--out", d->sheet};
    size_t n = 4;
    for (size_t i = 0; i < NQUESTIONS; i++)
        words[n++] = questions[i];
    for (size_t i = 0; i < NITEMS && !d->own; i++) {
        words[n++] = "--like";
        words[n++] = items[i];
    }
    return run(d, words, n);
}

/* ---- the server --------------------------------------------------------------------- */

/* The ports of a server that has the data; false: there is none. */
static bool find_server(demo *d)
{
    akin_link_options options = {.config = d->cli->config,
                                 .connect = d->socket};
    akin_span words[] = {akin_span_of("INFO"), akin_span_of("server")};
    akin_link *link = NULL;
    redisReply *info = NULL;
    bool found = !akin_link_open(&options, &link, NULL) &&
                 !akin_link_call(link, words, 2, &info, NULL);
    if (found) {
        const char *port = strstr(info->str, "\ntcp_port:");
        const char *http = strstr(info->str, "\nhttp_port:");
        d->port = port ? (unsigned)strtoul(port + 10, NULL, 10) : 0;
        d->http_port = http ? (unsigned)strtoul(http + 11, NULL, 10) : 0;
        freeReplyObject(info);
    }
    akin_link_close(link);
    return found;
}

static int spawn_server(demo *d)
{
    char *argv[] = {"akin", "serve", "--quiet", NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, d->log,
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    if (akin_cli_has(d->cli, "keep")) /* Ctrl-C is not for it */
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    int rc = posix_spawn(&d->server, "/proc/self/exe", &files, &attributes,
                         argv, environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (!rc) return AKIN_EXIT_OK;
    d->server = 0;
    return akin_cli_fail(AKIN_EXIT_CANNOT, "cannot start the server: %s",
                         strerror(rc));
}

static int server_failed(const demo *d)
{
    uint8_t *log = NULL;
    size_t size;
    akin_error err;
    if (akin_file_read(d->log, LOG_BYTES, &log, &size, &err)) log = NULL;
    int code = akin_cli_fail(
        AKIN_EXIT_CANNOT,
        "the server did not start: %s\nIs a port taken? Others are named by "
        "--port and --http-port.",
        log ? (const char *)log : err.message);
    akin_free(log);
    return code;
}

static int start_server(demo *d)
{
    say(d, "$ akin serve &");
    if (find_server(d)) {
        puts("a server has these data open already; it is asked");
        return AKIN_EXIT_OK;
    }
    int code = spawn_server(d);
    uint64_t end = akin_mono_ns() + START_MS * (uint64_t)1000000;
    while (!code) {
        int status;
        if (find_server(d)) return AKIN_EXIT_OK;
        if (waitpid(d->server, &status, WNOHANG) == d->server) {
            d->server = 0;
            return server_failed(d);
        }
        if (akin_cli_interrupted()) return AKIN_EXIT_INTERRUPTED;
        if (akin_mono_ns() > end) return server_failed(d);
        poll(NULL, 0, 20);
    }
    return code;
}

static void stop_server(demo *d)
{
    int status;
    if (!d->server) return;
    kill(d->server, SIGTERM);
    waitpid(d->server, &status, 0);
    d->server = 0;
}

/* ---- beginning and end ---------------------------------------------------------------- */

static int check_folder(const demo *d)
{
    if (!access(d->folder, R_OK | X_OK)) return AKIN_EXIT_OK;
    if (d->own)
        return akin_cli_fail(AKIN_EXIT_CANNOT, "cannot read the folder '%s'",
                             d->folder);
    return akin_cli_fail(
        AKIN_EXIT_CANNOT,
        "there are no drawings in " DRAWINGS ". They come with the Debian "
        "package openclipart-svg:\n    apt-get install openclipart-svg\nor "
        "show akin pictures of yours: akin demo FOLDER");
}

/* Every option that somebody set is in the environment of what we run. */
static akin_status export_options(const akin_config *config, akin_error *err)
{
    size_t n;
    const akin_option *options = akin_options(&n);
    for (size_t i = 0; i < n; i++) {
        char name[80] = "AKIN_", value[4096];
        if (!akin_config_is_set(config, options[i].name)) continue;
        for (size_t j = 0; j < sizeof name - 6 && options[i].name[j]; j++) {
            char c = options[i].name[j];
            name[5 + j] = c >= 'a' && c <= 'z' ? (char)(c - 32) : '_';
        }
        akin_config_text(config, options[i].name, value, sizeof value);
        if (setenv(name, value, 1))
            return akin_fail(err, AKIN_NOMEM, "no memory for %s", name);
    }
    unsetenv("AKIN_CONNECT"); /* the demo asks its own server */
    return AKIN_OK;
}

/* Of each folder the data have a directory of their own. */
static akin_status name_places(demo *d, const char *cache, akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];
    char hex[2 * 4 + 1] = "", *real = realpath(d->folder, NULL);
    akin_status rc =
        akin_sha256_of(akin_span_of(real ? real : d->folder), digest, err);
    free(real);
    if (rc) return rc;
    if (d->own) akin_hex(digest, 4, hex);
    d->data = akin_format("%s/demo%s%s", cache, d->own ? "-" : "", hex);
    if (d->data) d->log = akin_format("%s.log", d->data);
    if (d->data) d->socket = akin_format("%s/akin.sock", d->data);
    return d->log && d->socket
               ? AKIN_OK
               : akin_fail(err, AKIN_NOMEM, "no memory for paths");
}

static akin_status find_places(demo *d, akin_error *err)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool given = base && *base == '/';
    char *cache = akin_format("%s%s/akin",
                              given  ? base
                              : home ? home
                                     : ".",
                              given ? "" : "/.cache");
    akin_status rc = cache ? akin_dir_make(cache, err)
                           : akin_fail(err, AKIN_NOMEM, "no memory for paths");
    if (!rc) rc = name_places(d, cache, err);
    akin_free(cache);
    if (!rc) rc = akin_config_set(d->cli->config, "data", d->data, err);
    return rc ? rc : export_options(d->cli->config, err);
}

static void farewell(const demo *d)
{
    bool stays = akin_cli_has(d->cli, "keep") || !d->server;
    printf("\nThe answers as pictures are in %s\n", d->sheet);
    printf("Ask more, and add pictures of your own:\n"
           "  %s search --data %s \"a dog with a hat\"\n"
           "  %s add ~/Pictures\n",
           program_invocation_name, d->data, program_invocation_name);
    if (stays && d->port)
        printf("  redis-cli -p %u VSIM default TEXT \"a red flower\" COUNT 5 "
               "WITHSCORES\nand end the server with\n"
               "  redis-cli -p %u SHUTDOWN\n",
               d->port, d->port);
    if (!d->http_port)
        printf("There is no gallery, its port was taken: --http-port names "
               "another\n");
    else
        printf("The gallery%s: http://127.0.0.1:%u/\n",
               stays ? "" : ", when --keep leaves the server running",
               d->http_port);
}

int akin_cli_demo(akin_cli *cli)
{
    demo d = {.cli = cli, .folder = cli->argc ? cli->argv[0] : DRAWINGS};
    akin_error err;
    d.own = cli->argc > 0;
    d.sheet = akin_cli_value(cli, "out", "akin-demo.html");
    int code = check_folder(&d);
    if (code) return code;
    akin_cli_catch_interrupt();
    if (find_places(&d, &err)) code = akin_cli_status(&err);
    if (!code) code = add(&d);
    if (!code) code = start_server(&d);
    if (!code) code = ask(&d);
    if (!code) farewell(&d);
    if (code || !akin_cli_has(cli, "keep")) stop_server(&d);
    akin_free(d.data);
    akin_free(d.log);
    akin_free(d.socket);
    return code;
}
