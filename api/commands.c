/* The command table and how a request finds its row. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#define READ  AKIN_CMD_READ
#define WRITE AKIN_CMD_WRITE
#define ADMIN AKIN_CMD_ADMIN
#define LOOP  AKIN_CMD_LOOP
#define SLOW  AKIN_CMD_SLOW
#define OPEN  AKIN_CMD_OPEN
#define KEY   AKIN_CMD_KEY
#define AUDIT AKIN_CMD_AUDIT

#define SOURCE                                                                 \
    "(ELE element | FP32 blob | VALUES n value ... | TEXT words | IMAGE "      \
    "bytes)"

/* What VSIM and AKIN.SEARCH understand behind the collection. */
#define QUERY                                                                  \
    SOURCE " [WEIGHT w] [" SOURCE " [WEIGHT w] ...]"                           \
           " [COUNT n] [OFFSET n] [FILTER expression] [EPSILON distance]"      \
           " [SPACE image|caption|both|auto] [NOSELF] [TRUTH] [RECALL r]"      \
           " [NPROBE n] [TIMEOUT ms]"

static const akin_command table[] = {
    /* vector sets, as Redis has them */
    {"VADD", -5, WRITE | KEY, akin_cmd_vadd, "vector",
     "add an element, or change it",
     "key [REDUCE dim] (FP32 blob | VALUES n value ... | IMAGE bytes | TEXT "
     "words | CAPTION words) element [CAPTION words] [SETATTR json] [PATH "
     "path] [MODIFIED ms] [DESCRIBE] [CAPTIONS metadata|filename|none] [CAS] "
     "[NOQUANT | Q8 | BIN] [EF n] [M n]"},
    {"VSIM", -4, READ | KEY, akin_cmd_vsim, "vector",
     "elements most similar to a vector, element, text or picture",
     "key " QUERY " [WITHSCORES] [WITHATTRIBS] [EF n] [FILTER-EF n] "
     "[NOTHREAD]"},
    {"VREM", 3, WRITE | KEY | AUDIT, akin_cmd_vrem, "vector",
     "remove an element", "key element"},
    {"VCARD", 2, READ | KEY, akin_cmd_vcard, "vector",
     "how many elements there are", "key"},
    {"VDIM", 2, READ | KEY, akin_cmd_vdim, "vector", "width of the vectors",
     "key"},
    {"VEMB", -3, READ | KEY, akin_cmd_vemb, "vector", "vector of an element",
     "key element [RAW] [SPACE image|caption]"},
    {"VGETATTR", 3, READ | KEY, akin_cmd_vgetattr, "vector",
     "attributes of an element", "key element"},
    {"VSETATTR", 4, WRITE | KEY, akin_cmd_vsetattr, "vector",
     "replace the attributes of an element; \"\" removes them",
     "key element json"},
    {"VINFO", 2, READ | KEY, akin_cmd_vinfo, "vector", "about a vector set",
     "key"},
    {"VISMEMBER", 3, READ | KEY, akin_cmd_vismember, "vector",
     "whether an element is there", "key element"},
    {"VRANDMEMBER", -2, READ | KEY, akin_cmd_vrandmember, "vector",
     "elements at random", "key [count]"},
    {"VRANGE", -4, READ | KEY, akin_cmd_vrange, "vector",
     "elements in bytewise order", "key start end [count]"},

    /* what Redis has no word for */
    {"AKIN.SEARCH", -4, READ | KEY, akin_cmd_search, "akin",
     "like VSIM, with everything known about each match",
     "collection " QUERY " [WITHCAPTIONS]"},
    {"AKIN.GET", 3, READ | KEY, akin_cmd_get, "akin", "an item, whole",
     "collection id"},
    {"AKIN.THUMB", 3, READ | KEY, akin_cmd_thumb, "akin",
     "the small picture of an item", "collection id"},
    {"AKIN.COUNT", -2, READ | KEY, akin_cmd_count, "akin",
     "how many items pass a filter", "collection [FILTER expression]"},
    {"AKIN.EMBED", -3, READ, akin_cmd_embed, "akin",
     "the embedding of a text or picture",
     "(TEXT words | IMAGE bytes) [COLLECTION name] [FP32]"},
    {"AKIN.MODEL", -1, READ, akin_cmd_model, "akin",
     "about the model of a collection, or of new ones", "[COLLECTION name]"},
    {"AKIN.CREATE", -2, WRITE | KEY, akin_cmd_create, "akin",
     "make a collection",
     "collection [MODEL directory] [DIM n] [RECALL r] [SCHEMA field "
     "text|number|bool "
     "...]"},
    {"AKIN.DROP", 2, WRITE | KEY | AUDIT, akin_cmd_drop, "akin",
     "remove a collection and all that is in it", "collection"},
    {"AKIN.LIST", 1, READ, akin_cmd_list, "akin", "the collections", ""},
    {"AKIN.INFO", 2, READ | KEY, akin_cmd_describe, "akin",
     "about a collection", "collection"},
    {"AKIN.INGEST", -3, WRITE | KEY, akin_cmd_ingest, "akin",
     "add files, folders and catalogues that the server can read; gives a job",
     "collection [FLAT] [HIDDEN] [FOLLOW] [FORCE] [PRUNE] [CAPTIONS "
     "metadata|filename|none] path [path ...]"},
    {"AKIN.JOB", -2, READ | SLOW, akin_cmd_job, "akin", "long work",
     "id | LIST | WAIT id [timeout-ms] | CANCEL id | RESUME id | FAILURES id"},
    {"AKIN.RECALL", -2, READ | KEY | SLOW, akin_cmd_recall, "akin",
     "measure recall@10 of the indexes against exact search, and keep it for "
     "the planner: the curve, its 95% intervals, queries a second",
     "collection [SPACE image|caption] [TEXT] [SAMPLE n]"},
    {"AKIN.TUNE", 2, READ | KEY, akin_cmd_tune, "akin",
     "what index suits a collection, why, and what it takes", "collection"},
    {"AKIN.REBUILD", -2, WRITE | KEY, akin_cmd_rebuild, "akin",
     "train and build the indexes anew while searches go on; gives a job",
     "collection [INDEX IVFn[,PQm]]"},
    {"AKIN.REINDEX", -2, WRITE | KEY | AUDIT, akin_cmd_reindex, "akin",
     "build the indexes anew, or embed with another model; gives a job",
     "collection [MODEL directory]"},
    {"AKIN.CHECK", -1, READ | SLOW, akin_cmd_check, "akin",
     "check store and indexes against each other", "[collection] [REPAIR]"},
    {"AKIN.DUPES", -2, READ | KEY | SLOW, akin_cmd_dupes, "akin",
     "groups of duplicate pictures, with the evidence",
     "collection [LEVEL exact|near|similar] [COUNT n] [CURSOR n] [PREFER "
     "path] ... [KEEP rule[,rule...]]"},
    {"AKIN.DISMISS", -4, WRITE | KEY, akin_cmd_dismiss, "akin",
     "these are no duplicates of each other; UNDO: they may be",
     "collection [UNDO] id id [id ...]"},
    {"AKIN.MERGE", -4, WRITE | KEY, akin_cmd_merge, "akin",
     "put what is known of copies (captions, tags, attributes) into the item "
     "that is kept",
     "collection [DRYRUN] keep id [id ...]"},
    {"AKIN.AUDIT", -1, READ, akin_cmd_audit, "akin",
     "who removed what, and when, newest first; a run of the same command of "
     "one client is one entry",
     "[COUNT n]"},
    {"AKIN.SNAPSHOT", -2, ADMIN, akin_cmd_snapshot, "akin",
     "copy the store, or one collection, as of one moment while everything "
     "goes on; read the copy piece by piece (at most 4 MiB); write that of a "
     "collection back in pieces and make the collection what it was then",
     "CREATE [COLLECTION name] | LIST [COLLECTION name] | READ snapshot offset "
     "bytes [COLLECTION name] | DELETE snapshot [COLLECTION name] | WRITE "
     "offset "
     "bytes | RECOVER collection sha256 [REPLACE] | PROGRESS [client] | "
     "CANCEL [client]"},
    {"AKIN.SAVE", 1, WRITE | SLOW, akin_cmd_save, "akin",
     "write indexes to disk now", ""},
    {"AKIN.CONFIG", -3, ADMIN, akin_cmd_config, "akin", "options",
     "GET pattern | SET option value"},
    {"AKIN.HELP", -1, READ | LOOP, akin_cmd_help, "akin",
     "this list, or one command", "[command]"},

    /* the connection and the server, as Redis clients expect them */
    {"PING", -1, READ | LOOP, akin_cmd_ping, "connection",
     "answers PONG, or the message", "[message]"},
    {"ECHO", 2, READ | LOOP, akin_cmd_echo, "connection",
     "answers with the message", "message"},
    {"HELLO", -1, READ | LOOP | OPEN, akin_cmd_hello, "connection",
     "choose the protocol, log in, name the client",
     "[2|3 [AUTH user password] [SETNAME name]]"},
    {"AUTH", -2, READ | LOOP | OPEN, akin_cmd_auth, "connection", "log in",
     "[user] password"},
    {"SELECT", 2, READ | LOOP, akin_cmd_select, "connection",
     "there is one database, 0", "0"},
    {"CLIENT", -2, READ | LOOP, akin_cmd_client, "connection",
     "this connection and the others",
     "ID | INFO | LIST | GETNAME | SETNAME name | SETINFO LIB-NAME|LIB-VER "
     "value | NO-EVICT ON|OFF | NO-TOUCH ON|OFF"},
    {"RESET", 1, READ | LOOP | OPEN, akin_cmd_reset, "connection",
     "the connection as it was when it was new", ""},
    {"QUIT", -1, READ | LOOP | OPEN, akin_cmd_quit, "connection",
     "close the connection", ""},
    {"COMMAND", -1, READ | LOOP, akin_cmd_command, "server", "the commands",
     "[COUNT | LIST | INFO [command ...] | DOCS [command ...]]"},
    {"INFO", -1, READ, akin_cmd_info, "server", "state of the server",
     "[section ...]"},
    {"SLOWLOG", -2, ADMIN | LOOP, akin_cmd_slowlog, "server",
     "the requests that took longer than option slow-log says",
     "GET [count] | LEN | RESET"},
    {"SHUTDOWN", -1, ADMIN | LOOP, akin_cmd_shutdown, "server",
     "finish what runs and end the server", "[SAVE | NOSAVE]"},
};

#define NCOMMANDS (sizeof table / sizeof *table)

const akin_command *akin_commands(size_t *n)
{
    *n = NCOMMANDS;
    return table;
}

const akin_command *akin_command_find(akin_span name)
{
    for (size_t i = 0; i < NCOMMANDS; i++)
        if (akin_span_is(name, table[i].name)) return &table[i];
    return NULL;
}

bool akin_command_is_slow(const akin_command *row, size_t argc,
                          const akin_span *argv)
{
    if (row->run == akin_cmd_job) /* only waiting takes long */
        return argc > 1 && akin_span_is(argv[1], "WAIT");
    if (row->run == akin_cmd_snapshot) return akin_snapshot_is_slow(argc, argv);
    return row->flags & SLOW;
}

akin_status akin_service_init(akin_service *service, akin_engine *engine,
                              akin_config *config, akin_error *err)
{
    *service = (akin_service){
        .engine = engine, .config = config, .started_ms = akin_now_ms()};
    service->stats = akin_calloc(NCOMMANDS, sizeof *service->stats);
    if (!service->stats)
        return akin_fail(err, AKIN_NOMEM, "no memory for the statistics");
    pthread_mutex_init(&service->snapshot.lock, NULL);
    return akin_slowlog_open(&service->slowlog, err);
}

void akin_service_clear(akin_service *service)
{
    if (service->stats) pthread_mutex_destroy(&service->snapshot.lock);
    akin_free(service->stats);
    akin_slowlog_close(service->slowlog);
    service->stats = NULL;
    service->slowlog = NULL;
}

/* Keeps the start of an argument for a message: cut, and only printable. */
static void quote(akin_buf *out, akin_span text)
{
    const unsigned char *s = text.data;
    akin_buf_append(out, "'", 1);
    for (size_t i = 0; i < text.size && i < 128; i++)
        akin_buf_append(out, s[i] < ' ' || s[i] == 127 ? "?" : (char *)&s[i],
                        1);
    akin_buf_append(out, "'", 1);
}

static void unknown_command(akin_call *call)
{
    akin_buf text = {0};
    akin_buf_text(&text, "unknown command ");
    quote(&text, call->argv[0]);
    akin_buf_text(&text, ", with args beginning with: ");
    for (size_t i = 1; i < call->argc && text.size < 256; i++) {
        quote(&text, call->argv[i]);
        akin_buf_text(&text, " ");
    }
    const char *message = akin_buf_cstr(&text);
    akin_reply_error(call->reply, "ERR", message ? message : "unknown command");
    akin_buf_clear(&text);
}

static bool arity_fits(const akin_command *row, size_t argc)
{
    return row->arity >= 0 ? argc == (size_t)row->arity
                           : argc >= (size_t)-row->arity;
}

static void wrong_arity(akin_call *call, const akin_command *row)
{
    char name[AKIN_COMMAND_BYTES], message[96];
    snprintf(message, sizeof message,
             "wrong number of arguments for '%s' command",
             akin_lower_name(row->name, name));
    akin_reply_error(call->reply, "ERR", message);
}

/* Puts an error in the place of whatever the handler wrote. */
static void replace_by_error(akin_reply *reply, size_t mark, akin_status status,
                             const char *message)
{
    reply->out.failed = false;
    reply->out.size = mark;
    akin_reply_error(reply, akin_status_resp(status), message);
}

static void count_call(akin_command_stats *stats, uint64_t ns, bool failed)
{
    unsigned bucket = 0;
    while (bucket + 1 < AKIN_LATENCY_BUCKETS && ns >> bucket >= 64000)
        bucket++;
    atomic_fetch_add(&stats->calls, 1);
    atomic_fetch_add(&stats->ns, ns);
    atomic_fetch_add(&stats->latency[bucket], 1);
    if (failed) atomic_fetch_add(&stats->failed, 1);
}

bool akin_took_long(const akin_service *service, uint64_t ns)
{
    if (!service->server) return false;
    double limit_ms = akin_config_real(service->config, "slow-log");
    return limit_ms > 0 && (double)ns / 1e6 >= limit_ms;
}

/* What waits by its nature is not slow, and what runs on the loop may hold a
 * password. */
static void note_slow(const akin_call *call, const akin_command *row,
                      uint64_t ns)
{
    const akin_session *session = call->session;
    if (row->flags & LOOP ||
        akin_command_is_slow(row, call->argc, call->argv) ||
        !akin_took_long(call->service, ns))
        return;
    akin_slowlog_note(call->service->slowlog, ns, call->argv, call->argc,
                      session->address ? session->address : "", session->name);
}

/* Whether the reply from `mark` on is 0 or false: there was nothing to remove. */
static bool says_nothing(const akin_reply *reply, size_t mark)
{
    const uint8_t *text = reply->out.data + mark;
    return reply->out.size - mark == 4 &&
           (!memcmp(text, ":0\r\n", 4) || !memcmp(text, "#f\r\n", 4));
}

/* After a handler: the error's reply if it failed; the figures. mark: where its
 * reply begins. */
static void finish(akin_call *call, const akin_command *row, size_t mark,
                   akin_status rc, const akin_error *err, uint64_t ns)
{
    akin_reply *reply = call->reply;
    if (rc)
        replace_by_error(reply, mark, rc,
                         err->message[0] ? err->message : akin_status_text(rc));
    else if (reply->out.failed)
        replace_by_error(reply, mark, AKIN_TOO_LARGE,
                         "the reply is too large; ask for less at a time");
    bool failed = reply->out.size > mark && reply->out.data[mark] == '-';
    count_call(&call->service->stats[row - table], ns, failed);
    note_slow(call, row, ns);
    if (row->flags & AUDIT && !failed && !says_nothing(reply, mark))
        akin_audit_call(call, row);
}

static void run(akin_call *call, const akin_command *row)
{
    size_t mark = call->reply->out.size;
    uint64_t start = akin_mono_ns();
    akin_error err = {.status = AKIN_INTERNAL, .message = ""};
    akin_status rc = row->run(call, &err);
    finish(call, row, mark, rc, &err, akin_mono_ns() - start);
}

void akin_dispatch(akin_call *call)
{
    const akin_command *row = akin_command_find(call->argv[0]);
    if (!call->session->authenticated && !(row && row->flags & OPEN)) {
        akin_reply_error(call->reply, "NOAUTH", "Authentication required.");
    } else if (!row) {
        unknown_command(call);
    } else if (!arity_fits(row, call->argc)) {
        atomic_fetch_add(&call->service->stats[row - table].rejected, 1);
        wrong_arity(call, row);
    } else {
        run(call, row);
    }
}

bool akin_dispatch_quick(akin_call *call, uint64_t most_ns)
{
    const akin_command *row = akin_command_find(call->argv[0]);
    size_t mark = call->reply->out.size;
    uint64_t start = akin_mono_ns();
    akin_error err = {.status = AKIN_INTERNAL, .message = ""};
    if (!row || row->run != akin_cmd_vsim || !call->session->authenticated ||
        !arity_fits(row, call->argc) || !akin_vsim_is_quick(call, most_ns))
        return false;
    call->from_memory = true;
    akin_status rc = row->run(call, &err);
    call->from_memory = false;
    if (rc == AKIN_BUSY) {
        call->reply->out.size = mark;
        return false;
    }
    finish(call, row, mark, rc, &err, akin_mono_ns() - start);
    return true;
}

/* How many of the calls, from the first, are that command on one collection. */
static size_t run_of(const akin_call *calls, size_t n, const akin_command *row)
{
    size_t i = 0;
    while (i < n && arity_fits(row, calls[i].argc) &&
           akin_span_is(calls[i].argv[0], row->name) &&
           calls[i].argv[1].size == calls[0].argv[1].size &&
           !memcmp(calls[i].argv[1].data, calls[0].argv[1].data,
                   calls[0].argv[1].size))
        i++;
    return i;
}

static void vadd_together(akin_call *calls, size_t n, const akin_command *row,
                          const char *collection)
{
    akin_command_stats *stats = &calls->service->stats[row - table];
    uint64_t start = akin_mono_ns();
    akin_vadd_many(calls, n, collection);
    uint64_t ns = (akin_mono_ns() - start) / n;
    for (size_t i = 0; i < n; i++) {
        count_call(stats, ns, false);
        note_slow(&calls[i], row, ns);
    }
}

/* Answers some of n, and returns how many; or 0. */
static size_t vsim_together(akin_call *calls, size_t n, const akin_command *row)
{
    uint64_t start = akin_mono_ns();
    size_t asked;
    akin_vsims *vsims = akin_vsims_ask(calls, n, &asked);
    for (size_t i = 0; i < asked; i++) {
        akin_error err = {.status = AKIN_INTERNAL, .message = ""};
        size_t mark = calls[i].reply->out.size;
        akin_status rc = akin_vsims_answer(vsims, i, &calls[i], &err);
        finish(&calls[i], row, mark, rc, &err,
               (akin_mono_ns() - start) / asked);
    }
    akin_vsims_free(vsims);
    return asked;
}

size_t akin_dispatch_some(akin_call *calls, size_t n)
{
    const akin_command *row = akin_command_find(calls->argv[0]);
    char collection[AKIN_NAME_BYTES + 1];
    bool vadd = row && row->run == akin_cmd_vadd;
    bool vsim = row && row->run == akin_cmd_vsim;
    size_t run = 0;
    if ((vadd || vsim) && calls->session->authenticated)
        run = run_of(calls, n, row);
    if (run > 1 && !akin_collection_name(calls->argv[1], collection, NULL)) {
        if (vadd) {
            vadd_together(calls, run, row, collection);
            return run;
        }
        run = vsim_together(calls, run, row);
        if (run) return run;
    }
    akin_dispatch(calls);
    return 1;
}
