/* Long work on a terminal: a bar with rate and time left, redrawn in place. Into
 * a file: a line now and then. Both on standard error. */
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define BAR_COLUMNS 28
#define REDRAW_NS   100000000ull
#define PLAIN_NS    10000000000ull

void akin_bar_init(akin_bar *bar, const akin_cli *cli, const char *verb)
{
    *bar = (akin_bar){.cli = cli,
                      .verb = verb,
                      .terminal = akin_terminal_width(stderr) > 0,
                      .next_ns = akin_mono_ns()};
    if (!bar->terminal) bar->next_ns += PLAIN_NS;
}

/* 75 as "1:15", 4000 as "1:06:40". */
static void clock_text(double seconds, char *out, size_t size)
{
    uint64_t s = seconds > 0 && seconds < 1e9 ? (uint64_t)(seconds + 0.5) : 0;
    if (s >= 3600)
        snprintf(out, size, "%" PRIu64 ":%02u:%02u", s / 3600,
                 (unsigned)(s / 60 % 60), (unsigned)(s % 60));
    else
        snprintf(out, size, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

static const char *amount(const akin_bar *bar, uint64_t n, char out[32])
{
    return bar->bytes ? akin_byte_size(n, out) : akin_thousands(n, out);
}

static void describe(const akin_bar *bar, const akin_progress *p, akin_buf *out)
{
    char done[32], total[32], left[32];
    const char *verb = *p->phase ? p->phase : bar->verb;
    if (p->total)
        akin_buf_printf(out, "%s %s of %s", verb, amount(bar, p->done, done),
                        amount(bar, p->total, total));
    else
        akin_buf_printf(out, "%s %s", verb, amount(bar, p->done, done));
    if (p->rate > 0)
        akin_buf_printf(out, "  %.*f/s", p->rate < 10 ? 1 : 0, p->rate);
    if (p->seconds_left >= 0 && p->done < p->total) {
        clock_text(p->seconds_left, left, sizeof left);
        akin_buf_printf(out, "  %s left", left);
    }
    if (p->failed)
        akin_buf_printf(out, "  %s failed", akin_thousands(p->failed, done));
}

/* Eighths of a column, so that the bar moves smoothly. */
static void draw_bar(const akin_progress *p, akin_buf *out)
{
    static const char *const eighths[] = {" ", "▏", "▎", "▍",
                                          "▌", "▋", "▊", "▉"};
    double part = p->total ? (double)p->done / (double)p->total : 0;
    if (part > 1) part = 1;
    unsigned full = (unsigned)(part * BAR_COLUMNS * 8);
    akin_buf_text(out, "│");
    for (unsigned i = 0; i < BAR_COLUMNS; i++) {
        if (full >= (i + 1) * 8)
            akin_buf_text(out, "█");
        else
            akin_buf_text(out, full > i * 8 ? eighths[full - i * 8] : " ");
    }
    akin_buf_printf(out, "│ %3.0f%%  ", part * 100);
}

void akin_bar_show(akin_bar *bar, const akin_progress *p, bool last)
{
    uint64_t now = akin_mono_ns();
    akin_buf text = {0};
    if (bar->cli->quiet || (now < bar->next_ns && !(last && bar->drawn)))
        return;
    bar->next_ns = now + (bar->terminal ? REDRAW_NS : PLAIN_NS);
    size_t width = akin_terminal_width(stderr);
    if (bar->terminal && p->total && width >= BAR_COLUMNS + 40)
        draw_bar(p, &text);
    describe(bar, p, &text);
    const char *line = akin_buf_cstr(&text);
    if (line && bar->terminal)
        fprintf(stderr, "\r\033[K%s%s", line, last ? "\n" : "");
    else if (line)
        fprintf(stderr, "%s\n", line);
    fflush(stderr);
    bar->drawn = true;
    akin_buf_clear(&text);
}

static void progress_of(const redisReply *job, akin_progress *p)
{
    double left = akin_field_real(job, "seconds_left");
    double rate = akin_field_real(job, "rate");
    memset(p, 0, sizeof *p);
    snprintf(p->phase, sizeof p->phase, "%s", akin_field_text(job, "phase"));
    p->done = (uint64_t)akin_field_int(job, "done");
    p->total = (uint64_t)akin_field_int(job, "total");
    p->failed = (uint64_t)akin_field_int(job, "failed");
    p->rate = rate == rate ? rate : 0;
    p->seconds_left = left == left ? left : -1;
}

bool akin_cli_job_ended(const redisReply *job)
{
    const char *state = akin_field_text(job, "state");
    return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

int akin_cli_follow(akin_cli *cli, int64_t id, const char *verb,
                    redisReply **out)
{
    char number[24];
    akin_bar bar;
    akin_progress progress;
    bool cancelled = false;
    const struct timespec pause = {0, AKIN_CLI_POLL_NS};

    snprintf(number, sizeof number, "%" PRId64, id);
    akin_bar_init(&bar, cli, verb);
    akin_cli_catch_interrupt();
    for (;;) {
        *out = akin_link_ask(cli->link, "AKIN.JOB", number);
        if (!*out) return AKIN_EXIT_CANNOT;
        bool ended = akin_cli_job_ended(*out);
        progress_of(*out, &progress);
        akin_bar_show(&bar, &progress, ended);
        if (ended) break;
        if (akin_cli_interrupted() && !cancelled) {
            cancelled = true;
            freeReplyObject(
                akin_link_ask(cli->link, "AKIN.JOB", "CANCEL", number));
        }
        freeReplyObject(*out);
        nanosleep(&pause, NULL); /* a signal ends it early */
    }
    const char *state = akin_field_text(*out, "state");
    if (!strcmp(state, "done")) return AKIN_EXIT_OK;
    if (!strcmp(state, "failed"))
        return akin_cli_fail(AKIN_EXIT_CANNOT, "%s",
                             akin_field_text(*out, "message"));
    return AKIN_EXIT_INTERRUPTED;
}
