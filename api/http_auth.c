/* Who may ask. With a password, every route but those marked HTTP_OPEN wants it
 * as `api-key: ...` (Qdrant's clients), `Authorization: Bearer ...`, or in the
 * cookie akin_key, which the gallery sets because pictures in a page carry no
 * headers.
 *
 * A page of another site that is open in the same browser can send requests
 * here. It cannot read the replies, for no CORS header is sent, and what changes
 * anything is refused when its Origin is not the host it was sent to. */
#include "http_internal.h"

#include <string.h>
#include <strings.h>

/* Takes as long for any guess of the same length. */
static bool same_key(const char *guess, size_t size, const char *key)
{
    size_t n = strlen(key);
    unsigned difference = size != n;

    for (size_t i = 0; i < size; i++)
        difference |= (unsigned char)guess[i] ^ (unsigned char)key[i % (n + 1)];
    return !difference;
}

static const char *request_header(const akin_http_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

static bool has_key(const akin_http_call *call, const char *password)
{
    const char *key = request_header(call, "api-key");
    const char *bearer = request_header(call, "Authorization");

    if (key && same_key(key, strlen(key), password)) return true;
    if (bearer && !strncasecmp(bearer, "Bearer ", 7) &&
        same_key(bearer + 7, strlen(bearer + 7), password))
        return true;
    key = MHD_lookup_connection_value(call->connection, MHD_COOKIE_KIND,
                                      "akin_key");
    if (!key || strlen(key) > 3 * 256) return false;
    char copy[3 * 256 + 1];
    memcpy(copy, key, strlen(key) + 1);
    return akin__http_unescape(copy) && same_key(copy, strlen(copy), password);
}

/* "http://host:port" against "host:port". */
static bool same_origin(const char *origin, const char *host)
{
    const char *slashes = strstr(origin, "://");
    return slashes && host && !strcasecmp(slashes + 3, host);
}

akin_status akin__http_allowed(akin_http_call *call, akin_error *err)
{
    const char *origin = request_header(call, "Origin");
    const char *password = call->service->password;

    if (origin && strcmp(call->route->method, "GET") &&
        !same_origin(origin, request_header(call, "Host")))
        return akin_fail(err, AKIN_DENIED,
                         "a page of another origin may not change anything "
                         "here");
    if (!*password || call->route->flags & HTTP_OPEN || has_key(call, password))
        return AKIN_OK;
    return akin_fail(err, AKIN_UNAUTHENTICATED,
                     "Must provide an API key or an Authorization bearer "
                     "token");
}
