/* Building a generation: all live rows, merged by label from the old
 * generation and the delta, are written to a new file; the lists are trained,
 * or the old training and codes are kept and only new rows encoded; the recall
 * curve is measured on the new file; then it is swapped in.
 *
 * What was written meanwhile is carried over under write_lock: rows of the
 * delta past the view that was built become the new delta, and rows that died
 * become tombstones. Searches go on throughout, on the old view. */
#include "internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ADD_ROWS 8192 /* a batch for FAISS */

typedef struct {
    uint64_t label;
    size_t row;
} delta_row;

typedef struct {
    akin_index *index;
    const akin_build_params *params;
    akin_build_report *report;
    akin__view view;  /* what is built */
    delta_row *fresh; /* live rows of its delta, by label */
    size_t n_fresh;
    akin__head head;
    akin__curve_set curves;
    akin__writer writer;
    int64_t *row_map;    /* old generation's row -> new, -1: dead */
    int64_t *fresh_rows; /* (n_fresh) new rows, ascending */
    uint8_t *map;        /* the new file as far as the vectors */
    size_t map_size;
    akin__ivf *ivf;
    akin_pool *pool;
    bool train;
    uint64_t ticked;   /* when progress was last called, */
    const char *phase; /* and with which phase */
} build;

/* ---- progress ------------------------------------------------------------------ */

static akin_status tick(build *b, const char *phase, uint64_t done,
                        uint64_t total, akin_error *err)
{
    uint64_t now = akin_mono_ns();
    if (!b->params->progress) return AKIN_OK;
    if (phase == b->phase && done < total && now - b->ticked < 200000000u)
        return AKIN_OK;
    b->ticked = now;
    b->phase = phase;
    if (b->params->progress(b->params->user, phase, done, total))
        return AKIN_OK;
    return akin_fail(err, AKIN_CANCELLED, "the build was cancelled");
}

static double seconds_since(uint64_t start)
{
    return (double)(akin_mono_ns() - start) * 1e-9;
}

/* ---- need ----------------------------------------------------------------------- */

static akin_build_need need_of(const akin_index *index, const akin__view *view)
{
    uint64_t live = akin__view_live(view);
    uint64_t rows = view->gen ? view->gen->head.rows : 0;
    uint64_t dead = view->dead ? view->dead->count : 0;
    if (!view->gen || !view->gen->ivf) {
        if (live > index->exact_below) return AKIN_BUILD_FIRST;
        /* a small space: bounds the dead rows, and what a restart replays */
        return view->delta_rows > 4096 + live / 4 || dead > 4096 + rows / 2
                   ? AKIN_BUILD_MERGE
                   : AKIN_BUILD_NOT_NEEDED;
    }
    const akin__head *head = &view->gen->head;
    if (live >= 4 * head->trained_on || head->drifted > rows / 10)
        return AKIN_BUILD_RETRAIN;
    if (dead > 1024 + rows / 5 || live < index->exact_below / 2)
        return AKIN_BUILD_MERGE;
    /* at a million rows of 512 the delta's scan then takes 2 ms a query. A merge
     * rewrites the file: during a large import four times as long as the last
     * one took is left between them, unless the delta grows past all measure */
    if (view->delta_rows > 4096 + rows / 64 &&
        (view->delta_rows > rows / 4 ||
         akin_mono_ns() - atomic_load(&index->built_at) >
             4 * atomic_load(&index->build_ns)))
        return AKIN_BUILD_MERGE;
    return AKIN_BUILD_NOT_NEEDED;
}

akin_build_need akin_index_wants_build(const akin_index *index)
{
    akin__view view = akin__view_get(index);
    akin_build_need need = need_of(index, &view);
    akin__view_drop(&view);
    return need;
}

/* ---- rows -------------------------------------------------------------------------- */

static int by_label(const void *a, const void *b)
{
    const delta_row *x = a, *y = b;
    return (x->label > y->label) - (x->label < y->label);
}

static akin_status gather(build *b, akin_error *err)
{
    const akin__view *view = &b->view;
    uint64_t old_rows = view->gen ? view->gen->head.rows : 0;
    b->fresh = akin_calloc((size_t)view->delta_live, sizeof *b->fresh);
    b->fresh_rows = akin_calloc((size_t)view->delta_live, sizeof(int64_t));
    b->row_map = akin_calloc((size_t)old_rows, sizeof *b->row_map);
    if (!b->fresh || !b->fresh_rows || !b->row_map)
        return akin_fail(err, AKIN_NOMEM, "out of memory for %llu rows",
                         (unsigned long long)akin__view_live(view));
    for (size_t row = 0; row < view->delta_rows; row++)
        if (akin__delta_visible(view, row) && b->n_fresh < view->delta_live)
            b->fresh[b->n_fresh++] =
                (delta_row){akin__delta_label(view->delta, row), row};
    qsort(b->fresh, b->n_fresh, sizeof *b->fresh, by_label);
    return AKIN_OK;
}

/* Walks the rows of the new generation in the order of labels. */
typedef struct {
    uint64_t old;  /* next row of the old generation */
    size_t fresh;  /* next of b->fresh */
    int64_t row;   /* of the new one, from 0 */
    bool from_old; /* where this row came from */
    uint64_t label;
    const uint16_t *vector;
    float norm;
} cursor;

static bool next_row(const build *b, cursor *c)
{
    const akin__view *view = &b->view;
    const akin__gen *gen = view->gen;
    uint64_t old_rows = gen ? gen->head.rows : 0;
    while (c->old < old_rows && !akin__gen_live(view, c->old))
        c->old++;
    if (c->old >= old_rows && c->fresh >= b->n_fresh) return false;
    c->from_old =
        c->old < old_rows && (c->fresh >= b->n_fresh ||
                              gen->labels[c->old] < b->fresh[c->fresh].label);
    c->row++;
    if (c->from_old) {
        c->label = gen->labels[c->old];
        c->vector = gen->vectors + c->old * b->index->dim;
        c->norm = gen->norms[c->old++];
    } else {
        size_t row = b->fresh[c->fresh++].row;
        c->label = akin__delta_label(view->delta, row);
        c->vector = akin__delta_vector(view->delta, row);
        c->norm = akin__delta_norm(view->delta, row);
    }
    return true;
}

static void map_rows(build *b)
{
    uint64_t old_rows = b->view.gen ? b->view.gen->head.rows : 0;
    cursor c = {.row = -1};
    for (uint64_t i = 0; i < old_rows; i++)
        b->row_map[i] = -1;
    while (next_row(b, &c)) {
        if (c.from_old)
            b->row_map[c.old - 1] = c.row;
        else
            b->fresh_rows[c.fresh - 1] = c.row;
    }
    b->head.rows = (uint64_t)(c.row + 1);
}

static akin_status write_rows(build *b, akin_error *err)
{
    akin__writer *w = &b->writer;
    size_t width = b->index->dim * sizeof(uint16_t);
    akin_status rc = AKIN_OK;
    for (cursor c = {.row = -1}; !rc && next_row(b, &c);)
        rc = akin__writer_append(w, &c.label, sizeof c.label, err);
    if (!rc) rc = akin__writer_align(w, err);
    for (cursor c = {.row = -1}; !rc && next_row(b, &c);)
        rc = akin__writer_append(w, &c.norm, sizeof c.norm, err);
    if (!rc) rc = akin__writer_align(w, err);
    for (cursor c = {.row = -1}; !rc && next_row(b, &c);) {
        rc = akin__writer_append(w, c.vector, width, err);
        if (!rc && c.row % 4096 == 0)
            rc = tick(b, "copy", (uint64_t)c.row, b->head.rows, err);
    }
    if (!rc) rc = akin__writer_align(w, err);
    return rc;
}

/* Maps what is written so far. */
static akin_status map_file(build *b, akin_error *err)
{
    void *map;
    if (fflush(b->writer.file))
        return akin_fail_errno(err, errno, "cannot write the new generation");
    map = mmap(NULL, (size_t)b->writer.at, PROT_READ, MAP_SHARED,
               fileno(b->writer.file), 0);
    if (map == MAP_FAILED)
        return akin_fail_errno(err, errno, "cannot map the new generation");
    b->map = map;
    b->map_size = (size_t)b->writer.at;
    return AKIN_OK;
}

/* Row of the new file as FAISS sees it: unit length, padded with zeros. */
static void float_row(const build *b, int64_t row, float *out)
{
    size_t dim = b->index->dim;
    const uint16_t *vectors = akin__at(b->map, b->head.vectors_at);
    const float *norms = akin__at(b->map, b->head.norms_at);
    akin_float_from_half(out, vectors + (size_t)row * dim, dim);
    for (size_t i = 0; i < dim; i++)
        out[i] *= norms[row];
    memset(out + dim, 0, (b->head.ivf_dim - dim) * sizeof *out);
}

/* ---- lists ---------------------------------------------------------------------------- */

static akin_status train(build *b, akin_error *err)
{
    akin__head *head = &b->head;
    uint64_t start = akin_mono_ns(), seed = b->params->seed;
    uint64_t n, left = head->rows;
    akin_index_choice choice;
    akin__choose(head->rows, head->dim, b->params, b->index->build_threads,
                 &choice);
    head->ivf_dim = akin__ivf_dim(head->dim);
    head->nlist = choice.nlist;
    head->m = choice.m;
    head->trained_on = head->rows;
    n = choice.sample;
    if (akin__training_load(b->index, head, b->params, &b->ivf))
        return tick(b, "train", 1, 1, err);
    akin__ivf_train how = {.dim = head->dim,
                           .nlist = head->nlist,
                           .m = head->m,
                           .pool = b->pool,
                           .seed = seed + 1,
                           .progress = b->params->progress,
                           .user = b->params->user};
    size_t got = 0;
    float *sample;
    int64_t *rows;
    akin_status rc;
    if (n < head->nlist || n < 256)
        return akin_fail(err, AKIN_NOMEM,
                         "too little memory is allowed to train %u lists",
                         head->nlist);
    sample = akin_calloc((size_t)n * head->ivf_dim, sizeof *sample);
    rows = akin_calloc((size_t)n, sizeof *rows);
    if (!sample || !rows) {
        rc = akin_fail(err, AKIN_NOMEM, "out of memory for %llu samples",
                       (unsigned long long)n);
        goto done;
    }
    for (uint64_t row = 0; row < head->rows && got < n; row++) {
        double u = (double)(akin__random(&seed) >> 11) * 0x1p-53;
        if (u * (double)left-- >= (double)(n - got)) continue;
        rows[got++] = (int64_t)row;
    }
    for (size_t i = 0; i < got; i++) { /* in random order */
        size_t j = i + (size_t)(akin__random(&seed) % (got - i));
        int64_t row = rows[j];
        rows[j] = rows[i];
        rows[i] = row;
        float_row(b, row, sample + i * head->ivf_dim);
    }
    rc = akin__ivf_train_new(&how, sample, got, &b->ivf, err);
    if (!rc) akin__training_save(b->index, head, b->params, b->ivf);
done:
    akin_free(sample);
    akin_free(rows);
    b->report->train_seconds = seconds_since(start);
    return rc;
}

/* Keeps the old training and codes. */
static akin_status copy_lists(build *b, akin_error *err)
{
    const akin__head *old = &b->view.gen->head;
    b->head.ivf_dim = old->ivf_dim;
    b->head.nlist = old->nlist;
    b->head.m = old->m;
    b->head.trained_on = old->trained_on;
    b->head.drifted = old->drifted;
    b->head.fit = old->fit;
    b->head.trained_s = old->trained_s;
    return akin__ivf_copy(b->view.gen->ivf, b->row_map, &b->ivf, err);
}

/* Adds all rows after training, the delta's after a copy. */
static akin_status add_rows(build *b, akin_error *err)
{
    uint64_t start = akin_mono_ns();
    size_t n = b->train ? (size_t)b->head.rows : b->n_fresh, done = 0;
    float *vectors =
        akin_calloc((size_t)ADD_ROWS * b->head.ivf_dim, sizeof *vectors);
    int64_t *rows = akin_calloc(ADD_ROWS, sizeof *rows);
    double fit = 0;
    akin_status rc = AKIN_OK;
    if (!vectors || !rows)
        rc = akin_fail(err, AKIN_NOMEM, "out of memory for a batch");
    while (!rc && done < n) {
        size_t some = n - done < ADD_ROWS ? n - done : ADD_ROWS;
        for (size_t i = 0; i < some; i++) {
            rows[i] = b->train ? (int64_t)(done + i) : b->fresh_rows[done + i];
            float_row(b, rows[i], vectors + i * b->head.ivf_dim);
        }
        rc = akin__ivf_add(b->ivf, vectors, some, rows, b->pool, &fit, err);
        done += some;
        if (!rc) rc = tick(b, "add", done, n, err);
    }
    akin_free(vectors);
    akin_free(rows);
    if (rc || !n) return rc;
    fit /= (double)n;
    /* drift: new rows lie a third further from their centroids than the rows
     * that those were trained on */
    if (b->train)
        b->head.fit = (float)fit;
    else if (1 - fit > 1.33 * (1 - (double)b->head.fit))
        b->head.drifted += n;
    b->report->add_seconds = seconds_since(start);
    if (b->train)
        b->head.trained_s =
            (float)(b->report->train_seconds + b->report->add_seconds);
    return AKIN_OK;
}

static akin_status write_lists(build *b, akin_error *err)
{
    akin__writer *w = &b->writer;
    long long end;
    akin_status rc = akin__ivf_write(b->ivf, w->file, err);
    if (rc) return rc;
    akin__ivf_free(b->ivf);
    b->ivf = NULL;
    end = fflush(w->file) ? -1 : (long long)ftello(w->file);
    if (end < 0)
        return akin_fail_errno(err, errno, "cannot write the new generation");
    b->head.ivf_bytes = (uint64_t)end - b->head.ivf_at;
    w->at = (uint64_t)end;
    rc =
        akin__ivf_read(fileno(w->file), b->head.ivf_at, &b->head, &b->ivf, err);
    if (!rc && fseeko(w->file, (off_t)end, SEEK_SET))
        rc = akin_fail_errno(err, errno, "cannot write the new generation");
    return rc;
}

/* A merge that changes the number of rows by less than a quarter keeps the
 * curves: measuring takes longer than merging. */
static bool keeps_curves(const build *b)
{
    const akin_curve *item;
    double rows = (double)b->head.rows, then;
    if (b->train) return false;
    item = b->view.curves->set.level[AKIN_QUERY_ITEM];
    if (!item[0].n_points) return false;
    then = (double)b->view.gen->head.measured_on;
    return rows > 0.75 * then && rows < 1.25 * then;
}

/* Measures the curves on the new file, before it has a head. */
static akin_status measure(build *b, akin_error *err)
{
    uint64_t start = akin_mono_ns();
    const akin_build_params *p = b->params;
    akin__delta empty = {.dim = b->head.dim};
    akin__gen gen = {.head = b->head, .ivf = b->ivf, .sound = true};
    akin__view view = {.gen = &gen, .delta = &empty};
    akin_curve *text = b->curves.level[AKIN_QUERY_TEXT];
    akin_status rc = AKIN_OK;
    gen.labels = akin__at(b->map, b->head.labels_at);
    gen.norms = akin__at(b->map, b->head.norms_at);
    gen.vectors = akin__at(b->map, b->head.vectors_at);
    if (keeps_curves(b)) {
        b->head.measured_on = b->view.gen->head.measured_on;
        b->curves = b->view.curves->set;
    } else {
        b->head.measured_on = b->head.rows;
        rc = akin__curve_of_items(
            &view, p->seed + 2, 0, 1, b->pool, p->progress, p->user,
            b->curves.level[AKIN_QUERY_ITEM], AKIN__LEVELS, err);
        for (unsigned i = 0; !rc && i < AKIN__FILTERED; i++) {
            unsigned filter = i ? 64 : 8;
            if (b->head.rows / filter < 500) break; /* scanned exactly */
            rc = akin__curve_of_items(&view, p->seed + 3, 128, filter, b->pool,
                                      p->progress, p->user,
                                      &b->curves.filtered[i], 1, err);
        }
    }
    if (!rc && p->text_queries && p->n_text && !text->n_points)
        rc = akin__curve_measure(&view, p->text_queries, NULL, p->n_text, NULL,
                                 b->pool, p->progress, p->user, text,
                                 AKIN__LEVELS, err);
    b->report->measure_seconds = seconds_since(start);
    return rc;
}

static akin_status make_lists(build *b, akin_error *err)
{
    akin_status rc;
    rc = akin__build_pool(b->index, &b->pool, err);
    if (rc) return rc;
    rc = b->train ? train(b, err) : copy_lists(b, err);
    if (!rc) rc = add_rows(b, err);
    if (!rc) rc = write_lists(b, err);
    if (!rc) rc = measure(b, err);
    return rc;
}

/* ---- swap ---------------------------------------------------------------------------- */

static void bury(const akin__gen *gen, akin__dead *dead, uint64_t label)
{
    int64_t row = akin__gen_find(gen, label, 0);
    if (row < 0 || akin__bit(dead->words, (uint64_t)row)) return;
    dead->words[row / 64] |= (uint64_t)1 << (row % 64);
    dead->count++;
}

/* Rows of the built view that have died since. Under write_lock. */
static void bury_since(const build *b, const akin__gen *gen, akin__dead *dead)
{
    const akin__view *was = &b->view, *now = &b->index->view;
    uint64_t rows = was->gen ? was->gen->head.rows : 0;
    for (uint64_t w = 0; now->dead && w < (rows + 63) / 64; w++) {
        uint64_t bits = now->dead->words[w];
        if (was->dead) bits &= ~was->dead->words[w];
        for (; bits; bits &= bits - 1)
            bury(gen, dead,
                 was->gen->labels[w * 64 + (unsigned)__builtin_ctzll(bits)]);
    }
    for (size_t i = 0; i < b->n_fresh; i++)
        if (akin__delta_died(was->delta, b->fresh[i].row) != AKIN__ALIVE)
            bury(gen, dead, b->fresh[i].label);
}

/* The rows that came since, into a delta and a map of their own. */
static akin_status carry_over(const build *b, akin__delta *delta,
                              akin__map *map, akin_error *err)
{
    const akin__delta *old = b->index->view.delta;
    size_t n = 0;
    akin_status rc;
    for (size_t row = b->view.delta_rows; row < old->rows; row++)
        n += akin__delta_died(old, row) == AKIN__ALIVE;
    rc = akin__map_grown(&(akin__map){0}, n, map, err);
    if (!rc) rc = akin__delta_reserve(delta, n, err);
    for (size_t row = b->view.delta_rows; !rc && row < old->rows; row++)
        if (akin__delta_died(old, row) == AKIN__ALIVE) {
            uint64_t label = akin__delta_label(old, row);
            akin__map_set(map, label,
                          (uint32_t)akin__delta_append(
                              delta, label, akin__delta_vector(old, row),
                              akin__delta_norm(old, row)));
        }
    return rc;
}

static akin_status swap_in(build *b, akin__gen *gen, akin_error *err)
{
    akin_index *index = b->index;
    akin__view old = {0}, next = {.gen = gen};
    akin__map map = {0}, old_map = {0};
    akin_status rc;
    next.curves = akin__curves_new(&gen->curves);
    next.delta = akin__delta_new(index->dim);
    next.dead = akin__dead_copy(NULL, gen->head.rows);
    pthread_mutex_lock(&index->write_lock);
    rc = next.curves && next.delta && next.dead
             ? carry_over(b, next.delta, &map, err)
             : akin_fail(err, AKIN_NOMEM, "out of memory");
    if (!rc) {
        bury_since(b, gen, next.dead);
        if (!next.dead->count) {
            akin__dead_unref(next.dead);
            next.dead = NULL;
        }
        next.delta_live = next.delta_rows = next.delta->rows;
        next.seq = index->view.seq + 1;
        pthread_mutex_lock(&index->view_lock);
        old = index->view;
        old_map = index->map;
        index->view = next;
        index->map = map;
        pthread_mutex_unlock(&index->view_lock);
    }
    pthread_mutex_unlock(&index->write_lock);
    if (rc) {
        next.gen = NULL; /* the caller's still */
        akin__view_drop(&next);
        akin__map_clear(&map);
    } else {
        akin__view_drop(&old);
        akin__map_clear(&old_map);
    }
    return rc;
}

/* ---- build ------------------------------------------------------------------------------- */

bool akin__wants_lists(const akin_index *index, const akin__view *view)
{
    uint64_t live = akin__view_live(view);
    if (live < 256) return false; /* too few for 256 codes */
    /* between half of it and exact_below a trained generation stays */
    return live > index->exact_below ||
           (view->gen && view->gen->ivf && live >= index->exact_below / 2);
}

static void build_init(build *b, akin_index *index, uint64_t covered_seq,
                       const akin_build_params *params,
                       akin_build_report *report)
{
    akin_build_need need;
    memset(b, 0, sizeof *b);
    memset(report, 0, sizeof *report);
    b->index = index;
    b->params = params;
    b->report = report;
    b->view = akin__view_get(index);
    b->head.dim = index->dim;
    b->head.covered_seq = covered_seq;
    b->head.number = atomic_fetch_add(&index->number, 1) + 1;
    memcpy(b->head.fingerprint, index->fingerprint, sizeof index->fingerprint);
    need = need_of(index, &b->view);
    b->head.kind =
        akin__wants_lists(index, &b->view) ? AKIN_INDEX_IVFPQ : AKIN_INDEX_FLAT;
    report->recall = report->text_recall = NAN;
    if (b->head.kind == AKIN_INDEX_FLAT) return;
    b->train = !b->view.gen || !b->view.gen->ivf || params->retrain ||
               params->nlist || params->m || need == AKIN_BUILD_RETRAIN;
    report->did = !b->view.gen || !b->view.gen->ivf ? AKIN_BUILD_FIRST
                  : b->train                        ? AKIN_BUILD_RETRAIN
                                                    : AKIN_BUILD_MERGE;
}

static void build_clear(build *b)
{
    akin_pool_close(b->pool);
    akin__ivf_free(b->ivf);
    if (b->map) munmap(b->map, b->map_size);
    akin__writer_clear(&b->writer);
    akin__view_drop(&b->view);
    akin_free(b->fresh);
    akin_free(b->fresh_rows);
    akin_free(b->row_map);
}

static void explain(build *b, const akin__gen *gen)
{
    akin_build_report *r = b->report;
    akin__curves curves = {0};
    akin__view view = {.gen = (akin__gen *)gen, .curves = &curves};
    akin_search_params p = {.k = 10, .recall = b->index->recall};
    akin__plan item, text;
    curves.set = gen->curves;
    r->rows = gen->head.rows;
    r->nlist = gen->head.nlist;
    r->m = gen->head.m;
    if (!gen->ivf) {
        snprintf(r->why, sizeof r->why, "%llu items: searched exactly",
                 (unsigned long long)r->rows);
        return;
    }
    akin__plan_for(&view, &p, &item);
    r->recall = item.recall;
    p.kind = AKIN_QUERY_TEXT;
    akin__plan_for(&view, &p, &text);
    if (curves.set.level[AKIN_QUERY_TEXT][0].n_points)
        r->text_recall = text.recall;
    if (item.exact)
        snprintf(r->why, sizeof r->why,
                 "%llu items: IVF%u,PQ%u does not reach recall %.3f cheaper "
                 "than an exact scan",
                 (unsigned long long)r->rows, r->nlist, r->m,
                 (double)b->index->recall);
    else
        snprintf(r->why, sizeof r->why,
                 "%llu items: IVF%u,PQ%u, nprobe %u and %u candidates for "
                 "recall %.3f, measured %.3f",
                 (unsigned long long)r->rows, r->nlist, r->m, item.nprobe,
                 item.candidates, (double)b->index->recall,
                 (double)item.recall);
}

static akin_status run_build(build *b, akin_error *err)
{
    akin_index *index = b->index;
    akin__gen *gen = NULL;
    const char *name;
    akin_status rc =
        b->view.gen ? akin__gen_check_all(b->view.gen, err) : AKIN_OK;
    if (!rc) rc = gather(b, err);
    if (rc) return rc;
    map_rows(b);
    akin__head_layout(&b->head);
    rc = akin__writer_open(&b->writer, index->dir, b->head.number, err);
    if (!rc) rc = write_rows(b, err);
    if (!rc) rc = map_file(b, err);
    if (!rc && b->head.kind == AKIN_INDEX_IVFPQ) rc = make_lists(b, err);
    if (!rc) rc = tick(b, "save", 0, 1, err);
    if (!rc) rc = akin__writer_finish(&b->writer, &b->head, &b->curves, err);
    if (rc) return rc;
    name = b->writer.path ? b->writer.path : "the generation in memory";
    rc = akin__gen_open(fileno(b->writer.file), name, index->dim,
                        index->fingerprint, false, &gen, err);
    if (!rc) {
        explain(b, gen);
        rc = swap_in(b, gen, err);
        if (rc) akin__gen_unref(gen);
        if (!rc && b->train) akin__training_forget(index);
    }
    /* a generation that could not be swapped in is not the truth */
    if (index->dir)
        akin__remove_others(index->dir, !rc           ? b->head.number
                                        : b->view.gen ? b->view.gen->head.number
                                                      : 0);
    return rc;
}

akin_status akin_index_build(akin_index *index, uint64_t covered_seq,
                             const akin_build_params *params,
                             akin_build_report *report, akin_error *err)
{
    static const akin_build_params defaults;
    akin_build_report unwanted;
    uint64_t start = akin_mono_ns();
    bool idle = false;
    akin_status rc;
    build b;
    if (index->read_only)
        return akin_fail(err, AKIN_DENIED, "%s was opened for reading only",
                         index->dir ? index->dir : "the index");
    if (!atomic_compare_exchange_strong(&index->building, &idle, true))
        return akin_fail(err, AKIN_BUSY, "the index is being built already");
    build_init(&b, index, covered_seq, params ? params : &defaults,
               report ? report : &unwanted);
    rc = run_build(&b, err);
    b.report->seconds = seconds_since(start);
    atomic_store(&index->build_ns, akin_mono_ns() - start);
    atomic_store(&index->built_at, akin_mono_ns());
    build_clear(&b);
    atomic_store(&index->building, false);
    return rc;
}
