/* What the storage tests share: a directory that goes away, vectors that a
 * number determines, writes of one op. */
#ifndef TESTS_STORAGE_HELPERS_H
#define TESTS_STORAGE_HELPERS_H

#include "akin_storage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DIM 8

static const uint8_t MODEL_A[AKIN_HASH_BYTES] = {'A'};
static const uint8_t MODEL_B[AKIN_HASH_BYTES] = {'B'};

#define ok(call)                                                               \
    do {                                                                       \
        akin_status ok_rc = (call);                                            \
        if (ok_rc)                                                             \
            fail_msg("%s: %s (%s)", #call, akin_status_text(ok_rc),            \
                     error.message);                                           \
    } while (0)

static akin_error error;

static inline akin_span text(const char *s)
{
    return akin_span_of(s);
}

static inline char *temp_dir(void)
{
    char *dir;
    ok(akin_dir_temporary("akin-test", &dir, &error));
    return dir;
}

static inline void remove_dir(char *dir)
{
    ok(akin_dir_remove(dir, &error));
    akin_free(dir);
}

static inline akin_storage *open_dir(const char *dir)
{
    akin_storage *s = NULL;
    akin_storage_options o = {.dir = dir, .create = true};
    ok(akin_storage_open(&o, &s, &error));
    return s;
}

/* One op that must succeed. */
static inline akin_write_result write_one(akin_storage *s, akin_write op)
{
    akin_write_result r;
    ok(akin_storage_write(s, &op, 1, &r, &error));
    if (r.status)
        fail_msg("%s: %s", akin_status_text(r.status), r.error.message);
    return r;
}

static inline akin_write_result try_one(akin_storage *s, akin_write op)
{
    akin_write_result r;
    ok(akin_storage_write(s, &op, 1, &r, &error));
    return r;
}

static inline uint32_t make_collection(akin_storage *s, const char *name)
{
    return (uint32_t)write_one(s, (akin_write){.kind = AKIN_WRITE_CREATE,
                                               .name = text(name),
                                               .model = MODEL_A,
                                               .model_path = text("models/a"),
                                               .dim = DIM})
        .num;
}

/* A unit vector made from n. */
static inline void make_vector(uint64_t n, uint32_t dim, uint16_t *out)
{
    float v[4096];
    for (uint32_t i = 0; i < dim; i++) {
        n = n * 6364136223846793005u + 1442695040888963407u;
        v[i] = (float)((int)(n >> 40 & 0xffff) - 32768) + 0.5f;
    }
    akin_normalize(v, dim);
    akin_half_from_float(out, v, dim);
}

static inline akin_write put_op(uint32_t collection, const akin_item_data *item)
{
    return (akin_write){
        .kind = AKIN_WRITE_PUT, .collection = collection, .item = item};
}

#endif
