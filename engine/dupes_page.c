/* Pages of groups, and dismissing. A page walks the items that have edges in
 * the order of their numbers and takes, for each, everything that hangs together
 * with it; what hangs together with a lower number was on a page before. */
#include "dupes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_COUNT 20
#define MOST_TOGETHER 65536 /* items; beyond, a component is cut */
#define LOOK_MS       1000

static const char *const level_names[] = {"exact", "near", "similar"};

const char *akin_level_text(akin_level level)
{
    return level_names[level];
}

bool akin_level_parse(const char *text, akin_level *out)
{
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, level_names[i])) {
            *out = (akin_level)i;
            return true;
        }
    return false;
}

static void group_clear(akin_dupe_group *g)
{
    for (size_t i = 0; i < g->n; i++)
        akin_item_info_clear(&g->members[i].item);
    akin_free(g->members);
}

void akin_dupe_page_clear(akin_dupe_page *page)
{
    for (size_t i = 0; i < page->n; i++)
        group_clear(&page->groups[i]);
    akin_free(page->groups);
    memset(page, 0, sizeof *page);
}

/* ---- what hangs together ----------------------------------------------------------- */

typedef struct {
    uint64_t from;
    akin_dupe_edge edge;
} found_edge;

typedef struct {
    akin__collection *c;
    const akin_dupe_query *query;
    akin__keep *keep;
    akin_dupe_page *out;
    size_t capacity;
    akin_selector seen;
    /* of the component at hand */
    found_edge *edges; /* both ways, sorted by from */
    size_t nedges, edge_capacity;
    uint64_t *nums; /* sorted */
    size_t n, num_capacity;
    size_t *group, *centres;
    bool dismissals; /* there are some */
    akin__dupe_apart apart;
    akin_status rc; /* of a callback */
    akin_error *err;
} paging;

static bool take_edge(void *user, uint64_t from, const akin_dupe_edge *edge)
{
    paging *p = user;
    p->rc = akin_grow(&p->edges, &p->edge_capacity, p->nedges + 1,
                      sizeof *p->edges, p->err);
    if (p->rc) return false;
    p->edges[p->nedges++] = (found_edge){from, *edge};
    return true;
}

static int compare_edges(const void *a, const void *b)
{
    const found_edge *x = a, *y = b;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    return x->edge.num < y->edge.num ? -1 : x->edge.num > y->edge.num;
}

static size_t place_of(const paging *p, uint64_t num)
{
    const uint64_t *at =
        bsearch(&num, p->nums, p->n, sizeof num, akin__compare_nums);
    return at ? (size_t)(at - p->nums) : SIZE_MAX;
}

static akin_status load_component(paging *p, uint64_t num, akin_error *err)
{
    p->nedges = p->n = 0;
    p->rc = AKIN_OK;
    akin_status rc = akin_storage_dupe_component(
        p->c->engine->storage, p->c->num, num, (akin_dupe)p->query->level,
        MOST_TOGETHER, take_edge, p, err);
    if (!rc) rc = p->rc;
    if (rc || !p->nedges) return rc;
    qsort(p->edges, p->nedges, sizeof *p->edges, compare_edges);
    for (size_t i = 0; i < p->nedges && !rc; i++) {
        if (p->n && p->nums[p->n - 1] == p->edges[i].from) continue;
        rc = akin_grow(&p->nums, &p->num_capacity, p->n + 1, sizeof *p->nums,
                       err);
        if (rc) break;
        p->nums[p->n++] = p->edges[i].from;
        rc = akin_selector_set(&p->seen, p->edges[i].from, err);
    }
    return rc;
}

static bool take_pair(void *user, size_t a, size_t b)
{
    paging *p = user;
    p->rc = akin__dupes_tell_apart(&p->apart, a, b, p->err);
    return p->rc == AKIN_OK;
}

/* What was dismissed among the items of the component. */
static akin_status load_apart(paging *p, akin_error *err)
{
    p->apart.n = 0;
    p->rc = AKIN_OK;
    if (!p->dismissals) return AKIN_OK;
    akin_status rc = akin_storage_dismissed(p->c->engine->storage, p->c->num,
                                            p->nums, p->n, take_pair, p, err);
    return rc ? rc : p->rc;
}

/* What the hashes agree in, at least, and among equal ones the embeddings; a
 * little for a mere likeness. */
static uint32_t weight_of(const akin_dupe_edge *e)
{
    uint32_t cosine = e->cosine > 0 ? (uint32_t)(e->cosine * 1000) : 0;
    uint32_t bits =
        e->level == AKIN_DUPE_NEAR && e->distance < 255 ? 255 - e->distance : 1;
    return e->level == AKIN_DUPE_EXACT ? 256 << 10 : bits << 10 | cosine;
}

static akin_status form_groups(paging *p, size_t *ngroups, akin_error *err)
{
    akin__dupe_link *links = akin_calloc(p->nedges, sizeof *links);
    size_t nlinks = 0;
    p->group = akin_calloc(p->n, sizeof *p->group);
    p->centres = akin_calloc(p->n, sizeof *p->centres);
    if (!links || !p->group || !p->centres) {
        akin_free(links);
        return akin__nomem(err);
    }
    for (size_t i = 0; i < p->nedges; i++) {
        size_t a = place_of(p, p->edges[i].from);
        size_t b = place_of(p, p->edges[i].edge.num);
        if (b == SIZE_MAX) continue; /* beyond what was walked */
        links[nlinks++] = (akin__dupe_link){
            .a = a,
            .b = b,
            .weight = weight_of(&p->edges[i].edge),
            .exact = p->edges[i].edge.level == AKIN_DUPE_EXACT};
    }
    akin_status rc = load_apart(p, err);
    if (!rc) rc = akin__dupes_spread(&p->apart, links, &nlinks, err);
    if (!rc)
        rc = akin__dupes_group(p->n, links, nlinks,
                               p->apart.n ? akin__dupes_are_apart : NULL,
                               &p->apart, p->group, p->centres, ngroups, err);
    akin_free(links);
    return rc;
}

/* ---- members ------------------------------------------------------------------------ */

typedef struct {
    akin_dupe_group *group;
    bool failed;
} filling;

/* Items come in the order asked for; those that are gone are left out. */
static bool fill_member(void *user, size_t at, const akin_item *item)
{
    filling *f = user;
    akin_item_info *out = &f->group->members[at].item;
    if (!akin__copy_text(&out->id, item->id) ||
        !akin__copy_text(&out->attributes, item->attributes) ||
        !akin__copy_text(&out->path, item->source) ||
        !akin__copy_text(&out->format, item->format))
        f->failed = true;
    out->added_ms = item->created_ms;
    out->changed_ms = item->changed_ms;
    out->modified_ms = item->source_mtime_ns / 1000000;
    out->picture_bytes =
        item->source_size > 0 ? (uint64_t)item->source_size : 0;
    out->width = item->width;
    out->height = item->height;
    out->has_image = true;
    if (item->content_hash)
        akin_hex(item->content_hash, AKIN_HASH_BYTES, out->hash);
    return !f->failed;
}

/* The surest edge from an item to its group's centre, or else to another member
 * (an exact copy of the centre, or one that it is an exact copy of). */
static const akin_dupe_edge *best_edge(const paging *p, size_t at)
{
    const akin_dupe_edge *best = NULL;
    uint64_t centre = p->nums[p->centres[p->group[at]]];
    found_edge key = {.from = p->nums[at]};
    size_t low = 0, high = p->nedges;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_edges(&p->edges[middle], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < p->nedges && p->edges[low].from == key.from; low++) {
        const akin_dupe_edge *e = &p->edges[low].edge;
        size_t other = place_of(p, e->num);
        if (other == SIZE_MAX || p->group[other] != p->group[at]) continue;
        if (e->num == centre) return e;
        if (!best || e->level < best->level) best = e;
    }
    return best;
}

static void fill_evidence(akin_dupe_member *m, const akin_dupe_edge *e)
{
    m->distance = UINT32_MAX;
    m->similarity = m->cosine = NAN;
    m->turn = 1;
    if (!e) return;
    m->level = (akin_level)e->level;
    m->same_bytes = e->same_bytes;
    m->same_pixels = e->same_pixels;
    m->distance = e->distance;
    m->turn = e->turn;
    if (e->similarity > -1.5f) m->similarity = e->similarity;
    if (e->cosine > -1.5f) m->cosine = e->cosine;
}

/* Group g of the component, with its n members' places in `places`. */
static akin_status fill_group(paging *p, size_t g, const size_t *places,
                              size_t n, akin_dupe_group *out, akin_error *err)
{
    filling f = {.group = out};
    uint64_t *nums = akin_calloc(n, sizeof *nums);
    out->members = akin_calloc(n, sizeof *out->members);
    if (!nums || !out->members) {
        akin_free(nums);
        return akin__nomem(err);
    }
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        akin_dupe_member *m = &out->members[i];
        const akin_dupe_edge *e =
            places[i] == p->centres[g] ? NULL : best_edge(p, places[i]);
        nums[i] = p->nums[places[i]];
        fill_evidence(m, e);
        m->beside = i;
        for (size_t j = 0; j < n && e; j++)
            if (p->nums[places[j]] == e->num) m->beside = j;
        if (m->level > out->level) out->level = m->level;
    }
    akin_status rc = akin_storage_get_many(p->c->engine->storage, p->c->num,
                                           nums, n, 0, fill_member, &f, err);
    akin_free(nums);
    return rc ? rc : f.failed ? akin__nomem(err) : AKIN_OK;
}

static bool is_whole(const akin_dupe_group *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (!g->members[i].item.id) return false; /* removed just now */
    return g->n > 1;
}

static akin_status add_group(paging *p, size_t g, size_t *places,
                             akin_error *err)
{
    akin_dupe_group group = {0};
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->group[i] == g) places[n++] = i;
    akin_status rc = akin_grow(&p->out->groups, &p->capacity, p->out->n + 1,
                               sizeof *p->out->groups, err);
    if (!rc) rc = fill_group(p, g, places, n, &group, err);
    if (rc || !is_whole(&group)) {
        group_clear(&group);
        return rc;
    }
    akin__keep_choose(p->keep, &group);
    p->out->groups[p->out->n++] = group;
    return AKIN_OK;
}

static akin_status add_component(paging *p, akin_error *err)
{
    size_t ngroups = 0;
    size_t *places = akin_calloc(p->n, sizeof *places);
    akin_status rc = places ? form_groups(p, &ngroups, err) : akin__nomem(err);
    for (size_t g = 0; g < ngroups && !rc; g++)
        rc = add_group(p, g, places, err);
    akin_free(places);
    akin_free(p->group);
    akin_free(p->centres);
    p->group = p->centres = NULL;
    return rc;
}

/* ---- pages -------------------------------------------------------------------------- */

static akin_status fill_page(paging *p, akin_error *err)
{
    akin_storage *storage = p->c->engine->storage;
    size_t count = p->query->count ? p->query->count : DEFAULT_COUNT;
    uint64_t at = p->query->cursor;
    akin_status rc = akin_selector_init(&p->seen, 0, err);

    while (!rc) {
        uint64_t next;
        rc = akin_storage_dupe_next(storage, p->c->num, at,
                                    (akin_dupe)p->query->level, &next, err);
        if (rc || !next) break;
        if (p->out->n >= count) {
            p->out->cursor = at;
            break;
        }
        at = next;
        if (akin_selector_has(&p->seen, at)) continue;
        rc = load_component(p, at, err);
        if (!rc && p->n && p->nums[0] == at) rc = add_component(p, err);
    }
    akin_selector_clear(&p->seen);
    akin_free(p->edges);
    akin_free(p->nums);
    akin_free(p->apart.pairs);
    return rc;
}

akin_status akin_engine_dupes(akin_engine *engine, const char *collection,
                              const akin_dupe_query *query, akin_dupe_page *out,
                              akin_error *err)
{
    akin__collection *c;
    paging p = {.query = query, .out = out, .err = err};
    uint64_t dismissals = 0;

    memset(out, 0, sizeof *out);
    if ((unsigned)query->level > AKIN_LEVEL_SIMILAR ||
        query->count > AKIN_DUPES_MAX)
        return akin_fail(err, AKIN_INVALID,
                         "no such level, or more than %d groups at once",
                         AKIN_DUPES_MAX);
    akin_status rc = akin__keep_open(query, &p.keep, err);
    if (!rc) rc = akin__collection_find(engine, collection, &c, err);
    if (rc) {
        akin__keep_close(p.keep);
        return rc;
    }
    p.c = c;
    if (!engine->read_only)
        rc = akin__dupes_look(c, 0, LOOK_MS, true, &out->pending, err);
    if (!rc)
        rc = akin_storage_dismissals(engine->storage, c->num, &dismissals, err);
    p.dismissals = dismissals > 0;
    if (!rc) rc = fill_page(&p, err);
    akin__collection_release(c);
    akin__keep_close(p.keep);
    if (rc) akin_dupe_page_clear(out);
    return rc;
}

/* ---- dismissing ---------------------------------------------------------------------- */

akin_status akin_engine_dismiss(akin_engine *engine, const char *collection,
                                const akin_span *ids, size_t n, bool undo,
                                akin_error *err)
{
    akin__collection *c;
    akin_status rc = akin__writable(engine, err);
    if (!rc && (n < 2 || n > AKIN_DUPES_MAX))
        rc = akin_fail(err, AKIN_INVALID, "expected 2 to %d ids, got %zu",
                       AKIN_DUPES_MAX, n);
    for (size_t i = 0; i < n && !rc; i++)
        rc = akin__check_id(ids[i], err);
    if (!rc) rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    akin_write *ops = akin_calloc(n, sizeof *ops);
    if (!ops) rc = akin__nomem(err);
    for (size_t i = 1; i < n && !rc; i++) {
        for (size_t j = 0; j < i; j++)
            ops[j] = (akin_write){.kind = AKIN_WRITE_DISMISS,
                                  .collection = c->num,
                                  .pair = {ids[i], ids[j]},
                                  .undo = undo};
        rc = akin_storage_write(engine->storage, ops, i, NULL, err);
    }
    akin_free(ops);
    akin__collection_release(c);
    return rc;
}
