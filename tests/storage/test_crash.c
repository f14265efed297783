/* kill -9 in the middle of heavy writing: what was acknowledged is there, and
 * every item is whole. The child says what it has been promised through a pipe;
 * an item's contents are all made from its round, so that a mixture shows. */
#include "helpers.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define ROUNDS  5
#define THREADS 4
#define SLOTS   50 /* ids of a thread, written over and over */

static char *dir;

typedef struct {
    int thread;
    uint32_t version; /* 0: removed */
    int slot;
} promise; /* smaller than PIPE_BUF: written whole or not at all */

typedef struct {
    akin_storage *s;
    uint32_t c;
    int thread, pipe;
    uint32_t first;
} writing;

static void make_contents(int thread, int slot, uint32_t version, char id[32],
                          char json[64], uint16_t image[DIM],
                          uint16_t caption[DIM])
{
    snprintf(id, 32, "%d/%d", thread, slot);
    snprintf(json, 64, "{\"version\":%u}", version);
    make_vector((uint64_t)version * 2 + 1, DIM, image);
    make_vector((uint64_t)version * 2 + 2, DIM, caption);
}

static void *write_until_killed(void *arg)
{
    writing *w = arg;
    for (uint32_t version = w->first;; version++) {
        akin_write ops[5];
        akin_write_result results[5];
        akin_item_data items[5];
        char ids[5][32], json[5][64];
        uint16_t image[5][DIM], caption[5][DIM];
        for (int i = 0; i < 5; i++) {
            int slot = (int)(version * 5 + (uint32_t)i) % SLOTS;
            make_contents(w->thread, slot, version, ids[i], json[i], image[i],
                          caption[i]);
            items[i] =
                (akin_item_data){.id = text(ids[i]),
                                 .attributes = text(json[i]),
                                 .caption = text(json[i]),
                                 .vectors = {{image[i], DIM, 1, MODEL_A},
                                             {caption[i], DIM, 1, MODEL_A}}};
            ops[i] = put_op(w->c, &items[i]);
        }
        bool remove = version % 7 == 0; /* the last of the five */
        if (remove) ops[4].kind = AKIN_WRITE_REMOVE;
        if (akin_storage_write(w->s, ops, 5, results, NULL)) _exit(3);
        for (int i = 0; i < 5; i++) {
            promise p = {w->thread, i == 4 && remove ? 0 : version,
                         (int)(version * 5 + (uint32_t)i) % SLOTS};
            if (write(w->pipe, &p, sizeof p) != sizeof p) _exit(4);
        }
    }
    return NULL;
}

static void child(int pipe, uint32_t first)
{
    akin_storage *s = NULL;
    akin_storage_options o = {.dir = dir};
    if (akin_storage_open(&o, &s, NULL)) _exit(2);
    writing w[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        w[i] = (writing){s, 1, i, pipe, first};
        pthread_create(&threads[i], NULL, write_until_killed, &w[i]);
    }
    pause();
}

static uint32_t promised[THREADS][SLOTS];
static bool known[THREADS][SLOTS];

/* Reads promises until `enough` came, kills, then reads what is left. */
static size_t run_and_kill(uint32_t first, size_t enough)
{
    int ends[2], status;
    size_t n = 0;
    promise p;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child(ends[1], first);
    }
    close(ends[1]);
    while (read(ends[0], &p, sizeof p) == sizeof p) {
        promised[p.thread][p.slot] = p.version;
        known[p.thread][p.slot] = true;
        if (++n == enough) kill(pid, SIGKILL);
    }
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return n;
}

/* The version found: at least the promised one (a later write may have reached
 * the disk unacknowledged), whole, or gone by a removal. */
static void check_item(akin_storage *s, int thread, int slot)
{
    char id[32], json[64];
    uint16_t image[DIM], caption[DIM];
    akin_item item;
    unsigned version;

    snprintf(id, sizeof id, "%d/%d", thread, slot);
    akin_status rc = akin_storage_get(s, 1, text(id), 3, &item, &error);
    if (rc == AKIN_NOT_FOUND) return; /* a removal may have come later */
    ok(rc);
    assert_int_equal(sscanf(item.attributes.data, "{\"version\":%u}", &version),
                     1);
    assert_true(version >= promised[thread][slot]);
    make_contents(thread, slot, version, id, json, image, caption);
    assert_string_equal(item.attributes.data, json);
    assert_string_equal(item.caption.data, json);
    assert_memory_equal(item.vectors[0].data, image, sizeof image);
    assert_memory_equal(item.vectors[1].data, caption, sizeof caption);
    akin_item_clear(&item);
}

static bool report(void *user, const char *finding)
{
    (void)user;
    print_message("finding: %s\n", finding);
    return true;
}

/* A slot is removed only by versions that are multiples of seven, and those
 * write four others: what a removal took, the next round brings back. So a
 * promised item that is gone is lost unless a later removal took it. */
static bool may_be_removed(int slot, uint32_t from)
{
    for (uint32_t v = from; v <= from + 2 * SLOTS * 7; v++)
        if (v % 7 == 0 && (int)(v * 5 + 4) % SLOTS == slot) return true;
    return false;
}

static void test_kill_in_the_middle_of_writing(void **state)
{
    (void)state;
    dir = temp_dir();
    akin_storage *s = open_dir(dir);
    assert_int_equal(make_collection(s, "default"), 1);
    akin_storage_close(s);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t first = round * 100000 + 1;
        size_t n = run_and_kill(first, 400 + 170 * round);
        s = open_dir(dir);
        uint64_t findings, lost = 0;
        ok(akin_storage_check(s, report, NULL, &findings, &error));
        assert_int_equal(findings, 0);
        for (int t = 0; t < THREADS; t++)
            for (int slot = 0; slot < SLOTS; slot++) {
                if (!known[t][slot]) continue;
                char id[32];
                snprintf(id, sizeof id, "%d/%d", t, slot);
                check_item(s, t, slot);
                if (!promised[t][slot] || slot % 5 != 4) {
                    /* Never removed: must be there. */
                    if (promised[t][slot])
                        ok(akin_storage_find(s, 1, text(id), NULL, NULL,
                                             &error));
                    continue;
                }
                lost += akin_storage_find(s, 1, text(id), NULL, NULL, NULL) &&
                        !may_be_removed(slot, promised[t][slot]);
            }
        assert_int_equal(lost, 0);
        print_message("round %u: %zu acknowledged, all there\n", round, n);
        akin_storage_close(s);
    }
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_in_the_middle_of_writing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
