/* Put, search, get, remove: pictures, texts, vectors, ids. */
#include "harness.h"

static void pictures_are_found_by_text_picture_and_id(void **state)
{
    (void)state;
    static const char *const names[] = {"apple", "bicycle", "car", "cat",
                                        "christmas_tree"};
    enum { N = 5 };
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, STARTER);
    akin_item_input items[N];
    memset(items, 0, sizeof items);
    akin_put_result results[N];
    uint8_t *bytes[N];
    size_t size;

    for (int i = 0; i < N; i++) {
        char path[512];
        snprintf(path, sizeof path, AKIN_TESTS "/data/starter/%s.png",
                 names[i]);
        must(akin_file_read(path, 1 << 24, &bytes[i], &size, err));
        items[i].id = akin_span_of(names[i]);
        items[i].picture = (akin_span){bytes[i], size};
    }
    must(akin_engine_put(engine, "c", items, N,
                         &(akin_put_options){.create = true}, results, err));
    for (int i = 0; i < N; i++) {
        if (results[i].status) fail_msg("%s: %s", names[i], results[i].message);
        assert_int_equal(results[i].outcome, AKIN_PUT_ADDED);
        assert_false(results[i].reused);
    }
    /* the same again: nothing written, nothing encoded */
    must(akin_engine_put(engine, "c", items, N, NULL, results, err));
    for (int i = 0; i < N; i++) {
        assert_int_equal(results[i].outcome, AKIN_PUT_UNCHANGED);
        assert_true(results[i].reused);
    }
    akin_engine_stats stats;
    akin_engine_get_stats(engine, &stats);
    assert_int_equal(stats.encoder_items, N);
    /* the same bytes under another id: no embedding either */
    items[0].id = akin_span_of("another apple");
    must(akin_engine_put(engine, "c", items, 1, NULL, results, err));
    assert_int_equal(results[0].outcome, AKIN_PUT_ADDED);
    assert_true(results[0].reused);

    for (int i = 0; i < N; i++) { /* by picture: itself, cosine 1 */
        akin_query_term term = {
            .kind = AKIN_TERM_PICTURE, .weight = 1, .data = items[i].picture};
        akin_query query = one_term(&term, 3);
        akin_results found;
        must(akin_engine_search(engine, "c", &query, &found, err));
        assert_int_equal(found.n, 3);
        assert_true(found.matches[0].score > 0.999f);
        assert_true(found.exact && !found.fused);
        assert_true(fabsf(found.matches[0].score - found.matches[0].image) <
                    1e-6f);
        assert_true(isnan(found.matches[0].caption));
        akin_results_clear(&found);
    }
    akin_query_term term = item_term("apple"); /* by id: not itself */
    akin_query query = one_term(&term, 10);
    akin_results found;
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, N);
    assert_string_equal(found.matches[0].id, "another apple");
    akin_results_clear(&found);
    query.include_self = true;
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, N + 1);
    akin_results_clear(&found);

    term = text_term("a bicycle");
    query = one_term(&term, 6);
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, 6);
    assert_string_equal(found.matches[0].id, "bicycle");
    akin_results_clear(&found);
    akin_encoder_state encoders[2]; /* what auto came to */
    assert_int_equal(akin_engine_encoders(engine, encoders, 2), 1);
    assert_string_equal(encoders[0].model, "starter");
    assert_string_not_equal(encoders[0].precision, "auto");
    assert_true(encoders[0].cosine >= 0.999f);
    /* asked again: from the cache */
    must(akin_engine_search(engine, "c", &query, &found, err));
    akin_results_clear(&found);
    akin_engine_get_stats(engine, &stats);
    assert_int_equal(stats.text_cache_hits, 1);

    akin_item_info info;
    must(akin_engine_get(engine, "c", akin_span_of("cat"), &info, err));
    assert_string_equal(info.id, "cat");
    assert_true(info.has_image && !info.has_caption && info.width > 0);
    assert_string_equal(info.format, "png");
    assert_int_equal(strlen(info.hash), 64);
    akin_item_info_clear(&info);
    akin_buf thumb = {0};
    must(akin_engine_thumbnail(engine, "c", akin_span_of("cat"), &thumb, err));
    assert_true(thumb.size > 100);
    akin_buf_clear(&thumb);

    size_t removed;
    akin_span gone[] = {akin_span_of("cat"), akin_span_of("no such item")};
    must(akin_engine_remove(engine, "c", gone, 2, &removed, err));
    assert_int_equal(removed, 1);
    assert_int_equal(akin_engine_exists(engine, "c", gone[0], NULL),
                     AKIN_NOT_FOUND);
    must(akin_engine_search(engine, "c", &query, &found, err));
    for (size_t i = 0; i < found.n; i++)
        assert_string_not_equal(found.matches[i].id, "cat");
    akin_results_clear(&found);
    must_be_clean(engine);

    akin_engine_close(engine);
    engine = open_engine(dir, STARTER); /* and after opening again */
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, 5);
    assert_string_equal(found.matches[0].id, "bicycle");
    akin_results_clear(&found);
    must_be_clean(engine);
    akin_engine_close(engine);
    for (int i = 0; i < N; i++)
        akin_free(bytes[i]);
    scratch_remove(dir);
    akin_free(dir);
}

/* Items of the encoder since open. */
static uint64_t encoded(akin_engine *engine, uint64_t *reused)
{
    akin_engine_stats stats;
    akin_engine_get_stats(engine, &stats);
    *reused = stats.embeddings_reused;
    return stats.encoder_items;
}

/* The same bytes, or the same caption: under another id, in another collection,
 * many times in one call, as a question. One embedding each. */
static void nothing_is_embedded_twice(void **state)
{
    (void)state;
    enum { N = 20 };
    static uint8_t pictures[3][13000];
    char *dir = scratch_make(), ids[N][16];
    akin_engine *engine = open_engine(dir, STARTER);
    akin_item_input items[N];
    akin_put_result results[N];
    akin_put_options create = {.create = true};
    uint64_t reused;

    memset(items, 0, sizeof items);
    for (size_t i = 0; i < N; i++) {
        snprintf(ids[i], sizeof ids[i], "item %zu", i);
        items[i].id = akin_span_of(ids[i]);
        items[i].picture =
            (akin_span){pictures[i % 2], make_picture(i % 2, pictures[i % 2],
                                                      sizeof pictures[0])};
        items[i].caption = akin_span_of(i % 3 ? "bars" : "stripes");
    }
    must(akin_engine_put(engine, "a", items, N, &create, results, err));
    assert_int_equal(encoded(engine, &reused), 4); /* 2 pictures, 2 captions */
    assert_int_equal(reused, 2 * N - 4);
    size_t made[2] = {0}; /* of each picture once; of which item is open */
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(results[i].status, AKIN_OK);
        made[i % 2] += !results[i].reused;
    }
    assert_int_equal(made[0], 1);
    assert_int_equal(made[1], 1);
    must(akin_engine_put(engine, "b", items, N, &create, results, err));
    assert_int_equal(encoded(engine, &reused), 4);
    assert_int_equal(reused, 4 * N - 4);

    /* each has its own vector, not a neighbour's */
    for (size_t i = 0; i < 2; i++) {
        akin_query_term term = {
            .kind = AKIN_TERM_PICTURE, .weight = 1, .data = items[i].picture};
        akin_query query = one_term(&term, N / 2);
        akin_results found;
        must(akin_engine_search(engine, "b", &query, &found, err));
        assert_int_equal(found.n, N / 2);
        for (size_t k = 0; k < found.n; k++)
            assert_int_equal(atoi(found.matches[k].id + 5) % 2, i);
        akin_results_clear(&found);
    }
    assert_int_equal(encoded(engine, &reused), 4);

    /* a picture that is stored nowhere, asked with twice, then put */
    size_t size = make_picture(7, pictures[2], sizeof pictures[2]);
    akin_query_term term = {
        .kind = AKIN_TERM_PICTURE, .weight = 1, .data = {pictures[2], size}};
    akin_query query = one_term(&term, 3);
    for (int i = 0; i < 2; i++) {
        akin_results found;
        must(akin_engine_search(engine, "a", &query, &found, err));
        akin_results_clear(&found);
        assert_int_equal(encoded(engine, &reused), 5);
    }
    items[0].picture = term.data;
    items[0].caption = akin_span_of("");
    must(akin_engine_put(engine, "a", items, 1, NULL, results, err));
    assert_int_equal(results[0].outcome, AKIN_PUT_UPDATED);
    assert_int_equal(encoded(engine, &reused), 5);

    /* after closing: known by what is stored */
    akin_engine_close(engine);
    engine = open_engine(dir, STARTER);
    items[1].id = akin_span_of("later");
    items[1].caption = (akin_span){0};
    must(akin_engine_put(engine, "c", items, 2, &create, results, err));
    assert_true(results[0].reused && results[1].reused);
    assert_int_equal(encoded(engine, &reused), 0);
    assert_int_equal(reused, 2);
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

static void raw_vectors_need_no_model(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, NULL);
    static const float vectors[3][3] = {{3, 0, 0}, {1, 1, 0}, {0, 0, -2}};
    akin_item_input items[] = {
        {.id = akin_span_of("a"), .vector = vectors[0], .dim = 3},
        {.id = akin_span_of("b"), .vector = vectors[1], .dim = 3},
        {.id = akin_span_of("c"),
         .vector = vectors[2],
         .dim = 3,
         .attributes = akin_span_of("{\"n\": 1}")}};
    akin_put_result results[3];
    akin_error error;

    must(akin_engine_put(engine, "raw", items, 3,
                         &(akin_put_options){.create = true}, results, err));
    float *vector, norm;
    uint32_t dim;
    must(akin_engine_vector(engine, "raw", akin_span_of("a"), AKIN_QUERY_AUTO,
                            &vector, &dim, &norm, err));
    assert_int_equal(dim, 3);
    assert_true(fabsf(vector[0] - 1) < 1e-3f && fabsf(norm - 3) < 1e-3f);
    akin_free(vector);

    akin_query_term terms[] = {
        {.kind = AKIN_TERM_VECTOR, .weight = 1, .vector = vectors[0], .dim = 3},
        {.kind = AKIN_TERM_VECTOR,
         .weight = -1,
         .vector = vectors[1],
         .dim = 3}};
    akin_query query = {.terms = terms, .nterms = 1, .k = 10};
    akin_results found;
    query.with_attributes = query.with_vectors = true;
    must(akin_engine_search(engine, "raw", &query, &found, err));
    assert_int_equal(found.n, 3);
    assert_string_equal(found.matches[0].id, "a");
    assert_string_equal(found.matches[1].id, "b");
    assert_true(fabsf(found.matches[1].score - 0.70710678f) < 1e-3f);
    assert_string_equal(found.matches[2].attributes, "{\"n\": 1}");
    assert_true(fabsf(found.matches[2].vector[2] + 1) < 1e-3f);
    akin_results_clear(&found);

    query.nterms = 2; /* a - b/|b|: b is pushed away */
    must(akin_engine_search(engine, "raw", &query, &found, err));
    assert_string_equal(found.matches[0].id, "a");
    assert_true(found.matches[found.n - 1].score < 0);
    akin_results_clear(&found);
    terms[1].vector = vectors[0];
    assert_int_equal(akin_engine_search(engine, "raw", &query, &found, &error),
                     AKIN_INVALID); /* they cancel out */

    akin_query_term text = text_term("a cat");
    query = one_term(&text, 5);
    assert_int_equal(akin_engine_search(engine, "raw", &query, &found, &error),
                     AKIN_UNSUPPORTED);
    items[0].dim = 2;
    items[1].vector = (float[]){0, 0, 0};
    must(akin_engine_put(engine, "raw", items, 3, NULL, results, err));
    assert_int_equal(results[0].status, AKIN_INVALID);
    assert_non_null(strstr(results[0].message, "expected 3 dimensions, got 2"));
    assert_int_equal(results[1].status, AKIN_INVALID);
    assert_int_equal(results[2].status, AKIN_OK);
    assert_int_equal(results[2].outcome, AKIN_PUT_UNCHANGED);
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

/* An item with both spaces; captions decide what a text finds. */
static void must_put(akin_engine *engine, const akin_item_input *item,
                     bool reused)
{
    akin_put_result result;
    must(akin_engine_put(engine, "c", item, 1, NULL, &result, err));
    if (result.status) fail_msg("%s", result.message);
    assert_int_equal(result.reused, reused);
}

/* Its image vector is want, and it has a picture or has none. */
static void expect_vector(akin_engine *engine, const char *id,
                          const float *want, bool picture)
{
    akin_item_info item;
    float *got, norm, dot = 0;
    uint32_t dim;
    must(akin_engine_vector(engine, "c", akin_span_of(id), AKIN_QUERY_IMAGE,
                            &got, &dim, &norm, err));
    for (uint32_t i = 0; i < dim; i++)
        dot += got[i] * want[i];
    akin_free(got);
    if (dot < 0.999f) fail_msg("%s has another vector: %f", id, (double)dot);
    must(akin_engine_get(engine, "c", akin_span_of(id), &item, err));
    assert_int_equal(item.hash[0] != 0, picture);
    assert_int_equal(item.width, picture ? 64 : 0);
    akin_item_info_clear(&item);
}

static void a_vector_given_by_hand_is_no_pictures_embedding(void **state)
{
    (void)state;
    static uint8_t bytes[PICTURE_BYTES];
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, STARTER);
    akin_span picture = {bytes, make_picture(3, bytes, sizeof bytes)};
    akin_item_input first = {.id = akin_span_of("a"), .picture = picture};
    akin_item_input other = {.id = akin_span_of("b"), .picture = picture};
    float *embedding, *hand, norm;
    uint32_t dim;

    must(akin_engine_create(engine, "c", NULL, err));
    must_put(engine, &first, false);
    must(akin_engine_vector(engine, "c", first.id, AKIN_QUERY_IMAGE, &embedding,
                            &dim, &norm, err));
    hand = test_calloc(dim, sizeof *hand);
    hand[0] = 1;
    akin_item_input by_hand = {.id = first.id, .vector = hand, .dim = dim};
    must_put(engine, &by_hand, false);
    expect_vector(engine, "a", hand, false);
    akin_engine_close(engine); /* with what was encoded lately */

    engine = open_engine(dir, STARTER);
    must_put(engine, &other, false);
    expect_vector(engine, "b", embedding, true);
    must_put(engine, &first, true);
    expect_vector(engine, "a", embedding, true);
    /* the bytes it has: it stays that picture's item */
    first.caption = akin_span_of("a bar");
    must_put(engine, &first, true);
    expect_vector(engine, "a", embedding, true);
    must_be_clean(engine);
    akin_engine_close(engine);
    akin_free(embedding);
    test_free(hand);
    scratch_remove(dir);
    akin_free(dir);
}

/* A catalogue's row with both: the picture counts, the second time, too. */
static void a_row_with_picture_and_vector_has_the_pictures(void **state)
{
    (void)state;
    static uint8_t bytes[PICTURE_BYTES];
    char *dir = scratch_make();
    char *picture = akin_format("%s/p.ppm", dir);
    char *rows = akin_format("%s/rows.jsonl", dir);
    char *data = akin_format("%s/data", dir);
    akin_buf line = {0};
    float *first = NULL, norm;
    uint32_t dim;
    akin_engine *engine = open_engine(data, STARTER);
    const char *path = rows;
    akin_ingest source = {.paths = &path, .npaths = 1};
    akin_collection_info info;

    must(akin_engine_create(engine, "c", NULL, err));
    must(akin_engine_info(engine, "c", &info, err));
    write_file(picture, bytes, make_picture(3, bytes, sizeof bytes));
    for (int turn = 0; turn < 2; turn++) {
        line.size = 0;
        akin_buf_printf(&line, "{\"id\":\"a\",\"image\":\"p.ppm\",\"turn\":%d,",
                        turn);
        akin_buf_printf(&line, "\"vector\":[1");
        for (uint32_t i = 1; i < info.dim; i++)
            akin_buf_printf(&line, ",0");
        akin_buf_printf(&line, "]}\n");
        write_file(rows, line.data, line.size);
        akin_report report;
        must(
            akin_engine_ingest(engine, "c", &source, NULL, NULL, &report, err));
        assert_int_equal(report.progress.failed, 0);
        akin_report_clear(&report);
        if (!turn)
            must(akin_engine_vector(engine, "c", akin_span_of("a"),
                                    AKIN_QUERY_IMAGE, &first, &dim, &norm,
                                    err));
        expect_vector(engine, "a", first, true);
    }
    akin_engine_close(engine);
    akin_buf_clear(&line);
    akin_free(first);
    scratch_remove(dir);
    akin_free(picture);
    akin_free(rows);
    akin_free(data);
    akin_free(dir);
}

static void captions_are_fused_with_pictures_and_words(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, STARTER);
    enum { N = 40 };
    static uint8_t pictures[N][PICTURE_BYTES];
    akin_item_input items[N];
    memset(items, 0, sizeof items);
    akin_put_result results[N];
    char ids[N][16], captions[N][64];

    for (unsigned i = 0; i < N; i++) {
        snprintf(ids[i], sizeof ids[i], "i%u", i);
        snprintf(captions[i], sizeof captions[i], "plain thing number %u", i);
        items[i].id = akin_span_of(ids[i]);
        items[i].caption = akin_span_of(captions[i]);
        items[i].picture.size =
            make_picture(i + 1, pictures[i], sizeof pictures[i]);
        items[i].picture.data = pictures[i];
    }
    items[7].caption = akin_span_of("zygote quux wombat");
    must(akin_engine_put(engine, "c", items, N,
                         &(akin_put_options){.create = true}, results, err));
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(results[i].status, AKIN_OK);

    akin_query_term term = text_term("wombat");
    akin_query query = one_term(&term, 10);
    akin_results found;
    query.with_captions = true;
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_true(found.fused && found.exact);
    assert_int_equal(found.n, 10);
    assert_string_equal(found.matches[0].id, "i7");
    assert_string_equal(found.matches[0].match_caption, "zygote quux wombat");
    for (size_t i = 0; i < found.n; i++) {
        const akin_match *m = &found.matches[i];
        assert_true(m->score > 0 && m->score <= 1);
        assert_true(m->image >= -1.01f && m->image <= 1.01f);
        assert_true(m->caption >= -1.01f && m->caption <= 1.01f);
        if (i) assert_true(m->score <= m[-1].score);
    }
    akin_results_clear(&found);

    /* pages of a fused ranking join without gap or overlap */
    query.k = 20;
    akin_results all;
    must(akin_engine_search(engine, "c", &query, &all, err));
    query.k = 5;
    query.offset = 5;
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, 5);
    for (size_t i = 0; i < found.n; i++)
        assert_string_equal(found.matches[i].id, all.matches[i + 5].id);
    akin_results_clear(&found);
    akin_results_clear(&all);

    query = one_term(&term, 3);
    query.space = AKIN_QUERY_IMAGE;
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_false(found.fused);
    assert_true(isnan(found.matches[0].caption));
    akin_results_clear(&found);

    /* a new caption drops the old one's vector and words */
    akin_item_input change = {.id = akin_span_of("i7"),
                              .caption = akin_span_of("nothing special")};
    must(akin_engine_put(engine, "c", &change, 1, NULL, results, err));
    assert_int_equal(results[0].outcome, AKIN_PUT_UPDATED);
    query = one_term(&term, 1);
    query.space = AKIN_QUERY_CAPTION;
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_true(found.n == 1);
    akin_results_clear(&found);
    akin_item_info info;
    must(akin_engine_get(engine, "c", akin_span_of("i7"), &info, err));
    assert_string_equal(info.caption, "nothing special");
    assert_true(info.has_image && info.has_caption);
    akin_item_info_clear(&info);
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

static void bad_items_fail_alone(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, STARTER);
    static uint8_t good[PICTURE_BYTES];
    size_t size = make_picture(1, good, sizeof good);
    akin_item_input items[] = {
        {.id = akin_span_of("good"), .picture = {good, size}},
        {.id = akin_span_of("cut"), .picture = {good, 40}},
        {.id = akin_span_of("text"), .picture = akin_span_of("not a picture")},
        {.id = akin_span_of("empty"), .picture = {good, 0}},
        {.id = {"", 0}, .picture = {good, size}},
        {.id = akin_span_of("\xff\xfe"), .picture = {good, size}},
        {.id = akin_span_of("json"), .attributes = akin_span_of("{\"a\":")},
        {.id = akin_span_of("list"), .attributes = akin_span_of("[1]")},
        {.id = akin_span_of("latin1"), .caption = akin_span_of("caf\xe9")},
        {.id = akin_span_of("fine"), .caption = akin_span_of("caf\xc3\xa9")}};
    enum { N = sizeof items / sizeof *items };
    akin_put_result results[N];

    must(akin_engine_put(engine, "c", items, N,
                         &(akin_put_options){.create = true}, results, err));
    for (int i = 0; i < N; i++) {
        bool is_good = i == 0 || i == N - 1;
        if (is_good == (results[i].status != AKIN_OK))
            fail_msg("item %d: %s", i, results[i].message);
        if (!is_good) {
            assert_int_equal(results[i].outcome, AKIN_PUT_FAILED);
            assert_true(strlen(results[i].message) > 5);
        }
    }
    assert_int_equal(count_items(engine, "c"), 2);
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

static void lists_of_ids(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, NULL);
    enum { N = 50 };
    akin_item_input items[N];
    memset(items, 0, sizeof items);
    akin_put_result results[N];
    char ids[N][16], attributes[N][32];
    float vectors[N][2];

    for (int i = 0; i < N; i++) {
        snprintf(ids[i], sizeof ids[i], "id%02d", i);
        snprintf(attributes[i], sizeof attributes[i], "{\"n\":%d}", i);
        vectors[i][0] = 1;
        vectors[i][1] = (float)i;
        items[i] = (akin_item_input){.id = akin_span_of(ids[i]),
                                     .vector = vectors[i],
                                     .dim = 2,
                                     .attributes = akin_span_of(attributes[i])};
    }
    must(akin_engine_put(engine, "c", items, N,
                         &(akin_put_options){.create = true}, results, err));

    akin_ids found;
    akin_range range = {.start = akin_span_of("id10"),
                        .end = akin_span_of("id20"),
                        .after_start = true};
    must(akin_engine_range(engine, "c", &range, &found, err));
    assert_int_equal(found.n, 10);
    assert_string_equal(found.ids[0], "id11");
    assert_string_equal(found.ids[9], "id20");
    akin_ids_clear(&found);
    range = (akin_range){.limit = 3, .filter.text = akin_span_of(".n >= 30")};
    must(akin_engine_range(engine, "c", &range, &found, err));
    assert_int_equal(found.n, 3);
    assert_string_equal(found.ids[0], "id30");
    akin_ids_clear(&found);
    uint64_t n;
    must(akin_engine_count(engine, "c", range.filter, &n, err));
    assert_int_equal(n, 20);

    must(akin_engine_random(engine, "c", 200, true, &found, err));
    assert_int_equal(found.n, N);
    bool seen[N] = {false};
    for (size_t i = 0; i < found.n; i++) {
        int at = (int)strtol(found.ids[i] + 2, NULL, 10);
        assert_false(seen[at]);
        seen[at] = true;
    }
    akin_ids_clear(&found);
    must(akin_engine_random(engine, "c", 200, false, &found, err));
    assert_int_equal(found.n, 200);
    akin_ids_clear(&found);
    must(akin_engine_random(engine, "c", 7, false, &found, err));
    assert_int_equal(found.n, 7);
    akin_ids_clear(&found);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

static void collections_come_and_go(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, NULL);
    akin_error error;
    akin_field fields[] = {{"price", AKIN_ATTRIBUTE_NUMBER},
                           {"maker.city", AKIN_ATTRIBUTE_STRING}};
    akin_collection_options options = {
        .dim = 4, .fields = fields, .nfields = 2, .recall = 0.875f};

    must(akin_engine_create(engine, "zwei", &options, err));
    must(akin_engine_create(engine, "eins", &options, err));
    assert_int_equal(akin_engine_create(engine, "eins", &options, &error),
                     AKIN_EXISTS);
    assert_int_equal(akin_engine_create(engine, "a/b", &options, &error),
                     AKIN_INVALID);
    assert_int_equal(akin_engine_create(engine, "", &options, &error),
                     AKIN_INVALID);
    assert_int_equal(akin_engine_create(engine, "none", NULL, &error),
                     AKIN_UNSUPPORTED);
    akin_collection_info *list;
    size_t n;
    must(akin_engine_list(engine, &list, &n, err));
    assert_int_equal(n, 2);
    assert_string_equal(list[0].name, "eins");
    assert_int_equal(list[0].dim, 4);
    assert_int_equal(list[0].nfields, 2);
    assert_string_equal(list[0].fingerprint, "");
    akin_free(list);

    must(akin_engine_drop(engine, "eins", err));
    assert_int_equal(akin_engine_drop(engine, "eins", &error), AKIN_NOT_FOUND);
    must(akin_engine_create(engine, "eins", &options, err));
    assert_int_equal(count_items(engine, "eins"), 0);
    akin_engine_close(engine);
    engine = open_engine(dir, NULL);
    akin_collection_info info;
    must(akin_engine_info(engine, "zwei", &info, err));
    assert_int_equal(info.items, 0);
    assert_string_equal(info.image.kind, "exact");
    assert_true(info.recall == 0.875f);

    /* a reader beside the writer sees what is written */
    akin_engine *reader = NULL;
    akin_engine_options reading = {
        .data_dir = dir, .model_dir = "", .read_only = true};
    must(akin_engine_open(&reading, &reader, err));
    akin_item_input item = {
        .id = akin_span_of("x"), .vector = (float[]){1, 2, 3, 4}, .dim = 4};
    akin_put_result result;
    must(akin_engine_put(engine, "zwei", &item, 1, NULL, &result, err));
    akin_query_term term = item_term("x");
    akin_query query = one_term(&term, 1);
    akin_results found;
    query.include_self = true;
    must(akin_engine_search(reader, "zwei", &query, &found, err));
    assert_int_equal(found.n, 1);
    akin_results_clear(&found);
    assert_int_equal(
        akin_engine_put(reader, "zwei", &item, 1, NULL, &result, &error),
        AKIN_DENIED);
    akin_engine_close(reader);
    akin_engine *second = NULL;
    reading.read_only = false;
    assert_int_equal(akin_engine_open(&reading, &second, &error), AKIN_BUSY);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_found_by_text_picture_and_id),
        cmocka_unit_test(nothing_is_embedded_twice),
        cmocka_unit_test(raw_vectors_need_no_model),
        cmocka_unit_test(a_vector_given_by_hand_is_no_pictures_embedding),
        cmocka_unit_test(a_row_with_picture_and_vector_has_the_pictures),
        cmocka_unit_test(captions_are_fused_with_pictures_and_words),
        cmocka_unit_test(bad_items_fail_alone),
        cmocka_unit_test(lists_of_ids),
        cmocka_unit_test(collections_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
