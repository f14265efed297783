/* Reading one value out of a JSON object without building a tree.
 *
 * SQLite's json_extract would do, but it parses the whole object into a tree
 * per row and gives an array as text that a string could spell as well; a
 * filter over a million items is what this is for. The text was checked by
 * SQLite (json_valid) when it was stored, so that this reader may be brief, but
 * it never reads past the end, whatever the bytes. */
#include "internal.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *p, *end;
} reader;

static void skip_space(reader *r)
{
    while (r->p < r->end &&
           (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

/* At an opening quote: the text between the quotes; moves behind. */
static akin_span read_string(reader *r, bool *escaped)
{
    const char *from = ++r->p;
    *escaped = false;
    while (r->p < r->end && *r->p != '"') {
        if (*r->p == '\\') {
            *escaped = true;
            r->p++;
        }
        if (r->p < r->end) r->p++;
    }
    akin_span text = {from, (size_t)(r->p - from)};
    if (r->p < r->end) r->p++;
    return text;
}

/* At an opening bracket or brace: moves behind its end. */
static void skip_nested(reader *r)
{
    size_t depth = 0;
    bool escaped;

    while (r->p < r->end) {
        char c = *r->p;
        if (c == '"') {
            read_string(r, &escaped);
            continue;
        }
        r->p++;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']') && --depth == 0) return;
    }
}

static void skip_scalar(reader *r)
{
    while (r->p < r->end && !strchr(",]} \t\r\n", *r->p))
        r->p++;
}

static akin__value read_value(reader *r)
{
    akin__value v = {.there = true};

    skip_space(r);
    if (r->p >= r->end) return (akin__value){0};
    const char *from = r->p;
    switch (*from) {
    case '"':
        v.type = AKIN__STRING;
        v.text = read_string(r, &v.escaped);
        return v;
    case '{':
        skip_nested(r);
        v.text = (akin_span){from, (size_t)(r->p - from)};
        return v;
    case '[':
        skip_nested(r);
        v.type = AKIN__ARRAY;
        v.text = (akin_span){from + 1, (size_t)(r->p - from) - 1};
        if (v.text.size && from[v.text.size] == ']') v.text.size--;
        return v;
    case 't':
    case 'f':
    case 'n':
        skip_scalar(r);
        v.type = *from == 'n' ? AKIN__NULL : AKIN__NUMBER;
        v.number = *from == 't';
        return v;
    default:
        skip_scalar(r);
        v.type = AKIN__NUMBER;
        v.number =
            akin__text_number((akin_span){from, (size_t)(r->p - from)}, NULL);
        return v;
    }
}

static void skip_value(reader *r)
{
    bool escaped;
    skip_space(r);
    if (r->p >= r->end) return;
    if (*r->p == '"')
        read_string(r, &escaped);
    else if (*r->p == '{' || *r->p == '[')
        skip_nested(r);
    else
        skip_scalar(r);
}

/* One name of an object; the reader is left before its value. */
static bool find_name(reader *r, const char *name, size_t size)
{
    skip_space(r);
    if (r->p >= r->end || *r->p != '{') return false;
    r->p++;
    for (;;) {
        bool escaped;
        char decoded[AKIN_MAX_NAME_BYTES * 6];
        skip_space(r);
        if (r->p >= r->end || *r->p != '"') return false;
        akin_span key = read_string(r, &escaped);
        if (escaped && key.size <= sizeof decoded) {
            key.size = akin__json_decode(key, decoded);
            key.data = decoded;
        }
        skip_space(r);
        if (r->p >= r->end || *r->p != ':') return false;
        r->p++;
        if (key.size == size && memcmp(key.data, name, size) == 0) return true;
        skip_value(r);
        skip_space(r);
        if (r->p >= r->end || *r->p != ',') return false;
        r->p++;
    }
}

akin__value akin__json_field(akin_span json, akin_span path)
{
    reader r = {json.data, (const char *)json.data + json.size};
    const char *name = path.data, *end = name + path.size;

    while (json.size) {
        const char *dot = memchr(name, '.', (size_t)(end - name));
        const char *stop = dot ? dot : end;
        if (!find_name(&r, name, (size_t)(stop - name))) break;
        if (!dot) return read_value(&r);
        name = dot + 1;
    }
    return (akin__value){0};
}

bool akin__json_element(akin_span array, size_t *at, akin__value *out)
{
    const char *start = array.data;
    reader r = {start + *at, start + array.size};

    skip_space(&r);
    if (r.p >= r.end) return false;
    const char *from = r.p;
    *out = read_value(&r);
    if (out->type == AKIN__ARRAY)
        *out = (akin__value){.type = AKIN__MISSING, .there = true};
    skip_space(&r);
    if (r.p < r.end && *r.p == ',') r.p++;
    *at = (size_t)(r.p - start);
    return r.p > from;
}

/* ---- strings ------------------------------------------------------------- */

static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0) return -1;
        v = v << 4 | d;
    }
    return v;
}

static size_t put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf0u << (4 - n) & 0xf0u) | c);
    if (n == 2) out[0] = (char)(0xc0 | c);
    if (n == 3) out[0] = (char)(0xe0 | c);
    return n;
}

/* At "u" of an escape: the character, with its second half if it has one; moves
 * *p behind. Half a pair reads as U+FFFD, a broken escape as '?': what is
 * decoded is never longer than what was read. */
static uint32_t read_unicode(const char **p, const char *end)
{
    int c = hex4(*p + 1, end);
    *p += c < 0 ? 1 : 5;
    if (c < 0) return '?';
    if (c < 0xd800 || c > 0xdfff) return (uint32_t)c;
    if (c >= 0xdc00 || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return 0xfffd;
    int low = hex4(*p + 2, end);
    if (low < 0xdc00 || low > 0xdfff) return 0xfffd;
    *p += 6;
    return 0x10000u + ((uint32_t)(c - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
}

size_t akin__json_decode(akin_span text, char *out)
{
    const char *p = text.data, *end = p + text.size;
    char *at = out;

    while (p < end) {
        if (*p != '\\' || p + 1 == end) {
            *at++ = *p++;
            continue;
        }
        p++;
        static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
        const char *found = strchr(from, *p);
        if (*p == 'u') {
            at += put_utf8(read_unicode(&p, end), at);
        } else {
            *at++ = found && *p ? to[found - from] : *p;
            p++;
        }
    }
    return (size_t)(at - out);
}

size_t akin__json_plain(akin_span json, char *out)
{
    const char *p = json.data, *end = p + json.size;
    char *at = out;

    while (p < end) {
        if (*p != '\\' || p + 1 == end) {
            *at++ = *p++;
            continue;
        }
        int c = p[1] == '/' ? '/' : p[1] == 'u' ? hex4(p + 2, end) : -1;
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            *at++ = (char)c;
            p += p[1] == 'u' ? 6 : 2;
        } else {
            *at++ = *p++; /* with what it escapes */
            *at++ = *p++;
        }
    }
    return (size_t)(at - out);
}

/* ---- numbers ------------------------------------------------------------- */

#define NUMBER_BYTES 256 /* longer texts are no numbers, as in Redis */

/* strtod without the locale of the program we are linked into. */
static double slow_number(akin_span text, bool *is)
{
    char buf[NUMBER_BYTES];
    char *end = buf;
    double v = 0;

    if (text.size >= sizeof buf || memchr(text.data, 0, text.size)) {
        *is = false;
        return 0;
    }
    memcpy(buf, text.data, text.size);
    buf[text.size] = '\0';
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0);
    if (c != (locale_t)0) {
        v = strtod_l(buf, &end, c);
        freelocale(c);
    } else {
        v = strtod(buf, &end);
    }
    *is = end != buf && *end == '\0';
    return *is ? v : 0;
}

/* Digits with a point that fit into a double exactly, scaled by an exact power
 * of ten, divide without a second rounding (Clinger 1990): the common case. */
static bool fast_number(akin_span text, double *out)
{
    static const double tens[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char *p = text.data, *end = p + text.size;
    bool minus = p < end && *p == '-', point = false;
    uint64_t digits = 0;
    int n = 0, behind = 0;

    for (p += minus; p < end; p++) {
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (*p < '0' || *p > '9' || ++n > 15) return false;
        digits = digits * 10 + (uint64_t)(*p - '0');
        behind += point;
    }
    if (n == 0) return false;
    double v = (double)digits / tens[behind];
    *out = minus ? -v : v;
    return true;
}

double akin__text_number(akin_span text, bool *is)
{
    double v = 0;
    bool yes = true;

    if (text.size == 0)
        yes = false;
    else if (!fast_number(text, &v))
        v = slow_number(text, &yes);
    if (is) *is = yes;
    return v;
}
