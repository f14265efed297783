/* How a filter will be answered: the scan of a collection's items, or a few
 * probes of the indexes of declared fields that together reach every item that
 * can pass (and some that cannot: the predicate itself is asked about each). */
#ifndef AKIN_STORAGE_PLAN_H
#define AKIN_STORAGE_PLAN_H

#include "internal.h"

#define AKIN__MAX_FIELDS 64  /* declared, of one collection */
#define AKIN__MAX_PROBES 256 /* of one filter */

typedef enum {
    AKIN__PROBE_TEXT,  /* = text */
    AKIN__PROBE_RANGE, /* a number from low to high */
    AKIN__PROBE_ABOVE, /* >= low, and all texts: they sort behind numbers */
    AKIN__PROBE_BELOW, /* a number <= high */
    AKIN__PROBE_TEXTS, /* any text */
    AKIN__PROBE_LISTS, /* any text that begins with [ */
    AKIN__PROBE_MARK   /* tags: the field holds a text, not an array */
} akin__probe_kind;

typedef struct {
    uint64_t field;
    bool tags;
    char *path, *json_path; /* as declared; as SQLite spells it */
} akin__field;

typedef struct {
    const akin__field *field;
    akin__probe_kind kind;
    double low, high;
    akin_span text;
    uint64_t rows; /* that it reads; cut at the plan's limit */
} akin__probe;

typedef struct {
    akin__conn *conn;
    akin__collection collection;
    const akin_predicate *predicate;
    akin__field fields[AKIN__MAX_FIELDS];
    uint32_t field_count;
    akin__probe probes[AKIN__MAX_PROBES * 2];
    uint32_t probe_count;
    uint64_t limit;        /* rows a demand may read and still be known */
    bool use_index;        /* else scan */
    uint32_t first, count; /* the probes to run */
    uint64_t rows;         /* they read together */
} akin__plan;

akin_status akin__plan_make(akin__conn *conn, uint32_t collection,
                            const akin_predicate *predicate, akin__plan **out,
                            akin_error *err);
void akin__plan_free(akin__plan *plan); /* no-op on NULL */

/* The statement that reads the numbers of a probe's items. match: of those that
 * pass the predicate (bound by the caller as parameter 1); limit: at most so
 * many rows (0: all). */
akin_status akin__probe_query(const akin__plan *plan, const akin__probe *probe,
                              bool match, uint64_t limit, sqlite3_stmt **out,
                              akin_error *err);

#endif
