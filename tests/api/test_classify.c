/* akin classify and akin model: probabilities are the softmax that CLIP was
 * trained with, of the vectors that akin embed gives; no data is needed or made;
 * a directory and a server say the same. */
#include "pictures.h"

#include <jansson.h>
#include <math.h>

#define MOST 1024

static served place;

static int setup(void **state)
{
    char folder[96], path[128], *out;
    (void)state;
    served_paths(&place);
    make_folder(folder, sizeof folder, &place, "tmp");
    setenv("TMPDIR", folder, 1);
    snprintf(path, sizeof path, "%s/share", place.dir);
    setenv("XDG_DATA_HOME", path, 1);
    make_folder(folder, sizeof folder, &place, "pictures");
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "p%d.svg", i);
        draw(folder, name, i);
    }
    /* for akin embed, which wants data */
    assert_int_equal(akin(&place,
                          "collections create x --dim 2 --data $DIR/data -q",
                          &out, NULL),
                     0);
    free(out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    served_clear(&place);
    return 0;
}

static json_t *json_of(const char *args, int code)
{
    char *out;
    assert_int_equal(akin(&place, args, &out, NULL), code);
    json_t *root = json_loads(out, 0, NULL);
    if (!root) fail_msg("%s: no JSON:\n%s", args, out);
    free(out);
    return root;
}

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* The vector that akin embed gives; how wide it is. */
static size_t embed(const char *what, double out[MOST])
{
    char args[256];
    snprintf(args, sizeof args, "embed %s --json --data $DIR/data", what);
    json_t *root = json_of(args, 0);
    const json_t *vector = json_object_get(root, "vector");
    size_t n = json_array_size(vector);
    assert_true(n && n <= MOST);
    for (size_t i = 0; i < n; i++)
        out[i] = json_number_value(json_array_get(vector, i));
    json_decref(root);
    return n;
}

static double cosine(const double *a, const double *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return ab / sqrt(aa * bb);
}

static void usage(void **state)
{
    (void)state;
    expect_akin(&place, "classify --labels a,b", 2, "",
                "expected PICTURE|FOLDER|- ...");
    expect_akin(&place, "classify $DIR/pictures", 2, "", "which labels?");
    expect_akin(&place, "classify $DIR/none --labels a,b", 3, "", "none");
    expect_akin(&place, "classify $DIR/pictures --labels ' a , a,,'", 2, "",
                "got 1");
    expect_akin(&place, "classify $DIR/pictures --labels a,b --template x", 2,
                "", "{} where the label goes");
    expect_akin(&place, "classify $DIR/pictures --labels a,b -k 0", 2, "",
                "--limit");
    expect_akin(&place, "classify $DIR/pictures --labels-file $DIR/none", 3, "",
                "none");
    expect_akin(&place,
                "classify $DIR/pictures --labels a,b --model $DIR/pictures", 3,
                "", "config.json");
    expect_akin(&place,
                "classify $DIR/pictures --labels a,b -c x --data $DIR/data", 3,
                "", "x");
    expect_akin(&place,
                "classify $DIR/pictures --labels a,b --connect 127.0.0.1:1", 3,
                "", "is the server running?");
    expect_akin(&place, "classify $DIR/tmp --labels a,b", 1, "", "no pictures");
    expect_akin(&place, "model $DIR/pictures", 3, "", "config.json");
    expect_akin(&place, "model $DIR/none", 3, "", "no such model directory");
    expect_akin(&place, "model $DIR/none -c x", 2, "", "does not go with");
    expect_akin(&place, "model -c x --data $DIR/data", 3, "", "x");
}

/* The labels of picture `at`, best first. */
static const json_t *labels_of(const json_t *root, size_t at)
{
    return json_object_get(json_array_get(root, at), "labels");
}

static void check_softmax(const json_t *labels, const double *picture,
                          double vectors[3][MOST], const char *const *names,
                          size_t n, double scale)
{
    double cosines[3], sum = 0, before = 2;
    for (int i = 0; i < 3; i++) {
        cosines[i] = cosine(picture, vectors[i], n);
        sum += exp(scale * cosines[i]);
    }
    assert_int_equal(json_array_size(labels), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *guess = json_array_get(labels, i);
        const char *label = json_string_value(json_object_get(guess, "label"));
        int which = 0;
        while (which < 3 && strcmp(names[which], label) != 0)
            which++;
        assert_true(which < 3);
        double p = number(guess, "probability");
        assert_true(fabs(number(guess, "cosine") - cosines[which]) < 1e-4);
        assert_true(fabs(p - exp(scale * cosines[which]) / sum) < 1e-3);
        assert_true(p <= before);
        before = p;
    }
}

static void probabilities_are_those_of_clip(void **state)
{
    static const char *const names[] = {"red circle", "dog", "green circle"};
    static double picture[MOST], vectors[3][MOST], more[MOST];
    (void)state;
    json_t *model = json_of("model --json", 0);
    double scale = number(model, "logit_scale");
    size_t n = embed("--image $DIR/pictures/p0.svg", picture);
    assert_true(scale > 1);
    assert_int_equal(n, (int)number(model, "dim"));
    for (int i = 0; i < 3; i++) {
        char text[64];
        snprintf(text, sizeof text, "a photo of a %s", names[i]);
        embed(text, vectors[i]);
    }
    json_t *root =
        json_of("classify $DIR/pictures/p0.svg --labels 'red circle, "
                "dog' --labels 'green circle' --json",
                0);
    check_softmax(labels_of(root, 0), picture, vectors, names, n, scale);
    json_decref(root);
    /* the mean of two templates */
    for (int i = 0; i < 3; i++) {
        char text[64];
        embed(names[i], vectors[i]);
        snprintf(text, sizeof text, "the %s here", names[i]);
        embed(text, more);
        for (size_t d = 0; d < n; d++)
            vectors[i][d] += more[d];
    }
    root = json_of("classify $DIR/pictures/p0.svg --labels 'green circle,dog,"
                   "red circle' --template {} --template 'the {} here' --json",
                   0);
    check_softmax(labels_of(root, 0), picture, vectors, names, n, scale);
    json_decref(root);
    json_decref(model);
}

static void write_text(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", place.dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void many_pictures_from_everywhere(void **state)
{
    (void)state;
    write_text("labels", "dog\r\n\n  red circle\nblue, round\ndog\n");
    json_t *root = json_of(
        "classify $DIR/pictures --labels-file $DIR/labels -k 2 --json", 0);
    assert_int_equal(json_array_size(root), 4);
    for (size_t i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/pictures/p%zu.svg", place.dir, i);
        assert_string_equal(json_string_value(json_object_get(
                                json_array_get(root, i), "picture")),
                            path);
        assert_int_equal(json_array_size(labels_of(root, i)), 2);
    }
    json_decref(root);
    root = json_of("classify $DIR/pictures/p0.svg --labels-file $DIR/labels "
                   "--json",
                   0);
    assert_int_equal(json_array_size(labels_of(root, 0)), 3);
    json_decref(root);
    /* a file, and the same on standard input */
    json_t *file =
        json_of("classify $DIR/pictures/p1.svg --labels dog,cat --json", 0);
    json_t *input =
        json_of("classify - --labels dog,cat --json < $DIR/pictures/p1.svg", 0);
    assert_true(json_equal(labels_of(file, 0), labels_of(input, 0)));
    json_decref(file);
    json_decref(input);
    write_text("pictures/bad.png", "no picture");
    expect_akin(&place, "classify $DIR/pictures --labels dog,cat", 1, NULL,
                "bad.png: ");
    expect_akin(&place, "classify $DIR/pictures/bad.png --labels dog,cat", 1,
                "", "bad.png: ");
    root = json_of("classify $DIR/pictures --labels dog,cat --json", 1);
    assert_int_equal(json_array_size(root), 4);
    json_decref(root);
    char path[128];
    snprintf(path, sizeof path, "%s/pictures/bad.png", place.dir);
    remove(path);
}

static void one_bad_picture_costs_only_itself(void **state)
{
    static const char *const options[] = {"--max-request", "16K", NULL};
    static char big[40000];
    char folder[96], *out;
    (void)state;
    make_folder(folder, sizeof folder, &place, "many");
    for (int i = 0; i < 12; i++) {
        char name[32];
        snprintf(name, sizeof name, "q%02d.svg", i);
        draw(folder, name, i);
    }
    draw(folder, "name\xff.svg", 1);
    json_t *root = json_of("classify $DIR/many --labels dog,cat --json", 1);
    assert_int_equal(json_array_size(root), 12);
    json_decref(root);
    expect_akin(&place, "classify $DIR/many --labels dog,cat --json", 1, NULL,
                "its name is not UTF-8");
    /* the server closes; what it said before is printed */
    memset(big, ' ', sizeof big - 1);
    write_text("many/z.svg", big);
    serve_again(&place, options);
    assert_int_equal(akin(&place,
                          "classify $DIR/many/q*.svg $DIR/many/z.svg "
                          "$DIR/pictures --labels "
                          "dog,cat --json --connect $DIR/data/akin.sock",
                          &out, NULL),
                     3);
    root = json_loads(out, 0, NULL);
    if (!root) fail_msg("no JSON:\n%s", out);
    assert_in_range(json_array_size(root), 4, 12);
    json_decref(root);
    free(out);
    assert_int_equal(serve_end(&place, SIGTERM), 0);
}

static void nothing_is_left(void **state)
{
    char path[128];
    (void)state;
    snprintf(path, sizeof path, "%s/tmp", place.dir);
    assert_int_equal(rmdir(path), 0); /* it is empty */
    snprintf(path, sizeof path, "%s/share", place.dir);
    assert_int_equal(access(path, F_OK), -1);
    make_folder(path, sizeof path, &place, "tmp");
}

/* The collection's model, the server's, and that of --model are the same. */
static void all_doors_agree(void **state)
{
    static const char *const questions[] = {
        "classify $DIR/pictures --labels 'red circle,dog,cat' -k 3 --json",
        "classify $DIR/pictures/p2.svg --labels 'blue circle,dog'",
        "model --json"};
    static const char *const doors[] = {
        "-c pics --data $DIR/data", "--connect $DIR/data/akin.sock",
        "-c pics --connect $DIR/data/akin.sock"};
    char args[256], *want, *got;
    (void)state;
    expect_akin(&place, "collections create pics --data $DIR/data -q", 0, "",
                NULL);
    for (size_t i = 0; i < 9; i++) {
        const char *question = questions[i % 3];
        if (i == 3) serve_again(&place, NULL);
        assert_int_equal(akin(&place, question, &want, NULL), 0);
        snprintf(args, sizeof args, "%s %s", question, doors[i / 3]);
        assert_int_equal(akin(&place, args, &got, NULL), 0);
        if (strcmp(want, got) != 0)
            fail_msg("%s\nexpected:\n%s\ngot:\n%s", args, want, got);
        free(want);
        free(got);
    }
    assert_int_equal(serve_end(&place, SIGTERM), 0);
}

static void a_model_is_described(void **state)
{
    (void)state;
    json_t *model = json_of("model " AKIN_SOURCE "/models/starter --json", 0);
    assert_string_equal(json_string_value(json_object_get(model, "name")),
                        "starter");
    assert_string_equal(json_string_value(json_object_get(model, "licence")),
                        "cc-by-4.0");
    assert_int_equal(json_string_length(json_object_get(model, "fingerprint")),
                     64);
    assert_true(json_is_true(json_object_get(model, "tokenizer")));
    assert_true(number(model, "cosine") > 0.99);
    assert_true(number(model, "parameters") > 1e6);
    json_decref(model);
    expect_akin(&place, "model " AKIN_SOURCE "/models/starter", 0, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(usage),
        cmocka_unit_test(probabilities_are_those_of_clip),
        cmocka_unit_test(many_pictures_from_everywhere),
        cmocka_unit_test(one_bad_picture_costs_only_itself),
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(all_doors_agree),
        cmocka_unit_test(a_model_is_described),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
