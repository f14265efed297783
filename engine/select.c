/* What a filter leaves, as a bitmap for the index. Asking storage costs a scan
 * of the attributes at worst, half a second at a million items, so each
 * collection remembers its last selections. After writes one is brought up to
 * date by asking about the items that they changed, some microseconds each. */
#include "internal.h"

#include <string.h>

void akin__selection_release(akin__selection *selection)
{
    if (!selection || atomic_fetch_sub(&selection->refs, 1) != 1) return;
    akin_selector_clear(&selection->selector);
    akin_free(selection->text);
    akin_free(selection);
}

static bool matches(const akin__selection *s, akin_filter filter)
{
    return s && s->missing_is_false == filter.missing_is_false &&
           strlen(s->text) == filter.text.size &&
           !memcmp(s->text, filter.text.data, filter.text.size);
}

/* The newest selection of the filter, whatever its version. collection.lock is
 * held. */
static akin__selection *newest(akin__collection *c, akin_filter filter)
{
    akin__selection *found = NULL;
    for (size_t i = 0; i < AKIN__SELECTIONS; i++) {
        akin__selection *s = c->selections[i];
        if (matches(s, filter) && (!found || s->version > found->version))
            found = s;
    }
    if (!found) return NULL;
    found->used = ++c->clock;
    atomic_fetch_add(&found->refs, 1);
    return found;
}

/* ---- what has changed ---------------------------------------------------------- */

void akin__changes_note(akin__collection *c, uint64_t version,
                        const akin_write_result *results, size_t n)
{
    akin__changes *l = &c->changes;
    if (!l->ring) l->ring = akin_calloc(AKIN__CHANGES, sizeof *l->ring);
    if (!l->ring || n > AKIN__CHANGES) {
        l->before = version;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (results[i].status) continue;
        size_t at = (size_t)(l->n % AKIN__CHANGES);
        if (l->n++ >= AKIN__CHANGES && l->ring[at].version > l->before)
            l->before = l->ring[at].version;
        l->ring[at].version = version;
        l->ring[at].num = results[i].num;
    }
}

/* The items changed after `version`, (*n) for akin_free; NULL: none, or not
 * known any more (*known). collection.lock is held. */
static uint64_t *changed_since(const akin__collection *c, uint64_t version,
                               size_t *n, bool *known)
{
    const akin__changes *l = &c->changes;
    uint64_t first = l->n, oldest = 0;
    uint64_t *nums = NULL;
    if (l->n > AKIN__CHANGES) oldest = l->n - AKIN__CHANGES;
    *n = 0;
    *known = version >= l->before;
    if (!*known) return NULL;
    while (first > oldest &&
           l->ring[(first - 1) % AKIN__CHANGES].version > version)
        first--;
    if (first < l->n) nums = akin_calloc((size_t)(l->n - first), sizeof *nums);
    *known = nums || first == l->n;
    for (; nums && first < l->n; first++)
        nums[(*n)++] = l->ring[first % AKIN__CHANGES].num;
    return nums;
}

/* ---- the cache ------------------------------------------------------------------ */

/* In place of an older one of the filter, or of the one not used for longest;
 * not when another thread was quicker with a newer one. */
static void remember(akin__collection *c, akin__selection *selection)
{
    akin_filter filter = {.text = akin_span_of(selection->text),
                          .missing_is_false = selection->missing_is_false};
    pthread_mutex_lock(&c->lock);
    size_t slot = 0;
    for (size_t i = 1; i < AKIN__SELECTIONS; i++) {
        const akin__selection *s = c->selections[i];
        const akin__selection *oldest = c->selections[slot];
        if (oldest && (!s || s->used < oldest->used)) slot = i;
    }
    for (size_t i = 0; i < AKIN__SELECTIONS; i++)
        if (matches(c->selections[i], filter)) slot = i;
    akin__selection *old = c->selections[slot];
    bool newer = !matches(old, filter) || old->version <= selection->version;
    if (newer) {
        c->selections[slot] = selection;
        selection->used = ++c->clock;
        atomic_fetch_add(&selection->refs, 1);
    }
    pthread_mutex_unlock(&c->lock);
    if (newer) akin__selection_release(old);
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

/* Of `old` and of the n items that changed since. */
static akin_status ask_about(akin__collection *c,
                             const akin_predicate *predicate,
                             const akin_selector *old, const uint64_t *nums,
                             size_t n, marking *m)
{
    size_t bytes = old->n_words * sizeof *old->words;
    uint64_t most = old->n_words ? old->n_words * 64 - 1 : 0;
    akin_status rc = akin_selector_init(m->selector, most, m->err);
    if (rc) return rc;
    if (bytes) memcpy(m->selector->words, old->words, bytes);
    for (size_t i = 0; i < n; i++)
        if (nums[i] / 64 < m->selector->n_words)
            m->selector->words[nums[i] / 64] &= ~((uint64_t)1 << nums[i] % 64);
    (void)akin_selector_count(m->selector);
    return akin_storage_select_among(c->engine->storage, c->num, predicate,
                                     nums, n, mark, m, m->err);
}

static akin_status ask_storage(akin__collection *c,
                               const akin_predicate *predicate, marking *m)
{
    uint64_t started = akin_mono_ns();
    akin_status rc = akin_selector_init(m->selector, 0, m->err);
    if (!rc)
        rc = akin_storage_select(c->engine->storage, c->num, predicate, mark, m,
                                 m->err);
    if (!rc) akin__note_selection(c, predicate, akin_mono_ns() - started);
    return rc;
}

/* A new selection, from an old one of the same filter if there is one. */
static akin_status make(akin__collection *c, akin_filter filter,
                        uint64_t version, const akin__selection *old,
                        const uint64_t *nums, size_t n, akin__selection **out,
                        akin_error *err)
{
    akin__expression expression = {0};
    akin__selection *s = akin_calloc(1, sizeof *s);
    if (!s) return akin__nomem(err);
    marking m = {.selector = &s->selector, .err = err};
    atomic_store(&s->refs, 1);
    s->version = version;
    s->missing_is_false = filter.missing_is_false;
    s->text = akin_strndup(filter.text.data, filter.text.size);
    akin_status rc = s->text ? akin__filter_parse(filter, &expression, err)
                             : akin__nomem(err);
    if (!rc)
        rc = old ? ask_about(c, &expression.predicate, &old->selector, nums, n,
                             &m)
                 : ask_storage(c, &expression.predicate, &m);
    akin__expression_clear(&expression);
    if (!rc) rc = m.rc;
    if (rc)
        akin__selection_release(s);
    else
        *out = s;
    return rc;
}

akin_status akin__select(akin__collection *c, akin_filter filter,
                         akin__selection **out, akin_error *err)
{
    akin__counters *counters = &c->engine->counters;
    uint64_t *nums = NULL;
    bool known = false;
    size_t n = 0;

    /* Read before the store is asked: a change in between makes the entry old,
     * never wrong. */
    pthread_mutex_lock(&c->lock);
    uint64_t version = atomic_load(&c->version);
    akin__selection *old = newest(c, filter);
    if (old && old->version < version)
        nums = changed_since(c, old->version, &n, &known);
    pthread_mutex_unlock(&c->lock);
    *out = old;
    if (old && old->version >= version) {
        atomic_fetch_add(&counters->filter_hits, 1);
        return AKIN_OK;
    }
    atomic_fetch_add(known ? &counters->filter_hits : &counters->filter_misses,
                     1);
    akin_status rc =
        make(c, filter, version, known ? old : NULL, nums, n, out, err);
    akin__selection_release(old);
    akin_free(nums);
    if (rc) *out = NULL;
    if (!rc) remember(c, *out);
    return rc;
}
