/* One way to ask, whether the data is in a directory we open or behind a
 * socket. In-process, a command's words go to akin_dispatch and the bytes of its
 * reply into the same reader that hiredis uses for a connection, so that what
 * prints cannot tell the difference. */
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

#define DEFAULT_PORT 7801
#define TEXT_BYTES   4096

struct akin_link {
    /* connection */
    redisContext *context;
    bool unix_socket;
    /* directory */
    akin_engine *engine;
    akin_service service;
    bool service_open;
    akin_session session;
    redisReader *reader;
};

/* ---- where things are ----------------------------------------------------------- */

const char *akin_cli_data_dir(akin_config *config, char *out, size_t size)
{
    const char *home = getenv("XDG_DATA_HOME");
    akin_config_text(config, "data", out, size);
    if (*out) return out;
    if (home && *home == '/') {
        snprintf(out, size, "%s/akin", home);
    } else {
        home = getenv("HOME");
        snprintf(out, size, "%s/.local/share/akin", home ? home : ".");
    }
    return out;
}

static bool is_directory(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The starter model: installed beside the program, or in the source tree that
 * the program was built in. */
static bool find_starter(char *out, size_t size)
{
    static const char *const places[] = {"../share/akin/models/starter",
                                         "../models/starter",
                                         "../../models/starter"};
    char program[TEXT_BYTES];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0) return false;
    program[n] = 0;
    char *slash = strrchr(program, '/');
    if (!slash) return false;
    slash[1] = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *path = akin_format("%s%s", program, places[i]);
        char *real = path && is_directory(path) ? realpath(path, NULL) : NULL;
        bool found = real && strlen(real) < size;
        if (found) memcpy(out, real, strlen(real) + 1);
        free(real);
        akin_free(path);
        if (found) return true;
    }
    return false;
}

akin_status akin_cli_default_model(akin_config *config, akin_error *err)
{
    char model[TEXT_BYTES];
    akin_config_text(config, "model", model, sizeof model);
    if (*model && !is_directory(model))
        return akin_fail(err, AKIN_NOT_FOUND,
                         "no such model directory '%s'; give one that holds "
                         "config.json and model.safetensors, as Hugging Face "
                         "publishes CLIP, or leave --model (AKIN_MODEL) away "
                         "for the starter model",
                         model);
    if (*model || !find_starter(model, sizeof model)) return AKIN_OK;
    return akin_config_set(config, "model", model, err);
}

/* ---- connecting -------------------------------------------------------------------- */

/* "host", "host:port", "[::1]:port"; false: not that. */
static bool split_address(const char *text, char *host, size_t size, int *port)
{
    const char *end = text + strlen(text), *colon = strrchr(text, ':');
    *port = DEFAULT_PORT;
    if (*text == '[') {
        end = strchr(text, ']');
        if (!end) return false;
        colon = end[1] == ':' ? end + 1 : NULL;
        text++;
    } else if (colon) {
        end = colon;
    }
    if (colon) {
        int64_t n;
        if (!akin_span_int(akin_span_of(colon + 1), &n) || n < 1 || n > 65535)
            return false;
        *port = (int)n;
    }
    if (end <= text || (size_t)(end - text) >= size) return false;
    memcpy(host, text, (size_t)(end - text));
    host[end - text] = 0;
    return true;
}

static bool names_socket(const char *where)
{
    size_t n = strlen(where);
    return strchr(where, '/') || (n > 5 && !strcmp(where + n - 5, ".sock"));
}

static akin_status log_in(akin_link *link, akin_config *config, akin_error *err)
{
    char password[256];
    akin_config_text(config, "requirepass", password, sizeof password);
    if (!*password) return AKIN_OK;
    akin_span argv[] = {akin_span_of("AUTH"), akin_span_of("default"),
                        akin_span_of(password)};
    redisReply *reply = NULL;
    akin_status rc = akin_link_call(link, argv, 3, &reply, err);
    freeReplyObject(reply);
    return rc;
}

static akin_status connect_to(akin_link *link, const char *where,
                              akin_config *config, akin_error *err)
{
    struct timeval patience = {.tv_sec = 5};
    char host[256];
    int port;
    if (names_socket(where)) {
        link->context = redisConnectUnixWithTimeout(where, patience);
        link->unix_socket = true;
    } else if (split_address(where, host, sizeof host, &port)) {
        link->context = redisConnectWithTimeout(host, port, patience);
    } else {
        return akin_fail(err, AKIN_INVALID,
                         "cannot connect to '%s': expected HOST:PORT or the "
                         "path of a socket",
                         where);
    }
    if (!link->context)
        return akin_fail(err, AKIN_NOMEM, "no memory to connect");
    if (link->context->err)
        return akin_fail(err, AKIN_IO,
                         "cannot connect to %s: %s; is the server running? "
                         "('akin serve')",
                         where, link->context->errstr);
    return log_in(link, config, err);
}

/* ---- opening a directory --------------------------------------------------------------- */

static bool has_database(const char *dir)
{
    char *path = akin_format("%s/akin.db", dir);
    bool there = path && !access(path, F_OK);
    akin_free(path);
    return there;
}

static akin_status open_engine(akin_link *link, const char *dir,
                               const akin_link_options *options,
                               akin_error *err)
{
    akin_engine_options engine = {.data_dir = dir, .config = options->config};
    akin_status rc = akin_engine_open(&engine, &link->engine, err);
    if (rc == AKIN_BUSY && !options->write) {
        engine.read_only = true; /* somebody is adding: reading is fine */
        rc = akin_engine_open(&engine, &link->engine, err);
    }
    if (rc == AKIN_BUSY) akin_fail_prefix(err, rc, "cannot write");
    return rc;
}

static akin_status open_directory(akin_link *link,
                                  const akin_link_options *options,
                                  akin_error *err)
{
    char dir[TEXT_BYTES];
    akin_status rc = AKIN_OK;
    if (options->data)
        snprintf(dir, sizeof dir, "%s", options->data);
    else
        akin_cli_data_dir(options->config, dir, sizeof dir);
    char *socket_path = akin_format("%s/akin.sock", dir);
    if (!socket_path) return akin_fail(err, AKIN_NOMEM, "no memory");
    /* A server that has the directory answers for it. A socket that nobody
     * listens on was left by a crash. */
    if (!access(socket_path, F_OK)) {
        rc = connect_to(link, socket_path, options->config, err);
        if (!rc || (link->context && !link->context->err)) goto done;
        rc = AKIN_OK;
    }
    if (link->context) redisFree(link->context);
    link->context = NULL;
    link->unix_socket = false;
    if (!options->write && !has_database(dir)) {
        rc = akin_fail(err, AKIN_NOT_FOUND,
                       "there is no akin data in '%s'; 'akin add FILES' makes "
                       "it, --data DIR or AKIN_DATA names another place",
                       dir);
        goto done;
    }
    rc = akin_cli_default_model(options->config, err);
    if (!rc) rc = open_engine(link, dir, options, err);
    if (!rc)
        rc = akin_service_init(&link->service, link->engine, options->config,
                               err);
    if (rc) goto done;
    link->service_open = true;
    link->session = (akin_session){.proto = 2, .authenticated = true};
    link->reader = redisReaderCreate();
    if (!link->reader) rc = akin_fail(err, AKIN_NOMEM, "no memory");
done:
    akin_free(socket_path);
    return rc;
}

akin_status akin_link_open(const akin_link_options *options, akin_link **out,
                           akin_error *err)
{
    akin_link *link = akin_calloc(1, sizeof *link);
    *out = NULL;
    if (!link) return akin_fail(err, AKIN_NOMEM, "no memory");
    akin_status rc = options->connect ? connect_to(link, options->connect,
                                                   options->config, err)
                                      : open_directory(link, options, err);
    if (rc)
        akin_link_close(link);
    else
        *out = link;
    return rc;
}

void akin_link_close(akin_link *link)
{
    if (!link) return;
    if (link->context) redisFree(link->context);
    if (link->reader) redisReaderFree(link->reader);
    if (link->service_open) akin_service_clear(&link->service);
    akin_engine_close(link->engine);
    akin_free(link);
}

akin_engine *akin_link_engine(akin_link *link)
{
    return link->engine;
}

bool akin_link_wait(akin_link *link, int timeout_ms)
{
    if (!link->context) return true;
    struct pollfd in = {.fd = link->context->fd, .events = POLLIN};
    return poll(&in, 1, timeout_ms) > 0;
}

bool akin_link_shares_files(const akin_link *link)
{
    return !link->context || link->unix_socket;
}

/* ---- asking ----------------------------------------------------------------------------- */

static akin_status dispatch_here(akin_link *link, const akin_span *argv,
                                 size_t argc, akin_error *err)
{
    akin_reply reply = {.proto = link->session.proto};
    akin_call call = {.service = &link->service,
                      .session = &link->session,
                      .argc = argc,
                      .argv = argv,
                      .reply = &reply};
    akin_dispatch(&call);
    akin_status rc = AKIN_OK;
    if (reply.out.failed ||
        redisReaderFeed(link->reader, (const char *)reply.out.data,
                        reply.out.size) != REDIS_OK)
        rc = akin_fail(err, AKIN_NOMEM, "no memory for the reply");
    akin_buf_clear(&reply.out);
    return rc;
}

static akin_status lost(akin_link *link, akin_error *err)
{
    return akin_fail(err, AKIN_IO, "the connection broke: %s",
                     link->context->errstr);
}

akin_status akin_link_send(akin_link *link, const akin_span *argv, size_t argc,
                           akin_error *err)
{
    if (!link->context) return dispatch_here(link, argv, argc, err);
    const char **words = akin_calloc(argc, sizeof *words);
    size_t *sizes = akin_calloc(argc, sizeof *sizes);
    akin_status rc = AKIN_OK;
    if (!words || !sizes) {
        rc = akin_fail(err, AKIN_NOMEM, "no memory for a command");
    } else {
        for (size_t i = 0; i < argc; i++) {
            words[i] = argv[i].data ? argv[i].data : "";
            sizes[i] = argv[i].size;
        }
        if (redisAppendCommandArgv(link->context, (int)argc, words, sizes) !=
            REDIS_OK)
            rc = lost(link, err);
    }
    akin_free(words);
    akin_free(sizes);
    return rc;
}

akin_status akin_link_flush(akin_link *link, akin_error *err)
{
    int done = !link->context;
    while (!done)
        if (redisBufferWrite(link->context, &done) != REDIS_OK)
            return lost(link, err);
    return AKIN_OK;
}

akin_status akin_link_receive(akin_link *link, redisReply **out,
                              akin_error *err)
{
    void *reply = NULL;
    *out = NULL;
    if (link->context) {
        if (redisGetReply(link->context, &reply) != REDIS_OK)
            return lost(link, err);
    } else if (redisReaderGetReply(link->reader, &reply) != REDIS_OK ||
               !reply) {
        return akin_fail(err, AKIN_INTERNAL, "a reply is malformed");
    }
    *out = reply;
    return AKIN_OK;
}

akin_status akin_link_call(akin_link *link, const akin_span *argv, size_t argc,
                           redisReply **out, akin_error *err)
{
    redisReply *reply = NULL;
    *out = NULL;
    akin_status rc = akin_link_send(link, argv, argc, err);
    if (!rc) rc = akin_link_receive(link, &reply, err);
    if (rc) return rc;
    if (reply->type == REDIS_REPLY_ERROR) {
        const char *text = reply->str;
        if (!strncmp(text, "ERR ", 4)) text += 4;
        rc = akin_fail(err, AKIN_INVALID, "%s", text);
        freeReplyObject(reply);
        return rc;
    }
    *out = reply;
    return AKIN_OK;
}

redisReply *akin_words_ask(akin_link *link, const akin_words *words)
{
    akin_error err;
    redisReply *reply = NULL;
    akin_status rc = words->failed ? akin_fail(&err, AKIN_NOMEM, "no memory")
                                   : akin_link_call(link, words->argv, words->n,
                                                    &reply, &err);
    if (rc) akin_cli_status(&err);
    return reply;
}

redisReply *akin_link_ask_all(akin_link *link, const char *const *words,
                              size_t n)
{
    akin_words all = {0};
    for (size_t i = 0; i < n; i++)
        akin_words_add(&all, words[i]);
    redisReply *reply = akin_words_ask(link, &all);
    akin_words_clear(&all);
    return reply;
}

/* ---- words --------------------------------------------------------------------------------- */

void akin_words_bytes(akin_words *words, const void *data, size_t size)
{
    if (akin_grow(&words->argv, &words->capacity, words->n + 1,
                  sizeof *words->argv, NULL))
        words->failed = true;
    else
        words->argv[words->n++] = (akin_span){data, size};
}

void akin_words_add(akin_words *words, const char *text)
{
    akin_words_bytes(words, text, strlen(text));
}

void akin_words_printf(akin_words *words, const char *fmt, ...)
{
    akin_buf text = {0};
    va_list args;
    va_start(args, fmt);
    akin_buf_vprintf(&text, fmt, args);
    va_end(args);
    const char *made = akin_buf_cstr(&text);
    if (!made || akin_grow(&words->made, &words->made_capacity,
                           words->nmade + 1, sizeof *words->made, NULL)) {
        akin_buf_clear(&text);
        words->failed = true;
        return;
    }
    words->made[words->nmade++] = (char *)text.data; /* ours now */
    akin_words_bytes(words, text.data, text.size);
}

void akin_words_clear(akin_words *words)
{
    for (size_t i = 0; i < words->nmade; i++)
        akin_free(words->made[i]);
    akin_free(words->made);
    akin_free(words->argv);
    *words = (akin_words){0};
}
