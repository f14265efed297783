/* Requests that took long, of both fronts: each is a line in the log, and the
 * last AKIN_SLOW_KEPT of them are told by SLOWLOG, as Redis tells its own. What
 * counts as long is option slow-log. */
#ifndef AKIN_API_SLOWLOG_H
#define AKIN_API_SLOWLOG_H

#include "resp.h"

#define AKIN_SLOW_KEPT 128 /* entries; about 3 KiB each */

typedef struct akin_slowlog akin_slowlog;

akin_status akin_slowlog_open(akin_slowlog **out,
                              akin_error *err) AKIN_MUST_CHECK;
void akin_slowlog_close(akin_slowlog *log); /* no-op on NULL */

/* The rest: any thread; each returns at once. */

/* Keeps and logs one request. argv: (argc), borrowed; long words are cut, bytes
 * that are no text only counted. address, client: where from, "" when unknown.
 * Best effort: out of memory, nothing is kept. */
void akin_slowlog_note(akin_slowlog *log, uint64_t ns, const akin_span *argv,
                       size_t argc, const char *address, const char *client);
/* The newest `count` as an array of [id, seconds since 1970, microseconds,
 * words, address, client]. */
void akin_slowlog_reply(akin_slowlog *log, size_t count, akin_reply *reply);
size_t akin_slowlog_length(akin_slowlog *log);
void akin_slowlog_reset(akin_slowlog *log);
/* Noted since open, forgotten ones too. */
uint64_t akin_slowlog_noted(akin_slowlog *log);

#endif
