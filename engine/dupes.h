/* Duplicates inside the engine: finding them as items come in, and putting what
 * was found into groups. */
#ifndef AKIN_ENGINE_DUPES_H
#define AKIN_ENGINE_DUPES_H

#include "internal.h"

/* ---- perceptual hashes of a collection (dupes_hash.c) ------------------------ */

/* Threads: safe. */
typedef struct akin__hashes akin__hashes;

akin_status akin__hashes_open(akin__hashes **out, akin_error *err);
void akin__hashes_close(akin__hashes *hashes); /* no-op on NULL */
/* One more of an item's. */
akin_status akin__hashes_add(akin__hashes *hashes, uint64_t num,
                             const akin_picture_phash *hash, akin_error *err);
void akin__hashes_remove(akin__hashes *hashes, uint64_t num); /* all it has */

typedef bool akin__hashes_each(void *user, uint64_t num, uint32_t distance);
/* Items with a hash within `most` bits of this one in any of its eight
 * orientations; an item may come more than once. each is called under the
 * table's lock; false from it ends it. */
void akin__hashes_find(akin__hashes *hashes, const akin_picture_phash *hash,
                       uint32_t most, akin__hashes_each *each, void *user);

/* ---- looking at what is new (dupes.c) ------------------------------------------ */

struct akin__dupes {
    pthread_mutex_t lock; /* held by the one who looks */
    akin__hashes *hashes; /* NULL: not loaded yet; set under collection.lock */
};

void akin__dupes_close(akin__dupes *dupes); /* no-op on NULL */

/* Looks at queued items, oldest first, until `items` of them (0: all) are done
 * or `ms` milliseconds (0: any time) have passed. left (may be NULL): still
 * queued. One at a time per collection; wait false: returns at once when
 * another call is at it. */
akin_status akin__dupes_look(akin__collection *c, size_t items, uint32_t ms,
                             bool wait, uint64_t *left, akin_error *err);
/* Of an item removed, or left without its picture: nothing is like it any more.
 * One that is being looked at meanwhile may be found for longer, and is then not
 * there, or has no picture. */
void akin__dupes_forget(akin__collection *c, uint64_t num);

/* ---- groups (dupes_group.c) ------------------------------------------------------ */

typedef struct {
    size_t a, b;     /* 0..n-1 */
    uint32_t weight; /* how close they are, above 0 */
    bool exact;
} akin__dupe_link;

typedef bool akin__dupe_forbidden(void *user, size_t a, size_t b);

/* Puts n items into groups; group: (n), the group of each, SIZE_MAX for none;
 * centres: (n), the centre of each group. Groups are numbered from 0, have at
 * least two items and are the same for any order of the links.
 *
 * Exact links are transitive: their items become one node. Then the node with
 * the largest sum of weights (of equal ones the lowest) becomes a centre and takes
 * those of its neighbours that are still free; and so on. So every item of a
 * group is linked to its centre, or identical to one that is: a chain of weak
 * links ends after one step. forbidden (NULL: nothing is) keeps two items out of
 * one group. */
akin_status akin__dupes_group(size_t n, const akin__dupe_link *links,
                              size_t nlinks, akin__dupe_forbidden *forbidden,
                              void *user, size_t *group, size_t *centres,
                              size_t *ngroups, akin_error *err);

/* ---- told apart (dupes_apart.c) -------------------------------------------------- */

typedef struct {
    size_t a, b; /* a < b */
} akin__dupe_pair;

/* Start from {0}; pairs is for akin_free. */
typedef struct {
    akin__dupe_pair *pairs;
    size_t n, capacity;
} akin__dupe_apart;

akin_status akin__dupes_tell_apart(akin__dupe_apart *apart, size_t a, size_t b,
                                   akin_error *err);
/* A person said that z and y are no duplicates. A later copy x of z may be close
 * to both and would bring y in again: so the link from x to y goes too, when x
 * is linked at least as closely to z; and so on from x. links: each from both
 * its ends; those that go are taken out, and their ends are told apart. */
akin_status akin__dupes_spread(akin__dupe_apart *apart, akin__dupe_link *links,
                               size_t *nlinks, akin_error *err);
/* An akin__dupe_forbidden whose user is an akin__dupe_apart, after spread. */
bool akin__dupes_are_apart(void *user, size_t a, size_t b);

/* ---- which one to keep (dupes_keep.c) -------------------------------------------- */

typedef struct akin__keep akin__keep;

/* The rules of a question; its `prefer` is borrowed until close. Fails with
 * AKIN_INVALID; *out is to be closed then too. */
akin_status akin__keep_open(const akin_dupe_query *query, akin__keep **out,
                            akin_error *err);
void akin__keep_close(akin__keep *keep); /* no-op on NULL */
/* Sets keep and why of a group. */
void akin__keep_choose(const akin__keep *keep, akin_dupe_group *group);

#endif
