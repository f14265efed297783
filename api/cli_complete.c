/* Completions for bash, zsh and fish, written from the tables. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static void option_names(const akin_cli_option *options)
{
    for (; options->name; options++)
        printf(" --%s", options->name);
}

static void engine_names(void)
{
    size_t n;
    const akin_option *options = akin_options(&n);
    for (size_t i = 0; i < n; i++) {
        printf(" --");
        for (const char *c = options[i].name; *c; c++)
            putchar(*c == '.' ? '-' : *c);
    }
}

/* Words that a command takes before anything else. */
static const char *first_words(const akin_cli_command *c)
{
    if (!strcmp(c->name, "collections")) return "list create drop";
    if (!strcmp(c->name, "jobs")) return "list wait cancel resume failures";
    if (!strcmp(c->name, "completion")) return "bash zsh fish";
    return "";
}

static void bash(void)
{
    printf("# eval \"$(akin completion bash)\"\n_akin() {\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} command= i options\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in -*) ;; *) "
           "command=${COMP_WORDS[i]}; break ;; esac\n    done\n"
           "    case $command in\n    '') options='");
    for (const akin_cli_command *c = akin_cli_commands; c->name; c++)
        printf("%s ", c->name);
    printf("' ;;\n");
    for (const akin_cli_command *c = akin_cli_commands; c->name; c++) {
        printf("    %s) options='%s", c->name, first_words(c));
        if (!strcmp(c->name, "help"))
            for (const akin_cli_command *o = akin_cli_commands; o->name; o++)
                printf(" %s", o->name);
        option_names(c->options);
        if (c->needs == AKIN_CLI_SERVE)
            engine_names();
        else if (c->needs != AKIN_CLI_NONE)
            printf(" --data --model");
        printf("' ;;\n");
    }
    printf("    esac\n    options+='");
    option_names(akin_cli_common);
    printf("'\n    COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
           "    case $word in -*) ;; *) [ -n \"$command\" ] && COMPREPLY+=("
           "$(compgen -f -- \"$word\")) ;; esac\n}\n"
           "complete -o filenames -F _akin akin\n");
}

/* A summary inside of 'single quotes'; `also` is escaped with a backslash. */
static void quoted(const char *text, const char *also)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (strchr(also, *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void zsh_options(const akin_cli_option *options)
{
    for (; options->name; options++) {
        printf("            '--%s[", options->name);
        quoted(options->help, "[]:\\");
        printf("]%s%s%s' \\\n", options->value ? ":" : "",
               options->value ? options->value : "",
               !options->value ? ""
               : strstr(options->value, "FILE") || strstr(options->value, "DIR")
                   ? ":_files"
                   : ":");
    }
}

static void zsh(void)
{
    printf("#compdef akin\n_akin() {\n    local -a commands\n    commands=(\n");
    for (const akin_cli_command *c = akin_cli_commands; c->name; c++) {
        printf("        '%s:", c->name);
        quoted(c->summary, ":\\");
        printf("'\n");
    }
    printf("    )\n    if (( CURRENT == 2 )); then\n"
           "        _describe command commands\n        return\n    fi\n"
           "    case $words[2] in\n");
    for (const akin_cli_command *c = akin_cli_commands; c->name; c++) {
        printf("    %s)\n        _arguments \\\n", c->name);
        zsh_options(c->options);
        zsh_options(akin_cli_common);
        if (*first_words(c))
            printf("            '2:what:(%s)' \\\n", first_words(c));
        printf("            '*:file:_files' ;;\n");
    }
    printf("    esac\n}\ncompdef _akin akin\n");
}

static void fish_options(const akin_cli_option *options, const char *command)
{
    for (; options->name; options++) {
        printf("complete -c akin");
        if (command) printf(" -n '__fish_seen_subcommand_from %s'", command);
        printf(" -l %s", options->name);
        if (options->letter) printf(" -s %c", options->letter);
        if (options->value) printf(" -r");
        printf(" -d '");
        quoted(options->help, "\\");
        printf("'\n");
    }
}

static void fish(void)
{
    for (const akin_cli_command *c = akin_cli_commands; c->name; c++) {
        printf("complete -c akin -n __fish_use_subcommand -f -a %s -d '",
               c->name);
        quoted(c->summary, "\\");
        printf("'\n");
        fish_options(c->options, c->name);
        if (*first_words(c))
            printf("complete -c akin -n '__fish_seen_subcommand_from %s' -f "
                   "-a '%s'\n",
                   c->name, first_words(c));
    }
    fish_options(akin_cli_common, NULL);
}

int akin_cli_completion(akin_cli *cli)
{
    static const struct {
        const char *shell;
        void (*write)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    if (cli->argc == 1)
        for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
            if (!strcmp(cli->argv[0], shells[i].shell)) {
                shells[i].write();
                return AKIN_EXIT_OK;
            }
    return akin_cli_usage(cli, "expected bash, zsh or fish");
}
