/* Where decoded rows land. Rows come once, top to bottom, so that no second
 * full-size copy of a picture exists: boxes are averaged and the EXIF turn is
 * made on the way to their final place. */
#include "picture_internal.h"

#include <string.h>

akin_status akin__picture_sink_begin(akin__picture_sink *sink,
                                     akin_picture *picture, uint32_t width,
                                     uint32_t height, uint32_t factor,
                                     uint32_t orientation, akin_error *err)
{
    uint32_t w = (width + factor - 1) / factor;
    uint32_t h = (height + factor - 1) / factor;
    bool lying = orientation >= 5;

    memset(sink, 0, sizeof *sink);
    sink->picture = picture;
    sink->width = width;
    sink->height = height;
    sink->factor = factor;
    sink->orientation = orientation;
    picture->width = lying ? h : w;
    picture->height = lying ? w : h;
    picture->pixels = akin_alloc((size_t)w * h * 3);
    if (factor > 1) {
        sink->sums = akin_calloc((size_t)w * 3, sizeof *sink->sums);
        sink->row = akin_alloc((size_t)w * 3);
    }
    if (picture->pixels == NULL ||
        (factor > 1 && (sink->sums == NULL || sink->row == NULL)))
        return akin_fail(err, AKIN_NOMEM,
                         "not enough memory for %u x %u pixels", w, h);
    return AKIN_OK;
}

void akin__picture_sink_clear(akin__picture_sink *sink)
{
    akin_free(sink->sums);
    akin_free(sink->row);
    sink->sums = NULL;
    sink->row = NULL;
}

/* Copies rows y..y+n-1 of the picture as it lies in the file to where they are
 * in the upright one. */
static void place(akin_picture *picture, uint32_t orientation,
                  const uint8_t *rgb, uint32_t y, uint32_t n)
{
    ptrdiff_t width = orientation >= 5 ? picture->height : picture->width;
    ptrdiff_t height = orientation >= 5 ? picture->width : picture->height;
    ptrdiff_t stride = picture->width; /* all in pixels */
    ptrdiff_t start, right, down, x, i;

    switch (orientation) {
    case 2: start = width - 1, right = -1, down = stride; break;
    case 3: start = width * height - 1, right = -1, down = -stride; break;
    case 4: start = (height - 1) * stride, right = 1, down = -stride; break;
    case 5: start = 0, right = stride, down = 1; break;
    case 6: start = height - 1, right = stride, down = -1; break;
    case 7: start = width * height - 1, right = -stride, down = -1; break;
    case 8: start = (width - 1) * stride, right = -stride, down = 1; break;
    default: start = 0, right = 1, down = stride; break;
    }
    if (right == 1) {
        for (i = 0; i < n; i++)
            memcpy(picture->pixels + 3 * (start + (y + i) * down),
                   rgb + 3 * width * i, 3 * (size_t)width);
        return;
    }
    /* the rows inside, so that a quarter turn writes runs of n pixels */
    for (x = 0; x < width; x++) {
        for (i = 0; i < n; i++) {
            const uint8_t *from = rgb + 3 * (width * i + x);
            uint8_t *to =
                picture->pixels + 3 * (start + x * right + (y + i) * down);

            to[0] = from[0];
            to[1] = from[1];
            to[2] = from[2];
        }
    }
}

/* Adds one row to the box row; boxes at the right edge may be narrower. */
static void add_row(uint32_t *sums, const uint8_t *rgb, uint32_t width,
                    uint32_t factor)
{
    uint32_t x, left = 0;

    for (x = 0; x < width; x++) {
        sums[0] += rgb[3 * x];
        sums[1] += rgb[3 * x + 1];
        sums[2] += rgb[3 * x + 2];
        if (++left == factor) {
            left = 0;
            sums += 3;
        }
    }
}

static void box_row(akin__picture_sink *sink, const uint8_t *rgb)
{
    uint32_t f = sink->factor, w = (sink->width + f - 1) / f, x, c;
    uint32_t rows = sink->y % f + 1;

    add_row(sink->sums, rgb, sink->width, f);
    if (rows < f && sink->y + 1 < sink->height) return;
    for (x = 0; x < w; x++) {
        uint32_t columns = x + 1 < w ? f : sink->width - x * f;
        uint32_t area = rows * columns;

        for (c = 0; c < 3; c++)
            sink->row[3 * x + c] =
                (uint8_t)((sink->sums[3 * x + c] + area / 2) / area);
    }
    place(sink->picture, sink->orientation, sink->row, sink->y / f, 1);
    memset(sink->sums, 0, (size_t)w * 3 * sizeof *sink->sums);
}

void akin__picture_sink_rows(akin__picture_sink *sink, const uint8_t *rgb,
                             uint32_t n)
{
    uint32_t i;

    if (sink->factor == 1) {
        place(sink->picture, sink->orientation, rgb, sink->y, n);
        sink->y += n;
        return;
    }
    for (i = 0; i < n; i++) {
        box_row(sink, rgb + (size_t)i * sink->width * 3);
        sink->y++;
    }
}
