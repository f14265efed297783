/* Writing a generation: sections in order under a temporary name, the head
 * last, fsync, rename. A crash leaves the old file or the new, and a leftover
 * that the next build removes. In memory only, the file is a memfd. */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

char *akin__gen_path(const char *dir, uint64_t number)
{
    return akin_format("%s/generation-%08llu.akin", dir,
                       (unsigned long long)number);
}

akin_status akin__writer_open(akin__writer *w, const char *dir, uint64_t number,
                              akin_error *err)
{
    static const uint8_t zeros[AKIN__HEAD_BYTES];
    memset(w, 0, sizeof *w);
    w->dir = dir;
    if (dir) {
        w->path = akin__gen_path(dir, number);
        if (w->path) w->temporary = akin_format("%s.tmp", w->path);
        if (!w->temporary) return akin_fail(err, AKIN_NOMEM, "out of memory");
        /* one that another build has mapped must not be cut */
        (void)unlink(w->temporary);
        w->file = fopen(w->temporary, "w+b");
    } else {
        int fd = memfd_create("akin generation", MFD_CLOEXEC);
        w->file = fd < 0 ? NULL : fdopen(fd, "w+b");
        if (!w->file && fd >= 0) close(fd);
    }
    if (!w->file)
        return akin_fail_errno(err, errno, "cannot create %s",
                               dir ? w->temporary : "a file in memory");
    setvbuf(w->file, NULL, _IOFBF, (size_t)1 << 20);
    return akin__writer_append(w, zeros, sizeof zeros, err);
}

static akin_status write_failed(const akin__writer *w, akin_error *err)
{
    return akin_fail_errno(err, errno, "cannot write %s",
                           w->temporary ? w->temporary : "a file in memory");
}

akin_status akin__writer_append(akin__writer *w, const void *data, size_t size,
                                akin_error *err)
{
    if (size && fwrite(data, 1, size, w->file) != size)
        return write_failed(w, err);
    w->at += size;
    return AKIN_OK;
}

akin_status akin__writer_align(akin__writer *w, akin_error *err)
{
    static const uint8_t zeros[AKIN__PAGE];
    return akin__writer_append(
        w, zeros, (size_t)((AKIN__PAGE - w->at % AKIN__PAGE) % AKIN__PAGE),
        err);
}

static akin_status write_digests(akin__writer *w, akin__head *head,
                                 akin_error *err)
{
    size_t bytes =
        (size_t)akin__block_count(head->digests_at) * AKIN_SHA256_BYTES;
    uint8_t *digests = akin_alloc(bytes), *data;
    akin_status rc;
    if (!digests)
        return akin_fail(err, AKIN_NOMEM, "out of memory for %zu bytes", bytes);
    data = mmap(NULL, (size_t)head->digests_at, PROT_READ, MAP_SHARED,
                fileno(w->file), 0);
    if (data == MAP_FAILED) {
        rc = akin_fail_errno(err, errno, "cannot map the new generation");
        goto done;
    }
    rc = akin__digest_blocks(data, head->digests_at, digests, err);
    munmap(data, (size_t)head->digests_at);
    if (rc) goto done;
    rc = akin_sha256_of((akin_span){digests, bytes}, head->digests_digest, err);
    if (rc) goto done;
    rc = akin__writer_append(w, digests, bytes, err);
done:
    akin_free(digests);
    return rc;
}

akin_status akin__writer_finish(akin__writer *w, akin__head *head,
                                const akin__curve_set *curves, akin_error *err)
{
    akin__far far;
    akin_status rc = akin__writer_align(w, err);
    if (rc) return rc;
    head->magic = AKIN__MAGIC;
    head->version = AKIN__VERSION;
    akin__head_layout(head);
    if (w->at != head->digests_at)
        return akin_fail(err, AKIN_INTERNAL, "sections end at %llu, not %llu",
                         (unsigned long long)w->at,
                         (unsigned long long)head->digests_at);
    if (fflush(w->file)) return write_failed(w, err);
    rc = write_digests(w, head, err);
    if (!rc) rc = akin__curves_pack(curves, head, &far, err);
    if (rc) return rc;
    rc = akin_sha256_of((akin_span){head, offsetof(akin__head, digest)},
                        head->digest, err);
    if (rc) return rc;
    if (fseek(w->file, 0, SEEK_SET) ||
        fwrite(head, sizeof *head, 1, w->file) != 1 ||
        fwrite(&far, sizeof far, 1, w->file) != 1 || fflush(w->file))
        return write_failed(w, err);
    if (!w->dir) return AKIN_OK;
    if (fsync(fileno(w->file)) || rename(w->temporary, w->path))
        return write_failed(w, err);
    akin_free(w->temporary);
    w->temporary = NULL;
    return akin_dir_sync(w->dir, err);
}

void akin__writer_clear(akin__writer *w)
{
    if (w->file) fclose(w->file);
    if (w->temporary) unlink(w->temporary);
    akin_free(w->temporary);
    akin_free(w->path);
    memset(w, 0, sizeof *w);
}

/* The number in a generation's name; 0: not one. */
static uint64_t name_number(const char *name, bool *temporary)
{
    unsigned long long number = 0;
    int end = 0;
    *temporary = false;
    if (sscanf(name, "generation-%llu.akin%n", &number, &end) != 1 || !end)
        return 0;
    *temporary = strcmp(name + end, ".tmp") == 0;
    return *temporary || !name[end] ? number : 0;
}

uint64_t akin__newest(const char *dir, uint64_t below)
{
    uint64_t newest = 0, number;
    struct dirent *entry;
    bool temporary;
    DIR *d = opendir(dir);
    if (!d) return 0;
    while ((entry = readdir(d))) {
        number = name_number(entry->d_name, &temporary);
        if (!temporary && number < below && number > newest) newest = number;
    }
    closedir(d);
    return newest;
}

void akin__remove_others(const char *dir, uint64_t keep)
{
    struct dirent *entry;
    bool temporary;
    DIR *d = opendir(dir);
    if (!d) return;
    while ((entry = readdir(d))) {
        uint64_t number = name_number(entry->d_name, &temporary);
        if (number && (temporary || number != keep))
            (void)unlinkat(dirfd(d), entry->d_name, 0);
    }
    closedir(d);
}
