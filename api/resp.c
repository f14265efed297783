/* How a request is read: a state machine that is handed bytes and keeps the
 * arguments one after another in one growing block, each with a NUL behind it.
 * Offsets, not pointers, are kept until the request is complete, since the
 * block moves when it grows. It grows with the bytes that came, not with the
 * length that was announced: "$67108864" alone costs a client nothing. */
#include "resp.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum {
    AT_START,      /* before the first byte of a request */
    AT_ARRAY_SIZE, /* digits behind '*' */
    AT_BULK_MARK,  /* before '$' */
    AT_BULK_SIZE,  /* digits behind '$' */
    AT_BULK_DATA,
    AT_BULK_CR,
    AT_BULK_LF,
    AT_INLINE, /* in a line */
    AT_BAD
} parser_state;

typedef struct {
    size_t at, size;
} piece;

struct akin_resp_parser {
    akin_resp_limits limits;
    parser_state state;
    akin_buf data;
    piece *args;
    size_t argc, args_capacity;
    size_t args_left, bulk_left;
    /* A number being read, and whether its line's CR has come. */
    int64_t number;
    unsigned digits;
    bool negative, cr;
    akin_error error;
};

void akin_request_free(akin_request *request)
{
    if (!request) return;
    akin_free(request->data);
    akin_free(request);
}

akin_resp_parser *akin_resp_parser_new(const akin_resp_limits *limits)
{
    akin_resp_parser *p = akin_calloc(1, sizeof *p);
    if (p) p->limits = *limits;
    return p;
}

void akin_resp_parser_free(akin_resp_parser *p)
{
    if (!p) return;
    akin_buf_clear(&p->data);
    akin_free(p->args);
    akin_free(p);
}

void akin_resp_parser_limit(akin_resp_parser *p, const akin_resp_limits *limits)
{
    p->limits = *limits;
}

size_t akin_resp_pending(const akin_resp_parser *p)
{
    return p->data.capacity + p->args_capacity * sizeof *p->args;
}

static akin_resp_state bad(akin_resp_parser *p, akin_status status,
                           const char *what)
{
    p->state = AT_BAD;
    akin_fail(&p->error, status, "Protocol error: %s", what);
    akin_buf_clear(&p->data);
    return AKIN_RESP_BAD;
}

static akin_resp_state out_of_memory(akin_resp_parser *p)
{
    return bad(p, AKIN_NOMEM, "out of memory");
}

static void number_start(akin_resp_parser *p, parser_state state)
{
    p->state = state;
    p->number = 0;
    p->digits = 0;
    p->negative = p->cr = false;
}

/* One byte of "123\r\n". 1: the line is over, 0: not yet, -1: not a number. */
static int number_byte(akin_resp_parser *p, uint8_t c)
{
    if (p->cr) {
        if (c != '\n' || !p->digits) return -1;
        if (p->negative) p->number = -p->number;
        return 1;
    }
    if (c == '\r') {
        p->cr = true;
        return 0;
    }
    if (c == '-' && !p->digits && !p->negative) {
        p->negative = true;
        return 0;
    }
    if (c < '0' || c > '9' || p->digits >= 18) return -1;
    p->number = p->number * 10 + (c - '0');
    p->digits++;
    return 0;
}

static bool arg_begin(akin_resp_parser *p)
{
    if (akin_grow(&p->args, &p->args_capacity, p->argc + 1, sizeof *p->args,
                  NULL))
        return false;
    p->args[p->argc++] = (piece){p->data.size, 0};
    return true;
}

/* Room for `more` bytes; the block begins large enough for what usually comes. */
static bool make_room(akin_resp_parser *p, size_t more)
{
    size_t want = p->data.size + more;
    if (want < 64) want = 64;
    return !akin_grow(&p->data.data, &p->data.capacity, want, 1, NULL);
}

static bool arg_end(akin_resp_parser *p)
{
    piece *arg = &p->args[p->argc - 1];
    arg->size = p->data.size - arg->at;
    akin_buf_append(&p->data, "", 1);
    return !p->data.failed;
}

/* Hands the arguments over as a request and starts afresh. */
static akin_request *take_request(akin_resp_parser *p)
{
    size_t spans = p->argc * sizeof(akin_span);
    akin_request *r = akin_alloc(sizeof *r + spans);
    if (!r) return NULL;
    akin_span *argv = (akin_span *)(r + 1);
    for (size_t i = 0; i < p->argc; i++)
        argv[i] = (akin_span){p->data.data + p->args[i].at, p->args[i].size};
    *r = (akin_request){.argc = p->argc,
                        .argv = argv,
                        .data = p->data.data,
                        .bytes = p->data.capacity + sizeof *r + spans};
    p->data = (akin_buf){0};
    p->argc = 0;
    p->state = AT_START;
    if (p->args_capacity > 1024) { /* a rare long one: do not keep its table */
        akin_free(p->args);
        p->args = NULL;
        p->args_capacity = 0;
    }
    return r;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (uint8_t)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character behind a backslash in "double quotes". */
static uint8_t unescape(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *s = *at;
    uint8_t c = *s;
    *at = s + 1;
    if (c == 'x' && end - s > 2 && hex_digit(s[1]) >= 0 &&
        hex_digit(s[2]) >= 0) {
        *at = s + 3;
        return (uint8_t)(hex_digit(s[1]) << 4 | hex_digit(s[2]));
    }
    static const char from[] = "nrtba", to[] = "\n\r\t\b\a";
    const char *found = memchr(from, c, sizeof from - 1);
    return found ? (uint8_t)to[found - from] : c;
}

/* Copies one quoted part, *at behind its opening quote; false: no end. */
static bool inline_quoted(akin_resp_parser *p, const uint8_t **at,
                          const uint8_t *end, uint8_t quote)
{
    const uint8_t *s = *at;
    while (s < end && *s != quote) {
        uint8_t c = *s++;
        if (c == '\\' && s < end) {
            if (quote == '"')
                c = unescape(&s, end);
            else if (*s == '\'')
                c = *s++;
        }
        akin_buf_append(&p->data, &c, 1);
    }
    *at = s + 1;
    return s < end && (s + 1 == end || isspace(s[1]));
}

/* Splits a line into arguments as redis-cli and redis do. Takes the line's
 * bytes out of p->data and puts the arguments there. */
static akin_resp_state inline_split(akin_resp_parser *p)
{
    akin_buf line = p->data;
    const uint8_t *s = line.data, *end = s + line.size;
    akin_resp_state state = AKIN_RESP_REQUEST;

    p->data = (akin_buf){0};
    while (state == AKIN_RESP_REQUEST) {
        while (s < end && isspace(*s))
            s++;
        if (s == end) break;
        if (p->argc >= p->limits.args) {
            state = bad(p, AKIN_TOO_LARGE, "too many arguments");
        } else if (!arg_begin(p)) {
            state = out_of_memory(p);
        }
        while (state == AKIN_RESP_REQUEST && s < end && !isspace(*s)) {
            uint8_t c = *s++;
            if (c != '"' && c != '\'')
                akin_buf_append(&p->data, &c, 1);
            else if (!inline_quoted(p, &s, end, c))
                state = bad(p, AKIN_INVALID, "unbalanced quotes in request");
        }
        if (state == AKIN_RESP_REQUEST && !arg_end(p)) state = out_of_memory(p);
    }
    akin_buf_clear(&line);
    if (state == AKIN_RESP_REQUEST && !p->argc) {
        p->state = AT_START; /* an empty line asks for nothing */
        state = AKIN_RESP_MORE;
    }
    return state;
}

/* The number behind '*' is complete. */
static akin_resp_state array_sized(akin_resp_parser *p)
{
    if (p->number > 0 && (uint64_t)p->number > p->limits.args)
        return bad(p, AKIN_TOO_LARGE, "invalid multibulk length");
    p->state = p->number > 0 ? AT_BULK_MARK : AT_START;
    p->args_left = p->number > 0 ? (size_t)p->number : 0;
    return AKIN_RESP_MORE;
}

/* The number behind '$' is complete. */
static akin_resp_state bulk_sized(akin_resp_parser *p)
{
    if (p->number < 0 || (uint64_t)p->number > p->limits.bulk_bytes)
        return bad(p, AKIN_TOO_LARGE, "invalid bulk length");
    if ((size_t)p->number > p->limits.request_bytes ||
        p->data.size > p->limits.request_bytes - (size_t)p->number)
        return bad(p, AKIN_TOO_LARGE, "request too large");
    if (!arg_begin(p)) return out_of_memory(p);
    p->bulk_left = (size_t)p->number;
    p->state = p->bulk_left ? AT_BULK_DATA : AT_BULK_CR;
    return AKIN_RESP_MORE;
}

static akin_resp_state expected_dollar(akin_resp_parser *p, uint8_t c)
{
    char what[48];
    snprintf(what, sizeof what, "expected '$', got '%c'",
             c > ' ' && c < 127 ? c : '?');
    return bad(p, AKIN_INVALID, what);
}

/* One byte outside of an argument's data and outside of a line. */
static akin_resp_state structure_byte(akin_resp_parser *p, uint8_t c)
{
    int line;
    switch (p->state) {
    case AT_ARRAY_SIZE:
        line = number_byte(p, c);
        if (line < 0) return bad(p, AKIN_INVALID, "invalid multibulk length");
        return line ? array_sized(p) : AKIN_RESP_MORE;
    case AT_BULK_MARK:
        if (c != '$') return expected_dollar(p, c);
        number_start(p, AT_BULK_SIZE);
        return AKIN_RESP_MORE;
    case AT_BULK_SIZE:
        line = number_byte(p, c);
        if (line < 0) return bad(p, AKIN_INVALID, "invalid bulk length");
        return line ? bulk_sized(p) : AKIN_RESP_MORE;
    case AT_BULK_CR:
        if (c != '\r') return bad(p, AKIN_INVALID, "expected CR after bulk");
        p->state = AT_BULK_LF;
        return AKIN_RESP_MORE;
    case AT_BULK_LF:
        if (c != '\n') return bad(p, AKIN_INVALID, "expected LF after bulk");
        if (!arg_end(p)) return out_of_memory(p);
        p->state = AT_BULK_MARK;
        return --p->args_left ? AKIN_RESP_MORE : AKIN_RESP_REQUEST;
    default: return bad(p, AKIN_INTERNAL, "lost state");
    }
}

/* An argument that lies there whole, "$5\r\nhello\r\n", in one step: how many
 * bytes it took, 0 when it is not whole or not as it should be; then the bytes
 * are looked at one by one. */
static size_t take_whole(akin_resp_parser *p, const uint8_t *data, size_t size)
{
    size_t at = 1, n = 0;
    if (*data != '$') return 0;
    for (; at < size && at < 10 && data[at] >= '0' && data[at] <= '9'; at++)
        n = n * 10 + (size_t)(data[at] - '0');
    if (at == 1 || size - at < 4 || size - at - 4 < n || data[at] != '\r' ||
        data[at + 1] != '\n' || data[at + 2 + n] != '\r' ||
        data[at + 3 + n] != '\n' || n > p->limits.bulk_bytes ||
        n > p->limits.request_bytes ||
        p->data.size > p->limits.request_bytes - n || !make_room(p, n + 1) ||
        !arg_begin(p))
        return 0;
    p->args[p->argc - 1].size = n;
    memcpy(p->data.data + p->data.size, data + at + 2, n);
    p->data.size += n;
    p->data.data[p->data.size++] = 0;
    return at + 4 + n;
}

/* Takes as much of a line or an argument as is there; *used grows. */
static akin_resp_state take_run(akin_resp_parser *p, const uint8_t *data,
                                size_t size, size_t *used)
{
    size_t n = size;
    if (p->state == AT_BULK_DATA) {
        if (n > p->bulk_left) n = p->bulk_left;
        akin_buf_append(&p->data, data, n);
        if (p->data.failed) return out_of_memory(p);
        p->bulk_left -= n;
        if (!p->bulk_left) p->state = AT_BULK_CR;
        *used += n;
        return AKIN_RESP_MORE;
    }
    const uint8_t *lf = memchr(data, '\n', size);
    if (lf) n = (size_t)(lf - data);
    if (n > p->limits.inline_bytes || p->data.size > p->limits.inline_bytes - n)
        return bad(p, AKIN_TOO_LARGE, "too big inline request");
    akin_buf_append(&p->data, data, n);
    if (p->data.failed) return out_of_memory(p);
    *used += lf ? n + 1 : n;
    return lf ? inline_split(p) : AKIN_RESP_MORE;
}

akin_resp_state akin_resp_parse(akin_resp_parser *p, const void *data,
                                size_t size, size_t *used, akin_request **out,
                                akin_error *err)
{
    const uint8_t *bytes = data;
    akin_resp_state state = p->state == AT_BAD ? AKIN_RESP_BAD : AKIN_RESP_MORE;

    size_t whole;

    *used = 0;
    *out = NULL;
    while (state == AKIN_RESP_MORE && *used < size) {
        uint8_t c = bytes[*used];
        if (p->state == AT_START) {
            number_start(p, c == '*' ? AT_ARRAY_SIZE : AT_INLINE);
            if (c == '*') ++*used;
        } else if (p->state == AT_BULK_DATA || p->state == AT_INLINE) {
            state = take_run(p, bytes + *used, size - *used, used);
        } else if (p->state == AT_BULK_MARK &&
                   (whole = take_whole(p, bytes + *used, size - *used))) {
            *used += whole;
            if (!--p->args_left) state = AKIN_RESP_REQUEST;
        } else {
            ++*used;
            state = structure_byte(p, c);
        }
    }
    if (state == AKIN_RESP_REQUEST) {
        *out = take_request(p);
        if (!*out) state = out_of_memory(p);
    }
    if (state == AKIN_RESP_BAD && err) *err = p->error;
    return state;
}

/* ---- numbers ------------------------------------------------------------- */

bool akin_span_int(akin_span text, int64_t *out)
{
    const char *s = text.data;
    char *end;
    if (!text.size || text.size > 20 || isspace((unsigned char)*s) || *s == '+')
        return false;
    char digits[24];
    memcpy(digits, s, text.size);
    digits[text.size] = 0;
    errno = 0;
    long long value = strtoll(digits, &end, 10);
    if (errno || end != digits + text.size) return false;
    *out = value;
    return true;
}

bool akin_span_double(akin_span text, double *out)
{
    const char *s = text.data;
    char digits[64], *end;
    if (!text.size || text.size >= sizeof digits ||
        isspace((unsigned char)*s) || memchr(s, 'x', text.size) ||
        memchr(s, 'X', text.size))
        return false;
    memcpy(digits, s, text.size);
    digits[text.size] = 0;
    errno = 0;
    double value = strtod(digits, &end);
    if (end != digits + text.size || !isfinite(value)) return false;
    *out = value;
    return true;
}

/* Digits with a point and an exponent, such that their value is m * 10^e with m
 * below 2^64: false for everything else. */
static bool plain_number(akin_span text, bool *negative, uint64_t *m, int *e)
{
    const char *s = text.data, *end = s + text.size;
    int digits = 0, power = 0;
    bool point = false, minus = false;
    *negative = s < end && *s == '-';
    if (*negative) s++;
    *m = 0;
    *e = 0;
    for (; s < end && (*s == '.' ? !point : *s >= '0' && *s <= '9'); s++) {
        if (*s == '.') {
            point = true;
            continue;
        }
        if (*m || *s != '0') digits++;
        *m = *m * 10 + (uint64_t)(*s - '0');
        *e -= point;
        if (digits > 19) return false;
    }
    if (!digits) return false; /* 0 too: it has signs and spellings */
    if (s == end) return true;
    if ((*s | 0x20) != 'e' || ++s == end) return false;
    minus = *s == '-';
    if (minus || *s == '+') s++;
    if (s == end || end - s > 3) return false;
    for (; s < end; s++) {
        if (*s < '0' || *s > '9') return false;
        power = power * 10 + (*s - '0');
    }
    *e += minus ? -power : power;
    return true;
}

/* A vector's components come by the hundred, and strtod, which is exact to the
 * last bit of a double, takes longer for them than reading them off the socket.
 * 10^22 is the largest power of ten that a double holds, so that here two
 * roundings to double come before the one to float. */
bool akin_span_float(akin_span text, float *out)
{
    static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    bool negative;
    uint64_t m;
    int e;
    double value;
    if (plain_number(text, &negative, &m, &e) && e >= -22 && e <= 22) {
        value = e < 0 ? (double)m / ten[-e] : (double)m * ten[e];
        if (negative) value = -value;
    } else if (!akin_span_double(text, &value)) {
        return false;
    }
    *out = (float)value;
    return isfinite(*out);
}

bool akin_span_is(akin_span text, const char *word)
{
    return text.size == strlen(word) &&
           !strncasecmp(text.data, word, text.size);
}
