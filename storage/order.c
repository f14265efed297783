/* Items in the order of an attribute: one scan that keeps the first `limit` in a
 * heap whose root is the last of them. An index of a declared field is of no
 * use here: it sorts lists as the text they are. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    akin_ordered_value *heap; /* (limit) */
    size_t n, limit;
    bool descending, bounded;
    double start;
    uint64_t num;
} order;

/* Whether a stands behind b. */
static bool behind(const order *o, const akin_ordered_value *a,
                   const akin_ordered_value *b)
{
    if (a->value != b->value)
        return o->descending ? a->value < b->value : a->value > b->value;
    return a->num > b->num;
}

static void swap(akin_ordered_value *a, akin_ordered_value *b)
{
    akin_ordered_value t = *a;
    *a = *b;
    *b = t;
}

static void sift_down(order *o, size_t n)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && behind(o, &o->heap[child + 1], &o->heap[child]))
            child++;
        if (!behind(o, &o->heap[child], &o->heap[i])) return;
        swap(&o->heap[child], &o->heap[i]);
    }
}

static void push(order *o, akin_ordered_value v)
{
    if (o->n == o->limit) {
        if (!behind(o, &o->heap[0], &v)) return;
        o->heap[0] = v;
        sift_down(o, o->n);
        return;
    }
    size_t i = o->n++;
    o->heap[i] = v;
    for (; i && behind(o, &o->heap[i], &o->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&o->heap[i], &o->heap[(i - 1) / 2]);
}

static akin_status take(order *o, const akin__value *v, akin_error *err)
{
    akin_ordered_value one = {.num = o->num, .value = v->number};

    if (v->type != AKIN__NUMBER && v->type != AKIN__STRING) return AKIN_OK;
    if (v->type == AKIN__STRING) {
        char *text = akin_alloc(v->text.size);
        if (!text) return akin_fail(err, AKIN_NOMEM, "out of memory");
        size_t size = akin__json_decode(v->text, text);
        one.time = akin__text_time((akin_span){text, size}, &one.value);
        akin_free(text);
        if (!one.time) return AKIN_OK;
    }
    if (o->bounded &&
        (o->descending ? one.value > o->start : one.value < o->start))
        return AKIN_OK;
    push(o, one);
    return AKIN_OK;
}

static akin_status take_item(order *o, akin_span attributes, akin_span path,
                             akin_error *err)
{
    akin__value v = akin__json_field(attributes, path), element;
    akin_status rc = AKIN_OK;
    size_t at = 0;

    if (v.type != AKIN__ARRAY) return take(o, &v, err);
    while (!rc && akin__json_element(v.text, &at, &element))
        rc = take(o, &element, err);
    return rc;
}

static akin_status scan(akin__conn *conn, uint32_t collection, order *o,
                        akin_span path, akin_num_allow *allow, void *user,
                        akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = true;
    akin_status rc = akin__query(conn, &stmt, err,
                                 "SELECT num, attributes FROM items INDEXED BY"
                                 " items_collection WHERE collection = ?1"
                                 " AND attributes IS NOT NULL",
                                 "u", (uint64_t)collection);

    while (!rc && row) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        o->num = akin__column_u64(stmt, 0);
        if (!allow || allow(user, o->num))
            rc = take_item(o, akin__column(stmt, 1), path, err);
    }
    akin__release(conn, stmt);
    return rc;
}

static akin_status read_start(order *o, akin_span start, akin_error *err)
{
    bool is = false;

    o->bounded = start.size > 0;
    if (!o->bounded) return AKIN_OK;
    o->start = akin__text_number(start, &is);
    if (is || akin__text_time(start, &o->start)) return AKIN_OK;
    return akin_fail(err, AKIN_INVALID,
                     "start of an order: expected a number or a date and time");
}

akin_status akin_storage_order(akin_storage *s, uint32_t collection,
                               const akin_ordering *ordering,
                               akin_num_allow *allow, void *user,
                               akin_ordered_value *out, size_t *n,
                               akin_error *err)
{
    order o = {.heap = out,
               .limit = ordering->limit,
               .descending = ordering->descending};
    akin_buf checked = {0};
    akin__conn *conn;

    *n = 0;
    if (o.limit < 1 || o.limit > AKIN_MAX_ORDERED)
        return akin_fail(err, AKIN_INVALID, "expected a limit of 1 to %d",
                         AKIN_MAX_ORDERED);
    akin_status rc = akin__json_path(ordering->path, &checked, err);
    akin_buf_clear(&checked);
    if (!rc) rc = read_start(&o, ordering->start, err);
    if (!rc) rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = scan(conn, collection, &o, ordering->path, allow, user, err);
    akin__read_end(s, conn);
    if (rc) return rc;
    *n = o.n;
    for (size_t i = o.n; i > 1; i--) { /* the last goes to the end */
        swap(&o.heap[0], &o.heap[i - 1]);
        sift_down(&o, i - 1);
    }
    return AKIN_OK;
}
