/* akin dedup --review, through a pseudo-terminal: what it shows, what each key
 * does, and what is remembered. */
#include "dedup_files.h"

#include <pty.h>
#include <termios.h>

/* A person at the terminal: waits until a text has come, then types. */
typedef struct {
    const char *wait, *type;
} turn;

enum { PATIENCE_MS = 60000 };

static char seen[1 << 16];

/* Reads until `text` has come behind `from`; gives where it ends, 0 when the
 * program ended before. */
static size_t wait_for(int fd, const char *text, size_t from, size_t *n)
{
    struct pollfd in = {.fd = fd, .events = POLLIN};
    for (;;) {
        const char *at = text ? strstr(seen + from, text) : NULL;
        if (at) return (size_t)(at - seen) + strlen(text);
        if (poll(&in, 1, PATIENCE_MS) != 1)
            fail_msg("waiting for '%s'; so far:\n%s", text ? text : "the end",
                     seen);
        ssize_t got = read(fd, seen + *n, sizeof seen - 1 - *n);
        if (got <= 0) return 0;
        *n += (size_t)got;
        seen[*n] = 0;
    }
}

/* `akin dedup --review ARGS`, and what the person does. Gives the exit code. */
static int review(const char *args, const turn *turns)
{
    char command[512];
    struct winsize size = {.ws_row = 50, .ws_col = 200};
    struct termios after;
    size_t n = 0, at = 0;
    int fd, status;

    snprintf(command, sizeof command,
             "DIR='%s'; exec '%s' dedup --review --data \"$DIR/data\" %s",
             place.dir, AKIN_PROGRAM, args);
    pid_t pid = forkpty(&fd, NULL, NULL, &size);
    assert_true(pid >= 0);
    if (!pid) {
        unsetenv("AKIN_CONNECT");
        unsetenv("AKIN_DATA");
        setenv("TERM", "dumb", 1);
        execlp("sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    seen[0] = 0;
    for (const turn *t = turns; t->wait; t++) {
        at = wait_for(fd, t->wait, at, &n);
        if (!at) fail_msg("ended before '%s':\n%s", t->wait, seen);
        assert_int_equal(write(fd, t->type, strlen(t->type)),
                         (ssize_t)strlen(t->type));
    }
    wait_for(fd, NULL, 0, &n);
    assert_int_equal(tcgetattr(fd, &after), 0);
    assert_true(after.c_lflag & ICANON && after.c_lflag & ECHO);
    close(fd);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

#define REVIEW(args, ...)                                                      \
    review(args, (const turn[]){__VA_ARGS__, {NULL, NULL}})

static void expect_seen(const char *text)
{
    if (!strstr(seen, text)) fail_msg("expected '%s' in:\n%s", text, seen);
}

/* Two groups: a, b and c, d. */
static void two_groups(void)
{
    copy_to("hat-1.jpg", "a.jpg");
    copy_to("hat-1.jpg", "b.jpg");
    copy_to("shoes-1.jpg", "c.jpg");
    copy_to("shoes-1.jpg", "d.jpg");
}

static void test_take(void **state)
{
    (void)state;
    two_groups();
    assert_int_equal(REVIEW("--keep name $DIR/pictures", {"> ", "\r"},
                            {"taken", ""}, {"> ", "s"}, {"y/n ", "y"}),
                     0);
    expect_seen("1 of 2: exact, kept because: its path sorts first");
    expect_seen("  1   keep ");
    expect_seen("same bytes");
    expect_seen("2 of 2");
    expect_seen("move 1 files");
    expect_seen("1 files moved to the trash");
    assert_false(is_there("b.jpg"));
    assert_true(is_there("a.jpg") && is_there("c.jpg") && is_there("d.jpg"));
    run("--undo", 0, "1 files are back", NULL);
}

static void test_keep_another(void **state)
{
    (void)state;
    two_groups();
    assert_int_equal(REVIEW("--hardlink $DIR/pictures --keep name", {"> ", "7"},
                            {"no such picture", ""}, {"> ", "2"},
                            {"because: you chose it", ""}, {"> ", "\r"},
                            {"> ", "b"}, {"1 of 2 (taken)", ""}, {"> ", "\r"},
                            {"> ", "a"}, {"link 1 files", ""}, {"y/n ", "y"}),
                     0);
    expect_seen("1 files linked");
    struct stat a, b;
    char path[160];
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    assert_int_equal(stat(path, &a), 0);
    snprintf(path, sizeof path, "%s/b.jpg", folder);
    assert_int_equal(stat(path, &b), 0);
    assert_true(a.st_ino == b.st_ino);
    run("--undo", 0, "1 files are back", NULL);

    /* that one goes: the other is kept */
    assert_int_equal(REVIEW("$DIR/pictures --keep name", {"> ", "2"},
                            {"you chose it", ""}, {"> ", "\r"}, {"> ", "a"},
                            {"y/n ", "n"}, {"> ", "\r"}, {"y/n ", "y"}),
                     0);
    expect_seen("2 files moved");
    assert_true(is_there("b.jpg") && is_there("c.jpg"));
    assert_int_equal(count_files(folder), 2);
}

static void test_many(void **state)
{
    (void)state;
    char name[32];
    for (int i = 1; i <= 12; i++) {
        snprintf(name, sizeof name, "%02d.jpg", i);
        copy_to("hat-1.jpg", name);
    }
    assert_int_equal(
        REVIEW("$DIR/pictures --keep name", {"> ", "1"}, {"1", "2"},
               {"because: you chose it", ""}, {"> ", "1"}, {"1", "\r"},
               {"because: you chose it", ""}, {"> ", "12"},
               {"because: you chose it", ""}, {"> ", "\r"}, {"y/n ", "y"}),
        0);
    expect_seen("11 files moved");
    assert_true(is_there("12.jpg"));
}

/* Nothing is touched; the terminal reads lines and echoes again. */
static void test_quit(void **state)
{
    (void)state;
    two_groups();
    assert_int_equal(REVIEW("$DIR/pictures", {"> ", "\r"}, {"> ", "q"}), 0);
    expect_seen("nothing was changed");
    assert_int_equal(REVIEW("$DIR/pictures", {"> ", "\r"}, {"> ", "\003"}),
                     130);
    assert_int_equal(REVIEW("$DIR/pictures", {"> ", "s"}, {"> ", "s"}), 0);
    expect_seen("nothing was taken");
    assert_int_equal(REVIEW("$DIR/pictures", {"> ", "?"}, {"q quit", ""},
                            {"> ", "v"}, {"group.html", ""}, {"> ", "q"}),
                     0);
    assert_int_equal(count_files(folder), 4);

    char path[160];
    snprintf(path, sizeof path, "%s/data/dedup/group.html", place.dir);
    char *page = slurp(path);
    assert_non_null(strstr(page, "/pictures/b.jpg"));
    assert_null(strstr(page, "/pictures/c.jpg"));
    free(page);
    run("--review $DIR/pictures", 0, "kept because", "asks on a terminal");
    run("--undo", 1, NULL, "nothing to undo");
}

/* No duplicates: for these, for other folders with the same pictures, and when
 * the index is gone. */
static void test_dismiss(void **state)
{
    (void)state;
    copy_to("shoes-1.jpg", "a.jpg");
    copy_to("../formats/shoes.webp", "b.webp");
    assert_int_equal(
        REVIEW("$DIR/pictures", {"> ", "d"}, {"no duplicates; remembered", ""}),
        0);
    expect_seen("nothing was taken");
    run("$DIR/pictures", 1, "0 groups", NULL);

    char other[96], data[160];
    make_folder(other, sizeof other, &place, "other");
    run("$DIR/pictures $DIR/other", 1, "0 groups", NULL);
    static const char *const index[] = {"akin.db", "akin.db-wal", "akin.db-shm",
                                        "thumbs.db", "index"};
    for (size_t i = 0; i < sizeof index / sizeof *index; i++) {
        snprintf(data, sizeof data, "%s/data/%s", place.dir, index[i]);
        assert_int_equal(akin_dir_remove(data, NULL), AKIN_OK);
    }
    run("$DIR/pictures", 1, "2 pictures, 0 groups", NULL);
    copy_to("shoes-1.jpg", "copy.jpg"); /* of one of them */
    run("$DIR/pictures", 0, "3 pictures, 1 groups of duplicates; 1 files", "");
}

/* One of three is another picture; and a dismissal that is taken back at once. */
static void test_dismiss_one(void **state)
{
    (void)state;
    copy_to("shoes-1.jpg", "a.jpg");
    copy_to("shoes-1.jpg", "b.jpg");
    copy_to("../formats/shoes.webp", "c.webp");
    copy_to("hat-1.jpg", "y.jpg");
    copy_to("hat-1.jpg", "z.jpg");
    assert_int_equal(REVIEW("$DIR/pictures --keep name", {"> ", "n"},
                            {"of the others? ", "3"}, {"1 of 2", ""},
                            {"b.jpg", ""}, {"> ", "d"}, {"2 of 2", ""},
                            {"> ", "b"}, {"1 of 2 (no duplicates)", ""},
                            {"> ", "d"}, {"may be duplicates again", ""},
                            {"> ", "\r"}, {"> ", "d"}, {"y/n ", "y"}),
                     0);
    expect_seen("1 files moved");
    assert_false(is_there("b.jpg"));
    run("--undo", 0, "1 files are back", NULL);
    run("$DIR/pictures", 0, "5 pictures, 1 groups of duplicates; 1 files",
        NULL); /* a and b; not c, not the hats */
    run("$DIR/pictures --json", 0, "b.jpg", NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_take), TEST(test_keep_another), TEST(test_many),
        TEST(test_quit), TEST(test_dismiss),      TEST(test_dismiss_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
