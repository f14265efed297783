/* base: messages, overflow checks, failing allocations, buffers, files, SHA-256,
 * float16 over all its values, pool and queue. */
#include "akin_base.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_errors_keep_whole_characters(void **state)
{
    (void)state;
    akin_error err;
    char text[AKIN_ERROR_BYTES + 1];
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xC3\xA9", 2); /* e acute */
    text[sizeof text - 1] = '\0';
    assert_int_equal(akin_fail(&err, AKIN_INVALID, "%s", text), AKIN_INVALID);
    assert_int_equal(strlen(err.message), AKIN_ERROR_BYTES - 2);
    assert_int_equal(akin_fail(NULL, AKIN_IO, "x"), AKIN_IO);
    akin_fail(&err, AKIN_IO, "inner");
    akin_fail_prefix(&err, AKIN_IO, "item %d", 7);
    assert_string_equal(err.message, "item 7: inner");
    assert_int_equal(akin_status_http(AKIN_NOT_FOUND), 404);
    assert_string_equal(akin_status_text((akin_status)999), "internal error");
}

static void test_allocation_checks(void **state)
{
    (void)state;
    assert_null(akin_calloc(SIZE_MAX / 2, 4));
    assert_null(akin_alloc(SIZE_MAX - 3));
    akin_alloc_fail_at(2);
    void *a = akin_alloc(1), *b = akin_alloc(1), *c = akin_alloc(0);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    assert_int_equal((uintptr_t)a % 64, 0);
    assert_int_equal(akin_alloc_fail_at(0), 3);
    akin_free(a);
    akin_free(c);

    int *array = NULL;
    size_t capacity = 0;
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(
            akin_grow(&array, &capacity, i + 1, sizeof *array, NULL), AKIN_OK);
        array[i] = (int)i;
    }
    assert_int_equal(array[999], 999);
    assert_int_equal(akin_grow(&array, &capacity, SIZE_MAX / 2, 4, NULL),
                     AKIN_NOMEM);
    assert_int_equal(array[500], 500);
    akin_free(array);
}

static void test_arena(void **state)
{
    (void)state;
    akin_arena arena;
    assert_int_equal(akin_arena_init(&arena, 256, NULL), AKIN_OK);
    uint8_t *a = akin_arena_take(&arena, 1), *b = akin_arena_take(&arena, 100);
    assert_ptr_equal(b, a + 64);
    assert_null(akin_arena_take(&arena, 100));
    assert_null(akin_arena_take(&arena, SIZE_MAX));
    assert_non_null(akin_arena_take(&arena, 64));
    assert_int_equal(arena.peak, 256);
    akin_arena_clear(&arena);
}

static void test_buffer(void **state)
{
    (void)state;
    akin_buf buf = {.limit = 10};
    akin_buf_printf(&buf, "%d-%s", 12, "ab");
    assert_string_equal(akin_buf_cstr(&buf), "12-ab");
    akin_buf_text(&buf, "123456");
    assert_null(akin_buf_cstr(&buf));
    akin_buf_clear(&buf);
    akin_buf_text(&buf, "1234567890");
    assert_string_equal(akin_buf_cstr(&buf), "1234567890");
    akin_buf_clear(&buf);
    char *s = akin_format("%s:%d", "x", 5);
    assert_string_equal(s, "x:5");
    akin_free(s);
}

static void test_files(void **state)
{
    (void)state;
    char *dir;
    akin_error err;
    assert_int_equal(akin_dir_temporary("akin-base", &dir, &err), AKIN_OK);
    char *deep = akin_format("%s/a/b", dir), *path = akin_format("%s/f", deep);
    assert_int_equal(akin_dir_make(deep, &err), AKIN_OK);
    assert_int_equal(akin_dir_make(deep, &err), AKIN_OK);
    akin_map map;
    assert_int_equal(akin_map_open(&map, path, &err), AKIN_NOT_FOUND);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(akin_file_replace(path, akin_span_of("one"), &err),
                     AKIN_OK);
    assert_int_equal(akin_file_replace(path, akin_span_of("four"), &err),
                     AKIN_OK);
    assert_int_equal(akin_map_open(&map, path, &err), AKIN_OK);
    assert_int_equal(map.size, 4);
    assert_memory_equal(map.data, "four", 4);
    akin_map_close(&map);
    uint8_t *data;
    size_t size;
    assert_int_equal(akin_file_read(path, 3, &data, &size, &err),
                     AKIN_TOO_LARGE);
    assert_int_equal(akin_file_read(path, 4, &data, &size, &err), AKIN_OK);
    assert_string_equal((char *)data, "four");
    akin_free(data);
    assert_int_equal(akin_file_read(deep, 9, &data, &size, &err), AKIN_INVALID);
    assert_int_equal(akin_dir_make(path, &err), AKIN_INVALID);
    /* a link is removed, what it leads to is not */
    char *link = akin_format("%s/link", deep);
    assert_int_equal(symlink("/dev/null", link), 0);
    assert_int_equal(akin_dir_remove(dir, &err), AKIN_OK);
    assert_int_equal(access(dir, F_OK), -1);
    assert_int_equal(access("/dev/null", F_OK), 0);
    assert_int_equal(akin_dir_remove(dir, &err), AKIN_OK);
    akin_free(link);
    akin_free(path);
    akin_free(deep);
    akin_free(dir);
    assert_int_equal(setenv("TMPDIR", "/nowhere", 1), 0);
    assert_int_equal(akin_dir_temporary("x", &dir, &err), AKIN_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere"));
    assert_null(dir);
    assert_int_equal(unsetenv("TMPDIR"), 0);
}

static void test_sha256_matches_fips_example(void **state)
{
    (void)state;
    uint8_t digest[AKIN_SHA256_BYTES];
    char hex[2 * AKIN_SHA256_BYTES + 1];
    assert_int_equal(akin_sha256_of(akin_span_of("abc"), digest, NULL),
                     AKIN_OK);
    akin_hex(digest, sizeof digest, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
                             "b00361a396177a9cb410ff61f20015ad");
}

/* Converts one value alone (the plain loop) and among seven zeros (F16C). */
static void test_float16_all_values(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint16_t in[8] = {(uint16_t)h}, back[8], one;
        float wide[8], alone;
        akin_float_from_half(wide, in, 8);
        akin_float_from_half(&alone, in, 1);
        akin_half_from_float(back, wide, 8);
        akin_half_from_float(&one, &alone, 1);
        if (isnan(alone)) {
            assert_true(isnan(wide[0]));
            assert_int_equal(one & 0x7C00, 0x7C00);
            assert_int_not_equal(one & 0x3FF, 0);
            continue;
        }
        assert_true(wide[0] == alone);
        assert_int_equal(back[0], h);
        assert_int_equal(one, h);
        /* half way to the next value: ties to even, both ways alike */
        float next, middle[8] = {0};
        uint16_t up = (uint16_t)(h + 1);
        if ((h & 0x7FFF) >= 0x7BFF) continue;
        akin_float_from_half(&next, &up, 1);
        middle[0] = (alone + next) / 2;
        akin_half_from_float(back, middle, 8);
        akin_half_from_float(&one, middle, 1);
        assert_int_equal(one, back[0]);
        assert_int_equal(one & 1, 0);
    }
}

static void test_normalize(void **state)
{
    (void)state;
    float v[2] = {3, 4}, zero[2] = {0, 0}, bad[2] = {1, NAN};
    assert_true(akin_normalize(v, 2));
    assert_true(fabsf(v[0] - 0.6f) < 1e-7f && fabsf(v[1] - 0.8f) < 1e-7f);
    assert_false(akin_normalize(zero, 2));
    assert_false(akin_normalize(bad, 2));
}

static void count_part(void *arg, size_t i)
{
    atomic_fetch_add((_Atomic uint64_t *)arg, i + 1);
}

static void count_job(void *arg)
{
    atomic_fetch_add((_Atomic uint64_t *)arg, 1);
}

static void test_pool(void **state)
{
    (void)state;
    akin_pool *pool;
    _Atomic uint64_t sum = 0, jobs = 0;
    assert_int_equal(akin_pool_open(3, 64, "test", &pool, NULL), AKIN_OK);
    for (int round = 0; round < 200; round++)
        akin_pool_each(pool, 100, count_part, &sum);
    assert_int_equal(sum, 200 * 5050);
    akin_pool_each(NULL, 4, count_part, &sum);
    assert_int_equal(sum, 200 * 5050 + 10);
    uint64_t accepted = 0;
    for (int i = 0; i < 1000; i++)
        accepted += akin_pool_submit(pool, count_job, &jobs, NULL) == AKIN_OK;
    akin_pool_close(pool);
    assert_true(accepted > 0);
    assert_int_equal(jobs, accepted);
}

static void produce(void *arg)
{
    static int items[100];
    akin_queue *queue = arg;
    for (int i = 0; i < 100; i++)
        assert_true(akin_queue_push(queue, &items[i]));
    akin_queue_close(queue);
}

static void test_queue(void **state)
{
    (void)state;
    akin_queue *queue;
    akin_pool *pool;
    int x;
    assert_int_equal(akin_queue_open(0, &queue, NULL), AKIN_INVALID);
    assert_int_equal(akin_queue_open(3, &queue, NULL), AKIN_OK);
    assert_null(akin_queue_pop_wait(queue, 0));
    assert_null(akin_queue_pop_wait(queue, 5));
    assert_int_equal(akin_pool_open(1, 0, "test", &pool, NULL), AKIN_OK);
    assert_int_equal(akin_pool_submit(pool, produce, queue, NULL), AKIN_OK);
    int got = 0;
    int *last = NULL;
    for (int *p; (p = akin_queue_pop(queue)); last = p, got++)
        assert_true(!last || p == last + 1);
    assert_int_equal(got, 100);
    assert_false(akin_queue_push(queue, &x));
    akin_pool_close(pool);
    akin_queue_free(queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors_keep_whole_characters),
        cmocka_unit_test(test_allocation_checks),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_sha256_matches_fips_example),
        cmocka_unit_test(test_float16_all_values),
        cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
