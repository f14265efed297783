/* A drawing to pixels, by librsvg itself. libvips' loader asks librsvg for a
 * page at 72 points an inch while CSS (and librsvg) draw at 96 units an inch, so
 * that of a drawing measured in mm or pt and without a viewBox a quarter was cut
 * off at the right and at the bottom: 2,358 of openclipart's 8,121. */
#include "picture_internal.h"

#include <cairo.h>
#include <librsvg/rsvg.h>
#include <math.h>
#include <string.h>

#define UNITS_PER_INCH 96.0 /* CSS Values 3, section 6.2 */
#define MAX_UNITS      1e12 /* claimed by a side */
#define KEEP           2.0  /* times shrink_to */

/* The reason with control characters out. */
static akin_status fail_svg(GError *why, akin_error *err)
{
    char *c;

    for (c = why->message; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = ' ';
    akin_fail(err, AKIN_BAD_DATA, "unreadable svg picture: %s", why->message);
    g_error_free(why);
    return AKIN_BAD_DATA;
}

/* The size a drawing claims; else its viewBox's, else that of what it shows. */
static bool natural_box(RsvgHandle *drawing, RsvgRectangle *box)
{
    gboolean has_width, has_height, has_box;
    RsvgLength w, h;
    RsvgRectangle shown;

    *box = (RsvgRectangle){0};
    if (!rsvg_handle_get_intrinsic_size_in_pixels(drawing, &box->width,
                                                  &box->height)) {
        rsvg_handle_get_intrinsic_dimensions(drawing, &has_width, &w,
                                             &has_height, &h, &has_box, &shown);
        if (has_box) {
            box->width = shown.width;
            box->height = shown.height;
        } else if (!rsvg_handle_get_geometry_for_element(drawing, NULL, NULL,
                                                         box, NULL)) {
            return false;
        }
    }
    return box->width > 0 && box->width < MAX_UNITS && box->height > 0 &&
           box->height < MAX_UNITS && isfinite(box->x) && isfinite(box->y);
}

/* Its longer side is AKIN_PICTURE_SVG_SIDE, or smaller if shrink_to asks for
 * less. */
static akin_status rendered_size(const RsvgRectangle *box, uint32_t shrink_to,
                                 uint32_t *width, uint32_t *height,
                                 akin_error *err)
{
    double shorter = fmin(box->width, box->height);
    double longer = fmax(box->width, box->height), scale;

    scale = AKIN_PICTURE_SVG_SIDE / longer;
    if (shrink_to != 0 && shorter * scale > shrink_to * KEEP)
        scale = shrink_to * KEEP / shorter;
    if (shorter * scale < 1.0)
        return akin_fail(err, AKIN_BAD_DATA, "a drawing of %g x %g is too thin",
                         box->width, box->height);
    *width = (uint32_t)lround(box->width * scale);
    *height = (uint32_t)lround(box->height * scale);
    return AKIN_OK;
}

/* Cairo's words 0x--RRGGBB to bytes R, G, B. */
static void to_rgb(const uint8_t *in, size_t stride, uint32_t width,
                   uint32_t height, uint8_t *out)
{
    uint32_t x, y, word;

    for (y = 0; y < height; y++)
        for (x = 0; x < width; x++, out += 3) {
            memcpy(&word, in + y * stride + 4 * (size_t)x, sizeof word);
            out[0] = (uint8_t)(word >> 16);
            out[1] = (uint8_t)(word >> 8);
            out[2] = (uint8_t)word;
        }
}

static akin_status draw(RsvgHandle *drawing, const RsvgRectangle *box,
                        uint32_t width, uint32_t height, uint8_t **out,
                        akin_error *err)
{
    cairo_surface_t *page =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)width, (int)height);
    cairo_t *cairo = cairo_create(page);
    RsvgRectangle page_box = {-box->x, -box->y, box->width, box->height};
    GError *why = NULL;
    akin_status rc = AKIN_OK;

    *out = NULL;
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
    cairo_scale(cairo, width / box->width, height / box->height);
    if (!rsvg_handle_render_document(drawing, cairo, &page_box, &why)) {
        rc = fail_svg(why, err);
        goto done;
    }
    cairo_surface_flush(page);
    if (cairo_status(cairo) != CAIRO_STATUS_SUCCESS ||
        cairo_surface_status(page) != CAIRO_STATUS_SUCCESS ||
        (*out = akin_alloc((size_t)width * height * 3)) == NULL) {
        rc = akin_fail(err, AKIN_NOMEM, "no memory for a drawing of %u x %u",
                       width, height);
        goto done;
    }
    to_rgb(cairo_image_surface_get_data(page),
           (size_t)cairo_image_surface_get_stride(page), width, height, *out);

done:
    cairo_destroy(cairo);
    cairo_surface_destroy(page);
    return rc;
}

akin_status akin__picture_svg(akin_span bytes, uint32_t shrink_to,
                              uint32_t *width, uint32_t *height, uint8_t **out,
                              akin_error *err)
{
    GError *why = NULL;
    RsvgHandle *drawing =
        rsvg_handle_new_from_data(bytes.data, bytes.size, &why);
    RsvgRectangle box;
    akin_status rc;

    *out = NULL;
    if (drawing == NULL) return fail_svg(why, err);
    rsvg_handle_set_dpi(drawing, UNITS_PER_INCH);
    rc = natural_box(drawing, &box)
             ? rendered_size(&box, shrink_to, width, height, err)
             : akin_fail(err, AKIN_BAD_DATA,
                         "a drawing without a size that can be");
    if (!rc) rc = draw(drawing, &box, *width, *height, out, err);
    g_object_unref(drawing);
    return rc;
}
