/* Checks of what comes in: sizes, UTF-8, JSON. */
#include "internal.h"

#include <math.h>
#include <string.h>

/* Length of the UTF-8 character at p (RFC 3629), 0 if it is none. */
static size_t utf8_length(const uint8_t *p, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80             ? 1
               : (p[0] & 0xe0) == 0xc0 ? 2
               : (p[0] & 0xf0) == 0xe0 ? 3
               : (p[0] & 0xf8) == 0xf0 ? 4
                                       : 0;
    if (n == 0 || n > left) return 0;
    if (n == 1) return 1;
    uint32_t c = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    return c < least[n] || c > 0x10ffff || surrogate ? 0 : n;
}

bool akin__utf8_valid(akin_span text)
{
    const uint8_t *p = text.data;
    for (size_t i = 0; i < text.size;) {
        size_t n = utf8_length(p + i, text.size - i);
        if (n == 0) return false;
        i += n;
    }
    return true;
}

akin_status akin__check_text(akin_span text, size_t limit, const char *what,
                             akin_error *err)
{
    if (text.size > limit)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "%s of %zu bytes, expected at most %zu", what,
                         text.size, limit);
    if (text.size && memchr(text.data, 0, text.size))
        return akin_fail(err, AKIN_INVALID, "%s contains a NUL byte", what);
    if (!akin__utf8_valid(text))
        return akin_fail(err, AKIN_INVALID, "%s is not UTF-8", what);
    return AKIN_OK;
}

akin_status akin__check_object(akin__conn *conn, akin_span json, size_t limit,
                               const char *what, akin_error *err)
{
    int64_t is;
    akin_status rc = akin__check_text(json, limit, what, err);
    if (rc) return rc;
    rc = akin__one(conn, &is, NULL, err,
                   "SELECT CASE WHEN json_valid(?1)"
                   " THEN json_type(?1) = 'object' ELSE 0 END",
                   "t", json);
    if (!rc && !is)
        rc =
            akin_fail(err, AKIN_INVALID, "%s: expected a JSON object, got %.*s",
                      what, (int)(json.size < 80 ? json.size : 80),
                      json.data ? (const char *)json.data : "");
    return rc;
}

double akin__vector_length(akin_span vector)
{
    const uint8_t *p = vector.data;
    uint16_t half[64];
    float values[64];
    double sum = 0;

    for (size_t i = 0; i < vector.size / 2; i += 64) {
        size_t n = vector.size / 2 - i < 64 ? vector.size / 2 - i : 64;
        memcpy(half, p + 2 * i, 2 * n); /* SQLite's bytes may lie anywhere */
        akin_float_from_half(values, half, n);
        for (size_t j = 0; j < n; j++)
            sum += (double)values[j] * values[j];
    }
    return sqrt(sum);
}

akin_status akin__check_vector(const akin_vector *v, akin_error *err)
{
    if (v->dim == 0 || v->dim > AKIN_MAX_DIM)
        return akin_fail(err, AKIN_INVALID, "expected 1..%d dimensions, got %u",
                         AKIN_MAX_DIM, v->dim);
    if (!v->model) return akin_fail(err, AKIN_INVALID, "vector without model");
    for (uint32_t i = 0; i < v->dim; i++)
        if ((v->data[i] & 0x7c00) == 0x7c00)
            return akin_fail(err, AKIN_INVALID, "vector value %u is not finite",
                             i);
    double length =
        akin__vector_length((akin_span){v->data, v->dim * sizeof *v->data});
    if (fabs(length - 1) > AKIN__UNIT_TOLERANCE)
        return akin_fail(err, AKIN_INVALID,
                         "expected a vector of length 1, got %.4f", length);
    return AKIN_OK;
}

akin_status akin__check_name(akin_span name, akin_error *err)
{
    const uint8_t *p = name.data;

    if (!p || name.size < 1 || name.size > AKIN_MAX_NAME_BYTES)
        return akin_fail(err, AKIN_INVALID,
                         "name of %zu bytes, expected 1 to %d", name.size,
                         AKIN_MAX_NAME_BYTES);
    if (!akin__utf8_valid(name))
        return akin_fail(err, AKIN_INVALID, "name is not UTF-8");
    for (size_t i = 0; i < name.size; i++)
        if (p[i] < 0x20 || p[i] == 0x7f || p[i] == '/')
            return akin_fail(err, AKIN_INVALID,
                             "name contains the byte 0x%02x; control "
                             "characters and '/' are not allowed",
                             p[i]);
    return AKIN_OK;
}
