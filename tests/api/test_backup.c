/* akin backup and akin restore: what comes back answers as what was there; what
 * is damaged, in the way or in use is refused; whoever kills them leaves nothing
 * half that is taken for whole. */
#include "pictures.h"

#define MOMENTS 200 /* more than there are */

static served place;

static int setup(void **state)
{
    char folder[96], *out;
    (void)state;
    served_paths(&place);
    make_folder(folder, sizeof folder, &place, "things");
    for (int i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "p%d.svg", i);
        draw(folder, name, i);
    }
    make_folder(folder, sizeof folder, &place, "backups");
    assert_int_equal(
        akin(&place, "add $DIR/things --data $DIR/data -q", &out, NULL), 0);
    free(out);
    assert_int_equal(akin(&place,
                          "add $DIR/things/p1.svg -c other --data $DIR/data -q",
                          &out, NULL),
                     0);
    free(out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    served_clear(&place);
    return 0;
}

static bool there(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", place.dir, name);
    return !access(path, F_OK);
}

static void shell(const char *command)
{
    const char *argv[] = {"sh", "-c", command, NULL};
    int status;
    char where[48];
    snprintf(where, sizeof where, "%s", place.dir);
    setenv("DIR", where, 1);
    pid_t pid = spawn(&place, argv, NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("%s: %d", command, status);
}

/* The same answers, byte for byte, from $DIR/data and that directory. */
static void expect_same(const char *copy)
{
    static const char *const questions[] = {
        "search red circle --json",
        "search --like p1.svg --filter '.width > 10' --json",
        "get p0.svg p5.svg --vector --json",
        "search 'green circle' --space caption --json",
        "info",
        "collections --json",
        "check",
    };
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        char args[256], *want, *got;
        snprintf(args, sizeof args, "%s --data $DIR/data", questions[i]);
        assert_int_equal(akin(&place, args, &want, NULL), 0);
        snprintf(args, sizeof args, "%s --data $DIR/%s", questions[i], copy);
        assert_int_equal(akin(&place, args, &got, NULL), 0);
        if (strcmp(want, got) != 0)
            fail_msg("%s\nbefore:\n%s\nafter:\n%s", args, want, got);
        free(want);
        free(got);
    }
}

static void a_directory_comes_back(void **state)
{
    (void)state;
    expect_akin(&place, "backup $DIR/none/x --data $DIR/data", 3, "",
                "none/x.part");
    expect_akin(&place, "backup $DIR/backups/x --data $DIR/nodata", 3, "",
                "no akin data");
    expect_akin(&place, "backup $DIR/backups/x -c nothing --data $DIR/data", 3,
                "", "nothing");
    expect_akin(&place, "backup --data $DIR/data", 2, "",
                "expected FILE|FOLDER");
    expect_akin(&place, "backup $DIR/backups/x --data $DIR/data", 0, NULL,
                NULL);
    expect_akin(&place, "backup $DIR/backups/x --data $DIR/data", 3, "",
                "x exists; --force replaces it");
    expect_akin(&place, "backup $DIR/backups/x --data $DIR/data --force -q", 0,
                "", NULL);
    shell("cd $DIR/backups && sha256sum -c x.sha256 && "
          "test $(ls | wc -l) = 2");
    expect_akin(&place, "backup $DIR/backups --data $DIR/data -c other -q", 0,
                "", NULL);
    shell("ls $DIR/backups/other-20*.snapshot");

    expect_akin(&place, "restore $DIR/backups/x --data $DIR/copy", 0, NULL,
                NULL);
    expect_same("copy");
    expect_akin(&place, "restore $DIR/backups/x --data $DIR/copy", 3, "",
                "is not empty");
    expect_akin(&place, "add $DIR/things/p2.svg -c new --data $DIR/copy -q", 0,
                "", NULL);
    expect_akin(&place,
                "restore $DIR/backups/x --data $DIR/copy/ --force --json", 0,
                NULL, NULL);
    expect_same("copy");
    shell("mv $DIR/copy.old-* $DIR/kept");
    expect_akin(&place, "info new --data $DIR/kept -q", 0, NULL, NULL);

    shell("mkdir $DIR/empty; mv $DIR/backups/other-20*.snapshot "
          "$DIR/backups/one; rm $DIR/backups/other*");
    expect_akin(&place, "restore $DIR/backups/one --data $DIR/empty", 0, NULL,
                "there is no ");
    expect_akin(&place, "info other --data $DIR/empty", 0, NULL, NULL);
    expect_akin(&place, "info --data $DIR/empty", 3, "", "default");
    expect_akin(&place, "check --data $DIR/empty", 0,
                "1 items, 2 vectors: no problems\n", NULL);
    expect_akin(&place, "restore $DIR/backups/x --connect $DIR/data/akin.sock",
                2, "", "--connect goes with -c");
    shell("rm -r $DIR/copy $DIR/kept $DIR/empty $DIR/backups/*");
}

static void a_server_goes_on(void **state)
{
    (void)state;
    serve_again(&place, NULL);
    expect_akin(&place, "backup $DIR/backups --data $DIR/data -q", 0, "", NULL);
    shell("cd $DIR/backups && sha256sum -c full-20*.sha256 && mv "
          "full-*.snapshot y && rm full-* && test -z "
          "\"$(find $DIR/data/snapshots -type f)\"");
    expect_akin(&place, "backup $DIR/backups/y --data $DIR/data", 3, "",
                "exists");
    expect_akin(&place, "backup $DIR/backups/z -c none --data $DIR/data", 3, "",
                "none");
    assert_false(there("backups/z.part"));
    expect_akin(&place,
                "backup $DIR/backups/z -c other --connect $DIR/data/akin.sock",
                0, NULL, NULL);
    expect_akin(&place, "restore $DIR/backups/y --data $DIR/copy -q", 0, "",
                NULL);
    expect_same("copy");
    expect_akin(&place, "restore $DIR/backups/y --data $DIR/data --force", 3,
                "", "is open in another process");
    expect_akin(&place, "restore $DIR/backups/z --data $DIR/one -q", 0, "",
                NULL);
    expect_akin(&place, "info other --data $DIR/one", 0, NULL, NULL);
    assert_int_equal(serve_end(&place, SIGTERM), 0);
    shell("rm -r $DIR/copy $DIR/one $DIR/backups/*");
}

/* One collection, into a directory and into a server, under its name and
 * another. */
static void a_collection_comes_back(void **state)
{
    char *before, *after;
    (void)state;
    expect_akin(&place,
                "backup $DIR/backups/one -c default --data $DIR/data -q", 0, "",
                NULL);
    expect_akin(&place, "backup $DIR/backups/all --data $DIR/data -q", 0, "",
                NULL);
    akin(&place, "search red circle --json --data $DIR/data", &before, NULL);
    for (int server = 0; server < 2; server++) {
        if (server) serve_again(&place, NULL);
        expect_akin(&place,
                    "restore $DIR/backups/one -c default --data $DIR/data", 3,
                    "", "there is a collection 'default'; --force");
        expect_akin(&place, "rm p1.svg p3.svg --data $DIR/data -q", 0, "",
                    NULL);
        expect_akin(
            &place,
            "restore $DIR/backups/one -c default --force --data $DIR/data", 0,
            "restored default\n", NULL);
        akin(&place, "search red circle --json --data $DIR/data", &after, NULL);
        assert_string_equal(before, after);
        free(after);
        expect_akin(
            &place,
            "restore $DIR/backups/one -c 'other name' --data $DIR/data -q", 0,
            "", NULL);
        akin(&place,
             "search red circle --json -c 'other name' --data $DIR/data",
             &after, NULL);
        assert_string_equal(before, after);
        free(after);
        expect_akin(&place,
                    "collections drop 'other name' -y -q --data $DIR/data", 0,
                    "", NULL);
        expect_akin(&place, "restore $DIR/backups/all -c new --data $DIR/data",
                    3, "", "a snapshot of 2 collections");
        shell("cd $DIR/backups && { cat one; echo; } > two && "
              "cp one.sha256 two.sha256");
        expect_akin(&place, "restore $DIR/backups/two -c new --data $DIR/data",
                    3, "", "is damaged: its SHA-256 is ");
        shell("cd $DIR/backups && head -c 9999 one > two && rm two.sha256");
        expect_akin(&place, "restore $DIR/backups/two -c new --data $DIR/data",
                    3, "", "ends too early");
        expect_akin(&place, "restore $DIR/backups -c new --data $DIR/data", 3,
                    "", "is no backup");
        expect_akin(&place, "info new --data $DIR/data", 3, "", "new");
        shell("test ! -e $DIR/data/snapshots/.upload");
        expect_akin(&place, "check --data $DIR/data", 0,
                    "7 items, 14 vectors: no problems\n", NULL);
    }
    assert_int_equal(serve_end(&place, SIGTERM), 0);
    expect_akin(&place, "restore $DIR/backups/one -c made --data $DIR/fresh -q",
                0, "", NULL);
    expect_akin(&place, "check --data $DIR/fresh", 0,
                "6 items, 12 vectors: no problems\n", NULL);
    free(before);
    shell("rm -r $DIR/backups/* $DIR/fresh");
}

static void the_command_over_a_socket(void **state)
{
    (void)state;
    char line[4096], request[512], name[256];
    serve_again(&place, NULL);
    int fd = dial(&place);
    expect_reply(fd, "AKIN.SNAPSHOT LIST", "*0\n");
    expect_reply(fd, "AKIN.SNAPSHOT PROGRESS", "$-1\n");
    expect_reply(fd, "AKIN.SNAPSHOT CANCEL", "-ERR no snapshot is at work\n");
    expect_reply(fd, "AKIN.SNAPSHOT PROGRESS 7", "$-1\n");
    expect_reply(fd, "AKIN.SNAPSHOT CANCEL 7", "-ERR no snapshot is at work\n");
    expect_reply(fd, "AKIN.SNAPSHOT CANCEL 7 8", "-ERR ~\n");
    expect_reply(fd, "AKIN.SNAPSHOT WHAT", "-ERR ~\n");
    expect_reply(fd, "AKIN.SNAPSHOT PROGRESS now", "-ERR ~\n");
    expect_reply(fd, "AKIN.SNAPSHOT CREATE COLLECTION", "-ERR ~\n");
    expect_reply(fd, "AKIN.SNAPSHOT CREATE COLLECTION none", "-ERR ~\n");
    expect_reply(fd, "AKIN.SNAPSHOT CREATE",
                 "*8\n$4\nname\n$~\nfull-20~.snapshot\n$5\nbytes\n:~\n$7\n"
                 "created\n:~\n$6\nsha256\n$64\n~\n");
    send_text(fd, "AKIN.SNAPSHOT LIST\r\n");
    size_t n = 0;
    for (int lines = 0; lines < 16; lines += line[n++] == '\n') {
        assert_true(n + 1 < sizeof line);
        assert_int_equal(receive(fd, line + n, 1, 20000), 1);
    }
    line[n] = 0;
    assert_true(sscanf(line, "*1\r\n*8\r\n$4\r\nname\r\n$%*d\r\n%255s", name) ==
                1);
    static const char *const bad[][2] = {
        {"READ %s 0 8", "$8\nakin.db\n"},
        {"READ %s 99999999999 8", "$0\n\n"},
        {"READ %s -1 8", "-ERR invalid an offset~\n"},
        {"READ %s 0 4194305", "-ERR ~\n"},
        {"READ %s 0 0", "-ERR ~\n"},
        {"READ %s 0", "-ERR ~\n"},
        {"READ %s 0 8 COLLECTION other", "-ERR no snapshot ~\n"},
        {"READ ../%s 0 8", "-ERR no snapshot ~\n"},
        {"READ ../akin.db 0 8", "-ERR no snapshot ~\n"},
        {"DELETE ../akin.db", "-ERR no snapshot ~\n"},
        {"WRITE 0", "-ERR ~\n"},
        {"WRITE 5 hello", "-ERR the upload has 0 bytes, these begin at 5\n"},
        {"WRITE 0 hello", "+OK\n"},
        {"WRITE 4 hello", "-ERR the upload has 5 bytes, these begin at 4\n"},
        {"WRITE 5 hello", "+OK\n"},
        {"RECOVER new abc", "-ERR a SHA-256 has 64 digits\n"},
        {"RECOVER new abc REPLACED", "-ERR ~\n"},
        {"RECOVER other "
         "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
         "-ERR there is a collection 'other'\n"},
        {"WRITE 0 hello", "+OK\n"},
        {"RECOVER other "
         "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef "
         "REPLACE",
         "-ERR ~\n"},
        {"WRITE 0 hello", "+OK\n"},
        {"RECOVER new "
         "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
         "-ERR ~\n"},
        {"RECOVER new "
         "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
         "-ERR ~No such file~\n"},
        {"DELETE %s", "+OK\n"},
        {"DELETE %s", "-ERR no snapshot ~\n"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char part[400];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
        snprintf(part, sizeof part, bad[i][0], name);
#pragma GCC diagnostic pop
        snprintf(request, sizeof request, "AKIN.SNAPSHOT %s", part);
        if (i)
            expect_reply(fd, request, bad[i][1]);
        else {
            send_text(fd, request);
            send_text(fd, "\r\n");
            assert_int_equal(receive(fd, line, 14, 20000), 14);
            assert_memory_equal(line, "$8\r\nakin.db\0\r\n", 14);
        }
    }
    close(fd);
    assert_int_equal(serve_end(&place, SIGTERM), 0);
}

static void write_file(const char *name, const void *data, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/backups/%s", place.dir, name);
    akin_error err;
    assert_int_equal(akin_file_replace(path, (akin_span){data, size}, &err), 0);
}

static void damage_is_refused(void **state)
{
    (void)state;
    char path[128];
    uint8_t *data;
    size_t size;
    expect_akin(&place, "backup $DIR/backups/x --data $DIR/data -q", 0, "",
                NULL);
    snprintf(path, sizeof path, "%s/backups/x", place.dir);
    assert_int_equal(akin_file_read(path, 1 << 26, &data, &size, NULL), 0);
    const size_t cuts[] = {0,   1,        100,         512,
                           700, size / 2, size - 1024, size - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        write_file("cut", data, cuts[i]);
        if (cuts[i] == size - 1) continue; /* of the second empty block */
        expect_akin(&place, "restore $DIR/backups/cut --data $DIR/copy", 3, "",
                    "ends too early");
    }
    shell("cp $DIR/backups/x.sha256 $DIR/backups/cut.sha256");
    expect_akin(&place, "restore $DIR/backups/cut --data $DIR/copy", 3, "",
                "is damaged: its SHA-256 is ");
    data[9000] ^= 0x55;
    write_file("flipped", data, size);
    shell("cp $DIR/backups/x.sha256 $DIR/backups/flipped.sha256");
    expect_akin(&place, "restore $DIR/backups/flipped --data $DIR/copy", 3, "",
                "is damaged: its SHA-256 is ");
    memset(data + 512 + 4096, 0x55, 8192); /* pages of the database */
    write_file("pages", data, size);
    expect_akin(&place, "restore $DIR/backups/pages --data $DIR/copy", 3, "",
                "is damaged");
    write_file("text", "no tar at all", 13);
    shell("cd $DIR/things && tar -cf ../backups/other p1.svg; head -c 4096 "
          "/dev/zero >> $DIR/backups/text; head -c 1024 /dev/zero > "
          "$DIR/backups/blank");
    expect_akin(&place, "restore $DIR/backups/text --data $DIR/copy", 3, "",
                "not a tar");
    expect_akin(&place, "restore $DIR/backups/other --data $DIR/copy", 3, "",
                "it holds something else");
    expect_akin(&place, "restore $DIR/backups/blank --data $DIR/copy", 3, "",
                "no akin.db");
    expect_akin(&place, "restore $DIR/backups --data $DIR/copy", 3, "",
                "is not a file");
    expect_akin(&place, "restore $DIR/backups/none --data $DIR/copy", 3, "",
                "No such file");
    expect_akin(&place, "restore $DIR/backups/x --data $DIR/things/p1.svg", 3,
                "", "Not a directory");
    akin_free(data);
    assert_false(there("copy"));
    assert_false(there("copy.restoring"));
    shell("rm -r $DIR/backups/*");
}

/* A limit on the size of files stands for a full disk. */
static void no_room(void **state)
{
    (void)state;
    expect_akin(&place, "backup $DIR/backups/x --data $DIR/data -q", 0, "",
                NULL);
    shell("trap '' XFSZ; ulimit -f 100; " AKIN_PROGRAM
          " backup $DIR/backups/y --data $DIR/data; test $? = 3");
    shell("test $(ls $DIR/backups | wc -l) = 2");
    shell("trap '' XFSZ; ulimit -f 100; " AKIN_PROGRAM
          " restore $DIR/backups/x --data $DIR/copy; test $? = 3");
    assert_false(there("copy"));
    assert_false(there("copy.restoring"));
    serve_again(&place, NULL);
    shell("trap '' XFSZ; ulimit -f 100; " AKIN_PROGRAM
          " backup $DIR/backups/y --data $DIR/data; test $? = 3");
    shell("test $(ls $DIR/backups | wc -l) = 2 && test -z "
          "\"$(find $DIR/data/snapshots -type f)\"");
    assert_int_equal(serve_end(&place, SIGTERM), 0);
    shell("rm -r $DIR/backups/*");
}

static bool sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true; /* their runtime wants to be the first library */
#else
    return false;
#endif
}

/* Runs it; killed at that moment. Whether it was. */
static bool run_until(const char *args, int moment)
{
    char command[1024];
    snprintf(command, sizeof command,
             "DIR='%s'; exec env LD_PRELOAD='%s' AKIN_KILL_AT=%d '%s' %s",
             place.dir, AKIN_KILL_LIBRARY, moment, AKIN_PROGRAM, args);
    const char *argv[] = {"sh", "-c", command, NULL};
    int status;
    pid_t pid = spawn(&place, argv, NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status)) return false;
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return true;
}

/* Before each call: after the one before it is the same on disk. */
static void killed_anywhere(void **state)
{
    (void)state;
    int n = 0, whole = 0;
    if (sanitized()) skip();
    expect_akin(&place, "backup $DIR/things/old -c other --data $DIR/data -q",
                0, "", NULL);
    expect_akin(&place, "backup $DIR/things/new --data $DIR/data -q", 0, "",
                NULL);
    for (int moment = 1; moment < MOMENTS; moment += 2) {
        shell("cd $DIR/backups && cp ../things/old x && "
              "cp ../things/old.sha256 x.sha256");
        bool killed = run_until(
            "backup $DIR/backups/x --data $DIR/data --force -q", moment);
        /* the old one or the new one, and no digest but its own */
        shell("cd $DIR/backups && { cmp x ../things/old || "
              "test $(stat -c %s x) = $(stat -c %s ../things/new); } && "
              "{ test ! -e x.sha256 || test $(cut -c-64 x.sha256) = "
              "$(sha256sum <x | cut -c-64); }");
        whole += !there("backups/x.part");
        if (!killed) break;
        n++;
    }
    shell("rm -r $DIR/backups/*");
    assert_true(n >= 6 && n < MOMENTS / 2 && whole >= 2);
    print_message("killed at %d moments of backup", n);
    expect_akin(&place, "backup $DIR/backups/x --data $DIR/data -q", 0, "",
                NULL);
    n = whole = 0;
    for (int moment = 1; moment < MOMENTS; moment += 2) {
        bool killed = run_until(
            "restore $DIR/backups/x --data $DIR/backups/to -q", moment);
        if (there("backups/to")) {
            whole++;
            expect_akin(&place, "check --data $DIR/backups/to", 0,
                        "7 items, 14 vectors: no problems\n", NULL);
        } else {
            expect_akin(&place,
                        "restore $DIR/backups/x --data $DIR/backups/to -q", 0,
                        "", NULL);
        }
        assert_false(there("backups/to.restoring"));
        shell("rm -r $DIR/backups/to");
        if (!killed) break;
        n++;
    }
    assert_true(n >= 6 && n < MOMENTS / 2 && whole >= 2);
    print_message(", at %d of restore\n", n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_comes_back),
        cmocka_unit_test(a_server_goes_on),
        cmocka_unit_test(a_collection_comes_back),
        cmocka_unit_test(the_command_over_a_socket),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(no_room),
        cmocka_unit_test(killed_anywhere),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
