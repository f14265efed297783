/* Duplicates in a library that grows: N synthetic pictures (soft random patterns;
 * one in 25 an earlier one again, brighter and a little smaller), put in batches
 * as a client would, and how long an item takes as there are ever more; then what
 * a page of groups takes. */
#include "dedup_grow.h"

#include "akin_engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SIDE = 64,
    SMALLER = 56,
    BATCH = 256,
    STEP = 10000,
    EVERY = 25,
    WAVES = 10
};

static void die(const char *what, const akin_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    exit(1);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static float unit(uint64_t seed)
{
    return (float)(mix(seed) >> 40) / 16777216.0f;
}

/* What item i looks like; copies have the number of an earlier one. */
static uint64_t look_of(uint64_t i)
{
    uint64_t look = i / 2 | 1;
    if (i % EVERY || !i) return i;
    return look % EVERY ? look : look + 2;
}

/* Ten waves of random direction, colour and strength, as a PPM file. */
static void draw(uint64_t i, akin_buf *out)
{
    uint64_t look = look_of(i);
    bool copy = look != i;
    int side = copy ? SMALLER : SIDE;
    uint8_t row[SIDE * 3];
    char head[32];
    int n = snprintf(head, sizeof head, "P6\n%d %d\n255\n", side, side);
    float wave[WAVES][7];

    akin_buf_append(out, head, (size_t)n);
    for (uint64_t w = 0; w < WAVES; w++)
        for (uint64_t k = 0; k < 7; k++)
            wave[w][k] = unit(look * 128 + w * 8 + k + 1);
    for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
            float rgb[3] = {128, 128, 128};
            for (int w = 0; w < WAVES; w++) {
                const float *v = wave[w];
                float at = (v[0] * 14 - 7) * (float)x / (float)side +
                           (v[1] * 14 - 7) * (float)y / (float)side;
                float s = sinf(3.14159f * (at + 2 * v[2])) * 20;
                for (int c = 0; c < 3; c++)
                    rgb[c] += s * (0.5f + v[3 + c]);
            }
            for (int c = 0; c < 3; c++) {
                float v = rgb[c] * (copy ? 1.1f : 1);
                row[x * 3 + c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
            }
        }
        akin_buf_append(out, row, (size_t)side * 3);
    }
}

static void put_batch(akin_engine *engine, uint64_t from, uint64_t *ns)
{
    akin_buf pictures[BATCH] = {{0}};
    char ids[BATCH][24];
    akin_item_input puts[BATCH];
    akin_put_result results[BATCH];
    akin_error err;

    memset(puts, 0, sizeof puts);
    for (uint64_t i = 0; i < BATCH; i++) {
        draw(from + i, &pictures[i]);
        snprintf(ids[i], sizeof ids[i], "%08llu",
                 (unsigned long long)(from + i));
        puts[i].id = akin_span_of(ids[i]);
        puts[i].picture = (akin_span){pictures[i].data, pictures[i].size};
    }
    uint64_t start = akin_mono_ns();
    if (akin_engine_put(engine, "grown", puts, BATCH, NULL, results, &err))
        die("put", &err);
    *ns += akin_mono_ns() - start;
    for (size_t i = 0; i < BATCH; i++) {
        if (results[i].status) {
            fprintf(stderr, "%s: %s\n", ids[i], results[i].message);
            exit(1);
        }
        akin_buf_clear(&pictures[i]);
    }
}

static void page_through(akin_engine *engine)
{
    akin_dupe_query query = {.level = AKIN_LEVEL_NEAR, .count = 20};
    akin_dupe_page page;
    akin_error err;
    size_t groups = 0, members = 0, pages = 0;
    uint64_t slowest = 0, all = 0, took = 0;
    do {
        uint64_t start = akin_mono_ns();
        if (akin_engine_dupes(engine, "grown", &query, &page, &err))
            die("dupes", &err);
        took = akin_mono_ns() - start;
        if (page.pending) { /* the time was spent on looking */
            akin_dupe_page_clear(&page);
            continue;
        }
        if (took > slowest) slowest = took;
        all += took;
        pages++;
        groups += page.n;
        for (size_t i = 0; i < page.n; i++)
            members += page.groups[i].n;
        query.cursor = page.cursor;
        akin_dupe_page_clear(&page);
    } while (query.cursor || !pages);
    printf(
        "%zu groups of %zu pictures on %zu pages: %.2f ms a page, the slowest "
        "%.2f ms\n",
        groups, members, pages, (double)all / 1e6 / (double)pages,
        (double)slowest / 1e6);
}

int dedup_grow(const char *out, const char *model, uint64_t n)
{
    akin_engine *engine;
    akin_error err;
    akin_engine_options options = {.data_dir = out, .model_dir = model};
    akin_collection_options collection = {0};

    if (akin_engine_open(&options, &engine, &err)) die(out, &err);
    if (akin_engine_create(engine, "grown", &collection, &err))
        die("create", &err);
    for (uint64_t at = 0; at < n;) {
        uint64_t ns = 0, first = at;
        for (; at < n && at < first + STEP; at += BATCH)
            put_batch(engine, at, &ns);
        printf("%8llu items: %.0f a second\n", (unsigned long long)at,
               (double)(at - first) * 1e9 / (double)ns);
        fflush(stdout);
    }
    page_through(engine);
    akin_engine_close(engine);
    return 0;
}
