/* Copying a collection from one file to another (extract.c). */
#ifndef AKIN_STORAGE_EXTRACT_H
#define AKIN_STORAGE_EXTRACT_H

#include "internal.h"

typedef struct {
    akin__conn *from, *to;
    uint32_t collection, target; /* its number there and here */
    /* Numbers of items, spaces and fields: as they are, or anew, those of items
     * in their order behind `nums` (akin__number_anew). */
    bool anew;
    int64_t nums;
    uint64_t seq;                   /* of everything; 0: as it is */
    akin_backup_progress *progress; /* may be NULL */
    void *user;
    uint64_t done, total; /* rows */
} akin__copying;

/* Gives what is in `from` numbers that were never used in `to`. AKIN_TOO_LARGE:
 * none are left. */
akin_status akin__number_anew(akin__copying *c, akin_error *err);
/* Everything but thumbnails, in the transactions that are open; the copy is
 * called `name`. */
akin_status akin__copy_collection(akin__copying *c, akin_span name,
                                  akin_error *err);
/* Thumbnails that `from` has of the collection's items in `items`. */
akin_status akin__copy_thumbs(akin__copying *c, akin__conn *items,
                              akin__conn *from, akin__conn *to,
                              akin_error *err);

#endif
