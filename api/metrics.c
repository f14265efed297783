/* Prometheus' text format 0.0.4, written anew at every scrape from counters
 * that others keep. Latency buckets are powers of two of 64 microseconds, as
 * akin_command_stats keeps them. */
#include "metrics.h"

#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BUCKET_SECONDS 64e-6 /* upper bound of the first */

void akin_metrics_count(akin_command_stats *stats, uint64_t ns, bool failed)
{
    uint64_t bound_ns = 64000;
    size_t i = 0;

    for (; i < AKIN_LATENCY_BUCKETS - 1 && ns >= bound_ns; i++)
        bound_ns *= 2;
    stats->calls++;
    stats->failed += failed;
    stats->ns += ns;
    stats->latency[i]++;
}

/* ---- writing one family --------------------------------------------------- */

static void family(akin_buf *out, const char *name, const char *type,
                   const char *help)
{
    akin_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name,
                    type);
}

static void plain(akin_buf *out, const char *name, const char *type,
                  const char *help, double value)
{
    family(out, name, type, help);
    akin_buf_printf(out, "%s %.17g\n", name, value);
}

static void counter(akin_buf *out, const char *name, const char *help,
                    uint64_t value)
{
    family(out, name, "counter", help);
    akin_buf_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void gauge(akin_buf *out, const char *name, const char *help,
                  uint64_t value)
{
    plain(out, name, "gauge", help, (double)value);
}

static void two_fronts(akin_buf *out, const char *name, const char *type,
                       const char *help, uint64_t resp,
                       const akin_http_stats *http, uint64_t http_value)
{
    family(out, name, type, help);
    akin_buf_printf(out, "%s{front=\"resp\"} %" PRIu64 "\n", name, resp);
    if (http)
        akin_buf_printf(out, "%s{front=\"http\"} %" PRIu64 "\n", name,
                        http_value);
}

/* A label's value, as the format wants it escaped. */
static void label(akin_buf *out, const char *name, const char *value)
{
    akin_buf_printf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"') akin_buf_append(out, "\\", 1);
        if (*value == '\n')
            akin_buf_text(out, "\\n");
        else
            akin_buf_append(out, value, 1);
    }
    akin_buf_append(out, "\"", 1);
}

/* ---- requests --------------------------------------------------------------- */

static void histogram(akin_buf *out, const char *front, const char *command,
                      const akin_command_stats *stats)
{
    const char *name = "akin_request_seconds";
    uint64_t sum = 0, calls = 0;
    double bound = BUCKET_SECONDS;
    char labels[160];

    snprintf(labels, sizeof labels, "front=\"%s\",command=\"%s\"", front,
             command);
    for (size_t i = 0; i < AKIN_LATENCY_BUCKETS; i++)
        calls += stats->latency[i];
    for (size_t i = 0; i < AKIN_LATENCY_BUCKETS - 1; i++, bound *= 2) {
        sum += stats->latency[i];
        akin_buf_printf(out, "%s_bucket{%s,le=\"%.9g\"} %" PRIu64 "\n", name,
                        labels, bound, sum);
    }
    akin_buf_printf(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name,
                    labels, calls);
    akin_buf_printf(out, "%s_sum{%s} %.9g\n", name, labels,
                    (double)stats->ns / 1e9);
    akin_buf_printf(out, "%s_count{%s} %" PRIu64 "\n", name, labels, calls);
}

typedef void row_writer(akin_buf *out, const char *front, const char *command,
                        const akin_command_stats *stats);

static void failures(akin_buf *out, const char *front, const char *command,
                     const akin_command_stats *stats)
{
    akin_buf_printf(out,
                    "akin_requests_failed_total{front=\"%s\",command=\"%s\"} "
                    "%" PRIu64 "\n",
                    front, command, (uint64_t)stats->failed);
}

/* Rows of what was called at least once. */
static void each_row(akin_service *service, const akin_http_stats *http,
                     akin_buf *out, row_writer *write)
{
    size_t n;
    const akin_command *commands = akin_commands(&n);

    for (size_t i = 0; i < n; i++)
        if (service->stats[i].calls)
            write(out, "resp", commands[i].name, &service->stats[i]);
    for (size_t i = 0; http && i < http->nroutes; i++)
        if (http->stats[i].calls)
            write(out, "http", http->names[i], &http->stats[i]);
}

static void requests(akin_service *service, const akin_http_stats *http,
                     akin_buf *out)
{
    static const akin_server_stats none;
    const akin_server_stats *resp =
        service->server ? akin_server_get_stats(service->server) : &none;

    family(out, "akin_request_seconds", "histogram",
           "Time to answer a complete request.");
    each_row(service, http, out, histogram);
    family(out, "akin_requests_failed_total", "counter",
           "Requests answered by an error.");
    each_row(service, http, out, failures);
    two_fronts(out, "akin_connections", "gauge", "Connections open now.",
               resp->clients, http, http ? http->clients : 0);
    two_fronts(out, "akin_connections_total", "counter",
               "Connections accepted.", resp->connections, http,
               http ? http->connections : 0);
    two_fronts(out, "akin_received_bytes_total", "counter",
               "Bytes of requests.", resp->bytes_in, http,
               http ? http->bytes_in : 0);
    two_fronts(out, "akin_sent_bytes_total", "counter", "Bytes of replies.",
               resp->bytes_out, http, http ? http->bytes_out : 0);
    counter(out, "akin_connections_refused_total",
            "Connections over the limit.", resp->rejected);
    if (service->server) {
        akin_server_queues queues = akin_server_queued(service->server);
        family(out, "akin_worker_queue", "gauge",
               "Requests waiting for a worker.");
        akin_buf_printf(out,
                        "akin_worker_queue{pool=\"usual\"} %" PRIu32
                        "\nakin_worker_queue{pool=\"slow\"} %" PRIu32 "\n",
                        queues.usual, queues.slow);
    }
    counter(out, "akin_slow_requests_total",
            "Requests that took longer than option slow-log.",
            akin_slowlog_noted(service->slowlog));
    gauge(out, "akin_request_bytes_held", "Bytes of RESP requests in memory.",
          resp->held_bytes);
    if (http)
        gauge(out, "akin_http_in_flight", "HTTP requests on workers.",
              http->in_flight);
}

/* ---- the engine --------------------------------------------------------------- */

/* Passes of the encoder by how many inputs they took. */
static void batch_sizes(const akin_engine_stats *s, akin_buf *out)
{
    const char *name = "akin_encoder_batch_items";
    uint64_t sum = 0;

    family(out, name, "histogram", "Inputs in a pass of the encoder.");
    for (size_t i = 0; i < AKIN_BATCH_SIZES; i++) {
        sum += s->batch_sizes[i];
        if (i + 1 < AKIN_BATCH_SIZES)
            akin_buf_printf(out, "%s_bucket{le=\"%u\"} %" PRIu64 "\n", name,
                            1u << i, sum);
    }
    akin_buf_printf(out,
                    "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %" PRIu64
                    "\n%s_count %" PRIu64 "\n",
                    name, sum, name, s->encoder_items, name, sum);
}

static void engine_counters(const akin_engine_stats *s, akin_buf *out)
{
    counter(out, "akin_queries_total", "Searches answered by the engine.",
            s->queries);
    plain(out, "akin_query_seconds_total", "counter", "Time in searches.",
          (double)s->query_ns / 1e9);
    counter(out, "akin_puts_total", "Calls that put items.", s->puts);
    counter(out, "akin_put_items_total", "Items put.", s->put_items);
    counter(out, "akin_pictures_decoded_total", "Pictures decoded.",
            s->pictures_decoded);
    plain(out, "akin_decode_seconds_total", "counter",
          "Thread time in decoding pictures.", (double)s->decode_ns / 1e9);
    batch_sizes(s, out);
    plain(out, "akin_encoder_seconds_total", "counter",
          "Time in passes of the encoder.", (double)s->encoder_ns / 1e9);
    counter(out, "akin_embeddings_reused_total",
            "Pictures and captions whose embedding was known.",
            s->embeddings_reused);
    counter(out, "akin_text_cache_hits_total",
            "Query texts whose embedding was remembered.", s->text_cache_hits);
    counter(out, "akin_text_cache_misses_total",
            "Query texts that were encoded.", s->text_cache_misses);
    counter(out, "akin_filter_cache_hits_total",
            "Filters whose items were remembered.", s->filter_cache_hits);
    counter(out, "akin_filter_cache_misses_total",
            "Filters that were evaluated.", s->filter_cache_misses);
    gauge(out, "akin_encode_queue", "Inputs waiting for the encoder.",
          s->encode_queue);
    gauge(out, "akin_decode_queue", "Pictures waiting to be decoded.",
          s->decode_queue);
    gauge(out, "akin_jobs_running", "Jobs running.", s->jobs_running);
    gauge(out, "akin_engine_items", "Items in all collections.", s->items);
    gauge(out, "akin_engine_collections", "Collections.", s->collections);
    gauge(out, "akin_db_bytes", "Size of the database files.", s->db_bytes);
    gauge(out, "akin_index_bytes", "Size of the index files.", s->index_bytes);
    gauge(out, "akin_memory_bytes", "Resident memory.", s->memory_bytes);
}

typedef double space_value(const akin_space_info *space);
static double vectors_of(const akin_space_info *s)
{
    return (double)s->vectors;
}
static double delta_of(const akin_space_info *s)
{
    return (double)s->delta;
}
static double tombstones_of(const akin_space_info *s)
{
    return (double)s->tombstones;
}
static double memory_of(const akin_space_info *s)
{
    return (double)s->memory_bytes;
}
static double recall_of(const akin_space_info *s)
{
    return s->recall > 0 ? s->recall : 1;
}
static double building_of(const akin_space_info *s)
{
    return s->building;
}
static double generation_of(const akin_space_info *s)
{
    return (double)s->generation;
}
static double drifted_of(const akin_space_info *s)
{
    return (double)s->drifted;
}

static void one_space(akin_buf *out, const char *name, const char *collection,
                      const char *space, double value)
{
    akin_buf_printf(out, "%s{", name);
    label(out, "collection", collection);
    akin_buf_printf(out, ",space=\"%s\"} %.9g\n", space, value);
}

static void spaces(const akin_collection_info *list, size_t n, akin_buf *out)
{
    static const struct {
        const char *name, *help;
        space_value *value;
    } rows[] = {
        {"akin_vectors", "Vectors that can be found.", vectors_of},
        {"akin_index_delta", "Vectors newer than the index's generation.",
         delta_of},
        {"akin_index_tombstones", "Dead vectors in the generation.",
         tombstones_of},
        {"akin_index_memory_bytes", "Memory of the index.", memory_of},
        {"akin_index_recall",
         "Recall@10 measured at the default setting; exact search is 1.",
         recall_of},
        {"akin_index_generation", "Number of the index's generation; 0: none.",
         generation_of},
        {"akin_index_drifted",
         "Vectors added since training that fit the index ill; past a tenth "
         "it is trained again.",
         drifted_of},
        {"akin_index_building", "1 while a generation is built.", building_of},
    };

    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        family(out, rows[r].name, "gauge", rows[r].help);
        for (size_t i = 0; i < n; i++) {
            one_space(out, rows[r].name, list[i].name, "image",
                      rows[r].value(&list[i].image));
            one_space(out, rows[r].name, list[i].name, "caption",
                      rows[r].value(&list[i].caption));
        }
    }
    family(out, "akin_items", "gauge", "Items in the collection.");
    for (size_t i = 0; i < n; i++) {
        akin_buf_text(out, "akin_items{");
        label(out, "collection", list[i].name);
        akin_buf_printf(out, "} %" PRIu64 "\n", list[i].items);
    }
}

/* One gauge of drift for each collection that has something to tell. */
static void one_drift(akin_buf *out, const char *name, const char *help,
                      const char *kind, const akin_collection_info *list,
                      double (*values)[2], size_t n, const char *const kinds[2])
{
    family(out, name, "gauge", help);
    for (size_t i = 0; i < 2 * n; i++) {
        double value = values[i / 2][i % 2];
        if (isnan(value)) continue;
        akin_buf_printf(out, "%s{", name);
        label(out, "collection", list[i / 2].name);
        akin_buf_printf(out, ",%s=\"%s\"} %.6g\n", kind, kinds[i % 2], value);
    }
}

static void drifts(akin_service *service, const akin_collection_info *list,
                   size_t n, akin_buf *out)
{
    static const char *const spaces[] = {"image", "caption"};
    static const char *const questions[] = {"text", "picture"};
    double(*put)[2] = akin_calloc(n + 1, sizeof *put);
    double(*asked)[2] = akin_calloc(n + 1, sizeof *asked);

    for (size_t i = 0; i < n && put && asked; i++) {
        akin_drift d = {NAN, NAN, NAN, NAN};
        akin_error err;
        if (akin_engine_drift(service->engine, list[i].name, &d, &err))
            akin_log(AKIN_LOG_DEBUG, "metrics: no drift: %s", err.message);
        put[i][0] = d.put_image;
        put[i][1] = d.put_caption;
        asked[i][0] = d.asked_text;
        asked[i][1] = d.asked_picture;
    }
    if (put && asked) {
        one_drift(out, "akin_ingest_drift",
                  "Distance of what was put lately from what the collection "
                  "holds, in units of its spread.",
                  "space", list, put, n, spaces);
        one_drift(out, "akin_query_drift",
                  "Distance of what was asked lately from what the collection "
                  "holds, in units of its spread.",
                  "kind", list, asked, n, questions);
    }
    akin_free(put);
    akin_free(asked);
}

void akin_metrics_write(akin_service *service, const akin_http_stats *http,
                        akin_buf *out)
{
    akin_engine_stats stats = {0};
    akin_collection_info *list = NULL;
    size_t n = 0;
    akin_error err;

    family(out, "akin_build_info", "gauge", "Always 1; the version.");
    akin_buf_printf(out, "akin_build_info{version=\"%s\"} 1\n", AKIN_VERSION);
    plain(out, "akin_start_time_seconds", "gauge",
          "When the server started, seconds since 1970.",
          (double)service->started_ms / 1e3);
    requests(service, http, out);
    akin_engine_get_stats(service->engine, &stats);
    engine_counters(&stats, out);
    if (akin_engine_list(service->engine, &list, &n, &err))
        akin_log(AKIN_LOG_WARN, "metrics: no collections: %s", err.message);
    else {
        spaces(list, n, out);
        drifts(service, list, n, out);
    }
    akin_free(list);
}
