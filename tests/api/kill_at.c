/* Preloaded into the program by test_dedup_kill and test_backup: counts the
 * moments before and after each call that changes pictures, trash, journal or
 * backups on disk, and kills the process with SIGKILL at number AKIN_KILL_AT. */
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN __attribute__((visibility("default")))

static int moments;

static void moment(const char *path)
{
    const char *at = getenv("AKIN_KILL_AT");
    if (!at || !(strstr(path, "/pictures") || strstr(path, "/dedup") ||
                 strstr(path, "/bin") || strstr(path, "/backup")))
        return;
    if (++moments == strtol(at, NULL, 10)) kill(getpid(), SIGKILL);
}

#define REAL(type, name)                                                       \
    union {                                                                    \
        void *object;                                                          \
        type(*call);                                                           \
    } real;                                                                    \
    real.object = dlsym(RTLD_NEXT, name)

typedef int two_paths(const char *, const char *);
typedef int one_path(const char *);
typedef int one_file(int);

SHOWN int rename(const char *from, const char *to)
{
    REAL(two_paths, "rename");
    moment(from);
    int rc = real.call(from, to);
    moment(from);
    return rc;
}

SHOWN int link(const char *from, const char *to)
{
    REAL(two_paths, "link");
    moment(to);
    int rc = real.call(from, to);
    moment(to);
    return rc;
}

SHOWN int unlink(const char *path)
{
    REAL(one_path, "unlink");
    moment(path);
    int rc = real.call(path);
    moment(path);
    return rc;
}

SHOWN int fsync(int fd)
{
    char name[64], path[PATH_MAX + 1];
    REAL(one_file, "fsync");
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, PATH_MAX);
    path[n > 0 ? n : 0] = 0;
    moment(path);
    int rc = real.call(fd);
    moment(path);
    return rc;
}
