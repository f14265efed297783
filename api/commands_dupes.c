/* Groups of duplicates, and pairs that are none. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"

#define MAX_PREFER 64

static void row_text(akin_reply *r, const char *name, const char *value)
{
    akin_reply_text(r, name);
    akin_reply_text(r, value);
}

static void row_real(akin_reply *r, const char *name, float value)
{
    akin_reply_text(r, name);
    if (isnan(value))
        akin_reply_null(r);
    else
        akin_reply_float(r, value);
}

/* ---- AKIN.DUPES ------------------------------------------------------------------ */

typedef struct {
    char collection[AKIN_NAME_BYTES + 1];
    akin_dupe_query query;
    const char *prefer[MAX_PREFER];
} question;

static akin_status read_option(akin_args *args, question *q, akin_error *err)
{
    akin_span word;
    int64_t n = 0;
    akin_status rc = AKIN_OK;
    if (akin_args_word(args, "LEVEL")) {
        char level[16];
        rc = akin_args_next(args, "a level", &word, err);
        if (rc) return rc;
        snprintf(level, sizeof level, "%.*s",
                 (int)(word.size < 15 ? word.size : 15),
                 (const char *)word.data);
        if (!akin_level_parse(level, &q->query.level))
            rc = akin_fail(err, AKIN_INVALID,
                           "LEVEL is exact, near or similar, not '%s'", level);
    } else if (akin_args_word(args, "COUNT")) {
        rc = akin_args_int(args, "COUNT", 1, AKIN_DUPES_MAX, &n, err);
        q->query.count = (uint32_t)n;
    } else if (akin_args_word(args, "CURSOR")) {
        rc = akin_args_int(args, "CURSOR", 0, INT64_MAX, &n, err);
        q->query.cursor = (uint64_t)n;
    } else if (akin_args_word(args, "PREFER")) {
        rc = akin_args_next(args, "the beginning of a path", &word, err);
        if (!rc &&
            (q->query.nprefer == MAX_PREFER || memchr(word.data, 0, word.size)))
            rc =
                akin_fail(err, AKIN_INVALID,
                          "more than %d PREFER, or one with a NUL", MAX_PREFER);
        if (!rc) q->prefer[q->query.nprefer++] = word.data;
    } else if (akin_args_word(args, "KEEP")) {
        rc = akin_args_next(args, "rules to keep by", &word, err);
        if (!rc && memchr(word.data, 0, word.size))
            rc = akin_fail(err, AKIN_INVALID, "KEEP with a NUL");
        if (!rc) q->query.keep = word.data;
    } else {
        rc = akin_bad_option(args->argv[args->at], err);
    }
    return rc;
}

static void reply_member(akin_reply *r, const akin_dupe_group *g, size_t i)
{
    const akin_dupe_member *m = &g->members[i];
    akin_reply_map(r, 16);
    row_text(r, "id", m->item.id);
    row_text(r, "path", m->item.path);
    row_text(r, "format", m->item.format);
    akin_reply_row_int(r, "width", m->item.width);
    akin_reply_row_int(r, "height", m->item.height);
    akin_reply_row_int(r, "bytes", m->item.picture_bytes);
    akin_reply_row_int(r, "modified", (uint64_t)m->item.modified_ms);
    row_text(r, "hash", *m->item.hash ? m->item.hash : NULL);
    akin_reply_row_int(r, "keep", i == g->keep);
    row_text(r, "level", m->beside == i ? NULL : akin_level_text(m->level));
    row_text(r, "beside",
             m->beside == i ? NULL : g->members[m->beside].item.id);
    row_text(r, "same",
             m->same_bytes    ? "bytes"
             : m->same_pixels ? "pixels"
                              : NULL);
    akin_reply_text(r, "distance");
    if (m->distance == UINT32_MAX)
        akin_reply_null(r);
    else
        akin_reply_int(r, m->distance);
    row_real(r, "similarity", m->similarity);
    row_real(r, "cosine", m->cosine);
    akin_reply_row_int(r, "turn", m->turn);
}

static void reply_page(akin_reply *r, const akin_dupe_page *page)
{
    akin_reply_map(r, 3);
    akin_reply_row_int(r, "cursor", page->cursor);
    akin_reply_row_int(r, "pending", page->pending);
    akin_reply_text(r, "groups");
    akin_reply_array(r, page->n);
    for (size_t i = 0; i < page->n; i++) {
        const akin_dupe_group *g = &page->groups[i];
        akin_reply_map(r, 4);
        row_text(r, "level", akin_level_text(g->level));
        row_text(r, "keep", g->members[g->keep].item.id);
        row_text(r, "why", g->why);
        akin_reply_text(r, "members");
        akin_reply_array(r, g->n);
        for (size_t m = 0; m < g->n; m++)
            reply_member(r, g, m);
    }
}

akin_status akin_cmd_dupes(akin_call *c, akin_error *err)
{
    akin_args args = akin_args_of(c, 2);
    question q = {.query.level = AKIN_LEVEL_NEAR};
    akin_dupe_page page;
    akin_status rc = akin_collection_name(c->argv[1], q.collection, err);

    q.query.prefer = q.prefer;
    while (!rc && args.at < args.n)
        rc = read_option(&args, &q, err);
    if (!rc)
        rc = akin_engine_dupes(c->service->engine, q.collection, &q.query,
                               &page, err);
    if (rc) return rc;
    reply_page(c->reply, &page);
    akin_dupe_page_clear(&page);
    return AKIN_OK;
}

/* ---- AKIN.DISMISS ---------------------------------------------------------------- */

akin_status akin_cmd_dismiss(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_status rc = akin_collection_name(c->argv[1], name, err);
    akin_args args = akin_args_of(c, 2);
    bool undo = args.n - args.at > 2 && akin_args_word(&args, "UNDO");

    if (!rc)
        rc = akin_engine_dismiss(c->service->engine, name, args.argv + args.at,
                                 args.n - args.at, undo, err);
    if (!rc) akin_reply_simple(c->reply, "OK");
    return rc;
}

/* ---- AKIN.MERGE ------------------------------------------------------------------ */

static void reply_state(akin_reply *r, const char *name, const char *caption,
                        const char *attributes)
{
    akin_reply_text(r, name);
    akin_reply_map(r, 2);
    row_text(r, "caption", *caption ? caption : NULL);
    row_text(r, "attributes", *attributes ? attributes : NULL);
}

akin_status akin_cmd_merge(akin_call *c, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_merge merge = {0};
    akin_status rc = akin_collection_name(c->argv[1], name, err);
    akin_args args = akin_args_of(c, 2);
    bool dry = args.n - args.at > 2 && akin_args_word(&args, "DRYRUN");

    if (!rc)
        rc = akin_engine_merge(c->service->engine, name, args.argv[args.at],
                               args.argv + args.at + 1, args.n - args.at - 1,
                               dry, &merge, err);
    if (rc) return rc;
    akin_reply_map(c->reply, 3);
    akin_reply_row_int(c->reply, "changed", merge.changed);
    reply_state(c->reply, "before", merge.caption_before,
                merge.attributes_before);
    reply_state(c->reply, "after", merge.caption, merge.attributes);
    akin_merge_clear(&merge);
    return AKIN_OK;
}
