/* bench_socket: the same queries in process, over a socket, and to raw FAISS.
 *
 * Fills a directory with CLIP-like vectors, builds the index, starts `akin
 * serve` on it, opens a copy of it through libakin, and builds FAISS's own
 * IVF-PQ with its own exact rescoring (IndexRefineFlat) over the same vectors,
 * at the cheapest of some settings that reach akin's recall. Then asks them in
 * turn, round after round, so that a machine that slows down slows all of them,
 * and prints medians.
 *
 * In process each query is a call of akin_engine_search, which gives ids and
 * scores, as the server must; beside it akin_engine_search_many, 8 at a time.
 * The server searches together what it finds waiting of one connection (VSIMs
 * in a row, 8 at most), and runs the search of a lone client that waits for each
 * reply on its loop. Over the socket (VSIM, a Unix socket) the load generator runs on the same processors.
 * So beside queries a second stands the processor time that a query takes: of
 * who answers (of the server: all its threads), and of the load generator.
 *
 * At the end: latencies over the socket without and with a connection that adds
 * items at a steady pace, in turns.
 *
 *   bench_socket AKIN [--n N] [--queries Q] [--threads T] [--rounds R]
 *                [--depth D] [--writes PER-SECOND] [--seconds S] [--dir DIR]
 *
 * With --dir the collection stays there, and the next run of that size starts
 * with it. */
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ann_data.h"
#include "socket_load.h"

#define DIM           LOAD_DIM
#define K             LOAD_K
#define SEED          1
#define MOST_CONTESTS (6 * LOAD_THREADS)
#define MOST_ROUNDS   1000

typedef struct {
    load_contestant who;
    load_round *rounds;   /* (rounds) */
    uint64_t *latency_ns; /* (rounds, queries) */
} contest;

typedef struct {
    const char *akin, *kept; /* kept: NULL, or what --dir names */
    size_t n, threads, rounds, depth, writes, seconds;
    char dir[64], served[80], own[80], socket[80];
    ann_vectors items, asked;
    load_queries queries;
    akin_engine *engine;
    pid_t server;
    rival *faiss;
    contest contests[MOST_CONTESTS];
    size_t ncontests;
} bench;

/* ---- the collection --------------------------------------------------------- */

static void make_data(bench *b)
{
    akin_error err;
    load_queries *q = &b->queries;
    size_t clusters = b->n / 100;
    if (ann_generate(ANN_ITEMS, b->n, DIM, (uint32_t)clusters, SEED, &b->items,
                     &err) ||
        ann_generate(ANN_LIKE, q->n, DIM, (uint32_t)clusters, SEED, &b->asked,
                     &err))
        load_die("vectors", err.message);
    q->floats = calloc(q->n * DIM, sizeof *q->floats);
    q->truth = calloc(q->n * K, sizeof *q->truth);
    if (!q->floats || !q->truth) load_die("memory", "none");
    akin_float_from_half(q->floats, b->asked.rows, q->n * DIM);
    faiss_truth(b->items.rows, b->n, DIM, q->floats, q->n, K, q->truth);
    load_prepare(q);
}

/* Rows of 1,000 items whose ids are their numbers. */
static void fill(const bench *b, akin_engine *engine)
{
    enum { BATCH = 1000 };
    static float vectors[BATCH * DIM];
    static char ids[BATCH][24];
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
        if (akin_engine_put(engine, LOAD_NAME, items, some, NULL, results,
                            &err))
            load_die("put", err.message);
    }
}

static akin_engine *open_engine(const char *dir)
{
    akin_engine_options options = {.data_dir = dir};
    akin_engine *engine;
    akin_error err;
    if (akin_engine_open(&options, &engine, &err))
        load_die("open", err.message);
    return engine;
}

static void make_collection(const bench *b)
{
    akin_engine *engine = open_engine(b->served);
    akin_collection_options raw = {.dim = DIM};
    akin_collection_info info;
    akin_error err;
    uint64_t start = akin_mono_ns();
    if (akin_engine_create(engine, LOAD_NAME, &raw, &err))
        load_die("create", err.message);
    fill(b, engine);
    printf("# put %zu vectors of %d: %.1f s\n", b->n, DIM,
           (double)(akin_mono_ns() - start) * 1e-9);
    start = akin_mono_ns();
    if (akin_engine_rebuild(engine, LOAD_NAME, NULL, NULL, &err) ||
        akin_engine_info(engine, LOAD_NAME, &info, &err))
        load_die("build", err.message);
    printf("# built %s: %.1f s\n", info.image.kind,
           (double)(akin_mono_ns() - start) * 1e-9);
    akin_engine_close(engine);
}

static void start_server(bench *b)
{
    b->server = fork();
    if (b->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        execl(b->akin, b->akin, "serve", "--data", b->served, "--bind", "",
              "--unix", b->socket, "--quiet", (char *)NULL);
        load_die(b->akin, "cannot run it");
    }
    for (int i = 0; i < 200; i++) {
        redisContext *link = redisConnectUnix(b->socket);
        bool up = link && !link->err;
        if (link) redisFree(link);
        if (up) return;
        usleep(50000);
    }
    load_die("server", "did not start");
}

/* rm -rf dir, or cp -a dir to. */
static void with_dir(const char *program, const char *how, const char *dir,
                     const char *to)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        execlp(program, program, how, dir, to, (char *)NULL);
        _exit(1);
    }
    if (waitpid(pid, &status, 0) != pid || status) load_die(program, dir);
}

/* Makes the collection, or takes the one that is kept. */
static void have_collection(bench *b)
{
    char kept[512];
    struct stat st;
    if (!b->kept) {
        make_collection(b);
        return;
    }
    snprintf(kept, sizeof kept, "%s/%zu", b->kept, b->n);
    if (stat(kept, &st)) {
        make_collection(b);
        mkdir(b->kept, 0777);
        with_dir("cp", "-a", b->served, kept);
    } else {
        with_dir("cp", "-a", kept, b->served);
    }
}

/* ---- rounds ------------------------------------------------------------------ */

static contest *enter(bench *b, const char *name, load_by by, size_t threads,
                      size_t depth)
{
    contest *c = &b->contests[b->ncontests++];
    c->who = (load_contestant){.name = name,
                               .by = by,
                               .threads = threads,
                               .depth = depth,
                               .engine = b->engine,
                               .socket = b->socket,
                               .server = b->server,
                               .faiss = b->faiss};
    c->rounds = calloc(b->rounds, sizeof *c->rounds);
    c->latency_ns = calloc(b->rounds * b->queries.n, sizeof *c->latency_ns);
    if (!c->rounds || !c->latency_ns) load_die("memory", "none");
    return c;
}

static void leave_all(bench *b)
{
    for (size_t i = 0; i < b->ncontests; i++) {
        free(b->contests[i].rounds);
        free(b->contests[i].latency_ns);
    }
    b->ncontests = 0;
}

static double median(double *values, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j && values[j] < values[j - 1]; j--) {
            double x = values[j];
            values[j] = values[j - 1];
            values[j - 1] = x;
        }
    return values[n / 2];
}

static double qps(const load_round *r)
{
    return r->qps;
}

static double recall(const load_round *r)
{
    return r->recall;
}

static double answer_us(const load_round *r)
{
    return r->answer_us;
}

static double ask_us(const load_round *r)
{
    return r->ask_us;
}

/* The median over the rounds of one figure; of its ratio to that of `base`. */
static double figure(const bench *b, const contest *c, const contest *base,
                     double (*of)(const load_round *))
{
    double values[MOST_ROUNDS];
    for (size_t r = 0; r < b->rounds; r++) {
        values[r] = of(&c->rounds[r]);
        if (base) values[r] /= of(&base->rounds[r]);
    }
    return median(values, b->rounds);
}

/* Settings of FAISS by rising cost; the first that reaches the recall. */
static void tune_faiss(const bench *b, double wanted, char *name, size_t size)
{
    static const int nprobe[] = {2, 4, 6, 8, 12, 16, 24, 32};
    static const int factor[] = {5, 10, 20, 40};
    double best_us = 0;
    int best[2] = {32, 40};
    uint64_t *latency = calloc(b->queries.n, sizeof *latency);
    load_contestant who = {
        .by = LOAD_FAISS, .threads = 1, .depth = 1, .faiss = b->faiss};
    if (!latency) load_die("memory", "none");
    for (size_t i = 0; i < sizeof nprobe / sizeof *nprobe; i++)
        for (size_t j = 0; j < sizeof factor / sizeof *factor; j++) {
            load_round round;
            rival_set(b->faiss, nprobe[i]);
            rival_set_candidates(b->faiss, factor[j]);
            load_ask(&b->queries, &who, &round, latency);
            if (round.recall < wanted) continue;
            if (best_us > 0 && round.answer_us >= best_us) continue;
            best_us = round.answer_us;
            best[0] = nprobe[i];
            best[1] = factor[j];
        }
    free(latency);
    rival_set(b->faiss, best[0]);
    rival_set_candidates(b->faiss, best[1]);
    snprintf(name, size, "FAISS, nprobe %d, %d x k", best[0], best[1]);
}

static void print_contest(const bench *b, contest *c)
{
    size_t n = b->rounds * b->queries.n;
    printf("%-28s %3zu %6.4f %8.0f %7.0f %7.0f %7.0f %8.1f %7.1f\n",
           c->who.name, c->who.threads, figure(b, c, NULL, recall),
           figure(b, c, NULL, qps), load_quantile_us(c->latency_ns, n, 0.5),
           load_quantile_us(c->latency_ns, n, 0.95),
           load_quantile_us(c->latency_ns, n, 0.99),
           figure(b, c, NULL, answer_us), figure(b, c, NULL, ask_us));
}

static void print_ratios(const bench *b, size_t threads, const contest *engine,
                         const contest *socket, const contest *pipe,
                         const contest *faiss)
{
    printf("# %zu thr, to in process: socket %.2f of its queries/s, %.2f of "
           "its queries a processor second; %zu at a time %.2f, %.2f\n",
           threads, figure(b, socket, engine, qps),
           1 / figure(b, socket, engine, answer_us), b->depth,
           figure(b, pipe, engine, qps),
           1 / figure(b, pipe, engine, answer_us));
    printf("# %zu thr, to FAISS at that recall: in process %.2f of its "
           "queries/s, socket %.2f\n",
           threads, figure(b, engine, faiss, qps),
           figure(b, socket, faiss, qps));
}

static void compare(bench *b)
{
    enum { ENGINE, MANY, SOCKET, PIPE, TEXT, FAISS, KINDS };
    static const load_by by[KINDS] = {LOAD_ENGINE,      LOAD_MANY,
                                      LOAD_SOCKET,      LOAD_SOCKET,
                                      LOAD_SOCKET_TEXT, LOAD_FAISS};
    char names[KINDS][48] = {"akin, in process", "the same, 8 in a call",
                             "akin, socket"};
    size_t depth[KINDS] = {1, LOAD_TOGETHER, 1, b->depth, b->depth, 1};
    contest *probe = enter(b, "", LOAD_ENGINE, 1, 1);

    load_ask(&b->queries, &probe->who, probe->rounds, probe->latency_ns);
    tune_faiss(b, probe->rounds->recall, names[FAISS], sizeof names[FAISS]);
    snprintf(names[PIPE], sizeof names[PIPE], "akin, socket, %zu at a time",
             b->depth);
    snprintf(names[TEXT], sizeof names[TEXT], "the same with VALUES");
    leave_all(b);
    for (size_t t = 1; t <= b->threads; t++)
        for (size_t k = 0; k < KINDS; k++)
            enter(b, names[k], by[k], t, depth[k]);
    for (size_t i = 0; i < b->ncontests; i++) /* warm: does not count */
        load_ask(&b->queries, &b->contests[i].who, b->contests[i].rounds,
                 b->contests[i].latency_ns);
    for (size_t r = 0; r < b->rounds; r++)
        for (size_t i = 0; i < b->ncontests; i++) {
            contest *c = &b->contests[i];
            load_ask(&b->queries, &c->who, &c->rounds[r],
                     c->latency_ns + r * b->queries.n);
        }
    printf("%-28s %3s %6s %8s %7s %7s %7s %9s %7s\n", "who answers", "thr",
           "recall", "QPS", "p50_us", "p95_us", "p99_us", "answer_us",
           "ask_us");
    for (size_t i = 0; i < b->ncontests; i++)
        print_contest(b, &b->contests[i]);
    for (size_t t = 1; t <= b->threads; t++) {
        const contest *c = b->contests + (t - 1) * KINDS;
        print_ratios(b, t, c + ENGINE, c + SOCKET, c + PIPE, c + FAISS);
    }
    leave_all(b);
}

/* ---- with writes going on ------------------------------------------------------ */

/* Latencies of one way of asking, gathered over slices of time. */
typedef struct {
    uint64_t *ns;
    size_t n, room;
    double seconds;
} gathered;

static void ask_for(const bench *b, const load_contestant *who, double seconds,
                    gathered *g)
{
    uint64_t start = akin_mono_ns(), most = (uint64_t)(seconds * 1e9);
    load_round round;
    while (akin_mono_ns() - start < most) {
        if (g->n + b->queries.n > g->room) {
            g->room = 2 * g->room + b->queries.n;
            g->ns = realloc(g->ns, g->room * sizeof *g->ns);
            if (!g->ns) load_die("memory", "none");
        }
        load_ask(&b->queries, who, &round, g->ns + g->n);
        g->n += b->queries.n;
    }
    g->seconds += (double)(akin_mono_ns() - start) * 1e-9;
}

static void write_slice(const bench *b, const load_contestant *who,
                        double seconds, size_t *written, gathered *g,
                        gathered *acks)
{
    load_writer w = {.socket = b->socket,
                     .rows = b->items.rows,
                     .n = b->n,
                     .first = b->n + *written,
                     .per_second = (double)b->writes,
                     .ack_ns = acks->ns + acks->n,
                     .room = acks->room - acks->n};
    pthread_t thread;
    uint64_t start = akin_mono_ns();
    pthread_create(&thread, NULL, load_write, &w);
    ask_for(b, who, seconds, g);
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    acks->seconds += (double)(akin_mono_ns() - start) * 1e-9;
    acks->n += w.done < w.room ? w.done : w.room;
    *written += w.done;
}

static void print_latency(const char *name, size_t threads, gathered *g)
{
    double p50 = load_quantile_us(g->ns, g->n, 0.5);
    printf("%-28s %3zu %8.0f %7.0f %7.0f %7.0f %7.0f %8.1f\n", name, threads,
           (double)g->n / g->seconds, p50, load_quantile_us(g->ns, g->n, 0.99),
           load_quantile_us(g->ns, g->n, 0.999),
           load_quantile_us(g->ns, g->n, 1),
           load_quantile_us(g->ns, g->n, 0.99) / p50);
    fflush(stdout);
}

static void with_writes(bench *b)
{
    enum { SLICES = 4 };
    double slice = (double)b->seconds / SLICES;
    gathered acks = {.room = 2 * b->writes * b->seconds * b->threads + 1000};
    size_t written = 0;

    acks.ns = calloc(acks.room, sizeof *acks.ns);
    if (!acks.ns) load_die("memory", "none");
    printf("%-28s %3s %8s %7s %7s %7s %7s %8s\n", "akin, socket", "thr", "QPS",
           "p50_us", "p99_us", "p999_us", "max_us", "p99/p50");
    for (size_t t = 1; t <= b->threads; t++) {
        load_contestant who = {.by = LOAD_SOCKET,
                               .threads = t,
                               .depth = 1,
                               .socket = b->socket,
                               .server = b->server};
        gathered quiet = {0}, writing = {0};
        for (int i = 0; i < SLICES; i++) {
            ask_for(b, &who, slice, &quiet);
            write_slice(b, &who, slice, &written, &writing, &acks);
        }
        char name[48];
        snprintf(name, sizeof name, "%zu writes/s", b->writes);
        print_latency("no writes", t, &quiet);
        print_latency(name, t, &writing);
        free(quiet.ns);
        free(writing.ns);
    }
    printf("# written: %zu items, %.0f a second, acknowledged after %.0f us "
           "(p50), %.0f us (p99)\n",
           written, (double)written / acks.seconds,
           load_quantile_us(acks.ns, acks.n, 0.5),
           load_quantile_us(acks.ns, acks.n, 0.99));
    free(acks.ns);
}

/* ---- main ------------------------------------------------------------------------ */

static size_t number(const char *text)
{
    long long value = atoll(text);
    if (value < 0) load_die(text, "expected a number");
    return (size_t)value;
}

static void parse(bench *b, int argc, char **argv)
{
    const struct {
        const char *name;
        size_t *to, least, most;
    } options[] = {
        {"--n", &b->n, 1000, 1u << 30},
        {"--queries", &b->queries.n, 10, 1u << 20},
        {"--threads", &b->threads, 1, LOAD_THREADS},
        {"--rounds", &b->rounds, 1, MOST_ROUNDS},
        {"--depth", &b->depth, 1, 1000},
        {"--writes", &b->writes, 0, 1000000},
        {"--seconds", &b->seconds, 1, 3600},
    };
    const size_t n = sizeof options / sizeof *options;
    if (argc < 2 || argv[1][0] == '-' || argc % 2)
        load_die("usage",
                 "bench_socket AKIN [--n N] [--queries Q] [--threads T] "
                 "[--rounds R] [--depth D] [--writes PER-SECOND] "
                 "[--seconds S] [--dir DIR]");
    b->akin = argv[1];
    for (int i = 2; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--dir")) {
            b->kept = argv[i + 1];
            continue;
        }
        size_t value = number(argv[i + 1]);
        bool known = false;
        for (size_t o = 0; o < n; o++) {
            if (strcmp(argv[i], options[o].name) != 0) continue;
            known = true;
            if (value < options[o].least || value > options[o].most)
                load_die(argv[i], "out of range");
            *options[o].to = value;
        }
        if (!known) load_die(argv[i], "no such option");
    }
}

int main(int argc, char **argv)
{
    static bench b = {.n = 50000,
                      .queries = {.n = 1000},
                      .rounds = 9,
                      .depth = 16,
                      .writes = 200,
                      .seconds = 20,
                      .dir = "/tmp/bench-socket-XXXXXX"};
    b.threads = akin_cpu_count();
    parse(&b, argc, argv);
    if (!mkdtemp(b.dir)) load_die(b.dir, "cannot create it");
    snprintf(b.socket, sizeof b.socket, "%s/akin.sock", b.dir);
    snprintf(b.served, sizeof b.served, "%s/served", b.dir);
    snprintf(b.own, sizeof b.own, "%s/own", b.dir);
    make_data(&b);
    have_collection(&b);
    with_dir("cp", "-a", b.served, b.own);
    start_server(&b);
    b.engine = open_engine(b.own);
    b.faiss = faiss_refine(b.items.rows, b.n, DIM);
    compare(&b);
    akin_engine_close(b.engine);
    rival_free(b.faiss);
    if (b.writes) with_writes(&b);
    kill(b.server, SIGTERM);
    waitpid(b.server, NULL, 0);
    load_clear(&b.queries);
    ann_clear(&b.items);
    ann_clear(&b.asked);
    with_dir("rm", "-rf", b.dir, NULL);
    return 0;
}
