/* Token ids against the reference: every string, every spelling of the
 * tokenizer's files, every code point; then what the reference does not have:
 * broken UTF-8, endless words. */
#include <stdarg.h>

#include "internal.h"
#include "reference.h"

static akin__tokenizer *open_tokenizer(const char *dir)
{
    akin__tokenizer *t = NULL;
    akin_error err = {0};

    if (akin__tokenizer_open(dir, &t, &err)) fail_msg("%s", err.message);
    assert_non_null(t);
    return t;
}

/* Ids of one string: all of them, and cut to 77. want: as in the files. */
static void compare_string(const akin__tokenizer *t, const char *where,
                           akin_span text, const char *want)
{
    akin_buf all = {0}, cut = {0};
    const int32_t *a, *c;
    size_t count = 0, n;
    akin_error err = {0};

    assert_int_equal(akin__tokenizer_encode(t, text, 1 << 20, &all, &err), 0);
    assert_int_equal(akin__tokenizer_encode(t, text, 77, &cut, &err), 0);
    a = (const int32_t *)(const void *)all.data;
    c = (const int32_t *)(const void *)cut.data;
    n = all.size / sizeof *a;
    while (*want) {
        char *end;
        long id = strtol(want, &end, 10);

        if (count >= n || a[count] != id)
            fail_msg("%s: id %zu should be %ld", where, count, id);
        want = end;
        count++;
    }
    if (count != n) fail_msg("%s: %zu ids, expected %zu", where, n, count);
    assert_int_equal(cut.size / sizeof *c, n < 77 ? n : 77);
    assert_memory_equal(c, a, (n < 77 ? n : 76) * sizeof *c);
    assert_int_equal(c[cut.size / sizeof *c - 1], a[n - 1]);
    akin_buf_clear(&all);
    akin_buf_clear(&cut);
}

/* Compares every line of a tokens/ file; returns how many there were. */
static size_t compare_file(const akin__tokenizer *t, const char *path)
{
    static char line[1 << 20];
    FILE *file = fopen(path, "r");
    size_t n = 0;

    if (!file) fail_msg("cannot open %s", path);
    while (fgets(line, sizeof line, file)) {
        char *save = NULL, *index = strtok_r(line, "\t\n", &save);
        char *hex = strtok_r(NULL, "\t\n", &save);
        char *want = strtok_r(NULL, "\t\n", &save), where[1300];

        if (*index == '#') continue;
        snprintf(where, sizeof where, "%s: string %s", path, index);
        compare_string(t, where, (akin_span){hex, reference_unhex(hex)}, want);
        n++;
    }
    fclose(file);
    return n;
}

static void small_set(void **state)
{
    akin__tokenizer *t =
        open_tokenizer(REFERENCE_SMALL "/models/tiny-quickgelu");

    (void)state;
    assert_in_range(compare_file(t, REFERENCE_SMALL "/tokens/reduced.tsv"), 100,
                    600);
    akin__tokenizer_close(t);
}

static void whole_set(void **state)
{
    static const struct {
        const char *folder, *tokens;
    } cases[] = {
        {"tokenizer-full", "tokens/full.tsv"},
        {"tokenizer-reduced", "tokens/reduced.tsv"},
        {"tokenizer-reduced-oldjson", "tokens/reduced.tsv"},
    };
    const char *root = reference_full();

    (void)state;
    for (size_t i = 0; root && i < 3; i++) {
        akin__tokenizer *t =
            open_tokenizer(reference_path(root, "%s", cases[i].folder));

        assert_int_equal(
            compare_file(t, reference_path(root, "%s", cases[i].tokens)), 600);
        akin__tokenizer_close(t);
    }
}

/* The same from vocab.json and merges.txt, without tokenizer.json. */
static void vocab_and_merges(void **state)
{
    static const char *const names[] = {"full", "reduced"};
    static const char *const files[] = {"vocab.json", "merges.txt",
                                        "tokenizer_config.json"};
    const char *root = reference_full();

    (void)state;
    for (size_t i = 0; root && i < 2; i++) {
        char *dir, folder[40], tokens[40];
        akin__tokenizer *t;

        snprintf(folder, sizeof folder, "tokenizer-%s", names[i]);
        snprintf(tokens, sizeof tokens, "tokens/%s.tsv", names[i]);
        assert_int_equal(akin_dir_temporary("akin-test", &dir, NULL), AKIN_OK);
        for (size_t k = 0; k < 3; k++) {
            char from[1500];

            snprintf(from, sizeof from, "%s/%s",
                     reference_path(root, "%s", folder), files[k]);
            assert_int_equal(symlink(from, reference_path(dir, "%s", files[k])),
                             0);
        }
        t = open_tokenizer(dir);
        assert_int_equal(compare_file(t, reference_path(root, "%s", tokens)),
                         600);
        akin__tokenizer_close(t);
        assert_int_equal(akin_dir_remove(dir, NULL), AKIN_OK);
        akin_free(dir);
    }
}

static void check_code_point(uint32_t c, char class, const char *normal)
{
    static const char letters[] = "LNSP";
    char utf8[4];
    akin_buf got = {0};
    size_t n = 0;
    akin_error err = {0};

    if (c < 0x80) {
        utf8[n++] = (char)c;
    } else if (c < 0x800) {
        utf8[n++] = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        utf8[n++] = (char)(0xe0 | c >> 12);
        utf8[n++] = (char)(0x80 | (c >> 6 & 63));
    } else {
        utf8[n++] = (char)(0xf0 | c >> 18);
        utf8[n++] = (char)(0x80 | (c >> 12 & 63));
        utf8[n++] = (char)(0x80 | (c >> 6 & 63));
    }
    if (c >= 0x80) utf8[n++] = (char)(0x80 | (c & 63));
    assert_int_equal(akin__normalize_text((akin_span){utf8, n}, &got, &err), 0);
    for (size_t i = 0; i * 4 < got.size; i++) {
        int32_t out = ((int32_t *)(void *)got.data)[i];
        char *end = NULL;
        long want = *normal == '=' ? (long)c : strtol(normal, &end, 16);

        if (out != want)
            fail_msg("U+%04X became U+%04X, expected U+%04lX", c, (unsigned)out,
                     want);
        if (end) normal = end;
    }
    if (*normal != '=' && *normal) fail_msg("U+%04X: %s is missing", c, normal);
    if (got.size == 4 && class != 'M' &&
        letters[akin__char_class(*(int32_t *)(void *)got.data)] != class)
        fail_msg("U+%04X: class %c, expected %c", c,
                 letters[akin__char_class(*(int32_t *)(void *)got.data)],
                 class);
    akin_buf_clear(&got);
}

static void code_points(void **state)
{
    const char *root = reference_full();
    FILE *file;
    char line[512];
    uint32_t next = 0;

    (void)state;
    if (!root) return;
    file = fopen(reference_path(root, "%s", "tokens/codepoints.tsv"), "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        unsigned first, last;
        char class, normal[256];

        if (line[0] == '#') continue;
        assert_int_equal(
            sscanf(line, "%x %x %c %255[^\n]", &first, &last, &class, normal),
            4);
        for (; next < first; next++) {
            if (next < 0xd800 || next > 0xdfff)
                check_code_point(next, 'P', "=");
        }
        for (; next <= last; next++)
            check_code_point(next, class, normal);
    }
    for (; next < 0x110000; next++)
        check_code_point(next, 'P', "=");
    fclose(file);
}

static void normalized(const char *text, size_t size, const int32_t *want,
                       size_t n)
{
    akin_buf got = {0};
    akin_error err = {0};

    assert_int_equal(akin__normalize_text((akin_span){text, size}, &got, &err),
                     AKIN_OK);
    assert_int_equal(got.size, n * sizeof *want);
    assert_memory_equal(got.data, want, got.size);
    akin_buf_clear(&got);
}

/* One U+FFFD for each longest prefix of a character, as Python and Rust. */
static void broken_utf8(void **state)
{
    const int32_t one[] = {'a', 0xfffd, 'b'}, two[] = {0xfffd, 0xfffd, 'b'};
    const int32_t three[] = {0xfffd, 0xfffd, 0xfffd};

    (void)state;
    normalized("a\xff"
               "b",
               3, one, 3);
    normalized("a\xe2\x82"
               "b",
               4, one, 3);
    normalized("a\xf0\x9f\x98"
               "b",
               5, one, 3);
    normalized("\xc0\x80"
               "b",
               3, two, 3);
    normalized("\xed\xa0\x80", 3, three, 3); /* a surrogate */
    normalized("\xf4\x90\x80", 3, three, 3); /* above U+10FFFF */
    normalized("", 0, one, 0);
}

/* Order of combining marks, and composition over them. */
static void marks(void **state)
{
    /* q + dot above + dot below = q + dot below + dot above */
    const int32_t q[] = {'q', 0x323, 0x307};
    /* d + dot above + dot below = U+1E0D + dot above */
    const int32_t d[] = {0x1e0d, 0x307};

    (void)state;
    normalized("q\xcc\x87\xcc\xa3", 5, q, 3);
    normalized("d\xcc\x87\xcc\xa3", 5, d, 2);
}

/* A megabyte of one letter, and one of accents in the worst order, takes
 * moments: nothing is quadratic. */
static void endless_words(void **state)
{
    akin_model *model =
        reference_model(REFERENCE_SMALL "/models/tiny-quickgelu");
    size_t size = 1 << 20;
    char *text = akin_alloc(size);
    int32_t ids[77];
    uint32_t count = 0;
    akin_error err = {0};

    (void)state;
    memset(text, 'a', size);
    assert_int_equal(akin_model_tokenize(model, (akin_span){text, size}, ids,
                                         77, &count, &err),
                     AKIN_OK);
    assert_int_equal(count, 77);
    assert_int_equal(ids[76], 1513);
    for (size_t i = 0; i < size; i += 4)
        memcpy(text + i, i % 8 ? "\xcc\xa3\xcc\xa3" : "\xcc\x87\xcc\x87", 4);
    assert_int_equal(akin_model_tokenize(model, (akin_span){text, size}, ids,
                                         77, &count, &err),
                     AKIN_OK);
    assert_int_equal(akin_model_tokenize(model, (akin_span){text, size + 1},
                                         ids, 77, &count, &err),
                     AKIN_TOO_LARGE);
    assert_int_equal(
        akin_model_tokenize(model, akin_span_of("a cat"), ids, 3, &count, &err),
        AKIN_TOO_LARGE);
    akin_free(text);
    akin_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_set),        cmocka_unit_test(whole_set),
        cmocka_unit_test(vocab_and_merges), cmocka_unit_test(code_points),
        cmocka_unit_test(broken_utf8),      cmocka_unit_test(marks),
        cmocka_unit_test(endless_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
