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

#ifdef __cplusplus
}
#endif
#endif
