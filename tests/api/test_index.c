/* AKIN.RECALL, AKIN.TUNE, AKIN.REBUILD and `akin index`, on a server whose
 * collections are indexed from 300 items on. */
#include "served.h"

#include <hiredis/hiredis.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>

enum { N = 1500, DIM = 32 };

static served server;
static redisContext *link_;

static float number_at(unsigned i)
{
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    return (float)((z ^ (z >> 27)) % 2000) / 1000 - 1;
}

/* 60 clusters. */
static void vector_of(unsigned i, float *out)
{
    for (unsigned d = 0; d < DIM; d++)
        out[d] = 0.5f + number_at(i % 60 * DIM + d) +
                 1.0f * number_at(100000 + i * DIM + d);
}

static redisReply *ask(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    redisReply *r = redisvCommand(link_, fmt, args);
    va_end(args);
    assert_non_null(r);
    return r;
}

static redisReply *good(redisReply *r)
{
    if (r->type == REDIS_REPLY_ERROR) fail_msg("%s", r->str);
    return r;
}

static const redisReply *field(const redisReply *map, const char *key)
{
    for (size_t i = 0; i + 1 < map->elements; i += 2)
        if (!strcmp(map->element[i]->str, key)) return map->element[i + 1];
    fail_msg("no field %s", key);
    return NULL;
}

static double real(const redisReply *map, const char *key)
{
    const redisReply *v = field(map, key);
    return v->type == REDIS_REPLY_INTEGER ? (double)v->integer
                                          : strtod(v->str, NULL);
}

static int setup(void **state)
{
    static const char *const options[] = {"--index-exact-below", "300",
                                          "--no-index-auto", NULL};
    float v[DIM];
    (void)state;
    serve(&server, options);
    link_ = redisConnectUnix(server.socket);
    assert_true(link_ && !link_->err);
    freeReplyObject(good(ask("AKIN.CREATE v DIM %d RECALL 0.9", DIM)));
    for (unsigned i = 0; i < N; i++) {
        vector_of(i, v);
        redisAppendCommand(link_, "VADD v FP32 %b item%d", v, sizeof v, i);
    }
    for (unsigned i = 0; i < N; i++) {
        redisReply *r;
        assert_int_equal(redisGetReply(link_, (void **)&r), REDIS_OK);
        freeReplyObject(good(r));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    redisFree(link_);
    served_clear(&server);
    return 0;
}

/* The job's last state. */
static void wait_for(long long id, const char *state)
{
    redisReply *job = good(ask("AKIN.JOB WAIT %lld 120000", id));
    assert_string_equal(field(job, "state")->str, state);
    freeReplyObject(job);
}

static void rebuild(const char *index)
{
    redisReply *r = good(index ? ask("AKIN.REBUILD v INDEX %s", index)
                               : ask("AKIN.REBUILD v"));
    wait_for(r->integer, "done");
    freeReplyObject(r);
}

static void small_spaces_are_exact(void **state)
{
    (void)state;
    redisReply *r = good(ask("AKIN.RECALL v"));
    assert_int_equal(r->elements, 1);
    assert_int_equal(field(r->element[0], "exact")->integer, 1);
    assert_int_equal(field(r->element[0], "curve")->elements, 0);
    freeReplyObject(r);
    r = good(ask("AKIN.TUNE v"));
    assert_int_equal(r->elements, 1);
    assert_string_equal(field(r->element[0], "current")->str, "exact");
    assert_string_equal(field(r->element[0], "chosen")->str, "IVF38,PQ16");
    assert_true(strlen(field(r->element[0], "why")->str) > 10);
    freeReplyObject(r);
}

static void recall_is_measured(void **state)
{
    (void)state;
    rebuild(NULL);
    redisReply *r = good(ask("AKIN.RECALL v SAMPLE 100"));
    assert_int_equal(r->elements,
                     1); /* no captions: nothing is asked in words */
    const redisReply *m = r->element[0], *curve = field(m, "curve");
    assert_string_equal(field(m, "space")->str, "image");
    assert_string_equal(field(m, "queries")->str, "items");
    assert_int_equal(field(m, "exact")->integer, 0);
    assert_int_equal(field(m, "sample")->integer, 100);
    assert_true(fabs(real(m, "target") - 0.9) < 1e-6); /* the collection's */
    assert_true(curve->elements >= 2);
    double before = -1;
    for (size_t i = 0; i < curve->elements; i++) {
        const redisReply *p = curve->element[i];
        assert_true(real(p, "recall") > before && real(p, "recall") <= 1);
        assert_true(real(p, "error") > 0 && real(p, "error") < 0.2);
        assert_true(real(p, "qps") > 0);
        assert_true(real(p, "nprobe") >= 1 && real(p, "candidates") >= 10);
        before = real(p, "recall");
    }
    assert_true(before > 0.9);
    freeReplyObject(r);
    r = ask("AKIN.RECALL v TEXT");
    assert_int_equal(r->type, REDIS_REPLY_ERROR);
    assert_non_null(strstr(r->str, "too few captions"));
    freeReplyObject(r);
    r = ask("AKIN.RECALL v SPACE sound");
    assert_int_equal(r->type, REDIS_REPLY_ERROR);
    freeReplyObject(r);
}

static void an_index_may_be_named(void **state)
{
    static const char *const wrong[] = {"foo",   "IVF0",   "IVF10,PQ8,x",
                                        "IVF-3", "IVF10,", "HNSW32"};
    (void)state;
    rebuild("IVF20,PQ8");
    redisReply *r = good(ask("AKIN.INFO v"));
    const redisReply *image = field(r, "image");
    assert_string_equal(field(image, "index")->str, "IVF20,PQ8");
    assert_true(real(image, "disk_per_vector") >= DIM * 2 + 8);
    assert_true(real(image, "memory_per_vector") >=
                real(image, "disk_per_vector"));
    freeReplyObject(r);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        r = ask("AKIN.REBUILD v INDEX %s", wrong[i]);
        if (r->type != REDIS_REPLY_ERROR) fail_msg("%s is accepted", wrong[i]);
        freeReplyObject(r);
    }
    r = ask("AKIN.REBUILD nowhere");
    assert_int_equal(r->type, REDIS_REPLY_ERROR);
    freeReplyObject(r);
}

/* Jobs of one collection wait for each other, so that the second is cancelled
 * before it begins, unless it was too quick for us. */
static void a_rebuild_is_cancelled(void **state)
{
    float v[DIM];
    (void)state;
    redisReply *first = good(ask("AKIN.REBUILD v"));
    redisReply *second = good(ask("AKIN.REBUILD v INDEX IVF30"));
    freeReplyObject(ask("AKIN.JOB CANCEL %lld", second->integer));
    wait_for(first->integer, "done");
    redisReply *job = good(ask("AKIN.JOB WAIT %lld 120000", second->integer));
    bool cancelled = !strcmp(field(job, "state")->str, "cancelled");
    if (!cancelled) assert_string_equal(field(job, "state")->str, "done");
    freeReplyObject(job);
    freeReplyObject(first);
    freeReplyObject(second);
    vector_of(7, v);
    redisReply *r = good(ask("VSIM v FP32 %b COUNT 1", v, sizeof v));
    assert_string_equal(r->element[0]->str, "item7");
    freeReplyObject(r);
    r = good(ask("AKIN.TUNE v"));
    assert_string_equal(field(r->element[0], "current")->str,
                        cancelled ? "IVF38,PQ16" : "IVF30,PQ16");
    assert_true(real(r->element[0], "took_seconds") > 0);
    assert_true(real(field(r->element[0], "items"), "recall") >= 0.9);
    freeReplyObject(r);
}

/* ---- the program ------------------------------------------------------------ */

/* Runs it against the server; gives what it printed, for free. */
static char *run_akin(int code, const char *const *words)
{
    const char *argv[16] = {AKIN_PROGRAM, "--connect", server.socket};
    char path[64], *text;
    int status;
    for (size_t n = 3; *words;)
        argv[n++] = *words++;
    snprintf(path, sizeof path, "%s/out", server.dir);
    pid_t pid = spawn(&server, argv, path);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    text = calloc(1, 65536);
    assert_true(fread(text, 1, 65535, f) < 65535);
    fclose(f);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code)
        fail_msg("status %x: %s; see %s", (unsigned)status, text, server.log);
    return text;
}
#define AKIN(code, ...) run_akin(code, (const char *const[]){__VA_ARGS__, NULL})

static void from_the_command_line(void **state)
{
    (void)state;
    rebuild(NULL);
    char *text = AKIN(0, "index", "tune", "v");
    assert_non_null(strstr(text, "IVF38,PQ16, in use"));
    assert_non_null(strstr(text, "as many lists as there are rows"));
    assert_non_null(strstr(text, "nprobe"));
    assert_non_null(strstr(text, "building"));
    free(text);
    text = AKIN(0, "index", "recall", "v", "--sample", "64");
    assert_non_null(strstr(text, "recall@10"));
    assert_non_null(strstr(text, "used"));
    free(text);
    text = AKIN(0, "index", "rebuild", "-c", "v", "--index", "IVF25", "--json");
    json_t *root = json_loads(text, 0, NULL);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(root, 0), "current")),
        "IVF25,PQ16");
    json_decref(root);
    free(text);
    text = AKIN(0, "index", "recall", "v", "--json");
    root = json_loads(text, 0, NULL);
    assert_true(
        json_array_size(json_object_get(json_array_get(root, 0), "curve")) > 2);
    json_decref(root);
    free(text);
    free(AKIN(2, "index", "tune", "v", "--index", "IVF25"));
    free(AKIN(2, "index", "polish", "v"));
    free(AKIN(3, "index", "rebuild", "v", "--index", "IVF25,HNSW"));
    free(AKIN(3, "index", "tune", "nowhere"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_spaces_are_exact),
        cmocka_unit_test(recall_is_measured),
        cmocka_unit_test(an_index_may_be_named),
        cmocka_unit_test(a_rebuild_is_cancelled),
        cmocka_unit_test(from_the_command_line),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
