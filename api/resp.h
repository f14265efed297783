/* RESP, the protocol of Redis: requests read piece by piece, replies written
 * in version 2 or 3 of it.
 *
 * A request is a flat array of byte strings ("*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n")
 * or, for people with a terminal, one line ("ECHO hi\r\n"). Requests do not
 * nest; replies do, and hiredis reads those in our client. */
#ifndef AKIN_API_RESP_H
#define AKIN_API_RESP_H

#include "akin_base.h"

/* ---- requests ----------------------------------------------------------- */

/* What one client may send. All bounds are checked before memory is taken. */
typedef struct {
    size_t args;          /* arguments of one request, the name counted */
    size_t bulk_bytes;    /* one argument */
    size_t request_bytes; /* all arguments of one request together */
    size_t inline_bytes;  /* a request written as a line */
} akin_resp_limits;

/* One whole request. argv[i].data is followed by a NUL that size does not
 * count; all of it lives in one block, freed by akin_request_free. */
typedef struct akin_request {
    struct akin_request *next; /* for the owner's lists */
    size_t argc, bytes;        /* bytes: memory held, roughly */
    const akin_span *argv;
    uint8_t *data; /* what argv points into */
} akin_request;

void akin_request_free(akin_request *request); /* no-op on NULL */

typedef enum {
    AKIN_RESP_MORE,    /* everything was taken, no request is complete yet */
    AKIN_RESP_REQUEST, /* *out is a request, the caller's */
    AKIN_RESP_BAD      /* not RESP, or past a limit: the stream is lost */
} akin_resp_state;

/* Reads requests from bytes that come in pieces of any size. One thread. */
typedef struct akin_resp_parser akin_resp_parser;

/* limits is copied. NULL when out of memory. */
akin_resp_parser *
akin_resp_parser_new(const akin_resp_limits *limits) AKIN_MUST_CHECK;
void akin_resp_parser_free(akin_resp_parser *parser); /* no-op on NULL */
/* New limits, used from the next argument on (a client that logged in). */
void akin_resp_parser_limit(akin_resp_parser *parser,
                            const akin_resp_limits *limits);

/* Takes bytes until a request is complete or all are taken; *used says how
 * many it took. Call again with the rest. Each byte is looked at once, however
 * the input is cut. After AKIN_RESP_BAD err says why, in the words of Redis
 * ("Protocol error: ..."), and every later call gives the same. */
akin_resp_state akin_resp_parse(akin_resp_parser *parser, const void *data,
                                size_t size, size_t *used, akin_request **out,
                                akin_error *err);
/* Memory the half-read request holds now. */
size_t akin_resp_pending(const akin_resp_parser *parser);

/* ---- replies ------------------------------------------------------------ */

/* A reply being written. Start from {.proto = 2 or 3}; out.limit bounds it.
 * Version 2 has no maps, doubles, booleans and one kind of null: they become
 * flat arrays, byte strings, 0 and 1, and the null byte string. */
typedef struct {
    akin_buf out;
    int proto;
} akin_reply;

void akin_reply_simple(akin_reply *reply, const char *text);
/* "-PREFIX message"; line ends in the message become spaces. */
void akin_reply_error(akin_reply *reply, const char *prefix,
                      const char *message);
void akin_reply_int(akin_reply *reply, int64_t value);
void akin_reply_bulk(akin_reply *reply, const void *data, size_t size);
void akin_reply_text(akin_reply *reply, const char *text); /* NULL: null */
void akin_reply_printf(akin_reply *reply, const char *fmt, ...)
    AKIN_PRINTF(2, 3);
/* Text meant for a person ("=" in version 3, kind txt). */
void akin_reply_verbatim(akin_reply *reply, const char *text, size_t size);
/* The shortest digits that read back as the same value. */
void akin_reply_double(akin_reply *reply, double value);
void akin_reply_float(akin_reply *reply, float value);
void akin_reply_bool(akin_reply *reply, bool value);
void akin_reply_null(akin_reply *reply);
void akin_reply_null_array(akin_reply *reply); /* differs in version 2 only */
/* Headers; the caller then writes n values (map: n keys and n values). */
void akin_reply_array(akin_reply *reply, size_t n);
void akin_reply_map(akin_reply *reply, size_t n);
void akin_reply_set(akin_reply *reply, size_t n);
/* A name and its value, of a map. Text: NULL and empty are null. */
void akin_reply_row_text(akin_reply *reply, const char *name,
                         const char *value);
void akin_reply_row_int(akin_reply *reply, const char *name, uint64_t value);

/* ---- numbers in requests ------------------------------------------------ */

/* Decimal, whole argument, no blanks. false when it is not a number or does
 * not fit. */
bool akin_span_int(akin_span text, int64_t *out);
/* Finite; also accepts what strtod does except hexadecimal. */
bool akin_span_double(akin_span text, double *out);
/* The same for a component of a vector: the nearest float, or very rarely, half
 * way between two, the other one; false when it is beyond floats. */
bool akin_span_float(akin_span text, float *out);
/* Compares with a word, upper and lower case alike (ASCII). */
bool akin_span_is(akin_span text, const char *word);

#endif
