/* Writing JSON, and reading it with messages that name the member. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- writing ------------------------------------------------------------- */

/* Length of the well-formed UTF-8 sequence at p (n bytes left); 0: none. */
static size_t sequence(const uint8_t *p, size_t n)
{
    uint8_t c = p[0];
    size_t len = c < 0x80   ? 1
                 : c < 0xC2 ? 0
                 : c < 0xE0 ? 2
                 : c < 0xF0 ? 3
                 : c < 0xF5 ? 4
                            : 0;

    if (!len || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80) return 0;
    if (c == 0xE0 && p[1] < 0xA0) return 0; /* overlong */
    if (c == 0xED && p[1] > 0x9F) return 0; /* surrogates */
    if (c == 0xF0 && p[1] < 0x90) return 0;
    if (c == 0xF4 && p[1] > 0x8F) return 0;
    return len;
}

static void escape(akin_buf *out, uint8_t c)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (const char *l = letters; *l; l += 2)
        if ((uint8_t)*l == c) {
            char pair[2] = {'\\', l[1]};
            akin_buf_append(out, pair, 2);
            return;
        }
    akin_buf_printf(out, "\\u%04x", c);
}

void akin_json_span(akin_buf *out, akin_span text)
{
    const uint8_t *p = text.data;
    size_t from = 0, at = 0;

    akin_buf_append(out, "\"", 1);
    while (at < text.size) {
        size_t len = sequence(p + at, text.size - at);
        bool plain = len && p[at] >= 0x20 && p[at] != '"' && p[at] != '\\' &&
                     p[at] != 0x7F;
        if (plain) {
            at += len;
            continue;
        }
        akin_buf_append(out, p + from, at - from);
        if (len)
            escape(out, p[at]);
        else
            akin_buf_text(out, "\xEF\xBF\xBD");
        from = ++at;
    }
    if (at > from) akin_buf_append(out, p + from, at - from);
    akin_buf_append(out, "\"", 1);
}

void akin_json_text(akin_buf *out, const char *text)
{
    if (text)
        akin_json_span(out, akin_span_of(text));
    else
        akin_buf_text(out, "null");
}

void akin_json_float(akin_buf *out, float value)
{
    char text[32];

    if (!isfinite(value)) {
        akin_buf_text(out, "null");
        return;
    }
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) break;
    }
    akin_buf_text(out, text);
}

void akin_json_double(akin_buf *out, double value)
{
    char text[40];

    if (!isfinite(value)) {
        akin_buf_text(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    akin_buf_text(out, text);
}

void akin_json_floats(akin_buf *out, const float *v, size_t n)
{
    akin_buf_append(out, "[", 1);
    for (size_t i = 0; i < n; i++) {
        if (i) akin_buf_append(out, ",", 1);
        akin_json_float(out, v[i]);
    }
    akin_buf_append(out, "]", 1);
}

/* Nesting is bounded by jansson's parser (2048). */
static void write_object(akin_buf *out, const json_t *object)
{
    const char *name;
    json_t *member;
    bool first = true;

    akin_buf_append(out, "{", 1);
    json_object_foreach((json_t *)object, name, member)
    {
        if (!first) akin_buf_append(out, ",", 1);
        first = false;
        akin_json_text(out, name);
        akin_buf_append(out, ":", 1);
        akin_json_value(out, member);
    }
    akin_buf_append(out, "}", 1);
}

void akin_json_value(akin_buf *out, const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT: write_object(out, value); break;
    case JSON_ARRAY:
        akin_buf_append(out, "[", 1);
        for (size_t i = 0; i < json_array_size(value); i++) {
            if (i) akin_buf_append(out, ",", 1);
            akin_json_value(out, json_array_get(value, i));
        }
        akin_buf_append(out, "]", 1);
        break;
    case JSON_STRING:
        akin_json_span(out, (akin_span){json_string_value(value),
                                        json_string_length(value)});
        break;
    case JSON_INTEGER:
        akin_buf_printf(out, "%" JSON_INTEGER_FORMAT,
                        json_integer_value(value));
        break;
    case JSON_REAL: {
        size_t at = out->size;
        akin_json_double(out, json_real_value(value));
        /* 5.0 stays a real when it is read again */
        if (!out->failed && !memchr(out->data + at, '.', out->size - at) &&
            !memchr(out->data + at, 'e', out->size - at))
            akin_buf_text(out, ".0");
        break;
    }
    case JSON_TRUE: akin_buf_text(out, "true"); break;
    case JSON_FALSE: akin_buf_text(out, "false"); break;
    case JSON_NULL: akin_buf_text(out, "null"); break;
    }
}

/* ---- reading ------------------------------------------------------------- */

akin_status akin_json_parse(akin_span text, json_t **out, akin_error *err)
{
    json_error_t error;

    *out = json_loadb(text.data ? text.data : "", text.size, JSON_DECODE_ANY,
                      &error);
    if (*out) return AKIN_OK;
    return akin_fail(err, AKIN_INVALID,
                     "Format error in JSON body: %s at line %d column %d",
                     error.text, error.line, error.column);
}

const char *akin_json_kind(const json_t *value)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: break;
    }
    return "null";
}

static akin_status wrong(akin_error *err, const char *name, const char *want,
                         const json_t *got)
{
    return akin_fail(err, AKIN_INVALID, "`%s`: expected %s, got %s", name, want,
                     akin_json_kind(got));
}

/* The member; NULL when absent or null. */
static json_t *member(const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

akin_status akin_json_get_bool(const json_t *object, const char *name,
                               bool *out, akin_error *err)
{
    const json_t *value = member(object, name);
    if (!value) return AKIN_OK;
    if (!json_is_boolean(value)) return wrong(err, name, "a boolean", value);
    *out = json_is_true(value);
    return AKIN_OK;
}

akin_status akin_json_get_uint(const json_t *object, const char *name,
                               uint64_t min, uint64_t max, uint64_t *out,
                               akin_error *err)
{
    const json_t *value = member(object, name);
    if (!value) return AKIN_OK;
    if (!json_is_integer(value))
        return wrong(err, name, "a whole number", value);
    json_int_t n = json_integer_value(value);
    if (n < 0 || (uint64_t)n < min || (uint64_t)n > max)
        return akin_fail(
            err, AKIN_INVALID, "`%s`: expected %llu to %llu, got %lld", name,
            (unsigned long long)min, (unsigned long long)max, (long long)n);
    *out = (uint64_t)n;
    return AKIN_OK;
}

akin_status akin_json_get_real(const json_t *object, const char *name,
                               double *out, akin_error *err)
{
    const json_t *value = member(object, name);
    if (!value) return AKIN_OK;
    if (!json_is_number(value)) return wrong(err, name, "a number", value);
    *out = json_number_value(value);
    return AKIN_OK;
}

akin_status akin_json_get_text(const json_t *object, const char *name,
                               const char **out, akin_error *err)
{
    const json_t *value = member(object, name);
    if (!value) return AKIN_OK;
    if (!json_is_string(value)) return wrong(err, name, "a string", value);
    *out = json_string_value(value);
    return AKIN_OK;
}

akin_status akin_json_get(const json_t *object, const char *name,
                          json_type type, json_t **out, akin_error *err)
{
    *out = member(object, name);
    if (!*out || json_typeof(*out) == type) return AKIN_OK;
    return wrong(err, name, type == JSON_ARRAY ? "an array" : "an object",
                 *out);
}

akin_status akin_json_vector(const json_t *array, float **out, uint32_t *n,
                             akin_error *err)
{
    size_t size = json_array_size(array);

    if (!json_is_array(array) || !size || size > UINT32_MAX / sizeof(float))
        return akin_fail(err, AKIN_INVALID,
                         "expected a vector (an array of numbers), got %s",
                         size ? akin_json_kind(array) : "an empty one");
    float *v = akin_alloc(size * sizeof *v);
    if (!v) return akin_fail(err, AKIN_NOMEM, "out of memory");
    for (size_t i = 0; i < size; i++) {
        const json_t *x = json_array_get(array, i);
        if (!json_is_number(x)) {
            akin_free(v);
            return akin_fail(err, AKIN_INVALID,
                             "vector: expected a number at position %zu, got "
                             "%s",
                             i, akin_json_kind(x));
        }
        v[i] = (float)json_number_value(x);
    }
    *out = v;
    *n = (uint32_t)size;
    return AKIN_OK;
}

/* ---- base64 -------------------------------------------------------------- */

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+' || c == '-') return 62;
    if (c == '/' || c == '_') return 63;
    return -1;
}

/* Past "data:image/png;base64,". */
static size_t data_url(const char *text, size_t size)
{
    if (size < 5 || strncasecmp(text, "data:", 5)) return 0;
    const char *comma = memchr(text, ',', size < 256 ? size : 256);
    return comma ? (size_t)(comma - text) + 1 : 0;
}

akin_status akin_base64_decode(const char *text, size_t size, akin_buf *out,
                               akin_error *err)
{
    uint32_t bits = 0, have = 0;
    size_t i = data_url(text, size);
    uint8_t block[3072];
    size_t used = 0;

    for (; i < size && text[i] != '='; i++) {
        int d = digit(text[i]);
        if (text[i] && strchr(" \t\r\n", text[i])) continue;
        if (d < 0)
            return akin_fail(err, AKIN_INVALID,
                             "not base64: unexpected byte 0x%02x at %zu",
                             (uint8_t)text[i], i);
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have >= 8) {
            have -= 8;
            block[used++] = (uint8_t)(bits >> have);
        }
        if (used == sizeof block) {
            akin_buf_append(out, block, used);
            used = 0;
        }
    }
    for (size_t j = i; j < size; j++)
        if (!strchr("= \t\r\n", text[j]))
            return akin_fail(err, AKIN_INVALID,
                             "not base64: bytes after the padding");
    if (have >= 6) return akin_fail(err, AKIN_INVALID, "not base64: cut off");
    akin_buf_append(out, block, used);
    return out->failed ? akin_fail(err, AKIN_NOMEM, "out of memory") : AKIN_OK;
}
