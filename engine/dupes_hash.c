/* Multi-index hashing (Norouzi, Punjani, Fleet 2012) over perceptual hashes.
 *
 * A hash has 255 signs of frequencies (u, v). Mirroring flips signs of odd
 * frequencies only, so the 63 signs with u and v even are the same in the four
 * mirrored orientations, and transposing swaps u and v: two questions instead of
 * eight. These 63 signs are the key. It is cut into 4 parts of 16 bits, each
 * with a table of its own; two keys that differ in at most 11 bits differ in at
 * most 2 of one part, so asking each table for the 137 values around a part
 * finds them all. Copies with up to 44 of 255 bits changed have 11 changed in
 * the key on average; those that have more are found by their embeddings.
 *
 * 64 bytes an entry and 1.25 MiB for the tables. A question visits about 16
 * entries of every 1000; a visit that finds the full hash too far costs some 20
 * ns. A library in which all pictures look alike puts them into few lists, so a
 * question ends after MOST_VISITS.
 *
 * A fifth table finds the entries of an item. Taking one out of its lists would
 * mean to walk along them, so it is only marked, and all are linked anew when a
 * quarter is marked. */
#include "dupes.h"

#include <string.h>

#define PARTS       4
#define BY_NUM      PARTS /* the fifth */
#define TABLES      (PARTS + 1)
#define VALUES      65536
#define MOST_VISITS 400000
#define FEW         1000 /* marked entries that do not matter */

typedef struct {
    uint64_t num;
    akin_picture_phash hash;
    uint32_t next[TABLES]; /* entry + 1; 0: the end */
    bool removed;
} entry;

struct akin__hashes {
    pthread_mutex_t lock;
    entry *entries;
    size_t n, capacity, removed;
    uint32_t *heads;     /* (TABLES, VALUES) entry + 1 */
    uint16_t flips[137]; /* the masks of at most 2 of 16 bits */
};

akin_status akin__hashes_open(akin__hashes **out, akin_error *err)
{
    akin__hashes *h = akin_calloc(1, sizeof *h);
    size_t n = 1; /* flips[0]: nothing */
    if (h) h->heads = akin_calloc((size_t)TABLES * VALUES, sizeof *h->heads);
    if (!h || !h->heads) {
        akin_free(h);
        return akin__nomem(err);
    }
    pthread_mutex_init(&h->lock, NULL);
    for (unsigned i = 0; i < 16; i++) {
        h->flips[n++] = (uint16_t)(1u << i);
        for (unsigned j = 0; j < i; j++)
            h->flips[n++] = (uint16_t)(1u << i | 1u << j);
    }
    *out = h;
    return AKIN_OK;
}

void akin__hashes_close(akin__hashes *h)
{
    if (!h) return;
    pthread_mutex_destroy(&h->lock);
    akin_free(h->entries);
    akin_free(h->heads);
    akin_free(h);
}

/* Part p: of each word, which holds an 8 x 8 block of frequencies, the four
 * even columns of row 2 p. */
static uint16_t part_of(const akin_picture_phash *hash, unsigned p)
{
    uint16_t part = 0;
    for (unsigned w = 0; w < 4; w++) {
        uint8_t row = (uint8_t)(hash->word[w] >> 16 * p);
        unsigned four =
            (row & 1u) | (row >> 1 & 2u) | (row >> 2 & 4u) | (row >> 3 & 8u);
        part |= (uint16_t)(four << 4 * w);
    }
    return part;
}

static uint32_t *head_of(akin__hashes *h, const entry *e, unsigned table)
{
    size_t value = table == BY_NUM ? e->num % VALUES : part_of(&e->hash, table);
    return &h->heads[table * (size_t)VALUES + value];
}

/* Puts the entry at `at` into its lists. */
static void enter(akin__hashes *h, size_t at)
{
    entry *e = &h->entries[at];
    for (unsigned t = 0; t < TABLES; t++) {
        uint32_t *head = head_of(h, e, t);
        e->next[t] = *head;
        *head = (uint32_t)at + 1;
    }
}

akin_status akin__hashes_add(akin__hashes *h, uint64_t num,
                             const akin_picture_phash *hash, akin_error *err)
{
    akin_status rc = AKIN_OK;
    pthread_mutex_lock(&h->lock);
    if (h->n >= UINT32_MAX - 1)
        rc = akin_fail(err, AKIN_TOO_LARGE, "too many perceptual hashes");
    if (!rc)
        rc = akin_grow(&h->entries, &h->capacity, h->n + 1, sizeof *h->entries,
                       err);
    if (!rc) {
        h->entries[h->n] = (entry){.num = num, .hash = *hash};
        enter(h, h->n++);
    }
    pthread_mutex_unlock(&h->lock);
    return rc;
}

/* Without what is marked. */
static void enter_anew(akin__hashes *h)
{
    size_t n = 0;
    memset(h->heads, 0, (size_t)TABLES * VALUES * sizeof *h->heads);
    for (size_t i = 0; i < h->n; i++) {
        if (h->entries[i].removed) continue;
        h->entries[n] = h->entries[i];
        enter(h, n++);
    }
    h->n = n;
    h->removed = 0;
}

void akin__hashes_remove(akin__hashes *h, uint64_t num)
{
    pthread_mutex_lock(&h->lock);
    entry of = {.num = num};
    uint32_t at = *head_of(h, &of, BY_NUM);
    while (at) {
        entry *e = &h->entries[at - 1];
        if (e->num == num && !e->removed) {
            e->removed = true;
            h->removed++;
        }
        at = e->next[BY_NUM];
    }
    if (h->removed > FEW && h->removed > h->n / 4) enter_anew(h);
    pthread_mutex_unlock(&h->lock);
}

/* The least distance to the four orientations that keep rows rows. */
static uint32_t least_distance(const akin_picture_phash turned[4],
                               const akin_picture_phash *b)
{
    uint32_t least = UINT32_MAX;
    for (int i = 0; i < 4; i++) {
        uint32_t d = akin_picture_distance(&turned[i], b);
        if (d < least) least = d;
    }
    return least;
}

/* false: it is to end. */
static bool find_in(const akin__hashes *h, const akin_picture_phash turned[4],
                    unsigned p, uint32_t most, size_t *visits,
                    akin__hashes_each *each, void *user)
{
    const uint32_t *heads = h->heads + (size_t)p * VALUES;
    uint16_t part = part_of(&turned[0], p);
    for (size_t f = 0; f < sizeof h->flips / sizeof *h->flips; f++) {
        uint32_t at = heads[part ^ h->flips[f]];
        for (; at; at = h->entries[at - 1].next[p]) {
            const entry *e = &h->entries[at - 1];
            if (++*visits > MOST_VISITS) return false;
            if (e->removed) continue;
            uint32_t d = least_distance(turned, &e->hash);
            if (d <= most && !each(user, e->num, d)) return false;
        }
    }
    return true;
}

void akin__hashes_find(akin__hashes *h, const akin_picture_phash *hash,
                       uint32_t most, akin__hashes_each *each, void *user)
{
    size_t visits = 0;
    bool more = true;
    pthread_mutex_lock(&h->lock);
    for (uint32_t first = 1; first <= 5 && more; first += 4) {
        akin_picture_phash turned[4];
        for (uint32_t i = 0; i < 4; i++)
            turned[i] = akin_picture_turned(hash, first + i);
        for (unsigned p = 0; p < PARTS && more; p++)
            more = find_in(h, turned, p, most, &visits, each, user);
    }
    pthread_mutex_unlock(&h->lock);
}
