/* Replies in RESP2 and RESP3. */
#include "resp.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The decimal digits of n before `end`; gives where they begin. */
static char *digits_before(char *end, uint64_t n)
{
    do
        *--end = (char)('0' + n % 10);
    while (n /= 10);
    return end;
}

static void header(akin_reply *r, char mark, size_t n)
{
    char line[24] = {0}, *end = line + sizeof line - 2;
    memcpy(end, "\r\n", 2);
    char *start = digits_before(end, n);
    *--start = mark;
    akin_buf_append(&r->out, start, (size_t)(end + 2 - start));
}

/* Copies text onto one line. */
static void one_line(akin_buf *out, const char *text)
{
    for (const char *s = text; *s;) {
        size_t n = strcspn(s, "\r\n");
        akin_buf_append(out, s, n);
        s += n;
        if (*s) {
            akin_buf_append(out, " ", 1);
            s++;
        }
    }
}

void akin_reply_simple(akin_reply *r, const char *text)
{
    akin_buf_append(&r->out, "+", 1);
    one_line(&r->out, text);
    akin_buf_append(&r->out, "\r\n", 2);
}

void akin_reply_error(akin_reply *r, const char *prefix, const char *message)
{
    akin_buf_printf(&r->out, "-%s ", prefix);
    one_line(&r->out, message);
    akin_buf_append(&r->out, "\r\n", 2);
}

void akin_reply_int(akin_reply *r, int64_t value)
{
    akin_buf_printf(&r->out, ":%" PRId64 "\r\n", value);
}

void akin_reply_bulk(akin_reply *r, const void *data, size_t size)
{
    header(r, '$', size);
    akin_buf_append(&r->out, data, size);
    akin_buf_append(&r->out, "\r\n", 2);
}

void akin_reply_text(akin_reply *r, const char *text)
{
    if (text)
        akin_reply_bulk(r, text, strlen(text));
    else
        akin_reply_null(r);
}

void akin_reply_printf(akin_reply *r, const char *fmt, ...)
{
    akin_buf text = {0};
    va_list args;
    va_start(args, fmt);
    akin_buf_vprintf(&text, fmt, args);
    va_end(args);
    if (text.failed) r->out.failed = true;
    akin_reply_bulk(r, text.data, text.size);
    akin_buf_clear(&text);
}

void akin_reply_verbatim(akin_reply *r, const char *text, size_t size)
{
    if (r->proto < 3) {
        akin_reply_bulk(r, text, size);
        return;
    }
    header(r, '=', size + 4);
    akin_buf_append(&r->out, "txt:", 4);
    akin_buf_append(&r->out, text, size);
    akin_buf_append(&r->out, "\r\n", 2);
}

static void number_text(akin_reply *r, const char *digits)
{
    if (r->proto < 3)
        akin_reply_text(r, digits);
    else
        akin_buf_printf(&r->out, ",%s\r\n", digits);
}

/* inf and nan as RESP3 spells them; false for an ordinary number. */
static bool odd_number(akin_reply *r, double value)
{
    if (isfinite(value)) return false;
    number_text(r, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    return true;
}

void akin_reply_double(akin_reply *r, double value)
{
    char digits[40];
    if (odd_number(r, value)) return;
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    number_text(r, digits);
}

/* The fewest digits, 6 at least, that read back as the same float, as the loop
 * of %.6g to %.9g below gives them, for what scores are: 0.0001 to 1. False for
 * other values. m / 10^decimals is rounded once, from two exact numbers. */
static bool score_digits(float value, char out[40])
{
    double x = (double)fabsf(value), ten = 1e6;
    int decimals = 6;
    uint64_t m;
    if (!(x >= 0.0001 && x < 1)) return false;
    for (double y = x; y < 0.1; y *= 10, decimals++)
        ten *= 10;
    for (int more = 0;; more++, decimals++, ten *= 10) {
        m = (uint64_t)nearbyint(x * ten); /* ties to even, as printf */
        if ((float)((double)m / ten) == (float)x) break;
        if (more == 3) return false;
    }
    if ((double)m >= ten) return false; /* rounded up to 1 */
    for (; m % 10 == 0; m /= 10)
        decimals--;
    char text[24], *end = text + sizeof text, *start = digits_before(end, m);
    while (end - start < decimals)
        *--start = '0';
    snprintf(out, 40, "%s0.%.*s", value < 0 ? "-" : "", (int)(end - start),
             start);
    return true;
}

void akin_reply_float(akin_reply *r, float value)
{
    char digits[40];
    if (odd_number(r, (double)value)) return;
    if (score_digits(value, digits)) {
        number_text(r, digits);
        return;
    }
    for (int precision = 6; precision <= 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)value);
        if (strtof(digits, NULL) == value) break;
    }
    number_text(r, digits);
}

void akin_reply_bool(akin_reply *r, bool value)
{
    if (r->proto < 3)
        akin_reply_int(r, value);
    else
        akin_buf_text(&r->out, value ? "#t\r\n" : "#f\r\n");
}

void akin_reply_null(akin_reply *r)
{
    akin_buf_text(&r->out, r->proto < 3 ? "$-1\r\n" : "_\r\n");
}

void akin_reply_null_array(akin_reply *r)
{
    akin_buf_text(&r->out, r->proto < 3 ? "*-1\r\n" : "_\r\n");
}

void akin_reply_array(akin_reply *r, size_t n)
{
    header(r, '*', n);
}

void akin_reply_map(akin_reply *r, size_t n)
{
    header(r, r->proto < 3 ? '*' : '%', r->proto < 3 ? 2 * n : n);
}

void akin_reply_set(akin_reply *r, size_t n)
{
    header(r, r->proto < 3 ? '*' : '~', n);
}

void akin_reply_row_text(akin_reply *r, const char *name, const char *value)
{
    akin_reply_text(r, name);
    akin_reply_text(r, value && *value ? value : NULL);
}

void akin_reply_row_int(akin_reply *r, const char *name, uint64_t value)
{
    akin_reply_text(r, name);
    akin_reply_int(r, (int64_t)value);
}
