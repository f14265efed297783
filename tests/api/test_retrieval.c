/* akin bench retrieval: the metrics against values worked out by hand, and the
 * command on folders, catalogues and collections. */
#include <jansson.h>
#include <math.h>

#include "pictures.h"
#include "retrieval.h"

#define NEAR(a, b) assert_true(fabs((a) - (b)) < 1e-6)

/* Unit vectors by angle, so that nearer angles rank first. */
static void by_angle(float *out, const float *degrees, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = cosf(degrees[i] * (float)M_PI / 180);
        out[2 * i + 1] = sinf(degrees[i] * (float)M_PI / 180);
    }
}

static void ranks_by_hand(void **state)
{
    /* Query 0 finds, in order, groups 0 1 0 1 ...; query 1: 1 1 0 0 from the
     * other end; query 2 has no group. */
    const float pool_at[] = {1, 2, 3, 30, 40, 50, 60, 70, 80, 90, 100, 110};
    const uint32_t pool_of[] = {0, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 2};
    const float query_at[] = {0, 120, 5};
    const uint32_t query_of[] = {0, 2, AKIN_RETRIEVAL_NONE};
    float pool_vectors[24], query_vectors[6];
    akin_retrieval got;
    (void)state;
    by_angle(pool_vectors, pool_at, 12);
    by_angle(query_vectors, query_at, 3);
    const akin_retrieval_set pool = {pool_vectors, pool_of, 12},
                             queries = {query_vectors, query_of, 3};
    for (uint32_t threads = 1; threads <= 3; threads += 2) {
        assert_int_equal(akin_retrieval_measure(&queries, &pool, 2, NULL,
                                                threads, &got, NULL),
                         0);
        assert_int_equal(got.queries, 2);
        assert_int_equal(got.pool, 12);
        for (int c = 0; c < 3; c++)
            NEAR(got.recall[c], 1);
        NEAR(got.precision, (0.3 + 0.1) / 2);
        NEAR(got.precision_chance, (3.0 / 12 + 1.0 / 12) / 2);
        double ideal = 1 + 1 / log2(3) + 1 / log2(4);
        double gain = 1 + 1 / log2(4) + 1 / log2(11);
        NEAR(got.ndcg, (gain / ideal + 1) / 2);
        NEAR(got.chance[0], (3.0 / 12 + 1.0 / 12) / 2);
        /* none of 3 among 5 of 12: 9/12 * 8/11 * 7/10 * 6/9 * 5/8 */
        NEAR(got.chance[1], (1 - 7.0 / 44 + 5.0 / 12) / 2);
    }
}

static void leaves_itself_out(void **state)
{
    const float at[] = {0, 1, 10, 11};
    const uint32_t of[] = {0, 1, 0, 1}, self[] = {0, 1, 2, 3};
    float vectors[8];
    akin_retrieval got;
    (void)state;
    by_angle(vectors, at, 4);
    const akin_retrieval_set set = {vectors, of, 4};
    assert_int_equal(akin_retrieval_measure(&set, &set, 2, self, 1, &got, NULL),
                     0);
    assert_int_equal(got.queries, 4);
    NEAR(got.recall[0], 0); /* its neighbour is of the other group */
    NEAR(got.recall[1], 1);
    NEAR(got.precision, 1.0 / 3);
    NEAR(got.chance[0], 1.0 / 3);
    assert_int_equal(akin_retrieval_measure(&set, &set, 2, NULL, 1, &got, NULL),
                     0);
    NEAR(got.recall[0], 1); /* itself */
}

static void classes_by_hand(void **state)
{
    const float class_at[] = {0, 20, 40, 60, 80, 100};
    const float picture_at[] = {1, 2, 39, 99, 55};
    const uint32_t right[] = {0, 0, 2, 0, AKIN_RETRIEVAL_NONE};
    float class_vectors[12], picture_vectors[10];
    akin_classification got;
    (void)state;
    by_angle(class_vectors, class_at, 6);
    by_angle(picture_vectors, picture_at, 5);
    const akin_retrieval_set pictures = {picture_vectors, right, 5};
    assert_int_equal(
        akin_retrieval_classify(&pictures, class_vectors, 6, 2, &got, NULL), 0);
    assert_int_equal(got.queries, 4);
    NEAR(got.accuracy, 3.0 / 4);
    NEAR(got.accuracy5, 3.0 / 4); /* the last has its class as the sixth */
    NEAR(got.balanced, (2.0 / 3 + 1) / 2);
    NEAR(got.majority, 3.0 / 4);
}

/* Six colours of circles, a folder for each of two halves. */
static void fill(const served *place)
{
    char folder[96], name[48];
    make_folder(folder, sizeof folder, place, "pictures");
    make_folder(folder, sizeof folder, place, "pictures/warm_ones");
    make_folder(folder, sizeof folder, place, "pictures/cold");
    for (int i = 0; i < 24; i++) {
        snprintf(name, sizeof name, "pictures/%s/%02d.svg",
                 i % 6 == 0 || i % 6 == 3 ? "warm_ones" : "cold", i);
        draw(place->dir, name, i);
    }
}

static json_t *measured(const served *place, const char *args)
{
    char *out, *err;
    assert_int_equal(akin(place, args, &out, &err), 0);
    json_t *root = json_loads(out, 0, NULL);
    assert_non_null(root);
    free(out);
    free(err);
    return root;
}

static double number(const json_t *root, const char *section, const char *key)
{
    return json_number_value(
        json_object_get(json_object_get(root, section), key));
}

static void of_a_folder(void **state)
{
    served place = {0};
    char *out, *err;
    (void)state;
    served_paths(&place);
    fill(&place);
    json_t *got = measured(&place, "bench retrieval $DIR/pictures --json");
    assert_int_equal(json_integer_value(json_object_get(got, "pictures")), 24);
    assert_int_equal(json_integer_value(json_object_get(got, "captions")), 6);
    assert_string_equal(json_string_value(json_object_get(got, "label")),
                        "folder");
    NEAR(number(got, "caption_to_picture", "queries"), 6);
    NEAR(number(got, "picture_to_caption", "queries"), 24);
    NEAR(number(got, "picture_to_caption", "pool"), 6);
    NEAR(number(got, "zero_shot", "classes"), 2);
    NEAR(number(got, "zero_shot", "majority"), 16.0 / 24);
    /* the starter model knows colours */
    assert_true(number(got, "picture_to_same_label", "ndcg10") > 0.6);
    json_decref(got);

    got = measured(&place, "bench retrieval $DIR/pictures --json --sample 12 "
                           "--captions none");
    assert_int_equal(json_integer_value(json_object_get(got, "pictures")), 12);
    assert_null(json_object_get(got, "caption_to_picture"));
    json_decref(got);

    assert_int_equal(akin(&place, "bench retrieval $DIR/pictures", &out, &err),
                     0);
    assert_non_null(strstr(out, "24 pictures, 6 captions, 2 labels"));
    assert_non_null(strstr(out, "caption -> picture"));
    free(out);
    free(err);
    served_clear(&place);
}

static void of_a_collection(void **state)
{
    served place = {0};
    char *out, *err;
    (void)state;
    served_paths(&place);
    fill(&place);
    assert_int_equal(
        akin(&place, "add $DIR/pictures --data $DIR/data -q", &out, NULL), 0);
    free(out);
    json_t *got = measured(&place, "bench retrieval --data $DIR/data --json "
                                   "--queries '.folder == \"cold\"' "
                                   "--template '{}' --template 'a {} circle'");
    NEAR(number(got, "picture_to_same_label", "queries"), 16);
    NEAR(number(got, "picture_to_same_label", "pool"), 24);
    json_decref(got);
    assert_int_equal(
        akin(&place, "bench retrieval --data $DIR/data --label no", &out, &err),
        0);
    assert_non_null(strstr(out, "0 labels"));
    free(out);
    free(err);
    served_clear(&place);
}

static void refuses(void **state)
{
    static const struct {
        const char *args, *message;
        int code;
    } cases[] = {
        {"bench speed", "expected 'retrieval', got 'speed'", 2},
        {"bench retrieval x --template dog", "wants {}", 2},
        {"bench retrieval /does/not/exist", "cannot read", 3},
        {"bench retrieval $DIR/empty", "no pictures in", 3},
        {"bench retrieval --data $DIR/none", "no ", 3},
        {"bench retrieval $DIR/empty --sample 0", "from 1 to", 2},
        {"bench retrieval $DIR/empty --captions x", "metadata, filename", 2},
    };
    served place = {0};
    char folder[96];
    (void)state;
    served_paths(&place);
    make_folder(folder, sizeof folder, &place, "empty");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out, *err;
        assert_int_equal(akin(&place, cases[i].args, &out, &err),
                         cases[i].code);
        if (!strstr(err, cases[i].message))
            fail_msg("%s: %s", cases[i].args, err);
        free(out);
        free(err);
    }
    served_clear(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_by_hand),   cmocka_unit_test(leaves_itself_out),
        cmocka_unit_test(classes_by_hand), cmocka_unit_test(of_a_folder),
        cmocka_unit_test(of_a_collection), cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
