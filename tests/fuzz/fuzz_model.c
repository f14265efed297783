/* libFuzzer: any bytes as a file of a model directory. The last byte says which:
 * weights, their index, config.json, OpenCLIP's, preprocessor_config.json. What
 * is accepted must keep its promises. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *dir;

static const char *path_of(const char *name)
{
    static char path[160];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_file(const char *name, const void *data, size_t size)
{
    FILE *file = fopen(path_of(name), "wb");

    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) abort();
}

static void clean_up(void)
{
    (void)akin_dir_remove(dir, NULL);
    akin_free(dir);
}

static void start(void)
{
    if (akin_dir_temporary("akin-fuzz", &dir, NULL)) abort();
    atexit(clean_up);
}

/* Every tensor's bytes must lie in the mapping: reads them all. */
static void use_tensors(const akin__tensors *set)
{
    static const char *const names[] = {"a", "b", "weight"};
    float values[64];

    for (size_t i = 0; i < 3; i++) {
        const akin__tensor *t = akin__tensors_find(set, names[i]);
        uint64_t n = 1;

        if (!t) continue;
        for (uint32_t k = 0; k < t->rank; k++)
            n *= t->shape[k];
        if (n != t->count || strcmp(t->name, names[i]) != 0) abort();
        if (t->dtype == AKIN__OTHER) continue;
        for (uint64_t at = 0; at < n; at += 64)
            akin__tensor_read(t, at, n - at < 64 ? (size_t)(n - at) : 64,
                              values);
    }
}

static void try_tensors(const char *name)
{
    akin__tensors *set = NULL;
    akin_error err = {0};

    if (akin__tensors_open(path_of(name), &set, &err) == AKIN_OK)
        use_tensors(set);
    else if (!err.message[0] || set)
        abort();
    akin__tensors_close(set);
}

static void try_config(bool open_clip)
{
    akin__config c;
    akin_error err = {0};

    if (akin__config_read(dir, open_clip, &c, &err)) {
        if (!err.message[0]) abort();
        return;
    }
    if (c.vision.heads == 0 || c.vision.width % c.vision.heads ||
        c.text.heads == 0 || c.text.width % c.text.heads || c.patch == 0 ||
        c.patch > c.image_size || c.context < 2 || c.vocab < 3 || c.dim == 0 ||
        c.resize_edge < c.image_size || !(c.std[0] > 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char minimal[] = "{\"model_type\":\"clip\"}";

    if (!dir) start();
    if (size == 0) return 0;
    size--;
    switch (data[size] % 5) {
    case 0:
        write_file("model.safetensors", data, size);
        try_tensors("model.safetensors");
        break;
    case 1:
        write_file("model.safetensors.index.json", data, size);
        try_tensors("model.safetensors.index.json");
        break;
    case 2:
        unlink(path_of("preprocessor_config.json"));
        write_file("config.json", data, size);
        try_config(false);
        break;
    case 3:
        write_file("open_clip_config.json", data, size);
        try_config(true);
        break;
    default:
        write_file("config.json", minimal, sizeof minimal - 1);
        write_file("preprocessor_config.json", data, size);
        try_config(false);
        break;
    }
    return 0;
}
