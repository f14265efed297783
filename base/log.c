/* One line a message, to a sink set once at the start. */
#include "akin_base.h"

#include <stdio.h>
#include <time.h>

static akin_log_level log_level = AKIN_LOG_WARN;
static akin_log_sink *log_sink;
static void *log_user;

void akin_log_set(akin_log_level level, akin_log_sink *sink, void *user)
{
    log_level = level;
    log_sink = sink;
    log_user = user;
}

static void to_stderr(akin_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    fprintf(stderr, "%s.%03ldZ %-5s %s\n", stamp, now.tv_nsec / 1000000,
            names[level], line);
}

void akin_log(akin_log_level level, const char *fmt, ...)
{
    if (level > log_level) return;
    char line[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (log_sink)
        log_sink(log_user, level, line);
    else
        to_stderr(level, line);
}
