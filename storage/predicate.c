/* Checking and evaluating predicates.
 *
 * Operands stand before their operators, so evaluation is one pass over the
 * array with a value per node: no recursion, no cycles, and time that does not
 * depend on how nodes share operands. The meaning of types follows Redis's
 * vector-set FILTER, whose users' expressions must select the same items here.
 * Two differences: null and lists are neither above nor below anything, and a
 * list equals nothing (Redis reads both as 0, so that `.tags == "x"` is true of
 * a list when 0 is). */
#include "internal.h"

#include <math.h>
#include <string.h>

#define MAX_TEXT_BYTES 65536 /* one literal */

/* ---- checking ------------------------------------------------------------ */

static bool is_literal(akin_predicate_op op)
{
    return op == AKIN_P_NUMBER || op == AKIN_P_STRING || op == AKIN_P_NULL;
}

static bool is_unary(akin_predicate_op op)
{
    return op == AKIN_P_NOT || op == AKIN_P_NEGATE || op == AKIN_P_TIME;
}

static akin_status check_path(uint32_t i, akin_span path, akin_error *err)
{
    const char *p = path.data;
    if (path.size < 1 || path.size > AKIN_MAX_NAME_BYTES)
        return akin_fail(err, AKIN_INVALID,
                         "node %u: field of %zu bytes, expected 1 to %d", i,
                         path.size, AKIN_MAX_NAME_BYTES);
    for (size_t j = 0; j < path.size; j++)
        if (p[j] == '.' && (j == 0 || j + 1 == path.size || p[j - 1] == '.'))
            return akin_fail(err, AKIN_INVALID,
                             "node %u: field \"%.*s\" has an empty name", i,
                             (int)path.size, p);
    return AKIN_OK;
}

static akin_status check_list(const akin_predicate *p, uint32_t i,
                              akin_error *err)
{
    const akin_predicate_node *n = &p->nodes[i];
    if (n->left > i || n->right > i - n->left)
        return akin_fail(err, AKIN_INVALID,
                         "node %u: list reaches beyond the nodes before it", i);
    for (uint32_t j = n->left; j < n->left + n->right; j++)
        if (!is_literal(p->nodes[j].op))
            return akin_fail(err, AKIN_INVALID,
                             "node %u: list element %u is not a literal", i,
                             j - n->left);
    return AKIN_OK;
}

/* An EACH has its ANY, and both their place among the nodes around them. */
static akin_status check_each(const akin_predicate *p, uint32_t i,
                              akin_error *err)
{
    const akin_predicate_node *n = &p->nodes[i];

    if (n->op == AKIN_P_ANY)
        return n->left < i && p->nodes[n->left].op == AKIN_P_EACH &&
                       p->nodes[n->left].right == i - n->left
                   ? AKIN_OK
                   : akin_fail(err, AKIN_INVALID, "node %u: ANY without EACH",
                               i);
    if (n->right < 2 || n->right >= p->count - i ||
        p->nodes[i + n->right].op != AKIN_P_ANY)
        return akin_fail(err, AKIN_INVALID, "node %u: EACH without ANY", i);
    return check_path(i, n->text, err);
}

static akin_status check_node(const akin_predicate *p, uint32_t i,
                              akin_error *err)
{
    const akin_predicate_node *n = &p->nodes[i];

    if ((unsigned)n->op > AKIN_P_ANY)
        return akin_fail(err, AKIN_INVALID, "node %u: no operator %u", i,
                         (unsigned)n->op);
    if (n->op == AKIN_P_NULL || n->op == AKIN_P_ID) return AKIN_OK;
    if (n->op == AKIN_P_NUMBER)
        return isnan(n->number)
                   ? akin_fail(err, AKIN_INVALID, "node %u: not a number", i)
                   : AKIN_OK;
    if (n->op == AKIN_P_STRING)
        return n->text.size > MAX_TEXT_BYTES || (n->text.size && !n->text.data)
                   ? akin_fail(err, AKIN_TOO_LARGE,
                               "node %u: string of %zu bytes, expected at most "
                               "%d",
                               i, n->text.size, MAX_TEXT_BYTES)
                   : AKIN_OK;
    if (n->op == AKIN_P_FIELD || n->op == AKIN_P_EXISTS ||
        n->op == AKIN_P_COUNT)
        return check_path(i, n->text, err);
    if (n->op == AKIN_P_LIST) return check_list(p, i, err);
    if (n->op == AKIN_P_EACH || n->op == AKIN_P_ANY)
        return check_each(p, i, err);
    if (n->left >= i || (!is_unary(n->op) && n->right >= i))
        return akin_fail(err, AKIN_INVALID,
                         "node %u: operand does not stand before it", i);
    return AKIN_OK;
}

/* Operands stand in the same EACH as what they are operands of. */
static akin_status check_scopes(const akin_predicate *p, akin_error *err)
{
    uint16_t scope[AKIN_MAX_NODES]; /* 1 + its EACH; 0: in none */
    uint32_t open[AKIN_MAX_EACH], depth = 0;

    for (uint32_t i = 0; i < p->count; i++) {
        const akin_predicate_node *n = &p->nodes[i];
        if (n->op == AKIN_P_ANY && (!depth || open[--depth] != n->left))
            return akin_fail(err, AKIN_INVALID, "node %u: ANY out of turn", i);
        scope[i] = (uint16_t)(depth ? open[depth - 1] + 1 : 0);
        if (n->op == AKIN_P_EACH) {
            if (depth == AKIN_MAX_EACH)
                return akin_fail(err, AKIN_INVALID,
                                 "more than %d lists in lists", AKIN_MAX_EACH);
            open[depth++] = i;
        }
        bool apart = false;
        if (is_unary(n->op)) apart = scope[n->left] != scope[i];
        if (n->op >= AKIN_P_AND && n->op <= AKIN_P_POW)
            apart = scope[n->left] != scope[i] || scope[n->right] != scope[i];
        if (apart)
            return akin_fail(err, AKIN_INVALID,
                             "node %u: operand of another list", i);
    }
    return AKIN_OK;
}

akin_status akin_predicate_check(const akin_predicate *p, akin_error *err)
{
    if (!p->nodes || p->count < 1 || p->count > AKIN_MAX_NODES)
        return akin_fail(err, AKIN_INVALID,
                         "filter of %u nodes, expected 1 to %d", p->count,
                         AKIN_MAX_NODES);
    for (uint32_t i = 0; i < p->count; i++) {
        akin_status rc = check_node(p, i, err);
        if (rc) return rc;
    }
    return check_scopes(p, err);
}

/* ---- values -------------------------------------------------------------- */

static akin__value number_value(double v)
{
    return (akin__value){.type = AKIN__NUMBER, .there = true, .number = v};
}

static akin__value no_value(void)
{
    return (akin__value){.type = AKIN__MISSING};
}

static akin__value literal_value(const akin_predicate_node *n)
{
    akin__value v = {.there = true};
    if (n->op == AKIN_P_NUMBER) return number_value(n->number);
    v.type = n->op == AKIN_P_NULL ? AKIN__NULL : AKIN__STRING;
    v.text = n->text;
    return v;
}

static double to_number(const akin__value *v)
{
    if (v->type == AKIN__NUMBER) return v->number;
    if (v->type == AKIN__STRING) return akin__text_number(v->text, NULL);
    return 0;
}

double akin__literal_number(const akin_predicate_node *node)
{
    akin__value v = literal_value(node);
    return to_number(&v);
}

static bool is_list(const akin__value *v)
{
    return v->type == AKIN__ARRAY || v->type == AKIN__LITERALS;
}

static bool truth(const akin__value *v)
{
    switch (v->type) {
    case AKIN__NUMBER: return v->number != 0;
    case AKIN__STRING: return v->text.size != 0;
    case AKIN__ARRAY:
    case AKIN__LITERALS: return true;
    default: return false;
    }
}

static bool same_text(akin_span a, akin_span b)
{
    return a.size == b.size && (a.size == 0 || !memcmp(a.data, b.data, a.size));
}

static bool equal(const akin__value *a, const akin__value *b)
{
    if (is_list(a) || is_list(b)) return false;
    if (a->type == AKIN__NULL || b->type == AKIN__NULL)
        return a->type == b->type;
    if (a->type == AKIN__STRING && b->type == AKIN__STRING)
        return same_text(a->text, b->text);
    return to_number(a) == to_number(b);
}

static bool ordered(akin_predicate_op op, const akin__value *a,
                    const akin__value *b)
{
    if (is_list(a) || is_list(b)) return false;
    if (a->type == AKIN__NULL || b->type == AKIN__NULL) return false;
    double x = to_number(a), y = to_number(b);
    switch (op) {
    case AKIN_P_LT: return x < y;
    case AKIN_P_LE: return x <= y;
    case AKIN_P_GT: return x > y;
    default: return x >= y;
    }
}

static double arithmetic(akin_predicate_op op, double x, double y)
{
    switch (op) {
    case AKIN_P_ADD: return x + y;
    case AKIN_P_SUB: return x - y;
    case AKIN_P_MUL: return x * y;
    case AKIN_P_DIV: return x / y;
    case AKIN_P_MOD: return fmod(x, y);
    default: return pow(x, y);
    }
}

/* ---- time ---------------------------------------------------------------- */

/* Exactly n digits at *p. */
static bool digits(const char **p, const char *end, int n, int64_t *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (*p >= end || **p < '0' || **p > '9') return false;
        *out = *out * 10 + (**p - '0');
    }
    return true;
}

static bool one_of(const char **p, const char *end, const char *set)
{
    if (*p >= end || !**p || !strchr(set, **p)) return false;
    (*p)++;
    return true;
}

/* Days since 1970-01-01 of a Gregorian date (Hinnant, days_from_civil). */
static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = y / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool read_zone(const char **p, const char *end, int64_t *minutes)
{
    int64_t h, m;
    *minutes = 0;
    if (*p == end || one_of(p, end, "Zz")) return *p == end;
    int64_t sign = **p == '-' ? -1 : 1;
    if (!one_of(p, end, "+-") || !digits(p, end, 2, &h)) return false;
    one_of(p, end, ":");
    if (!digits(p, end, 2, &m) || *p != end) return false;
    *minutes = sign * (h * 60 + m);
    return true;
}

bool akin__text_time(akin_span text, double *out)
{
    const char *p = text.data, *end = p + text.size;
    int64_t y, mo, d, h = 0, mi = 0, s = 0, zone = 0;
    double fraction = 0, scale = 1;

    if (!text.size || !digits(&p, end, 4, &y) || !one_of(&p, end, "-") ||
        !digits(&p, end, 2, &mo) || !one_of(&p, end, "-") ||
        !digits(&p, end, 2, &d) || y < 1 || mo < 1 || mo > 12 || d < 1 ||
        d > 31)
        return false;
    if (p < end) {
        if (!one_of(&p, end, "Tt ") || !digits(&p, end, 2, &h) ||
            !one_of(&p, end, ":") || !digits(&p, end, 2, &mi))
            return false;
        if (one_of(&p, end, ":") && !digits(&p, end, 2, &s)) return false;
        if (one_of(&p, end, "."))
            for (; p < end && *p >= '0' && *p <= '9'; p++)
                fraction += (*p - '0') * (scale /= 10);
        if (!read_zone(&p, end, &zone) || h > 24 || mi > 59 || s > 60)
            return false;
    }
    int64_t seconds = ((days_of(y, mo, d) * 24 + h) * 60 + mi - zone) * 60 + s;
    *out = (double)seconds * 1000 + floor(fraction * 1000 + 0.5);
    return true;
}

/* ---- evaluating ---------------------------------------------------------- */

typedef struct {
    const akin_predicate *p;
    akin_span id, attributes;
    akin__value values[AKIN_MAX_NODES];
    char **decoded; /* strings whose escapes were decoded */
    size_t decoded_count, decoded_capacity;
    akin_status status;
} evaluation;

/* The text with its escapes decoded; in memory of the evaluation's. */
static void decode(evaluation *e, akin__value *v)
{
    if (!v->escaped || e->status) return;
    e->status = akin_grow(&e->decoded, &e->decoded_capacity,
                          e->decoded_count + 1, sizeof *e->decoded, NULL);
    char *text = e->status ? NULL : akin_alloc(v->text.size);
    if (!text) {
        e->status = AKIN_NOMEM;
        return;
    }
    e->decoded[e->decoded_count++] = text;
    v->text = (akin_span){text, akin__json_decode(v->text, text)};
    v->escaped = false;
}

static akin__value field_value(evaluation *e, const akin_predicate_node *n)
{
    akin__value v = akin__json_field(e->attributes, n->text);
    decode(e, &v);
    return v;
}

static bool is_in(evaluation *e, const akin__value *a, const akin__value *b);

/* The comparison of two values that are there; a is no list. */
static bool compare(evaluation *e, akin_predicate_op op, const akin__value *a,
                    const akin__value *b)
{
    switch (op) {
    case AKIN_P_EQ: return equal(a, b);
    case AKIN_P_NE: return !equal(a, b);
    case AKIN_P_IN: return is_in(e, a, b);
    case AKIN_P_NOT_IN: return a->type != AKIN__NULL && !is_in(e, a, b);
    default: return ordered(op, a, b);
    }
}

/* Whether `element op b` is true of one of the elements. */
static bool any_element(evaluation *e, akin_predicate_op op, akin_span array,
                        const akin__value *b)
{
    akin__value element;
    size_t at = 0;
    bool found = false;

    while (!found && akin__json_element(array, &at, &element)) {
        if (element.type == AKIN__MISSING) continue;
        char *text = NULL;
        if (element.escaped) {
            text = akin_alloc(element.text.size);
            if (!text) {
                e->status = AKIN_NOMEM;
                return false;
            }
            element.text.size = akin__json_decode(element.text, text);
            element.text.data = text;
        }
        found = compare(e, op, &element, b);
        akin_free(text);
    }
    return found;
}

static bool is_in(evaluation *e, const akin__value *a, const akin__value *b)
{
    if (b->type == AKIN__ARRAY) return any_element(e, AKIN_P_EQ, b->text, a);
    if (b->type == AKIN__STRING && a->type == AKIN__STRING)
        return a->text.size == 0 ||
               (b->text.size &&
                memmem(b->text.data, b->text.size, a->text.data, a->text.size));
    if (b->type != AKIN__LITERALS) return false;
    for (uint32_t i = 0; i < b->count; i++) {
        akin__value v = literal_value(&e->p->nodes[b->first + i]);
        if (equal(a, &v)) return true;
    }
    return false;
}

static akin__value unary(evaluation *e, const akin_predicate_node *n)
{
    const akin__value *a = &e->values[n->left];
    double time;

    if (n->op == AKIN_P_NOT) return number_value(!truth(a));
    if (a->type == AKIN__MISSING) return *a;
    if (n->op == AKIN_P_NEGATE) return number_value(-to_number(a));
    if (a->type != AKIN__STRING || !akin__text_time(a->text, &time))
        return no_value();
    return number_value(time);
}

static akin__value binary(evaluation *e, const akin_predicate_node *n)
{
    const akin__value *a = &e->values[n->left], *b = &e->values[n->right];
    bool missing = a->type == AKIN__MISSING || b->type == AKIN__MISSING;

    if (n->op == AKIN_P_AND) return number_value(truth(a) && truth(b));
    if (n->op == AKIN_P_OR) return number_value(truth(a) || truth(b));
    if (missing) return n->op >= AKIN_P_ADD ? no_value() : number_value(0);
    if (n->op >= AKIN_P_ADD)
        return number_value(arithmetic(n->op, to_number(a), to_number(b)));
    if (a->type == AKIN__ARRAY && !e->p->missing_fails)
        return number_value(any_element(e, n->op, a->text, b));
    return number_value(compare(e, n->op, a, b));
}

static double count_elements(evaluation *e, akin_span path)
{
    akin__value v = akin__json_field(e->attributes, path), element;
    size_t at = 0;
    double n = 0;

    if (v.type != AKIN__ARRAY) return v.there && v.type != AKIN__NULL;
    while (akin__json_element(v.text, &at, &element))
        n++;
    return n;
}

static akin__value node_value(evaluation *e, const akin_predicate_node *n)
{
    switch (n->op) {
    case AKIN_P_NUMBER:
    case AKIN_P_STRING:
    case AKIN_P_NULL: return literal_value(n);
    case AKIN_P_LIST:
        return (akin__value){.type = AKIN__LITERALS,
                             .there = true,
                             .first = n->left,
                             .count = n->right};
    case AKIN_P_FIELD: return field_value(e, n);
    case AKIN_P_EXISTS:
        return number_value(akin__json_field(e->attributes, n->text).there);
    case AKIN_P_COUNT: return number_value(count_elements(e, n->text));
    case AKIN_P_ID:
        return (akin__value){
            .type = AKIN__STRING, .there = true, .text = e->id};
    default: return is_unary(n->op) ? unary(e, n) : binary(e, n);
    }
}

static bool holds(evaluation *e, uint32_t first, uint32_t end);

/* Whether the predicate between EACH, node i, and its ANY is true of one of the
 * elements. */
static bool any_holds(evaluation *e, uint32_t i)
{
    const akin_predicate_node *n = &e->p->nodes[i];
    akin_span around = e->attributes;
    akin__value v = akin__json_field(around, n->text), element;
    bool found = false;
    size_t at = 0;

    if (v.type != AKIN__ARRAY) return false;
    while (!found && !e->status && akin__json_element(v.text, &at, &element)) {
        if (element.type != AKIN__MISSING || !element.text.size) continue;
        e->attributes = element.text;
        found = holds(e, i + 1, i + n->right);
    }
    e->attributes = around;
    return found;
}

/* Whether nodes first..end - 1, of which the last is the root, are true. */
static bool holds(evaluation *e, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end && !e->status; i++) {
        const akin_predicate_node *n = &e->p->nodes[i];
        if (n->op == AKIN_P_EACH) {
            bool found = any_holds(e, i);
            i += n->right;
            e->values[i] = number_value(found);
            continue;
        }
        e->values[i] = node_value(e, n);
        if (e->values[i].type == AKIN__MISSING && e->p->missing_fails &&
            (n->op == AKIN_P_FIELD || n->op == AKIN_P_TIME))
            return false;
    }
    return !e->status && truth(&e->values[end - 1]);
}

akin_status akin__predicate_eval(const akin_predicate *predicate, akin_span id,
                                 akin_span attributes, bool *pass)
{
    evaluation e; /* 40 KiB, of which only count values are touched */
    e.p = predicate;
    e.id = id;
    e.attributes = attributes;
    e.decoded = NULL;
    e.decoded_count = e.decoded_capacity = 0;
    e.status = AKIN_OK;

    *pass = holds(&e, 0, predicate->count);
    while (e.decoded_count)
        akin_free(e.decoded[--e.decoded_count]);
    akin_free(e.decoded);
    return e.status;
}

bool akin_predicate_match(const akin_predicate *predicate, akin_span attributes)
{
    bool pass;
    return akin__predicate_eval(predicate, (akin_span){"", 0}, attributes,
                                &pass) == AKIN_OK &&
           pass;
}
