/* Answering a filter: the numbers of the items that pass.
 *
 * The predicate itself is always evaluated by akin_match, on each row that the
 * plan reaches; what the user wrote never becomes SQL text. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 1024

static akin_span value_text(sqlite3_value *value)
{
    const void *text = sqlite3_value_blob(value);
    return (akin_span){text, text ? (size_t)sqlite3_value_bytes(value) : 0};
}

/* akin_match(predicate, id, attributes) */
static void sql_match(sqlite3_context *context, int n, sqlite3_value **values)
{
    bool pass = false;
    (void)n;
    const akin_predicate *p =
        sqlite3_value_pointer(values[0], "akin_predicate");
    if (!p) {
        sqlite3_result_int(context, 0);
        return;
    }
    akin_span id = value_text(values[1]), attributes = value_text(values[2]);
    if (akin__predicate_eval(p, id, attributes, &pass))
        sqlite3_result_error_nomem(context);
    else
        sqlite3_result_int(context, pass);
}

akin_status akin__select_functions(akin__conn *conn, akin_error *err)
{
    int rc = sqlite3_create_function_v2(conn->db, "akin_match", 3,
                                        SQLITE_UTF8 | SQLITE_DIRECTONLY, NULL,
                                        sql_match, NULL, NULL, NULL);
    return rc ? akin__fail_sqlite(conn, rc, "akin_match", err) : AKIN_OK;
}

/* The predicate is the caller's for the call, so its address will do. */
static void bind_predicate(sqlite3_stmt *stmt, const akin_predicate *p)
{
    sqlite3_bind_pointer(stmt, 1, (void *)(uintptr_t)p, "akin_predicate", NULL);
}

static akin_status scan(akin__plan *plan, akin_nums_each *each, void *user,
                        akin_error *err)
{
    uint64_t nums[BATCH];
    size_t n = 0;
    sqlite3_stmt *stmt;
    bool row = true, more = true;
    akin_status rc = akin__query(plan->conn, &stmt, err,
                                 "SELECT num FROM items INDEXED BY"
                                 " items_collection WHERE collection = ?2"
                                 " AND akin_match(?1, id, attributes)",
                                 "nu", (uint64_t)plan->collection.collection);
    if (!rc) bind_predicate(stmt, plan->predicate);
    while (!rc && row && more) {
        rc = akin__step(plan->conn, stmt, &row, err);
        if (rc || !row) break;
        nums[n++] = akin__column_u64(stmt, 0);
        if (n < BATCH) continue;
        more = each(user, nums, n);
        n = 0;
    }
    if (!rc && more && n) each(user, nums, n);
    akin__release(plan->conn, stmt);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Probes may reach an item twice: all are gathered, sorted and given once. */
static akin_status probe(akin__plan *plan, akin_nums_each *each, void *user,
                         akin_error *err)
{
    uint64_t *nums = NULL;
    size_t n = 0, capacity = 0, unique = 0;
    akin_status rc = AKIN_OK;

    for (uint32_t i = 0; !rc && i < plan->count; i++) {
        sqlite3_stmt *stmt;
        bool row = true;
        rc = akin__probe_query(plan, &plan->probes[plan->first + i], true, 0,
                               &stmt, err);
        if (!rc) bind_predicate(stmt, plan->predicate);
        while (!rc && row) {
            rc = akin__step(plan->conn, stmt, &row, err);
            if (rc || !row) break;
            rc = akin_grow(&nums, &capacity, n + 1, sizeof *nums, err);
            if (!rc) nums[n++] = akin__column_u64(stmt, 0);
        }
        akin__release(plan->conn, stmt);
    }
    if (n) qsort(nums, n, sizeof *nums, by_value);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || nums[i] != nums[i - 1]) nums[unique++] = nums[i];
    for (size_t i = 0; !rc && i < unique; i += BATCH)
        if (!each(user, nums + i, unique - i < BATCH ? unique - i : BATCH))
            break;
    akin_free(nums);
    return rc;
}

akin_status akin_storage_select(akin_storage *s, uint32_t collection,
                                const akin_predicate *predicate,
                                akin_nums_each *each, void *user,
                                akin_error *err)
{
    akin__conn *conn;
    akin__plan *plan = NULL;
    akin_status rc = akin_predicate_check(predicate, err);
    if (!rc) rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__plan_make(conn, collection, predicate, &plan, err);
    if (!rc)
        rc = plan->use_index ? probe(plan, each, user, err)
                             : scan(plan, each, user, err);
    akin__plan_free(plan);
    akin__read_end(s, conn);
    return rc;
}

akin_status akin_storage_select_among(akin_storage *s, uint32_t collection,
                                      const akin_predicate *predicate,
                                      const uint64_t *nums, size_t n,
                                      akin_nums_each *each, void *user,
                                      akin_error *err)
{
    akin__conn *conn;
    bool more = true;
    akin_status rc = akin_predicate_check(predicate, err);
    if (!rc) rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    for (size_t i = 0; i < n && !rc && more; i++) {
        sqlite3_stmt *stmt;
        bool row;
        rc = akin__query(conn, &stmt, err,
                         "SELECT 1 FROM items WHERE num = ?2 AND collection = "
                         "?3 AND akin_match(?1, id, attributes)",
                         "nuu", nums[i], (uint64_t)collection);
        if (rc) break;
        bind_predicate(stmt, predicate);
        rc = akin__step(conn, stmt, &row, err);
        if (!rc && row) more = each(user, &nums[i], 1);
        akin__release(conn, stmt);
    }
    akin__read_end(s, conn);
    return rc;
}

static char *describe(const akin__plan *plan)
{
    akin_buf text = {0};
    unsigned long long items = plan->collection.items;

    if (!plan->use_index) akin_buf_printf(&text, "scan of %llu items", items);
    if (plan->use_index) {
        akin_buf_printf(&text, "index:");
        for (uint32_t i = 0; i < plan->count && i < 16; i++) {
            const akin__probe *p = &plan->probes[plan->first + i];
            akin_buf_printf(&text, " %s (%llu rows)", p->field->path,
                            (unsigned long long)p->rows);
        }
        akin_buf_printf(&text, " of %llu items", items);
    }
    const char *made = akin_buf_cstr(&text);
    char *out = made ? akin_strdup(made) : NULL;
    akin_buf_clear(&text);
    return out;
}

akin_status akin_storage_explain(akin_storage *s, uint32_t collection,
                                 const akin_predicate *predicate, char **out,
                                 akin_error *err)
{
    akin__conn *conn;
    akin__plan *plan = NULL;
    *out = NULL;
    akin_status rc = akin_predicate_check(predicate, err);
    if (!rc) rc = akin__read_begin(s, &conn, err);
    if (rc) return rc;
    rc = akin__plan_make(conn, collection, predicate, &plan, err);
    if (!rc) {
        *out = describe(plan);
        if (!*out) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    akin__plan_free(plan);
    akin__read_end(s, conn);
    return rc;
}
