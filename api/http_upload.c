/* Many points at once.
 *
 *   POST .../points/upload  multipart/form-data: each part with a file name is a
 *       picture and becomes an item, its id the part "id" before it, else the
 *       file's name; "caption" and "payload" (JSON) before it belong to it.
 *   POST .../points/bulk    one point of JSON a line, as many lines as one likes.
 *       Lines are put in batches while the rest is on its way.
 *
 * Both answer with a line or an element for each item, in order; a bad one never
 * stops the others. A reply can only be sent when all lines have come, so after
 * very many of them their outcomes are counted and not told any more, those of
 * the failed last; a line with the sums comes at the end. The same when the
 * replies to all who send such lines are very long together. */
#include "http_handlers.h"
#include "http_points.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BATCH      64 /* lines put together */
#define FORM_FILES 1000
#define MOST_TOLD                                                              \
    (64u << 20) /* bytes of a reply: of good lines; of all, twice */

static const char *outcome_text(const akin_put_result *result)
{
    static const char *const texts[] = {"failed", "added", "updated",
                                        "unchanged"};
    return result->status ? "failed" : texts[result->outcome];
}

/* {"id": ..., "status": "added"}, with "error" when it failed. */
static void write_outcome(akin_buf *out, uint64_t line, const char *id,
                          const akin_put_result *result)
{
    akin_buf_text(out, "{");
    if (line) akin_buf_printf(out, "\"line\":%" PRIu64 ",", line);
    akin_buf_text(out, "\"id\":");
    if (id)
        akin__http_id_write(out, id);
    else
        akin_buf_text(out, "null");
    akin_buf_printf(out, ",\"status\":\"%s\"", outcome_text(result));
    if (result->status) {
        akin_buf_text(out, ",\"error\":");
        akin_json_text(out, result->message);
    }
    akin_buf_text(out, "}");
}

static void set_failure(akin_put_result *result, akin_status rc,
                        const akin_error *err)
{
    *result = (akin_put_result){.status = rc};
    snprintf(result->message, sizeof result->message, "%.*s",
             (int)sizeof result->message - 1, err->message);
}

/* ---- lines -------------------------------------------------------------------- */

typedef struct {
    uint64_t line; /* of the last one read, from 1 */
    uint64_t added, updated, unchanged, failed;
    uint64_t untold; /* of them all, without a line of their own */
    size_t n;
    uint64_t lines[BATCH];
    json_t *values[BATCH];
    akin_http_point points[BATCH];
    akin_item_input inputs[BATCH];
    akin_put_result results[BATCH];
    bool bad[BATCH]; /* failed before it was put */
} bulk;

static void bulk_reset(bulk *b)
{
    for (size_t i = 0; i < b->n; i++) {
        akin__http_point_clear(&b->points[i]);
        json_decref(b->values[i]);
    }
    b->n = 0;
}

static void bulk_free(void *state)
{
    bulk_reset(state);
    akin_free(state);
}

static void tell(akin_http_call *call, bulk *b, size_t i)
{
    const akin_put_result *result = &b->results[i];
    akin_http *http = call->http;
    size_t most = http->options.body_bytes * HTTP_HELD_TIMES;
    size_t room = http->options.body_bytes / 8, before = call->out.size;

    if (room > MOST_TOLD) room = MOST_TOLD;
    if (result->status) {
        b->failed++;
        room *= 2;
    } else {
        b->added += result->outcome == AKIN_PUT_ADDED;
        b->updated += result->outcome == AKIN_PUT_UPDATED;
        b->unchanged += result->outcome == AKIN_PUT_UNCHANGED;
    }
    if (before >= room || atomic_load(&http->told_bytes) >= most) {
        b->untold++;
        return;
    }
    write_outcome(&call->out, b->lines[i], b->points[i].id, result);
    akin_buf_text(&call->out, "\n");
    call->told_bytes += call->out.size - before;
    atomic_fetch_add(&http->told_bytes, call->out.size - before);
}

static void tell_sums(akin_http_call *call, const bulk *b)
{
    akin_buf_printf(&call->out,
                    "{\"added\":%" PRIu64 ",\"updated\":%" PRIu64
                    ",\"unchanged\":%" PRIu64 ",\"failed\":%" PRIu64
                    ",\"untold\":%" PRIu64 "}\n",
                    b->added, b->updated, b->unchanged, b->failed, b->untold);
}

/* Puts the good ones of a batch and tells of all. */
static akin_status bulk_flush(akin_http_call *call, bulk *b, akin_error *err)
{
    akin_put_options options = {.replace = true};
    akin_put_result results[BATCH];
    size_t at[BATCH], n = 0;
    akin_status rc = AKIN_OK;

    for (size_t i = 0; i < b->n; i++)
        if (!b->bad[i]) {
            b->inputs[n] = b->points[i].input;
            at[n++] = i;
        }
    if (n)
        rc = akin_engine_put(call->engine, call->params[0], b->inputs, n,
                             &options, results, err);
    for (size_t i = 0; !rc && i < n; i++)
        b->results[at[i]] = results[i];
    for (size_t i = 0; !rc && i < b->n; i++)
        tell(call, b, i);
    bulk_reset(b);
    return rc;
}

static akin_status bulk_line(akin_http_call *call, bulk *b, akin_span text,
                             akin_error *err)
{
    akin_error reason;
    size_t i = b->n;

    b->line++;
    if (strspn(text.data, " \t\r\n") >= text.size) return AKIN_OK;
    b->lines[i] = b->line;
    b->points[i] = (akin_http_point){0};
    b->values[i] = NULL;
    akin_status rc = akin_json_parse(text, &b->values[i], &reason);
    if (!rc) rc = akin__http_point_read(b->values[i], &b->points[i], &reason);
    b->bad[i] = rc != AKIN_OK;
    if (rc) set_failure(&b->results[i], rc, &reason);
    b->n++;
    return b->n == BATCH ? bulk_flush(call, b, err) : AKIN_OK;
}

akin_status akin__http_bulk(akin_http_call *call, akin_error *err)
{
    bulk *b = call->state;
    akin_status rc = AKIN_OK;

    if (!b) {
        rc = akin__http_check_collection(call, call->params[0], err);
        if (rc) return rc;
        call->state = b = akin_calloc(1, sizeof *b);
        call->state_free = bulk_free;
        if (!b) return akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    call->type = "application/x-ndjson";
    const char *text = akin_buf_cstr(&call->body);
    if (!text) return akin_fail(err, AKIN_NOMEM, "out of memory");
    size_t at = 0, size = call->body.size;
    while (!rc && at < size) {
        const char *end = memchr(text + at, '\n', size - at);
        if (!end && call->more) break;
        size_t n = end ? (size_t)(end - text) - at : size - at;
        rc = bulk_line(call, b, (akin_span){text + at, n}, err);
        at += n + (end != NULL);
    }
    if (!rc) rc = bulk_flush(call, b, err);
    if (!rc && !call->more) tell_sums(call, b);
    call->consumed = at;
    return rc;
}

/* ---- forms --------------------------------------------------------------------- */

typedef struct {
    char *filename, *id, *caption, *payload;
    akin_buf picture;
} form_item;

typedef struct {
    form_item *items;
    size_t n, capacity;
    akin_buf id, caption, payload; /* for the next file */
    bool fresh; /* the last item's file had no byte yet, nothing came since */
    akin_error error;
    akin_status status;
} form;

static void form_free(void *state)
{
    form *f = state;

    for (size_t i = 0; i < f->n; i++) {
        akin_free(f->items[i].filename);
        akin_free(f->items[i].id);
        akin_free(f->items[i].caption);
        akin_free(f->items[i].payload);
        akin_buf_clear(&f->items[i].picture);
    }
    akin_free(f->items);
    akin_buf_clear(&f->id);
    akin_buf_clear(&f->caption);
    akin_buf_clear(&f->payload);
    akin_free(f);
}

/* The text gathered so far, for an item; NULL when there is none. */
static char *take_text(akin_buf *buf)
{
    char *text = buf->size ? akin_strndup((char *)buf->data, buf->size) : NULL;
    akin_buf_clear(buf);
    *buf = (akin_buf){0};
    return text;
}

static akin_status begin_file(form *f, const char *filename)
{
    const char *slash = strrchr(filename, '/');

    if (f->n == FORM_FILES)
        return akin_fail(&f->error, AKIN_TOO_LARGE,
                         "at most %d files in one request", FORM_FILES);
    akin_status rc = akin_grow(&f->items, &f->capacity, f->n + 1,
                               sizeof *f->items, &f->error);
    if (rc) return rc;
    form_item *item = &f->items[f->n++];
    *item = (form_item){.filename = akin_strdup(filename),
                        .id = take_text(&f->id),
                        .caption = take_text(&f->caption),
                        .payload = take_text(&f->payload)};
    if (!item->id) item->id = akin_strdup(slash ? slash + 1 : filename);
    if (!item->id || !item->filename)
        return akin_fail(&f->error, AKIN_NOMEM, "out of memory");
    akin__http_id_fold(item->id);
    return AKIN_OK;
}

static akin_buf *text_part(form *f, const char *key)
{
    if (key && !strcmp(key, "id")) return &f->id;
    if (key && !strcmp(key, "caption")) return &f->caption;
    if (key && !strcmp(key, "payload")) return &f->payload;
    return NULL;
}

enum MHD_Result akin__http_form_part(void *user, enum MHD_ValueKind kind,
                                     const char *key, const char *filename,
                                     const char *type, const char *encoding,
                                     const char *data, uint64_t at, size_t size)
{
    akin_http_call *call = user;
    form *f = call->state;
    akin_buf *to = NULL;

    (void)kind;
    (void)type;
    (void)encoding;
    if (filename && *filename) {
        /* an empty first piece may come before the one that has bytes; or it
         * was an empty file, and this is the next */
        bool again = f->fresh && !strcmp(f->items[f->n - 1].filename, filename);
        if (!at && !again) f->status = begin_file(f, filename);
        f->fresh = !at && !size;
        if (f->status) return MHD_NO;
        to = &f->items[f->n - 1].picture;
    } else {
        f->fresh = false;
        to = text_part(f, key);
    }
    if (!to) return MHD_YES;
    akin_buf_append(to, data, size);
    return to->failed ? MHD_NO : MHD_YES;
}

/* NUL-free, as the engine wants texts; pictures are any bytes. */
static akin_item_input form_input(const form_item *item)
{
    return (akin_item_input){
        .id = akin_span_of(item->id),
        .caption = akin_span_of(item->caption),
        .attributes = akin_span_of(item->payload),
        .picture = {item->picture.data ? (void *)item->picture.data : "",
                    item->picture.size}};
}

static akin_status put_form(akin_http_call *call, const form *f,
                            akin_error *err)
{
    akin_item_input *inputs = akin_calloc(f->n, sizeof *inputs);
    akin_put_result *results = akin_calloc(f->n, sizeof *results);
    akin_status rc = inputs && results
                         ? AKIN_OK
                         : akin_fail(err, AKIN_NOMEM, "out of memory");

    for (size_t i = 0; !rc && i < f->n; i++)
        inputs[i] = form_input(&f->items[i]);
    if (!rc && f->n)
        rc = akin_engine_put(call->engine, call->params[0], inputs, f->n, NULL,
                             results, err);
    if (!rc) akin_buf_text(&call->out, "[");
    for (size_t i = 0; !rc && i < f->n; i++) {
        if (i) akin_buf_text(&call->out, ",");
        write_outcome(&call->out, 0, f->items[i].id, &results[i]);
    }
    akin_buf_text(&call->out, "]");
    akin_free(inputs);
    akin_free(results);
    return rc;
}

akin_status akin__http_upload(akin_http_call *call, akin_error *err)
{
    akin_status rc = akin__http_check_collection(call, call->params[0], err);

    if (rc) return rc;
    form *f = akin_calloc(1, sizeof *f);
    if (!f) return akin_fail(err, AKIN_NOMEM, "out of memory");
    call->state = f;
    call->state_free = form_free;
    if (MHD_post_process(call->form, (char *)call->body.data,
                         call->body.size) != MHD_YES) {
        if (f->status) *err = f->error;
        return f->status
                   ? f->status
                   : akin_fail(err, AKIN_BAD_DATA, "the form cannot be read");
    }
    return put_form(call, f, err);
}
