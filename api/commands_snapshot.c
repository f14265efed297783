/* AKIN.SNAPSHOT: a copy of the store or of one collection, made here and read
 * piece by piece, and the way back of one collection. One is at work at a time;
 * how far it is, and that it should stop, is asked for over another connection,
 * since its own waits. */
#include <string.h>
#include <unistd.h>

#include "commands.h"

#define MOST_BYTES (4 << 20) /* of one piece */

/* What stands behind the verb: [name [offset bytes]] [COLLECTION name]. */
typedef struct {
    char collection[AKIN_NAME_BYTES + 1], name[256];
    const char *of; /* the collection, or NULL: all */
    int64_t offset, bytes;
} request;

static akin_status parse(akin_args *args, bool named, bool piece, request *out,
                         akin_error *err)
{
    akin_span text = {0};
    akin_status rc = AKIN_OK;

    memset(out, 0, sizeof *out);
    if (named) {
        rc = akin_args_next(args, "a snapshot", &text, err);
        if (!rc &&
            (text.size >= sizeof out->name || memchr(text.data, 0, text.size)))
            rc = akin_fail(err, AKIN_NOT_FOUND, "no such snapshot");
        if (!rc) memcpy(out->name, text.data, text.size);
    }
    if (!rc && piece)
        rc = akin_args_int(args, "an offset", 0, INT64_MAX, &out->offset, err);
    if (!rc && piece)
        rc = akin_args_int(args, "a number of bytes", 1, MOST_BYTES,
                           &out->bytes, err);
    if (!rc && akin_args_word(args, "COLLECTION")) {
        rc = akin_args_next(args, "a collection", &text, err);
        if (!rc) rc = akin_collection_name(text, out->collection, err);
        out->of = out->collection;
    }
    if (!rc && args->at < args->n)
        rc = akin_bad_option(args->argv[args->at], err);
    return rc;
}

static void row_text(akin_reply *reply, const char *name, const char *value)
{
    akin_reply_text(reply, name);
    akin_reply_text(reply, value);
}

static void snapshot_map(akin_reply *reply, const akin_snapshot_info *info)
{
    akin_reply_map(reply, 4);
    row_text(reply, "name", info->name);
    akin_reply_row_int(reply, "bytes", info->size);
    akin_reply_row_int(reply, "created", (uint64_t)info->created_ms);
    row_text(reply, "sha256", info->sha256);
}

/* ---- making ------------------------------------------------------------------ */

static bool note_progress(void *user, const akin_progress *p)
{
    akin_service *service = user;
    akin_snapshot_work *work = &service->snapshot;
    pthread_mutex_lock(&work->lock);
    work->progress = *p;
    bool go_on = !work->cancel;
    pthread_mutex_unlock(&work->lock);
    return go_on && !atomic_load(&service->stopping);
}

static akin_status begin(akin_call *c, akin_error *err)
{
    akin_snapshot_work *work = &c->service->snapshot;
    pthread_mutex_lock(&work->lock);
    bool busy = work->running;
    if (!busy) {
        work->progress = (akin_progress){.seconds_left = -1};
        work->cancel = false;
        work->owner = c->session->id;
        work->running = true;
    }
    pthread_mutex_unlock(&work->lock);
    return busy ? akin_fail(err, AKIN_BUSY, "another snapshot is at work")
                : AKIN_OK;
}

static void end(akin_snapshot_work *work)
{
    pthread_mutex_lock(&work->lock);
    work->running = false;
    pthread_mutex_unlock(&work->lock);
}

static akin_status create(akin_call *c, const request *q, akin_error *err)
{
    akin_snapshot_info made;

    akin_status rc = begin(c, err);
    if (rc) return rc;
    rc = akin_engine_snapshot_create(c->service->engine, q->of, note_progress,
                                     c->service, &made, err);
    end(&c->service->snapshot);
    if (!rc) snapshot_map(c->reply, &made);
    return rc;
}

/* WRITE offset bytes */
static akin_status write_piece(akin_call *c, akin_args *args, akin_error *err)
{
    int64_t offset = 0;
    akin_span bytes = {0};

    akin_status rc =
        akin_args_int(args, "an offset", 0, INT64_MAX, &offset, err);
    if (!rc) rc = akin_args_next(args, "bytes", &bytes, err);
    if (!rc && args->at < args->n)
        rc = akin_bad_option(args->argv[args->at], err);
    if (!rc)
        rc = akin_engine_snapshot_upload(c->service->engine, (uint64_t)offset,
                                         bytes, err);
    if (!rc) akin_reply_simple(c->reply, "OK");
    return rc;
}

/* RECOVER collection sha256 [REPLACE] */
static akin_status recover(akin_call *c, akin_args *args, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1], sha256[65];
    akin_span collection = {0}, digest = {0};

    akin_status rc = akin_args_next(args, "a collection", &collection, err);
    if (!rc) rc = akin_args_next(args, "a SHA-256", &digest, err);
    bool replace = !rc && akin_args_word(args, "REPLACE");
    if (!rc && args->at < args->n)
        rc = akin_bad_option(args->argv[args->at], err);
    if (!rc) rc = akin_collection_name(collection, name, err);
    if (!rc && (digest.size != 64 || memchr(digest.data, 0, 64)))
        rc = akin_fail(err, AKIN_INVALID, "a SHA-256 has 64 digits");
    if (!rc) rc = begin(c, err);
    if (rc) return rc;
    memcpy(sha256, digest.data, 64);
    sha256[64] = 0;
    rc = akin_engine_snapshot_recover(c->service->engine, name, NULL, sha256,
                                      replace, note_progress, c->service, err);
    end(&c->service->snapshot);
    if (rc) return rc;
    akin_audit_call(c, akin_command_find(c->argv[0]));
    akin_reply_simple(c->reply, "OK");
    return AKIN_OK;
}

/* [id]: only what that client's command does; work.lock is held. */
static bool is_meant(const akin_snapshot_work *work, int64_t id)
{
    return work->running && (!id || work->owner == (uint64_t)id);
}

static akin_status parse_id(akin_args *args, int64_t *id, akin_error *err)
{
    akin_status rc = AKIN_OK;

    *id = 0;
    if (args->at < args->n)
        rc = akin_args_int(args, "a client's id", 1, INT64_MAX, id, err);
    if (!rc && args->at < args->n)
        rc = akin_bad_option(args->argv[args->at], err);
    return rc;
}

static akin_status progress(akin_call *c, akin_args *args, akin_error *err)
{
    akin_snapshot_work *work = &c->service->snapshot;
    akin_reply *r = c->reply;
    int64_t id;

    akin_status rc = parse_id(args, &id, err);
    if (rc) return rc;
    pthread_mutex_lock(&work->lock);
    akin_progress p = work->progress;
    bool running = is_meant(work, id);
    pthread_mutex_unlock(&work->lock);
    if (!running) {
        akin_reply_null(r);
        return AKIN_OK;
    }
    akin_reply_map(r, 3);
    row_text(r, "phase", p.phase);
    akin_reply_row_int(r, "done", p.done);
    akin_reply_row_int(r, "total", p.total);
    return AKIN_OK;
}

static akin_status cancel(akin_call *c, akin_args *args, akin_error *err)
{
    akin_snapshot_work *work = &c->service->snapshot;
    int64_t id;

    akin_status rc = parse_id(args, &id, err);
    if (rc) return rc;
    pthread_mutex_lock(&work->lock);
    bool running = is_meant(work, id);
    if (running) work->cancel = true;
    pthread_mutex_unlock(&work->lock);
    if (!running)
        return akin_fail(err, AKIN_NOT_FOUND, "no snapshot is at work");
    akin_reply_simple(c->reply, "OK");
    return AKIN_OK;
}

/* ---- those that are there ------------------------------------------------------ */

static akin_status list(akin_call *c, const request *q, akin_error *err)
{
    akin_snapshot_info *all = NULL;
    size_t n = 0;
    akin_status rc =
        akin_engine_snapshots(c->service->engine, q->of, &all, &n, err);

    if (rc) return rc;
    akin_reply_array(c->reply, n);
    for (size_t i = 0; i < n; i++)
        snapshot_map(c->reply, &all[i]);
    akin_free(all);
    return AKIN_OK;
}

static akin_status read_piece(akin_call *c, const request *q, akin_error *err)
{
    akin_snapshot_info info;
    uint8_t *piece = NULL;
    ssize_t n = 0;
    int fd;
    akin_status rc = akin_engine_snapshot_open(c->service->engine, q->of,
                                               q->name, &info, &fd, err);

    if (rc) return rc;
    if (!(piece = akin_alloc((size_t)q->bytes)))
        rc = akin_fail(err, AKIN_NOMEM, "no memory for a piece");
    else if ((n = pread(fd, piece, (size_t)q->bytes, (off_t)q->offset)) < 0)
        rc = akin_fail(err, AKIN_IO, "cannot read the snapshot");
    else
        akin_reply_bulk(c->reply, piece, (size_t)n);
    close(fd);
    akin_free(piece);
    return rc;
}

static akin_status drop(akin_call *c, const request *q, akin_error *err)
{
    akin_status rc =
        akin_engine_snapshot_delete(c->service->engine, q->of, q->name, err);

    if (rc) return rc;
    akin_audit_call(c, akin_command_find(c->argv[0]));
    akin_reply_simple(c->reply, "OK");
    return AKIN_OK;
}

bool akin_snapshot_is_slow(size_t argc, const akin_span *argv)
{
    return argc > 1 && (akin_span_is(argv[1], "CREATE") ||
                        akin_span_is(argv[1], "RECOVER"));
}

akin_status akin_cmd_snapshot(akin_call *c, akin_error *err)
{
    akin_args args = akin_args_of(c, 1);
    request q;
    bool creates = akin_args_word(&args, "CREATE");
    bool lists = !creates && akin_args_word(&args, "LIST");
    bool reads = !creates && !lists && akin_args_word(&args, "READ");
    bool drops =
        !creates && !lists && !reads && akin_args_word(&args, "DELETE");

    if (!creates && !lists && !reads && !drops) {
        if (akin_args_word(&args, "PROGRESS")) return progress(c, &args, err);
        if (akin_args_word(&args, "CANCEL")) return cancel(c, &args, err);
        if (akin_args_word(&args, "WRITE")) return write_piece(c, &args, err);
        if (akin_args_word(&args, "RECOVER")) return recover(c, &args, err);
        return akin_bad_option(c->argv[1], err);
    }
    akin_status rc = parse(&args, reads || drops, reads, &q, err);
    if (rc) return rc;
    return creates ? create(c, &q, err)
           : lists ? list(c, &q, err)
           : reads ? read_piece(c, &q, err)
                   : drop(c, &q, err);
}
