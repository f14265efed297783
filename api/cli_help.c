/* Help from the tables: on the terminal, as a manual page, as
 * docs/commands.md. */
#include <string.h>

#include "cli.h"

#define TEXT_COLUMNS 78

static const struct {
    const char *code, *meaning;
} exits[] = {
    {"0", "done; something was found"},
    {"1", "nothing found, some items failed, or problems found by check"},
    {"2", "the command line is wrong"},
    {"3", "cannot open, connect, read or write, or the command failed"},
    {"130", "interrupted; run it again to go on"},
};

static const struct {
    const char *name, *meaning;
} variables[] = {
    {"AKIN_DATA", "data directory; default: ~/.local/share/akin"},
    {"AKIN_CONNECT", "server to ask, HOST:PORT or the path of a socket"},
    {"AKIN_MODEL", "model directory; default: the starter model"},
    {"AKIN_CONFIG", "file of options, 'name = value' lines"},
    {"AKIN_...", "any option of the server, as AKIN_INDEX_RECALL"},
    {"NO_COLOR", "no colours when not empty"},
};

#define COUNT(list) (sizeof(list) / sizeof *(list))

/* ---- terminal -------------------------------------------------------------------- */

/* Prints text in lines, each behind `indent` blanks; the cursor stands at
 * column `at`. */
static void wrapped(const char *text, size_t indent, size_t at)
{
    bool first = true;
    while (*text) {
        size_t n = strcspn(text, " ");
        if (!first && at + 1 + n > TEXT_COLUMNS) {
            printf("\n%*s", (int)indent, "");
            at = indent;
            first = true;
        }
        printf("%s%.*s", first ? "" : " ", (int)n, text);
        at += n + !first;
        first = false;
        text += n;
        text += strspn(text, " ");
    }
    printf("\n");
}

static void option_left(const akin_cli_option *o, char *out, size_t size)
{
    char letter[8] = "";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(out, size, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
             o->value ? o->value : "");
}

static void print_row(const char *left, const char *right, size_t column)
{
    size_t n = strlen(left);
    printf("  %s", left);
    if (n + 4 > column)
        printf("\n%*s", (int)column, "");
    else
        printf("%*s", (int)(column - n - 2), "");
    wrapped(right, column, column);
}

static void print_options(const char *title, const akin_cli_option *options)
{
    char left[80];
    if (!options->name) return;
    printf("\n%s\n", title);
    for (; options->name; options++) {
        option_left(options, left, sizeof left);
        print_row(left, options->help, 26);
    }
}

/* "path:TEXT", "format[:FORMAT]" */
static void rule_left(const akin_keep_rule *rule, char *out, size_t size)
{
    const char *value = rule->value ? rule->value : "";
    const char *open = *value == '[' ? "[:" : *value ? ":" : "";
    snprintf(out, size, "%s%s%s", rule->name, open, value + (*value == '['));
}

/* The rules that akin dedup keeps pictures by; of other commands none. */
static size_t rules_of(const akin_cli_command *c, const akin_keep_rule **rules)
{
    size_t n = 0;
    *rules = akin_keep_rules(&n);
    return c->run == akin_cli_dedup ? n : 0;
}

static void print_rules(const akin_cli_command *c)
{
    char left[80];
    const akin_keep_rule *rules;
    size_t n = rules_of(c, &rules);
    if (n) printf("\nRules of --keep\n");
    for (size_t i = 0; i < n; i++) {
        rule_left(&rules[i], left, sizeof left);
        print_row(left, rules[i].help, 26);
    }
}

static void engine_option(const akin_option *o, char *left, size_t size,
                          char *right, size_t right_size)
{
    char name[64];
    size_t n = 0;
    for (; o->name[n] && n + 1 < sizeof name; n++)
        name[n] = o->name[n] == '.' ? '-' : o->name[n];
    name[n] = 0;
    static const char *const values[] = {"", " N", " X", " TEXT", " WORD"};
    snprintf(left, size, "--%s%s%s", o->type == AKIN_OPTION_BOOL ? "[no-]" : "",
             name, values[o->type]);
    snprintf(right, right_size, "%s%s%s%s%s%s", o->help, o->choices ? " (" : "",
             o->choices ? o->choices : "", o->choices ? ")" : "",
             *o->fallback ? "; default: " : "", o->fallback);
}

static void print_engine_options(void)
{
    size_t n;
    char left[80], right[512];
    const akin_option *options = akin_options(&n);
    printf("\nOptions of the engine and the server\n");
    for (size_t i = 0; i < n; i++) {
        engine_option(&options[i], left, sizeof left, right, sizeof right);
        print_row(left, right, 32);
    }
}

static void print_one(const akin_cli_command *c)
{
    printf("usage: akin %s [options]%s%s\n\n", c->name, *c->syntax ? " " : "",
           c->syntax);
    wrapped(c->summary, 0, 0);
    if (c->details) {
        printf("\n");
        wrapped(c->details, 0, 0);
    }
    print_options("Options", c->options);
    print_rules(c);
    print_options("Common options", akin_cli_common);
    if (c->needs == AKIN_CLI_SERVE)
        print_engine_options();
    else if (c->needs != AKIN_CLI_NONE)
        printf("\n  --data DIR, --model DIR and what else 'akin help options' "
               "lists\n");
}

static void print_all(void)
{
    printf("akin %s: search pictures by words and by pictures\n\n"
           "usage: akin COMMAND [options] [operands]\n\nCommands\n",
           AKIN_VERSION);
    for (const akin_cli_command *c = akin_cli_commands; c->name; c++)
        print_row(c->name, c->summary, 16);
    print_options("Common options", akin_cli_common);
    print_row("--data DIR",
              "the data directory (AKIN_DATA); a server that has it open is "
              "asked by itself",
              26);
    print_row("--model DIR", "a CLIP model directory (AKIN_MODEL)", 26);
    printf("\nExit codes\n");
    for (size_t i = 0; i < COUNT(exits); i++)
        print_row(exits[i].code, exits[i].meaning, 8);
    printf("\n'akin help COMMAND' says more; 'akin help options' lists what "
           "the config file,\nthe environment and flags can set.\n");
}

/* ---- manual page ------------------------------------------------------------------- */

/* Text for roff: dashes and backslashes escaped, no line beginning with a dot. */
static void roff(const char *text)
{
    if (*text == '.' || *text == '\'') printf("\\&");
    for (; *text; text++) {
        if (*text == '-')
            printf("\\-");
        else if (*text == '\\')
            printf("\\e");
        else
            putchar(*text);
    }
}

static void roff_row(const char *left, const char *right)
{
    printf(".TP\n\\fB");
    roff(left);
    printf("\\fR\n");
    roff(right);
    printf("\n");
}

static void roff_options(const akin_cli_option *options)
{
    char left[80];
    for (; options->name; options++) {
        option_left(options, left, sizeof left);
        roff_row(left, options->help);
    }
}

static void roff_rules(const akin_cli_command *c)
{
    char left[80];
    const akin_keep_rule *rules;
    size_t n = rules_of(c, &rules);
    if (n) printf(".PP\nRules of \\fB\\-\\-keep\\fR:\n");
    for (size_t i = 0; i < n; i++) {
        rule_left(&rules[i], left, sizeof left);
        roff_row(left, rules[i].help);
    }
}

static void print_man(void)
{
    size_t n;
    char left[80], right[512];
    const akin_option *options = akin_options(&n);
    printf(
        ".TH AKIN 1 \"\" \"akin %s\" \"User Commands\"\n.SH NAME\n"
        "akin \\- search pictures by words and by pictures\n.SH SYNOPSIS\n"
        ".B akin\nCOMMAND [options] [operands]\n.SH DESCRIPTION\n"
        "A vector search database for images and text: it embeds pictures "
        "and captions\nwith a CLIP encoder of its own and answers "
        "text\\-to\\-image and image\\-to\\-image\nqueries over a socket and "
        "on the command line.\n.SH COMMANDS\n",
        AKIN_VERSION);
    for (const akin_cli_command *c = akin_cli_commands; c->name; c++) {
        printf(".SS \"akin %s ", c->name);
        roff(c->syntax);
        printf("\"\n");
        roff(c->summary);
        printf(".\n");
        if (c->details) {
            printf(".PP\n");
            roff(c->details);
            printf("\n");
        }
        roff_options(c->options);
        roff_rules(c);
    }
    printf(".SH COMMON OPTIONS\n");
    roff_options(akin_cli_common);
    printf(".SH OPTIONS OF THE ENGINE AND THE SERVER\nIn the config file: "
           "\\fIname = value\\fR with a dot for the first dash; in the\n"
           "environment: AKIN_NAME.\n");
    for (size_t i = 0; i < n; i++) {
        engine_option(&options[i], left, sizeof left, right, sizeof right);
        roff_row(left, right);
    }
    printf(".SH ENVIRONMENT\n");
    for (size_t i = 0; i < COUNT(variables); i++)
        roff_row(variables[i].name, variables[i].meaning);
    printf(".SH EXIT STATUS\n");
    for (size_t i = 0; i < COUNT(exits); i++)
        roff_row(exits[i].code, exits[i].meaning);
}

/* ---- docs/commands.md --------------------------------------------------------------- */

/* A cell of a Markdown table. */
static void cell(const char *text)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '<' || *text == '*') putchar('\\');
        putchar(*text);
    }
}

static void markdown_options(const akin_cli_option *options)
{
    char left[80];
    if (!options->name) return;
    printf("\n| option | |\n|---|---|\n");
    for (; options->name; options++) {
        option_left(options, left, sizeof left);
        printf("| `%s` | ", left);
        cell(options->help);
        printf(" |\n");
    }
}

static void markdown_rules(const akin_cli_command *c)
{
    char left[80];
    const akin_keep_rule *rules;
    size_t n = rules_of(c, &rules);
    if (n) printf("\n| rule of `--keep` | keeps |\n|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        rule_left(&rules[i], left, sizeof left);
        printf("| `%s` | ", left);
        cell(rules[i].help);
        printf(" |\n");
    }
}

static void markdown_commands(void)
{
    size_t n;
    const akin_command *rows = akin_commands(&n);
    const char *group = "";
    printf("\n## Commands over a socket\n\nAny Redis client can send these. "
           "[The protocol](protocol.md) says what they\nanswer and where they "
           "differ from Redis.\n");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(group, rows[i].group) != 0) {
            group = rows[i].group;
            printf("\n### %c%s\n\n| command | |\n|---|---|\n", group[0] - 32,
                   group + 1);
        }
        printf("| `%s%s", rows[i].name, *rows[i].syntax ? " " : "");
        for (const char *c = rows[i].syntax; *c; c++)
            printf(*c == '|' ? "\\|" : "%c", *c);
        printf("` | ");
        cell(rows[i].summary);
        printf(" |\n");
    }
}

static void print_markdown(void)
{
    size_t n;
    char left[80], right[512];
    const akin_option *options = akin_options(&n);
    printf("# Commands\n\nWritten by `akin help --markdown` from the tables "
           "that the program itself reads;\na test keeps this page current.\n"
           "\n## Command line\n");
    for (const akin_cli_command *c = akin_cli_commands; c->name; c++) {
        printf("\n### akin %s%s%s\n\n%c%s.", c->name, *c->syntax ? " " : "",
               c->syntax,
               c->summary[0] >= 'a' ? c->summary[0] - 32 : c->summary[0],
               c->summary + 1);
        if (c->details) printf(" %s", c->details);
        printf("\n");
        markdown_options(c->options);
        markdown_rules(c);
    }
    printf("\n### Common options\n");
    markdown_options(akin_cli_common);
    printf("\n### Exit codes\n\n| code | |\n|---|---|\n");
    for (size_t i = 0; i < COUNT(exits); i++)
        printf("| %s | %s |\n", exits[i].code, exits[i].meaning);
    printf("\n### Environment\n\n| variable | |\n|---|---|\n");
    for (size_t i = 0; i < COUNT(variables); i++)
        printf("| `%s` | %s |\n", variables[i].name, variables[i].meaning);
    printf("\n## Options of the engine and the server\n\nFlags; the config "
           "file and `AKIN.CONFIG` write `index.recall` for\n"
           "`--index-recall`, the environment `AKIN_INDEX_RECALL`. *Live* ones "
           "may be changed\nwhile the server runs.\n\n| option | | live |\n"
           "|---|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        engine_option(&options[i], left, sizeof left, right, sizeof right);
        printf("| `%s` | ", left);
        cell(right);
        printf(" | %s |\n", options[i].live ? "yes" : "");
    }
    markdown_commands();
}

/* ---- commands ----------------------------------------------------------------------- */

int akin_cli_help(akin_cli *cli)
{
    if (akin_cli_has(cli, "man")) {
        print_man();
    } else if (akin_cli_has(cli, "markdown")) {
        print_markdown();
    } else if (!cli->argc) {
        print_all();
    } else if (!strcmp(cli->argv[0], "options")) {
        print_engine_options();
    } else {
        const akin_cli_command *c = akin_cli_find(cli->argv[0]);
        const char *near = akin_cli_nearest(cli->argv[0]);
        if (!c && near)
            return akin_cli_fail(AKIN_EXIT_USAGE,
                                 "there is no command '%s'; did you mean '%s'?",
                                 cli->argv[0], near);
        if (!c)
            return akin_cli_fail(AKIN_EXIT_USAGE, "there is no command '%s'",
                                 cli->argv[0]);
        print_one(c);
    }
    return AKIN_EXIT_OK;
}

int akin_cli_version(akin_cli *cli)
{
    if (cli->json)
        printf("{\"akin\": \"%s\"}\n", AKIN_VERSION);
    else
        printf("akin %s\n", AKIN_VERSION);
    return AKIN_EXIT_OK;
}
