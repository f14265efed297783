/* akin dedup: "not duplicates", remembered.
 *
 * Of a collection its database remembers. The index of folders is in the cache,
 * which may be emptied, and each set of folders has one of its own; so what was
 * said about their pictures is in DIR/dismissed.jsonl as well: a line
 * {"pictures": [{"path": .., "hash": ..}, ..]} of pictures of which no two are
 * duplicates, the same with "undo": true where that was taken back. A picture is
 * known by its bytes; equal bytes are told apart by their paths. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli_dedup.h"

#define FILE_NAME "dismissed.jsonl"

/* ---- saying -------------------------------------------------------------------- */

static akin_status tell_index(akin_dedup *d, const akin_dupe_group *g,
                              const size_t *members, size_t n, bool undo,
                              akin_error *err)
{
    akin_words words = {0};
    redisReply *reply = NULL;
    akin_status rc;
    akin_words_add(&words, "AKIN.DISMISS");
    akin_words_add(&words, d->collection);
    if (undo) akin_words_add(&words, "UNDO");
    size_t first = words.n;
    for (size_t i = 0; i < n; i++)
        akin_words_add(&words, g->members[members[i]].item.id);
    if (words.failed)
        rc = akin_fail(err, AKIN_NOMEM, "no memory");
    else if (d->engine)
        rc = akin_engine_dismiss(d->engine, d->collection, words.argv + first,
                                 n, undo, err);
    else
        rc = akin_link_call(d->link, words.argv, words.n, &reply, err);
    freeReplyObject(reply);
    akin_words_clear(&words);
    return rc;
}

static json_t *picture_json(const akin_item_info *item)
{
    return json_pack("{s:s, s:s}", "path", item->path ? item->path : item->id,
                     "hash", item->hash);
}

akin_status akin_dedup_dismiss(akin_dedup *d, const akin_dupe_group *g,
                               const size_t *members, size_t n, bool undo,
                               akin_error *err)
{
    akin_status rc = tell_index(d, g, members, n, undo, err);
    if (rc || !d->engine) return rc;
    json_t *pictures = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(pictures,
                              picture_json(&g->members[members[i]].item));
    int fd = akin_dedup_append_to(d->work, FILE_NAME, err);
    if (fd < 0) {
        json_decref(pictures);
        return err->status;
    }
    rc = akin_dedup_append(
        fd, json_pack("{s:o, s:b}", "pictures", pictures, "undo", undo), err);
    close(fd);
    return rc;
}

/* ---- recalling ------------------------------------------------------------------- */

/* A picture of a line. */
typedef struct {
    const char *hash, *path;
    const json_t *line;
} told;

static int compare_told(const void *a, const void *b)
{
    return strcmp(((const told *)a)->hash, ((const told *)b)->hash);
}

static const char *text_at(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* Lines that a later one takes back are taken out, with it. */
static void take_back(json_t *lines)
{
    for (size_t i = json_array_size(lines); i-- > 0;) {
        json_t *undo = json_array_get(lines, i);
        if (!json_is_true(json_object_get(undo, "undo"))) continue;
        for (size_t j = i; j-- > 0;) {
            json_t *line = json_array_get(lines, j);
            if (!json_equal(json_object_get(line, "pictures"),
                            json_object_get(undo, "pictures")))
                continue;
            json_array_remove(lines, j);
            i--;
        }
        json_array_remove(lines, i);
    }
}

/* All pictures of all lines, sorted by hash. */
static told *sort_told(const json_t *lines, size_t *n)
{
    size_t i, j, count = 0;
    json_t *line, *picture;
    json_array_foreach(lines, i, line)
    {
        count += json_array_size(json_object_get(line, "pictures"));
    }
    told *all = akin_calloc(count + 1, sizeof *all);
    *n = 0;
    json_array_foreach(lines, i, line)
    {
        json_array_foreach(json_object_get(line, "pictures"), j, picture)
        {
            if (all)
                all[(*n)++] = (told){text_at(picture, "hash"),
                                     text_at(picture, "path"), line};
        }
    }
    if (all) qsort(all, *n, sizeof *all, compare_told);
    return all;
}

static const char *place_of(const akin_item_info *item)
{
    return item->path ? item->path : item->id;
}

/* Whether the line tells pictures of these bytes apart from each other too; then
 * only the path says which one is meant. */
static bool tells_bytes_apart(const json_t *line, const char *hash)
{
    size_t i;
    int n = 0;
    json_t *picture;
    json_array_foreach(json_object_get(line, "pictures"), i, picture)
    {
        n += !strcmp(text_at(picture, "hash"), hash);
    }
    return n > 1;
}

/* Whether the picture is one that the line speaks of. */
static bool speaks_of(const told *t, const akin_item_info *item)
{
    return !tells_bytes_apart(t->line, t->hash) ||
           !strcmp(t->path, place_of(item));
}

/* Dismisses two members of a group when a line tells them apart. */
static akin_status recall_pair(akin_dedup *d, const akin_dupe_group *g,
                               size_t a, size_t b, const told *all, size_t n,
                               bool *any, akin_error *err)
{
    const akin_item_info *x = &g->members[a].item, *y = &g->members[b].item;
    told key = {.hash = x->hash};
    const told *at = bsearch(&key, all, n, sizeof key, compare_told);
    while (at && at > all && !strcmp(at[-1].hash, x->hash))
        at--;
    for (; at && at < all + n && !strcmp(at->hash, x->hash); at++) {
        if (!speaks_of(at, x)) continue;
        key.hash = y->hash;
        const told *other = bsearch(&key, all, n, sizeof key, compare_told);
        while (other && other > all && !strcmp(other[-1].hash, y->hash))
            other--;
        for (; other && other < all + n && !strcmp(other->hash, y->hash);
             other++) {
            if (other == at || other->line != at->line || !speaks_of(other, y))
                continue;
            *any = true;
            return tell_index(d, g, (const size_t[]){a, b}, 2, false, err);
        }
    }
    return AKIN_OK;
}

akin_status akin_dedup_recall(akin_dedup *d, bool *any, akin_error *err)
{
    akin_status rc = AKIN_OK;
    size_t n;
    json_t *lines = akin_dedup_lines(d->work, FILE_NAME, err);
    if (!lines) return err->status;
    take_back(lines);
    told *all = sort_told(lines, &n);
    if (!all) rc = akin_fail(err, AKIN_NOMEM, "no memory");
    for (size_t c = 0; c < d->n && n && !rc; c++) {
        const akin_dupe_group *g = d->choices[c].group;
        for (size_t a = 0; a < g->n && !rc; a++) {
            told key = {.hash = g->members[a].item.hash};
            if (!bsearch(&key, all, n, sizeof key, compare_told)) continue;
            for (size_t b = a + 1; b < g->n && !rc; b++)
                rc = recall_pair(d, g, a, b, all, n, any, err);
        }
    }
    akin_free(all);
    json_decref(lines);
    return rc;
}
