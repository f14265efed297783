/* What the engine's tests share: a scratch directory, an engine over it, small
 * pictures made on the spot. */
#ifndef AKIN_TESTS_ENGINE_HARNESS_H
#define AKIN_TESTS_ENGINE_HARNESS_H

#include "akin_engine.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define STARTER AKIN_SOURCE "/models/starter"

#define must(call)                                                             \
    do {                                                                       \
        akin_error error_ = {0};                                               \
        akin_error *err = &error_;                                             \
        akin_status rc_ = (call);                                              \
        if (rc_)                                                               \
            fail_msg("%s: %s: %s", #call, akin_status_text(rc_),               \
                     error_.message);                                          \
    } while (0)

static inline void scratch_remove(const char *path)
{
    must(akin_dir_remove(path, err));
}

/* A fresh folder; the caller removes it and frees the name. */
static inline char *scratch_make(void)
{
    char *path;
    must(akin_dir_temporary("akin-test", &path, err));
    return path;
}

static inline akin_engine *open_engine(const char *dir, const char *model)
{
    akin_engine *engine = NULL;
    akin_engine_options options = {.data_dir = dir,
                                   .model_dir = model ? model : ""};
    must(akin_engine_open(&options, &engine, err));
    return engine;
}

/* A PPM of one kind for each seed: two coloured halves and a bar. */
static inline size_t make_picture(unsigned seed, uint8_t *out, size_t size)
{
    enum { SIDE = 64 };
    unsigned r = seed * 2654435761u;
    int head = snprintf((char *)out, size, "P6\n%d %d\n255\n", SIDE, SIDE);
    size_t n = (size_t)head;
    assert_true(n + SIDE * SIDE * 3 <= size);
    for (unsigned y = 0; y < SIDE; y++)
        for (unsigned x = 0; x < SIDE; x++) {
            bool bar = (x + y * (r >> 28)) % (5 + (r >> 20) % 16) < 3;
            unsigned c = y < (r >> 8) % SIDE ? r : r * 31 + seed;
            out[n++] = (uint8_t)(bar ? 255 - c : c);
            out[n++] = (uint8_t)(c >> 8);
            out[n++] = (uint8_t)(c >> 16);
        }
    return n;
}

#define PICTURE_BYTES (64 * 64 * 3 + 64)

static inline void write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

/* n pictures as dir/sub/NNN.ppm, 10 in each sub-folder. */
static inline void make_folder(const char *dir, unsigned n)
{
    uint8_t picture[PICTURE_BYTES] = {0};
    char path[512];
    (void)mkdir(dir, 0755);
    for (unsigned i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%u", dir, i / 10);
        (void)mkdir(path, 0755);
        snprintf(path, sizeof path, "%s/%u/%03u.ppm", dir, i / 10, i);
        write_file(path, picture, make_picture(i + 1, picture, sizeof picture));
    }
}

static inline akin_query one_term(const akin_query_term *term, uint32_t k)
{
    return (akin_query){.terms = term, .nterms = 1, .k = k};
}

static inline akin_query_term text_term(const char *text)
{
    return (akin_query_term){
        .kind = AKIN_TERM_TEXT, .weight = 1, .data = akin_span_of(text)};
}

static inline akin_query_term item_term(const char *id)
{
    return (akin_query_term){
        .kind = AKIN_TERM_ITEM, .weight = 1, .data = akin_span_of(id)};
}

static inline uint64_t count_items(akin_engine *engine, const char *collection)
{
    uint64_t n = 0;
    must(akin_engine_count(engine, collection, (akin_filter){0}, &n, err));
    return n;
}

/* Fails the test, with the messages, unless check finds nothing. */
static inline void must_be_clean(akin_engine *engine)
{
    akin_check_report report;
    must(akin_engine_check(engine, NULL, false, NULL, NULL, &report, err));
    for (size_t i = 0; i < report.nmessages; i++)
        print_error("check: %s\n", report.messages[i]);
    assert_int_equal(report.problems, 0);
    akin_check_report_clear(&report);
}

#endif
