/* Files and folders: mapping, reading, atomic replacement, removal, and SHA-256
 * (OpenSSL's, which uses the CPU's SHA instructions). */
#include "akin_base.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opens a regular file and tells its size. */
static akin_status open_regular(const char *path, int *fd, size_t *size,
                                akin_error *err)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return akin_fail_errno(err, errno, "cannot open %s", path);
    if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode) &&
        (uintmax_t)st.st_size <= SIZE_MAX) {
        *size = (size_t)st.st_size;
        return AKIN_OK;
    }
    close(*fd);
    return akin_fail(err, AKIN_INVALID, "%s is not a regular file", path);
}

akin_status akin_map_open(akin_map *map, const char *path, akin_error *err)
{
    int fd;
    size_t size;
    *map = (akin_map){0};
    akin_status rc = open_regular(path, &fd, &size, err);
    if (rc) return rc;
    if (size > 0) {
        void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            rc = akin_fail_errno(err, errno, "cannot map %s", path);
        else
            *map = (akin_map){p, size};
    }
    close(fd);
    return rc;
}

void akin_map_close(akin_map *map)
{
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size);
    *map = (akin_map){0};
}

/* Reads until `size` bytes are there or the file ends. */
static ssize_t read_full(int fd, uint8_t *out, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, out + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

akin_status akin_file_read(const char *path, size_t limit, uint8_t **out,
                           size_t *size, akin_error *err)
{
    int fd;
    size_t length;
    uint8_t *data = NULL;
    *out = NULL;
    *size = 0;
    akin_status rc = open_regular(path, &fd, &length, err);
    if (rc) return rc;
    if (length > limit || length == SIZE_MAX) {
        rc =
            akin_fail(err, AKIN_TOO_LARGE, "%s has %zu bytes; the limit is %zu",
                      path, length, limit);
        goto done;
    }
    data = akin_alloc(length + 1);
    if (!data) {
        rc = akin_fail(err, AKIN_NOMEM, "no memory for the %zu bytes of %s",
                       length, path);
        goto done;
    }
    ssize_t got = read_full(fd, data, length);
    if (got < 0) {
        rc = akin_fail_errno(err, errno, "cannot read %s", path);
        goto done;
    }
    data[got] = '\0';
    *out = data;
    *size = (size_t)got;
    data = NULL;

done:
    akin_free(data);
    close(fd);
    return rc;
}

akin_status akin_dir_sync(const char *path, akin_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return akin_fail_errno(err, errno, "cannot open %s", path);
    akin_status rc = AKIN_OK;
    if (fsync(fd)) rc = akin_fail_errno(err, errno, "cannot sync %s", path);
    close(fd);
    return rc;
}

static akin_status sync_parent(const char *path, akin_error *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return akin_dir_sync(".", err);
    char *parent =
        akin_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (!parent) return akin_fail(err, AKIN_NOMEM, "no memory for a path");
    akin_status rc = akin_dir_sync(parent, err);
    akin_free(parent);
    return rc;
}

static int write_full(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

akin_status akin_file_replace(const char *path, akin_span data, akin_error *err)
{
    char *temp = akin_format("%s.tmp.%ld", path, (long)getpid());
    if (!temp) return akin_fail(err, AKIN_NOMEM, "no memory for a path");
    akin_status rc = AKIN_OK;
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        rc = akin_fail_errno(err, errno, "cannot create %s", temp);
        goto done;
    }
    bool bad = write_full(fd, data.data, data.size) || fsync(fd);
    int why = errno;
    if (close(fd) && !bad) {
        bad = true;
        why = errno;
    }
    if (!bad && rename(temp, path)) {
        bad = true;
        why = errno;
    }
    if (bad) {
        rc = akin_fail_errno(err, why, "cannot write %s", path);
        unlink(temp);
        goto done;
    }
    rc = sync_parent(path, err);

done:
    akin_free(temp);
    return rc;
}

akin_status akin_dir_make(const char *path, akin_error *err)
{
    char *copy = akin_strdup(path);
    if (!copy) return akin_fail(err, AKIN_NOMEM, "no memory for a path");
    akin_status rc = AKIN_OK;
    size_t n = strlen(copy);
    for (size_t i = 1; i <= n && !rc; i++) {
        if (i < n && copy[i] != '/') continue;
        char kept = copy[i];
        copy[i] = '\0';
        if (mkdir(copy, 0755) && errno != EEXIST)
            rc = akin_fail_errno(err, errno, "cannot create folder %s", copy);
        copy[i] = kept;
    }
    struct stat st;
    if (!rc && (stat(path, &st) || !S_ISDIR(st.st_mode)))
        rc = akin_fail(err, AKIN_INVALID, "%s is not a folder", path);
    akin_free(copy);
    return rc;
}

akin_status akin_dir_temporary(const char *name, char **out, akin_error *err)
{
    const char *below = getenv("TMPDIR");
    if (!below || !*below) below = "/tmp";
    *out = akin_format("%s/%s-XXXXXX", below, name);
    if (!*out) return akin_fail(err, AKIN_NOMEM, "no memory for a path");
    if (mkdtemp(*out)) return AKIN_OK;
    int why = errno;
    akin_free(*out);
    *out = NULL;
    return akin_fail_errno(err, why, "cannot create a folder in %s", below);
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

akin_status akin_dir_remove(const char *path, akin_error *err)
{
    enum { OPEN_FILES = 16 };
    if (nftw(path, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS) &&
        errno != ENOENT)
        return akin_fail_errno(err, errno, "cannot remove %s", path);
    return AKIN_OK;
}

/* ---- SHA-256 ------------------------------------------------------------ */

struct akin_sha256 {
    EVP_MD_CTX *context;
};

akin_sha256 *akin_sha256_begin(void)
{
    akin_sha256 *hash = akin_calloc(1, sizeof *hash);
    if (!hash) return NULL;
    hash->context = EVP_MD_CTX_new();
    if (hash->context && EVP_DigestInit_ex(hash->context, EVP_sha256(), NULL))
        return hash;
    akin_sha256_finish(hash, NULL);
    return NULL;
}

void akin_sha256_add(akin_sha256 *hash, const void *data, size_t size)
{
    EVP_DigestUpdate(hash->context, data, size);
}

void akin_sha256_finish(akin_sha256 *hash, uint8_t out[AKIN_SHA256_BYTES])
{
    if (out) EVP_DigestFinal_ex(hash->context, out, NULL);
    EVP_MD_CTX_free(hash->context);
    akin_free(hash);
}

akin_status akin_sha256_of(akin_span data, uint8_t out[AKIN_SHA256_BYTES],
                           akin_error *err)
{
    akin_sha256 *hash = akin_sha256_begin();
    if (!hash) return akin_fail(err, AKIN_NOMEM, "no memory for a hash");
    akin_sha256_add(hash, data.data, data.size);
    akin_sha256_finish(hash, out);
    return AKIN_OK;
}

void akin_hex(const uint8_t *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * size] = '\0';
}
