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
 * 56 bytes an entry and 1 MiB for the tables. A question visits about 16 entries
 * of every 1000; a visit that finds the full hash too far costs some 20 ns. A
 * library in which all pictures look alike puts them into few lists, so a
 * question ends after MOST_VISITS. */
#include "dupes.h"

#include <string.h>

#define PARTS       4
#define VALUES      65536
#define MOST_VISITS 400000

typedef struct {
    uint64_t num;
    akin_picture_phash hash;
    uint32_t next[PARTS]; /* entry + 1; 0: the end */
} entry;

struct akin__hashes {
    entry *entries;
    size_t n, capacity;
    uint32_t *heads;     /* (PARTS, VALUES) entry + 1 */
    uint16_t flips[137]; /* the masks of at most 2 of 16 bits */
};

akin_status akin__hashes_open(akin__hashes **out, akin_error *err)
{
    akin__hashes *h = akin_calloc(1, sizeof *h);
    size_t n = 1; /* flips[0]: nothing */
    if (h) h->heads = akin_calloc((size_t)PARTS * VALUES, sizeof *h->heads);
    if (!h || !h->heads) {
        akin_free(h);
        return akin__nomem(err);
    }
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
    akin_free(h->entries);
    akin_free(h->heads);
    akin_free(h);
}

size_t akin__hashes_size(const akin__hashes *h)
{
    return h->n;
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

static bool has_entry(const akin__hashes *h, uint64_t num,
                      const akin_picture_phash *hash)
{
    uint32_t at = h->heads[part_of(hash, 0)];
    for (size_t visits = 0; at && visits < 1000; visits++) {
        const entry *e = &h->entries[at - 1];
        if (e->num == num && !memcmp(&e->hash, hash, sizeof *hash)) return true;
        at = e->next[0];
    }
    return false;
}

akin_status akin__hashes_add(akin__hashes *h, uint64_t num,
                             const akin_picture_phash *hash, akin_error *err)
{
    if (has_entry(h, num, hash)) return AKIN_OK;
    if (h->n >= UINT32_MAX - 1)
        return akin_fail(err, AKIN_TOO_LARGE, "too many perceptual hashes");
    akin_status rc =
        akin_grow(&h->entries, &h->capacity, h->n + 1, sizeof *h->entries, err);
    if (rc) return rc;
    entry *e = &h->entries[h->n++];
    e->num = num;
    e->hash = *hash;
    for (unsigned p = 0; p < PARTS; p++) {
        uint32_t *head = &h->heads[(size_t)p * VALUES + part_of(hash, p)];
        e->next[p] = *head;
        *head = (uint32_t)h->n;
    }
    return AKIN_OK;
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

void akin__hashes_find(const akin__hashes *h, const akin_picture_phash *hash,
                       uint32_t most, akin__hashes_each *each, void *user)
{
    size_t visits = 0;
    for (uint32_t first = 1; first <= 5; first += 4) {
        akin_picture_phash turned[4];
        for (uint32_t i = 0; i < 4; i++)
            turned[i] = akin_picture_turned(hash, first + i);
        for (unsigned p = 0; p < PARTS; p++) {
            const uint32_t *heads = h->heads + (size_t)p * VALUES;
            uint16_t part = part_of(&turned[0], p);
            for (size_t f = 0; f < sizeof h->flips / sizeof *h->flips; f++) {
                uint32_t at = heads[part ^ h->flips[f]];
                for (; at; at = h->entries[at - 1].next[p]) {
                    const entry *e = &h->entries[at - 1];
                    uint32_t d = least_distance(turned, &e->hash);
                    if (++visits > MOST_VISITS) return;
                    if (d <= most && !each(user, e->num, d)) return;
                }
            }
        }
    }
}
