/* The unmodified `redis` package from npm against a real server (npm/client.mjs).
 * Skipped, and says so, where node or the package cannot be had. */
#include "pictures.h"

static void client_library(void **state)
{
    served server = {0};
    int status;
    char script[1024];
    (void)state;
    serve(&server, NULL);
    draw(server.dir, "picture.svg", 0);
    snprintf(script, sizeof script,
             "exec 1>&2; command -v node npm >/dev/null || exit 77; "
             "mkdir -p '%s' && cd '%s' && cp '%s/api/npm/'* . && "
             "{ cmp -s package-lock.json installed || { "
             "npm ci --no-audit --no-fund --silent && "
             "cp package-lock.json installed; } || exit 77; } && "
             "exec node client.mjs '%s' '%s/picture.svg'",
             AKIN_NPM, AKIN_NPM, AKIN_TESTS, server.socket, server.dir);
    const char *argv[] = {"sh", "-c", script, NULL};
    pid_t pid = spawn(&server, argv, NULL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    char *log = slurp(server.log);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code != 0 && code != 77) fail_msg("exit %d\n%s", code, log);
    size_t parts = 0;
    for (char *p = log; (p = strstr(p, ": ok")); p++)
        parts++;
    free(log);
    served_clear(&server);
    if (code == 77) {
        print_message("skipped: node, npm or the package is not here\n");
        skip();
    }
    assert_int_equal(parts, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(client_library)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
