/* /openapi.json: OpenAPI 3.1, written from the table of routes, so that it
 * cannot fall behind it. */
#include "http_openapi.h"

#include "http_handlers.h"

#include <ctype.h>
#include <string.h>

static void write_reference(akin_buf *out, const char *name)
{
    akin_buf_printf(out, "{\"$ref\":\"#/components/schemas/%s\"}", name);
}

/* The {names} of a path. */
static void write_parameters(akin_buf *out, const char *path)
{
    bool first = true;

    akin_buf_text(out, "\"parameters\":[");
    for (const char *p = strchr(path, '{'); p; p = strchr(p + 1, '{')) {
        akin_buf_printf(out,
                        "%s{\"name\":\"%.*s\",\"in\":\"path\",\"required\":"
                        "true,\"schema\":{\"type\":\"string\"}}",
                        first ? "" : ",", (int)strcspn(p + 1, "}"), p + 1);
        first = false;
    }
    akin_buf_text(out, "],");
}

static void write_body(akin_buf *out, const akin_http_route *route)
{
    const char *type = route->flags & HTTP_FORM     ? "multipart/form-data"
                       : route->flags & HTTP_CHUNKS ? "application/x-ndjson"
                                                    : "application/json";

    if (!route->body) return;
    akin_buf_printf(out,
                    "\"requestBody\":{\"content\":{\"%s\":{\"schema\":", type);
    write_reference(out, route->body);
    akin_buf_text(out, "}}},");
}

static void write_result(akin_buf *out, const akin_http_route *route)
{
    akin_buf_text(out, "\"200\":{\"description\":\"Done\"");
    if (route->result) {
        akin_buf_text(out, ",\"content\":{\"application/json\":{\"schema\":");
        if (!(route->flags & HTTP_RAW))
            akin_buf_text(out, "{\"type\":\"object\",\"properties\":{"
                               "\"status\":{\"type\":\"string\"},\"time\":{"
                               "\"type\":\"number\"},\"result\":");
        write_reference(out, route->result);
        if (!(route->flags & HTTP_RAW)) akin_buf_text(out, "}}");
        akin_buf_text(out, "}}");
    }
    akin_buf_text(out, "}");
}

static void write_method(akin_buf *out, const akin_http_route *route)
{
    char method[16];
    size_t n = 0;

    for (; n < sizeof method - 1 && route->method[n]; n++)
        method[n] = (char)tolower((unsigned char)route->method[n]);
    method[n] = 0;
    akin_buf_printf(out,
                    "\"%s\":{\"operationId\":\"%s\",\"tags\":[\"%s\"],"
                    "\"summary\":",
                    method, route->name, route->tag);
    akin_json_text(out, route->summary);
    akin_buf_text(out, ",");
    write_parameters(out, route->path);
    write_body(out, route);
    if (route->flags & HTTP_OPEN) akin_buf_text(out, "\"security\":[],");
    akin_buf_text(out, "\"responses\":{");
    write_result(out, route);
    akin_buf_text(out, ",\"default\":{\"description\":\"What went wrong\","
                       "\"content\":{\"application/json\":{\"schema\":");
    write_reference(out, "Error");
    akin_buf_text(out, "}}}}}");
}

/* A path with its methods, when it is the first row of that path. */
static void write_path(akin_buf *out, const akin_http_route *routes, size_t n,
                       size_t i)
{
    bool first = true;

    for (size_t j = 0; j < i; j++)
        if (!strcmp(routes[j].path, routes[i].path)) return;
    akin_buf_printf(out, "%s\"%s\":{", i ? "," : "", routes[i].path);
    for (size_t j = i; j < n; j++) {
        if (strcmp(routes[j].path, routes[i].path)) continue;
        if (!first) akin_buf_text(out, ",");
        first = false;
        write_method(out, &routes[j]);
    }
    akin_buf_text(out, "}");
}

/* "@Name" in a schema is a reference. */
static void write_schema(akin_buf *out, const char *json)
{
    for (const char *at; (at = strchr(json, '@')); json = at + 1) {
        akin_buf_append(out, json, (size_t)(at - json));
        akin_buf_text(out, "#/components/schemas/");
    }
    akin_buf_text(out, json);
}

akin_status akin__http_openapi(akin_http_call *call, akin_error *err)
{
    size_t n, m;
    const akin_http_route *routes = akin__http_routes(&n);
    const akin_http_schema *schemas = akin__http_schemas(&m);
    akin_buf *out = &call->out;

    (void)err;
    akin_buf_printf(out,
                    "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"akin\","
                    "\"version\":\"%s\",\"description\":\"Vector search for "
                    "images and text, in the shape of Qdrant's REST "
                    "interface.\",\"license\":{\"name\":\"Apache-2.0\","
                    "\"identifier\":\"Apache-2.0\"}},\"servers\":[{\"url\":"
                    "\"/\"}],\"security\":[{\"key\":[]},{\"bearer\":[]}],"
                    "\"paths\":{",
                    AKIN_VERSION);
    for (size_t i = 0; i < n; i++)
        write_path(out, routes, n, i);
    akin_buf_text(out, "},\"components\":{\"securitySchemes\":{\"key\":{"
                       "\"type\":\"apiKey\",\"in\":\"header\",\"name\":"
                       "\"api-key\"},\"bearer\":{\"type\":\"http\","
                       "\"scheme\":\"bearer\"}},\"schemas\":{");
    for (size_t i = 0; i < m; i++) {
        akin_buf_printf(out, "%s\"%s\":", i ? "," : "", schemas[i].name);
        write_schema(out, schemas[i].json);
    }
    akin_buf_text(out, "}}}");
    return AKIN_OK;
}
