/* Damaged and hostile model directories: always an error that says where, never
 * a crash. Each case is the small reference model with one thing changed. */
#include <stdarg.h>

#include "reference.h"

#define MODEL REFERENCE_SMALL "/models/tiny-quickgelu"
#define SEED  77u

static const char *const files[] = {"config.json", "model.safetensors",
                                    "tokenizer.json",
                                    "preprocessor_config.json"};
static char *dir;

/* A folder of links to the sound files. */
static int setup(void **state)
{
    (void)state;
    if (akin_dir_temporary("akin-hostile", &dir, NULL)) return -1;
    for (size_t i = 0; i < 4; i++) {
        if (symlink(reference_path(MODEL, "%s", files[i]),
                    reference_path(dir, "%s", files[i])))
            return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    akin_status rc = akin_dir_remove(dir, NULL);
    akin_free(dir);
    return rc ? -1 : 0;
}

static void write_file(const char *name, const void *data, size_t size)
{
    const char *path = reference_path(dir, "%s", name);
    FILE *file;

    unlink(path);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

static void restore(const char *name)
{
    unlink(reference_path(dir, "%s", name));
    assert_int_equal(symlink(reference_path(MODEL, "%s", name),
                             reference_path(dir, "%s", name)),
                     0);
}

/* Opens the folder; the message must hold `says`. AKIN_OK: any success. */
static void expect(akin_status want, const char *says)
{
    akin_model *model = NULL;
    akin_error err = {0};
    akin_status rc = akin_model_open(dir, &model, &err);

    if (rc != want)
        fail_msg("expected status %d with \"%s\", got %d: %s", want, says, rc,
                 rc ? err.message : "");
    if (rc && !strstr(err.message, says))
        fail_msg("expected \"%s\" in: %s", says, err.message);
    assert_true((rc == AKIN_OK) == (model != NULL));
    akin_model_close(model);
}

/* One occurrence of `find` in a text file becomes `put`. */
static void edit_text(const char *name, const char *find, const char *put)
{
    size_t size;
    char *text = reference_read(reference_path(MODEL, "%s", name), &size);
    char *at = strstr(text, find);
    akin_buf out = {0};

    if (!at) fail_msg("%s: no %s", name, find);
    akin_buf_append(&out, text, (size_t)(at - text));
    akin_buf_text(&out, put);
    akin_buf_text(&out, at + strlen(find));
    write_file(name, out.data, out.size);
    akin_buf_clear(&out);
    akin_free(text);
}

/* The same in the header of the weights, with its length put right. */
static void edit_header(const char *find, const char *put)
{
    size_t size, length = 0;
    uint8_t *data =
        reference_read(reference_path(MODEL, "%s", "model.safetensors"), &size);
    akin_buf out = {0};
    char *header, *at;

    memcpy(&length, data, 8);
    header = akin_strndup((char *)data + 8, length);
    at = strstr(header, find);
    if (!at) fail_msg("no %s in the header", find);
    akin_buf_append(&out, data, 8);
    akin_buf_append(&out, header, (size_t)(at - header));
    akin_buf_text(&out, put);
    akin_buf_text(&out, at + strlen(find));
    akin_buf_append(&out, data + 8 + length, size - 8 - length);
    length += strlen(put) - strlen(find);
    memcpy(out.data, &length, 8);
    write_file("model.safetensors", out.data, out.size);
    akin_buf_clear(&out);
    akin_free(header);
    akin_free(data);
}

static void sound(void **state)
{
    (void)state;
    expect(AKIN_OK, "");
}

static void missing_files(void **state)
{
    akin_model *model = NULL;
    akin_error err;

    (void)state;
    assert_int_equal(akin_model_open("/nowhere/at/all", &model, &err),
                     AKIN_NOT_FOUND);
    assert_non_null(strstr(err.message, "no such model directory"));
    unlink(reference_path(dir, "%s", "model.safetensors"));
    expect(AKIN_NOT_FOUND, "expected config.json and model.safetensors");
    restore("model.safetensors");
    unlink(reference_path(dir, "%s", "tokenizer.json"));
    expect(AKIN_OK, ""); /* works, for token ids */
    restore("tokenizer.json");
}

static void cut_weights(void **state)
{
    static const size_t keep[] = {0,    1,     7,     8,     9,       100,
                                  5000, 10415, 10416, 10417, 1000000, 1211379};
    size_t size;
    uint8_t *data =
        reference_read(reference_path(MODEL, "%s", "model.safetensors"), &size);

    (void)state;
    for (size_t i = 0; i < sizeof keep / sizeof keep[0]; i++) {
        write_file("model.safetensors", data, keep[i]);
        expect(AKIN_CORRUPT, "model.safetensors");
    }
    data[5] = 0xff; /* a header of terabytes */
    write_file("model.safetensors", data, size);
    expect(AKIN_CORRUPT, "header of");
    akin_free(data);
    restore("model.safetensors");
}

#define FC1   "vision_model.encoder.layers.0.mlp.fc1.bias"
#define SCALE "\"logit_scale\":{\"dtype\":\"F32\",\"shape\":[]"

static void weights_headers(void **state)
{
    static const struct {
        const char *find, *put;
        akin_status want;
        const char *says;
    } cases[] = {
        {"\"data_offsets\":[4,14788]", "\"data_offsets\":[0,14784]",
         AKIN_CORRUPT, "overlap"},
        {"\"data_offsets\":[0,4]", "\"data_offsets\":[4,8]", AKIN_CORRUPT,
         "gap"},
        {"\"data_offsets\":[0,4]", "\"data_offsets\":[0,5]", AKIN_CORRUPT,
         "expected 4 bytes, got 5"},
        {"\"data_offsets\":[0,4]", "\"data_offsets\":[4,0]", AKIN_CORRUPT,
         "logit_scale"},
        {"\"data_offsets\":[0,4]", "\"data_offsets\":[0]", AKIN_CORRUPT,
         "logit_scale"},
        {"\"data_offsets\":[0,4]", "\"data_offsets\":[-4,0]", AKIN_CORRUPT,
         "logit_scale"},
        {"\"data_offsets\":[0,4]", "\"data_offsets\":[0,4.0]", AKIN_CORRUPT,
         "logit_scale"},
        {"\"data_offsets\":[0,4]", "\"data_offsets\":[0,1e99]", AKIN_CORRUPT,
         "logit_scale"},
        {"\"data_offsets\":[0,4]",
         "\"data_offsets\":[9223372036854775800,9223372036854775804]",
         AKIN_CORRUPT, "outside"},
        {"\"data_offsets\":[0,4]", "\"data_offsets\":[0,99999999999999999999]",
         AKIN_CORRUPT, "JSON"},
        {"\"data_offsets\":[0,4]", "\"data_offsets\":[0,NaN]", AKIN_CORRUPT,
         "JSON"},
        {SCALE,
         "\"logit_scale\":{\"dtype\":\"F32\",\"shape\":[4294967296,"
         "4294967296,4294967296]",
         AKIN_CORRUPT, "overflows"},
        {SCALE,
         "\"logit_scale\":{\"dtype\":\"F32\",\"shape\":"
         "[1,1,1,1,1,1,1,1,1]",
         AKIN_CORRUPT, "shape"},
        {SCALE, "\"logit_scale\":{\"dtype\":\"F32\",\"shape\":{}", AKIN_CORRUPT,
         "shape"},
        {SCALE, "\"logit_scale\":{\"dtype\":\"F32\",\"shape\":[-1]",
         AKIN_CORRUPT, "shape"},
        {SCALE, "\"logit_scale\":{\"dtype\":\"C64\",\"shape\":[]",
         AKIN_UNSUPPORTED, "unknown dtype C64"},
        {SCALE, "\"logit_scale\":{\"shape\":[]", AKIN_CORRUPT, "no dtype"},
        {"\"" FC1 "\":{\"dtype\":\"F32\",\"shape\":[256]",
         "\"" FC1 "\":{\"dtype\":\"F32\",\"shape\":[16,16]", AKIN_CORRUPT,
         FC1 ": expected shape 256, got 16 x 16"},
        {"\"" FC1 "\":{\"dtype\":\"F32\"", "\"" FC1 "\":{\"dtype\":\"I32\"",
         AKIN_UNSUPPORTED, FC1},
        {"\"" FC1 "\"", "\"renamed\"", AKIN_CORRUPT, FC1 " is missing"},
        {"\"" FC1 "\"", "\"logit_scale\"", AKIN_CORRUPT, "JSON"},
        {"\"" FC1 "\"", "\"\xff\"", AKIN_CORRUPT, "JSON"},
        {"\"" FC1 "\"", "\"\\u0000\"", AKIN_CORRUPT, "JSON"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        edit_header(cases[i].find, cases[i].put);
        expect(cases[i].want, cases[i].says);
    }
    restore("model.safetensors");
}

static void deep_json(void **state)
{
    size_t depth = 100000;
    char *text = akin_alloc(depth);

    (void)state;
    memset(text, '[', depth);
    write_file("config.json", text, depth);
    expect(AKIN_CORRUPT, "config.json");
    restore("config.json");
    write_file("tokenizer.json", text, depth);
    expect(AKIN_CORRUPT, "tokenizer.json");
    restore("tokenizer.json");
    akin_free(text);
}

static void configs(void **state)
{
    static const struct {
        const char *find, *put;
        akin_status want;
        const char *says;
    } cases[] = {
        {"\"hidden_size\": 64", "\"hidden_size\": 4294967295", AKIN_CORRUPT,
         "hidden_size"},
        {"\"hidden_size\": 64", "\"hidden_size\": 0", AKIN_CORRUPT,
         "hidden_size"},
        {"\"hidden_size\": 64", "\"hidden_size\": -64", AKIN_CORRUPT,
         "hidden_size"},
        {"\"hidden_size\": 64", "\"hidden_size\": \"64\"", AKIN_CORRUPT,
         "hidden_size"},
        {"\"hidden_size\": 64", "\"hidden_size\": 16384", AKIN_CORRUPT,
         "expected shape"},
        {"\"hidden_size\": 64", "\"hidden_size\": 65", AKIN_CORRUPT, "heads"},
        {"\"num_hidden_layers\": 3", "\"num_hidden_layers\": 512", AKIN_CORRUPT,
         "layers.3."},
        {"\"num_hidden_layers\": 3", "\"num_hidden_layers\": 1000000000",
         AKIN_CORRUPT, "num_hidden_layers"},
        {"\"patch_size\": 8", "\"patch_size\": 33", AKIN_CORRUPT, "patches"},
        {"\"patch_size\": 8", "\"patch_size\": 0", AKIN_CORRUPT, "patch_size"},
        {"\"image_size\": 32", "\"image_size\": 2147483648", AKIN_CORRUPT,
         "image_size"},
        {"\"vocab_size\": 1514", "\"vocab_size\": 1500", AKIN_CORRUPT,
         "expected shape"},
        {"\"layer_norm_eps\": 1e-05", "\"layer_norm_eps\": 1e999", AKIN_CORRUPT,
         "config.json"},
        {"\"layer_norm_eps\": 1e-05", "\"layer_norm_eps\": NaN", AKIN_CORRUPT,
         "config.json"},
        {"\"hidden_act\": \"quick_gelu\"", "\"hidden_act\": \"relu\"",
         AKIN_UNSUPPORTED, "relu"},
        {"\"model_type\": \"clip\"", "\"model_type\": \"bert\"",
         AKIN_UNSUPPORTED, "bert"},
        {"\"projection_dim\": 32", "\"projection_dim\": 31", AKIN_CORRUPT,
         "projection"},
        {"\"text_config\": {", "\"text_config\": 5, \"x\": {", AKIN_CORRUPT,
         "text_config"},
        {"\"projection_dim\": 32", "\"model_type\": \"clip\"", AKIN_CORRUPT,
         "config.json"},
        {"{", "", AKIN_CORRUPT, "config.json"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        edit_text("config.json", cases[i].find, cases[i].put);
        expect(cases[i].want, cases[i].says);
    }
    restore("config.json");
}

static void preprocessors(void **state)
{
    static const struct {
        const char *find, *put;
        akin_status want;
        const char *says;
    } cases[] = {
        {"\"resample\": 3", "\"resample\": 0", AKIN_UNSUPPORTED, "bicubic"},
        {"\"shortest_edge\": 32", "\"shortest_edge\": 16", AKIN_UNSUPPORTED,
         "smaller"},
        {"\"height\": 32", "\"height\": 31", AKIN_UNSUPPORTED, "square"},
        {"\"do_resize\": true", "\"do_resize\": false", AKIN_UNSUPPORTED,
         "do_resize"},
        {"0.48145466", "\"x\"", AKIN_CORRUPT, "image_mean"},
        {"0.26862954", "0", AKIN_CORRUPT, "image_std"},
        {"\"height\": 32,\n    \"width\": 32",
         "\"height\": 16,\n    \"width\": 16", AKIN_CORRUPT, "takes 32"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        edit_text("preprocessor_config.json", cases[i].find, cases[i].put);
        expect(cases[i].want, cases[i].says);
    }
    restore("preprocessor_config.json");
}

static void tokenizers(void **state)
{
    static const struct {
        const char *find, *put;
        akin_status want;
        const char *says;
    } cases[] = {
        {"\"!\":0", "\"!\":-1", AKIN_CORRUPT, "valid id"},
        {"\"!\":0", "\"!\":1e5", AKIN_CORRUPT, "valid id"},
        {"\"!\":0", "\"!\":99999999999", AKIN_CORRUPT, "valid id"},
        {"\"!\":0", "\"!\":1600", AKIN_CORRUPT, "ids up to 1600"},
        {"\"!\":0", "\"!\":0,\"!\":1", AKIN_CORRUPT, "tokenizer.json"},
        {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", AKIN_UNSUPPORTED, "BPE"},
        {"\"</w>\"", "\"\"", AKIN_UNSUPPORTED, "</w>"},
        {"[[\"", "[[\"zzzz", AKIN_CORRUPT, "not in the vocabulary"},
        {"[[\"", "[[\"a\"],[\"", AKIN_CORRUPT, "merge 0"},
        {"[[\"", "[\"a b c\",[\"", AKIN_CORRUPT, "two parts"},
        {"\"lstrip\":false", "\"lstrip\":true", AKIN_UNSUPPORTED, "lstrip"},
        {"\"content\":\"<|startoftext|>\"", "\"content\":\"\"", AKIN_CORRUPT,
         "added token 0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        edit_text("tokenizer.json", cases[i].find, cases[i].put);
        expect(cases[i].want, cases[i].says);
    }
    unlink(reference_path(dir, "%s", "tokenizer.json"));
    write_file("vocab.json", "{}", 2);
    expect(AKIN_CORRUPT, "merges.txt");
    write_file("merges.txt", "#version: 0.2\na b\n", 18);
    expect(AKIN_CORRUPT, "not in the vocabulary");
    write_file("merges.txt", "#version: 0.2\n", 14);
    expect(AKIN_CORRUPT, "<|startoftext|>");
    unlink(reference_path(dir, "%s", "vocab.json"));
    unlink(reference_path(dir, "%s", "merges.txt"));
    restore("tokenizer.json");
}

/* Two shards give the embeddings of the whole; bad indexes are refused. */
static void shards(void **state)
{
    static const char *const bad[][2] = {
        {"{}", "weight_map"},
        {"{\"weight_map\":{\"x\":5}}", "name of a file"},
        {"{\"weight_map\":{\"x\":\"../a\"}}", "name of a file"},
        {"{\"weight_map\":{\"x\":\"/etc/passwd\"}}", "name of a file"},
        {"{\"weight_map\":{\"x\":\"b.safetensors\"}}", "b.safetensors"},
    };
    static const char good[] =
        "{\"weight_map\":{\"logit_scale\":\"b.safetensors\","
        "\"other_scale\":\"a.safetensors\",\"x\":\"a.safetensors\"}}";
    size_t size, length = 0;
    uint8_t *data =
        reference_read(reference_path(MODEL, "%s", "model.safetensors"), &size);
    char *header, *cut;
    akin_buf a = {0}, b = {0};

    (void)state;
    /* the first tensor alone, then the others with their offsets kept and the
     * first one's bytes under another name */
    memcpy(&length, data, 8);
    header = akin_strndup((char *)data + 8, length);
    cut = strstr(header, "\"logit_scale\":");
    assert_non_null(cut);
    memcpy(cut, "\"other_scale\":", 14);
    akin_buf_append(&b, data, 8);
    akin_buf_append(&b, header, length);
    akin_buf_append(&b, data + 8 + length, size - 8 - length);
    unlink(reference_path(dir, "%s", "model.safetensors"));
    write_file("a.safetensors", b.data, b.size);
    akin_buf_append(&a, "\x40\0\0\0\0\0\0\0", 8);
    akin_buf_text(&a, "{\"logit_scale\":{\"dtype\":\"F32\",\"shape\":[],"
                      "\"data_offsets\":[0,4]}}  ");
    a.data[0] = (uint8_t)(a.size - 8);
    akin_buf_append(&a, data + 8 + length, 4);
    for (size_t i = 0; i < 5; i++) {
        write_file("model.safetensors.index.json", bad[i][0],
                   strlen(bad[i][0]));
        expect(i < 4 ? AKIN_CORRUPT : AKIN_NOT_FOUND, bad[i][1]);
    }
    write_file("b.safetensors", a.data, a.size);
    write_file("model.safetensors.index.json", good, sizeof good - 1);
    expect(AKIN_OK, "");
    write_file("b.safetensors", b.data, b.size); /* everything twice */
    expect(AKIN_CORRUPT, "there twice");
    akin_buf_clear(&a);
    akin_buf_clear(&b);
    akin_free(header);
    akin_free(data);
    unlink(reference_path(dir, "%s", "model.safetensors.index.json"));
    restore("model.safetensors");
}

/* Bytes of the header and of the small files changed at random: whatever comes
 * back, it comes back. */
static void random_changes(void **state)
{
    uint32_t x = SEED;

    (void)state;
    printf("seed %u\n", SEED);
    for (size_t f = 0; f < 4; f++) {
        size_t size, span;
        uint8_t *data =
            reference_read(reference_path(MODEL, "%s", files[f]), &size);

        span = f == 1 ? 10416 : size;
        for (int round = 0; round < 60; round++) {
            uint8_t old[3];
            size_t at[3];
            akin_model *model = NULL;

            for (int k = 0; k < 3; k++) {
                x = x * 1664525u + 1013904223u;
                at[k] = (x >> 8) % span;
                old[k] = data[at[k]];
                data[at[k]] = (uint8_t)(x >> 4);
            }
            write_file(files[f], data, size);
            if (akin_model_open(dir, &model, NULL) == AKIN_OK)
                akin_model_close(model);
            for (int k = 2; k >= 0; k--)
                data[at[k]] = old[k];
        }
        akin_free(data);
        restore(files[f]);
    }
}

/* The nth allocation fails: a clean error each time. */
static void out_of_memory(void **state)
{
    uint64_t total, step;
    akin_model *model = NULL;
    akin_encoder *encoder = NULL;
    akin_error err;

    (void)state;
    akin_alloc_fail_at(0);
    assert_int_equal(akin_model_open(dir, &model, &err), 0);
    assert_int_equal(akin_encoder_open(model, NULL, &encoder, &err), 0);
    akin_encoder_close(encoder);
    akin_model_close(model);
    total = akin_alloc_fail_at(0);
    step = total / 150 + 1;
    for (uint64_t n = 1; n <= total; n += n < 60 ? 1 : step) {
        akin_status rc;

        akin_alloc_fail_at(n);
        encoder = NULL;
        rc = akin_model_open(dir, &model, &err);
        if (!rc) rc = akin_encoder_open(model, NULL, &encoder, &err);
        akin_alloc_fail_at(0);
        if (rc) assert_int_equal(rc, AKIN_NOMEM);
        akin_encoder_close(encoder);
        akin_model_close(model);
    }
}

/* NaN in the weights is an error, not an embedding. */
static void nan_weights(void **state)
{
    size_t size, length = 0;
    uint8_t *data =
        reference_read(reference_path(MODEL, "%s", "model.safetensors"), &size);
    uint8_t pixels[32 * 32 * 3] = {0};
    float out[32], nan = NAN;
    akin_model *model;
    akin_encoder *encoder;
    akin_error err;

    (void)state;
    memcpy(&length, data, 8);
    memcpy(data + 8 + length + 1192772, &nan, 4); /* visual_projection */
    write_file("model.safetensors", data, size);
    model = reference_model(dir);
    encoder = reference_encoder(model, 1, 1);
    assert_int_equal(akin_encoder_images(encoder, pixels, 1, out, &err),
                     AKIN_BAD_DATA);
    akin_encoder_close(encoder);
    akin_model_close(model);
    akin_free(data);
    restore("model.safetensors");
}

/* The fingerprint follows contents, not names or places. */
static void fingerprints(void **state)
{
    akin_model *a = reference_model(MODEL), *b = reference_model(dir), *c, *d;
    size_t size;
    uint8_t *data =
        reference_read(reference_path(MODEL, "%s", "model.safetensors"), &size);

    (void)state;
    assert_string_equal(akin_model_get_info(a)->fingerprint,
                        akin_model_get_info(b)->fingerprint);
    assert_int_equal(strlen(akin_model_get_info(a)->fingerprint), 64);
    data[size - 1] ^= 1;
    write_file("model.safetensors", data, size);
    c = reference_model(dir);
    restore("model.safetensors");
    edit_text("config.json", "1e-05", "2e-05");
    d = reference_model(dir);
    restore("config.json");
    assert_string_not_equal(akin_model_get_info(a)->fingerprint,
                            akin_model_get_info(c)->fingerprint);
    assert_string_not_equal(akin_model_get_info(a)->fingerprint,
                            akin_model_get_info(d)->fingerprint);
    akin_free(data);
    akin_model_close(a);
    akin_model_close(b);
    akin_model_close(c);
    akin_model_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound),         cmocka_unit_test(missing_files),
        cmocka_unit_test(cut_weights),   cmocka_unit_test(weights_headers),
        cmocka_unit_test(deep_json),     cmocka_unit_test(configs),
        cmocka_unit_test(preprocessors), cmocka_unit_test(tokenizers),
        cmocka_unit_test(shards),        cmocka_unit_test(random_changes),
        cmocka_unit_test(out_of_memory), cmocka_unit_test(nan_weights),
        cmocka_unit_test(fingerprints),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
