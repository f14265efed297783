/* Snapshots' own: the file format and the digests beside. */
#ifndef AKIN_ENGINE_SNAPSHOT_H
#define AKIN_ENGINE_SNAPSHOT_H

#include "internal.h"

/* What is in one: thumbs.db may be missing. */
#define AKIN__SNAPSHOT_FILES                                                   \
    {                                                                          \
        "akin.db", "thumbs.db"                                                 \
    }

/* Asked after each piece; false cancels. */
typedef bool akin__tar_progress(void *user, uint64_t done);

/* Writes those of n files of `dir` that are there into one tar and syncs it;
 * nothing is left after a failure. digest: of its bytes. */
akin_status akin__tar_make(const char *out, const char *dir,
                           const char *const *names, size_t n,
                           akin__tar_progress *progress, void *user,
                           uint8_t digest[AKIN_SHA256_BYTES], akin_error *err);

/* The way back: writes the files, which may be those of `names` only and must
 * not be there, into `dir`. AKIN_BAD_DATA. */
akin_status akin__tar_unpack(const char *in, const char *dir,
                             const char *const *names, size_t n,
                             akin__tar_progress *progress, void *user,
                             uint8_t digest[AKIN_SHA256_BYTES],
                             akin_error *err);

/* Where one that is uploaded is, for akin_free; NULL: no memory. */
char *akin__snapshot_upload_path(const akin_engine *engine);
/* sha256: the caller's word for what it must be; "" or NULL: what was noted
 * beside it, if anything. AKIN_BAD_DATA. */
akin_status akin__snapshot_check(const char *path, const char *sha256,
                                 const uint8_t *digest, akin_error *err);

#endif
