/* kill -9 in the middle of `akin add`, three times: the store stays sound, what
 * was acknowledged stays, and the same command, run to its end, leaves every
 * picture there once. */
#include "pictures.h"

#define PICTURES 250

static void killed_while_adding(void **state)
{
    served place = {0};
    char folder[96], *out, want[128];
    int cut = 0;
    (void)state;
    served_paths(&place);
    make_folder(folder, sizeof folder, &place, "pictures");
    for (int i = 0; i < PICTURES; i++) {
        char name[32];
        snprintf(name, sizeof name, "%04d.svg", i);
        draw(folder, name, i);
    }
    const char *argv[] = {AKIN_PROGRAM, "add", folder, "--data",
                          place.data,   "-q",  NULL};
    for (int round = 0; round < 3; round++) {
        int status;
        pid_t pid = spawn(&place, argv, NULL);
        nap_ms(200 + 150 * round);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        cut += WIFSIGNALED(status);
        int code = akin(&place, "check --data $DIR/data", &out, NULL);
        /* 3: it was killed before there was a database */
        if (code != 0 && code != 3) fail_msg("check after kill: %s", out);
        if (!code) assert_non_null(strstr(out, "no problems"));
        free(out);
    }
    assert_true(cut > 0);
    assert_int_equal(
        akin(&place, "add $DIR/pictures --data $DIR/data -q", &out, NULL), 0);
    free(out);
    assert_int_equal(
        akin(&place, "add $DIR/pictures --data $DIR/data", &out, NULL), 0);
    snprintf(want, sizeof want, "0 added, 0 updated, %d unchanged, 0 failed\n",
             PICTURES);
    assert_string_equal(out, want);
    free(out);
    assert_int_equal(akin(&place, "check --data $DIR/data", &out, NULL), 0);
    snprintf(want, sizeof want, "%d items, %d vectors: no problems\n", PICTURES,
             2 * PICTURES);
    assert_string_equal(out, want);
    free(out);
    served_clear(&place);
}

/* Until the process has its own handler for SIGINT. */
static void wait_for_handler(pid_t pid)
{
    char path[32], line[128];
    unsigned long long caught = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    for (int i = 0; i < 3000 && !(caught >> (SIGINT - 1) & 1); i++) {
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        while (fgets(line, sizeof line, f))
            sscanf(line, "SigCgt: %llx", &caught);
        fclose(f);
        nap_ms(10);
    }
    assert_true(caught >> (SIGINT - 1) & 1);
}

/* Ctrl-C ends it in order and says how to go on, be it while the model still
 * loads or between two pictures; the rest comes with the next run. */
static void interrupted_after(unsigned ms)
{
    served place = {0};
    char folder[96], *out, *log, want[128];
    int status, added = 0;
    served_paths(&place);
    make_folder(folder, sizeof folder, &place, "pictures");
    for (int i = 0; i < PICTURES; i++) {
        char name[32];
        snprintf(name, sizeof name, "%04d.svg", i);
        draw(folder, name, i);
    }
    char to[64];
    snprintf(to, sizeof to, "%s/out", place.dir);
    const char *argv[] = {AKIN_PROGRAM, "add",      folder,
                          "--data",     place.data, NULL};
    pid_t pid = spawn(&place, argv, to);
    wait_for_handler(pid);
    nap_ms(ms);
    kill(pid, SIGINT);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    out = slurp(to);
    log = slurp(place.log);
    assert_int_equal(sscanf(out, "%d added", &added), 1);
    if (WEXITSTATUS(status) == 130)
        assert_non_null(strstr(log, "the same command goes on from here"));
    else /* a fast machine: it was done */
        assert_int_equal(added, PICTURES);
    free(out);
    free(log);
    assert_int_equal(
        akin(&place, "add $DIR/pictures --data $DIR/data", &out, NULL), 0);
    snprintf(want, sizeof want, "%d added, 0 updated, %d unchanged, 0 failed\n",
             PICTURES - added, added);
    assert_string_equal(out, want);
    free(out);
    served_clear(&place);
}

static void interrupted_while_loading(void **state)
{
    (void)state;
    interrupted_after(0);
}

static void interrupted_while_adding(void **state)
{
    (void)state;
    interrupted_after(500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_while_adding),
        cmocka_unit_test(interrupted_while_loading),
        cmocka_unit_test(interrupted_while_adding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
