/* Collections and items: what is stored comes back. */
#include "helpers.h"

typedef struct {
    char *dir;
    akin_storage *s;
    uint32_t c;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->dir = temp_dir();
    f->s = open_dir(f->dir);
    f->c = make_collection(f->s, "default");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    akin_storage_close(f->s);
    remove_dir(f->dir);
    free(f);
    return 0;
}

static void reopen(fixture *f)
{
    akin_storage_close(f->s);
    f->s = open_dir(f->dir);
}

static uint16_t va[DIM], vb[DIM], vc[DIM];
static const uint8_t hash1[AKIN_HASH_BYTES] = {1, 2, 3};
static const uint8_t hash2[AKIN_HASH_BYTES] = {9, 8, 7};
static const uint64_t phashes[2] = {0x0123456789abcdefu, UINT64_MAX};

static akin_item_data full_item(const char *id)
{
    make_vector(1, DIM, va);
    make_vector(2, DIM, vb);
    make_vector(3, DIM, vc);
    return (akin_item_data){
        .id = text(id),
        .attributes = text("{\"price\": 12.5, \"brand\": \"ac\\u006de\"}"),
        .caption = text("a red b\u00e9ret on a chair"),
        .vectors = {{.data = va, .dim = DIM, .norm = 2.5f, .model = MODEL_A},
                    {.data = vb, .dim = DIM, .model = MODEL_A}},
        .source = text("/pictures/\xff beret.jpg"),
        .source_mtime_ns = 1234567890123456789,
        .source_size = 4321,
        .content_hash = hash1,
        .pixel_hash = hash2,
        .phashes = phashes,
        .phash_count = 2,
        .width = 640,
        .height = 480,
        .format = text("jpeg"),
        .thumb = text("not really a picture")};
}

static void assert_span(akin_span got, const char *want)
{
    if (!want) {
        assert_null(got.data);
        return;
    }
    assert_non_null(got.data);
    assert_int_equal(got.size, strlen(want));
    assert_string_equal(got.data, want); /* there is a NUL */
}

static void test_item_round_trip(void **state)
{
    fixture *f = *state;
    akin_item_data in = full_item("beret");
    akin_item got;

    akin_write_result r = write_one(f->s, put_op(f->c, &in));
    assert_int_equal(r.outcome, AKIN_CREATED);
    assert_true(r.num > 0 && r.seq > 0);
    for (int round = 0; round < 2; round++) {
        ok(akin_storage_get(f->s, f->c, text("beret"),
                            AKIN_WITH_VECTORS | AKIN_WITH_CAPTION, &got,
                            &error));
        assert_int_equal(got.num, r.num);
        assert_int_equal(got.seq, r.seq);
        assert_int_equal(got.collection, f->c);
        assert_span(got.id, "beret");
        assert_span(got.attributes, "{\"price\": 12.5, \"brand\": \"acme\"}");
        assert_span(got.caption, "a red b\u00e9ret on a chair");
        assert_span(got.source, "/pictures/\xff beret.jpg");
        assert_span(got.format, "jpeg");
        assert_true(got.source_mtime_ns == 1234567890123456789);
        assert_int_equal(got.source_size, 4321);
        assert_memory_equal(got.content_hash, hash1, AKIN_HASH_BYTES);
        assert_memory_equal(got.pixel_hash, hash2, AKIN_HASH_BYTES);
        assert_int_equal(got.phash_count, 2);
        assert_memory_equal(got.phashes, phashes, sizeof phashes);
        assert_int_equal(got.width, 640);
        assert_int_equal(got.height, 480);
        assert_true(got.created_ms > 0 && got.changed_ms == got.created_ms);
        assert_memory_equal(got.vectors[0].data, va, sizeof va);
        assert_memory_equal(got.vectors[1].data, vb, sizeof vb);
        assert_int_equal(got.vectors[0].dim, DIM);
        assert_true(got.vectors[0].norm == 2.5f && got.vectors[1].norm == 1.0f);
        assert_memory_equal(got.vectors[1].model, MODEL_A, AKIN_HASH_BYTES);
        assert_int_equal((uintptr_t)got.vectors[1].data % 64, 0);
        akin_item_clear(&got);
        uint8_t *thumb;
        size_t size;
        ok(akin_storage_thumb(f->s, r.num, &thumb, &size, &error));
        assert_int_equal(size, 20);
        assert_memory_equal(thumb, "not really a picture", 20);
        akin_free(thumb);
        reopen(f);
    }
}

static void test_same_content_changes_nothing(void **state)
{
    fixture *f = *state;
    akin_item_data in = full_item("x");
    akin_write_result a = write_one(f->s, put_op(f->c, &in));
    akin_write_result b = write_one(f->s, put_op(f->c, &in));
    assert_int_equal(b.outcome, AKIN_UNCHANGED);
    assert_int_equal(b.num, a.num);
    assert_int_equal(b.seq, 0);
    akin_write replace = put_op(f->c, &in);
    replace.flags = AKIN_PUT_REPLACE;
    assert_int_equal(write_one(f->s, replace).outcome, AKIN_UNCHANGED);
}

static void test_put_keeps_what_is_not_given(void **state)
{
    fixture *f = *state;
    akin_item_data in = full_item("x");
    akin_item got;
    akin_write_result a = write_one(f->s, put_op(f->c, &in));

    akin_item_data change = {.id = text("x"), .attributes = text("{\"n\":1}")};
    akin_write_result b = write_one(f->s, put_op(f->c, &change));
    assert_int_equal(b.outcome, AKIN_UPDATED);
    assert_int_equal(b.num, a.num);
    assert_true(b.seq > a.seq);
    ok(akin_storage_get(f->s, f->c, text("x"), 3, &got, &error));
    assert_span(got.attributes, "{\"n\":1}");
    assert_span(got.caption, "a red b\u00e9ret on a chair");
    assert_memory_equal(got.vectors[1].data, vb, sizeof vb);
    assert_non_null(got.content_hash);
    akin_item_clear(&got);

    akin_item_data remove = {.id = text("x"), .attributes = {"", 0}};
    write_one(f->s, put_op(f->c, &remove));
    ok(akin_storage_get(f->s, f->c, text("x"), 0, &got, &error));
    assert_span(got.attributes, NULL);
    assert_null(got.vectors[0].data);
    assert_span(got.caption, NULL); /* not asked for */
    akin_item_clear(&got);
}

static void test_replace_removes_what_is_not_given(void **state)
{
    fixture *f = *state;
    akin_item_data in = full_item("x");
    akin_item got;
    write_one(f->s, put_op(f->c, &in));
    akin_item_data bare = {.id = text("x")};
    akin_write op = put_op(f->c, &bare);
    op.flags = AKIN_PUT_REPLACE;
    write_one(f->s, op);
    ok(akin_storage_get(f->s, f->c, text("x"), 3, &got, &error));
    assert_span(got.attributes, NULL);
    assert_span(got.caption, NULL);
    assert_span(got.source, NULL);
    assert_span(got.format, NULL);
    assert_null(got.vectors[0].data);
    assert_null(got.vectors[1].data);
    assert_null(got.content_hash);
    assert_null(got.phashes);
    assert_int_equal(got.width + got.height, 0);
    akin_item_clear(&got);
    akin_collection c;
    ok(akin_storage_collection(f->s, text("default"), &c, &error));
    assert_int_equal(c.items, 1);
    assert_int_equal(c.vectors[0] + c.vectors[1], 0);
    akin_collection_clear(&c);
}

static void test_stale_vectors_go(void **state)
{
    fixture *f = *state;
    akin_item_data in = full_item("x");
    akin_item got;
    write_one(f->s, put_op(f->c, &in));
    akin_item_data change = {.id = text("x"), .caption = text("a blue hat")};
    write_one(f->s, put_op(f->c, &change));
    ok(akin_storage_get(f->s, f->c, text("x"), 3, &got, &error));
    assert_non_null(got.vectors[0].data);
    assert_null(got.vectors[1].data);
    akin_item_clear(&got);

    akin_item_data picture = {.id = text("x"), .content_hash = hash2};
    write_one(f->s, put_op(f->c, &picture));
    ok(akin_storage_get(f->s, f->c, text("x"), 3, &got, &error));
    assert_null(got.vectors[0].data);
    assert_null(got.pixel_hash);
    assert_null(got.phashes);
    assert_int_equal(got.width, 0);
    assert_memory_equal(got.content_hash, hash2, AKIN_HASH_BYTES);
    assert_span(got.caption, "a blue hat");
    akin_item_clear(&got);
}

static void test_flags(void **state)
{
    fixture *f = *state;
    akin_item_data in = {.id = text("x")};
    akin_write op = put_op(f->c, &in);
    op.flags = AKIN_PUT_UPDATE_ONLY;
    assert_int_equal(try_one(f->s, op).status, AKIN_NOT_FOUND);
    op.flags = AKIN_PUT_CREATE_ONLY;
    assert_int_equal(try_one(f->s, op).status, AKIN_OK);
    assert_int_equal(try_one(f->s, op).status, AKIN_EXISTS);
    op.flags = AKIN_PUT_UPDATE_ONLY;
    assert_int_equal(try_one(f->s, op).status, AKIN_OK);
}

static void test_what_was_changed_meanwhile_is_not_overwritten(void **state)
{
    fixture *f = *state;
    akin_item_data in = {.id = text("x"), .attributes = text("{\"n\": 1}")};
    akin_write op = put_op(f->c, &in);
    uint64_t first = write_one(f->s, op).seq;
    in.attributes = text("{\"n\": 2}");
    op.if_seq = first;
    uint64_t second = write_one(f->s, op).seq;
    assert_true(second > first);
    in.attributes = text("{\"n\": 3}");
    akin_write_result r = try_one(f->s, op);
    assert_int_equal(r.status, AKIN_CANCELLED);
    assert_non_null(strstr(r.error.message, "has changed"));
    akin_item got = {0};
    ok(akin_storage_get(f->s, f->c, text("x"), 0, &got, &error));
    assert_span(got.attributes, "{\"n\": 2}");
    akin_item_clear(&got);
    akin_write away = {
        .kind = AKIN_WRITE_REMOVE, .collection = f->c, .item = &in};
    write_one(f->s, away);
    op.if_seq = second;
    assert_int_equal(try_one(f->s, op).status, AKIN_CANCELLED);
}

static void test_numbers_are_never_reused(void **state)
{
    fixture *f = *state;
    akin_item_data in = full_item("x");
    uint64_t last = 0;
    for (int i = 0; i < 3; i++) {
        akin_write_result r = write_one(f->s, put_op(f->c, &in));
        assert_int_equal(r.outcome, AKIN_CREATED);
        assert_true(r.num > last);
        last = r.num;
        akin_write op = {
            .kind = AKIN_WRITE_REMOVE, .collection = f->c, .item = &in};
        assert_int_equal(write_one(f->s, op).num, last);
        assert_int_equal(try_one(f->s, op).status, AKIN_NOT_FOUND);
        uint8_t *thumb;
        size_t size;
        assert_int_equal(akin_storage_thumb(f->s, last, &thumb, &size, &error),
                         AKIN_NOT_FOUND);
        reopen(f);
    }
    akin_item got;
    assert_int_equal(akin_storage_get(f->s, f->c, text("x"), 0, &got, &error),
                     AKIN_NOT_FOUND);
    akin_collection c;
    ok(akin_storage_collection_by_num(f->s, f->c, &c, &error));
    assert_int_equal(c.items, 0);
    assert_int_equal(c.vectors[0], 0);
    akin_collection_clear(&c);
}

static void test_bad_input(void **state)
{
    fixture *f = *state;
    static char big[AKIN_MAX_ATTRIBUTES_BYTES + 16];
    uint16_t infinite[DIM] = {0x7c00};
    uint64_t many[17] = {0};
    memset(big, ' ', sizeof big);
    big[0] = '{';
    big[sizeof big - 1] = '}';
    const struct {
        akin_item_data item;
        akin_status status;
    } cases[] = {
        {{.id = {"", 0}}, AKIN_INVALID},
        {{.id = {NULL, 0}}, AKIN_INVALID},
        {{.id = {big, 513}}, AKIN_TOO_LARGE},
        {{.id = text("x"), .attributes = text("[1]")}, AKIN_INVALID},
        {{.id = text("x"), .attributes = text("{\"a\":}")}, AKIN_INVALID},
        {{.id = text("x"), .attributes = text("{} {}")}, AKIN_INVALID},
        {{.id = text("x"), .attributes = text("{\"a\":\"\xff\"}")},
         AKIN_INVALID},
        {{.id = text("x"), .attributes = {"{}\0", 3}}, AKIN_INVALID},
        {{.id = text("x"), .attributes = {big, sizeof big}}, AKIN_TOO_LARGE},
        {{.id = text("x"), .caption = text("\xc3\x28")}, AKIN_INVALID},
        {{.id = text("x"), .caption = text("\xed\xa0\x80")}, AKIN_INVALID},
        {{.id = text("x"), .caption = {big, 65537}}, AKIN_TOO_LARGE},
        {{.id = text("x"), .source = {big, 4097}}, AKIN_TOO_LARGE},
        {{.id = text("x"), .source = {"a\0b", 3}}, AKIN_INVALID},
        {{.id = text("x"), .phashes = many, .phash_count = 17}, AKIN_TOO_LARGE},
        {{.id = text("x"), .vectors = {{infinite, DIM, 1, MODEL_A}}},
         AKIN_INVALID},
        {{.id = text("x"), .vectors = {{va, DIM - 1, 1, MODEL_A}}},
         AKIN_INVALID},
        {{.id = text("x"), .vectors = {{va, 0, 1, MODEL_A}}}, AKIN_INVALID},
        {{.id = text("x"), .vectors = {{va, DIM, 1, NULL}}}, AKIN_INVALID},
        {{.id = text("x"), .vectors = {{va, DIM, 1, MODEL_B}}},
         AKIN_WRONG_MODEL},
    };
    make_vector(1, DIM, va);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        akin_write_result r = try_one(f->s, put_op(f->c, &cases[i].item));
        if (r.status != cases[i].status)
            fail_msg("case %zu: %s: %s", i, akin_status_text(r.status),
                     r.error.message);
        assert_true(r.error.message[0] != 0);
    }
    akin_storage_info info;
    ok(akin_storage_stat(f->s, &info, &error));
    assert_int_equal(info.items, 0);
    assert_int_equal(info.vectors, 0);
    akin_item_data fine = {.id = text("x")};
    assert_int_equal(try_one(f->s, put_op(999, &fine)).status, AKIN_NOT_FOUND);
    akin_write odd = {.kind = (akin_write_kind)77};
    assert_int_equal(try_one(f->s, odd).status, AKIN_INVALID);
}

static void test_one_bad_op_does_not_end_a_batch(void **state)
{
    fixture *f = *state;
    akin_item_data items[10];
    akin_write ops[10];
    akin_write_result results[10];
    char ids[10][16];
    for (int i = 0; i < 10; i++) {
        snprintf(ids[i], sizeof ids[i], "i%d", i);
        items[i] = (akin_item_data){.id = text(i == 4 ? "" : ids[i])};
        ops[i] = put_op(f->c, &items[i]);
    }
    ok(akin_storage_write(f->s, ops, 10, results, &error));
    for (int i = 0; i < 10; i++)
        assert_int_equal(results[i].status, i == 4 ? AKIN_INVALID : AKIN_OK);
    assert_int_equal(akin_storage_write(f->s, ops, 10, NULL, &error),
                     AKIN_INVALID);
    akin_storage_info info;
    ok(akin_storage_stat(f->s, &info, &error));
    assert_int_equal(info.items, 9);
}

/* ---- collections --------------------------------------------------------- */

static bool count_collections(void *user, const akin_collection *c)
{
    char *names = user;
    strcat(names, c->name);
    strcat(names, " ");
    return true;
}

static void test_collections(void **state)
{
    fixture *f = *state;
    akin_collection c;
    char names[100] = "";
    make_collection(f->s, "zebra");
    akin_write create = {.kind = AKIN_WRITE_CREATE,
                         .name = text("apple"),
                         .settings = text("{\"recall\":0.9}")};
    uint32_t apple = (uint32_t)write_one(f->s, create).num;
    assert_int_equal(try_one(f->s, create).status, AKIN_EXISTS);
    ok(akin_storage_collections(f->s, count_collections, names, &error));
    assert_string_equal(names, "apple default zebra ");
    ok(akin_storage_collection(f->s, text("apple"), &c, &error));
    assert_string_equal(c.settings, "{\"recall\":0.9}");
    assert_false(c.current.present);
    assert_int_equal(c.current.dim, 0);
    akin_collection_clear(&c);

    /* Without a model: the first vector sets it. */
    akin_item_data in = full_item("x");
    write_one(f->s, put_op(apple, &in));
    ok(akin_storage_collection_by_num(f->s, apple, &c, &error));
    assert_true(c.current.present);
    assert_int_equal(c.current.dim, DIM);
    assert_int_equal(c.vectors[0], 1);
    assert_int_equal(c.vectors[1], 1);
    uint64_t seq = c.seq;
    akin_collection_clear(&c);

    akin_write change = {
        .kind = AKIN_WRITE_CHANGE, .collection = apple, .settings = text("{}")};
    assert_true(write_one(f->s, change).seq > seq);
    ok(akin_storage_collection(f->s, text("apple"), &c, &error));
    assert_string_equal(c.settings, "{}");
    akin_collection_clear(&c);

    static const char *const bad[] = {"", "a/b", "a\nb", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        create.name = text(bad[i]);
        assert_int_equal(try_one(f->s, create).status, AKIN_INVALID);
    }
    create.name = text("good name");
    create.settings = text("{");
    assert_int_equal(try_one(f->s, create).status, AKIN_INVALID);
}

static uint64_t count_rows(fixture *f)
{
    akin_storage_info info;
    ok(akin_storage_stat(f->s, &info, &error));
    return info.items * 1000 + info.vectors;
}

static void test_drop_collection(void **state)
{
    fixture *f = *state;
    akin_item_data in = full_item("x");
    akin_collection c;
    write_one(f->s, (akin_write){.kind = AKIN_WRITE_FIELD,
                                 .collection = f->c,
                                 .name = text("price")});
    write_one(f->s, (akin_write){.kind = AKIN_WRITE_FIELD,
                                 .collection = f->c,
                                 .name = text("tags"),
                                 .type = AKIN_FIELD_TAGS});
    write_one(f->s, put_op(f->c, &in));
    assert_int_equal(count_rows(f), 1002);
    akin_write drop = {.kind = AKIN_WRITE_DROP, .collection = f->c};
    write_one(f->s, drop);
    assert_int_equal(try_one(f->s, drop).status, AKIN_NOT_FOUND);
    assert_int_equal(try_one(f->s, put_op(f->c, &in)).status, AKIN_NOT_FOUND);
    assert_int_equal(akin_storage_collection(f->s, text("default"), &c, &error),
                     AKIN_NOT_FOUND);
    assert_int_equal(count_rows(f), 0);
    uint32_t again = make_collection(f->s, "default");
    assert_true(again > f->c);
    akin_item got;
    assert_int_equal(akin_storage_get(f->s, again, text("x"), 0, &got, &error),
                     AKIN_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(test_item_round_trip),
        T(test_same_content_changes_nothing),
        T(test_put_keeps_what_is_not_given),
        T(test_replace_removes_what_is_not_given),
        T(test_stale_vectors_go),
        T(test_flags),
        T(test_what_was_changed_meanwhile_is_not_overwritten),
        T(test_numbers_are_never_reused),
        T(test_bad_input),
        T(test_one_bad_op_does_not_end_a_batch),
        T(test_collections),
        T(test_drop_collection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
