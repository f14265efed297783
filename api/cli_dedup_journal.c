/* akin dedup: the journal, and files that move in one step.
 *
 * The journal is DIR/journal.jsonl: a line of JSON before each action, on disk
 * before the action begins; {"run": r, "undone": true} ends a run that was taken
 * back. An action is one rename (or: a whole copy under its final name, then an
 * unlink), so after a crash it has happened or it has not, and undo looks
 * which. */
#include "cli_dedup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY_BYTES   (1u << 20)
#define MOST_JOURNAL (1u << 30)

const char *const akin_dedup_actions[] = {"trash", "hardlink", "delete"};

/* ---- files ----------------------------------------------------------------------- */

akin_status akin_dedup_hash(const char *path, char hex[65], struct stat *st,
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

akin_status akin_dedup_copy(const char *from, const char *to, bool replace,
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

akin_status akin_dedup_move(const char *from, const char *to, akin_error *err)
{
    struct stat st;
    akin_status rc = AKIN_OK;
    if (!lstat(to, &st))
        return akin_fail(err, AKIN_EXISTS, "%s is there already", to);
    if (rename(from, to)) {
        if (errno != EXDEV)
            return akin_fail_errno(err, errno, "cannot move %s", from);
        rc = akin_dedup_copy(from, to, false, err);
        if (!rc && unlink(from))
            rc = akin_fail_errno(err, errno, "cannot remove %s", from);
    }
    if (!rc) rc = sync_parent(to, err);
    return rc ? rc : sync_parent(from, err);
}

void akin_dedup_clean(const char *path)
{
    char *part = akin_format("%s.akin-part", path);
    if (part) unlink(part);
    akin_free(part);
}

akin_status akin_dedup_relink(const char *keep, const char *drop,
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

/* ---- the journal ------------------------------------------------------------------- */

int akin_dedup_append_to(const akin_dedup_work *work, const char *name,
                         akin_error *err)
{
    char *path = akin_format("%s/%s", work->dir, name);
    int fd = -1;
    if (!path) {
        akin_fail(err, AKIN_NOMEM, "no memory");
    } else if (!akin_dir_make(work->dir, err)) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0) akin_fail_errno(err, errno, "cannot open %s", path);
    }
    if (fd >= 0 && sync_parent(path, err)) {
        close(fd);
        fd = -1;
    }
    akin_free(path);
    return fd;
}

akin_status akin_dedup_append(int fd, json_t *object, akin_error *err)
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

json_t *akin_dedup_lines(const akin_dedup_work *work, const char *name,
                         akin_error *err)
{
    char *path = akin_format("%s/%s", work->dir, name), *rest;
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
