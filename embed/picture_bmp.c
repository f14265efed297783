/* Windows bitmaps. libvips reads them only through ImageMagick, which must not
 * see bytes from outside, so the uncompressed kinds are read here: 1, 4, 8, 24
 * bits and 16 or 32 bits with or without masks, bottom or top row first, the
 * OS/2 header too. Run-length coding is refused.
 *
 *   0 "BM"  10 offset of pixels  14 header size: 12 (OS/2) or 40 and more
 *   40: 18 width, 22 height (negative: top first), 28 bits, 30 compression,
 *       46 palette entries, 54 masks (in the header from size 52 on)
 *
 * Alpha counts only where a mask names it: the fourth byte of plain 32-bit
 * pixels is padding, often 0. */
#include "picture_internal.h"

#include <string.h>

enum { BI_RGB = 0, BI_BITFIELDS = 3, BI_ALPHABITFIELDS = 6 };

typedef struct {
    const uint8_t *data;
    size_t size, pixels, stride, palette;
    uint32_t header, width, height, bits, compression, colours, entry;
    bool top_first;
    uint32_t mask[4]; /* R, G, B, A */
} bmp;

static uint32_t le16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
    return le16(p) | le16(p + 2) << 16;
}

static akin_status read_size(bmp *b, akin_error *err)
{
    int64_t width, height;

    if (b->size < 26)
        return akin_fail(err, AKIN_BAD_DATA, "truncated BMP header");
    b->header = le32(b->data + 14);
    b->pixels = le32(b->data + 10);
    if (b->header == 12) {
        width = le16(b->data + 18);
        height = le16(b->data + 20);
        b->bits = le16(b->data + 24);
    } else {
        if (b->header < 40 || b->header > 1024 || b->size < 14 + b->header)
            return akin_fail(err, AKIN_BAD_DATA,
                             "bad or truncated BMP header of %u bytes",
                             b->header);
        width = (int32_t)le32(b->data + 18);
        height = (int32_t)le32(b->data + 22);
        b->bits = le16(b->data + 28);
        b->compression = le32(b->data + 30);
        b->colours = le32(b->data + 46);
    }
    b->top_first = height < 0;
    if (height < 0) height = -height;
    if (width <= 0 || height <= 0 || height > INT32_MAX)
        return akin_fail(err, AKIN_BAD_DATA, "bad BMP size");
    b->width = (uint32_t)width;
    b->height = (uint32_t)height;
    return AKIN_OK;
}

static akin_status read_masks(bmp *b, akin_error *err)
{
    size_t n = b->header >= 56 || b->compression == BI_ALPHABITFIELDS ? 4 : 3;
    size_t i;

    if (b->compression == BI_RGB) {
        uint32_t five = b->bits == 16;
        b->mask[0] = five ? 0x7c00 : 0xff0000;
        b->mask[1] = five ? 0x03e0 : 0x00ff00;
        b->mask[2] = five ? 0x001f : 0x0000ff;
        return AKIN_OK;
    }
    if (b->size < 54 + 4 * n)
        return akin_fail(err, AKIN_BAD_DATA, "truncated BMP masks");
    for (i = 0; i < n; i++)
        b->mask[i] = le32(b->data + 54 + 4 * i);
    return AKIN_OK;
}

static akin_status read_layout(bmp *b, akin_error *err)
{
    bool packed = b->bits == 16 || b->bits == 32;
    bool known =
        b->bits == 1 || b->bits == 4 || b->bits == 8 || b->bits == 24 || packed;
    bool masked =
        b->compression == BI_BITFIELDS || b->compression == BI_ALPHABITFIELDS;

    if (!known || !(b->compression == BI_RGB || (masked && packed)))
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "BMP of %u bits with compression %u is not read",
                         b->bits, b->compression);
    if (b->bits <= 8) {
        if (b->colours == 0 || b->colours > 1u << b->bits)
            b->colours = 1u << b->bits;
        b->entry = b->header == 12 ? 3 : 4;
        b->palette = 14 + (size_t)b->header;
        if (b->palette + (size_t)b->colours * b->entry > b->size)
            return akin_fail(err, AKIN_BAD_DATA, "truncated BMP palette");
    }
    b->stride = (((size_t)b->width * b->bits + 31) / 32) * 4;
    if (b->pixels > b->size || b->stride > (b->size - b->pixels) / b->height)
        return akin_fail(err, AKIN_BAD_DATA,
                         "truncated BMP: %zu bytes for %u rows of %zu",
                         b->size - (b->pixels > b->size ? b->size : b->pixels),
                         b->height, b->stride);
    return packed ? read_masks(b, err) : AKIN_OK;
}

static void palette_row(const bmp *b, const uint8_t *in, uint8_t *out)
{
    uint32_t x, per_byte = 8 / b->bits, mask = (1u << b->bits) - 1;

    for (x = 0; x < b->width; x++, out += 3) {
        uint32_t shift = 8 - b->bits * (x % per_byte + 1);
        uint32_t index = (uint32_t)in[x / per_byte] >> shift & mask;
        const uint8_t *colour = b->data + b->palette + index * b->entry;

        if (index >= b->colours) { /* as if the palette went on in black */
            memset(out, 0, 3);
            continue;
        }
        out[0] = colour[2];
        out[1] = colour[1];
        out[2] = colour[0];
    }
}

/* The bits of `mask` in value, stretched to 0..255. */
static uint8_t masked(uint32_t value, uint32_t mask)
{
    uint32_t shift = mask != 0 ? (uint32_t)__builtin_ctz(mask) : 0;
    uint64_t most = mask >> shift;

    if (mask == 0) return 0;
    return (uint8_t)(((value & mask) >> shift) * (uint64_t)255 / most);
}

static void packed_row(const bmp *b, uint32_t bands, const uint8_t *in,
                       uint8_t *out)
{
    uint32_t x, c, step = b->bits / 8;

    for (x = 0; x < b->width; x++, in += step, out += bands) {
        uint32_t value = step == 2 ? le16(in) : le32(in);

        for (c = 0; c < bands; c++)
            out[c] = masked(value, b->mask[c]);
    }
}

static void bgr_row(const bmp *b, const uint8_t *in, uint8_t *out)
{
    uint32_t x;

    for (x = 0; x < b->width; x++, in += 3, out += 3) {
        out[0] = in[2];
        out[1] = in[1];
        out[2] = in[0];
    }
}

akin_status akin__picture_bmp(akin_span bytes, bool header_only,
                              uint32_t *width, uint32_t *height,
                              uint32_t *bands, uint8_t **out, akin_error *err)
{
    bmp b = {.data = bytes.data, .size = bytes.size};
    akin_status rc;
    size_t row_bytes;
    uint32_t y;

    rc = read_size(&b, err);
    if (rc == AKIN_OK) rc = read_layout(&b, err);
    if (rc != AKIN_OK) return rc;
    *width = b.width;
    *height = b.height;
    *bands = b.mask[3] != 0 ? 4 : 3;
    if (header_only) return AKIN_OK;
    row_bytes = (size_t)b.width * *bands;
    *out = akin_calloc(b.height, row_bytes);
    if (*out == NULL)
        return akin_fail(err, AKIN_NOMEM,
                         "not enough memory for %u x %u pixels", b.width,
                         b.height);
    for (y = 0; y < b.height; y++) {
        uint32_t row = b.top_first ? y : b.height - 1 - y;
        const uint8_t *in = b.data + b.pixels + (size_t)row * b.stride;
        uint8_t *to = *out + (size_t)y * row_bytes;

        if (b.bits <= 8)
            palette_row(&b, in, to);
        else if (b.bits == 24)
            bgr_row(&b, in, to);
        else
            packed_row(&b, *bands, in, to);
    }
    return AKIN_OK;
}
