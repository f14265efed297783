/* Snapshots: a copy of the store, or of one collection, as one file under the
 * data directory.
 *
 *     DIR/snapshots/NAME.snapshot                         the whole store
 *     DIR/snapshots/collections/COLLECTION/NAME.snapshot  one collection
 *     DIR/snapshots/.making/                              the one being made
 *     DIR/snapshots/.upload                               one that is coming
 *     ....snapshot.sha256                                 beside each, in hex
 *
 * A snapshot is a tar of akin.db and thumbs.db: unpacked into an empty folder
 * it is a data directory. COLLECTION is its name with %XX for all but letters,
 * digits, "-", "_" and inner dots. Snapshots outlive the collection. One is
 * made at a time. */
#include "snapshot.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAKING        "%s/snapshots/.making"
#define SUFFIX        ".snapshot"
#define MAX_FOLDER    200 /* bytes of a folder's name, which has to fit 255 */
#define MAX_SNAPSHOTS 10000

/* ---- names ------------------------------------------------------------------------ */

bool akin_snapshot_name_ok(const char *name)
{
    size_t n = strlen(name), suffix = strlen(SUFFIX);

    if (n <= suffix || n > 255 - 8 || strcmp(name + n - suffix, SUFFIX) ||
        *name == '.')
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("-_.%", *p)) return false;
    return true;
}

/* The collection's name as that of a folder; cut, and then with its hash, when
 * it is long. */
static akin_status folder_of(const char *collection, akin_buf *out,
                             akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];
    char hex[17];

    for (const char *p = collection; *p; p++) {
        bool plain = isalnum((unsigned char)*p) || *p == '-' || *p == '_' ||
                     (*p == '.' && p > collection);
        akin_buf_printf(out, plain ? "%c" : "%%%02X", (unsigned char)*p);
    }
    if (out->size > MAX_FOLDER) {
        akin_status rc = akin_sha256_of(akin_span_of(collection), digest, err);
        if (rc) return rc;
        akin_hex(digest, 8, hex);
        out->size = MAX_FOLDER;
        akin_buf_printf(out, "-%s", hex);
    }
    return akin_buf_cstr(out) ? AKIN_OK : akin__nomem(err);
}

/* Where snapshots of the collection (NULL: of all) are; for akin_free. */
static akin_status place_of(akin_engine *engine, const char *collection,
                            char **out, akin_error *err)
{
    char real[AKIN_NAME_BYTES + 1];
    akin_buf folder = {0};
    akin_status rc = AKIN_OK;

    *out = NULL;
    if (!collection) {
        *out = akin_format("%s/snapshots", engine->data_dir);
        return *out ? AKIN_OK : akin__nomem(err);
    }
    akin__real_name(engine, collection, real);
    rc = folder_of(real, &folder, err);
    if (!rc)
        *out = akin_format("%s/snapshots/collections/%s", engine->data_dir,
                           akin_buf_cstr(&folder));
    akin_buf_clear(&folder);
    return rc || *out ? rc : akin__nomem(err);
}

static akin_status no_snapshot(const char *name, akin_error *err)
{
    return akin_fail(err, AKIN_NOT_FOUND, "no snapshot %.255s", name);
}

/* "PLACE/NAME", for akin_free. A name that no snapshot can have is not there. */
static akin_status path_of(akin_engine *engine, const char *collection,
                           const char *name, char **out, akin_error *err)
{
    char *place = NULL;

    *out = NULL;
    if (!akin_snapshot_name_ok(name)) return no_snapshot(name, err);
    akin_status rc = place_of(engine, collection, &place, err);
    if (!rc && !(*out = akin_format("%s/%s", place, name)))
        rc = akin__nomem(err);
    akin_free(place);
    return rc;
}

/* ---- one that is there -------------------------------------------------------------- */

void akin_snapshot_digest(const char *path, char out[65])
{
    char *beside = akin_format("%s.sha256", path);
    uint8_t *text = NULL;
    size_t size = 0;

    out[0] = 0;
    if (beside && !akin_file_read(beside, 400, &text, &size, NULL) &&
        size >= 64 && strspn((char *)text, "0123456789abcdef") >= 64) {
        memcpy(out, text, 64);
        out[64] = 0;
    }
    akin_free(text);
    akin_free(beside);
}

static void describe(const char *path, const char *name, const struct stat *st,
                     akin_snapshot_info *out)
{
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", name);
    out->size = (uint64_t)st->st_size;
    out->created_ms =
        (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    akin_snapshot_digest(path, out->sha256);
}

akin_status akin_engine_snapshot_open(akin_engine *engine,
                                      const char *collection, const char *name,
                                      akin_snapshot_info *out, int *fd,
                                      akin_error *err)
{
    struct stat st;
    char *path;
    akin_status rc = path_of(engine, collection, name, &path, err);

    *fd = -1;
    if (rc) return rc;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0 && (errno == ENOENT || errno == ELOOP))
        rc = no_snapshot(name, err);
    else if (*fd < 0 || fstat(*fd, &st))
        rc = akin_fail_errno(err, errno, "cannot open the snapshot");
    else if (!S_ISREG(st.st_mode))
        rc = no_snapshot(name, err);
    else
        describe(path, name, &st, out);
    if (rc && *fd >= 0) {
        close(*fd);
        *fd = -1;
    }
    akin_free(path);
    return rc;
}

static int newest_first(const void *a, const void *b)
{
    const akin_snapshot_info *x = a, *y = b;

    if (x->created_ms != y->created_ms)
        return x->created_ms > y->created_ms ? -1 : 1;
    return strcmp(y->name, x->name);
}

akin_status akin_engine_snapshots(akin_engine *engine, const char *collection,
                                  akin_snapshot_info **out, size_t *n,
                                  akin_error *err)
{
    size_t capacity = 0;
    char *place;
    akin_status rc = place_of(engine, collection, &place, err);
    DIR *dir = rc ? NULL : opendir(place);

    *out = NULL;
    *n = 0;
    if (!rc && !dir && errno != ENOENT)
        rc = akin_fail_errno(err, errno, "cannot read the snapshots");
    for (struct dirent *e;
         dir && !rc && *n < MAX_SNAPSHOTS && (e = readdir(dir));) {
        struct stat st;
        char *path = akin_snapshot_name_ok(e->d_name)
                         ? akin_format("%s/%s", place, e->d_name)
                         : NULL;
        if (path && !lstat(path, &st) && S_ISREG(st.st_mode)) {
            rc = akin_grow(out, &capacity, *n + 1, sizeof **out, err);
            if (!rc) describe(path, e->d_name, &st, &(*out)[(*n)++]);
        }
        akin_free(path);
    }
    if (dir) closedir(dir);
    if (*n) qsort(*out, *n, sizeof **out, newest_first);
    akin_free(place);
    return rc;
}

akin_status akin_engine_snapshot_delete(akin_engine *engine,
                                        const char *collection,
                                        const char *name, akin_error *err)
{
    char *path;
    akin_status rc = path_of(engine, collection, name, &path, err);

    if (rc) return rc;
    char *beside = akin_format("%s.sha256", path);
    if (unlink(path))
        rc = errno == ENOENT
                 ? no_snapshot(name, err)
                 : akin_fail_errno(err, errno, "cannot delete %s", name);
    if (!rc && beside) unlink(beside);
    akin_free(beside);
    akin_free(path);
    return rc;
}

/* ---- making one ------------------------------------------------------------------------ */

typedef struct {
    akin_engine *engine;
    akin_progress_call *call;
    void *user;
    uint64_t done, total; /* of the phase */
} making;

static bool tell(making *m, const char *phase)
{
    akin_progress p = {.done = m->done, .total = m->total, .seconds_left = -1};

    snprintf(p.phase, sizeof p.phase, "%s", phase);
    if (atomic_load(&m->engine->stop)) return false;
    return !m->call || m->call(m->user, &p);
}

static bool copied(void *user, uint64_t done, uint64_t total)
{
    making *m = user;
    m->done = done;
    m->total = total;
    return tell(m, "copying");
}

static bool packed(void *user, uint64_t done)
{
    making *m = user;
    m->done = done;
    return tell(m, "packing");
}

/* "shop-2026-11-23-04-05-06.snapshot", with -2, -3 ... while that is taken. */
static akin_status free_name(const char *place, const char *collection,
                             akin_buf *out, akin_error *err)
{
    time_t now = (time_t)(akin_now_ms() / 1000);
    struct stat st;
    struct tm tm;
    char stamp[32];

    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%d-%H-%M-%S", &tm);
    for (unsigned i = 1; i < MAX_SNAPSHOTS; i++) {
        akin_buf_clear(out);
        *out = (akin_buf){0};
        akin_status rc = collection ? folder_of(collection, out, err) : AKIN_OK;
        if (rc) return rc;
        akin_buf_printf(out, "%s-%s", collection ? "" : "full", stamp);
        if (i > 1) akin_buf_printf(out, "-%u", i);
        akin_buf_text(out, SUFFIX);
        if (!akin_buf_cstr(out)) return akin__nomem(err);
        char *path = akin_format("%s/%s", place, akin_buf_cstr(out));
        if (!path) return akin__nomem(err);
        bool taken = lstat(path, &st) == 0;
        akin_free(path);
        if (!taken) return AKIN_OK;
    }
    return akin_fail(err, AKIN_BUSY, "too many snapshots in one second");
}

static const char *const files[] = AKIN__SNAPSHOT_FILES;

static uint64_t bytes_in(const char *folder)
{
    uint64_t sum = 0;
    struct stat st;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = akin_format("%s/%s", folder, files[i]);
        if (path && !stat(path, &st)) sum += (uint64_t)st.st_size;
        akin_free(path);
    }
    return sum;
}

/* Copies into `folder` and packs that into one file. */
static akin_status pack(making *m, const char *collection, const char *folder,
                        const char *packing, uint8_t digest[AKIN_SHA256_BYTES],
                        akin_error *err)
{
    akin__collection *c = NULL;
    akin_status rc = AKIN_OK;

    if (collection) rc = akin__collection_find(m->engine, collection, &c, err);
    if (!rc && c)
        rc = akin_storage_export(m->engine->storage, c->num, folder, copied, m,
                                 err);
    else if (!rc)
        rc = akin_storage_backup(m->engine->storage, folder, copied, m, err);
    if (!rc) {
        m->done = 0;
        m->total = bytes_in(folder);
        rc = akin__tar_make(packing, folder, files, 2, packed, m, digest, err);
    }
    akin__collection_release(c);
    return rc;
}

/* Gives the file its name last. */
static akin_status make(making *m, const char *collection, const char *folder,
                        const char *path, akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];
    char *packing = akin_format("%s/packed", folder);
    char *beside = akin_format("%s.sha256", path);
    char hex[2 * AKIN_SHA256_BYTES + 2];
    akin_status rc = packing && beside ? AKIN_OK : akin__nomem(err);

    if (!rc) rc = pack(m, collection, folder, packing, digest, err);
    if (!rc) {
        akin_hex(digest, sizeof digest, hex);
        hex[64] = '\n';
        rc = akin_file_replace(beside, (akin_span){hex, 65}, err);
    }
    if (!rc && rename(packing, path))
        rc = akin_fail_errno(err, errno, "cannot name the snapshot");
    if (rc && beside) unlink(beside);
    akin_free(packing);
    akin_free(beside);
    return rc;
}

static akin_status make_in(making *m, const char *collection, const char *place,
                           akin_snapshot_info *out, akin_error *err)
{
    char *folder = akin_format(MAKING, m->engine->data_dir);
    akin_buf name = {0};
    char *path = NULL;
    struct stat st;
    akin_status rc = folder ? AKIN_OK : akin__nomem(err);

    if (!rc) rc = akin_dir_remove(folder, err); /* of a process that died */
    if (!rc) rc = akin_dir_make(place, err);
    if (!rc) rc = akin_dir_make(folder, err);
    if (!rc) rc = free_name(place, collection, &name, err);
    if (!rc && !(path = akin_format("%s/%s", place, akin_buf_cstr(&name))))
        rc = akin__nomem(err);
    if (!rc) rc = make(m, collection, folder, path, err);
    if (!rc) rc = akin_dir_sync(place, err);
    if (!rc && lstat(path, &st))
        rc = akin_fail_errno(err, errno, "the snapshot is gone");
    if (!rc) describe(path, akin_buf_cstr(&name), &st, out);
    if (folder) (void)akin_dir_remove(folder, NULL);
    akin_buf_clear(&name);
    akin_free(path);
    akin_free(folder);
    return rc;
}

akin_status akin_engine_snapshot_create(akin_engine *engine,
                                        const char *collection,
                                        akin_progress_call *progress,
                                        void *user, akin_snapshot_info *out,
                                        akin_error *err)
{
    making m = {.engine = engine, .call = progress, .user = user};
    akin__collection *c = NULL;
    char *place = NULL;

    akin_status rc = akin__writable(engine, err);
    if (!rc && collection)
        rc = akin__collection_find(engine, collection, &c, err);
    if (!rc) rc = place_of(engine, c ? c->name : NULL, &place, err);
    if (!rc && pthread_mutex_trylock(&engine->snapshot_lock))
        rc = akin_fail(err, AKIN_BUSY, "another snapshot is being made");
    else if (!rc) {
        rc = make_in(&m, c ? c->name : NULL, place, out, err);
        pthread_mutex_unlock(&engine->snapshot_lock);
    }
    akin_free(place);
    akin__collection_release(c);
    return rc;
}

akin_status akin_engine_snapshot_name(akin_engine *engine,
                                      const char *collection, const char *place,
                                      char out[256], akin_error *err)
{
    char real[AKIN_NAME_BYTES + 1];
    akin_buf name = {0};
    akin_status rc =
        collection ? akin_engine_name(engine, collection, real, err) : AKIN_OK;

    if (!rc) rc = free_name(place, collection ? real : NULL, &name, err);
    if (!rc) snprintf(out, 256, "%s", akin_buf_cstr(&name));
    akin_buf_clear(&name);
    return rc;
}

akin_status akin_engine_snapshot_write(akin_engine *engine,
                                       const char *collection, const char *path,
                                       akin_progress_call *progress, void *user,
                                       akin_snapshot_info *out, akin_error *err)
{
    making m = {.engine = engine, .call = progress, .user = user};
    char *folder = akin_format("%s.making", path);
    uint8_t digest[AKIN_SHA256_BYTES];
    struct stat st;

    akin_status rc = folder ? AKIN_OK : akin__nomem(err);
    if (!rc) rc = akin_dir_remove(folder, err); /* of a process that died */
    if (!rc) rc = akin_dir_make(folder, err);
    if (!rc) rc = pack(&m, collection, folder, path, digest, err);
    if (!rc && lstat(path, &st))
        rc = akin_fail_errno(err, errno, "the snapshot is gone");
    if (!rc) {
        describe(path, "", &st, out);
        akin_hex(digest, sizeof digest, out->sha256);
    }
    if (folder) (void)akin_dir_remove(folder, NULL);
    akin_free(folder);
    return rc;
}

akin_status akin__snapshots_sweep(akin_engine *engine, akin_error *err)
{
    char *folder = akin_format(MAKING, engine->data_dir);
    char *upload = akin__snapshot_upload_path(engine);
    akin_status rc = folder && upload ? AKIN_OK : akin__nomem(err);

    if (!rc) {
        unlink(upload);
        (void)akin_dir_remove(folder, NULL);
    }
    akin_free(folder);
    akin_free(upload);
    return rc;
}

/* ---- putting one back -------------------------------------------------------------------- */

/* "NAME.snapshot" of the collection's own, or "file://" and a path that ends
 * below DIR/snapshots. *out for free(). */
static akin_status locate(akin_engine *engine, const char *collection,
                          const char *location, char **out, akin_error *err)
{
    char *place = NULL, *named = NULL, *home = NULL;
    akin_status rc = AKIN_OK;

    *out = NULL;
    if (!strncmp(location, "http://", 7) || !strncmp(location, "https://", 8))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "snapshots are not fetched from addresses; copy the "
                         "file below snapshots/ in the data directory");
    if (strncmp(location, "file://", 7)) {
        rc = path_of(engine, collection, location, &named, err);
        if (rc) return rc;
    }
    place = akin_format("%s/snapshots", engine->data_dir);
    home = place ? realpath(place, NULL) : NULL;
    *out = realpath(named ? named : location + 7, NULL);
    size_t n = home ? strlen(home) : 0;
    const char *slash = *out ? strrchr(*out, '/') : NULL;
    if (!slash || !home || strncmp(*out, home, n) || (*out)[n] != '/' ||
        !akin_snapshot_name_ok(slash + 1)) {
        rc = no_snapshot(location, err);
        free(*out);
        *out = NULL;
    }
    free(home);
    akin_free(place);
    akin_free(named);
    return rc;
}

akin_status akin__snapshot_check(const char *path, const char *sha256,
                                 const uint8_t *digest, akin_error *err)
{
    char noted[65], hex[2 * AKIN_SHA256_BYTES + 1];

    akin_hex(digest, AKIN_SHA256_BYTES, hex);
    if (!sha256 || !*sha256) {
        akin_snapshot_digest(path, noted);
        sha256 = noted;
    }
    if (!*sha256 || !strcmp(sha256, hex)) return AKIN_OK;
    return akin_fail(err, AKIN_BAD_DATA,
                     "the snapshot is damaged: its SHA-256 is %s, expected "
                     "%.64s",
                     hex, sha256);
}

static bool unpacked(void *user, uint64_t done)
{
    making *m = user;
    m->done = done;
    return tell(m, "unpacking");
}

/* Known before anything is read; looked at again in the end. */
static akin_status is_free(akin_engine *engine, const char *collection,
                           akin_error *err)
{
    akin__collection *c = NULL;
    akin_status rc = akin__collection_find(engine, collection, &c, err);

    akin__collection_release(c);
    if (rc) return rc == AKIN_NOT_FOUND ? AKIN_OK : rc;
    return akin_fail(err, AKIN_EXISTS, "there is a collection '%s'",
                     collection);
}

static akin_status recover_in(making *m, const char *collection,
                              const char *folder, const char *path,
                              const char *sha256, bool replace, akin_error *err)
{
    uint8_t digest[AKIN_SHA256_BYTES];
    akin_write_result result = {0};
    akin_write op = {.kind = AKIN_WRITE_IMPORT, .dir = folder};

    akin_status rc = replace ? AKIN_OK : is_free(m->engine, collection, err);
    if (!rc) rc = akin_dir_remove(folder, err);
    if (!rc) rc = akin_dir_make(folder, err);
    if (!rc)
        rc = akin__tar_unpack(path, folder, files, 2, unpacked, m, digest, err);
    if (!rc) rc = akin__snapshot_check(path, sha256, digest, err);
    if (!rc) rc = akin_storage_import_check(folder, false, err);
    if (!rc && !tell(m, "importing"))
        rc = akin_fail(err, AKIN_CANCELLED, "recovery cancelled");
    if (!rc) rc = akin_storage_write(m->engine->storage, &op, 1, &result, err);
    if (!rc && result.status) {
        if (err) *err = result.error;
        rc = result.status;
        if (result.num) akin__collection_drop(m->engine, (uint32_t)result.num);
    }
    if (!rc)
        rc = akin__collection_replace(m->engine, collection,
                                      (uint32_t)result.num, replace, err);
    return rc;
}

akin_status akin_engine_snapshot_recover(akin_engine *engine,
                                         const char *collection,
                                         const char *location,
                                         const char *sha256, bool replace,
                                         akin_progress_call *progress,
                                         void *user, akin_error *err)
{
    making m = {.engine = engine, .call = progress, .user = user};
    char real[AKIN_NAME_BYTES + 1], *path = NULL;
    char *folder = akin_format(MAKING, engine->data_dir);

    char *upload = akin__snapshot_upload_path(engine);
    akin_status rc =
        folder && upload ? akin__writable(engine, err) : akin__nomem(err);
    if (!rc) rc = akin__check_collection_name(collection, err);
    if (!rc && location) rc = locate(engine, collection, location, &path, err);
    if (!rc && !location && !(sha256 && *sha256))
        rc = akin_fail(err, AKIN_INVALID, "an upload wants its SHA-256");
    if (!rc && pthread_mutex_trylock(&engine->snapshot_lock)) {
        rc = akin_fail(err, AKIN_BUSY, "another snapshot is being made");
    } else if (!rc) {
        akin__real_name(engine, collection, real);
        rc = recover_in(&m, real, folder, location ? path : upload, sha256,
                        replace, err);
        (void)akin_dir_remove(folder, NULL);
        if (!location) unlink(upload);
        pthread_mutex_unlock(&engine->snapshot_lock);
    }
    free(path);
    akin_free(upload);
    akin_free(folder);
    return rc;
}
