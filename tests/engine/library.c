/* A program that knows libakin.so and its two headers alone: four vectors in,
 * the nearest two out. */
#include "akin_engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *what, const akin_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    return 1;
}

static int use(akin_engine *engine)
{
    static const float v[4][3] = {
        {1, 0, 0}, {0.9f, 0.1f, 0}, {0, 1, 0}, {0, 0, 1}};
    static const char *const ids[] = {"x", "nearly x", "y", "z"};
    akin_item_input items[4];
    akin_put_result results[4];
    akin_error err;

    memset(items, 0, sizeof items);
    for (int i = 0; i < 4; i++) {
        items[i].id = akin_span_of(ids[i]);
        items[i].vector = v[i];
        items[i].dim = 3;
    }
    if (akin_engine_put(engine, "c", items, 4,
                        &(akin_put_options){.create = true}, results, &err))
        return failed("put", &err);
    akin_query_term term = {
        .kind = AKIN_TERM_ITEM, .weight = 1, .data = akin_span_of("x")};
    akin_query query = {.terms = &term, .nterms = 1, .k = 2};
    akin_results found;
    if (akin_engine_search(engine, "c", &query, &found, &err))
        return failed("search", &err);
    int right = found.n == 2 && !strcmp(found.matches[0].id, "nearly x");
    akin_results_clear(&found);
    return right ? 0 : failed("search", &(akin_error){0});
}

int main(void)
{
    char *dir;
    akin_engine *engine;
    akin_error err;

    if (akin_dir_temporary("akin-library", &dir, &err))
        return failed("temporary", &err);
    akin_engine_options options = {.data_dir = dir, .model_dir = ""};
    if (akin_engine_open(&options, &engine, &err)) return failed("open", &err);
    int rc = use(engine);
    akin_engine_close(engine);
    if (akin_dir_remove(dir, &err)) return failed("remove", &err);
    akin_free(dir);
    return rc;
}
