/* Items in the order of an attribute. */
#include "internal.h"

#include <string.h>

void akin_ordered_clear(akin_ordered *ordered)
{
    akin_ids_clear(&ordered->ids);
    akin_free(ordered->values);
    akin_free(ordered->times);
    memset(ordered, 0, sizeof *ordered);
}

static bool selected(void *user, uint64_t num)
{
    const akin__selection *selection = user;
    return akin_selector_has(&selection->selector, num);
}

typedef struct {
    akin_buf text;   /* ids, each with its NUL */
    size_t *offsets; /* (n) in text; SIZE_MAX: gone meanwhile */
} names;

static bool add_name(void *user, size_t at, const akin_item *item)
{
    names *l = user;
    l->offsets[at] = l->text.size;
    akin_buf_append(&l->text, item->id.data, item->id.size);
    akin_buf_append(&l->text, "", 1);
    return !l->text.failed;
}

/* Ids and values of what storage found, without what is gone. */
static akin_status name_values(akin__collection *c,
                               const akin_ordered_value *found, size_t n,
                               akin_ordered *out, akin_error *err)
{
    names l = {0};
    uint64_t *nums = akin_calloc(n + 1, sizeof *nums);
    akin_status rc = AKIN_OK;

    l.offsets = akin_calloc(n + 1, sizeof *l.offsets);
    out->ids.ids = akin_calloc(n + 1, sizeof *out->ids.ids);
    out->values = akin_calloc(n + 1, sizeof *out->values);
    out->times = akin_calloc(n + 1, sizeof *out->times);
    if (!nums || !l.offsets || !out->ids.ids || !out->values || !out->times)
        rc = akin__nomem(err);
    for (size_t i = 0; !rc && i < n; i++) {
        nums[i] = found[i].num;
        l.offsets[i] = SIZE_MAX;
    }
    if (!rc)
        rc = akin_storage_get_many(c->engine->storage, c->num, nums, n, 0,
                                   add_name, &l, err);
    if (!rc && l.text.failed) rc = akin__nomem(err);
    out->ids.memory = (char *)l.text.data;
    for (size_t i = 0; !rc && i < n; i++) {
        if (l.offsets[i] == SIZE_MAX) continue;
        size_t at = out->ids.n++;
        out->ids.ids[at] = out->ids.memory + l.offsets[i];
        out->values[at] = found[i].value;
        out->times[at] = found[i].time;
    }
    akin_free(nums);
    akin_free(l.offsets);
    return rc;
}

akin_status akin_engine_order(akin_engine *engine, const char *collection,
                              const akin_order *order, akin_ordered *out,
                              akin_error *err)
{
    akin__collection *c;
    akin__selection *selection = NULL;
    akin_ordered_value *found = NULL;
    size_t n = 0;
    akin_ordering ordering = {.path = akin_span_of(order->attribute),
                              .descending = order->descending,
                              .start = order->start,
                              .limit = order->limit};

    memset(out, 0, sizeof *out);
    if (order->limit < 1 || order->limit > AKIN_QUERY_MAX_K)
        return akin_fail(err, AKIN_INVALID, "expected a limit of 1 to %d",
                         AKIN_QUERY_MAX_K);
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    if (order->filter.text.size)
        rc = akin__select(c, order->filter, &selection, err);
    if (!rc && !(found = akin_calloc(order->limit, sizeof *found)))
        rc = akin__nomem(err);
    if (!rc)
        rc = akin_storage_order(engine->storage, c->num, &ordering,
                                selection ? selected : NULL, selection, found,
                                &n, err);
    if (!rc) rc = name_values(c, found, n, out, err);
    if (rc) akin_ordered_clear(out);
    akin_free(found);
    akin__selection_release(selection);
    akin__collection_release(c);
    return rc;
}
