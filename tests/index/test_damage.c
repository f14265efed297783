/* Generation files that are cut, flipped, foreign: left out, never believed. */
#include "common.h"

#include <dirent.h>
#include <sys/stat.h>

#include "internal.h"

enum { DIM = 64, N = 3000 }; /* vectors: some whole blocks */

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
        ok(put_one(index, i + 1, v + i * DIM, &err), &err);
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

enum { ASKED = 20, K = 5 };

/* Answers of the sound file: the same queries again must give the same. */
typedef struct {
    float queries[ASKED * DIM];
    akin_hit hits[ASKED * K];
} answers;

static void ask_sound(const char *dir, answers *a)
{
    uint64_t covered, seed = 77;
    uint16_t rows[ASKED * DIM];
    uint32_t nhits[ASKED];
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    akin_error err;
    akin_index *index = open_index(DIM, dir, 500, &covered);
    params.k = K;
    clustered(1, &seed, ASKED, DIM, 30, rows);
    akin_float_from_half(a->queries, rows, ASKED * DIM);
    ok(akin_index_search(index, a->queries, ASKED, &params, a->hits, nhits,
                         NULL, &err),
       &err);
    ok(akin_index_verify(index, NULL, NULL, &err), &err);
    assert_false(akin_index_damaged(index));
    akin_index_close(index);
}

/* A search through the lists is right, or says that the file is damaged. */
static void ask_damaged(const akin_index *index, const answers *a)
{
    akin_search_params params = AKIN_SEARCH_DEFAULTS;
    akin_hit hits[K];
    uint32_t n;
    akin_error err;
    params.k = K;
    for (size_t q = 0; q < ASKED; q++) {
        akin_status rc = akin_index_search(index, a->queries + q * DIM, 1,
                                           &params, hits, &n, NULL, &err);
        if (rc == AKIN_CORRUPT) continue;
        ok(rc, &err);
        assert_int_equal(n, K);
        for (size_t i = 0; i < K; i++) {
            assert_int_equal(hits[i].label, a->hits[q * K + i].label);
            assert_true(hits[i].cosine == a->hits[q * K + i].cosine);
        }
    }
}

/* The file's byte `at` is wrong, and it was opened: it is a vector's. Whoever
 * reads that fails; so do a scan and a build. */
static void expect_damaged(akin_index *index, const akin__head *head,
                           uint64_t at, const answers *a)
{
    akin_search_params exact = AKIN_SEARCH_DEFAULTS;
    float vector[DIM], cosine;
    akin_hit hits[10];
    uint32_t n;
    akin_error err;
    uint64_t end = head->vectors_at + head->rows * DIM * 2;
    assert_true(at >= head->vectors_at && at < end);
    uint64_t label = 1 + (at - head->vectors_at) / (DIM * 2);
    exact.exact = true;

    ask_damaged(index, a);
    assert_int_equal(akin_index_get(index, label, vector, &err), AKIN_CORRUPT);
    assert_int_equal(
        akin_index_cosines(index, a->queries, &label, 1, &cosine, &err),
        AKIN_CORRUPT);
    assert_true(akin_index_damaged(index));
    assert_int_equal(
        akin_index_search(index, a->queries, 1, &exact, hits, &n, NULL, &err),
        AKIN_CORRUPT);
    assert_non_null(strstr(err.message, "damaged between byte"));
    assert_int_equal(akin_index_build(index, 100, NULL, NULL, &err),
                     AKIN_CORRUPT);
    assert_int_equal(akin_index_verify(index, NULL, NULL, &err), AKIN_CORRUPT);
}

static void test_flipped_anywhere(void **state)
{
    (void)state;
    char *dir, *path = make_generation(&dir);
    uint8_t *data;
    size_t size, later = 0;
    uint64_t live, covered, seed = 8;
    akin_error err;
    akin__head head;
    answers *a = calloc(1, sizeof *a);
    ok(akin_file_read(path, SIZE_MAX, &data, &size, &err), &err);
    memcpy(&head, data, sizeof head);
    const uint64_t places[] = {0,
                               9,
                               40,
                               offsetof(akin__head, curves) + 30,
                               offsetof(akin__head, digest),
                               sizeof head + 3,
                               sizeof head + offsetof(akin__far, digest),
                               AKIN__HEAD_BYTES,
                               head.norms_at + 5,
                               head.vectors_at,
                               head.vectors_at + 200000,
                               head.ivf_at - 1,
                               head.ivf_at,
                               head.ivf_at + head.ivf_bytes / 2,
                               head.digests_at - 1,
                               head.digests_at,
                               size - 1};
    const size_t n_places = sizeof places / sizeof *places;
    ask_sound(dir, a);
    for (size_t i = 0; i < n_places + 40; i++) {
        uint64_t at = i < n_places ? places[i] : next_random(&seed) % size;
        if (at >= sizeof head + sizeof(akin__far) && at < AKIN__HEAD_BYTES)
            continue; /* unused */
        data[at] ^= 0x10;
        write_all(path, data, size);
        warnings = 0;
        akin_index *index = open_index(DIM, dir, 500, &covered);
        if (covered) {
            expect_damaged(index, &head, at, a);
            later++;
        } else {
            akin_index_stats stats;
            akin_index_get_stats(index, &stats);
            assert_int_equal(stats.live, 0);
            assert_int_equal(warnings, 1);
        }
        akin_index_close(index);
        data[at] ^= 0x10;
    }
    assert_in_range(later, 10, 40);
    write_all(path, data, size);
    assert_int_equal(reopen(dir, DIM, &live), 99);
    assert_int_equal(live, N);
    free(a);
    akin_free(data);
    akin_free(path);
    remove_folder(dir);
}

static void count_and_keep(void *user, akin_log_level level, const char *line)
{
    count_warnings(NULL, level, line);
    snprintf(user, 600, "%s", line);
}

/* Well digested, so written by somebody else: each kind of curve in turn says
 * that it has more points than there is room for. */
static void test_more_points_than_fit(void **state)
{
    (void)state;
    char *dir, *path = make_generation(&dir), last[600];
    uint8_t *data;
    size_t size;
    uint64_t live;
    akin_error err;
    ok(akin_file_read(path, SIZE_MAX, &data, &size, &err), &err);
    akin__head *head = test_calloc(1, sizeof *head);
    akin__far *far = test_calloc(1, sizeof *far);
    akin_log_set(AKIN_LOG_WARN, count_and_keep, last);
    for (int i = 0; i <= AKIN__HEAD_CURVES; i++) {
        memcpy(head, data, sizeof *head);
        memcpy(far, data + sizeof *head, sizeof *far);
        if (i < AKIN__HEAD_CURVES)
            head->curves[i].n_points = AKIN_CURVE_POINTS + 1;
        else
            far->curves[1][AKIN__FAR_LEVELS - 1].n_points =
                AKIN__FAR_POINTS + 1;
        ok(akin_sha256_of((akin_span){head, offsetof(akin__head, digest)},
                          head->digest, &err),
           &err);
        ok(akin_sha256_of((akin_span){far, offsetof(akin__far, digest)},
                          far->digest, &err),
           &err);
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        assert_int_equal(fwrite(head, sizeof *head, 1, f), 1);
        assert_int_equal(fwrite(far, sizeof *far, 1, f), 1);
        assert_int_equal(fclose(f), 0);
        warnings = 0;
        assert_int_equal(reopen(dir, DIM, &live), 0);
        assert_int_equal(warnings, 1);
        assert_non_null(strstr(last, path));
        assert_non_null(strstr(last, "points"));
    }
    akin_log_set(AKIN_LOG_WARN, count_warnings, NULL);
    write_all(path, data, size);
    assert_int_equal(reopen(dir, DIM, &live), 99);
    test_free(head);
    test_free(far);
    akin_free(data);
    akin_free(path);
    remove_folder(dir);
}

/* Searches in several threads while the rest is compared. */
static void *ask_in_thread(void *arg)
{
    void **pair = arg;
    const answers *a = pair[1];
    for (int i = 0; i < 20; i++)
        ask_damaged(pair[0], a);
    return NULL;
}

static void test_compared_while_searched(void **state)
{
    (void)state;
    char *dir, *path = make_generation(&dir);
    uint64_t covered;
    akin_error err;
    answers *a = calloc(1, sizeof *a);
    pthread_t threads[3];
    ask_sound(dir, a);
    for (int damaged = 0; damaged < 2; damaged++) {
        if (damaged) {
            FILE *f = fopen(path, "r+b");
            assert_non_null(f);
            assert_int_equal(fseek(f, 200000, SEEK_SET), 0);
            assert_int_equal(fwrite("damage", 1, 6, f), 6);
            assert_int_equal(fclose(f), 0);
        }
        akin_index *index = open_index(DIM, dir, 500, &covered);
        void *pair[] = {index, a};
        for (int i = 0; i < 3; i++)
            assert_int_equal(
                pthread_create(&threads[i], NULL, ask_in_thread, pair), 0);
        assert_int_equal(akin_index_verify(index, NULL, NULL, &err),
                         damaged ? AKIN_CORRUPT : AKIN_OK);
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(akin_index_damaged(index), damaged);
        akin_index_close(index);
    }
    free(a);
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
        ok(put_one(index, label, v, &err), &err);
    ok(akin_index_build(index, 123, NULL, NULL, &err), &err);
    akin_index_close(index);
    assert_int_equal(files_in(dir), 1);
    assert_int_equal(reopen(dir, DIM, &live), 123);
    assert_int_equal(live, 10);
    akin_free(leftover);
    akin_free(path);
    remove_folder(dir);
}

/* Beside a process that is building: what looks like leftovers is its work. */
static void test_a_reader_touches_nothing(void **state)
{
    (void)state;
    char *dir, *path = make_generation(&dir), *missing, *unfinished;
    akin_index_options options = {
        .dim = DIM, .dir = dir, .fingerprint = "test", .read_only = true};
    akin_index *index = NULL;
    uint64_t covered;
    akin_error err;
    unfinished = akin_format("%s/generation-00000002.akin.tmp", dir);
    write_all(unfinished, (const uint8_t *)"x", 1);
    ok(akin_index_open(&options, &index, &covered, &err), &err);
    assert_int_equal(covered, 99);
    assert_int_equal(akin_index_build(index, 100, NULL, NULL, &err),
                     AKIN_DENIED);
    akin_index_close(index);
    assert_int_equal(files_in(dir), 2);
    options.dir = missing = akin_format("%s/none", dir);
    ok(akin_index_open(&options, &index, &covered, &err), &err);
    assert_int_equal(covered, 0);
    akin_index_close(index);
    assert_int_equal(files_in(dir), 2);
    options.read_only = false;
    options.dir = dir;
    ok(akin_index_open(&options, &index, &covered, &err), &err);
    akin_index_close(index);
    assert_int_equal(files_in(dir), 1);
    akin_free(missing);
    akin_free(unfinished);
    akin_free(path);
    remove_folder(dir);
}

int main(void)
{
    akin_log_set(AKIN_LOG_WARN, count_warnings, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flipped_anywhere),
        cmocka_unit_test(test_more_points_than_fit),
        cmocka_unit_test(test_compared_while_searched),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_other_model),
        cmocka_unit_test(test_damage_heals),
        cmocka_unit_test(test_a_reader_touches_nothing),
    };
    return cmocka_run_group_tests_name("index/damage", tests, NULL, NULL);
}
