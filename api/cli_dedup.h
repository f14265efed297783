/* What akin dedup's files share: what was found, and what is done about it. */
#ifndef AKIN_API_CLI_DEDUP_H
#define AKIN_API_CLI_DEDUP_H

#include "cli.h"

typedef enum {
    AKIN_DEDUP_TRASH,
    AKIN_DEDUP_HARDLINK,
    AKIN_DEDUP_DELETE
} akin_dedup_action;

/* All groups of one run. */
typedef struct {
    akin_dupe_page *pages;
    size_t npages, capacity;
    akin_report report;            /* of reading the files */
    uint64_t groups, files, bytes; /* what could go, without those kept */
} akin_dedup;

#define AKIN_DEDUP_EACH_GROUP(d, g)                                            \
    for (size_t p_ = 0; p_ < (d)->npages; p_++)                                \
        for (akin_dupe_group *g = (d)->pages[p_].groups;                       \
             g < (d)->pages[p_].groups + (d)->pages[p_].n; g++)

/* How a member compares with the one beside it, for people: "same bytes",
 * "3 bits, mirrored, cosine 0.98". Gives out. */
const char *akin_dedup_evidence(const akin_dupe_member *m, bool centre,
                                char out[120]);

/* What the actions and --undo work with. */
typedef struct {
    akin_dedup_action action;
    char *dir;   /* holds journal.jsonl, and trash/ by default */
    char *trash; /* trashed files go below it */
    uint64_t done, refused, bytes;
} akin_dedup_work;

/* Takes the members that are not kept away, each after its line in the journal
 * is on disk; what has changed since it was read is refused and named on
 * standard error. Gives an exit code. */
int akin_dedup_apply(const akin_cli *cli, const akin_dedup *found,
                     akin_dedup_work *work);
/* Takes the last run back. Gives an exit code. */
int akin_dedup_undo(const akin_cli *cli, const akin_dedup_work *work);

/* Writes the page of pictures side by side. Gives an exit code. */
int akin_dedup_html(const akin_cli *cli, const akin_dedup *found,
                    const char *path);

#endif
