/* bench_million: a data directory of a million items, as it is used.
 *
 *   bench_million DIR all [N]    the parts below, in this order, from an empty
 *                                or missing directory
 *   bench_million DIR load [N]   puts CLIP-like vectors with attributes; run
 *                                again, it goes on where it stopped
 *   bench_million DIR build      trains the index; prints time and memory
 *   bench_million DIR open       `akin serve` to the first answer, with the
 *                                files in memory and with them put out of it
 *   bench_million DIR search     recall and queries a second, filters
 *   bench_million DIR crash      kill -9 among writes, and what is there then
 *   bench_million DIR change     deletes a tenth, replaces, adds; the merge of
 *                                that, with searches going on
 *   bench_million DIR snapshot   one, with searches and writes going on; what
 *                                opening it takes. Written to DIR.snapshot
 *
 * Every item has "u" (indexed) and "v" (not), the same number from 0 to 9999,
 * so that `.u < 100` leaves a hundredth. */
#include "million.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

akin_error failure;

void must(akin_status rc)
{
    if (!rc) return;
    fprintf(stderr, "bench_million: %s\n", failure.message);
    exit(1);
}

double now(void)
{
    return (double)akin_mono_ns() * 1e-9;
}

double resident_mb(char kind)
{
    const char *format = kind == 'a'   ? "RssAnon: %lf"
                         : kind == 'f' ? "RssFile: %lf"
                                       : "VmHWM: %lf";
    char line[256];
    double kb = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && !kb && fgets(line, sizeof line, file))
        (void)sscanf(line, format, &kb);
    if (file) fclose(file);
    return kb / 1024;
}

static unsigned attribute_of(uint64_t i)
{
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 31)) * 0xBF58476D1CE4E5B9ull;
    return (unsigned)((z ^ (z >> 29)) % 10000);
}

akin_engine *open_engine(const char *dir, const char *automatic)
{
    static akin_config *config;
    akin_engine *engine;
    if (!config) must(akin_config_open(&config, &failure));
    must(akin_config_set(config, "index.auto", automatic, &failure));
    akin_engine_options options = {
        .data_dir = dir, .model_dir = "", .config = config};
    must(akin_engine_open(&options, &engine, &failure));
    return engine;
}

akin_collection_info *info_of(akin_engine *engine)
{
    akin_collection_info *info = calloc(1, sizeof *info);
    must(akin_engine_info(engine, NAME, info, &failure));
    return info;
}

void print_info(akin_engine *engine)
{
    akin_collection_info *info = info_of(engine);
    double n = (double)info->image.vectors;
    printf("  %" PRIu64 " items, %s, nprobe %u, %u candidates; delta %" PRIu64
           ", tombstones %" PRIu64 "; a vector takes %.1f bytes of memory, of "
           "which %.1f are mapped from disk\n",
           info->items, info->image.kind, info->image.nprobe,
           info->image.candidates, info->image.delta, info->image.tombstones,
           (double)info->image.memory_bytes / n,
           (double)info->image.mapped_bytes / n);
    free(info);
}

void put_items(akin_engine *engine, const uint16_t *rows, size_t first,
               size_t n)
{
    static float vectors[BATCH * DIM];
    static char ids[BATCH][24], json[BATCH][40];
    static akin_item_input in[BATCH];
    static akin_put_result results[BATCH];
    akin_float_from_half(vectors, rows, n * DIM);
    for (size_t i = 0; i < n; i++) {
        unsigned u = attribute_of(first + i);
        snprintf(ids[i], sizeof ids[i], "%zu", first + i);
        snprintf(json[i], sizeof json[i], "{\"u\":%u,\"v\":%u}", u, u);
        in[i] = (akin_item_input){.id = akin_span_of(ids[i]),
                                  .vector = vectors + i * DIM,
                                  .dim = DIM,
                                  .attributes = akin_span_of(json[i])};
    }
    must(akin_engine_put(engine, NAME, in, n, NULL, results, &failure));
}

void make_queries(size_t more, ann_vectors *rows, float **queries)
{
    must(ann_generate(ANN_LIKE, QUERIES + more, DIM, CLUSTERS, SEED, rows,
                      &failure));
    *queries = calloc(QUERIES * DIM, sizeof **queries);
    if (!*queries) abort();
    akin_float_from_half(*queries, rows->rows, QUERIES * DIM);
}

/* ---- load, build ---------------------------------------------------------------- */

static void load(const char *dir, size_t n)
{
    const akin_field field = {"u", AKIN_ATTRIBUTE_NUMBER};
    akin_collection_options options = {
        .dim = DIM, .fields = &field, .nfields = 1};
    akin_engine *engine = open_engine(dir, "no");
    ann_vectors items = {0};
    uint64_t have = 0;
    akin_status rc = akin_engine_create(engine, NAME, &options, &failure);
    if (rc != AKIN_EXISTS) must(rc);
    must(akin_engine_count(engine, NAME, (akin_filter){0}, &have, &failure));
    must(ann_generate(ANN_ITEMS, n, DIM, CLUSTERS, SEED, &items, &failure));
    double start = now();
    for (size_t i = have; i < n; i += BATCH) {
        put_items(engine, items.rows + i * DIM, i,
                  n - i < BATCH ? n - i : BATCH);
        if ((i / BATCH + 1) % 100 == 0)
            printf("  %zu items, %.0f items/s\n", i + BATCH,
                   (double)(i + BATCH - have) / (now() - start));
        fflush(stdout);
    }
    double seconds = now() - start;
    ann_clear(&items);
    printf("loaded %zu items in %.1f s, %.0f items/s; peak memory %.0f MB, "
           "with those that were put\n",
           n - (size_t)have, seconds, (double)(n - have) / seconds,
           resident_mb('p'));
    start = now();
    akin_engine_close(engine);
    printf("  closed in %.1f s\n", now() - start);
}

static bool show(void *user, const akin_progress *p)
{
    char *last = user;
    if (strcmp(last, p->phase) != 0)
        printf("  %s (%" PRIu64 ")\n", p->phase, p->total);
    snprintf(last, sizeof p->phase, "%s", p->phase);
    fflush(stdout);
    return true;
}

static void build(const char *dir)
{
    char phase[24] = "";
    double start = now();
    akin_engine *engine = open_engine(dir, "no");
    printf("opened in %.1f s, %.0f MB\n", now() - start, resident_mb('a'));
    start = now();
    must(akin_engine_rebuild(engine, NAME, show, phase, &failure));
    printf("built in %.1f s; peak memory %.0f MB, with mapped files\n",
           now() - start, resident_mb('p'));
    print_info(engine);
    akin_engine_close(engine);
}

/* ---- main -------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    static const char *const parts[] = {"load",  "build",  "open",    "search",
                                        "crash", "change", "snapshot"};
    size_t n = argc > 3 ? (size_t)strtoull(argv[3], NULL, 10) : 1000000;
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *dir = argv[1], *slash = strrchr(argv[0], '/');
    char *akin = akin_format("%.*s../akin",
                             slash ? (int)(slash + 1 - argv[0]) : 0, argv[0]);
    bool known = false;
    for (int i = 0; akin && argc > 2 && argc < 5 && n && i < 7; i++) {
        if (strcmp(argv[2], parts[i]) != 0 && strcmp(argv[2], "all") != 0)
            continue;
        known = true;
        printf("-- %s\n", parts[i]);
        fflush(stdout);
        if (i == 0) load(dir, n);
        if (i == 1) build(dir);
        if (i == 2) million_open(dir, akin);
        if (i == 3) million_search(dir);
        if (i == 4) million_crash(dir, akin);
        if (i == 5) million_change(dir);
        if (i == 6) million_snapshot(dir, akin);
    }
    akin_free(akin);
    if (known) return 0;
    fprintf(stderr, "usage: bench_million DIR all|load|build|open|search|crash|"
                    "change|snapshot [N]\n");
    return 2;
}
