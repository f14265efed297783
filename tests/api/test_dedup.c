/* akin dedup: what it prints, does, refuses, and takes back; also when it was
 * killed in the middle. */
#include "akin_base.h"
#include "pictures.h"

#include <dirent.h>
#include <time.h>

#define PHOTOS AKIN_TESTS "/data/pictures/photos/"

static served place;
static char folder[96];

static int setup(void **state)
{
    (void)state;
    served_paths(&place);
    make_folder(folder, sizeof folder, &place, "pictures");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    served_clear(&place);
    return 0;
}

static void copy_to(const char *photo, const char *name)
{
    char from[512], to[256];
    uint8_t *data;
    size_t size;
    akin_error err;
    snprintf(from, sizeof from, PHOTOS "%s", photo);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    assert_int_equal(akin_file_read(from, 1 << 24, &data, &size, &err), 0);
    assert_int_equal(akin_file_replace(to, (akin_span){data, size}, &err), 0);
    akin_free(data);
}

static int count_files(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));)
        n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

static bool is_there(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return !access(path, F_OK);
}

static void run(const char *args, int code, const char *out, const char *err)
{
    char *got, *said, all[512];
    snprintf(all, sizeof all, "dedup --data \"$DIR/data\" %s", args);
    int status = akin(&place, all, &got, &said);
    if (status != code || (out && !strstr(got, out)) ||
        (err && !strstr(said, err)))
        fail_msg("%s: exit %d, expected %d\n%s%s", args, status, code, got,
                 said);
    free(got);
    free(said);
}

static void three_pictures(void)
{
    copy_to("hat-1.jpg", "a.jpg");
    copy_to("hat-1.jpg", "b.jpg");
    copy_to("shoes-1.jpg", "c.jpg");
}

static void test_usage(void **state)
{
    (void)state;
    run("", 2, NULL, "expected PATH");
    run("--level close $DIR/pictures", 2, NULL, "exact, near or similar");
    run("--delete $DIR/pictures", 2, NULL, "go with --apply");
    run("--apply --delete --hardlink $DIR/pictures", 2, NULL, "one of");
    run("--apply --level similar $DIR/pictures", 2, NULL, "not duplicates");
    run("--keep best $DIR/pictures", 2, NULL, "is called 'best'");
    run("--keep path $DIR/pictures", 2, NULL, "wants a value");
    run("$DIR/nothing", 3, NULL, "cannot read");
    run("--undo", 1, NULL, "nothing to undo");
    run("$DIR/pictures", 1, "0 groups", NULL);
}

static void test_dry_run(void **state)
{
    (void)state;
    char path[160];
    three_pictures();
    snprintf(path, sizeof path, "%s/bad.jpg", folder);
    assert_int_equal(akin_file_replace(path, akin_span_of("no"), NULL), 0);
    run("$DIR/pictures", 0, "1 groups of duplicates; 1 files", "bad.jpg: ");
    run("--json $DIR/pictures", 0, "\"same\": \"bytes\"", NULL);
    run("--keep 'avoid:*/a.*' $DIR/pictures", 0,
        "kept because: its path is not like */a.*", NULL);
    run("--html $DIR/page.html --prefer $DIR/pictures/b $DIR/pictures", 0,
        "its path begins with", NULL);
    snprintf(path, sizeof path, "%s/page.html", place.dir);
    char *page = slurp(path);
    assert_non_null(strstr(page, "/pictures/a.jpg"));
    assert_null(strstr(page, "/pictures/c.jpg"));
    free(page);
    assert_int_equal(count_files(folder), 4);
}

static void test_trash(void **state)
{
    (void)state;
    three_pictures();
    run("--apply --prefer $DIR/pictures/b $DIR/pictures", 0, "1 files moved",
        NULL);
    assert_false(is_there("a.jpg"));
    assert_true(is_there("b.jpg"));
    run("$DIR/pictures", 1, "2 pictures, 0 groups", NULL);
    run("--undo", 0, "1 files are back", NULL);
    assert_true(is_there("a.jpg"));
    run("--undo", 1, NULL, "nothing to undo");

    /* Something new has taken the name: it stays, and so does the trash. */
    run("--apply --prefer $DIR/pictures/b --trash $DIR/bin $DIR/pictures", 0,
        NULL, NULL);
    copy_to("shoes-2.jpg", "a.jpg");
    run("--undo", 1, NULL, "is another file now");
    char path[160];
    snprintf(path, sizeof path, "%s/bin", place.dir);
    assert_int_equal(count_files(path), 1);
}

/* Between reading and acting nothing may change unseen: a program that changes
 * the file while keeping its time and size is caught by the bytes. */
static void test_changed(void **state)
{
    (void)state;
    char path[160];
    struct stat st;
    three_pictures();
    run("$DIR/pictures", 0, NULL, NULL);
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    assert_int_equal(stat(path, &st), 0);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, -20, SEEK_END), 0);
    fputc('x', f);
    assert_int_equal(fclose(f), 0);
    const struct timespec times[] = {st.st_mtim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    run("--apply $DIR/pictures", 1, "0 files moved", "has changed since");
    assert_true(is_there("a.jpg") && is_there("b.jpg"));
}

static void test_links(void **state)
{
    (void)state;
    char a[160], b[160];
    struct stat x, y;
    three_pictures();
    snprintf(a, sizeof a, "%s/a.jpg", folder);
    snprintf(b, sizeof b, "%s/b.jpg", folder);
    run("--apply --hardlink $DIR/pictures", 0, "1 files linked", NULL);
    assert_true(!stat(a, &x) && !stat(b, &y));
    assert_true(x.st_ino == y.st_ino);
    run("--apply $DIR/pictures", 1, NULL, "are one file already");
    assert_true(is_there("a.jpg") && is_there("b.jpg"));
    run("--undo --json", 0, "\"restored\": 1", NULL);
    assert_true(!stat(a, &x) && !stat(b, &y));
    assert_true(x.st_ino != y.st_ino && x.st_size == y.st_size);
}

static void test_delete(void **state)
{
    (void)state;
    three_pictures();
    run("--apply --delete $DIR/pictures", 0, "1 files deleted", NULL);
    assert_int_equal(count_files(folder), 2);
    run("--undo", 0, "1 files are back", NULL); /* its twin is copied */
    assert_int_equal(count_files(folder), 3);
}

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

/* kill -9 once the journal has begun; everything is somewhere, and undo brings
 * everything back. */
static void test_kill(void **state)
{
    enum { COPIES = 120 };
    (void)state;
    char name[32], journal[240], trash[160], data[160];
    for (int i = 0; i < COPIES; i++) {
        snprintf(name, sizeof name, "%03d.jpg", i);
        copy_to("tshirt-1.jpg", name);
    }
    run("$DIR/pictures", 0, NULL, NULL);
    snprintf(data, sizeof data, "%s/data", place.dir);
    snprintf(journal, sizeof journal, "%s/dedup/journal.jsonl", data);
    snprintf(trash, sizeof trash, "%s/trash", place.dir);
    const char *argv[] = {AKIN_PROGRAM, "dedup", "--data",  data,   "--trash",
                          trash,        "-q",    "--apply", folder, NULL};
    char out[160];
    snprintf(out, sizeof out, "%s/out", place.dir);
    pid_t pid = spawn(&place, argv, out);
    struct stat st = {0};
    int status = 0;
    while (!waitpid(pid, &status, WNOHANG) &&
           (stat(journal, &st) || st.st_size < 2000))
        pause_ms(1);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);

    int left = count_files(folder), moved = 0;
    DIR *d = opendir(trash);
    for (struct dirent *e; d && (e = readdir(d));) {
        char run_dir[512];
        if (e->d_name[0] == '.') continue;
        snprintf(run_dir, sizeof run_dir, "%s/%s", trash, e->d_name);
        moved += count_files(run_dir);
    }
    if (d) closedir(d);
    print_message("killed: %d left, %d moved\n", left, moved);
    assert_int_equal(left + moved, COPIES);
    assert_true(left >= 1 && moved >= 1);
    run("--undo", 0, "0 failed", NULL);
    assert_int_equal(count_files(folder), COPIES);
    run("--json $DIR/pictures", 0, "\"files\": 119", NULL);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_usage), TEST(test_dry_run),
                                       TEST(test_trash), TEST(test_changed),
                                       TEST(test_links), TEST(test_delete),
                                       TEST(test_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
