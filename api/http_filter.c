/* Qdrant's filters as akin's filter expressions:
 *
 *   {"must": [A, B], "should": [C, D], "must_not": [E]}
 *       ((A) and (B) and ((C) or (D)) and not ((E)))
 *   {"key": "color", "match": {"value": "red"}}         .color == "red"
 *   {"key": "color", "match": {"any": ["red", "pink"]}} .color in ["red", "pink"]
 *   {"key": "color", "match": {"except": ["red"]}}      .color not in ["red"]
 *   {"key": "title", "match": {"text": "shoe"}}         "shoe" in .title
 *   {"key": "price", "range": {"gte": 3, "lt": 9}}      .price >= 3 and .price < 9
 *   {"key": "day", "range": {"gt": "2024-05-01T00:00:00Z"}}  time(.day) > time("2024-...")
 *   {"key": "tags", "values_count": {"gte": 2}}         count(.tags) >= 2
 *   {"is_empty": {"key": "a"}}                          not (count(.a) > 0)
 *   {"is_null": {"key": "a"}}                           .a == null
 *   {"has_id": [1, 2]}                                  id in ["1", "2"]
 *   {"nested": {"key": "a", "filter": F}}               any(.a, F)
 *   {"key": "a[].b", "match": {"value": 1}}             any(.a, .b == 1)
 *
 * The engine evaluates these with missing_is_false: as in Qdrant, a comparison
 * with what is not there is false, and one with an array is true when it is for
 * one of its elements. */
#include "http_points.h"

#include <string.h>

#define MAX_DEPTH 16

typedef struct {
    akin_buf *out;
    unsigned depth;
    akin_error *err;
} writer;

static akin_status write_filter(writer *w, const json_t *filter);

static akin_status bad(writer *w, const char *what, const char *want,
                       const json_t *got)
{
    return akin_fail(w->err, AKIN_INVALID, "filter: `%s`: expected %s, got %s",
                     what, want, akin_json_kind(got));
}

/* ---- operands ------------------------------------------------------------- */

static void write_string(writer *w, const char *text, size_t size)
{
    akin_buf_text(w->out, "\"");
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '"' || text[i] == '\\') akin_buf_text(w->out, "\\");
        akin_buf_append(w->out, text + i, 1);
    }
    akin_buf_text(w->out, "\"");
}

static akin_status write_literal(writer *w, const json_t *value)
{
    if (json_is_string(value))
        write_string(w, json_string_value(value), json_string_length(value));
    else if (json_is_number(value) || json_is_boolean(value))
        akin_json_value(w->out, value);
    else
        return bad(w, "match", "a string, number or boolean", value);
    return AKIN_OK;
}

/* A key becomes ".a.b"; "a[]" is "a", for arrays are looked into anyway. */
static akin_status write_path(writer *w, const char *key, size_t size)
{
    akin_buf_text(w->out, ".");
    for (const char *p = key; p < key + size; p++) {
        bool plain = (unsigned char)*p >= 0x80 || *p == '_' || *p == '-' ||
                     *p == '.' || (*p >= '0' && *p <= '9') ||
                     ((*p | 32) >= 'a' && (*p | 32) <= 'z');
        if (p[0] == '[' && p[1] == ']')
            p++;
        else if (plain)
            akin_buf_append(w->out, p, 1);
        else
            return akin_fail(w->err, AKIN_UNSUPPORTED,
                             "filter: the key %.100s: only letters, digits, _, "
                             "-, . and [] can be in the name of a field that "
                             "is filtered by",
                             key);
    }
    return AKIN_OK;
}

static akin_status write_key(writer *w, const char *key)
{
    return write_path(w, key, strlen(key));
}

/* "a[].b[].c": opens any(.a, any(.b, and leaves *key at "c". *n: how many. */
static akin_status open_lists(writer *w, const char **key, size_t *n)
{
    const char *dot;
    akin_status rc = AKIN_OK;

    for (*n = 0; !rc && (dot = strstr(*key, "[].")); ++*n) {
        akin_buf_text(w->out, "any(");
        rc = write_path(w, *key, (size_t)(dot - *key));
        akin_buf_text(w->out, ", ");
        *key = dot + 3;
    }
    return rc;
}

static void close_lists(writer *w, size_t n)
{
    while (n--)
        akin_buf_text(w->out, ")");
}

static akin_status write_list(writer *w, const json_t *list, const char *what)
{
    size_t i;
    json_t *value;

    if (!json_is_array(list)) return bad(w, what, "an array", list);
    akin_buf_text(w->out, "[");
    json_array_foreach(list, i, value)
    {
        if (i) akin_buf_text(w->out, ", ");
        akin_status rc = write_literal(w, value);
        if (rc) return rc;
    }
    akin_buf_text(w->out, "]");
    return AKIN_OK;
}

/* ---- conditions on a field -------------------------------------------------- */

/* Every word has to be there, or one of them, or (op NULL) the whole. */
static akin_status write_words(writer *w, const char *key, const char *text,
                               const char *op)
{
    akin_status rc = AKIN_OK;
    bool first = true, whole = !op;

    while (!rc && (*text || first)) {
        size_t n = whole ? strlen(text) : strcspn(text, " \t\n");
        if (n || whole) {
            akin_buf_text(w->out, first ? "" : op);
            first = false;
            write_string(w, text, n);
            akin_buf_text(w->out, " in ");
            rc = write_key(w, key);
        }
        text += n;
        text += strspn(text, " \t\n");
        if (!*text && first) {
            akin_buf_text(w->out, "false");
            break;
        }
    }
    return rc;
}

static akin_status write_match(writer *w, const char *key, const json_t *match)
{
    const json_t *value = json_object_get(match, "value");
    const json_t *any = json_object_get(match, "any");
    const json_t *except = json_object_get(match, "except");
    const json_t *text = json_object_get(match, "text");
    const json_t *text_any = json_object_get(match, "text_any");
    const json_t *phrase = json_object_get(match, "phrase");

    if (json_is_string(text))
        return write_words(w, key, json_string_value(text), " and ");
    if (json_is_string(text_any))
        return write_words(w, key, json_string_value(text_any), " or ");
    if (json_is_string(phrase))
        return write_words(w, key, json_string_value(phrase), NULL);
    if (!value && !any && !except)
        return akin_fail(w->err, AKIN_INVALID,
                         "filter: `match`: expected value, any, except, text, "
                         "text_any or phrase");
    akin_status rc = write_key(w, key);
    if (rc) return rc;
    akin_buf_text(w->out, value ? " == " : any ? " in " : " not in ");
    if (value) return write_literal(w, value);
    return write_list(w, any ? any : except, any ? "any" : "except");
}

/* One bound: .key op number, or time(.key) op time("..."). */
static akin_status write_bound(writer *w, const char *key, const char *op,
                               const json_t *bound, bool count)
{
    const char *text = json_string_value(bound);
    akin_status rc;

    if (!text && !json_is_number(bound))
        return bad(w, "range", "a number or a date and time", bound);
    akin_buf_text(w->out, text ? "time(" : count ? "count(" : "");
    rc = write_key(w, key);
    if (rc) return rc;
    akin_buf_printf(w->out, "%s %s ", text || count ? ")" : "", op);
    if (text) {
        akin_buf_text(w->out, "time(");
        write_string(w, text, strlen(text));
        akin_buf_text(w->out, ")");
    } else {
        akin_json_value(w->out, bound);
    }
    return AKIN_OK;
}

static akin_status write_range(writer *w, const char *key, const json_t *range,
                               bool count)
{
    static const char *const names[] = {"gt", "gte", "lt", "lte"};
    static const char *const signs[] = {">", ">=", "<", "<="};
    bool first = true;

    if (!json_is_object(range)) return bad(w, "range", "an object", range);
    for (size_t i = 0; i < 4; i++) {
        const json_t *bound = json_object_get(range, names[i]);
        if (!bound || json_is_null(bound)) continue;
        if (!first) akin_buf_text(w->out, " and ");
        first = false;
        akin_status rc = write_bound(w, key, signs[i], bound, count);
        if (rc) return rc;
    }
    if (first) akin_buf_text(w->out, "true");
    return AKIN_OK;
}

static akin_status write_leaf(writer *w, const char *key,
                              const json_t *condition)
{
    const json_t *match = json_object_get(condition, "match");
    const json_t *range = json_object_get(condition, "range");
    const json_t *count = json_object_get(condition, "values_count");
    const json_t *null = json_object_get(condition, "is_null");
    const json_t *empty = json_object_get(condition, "is_empty");

    if (json_is_object(match)) return write_match(w, key, match);
    if (range && !json_is_null(range)) return write_range(w, key, range, false);
    if (count && !json_is_null(count)) return write_range(w, key, count, true);
    if (json_is_boolean(null) || json_is_boolean(empty)) {
        akin_status rc;
        akin_buf_text(w->out, null ? "" : "count(");
        rc = write_key(w, key);
        akin_buf_text(w->out, null ? " == null" : ") > 0");
        return rc;
    }
    return akin_fail(w->err, AKIN_UNSUPPORTED,
                     "filter: the condition on `%.100s`: akin knows match, "
                     "range, values_count, is_empty and is_null",
                     key);
}

static akin_status write_field(writer *w, const char *key,
                               const json_t *condition)
{
    const json_t *null = json_object_get(condition, "is_null");
    const json_t *empty = json_object_get(condition, "is_empty");
    size_t lists = 0;

    if (json_is_false(null) || json_is_true(empty))
        akin_buf_text(w->out, "not ");
    akin_buf_text(w->out, "(");
    akin_status rc = open_lists(w, &key, &lists);
    if (!rc) rc = write_leaf(w, key, condition);
    close_lists(w, lists);
    akin_buf_text(w->out, ")");
    return rc;
}

/* ---- other conditions ---------------------------------------------------------- */

/* {"is_empty": {"key"}}, {"is_null": {"key"}}: as on a field. */
static akin_status write_of_key(writer *w, const json_t *condition,
                                const char *name)
{
    const char *key = json_string_value(json_object_get(condition, "key"));
    json_t *field;

    if (!key)
        return bad(w, "key", "a string", json_object_get(condition, "key"));
    field = json_pack("{sb}", name, 1);
    akin_status rc = field ? write_field(w, key, field)
                           : akin_fail(w->err, AKIN_NOMEM, "out of memory");
    json_decref(field);
    return rc;
}

static akin_status write_has_id(writer *w, const json_t *list)
{
    akin_http_ids ids;
    akin_status rc = akin__http_ids_read(list, &ids, w->err);

    if (!rc) akin_buf_text(w->out, "id in [");
    for (size_t i = 0; !rc && i < ids.n; i++) {
        if (i) akin_buf_text(w->out, ", ");
        write_string(w, ids.spans[i].data, ids.spans[i].size);
    }
    if (!rc) akin_buf_text(w->out, "]");
    akin__http_ids_clear(&ids);
    return rc;
}

static akin_status write_nested(writer *w, const json_t *nested)
{
    const char *key = json_string_value(json_object_get(nested, "key"));
    size_t lists = 0;

    if (!key || !*key)
        return bad(w, "nested.key", "the name of a field", nested);
    akin_status rc = open_lists(w, &key, &lists);
    akin_buf_text(w->out, "any(");
    if (!rc) rc = write_key(w, key);
    akin_buf_text(w->out, ", ");
    if (!rc) rc = write_filter(w, json_object_get(nested, "filter"));
    close_lists(w, lists + 1);
    return rc;
}

static akin_status write_condition(writer *w, const json_t *condition)
{
    static const char *const unknown[] = {"has_vector", "geo_radius",
                                          "geo_bounding_box", "geo_polygon"};
    const char *key = json_string_value(json_object_get(condition, "key"));
    const json_t *value;

    if (!json_is_object(condition))
        return bad(w, "condition", "an object", condition);
    if (key) return write_field(w, key, condition);
    if ((value = json_object_get(condition, "is_empty")))
        return write_of_key(w, value, "is_empty");
    if ((value = json_object_get(condition, "is_null")))
        return write_of_key(w, value, "is_null");
    if ((value = json_object_get(condition, "has_id")))
        return write_has_id(w, value);
    if ((value = json_object_get(condition, "nested")))
        return write_nested(w, value);
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        if (json_object_get(condition, unknown[i]))
            return akin_fail(w->err, AKIN_UNSUPPORTED,
                             "filter: akin has no `%s`", unknown[i]);
    return write_filter(w, condition);
}

/* ---- clauses ------------------------------------------------------------------------ */

/* "(A) op (B)"; a single condition may stand without its array. */
static akin_status write_clause(writer *w, const json_t *conditions,
                                const char *op)
{
    size_t n = json_is_array(conditions) ? json_array_size(conditions) : 1;

    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(conditions)
                                ? json_array_get(conditions, i)
                                : conditions;
        akin_buf_text(w->out, i ? op : "");
        akin_buf_text(w->out, "(");
        akin_status rc = write_condition(w, one);
        if (rc) return rc;
        akin_buf_text(w->out, ")");
    }
    return AKIN_OK;
}

static bool has_conditions(const json_t *clause)
{
    return json_is_array(clause) ? json_array_size(clause) > 0
                                 : json_is_object(clause);
}

/* (A)+(B)+... counts the true ones. */
static akin_status write_min_should(writer *w, const json_t *min_should)
{
    const json_t *conditions = json_object_get(min_should, "conditions");
    uint64_t wanted = 1;
    akin_status rc =
        akin_json_get_uint(min_should, "min_count", 0, 1000, &wanted, w->err);

    if (rc) return rc;
    if (!has_conditions(conditions))
        return bad(w, "min_should.conditions", "an array", conditions);
    akin_buf_text(w->out, "((");
    rc = write_clause(w, conditions, " + ");
    akin_buf_printf(w->out, ") >= %llu)", (unsigned long long)wanted);
    return rc;
}

static akin_status write_filter(writer *w, const json_t *filter)
{
    static const struct {
        const char *name, *open, *op;
    } clauses[] = {{"must", "(", " and "},
                   {"should", "(", " or "},
                   {"must_not", "not (", " or "}};
    const json_t *min_should = json_object_get(filter, "min_should");
    bool first = true;
    akin_status rc = AKIN_OK;
    size_t known = 0;

    if (!json_is_object(filter)) return bad(w, "filter", "an object", filter);
    if (++w->depth > MAX_DEPTH)
        return akin_fail(w->err, AKIN_INVALID, "filter: nested too deep");
    for (size_t i = 0; !rc && i < 3; i++) {
        const json_t *clause = json_object_get(filter, clauses[i].name);
        known += clause != NULL;
        if (!has_conditions(clause)) continue;
        akin_buf_printf(w->out, "%s%s", first ? "" : " and ", clauses[i].open);
        first = false;
        rc = write_clause(w, clause, clauses[i].op);
        akin_buf_text(w->out, ")");
    }
    if (!rc && json_is_object(min_should)) {
        akin_buf_text(w->out, first ? "" : " and ");
        first = false;
        rc = write_min_should(w, min_should);
    }
    known += min_should != NULL;
    if (!rc && known != json_object_size(filter))
        return akin_fail(w->err, AKIN_INVALID,
                         "filter: expected must, should, must_not, min_should "
                         "or a condition");
    if (first) akin_buf_text(w->out, "true");
    w->depth--;
    return rc;
}

akin_status akin__http_filter_read(const json_t *value, akin_buf *text,
                                   akin_filter *out, akin_error *err)
{
    writer w = {.out = text, .err = err};
    akin_status rc = AKIN_OK;

    *out = (akin_filter){.missing_is_false = true};
    if (!value || json_is_null(value)) return AKIN_OK;
    if (json_is_string(value)) {
        out->text =
            (akin_span){json_string_value(value), json_string_length(value)};
        return AKIN_OK;
    }
    if (json_is_object(value) && !json_object_size(value)) return AKIN_OK;
    rc = write_filter(&w, value);
    if (!rc && text->failed) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    out->text = (akin_span){text->data, text->size};
    return rc;
}
