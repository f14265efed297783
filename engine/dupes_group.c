/* Groups of duplicates from links between pairs; the rule is in dupes.h. */
#include "dupes.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    size_t a, b;
    uint32_t weight; /* of several between two nodes the largest */
} node_link;

typedef struct {
    size_t root;
    uint64_t weight;
} ranked;

typedef struct {
    size_t n;
    size_t *root;     /* (n) lowest item that is identical to it */
    node_link *links; /* between roots, both ways, sorted, each once */
    size_t nlinks;
    size_t *first; /* (n + 1) links of root i: first[i] .. first[i + 1] */
    size_t *next;  /* (n) next item with the same root, SIZE_MAX: none */
    ranked *order; /* roots, best centre first */
} graph;

static size_t find_root(size_t *root, size_t i)
{
    while (root[i] != i) {
        root[i] = root[root[i]];
        i = root[i];
    }
    return i;
}

static int compare_links(const void *a, const void *b)
{
    const node_link *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    if (x->b != y->b) return x->b < y->b ? -1 : 1;
    return x->weight > y->weight ? -1 : x->weight < y->weight;
}

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->weight != y->weight) return x->weight > y->weight ? -1 : 1;
    return x->root < y->root ? -1 : x->root > y->root;
}

static void join_exact(graph *g, const akin__dupe_link *links, size_t n)
{
    for (size_t i = 0; i < g->n; i++)
        g->root[i] = i;
    for (size_t i = 0; i < n; i++) {
        if (!links[i].exact) continue;
        size_t a = find_root(g->root, links[i].a);
        size_t b = find_root(g->root, links[i].b);
        g->root[a > b ? a : b] = a < b ? a : b;
    }
    for (size_t i = 0; i < g->n; i++) {
        g->root[i] = find_root(g->root, i);
        g->next[i] = SIZE_MAX;
    }
    for (size_t i = g->n; i-- > 0;) { /* behind its root, ascending */
        size_t r = g->root[i];
        if (r == i) continue;
        g->next[i] = g->next[r];
        g->next[r] = i;
    }
}

static void load_links(graph *g, const akin__dupe_link *links, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        size_t a = g->root[links[i].a], b = g->root[links[i].b];
        if (a == b) continue;
        g->links[g->nlinks++] = (node_link){a, b, links[i].weight};
        g->links[g->nlinks++] = (node_link){b, a, links[i].weight};
    }
    qsort(g->links, g->nlinks, sizeof *g->links, compare_links);
    for (size_t i = 0; i < g->nlinks; i++)
        if (!kept || g->links[kept - 1].a != g->links[i].a ||
            g->links[kept - 1].b != g->links[i].b)
            g->links[kept++] = g->links[i];
    g->nlinks = kept;
    for (size_t i = 0, at = 0; i <= g->n; i++) {
        while (at < kept && g->links[at].a < i)
            at++;
        g->first[i] = at;
    }
}

/* Gives their number. */
static size_t order_roots(graph *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        if (g->root[i] != i) continue;
        g->order[n] = (ranked){.root = i};
        for (size_t l = g->first[i]; l < g->first[i + 1]; l++)
            g->order[n].weight += g->links[l].weight;
        n++;
    }
    qsort(g->order, n, sizeof *g->order, compare_ranked);
    return n;
}

/* Whether no two items of the nodes a and b are forbidden to be together. */
static bool may_meet(const graph *g, size_t a, size_t b,
                     akin__dupe_forbidden *forbidden, void *user)
{
    for (size_t i = a; i != SIZE_MAX; i = g->next[i])
        for (size_t j = b; j != SIZE_MAX; j = g->next[j])
            if (forbidden(user, i, j)) return false;
    return true;
}

/* Gives the node `centre` and its free neighbours a group. */
static void take_group(const graph *g, size_t centre,
                       akin__dupe_forbidden *forbidden, void *user,
                       size_t *members, size_t *group, size_t *centres,
                       size_t *ngroups)
{
    size_t n = 0;
    members[n++] = centre;
    for (size_t l = g->first[centre]; l < g->first[centre + 1]; l++) {
        size_t node = g->links[l].b;
        bool fits = group[node] == SIZE_MAX;
        for (size_t m = 0; m < n && fits && forbidden; m++)
            fits = may_meet(g, members[m], node, forbidden, user);
        if (fits) members[n++] = node;
    }
    if (n == 1 && g->next[centre] == SIZE_MAX) return;
    for (size_t m = 0; m < n; m++)
        for (size_t i = members[m]; i != SIZE_MAX; i = g->next[i])
            group[i] = *ngroups;
    centres[(*ngroups)++] = centre;
}

akin_status akin__dupes_group(size_t n, const akin__dupe_link *links,
                              size_t nlinks, akin__dupe_forbidden *forbidden,
                              void *user, size_t *group, size_t *centres,
                              size_t *ngroups, akin_error *err)
{
    graph g = {.n = n};
    size_t nodes = 0;
    size_t *members = akin_calloc(n, sizeof *members);
    g.root = akin_calloc(n, sizeof *g.root);
    g.next = akin_calloc(n, sizeof *g.next);
    g.order = akin_calloc(n, sizeof *g.order);
    g.first = akin_calloc(n + 1, sizeof *g.first);
    g.links = akin_calloc(nlinks, 2 * sizeof *g.links);
    bool room = members && g.root && g.next && g.order && g.first && g.links;
    akin_status rc = room ? AKIN_OK : akin__nomem(err);

    *ngroups = 0;
    if (!rc) {
        join_exact(&g, links, nlinks);
        load_links(&g, links, nlinks);
        nodes = order_roots(&g);
    }
    for (size_t i = 0; i < n && !rc; i++)
        group[i] = SIZE_MAX;
    for (size_t i = 0; i < nodes && !rc; i++)
        if (group[g.order[i].root] == SIZE_MAX)
            take_group(&g, g.order[i].root, forbidden, user, members, group,
                       centres, ngroups);
    akin_free(members);
    akin_free(g.root);
    akin_free(g.next);
    akin_free(g.order);
    akin_free(g.first);
    akin_free(g.links);
    return rc;
}
