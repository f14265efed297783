/* Files that are broken, lie or want too much: each gives a clear error, in
 * bounded time and memory. Run under ASan for the rest. */
#include "picture_set.h"

#include <gio/gio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t random_state = 20260723;

static uint32_t random_below(uint32_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) +
                   UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % n);
}

/* Decodes what must not decode; the message must say something. */
static void refuse(const char *what, akin_span bytes, akin_status want)
{
    akin_picture p;
    akin_error err = {0};
    akin_status got = akin_picture_decode(bytes, NULL, &p, &err);

    if (got != want)
        fail_msg("%s: expected \"%s\", got \"%s\" (%s)", what,
                 akin_status_text(want), akin_status_text(got), err.message);
    assert_null(p.pixels);
    assert_true(strlen(err.message) > 10);
    assert_null(strchr(err.message, '\n'));
}

static void refuse_text(const char *text, akin_status want)
{
    refuse(text, akin_span_of(text), want);
}

/* May decode or not, but must come back. */
static akin_status survive(akin_span bytes)
{
    akin_picture p;
    akin_picture_options small = {.max_pixels = 4u << 20, .max_ms = 5000};
    akin_status rc = akin_picture_decode(bytes, &small, &p, NULL);

    akin_picture_clear(&p);
    return rc;
}

static void what_is_no_picture(void **state)
{
    static const char *const texts[] = {
        "x",
        "hello, world",
        "%PDF-1.4\n1 0 obj",
        "PK\3\4zip",
        "\177ELF\2\1\1",
        "<html><body>no drawing</body></html>",
        "<svgfoo xmlns='x'/>",
        "id=MagickCache version=1",
        "#?RADIANCE\n",
        "SIMPLE  =                    T",
        "P7\nWIDTH 1\n",
        "P9 1 1",
        "BMW is a car",
        "GIF90a",
        "RIFF1234WAVE",
        "push graphic-context viewbox 0 0 640 480",
    };
    size_t i;

    (void)state;
    refuse("nothing", (akin_span){NULL, 0}, AKIN_BAD_DATA);
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        refuse_text(texts[i], AKIN_UNSUPPORTED);
        assert_false(akin_picture_sniff(akin_span_of(texts[i]), NULL));
    }
}

/* Every prefix of the first bytes, and cuts through the middle, of a file of
 * each format. */
static void truncated_files(void **state)
{
    static const char *const names[] = {"src/jpg_420.jpg",
                                        "src/jpg_progressive.jpg",
                                        "src/jpg_cmyk.jpg",
                                        "src/png_grey.png",
                                        "src/png_interlaced_rgb.png",
                                        "src/webp_lossy.webp",
                                        "src/webp_lossless.webp",
                                        "src/gif.gif",
                                        "src/bmp.bmp",
                                        "src/ppm.ppm"};
    picture_set set;
    size_t i, n;

    (void)state;
    assert_true(picture_set_small(&set));
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        akin_map map = picture_set_map(&set, names[i]);

        for (n = 0; n < map.size * 9 / 10;
             n += n < 64 ? 1 : map.size / 12 + 1) {
            /* a copy of that size: ASan sees a read behind it */
            uint8_t *copy = malloc(n + 1);
            akin_picture p;
            akin_error err = {0};

            memcpy(copy, map.data, n);
            if (akin_picture_decode((akin_span){copy, n}, NULL, &p, &err) ==
                AKIN_OK)
                fail_msg("%s cut to %zu bytes decodes", names[i], n);
            assert_true(err.message[0] != '\0');
            assert_null(p.pixels);
            free(copy);
        }
        akin_map_close(&map);
    }
}

static void put32be(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    uint32_t crc = 0xffffffff;
    int k;

    while (n-- > 0) {
        crc ^= *p++;
        for (k = 0; k < 8; k++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return ~crc;
}

/* A PNG that claims width x height and holds eight bytes of rows. */
static size_t png_claiming(uint8_t *out, uint32_t width, uint32_t height,
                           uint8_t interlace)
{
    static const uint8_t head[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    static const uint8_t zlib[] = {0x78, 0x01, 0x01, 0x00, 0x00, 0xff,
                                   0xff, 0x00, 0x00, 0x00, 0x01};
    uint8_t *p = out;

    memcpy(p, head, 16);
    put32be(p + 16, width);
    put32be(p + 20, height);
    p[24] = 8;
    p[25] = 2;
    p[26] = p[27] = 0;
    p[28] = interlace;
    put32be(p + 29, crc32_of(p + 12, 17));
    p += 33;
    put32be(p, sizeof zlib);
    memcpy(p + 4, "IDAT", 4);
    memcpy(p + 8, zlib, sizeof zlib);
    put32be(p + 8 + sizeof zlib, crc32_of(p + 4, 4 + sizeof zlib));
    p += 12 + sizeof zlib;
    memcpy(p, "\0\0\0\0IEND\xae\x42\x60\x82", 12);
    return (size_t)(p + 12 - out);
}

static void files_that_claim_a_huge_size(void **state)
{
    uint8_t png[128];
    uint8_t gif[] = "GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff"
                    ",\0\0\0\0\xff\xff\xff\xff\0\2\2\x4c\1\0;";
    uint8_t bmp[64] = "BM";

    (void)state;
    refuse("png 100000 x 100000",
           (akin_span){png, png_claiming(png, 100000, 100000, 0)},
           AKIN_TOO_LARGE);
    refuse("png 60000 x 60000",
           (akin_span){png, png_claiming(png, 60000, 60000, 1)},
           AKIN_TOO_LARGE);
    refuse("png 8000 x 8000 without rows",
           (akin_span){png, png_claiming(png, 8000, 8000, 0)}, AKIN_BAD_DATA);
    refuse("png 0 x 5", (akin_span){png, png_claiming(png, 0, 5, 0)},
           AKIN_BAD_DATA);
    refuse("gif 65535 x 65535", (akin_span){gif, sizeof gif - 1},
           AKIN_TOO_LARGE);
    refuse_text("P6\n99999 99999\n255\n", AKIN_TOO_LARGE);
    refuse_text("P5\n4000000000 4000000000\n255\n", AKIN_BAD_DATA);
    refuse_text("P5\n-5 3\n255\n", AKIN_BAD_DATA);
    bmp[10] = 54;
    bmp[14] = 40;
    bmp[20] = 1; /* 65536 wide */
    bmp[24] = 1;
    bmp[26] = 1;
    bmp[28] = 24;
    refuse("bmp", (akin_span){bmp, sizeof bmp}, AKIN_BAD_DATA);
}

static void limits_are_the_callers(void **state)
{
    picture_set set;
    akin_map map;
    akin_span bytes;
    akin_picture p;
    akin_picture_options o = {0};

    (void)state;
    assert_true(picture_set_small(&set));
    map = picture_set_map(&set, "src/jpg_420.jpg"); /* 161 x 121 */
    bytes = (akin_span){map.data, map.size};
    o.max_bytes = map.size - 1;
    assert_int_equal(akin_picture_decode(bytes, &o, &p, NULL), AKIN_TOO_LARGE);
    o.max_bytes = map.size;
    assert_int_equal(akin_picture_decode(bytes, &o, &p, NULL), AKIN_OK);
    akin_picture_clear(&p);
    o.max_side = 160;
    assert_int_equal(akin_picture_decode(bytes, &o, &p, NULL), AKIN_TOO_LARGE);
    o.max_side = 161;
    o.max_pixels = 161 * 121 - 1;
    assert_int_equal(akin_picture_decode(bytes, &o, &p, NULL), AKIN_TOO_LARGE);
    o.max_pixels++;
    assert_int_equal(akin_picture_decode(bytes, &o, &p, NULL), AKIN_OK);
    akin_picture_clear(&p);
    akin_map_close(&map);
}

/* A progressive JPEG whose last scan is repeated a thousand times. */
static void jpeg_of_endless_scans(void **state)
{
    picture_set set;
    akin_map map;
    akin_buf bomb = {0};
    size_t last, i;

    (void)state;
    assert_true(picture_set_small(&set));
    map = picture_set_map(&set, "src/jpg_progressive.jpg");
    for (last = map.size - 2; last > 0; last--)
        if (map.data[last] == 0xff && map.data[last + 1] == 0xda) break;
    assert_true(last > 0);
    akin_buf_append(&bomb, map.data, last);
    for (i = 0; i < 1000; i++)
        akin_buf_append(&bomb, map.data + last, map.size - 2 - last);
    akin_buf_append(&bomb, "\xff\xd9", 2);
    refuse("scans", (akin_span){bomb.data, bomb.size}, AKIN_TOO_LARGE);
    akin_buf_clear(&bomb);
    akin_map_close(&map);
}

#define SVG "<svg xmlns='http://www.w3.org/2000/svg' "

static void drawings_without_sense(void **state)
{
    static const char *const broken[] = {
        SVG,
        SVG "width='10' height='10'>",
        SVG "width='10' height='10'><rect></svg>",
        SVG "width='0' height='0'/>",
        SVG "viewBox='0 0 0 0'/>",
        SVG "width='100000000' height='10'/>",
        SVG "width='1e30' height='1e30'><rect width='9' height='9'/></svg>",
        "<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'aaaaaaaaaa'>"
        "<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
        "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>"
        "<!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
        "<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'>"
        "<!ENTITY f '&e;&e;&e;&e;&e;&e;&e;&e;&e;&e;'>"
        "<!ENTITY g '&f;&f;&f;&f;&f;&f;&f;&f;&f;&f;'>"
        "<!ENTITY h '&g;&g;&g;&g;&g;&g;&g;&g;&g;&g;'>]>" SVG
        "width='9' height='9'><text>&h;</text></svg>",
    };
    static const char *const odd[] = {
        SVG "width='-5' height='5'/>",
        SVG "width='nan' height='inf'/>",
        SVG "viewBox='0 0 1e300 1e-300'/>",
        SVG "viewBox='1e9 1e9 1e9 1e9'/>",
        SVG "width='10' height='10'><filter id='f' width='1e9' height='1e9'>"
            "<feGaussianBlur stdDeviation='1e6'/></filter>"
            "<rect width='9' height='9' filter='url(#f)'/></svg>",
        SVG "width='10' height='10'><use href='#u'/><g id='u'>"
            "<use href='#u'/></g></svg>",
        SVG "width='10' height='10'><pattern id='p' width='1e-7' "
            "height='1e-7' patternUnits='userSpaceOnUse'>"
            "<rect width='1' height='1'/></pattern>"
            "<rect width='10' height='10' fill='url(#p)'/></svg>",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof broken / sizeof *broken; i++)
        refuse_text(broken[i], AKIN_BAD_DATA);
    for (i = 0; i < sizeof odd / sizeof *odd; i++)
        survive(akin_span_of(odd[i]));
}

/* Ten levels of ten <use> each: 10^10 rectangles. */
static void drawing_that_multiplies(void **state)
{
    akin_picture_options o = {.max_ms = 1000};
    akin_buf svg = {0};
    akin_picture p;
    akin_status rc;
    int level, i;

    (void)state;
    akin_buf_text(&svg, SVG "width='10' height='10'><defs>"
                            "<rect id='l0' width='1' height='1'/>");
    for (level = 1; level <= 10; level++) {
        akin_buf_printf(&svg, "<g id='l%d'>", level);
        for (i = 0; i < 10; i++)
            akin_buf_printf(&svg, "<use href='#l%d'/>", level - 1);
        akin_buf_text(&svg, "</g>");
    }
    akin_buf_text(&svg, "</defs><use href='#l10'/></svg>");
    rc = akin_picture_decode((akin_span){svg.data, svg.size}, &o, &p, NULL);
    assert_true(rc == AKIN_BAD_DATA || rc == AKIN_TIMEOUT);
    akin_buf_clear(&svg);
}

/* Other processes that run this program: the helper and its children. latest
 * (may be NULL): the one with the highest number. */
static int count_relatives_and(pid_t *latest)
{
    char own[1024] = {0}, link[64], exe[1024];
    GDir *dir = g_dir_open("/proc", 0, NULL);
    const char *name;
    int n = 0;

    if (latest != NULL) *latest = 0;

    if (readlink("/proc/self/exe", own, sizeof own - 1) < 0) return -1;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        ssize_t length;

        g_snprintf(link, sizeof link, "/proc/%s/exe", name);
        length = readlink(link, exe, sizeof exe - 1);
        if (length <= 0 || strtol(name, NULL, 10) == (long)getpid()) continue;
        exe[length] = '\0';
        if (strtol(name, NULL, 10) <= 0 || strcmp(exe, own) != 0) continue;
        if (latest != NULL && strtol(name, NULL, 10) > *latest)
            *latest = (pid_t)strtol(name, NULL, 10);
        n++;
    }
    if (dir != NULL) g_dir_close(dir);
    return n;
}

static int count_relatives(void)
{
    return count_relatives_and(NULL);
}

/* A child renders many drawings: each gets its own pixels, a bad one between
 * them harms none, nor does the death of the child that waits. */
static void drawings_in_one_child(void **state)
{
    pid_t latest;
    int i;

    (void)state;
    for (i = 0; i < 250; i++) {
        akin_buf svg = {0};
        akin_picture p;

        if (i % 9 == 8)
            refuse_text(SVG "width='10' height='10'><rect></svg>",
                        AKIN_BAD_DATA);
        if (i == 100 && count_relatives_and(&latest) > 1) kill(latest, SIGKILL);
        akin_buf_printf(&svg,
                        SVG "width='%d' height='9'><rect width='99' "
                            "height='99' fill='rgb(%d,7,9)'/></svg>",
                        i % 5 + 9, i);
        assert_int_equal(akin_picture_decode((akin_span){svg.data, svg.size},
                                             NULL, &p, NULL),
                         AKIN_OK);
        assert_int_equal(p.pixels[0], i);
        assert_int_equal(p.pixels[1], 7);
        akin_picture_clear(&p);
        akin_buf_clear(&svg);
    }
}

/* Noise of a million octaves: hours of work inside librsvg. Then the next drawing
 * is rendered as if nothing had been. */
static void drawing_that_never_ends(void **state)
{
    akin_picture_options o = {.max_ms = 300};
    akin_picture p;
    akin_error err;
    int patience;

    (void)state;
    assert_int_equal(
        akin_picture_decode(
            akin_span_of(SVG "width='10' height='10'><filter id='f'>"
                             "<feTurbulence numOctaves='1000000' "
                             "baseFrequency='0.9'/></filter><rect width='9' "
                             "height='9' filter='url(#f)'/></svg>"),
            &o, &p, &err),
        AKIN_TIMEOUT);
    assert_null(p.pixels);
    for (patience = 0; count_relatives() > 1 && patience < 1000; patience++)
        g_usleep(10000);
    assert_true(count_relatives() <= 1); /* the child is gone, the helper not */
    o.max_ms = 0;
    assert_int_equal(
        akin_picture_decode(akin_span_of(SVG "width='10' height='10'/>"), &o,
                            &p, &err),
        AKIN_OK);
    akin_picture_clear(&p);
}

/* A thousand bytes of gzip a megabyte of drawing. */
static void zipped_bomb(void **state)
{
    static const char head[] = SVG "width='10' height='10'><!--";
    GConverter *zip =
        G_CONVERTER(g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_GZIP, 6));
    static char blank[1 << 20];
    akin_buf bomb = {0};
    uint8_t block[65536];
    size_t piece = 0;

    (void)state;
    memset(blank, ' ', sizeof blank);
    for (piece = 0; piece <= 80; piece++) {
        const char *from = piece == 0 ? head : blank;
        size_t left = piece == 0 ? sizeof head - 1 : sizeof blank;

        while (left > 0) {
            gsize in = 0, out = 0;
            GError *error = NULL;
            GConverterResult r = g_converter_convert(
                zip, from, left, block, sizeof block,
                piece == 80 ? G_CONVERTER_INPUT_AT_END : G_CONVERTER_NO_FLAGS,
                &in, &out, &error);

            akin_buf_append(&bomb, block, out);
            from += in;
            left -= in;
            if (r == G_CONVERTER_ERROR) { /* it wants more input than this */
                assert_true(left == 0);
                g_clear_error(&error);
            }
        }
    }
    assert_true(bomb.size < 1u << 20);
    refuse("zipped", (akin_span){bomb.data, bomb.size}, AKIN_TOO_LARGE);
    refuse("cut", (akin_span){bomb.data, bomb.size / 2}, AKIN_BAD_DATA);
    akin_buf_clear(&bomb);
    g_object_unref(zip);
}

/* 8000 x 8000 pixels take far longer than the millisecond they are given. */
static void slow_file_is_given_up(void **state)
{
    akin_buf ppm = {0};
    static uint8_t row[8000];
    akin_picture p;
    akin_picture_options o = {.max_ms = 1};
    int y;

    (void)state;
    akin_buf_text(&ppm, "P5\n8000 8000\n255\n");
    for (y = 0; y < 8000; y++)
        akin_buf_append(&ppm, row, sizeof row);
    assert_false(ppm.failed);
    assert_int_equal(
        akin_picture_decode((akin_span){ppm.data, ppm.size}, &o, &p, NULL),
        AKIN_TIMEOUT);
    assert_null(p.pixels);
    akin_buf_clear(&ppm);
}

/* Random damage to small files of every format: 150 of each. */
static void damaged_files(void **state)
{
    static const char *const names[] = {
        "src/jpg_q10.jpg",      "src/jpg_restart.jpg",
        "src/exif_6.jpg",       "src/png_grey2.png",
        "src/png_bilevel.png",  "src/png_interlaced_palette4.png",
        "src/webp_lossy.webp",  "src/webp_alpha.webp",
        "src/gif_animated.gif", "src/bmp.bmp",
        "src/ppm.ppm",          "src/jpg_progressive.jpg"};
    picture_set set;
    size_t i;
    int round;

    (void)state;
    assert_true(picture_set_small(&set));
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        akin_map map = picture_set_map(&set, names[i]);

        for (round = 0; round < 150; round++) {
            size_t n =
                map.size -
                (round % 3 == 0 ? random_below((uint32_t)map.size / 2) : 0);
            uint8_t *copy = malloc(n);
            uint32_t hits = 1 + random_below(8);

            memcpy(copy, map.data, n);
            while (hits-- > 0) /* mostly in the headers */
                copy[random_below(hits % 2 ? (uint32_t)n
                                           : (uint32_t)(n < 200 ? n : 200))] =
                    (uint8_t)random_below(256);
            survive((akin_span){copy, n});
            free(copy);
        }
        akin_map_close(&map);
    }
}

/* What fails in one thread neither stops nor changes another's picture. */
typedef struct {
    akin_span good;
    uint8_t digest[AKIN_SHA256_BYTES];
    int wrong[64];
} many;

static void one_of_many(void *arg, size_t i)
{
    many *m = arg;
    akin_picture p;
    akin_error err = {0};
    uint8_t digest[AKIN_SHA256_BYTES];

    if (i % 2 == 1) {
        m->wrong[i] = akin_picture_decode((akin_span){m->good.data, 900}, NULL,
                                          &p, &err) != AKIN_BAD_DATA;
        return;
    }
    m->wrong[i] = akin_picture_decode(m->good, NULL, &p, &err) != AKIN_OK;
    if (m->wrong[i]) return;
    if (akin_sha256_of((akin_span){p.pixels, (size_t)p.width * p.height * 3},
                       digest, NULL))
        m->wrong[i] = 1;
    m->wrong[i] |= memcmp(digest, m->digest, sizeof digest) != 0;
    akin_picture_clear(&p);
}

static void threads_do_not_mix(void **state)
{
    picture_set set;
    akin_map map;
    akin_pool *pool = NULL;
    akin_picture p;
    static many m;
    size_t i;

    (void)state;
    assert_true(picture_set_small(&set));
    map = picture_set_map(&set, "src/jpg_444.jpg");
    m.good = (akin_span){map.data, map.size};
    assert_int_equal(akin_picture_decode(m.good, NULL, &p, NULL), AKIN_OK);
    assert_int_equal(
        akin_sha256_of((akin_span){p.pixels, (size_t)p.width * p.height * 3},
                       m.digest, NULL),
        AKIN_OK);
    akin_picture_clear(&p);
    assert_int_equal(akin_pool_open(4, 0, "pictures", &pool, NULL), AKIN_OK);
    akin_pool_each(pool, 64, one_of_many, &m);
    for (i = 0; i < 64; i++)
        assert_int_equal(m.wrong[i], 0);
    akin_pool_close(pool);
    akin_map_close(&map);
}

/* Each of our own allocations fails once. */
static void lack_of_memory_is_an_error(void **state)
{
    static const char *const names[] = {"src/jpg_q10.jpg", "src/bmp.bmp"};
    akin_picture_options o = {.shrink_to = 1};
    picture_set set;
    uint64_t nth, made;
    size_t i;

    (void)state;
    assert_true(picture_set_small(&set));
    for (i = 0; i < 2; i++) {
        akin_map map = picture_set_map(&set, names[i]);
        akin_span bytes = {map.data, map.size};
        akin_picture p;

        akin_alloc_fail_at(0);
        assert_int_equal(akin_picture_decode(bytes, &o, &p, NULL), AKIN_OK);
        akin_picture_clear(&p);
        made = akin_alloc_fail_at(0);
        assert_true(made > 0);
        for (nth = 1; nth <= made; nth++) {
            akin_alloc_fail_at(nth);
            assert_int_equal(akin_picture_decode(bytes, &o, &p, NULL),
                             AKIN_NOMEM);
            assert_null(p.pixels);
        }
        akin_alloc_fail_at(0);
        akin_map_close(&map);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_picture),
        cmocka_unit_test(truncated_files),
        cmocka_unit_test(files_that_claim_a_huge_size),
        cmocka_unit_test(limits_are_the_callers),
        cmocka_unit_test(jpeg_of_endless_scans),
        cmocka_unit_test(drawings_without_sense),
        cmocka_unit_test(drawing_that_multiplies),
        cmocka_unit_test(drawings_in_one_child),
        cmocka_unit_test(drawing_that_never_ends),
        cmocka_unit_test(zipped_bomb),
        cmocka_unit_test(slow_file_is_given_up),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(threads_do_not_mix),
        cmocka_unit_test(lack_of_memory_is_an_error),
    };

    print_message("seed %llu\n", (unsigned long long)random_state);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
