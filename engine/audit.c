/* The audit: what destroyed something is noted when it has. */
#include "internal.h"

#include <string.h>

/* What stands in a row is shown to people: no control characters, whole
 * characters. Words of the client may be anything. */
static akin_span clean(akin_span in, char out[AKIN_AUDIT_BYTES + 1])
{
    size_t n = in.size < AKIN_AUDIT_BYTES ? in.size : AKIN_AUDIT_BYTES;
    if (n) memcpy(out, in.data, n);
    while (n < in.size && n && ((unsigned char)out[n - 1] & 0x80))
        n--; /* it may have been cut within a character */
    bool utf8 = akin__is_utf8((akin_span){out, n});
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)out[i];
        if (c < ' ' || c == 0x7f || (c >= 0x80 && !utf8)) out[i] = '?';
    }
    out[n] = 0;
    return (akin_span){out, n};
}

akin_status akin_engine_audit_note(akin_engine *engine, akin_span who,
                                   akin_span what, akin_span detail,
                                   akin_error *err)
{
    char texts[3][AKIN_AUDIT_BYTES + 1];
    akin_audit a = {.who = clean(who, texts[0]),
                    .what = clean(what, texts[1]),
                    .detail = clean(detail, texts[2])};
    akin_write op = {.kind = AKIN_WRITE_AUDIT, .audit = &a};
    return akin_storage_write(engine->storage, &op, 1, NULL, err);
}

typedef struct {
    akin_audit_each_entry *call;
    void *user;
} asking;

static bool pass_on(void *user, const akin_audit *a)
{
    const asking *ask = user;
    akin_audit_entry entry = {.first_ms = a->first_ms,
                              .last_ms = a->last_ms,
                              .times = a->times,
                              .who = a->who.data,
                              .what = a->what.data,
                              .detail = a->detail.data};
    return ask->call(ask->user, &entry);
}

akin_status akin_engine_audit(akin_engine *engine, uint64_t limit,
                              akin_audit_each_entry *call, void *user,
                              akin_error *err)
{
    asking ask = {call, user};
    return akin_storage_audit(engine->storage, limit, pass_on, &ask, err);
}
