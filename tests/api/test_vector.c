/* The vector-set commands on a real server, in both protocol versions: replies
 * byte for byte as Redis documents them. */
#include "served.h"

static served server;

static int start(void **state)
{
    (void)state;
    serve(&server, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    int status = serve_end(&server, SIGTERM);
    served_clear(&server);
    return status;
}

/* Three elements, two with attributes; the cosines are round numbers. */
static int fill(int fd)
{
    expect_reply(fd, "AKIN.DROP v", "~\n"); /* what a failed test left */
    expect_reply(fd, "VADD v VALUES 3 1 0 0 a SETATTR '{\"year\":1950}'",
                 ":1\n");
    expect_reply(fd, "VADD v VALUES 3 0 1 0 b SETATTR '{\"year\":1951}'",
                 ":1\n");
    expect_reply(fd, "VADD v VALUES 3 -1 0 0 c", ":1\n");
    return fd;
}

static int connected(int proto)
{
    int fd = dial(&server);
    if (proto == 3)
        expect_reply(fd, "HELLO 3",
                     "%7\n$6\nserver\n$4\nakin\n$7\nversion\n~\n~\n$5\nproto\n:"
                     "3\n$2\nid\n~\n$4\nmode\n$10\nstandalone\n$4\nrole\n$6\n"
                     "master\n$7\nmodules\n*0\n");
    return fd;
}

static void adding(void **state)
{
    (void)state;
    int fd = fill(dial(&server));
    expect_reply(fd, "VADD v VALUES 3 2 0 0 a", ":0\n"); /* an update */
    expect_reply(fd, "VGETATTR v a", "$13\n{\"year\":1950}\n");
    expect_reply(fd,
                 "VADD v VALUES 3 0 0 1 d CAS NOQUANT EF 200 M 16 SETATTR "
                 "'{\"x\":1}'",
                 ":1\n");
    expect_reply(fd, "VADD v VALUES 3 0 0 1 d BIN", ":0\n");
    expect_reply(fd, "VADD v VALUES 3 0 0 1 d Q8 SETATTR ''", ":0\n");
    expect_reply(fd, "VGETATTR v d", "$-1\n");
    expect_reply(fd, "VREM v d", ":1\n");
    expect_reply(fd,
                 "VADD v FP32 \"\\x00\\x00\\x80?\\x00\\x00\\x00\\x00\\x00"
                 "\\x00\\x00\\x00\" e",
                 ":1\n");
    expect_reply(fd, "VREM v e", ":1\n");
    expect_reply(fd, "HELLO 3",
                 "%7\n~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n"
                 "~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n*0\n");
    expect_reply(fd, "VADD v VALUES 3 0 0 1 d", "#t\n");
    expect_reply(fd, "VADD v VALUES 3 0 0 1 d", "#f\n");
    expect_reply(fd, "VREM v d", "#t\n");
    expect_reply(fd, "VREM v d", "#f\n");
    expect_reply(fd, "AKIN.DROP v", "+OK\n");
    close(fd);
}

/* What is removed is noted: who, what, when; a run of the same is one entry, and
 * what removed nothing is none. */
static void removals_are_noted(void **state)
{
    (void)state;
    int fd = fill(dial(&server));
    expect_reply(fd, "CLIENT SETNAME tidy", "+OK\n");
    expect_reply(fd, "VREM v nobody", ":0\n");
    expect_reply(fd, "VREM v a", ":1\n");
    expect_reply(fd, "VREM v b", ":1\n");
    expect_reply(fd, "AKIN.AUDIT COUNT 1",
                 "*1\n*12\n$5\nfirst\n:~\n$4\nlast\n:~\n$5\ntimes\n:2\n$3\n"
                 "who\n~\n~ tidy\n$4\nwhat\n$6\nVREM v\n$6\ndetail\n$1\nb\n");
    expect_reply(fd, "AKIN.DROP v", "+OK\n");
    expect_reply(fd, "AKIN.DROP v", "-ERR ~\n");
    expect_reply(fd, "AKIN.AUDIT COUNT 1",
                 "*1\n*12\n$5\nfirst\n:~\n$4\nlast\n:~\n$5\ntimes\n:1\n$3\n"
                 "who\n~\n~ tidy\n$4\nwhat\n$11\nAKIN.DROP v\n$6\ndetail\n"
                 "$0\n\n");
    expect_reply(fd, "AKIN.AUDIT COUNT 0", "-ERR ~\n");
    expect_reply(fd, "AKIN.AUDIT x", "-ERR ~\n");
    close(fd);
}

static void adding_wrongly(void **state)
{
    (void)state;
    int fd = dial(&server);
    fill(fd);
    expect_reply(fd, "VADD v",
                 "-ERR wrong number of arguments for 'vadd' "
                 "command\n");
    expect_reply(fd, "VADD v VALUES 3 1 0 a", "-ERR invalid vector ~\n");
    expect_reply(fd, "VADD v VALUES 4 1 0 0 1 a", "-ERR ~3~4~\n");
    expect_reply(fd, "VADD v VALUES x 1 0 0 a", "-ERR invalid vector ~\n");
    expect_reply(fd, "VADD v VALUES 3 1 0 nan a", "-ERR invalid vector ~\n");
    expect_reply(fd, "VADD v VALUES 3 0 0 0 zero", "-ERR ~\n");
    expect_reply(fd, "VADD v FP32 abc a", "-ERR invalid vector ~\n");
    expect_reply(fd, "VADD v WHAT abc a", "-ERR invalid vector ~\n");
    expect_reply(fd, "VADD v REDUCE 2 VALUES 3 1 0 0 a",
                 "-ERR REDUCE is not supported~\n");
    expect_reply(fd, "VADD v VALUES 3 1 0 0 a NONSENSE",
                 "-ERR invalid option after element\n");
    expect_reply(fd, "VADD v VALUES 3 1 0 0 a EF 0", "-ERR invalid EF~\n");
    expect_reply(fd, "VADD v VALUES 3 1 0 0 a M 1", "-ERR invalid M~\n");
    expect_reply(fd, "VADD v VALUES 3 1 0 0 a SETATTR '{x'", "-ERR ~\n");
    expect_reply(fd, "VADD v VALUES 3 1 0 0 ''", "-ERR ~\n");
    expect_reply(fd, "VCARD v", ":3\n"); /* nothing of that was stored */
    expect_reply(fd, "AKIN.DROP v", "+OK\n");
    close(fd);
}

/* VADDs that come together are stored together; each has its own reply, in order,
 * and a bad one fails alone. */
static void adding_in_a_pipeline(void **state)
{
    (void)state;
    int fd = dial(&server);
    expect_reply(fd, "AKIN.DROP v", "~\n");
    expect_reply(fd,
                 "PING\r\nVADD v VALUES 3 1 0 0 a\r\n"
                 "VADD v VALUES 2 1 0 b\r\nVADD v VALUES 3 0 1 0 c SETATTR "
                 "{\r\nVADD v VALUES 3 0 1 0 c\r\nVADD v\r\n"
                 "VADD v VALUES 3 0 1 0 c\r\nVADD v VALUES 3 1 0 0 a\r\n"
                 "VADD w VALUES 3 1 0 0 a\r\nVADD v VALUES 3 x 0 0 d\r\n"
                 "VADD v VALUES 3 1 1 0 d\r\nVCARD v\r\nVCARD w",
                 "+PONG\n:1\n-ERR ~3~2~\n-ERR ~\n:1\n-ERR wrong number ~\n"
                 ":0\n:0\n:1\n-ERR invalid vector ~\n:1\n:3\n:1\n");
    expect_reply(fd, "AKIN.DROP w", "+OK\n");
    expect_reply(fd, "AKIN.DROP v", "+OK\n");
    close(fd);
}

static void similar_in_resp2(void **state)
{
    (void)state;
    int fd = fill(connected(2));
    expect_reply(fd, "VSIM v ELE a", "*3\n$1\na\n$1\nb\n$1\nc\n");
    expect_reply(fd, "VSIM v ELE a WITHSCORES",
                 "*6\n$1\na\n$1\n1\n$1\nb\n$3\n0.5\n$1\nc\n$1\n0\n");
    expect_reply(fd, "VSIM v ELE a WITHATTRIBS COUNT 2",
                 "*4\n$1\na\n$13\n{\"year\":1950}\n$1\nb\n$13\n{\"year\":1951}"
                 "\n");
    expect_reply(fd, "VSIM v ELE c WITHSCORES WITHATTRIBS COUNT 1",
                 "*3\n$1\nc\n$1\n1\n$-1\n");
    expect_reply(fd, "VSIM v VALUES 3 5 0 0 COUNT 1", "*1\n$1\na\n");
    expect_reply(fd,
                 "VSIM v FP32 \"\\x00\\x00\\x80?\\x00\\x00\\x00\\x00\\x00\\x00"
                 "\\x00\\x00\" COUNT 1",
                 "*1\n$1\na\n");
    expect_reply(fd, "VSIM v ELE a EPSILON 0.5", "*2\n$1\na\n$1\nb\n");
    expect_reply(fd, "VSIM v ELE a FILTER '.year > 1950'", "*1\n$1\nb\n");
    expect_reply(fd,
                 "VSIM v ELE a FILTER '.year > 1950' FILTER-EF 500 EF 100 "
                 "TRUTH NOTHREAD",
                 "*1\n$1\nb\n");
    expect_reply(fd, "VSIM v ELE a OFFSET 1 COUNT 1", "*1\n$1\nb\n");
    expect_reply(fd, "VSIM v ELE a NOSELF COUNT 1", "*1\n$1\nb\n");
    expect_reply(fd, "VSIM v VALUES 3 1 0 0 ELE b WEIGHT 3 COUNT 1",
                 "*1\n$1\nb\n");
    expect_reply(fd, "VSIM v ELE b ELE a WEIGHT -3 COUNT 1", "*1\n$1\nc\n");
    expect_reply(fd, "vsim v ele a count 1", "*1\n$1\na\n");
    expect_reply(fd, "VSIM nothing ELE a", "*0\n");
    expect_reply(fd, "VSIM nothing ELE a WITHSCORES", "*0\n");
    expect_reply(fd, "AKIN.DROP v", "+OK\n");
    close(fd);
}

/* Searches that come in a row, with errors, other collections, writes and other
 * commands between them: each gets what it gets alone, in their order. */
static void similar_in_a_pipeline(void **state)
{
    static const char *const asked[][2] = {
        {"VSIM v ELE a", "*3\n$1\na\n$1\nb\n$1\nc\n"},
        {"VSIM v ELE b COUNT 1", "*1\n$1\nb\n"},
        {"vsim v VALUES 3 5 0 0 COUNT 1", "*1\n$1\na\n"},
        {"VSIM v ELE a WITHSCORES COUNT 1", "*2\n$1\na\n$1\n1\n"},
        {"VSIM v ELE zzz", "-ERR no item \"~\"\n"},
        {"VSIM v ELE a COUNT 2", "*2\n$1\na\n$1\nb\n"},
        {"VSIM v VALUES 2 1 0", "-ERR ~\n"},
        {"VSIM v ELE a COUNT x", "-ERR invalid COUNT\n"},
        {"VSIM v ELE c COUNT 1", "*1\n$1\nc\n"},
        {"VSIM nothing ELE a", "*0\n"},
        {"VSIM nothing ELE b", "*0\n"},
        {"VSIM v ELE c COUNT 1", "*1\n$1\nc\n"},
        {"VSIM v", "-ERR wrong number of arguments for 'vsim' command\n"},
        {"VADD v VALUES 3 9 9.5 9 d", ":1\n"},
        {"VSIM v ELE d COUNT 1", "*1\n$1\nd\n"},
        {"VSIM v ELE d FILTER '.year > 1950' COUNT 1", "*1\n$1\nb\n"},
        {"PING", "+PONG\n"},
        {"VSIM v VALUES 3 9 9.5 9 COUNT 1", "*1\n$1\nd\n"},
        {"VREM v d", ":1\n"},
        {"VSIM v ELE d", "-ERR no item \"~\"\n"},
        {"VSIM v ELE a COUNT 1", "*1\n$1\na\n"},
    };
    enum { ASKED = sizeof asked / sizeof *asked, ROUNDS = 20 };
    (void)state;
    static char request[ROUNDS * ASKED * 64], want[ROUNDS * ASKED * 64];
    size_t n = 0, m = 0;
    for (size_t i = 0; i < (size_t)ROUNDS * ASKED; i++) {
        n += (size_t)snprintf(request + n, sizeof request - n, "%s%s",
                              i ? "\r\n" : "", asked[i % ASKED][0]);
        m += (size_t)snprintf(want + m, sizeof want - m, "%s",
                              asked[i % ASKED][1]);
    }
    int fd = fill(connected(2));
    expect_reply(fd, request, want);
    expect_reply(fd, "AKIN.DROP v", "+OK\n");
    close(fd);
}

static void similar_in_resp3(void **state)
{
    (void)state;
    int fd = connected(3);
    expect_reply(fd, "AKIN.DROP v", "~\n");
    expect_reply(fd, "VADD v VALUES 3 1 0 0 a SETATTR '{\"year\":1950}'",
                 "#t\n");
    expect_reply(fd, "VADD v VALUES 3 0 1 0 b", "#t\n");
    expect_reply(fd, "VSIM v ELE a", "*2\n$1\na\n$1\nb\n");
    expect_reply(fd, "VSIM v ELE a WITHSCORES", "%2\n$1\na\n,1\n$1\nb\n,0.5\n");
    expect_reply(fd, "VSIM v ELE a WITHATTRIBS",
                 "%2\n$1\na\n$13\n{\"year\":1950}\n$1\nb\n_\n");
    expect_reply(fd, "VSIM v ELE a WITHSCORES WITHATTRIBS",
                 "%2\n$1\na\n*2\n,1\n$13\n{\"year\":1950}\n$1\nb\n*2\n,0.5\n_"
                 "\n");
    expect_reply(fd, "VSIM nothing ELE a WITHSCORES", "*0\n");
    expect_reply(fd, "AKIN.DROP v", "+OK\n");
    close(fd);
}

static void similar_wrongly(void **state)
{
    (void)state;
    int fd = fill(dial(&server));
    expect_reply(fd, "VSIM v ELE zz", "-ERR ~zz~\n");
    expect_reply(fd, "VSIM v ELE a COUNT 0", "-ERR invalid COUNT\n");
    expect_reply(fd, "VSIM v ELE a COUNT x", "-ERR invalid COUNT\n");
    expect_reply(fd, "VSIM v ELE a EPSILON 0", "-ERR invalid EPSILON~\n");
    expect_reply(fd, "VSIM v ELE a EF 0", "-ERR invalid EF~\n");
    expect_reply(fd, "VSIM v ELE a WHAT", "-ERR syntax error~\n");
    expect_reply(fd, "VSIM v ELE a WEIGHT 0", "-ERR invalid WEIGHT~\n");
    expect_reply(fd, "VSIM v ELE a SPACE dark", "-ERR SPACE is ~\n");
    expect_reply(fd, "VSIM v ELE a FILTER '.year >'", "-ERR ~\n");
    expect_reply(fd, "VSIM v VALUES 2 1 0", "-ERR ~3~2~\n");
    expect_reply(fd, "VSIM v BOB a", "-ERR ~\n");
    expect_reply(fd, "VSIM v ELE a COUNT 10000 OFFSET 10000", "-ERR ~\n");
    expect_reply(fd, "VSIM v",
                 "-ERR wrong number of arguments for 'vsim' "
                 "command\n");
    /* no model here: words and pictures cannot be embedded */
    expect_reply(fd, "VSIM v TEXT red", "-ERR ~\n");
    expect_reply(fd, "AKIN.DROP v", "+OK\n");
    close(fd);
}

static void one_element(void **state)
{
    (void)state;
    int fd = fill(dial(&server));
    expect_reply(fd, "VADD v VALUES 3 0 0 4 f", ":1\n");
    expect_reply(fd, "VEMB v b", "*3\n$1\n0\n$1\n1\n$1\n0\n");
    expect_reply(fd, "VEMB v f", "*3\n$1\n0\n$1\n0\n$1\n4\n");
    static const char raw[] = "*3\r\n+fp32\r\n$12\r\n\0\0\x80\x3f\0\0\0\0\0\0"
                              "\0\0\r\n$1\r\n1\r\n";
    char got[sizeof raw];
    send_text(fd, "VEMB v a RAW\r\n");
    assert_int_equal(receive(fd, got, sizeof raw - 1, 20000), sizeof raw - 1);
    assert_memory_equal(got, raw, sizeof raw - 1);
    expect_reply(fd, "VEMB v zz", "$-1\n");
    expect_reply(fd, "VEMB nothing a", "$-1\n");
    expect_reply(fd, "VEMB v a COOKED", "-ERR invalid option\n");
    expect_reply(fd, "VISMEMBER v a", ":1\n");
    expect_reply(fd, "VISMEMBER v zz", ":0\n");
    expect_reply(fd, "VISMEMBER nothing a", ":0\n");
    expect_reply(fd, "VSETATTR v c '{\"year\":7}'", ":1\n");
    expect_reply(fd, "VGETATTR v c", "$10\n{\"year\":7}\n");
    expect_reply(fd, "VSETATTR v c ''", ":1\n");
    expect_reply(fd, "VGETATTR v c", "$-1\n");
    expect_reply(fd, "VSETATTR v zz '{}'", ":0\n");
    expect_reply(fd, "VSETATTR nothing a '{}'", ":0\n");
    expect_reply(fd, "VSETATTR v a nonsense", "-ERR ~\n");
    expect_reply(fd, "VGETATTR v zz", "$-1\n");
    expect_reply(fd, "VGETATTR nothing a", "$-1\n");
    expect_reply(fd, "VREM v zz", ":0\n");
    expect_reply(fd, "VREM nothing a", ":0\n");
    expect_reply(fd, "VREM v f", ":1\n");
    expect_reply(fd, "AKIN.DROP v", "+OK\n");
    close(fd);
}

static void the_set(void **state)
{
    (void)state;
    int fd = fill(dial(&server));
    expect_reply(fd, "VCARD v", ":3\n");
    expect_reply(fd, "VCARD nothing", ":0\n");
    expect_reply(fd, "VDIM v", ":3\n");
    expect_reply(fd, "VDIM nothing", "-ERR key does not exist\n");
    expect_reply(fd, "VINFO v",
                 "*22\n+quant-type\n+fp16\n+hnsw-m\n:0\n+vector-dim\n:3\n"
                 "+projection-input-dim\n:0\n+size\n:3\n+max-level\n:0\n"
                 "+vset-uid\n:~\n+hnsw-max-node-uid\n:~\n+index\n+exact\n"
                 "+memory-bytes-per-vector\n:~\n+disk-bytes-per-vector\n"
                 ":0\n");
    expect_reply(fd, "VINFO nothing", "*-1\n");
    expect_reply(fd, "VRANGE v - +", "*3\n$1\na\n$1\nb\n$1\nc\n");
    expect_reply(fd, "VRANGE v [b +", "*2\n$1\nb\n$1\nc\n");
    expect_reply(fd, "VRANGE v (b +", "*1\n$1\nc\n");
    expect_reply(fd, "VRANGE v - (c 10", "*2\n$1\na\n$1\nb\n");
    expect_reply(fd, "VRANGE v - [b 1", "*1\n$1\na\n");
    expect_reply(fd, "VRANGE v - + 0", "*0\n");
    expect_reply(fd, "VRANGE v - + -1", "*3\n$1\na\n$1\nb\n$1\nc\n");
    expect_reply(fd, "VRANGE nothing - +", "*0\n");
    expect_reply(fd, "VRANGE v + -",
                 "-ERR '-' can only be used as first argument, '+' only as "
                 "second\n");
    expect_reply(fd, "VRANGE v b +", "-ERR invalid start range format\n");
    expect_reply(fd, "VRANGE v - c", "-ERR invalid end range format\n");
    expect_reply(fd, "VRANGE v - + x", "-ERR invalid COUNT value\n");
    expect_reply(fd, "VRANDMEMBER v", "$1\n~\n");
    expect_reply(fd, "VRANDMEMBER v 2", "*2\n$1\n~\n$1\n~\n");
    expect_reply(fd, "VRANDMEMBER v -4", "*4\n$1\n~\n$1\n~\n$1\n~\n$1\n~\n");
    expect_reply(fd, "VRANDMEMBER v 9", "*3\n$1\n~\n$1\n~\n$1\n~\n");
    expect_reply(fd, "VRANDMEMBER v 0", "*0\n");
    expect_reply(fd, "VRANDMEMBER nothing", "$-1\n");
    expect_reply(fd, "VRANDMEMBER nothing 2", "*0\n");
    expect_reply(fd, "VRANDMEMBER v x", "-ERR COUNT value ~\n");
    expect_reply(fd, "HELLO 3",
                 "%7\n~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n"
                 "~\n~\n~\n~\n~\n~\n~\n~\n~\n~\n*0\n");
    expect_reply(fd, "VINFO nothing", "_\n");
    expect_reply(fd, "VISMEMBER v a", "#t\n");
    expect_reply(fd, "VEMB v b", "*3\n,0\n,1\n,0\n");
    expect_reply(fd, "AKIN.DROP v", "+OK\n");
    close(fd);
}

/* Unlike in Redis, what is emptied stays, as it was made. */
static void emptied(void **state)
{
    (void)state;
    int fd = dial(&server);
    expect_reply(fd, "VADD e VALUES 2 1 0 a", ":1\n");
    expect_reply(fd, "VREM e a", ":1\n");
    expect_reply(fd, "VCARD e", ":0\n");
    expect_reply(fd, "VDIM e", ":2\n");
    expect_reply(fd, "VADD e VALUES 3 1 0 0 a", "-ERR ~2~3~\n");
    expect_reply(fd, "AKIN.DROP e", "+OK\n");
    expect_reply(fd, "VDIM e", "-ERR key does not exist\n");
    expect_reply(fd, "VADD e VALUES 3 1 0 0 a", ":1\n");
    expect_reply(fd, "AKIN.DROP e", "+OK\n");
    close(fd);
}

static void collections(void **state)
{
    (void)state;
    int fd = dial(&server);
    expect_reply(fd, "AKIN.DROP v", "~\n");
    expect_reply(fd, "AKIN.DROP made", "~\n");
    expect_reply(fd, "AKIN.CREATE made DIM 4 SCHEMA price number label string",
                 "+OK\n");
    expect_reply(fd, "AKIN.CREATE made DIM 4", "-ERR ~made~\n");
    expect_reply(fd, "AKIN.CREATE odd DIM 0", "-ERR invalid DIM~\n");
    expect_reply(fd, "AKIN.CREATE odd SCHEMA a colour", "-ERR 'colour'~\n");
    expect_reply(fd, "AKIN.CREATE odd WHAT", "-ERR syntax error~\n");
    expect_reply(fd, "AKIN.LIST",
                 "*1\n*10\n$4\nname\n$4\nmade\n$5\nitems\n:0\n$3\ndim\n:4\n$5\n"
                 "index\n~\n~\n$5\nmodel\n$-1\n");
    expect_reply(fd, "VDIM made", ":4\n");
    expect_reply(fd, "VADD made VALUES 4 1 2 3 4 x", ":1\n");
    expect_reply(fd, "AKIN.COUNT made", ":1\n");
    expect_reply(fd, "AKIN.COUNT made FILTER '.price < 3'", ":0\n");
    expect_reply(fd, "AKIN.COUNT nothing", "-ERR ~nothing~\n");
    expect_reply(fd, "AKIN.GET made nobody", "$-1\n");
    expect_reply(fd, "AKIN.GET made x",
                 "*28\n$2\nid\n$1\nx\n$7\ncaption\n$-1\n$10\nattributes\n$-1\n"
                 "$4\npath\n$-1\n$6\nformat\n$-1\n$5\nwidth\n:0\n$6\nheight\n"
                 ":0\n$5\nbytes\n:0\n$4\nhash\n$-1\n$9\nhas_image\n:1\n$11\n"
                 "has_caption\n:0\n$5\nadded\n:~\n$7\nchanged\n:~\n$8\n"
                 "modified\n:0\n");
    expect_reply(fd, "AKIN.THUMB made x", "$-1\n");
    expect_reply(fd, "AKIN.SEARCH made ELE x WITHCAPTIONS",
                 "*14\n$7\nmatches\n*1\n*12\n$2\nid\n$1\nx\n$5\nscore\n$1\n1\n"
                 "$5\nimage\n~\n~\n$7\ncaption\n$-1\n$10\nattributes\n$-1\n$5\n"
                 "words\n$-1\n$5\nexact\n:1\n$5\nfused\n:0\n$10\nconsidered\n:1"
                 "\n$8\nembed_us\n:~\n$9\nsearch_us\n:~\n$8\nfetch_us\n:~\n");
    expect_reply(fd, "AKIN.SEARCH nothing ELE x", "-ERR ~\n");
    expect_reply(fd, "AKIN.CHECK made",
                 "*10\n$5\nitems\n:1\n$7\nvectors\n:1\n$8\nproblems\n:0\n$8\n"
                 "repaired\n:0\n$8\nmessages\n*0\n");
    expect_reply(fd, "AKIN.SAVE", "+OK\n");
    expect_reply(fd, "AKIN.JOB 99", "-ERR ~99~\n");
    expect_reply(fd, "AKIN.JOB WHAT", "-ERR invalid job~\n");
    expect_reply(fd, "AKIN.INGEST made",
                 "-ERR wrong number of arguments for "
                 "'akin.ingest' command\n");
    expect_reply(fd, "AKIN.DROP made", "+OK\n");
    expect_reply(fd, "AKIN.DROP made", "-ERR ~made~\n");
    expect_reply(fd, "AKIN.LIST", "*0\n");
    close(fd);
}

static void options(void **state)
{
    (void)state;
    int fd = dial(&server);
    expect_reply(fd, "AKIN.CONFIG GET index.recall",
                 "*2\n$12\nindex.recall\n$4\n0.95\n");
    expect_reply(fd, "AKIN.CONFIG SET index.recall 0.9", "+OK\n");
    expect_reply(fd, "AKIN.CONFIG GET index.rec*",
                 "*2\n$12\nindex.recall\n$3\n0.9\n");
    expect_reply(fd, "AKIN.CONFIG SET index.recall 7", "-ERR ~\n");
    expect_reply(fd, "AKIN.CONFIG SET threads 2", "-NOPERM ~\n");
    expect_reply(fd, "AKIN.CONFIG SET nonsense 2", "-ERR ~\n");
    expect_reply(fd, "AKIN.CONFIG WHAT x", "-ERR expected ~\n");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adding),
        cmocka_unit_test(removals_are_noted),
        cmocka_unit_test(adding_wrongly),
        cmocka_unit_test(adding_in_a_pipeline),
        cmocka_unit_test(similar_in_resp2),
        cmocka_unit_test(similar_in_a_pipeline),
        cmocka_unit_test(similar_in_resp3),
        cmocka_unit_test(similar_wrongly),
        cmocka_unit_test(one_element),
        cmocka_unit_test(the_set),
        cmocka_unit_test(emptied),
        cmocka_unit_test(collections),
        cmocka_unit_test(options),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
