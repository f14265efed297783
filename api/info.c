/* INFO: sections of "name:value" lines, those of Redis where they make sense,
 * so that the tools that watch a Redis can watch an akin. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "commands.h"
#include "server.h"

/* The vector-set commands follow this version's syntax and replies; client
 * libraries look at it to know what they may send. */
#define REDIS_VERSION "8.4.0"

typedef void section_writer(akin_service *service, akin_buf *out);

static void info_server(akin_service *s, akin_buf *out)
{
    struct utsname os;
    int64_t up = (akin_now_ms() - s->started_ms) / 1000;
    if (uname(&os)) memset(&os, 0, sizeof os);
    akin_buf_printf(out,
                    "redis_version:%s\r\nredis_mode:standalone\r\n"
                    "server_name:akin\r\nakin_version:%s\r\nos:%s %s %s\r\n"
                    "arch_bits:%zu\r\nprocess_id:%ld\r\ntcp_port:%u\r\n"
                    "http_port:%u\r\n"
                    "uptime_in_seconds:%" PRId64 "\r\n"
                    "uptime_in_days:%" PRId64 "\r\n",
                    REDIS_VERSION, AKIN_VERSION, os.sysname, os.release,
                    os.machine, sizeof(void *) * 8, (long)getpid(),
                    s->server ? akin_server_port(s->server) : 0, s->http_port,
                    up, up / 86400);
}

static void info_clients(akin_service *s, akin_buf *out)
{
    if (!s->server) return;
    const akin_server_stats *t = akin_server_get_stats(s->server);
    akin_buf_printf(out,
                    "connected_clients:%" PRIu64 "\r\n"
                    "client_request_bytes:%" PRIu64 "\r\n",
                    (uint64_t)t->clients, (uint64_t)t->held_bytes);
}

static void info_memory(akin_service *s, akin_buf *out)
{
    akin_engine_stats e;
    akin_engine_get_stats(s->engine, &e);
    akin_buf_printf(
        out, "used_memory:%" PRIu64 "\r\nused_memory_rss:%" PRIu64 "\r\n",
        e.memory_bytes, e.memory_bytes);
}

static void info_persistence(akin_service *s, akin_buf *out)
{
    akin_engine_stats e;
    akin_engine_get_stats(s->engine, &e);
    akin_buf_printf(out,
                    "loading:0\r\ndatabase_bytes:%" PRIu64
                    "\r\nindex_bytes:%" PRIu64 "\r\n",
                    e.db_bytes, e.index_bytes);
}

static void info_stats(akin_service *s, akin_buf *out)
{
    size_t n;
    uint64_t calls = 0, failed = 0;
    akin_commands(&n);
    for (size_t i = 0; i < n; i++) {
        calls += s->stats[i].calls;
        failed += s->stats[i].failed;
    }
    akin_buf_printf(out,
                    "total_commands_processed:%" PRIu64
                    "\r\ntotal_error_replies:%" PRIu64 "\r\n",
                    calls, failed);
    if (!s->server) return;
    const akin_server_stats *t = akin_server_get_stats(s->server);
    akin_buf_printf(
        out,
        "total_connections_received:%" PRIu64
        "\r\nrejected_connections:%" PRIu64 "\r\ntotal_net_input_bytes:%" PRIu64
        "\r\ntotal_net_output_bytes:%" PRIu64 "\r\nmalformed_requests:%" PRIu64
        "\r\n",
        (uint64_t)t->connections, (uint64_t)t->rejected, (uint64_t)t->bytes_in,
        (uint64_t)t->bytes_out, (uint64_t)t->bad_requests);
}

static void info_replication(akin_service *s, akin_buf *out)
{
    (void)s;
    akin_buf_text(out, "role:master\r\nconnected_slaves:0\r\n");
}

static void info_cpu(akin_service *s, akin_buf *out)
{
    struct rusage use;
    (void)s;
    getrusage(RUSAGE_SELF, &use);
    akin_buf_printf(out,
                    "used_cpu_sys:%ld.%06ld\r\nused_cpu_user:%ld.%06ld\r\n",
                    (long)use.ru_stime.tv_sec, (long)use.ru_stime.tv_usec,
                    (long)use.ru_utime.tv_sec, (long)use.ru_utime.tv_usec);
}

static void info_commandstats(akin_service *s, akin_buf *out)
{
    size_t n;
    char name[AKIN_COMMAND_BYTES];
    const akin_command *rows = akin_commands(&n);
    for (size_t i = 0; i < n; i++) {
        uint64_t calls = s->stats[i].calls, us = s->stats[i].ns / 1000;
        if (!calls && !s->stats[i].rejected) continue;
        akin_buf_printf(out,
                        "cmdstat_%s:calls=%" PRIu64 ",usec=%" PRIu64
                        ",usec_per_call=%.2f,rejected_calls=%" PRIu64
                        ",failed_calls=%" PRIu64 "\r\n",
                        akin_lower_name(rows[i].name, name), calls, us,
                        calls ? (double)us / (double)calls : 0.0,
                        (uint64_t)s->stats[i].rejected,
                        (uint64_t)s->stats[i].failed);
    }
}

static void info_keyspace(akin_service *s, akin_buf *out)
{
    akin_engine_stats e;
    akin_engine_get_stats(s->engine, &e);
    if (e.collections)
        akin_buf_printf(out, "db0:keys=%" PRIu64 ",expires=0,avg_ttl=0\r\n",
                        e.collections);
}

static void info_akin(akin_service *s, akin_buf *out)
{
    akin_engine_stats e;
    akin_engine_get_stats(s->engine, &e);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"items", e.items},
        {"collections", e.collections},
        {"queries", e.queries},
        {"query_microseconds", e.query_ns / 1000},
        {"put_calls", e.puts},
        {"put_items", e.put_items},
        {"pictures_decoded", e.pictures_decoded},
        {"decode_microseconds", e.decode_ns / 1000},
        {"encoder_batches", e.encoder_batches},
        {"encoder_items", e.encoder_items},
        {"encoder_microseconds", e.encoder_ns / 1000},
        {"embeddings_reused", e.embeddings_reused},
        {"text_cache_hits", e.text_cache_hits},
        {"text_cache_misses", e.text_cache_misses},
        {"filter_cache_hits", e.filter_cache_hits},
        {"filter_cache_misses", e.filter_cache_misses},
        {"encode_queue", e.encode_queue},
        {"decode_queue", e.decode_queue},
        {"jobs_running", e.jobs_running},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        akin_buf_printf(out, "%s:%" PRIu64 "\r\n", rows[i].name, rows[i].value);

    akin_encoder_state encoders[16];
    size_t n = akin_engine_encoders(s->engine, encoders, 16);
    for (size_t k = 0; k < n && k < 16; k++)
        akin_buf_printf(out, "encoder%zu:model=%s,precision=%s,cosine=%.4f\r\n",
                        k, encoders[k].model, encoders[k].precision,
                        (double)encoders[k].cosine);
}

static const struct {
    const char *name;
    section_writer *write;
    bool usual; /* without being named */
} sections[] = {
    {"Server", info_server, true}, {"Clients", info_clients, true},
    {"Memory", info_memory, true}, {"Persistence", info_persistence, true},
    {"Stats", info_stats, true},   {"Replication", info_replication, true},
    {"CPU", info_cpu, true},       {"Commandstats", info_commandstats, false},
    {"Akin", info_akin, true},     {"Keyspace", info_keyspace, true},
};

void akin_info_text(akin_service *service, const char *section, akin_buf *out)
{
    bool all = section && (!strcasecmp(section, "all") ||
                           !strcasecmp(section, "everything"));
    bool usual = !section || !strcasecmp(section, "default");
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        bool named = section && !strcasecmp(section, sections[i].name);
        if (!all && !named && !(usual && sections[i].usual)) continue;
        akin_buf_printf(out, "%s# %s\r\n", out->size ? "\r\n" : "",
                        sections[i].name);
        sections[i].write(service, out);
    }
}
