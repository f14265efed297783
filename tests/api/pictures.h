/* Small drawings to add, and running the program with its output kept. */
#ifndef AKIN_TESTS_PICTURES_H
#define AKIN_TESTS_PICTURES_H

#include "served.h"

/* A circle of one colour on white, with a title; different for every n. */
static inline void draw(const char *folder, const char *name, int n)
{
    static const char *const colors[] = {"red",    "green", "blue",
                                         "orange", "black", "purple"};
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" "
            "xmlns:dc=\"http://purl.org/dc/elements/1.1/\" width=\"90\" "
            "height=\"90\"><metadata><dc:title>a %s circle</dc:title>"
            "</metadata><rect width=\"90\" height=\"90\" fill=\"white\"/>"
            "<circle cx=\"%d\" cy=\"45\" r=\"%d\" fill=\"%s\"/></svg>\n",
            colors[n % 6], 30 + n % 31, 8 + n % 29, colors[n % 6]);
    assert_int_equal(fclose(f), 0);
}

static inline void make_folder(char *out, size_t size, const served *s,
                               const char *name)
{
    snprintf(out, size, "%s/%s", s->dir, name);
    assert_int_equal(mkdir(out, 0700), 0);
}

static inline char *slurp(const char *path)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    char *text = malloc(1 << 20);
    assert_non_null(text);
    text[fread(text, 1, (1 << 20) - 1, f)] = 0;
    fclose(f);
    return text;
}

/* Runs `akin ARGS` through the shell, $DIR being the test's directory. *out: its
 * standard output, *err (may be NULL) its standard error, for free. Gives the
 * exit code. */
static inline int akin(const served *s, const char *args, char **out,
                       char **err)
{
    char command[2048], to[64];
    int status;
    snprintf(command, sizeof command, "DIR='%s'; exec '%s' %s", s->dir,
             AKIN_PROGRAM, args);
    snprintf(to, sizeof to, "%s/out", s->dir);
    if (truncate(s->log, 0) && errno != ENOENT) fail_msg("%s", s->log);
    const char *argv[] = {"sh", "-c", command, NULL};
    pid_t pid = spawn(s, argv, to);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *out = slurp(to);
    if (err) *err = slurp(s->log);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* What it prints (NULL: anything), and what is among what it says on stderr. */
static inline void expect_akin(const served *s, const char *args, int code,
                               const char *out, const char *err)
{
    char *got, *said;
    int status = akin(s, args, &got, &said);
    if (status != code)
        fail_msg("%s: exit %d, not %d\n%s%s", args, status, code, got, said);
    if (out && strcmp(out, got) != 0)
        fail_msg("%s\nexpected:\n%s\ngot:\n%s", args, out, got);
    if (err && !strstr(said, err))
        fail_msg("%s\nexpected on stderr:\n%s\ngot:\n%s", args, err, said);
    free(got);
    free(said);
}

#endif
