/* Snapshots' own: the file format. */
#ifndef AKIN_ENGINE_SNAPSHOT_H
#define AKIN_ENGINE_SNAPSHOT_H

#include "internal.h"

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

#endif
