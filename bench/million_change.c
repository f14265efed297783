/* bench_million: deletes, replacements, additions, the merge; kill -9. */
#include "million.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ADDED 20000

static size_t items_of(akin_engine *engine)
{
    uint64_t n;
    must(akin_engine_count(engine, NAME, (akin_filter){0}, &n, &failure));
    return (size_t)n;
}

/* first, first + step, ..., n of them. */
static void remove_some(akin_engine *engine, size_t first, size_t n,
                        size_t step)
{
    static char ids[BATCH][24];
    akin_span spans[BATCH];
    size_t removed, total = 0;
    double start = now();
    for (size_t i = 0; i < n; i += BATCH) {
        size_t some = n - i < BATCH ? n - i : BATCH;
        for (size_t j = 0; j < some; j++) {
            snprintf(ids[j], sizeof ids[j], "%zu", first + (i + j) * step);
            spans[j] = akin_span_of(ids[j]);
        }
        must(akin_engine_remove(engine, NAME, spans, some, &removed, &failure));
        total += removed;
    }
    double seconds = now() - start;
    printf("  deleted %zu items in %.2f s, %.0f items/s\n", total, seconds,
           (double)total / seconds);
}

static bool there(akin_engine *engine, size_t item)
{
    char id[24];
    snprintf(id, sizeof id, "%zu", item);
    return !akin_engine_exists(engine, NAME, akin_span_of(id), &failure);
}

/* None of the items first, first + 10, ..., n of them, may be found. */
static void expect_gone(akin_engine *engine, const float *queries, size_t first,
                        size_t n)
{
    size_t ghosts = 0, seen = 0;
    for (size_t q = 0; q < QUERIES; q++) {
        long ids[K];
        size_t got = ask(engine, queries + q * DIM, NULL, false, ids);
        for (size_t i = 0; i < got; i++, seen++)
            ghosts += (size_t)ids[i] < n * 10 && (size_t)ids[i] % 10 == first;
    }
    printf("  deleted items among %zu results: %zu\n", seen, ghosts);
}

/* Waits for the background to merge, while one thread searches. */
static void wait_for_merge(akin_engine *engine, const float *queries)
{
    uint64_t delta = 1;
    double start = now();
    asker a;
    asker_start(&a, engine, queries);
    while (delta && now() - start < 1200) {
        usleep(100000);
        akin_collection_info *info = info_of(engine);
        delta = info->image.delta;
        free(info);
    }
    printf("  %s %.1f s after; memory %.0f MB, %.0f MB of mapped files\n",
           delta ? "NOT merged" : "merged", now() - start, resident_mb('a'),
           resident_mb('f'));
    asker_end(&a, "searches meanwhile");
    print_info(engine);
}

/* A filter is asked of storage once; after each write only about what that
 * changed. */
static void filter_among_writes(akin_engine *engine, const float *queries,
                                const uint16_t *row)
{
    enum { ROUNDS = 50 };
    double first = 0, later = 0;
    long ids[K];
    for (size_t i = 0; i <= ROUNDS; i++) {
        double start = now();
        ask(engine, queries + i * DIM, ".u < 1000", false, ids);
        *(i ? &later : &first) += now() - start;
        put_items(engine, row, 7000000 + i % 10, 1);
    }
    printf("  a filter that a tenth passes: %.1f ms the first time, then %.2f "
           "ms, with a write before each\n",
           first * 1e3, later * 1e3 / ROUNDS);
}

void million_change(const char *dir)
{
    ann_vectors rows = {0};
    float *queries;
    make_queries(ADDED, &rows, &queries);
    akin_engine *engine = open_engine(dir, "no");
    size_t gone = items_of(engine) / 10, first = 2, fresh_id = 2000000;
    while (first < 10 && !there(engine, first))
        first++; /* an earlier run's */
    while (there(engine, fresh_id))
        fresh_id += ADDED;
    const uint16_t *fresh = rows.rows + QUERIES * DIM;

    remove_some(engine, first, gone, 10);
    print_info(engine);
    expect_gone(engine, queries, first, gone);
    measure(engine, queries, FEW, NULL, "after the deletes");
    double start = now();
    for (size_t i = 0; i < BATCH; i++) /* one call and one commit each */
        put_items(engine, fresh + i * DIM, i * 10 + 1, 1);
    printf("  replaced %d items, one by one, in %.2f s\n", BATCH,
           now() - start);
    filter_among_writes(engine, queries, fresh);
    start = now();
    for (size_t i = 0; i < ADDED; i += BATCH)
        put_items(engine, fresh + i * DIM, fresh_id + i, BATCH);
    printf("  added %d items in %.2f s\n", ADDED, now() - start);
    measure(engine, queries, FEW, NULL, "with that delta");
    akin_engine_close(engine);

    start = now();
    engine = open_engine(dir, "yes");
    printf("  opened again in %.2f s\n", now() - start);
    wait_for_merge(engine, queries);
    expect_gone(engine, queries, first, gone);
    measure(engine, queries, FEW, NULL, "after the merge");
    akin_engine_close(engine);
    ann_clear(&rows);
    free(queries);
}

/* ---- kill -9 ------------------------------------------------------------------ */

#define CRASH_FIRST 5000000 /* ids of what is written then */

/* Writes batches for ever, and a byte to fd after each that was acknowledged. */
static void write_for_ever(const char *dir, const uint16_t *rows, int fd)
{
    akin_engine *engine = open_engine(dir, "no");
    for (size_t at = CRASH_FIRST;; at += 100) {
        put_items(engine, rows + (at % ADDED) * DIM, at, 100);
        if (write(fd, "", 1) != 1) _exit(1);
    }
}

/* Ends a process that writes after `batches` acknowledgements; returns how many
 * there were. */
static size_t kill_writer(const char *dir, const uint16_t *rows, size_t batches)
{
    size_t acknowledged = 0;
    int ends[2];
    char byte;
    if (pipe(ends)) abort();
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0) abort();
    if (!pid) write_for_ever(dir, rows, ends[1]);
    close(ends[1]);
    while (acknowledged < batches && read(ends[0], &byte, 1) == 1)
        acknowledged++;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    while (read(ends[0], &byte, 1) == 1)
        acknowledged++;
    close(ends[0]);
    return acknowledged;
}

void million_crash(const char *dir, const char *akin)
{
    ann_vectors rows = {0};
    float *queries;
    make_queries(ADDED + 100, &rows, &queries);
    size_t acknowledged =
        100 * kill_writer(dir, rows.rows + QUERIES * DIM, ADDED / 100);
    printf("killed while writing, %zu items after it was opened\n",
           acknowledged);
    million_open(dir, akin);

    akin_engine *engine = open_engine(dir, "no");
    size_t missing = 0, more = 0;
    char id[24];
    for (size_t i = 0; i < acknowledged + 100; i++) {
        snprintf(id, sizeof id, "%zu", CRASH_FIRST + i);
        akin_status rc =
            akin_engine_exists(engine, NAME, akin_span_of(id), &failure);
        missing += rc && i < acknowledged;
        more += !rc && i >= acknowledged;
    }
    printf("  of %zu acknowledged items %zu are missing; of the batch that was "
           "not, %zu of 100 are there\n",
           acknowledged, missing, more);
    print_info(engine);
    remove_some(engine, CRASH_FIRST, acknowledged + 100, 1);
    akin_engine_close(engine);
    ann_clear(&rows);
    free(queries);
}
