/* akin dedup --apply, killed with SIGKILL at every moment at which something
 * changes on disk, then --undo; and --undo killed in the same way. Every time
 * every picture is somewhere, and in the end everything is as it was. */
#include "dedup_files.h"

#define MOMENTS 200 /* more than there are */

static bool sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true; /* their runtime wants to be the first library */
#else
    return false;
#endif
}

/* Runs akin dedup; killed at that moment (0: not). Whether it was. */
static bool run_until(const char *args, int moment)
{
    char command[1024];
    snprintf(command, sizeof command,
             "exec env LD_PRELOAD='%s' AKIN_KILL_AT=%d "
             "'%s' dedup -q --data '%s' %s",
             AKIN_KILL_LIBRARY, moment, AKIN_PROGRAM, place.data, args);
    const char *argv[] = {"sh", "-c", command, NULL};
    int status;
    pid_t pid = spawn(&place, argv, NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status)) {
        assert_int_equal(WTERMSIG(status), SIGKILL);
        return true;
    }
    return false;
}

static bool is_photo(const char *path)
{
    uint8_t *data, *photo;
    size_t size, photo_size;
    if (akin_file_read(path, 1 << 24, &data, &size, NULL)) return false;
    assert_int_equal(
        akin_file_read(PHOTOS "hat-1.jpg", 1 << 24, &photo, &photo_size, NULL),
        0);
    bool same = size == photo_size && !memcmp(data, photo, size);
    akin_free(data);
    akin_free(photo);
    return same;
}

static bool photo_at(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return is_photo(path);
}

/* The two pictures and nothing else, as two files. */
static void expect_whole(const char *when, int moment)
{
    char path[256];
    struct stat a, b;
    bool fine = photo_at("a.jpg") && photo_at("b.jpg");
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    fine = fine && !stat(path, &a);
    snprintf(path, sizeof path, "%s/b.jpg", folder);
    fine = fine && !stat(path, &b);
    if (!fine || a.st_ino == b.st_ino || count_files(folder) != 2)
        fail_msg("%s at moment %d: not what was there", when, moment);
}

static void everywhere(const char *action)
{
    char args[512];
    int n = 0;
    snprintf(args, sizeof args, "--apply %s --prefer '%s/a' '%s'", action,
             folder, folder);
    copy_to("hat-1.jpg", "a.jpg");
    copy_to("hat-1.jpg", "b.jpg");
    run("$DIR/pictures", 0, "1 groups", NULL);
    for (int moment = 1; moment < MOMENTS; moment++) {
        bool killed = run_until(args, moment);
        if (!photo_at("a.jpg")) fail_msg("moment %d: the kept one", moment);
        run_until("--undo", 0);
        expect_whole("apply", moment);
        n += killed;
        if (!killed) break;
    }
    assert_true(n >= 6 && n < MOMENTS - 1);
    print_message("%s: killed at %d moments of --apply", action, n);
    n = 0;
    for (int moment = 1; moment < MOMENTS; moment++) {
        run_until(args, 0);
        bool killed = run_until("--undo", moment);
        run_until("--undo", 0);
        expect_whole("undo", moment);
        n += killed;
        if (!killed) break;
    }
    assert_true(n >= 4 && n < MOMENTS - 1);
    print_message(", at %d of --undo\n", n);
}

static void test_trash(void **state)
{
    (void)state;
    if (sanitized()) skip();
    everywhere("--keep name");
}

static void test_hardlink(void **state)
{
    (void)state;
    if (sanitized()) skip();
    everywhere("--hardlink");
}

static void test_delete(void **state)
{
    (void)state;
    if (sanitized()) skip();
    everywhere("--delete");
}

/* The trash on another file system: a copy, then an unlink. */
static void test_other_device(void **state)
{
    (void)state;
    char action[160], other[] = "/dev/shm/akin-test-XXXXXX";
    struct stat here, there;
    if (sanitized() || !mkdtemp(other)) skip();
    if (stat(place.dir, &here) || stat(other, &there) ||
        here.st_dev == there.st_dev) {
        rmdir(other);
        skip();
    }
    snprintf(action, sizeof action, "--trash %s/bin", other);
    everywhere(action);
    assert_int_equal(akin_dir_remove(other, NULL), AKIN_OK);
}

/* The items of a collection, without the times of their rows, which --undo does
 * not bring back. */
static char *items(void)
{
    char *out, *err, *to;
    assert_int_equal(
        akin(&place, "get --data \"$DIR/data\" -c shop A B", &out, &err), 0);
    free(err);
    to = out;
    for (char *line = out, *next; *line; line = next) {
        next = line + strcspn(line, "\n");
        next += *next == '\n';
        if (!strncmp(line, "added", 5) || !strncmp(line, "changed", 7))
            continue;
        memmove(to, line, (size_t)(next - line));
        to += next - line;
    }
    *to = 0;
    return out;
}

/* Of a collection: merging, the file, the item. */
static void test_collection(void **state)
{
    (void)state;
    if (sanitized()) skip();
    char path[160];
    int n = 0;
    copy_to("hat-1.jpg", "a.jpg");
    copy_to("hat-1.jpg", "b.jpg");
    snprintf(path, sizeof path, "%s/shop.csv", place.dir);
    assert_int_equal(
        akin_file_replace(path,
                          akin_span_of("id,image,caption,tags,price\n"
                                       "A,pictures/a.jpg,a hat,red,\n"
                                       "B,pictures/b.jpg,red hat,wool,9\n"),
                          NULL),
        0);
    also("add -c shop -q $DIR/shop.csv", NULL);
    char *before = items();
    assert_non_null(strstr(before, "red hat"));
    for (int moment = 1; moment < MOMENTS; moment++) {
        char args[160];
        snprintf(args, sizeof args, "-c shop --apply --prefer '%s/a'", folder);
        bool killed = run_until(args, moment);
        if (!killed) assert_false(photo_at("b.jpg"));
        run_until("--undo", 0);
        expect_whole("apply", moment);
        char *after = items();
        if (strcmp(before, after) != 0)
            fail_msg("moment %d:\n%s\nnow:\n%s", moment, before, after);
        free(after);
        n += killed;
        if (!killed) break;
    }
    free(before);
    assert_true(n >= 6 && n < MOMENTS - 1);
    print_message("a collection: killed at %d moments\n", n);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_trash), TEST(test_hardlink), TEST(test_delete),
        TEST(test_other_device), TEST(test_collection)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
