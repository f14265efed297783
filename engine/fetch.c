/* The items behind the hits of a query. Where only ids are asked for, as VSIM
 * does, they come from memory (ids.c) and the store is asked for the rest; else
 * each item is read from the store, and one that was removed meanwhile is left
 * out. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* What the matches point into; behind akin_results.memory. */
typedef struct {
    size_t n;
    void *blocks[];
} memory;

typedef struct {
    const akin__page *page;
    akin_results *out;
    memory *memory;
    akin_status rc;
    akin_error *err;
} fetching;

static void *new_block(fetching *f, size_t size)
{
    void *block = akin_alloc(size);
    if (block)
        f->memory->blocks[f->memory->n++] = block;
    else
        f->rc = akin__nomem(f->err);
    return block;
}

/* The next match; `at` is its place on the page, which moves up when those
 * before are gone. */
static akin_match *next_match(fetching *f, size_t at)
{
    akin_match *m = &f->out->matches[f->out->n];
    m->score = (float)f->page->hits[at].score;
    f->page->hits[f->out->n++] = f->page->hits[at];
    return m;
}

/* ---- whole items ----------------------------------------------------------- */

static const char *put_text(char **at, akin_span text)
{
    if (!text.data) return NULL;
    char *copy = *at;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    *at += text.size + 1;
    return copy;
}

static bool fetch_one(void *user, size_t at, const akin_item *item)
{
    fetching *f = user;
    const akin__page *p = f->page;
    const akin_query *q = p->query;
    akin_span attributes = {0}, caption = {0};
    const akin_vector *v = NULL;
    size_t floats = 0;

    if (q->with_attributes) attributes = item->attributes;
    if (q->with_captions) caption = item->caption;
    if (q->with_vectors) {
        bool captions_only = !p->spaces[AKIN_SPACE_IMAGE];
        v = &item->vectors[captions_only];
        if (!v->data && p->fused) v = &item->vectors[!captions_only];
        if (v->data && v->dim == f->out->dim) floats = v->dim;
    }
    uint8_t *block = new_block(f, floats * sizeof(float) + item->id.size +
                                      attributes.size + caption.size + 3);
    if (!block) return false;
    akin_match *m = next_match(f, at);
    if (floats) {
        akin_float_from_half((float *)(void *)block, v->data, floats);
        m->vector = (const float *)(const void *)block;
    }
    char *text = (char *)block + floats * sizeof(float);
    m->id = put_text(&text, item->id);
    m->attributes = put_text(&text, attributes);
    m->match_caption = put_text(&text, caption);
    return true;
}

static akin_status fetch_items(fetching *f, const uint64_t *nums)
{
    const akin__page *p = f->page;
    uint32_t with = (p->query->with_vectors ? AKIN_WITH_VECTORS : 0) |
                    (p->query->with_captions ? AKIN_WITH_CAPTION : 0);
    akin_status rc =
        akin_storage_get_many(p->engine->storage, p->collection->num, nums,
                              p->n, with, fetch_one, f, f->err);
    return rc ? rc : f->rc;
}

/* ---- ids alone --------------------------------------------------------------- */

typedef struct {
    fetching *f;
    const char **ids; /* (page.n) NULL: not known yet, or gone */
    size_t *at;       /* (page.n) where those that are asked for stand */
} asked_ids;

static bool fetch_id(void *user, size_t i, const akin_item *item)
{
    asked_ids *asked = user;
    fetching *f = asked->f;
    akin__ids_put(f->page->engine->ids, item->num, item->id);
    char *text = new_block(f, item->id.size + 1);
    if (!text) return false;
    asked->ids[asked->at[i]] = put_text(&text, item->id);
    return true;
}

static akin_status fetch_ids(fetching *f, uint64_t *nums)
{
    const akin__page *p = f->page;
    size_t width = AKIN__SHORT_ID + 1, missing = 0;
    asked_ids asked = {.f = f};
    akin_status rc = AKIN_OK;
    char *texts = new_block(f, p->n * width);

    asked.ids = akin_calloc(p->n, sizeof *asked.ids);
    asked.at = akin_calloc(p->n, sizeof *asked.at);
    if (!texts || !asked.ids || !asked.at) rc = akin__nomem(f->err);
    for (size_t i = 0; i < p->n && !rc; i++) {
        char *text = texts + i * width;
        if (akin__ids_get(p->engine->ids, nums[i], text)) {
            asked.ids[i] = text;
        } else {
            nums[missing] = nums[i];
            asked.at[missing++] = i;
        }
    }
    if (!rc && missing && p->query->from_memory)
        rc = akin_fail(f->err, AKIN_BUSY, "%zu ids are not in memory", missing);
    if (!rc && missing)
        rc = akin_storage_get_many(p->engine->storage, p->collection->num, nums,
                                   missing, 0, fetch_id, &asked, f->err);
    if (!rc) rc = f->rc;
    for (size_t i = 0; i < p->n && !rc; i++)
        if (asked.ids[i]) next_match(f, i)->id = asked.ids[i];
    akin_free(asked.ids);
    akin_free(asked.at);
    return rc;
}

/* ---- cosines ------------------------------------------------------------------- */

static float *cosine_of(akin_match *match, int space)
{
    return space == AKIN_SPACE_IMAGE ? &match->image : &match->caption;
}

/* Where one space was searched the score is the cosine; of fused rankings the
 * cosines are looked up. */
static akin_status fill_cosines(const fetching *f, uint64_t *labels)
{
    const akin__page *p = f->page;
    akin_results *out = f->out;
    akin_status rc = AKIN_OK;
    float *cosines = NULL;

    for (size_t i = 0; i < out->n; i++) {
        labels[i] = p->hits[i].label;
        out->matches[i].image = out->matches[i].caption = NAN;
    }
    if (p->fused && out->n) {
        cosines = akin_calloc(out->n, sizeof *cosines);
        if (!cosines) rc = akin__nomem(f->err);
    }
    for (int space = 0; space < AKIN_SPACES && !rc && out->n; space++) {
        if (!p->spaces[space]) continue;
        if (p->fused)
            rc = akin_index_cosines(p->view->index[space], p->vectors[space],
                                    labels, out->n, cosines, f->err);
        for (size_t i = 0; i < out->n && !rc; i++)
            *cosine_of(&out->matches[i], space) =
                p->fused ? cosines[i] : out->matches[i].score;
    }
    akin_free(cosines);
    return rc;
}

akin_status akin__fetch(const akin__page *page, akin_results *out,
                        akin_error *err)
{
    const akin_query *q = page->query;
    fetching f = {.page = page, .out = out, .err = err};
    uint64_t *nums = akin_calloc(page->n + 1, sizeof *nums);
    bool ids_only =
        !q->with_attributes && !q->with_captions && !q->with_vectors;

    out->matches = akin_calloc(page->n + 1, sizeof *out->matches);
    out->memory = f.memory = akin_calloc(
        1, sizeof *f.memory + (page->n + 1) * sizeof *f.memory->blocks);
    akin_status rc =
        nums && out->matches && f.memory ? AKIN_OK : akin__nomem(err);
    for (size_t i = 0; i < page->n && !rc; i++)
        nums[i] = page->hits[i].label;
    /* Beside a writer in another process the store says what is still there. */
    if (!rc && page->n)
        rc = ids_only && !page->engine->read_only ? fetch_ids(&f, nums)
                                                  : fetch_items(&f, nums);
    if (!rc) rc = fill_cosines(&f, nums);
    akin_free(nums);
    return rc;
}

void akin_results_clear(akin_results *results)
{
    memory *m = results->memory;
    for (size_t i = 0; m && i < m->n; i++)
        akin_free(m->blocks[i]);
    akin_free(m);
    akin_free(results->matches);
    memset(results, 0, sizeof *results);
}
