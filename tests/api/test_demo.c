/* akin demo, on a folder of three drawings. */
#include "served.h"

typedef struct {
    served s; /* no server of its own: the paths */
    char cache[48], folder[48], out[48], page[48];
} stage;

static stage t;

/* Also of a test that failed: a server that was kept ends. */
static int clear_stage(void **state)
{
    (void)state;
    int fd = t.s.socket[0] ? try_connect(&t.s) : -1;
    if (fd >= 0) {
        send_text(fd, "SHUTDOWN\r\n");
        close(fd);
    }
    served_clear(&t.s);
    return 0;
}

static void write_drawing(const char *name, const char *fill)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s.svg", t.folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "<svg xmlns='http://www.w3.org/2000/svg' width='64' height='64'>"
            "<rect width='64' height='64' fill='%s'/>"
            "<circle cx='32' cy='32' r='20'/></svg>",
            fill);
    fclose(f);
}

static void set_stage(void)
{
    memset(&t, 0, sizeof t);
    served_paths(&t.s);
    snprintf(t.cache, sizeof t.cache, "%s/cache", t.s.dir);
    snprintf(t.folder, sizeof t.folder, "%s/pictures", t.s.dir);
    snprintf(t.out, sizeof t.out, "%s/out", t.s.dir);
    snprintf(t.page, sizeof t.page, "%s/page.html", t.s.dir);
    assert_int_equal(mkdir(t.folder, 0700), 0);
    write_drawing("red", "red");
    write_drawing("blue", "blue");
    write_drawing("green", "green");
    setenv("XDG_CACHE_HOME", t.cache, 1);
}

/* Runs it; gives its exit status and what it printed, for free. */
static int demo(const char *folder, const char *keep, char **printed)
{
    const char *argv[] = {AKIN_PROGRAM, "demo",        folder, "--port",
                          "0",          "--http-port", "0",    "--out",
                          t.page,       keep,          NULL};
    int status;
    pid_t pid = spawn(&t.s, argv, t.out);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    FILE *f = fopen(t.out, "r");
    assert_non_null(f);
    *printed = calloc(1, 65536);
    assert_non_null(*printed);
    assert_true(fread(*printed, 1, 65535, f) < 65535);
    fclose(f);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The socket of the demo's data, which its last lines name. */
static void find_socket(const char *printed)
{
    const char *data = strstr(printed, "--data ");
    assert_non_null(data);
    snprintf(t.s.socket, sizeof t.s.socket, "%.*s/akin.sock",
             (int)strcspn(data + 7, " "), data + 7);
}

static void it_asks_and_leaves_nothing_running(void **state)
{
    char *printed;
    (void)state;
    set_stage();
    assert_int_equal(demo(t.folder, NULL, &printed), 0);
    assert_non_null(strstr(printed, "$ akin add "));
    assert_non_null(strstr(printed, "3 added"));
    assert_non_null(strstr(printed, "$ akin search --limit 5 \"red car\""));
    assert_non_null(strstr(printed, "red.svg"));
    assert_non_null(strstr(printed, "The gallery, when --keep leaves the "
                                    "server running: http://127.0.0.1:"));
    assert_int_equal(access(t.page, R_OK), 0);
    find_socket(printed);
    assert_int_equal(try_connect(&t.s), -1);
    free(printed);
}

static void kept_it_goes_on_and_is_found_again(void **state)
{
    char *printed, *again;
    (void)state;
    set_stage();
    assert_int_equal(demo(t.folder, "--keep", &printed), 0);
    find_socket(printed);
    const char *gallery = strstr(printed, "The gallery: http://127.0.0.1:");
    assert_non_null(gallery);
    assert_true(gallery[30] >= '1' && gallery[30] <= '9');
    assert_int_equal(demo(t.folder, NULL, &again), 0);
    assert_non_null(strstr(again, "a server has these data open already"));
    assert_non_null(strstr(again, "3 unchanged"));
    assert_non_null(strstr(again, gallery)); /* the same */
    int fd = dial(&t.s);
    expect_reply(fd, "VCARD default", ":3\n");
    expect_reply(fd, "SHUTDOWN", "+OK\n");
    expect_closed(fd);
    close(fd);
    while ((fd = try_connect(&t.s)) >= 0) { /* until the socket is gone */
        close(fd);
        nap_ms(20);
    }
    free(printed);
    free(again);
}

static void without_drawings_it_says_where_they_are(void **state)
{
    char *printed;
    (void)state;
    set_stage();
    assert_int_equal(demo("/nonexistent", NULL, &printed), 3);
    free(printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(it_asks_and_leaves_nothing_running,
                                  clear_stage),
        cmocka_unit_test_teardown(kept_it_goes_on_and_is_found_again,
                                  clear_stage),
        cmocka_unit_test_teardown(without_drawings_it_says_where_they_are,
                                  clear_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
