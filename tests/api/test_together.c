/* A server that is asked, written to and reindexed at once. Two connections
 * search, alone and in pipelines, over lists that are built anew under them; one
 * adds, replaces and removes; each searcher also writes items of its own. Every
 * reply is checked: k matches, best first, each once, of items that are there;
 * what the same connection wrote before is found. Meant for ThreadSanitizer,
 * whose report the server's exit status and log would carry. */
#include "served.h"

#include <hiredis/hiredis.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum {
    DIM = 32,
    FIXED = 400, /* items that stay: f0, f1 ... */
    LOOSE = 150, /* that are put, replaced and removed: v0, v1 ... */
    GOING = 200, /* that are removed once: g0, g1 ... */
    K = 10,
    SEARCHERS = 2,
    REBUILDS = 4,
    LEAST = 60, /* rounds of a searcher */
    PIPELINE = 24
};

static served server;
static atomic_bool gone[GOING]; /* its removal was acknowledged */
static atomic_bool over, failed;

/* The vector of version `turn` of item i of a kind. */
static void vector_of(char kind, unsigned i, unsigned turn, float *out)
{
    uint64_t state = (uint64_t)kind << 40 | (uint64_t)i << 16 | turn;
    for (int d = 0; d < DIM; d++) {
        uint64_t z = state += 0x9E3779B97F4A7C15ull;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
        out[d] = (float)(z >> 40) / (1 << 23) - 0.9f;
    }
}

/* Ends all threads; assertions belong to the main one. */
static void complain(const char *what, const char *more)
{
    if (!atomic_exchange(&failed, true))
        fprintf(stderr, "test_together: %s: %s\n", what, more ? more : "");
    atomic_store(&over, true);
}

static redisContext *link_up(void)
{
    redisContext *link = redisConnectUnix(server.socket);
    if (!link || link->err) complain("connect", link ? link->errstr : "memory");
    return link;
}

/* The next reply; NULL, after a complaint: none, or an error. */
static redisReply *next_reply(redisContext *link)
{
    redisReply *r = NULL;
    if (redisGetReply(link, (void **)&r)) {
        complain("connection", link->errstr);
        return NULL;
    }
    if (r->type != REDIS_REPLY_ERROR) return r;
    complain("reply", r->str);
    freeReplyObject(r);
    return NULL;
}

/* The value of a field of a flat array of names and values; NULL: none. */
static const redisReply *field_of(const redisReply *r, const char *name)
{
    for (size_t f = 0; f + 1 < r->elements; f += 2)
        if (r->element[f]->str && !strcmp(r->element[f]->str, name))
            return r->element[f + 1];
    return NULL;
}

/* An integer is wanted, -1: any. */
static void expect_int(redisContext *link, long long want)
{
    redisReply *r = next_reply(link);
    if (r &&
        (r->type != REDIS_REPLY_INTEGER || (want >= 0 && r->integer != want)))
        complain("expected an integer", r->str);
    if (r) freeReplyObject(r);
}

static void put(redisContext *link, const char *id, const float *vector)
{
    redisAppendCommand(link, "VADD c FP32 %b %s", vector, DIM * sizeof(float),
                       id);
}

static void ask(redisContext *link, const float *vector)
{
    redisAppendCommand(link, "VSIM c FP32 %b COUNT %d WITHSCORES", vector,
                       DIM * sizeof(float), K);
}

/* Whether an id may be in a reply. before: what was gone when it was asked. */
static bool may_be(const char *id, const bool *before)
{
    unsigned long n = strtoul(id + 1, NULL, 10);
    switch (id[0]) {
    case 'f': return n < FIXED;
    case 'v': return n < LOOSE;
    case 'g': return n < GOING && !before[n];
    case 'o': return n < SEARCHERS;
    default: return false;
    }
}

/* K ids with their scores, the first one `best` with a score of 1. */
static void expect_matches(redisContext *link, const char *best,
                           const bool *before)
{
    redisReply *r = next_reply(link);
    double last = 1.001;
    if (!r) return;
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 * K) {
        complain("expected 10 matches", best);
        freeReplyObject(r);
        return;
    }
    if (strcmp(r->element[0]->str, best) != 0)
        complain(best, r->element[0]->str);
    if (!(strtod(r->element[1]->str, NULL) > 0.999))
        complain("score of the item itself", r->element[1]->str);
    for (size_t i = 0; i < r->elements; i += 2) {
        const char *id = r->element[i]->str;
        double score = strtod(r->element[i + 1]->str, NULL);
        if (!(score <= last)) complain("not sorted", id);
        last = score;
        if (!may_be(id, before)) complain("is not there", id);
        for (size_t j = 0; j < i; j += 2)
            if (!strcmp(r->element[j]->str, id)) complain("twice", id);
    }
    freeReplyObject(r);
}

/* ---- threads ------------------------------------------------------------------- */

/* One round: a search alone; a pipeline of them; an own item, replaced and
 * looked for in one pipeline. */
static void search_round(redisContext *link, unsigned self, unsigned round)
{
    float vector[DIM];
    bool before[GOING];
    char own[16], id[16];
    for (int i = 0; i < GOING; i++)
        before[i] = atomic_load(&gone[i]);
    unsigned first = (round * 31 + self * 97) % FIXED;
    vector_of('f', first, 0, vector);
    ask(link, vector);
    snprintf(id, sizeof id, "f%u", first);
    expect_matches(link, id, before);

    for (unsigned i = 0; i < PIPELINE; i++) {
        vector_of('f', (first + i) % FIXED, 0, vector);
        ask(link, vector);
    }
    for (unsigned i = 0; i < PIPELINE; i++) {
        snprintf(id, sizeof id, "f%u", (first + i) % FIXED);
        expect_matches(link, id, before);
    }

    snprintf(own, sizeof own, "o%u", self);
    for (unsigned turn = 0; turn < 2; turn++) {
        vector_of('o', self, 2 * round + turn, vector);
        put(link, own, vector);
        ask(link, vector);
        ask(link, vector);
    }
    for (unsigned turn = 0; turn < 2; turn++) {
        expect_int(link, round || turn ? 0 : 1);
        expect_matches(link, own, before);
        expect_matches(link, own, before);
    }
}

static void *search(void *arg)
{
    const unsigned *self = arg;
    redisContext *link = link_up();
    for (unsigned round = 0;
         !atomic_load(&failed) && (round < LEAST || !atomic_load(&over));
         round++)
        search_round(link, *self, round);
    redisFree(link);
    return NULL;
}

/* Some adds and changes at once, then a removal of each kind. */
static void *write_items(void *arg)
{
    redisContext *link = link_up();
    (void)arg;
    for (unsigned round = 0; !atomic_load(&over); round++) {
        char id[16];
        float vector[DIM];
        for (unsigned i = 0; i < 5; i++) {
            unsigned at = (round * 7 + i * 11) % LOOSE;
            snprintf(id, sizeof id, "v%u", at);
            vector_of('v', at, round % 1000, vector);
            put(link, id, vector);
        }
        for (unsigned i = 0; i < 5; i++)
            expect_int(link, -1);
        redisAppendCommand(link, "VREM c v%u", round * 13 % LOOSE);
        expect_int(link, -1);
        if (round >= GOING) continue;
        redisAppendCommand(link, "VREM c g%u", round);
        expect_int(link, 1);
        atomic_store(&gone[round], true);
    }
    redisFree(link);
    return NULL;
}

/* Builds and waits, REBUILDS times; then all may end. */
static void *rebuild(void *arg)
{
    redisContext *link = link_up();
    (void)arg;
    for (int i = 0; i < REBUILDS && !atomic_load(&failed); i++) {
        redisAppendCommand(link, "AKIN.REBUILD c");
        redisReply *job = next_reply(link);
        if (!job) break;
        redisAppendCommand(link, "AKIN.JOB WAIT %lld 600000", job->integer);
        freeReplyObject(job);
        redisReply *done = next_reply(link);
        const redisReply *end = done ? field_of(done, "state") : NULL;
        if (done && (!end || !end->str || strcmp(end->str, "done") != 0))
            complain("rebuild", end ? end->str : "no state");
        if (done) freeReplyObject(done);
    }
    atomic_store(&over, true);
    redisFree(link);
    return NULL;
}

/* ---- the test -------------------------------------------------------------------- */

static void fill(void)
{
    redisContext *link = link_up();
    static const struct {
        char kind;
        unsigned n;
    } parts[] = {{'f', FIXED}, {'g', GOING}};
    for (size_t p = 0; p < 2; p++) {
        for (unsigned i = 0; i < parts[p].n; i++) {
            char id[16];
            float vector[DIM];
            snprintf(id, sizeof id, "%c%u", parts[p].kind, i);
            vector_of(parts[p].kind, i, 0, vector);
            put(link, id, vector);
        }
        for (unsigned i = 0; i < parts[p].n; i++)
            expect_int(link, 1);
    }
    redisFree(link);
    assert_false(atomic_load(&failed));
}

/* What the lists are, after all: lists. And store and index agree. */
static void expect_sound(void)
{
    int fd = dial(&server);
    char got[4096] = "";
    size_t n = 0;
    send_text(fd, "VINFO c\r\n");
    while (n < sizeof got - 1 && !strstr(got, "IVF") &&
           receive(fd, got + n, 1, 20000))
        got[++n] = 0;
    assert_non_null(strstr(got, "IVF"));
    close(fd);
    redisContext *link = link_up();
    redisReply *r = redisCommand(link, "AKIN.CHECK c");
    assert_non_null(r);
    if (r->type == REDIS_REPLY_ERROR) fail_msg("AKIN.CHECK: %s", r->str);
    const redisReply *problems = field_of(r, "problems");
    assert_non_null(problems);
    assert_int_equal(problems->type, REDIS_REPLY_INTEGER);
    assert_int_equal(problems->integer, 0);
    freeReplyObject(r);
    redisFree(link);
}

/* Ends the server once, so that sanitizers can say what they found. */
static void expect_good_end(void)
{
    int fd = dial(&server), status = -1;
    send_text(fd, "SHUTDOWN\r\n");
    for (int i = 0; i < 4800 && waitpid(server.pid, &status, WNOHANG) == 0; i++)
        nap_ms(25);
    close(fd);
    server.pid = 0;
    char line[512];
    bool bad = !WIFEXITED(status) || WEXITSTATUS(status);
    FILE *log = fopen(server.log, "r");
    assert_non_null(log);
    while (fgets(line, sizeof line, log))
        if (strstr(line, "Sanitizer") || strstr(line, "runtime error") || bad) {
            fputs(line, stderr);
            bad = true;
        }
    fclose(log);
    assert_false(bad);
}

static void searches_writes_and_swaps(void **state)
{
    static const char *const options[] = {"--index-exact-below", "300", NULL};
    static const unsigned selves[SEARCHERS] = {0, 1};
    pthread_t searchers[SEARCHERS], writer, builder;
    (void)state;
    serve(&server, options);
    fill();
    for (size_t i = 0; i < SEARCHERS; i++)
        pthread_create(&searchers[i], NULL, search, (void *)&selves[i]);
    pthread_create(&writer, NULL, write_items, NULL);
    pthread_create(&builder, NULL, rebuild, NULL);
    for (size_t i = 0; i < SEARCHERS; i++)
        pthread_join(searchers[i], NULL);
    pthread_join(writer, NULL);
    pthread_join(builder, NULL);
    assert_false(atomic_load(&failed));
    expect_sound();
    expect_good_end();
}

static int stop(void **state)
{
    (void)state;
    served_clear(&server);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(searches_writes_and_swaps, stop),
    };
    return cmocka_run_group_tests_name("api/together", tests, NULL, NULL);
}
