/* The engine: opening and closing a directory, its figures, and the maintenance
 * thread, which reads index files through, builds indexes when they ask for it,
 * and field indexes. */
#include "internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RECENT 1024 /* pictures and captions encoded lately: 2 KB each at 512 */

/* ---- small helpers --------------------------------------------------------------- */

akin_status akin__nomem(akin_error *err)
{
    return akin_fail(err, AKIN_NOMEM, "out of memory");
}

akin_status akin__writable(const akin_engine *engine, akin_error *err)
{
    return engine->read_only
               ? akin_fail(err, AKIN_DENIED, "%s was opened for reading only",
                           engine->data_dir)
               : AKIN_OK;
}

uint32_t akin__threads(const akin_engine *engine)
{
    uint64_t n = akin_config_uint(engine->config, "threads");
    return n ? (uint32_t)n : akin_cpu_count();
}

bool akin__span_equal(akin_span a, akin_span b)
{
    return a.size == b.size && (!a.size || !memcmp(a.data, b.data, a.size));
}

bool akin__copy_text(char **out, akin_span text)
{
    if (!text.data) return true;
    *out = akin_strndup(text.data, text.size);
    return *out != NULL;
}

int akin__compare_nums(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool akin__go_on(void *user, const char *phase, uint64_t done, uint64_t total)
{
    const akin_engine *engine = user;
    (void)phase, (void)done, (void)total;
    return !atomic_load(&engine->stop);
}

/* Bytes of the well-formed UTF-8 sequence at p; 0: there is none. */
static size_t sequence(const uint8_t *p, size_t left)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    if (n > left || !p[0]) return 0;
    if (p[0] == 0xe0) low = 0xa0;  /* overlong */
    if (p[0] == 0xed) high = 0x9f; /* surrogates */
    if (p[0] == 0xf0) low = 0x90;
    if (p[0] == 0xf4) high = 0x8f; /* above U+10FFFF */
    for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
        if (p[i] < low || p[i] > high) return 0;
    return n;
}

bool akin__is_utf8(akin_span text)
{
    const uint8_t *p = text.data;
    for (size_t i = 0, n; i < text.size; i += n) {
        n = sequence(p + i, text.size - i);
        if (!n) return false;
    }
    return true;
}

akin_status akin__check_id(akin_span id, akin_error *err)
{
    if (id.size < 1 || id.size > AKIN_ID_BYTES)
        return akin_fail(err, AKIN_INVALID,
                         "id: expected 1 to %d bytes, got %zu", AKIN_ID_BYTES,
                         id.size);
    return akin__is_utf8(id) ? AKIN_OK
                             : akin_fail(err, AKIN_INVALID, "id: not UTF-8");
}

/* ---- maintenance -------------------------------------------------------------------- */

/* A build that failed fails again, mostly: on a full disk it would write and
 * delete all the time. */
static void build_later(akin__view *view, akin_space space, uint64_t started)
{
    const uint64_t minute = 60 * (uint64_t)1000000000;
    uint64_t now = akin_mono_ns(), pause = 4 * (now - started);
    view->build_after[space] = now + (pause > minute ? pause : minute);
}

void akin__build_if_wanted(akin__collection *c, akin_space space)
{
    akin__view *view = akin__view_hold(c);
    akin_build_need need = akin_index_wants_build(view->index[space]);
    uint64_t now = akin_mono_ns();
    if (need != AKIN_BUILD_NOT_NEEDED && now >= view->build_after[space]) {
        akin_build_report report = {0};
        akin_error error = {0};
        akin_status rc =
            akin__space_build(c, view, space, need == AKIN_BUILD_RETRAIN, NULL,
                              akin__go_on, c->engine, &report, &error);
        if (!rc) {
            akin_log(AKIN_LOG_INFO, "index of \"%s\": %s", c->name, report.why);
        } else if (rc != AKIN_CANCELLED && rc != AKIN_BUSY) {
            akin_log(AKIN_LOG_WARN, "index of \"%s\": %s", c->name,
                     error.message);
            build_later(view, space, now);
        }
    }
    akin__view_release(view);
}

static void maintain_all(akin_engine *engine)
{
    bool automatic = akin_config_bool(engine->config, "index.auto");
    akin__collection **all;
    size_t n;
    if (akin__collections_all(engine, &all, &n, NULL)) return;
    for (size_t i = 0; i < n; i++) {
        if (!atomic_load(&engine->stop)) akin__view_verify(all[i]);
        if (!automatic) continue;
        if (!atomic_load(&engine->stop)) akin__declare_fields(all[i]);
        for (int space = 0; space < AKIN_SPACES; space++)
            if (!atomic_load(&engine->stop))
                akin__build_if_wanted(all[i], space);
    }
    akin__collections_release(all, n);
}

/* Queries come first when there are not processors enough for them and a merge.
 * Threads started from here inherit it. Best effort. */
static void yield_to_queries(void)
{
    pthread_setname_np(pthread_self(), "akin-maintain");
    if (setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10))
        akin_log(AKIN_LOG_DEBUG, "maintenance keeps its priority");
}

/* Looks every second whether an index wants to be built. The first time, compares
 * what opening left of index files, and goes on with builds that the last process
 * did not finish: not sooner, as a process that only asks something ends before. */
static void *maintenance_main(void *arg)
{
    akin_engine *engine = arg;
    bool first = true;
    yield_to_queries();
    pthread_mutex_lock(&engine->wake_lock);
    while (!engine->closing) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&engine->wake, &engine->wake_lock, &until);
        if (engine->closing) break;
        pthread_mutex_unlock(&engine->wake_lock);
        bool automatic = akin_config_bool(engine->config, "index.auto");
        if (automatic && first) akin__jobs_resume_builds(engine);
        first &= !automatic;
        maintain_all(engine);
        pthread_mutex_lock(&engine->wake_lock);
    }
    pthread_mutex_unlock(&engine->wake_lock);
    return NULL;
}

/* A space without an IVF-PQ generation is read from the store when opened; from
 * here on a file is quicker, and writing one takes no training. */
#define SAVE_ABOVE 5000

static akin_status save_space(akin__collection *c, akin_space space,
                              akin_error *err)
{
    akin_index_stats stats;
    akin__view *view = akin__view_hold(c);
    akin_status rc = AKIN_OK;

    akin_index_get_stats(view->index[space], &stats);
    if (stats.kind != AKIN_INDEX_IVFPQ && !stats.building &&
        stats.delta > SAVE_ABOVE &&
        akin_index_wants_build(view->index[space]) != AKIN_BUILD_FIRST)
        rc = akin__space_build(c, view, space, false, NULL, NULL, NULL, NULL,
                               err);
    akin__view_release(view);
    return rc == AKIN_BUSY ? AKIN_OK : rc;
}

akin_status akin_engine_save(akin_engine *engine, akin_error *err)
{
    akin__collection **all;
    size_t n;
    akin_status rc = akin__writable(engine, err);
    if (!rc) rc = akin__collections_all(engine, &all, &n, err);
    if (rc) return rc;
    for (size_t i = 0; i < n && !rc; i++)
        for (int space = 0; space < AKIN_SPACES && !rc; space++)
            rc = save_space(all[i], space, err);
    akin__collections_release(all, n);
    return rc;
}

/* ---- opening and closing --------------------------------------------------------------- */

static akin_status set_paths(akin_engine *engine,
                             const akin_engine_options *options,
                             akin_error *err)
{
    char text[PATH_MAX], absolute[PATH_MAX];
    const char *data = options->data_dir, *model = options->model_dir;

    if (!data)
        data = akin_config_text(engine->config, "data", text, sizeof text);
    if (!*data)
        return akin_fail(err, AKIN_INVALID,
                         "no data directory; name one with --data DIR");
    engine->data_dir = akin_strdup(data);
    engine->index_dir = akin_format("%s/index", data);
    if (!engine->data_dir || !engine->index_dir) return akin__nomem(err);

    if (!model)
        model = akin_config_text(engine->config, "model", text, sizeof text);
    if (!*model) return AKIN_OK;
    if (!realpath(model, absolute))
        return akin_fail(err, AKIN_NOT_FOUND, "no such model directory: %s",
                         model);
    engine->model_dir = akin_strdup(absolute);
    return engine->model_dir ? AKIN_OK : akin__nomem(err);
}

static akin_status open_parts(akin_engine *engine,
                              const akin_engine_options *options,
                              akin_error *err)
{
    akin_storage_options storage = {.dir = engine->data_dir,
                                    .create = !engine->read_only,
                                    .read_only = engine->read_only};
    akin__model *model;

    akin_status rc = akin_storage_open(&storage, &engine->storage, err);
    if (!rc)
        rc = akin__cache_open(
            (size_t)akin_config_uint(engine->config, "query.cache"),
            &engine->texts, err);
    if (!rc) rc = akin__cache_open(RECENT, &engine->recent, err);
    if (!rc) rc = akin__ids_open(&engine->ids, err);
    if (!rc)
        rc = akin_pool_open(akin__threads(engine), 0, "akin-decode",
                            &engine->decoders, err);
    if (!rc && !engine->read_only) rc = akin_dir_make(engine->index_dir, err);
    if (!rc && !engine->read_only) rc = akin__snapshots_sweep(engine, err);
    if (!rc) rc = akin__collections_open(engine, err);
    if (!rc && options->load_model && engine->model_dir)
        rc = akin__model_get(engine, engine->model_dir, &model, err);
    if (!rc) rc = akin__jobs_open(engine, &engine->jobs, err);
    return rc;
}

static akin_status start_maintenance(akin_engine *engine, akin_error *err)
{
    if (engine->read_only) return AKIN_OK;
    int e =
        pthread_create(&engine->maintenance, NULL, maintenance_main, engine);
    if (e)
        return akin_fail_errno(err, e, "cannot start the maintenance thread");
    engine->maintained = true;
    return AKIN_OK;
}

akin_status akin_engine_open(const akin_engine_options *options,
                             akin_engine **out, akin_error *err)
{
    pthread_condattr_t attr;
    akin_engine *engine = akin_calloc(1, sizeof *engine);
    if (!engine) return akin__nomem(err);

    engine->read_only = options->read_only;
    pthread_mutex_init(&engine->lock, NULL);
    pthread_mutex_init(&engine->wake_lock, NULL);
    pthread_mutex_init(&engine->snapshot_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&engine->wake, &attr);
    pthread_condattr_destroy(&attr);

    akin_status rc = AKIN_OK;
    engine->config = options->config;
    if (!engine->config) {
        rc = akin_config_open(&engine->own_config, err);
        engine->config = engine->own_config;
    }
    if (!rc) rc = set_paths(engine, options, err);
    if (!rc) rc = open_parts(engine, options, err);
    if (!rc) rc = start_maintenance(engine, err);
    if (rc) {
        akin_engine_close(engine);
        return rc;
    }
    *out = engine;
    return AKIN_OK;
}

void akin_engine_close(akin_engine *engine)
{
    if (!engine) return;
    atomic_store(&engine->stop, true);
    akin__jobs_close(engine->jobs);
    if (engine->maintained) {
        pthread_mutex_lock(&engine->wake_lock);
        engine->closing = true;
        pthread_cond_signal(&engine->wake);
        pthread_mutex_unlock(&engine->wake_lock);
        pthread_join(engine->maintenance, NULL);
        akin_error error = {0};
        if (akin_engine_save(engine, &error))
            akin_log(AKIN_LOG_WARN,
                     "indexes were not saved (they are rebuilt "
                     "when opened): %s",
                     error.message);
    }
    akin__collections_close(engine);
    akin__models_close(engine);
    akin_pool_close(engine->decoders);
    akin__cache_close(engine->texts);
    akin__cache_close(engine->recent);
    akin__ids_close(engine->ids);
    akin_storage_close(engine->storage);
    akin_config_close(engine->own_config);
    pthread_mutex_destroy(&engine->lock);
    pthread_mutex_destroy(&engine->wake_lock);
    pthread_mutex_destroy(&engine->snapshot_lock);
    pthread_cond_destroy(&engine->wake);
    akin_free(engine->data_dir);
    akin_free(engine->index_dir);
    akin_free(engine->model_dir);
    akin_free(engine);
}

/* ---- figures ------------------------------------------------------------------------------- */

/* 0: not known here. Files of /proc have no size, and so need a stream. */
static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long long pages = 0;
    if (!file) return 0;
    if (fscanf(file, "%*u %20llu", &pages) != 1) pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void index_figures(akin_engine *engine, akin_engine_stats *out)
{
    akin__collection **all;
    size_t n;
    if (akin__collections_all(engine, &all, &n, NULL)) return;
    for (size_t i = 0; i < n; i++) {
        akin__view *view = akin__view_hold(all[i]);
        for (int space = 0; space < AKIN_SPACES; space++) {
            akin_index_stats stats;
            akin_index_get_stats(view->index[space], &stats);
            out->index_bytes += stats.bytes_disk;
        }
        akin__view_release(view);
    }
    akin__collections_release(all, n);
}

void akin_engine_get_stats(akin_engine *engine, akin_engine_stats *out)
{
    akin__counters *c = &engine->counters;
    akin_storage_info storage = {0};

    memset(out, 0, sizeof *out);
    if (!akin_storage_stat(engine->storage, &storage, NULL)) {
        out->items = storage.items;
        out->collections = storage.collections;
        out->db_bytes =
            storage.file_bytes + storage.wal_bytes + storage.thumb_bytes;
    }
    out->queries = atomic_load(&c->queries);
    out->query_ns = atomic_load(&c->query_ns);
    out->puts = atomic_load(&c->puts);
    out->put_items = atomic_load(&c->put_items);
    out->pictures_decoded = atomic_load(&c->decoded);
    out->decode_ns = atomic_load(&c->decode_ns);
    out->encoder_batches = atomic_load(&c->batches);
    out->encoder_items = atomic_load(&c->batch_items);
    out->encoder_ns = atomic_load(&c->batch_ns);
    for (size_t i = 0; i < AKIN_BATCH_SIZES; i++)
        out->batch_sizes[i] = atomic_load(&c->batch_sizes[i]);
    out->text_cache_hits = atomic_load(&c->text_hits);
    out->text_cache_misses = atomic_load(&c->text_misses);
    out->embeddings_reused = atomic_load(&c->reused);
    out->filter_cache_hits = atomic_load(&c->filter_hits);
    out->filter_cache_misses = atomic_load(&c->filter_misses);
    out->encode_queue = akin__models_queued(engine);
    out->decode_queue = akin_pool_queued(engine->decoders);
    out->jobs_running = akin__jobs_running(engine->jobs);
    out->memory_bytes = resident_bytes();
    index_figures(engine, out);
}
