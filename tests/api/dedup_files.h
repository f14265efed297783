/* Pictures in a folder, and akin dedup over them; for its test programs. */
#ifndef AKIN_TESTS_DEDUP_FILES_H
#define AKIN_TESTS_DEDUP_FILES_H

#include "akin_base.h"
#include "pictures.h"

#include <dirent.h>

#define PHOTOS AKIN_TESTS "/data/pictures/photos/"

static served place;
static char folder[96];

static inline int setup(void **state)
{
    (void)state;
    served_paths(&place);
    make_folder(folder, sizeof folder, &place, "pictures");
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    served_clear(&place);
    return 0;
}

static inline void copy_to(const char *photo, const char *name)
{
    char from[512], to[256];
    uint8_t *data;
    size_t size;
    akin_error err;
    snprintf(from, sizeof from, PHOTOS "%s", photo);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    assert_int_equal(akin_file_read(from, 1 << 24, &data, &size, &err), 0);
    assert_int_equal(akin_file_replace(to, (akin_span){data, size}, &err), 0);
    akin_free(data);
}

static inline int count_files(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

static inline bool is_there(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return !access(path, F_OK);
}

static inline void run(const char *args, int code, const char *out,
                       const char *err)
{
    char *got, *said, all[512];
    snprintf(all, sizeof all, "dedup --data \"$DIR/data\" %s", args);
    int status = akin(&place, all, &got, &said);
    if (status != code || (out && !strstr(got, out)) ||
        (err && !strstr(said, err)))
        fail_msg("%s: exit %d, expected %d\n%s%s", args, status, code, got,
                 said);
    free(got);
    free(said);
}

static inline void three_pictures(void)
{
    copy_to("hat-1.jpg", "a.jpg");
    copy_to("hat-1.jpg", "b.jpg");
    copy_to("shoes-1.jpg", "c.jpg");
}

/* `akin ARGS` with the same data directory; its output is to hold `out`. */
static inline void also(const char *args, const char *out)
{
    char *got, *said, all[512];
    snprintf(all, sizeof all, "--data \"$DIR/data\" %s", args);
    int status = akin(&place, all, &got, &said);
    if (status || (out && !strstr(got, out)))
        fail_msg("%s: exit %d\n%s%s", args, status, got, said);
    free(got);
    free(said);
}

#endif
