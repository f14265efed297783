/* A training that outlives an interrupted build: training is half of what a
 * build takes, so that its result is kept in the folder until the generation
 * stands, and a build that begins again goes on with it.
 *
 *   0              saved_head
 *   sizeof of it   the trained lists, empty, as FAISS writes them
 *
 * One that does not fit what is to be built (another model, other lists asked
 * for, a tenth more or fewer rows), or is damaged, is not used. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC     0x314e5254494e4b41ull /* "AKINTRN1" */
#define MOST_SIZE ((size_t)4 << 30)

typedef struct {
    uint64_t magic;
    uint32_t dim, ivf_dim, nlist, m;
    uint32_t asked_nlist, asked_m;
    uint64_t rows;
    char fingerprint[72];
    uint8_t digest[AKIN_SHA256_BYTES]; /* of all before it and the lists */
} saved_head;

static char *path_of(const akin_index *index)
{
    return index->dir ? akin_format("%s/training.akin", index->dir) : NULL;
}

static akin_status digest_of(const uint8_t *file, size_t size, uint8_t *out,
                             akin_error *err)
{
    uint8_t both[2 * AKIN_SHA256_BYTES];
    akin_status rc = akin_sha256_of(
        (akin_span){file, offsetof(saved_head, digest)}, both, err);
    if (!rc)
        rc = akin_sha256_of(
            (akin_span){file + sizeof(saved_head), size - sizeof(saved_head)},
            both + AKIN_SHA256_BYTES, err);
    return rc ? rc : akin_sha256_of((akin_span){both, sizeof both}, out, err);
}

static saved_head head_for(const akin_index *index, const akin__head *head,
                           const akin_build_params *params)
{
    saved_head s = {.magic = MAGIC,
                    .dim = head->dim,
                    .ivf_dim = akin__ivf_dim(head->dim),
                    .nlist = head->nlist,
                    .m = head->m,
                    .asked_nlist = params->nlist,
                    .asked_m = params->m,
                    .rows = head->rows};
    memcpy(s.fingerprint, index->fingerprint, sizeof index->fingerprint);
    return s;
}

/* The file's bytes: a head and the lists. For free(). */
static akin_status serialize(const akin__ivf *ivf, const saved_head *head,
                             char **out, size_t *size, akin_error *err)
{
    FILE *memory = open_memstream(out, size);
    akin_status rc;
    if (!memory) return akin_fail(err, AKIN_NOMEM, "out of memory");
    if (fwrite(head, sizeof *head, 1, memory) != 1)
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    else
        rc = akin__ivf_write(ivf, memory, err);
    if (fclose(memory) && !rc) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    return rc;
}

void akin__training_save(const akin_index *index, const akin__head *head,
                         const akin_build_params *params, const akin__ivf *ivf)
{
    saved_head s = head_for(index, head, params);
    char *path = path_of(index), *file = NULL;
    size_t size = 0;
    akin_error err;
    akin_status rc;
    if (!path) return;
    rc = serialize(ivf, &s, &file, &size, &err);
    if (!rc)
        rc = digest_of((uint8_t *)file, size,
                       (uint8_t *)file + offsetof(saved_head, digest), &err);
    if (!rc) rc = akin_file_replace(path, (akin_span){file, size}, &err);
    if (rc) /* the build goes on; only a later one would have gained */
        akin_log(AKIN_LOG_WARN, "index: the training is not kept: %s",
                 err.message);
    free(file);
    akin_free(path);
}

/* Whether what is saved may stand for what would be trained. */
static bool fits(const saved_head *saved, const saved_head *wanted)
{
    double rows = (double)wanted->rows;
    return saved->magic == MAGIC && saved->dim == wanted->dim &&
           saved->ivf_dim == wanted->ivf_dim &&
           saved->asked_nlist == wanted->asked_nlist &&
           saved->asked_m == wanted->asked_m && saved->m == wanted->m &&
           memcmp(saved->fingerprint, wanted->fingerprint,
                  sizeof saved->fingerprint) == 0 &&
           (double)saved->rows > 0.9 * rows && (double)saved->rows < 1.1 * rows;
}

/* Reads the lists and makes lists of them that can be added to. */
static akin_status revive(const char *path, const saved_head *saved,
                          akin__ivf **out, akin_error *err)
{
    akin__head empty = {
        .ivf_dim = saved->ivf_dim, .nlist = saved->nlist, .m = saved->m};
    akin__ivf *mapped = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return akin_fail_errno(err, errno, "cannot open %s", path);
    akin_status rc =
        akin__ivf_read(fd, sizeof(saved_head), &empty, &mapped, err);
    if (!rc) rc = akin__ivf_copy(mapped, NULL, out, err);
    akin__ivf_free(mapped);
    close(fd);
    return rc;
}

bool akin__training_load(const akin_index *index, akin__head *head,
                         const akin_build_params *params, akin__ivf **out)
{
    saved_head wanted = head_for(index, head, params), saved = {0};
    uint8_t digest[AKIN_SHA256_BYTES], *file = NULL;
    char *path = path_of(index);
    size_t size = 0;
    akin_status rc = AKIN_NOT_FOUND;
    if (path) rc = akin_file_read(path, MOST_SIZE, &file, &size, NULL);
    if (!rc && size <= sizeof saved) rc = AKIN_CORRUPT;
    if (!rc) memcpy(&saved, file, sizeof saved);
    if (!rc) rc = digest_of(file, size, digest, NULL);
    if (!rc && memcmp(digest, saved.digest, sizeof digest) != 0)
        rc = AKIN_CORRUPT;
    if (!rc && !fits(&saved, &wanted)) rc = AKIN_NOT_FOUND;
    if (!rc) rc = revive(path, &saved, out, NULL);
    if (!rc) head->nlist = saved.nlist;
    akin_free(file);
    akin_free(path);
    return !rc;
}

void akin__training_forget(const akin_index *index)
{
    char *path = path_of(index);
    if (path) (void)unlink(path);
    akin_free(path);
}
