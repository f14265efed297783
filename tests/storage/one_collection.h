/* A fresh storage with one collection, for each test of a program. */
#ifndef TESTS_STORAGE_ONE_COLLECTION_H
#define TESTS_STORAGE_ONE_COLLECTION_H

#include "helpers.h"

static char *dir;
static akin_storage *s;
static uint32_t c;

static int setup(void **state)
{
    (void)state;
    dir = temp_dir();
    s = open_dir(dir);
    c = make_collection(s, "default");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    akin_storage_close(s);
    remove_dir(dir);
    return 0;
}

#endif
