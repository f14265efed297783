/* Formats and treatments that the reference does not have: TIFF, AVIF, HEIC, SVG,
 * the kinds of BMP, alpha over white, colour profiles, 16 bits, shrinking. The
 * files are written here by libvips or by hand. */
#include "picture_changes.h"
#include "picture_set.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static akin_picture photo; /* what the files are made of */
static akin_span photo_file;
static akin_map photo_map;

static int load(void **state)
{
    (void)state;
    photo_map =
        picture_set_map(NULL, AKIN_TESTS "/data/pictures/photos/shoes-1.jpg");
    photo_file = (akin_span){photo_map.data, photo_map.size};
    return akin_picture_decode(photo_file, NULL, &photo, NULL);
}

static int unload(void **state)
{
    (void)state;
    akin_picture_clear(&photo);
    akin_map_close(&photo_map);
    return 0;
}

static akin_picture decoded(akin_span bytes, akin_picture_options options)
{
    akin_picture p = {0};
    akin_error err = {0};

    if (akin_picture_decode(bytes, &options, &p, &err) != AKIN_OK)
        fail_msg("%s", err.message);
    return p;
}

static VipsImage *as_image(const akin_picture *p)
{
    VipsImage *image = vips_image_new_from_memory(
        p->pixels, (size_t)p->width * p->height * 3, (int)p->width,
        (int)p->height, 3, VIPS_FORMAT_UCHAR);

    assert_non_null(image);
    image->Type = VIPS_INTERPRETATION_sRGB;
    return image;
}

/* Writes an image by libvips' suffix and options; NULL data when this libvips
 * cannot write it. Freed by g_free. */
static akin_span written(VipsImage *image, const char *suffix)
{
    void *data = NULL;
    size_t size = 0;

    if (vips_image_write_to_buffer(image, suffix, &data, &size, NULL)) {
        print_message("%s is not written here: %s", suffix,
                      vips_error_buffer());
        vips_error_clear();
        return (akin_span){NULL, 0};
    }
    return (akin_span){data, size};
}

static double mean_difference(const akin_picture *a, const akin_picture *b)
{
    size_t n = (size_t)a->width * a->height * 3, i;
    double sum = 0;

    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    for (i = 0; i < n; i++)
        sum += abs(a->pixels[i] - b->pixels[i]);
    return sum / (double)n;
}

static void every_written_format_comes_back(void **state)
{
    static const struct {
        const char *suffix, *format;
        double most; /* mean difference, of 255 */
    } kinds[] = {
        {".tif", "tiff", 0},
        {".tif[compression=lzw,predictor=horizontal]", "tiff", 0},
        {".tif[compression=deflate,tile,tile_width=64,tile_height=64]", "tiff",
         0},
        {".tif[compression=jpeg,Q=90]", "tiff", 4},
        {".tif[bigtiff]", "tiff", 0},
        {".png[interlace]", "png", 0},
        {".webp[lossless]", "webp", 0},
        {".webp[Q=90]", "webp", 4},
        {".gif", "gif", 12},
        {".avif[Q=80]", "avif", 4},
        {".heic[Q=80]", "heic", 4},
    };
    VipsImage *image = as_image(&photo);
    size_t i;

    (void)state;
    for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        akin_span bytes = written(image, kinds[i].suffix);
        const char *format = NULL;
        akin_picture p;

        if (bytes.data == NULL) continue;
        assert_true(akin_picture_sniff(
            (akin_span){bytes.data, bytes.size < 64 ? bytes.size : 64},
            &format));
        assert_string_equal(format, kinds[i].format);
        p = decoded(bytes, (akin_picture_options){0});
        assert_string_equal(p.format, kinds[i].format);
        if (mean_difference(&p, &photo) > kinds[i].most)
            fail_msg("%s: mean difference %.2f", kinds[i].suffix,
                     mean_difference(&p, &photo));
        akin_picture_clear(&p);
        g_free((void *)(uintptr_t)bytes.data);
    }
    g_object_unref(image);
}

/* The samplings that the reference lacks, bit for bit as libjpeg-turbo's own
 * decoder gives them. */
static void every_subsampling(void **state)
{
    static const struct {
        const char *name, *sha256;
    } files[] = {
        {"jpg_440",
         "bcfb8740f1203709d8d026cf30ad3a9932b158043bcbbc16c2bc7ce313f07112"},
        {"jpg_440_progressive",
         "bcfb8740f1203709d8d026cf30ad3a9932b158043bcbbc16c2bc7ce313f07112"},
        {"jpg_411",
         "ca0145d364b7aa2622afcdfff75b1ec0ffb2fc8a89767ed6b1a5315075807c53"},
        {"jpg_410",
         "28896106d504b02820d93e195f32a22a8d9041ce95b3528ad0b85b0c2d77709e"},
        {"jpg_441",
         "8fda8e18647d2ac1c7b34a3a49b929f305d21d8cddfa6441d51e1664163474c6"},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof files / sizeof *files; i++) {
        char path[1024], hex[2 * AKIN_SHA256_BYTES + 1];
        uint8_t digest[AKIN_SHA256_BYTES];
        akin_picture p;
        akin_map map;

        snprintf(path, sizeof path,
                 AKIN_TESTS "/data/pictures/subsampling/%s.jpg", files[i].name);
        map = picture_set_map(NULL, path);
        p = decoded((akin_span){map.data, map.size}, (akin_picture_options){0});
        assert_int_equal(p.width, 61);
        assert_int_equal(p.height, 47);
        assert_int_equal(
            akin_sha256_of((akin_span){p.pixels, (size_t)61 * 47 * 3}, digest,
                           NULL),
            AKIN_OK);
        akin_hex(digest, sizeof digest, hex);
        if (strcmp(hex, files[i].sha256) != 0)
            fail_msg("%s: other pixels, %s", files[i].name, hex);
        akin_picture_clear(&p);
        akin_map_close(&map);
    }
}

/* Formats that test_picture_hostile has no file of. */
static void written_files_cut_short_are_refused(void **state)
{
    static const char *const suffixes[] = {".tif", ".tif[compression=lzw]",
                                           ".tif[compression=jpeg]",
                                           ".avif[Q=80]", ".heic[Q=80]"};
    VipsImage *image = as_image(&photo);
    size_t i, n;

    (void)state;
    for (i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        akin_span bytes = written(image, suffixes[i]);

        for (n = 12; bytes.data && n < bytes.size * 9 / 10;
             n += bytes.size / 9) {
            uint8_t *copy = malloc(n); /* ASan sees a read behind it */
            akin_picture p;
            akin_error err = {0};

            memcpy(copy, bytes.data, n);
            if (akin_picture_decode((akin_span){copy, n}, NULL, &p, &err) ==
                AKIN_OK)
                fail_msg("%s cut to %zu of %zu bytes decodes", suffixes[i], n,
                         bytes.size);
            assert_true(err.message[0] != '\0');
            assert_null(p.pixels);
            free(copy);
        }
        if (bytes.data) g_free((void *)(uintptr_t)bytes.data);
    }
    g_object_unref(image);
}

static void sixteen_bits_keep_the_high_byte(void **state)
{
    static const char *const suffixes[] = {".png", ".tif"};
    VipsImage *image = as_image(&photo), *wide, *shifted, *tagged;
    size_t i;

    (void)state;
    assert_int_equal(vips_cast(image, &wide, VIPS_FORMAT_USHORT, NULL), 0);
    assert_int_equal(vips_linear1(wide, &shifted, 256.0, 200.0, NULL), 0);
    g_object_unref(wide);
    assert_int_equal(vips_cast(shifted, &wide, VIPS_FORMAT_USHORT, NULL), 0);
    assert_int_equal(vips_copy(wide, &tagged, "interpretation",
                               VIPS_INTERPRETATION_RGB16, NULL),
                     0);
    for (i = 0; i < 2; i++) {
        akin_span bytes = written(tagged, suffixes[i]);
        akin_picture p = decoded(bytes, (akin_picture_options){0});

        assert_true(mean_difference(&p, &photo) == 0);
        akin_picture_clear(&p);
        g_free((void *)(uintptr_t)bytes.data);
    }
    g_object_unref(tagged);
    g_object_unref(wide);
    g_object_unref(shifted);
    g_object_unref(image);
}

/* 4 x 1 pixels: opaque red, half red, clear red, half black. */
static void alpha_lies_over_white(void **state)
{
    uint8_t rgba[16] = {255, 0, 0, 255, 255, 0, 0, 128,
                        255, 0, 0, 0,   0,   0, 0, 127};
    static const uint8_t over[12] = {255, 0,   0,   255, 127, 127,
                                     255, 255, 255, 128, 128, 128};
    static const uint8_t dropped[12] = {255, 0, 0, 255, 0, 0,
                                        255, 0, 0, 0,   0, 0};
    static const char *const suffixes[] = {".png", ".tif", ".webp[lossless]"};
    VipsImage *image =
        vips_image_new_from_memory(rgba, 16, 4, 1, 4, VIPS_FORMAT_UCHAR);
    size_t i;

    (void)state;
    image->Type = VIPS_INTERPRETATION_sRGB;
    for (i = 0; i < 3; i++) {
        akin_span bytes = written(image, suffixes[i]);
        akin_picture p = decoded(bytes, (akin_picture_options){0});

        assert_memory_equal(p.pixels, over, sizeof over);
        akin_picture_clear(&p);
        if (i < 2) { /* WebP's encoder changes colours that nobody sees */
            p = decoded(bytes, (akin_picture_options){.drop_alpha = true});
            assert_memory_equal(p.pixels, dropped, sizeof dropped);
            akin_picture_clear(&p);
        }
        g_free((void *)(uintptr_t)bytes.data);
    }
    g_object_unref(image);
}

/* The photograph stored in Display P3 with that profile looks the same after
 * decoding, and paler with the profile ignored. */
static void profiles_become_srgb(void **state)
{
    VipsImage *image = as_image(&photo), *p3;
    akin_picture seen, ignored;
    akin_span bytes;

    (void)state;
    assert_int_equal(vips_icc_transform(image, &p3, "p3", "input_profile",
                                        "srgb", "embedded", FALSE, NULL),
                     0);
    bytes = written(p3, ".png");
    seen = decoded(bytes, (akin_picture_options){0});
    ignored = decoded(bytes, (akin_picture_options){.ignore_profile = true});
    assert_true(seen.had_profile);
    assert_false(ignored.had_profile);
    assert_true(mean_difference(&seen, &photo) < 0.6);
    assert_true(mean_difference(&ignored, &photo) > 1.5);
    akin_picture_clear(&seen);
    akin_picture_clear(&ignored);
    g_free((void *)(uintptr_t)bytes.data);
    g_object_unref(p3);
    g_object_unref(image);
}

static void damaged_profile_is_ignored(void **state)
{
    static char junk[300] = "not a profile";
    VipsImage *image = as_image(&photo);
    akin_span bytes;
    akin_picture p;

    (void)state;
    vips_image_set_blob_copy(image, VIPS_META_ICC_NAME, junk, sizeof junk);
    bytes = written(image, ".tif");
    p = decoded(bytes, (akin_picture_options){0});
    assert_false(p.had_profile);
    assert_true(mean_difference(&p, &photo) == 0);
    akin_picture_clear(&p);
    g_free((void *)(uintptr_t)bytes.data);
    g_object_unref(image);
}

/* Shrinking by boxes (TIFF) and by the JPEG decoder, with and without a turn. */
static void shrinking_keeps_what_is_asked_for(void **state)
{
    akin_picture big = picture_scaled(&photo, 4.0); /* 1600 and more */
    VipsImage *image = as_image(&big);
    static const char *const suffixes[] = {".tif", ".jpg[Q=95]"};
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        akin_span bytes;
        akin_picture whole, half, turned;
        uint32_t shorter = big.width < big.height ? big.width : big.height;
        akin_picture_options o = {.shrink_to = shorter / 3};

        bytes = written(image, suffixes[i]);
        whole = decoded(bytes, (akin_picture_options){0});
        assert_int_equal(whole.shrink, 1);
        half = decoded(bytes, o);
        assert_int_equal(half.shrink, 2);
        assert_int_equal(half.width, (big.width + 1) / 2);
        assert_int_equal(half.height, (big.height + 1) / 2);
        assert_int_equal(half.file_width, big.width);
        assert_int_equal(half.file_height, big.height);
        akin_picture_clear(&half);
        o.shrink_to = shorter / 3 + 1; /* one more than half leaves */
        half = decoded(bytes, o);
        assert_int_equal(half.shrink, 1);
        akin_picture_clear(&half);
        o.shrink_to = 1;
        half = decoded(bytes, o);
        assert_int_equal(half.shrink, 8);
        g_free((void *)(uintptr_t)bytes.data);

        vips_image_set_int(image, VIPS_META_ORIENTATION, 6);
        bytes = written(image, suffixes[i]);
        vips_image_remove(image, VIPS_META_ORIENTATION);
        turned = decoded(bytes, o);
        assert_int_equal(turned.orientation, 6);
        assert_int_equal(turned.width, half.height);
        assert_int_equal(turned.height, half.width);
        assert_int_equal(turned.file_width, big.height);
        /* a quarter to the right: the top row was the left column */
        assert_memory_equal(picture_at(&turned, turned.width - 1, 0),
                            picture_at(&half, 0, 0), 3);
        assert_memory_equal(picture_at(&turned, 0, 5),
                            picture_at(&half, 5, half.height - 1), 3);
        akin_picture_clear(&whole);
        akin_picture_clear(&half);
        akin_picture_clear(&turned);
        g_free((void *)(uintptr_t)bytes.data);
    }
    g_object_unref(image);
    akin_picture_clear(&big);
}

/* 10 x 9 pixels in boxes of 4: the last column is 2 wide, the last row 1 high. */
static void boxes_at_the_edge_are_narrower(void **state)
{
    uint8_t grey[90];
    VipsImage *image;
    akin_span bytes;
    akin_picture p;
    uint32_t x, y, dx, dy;

    (void)state;
    for (x = 0; x < 90; x++)
        grey[x] = (uint8_t)(x * x * 7);
    image = vips_image_new_from_memory(grey, 90, 10, 9, 1, VIPS_FORMAT_UCHAR);
    bytes = written(image, ".png");
    p = decoded(bytes, (akin_picture_options){.shrink_to = 1});
    assert_int_equal(p.shrink, 4);
    assert_int_equal(p.width, 3);
    assert_int_equal(p.height, 3);
    for (y = 0; y < 3; y++)
        for (x = 0; x < 3; x++) {
            uint32_t sum = 0, area = 0;

            for (dy = 0; dy < 4 && 4 * y + dy < 9; dy++)
                for (dx = 0; dx < 4 && 4 * x + dx < 10; dx++, area++)
                    sum += grey[(4 * y + dy) * 10 + 4 * x + dx];
            assert_int_equal(picture_at(&p, x, y)[1], (sum + area / 2) / area);
        }
    akin_picture_clear(&p);
    g_free((void *)(uintptr_t)bytes.data);
    g_object_unref(image);
}

static void png_is_turned_by_its_exif_chunk(void **state)
{
    akin_map lying = picture_set_map(NULL, AKIN_TESTS
                                     "/data/pictures/src/png_grey.png"),
             turned =
                 picture_set_map(NULL, AKIN_TESTS "/data/pictures/exif_6.png");
    akin_picture a =
        decoded((akin_span){lying.data, lying.size}, (akin_picture_options){0});
    akin_picture b = decoded((akin_span){turned.data, turned.size},
                             (akin_picture_options){0});

    (void)state;
    assert_int_equal(b.orientation, 6);
    assert_int_equal(b.width, a.height);
    assert_memory_equal(picture_at(&b, 3, 5),
                        picture_at(&a, 5, a.height - 1 - 3), 3);
    akin_picture_clear(&a);
    akin_picture_clear(&b);
    akin_map_close(&lying);
    akin_map_close(&turned);
}

/* ---- drawings -------------------------------------------------------------- */

static akin_picture drawn(const char *svg, uint32_t shrink_to)
{
    return decoded(akin_span_of(svg),
                   (akin_picture_options){.shrink_to = shrink_to});
}

#define SVG_OPEN  "<svg xmlns='http://www.w3.org/2000/svg' "
#define SVG_CLOSE "<rect width='50%' height='100%' fill='#f00'/></svg>"

/* Width and height in real-world units without a viewBox: what is drawn at the
 * far corner is there. 75pt, 1.04167in ... are 100 user units. */
static void drawings_in_points_are_whole(void **state)
{
    static const char *const sizes[] = {
        "width='75pt' height='75.0pt'",
        "height = \"75pt\" id='a' width = \"100\"",
        "width='26.458333mm' height='2.6458333cm'",
        "width='1.0416667in' height='6.25pc '",
        "width='100' height='100px'",
        "width='75pt' height='75pt' viewBox='0 0 100 100'",
    };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *svg = akin_format(SVG_OPEN "%s><rect x='90' y='90' width='10' "
                                         "height='10' fill='#f00'/></svg>",
                                sizes[i]);
        akin_picture p = drawn(svg, 0);
        size_t at =
            (size_t)(p.height * 0.95) * p.width + (size_t)(p.width * 0.95);
        const uint8_t *pixel = p.pixels + at * 3;

        assert_int_equal(p.width, p.height);
        if (pixel[0] < 250 || pixel[1] > 5)
            fail_msg("%s: %u %u %u in the corner", sizes[i], pixel[0], pixel[1],
                     pixel[2]);
        akin_picture_clear(&p);
        akin_free(svg);
    }
}

/* Whatever size a drawing claims, it is rendered at ours, over white. */
static void drawings_are_rendered_at_a_sensible_size(void **state)
{
    static const struct {
        const char *svg;
        uint32_t width, height;
    } drawings[] = {
        {SVG_OPEN "width='20' height='10'>" SVG_CLOSE, 1024, 512},
        {SVG_OPEN "width='90000' height='45000'>" SVG_CLOSE, 1024, 512},
        {SVG_OPEN "viewBox='0 0 3 6'>" SVG_CLOSE, 512, 1024},
        {SVG_OPEN "viewBox='0 0 1e9 5e8'>" SVG_CLOSE, 1024, 512},
        {SVG_OPEN "width='4cm' height='4cm'>" SVG_CLOSE, 1024, 1024},
        {SVG_OPEN "width='100%' height='100%' viewBox='0 0 8 4'>" SVG_CLOSE,
         1024, 512},
        {"<?xml version='1.0'?>\n<!-- a comment -->\n"
         "<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' "
         "'http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd'>\n" SVG_OPEN
         "width='10' height='10'>" SVG_CLOSE,
         1024, 1024},
        /* no size but that of what it shows */
        {SVG_OPEN "width='100%' height='100%'>"
                  "<rect width='40' height='40' fill='#f00'/>"
                  "<rect x='40' width='40' height='40' fill='#fff'/></svg>",
         1024, 512},
        /* a prefixed root, as Adobe Illustrator 10 and 11 wrote it */
        {"<!-- x  --><svg:svg xmlns:svg='http://www.w3.org/2000/svg' "
         "width='20' height='10'>"
         "<svg:rect width='50%' height='100%' fill='#f00'/></svg:svg>",
         1024, 512},
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof drawings / sizeof *drawings; i++) {
        akin_picture p = drawn(drawings[i].svg, 0);
        const uint8_t *left, *right;

        assert_string_equal(p.format, "svg");
        if (p.width != drawings[i].width || p.height != drawings[i].height)
            fail_msg("drawing %zu: %u x %u", i, p.width, p.height);
        left = picture_at(&p, p.width / 4, p.height / 2);
        right = picture_at(&p, p.width * 3 / 4, p.height / 2);
        assert_memory_equal(left, "\xff\x00\x00", 3);
        assert_memory_equal(right, "\xff\xff\xff", 3);
        akin_picture_clear(&p);
    }
}

static void drawings_shrink_too(void **state)
{
    akin_picture p = drawn(SVG_OPEN "width='20' height='10'>" SVG_CLOSE, 100);

    (void)state;
    assert_int_equal(p.width, 400);
    assert_int_equal(p.height, 200);
    akin_picture_clear(&p);
}

static void zipped_drawings_are_read(void **state)
{
    const char *svg = SVG_OPEN "width='20' height='10'>" SVG_CLOSE;
    GConverter *zip =
        G_CONVERTER(g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP, 6));
    uint8_t zipped[1024];
    gsize in, out;
    const char *format;
    akin_picture p;

    (void)state;
    assert_int_equal(
        g_converter_convert(zip, svg, strlen(svg), zipped, sizeof zipped,
                            G_CONVERTER_INPUT_AT_END, &in, &out, NULL),
        G_CONVERTER_FINISHED);
    assert_true(akin_picture_sniff((akin_span){zipped, out}, &format));
    assert_string_equal(format, "svg");
    p = decoded((akin_span){zipped, out}, (akin_picture_options){0});
    assert_int_equal(p.width, 1024);
    akin_picture_clear(&p);
    g_object_unref(zip);
}

/* A drawing gets at no file, by picture, style sheet, entity or XInclude: what it
 * asks for is left out, or the drawing refused. */
static void drawings_read_no_files(void **state)
{
    static const char *const inside[] = {
        "<image xlink:href='%s' width='10' height='10'/>",
        "<image href='file://%s' width='10' height='10'/>",
        "<style>@import url('%s');</style>",
        "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='%s'/>",
        "<rect fill='#fff' width='10' height='10' filter='url(%s#f)'/>",
        "<use xlink:href='%s#x'/>",
    };
    char path[1024];
    size_t i;

    (void)state;
    snprintf(path, sizeof path, "%s",
             AKIN_TESTS "/data/pictures/src/png_palette.png");
    for (i = 0; i < sizeof inside / sizeof *inside; i++) {
        char element[1400], *svg;
        akin_picture p = {0};
        akin_error err;
        size_t k;

        g_snprintf(element, sizeof element, inside[i], path);
        svg = akin_format(SVG_OPEN "xmlns:xlink='http://www.w3.org/1999/xlink' "
                                   "width='10' height='10'>%s</svg>",
                          element);
        assert_non_null(svg);
        if (akin_picture_decode(akin_span_of(svg), NULL, &p, &err) == AKIN_OK)
            for (k = 0; k < (size_t)p.width * p.height * 3; k++)
                assert_int_equal(p.pixels[k], 255);
        akin_picture_clear(&p);
        akin_free(svg);
    }
}

/* ---- BMP -------------------------------------------------------------------- */

static void put32(uint8_t *p, uint32_t v)
{
    int i;

    for (i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* A BMP of 3 x 2 pixels: red green blue / white black grey. Returns its size. */
static size_t make_bmp(uint8_t *out, uint32_t bits, uint32_t compression,
                       bool top_first, const uint32_t *palette,
                       uint32_t colours, const uint8_t *pixels, size_t bytes)
{
    uint32_t header = compression == 3 ? 56 : 40, i;
    uint32_t start = 14 + header + 4 * colours;

    memset(out, 0, start);
    memcpy(out, "BM", 2);
    put32(out + 2, start + (uint32_t)bytes);
    put32(out + 10, start);
    put32(out + 14, header);
    put32(out + 18, 3);
    put32(out + 22, top_first ? (uint32_t)-2 : 2);
    out[26] = 1;
    out[28] = (uint8_t)bits;
    put32(out + 30, compression);
    put32(out + 46, colours);
    for (i = 0; i < colours; i++)
        put32(out + 14 + header + 4 * i, palette[i]);
    memcpy(out + start, pixels, bytes);
    return start + bytes;
}

static void check_bmp(const uint8_t *bmp, size_t size, const uint8_t *want)
{
    akin_picture p = decoded((akin_span){bmp, size}, (akin_picture_options){0});

    assert_string_equal(p.format, "bmp");
    assert_int_equal(p.width, 3);
    assert_int_equal(p.height, 2);
    assert_memory_equal(p.pixels, want, 18);
    akin_picture_clear(&p);
}

static void every_kind_of_bmp(void **state)
{
    static const uint8_t want[18] = {255, 0,   0,   0, 255, 0, 0,   0,   255,
                                     255, 255, 255, 0, 0,   0, 132, 132, 132};
    static const uint32_t palette[6] = {0xff0000, 0x00ff00, 0x0000ff,
                                        0xffffff, 0,        0x848484};
    static const uint8_t eight[8] = {0, 1, 2, 0, 3, 4, 5, 0},
                         four[8] = {0x01, 0x20, 0, 0, 0x34, 0x50, 0, 0};
    static const uint16_t five[8] = {0x7c00, 0x03e0, 0x001f, 0,
                                     0x7fff, 0,      0x4210, 0};
    static const uint32_t plain[6] = {0xff0000, 0x00ff00, 0x0000ff,
                                      0xffffff, 0,        0x848484};
    /* masks: R in the low byte, then G, B, A */
    static const uint32_t masked[10] = {
        0xff,       0xff00,     0xff0000,   0xff000000, 0xff0000ff,
        0xff00ff00, 0xffff0000, 0x00123456, 0xff000000, 0xff848484};
    uint8_t bmp[256], fives[18];
    size_t n;

    (void)state;
    n = make_bmp(bmp, 8, 0, true, palette, 6, eight, sizeof eight);
    check_bmp(bmp, n, want);
    n = make_bmp(bmp, 4, 0, true, palette, 6, four, sizeof four);
    check_bmp(bmp, n, want);
    memcpy(fives, want, sizeof fives);
    memset(fives + 15, 16 * 255 / 31, 3); /* as Pillow stretches 5 bits */
    n = make_bmp(bmp, 16, 0, true, NULL, 0, (const uint8_t *)five, sizeof five);
    check_bmp(bmp, n, fives);
    n = make_bmp(bmp, 32, 0, true, NULL, 0, (const uint8_t *)plain,
                 sizeof plain);
    check_bmp(bmp, n, want);
    /* with a 56-byte header the masks lie in it; the fourth pixel is clear */
    n = make_bmp(bmp, 32, 3, true, NULL, 0, (const uint8_t *)(masked + 4), 24);
    memcpy(bmp + 54, masked, 16);
    check_bmp(bmp, n, want);
}

static void bmp_without_sense_is_refused(void **state)
{
    static const uint8_t eight[8] = {0, 1, 2, 0, 3, 4, 5, 0};
    static const uint32_t palette[6] = {0};
    uint8_t good[256], bmp[256];
    size_t n = make_bmp(good, 8, 0, true, palette, 6, eight, sizeof eight), i;
    static const struct {
        size_t at;
        uint32_t value;
        akin_status want;
    } changes[] = {
        {10, 0xffffffff, AKIN_BAD_DATA}, {14, 13, AKIN_BAD_DATA},
        {14, 0xffffffff, AKIN_BAD_DATA}, {18, 0, AKIN_BAD_DATA},
        {18, 0x80000000, AKIN_BAD_DATA}, {18, 0x7fffffff, AKIN_BAD_DATA},
        {22, 0x80000000, AKIN_BAD_DATA}, {22, 3, AKIN_BAD_DATA},
        {28, 7, AKIN_UNSUPPORTED},       {30, 1, AKIN_UNSUPPORTED},
        {30, 3, AKIN_UNSUPPORTED},       {46, 0, AKIN_BAD_DATA},
    };

    (void)state;
    for (i = 0; i < sizeof changes / sizeof *changes; i++) {
        akin_picture p;
        akin_error err = {0};

        memcpy(bmp, good, n);
        put32(bmp + changes[i].at, changes[i].value);
        if (akin_picture_decode((akin_span){bmp, n}, NULL, &p, &err) !=
            changes[i].want)
            fail_msg("change %zu: %s", i, err.message);
        assert_null(p.pixels);
        assert_true(err.message[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_written_format_comes_back),
        cmocka_unit_test(every_subsampling),
        cmocka_unit_test(written_files_cut_short_are_refused),
        cmocka_unit_test(sixteen_bits_keep_the_high_byte),
        cmocka_unit_test(alpha_lies_over_white),
        cmocka_unit_test(profiles_become_srgb),
        cmocka_unit_test(damaged_profile_is_ignored),
        cmocka_unit_test(shrinking_keeps_what_is_asked_for),
        cmocka_unit_test(boxes_at_the_edge_are_narrower),
        cmocka_unit_test(png_is_turned_by_its_exif_chunk),
        cmocka_unit_test(drawings_are_rendered_at_a_sensible_size),
        cmocka_unit_test(drawings_shrink_too),
        cmocka_unit_test(zipped_drawings_are_read),
        cmocka_unit_test(drawings_read_no_files),
        cmocka_unit_test(every_kind_of_bmp),
        cmocka_unit_test(drawings_in_points_are_whole),
        cmocka_unit_test(bmp_without_sense_is_refused),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
