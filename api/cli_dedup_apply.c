/* akin dedup --apply.
 *
 * Before each action both files are looked at again: the one that goes and the
 * one that stays must be regular files with the SHA-256 that was indexed, and
 * must not be one file. So the last copy never goes. Then comes a line in the
 * journal, then the action; of a collection first the merging and last the
 * removing of the item, so that at no moment an item is without its file and
 * its journal. */
#include "cli_dedup.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    akin_dedup *found;
    akin_dedup_work *work;
    int journal;
    int64_t run;
    uint64_t n;
} applying;

/* Whether a file still is what was indexed. */
static akin_status check_file(const akin_item_info *item, struct stat *st,
                              akin_error *err)
{
    char hex[65];
    if (!item->path || !*item->hash)
        return akin_fail(err, AKIN_INVALID, "%s has no file", item->id);
    akin_status rc = akin_dedup_hash(item->path, hex, st, err);
    if (!rc && strcmp(hex, item->hash) != 0)
        rc = akin_fail(err, AKIN_INVALID,
                       "%s has changed since it was indexed; left alone",
                       item->path);
    return rc;
}

static akin_status check_pair(const applying *a, const akin_item_info *keep,
                              const akin_item_info *drop, akin_error *err)
{
    struct stat kept, gone;
    akin_status rc = check_file(keep, &kept, err);
    if (!rc) rc = check_file(drop, &gone, err);
    if (rc) return rc;
    if (kept.st_dev == gone.st_dev && kept.st_ino == gone.st_ino)
        return akin_fail(err, AKIN_EXISTS, "%s and %s are one file already",
                         drop->path, keep->path);
    if (a->work->action != AKIN_DEDUP_HARDLINK) return AKIN_OK;
    if (strcmp(keep->hash, drop->hash) != 0)
        return akin_fail(err, AKIN_INVALID,
                         "%s has other bytes than %s; only equal files are "
                         "linked",
                         drop->path, keep->path);
    if (kept.st_dev != gone.st_dev)
        return akin_fail(err, AKIN_INVALID, "%s and %s are on two devices",
                         drop->path, keep->path);
    return AKIN_OK;
}

/* plan: of the item, or NULL. */
static akin_status write_line(const applying *a, const akin_item_info *keep,
                              const akin_item_info *drop, const char *to,
                              json_t *plan, akin_error *err)
{
    json_t *line = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:s, s:s}", "run", (json_int_t)a->run,
        "action", akin_dedup_actions[a->work->action], "path", drop->path, "to",
        to, "hash", drop->hash, "kept", keep->path, "kept_hash", keep->hash);
    if (line && plan) json_object_set(line, "item", plan);
    return akin_dedup_append(a->journal, line, err);
}

static akin_status act(const applying *a, const akin_item_info *keep,
                       const akin_item_info *drop, const char *to,
                       akin_error *err)
{
    switch (a->work->action) {
    case AKIN_DEDUP_TRASH: return akin_dedup_move(drop->path, to, err);
    case AKIN_DEDUP_HARDLINK:
        return akin_dedup_relink(keep->path, drop->path, err);
    case AKIN_DEDUP_DELETE: break;
    }
    return unlink(drop->path)
               ? akin_fail_errno(err, errno, "cannot remove %s", drop->path)
               : AKIN_OK;
}

/* Of a collection too: the item, and what is known of it. */
static akin_status act_on_item(const applying *a, const akin_item_info *keep,
                               const akin_item_info *drop, const char *to,
                               const json_t *plan, akin_error *err)
{
    akin_link *link = a->found->link;
    akin_status rc = akin_dedup_item_merge(link, plan, err);
    if (rc) return rc;
    rc = act(a, keep, drop, to, err);
    if (!rc) return akin_dedup_item_remove(link, plan, err);
    (void)akin_dedup_item_unmerge(link, plan, NULL); /* the file stays */
    return rc;
}

static akin_status take_away(applying *a, const akin_item_info *keep,
                             const akin_item_info *drop, akin_error *err)
{
    bool with_item = a->found->link && a->work->action != AKIN_DEDUP_HARDLINK;
    json_t *plan = NULL;
    akin_status rc = check_pair(a, keep, drop, err);
    if (rc) return rc;
    const char *base = strrchr(drop->path, '/');
    char *to =
        akin_format("%s/%" PRId64 "/%06" PRIu64 "-%.200s", a->work->trash,
                    a->run, ++a->n, base ? base + 1 : drop->path);
    if (!to) rc = akin_fail(err, AKIN_NOMEM, "no memory");
    if (!rc && with_item)
        rc = akin_dedup_item_plan(a->found->link, a->found->collection, keep,
                                  drop, &plan, err);
    if (!rc)
        rc = write_line(a, keep, drop,
                        a->work->action == AKIN_DEDUP_TRASH ? to : "", plan,
                        err);
    if (!rc)
        rc = plan ? act_on_item(a, keep, drop, to, plan, err)
                  : act(a, keep, drop, to, err);
    json_decref(plan);
    akin_free(to);
    return rc;
}

static void apply_group(applying *a, const akin_dupe_group *g)
{
    for (size_t i = 0; i < g->n && !akin_cli_interrupted(); i++) {
        akin_error err;
        if (i == g->keep) continue;
        if (take_away(a, &g->members[g->keep].item, &g->members[i].item,
                      &err)) {
            a->work->refused++;
            akin_cli_fail(0, "%s", err.message);
            continue;
        }
        a->work->done++;
        a->work->bytes += g->members[i].item.picture_bytes;
    }
}

/* Of a run that is newer than those in the journal. */
static akin_status next_run(const akin_dedup_work *work, int64_t *run,
                            akin_error *err)
{
    json_t *lines = akin_dedup_lines(work, "journal.jsonl", err), *line;
    size_t i;
    *run = akin_now_ms();
    if (!lines) return err->status;
    json_array_foreach(lines, i, line)
    {
        int64_t r = json_integer_value(json_object_get(line, "run"));
        if (r >= *run) *run = r + 1;
    }
    json_decref(lines);
    return AKIN_OK;
}

/* The folders that the pictures come from may have kept others out. */
static akin_status make_private(const char *dir, akin_error *err)
{
    akin_status rc = akin_dir_make(dir, err);
    if (!rc && chmod(dir, 0700))
        rc = akin_fail_errno(err, errno, "cannot close %s to others", dir);
    return rc;
}

int akin_dedup_apply(akin_dedup *d)
{
    akin_dedup_work *work = d->work;
    applying a = {.found = d, .work = work, .journal = -1};
    akin_error err = {.status = AKIN_INTERNAL, .message = "no memory"};

    if (d->link && !akin_link_shares_files(d->link))
        return akin_cli_fail(AKIN_EXIT_CANNOT,
                             "the server is on another machine, perhaps, and "
                             "so are its files; --apply there");
    if (next_run(work, &a.run, &err)) return akin_cli_status(&err);
    char *dir = akin_format("%s/%" PRId64, work->trash, a.run);
    if (!dir || (work->action == AKIN_DEDUP_TRASH && make_private(dir, &err)) ||
        (a.journal = akin_dedup_append_to(work, "journal.jsonl", &err)) < 0) {
        akin_free(dir);
        return akin_cli_status(&err);
    }
    for (size_t c = 0; c < d->n; c++)
        if (!d->choices[c].skip) apply_group(&a, d->choices[c].group);
    close(a.journal);
    akin_free(dir);
    if (akin_cli_interrupted()) return AKIN_EXIT_INTERRUPTED;
    return work->refused ? AKIN_EXIT_NOTHING : AKIN_EXIT_OK;
}
