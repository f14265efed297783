/* File to pixels: how fast one thread decodes JPEG files and makes them ready
 * for an encoder, stage by stage, whole and with shrink-on-load.
 *
 *     bench_pictures [seconds a row] [file ...]
 *     bench_pictures make DIR WIDTH HEIGHT N PHOTOGRAPHS_DIR
 *
 * make writes N different JPEGs of that size for bench_pipeline.
 *
 * Without files it makes a 2- and a 12-megapixel JPEG (quality 88, 4:2:0) out of
 * the photographs in tests/data, laid out side by side: as much detail a pixel
 * as a camera's. Rows: picture, shrink_to, factor, ms for decoding, ms for
 * scaling to 224 (of processor time), pictures/s of one core, and the largest and mean difference of
 * the 224 x 224 pixels to those of the whole decode. */
#include "akin_embed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vips/vips.h>

#define SIDE        224u
#define PHOTO(name) AKIN_SOURCE "/tests/data/pictures/photos/" name ".jpg"

static const akin_picture_transform transform = {AKIN_RESIZE_SHORTEST, SIDE,
                                                 SIDE};

static void die(const char *what, const akin_error *err)
{
    fprintf(stderr, "%s: %s\n", what, err->message);
    exit(1);
}

/* n photographs side by side until width x height is full. */
static akin_buf join_photographs(char *const *paths, int n, int columns,
                                 int width, int height)
{
    VipsImage **tiles = calloc((size_t)n, sizeof *tiles);
    VipsImage *joined, *copies, *cut;
    akin_buf out = {0};
    void *data = NULL;
    size_t size = 0;
    int i;

    if (tiles == NULL) exit(1);
    for (i = 0; i < n; i++) {
        tiles[i] = vips_image_new_from_file(paths[i], NULL);
        if (tiles[i] == NULL) exit(1);
    }
    if (vips_arrayjoin(tiles, &joined, n, "across", columns, NULL) ||
        vips_replicate(joined, &copies, width / joined->Xsize + 1,
                       height / joined->Ysize + 1, NULL) ||
        vips_crop(copies, &cut, 0, 0, width, height, NULL) ||
        vips_jpegsave_buffer(cut, &data, &size, "Q", 88, NULL))
        exit(1);
    akin_buf_append(&out, data, size);
    g_free(data);
    g_object_unref(cut);
    g_object_unref(copies);
    g_object_unref(joined);
    for (i = 0; i < n; i++)
        g_object_unref(tiles[i]);
    free(tiles);
    return out;
}

static akin_buf make_jpeg(int width, int height)
{
    static char *const paths[] = {PHOTO("tshirt-1"), PHOTO("shoes-1"),
                                  PHOTO("hat-1"),    PHOTO("tshirt-2"),
                                  PHOTO("shoes-2"),  PHOTO("hat-2")};

    return join_photographs(paths, 6, 3, width, height);
}

/* The i-th file is made of the 24 photographs from 7 i on. */
static int make(char **argv)
{
    int width = (int)strtol(argv[1], NULL, 10),
        height = (int)strtol(argv[2], NULL, 10),
        n = (int)strtol(argv[3], NULL, 10);
    GDir *dir = g_dir_open(argv[4], 0, NULL);
    GPtrArray *names = g_ptr_array_new();
    char *tiles[24], path[4096];
    const char *name;
    int i, t;

    if (dir == NULL) return 1;
    while ((name = g_dir_read_name(dir)) != NULL)
        if (g_str_has_suffix(name, ".jpg"))
            g_ptr_array_add(names, g_build_filename(argv[4], name, NULL));
    g_dir_close(dir);
    if (names->len == 0) return 1;
    for (i = 0; i < n; i++) {
        akin_buf file;
        akin_error err;

        for (t = 0; t < 24; t++)
            tiles[t] =
                names->pdata[(7u * (unsigned)i + (unsigned)t) % names->len];
        file = join_photographs(tiles, 24, 6, width, height);
        snprintf(path, sizeof path, "%s/%05d.jpg", argv[0], i);
        if (akin_file_replace(path, (akin_span){file.data, file.size}, &err))
            die(path, &err);
        akin_buf_clear(&file);
    }
    return 0;
}

/* Of this thread: other work on the machine does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void row(const char *name, akin_span bytes, uint32_t shrink_to,
                double seconds, uint8_t *whole)
{
    static uint8_t out[SIDE * SIDE * 3];
    akin_picture_options options = {.shrink_to = shrink_to};
    uint64_t start = cpu_ns(), decode = 0, scale = 0, t;
    uint32_t factor = 0, width = 0, height = 0;
    int n = 0, most = 0;
    double sum = 0;
    size_t i;

    do {
        akin_picture p;
        akin_error err;

        t = cpu_ns();
        if (akin_picture_decode(bytes, &options, &p, &err)) die(name, &err);
        decode += cpu_ns() - t;
        t = cpu_ns();
        if (akin_picture_prepare(&p, &transform, out, &err)) die(name, &err);
        scale += cpu_ns() - t;
        factor = p.shrink;
        width = p.file_width;
        height = p.file_height;
        akin_picture_clear(&p);
        n++;
    } while ((double)(cpu_ns() - start) < seconds * 1e9);
    if (shrink_to == 0) memcpy(whole, out, sizeof out);
    for (i = 0; i < sizeof out; i++) {
        int d = abs(out[i] - whole[i]);

        sum += d;
        most = d > most ? d : most;
    }
    printf("%-24s %5ux%-5u %9u %6u %9.2f %9.2f %9.1f %6d %6.2f\n", name, width,
           height, shrink_to, factor, (double)decode / n / 1e6,
           (double)scale / n / 1e6, n / ((double)(decode + scale) / 1e9), most,
           sum / sizeof out);
}

static void rows(const char *name, akin_span bytes, double seconds)
{
    static uint8_t whole[SIDE * SIDE * 3];

    row(name, bytes, 0, seconds, whole);
    row(name, bytes, SIDE, seconds, whole);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2.0;
    int i;

    if (VIPS_INIT(argv[0])) return 1;
    if (argc == 7 && strcmp(argv[1], "make") == 0) return make(argv + 2);
    printf("%-24s %-11s %9s %6s %9s %9s %9s %6s %6s\n", "picture", "pixels",
           "shrink_to", "factor", "decode ms", "scale ms", "pict/s", "max",
           "mean");
    for (i = 2; i < argc; i++) {
        akin_map map;
        akin_error err;

        if (akin_map_open(&map, argv[i], &err)) die(argv[i], &err);
        rows(argv[i], (akin_span){map.data, map.size}, seconds);
        akin_map_close(&map);
    }
    if (argc <= 2) {
        akin_buf two = make_jpeg(1632, 1224), twelve = make_jpeg(4000, 3000);

        rows("2 megapixels", (akin_span){two.data, two.size}, seconds);
        rows("12 megapixels", (akin_span){twelve.data, twelve.size}, seconds);
        printf("file sizes: %zu and %zu bytes\n", two.size, twelve.size);
        akin_buf_clear(&two);
        akin_buf_clear(&twelve);
    }
    return 0;
}
