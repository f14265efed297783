/* Aliases: the store's list, kept in memory under engine.lock. It is replaced
 * whole after each change, so that readers see all of a change or nothing. A
 * change that is committed has been made, whatever becomes of reading the list
 * again: where that fails, the next who needs the list reads it. */
#include "internal.h"

#include <string.h>

typedef struct {
    struct akin__alias *aliases;
    size_t n, capacity;
    akin_status rc;
    akin_error *err;
} gathering;

static bool add(void *user, const char *alias, uint32_t collection)
{
    gathering *g = user;

    g->rc = akin_grow(&g->aliases, &g->capacity, g->n + 1, sizeof *g->aliases,
                      g->err);
    if (g->rc) return false;
    struct akin__alias *a = &g->aliases[g->n++];
    snprintf(a->name, sizeof a->name, "%s", alias);
    a->collection = collection;
    return true;
}

akin_status akin__aliases_load(akin_engine *engine, akin_error *err)
{
    gathering g = {.err = err};
    akin_status rc = akin_storage_aliases(engine->storage, add, &g, err);

    if (!rc) rc = g.rc;
    if (rc) {
        akin_free(g.aliases);
        return rc;
    }
    akin_free(engine->aliases);
    engine->aliases = g.aliases;
    engine->naliases = g.n;
    engine->aliases_stale = false;
    return AKIN_OK;
}

void akin__aliases_changed(akin_engine *engine)
{
    akin_error error = {0};

    engine->aliases_stale = true;
    if (akin__aliases_load(engine, &error))
        akin_log(AKIN_LOG_WARN, "aliases are read again later: %s",
                 error.message);
}

uint32_t akin__alias_find(const akin_engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->naliases; i++)
        if (!strcmp(engine->aliases[i].name, name))
            return engine->aliases[i].collection;
    return 0;
}

akin_status akin_engine_name(akin_engine *engine, const char *collection,
                             char *out, akin_error *err)
{
    akin__collection *c;
    akin_status rc = akin__collection_find(engine, collection, &c, err);

    if (rc) return rc;
    if (out) memcpy(out, c->name, sizeof c->name);
    akin__collection_release(c);
    return AKIN_OK;
}

void akin__real_name(akin_engine *engine, const char *name, char *out)
{
    if (akin_engine_name(engine, name, out, NULL))
        snprintf(out, AKIN_NAME_BYTES + 1, "%s", name);
}

/* The changes in numbers; engine.lock is held. */
static akin_status translate(akin_engine *engine,
                             const akin_alias_change *changes, size_t n,
                             akin_alias_op *ops, akin_error *err)
{
    for (size_t i = 0; i < n; i++) {
        const akin_alias_change *c = &changes[i];
        ops[i] = (akin_alias_op){.name = akin_span_of(c->alias),
                                 .to = akin_span_of(c->rename)};
        if (c->rename || !c->collection) continue;
        for (akin__collection *at = engine->collections; at; at = at->next)
            if (!strcmp(at->name, c->collection)) ops[i].collection = at->num;
        if (!ops[i].collection)
            return akin_fail(err, AKIN_NOT_FOUND, "no collection \"%s\"",
                             c->collection);
    }
    return AKIN_OK;
}

akin_status akin_engine_change_aliases(akin_engine *engine,
                                       const akin_alias_change *changes,
                                       size_t n, akin_error *err)
{
    akin_write_result result = {0};

    akin_status rc = akin__writable(engine, err);
    if (rc || !n) return rc;
    if (n > AKIN_MAX_ALIAS_CHANGES)
        return akin_fail(err, AKIN_INVALID,
                         "expected at most %d changes of aliases, got %zu",
                         AKIN_MAX_ALIAS_CHANGES, n);
    akin_alias_op *ops = akin_calloc(n, sizeof *ops);
    if (!ops) return akin__nomem(err);
    akin_write op = {.kind = AKIN_WRITE_ALIASES, .aliases = ops, .naliases = n};
    /* Held while the store writes: the list and the store change as one. */
    pthread_mutex_lock(&engine->lock);
    rc = translate(engine, changes, n, ops, err);
    if (!rc) rc = akin_storage_write(engine->storage, &op, 1, &result, err);
    if (!rc && result.status) {
        if (err) *err = result.error;
        rc = result.status;
    }
    if (!rc) akin__aliases_changed(engine);
    pthread_mutex_unlock(&engine->lock);
    akin_free(ops);
    return rc;
}

akin_status akin_engine_aliases(akin_engine *engine, akin_alias **out,
                                size_t *n, akin_error *err)
{
    akin_status rc = AKIN_OK;

    *n = 0;
    pthread_mutex_lock(&engine->lock);
    if (engine->read_only || engine->aliases_stale)
        rc = akin__aliases_load(engine, err);
    *out = akin_calloc(engine->naliases + 1, sizeof **out);
    if (!rc && !*out) rc = akin__nomem(err);
    for (size_t i = 0; !rc && i < engine->naliases; i++) {
        const struct akin__alias *a = &engine->aliases[i];
        const akin__collection *c = engine->collections;
        while (c && c->num != a->collection)
            c = c->next;
        if (!c) continue; /* a reader that has not met it yet */
        memcpy((*out)[*n].name, a->name, sizeof a->name);
        memcpy((*out)[(*n)++].collection, c->name, sizeof c->name);
    }
    pthread_mutex_unlock(&engine->lock);
    if (rc) {
        akin_free(*out);
        *out = NULL;
    }
    return rc;
}
