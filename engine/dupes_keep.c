/* Which picture of a group to keep. */
#include "dupes.h"

#include <inttypes.h>
#include <string.h>

typedef struct {
    const char *const *prefer;
    size_t nprefer;
} rules;

static const char *place(const akin_item_info *item)
{
    return item->path ? item->path : item->id;
}

/* The first of the preferred beginnings that it has; nprefer: none. */
static size_t preference(const rules *r, const akin_item_info *item)
{
    size_t i = 0;
    while (i < r->nprefer &&
           strncmp(place(item), r->prefer[i], strlen(r->prefer[i])))
        i++;
    return i;
}

static int lossless(const akin_item_info *item)
{
    static const char *const formats[] = {"tiff", "png", "bmp", "ppm", "svg"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (item->format && !strcmp(item->format, formats[i])) return 1;
    return 0;
}

typedef enum { PATH, PIXELS, BYTES, FORMAT, AGE, NAME, RULES } rule;

/* Above 0: a is better by this rule. */
static int compare(const rules *r, rule by, const akin_item_info *a,
                   const akin_item_info *b)
{
#define SIGN(x, y) ((x) > (y) ? 1 : (x) < (y) ? -1 : 0)
    switch (by) {
    case PATH: return SIGN(preference(r, b), preference(r, a));
    case PIXELS:
        return SIGN((uint64_t)a->width * a->height,
                    (uint64_t)b->width * b->height);
    case BYTES: return SIGN(a->picture_bytes, b->picture_bytes);
    case FORMAT: return lossless(a) - lossless(b);
    case AGE: /* an unknown time says nothing */
        return a->modified_ms && b->modified_ms
                   ? SIGN(b->modified_ms, a->modified_ms)
                   : 0;
    case NAME: return -strcmp(place(a), place(b));
    case RULES: break;
    }
#undef SIGN
    return 0;
}

static int better(const rules *r, const akin_item_info *a,
                  const akin_item_info *b, rule *by)
{
    int order = 0;
    for (*by = PATH; *by < RULES && !order; ++*by)
        order = compare(r, *by, a, b);
    --*by;
    return order;
}

static void explain(akin_dupe_group *g, const rules *r, size_t second, rule by)
{
    const akin_item_info *a = &g->members[g->keep].item;
    const akin_item_info *b = &g->members[second].item;
    char *out = g->why;
    size_t size = sizeof g->why;

    switch (by) {
    case PATH:
        snprintf(out, size, "its path begins with %s",
                 r->prefer[preference(r, a)]);
        return;
    case PIXELS:
        snprintf(out, size, "most pixels: %u x %u, the next has %u x %u",
                 a->width, a->height, b->width, b->height);
        return;
    case BYTES:
        snprintf(out, size,
                 "as many pixels, largest file: %" PRIu64
                 " bytes, the next has %" PRIu64,
                 a->picture_bytes, b->picture_bytes);
        return;
    case FORMAT:
        snprintf(out, size, "as large, and %s loses nothing", a->format);
        return;
    case AGE: snprintf(out, size, "as large, and older"); return;
    default: snprintf(out, size, "equal; its path sorts first"); return;
    }
}

void akin__dupes_keep(akin_dupe_group *g, const char *const *prefer,
                      size_t nprefer)
{
    rules r = {prefer, nprefer};
    size_t second = SIZE_MAX;
    rule by;

    g->keep = 0;
    for (size_t i = 1; i < g->n; i++)
        if (better(&r, &g->members[i].item, &g->members[g->keep].item, &by) > 0)
            g->keep = i;
    for (size_t i = 0; i < g->n; i++) {
        if (i == g->keep) continue;
        if (second == SIZE_MAX ||
            better(&r, &g->members[i].item, &g->members[second].item, &by) > 0)
            second = i;
    }
    if (second == SIZE_MAX) return;
    (void)better(&r, &g->members[g->keep].item, &g->members[second].item, &by);
    explain(g, &r, second, by);
}
