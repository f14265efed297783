/* The command line: the same answers from a directory and from a server, exit
 * codes, messages, pages. */
#include "pictures.h"

static served place;
static char folder[96];

static int setup(void **state)
{
    char below[128];
    (void)state;
    served_paths(&place);
    make_folder(folder, sizeof folder, &place, "pictures");
    make_folder(below, sizeof below, &place, "pictures/below");
    for (int i = 0; i < 12; i++) {
        char name[32];
        snprintf(name, sizeof name, "p%02d.svg", i);
        draw(i % 2 ? folder : below, name, i);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    served_clear(&place);
    return 0;
}

static void usage(void **state)
{
    (void)state;
    expect_akin(&place, "version", 0, "akin 0.1.0\n", NULL);
    expect_akin(&place, "--version", 0, "akin 0.1.0\n", NULL);
    expect_akin(&place, "", 2, NULL, NULL);
    expect_akin(&place, "serach x", 2, "", "did you mean 'akin search'?");
    expect_akin(&place, "delete x", 2, "", "did you mean 'akin rm'?");
    expect_akin(&place, "xyzzy", 2, "", "'akin help' lists them");
    expect_akin(&place, "search --fitler x y", 2, "", "did you mean --filter?");
    expect_akin(&place, "search --limit x y --data $DIR/none", 3, "",
                "there is no akin data in");
    expect_akin(&place, "search --filter", 2, "", "--filter wants EXPR");
    expect_akin(&place, "search --json=yes x", 2, "", "--json takes no value");
    expect_akin(&place, "search x --color sometimes", 2, "",
                "auto, always or never");
    expect_akin(&place, "help serach", 2, "", "did you mean 'search'?");
    expect_akin(&place, "completion tcsh", 2, "", "bash, zsh or fish");
    expect_akin(&place, "add --data $DIR/none", 2, "", "expected PATH ...");
    expect_akin(&place, "add $DIR/nowhere --data $DIR/none", 3, "", "nowhere");
    expect_akin(&place, "search x --model $DIR/nomodel --data $DIR/none", 3, "",
                "no akin data");
    expect_akin(&place,
                "add $DIR/pictures --model $DIR/nomodel --data $DIR/none", 3,
                "", "no such model directory");
    expect_akin(&place, "info --connect 127.0.0.1:1", 3, "",
                "is the server running?");
    expect_akin(&place, "info --connect '::'", 3, "", "expected HOST:PORT");
    expect_akin(&place, "serve --data $DIR/none --bind 0.0.0.0 --port 0", 3, "",
                "--requirepass");
    expect_akin(&place, "serve --data $DIR/none --bind nohost --port 0", 3, "",
                "nohost");
}

static void config_file(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "%s/some.conf", place.dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "data = %s/named-in-file\n", place.dir);
    assert_int_equal(fclose(f), 0);
    expect_akin(&place, "info --config $DIR/some.conf", 3, "", "named-in-file");
    expect_akin(&place, "info --config=$DIR/some.conf", 3, "", "named-in-file");
    expect_akin(&place, "info --config $DIR/none.conf", 2, "", "none.conf");
    expect_akin(&place, "info --config=$DIR/none.conf", 2, "", "none.conf");
    expect_akin(&place, "info --config", 2, "", "--config wants FILE");
}

static void help(void **state)
{
    static const char *const commands[] = {
        "serve",   "add",      "search",      "similar",    "sheet", "get",
        "rm",      "info",     "embed",       "reindex",    "check", "jobs",
        "help",    "version",  "collections", "completion", "audit", "backup",
        "restore", "classify", "model"};
    (void)state;
    char *out;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        char args[64], want[64];
        snprintf(args, sizeof args, "help %s", commands[i]);
        snprintf(want, sizeof want, "usage: akin %s", commands[i]);
        assert_int_equal(akin(&place, args, &out, NULL), 0);
        assert_int_equal(strncmp(out, want, strlen(want)), 0);
        free(out);
        snprintf(args, sizeof args, "%s --help", commands[i]);
        assert_int_equal(akin(&place, args, &out, NULL), 0);
        free(out);
    }
    assert_int_equal(akin(&place, "completion bash | bash -n", &out, NULL), 0);
    free(out);
}

/* The pages in docs/ are what the tables say now. */
static void pages_are_current(void **state)
{
    static const char *const pages[][2] = {
        {"help --markdown", AKIN_SOURCE "/docs/commands.md"},
        {"help --man", AKIN_SOURCE "/docs/akin.1"}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        char *out, *page = slurp(pages[i][1]);
        assert_int_equal(akin(&place, pages[i][0], &out, NULL), 0);
        if (strcmp(out, page) != 0)
            fail_msg("%s is not current: akin %s > %s", pages[i][1],
                     pages[i][0], pages[i][1]);
        free(out);
        free(page);
    }
}

static void adding(void **state)
{
    (void)state;
    expect_akin(&place, "add $DIR/pictures --data $DIR/data", 0,
                "12 added, 0 updated, 0 unchanged, 0 failed\n", NULL);
    expect_akin(&place, "add $DIR/pictures --data $DIR/data --json", 0,
                "{\"collection\":\"default\",\"added\":0,\"updated\":0,"
                "\"unchanged\":12,\"failed\":0}\n",
                NULL);
    expect_akin(&place, "add $DIR/pictures --data $DIR/data --send", 0,
                "0 added, 0 updated, 12 unchanged, 0 failed\n", NULL);
    expect_akin(&place, "add $DIR/pictures --data $DIR/data -q", 0, "", NULL);
    expect_akin(&place, "search 'red circle' -k 1 --ids --data $DIR/data", 0,
                NULL, NULL);
    expect_akin(&place,
                "search 'red circle' --filter '.width < 0' --data $DIR/data", 1,
                "", "nothing found");
    expect_akin(&place, "search --data $DIR/data", 2, "",
                "what to search for?");
    expect_akin(&place, "search x --filter '.width <' --data $DIR/data", 3, "",
                "akin: ");
    expect_akin(&place, "search x --min-score 2 --data $DIR/data", 2, "",
                "--min-score");
    expect_akin(&place, "search --image $DIR/nofile --data $DIR/data", 3, "",
                "nofile");
    expect_akin(&place, "search x -c nothing --data $DIR/data", 3, "",
                "nothing");
    expect_akin(&place, "similar nobody --data $DIR/data", 3, "", "nobody");
    expect_akin(&place, "get nobody --data $DIR/data", 1, "",
                "no item 'nobody'");
    expect_akin(&place, "collections drop default --data $DIR/data", 2, "",
                "say --yes");
    expect_akin(&place, "check --data $DIR/data", 0,
                "12 items, 24 vectors: no problems\n", NULL);
    expect_akin(&place, "reindex --data $DIR/data", 0,
                "default is indexed anew\n", NULL);
}

/* Two command lines that ask for the same. */
static void expect_same(const char *args, const char *same)
{
    char *got, *want;
    assert_int_equal(akin(&place, same, &want, NULL), 0);
    assert_int_equal(akin(&place, args, &got, NULL), 0);
    if (strcmp(got, want) != 0)
        fail_msg("%s:\n%s\n%s:\n%s", args, got, same, want);
    free(got);
    free(want);
}

/* A weight is that of the term before it, whatever stands between; the operands
 * are one. */
static void weights(void **state)
{
    (void)state;
    expect_same("search red circle --data $DIR/data --ids -k 3 -w -1",
                "search --not 'red circle' --data $DIR/data --ids -k 3");
    expect_same("search --like p01.svg --data $DIR/data --ids -k 3 -w -1",
                "search --not-like p01.svg --data $DIR/data --ids -k 3");
    expect_same("search --like p01.svg red -w -1 --data $DIR/data --ids",
                "search --like p01.svg --not red --data $DIR/data --ids");
    expect_same("search red -k 4 --weight 2 --not blue --ids --weight -0.5 "
                "--data $DIR/data",
                "search red -w 2 --text blue -w 0.5 --ids -k 4 "
                "--data $DIR/data");
    expect_same("search red -w -1 circle --data $DIR/data --ids",
                "search --not 'red circle' --data $DIR/data --ids");
    expect_same("search red --not blue -w 2 circle --ids -w 0.5 square "
                "--data $DIR/data",
                "search --text 'red circle square' -w 0.5 --not blue -w 2 "
                "--ids --data $DIR/data");
    expect_akin(&place, "search red -k 5 -w much --data $DIR/data", 2, "",
                "other than 0, got 'much'");
    expect_akin(&place, "search --like p01.svg -k 5 -w 0 --data $DIR/data", 2,
                "", "other than 0, got '0'");
    expect_akin(&place, "search -w 0.5 red --data $DIR/data", 2, "",
                "--weight stands behind what it weighs");
}

static void bad_pictures_are_listed(void **state)
{
    char broken[128];
    (void)state;
    make_folder(broken, sizeof broken, &place, "broken");
    draw(broken, "good.svg", 3);
    char path[160];
    snprintf(path, sizeof path, "%s/bad.png", broken);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("no picture", f);
    fclose(f);
    expect_akin(&place, "add $DIR/broken --data $DIR/data -c broken", 1,
                "1 added, 0 updated, 0 unchanged, 1 failed\n",
                "broken/bad.png: ");
    expect_akin(&place, "jobs failures 99 --data $DIR/data", 3, "", "99");
    expect_akin(&place, "collections drop broken --yes --data $DIR/data", 0,
                "dropped broken\n", NULL);
}

/* Everything that reads, from the directory and from a server: the same bytes
 * and the same exit codes. */
static void directory_and_server_agree(void **state)
{
    static const char *const questions[] = {
        "search red circle",
        "search red circle --json",
        "search red circle --ids --limit 3 --offset 2",
        "search 'green' --not 'circle' --space image",
        "search 'green circle' --space caption --json",
        "search --image $DIR/pictures/p03.svg --json",
        "search blue --image $DIR/pictures/p03.svg --weight 0.5 -k 4",
        "search --like p01.svg --filter '.folder == \"below\"'",
        "search x --filter '.width <'",
        "search nothing -c missing",
        "similar p05.svg",
        "similar below/p04.svg --json --exact",
        "similar --file $DIR/pictures/p05.svg -k 2",
        "similar nobody",
        "get p01.svg",
        "get p01.svg below/p02.svg --json",
        "get p01.svg --vector --json",
        "get nobody",
        "collections",
        "collections --json",
        "info",
        "info --json",
        "info missing",
        "embed red circle",
        "embed --image $DIR/pictures/p01.svg --json",
        "check",
        "check --json",
        "jobs --json",
    };
    (void)state;
    size_t n = sizeof questions / sizeof *questions;
    char *want[64];
    int codes[64];
    for (size_t i = 0; i < n; i++) {
        char args[512];
        snprintf(args, sizeof args, "%s --data $DIR/data", questions[i]);
        codes[i] = akin(&place, args, &want[i], NULL);
    }
    serve_again(&place, NULL);
    for (size_t i = 0; i < n; i++) {
        char args[512], *got;
        snprintf(args, sizeof args, "%s --connect $DIR/data/akin.sock",
                 questions[i]);
        int code = akin(&place, args, &got, NULL);
        if (code != codes[i] || strcmp(got, want[i]) != 0)
            fail_msg("%s\ndirectory (exit %d):\n%s\nserver (exit %d):\n%s",
                     questions[i], codes[i], want[i], code, got);
        free(want[i]);
        free(got);
    }
}

/* With a server on the directory, --data finds it by its socket. */
static void locked_directory_is_asked_by_its_socket(void **state)
{
    (void)state;
    assert_true(place.pid > 0);
    expect_akin(&place, "check --data $DIR/data", 0,
                "12 items, 24 vectors: no problems\n", NULL);
    expect_akin(&place, "add $DIR/pictures --data $DIR/data", 0,
                "0 added, 0 updated, 12 unchanged, 0 failed\n", NULL);
    expect_akin(
        &place,
        "add $DIR/pictures --connect $DIR/data/akin.sock --send -c sent", 0,
        "12 added, 0 updated, 0 unchanged, 0 failed\n", NULL);
    expect_akin(
        &place,
        "add $DIR/pictures --connect $DIR/data/akin.sock --send -c sent", 0,
        "0 added, 0 updated, 12 unchanged, 0 failed\n", NULL);
    char *read, *sent;
    expect_akin(&place, "info --server --data $DIR/data", 0, NULL, NULL);
    akin(&place, "search green --json --data $DIR/data", &read, NULL);
    akin(&place, "search green --json --data $DIR/data -c sent", &sent, NULL);
    assert_string_equal(read, sent);
    free(read);
    free(sent);
    expect_akin(&place, "rm p01.svg nobody --data $DIR/data -c sent", 1,
                "removed 1\n", "no item 'nobody'");
    expect_akin(&place, "rm nobody --missing-ok --data $DIR/data -c sent", 0,
                "removed 0\n", NULL);
    expect_akin(&place, "collections drop sent --yes --data $DIR/data", 0,
                "dropped sent\n", NULL);
    assert_int_equal(serve_end(&place, SIGTERM), 0);
}

/* The integer a command answers with. */
static long number_of(int fd, const char *request)
{
    char line[64] = "";
    send_text(fd, request);
    send_text(fd, "\r\n");
    for (size_t n = 0; n < sizeof line - 1 && !strchr(line, '\n'); n++)
        assert_int_equal(receive(fd, line + n, 1, 20000), 1);
    assert_int_equal(line[0], ':');
    return strtol(line + 1, NULL, 10);
}

/* Long work over a socket. */
static void jobs(void **state)
{
    (void)state;
    char request[256];
    static const char job[] =
        "*36\n$2\nid\n:~\n$4\nkind\n$6\ningest\n$5\nstate\n$4\ndone\n$10\n"
        "collection\n$6\njobbed\n$4\nwhat\n~\n~\n$5\nphase\n~\n~\n$4\ndone\n"
        ":13\n$5\ntotal\n:13\n$5\nadded\n:12\n$7\nupdated\n:0\n$9\nunchanged"
        "\n:0\n$6\nfailed\n:1\n$5\nbytes\n:~\n$4\nrate\n~\n~\n$12\n"
        "seconds_left\n~\n~\n$7\nstarted\n:~\n$5\nended\n:~\n$7\nmessage\n~\n";
    char bad[160];
    snprintf(bad, sizeof bad, "%s/below/bad.png", folder);
    FILE *f = fopen(bad, "w");
    assert_non_null(f);
    fputs("no picture", f);
    fclose(f);
    serve_again(&place, NULL);
    int fd = dial(&place);
    snprintf(request, sizeof request, "AKIN.INGEST jobbed %s", folder);
    long id = number_of(fd, request);
    snprintf(request, sizeof request, "AKIN.JOB WAIT %ld 60000", id);
    expect_reply(fd, request, job);
    snprintf(request, sizeof request, "AKIN.JOB %ld", id);
    expect_reply(fd, request, job);
    snprintf(request, sizeof request, "AKIN.JOB FAILURES %ld", id);
    expect_reply(fd, request, "*1\n*2\n~\n~bad.png\n~\n~\n");
    snprintf(request, sizeof request, "AKIN.JOB WAIT %ld x", id);
    expect_reply(fd, request, "-ERR invalid timeout~\n");
    expect_reply(fd, "AKIN.INGEST jobbed FLAT CAPTIONS loud x",
                 "-ERR CAPTIONS is ~\n");
    expect_reply(fd, "AKIN.INGEST jobbed FLAT FORCE", "-ERR expected 1 to ~\n");
    expect_reply(fd, "AKIN.REINDEX jobbed WHAT", "-ERR syntax error~\n");
    expect_reply(fd, "AKIN.DROP jobbed", "+OK\n");
    close(fd);
    remove(bad);
    assert_int_equal(serve_end(&place, SIGTERM), 0);
}

/* Without a server the job lives in the command that resumes it. */
static void resumed_job_ends_without_a_server(void **state)
{
    char request[256], later[96];
    (void)state;
    serve_again(&place, NULL);
    int fd = dial(&place);
    snprintf(request, sizeof request, "AKIN.INGEST resumed %s/later",
             place.dir);
    long id = number_of(fd, request); /* fails: there is no such folder yet */
    close(fd);
    snprintf(request, sizeof request, "jobs wait %ld --data $DIR/data", id);
    expect_akin(&place, request, 1, "failed\n", NULL);
    assert_int_equal(serve_end(&place, SIGTERM), 0);
    make_folder(later, sizeof later, &place, "later");
    for (int i = 0; i < 12; i++) {
        char name[32];
        snprintf(name, sizeof name, "q%02d.svg", i);
        draw(later, name, i);
    }
    snprintf(request, sizeof request, "jobs resume %ld --data $DIR/data", id);
    expect_akin(&place, request, 0, "done\n", NULL);
    expect_akin(&place, request, 3, "", "is done");
    expect_akin(&place, "check resumed --data $DIR/data", 0,
                "12 items, 24 vectors: no problems\n", NULL);
    expect_akin(&place, "jobs resume x --data $DIR/data", 3, "", "invalid job");
    expect_akin(&place, "jobs wait list --data $DIR/data", 2, "",
                "a job's number, got 'list'");
    expect_akin(&place, "collections drop resumed --yes --data $DIR/data", 0,
                NULL, NULL);
}

/* Whether AKIN.JOB WAIT says how a job stands, not that others wait. */
static bool job_is_told(long id, int timeout_ms)
{
    char request[64], first;
    int fd = dial(&place);
    snprintf(request, sizeof request, "AKIN.JOB WAIT %ld %d\r\n", id,
             timeout_ms);
    send_text(fd, request);
    assert_int_equal(receive(fd, &first, 1, 60000), 1);
    close(fd);
    return first == '*';
}

/* Clients that wait for a job leave threads for what others ask. */
static void waiting_leaves_threads(void **state)
{
    enum { WAITS = 24, AT_ONCE = 8 };
    char request[256], path[96], first;
    struct pollfd waits[WAITS];
    int busy = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/many.csv", place.dir);
    FILE *f = fopen(path, "w"); /* a minute of work */
    assert_non_null(f);
    fputs("id,caption\n", f);
    for (int i = 0; i < 200000; i++)
        fprintf(f, "i%d,the %d. of many\n", i, i);
    assert_int_equal(fclose(f), 0);
    serve_again(&place, NULL);
    int fd = dial(&place);
    long ended = number_of(fd, "AKIN.INGEST waited /dev/null/none");
    assert_true(job_is_told(ended, 60000));
    snprintf(request, sizeof request, "AKIN.INGEST waited %s", path);
    long id = number_of(fd, request);
    snprintf(request, sizeof request, "AKIN.JOB WAIT %ld 600000\r\n", id);
    for (int i = 0; i < WAITS; i++) {
        waits[i] = (struct pollfd){.fd = dial(&place), .events = POLLIN};
        send_text(waits[i].fd, request);
    }
    while (busy < WAITS - AT_ONCE) {
        assert_true(poll(waits, WAITS, 20000) > 0);
        for (int i = 0; i < WAITS; i++) {
            if (!waits[i].revents) continue;
            assert_int_equal(receive(waits[i].fd, &first, 1, 20000), 1);
            assert_int_equal(first, '-');   /* BUSY */
            waits[i].fd = -1 - waits[i].fd; /* poll leaves it out */
            busy++;
        }
    }
    expect_reply(fd, "AKIN.CHECK default",
                 "*10\n$5\nitems\n:12\n$7\nvectors\n:24\n$8\nproblems\n:0\n"
                 "$8\nrepaired\n:0\n$8\nmessages\n*0\n");
    /* what need not wait is answered, and the command line asks anew */
    assert_true(job_is_told(id, 0));
    assert_true(job_is_told(ended, 60000));
    snprintf(request, sizeof request,
             "jobs wait %ld --timeout 1 --data $DIR/data", id);
    expect_akin(&place, request, 1, "running\n", NULL);
    snprintf(request, sizeof request, "jobs wait %ld --data $DIR/data", ended);
    expect_akin(&place, request, 1, "failed\n", NULL);
    assert_int_equal(poll(waits, WAITS, 0), 0); /* and they still wait */
    snprintf(request, sizeof request, "AKIN.JOB CANCEL %ld", id);
    expect_reply(fd, request, "+OK\n");
    for (int i = 0; i < WAITS; i++) {
        if (waits[i].fd < 0) {
            waits[i].fd = -1 - waits[i].fd;
        } else {
            assert_int_equal(receive(waits[i].fd, &first, 1, 60000), 1);
            assert_int_equal(first, '*');
        }
        close(waits[i].fd);
    }
    expect_reply(fd, "AKIN.DROP waited", "+OK\n");
    close(fd);
    assert_int_equal(serve_end(&place, SIGTERM), 0);
}

/* The password goes along by option or environment. */
static void password(void **state)
{
    static const char *const secret[] = {"--requirepass", "s3cret", NULL};
    (void)state;
    serve_again(&place, secret);
    expect_akin(&place, "collections --connect $DIR/data/akin.sock", 3, "",
                "Authentication required");
    expect_akin(&place,
                "collections --connect $DIR/data/akin.sock --requirepass wrong",
                3, "", "WRONGPASS");
    expect_akin(
        &place,
        "collections --connect $DIR/data/akin.sock --requirepass s3cret -q", 0,
        NULL, NULL);
    expect_akin(&place, "info --data $DIR/data --requirepass wrong", 3, "",
                "WRONGPASS");
    setenv("AKIN_REQUIREPASS", "s3cret", 1);
    expect_akin(&place, "info --data $DIR/data", 0, NULL, NULL);
    unsetenv("AKIN_REQUIREPASS");
    /* a socket that a crash left behind is in nobody's way */
    assert_int_equal(serve_end(&place, SIGKILL), 1000 + SIGKILL);
    assert_int_equal(access(place.socket, F_OK), 0);
    expect_akin(&place, "info --data $DIR/data", 0, NULL, NULL);
    serve_again(&place, NULL);
    assert_int_equal(serve_end(&place, SIGTERM), 0);
}

static void collections(void **state)
{
    (void)state;
    expect_akin(&place,
                "collections create made --dim 8 --field price:number "
                "--field label:string --data $DIR/data",
                0, "created made\n", NULL);
    expect_akin(&place, "collections create made --dim 8 --data $DIR/data", 3,
                "", "made");
    expect_akin(&place, "collections create odd --field price --data $DIR/data",
                2, "", "NAME:TYPE");
    expect_akin(&place,
                "collections create odd --field price:colour --data $DIR/data",
                3, "", "'colour' is no type");
    expect_akin(&place, "collections what --data $DIR/data", 2, "",
                "create NAME");
    expect_akin(&place, "collections drop made --yes --data $DIR/data", 0,
                "dropped made\n", NULL);
}

static void sheets(void **state)
{
    (void)state;
    char path[96], *page;
    expect_akin(
        &place,
        "sheet 'red <b>circle' blue --like p01.svg --image "
        "$DIR/pictures/p03.svg -k 3 --title 'a & b' --out $DIR/sheet.html "
        "-q --data $DIR/data",
        0, "", NULL);
    snprintf(path, sizeof path, "%s/sheet.html", place.dir);
    page = slurp(path);
    assert_non_null(strstr(page, "red &lt;b&gt;circle"));
    assert_null(strstr(page, "<b>circle"));
    assert_non_null(strstr(page, "a &amp; b"));
    assert_null(strstr(page, "http://"));
    assert_null(strstr(page, "<script"));
    size_t figures = 0, inlined = 0;
    for (char *p = page; (p = strstr(p, "<figure")); p++)
        figures++;
    for (char *p = page; (p = strstr(p, "src=\"data:image/")); p++)
        inlined++;
    assert_int_equal(figures, 12);
    assert_int_equal(inlined, 14); /* two queries are pictures */
    free(page);
    expect_akin(&place, "search red --html $DIR/one.html -k 2 --data $DIR/data",
                0, NULL, NULL);
    snprintf(path, sizeof path, "%s/one.html", place.dir);
    page = slurp(path);
    assert_non_null(strstr(page, "<h1>red</h1>"));
    free(page);
    expect_akin(&place, "sheet --data $DIR/data", 2, "", "expected queries");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage),
        cmocka_unit_test(config_file),
        cmocka_unit_test(help),
        cmocka_unit_test(pages_are_current),
        cmocka_unit_test(adding),
        cmocka_unit_test(weights),
        cmocka_unit_test(bad_pictures_are_listed),
        cmocka_unit_test(directory_and_server_agree),
        cmocka_unit_test(locked_directory_is_asked_by_its_socket),
        cmocka_unit_test(jobs),
        cmocka_unit_test(resumed_job_ends_without_a_server),
        cmocka_unit_test(waiting_leaves_threads),
        cmocka_unit_test(password),
        cmocka_unit_test(collections),
        cmocka_unit_test(sheets),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
