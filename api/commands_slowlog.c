/* SLOWLOG, as Redis has it. */
#include "commands.h"

static akin_status get(akin_call *c, akin_error *err)
{
    int64_t count = 10;
    if (c->argc > 3 || (c->argc == 3 && !akin_span_int(c->argv[2], &count)))
        return akin_fail(err, AKIN_INVALID, "syntax error");
    if (count < -1)
        return akin_fail(err, AKIN_INVALID,
                         "count should be greater than or equal to -1");
    akin_slowlog_reply(c->service->slowlog,
                       count < 0 ? SIZE_MAX : (size_t)count, c->reply);
    return AKIN_OK;
}

akin_status akin_cmd_slowlog(akin_call *c, akin_error *err)
{
    akin_slowlog *log = c->service->slowlog;
    if (akin_span_is(c->argv[1], "GET")) return get(c, err);
    if (c->argc > 2) return akin_bad_option(c->argv[2], err);
    if (akin_span_is(c->argv[1], "LEN"))
        akin_reply_int(c->reply, (int64_t)akin_slowlog_length(log));
    else if (akin_span_is(c->argv[1], "RESET")) {
        akin_slowlog_reset(log);
        akin_reply_simple(c->reply, "OK");
    } else
        return akin_bad_option(c->argv[1], err);
    return AKIN_OK;
}
