/* Attributes that are changed by what they are, while others write as well. */
#include "place.h"

#define DIM 2

static int setup(void **state)
{
    return place_open(state, NULL);
}

static void put(akin_engine *engine, const char *attributes)
{
    const float vector[DIM] = {1, 0};
    akin_item_input item = {.id = akin_span_of("x"),
                            .vector = vector,
                            .dim = DIM,
                            .attributes = akin_span_of(attributes)};
    akin_put_options options = {.create = true, .replace = true};
    akin_put_result result;
    must(akin_engine_put(engine, "c", &item, 1, &options, &result, err));
    if (result.status) fail_msg("%s", result.message);
}

static void expect(akin_engine *engine, const char *attributes)
{
    akin_item_info item;
    must(akin_engine_get(engine, "c", akin_span_of("x"), &item, err));
    assert_string_equal(item.attributes ? item.attributes : "", attributes);
    akin_item_info_clear(&item);
}

typedef struct {
    akin_engine *engine;
    int calls, others; /* how often another write comes between */
    bool remove;       /* it removes the item */
    const char *fails;
} changing;

/* {"was": "<what it is>"}, as text without its quotes. */
static akin_status note_old(void *user, const char *attributes, akin_buf *out,
                            akin_error *err_)
{
    changing *c = user;
    char other[40];

    if (c->fails) return akin_fail(err_, AKIN_INVALID, "%s", c->fails);
    akin_buf_text(out, "{\"was\":\"");
    for (const char *at = attributes ? attributes : "none"; *at; at++)
        if (*at != '"') akin_buf_append(out, at, 1);
    akin_buf_text(out, "\"}");
    if (c->calls++ >= c->others) return AKIN_OK;
    snprintf(other, sizeof other, "{\"other\":%d}", c->calls);
    akin_span id = akin_span_of("x");
    size_t removed;
    if (c->remove)
        return akin_engine_remove(c->engine, "c", &id, 1, &removed, err_);
    put(c->engine, other);
    return AKIN_OK;
}

static akin_status change(changing *c, akin_error *error)
{
    return akin_engine_change_attributes(c->engine, "c", akin_span_of("x"),
                                         note_old, c, error);
}

static void a_write_that_comes_between_is_not_lost(void **state)
{
    place *p = *state;
    changing c = {.engine = p->engine};
    put(p->engine, "{\"first\":1}");
    must(change(&c, err));
    expect(p->engine, "{\"was\":\"{first:1}\"}");
    assert_int_equal(c.calls, 1);

    c = (changing){.engine = p->engine, .others = 3};
    must(change(&c, err));
    expect(p->engine, "{\"was\":\"{other:3}\"}");
    assert_int_equal(c.calls, 4);

    must(akin_engine_set_attributes(p->engine, "c", akin_span_of("x"),
                                    (akin_span){0}, err));
    c = (changing){.engine = p->engine};
    must(change(&c, err));
    expect(p->engine, "{\"was\":\"none\"}");
}

static void a_change_ends(void **state)
{
    place *p = *state;
    changing c = {.engine = p->engine, .others = 1, .remove = true};
    akin_error error;

    put(p->engine, "{\"first\":1}");
    assert_int_equal(change(&c, &error), AKIN_NOT_FOUND);
    assert_non_null(strstr(error.message, "no item \"x\""));

    put(p->engine, "{\"first\":1}");
    c = (changing){.engine = p->engine, .fails = "not like this"};
    assert_int_equal(change(&c, &error), AKIN_INVALID);
    assert_string_equal(error.message, "not like this");
    expect(p->engine, "{\"first\":1}");

    c = (changing){.engine = p->engine, .others = 1 << 30};
    assert_int_equal(change(&c, &error), AKIN_BUSY);
    char last[40];
    snprintf(last, sizeof last, "{\"other\":%d}", c.calls);
    expect(p->engine, last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_write_that_comes_between_is_not_lost,
                                        setup, place_close),
        cmocka_unit_test_setup_teardown(a_change_ends, setup, place_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
