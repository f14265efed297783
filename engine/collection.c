/* Collections: the list, one's life from create to drop, and the gate that
 * keeps a change of model away from writers (see akin__write_enter). */
#include "dupes.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* ---- one collection's life ----------------------------------------------------- */

/* A collection without a name, in the store: of nobody any more. */
void akin__collection_drop(akin_engine *engine, uint32_t num)
{
    akin_write op = {.kind = AKIN_WRITE_DROP, .collection = num};
    akin_error error = {0};

    if (akin_storage_write(engine->storage, &op, 1, NULL, &error))
        akin_log(AKIN_LOG_WARN, "collection %u: %s", num, error.message);
}

static void collection_free(akin__collection *c)
{
    if (c->replaced) akin__collection_drop(c->engine, c->num);
    for (size_t i = 0; i < AKIN__SELECTIONS; i++)
        akin__selection_release(c->selections[i]);
    akin_free(c->changes.ring);
    akin__view_release(c->view);
    akin__dupes_close(c->dupes);
    if (c->dropped) {
        char *dir = akin_format("%s/%u", c->engine->index_dir, c->num);
        if (dir) (void)akin_dir_remove(dir, NULL);
        akin_free(dir);
    }
    pthread_mutex_destroy(&c->renewing);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->calm);
    akin_free(c);
}

void akin__collection_hold(akin__collection *c)
{
    atomic_fetch_add(&c->refs, 1);
}

void akin__collection_release(akin__collection *c)
{
    if (c && atomic_fetch_sub(&c->refs, 1) == 1) collection_free(c);
}

/* The settings of a collection are a JSON object; today: {"recall": 0.9}. */
float akin__settings_recall(const char *settings)
{
    json_t *object = json_loads(settings ? settings : "{}", 0, NULL);
    double recall = json_number_value(json_object_get(object, "recall"));
    json_decref(object);
    return recall > 0 && recall <= 1 ? (float)recall : 0;
}

/* Opens what storage has under `from`; engine.lock is not needed. */
static akin_status collection_open(akin_engine *engine,
                                   const akin_collection *from,
                                   akin__collection **out, akin_error *err)
{
    akin__collection *c = akin_calloc(1, sizeof *c);
    if (!c) return akin__nomem(err);
    atomic_store(&c->refs, 1);
    c->engine = engine;
    c->num = from->collection;
    snprintf(c->name, sizeof c->name, "%s", from->name);
    pthread_mutex_init(&c->renewing, NULL);
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->calm, NULL);
    atomic_store(&c->version, from->seq);
    c->changes.before = from->seq;
    c->recall = akin__settings_recall(from->settings);
    akin_status rc = akin__view_open(engine, from, 0, &c->view, err);
    if (rc) {
        collection_free(c);
        return rc;
    }
    *out = c;
    return AKIN_OK;
}

/* ---- the list ------------------------------------------------------------------- */

static akin__collection *lookup(akin_engine *engine, const char *name)
{
    for (akin__collection *c = engine->collections; c; c = c->next)
        if (!strcmp(c->name, name)) return c;
    return NULL;
}

/* Puts c into the list, sorted by name. engine.lock is held. */
static void insert(akin_engine *engine, akin__collection *c)
{
    akin__collection **link = &engine->collections;
    while (*link && strcmp((*link)->name, c->name) < 0)
        link = &(*link)->next;
    c->next = *link;
    *link = c;
}

/* Takes c out of the list if it is there. engine.lock is held. */
static bool take_out(akin_engine *engine, akin__collection *c)
{
    akin__collection **link = &engine->collections;

    while (*link && *link != c)
        link = &(*link)->next;
    if (!*link) return false;
    *link = c->next;
    return true;
}

typedef struct {
    uint32_t *nums;
    size_t n, capacity;
    akin_status rc;
    akin_error *err;
} numbers;

static bool add_number(void *user, const akin_collection *from)
{
    numbers *l = user;
    l->rc =
        akin_grow(&l->nums, &l->capacity, l->n + 1, sizeof *l->nums, l->err);
    if (!l->rc) l->nums[l->n++] = from->collection;
    return !l->rc;
}

/* Folders under index/ whose collection is gone: a crash came between its drop
 * and the removal. */
static void remove_orphans(akin_engine *engine)
{
    DIR *dir = opendir(engine->index_dir);
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));) {
        char *end;
        unsigned long num = strtoul(e->d_name, &end, 10);
        bool known = *end || end == e->d_name;
        for (akin__collection *c = engine->collections; c && !known;
             c = c->next)
            known = c->num == num;
        char *path =
            known ? NULL : akin_format("%s/%s", engine->index_dir, e->d_name);
        if (path) (void)akin_dir_remove(path, NULL);
        akin_free(path);
    }
    closedir(dir);
}

akin_status akin__collections_open(akin_engine *engine, akin_error *err)
{
    numbers l = {.err = err};
    akin_status rc =
        akin_storage_collections(engine->storage, add_number, &l, err);
    if (!rc) rc = l.rc;
    for (size_t i = 0; i < l.n && !rc; i++) {
        akin_collection from = {0};
        akin__collection *c;
        rc = akin_storage_collection_by_num(engine->storage, l.nums[i], &from,
                                            err);
        bool hidden = !rc && *from.name == AKIN_HIDDEN;
        if (hidden && !engine->read_only)
            akin__collection_drop(engine, l.nums[i]);
        if (!rc && !hidden) rc = collection_open(engine, &from, &c, err);
        if (!rc && !hidden) insert(engine, c);
        akin_collection_clear(&from);
    }
    akin_free(l.nums);
    if (!rc) rc = akin__aliases_load(engine, err);
    if (!rc && !engine->read_only) remove_orphans(engine);
    return rc;
}

void akin__collections_close(akin_engine *engine)
{
    while (engine->collections) {
        akin__collection *c = engine->collections;
        engine->collections = c->next;
        akin__collection_release(c);
    }
    akin_free(engine->aliases);
    engine->aliases = NULL;
}

static akin_status not_found(const char *name, akin_error *err)
{
    return akin_fail(err, AKIN_NOT_FOUND, "no collection \"%s\"", name);
}

/* A reader beside a writer: what happened since it looked last. AKIN_NOT_FOUND:
 * the writer dropped it, or put another in its place. */
static akin_status refresh(akin__collection *c, akin_error *err)
{
    akin_collection now = {0};
    akin_status rc =
        akin_storage_collection_by_num(c->engine->storage, c->num, &now, err);
    if (!rc && strcmp(now.name, c->name)) {
        rc = not_found(c->name, err);
        akin_collection_clear(&now);
    }
    if (rc) return rc;

    akin__view *view = akin__view_hold(c);
    bool other_model =
        memcmp(view->fingerprint, now.current.model, AKIN_HASH_BYTES) != 0;
    if (atomic_load(&c->version) != now.seq || other_model) {
        rc = other_model ? AKIN_CANCELLED : akin__view_catch_up(c, view, err);
        if (rc == AKIN_CANCELLED) {
            akin__view *fresh;
            rc = akin__view_open(c->engine, &now, AKIN__EVERY_SPACE, &fresh,
                                 err);
            if (!rc) akin__view_swap(c, fresh);
        }
        if (!rc) { /* nobody said what has changed */
            pthread_mutex_lock(&c->lock);
            atomic_store(&c->version, now.seq);
            c->changes.before = now.seq;
            pthread_mutex_unlock(&c->lock);
        }
    }
    akin__view_release(view);
    akin_collection_clear(&now);
    return rc;
}

static akin__collection *lookup_num(akin_engine *engine, uint32_t num)
{
    akin__collection *c = engine->collections;
    while (c && c->num != num)
        c = c->next;
    return c;
}

/* A reader that does not know a name asks the store: it may be new. */
static akin_status open_late(akin_engine *engine, const char *name,
                             akin__collection **out, akin_error *err)
{
    akin_collection from = {0};
    akin_status rc = akin__aliases_load(engine, err);
    uint32_t num = akin__alias_find(engine, name);
    if (rc) return rc;
    if (num && (*out = lookup_num(engine, num))) return AKIN_OK;
    rc = num ? akin_storage_collection_by_num(engine->storage, num, &from, err)
             : akin_storage_collection(engine->storage, akin_span_of(name),
                                       &from, err);
    if (rc == AKIN_NOT_FOUND) return not_found(name, err);
    if (rc) return rc;
    rc = collection_open(engine, &from, out, err);
    akin_collection_clear(&from);
    if (!rc) insert(engine, *out);
    return rc;
}

/* By name or alias, held. engine.lock is held. */
static akin_status find(akin_engine *engine, const char *name,
                        akin__collection **out, akin_error *err)
{
    akin_status rc = AKIN_OK;
    akin__collection *c = lookup(engine, name);
    if (!c && engine->read_only)
        rc = open_late(engine, name, &c, err);
    else if (!c && engine->aliases_stale)
        rc = akin__aliases_load(engine, err);
    if (!c && !rc) c = lookup_num(engine, akin__alias_find(engine, name));
    if (!c && !rc) rc = not_found(name, err);
    if (rc) return rc;
    akin__collection_hold(c);
    *out = c;
    return AKIN_OK;
}

akin_status akin__collection_find_now(akin_engine *engine, const char *name,
                                      akin__collection **out, akin_error *err)
{
    if (engine->read_only || pthread_mutex_trylock(&engine->lock))
        return akin_fail(err, AKIN_BUSY, "the collections are in use");
    /* Only an alias has to be read anew. */
    akin_status rc = engine->aliases_stale && !lookup(engine, name)
                         ? akin_fail(err, AKIN_BUSY, "the aliases are changing")
                         : find(engine, name, out, err);
    pthread_mutex_unlock(&engine->lock);
    return rc;
}

/* Out of a reader's list, so that its name is looked up in the store again. */
static void forget(akin_engine *engine, akin__collection *c)
{
    pthread_mutex_lock(&engine->lock);
    bool listed = take_out(engine, c);
    pthread_mutex_unlock(&engine->lock);
    if (listed) akin__collection_release(c);
}

akin_status akin__collection_find(akin_engine *engine, const char *name,
                                  akin__collection **out, akin_error *err)
{
    akin__collection *c;
    akin_status rc;

    do {
        pthread_mutex_lock(&engine->lock);
        rc = find(engine, name, &c, err);
        pthread_mutex_unlock(&engine->lock);
        if (rc) return rc;
        if (engine->read_only) rc = refresh(c, err);
        if (!rc) {
            *out = c;
            return AKIN_OK;
        }
        if (rc == AKIN_NOT_FOUND) forget(engine, c);
        akin__collection_release(c);
    } while (rc == AKIN_NOT_FOUND);
    return rc;
}

akin_status akin__collections_all(akin_engine *engine, akin__collection ***out,
                                  size_t *n, akin_error *err)
{
    size_t count = 0;
    akin_status rc = AKIN_OK;

    pthread_mutex_lock(&engine->lock);
    for (akin__collection *c = engine->collections; c; c = c->next)
        count++;
    akin__collection **all = akin_calloc(count + 1, sizeof *all);
    if (!all) rc = akin__nomem(err);
    *n = 0;
    for (akin__collection *c = engine->collections; c && all; c = c->next) {
        akin__collection_hold(c);
        all[(*n)++] = c;
    }
    pthread_mutex_unlock(&engine->lock);
    *out = all;
    return rc;
}

void akin__collections_release(akin__collection **all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        akin__collection_release(all[i]);
    akin_free(all);
}

/* ---- the gate between writers and a change of model -------------------------------- */

akin_status akin__write_enter(akin__collection *c, akin_error *err)
{
    pthread_mutex_lock(&c->lock);
    while (c->frozen && !c->dropped)
        pthread_cond_wait(&c->calm, &c->lock);
    bool dropped = c->dropped, replaced = c->replaced;
    if (!dropped) c->writers++;
    pthread_mutex_unlock(&c->lock);
    if (replaced)
        return akin_fail(err, AKIN_BUSY,
                         "collection \"%s\" was just recovered from a "
                         "snapshot, try again",
                         c->name);
    return dropped ? not_found(c->name, err) : AKIN_OK;
}

void akin__write_leave(akin__collection *c)
{
    pthread_mutex_lock(&c->lock);
    if (!--c->writers) pthread_cond_broadcast(&c->calm);
    pthread_mutex_unlock(&c->lock);
}

void akin__freeze(akin__collection *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->frozen)
        pthread_cond_wait(&c->calm, &c->lock);
    c->frozen = true;
    while (c->writers)
        pthread_cond_wait(&c->calm, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

void akin__thaw(akin__collection *c)
{
    pthread_mutex_lock(&c->lock);
    c->frozen = false;
    pthread_cond_broadcast(&c->calm);
    pthread_mutex_unlock(&c->lock);
}

akin_status akin__publish(akin__collection *c, const akin_write_result *results,
                          size_t n, akin_error *err)
{
    akin__view *view = akin__view_hold(c);
    pthread_mutex_lock(&c->lock);
    uint64_t version = atomic_fetch_add(&c->version, 1) + 1;
    akin__changes_note(c, version, results, n);
    pthread_mutex_unlock(&c->lock);
    akin_status rc = akin__view_catch_up(c, view, err);
    akin__view_release(view);
    return rc;
}

/* ---- create, drop -------------------------------------------------------------------- */

akin_status akin__check_collection_name(const char *name, akin_error *err)
{
    size_t n = name ? strlen(name) : 0;
    if (n < 1 || n > AKIN_NAME_BYTES)
        return akin_fail(err, AKIN_INVALID,
                         "collection name: expected 1 to %d bytes, got %zu",
                         AKIN_NAME_BYTES, n);
    bool good = akin__is_utf8(akin_span_of(name));
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 32 || name[i] == 127 || name[i] == '/')
            good = false;
    return good ? AKIN_OK
                : akin_fail(err, AKIN_INVALID,
                            "collection name: expected UTF-8 without control "
                            "characters and \"/\"");
}

static akin_status create_op(akin_engine *engine,
                             const akin_collection_options *options,
                             akin_write *op, akin_error *err)
{
    const char *dir =
        options->model_dir ? options->model_dir : engine->model_dir;
    static const uint8_t raw[AKIN_HASH_BYTES];
    akin__model *model;

    if (options->dim > AKIN_INDEX_MAX_DIM)
        return akin_fail(err, AKIN_INVALID,
                         "expected 1 to %d dimensions, got %u",
                         AKIN_INDEX_MAX_DIM, options->dim);
    op->dim = options->dim;
    op->model = raw;
    if (op->dim) return AKIN_OK;
    if (!dir)
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "a collection needs a model (--model DIR) or, for raw "
                         "vectors, a number of dimensions");
    akin_status rc = akin__model_get(engine, dir, &model, err);
    if (rc) return rc;
    op->model = model->info->fingerprint_bytes;
    op->model_path = akin_span_of(model->dir);
    op->dim = model->info->dim;
    return AKIN_OK;
}

static akin_status add_field(akin_engine *engine, uint32_t collection,
                             const akin_field *field, akin_error *err)
{
    static const akin_field_type types[] = {
        [AKIN_ATTRIBUTE_NUMBER] = AKIN_FIELD_NUMBER,
        [AKIN_ATTRIBUTE_STRING] = AKIN_FIELD_STRING,
        [AKIN_ATTRIBUTE_BOOL] = AKIN_FIELD_BOOL,
        [AKIN_ATTRIBUTE_TAGS] = AKIN_FIELD_TAGS,
        [AKIN_ATTRIBUTE_DATETIME] = AKIN_FIELD_DATETIME};
    akin_write op = {.kind = AKIN_WRITE_FIELD,
                     .collection = collection,
                     .name = akin_span_of(field->name),
                     .type = types[field->type]};
    akin_write_result result = {0};

    akin_status rc = akin_storage_write(engine->storage, &op, 1, &result, err);
    if (rc || !result.status) return rc;
    if (err) *err = result.error;
    return result.status;
}

static akin_status add_fields(akin_engine *engine, uint32_t collection,
                              const akin_collection_options *options,
                              akin_error *err)
{
    akin_status rc = AKIN_OK;

    for (size_t i = 0; i < options->nfields && !rc; i++)
        rc = add_field(engine, collection, &options->fields[i], err);
    return rc;
}

akin_status akin_engine_add_field(akin_engine *engine, const char *collection,
                                  const akin_field *field, akin_error *err)
{
    akin__collection *c;

    akin_status rc = akin__writable(engine, err);
    if (!rc && (unsigned)field->type > AKIN_ATTRIBUTE_DATETIME)
        rc = akin_fail(err, AKIN_INVALID, "no such type of field");
    if (!rc) rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    rc = add_field(engine, c->num, field, err);
    akin__collection_release(c);
    return rc;
}

akin_status akin_engine_drop_field(akin_engine *engine, const char *collection,
                                   const char *name, akin_error *err)
{
    akin__collection *c;

    akin_status rc = akin__writable(engine, err);
    if (!rc) rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    akin_write op = {.kind = AKIN_WRITE_UNFIELD,
                     .collection = c->num,
                     .name = akin_span_of(name)};
    rc = akin_storage_write(engine->storage, &op, 1, NULL, err);
    akin__collection_release(c);
    return rc;
}

/* Creates in storage and opens; engine.lock is not held. */
static akin_status create(akin_engine *engine, const char *name,
                          const akin_collection_options *options,
                          akin__collection **out, akin_error *err)
{
    akin_write op = {.kind = AKIN_WRITE_CREATE, .name = akin_span_of(name)};
    akin_write_result result = {0};
    akin_collection from = {0};

    char settings[64] = "{}";

    if (options->recall > 0)
        snprintf(settings, sizeof settings, "{\"recall\": %.4f}",
                 (double)options->recall);
    op.settings = akin_span_of(settings);
    akin_status rc = create_op(engine, options, &op, err);
    if (!rc) rc = akin_storage_write(engine->storage, &op, 1, &result, err);
    if (!rc && result.status) {
        if (err) *err = result.error;
        rc = result.status;
    }
    if (!rc) rc = add_fields(engine, (uint32_t)result.num, options, err);
    if (!rc)
        rc = akin_storage_collection(engine->storage, akin_span_of(name), &from,
                                     err);
    if (!rc) rc = collection_open(engine, &from, out, err);
    akin_collection_clear(&from);
    if (rc && result.num) /* as if it had never been */
        akin__collection_drop(engine, (uint32_t)result.num);
    return rc;
}

static akin_status exists_already(akin_engine *engine, const char *name,
                                  akin_error *err)
{
    char real[AKIN_NAME_BYTES + 1];
    akin__real_name(engine, name, real);
    if (strcmp(real, name))
        return akin_fail(err, AKIN_EXISTS,
                         "\"%s\" is an alias of collection \"%s\"", name, real);
    return akin_fail(err, AKIN_EXISTS, "collection \"%s\" exists already",
                     name);
}

akin_status akin_engine_create(akin_engine *engine, const char *name,
                               const akin_collection_options *options,
                               akin_error *err)
{
    static const akin_collection_options none;
    akin__collection *c;

    akin_status rc = akin__writable(engine, err);
    if (!rc) rc = akin__check_collection_name(name, err);
    if (!options) options = &none;
    if (!rc && options->nfields > AKIN_MAX_FIELDS)
        rc = akin_fail(err, AKIN_INVALID, "expected at most %d fields, got %zu",
                       AKIN_MAX_FIELDS, options->nfields);
    if (!rc && !(options->recall >= 0 && options->recall <= 1))
        rc = akin_fail(err, AKIN_INVALID, "expected a recall of 0 to 1");
    for (size_t i = 0; !rc && i < options->nfields; i++)
        if ((unsigned)options->fields[i].type > AKIN_ATTRIBUTE_DATETIME)
            rc = akin_fail(err, AKIN_INVALID, "field %zu: no such type", i + 1);
    if (!rc) rc = create(engine, name, options, &c, err);
    if (rc == AKIN_EXISTS) return exists_already(engine, name, err);
    if (rc) return rc;
    pthread_mutex_lock(&engine->lock);
    insert(engine, c);
    pthread_mutex_unlock(&engine->lock);
    return AKIN_OK;
}

akin_status akin_engine_drop(akin_engine *engine, const char *name,
                             akin_error *err)
{
    akin__collection *c;
    akin_status rc = akin__writable(engine, err);
    if (!rc) rc = akin__collection_find(engine, name, &c, err);
    if (rc) return rc;
    if (strcmp(c->name, name)) { /* the name is free for another meaning */
        rc = akin_fail(err, AKIN_NOT_FOUND,
                       "no collection \"%s\", it is an alias of \"%s\"", name,
                       c->name);
        akin__collection_release(c);
        return rc;
    }

    akin__jobs_cancel_collection(engine->jobs, name);
    akin__freeze(c);
    pthread_mutex_lock(&engine->lock);
    bool mine = take_out(engine, c);
    pthread_mutex_unlock(&engine->lock);

    if (mine) {
        akin_write op = {.kind = AKIN_WRITE_DROP, .collection = c->num};
        rc = akin_storage_write(engine->storage, &op, 1, NULL, err);
        pthread_mutex_lock(&c->lock);
        c->dropped = !rc;
        pthread_mutex_unlock(&c->lock);
        if (rc) {
            pthread_mutex_lock(&engine->lock);
            insert(engine, c);
            pthread_mutex_unlock(&engine->lock);
        } else {
            pthread_mutex_lock(&engine->lock);
            akin__aliases_changed(engine);
            pthread_mutex_unlock(&engine->lock);
            akin__collection_release(c); /* the list's */
        }
    } else {
        rc = not_found(name, err);
    }
    akin__thaw(c);
    akin__collection_release(c);
    return rc;
}

/* The store's change and the list's; old (frozen) may be NULL. */
static akin_status swap_in(akin_engine *engine, akin__collection *fresh,
                           akin__collection *old, const char *name,
                           akin_error *err)
{
    akin_write_result result = {0};
    akin_write op = {.kind = AKIN_WRITE_REPLACE,
                     .collection = fresh->num,
                     .name = akin_span_of(name),
                     .num = old ? old->num : 0};

    pthread_mutex_lock(&engine->lock);
    akin__collection *now = lookup(engine, name);
    akin_status rc =
        now == old ? akin_storage_write(engine->storage, &op, 1, &result, err)
                   : akin_fail(err, AKIN_CANCELLED,
                               "collection \"%s\" was changed meanwhile", name);
    if (!rc && result.status) {
        if (err) *err = result.error;
        rc = result.status;
    }
    if (!rc) {
        if (old) (void)take_out(engine, old);
        snprintf(fresh->name, sizeof fresh->name, "%s", name);
        insert(engine, fresh);
        akin__aliases_changed(engine);
    }
    pthread_mutex_unlock(&engine->lock);
    return rc;
}

akin_status akin__collection_replace(akin_engine *engine, const char *name,
                                     uint32_t num, bool replace,
                                     akin_error *err)
{
    akin__collection *fresh = NULL, *old = NULL;
    akin_collection from = {0};

    akin_status rc =
        akin_storage_collection_by_num(engine->storage, num, &from, err);
    if (!rc) rc = collection_open(engine, &from, &fresh, err);
    akin_collection_clear(&from);
    if (!rc && akin__collection_find(engine, name, &old, NULL)) old = NULL;
    if (old && !replace) {
        rc = akin_fail(err, AKIN_EXISTS, "there is a collection '%s'", name);
        akin__collection_release(old);
        old = NULL;
    }
    if (old) {
        akin__jobs_cancel_collection(engine->jobs, name);
        akin__freeze(old);
    }
    if (!rc) rc = swap_in(engine, fresh, old, name, err);
    if (old) {
        pthread_mutex_lock(&old->lock);
        old->dropped = old->replaced = !rc;
        pthread_mutex_unlock(&old->lock);
        if (!rc) akin__collection_release(old); /* the list's */
        akin__thaw(old);
        akin__collection_release(old);
    }
    if (rc) {
        akin__collection_release(fresh);
        akin__collection_drop(engine, num);
    }
    return rc;
}
