/* JSON for HTTP: written straight into a buffer (replies are mostly text that
 * SQLite holds as JSON already, and vectors), read by jansson. */
#ifndef AKIN_API_JSON_H
#define AKIN_API_JSON_H

#include "akin_base.h"

#include <jansson.h>

/* A string with its quotes. Bytes that are no UTF-8 become U+FFFD. text NULL:
 * null. */
void akin_json_text(akin_buf *out, const char *text);
void akin_json_span(akin_buf *out, akin_span text);
/* The fewest digits that read back as the same value; null when not finite. */
void akin_json_float(akin_buf *out, float value);
void akin_json_double(akin_buf *out, double value);
/* [v0,v1,...] */
void akin_json_floats(akin_buf *out, const float *v, size_t n);
/* Any value as it was read, numbers in the fewest digits. NULL: null. */
void akin_json_value(akin_buf *out, const json_t *value);

/* Reads one value of any kind. Fails with AKIN_INVALID; the message says where.
 * *out is freed by json_decref. */
akin_status akin_json_parse(akin_span text, json_t **out,
                            akin_error *err) AKIN_MUST_CHECK;

/* Members of an object, checked. What is absent or null leaves *out as it is.
 * Fail with AKIN_INVALID: `name`: expected ..., got .... */
akin_status akin_json_get_bool(const json_t *object, const char *name,
                               bool *out, akin_error *err) AKIN_MUST_CHECK;
akin_status akin_json_get_uint(const json_t *object, const char *name,
                               uint64_t min, uint64_t max, uint64_t *out,
                               akin_error *err) AKIN_MUST_CHECK;
akin_status akin_json_get_real(const json_t *object, const char *name,
                               double *out, akin_error *err) AKIN_MUST_CHECK;
/* Borrowed from the object. */
akin_status akin_json_get_text(const json_t *object, const char *name,
                               const char **out,
                               akin_error *err) AKIN_MUST_CHECK;
/* An array or object; NULL when absent. type: JSON_ARRAY or JSON_OBJECT. */
akin_status akin_json_get(const json_t *object, const char *name,
                          json_type type, json_t **out,
                          akin_error *err) AKIN_MUST_CHECK;
/* "a string", "an array" ... for messages. */
const char *akin_json_kind(const json_t *value);

/* Numbers of an array as floats, *out for akin_free. Fails with AKIN_INVALID
 * (not all numbers; empty), AKIN_NOMEM. */
akin_status akin_json_vector(const json_t *array, float **out, uint32_t *n,
                             akin_error *err) AKIN_MUST_CHECK;

/* Decodes base64, standard or URL alphabet, padding optional, white space
 * skipped; a "data:...;base64," in front is skipped too. Appends to out. Fails
 * with AKIN_INVALID, AKIN_NOMEM. */
akin_status akin_base64_decode(const char *text, size_t size, akin_buf *out,
                               akin_error *err) AKIN_MUST_CHECK;

#endif
