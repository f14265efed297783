/* A hundred thousand synthetic pictures, one in 25 a near copy of an earlier
 * one: all copies are found, and the time of a look is printed as it grows. The
 * items go straight into storage, for encoding pictures would take hours. */
#include "../../engine/dupes.h"
#include "harness.h"

enum { ITEMS = 100000, STEP = 10000, BATCH = 500, DIM = 64, EVERY = 25 };

typedef struct {
    char id[16];
    uint8_t content[AKIN_HASH_BYTES], pixels[AKIN_HASH_BYTES];
    uint64_t phashes[AKIN__PHASHES];
    uint8_t sketch[AKIN_SKETCH_BYTES];
    uint16_t vector[DIM];
} synthetic;

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Item i; every EVERY-th one looks like that of half its number. */
static void make_item(uint64_t i, synthetic *out)
{
    bool copy = i % EVERY == 0 && i > 0;
    uint64_t look = copy ? i / 2 | 1 : i;
    if (copy && look % EVERY == 0) look += 2; /* that is a copy itself */
    float v[DIM];
    snprintf(out->id, sizeof out->id, "%06u", (unsigned)i);
    for (int b = 0; b < AKIN_HASH_BYTES; b++) {
        out->content[b] = (uint8_t)(mix(i * 64 + (uint64_t)b) >> 8);
        out->pixels[b] = (uint8_t)~out->content[b];
    }
    for (uint64_t w = 0; w < 4; w++)
        out->phashes[w] = out->phashes[4 + w] = mix(look * 8 + w + 1);
    for (uint64_t b = 0; copy && b < 12; b++)
        out->phashes[b % 4] ^= UINT64_C(1) << (mix(i + b) & 63);
    memcpy(out->phashes + 4, out->phashes, 4 * sizeof *out->phashes);
    out->phashes[8] = 50;
    for (size_t b = 0; b < sizeof out->sketch; b++)
        out->sketch[b] = (uint8_t)mix(look * 2048 + b);
    for (uint64_t d = 0; d < DIM; d++)
        v[d] = (float)(mix(look * 128 + d) >> 40) - 8388608.0f;
    assert_true(akin_normalize(v, DIM));
    akin_half_from_float(out->vector, v, DIM);
}

static void put_batch(akin__collection *c, uint64_t from, synthetic *items)
{
    static const uint8_t none[AKIN_HASH_BYTES];
    akin_item_data data[BATCH];
    akin_write ops[BATCH];
    memset(data, 0, sizeof data);
    for (uint64_t i = 0; i < BATCH; i++) {
        synthetic *s = &items[i];
        make_item(from + i, s);
        data[i].id = akin_span_of(s->id);
        data[i].content_hash = s->content;
        data[i].pixel_hash = s->pixels;
        data[i].phashes = s->phashes;
        data[i].phash_count = AKIN__PHASHES;
        data[i].sketch = s->sketch;
        data[i].vectors[AKIN_SPACE_IMAGE] =
            (akin_vector){s->vector, DIM, 1, none};
        ops[i] = (akin_write){
            .kind = AKIN_WRITE_PUT, .collection = c->num, .item = &data[i]};
    }
    must(akin_storage_write(c->engine->storage, ops, BATCH, NULL, err));
}

static void test_flat(void **state)
{
    (void)state;
    char *dir = scratch_make();
    akin_engine *engine = open_engine(dir, NULL);
    akin__collection *c;
    synthetic *items = calloc(BATCH, sizeof *items);
    akin_collection_options options = {.dim = DIM};
    assert_non_null(items);
    must(akin_engine_create(engine, "c", &options, err));
    must(akin__collection_find(engine, "c", &c, err));

    for (uint64_t at = 0; at < ITEMS;) {
        uint64_t ns = 0, left;
        for (uint64_t end = at + STEP; at < end; at += BATCH) {
            put_batch(c, at, items);
            must(akin__publish(c, NULL, 0, err));
            uint64_t start = akin_mono_ns();
            must(akin__dupes_look(c, 0, 0, true, &left, err));
            ns += akin_mono_ns() - start;
            assert_int_equal(left, 0);
        }
        print_message("%6u items: %.0f us a look\n", (unsigned)at,
                      (double)ns / STEP / 1000);
    }

    akin_dupe_query query = {.level = AKIN_LEVEL_NEAR, .count = 20};
    akin_dupe_page page;
    size_t found = 0, pages = 0;
    uint64_t longest = 0;
    do {
        uint64_t start = akin_mono_ns();
        must(akin_engine_dupes(engine, "c", &query, &page, err));
        uint64_t ns = akin_mono_ns() - start;
        if (ns > longest) longest = ns;
        for (size_t i = 0; i < page.n; i++)
            found += page.groups[i].n - 1;
        query.cursor = page.cursor;
        pages++;
        akin_dupe_page_clear(&page);
    } while (query.cursor);
    print_message("%zu copies on %zu pages, the slowest in %.1f ms\n", found,
                  pages, (double)longest / 1e6);
    assert_int_equal(found, ITEMS / EVERY - 1);
    free(items);
    akin__collection_release(c);
    akin_engine_close(engine);
    scratch_remove(dir);
    akin_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_flat)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
