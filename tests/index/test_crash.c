/* kill -9 in the middle of builds: the folder then opens as the old generation
 * or the new, whole. */
#include "common.h"

#include <signal.h>
#include <sys/wait.h>

enum { DIM = 24, STEP = 200, KILLS = 25, LAST = 60 };

/* After change c the labels 1 .. c * STEP are there, and the vector of label l
 * was last put by change version_at(l, c): each change replaces a fifth. */
static void vector_of(uint64_t label, uint64_t version, uint16_t *out)
{
    uint64_t state = label * 131 + version;
    clustered(9, &state, 1, DIM, 20, out);
}

static uint64_t version_at(uint64_t label, uint64_t change)
{
    uint64_t first = (label - 1) / STEP + 1, version = first;
    for (uint64_t c = first + 1; c <= change; c++)
        if ((label + c) % 5 == 0) version = c;
    return version;
}

static void apply(akin_index *index, uint64_t change)
{
    uint16_t v[DIM];
    akin_error err;
    for (uint64_t label = 1; label <= change * STEP; label++)
        if (version_at(label, change) == change) {
            vector_of(label, change, v);
            ok(put_one(index, label, v, &err), &err);
        }
}

/* Changes and builds, from where the folder stands, until it is killed. */
static void child(const char *dir)
{
    uint64_t covered, change;
    akin_error err;
    akin_index *index = open_index(DIM, dir, 500, &covered);
    for (change = covered + 1; change <= LAST; change++) {
        apply(index, change);
        if (akin_index_build(index, change, NULL, NULL, &err)) _exit(1);
    }
    _exit(0);
}

static void check(const char *dir, uint64_t *covered)
{
    akin_index *index = open_index(DIM, dir, 500, covered);
    akin_index_stats stats;
    akin_error err;
    float got[DIM], want[DIM];
    uint16_t v[DIM];
    akin_index_get_stats(index, &stats);
    assert_int_equal(stats.live, *covered * STEP);
    for (uint64_t label = 1; label <= stats.live; label += 7) {
        vector_of(label, version_at(label, *covered), v);
        akin_float_from_half(want, v, DIM);
        ok(akin_index_get(index, label, got, &err), &err);
        assert_memory_equal(got, want, sizeof want);
    }
    akin_index_close(index);
}

static void test_kill_while_building(void **state)
{
    (void)state;
    uint64_t seed = 21, before = 0, covered;
    int killed = 0;
    char *dir = make_folder();
    for (int i = 0; i < KILLS && before < LAST; i++) {
        int status;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) child(dir);
        usleep((useconds_t)(next_random(&seed) % 250000));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_false(WIFEXITED(status) && WEXITSTATUS(status));
        check(dir, &covered);
        assert_true(covered >= before);
        killed += WIFSIGNALED(status);
        before = covered;
    }
    printf("%d kills, up to change %llu\n", killed, (unsigned long long)before);
    remove_folder(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_while_building)};
    return cmocka_run_group_tests_name("index/crash", tests, NULL, NULL);
}
