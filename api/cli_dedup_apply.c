/* akin dedup --apply and --undo.
 *
 * The journal is DIR/journal.jsonl: a line of JSON before each action, on disk
 * before the action begins; {"run": r, "undone": true} ends a run that was taken
 * back. An action is one rename (or: a whole copy under its final name, then an
 * unlink), so after a crash it has happened or it has not, and undo looks which.
 *
 * Before each action both files are looked at again: the one that goes and the
 * one that stays must be regular files with the size and the SHA-256 that were
 * indexed, and must not be one file. So the last copy never goes. */
#include "cli_dedup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES   (1u << 20)
#define MOST_JOURNAL (1u << 30)

static const char *const action_names[] = {"trash", "hardlink", "delete"};

/* ---- files ----------------------------------------------------------------------- */

/* SHA-256 of a regular file, no link, in hex; its stat. */
static akin_status hash_file(const char *path, char hex[65], struct stat *st,
                             akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];
    akin_status rc = AKIN_OK;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return akin_fail_errno(err, errno, "cannot open %s", path);
    akin_sha256 *sha = akin_sha256_begin();
    uint8_t *block = akin_alloc(COPY_BYTES);
    if (!sha || !block)
        rc = akin_fail(err, AKIN_NOMEM, "no memory to read %s", path);
    else if (fstat(fd, st) || !S_ISREG(st->st_mode))
        rc = akin_fail(err, AKIN_INVALID, "%s is not a regular file", path);
    for (ssize_t n = 1; !rc && n > 0;) {
        n = read(fd, block, COPY_BYTES);
        if (n < 0)
            rc = akin_fail_errno(err, errno, "cannot read %s", path);
        else
            akin_sha256_add(sha, block, (size_t)n);
    }
    close(fd);
    akin_free(block);
    if (sha) akin_sha256_finish(sha, digest);
    if (!rc) akin_hex(digest, sizeof digest, hex);
    return rc;
}

static akin_status sync_parent(const char *path, akin_error *err)
{
    char *copy = akin_strdup(path);
    if (!copy) return akin_fail(err, AKIN_NOMEM, "no memory");
    char *slash = strrchr(copy, '/');
    if (slash && slash != copy) *slash = 0;
    akin_status rc = akin_dir_sync(slash == copy ? "/" : copy, err);
    akin_free(copy);
    return rc;
}

static akin_status copy_bytes(int in, int out, akin_error *err)
{
    akin_status rc = AKIN_OK;
    uint8_t *block = akin_alloc(COPY_BYTES);
    if (!block) return akin_fail(err, AKIN_NOMEM, "no memory to copy");
    for (ssize_t n = 1; !rc && n > 0;) {
        n = read(in, block, COPY_BYTES);
        if (n < 0) rc = akin_fail_errno(err, errno, "cannot read");
        for (ssize_t at = 0; !rc && at < n;) {
            ssize_t w = write(out, block + at, (size_t)(n - at));
            if (w < 0) rc = akin_fail_errno(err, errno, "cannot write");
            at += w;
        }
    }
    akin_free(block);
    return rc;
}

/* A whole copy under its name at once, with mode and times; replaces nothing
 * unless told to. */
static akin_status copy_file(const char *from, const char *to, bool replace,
                             akin_error *err)
{
    struct stat st;
    akin_status rc = AKIN_OK;
    char *part = akin_format("%s.akin-part", to);
    int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    if (!part || in < 0 || fstat(in, &st))
        rc = akin_fail_errno(err, errno, "cannot open %s", from);
    if (!rc) {
        out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                   0600);
        if (out < 0) rc = akin_fail_errno(err, errno, "cannot write %s", part);
    }
    if (!rc) rc = copy_bytes(in, out, err);
    if (!rc) {
        const struct timespec times[] = {st.st_atim, st.st_mtim};
        if (fchmod(out, st.st_mode & 07777) || futimens(out, times) ||
            fsync(out))
            rc = akin_fail_errno(err, errno, "cannot write %s", part);
    }
    if (!rc && !replace && !lstat(to, &st))
        rc = akin_fail(err, AKIN_EXISTS, "%s is there already", to);
    if (!rc && rename(part, to))
        rc = akin_fail_errno(err, errno, "cannot make %s", to);
    if (in >= 0) close(in);
    if (out >= 0) close(out);
    if (out >= 0 && rc) unlink(part);
    akin_free(part);
    return rc ? rc : sync_parent(to, err);
}

/* Moves a file, to another device too; never over one that is there. */
static akin_status move_file(const char *from, const char *to, akin_error *err)
{
    struct stat st;
    akin_status rc = AKIN_OK;
    if (!lstat(to, &st))
        return akin_fail(err, AKIN_EXISTS, "%s is there already", to);
    if (rename(from, to)) {
        if (errno != EXDEV)
            return akin_fail_errno(err, errno, "cannot move %s", from);
        rc = copy_file(from, to, false, err);
        if (!rc && unlink(from))
            rc = akin_fail_errno(err, errno, "cannot remove %s", from);
    }
    if (!rc) rc = sync_parent(to, err);
    return rc ? rc : sync_parent(from, err);
}

/* ---- the journal ------------------------------------------------------------------- */

static char *journal_path(const akin_dedup_work *work)
{
    return akin_format("%s/journal.jsonl", work->dir);
}

static int open_journal(const akin_dedup_work *work, akin_error *err)
{
    char *path = journal_path(work);
    int fd = -1;
    if (!path || akin_dir_make(work->dir, err)) {
        akin_free(path);
        return -1;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        akin_fail_errno(err, errno, "cannot open %s", path);
    else if (sync_parent(path, err)) {
        close(fd);
        fd = -1;
    }
    akin_free(path);
    return fd;
}

/* One line, on disk when it returns. A line that a crash cut off is ended
 * first: every line begins on a new one. Takes the object. */
static akin_status journal_write(int fd, json_t *object, akin_error *err)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    char *line = text ? akin_format("\n%s\n", text) : NULL;
    akin_status rc = AKIN_OK;
    if (!line)
        rc = akin_fail(err, AKIN_NOMEM,
                       "no memory for the journal, or a path is not UTF-8");
    else if (write(fd, line, strlen(line)) != (ssize_t)strlen(line) ||
             fsync(fd))
        rc = akin_fail_errno(err, errno, "cannot write the journal");
    json_decref(object);
    free(text);
    akin_free(line);
    return rc;
}

/* Its lines as an array for json_decref, without what a crash cut off. NULL
 * with err: cannot be read; an empty array: there is none. */
static json_t *read_journal(const akin_dedup_work *work, akin_error *err)
{
    char *path = journal_path(work), *rest;
    uint8_t *data = NULL;
    size_t size;
    json_t *lines = NULL;
    akin_status rc = path
                         ? akin_file_read(path, MOST_JOURNAL, &data, &size, err)
                         : akin_fail(err, AKIN_NOMEM, "no memory");
    if (!rc || rc == AKIN_NOT_FOUND) lines = json_array();
    for (char *line = data ? strtok_r((char *)data, "\n", &rest) : NULL;
         lines && line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *one = json_loads(line, 0, NULL);
        if (one) json_array_append_new(lines, one);
    }
    akin_free(path);
    akin_free(data);
    return lines;
}

/* ---- applying ------------------------------------------------------------------------ */

typedef struct {
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
    akin_status rc = hash_file(item->path, hex, st, err);
    if (rc) return rc;
    if ((uint64_t)st->st_size != item->picture_bytes ||
        strcmp(hex, item->hash) != 0)
        return akin_fail(err, AKIN_INVALID,
                         "%s has changed since it was indexed; left alone",
                         item->path);
    return AKIN_OK;
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

static akin_status link_over(const char *keep, const char *drop,
                             akin_error *err)
{
    akin_status rc = AKIN_OK;
    char *part = akin_format("%s.akin-part", drop);
    if (!part) return akin_fail(err, AKIN_NOMEM, "no memory");
    unlink(part); /* of a run that was killed */
    if (link(keep, part) || rename(part, drop)) {
        rc = akin_fail_errno(err, errno, "cannot link %s", drop);
        unlink(part);
    }
    akin_free(part);
    return rc ? rc : sync_parent(drop, err);
}

static akin_status take_away(applying *a, const akin_item_info *keep,
                             const akin_item_info *drop, akin_error *err)
{
    const char *base = strrchr(drop->path, '/');
    char *to =
        akin_format("%s/%" PRId64 "/%06" PRIu64 "-%.200s", a->work->trash,
                    a->run, ++a->n, base ? base + 1 : drop->path);
    akin_dedup_action action = a->work->action;
    akin_status rc = to ? check_pair(a, keep, drop, err)
                        : akin_fail(err, AKIN_NOMEM, "no memory");
    if (!rc)
        rc = journal_write(a->journal,
                           json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s}",
                                     "run", (json_int_t)a->run, "action",
                                     action_names[action], "path", drop->path,
                                     "to", action == AKIN_DEDUP_TRASH ? to : "",
                                     "hash", drop->hash, "kept", keep->path,
                                     "kept_hash", keep->hash),
                           err);
    if (!rc && action == AKIN_DEDUP_TRASH)
        rc = move_file(drop->path, to, err);
    else if (!rc && action == AKIN_DEDUP_HARDLINK)
        rc = link_over(keep->path, drop->path, err);
    else if (!rc && unlink(drop->path))
        rc = akin_fail_errno(err, errno, "cannot remove %s", drop->path);
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
    json_t *lines = read_journal(work, err), *line;
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

int akin_dedup_apply(const akin_cli *cli, const akin_dedup *found,
                     akin_dedup_work *work)
{
    applying a = {.work = work, .journal = -1};
    akin_error err = {.status = AKIN_INTERNAL, .message = "no memory"};
    (void)cli;

    if (next_run(work, &a.run, &err)) return akin_cli_status(&err);
    char *dir = akin_format("%s/%" PRId64, work->trash, a.run);
    if (!dir ||
        (work->action == AKIN_DEDUP_TRASH && akin_dir_make(dir, &err)) ||
        (a.journal = open_journal(work, &err)) < 0) {
        akin_free(dir);
        return akin_cli_status(&err);
    }
    akin_cli_catch_interrupt();
    AKIN_DEDUP_EACH_GROUP(found, g)
    {
        apply_group(&a, g);
    }
    close(a.journal);
    akin_free(dir);
    if (akin_cli_interrupted()) return AKIN_EXIT_INTERRUPTED;
    return work->refused ? AKIN_EXIT_NOTHING : AKIN_EXIT_OK;
}

/* ---- undo ------------------------------------------------------------------------------ */

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "";
}

static bool has_hash(const char *path, const char *hash)
{
    struct stat st;
    char hex[65];
    return *path && !hash_file(path, hex, &st, NULL) && !strcmp(hex, hash);
}

/* Brings the file of one line back. *done false: the action never happened. */
static akin_status undo_line(const json_t *line, bool *done, akin_error *err)
{
    const char *path = text_of(line, "path"), *to = text_of(line, "to");
    const char *hash = text_of(line, "hash"), *kept = text_of(line, "kept");
    const char *action = text_of(line, "action");
    struct stat at, keep;
    bool there = !lstat(path, &at);

    *done = false;
    if (!strcmp(action, "hardlink")) {
        if (!there || stat(kept, &keep) || at.st_ino != keep.st_ino ||
            at.st_dev != keep.st_dev)
            return there ? AKIN_OK
                         : akin_fail(err, AKIN_NOT_FOUND, "%s is gone", path);
        *done = true;
        return copy_file(kept, path, true, err); /* a file of its own again */
    }
    if (there) {
        /* Not moved; or copied to another device, and not yet removed here. */
        if (!has_hash(path, hash))
            return akin_fail(err, AKIN_EXISTS,
                             "%s is another file now; the old one is %s", path,
                             *to ? to : "gone");
        if (has_hash(to, hash) && unlink(to))
            return akin_fail_errno(err, errno, "cannot remove %s", to);
        return AKIN_OK;
    }
    *done = true;
    if (*to) return move_file(to, path, err);
    if (has_hash(kept, hash)) return copy_file(kept, path, false, err);
    return akin_fail(err, AKIN_NOT_FOUND,
                     "%s was deleted, and no file with its bytes is left",
                     path);
}

/* The last run that has not been taken back; 0: none. */
static int64_t last_run(const json_t *lines)
{
    int64_t last = 0, before = 0;
    size_t i, j;
    json_t *line, *other;
    json_array_foreach(lines, i, line)
    {
        int64_t run = json_integer_value(json_object_get(line, "run"));
        bool undone = false;
        if (run == before) continue; /* a run's lines stand together */
        before = run;
        json_array_foreach(lines, j, other)
        {
            if (!json_is_true(json_object_get(other, "undone"))) continue;
            undone |= json_integer_value(json_object_get(other, "run")) == run;
        }
        if (!undone && run > last) last = run;
    }
    return last;
}

int akin_dedup_undo(const akin_cli *cli, const akin_dedup_work *work)
{
    akin_error err = {.status = AKIN_INTERNAL, .message = "no memory"};
    json_t *lines = read_journal(work, &err);
    uint64_t back = 0, failed = 0;
    if (!lines) return akin_cli_status(&err);
    int64_t run = last_run(lines);
    for (size_t i = json_array_size(lines); run && i-- > 0;) {
        const json_t *line = json_array_get(lines, i);
        bool done;
        if (json_integer_value(json_object_get(line, "run")) != run) continue;
        if (undo_line(line, &done, &err)) {
            failed++;
            akin_cli_fail(0, "%s", err.message);
        } else {
            back += done;
        }
    }
    json_decref(lines);
    if (!run)
        return akin_cli_fail(AKIN_EXIT_NOTHING, "there is nothing to undo");
    int journal = failed ? -1 : open_journal(work, &err);
    if (!failed &&
        (journal < 0 || journal_write(journal,
                                      json_pack("{s:I, s:b}", "run",
                                                (json_int_t)run, "undone", 1),
                                      &err)))
        failed++;
    if (journal >= 0) close(journal);
    if (cli->json)
        printf("{\"restored\": %" PRIu64 ", \"failed\": %" PRIu64 "}\n", back,
               failed);
    else if (!cli->quiet)
        printf("%" PRIu64 " files are back, %" PRIu64 " failed\n", back,
               failed);
    return failed ? AKIN_EXIT_NOTHING : AKIN_EXIT_OK;
}
