/* akin dedup: reading folders, and groups from the engine of their index or, of
 * a collection, over a link. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli_dedup.h"

#define MOST_PREFER 64
#define FROM_ENGINE 500 /* groups a page */
#define FROM_LINK   "100"
#define MOST_ROUNDS 8 /* of recalling what was dismissed */

bool akin_dedup_level(const akin_cli *cli, akin_level *out)
{
    return akin_level_parse(akin_cli_value(cli, "level", "near"), out);
}

/* ---- files --------------------------------------------------------------------- */

static bool show_progress(void *user, const akin_progress *p)
{
    akin_bar_show(user, p, false);
    return !akin_cli_interrupted();
}

static void print_failure(const akin_failure *f)
{
    akin_buf path = {0};
    akin_item_info item = {.path = f->what};
    akin_dedup_path(&path, &item);
    const char *text = akin_buf_cstr(&path);
    fprintf(stderr, "%s: %s\n", text ? text : "?", f->message);
    akin_buf_clear(&path);
}

akin_status akin_dedup_read(akin_dedup *d, akin_error *err)
{
    akin_bar bar;
    akin_ingest what = {.paths = (const char *const *)d->cli->argv,
                        .npaths = (size_t)d->cli->argc,
                        .flat = akin_cli_has(d->cli, "flat"),
                        .hidden = akin_cli_has(d->cli, "hidden"),
                        .captions = AKIN_CAPTION_NONE,
                        .prune = true,
                        .whole_paths = true};
    akin_bar_init(&bar, d->cli, "reading");
    akin_status rc = akin_engine_ingest(d->engine, d->collection, &what,
                                        show_progress, &bar, &d->report, err);
    akin_bar_show(&bar, &d->report.progress, true);
    for (size_t i = 0; i < d->report.nfailures; i++)
        print_failure(&d->report.failures[i]);
    d->pictures = d->report.progress.done - d->report.progress.failed;
    return rc;
}

/* ---- pages ----------------------------------------------------------------------- */

static akin_status engine_page(akin_dedup *d, uint64_t cursor,
                               akin_dupe_page *out, akin_error *err)
{
    const char *prefer[MOST_PREFER];
    akin_dupe_query query = {.count = FROM_ENGINE,
                             .cursor = cursor,
                             .prefer = prefer,
                             .keep = akin_cli_value(d->cli, "keep", NULL)};
    if (!akin_dedup_level(d->cli, &query.level))
        return akin_fail(err, AKIN_INVALID, "no such level");
    for (size_t i = 0; i < d->cli->ngiven && query.nprefer < MOST_PREFER; i++)
        if (!strcmp(d->cli->given[i].name, "prefer"))
            prefer[query.nprefer++] = d->cli->given[i].value;
    return akin_engine_dupes(d->engine, d->collection, &query, out, err);
}

static char *text_of(const redisReply *map, const char *key)
{
    const redisReply *value = akin_reply_field(map, key);
    return value && value->type == REDIS_REPLY_STRING
               ? akin_strndup(value->str, (size_t)value->len)
               : NULL;
}

static float real_of(const redisReply *map, const char *key)
{
    return (float)akin_field_real(map, key);
}

/* AKIN_LEVEL_EXACT for a word that is none: a centre has no level. */
static akin_level level_of(const redisReply *map)
{
    akin_level level;
    return akin_level_parse(akin_field_text(map, "level"), &level)
               ? level
               : AKIN_LEVEL_EXACT;
}

static void read_member(const redisReply *map, akin_dupe_member *m)
{
    const redisReply *distance = akin_reply_field(map, "distance");
    const char *same = akin_field_text(map, "same");
    m->item = (akin_item_info){
        .id = text_of(map, "id"),
        .path = text_of(map, "path"),
        .format = text_of(map, "format"),
        .modified_ms = akin_field_int(map, "modified"),
        .picture_bytes = (uint64_t)akin_field_int(map, "bytes"),
        .width = (uint32_t)akin_field_int(map, "width"),
        .height = (uint32_t)akin_field_int(map, "height"),
        .has_image = true};
    snprintf(m->item.hash, sizeof m->item.hash, "%s",
             akin_field_text(map, "hash"));
    m->level = level_of(map);
    m->same_bytes = !strcmp(same, "bytes");
    m->same_pixels = !strcmp(same, "pixels");
    m->distance = distance && distance->type == REDIS_REPLY_INTEGER
                      ? (uint32_t)distance->integer
                      : UINT32_MAX;
    m->similarity = real_of(map, "similarity");
    m->cosine = real_of(map, "cosine");
    m->turn = (uint32_t)akin_field_int(map, "turn");
}

static bool read_group(const redisReply *map, akin_dupe_group *g)
{
    const redisReply *members = akin_reply_field(map, "members");
    size_t n = members ? members->elements : 0;
    g->members = akin_calloc(n + 1, sizeof *g->members);
    if (!g->members) return false;
    g->level = level_of(map);
    snprintf(g->why, sizeof g->why, "%s", akin_field_text(map, "why"));
    for (size_t i = 0; i < n; i++) {
        read_member(members->element[i], &g->members[g->n++]);
        if (!g->members[i].item.id) return false;
        if (akin_field_int(members->element[i], "keep")) g->keep = i;
    }
    for (size_t i = 0; i < n; i++) {
        const char *beside = akin_field_text(members->element[i], "beside");
        g->members[i].beside = i;
        for (size_t j = 0; j < n && *beside; j++)
            if (!strcmp(g->members[j].item.id, beside))
                g->members[i].beside = j;
    }
    return n > 0;
}

static akin_status read_page(const redisReply *reply, akin_dupe_page *out,
                             akin_error *err)
{
    const redisReply *groups = akin_reply_field(reply, "groups");
    size_t n = groups ? groups->elements : 0;
    out->cursor = (uint64_t)akin_field_int(reply, "cursor");
    out->pending = (uint64_t)akin_field_int(reply, "pending");
    out->groups = akin_calloc(n + 1, sizeof *out->groups);
    if (!out->groups) return akin_fail(err, AKIN_NOMEM, "no memory");
    for (size_t i = 0; i < n; i++)
        if (!read_group(groups->element[i], &out->groups[out->n++]))
            return akin_fail(err, AKIN_NOMEM, "no memory for a group");
    return AKIN_OK;
}

static akin_status link_page(akin_dedup *d, uint64_t cursor,
                             akin_dupe_page *out, akin_error *err)
{
    akin_words words = {0};
    redisReply *reply = NULL;
    const char *keep = akin_cli_value(d->cli, "keep", NULL);
    akin_words_add(&words, "AKIN.DUPES");
    akin_words_add(&words, d->collection);
    akin_words_add(&words, "LEVEL");
    akin_words_add(&words, akin_cli_value(d->cli, "level", "near"));
    akin_words_add(&words, "COUNT");
    akin_words_add(&words, FROM_LINK);
    akin_words_add(&words, "CURSOR");
    akin_words_printf(&words, "%llu", (unsigned long long)cursor);
    for (size_t i = 0; i < d->cli->ngiven; i++)
        if (!strcmp(d->cli->given[i].name, "prefer")) {
            akin_words_add(&words, "PREFER");
            akin_words_add(&words, d->cli->given[i].value);
        }
    if (keep) {
        akin_words_add(&words, "KEEP");
        akin_words_add(&words, keep);
    }
    akin_status rc = words.failed ? akin_fail(err, AKIN_NOMEM, "no memory")
                                  : akin_link_call(d->link, words.argv, words.n,
                                                   &reply, err);
    if (!rc) rc = read_page(reply, out, err);
    freeReplyObject(reply);
    akin_words_clear(&words);
    return rc;
}

/* Pictures that were not looked at yet are first: no page is read before. */
static akin_status read_pages(akin_dedup *d, akin_error *err)
{
    akin_bar bar;
    akin_status rc = AKIN_OK;
    uint64_t cursor = 0;

    akin_bar_init(&bar, d->cli, "comparing");
    for (bool more = true; more && !rc;) {
        akin_dupe_page page = {0};
        rc = akin_grow(&d->pages, &d->page_capacity, d->npages + 1,
                       sizeof *d->pages, err);
        if (!rc && akin_cli_interrupted())
            rc = akin_fail(err, AKIN_CANCELLED, "interrupted");
        if (!rc)
            rc = d->engine ? engine_page(d, cursor, &page, err)
                           : link_page(d, cursor, &page, err);
        if (!rc && !page.pending) {
            d->pages[d->npages++] = page;
            cursor = page.cursor;
            more = cursor != 0;
            continue;
        }
        akin_progress p = {.phase = "comparing, left:",
                           .done = page.pending,
                           .seconds_left = -1};
        if (!rc) akin_bar_show(&bar, &p, false);
        akin_dupe_page_clear(&page);
    }
    return rc;
}

static akin_status list_groups(akin_dedup *d, akin_error *err)
{
    akin_status rc = AKIN_OK;
    for (size_t p = 0; p < d->npages; p++)
        for (size_t i = 0; i < d->pages[p].n && !rc; i++) {
            rc = akin_grow(&d->choices, &d->choice_capacity, d->n + 1,
                           sizeof *d->choices, err);
            if (!rc)
                d->choices[d->n++] =
                    (akin_dedup_choice){.group = &d->pages[p].groups[i]};
        }
    return rc;
}

static void clear_groups(akin_dedup *d)
{
    for (size_t i = 0; i < d->npages; i++)
        akin_dupe_page_clear(&d->pages[i]);
    d->npages = d->n = 0;
}

akin_status akin_dedup_find(akin_dedup *d, akin_error *err)
{
    bool again = true;
    akin_status rc = AKIN_OK;
    for (int round = 0; again && round < MOST_ROUNDS && !rc; round++) {
        again = false;
        clear_groups(d);
        rc = read_pages(d, err);
        if (!rc) rc = list_groups(d, err);
        if (!rc && d->engine) rc = akin_dedup_recall(d, &again, err);
    }
    return rc;
}

void akin_dedup_clear(akin_dedup *d)
{
    clear_groups(d);
    akin_free(d->pages);
    akin_free(d->choices);
    akin_report_clear(&d->report);
}

uint64_t akin_dedup_count(const akin_dedup *d, uint64_t *bytes)
{
    uint64_t files = 0;
    *bytes = 0;
    for (size_t c = 0; c < d->n; c++) {
        const akin_dupe_group *g = d->choices[c].group;
        if (d->choices[c].skip) continue;
        for (size_t i = 0; i < g->n; i++) {
            if (i == g->keep) continue;
            files++;
            *bytes += g->members[i].item.picture_bytes;
        }
    }
    return files;
}
