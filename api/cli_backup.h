/* What backup and restore share (cli_watch.c). */
#ifndef AKIN_API_CLI_BACKUP_H
#define AKIN_API_CLI_BACKUP_H

#include "cli.h"

#define AKIN_PIECE (1 << 20) /* of a snapshot, over a connection */

/* A bar, and where to ask for progress while cli->link waits. */
typedef struct {
    akin_cli *cli;
    akin_link *other; /* NULL: no server */
    char id[24];      /* cli->link's, as a client of it */
    akin_bar bar;
    akin_progress last; /* shown */
    uint64_t phase_ns;  /* its phase began */
} akin_watch;

/* cli->link is open, or NULL; Ctrl-C is caught from here on. */
akin_status akin_watch_open(akin_watch *w, akin_cli *cli, const char *verb,
                            akin_error *err) AKIN_MUST_CHECK;
void akin_watch_close(akin_watch *w);
/* An akin_progress_call, user being the watch; false: Ctrl-C. */
bool akin_watch_show(void *user, const akin_progress *progress);
/* The last line of the bar. */
void akin_watch_end(akin_watch *w, bool done);
/* Sends and clears the words. */
akin_status akin_watch_send(akin_link *link, akin_words *words,
                            akin_error *err) AKIN_MUST_CHECK;
/* The next reply; an error reply is AKIN_INVALID. */
akin_status akin_watch_receive(akin_link *link, redisReply **out,
                               akin_error *err) AKIN_MUST_CHECK;
/* Both, for what takes long: with progress, and Ctrl-C cancels it. */
akin_status akin_watch_call(akin_watch *w, akin_words *words, redisReply **out,
                            akin_error *err) AKIN_MUST_CHECK;
/* Says what went wrong; the exit code. */
int akin_watch_code(akin_status rc, const akin_error *err);

#endif
