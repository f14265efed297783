/* What is known of copies goes into the item that is kept: nothing is lost, and
 * putting back what was undoes it. */
#include "place.h"

#include "internal.h"

static int setup(void **state)
{
    return place_open(state, STARTER);
}

static void put(place *p, const char *id, const char *caption,
                const char *attributes)
{
    uint8_t picture[PICTURE_BYTES];
    akin_item_input item = {
        .id = akin_span_of(id),
        .picture = {picture, make_picture(7, picture, sizeof picture)}};
    akin_put_options options = {.create = true, .replace = true};
    akin_put_result result;
    if (caption) item.caption = akin_span_of(caption);
    if (attributes) item.attributes = akin_span_of(attributes);
    must(akin_engine_put(p->engine, "c", &item, 1, &options, &result, err));
    if (result.status) fail_msg("%s: %s", id, result.message);
}

static akin_merge merge(place *p, const char *keep, const char *a,
                        const char *b, bool dry)
{
    const akin_span ids[] = {akin_span_of(a), akin_span_of(b ? b : "")};
    akin_merge out;
    must(akin_engine_merge(p->engine, "c", akin_span_of(keep), ids, b ? 2 : 1,
                           dry, &out, err));
    return out;
}

static void expect_item(place *p, const char *id, const char *caption,
                        const char *attributes)
{
    akin_item_info item;
    must(akin_engine_get(p->engine, "c", akin_span_of(id), &item, err));
    assert_string_equal(item.caption ? item.caption : "", caption);
    assert_string_equal(item.attributes ? item.attributes : "", attributes);
    assert_int_equal(item.has_caption, *caption != 0);
    akin_item_info_clear(&item);
}

static void test_rule(void **state)
{
    place *p = *state;
    put(p, "keep", "a red hat",
        "{\"tags\":[\"hat\",1],\"stars\":5,\"who\":{\"by\":\"ann\"},"
        "\"width\":9,\"none\":null}");
    put(p, "b", "a hat",
        "{\"tags\":[\"red\",\"hat\"],\"stars\":3,\"place\":\"home\",\"who\":"
        "{\"by\":\"bob\",\"with\":\"cat\"},\"width\":8,\"bytes\":5,\"none\":"
        "0}");
    put(p, "d", "a red hat", "{\"tags\":\"wool\",\"place\":\"away\"}");

    static const char merged[] =
        "{\"tags\":[\"hat\",1,\"red\",\"wool\"],\"stars\":5,\"who\":{\"by\":"
        "\"ann\",\"with\":\"cat\"},\"width\":9,\"none\":0,\"place\":\"home\","
        "\"merged\":[{\"id\":\"b\",\"attributes\":{\"stars\":3,\"who\":{\"by\":"
        "\"bob\"}},\"caption\":\"a hat\"},{\"id\":\"d\",\"attributes\":"
        "{\"place\":\"away\"}}]}";
    akin_merge m = merge(p, "keep", "b", "d", true);
    assert_true(m.changed);
    assert_string_equal(m.attributes, merged);
    akin_merge_clear(&m);
    akin_item_info item;
    must(akin_engine_get(p->engine, "c", akin_span_of("keep"), &item, err));
    assert_null(strstr(item.attributes, "merged")); /* it was a dry run */
    akin_item_info_clear(&item);

    m = merge(p, "keep", "b", "d", false);
    assert_true(m.changed);
    assert_string_equal(m.caption, "a red hat");
    expect_item(p, "keep", "a red hat", merged);

    /* Again: nothing. Back: what was. */
    akin_merge again = merge(p, "keep", "b", "d", false);
    assert_false(again.changed);
    akin_merge_clear(&again);
    akin_item_input back = {.id = akin_span_of("keep"),
                            .caption = akin_span_of(m.caption_before),
                            .attributes = akin_span_of(m.attributes_before)};
    akin_put_result result;
    must(akin_engine_put(p->engine, "c", &back, 1, NULL, &result, err));
    expect_item(p, "keep", "a red hat", m.attributes_before);
    akin_merge_clear(&m);
}

static void test_little(void **state)
{
    place *p = *state;
    put(p, "keep", NULL, NULL);
    put(p, "b", NULL, NULL);
    put(p, "d", "words", "{\"tags\":[\"x\"]}");
    akin_merge m = merge(p, "keep", "b", NULL, false);
    assert_false(m.changed);
    akin_merge_clear(&m);
    m = merge(p, "keep", "b", "d", false);
    assert_true(m.changed);
    expect_item(p, "keep", "words", "{\"tags\":[\"x\"]}");
    akin_item_input back = {.id = akin_span_of("keep"),
                            .caption = akin_span_of(m.caption_before),
                            .attributes = akin_span_of(m.attributes_before)};
    akin_put_result result;
    must(akin_engine_put(p->engine, "c", &back, 1, NULL, &result, err));
    expect_item(p, "keep", "", "");
    akin_merge_clear(&m);

    /* What was merged before is merged on. */
    put(p, "keep", "one", NULL);
    put(p, "b", "two", NULL);
    m = merge(p, "keep", "b", NULL, false);
    akin_merge_clear(&m);
    m = merge(p, "d", "keep", NULL, false);
    assert_string_equal(m.attributes,
                        "{\"tags\":[\"x\"],\"merged\":[{\"id\":\"b\","
                        "\"caption\":\"two\"},{\"id\":\"keep\",\"caption\":"
                        "\"one\"}]}");
    akin_merge_clear(&m);
}

static void test_refused(void **state)
{
    place *p = *state;
    put(p, "keep", NULL, NULL);
    put(p, "b", NULL, NULL);
    akin_merge m;
    akin_error err;
    akin_span ids[] = {akin_span_of("b"), akin_span_of("keep")};
    assert_int_equal(
        akin_engine_merge(p->engine, "c", ids[1], ids, 2, false, &m, &err),
        AKIN_INVALID);
    ids[1] = akin_span_of("nobody");
    assert_int_equal(akin_engine_merge(p->engine, "c", akin_span_of("keep"),
                                       ids, 2, false, &m, &err),
                     AKIN_NOT_FOUND);

    char *text = test_malloc(AKIN_ATTRIBUTES_BYTES);
    for (int i = 0; i < 2; i++) {
        size_t n = AKIN_ATTRIBUTES_BYTES / 2 + 100;
        int head = snprintf(text, n, "{\"%d\":\"", i);
        memset(text + head, 'x', n - (size_t)head);
        snprintf(text + n, 8, "\"}");
        put(p, i ? "b" : "keep", NULL, text);
    }
    test_free(text);
    assert_int_equal(akin_engine_merge(p->engine, "c", akin_span_of("keep"),
                                       ids, 1, false, &m, &err),
                     AKIN_TOO_LARGE);
}

/* SQLite calls these valid, nothing that merges attributes can read them. */
static const char *const odd[] = {"{\"sku\":123456789012345678901234567890}",
                                  "{\"sku\":\"a\\u0000b\"}"};

static void attributes_that_cannot_be_read_are_refused(void **state)
{
    place *p = *state;
    akin_error error;
    put(p, "keep", NULL, "{\"sku\":1}");
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            akin_engine_set_attributes(p->engine, "c", akin_span_of("keep"),
                                       akin_span_of(odd[i]), &error),
            AKIN_INVALID);
    expect_item(p, "keep", "", "{\"sku\":1}");
}

/* An earlier version stored them, or a snapshot brought them. */
static void store_unchecked(place *p, const char *id, const char *attributes)
{
    akin__collection *c;
    must(akin__collection_find(p->engine, "c", &c, err));
    akin_item_data item = {.id = akin_span_of(id),
                           .attributes = akin_span_of(attributes)};
    akin_write op = {
        .kind = AKIN_WRITE_PUT, .collection = c->num, .item = &item};
    must(akin_storage_write(p->engine->storage, &op, 1, NULL, err));
    akin__collection_release(c);
}

static void attributes_that_cannot_be_read_are_not_wiped(void **state)
{
    place *p = *state;
    uint8_t picture[PICTURE_BYTES];
    akin_span copy = akin_span_of("b");
    akin_put_result result;
    akin_error error;
    akin_merge m;

    put(p, "keep", NULL, NULL);
    put(p, "b", NULL, "{\"colour\":\"red\"}");
    store_unchecked(p, "keep", odd[0]);
    assert_int_equal(akin_engine_merge(p->engine, "c", akin_span_of("keep"),
                                       &copy, 1, false, &m, &error),
                     AKIN_BAD_DATA);
    assert_non_null(strstr(error.message, "item \"keep\", as it is stored"));
    akin_item_input item = {
        .id = akin_span_of("keep"),
        .picture = {picture, make_picture(8, picture, sizeof picture)},
        .describe = true};
    must(akin_engine_put(p->engine, "c", &item, 1, NULL, &result, err));
    assert_int_equal(result.status, AKIN_BAD_DATA);
    expect_item(p, "keep", "", odd[0]);

    store_unchecked(p, "b", odd[0]);
    must(akin_engine_set_attributes(p->engine, "c", akin_span_of("keep"),
                                    akin_span_of("{\"sku\":2}"), err));
    assert_int_equal(akin_engine_merge(p->engine, "c", akin_span_of("keep"),
                                       &copy, 1, false, &m, &error),
                     AKIN_BAD_DATA);
    expect_item(p, "keep", "", "{\"sku\":2}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rule, setup, place_close),
        cmocka_unit_test_setup_teardown(test_little, setup, place_close),
        cmocka_unit_test_setup_teardown(test_refused, setup, place_close),
        cmocka_unit_test_setup_teardown(
            attributes_that_cannot_be_read_are_refused, setup, place_close),
        cmocka_unit_test_setup_teardown(
            attributes_that_cannot_be_read_are_not_wiped, setup, place_close)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
