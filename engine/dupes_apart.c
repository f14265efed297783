/* Pairs that a person told apart, and what follows for their neighbours; the
 * rule is in dupes.h. */
#include "dupes.h"

#include <stdlib.h>

typedef struct {
    akin__dupe_link *links; /* sorted by a, then b */
    size_t n;
    bool *dropped; /* (n) */
    akin__dupe_apart *apart;
    akin_error *err;
} spreading;

static int compare_links(const void *a, const void *b)
{
    const akin__dupe_link *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return x->b < y->b ? -1 : x->b > y->b;
}

static int compare_pairs(const void *a, const void *b)
{
    const akin__dupe_pair *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return x->b < y->b ? -1 : x->b > y->b;
}

/* The first link that is not before (a, b). */
static size_t lower(const spreading *s, size_t a, size_t b)
{
    akin__dupe_link key = {.a = a, .b = b};
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_links(&s->links[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* SIZE_MAX: none, or no longer. */
static size_t find(const spreading *s, size_t a, size_t b)
{
    size_t at = lower(s, a, b);
    return at < s->n && s->links[at].a == a && s->links[at].b == b &&
                   !s->dropped[at]
               ? at
               : SIZE_MAX;
}

akin_status akin__dupes_tell_apart(akin__dupe_apart *apart, size_t a, size_t b,
                                   akin_error *err)
{
    akin_status rc = akin_grow(&apart->pairs, &apart->capacity, apart->n + 1,
                               sizeof *apart->pairs, err);
    if (rc) return rc;
    apart->pairs[apart->n++] =
        a < b ? (akin__dupe_pair){a, b} : (akin__dupe_pair){b, a};
    return AKIN_OK;
}

/* z and y were told apart: so is y from what is at least as close to z. */
static akin_status spread(spreading *s, size_t z, size_t y)
{
    akin_status rc = AKIN_OK;
    for (size_t l = lower(s, z, 0); l < s->n && s->links[l].a == z && !rc;
         l++) {
        size_t x = s->links[l].b;
        if (s->dropped[l] || x == y) continue;
        size_t other = find(s, x, y), back = find(s, y, x);
        if (other == SIZE_MAX || s->links[other].weight > s->links[l].weight)
            continue;
        s->dropped[other] = true;
        if (back != SIZE_MAX) s->dropped[back] = true;
        rc = akin__dupes_tell_apart(s->apart, x, y, s->err);
    }
    return rc;
}

akin_status akin__dupes_spread(akin__dupe_apart *apart, akin__dupe_link *links,
                               size_t *nlinks, akin_error *err)
{
    spreading s = {.links = links, .n = *nlinks, .apart = apart, .err = err};
    akin_status rc = AKIN_OK;
    size_t kept = 0;

    if (!apart->n) return AKIN_OK;
    s.dropped = akin_calloc(s.n + 1, sizeof *s.dropped);
    if (!s.dropped) return akin__nomem(err);
    qsort(links, s.n, sizeof *links, compare_links);
    qsort(apart->pairs, apart->n, sizeof *apart->pairs, compare_pairs);
    for (size_t i = 0; i < apart->n && !rc; i++) { /* pairs grows */
        akin__dupe_pair pair = apart->pairs[i];
        size_t there = find(&s, pair.a, pair.b);
        if (there != SIZE_MAX) s.dropped[there] = true;
        there = find(&s, pair.b, pair.a);
        if (there != SIZE_MAX) s.dropped[there] = true;
        rc = spread(&s, pair.a, pair.b);
        if (!rc) rc = spread(&s, pair.b, pair.a);
    }
    for (size_t i = 0; i < s.n; i++)
        if (!s.dropped[i]) links[kept++] = links[i];
    *nlinks = kept;
    qsort(apart->pairs, apart->n, sizeof *apart->pairs, compare_pairs);
    akin_free(s.dropped);
    return rc;
}

bool akin__dupes_are_apart(void *user, size_t a, size_t b)
{
    const akin__dupe_apart *apart = user;
    akin__dupe_pair key = {a < b ? a : b, a < b ? b : a};
    return apart->n &&
           bsearch(&key, apart->pairs, apart->n, sizeof key, compare_pairs);
}
