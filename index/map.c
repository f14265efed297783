/* label -> row of the delta. Labels that were removed stay in it as
 * AKIN__GONE until the next build starts a new map. */
#include "internal.h"

#include <string.h>

static size_t slot_of(const akin__map *map, uint64_t label)
{
    /* Fibonacci hashing: labels are dense, so the low bits spread well */
    size_t i = (size_t)((label * 0x9E3779B97F4A7C15ull) >> 20);
    for (i &= map->capacity - 1; map->keys[i] && map->keys[i] != label;)
        i = (i + 1) & (map->capacity - 1);
    return i;
}

bool akin__map_find(const akin__map *map, uint64_t label, uint32_t *row)
{
    size_t i;
    if (!map->capacity) return false;
    i = slot_of(map, label);
    if (!map->keys[i]) return false;
    *row = map->rows[i];
    return true;
}

void akin__map_set(akin__map *map, uint64_t label, uint32_t row)
{
    size_t i = slot_of(map, label);
    map->used += map->keys[i] == 0;
    map->keys[i] = label;
    map->rows[i] = row;
}

akin_status akin__map_grown(const akin__map *map, size_t n, akin__map *out,
                            akin_error *err)
{
    size_t capacity = map->capacity ? map->capacity : 64;
    memset(out, 0, sizeof *out);
    while (capacity / 4 * 3 < map->used + n)
        capacity *= 2;
    if (capacity == map->capacity) return AKIN_OK;
    out->keys = akin_calloc(capacity, sizeof *out->keys);
    out->rows = akin_calloc(capacity, sizeof *out->rows);
    out->capacity = capacity;
    if (!out->keys || !out->rows) {
        akin__map_clear(out);
        return akin_fail(err, AKIN_NOMEM, "out of memory for %zu labels",
                         map->used + n);
    }
    for (size_t i = 0; i < map->capacity; i++)
        if (map->keys[i]) akin__map_set(out, map->keys[i], map->rows[i]);
    return AKIN_OK;
}

void akin__map_clear(akin__map *map)
{
    akin_free(map->keys);
    akin_free(map->rows);
    memset(map, 0, sizeof *map);
}
