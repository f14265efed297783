/* Ids. Qdrant's are unsigned integers or UUIDs, akin's any text. An integer
 * becomes its decimal digits and a UUID its usual spelling, so that both come
 * back as they went in; every other text ("shoes/41.jpg") is an id as well, which
 * Qdrant would refuse. */
#include "http_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static bool is_uuid(const char *text)
{
    for (size_t i = 0; i < 36; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
        if (hyphen ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return !text[36];
}

void akin__http_id_fold(char *text)
{
    if (!is_uuid(text)) return;
    for (; *text; text++)
        *text = (char)tolower((unsigned char)*text);
}

static akin_status id_text(const json_t *value, char **out, akin_error *err)
{
    const char *text = json_string_value(value);

    *out = NULL;
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        *out = akin_format("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (text && *text && json_string_length(value) <= AKIN_ID_BYTES)
        *out = akin_strdup(text);
    else if (text)
        return akin_fail(err, AKIN_INVALID,
                         "point id: expected 1 to %d bytes, got %zu",
                         AKIN_ID_BYTES, json_string_length(value));
    else
        return akin_fail(err, AKIN_INVALID,
                         "point id: expected an unsigned integer, a UUID or a "
                         "text, got %s",
                         json_is_number(value) ? "a negative or broken number"
                                               : akin_json_kind(value));
    return *out ? AKIN_OK : akin_fail(err, AKIN_NOMEM, "out of memory");
}

akin_status akin__http_id(const json_t *value, char **out, akin_error *err)
{
    akin_status rc = id_text(value, out, err);

    if (!rc) akin__http_id_fold(*out);
    return rc;
}

/* Decimal digits as a machine would write them, not above 2^63 - 1: larger
 * numbers are not read in a request, so one that is answered could never be
 * asked for. */
static bool is_integer(const char *id)
{
    size_t n = strspn(id, "0123456789");

    if (!n || id[n] || n > 19 || (id[0] == '0' && n > 1)) return false;
    return n < 19 || strcmp(id, "9223372036854775807") <= 0;
}

void akin__http_id_write(akin_buf *out, const char *id)
{
    if (is_integer(id))
        akin_buf_text(out, id);
    else
        akin_json_text(out, id);
}

akin_status akin__http_ids_read(const json_t *array, akin_http_ids *out,
                                akin_error *err)
{
    size_t n = json_array_size(array);

    *out = (akin_http_ids){0};
    if (!json_is_array(array))
        return akin_fail(err, AKIN_INVALID, "expected an array of ids, got %s",
                         akin_json_kind(array));
    if (n > HTTP_IDS)
        return akin_fail(err, AKIN_INVALID, "expected at most %d ids, got %zu",
                         HTTP_IDS, n);
    out->spans = akin_calloc(n, sizeof *out->spans);
    if (!out->spans) return akin_fail(err, AKIN_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        char *id;
        akin_status rc = akin__http_id(json_array_get(array, i), &id, err);
        if (rc) return rc;
        out->spans[out->n++] = akin_span_of(id);
    }
    return AKIN_OK;
}

void akin__http_ids_clear(akin_http_ids *ids)
{
    for (size_t i = 0; i < ids->n; i++)
        akin_free((void *)ids->spans[i].data);
    akin_free(ids->spans);
    *ids = (akin_http_ids){0};
}
