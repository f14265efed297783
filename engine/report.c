/* Progress and what failed, of long work. Counters are added to from the
 * pipeline's threads; a thread of the meter calls the caller's function ten
 * times a second, so that a bar moves and Ctrl-C is heard while a batch is being
 * encoded. The rate is that of the last few seconds: "time left" follows what
 * happens now. */
#include "internal.h"

#include <errno.h>
#include <string.h>

#define EVERY_NS 100000000
#define PAST_NS  500000000u /* between two points of the rate's window */

/* Lock held. */
static void update_rate(akin__meter *meter, uint64_t now)
{
    enum { N = sizeof meter->past / sizeof *meter->past };
    akin_progress *p = &meter->report.progress;

    if (now - meter->past[meter->at].ns > PAST_NS) {
        meter->at = (meter->at + 1) % N;
        meter->past[meter->at].ns = now;
        meter->past[meter->at].done = p->done;
    }
    unsigned oldest = (meter->at + 1) % N;
    if (!meter->past[oldest].ns) oldest = 0; /* not once around yet */
    uint64_t ns = now - meter->past[oldest].ns;
    uint64_t done = p->done - meter->past[oldest].done;
    if (ns) p->rate = (double)done * 1e9 / (double)ns;
    p->seconds_left = -1;
    if (p->total >= p->done && p->rate > 0)
        p->seconds_left = (double)(p->total - p->done) / p->rate;
}

/* Lock held; let go of while the caller's function runs. */
static void call(akin__meter *meter)
{
    update_rate(meter, akin_mono_ns());
    akin_progress now = meter->report.progress;
    pthread_mutex_unlock(&meter->lock);
    if (meter->call && !meter->call(meter->user, &now))
        atomic_store(&meter->stop, true);
    if (atomic_load(&meter->engine->stop)) atomic_store(&meter->stop, true);
    pthread_mutex_lock(&meter->lock);
}

static void *ticker_main(void *arg)
{
    akin__meter *meter = arg;
    pthread_mutex_lock(&meter->lock);
    while (!meter->over) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += EVERY_NS;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        int e = pthread_cond_timedwait(&meter->ended, &meter->lock, &until);
        if (e == ETIMEDOUT && !meter->over) call(meter);
    }
    pthread_mutex_unlock(&meter->lock);
    return NULL;
}

akin_status akin__meter_open(akin__meter *meter, const akin_engine *engine,
                             akin_progress_call *function, void *user,
                             akin_error *err)
{
    pthread_condattr_t attr;
    memset(meter, 0, sizeof *meter);
    meter->engine = engine;
    meter->call = function;
    meter->user = user;
    meter->started_ns = akin_mono_ns();
    meter->past[0].ns = meter->started_ns;
    meter->report.progress.seconds_left = -1;
    pthread_mutex_init(&meter->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&meter->ended, &attr);
    pthread_condattr_destroy(&attr);
    int e = pthread_create(&meter->ticker, NULL, ticker_main, meter);
    meter->ticking = !e;
    if (e) {
        akin__meter_close(meter, NULL);
        return akin_fail_errno(err, e, "cannot start a thread");
    }
    return AKIN_OK;
}

void akin__meter_phase(akin__meter *meter, const char *phase)
{
    pthread_mutex_lock(&meter->lock);
    snprintf(meter->report.progress.phase, sizeof meter->report.progress.phase,
             "%s", phase);
    pthread_mutex_unlock(&meter->lock);
}

void akin__meter_add(akin__meter *meter, const akin_progress *delta)
{
    pthread_mutex_lock(&meter->lock);
    akin_progress *p = &meter->report.progress;
    p->done += delta->done;
    p->added += delta->added;
    p->updated += delta->updated;
    p->skipped += delta->skipped;
    p->failed += delta->failed;
    p->reused += delta->reused;
    p->bytes += delta->bytes;
    pthread_mutex_unlock(&meter->lock);
}

void akin__meter_set(akin__meter *meter, uint64_t done, uint64_t total)
{
    pthread_mutex_lock(&meter->lock);
    if (done < meter->report.progress.done) { /* the next step counts anew */
        memset(meter->past, 0, sizeof meter->past);
        meter->past[0].ns = akin_mono_ns();
        meter->past[0].done = done;
        meter->at = 0;
        meter->report.progress.rate = 0;
        meter->report.progress.seconds_left = -1;
    }
    meter->report.progress.done = done;
    meter->report.progress.total = total;
    pthread_mutex_unlock(&meter->lock);
}

void akin__meter_total(akin__meter *meter, uint64_t total)
{
    pthread_mutex_lock(&meter->lock);
    meter->report.progress.total = total;
    pthread_mutex_unlock(&meter->lock);
}

/* A copy that is UTF-8 whatever a file is called. */
static char *readable(const char *text)
{
    char *copy = akin_strdup(text);
    if (copy && !akin__is_utf8(akin_span_of(copy)))
        for (char *p = copy; *p; p++)
            if (*p & 0x80) *p = '?';
    return copy;
}

void akin__meter_failure(akin__meter *meter, const char *what,
                         const char *message)
{
    pthread_mutex_lock(&meter->lock);
    akin_report *r = &meter->report;
    if (!r->failures)
        r->failures = akin_calloc(AKIN_MAX_FAILURES, sizeof *r->failures);
    if (r->failures && r->nfailures < AKIN_MAX_FAILURES) {
        akin_failure *f = &r->failures[r->nfailures];
        f->what = readable(what);
        f->message = readable(message);
        if (f->what && f->message) {
            r->nfailures++;
        } else {
            akin_free(f->what);
            akin_free(f->message);
        }
    }
    pthread_mutex_unlock(&meter->lock);
}

bool akin__meter_stopped(akin__meter *meter)
{
    return atomic_load(&meter->stop) || atomic_load(&meter->engine->stop);
}

void akin_report_clear(akin_report *report)
{
    for (size_t i = 0; i < report->nfailures; i++) {
        akin_free(report->failures[i].what);
        akin_free(report->failures[i].message);
    }
    akin_free(report->failures);
    memset(report, 0, sizeof *report);
}

akin_status akin__report_copy(const akin_report *from, akin_report *out,
                              akin_error *err)
{
    *out = *from;
    out->nfailures = 0;
    out->failures = akin_calloc(from->nfailures + 1, sizeof *out->failures);
    if (!out->failures) return akin__nomem(err);
    for (size_t i = 0; i < from->nfailures; i++) {
        akin_failure *f = &out->failures[out->nfailures++];
        f->what = akin_strdup(from->failures[i].what);
        f->message = akin_strdup(from->failures[i].message);
        if (f->what && f->message) continue;
        akin_report_clear(out);
        return akin__nomem(err);
    }
    return AKIN_OK;
}

akin_status akin__meter_copy(akin__meter *meter, akin_report *out,
                             akin_error *err)
{
    pthread_mutex_lock(&meter->lock);
    akin_status rc = akin__report_copy(&meter->report, out, err);
    out->seconds = (double)(akin_mono_ns() - meter->started_ns) / 1e9;
    pthread_mutex_unlock(&meter->lock);
    return rc;
}

void akin__meter_close(akin__meter *meter, akin_report *out)
{
    pthread_mutex_lock(&meter->lock);
    meter->over = true;
    pthread_cond_broadcast(&meter->ended);
    pthread_mutex_unlock(&meter->lock);
    if (meter->ticking) {
        pthread_join(meter->ticker, NULL);
        pthread_mutex_lock(&meter->lock);
        call(meter);
        pthread_mutex_unlock(&meter->lock);
    }
    meter->report.seconds = (double)(akin_mono_ns() - meter->started_ns) / 1e9;
    pthread_mutex_destroy(&meter->lock);
    pthread_cond_destroy(&meter->ended);
    if (out)
        *out = meter->report;
    else
        akin_report_clear(&meter->report);
}
