/* What a collection is and holds, for people and programs. */
#include "internal.h"

#include <math.h>
#include <string.h>

static const char *const type_names[] = {[AKIN_ATTRIBUTE_NUMBER] = "number",
                                         [AKIN_ATTRIBUTE_STRING] = "string",
                                         [AKIN_ATTRIBUTE_BOOL] = "bool",
                                         [AKIN_ATTRIBUTE_TAGS] = "tags",
                                         [AKIN_ATTRIBUTE_DATETIME] =
                                             "datetime"};

#define NTYPES (sizeof type_names / sizeof *type_names)

const char *akin_attribute_type_text(akin_attribute_type type)
{
    return (size_t)type < NTYPES ? type_names[type] : "unknown";
}

bool akin_attribute_type_parse(const char *text, akin_attribute_type *out)
{
    for (size_t i = 0; i < NTYPES; i++)
        if (!strcmp(text, type_names[i])) {
            *out = (akin_attribute_type)i;
            return true;
        }
    return false;
}

static bool add_field(void *user, const char *name, akin_field_type type)
{
    static const akin_attribute_type types[AKIN_FIELD_TYPES] = {
        [AKIN_FIELD_NUMBER] = AKIN_ATTRIBUTE_NUMBER,
        [AKIN_FIELD_STRING] = AKIN_ATTRIBUTE_STRING,
        [AKIN_FIELD_BOOL] = AKIN_ATTRIBUTE_BOOL,
        [AKIN_FIELD_TAGS] = AKIN_ATTRIBUTE_TAGS,
        [AKIN_FIELD_DATETIME] = AKIN_ATTRIBUTE_DATETIME};
    akin_collection_info *info = user;

    if (info->nfields == AKIN_MAX_FIELDS) return false;
    snprintf(info->fields[info->nfields].name, sizeof info->fields[0].name,
             "%s", name);
    info->fields[info->nfields++].type = types[type];
    return true;
}

static void space_info(akin__view *view, akin_space space, akin_space_info *out)
{
    akin_index_stats stats;
    akin_index_get_stats(view->index[space], &stats);
    out->vectors = stats.live;
    out->delta = stats.delta;
    out->tombstones = stats.tombstones;
    out->drifted = stats.drifted;
    out->generation = stats.generation;
    out->memory_bytes = stats.bytes_memory + stats.bytes_mapped;
    out->mapped_bytes = stats.bytes_mapped;
    out->disk_bytes = stats.bytes_disk;
    out->recall = isnan(stats.recall) ? 0 : stats.recall;
    out->building = stats.building;
    out->nprobe = stats.nprobe;
    out->candidates = stats.candidates;
    pthread_mutex_lock(&view->apply);
    memcpy(out->why, view->why[space], sizeof out->why);
    pthread_mutex_unlock(&view->apply);
    if (stats.kind == AKIN_INDEX_IVFPQ)
        snprintf(out->kind, sizeof out->kind, "IVF%u,PQ%u", stats.nlist,
                 stats.m);
    else
        snprintf(out->kind, sizeof out->kind, "exact");
}

static void model_info(akin_engine *engine, const akin__view *view,
                       akin_collection_info *out)
{
    if (view->raw) return;
    const char *name = strrchr(view->model_dir, '/');
    snprintf(out->model_name, sizeof out->model_name, "%s",
             name ? name + 1 : view->model_dir);
    snprintf(out->model_dir, sizeof out->model_dir, "%s", view->model_dir);
    memcpy(out->fingerprint, view->hex, sizeof out->fingerprint);
    akin__model *model;
    out->model_ready = akin__view_model(engine, view, &model, NULL) == AKIN_OK;
}

static akin_status fill(akin__collection *c, akin_collection_info *out,
                        akin_error *err)
{
    akin_storage *storage = c->engine->storage;
    akin_collection from = {0};
    akin_status rc =
        akin_storage_collection_by_num(storage, c->num, &from, err);
    if (rc) return rc;

    memset(out, 0, sizeof *out);
    memcpy(out->name, c->name, sizeof out->name);
    out->items = from.items;
    out->sequence = from.seq;
    out->created_ms = from.created_ms;
    akin_collection_clear(&from);

    akin__view *view = akin__view_hold(c);
    out->dim = view->dim;
    out->recall = akin__recall_target(c, 0);
    model_info(c->engine, view, out);
    space_info(view, AKIN_SPACE_IMAGE, &out->image);
    space_info(view, AKIN_SPACE_CAPTION, &out->caption);
    akin__view_release(view);
    return akin_storage_fields(storage, c->num, add_field, out, err);
}

akin_status akin_engine_info(akin_engine *engine, const char *collection,
                             akin_collection_info *out, akin_error *err)
{
    akin__collection *c;
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    rc = fill(c, out, err);
    akin__collection_release(c);
    return rc;
}

akin_status akin_engine_list(akin_engine *engine, akin_collection_info **out,
                             size_t *n, akin_error *err)
{
    akin__collection **all;
    akin_status rc = akin__collections_all(engine, &all, n, err);
    if (rc) return rc;
    *out = akin_calloc(*n + 1, sizeof **out);
    if (!*out) rc = akin__nomem(err);
    for (size_t i = 0; i < *n && !rc; i++)
        rc = fill(all[i], *out + i, err);
    akin__collections_release(all, *n);
    if (rc) {
        akin_free(*out);
        *out = NULL;
    }
    return rc;
}
