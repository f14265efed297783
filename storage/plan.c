/* Planning a filter. Every node of the predicate is asked, in their order, what
 * it demands of an item: a comparison with a declared field its probes, "and"
 * what the side with fewer rows demands, "or" what both do, anything else
 * nothing that an index knows of. Nothing is estimated: a probe's rows are
 * counted by reading them, up to a limit, which is low at first and an eighth of
 * the collection then. What demands more, or nothing, is scanned for. */
#include "plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A row found by index costs a look-up in items (1.5 us), one scanned 0.4 us;
 * below SMALL items nothing is worth planning. */
#define SMALL         1000
#define SCAN_FRACTION 8
#define FEW           1024 /* rows that are counted before more are */
#define MAX_ELEMENTS  128  /* of a list, looked up one by one */

/* What a node demands of the items that make it true: some of the plan's
 * probes, or nothing known. */
typedef struct {
    bool known;
    uint32_t first, count;
    uint64_t rows;
} demand;

/* ---- declared fields ----------------------------------------------------- */

static akin_status load_fields(akin__plan *plan, akin_error *err)
{
    akin__conn *conn = plan->conn;
    sqlite3_stmt *stmt;
    bool row = true;
    akin_status rc = akin__query(
        conn, &stmt, err,
        "SELECT field, type = 'tags', path FROM fields WHERE collection = ?1"
        " LIMIT ?2",
        "ui", (uint64_t)plan->collection.collection, (int64_t)AKIN__MAX_FIELDS);
    while (!rc && row && plan->field_count < AKIN__MAX_FIELDS) {
        rc = akin__step(conn, stmt, &row, err);
        if (rc || !row) break;
        akin__field *f = &plan->fields[plan->field_count++];
        akin_buf path = {0};
        f->field = akin__column_u64(stmt, 0);
        f->tags = sqlite3_column_int(stmt, 1) != 0;
        akin_span text = akin__column(stmt, 2);
        rc = akin__json_path(text, &path, err);
        if (!rc) {
            f->path = akin_strndup(text.data, text.size);
            f->json_path = akin_strdup(akin_buf_cstr(&path));
            if (!f->path || !f->json_path)
                rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        }
        akin_buf_clear(&path);
    }
    akin__release(conn, stmt);
    return rc;
}

static const akin__field *find_field(const akin__plan *plan,
                                     const akin_predicate_node *n, bool tags)
{
    if (n->op != AKIN_P_FIELD) return NULL;
    for (uint32_t i = 0; i < plan->field_count; i++) {
        const akin__field *f = &plan->fields[i];
        if (f->tags == tags && strlen(f->path) == n->text.size &&
            memcmp(f->path, n->text.data, n->text.size) == 0)
            return f;
    }
    return NULL;
}

/* ---- probes -------------------------------------------------------------- */

static const char *condition(const akin__probe *p)
{
    switch (p->kind) {
    case AKIN__PROBE_TEXT: return "= ?2";
    case AKIN__PROBE_RANGE: return "BETWEEN ?2 AND ?3";
    case AKIN__PROBE_ABOVE: return ">= ?2";
    case AKIN__PROBE_BELOW: return "<= ?2";
    case AKIN__PROBE_MARK: return "= x''";
    /* a list is its JSON as text; '\\' comes after '[' */
    case AKIN__PROBE_LISTS: return "BETWEEN '[' AND '\\'";
    default: return ">= ''";
    }
}

static char *probe_sql(const akin__plan *plan, const akin__probe *p, bool match,
                       uint64_t limit)
{
    char tail[48] = "";
    if (limit)
        snprintf(tail, sizeof tail, " LIMIT %llu", (unsigned long long)limit);
    if (p->field->tags)
        return sqlite3_mprintf(
            "SELECT t.num FROM tags t %s WHERE t.field = %llu AND t.value %s"
            "%s%s",
            match ? "CROSS JOIN items i ON i.num = t.num" : "",
            (unsigned long long)p->field->field, condition(p),
            match ? " AND akin_match(?1, i.id, i.attributes)" : "", tail);
    /* The index is on this collection's rows alone, and SQLite sees that only
     * in a constant; the path is a declared one, quoted by %Q. */
    return sqlite3_mprintf(
        "SELECT num FROM items INDEXED BY field_%llu"
        " WHERE collection = %u AND attributes IS NOT NULL"
        " AND json_extract(attributes, %Q) %s%s%s",
        (unsigned long long)p->field->field, plan->collection.collection,
        p->field->json_path, condition(p),
        match ? " AND akin_match(?1, id, attributes)" : "", tail);
}

akin_status akin__probe_query(const akin__plan *plan, const akin__probe *p,
                              bool match, uint64_t limit, sqlite3_stmt **out,
                              akin_error *err)
{
    char *sql = probe_sql(plan, p, match, limit);
    akin_status rc;

    *out = NULL;
    if (!sql) return akin_fail(err, AKIN_NOMEM, "out of memory");
    if (p->kind == AKIN__PROBE_TEXT)
        rc = akin__query(plan->conn, out, err, sql, "nt", p->text);
    else if (p->kind == AKIN__PROBE_RANGE)
        rc = akin__query(plan->conn, out, err, sql, "ndd", p->low, p->high);
    else if (p->kind == AKIN__PROBE_ABOVE)
        rc = akin__query(plan->conn, out, err, sql, "nd", p->low);
    else if (p->kind == AKIN__PROBE_BELOW)
        rc = akin__query(plan->conn, out, err, sql, "nd", p->high);
    else
        rc = akin__query(plan->conn, out, err, sql, "");
    sqlite3_free(sql);
    return rc;
}

static akin_status count_rows(akin__plan *plan, akin__probe *p, akin_error *err)
{
    sqlite3_stmt *stmt;
    bool row = true;
    akin_status rc =
        akin__probe_query(plan, p, false, plan->limit + 1, &stmt, err);

    while (!rc && row) {
        rc = akin__step(plan->conn, stmt, &row, err);
        if (!rc && row) p->rows++;
    }
    akin__release(plan->conn, stmt);
    return rc;
}

/* Numbers are compared as doubles here and there, but SQLite compares large
 * integers exactly and reads decimals a little differently: unless it is a
 * small integer, a number's neighbours are looked up with it. */
static double lower(double v)
{
    bool small = v == floor(v) && fabs(v) < 9007199254740992.0;
    return small ? v : nextafter(nextafter(v, -INFINITY), -INFINITY);
}

static double higher(double v)
{
    return -lower(-v);
}

static akin_status add_probe(akin__plan *plan, demand *d, akin__probe probe,
                             akin_error *err)
{
    if (!d->known) return AKIN_OK;
    if (plan->probe_count >= AKIN__MAX_PROBES) {
        d->known = false;
        return AKIN_OK;
    }
    akin__probe *p = &plan->probes[plan->probe_count++];
    *p = probe;
    akin_status rc = count_rows(plan, p, err);
    d->count++;
    d->rows += p->rows;
    /* Too many already: what else the node demands does not matter. */
    if (d->rows > plan->limit) d->known = false;
    return rc;
}

static akin_status add_number(akin__plan *plan, demand *d, const akin__field *f,
                              double v, akin_error *err)
{
    akin__probe p = {.field = f,
                     .kind = AKIN__PROBE_RANGE,
                     .low = lower(v),
                     .high = higher(v)};
    return add_probe(plan, d, p, err);
}

/* Items whose field equals a literal; texts: all texts are looked up already.
 * In a tag field a text that spells a number is found by the number. */
static akin_status add_equal(akin__plan *plan, demand *d, const akin__field *f,
                             const akin_predicate_node *literal, bool *texts,
                             akin_error *err)
{
    akin_status rc = AKIN_OK;

    if (literal->op == AKIN_P_NULL ||
        (literal->text.size && literal->op == AKIN_P_STRING &&
         memchr(literal->text.data, 0, literal->text.size)))
        d->known = false; /* SQLite's NULL is also "missing"; cut at a NUL */
    if (literal->op == AKIN_P_STRING) {
        akin__probe p = {
            .field = f, .kind = AKIN__PROBE_TEXT, .text = literal->text};
        if (p.text.size == 0) p.text.data = "";
        rc = add_probe(plan, d, p, err);
        p.kind = AKIN__PROBE_LISTS; /* that one element of equals it */
        if (!rc && !f->tags && !plan->predicate->missing_fails)
            rc = add_probe(plan, d, p, err);
    } else if (f->tags && literal->number == 0) {
        d->known = false; /* every text that is no number equals 0 */
    } else if (!f->tags && !*texts) {
        akin__probe p = {.field = f, .kind = AKIN__PROBE_TEXTS};
        *texts = true;
        rc = add_probe(plan, d, p, err);
    }
    return rc ? rc : add_number(plan, d, f, akin__literal_number(literal), err);
}

static akin_status demand_order(akin__plan *plan, demand *d,
                                const akin__field *f, akin_predicate_op op,
                                const akin_predicate_node *literal,
                                akin_error *err)
{
    double v = akin__literal_number(literal);
    akin__probe p = {.field = f,
                     .kind = AKIN__PROBE_ABOVE,
                     .low = lower(v),
                     .high = higher(v)};

    d->known = literal->op != AKIN_P_NULL;
    if (op == AKIN_P_LT || op == AKIN_P_LE) {
        p.kind = AKIN__PROBE_TEXTS;
        akin_status rc = add_probe(plan, d, p, err);
        if (rc) return rc;
        p.kind = AKIN__PROBE_BELOW;
    }
    return add_probe(plan, d, p, err);
}

static akin_status demand_list(akin__plan *plan, demand *d,
                               const akin__field *f,
                               const akin_predicate_node *list, akin_error *err)
{
    bool texts = false;
    akin_status rc = AKIN_OK;

    d->known = list->right <= MAX_ELEMENTS;
    for (uint32_t i = 0; d->known && !rc && i < list->right; i++)
        rc = add_equal(plan, d, f, &plan->predicate->nodes[list->left + i],
                       &texts, err);
    return rc;
}

/* literal in .tags */
static akin_status demand_tag(akin__plan *plan, demand *d, const akin__field *f,
                              const akin_predicate_node *literal,
                              akin_error *err)
{
    bool texts = false;
    d->known = true;
    akin_status rc = add_equal(plan, d, f, literal, &texts, err);
    if (rc || literal->op != AKIN_P_STRING) return rc;
    akin__probe p = {.field = f, .kind = AKIN__PROBE_MARK};
    return add_probe(plan, d, p, err);
}

static bool is_literal(const akin_predicate_node *n)
{
    return n->op == AKIN_P_NUMBER || n->op == AKIN_P_STRING ||
           n->op == AKIN_P_NULL;
}

static akin_predicate_op mirrored(akin_predicate_op op)
{
    switch (op) {
    case AKIN_P_LT: return AKIN_P_GT;
    case AKIN_P_LE: return AKIN_P_GE;
    case AKIN_P_GT: return AKIN_P_LT;
    case AKIN_P_GE: return AKIN_P_LE;
    default: return op;
    }
}

static akin_status demand_compare(akin__plan *plan, demand *d,
                                  const akin_predicate_node *n, akin_error *err)
{
    const akin_predicate_node *a = &plan->predicate->nodes[n->left];
    const akin_predicate_node *b = &plan->predicate->nodes[n->right];
    const akin__field *f;
    bool texts = false;

    if (n->op == AKIN_P_IN) {
        f = find_field(plan, a, false);
        if (f && b->op == AKIN_P_LIST) return demand_list(plan, d, f, b, err);
        f = find_field(plan, b, true);
        return f && is_literal(a) ? demand_tag(plan, d, f, a, err) : AKIN_OK;
    }
    akin_predicate_op op = n->op;
    if (is_literal(a)) {
        const akin_predicate_node *t = a;
        a = b;
        b = t;
        op = mirrored(op);
    }
    f = find_field(plan, a, false);
    if (!f || !is_literal(b)) return AKIN_OK;
    d->known = true;
    return op == AKIN_P_EQ ? add_equal(plan, d, f, b, &texts, err)
                           : demand_order(plan, d, f, op, b, err);
}

/* Both sides' probes, one after the other (a copy, if they do not lie so). */
static void join(akin__plan *plan, demand *d, const demand *a, const demand *b)
{
    if (!a->known || !b->known) return;
    uint32_t n = a->count + b->count;
    if (plan->probe_count + n > AKIN__MAX_PROBES * 2) return;
    akin__probe *to = &plan->probes[plan->probe_count];
    memcpy(to, &plan->probes[a->first], a->count * sizeof *to);
    memcpy(to + a->count, &plan->probes[b->first], b->count * sizeof *to);
    *d = (demand){true, plan->probe_count, n, a->rows + b->rows};
    plan->probe_count += n;
}

static akin_status demand_of(akin__plan *plan, uint32_t i, demand *demands,
                             akin_error *err)
{
    const akin_predicate_node *n = &plan->predicate->nodes[i];
    demand *d = &demands[i];

    *d = (demand){.first = plan->probe_count};
    switch (n->op) {
    case AKIN_P_AND: {
        const demand *a = &demands[n->left], *b = &demands[n->right];
        *d = a->known && (!b->known || a->rows <= b->rows) ? *a : *b;
        return AKIN_OK;
    }
    case AKIN_P_OR:
        join(plan, d, &demands[n->left], &demands[n->right]);
        return AKIN_OK;
    case AKIN_P_EQ:
    case AKIN_P_LT:
    case AKIN_P_LE:
    case AKIN_P_GT:
    case AKIN_P_GE:
    case AKIN_P_IN: return demand_compare(plan, d, n, err);
    default: return AKIN_OK;
    }
}

/* Looks for probes that read at most `limit` rows together. */
static akin_status try_limit(akin__plan *plan, uint64_t limit, demand *demands,
                             akin_error *err)
{
    uint32_t n = plan->predicate->count;
    akin_status rc = AKIN_OK;

    plan->limit = limit;
    plan->probe_count = 0;
    for (uint32_t i = 0; !rc && i < n; i++) {
        const akin_predicate_node *node = &plan->predicate->nodes[i];
        if (node->op == AKIN_P_EACH) i += node->right; /* not the item's own */
        rc = demand_of(plan, i, demands, err);
    }
    const demand *root = &demands[n - 1];
    plan->use_index = !rc && root->known && root->rows <= limit;
    plan->first = root->first;
    plan->count = root->count;
    plan->rows = root->rows;
    return rc;
}

akin_status akin__plan_make(akin__conn *conn, uint32_t collection,
                            const akin_predicate *predicate, akin__plan **out,
                            akin_error *err)
{
    demand *demands = NULL;
    akin__plan *plan = akin_calloc(1, sizeof *plan);

    *out = NULL;
    if (!plan) return akin_fail(err, AKIN_NOMEM, "out of memory");
    plan->conn = conn;
    plan->predicate = predicate;
    akin_status rc =
        akin__collection_row(conn, collection, &plan->collection, err);
    if (!rc && plan->collection.items >= SMALL) rc = load_fields(plan, err);
    if (rc || plan->field_count == 0) goto done;
    demands = akin_calloc(predicate->count, sizeof *demands);
    if (!demands) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    /* Counting costs, too: where a few rows will do, no more are counted. */
    uint64_t most = plan->collection.items / SCAN_FRACTION;
    if (!rc && most > FEW) rc = try_limit(plan, FEW, demands, err);
    if (!rc && !plan->use_index) rc = try_limit(plan, most, demands, err);
done:
    akin_free(demands);
    if (rc)
        akin__plan_free(plan);
    else
        *out = plan;
    return rc;
}

void akin__plan_free(akin__plan *plan)
{
    if (!plan) return;
    for (uint32_t i = 0; i < plan->field_count; i++) {
        akin_free(plan->fields[i].path);
        akin_free(plan->fields[i].json_path);
    }
    akin_free(plan);
}
