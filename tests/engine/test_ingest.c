/* Folders and catalogues: what is read, what is skipped, going on after a
 * cancel and after kill -9. */
#include "harness.h"

#include "internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <utime.h>

static akin_report ingest(akin_engine *engine, const char *path,
                          akin_ingest options)
{
    akin_report report;
    options.paths = &path;
    options.npaths = 1;
    must(akin_engine_ingest(engine, "c", &options, NULL, NULL, &report, err));
    return report;
}

static void folders_are_read_once(void **state)
{
    (void)state;
    enum { N = 30 };
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    char path[512];
    uint8_t picture[PICTURE_BYTES] = {0};
    make_folder(folder, N);
    snprintf(path, sizeof path, "%s/0/broken.jpg", folder);
    write_file(path, "\xff\xd8 nothing", 10);
    snprintf(path, sizeof path, "%s/0/notes.txt", folder);
    write_file(path, "not a picture", 13);
    snprintf(path, sizeof path, "%s/.hidden.ppm", folder);
    write_file(path, picture, make_picture(99, picture, sizeof picture));
    snprintf(path, sizeof path, "%s/0/no-extension", folder);
    write_file(path, picture, make_picture(98, picture, sizeof picture));
    snprintf(path, sizeof path, "%s/loop", folder);
    assert_int_equal(symlink(folder, path), 0);

    akin_engine *engine = open_engine(data, STARTER);
    akin_report report = ingest(engine, folder, (akin_ingest){0});
    assert_int_equal(report.progress.added, N + 1);
    assert_int_equal(report.progress.failed, 1);
    assert_int_equal(report.progress.done, N + 2);
    assert_int_equal(report.progress.total, N + 2);
    assert_int_equal(report.nfailures, 1);
    assert_non_null(strstr(report.failures[0].what, "0/broken.jpg"));
    akin_report_clear(&report);

    akin_item_info info;
    must(akin_engine_get(engine, "c", akin_span_of("2/020.ppm"), &info, err));
    assert_non_null(strstr(info.attributes, "\"folder\":\"2\""));
    assert_non_null(strstr(info.attributes, "\"width\":64"));
    assert_non_null(strstr(info.attributes, "\"format\":\"ppm\""));
    assert_non_null(strstr(info.path, "/pictures/2/020.ppm"));
    akin_item_info_clear(&info);

    akin_engine_stats before, after;
    akin_engine_get_stats(engine, &before);
    report = ingest(engine, folder, (akin_ingest){.follow_links = true});
    assert_int_equal(report.progress.skipped, N + 1);
    assert_int_equal(report.progress.added + report.progress.updated, 0);
    akin_report_clear(&report);
    akin_engine_get_stats(engine, &after);
    assert_int_equal(after.encoder_items, before.encoder_items);

    /* what a user set beside stays when the picture changes */
    must(akin_engine_set_attributes(engine, "c", akin_span_of("2/020.ppm"),
                                    akin_span_of("{\"mine\":1,\"width\":3}"),
                                    err));
    snprintf(path, sizeof path, "%s/2/020.ppm", folder);
    write_file(path, picture, make_picture(500, picture, sizeof picture));
    struct utimbuf old = {1000000000, 1000000000};
    assert_int_equal(utime(path, &old), 0);
    report = ingest(engine, folder, (akin_ingest){.hidden = true});
    assert_int_equal(report.progress.updated, 1);
    assert_int_equal(report.progress.added, 1); /* .hidden.ppm */
    akin_report_clear(&report);
    must(akin_engine_get(engine, "c", akin_span_of("2/020.ppm"), &info, err));
    assert_non_null(strstr(info.attributes, "\"mine\":1"));
    assert_non_null(strstr(info.attributes, "\"width\":64"));
    assert_non_null(strstr(info.attributes, "2001-09-09T01:46:40Z"));
    akin_item_info_clear(&info);

    /* another time on the same bytes: read, but nothing encoded */
    akin_engine_get_stats(engine, &before);
    old.modtime++;
    assert_int_equal(utime(path, &old), 0);
    report = ingest(engine, folder, (akin_ingest){.hidden = true});
    assert_int_equal(report.progress.reused, 1);
    akin_report_clear(&report);
    report = ingest(engine, folder, (akin_ingest){.hidden = true});
    assert_int_equal(report.progress.reused, 0);
    akin_report_clear(&report);
    akin_engine_get_stats(engine, &after);
    assert_int_equal(after.encoder_items, before.encoder_items);

    /* prune removes what is gone, and only that */
    assert_int_equal(unlink(path), 0);
    report = ingest(engine, folder, (akin_ingest){.prune = true});
    akin_report_clear(&report);
    assert_int_equal(count_items(engine, "c"), N + 1);
    assert_int_equal(
        akin_engine_exists(engine, "c", akin_span_of("2/020.ppm"), NULL),
        AKIN_NOT_FOUND);
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

static void two_folders_do_not_overwrite_each_other(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *a = akin_format("%s/a", dir), *b = akin_format("%s/b", dir);
    char *data = akin_format("%s/data", dir);
    make_folder(a, 3);
    make_folder(b, 3);
    akin_engine *engine = open_engine(data, STARTER);
    akin_report report = ingest(engine, a, (akin_ingest){0});
    assert_int_equal(report.progress.added, 3);
    akin_report_clear(&report);
    report = ingest(engine, b, (akin_ingest){0});
    assert_int_equal(report.progress.failed, 3);
    assert_non_null(strstr(report.failures[0].message, "taken"));
    akin_report_clear(&report);
    /* a folder that moved is the same folder */
    char *moved = akin_format("%s/moved", dir);
    assert_int_equal(rename(a, moved), 0);
    report = ingest(engine, moved, (akin_ingest){0});
    assert_int_equal(report.progress.failed, 0);
    akin_report_clear(&report);
    assert_int_equal(count_items(engine, "c"), 3);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(a);
    akin_free(b);
    akin_free(moved);
    akin_free(data);
    akin_free(dir);
}

/* As a put leaves an item that was removed between its look at it and its write:
 * with the hash and the embedding of the bytes, and nothing else of them. */
static void strip(akin_engine *engine, const char *id)
{
    akin__collection *c;
    akin_item old = {0};
    akin_span gone = akin_span_of(id);
    size_t removed;

    must(akin__collection_find(engine, "c", &c, err));
    must(akin_storage_get(engine->storage, c->num, gone, AKIN_WITH_VECTORS,
                          &old, err));
    must(akin_engine_remove(engine, "c", &gone, 1, &removed, err));
    akin_item_data item = {.id = gone,
                           .source = old.source,
                           .source_mtime_ns = old.source_mtime_ns,
                           .source_size = old.source_size,
                           .content_hash = old.content_hash,
                           .vectors[0] = old.vectors[0]};
    akin_write op = {
        .kind = AKIN_WRITE_PUT, .collection = c->num, .item = &item};
    must(akin_storage_write(engine->storage, &op, 1, NULL, err));
    akin_item_clear(&old);
    akin__collection_release(c);
}

/* It had no size, no thumbnail and no duplicates, and every later add passed it
 * over. */
static void what_a_put_could_not_see_is_seen_by_the_next(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    const char *id = "0/001.ppm";
    uint8_t picture[PICTURE_BYTES] = {0};
    akin_put_result result;
    akin_item_info info;
    akin_buf thumb = {0};

    make_folder(folder, 2);
    akin_engine *engine = open_engine(data, STARTER);
    akin_report report = ingest(engine, folder, (akin_ingest){0});
    akin_report_clear(&report);
    for (int bytes = 0; bytes < 2; bytes++) {
        strip(engine, id);
        if (bytes) {
            akin_item_input item = {.id = akin_span_of(id)};
            item.picture =
                (akin_span){picture, make_picture(2, picture, sizeof picture)};
            must(akin_engine_put(engine, "c", &item, 1, NULL, &result, err));
            assert_int_equal(result.outcome, AKIN_PUT_UPDATED);
            assert_true(result.reused);
        } else {
            report = ingest(engine, folder, (akin_ingest){0});
            assert_int_equal(report.progress.updated, 1);
            assert_int_equal(report.progress.skipped, 1);
            akin_report_clear(&report);
        }
        must(akin_engine_get(engine, "c", akin_span_of(id), &info, err));
        assert_int_equal(info.width, 64);
        akin_item_info_clear(&info);
        must(akin_engine_thumbnail(engine, "c", akin_span_of(id), &thumb, err));
        akin_buf_clear(&thumb);
    }
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

static void catalogues_carry_captions_and_attributes(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *pictures = akin_format("%s/pictures", dir);
    char *csv = akin_format("%s/shop.csv", dir);
    char *jsonl = akin_format("%s/shop.jsonl", dir);
    char *data = akin_format("%s/data", dir);
    make_folder(pictures, 3);
    static const char rows[] =
        "\xef\xbb\xbfid,image,title,price,sold,code,note\r\n"
        "one,pictures/0/000.ppm,\"A \"\"red\"\" shoe, left\",12.5,true,007,\r\n"
        "two,pictures/0/001.ppm,Hat,-3,FALSE,1e3,\"two\nlines\"\n"
        "\n"
        "three,pictures/0/missing.ppm,Gone,1,false,x,\n"
        "four,,Only words,9,false,x,y\n"
        ",,nothing,1,false,x,y\n"
        "five,http://example.org/a.jpg,Web,1,false,x,y\n"
        "six,pictures/0/002.ppm,too,many,cells,in,this,row\n"
        "seven,pictures/0/002.ppm,\xff,1,false,x,y\n";
    write_file(csv, rows, sizeof rows - 1);
    static const char lines[] =
        "{\"id\": 8, \"image\": \"pictures/0/002.ppm\", \"caption\": \"Scarf\","
        " \"tags\": [\"wool\", \"red\"], \"maker\": {\"city\": \"Bonn\"}}\n"
        "not json\n"
        "[1]\n"
        "{\"id\": \"nine\", \"text\": \"words\", \"title\": \"Title\"}\r\n";
    write_file(jsonl, lines, sizeof lines - 1);

    akin_engine *engine = open_engine(data, STARTER);
    akin_report report = ingest(engine, csv, (akin_ingest){0});
    assert_int_equal(report.progress.added, 3);
    assert_int_equal(report.progress.failed, 5);
    assert_int_equal(report.nfailures, 5);
    akin_report_clear(&report);

    akin_item_info info;
    must(akin_engine_get(engine, "c", akin_span_of("one"), &info, err));
    assert_string_equal(info.caption, "A \"red\" shoe, left");
    assert_string_equal(info.attributes,
                        "{\"price\":12.5,\"sold\":true,\"code\":\"007\"}");
    akin_item_info_clear(&info);
    must(akin_engine_get(engine, "c", akin_span_of("two"), &info, err));
    assert_string_equal(info.attributes,
                        "{\"price\":-3,\"sold\":false,\"code\":"
                        "1000.0,\"note\":\"two\\nlines\"}");
    akin_item_info_clear(&info);
    must(akin_engine_get(engine, "c", akin_span_of("four"), &info, err));
    assert_true(info.has_caption && !info.has_image);
    akin_item_info_clear(&info);

    report = ingest(engine, csv, (akin_ingest){0});
    assert_int_equal(report.progress.skipped, 3);
    assert_int_equal(report.progress.added + report.progress.updated, 0);
    akin_report_clear(&report);

    report = ingest(engine, jsonl, (akin_ingest){0});
    assert_int_equal(report.progress.added, 2);
    assert_int_equal(report.progress.failed, 2);
    akin_report_clear(&report);
    uint64_t n;
    akin_filter filter = {
        akin_span_of("\"wool\" in .tags and .maker.city == 'Bonn'"), false};
    must(akin_engine_count(engine, "c", filter, &n, err));
    assert_int_equal(n, 1);
    must(akin_engine_get(engine, "c", akin_span_of("nine"), &info, err));
    assert_string_equal(info.caption, "Title");
    assert_string_equal(info.attributes, "{\"text\":\"words\"}");
    akin_item_info_clear(&info);
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(pictures);
    akin_free(csv);
    akin_free(jsonl);
    akin_free(data);
    akin_free(dir);
}

static void vectors_come_from_jsonl_without_a_model(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *jsonl = akin_format("%s/v.jsonl", dir);
    char *data = akin_format("%s/data", dir);
    static const char lines[] = "{\"id\":\"a\",\"vector\":[1,0,0.5]}\n"
                                "{\"id\":\"b\",\"vector\":[0,1,\"x\"]}\n"
                                "{\"id\":\"c\",\"vector\":[0,1,2],\"n\":1}\n";
    write_file(jsonl, lines, sizeof lines - 1);
    akin_engine *engine = open_engine(data, NULL);
    akin_report report = ingest(engine, jsonl, (akin_ingest){0});
    assert_int_equal(report.progress.added, 2);
    assert_int_equal(report.progress.failed, 1);
    akin_report_clear(&report);
    akin_collection_info info;
    must(akin_engine_info(engine, "c", &info, err));
    assert_int_equal(info.dim, 3);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(jsonl);
    akin_free(data);
    akin_free(dir);
}

static void drawings_say_what_they_are(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *folder = akin_format("%s/svg", dir);
    char *data = akin_format("%s/data", dir);
    char path[512];
    static const char svg[] =
        "<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' "
        "width='40' height='40'><metadata><rdf:RDF "
        "xmlns:cc='http://web.resource.org/cc/' "
        "xmlns:dc='http://purl.org/dc/elements/1.1/' "
        "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><cc:Work>"
        "<dc:creator><cc:Agent><dc:title>A Painter</dc:title></cc:Agent>"
        "</dc:creator><dc:title> Red\n  Apple </dc:title><dc:subject>"
        "<rdf:Bag><rdf:li>fruit</rdf:li><rdf:li>caf\xc3\xa9 &amp; "
        "food</rdf:li></rdf:Bag></dc:subject></cc:Work></rdf:RDF></metadata>"
        "<circle cx='20' cy='20' r='15' fill='red'/></svg>";
    assert_int_equal(mkdir(folder, 0755), 0);
    snprintf(path, sizeof path, "%s/x.svg", folder);
    write_file(path, svg, sizeof svg - 1);
    snprintf(path, sizeof path, "%s/green_pear-02.svg", folder);
    static const char bare[] = "<svg xmlns='http://www.w3.org/2000/svg' "
                               "width='40' height='40'><circle cx='20' cy='20' "
                               "r='15' fill='green'/></svg>";
    write_file(path, bare, sizeof bare - 1);

    akin_engine *engine = open_engine(data, STARTER);
    akin_report report = ingest(
        engine, folder, (akin_ingest){.captions = AKIN_CAPTION_FILENAME});
    assert_int_equal(report.progress.added, 2);
    akin_report_clear(&report);
    akin_item_info info;
    must(akin_engine_get(engine, "c", akin_span_of("x.svg"), &info, err));
    assert_string_equal(info.caption, "Red Apple, fruit, caf\xc3\xa9 & food");
    akin_item_info_clear(&info);
    must(akin_engine_get(engine, "c", akin_span_of("green_pear-02.svg"), &info,
                         err));
    assert_string_equal(info.caption, "green pear 02");
    akin_item_info_clear(&info);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

static bool stop_at_some(void *user, const akin_progress *progress)
{
    (void)user;
    return progress->done < 100;
}

static void a_cancelled_ingest_goes_on(void **state)
{
    (void)state;
    enum { N = 600 };
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    make_folder(folder, N);
    akin_config *config;
    must(akin_config_open(&config, err));
    must(akin_config_set(config, "ingest.batch", "16", err));
    akin_engine_options options = {
        .data_dir = data, .model_dir = STARTER, .config = config};
    akin_engine *engine;
    must(akin_engine_open(&options, &engine, err));

    const char *path = folder;
    akin_ingest source = {.paths = &path, .npaths = 1};
    akin_report report;
    akin_error error;
    akin_status rc = akin_engine_ingest(engine, "c", &source, stop_at_some,
                                        NULL, &report, &error);
    /* on a quick machine everything may be done before the first look */
    uint64_t first = report.progress.added;
    assert_true(rc == AKIN_CANCELLED || first == N);
    assert_int_equal(count_items(engine, "c"), first);
    akin_report_clear(&report);
    must(akin_engine_ingest(engine, "c", &source, NULL, NULL, &report, err));
    assert_int_equal(report.progress.skipped, first);
    assert_int_equal(report.progress.added, N - first);
    akin_report_clear(&report);
    akin_engine_stats stats;
    akin_engine_get_stats(engine, &stats);
    assert_true(stats.encoder_items <= N + 3 * 16); /* dropped in the middle */
    must_be_clean(engine);
    akin_engine_close(engine);
    akin_config_close(config);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

/* The child ingests until it is killed without warning. */
static pid_t start_child(const char *data, const char *folder)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid) return pid;
    akin_config *config = NULL;
    akin_engine *engine = NULL;
    akin_report report;
    akin_ingest source = {.paths = &folder, .npaths = 1};
    akin_engine_options options = {.data_dir = data, .model_dir = STARTER};
    if (akin_config_open(&config, NULL)) _exit(3);
    if (akin_config_set(config, "ingest.batch", "8", NULL)) _exit(3);
    options.config = config;
    if (akin_engine_open(&options, &engine, NULL)) _exit(3);
    if (akin_engine_ingest(engine, "c", &source, NULL, NULL, &report, NULL))
        _exit(4);
    _exit(0);
}

static void nothing_is_lost_or_done_twice_after_kill(void **state)
{
    (void)state;
    enum { N = 400 };
    char *dir = scratch_make();
    char *folder = akin_format("%s/pictures", dir);
    char *data = akin_format("%s/data", dir);
    make_folder(folder, N);
    uint64_t last = 0;
    for (int round = 0; round < 3; round++) {
        pid_t pid = start_child(data, folder);
        usleep(150000 + 100000 * (useconds_t)round);
        kill(pid, SIGKILL);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status)) assert_int_equal(WEXITSTATUS(status), 0);

        akin_engine *engine = open_engine(data, STARTER);
        akin_collection_info info;
        if (!akin_engine_info(engine, "c", &info, NULL)) {
            assert_true(info.items >= last);
            last = info.items;
        }
        must_be_clean(engine);
        akin_engine_close(engine);
    }
    akin_engine *engine = open_engine(data, STARTER);
    akin_report report = ingest(engine, folder, (akin_ingest){0});
    assert_int_equal(report.progress.skipped, last);
    assert_int_equal(report.progress.added, N - last);
    assert_int_equal(report.progress.failed, 0);
    akin_report_clear(&report);
    akin_engine_stats stats;
    akin_engine_get_stats(engine, &stats);
    assert_int_equal(stats.encoder_items, N - last);
    assert_int_equal(count_items(engine, "c"), N);
    must_be_clean(engine);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(folder);
    akin_free(data);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_or_done_twice_after_kill),
        cmocka_unit_test(folders_are_read_once),
        cmocka_unit_test(two_folders_do_not_overwrite_each_other),
        cmocka_unit_test(what_a_put_could_not_see_is_seen_by_the_next),
        cmocka_unit_test(catalogues_carry_captions_and_attributes),
        cmocka_unit_test(vectors_come_from_jsonl_without_a_model),
        cmocka_unit_test(drawings_say_what_they_are),
        cmocka_unit_test(a_cancelled_ingest_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
