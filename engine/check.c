/* Whether everything agrees: the database with itself, each vector with what a
 * vector must be, each index with the store, vector by vector, and a sample of
 * items found by their own vectors. What is derived (indexes) can be repaired
 * by building it again; the store's own damage is only reported. */
#include "internal.h"

#include <math.h>
#include <string.h>

typedef struct {
    akin_engine *engine;
    akin__collection *c;
    akin__view *view;
    akin_space space;
    akin__meter *meter;
    akin_check_report *out;
    float *expected, *found; /* (dim) each */
    uint64_t count;          /* vectors of the space in the store */
    uint64_t index_problems; /* of this collection */
    unsigned bad;            /* spaces of it that have some, a bit for each */
    uint64_t sampled[64];
    size_t nsampled;
    bool failed; /* out of memory */
} checking;

void akin_check_report_clear(akin_check_report *report)
{
    for (size_t i = 0; i < report->nmessages; i++)
        akin_free(report->messages[i]);
    akin_free(report->messages);
    memset(report, 0, sizeof *report);
}

static AKIN_PRINTF(2, 3) void problem(checking *k, const char *fmt, ...)
{
    akin_check_report *out = k->out;
    char text[AKIN_ERROR_BYTES];
    va_list args;

    out->problems++;
    if (out->nmessages == AKIN_MAX_FAILURES) return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (!out->messages)
        out->messages = akin_calloc(AKIN_MAX_FAILURES, sizeof *out->messages);
    char *copy = akin_strdup(text);
    if (copy && out->messages)
        out->messages[out->nmessages++] = copy;
    else
        akin_free(copy);
}

static bool finding(void *user, const char *text)
{
    checking *k = user;
    problem(k, "store: %s", text);
    return !akin__meter_stopped(k->meter);
}

static const char *space_name(akin_space space)
{
    return space == AKIN_SPACE_IMAGE ? "image" : "caption";
}

/* A stored vector: finite, of unit length, and the same in the index. */
static bool look_at_vector(void *user, const akin_change *change)
{
    checking *k = user;
    uint32_t dim = k->view->dim;
    unsigned long long num = change->num;

    if (!change->vector) return true;
    k->count++;
    k->out->vectors++;
    akin__meter_add(k->meter, &(akin_progress){.done = 1});
    if (change->dim != dim) {
        problem(k, "%s: item %llu, %s: expected %u dimensions, got %u",
                k->c->name, num, space_name(k->space), dim, change->dim);
        return !akin__meter_stopped(k->meter);
    }
    akin_float_from_half(k->expected, change->vector, dim);
    double square = 0;
    for (uint32_t i = 0; i < dim; i++)
        square += (double)k->expected[i] * k->expected[i];
    if (!(fabs(square - 1) < 0.01))
        problem(k, "%s: item %llu, %s: length %.4f, expected 1", k->c->name,
                num, space_name(k->space), sqrt(square));
    if (akin_index_get(k->view->index[k->space], change->num, k->found, NULL) ||
        memcmp(k->found, k->expected, dim * sizeof *k->found) != 0) {
        problem(k, "%s: item %llu, %s: not in the index as stored", k->c->name,
                num, space_name(k->space));
        k->index_problems++;
    }
    return !akin__meter_stopped(k->meter);
}

/* The best match of a stored vector must be as near as itself. */
static akin_status check_search(checking *k, uint64_t label, akin_error *err)
{
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    akin_hit hit = {0};
    uint32_t n = 0;
    const akin_index *index = k->view->index[k->space];

    params.k = 1;
    params.exact = true;
    akin_status rc = akin_index_get(index, label, k->expected, err);
    if (rc == AKIN_NOT_FOUND) return AKIN_OK; /* removed meanwhile */
    if (!rc)
        rc = akin_index_search(index, k->expected, 1, &params, &hit, &n, NULL,
                               err);
    if (!rc && (!n || hit.cosine < 0.999f)) {
        problem(k, "%s: item %llu, %s: not found by its own vector", k->c->name,
                (unsigned long long)label, space_name(k->space));
        k->index_problems++;
    }
    return rc;
}

static bool go_on(void *user, const char *phase, uint64_t done, uint64_t total)
{
    (void)phase, (void)done, (void)total;
    return !akin__meter_stopped(user);
}

/* Reads the files while writers go on, so that the verify of check_space finds
 * every block compared; it is that one which tells of damage. */
static akin_status read_files(checking *k, akin_error *err)
{
    akin__view *view = akin__view_hold(k->c);
    akin_error why = {0};
    akin_status rc = AKIN_OK;
    for (int i = 0; i < AKIN_SPACES && !rc; i++) {
        rc = akin_index_verify(view->index[i], go_on, k->meter, &why);
        if (rc == AKIN_CORRUPT) rc = AKIN_OK;
    }
    akin__view_release(view);
    return rc ? akin_fail(err, rc, "%s", why.message) : AKIN_OK;
}

static akin_status check_space(checking *k, akin_error *err)
{
    enum { SAMPLE = sizeof k->sampled / sizeof *k->sampled };
    const akin_index *index = k->view->index[k->space];
    akin_index_stats stats;
    akin_error damage;
    uint64_t upto;

    k->count = 0;
    akin_status rc =
        akin_index_verify(k->view->index[k->space], go_on, k->meter, &damage);
    if (rc == AKIN_CORRUPT) {
        problem(k, "%s, %s: %s", k->c->name, space_name(k->space),
                damage.message);
        k->index_problems++;
        return AKIN_OK;
    }
    if (rc) return akin_fail(err, rc, "%s", damage.message);
    rc = akin_storage_changes(k->engine->storage, k->c->num, k->space,
                              k->view->fingerprint, 0, look_at_vector, k, &upto,
                              err);
    akin_index_get_stats(index, &stats);
    if (!rc && !akin__meter_stopped(k->meter) && stats.live != k->count) {
        problem(k, "%s, %s: the store has %llu vectors, the index %llu",
                k->c->name, space_name(k->space), (unsigned long long)k->count,
                (unsigned long long)stats.live);
        k->index_problems++;
    }
    k->nsampled = akin_index_sample(index, 1, SAMPLE, k->sampled);
    for (size_t i = 0; i < k->nsampled && !rc; i++)
        rc = check_search(k, k->sampled[i], err);
    return rc;
}

/* Indexes of the collection built again from the store. Writers are held. */
static akin_status repair(checking *k, akin_error *err)
{
    akin_collection from = {0};
    akin__view *fresh;
    akin_status rc = akin_storage_collection_by_num(k->engine->storage,
                                                    k->c->num, &from, err);
    if (!rc) rc = akin__view_open(k->engine, &from, k->bad, &fresh, err);
    if (!rc) {
        akin__view_swap(k->c, fresh);
        k->out->repaired += k->index_problems;
    }
    akin_collection_clear(&from);
    return rc;
}

/* Writers wait meanwhile: what is compared must not move. `renewing` comes
 * before the freeze, as in akin__view_renew: both empty the same folders. */
static akin_status check_collection(checking *k, bool may_repair,
                                    akin_error *err)
{
    akin_collection from = {0};
    bool hold = !k->engine->read_only;

    akin_status rc = read_files(k, err);
    if (rc) return rc;
    if (hold) {
        pthread_mutex_lock(&k->c->renewing);
        akin__freeze(k->c);
    }
    k->view = akin__view_hold(k->c);
    k->index_problems = 0;
    k->bad = 0;
    k->expected = akin_calloc(k->view->dim, sizeof *k->expected);
    k->found = akin_calloc(k->view->dim, sizeof *k->found);
    if (!k->expected || !k->found) rc = akin__nomem(err);
    if (!rc)
        rc = akin_storage_collection_by_num(k->engine->storage, k->c->num,
                                            &from, err);
    k->out->items += from.items;
    akin_collection_clear(&from);
    for (int space = 0; space < AKIN_SPACES && !rc; space++) {
        uint64_t before = k->index_problems;
        k->space = space;
        rc = check_space(k, err);
        if (k->index_problems > before) k->bad |= 1u << space;
    }
    if (!rc && may_repair && k->index_problems && hold) rc = repair(k, err);
    akin_free(k->expected);
    akin_free(k->found);
    akin__view_release(k->view);
    if (hold) {
        akin__thaw(k->c);
        pthread_mutex_unlock(&k->c->renewing);
    }
    return rc;
}

static akin_status check(checking *k, const char *collection, bool may_repair,
                         akin_error *err)
{
    akin__collection **all = NULL;
    akin_storage_info info = {0};
    char real[AKIN_NAME_BYTES + 1];
    uint64_t findings;
    size_t n = 0;

    akin_status rc = akin_storage_stat(k->engine->storage, &info, err);
    akin__meter_phase(k->meter, "store");
    if (!rc)
        rc = akin_storage_check(k->engine->storage, finding, k, &findings, err);
    akin__meter_phase(k->meter, "indexes");
    akin__meter_total(k->meter, info.vectors);
    if (!rc) rc = akin__collections_all(k->engine, &all, &n, err);
    bool known = !collection;
    if (!rc && collection) {
        akin__real_name(k->engine, collection, real);
        collection = real;
    }
    for (size_t i = 0; i < n && !rc; i++) {
        if (collection && strcmp(all[i]->name, collection) != 0) continue;
        known = true;
        k->c = all[i];
        rc = check_collection(k, may_repair, err);
    }
    akin__collections_release(all, n);
    if (!rc && !known)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no collection \"%s\"", collection);
    if (!rc && akin__meter_stopped(k->meter))
        rc = akin_fail(err, AKIN_CANCELLED, "stopped");
    return rc;
}

akin_status akin_engine_check(akin_engine *engine, const char *collection,
                              bool may_repair, akin_progress_call *progress,
                              void *user, akin_check_report *out,
                              akin_error *err)
{
    akin__meter meter;
    memset(out, 0, sizeof *out);
    akin_status rc = may_repair ? akin__writable(engine, err) : AKIN_OK;
    if (!rc) rc = akin__meter_open(&meter, engine, progress, user, err);
    if (rc) return rc;
    checking k = {.engine = engine, .meter = &meter, .out = out};
    rc = check(&k, collection, may_repair, err);
    akin__meter_close(&meter, NULL);
    if (rc) akin_check_report_clear(out);
    return rc;
}
