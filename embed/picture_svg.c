/* Sizes of drawings that have no viewBox.
 *
 * libvips reads 72pt as 72 user units, whatever dpi it is told; it is 96 of them
 * (CSS: 96 to the inch), and what is drawn in the last quarter would be cut off.
 * One drawing in four of openclipart is such: made by old Inkscapes, width and
 * height in pt, no viewBox. So such sizes are written in user units before
 * libvips sees them. */
#include "picture_internal.h"

#include <gio/gio.h>
#include <string.h>

#define TAG_BYTES 65536 /* a start tag that is longer is left alone */

typedef struct {
    size_t from, size; /* of the value, without its quotes; size 0: none */
} value;

typedef struct {
    value width, height;
    bool view_box;
} root;

/* User units in one of a unit; 0: none of the absolute ones. */
static double units(const char *unit)
{
    static const struct {
        char name[3];
        double px;
    } known[] = {{"pt", 96.0 / 72},
                 {"pc", 16},
                 {"in", 96},
                 {"mm", 96.0 / 25.4},
                 {"cm", 96 / 2.54}};

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(unit, known[i].name)) return known[i].px;
    return 0;
}

/* "168.0pt" to 224; 0: not a size in an absolute unit. */
static double pixels_of(const char *text, value v)
{
    char copy[64], *end;

    if (!v.size || v.size >= sizeof copy) return 0;
    memcpy(copy, text + v.from, v.size);
    copy[v.size] = 0;
    double number = g_ascii_strtod(copy, &end);
    while (v.size && strchr(" \t\r\n", copy[v.size - 1]))
        copy[--v.size] = 0;
    return end > copy && number > 0 && number < 1e9 ? number * units(end) : 0;
}

static bool named(const char *text, size_t from, size_t to, const char *name)
{
    return to - from == strlen(name) && !memcmp(text + from, name, to - from);
}

/* One attribute from at on; false at the tag's end. */
static bool read_attribute(const char *text, size_t *at, size_t n, root *out)
{
    const char *space = " \t\r\n", *stop = " \t\r\n=/>";
    size_t i = *at;

    while (i < n && strchr(space, text[i]))
        i++;
    size_t name = i;
    while (i < n && !strchr(stop, text[i]))
        i++;
    size_t name_end = i;
    while (i < n && strchr(space, text[i]))
        i++;
    if (i >= n || text[i] != '=' || name_end == name) return false;
    for (i++; i < n && strchr(space, text[i]); i++)
        ;
    if (i >= n || (text[i] != '"' && text[i] != '\'')) return false;
    const char *end = memchr(text + i + 1, text[i], n - i - 1);
    if (!end) return false;
    value v = {i + 1, (size_t)(end - text) - i - 1};
    if (named(text, name, name_end, "width")) out->width = v;
    if (named(text, name, name_end, "height")) out->height = v;
    if (named(text, name, name_end, "viewBox")) out->view_box = true;
    *at = (size_t)(end - text) + 1;
    return true;
}

static void append_value(akin_buf *out, double px)
{
    char digits[G_ASCII_DTOSTR_BUF_SIZE];

    akin_buf_text(out, g_ascii_formatd(digits, sizeof digits, "%.6f", px));
}

akin_status akin__picture_svg_units(akin_span bytes, size_t element,
                                    akin_buf *out, akin_error *err)
{
    const char *text = bytes.data;
    size_t n =
        bytes.size - element < TAG_BYTES ? bytes.size : element + TAG_BYTES;
    size_t at = element, done = 0;
    root r = {0};

    while (at < n && !strchr(" \t\r\n>/", text[at]))
        at++;
    while (read_attribute(text, &at, n, &r))
        ;
    double width = pixels_of(text, r.width), height = pixels_of(text, r.height);
    if (r.view_box || (width <= 0 && height <= 0)) return AKIN_OK;
    bool first_width = r.width.from < r.height.from;
    for (int i = 0; i < 2; i++) {
        bool is_width = first_width == (i == 0);
        value v = is_width ? r.width : r.height;
        double px = is_width ? width : height;
        if (px <= 0) continue;
        akin_buf_append(out, text + done, v.from - done);
        append_value(out, px);
        done = v.from + v.size;
    }
    akin_buf_append(out, text + done, bytes.size - done);
    return out->failed ? akin_fail(err, AKIN_NOMEM, "out of memory") : AKIN_OK;
}
