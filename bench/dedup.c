/* Precision and recall of duplicates on a labelled library, made here from a
 * folder of pictures: each of the first n is kept, copied, and changed in every
 * way of tests/embed/picture_changes.h; the next m are only kept, as what must
 * not be taken for a duplicate.
 *
 *   bench_dedup SOURCE n m OUT [level]
 *
 * writes OUT/library (one folder a change; other programs can be run on it) and
 * OUT/data. A pair is found when both pictures come in one group. Precision is
 * over all pairs of all groups; two pictures made from different originals are a
 * wrong pair, though some originals are photographs of one thing. */
#include "../tests/embed/picture_changes.h"

#include "akin_engine.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#define MODEL   AKIN_SOURCE "/models/starter"
#define FOLDERS (CHANGE_COUNT + 2) /* original, copy, changes */

static const char *folder_name(int folder)
{
    return folder == 0   ? "original"
           : folder == 1 ? "copy"
                         : picture_change_name[folder - 2];
}

static void die(const char *what, const akin_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    exit(1);
}

/* ---- the library -------------------------------------------------------------- */

static int is_picture(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && (!strcmp(dot, ".jpg") || !strcmp(dot, ".jpeg"));
}

static void save(const char *out, const char *folder, const char *name,
                 akin_span bytes)
{
    char path[1024];
    akin_error err;
    snprintf(path, sizeof path, "%s/library/%s", out, folder);
    if (akin_dir_make(path, &err)) die(path, &err);
    snprintf(path, sizeof path, "%s/library/%s/%s", out, folder, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes.data, 1, bytes.size, f) != bytes.size || fclose(f)) {
        perror(path);
        exit(1);
    }
}

static void make_one(const char *source, const char *name, const char *out,
                     bool change)
{
    char path[1024];
    akin_error err;
    uint8_t *data;
    size_t size;
    akin_picture picture;
    snprintf(path, sizeof path, "%s/%s", source, name);
    if (akin_file_read(path, 64u << 20, &data, &size, &err)) die(path, &err);
    akin_span bytes = {data, size};
    save(out, folder_name(0), name, bytes);
    if (change) {
        save(out, folder_name(1), name, bytes);
        if (akin_picture_decode(bytes, NULL, &picture, &err)) die(path, &err);
        for (int i = 0; i < CHANGE_COUNT; i++) {
            akin_buf jpeg = {0};
            picture_changed(&picture, (picture_change)i, &jpeg);
            save(out, folder_name(2 + i), name,
                 (akin_span){jpeg.data, jpeg.size});
            akin_buf_clear(&jpeg);
        }
        akin_picture_clear(&picture);
    }
    akin_free(data);
}

static void make_library(const char *source, size_t n, size_t m,
                         const char *out)
{
    char path[1024];
    struct dirent **names;
    struct stat st;
    snprintf(path, sizeof path, "%s/library", out);
    if (!stat(path, &st)) return; /* made before */
    int found = scandir(source, &names, is_picture, alphasort);
    if (found < 0 || (size_t)found < n + m) {
        fprintf(stderr, "%s: %d pictures, expected %zu\n", source, found,
                n + m);
        exit(1);
    }
    for (size_t i = 0; i < n + m; i++)
        make_one(source, names[i]->d_name, out, i < n);
    for (int i = 0; i < found; i++)
        free(names[i]);
    free(names);
}

/* ---- what was found ------------------------------------------------------------- */

typedef struct {
    uint64_t found[FOLDERS]; /* beside the original */
    uint64_t right, wrong, groups;
} score;

static int folder_of(const char *id)
{
    size_t n = strcspn(id, "/");
    for (int i = 0; i < FOLDERS; i++)
        if (strlen(folder_name(i)) == n && !strncmp(id, folder_name(i), n))
            return i;
    return 0;
}

static const char *stem_of(const char *id)
{
    const char *slash = strrchr(id, '/');
    return slash ? slash + 1 : id;
}

static void count_group(const akin_dupe_group *g, score *s)
{
    s->groups++;
    for (size_t i = 0; i < g->n; i++)
        for (size_t j = 0; j < i; j++) {
            const char *a = g->members[i].item.id, *b = g->members[j].item.id;
            if (strcmp(stem_of(a), stem_of(b)) != 0) {
                if (s->wrong++ < 20) printf("# wrong: %s %s\n", a, b);
                continue;
            }
            s->right++;
            if (!folder_of(a)) s->found[folder_of(b)]++;
            if (!folder_of(b)) s->found[folder_of(a)]++;
        }
}

static void count_all(akin_engine *engine, akin_level level, score *s)
{
    akin_dupe_query query = {.level = level, .count = 100};
    akin_dupe_page page;
    akin_error err;
    do {
        if (akin_engine_dupes(engine, "library", &query, &page, &err))
            die("dupes", &err);
        for (size_t i = 0; i < page.n && !page.pending; i++)
            count_group(&page.groups[i], s);
        query.cursor = page.pending ? 0 : page.cursor;
        if (!page.pending && !page.cursor) break;
        akin_dupe_page_clear(&page);
    } while (true);
    akin_dupe_page_clear(&page);
}

int main(int argc, char **argv)
{
    char path[1024];
    akin_error err;
    akin_engine *engine;
    akin_report report;
    akin_level level = AKIN_LEVEL_NEAR;
    score s = {.groups = 0};

    if (argc < 5 || (argc > 5 && !akin_level_parse(argv[5], &level))) {
        fprintf(stderr, "usage: bench_dedup SOURCE n m OUT [level]\n");
        return 2;
    }
    size_t n = strtoul(argv[2], NULL, 10), m = strtoul(argv[3], NULL, 10);
    if (akin_picture_init_library(&err)) die("libvips", &err);
    make_library(argv[1], n, m, argv[4]);

    snprintf(path, sizeof path, "%s/data", argv[4]);
    akin_engine_options options = {.data_dir = path, .model_dir = MODEL};
    if (akin_engine_open(&options, &engine, &err)) die(path, &err);
    snprintf(path, sizeof path, "%s/library", argv[4]);
    const char *const paths[] = {path};
    akin_ingest ingest = {.paths = paths, .npaths = 1};
    uint64_t started = akin_mono_ns();
    if (akin_engine_ingest(engine, "library", &ingest, NULL, NULL, &report,
                           &err))
        die("ingest", &err);
    double seconds = (double)(akin_mono_ns() - started) / 1e9;
    printf("# %llu pictures in %.1f s, %.1f/s; %llu failed\n",
           (unsigned long long)report.progress.done, seconds,
           (double)report.progress.done / seconds,
           (unsigned long long)report.progress.failed);
    akin_report_clear(&report);

    count_all(engine, level, &s);
    printf("level %s, %zu originals, %zu others, %llu groups\n",
           akin_level_text(level), n, m, (unsigned long long)s.groups);
    for (int i = 1; i < FOLDERS; i++)
        printf("%-12s recall %.4f\n", folder_name(i),
               (double)s.found[i] / (double)n);
    printf("%-12s %.5f  (%llu of %llu pairs are wrong)\n", "precision",
           (double)s.right / (double)(s.right + s.wrong),
           (unsigned long long)s.wrong,
           (unsigned long long)(s.right + s.wrong));
    akin_engine_close(engine);
    return 0;
}
