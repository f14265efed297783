/* Single items: reading, removing, their attributes, and lists of ids. */
#include "dupes.h"

#include <stdlib.h>
#include <string.h>

#define CHANGE_ATTEMPTS 1000

static akin_status no_item(akin_span id, akin_error *err)
{
    return akin_fail(err, AKIN_NOT_FOUND, "no item \"%.*s\"",
                     (int)(id.size < 200 ? id.size : 200),
                     (const char *)id.data);
}

static akin_status find_item(akin__collection *c, akin_span id, uint64_t *num,
                             akin_error *err)
{
    uint64_t seq;
    akin_status rc = akin__check_id(id, err);
    if (!rc)
        rc = akin_storage_find(c->engine->storage, c->num, id, num, &seq, err);
    return rc == AKIN_NOT_FOUND ? no_item(id, err) : rc;
}

static akin_status get_item(akin__collection *c, akin_span id, uint32_t with,
                            akin_item *out, akin_error *err)
{
    akin_status rc = akin__check_id(id, err);
    if (!rc)
        rc = akin_storage_get(c->engine->storage, c->num, id, with, out, err);
    return rc == AKIN_NOT_FOUND ? no_item(id, err) : rc;
}

/* ---- one item ---------------------------------------------------------------------- */

void akin_item_info_clear(akin_item_info *item)
{
    akin_free(item->id);
    akin_free(item->caption);
    akin_free(item->attributes);
    akin_free(item->path);
    akin_free(item->format);
    memset(item, 0, sizeof *item);
}

/* A copy with a NUL; absent stays NULL. false: out of memory. */
akin_status akin_engine_get(akin_engine *engine, const char *collection,
                            akin_span id, akin_item_info *out, akin_error *err)
{
    akin__collection *c;
    akin_item item = {0};
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;

    memset(out, 0, sizeof *out);
    rc = get_item(c, id, AKIN_WITH_VECTORS | AKIN_WITH_CAPTION, &item, err);
    akin__collection_release(c);
    if (rc) return rc;
    if (!akin__copy_text(&out->id, item.id) ||
        !akin__copy_text(&out->caption, item.caption) ||
        !akin__copy_text(&out->attributes, item.attributes) ||
        !akin__copy_text(&out->path, item.source) ||
        !akin__copy_text(&out->format, item.format))
        rc = akin__nomem(err);
    out->added_ms = item.created_ms;
    out->changed_ms = item.changed_ms;
    out->modified_ms = item.source_mtime_ns / 1000000;
    out->picture_bytes = item.source_size > 0 ? (uint64_t)item.source_size : 0;
    out->width = item.width;
    out->height = item.height;
    out->has_image = item.vectors[AKIN_SPACE_IMAGE].data != NULL;
    out->has_caption = item.vectors[AKIN_SPACE_CAPTION].data != NULL;
    if (item.content_hash)
        akin_hex(item.content_hash, AKIN_HASH_BYTES, out->hash);
    akin_item_clear(&item);
    if (rc) akin_item_info_clear(out);
    return rc;
}

akin_status akin_engine_exists(akin_engine *engine, const char *collection,
                               akin_span id, akin_error *err)
{
    akin__collection *c;
    uint64_t num;
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    rc = find_item(c, id, &num, err);
    akin__collection_release(c);
    return rc;
}

static const akin_vector *pick_vector(const akin_item *item,
                                      akin_query_space space)
{
    const akin_vector *image = &item->vectors[AKIN_SPACE_IMAGE];
    const akin_vector *caption = &item->vectors[AKIN_SPACE_CAPTION];
    if (space == AKIN_QUERY_CAPTION) return caption;
    if (space == AKIN_QUERY_IMAGE || image->data) return image;
    return caption;
}

akin_status akin_engine_vector(akin_engine *engine, const char *collection,
                               akin_span id, akin_query_space space,
                               float **out, uint32_t *dim, float *norm,
                               akin_error *err)
{
    akin__collection *c;
    akin_item item = {0};
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;

    rc = get_item(c, id, AKIN_WITH_VECTORS, &item, err);
    if (!rc) {
        const akin_vector *v = pick_vector(&item, space);
        *out = v->data ? akin_alloc(v->dim * sizeof **out) : NULL;
        if (!v->data) {
            rc = akin_fail(err, AKIN_NOT_FOUND, "the item has no such vector");
        } else if (!*out) {
            rc = akin__nomem(err);
        } else {
            akin_float_from_half(*out, v->data, v->dim);
            *dim = v->dim;
            if (norm) *norm = v->norm > 0 ? v->norm : 1;
        }
    }
    akin_item_clear(&item);
    akin__collection_release(c);
    return rc;
}

akin_status akin_engine_thumbnail(akin_engine *engine, const char *collection,
                                  akin_span id, akin_buf *out, akin_error *err)
{
    akin__collection *c;
    uint8_t *bytes = NULL;
    uint64_t num;
    size_t size = 0;
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;

    rc = find_item(c, id, &num, err);
    if (!rc) rc = akin_storage_thumb(engine->storage, num, &bytes, &size, err);
    if (!rc) {
        akin_buf_append(out, bytes, size);
        if (out->failed) rc = akin__nomem(err);
    }
    akin_free(bytes);
    akin__collection_release(c);
    return rc;
}

/* ---- changing --------------------------------------------------------------------------- */

/* Of a write that was committed: the first failure that is not an id that was
 * not there. The others stand all the same. */
static akin_status count_changes(akin__collection *c,
                                 const akin_write_result *results, size_t n,
                                 bool removed, size_t *changed, akin_error *err)
{
    akin_status rc = AKIN_OK;
    for (size_t i = 0; i < n; i++) {
        const akin_write_result *r = &results[i];
        if (!r->status) {
            ++*changed;
            if (removed) akin__ids_forget(c->engine->ids, r->num);
            if (removed) akin__dupes_forget(c, r->num);
        } else if (r->status != AKIN_NOT_FOUND && !rc) {
            if (err) *err = r->error;
            rc = r->status;
        }
    }
    return rc;
}

/* Carries out `op` for each id, in one transaction, and publishes; *changed:
 * how many there were. Ids that are not there do not count. */
static akin_status change_each(akin__collection *c, akin_write op,
                               const akin_span *ids, size_t n, size_t *changed,
                               akin_error *err)
{
    akin_item_data *items = akin_calloc(n, sizeof *items);
    akin_write *ops = akin_calloc(n, sizeof *ops);
    akin_write_result *results = akin_calloc(n, sizeof *results);
    size_t nops = 0;
    akin_status rc = items && ops && results ? AKIN_OK : akin__nomem(err);

    for (size_t i = 0; i < n && !rc; i++) {
        if (akin__check_id(ids[i], NULL)) continue; /* no such item can be */
        items[nops].id = ids[i];
        ops[nops] = op;
        ops[nops].collection = c->num;
        ops[nops].item = &items[nops];
        nops++;
    }
    if (!rc && nops)
        rc = akin_storage_write(c->engine->storage, ops, nops, results, err);
    if (!rc)
        rc = count_changes(c, results, nops, op.kind == AKIN_WRITE_REMOVE,
                           changed, err);
    if (*changed) {
        akin_status published =
            akin__publish(c, results, nops, rc ? NULL : err);
        if (!rc) rc = published;
    }
    akin_free(items);
    akin_free(ops);
    akin_free(results);
    return rc;
}

static akin_status change_items(akin_engine *engine, const char *collection,
                                akin_write op, const akin_span *ids, size_t n,
                                size_t *changed, akin_error *err)
{
    akin__collection *c;
    akin_status rc = akin__writable(engine, err);

    *changed = 0;
    if (!rc) rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    rc = n ? akin__write_enter(c, err) : AKIN_OK;
    if (!rc && n) {
        rc = change_each(c, op, ids, n, changed, err);
        akin__write_leave(c);
    }
    akin__collection_release(c);
    return rc;
}

akin_status akin_engine_remove(akin_engine *engine, const char *collection,
                               const akin_span *ids, size_t n, size_t *removed,
                               akin_error *err)
{
    akin_write op = {.kind = AKIN_WRITE_REMOVE};
    return change_items(engine, collection, op, ids, n, removed, err);
}

akin_status akin_engine_remove_vectors(akin_engine *engine,
                                       const char *collection,
                                       const akin_span *ids, size_t n,
                                       bool image, bool caption,
                                       akin_error *err)
{
    size_t changed;
    akin_write op = {.kind = AKIN_WRITE_PUT,
                     .flags = AKIN_PUT_UPDATE_ONLY,
                     .drop = (image ? 1u << AKIN_SPACE_IMAGE : 0) |
                             (caption ? 1u << AKIN_SPACE_CAPTION : 0)};
    return change_items(engine, collection, op, ids, n, &changed, err);
}

/* if_seq: of the item as it was read, 0: whatever it is now. *stale: it is
 * another one meanwhile, nothing was written. */
static akin_status put_attributes(akin__collection *c, akin_span id,
                                  akin_span json, uint64_t if_seq, bool *stale,
                                  akin_error *err)
{
    akin_write_result result = {0};
    akin_item_data item = {.id = id, .attributes = json};
    if (!json.data) item.attributes = (akin_span){"", 0};
    akin_write op = {.kind = AKIN_WRITE_PUT,
                     .collection = c->num,
                     .flags = AKIN_PUT_UPDATE_ONLY,
                     .if_seq = if_seq,
                     .item = &item};

    akin_status rc = akin__write_enter(c, err);
    if (rc) return rc;
    rc = akin_storage_write(c->engine->storage, &op, 1, &result, err);
    if (!rc && result.status) {
        rc = result.status;
        if (err) *err = result.error;
        *stale = rc == AKIN_CANCELLED;
    }
    if (rc == AKIN_NOT_FOUND) rc = no_item(id, err);
    if (!rc && result.seq) rc = akin__publish(c, &result, 1, err);
    akin__write_leave(c);
    return rc;
}

akin_status akin_engine_set_attributes(akin_engine *engine,
                                       const char *collection, akin_span id,
                                       akin_span json, akin_error *err)
{
    akin__collection *c;
    bool stale;

    akin_status rc = akin__writable(engine, err);
    if (!rc) rc = akin__check_id(id, err);
    if (!rc) rc = akin__check_attributes(json, err);
    if (!rc) rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    rc = put_attributes(c, id, json, 0, &stale, err);
    akin__collection_release(c);
    return rc;
}

static akin_status change_once(akin__collection *c, akin_span id,
                               akin_attributes_change *change, void *user,
                               bool *stale, akin_error *err)
{
    akin_item item = {0};
    akin_buf out = {0};

    akin_status rc = get_item(c, id, 0, &item, err);
    if (!rc) rc = change(user, item.attributes.data, &out, err);
    if (!rc && out.failed) rc = akin__nomem(err);
    akin_span json = {out.data, out.size};
    if (!rc) rc = akin__check_attributes(json, err);
    if (!rc) rc = put_attributes(c, id, json, item.seq, stale, err);
    akin_buf_clear(&out);
    akin_item_clear(&item);
    return rc;
}

akin_status akin_engine_change_attributes(akin_engine *engine,
                                          const char *collection, akin_span id,
                                          akin_attributes_change *change,
                                          void *user, akin_error *err)
{
    akin__collection *c;
    bool stale = true;

    akin_status rc = akin__writable(engine, err);
    if (!rc) rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    for (int i = 0; stale && i < CHANGE_ATTEMPTS; i++) {
        stale = false;
        rc = change_once(c, id, change, user, &stale, err);
    }
    if (stale) rc = akin_fail(err, AKIN_BUSY, "the item changes all the time");
    akin__collection_release(c);
    return rc;
}

/* ---- lists of ids ----------------------------------------------------------------------------- */

void akin_ids_clear(akin_ids *ids)
{
    akin_free(ids->ids);
    akin_free(ids->memory);
    memset(ids, 0, sizeof *ids);
}

/* Ids one after the other, each with its NUL. */
typedef struct {
    akin_buf text;
    size_t n, limit;
    const akin_selector *selector; /* NULL: all */
} id_list;

static bool add_id(void *user, uint64_t num, akin_span id)
{
    id_list *list = user;
    if (list->selector && !akin_selector_has(list->selector, num)) return true;
    akin_buf_append(&list->text, id.data, id.size);
    akin_buf_append(&list->text, "", 1);
    return ++list->n < list->limit && !list->text.failed;
}

/* Turns the list into out, and frees it. */
static akin_status finish_ids(id_list *list, akin_ids *out, akin_error *err)
{
    memset(out, 0, sizeof *out);
    out->ids = akin_calloc(list->n + 1, sizeof *out->ids);
    if (list->text.failed || !out->ids) {
        akin_buf_clear(&list->text);
        akin_ids_clear(out);
        return akin__nomem(err);
    }
    out->memory = (char *)list->text.data;
    out->n = list->n;
    char *p = out->memory;
    for (size_t i = 0; i < out->n; i++, p += strlen(p) + 1)
        out->ids[i] = p;
    return AKIN_OK;
}

akin_status akin_engine_range(akin_engine *engine, const char *collection,
                              const akin_range *range, akin_ids *out,
                              akin_error *err)
{
    akin__collection *c;
    akin__selection *selection = NULL;
    id_list list = {.limit = range->limit ? range->limit : AKIN_QUERY_MAX_K};
    akin_id_range bounds = {.start = range->start,
                            .end = range->end,
                            .start_excluded = range->after_start,
                            .end_excluded = range->before_end};

    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    if (range->filter.text.size) {
        rc = akin__select(c, range->filter, &selection, err);
        if (!rc) list.selector = &selection->selector;
    }
    if (!rc)
        rc = akin_storage_range(engine->storage, c->num, &bounds,
                                selection ? 0 : list.limit, add_id, &list, err);
    if (!rc)
        rc = finish_ids(&list, out, err);
    else
        akin_buf_clear(&list.text);
    akin__selection_release(selection);
    akin__collection_release(c);
    return rc;
}

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Drawing n of N with repetition: which draws meet the same item is decided
 * first (on numbers 0..N-1), then as many distinct items are drawn as differ. */
static akin_status repeat_ids(akin_ids *ids, size_t n, uint64_t total,
                              uint64_t *state, akin_error *err)
{
    uint64_t *draws = akin_calloc(n, sizeof *draws);
    uint64_t *sorted = akin_calloc(n, sizeof *sorted);
    char **out = akin_calloc(n + 1, sizeof *out);
    akin_status rc = draws && sorted && out ? AKIN_OK : akin__nomem(err);

    if (!rc && ids->n) {
        for (size_t i = 0; i < n; i++)
            sorted[i] = draws[i] = next_random(state) % total;
        qsort(sorted, n, sizeof *sorted, akin__compare_nums);
        size_t distinct = 0;
        for (size_t i = 0; i < n; i++)
            if (!i || sorted[i] != sorted[i - 1])
                sorted[distinct++] = sorted[i];
        for (size_t i = 0; i < n; i++) {
            uint64_t *at = bsearch(&draws[i], sorted, distinct, sizeof *sorted,
                                   akin__compare_nums);
            out[i] = ids->ids[(size_t)(at - sorted) % ids->n];
        }
        akin_free(ids->ids);
        ids->ids = out;
        ids->n = n;
        out = NULL;
    }
    akin_free(draws);
    akin_free(sorted);
    akin_free(out);
    return rc;
}

akin_status akin_engine_random(akin_engine *engine, const char *collection,
                               size_t n, bool distinct, akin_ids *out,
                               akin_error *err)
{
    akin__collection *c;
    id_list list = {.limit = SIZE_MAX};
    akin_collection info = {0};
    uint64_t state = akin_mono_ns() ^ ((uint64_t)akin_now_ms() << 20);

    if (n > AKIN_QUERY_MAX_K)
        return akin_fail(err, AKIN_INVALID, "expected at most %d, got %zu",
                         AKIN_QUERY_MAX_K, n);
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    if (n)
        rc = akin_storage_random(engine->storage, c->num, n,
                                 next_random(&state), add_id, &list, err);
    if (!rc)
        rc = finish_ids(&list, out, err);
    else
        akin_buf_clear(&list.text);
    if (!rc && !distinct && out->n) {
        rc =
            akin_storage_collection_by_num(engine->storage, c->num, &info, err);
        uint64_t total = info.items ? info.items : 1;
        akin_collection_clear(&info);
        if (!rc) rc = repeat_ids(out, n, total, &state, err);
        if (rc) akin_ids_clear(out);
    }
    akin__collection_release(c);
    return rc;
}

akin_status akin_engine_count(akin_engine *engine, const char *collection,
                              akin_filter filter, uint64_t *out,
                              akin_error *err)
{
    akin__collection *c;
    akin_collection info = {0};
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    if (filter.text.size) {
        akin__selection *selection;
        rc = akin__select(c, filter, &selection, err);
        if (!rc) {
            *out = selection->selector.count;
            akin__selection_release(selection);
        }
    } else {
        rc =
            akin_storage_collection_by_num(engine->storage, c->num, &info, err);
        *out = info.items;
        akin_collection_clear(&info);
    }
    akin__collection_release(c);
    return rc;
}
