/* How well hashes and sketches tell copies from other photographs, on a folder
 * of photographs: ../shared/data/clothing/images, or AKIN_PHOTOS. Prints one row
 * a change, and fails when what is promised in akin_embed.h does not hold:
 *
 *   near by distance:   the whole or trimmed hash, any turn, up to
 *                       AKIN_PICTURE_NEAR_DISTANCE
 *   near by similarity: the sketches, with a crop looked for */
#include "picture_changes.h"
#include "picture_set.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MOST    4000
#define TESTED  150
#define CLOSEST 300 /* pairs of other photographs that are compared whole */

static char folder[1024];
static akin_picture_hashes *hashes;
static size_t count;

static bool read_photo(const char *name, akin_picture *out)
{
    char path[1400];
    akin_map map;
    akin_status rc;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (akin_map_open(&map, path, NULL)) return false;
    rc = akin_picture_decode((akin_span){map.data, map.size}, NULL, out, NULL);
    akin_map_close(&map);
    return rc == AKIN_OK;
}

static int only_files(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* ---- copies ----------------------------------------------------------------- */

typedef struct {
    size_t n, by_distance, by_similarity, by_either;
    uint64_t distances;
    double similarities;
} tally;

static tally tallies[CHANGE_COUNT];

static void try_changes(const akin_picture *photo, const akin_picture_hashes *h)
{
    size_t change;

    for (change = 0; change < CHANGE_COUNT; change++) {
        tally *t = &tallies[change];
        akin_buf jpeg = {0};
        akin_picture copy;
        akin_picture_hashes of_copy;
        akin_picture_match m;
        bool distance, similarity;

        picture_changed(photo, (picture_change)change, &jpeg);
        assert_int_equal(akin_picture_decode((akin_span){jpeg.data, jpeg.size},
                                             NULL, &copy, NULL),
                         AKIN_OK);
        assert_int_equal(akin_picture_hash(&copy, &of_copy, NULL), AKIN_OK);
        akin_picture_compare(h, &of_copy, true, &m);
        distance = m.distance <= AKIN_PICTURE_NEAR_DISTANCE;
        similarity = m.similarity >= AKIN_PICTURE_NEAR_SIMILARITY;
        t->n++;
        t->by_distance += distance;
        t->by_similarity += similarity;
        t->by_either += distance || similarity;
        t->distances += m.distance;
        t->similarities += (double)m.similarity;
        akin_picture_clear(&copy);
        akin_buf_clear(&jpeg);
    }
}

static int load(void **state)
{
    const char *place = getenv("AKIN_PHOTOS");
    struct dirent **entries = NULL;
    int found, i, step;

    (void)state;
    snprintf(folder, sizeof folder, "%s",
             place != NULL ? place
                           : AKIN_SOURCE "/../shared/data/clothing/images");
    found = scandir(folder, &entries, only_files, alphasort);
    hashes = akin_calloc(MOST, sizeof *hashes);
    assert_non_null(hashes);
    step = found > TESTED ? found / TESTED : 1;
    for (i = 0; i < found; i++) {
        akin_picture photo;

        if (count < MOST && read_photo(entries[i]->d_name, &photo)) {
            assert_int_equal(akin_picture_hash(&photo, &hashes[count], NULL),
                             AKIN_OK);
            if (i % step == 0) try_changes(&photo, &hashes[count]);
            count++;
            akin_picture_clear(&photo);
        }
        free(entries[i]);
    }
    free(entries);
    print_message("%zu photographs in %s\n", count, folder);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    akin_free(hashes);
    return 0;
}

static void copies_are_found(void **state)
{
    size_t i;

    (void)state;
    if (count == 0) skip();
    print_message("%-11s %9s %9s %9s %9s %9s\n", "change", "distance",
                  "similar", "<= near", ">= near", "either");
    for (i = 0; i < CHANGE_COUNT; i++) {
        const tally *t = &tallies[i];
        double n = (double)t->n;

        print_message("%-11s %9.1f %9.3f %8.1f%% %8.1f%% %8.1f%%\n",
                      picture_change_name[i], (double)t->distances / n,
                      t->similarities / n, 100.0 * (double)t->by_distance / n,
                      100.0 * (double)t->by_similarity / n,
                      100.0 * (double)t->by_either / n);
        assert_true(t->by_either * 100 >= t->n * 95);
    }
}

/* ---- other photographs ------------------------------------------------------ */

typedef struct {
    uint32_t distance, a, b;
} pair;

/* Keeps the CLOSEST pairs, the worst of them first. */
static void keep(pair *closest, size_t *n, pair p)
{
    size_t i, worst = 0;

    if (*n < CLOSEST) {
        closest[(*n)++] = p;
        return;
    }
    for (i = 1; i < CLOSEST; i++)
        if (closest[i].distance > closest[worst].distance) worst = i;
    if (p.distance < closest[worst].distance) closest[worst] = p;
}

static void other_photographs_are_not(void **state)
{
    static pair closest[CLOSEST];
    size_t near_pairs = 0, pairs = 0, n = 0, similar = 0, i, k;
    uint32_t worst = 256;

    (void)state;
    if (count == 0) skip();
    for (i = 0; i < count; i++)
        for (k = i + 1; k < count; k++) {
            uint32_t d =
                akin_picture_distance(&hashes[i].whole, &hashes[k].whole);
            uint32_t e =
                akin_picture_distance(&hashes[i].trimmed, &hashes[k].trimmed);

            d = d < e ? d : e;
            pairs++;
            near_pairs += d <= AKIN_PICTURE_NEAR_DISTANCE;
            if (n < CLOSEST || d < worst) {
                size_t c;

                keep(closest, &n, (pair){d, (uint32_t)i, (uint32_t)k});
                for (worst = 0, c = 0; c < n; c++)
                    worst = closest[c].distance > worst ? closest[c].distance
                                                        : worst;
            }
        }
    for (i = 0; i < n; i++) {
        akin_picture_match m;

        akin_picture_compare(&hashes[closest[i].a], &hashes[closest[i].b],
                             false, &m);
        if (m.similarity >= AKIN_PICTURE_NEAR_SIMILARITY) {
            similar++;
            print_message("similar: %u and %u, distance %u, similarity %.3f\n",
                          closest[i].a, closest[i].b, closest[i].distance,
                          (double)m.similarity);
        }
    }
    print_message("%zu pairs: %zu near by distance; of the %zu closest (up to "
                  "%u) %zu near by similarity\n",
                  pairs, near_pairs, n, worst, similar);
    assert_true(near_pairs <= pairs / 1000000 + 1);
    assert_true(similar <= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_found),
        cmocka_unit_test(other_photographs_are_not),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
