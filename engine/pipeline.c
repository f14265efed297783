/* The put pipeline: prepare | encode | store, a chunk at a time.
 *
 * A small put runs the three steps in the caller's thread; it shares the
 * encoder's batches and the store's transactions with other callers. A long one
 * (akin__flow_run) runs them in three threads joined by queues of two chunks, so
 * that decoding, encoding and the disk overlap and nothing piles up. The decode
 * pool works inside prepare, the encoder's threads inside encode (encode.c). */
#include "dupes.h"

#include <string.h>

/* ---- chunks ----------------------------------------------------------------------- */

akin_status akin__chunk_open(size_t capacity, akin__chunk **out,
                             akin_error *err)
{
    akin__chunk *chunk = akin_calloc(1, sizeof *chunk);
    if (!chunk) return akin__nomem(err);
    chunk->works = akin_calloc(capacity, sizeof *chunk->works);
    chunk->capacity = capacity;
    if (!chunk->works) {
        akin_free(chunk);
        return akin__nomem(err);
    }
    *out = chunk;
    return AKIN_OK;
}

void akin__chunk_close(akin__chunk *chunk)
{
    if (!chunk) return;
    for (size_t i = 0; i < chunk->n; i++) {
        akin__work *w = &chunk->works[i];
        akin_free(w->bytes);
        akin_item_clear(&w->existing);
        akin_buf_clear(&w->thumb);
        akin_free(w->made_caption);
        akin_free(w->made_attributes);
        akin_free(w->memory[0]);
        akin_free(w->memory[1]);
    }
    if (chunk->entered) akin__write_leave(chunk->collection);
    akin__view_release(chunk->view);
    akin_free(chunk->works);
    akin_free(chunk->pixels);
    akin_free(chunk->halves);
    akin_free(chunk);
}

/* Fixes the model for this chunk until it is stored. */
static akin_status chunk_enter(akin__chunk *chunk, akin__collection *c,
                               akin_error *err)
{
    akin_status rc = akin__write_enter(c, err);
    if (rc) return rc;
    chunk->collection = c;
    chunk->entered = true;
    chunk->view = akin__view_hold(c);
    bool needed = false;
    for (size_t i = 0; i < chunk->n; i++) {
        const akin__work *w = &chunk->works[i];
        needed |= w->file || w->in.picture.data || w->in.caption.size;
    }
    if (needed && !chunk->view->raw)
        rc = akin__view_model(c->engine, chunk->view, &chunk->model, err);
    return rc;
}

/* ---- store ------------------------------------------------------------------------------ */

static uint16_t *half_row(const akin__chunk *chunk, size_t i, akin_space space)
{
    return chunk->halves + (i * AKIN_SPACES + space) * chunk->view->dim;
}

static void fill_item(const akin__chunk *chunk, size_t i, akin_item_data *item)
{
    const akin__work *w = &chunk->works[i];
    const akin__view *view = chunk->view;

    item->id = w->in.id;
    item->attributes = w->in.attributes;
    item->caption = w->in.caption;
    if (w->has_image)
        item->vectors[AKIN_SPACE_IMAGE] =
            (akin_vector){half_row(chunk, i, AKIN_SPACE_IMAGE), view->dim,
                          w->norm > 0 ? w->norm : 1, view->fingerprint};
    if (w->has_caption)
        item->vectors[AKIN_SPACE_CAPTION] =
            (akin_vector){half_row(chunk, i, AKIN_SPACE_CAPTION), view->dim, 1,
                          view->fingerprint};
    if (w->file) {
        item->source = akin_span_of(w->file);
        item->source_mtime_ns = w->file_mtime_ns;
        item->source_size = w->file_size;
    } else if (w->in.path.size) {
        item->source = w->in.path;
        item->source_mtime_ns = w->in.modified_ms * 1000000;
        item->source_size = (int64_t)w->in.picture.size;
    }
    if (w->hashed) item->content_hash = w->hash; /* whose embedding it is */
    if (!w->new_picture) return;
    item->pixel_hash = w->pixel_hash;
    item->phashes = w->phashes;
    item->phash_count = AKIN__PHASHES;
    item->sketch = w->sketch;
    item->width = w->width;
    item->height = w->height;
    item->format = akin_span_of(w->format);
    if (w->thumb.size) item->thumb = (akin_span){w->thumb.data, w->thumb.size};
}

static void take_result(akin__work *w, const akin_write_result *from)
{
    static const akin_put_outcome outcomes[] = {
        [AKIN_UNCHANGED] = AKIN_PUT_UNCHANGED,
        [AKIN_CREATED] = AKIN_PUT_ADDED,
        [AKIN_UPDATED] = AKIN_PUT_UPDATED};
    if (from->status)
        akin__work_fail(w, from->status, from->error.message);
    else
        w->result.outcome = outcomes[from->outcome];
}

/* What is new is looked at at once, with some of what was left before. It stays
 * queued when that fails, so a failure is no reason to fail the put. */
static void look_for_dupes(const akin__chunk *chunk)
{
    akin_error error = {0};
    size_t pictures = 0;
    for (size_t i = 0; i < chunk->n; i++)
        pictures += chunk->works[i].new_picture;
    if (pictures && akin__dupes_look(chunk->collection, 2 * pictures, 0, false,
                                     NULL, &error))
        akin_log(AKIN_LOG_WARN, "duplicates in \"%s\": %s",
                 chunk->collection->name, error.message);
}

/* What was written: an item that had a picture and has none now leaves the table
 * of hashes; with another one it does when that is looked at. */
static void take_results(akin__chunk *chunk, const akin_write_result *results)
{
    for (size_t i = 0; i < chunk->n; i++) {
        akin__work *w = &chunk->works[i];
        if (w->result.status || w->skip) continue;
        const akin_write_result *r = results++;
        take_result(w, r);
        bool gone = !w->hashed && (w->in.vector || chunk->replace);
        if (gone && !r->status && r->outcome == AKIN_UPDATED)
            akin__dupes_forget(chunk->collection, r->num);
    }
}

akin_status akin__chunk_store(akin__chunk *chunk, akin_error *err)
{
    akin__collection *c = chunk->collection;
    size_t n = 0;
    akin_item_data *items = akin_calloc(chunk->n, sizeof *items);
    akin_write *ops = akin_calloc(chunk->n, sizeof *ops);
    akin_write_result *results = akin_calloc(chunk->n, sizeof *results);
    akin_status rc = items && ops && results ? AKIN_OK : akin__nomem(err);

    for (size_t i = 0; i < chunk->n && !rc; i++) {
        if (chunk->works[i].result.status || chunk->works[i].skip) continue;
        fill_item(chunk, i, &items[n]);
        ops[n] = (akin_write){.kind = AKIN_WRITE_PUT,
                              .collection = c->num,
                              .flags = chunk->replace ? AKIN_PUT_REPLACE : 0,
                              .item = &items[n]};
        n++;
    }
    if (!rc && n)
        rc = akin_storage_write(c->engine->storage, ops, n, results, err);
    bool changed = false;
    for (size_t i = 0; i < n && !rc; i++)
        changed |= results[i].seq != 0;
    if (!rc) take_results(chunk, results);
    if (!rc && changed) rc = akin__publish(c, results, n, err);
    if (!rc && changed) look_for_dupes(chunk);
    akin_free(items);
    akin_free(ops);
    akin_free(results);
    return rc;
}

/* ---- the long way: three threads ------------------------------------------------------------ */

typedef struct {
    const akin__flow *flow;
    akin_queue *to_encode, *to_store;
    pthread_mutex_t lock;
    akin_status rc; /* first failure of a step as a whole */
    akin_error error;
    atomic_bool stop;
} line;

static bool stopped(line *l)
{
    return atomic_load(&l->stop) ||
           (l->flow->stop && atomic_load(l->flow->stop));
}

static void line_fail(line *l, akin_status rc, const akin_error *error)
{
    pthread_mutex_lock(&l->lock);
    if (!l->rc) {
        l->rc = rc;
        l->error = *error;
    }
    pthread_mutex_unlock(&l->lock);
    atomic_store(&l->stop, true);
}

static void *encode_main(void *arg)
{
    line *l = arg;
    for (akin__chunk *chunk; (chunk = akin_queue_pop(l->to_encode));) {
        akin_error error = {0};
        akin_status rc =
            stopped(l) ? AKIN_CANCELLED : akin__chunk_encode(chunk, &error);
        if (rc && rc != AKIN_CANCELLED) line_fail(l, rc, &error);
        if (rc || !akin_queue_push(l->to_store, chunk))
            akin__chunk_close(chunk);
    }
    akin_queue_close(l->to_store);
    return NULL;
}

static void *store_main(void *arg)
{
    line *l = arg;
    for (akin__chunk *chunk; (chunk = akin_queue_pop(l->to_store));) {
        akin_error error = {0};
        akin_status rc = akin__chunk_store(chunk, &error);
        if (rc)
            line_fail(l, rc, &error);
        else if (l->flow->done)
            l->flow->done(l->flow->user, chunk);
        akin__chunk_close(chunk);
    }
    return NULL;
}

/* Reads and prepares chunks until there are no more. */
static akin_status feed_line(line *l, akin_error *err)
{
    const akin__flow *flow = l->flow;
    akin_status rc = AKIN_OK;

    while (!rc && !stopped(l)) {
        akin__chunk *chunk = NULL;
        rc = akin__chunk_open(flow->batch, &chunk, err);
        if (!rc) rc = flow->next(flow->user, chunk, err);
        if (rc || !chunk->n) {
            akin__chunk_close(chunk);
            break;
        }
        chunk->replace = flow->replace;
        rc = chunk_enter(chunk, flow->collection, err);
        if (!rc) rc = akin__chunk_prepare(chunk, err);
        if (rc || !akin_queue_push(l->to_encode, chunk))
            akin__chunk_close(chunk);
    }
    return rc;
}

akin_status akin__flow_run(const akin__flow *flow, akin_error *err)
{
    line l = {.flow = flow};
    pthread_t encode, store;

    akin_status rc = akin_queue_open(2, &l.to_encode, err);
    if (!rc) rc = akin_queue_open(2, &l.to_store, err);
    if (rc) goto done;
    pthread_mutex_init(&l.lock, NULL);
    int e = pthread_create(&store, NULL, store_main, &l);
    if (!e) {
        e = pthread_create(&encode, NULL, encode_main, &l);
        if (e) {
            akin_queue_close(l.to_store);
            pthread_join(store, NULL);
        }
    }
    if (e) {
        rc = akin_fail_errno(err, e, "cannot start the pipeline");
    } else {
        rc = feed_line(&l, err);
        akin_queue_close(l.to_encode);
        pthread_join(encode, NULL);
        pthread_join(store, NULL);
        if (!rc && l.rc) {
            rc = l.rc;
            if (err) *err = l.error;
        }
    }
    pthread_mutex_destroy(&l.lock);
done:
    akin_queue_free(l.to_encode);
    akin_queue_free(l.to_store);
    return rc;
}

/* ---- akin_engine_put --------------------------------------------------------------------------- */

typedef struct {
    const akin_item_input *items;
    size_t n, read, written;
    akin_put_result *results;
} put_source;

static akin_status put_next(void *user, akin__chunk *chunk, akin_error *err)
{
    put_source *s = user;
    (void)err;
    while (chunk->n < chunk->capacity && s->read < s->n) {
        akin__work *w = &chunk->works[chunk->n++];
        w->in = s->items[s->read++];
        w->describe = w->in.describe;
        w->caption_from = w->in.captions;
        if (!w->describe) continue;
        w->file_mtime_ns = w->in.modified_ms * 1000000;
        w->file_size = (int64_t)w->in.picture.size;
    }
    return AKIN_OK;
}

static void put_done(void *user, akin__chunk *chunk)
{
    put_source *s = user;
    for (size_t i = 0; i < chunk->n; i++)
        s->results[s->written++] = chunk->works[i].result;
}

/* One chunk, in the caller's thread. */
static akin_status put_chunk(akin__collection *c, put_source *s, bool replace,
                             akin_error *err)
{
    akin__chunk *chunk = NULL;
    akin_status rc = akin__chunk_open(s->n, &chunk, err);
    if (rc) return rc;
    rc = put_next(s, chunk, err);
    chunk->replace = replace;
    if (!rc) rc = chunk_enter(chunk, c, err);
    if (!rc) rc = akin__chunk_prepare(chunk, err);
    if (!rc) rc = akin__chunk_encode(chunk, err);
    if (!rc) rc = akin__chunk_store(chunk, err);
    if (!rc) put_done(s, chunk);
    akin__chunk_close(chunk);
    return rc;
}

/* The collection, made as the items need it when it is missing. */
static akin_status find_or_create(akin_engine *engine, const char *name,
                                  const akin_item_input *items, size_t n,
                                  bool may_create, akin__collection **out,
                                  akin_error *err)
{
    akin_collection_options options = {0};
    akin_status rc = akin__collection_find(engine, name, out, err);
    if (rc != AKIN_NOT_FOUND || !may_create) return rc;

    for (size_t i = 0; i < n; i++) {
        if (items[i].picture.data || items[i].caption.size) {
            options.dim = 0;
            break;
        }
        if (items[i].vector && !options.dim) options.dim = items[i].dim;
    }
    rc = akin_engine_create(engine, name, &options, err);
    if (rc && rc != AKIN_EXISTS) return rc;
    return akin__collection_find(engine, name, out, err);
}

akin_status akin_engine_put(akin_engine *engine, const char *collection,
                            const akin_item_input *items, size_t n,
                            const akin_put_options *options,
                            akin_put_result *results, akin_error *err)
{
    static const akin_put_options none;
    akin__collection *c;
    put_source source = {.items = items, .n = n, .results = results};

    if (!options) options = &none;
    akin_status rc = akin__writable(engine, err);
    if (!rc && !n) return AKIN_OK;
    if (!rc)
        rc = find_or_create(engine, collection, items, n, options->create, &c,
                            err);
    if (rc) return rc;

    size_t batch = (size_t)akin_config_uint(engine->config, "ingest.batch");
    if (n <= batch) {
        rc = put_chunk(c, &source, options->replace, err);
    } else {
        akin__flow flow = {.collection = c,
                           .batch = batch,
                           .replace = options->replace,
                           .next = put_next,
                           .done = put_done,
                           .user = &source};
        rc = akin__flow_run(&flow, err);
    }
    atomic_fetch_add(&engine->counters.puts, 1);
    atomic_fetch_add(&engine->counters.put_items, n);
    akin__collection_release(c);
    return rc;
}
