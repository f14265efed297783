/* Each kind of change is a row of a table: what is done, how strongly, and the
 * file it ends in. Picture number i gets the kinds i * each .. i * each + each
 * - 1, counted round: every kind comes equally often and beside ever others, so
 * that no kind is found through another one only. */
#include "labelled_library.h"

#include "picture_changes.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define SIDE 512 /* of a drawing */

typedef enum {
    DO_COPY,
    DO_SCALE,     /* by `strength` */
    DO_LONGER,    /* longer side in pixels */
    DO_CROP,      /* share off each of four sides */
    DO_CROP_SIDE, /* share off the left and the upper side */
    DO_WHITE,     /* frame, share of the shorter side */
    DO_BLACK,
    DO_MARK,   /* letters over it, this opaque */
    DO_BRIGHT, /* times */
    DO_GAMMA,
    DO_CONTRAST, /* around 128 */
    DO_GREY,
    DO_WARM,
    DO_BLUR,   /* 5 x 5 mean */
    DO_TURN,   /* as EXIF orientation `strength` asks */
    DO_ORIENT, /* stored so that this EXIF orientation sets it upright */
    DO_FILE    /* only the file is another */
} action;

typedef struct {
    const char *name;
    action action;
    double strength;
    const char *suffix; /* NULL: ".jpg[Q=88]" */
} kind;

static const kind kinds[] = {
    {"copy", DO_COPY, 0, NULL},
    {"jpeg-90", DO_FILE, 0, ".jpg[Q=90]"},
    {"jpeg-75", DO_FILE, 0, ".jpg[Q=75]"},
    {"jpeg-50", DO_FILE, 0, ".jpg[Q=50]"},
    {"jpeg-30", DO_FILE, 0, ".jpg[Q=30]"},
    {"jpeg-15", DO_FILE, 0, ".jpg[Q=15]"},
    {"png", DO_FILE, 0, ".png"},
    {"webp-75", DO_FILE, 0, ".webp[Q=75]"},
    {"gif", DO_FILE, 0, ".gif"},
    {"tiff", DO_FILE, 0, ".tif"},
    {"avif-50", DO_FILE, 0, ".avif[Q=50,effort=2]"},
    {"scale-150", DO_SCALE, 1.5, NULL},
    {"scale-75", DO_SCALE, 0.75, NULL},
    {"scale-50", DO_SCALE, 0.5, NULL},
    {"longer-128", DO_LONGER, 128, NULL},
    {"crop-2", DO_CROP, 0.02, NULL},
    {"crop-5", DO_CROP, 0.05, NULL},
    {"crop-side-3", DO_CROP_SIDE, 0.03, NULL},
    {"crop-side-8", DO_CROP_SIDE, 0.08, NULL},
    {"white-3", DO_WHITE, 0.03, NULL},
    {"white-10", DO_WHITE, 0.10, NULL},
    {"black-5", DO_BLACK, 0.05, NULL},
    {"black-15", DO_BLACK, 0.15, NULL},
    {"mark-30", DO_MARK, 0.3, NULL},
    {"mark-60", DO_MARK, 0.6, NULL},
    {"bright-80", DO_BRIGHT, 0.8, NULL},
    {"bright-130", DO_BRIGHT, 1.3, NULL},
    {"gamma-140", DO_GAMMA, 1.4, NULL},
    {"contrast-70", DO_CONTRAST, 0.7, NULL},
    {"grey", DO_GREY, 0, NULL},
    {"warm", DO_WARM, 0, NULL},
    {"blur", DO_BLUR, 0, NULL},
    {"mirror", DO_TURN, 2, NULL},
    {"flip", DO_TURN, 4, NULL},
    {"turn-90", DO_TURN, 6, NULL},
    {"turn-180", DO_TURN, 3, NULL},
    {"turn-270", DO_TURN, 8, NULL},
    {"exif-3", DO_ORIENT, 3, NULL},
    {"exif-6", DO_ORIENT, 6, NULL},
    {"exif-8", DO_ORIENT, 8, NULL},
};

size_t labelled_changes(void)
{
    return sizeof kinds / sizeof *kinds;
}

const char *labelled_change_name(size_t change)
{
    return kinds[change].name;
}

/* ---- changing a picture ----------------------------------------------------- */

/* Turned as EXIF orientation asks. */
static akin_picture turned(const akin_picture *in, int orientation)
{
    uint32_t w = in->width, h = in->height, x, y;
    bool swap = orientation >= 5;
    akin_picture out = picture_blank(swap ? h : w, swap ? w : h, 0);

    for (y = 0; y < out.height; y++)
        for (x = 0; x < out.width; x++) {
            uint32_t sx = x, sy = y;
            switch (orientation) {
            case 2: sx = w - 1 - x; break;
            case 3: sx = w - 1 - x, sy = h - 1 - y; break;
            case 4: sy = h - 1 - y; break;
            case 5: sx = y, sy = x; break;
            case 6: sx = y, sy = h - 1 - x; break;
            case 7: sx = w - 1 - y, sy = h - 1 - x; break;
            case 8: sx = w - 1 - y, sy = x; break;
            default: break;
            }
            memcpy(picture_at(&out, x, y), picture_at(in, sx, sy), 3);
        }
    return out;
}

static akin_picture bright(const akin_picture *in, double times)
{
    akin_picture out = picture_blank(in->width, in->height, 0);
    size_t i, n = (size_t)in->width * in->height * 3;

    for (i = 0; i < n; i++)
        out.pixels[i] = picture_byte(in->pixels[i] * times);
    return out;
}

static akin_picture changed(const akin_picture *in, const kind *k)
{
    uint32_t w = in->width, h = in->height;
    uint32_t x = (uint32_t)(k->strength * w), y = (uint32_t)(k->strength * h);
    int undone = k->strength == 6 ? 8 : k->strength == 8 ? 6 : (int)k->strength;

    switch (k->action) {
    case DO_SCALE: return picture_scaled(in, k->strength);
    case DO_LONGER: return picture_scaled(in, k->strength / (w > h ? w : h));
    case DO_CROP: return picture_cropped(in, x, y, x, y);
    case DO_CROP_SIDE: return picture_cropped(in, x, y, 0, 0);
    case DO_WHITE: return picture_bordered(in, k->strength, 255);
    case DO_BLACK: return picture_bordered(in, k->strength, 0);
    case DO_MARK: return picture_marked(in, k->strength);
    case DO_BRIGHT: return bright(in, k->strength);
    case DO_GAMMA: return picture_toned(in, CHANGE_GAMMA);
    case DO_CONTRAST: return picture_toned(in, CHANGE_CONTRAST);
    case DO_GREY: return picture_toned(in, CHANGE_GREY);
    case DO_WARM: return picture_toned(in, CHANGE_WARM);
    case DO_BLUR: return picture_blurred(in);
    case DO_TURN: return turned(in, (int)k->strength);
    case DO_ORIENT: return turned(in, undone);
    default: return turned(in, 1);
    }
}

/* ---- files ------------------------------------------------------------------ */

static bool complain(const char *path, const char *what)
{
    fprintf(stderr, "%s: %s\n", path, what);
    return false;
}

static bool make_folder(const char *out, const char *name)
{
    char path[1024];
    akin_error err;

    snprintf(path, sizeof path, "%s/%s", out, name);
    return akin_dir_make(path, &err) == AKIN_OK || complain(path, err.message);
}

static bool write_bytes(const char *path, akin_span bytes)
{
    FILE *f = fopen(path, "wb");
    bool ok = f && fwrite(bytes.data, 1, bytes.size, f) == bytes.size;

    if (f && fclose(f)) ok = false;
    return ok || complain(path, strerror(errno));
}

/* suffix: a file's ending and libvips's options in brackets. */
static bool write_picture(const akin_picture *p, int orientation,
                          const char *path, const char *suffix)
{
    char target[1500];
    VipsImage *image = vips_image_new_from_memory(
        p->pixels, (size_t)p->width * p->height * 3, (int)p->width,
        (int)p->height, 3, VIPS_FORMAT_UCHAR);
    bool ok;

    image->Type = VIPS_INTERPRETATION_sRGB;
    if (orientation > 1)
        vips_image_set_int(image, VIPS_META_ORIENTATION, orientation);
    snprintf(target, sizeof target, "%s%s", path, suffix);
    ok = !vips_image_write_to_file(image, target, NULL);
    g_object_unref(image);
    if (!ok) complain(target, vips_error_buffer());
    vips_error_clear();
    return ok;
}

static bool write_change(const akin_picture *picture, const kind *k,
                         akin_span bytes, const char *out, const char *name)
{
    char path[1400];
    bool ok;

    if (!make_folder(out, k->name)) return false;
    snprintf(path, sizeof path, "%s/%s/%s", out, k->name, name);
    if (k->action == DO_COPY) return write_bytes(path, bytes);
    akin_picture copy = changed(picture, k);
    ok = write_picture(&copy, k->action == DO_ORIENT ? (int)k->strength : 1,
                       path, k->suffix ? k->suffix : ".jpg[Q=88]");
    akin_picture_clear(&copy);
    return ok;
}

/* ---- the pictures of a source ------------------------------------------------- */

typedef struct {
    char **paths; /* below the source */
    size_t n, capacity;
} listing;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_picture(const char *name)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png", ".webp",
                                          ".svg"};
    const char *dot = strrchr(name, '.');
    size_t i;

    for (i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (!strcmp(dot, endings[i])) return true;
    return false;
}

static bool list_pictures(listing *l, const char *source, const char *below)
{
    char path[1200];
    struct dirent *entry;
    struct stat st;
    bool ok = true;

    snprintf(path, sizeof path, "%s%s", source, below);
    DIR *dir = opendir(path);
    if (!dir) return complain(path, strerror(errno));
    while (ok && (entry = readdir(dir))) {
        char next[1000], full[2300];
        akin_error err;
        if (entry->d_name[0] == '.') continue;
        snprintf(next, sizeof next, "%s/%s", below, entry->d_name);
        snprintf(full, sizeof full, "%s%s", source, next);
        if (lstat(full, &st)) continue;
        if (S_ISDIR(st.st_mode)) ok = list_pictures(l, source, next);
        if (!S_ISREG(st.st_mode) || !is_picture(next)) continue;
        if (akin_grow(&l->paths, &l->capacity, l->n + 1, sizeof *l->paths,
                      &err))
            ok = complain(full, err.message);
        else
            l->paths[l->n++] = akin_strndup(next, strlen(next));
    }
    closedir(dir);
    if (!*below && l->n) qsort(l->paths, l->n, sizeof *l->paths, by_name);
    return ok;
}

/* ---- the library -------------------------------------------------------------- */

typedef struct {
    const char *out;
    size_t each, next; /* kind */
    uint8_t (*seen)[AKIN_SHA256_BYTES];
    size_t nseen, capacity, left_out;
} making;

/* Whether the picture is to be taken; remembers it. */
static bool is_new(making *m, const akin_picture *picture)
{
    akin_picture_hashes hashes;
    size_t i;

    if (akin_picture_hash(picture, &hashes, NULL)) return false;
    if (hashes.detail < AKIN_PICTURE_MIN_DETAIL) return false;
    for (i = 0; i < m->nseen; i++)
        if (!memcmp(m->seen[i], hashes.pixels, AKIN_SHA256_BYTES)) return false;
    if (akin_grow(&m->seen, &m->capacity, m->nseen + 1, sizeof *m->seen, NULL))
        return false;
    memcpy(m->seen[m->nseen++], hashes.pixels, AKIN_SHA256_BYTES);
    return true;
}

static bool write_changes(making *m, const akin_picture *picture,
                          akin_span bytes, const char *name)
{
    size_t i;

    for (i = 0; i < m->each; i++, m->next++)
        if (!write_change(picture, &kinds[m->next % labelled_changes()], bytes,
                          m->out, name))
            return false;
    return true;
}

/* The original's file at `path`; a drawing is rendered. */
static bool write_original(const akin_picture *picture, akin_span bytes,
                           const char *path)
{
    if (strcmp(picture->format, "svg") != 0) return write_bytes(path, bytes);
    return write_picture(picture, 1, path, "");
}

static bool make_one(making *m, const char *source, const char *below,
                     bool change, bool *taken)
{
    char path[2300], name[1200];
    akin_picture picture = {0};
    uint8_t *data = NULL;
    size_t size, i;
    bool ok = true;

    snprintf(path, sizeof path, "%s%s", source, below);
    if (akin_file_read(path, 64u << 20, &data, &size, NULL)) return true;
    akin_span bytes = {data, size};
    *taken = !akin_picture_decode(bytes, NULL, &picture, NULL);
    bool drawing = *taken && !strcmp(picture.format, "svg");
    if (drawing) {
        uint32_t w = picture.width, h = picture.height;
        akin_picture small =
            picture_scaled(&picture, (double)SIDE / (w > h ? w : h));
        memcpy(small.format, picture.format, sizeof small.format);
        akin_picture_clear(&picture);
        picture = small;
    }
    *taken = *taken && picture.width >= 32 && picture.height >= 32 &&
             is_new(m, &picture);
    const char *folder = strrchr(source, '/');
    snprintf(name, sizeof name, "%s%s%s", folder ? folder + 1 : source, below,
             drawing ? ".png" : "");
    for (i = 0; name[i]; i++)
        if (name[i] == '/') name[i] = '+';
    if (*taken) {
        snprintf(path, sizeof path, "%s/original/%s", m->out, name);
        ok = write_original(&picture, bytes, path);
        if (ok && change && drawing) { /* copies are of the rendered file */
            akin_free(data);
            data = NULL;
            if (akin_file_read(path, 64u << 20, &data, &size, NULL)) ok = false;
            bytes = (akin_span){data, size};
        }
        if (ok && change) ok = write_changes(m, &picture, bytes, name);
    }
    akin_picture_clear(&picture);
    akin_free(data);
    return ok;
}

/* Takes every (n / most)-th picture, and copies of every (n / changed)-th; a
 * picture that is left out passes its copies on to the next one. */
static bool make_from(making *m, const labelled_source *source)
{
    listing l = {0};
    bool ok = list_pictures(&l, source->source, ""), owed = false;
    size_t n = source->most && source->most < l.n ? source->most : l.n, i;

    for (i = 0; i < n && ok; i++) {
        bool taken = false;
        owed |= (i + 1) * source->changed / n > i * source->changed / n;
        ok = make_one(m, source->source, l.paths[i * l.n / n], owed, &taken);
        if (taken) owed = false;
        m->left_out += !taken;
    }
    for (i = 0; i < l.n; i++)
        akin_free(l.paths[i]);
    akin_free(l.paths);
    return ok;
}

bool labelled_library_make(const labelled_source *sources, size_t n,
                           size_t each, const char *out)
{
    making m = {.out = out, .each = each};
    bool ok = make_folder(out, "original");

    for (size_t i = 0; i < n && ok; i++)
        ok = make_from(&m, &sources[i]);
    fprintf(stderr,
            "%zu originals, %zu copies; %zu left out: unreadable, blank or "
            "the pixels of another\n",
            m.nseen, m.next, m.left_out);
    akin_free(m.seen);
    return ok;
}
