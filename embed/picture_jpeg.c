/* JPEG by libjpeg itself, both ways. Most pictures that come are JPEGs, and
 * through libvips' objects and its regions a photograph of 400 x 533 pixels took
 * 1.2 ms of processor time against libjpeg's own 0.3, a thumbnail about as much.
 * The pixels are the same to the last bit, but that libvips cuts off an unfinished
 * last column and row of a shrunk picture.
 *
 * What needs more than that is left to libvips: CMYK, and colours that must be
 * converted by a profile. Errors of libjpeg arrive by longjmp in the functions
 * that call setjmp; what must be freed lives in their caller's struct. */
#include "picture_internal.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h> /* needs stdio.h */

#include <jerror.h>

#define ROWS              16u /* a step: a block of rows */
#define THUMBNAIL_QUALITY 82
#define ORIENTATION_TAG   0x0112u

typedef struct {
    struct jpeg_error_mgr manager; /* first: libjpeg knows only this part */
    jmp_buf back;
    akin_status status; /* of the error */
} failing;

static void give_up(j_common_ptr c)
{
    failing *f = (failing *)c->err;

    f->status =
        c->err->msg_code == JERR_OUT_OF_MEMORY ? AKIN_NOMEM : AKIN_BAD_DATA;
    longjmp(f->back, 1);
}

/* Warnings: damage that libjpeg gets over. */
static void be_quiet(j_common_ptr c, int level)
{
    (void)level;
    (void)c;
}

static void fail_by_return(failing *f)
{
    jpeg_std_error(&f->manager);
    f->manager.error_exit = give_up;
    f->manager.emit_message = be_quiet;
}

/* ---- what stands before the pixels --------------------------------------- */

static uint32_t number(const uint8_t *p, uint32_t bytes, bool little)
{
    uint32_t value = 0, i;

    for (i = 0; i < bytes; i++)
        value |= (uint32_t)p[i] << 8 * (little ? i : bytes - 1 - i);
    return value;
}

/* The orientation of an EXIF block (TIFF 6.0, section 2): the first directory's
 * entry; 1 if there is none or it makes no sense. */
static uint32_t exif_orientation(const uint8_t *tiff, size_t size)
{
    bool little = size >= 8 && tiff[0] == 'I';
    uint32_t at, n, i;

    if (size < 8 || tiff[0] != tiff[1] || (!little && tiff[0] != 'M') ||
        number(tiff + 2, 2, little) != 42)
        return 1;
    at = number(tiff + 4, 4, little);
    if (at > size - 2) return 1;
    n = number(tiff + at, 2, little);
    for (i = 0, at += 2; i < n && at <= size && size - at >= 12;
         i++, at += 12) {
        uint32_t type = number(tiff + at + 2, 2, little), value;

        if (number(tiff + at, 2, little) != ORIENTATION_TAG) continue;
        value = number(tiff + at + 8,
                       type == 3   ? 2
                       : type == 4 ? 4
                                   : 1,
                       little);
        return value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
}

static uint32_t orientation_of(const struct jpeg_decompress_struct *c)
{
    jpeg_saved_marker_ptr m;

    for (m = c->marker_list; m != NULL; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 &&
            memcmp(m->data, "Exif\0", 6) == 0)
            return exif_orientation(m->data + 6, m->data_length - 6);
    return 1;
}

/* Whether the profile, if there is one, is another than sRGB's; its description
 * lies in its first part. */
static bool has_other_profile(const struct jpeg_decompress_struct *c)
{
    jpeg_saved_marker_ptr m;
    bool profile = false;

    for (m = c->marker_list; m != NULL; m = m->next) {
        if (m->marker != JPEG_APP0 + 2 || m->data_length < 14 ||
            memcmp(m->data, "ICC_PROFILE", 12) != 0)
            continue;
        if (akin__picture_is_srgb(m->data + 14, m->data_length - 14))
            return false;
        profile = true;
    }
    return profile;
}

/* ---- decoding ------------------------------------------------------------- */

typedef struct {
    failing error;
    struct jpeg_progress_mgr progress;
    struct jpeg_decompress_struct c;
    uint64_t deadline_ns;
    bool late;
    akin__picture_sink sink;
    uint8_t *strip; /* rows of a picture that lies */
} decoding;

/* Between blocks of rows, of every scan. */
static void look_at_clock(j_common_ptr c)
{
    decoding *d = c->client_data;

    d->late = akin_mono_ns() > d->deadline_ns;
    if (d->late) longjmp(d->error.back, 1);
}

/* libjpeg's own would go on with an end it makes up. */
static boolean at_end(j_decompress_ptr c)
{
    ERREXIT(c, JERR_INPUT_EOF);
    return FALSE;
}

static void decoding_clear(decoding *d)
{
    akin__picture_sink_clear(&d->sink);
    akin_free(d->strip);
    jpeg_destroy_decompress(&d->c);
}

static akin_status fail_jpeg(decoding *d, const akin_picture_options *options,
                             akin_error *err)
{
    char text[JMSG_LENGTH_MAX];

    if (d->late)
        return akin_fail(err, AKIN_TIMEOUT,
                         "jpeg picture took longer than %u ms",
                         options->max_ms);
    d->error.manager.format_message((j_common_ptr)&d->c, text);
    return akin_fail(err, d->error.status, "unreadable jpeg picture: %s", text);
}

/* Reads the header; false: libjpeg gave up. */
static bool read_header(decoding *d, akin_span bytes)
{
    if (setjmp(d->error.back)) return false;
    jpeg_create_decompress(&d->c);
    d->c.client_data = d;
    d->c.progress = &d->progress;
    jpeg_save_markers(&d->c, JPEG_APP0 + 1, 0xffff);
    jpeg_save_markers(&d->c, JPEG_APP0 + 2, 0xffff);
    jpeg_mem_src(&d->c, bytes.data, bytes.size);
    d->c.src->fill_input_buffer = at_end;
    jpeg_read_header(&d->c, TRUE);
    return true;
}

/* Everything that takes time; the size that comes out has been looked at. */
static bool start(decoding *d, uint32_t shrink)
{
    if (setjmp(d->error.back)) return false;
    d->c.scale_num = 1;
    d->c.scale_denom = shrink;
    d->c.out_color_space = JCS_RGB;
    jpeg_start_decompress(&d->c);
    return true;
}

/* Straight to their place, or through a strip when they must be turned. */
static bool read_rows(decoding *d, akin_picture *out)
{
    size_t bytes = (size_t)d->c.output_width * 3;
    JSAMPROW rows[ROWS];

    if (setjmp(d->error.back)) return false;
    while (d->c.output_scanline < d->c.output_height) {
        uint32_t left = d->c.output_height - d->c.output_scanline, i, got;
        uint8_t *to =
            d->strip ? d->strip : out->pixels + d->c.output_scanline * bytes;

        for (i = 0; i < ROWS && i < left; i++)
            rows[i] = to + i * bytes;
        got = jpeg_read_scanlines(&d->c, rows, i);
        if (d->strip) akin__picture_sink_rows(&d->sink, to, got);
    }
    return true;
}

/* Picks the size that is decoded to. */
static akin_status begin(decoding *d, const akin_picture_options *options,
                         akin_picture *out, akin_error *err)
{
    uint32_t width = d->c.image_width, height = d->c.image_height;
    uint32_t turn = options->ignore_orientation ? 1 : out->orientation;
    akin_status rc = akin__picture_check_limits(options, width, height, err);

    if (rc) return rc;
    out->file_width = turn >= 5 ? height : width;
    out->file_height = turn >= 5 ? width : height;
    out->shrink = akin__picture_shrink_factor(options, width, height);
    if (!start(d, out->shrink)) return fail_jpeg(d, options, err);
    rc = akin__picture_sink_begin(&d->sink, out, d->c.output_width,
                                  d->c.output_height, 1, turn, err);
    if (rc || turn == 1) return rc;
    d->strip = akin_alloc((size_t)d->c.output_width * 3 * ROWS);
    return d->strip
               ? AKIN_OK
               : akin_fail(err, AKIN_NOMEM, "not enough memory for a picture");
}

akin_status akin__picture_jpeg(akin_span bytes,
                               const akin_picture_options *options,
                               uint64_t deadline_ns, akin_picture *out,
                               bool *done, akin_error *err)
{
    decoding d = {.deadline_ns = deadline_ns};
    akin_status rc = AKIN_OK;

    *done = true;
    fail_by_return(&d.error);
    d.progress.progress_monitor = look_at_clock;
    d.c.err = &d.error.manager;
    if (!read_header(&d, bytes)) {
        rc = fail_jpeg(&d, options, err);
        goto done;
    }
    *done = d.c.num_components == 1 || d.c.num_components == 3;
    if (!options->ignore_profile && has_other_profile(&d.c)) *done = false;
    if (!*done) goto done;
    out->orientation = orientation_of(&d.c);
    if (jpeg_has_multiple_scans(&d.c))
        rc = akin__picture_check_scans(bytes, err);
    if (!rc) rc = begin(&d, options, out, err);
    if (!rc && !read_rows(&d, out)) rc = fail_jpeg(&d, options, err);

done:
    decoding_clear(&d);
    return rc;
}

/* ---- writing --------------------------------------------------------------- */

typedef struct {
    failing error;
    struct jpeg_compress_struct c;
    unsigned char *data; /* by malloc */
    unsigned long size;
} writing;

static bool write_rows(writing *w, const uint8_t *rgb, uint32_t width,
                       uint32_t height)
{
    if (setjmp(w->error.back)) return false;
    jpeg_create_compress(&w->c);
    jpeg_mem_dest(&w->c, &w->data, &w->size);
    w->c.image_width = width;
    w->c.image_height = height;
    w->c.input_components = 3;
    w->c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&w->c);
    jpeg_set_quality(&w->c, THUMBNAIL_QUALITY, TRUE);
    jpeg_start_compress(&w->c, TRUE);
    while (w->c.next_scanline < height) {
        JSAMPROW row =
            (JSAMPROW)(uintptr_t)(rgb + (size_t)w->c.next_scanline * width * 3);

        jpeg_write_scanlines(&w->c, &row, 1);
    }
    jpeg_finish_compress(&w->c);
    return true;
}

akin_status akin__picture_write_jpeg(const uint8_t *rgb, uint32_t width,
                                     uint32_t height, akin_buf *out,
                                     akin_error *err)
{
    writing w = {.data = NULL};
    akin_status rc = AKIN_OK;

    fail_by_return(&w.error);
    w.c.err = &w.error.manager;
    if (!write_rows(&w, rgb, width, height))
        rc = akin_fail(err, AKIN_INTERNAL, "cannot write a %u x %u thumbnail",
                       width, height);
    else
        akin_buf_append(out, w.data, w.size);
    if (!rc && out->failed)
        rc = akin_fail(err, AKIN_NOMEM, "not enough memory for a thumbnail");
    jpeg_destroy_compress(&w.c);
    free(w.data);
    return rc;
}
