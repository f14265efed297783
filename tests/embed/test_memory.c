/* What an encoder costs before and beside its arithmetic: weights are in memory
 * once, activations grow with the batch alone, a tower is packed when it is first
 * asked for, digests of large weights are kept and never believed wrongly.
 *
 * The model is 4 layers of ViT-B/32's width, 170 MB of float32 zeros, which a
 * sparse file holds for nothing. Its embeddings are zeros too. */
#include <stdarg.h>

#include "encoder.h"
#include "lowp.h"
#include "reference.h"

#include <fcntl.h>
#include <sys/stat.h>

#define MB     ((size_t)1 << 20)
#define LAYERS 4
/* OpenBLAS's and oneDNN's own buffers, stacks, the allocator's slack */
#define SLACK (24 * MB)

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static char *dir, *cache;

/* ---- the model -------------------------------------------------------------- */

static const char config[] =
    "{\"model_type\":\"clip\",\"projection_dim\":512,"
    "\"text_config\":{\"hidden_size\":512,\"intermediate_size\":2048,"
    "\"num_hidden_layers\":4,\"num_attention_heads\":8,\"vocab_size\":1000,"
    "\"max_position_embeddings\":77,\"hidden_act\":\"quick_gelu\","
    "\"eos_token_id\":999},"
    "\"vision_config\":{\"hidden_size\":768,\"intermediate_size\":3072,"
    "\"num_hidden_layers\":4,\"num_attention_heads\":12,\"image_size\":224,"
    "\"patch_size\":32,\"hidden_act\":\"quick_gelu\"}}";

typedef struct {
    akin_buf header;
    size_t size; /* of the data so far */
} file_plan;

static void add(file_plan *f, const char *prefix, const char *name,
                const char *shape, size_t count)
{
    akin_buf_printf(&f->header,
                    "%s\"%s%s\":{\"dtype\":\"F32\",\"shape\":[%s],"
                    "\"data_offsets\":[%zu,%zu]}",
                    f->header.size > 1 ? "," : "", prefix, name, shape, f->size,
                    f->size + 4 * count);
    f->size += 4 * count;
}

static void add_matrix(file_plan *f, const char *prefix, const char *name,
                       size_t out, size_t in, bool bias)
{
    char full[64], shape[64];

    snprintf(full, sizeof full, "%s.weight", name);
    snprintf(shape, sizeof shape, "%zu,%zu", out, in);
    add(f, prefix, full, shape, out * in);
    if (!bias) return;
    snprintf(full, sizeof full, "%s.bias", name);
    snprintf(shape, sizeof shape, "%zu", out);
    add(f, prefix, full, shape, out);
}

static void add_norm(file_plan *f, const char *prefix, const char *name,
                     size_t width)
{
    char full[64], shape[64];

    snprintf(shape, sizeof shape, "%zu", width);
    snprintf(full, sizeof full, "%s.weight", name);
    add(f, prefix, full, shape, width);
    snprintf(full, sizeof full, "%s.bias", name);
    add(f, prefix, full, shape, width);
}

static void add_layers(file_plan *f, const char *tower, size_t width)
{
    static const char *const square[] = {"self_attn.q_proj", "self_attn.k_proj",
                                         "self_attn.v_proj",
                                         "self_attn.out_proj"};

    for (int i = 0; i < LAYERS; i++) {
        char prefix[64];

        snprintf(prefix, sizeof prefix, "%s.encoder.layers.%d.", tower, i);
        add_norm(f, prefix, "layer_norm1", width);
        add_norm(f, prefix, "layer_norm2", width);
        for (size_t k = 0; k < 4; k++)
            add_matrix(f, prefix, square[k], width, width, true);
        add_matrix(f, prefix, "mlp.fc1", 4 * width, width, true);
        add_matrix(f, prefix, "mlp.fc2", width, 4 * width, true);
    }
}

static void plan_model(file_plan *f)
{
    static const char text[] = "text_model.", vision[] = "vision_model.";

    akin_buf_text(&f->header, "{");
    add_matrix(f, text, "embeddings.token_embedding", 1000, 512, false);
    add_matrix(f, text, "embeddings.position_embedding", 77, 512, false);
    add_layers(f, "text_model", 512);
    add_norm(f, text, "final_layer_norm", 512);
    add_matrix(f, "", "text_projection", 512, 512, false);
    add(f, vision, "embeddings.class_embedding", "768", 768);
    add(f, vision, "embeddings.patch_embedding.weight", "768,3,32,32",
        (size_t)768 * 3 * 32 * 32);
    add_matrix(f, vision, "embeddings.position_embedding", 50, 768, false);
    add_norm(f, vision, "pre_layrnorm", 768);
    add_layers(f, "vision_model", 768);
    add_norm(f, vision, "post_layernorm", 768);
    add_matrix(f, "", "visual_projection", 512, 768, false);
    while (f->header.size % 8 != 7)
        akin_buf_text(&f->header, " ");
    akin_buf_text(&f->header, "}");
}

static void write_at(const char *name, const void *data, size_t size,
                     size_t whole)
{
    int fd = open(reference_path(dir, "%s", name),
                  O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    assert_int_equal(ftruncate(fd, (off_t)whole), 0);
    close(fd);
}

static size_t weight_bytes;

static int setup(void **state)
{
    file_plan f = {0};
    akin_buf start = {0};
    uint64_t length;

    (void)state;
    if (akin_dir_temporary("akin-memory", &dir, NULL) ||
        akin_dir_temporary("akin-cache", &cache, NULL) ||
        setenv("XDG_CACHE_HOME", cache, 1))
        return -1;
    plan_model(&f);
    length = f.header.size;
    akin_buf_append(&start, &length, sizeof length);
    akin_buf_append(&start, f.header.data, f.header.size);
    write_at("config.json", config, sizeof config - 1, sizeof config - 1);
    write_at("model.safetensors", start.data, start.size, start.size + f.size);
    weight_bytes = f.size;
    akin_buf_clear(&f.header);
    akin_buf_clear(&start);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (akin_dir_remove(dir, NULL) || akin_dir_remove(cache, NULL)) return -1;
    akin_free(dir);
    akin_free(cache);
    return 0;
}

/* ---- memory ----------------------------------------------------------------- */

/* Bytes of this process's memory that are its own ("RssAnon"), or pages of
 * mapped files ("RssFile"). */
static size_t resident(const char *which)
{
    char line[200];
    size_t kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");

    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, which, strlen(which)) == 0)
            kilobytes = strtoul(line + strlen(which) + 1, NULL, 10);
    }
    fclose(file);
    return kilobytes << 10;
}

static size_t arenas(const akin_encoder *e)
{
    size_t total = 0;

    for (uint32_t i = 0; i < e->threads; i++)
        total += e->workers[i].arena.size;
    return total;
}

static akin_encoder *open_one(const akin_model *model, akin_precision precision,
                              uint32_t batch)
{
    akin_encoder_options options = {
        .threads = 2, .max_batch = batch, .precision = precision};
    akin_encoder *e = NULL;
    akin_error err;

    if (akin__encoder_open_fixed(model, &options, &e, &err))
        fail_msg("%s", err.message);
    return e;
}

static void embed_pictures(akin_encoder *e, size_t n)
{
    uint8_t *pixels = akin_calloc(n, 224 * 224 * 3);
    float *out = akin_calloc(n, 512 * sizeof *out);
    akin_error err;

    if (akin_encoder_images_raw(e, pixels, n, out, &err))
        fail_msg("%s", err.message);
    akin_free(pixels);
    akin_free(out);
}

static void embed_text(akin_encoder *e)
{
    int32_t ids[8] = {998, 1, 2, 3, 4, 5, 6, 999};
    uint32_t count = 8;
    float out[512];
    akin_error err;

    if (akin_encoder_ids_raw(e, ids, 8, &count, 1, out, &err))
        fail_msg("%s", err.message);
}

static void bounded(const char *what, size_t before, size_t bound)
{
    size_t now = resident("RssAnon:"), grown = now > before ? now - before : 0;

    printf("%s: %.1f MB, bound %.1f MB\n", what, (double)grown / MB,
           (double)bound / MB);
    if (!SANITIZED) assert_true(grown <= bound);
}

/* float32 weights are used where they are mapped; forty pictures need what
 * one batch needs; another encoder adds its activations and nothing else. */
static void weights_once(void **state)
{
    akin_model *model = reference_model(dir);
    size_t before = resident("RssAnon:");
    akin_encoder *e = open_one(model, AKIN_PRECISION_F32, 8), *second;

    (void)state;
    assert_true(SLACK + arenas(e) < weight_bytes / 2);
    embed_pictures(e, 8);
    embed_text(e);
    bounded("float32, first batch", before, arenas(e) + SLACK);
    before = resident("RssAnon:");
    embed_pictures(e, 40);
    bounded("forty more", before, 40 * 224 * 224 * 3 + 4 * MB);
    before = resident("RssAnon:");
    second = open_one(model, AKIN_PRECISION_F32, 8);
    embed_pictures(second, 8);
    bounded("second encoder", before, arenas(second) + 8 * MB);
    akin_encoder_close(e);
    akin_encoder_close(second);
    akin_model_close(model);
}

/* Activations by the batch: rows times what a row needs, whatever is asked for
 * in one call. */
static void activations(void **state)
{
    akin_model *model = reference_model(dir);
    size_t row = (768 + 768 + 4 * 768) * sizeof(float);

    (void)state;
    for (uint32_t batch = 64; batch <= 512; batch *= 2) {
        akin_encoder *e = open_one(model, AKIN_PRECISION_F32, batch);

        assert_true(arenas(e) <= batch * 50 * row + 2 * MB);
        akin_encoder_close(e);
    }
    akin_model_close(model);
}

/* A quarter and half of the weights, each tower when it is asked for; the mapped
 * floats leave again. */
static void packed_once(void **state)
{
    static const akin_precision precisions[] = {AKIN_PRECISION_BF16,
                                                AKIN_PRECISION_INT8};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t before, packed;
        akin_model *model;
        akin_encoder *e, *second;

        if (!akin__lowp_supported(precisions[i])) continue;
        model = reference_model(dir);
        before = resident("RssAnon:");
        e = open_one(model, precisions[i], 8);
        assert_false(e->packs->towers[0].ready || e->packs->towers[1].ready);
        embed_text(e);
        assert_true(e->packs->towers[1].ready && !e->packs->towers[0].ready);
        packed = e->packs->towers[1].size_bytes;
        bounded("text tower", before, packed + arenas(e) + SLACK);
        embed_pictures(e, 8);
        assert_true(e->packs->towers[0].ready);
        packed += e->packs->towers[0].size_bytes;
        assert_true(packed < weight_bytes * (i ? 0.27 : 0.52));
        bounded(akin_precision_name(precisions[i]), before,
                packed + arenas(e) + SLACK);
        printf("mapped: %.1f MB\n", (double)resident("RssFile:") / MB);
        if (!SANITIZED) assert_true(resident("RssFile:") < weight_bytes / 2);
        before = resident("RssAnon:");
        second = open_one(model, precisions[i], 8);
        assert_ptr_equal(second->packs, e->packs);
        embed_pictures(second, 8);
        bounded("second encoder", before, arenas(second) + 8 * MB);
        akin_encoder_close(e);
        akin_encoder_close(second);
        akin_model_close(model);
    }
}

/* ---- digests ---------------------------------------------------------------- */

static const char *fingerprint(int64_t seconds)
{
    static char hex[2 * AKIN_SHA256_BYTES + 1];
    uint8_t bytes[AKIN_SHA256_BYTES];
    akin__tensors *tensors = NULL;
    akin_error err;

    if (akin__tensors_open(reference_path(dir, "%s", "model.safetensors"),
                           &tensors, &err) ||
        akin__fingerprint(dir, tensors, seconds, bytes, &err))
        fail_msg("%s", err.message);
    akin__tensors_close(tensors);
    akin_hex(bytes, sizeof bytes, hex);
    return hex;
}

/* Path of the one file of kept digests; NULL when there is none. */
static const char *kept(void)
{
    static char path[400];
    char command[200];
    FILE *list;

    snprintf(command, sizeof command, "ls %s/akin/digests-* 2>/dev/null",
             cache);
    list = popen(command, "r");
    assert_non_null(list);
    path[0] = 0;
    if (fgets(path, sizeof path, list)) path[strcspn(path, "\n")] = 0;
    pclose(list);
    return path[0] ? path : NULL;
}

static void write_kept(const void *data, size_t size)
{
    FILE *file = fopen(kept(), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

/* Kept only of files that are old enough, used when they are there, and nothing
 * else in their place changes a fingerprint. */
static void digests(void **state)
{
    char want[65];
    struct stat st;
    int64_t now;
    uint8_t *data, byte = 1;
    size_t size;
    int fd;

    (void)state;
    if (kept()) unlink(kept()); /* the tests before may have taken a while */
    assert_int_equal(stat(reference_path(dir, "%s", "model.safetensors"), &st),
                     0);
    now = (int64_t)st.st_ctim.tv_sec + 1;
    snprintf(want, sizeof want, "%s", fingerprint(now));
    assert_null(kept());
    assert_string_equal(fingerprint(now + 3600), want);
    assert_non_null(kept());
    assert_string_equal(fingerprint(now), want);
    data = reference_read(kept(), &size);
    for (size_t i = 0; i < size; i += 97) { /* damaged: not believed */
        data[i] ^= 4;
        write_kept(data, size);
        assert_string_equal(fingerprint(now), want);
        data[i] ^= 4;
    }
    write_kept(data, size / 2);
    assert_string_equal(fingerprint(now), want);
    /* well-formed but of other weights: believed, so it was read */
    data[size - 2 * AKIN_SHA256_BYTES] ^= 1;
    assert_int_equal(akin_sha256_of((akin_span){data, size - AKIN_SHA256_BYTES},
                                    data + size - AKIN_SHA256_BYTES, NULL),
                     AKIN_OK);
    write_kept(data, size);
    assert_string_not_equal(fingerprint(now), want);
    akin_free(data);
    /* the file changes: what was kept is of another one */
    fd = open(reference_path(dir, "%s", "model.safetensors"),
              O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)weight_bytes / 2), 1);
    close(fd);
    assert_string_not_equal(fingerprint(now), want);
    byte = 0;
    fd = open(reference_path(dir, "%s", "model.safetensors"),
              O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)weight_bytes / 2), 1);
    close(fd);
    assert_string_equal(fingerprint(now), want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_once),
        cmocka_unit_test(activations),
        cmocka_unit_test(packed_once),
        cmocka_unit_test(digests),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
