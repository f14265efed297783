/* Fields indexed on first heavy use. A filter that had to scan many items notes
 * the attributes it compared with literals; one that is noted often enough is
 * declared as a field by the maintenance thread, and the next filter finds its
 * items through an index. Fields declared at create are not touched. */
#include "internal.h"

#include <string.h>

#define HEAVY_NS    30000000u /* a selection that took so long was a scan */
#define HEAVY_ITEMS 10000
#define SCANS       3

static bool is_literal(const akin_predicate_node *n)
{
    return n->op == AKIN_P_NUMBER || n->op == AKIN_P_STRING ||
           n->op == AKIN_P_LIST;
}

/* What the field's values must be like, from what it is compared with. */
static akin_field_type type_of(const akin_predicate *p,
                               const akin_predicate_node *literal)
{
    if (literal->op == AKIN_P_LIST && literal->right)
        literal = &p->nodes[literal->left];
    return literal->op == AKIN_P_STRING ? AKIN_FIELD_STRING : AKIN_FIELD_NUMBER;
}

/* c->lock is held. */
static void note(akin__collection *c, akin_span name, akin_field_type type)
{
    akin__candidate *free_slot = NULL;
    if (name.size >= sizeof c->candidates[0].name) return;
    for (size_t i = 0; i < AKIN__CANDIDATES; i++) {
        akin__candidate *k = &c->candidates[i];
        if (!k->scans) {
            if (!free_slot) free_slot = k;
        } else if (k->type == type && strlen(k->name) == name.size &&
                   !memcmp(k->name, name.data, name.size)) {
            k->scans++;
            return;
        }
    }
    if (!free_slot) return;
    memcpy(free_slot->name, name.data, name.size);
    free_slot->name[name.size] = 0;
    free_slot->type = type;
    free_slot->scans = 1;
}

void akin__note_selection(akin__collection *c, const akin_predicate *p,
                          uint64_t ns)
{
    uint64_t live = 0;

    if (c->engine->read_only || ns < HEAVY_NS) return;
    akin__view *view = akin__view_hold(c);
    for (int space = 0; space < AKIN_SPACES; space++) {
        akin_index_stats stats;
        akin_index_get_stats(view->index[space], &stats);
        live += stats.live;
    }
    akin__view_release(view);
    if (live < HEAVY_ITEMS) return;
    pthread_mutex_lock(&c->lock);
    for (uint32_t i = 0; i < p->count; i++) {
        const akin_predicate_node *n = &p->nodes[i];
        if (n->op == AKIN_P_EACH) i += n->right; /* fields of elements */
        bool compares = n->op >= AKIN_P_EQ && n->op <= AKIN_P_IN;
        if (!compares) continue;
        const akin_predicate_node *a = &p->nodes[n->left];
        const akin_predicate_node *b = &p->nodes[n->right];
        if (a->op == AKIN_P_FIELD && is_literal(b))
            note(c, a->text, type_of(p, b));
        else if (b->op == AKIN_P_FIELD && is_literal(a) && n->op != AKIN_P_IN)
            note(c, b->text, type_of(p, a));
    }
    pthread_mutex_unlock(&c->lock);
}

static void declare(akin__collection *c, const akin__candidate *k)
{
    akin_error error = {0};
    akin_write op = {.kind = AKIN_WRITE_FIELD,
                     .collection = c->num,
                     .name = akin_span_of(k->name),
                     .type = k->type};
    akin_status rc =
        akin_storage_write(c->engine->storage, &op, 1, NULL, &error);
    if (!rc)
        akin_log(AKIN_LOG_INFO, "\"%s\": .%s is indexed from now on", c->name,
                 k->name);
    else if (rc != AKIN_EXISTS)
        akin_log(AKIN_LOG_WARN, "\"%s\": .%s cannot be indexed: %s", c->name,
                 k->name, error.message);
}

void akin__declare_fields(akin__collection *c)
{
    for (size_t i = 0; i < AKIN__CANDIDATES; i++) {
        pthread_mutex_lock(&c->lock);
        akin__candidate k = c->candidates[i];
        bool due = k.scans >= SCANS && !k.declared && !c->dropped;
        if (due) c->candidates[i].declared = true;
        pthread_mutex_unlock(&c->lock);
        if (due) declare(c, &k);
    }
}
