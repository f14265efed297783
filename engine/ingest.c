/* Long ingest: folders, picture files and catalogues into a collection.
 *
 * Files are listed first, so that progress knows how much there is; rows of
 * catalogues are read as they are needed. What is unchanged costs one look-up by
 * id and falls out of the pipeline before it is decoded, which is also how an
 * interrupted ingest goes on: everything stored so far is "unchanged" now. */
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

typedef struct {
    akin_engine *engine;
    const akin_ingest *source;
    akin__meter *meter;
    char **roots; /* folders, absolute */
    size_t nroots;
    char **catalogues; /* absolute */
    size_t ncatalogues;
    akin__files files;

    size_t next_file, next_catalogue;
    akin__catalogue *open; /* of catalogues[next_catalogue - 1] */
} reading;

static void reading_clear(reading *r)
{
    for (size_t i = 0; i < r->nroots; i++)
        akin_free(r->roots[i]);
    for (size_t i = 0; i < r->ncatalogues; i++)
        akin_free(r->catalogues[i]);
    akin_free(r->roots);
    akin_free(r->catalogues);
    akin__files_clear(&r->files);
    akin__catalogue_close(r->open);
}

/* ---- what there is to read ---------------------------------------------------------- */

static akin_status add_single(reading *r, const char *path,
                              const struct stat *st, akin_error *err)
{
    akin__files *files = &r->files;
    akin_status rc = akin_grow(&files->files, &files->capacity, files->n + 1,
                               sizeof *files->files, err);
    if (rc) return rc;
    akin__file *f = &files->files[files->n];
    f->path = akin_strdup(path);
    if (!f->path) return akin__nomem(err);
    f->id = strrchr(f->path, '/') + 1;
    f->mtime_ns =
        (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
    f->size = st->st_size;
    files->n++;
    return AKIN_OK;
}

static akin_status sort_path(reading *r, const char *path, akin_error *err)
{
    char absolute[PATH_MAX];
    struct stat st;

    if (!realpath(path, absolute) || stat(absolute, &st))
        return akin_fail_errno(err, errno, "cannot read %s", path);
    bool folder = S_ISDIR(st.st_mode);
    if (!folder && !S_ISREG(st.st_mode))
        return akin_fail(err, AKIN_INVALID, "%s is no file and no folder",
                         path);
    if (!folder && !akin__is_catalogue(absolute))
        return add_single(r, absolute, &st, err);
    char *copy = akin_strdup(absolute);
    if (!copy) return akin__nomem(err);
    if (folder)
        r->roots[r->nroots++] = copy;
    else
        r->catalogues[r->ncatalogues++] = copy;
    return AKIN_OK;
}

static bool listing_tick(void *user, size_t found)
{
    reading *r = user;
    akin__meter_total(r->meter, found);
    return !r->engine || !akin__meter_stopped(r->meter); /* a source has none */
}

/* Lines, less the header: about as many rows. */
static uint64_t count_rows(const char *path)
{
    uint64_t lines = 0;
    FILE *file = fopen(path, "rbe");
    char block[65536];
    for (size_t n; file && (n = fread(block, 1, sizeof block, file)) > 0;)
        for (size_t i = 0; i < n; i++)
            lines += block[i] == '\n';
    if (file) fclose(file);
    bool header = strcasecmp(path + strlen(path) - 2, "sv") == 0;
    return lines > header ? lines - header : lines;
}

static akin_status list_everything(reading *r, akin_error *err)
{
    const akin_ingest *source = r->source;
    akin_status rc = AKIN_OK;

    akin__meter_phase(r->meter, "listing");
    r->roots = akin_calloc(source->npaths + 1, sizeof *r->roots);
    r->catalogues = akin_calloc(source->npaths + 1, sizeof *r->catalogues);
    if (!r->roots || !r->catalogues) return akin__nomem(err);
    for (size_t i = 0; i < source->npaths && !rc; i++)
        rc = sort_path(r, source->paths[i], err);
    for (size_t i = 0; i < r->nroots && !rc; i++)
        rc = akin__walk(r->roots[i], source, listing_tick, r, &r->files, err);
    uint64_t total = r->files.n;
    for (size_t i = 0; i < r->ncatalogues && !rc; i++)
        total += count_rows(r->catalogues[i]);
    akin__meter_total(r->meter, total);
    for (size_t i = 0; i < r->files.nfailures && !rc; i++) {
        const akin_failure *f = &r->files.failures[i];
        akin__meter_failure(r->meter, f->what, f->message);
        akin__meter_add(r->meter, &(akin_progress){.failed = 1});
    }
    return rc;
}

/* ---- reading on ------------------------------------------------------------------------ */

static void file_work(const reading *r, const akin__file *f, akin__work *w)
{
    w->in.id = akin_span_of(r->source->whole_paths ? f->path : f->id);
    w->file = w->label = f->path;
    w->file_mtime_ns = f->mtime_ns;
    w->file_size = f->size;
    w->describe = true;
    w->caption_from = r->source->captions;
    w->force = r->source->force;
}

static void fail_early(akin__work *w, akin_status status, const char *message)
{
    w->result.status = status;
    snprintf(w->result.message, sizeof w->result.message, "%s", message);
}

/* The picture's path as the catalogue means it: relative to its own folder. */
static char *picture_path(const char *catalogue, akin_span image)
{
    const char *slash = strrchr(catalogue, '/');
    if (*(const char *)image.data == '/')
        return akin_strndup(image.data, image.size);
    return akin_format("%.*s/%.*s", (int)(slash - catalogue), catalogue,
                       (int)image.size, (const char *)image.data);
}

static akin_status row_picture(const char *catalogue, akin_span image,
                               akin__work *w, akin_error *err)
{
    struct stat st;
    if (strstr(image.data, "://")) {
        fail_early(w, AKIN_UNSUPPORTED, "web addresses are not fetched");
        return AKIN_OK;
    }
    w->memory[1] = picture_path(catalogue, image);
    if (!w->memory[1]) return akin__nomem(err);
    w->file = w->memory[1];
    if (stat(w->file, &st)) {
        fail_early(w, AKIN_NOT_FOUND, strerror(errno));
        return AKIN_OK;
    }
    w->file_mtime_ns =
        (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    w->file_size = st.st_size;
    return AKIN_OK;
}

static akin_status row_work(const reading *r, const char *catalogue,
                            akin__row *row, akin__work *w, akin_error *err)
{
    w->memory[0] = row->memory;
    w->in.id = row->id;
    w->in.caption = row->caption;
    w->in.attributes = row->attributes;
    w->in.vector = row->image.size ? NULL : row->vector;
    w->in.dim = row->dim;
    w->caption_from = r->source->captions;
    w->force = r->source->force;
    w->label = row->id.size ? row->id.data : "row";
    if (!row->id.size) {
        fail_early(w, AKIN_INVALID, "the row has no id and no image");
        return AKIN_OK;
    }
    return row->image.size ? row_picture(catalogue, row->image, w, err)
                           : AKIN_OK;
}

static void bad_row(reading *r, const char *catalogue, const akin_error *error)
{
    akin__meter_failure(r->meter, catalogue, error->message);
    akin__meter_add(r->meter, &(akin_progress){.done = 1, .failed = 1});
}

/* Rows of the catalogues, as many as fit. */
static akin_status read_rows(reading *r, akin__chunk *chunk, akin_error *err)
{
    akin_status rc = AKIN_OK;
    while (!rc && chunk->n < chunk->capacity) {
        akin_error error = {0};
        akin__row row;
        if (!r->open) {
            if (r->next_catalogue == r->ncatalogues) break;
            rc = akin__catalogue_open(r->catalogues[r->next_catalogue++],
                                      &r->open, err);
            if (rc) break;
        }
        const char *name = r->catalogues[r->next_catalogue - 1];
        akin_status one = akin__catalogue_next(r->open, &row, &error);
        if (one == AKIN_NOT_FOUND) {
            akin__catalogue_close(r->open);
            r->open = NULL;
        } else if (one == AKIN_BAD_DATA) {
            bad_row(r, name, &error);
        } else if (one) {
            rc = one;
            if (err) *err = error;
        } else {
            rc = row_work(r, name, &row, &chunk->works[chunk->n++], err);
        }
    }
    return rc;
}

static akin_status next_chunk(void *user, akin__chunk *chunk, akin_error *err)
{
    reading *r = user;
    while (chunk->n < chunk->capacity && r->next_file < r->files.n)
        file_work(r, &r->files.files[r->next_file++],
                  &chunk->works[chunk->n++]);
    return read_rows(r, chunk, err);
}

static void chunk_done(void *user, akin__chunk *chunk)
{
    reading *r = user;
    akin_progress delta = {.done = chunk->n};

    for (size_t i = 0; i < chunk->n; i++) {
        const akin__work *w = &chunk->works[i];
        delta.added += w->result.outcome == AKIN_PUT_ADDED;
        delta.updated += w->result.outcome == AKIN_PUT_UPDATED;
        delta.skipped += w->result.outcome == AKIN_PUT_UNCHANGED;
        delta.failed += w->result.status != AKIN_OK;
        delta.reused += w->result.reused;
        if (w->file && !w->known_file && !w->result.status)
            delta.bytes += (uint64_t)w->file_size;
        if (w->result.status)
            akin__meter_failure(r->meter, w->label, w->result.message);
    }
    akin__meter_add(r->meter, &delta);
}

/* ---- removing what is gone ------------------------------------------------------------------ */

typedef struct {
    const reading *r;
    akin_buf ids; /* with their NULs */
    size_t n;
    uint64_t last;
    size_t seen;
} pruning;

static bool under_root(const reading *r, const char *path)
{
    for (size_t i = 0; i < r->nroots; i++) {
        size_t n = strlen(r->roots[i]);
        if (!strncmp(path, r->roots[i], n) && path[n] == '/') return true;
    }
    return false;
}

static bool look_at(void *user, size_t at, const akin_item *item)
{
    pruning *p = user;
    struct stat st;
    (void)at;
    p->last = item->num;
    p->seen++;
    if (item->source.size && under_root(p->r, item->source.data) &&
        lstat(item->source.data, &st) && errno == ENOENT) {
        akin_buf_append(&p->ids, item->id.data, item->id.size);
        akin_buf_append(&p->ids, "", 1);
        p->n++;
    }
    return !p->ids.failed;
}

static akin_status remove_ids(akin__collection *c, const pruning *p,
                              akin_error *err)
{
    size_t removed;
    akin_span *ids = akin_calloc(p->n + 1, sizeof *ids);
    if (!ids || p->ids.failed) {
        akin_free(ids);
        return akin__nomem(err);
    }
    const char *at = (const char *)p->ids.data;
    for (size_t i = 0; i < p->n; i++) {
        ids[i] = akin_span_of(at);
        at += ids[i].size + 1;
    }
    akin_status rc =
        akin_engine_remove(c->engine, c->name, ids, p->n, &removed, err);
    akin_free(ids);
    return rc;
}

static akin_status prune(const reading *r, akin__collection *c, akin_error *err)
{
    enum { SLICE = 1024 };
    uint64_t after = 0;
    akin_status rc = AKIN_OK;

    akin__meter_phase(r->meter, "removing");
    for (bool more = true; more && !rc;) {
        pruning p = {.r = r};
        rc = akin_storage_scan(c->engine->storage, c->num, after, SLICE, 0,
                               look_at, &p, err);
        after = p.last;
        more = p.seen == SLICE && !akin__meter_stopped(r->meter);
        if (!rc && p.n) rc = remove_ids(c, &p, err);
        akin_buf_clear(&p.ids);
    }
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* Without a model the first row of the first catalogue says how wide its
 * vectors are. */
static uint32_t dim_of_rows(const reading *r)
{
    akin__catalogue *catalogue;
    akin__row row;
    uint32_t dim = 0;
    if (r->engine->model_dir || !r->ncatalogues ||
        akin__catalogue_open(r->catalogues[0], &catalogue, NULL))
        return 0;
    if (!akin__catalogue_next(catalogue, &row, NULL)) {
        dim = row.dim;
        akin_free(row.memory);
    }
    akin__catalogue_close(catalogue);
    return dim;
}

static akin_status find_or_create(const reading *r, const char *name,
                                  akin__collection **out, akin_error *err)
{
    akin_status rc = akin__collection_find(r->engine, name, out, err);
    if (rc != AKIN_NOT_FOUND) return rc;
    akin_collection_options options = {.dim = dim_of_rows(r)};
    rc = akin_engine_create(r->engine, name, &options, err);
    if (rc && rc != AKIN_EXISTS) return rc;
    return akin__collection_find(r->engine, name, out, err);
}

akin_status akin__ingest(akin_engine *engine, const char *collection,
                         const akin_ingest *source, akin__meter *meter,
                         akin_error *err)
{
    reading r = {.engine = engine, .source = source, .meter = meter};
    akin__collection *c = NULL;

    akin_status rc = akin__writable(engine, err);
    if (!rc && !source->npaths)
        rc = akin_fail(err, AKIN_INVALID, "nothing to add was named");
    if (!rc) rc = list_everything(&r, err);
    if (!rc) rc = find_or_create(&r, collection, &c, err);
    if (!rc) {
        akin__flow flow = {
            .collection = c,
            .batch = (size_t)akin_config_uint(engine->config, "ingest.batch"),
            .next = next_chunk,
            .done = chunk_done,
            .user = &r,
            .stop = &meter->stop};
        akin__meter_phase(meter, "adding");
        rc = akin__flow_run(&flow, err);
    }
    if (!rc && source->prune && !akin__meter_stopped(meter))
        rc = prune(&r, c, err);
    if (!rc && akin__meter_stopped(meter))
        rc = akin_fail(err, AKIN_CANCELLED, "stopped; the same call goes on");
    akin__collection_release(c);
    reading_clear(&r);
    return rc;
}

akin_status akin_engine_ingest(akin_engine *engine, const char *collection,
                               const akin_ingest *source,
                               akin_progress_call *progress, void *user,
                               akin_report *out, akin_error *err)
{
    akin__meter meter;
    if (out) memset(out, 0, sizeof *out);
    akin_status rc = akin__meter_open(&meter, engine, progress, user, err);
    if (rc) return rc;
    rc = akin__ingest(engine, collection, source, &meter, err);
    akin__meter_close(&meter, out);
    return rc;
}

/* ---- reading without putting ---------------------------------------------------------- */

struct akin_source {
    reading r;
    akin__meter meter; /* only its lists: it is never started */
    akin__chunk *chunk;
};

akin_status akin_source_open(const akin_ingest *what, akin_source **out,
                             uint64_t *total, akin_error *err)
{
    akin_source *s = akin_calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return akin__nomem(err);
    pthread_mutex_init(&s->meter.lock, NULL);
    s->r = (reading){.source = what, .meter = &s->meter};
    akin_status rc = list_everything(&s->r, err);
    if (total) *total = s->meter.report.progress.total;
    if (rc)
        akin_source_close(s);
    else
        *out = s;
    return rc;
}

akin_status akin_source_next(akin_source *s, akin_source_item *out,
                             akin_error *err)
{
    memset(out, 0, sizeof *out);
    akin__chunk_close(s->chunk);
    s->chunk = NULL;
    akin_status rc = akin__chunk_open(1, &s->chunk, err);
    if (!rc) rc = next_chunk(&s->r, s->chunk, err);
    if (rc) return rc;
    if (!s->chunk->n) return akin_fail(err, AKIN_NOT_FOUND, "no more");
    const akin__work *w = &s->chunk->works[0];
    out->item = w->in;
    out->item.path = akin_span_of(w->file);
    out->item.modified_ms = w->file_mtime_ns / 1000000;
    out->item.describe = w->describe;
    out->item.make_caption = w->file != NULL;
    out->item.captions = w->caption_from;
    out->file = w->file;
    out->file_size = w->file_size;
    out->label = w->label;
    if (w->result.status)
        return akin_fail(err, w->result.status, "%s", w->result.message);
    return AKIN_OK;
}

const akin_failure *akin_source_failures(const akin_source *s, size_t *n)
{
    *n = s->meter.report.nfailures;
    return s->meter.report.failures;
}

void akin_source_close(akin_source *s)
{
    if (!s) return;
    akin__chunk_close(s->chunk);
    reading_clear(&s->r);
    akin_report_clear(&s->meter.report);
    pthread_mutex_destroy(&s->meter.lock);
    akin_free(s);
}
