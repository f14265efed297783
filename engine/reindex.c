/* Building indexes on request, and changing a collection's model.
 *
 * A change of model embeds every item again beside the old vectors (storage
 * keeps both, by fingerprint), while queries and puts go on with the old model.
 * Then, with writers held for a moment, what came meanwhile is done, the models
 * change places, and the new indexes take over; at last the old vectors and
 * indexes go. Interrupted at any point, the next call finds what is still missing
 * and goes on. One to the model that the collection has takes back a change that
 * did not get as far as its swap. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- rebuild -------------------------------------------------------------------- */

static bool build_progress(void *user, const char *phase, uint64_t done,
                           uint64_t total)
{
    akin__meter *meter = user;
    akin__meter_phase(meter, phase);
    akin__meter_set(meter, done, total);
    return !akin__meter_stopped(meter);
}

/* The maintenance thread may be building: then ours comes after it. */
static akin_status build_space(akin__collection *c, akin__view *view,
                               akin_space space, const akin__shape *shape,
                               akin__meter *meter, akin_error *err)
{
    enum { WAIT_US = 100000 };
    akin_status rc;
    for (;;) {
        rc = akin__space_build(c, view, space, true, shape, build_progress,
                               meter, NULL, err);
        if (rc != AKIN_BUSY) return rc;
        if (akin__meter_stopped(meter))
            return akin_fail(err, AKIN_CANCELLED, "stopped");
        usleep(WAIT_US);
    }
}

static akin_status build_every_space(akin__collection *c, akin__view *view,
                                     const akin__shape *shape,
                                     akin__meter *meter, akin_error *err)
{
    akin_status rc = AKIN_OK;
    for (int space = 0; space < AKIN_SPACES && !rc; space++)
        rc = build_space(c, view, space, shape, meter, err);
    return rc;
}

akin_status akin__shape_parse(const char *text, akin__shape *out,
                              akin_error *err)
{
    unsigned long nlist, m = 0;
    int end = 0;

    *out = (akin__shape){0};
    if (!text || !*text) return AKIN_OK;
    if (sscanf(text, "IVF%7lu%n,PQ%4lu%n", &nlist, &end, &m, &end) < 1 ||
        text[end] || nlist < 1 || nlist > 1000000 || m > AKIN_INDEX_MAX_DIM ||
        strpbrk(text, "+- \t"))
        return akin_fail(err, AKIN_INVALID,
                         "expected an index as IVF4096 or IVF4096,PQ64, got "
                         "\"%.60s\"",
                         text);
    out->nlist = (uint32_t)nlist;
    out->m = (uint32_t)m;
    return AKIN_OK;
}

akin_status akin__rebuild(akin_engine *engine, const char *collection,
                          const char *index, akin__meter *meter,
                          akin_error *err)
{
    akin__collection *c;
    akin__shape shape;
    akin_status rc = akin__shape_parse(index, &shape, err);
    if (!rc) rc = akin__writable(engine, err);
    if (!rc) rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    /* Where damage was found meanwhile, another view took the place of ours, and
     * swept away what was being built: again, for that one. */
    for (bool replaced = true; replaced && rc != AKIN_CANCELLED;) {
        akin__view *view = akin__view_hold(c);
        rc = build_every_space(c, view, &shape, meter, err);
        pthread_mutex_lock(&c->renewing); /* one under way has swept already */
        akin__view *now = akin__view_hold(c);
        pthread_mutex_unlock(&c->renewing);
        replaced = now != view;
        akin__view_release(now);
        akin__view_release(view);
    }
    akin__collection_release(c);
    return rc;
}

akin_status akin_engine_rebuild(akin_engine *engine, const char *collection,
                                akin_progress_call *progress, void *user,
                                akin_error *err)
{
    akin__meter meter;
    akin_status rc = akin__meter_open(&meter, engine, progress, user, err);
    if (rc) return rc;
    rc = akin__rebuild(engine, collection, NULL, &meter, err);
    akin__meter_close(&meter, NULL);
    return rc;
}

/* ---- embedding again -------------------------------------------------------------- */

enum { SLICE = 64 };

typedef struct {
    uint64_t num, seq;
    char *id, *source, *caption;
    uint8_t hash[AKIN_HASH_BYTES];
    bool has_hash;
    akin_status status;
    char message[200];
} todo;

typedef struct {
    akin_engine *engine;
    akin__collection *c;
    akin__model *model;
    akin__meter *meter;
    uint64_t *failed; /* numbers of items that could not be done, ascending */
    size_t nfailed, failed_capacity;

    akin_space space; /* of the slice */
    todo items[SLICE];
    size_t n;
    uint64_t last;
    uint8_t *pixels; /* (SLICE, S, S, 3) */
    float *vectors;  /* (SLICE, dim) */
    uint16_t *halves;
    akin_status rc;
    akin_error *err;
} change;

static char *copy_span(akin_span text)
{
    return text.data ? akin_strndup(text.data, text.size) : NULL;
}

static bool take_item(void *user, size_t at, const akin_item *item)
{
    change *ch = user;
    (void)at;
    ch->last = item->num;
    if (ch->nfailed && bsearch(&item->num, ch->failed, ch->nfailed,
                               sizeof *ch->failed, akin__compare_nums))
        return true;
    todo *t = &ch->items[ch->n++];
    memset(t, 0, sizeof *t);
    t->num = item->num;
    t->seq = item->seq;
    t->id = copy_span(item->id);
    t->source = copy_span(item->source);
    t->caption = copy_span(item->caption);
    t->has_hash = item->content_hash != NULL;
    if (t->has_hash) memcpy(t->hash, item->content_hash, AKIN_HASH_BYTES);
    return ch->n < SLICE;
}

/* The picture's file, if its bytes are still those that were stored. */
static bool original(const change *ch, const todo *t, uint8_t **bytes,
                     size_t *size)
{
    uint8_t hash[AKIN_HASH_BYTES];
    size_t limit =
        (size_t)akin_config_uint(ch->engine->config, "picture.max-bytes");
    if (!t->source || !t->has_hash ||
        akin_file_read(t->source, limit, bytes, size, NULL))
        return false;
    if (!akin_sha256_of((akin_span){*bytes, *size}, hash, NULL) &&
        !memcmp(hash, t->hash, AKIN_HASH_BYTES))
        return true;
    akin_free(*bytes);
    *bytes = NULL;
    return false;
}

/* From the file it came from; where that is gone, from the thumbnail, which
 * is all that is left of a picture that came as bytes. */
static akin_status load_picture(const change *ch, todo *t, uint8_t *pixels,
                                akin_error *err)
{
    uint8_t *bytes = NULL;
    size_t size = 0;

    if (!t->has_hash)
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "its vector was given, there is no picture to embed");
    akin_status rc = AKIN_OK;
    if (!original(ch, t, &bytes, &size))
        rc =
            akin_storage_thumb(ch->engine->storage, t->num, &bytes, &size, err);
    if (rc == AKIN_NOT_FOUND)
        rc = akin_fail(err, AKIN_NOT_FOUND,
                       "the picture is gone and has no thumbnail");
    if (!rc)
        rc = akin__decode(ch->model, (akin_span){bytes, size}, pixels, NULL,
                          err);
    akin_free(bytes);
    return rc;
}

static void load_part(void *arg, size_t i)
{
    change *ch = arg;
    todo *t = &ch->items[i];
    size_t side = ch->model->info->image_size;
    akin_error error = {0};
    t->status = load_picture(ch, t, ch->pixels + i * side * side * 3, &error);
    if (t->status)
        snprintf(t->message, sizeof t->message, "%.199s", error.message);
}

static akin_status encode_slice(change *ch)
{
    akin_span texts[SLICE];
    akin_status failed[SLICE] = {0};
    akin_error error = {0};
    bool pictures = ch->space == AKIN_SPACE_IMAGE;

    if (pictures) akin_pool_each(ch->engine->decoders, ch->n, load_part, ch);
    for (size_t i = 0; i < ch->n; i++)
        texts[i] =
            akin_span_of(ch->items[i].caption ? ch->items[i].caption : "");
    akin_status rc = akin__encode(
        ch->model, AKIN__BULK, pictures ? ch->pixels : NULL,
        pictures ? NULL : texts, ch->n, ch->vectors, failed, &error);
    if (rc) {
        if (ch->err) *ch->err = error;
        return rc;
    }
    for (size_t i = 0; i < ch->n; i++) {
        todo *t = &ch->items[i];
        if (t->status || !failed[i]) continue;
        t->status = failed[i];
        snprintf(t->message, sizeof t->message, "%.199s", error.message);
    }
    akin_half_from_float(ch->halves, ch->vectors, ch->n * ch->model->info->dim);
    return AKIN_OK;
}

static akin_status store_slice(change *ch)
{
    const akin_model_info *info = ch->model->info;
    akin_write ops[SLICE];
    akin_write_result results[SLICE];
    akin_progress delta = {0};
    size_t n = 0;
    akin_status rc = AKIN_OK;

    for (size_t i = 0; i < ch->n && !rc; i++) {
        const todo *t = &ch->items[i];
        if (t->status) {
            akin__meter_failure(ch->meter, t->id ? t->id : "", t->message);
            delta.failed++;
            rc = akin_grow(&ch->failed, &ch->failed_capacity, ch->nfailed + 1,
                           sizeof *ch->failed, ch->err);
            if (!rc) ch->failed[ch->nfailed++] = t->num;
            continue;
        }
        ops[n++] =
            (akin_write){.kind = AKIN_WRITE_VECTOR,
                         .collection = ch->c->num,
                         .num = t->num,
                         .space = ch->space,
                         .if_seq = t->seq,
                         .vector = {ch->halves + i * info->dim, info->dim, 1,
                                    info->fingerprint_bytes}};
    }
    /* An item that changed meanwhile is refused, and met again later. */
    if (!rc && n)
        rc = akin_storage_write(ch->engine->storage, ops, n, results, ch->err);
    for (size_t i = 0; i < n && !rc; i++)
        delta.updated += results[i].status == AKIN_OK;
    delta.done = ch->n;
    akin__meter_add(ch->meter, &delta);
    if (ch->nfailed)
        qsort(ch->failed, ch->nfailed, sizeof *ch->failed, akin__compare_nums);
    return rc;
}

static void clear_slice(change *ch)
{
    for (size_t i = 0; i < ch->n; i++) {
        akin_free(ch->items[i].id);
        akin_free(ch->items[i].source);
        akin_free(ch->items[i].caption);
    }
    ch->n = 0;
}

/* Everything that one space still lacks. */
static akin_status embed_space(change *ch, akin_space space)
{
    uint64_t after = 0;
    akin_status rc = AKIN_OK;

    ch->space = space;
    while (!rc) {
        ch->last = after;
        rc = akin_storage_missing(ch->engine->storage, ch->c->num, space,
                                  ch->model->info->fingerprint_bytes, after, 0,
                                  take_item, ch, ch->err);
        bool more = ch->n == SLICE;
        after = ch->last;
        if (!rc && ch->n) rc = encode_slice(ch);
        if (!rc && ch->n) rc = store_slice(ch);
        clear_slice(ch);
        if (!rc && akin__meter_stopped(ch->meter))
            rc = akin_fail(ch->err, AKIN_CANCELLED,
                           "stopped; the same call "
                           "goes on");
        if (!more) break;
    }
    return rc;
}

static akin_status embed_all(change *ch)
{
    akin_status rc = AKIN_OK;
    for (int space = 0; space < AKIN_SPACES && !rc; space++)
        rc = embed_space(ch, space);
    return rc;
}

/* ---- the change of models ------------------------------------------------------------ */

static akin_status write_one(change *ch, const akin_write *op)
{
    return akin_storage_write(ch->engine->storage, op, 1, NULL, ch->err);
}

/* Removes what is stored and built of a model that is not the collection's. The
 * indexes first: while the store knows the model, the next call comes here. */
static akin_status forget(change *ch, const uint8_t *model)
{
    akin_write op = {
        .kind = AKIN_WRITE_FORGET, .collection = ch->c->num, .model = model};
    char *dir = akin__view_dir(ch->engine, ch->c->num, model);

    if (!dir) return akin__nomem(ch->err);
    akin_status rc = akin_dir_remove(dir, ch->err);
    akin_free(dir);
    return rc ? rc : write_one(ch, &op);
}

/* Makes the new model the collection's other one, unless an earlier call did. */
static akin_status announce(change *ch, const akin_collection *from)
{
    const akin_model_info *info = ch->model->info;
    bool other = from->other.present;
    bool same = other && !memcmp(from->other.model, info->fingerprint_bytes,
                                 AKIN_HASH_BYTES);
    akin_status rc = AKIN_OK;

    if (same) return AKIN_OK;
    if (other) rc = forget(ch, from->other.model);
    akin_write op = {.kind = AKIN_WRITE_CHANGE,
                     .collection = ch->c->num,
                     .model = info->fingerprint_bytes,
                     .model_path = akin_span_of(ch->model->dir),
                     .dim = info->dim};
    return rc ? rc : write_one(ch, &op);
}

/* Indexes over the vectors of the other model. */
static akin_status open_other(change *ch, akin__view **out)
{
    akin_collection from = {0};
    akin_status rc = akin_storage_collection_by_num(ch->engine->storage,
                                                    ch->c->num, &from, ch->err);
    if (!rc) {
        from.current = from.other;
        rc = akin__view_open(ch->engine, &from, 0, out, ch->err);
    }
    akin_collection_clear(&from);
    return rc;
}

static akin_status swap_models(change *ch)
{
    akin__view *fresh = NULL, *old = akin__view_hold(ch->c);
    akin_status rc = open_other(ch, &fresh);

    if (!rc) {
        akin__freeze(ch->c);
        rc = embed_all(ch); /* what came meanwhile */
        if (!rc) rc = akin__view_catch_up(ch->c, fresh, ch->err);
        akin_write op = {
            .kind = AKIN_WRITE_CHANGE, .collection = ch->c->num, .swap = true};
        if (!rc) rc = write_one(ch, &op);
        if (!rc) {
            akin__view_swap(ch->c, fresh);
            atomic_fetch_add(&ch->c->version, 1);
            fresh = NULL;
        }
        akin__thaw(ch->c);
    }
    akin__view_release(fresh);
    if (!rc) rc = forget(ch, old->fingerprint);
    akin__view_release(old);
    return rc;
}

static akin_status change_model(change *ch, const akin_collection *from)
{
    const akin_model_info *info = ch->model->info;
    size_t side = info->image_size;

    ch->pixels = akin_calloc(SLICE, side * side * 3);
    ch->vectors = akin_calloc(SLICE, info->dim * sizeof *ch->vectors);
    ch->halves = akin_calloc(SLICE, info->dim * sizeof *ch->halves);
    akin_status rc = ch->pixels && ch->vectors && ch->halves
                         ? AKIN_OK
                         : akin__nomem(ch->err);
    akin__meter_phase(ch->meter, "embedding");
    akin__meter_total(ch->meter, from->vectors[AKIN_SPACE_IMAGE] +
                                     from->vectors[AKIN_SPACE_CAPTION]);
    if (!rc) rc = announce(ch, from);
    if (!rc) rc = embed_all(ch);
    if (!rc && ch->nfailed && ch->nfailed >= from->items)
        rc = akin_fail(ch->err, AKIN_BAD_DATA,
                       "no item could be embedded again; nothing was changed");
    if (!rc) rc = swap_models(ch);
    akin_free(ch->pixels);
    akin_free(ch->vectors);
    akin_free(ch->halves);
    akin_free(ch->failed);
    return rc;
}

/* One change at a time: another would forget the vectors that the first makes,
 * or, once it has swapped, the indexes in use. */
static akin_status enter(akin__collection *c, akin_error *err)
{
    pthread_mutex_lock(&c->lock);
    bool busy = c->reindexing;
    c->reindexing = true;
    pthread_mutex_unlock(&c->lock);
    return busy ? akin_fail(err, AKIN_BUSY,
                            "collection \"%s\" is being embedded again already",
                            c->name)
                : AKIN_OK;
}

static void leave(akin__collection *c)
{
    pthread_mutex_lock(&c->lock);
    c->reindexing = false;
    pthread_mutex_unlock(&c->lock);
}

/* From what the collection is now, entered. */
static akin_status reindex(change *ch)
{
    akin_collection from = {0};
    akin_status rc = akin_storage_collection_by_num(ch->engine->storage,
                                                    ch->c->num, &from, ch->err);

    if (rc) return rc;
    akin__view *view = akin__view_hold(ch->c);
    bool same = !memcmp(view->fingerprint, ch->model->info->fingerprint_bytes,
                        AKIN_HASH_BYTES);
    if (view->raw)
        rc = akin_fail(ch->err, AKIN_UNSUPPORTED,
                       "the collection holds raw vectors: there is nothing "
                       "to embed");
    akin__view_release(view);
    if (!rc && !same)
        rc = change_model(ch, &from);
    else if (!rc && from.other.present)
        rc = forget(ch, from.other.model);
    akin_collection_clear(&from);
    return rc;
}

akin_status akin__reindex(akin_engine *engine, const char *collection,
                          const char *model_dir, akin__meter *meter,
                          akin_error *err)
{
    change *ch = akin_calloc(1, sizeof *ch);
    if (!ch) return akin__nomem(err);
    *ch = (change){.engine = engine, .meter = meter, .err = err};

    akin_status rc = akin__writable(engine, err);
    if (!rc) rc = akin__collection_find(engine, collection, &ch->c, err);
    if (!rc) rc = akin__model_get(engine, model_dir, &ch->model, err);
    if (!rc) rc = enter(ch->c, err);
    if (!rc) {
        rc = reindex(ch);
        leave(ch->c);
    }
    akin__collection_release(ch->c);
    akin_free(ch);
    return rc;
}

akin_status akin_engine_reindex(akin_engine *engine, const char *collection,
                                const char *model_dir,
                                akin_progress_call *progress, void *user,
                                akin_report *out, akin_error *err)
{
    akin__meter meter;
    if (out) memset(out, 0, sizeof *out);
    akin_status rc = akin__meter_open(&meter, engine, progress, user, err);
    if (rc) return rc;
    rc = akin__reindex(engine, collection, model_dir, &meter, err);
    akin__meter_close(&meter, out);
    return rc;
}
