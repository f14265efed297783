/* The options table and every way into it. */
#include "harness.h"

static void rows_are_sound(void **state)
{
    (void)state;
    size_t n;
    const akin_option *rows = akin_options(&n);
    akin_config *config;
    must(akin_config_open(&config, err)); /* parses every default */
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(akin_option_find(rows[i].name), &rows[i]);
        assert_true(strlen(rows[i].help) > 5);
        assert_false(akin_config_is_set(config, rows[i].name));
    }
    assert_ptr_equal(akin_option_find("AKIN_INDEX_RECALL"),
                     akin_option_find("index-recall"));
    assert_null(akin_option_find("index"));
    akin_config_close(config);
}

static void values_are_checked(void **state)
{
    (void)state;
    akin_config *config;
    akin_error error;
    char text[64];
    must(akin_config_open(&config, err));
    must(akin_config_set(config, "index.memory", "1g", err));
    assert_int_equal(akin_config_uint(config, "index.memory"), 1u << 30);
    must(akin_config_set(config, "index.recall", "0.9", err));
    assert_true(fabs(akin_config_real(config, "index.recall") - 0.9) < 1e-12);
    must(akin_config_set(config, "index.auto", "off", err));
    assert_false(akin_config_bool(config, "index.auto"));
    assert_string_equal(
        akin_config_text(config, "index.auto", text, sizeof text), "no");
    static const char *const bad[][2] = {
        {"index.memory", "1"},        {"index.memory", "1.5x"},
        {"index.memory", "-1"},       {"index.recall", "2"},
        {"index.recall", "nan"},      {"index.auto", "maybe"},
        {"encoder.precision", "f64"}, {"encoder.batch", "1.5"},
        {"encoder.batch", ""}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(akin_config_set(config, bad[i][0], bad[i][1], &error),
                         AKIN_INVALID);
        assert_non_null(strstr(error.message, bad[i][0]));
    }
    assert_int_equal(akin_config_set(config, "index.memry", "1G", &error),
                     AKIN_NOT_FOUND);
    assert_non_null(strstr(error.message, "index.memory"));
    must(akin_config_set_live(config, "index.auto", "yes", err));
    assert_int_equal(akin_config_set_live(config, "threads", "2", &error),
                     AKIN_DENIED);
    akin_config_close(config);
}

static void sources_are_read(void **state)
{
    (void)state;
    char *dir = scratch_make();
    char *path = akin_format("%s/akin.conf", dir);
    akin_config *config;
    akin_error error;
    static const char good[] = "# comment\n\n  threads = 3 \r\n"
                               "data = \"/some where\"\nencoder.batch=7";
    write_file(path, good, sizeof good - 1);
    must(akin_config_open(&config, err));
    must(akin_config_load(config, path, err));
    char text[64];
    assert_int_equal(akin_config_uint(config, "threads"), 3);
    assert_int_equal(akin_config_uint(config, "encoder.batch"), 7);
    assert_string_equal(akin_config_text(config, "data", text, sizeof text),
                        "/some where");
    write_file(path, "threads = 3\nthreads 4\n", 22);
    assert_int_equal(akin_config_load(config, path, &error), AKIN_INVALID);
    assert_non_null(strstr(error.message, "akin.conf:2"));
    assert_int_equal(akin_config_load(config, "/no/such", &error),
                     AKIN_NOT_FOUND);

    setenv("AKIN_ENCODER_BATCH", "9", 1);
    setenv("AKIN_NO_SUCH_THING", "9", 1);
    must(akin_config_environment(config, err));
    assert_int_equal(akin_config_uint(config, "encoder.batch"), 9);
    setenv("AKIN_ENCODER_BATCH", "none", 1);
    assert_int_equal(akin_config_environment(config, &error), AKIN_INVALID);
    unsetenv("AKIN_ENCODER_BATCH");

    char *argv[] = {
        "akin",    "search", "--threads",       "5",  "--limit",   "3",
        "--data=", "-x",     "--no-index-auto", "--", "--threads", NULL};
    int argc = 11;
    must(akin_config_args(config, &argc, argv, err));
    assert_int_equal(argc, 7);
    assert_string_equal(argv[2], "--limit");
    assert_string_equal(argv[4], "-x");
    assert_string_equal(argv[6], "--threads");
    assert_null(argv[7]);
    assert_int_equal(akin_config_uint(config, "threads"), 5);
    assert_false(akin_config_bool(config, "index.auto"));
    char *missing[] = {"akin", "--threads", NULL};
    argc = 2;
    assert_int_equal(akin_config_args(config, &argc, missing, &error),
                     AKIN_INVALID);
    akin_config_close(config);
    scratch_remove(dir);
    akin_free(path);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sound),
        cmocka_unit_test(values_are_checked),
        cmocka_unit_test(sources_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
