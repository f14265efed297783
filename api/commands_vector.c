/* The vector-set commands with the syntax and the replies of Redis 8, all but
 * VSIM. A collection is a vector set, an item an element; a missing collection
 * answers as a missing key does there.
 *
 * Of the options of VADD, CAS, NOQUANT, Q8, BIN, EF and M steer how Redis builds
 * its graph in memory. They are read and checked, and change nothing: vectors
 * are kept as float16 and the index is chosen by size. */
#include <math.h>
#include <string.h>

#include "commands.h"

#define MAX_RANDOM 1000000 /* ids one VRANDMEMBER gives */

/* Replaces AKIN_NOT_FOUND by AKIN_OK and says so: for the commands that treat
 * what is missing as empty. */
static bool missing(akin_status *rc)
{
    if (*rc != AKIN_NOT_FOUND) return false;
    *rc = AKIN_OK;
    return true;
}

/* ---- VADD -------------------------------------------------------------------- */

typedef struct {
    char collection[AKIN_NAME_BYTES + 1];
    akin_item_input item;
    float *vector; /* owned */
} vadd;

/* The vector, picture or text that comes before the element. */
static akin_status vadd_source(akin_args *args, vadd *add, akin_error *err)
{
    if (akin_args_word(args, "REDUCE"))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "REDUCE is not supported: vectors are kept at the "
                         "width they come in");
    if (akin_args_word(args, "FP32")) {
        akin_status rc =
            akin_args_fp32(args, &add->vector, &add->item.dim, err);
        add->item.vector = add->vector;
        return rc;
    }
    if (akin_args_word(args, "VALUES")) {
        akin_status rc =
            akin_args_values(args, &add->vector, &add->item.dim, err);
        add->item.vector = add->vector;
        return rc;
    }
    if (akin_args_word(args, "IMAGE"))
        return akin_args_next(args, "the bytes of a picture",
                              &add->item.picture, err);
    if (akin_args_word(args, "TEXT") || akin_args_word(args, "CAPTION"))
        return akin_args_next(args, "words", &add->item.caption, err);
    return akin_fail(err, AKIN_INVALID,
                     "invalid vector specification: expected FP32, VALUES, "
                     "IMAGE, TEXT or CAPTION");
}

static akin_status vadd_option(akin_args *args, vadd *add, akin_error *err)
{
    int64_t n;
    static const char *const words[] = {"CAS", "NOQUANT", "Q8", "BIN"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (akin_args_word(args, words[i])) return AKIN_OK;
    if (akin_args_word(args, "EF"))
        return akin_args_int(args, "EF", 1, 1000000, &n, err);
    if (akin_args_word(args, "M"))
        return akin_args_int(args, "M", 4, 4096, &n, err);
    if (akin_args_word(args, "SETATTR"))
        return akin_args_next(args, "attributes", &add->item.attributes, err);
    if (akin_args_word(args, "CAPTION"))
        return akin_args_next(args, "words", &add->item.caption, err);
    if (akin_args_word(args, "PATH"))
        return akin_args_next(args, "a path", &add->item.path, err);
    if (akin_args_word(args, "DESCRIBE")) {
        add->item.describe = true;
        return AKIN_OK;
    }
    if (akin_args_word(args, "CAPTIONS")) {
        add->item.make_caption = true;
        return akin_args_captions(args, &add->item.captions, err);
    }
    if (akin_args_word(args, "MODIFIED"))
        return akin_args_int(args, "MODIFIED", 0, INT64_MAX / 2,
                             &add->item.modified_ms, err);
    return akin_fail(err, AKIN_INVALID, "invalid option after element");
}

static akin_status vadd_parse(akin_call *c, vadd *add, akin_error *err)
{
    akin_args args = akin_args_of(c, 2);
    akin_status rc = akin_collection_name(c->argv[1], add->collection, err);
    if (!rc) rc = vadd_source(&args, add, err);
    if (!rc) rc = akin_args_next(&args, "an element", &add->item.id, err);
    while (!rc && args.at < args.n)
        rc = vadd_option(&args, add, err);
    return rc;
}

akin_status akin_cmd_vadd(akin_call *c, akin_error *err)
{
    vadd add = {0};
    akin_put_options options = {.create = true};
    akin_put_result result = {0};

    akin_status rc = vadd_parse(c, &add, err);
    if (!rc)
        rc = akin_engine_put(c->service->engine, add.collection, &add.item, 1,
                             &options, &result, err);
    if (!rc && result.status)
        rc = akin_fail(err, result.status, "%s", result.message);
    if (!rc) akin_reply_bool(c->reply, result.outcome == AKIN_PUT_ADDED);
    akin_free(add.vector);
    return rc;
}

/* Where one of several VADDs stands: it may fail by itself. */
typedef struct {
    vadd add;
    akin_status status;
    akin_error error;
    size_t at; /* of the items that are put */
} vadd_one;

static void vadd_reply(akin_reply *reply, const vadd_one *one,
                       akin_status status, const akin_error *error,
                       const akin_put_result *results)
{
    const akin_put_result *result = results + one->at;
    if (one->status)
        akin_reply_error(reply, akin_status_resp(one->status),
                         one->error.message);
    else if (status)
        akin_reply_error(reply, akin_status_resp(status), error->message);
    else if (result->status)
        akin_reply_error(reply, akin_status_resp(result->status),
                         result->message);
    else
        akin_reply_bool(reply, result->outcome == AKIN_PUT_ADDED);
}

void akin_vadd_many(akin_call *calls, size_t n, const char *collection)
{
    vadd_one *all = akin_calloc(n, sizeof *all);
    akin_item_input *items = akin_calloc(n, sizeof *items);
    akin_put_result *results = akin_calloc(n, sizeof *results);
    akin_put_options options = {.create = true};
    akin_status rc = AKIN_OK;
    akin_error err;
    size_t good = 0;

    if (!all || !items || !results) {
        rc = akin_fail(&err, AKIN_NOMEM, "no memory for the elements");
    } else {
        for (size_t i = 0; i < n; i++) {
            vadd_one *one = &all[i];
            one->status = vadd_parse(&calls[i], &one->add, &one->error);
            one->at = good;
            if (!one->status) items[good++] = one->add.item;
        }
        if (good)
            rc = akin_engine_put(calls->service->engine, collection, items,
                                 good, &options, results, &err);
    }
    for (size_t i = 0; i < n; i++) {
        static const vadd_one none;
        static const akin_put_result no_result;
        vadd_reply(calls[i].reply, all ? &all[i] : &none, rc, &err,
                   results ? results : &no_result);
        if (all) akin_free(all[i].add.vector);
    }
    akin_free(all);
    akin_free(items);
    akin_free(results);
}

/* ---- one element --------------------------------------------------------------- */

/* Most commands begin with a collection's name. */
static akin_status first_name(akin_call *c, char name[AKIN_NAME_BYTES + 1],
                              akin_error *err)
{
    return akin_collection_name(c->argv[1], name, err);
}

akin_status akin_cmd_vrem(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    size_t removed = 0;
    akin_status rc = first_name(c, name, err);
    if (!rc)
        rc = akin_engine_remove(c->service->engine, name, &c->argv[2], 1,
                                &removed, err);
    if (missing(&rc)) removed = 0;
    if (!rc) akin_reply_bool(c->reply, removed == 1);
    return rc;
}

akin_status akin_cmd_vismember(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_status rc = first_name(c, name, err);
    if (!rc) rc = akin_engine_exists(c->service->engine, name, c->argv[2], err);
    bool there = rc == AKIN_OK;
    missing(&rc);
    if (!rc) akin_reply_bool(c->reply, there);
    return rc;
}

akin_status akin_cmd_vgetattr(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_item_info item = {0};
    akin_status rc = first_name(c, name, err);
    if (!rc)
        rc = akin_engine_get(c->service->engine, name, c->argv[2], &item, err);
    missing(&rc);
    if (!rc) akin_reply_text(c->reply, item.attributes);
    akin_item_info_clear(&item);
    return rc;
}

akin_status akin_cmd_vsetattr(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_status rc = first_name(c, name, err);
    if (!rc)
        rc = akin_engine_set_attributes(c->service->engine, name, c->argv[2],
                                        c->argv[3], err);
    bool there = rc == AKIN_OK;
    missing(&rc);
    if (!rc) akin_reply_bool(c->reply, there);
    return rc;
}

/* ["fp32", bytes of the unit vector, its length before] as Redis without
 * quantization. */
static void vemb_raw(akin_reply *r, const float *vector, uint32_t dim,
                     float norm)
{
    akin_reply_array(r, 3);
    akin_reply_simple(r, "fp32");
    akin_reply_bulk(r, vector, dim * sizeof *vector);
    akin_reply_double(r, (double)norm);
}

static akin_status vemb_options(akin_call *c, bool *raw,
                                akin_query_space *space, akin_error *err)
{
    akin_args args = akin_args_of(c, 3);
    while (args.at < args.n) {
        if (akin_args_word(&args, "RAW")) {
            *raw = true;
        } else if (akin_args_word(&args, "SPACE")) {
            if (akin_args_word(&args, "IMAGE"))
                *space = AKIN_QUERY_IMAGE;
            else if (akin_args_word(&args, "CAPTION"))
                *space = AKIN_QUERY_CAPTION;
            else
                return akin_fail(err, AKIN_INVALID,
                                 "SPACE is image or caption here");
        } else {
            return akin_fail(err, AKIN_INVALID, "invalid option");
        }
    }
    return AKIN_OK;
}

akin_status akin_cmd_vemb(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    bool raw = false;
    akin_query_space space = AKIN_QUERY_AUTO;
    float *vector = NULL, norm = 1;
    uint32_t dim = 0;

    akin_status rc = first_name(c, name, err);
    if (!rc) rc = vemb_options(c, &raw, &space, err);
    if (!rc)
        rc = akin_engine_vector(c->service->engine, name, c->argv[2], space,
                                &vector, &dim, &norm, err);
    if (missing(&rc)) {
        akin_reply_null(c->reply);
    } else if (!rc && raw) {
        vemb_raw(c->reply, vector, dim, norm);
    } else if (!rc) {
        akin_reply_array(c->reply, dim);
        for (uint32_t i = 0; i < dim; i++)
            akin_reply_float(c->reply, vector[i] * norm);
    }
    akin_free(vector);
    return rc;
}

/* ---- the whole set ------------------------------------------------------------- */

akin_status akin_cmd_vcard(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    uint64_t n = 0;
    akin_status rc = first_name(c, name, err);
    if (!rc)
        rc = akin_engine_count(c->service->engine, name, (akin_filter){0}, &n,
                               err);
    missing(&rc);
    if (!rc) akin_reply_int(c->reply, (int64_t)n);
    return rc;
}

/* info is large; *out is for akin_free. */
static akin_status collection_info(akin_call *c, akin_collection_info **out,
                                   akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_status rc = first_name(c, name, err);
    *out = NULL;
    if (rc) return rc;
    *out = akin_calloc(1, sizeof **out);
    if (!*out) return akin_fail(err, AKIN_NOMEM, "no memory for the answer");
    return akin_engine_info(c->service->engine, name, *out, err);
}

akin_status akin_cmd_vdim(akin_call *c, akin_error *err)
{
    akin_collection_info *info;
    akin_status rc = collection_info(c, &info, err);
    if (rc == AKIN_NOT_FOUND)
        akin_fail(err, rc, "key does not exist");
    else if (!rc)
        akin_reply_int(c->reply, info->dim);
    akin_free(info);
    return rc;
}

static void info_row(akin_reply *r, const char *name, uint64_t value)
{
    akin_reply_simple(r, name);
    akin_reply_int(r, (int64_t)value);
}

akin_status akin_cmd_vinfo(akin_call *c, akin_error *err)
{
    akin_collection_info *info;
    akin_reply *r = c->reply;
    akin_status rc = collection_info(c, &info, err);
    if (missing(&rc)) {
        akin_reply_null_array(r);
    } else if (!rc) {
        const akin_space_info *space =
            info->image.vectors ? &info->image : &info->caption;
        uint64_t n = space->vectors ? space->vectors : 1;
        akin_reply_map(r, 11);
        akin_reply_simple(r, "quant-type");
        akin_reply_simple(r, "fp16");
        info_row(r, "hnsw-m", 0); /* there is no graph */
        info_row(r, "vector-dim", info->dim);
        info_row(r, "projection-input-dim", 0);
        info_row(r, "size", info->items);
        info_row(r, "max-level", 0);
        info_row(r, "vset-uid", (uint64_t)info->created_ms);
        info_row(r, "hnsw-max-node-uid", info->sequence);
        akin_reply_simple(r, "index");
        akin_reply_simple(r, space->kind);
        info_row(r, "memory-bytes-per-vector", space->memory_bytes / n);
        info_row(r, "disk-bytes-per-vector", space->disk_bytes / n);
    }
    akin_free(info);
    return rc;
}

static void reply_ids(akin_reply *r, const akin_ids *ids)
{
    akin_reply_array(r, ids->n);
    for (size_t i = 0; i < ids->n; i++)
        akin_reply_text(r, ids->ids[i]);
}

akin_status akin_cmd_vrandmember(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    int64_t n = 1;
    akin_ids ids = {0};
    bool counted = c->argc == 3;

    if (c->argc > 3)
        return akin_fail(err, AKIN_INVALID,
                         "wrong number of arguments for 'vrandmember' command");
    if (counted && (!akin_span_int(c->argv[2], &n) || n < -MAX_RANDOM ||
                    n > INT64_MAX / 2))
        return akin_fail(err, AKIN_INVALID,
                         "COUNT value is not an integer or too large");
    if (n > MAX_RANDOM) n = MAX_RANDOM;
    akin_status rc = first_name(c, name, err);
    if (!rc && n)
        rc = akin_engine_random(c->service->engine, name,
                                (size_t)(n < 0 ? -n : n), n > 0, &ids, err);
    missing(&rc);
    if (!rc && counted)
        reply_ids(c->reply, &ids);
    else if (!rc)
        akin_reply_text(c->reply, ids.n ? ids.ids[0] : NULL);
    akin_ids_clear(&ids);
    return rc;
}

/* ---- VRANGE -------------------------------------------------------------------- */

/* "-", "+", "[id" or "(id"; open: the sign this end may have. */
static bool range_end(akin_span text, char open, akin_span *id, bool *exclusive,
                      bool *wrong_sign)
{
    const char *s = text.data;
    *id = (akin_span){0};
    *exclusive = false;
    if (text.size == 1 && (*s == '-' || *s == '+')) {
        *wrong_sign = *s != open;
        return true;
    }
    if (text.size < 2 || (*s != '[' && *s != '(')) return false;
    *id = (akin_span){s + 1, text.size - 1};
    *exclusive = *s == '(';
    return true;
}

static akin_status vrange_parse(akin_call *c, akin_range *range, int64_t *count,
                                akin_error *err)
{
    bool wrong = false, wrong_end = false;
    if (c->argc > 5)
        return akin_fail(err, AKIN_INVALID,
                         "wrong number of arguments for 'vrange' command");
    if (c->argc == 5 && !akin_span_int(c->argv[4], count))
        return akin_fail(err, AKIN_INVALID, "invalid COUNT value");
    if (!range_end(c->argv[2], '-', &range->start, &range->after_start, &wrong))
        return akin_fail(err, AKIN_INVALID, "invalid start range format");
    if (!range_end(c->argv[3], '+', &range->end, &range->before_end,
                   &wrong_end))
        return akin_fail(err, AKIN_INVALID, "invalid end range format");
    if (wrong || wrong_end)
        return akin_fail(err, AKIN_INVALID,
                         "'-' can only be used as first argument, '+' only as "
                         "second");
    return AKIN_OK;
}

/* Appends ids, a page at a time, until the range ends, `left` are there, or the
 * reply is as large as it may be: then ids->out.failed. */
static akin_status vrange_pages(akin_call *c, const char *name,
                                akin_range range, uint64_t left,
                                akin_reply *ids, size_t *n, akin_error *err)
{
    akin_status rc = AKIN_OK;
    char last[AKIN_ID_BYTES + 1];
    while (left && !rc && !ids->out.failed) {
        akin_ids page = {0};
        range.limit = left < AKIN_QUERY_MAX_K ? (size_t)left : AKIN_QUERY_MAX_K;
        rc = akin_engine_range(c->service->engine, name, &range, &page, err);
        for (size_t i = 0; i < page.n; i++)
            akin_reply_text(ids, page.ids[i]);
        *n += page.n;
        left -= page.n;
        bool more = !rc && page.n == range.limit;
        if (more) {
            size_t size = strlen(page.ids[page.n - 1]);
            if (size > AKIN_ID_BYTES) size = AKIN_ID_BYTES;
            memcpy(last, page.ids[page.n - 1], size);
            range.start = (akin_span){last, size};
            range.after_start = true;
        }
        akin_ids_clear(&page);
        if (!more) break;
    }
    return rc;
}

akin_status akin_cmd_vrange(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_range range = {0};
    int64_t count = -1;
    size_t n = 0;
    akin_reply ids = {.out = {.limit = c->reply->out.limit},
                      .proto = c->reply->proto};

    akin_status rc = first_name(c, name, err);
    if (!rc) rc = vrange_parse(c, &range, &count, err);
    if (!rc)
        rc = vrange_pages(c, name, range,
                          count < 0 ? UINT64_MAX : (uint64_t)count, &ids, &n,
                          err);
    missing(&rc);
    if (!rc) {
        akin_reply_array(c->reply, n);
        akin_buf_append(&c->reply->out, ids.out.data, ids.out.size);
        if (ids.out.failed) c->reply->out.failed = true;
    }
    akin_buf_clear(&ids.out);
    return rc;
}
