/* The command table: one row a command, read by the server, the command line,
 * COMMAND, AKIN.HELP, the completions and (for what it publishes) HTTP.
 *
 * A handler parses its arguments into a struct, calls the engine and writes the
 * reply. It runs on a worker thread, unless its row says AKIN_CMD_LOOP: then on
 * the thread that owns the session (in the server: the loop), where it must
 * neither wait nor touch the engine. */
#ifndef AKIN_API_COMMANDS_H
#define AKIN_API_COMMANDS_H

#include <pthread.h>
#include <stdatomic.h>

#include "akin_base.h"
#include "akin_engine.h"
#include "resp.h"
#include "slowlog.h"

#define AKIN_CLIENT_NAME_BYTES 64

typedef struct akin_server akin_server;

/* One connection's state; one command of it runs at a time. Only commands that
 * run on the session's own thread (AKIN_CMD_LOOP) change it. */
typedef struct {
    uint64_t id;
    int proto; /* 2 or 3 */
    bool authenticated;
    bool quit; /* close once the reply is out */
    char name[AKIN_CLIENT_NAME_BYTES + 1];
    char library[AKIN_CLIENT_NAME_BYTES + 1];
    char library_version[AKIN_CLIENT_NAME_BYTES + 1];
    const char *last; /* name of the last command, kept by the loop; static */
    const char *address; /* of the peer, the connection's; NULL: none */
} akin_session;

/* How often a command ran and how long; bucket i counts calls of less than
 * 2^i * 64 microseconds, the last one all others. */
#define AKIN_LATENCY_BUCKETS 20
typedef struct {
    _Atomic uint64_t calls, failed, rejected, ns;
    _Atomic uint64_t latency[AKIN_LATENCY_BUCKETS];
} akin_command_stats;

/* What AKIN.SNAPSHOT is making or putting back, if anything. */
typedef struct {
    pthread_mutex_t lock; /* of all below */
    bool running, cancel;
    uint64_t owner; /* the session's id */
    akin_progress progress;
} akin_snapshot_work;

/* What commands work on; lives as long as anything that dispatches. */
typedef struct {
    akin_engine *engine;
    akin_config *config;
    akin_server *server; /* NULL: no server, the command line in-process */
    uint16_t http_port;  /* 0: no HTTP */
    char password[256];  /* empty: none wanted */
    int64_t started_ms;
    atomic_bool stopping;      /* long waits end early */
    atomic_uint waits;         /* AKIN.JOB WAIT under way */
    akin_command_stats *stats; /* a row each, as in akin_commands */
    akin_slowlog *slowlog;
    akin_snapshot_work snapshot;
} akin_service;

/* engine and config are borrowed. */
akin_status akin_service_init(akin_service *service, akin_engine *engine,
                              akin_config *config,
                              akin_error *err) AKIN_MUST_CHECK;
void akin_service_clear(akin_service *service);

/* A command being run. */
typedef struct {
    akin_service *service;
    akin_session *session;
    size_t argc; /* name counted */
    const akin_span *argv;
    akin_reply *reply;
    bool from_memory; /* fail with AKIN_BUSY rather than read from disk */
} akin_call;

/* Any status but AKIN_OK becomes an error reply and takes back what was
 * written before. */
typedef akin_status akin_handler(akin_call *call, akin_error *err);

enum {
    AKIN_CMD_READ = 1 << 0,
    AKIN_CMD_WRITE = 1 << 1,
    AKIN_CMD_ADMIN = 1 << 2,
    AKIN_CMD_LOOP = 1 << 3, /* runs on the session's own thread */
    AKIN_CMD_SLOW = 1 << 4, /* may take minutes: on the pool for such */
    AKIN_CMD_OPEN = 1 << 5, /* before AUTH too */
    AKIN_CMD_KEY = 1 << 6,  /* the first argument is a collection */
    AKIN_CMD_AUDIT = 1 << 7 /* destroys: noted in the audit */
};

typedef struct {
    const char *name;
    int arity; /* arguments with the name; negative: at least that many */
    unsigned flags;
    akin_handler *run;
    const char *group;
    const char *summary;
    const char *syntax; /* of the arguments */
} akin_command;

/* The table, sorted by group and importance. */
const akin_command *akin_commands(size_t *n);
/* NULL when there is none of that name; case does not matter. */
const akin_command *akin_command_find(akin_span name);

/* Whether this request belongs on the pool for what may take minutes. */
bool akin_command_is_slow(const akin_command *row, size_t argc,
                          const akin_span *argv);

/* Runs one request and appends its reply: finds the row, checks password and
 * arity, counts. Exactly one reply is appended, whatever happens. */
void akin_dispatch(akin_call *call);

/* The same for the first of several requests of one session in a row, and for
 * those behind it that share work with it: VADDs on one collection are one
 * transaction and fill the encoder's batches, VSIMs on one, AKIN_VSIMS_MOST at
 * most, are one search. Returns how many it answered, in their order. */
size_t akin_dispatch_some(akin_call *calls, size_t n);

/* Runs a request that is answered from memory in about most_ns, such as a search
 * for a vector, and appends its reply. False: it is not such a one, or turned out
 * not to be, maybe after the search; nothing was appended or counted. For the
 * loop: waits for no lock that is held while a file or the store is read or
 * written, a dropped collection's removal aside if this was its last user. */
bool akin_dispatch_quick(akin_call *call, uint64_t most_ns);

/* Notes in the audit what has destroyed something. address, client: of who asked,
 * NULL and "": this process' user. Best effort: a failure is logged. */
void akin_audit(akin_service *service, const char *address, const char *client,
                akin_span what, akin_span detail);
void akin_audit_call(const akin_call *call, const akin_command *row);

/* ---- shared by the handlers (commands_*.c) --------------------------------- */

/* The start of an argument, for the %.*s of a message. */
#define AKIN_SHOWN(span)                                                       \
    (int)((span).size < 60 ? (span).size : 60), (const char *)(span).data

/* Arguments not read yet. */
typedef struct {
    const akin_span *argv;
    size_t n, at;
} akin_args;

akin_args akin_args_of(const akin_call *call, size_t from);
/* Takes the next argument when it is this word. */
bool akin_args_word(akin_args *args, const char *word);
/* Takes the next argument; what: for the message when there is none. */
akin_status akin_args_next(akin_args *args, const char *what, akin_span *out,
                           akin_error *err) AKIN_MUST_CHECK;
akin_status akin_args_int(akin_args *args, const char *what, int64_t min,
                          int64_t max, int64_t *out,
                          akin_error *err) AKIN_MUST_CHECK;
akin_status akin_args_double(akin_args *args, const char *what, double min,
                             double max, double *out,
                             akin_error *err) AKIN_MUST_CHECK;
/* FP32 blob or VALUES n v ..., the word already taken; *out for akin_free. */
akin_status akin_args_fp32(akin_args *args, float **out, uint32_t *dim,
                           akin_error *err) AKIN_MUST_CHECK;
akin_status akin_args_values(akin_args *args, float **out, uint32_t *dim,
                             akin_error *err) AKIN_MUST_CHECK;
/* metadata, filename or none. */
akin_status akin_args_captions(akin_args *args, akin_caption_from *out,
                               akin_error *err) AKIN_MUST_CHECK;
/* Copies a name that the engine wants NUL-terminated. */
akin_status akin_collection_name(akin_span text, char out[AKIN_NAME_BYTES + 1],
                                 akin_error *err) AKIN_MUST_CHECK;
#define AKIN_COMMAND_BYTES 32 /* longest name of a command, and its NUL */
/* "VADD" to "vadd"; gives out. */
const char *akin_lower_name(const char *name, char out[AKIN_COMMAND_BYTES]);
/* "syntax error" with the option that was not understood. */
akin_status akin_bad_option(akin_span option, akin_error *err);

/* Whether what took ns belongs into the service's slow log: never without a
 * server. */
bool akin_took_long(const akin_service *service, uint64_t ns);

/* Appends INFO's text for one section (NULL: the usual ones) to out. */
void akin_info_text(akin_service *service, const char *section, akin_buf *out);

/* VADDs on one collection, as one put; writes n replies. */
void akin_vadd_many(akin_call *calls, size_t n, const char *collection);

/* Whether this VSIM asks for ids by a vector alone, in a collection where that
 * takes most_ns at most. */
bool akin_vsim_is_quick(const akin_call *call, uint64_t most_ns);
/* VSIMs on one collection, searched as one; or NULL, and calls is to be
 * dispatched alone. *asked: so many of them. More would have the first wait, and
 * gain little. */
#define AKIN_VSIMS_MOST 8
typedef struct akin_vsims akin_vsims;
akin_vsims *akin_vsims_ask(akin_call *calls, size_t n, size_t *asked);
/* As the handler of call i. */
akin_status akin_vsims_answer(const akin_vsims *vsims, size_t i,
                              akin_call *call, akin_error *err);
void akin_vsims_free(akin_vsims *vsims); /* no-op on NULL */

/* The handlers, by file. */
akin_handler akin_cmd_ping, akin_cmd_echo, akin_cmd_quit, akin_cmd_hello,
    akin_cmd_auth, akin_cmd_select, akin_cmd_reset, akin_cmd_client,
    akin_cmd_command, akin_cmd_info, akin_cmd_shutdown; /* commands_client.c */
akin_handler akin_cmd_vadd, akin_cmd_vrem, akin_cmd_vcard, akin_cmd_vdim,
    akin_cmd_vemb, akin_cmd_vgetattr, akin_cmd_vsetattr, akin_cmd_vinfo,
    akin_cmd_vismember, akin_cmd_vrandmember,
    akin_cmd_vrange;                         /* commands_vector.c */
akin_handler akin_cmd_vsim, akin_cmd_search; /* commands_search.c */
akin_handler akin_cmd_create, akin_cmd_drop, akin_cmd_list, akin_cmd_describe,
    akin_cmd_get, akin_cmd_thumb, akin_cmd_count, akin_cmd_embed,
    akin_cmd_config, akin_cmd_help; /* commands_akin.c */
akin_handler akin_cmd_ingest, akin_cmd_job, akin_cmd_check,
    akin_cmd_save; /* commands_job.c */
akin_handler akin_cmd_recall, akin_cmd_tune, akin_cmd_rebuild,
    akin_cmd_reindex; /* commands_index.c */
akin_handler akin_cmd_dupes, akin_cmd_dismiss,
    akin_cmd_merge;             /* commands_dupes.c */
akin_handler akin_cmd_slowlog;  /* commands_slowlog.c */
akin_handler akin_cmd_audit;    /* commands_audit.c */
akin_handler akin_cmd_model;    /* commands_model.c */
akin_handler akin_cmd_snapshot; /* commands_snapshot.c */
bool akin_snapshot_is_slow(size_t argc, const akin_span *argv);

#endif
