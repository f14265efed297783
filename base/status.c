/* Statuses and error messages. A message is written into the caller's struct,
 * which travels with the request from thread to thread. */
#include "akin_base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *text, *resp;
    int http;
} table[AKIN_STATUS_COUNT] = {
#define X(name, text, resp, http) {text, resp, http},
    AKIN_STATUS_LIST(X)
#undef X
};

static akin_status known(akin_status status)
{
    return (unsigned)status < AKIN_STATUS_COUNT ? status : AKIN_INTERNAL;
}

const char *akin_status_text(akin_status status)
{
    return table[known(status)].text;
}

const char *akin_status_resp(akin_status status)
{
    return table[known(status)].resp;
}

int akin_status_http(akin_status status)
{
    return table[known(status)].http;
}

/* A message that was cut must not end in half a UTF-8 character. */
static void trim_partial_utf8(char *s, size_t length)
{
    size_t i = length;
    while (i > 0 && ((unsigned char)s[i - 1] & 0xC0) == 0x80)
        i--;
    if (i == 0) return;
    unsigned char lead = (unsigned char)s[i - 1];
    size_t want = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (length - (i - 1) < want) s[i - 1] = '\0';
}

static void store(akin_error *err, akin_status status, const char *text)
{
    size_t n = strlen(text);
    err->status = status;
    if (n >= sizeof err->message) n = sizeof err->message - 1;
    memcpy(err->message, text, n);
    err->message[n] = '\0';
    if (text[n] != '\0') trim_partial_utf8(err->message, n);
}

akin_status akin_fail(akin_error *err, akin_status status, const char *fmt, ...)
{
    if (!err) return status;
    char text[2 * AKIN_ERROR_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    store(err, status, text);
    return status;
}

akin_status akin_fail_prefix(akin_error *err, akin_status status,
                             const char *fmt, ...)
{
    if (!err) return status;
    char text[2 * AKIN_ERROR_BYTES + 2], prefix[AKIN_ERROR_BYTES];
    va_list args;
    va_start(args, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", prefix, err->message);
    store(err, status, text);
    return status;
}

akin_status akin_fail_errno(akin_error *err, int errno_value, const char *fmt,
                            ...)
{
    akin_status status = errno_value == ENOENT   ? AKIN_NOT_FOUND
                         : errno_value == ENOMEM ? AKIN_NOMEM
                                                 : AKIN_IO;
    if (!err) return status;
    char text[2 * AKIN_ERROR_BYTES], what[AKIN_ERROR_BYTES], reason[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    snprintf(text, sizeof text, "%s: %s", what,
             strerror_r(errno_value, reason, sizeof reason));
    store(err, status, text);
    return status;
}
