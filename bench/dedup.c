/* Precision and recall of duplicates on a labelled library, beside other
 * programs on the same files, and the time of a picture end to end.
 *
 *   bench_dedup make OUT EACH SOURCE:CHANGED[:MOST] ...
 *
 * makes OUT/library (tests/embed/labelled_library.h) of the pictures of folders:
 * of MOST of each SOURCE, CHANGED get EACH changed copies.
 *
 *   bench_dedup measure OUT [JUDGED] [NAME=GROUPS[@MOST] ...]
 *
 * finds its duplicates with akin, in a fresh OUT/data, and prints the table:
 * akin's three levels; the rule of Immich (cosine distance of 0.01 or less), on
 * akin's embeddings; and what other programs wrote into files GROUPS
 * (bench/peers/dedup writes them). JUDGED lists pairs of originals that are one
 * picture, or variants of it, in truth: they count neither as right nor as wrong.
 * A copy is found when it comes in one group with its original; precision is over
 * all pairs of all groups. Wrong pairs are listed in OUT/wrong-NAME.tsv.
 *
 *   bench_dedup grow OUT N
 *
 * puts N synthetic pictures into OUT (bench/dedup_grow.c). */
#include "dedup_grow.h"
#include "dedup_score.h"

#include "../tests/embed/labelled_library.h"

#include "akin_engine.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MODEL  AKIN_SOURCE "/models/starter"
#define IMMICH 0.01 /* its default maxDistance */
#define LEVELS 3
#define SCORES 16

static void die(const char *what, const akin_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    exit(1);
}

static int usage(void)
{
    fprintf(stderr,
            "usage: bench_dedup make OUT EACH SOURCE:CHANGED[:MOST] ...\n"
            "       bench_dedup measure OUT [JUDGED] [NAME=GROUPS[@MOST] "
            "...]\n"
            "       bench_dedup grow OUT N\n");
    return 2;
}

/* ---- the library -------------------------------------------------------------- */

static int make(int n, char **args)
{
    labelled_source sources[16] = {0};
    char path[1024];
    size_t each = strtoul(args[1], NULL, 10);

    if (n < 3 || n > 18 || !each || each > labelled_changes()) return usage();
    for (int i = 2; i < n; i++) {
        char *changed = strchr(args[i], ':');
        if (!changed) return usage();
        *changed++ = 0;
        sources[i - 2].source = args[i];
        sources[i - 2].changed = strtoul(changed, &changed, 10);
        if (*changed == ':')
            sources[i - 2].most = strtoul(changed + 1, NULL, 10);
    }
    snprintf(path, sizeof path, "%s/library", args[0]);
    return !labelled_library_make(sources, (size_t)n - 2, each, path);
}

/* ---- akin --------------------------------------------------------------------- */

static void ingest(akin_engine *engine, const char *path)
{
    const char *const paths[] = {path};
    akin_ingest what = {.paths = paths, .npaths = 1};
    akin_report report;
    akin_error err;
    if (akin_engine_ingest(engine, "library", &what, NULL, NULL, &report, &err))
        die("ingest", &err);
    if (report.progress.failed)
        fprintf(stderr, "%llu pictures failed\n",
                (unsigned long long)report.progress.failed);
    akin_report_clear(&report);
}

static void count_groups(const library *lib, const akin_dupe_page *page,
                         score *s)
{
    for (size_t i = 0; i < page->n; i++) {
        const akin_dupe_group *g = &page->groups[i];
        const library_file **files = akin_calloc(g->n, sizeof *files);
        size_t n = 0;
        for (size_t j = 0; files && j < g->n; j++)
            if ((files[n] = library_find(lib, g->members[j].item.id))) n++;
        score_group(s, lib, files, n);
        akin_free(files);
    }
}

static void ask(akin_engine *engine, const library *lib, akin_level level,
                score *s)
{
    akin_dupe_query query = {.level = level, .count = 100};
    akin_dupe_page page;
    akin_error err;
    for (bool more = true; more;) {
        if (akin_engine_dupes(engine, "library", &query, &page, &err))
            die("dupes", &err);
        if (!page.pending) {
            count_groups(lib, &page, s);
            query.cursor = page.cursor;
            more = page.cursor != 0;
        }
        akin_dupe_page_clear(&page);
    }
}

/* Every pair of files whose embeddings are at most this far apart. */
static void embeddings(akin_engine *engine, const library *lib, double most,
                       score *s)
{
    float *all = NULL;
    uint32_t dim = 0;
    akin_error err;
    for (size_t i = 0; i < lib->n; i++) {
        float *v;
        if (akin_engine_vector(engine, "library",
                               akin_span_of(lib->files[i].path),
                               AKIN_QUERY_IMAGE, &v, &dim, NULL, &err))
            die(lib->files[i].path, &err);
        if (!all) all = akin_calloc(lib->n * dim, sizeof *all);
        if (!all) exit(1);
        memcpy(all + i * dim, v, dim * sizeof *v);
        akin_free(v);
    }
    float *cosines = akin_calloc(lib->n, sizeof *cosines);
    if (!cosines) exit(1);
    for (size_t i = 1; i < lib->n; i++) {
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)i, (int)dim, 1, all,
                    (int)dim, all + i * dim, 1, 0, cosines, 1);
        for (size_t j = 0; j < i; j++) {
            const library_file *pair[2] = {&lib->files[i], &lib->files[j]};
            if (1 - (double)cosines[j] <= most) score_group(s, lib, pair, 2);
        }
    }
    akin_free(cosines);
    akin_free(all);
}

/* akin's rows; the seconds of `near` are those of adding and asking. */
static size_t measure_akin(const char *out, const library *lib, score *scores)
{
    char path[1024], data[1024];
    akin_engine *engine;
    akin_error err;
    size_t n = 0;

    snprintf(data, sizeof data, "%s/data", out);
    (void)akin_dir_remove(data, NULL);
    akin_engine_options options = {.data_dir = data, .model_dir = MODEL};
    uint64_t started = akin_mono_ns();
    if (akin_engine_open(&options, &engine, &err)) die(data, &err);
    snprintf(path, sizeof path, "%s/library", out);
    ingest(engine, path);
    for (int level = AKIN_LEVEL_NEAR; n < LEVELS; level = (level + 1) % 3) {
        char name[64];
        score *s = &scores[n++];
        snprintf(name, sizeof name, "akin %s", akin_level_text(level));
        snprintf(path, sizeof path, "%s/wrong-%s.tsv", out,
                 akin_level_text(level));
        score_open(s, name, path);
        ask(engine, lib, (akin_level)level, s);
        if (n == 1) s->seconds = (double)(akin_mono_ns() - started) / 1e9;
    }
    snprintf(path, sizeof path, "%s/wrong-embeddings.tsv", out);
    score_open(&scores[n], "embeddings, distance 0.01", path);
    embeddings(engine, lib, IMMICH, &scores[n++]);
    akin_engine_close(engine);
    return n;
}

static int measure(int n, char **args)
{
    char path[1024];
    library lib;
    score scores[SCORES];
    size_t count;
    akin_error err;
    int i = 1;

    if (n > SCORES - LEVELS - 1) return usage();
    snprintf(path, sizeof path, "%s/library", args[0]);
    library_open(&lib, path);
    if (i < n && !strchr(args[i], '=')) library_read_judged(&lib, args[i++]);
    if (akin_picture_init_library(&err)) die("libvips", &err);
    count = measure_akin(args[0], &lib, scores);
    for (; i < n; i++) {
        char *file = strchr(args[i], '='), *at = strrchr(args[i], '@');
        if (!file) return usage();
        if (at) *at = 0;
        *file++ = 0;
        snprintf(path, sizeof path, "%s/wrong-%s.tsv", args[0], args[i]);
        score_open(&scores[count], args[i], path);
        score_read(&scores[count++], &lib, file,
                   at ? strtod(at + 1, NULL) : HUGE_VAL);
    }
    score_print(&lib, scores, count);
    for (size_t s = 0; s < count; s++)
        score_clear(&scores[s]);
    library_clear(&lib);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc >= 5 && !strcmp(argv[1], "make")) return make(argc - 2, argv + 2);
    if (argc >= 3 && !strcmp(argv[1], "measure"))
        return measure(argc - 2, argv + 2);
    if (argc == 4 && !strcmp(argv[1], "grow"))
        return dedup_grow(argv[2], MODEL, strtoull(argv[3], NULL, 10));
    return usage();
}
