/* A directory's files as one: POSIX ustar, which every tar unpacks. Two files of
 * known names need no library: a header of 512 bytes, the bytes, zeros up to
 * the next 512, and two empty headers at the end. Sizes above 8 GiB are written
 * in base 256, as GNU and star do. */
#include "snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 512

/* Name and size of fields as POSIX has them. */
typedef struct {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type,
        link[100], magic[6], version[2], user[32], group[32], major[8],
        minor[8], prefix[155], rest[12];
} header;
_Static_assert(sizeof(header) == BLOCK, "a header is one block");

typedef struct {
    FILE *file;
    akin_sha256 *hash;
    akin__tar_progress *progress;
    void *user;
    uint64_t done;
} writer;

static akin_status put(writer *w, const void *data, size_t size,
                       akin_error *err)
{
    akin_sha256_add(w->hash, data, size);
    w->done += size;
    if (fwrite(data, 1, size, w->file) != size)
        return akin_fail_errno(err, errno, "cannot write the snapshot");
    return AKIN_OK;
}

static void write_size(char out[12], uint64_t size)
{
    if (size < (uint64_t)1 << 33) {
        snprintf(out, 12, "%011llo", (unsigned long long)size);
        return;
    }
    memset(out, 0, 12);
    out[0] = (char)0x80;
    for (int i = 11; i > 3; i--, size >>= 8)
        out[i] = (char)(size & 0xff);
}

static akin_status put_header(writer *w, const char *name, uint64_t size,
                              akin_error *err)
{
    header h;
    unsigned sum = 0;

    memset(&h, 0, sizeof h);
    snprintf(h.name, sizeof h.name, "%s", name);
    memcpy(h.mode, "0000644", 8);
    memcpy(h.uid, "0000000", 8);
    memcpy(h.gid, "0000000", 8);
    write_size(h.size, size);
    write_size(h.mtime, (uint64_t)(akin_now_ms() / 1000));
    memset(h.sum, ' ', sizeof h.sum);
    h.type = '0';
    memcpy(h.magic, "ustar", 6);
    memcpy(h.version, "00", 2);
    for (size_t i = 0; i < sizeof h; i++)
        sum += ((const uint8_t *)&h)[i];
    snprintf(h.sum, sizeof h.sum, "%06o", sum & 0777777);
    h.sum[7] = ' ';
    return put(w, &h, sizeof h, err);
}

static akin_status put_bytes(writer *w, FILE *in, uint64_t size,
                             akin_error *err)
{
    static const uint8_t zeros[BLOCK];
    uint8_t piece[1 << 16];
    akin_status rc = AKIN_OK;
    uint64_t left = size;

    while (!rc && left) {
        size_t n = left < sizeof piece ? (size_t)left : sizeof piece;
        if (fread(piece, 1, n, in) != n)
            return akin_fail(err, AKIN_IO, "a file of the snapshot is short");
        rc = put(w, piece, n, err);
        left -= n;
        if (!rc && w->progress && !w->progress(w->user, w->done))
            rc = akin_fail(err, AKIN_CANCELLED, "snapshot cancelled");
    }
    if (!rc && size % BLOCK) rc = put(w, zeros, BLOCK - size % BLOCK, err);
    return rc;
}

static akin_status put_file(writer *w, const char *dir, const char *name,
                            akin_error *err)
{
    char *path = akin_format("%s/%s", dir, name);
    FILE *in = path ? fopen(path, "rb") : NULL;
    akin_status rc = AKIN_OK;
    off_t size = 0;

    if (!in) {
        rc = errno == ENOENT && path
                 ? AKIN_OK
                 : akin_fail_errno(err, errno, "cannot read %s", name);
        goto done;
    }
    if (fseeko(in, 0, SEEK_END) || (size = ftello(in)) < 0 ||
        fseeko(in, 0, SEEK_SET))
        rc = akin_fail_errno(err, errno, "cannot read %s", name);
    if (!rc) rc = put_header(w, name, (uint64_t)size, err);
    if (!rc) rc = put_bytes(w, in, (uint64_t)size, err);

done:
    if (in) fclose(in);
    akin_free(path);
    return rc;
}

akin_status akin__tar_make(const char *out, const char *dir,
                           const char *const *names, size_t n,
                           akin__tar_progress *progress, void *user,
                           uint8_t digest[AKIN_SHA256_BYTES], akin_error *err)
{
    static const uint8_t end[2 * BLOCK];
    writer w = {.file = fopen(out, "wb"),
                .hash = akin_sha256_begin(),
                .progress = progress,
                .user = user};
    akin_status rc = AKIN_OK;

    if (!w.file)
        rc = akin_fail_errno(err, errno, "cannot create %s", out);
    else if (!w.hash)
        rc = akin__nomem(err);
    for (size_t i = 0; !rc && i < n; i++)
        rc = put_file(&w, dir, names[i], err);
    if (!rc) rc = put(&w, end, sizeof end, err);
    if (!rc && (fflush(w.file) || fsync(fileno(w.file))))
        rc = akin_fail_errno(err, errno, "cannot write %s", out);
    if (w.file && fclose(w.file) && !rc)
        rc = akin_fail_errno(err, errno, "cannot write %s", out);
    if (w.hash) akin_sha256_finish(w.hash, digest);
    if (rc && w.file) unlink(out);
    return rc;
}

/* ---- and back ----------------------------------------------------------------------- */

typedef struct {
    FILE *file;
    akin_sha256 *hash;
    akin__tar_progress *progress;
    void *user;
    uint64_t done;
} reader;

static akin_status bad(const char *what, akin_error *err)
{
    return akin_fail(err, AKIN_BAD_DATA, "not a snapshot: %s", what);
}

/* Reads exactly `size` bytes. */
static akin_status get(reader *r, void *out, size_t size, akin_error *err)
{
    size_t n = fread(out, 1, size, r->file);

    akin_sha256_add(r->hash, out, n);
    r->done += n;
    if (n == size) return AKIN_OK;
    return ferror(r->file) ? akin_fail_errno(err, errno, "cannot read it")
                           : bad("it ends too early", err);
}

static bool read_octal(const char *text, size_t size, uint64_t *out)
{
    *out = 0;
    while (size && *text == ' ')
        text++, size--;
    for (; size && *text >= '0' && *text <= '7'; text++, size--)
        *out = *out * 8 + (uint64_t)(*text - '0');
    return !size || !*text || *text == ' ';
}

static bool read_size(const char text[12], uint64_t *out)
{
    if (!((uint8_t)text[0] & 0x80)) return read_octal(text, 12, out);
    *out = 0;
    for (int i = 4; i < 12; i++)
        *out = *out << 8 | (uint8_t)text[i];
    return (uint8_t)text[0] == 0x80 && !text[1] && !text[2] && !text[3] &&
           *out <= INT64_MAX;
}

static bool sum_is_right(const header *h)
{
    uint64_t want, sum = 0;

    for (size_t i = 0; i < sizeof *h; i++) {
        bool in_sum = i >= offsetof(header, sum) && i < offsetof(header, type);
        sum += in_sum ? ' ' : ((const uint8_t *)h)[i];
    }
    return read_octal(h->sum, sizeof h->sum, &want) && want == sum;
}

static akin_status get_file(reader *r, const char *path, uint64_t size,
                            akin_error *err)
{
    uint8_t piece[1 << 16];
    FILE *out = fopen(path, "wbx");
    akin_status rc = AKIN_OK;
    size_t padding = (BLOCK - size % BLOCK) % BLOCK;

    if (!out) return akin_fail_errno(err, errno, "cannot create %s", path);
    while (!rc && size) {
        size_t n = size < sizeof piece ? (size_t)size : sizeof piece;
        rc = get(r, piece, n, err);
        if (!rc && fwrite(piece, 1, n, out) != n)
            rc = akin_fail_errno(err, errno, "cannot write %s", path);
        size -= n;
        if (!rc && r->progress && !r->progress(r->user, r->done))
            rc = akin_fail(err, AKIN_CANCELLED, "recovery cancelled");
    }
    if (!rc && padding) rc = get(r, piece, padding, err);
    if (fclose(out) && !rc)
        rc = akin_fail_errno(err, errno, "cannot write %s", path);
    return rc;
}

/* One header and its file; *end: it was the empty one behind the last. */
static akin_status get_entry(reader *r, const char *dir,
                             const char *const *names, size_t n, bool *end,
                             akin_error *err)
{
    static const header zeros;
    header h;
    uint64_t size;
    size_t i = 0;

    akin_status rc = get(r, &h, sizeof h, err);
    if (rc) return rc;
    *end = !memcmp(&h, &zeros, sizeof h);
    if (*end) return AKIN_OK;
    if (memcmp(h.magic, "ustar", 5) || !sum_is_right(&h))
        return bad("not a tar", err);
    while (i < n && strncmp(h.name, names[i], sizeof h.name))
        i++;
    if (i == n || h.prefix[0] || (h.type != '0' && h.type) ||
        !read_size(h.size, &size))
        return bad("it holds something else", err);
    char *path = akin_format("%s/%s", dir, names[i]);
    if (!path) return akin__nomem(err);
    rc = get_file(r, path, size, err);
    akin_free(path);
    return rc;
}

/* What follows the last file still counts for the digest. */
static akin_status get_rest(reader *r, akin_error *err)
{
    uint8_t piece[4096];
    size_t n;

    while ((n = fread(piece, 1, sizeof piece, r->file)) > 0)
        akin_sha256_add(r->hash, piece, n);
    return ferror(r->file) ? akin_fail_errno(err, errno, "cannot read it")
                           : AKIN_OK;
}

akin_status akin__tar_unpack(const char *in, const char *dir,
                             const char *const *names, size_t n,
                             akin__tar_progress *progress, void *user,
                             uint8_t digest[AKIN_SHA256_BYTES], akin_error *err)
{
    reader r = {.file = fopen(in, "rb"),
                .hash = akin_sha256_begin(),
                .progress = progress,
                .user = user};
    akin_status rc = AKIN_OK;
    bool end = false;

    if (!r.file)
        rc = akin_fail_errno(err, errno, "cannot open %s", in);
    else if (!r.hash)
        rc = akin__nomem(err);
    while (!rc && !end)
        rc = get_entry(&r, dir, names, n, &end, err);
    if (!rc) rc = get_rest(&r, err);
    if (r.hash) akin_sha256_finish(r.hash, digest);
    if (r.file) fclose(r.file);
    return rc;
}
