/* akin embed: CLIP. Two halves that meet in 8-bit pixels.
 *
 *   models     akin_model: weights, tokenizer, what pictures must look like
 *   encoder    akin_encoder: pictures and texts to embeddings
 *   pictures   files of any format to pixels, hashes, thumbnails
 *
 * Unless a comment says otherwise inputs are borrowed for the call and outputs
 * fill the caller's buffers. */
#ifndef AKIN_EMBED_H
#define AKIN_EMBED_H

#include "akin_base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- models ------------------------------------------------------------- */

/* How a picture becomes image_size x image_size pixels. */
typedef enum {
    AKIN_RESIZE_SHORTEST, /* shorter side to resize_edge, then centre crop */
    AKIN_RESIZE_SQUASH    /* both sides to image_size, aspect ratio ignored */
} akin_resize;

/* What the GEMMs compute in. Embeddings are always float32. */
typedef enum {
    AKIN_PRECISION_AUTO, /* fastest that stays within cosine 0.999 of float32 */
    AKIN_PRECISION_F32,
    AKIN_PRECISION_BF16,
    AKIN_PRECISION_INT8
} akin_precision;

/* "auto", "f32", "bf16", "int8". The second returns false for other names. */
const char *akin_precision_name(akin_precision precision);
bool akin_precision_parse(const char *name, akin_precision *out);

typedef struct {
    uint32_t dim;     /* of an embedding */
    uint32_t context; /* most token ids of a text, BOS and EOS included */
    uint32_t vocab;

    uint32_t image_size;   /* side of the square that the encoder takes */
    uint32_t resize_edge;  /* see akin_resize; image_size unless the model says
                             otherwise */
    akin_resize resize;    /* always with antialiased bicubic */
    float mean[3], std[3]; /* per channel, of pixel values 0..1; the encoder
                              applies them */

    uint32_t vision_layers, vision_width, vision_heads, patch;
    uint32_t text_layers, text_width, text_heads;
    uint64_t parameters;
    float logit_scale, logit_bias; /* logit = scale * cosine + bias, scale
                                      already exponentiated */
    bool sigmoid;       /* SigLIP: a logit is a probability by itself */
    bool has_tokenizer; /* false: texts only as token ids */

    char name[64];          /* last part of the directory's path */
    char architecture[16];  /* "clip" or "siglip" */
    char weights_dtype[16]; /* "float32", "float16", "bfloat16", "mixed" */
    uint8_t fingerprint_bytes[AKIN_SHA256_BYTES];
    char fingerprint[2 * AKIN_SHA256_BYTES + 1]; /* the same in hex */
} akin_model_info;

/* Weights, tokenizer and preprocessing of one model directory. Immutable after
 * open and shared by any number of threads and encoders. */
typedef struct akin_model akin_model;

/* Opens a directory in Hugging Face's layout (config.json, model.safetensors or
 * its shards, tokenizer.json or vocab.json + merges.txt,
 * preprocessor_config.json) or in OpenCLIP's (open_clip_config.json,
 * open_clip_model.safetensors). Weights stay mapped from the file, which must
 * not be changed while the model is open.
 * Fails with AKIN_NOT_FOUND, AKIN_IO, AKIN_CORRUPT (names file and tensor),
 * AKIN_UNSUPPORTED, AKIN_NOMEM. */
akin_status akin_model_open(const char *dir, akin_model **out, akin_error *err);
/* After the encoders of the model. No-op on NULL. */
void akin_model_close(akin_model *model);
/* Valid until the model is closed. */
const akin_model_info *akin_model_get_info(const akin_model *model);

/* Writes the token ids of a text, BOS and EOS included, not padded, cut to
 * info.context with EOS last. Bytes that are not UTF-8 count as U+FFFD.
 * ids: room for `capacity`; info.context is always enough.
 * Fails with AKIN_UNSUPPORTED (no tokenizer), AKIN_TOO_LARGE (capacity; text
 * above 1 MiB), AKIN_NOMEM. */
akin_status akin_model_tokenize(const akin_model *model, akin_span text,
                                int32_t *ids, uint32_t capacity,
                                uint32_t *count, akin_error *err);

/* ---- encoder ------------------------------------------------------------ */

typedef struct {
    uint32_t max_batch; /* pictures in one pass, 1..1024; 0: 32. Memory grows
                           with it */
    uint32_t threads;   /* 0: all that akin_cpu_count gives; 1..256 */
    akin_precision precision;
} akin_encoder_options;

/* Memory and threads for forward passes of one model. One call at a time; open
 * several to encode from several threads. */
typedef struct akin_encoder akin_encoder;

/* The model must outlive the encoder. options NULL: all zero.
 * Fails with AKIN_INVALID, AKIN_UNSUPPORTED (a precision this CPU lacks),
 * AKIN_NOMEM. */
akin_status akin_encoder_open(const akin_model *model,
                              const akin_encoder_options *options,
                              akin_encoder **out, akin_error *err);
void akin_encoder_close(akin_encoder *encoder); /* no-op on NULL */
/* What AKIN_PRECISION_AUTO came to; never AUTO itself. */
akin_precision akin_encoder_precision(const akin_encoder *encoder);
/* Lowest cosine to float32's embeddings on a few drawn pictures and sentences,
 * measured once for a model and precision (a second for ViT-B/32) and kept in
 * the user's cache folder. 1 for float32. */
float akin_encoder_cosine(const akin_encoder *encoder);
/* Of the embeddings: vectors of two fingerprints may not be compared. The
 * model's own where the cosine is at least AKIN_PRECISION_COSINE, so that those
 * precisions can be mixed. AKIN_SHA256_BYTES; valid until close. */
const uint8_t *akin_encoder_fingerprint(const akin_encoder *encoder);
#define AKIN_PRECISION_COSINE 0.999f

/* Embeds n pictures (any n; split into batches inside).
 * pixels: (n, S, S, 3) 8-bit RGB, S = info.image_size.
 * out:    (n, dim), each row of unit length.
 * Fails with AKIN_BAD_DATA when a row cannot be normalised (weights that give
 * NaN). */
akin_status akin_encoder_images(akin_encoder *encoder, const uint8_t *pixels,
                                size_t n, float *out, akin_error *err);

/* Embeds n texts (any n). Each is computed only up to its end-of-text token,
 * several together.
 * out: (n, dim), each row of unit length.
 * Fails like akin_model_tokenize and akin_encoder_images. */
akin_status akin_encoder_texts(akin_encoder *encoder, const akin_span *texts,
                               size_t n, float *out, akin_error *err);

/* The same from token ids, as akin_model_tokenize or another tokenizer gives
 * them. ids: (n, stride); row i holds counts[i] ids, 1..info.context. SigLIP
 * texts are padded here with the model's padding id.
 * Fails also with AKIN_INVALID (count or id out of range). */
akin_status akin_encoder_ids(akin_encoder *encoder, const int32_t *ids,
                             size_t stride, const uint32_t *counts, size_t n,
                             float *out, akin_error *err);

/* The projections before they are scaled to unit length. */
akin_status akin_encoder_images_raw(akin_encoder *encoder,
                                    const uint8_t *pixels, size_t n, float *out,
                                    akin_error *err);
akin_status akin_encoder_ids_raw(akin_encoder *encoder, const int32_t *ids,
                                 size_t stride, const uint32_t *counts,
                                 size_t n, float *out, akin_error *err);

/* ---- pictures ----------------------------------------------------------- */

#define AKIN_PICTURE_MAX_BYTES      (256u << 20) /* of a file */
#define AKIN_PICTURE_MAX_PIXELS     (128u << 20) /* 12000 x 9000 fits */
#define AKIN_PICTURE_MAX_SIDE       65500u
#define AKIN_PICTURE_MAX_MS         20000u
#define AKIN_PICTURE_SVG_SIDE       1024u /* longer side of a drawing, about */
#define AKIN_PICTURE_MAX_MODEL_SIDE 4096u /* of akin_picture_transform */

/* Zero means the default everywhere. */
typedef struct {
    uint64_t max_bytes;      /* of the file: AKIN_PICTURE_MAX_BYTES */
    uint64_t max_pixels;     /* width * height in the file:
                            AKIN_PICTURE_MAX_PIXELS */
    uint32_t max_side;       /* AKIN_PICTURE_MAX_SIDE */
    uint32_t max_ms;         /* looked at between strips of rows, so a bound on
                            slow files, not a precise one: AKIN_PICTURE_MAX_MS */
    uint32_t shrink_to;      /* shorter side that the caller scales down to
                            afterwards (the model's resize_edge). The result
                            may then be smaller than the file says, by a whole
                            factor, which saves most of the time. 0: never */
    bool drop_alpha;         /* as the reference does: colours under transparent
                            pixels count. false: laid over white */
    bool ignore_profile;     /* as the reference does. false: pictures with an
                            embedded colour profile are converted to sRGB */
    bool ignore_orientation; /* false: EXIF orientation applied */
} akin_picture_options;

typedef struct {
    uint8_t *pixels;                  /* (height, width, 3) RGB, owned */
    uint32_t width, height;           /* of pixels */
    uint32_t file_width, file_height; /* upright, before any shrinking */
    uint32_t orientation;             /* EXIF, 1..8, as the file has it */
    uint32_t shrink;  /* file pixels per pixel and side: 1, 2, 4 or 8 */
    bool had_profile; /* a colour profile was converted */
    char format[8];   /* "jpeg", "png", "webp", "gif", "tiff", "heic", "avif",
                         "svg", "bmp", "ppm" */
} akin_picture;

/* The format by the first bytes of a file (64 are enough but for SVG, which may
 * start with a long comment: give 4096); false for anything that
 * akin_picture_decode does not read. format may be NULL; it gets a static
 * string. Reads nothing else: cheap enough for every file of a folder. */
bool akin_picture_sniff(akin_span first_bytes, const char **format);

/* Optional: starts libvips and the small helper process in which drawings are
 * rendered (SVG can ask for hours of work; a process can be ended). Both start
 * by themselves with the first picture and the first drawing; but the helper is
 * a fork of the program, cheapest early in main. It ends with the program.
 * Fails with AKIN_INTERNAL. */
akin_status akin_picture_init_library(akin_error *err);

/* Pixels of a picture file: first frame, upright, 8-bit RGB. 16-bit samples are
 * cut to their high byte; CMYK without a profile becomes RGB as the reference
 * does it. options NULL: all zero. Limits are checked against the header,
 * before memory is taken. Any number of threads; the work is done in
 * the caller's (but libheif starts its own, and drawings have a process).
 * Fails with AKIN_UNSUPPORTED (not a format that is read), AKIN_BAD_DATA (empty,
 * truncated, damaged), AKIN_TOO_LARGE (a limit), AKIN_TIMEOUT, AKIN_NOMEM. */
akin_status akin_picture_decode(akin_span bytes,
                                const akin_picture_options *options,
                                akin_picture *out, akin_error *err);
void akin_picture_clear(akin_picture *picture); /* no-op on {0} */

/* What to make of a picture for an encoder: fields of akin_model_info. */
typedef struct {
    akin_resize resize;
    uint32_t resize_edge; /* AKIN_RESIZE_SHORTEST; at least image_size */
    uint32_t image_size;
} akin_picture_transform;

/* Scales and crops as the reference (Pillow up to 12) does, to the last bit.
 * out: (S, S, 3), S = transform->image_size.
 * Fails with AKIN_INVALID, AKIN_NOMEM. */
akin_status akin_picture_prepare(const akin_picture *picture,
                                 const akin_picture_transform *transform,
                                 uint8_t *out, akin_error *err);

/* The same filter to any size. out: (height, width, 3). Sides 1..65535.
 * Fails with AKIN_INVALID, AKIN_NOMEM. */
akin_status akin_picture_resize(const akin_picture *picture, uint32_t width,
                                uint32_t height, uint8_t *out, akin_error *err);

/* 255 signs of the lowest frequencies of brightness (a DCT of 32 x 32 pixels;
 * word 0 alone holds the 63 lowest). Compared by the number of bits that
 * differ. Bit 0 of word 0 is always 0. */
typedef struct {
    uint64_t word[4];
} akin_picture_phash;

#define AKIN_PICTURE_SKETCH 32

/* What tells that two pictures are the same one. Without pointers, and the same
 * on every machine: may be stored as it is. */
typedef struct {
    uint8_t pixels[AKIN_SHA256_BYTES]; /* SHA-256 of size and upright pixels:
                                          equal for equal pixels, whatever the
                                          lossless format or the metadata */
    akin_picture_phash whole;
    akin_picture_phash trimmed; /* one-coloured borders taken off */
    uint8_t sketch[AKIN_PICTURE_SKETCH * AKIN_PICTURE_SKETCH]; /* brightness */
    uint8_t detail; /* standard deviation of sketch; below
                       AKIN_PICTURE_MIN_DETAIL (a blank page) only `pixels`
                       says anything */
} akin_picture_hashes;

#define AKIN_PICTURE_MIN_DETAIL 3

/* Of the picture's pixels as they are: the same file decoded with another
 * shrink gives another `pixels`, and a few bits more or less elsewhere.
 * Fails with AKIN_INVALID, AKIN_NOMEM. */
akin_status akin_picture_hash(const akin_picture *picture,
                              akin_picture_hashes *out, akin_error *err);

uint32_t akin_picture_distance(const akin_picture_phash *a,
                               const akin_picture_phash *b); /* 0..255 */

/* The hash that the picture has after being turned as EXIF orientation 1..8
 * asks (1 nothing, 2 mirrored, 3 half a turn, 6 a quarter to the right): so one
 * stored hash is found by eight questions. */
akin_picture_phash akin_picture_turned(const akin_picture_phash *hash,
                                       uint32_t orientation);

typedef struct {
    uint32_t distance;    /* least over whole and trimmed: near-identical up to
                             AKIN_PICTURE_NEAR_DISTANCE */
    float similarity;     /* -1..1, after the best crop of one of the two was
                             looked for: correlation of brightness gradients,
                             over all or in the second worst of 16 blocks,
                             whichever is lower. Near-identical from
                             AKIN_PICTURE_NEAR_SIMILARITY */
    float cut[4];         /* that crop: shares of its sides cut off left, top,
                             right, bottom */
    bool cut_b;           /* it is b that was cut (after its turn), else a */
    uint32_t orientation; /* turn of b in which its hash is closest, 1..8 */
} akin_picture_match;

/* Measured on 2577 photographs of clothing: see picture_hash.c. */
#define AKIN_PICTURE_NEAR_DISTANCE   44
#define AKIN_PICTURE_NEAR_SIMILARITY 0.78f

/* How much two pictures are the same one. turned: mirrored and turned copies
 * count too. About 0.05 ms: for candidates, not for all pairs. */
void akin_picture_compare(const akin_picture_hashes *a,
                          const akin_picture_hashes *b, bool turned,
                          akin_picture_match *out);

/* How much of the sketch, 0..1, lies in even areas: 0.08 in most photographs of
 * clothes, 0.4 in most drawings. */
float akin_picture_evenness(const akin_picture_hashes *hashes);

/* The picture in 32 x 32 colours, [1] without its border when it has one. */
typedef struct {
    uint8_t planes[2][3][AKIN_PICTURE_SKETCH * AKIN_PICTURE_SKETCH];
    bool framed;
} akin_picture_colours;

/* A thumbnail will do. Fails with AKIN_INVALID, AKIN_NOMEM. */
akin_status akin_picture_get_colours(const akin_picture *picture,
                                     akin_picture_colours *out,
                                     akin_error *err);

/* How much b, turned, looks other than a in the place where it does so most,
 * relative to the contrast of both; frames, small crops, brightness and tint set
 * aside. Copies have less than AKIN_PICTURE_COLOUR_LIMIT. 0.2 ms. */
float akin_picture_colour_difference(const akin_picture_colours *a,
                                     const akin_picture_colours *b,
                                     uint32_t orientation);

#define AKIN_PICTURE_COLOUR_LIMIT 0.28f

/* A JPEG of at most max_side x max_side pixels, never larger than the picture,
 * appended to *jpeg. Fails with AKIN_INVALID, AKIN_NOMEM, AKIN_INTERNAL. */
akin_status akin_picture_thumbnail(const akin_picture *picture,
                                   uint32_t max_side, akin_buf *jpeg,
                                   akin_error *err);

#ifdef __cplusplus
}
#endif
#endif
