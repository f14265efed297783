/* bench_ann: one space of akin beside FAISS and hnswlib, in process.
 *
 * One row a run: data set, what searched, its settings, queries, recall@10
 * against exact search, threads, queries a second, queries a CPU-second,
 * latencies, build seconds, bytes a vector. Queries go one a call. Run it on an idle machine. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ann.h"
#include "internal.h" /* where the generation's file lies */

static const char usage[] =
    "usage: bench_ann [option value]...\n"
    "  --n N            items, 200000\n"
    "  --dim D          dimensions, 512\n"
    "  --clusters C     of the generated items, 2000\n"
    "  --queries Q      of each kind, 1000\n"
    "  --seed S         1\n"
    "  --vectors FILE   items from .fvecs or .npy; queries are held out of "
    "them\n"
    "  --text FILE      text queries from a file\n"
    "  --dir DIR        where the generation goes, and is found again by a "
    "later run\n"
    "                   with the same data; a new folder in /tmp\n"
    "  --threads T      most threads, 2\n"
    "  --parts P,P...   measure, targets, wide, lists, filters, flat, hnsw, "
    "opq, open,\n"
    "                   writes; none: only build. Default: all but measure and "
    "opq, and\n"
    "                   without flat and hnsw beyond 300000 items\n";

/* ---- running ----------------------------------------------------------------- */

typedef struct {
    searcher *search;
    const void *arg;
    const query_set *set;
    size_t dim, threads, thread;
    int64_t *rows;     /* (n, K) */
    uint64_t *latency; /* (n) ns */
    double cpu_s;      /* of this thread */
} work;

static double thread_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *run_part(void *arg)
{
    work *w = arg;
    double start_s = thread_seconds();
    for (size_t q = w->thread; q < w->set->n; q += w->threads) {
        uint64_t start = akin_mono_ns();
        w->search(w->arg, w->set->floats + q * w->dim, w->rows + q * K);
        w->latency[q] = akin_mono_ns() - start;
    }
    w->cpu_s = thread_seconds() - start_s;
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double recall_of(const query_set *set, const int64_t *rows,
                        const int64_t *truth)
{
    size_t right = 0, there = 0;
    for (size_t q = 0; q < set->n; q++)
        for (size_t i = 0; i < K; i++) {
            if (truth[q * K + i] < 0) continue;
            there++;
            for (size_t j = 0; j < K; j++)
                right += rows[q * K + j] == truth[q * K + i];
        }
    return there ? (double)right / (double)there : 1;
}

static void print_head(void)
{
    printf("%-14s %-20s %-26s %-6s %7s %3s %8s %8s %7s %7s %7s %7s %8s\n",
           "dataset", "index", "setting", "query", "recall", "thr", "QPS",
           "q/cpu_s", "p50_us", "p95_us", "p99_us", "build_s", "bytes/v");
}

double run(const bench *b, const char *index, const char *setting,
           const query_set *set, const int64_t *truth, size_t threads,
           searcher *search, const void *arg, double build_s, double bytes)
{
    int64_t *rows = calloc(set->n * K, sizeof *rows);
    uint64_t *latency = calloc(set->n, sizeof *latency), start;
    pthread_t ids[64];
    work works[64];
    double seconds, cpu_s = 0;
    for (size_t q = 0; q < set->n && q < 50; q++)
        search(arg, set->floats + q * b->items.dim, rows);
    start = akin_mono_ns();
    for (size_t t = 0; t < threads; t++) {
        works[t] = (work){search, arg,     set, b->items.dim, threads, t,
                          rows,   latency, 0};
        if (pthread_create(&ids[t], NULL, run_part, &works[t])) exit(1);
    }
    for (size_t t = 0; t < threads; t++) {
        pthread_join(ids[t], NULL);
        cpu_s += works[t].cpu_s;
    }
    seconds = (double)(akin_mono_ns() - start) * 1e-9;
    qsort(latency, set->n, sizeof *latency, by_size);
    printf("%-14s %-20s %-26s %-6s %7.4f %3zu %8.0f %8.0f %7.0f %7.0f %7.0f "
           "%7.1f %8.0f\n",
           b->dataset, index, setting, set->name, recall_of(set, rows, truth),
           threads, (double)set->n / seconds, (double)set->n / cpu_s,
           (double)latency[set->n / 2] * 1e-3,
           (double)latency[set->n * 95 / 100] * 1e-3,
           (double)latency[set->n * 99 / 100] * 1e-3, build_s, bytes);
    fflush(stdout);
    free(rows);
    free(latency);
    return (double)set->n / cpu_s;
}

/* ---- searchers ------------------------------------------------------------------ */

void search_akin(const void *arg, const float *query, int64_t *rows)
{
    const akin_arg *a = arg;
    akin_hit hits[K];
    uint32_t n;
    akin_error err;
    if (akin_index_search(a->index, query, 1, &a->params, hits, &n, NULL,
                          &err)) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    for (uint32_t i = 0; i < K; i++)
        rows[i] = i < n ? (int64_t)hits[i].label - 1 : -1;
}

void search_rival(const void *arg, const float *query, int64_t *rows)
{
    const rival_arg *a = arg;
    int64_t all[4000];
    rival_search(a->rival, query, a->candidates, all);
    memcpy(rows, all, K * sizeof *rows);
}

/* ---- parts ------------------------------------------------------------------------ */

void die(const akin_error *err)
{
    fprintf(stderr, "bench_ann: %s\n", err->message);
    exit(1);
}

static void make_set(bench *b, const char *name, akin_query_kind kind,
                     const uint16_t *rows, size_t n)
{
    query_set *s = &b->sets[b->n_sets++];
    size_t dim = b->items.dim;
    *s = (query_set){.name = name, .kind = kind, .n = n};
    s->floats = calloc(n * dim, sizeof *s->floats);
    s->truth = calloc(n * K, sizeof *s->truth);
    akin_float_from_half(s->floats, rows, n * dim);
    for (size_t i = 0; i < n; i++)
        akin_normalize(s->floats + i * dim, dim);
    faiss_truth(b->items.rows, b->items.n, dim, s->floats, n, K, s->truth);
}

static void make_data(bench *b)
{
    const settings *o = &b->o;
    ann_vectors like = {0}, text = {0};
    akin_error err;
    if (o->vectors) {
        if (ann_load(o->vectors, o->n + o->queries, &b->items, &err)) die(&err);
        if (b->items.n <= o->queries) {
            fprintf(stderr, "bench_ann: too few vectors in %s\n", o->vectors);
            exit(1);
        }
        b->items.n -= o->queries;
        like = (ann_vectors){.n = o->queries,
                             .rows = b->items.rows + b->items.n * b->items.dim};
        snprintf(b->dataset, sizeof b->dataset, "file-%zuk", b->items.n / 1000);
    } else {
        if (ann_generate(ANN_ITEMS, o->n, o->dim, o->clusters, o->seed,
                         &b->items, &err) ||
            ann_generate(ANN_LIKE, o->queries, o->dim, o->clusters, o->seed,
                         &like, &err) ||
            ann_generate(ANN_TEXT, o->queries, o->dim, o->clusters, o->seed,
                         &text, &err))
            die(&err);
        snprintf(b->dataset, sizeof b->dataset, "clip-%zuk-%u", o->n / 1000,
                 o->dim);
    }
    if (o->text && ann_load(o->text, o->queries, &text, &err)) die(&err);
    make_set(b, "item", AKIN_QUERY_ITEM, like.rows, like.n);
    if (text.n) make_set(b, "text", AKIN_QUERY_TEXT, text.rows, text.n);
    if (!o->vectors) ann_clear(&like);
    ann_clear(&text);
}

static bool show(void *user, const char *phase, uint64_t done, uint64_t total)
{
    (void)user;
    if (isatty(2))
        fprintf(stderr, "\r%s %llu/%llu        ", phase,
                (unsigned long long)done, (unsigned long long)total);
    return true;
}

static void fill_index(bench *b)
{
    akin_build_params params = {.progress = show};
    akin_build_report report;
    uint64_t labels[1000], start = akin_mono_ns();
    size_t width = b->items.dim;
    akin_error err;
    for (size_t i = 0; i < b->items.n; i += 1000) {
        size_t some = b->items.n - i < 1000 ? b->items.n - i : 1000;
        for (size_t j = 0; j < some; j++)
            labels[j] = i + j + 1;
        if (akin_index_put_many(b->index, labels, b->items.rows + i * width,
                                some, &err))
            die(&err);
    }
    printf("# put %zu vectors: %.1f s\n", b->items.n,
           (double)(akin_mono_ns() - start) * 1e-9);
    if (b->n_sets > 1) { /* half of the text queries measure the curve */
        params.text_queries = b->sets[1].floats;
        params.n_text = b->sets[1].n / 2 < 256 ? b->sets[1].n / 2 : 256;
    }
    if (akin_index_build(b->index, 1, &params, &report, &err)) die(&err);
    b->build_s = report.seconds;
    printf("# %s\n# built in %.1f s: train %.1f, add %.1f, measure %.1f\n",
           report.why, report.seconds, report.train_seconds, report.add_seconds,
           report.measure_seconds);
}

double process_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void print_curve(const char *name, uint32_t k, const akin_curve *curve)
{
    for (uint32_t j = 0; j < curve->n_points; j++) {
        const akin_curve_point *p = &curve->points[j];
        printf("# curve %s, k = %u: nprobe %u, %u candidates: recall %.4f +- "
               "%.4f, %.0f QPS\n",
               name, k, p->nprobe, p->candidates, (double)p->recall,
               (double)p->error, (double)p->qps);
    }
}

static void print_curves(const bench *b)
{
    akin__view view = akin__view_get(b->index);
    const akin__curve_set *set = view.curves ? &view.curves->set : NULL;
    for (unsigned level = 0; set && level < AKIN__LEVELS; level++) {
        uint32_t k = akin__level_k[level];
        print_curve("item", k, &set->level[AKIN_QUERY_ITEM][level]);
        print_curve("text", k, &set->level[AKIN_QUERY_TEXT][level]);
    }
    if (set) {
        print_curve("item, 1/8 pass", AKIN__CURVE_K, &set->filtered[0]);
        print_curve("item, 1/64 pass", AKIN__CURVE_K, &set->filtered[1]);
    }
    akin__view_drop(&view);
}

/* The curves again, as AKIN.RECALL does: what that costs. */
static void bench_measure(const bench *b)
{
    akin_error err;
    akin_curve curve;
    for (size_t s = 0; s < b->n_sets; s++) {
        const query_set *set = &b->sets[s];
        size_t n = set->n / 2 < 256 ? set->n / 2 : 256;
        bool text = set->kind == AKIN_QUERY_TEXT;
        uint64_t start = akin_mono_ns();
        double cpu_s = process_seconds();
        if (akin_index_measure(b->index, set->kind, text ? set->floats : NULL,
                               text ? n : 0, 0, 1, NULL, NULL, &curve, &err))
            die(&err);
        printf("# measured with %s in %.1f s, %.1f of the processors\n",
               set->name, (double)(akin_mono_ns() - start) * 1e-9,
               process_seconds() - cpu_s);
    }
    print_curves(b);
}

/* The options of an index in --dir. A generation that is there, an engine's of
 * the same vectors perhaps, is taken whatever model it names. */
static akin_index_options options_of(const bench *b)
{
    akin_index_options options = {
        .dim = b->items.dim, .dir = b->o.dir, .build_threads = b->o.threads};
    char *path = akin__gen_path(b->o.dir, akin__newest(b->o.dir, UINT64_MAX));
    FILE *file = path ? fopen(path, "rb") : NULL;
    akin__head head;
    if (file && fread(&head, sizeof head, 1, file) == 1)
        memcpy(options.fingerprint, head.fingerprint,
               sizeof options.fingerprint);
    if (file) fclose(file);
    akin_free(path);
    return options;
}

static void make_index(bench *b)
{
    akin_index_options options = options_of(b);
    akin_index_stats stats;
    uint64_t covered;
    akin_error err;
    if (akin_index_open(&options, &b->index, &covered, &err)) die(&err);
    akin_index_get_stats(b->index, &stats);
    b->build_s = stats.trained_seconds;
    if (stats.rows != b->items.n) fill_index(b);
    akin_index_get_stats(b->index, &stats);
    printf("# IVF%u,PQ%u, trained and added in %.1f s; %.1f MB in memory, %.1f "
           "MB mapped\n",
           stats.nlist, stats.m, stats.trained_seconds,
           (double)stats.bytes_memory * 1e-6,
           (double)stats.bytes_mapped * 1e-6);
    print_curves(b);
}

double bytes_of(const bench *b)
{
    akin_index_stats s;
    akin_index_get_stats(b->index, &s);
    return (double)(s.bytes_memory + s.bytes_mapped) / (double)b->items.n;
}

/* akin at the recalls people ask for. */
static void bench_targets(const bench *b)
{
    static const float targets[] = {0.9f, 0.95f, 0.99f, 1};
    for (size_t s = 0; s < b->n_sets; s++)
        for (size_t t = 0; t < 4; t++)
            for (uint32_t threads = 1; threads <= b->o.threads; threads *= 2) {
                akin_arg arg = {b->index, AKIN_SEARCH_DEFAULTS};
                query_set some = b->sets[s];
                char setting[40];
                arg.params.recall = targets[t];
                arg.params.kind = b->sets[s].kind;
                if (targets[t] >= 1 && some.n > 100) some.n = 100;
                snprintf(setting, sizeof setting, "recall %.2f",
                         (double)targets[t]);
                run(b, "akin", setting, &some, some.truth, threads, search_akin,
                    &arg, b->build_s, bytes_of(b));
            }
}

/* The same lists through akin and through FAISS alone: what rescoring and the
 * rest of akin cost. */
static void bench_same_lists(const bench *b)
{
    static const uint32_t nprobes[] = {4, 8, 16, 32};
    static const uint32_t candidates[] = {100, 200, 400};
    akin_index_stats stats;
    char *path;
    uint64_t at;
    rival *raw;
    akin__view view = akin__view_get(b->index);
    at = view.gen->head.ivf_at;
    akin__view_drop(&view);
    akin_index_get_stats(b->index, &stats);
    if (stats.kind != AKIN_INDEX_IVFPQ) {
        printf("# no lists: searched exactly\n");
        return;
    }
    path = akin__gen_path(b->o.dir, stats.generation);
    raw = faiss_read(path, at);
    akin_free(path);
    if (!raw) exit(1);
    for (size_t p = 0; p < 4; p++)
        for (size_t c = 0; c < 3; c++)
            for (uint32_t threads = 1; threads <= b->o.threads; threads *= 2) {
                akin_arg arg = {b->index, AKIN_SEARCH_DEFAULTS};
                rival_arg raw_arg = {raw, (int)candidates[c]};
                const query_set *set = &b->sets[0];
                char setting[40], name[40];
                double mine, theirs;
                arg.params.nprobe = nprobes[p];
                arg.params.candidates = candidates[c];
                rival_set(raw, (int)nprobes[p]);
                snprintf(setting, sizeof setting, "nprobe %u, %u rescored",
                         nprobes[p], candidates[c]);
                mine = run(b, "akin", setting, set, set->truth, threads,
                           search_akin, &arg, b->build_s, bytes_of(b));
                snprintf(name, sizeof name, "FAISS IVF%u,PQ%u", stats.nlist,
                         stats.m);
                snprintf(setting, sizeof setting, "nprobe %u, k = %u",
                         nprobes[p], candidates[c]);
                theirs = run(b, name, setting, set, set->truth, threads,
                             search_rival, &raw_arg, b->build_s,
                             (double)rival_bytes(raw) / (double)b->items.n);
                printf("# akin / FAISS: %.2f\n", mine / theirs);
            }
    rival_free(raw);
}

static void bench_flat(const bench *b)
{
    uint64_t start = akin_mono_ns();
    rival *flat = faiss_flat(b->items.rows, b->items.n, b->items.dim);
    double seconds = (double)(akin_mono_ns() - start) * 1e-9;
    rival_arg arg = {flat, K};
    query_set some = b->sets[0];
    if (some.n > 100) some.n = 100;
    for (uint32_t threads = 1; threads <= b->o.threads; threads *= 2)
        run(b, "FAISS Flat", "float32", &some, some.truth, threads,
            search_rival, &arg, seconds,
            (double)rival_bytes(flat) / (double)b->items.n);
    rival_free(flat);
}

static void bench_hnsw(const bench *b)
{
    static const int efs[] = {32, 64, 128, 256, 512};
    uint64_t start = akin_mono_ns();
    rival *hnsw = hnsw_build(b->items.rows, b->items.n, b->items.dim, 16, 200);
    double seconds = (double)(akin_mono_ns() - start) * 1e-9;
    rival_arg arg = {hnsw, K};
    if (!hnsw) {
        printf("# compiled without hnswlib\n");
        return;
    }
    for (size_t s = 0; s < b->n_sets; s++)
        for (size_t e = 0; e < 5; e++)
            for (uint32_t threads = 1; threads <= b->o.threads; threads *= 2) {
                char setting[40];
                rival_set(hnsw, efs[e]);
                snprintf(setting, sizeof setting, "ef %d", efs[e]);
                run(b, "hnswlib M16,efC200", setting, &b->sets[s],
                    b->sets[s].truth, threads, search_rival, &arg, seconds,
                    (double)rival_bytes(hnsw) / (double)b->items.n);
            }
    rival_free(hnsw);
}

/* Closes, opens, and answers once. */
static void bench_open(bench *b)
{
    akin_index_options options = options_of(b);
    uint64_t covered, start;
    double cpu_s;
    akin_error err;
    akin_arg arg;
    int64_t rows[K];
    akin_index_close(b->index);
    start = akin_mono_ns();
    cpu_s = process_seconds();
    if (akin_index_open(&options, &b->index, &covered, &err)) die(&err);
    arg = (akin_arg){b->index, AKIN_SEARCH_DEFAULTS};
    search_akin(&arg, b->sets[0].floats, rows);
    printf("# open, check the digests and answer once: %.2f s, %.2f of the "
           "processors\n",
           (double)(akin_mono_ns() - start) * 1e-9, process_seconds() - cpu_s);
}

/* ---- main --------------------------------------------------------------------------- */

static bool parse(settings *o, int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        unsigned long long number = strtoull(value, NULL, 10);
        if (strcmp(name, "--n") == 0)
            o->n = (size_t)number;
        else if (strcmp(name, "--dim") == 0)
            o->dim = (uint32_t)number;
        else if (strcmp(name, "--clusters") == 0)
            o->clusters = (uint32_t)number;
        else if (strcmp(name, "--queries") == 0)
            o->queries = (size_t)number;
        else if (strcmp(name, "--seed") == 0)
            o->seed = number;
        else if (strcmp(name, "--vectors") == 0)
            o->vectors = value;
        else if (strcmp(name, "--text") == 0)
            o->text = value;
        else if (strcmp(name, "--dir") == 0)
            o->dir = value;
        else if (strcmp(name, "--threads") == 0)
            o->threads = (uint32_t)number;
        else if (strcmp(name, "--parts") == 0)
            o->parts = value;
        else
            return false;
    }
    return argc % 2 == 1 && o->n > 0 && o->dim > 0 && o->dim <= 8192 &&
           o->clusters > 0 && o->queries > 0 && o->threads >= 1 &&
           o->threads <= 64;
}

static bool wanted(const bench *b, const char *part)
{
    size_t n = strlen(part);
    for (const char *p = b->o.parts; *p;) {
        size_t size = strcspn(p, ",");
        if (size == n && strncmp(p, part, n) == 0) return true;
        p += size + (p[size] == ',');
    }
    return false;
}

int main(int argc, char **argv)
{
    bench b = {.o = {.n = 200000,
                     .queries = 1000,
                     .dim = 512,
                     .clusters = 2000,
                     .threads = 2,
                     .seed = 1}};
    char *dir = NULL;
    if (!parse(&b.o, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    /* one BLAS thread: FAISS and akin bring their own */
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    if (!b.o.dir) {
        if (akin_dir_temporary("bench-ann", &dir, NULL)) return 1;
        b.o.dir = dir;
    }
    make_data(&b);
    make_index(&b);
    if (!b.o.parts)
        b.o.parts = b.items.n <= 300000
                        ? "targets,wide,lists,filters,flat,hnsw,open,writes"
                        : "targets,wide,lists,filters,open,writes";
    print_head();
    if (wanted(&b, "measure")) bench_measure(&b);
    if (wanted(&b, "targets")) bench_targets(&b);
    if (wanted(&b, "wide")) bench_wide(&b);
    if (wanted(&b, "lists")) bench_same_lists(&b);
    if (wanted(&b, "filters")) bench_filters(&b);
    if (wanted(&b, "flat")) bench_flat(&b);
    if (wanted(&b, "hnsw")) bench_hnsw(&b);
    if (wanted(&b, "opq")) bench_opq(&b);
    if (wanted(&b, "open")) bench_open(&b);
    if (wanted(&b, "writes")) bench_writes(&b);
    akin_index_close(b.index);
    for (size_t s = 0; s < b.n_sets; s++) {
        free(b.sets[s].floats);
        free(b.sets[s].truth);
    }
    ann_clear(&b.items);
    if (dir && akin_dir_remove(dir, NULL)) return 1;
    akin_free(dir);
    return 0;
}
