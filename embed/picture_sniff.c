/* Which format a file is, by its first bytes. This list is the door: whatever
 * is not in it never reaches a decoder, so that the many loaders that libvips
 * has (ImageMagick, PDF, OpenSlide, FITS, ...) are not open to bytes from
 * outside. */
#include "picture_internal.h"

#include <gio/gio.h>
#include <string.h>

#define SVG_SEARCH 4096 /* bytes in which <svg must begin */

static bool starts(akin_span bytes, size_t at, const char *magic, size_t length)
{
    return bytes.size >= at + length &&
           memcmp((const char *)bytes.data + at, magic, length) == 0;
}

/* The element's name ends in "svg", alone or behind a namespace's prefix, as in
 * <svg:svg>. at: behind the '<'. */
static bool is_svg_element(const char *text, size_t at, size_t n)
{
    size_t end = at;
    while (end < n && strchr(" \t\r\n>/", text[end]) == NULL)
        end++;
    if (end == n || end - at < 3 || memcmp(text + end - 3, "svg", 3) != 0)
        return false;
    return end - at == 3 || text[end - 4] == ':';
}

/* Text that is XML (or a bare <svg) with an <svg element near its start. */
static bool is_svg(akin_span bytes)
{
    const char *text = bytes.data;
    size_t n = bytes.size < SVG_SEARCH ? bytes.size : SVG_SEARCH;
    size_t i = 0;

    if (starts(bytes, 0, "\xef\xbb\xbf", 3)) i = 3;
    while (i < n && strchr(" \t\r\n", text[i]) != NULL && text[i] != '\0')
        i++;
    if (i >= n || text[i] != '<' || memchr(text, '\0', n) != NULL) return false;
    for (; i < n; i++)
        if (text[i] == '<' && is_svg_element(text, i + 1, n)) return true;
    return false;
}

static bool is_ppm(akin_span bytes)
{
    const char *text = bytes.data;

    return bytes.size >= 3 && text[0] == 'P' && text[1] >= '1' &&
           text[1] <= '6' && text[2] != '\0' &&
           strchr(" \t\r\n#", text[2]) != NULL;
}

/* ISO base media file: the major brand, or failing that a compatible one. */
static akin__picture_format heif_brand(akin_span bytes)
{
    static const struct {
        char brand[5];
        akin__picture_format format;
    } brands[] = {{"avif", PICTURE_AVIF}, {"avis", PICTURE_AVIF},
                  {"heic", PICTURE_HEIC}, {"heix", PICTURE_HEIC},
                  {"heim", PICTURE_HEIC}, {"heis", PICTURE_HEIC},
                  {"hevc", PICTURE_HEIC}, {"hevx", PICTURE_HEIC}};
    const uint8_t *p = bytes.data;
    size_t box, at, i;

    if (!starts(bytes, 4, "ftyp", 4) || bytes.size < 16) return PICTURE_NONE;
    box = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (box > bytes.size) box = bytes.size;
    for (at = 8; at + 4 <= box; at += at == 8 ? 8 : 4) /* skip the version */
        for (i = 0; i < sizeof brands / sizeof *brands; i++)
            if (memcmp(p + at, brands[i].brand, 4) == 0)
                return brands[i].format;
    if (starts(bytes, 8, "mif1", 4) || starts(bytes, 8, "msf1", 4))
        return PICTURE_HEIC;
    return PICTURE_NONE;
}

static bool is_svgz(akin_span bytes)
{
    uint8_t head[SVG_SEARCH];
    GConverter *unzip;
    size_t got = 0, used = 0;

    if (!starts(bytes, 0, "\x1f\x8b\x08", 3)) return false;
    unzip = G_CONVERTER(g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP));
    while (got < sizeof head && used < bytes.size) {
        gsize in = 0, out = 0;
        GError *error = NULL;
        GConverterResult result = g_converter_convert(
            unzip, (const char *)bytes.data + used, bytes.size - used,
            head + got, sizeof head - got, G_CONVERTER_NO_FLAGS, &in, &out,
            &error);

        g_clear_error(&error);
        used += in;
        got += out;
        if (result != G_CONVERTER_CONVERTED || (in == 0 && out == 0)) break;
    }
    g_object_unref(unzip);
    return is_svg((akin_span){head, got});
}

akin__picture_format akin__picture_format_of(akin_span bytes)
{
    if (starts(bytes, 0, "\xff\xd8\xff", 3)) return PICTURE_JPEG;
    if (starts(bytes, 0, "\x89PNG\r\n\x1a\n", 8)) return PICTURE_PNG;
    if (starts(bytes, 0, "RIFF", 4) && starts(bytes, 8, "WEBP", 4))
        return PICTURE_WEBP;
    if (starts(bytes, 0, "GIF87a", 6) || starts(bytes, 0, "GIF89a", 6))
        return PICTURE_GIF;
    if (starts(bytes, 0, "II*\0", 4) || starts(bytes, 0, "MM\0*", 4) ||
        starts(bytes, 0, "II+\0", 4) || starts(bytes, 0, "MM\0+", 4))
        return PICTURE_TIFF;
    /* the reserved fields of a BMP are 0, text that begins with BM is not */
    if (starts(bytes, 0, "BM", 2) && starts(bytes, 6, "\0\0\0\0", 4))
        return PICTURE_BMP;
    if (is_ppm(bytes)) return PICTURE_PPM;
    if (heif_brand(bytes) != PICTURE_NONE) return heif_brand(bytes);
    if (is_svg(bytes)) return PICTURE_SVG;
    return is_svgz(bytes) ? PICTURE_SVGZ : PICTURE_NONE;
}

const char *akin__picture_format_name(akin__picture_format format)
{
    static const char *const names[] = {"",    "jpeg", "png",  "webp",
                                        "gif", "tiff", "heic", "avif",
                                        "svg", "svg",  "bmp",  "ppm"};

    return names[format];
}

bool akin_picture_sniff(akin_span first_bytes, const char **format)
{
    akin__picture_format found = akin__picture_format_of(first_bytes);

    if (format != NULL) *format = akin__picture_format_name(found);
    return found != PICTURE_NONE;
}

akin_status akin__picture_gunzip(akin_span bytes, size_t limit, uint8_t **out,
                                 size_t *size, akin_error *err)
{
    akin_buf text = {.limit = limit};
    uint8_t block[16384];
    size_t used = 0;
    akin_status rc = AKIN_OK;
    GConverterResult result = G_CONVERTER_CONVERTED;
    GConverter *unzip =
        G_CONVERTER(g_zlib_decompressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP));

    while (rc == AKIN_OK && result == G_CONVERTER_CONVERTED) {
        gsize in = 0, got = 0;
        GError *error = NULL;

        result = g_converter_convert(
            unzip, (const char *)bytes.data + used, bytes.size - used, block,
            sizeof block, G_CONVERTER_INPUT_AT_END, &in, &got, &error);
        used += in;
        if (result == G_CONVERTER_ERROR)
            rc = akin_fail(err, AKIN_BAD_DATA, "damaged gzip data: %s",
                           error->message);
        g_clear_error(&error);
        akin_buf_append(&text, block, got);
        if (rc == AKIN_OK && text.failed)
            rc = akin_fail(err, AKIN_TOO_LARGE,
                           "more than %zu bytes when unpacked", limit);
    }
    g_object_unref(unzip);
    if (rc != AKIN_OK) {
        akin_buf_clear(&text);
        return rc;
    }
    *out = text.data;
    *size = text.size;
    return AKIN_OK;
}
