/* Reading what hiredis hands over. */
#include <math.h>
#include <string.h>

#include "cli.h"

const redisReply *akin_reply_field(const redisReply *map, const char *key)
{
    if (!map || map->type != REDIS_REPLY_ARRAY) return NULL;
    for (size_t i = 0; i + 1 < map->elements; i += 2) {
        const redisReply *name = map->element[i];
        if ((name->type == REDIS_REPLY_STRING ||
             name->type == REDIS_REPLY_STATUS) &&
            !strcmp(name->str, key))
            return map->element[i + 1];
    }
    return NULL;
}

const char *akin_field_text(const redisReply *map, const char *key)
{
    const redisReply *value = akin_reply_field(map, key);
    if (!value || (value->type != REDIS_REPLY_STRING &&
                   value->type != REDIS_REPLY_STATUS))
        return "";
    return value->str;
}

int64_t akin_field_int(const redisReply *map, const char *key)
{
    const redisReply *value = akin_reply_field(map, key);
    return value && value->type == REDIS_REPLY_INTEGER ? value->integer : 0;
}

double akin_field_real(const redisReply *map, const char *key)
{
    double real;
    const char *text = akin_field_text(map, key);
    return akin_span_double(akin_span_of(text), &real) ? real : (double)NAN;
}
