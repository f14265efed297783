/* Looking for duplicates of what is new. An item comes off storage's queue;
 * candidates are items with the same bytes or pixels, with a perceptual hash
 * nearby in any orientation, and with an embedding nearby; each is compared, and
 * what is evidence becomes an edge. So an item is looked at once, when it comes,
 * against an index of those before it, and no query ever scans.
 *
 * Locks: dupes.lock is held by the one who looks. It is taken before anything
 * else of the collection, that of the table of hashes after everything. */
#include "dupes.h"

#include <string.h>

#define BATCH      64 /* looks in one transaction */
#define NEIGHBOURS 24 /* by embedding */
/* Where the space has lists: what is this close (CROP_COSINE) lies in the same
 * list or in one beside it, however many neighbours there are further off, so the
 * effort does not follow the space's recall, which counts those. */
#define LISTS      8
#define RESCORED   (4 * (NEIGHBOURS + 1)) /* rescored exactly */
#define EXACT_MOST 4 /* items with the same bytes, with the same pixels */
/* Candidates with the same bytes, pixels, or a hash nearby: comparing one in all
 * turns takes milliseconds, and of hundreds of near-identical pictures (stars
 * among the drawings) each is joined to the others through any of them. */
#define HASH_MOST 16
#define MOST      (HASH_MOST + NEIGHBOURS) /* candidates of one item */

/* When a pair is near-identical. Measured by bench/dedup on 240 photographs of
 * clothing and 760 changed copies: 99 % of the copies found by hash are within
 * 41 bits, no two different photographs within 60; copies found by embedding
 * (crops, mostly) have a similarity of at least 0.86 and a cosine of at least
 * 0.96 with their original, while different photographs reach 0.83 and 0.87, or
 * 0.87 and 0.94 when both have a frame (or a plain background, which looks like
 * one): a frame of one kind is much of a picture.
 *
 * Drawings are another matter: of 2,887, 2,200 pairs pass by these limits, flags
 * and playing cards most of all. So where much of a picture is even (in 95 % of
 * drawings, in 7 % of those photographs), it is the colours of the thumbnails that
 * decide; 270 pairs are left, nearly all of them one drawing in another colour or
 * another turn. */
#define CLOSE_DISTANCE   8  /* where 16 are that close others need not be */
#define SURE_DISTANCE    24 /* needs no second opinion */
#define HASH_DISTANCE    AKIN_PICTURE_NEAR_DISTANCE
#define HASH_SIMILARITY  0.60f /* that pictures with near hashes must have */
#define HASH_COSINE      0.60f /* the same, unless one of them was turned */
#define CROP_SIMILARITY  AKIN_PICTURE_NEAR_SIMILARITY /* of others */
#define CROP_COSINE      0.92f
#define FRAME_SIMILARITY 0.89f /* of others when both have a frame */
#define FRAME_COSINE     0.96f
#define SIMILAR_COSINE   0.97f
#define EVEN             0.15f
#define EVEN_SIMILARITY  0.60f /* of others that are even */

typedef struct {
    uint64_t num;
    float cosine;      /* -2: not known */
    uint32_t distance; /* of hash */
    bool bytes, pixels, hash;
} candidate;

/* One item being looked at. */
typedef struct {
    akin__collection *c;
    akin__view *view;
    akin__dupes *dupes;
    akin_item item;
    akin_picture_hashes hashes;
    bool has_hashes, has_sketch, new_sketch;
    akin_picture_colours *colours; /* NULL: not needed yet */
    bool no_colours;               /* there is no thumbnail */
    float *vector;                 /* (dim); NULL: none */
    candidate found[MOST];
    size_t n;
    akin_dupe_edge edges[MOST];
    uint8_t content[1 + MOST][AKIN_HASH_BYTES]; /* 0: its own */
    size_t nedges;
} look;

void akin__dupes_close(akin__dupes *dupes)
{
    if (!dupes) return;
    akin__hashes_close(dupes->hashes);
    pthread_mutex_destroy(&dupes->lock);
    akin_free(dupes);
}

static akin_status get_dupes(akin__collection *c, akin__dupes **out,
                             akin_error *err)
{
    akin_status rc = AKIN_OK;
    pthread_mutex_lock(&c->lock);
    if (!c->dupes) {
        c->dupes = akin_calloc(1, sizeof *c->dupes);
        if (c->dupes)
            pthread_mutex_init(&c->dupes->lock, NULL);
        else
            rc = akin__nomem(err);
    }
    *out = c->dupes;
    pthread_mutex_unlock(&c->lock);
    return rc;
}

/* ---- hashes as they are stored ------------------------------------------------- */

static bool read_phashes(const uint64_t *words, uint32_t n,
                         akin_picture_hashes *out)
{
    if (n != AKIN__PHASHES) return false;
    memcpy(out->whole.word, words, sizeof out->whole.word);
    memcpy(out->trimmed.word, words + 4, sizeof out->trimmed.word);
    out->detail = (uint8_t)words[8];
    return true;
}

/* A blank page has no hash to speak of. */
static akin_status index_hashes(akin__hashes *hashes, uint64_t num,
                                const akin_picture_hashes *h, akin_error *err)
{
    if (h->detail < AKIN_PICTURE_MIN_DETAIL) return AKIN_OK;
    akin_status rc = akin__hashes_add(hashes, num, &h->whole, err);
    if (!rc && memcmp(&h->whole, &h->trimmed, sizeof h->whole))
        rc = akin__hashes_add(hashes, num, &h->trimmed, err);
    return rc;
}

typedef struct {
    akin__hashes *hashes;
    akin_status rc;
    akin_error *err;
} loading;

static bool load_one(void *user, uint64_t num, const uint64_t *words,
                     uint32_t n)
{
    loading *l = user;
    akin_picture_hashes h;
    if (read_phashes(words, n, &h))
        l->rc = index_hashes(l->hashes, num, &h, l->err);
    return l->rc == AKIN_OK;
}

static akin_status load_hashes(akin__collection *c, akin__dupes *d,
                               akin_error *err)
{
    loading l = {.err = err};
    if (d->hashes) return AKIN_OK;
    akin_status rc = akin__hashes_open(&l.hashes, err);
    if (!rc)
        rc =
            akin_storage_phashes(c->engine->storage, c->num, load_one, &l, err);
    if (!rc) rc = l.rc;
    if (rc) {
        akin__hashes_close(l.hashes);
        return rc;
    }
    pthread_mutex_lock(&c->lock);
    d->hashes = l.hashes;
    pthread_mutex_unlock(&c->lock);
    return AKIN_OK;
}

void akin__dupes_forget(akin__collection *c, uint64_t num)
{
    pthread_mutex_lock(&c->lock);
    akin__hashes *hashes = c->dupes ? c->dupes->hashes : NULL;
    pthread_mutex_unlock(&c->lock);
    if (hashes) akin__hashes_remove(hashes, num);
}

static bool read_thumb(akin_storage *storage, uint64_t num, akin_picture *out)
{
    uint8_t *jpeg = NULL;
    size_t size;
    akin_status rc = akin_storage_thumb(storage, num, &jpeg, &size, NULL);

    if (!rc) rc = akin_picture_decode((akin_span){jpeg, size}, NULL, out, NULL);
    akin_free(jpeg);
    return !rc;
}

/* The stored sketch; items of before there were sketches have it made from
 * their thumbnail. */
static bool read_sketch(akin_storage *storage, uint64_t num, uint8_t *out,
                        bool *made)
{
    akin_picture picture = {0};
    akin_picture_hashes hashes;

    if (made) *made = false;
    if (!akin_storage_sketch(storage, num, out, NULL)) return true;
    bool done = read_thumb(storage, num, &picture) &&
                !akin_picture_hash(&picture, &hashes, NULL);
    if (done) memcpy(out, hashes.sketch, sizeof hashes.sketch);
    if (made) *made = done;
    akin_picture_clear(&picture);
    return done;
}

static bool read_colours(akin_storage *storage, uint64_t num,
                         akin_picture_colours *out)
{
    akin_picture picture = {0};
    bool done = read_thumb(storage, num, &picture) &&
                !akin_picture_get_colours(&picture, out, NULL);
    akin_picture_clear(&picture);
    return done;
}

/* ---- candidates ------------------------------------------------------------------ */

static candidate *add_candidate(look *l, uint64_t num)
{
    if (num == l->item.num) return NULL;
    for (size_t i = 0; i < l->n; i++)
        if (l->found[i].num == num) return &l->found[i];
    if (l->n == MOST) return NULL;
    l->found[l->n] = (candidate){.num = num, .cosine = -2};
    return &l->found[l->n++];
}

typedef struct {
    look *look;
    bool pixels;
    int n;
} same;

static bool add_same(void *user, uint64_t num, akin_span id)
{
    same *s = user;
    candidate *found = add_candidate(s->look, num);
    (void)id;
    if (found && s->pixels) found->pixels = true;
    if (found && !s->pixels) found->bytes = true;
    s->n += found != NULL;
    return s->n < EXACT_MOST;
}

static akin_status find_exact(look *l, akin_error *err)
{
    akin_storage *storage = l->c->engine->storage;
    same s = {.look = l};
    akin_status rc =
        akin_storage_by_hash(storage, l->c->num, AKIN_BY_CONTENT,
                             l->item.content_hash, add_same, &s, err);
    s = (same){.look = l, .pixels = true};
    if (!rc && l->item.pixel_hash)
        rc = akin_storage_by_hash(storage, l->c->num, AKIN_BY_PIXELS,
                                  l->item.pixel_hash, add_same, &s, err);
    return rc;
}

/* An older item with the same bytes: it is joined to all that this one would
 * be. */
static bool has_older_copy(const look *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->found[i].bytes && l->found[i].num < l->item.num) return true;
    return false;
}

/* When there are too many the closest stay, and it ends when all are close. */
static bool add_near(void *user, uint64_t num, uint32_t distance)
{
    look *l = user;
    candidate *far = NULL, *found = NULL;
    for (size_t i = 0; i < l->n; i++) {
        candidate *c = &l->found[i];
        if (c->num == num) found = c;
        if (c->hash && !c->bytes && !c->pixels &&
            (!far || c->distance > far->distance))
            far = c;
    }
    if (!found && l->n < HASH_MOST) found = add_candidate(l, num);
    if (!found && num != l->item.num && far && far->distance > distance) {
        found = far;
        *found = (candidate){.num = num, .cosine = -2};
    }
    if (found && (!found->hash || distance < found->distance))
        found->distance = distance;
    if (found) found->hash = true;
    return l->n < HASH_MOST || !far || far->distance > CLOSE_DISTANCE;
}

static void find_by_hash(look *l)
{
    const akin_picture_hashes *h = &l->hashes;
    if (!l->has_hashes || h->detail < AKIN_PICTURE_MIN_DETAIL) return;
    akin__hashes_find(l->dupes->hashes, &h->whole, HASH_DISTANCE, add_near, l);
    if (memcmp(&h->whole, &h->trimmed, sizeof h->whole))
        akin__hashes_find(l->dupes->hashes, &h->trimmed, HASH_DISTANCE,
                          add_near, l);
}

static akin_status find_by_embedding(look *l, akin_error *err)
{
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    akin_hit hits[NEIGHBOURS + 1];
    uint32_t n = 0;
    if (!l->vector) return AKIN_OK;
    params.k = NEIGHBOURS + 1;
    params.nprobe = LISTS;
    params.candidates = RESCORED;
    params.min_cosine =
        CROP_COSINE < SIMILAR_COSINE ? CROP_COSINE : SIMILAR_COSINE;
    akin_status rc =
        akin_index_search(l->view->index[AKIN_SPACE_IMAGE], l->vector, 1,
                          &params, hits, &n, NULL, err);
    for (uint32_t i = 0; i < n && !rc; i++) {
        candidate *found = add_candidate(l, hits[i].label);
        if (found) found->cosine = hits[i].cosine;
    }
    return rc;
}

static akin_status fill_cosines(look *l, akin_error *err)
{
    uint64_t nums[MOST];
    float cosines[MOST];
    if (!l->vector || !l->n) return AKIN_OK;
    for (size_t i = 0; i < l->n; i++)
        nums[i] = l->found[i].num;
    akin_status rc = akin_index_cosines(l->view->index[AKIN_SPACE_IMAGE],
                                        l->vector, nums, l->n, cosines, err);
    for (size_t i = 0; i < l->n && !rc; i++)
        if (cosines[i] >= -1.5f) l->found[i].cosine = cosines[i]; /* not NaN */
    return rc;
}

/* ---- comparing ------------------------------------------------------------------- */

static bool same_shape(const akin_item *a, const akin_item *b)
{
    return (a->width == b->width && a->height == b->height) ||
           (a->width == b->height && a->height == b->width);
}

/* Nothing to see: a blank page, or a drawing that draws nothing here. Its pixels
 * say nothing about what is in the file. */
static bool is_blank(const look *l)
{
    return l->has_hashes && l->hashes.detail < AKIN_PICTURE_MIN_DETAIL;
}

static bool has_frame(const akin_picture_hashes *h)
{
    return memcmp(&h->whole, &h->trimmed, sizeof h->whole) != 0;
}

static bool is_near(const akin_dupe_edge *e, bool both_framed)
{
    bool turned = e->turn != 1, no_cosine = e->cosine < -1.5f;
    if (e->distance <= SURE_DISTANCE) return true;
    if (e->distance <= HASH_DISTANCE)
        return e->similarity >= HASH_SIMILARITY &&
               (turned || no_cosine || e->cosine >= HASH_COSINE);
    return e->similarity >=
               (both_framed ? FRAME_SIMILARITY : CROP_SIMILARITY) &&
           e->cosine >= (both_framed ? FRAME_COSINE : CROP_COSINE);
}

/* Whether the colours agree; `instead` when there are no thumbnails. */
static bool same_colours(look *l, uint64_t num, uint32_t turn, bool instead)
{
    akin_storage *storage = l->c->engine->storage;
    akin_picture_colours other;

    if (!l->colours && !l->no_colours) {
        l->colours = akin_alloc(sizeof *l->colours);
        l->no_colours =
            !l->colours || !read_colours(storage, l->item.num, l->colours);
    }
    if (l->no_colours || !read_colours(storage, num, &other)) return instead;
    return akin_picture_colour_difference(l->colours, &other, turn) <=
           AKIN_PICTURE_COLOUR_LIMIT;
}

/* Compares the pictures of a candidate that is not identical; whether they are
 * near-identical. */
static bool compare(look *l, const candidate *found, const akin_item *other,
                    akin_dupe_edge *edge)
{
    akin_picture_hashes hashes;
    akin_picture_match match;

    if (!l->has_hashes || !l->has_sketch ||
        !read_phashes(other->phashes, other->phash_count, &hashes) ||
        l->hashes.detail < AKIN_PICTURE_MIN_DETAIL ||
        hashes.detail < AKIN_PICTURE_MIN_DETAIL ||
        !read_sketch(l->c->engine->storage, other->num, hashes.sketch, NULL))
        return false;
    akin_picture_compare(&l->hashes, &hashes, found->hash, &match);
    edge->distance = match.distance;
    edge->similarity = match.similarity;
    edge->turn = match.orientation;
    bool near = is_near(edge, has_frame(&l->hashes) && has_frame(&hashes));
    if (akin_picture_evenness(&l->hashes) <= EVEN &&
        akin_picture_evenness(&hashes) <= EVEN)
        return near;
    if (edge->distance > HASH_DISTANCE &&
        (edge->similarity < EVEN_SIMILARITY || edge->cosine < CROP_COSINE))
        return false;
    return same_colours(l, found->num, edge->turn, near);
}

static bool judge(void *user, size_t at, const akin_item *other)
{
    look *l = user;
    const candidate *found = &l->found[at];
    akin_dupe_edge *e = &l->edges[l->nedges];
    uint8_t *content = l->content[1 + l->nedges];

    if (!other->content_hash) return true;
    memcpy(content, other->content_hash, AKIN_HASH_BYTES);
    *e = (akin_dupe_edge){.num = found->num,
                          .distance = UINT32_MAX,
                          .similarity = -2,
                          .cosine = found->cosine,
                          .turn = 1,
                          .content_hash = content};
    e->same_bytes = found->bytes;
    e->same_pixels =
        found->pixels && same_shape(&l->item, other) && !is_blank(l);
    if (e->same_bytes || e->same_pixels)
        e->level = AKIN_DUPE_EXACT;
    else if (compare(l, found, other, e))
        e->level = AKIN_DUPE_NEAR;
    else if (e->cosine >= SIMILAR_COSINE)
        e->level = AKIN_DUPE_SIMILAR;
    else
        return true;
    l->nedges++;
    return true;
}

/* get_many gives positions in nums, which are those of found. */
static akin_status judge_all(look *l, akin_error *err)
{
    uint64_t nums[MOST];
    for (size_t i = 0; i < l->n; i++)
        nums[i] = l->found[i].num;
    return akin_storage_get_many(l->c->engine->storage, l->c->num, nums, l->n,
                                 0, judge, l, err);
}

/* ---- one item -------------------------------------------------------------------- */

static akin_status load_item(look *l, uint64_t num, akin_error *err)
{
    akin_storage *storage = l->c->engine->storage;
    akin_status rc = akin_storage_get_num(storage, l->c->num, num,
                                          AKIN_WITH_VECTORS, &l->item, err);
    if (rc) return rc;
    const akin_vector *v = &l->item.vectors[AKIN_SPACE_IMAGE];
    if (v->data && v->dim == l->view->dim) {
        l->vector = akin_alloc(v->dim * sizeof *l->vector);
        if (!l->vector) return akin__nomem(err);
        akin_float_from_half(l->vector, v->data, v->dim);
    }
    if (l->item.content_hash)
        memcpy(l->content[0], l->item.content_hash, AKIN_HASH_BYTES);
    l->has_hashes =
        read_phashes(l->item.phashes, l->item.phash_count, &l->hashes);
    l->has_sketch = l->has_hashes &&
                    read_sketch(storage, num, l->hashes.sketch, &l->new_sketch);
    return AKIN_OK;
}

static akin_status find_all(look *l, akin_error *err)
{
    akin_status rc = find_exact(l, err);
    if (!rc && !has_older_copy(l)) {
        find_by_hash(l);
        rc = find_by_embedding(l, err);
    }
    if (!rc) rc = fill_cosines(l, err);
    if (!rc) rc = judge_all(l, err);
    if (!rc && l->has_hashes)
        rc = index_hashes(l->dupes->hashes, l->item.num, &l->hashes, err);
    return rc;
}

static void look_clear(look *l)
{
    akin_item_clear(&l->item);
    akin_free(l->colours);
    akin_free(l->vector);
    akin_free(l);
}

/* *out NULL: the item is gone. */
static akin_status look_at(akin__collection *c, akin__view *view,
                           akin__dupes *d, uint64_t num, look **out,
                           akin_error *err)
{
    look *l = akin_calloc(1, sizeof *l);
    *out = NULL;
    if (!l) return akin__nomem(err);
    l->c = c;
    l->view = view;
    l->dupes = d;
    akin__hashes_remove(d->hashes, num); /* those of an earlier picture */
    akin_status rc = load_item(l, num, err);
    if (!rc && l->item.content_hash) rc = find_all(l, err);
    if (rc || !l->item.content_hash) {
        look_clear(l);
        return rc == AKIN_NOT_FOUND ? AKIN_OK : rc;
    }
    *out = l;
    return AKIN_OK;
}

/* ---- the queue ------------------------------------------------------------------- */

typedef struct {
    uint64_t nums[BATCH];
    size_t n;
} batch;

static bool take_num(void *user, uint64_t num)
{
    batch *b = user;
    b->nums[b->n++] = num;
    return b->n < BATCH;
}

/* Looks at some items and stores what was found. *done: of b->n. */
static akin_status look_at_batch(akin__collection *c, akin__dupes *d,
                                 const batch *b, uint64_t until_ns,
                                 size_t *done, akin_error *err)
{
    look *looks[BATCH] = {0};
    akin_write ops[BATCH];
    size_t nops = 0;
    akin_status rc = AKIN_OK;
    akin__view *view = akin__view_hold(c);

    for (*done = 0; *done < b->n && !rc; ++*done) {
        if (*done && until_ns && akin_mono_ns() >= until_ns) break;
        look *l;
        rc = look_at(c, view, d, b->nums[*done], &l, err);
        if (rc || !l) continue;
        looks[nops] = l;
        ops[nops++] =
            (akin_write){.kind = AKIN_WRITE_DUPES,
                         .collection = c->num,
                         .num = l->item.num,
                         .content_hash = l->content[0],
                         .edges = l->edges,
                         .nedges = l->nedges,
                         .sketch = l->new_sketch ? l->hashes.sketch : NULL};
    }
    if (!rc && nops)
        rc = akin_storage_write(c->engine->storage, ops, nops, NULL, err);
    for (size_t i = 0; i < nops; i++)
        look_clear(looks[i]);
    akin__view_release(view);
    return rc;
}

static akin_status look_at_queue(akin__collection *c, akin__dupes *d,
                                 size_t items, uint64_t until_ns,
                                 uint64_t *left, akin_error *err)
{
    akin_storage *storage = c->engine->storage;
    size_t done = 0;
    uint64_t total = 1;
    akin_status rc = AKIN_OK;

    while (!rc && !atomic_load(&c->engine->stop)) {
        batch b = {.n = 0};
        size_t some = 0, limit = BATCH;
        if (items && items - done < limit) limit = items - done;
        rc = akin_storage_dupe_queue(storage, c->num, limit, take_num, &b,
                                     &total, err);
        if (!rc && b.n) rc = load_hashes(c, d, err);
        if (!rc && b.n) rc = look_at_batch(c, d, &b, until_ns, &some, err);
        total -= some < total ? some : total;
        done += some;
        if (!b.n || (items && done >= items) ||
            (until_ns && akin_mono_ns() >= until_ns))
            break;
    }
    if (left) *left = total;
    return rc;
}

akin_status akin__dupes_look(akin__collection *c, size_t items, uint32_t ms,
                             bool wait, uint64_t *left, akin_error *err)
{
    uint64_t until = ms ? akin_mono_ns() + ms * UINT64_C(1000000) : 0;
    akin__dupes *d;
    akin_status rc = get_dupes(c, &d, err);
    if (rc) return rc;
    if (wait) {
        pthread_mutex_lock(&d->lock);
    } else if (pthread_mutex_trylock(&d->lock)) {
        if (left) *left = 0;
        return AKIN_OK;
    }
    rc = look_at_queue(c, d, items, until, left, err);
    pthread_mutex_unlock(&d->lock);
    return rc;
}
