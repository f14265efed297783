/* A picture file to upright 8-bit RGB.
 *
 *   sniff -> libvips opens the header -> limits -> shrink chosen -> 8-bit sRGB
 *   -> strips of rows -> sink (picture_sink.c)
 *
 * Plain JPEGs go another way (picture_jpeg.c), drawings too (picture_svg.c).
 *
 * libvips is asked for strips through a region of this thread and never for a
 * whole image: that needs no second copy and (but for interlaced files, which
 * libvips unpacks on a worker) no thread, and lets a slow file be given up between
 * two strips. Loaders are called by name after our own sniffing, so none but these
 * can be reached.
 *
 * The text of an error comes from libvips' one global buffer. When several
 * threads fail at the same moment it may be that of a neighbour; the status and
 * the format named in front of it are always of this call. */
#include "picture_internal.h"

#include <string.h>
#include <vips/vips.h>

#define STRIP         16u         /* rows a step; a JPEG's block of rows */
#define MAX_SVG_BYTES (64u << 20) /* unpacked text */
#define MAX_SCANS     200

typedef struct {
    akin__picture_format format;
    akin_span bytes;
    akin_picture_options options; /* defaults filled in */
    uint64_t deadline_ns;
    uint8_t *owned; /* what `bytes`, or pixels of a BMP or SVG, lie in */
    VipsImage *image;
    uint32_t orientation, factor; /* factor: boxes that the sink makes */
    akin_picture *out;
} job;

/* ---- libvips ------------------------------------------------------------- */

static void drop_log(const gchar *domain, GLogLevelFlags level,
                     const gchar *message, gpointer user)
{
    (void)domain;
    (void)level;
    (void)message;
    (void)user;
}

/* A damaged file that claims a side of 0, or more than an int, is noticed by its
 * size. */
static void drop_range_warning(const gchar *domain, GLogLevelFlags level,
                               const gchar *message, gpointer user)
{
    if (strstr(message, "out of range for property") == NULL)
        g_log_default_handler(domain, level, message, user);
}

static void *start_vips(void *unused)
{
    (void)unused;
    if (VIPS_INIT("akin")) return NULL;
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    /* damaged files warn; the caller gets a status instead */
    g_log_set_handler(
        "VIPS", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO,
        drop_log, NULL);
    g_log_set_handler("GLib-GObject", G_LOG_LEVEL_WARNING, drop_range_warning,
                      NULL);
    return GINT_TO_POINTER(1);
}

akin_status akin__picture_need_vips(akin_error *err)
{
    static GOnce once = G_ONCE_INIT; /* the library is one per process */

    if (g_once(&once, start_vips, NULL) != NULL) return AKIN_OK;
    return akin_fail(err, AKIN_INTERNAL, "libvips does not start: %s",
                     vips_error_buffer());
}

/* The status with libvips' reason: its first line, control characters out. */
static akin_status fail_vips(const job *j, akin_status status, akin_error *err)
{
    char *text = vips_error_buffer_copy();
    char *c;

    text[strcspn(text, "\n")] = '\0';
    for (c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = ' ';
    akin_fail(err, status, "unreadable %s picture%s%s",
              akin__picture_format_name(j->format), *text != '\0' ? ": " : "",
              text);
    g_free(text);
    return status;
}

/* ---- opening ------------------------------------------------------------- */

static int open_image(const job *j, int shrink, VipsImage **out)
{
    void *data = (void *)(uintptr_t)j->bytes.data; /* libvips only reads it */
    size_t size = j->bytes.size;
    VipsSource *source;
    int rc;

#define COMMON                                                                 \
    "access", VIPS_ACCESS_SEQUENTIAL, "fail_on", VIPS_FAIL_ON_TRUNCATED
    switch (j->format) {
    case PICTURE_JPEG:
        return vips_jpegload_buffer(data, size, out, "shrink", shrink, COMMON,
                                    NULL);
    case PICTURE_PNG: return vips_pngload_buffer(data, size, out, COMMON, NULL);
    case PICTURE_WEBP:
        return vips_webpload_buffer(data, size, out, COMMON, NULL);
    case PICTURE_GIF: return vips_gifload_buffer(data, size, out, COMMON, NULL);
    case PICTURE_TIFF:
        return vips_tiffload_buffer(data, size, out, COMMON, NULL);
    case PICTURE_HEIC:
    case PICTURE_AVIF:
        return vips_heifload_buffer(data, size, out, COMMON, NULL);
    case PICTURE_PPM:
        source = vips_source_new_from_memory(data, size);
        if (source == NULL) return -1;
        rc = vips_ppmload_source(source, out, COMMON, NULL);
        g_object_unref(source);
        return rc;
    default: return -1;
    }
#undef COMMON
}

akin_status akin__picture_check_limits(const akin_picture_options *o,
                                       uint64_t width, uint64_t height,
                                       akin_error *err)
{
    if (width == 0 || height == 0)
        return akin_fail(err, AKIN_BAD_DATA, "a picture without pixels");
    if (width > o->max_side || height > o->max_side)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "expected sides up to %u pixels, got %llu x %llu",
                         o->max_side, (unsigned long long)width,
                         (unsigned long long)height);
    if (width * height > o->max_pixels)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "expected up to %llu pixels, got %llu x %llu",
                         (unsigned long long)o->max_pixels,
                         (unsigned long long)width, (unsigned long long)height);
    return AKIN_OK;
}

/* A progressive JPEG may hold any number of scans, each over all pixels: time
 * without memory. Cameras and encoders write about ten. */
akin_status akin__picture_check_scans(akin_span bytes, akin_error *err)
{
    const uint8_t *p = bytes.data, *end = p + bytes.size;
    unsigned scans = 0;

    while (end - p > 1 && (p = memchr(p, 0xff, (size_t)(end - p) - 1)) != NULL)
        scans += *++p == 0xda;
    if (scans <= MAX_SCANS) return AKIN_OK;
    return akin_fail(err, AKIN_TOO_LARGE,
                     "a JPEG picture with more than %d scans", MAX_SCANS);
}

/* How far a picture may be shrunk before the reference's filter scales it to
 * shrink_to: by the largest of 8, 4, 2 that leaves 1.5 times that many pixels.
 * Measured with the starter model on 100 photographs made as small as the rule
 * allows (tests/embed/test_picture_shrink.c): cosine to the embedding of the
 * whole decode, least / mean,
 *
 *     1.1 times   0.9979 / 0.99993        1.5 times   0.9994 / 0.99997
 *     1.33        0.9991 / 0.99995        2.0         0.9998 / 0.99999
 *
 * the same for JPEG's own way, by 2, 4 or 8, and for boxes. */
uint32_t akin__picture_shrink_factor(const akin_picture_options *o,
                                     uint32_t width, uint32_t height)
{
    uint64_t shorter = width < height ? width : height;
    uint64_t least = (uint64_t)o->shrink_to * 3; /* in half pixels */
    uint32_t factor;

    for (factor = least != 0 ? 8 : 1; factor > 1; factor /= 2)
        if (shorter * 2 >= least * factor) break;
    return factor;
}

/* Opens a raster file; its size before shrinking in *width and *height. */
static akin_status open_raster(job *j, uint32_t *width, uint32_t *height,
                               akin_error *err)
{
    VipsImage *small = NULL;
    akin_status rc = AKIN_OK;

    if (j->format == PICTURE_JPEG)
        rc = akin__picture_check_scans(j->bytes, err);
    if (rc) return rc;
    if (open_image(j, 1, &j->image)) return fail_vips(j, AKIN_BAD_DATA, err);
    *width = (uint32_t)vips_image_get_width(j->image);
    *height = (uint32_t)vips_image_get_height(j->image);
    rc = akin__picture_check_limits(&j->options, *width, *height, err);
    if (rc) return rc;
    j->factor = akin__picture_shrink_factor(&j->options, *width, *height);
    j->out->shrink = j->factor;
    if (j->format == PICTURE_JPEG && j->factor > 1) {
        if (open_image(j, (int)j->factor, &small))
            return fail_vips(j, AKIN_BAD_DATA, err);
        g_object_unref(j->image);
        j->image = small;
        j->factor = 1;
    }
    return AKIN_OK;
}

/* j->owned, (height, width, bands) bytes, as the image. */
static akin_status image_of_owned(job *j, uint32_t width, uint32_t height,
                                  uint32_t bands, akin_error *err)
{
    j->image = vips_image_new_from_memory(
        j->owned, (size_t)width * height * bands, (int)width, (int)height,
        (int)bands, VIPS_FORMAT_UCHAR);
    if (j->image == NULL) return fail_vips(j, AKIN_NOMEM, err);
    j->image->Type = VIPS_INTERPRETATION_sRGB;
    return AKIN_OK;
}

/* A drawing has no pixels of its own: it is rendered so that its longer side is
 * AKIN_PICTURE_SVG_SIDE, or smaller if shrink_to asks for less. */
static akin_status open_svg(job *j, uint32_t *width, uint32_t *height,
                            akin_error *err)
{
    uint8_t *pixels;
    akin_status rc = akin__picture_svg(j->bytes, j->options.shrink_to, width,
                                       height, &pixels, err);

    if (rc) return rc;
    akin_free(j->owned); /* the text that was unpacked, if it was */
    j->owned = pixels;
    j->out->shrink = 1;
    rc = akin__picture_check_limits(&j->options, *width, *height, err);
    return rc ? rc : image_of_owned(j, *width, *height, 3, err);
}

static akin_status open_svgz(job *j, uint32_t *width, uint32_t *height,
                             akin_error *err)
{
    size_t size = 0;
    akin_status rc =
        akin__picture_gunzip(j->bytes, MAX_SVG_BYTES, &j->owned, &size, err);

    if (rc) return rc;
    j->bytes = (akin_span){j->owned, size};
    return open_svg(j, width, height, err);
}

static akin_status open_bmp(job *j, uint32_t *width, uint32_t *height,
                            akin_error *err)
{
    uint32_t bands;
    akin_status rc =
        akin__picture_bmp(j->bytes, true, width, height, &bands, NULL, err);

    if (rc) return rc;
    rc = akin__picture_check_limits(&j->options, *width, *height, err);
    if (rc) return rc;
    rc = akin__picture_bmp(j->bytes, false, width, height, &bands, &j->owned,
                           err);
    if (rc) return rc;
    rc = image_of_owned(j, *width, *height, bands, err);
    if (rc) return rc;
    j->factor = akin__picture_shrink_factor(&j->options, *width, *height);
    j->out->shrink = j->factor;
    return AKIN_OK;
}

/* ---- to 8-bit sRGB -------------------------------------------------------- */

/* Replaces j->image by what `rc` says the last operation made of it. */
static bool replace(job *j, int rc, VipsImage **made)
{
    if (rc != 0) return false;
    g_object_unref(j->image);
    j->image = *made;
    return true;
}

/* Most profiles say sRGB, and converting from sRGB to sRGB only costs time and
 * rounding. The description is ASCII or UTF-16BE. */
bool akin__picture_is_srgb(const void *profile, size_t size)
{
    size_t n = size < 4096 ? size : 4096;

    return memmem(profile, n, "sRGB", 4) != NULL ||
           memmem(profile, n, "\0s\0R\0G\0B", 8) != NULL;
}

/* Profiles that do not fit the picture are ignored, as browsers do. */
static void apply_profile(job *j)
{
    const void *profile;
    size_t size;
    VipsImage *made = NULL;

    if (j->options.ignore_profile ||
        vips_image_get_typeof(j->image, VIPS_META_ICC_NAME) == 0 ||
        vips_image_get_blob(j->image, VIPS_META_ICC_NAME, &profile, &size) ||
        akin__picture_is_srgb(profile, size) ||
        !vips_icc_is_compatible_profile(j->image, profile, size))
        return;
    j->out->had_profile =
        replace(j,
                vips_icc_transform(j->image, &made, "srgb", "embedded", TRUE,
                                   "depth", 8, NULL),
                &made);
    vips_error_clear();
}

static akin_status to_8_bit_rgb(job *j, akin_error *err)
{
    VipsImage *made = NULL;
    bool ok = true;
    int bands;

    if (j->image->Coding != VIPS_CODING_NONE ||
        (j->image->BandFmt != VIPS_FORMAT_UCHAR &&
         j->image->BandFmt != VIPS_FORMAT_USHORT) ||
        j->image->Type == VIPS_INTERPRETATION_LAB ||
        j->image->Type == VIPS_INTERPRETATION_LABS) {
        ok = replace(
            j,
            vips_colourspace(j->image, &made, VIPS_INTERPRETATION_sRGB, NULL),
            &made);
    } else if (j->image->BandFmt == VIPS_FORMAT_USHORT) {
        bands = j->image->Bands;
        ok = replace(j, vips_msb(j->image, &made, NULL), &made);
        if (ok && j->image->Type != VIPS_INTERPRETATION_CMYK)
            ok = replace(j,
                         vips_copy(j->image, &made, "interpretation",
                                   bands < 3 ? VIPS_INTERPRETATION_B_W
                                             : VIPS_INTERPRETATION_sRGB,
                                   NULL),
                         &made);
    }
    if (!ok) return fail_vips(j, AKIN_BAD_DATA, err);
    apply_profile(j);
    if (j->image->BandFmt != VIPS_FORMAT_UCHAR || j->image->Bands > 64)
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "%s picture with samples of an unknown kind",
                         akin__picture_format_name(j->format));
    return AKIN_OK;
}

/* a * b / 255, rounded, as Pillow's MULDIV255. */
static inline uint32_t mul255(uint32_t a, uint32_t b)
{
    uint32_t t = a * b + 128;

    return ((t >> 8) + t) >> 8;
}

static void cmyk_row(const uint8_t *in, uint32_t bands, uint32_t n,
                     uint8_t *out)
{
    uint32_t x, c;

    for (x = 0; x < n; x++, in += bands, out += 3) {
        uint32_t light = 255u - in[3];

        for (c = 0; c < 3; c++)
            out[c] = (uint8_t)(light - mul255(in[c], light));
    }
}

/* alpha: the last of 2 or 4 samples, laid over white or dropped. */
static void alpha_row(const uint8_t *in, uint32_t bands, uint32_t n, bool drop,
                      uint8_t *out)
{
    uint32_t grey = bands < 3, x, c;

    for (x = 0; x < n; x++, in += bands, out += 3) {
        uint32_t a = drop ? 255u : in[grey ? 1 : 3];

        for (c = 0; c < 3; c++)
            out[c] = (uint8_t)(255u - mul255(255u - in[grey ? 0 : c], a));
    }
}

static void plain_row(const uint8_t *in, uint32_t bands, uint32_t n,
                      uint8_t *out)
{
    uint32_t x, green = bands < 3 ? 0 : 1, blue = bands < 3 ? 0 : 2;

    if (bands == 3) {
        memcpy(out, in, (size_t)n * 3);
        return;
    }
    for (x = 0; x < n; x++, in += bands, out += 3) {
        out[0] = in[0];
        out[1] = in[green];
        out[2] = in[blue];
    }
}

static void rgb_row(const job *j, const uint8_t *in, uint32_t n, uint8_t *out)
{
    uint32_t bands = (uint32_t)j->image->Bands;

    if (j->image->Type == VIPS_INTERPRETATION_CMYK && bands >= 4)
        cmyk_row(in, bands, n, out);
    else if (bands == 2 || bands == 4)
        alpha_row(in, bands, n, j->options.drop_alpha, out);
    else
        plain_row(in, bands, n, out);
}

/* ---- rows ----------------------------------------------------------------- */

static akin_status read_rows(job *j, akin_error *err)
{
    uint32_t width = (uint32_t)j->image->Xsize;
    uint32_t height = (uint32_t)j->image->Ysize, y, i;
    akin__picture_sink sink = {0};
    uint8_t *strip = akin_alloc((size_t)width * STRIP * 3);
    VipsRegion *region = vips_region_new(j->image);
    akin_status rc;

    if (strip == NULL || region == NULL) {
        rc = akin_fail(err, AKIN_NOMEM, "not enough memory for a picture");
        goto done;
    }
    rc = akin__picture_sink_begin(&sink, j->out, width, height, j->factor,
                                  j->orientation, err);
    if (rc) goto done;
    for (y = 0; y < height; y += STRIP) {
        uint32_t n = height - y < STRIP ? height - y : STRIP;
        VipsRect rows = {0, (int)y, (int)width, (int)n};

        if (vips_region_prepare(region, &rows)) {
            rc = fail_vips(j, AKIN_BAD_DATA, err);
            goto done;
        }
        for (i = 0; i < n; i++)
            rgb_row(j, VIPS_REGION_ADDR(region, 0, (int)(y + i)), width,
                    strip + (size_t)i * width * 3);
        akin__picture_sink_rows(&sink, strip, n);
        if (akin_mono_ns() > j->deadline_ns) {
            rc = akin_fail(
                err, AKIN_TIMEOUT, "%s picture took longer than %u ms",
                akin__picture_format_name(j->format), j->options.max_ms);
            goto done;
        }
    }

done:
    if (region != NULL) g_object_unref(region);
    akin__picture_sink_clear(&sink);
    akin_free(strip);
    return rc;
}

static akin_status run(job *j, akin_error *err)
{
    uint32_t width = 0, height = 0;
    bool lying;
    akin_status rc;

    switch (j->format) {
    case PICTURE_SVG: rc = open_svg(j, &width, &height, err); break;
    case PICTURE_SVGZ: rc = open_svgz(j, &width, &height, err); break;
    case PICTURE_BMP: rc = open_bmp(j, &width, &height, err); break;
    default: rc = open_raster(j, &width, &height, err); break;
    }
    if (rc) return rc;
    j->out->orientation = (uint32_t)vips_image_get_orientation(j->image);
    j->orientation = j->options.ignore_orientation ? 1 : j->out->orientation;
    lying = j->orientation >= 5;
    j->out->file_width = lying ? height : width;
    j->out->file_height = lying ? width : height;
    rc = to_8_bit_rgb(j, err);
    return rc ? rc : read_rows(j, err);
}

void akin__picture_fill_options(akin_picture_options *o)
{
    if (o->max_bytes == 0) o->max_bytes = AKIN_PICTURE_MAX_BYTES;
    if (o->max_pixels == 0) o->max_pixels = AKIN_PICTURE_MAX_PIXELS;
    if (o->max_side == 0 || o->max_side > AKIN_PICTURE_MAX_SIDE)
        o->max_side = AKIN_PICTURE_MAX_SIDE;
    if (o->max_ms == 0) o->max_ms = AKIN_PICTURE_MAX_MS;
}

akin_status akin__picture_decode_here(akin_span bytes,
                                      const akin_picture_options *options,
                                      akin_picture *out, akin_error *err)
{
    job j = {.bytes = bytes, .options = *options, .factor = 1, .out = out};
    akin_status rc = akin__picture_need_vips(err);
    const char *name;
    bool done = false;

    memset(out, 0, sizeof *out);
    if (rc) return rc;
    j.format = akin__picture_format_of(bytes);
    j.deadline_ns = akin_mono_ns() + j.options.max_ms * UINT64_C(1000000);
    name = akin__picture_format_name(j.format);
    memcpy(out->format, name, strlen(name));
    if (j.format == PICTURE_JPEG)
        rc = akin__picture_jpeg(bytes, options, j.deadline_ns, out, &done, err);
    if (!done) rc = run(&j, err);
    if (j.image != NULL) g_object_unref(j.image);
    akin_free(j.owned);
    if (rc) akin_picture_clear(out);
    return rc;
}

akin_status akin_picture_decode(akin_span bytes,
                                const akin_picture_options *options,
                                akin_picture *out, akin_error *err)
{
    akin_picture_options o = {0};
    akin__picture_format format;

    memset(out, 0, sizeof *out);
    if (options != NULL) o = *options;
    akin__picture_fill_options(&o);
    if (bytes.size == 0)
        return akin_fail(err, AKIN_BAD_DATA, "an empty picture file");
    if (bytes.size > o.max_bytes)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "expected a picture of up to %llu bytes, got %zu",
                         (unsigned long long)o.max_bytes, bytes.size);
    format = akin__picture_format_of(bytes);
    if (format == PICTURE_NONE)
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "expected a JPEG, PNG, WebP, GIF, TIFF, HEIC, AVIF, "
                         "SVG, BMP or PPM picture, got something else");
    if (format == PICTURE_SVG || format == PICTURE_SVGZ)
        return akin__picture_decode_apart(bytes, &o, out, err);
    return akin__picture_decode_here(bytes, &o, out, err);
}

void akin_picture_clear(akin_picture *picture)
{
    akin_free(picture->pixels);
    memset(picture, 0, sizeof *picture);
}
