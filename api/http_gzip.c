/* gzip of replies that are worth it: text of at least WORTH_BYTES, to a client
 * that asked. What a handler wrote is compressed on its worker; the gallery's
 * constant files once, when they are first asked for, and kept.
 *
 * A compressed reply is another representation: it has an ETag of its own
 * ("...-gz"), and ranges are those of the plain one. */
#include "http_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define WORTH_BYTES 1400        /* less fits into one packet anyway */
#define MOST_BYTES  (64u << 20) /* more takes a worker for too long */
#define GZIP_WINDOW (15 + 16)   /* zlib's way of saying gzip */

/* Whether "gzip" stands in Accept-Encoding, and not with q=0. */
bool akin__http_accepts_gzip(const char *header)
{
    const char *p = header ? header : "";

    while (*p) {
        p += strspn(p, " \t,");
        size_t n = strcspn(p, " \t,;"), whole = strcspn(p, ",");
        bool gzip =
            (n == 4 && !strncasecmp(p, "gzip", 4)) || (n == 1 && *p == '*');
        const char *q = memchr(p, '=', whole);
        if (gzip) return !q || strtod(q + 1, NULL) > 0;
        p += whole;
    }
    return false;
}

static bool is_text(const char *type)
{
    return !type || !strncmp(type, "text/", 5) ||
           !strncmp(type, "application/json", 16) ||
           strstr(type, "javascript") || strstr(type, "svg") ||
           strstr(type, "manifest");
}

static bool wanted(const akin_http_call *call, size_t size)
{
    return call->gzip && call->status == 200 && !call->range[0] &&
           size >= WORTH_BYTES && size <= MOST_BYTES && is_text(call->type);
}

/* false: not smaller, or no memory; out is then empty. */
static bool deflate_into(akin_span in, int level, akin_buf *out)
{
    z_stream z = {.next_in = (Bytef *)in.data, .avail_in = (uInt)in.size};
    bool done = false;

    if (deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    out->data = akin_alloc(in.size);
    if (out->data) {
        out->capacity = in.size;
        z.next_out = out->data;
        z.avail_out = (uInt)in.size;
        done = deflate(&z, Z_FINISH) == Z_STREAM_END;
        out->size = z.total_out;
    }
    deflateEnd(&z);
    if (!done) akin_buf_clear(out);
    if (!done) *out = (akin_buf){0};
    return done;
}

static void mark(akin_http_call *call)
{
    size_t n = strlen(call->etag);

    call->gzipped = true;
    if (n > 1 && n + 4 <= sizeof call->etag)
        memcpy(call->etag + n - 1, "-gz\"", 5);
}

void akin__http_gzip(akin_http_call *call)
{
    akin_buf packed = {0};

    if (call->constant.data || call->out.failed ||
        !wanted(call, call->out.size) ||
        !deflate_into((akin_span){call->out.data, call->out.size}, 1, &packed))
        return;
    akin_buf_clear(&call->out);
    call->out = packed;
    mark(call);
}

void akin__http_gzip_constant(akin_http_call *call)
{
    akin_http *http = call->http;
    size_t i = 0;

    if (!call->constant.data || !wanted(call, call->constant.size)) return;
    while (i < http->npacked && http->packed[i].plain != call->constant.data)
        i++;
    if (i == http->npacked) {
        akin_buf packed = {0};
        if (i == HTTP_PACKED || !deflate_into(call->constant, 9, &packed))
            return;
        http->packed[http->npacked].plain = call->constant.data;
        http->packed[http->npacked++].bytes = packed;
    }
    const akin_buf *bytes = &http->packed[i].bytes;
    call->constant = (akin_span){bytes->data, bytes->size};
    mark(call);
}
