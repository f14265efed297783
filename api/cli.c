/* Reading the command line: which command, its options, its operands; then
 * opening the link and running it. */
#include "cli.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli_main.h"

/* ---- messages -------------------------------------------------------------------- */

/* A name in the message may hold what would steer the terminal. */
static void say(const char *fmt, va_list args)
{
    char text[4096];
    vsnprintf(text, sizeof text, fmt, args);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' && *c != '\n') *c = '?';
    fflush(stdout);
    fprintf(stderr, "akin: %s\n", text);
}

int akin_cli_fail(int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
    return code;
}

int akin_cli_usage(const akin_cli *cli, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    say(fmt, args);
    va_end(args);
    if (cli && cli->command)
        fprintf(stderr, "usage: akin %s [options] %s\n(akin help %s)\n",
                cli->command->name, cli->command->syntax, cli->command->name);
    return AKIN_EXIT_USAGE;
}

int akin_cli_status(const akin_error *err)
{
    return akin_cli_fail(AKIN_EXIT_CANNOT, "%s", err->message);
}

char *akin_cli_joined(const akin_cli *cli)
{
    akin_buf text = {0};
    for (int i = 0; i < cli->argc; i++)
        akin_buf_printf(&text, "%s%s", i ? " " : "", cli->argv[i]);
    const char *words = akin_buf_cstr(&text);
    char *copy = akin_strdup(words ? words : "");
    akin_buf_clear(&text);
    return copy;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    if (interrupted) _exit(128 + number); /* asked twice: at once */
    interrupted = 1;
}

void akin_cli_catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool akin_cli_interrupted(void)
{
    return interrupted;
}

/* ---- finding --------------------------------------------------------------------- */

const akin_cli_command *akin_cli_find(const char *name)
{
    for (const akin_cli_command *c = akin_cli_commands; c->name; c++)
        if (!strcmp(c->name, name)) return c;
    return NULL;
}

/* How many letters must be added, dropped, changed or swapped with a neighbour;
 * at most 9 when either is long. */
static unsigned distance(const char *a, const char *b)
{
    enum { MOST = 24 };
    size_t n = strlen(a), m = strlen(b);
    unsigned d[MOST + 1][MOST + 1];
    if (n > MOST || m > MOST) return 9;
    for (size_t i = 0; i <= n; i++)
        for (size_t j = 0; j <= m; j++) {
            if (!i || !j) {
                d[i][j] = (unsigned)(i + j);
                continue;
            }
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1] && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

/* Whether `name` is nearer than what was found so far. */
static bool nearer(const char *typed, const char *name, unsigned *best)
{
    unsigned now = distance(typed, name);
    size_t n = strlen(typed);
    if (n >= 3 && !strncmp(typed, name, n)) now = 1;
    if (now >= *best || now > (n < 4 ? 1u : 2u)) return false;
    *best = now;
    return true;
}

const char *akin_cli_nearest(const char *name)
{
    /* what other programs call it */
    static const char *const other[][2] = {
        {"server", "serve"},       {"find", "search"},
        {"query", "search"},       {"delete", "rm"},
        {"remove", "rm"},          {"del", "rm"},
        {"import", "add"},         {"ingest", "add"},
        {"tune", "index"},         {"list", "collections"},
        {"ls", "collections"},     {"show", "get"},
        {"stats", "info"},         {"verify", "check"},
        {"fsck", "check"},         {"like", "similar"},
        {"create", "collections"}, {"dump", "backup"},
        {"snapshot", "backup"},    {"export", "backup"},
        {"recover", "restore"},    {"label", "classify"},
    };
    const char *found = NULL;
    unsigned best = 9;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (!strcmp(name, other[i][0])) return other[i][1];
    for (const akin_cli_command *c = akin_cli_commands; c->name; c++)
        if (nearer(name, c->name, &best)) found = c->name;
    return found;
}

static const akin_cli_option *in_list(const akin_cli_option *list,
                                      const char *name, size_t n)
{
    for (; list->name; list++) {
        if (n == 1 && list->letter == *name) return list;
        if (n > 1 && strlen(list->name) == n && !strncmp(list->name, name, n))
            return list;
    }
    return NULL;
}

static const akin_cli_option *find_option(const akin_cli *cli, const char *name,
                                          size_t n)
{
    const akin_cli_option *o = NULL;
    if (cli->command) o = in_list(cli->command->options, name, n);
    return o ? o : in_list(akin_cli_common, name, n);
}

static const char *nearest_option(const akin_cli *cli, const char *typed)
{
    const akin_cli_option *lists[] = {cli->command ? cli->command->options
                                                   : akin_cli_common,
                                      akin_cli_common};
    const char *found = NULL;
    unsigned best = 9;
    size_t n;
    for (int i = 0; i < 2; i++)
        for (const akin_cli_option *o = lists[i]; o->name; o++)
            if (nearer(typed, o->name, &best)) found = o->name;
    const akin_option *options = akin_options(&n);
    for (size_t i = 0; i < n; i++)
        if (nearer(typed, options[i].name, &best)) found = options[i].name;
    return found;
}

/* ---- options --------------------------------------------------------------------- */

const char *akin_cli_value(const akin_cli *cli, const char *name,
                           const char *fallback)
{
    for (size_t i = cli->ngiven; i-- > 0;)
        if (!strcmp(cli->given[i].name, name)) return cli->given[i].value;
    return fallback;
}

bool akin_cli_has(const akin_cli *cli, const char *name)
{
    for (size_t i = 0; i < cli->ngiven; i++)
        if (!strcmp(cli->given[i].name, name)) return true;
    return false;
}

bool akin_cli_number(const akin_cli *cli, const char *name, int64_t min,
                     int64_t max, int64_t fallback, int64_t *out)
{
    const char *text = akin_cli_value(cli, name, NULL);
    *out = fallback;
    if (!text) return true;
    if (akin_span_int(akin_span_of(text), out) && *out >= min && *out <= max)
        return true;
    akin_cli_usage(cli, "--%s wants a whole number from %lld to %lld, got '%s'",
                   name, (long long)min, (long long)max, text);
    return false;
}

static bool give(akin_cli *cli, const akin_cli_option *option,
                 const char *value)
{
    if (cli->ngiven == AKIN_CLI_MAX_GIVEN) {
        akin_cli_usage(cli, "more than %d options", AKIN_CLI_MAX_GIVEN);
        return false;
    }
    cli->given[cli->ngiven].name = option->name;
    cli->given[cli->ngiven].operands = cli->argc;
    cli->given[cli->ngiven++].value = value ? value : "";
    return true;
}

static bool unknown_option(const akin_cli *cli, const char *arg)
{
    char typed[64];
    const char *name = arg + strspn(arg, "-");
    snprintf(typed, sizeof typed, "%.*s", (int)strcspn(name, "="), name);
    const char *near = nearest_option(cli, typed);
    if (near)
        akin_cli_usage(cli, "unknown option '%s'; did you mean --%s?", arg,
                       near);
    else
        akin_cli_usage(cli, "unknown option '%s'", arg);
    return false;
}

/* "--name", "--name=value", "--name value". *at is its index and moves on. */
static bool long_option(akin_cli *cli, int argc, char **argv, int *at)
{
    const char *arg = argv[*at], *name = arg + 2;
    size_t n = strcspn(name, "=");
    const akin_cli_option *o = n > 1 ? find_option(cli, name, n) : NULL;
    if (!o) return unknown_option(cli, arg);
    if (!o->value) {
        if (name[n]) {
            akin_cli_usage(cli, "--%s takes no value", o->name);
            return false;
        }
        return give(cli, o, NULL);
    }
    if (name[n]) return give(cli, o, name + n + 1);
    if (*at + 1 >= argc) {
        akin_cli_usage(cli, "--%s wants %s behind it", o->name, o->value);
        return false;
    }
    return give(cli, o, argv[++*at]);
}

/* "-j", "-jq", "-k5", "-k 5". */
static bool short_options(akin_cli *cli, int argc, char **argv, int *at)
{
    const char *arg = argv[*at];
    for (const char *c = arg + 1; *c; c++) {
        const akin_cli_option *o = find_option(cli, c, 1);
        if (!o) return unknown_option(cli, arg);
        if (!o->value) {
            if (!give(cli, o, NULL)) return false;
            continue;
        }
        if (c[1]) return give(cli, o, c + 1);
        if (*at + 1 >= argc) {
            akin_cli_usage(cli, "-%c wants %s behind it", o->letter, o->value);
            return false;
        }
        return give(cli, o, argv[++*at]);
    }
    return true;
}

static bool is_number(const char *arg)
{
    double value;
    return akin_span_double(akin_span_of(arg), &value);
}

/* Sorts argv into options and operands; the operands stay in argv. The first
 * operand is the command. */
static bool read_arguments(akin_cli *cli, int argc, char **argv)
{
    bool options = true;
    cli->argv = argv;
    for (int i = 0; i < argc; i++) {
        char *arg = argv[i];
        if (options && !strcmp(arg, "--")) {
            options = false;
        } else if (options && arg[0] == '-' && arg[1] == '-') {
            if (!long_option(cli, argc, argv, &i)) return false;
        } else if (options && arg[0] == '-' && arg[1] && !is_number(arg)) {
            if (!short_options(cli, argc, argv, &i)) return false;
        } else if (!cli->command && options) {
            cli->command = akin_cli_find(arg);
            if (cli->command) continue;
            const char *near = akin_cli_nearest(arg);
            if (near)
                akin_cli_fail(0,
                              "there is no command '%s'; did you mean "
                              "'akin %s'?",
                              arg, near);
            else
                akin_cli_fail(0,
                              "there is no command '%s'; 'akin help' lists "
                              "them",
                              arg);
            return false;
        } else {
            cli->argv[cli->argc++] = arg;
        }
    }
    return true;
}

static akin_status read_config(akin_cli *cli, int *argc, char **argv,
                               akin_error *err)
{
    const char *file = getenv("AKIN_CONFIG");
    akin_status rc = akin_config_open(&cli->config, err);
    for (int i = 1; i < *argc && strcmp(argv[i], "--"); i++)
        if (!strncmp(argv[i], "--config=", 9))
            file = argv[i] + 9;
        else if (!strcmp(argv[i], "--config") && i + 1 < *argc)
            file = argv[++i];
    if (!rc && file && *file) rc = akin_config_load(cli->config, file, err);
    if (!rc) rc = akin_config_environment(cli->config, err);
    if (!rc) rc = akin_config_args(cli->config, argc, argv, err);
    return rc;
}

static bool set_color(akin_cli *cli)
{
    const char *when = akin_cli_value(cli, "color", "auto");
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if (!strcmp(when, "always"))
        cli->color = true;
    else if (!strcmp(when, "auto"))
        cli->color = isatty(STDOUT_FILENO) && !(no && *no) && term &&
                     strcmp(term, "dumb") != 0;
    else if (strcmp(when, "never") != 0) {
        akin_cli_usage(cli, "--color is auto, always or never, not '%s'", when);
        return false;
    }
    return true;
}

/* ---- running ---------------------------------------------------------------------- */

akin_status akin_cli_connect(const akin_cli *cli, bool write, akin_link **out,
                             akin_error *err)
{
    akin_link_options options = {
        .config = cli->config,
        .connect = akin_cli_value(cli, "connect", getenv("AKIN_CONNECT")),
        .write = write};
    if (options.connect && !*options.connect) options.connect = NULL;
    return akin_link_open(&options, out, err);
}

static int open_and_run(akin_cli *cli)
{
    akin_error err;
    bool write = cli->command->needs == AKIN_CLI_WRITE;
    if (akin_cli_connect(cli, write, &cli->link, &err))
        return akin_cli_status(&err);
    int code = cli->command->run(cli);
    akin_link_close(cli->link);
    return code;
}

static int run(akin_cli *cli)
{
    cli->json = akin_cli_has(cli, "json");
    cli->quiet = akin_cli_has(cli, "quiet");
    cli->collection = akin_cli_value(cli, "collection", AKIN_DEFAULT_NAME);
    if (!set_color(cli)) return AKIN_EXIT_USAGE;
    if (akin_cli_has(cli, "help") || !cli->command) {
        bool asked = akin_cli_has(cli, "help");
        char *one[] = {cli->command ? (char *)cli->command->name : NULL, NULL};
        cli->argv = one;
        cli->argc = cli->command ? 1 : 0;
        cli->command = akin_cli_find("help");
        int helped = akin_cli_help(cli);
        return asked ? helped : AKIN_EXIT_USAGE;
    }
    const akin_cli_command *c = cli->command;
    if (c->most >= 0 && cli->argc > c->most)
        return akin_cli_usage(cli, "unexpected '%s'", cli->argv[c->most]);
    if (cli->argc < c->least)
        return akin_cli_usage(cli, "expected %s", c->syntax);
    int code = c->check ? c->check(cli) : AKIN_EXIT_OK;
    if (code) return code;
    if (c->needs == AKIN_CLI_NONE || c->needs == AKIN_CLI_SERVE)
        return c->run(cli);
    return open_and_run(cli);
}

/* Whether whoever read our output has gone, as `head` does. */
static bool reader_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

int akin_cli_main(int argc, char **argv)
{
    akin_cli cli = {0};
    akin_error err;
    int code = AKIN_EXIT_USAGE;
    if (read_config(&cli, &argc, argv, &err))
        akin_cli_fail(0, "%s", err.message);
    else if (argc > 1 && !strcmp(argv[1], "--version"))
        code = akin_cli_version(&cli);
    else if (read_arguments(&cli, argc > 0 ? argc - 1 : 0, argv + 1))
        code = run(&cli);
    bool unwritten = fflush(stdout) || ferror(stdout);
    if (unwritten && !reader_gone())
        code = akin_cli_fail(AKIN_EXIT_CANNOT, "cannot write the output");
    akin_config_close(cli.config);
    return code;
}
