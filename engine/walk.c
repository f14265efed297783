/* Folders: finding the pictures under one, and removing one of ours.
 *
 * A file is a candidate by its extension, or, without a known one, by its first
 * bytes; what then cannot be decoded is listed as a failure, what is no picture
 * at all is passed over. Names are sorted within each folder, so that two walks
 * of the same tree see the same order. */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FOLDER_DEPTH 128

typedef struct {
    const akin_ingest *options;
    bool (*tick)(void *user, size_t found);
    void *user;
    akin__files *out;
    size_t root_length; /* of the folder's path, with the slash after it */
    struct {
        dev_t dev;
        ino_t ino;
    } parents[MAX_FOLDER_DEPTH]; /* against links that lead in circles */
    akin_error *err;
} walk;

void akin__files_clear(akin__files *files)
{
    for (size_t i = 0; i < files->n; i++)
        akin_free(files->files[i].path);
    for (size_t i = 0; i < files->nfailures; i++) {
        akin_free(files->failures[i].what);
        akin_free(files->failures[i].message);
    }
    akin_free(files->files);
    akin_free(files->failures);
    memset(files, 0, sizeof *files);
}

static bool picture_extension(const char *name)
{
    /* of cameras' raw files, those that are TIFF have a preview that is read;
     * the others are listed as what cannot be read, not passed over */
    static const char *const known[] = {
        "jpg",  "jpeg", "jpe", "png",  "webp", "gif", "tif", "tiff", "heic",
        "heif", "avif", "svg", "svgz", "bmp",  "ppm", "pgm", "pbm",  "pnm",
        "dng",  "nef",  "nrw", "cr2",  "cr3",  "crw", "arw", "srf",  "sr2",
        "orf",  "rw2",  "raf", "pef",  "srw",  "x3f"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(dot + 1, known[i])) return true;
    return false;
}

static bool picture_bytes(const char *path)
{
    uint8_t head[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return false;
    ssize_t n = read(fd, head, sizeof head);
    close(fd);
    return n > 0 && akin_picture_sniff((akin_span){head, (size_t)n}, NULL);
}

static akin_status add_failure(walk *w, const char *path, const char *message)
{
    akin__files *out = w->out;
    if (out->nfailures == AKIN_MAX_FAILURES) return AKIN_OK;
    akin_status rc =
        akin_grow(&out->failures, &out->failure_capacity, out->nfailures + 1,
                  sizeof *out->failures, w->err);
    if (rc) return rc;
    akin_failure f = {akin_strdup(path), akin_strdup(message)};
    out->failures[out->nfailures++] = f;
    return f.what && f.message ? AKIN_OK : akin__nomem(w->err);
}

static akin_status add_file(walk *w, const char *path, const struct stat *st)
{
    akin__files *out = w->out;
    akin_status rc = akin_grow(&out->files, &out->capacity, out->n + 1,
                               sizeof *out->files, w->err);
    if (rc) return rc;
    akin__file *f = &out->files[out->n];
    f->path = akin_strdup(path);
    if (!f->path) return akin__nomem(w->err);
    f->id = f->path + w->root_length;
    f->mtime_ns =
        (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    f->size = st->st_size;
    out->n++;
    if (w->tick && !w->tick(w->user, out->n))
        return akin_fail(w->err, AKIN_CANCELLED, "stopped while listing");
    return AKIN_OK;
}

static akin_status walk_folder(walk *w, const char *path, unsigned depth);

static akin_status visit(walk *w, const char *folder, const char *name,
                         unsigned depth)
{
    struct stat st;
    akin_status rc = AKIN_OK;
    char *path = akin_format("%s/%s", folder, name);
    if (!path) return akin__nomem(w->err);

    /* A link to a picture is that picture under another name; a link to a
     * folder may lead anywhere, and is followed only when asked for. */
    struct stat self;
    bool link = !lstat(path, &self) && S_ISLNK(self.st_mode);
    if (stat(path, &st))
        rc = picture_extension(name) ? add_failure(w, path, strerror(errno))
                                     : AKIN_OK;
    else if (S_ISDIR(st.st_mode))
        rc = w->options->flat || (link && !w->options->follow_links)
                 ? AKIN_OK
                 : walk_folder(w, path, depth + 1);
    else if (S_ISREG(st.st_mode) &&
             (picture_extension(name) || picture_bytes(path)))
        rc = add_file(w, path, &st);
    akin_free(path);
    return rc;
}

static int not_dots(const struct dirent *e)
{
    return strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Whether this folder was entered already on the way down. */
static bool circle(walk *w, const char *path, unsigned depth)
{
    struct stat st;
    if (stat(path, &st)) return false;
    w->parents[depth].dev = st.st_dev;
    w->parents[depth].ino = st.st_ino;
    for (unsigned i = 0; i < depth; i++)
        if (w->parents[i].dev == st.st_dev && w->parents[i].ino == st.st_ino)
            return true;
    return false;
}

static akin_status walk_folder(walk *w, const char *path, unsigned depth)
{
    struct dirent **names;
    akin_status rc = AKIN_OK;

    if (depth == MAX_FOLDER_DEPTH)
        return add_failure(w, path, "folders nested too deep");
    if (circle(w, path, depth)) return AKIN_OK;
    int n = scandir(path, &names, not_dots, by_name);
    if (n < 0) return add_failure(w, path, strerror(errno));
    for (int i = 0; i < n; i++) {
        bool hidden = names[i]->d_name[0] == '.';
        if (!rc && (!hidden || w->options->hidden))
            rc = visit(w, path, names[i]->d_name, depth);
        free(names[i]);
    }
    free(names);
    return rc;
}

akin_status akin__walk(const char *folder, const akin_ingest *options,
                       bool (*tick)(void *user, size_t found), void *user,
                       akin__files *out, akin_error *err)
{
    size_t n = strlen(folder);
    walk w = {.options = options,
              .tick = tick,
              .user = user,
              .out = out,
              .root_length = n + 1,
              .err = err};
    if (n == 1 && *folder == '/') folder = "";
    if (!*folder) w.root_length = 1;
    return walk_folder(&w, *folder ? folder : "/", 0);
}
