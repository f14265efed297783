#include "dedup_score.h"

#include "../tests/embed/labelled_library.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static void *grown(void *array, size_t *capacity, size_t n, size_t size)
{
    akin_error err;
    if (akin_grow(&array, capacity, n, size, &err)) die("memory", err.message);
    return array;
}

/* ---- the library -------------------------------------------------------------- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const library_file *)a)->path,
                  ((const library_file *)b)->path);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_folder(library *lib, const char *folder, const char *kind,
                       int change)
{
    char path[1200];
    struct dirent *entry;
    snprintf(path, sizeof path, "%s/%s", folder, kind);
    DIR *dir = opendir(path);
    if (!dir) die(path, strerror(errno));
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.') continue;
        bool drawing = strstr(entry->d_name, ".svg.png") != NULL;
        lib->files =
            grown(lib->files, &lib->capacity, lib->n + 1, sizeof *lib->files);
        library_file *f = &lib->files[lib->n++];
        f->path = akin_format("%s/%s", kind, entry->d_name);
        if (!f->path) die(path, "out of memory");
        f->change = change;
        f->drawing = drawing;
        if (change == ORIGINAL)
            lib->originals[drawing]++;
        else
            lib->copies[drawing][change]++;
    }
    closedir(dir);
}

/* A copy's file ends in what its change added: "a.jpg.png" is of "a.jpg". */
static void cut_ending(library_file *f, const library *lib)
{
    char *slash = strchr(f->path, '/'), path[1200];
    f->name = slash + 1;
    if (f->change == ORIGINAL) return;
    char *name = akin_strndup(f->name, strlen(f->name));
    if (!name) die(f->path, "out of memory");
    for (;;) {
        snprintf(path, sizeof path, "original/%s", name);
        const library_file *of = library_find(lib, path);
        if (of) f->name = of->path + strlen("original/");
        char *dot = strrchr(name, '.');
        if (of || !dot) break;
        *dot = 0;
    }
    if (f->name == slash + 1 && !library_find(lib, path))
        die(f->path, "no original");
    akin_free(name);
}

void library_open(library *lib, const char *folder)
{
    memset(lib, 0, sizeof *lib);
    for (int i = 0; i < 2; i++) {
        lib->copies[i] = akin_calloc(labelled_changes(), sizeof(size_t));
        if (!lib->copies[i]) die(folder, "out of memory");
    }
    add_folder(lib, folder, "original", ORIGINAL);
    for (size_t i = 0; i < labelled_changes(); i++)
        add_folder(lib, folder, labelled_change_name(i), (int)i);
    qsort(lib->files, lib->n, sizeof *lib->files, by_path);
    for (size_t i = 0; i < lib->n; i++)
        cut_ending(&lib->files[i], lib);
}

void library_read_judged(library *lib, const char *file)
{
    char line[2400];
    FILE *in = fopen(file, "r");
    if (!in) die(file, strerror(errno));
    while (fgets(line, sizeof line, in)) {
        char *pair = strchr(line, '\t');
        line[strcspn(line, "\n")] = 0;
        if (line[0] == '#' || !pair) continue;
        lib->judged = grown(lib->judged, &lib->judged_capacity,
                            lib->njudged + 1, sizeof *lib->judged);
        lib->judged[lib->njudged++] = akin_strndup(pair + 1, strlen(pair + 1));
    }
    fclose(in);
    if (lib->njudged)
        qsort(lib->judged, lib->njudged, sizeof *lib->judged, by_text);
}

void library_clear(library *lib)
{
    for (size_t i = 0; i < lib->n; i++)
        akin_free(lib->files[i].path);
    for (size_t i = 0; i < lib->njudged; i++)
        akin_free(lib->judged[i]);
    akin_free(lib->files);
    akin_free(lib->judged);
    akin_free(lib->copies[0]);
    akin_free(lib->copies[1]);
}

const library_file *library_find(const library *lib, const char *path)
{
    const char *at = path + strlen(path);
    for (int slashes = 0; at > path; at--)
        if (at[-1] == '/' && ++slashes == 2) break;
    library_file key = {.path = (char *)at};
    return bsearch(&key, lib->files, lib->n, sizeof key, by_path);
}

static bool is_judged(const library *lib, const library_file *a,
                      const library_file *b)
{
    char pair[2400], *key = pair;
    bool swap = strcmp(a->name, b->name) > 0;
    if (!lib->njudged) return false;
    snprintf(pair, sizeof pair, "%s\t%s", swap ? b->name : a->name,
             swap ? a->name : b->name);
    return bsearch(&key, lib->judged, lib->njudged, sizeof key, by_text);
}

/* ---- one program -------------------------------------------------------------- */

void score_open(score *s, const char *name, const char *wrong_file)
{
    memset(s, 0, sizeof *s);
    snprintf(s->name, sizeof s->name, "%s", name);
    for (int i = 0; i < 2; i++) {
        s->found[i] = akin_calloc(labelled_changes(), sizeof(size_t));
        if (!s->found[i]) die(name, "out of memory");
    }
    if (wrong_file && !(s->wrong_out = fopen(wrong_file, "w")))
        die(wrong_file, strerror(errno));
}

void score_clear(score *s)
{
    if (s->wrong_out) fclose(s->wrong_out);
    akin_free(s->found[0]);
    akin_free(s->found[1]);
}

static void score_pair(score *s, const library *lib, const library_file *a,
                       const library_file *b)
{
    if (!strcmp(a->name, b->name)) {
        const library_file *copy = a->change == ORIGINAL ? b : a;
        s->right++;
        if (a->change == ORIGINAL || b->change == ORIGINAL)
            s->found[copy->drawing][copy->change]++;
    } else if (is_judged(lib, a, b)) {
        s->judged++;
    } else {
        s->wrong++;
        if (s->wrong_out) fprintf(s->wrong_out, "%s\t%s\n", a->path, b->path);
    }
}

void score_group(score *s, const library *lib, const library_file *const *group,
                 size_t n)
{
    s->groups++;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            score_pair(s, lib, group[i], group[j]);
}

void score_read(score *s, const library *lib, const char *file, double most)
{
    const library_file **group = NULL;
    char *line = NULL;
    size_t room = 0, capacity = 0;
    double distance;
    FILE *in = fopen(file, "r");
    if (!in) die(file, strerror(errno));
    while (getline(&line, &room, in) > 0) {
        size_t n = 0;
        char *rest = line, *path;
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "# seconds %lf", &s->seconds) == 1) continue;
        if (sscanf(line, "distance %lf", &distance) == 1) {
            if (distance > most) continue;
            (void)strsep(&rest, "\t");
        }
        while ((path = strsep(&rest, "\t"))) {
            group = grown(group, &capacity, n + 1, sizeof *group);
            group[n] = library_find(lib, path);
            if (!group[n++]) die(path, "not of the library");
        }
        score_group(s, lib, group, n);
    }
    fclose(in);
    free(line);
    akin_free(group);
}

/* ---- the table ---------------------------------------------------------------- */

static void print_cell(size_t found, size_t n)
{
    if (n)
        printf(" %.3f", (double)found / (double)n);
    else
        printf(" -");
}

static void print_changes(const library *lib, const score *scores, size_t n)
{
    for (size_t c = 0; c < labelled_changes(); c++) {
        printf("| %s | %zu + %zu |", labelled_change_name(c), lib->copies[0][c],
               lib->copies[1][c]);
        for (size_t i = 0; i < n; i++) {
            print_cell(scores[i].found[0][c], lib->copies[0][c]);
            print_cell(scores[i].found[1][c], lib->copies[1][c]);
            printf(" |");
        }
        printf("\n");
    }
}

static void print_recall(const library *lib, const score *scores, size_t n)
{
    size_t all[2] = {0};
    for (size_t c = 0; c < labelled_changes(); c++)
        for (int d = 0; d < 2; d++)
            all[d] += lib->copies[d][c];
    printf("| **recall** | %zu + %zu |", all[0], all[1]);
    for (size_t i = 0; i < n; i++) {
        for (int d = 0; d < 2; d++) {
            size_t found = 0;
            for (size_t c = 0; c < labelled_changes(); c++)
                found += scores[i].found[d][c];
            print_cell(found, all[d]);
        }
        printf(" |");
    }
    printf("\n");
}

void score_print(const library *lib, const score *scores, size_t n)
{
    printf("%zu photographs and %zu drawings, %zu files\n\n", lib->originals[0],
           lib->originals[1], lib->n);
    printf("| change | copies |");
    for (size_t i = 0; i < n; i++)
        printf(" %s |", scores[i].name);
    printf("\n|---|---|");
    for (size_t i = 0; i < n; i++)
        printf("---|");
    printf("\n");
    print_changes(lib, scores, n);
    print_recall(lib, scores, n);
    printf("| **precision** | |");
    for (size_t i = 0; i < n; i++)
        printf(" %.4f |", (double)scores[i].right /
                              (double)(scores[i].right + scores[i].wrong));
    printf("\n| wrong pairs of all | |");
    for (size_t i = 0; i < n; i++)
        printf(" %zu of %zu |", scores[i].wrong,
               scores[i].right + scores[i].wrong + scores[i].judged);
    printf("\n| variants, not counted | |");
    for (size_t i = 0; i < n; i++)
        printf(" %zu |", scores[i].judged);
    printf("\n| pictures/s | |");
    for (size_t i = 0; i < n; i++)
        if (scores[i].seconds > 0)
            printf(" %.0f |", (double)lib->n / scores[i].seconds);
        else
            printf(" |");
    printf("\n");
}
