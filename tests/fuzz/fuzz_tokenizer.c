/* libFuzzer: any bytes as a text for a small tokenizer, or (last byte odd) as a
 * tokenizer.json that then encodes a sentence. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *dir, *path;
static akin__tokenizer *small;

static void write_file(const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");

    if (!file || fwrite(data, 1, size, file) != size || fclose(file)) abort();
}

static void clean_up(void)
{
    akin__tokenizer_close(small);
    (void)akin_dir_remove(dir, NULL);
    akin_free(dir);
    akin_free(path);
}

/* The character that stands for a byte in the vocabulary. */
static void put_symbol(akin_buf *out, unsigned byte)
{
    unsigned next = 256, c = byte;

    for (unsigned b = 0; b <= byte; b++) {
        bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad);

        if (b == byte && !prints) c = next;
        if (!prints) next++;
    }
    akin_buf_printf(out, "\\u%04x", c);
}

static void start(void)
{
    static const char tail[] =
        "\"ca\":512,\"cat</w>\":513,\"<|startoftext|>\":514,"
        "\"<|endoftext|>\":515},\"merges\":[[\"c\",\"a\"],\"ca t</w>\"]},"
        "\"added_tokens\":[{\"id\":514,\"content\":\"<|startoftext|>\","
        "\"normalized\":true},{\"id\":515,\"content\":\"<|endoftext|>\"}]}";
    akin_buf json = {0};

    if (akin_dir_temporary("akin-fuzz", &dir, NULL)) abort();
    path = akin_format("%s/tokenizer.json", dir);
    if (!path) abort();
    atexit(clean_up);
    akin_buf_text(&json, "{\"model\":{\"type\":\"BPE\",\"end_of_word_suffix\":"
                         "\"</w>\",\"vocab\":{");
    for (unsigned i = 0; i < 512; i++) {
        akin_buf_text(&json, "\"");
        put_symbol(&json, i % 256);
        akin_buf_printf(&json, "%s\":%u,", i < 256 ? "" : "</w>", i);
    }
    akin_buf_text(&json, tail);
    write_file(json.data, json.size);
    akin_buf_clear(&json);
    if (akin__tokenizer_open(dir, &small, NULL) || !small) abort();
}

/* What is cut to a limit is the beginning of what is not. */
static void encode(const akin__tokenizer *t, akin_span text, bool strict)
{
    akin_buf all = {0}, cut = {0};
    const int32_t *a, *c;
    size_t n;

    if (akin__tokenizer_encode(t, text, 1 << 20, &all, NULL) ||
        akin__tokenizer_encode(t, text, 7, &cut, NULL))
        abort();
    a = (const int32_t *)(const void *)all.data;
    c = (const int32_t *)(const void *)cut.data;
    n = all.size / sizeof *a;
    if (n < 2 || cut.size / sizeof *c != (n < 7 ? n : 7)) abort();
    if (memcmp(a, c, ((n < 7 ? n : 7) - 1) * sizeof *a) != 0) abort();
    if (strict && (a[0] != 514 || a[n - 1] != 515)) abort();
    for (size_t i = 0; i < n; i++) {
        if (a[i] < 0 || a[i] > akin__tokenizer_max_id(t)) abort();
    }
    akin_buf_clear(&all);
    akin_buf_clear(&cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    akin__tokenizer *t = NULL;
    akin_error err = {0};

    if (!small) start();
    if (size == 0) return 0;
    size--;
    if (data[size] % 2 == 0) {
        encode(small, (akin_span){data, size}, true);
        return 0;
    }
    write_file(data, size);
    if (akin__tokenizer_open(dir, &t, &err) == AKIN_OK) {
        if (t) encode(t, akin_span_of("Two cats, it's 42\xc2\xb0!"), false);
    } else if (!err.message[0] || t) {
        abort();
    }
    akin__tokenizer_close(t);
    return 0;
}
