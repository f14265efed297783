/* A reply that would be larger than it may be is given up while it is written,
 * not when it is whole. In this process, over an engine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "commands.h"

#define PAGES 4
#define ITEMS (PAGES * AKIN_QUERY_MAX_K)

static akin_config *config;
static akin_engine *engine;
static akin_service service;
static char *dir;

static void fill(void)
{
    static char ids[ITEMS][16];
    static akin_item_input items[ITEMS];
    static akin_put_result results[ITEMS];
    static const float vector[1] = {1};
    akin_put_options options = {.create = true};
    for (unsigned i = 0; i < ITEMS; i++) {
        snprintf(ids[i], sizeof ids[i], "item%u", i);
        items[i] = (akin_item_input){
            .id = akin_span_of(ids[i]), .vector = vector, .dim = 1};
    }
    assert_int_equal(
        akin_engine_put(engine, "c", items, ITEMS, &options, results, NULL),
        AKIN_OK);
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(akin_dir_temporary("akin-test", &dir, NULL), AKIN_OK);
    assert_int_equal(akin_config_open(&config, NULL), AKIN_OK);
    /* nothing in the background, which would allocate too */
    assert_int_equal(akin_config_set(config, "index.auto", "no", NULL),
                     AKIN_OK);
    akin_engine_options options = {
        .data_dir = dir, .model_dir = "", .config = config};
    assert_int_equal(akin_engine_open(&options, &engine, NULL), AKIN_OK);
    assert_int_equal(akin_service_init(&service, engine, config, NULL),
                     AKIN_OK);
    fill();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    akin_service_clear(&service);
    akin_engine_close(engine);
    akin_config_close(config);
    assert_int_equal(akin_dir_remove(dir, NULL), AKIN_OK);
    akin_free(dir);
    return 0;
}

/* Runs "VRANGE c - +"; gives how many allocations that took, some twenty a
 * page. */
static uint64_t vrange(akin_reply *reply)
{
    const akin_span argv[] = {akin_span_of("VRANGE"), akin_span_of("c"),
                              akin_span_of("-"), akin_span_of("+")};
    akin_session session = {.proto = 2, .authenticated = true};
    akin_call call = {.service = &service,
                      .session = &session,
                      .argc = 4,
                      .argv = argv,
                      .reply = reply};
    akin_alloc_fail_at(0);
    akin_dispatch(&call);
    return akin_alloc_fail_at(0);
}

static void a_range_ends_where_its_reply_is_full(void **state)
{
    akin_reply whole = {.proto = 2};
    akin_reply cut = {.proto = 2, .out = {.limit = 1000}};
    (void)state;
    uint64_t all = vrange(&whole);
    assert_int_equal(strncmp(akin_buf_cstr(&whole.out), "*40000\r\n", 8), 0);
    assert_true(vrange(&cut) <= all / 2); /* one page instead of PAGES */
    assert_string_equal(akin_buf_cstr(&cut.out),
                        "-ERR the reply is too large; ask for less at a "
                        "time\r\n");
    akin_buf_clear(&whole.out);
    akin_buf_clear(&cut.out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_range_ends_where_its_reply_is_full),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
