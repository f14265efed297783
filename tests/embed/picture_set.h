/* A folder of pictures with the reference's pixels, as images.tsv describes it:
 * tests/data/pictures (small, always there) or ../shared/clip-reference/images
 * (all of it; AKIN_REFERENCE names another place for clip-reference). */
#ifndef PICTURE_SET_H
#define PICTURE_SET_H

#include "akin_embed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICTURE_SET_MAX 64

typedef struct {
    char name[48], file[64], variant[16], sha256[65];
    unsigned width, height;
    long decoded_offset; /* in decoded.u8, -1: not there */
    int row224;          /* in pixels_224.u8, -1: not there */
} picture_line;

typedef struct {
    char dir[1024];
    size_t n;
    picture_line line[PICTURE_SET_MAX];
} picture_set;

static inline void picture_set_path(const picture_set *set, const char *name,
                                    char *out, size_t size)
{
    snprintf(out, size, "%s/%s", set->dir, name);
}

/* false when the folder is not there. */
static inline bool picture_set_open(picture_set *set, const char *dir)
{
    char path[1200], text[2048];
    FILE *file;

    memset(set, 0, sizeof *set);
    snprintf(set->dir, sizeof set->dir, "%s", dir);
    picture_set_path(set, "images.tsv", path, sizeof path);
    file = fopen(path, "r");
    if (file == NULL) return false;
    while (set->n < PICTURE_SET_MAX && fgets(text, sizeof text, file) != NULL) {
        picture_line *l = &set->line[set->n];

        if (text[0] == '#') continue;
        if (sscanf(text, "%*d %47s %63s %15s %u %u %*s %*d %ld %d %64s",
                   l->name, l->file, l->variant, &l->width, &l->height,
                   &l->decoded_offset, &l->row224, l->sha256) == 8)
            set->n++;
    }
    fclose(file);
    return set->n != 0;
}

static inline bool picture_set_small(picture_set *set)
{
    return picture_set_open(set, AKIN_TESTS "/data/pictures");
}

static inline bool picture_set_reference(picture_set *set)
{
    const char *place = getenv("AKIN_REFERENCE");
    char dir[1024];

    snprintf(dir, sizeof dir, "%s/images",
             place != NULL ? place : AKIN_SOURCE "/../shared/clip-reference");
    return picture_set_open(set, dir);
}

/* Maps a file of the set, or of any path when set is NULL. */
static inline akin_map picture_set_map(const picture_set *set, const char *name)
{
    char path[1200];
    akin_map map = {0};
    akin_error err;

    if (set != NULL)
        picture_set_path(set, name, path, sizeof path);
    else
        snprintf(path, sizeof path, "%s", name);
    if (akin_map_open(&map, path, &err) != AKIN_OK)
        fprintf(stderr, "%s: %s\n", path, err.message);
    return map;
}

#endif
