/* AKIN.AUDIT, and the note that a command leaves there. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"

#define SHOWN 100
#define MOST  10000

/* ---- AKIN.AUDIT ------------------------------------------------------------------ */

typedef struct {
    akin_reply rows;
    size_t n;
} listing;

static void row_text(akin_reply *reply, const char *name, const char *value)
{
    akin_reply_text(reply, name);
    akin_reply_text(reply, value);
}

static bool add_row(void *user, const akin_audit_entry *e)
{
    listing *l = user;
    akin_reply_map(&l->rows, 6);
    akin_reply_row_int(&l->rows, "first", e->first_ms);
    akin_reply_row_int(&l->rows, "last", e->last_ms);
    akin_reply_row_int(&l->rows, "times", (int64_t)e->times);
    row_text(&l->rows, "who", e->who);
    row_text(&l->rows, "what", e->what);
    row_text(&l->rows, "detail", e->detail);
    l->n++;
    return !l->rows.out.failed;
}

akin_status akin_cmd_audit(akin_call *c, akin_error *err)
{
    akin_args args = akin_args_of(c, 1);
    listing l = {.rows = {.out = {.limit = c->reply->out.limit},
                          .proto = c->reply->proto}};
    int64_t count = SHOWN;
    akin_status rc = AKIN_OK;

    if (akin_args_word(&args, "COUNT"))
        rc = akin_args_int(&args, "COUNT", 1, MOST, &count, err);
    if (!rc && args.at < args.n) rc = akin_bad_option(args.argv[args.at], err);
    if (!rc)
        rc = akin_engine_audit(c->service->engine, (uint64_t)count, add_row, &l,
                               err);
    if (!rc && l.rows.out.failed)
        rc = akin_fail(err, AKIN_TOO_LARGE, "ask for fewer entries");
    if (!rc) {
        akin_reply_array(c->reply, l.n);
        akin_buf_append(&c->reply->out, l.rows.out.data, l.rows.out.size);
    }
    akin_buf_clear(&l.rows.out);
    return rc;
}

/* ---- noting ----------------------------------------------------------------------- */

void akin_audit(akin_service *service, const char *address, const char *client,
                akin_span what, akin_span detail)
{
    char who[AKIN_AUDIT_BYTES];
    akin_error err;

    /* without the port: the next connection is still the same client */
    const char *port = address ? strrchr(address, ':') : NULL;
    if (address && *address)
        snprintf(who, sizeof who, "%.*s%s%s",
                 (int)(port ? (size_t)(port - address) : strlen(address)),
                 address, *client ? " " : "", client);
    else
        snprintf(who, sizeof who, "user %lu, command line",
                 (unsigned long)getuid());
    if (akin_engine_audit_note(service->engine, akin_span_of(who), what, detail,
                               &err))
        akin_log(AKIN_LOG_WARN, "audit: %.*s by %s not noted: %s",
                 (int)what.size, (const char *)what.data, who, err.message);
}

void akin_audit_call(const akin_call *call, const akin_command *row)
{
    const akin_session *session = call->session;
    size_t words = row->flags & AKIN_CMD_KEY ? 1 : 0;
    akin_buf what = {0}, detail = {0};

    akin_buf_text(&what, row->name);
    for (size_t i = 1; i < call->argc && i < 20; i++) {
        akin_buf *to = i <= words ? &what : &detail;
        if (to->size) akin_buf_text(to, " ");
        akin_buf_append(to, call->argv[i].data,
                        call->argv[i].size < AKIN_AUDIT_BYTES
                            ? call->argv[i].size
                            : AKIN_AUDIT_BYTES);
    }
    if (!what.failed && !detail.failed)
        akin_audit(call->service, session->address, session->name,
                   (akin_span){what.data, what.size},
                   (akin_span){detail.data, detail.size});
    akin_buf_clear(&what);
    akin_buf_clear(&detail);
}
