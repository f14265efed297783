/* The program `akin`: a table of commands and their options, a link to a data
 * directory or a server, and what prints. Everything here runs on the main
 * thread and may print; nothing below it does. */
#ifndef AKIN_API_CLI_H
#define AKIN_API_CLI_H

#include <hiredis/hiredis.h>
#include <stdio.h>

#include "commands.h"

/* How the program ends; docs/commands.md lists them. */
enum {
    AKIN_EXIT_OK = 0,
    AKIN_EXIT_NOTHING = 1, /* nothing found, or some items failed */
    AKIN_EXIT_USAGE = 2,
    AKIN_EXIT_CANNOT = 3, /* open, connect, read, write; the command failed */
    AKIN_EXIT_INTERRUPTED = 130
};

/* ---- the tables (cli.c) ------------------------------------------------------- */

typedef struct akin_cli akin_cli;

typedef struct {
    const char *name;  /* without the dashes */
    char letter;       /* or 0 */
    const char *value; /* what its argument is called; NULL: a switch */
    const char *help;
} akin_cli_option;

typedef enum {
    AKIN_CLI_NONE,  /* needs no data */
    AKIN_CLI_READ,  /* an existing directory, or a server */
    AKIN_CLI_WRITE, /* a directory, made when missing, or a server */
    AKIN_CLI_SERVE  /* the directory itself */
} akin_cli_needs;

typedef struct {
    const char *name, *syntax, *summary, *details;
    akin_cli_needs needs;
    int least, most; /* operands; most < 0: any number */
    /* Or NULL. Before anything is opened: an exit code, 0 to go on. */
    int (*check)(akin_cli *cli);
    int (*run)(akin_cli *cli);      /* gives the exit code */
    const akin_cli_option *options; /* ends with a row without a name */
} akin_cli_command;

/* Both tables end with a row without a name. */
extern const akin_cli_command akin_cli_commands[];
extern const akin_cli_option akin_cli_common[];
const akin_cli_command *akin_cli_find(const char *name);
/* The nearest of the commands' names, or NULL when none is near. */
const char *akin_cli_nearest(const char *name);

/* ---- one run --------------------------------------------------------------------- */

#define AKIN_CLI_MAX_GIVEN 256

typedef struct akin_link akin_link;

struct akin_cli {
    const akin_cli_command *command;
    akin_config *config;
    akin_link *link; /* open when the command needs one */
    /* options as given, in order; name is the table's */
    struct {
        const char *name, *value;
        int operands; /* before it */
    } given[AKIN_CLI_MAX_GIVEN];
    size_t ngiven;
    int argc; /* operands */
    char **argv;
    bool json, quiet, color;
    const char *collection;
};

/* Opens a link to where --connect, AKIN_CONNECT or the data directory lead.
 * write: the directory is made when missing. */
akin_status akin_cli_connect(const akin_cli *cli, bool write, akin_link **out,
                             akin_error *err) AKIN_MUST_CHECK;

/* The last value given, or fallback. */
const char *akin_cli_value(const akin_cli *cli, const char *name,
                           const char *fallback);
bool akin_cli_has(const akin_cli *cli, const char *name);
/* A whole number within bounds; false: said so on standard error. */
bool akin_cli_number(const akin_cli *cli, const char *name, int64_t min,
                     int64_t max, int64_t fallback, int64_t *out);

/* The operands with blanks between, for akin_free; NULL: no memory. */
char *akin_cli_joined(const akin_cli *cli);

/* "akin: message" on standard error; gives `code`. */
int akin_cli_fail(int code, const char *fmt, ...) AKIN_PRINTF(2, 3);
int akin_cli_usage(const akin_cli *cli, const char *fmt, ...) AKIN_PRINTF(2, 3);
int akin_cli_status(const akin_error *err); /* prints it; the exit code */

/* Whether Ctrl-C was pressed since akin_cli_catch_interrupt. */
void akin_cli_catch_interrupt(void);
bool akin_cli_interrupted(void);

/* ---- the link (cli_link.c) ---------------------------------------------------------- */

/* A data directory opened in this process, or a connection; commands of the
 * table go in, hiredis replies come out, the same either way. */
typedef struct {
    akin_config *config;
    const char *connect; /* HOST:PORT or a path; NULL: the directory */
    const char *data;    /* the directory; NULL: option "data", or the usual */
    bool write;          /* make the directory when missing */
} akin_link_options;

akin_status akin_link_open(const akin_link_options *options, akin_link **out,
                           akin_error *err) AKIN_MUST_CHECK;
void akin_link_close(akin_link *link); /* no-op on NULL */
/* The engine of a directory that was opened here; NULL: a server is asked. */
akin_engine *akin_link_engine(akin_link *link);
/* Waits at most that long; whether akin_link_receive has something to read. */
bool akin_link_wait(akin_link *link, int timeout_ms);
/* Where paths given to AKIN.INGEST are read: here (directory, Unix socket) or
 * on another machine, perhaps. */
bool akin_link_shares_files(const akin_link *link);

/* Queues a command; many may be under way. Replies come in order. */
akin_status akin_link_send(akin_link *link, const akin_span *argv, size_t argc,
                           akin_error *err) AKIN_MUST_CHECK;
/* The next reply, for freeReplyObject. An error reply is a reply. */
akin_status akin_link_receive(akin_link *link, redisReply **out,
                              akin_error *err) AKIN_MUST_CHECK;
/* Writes what is queued; only then does the other side see it. Receive does so
 * by itself. */
akin_status akin_link_flush(akin_link *link, akin_error *err) AKIN_MUST_CHECK;
/* Both, and an error reply is AKIN_INVALID with its text in err. */
akin_status akin_link_call(akin_link *link, const akin_span *argv, size_t argc,
                           redisReply **out, akin_error *err) AKIN_MUST_CHECK;
/* akin_link_call with words that are NUL-terminated strings, as in
 * akin_link_ask(link, "VCARD", name). Prints what went wrong; NULL then. */
#define akin_link_ask(link, ...)                                               \
    akin_link_ask_all(link, (const char *const[]){__VA_ARGS__},                \
                      sizeof((const char *const[]){__VA_ARGS__}) /             \
                          sizeof(const char *))
redisReply *akin_link_ask_all(akin_link *link, const char *const *words,
                              size_t n);

/* Data directory and model in use, by option, environment or convention. */
const char *akin_cli_data_dir(akin_config *config, char *out, size_t size);
akin_status akin_cli_default_model(akin_config *config,
                                   akin_error *err) AKIN_MUST_CHECK;

/* Arguments of one command being put together; spans are borrowed, text made
 * by _printf is kept until clear. Start from {0}. */
typedef struct {
    akin_span *argv;
    size_t n, capacity;
    char **made;
    size_t nmade, made_capacity;
    bool failed; /* out of memory */
} akin_words;

void akin_words_add(akin_words *words, const char *text);
void akin_words_bytes(akin_words *words, const void *data, size_t size);
void akin_words_printf(akin_words *words, const char *fmt, ...)
    AKIN_PRINTF(2, 3);
void akin_words_clear(akin_words *words);
/* Calls and prints what went wrong; NULL then. */
redisReply *akin_words_ask(akin_link *link, const akin_words *words);

/* ---- a model without data (cli_scratch.c) ----------------------------------------------- */

/* Whether a collection's or a server's model is meant (-c, --connect), and not
 * that of --model, which needs no data. */
bool akin_model_is_elsewhere(const akin_cli *cli);
/* Opens cli->link to whichever is meant; close also after a failure. */
akin_status akin_model_link_open(akin_cli *cli, char **scratch,
                                 akin_error *err) AKIN_MUST_CHECK;
void akin_model_link_close(akin_cli *cli, char *scratch);
/* The COLLECTION that AKIN.MODEL and AKIN.EMBED want, if any. */
void akin_model_words(const akin_cli *cli, akin_words *words);
/* AKIN.MODEL; NULL: it failed, said so. */
redisReply *akin_model_ask(const akin_cli *cli);

/* Templates for labels: "a photo of a {}". */
#define AKIN_TEMPLATE "a photo of a {}"
/* Whether each --template has its {}: an exit code. */
int akin_cli_template_check(const akin_cli *cli);
void akin_template_fill(akin_buf *out, const char *template, const char *label);

/* ---- replies (cli_reply.c) ------------------------------------------------------------ */

/* The value behind a key of a map (RESP2: a flat array); NULL. */
const redisReply *akin_reply_field(const redisReply *map, const char *key);
/* As text; "" when absent or null. */
const char *akin_field_text(const redisReply *map, const char *key);
int64_t akin_field_int(const redisReply *map, const char *key);
double akin_field_real(const redisReply *map, const char *key); /* or NAN */
/* Prints it as JSON (cli_manage.c). switches: the keys, between commas, whose 0
 * and 1 mean false and true; reals: those that are numbers as text. NULL: none. */
void akin_reply_print_json(const redisReply *map, const char *switches,
                           const char *reals);

/* ---- printing (cli_print.c) ------------------------------------------------------------ */

typedef enum { AKIN_LEFT, AKIN_RIGHT } akin_align;

typedef struct {
    const char *title;
    akin_align align;
    bool shrinks; /* cut, with an ellipsis, when the terminal is too narrow */
} akin_column;

/* Rows of cells, printed aligned. At most 12 columns. */
typedef struct akin_table akin_table;
akin_table *akin_table_new(const akin_column *columns, size_t n);
/* Fills the next cell, copied; control characters become spaces. */
void akin_table_cell(akin_table *table, const char *fmt, ...) AKIN_PRINTF(2, 3);
void akin_table_print(const akin_table *table, const akin_cli *cli);
void akin_table_free(akin_table *table);

/* "name: value" lines, the names aligned. */
void akin_print_field(const akin_cli *cli, const char *name, const char *fmt,
                      ...) AKIN_PRINTF(3, 4);
/* 8121 as "8,121"; out holds at least 32 bytes. */
const char *akin_thousands(uint64_t n, char out[32]);
const char *akin_byte_size(uint64_t n, char out[32]);
const char *akin_when(int64_t ms, char out[32]); /* local date and time */
/* {"a":1,"b":"x"} as "a=1  b=x", without what says only where the file is and
 * how large; text that is no object as it is. */
void akin_print_attributes(akin_buf *out, const char *json);
/* Columns of a UTF-8 text on a terminal. */
size_t akin_text_width(const char *text);
/* Terminal's columns; 0: not a terminal. */
size_t akin_terminal_width(FILE *stream);

/* ---- long work (cli_progress.c) ---------------------------------------------------------- */

typedef struct {
    const akin_cli *cli;
    const char *verb; /* "adding" */
    bool terminal, drawn;
    bool bytes; /* what is counted */
    uint64_t next_ns;
} akin_bar;
void akin_bar_init(akin_bar *bar, const akin_cli *cli, const char *verb);
/* Redraws the bar (terminal: ten times a second) or prints a line (else: every
 * ten seconds), on standard error. */
void akin_bar_show(akin_bar *bar, const akin_progress *progress, bool last);

#define AKIN_CLI_POLL_NS 100000000l /* between two looks at a job */

/* Of a reply of AKIN.JOB id. */
bool akin_cli_job_ended(const redisReply *job);
/* Follows a job to its end with a bar; Ctrl-C cancels it. *out: its last state,
 * for freeReplyObject. Gives an exit code. */
int akin_cli_follow(akin_cli *cli, int64_t job, const char *verb,
                    redisReply **out);

/* ---- the commands, by file ---------------------------------------------------------------- */

int akin_cli_serve(akin_cli *cli); /* cli_serve.c */
int akin_cli_add_check(akin_cli *cli);
int akin_cli_add(akin_cli *cli);    /* cli_add.c */
int akin_cli_search(akin_cli *cli); /* cli_search.c */
int akin_cli_similar(akin_cli *cli);
int akin_cli_sheet(akin_cli *cli); /* cli_sheet.c */
int akin_cli_demo(akin_cli *cli);  /* cli_demo.c */
int akin_cli_get(akin_cli *cli);   /* cli_items.c */
int akin_cli_rm(akin_cli *cli);
int akin_cli_dedup_check(akin_cli *cli);
int akin_cli_dedup(akin_cli *cli); /* cli_dedup.c */
int akin_cli_embed(akin_cli *cli);
int akin_cli_classify_check(akin_cli *cli);
int akin_cli_classify(akin_cli *cli); /* cli_classify.c */
int akin_cli_model_check(akin_cli *cli);
int akin_cli_model(akin_cli *cli);       /* cli_model.c */
int akin_cli_collections(akin_cli *cli); /* cli_manage.c */
int akin_cli_info(akin_cli *cli);
int akin_cli_reindex(akin_cli *cli);
int akin_cli_index(akin_cli *cli); /* cli_index.c */
int akin_cli_check(akin_cli *cli);
int akin_cli_backup(akin_cli *cli); /* cli_backup.c */
int akin_cli_restore_check(akin_cli *cli);
int akin_cli_restore(akin_cli *cli); /* cli_restore.c */
int akin_cli_jobs(akin_cli *cli);
int akin_cli_audit(akin_cli *cli);
int akin_cli_bench_check(akin_cli *cli);
int akin_cli_bench(akin_cli *cli); /* cli_bench.c */
int akin_cli_help(akin_cli *cli);  /* cli_help.c */
int akin_cli_version(akin_cli *cli);
int akin_cli_completion(akin_cli *cli); /* cli_complete.c */

#endif
