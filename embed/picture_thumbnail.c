/* Small pictures for galleries and reports: our own resize (no second scaling
 * filter to look different), libvips' JPEG writer. */
#include "picture_internal.h"

#include <string.h>
#include <vips/vips.h>

#define THUMBNAIL_QUALITY 82

akin_status akin_picture_thumbnail(const akin_picture *picture,
                                   uint32_t max_side, akin_buf *jpeg,
                                   akin_error *err)
{
    uint32_t width = picture->width, height = picture->height;
    uint32_t longer = width > height ? width : height;
    akin_picture small = {0};
    VipsImage *image = NULL;
    void *data = NULL;
    size_t size = 0;
    akin_status rc;

    if (picture->pixels == NULL || max_side == 0)
        return akin_fail(err, AKIN_INVALID,
                         "expected a picture and a side above 0");
    if (longer > max_side) {
        width = (uint32_t)((uint64_t)width * max_side / longer);
        height = (uint32_t)((uint64_t)height * max_side / longer);
        width += width == 0;
        height += height == 0;
    }
    small.pixels = akin_alloc((size_t)width * height * 3);
    if (small.pixels == NULL)
        return akin_fail(err, AKIN_NOMEM, "not enough memory for a thumbnail");
    rc = akin_picture_resize(picture, width, height, small.pixels, err);
    if (rc) goto done;
    rc = akin__picture_need_vips(err);
    if (rc) goto done;
    image = vips_image_new_from_memory(small.pixels, (size_t)width * height * 3,
                                       (int)width, (int)height, 3,
                                       VIPS_FORMAT_UCHAR);
    if (image != NULL) image->Type = VIPS_INTERPRETATION_sRGB;
    if (image == NULL ||
        vips_jpegsave_buffer(image, &data, &size, "Q", THUMBNAIL_QUALITY,
                             "strip", TRUE, "optimize_coding", TRUE, NULL)) {
        rc = akin_fail(err, AKIN_INTERNAL, "cannot write a %u x %u thumbnail",
                       width, height);
        vips_error_clear();
        goto done;
    }
    akin_buf_append(jpeg, data, size);
    if (jpeg->failed)
        rc = akin_fail(err, AKIN_NOMEM, "not enough memory for a thumbnail");

done:
    if (image != NULL) g_object_unref(image);
    g_free(data);
    akin_picture_clear(&small);
    return rc;
}
