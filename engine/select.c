/* What a filter leaves, as a bitmap for the index. Asking storage costs a scan
 * of the attributes at worst, so each collection remembers its last selections
 * while it does not change. */
#include "internal.h"

#include <string.h>

void akin__selection_release(akin__selection *selection)
{
    if (!selection || atomic_fetch_sub(&selection->refs, 1) != 1) return;
    akin_selector_clear(&selection->selector);
    akin_free(selection->text);
    akin_free(selection);
}

static bool matches(const akin__selection *s, akin_filter filter,
                    uint64_t version)
{
    return s && s->version == version &&
           s->missing_is_false == filter.missing_is_false &&
           strlen(s->text) == filter.text.size &&
           !memcmp(s->text, filter.text.data, filter.text.size);
}

static akin__selection *cached(akin__collection *c, akin_filter filter,
                               uint64_t version)
{
    akin__selection *found = NULL;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < AKIN__SELECTIONS && !found; i++)
        if (matches(c->selections[i], filter, version))
            found = c->selections[i];
    if (found) {
        found->used = ++c->clock;
        atomic_fetch_add(&found->refs, 1);
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

/* In place of the one not used for longest. */
static void remember(akin__collection *c, akin__selection *selection)
{
    pthread_mutex_lock(&c->lock);
    size_t slot = 0;
    for (size_t i = 1; i < AKIN__SELECTIONS; i++) {
        const akin__selection *s = c->selections[i];
        const akin__selection *oldest = c->selections[slot];
        if (oldest && (!s || s->used < oldest->used)) slot = i;
    }
    akin__selection *old = c->selections[slot];
    c->selections[slot] = selection;
    selection->used = ++c->clock;
    atomic_fetch_add(&selection->refs, 1);
    pthread_mutex_unlock(&c->lock);
    akin__selection_release(old);
}

typedef struct {
    akin_selector *selector;
    akin_status rc;
    akin_error *err;
} marking;

static bool mark(void *user, const uint64_t *nums, size_t n)
{
    marking *m = user;
    for (size_t i = 0; i < n && !m->rc; i++)
        m->rc = akin_selector_set(m->selector, nums[i], m->err);
    return !m->rc;
}

static akin_status ask_storage(akin__collection *c, akin_filter filter,
                               akin_selector *out, akin_error *err)
{
    akin__expression expression;
    marking m = {.selector = out, .err = err};
    akin_status rc = akin__filter_parse(filter, &expression, err);
    if (rc) return rc;
    uint64_t started = akin_mono_ns();
    rc = akin_selector_init(out, 0, err);
    if (!rc)
        rc = akin_storage_select(c->engine->storage, c->num,
                                 &expression.predicate, mark, &m, err);
    if (!rc)
        akin__note_selection(c, &expression.predicate,
                             akin_mono_ns() - started);
    akin__expression_clear(&expression);
    return rc ? rc : m.rc;
}

akin_status akin__select(akin__collection *c, akin_filter filter,
                         akin__selection **out, akin_error *err)
{
    akin__counters *counters = &c->engine->counters;
    /* Read before the store is asked: a change in between makes the entry old,
     * never wrong. */
    uint64_t version = atomic_load(&c->version);

    *out = cached(c, filter, version);
    if (*out) {
        atomic_fetch_add(&counters->filter_hits, 1);
        return AKIN_OK;
    }
    atomic_fetch_add(&counters->filter_misses, 1);
    akin__selection *s = akin_calloc(1, sizeof *s);
    if (!s) return akin__nomem(err);
    atomic_store(&s->refs, 1);
    s->version = version;
    s->missing_is_false = filter.missing_is_false;
    s->text = akin_strndup(filter.text.data, filter.text.size);
    akin_status rc =
        s->text ? ask_storage(c, filter, &s->selector, err) : akin__nomem(err);
    if (rc) {
        akin__selection_release(s);
        return rc;
    }
    remember(c, s);
    *out = s;
    return AKIN_OK;
}
