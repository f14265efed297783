/* Puts and removes. A write prepares under write_lock all that can fail
 * (room in the delta, a larger map, a copy of the tombstones), and publishes
 * the next view under view_lock. */
#include "internal.h"

#include <string.h>

typedef struct {
    akin__view next;
    akin__dead *dead; /* a changed copy of the tombstones, once one is needed */
    akin__map grown;  /* a larger map, if one is needed */
    size_t killed;
} change;

static akin_status change_begin(const akin_index *index, change *c,
                                size_t labels, akin_error *err)
{
    memset(c, 0, sizeof *c);
    c->next = index->view;
    c->next.seq++;
    return akin__map_grown(&index->map, labels, &c->grown, err);
}

static void change_drop(change *c)
{
    akin__dead_unref(c->dead);
    akin__map_clear(&c->grown);
}

/* Copies the tombstones if any of the labels needs one. */
static akin_status change_dead(const akin_index *index, change *c,
                               const uint64_t *labels, size_t n,
                               akin_error *err)
{
    akin__place place;
    for (size_t i = 0; i < n && !c->dead; i++)
        if (akin__locate(&index->view, &index->map, labels[i], &place) &&
            place.row >= 0) {
            c->dead =
                akin__dead_copy(index->view.dead, index->view.gen->head.rows);
            if (!c->dead)
                return akin_fail(err, AKIN_NOMEM,
                                 "out of memory for the tombstones");
        }
    return AKIN_OK;
}

/* Makes the row that a label has now dead as of the next view. The map is not
 * changed before the commit, so a label that comes twice is looked at twice. */
static void change_kill(const akin_index *index, change *c, uint64_t label)
{
    akin__place place;
    if (!akin__locate(&index->view, &index->map, label, &place)) return;
    if (place.delta_row != AKIN__GONE) {
        if (akin__delta_died(index->view.delta, place.delta_row) != AKIN__ALIVE)
            return;
        akin__delta_kill(index->view.delta, place.delta_row, c->next.seq);
        c->next.delta_live--;
    } else {
        uint64_t row = (uint64_t)place.row;
        if (akin__bit(c->dead->words, row)) return;
        c->dead->words[row / 64] |= (uint64_t)1 << (row % 64);
        c->dead->count++;
    }
    c->killed++;
}

/* Publishes: the one moment at which searches change over. Labels get the
 * delta rows first, first+1, ..., or AKIN__GONE. */
static void change_commit(akin_index *index, change *c, const uint64_t *labels,
                          size_t n, uint32_t first)
{
    akin__map old_map = {0};
    akin__dead *old_dead = NULL;
    uint32_t earlier;
    pthread_mutex_lock(&index->view_lock);
    if (c->grown.keys) {
        old_map = index->map;
        index->map = c->grown;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t row = first == AKIN__GONE ? AKIN__GONE : first + (uint32_t)i;
        /* the same label earlier in this put */
        if (first != AKIN__GONE &&
            akin__map_find(&index->map, labels[i], &earlier) &&
            earlier != AKIN__GONE && earlier >= first) {
            akin__delta_kill(c->next.delta, earlier, c->next.seq);
            c->next.delta_live--;
        }
        akin__map_set(&index->map, labels[i], row);
    }
    if (c->dead) {
        old_dead = index->view.dead;
        c->next.dead = c->dead;
    }
    index->view = c->next;
    pthread_mutex_unlock(&index->view_lock);
    akin__dead_unref(old_dead);
    akin__map_clear(&old_map);
}

static akin_status check_vectors(const akin_index *index,
                                 const uint64_t *labels,
                                 const uint16_t *vectors, size_t n,
                                 float *norms, akin_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (!labels[i] || labels[i] > AKIN_INDEX_MAX_LABEL)
            return akin_fail(err, AKIN_INVALID, "%llu is not a label",
                             (unsigned long long)labels[i]);
        norms[i] = akin__inverse_norm(vectors + i * index->dim, index->dim);
        if (norms[i] == 0)
            return akin_fail(err, AKIN_INVALID,
                             "the vector of label %llu is zero or not finite",
                             (unsigned long long)labels[i]);
    }
    return AKIN_OK;
}

akin_status akin_index_put_many(akin_index *index, const uint64_t *labels,
                                const uint16_t *vectors, size_t n,
                                akin_error *err)
{
    float *norms = akin_alloc(n * sizeof *norms);
    akin__delta *delta;
    size_t first;
    change c;
    akin_status rc;
    if (!norms)
        return akin_fail(err, AKIN_NOMEM, "out of memory for %zu vectors", n);
    rc = check_vectors(index, labels, vectors, n, norms, err);
    if (rc || !n) goto done;

    pthread_mutex_lock(&index->write_lock);
    delta = index->view.delta;
    first = delta->rows;
    rc = change_begin(index, &c, n, err);
    if (!rc) rc = akin__delta_reserve(delta, n, err);
    if (!rc) rc = change_dead(index, &c, labels, n, err);
    if (rc) {
        change_drop(&c);
    } else {
        for (size_t i = 0; i < n; i++) {
            akin__delta_append(delta, labels[i], vectors + i * index->dim,
                               norms[i]);
            change_kill(index, &c, labels[i]);
        }
        c.next.delta_live += n;
        c.next.delta_rows = delta->rows;
        change_commit(index, &c, labels, n, (uint32_t)first);
    }
    pthread_mutex_unlock(&index->write_lock);
done:
    akin_free(norms);
    return rc;
}

akin_status akin_index_remove(akin_index *index, const uint64_t *labels,
                              size_t n, size_t *removed, akin_error *err)
{
    uint64_t *known = akin_alloc(n * sizeof *known);
    size_t n_known = 0;
    akin__place place;
    change c = {0};
    akin_status rc = AKIN_OK;
    if (removed) *removed = 0;
    if (!known)
        return akin_fail(err, AKIN_NOMEM, "out of memory for %zu labels", n);
    pthread_mutex_lock(&index->write_lock);
    /* unknown labels must not fill the map */
    for (size_t i = 0; i < n; i++)
        if (labels[i] &&
            akin__locate(&index->view, &index->map, labels[i], &place))
            known[n_known++] = labels[i];
    if (!n_known) goto done;
    rc = change_begin(index, &c, n_known, err);
    if (!rc) rc = change_dead(index, &c, known, n_known, err);
    if (rc) {
        change_drop(&c);
        goto done;
    }
    for (size_t i = 0; i < n_known; i++)
        change_kill(index, &c, known[i]);
    change_commit(index, &c, known, n_known, AKIN__GONE);
    if (removed) *removed = c.killed;
done:
    pthread_mutex_unlock(&index->write_lock);
    akin_free(known);
    return rc;
}
