/* bench_million: a data directory of a million items, through the engine.
 *
 *   bench_million DIR load [N]   puts CLIP-like vectors with attributes; run
 *                                again, it goes on where it stopped
 *   bench_million DIR build      trains the index; prints time and memory
 *   bench_million DIR query      opens, timed to the first answer; searches,
 *                                filters, deletes, puts, a snapshot, and opens
 *                                again
 *
 * Every item has "u" (indexed) and "v" (not), the same number from 0 to 9999,
 * so that `.u < 100` leaves a hundredth. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "akin_engine.h"
#include "akin_storage.h"
#include "ann_data.h"

#define NAME     "million"
#define DIM      512
#define CLUSTERS 2000
#define SEED     1
#define BATCH    1000
#define K        10
#define QUERIES  500

static akin_error err;

static void must(akin_status rc)
{
    if (!rc) return;
    fprintf(stderr, "bench_million: %s\n", err.message);
    exit(1);
}

static double now(void)
{
    return (double)akin_mono_ns() * 1e-9;
}

static double peak_mb(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_maxrss / 1024;
}

static unsigned attribute_of(uint64_t i)
{
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 31)) * 0xBF58476D1CE4E5B9ull;
    return (unsigned)((z ^ (z >> 29)) % 10000);
}

static akin_engine *open_engine(const char *dir, const char *automatic)
{
    static akin_config *config;
    akin_engine *engine;
    if (!config) must(akin_config_open(&config, &err));
    must(akin_config_set(config, "index.auto", automatic, &err));
    akin_engine_options options = {
        .data_dir = dir, .model_dir = "", .config = config};
    must(akin_engine_open(&options, &engine, &err));
    return engine;
}

/* ---- load -------------------------------------------------------------------- */

static void put_batch(akin_engine *engine, const ann_vectors *items,
                      size_t first, size_t n)
{
    static float vectors[BATCH * DIM];
    static char ids[BATCH][24], json[BATCH][40];
    static akin_item_input in[BATCH];
    static akin_put_result results[BATCH];
    akin_float_from_half(vectors, items->rows + first * DIM, n * DIM);
    for (size_t i = 0; i < n; i++) {
        unsigned u = attribute_of(first + i);
        snprintf(ids[i], sizeof ids[i], "%zu", first + i);
        snprintf(json[i], sizeof json[i], "{\"u\":%u,\"v\":%u}", u, u);
        in[i] = (akin_item_input){.id = akin_span_of(ids[i]),
                                  .vector = vectors + i * DIM,
                                  .dim = DIM,
                                  .attributes = akin_span_of(json[i])};
    }
    must(akin_engine_put(engine, NAME, in, n, NULL, results, &err));
}

static void load(const char *dir, size_t n)
{
    const akin_field field = {"u", AKIN_ATTRIBUTE_NUMBER};
    akin_collection_options options = {
        .dim = DIM, .fields = &field, .nfields = 1};
    akin_engine *engine = open_engine(dir, "no");
    ann_vectors items = {0};
    uint64_t have = 0;
    akin_status rc = akin_engine_create(engine, NAME, &options, &err);
    if (rc != AKIN_EXISTS) must(rc);
    must(akin_engine_count(engine, NAME, (akin_filter){0}, &have, &err));
    must(ann_generate(ANN_ITEMS, n, DIM, CLUSTERS, SEED, &items, &err));
    double start = now();
    for (size_t i = have; i < n; i += BATCH) {
        put_batch(engine, &items, i, n - i < BATCH ? n - i : BATCH);
        if ((i / BATCH + 1) % 100 == 0)
            printf("%zu items, %.0f items/s\n", i + BATCH,
                   (double)(i + BATCH - have) / (now() - start));
        fflush(stdout);
    }
    printf("loaded %zu items in %.1f s; peak memory %.0f MB\n",
           n - (size_t)have, now() - start, peak_mb());
    ann_clear(&items);
    start = now();
    akin_engine_close(engine);
    printf("closed in %.1f s\n", now() - start);
}

/* ---- build ------------------------------------------------------------------- */

static bool show(void *user, const akin_progress *p)
{
    char *last = user;
    if (strcmp(last, p->phase) != 0)
        printf("%s (%" PRIu64 ")\n", p->phase, p->total);
    snprintf(last, sizeof p->phase, "%s", p->phase);
    fflush(stdout);
    return true;
}

static void print_info(akin_engine *engine)
{
    akin_collection_info *info = calloc(1, sizeof *info);
    must(akin_engine_info(engine, NAME, info, &err));
    double n = (double)info->image.vectors;
    printf("%" PRIu64 " items, %s, nprobe %u, %u candidates; a vector takes "
           "%.1f bytes in memory and %.1f mapped from disk\n",
           info->items, info->image.kind, info->image.nprobe,
           info->image.candidates, (double)info->image.memory_bytes / n,
           (double)info->image.disk_bytes / n);
    free(info);
}

static void build(const char *dir)
{
    char phase[24] = "";
    double start = now();
    akin_engine *engine = open_engine(dir, "no");
    printf("opened in %.1f s without an index, %.0f MB\n", now() - start,
           peak_mb());
    start = now();
    must(akin_engine_rebuild(engine, NAME, show, phase, &err));
    printf("built in %.1f s; peak memory %.0f MB\n", now() - start, peak_mb());
    print_info(engine);
    akin_engine_close(engine);
}

/* ---- query ------------------------------------------------------------------- */

/* One query; returns the number of results, ids in out (K). */
static size_t ask(akin_engine *engine, const float *vector, const char *filter,
                  bool exact, long *out)
{
    akin_query_term term = {
        .kind = AKIN_TERM_VECTOR, .weight = 1, .vector = vector, .dim = DIM};
    akin_query query = {.terms = &term, .nterms = 1, .k = K, .exact = exact};
    akin_results found;
    size_t n;
    if (filter) query.filter.text = akin_span_of(filter);
    must(akin_engine_search(engine, NAME, &query, &found, &err));
    n = found.n;
    for (size_t i = 0; i < n; i++)
        out[i] = strtol(found.matches[i].id, NULL, 10);
    akin_results_clear(&found);
    return n;
}

static double seconds_to_first(const char *dir, const float *vector,
                               akin_engine **out)
{
    long ids[K];
    double start = now();
    *out = open_engine(dir, "no");
    ask(*out, vector, NULL, false, ids);
    return now() - start;
}

/* Recall against exact search, queries a second, and whether all k came. */
static void measure(akin_engine *engine, const ann_vectors *queries,
                    const char *filter, const char *name)
{
    size_t n = filter ? 200 : QUERIES, right = 0, there = 0, full = 0;
    float *vectors = calloc(QUERIES * DIM, sizeof *vectors);
    long exact[K], found[K];
    uint64_t pass = 0;
    double first, seconds = 0;
    akin_filter f = {.text = akin_span_of(filter ? filter : "")};
    akin_float_from_half(vectors, queries->rows, QUERIES * DIM);
    first = now();
    ask(engine, vectors, filter, false, found);
    first = now() - first;
    must(akin_engine_count(engine, NAME, f, &pass, &err));
    for (size_t q = 0; q < n; q++) {
        size_t want = ask(engine, vectors + q * DIM, filter, true, exact);
        double start = now();
        size_t got = ask(engine, vectors + q * DIM, filter, false, found);
        seconds += now() - start;
        there += want;
        full += got == want && (got == K || got == pass);
        for (size_t i = 0; i < want; i++)
            for (size_t j = 0; j < got; j++)
                right += exact[i] == found[j];
    }
    printf("%-26s %9" PRIu64 " pass: recall %.4f, %6.0f QPS, all k in %zu of "
           "%zu, first query %.1f ms\n",
           name, pass, (double)right / (double)there, (double)n / seconds, full,
           n, first * 1e3);
    fflush(stdout);
    free(vectors);
}

static void measure_filters(akin_engine *engine, const ann_vectors *queries)
{
    static const unsigned bounds[] = {5000, 1000, 100, 10, 1};
    char filter[64], name[64];
    for (size_t i = 0; i < 5; i++) {
        snprintf(filter, sizeof filter, ".u < %u", bounds[i]);
        snprintf(name, sizeof name, "filter %g%%", bounds[i] / 100.);
        measure(engine, queries, filter, name);
    }
    measure(engine, queries, ".v < 100", "filter 1%, not declared");
}

static void change(akin_engine *engine, const ann_vectors *queries)
{
    enum { GONE = 10000, AT_ONCE = 1000 };
    static char ids[AT_ONCE][24];
    akin_span spans[AT_ONCE];
    size_t removed, total = 0;
    double start = now();
    for (size_t i = 0; i < GONE; i += AT_ONCE) {
        for (size_t j = 0; j < AT_ONCE; j++) {
            snprintf(ids[j], sizeof ids[j], "%zu", (i + j) * 50);
            spans[j] = akin_span_of(ids[j]);
        }
        must(akin_engine_remove(engine, NAME, spans, AT_ONCE, &removed, &err));
        total += removed;
    }
    printf("deleted %zu items in %.2f s\n", total, now() - start);
    measure(engine, queries, NULL, "after the deletes");
    start = now();
    put_batch(engine, queries, 0, QUERIES);
    printf("replaced %d items in %.2f s\n", QUERIES, now() - start);
    measure(engine, queries, NULL, "after the puts");
}

static double directory_mb(const char *dir)
{
    static const char *const files[] = {"akin.db", "akin.db-wal", "thumbs.db"};
    double sum = 0;
    for (size_t i = 0; i < 3; i++) {
        struct stat st;
        char *path = akin_format("%s/%s", dir, files[i]);
        if (path && !stat(path, &st)) sum += (double)st.st_size / 1048576;
        akin_free(path);
    }
    return sum;
}

static void snapshot(const char *dir)
{
    akin_storage_options options = {.dir = dir};
    akin_storage *storage;
    char *to = akin_format("%s.snapshot", dir);
    double start;
    must(akin_storage_open(&options, &storage, &err));
    start = now();
    must(akin_storage_backup(storage, to, NULL, NULL, &err));
    printf("snapshot in %.1f s, %.0f MB\n", now() - start, directory_mb(to));
    akin_storage_close(storage);
    akin_free(to);
}

static void query(const char *dir)
{
    ann_vectors queries = {0};
    float first[DIM];
    akin_engine *engine;
    must(ann_generate(ANN_LIKE, QUERIES, DIM, CLUSTERS, SEED, &queries, &err));
    akin_float_from_half(first, queries.rows, DIM);
    printf("first answer %.2f s after opening\n",
           seconds_to_first(dir, first, &engine));
    print_info(engine);
    measure(engine, &queries, NULL, "no filter");
    measure_filters(engine, &queries);
    change(engine, &queries);
    akin_engine_close(engine);
    printf("first answer %.2f s after opening again\n",
           seconds_to_first(dir, first, &engine));
    measure(engine, &queries, NULL, "after a restart");
    akin_engine_close(engine);
    printf("peak memory %.0f MB, of which mapped files count\n", peak_mb());
    printf("store %.0f MB\n", directory_mb(dir));
    snapshot(dir);
    ann_clear(&queries);
}

int main(int argc, char **argv)
{
    size_t n = argc > 3 ? (size_t)strtoull(argv[3], NULL, 10) : 1000000;
    if (argc > 2 && n && !strcmp(argv[2], "load"))
        load(argv[1], n);
    else if (argc == 3 && !strcmp(argv[2], "build"))
        build(argv[1]);
    else if (argc == 3 && !strcmp(argv[2], "query"))
        query(argv[1]);
    else {
        fprintf(stderr, "usage: bench_million DIR load [N] | build | query\n");
        return 2;
    }
    return 0;
}
