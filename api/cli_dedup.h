/* What akin dedup's files share: what was found, and what is done about it.
 *
 *   cli_dedup.c          options, where things are, the order of steps
 *   cli_dedup_find.c     reading folders, groups from an engine or over a link
 *   cli_dedup_told.c     "not duplicates", remembered outside the cache
 *   cli_dedup_print.c    groups as text and as JSON
 *   cli_dedup_html.c     groups as a page
 *   cli_dedup_review.c   group by group on a terminal
 *   cli_dedup_apply.c    taking files away, after a line in the journal
 *   cli_dedup_items.c    the same for the items of a collection: merge, remove
 *   cli_dedup_undo.c     bringing them back
 *   cli_dedup_journal.c  the journal, and files that move in one step */
#ifndef AKIN_API_CLI_DEDUP_H
#define AKIN_API_CLI_DEDUP_H

#include <jansson.h>
#include <sys/stat.h>

#include "cli.h"

typedef enum {
    AKIN_DEDUP_TRASH,
    AKIN_DEDUP_HARDLINK,
    AKIN_DEDUP_DELETE
} akin_dedup_action;

/* What the actions and --undo work with. */
typedef struct {
    akin_dedup_action action;
    char *dir; /* holds journal.jsonl and dismissed.jsonl; by default trash/ */
    char *trash; /* trashed files go below it */
    uint64_t done, refused, bytes;
} akin_dedup_work;

typedef struct {
    akin_dupe_group *group; /* of a page */
    bool skip;              /* a person left it as it is */
} akin_dedup_choice;

/* All groups of one run. Folders have an engine of their own here, a collection
 * is behind a link. */
typedef struct {
    const akin_cli *cli;
    akin_engine *engine; /* NULL: a collection */
    akin_link *link;     /* NULL: folders */
    char collection[AKIN_NAME_BYTES + 1];
    akin_dedup_work *work;
    akin_dupe_page *pages;
    size_t npages, page_capacity;
    akin_dedup_choice *choices;
    size_t n, choice_capacity;
    akin_report report; /* of reading the files */
    uint64_t pictures;
} akin_dedup;

/* ---- finding ------------------------------------------------------------------ */

/* --level; false: no such level. */
bool akin_dedup_level(const akin_cli *cli, akin_level *out);
/* Reads what is new in the folders, with a bar. AKIN_CANCELLED: Ctrl-C. */
akin_status akin_dedup_read(akin_dedup *d, akin_error *err);
/* All groups, in place of those before; what was dismissed earlier is left
 * out. */
akin_status akin_dedup_find(akin_dedup *d, akin_error *err);
/* The groups; not engine and link. */
void akin_dedup_clear(akin_dedup *d);
/* Files that would go, and their bytes, of groups that are not skipped. */
uint64_t akin_dedup_count(const akin_dedup *d, uint64_t *bytes);

/* ---- dismissing ---------------------------------------------------------------- */

/* No two of these members (n of them) are duplicates of each other; undo: they
 * may be. Remembered for good. */
akin_status akin_dedup_dismiss(akin_dedup *d, const akin_dupe_group *g,
                               const size_t *members, size_t n, bool undo,
                               akin_error *err);
/* Dismisses in the index what the file of dismissals says about these groups;
 * *any: something was, and the groups are to be asked for again. */
akin_status akin_dedup_recall(akin_dedup *d, bool *any, akin_error *err);

/* ---- showing ------------------------------------------------------------------- */

/* Where the picture is, for people: control characters are written as \n, \x1b.
 * Appended. */
void akin_dedup_path(akin_buf *out, const akin_item_info *item);
/* How a member compares with the one beside it, for people: "same bytes",
 * "3 bits, mirrored, cosine 0.98". Gives out. */
const char *akin_dedup_evidence(const akin_dupe_group *g, size_t i,
                                char out[120]);
/* numbers: members are numbered from 1. */
void akin_dedup_print(const akin_cli *cli, const akin_dupe_group *g,
                      bool numbers);
void akin_dedup_json(const akin_dedup *d, bool applied);
void akin_dedup_summary(const akin_dedup *d, bool applied);
/* Writes the page of pictures side by side: all groups, or one. Gives an exit
 * code. */
int akin_dedup_html(const akin_dedup *d, const akin_dupe_group *one,
                    const char *path);

/* ---- deciding and doing ---------------------------------------------------------- */

/* Goes through the groups with a person; *apply: what is not skipped is to be
 * done now. Gives an exit code. */
int akin_dedup_review(akin_dedup *d, bool *apply);

/* Takes the members that are not kept away, each after its line in the journal
 * is on disk; what has changed since it was read is refused and named on
 * standard error. Gives an exit code. */
int akin_dedup_apply(akin_dedup *d);
/* Takes the last run back. Gives an exit code. */
int akin_dedup_undo(const akin_cli *cli, const akin_dedup_work *work);
/* A link to the collection's data, as other commands have it. */
akin_status akin_dedup_link(const akin_cli *cli, akin_link **out,
                            akin_error *err);

/* The items of a collection behind the files. The plan says what merging the
 * dropped item into the kept one changes, and everything that is needed to take
 * it back; it goes into the journal's line. */
akin_status akin_dedup_item_plan(akin_link *link, const char *collection,
                                 const akin_item_info *keep,
                                 const akin_item_info *drop, json_t **out,
                                 akin_error *err);
akin_status akin_dedup_item_merge(akin_link *link, const json_t *plan,
                                  akin_error *err);
akin_status akin_dedup_item_remove(akin_link *link, const json_t *plan,
                                   akin_error *err);
/* What was merged goes again, unless somebody has changed the item since:
 * AKIN_EXISTS. */
akin_status akin_dedup_item_unmerge(akin_link *link, const json_t *plan,
                                    akin_error *err);
/* The removed item comes back; its file is at `path` again. */
akin_status akin_dedup_item_restore(akin_link *link, const json_t *plan,
                                    const char *path, akin_error *err);

/* ---- the journal and files (cli_dedup_journal.c) ---------------------------------- */

extern const char *const akin_dedup_actions[]; /* their names in the journal */

/* For appending, made when missing; below 0: err says why not. */
int akin_dedup_append_to(const akin_dedup_work *work, const char *name,
                         akin_error *err);
/* One line, on disk when it returns. A line that a crash cut off is ended
 * first: every line begins on a new one. Takes the object. */
akin_status akin_dedup_append(int fd, json_t *object, akin_error *err);
/* Its lines as an array for json_decref, without what a crash cut off. NULL
 * with err: cannot be read; an empty array: there is none. */
json_t *akin_dedup_lines(const akin_dedup_work *work, const char *name,
                         akin_error *err);

/* SHA-256 of a regular file, no link, in hex; its stat. */
akin_status akin_dedup_hash(const char *path, char hex[65], struct stat *st,
                            akin_error *err);
/* A whole copy under its name at once, with mode and times; replaces nothing
 * unless told to. */
akin_status akin_dedup_copy(const char *from, const char *to, bool replace,
                            akin_error *err);
/* Moves a file, to another device too; never over one that is there. */
akin_status akin_dedup_move(const char *from, const char *to, akin_error *err);
/* Removes what a killed copy or relink to `path` has left. */
void akin_dedup_clean(const char *path);
/* Makes `drop` another name of the file `keep`, in one step. */
akin_status akin_dedup_relink(const char *keep, const char *drop,
                              akin_error *err);

#endif
