/* bench_socket: the same queries over a socket, in process, and to raw FAISS.
 *
 * Fills a directory with CLIP-like vectors, builds the index, asks the queries
 * through libakin, then starts `akin serve` on that directory and asks them
 * again over its Unix socket with VSIM, then builds FAISS's own IVF-PQ with its
 * own exact rescoring (IndexRefineFlat) over the same vectors. One row a run;
 * the ratios at the end compare queries a second on as many threads.
 *
 *   bench_socket AKIN [--n N] [--queries Q] [--threads T] [--rounds R] */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "akin_engine.h"
#include "ann_data.h"
#include "ann_rivals.h"

#define K    10
#define DIM  512
#define NAME "bench"
#define SEED 1

typedef struct {
    const char *akin;
    size_t n, queries, threads, rounds;
    char dir[64], socket[80];
    ann_vectors items, asked;
    float *floats;  /* (queries, DIM) */
    int64_t *truth; /* (queries, K) */
    akin_engine *engine;
    rival *faiss;
} bench;

/* Who answers one query; `link` is the thread's own connection, or NULL. */
typedef void asker(const bench *b, redisContext *link, const float *query,
                   int64_t *rows);

typedef struct {
    const bench *b;
    asker *ask;
    size_t thread, threads;
    int64_t *rows;
    uint64_t *latency_ns;
} part;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_socket: %s: %s\n", what, why);
    exit(1);
}

static void ask_engine(const bench *b, redisContext *link, const float *query,
                       int64_t *rows)
{
    akin_query_term term = {
        .kind = AKIN_TERM_VECTOR, .weight = 1, .vector = query, .dim = DIM};
    akin_query question = {.terms = &term, .nterms = 1, .k = K};
    akin_results found;
    akin_error err;
    (void)link;
    if (akin_engine_search(b->engine, NAME, &question, &found, &err))
        die("search", err.message);
    for (size_t i = 0; i < found.n; i++)
        rows[i] = atoll(found.matches[i].id);
    akin_results_clear(&found);
}

static void ask_socket(const bench *b, redisContext *link, const float *query,
                       int64_t *rows)
{
    (void)b;
    redisReply *reply = redisCommand(link, "VSIM " NAME " FP32 %b COUNT %d",
                                     query, DIM * sizeof(float), K);
    if (!reply || reply->type == REDIS_REPLY_ERROR)
        die("VSIM", reply ? reply->str : link->errstr);
    for (size_t i = 0; i < reply->elements && i < K; i++)
        rows[i] = atoll(reply->element[i]->str);
    freeReplyObject(reply);
}

static void ask_faiss(const bench *b, redisContext *link, const float *query,
                      int64_t *rows)
{
    (void)link;
    rival_search(b->faiss, query, K, rows);
}

static void *run_part(void *arg)
{
    part *p = arg;
    redisContext *link = NULL;
    if (p->ask == ask_socket) {
        link = redisConnectUnix(p->b->socket);
        if (!link || link->err) die("connect", link ? link->errstr : "memory");
    }
    for (size_t q = p->thread; q < p->b->queries; q += p->threads) {
        uint64_t start = akin_mono_ns();
        p->ask(p->b, link, p->b->floats + q * DIM, p->rows + q * K);
        p->latency_ns[q] = akin_mono_ns() - start;
    }
    if (link) redisFree(link);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double recall_of(const bench *b, const int64_t *rows)
{
    size_t right = 0;
    for (size_t q = 0; q < b->queries; q++)
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j < K; j++)
                right += rows[q * K + j] == b->truth[q * K + i];
    return (double)right / (double)(b->queries * K);
}

/* Asks all queries `rounds` times and prints a row of the round in the middle;
 * returns its queries a second. */
static double run(const bench *b, const char *name, asker *ask, size_t threads)
{
    int64_t *rows = calloc(b->queries * K, sizeof *rows);
    uint64_t *latency = calloc(b->queries, sizeof *latency);
    uint64_t *round_ns = calloc(b->rounds, sizeof *round_ns);
    pthread_t ids[64];
    part parts[64];
    if (!rows || !latency || !round_ns) die("memory", "none");
    for (size_t r = 0; r < b->rounds; r++) {
        uint64_t start = akin_mono_ns();
        for (size_t t = 0; t < threads; t++) {
            parts[t] = (part){b, ask, t, threads, rows, latency};
            pthread_create(&ids[t], NULL, run_part, &parts[t]);
        }
        for (size_t t = 0; t < threads; t++)
            pthread_join(ids[t], NULL);
        round_ns[r] = akin_mono_ns() - start;
    }
    qsort(latency, b->queries, sizeof *latency, by_size);
    qsort(round_ns, b->rounds, sizeof *round_ns, by_size);
    double qps = (double)b->queries / ((double)round_ns[b->rounds / 2] * 1e-9);
    printf("%-26s %3zu %8.4f %9.0f %8.0f %8.0f %8.0f\n", name, threads,
           recall_of(b, rows), qps, (double)latency[b->queries / 2] * 1e-3,
           (double)latency[b->queries * 95 / 100] * 1e-3,
           (double)latency[b->queries * 99 / 100] * 1e-3);
    fflush(stdout);
    free(round_ns);
    free(latency);
    free(rows);
    return qps;
}

static void make_data(bench *b)
{
    akin_error err;
    size_t clusters = b->n / 100;
    if (ann_generate(ANN_ITEMS, b->n, DIM, (uint32_t)clusters, SEED, &b->items,
                     &err) ||
        ann_generate(ANN_LIKE, b->queries, DIM, (uint32_t)clusters, SEED,
                     &b->asked, &err))
        die("vectors", err.message);
    b->floats = calloc(b->queries * DIM, sizeof *b->floats);
    b->truth = calloc(b->queries * K, sizeof *b->truth);
    if (!b->floats || !b->truth) die("memory", "none");
    akin_float_from_half(b->floats, b->asked.rows, b->queries * DIM);
    faiss_truth(b->items.rows, b->n, DIM, b->floats, b->queries, K, b->truth);
}

/* Rows of 1,000 items whose ids are their numbers. */
static void fill(bench *b)
{
    enum { BATCH = 1000 };
    static float vectors[BATCH * DIM];
    static char ids[BATCH][16];
    akin_item_input items[BATCH];
    akin_put_result results[BATCH];
    akin_error err;
    for (size_t first = 0; first < b->n; first += BATCH) {
        size_t some = b->n - first < BATCH ? b->n - first : BATCH;
        akin_float_from_half(vectors, b->items.rows + first * DIM, some * DIM);
        for (size_t i = 0; i < some; i++) {
            snprintf(ids[i], sizeof ids[i], "%zu", first + i);
            items[i] = (akin_item_input){.id = akin_span_of(ids[i]),
                                         .vector = vectors + i * DIM,
                                         .dim = DIM};
        }
        if (akin_engine_put(b->engine, NAME, items, some, NULL, results, &err))
            die("put", err.message);
    }
}

static void open_engine(bench *b)
{
    akin_engine_options options = {.data_dir = b->dir};
    akin_collection_options raw = {.dim = DIM};
    akin_error err;
    if (akin_engine_open(&options, &b->engine, &err) ||
        akin_engine_create(b->engine, NAME, &raw, &err))
        die("open", err.message);
    uint64_t start = akin_mono_ns();
    fill(b);
    printf("# put %zu vectors of %d: %.1f s\n", b->n, DIM,
           (double)(akin_mono_ns() - start) * 1e-9);
    start = akin_mono_ns();
    if (akin_engine_rebuild(b->engine, NAME, NULL, NULL, &err))
        die("build", err.message);
    akin_collection_info info;
    if (akin_engine_info(b->engine, NAME, &info, &err))
        die("info", err.message);
    printf("# built %s: %.1f s\n", info.image.kind,
           (double)(akin_mono_ns() - start) * 1e-9);
}

static pid_t start_server(const bench *b)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl(b->akin, b->akin, "serve", "--data", b->dir, "--bind", "",
              "--unix", b->socket, "--quiet", (char *)NULL);
        die(b->akin, "cannot run it");
    }
    for (int i = 0; i < 200; i++) {
        redisContext *link = redisConnectUnix(b->socket);
        bool up = link && !link->err;
        if (link) redisFree(link);
        if (up) return pid;
        usleep(50000);
    }
    die("server", "did not start");
    return 0;
}

static void remove_dir(const char *dir)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", dir, (char *)NULL);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
}

static size_t number(const char *text)
{
    long long value = atoll(text);
    if (value < 1) die(text, "expected a number above 0");
    return (size_t)value;
}

static void parse(bench *b, int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-' || argc % 2)
        die("usage", "bench_socket AKIN [--n N] [--queries Q] [--threads T] "
                     "[--rounds R]");
    b->akin = argv[1];
    for (int i = 2; i + 1 < argc; i += 2) {
        size_t *to = !strcmp(argv[i], "--n")         ? &b->n
                     : !strcmp(argv[i], "--queries") ? &b->queries
                     : !strcmp(argv[i], "--threads") ? &b->threads
                     : !strcmp(argv[i], "--rounds")  ? &b->rounds
                                                     : NULL;
        if (!to) die(argv[i], "no such option");
        *to = number(argv[i + 1]);
    }
    if (b->threads > 64) b->threads = 64;
}

int main(int argc, char **argv)
{
    bench b = {.n = 100000,
               .queries = 1000,
               .threads = akin_cpu_count(),
               .rounds = 5,
               .dir = "/tmp/bench-socket-XXXXXX"};
    double in_process[64], socket[64], faiss[64];
    parse(&b, argc, argv);
    if (!mkdtemp(b.dir)) die(b.dir, "cannot create it");
    snprintf(b.socket, sizeof b.socket, "%s/akin.sock", b.dir);
    make_data(&b);
    open_engine(&b);
    printf("%-26s %3s %8s %9s %8s %8s %8s\n", "who answers", "thr", "recall@10",
           "QPS", "p50_us", "p95_us", "p99_us");
    for (size_t t = 1; t <= b.threads; t++)
        in_process[t - 1] = run(&b, "akin, in process", ask_engine, t);
    akin_engine_close(b.engine);
    pid_t server = start_server(&b);
    for (size_t t = 1; t <= b.threads; t++)
        socket[t - 1] = run(&b, "akin, over the socket", ask_socket, t);
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
    b.faiss = faiss_refine(b.items.rows, b.n, DIM);
    for (size_t t = 1; t <= b.threads; t++)
        faiss[t - 1] = run(&b, "FAISS IVF-PQ + RefineFlat", ask_faiss, t);
    for (size_t t = 1; t <= b.threads; t++)
        printf("# %zu threads: socket / in process %.2f, socket / FAISS %.2f\n",
               t, socket[t - 1] / in_process[t - 1],
               socket[t - 1] / faiss[t - 1]);
    rival_free(b.faiss);
    ann_clear(&b.items);
    ann_clear(&b.asked);
    free(b.floats);
    free(b.truth);
    remove_dir(b.dir);
    return 0;
}
