/* akin dedup -c: the items of a collection behind the files that go. What people
 * said about a copy is merged into the item that is kept (AKIN.MERGE), then the
 * copy's item is removed. The plan, an object in the journal's line, holds both
 * items as they were:
 *
 *   {"collection", "keep": id, "drop": id, "caption", "attributes", "modified",
 *    "before": {"caption", "attributes"}, "after": {...}}
 *
 * caption and attributes are those of the dropped item, before and after those
 * of the kept one; texts, "" for none. */
#include <string.h>
#include <unistd.h>

#include "cli_dedup.h"

#define MOST_BYTES (1u << 30) /* of a picture that is put again */

static const char *at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static akin_status ask(akin_link *link, const akin_words *words,
                       redisReply **out, akin_error *err)
{
    *out = NULL;
    return words->failed
               ? akin_fail(err, AKIN_NOMEM, "no memory")
               : akin_link_call(link, words->argv, words->n, out, err);
}

/* Asks and forgets the answer. */
static akin_status tell(akin_link *link, akin_words *words, akin_error *err)
{
    redisReply *reply;
    akin_status rc = ask(link, words, &reply, err);
    freeReplyObject(reply);
    akin_words_clear(words);
    return rc;
}

static akin_status get_item(akin_link *link, const char *collection,
                            const char *id, redisReply **out, akin_error *err)
{
    akin_words words = {0};
    akin_words_add(&words, "AKIN.GET");
    akin_words_add(&words, collection);
    akin_words_add(&words, id);
    akin_status rc = ask(link, &words, out, err);
    akin_words_clear(&words);
    return rc;
}

/* ---- planning ------------------------------------------------------------------ */

static akin_status ask_merge(akin_link *link, const char *collection,
                             const char *keep, const char *drop, bool dry_run,
                             redisReply **out, akin_error *err)
{
    akin_words words = {0};
    akin_words_add(&words, "AKIN.MERGE");
    akin_words_add(&words, collection);
    if (dry_run) akin_words_add(&words, "DRYRUN");
    akin_words_add(&words, keep);
    akin_words_add(&words, drop);
    akin_status rc = ask(link, &words, out, err);
    akin_words_clear(&words);
    return rc;
}

static json_t *state_json(const redisReply *state)
{
    return json_pack("{s:s, s:s}", "caption", akin_field_text(state, "caption"),
                     "attributes", akin_field_text(state, "attributes"));
}

akin_status akin_dedup_item_plan(akin_link *link, const char *collection,
                                 const akin_item_info *keep,
                                 const akin_item_info *drop, json_t **out,
                                 akin_error *err)
{
    redisReply *merge = NULL, *item = NULL;
    *out = NULL;
    akin_status rc =
        ask_merge(link, collection, keep->id, drop->id, true, &merge, err);
    if (!rc) rc = get_item(link, collection, drop->id, &item, err);
    if (!rc) {
        *out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:o, s:o}",
                         "collection", collection, "keep", keep->id, "drop",
                         drop->id, "caption", akin_field_text(item, "caption"),
                         "attributes", akin_field_text(item, "attributes"),
                         "modified", (json_int_t)drop->modified_ms, "before",
                         state_json(akin_reply_field(merge, "before")), "after",
                         state_json(akin_reply_field(merge, "after")));
        if (!*out) rc = akin_fail(err, AKIN_NOMEM, "no memory for the journal");
    }
    freeReplyObject(merge);
    freeReplyObject(item);
    return rc;
}

/* ---- doing --------------------------------------------------------------------- */

akin_status akin_dedup_item_merge(akin_link *link, const json_t *plan,
                                  akin_error *err)
{
    redisReply *reply = NULL;
    akin_status rc = ask_merge(link, at(plan, "collection"), at(plan, "keep"),
                               at(plan, "drop"), false, &reply, err);
    freeReplyObject(reply);
    return rc;
}

akin_status akin_dedup_item_remove(akin_link *link, const json_t *plan,
                                   akin_error *err)
{
    akin_words words = {0};
    akin_words_add(&words, "VREM");
    akin_words_add(&words, at(plan, "collection"));
    akin_words_add(&words, at(plan, "drop"));
    return tell(link, &words, err);
}

/* ---- taking back ----------------------------------------------------------------- */

static bool same_json(const char *a, const char *b)
{
    if (!strcmp(a, b)) return true;
    json_t *x = json_loads(a, 0, NULL), *y = json_loads(b, 0, NULL);
    bool same = x && y && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

static bool is_state(const redisReply *item, const json_t *state)
{
    return !strcmp(akin_field_text(item, "caption"), at(state, "caption")) &&
           same_json(akin_field_text(item, "attributes"),
                     at(state, "attributes"));
}

akin_status akin_dedup_item_unmerge(akin_link *link, const json_t *plan,
                                    akin_error *err)
{
    const json_t *before = json_object_get(plan, "before");
    const json_t *after = json_object_get(plan, "after");
    const char *collection = at(plan, "collection"), *keep = at(plan, "keep");
    redisReply *item;
    akin_words words = {0};
    akin_status rc = get_item(link, collection, keep, &item, err);
    if (rc) return rc;
    bool there = item->type != REDIS_REPLY_NIL, was = is_state(item, before);
    bool is = is_state(item, after);
    freeReplyObject(item);
    if (!there || was) return AKIN_OK; /* nothing was merged, or no longer */
    if (!is)
        return akin_fail(err, AKIN_EXISTS,
                         "%s was changed since; what was merged into it stays",
                         keep);
    akin_words_add(&words, "VADD");
    akin_words_add(&words, collection);
    akin_words_add(&words, "CAPTION");
    akin_words_add(&words, at(before, "caption"));
    akin_words_add(&words, keep);
    akin_words_add(&words, "SETATTR");
    akin_words_add(&words, at(before, "attributes"));
    return tell(link, &words, err);
}

akin_status akin_dedup_item_restore(akin_link *link, const json_t *plan,
                                    const char *path, akin_error *err)
{
    const char *collection = at(plan, "collection"), *drop = at(plan, "drop");
    uint8_t *bytes;
    size_t size;
    redisReply *item;
    akin_words words = {0};
    akin_status rc = get_item(link, collection, drop, &item, err);
    if (rc) return rc;
    bool there = item->type != REDIS_REPLY_NIL;
    freeReplyObject(item);
    if (there) return AKIN_OK; /* it was not removed yet */
    rc = akin_file_read(path, MOST_BYTES, &bytes, &size, err);
    if (rc) return rc;
    akin_words_add(&words, "VADD");
    akin_words_add(&words, collection);
    akin_words_add(&words, "IMAGE");
    akin_words_bytes(&words, bytes, size);
    akin_words_add(&words, drop);
    akin_words_add(&words, "PATH");
    akin_words_add(&words, path);
    akin_words_add(&words, "MODIFIED");
    akin_words_printf(
        &words, "%lld",
        (long long)json_integer_value(json_object_get(plan, "modified")));
    if (*at(plan, "caption")) {
        akin_words_add(&words, "CAPTION");
        akin_words_add(&words, at(plan, "caption"));
    }
    if (*at(plan, "attributes")) {
        akin_words_add(&words, "SETATTR");
        akin_words_add(&words, at(plan, "attributes"));
    }
    rc = tell(link, &words, err);
    akin_free(bytes);
    return rc;
}
