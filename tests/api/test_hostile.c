/* Every command of the table with random, mostly wrong arguments: each request
 * gets exactly one reply and the server stays up. */
#include <hiredis/hiredis.h>

#include "commands.h"
#include "served.h"

#define REQUESTS 12000

static const char *const words[] = {
    "",         "v",          "v",          "v",
    "w",        "a",          "b",          "0",
    "1",        "2",          "-1",         "3",
    "1e308",    "nan",        "0x10",       "99999999999999999999",
    "10000",    "32769",      "FP32",       "VALUES",
    "ELE",      "TEXT",       "IMAGE",      "CAPTION",
    "SETATTR",  "{\"x\":1}",  "{\"x\":",    "[]",
    "COUNT",    "OFFSET",     "FILTER",     ".x == 1",
    ".x ==",    "((((((((",   "WITHSCORES", "WITHATTRIBS",
    "EPSILON",  "SPACE",      "both",       "WEIGHT",
    "NOSELF",   "TRUTH",      "RECALL",     "NPROBE",
    "TIMEOUT",  "EF",         "FILTER-EF",  "RAW",
    "REDUCE",   "CAS",        "BIN",        "M",
    "PATH",     "DESCRIBE",   "CAPTIONS",   "none",
    "MODIFIED", "MODEL",      "DIM",        "SCHEMA",
    "number",   "LIST",       "FAILURES",   "CANCEL",
    "RESUME",   "GET",        "SET",        "index.recall",
    "*",        "INFO",       "DOCS",       "(a",
    "[b",       "-",          "+",          "\xff\xfe",
    "\x1b[31m", "red shoes",  "GIF89a",     "\x89PNG\r\n\x1a\n",
    "<svg",     "COLLECTION", "REPAIR",     "SETNAME",
    "GETNAME",  "NO-EVICT",   "ON",         "everything",
};

static uint64_t seed;

static size_t chance(size_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(seed >> 33) % n;
}

/* Those that end the connection or change the protocol under hiredis 0.14, or
 * may wait for an hour. */
static bool left_out(const char *name)
{
    static const char *const names[] = {"QUIT", "SHUTDOWN", "HELLO"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

static void every_command(void **state)
{
    served server = {0};
    size_t n, count = sizeof words / sizeof *words;
    const akin_command *rows = akin_commands(&n);
    unsigned errors = 0;
    (void)state;
    seed = 99;
    serve(&server, NULL);
    redisContext *c = redisConnectUnix(server.socket);
    assert_non_null(c);
    assert_int_equal(c->err, 0);
    for (int round = 0; round < REQUESTS; round++) {
        const char *argv[16];
        size_t sizes[16], argc = 1 + chance(9);
        const akin_command *row = &rows[chance(n)];
        if (left_out(row->name)) continue;
        argv[0] = row->name;
        if (row->arity > 0 && chance(4)) argc = (size_t)row->arity;
        for (size_t i = 1; i < argc; i++)
            argv[i] = words[i == 1 && chance(3) ? chance(5) : chance(count)];
        for (size_t i = 0; i < argc; i++)
            sizes[i] = strlen(argv[i]);
        /* now and then a NUL in the middle, or something long */
        if (argc > 2 && !chance(20)) sizes[argc - 1]++;
        redisReply *reply = redisCommandArgv(c, (int)argc, argv, sizes);
        if (!reply)
            fail_msg("round %d (seed 99): %s: %s", round, row->name, c->errstr);
        errors += reply->type == REDIS_REPLY_ERROR;
        freeReplyObject(reply);
    }
    redisReply *reply = redisCommand(c, "PING");
    assert_non_null(reply);
    assert_string_equal(reply->str, "PONG");
    freeReplyObject(reply);
    redisFree(c);
    assert_true(errors > REQUESTS / 10);
    assert_true(errors < REQUESTS); /* some of it made sense */
    assert_int_equal(serve_end(&server, SIGTERM), 0);
    served_clear(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_command)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
