/* akin add to a server that cannot read our files: the pictures' bytes are sent
 * with VADD, with the ids and attributes that the server's own ingest would give
 * them. Commands are pipelined in windows; while the server works on one, the
 * next is read and on its way. What the server has already, by the file's time
 * and size, is not sent: the server is asked first, a window at a time. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "cli_send.h"

#define WINDOW       32
#define WINDOWS      4 /* that are in memory: answered, sent, asked, read */
#define WINDOW_BYTES (16u << 20)
#define MAX_PICTURE  (60u << 20) /* a request holds 64 MiB */

typedef struct {
    akin_source_item it; /* strings below are ours */
    char *memory;        /* id, path, label, caption, attributes */
    float *vector;
    uint8_t *picture;
    size_t picture_size;
    akin_status status; /* not AKIN_OK: cannot be read */
    akin_error error;
    bool sent;
} outgoing;

typedef struct {
    akin_cli *cli;
    akin_source *source;
    akin_progress progress;
    uint64_t started_ns;
    akin_bar bar;
    bool force, source_ended;
    outgoing windows[WINDOWS][WINDOW];
    size_t n[WINDOWS];
    bool known[WINDOWS][WINDOW]; /* the server has it as it is */
} sending;

/* ---- one window --------------------------------------------------------------------- */

/* Appends text and a NUL; gives where it starts. */
static size_t keep(akin_buf *memory, akin_span text)
{
    size_t at = memory->size;
    akin_buf_append(memory, text.data, text.size);
    akin_buf_append(memory, "", 1);
    return at;
}

/* Copies what lives only until the next akin_source_next. */
static akin_status copy_item(const akin_source_item *it, outgoing *o,
                             akin_error *err)
{
    akin_buf memory = {0};
    size_t id = keep(&memory, it->item.id);
    size_t caption = keep(&memory, it->item.caption);
    size_t attributes = keep(&memory, it->item.attributes);
    size_t file = keep(&memory, akin_span_of(it->file));
    size_t label = keep(&memory, akin_span_of(it->label));
    if (memory.failed) {
        akin_buf_clear(&memory);
        return akin_fail(err, AKIN_NOMEM, "no memory for a window");
    }
    o->it = *it;
    o->memory = (char *)memory.data;
    o->it.item.id.data = o->memory + id;
    if (it->item.caption.data) o->it.item.caption.data = o->memory + caption;
    if (it->item.attributes.data)
        o->it.item.attributes.data = o->memory + attributes;
    if (it->file) o->it.file = o->memory + file;
    o->it.item.path = akin_span_of(o->it.file);
    o->it.label = o->memory + label;
    if (!it->item.vector) return AKIN_OK;
    size_t bytes = it->item.dim * sizeof *o->vector;
    o->vector = akin_alloc(bytes);
    if (!o->vector) return akin_fail(err, AKIN_NOMEM, "no memory for a vector");
    memcpy(o->vector, it->item.vector, bytes);
    o->it.item.vector = o->vector;
    return AKIN_OK;
}

static void clear_window(sending *s, int w)
{
    for (size_t i = 0; i < s->n[w]; i++) {
        akin_free(s->windows[w][i].memory);
        akin_free(s->windows[w][i].vector);
        akin_free(s->windows[w][i].picture);
    }
    memset(s->windows[w], 0, sizeof s->windows[w]);
    s->n[w] = 0;
}

/* Reads the next items, not yet their pictures. */
static akin_status fill_window(sending *s, int w, akin_error *err)
{
    while (s->n[w] < WINDOW && !s->source_ended) {
        outgoing *o = &s->windows[w][s->n[w]];
        akin_source_item it;
        o->status = akin_source_next(s->source, &it, &o->error);
        if (o->status && !it.label) {
            if (o->status != AKIN_NOT_FOUND) {
                *err = o->error;
                return o->status;
            }
            o->status = AKIN_OK;
            s->source_ended = true;
            break;
        }
        s->n[w]++;
        akin_status rc = copy_item(&it, o, err);
        if (rc) return rc;
    }
    return AKIN_OK;
}

/* ---- what is there already ------------------------------------------------------------ */

static bool same_text(const redisReply *stored, const char *key, akin_span want)
{
    const char *text = akin_field_text(stored, key);
    return !want.data ||
           (strlen(text) == want.size && !memcmp(text, want.data, want.size));
}

static bool same_attributes(const redisReply *stored, akin_span want)
{
    const char *text = akin_field_text(stored, "attributes");
    if (same_text(stored, "attributes", want)) return true;
    json_t *a = json_loads(text, 0, NULL);
    json_t *b = json_loadb(want.data, want.size, 0, NULL);
    bool same = a && b && json_equal(a, b);
    json_decref(a);
    json_decref(b);
    return same;
}

static bool is_unchanged(const redisReply *stored, const outgoing *o)
{
    const akin_item_input *item = &o->it.item;
    return o->it.file && stored->type == REDIS_REPLY_ARRAY &&
           akin_field_int(stored, "modified") == item->modified_ms &&
           akin_field_int(stored, "bytes") == o->it.file_size &&
           same_text(stored, "caption", item->caption) &&
           same_attributes(stored, item->attributes);
}

/* Reads a window and asks for what is in it. */
static akin_status ask_window(sending *s, int w, akin_error *err)
{
    akin_status rc = fill_window(s, w, err);
    for (size_t i = 0; i < s->n[w] && !rc; i++) {
        akin_span argv[] = {akin_span_of("AKIN.GET"),
                            akin_span_of(s->cli->collection),
                            s->windows[w][i].it.item.id};
        rc = akin_link_send(s->cli->link, argv, 3, err);
    }
    return rc;
}

static akin_status take_known(sending *s, int w, akin_error *err)
{
    akin_status rc = AKIN_OK;
    for (size_t i = 0; i < s->n[w] && !rc; i++) {
        redisReply *stored = NULL;
        rc = akin_link_receive(s->cli->link, &stored, err);
        s->known[w][i] =
            !rc && !s->force && is_unchanged(stored, &s->windows[w][i]);
        if (stored) freeReplyObject(stored);
    }
    return rc;
}

/* ---- sending --------------------------------------------------------------------------- */

static akin_status read_picture(outgoing *o)
{
    if (!o->it.file || o->status) return o->status;
    o->status = akin_file_read(o->it.file, MAX_PICTURE, &o->picture,
                               &o->picture_size, &o->error);
    return o->status;
}

static void vadd_words(const sending *s, const outgoing *o, akin_words *words)
{
    static const char *const captions[] = {"METADATA", "FILENAME", "NONE"};
    const akin_item_input *item = &o->it.item;
    akin_words_add(words, "VADD");
    akin_words_add(words, s->cli->collection);
    if (o->it.file) {
        akin_words_add(words, "IMAGE");
        akin_words_bytes(words, o->picture, o->picture_size);
    } else if (item->vector) {
        akin_words_add(words, "FP32");
        akin_words_bytes(words, item->vector, item->dim * sizeof(float));
    } else {
        akin_words_add(words, "TEXT");
        akin_words_bytes(words, item->caption.data, item->caption.size);
    }
    akin_words_bytes(words, item->id.data, item->id.size);
    if (item->caption.data) {
        akin_words_add(words, "CAPTION");
        akin_words_bytes(words, item->caption.data, item->caption.size);
    }
    if (item->attributes.data) {
        akin_words_add(words, "SETATTR");
        akin_words_bytes(words, item->attributes.data, item->attributes.size);
    }
    if (!o->it.file) return;
    if (item->describe) akin_words_add(words, "DESCRIBE");
    akin_words_add(words, "CAPTIONS");
    akin_words_add(words, captions[item->captions]);
    akin_words_add(words, "PATH");
    akin_words_bytes(words, item->path.data, item->path.size);
    akin_words_add(words, "MODIFIED");
    akin_words_printf(words, "%" PRId64, item->modified_ms);
}

static akin_status send_one(sending *s, outgoing *o, akin_error *err)
{
    akin_words words = {0};
    vadd_words(s, o, &words);
    akin_status rc =
        words.failed ? akin_fail(err, AKIN_NOMEM, "no memory for a command")
                     : akin_link_send(s->cli->link, words.argv, words.n, err);
    akin_words_clear(&words);
    o->sent = !rc;
    akin_free(o->picture); /* hiredis has its own copy */
    o->picture = NULL;
    return rc;
}

static void failed(sending *s, const char *what, const char *why)
{
    s->progress.done++;
    s->progress.failed++;
    fprintf(stderr, "%s%s: %s\n",
            s->bar.terminal && s->bar.drawn ? "\r\033[K" : "", what, why);
}

static akin_status send_window(sending *s, int w, akin_error *err)
{
    size_t bytes = 0;
    akin_status rc = AKIN_OK;
    for (size_t i = 0; i < s->n[w] && !rc; i++) {
        outgoing *o = &s->windows[w][i];
        if (s->known[w][i]) {
            s->progress.done++;
            s->progress.skipped++;
        } else if (read_picture(o)) {
            failed(s, o->it.label, o->error.message);
        } else {
            bytes += o->picture_size;
            s->progress.bytes += o->picture_size;
            rc = send_one(s, o, err);
        }
        if (bytes > WINDOW_BYTES && !rc) {
            rc = akin_link_flush(s->cli->link, err);
            bytes = 0;
        }
    }
    return rc ? rc : akin_link_flush(s->cli->link, err);
}

static akin_status take_replies(sending *s, int w, akin_error *err)
{
    akin_status rc = AKIN_OK;
    for (size_t i = 0; i < s->n[w] && !rc; i++) {
        redisReply *reply = NULL;
        if (!s->windows[w][i].sent) continue;
        rc = akin_link_receive(s->cli->link, &reply, err);
        if (rc) break;
        if (reply->type == REDIS_REPLY_ERROR) {
            failed(s, s->windows[w][i].it.label,
                   reply->str + (strncmp(reply->str, "ERR ", 4) ? 0 : 4));
        } else {
            s->progress.done++;
            s->progress.added += reply->integer == 1;
            s->progress.updated += reply->integer != 1;
        }
        freeReplyObject(reply);
    }
    return rc;
}

static void show(sending *s, bool last)
{
    akin_progress *p = &s->progress;
    double seconds = (double)(akin_mono_ns() - s->started_ns) / 1e9;
    p->rate = seconds > 0 ? (double)p->done / seconds : 0;
    p->seconds_left = p->rate > 0 && p->total >= p->done
                          ? (double)(p->total - p->done) / p->rate
                          : -1;
    akin_bar_show(&s->bar, p, last);
}

/* Replies come in the order of the commands, which is: ask 0, ask 1, send 0,
 * ask 2, send 1, ask 3, send 2 ... So when window k has been sent, the answers to
 * window k - 1 and what the server knows of window k + 1 are read, and the
 * server always has a window to work on. */
static akin_status send_all(sending *s, akin_error *err)
{
    akin_status rc = ask_window(s, 0, err);
    int k = 0, slot = 0, before = 0;
    if (!rc) rc = ask_window(s, 1, err);
    if (!rc) rc = take_known(s, 0, err);
    for (; !rc && s->n[k % WINDOWS] && !akin_cli_interrupted(); k++) {
        slot = k % WINDOWS;
        before = (k + WINDOWS - 1) % WINDOWS;
        rc = send_window(s, slot, err);
        if (!rc) rc = ask_window(s, (k + 2) % WINDOWS, err);
        if (!rc && k) rc = take_replies(s, before, err);
        if (k) clear_window(s, before);
        if (!rc) rc = take_known(s, (k + 1) % WINDOWS, err);
        show(s, false);
    }
    return !rc && k ? take_replies(s, slot, err) : rc;
}

int akin_cli_send(akin_cli *cli, const akin_ingest *what, akin_report *out)
{
    sending *s = akin_calloc(1, sizeof *s);
    akin_error err;
    size_t n = 0;
    if (!s) return akin_cli_fail(AKIN_EXIT_CANNOT, "no memory");
    s->cli = cli;
    s->force = what->force;
    s->started_ns = akin_mono_ns();
    akin_bar_init(&s->bar, cli, "sending");
    akin_cli_catch_interrupt();
    akin_status rc =
        akin_source_open(what, &s->source, &s->progress.total, &err);
    if (!rc) rc = send_all(s, &err);
    const akin_failure *failures =
        s->source ? akin_source_failures(s->source, &n) : NULL;
    for (size_t i = 0; i < n; i++)
        failed(s, failures[i].what, failures[i].message);
    show(s, true);
    out->progress = s->progress;
    for (int w = 0; w < WINDOWS; w++)
        clear_window(s, w);
    akin_source_close(s->source);
    akin_free(s);
    if (rc) return akin_cli_status(&err);
    return akin_cli_interrupted() ? AKIN_EXIT_INTERRUPTED : AKIN_EXIT_OK;
}
