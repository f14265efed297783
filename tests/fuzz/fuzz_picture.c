/* libFuzzer: any bytes through sniffing, decoding, hashing, scaling and the
 * thumbnail, with small limits. Drawings are only sniffed and unpacked: librsvg
 * runs in a process of its own, where time and memory are limited by the kernel. */
#include "picture_internal.h"

#include <stdlib.h>
#include <string.h>

#define MAX_PIXELS (1u << 18)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const akin_picture *p)
{
    static uint8_t out[32 * 32 * 3];
    akin_picture_transform shortest = {AKIN_RESIZE_SHORTEST, 32, 32};
    akin_picture_transform squash = {AKIN_RESIZE_SQUASH, 32, 32};
    akin_picture_hashes hashes;
    akin_picture_match match;
    akin_buf jpeg = {0};

    if (p->width == 0 || p->height == 0 ||
        (uint64_t)p->width * p->height > MAX_PIXELS)
        abort();
    if (akin_picture_prepare(p, &shortest, out, NULL) ||
        akin_picture_prepare(p, &squash, out, NULL) ||
        akin_picture_hash(p, &hashes, NULL) ||
        akin_picture_thumbnail(p, 48, &jpeg, NULL))
        abort();
    akin_picture_compare(&hashes, &hashes, false, &match);
    if (match.distance != 0) abort();
    akin_buf_clear(&jpeg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    akin_span bytes = {data, size};
    akin_picture_options options = {.max_pixels = MAX_PIXELS, .max_ms = 2000};
    akin__picture_format format = akin__picture_format_of(bytes);
    akin_error err = {0};
    akin_picture p;

    if (size > 0) { /* the last byte chooses, so that headers stay in place */
        options.shrink_to = data[size - 1] & 1 ? 4 : 0;
        options.drop_alpha = data[size - 1] & 2;
        options.ignore_profile = data[size - 1] & 4;
    }
    akin_picture_sniff(bytes, NULL);
    if (format == PICTURE_SVGZ) {
        uint8_t *text = NULL;
        size_t n;

        if (akin__picture_gunzip(bytes, 1 << 20, &text, &n, &err) == AKIN_OK)
            akin_free(text);
    } else if (format != PICTURE_SVG) {
        if (akin_picture_decode(bytes, &options, &p, &err) == AKIN_OK)
            use(&p);
        else if (err.message[0] == '\0' || p.pixels != NULL)
            abort();
        akin_picture_clear(&p);
    }
    return 0;
}
