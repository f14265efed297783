/* What is known of copies, merged into the item that is kept. Nothing is lost:
 *
 *   caption     the kept item's; when it has none, the first copy's that has one
 *   attributes  what the kept item lacks is taken from the first copy that has
 *               it; lists get what is new behind what they hold; objects are
 *               merged in the same way; else the kept item's value stays
 *   the rest    captions and values that had to give way are written down in the
 *               kept item's attribute `merged`, a list of
 *               {"id": .., "caption": .., "attributes": {..}}, one for each copy
 *
 * What only describes the copy's file (file_facts) is left out. Merging the same
 * again changes nothing. */
#include "internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const char *const file_facts[] = {
    "path", "folder", "width", "height", "format", "bytes", "modified"};

static bool is_file_fact(const char *key)
{
    for (size_t i = 0; i < sizeof file_facts / sizeof *file_facts; i++)
        if (!strcmp(key, file_facts[i])) return true;
    return false;
}

/* ---- values ------------------------------------------------------------------ */

static bool holds(const json_t *list, const json_t *value)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        if (json_equal(one, value)) return true;
    }
    return false;
}

static bool add_new(json_t *list, const json_t *value)
{
    return holds(list, value) ||
           !json_array_append_new(list, json_deep_copy(value));
}

static bool extend(json_t *list, const json_t *more)
{
    if (!json_is_array(more)) return add_new(list, more);
    for (size_t i = 0; i < json_array_size(more); i++)
        if (!add_new(list, json_array_get(more, i))) return false;
    return true;
}

/* Merges object `more` into `into`; what finds no room goes into `left`. false:
 * no memory. Recursion is as deep as JSON may nest, which jansson limits. */
static bool merge_objects(json_t *into, json_t *more, json_t *left, bool top)
{
    const char *key;
    json_t *theirs;
    bool fine = true;
    json_object_foreach(more, key, theirs)
    {
        json_t *mine = json_object_get(into, key);
        if (!fine) return false;
        if (top && is_file_fact(key)) continue;
        if (!mine || json_is_null(mine)) {
            fine = !json_object_set_new(into, key, json_deep_copy(theirs));
        } else if (json_is_array(mine)) {
            fine = extend(mine, theirs);
        } else if (json_is_object(mine) && json_is_object(theirs)) {
            json_t *rest = json_object();
            fine = rest && merge_objects(mine, theirs, rest, false);
            if (json_object_size(rest))
                fine &= !json_object_set(left, key, rest);
            json_decref(rest);
        } else if (!json_equal(mine, theirs)) {
            fine = !json_object_set_new(left, key, json_deep_copy(theirs));
        }
    }
    return fine;
}

/* ---- items ------------------------------------------------------------------- */

static json_t *attributes_of(const akin_item_info *item)
{
    return item->attributes ? json_loads(item->attributes, 0, NULL)
                            : json_object();
}

static bool has_text(const char *text)
{
    return text && *text;
}

/* Merges one copy into the caption and the attributes of the kept item. */
static bool merge_copy(char **caption, json_t *into, const akin_item_info *copy)
{
    json_t *entry = json_pack("{s:s}", "id", copy->id);
    json_t *theirs = attributes_of(copy), *left = json_object();
    bool fine =
        entry && theirs && left && merge_objects(into, theirs, left, true);

    if (fine && json_object_size(left))
        fine = !json_object_set(entry, "attributes", left);
    if (fine && has_text(copy->caption) && !has_text(*caption)) {
        akin_free(*caption);
        *caption = akin_strdup(copy->caption);
        fine = *caption != NULL;
    } else if (fine && has_text(copy->caption) &&
               strcmp(*caption, copy->caption) != 0) {
        fine =
            !json_object_set_new(entry, "caption", json_string(copy->caption));
    }
    if (fine && json_object_size(entry) > 1) {
        json_t *list = json_object_get(into, "merged");
        if (!json_is_array(list)) {
            list = json_array();
            fine = !json_object_set_new(into, "merged", list);
        }
        fine = fine && add_new(list, entry);
    }
    json_decref(entry);
    json_decref(theirs);
    json_decref(left);
    return fine;
}

static akin_status get_item(akin_engine *engine, const char *collection,
                            akin_span id, akin_item_info *out, akin_error *err)
{
    akin_item_info_clear(out);
    akin_status rc = akin_engine_get(engine, collection, id, out, err);
    if (rc) return rc;
    rc = akin__check_attributes(akin_span_of(out->attributes), err);
    return rc ? akin_fail_prefix(err, AKIN_BAD_DATA,
                                 "item \"%.200s\", as it is stored", out->id)
              : AKIN_OK;
}

static akin_status merge_all(akin_engine *engine, const char *collection,
                             akin_span keep, const akin_span *ids, size_t n,
                             akin_merge *out, json_t **attributes,
                             akin_error *err)
{
    akin_item_info item = {0};
    akin_status rc = get_item(engine, collection, keep, &item, err);

    if (!rc) {
        *attributes = attributes_of(&item);
        out->caption = akin_strdup(item.caption ? item.caption : "");
        out->caption_before = akin_strdup(item.caption ? item.caption : "");
        out->attributes_before =
            akin_strdup(item.attributes ? item.attributes : "");
        if (!*attributes || !out->caption || !out->caption_before ||
            !out->attributes_before)
            rc = akin__nomem(err);
    }
    for (size_t i = 0; i < n && !rc; i++) {
        if (ids[i].size == keep.size &&
            !memcmp(ids[i].data, keep.data, keep.size)) {
            rc = akin_fail(err, AKIN_INVALID,
                           "an item is not merged into itself");
            break;
        }
        rc = get_item(engine, collection, ids[i], &item, err);
        if (!rc && !merge_copy(&out->caption, *attributes, &item))
            rc = akin__nomem(err);
    }
    akin_item_info_clear(&item);
    return rc;
}

/* Whether the two differ, as what they say; attributes in `out` as text. */
static akin_status compare(akin_merge *out, const json_t *attributes,
                           akin_error *err)
{
    json_t *before = *out->attributes_before
                         ? json_loads(out->attributes_before, 0, NULL)
                         : json_object();
    bool same = before && json_equal(before, attributes);
    json_decref(before);
    out->changed = !same || strcmp(out->caption, out->caption_before) != 0;
    if (same) {
        out->attributes = akin_strdup(out->attributes_before);
    } else {
        char *text = json_dumps(attributes, JSON_COMPACT);
        out->attributes = text ? akin_strdup(text) : NULL;
        free(text);
    }
    if (!out->attributes) return akin__nomem(err);
    if (strlen(out->attributes) > AKIN_ATTRIBUTES_BYTES)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "merged attributes: expected at most %d bytes, got "
                         "%zu",
                         AKIN_ATTRIBUTES_BYTES, strlen(out->attributes));
    return AKIN_OK;
}

akin_status akin_engine_merge(akin_engine *engine, const char *collection,
                              akin_span keep, const akin_span *ids, size_t n,
                              bool dry_run, akin_merge *out, akin_error *err)
{
    json_t *attributes = NULL;
    akin_status rc = dry_run ? AKIN_OK : akin__writable(engine, err);

    memset(out, 0, sizeof *out);
    if (!rc)
        rc = merge_all(engine, collection, keep, ids, n, out, &attributes, err);
    if (!rc) rc = compare(out, attributes, err);
    if (!rc && out->changed && !dry_run) {
        akin_item_input item = {.id = keep,
                                .attributes = akin_span_of(out->attributes)};
        akin_put_result result;
        if (strcmp(out->caption, out->caption_before) != 0)
            item.caption = akin_span_of(out->caption);
        rc = akin_engine_put(engine, collection, &item, 1, NULL, &result, err);
        if (!rc && result.status)
            rc = akin_fail(err, result.status, "%s", result.message);
    }
    json_decref(attributes);
    if (rc) akin_merge_clear(out);
    return rc;
}

void akin_merge_clear(akin_merge *merge)
{
    akin_free(merge->caption);
    akin_free(merge->attributes);
    akin_free(merge->caption_before);
    akin_free(merge->attributes_before);
    memset(merge, 0, sizeof *merge);
}
