/* Aliases of collections:
 *
 *     POST /collections/aliases
 *     {"actions": [{"delete_alias": {"alias_name": "shop"}},
 *                  {"create_alias": {"collection_name": "new",
 *                                    "alias_name": "shop"}}]}
 *
 * All actions of a request happen, in order, or none does. */
#include "http_handlers.h"
#include "http_points.h"

#include <string.h>

static akin_status want_text(const json_t *object, const char *name,
                             const char **out, akin_error *err)
{
    *out = NULL;
    akin_status rc = akin_json_get_text(object, name, out, err);
    if (!rc && !*out)
        rc = akin_fail(err, AKIN_INVALID,
                       "Validation error in JSON body: `%s` is missing", name);
    return rc;
}

static akin_status read_action(const json_t *action, akin_alias_change *out,
                               akin_error *err)
{
    const json_t *create = json_object_get(action, "create_alias");
    const json_t *delete = json_object_get(action, "delete_alias");
    const json_t *rename = json_object_get(action, "rename_alias");

    *out = (akin_alias_change){0};
    if (json_object_size(action) != 1 || !(create || delete || rename))
        return akin_fail(err, AKIN_INVALID,
                         "expected one of create_alias, delete_alias and "
                         "rename_alias");
    akin_status rc = rename
                         ? want_text(rename, "old_alias_name", &out->alias, err)
                         : want_text(create ? create : delete, "alias_name",
                                     &out->alias, err);
    if (!rc && create)
        rc = want_text(create, "collection_name", &out->collection, err);
    if (!rc && rename)
        rc = want_text(rename, "new_alias_name", &out->rename, err);
    return rc;
}

/* What the engine found wrong, in Qdrant's words where it has some. */
static akin_status explain(akin_status rc, const akin_alias_change *changes,
                           size_t n, akin_error *err)
{
    if (n != 1) return rc;
    if (rc == AKIN_EXISTS)
        return akin_fail(err, rc,
                         "Wrong input: Collection `%.128s` already exists!",
                         changes->rename ? changes->rename : changes->alias);
    if (rc == AKIN_NOT_FOUND && changes->rename)
        return akin_fail(err, rc, "Not found: Alias %.128s does not exists!",
                         changes->alias);
    if (rc == AKIN_NOT_FOUND)
        return akin_fail(err, rc,
                         "Not found: Collection `%.128s` doesn't exist!",
                         changes->collection);
    return rc;
}

akin_status akin__http_change_aliases(akin_http_call *call, akin_error *err)
{
    json_t *actions;
    akin_status rc =
        akin_json_get(call->json, "actions", JSON_ARRAY, &actions, err);
    size_t n = json_array_size(actions);

    if (!rc && !actions)
        rc = akin_fail(err, AKIN_INVALID,
                       "Validation error in JSON body: `actions` is missing");
    if (!rc && n > AKIN_MAX_ALIAS_CHANGES)
        rc = akin_fail(err, AKIN_INVALID, "`actions`: at most %d",
                       AKIN_MAX_ALIAS_CHANGES);
    if (rc) return rc;
    akin_alias_change *changes = akin_calloc(n + 1, sizeof *changes);
    if (!changes) return akin_fail(err, AKIN_NOMEM, "out of memory");
    for (size_t i = 0; !rc && i < n; i++) {
        rc = read_action(json_array_get(actions, i), &changes[i], err);
        if (rc) akin_fail_prefix(err, rc, "action %zu", i);
    }
    if (!rc)
        rc = explain(akin_engine_change_aliases(call->engine, changes, n, err),
                     changes, n, err);
    if (!rc) akin_buf_text(&call->out, "true");
    akin_free(changes);
    return rc;
}

/* {"aliases": [{"alias_name", "collection_name"}]}; collection NULL: of all. */
static akin_status write_aliases(akin_http_call *call, const char *collection,
                                 akin_error *err)
{
    akin_alias *aliases = NULL;
    bool first = true;
    size_t n;
    akin_status rc = akin_engine_aliases(call->engine, &aliases, &n, err);

    if (rc) return rc;
    akin_buf_text(&call->out, "{\"aliases\":[");
    for (size_t i = 0; i < n; i++) {
        if (collection && strcmp(aliases[i].collection, collection)) continue;
        akin_buf_text(&call->out,
                      first ? "{\"alias_name\":" : ",{\"alias_name\":");
        akin_json_text(&call->out, aliases[i].name);
        akin_buf_text(&call->out, ",\"collection_name\":");
        akin_json_text(&call->out, aliases[i].collection);
        akin_buf_text(&call->out, "}");
        first = false;
    }
    akin_buf_text(&call->out, "]}");
    akin_free(aliases);
    return AKIN_OK;
}

akin_status akin__http_aliases(akin_http_call *call, akin_error *err)
{
    return write_aliases(call, NULL, err);
}

akin_status akin__http_collection_aliases(akin_http_call *call, akin_error *err)
{
    char name[AKIN_NAME_BYTES + 1];
    akin_status rc = akin__http_check_collection(call, call->params[0], err);

    if (!rc) rc = akin_engine_name(call->engine, call->params[0], name, err);
    return rc ? rc : write_aliases(call, name, err);
}
