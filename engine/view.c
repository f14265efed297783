/* A view: the two indexes over one model's vectors of one collection. The store
 * is the truth; what goes into an index comes out of the store, in the order of
 * its change numbers, under view.apply. A writer commits first and then calls
 * akin__view_catch_up: whoever gets the lock applies what is there, of others
 * too, so that two writers of one item can never leave the older vector on
 * top, and a put that failed half way is caught up by the next. Opening does
 * the same from where the newest generation ends. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(AKIN_MAX_NUM == AKIN_INDEX_MAX_LABEL, "numbers are labels");

static const char *const space_names[AKIN_SPACES] = {"image", "caption"};

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i]) return false;
    return true;
}

/* ---- changes from storage to index ---------------------------------------------- */

#define BATCH 1024

/* Removals come first, then vectors; both are handed on in batches. */
typedef struct {
    akin_index *index;
    akin__drift *drift; /* NULL: what is fed is not new */
    akin_space space;
    uint32_t dim;
    uint64_t *labels;  /* (BATCH) */
    uint16_t *vectors; /* (BATCH, dim) */
    size_t n;
    bool removing;
    akin_status rc;
    akin_error *err;
} feed;

static bool flush(feed *f)
{
    if (f->n && !f->rc)
        f->rc = f->removing
                    ? akin_index_remove(f->index, f->labels, f->n, NULL, f->err)
                    : akin_index_put_many(f->index, f->labels, f->vectors, f->n,
                                          f->err);
    if (f->n && !f->rc && !f->removing && f->drift)
        akin__drift_put(f->drift, f->space, f->vectors, f->n);
    f->n = 0;
    return f->rc == AKIN_OK;
}

static bool on_change(void *user, const akin_change *change)
{
    feed *f = user;
    bool removing = !change->vector;

    if ((f->n == BATCH || removing != f->removing) && !flush(f)) return false;
    f->removing = removing;
    if (!removing && change->dim != f->dim) {
        f->rc = akin_fail(f->err, AKIN_CORRUPT,
                          "item %llu: expected %u dimensions, stored are %u",
                          (unsigned long long)change->num, f->dim, change->dim);
        return false;
    }
    if (!removing)
        memcpy(f->vectors + f->n * f->dim, change->vector,
               f->dim * sizeof *f->vectors);
    f->labels[f->n++] = change->num;
    return true;
}

/* view.apply is held. */
static akin_status feed_space(akin_storage *storage, uint32_t collection,
                              akin__view *view, akin_space space, bool news,
                              akin_error *err)
{
    feed f = {.index = view->index[space],
              .drift = news ? view->drift : NULL,
              .space = space,
              .dim = view->dim,
              .err = err};
    uint64_t upto = 0, since = atomic_load(&view->applied[space]);

    f.labels = akin_calloc(BATCH, sizeof *f.labels);
    f.vectors = akin_calloc(BATCH, view->dim * sizeof *f.vectors);
    akin_status rc = f.labels && f.vectors ? AKIN_OK : akin__nomem(err);
    if (!rc)
        rc = akin_storage_changes(storage, collection, space, view->fingerprint,
                                  since, on_change, &f, &upto, err);
    if (!rc) {
        flush(&f);
        rc = f.rc;
    }
    if (!rc) atomic_store(&view->applied[space], upto);
    akin_free(f.labels);
    akin_free(f.vectors);
    return rc;
}

/* news: what comes was put just now. */
static akin_status catch_up(akin_storage *storage, uint32_t collection,
                            akin__view *view, bool news, akin_error *err)
{
    akin_status rc = AKIN_OK;
    pthread_mutex_lock(&view->apply);
    for (int space = 0; space < AKIN_SPACES && !rc; space++)
        rc = feed_space(storage, collection, view, space, news, err);
    pthread_mutex_unlock(&view->apply);
    return rc;
}

akin_status akin__view_catch_up(akin__collection *c, akin__view *view,
                                akin_error *err)
{
    return catch_up(c->engine->storage, c->num, view, true, err);
}

/* ---- opening ---------------------------------------------------------------------- */

static void view_close(akin__view *view)
{
    for (int i = 0; i < AKIN_SPACES; i++)
        akin_index_close(view->index[i]);
    akin__drift_close(view->drift);
    pthread_mutex_destroy(&view->apply);
    akin_free(view->model_dir);
    akin_free(view->dir);
    akin_free(view);
}

void akin__view_release(akin__view *view)
{
    if (view && atomic_fetch_sub(&view->refs, 1) == 1) view_close(view);
}

/* wipe: without the generations that are there; a reader beside a writer leaves
 * them where they are. */
static akin_status open_space(akin_engine *engine, akin__view *view,
                              akin_space space, float recall, bool wipe,
                              akin_error *err)
{
    const akin_config *config = engine->config;
    akin_index_options options = {
        .dim = view->dim,
        .read_only = engine->read_only,
        .exact_below = akin_config_uint(config, "index.exact-below"),
        .build_threads = akin__threads(engine),
        .recall = recall > 0 ? recall
                             : (float)akin_config_real(config, "index.recall")};
    char *dir = NULL;
    uint64_t covered = 0;
    akin_status rc = AKIN_OK;

    memcpy(options.fingerprint, view->hex, sizeof options.fingerprint);
    if (!(wipe && engine->read_only)) {
        dir = akin_format("%s/%s", view->dir, space_names[space]);
        if (!dir) return akin__nomem(err);
        options.dir = dir;
        if (wipe) rc = akin_dir_remove(dir, err);
    }
    if (!rc) rc = akin_index_open(&options, &view->index[space], &covered, err);
    atomic_store(&view->applied[space], covered);
    akin_free(dir);
    return rc;
}

char *akin__view_dir(const akin_engine *engine, uint32_t collection,
                     const uint8_t fingerprint[AKIN_HASH_BYTES])
{
    char hex[2 * AKIN_HASH_BYTES + 1];
    akin_hex(fingerprint, AKIN_HASH_BYTES, hex);
    return akin_format("%s/%u/%.16s", engine->index_dir, collection, hex);
}

static akin_status try_open(akin_engine *engine, const akin_collection *from,
                            unsigned wipe, akin__view **out, akin_error *err)
{
    akin__view *view = akin_calloc(1, sizeof *view);
    if (!view) return akin__nomem(err);
    atomic_store(&view->refs, 1);
    pthread_mutex_init(&view->apply, NULL);
    memcpy(view->fingerprint, from->current.model, AKIN_HASH_BYTES);
    akin_hex(view->fingerprint, AKIN_HASH_BYTES, view->hex);
    view->raw = all_zero(view->fingerprint, AKIN_HASH_BYTES);
    view->dim = from->current.dim;

    view->dir = akin__view_dir(engine, from->collection, view->fingerprint);
    akin_status rc = view->dir ? AKIN_OK : akin__nomem(err);
    if (!rc) rc = akin__drift_open(view->dim, &view->drift, err);
    if (!rc && !view->raw) {
        view->model_dir =
            akin_strdup(from->current.path ? from->current.path : "");
        if (!view->model_dir) rc = akin__nomem(err);
    }
    for (int i = 0; i < AKIN_SPACES && !rc; i++)
        rc = open_space(engine, view, i, akin__settings_recall(from->settings),
                        wipe & 1u << i, err);
    if (!rc) rc = catch_up(engine->storage, from->collection, view, false, err);
    if (rc) {
        view_close(view);
        return rc;
    }
    *out = view;
    return AKIN_OK;
}

akin_status akin__view_open(akin_engine *engine, const akin_collection *from,
                            unsigned wipe, akin__view **out, akin_error *err)
{
    akin_status rc = try_open(engine, from, wipe, out, err);
    /* The store no longer has the removals that an old generation lacks. */
    if (rc == AKIN_CANCELLED && wipe != AKIN__EVERY_SPACE)
        rc = try_open(engine, from, AKIN__EVERY_SPACE, out, err);
    if (rc) akin_fail_prefix(err, rc, "index of \"%s\"", from->name);
    return rc;
}

/* ---- holding and swapping ----------------------------------------------------------- */

akin__view *akin__view_hold(akin__collection *c)
{
    pthread_mutex_lock(&c->lock);
    akin__view *view = c->view;
    atomic_fetch_add(&view->refs, 1);
    pthread_mutex_unlock(&c->lock);
    return view;
}

void akin__view_swap(akin__collection *c, akin__view *view)
{
    pthread_mutex_lock(&c->lock);
    akin__view *old = c->view;
    c->view = view;
    pthread_mutex_unlock(&c->lock);
    akin__view_release(old);
}

/* ---- damage --------------------------------------------------------------------------- */

unsigned akin__view_damaged(const akin__view *view)
{
    unsigned damaged = 0;
    for (int i = 0; i < AKIN_SPACES; i++)
        if (akin_index_damaged(view->index[i])) damaged |= 1u << i;
    return damaged;
}

/* In place of `damaged`, unless something else has taken that already: a change
 * of model, say, of which `fresh` knows nothing. */
static akin_status put_in_place(akin__collection *c, akin__view *damaged,
                                akin__view *fresh, akin_error *err)
{
    akin__freeze(c);
    akin_status rc = akin__view_catch_up(c, fresh, err);
    pthread_mutex_lock(&c->lock);
    bool still = c->view == damaged && !rc;
    pthread_mutex_unlock(&c->lock);
    if (still) akin__view_swap(c, fresh);
    akin__thaw(c);
    if (!still) akin__view_release(fresh);
    return rc;
}

akin_status akin__view_renew(akin__collection *c, akin__view *damaged,
                             const char *why, akin_error *err)
{
    akin_collection from = {0};
    akin__view *fresh;
    akin_status rc = AKIN_OK;

    pthread_mutex_lock(&c->renewing);
    akin__view *now = akin__view_hold(c);
    if (now == damaged) {
        akin_log(AKIN_LOG_WARN, "index of \"%s\" is read from the store: %s",
                 c->name, why);
        rc = akin_storage_collection_by_num(c->engine->storage, c->num, &from,
                                            err);
        if (!rc)
            rc = akin__view_open(c->engine, &from, akin__view_damaged(damaged),
                                 &fresh, err);
        if (!rc) rc = put_in_place(c, damaged, fresh, err);
        akin_collection_clear(&from);
    }
    akin__view_release(now);
    pthread_mutex_unlock(&c->renewing);
    return rc;
}

void akin__view_verify(akin__collection *c)
{
    akin__view *view = akin__view_hold(c);
    akin_error error = {0}, why = {0};
    akin_status rc = AKIN_OK;

    for (int i = 0; i < AKIN_SPACES && !rc; i++)
        rc = akin_index_verify(view->index[i], akin__go_on, c->engine, &why);
    if (rc == AKIN_CORRUPT)
        rc = akin__view_renew(c, view, why.message, &error);
    else
        error = why;
    if (rc && rc != AKIN_CANCELLED)
        akin_log(AKIN_LOG_WARN, "index of \"%s\": %s", c->name, error.message);
    akin__view_release(view);
}

/* ---- its model ------------------------------------------------------------------------ */

static bool same_model(const akin__model *model, const akin__view *view)
{
    return !memcmp(model->info->fingerprint_bytes, view->fingerprint,
                   AKIN_HASH_BYTES);
}

akin_status akin__view_model(akin_engine *engine, const akin__view *view,
                             akin__model **out, akin_error *err)
{
    const char *dirs[] = {view->model_dir, engine->model_dir};
    akin_error first = {0};
    akin_status rc = AKIN_OK;

    if (view->raw)
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "the collection holds raw vectors and has no model: "
                         "it takes no text or picture");
    for (int i = 0; i < 2; i++) {
        akin_error error = {0};
        akin__model *model = NULL;
        if (!dirs[i] || !dirs[i][0]) continue;
        akin_status one = akin__model_get(engine, dirs[i], &model, &error);
        if (!one && same_model(model, view)) {
            *out = model;
            return AKIN_OK;
        }
        if (!one)
            one = akin_fail(&error, AKIN_WRONG_MODEL,
                            "the collection's vectors are of model %.12s, but "
                            "%s is %.12s; go back to that model, or embed "
                            "everything again with this one: akin reindex "
                            "--embed --model %s",
                            view->hex, dirs[i], model->info->fingerprint,
                            dirs[i]);
        /* A wrong model says more than a missing directory. */
        if (!rc || one == AKIN_WRONG_MODEL) {
            rc = one;
            first = error;
        }
    }
    if (!rc)
        return akin_fail(err, AKIN_WRONG_MODEL,
                         "the collection's vectors are of model %.12s, which "
                         "is not here; name its directory with --model",
                         view->hex);
    if (err) *err = first;
    return rc;
}

/* ---- building ---------------------------------------------------------------------------- */

/* Captions stand for text queries when the picture index is measured: words
 * are out of distribution for picture vectors. (n, dim), NULL when there are
 * too few. */
float *akin__text_sample(akin__view *view, size_t *n)
{
    enum { WANT = 512, ENOUGH = 64 };
    akin_index *captions = view->index[AKIN_SPACE_CAPTION];
    uint64_t labels[WANT];
    float *out = NULL;

    *n = akin_index_sample(captions, 1, WANT, labels);
    if (*n >= ENOUGH) out = akin_calloc(*n, view->dim * sizeof *out);
    if (!out) {
        *n = 0;
        return NULL;
    }
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++)
        if (!akin_index_get(captions, labels[i], out + kept * view->dim, NULL))
            kept++;
    *n = kept;
    return out;
}

/* Removals that every generation has seen need not be remembered. A space
 * without a generation is read whole when opened, and needs none. */
static akin_status trim(akin__collection *c, akin__view *view, akin_error *err)
{
    uint64_t upto = UINT64_MAX;
    for (int i = 0; i < AKIN_SPACES; i++) {
        akin_index_stats stats;
        akin_index_get_stats(view->index[i], &stats);
        uint64_t seen = stats.generation ? stats.covered_seq
                                         : atomic_load(&view->applied[i]);
        if (seen < upto) upto = seen;
    }
    if (!upto) return AKIN_OK;
    akin_write op = {
        .kind = AKIN_WRITE_TRIM, .collection = c->num, .seq = upto};
    return akin_storage_write(c->engine->storage, &op, 1, NULL, err);
}

akin_status akin__space_build(akin__collection *c, akin__view *view,
                              akin_space space, bool retrain,
                              const akin__shape *shape,
                              akin_build_progress *progress, void *user,
                              akin_build_report *report, akin_error *err)
{
    akin_build_params params = {
        .retrain = retrain,
        .nlist = shape ? shape->nlist : 0,
        .m = shape ? shape->m : 0,
        .memory_bytes = akin_config_uint(c->engine->config, "index.memory"),
        .seed = 1,
        .progress = progress,
        .user = user};
    akin_build_report own = {0};
    float *texts = NULL;

    if (!report) report = &own;
    if (space == AKIN_SPACE_IMAGE)
        texts = akin__text_sample(view, &params.n_text);
    params.text_queries = texts;
    pthread_mutex_lock(&view->apply); /* all up to here has returned */
    uint64_t covered = atomic_load(&view->applied[space]);
    pthread_mutex_unlock(&view->apply);
    akin_status rc =
        akin_index_build(view->index[space], covered, &params, report, err);
    if (!rc) {
        pthread_mutex_lock(&view->apply);
        memcpy(view->why[space], report->why, sizeof view->why[space]);
        pthread_mutex_unlock(&view->apply);
        rc = trim(c, view, err);
    }
    akin_free(texts);
    return rc;
}
