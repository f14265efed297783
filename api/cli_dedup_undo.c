/* akin dedup --undo: the lines of the last run, last one first. For each it looks
 * whether its action happened, so a run that was killed is taken back as well,
 * and an undo that was killed goes on. */
#include "cli_dedup.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

typedef enum {
    NOTHING, /* it never happened, or is back already */
    BACK,
    LOST,  /* deleted, and no other file has its bytes: never */
    FAILED /* it may go the next time */
} outcome;

typedef struct {
    const akin_cli *cli;
    akin_link *link; /* opened with the first line that has an item */
    uint64_t n[FAILED + 1];
} undoing;

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "";
}

static bool has_hash(const char *path, const char *hash)
{
    struct stat st;
    char hex[65];
    return *path && !akin_dedup_hash(path, hex, &st, NULL) &&
           !strcmp(hex, hash);
}

/* ---- files --------------------------------------------------------------------- */

/* A file of its own again. */
static outcome undo_link(const json_t *line, akin_error *err)
{
    const char *path = text_of(line, "path"), *kept = text_of(line, "kept");
    struct stat at, keep;
    if (lstat(path, &at)) {
        akin_fail(err, AKIN_NOT_FOUND, "%s is gone", path);
        return FAILED;
    }
    if (stat(kept, &keep) || at.st_ino != keep.st_ino ||
        at.st_dev != keep.st_dev)
        return NOTHING;
    if (!has_hash(kept, text_of(line, "hash"))) {
        akin_fail(err, AKIN_NOT_FOUND,
                  "%s was changed since; it stays linked with %s", kept, path);
        return LOST;
    }
    return akin_dedup_copy(kept, path, true, err) ? FAILED : BACK;
}

/* The name is taken: not moved; or copied to another device, and not yet removed
 * here; or somebody put something else there. */
static outcome look_at_file(const json_t *line, akin_error *err)
{
    const char *path = text_of(line, "path"), *to = text_of(line, "to");
    const char *hash = text_of(line, "hash");
    if (!has_hash(path, hash)) {
        akin_fail(err, AKIN_EXISTS, "%s is another file now; the old one is %s",
                  path, *to ? to : "gone");
        return FAILED;
    }
    if (has_hash(to, hash) && unlink(to)) {
        akin_fail_errno(err, errno, "cannot remove %s", to);
        return FAILED;
    }
    return NOTHING;
}

/* The run's folder in the trash goes with the last file in it. */
static void remove_folder_of(const char *path)
{
    char *folder = akin_strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash) {
        *slash = 0;
        rmdir(folder);
    }
    akin_free(folder);
}

/* Its folder may have been removed when it was empty. */
static akin_status make_folder_of(const char *path, akin_error *err)
{
    char *folder = akin_strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;
    if (slash) *slash = 0;
    akin_status rc = !folder ? akin_fail(err, AKIN_NOMEM, "no memory")
                     : slash && slash != folder ? akin_dir_make(folder, err)
                                                : AKIN_OK;
    akin_free(folder);
    return rc;
}

static outcome undo_file(const json_t *line, akin_error *err)
{
    const char *path = text_of(line, "path"), *to = text_of(line, "to");
    const char *hash = text_of(line, "hash"), *kept = text_of(line, "kept");
    struct stat at;

    akin_dedup_clean(path);
    if (*to) akin_dedup_clean(to);
    if (!strcmp(text_of(line, "action"),
                akin_dedup_actions[AKIN_DEDUP_HARDLINK]))
        return undo_link(line, err);
    if (!lstat(path, &at)) return look_at_file(line, err);
    if (make_folder_of(path, err)) return FAILED;
    if (*to) {
        if (akin_dedup_move(to, path, err)) return FAILED;
        remove_folder_of(to);
        return BACK;
    }
    if (has_hash(kept, hash))
        return akin_dedup_copy(kept, path, false, err) ? FAILED : BACK;
    akin_fail(err, AKIN_NOT_FOUND,
              "%s was deleted, and no file with its bytes is left", path);
    return LOST;
}

/* ---- items ----------------------------------------------------------------------- */

static outcome undo_item(undoing *u, const json_t *line, outcome file,
                         akin_error *err)
{
    const json_t *plan = json_object_get(line, "item");
    akin_status rc = AKIN_OK;
    if (!plan || file == FAILED) return file;
    if (!u->link) rc = akin_dedup_link(u->cli, &u->link, err);
    if (!rc && file != LOST)
        rc = akin_dedup_item_restore(u->link, plan, text_of(line, "path"), err);
    if (!rc && file != LOST) rc = akin_dedup_item_unmerge(u->link, plan, err);
    if (rc == AKIN_EXISTS) { /* somebody's newer words are worth more */
        akin_cli_fail(0, "%s", err->message);
        rc = AKIN_OK;
    }
    return rc ? FAILED : file;
}

static void undo_line(undoing *u, const json_t *line)
{
    akin_error err;
    outcome what = undo_file(line, &err);
    if (what == LOST) akin_cli_fail(0, "%s", err.message);
    what = undo_item(u, line, what, &err);
    if (what == FAILED) akin_cli_fail(0, "%s", err.message);
    u->n[what]++;
}

/* ---- runs ------------------------------------------------------------------------ */

static int64_t run_of(const json_t *line)
{
    return json_integer_value(json_object_get(line, "run"));
}

static bool was_undone(const json_t *lines, int64_t run)
{
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        if (run_of(line) == run &&
            json_is_true(json_object_get(line, "undone")))
            return true;
    }
    return false;
}

/* The last run that has not been taken back; 0: none. */
static int64_t last_run(const json_t *lines)
{
    int64_t last = 0, before = 0;
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line)
    {
        int64_t run = run_of(line);
        if (run == before) continue; /* a run's lines stand together */
        before = run;
        if (run > last && !was_undone(lines, run)) last = run;
    }
    return last;
}

static akin_status mark_undone(const akin_dedup_work *work, int64_t run,
                               akin_error *err)
{
    int journal = akin_dedup_append_to(work, "journal.jsonl", err);
    if (journal < 0) return err->status;
    akin_status rc = akin_dedup_append(
        journal, json_pack("{s:I, s:b}", "run", (json_int_t)run, "undone", 1),
        err);
    close(journal);
    return rc;
}

int akin_dedup_undo(const akin_cli *cli, const akin_dedup_work *work)
{
    akin_error err = {.status = AKIN_INTERNAL, .message = "no memory"};
    undoing u = {.cli = cli};
    json_t *lines = akin_dedup_lines(work, "journal.jsonl", &err);
    if (!lines) return akin_cli_status(&err);
    int64_t run = last_run(lines);
    for (size_t i = json_array_size(lines); run && i-- > 0;)
        if (run_of(json_array_get(lines, i)) == run)
            undo_line(&u, json_array_get(lines, i));
    json_decref(lines);
    akin_link_close(u.link);
    if (!run)
        return akin_cli_fail(AKIN_EXIT_NOTHING, "there is nothing to undo");
    if (!u.n[FAILED] && mark_undone(work, run, &err))
        return akin_cli_status(&err);
    uint64_t failed = u.n[FAILED] + u.n[LOST];
    if (cli->json)
        printf("{\"restored\": %" PRIu64 ", \"failed\": %" PRIu64 "}\n",
               u.n[BACK], failed);
    else if (!cli->quiet)
        printf("%" PRIu64 " files are back, %" PRIu64 " failed\n", u.n[BACK],
               failed);
    return failed ? AKIN_EXIT_NOTHING : AKIN_EXIT_OK;
}
