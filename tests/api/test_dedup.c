/* akin dedup: what it prints, does, refuses, and takes back; also when it was
 * killed in the middle. */
#include "dedup_files.h"

#include <time.h>

static void test_usage(void **state)
{
    (void)state;
    run("", 2, NULL, "expected PATH");
    run("--level close $DIR/pictures", 2, NULL, "exact, near or similar");
    run("--delete $DIR/pictures", 2, NULL, "go with --apply");
    run("--apply --delete --hardlink $DIR/pictures", 2, NULL, "one of");
    run("--apply --level similar $DIR/pictures", 2, NULL, "not duplicates");
    run("--review --apply $DIR/pictures", 2, NULL, "asks by itself");
    run("-c shop $DIR/pictures", 2, NULL, "or -c COLLECTION");
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

/* The folder that a picture was in went when it was empty. */
static void test_folder_gone(void **state)
{
    (void)state;
    char sub[160];
    three_pictures();
    snprintf(sub, sizeof sub, "%s/x", folder);
    assert_int_equal(mkdir(sub, 0700), 0);
    copy_to("shoes-1.jpg", "x/c.jpg");
    run("--apply $DIR/pictures --keep name", 0, "2 files moved", NULL);
    assert_int_equal(rmdir(sub), 0);
    run("--undo", 0, "2 files are back, 0 failed", NULL);
    assert_true(is_there("x/c.jpg") && is_there("b.jpg"));
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

/* A picture of every format that is read, and what is not: listed, not fatal. */
static void test_formats(void **state)
{
    (void)state;
    char path[160];
    copy_to("shoes-1.jpg", "a.jpg");
    copy_to("../formats/shoes.avif", "b.avif");
    copy_to("../formats/shoes.heic", "c.heic");
    copy_to("../formats/shoes.tif", "d.tif");
    copy_to("../formats/shoes.webp", "e.webp");
    copy_to("../formats/shoes.tif", "f.DNG"); /* a raw file with a preview */
    static const char *const bad[] = {"g.cr3", "h.heic", "i.tif", "j.x3f"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, bad[i]);
        assert_int_equal(akin_file_replace(path, akin_span_of("II*?"), NULL),
                         0);
    }
    run("$DIR/pictures", 0, "6 pictures, 1 groups of duplicates; 5 files",
        "g.cr3: ");
    run("$DIR/pictures", 0, "4 files could not be read", "j.x3f: ");
    run("$DIR/pictures", 0, "kept because: the camera's raw file", "h.heic: ");
    run("$DIR/pictures", 0, "keep", "i.tif: ");
    run("--keep avoid:$DIR/pictures/f $DIR/pictures --html $DIR/page.html", 0,
        "kept because: larger", NULL);
    snprintf(path, sizeof path, "%s/page.html", place.dir);
    char *page = slurp(path);
    assert_non_null(strstr(page, "src=\"data:image/")); /* HEIC, TIFF */
    assert_null(strstr(page, "c.heic\">"));
    assert_non_null(strstr(page, "b.avif\">"));
    free(page);
    run("--json $DIR/pictures", 0, "\"unreadable\": [\n    {", NULL);
}

/* Names with line ends, escapes, quotes and letters of all kinds. */
static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"a\nb.jpg", "\033[31m'\"<&.jpg",
                                        "\xc3\xa4\xe4\xb8\xad %41.jpg"};
    for (int i = 0; i < 3; i++)
        copy_to("hat-1.jpg", names[i]);
    run("$DIR/pictures", 0, "a\\nb.jpg", NULL);
    run("$DIR/pictures --html $DIR/page.html", 0, "\\x1b[31m", NULL);
    run("--json $DIR/pictures", 0, "a\\nb.jpg\"", NULL);
    char path[160];
    snprintf(path, sizeof path, "%s/page.html", place.dir);
    char *page = slurp(path);
    assert_non_null(strstr(page, "/a%0Ab.jpg"));
    assert_non_null(strstr(page, "&#39;&quot;&lt;&amp;.jpg"));
    assert_non_null(strstr(page, "/%C3%A4%E4%B8%AD%20%2541.jpg"));
    free(page);
    run("--apply --prefer $DIR/pictures/a $DIR/pictures", 0, "2 files moved",
        NULL);
    assert_int_equal(count_files(folder), 1);
    run("--undo", 0, "2 files are back, 0 failed", NULL);
    for (int i = 0; i < 3; i++)
        assert_true(is_there(names[i]));
}

/* Links that have become one file's names, or lead elsewhere, are left alone. */
static void test_other_links(void **state)
{
    (void)state;
    char a[160], b[160];
    copy_to("hat-1.jpg", "a.jpg");
    snprintf(a, sizeof a, "%s/a.jpg", folder);
    snprintf(b, sizeof b, "%s/b.jpg", folder);
    assert_int_equal(symlink(a, b), 0);
    run("--apply $DIR/pictures", 1, "0 files moved", NULL);
    assert_true(is_there("a.jpg") && is_there("b.jpg"));
    assert_int_equal(unlink(b), 0);
    assert_int_equal(link(a, b), 0);
    run("--apply --delete $DIR/pictures", 1, "0 files deleted",
        "are one file already");
    assert_true(is_there("a.jpg") && is_there("b.jpg"));
}

/* What is linked and then written to has no old bytes left to come back. */
static void test_linked_and_changed(void **state)
{
    (void)state;
    char path[160];
    three_pictures();
    run("--apply --hardlink $DIR/pictures", 0, "1 files linked", NULL);
    snprintf(path, sizeof path, "%s/a.jpg", folder);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fputc('x', f);
    assert_int_equal(fclose(f), 0);
    run("--undo", 1, "0 files are back, 1 failed", "was changed since");
    run("--undo", 1, NULL, "nothing to undo");
}

/* The trash on another file system. */
static void test_other_device(void **state)
{
    (void)state;
    char other[] = "/dev/shm/akin-test-XXXXXX", args[160];
    struct stat here, there;
    if (!mkdtemp(other)) skip();
    if (stat(place.dir, &here) || stat(other, &there) ||
        here.st_dev == there.st_dev) {
        rmdir(other);
        skip();
    }
    three_pictures();
    snprintf(args, sizeof args, "--apply --trash %s/bin $DIR/pictures", other);
    run(args, 0, "1 files moved", NULL);
    assert_int_equal(count_files(folder), 2);
    snprintf(args, sizeof args, "%s/bin", other);
    assert_int_equal(count_files(args), 1);
    DIR *bin = opendir(args);
    for (struct dirent *e; bin && (e = readdir(bin));) {
        if (e->d_name[0] == '.') continue;
        assert_int_equal(fstatat(dirfd(bin), e->d_name, &there, 0), 0);
        assert_int_equal(there.st_mode & 0777, 0700); /* for nobody else */
    }
    if (bin) closedir(bin);
    run("--apply --hardlink $DIR/pictures", 1, "0 groups", NULL);
    run("--undo", 0, "1 files are back", NULL);
    assert_int_equal(count_files(folder), 3);
    assert_int_equal(count_files(args), 0);
    assert_int_equal(akin_dir_remove(other, NULL), AKIN_OK);
}

/* A folder that may not be written to: said, and nothing is lost. */
static void test_read_only(void **state)
{
    (void)state;
    if (!geteuid()) skip(); /* who may write everywhere */
    three_pictures();
    assert_int_equal(chmod(folder, 0500), 0);
    run("--apply $DIR/pictures", 1, "0 files moved", "cannot move");
    run("--apply --hardlink $DIR/pictures", 1, "0 files linked", "cannot link");
    run("--apply --delete $DIR/pictures", 1, "0 files deleted",
        "cannot remove");
    assert_int_equal(count_files(folder), 3);
    run("--undo", 0, "0 files are back, 0 failed", NULL);
    assert_int_equal(chmod(folder, 0700), 0);
}

/* Of a collection: what was said about the copy goes into the item that stays,
 * and comes back to the copy. */
static void apply_collection(const char *action, const char *said)
{
    char args[128];
    snprintf(args, sizeof args, "-c shop --apply %s --prefer $DIR/pictures/a",
             action);
    run(args, 0, said, NULL);
    assert_false(is_there("b.jpg"));
    also("get -c shop A --json", "\"caption\": \"a hat\"");
    also("get -c shop A --json", "\"price\": 12");
    also("get -c shop A", "\"merged\":[{\"id\":\"B\",\"attributes\":{\"stars\":"
                          "3},\"caption\":\"red hat\"}]");
    run("-c shop", 1, "2 pictures, 0 groups", NULL);
    run("--undo", 0, "1 files are back, 0 failed", NULL);
    assert_true(is_there("b.jpg"));
    also("get -c shop A", "attributes   {\"stars\":4}");
    also("get -c shop B", "attributes   {\"price\":12,\"stars\":3}");
    also("get -c shop B", "caption      red hat");
    also("check -c shop", "no problems");
    run("-c shop --json", 0, "\"same\": \"bytes\"", NULL);
}

static void test_collection(void **state)
{
    (void)state;
    char path[160];
    three_pictures();
    snprintf(path, sizeof path, "%s/shop.csv", folder);
    assert_int_equal(
        akin_file_replace(path,
                          akin_span_of("id,image,caption,price,stars\n"
                                       "A,a.jpg,a hat,,4\n"
                                       "B,b.jpg,red hat,12,3\n"
                                       "C,c.jpg,shoes,,\n"),
                          NULL),
        0);
    also("add -c shop -q $DIR/pictures/shop.csv", NULL);
    apply_collection("", "1 files moved");
    apply_collection("--delete", "1 files deleted");

    /* What somebody says later is worth more than the undo. */
    run("-c shop --apply --prefer $DIR/pictures/a", 0, "1 files moved", NULL);
    serve_again(&place, NULL); /* from here on a server has the directory */
    run("$DIR/pictures", 3, NULL, "-c COLLECTION takes the pictures");
    int fd = dial(&place);
    expect_reply(fd, "VSETATTR shop A '{\"stars\":5}'", ":1\n");
    close(fd);
    run("--undo", 0, "1 files are back", "was changed since");
    also("get -c shop A", "attributes   {\"stars\":5}");
    fd = dial(&place);
    expect_reply(fd, "VSETATTR shop A '{\"stars\":4}'", ":1\n");
    expect_reply(fd, "AKIN.MERGE shop DRYRUN A B",
                 "*6\n$7\nchanged\n:1\n$6\nbefore\n*4\n$7\ncaption\n$5\na "
                 "hat\n$10\nattributes\n$11\n{\"stars\":4}\n$5\nafter\n*4\n"
                 "$7\ncaption\n$5\na hat\n$10\nattributes\n~\n~\n");
    close(fd);
    apply_collection("", "1 files moved");
    assert_int_equal(serve_end(&place, SIGTERM), 0);
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
    const struct CMUnitTest tests[] = {TEST(test_usage),
                                       TEST(test_dry_run),
                                       TEST(test_trash),
                                       TEST(test_folder_gone),
                                       TEST(test_changed),
                                       TEST(test_links),
                                       TEST(test_delete),
                                       TEST(test_formats),
                                       TEST(test_names),
                                       TEST(test_other_links),
                                       TEST(test_linked_and_changed),
                                       TEST(test_other_device),
                                       TEST(test_read_only),
                                       TEST(test_collection),
                                       TEST(test_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
