/* The reply of a call: its headers, what of its body is sent, and what is noted
 * of it. Loop thread. */
#include "http_internal.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void header(struct MHD_Response *response, const char *name,
                   const char *value)
{
    if (MHD_add_response_header(response, name, value) != MHD_YES)
        akin_log(AKIN_LOG_WARN, "http: cannot add header %s", name);
}

void akin__http_headers(struct MHD_Response *response,
                        const akin_http_call *call)
{
    header(response, "Content-Type",
           call->type ? call->type : "application/json");
    header(response, "Cache-Control", call->cache ? call->cache : "no-store");
    header(response, "X-Content-Type-Options", "nosniff");
    header(response, "Referrer-Policy", "no-referrer");
    header(response, "Content-Security-Policy",
           "default-src 'none'; script-src 'self'; style-src 'self'; "
           "img-src 'self' blob: data:; connect-src 'self'; "
           "manifest-src 'self'; base-uri 'none'; form-action 'none'; "
           "frame-ancestors 'none'");
    if (call->etag[0]) header(response, "ETag", call->etag);
    if (call->gzipped) header(response, "Content-Encoding", "gzip");
    if (call->gzipped || call->etag[0])
        header(response, "Vary", "Accept-Encoding");
    if (call->disposition[0])
        header(response, "Content-Disposition", call->disposition);
    if (call->allow[0]) header(response, "Allow", call->allow);
    if (call->status == 503) header(response, "Retry-After", "1");
    if (call->status == 401)
        header(response, "WWW-Authenticate", "Bearer realm=\"akin\"");
}

/* "bytes=a-b", "bytes=a-", "bytes=-n" of a body of size bytes. false: none, or
 * several, or out of bounds: the whole body is sent. */
static bool parse_range(const char *text, uint64_t size, uint64_t *from,
                        uint64_t *to)
{
    const char *digits = "0123456789";

    if (strncmp(text, "bytes=", 6) || !size) return false;
    text += 6;
    size_t first = strspn(text, digits);
    size_t last = text[first] == '-' ? strspn(text + first + 1, digits) : 0;
    if (text[first] != '-' || text[first + 1 + last] || first + last == 0)
        return false;
    unsigned long long a = strtoull(text, NULL, 10);
    unsigned long long b = strtoull(text + first + 1, NULL, 10);
    if (!first) { /* the last b bytes */
        *from = b < size ? size - b : 0;
        *to = size - 1;
        return b > 0;
    }
    *from = a;
    *to = last && b < size ? b : size - 1;
    return a < size && *from <= *to;
}

/* What of the body is sent. */
typedef struct {
    uint64_t from, size;
    char content_range[80]; /* "": all of it */
} part;

static part choose_part(akin_http_call *call)
{
    uint64_t size = call->file >= 0       ? call->file_bytes
                    : call->constant.data ? call->constant.size
                                          : call->out.size;
    part all = {.size = size};
    uint64_t from, to;

    if (call->status != 200 || !call->etag[0] || !call->range[0] ||
        (call->if_range[0] && strcmp(call->if_range, call->etag)) ||
        !parse_range(call->range, size, &from, &to))
        return all;
    part some = {.from = from, .size = to - from + 1};
    snprintf(some.content_range, sizeof some.content_range,
             "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from, to, size);
    call->status = 206;
    return some;
}

/* The reply's body moves from the call to the response. */
static struct MHD_Response *make_response(akin_http_call *call, const part *p)
{
    if (call->status == 304)
        return MHD_create_response_from_buffer(0, (void *)"",
                                               MHD_RESPMEM_PERSISTENT);
    if (call->file >= 0) return akin__http_file(call, p->from, p->size);
    if (call->constant.data)
        return MHD_create_response_from_buffer(
            (size_t)p->size, (uint8_t *)call->constant.data + p->from,
            MHD_RESPMEM_PERSISTENT);
    if (p->from)
        memmove(call->out.data, call->out.data + p->from, (size_t)p->size);
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(
            (size_t)p->size, call->out.data, akin_free);
    if (response) call->out = (akin_buf){0};
    return response;
}

/* The path as it came, but decoded: its row's with the parameters in place. */
static void write_path(const akin_http_call *call, akin_buf *out)
{
    size_t n = 0;

    for (const char *c = call->route->path; *c; c++) {
        if (*c != '{') {
            akin_buf_append(out, c, 1);
            continue;
        }
        akin_buf_text(out, call->params[n++]);
        c = strchr(c, '}');
    }
}

static void note_slow(const akin_http_call *call, uint64_t ns)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(
        call->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char address[96] = "", port[8];
    akin_buf path = {0};

    if (info && !getnameinfo(info->client_addr, sizeof(struct sockaddr_in6),
                             address, sizeof address - sizeof port, port,
                             sizeof port, NI_NUMERICHOST | NI_NUMERICSERV)) {
        size_t used = strlen(address);
        snprintf(address + used, sizeof address - used, ":%s", port);
    }
    write_path(call, &path);
    akin_span words[] = {akin_span_of(call->route->method),
                         {path.data, path.size},
                         {call->body.data, call->body.size}};
    akin_slowlog_note(call->service->slowlog, ns, words,
                      call->body.size ? 3 : 2, address, "");
    akin_buf_clear(&path);
}

/* Whether the client has what it asks for: an ETag of its list, or "*". */
static bool is_known(const akin_http_call *call)
{
    const char *list = call->if_none_match;

    if (!call->etag[0] || !*list || call->status != 200) return false;
    return strstr(list, call->etag) || !strcmp(list, "*");
}

static void count(akin_http_call *call)
{
    akin_http *http = call->http;
    size_t n = http->stats.nroutes - 1, at = n;
    uint64_t now = akin_mono_ns();
    uint64_t ns = now - (call->ready_ns ? call->ready_ns : call->started_ns);

    if (call->route) at = (size_t)(call->route - akin__http_routes(&n));
    akin_metrics_count(&http->stats.stats[at], ns, call->status >= 400);
    http->stats.bytes_out += call->sent_bytes;
    /* uploads and the like are as slow as they are large */
    if (call->route && !(call->route->flags & (HTTP_SLOW | HTTP_LOOP)) &&
        akin_took_long(call->service, ns))
        note_slow(call, ns);
}

enum MHD_Result akin__http_send(akin_http_call *call)
{
    akin__http_gzip_constant(call);
    if (is_known(call)) call->status = 304;
    part p = choose_part(call);
    call->sent_bytes = call->status == 304 ? 0 : p.size;
    count(call);
    struct MHD_Response *response = make_response(call, &p);
    if (!response) return MHD_NO;
    akin__http_headers(response, call);
    if (call->etag[0] && !call->gzipped)
        header(response, "Accept-Ranges", "bytes");
    if (p.content_range[0]) header(response, "Content-Range", p.content_range);
    enum MHD_Result ok =
        MHD_queue_response(call->connection, call->status, response);
    MHD_destroy_response(response);
    return ok;
}
