/* A snapshot becomes a data directory again. It is unpacked, compared with its
 * digest, opened (an older schema is migrated), read through and synced in
 * DIR.restoring; then that gets the name DIR. Whatever ends the process before,
 * DIR is as it was; what was there is renamed, never removed. */
#include "snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *const files[] = AKIN__SNAPSHOT_FILES;

typedef struct {
    const char *file;
    char *dir;    /* absolute where it exists, no slash behind */
    char *making; /* DIR.restoring */
    int making_fd, lock_fd;
    bool there, empty; /* dir */
    mode_t mode;       /* dir's, where it is there */
    akin_progress_call *call;
    void *user;
    uint64_t total; /* bytes of the file */
    akin_restored *out;
} restoring;

static bool tell(const restoring *r, const char *phase, uint64_t done)
{
    akin_progress p = {
        .done = done, .total = r->total, .bytes = done, .seconds_left = -1};
    snprintf(p.phase, sizeof p.phase, "%s", phase);
    return !r->call || r->call(r->user, &p);
}

static bool unpacked(void *user, uint64_t done)
{
    return tell(user, "unpacking", done);
}

/* ---- where to -------------------------------------------------------------- */

static akin_status look_at_target(restoring *r, akin_error *err)
{
    DIR *dir = opendir(r->dir);

    if (!dir && errno == ENOENT) return AKIN_OK;
    if (!dir) return akin_fail_errno(err, errno, "cannot open %s", r->dir);
    struct stat st;
    if (!fstat(dirfd(dir), &st)) r->mode = st.st_mode & 07777;
    r->there = r->empty = true;
    for (struct dirent *e; (e = readdir(dir));)
        r->empty &= !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
    closedir(dir);
    return AKIN_OK;
}

static akin_status set_paths(restoring *r, const char *dir, akin_error *err)
{
    size_t n = strlen(dir);
    char *real = realpath(dir, NULL);

    while (n > 1 && dir[n - 1] == '/')
        n--;
    r->dir = real ? akin_strdup(real) : akin_strndup(dir, n);
    free(real);
    r->making = r->dir ? akin_format("%s.restoring", r->dir) : NULL;
    return r->making ? AKIN_OK : akin__nomem(err);
}

/* What is to be replaced may not be open, and stays locked until we are done. */
static akin_status lock_target(restoring *r, akin_error *err)
{
    char *path = akin_format("%s/LOCK", r->dir);

    if (!path) return akin__nomem(err);
    r->lock_fd = open(path, O_RDWR | O_CLOEXEC);
    int why = errno;
    akin_free(path);
    if (r->lock_fd < 0)
        return why == ENOENT
                   ? AKIN_OK
                   : akin_fail_errno(err, why, "cannot lock %s", r->dir);
    return flock(r->lock_fd, LOCK_EX | LOCK_NB)
               ? akin_fail(err, AKIN_BUSY,
                           "%s is open in another process; end it first",
                           r->dir)
               : AKIN_OK;
}

/* Whether a restore makes a file of that name in DIR.restoring. */
static bool is_ours(const char *name)
{
    static const char *const behind[] = {"", "-wal", "-shm", "-journal"};

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t n = strlen(files[i]);
        for (size_t j = 0; j < 4 && !strncmp(name, files[i], n); j++)
            if (!strcmp(name + n, behind[j])) return true;
    }
    return !strcmp(name, "LOCK");
}

/* Empties it; touches nothing when there is something else in it. */
static akin_status empty_place(const restoring *r, DIR *dir, akin_error *err)
{
    for (int removes = 0; removes < 2; removes++) {
        rewinddir(dir);
        for (struct dirent *e; (e = readdir(dir));) {
            if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
            if (!is_ours(e->d_name))
                return akin_fail(err, AKIN_EXISTS,
                                 "%s holds what no restore made (%s); move it "
                                 "away first",
                                 r->making, e->d_name);
            if (removes && unlinkat(dirfd(dir), e->d_name, 0))
                return akin_fail_errno(err, errno, "cannot remove %s/%s",
                                       r->making, e->d_name);
        }
    }
    return AKIN_OK;
}

/* An empty DIR.restoring that is only ours, with the mode of what it replaces;
 * one of a process that died is emptied. */
static akin_status make_place(restoring *r, akin_error *err)
{
    DIR *dir;

    akin_status rc = akin_dir_make(r->making, err);
    if (rc) return rc;
    r->making_fd = open(r->making, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->making_fd < 0)
        return akin_fail_errno(err, errno, "cannot open %s", r->making);
    if (flock(r->making_fd, LOCK_EX | LOCK_NB))
        return akin_fail(err, AKIN_BUSY, "another process is restoring into %s",
                         r->dir);
    if (!(dir = opendir(r->making)))
        return akin_fail_errno(err, errno, "cannot open %s", r->making);
    rc = empty_place(r, dir, err);
    closedir(dir);
    if (!rc && r->there && fchmod(r->making_fd, r->mode | S_IRWXU))
        rc = akin_fail_errno(err, errno, "cannot make %s", r->making);
    return rc;
}

/* ---- what ------------------------------------------------------------------ */

typedef struct {
    char text[240];
} finding;

static bool first_finding(void *user, const char *text)
{
    finding *f = user;
    snprintf(f->text, sizeof f->text, "%s", text);
    return false;
}

/* Opened as a data directory is, and read through. */
static akin_status check(restoring *r, akin_error *err)
{
    akin_storage_options options = {.dir = r->making};
    akin_storage *storage = NULL;
    akin_storage_info info = {0};
    finding first = {""};
    uint64_t n = 0;

    if (!tell(r, "checking", r->total))
        return akin_fail(err, AKIN_CANCELLED, "restoring cancelled");
    akin_status rc = akin_storage_import_check(r->making, true, err);
    if (!rc) rc = akin_storage_open(&options, &storage, err);
    if (!rc) rc = akin_storage_check(storage, first_finding, &first, &n, err);
    if (!rc && n) rc = akin_fail(err, AKIN_CORRUPT, "%s", first.text);
    if (!rc) rc = akin_storage_stat(storage, &info, err);
    akin_storage_close(storage);
    r->out->items = info.items;
    r->out->collections = info.collections;
    if (rc != AKIN_CORRUPT && rc != AKIN_NOT_FOUND) return rc;
    return akin_fail_prefix(err, AKIN_BAD_DATA, "the snapshot is damaged");
}

static akin_status sync_files(const restoring *r, akin_error *err)
{
    akin_status rc = AKIN_OK;

    for (size_t i = 0; !rc && i < sizeof files / sizeof *files; i++) {
        char *path = akin_format("%s/%s", r->making, files[i]);
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0 ? errno != ENOENT || !path : fsync(fd))
            rc = akin_fail_errno(err, errno, "cannot write %s", files[i]);
        if (fd >= 0) close(fd);
        akin_free(path);
    }
    return rc ? rc : akin_dir_sync(r->making, err);
}

/* Before anything is made or removed for it. */
static akin_status look_at_file(restoring *r, akin_error *err)
{
    struct stat st;

    if (stat(r->file, &st))
        return akin_fail_errno(err, errno, "cannot open %s", r->file);
    if (!S_ISREG(st.st_mode))
        return akin_fail(err, AKIN_INVALID, "%s is not a file", r->file);
    if (access(r->file, R_OK))
        return akin_fail_errno(err, errno, "cannot open %s", r->file);
    r->total = (uint64_t)st.st_size;
    return AKIN_OK;
}

static akin_status unpack(restoring *r, akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];
    char noted[65];

    akin_status rc = akin__tar_unpack(r->file, r->making, files, 2, unpacked, r,
                                      digest, err);
    if (rc == AKIN_BAD_DATA) return akin_fail_prefix(err, rc, "%s", r->file);
    akin_snapshot_digest(r->file, noted);
    r->out->compared = noted[0];
    if (!rc) rc = akin__snapshot_check(r->file, noted, digest, err);
    if (!rc) rc = check(r, err);
    return rc ? rc : sync_files(r, err);
}

/* ---- in its place ------------------------------------------------------------ */

/* DIR.old-2026-11-23-04-05-06, with -2, -3 ... while that is taken. */
static akin_status name_for_old(restoring *r, akin_error *err)
{
    time_t now = (time_t)(akin_now_ms() / 1000);
    struct stat st;
    struct tm tm;
    char stamp[32], more[16] = "";

    localtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%d-%H-%M-%S", &tm);
    for (unsigned i = 2; i < 1000; i++) {
        r->out->kept = akin_format("%s.old-%s%s", r->dir, stamp, more);
        if (!r->out->kept) return akin__nomem(err);
        if (lstat(r->out->kept, &st)) return AKIN_OK;
        akin_free(r->out->kept);
        snprintf(more, sizeof more, "-%u", i);
    }
    r->out->kept = NULL;
    return akin_fail(err, AKIN_BUSY, "too many copies of %s", r->dir);
}

/* An empty directory is replaced by rename itself. */
static akin_status put_in_place(restoring *r, akin_error *err)
{
    bool keep = r->there && !r->empty;
    char *slash = strrchr(r->dir, '/');
    akin_status rc = keep ? name_for_old(r, err) : AKIN_OK;

    if (!rc && keep && rename(r->dir, r->out->kept))
        rc = akin_fail_errno(err, errno, "cannot rename %s", r->dir);
    if (!rc && rename(r->making, r->dir)) {
        rc = akin_fail_errno(err, errno, "cannot rename %s to %s", r->making,
                             r->dir);
        if (keep && rename(r->out->kept, r->dir))
            return akin_fail(err, rc, "cannot make %s; what was there is %s",
                             r->dir, r->out->kept);
    }
    if (rc) return rc;
    if (slash) *slash = 0;
    rc = akin_dir_sync(!slash ? "." : slash == r->dir ? "/" : r->dir, err);
    if (slash) *slash = '/';
    return rc;
}

akin_status akin_snapshot_restore(const char *file, const char *dir,
                                  bool replace, akin_progress_call *progress,
                                  void *user, akin_restored *out,
                                  akin_error *err)
{
    restoring r = {.file = file,
                   .making_fd = -1,
                   .lock_fd = -1,
                   .call = progress,
                   .user = user,
                   .out = out};

    memset(out, 0, sizeof *out);
    akin_status rc = set_paths(&r, dir, err);
    if (!rc) rc = look_at_file(&r, err);
    if (!rc) rc = look_at_target(&r, err);
    if (!rc && r.there && !r.empty && !replace)
        rc = akin_fail(err, AKIN_EXISTS, "%s is not empty", r.dir);
    if (!rc && r.there && !r.empty) rc = lock_target(&r, err);
    if (!rc) rc = make_place(&r, err);
    bool ours = !rc;
    if (!rc) rc = unpack(&r, err);
    if (!rc) rc = put_in_place(&r, err);
    if (rc && ours) (void)akin_dir_remove(r.making, NULL);
    if (r.making_fd >= 0) close(r.making_fd);
    if (r.lock_fd >= 0) close(r.lock_fd);
    if (rc) {
        akin_free(out->kept);
        memset(out, 0, sizeof *out);
    }
    akin_free(r.dir);
    akin_free(r.making);
    return rc;
}

/* ---- one that comes in pieces -------------------------------------------------- */

char *akin__snapshot_upload_path(const akin_engine *engine)
{
    return akin_format("%s/snapshots/.upload", engine->data_dir);
}

static akin_status append(int fd, const char *path, uint64_t offset,
                          akin_span bytes, akin_error *err)
{
    const char *data = bytes.data;
    struct stat st;

    if (fstat(fd, &st))
        return akin_fail_errno(err, errno, "cannot write %s", path);
    if ((uint64_t)st.st_size != offset)
        return akin_fail(
            err, AKIN_INVALID, "the upload has %llu bytes, these begin at %llu",
            (unsigned long long)st.st_size, (unsigned long long)offset);
    for (size_t done = 0; done < bytes.size;) {
        ssize_t n =
            pwrite(fd, data + done, bytes.size - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR)
            return akin_fail_errno(err, errno, "cannot write %s", path);
        if (n > 0) done += (size_t)n;
    }
    return AKIN_OK;
}

akin_status akin_engine_snapshot_upload(akin_engine *engine, uint64_t offset,
                                        akin_span bytes, akin_error *err)
{
    char *folder = akin_format("%s/snapshots", engine->data_dir);
    char *path = akin__snapshot_upload_path(engine);
    int fd = -1;

    akin_status rc =
        folder && path ? akin__writable(engine, err) : akin__nomem(err);
    if (!rc && !offset && !bytes.size) {
        unlink(path);
        goto done;
    }
    if (!rc) rc = akin_dir_make(folder, err);
    if (!rc) {
        fd = open(path,
                  O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW |
                      (offset ? 0 : O_TRUNC),
                  0600);
        rc = fd < 0 ? akin_fail_errno(err, errno, "cannot write %s", path)
                    : append(fd, path, offset, bytes, err);
    }
    if (fd >= 0 && close(fd) && !rc)
        rc = akin_fail_errno(err, errno, "cannot write %s", path);

done:
    akin_free(folder);
    akin_free(path);
    return rc;
}
