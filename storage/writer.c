/* The writer thread: group commit.
 *
 * Callers queue and sleep; the thread takes all that is queued, up to
 * GROUP_OPS, into one transaction, so that one fsync serves many callers, and
 * wakes them when it is on disk. While the disk is busy the next group
 * gathers by itself: no timer is needed.
 *
 * An op that finds its fault before it changes anything fails alone. One that
 * fails half way (which takes a full disk, no memory or a bug) ends the
 * transaction; if the fault may lie in that op alone the group is run again
 * without it, else all of the group fail and nothing of it is stored.
 *
 * With nothing queued the thread removes what was dropped, slice by slice. */
#include "internal.h"

#include <string.h>

#define GROUP_OPS 4096

/* Everything an op meets when it is the environment that fails. */
static bool everyones(akin_status status)
{
    return status == AKIN_IO || status == AKIN_CORRUPT ||
           status == AKIN_NOMEM || status == AKIN_BUSY;
}

static void fail_result(akin_write_result *r, akin_status rc,
                        const akin_error *error)
{
    memset(r, 0, sizeof *r);
    r->status = rc;
    r->error = *error;
}

/* Runs the ops of the group in the open transaction. *redo: an op broke it for
 * itself alone and is marked in done[]. */
static akin_status run_group(akin__writing *w, akin__call *calls, bool *redo,
                             akin_error *err)
{
    for (akin__call *c = calls; c; c = c->next) {
        for (size_t i = 0; i < c->n; i++) {
            akin_write_result *r = &c->results[i];
            if (r->status) continue; /* broke an earlier round */
            akin_error error = {0};
            memset(r, 0, sizeof *r);
            w->conn->dirty = false;
            akin_status rc = akin__op(w, &c->ops[i], r, &error);
            if (!rc) continue;
            fail_result(r, rc, &error);
            if (!w->conn->dirty && !sqlite3_get_autocommit(w->conn->db))
                continue;
            if (everyones(rc)) {
                if (err) *err = error;
                return rc;
            }
            *redo = true;
            return AKIN_OK;
        }
    }
    return AKIN_OK;
}

static akin_status commit(akin__writing *w, akin_error *err)
{
    akin_status rc = akin__run(
        w->conn, err, "UPDATE counters SET value = ?1 WHERE name = 'seq'", "u",
        w->storage->write.seq);
    return rc ? rc : akin__run(w->conn, err, "COMMIT", "");
}

static void rollback(akin__conn *conn)
{
    if (!sqlite3_get_autocommit(conn->db))
        sqlite3_exec(conn->db, "ROLLBACK", NULL, NULL, NULL);
}

static akin_status transaction(akin_storage *s, akin__call *calls,
                               akin_error *err)
{
    akin__writing w = {s, &s->write.conn, akin_now_ms()};
    bool redo;

    do {
        redo = false;
        akin_status rc = akin__run(w.conn, err, "BEGIN IMMEDIATE", "");
        if (!rc) rc = run_group(&w, calls, &redo, err);
        if (!rc && !redo) rc = commit(&w, err);
        if (rc || redo) rollback(w.conn);
        if (rc) return rc;
    } while (redo);
    s->transactions++;
    return AKIN_OK;
}

/* Pictures follow the commit, which is what makes an item's number its own: one
 * stored before it would be shown for the item that gets the number after a
 * rollback. A thumbnail that a crash lost is made again. */
static void after_commit(akin_storage *s, const akin__call *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const akin_write *op = &c->ops[i];
        const akin_write_result *r = &c->results[i];
        if (r->status) continue;
        if (op->kind == AKIN_WRITE_PUT && op->item->thumb.data)
            akin__thumb_set(s, r->num, op->item->thumb,
                            r->outcome == AKIN_UNCHANGED);
        if (op->kind == AKIN_WRITE_REMOVE)
            akin__thumb_set(s, r->num, (akin_span){NULL, 0}, false);
        if (op->kind == AKIN_WRITE_DROP || op->kind == AKIN_WRITE_FORGET)
            s->write.sweep = true;
    }
}

/* What is imported may have no picture elsewhere to make a thumbnail from. */
static void import_thumbs(akin_storage *s, const akin__call *c)
{
    for (size_t i = 0; i < c->n; i++) {
        akin_write_result *r = &c->results[i];
        if (c->ops[i].kind == AKIN_WRITE_IMPORT && !r->status)
            r->status =
                akin__import_thumbs(s, c->ops[i].dir, r->num, &r->error);
    }
}

static void run_calls(akin_storage *s, akin__call *calls)
{
    akin_error error = {0};

    for (akin__call *c = calls; c; c = c->next)
        memset(c->results, 0, c->n * sizeof *c->results);
    akin_status rc = transaction(s, calls, &error);
    if (!rc) akin__thumbs_begin(s);
    for (akin__call *c = calls; c; c = c->next) {
        c->status = rc;
        c->error = error;
        if (!rc) {
            after_commit(s, c);
            continue;
        }
        for (size_t i = 0; i < c->n; i++)
            fail_result(&c->results[i], rc, &error);
    }
    if (rc) return;
    akin__thumbs_end(s);
    for (akin__call *c = calls; c; c = c->next)
        import_thumbs(s, c);
}

static void sweep(akin_storage *s)
{
    uint64_t nums[AKIN__SLICE];
    size_t count = 0;
    bool left = false;
    akin_error error = {0};
    akin__conn *conn = &s->write.conn;

    akin_status rc = akin__run(conn, &error, "BEGIN IMMEDIATE", "");
    if (!rc) rc = akin__sweep(conn, &left, nums, &count, &error);
    if (!rc) rc = akin__run(conn, &error, "COMMIT", "");
    if (rc) {
        rollback(conn);
        akin_log(AKIN_LOG_WARN, "removing dropped data: %s", error.message);
    }
    s->write.sweep = !rc && left; /* after a failure: at the next open */
    if (rc || count == 0) return;
    akin__thumbs_begin(s);
    for (size_t i = 0; i < count; i++)
        akin__thumb_set(s, nums[i], (akin_span){NULL, 0}, false);
    akin__thumbs_end(s);
}

/* Takes calls off the queue, which is not empty: one, and more while they fit
 * into GROUP_OPS ops. */
static akin__call *take_group(akin_storage *s)
{
    akin__call *group = s->write.first, *last = group;
    size_t ops = group->n;

    while (last->next && ops + last->next->n <= GROUP_OPS) {
        last = last->next;
        ops += last->n;
    }
    s->write.first = last->next;
    if (!last->next) s->write.last = NULL;
    last->next = NULL;
    s->ops += ops;
    return group;
}

static void *writer(void *arg)
{
    akin_storage *s = arg;

    pthread_mutex_lock(&s->write.mutex);
    for (;;) {
        while (!s->write.first && !s->write.stop && !s->write.sweep)
            pthread_cond_wait(&s->write.work, &s->write.mutex);
        if (!s->write.first && s->write.stop) break;
        akin__call *group = s->write.first ? take_group(s) : NULL;
        pthread_mutex_unlock(&s->write.mutex);
        if (group)
            run_calls(s, group);
        else
            sweep(s);
        pthread_mutex_lock(&s->write.mutex);
        while (group) {
            akin__call *c = group;
            group = c->next; /* c is its caller's again once it is woken */
            c->done = true;
            pthread_cond_signal(&c->woken);
        }
    }
    pthread_mutex_unlock(&s->write.mutex);
    return NULL;
}

akin_status akin__writer_start(akin_storage *s, akin_error *err)
{
    int rc = pthread_create(&s->write.thread, NULL, writer, s);
    if (rc) return akin_fail_errno(err, rc, "cannot start the writer thread");
    pthread_setname_np(s->write.thread, "akin-writer");
    s->write.running = true;
    return AKIN_OK;
}

void akin__writer_stop(akin_storage *s)
{
    if (!s->write.running) return;
    pthread_mutex_lock(&s->write.mutex);
    s->write.stop = true;
    pthread_cond_signal(&s->write.work);
    pthread_mutex_unlock(&s->write.mutex);
    pthread_join(s->write.thread, NULL);
    s->write.running = false;
}

static void enqueue_and_wait(akin_storage *s, akin__call *c)
{
    pthread_cond_init(&c->woken, NULL);
    pthread_mutex_lock(&s->write.mutex);
    if (s->write.last)
        s->write.last->next = c;
    else
        s->write.first = c;
    s->write.last = c;
    pthread_cond_signal(&s->write.work);
    while (!c->done)
        pthread_cond_wait(&c->woken, &s->write.mutex);
    pthread_mutex_unlock(&s->write.mutex);
    pthread_cond_destroy(&c->woken);
}

akin_status akin_storage_write(akin_storage *s, const akin_write *ops, size_t n,
                               akin_write_result *results, akin_error *err)
{
    akin__call call = {.ops = ops, .n = n, .results = results};

    if (s->options.read_only)
        return akin_fail(err, AKIN_DENIED, "%s is open for reading only",
                         s->dir);
    if (n == 0) return AKIN_OK;
    if (!results) {
        call.results = akin_calloc(n, sizeof *call.results);
        if (!call.results) return akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    s->calls++;
    enqueue_and_wait(s, &call);
    akin_status rc = call.status;
    if (rc && err) *err = call.error;
    if (results) return rc;
    for (size_t i = 0; !rc && i < n; i++) {
        rc = call.results[i].status;
        if (rc && err) *err = call.results[i].error;
    }
    akin_free(call.results);
    return rc;
}
