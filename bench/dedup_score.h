/* Counting what a program found in a labelled library (bench/dedup.c): recall of
 * each kind of change, and what was joined wrongly. */
#ifndef AKIN_BENCH_DEDUP_SCORE_H
#define AKIN_BENCH_DEDUP_SCORE_H

#include "akin_base.h"

enum { ORIGINAL = -1 };

typedef struct {
    char *path;       /* CHANGE/NAME, below the library */
    const char *name; /* in path */
    int change;       /* of labelled_change_name, or ORIGINAL */
    bool drawing;
} library_file;

typedef struct {
    library_file *files; /* by path */
    size_t n, capacity;
    size_t *copies[2]; /* of each change: photographs, drawings */
    size_t originals[2];
    char **judged; /* "a\tb", a < b: sorted; not to be counted as wrong */
    size_t njudged, judged_capacity;
} library;

/* Reads which files there are. Ends the program when that fails. */
void library_open(library *lib, const char *folder);
/* Pairs of originals that a person found to be the same drawing or variants of
 * one: lines "VERDICT\tA\tB". */
void library_read_judged(library *lib, const char *file);
void library_clear(library *lib);
/* NULL: not of the library. path may be absolute. */
const library_file *library_find(const library *lib, const char *path);

/* What one program found. */
typedef struct {
    char name[64];
    double seconds;   /* 0: not known */
    size_t *found[2]; /* of each change, copies that are with their original */
    size_t right, wrong, judged, groups;
    const char *wrong_file; /* NULL, or where wrong pairs are written */
    void *wrong_out;
} score;

void score_open(score *s, const char *name, const char *wrong_file);
void score_clear(score *s);
/* A group of n files: all pairs of them are said to be duplicates. */
void score_group(score *s, const library *lib, const library_file *const *group,
                 size_t n);
/* Reads a program's groups: one a line, paths with tabs between; what begins with
 * "distance N" (a pair) counts up to `most`; "# seconds N". */
void score_read(score *s, const library *lib, const char *file, double most);

/* One row a change, one column a score, as a Markdown table. */
void score_print(const library *lib, const score *scores, size_t n);

#endif
