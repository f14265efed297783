/* Counts of attribute values and names. */
#include "internal.h"

#include <string.h>

void akin_facet_clear(akin_facet *facet)
{
    for (size_t i = 0; i < facet->n; i++) {
        akin_free(facet->rows[i].text);
        akin_free(facet->rows[i].type);
    }
    akin_free(facet->rows);
    memset(facet, 0, sizeof *facet);
}

typedef struct {
    akin_facet *out;
    akin_status rc;
    akin_error *err;
} gathering;

static bool gather(void *user, akin_span value, akin_span type, uint64_t count)
{
    gathering *g = user;
    akin_facet *f = g->out;

    g->rc =
        akin_grow(&f->rows, &f->capacity, f->n + 1, sizeof *f->rows, g->err);
    if (g->rc) return false;
    akin_facet_row *row = &f->rows[f->n++];
    *row = (akin_facet_row){.text = akin_strndup(value.data, value.size),
                            .type = akin_strndup(type.data, type.size),
                            .count = count};
    if (!row->text || !row->type) g->rc = akin__nomem(g->err);
    return !g->rc;
}

akin_status akin_engine_facet(akin_engine *engine, const char *collection,
                              const char *attribute, akin_filter filter,
                              uint32_t limit, akin_facet *out, akin_error *err)
{
    akin__collection *c;
    akin__expression expression = {0};
    gathering g = {.out = out, .err = err};
    bool filtered = filter.text.size > 0;

    memset(out, 0, sizeof *out);
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    if (filtered) rc = akin__filter_parse(filter, &expression, err);
    if (!rc)
        rc = akin_storage_facet(
            engine->storage, c->num, akin_span_of(attribute),
            filtered ? &expression.predicate : NULL, limit, gather, &g, err);
    akin__expression_clear(&expression);
    akin__collection_release(c);
    if (!rc) rc = g.rc;
    if (rc) akin_facet_clear(out);
    return rc;
}

akin_status akin_engine_attributes(akin_engine *engine, const char *collection,
                                   uint32_t limit, akin_facet *out,
                                   akin_error *err)
{
    akin__collection *c;
    gathering g = {.out = out, .err = err};

    memset(out, 0, sizeof *out);
    akin_status rc = akin__collection_find(engine, collection, &c, err);
    if (rc) return rc;
    rc = akin_storage_attribute_names(engine->storage, c->num, limit, gather,
                                      &g, err);
    akin__collection_release(c);
    if (!rc) rc = g.rc;
    if (rc) akin_facet_clear(out);
    return rc;
}
