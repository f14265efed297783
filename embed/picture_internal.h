/* What embed/picture*.c share. */
#ifndef AKIN_PICTURE_INTERNAL_H
#define AKIN_PICTURE_INTERNAL_H

#include "akin_embed.h"

typedef enum {
    PICTURE_NONE,
    PICTURE_JPEG,
    PICTURE_PNG,
    PICTURE_WEBP,
    PICTURE_GIF,
    PICTURE_TIFF,
    PICTURE_HEIC,
    PICTURE_AVIF,
    PICTURE_SVG,
    PICTURE_SVGZ, /* gzip around an SVG */
    PICTURE_BMP,
    PICTURE_PPM
} akin__picture_format;

akin__picture_format akin__picture_format_of(akin_span bytes);
const char *akin__picture_format_name(akin__picture_format format);

/* Starts libvips, once per process. Fails with AKIN_INTERNAL. */
akin_status akin__picture_need_vips(akin_error *err);

/* Puts the defaults where a field is 0. */
void akin__picture_fill_options(akin_picture_options *options);

/* akin_picture_decode in this process, drawings too; options as filled above. */
akin_status akin__picture_decode_here(akin_span bytes,
                                      const akin_picture_options *options,
                                      akin_picture *out, akin_error *err);
/* The same for a drawing in a process of its own, which is ended after
 * options->max_ms. Fails also with AKIN_INTERNAL, AKIN_TIMEOUT. */
akin_status akin__picture_decode_apart(akin_span bytes,
                                       const akin_picture_options *options,
                                       akin_picture *out, akin_error *err);

/* AKIN_BAD_DATA, AKIN_TOO_LARGE. */
akin_status akin__picture_check_limits(const akin_picture_options *options,
                                       uint64_t width, uint64_t height,
                                       akin_error *err);
/* AKIN_TOO_LARGE. Reads the whole file. */
akin_status akin__picture_check_scans(akin_span bytes, akin_error *err);
/* 1, 2, 4 or 8. */
uint32_t akin__picture_shrink_factor(const akin_picture_options *options,
                                     uint32_t width, uint32_t height);
bool akin__picture_is_srgb(const void *profile, size_t size);

/* A JPEG's pixels and what else of *out is in the file. *done false: nothing was
 * done, the file is one for libvips. */
akin_status akin__picture_jpeg(akin_span bytes,
                               const akin_picture_options *options,
                               uint64_t deadline_ns, akin_picture *out,
                               bool *done, akin_error *err);
/* What borders of one colour enclose, to be cleared; no pixels when there are
 * none. Fails with AKIN_NOMEM. */
akin_status akin__picture_inner(const akin_picture *picture, akin_picture *out,
                                akin_error *err);
/* Appends a JPEG of rgb (height, width, 3). */
akin_status akin__picture_write_jpeg(const uint8_t *rgb, uint32_t width,
                                     uint32_t height, akin_buf *out,
                                     akin_error *err);

/* Unpacks gzip up to `limit` bytes; more is AKIN_TOO_LARGE. *out is freed by
 * akin_free. */
akin_status akin__picture_gunzip(akin_span bytes, size_t limit, uint8_t **out,
                                 size_t *size, akin_error *err);

/* Rows that arrive top to bottom become the upright picture: shrunk by boxes,
 * turned by the EXIF orientation. */
typedef struct {
    akin_picture *picture;  /* pixels allocated by begin */
    uint32_t width, height; /* of the rows that arrive */
    uint32_t factor;        /* boxes of factor x factor, 1: none */
    uint32_t orientation;
    uint32_t y;     /* rows so far */
    uint32_t *sums; /* factor > 1: one box row, (ceil(width / factor), 3) */
    uint8_t *row;   /* factor > 1: the averaged row */
} akin__picture_sink;

akin_status akin__picture_sink_begin(akin__picture_sink *sink,
                                     akin_picture *picture, uint32_t width,
                                     uint32_t height, uint32_t factor,
                                     uint32_t orientation, akin_error *err);
/* rgb: (n, width, 3) */
void akin__picture_sink_rows(akin__picture_sink *sink, const uint8_t *rgb,
                             uint32_t n);
void akin__picture_sink_clear(akin__picture_sink *sink);

/* A BMP's pixels. *out: (height, width, bands), bands 3 or 4 (RGBA), top row
 * first; freed by akin_free. header_only: sizes without pixels. */
akin_status akin__picture_bmp(akin_span bytes, bool header_only,
                              uint32_t *width, uint32_t *height,
                              uint32_t *bands, uint8_t **out, akin_error *err);

/* A drawing over white. *out: (height, width, 3), freed by akin_free. Runs where
 * it is called: see akin__picture_decode_apart for bytes from outside. */
akin_status akin__picture_svg(akin_span bytes, uint32_t shrink_to,
                              uint32_t *width, uint32_t *height, uint8_t **out,
                              akin_error *err);

/* Weights of one direction of a resize of `in` pixels, for the outputs
 * from..from+n-1: output i of these is the sum over t < count[i] of
 * weight[i * taps + t] * input[first[i] + t], 22 fraction bits. taps is a
 * multiple of 4; weights behind count[i] are 0. high * 2^11 + low = weight. */
typedef struct {
    uint32_t in, from, n, taps;
    uint32_t *first, *count;
    int32_t *weight;
    int16_t *high, *low;
} akin__picture_filter;

#define PICTURE_FILTER_BITS 22

/* extent: what the in pixels stand for, in pixels: in itself, or up to one more
 * or less after shrinking. out: pixels after the resize, of which n from `from`
 * on are wanted. */
akin_status akin__picture_filter_init(akin__picture_filter *filter, uint32_t in,
                                      double extent, uint32_t out,
                                      uint32_t from, uint32_t n,
                                      akin_error *err);
void akin__picture_filter_clear(akin__picture_filter *filter);

/* The horizontal pass over `rows` rows that lie `stride` bytes apart into out
 * (rows, n, 3): the plain loop, and the fast one, the same bit for bit, which
 * may read the `readable` bytes from `in` on. */
void akin__picture_across_plain(const akin__picture_filter *filter,
                                const uint8_t *in, size_t stride, uint32_t rows,
                                uint8_t *out);
void akin__picture_across(const akin__picture_filter *filter, const uint8_t *in,
                          size_t stride, uint32_t rows, size_t readable,
                          uint8_t *out);

/* One row of the vertical pass: `bytes` columns of `count` rows that lie
 * `stride` bytes apart, weighted. Plain and fast. */
void akin__picture_down_plain(const int32_t *weight, uint32_t count,
                              const uint8_t *in, size_t stride, size_t bytes,
                              uint8_t *out);
void akin__picture_down(const int32_t *weight, uint32_t count,
                        const uint8_t *in, size_t stride, size_t bytes,
                        uint8_t *out);

#endif
