/* Filter expressions: the language of Redis's vector sets, parsed into storage's
 * predicate tree. Precedence is Redis's own, from loose to tight:
 *
 *     or ||   and &&   == != < <= > >= in "not in"   + -   * / %   **   not ! -
 *
 * so `not .a > 5` is `(not .a) > 5`, as there. Beyond Redis: exists(.a),
 * count(.a), any(.list, x), time(x), id, not in, - before any operand, names
 * in UTF-8.
 *
 * One pass, recursive by precedence; depth, length and the number of nodes are
 * bounded. Operands stand before their operator in the array, so a parse
 * function returns the number of its last node. Names and strings are copied to
 * one buffer no longer than the text itself. */
#include "internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 400 /* calls; a parenthesis takes seven */

typedef struct {
    const char *text, *p, *end;
    akin__expression *out;
    uint32_t count;
    char *write; /* into out->text */
    unsigned depth;
    akin_status rc;
    akin_error *err;
} parser;

static AKIN_PRINTF(2, 3) uint32_t fail(parser *s, const char *fmt, ...)
{
    if (s->rc) return 0;
    char reason[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    s->rc = akin_fail(s->err, AKIN_INVALID, "filter, column %zu: %s",
                      (size_t)(s->p - s->text) + 1, reason);
    return 0;
}

static uint32_t node(parser *s, akin_predicate_node n)
{
    if (s->rc) return 0;
    if (s->count == AKIN_MAX_NODES)
        return fail(s, "more than %d parts", AKIN_MAX_NODES);
    akin_status rc = akin_grow(&s->out->nodes, &s->out->capacity, s->count + 1,
                               sizeof n, s->err);
    if (rc) {
        s->rc = rc;
        return 0;
    }
    s->out->nodes[s->count] = n;
    return s->count++;
}

/* One level deeper; false: too deep. The caller leaves by depth--. */
static bool enter(parser *s)
{
    if (++s->depth > MAX_DEPTH) fail(s, "nested too deep");
    return !s->rc;
}

static uint32_t unary(parser *s, akin_predicate_op op, uint32_t left)
{
    return node(s, (akin_predicate_node){.op = op, .left = left});
}

/* ---- words and signs --------------------------------------------------------------- */

static void space(parser *s)
{
    while (s->p < s->end && isspace((unsigned char)*s->p))
        s->p++;
}

static bool name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* Takes a sign, or a word that does not go on. */
static bool take(parser *s, const char *token)
{
    size_t n = strlen(token);
    space(s);
    if ((size_t)(s->end - s->p) < n || strncmp(s->p, token, n)) return false;
    if (isalpha((unsigned char)token[0]) && s->p + n < s->end &&
        name_char(s->p[n]))
        return false;
    s->p += n;
    return true;
}

static bool peek(parser *s, char c)
{
    space(s);
    return s->p < s->end && *s->p == c;
}

/* ---- operands ------------------------------------------------------------------------ */

static uint32_t number(parser *s)
{
    char digits[64], *stop;
    size_t n = 0;
    const char *p = s->p;

    while (p < s->end && n < sizeof digits - 1 &&
           (isalnum((unsigned char)*p) || *p == '.' ||
            ((*p == '+' || *p == '-') && n && (digits[n - 1] | 32) == 'e')))
        digits[n++] = *p++;
    digits[n] = 0;
    double value = strtod(digits, &stop);
    if (!n || *stop || !(value - value == 0) || strpbrk(digits, "xXnN"))
        return fail(s, "not a number: %.40s", digits);
    s->p = p;
    return node(s, (akin_predicate_node){.op = AKIN_P_NUMBER, .number = value});
}

static uint32_t string(parser *s)
{
    char quote = *s->p, *begin = s->write;
    const char *start = s->p++;

    while (s->p < s->end && *s->p != quote) {
        char c = *s->p++;
        if (c == '\\' && s->p < s->end) {
            c = *s->p++;
            if (c == 'n') c = '\n';
            if (c == 't') c = '\t';
        }
        *s->write++ = c;
    }
    if (s->p == s->end) {
        s->p = start;
        return fail(s, "the string has no end");
    }
    s->p++;
    akin_span text = {begin, (size_t)(s->write - begin)};
    return node(s, (akin_predicate_node){.op = AKIN_P_STRING, .text = text});
}

/* ".a.b-c" to the path "a.b-c". */
static akin_span path(parser *s)
{
    char *begin = s->write;
    const char *start = s->p + 1;

    for (s->p++; s->p < s->end; s->p++) {
        bool dot = *s->p == '.' && s->p > start && s->p[-1] != '.';
        if (!dot && !name_char(*s->p) && *s->p != '-') break;
        *s->write++ = *s->p;
    }
    if (s->write == begin || s->write[-1] == '.')
        fail(s, "expected a field's name after \".\"");
    return (akin_span){begin, (size_t)(s->write - begin)};
}

static uint32_t literal(parser *s)
{
    space(s);
    if (s->p == s->end) return fail(s, "expected a value at the end");
    if (*s->p == '"' || *s->p == '\'') return string(s);
    if (take(s, "true"))
        return node(s, (akin_predicate_node){.op = AKIN_P_NUMBER, .number = 1});
    if (take(s, "false"))
        return node(s, (akin_predicate_node){.op = AKIN_P_NUMBER});
    if (take(s, "null"))
        return node(s, (akin_predicate_node){.op = AKIN_P_NULL});
    if (*s->p == '-' && s->p + 1 < s->end) {
        s->p++;
        uint32_t at = number(s);
        if (!s->rc) s->out->nodes[at].number *= -1;
        return at;
    }
    if (isdigit((unsigned char)*s->p)) return number(s);
    return fail(s, "expected a value, found \"%.20s\"", s->p);
}

static uint32_t list(parser *s)
{
    uint32_t first = s->count, n = 0;

    while (!s->rc && !peek(s, ']')) {
        if (n && !take(s, ","))
            return fail(s, "expected \",\" or \"]\" in the list");
        literal(s);
        n++;
    }
    take(s, "]");
    return node(
        s, (akin_predicate_node){.op = AKIN_P_LIST, .left = first, .right = n});
}

static uint32_t expression(parser *s, unsigned level);

static uint32_t call(parser *s, akin_predicate_op op)
{
    uint32_t at;
    if (!take(s, "(")) return fail(s, "expected \"(\"");
    if (op == AKIN_P_TIME) {
        at = unary(s, op, expression(s, 0));
    } else {
        if (!peek(s, '.')) return fail(s, "expected a field, like .price");
        at = node(s, (akin_predicate_node){.op = op, .text = path(s)});
    }
    if (!s->rc && !take(s, ")")) return fail(s, "expected \")\"");
    return at;
}

/* any(.list, expression): see AKIN_P_EACH. */
static uint32_t any(parser *s)
{
    if (!enter(s)) return 0;
    if (!take(s, "(") || !peek(s, '.'))
        return fail(s, "expected \"(\" and a list, like .parts");
    uint32_t each =
        node(s, (akin_predicate_node){.op = AKIN_P_EACH, .text = path(s)});
    if (!s->rc && !take(s, ",")) return fail(s, "expected \",\"");
    expression(s, 0);
    if (!s->rc && !take(s, ")")) return fail(s, "expected \")\"");
    uint32_t at = unary(s, AKIN_P_ANY, each);
    if (!s->rc) s->out->nodes[each].right = at - each;
    s->depth--;
    return at;
}

static uint32_t operand(parser *s)
{
    if (s->rc) return 0;
    if (take(s, "not") || take(s, "!")) {
        if (!enter(s)) return 0;
        uint32_t at = unary(s, AKIN_P_NOT, operand(s));
        s->depth--;
        return at;
    }
    if (take(s, "(")) {
        uint32_t at = expression(s, 0);
        if (!s->rc && !take(s, ")")) return fail(s, "expected \")\"");
        return at;
    }
    if (take(s, "[")) return list(s);
    if (take(s, "exists")) return call(s, AKIN_P_EXISTS);
    if (take(s, "count")) return call(s, AKIN_P_COUNT);
    if (take(s, "any")) return any(s);
    if (take(s, "time")) return call(s, AKIN_P_TIME);
    if (take(s, "id")) return node(s, (akin_predicate_node){.op = AKIN_P_ID});
    bool digit = s->p + 1 < s->end && isdigit((unsigned char)s->p[1]);
    if (peek(s, '-') && !digit) {
        s->p++;
        if (!enter(s)) return 0;
        uint32_t at = unary(s, AKIN_P_NEGATE, operand(s));
        s->depth--;
        return at;
    }
    if (peek(s, '.') && !digit)
        return node(s,
                    (akin_predicate_node){.op = AKIN_P_FIELD, .text = path(s)});
    return peek(s, '.') ? number(s) : literal(s);
}

/* ---- operators ----------------------------------------------------------------------- */

/* Longer signs stand before those they begin with. */
static const struct {
    const char *sign;
    akin_predicate_op op;
    unsigned level;
} operators[] = {
    {"||", AKIN_P_OR, 0},   {"or", AKIN_P_OR, 0}, {"&&", AKIN_P_AND, 1},
    {"and", AKIN_P_AND, 1}, {"==", AKIN_P_EQ, 2}, {"!=", AKIN_P_NE, 2},
    {"<=", AKIN_P_LE, 2},   {">=", AKIN_P_GE, 2}, {"<", AKIN_P_LT, 2},
    {">", AKIN_P_GT, 2},    {"in", AKIN_P_IN, 2}, {"not in", AKIN_P_NOT_IN, 2},
    {"+", AKIN_P_ADD, 3},   {"-", AKIN_P_SUB, 3}, {"**", AKIN_P_POW, 5},
    {"*", AKIN_P_MUL, 4},   {"/", AKIN_P_DIV, 4}, {"%", AKIN_P_MOD, 4},
};
#define TIGHTEST 5

/* The operator that stands here, if it is of this level. */
static bool take_operator(parser *s, unsigned level, akin_predicate_op *op)
{
    const char *before = s->p;
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!take(s, operators[i].sign)) continue;
        *op = operators[i].op;
        if (operators[i].level == level) return true;
        break;
    }
    s->p = before;
    return false;
}

static uint32_t expression(parser *s, unsigned level)
{
    akin_predicate_op op;

    if (s->rc) return 0;
    if (level > TIGHTEST) return operand(s);
    if (!enter(s)) return 0;
    uint32_t left = expression(s, level + 1);
    while (!s->rc && take_operator(s, level, &op)) {
        /* ** joins from the right, the others from the left */
        uint32_t right = expression(s, op == AKIN_P_POW ? level : level + 1);
        left = node(
            s, (akin_predicate_node){.op = op, .left = left, .right = right});
    }
    s->depth--;
    return left;
}

akin_status akin__filter_parse(akin_filter filter, akin__expression *out,
                               akin_error *err)
{
    memset(out, 0, sizeof *out);
    if (filter.text.size > AKIN_FILTER_BYTES)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "filter: expected at most %d bytes, got %zu",
                         AKIN_FILTER_BYTES, filter.text.size);
    if (filter.text.size && memchr(filter.text.data, 0, filter.text.size))
        return akin_fail(err, AKIN_INVALID, "filter contains a NUL byte");
    out->text = akin_alloc(filter.text.size + 1);
    char *source = akin_strndup(filter.text.data ? filter.text.data : "",
                                filter.text.size);
    if (!out->text || !source) {
        akin_free(source);
        akin__expression_clear(out);
        return akin__nomem(err);
    }
    parser s = {.text = source,
                .p = source,
                .end = source + filter.text.size,
                .out = out,
                .write = out->text,
                .err = err};
    expression(&s, 0);
    space(&s);
    if (!s.rc && s.p < s.end)
        fail(&s, "expected an operator, found \"%.20s\"", s.p);
    akin_free(source);
    out->predicate =
        (akin_predicate){.nodes = out->nodes,
                         .count = s.count,
                         .missing_fails = !filter.missing_is_false};
    if (!s.rc) s.rc = akin_predicate_check(&out->predicate, err);
    if (s.rc) akin__expression_clear(out);
    return s.rc;
}

void akin__expression_clear(akin__expression *expression)
{
    akin_free(expression->nodes);
    akin_free(expression->text);
    memset(expression, 0, sizeof *expression);
}

akin_status akin_filter_check(akin_filter filter, akin_error *err)
{
    akin__expression expression;
    if (!filter.text.size) return AKIN_OK;
    akin_status rc = akin__filter_parse(filter, &expression, err);
    if (!rc) akin__expression_clear(&expression);
    return rc;
}
