/* Two models never meet; changing the model; indexes as a cache of the store. */
#include "harness.h"

#include "internal.h"

#define TINY AKIN_TESTS "/data/clip/models/tiny-quickgelu"

static void copy_file(const char *from, const char *to)
{
    uint8_t *bytes;
    size_t size;
    must(akin_file_read(from, 1 << 28, &bytes, &size, err));
    write_file(to, bytes, size);
    akin_free(bytes);
}

static void copy_model(const char *from, const char *to)
{
    static const char *const names[] = {"config.json", "model.safetensors",
                                        "preprocessor_config.json",
                                        "tokenizer.json"};
    char a[512], b[512];
    assert_int_equal(mkdir(to, 0755), 0);
    for (int i = 0; i < 4; i++) {
        snprintf(a, sizeof a, "%s/%s", from, names[i]);
        snprintf(b, sizeof b, "%s/%s", to, names[i]);
        copy_file(a, b);
    }
}

static void add_pictures(akin_engine *engine, const char *folder)
{
    akin_report report;
    akin_ingest source = {
        .paths = &folder, .npaths = 1, .captions = AKIN_CAPTION_FILENAME};
    must(akin_engine_ingest(engine, "c", &source, NULL, NULL, &report, err));
    assert_int_equal(report.progress.failed, 0);
    akin_report_clear(&report);
}

static void two_fingerprints_never_meet(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    char *model = akin_format("%s/model", dir);
    make_folder(folder, 12);
    copy_model(TINY, model);
    akin_engine *engine = open_engine(data, model);
    add_pictures(engine, folder);
    akin_collection_info first;
    must(akin_engine_info(engine, "c", &first, err));
    assert_true(first.model_ready);
    assert_string_equal(first.model_name, "model");
    akin_engine_close(engine);

    /* other weights in the same place */
    scratch_remove(model);
    copy_model(STARTER, model);
    engine = open_engine(data, NULL);
    akin_collection_info info;
    must(akin_engine_info(engine, "c", &info, err));
    assert_false(info.model_ready);
    assert_string_equal(info.fingerprint, first.fingerprint);

    akin_query_term term = text_term("a car");
    akin_query query = one_term(&term, 3);
    akin_results found;
    akin_error error;
    assert_int_equal(akin_engine_search(engine, "c", &query, &found, &error),
                     AKIN_WRONG_MODEL);
    char prefix[13];
    memcpy(prefix, first.fingerprint, 12);
    prefix[12] = 0;
    assert_non_null(strstr(error.message, prefix));
    assert_non_null(strstr(error.message, "/model is "));
    uint8_t bytes[PICTURE_BYTES];
    size_t size = make_picture(77, bytes, sizeof bytes);
    akin_item_input item = {.id = akin_span_of("x"), .picture = {bytes, size}};
    akin_put_result result;
    assert_int_equal(
        akin_engine_put(engine, "c", &item, 1, NULL, &result, &error),
        AKIN_WRONG_MODEL);
    term = item_term("0/003.ppm"); /* needs no model */
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, 3);
    akin_results_clear(&found);
    akin_engine_close(engine);

    /* the right weights elsewhere, named as the engine's model */
    engine = open_engine(data, TINY);
    term = text_term("a car");
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, 3);
    akin_results_clear(&found);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(model);
    akin_free(dir);
}

/* The ids and scores of a query, as text. */
static char *answer(akin_engine *engine, akin_query_term term)
{
    akin_query query = one_term(&term, 10);
    akin_results found;
    akin_buf text = {0};
    must(akin_engine_search(engine, "c", &query, &found, err));
    for (size_t i = 0; i < found.n; i++)
        akin_buf_printf(&text, "%s %.5f\n", found.matches[i].id,
                        (double)found.matches[i].score);
    akin_results_clear(&found);
    char *copy = akin_strdup(akin_buf_cstr(&text));
    akin_buf_clear(&text);
    return copy;
}

static bool cancel_soon(void *user, const akin_progress *progress)
{
    (void)user;
    return progress->updated < 64;
}

static void a_change_of_model_is_like_starting_with_it(void **state)
{
    (void)state;
    enum { N = 150 };
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    char *fresh = akin_format("%s/fresh", dir);
    make_folder(folder, N);
    akin_engine *engine = open_engine(fresh, STARTER);
    add_pictures(engine, folder);
    char *by_text = answer(engine, text_term("007"));
    char *by_item = answer(engine, item_term("3/030.ppm"));
    akin_engine_close(engine);

    engine = open_engine(data, TINY);
    add_pictures(engine, folder);
    uint8_t bytes[PICTURE_BYTES];
    size_t size = make_picture(700, bytes, sizeof bytes);
    char *before = answer(engine, item_term("3/030.ppm"));
    akin_error error;
    akin_report report;
    akin_status rc = akin_engine_reindex(engine, "c", STARTER, cancel_soon,
                                         NULL, &report, &error);
    if (rc) { /* stopped half way: everything still answers as before */
        assert_int_equal(rc, AKIN_CANCELLED);
        char *meanwhile = answer(engine, item_term("3/030.ppm"));
        assert_string_equal(meanwhile, before);
        akin_free(meanwhile);
        must_be_clean(engine);
    }
    uint64_t done = report.progress.updated;
    akin_report_clear(&report);
    akin_engine_close(engine);

    engine = open_engine(data, TINY);
    if (rc) {
        must(akin_engine_reindex(engine, "c", STARTER, NULL, NULL, &report,
                                 err));
        assert_int_equal(report.progress.updated, 2 * N - done);
        akin_report_clear(&report);
    }
    char *text = answer(engine, text_term("007"));
    char *item = answer(engine, item_term("3/030.ppm"));
    assert_string_equal(text, by_text);
    assert_string_equal(item, by_item);
    akin_collection_info info;
    must(akin_engine_info(engine, "c", &info, err));
    assert_string_equal(info.model_name, "starter");
    assert_int_equal(info.dim, 192);
    must_be_clean(engine);
    /* and goes on as usual */
    akin_item_input new_item = {.id = akin_span_of("new"),
                                .picture = {bytes, size}};
    akin_put_result result;
    must(akin_engine_put(engine, "c", &new_item, 1, NULL, &result, err));
    assert_int_equal(result.status, AKIN_OK);
    must(akin_engine_reindex(engine, "c", STARTER, NULL, NULL, NULL, err));
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(by_text);
    akin_free(by_item);
    akin_free(before);
    akin_free(text);
    akin_free(item);
    akin_free(folder);
    akin_free(data);
    akin_free(fresh);
    akin_free(dir);
}

static void write_op(akin_engine *engine, akin_write op)
{
    must(akin_storage_write(engine->storage, &op, 1, NULL, err));
}

static bool has_other_model(akin_engine *engine, uint32_t num)
{
    akin_collection c;
    must(akin_storage_collection_by_num(engine->storage, num, &c, err));
    bool other = c.other.present;
    akin_collection_clear(&c);
    return other;
}

/* The process ended between the swap and what comes after it, or before it: in
 * the store both are a collection that knows another model. */
static void what_a_change_of_model_left_goes_with_the_next_call(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, STARTER);
    akin__model *tiny;
    akin__collection *c;
    float vector[192] = {1};
    akin_item_input item = {
        .id = akin_span_of("a"), .vector = vector, .dim = 192};
    akin_put_result result;
    struct stat st;

    must(akin_engine_create(engine, "c", NULL, err));
    must(akin_engine_put(engine, "c", &item, 1, NULL, &result, err));
    assert_int_equal(result.status, AKIN_OK);
    must(akin__model_get(engine, TINY, &tiny, err));
    must(akin__collection_find(engine, "c", &c, err));
    const uint8_t *other = tiny->info->fingerprint_bytes;
    write_op(engine, (akin_write){.kind = AKIN_WRITE_CHANGE,
                                  .collection = c->num,
                                  .model = other,
                                  .model_path = akin_span_of(tiny->dir),
                                  .dim = tiny->info->dim});
    char *folder = akin__view_dir(engine, c->num, other);
    must(akin_dir_make(folder, err));
    assert_true(has_other_model(engine, c->num));
    must(akin_engine_reindex(engine, "c", STARTER, NULL, NULL, NULL, err));
    assert_false(has_other_model(engine, c->num));
    assert_int_equal(stat(folder, &st), -1);

    akin_query_term term = {
        .kind = AKIN_TERM_VECTOR, .weight = 1, .vector = vector, .dim = 192};
    char *found = answer(engine, term);
    assert_string_equal(found, "a 1.00000\n");
    must_be_clean(engine);
    akin_free(found);
    akin_free(folder);
    akin__collection_release(c);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

static void *change_to_starter(void *arg)
{
    akin_report report;
    must(akin_engine_reindex(arg, "c", STARTER, NULL, NULL, &report, err));
    assert_int_equal(report.progress.updated, 6);
    akin_report_clear(&report);
    return NULL;
}

/* The second call forgot what the first had embedded, or, when the first had
 * swapped, the indexes in use. The first waits, with everything embedded, for a
 * writer to leave. */
static void two_changes_of_model_do_not_meet(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    akin__collection *c;
    pthread_t thread;

    make_folder(folder, 3);
    akin_engine *engine = open_engine(data, TINY);
    add_pictures(engine, folder);
    must(akin__collection_find(engine, "c", &c, err));
    must(akin__write_enter(c, err));
    assert_int_equal(pthread_create(&thread, NULL, change_to_starter, engine),
                     0);
    for (bool waits = false; !waits; usleep(1000)) {
        pthread_mutex_lock(&c->lock);
        waits = c->frozen;
        pthread_mutex_unlock(&c->lock);
    }
    assert_int_equal(
        akin_engine_reindex(engine, "c", TINY, NULL, NULL, NULL, NULL),
        AKIN_BUSY);
    assert_int_equal(
        akin_engine_reindex(engine, "c", STARTER, NULL, NULL, NULL, NULL),
        AKIN_BUSY);
    akin__write_leave(c);
    pthread_join(thread, NULL);
    akin_query_term term = item_term("0/001.ppm");
    akin_query query = one_term(&term, 3);
    akin_results found;
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, 2);
    akin_results_clear(&found);
    must(akin_engine_reindex(engine, "c", TINY, NULL, NULL, NULL, err));
    must_be_clean(engine);
    akin__collection_release(c);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

static void
a_picture_without_its_file_is_embedded_from_its_thumbnail(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, TINY);
    uint8_t bytes[PICTURE_BYTES];
    float vector[32] = {1};
    size_t size = make_picture(3, bytes, sizeof bytes);
    akin_item_input items[] = {
        {.id = akin_span_of("picture"), .picture = {bytes, size}},
        {.id = akin_span_of("given"), .vector = vector, .dim = 32}};
    akin_put_result results[2];
    must(akin_engine_put(engine, "c", items, 2,
                         &(akin_put_options){.create = true}, results, err));
    assert_int_equal(results[1].status, AKIN_OK);
    akin_report report;
    must(akin_engine_reindex(engine, "c", STARTER, NULL, NULL, &report, err));
    assert_int_equal(report.progress.updated, 1);
    assert_int_equal(report.progress.failed, 1);
    assert_string_equal(report.failures[0].what, "given");
    akin_report_clear(&report);
    akin_query_term term = {
        .kind = AKIN_TERM_PICTURE, .weight = 1, .data = {bytes, size}};
    akin_query query = one_term(&term, 5);
    akin_results found;
    must(akin_engine_search(engine, "c", &query, &found, err));
    assert_int_equal(found.n, 1);
    assert_true(found.matches[0].score > 0.9f);
    akin_results_clear(&found);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

static void indexes_are_rebuilt_from_the_store(void **state)
{
    (void)state;
    enum { N = 3000, DIM = 16 };
    char *dir = scratch_make();
    static float vectors[N][DIM];
    static akin_item_input items[N];
    static akin_put_result results[N];
    static char ids[N][16];
    akin_config *config;
    must(akin_config_open(&config, err));
    must(akin_config_set(config, "index.exact-below", "1000", err));
    must(akin_config_set(config, "index.auto", "no", err));
    akin_engine_options options = {
        .data_dir = dir, .model_dir = "", .config = config};
    akin_engine *engine;
    must(akin_engine_open(&options, &engine, err));
    unsigned seed = 12345;
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < DIM; j++) {
            seed = seed * 1664525u + 1013904223u;
            vectors[i][j] = (float)(seed >> 8) / 8388608.0f - 1;
        }
        snprintf(ids[i], sizeof ids[i], "%d", i);
        items[i].id = akin_span_of(ids[i]);
        items[i].vector = vectors[i];
        items[i].dim = DIM;
    }
    must(akin_engine_put(engine, "c", items, N,
                         &(akin_put_options){.create = true}, results, err));
    must(akin_engine_rebuild(engine, "c", NULL, NULL, err));
    akin_collection_info info;
    must(akin_engine_info(engine, "c", &info, err));
    assert_non_null(strstr(info.image.kind, "IVF"));
    assert_int_equal(info.image.delta, 0);

    assert_true(strlen(info.image.why) > 10 && info.image.nprobe > 0);
    akin_recall recall;
    must(akin_engine_recall(engine, "c", AKIN_QUERY_IMAGE, false, 64, NULL,
                            NULL, &recall, err));
    assert_false(recall.exact);
    assert_true(recall.npoints > 1 && recall.queries == 64);
    assert_true(recall.points[recall.npoints - 1].recall >
                recall.points[0].recall);
    must(akin_engine_recall(engine, "c", AKIN_QUERY_CAPTION, false, 64, NULL,
                            NULL, &recall, err));
    assert_true(recall.exact && !recall.npoints);

    size_t removed; /* tombstones and a delta on top */
    akin_span gone[] = {akin_span_of("5"), akin_span_of("6")};
    must(akin_engine_remove(engine, "c", gone, 2, &removed, err));
    must(akin_engine_put(engine, "c", items + 6, 1, NULL, results, err));
    char *first = answer(engine, item_term("6"));
    must_be_clean(engine);
    akin_engine_close(engine);

    must(akin_engine_open(&options, &engine, err)); /* from its generation */
    must(akin_engine_info(engine, "c", &info, err));
    assert_non_null(strstr(info.image.kind, "IVF"));
    assert_int_equal(info.image.vectors, N - 1);
    must_be_clean(engine);
    akin_engine_close(engine);

    char *index = akin_format("%s/index", dir);
    scratch_remove(index);
    must(akin_engine_open(&options, &engine, err)); /* from nothing */
    char *second = answer(engine, item_term("6"));
    assert_string_equal(second, first);
    assert_int_equal(count_items(engine, "c"), N - 1);
    must_be_clean(engine);
    akin_engine_close(engine);
    akin_config_close(config);
    scratch_remove(dir);
    akin_free(first);
    akin_free(second);
    akin_free(index);
    akin_free(dir);
}

static akin_engine *small_space(const char *dir, float shift)
{
    enum { N = 200 };
    akin_engine *engine = open_engine(dir, NULL);
    static akin_item_input items[N];
    static akin_put_result results[N];
    static float vectors[N][4];
    static char ids[N][16];
    for (int i = 0; i < N; i++) {
        snprintf(ids[i], sizeof ids[i], "%d", i);
        vectors[i][0] = 1;
        vectors[i][1] = (float)i + shift;
        vectors[i][2] = (float)(i % 7) - shift;
        items[i] = (akin_item_input){
            .id = akin_span_of(ids[i]), .vector = vectors[i], .dim = 4};
    }
    must(akin_engine_put(engine, "c", items, N,
                         &(akin_put_options){.create = true}, results, err));
    must(akin_engine_rebuild(engine, "c", NULL, NULL, err));
    return engine;
}

static void check_finds_an_index_of_other_vectors_and_repairs_it(void **state)
{
    (void)state;
    char *dir = scratch_make(), *other = scratch_make();
    akin_engine_close(small_space(other, 0.5f));
    akin_engine *engine = small_space(dir, 3);
    char *right = answer(engine, item_term("9"));
    akin_engine_close(engine);

    /* a sound file at the right place, with vectors of another store */
    char *here = akin_format("%s/index", dir);
    char *there = akin_format("%s/index", other);
    scratch_remove(here);
    assert_int_equal(rename(there, here), 0);
    engine = open_engine(dir, NULL);
    akin_check_report report;
    must(akin_engine_check(engine, NULL, false, NULL, NULL, &report, err));
    assert_true(report.problems > 100 && report.repaired == 0);
    assert_non_null(strstr(report.messages[0], "not in the index as stored"));
    akin_check_report_clear(&report);
    must(akin_engine_check(engine, "c", true, NULL, NULL, &report, err));
    assert_true(report.repaired > 100);
    akin_check_report_clear(&report);
    must_be_clean(engine);
    char *repaired = answer(engine, item_term("9"));
    assert_string_equal(repaired, right);
    akin_engine_close(engine);
    scratch_remove(dir);
    scratch_remove(other);
    akin_free(right);
    akin_free(repaired);
    akin_free(here);
    akin_free(there);
    akin_free(dir);
    akin_free(other);
}

/* What int8 makes of this model is compared with float32 first; too far, and
 * the engine must not store it under the model's fingerprint. */
static void a_precision_too_far_from_float32_is_refused(void **state)
{
    (void)state;
    akin_model *model;
    akin_encoder *encoder;
    akin_encoder_options options = {.precision = AKIN_PRECISION_INT8};
    akin_error error;
    must(akin_model_open(TINY, &model, err));
    if (akin_encoder_open(model, &options, &encoder, &error)) {
        akin_model_close(model);
        print_message("no int8 on this processor: %s\n", error.message);
        skip();
    }
    assert_true(akin_encoder_cosine(encoder) < 0.999f);
    akin_encoder_close(encoder);
    akin_model_close(model);

    char *dir = scratch_make();
    akin_config *config;
    akin_engine *engine;
    float *vector = NULL;
    uint32_t dim;
    must(akin_config_open(&config, err));
    must(akin_config_set(config, "encoder.precision", "int8", err));
    akin_engine_options open = {
        .data_dir = dir, .model_dir = TINY, .config = config};
    must(akin_engine_open(&open, &engine, err));
    assert_int_equal(akin_engine_embed_text(engine, NULL, akin_span_of("a cat"),
                                            &vector, &dim, &error),
                     AKIN_UNSUPPORTED);
    assert_non_null(strstr(error.message, "int8"));
    akin_engine_close(engine);
    akin_config_close(config);
    scratch_remove(dir);
    akin_free(dir);
}

/* Figures are asked for while an encoder opens, which takes seconds. */
static void figures_do_not_wait_for_an_encoder(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, TINY);
    akin_encoder_state encoders[2];
    akin_engine_stats stats;
    akin__model *model;
    float vector[2][1024];

    must(akin__model_get(engine, TINY, &model, err));
    must(akin__embed_query_text(model, akin_span_of("a"), vector[0], err));
    alarm(100);                       /* what waits here waits for ever */
    pthread_mutex_lock(&model->lock); /* another lane is being opened */
    akin_engine_get_stats(engine, &stats);
    assert_int_equal(stats.encode_queue, 0);
    assert_int_equal(akin_engine_encoders(engine, encoders, 2), 1);
    assert_string_equal(encoders[0].model, model->info->name);
    must(akin__embed_query_text(model, akin_span_of("b"), vector[1], err));
    pthread_mutex_unlock(&model->lock);
    alarm(0);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_fingerprints_never_meet),
        cmocka_unit_test(a_change_of_model_is_like_starting_with_it),
        cmocka_unit_test(what_a_change_of_model_left_goes_with_the_next_call),
        cmocka_unit_test(two_changes_of_model_do_not_meet),
        cmocka_unit_test(
            a_picture_without_its_file_is_embedded_from_its_thumbnail),
        cmocka_unit_test(indexes_are_rebuilt_from_the_store),
        cmocka_unit_test(check_finds_an_index_of_other_vectors_and_repairs_it),
        cmocka_unit_test(a_precision_too_far_from_float32_is_refused),
        cmocka_unit_test(figures_do_not_wait_for_an_encoder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
