/* Small pictures for galleries and reports: our own resize (no second scaling
 * filter to look different), libjpeg without a second pass for shorter codes. */
#include "picture_internal.h"

akin_status akin_picture_thumbnail(const akin_picture *picture,
                                   uint32_t max_side, akin_buf *jpeg,
                                   akin_error *err)
{
    uint32_t width = picture->width, height = picture->height;
    uint32_t longer = width > height ? width : height;
    akin_picture small = {0};
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
    rc = akin__picture_write_jpeg(small.pixels, width, height, jpeg, err);

done:
    akin_picture_clear(&small);
    return rc;
}
