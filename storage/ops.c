/* Operations on collections and jobs, and the dispatch of all operations. */
#include "internal.h"

#include <string.h>

static akin_status check_model(const akin_write *op, akin_error *err)
{
    if (!op->model) return AKIN_OK;
    if (op->dim < 1 || op->dim > AKIN_MAX_DIM)
        return akin_fail(err, AKIN_INVALID, "expected 1..%d dimensions, got %u",
                         AKIN_MAX_DIM, op->dim);
    return akin__check_text(op->model_path, AKIN_MAX_PATH_BYTES, "model path",
                            err);
}

static akin_status check_json(akin__writing *w, akin_span json,
                              const char *what, akin_error *err)
{
    if (!json.data) return AKIN_OK;
    return akin__check_object(w->conn, json, AKIN_MAX_SETTINGS_BYTES, what,
                              err);
}

/* ---- collections --------------------------------------------------------- */

static akin_status op_create(akin__writing *w, const akin_write *op,
                             akin_write_result *result, akin_error *err)
{
    int64_t there;
    akin_status rc = akin__check_name(op->name, err);
    if (!rc) rc = check_json(w, op->settings, "settings", err);
    if (!rc) rc = check_model(op, err);
    if (!rc)
        rc = akin__one(w->conn, &there, NULL, err,
                       "SELECT (SELECT count(*) FROM collections"
                       "  WHERE name = ?1)"
                       " + (SELECT count(*) FROM aliases WHERE alias = ?1)",
                       "t", op->name);
    if (rc) return rc;
    if (there)
        return akin_fail(err, AKIN_EXISTS,
                         "collection or alias \"%.*s\" exists",
                         (int)op->name.size, (const char *)op->name.data);
    result->seq = akin__next_seq(w);
    rc =
        akin__run(w->conn, err,
                  "INSERT INTO collections(name, settings, seq, created, model,"
                  " dim, model_path) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                  "ttuihut", op->name,
                  op->settings.data ? op->settings : akin_span_of("{}"),
                  result->seq, w->now_ms, op->model,
                  op->model ? (uint64_t)op->dim : (uint64_t)0, op->model_path);
    if (rc) return rc;
    result->num = (uint64_t)sqlite3_last_insert_rowid(w->conn->db);
    result->outcome = AKIN_CREATED;
    if (result->num > UINT32_MAX)
        return akin_fail(err, AKIN_TOO_LARGE, "no collection numbers are left");
    return AKIN_OK;
}

static akin_status op_change(akin__writing *w, const akin_write *op,
                             akin_write_result *result, akin_error *err)
{
    akin__collection c;
    uint64_t collection = op->collection;
    akin_status rc = akin__collection_row(w->conn, op->collection, &c, err);
    if (!rc) rc = check_json(w, op->settings, "settings", err);
    if (!rc) rc = check_model(op, err);
    if (rc) return rc;
    if (op->swap && !op->model && !c.present[1])
        return akin_fail(err, AKIN_NOT_FOUND,
                         "collection %u has no other model to change to",
                         op->collection);
    if (op->model && c.present[0] &&
        !memcmp(op->model, c.model[0], AKIN_HASH_BYTES))
        return akin_fail(err, AKIN_EXISTS,
                         "this is collection %u's current model",
                         op->collection);
    result->num = op->collection;
    result->seq = akin__next_seq(w);
    result->outcome = AKIN_UPDATED;
    if (op->settings.data)
        rc = akin__run(w->conn, err,
                       "UPDATE collections SET settings = ?1"
                       " WHERE collection = ?2",
                       "tu", op->settings, collection);
    if (!rc && op->model)
        rc = akin__run(
            w->conn, err,
            "UPDATE collections SET other_model = ?1, other_dim = ?2,"
            " other_path = ?3 WHERE collection = ?4",
            "hutu", op->model, (uint64_t)op->dim, op->model_path, collection);
    if (!rc && op->swap)
        rc = akin__run(w->conn, err,
                       "UPDATE collections SET model = other_model,"
                       " dim = other_dim, model_path = other_path,"
                       " other_model = model, other_dim = dim,"
                       " other_path = model_path WHERE collection = ?1",
                       "u", collection);
    if (!rc)
        rc = akin__run(w->conn, err,
                       "UPDATE collections SET seq = ?1 WHERE collection = ?2",
                       "uu", result->seq, collection);
    return rc;
}

/* The rows go later, slice by slice (sweep.c); the name is free at once. */
static akin_status op_drop(akin__writing *w, const akin_write *op,
                           akin_write_result *result, akin_error *err)
{
    akin__collection c;
    char sql[64];
    uint64_t collection = op->collection;
    akin_status rc = akin__collection_row(w->conn, op->collection, &c, err);
    if (rc) return rc;
    result->num = collection;
    result->seq = akin__next_seq(w);
    result->outcome = AKIN_UPDATED;
    rc = akin__run(w->conn, err,
                   "UPDATE collections SET name = NULL, seq = ?1, items = 0,"
                   " captions = 0 WHERE collection = ?2",
                   "uu", result->seq, collection);
    if (!rc)
        rc = akin__run(w->conn, err,
                       "UPDATE spaces SET collection = NULL"
                       " WHERE collection = ?1",
                       "u", collection);
    if (!rc)
        rc =
            akin__run(w->conn, err, "DELETE FROM aliases WHERE collection = ?1",
                      "u", collection);
    if (!rc && c.captions) {
        sqlite3_snprintf((int)sizeof sql, sql, "DROP TABLE captions_%u",
                         op->collection);
        rc = akin__run(w->conn, err, sql, "");
    }
    return rc ? rc : akin__fields_drop(w->conn, op->collection, err);
}

static akin_status op_replace(akin__writing *w, const akin_write *op,
                              akin_write_result *result, akin_error *err)
{
    static const char hidden[] = {AKIN_HIDDEN, 0};
    akin__collection c;
    akin_status rc = akin__check_name(op->name, err);

    if (!rc) rc = akin__collection_row(w->conn, op->collection, &c, err);
    if (!rc && op->num)
        rc = akin__run(w->conn, err,
                       "UPDATE aliases SET collection = ?1"
                       " WHERE collection = ?2",
                       "uu", (uint64_t)op->collection, op->num);
    if (!rc && op->num)
        rc = akin__run(w->conn, err,
                       "UPDATE collections SET name = ?1 || collection"
                       " WHERE collection = ?2",
                       "tu", akin_span_of(hidden), op->num);
    if (rc) return rc;
    result->num = op->collection;
    result->seq = akin__next_seq(w);
    result->outcome = AKIN_UPDATED;
    return akin__run(w->conn, err,
                     "UPDATE collections SET name = ?1, seq = ?2"
                     " WHERE collection = ?3",
                     "tuu", op->name, result->seq, (uint64_t)op->collection);
}

static akin_status op_trim(akin__writing *w, const akin_write *op,
                           akin_write_result *result, akin_error *err)
{
    akin__collection c;
    akin_status rc = akin__collection_row(w->conn, op->collection, &c, err);
    if (rc) return rc;
    result->num = op->collection;
    if (op->seq <= c.trimmed_seq) return AKIN_OK;
    rc = akin__run(w->conn, err,
                   "DELETE FROM removals WHERE seq <= ?1 AND space IN"
                   " (SELECT space FROM spaces WHERE collection = ?2)",
                   "uu", op->seq, (uint64_t)op->collection);
    if (!rc)
        rc = akin__run(w->conn, err,
                       "UPDATE collections SET trimmed = ?1"
                       " WHERE collection = ?2",
                       "uu", op->seq, (uint64_t)op->collection);
    result->outcome = AKIN_UPDATED;
    return rc;
}

static akin_status op_forget(akin__writing *w, const akin_write *op,
                             akin_write_result *result, akin_error *err)
{
    akin__collection c;
    if (!op->model) return akin_fail(err, AKIN_INVALID, "no model given");
    akin_status rc = akin__collection_row(w->conn, op->collection, &c, err);
    if (rc) return rc;
    if (c.present[0] && !memcmp(op->model, c.model[0], AKIN_HASH_BYTES))
        return akin_fail(err, AKIN_INVALID, "collection %u uses this model now",
                         op->collection);
    result->num = op->collection;
    result->seq = akin__next_seq(w);
    result->outcome = AKIN_UPDATED;
    rc = akin__run(w->conn, err,
                   "UPDATE spaces SET collection = NULL"
                   " WHERE collection = ?1 AND model = ?2",
                   "uh", (uint64_t)op->collection, op->model);
    if (!rc)
        rc = akin__run(w->conn, err,
                       "UPDATE collections SET other_model = NULL,"
                       " other_dim = 0, other_path = NULL"
                       " WHERE collection = ?1 AND other_model = ?2",
                       "uh", (uint64_t)op->collection, op->model);
    return rc;
}

/* ---- jobs ---------------------------------------------------------------- */

/* Those long before `newest` that do not run. */
static akin_status forget_jobs(akin__writing *w, uint64_t newest,
                               akin_error *err)
{
    if (newest <= AKIN_MAX_JOBS) return AKIN_OK;
    akin_status rc =
        akin__run(w->conn, err,
                  "DELETE FROM job_errors WHERE job IN (SELECT job FROM jobs"
                  " WHERE job <= ?1 AND state <> 0)",
                  "u", newest - AKIN_MAX_JOBS);
    return rc ? rc
              : akin__run(w->conn, err,
                          "DELETE FROM jobs WHERE job <= ?1 AND state <> 0",
                          "u", newest - AKIN_MAX_JOBS);
}

static akin_status op_job(akin__writing *w, const akin_write *op,
                          akin_write_result *result, akin_error *err)
{
    akin_status rc = akin__check_name(op->name, err);
    if (!rc) rc = check_json(w, op->settings, "parameters", err);
    if (rc) return rc;
    rc = akin__run(w->conn, err,
                   "INSERT INTO jobs(kind, collection, state, parameters,"
                   " progress, message, created, changed)"
                   " VALUES(?1, ?2, 0, ?3, '{}', '', ?4, ?4)",
                   "tuti", op->name, (uint64_t)op->collection,
                   op->settings.data ? op->settings : akin_span_of("{}"),
                   w->now_ms);
    result->num = (uint64_t)sqlite3_last_insert_rowid(w->conn->db);
    result->outcome = AKIN_CREATED;
    return rc ? rc : forget_jobs(w, result->num, err);
}

static akin_status find_job(akin__writing *w, uint64_t job, int64_t *errors,
                            akin_error *err)
{
    bool found;
    akin_status rc =
        akin__one(w->conn, errors, &found, err,
                  "SELECT errors FROM jobs WHERE job = ?1", "u", job);
    if (!rc && !found)
        rc = akin_fail(err, AKIN_NOT_FOUND, "no job %llu",
                       (unsigned long long)job);
    return rc;
}

static akin_status op_job_set(akin__writing *w, const akin_write *op,
                              akin_write_result *result, akin_error *err)
{
    int64_t errors;
    if ((unsigned)op->state >= AKIN_JOB_STATES)
        return akin_fail(err, AKIN_INVALID, "no job state %u",
                         (unsigned)op->state);
    akin_status rc = find_job(w, op->job, &errors, err);
    if (!rc) rc = check_json(w, op->progress, "progress", err);
    if (!rc)
        rc = akin__check_text(op->message, AKIN_MAX_SETTINGS_BYTES, "message",
                              err);
    if (rc) return rc;
    result->num = op->job;
    result->outcome = AKIN_UPDATED;
    return akin__run(w->conn, err,
                     "UPDATE jobs SET state = ?1, changed = ?2,"
                     " progress = coalesce(?3, progress),"
                     " message = coalesce(?4, message) WHERE job = ?5",
                     "iittu", (int64_t)op->state, w->now_ms, op->progress,
                     op->message, op->job);
}

static akin_status op_job_error(akin__writing *w, const akin_write *op,
                                akin_write_result *result, akin_error *err)
{
    int64_t errors;
    akin_span item = {"", 0};
    if (op->item && op->item->id.data)
        item = op->item->id;
    else if (op->item && op->item->source.data)
        item = op->item->source;
    akin_status rc = find_job(w, op->job, &errors, err);
    if (!rc)
        rc = akin__check_text(op->message, AKIN_ERROR_BYTES, "message", err);
    if (!rc && item.size > AKIN_MAX_PATH_BYTES)
        rc = akin_fail(err, AKIN_TOO_LARGE,
                       "item of %zu bytes, expected at most %d", item.size,
                       AKIN_MAX_PATH_BYTES);
    if (rc) return rc;
    result->num = op->job;
    result->outcome = AKIN_UPDATED;
    rc = akin__run(w->conn, err,
                   "UPDATE jobs SET errors = errors + 1, changed = ?1"
                   " WHERE job = ?2",
                   "iu", w->now_ms, op->job);
    if (rc || errors >= AKIN_MAX_JOB_ERRORS) return rc;
    return akin__run(w->conn, err,
                     "INSERT INTO job_errors(job, n, item, message)"
                     " VALUES(?1, ?2, ?3, ?4)",
                     "uibt", op->job, errors, item,
                     op->message.data ? op->message : akin_span_of(""));
}

/* ---- dispatch ------------------------------------------------------------ */

akin_status akin__op(akin__writing *w, const akin_write *op,
                     akin_write_result *result, akin_error *err)
{
    switch (op->kind) {
    case AKIN_WRITE_AUDIT: return akin__op_audit(w, op, result, err);
    case AKIN_WRITE_PUT: return akin__op_put(w, op, result, err);
    case AKIN_WRITE_REMOVE: return akin__op_remove(w, op, result, err);
    case AKIN_WRITE_VECTOR: return akin__op_vector(w, op, result, err);
    case AKIN_WRITE_CREATE: return op_create(w, op, result, err);
    case AKIN_WRITE_CHANGE: return op_change(w, op, result, err);
    case AKIN_WRITE_DROP: return op_drop(w, op, result, err);
    case AKIN_WRITE_TRIM: return op_trim(w, op, result, err);
    case AKIN_WRITE_FORGET: return op_forget(w, op, result, err);
    case AKIN_WRITE_FIELD: return akin__op_field(w, op, result, err);
    case AKIN_WRITE_JOB: return op_job(w, op, result, err);
    case AKIN_WRITE_JOB_SET: return op_job_set(w, op, result, err);
    case AKIN_WRITE_JOB_ERROR: return op_job_error(w, op, result, err);
    case AKIN_WRITE_DUPES: return akin__op_dupes(w, op, result, err);
    case AKIN_WRITE_DISMISS: return akin__op_dismiss(w, op, result, err);
    case AKIN_WRITE_UNFIELD: return akin__op_unfield(w, op, result, err);
    case AKIN_WRITE_ALIASES: return akin__op_aliases(w, op, result, err);
    case AKIN_WRITE_IMPORT: return akin__op_import(w, op, result, err);
    case AKIN_WRITE_REPLACE: return op_replace(w, op, result, err);
    }
    if (op->kind == AKIN__WRITE_CHECK_TEXT)
        return akin__caption_check(w->conn, op->collection, err);
    return akin_fail(err, AKIN_INVALID, "no operation %u", (unsigned)op->kind);
}
