/* Schemas that /openapi.json names. */
#ifndef AKIN_API_HTTP_OPENAPI_H
#define AKIN_API_HTTP_OPENAPI_H

#include <stddef.h>

typedef struct {
    const char *name, *json;
} akin_http_schema;

const akin_http_schema *akin__http_schemas(size_t *n);

#endif
