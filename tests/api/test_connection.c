/* The server as a server: versions of the protocol, passwords, pipelines, slow
 * readers, hostile input, limits, the ways to end it. */
#include "served.h"

#include <stdbool.h>

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
    served_clear(&server);
    return 0;
}

static void basics(void **state)
{
    (void)state;
    int fd = dial(&server);
    expect_reply(fd, "PING", "+PONG\n");
    expect_reply(fd, "ping hi", "$2\nhi\n");
    expect_reply(fd, "PING a b",
                 "-ERR wrong number of arguments for 'ping' command\n");
    expect_reply(fd, "ECHO hello", "$5\nhello\n");
    expect_reply(fd, "ECHO",
                 "-ERR wrong number of arguments for 'echo' "
                 "command\n");
    expect_reply(fd, "NOSUCH a b",
                 "-ERR unknown command 'NOSUCH', with args beginning with: "
                 "'a' 'b' \n");
    expect_reply(fd, "SELECT 0", "+OK\n");
    expect_reply(fd, "SELECT 1", "-ERR DB index is out of range\n");
    expect_reply(fd, "SELECT x",
                 "-ERR value is not an integer or out of range\n");
    expect_reply(fd, "RESET", "+RESET\n");
    expect_reply(fd, "QUIT", "+OK\n");
    expect_closed(fd);
    close(fd);
}

static void hello(void **state)
{
    static const char two[] =
        "*14\n$6\nserver\n$4\nakin\n$7\nversion\n~\n~\n$5\nproto\n:2\n$2\nid\n:"
        "~"
        "\n$4\nmode\n$10\nstandalone\n$4\nrole\n$6\nmaster\n$7\nmodules\n*0\n";
    static const char three[] =
        "%7\n$6\nserver\n$4\nakin\n$7\nversion\n~\n~\n$5\nproto\n:3\n$2\nid\n:~"
        "\n$4\nmode\n$10\nstandalone\n$4\nrole\n$6\nmaster\n$7\nmodules\n*0\n";
    (void)state;
    int fd = dial(&server);
    expect_reply(fd, "HELLO", two);
    expect_reply(fd, "HELLO 3", three);
    expect_reply(fd, "HELLO", three);
    expect_reply(fd, "CLIENT GETNAME", "_\n");
    expect_reply(fd, "HELLO 2 SETNAME me", two);
    expect_reply(fd, "CLIENT GETNAME", "$2\nme\n");
    expect_reply(fd, "HELLO 4", "-NOPROTO unsupported protocol version\n");
    expect_reply(fd, "HELLO x", "-ERR Protocol version is not an integer ~\n");
    expect_reply(fd, "HELLO 3 WHAT",
                 "-ERR Syntax error in HELLO option "
                 "'WHAT'\n");
    expect_reply(fd, "HELLO 3", three);
    expect_reply(fd, "RESET", "+RESET\n");
    expect_reply(fd, "HELLO", two);
    close(fd);
}

static void client(void **state)
{
    (void)state;
    int fd = dial(&server);
    expect_reply(fd, "CLIENT ID", ":~\n");
    expect_reply(fd, "CLIENT SETNAME tester", "+OK\n");
    expect_reply(fd, "CLIENT GETNAME", "$6\ntester\n");
    expect_reply(fd, "CLIENT SETNAME 'a b'", "-ERR Client names cannot ~\n");
    expect_reply(fd, "CLIENT SETINFO LIB-NAME lib", "+OK\n");
    expect_reply(fd, "CLIENT SETINFO LIB-VER 1.2", "+OK\n");
    expect_reply(fd, "CLIENT SETINFO WHAT 1", "-ERR Unrecognized option ~\n");
    expect_reply(fd, "CLIENT NO-EVICT ON", "+OK\n");
    expect_reply(fd, "CLIENT NO-TOUCH OFF", "+OK\n");
    expect_reply(fd, "CLIENT WHAT", "-ERR unknown subcommand 'WHAT'~\n");
    expect_reply(fd, "CLIENT",
                 "-ERR wrong number of arguments for 'client' "
                 "command\n");
    send_text(fd, "CLIENT INFO\r\n");
    char line[1024];
    size_t n = receive(fd, line, sizeof line - 1, 300);
    line[n] = 0;
    assert_non_null(strstr(line, " name=tester "));
    assert_non_null(strstr(line, " lib-name=lib "));
    assert_non_null(strstr(line, " cmd=CLIENT "));
    close(fd);
}

static void command(void **state)
{
    (void)state;
    int fd = dial(&server);
    expect_reply(fd, "COMMAND COUNT", ":~\n");
    expect_reply(fd, "COMMAND INFO vsim nosuch",
                 "*2\n*10\n$4\nvsim\n:-4\n*1\n+readonly\n:1\n:1\n:1\n*1\n+@read"
                 "\n*0\n*0\n*0\n*-1\n");
    expect_reply(fd, "COMMAND DOCS vcard",
                 "*2\n$5\nvcard\n*8\n$7\nsummary\n~\n~\n$5\nsince\n~\n~\n$5\n"
                 "group\n$6\nvector\n$6\nsyntax\n$3\nkey\n");
    expect_reply(fd, "COMMAND DOCS nosuch", "*0\n");
    expect_reply(fd, "COMMAND WHAT", "-ERR unknown subcommand 'WHAT'~\n");
    expect_reply(fd, "AKIN.HELP vcard", "*2\n$9\nVCARD key\n~\n~\n");
    expect_reply(fd, "AKIN.HELP nosuch", "-ERR there is no command ~\n");
    close(fd);
}

static void info(void **state)
{
    (void)state;
    char text[8192];
    int fd = dial(&server);
    send_text(fd, "INFO\r\n");
    text[receive(fd, text, sizeof text - 1, 500)] = 0;
    assert_non_null(strstr(text, "redis_version:"));
    assert_non_null(strstr(text, "akin_version:"));
    assert_non_null(strstr(text, "connected_clients:1\r\n"));
    assert_null(strstr(text, "cmdstat_"));
    send_text(fd, "INFO commandstats\r\n");
    text[receive(fd, text, sizeof text - 1, 500)] = 0;
    assert_non_null(strstr(text, "cmdstat_info:calls="));
    assert_null(strstr(text, "redis_version:"));
    close(fd);
}

/* ---- order and pressure ------------------------------------------------------ */

/* A thousand commands in one write: cheap ones, ones that go to a worker, wrong
 * ones. The replies come in order. */
static void pipeline(void **state)
{
    (void)state;
    enum { ROOM = 1 << 20 };
    char *request = malloc(ROOM), *want = malloc(ROOM), *got = malloc(ROOM);
    size_t n = 0, m = 0;
    int fd = dial(&server);
    expect_reply(fd, "VADD p VALUES 2 1 0 x", ":1\n");
    for (int i = 0; i < 1000; i++) {
        char text[32];
        int size = snprintf(text, sizeof text, "%d", i);
        switch (i % 4) {
        case 0:
            n += (size_t)snprintf(request + n, ROOM - n,
                                  "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", size,
                                  text);
            m += (size_t)snprintf(want + m, ROOM - m, "$%d\r\n%s\r\n", size,
                                  text);
            break;
        case 1:
            n += (size_t)snprintf(request + n, ROOM - n, "VCARD p\r\n");
            m += (size_t)snprintf(want + m, ROOM - m, ":1\r\n");
            break;
        case 2:
            n += (size_t)snprintf(request + n, ROOM - n,
                                  "VSIM p ELE x COUNT 1\r\n");
            m += (size_t)snprintf(want + m, ROOM - m, "*1\r\n$1\r\nx\r\n");
            break;
        default:
            n += (size_t)snprintf(request + n, ROOM - n, "VDIM p%d\r\n", i);
            m += (size_t)snprintf(want + m, ROOM - m,
                                  "-ERR key does not exist\r\n");
        }
    }
    send_bytes(fd, request, n);
    assert_int_equal(receive(fd, got, m, 20000), m);
    assert_memory_equal(got, want, m);
    expect_reply(fd, "AKIN.DROP p", "+OK\n");
    close(fd);
    free(request);
    free(want);
    free(got);
}

static void byte_by_byte(void **state)
{
    (void)state;
    static const char request[] = "*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n";
    char got[16];
    int fd = dial(&server);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        send_bytes(fd, request + i, 1);
        if (i % 5 == 0) nap_ms(1);
    }
    assert_int_equal(receive(fd, got, 11, 5000), 11);
    assert_memory_equal(got, "$5\r\nhello\r\n", 11);
    close(fd);
}

/* Replies larger than a socket takes at once come from a worker first and from
 * the loop then; what a client asks before and behind them waits its turn. */
static void large_replies(void **state)
{
    enum { DIM = 8000, ROUNDS = 60 };
    char *request = malloc(DIM * 8), *got = malloc(DIM * 64), *again;
    size_t n = (size_t)snprintf(request, DIM * 8, "VADD large VALUES %d", DIM),
           size = 0;
    int fd = dial(&server), quick = dial(&server);
    (void)state;
    for (int i = 0; i < DIM; i++)
        n += (size_t)snprintf(request + n, DIM * 8 - n, " %d", i % 7 - 3);
    n += (size_t)snprintf(request + n, DIM * 8 - n, " x\r\n");
    send_bytes(fd, request, n);
    assert_int_equal(receive(fd, got, 4, 20000), 4);
    send_text(fd, "VEMB large x\r\nPING\r\n");
    while (size < 7 || memcmp(got + size - 7, "+PONG\r\n", 7) != 0) {
        ssize_t some = recv(fd, got + size, DIM * 64 - size, 0);
        assert_true(some > 0);
        size += (size_t)some;
    }
    size -= 7;
    assert_true(size > 50000);
    for (int round = 0; round < ROUNDS; round++)
        send_text(fd, "VCARD large\r\nVEMB large x\r\nPING\r\n");
    expect_reply(quick, "VCARD large", ":1\n"); /* nobody else waits */
    again = malloc(size + 32);
    for (int round = 0; round < ROUNDS; round++) {
        assert_int_equal(receive(fd, again, size + 11, 20000), size + 11);
        assert_memory_equal(again, ":1\r\n", 4);
        assert_memory_equal(again + 4, got, size);
        assert_memory_equal(again + 4 + size, "+PONG\r\n", 7);
    }
    expect_reply(fd, "AKIN.DROP large", "+OK\n");
    close(fd);
    close(quick);
    free(request);
    free(got);
    free(again);
}

/* A client that says all it has to say and closes its side still gets its
 * replies. */
static void half_closed(void **state)
{
    (void)state;
    char got[64];
    int fd = dial(&server);
    send_text(fd, "VCARD q\r\nPING\r\n");
    shutdown(fd, SHUT_WR);
    assert_int_equal(receive(fd, got, sizeof got, 5000), 11);
    assert_memory_equal(got, ":0\r\n+PONG\r\n", 11);
    expect_closed(fd);
    close(fd);
}

static long server_kilobytes(void)
{
    char path[64], line[256];
    long kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", (long)server.pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f))
        if (!strncmp(line, "VmRSS:", 6)) kilobytes = strtol(line + 6, NULL, 10);
    fclose(f);
    return kilobytes;
}

/* A client that asks for gigabytes and does not read gets no memory beyond its
 * share; the others do not notice; when it reads, all is there. */
static void slow_reader(void **state)
{
    enum { BULK = 60000, COUNT = 3000 }; /* 180 MB of replies */
    static char request[BULK + 64], got[1 << 16];
    (void)state;
    int size = snprintf(request, sizeof request, "*2\r\n$4\r\nECHO\r\n$%d\r\n",
                        (int)BULK);
    memset(request + size, 'x', BULK);
    memcpy(request + size + BULK, "\r\n", 2);
    size_t whole = (size_t)size + BULK + 2, sent = 0;
    int fd = dial(&server), other = dial(&server);
    long before = server_kilobytes();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    size_t total = whole * COUNT;
    for (int idle = 0; sent < total && idle < 20;) {
        size_t at = sent % whole;
        ssize_t n = send(fd, request + at, whole - at, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t)n;
            idle = 0;
        } else {
            nap_ms(20);
            idle++;
        }
    }
    assert_true(sent < total); /* it was held back */
    expect_reply(other, "PING", "+PONG\n");
#ifndef __SANITIZE_THREAD__ /* whose shadow is counted too */
    assert_true(server_kilobytes() - before < 64 * 1024);
#endif
    uint64_t want = (uint64_t)(sent / whole) * (BULK + 10), read = 0;
    /* Finish the request that is half sent, then read everything. */
    fcntl(fd, F_SETFL, 0);
    while (read < want) {
        size_t n = receive(fd, got, sizeof got, 5000);
        if (!n) break;
        read += n;
    }
    assert_true(read >= want);
    close(fd);
    close(other);
}

/* Keeps others from writing to the server's store until the descriptor is
 * closed: the lock of a WAL's writer, byte 120 of the file it is shared by. */
static int hold_store(const served *s)
{
    char path[64];
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 120, .l_len = 1};
    snprintf(path, sizeof path, "%s/akin.db-shm", s->data);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_SETLKW, &lock), 0);
    return fd;
}

static size_t receive_line(int fd, char *out, size_t size)
{
    size_t n = 0;
    while (n + 1 < size && receive(fd, out + n, 1, 20000))
        if (out[n++] == '\n') break;
    out[n] = 0;
    return n;
}

/* "VISMEMBER q", and an id of so many bytes; gives its size. */
static size_t large_request(char *out, size_t id_bytes)
{
    size_t n = (size_t)snprintf(
        out, 64, "*3\r\n$9\r\nVISMEMBER\r\n$1\r\nq\r\n$%zu\r\n", id_bytes);
    memset(out + n, 'x', id_bytes);
    memcpy(out + n + id_bytes, "\r\n", 2);
    return n + id_bytes + 2;
}

/* Large requests behind one that a worker is held by, far more of them than may
 * be in memory: the client is held back. scarce: all clients together may have
 * 28 MiB; what the worker was given counts when another one wants memory. When
 * it goes on, all are answered, and the memory is there again. */
static void pipeline_of_large_requests(bool scarce)
{
    enum { M = 1 << 20, LARGE = 8 * M - 256, COUNT = 6, OTHER = 14 * M };
    static const char *const options[] = {"--max-request-memory", "28M", NULL};
    served own = {0};
    char got[256];
    char *request = malloc(OTHER + 64);
    assert_non_null(request);
    serve(&own, scarce ? options : NULL);
    int lock = hold_store(&own), fd = dial(&own);
    send_text(fd, "VADD q VALUES 2 1 0 a\r\n");
    size_t whole = large_request(request, LARGE), sent = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (int idle = 0; sent < whole * COUNT && idle < 20;) {
        size_t at = sent % whole;
        ssize_t n = send(fd, request + at, whole - at, MSG_NOSIGNAL);
        idle = n > 0 ? 0 : idle + 1;
        if (n > 0)
            sent += (size_t)n;
        else
            nap_ms(20);
    }
    fcntl(fd, F_SETFL, 0);

    int other = dial(&own);
    size_t size = large_request(request, OTHER);
    /* it may be closed before all is sent: no assertion */
    for (size_t at = 0; at < size;) {
        ssize_t n = send(other, request + at, size - at, MSG_NOSIGNAL);
        if (n <= 0) break;
        at += (size_t)n;
    }
    receive_line(other, got, sizeof got);
    close(other);
    struct pollfd answered = {.fd = fd, .events = POLLIN};
    if (!poll(&answered, 1, 0)) { /* else the store has given up waiting */
        assert_true(sent < 3 * LARGE);
        assert_int_equal(!strncmp(got, "-ERR the requests of all", 24), scarce);
    }

    close(lock);
    large_request(request, LARGE);
    for (size_t total = whole * COUNT; sent < total;) {
        size_t at = sent % whole;
        send_bytes(fd, request + at, whole - at);
        sent += whole - at;
    }
    for (int i = 0; i < 1 + COUNT; i++)
        assert_true(receive_line(fd, got, sizeof got) > 1);
    expect_reply(fd, "PING", "+PONG\n");
    other = dial(&own);
    send_bytes(other, request, large_request(request, OTHER));
    expect_reply(other, "PING", "~\n+PONG\n");
    close(other);
    close(fd);
    served_clear(&own);
    free(request);
}

static void large_requests_in_a_pipeline(void **state)
{
    (void)state;
    pipeline_of_large_requests(false);
    pipeline_of_large_requests(true);
}

/* ---- hostile input ------------------------------------------------------------ */

static void malformed_closes_only_itself(void **state)
{
    static const struct {
        const char *input, *reply;
    } bad[] = {
        {"*1\r\n+PING\r\n", "-ERR Protocol error: expected '$', got '+'\r\n"},
        {"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*99999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"*1\r\n$99999999999\r\n",
         "-ERR Protocol error: invalid bulk length\r\n"},
        {"echo \"a\r\n", "-ERR Protocol error: unbalanced quotes in "
                         "request\r\n"},
        {"PING\r\n*1\r\n$-5\r\n",
         "+PONG\r\n-ERR Protocol error: invalid bulk length\r\n"},
    };
    (void)state;
    int good = dial(&server);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char got[256];
        int fd = dial(&server);
        send_text(fd, bad[i].input);
        got[receive(fd, got, sizeof got - 1, 5000)] = 0;
        assert_string_equal(got, bad[i].reply);
        expect_closed(fd);
        close(fd);
        expect_reply(good, "PING", "+PONG\n");
    }
    close(good);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

static void random_bytes(void **state)
{
    uint64_t seed = 4711;
    char junk[2048];
    (void)state;
    int good = dial(&server);
    for (int round = 0; round < 200; round++) {
        size_t n = 1 + next_random(&seed) % sizeof junk;
        for (size_t i = 0; i < n; i++)
            junk[i] = (char)(round % 2 ? next_random(&seed)
                                       : (unsigned char)"*$\r\n12 AKIN.VSIM"
                                             [next_random(&seed) % 16]);
        int fd = dial(&server);
        /* it may close before all is sent: no assertion */
        if (send(fd, junk, n, MSG_NOSIGNAL) < 0) junk[0] = 0;
        close(fd);
    }
    expect_reply(good, "PING", "+PONG\n");
    close(good);
}

/* ---- limits, passwords ---------------------------------------------------------- */

static void small_limits(void **state)
{
    static const char *const few[] = {"--max-clients",
                                      "3",
                                      "--max-request",
                                      "20000",
                                      "--idle-timeout",
                                      "1",
                                      NULL};
    served own = {0};
    char got[256];
    (void)state;
    serve(&own, few);
    int fd = dial(&own);
    send_text(fd, "*2\r\n$4\r\nECHO\r\n$30000\r\n");
    got[receive(fd, got, sizeof got - 1, 5000)] = 0;
    assert_string_equal(got, "-ERR Protocol error: invalid bulk length\r\n");
    close(fd);
    int some[4];
    for (int i = 0; i < 3; i++) {
        some[i] = dial(&own);
        expect_reply(some[i], "PING", "+PONG\n");
    }
    some[3] = dial(&own);
    got[receive(some[3], got, sizeof got - 1, 5000)] = 0;
    assert_string_equal(got, "-ERR max number of clients reached\r\n");
    expect_closed(some[0]); /* idle for more than a second */
    for (int i = 0; i < 4; i++)
        close(some[i]);
    nap_ms(50);
    fd = dial(&own);
    expect_reply(fd, "PING", "+PONG\n");
    close(fd);
    served_clear(&own);
}

static void password(void **state)
{
    static const char *const secret[] = {"--requirepass", "s3cret", NULL};
    served own = {0};
    char got[256];
    (void)state;
    serve(&own, secret);
    int fd = dial(&own);
    expect_reply(fd, "PING", "-NOAUTH Authentication required.\n");
    expect_reply(fd, "VCARD v", "-NOAUTH Authentication required.\n");
    expect_reply(fd, "NOSUCH", "-NOAUTH Authentication required.\n");
    expect_reply(fd, "HELLO 3", "-NOAUTH HELLO must be called ~\n");
    expect_reply(fd, "AUTH wrong", "-WRONGPASS invalid username-password ~\n");
    expect_reply(fd, "AUTH s3cre", "-WRONGPASS ~\n");
    expect_reply(fd, "AUTH s3crets", "-WRONGPASS ~\n");
    expect_reply(fd, "AUTH ''", "-WRONGPASS ~\n");
    expect_reply(fd, "AUTH somebody s3cret", "-WRONGPASS ~\n");
    /* The log-in and what needs it in one write, with a large argument. */
    char *large = malloc(100000);
    int n = snprintf(large, 100000,
                     "AUTH default s3cret\r\n*2\r\n$4\r\nECHO\r\n"
                     "$50000\r\n");
    memset(large + n, 'a', 50000);
    memcpy(large + n + 50000, "\r\n", 2);
    send_bytes(fd, large, (size_t)n + 50002);
    assert_int_equal(receive(fd, large, 5 + 8 + 50002, 5000), 5 + 8 + 50002);
    assert_memory_equal(large, "+OK\r\n$50000\r\naaa", 16);
    free(large);
    expect_reply(fd, "AKIN.CONFIG GET requirepass",
                 "*2\n$11\nrequirepass\n$5\n(set)\n");
    expect_reply(fd, "RESET", "+RESET\n");
    expect_reply(fd, "PING", "-NOAUTH Authentication required.\n");
    close(fd);
    fd = dial(&own);
    send_text(fd, "HELLO 3 AUTH default s3cret\r\n");
    receive(fd, got, 2, 5000);
    assert_memory_equal(got, "%7", 2);
    close(fd);
    /* strangers have no large requests */
    fd = dial(&own);
    send_text(fd, "*2\r\n$4\r\nECHO\r\n$50000\r\n");
    got[receive(fd, got, sizeof got - 1, 5000)] = 0;
    assert_string_equal(got, "-ERR Protocol error: invalid bulk length\r\n");
    close(fd);
    served_clear(&own);
}

static void no_password(void **state)
{
    (void)state;
    int fd = dial(&server);
    expect_reply(fd, "AUTH x", "-ERR AUTH <password> called without any ~\n");
    expect_reply(fd, "AUTH default x", "+OK\n");
    close(fd);
}

/* ---- ending --------------------------------------------------------------------- */

static int ends_cleanly(int with_signal)
{
    served own = {0};
    serve(&own, NULL);
    int fd = dial(&own), idle = dial(&own);
    expect_reply(fd, "VADD v VALUES 2 1 0 a", ":1\n");
    int status = serve_end(&own, with_signal);
    expect_closed(fd);
    expect_closed(idle);
    assert_int_equal(access(own.socket, F_OK), -1);
    /* what was acknowledged is there again */
    close(fd);
    close(idle);
    serve_again(&own, NULL);
    fd = dial(&own);
    expect_reply(fd, "VCARD v", ":1\n");
    close(fd);
    served_clear(&own);
    return status;
}

static void term(void **state)
{
    (void)state;
    assert_int_equal(ends_cleanly(SIGTERM), 0);
}

static void interrupt(void **state)
{
    (void)state;
    assert_int_equal(ends_cleanly(SIGINT), 0);
}

static void shutdown_command(void **state)
{
    served own = {0};
    int status;
    (void)state;
    serve(&own, NULL);
    int fd = dial(&own);
    expect_reply(fd, "SHUTDOWN WHAT", "-ERR syntax error near 'WHAT'\n");
    expect_reply(fd, "SHUTDOWN NOSAVE", "+OK\n");
    expect_closed(fd);
    close(fd);
    assert_int_equal(waitpid(own.pid, &status, 0), own.pid);
    own.pid = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    served_clear(&own);
}

/* A waiting command does not hold the end up. */
static void term_while_waiting(void **state)
{
    served own = {0};
    char path[96], request[160];
    (void)state;
    serve(&own, NULL);
    snprintf(path, sizeof path, "%s/many.csv", own.dir);
    FILE *f = fopen(path, "w"); /* a minute of work */
    assert_non_null(f);
    fputs("id,caption\n", f);
    for (int i = 0; i < 200000; i++)
        fprintf(f, "i%d,the %d. of many\n", i, i);
    assert_int_equal(fclose(f), 0);
    int fd = dial(&own);
    snprintf(request, sizeof request, "AKIN.INGEST c %s", path);
    expect_reply(fd, request, ":1\n");
    send_text(fd, "AKIN.JOB WAIT 1 60000\r\nAKIN.JOB WAIT 1 60000\r\n");
    struct pollfd waits = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&waits, 1, 100), 0);
    assert_int_equal(serve_end(&own, SIGTERM), 0);
    close(fd);
    served_clear(&own);
}

static void one_server_a_directory(void **state)
{
    (void)state;
    char message[512] = "";
    const char *argv[] = {AKIN_PROGRAM, "serve", "--data", server.data,
                          "--port",     "0",     NULL};
    int status;
    truncate(server.log, 0);
    pid_t pid = spawn(&server, argv, NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
    FILE *f = fopen(server.log, "r");
    assert_non_null(f);
    assert_non_null(fgets(message, sizeof message, f));
    fclose(f);
    assert_int_equal(strncmp(message, "akin: ", 6), 0);
    int fd = dial(&server); /* the first one goes on */
    expect_reply(fd, "PING", "+PONG\n");
    close(fd);
}

/* ---- the client everybody has ------------------------------------------------------ */

static void redis_cli(void **state)
{
    char out[64], text[4096] = "";
    int status;
    (void)state;
    snprintf(out, sizeof out, "%s/out", server.dir);
    const char *argv[] = {
        "sh", "-c",
        "set -e; c=\"redis-cli -s $0\"; $c ping; $c vadd r values 2 1 0 a; "
        "$c vadd r values 2 0 1 b setattr '{\"x\":1}'; "
        "$c vsim r ele a withscores withattribs; $c -3 vsim r ele a "
        "withscores; $c --json vemb r b; $c akin.drop r; "
        "printf 'ping\\necho hi\\n' | $c; $c nosuch; $c --no-raw vcard none",
        server.socket, NULL};
    pid_t pid = spawn(&server, argv, out);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    FILE *f = fopen(out, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    assert_string_equal(text,
                        "PONG\n1\n1\na\n1\n\nb\n0.5\n{\"x\":1}\na 1\nb 0.5\n"
                        "[0,1]\nOK\nPONG\nhi\nERR unknown command "
                        "'nosuch', with args beginning with: \n\n(integer) 0"
                        "\n");
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(basics),
        cmocka_unit_test(hello),
        cmocka_unit_test(client),
        cmocka_unit_test(command),
        cmocka_unit_test(info),
        cmocka_unit_test(pipeline),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(large_replies),
        cmocka_unit_test(half_closed),
        cmocka_unit_test(slow_reader),
        cmocka_unit_test(large_requests_in_a_pipeline),
        cmocka_unit_test(malformed_closes_only_itself),
        cmocka_unit_test(random_bytes),
        cmocka_unit_test(small_limits),
        cmocka_unit_test(password),
        cmocka_unit_test(no_password),
        cmocka_unit_test(term),
        cmocka_unit_test(interrupt),
        cmocka_unit_test(shutdown_command),
        cmocka_unit_test(term_while_waiting),
        cmocka_unit_test(one_server_a_directory),
        cmocka_unit_test(redis_cli),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
