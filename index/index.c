/* An index's life, and reading single labels: internal.h says how views work. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

/* ---- views ------------------------------------------------------------------- */

/* Under view_lock. */
static akin__view view_ref(const akin_index *index)
{
    akin__view view = index->view;
    atomic_fetch_add(&view.delta->refs, 1);
    if (view.gen) atomic_fetch_add(&view.gen->refs, 1);
    if (view.dead) atomic_fetch_add(&view.dead->refs, 1);
    if (view.curves) atomic_fetch_add(&view.curves->refs, 1);
    return view;
}

akin__view akin__view_get(const akin_index *index)
{
    akin__view view;
    /* the lock is not part of what const promises */
    pthread_mutex_t *lock = (pthread_mutex_t *)&index->view_lock;
    pthread_mutex_lock(lock);
    view = view_ref(index);
    pthread_mutex_unlock(lock);
    return view;
}

void akin__view_drop(akin__view *view)
{
    akin__gen_unref(view->gen);
    akin__dead_unref(view->dead);
    akin__curves_unref(view->curves);
    akin__delta_unref(view->delta);
    memset(view, 0, sizeof *view);
}

uint64_t akin__view_live(const akin__view *view)
{
    uint64_t rows = view->gen ? view->gen->head.rows : 0;
    return rows - (view->dead ? view->dead->count : 0) + view->delta_live;
}

akin__dead *akin__dead_copy(const akin__dead *from, uint64_t rows)
{
    size_t bytes = (size_t)((rows + 63) / 64) * sizeof(uint64_t);
    akin__dead *dead = akin_alloc(sizeof *dead + bytes);
    if (!dead) return NULL;
    atomic_init(&dead->refs, 1);
    dead->count = from ? from->count : 0;
    if (from)
        memcpy(dead->words, from->words, bytes);
    else
        memset(dead->words, 0, bytes);
    return dead;
}

void akin__dead_unref(akin__dead *dead)
{
    if (dead && atomic_fetch_sub(&dead->refs, 1) == 1) akin_free(dead);
}

akin__curves *akin__curves_new(const akin__curve_set *set)
{
    akin__curves *curves = akin_calloc(1, sizeof *curves);
    if (!curves) return NULL;
    atomic_init(&curves->refs, 1);
    curves->set = *set;
    return curves;
}

void akin__curves_unref(akin__curves *curves)
{
    if (curves && atomic_fetch_sub(&curves->refs, 1) == 1) akin_free(curves);
}

/* ---- opening ------------------------------------------------------------------ */

static akin_status open_generation(akin_index *index, uint64_t number,
                                   akin_error *err)
{
    char *path = akin__gen_path(index->dir, number);
    akin_status rc;
    int fd;
    if (!path) return akin_fail(err, AKIN_NOMEM, "out of memory");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        rc = akin_fail_errno(err, errno, "cannot open %s", path);
    } else {
        rc = akin__gen_open(fd, path, index->dim, index->fingerprint, true,
                            &index->view.gen, err);
        close(fd);
    }
    akin_free(path);
    return rc;
}

/* The newest generation that is sound. Damage is not an error: storage has
 * every vector, and the owner puts them again. */
static akin_status open_newest(akin_index *index, akin_error *err)
{
    uint64_t number = UINT64_MAX;
    akin_error why = {0};
    akin_status rc =
        index->read_only ? AKIN_OK : akin_dir_make(index->dir, err);
    if (rc) return rc;
    atomic_store(&index->number, akin__newest(index->dir, UINT64_MAX));
    while ((number = akin__newest(index->dir, number)) && !index->view.gen) {
        rc = open_generation(index, number, &why);
        if (rc == AKIN_NOMEM) return akin_fail(err, rc, "%s", why.message);
        if (rc)
            akin_log(AKIN_LOG_WARN, "index: generation left out: %s",
                     why.message);
    }
    /* leftovers of a crash; beside a writer they are what it builds */
    if (!index->read_only && index->view.gen &&
        index->view.gen->head.number == atomic_load(&index->number))
        akin__remove_others(index->dir, index->view.gen->head.number);
    return AKIN_OK;
}

static akin_status check_options(const akin_index_options *o, akin_error *err)
{
    if (o->dim < 1 || o->dim > AKIN_INDEX_MAX_DIM)
        return akin_fail(err, AKIN_INVALID,
                         "expected 1 to %u dimensions, got %u",
                         AKIN_INDEX_MAX_DIM, o->dim);
    if (!(o->recall >= 0 && o->recall <= 1))
        return akin_fail(err, AKIN_INVALID,
                         "expected a recall from 0 to 1, got %g",
                         (double)o->recall);
    if (!memchr(o->fingerprint, 0, sizeof o->fingerprint))
        return akin_fail(err, AKIN_INVALID, "the fingerprint is too long");
    return AKIN_OK;
}

akin_status akin_index_open(const akin_index_options *options, akin_index **out,
                            uint64_t *covered_seq, akin_error *err)
{
    akin_index *index;
    akin_status rc = check_options(options, err);
    *covered_seq = 0;
    if (rc) return rc;
    index = akin_calloc(1, sizeof *index);
    if (!index) return akin_fail(err, AKIN_NOMEM, "out of memory");
    pthread_mutex_init(&index->write_lock, NULL);
    pthread_mutex_init(&index->view_lock, NULL);
    index->dim = options->dim;
    index->read_only = options->read_only;
    index->build_threads =
        options->build_threads ? options->build_threads : akin_cpu_count();
    index->exact_below = options->exact_below ? options->exact_below : 20000;
    index->recall = options->recall > 0 ? options->recall : 0.95f;
    memcpy(index->fingerprint, options->fingerprint, sizeof index->fingerprint);
    index->view.delta = akin__delta_new(index->dim);
    index->dir = options->dir ? akin_strdup(options->dir) : NULL;
    if (!index->view.delta || (options->dir && !index->dir)) {
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        goto done;
    }
    if (index->dir) rc = open_newest(index, err);
    if (rc || !index->view.gen) goto done;
    *covered_seq = index->view.gen->head.covered_seq;
    index->view.curves = akin__curves_new(&index->view.gen->curves);
    if (!index->view.curves) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
done:
    if (rc)
        akin_index_close(index);
    else
        *out = index;
    return rc;
}

akin_status akin__build_pool(const akin_index *index, akin_pool **pool,
                             akin_error *err)
{
    *pool = NULL;
    if (index->build_threads < 2) return AKIN_OK;
    return akin_pool_open(index->build_threads - 1, 0, "index", pool, err);
}

akin_status akin_index_verify(akin_index *index, akin_build_progress *progress,
                              void *user, akin_error *err)
{
    akin__view view = akin__view_get(index);
    akin_status rc =
        view.gen ? akin__gen_verify(view.gen, progress, user, err) : AKIN_OK;
    akin__view_drop(&view);
    return rc;
}

bool akin_index_damaged(const akin_index *index)
{
    akin__view view = akin__view_get(index);
    bool damaged = view.gen && atomic_load(&view.gen->damaged);
    akin__view_drop(&view);
    return damaged;
}

void akin_index_close(akin_index *index)
{
    if (!index) return;
    akin__view_drop(&index->view);
    akin__map_clear(&index->map);
    pthread_mutex_destroy(&index->write_lock);
    pthread_mutex_destroy(&index->view_lock);
    akin_free(index->dir);
    akin_free(index);
}

/* ---- single labels --------------------------------------------------------- */

bool akin__locate(const akin__view *view, const akin__map *map, uint64_t label,
                  akin__place *place)
{
    place->row = -1;
    place->delta_row = AKIN__GONE;
    if (akin__map_find(map, label, &place->delta_row))
        return place->delta_row != AKIN__GONE;
    if (!view->gen) return false;
    place->row = akin__gen_find(view->gen, label, 0);
    return place->row >= 0 && akin__gen_live(view, (uint64_t)place->row);
}

/* A view, and where each of n labels lies in it; both at -1 and GONE where it
 * does not. */
static akin__view locate_many(const akin_index *index, const uint64_t *labels,
                              size_t n, akin__place *places)
{
    pthread_mutex_t *lock = (pthread_mutex_t *)&index->view_lock;
    akin__view view;
    pthread_mutex_lock(lock);
    view = view_ref(index);
    for (size_t i = 0; i < n; i++)
        if (!akin__locate(&view, &index->map, labels[i], &places[i]))
            places[i] = (akin__place){-1, AKIN__GONE};
    pthread_mutex_unlock(lock);
    return view;
}

/* The vector at a place, NULL for none; *norm: 1 / length. Fails as
 * akin__gen_check does. */
static akin_status vector_at(const akin__view *view, const akin__place *place,
                             const uint16_t **out, float *norm, akin_error *err)
{
    *out = NULL;
    if (place->delta_row != AKIN__GONE) {
        *norm = akin__delta_norm(view->delta, place->delta_row);
        *out = akin__delta_vector(view->delta, place->delta_row);
        return AKIN_OK;
    }
    if (place->row < 0) return AKIN_OK;
    *norm = view->gen->norms[place->row];
    *out = view->gen->vectors + (size_t)place->row * view->delta->dim;
    return akin__gen_check(view->gen, (uint64_t)place->row, err);
}

akin_status akin_index_get(const akin_index *index, uint64_t label, float *out,
                           akin_error *err)
{
    akin__place place;
    akin__view view = locate_many(index, &label, 1, &place);
    const uint16_t *vector;
    float norm;
    akin_status rc = vector_at(&view, &place, &vector, &norm, err);
    if (!rc && vector) akin_float_from_half(out, vector, index->dim);
    akin__view_drop(&view);
    if (!rc && !vector)
        return akin_fail(err, AKIN_NOT_FOUND, "no vector of label %llu",
                         (unsigned long long)label);
    return rc;
}

akin_status akin_index_cosines(const akin_index *index, const float *query,
                               const uint64_t *labels, size_t n, float *out,
                               akin_error *err)
{
    akin__place *places;
    akin__view view;
    float inverse = akin__query_inverse(query, index->dim), norm, dot;
    akin_status rc = AKIN_OK;
    if (inverse == 0)
        return akin_fail(err, AKIN_INVALID, "the query is zero or not finite");
    places = akin_calloc(n, sizeof *places);
    if (!places)
        return akin_fail(err, AKIN_NOMEM, "out of memory for %zu labels", n);
    view = locate_many(index, labels, n, places);
    for (size_t i = 0; i < n && !rc; i++) {
        const uint16_t *vector;
        out[i] = NAN;
        rc = vector_at(&view, &places[i], &vector, &norm, err);
        if (rc || !vector) continue;
        akin__dots(&query, 1, &vector, 1, index->dim, &dot);
        dot *= norm * inverse;
        out[i] = dot > 1 ? 1 : dot < -1 ? -1 : dot;
    }
    akin__view_drop(&view);
    akin_free(places);
    return rc;
}

/* ---- figures ---------------------------------------------------------------- */

static void stats_of_generation(const akin_index *index, const akin__view *view,
                                akin_index_stats *out)
{
    const akin__head *head = &view->gen->head;
    akin__plan plan;
    out->kind = (akin_index_kind)head->kind;
    out->rows = head->rows;
    out->generation = head->number;
    out->covered_seq = head->covered_seq;
    out->trained_on = head->trained_on;
    out->drifted = head->drifted;
    out->nlist = head->nlist;
    out->m = head->m;
    out->trained_seconds = head->trained_s;
    out->bytes_mapped = head->size;
    out->bytes_disk = index->dir ? head->size : 0;
    if (!view->gen->ivf) return;
    out->bytes_memory += akin__ivf_bytes(view->gen->ivf);
    akin__plan_for(
        view, &(akin_search_params){.k = 10, .recall = index->recall}, &plan);
    if (plan.exact) return;
    out->nprobe = plan.nprobe;
    out->candidates = plan.candidates;
    out->recall = plan.recall;
}

void akin_index_get_stats(const akin_index *index, akin_index_stats *out)
{
    akin__view view = akin__view_get(index);
    pthread_mutex_t *lock = (pthread_mutex_t *)&index->view_lock;
    memset(out, 0, sizeof *out);
    out->dim = index->dim;
    out->live = akin__view_live(&view);
    out->delta = view.delta_live;
    out->delta_rows = view.delta_rows;
    out->recall = NAN;
    out->building = atomic_load(&index->building);
    out->bytes_memory =
        sizeof *index + akin__delta_bytes(view.delta, view.delta_rows);
    pthread_mutex_lock(lock);
    out->bytes_memory += index->map.capacity * (8 + 4);
    pthread_mutex_unlock(lock);
    if (view.dead) {
        out->tombstones = view.dead->count;
        out->bytes_memory += view.gen->head.rows / 8;
    }
    if (view.gen) stats_of_generation(index, &view, out);
    akin__view_drop(&view);
}
