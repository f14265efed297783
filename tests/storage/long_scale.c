/* Storage at size: prints what writes, filters, captions and replays cost, and
 * holds them to loose bounds (a tenth of what two slow cores do).
 *
 *   storage_long_scale [items]     default 100000; vectors of 512 */
#include "helpers.h"

#include <pthread.h>

#define WIDE  512
#define BATCH 64

static char *dir;
static akin_storage *s;
static uint32_t c;
static uint64_t items = 100000;

static double seconds(void)
{
    return (double)akin_mono_ns() * 1e-9;
}

static void fill_item(uint64_t n, akin_item_data *item, char id[32],
                      char json[128], char caption[128], uint16_t vector[WIDE],
                      uint8_t hash[AKIN_HASH_BYTES])
{
    static const char *const words[] = {"red",   "blue",  "chair", "table",
                                        "shirt", "boots", "woman", "window"};
    snprintf(id, 32, "item-%llu", (unsigned long long)n);
    snprintf(json, 128,
             "{\"price\":%llu,\"brand\":\"brand%llu\",\"sold\":%s,"
             "\"tags\":[\"t%llu\",\"new\"]}",
             (unsigned long long)(n * 7919 % 100000),
             (unsigned long long)(n % 1000), n % 3 ? "false" : "true",
             (unsigned long long)(n % 5000));
    snprintf(caption, 128, "a %s %s near the %s number %llu", words[n % 8],
             words[n / 8 % 8], words[n / 64 % 8], (unsigned long long)n);
    make_vector(n + 1, WIDE, vector);
    memset(hash, 0, AKIN_HASH_BYTES);
    memcpy(hash, &n, sizeof n);
    *item = (akin_item_data){.id = text(id),
                             .attributes = text(json),
                             .caption = text(caption),
                             .source = text(id),
                             .content_hash = hash,
                             .vectors = {{vector, WIDE, 1, MODEL_A}}};
}

static void write_batch(uint64_t from)
{
    static akin_item_data item[BATCH];
    static akin_write ops[BATCH];
    static akin_write_result results[BATCH];
    static char id[BATCH][32], json[BATCH][128], caption[BATCH][128];
    static uint16_t vector[BATCH][WIDE];
    static uint8_t hash[BATCH][AKIN_HASH_BYTES];
    for (int i = 0; i < BATCH; i++) {
        fill_item(from + (uint64_t)i, &item[i], id[i], json[i], caption[i],
                  vector[i], hash[i]);
        ops[i] = put_op(c, &item[i]);
    }
    ok(akin_storage_write(s, ops, BATCH, results, &error));
    for (int i = 0; i < BATCH; i++)
        assert_int_equal(results[i].status, 0);
}

static void *write_single(void *arg)
{
    uint64_t from = *(uint64_t *)arg;
    for (uint64_t n = from; n < from + 200; n++) {
        akin_item_data item;
        char id[32], json[128], caption[128];
        uint16_t vector[WIDE];
        uint8_t hash[AKIN_HASH_BYTES];
        fill_item(n, &item, id, json, caption, vector, hash);
        akin_write op = put_op(c, &item);
        if (akin_storage_write(s, &op, 1, NULL, NULL)) return arg;
    }
    return NULL;
}

static void write_singles(int threads)
{
    pthread_t thread[64];
    uint64_t from[64];
    double start = seconds();
    for (int i = 0; i < threads; i++) {
        from[i] =
            1000000000u + (uint64_t)threads * 1000000u + (uint64_t)i * 200;
        assert_int_equal(
            pthread_create(&thread[i], NULL, write_single, &from[i]), 0);
    }
    for (int i = 0; i < threads; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        assert_null(failed);
    }
    double took = seconds() - start;
    print_message("%2d writers of single items: %.0f items/s\n", threads,
                  threads * 200 / took);
}

static bool count(void *user, const uint64_t *nums, size_t n)
{
    (void)nums;
    *(uint64_t *)user += n;
    return true;
}

static double filter(const char *what, const akin_predicate_node *nodes,
                     uint32_t n)
{
    akin_predicate p = {nodes, n, true};
    uint64_t found = 0;
    char *how;
    ok(akin_storage_explain(s, c, &p, &how, &error));
    double start = seconds();
    ok(akin_storage_select(s, c, &p, count, &found, &error));
    double took = seconds() - start;
    print_message("%-34s %8llu found in %8.2f ms, %s\n", what,
                  (unsigned long long)found, took * 1e3, how);
    akin_free(how);
    return took;
}

static void filters(bool declared)
{
    const akin_predicate_node rare[] = {
        {.op = AKIN_P_FIELD, .text = text("price")},
        {.op = AKIN_P_NUMBER, .number = 10},
        {.op = AKIN_P_LT, .left = 0, .right = 1}};
    const akin_predicate_node brand[] = {
        {.op = AKIN_P_FIELD, .text = text("brand")},
        {.op = AKIN_P_STRING, .text = text("brand77")},
        {.op = AKIN_P_EQ, .left = 0, .right = 1},
        {.op = AKIN_P_FIELD, .text = text("price")},
        {.op = AKIN_P_NUMBER, .number = 50000},
        {.op = AKIN_P_LT, .left = 3, .right = 4},
        {.op = AKIN_P_AND, .left = 2, .right = 5}};
    const akin_predicate_node tag[] = {
        {.op = AKIN_P_STRING, .text = text("t42")},
        {.op = AKIN_P_FIELD, .text = text("tags")},
        {.op = AKIN_P_IN, .left = 0, .right = 1}};
    const akin_predicate_node half[] = {
        {.op = AKIN_P_FIELD, .text = text("price")},
        {.op = AKIN_P_NUMBER, .number = 50000},
        {.op = AKIN_P_LT, .left = 0, .right = 1}};
    double took = filter(".price < 10", rare, 3);
    if (declared) assert_true(took < 0.05);
    took = filter(".brand == \"brand77\" and .price < 50000", brand, 7);
    if (declared) assert_true(took < 0.2);
    took = filter("\"t42\" in .tags", tag, 3);
    if (declared) assert_true(took < 0.1);
    filter(".price < 50000", half, 3);
}

static bool take(void *user, uint64_t num, double score)
{
    (void)num;
    (void)score;
    ++*(int *)user;
    return true;
}

static void search(const char *words)
{
    int n = 0;
    double start = seconds();
    ok(akin_storage_text_search(s, c, text(words), 10, NULL, NULL, take, &n,
                                &error));
    print_message("captions \"%s\": %d in %.2f ms\n", words, n,
                  (seconds() - start) * 1e3);
}

static bool replay(void *user, const akin_change *change)
{
    *(uint64_t *)user += change->vector != NULL;
    return true;
}

static void declare(const char *name, akin_field_type type)
{
    double start = seconds();
    write_one(s, (akin_write){.kind = AKIN_WRITE_FIELD,
                              .collection = c,
                              .name = text(name),
                              .type = type});
    print_message("field %s declared in %.2f s\n", name, seconds() - start);
}

static bool count_item(void *user, size_t at, const akin_item *item)
{
    (void)at, (void)item;
    ++*(uint64_t *)user;
    return true;
}

static void look_up(void)
{
    uint64_t nums[200], random = 9, found = 0;
    double start = seconds();
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 200; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            nums[i] = 1 + (random >> 33) % items;
        }
        ok(akin_storage_get_many(s, c, nums, 200, AKIN_WITH_VECTORS, count_item,
                                 &found, &error));
    }
    assert_int_equal(found, 100 * 200);
    print_message("200 items with vectors by number: %.2f ms\n",
                  (seconds() - start) * 1e3 / 100);
}

static void test_scale(void **state)
{
    (void)state;
    uint64_t upto, vectors = 0;
    dir = temp_dir();
    s = open_dir(dir);
    c = (uint32_t)write_one(s, (akin_write){.kind = AKIN_WRITE_CREATE,
                                            .name = text("default"),
                                            .model = MODEL_A,
                                            .dim = WIDE})
            .num;
    double start = seconds();
    for (uint64_t n = 0; n < items; n += BATCH)
        write_batch(n);
    double rate = (double)items / (seconds() - start);
    print_message("batches of %d: %.0f items/s (%.0f commits/s)\n", BATCH, rate,
                  rate / BATCH);
    assert_true(rate > 200);
    for (int threads = 1; threads <= 64; threads *= 4)
        write_singles(threads);
    filters(false);
    declare("price", AKIN_FIELD_NUMBER);
    declare("brand", AKIN_FIELD_STRING);
    declare("tags", AKIN_FIELD_TAGS);
    filters(true);
    search("red chair near the window");
    search("number 4711");
    search("near");
    search("boots woman");
    look_up();
    start = seconds();
    ok(akin_storage_changes(s, c, AKIN_SPACE_IMAGE, NULL, 0, replay, &vectors,
                            &upto, &error));
    print_message("replay of %llu vectors: %.2f s\n",
                  (unsigned long long)vectors, seconds() - start);
    assert_true(vectors >= items);
    start = seconds();
    akin_storage_close(s);
    print_message("closed in %.2f s\n", seconds() - start);
    start = seconds();
    s = open_dir(dir);
    akin_storage_info info;
    ok(akin_storage_stat(s, &info, &error));
    double took = seconds() - start;
    print_message("opened in %.4f s, %.0f bytes an item\n", took,
                  (double)info.file_bytes / (double)info.items);
    assert_true(took < 1);
    akin_storage_close(s);
    remove_dir(dir);
}

int main(int argc, char **argv)
{
    if (argc > 1) items = strtoull(argv[1], NULL, 10);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scale)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
