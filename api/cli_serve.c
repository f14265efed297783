/* akin serve: the engine, the server, and what they are told. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cli.h"
#include "http.h"
#include "server.h"

#define TEXT_BYTES 4096

typedef struct {
    char data[TEXT_BYTES], bind[256], unix_path[TEXT_BYTES], level[16];
} texts;

static void set_log_level(const char *word)
{
    static const char *const words[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(word, words[i]))
            akin_log_set((akin_log_level)i, NULL, NULL);
}

/* Beyond this machine only with a password, unless told otherwise. */
static akin_status check_bind(akin_cli *cli, const char *address,
                              const akin_service *service, akin_error *err)
{
    bool local =
        !*address || !strncmp(address, "127.", 4) || !strcmp(address, "::1");
    if (local || service->password[0] ||
        !akin_config_bool(cli->config, "protected-mode"))
        return AKIN_OK;
    return akin_fail(err, AKIN_DENIED,
                     "listening on %s lets other machines in: set a password "
                     "with --requirepass (AKIN_REQUIREPASS), or say "
                     "--no-protected-mode if that is meant",
                     address);
}

/* Where the command line looks for us. The kernel has room for 107 bytes. */
static void default_socket(texts *t)
{
    struct sockaddr_un at;
    snprintf(t->unix_path, sizeof t->unix_path, "%.4080s/akin.sock", t->data);
    if (strlen(t->unix_path) < sizeof at.sun_path) return;
    akin_log(AKIN_LOG_WARN,
             "no Unix socket: %s is too long a path for one; name another "
             "with --unix",
             t->unix_path);
    t->unix_path[0] = 0;
}

/* As many files as the connections may need, if the system lets us. */
static void raise_file_limit(const akin_cli *cli)
{
    struct rlimit limit;
    rlim_t want = akin_config_uint(cli->config, "max-clients") +
                  akin_config_uint(cli->config, "http.connections") + 256;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= want) return;
    limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < want)
        akin_log(AKIN_LOG_WARN,
                 "only %llu files may be open; connections "
                 "beyond that will be refused",
                 (unsigned long long)limit.rlim_cur);
}

static void read_options(akin_cli *cli, texts *t, akin_server_options *o)
{
    const akin_config *c = cli->config;
    akin_cli_data_dir(cli->config, t->data, sizeof t->data);
    akin_config_text(c, "bind", t->bind, sizeof t->bind);
    akin_config_text(c, "unix", t->unix_path, sizeof t->unix_path);
    akin_config_text(c, "log-level", t->level, sizeof t->level);
    if (!*t->unix_path) default_socket(t);
    *o = (akin_server_options){
        .bind = t->bind,
        .port = (uint16_t)akin_config_uint(c, "port"),
        .unix_path = t->unix_path,
        .max_clients = (uint32_t)akin_config_uint(c, "max-clients"),
        .idle_seconds = (uint32_t)akin_config_uint(c, "idle-timeout"),
        .threads = (uint32_t)akin_config_uint(c, "workers"),
        .request_bytes = akin_config_uint(c, "max-request"),
        .output_bytes = akin_config_uint(c, "max-output"),
        .memory_bytes = akin_config_uint(c, "max-request-memory"),
        .handle_signals = true};
}

/* HTTP listens beside RESP, on the same address. A port that nobody asked for
 * and that is taken (a second server on this machine) only costs HTTP. */
static akin_status open_http(akin_cli *cli, akin_service *service,
                             const texts *t, akin_http **out, akin_error *err)
{
    const akin_config *c = cli->config;
    akin_http_options options = {
        .bind = t->bind,
        .port = (uint16_t)akin_config_uint(c, "http.port"),
        .body_bytes = akin_config_uint(c, "http.max-body"),
        .connections = (uint32_t)akin_config_uint(c, "http.connections"),
        .idle_s = (uint32_t)akin_config_uint(c, "http.idle-timeout"),
        .timeout_ms = (uint32_t)akin_config_uint(c, "http.query-timeout")};
    if (!akin_config_bool(c, "http") || !*t->bind) return AKIN_OK;
    akin_status rc = akin_http_open(service, &options, out, err);
    if (rc != AKIN_IO || akin_config_is_set(c, "http.port")) return rc;
    akin_log(AKIN_LOG_WARN, "no HTTP: %s", err->message);
    return AKIN_OK;
}

static void announce(const akin_cli *cli, const texts *t, uint16_t port,
                     const akin_http *http)
{
    if (cli->quiet) return;
    fprintf(stderr, "akin %s serves %s\n", AKIN_VERSION, t->data);
    if (port) fprintf(stderr, "  redis-cli -h %s -p %u\n", t->bind, port);
    if (http)
        fprintf(stderr, "  http://%s%s%s:%u/ in a browser\n",
                strchr(t->bind, ':') ? "[" : "", t->bind,
                strchr(t->bind, ':') ? "]" : "", akin_http_port(http));
    if (*t->unix_path) fprintf(stderr, "  redis-cli -s %s\n", t->unix_path);
    fprintf(stderr, "Ctrl-C ends it\n");
}

int akin_cli_serve(akin_cli *cli)
{
    texts *t = akin_calloc(1, sizeof *t);
    akin_server_options options;
    akin_engine *engine = NULL;
    akin_service service = {0};
    akin_server *server = NULL;
    akin_http *http = NULL;
    akin_error err;
    akin_status rc;

    if (!t) return akin_cli_fail(AKIN_EXIT_CANNOT, "no memory");
    read_options(cli, t, &options);
    set_log_level(t->level);
    raise_file_limit(cli);
    rc = akin_cli_default_model(cli->config, &err);
    if (rc) goto done;
    akin_engine_options engine_options = {.data_dir = t->data,
                                          .config = cli->config};
    rc = akin_engine_open(&engine_options, &engine, &err);
    if (!rc) rc = akin_service_init(&service, engine, cli->config, &err);
    if (rc) goto done;
    akin_config_text(cli->config, "requirepass", service.password,
                     sizeof service.password);
    rc = check_bind(cli, t->bind, &service, &err);
    if (!rc) rc = akin_server_open(&service, &options, &server, &err);
    if (!rc) rc = open_http(cli, &service, t, &http, &err);
    if (rc) goto done;
    if (http) service.http_port = akin_http_port(http);
    announce(cli, t, akin_server_port(server), http);
    akin_server_run(server);
    if (!cli->quiet) fprintf(stderr, "akin: stopped\n");
done:
    akin_http_close(http);
    akin_server_close(server);
    akin_engine_close(engine);
    akin_service_clear(&service);
    akin_free(t);
    return rc ? akin_cli_status(&err) : AKIN_EXIT_OK;
}
