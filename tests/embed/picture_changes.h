/* What people do to pictures before they keep them twice: the changes that
 * duplicate detection must see through, each on RGB pixels. Made with plain
 * loops and libvips only, the same on every machine of one libvips. */
#ifndef PICTURE_CHANGES_H
#define PICTURE_CHANGES_H

#include "akin_embed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

typedef enum {
    CHANGE_JPEG_75,
    CHANGE_JPEG_30,
    CHANGE_HALF,      /* to 50% and back into a JPEG */
    CHANGE_THUMB,     /* longer side 160 */
    CHANGE_CROP_3,    /* 3% off one corner's two sides */
    CHANGE_CROP_10,   /* 5% off every side */
    CHANGE_BORDER_W,  /* white border of 5% */
    CHANGE_BORDER_B,  /* black border of 10% */
    CHANGE_WATERMARK, /* half-transparent letters over the lower middle */
    CHANGE_BRIGHTER,  /* times 1.3 */
    CHANGE_GAMMA,     /* darker mid tones: gamma 1.4 */
    CHANGE_CONTRAST,  /* 0.7 around 128 */
    CHANGE_GREY,
    CHANGE_WARM, /* red up, blue down by 15% */
    CHANGE_BLUR, /* 5 x 5 mean */
    CHANGE_MIRROR,
    CHANGE_QUARTER, /* turned right */
    CHANGE_COUNT
} picture_change;

static const char *const picture_change_name[CHANGE_COUNT] = {
    "jpeg-75",   "jpeg-30",    "half",      "thumb-160", "crop-3", "crop-10",
    "border-5w", "border-10b", "watermark", "brighter",  "gamma",  "contrast",
    "grey",      "warm",       "blur",      "mirror",    "quarter"};

static inline akin_picture picture_blank(uint32_t width, uint32_t height,
                                         uint8_t value)
{
    akin_picture p = {.width = width, .height = height, .shrink = 1};

    p.pixels = akin_alloc((size_t)width * height * 3);
    if (p.pixels == NULL) abort();
    memset(p.pixels, value, (size_t)width * height * 3);
    return p;
}

static inline uint8_t *picture_at(const akin_picture *p, uint32_t x, uint32_t y)
{
    return p->pixels + ((size_t)y * p->width + x) * 3;
}

static inline akin_picture picture_scaled(const akin_picture *in, double factor)
{
    akin_picture out = picture_blank((uint32_t)(in->width * factor + 0.5),
                                     (uint32_t)(in->height * factor + 0.5), 0);

    if (akin_picture_resize(in, out.width, out.height, out.pixels, NULL))
        abort();
    return out;
}

static inline akin_picture picture_cropped(const akin_picture *in,
                                           uint32_t left, uint32_t top,
                                           uint32_t right, uint32_t bottom)
{
    akin_picture out =
        picture_blank(in->width - left - right, in->height - top - bottom, 0);
    uint32_t y;

    for (y = 0; y < out.height; y++)
        memcpy(picture_at(&out, 0, y), picture_at(in, left, top + y),
               (size_t)out.width * 3);
    return out;
}

static inline akin_picture picture_bordered(const akin_picture *in,
                                            double share, uint8_t value)
{
    uint32_t b = (uint32_t)(share *
                            (in->width < in->height ? in->width : in->height)),
             y;
    akin_picture out =
        picture_blank(in->width + 2 * b, in->height + 2 * b, value);

    for (y = 0; y < in->height; y++)
        memcpy(picture_at(&out, b, b + y), picture_at(in, 0, y),
               (size_t)in->width * 3);
    return out;
}

static inline uint8_t picture_byte(double v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v + 0.5);
}

/* Blocky white letters of 1/12 of the height, a row of them across the middle of
 * the lower half, opaque by 0..1. */
static inline akin_picture picture_marked(const akin_picture *in, double opaque)
{
    static const uint8_t glyphs[6][5] = {
        {0x7e, 0x09, 0x09, 0x09, 0x7e}, {0x7f, 0x08, 0x14, 0x22, 0x41},
        {0x00, 0x41, 0x7f, 0x41, 0x00}, {0x7f, 0x04, 0x08, 0x10, 0x7f},
        {0x3e, 0x41, 0x41, 0x41, 0x22}, {0x3e, 0x41, 0x41, 0x41, 0x3e}};
    akin_picture out = picture_blank(in->width, in->height, 0);
    uint32_t cell = in->height / 84 + 1, x, y, c;
    uint32_t left = in->width / 10, top = in->height * 3 / 5;

    memcpy(out.pixels, in->pixels, (size_t)in->width * in->height * 3);
    for (y = 0; y < 7 * cell && top + y < out.height; y++) {
        for (x = 0; x < out.width * 8 / 10; x++) {
            uint32_t column = x / cell % 6, letter = x / cell / 6 % 6;
            uint8_t *p = picture_at(&out, left + x, top + y);

            if (column == 5 || !(glyphs[letter][column] >> (y / cell) & 1))
                continue;
            for (c = 0; c < 3; c++)
                p[c] = (uint8_t)(p[c] + opaque * (255 - p[c]));
        }
    }
    return out;
}

static inline akin_picture picture_toned(const akin_picture *in,
                                         picture_change change)
{
    akin_picture out = picture_blank(in->width, in->height, 0);
    size_t i, n = (size_t)in->width * in->height * 3;

    for (i = 0; i < n; i += 3) {
        const uint8_t *p = in->pixels + i;
        double grey = 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2];
        uint32_t c;

        for (c = 0; c < 3; c++) {
            double v = p[c];

            switch (change) {
            case CHANGE_BRIGHTER: v *= 1.3; break;
            case CHANGE_GAMMA: v = 255 * pow(v / 255, 1.4); break;
            case CHANGE_CONTRAST: v = 128 + 0.7 * (v - 128); break;
            case CHANGE_GREY: v = grey; break;
            case CHANGE_WARM: v *= c == 0 ? 1.15 : c == 2 ? 0.85 : 1; break;
            default: break;
            }
            out.pixels[i + c] = picture_byte(v);
        }
    }
    return out;
}

static inline akin_picture picture_blurred(const akin_picture *in)
{
    akin_picture out = picture_blank(in->width, in->height, 0);
    int32_t w = (int32_t)in->width, h = (int32_t)in->height, x, y, c, dx, dy;

    for (y = 0; y < h; y++)
        for (x = 0; x < w; x++)
            for (c = 0; c < 3; c++) {
                int32_t sum = 0;

                for (dy = -2; dy <= 2; dy++)
                    for (dx = -2; dx <= 2; dx++) {
                        int32_t sx = x + dx, sy = y + dy;

                        sx = sx < 0 ? 0 : sx >= w ? w - 1 : sx;
                        sy = sy < 0 ? 0 : sy >= h ? h - 1 : sy;
                        sum += picture_at(in, (uint32_t)sx, (uint32_t)sy)[c];
                    }
                picture_at(&out, (uint32_t)x, (uint32_t)y)[c] =
                    (uint8_t)((sum + 12) / 25);
            }
    return out;
}

static inline akin_picture picture_turned_copy(const akin_picture *in,
                                               picture_change change)
{
    bool quarter = change == CHANGE_QUARTER;
    akin_picture out = picture_blank(quarter ? in->height : in->width,
                                     quarter ? in->width : in->height, 0);
    uint32_t x, y;

    for (y = 0; y < in->height; y++)
        for (x = 0; x < in->width; x++)
            memcpy(quarter ? picture_at(&out, in->height - 1 - y, x)
                           : picture_at(&out, in->width - 1 - x, y),
                   picture_at(in, x, y), 3);
    return out;
}

/* The picture as JPEG bytes; clear *jpeg. */
static inline void picture_to_jpeg(const akin_picture *in, int quality,
                                   akin_buf *jpeg)
{
    VipsImage *image = vips_image_new_from_memory(
        in->pixels, (size_t)in->width * in->height * 3, (int)in->width,
        (int)in->height, 3, VIPS_FORMAT_UCHAR);
    void *data = NULL;
    size_t size = 0;

    image->Type = VIPS_INTERPRETATION_sRGB;
    if (vips_jpegsave_buffer(image, &data, &size, "Q", quality, NULL)) abort();
    akin_buf_append(jpeg, data, size);
    g_free(data);
    g_object_unref(image);
}

/* The changed picture as JPEG bytes of quality 88 (30, 75 where the name says
 * so); clear *jpeg. */
static inline void picture_changed(const akin_picture *in,
                                   picture_change change, akin_buf *jpeg)
{
    uint32_t w = in->width, h = in->height;
    akin_picture out = {0};
    int quality = 88;

    switch (change) {
    case CHANGE_JPEG_75: quality = 75; break;
    case CHANGE_JPEG_30: quality = 30; break;
    case CHANGE_HALF: out = picture_scaled(in, 0.5); break;
    case CHANGE_THUMB: out = picture_scaled(in, 160.0 / (w > h ? w : h)); break;
    case CHANGE_CROP_3:
        out = picture_cropped(in, w * 3 / 100, h * 3 / 100, 0, 0);
        break;
    case CHANGE_CROP_10:
        out = picture_cropped(in, w / 20, h / 20, w / 20, h / 20);
        break;
    case CHANGE_BORDER_W: out = picture_bordered(in, 0.05, 255); break;
    case CHANGE_BORDER_B: out = picture_bordered(in, 0.10, 0); break;
    case CHANGE_WATERMARK: out = picture_marked(in, 0.5); break;
    case CHANGE_BLUR: out = picture_blurred(in); break;
    case CHANGE_MIRROR:
    case CHANGE_QUARTER: out = picture_turned_copy(in, change); break;
    default: out = picture_toned(in, change); break;
    }
    picture_to_jpeg(out.pixels != NULL ? &out : in, quality, jpeg);
    akin_picture_clear(&out);
}

#endif
