/* Generation files that are cut, flipped, foreign: left out, never believed. */
#include "common.h"

#include <dirent.h>
#include <sys/stat.h>

#include "internal.h"

enum { DIM = 16, N = 1200 };

/* A folder with one IVF-PQ generation; its file's path. */
static char *make_generation(char **dir)
{
    uint64_t seed = 5, covered;
    uint16_t *v = malloc(N * DIM * 2u);
    akin_error err;
    akin_index *index;
    *dir = make_folder();
    index = open_index(DIM, *dir, 500, &covered);
    assert_int_equal(covered, 0);
    clustered(1, &seed, N, DIM, 30, v);
    for (uint64_t i = 0; i < N; i++)
        ok(akin_index_put(index, i + 1, v + i * DIM, &err), &err);
    ok(akin_index_build(index, 99, NULL, NULL, &err), &err);
    akin_index_close(index);
    free(v);
    return akin__gen_path(*dir, 1);
}

static size_t files_in(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* What open says of the folder: the covered change, and how many items. */
static uint64_t reopen(const char *dir, uint32_t dim, uint64_t *live)
{
    uint64_t covered;
    akin_index_stats stats;
    akin_index *index = open_index(dim, dir, 500, &covered);
    akin_index_get_stats(index, &stats);
    *live = stats.live;
    akin_index_close(index);
    return covered;
}

static void write_all(const char *path, const uint8_t *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

static unsigned warnings;
static void count_warnings(void *user, akin_log_level level, const char *line)
{
    (void)user;
    (void)line;
    warnings += level == AKIN_LOG_WARN;
}

static void test_flipped_anywhere(void **state)
{
    (void)state;
    char *dir, *path = make_generation(&dir);
    uint8_t *data;
    size_t size;
    uint64_t live, seed = 8;
    akin_error err;
    akin__head head;
    ok(akin_file_read(path, SIZE_MAX, &data, &size, &err), &err);
    memcpy(&head, data, sizeof head);
    const uint64_t places[] = {0,
                               9,
                               40,
                               offsetof(akin__head, curves) + 30,
                               offsetof(akin__head, digest),
                               AKIN__HEAD_BYTES,
                               head.norms_at + 5,
                               head.vectors_at + 1000,
                               head.ivf_at,
                               head.ivf_at + head.ivf_bytes / 2,
                               head.digests_at - 1,
                               head.digests_at,
                               size - 1};
    const size_t n_places = sizeof places / sizeof *places;
    assert_int_equal(reopen(dir, DIM, &live), 99);
    assert_int_equal(live, N);
    for (size_t i = 0; i < n_places + 40; i++) {
        uint64_t at = i < n_places ? places[i] : next_random(&seed) % size;
        if (at >= sizeof head && at < AKIN__HEAD_BYTES) continue; /* unused */
        data[at] ^= 0x10;
        write_all(path, data, size);
        warnings = 0;
        if (reopen(dir, DIM, &live) != 0)
            fail_msg("byte %zu believed", (size_t)at);
        assert_int_equal(live, 0);
        assert_int_equal(warnings, 1);
        data[at] ^= 0x10;
    }
    write_all(path, data, size);
    assert_int_equal(reopen(dir, DIM, &live), 99);
    akin_free(data);
    akin_free(path);
    remove_folder(dir);
}

static void test_cut_anywhere(void **state)
{
    (void)state;
    char *dir, *path = make_generation(&dir);
    uint8_t *data;
    size_t size;
    uint64_t live, seed = 9;
    akin_error err;
    ok(akin_file_read(path, SIZE_MAX, &data, &size, &err), &err);
    for (size_t i = 0; i < 30; i++) {
        size_t to = i < 3 ? (size_t[]){0, 8191, size - 1}[i]
                          : next_random(&seed) % size;
        write_all(path, data, to);
        assert_int_equal(reopen(dir, DIM, &live), 0);
        assert_int_equal(live, 0);
    }
    akin_free(data);
    akin_free(path);
    remove_folder(dir);
}

static void test_other_model(void **state)
{
    (void)state;
    char *dir, *path = make_generation(&dir);
    uint64_t live, covered;
    akin_error err;
    akin_index_options options = {
        .dim = DIM, .dir = dir, .fingerprint = "other"};
    akin_index *index;
    assert_int_equal(reopen(dir, 2 * DIM, &live), 0);
    ok(akin_index_open(&options, &index, &covered, &err), &err);
    assert_int_equal(covered, 0);
    akin_index_close(index);
    assert_int_equal(reopen(dir, DIM, &live), 99);
    akin_free(path);
    remove_folder(dir);
}

/* After damage the owner puts everything again; the next build clears up. */
static void test_damage_heals(void **state)
{
    (void)state;
    char *dir, *path = make_generation(&dir), *leftover;
    uint16_t v[DIM] = {0x3c00};
    uint64_t covered, live;
    akin_error err;
    akin_index *index;
    assert_int_equal(truncate(path, 9000), 0);
    leftover = akin_format("%s/generation-00000009.akin.tmp", dir);
    write_all(leftover, (const uint8_t *)v, sizeof v);
    index = open_index(DIM, dir, 500, &covered);
    assert_int_equal(covered, 0);
    for (uint64_t label = 1; label <= 10; label++)
        ok(akin_index_put(index, label, v, &err), &err);
    ok(akin_index_build(index, 123, NULL, NULL, &err), &err);
    akin_index_close(index);
    assert_int_equal(files_in(dir), 1);
    assert_int_equal(reopen(dir, DIM, &live), 123);
    assert_int_equal(live, 10);
    akin_free(leftover);
    akin_free(path);
    remove_folder(dir);
}

int main(void)
{
    akin_log_set(AKIN_LOG_WARN, count_warnings, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flipped_anywhere),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_other_model),
        cmocka_unit_test(test_damage_heals),
    };
    return cmocka_run_group_tests_name("index/damage", tests, NULL, NULL);
}
