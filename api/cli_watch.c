/* What backup and restore share: AKIN.SNAPSHOT at work, here or on a server. A
 * connection waits for its reply; how far that is, and that it should stop, goes
 * over a second one. */
#include <string.h>

#include "cli_backup.h"

#define WAIT_MS 100

akin_status akin_watch_open(akin_watch *w, akin_cli *cli, const char *verb,
                            akin_error *err)
{
    *w = (akin_watch){.cli = cli};
    akin_bar_init(&w->bar, cli, verb);
    akin_cli_catch_interrupt();
    if (!cli->link || akin_link_engine(cli->link)) return AKIN_OK;
    akin_span argv[] = {akin_span_of("CLIENT"), akin_span_of("ID")};
    redisReply *id = NULL;
    akin_status rc = akin_link_call(cli->link, argv, 2, &id, err);
    if (rc) return rc;
    snprintf(w->id, sizeof w->id, "%lld", id->integer);
    freeReplyObject(id);
    return akin_cli_connect(cli, false, &w->other, err);
}

void akin_watch_close(akin_watch *w)
{
    akin_link_close(w->other);
    w->other = NULL;
}

bool akin_watch_show(void *user, const akin_progress *progress)
{
    akin_watch *w = user;
    akin_progress p = *progress;
    uint64_t now = akin_mono_ns();

    if (strcmp(p.phase, w->last.phase) != 0) w->phase_ns = now;
    double seconds = (double)(now - w->phase_ns) / 1e9;
    p.seconds_left = p.done && p.total >= p.done && seconds > 1
                         ? seconds * (double)(p.total - p.done) / (double)p.done
                         : -1;
    w->bar.bytes = strcmp(p.phase, "copying") != 0;
    w->last = p;
    akin_bar_show(&w->bar, &p, false);
    return !akin_cli_interrupted();
}

void akin_watch_end(akin_watch *w, bool done)
{
    if (!w->bar.drawn) return;
    if (done) w->last.done = w->last.total;
    akin_bar_show(&w->bar, &w->last, true);
}

akin_status akin_watch_send(akin_link *link, akin_words *words, akin_error *err)
{
    akin_status rc = words->failed
                         ? akin_fail(err, AKIN_NOMEM, "no memory")
                         : akin_link_send(link, words->argv, words->n, err);
    akin_words_clear(words);
    return rc;
}

akin_status akin_watch_receive(akin_link *link, redisReply **out,
                               akin_error *err)
{
    akin_status rc = akin_link_receive(link, out, err);
    if (rc || (*out)->type != REDIS_REPLY_ERROR) return rc;
    const char *text = (*out)->str;
    rc = akin_fail(err, AKIN_INVALID, "%s",
                   text + (strncmp(text, "ERR ", 4) ? 0 : 4));
    freeReplyObject(*out);
    *out = NULL;
    return rc;
}

/* One look over the other connection, best effort. What we asked for may not
 * have begun yet: it is cancelled once the server says so. */
static void look(akin_watch *w, bool *cancelled)
{
    akin_span argv[] = {akin_span_of("AKIN.SNAPSHOT"), akin_span_of("PROGRESS"),
                        akin_span_of(w->id)};
    akin_progress p = {.seconds_left = -1};
    redisReply *reply = NULL;

    if (!akin_link_call(w->other, argv, 3, &reply, NULL) &&
        reply->type == REDIS_REPLY_ARRAY) {
        snprintf(p.phase, sizeof p.phase, "%s",
                 akin_field_text(reply, "phase"));
        p.done = (uint64_t)akin_field_int(reply, "done");
        p.total = (uint64_t)akin_field_int(reply, "total");
        if (*p.phase) akin_watch_show(w, &p);
    }
    freeReplyObject(reply);
    if (!akin_cli_interrupted() || *cancelled) return;
    argv[1] = akin_span_of("CANCEL");
    reply = NULL;
    *cancelled = !akin_link_call(w->other, argv, 3, &reply, NULL);
    freeReplyObject(reply);
}

akin_status akin_watch_call(akin_watch *w, akin_words *words, redisReply **out,
                            akin_error *err)
{
    akin_link *link = w->cli->link;
    bool cancelled = false;

    *out = NULL;
    akin_status rc = akin_watch_send(link, words, err);
    if (!rc) rc = akin_link_flush(link, err);
    while (!rc && !akin_link_wait(link, WAIT_MS))
        look(w, &cancelled);
    if (!rc) rc = akin_watch_receive(link, out, err);
    return rc && cancelled ? akin_fail(err, AKIN_CANCELLED, "stopped") : rc;
}

int akin_watch_code(akin_status rc, const akin_error *err)
{
    return rc == AKIN_CANCELLED ? akin_cli_fail(AKIN_EXIT_INTERRUPTED,
                                                "stopped; nothing is left")
                                : akin_cli_status(err);
}
