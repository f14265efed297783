/* A directory and an engine on it, for each test anew. */
#ifndef AKIN_TESTS_ENGINE_PLACE_H
#define AKIN_TESTS_ENGINE_PLACE_H

#include "harness.h"

typedef struct {
    char *dir;
    akin_engine *engine;
} place;

/* model: NULL for none. */
static inline int place_open(void **state, const char *model)
{
    place *p = test_calloc(1, sizeof *p);
    p->dir = scratch_make();
    p->engine = open_engine(p->dir, model);
    *state = p;
    return 0;
}

/* A teardown of cmocka. */
static inline int place_close(void **state)
{
    place *p = *state;
    akin_engine_close(p->engine);
    scratch_remove(p->dir);
    akin_free(p->dir);
    test_free(p);
    return 0;
}

#endif
