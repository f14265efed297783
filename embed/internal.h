/* What the files of embed/'s model side share.
 *
 * Shapes use the same letters everywhere: B sequences (pictures or texts),
 * T tokens of one sequence, R rows (tokens of all sequences together), C width,
 * H heads, D = C / H, M hidden width of the MLP. Matrices are row-major. */
#ifndef AKIN_EMBED_INTERNAL_H
#define AKIN_EMBED_INTERNAL_H

#include "akin_embed.h"

#include <pthread.h>

/* ---- safetensors.c ------------------------------------------------------- */

typedef enum {
    AKIN__F32,
    AKIN__F16,
    AKIN__BF16,
    AKIN__OTHER /* may be in a file, may not be a weight of ours */
} akin__dtype;

#define AKIN__MAX_RANK 8

typedef struct {
    char *name;
    akin__dtype dtype;
    uint32_t rank;
    uint64_t shape[AKIN__MAX_RANK];
    uint64_t count;      /* product of shape */
    const uint8_t *data; /* in the mapping; need not be aligned */
    size_t size;         /* bytes */
} akin__tensor;

/* The tensors of a model: one file or its shards. */
typedef struct akin__tensors akin__tensors;

/* path: a .safetensors file, or a .safetensors.index.json that names shards
 * beside it. */
akin_status akin__tensors_open(const char *path, akin__tensors **out,
                               akin_error *err);
void akin__tensors_close(akin__tensors *set); /* no-op on NULL */
/* NULL when there is none. Valid until close. */
const akin__tensor *akin__tensors_find(const akin__tensors *set,
                                       const char *name);
size_t akin__tensors_files(const akin__tensors *set);
/* Name (without folder) and contents of mapped file i, in order of names. */
const char *akin__tensors_file(const akin__tensors *set, size_t i,
                               akin_span *contents);

/* Reads elements [first, first + n) of a weight as float32. */
void akin__tensor_read(const akin__tensor *tensor, uint64_t first, size_t n,
                       float *out);

/* ---- config.c ------------------------------------------------------------ */

typedef enum {
    AKIN__ACT_NONE,
    AKIN__QUICK_GELU, /* x * sigmoid(1.702 x) */
    AKIN__GELU,       /* x * Phi(x), with erf */
    AKIN__GELU_TANH   /* its tanh approximation */
} akin__act;

typedef enum {
    AKIN__POOL_EOS,     /* first eos_id, row 0 if there is none */
    AKIN__POOL_HIGHEST, /* first occurrence of the highest id */
    AKIN__POOL_LAST     /* last of `context` padded positions (SigLIP) */
} akin__pool;

typedef struct {
    uint32_t width, layers, heads, mlp;
    akin__act act;
    float eps; /* of its LayerNorms */
} akin__tower_config;

typedef struct {
    bool siglip;
    uint32_t dim;
    akin__tower_config vision, text;
    uint32_t image_size, patch;
    uint32_t context, vocab;
    akin__pool pool;
    int32_t eos_id, pad_id;
    akin_resize resize;
    uint32_t resize_edge;
    float mean[3], std[3];
} akin__config;

/* Reads dir/config.json or, when open_clip is set, dir/open_clip_config.json,
 * and dir/preprocessor_config.json if there is one. Every number is within
 * bounds afterwards. */
akin_status akin__config_read(const char *dir, bool open_clip,
                              akin__config *config, akin_error *err);

/* ---- tokenizer.c --------------------------------------------------------- */

typedef struct akin__tokenizer akin__tokenizer;

/* *out is NULL when the folder has no tokenizer files. */
akin_status akin__tokenizer_open(const char *dir, akin__tokenizer **out,
                                 akin_error *err);
void akin__tokenizer_close(akin__tokenizer *tokenizer);
/* limit: most ids, at least 2. See akin_model_tokenize. */
akin_status akin__tokenizer_encode(const akin__tokenizer *tokenizer,
                                   akin_span text, uint32_t limit,
                                   akin_buf *ids, akin_error *err);
/* Largest id it can give. */
int32_t akin__tokenizer_max_id(const akin__tokenizer *tokenizer);

/* ---- unicode.c: steps 2 and 3 of the tokenizer ---------------------------- */

typedef enum {
    AKIN__LETTER,
    AKIN__NUMBER,
    AKIN__SPACE,
    AKIN__OTHER_CHAR
} akin__class;

akin__class akin__char_class(int32_t codepoint);
/* NFC, white space to ' ', lower case. Invalid bytes become U+FFFD. Appends
 * code points (int32_t) to out. */
akin_status akin__normalize_text(akin_span text, akin_buf *out,
                                 akin_error *err);

/* ---- bpe.c --------------------------------------------------------------- */

typedef struct akin__bpe akin__bpe;

akin_status akin__bpe_open(akin__bpe **out, akin_error *err);
void akin__bpe_close(akin__bpe *bpe);
/* All tokens first, then merges in order of rank, then finish. */
akin_status akin__bpe_add_token(akin__bpe *bpe, const char *token, int32_t id,
                                akin_error *err);
akin_status akin__bpe_add_merge(akin__bpe *bpe, akin_span left, akin_span right,
                                akin_error *err);
akin_status akin__bpe_finish(akin__bpe *bpe, int32_t unknown, akin_error *err);
/* -1 when it is not in the vocabulary. */
int32_t akin__bpe_find(const akin__bpe *bpe, akin_span token);
/* Appends the ids (int32_t) of one word, given as UTF-8, to out. Work and
 * memory grow with size * log(size). */
akin_status akin__bpe_encode(const akin__bpe *bpe, akin_span word,
                             akin_buf *out, akin_error *err);

/* ---- model.c, weights.c -------------------------------------------------- */

typedef struct {
    const float *gain, *bias; /* (C) */
} akin__norm;

/* y = x W^T + bias. W (out, in) may lie in up to three pieces of equal height,
 * as q, k and v do in Hugging Face's files. */
typedef struct {
    const akin__tensor *part[3];
    uint32_t parts;
    size_t out, in;
    const float *bias;   /* (out), or NULL */
    const float *f32[3]; /* each (out / parts, in); see akin__model_widen */
    uint32_t id;         /* 1..linear_count of the model: those of the layers
                            and the patches, which also come packed; else 0 */
} akin__linear;

typedef struct {
    akin__norm norm1, norm2;
    akin__linear qkv, proj, fc1, fc2;
} akin__layer;

typedef struct {
    akin__tower_config config;
    akin__layer *layers;
    const float *positions; /* (T, C) */
    akin__norm post;        /* after the last layer */
    akin__linear out;       /* to the embedding; out.in == 0: none */
} akin__tower;

typedef struct {
    const float *probe; /* (C) */
    akin__linear qkv, proj, fc1, fc2;
    akin__norm norm;
} akin__pooling_head;

/* Memory that is freed together. */
typedef struct {
    void **list;
    size_t count, capacity;
} akin__blocks;

struct akin_model {
    akin_model_info info;
    akin__config config;
    akin__tensors *tensors;
    akin__tokenizer *tokenizer;
    akin__tower vision, text;
    akin__linear patch;              /* in = 3 * patch * patch */
    const float *class_embedding;    /* (C), NULL with SigLIP */
    akin__norm pre;                  /* vision; gain NULL with SigLIP */
    akin__pooling_head head;         /* SigLIP's vision */
    const akin__tensor *token_table; /* (vocab, C) */

    akin__blocks owned; /* copies that live as long as the model */
    uint32_t linear_count;

    /* What encoders share, made for the first one and dropped after the last.
     * ends: the projections and SigLIP's head, which every precision computes
     * in float32; they stay. */
    pthread_mutex_t lock;
    bool widened_ends;
    uint32_t wide_users, pack_users[AKIN_PRECISION_INT8 + 1];
    akin__blocks wide;
    struct akin__packs *packs[AKIN_PRECISION_INT8 + 1];
};

/* Fills the towers from model->tensors and model->config; checks every shape. */
akin_status akin__weights_bind(akin_model *model, akin_error *err);
/* Makes akin__linear.f32 valid for an encoder of this precision: in place where
 * the file has aligned float32, in memory otherwise. Thread-safe. */
akin_status akin__model_widen(const akin_model *model, akin_precision precision,
                              akin_error *err);
/* After each successful widen, when the encoder is closed. */
void akin__model_narrow(const akin_model *model, akin_precision precision);
/* Reads rows [first, first + n) of W, (n, in), as float32. */
void akin__linear_read(const akin__linear *l, size_t first, size_t n,
                       float *out);
/* Memory that lives as long as the model. */
void *akin__model_own(akin_model *model, size_t size, akin_error *err);
void *akin__blocks_add(akin__blocks *blocks, size_t size, akin_error *err);
void akin__blocks_free(akin__blocks *blocks);

/* The user's folder for what can be computed again, ~/.cache/akin; it may not be
 * there yet. Freed by the caller; NULL when there is none (or no memory, which is
 * as good). */
char *akin__cache_folder(void);

#define AKIN__TEXT_LIMIT (1 << 20) /* bytes of one text */

/* ---- fingerprint.c ------------------------------------------------------- */

/* seconds: now, since 1970. */
akin_status akin__fingerprint(const char *dir, const akin__tensors *tensors,
                              int64_t seconds, uint8_t out[AKIN_SHA256_BYTES],
                              akin_error *err);

/* ---- encoder.c ----------------------------------------------------------- */

/* OpenBLAS and oneDNN take their number of threads from OpenMP's setting of the
 * calling thread: makes that 1 and returns what it was. */
int akin__one_thread(void);
void akin__threads_back(int before);

/* ---- lowp.c, packs.c: bfloat16 and int8 through oneDNN -------------------- */

/* The weights of a model, quantised and laid out for oneDNN. */
typedef struct akin__packs akin__packs;

/* Whether this processor has instructions that make it worth while. */
bool akin__lowp_supported(akin_precision precision);
/* Made for the first that asks for the precision, then shared until the last
 * has put it back. Thread-safe. */
akin_status akin__packs_get(const akin_model *model, akin_precision precision,
                            akin__packs **out, akin_error *err);
void akin__packs_put(const akin_model *model, akin__packs *packs);
/* Packs a tower's weights if that was not done: before each pass. Thread-safe.
 * Fails with AKIN_BAD_DATA (a weight is not finite), AKIN_NOMEM. */
akin_status akin__packs_need(akin__packs *packs, const akin_model *model,
                             bool texts, akin_error *err);
/* Bytes of scratch memory that one thread's calls need. */
size_t akin__packs_scratch(const akin__packs *packs);
/* As akin__linear_f32, then the activation. [from, to) must be all of l or, for
 * the last layer's qkv, also q or kv. false when oneDNN refuses. */
bool akin__packed_linear(const akin__packs *packs, const akin__linear *l,
                         size_t from, size_t to, const float *x, size_t R,
                         float *y, size_t ldy, bool add, akin__act act,
                         void *scratch);
/* The products of akin__packed_linear alone, on whatever scratch holds: to
 * measure against. */
void akin__packed_multiply(const akin__packs *packs, const akin__linear *l,
                           size_t from, size_t to, size_t R, void *scratch);
/* The patch matrix straight from 8-bit pixels, normalisation included.
 * pixels: (n, S, S, 3); y: (n * G * G, C). */
bool akin__packed_patches(const akin__packs *packs, const akin_model *model,
                          const uint8_t *pixels, size_t n, float *y,
                          void *scratch);

/* ---- forward.c ----------------------------------------------------------- */

/* For tests: sees an intermediate result. stage: "12e_attention_context" and so
 * on, the names of the reference's layers/. data: (rows, ld), cols used. */
typedef void akin__trace(void *user, const char *tower, const char *stage,
                         const float *data, size_t rows, size_t cols,
                         size_t ld);

/* One forward pass: sequences one after another in x. */
typedef struct {
    const akin__tower *tower;
    size_t B;              /* sequences */
    const uint32_t *start; /* (B + 1): rows of sequence b: start[b]..start[b+1]
                            */
    const uint32_t *pick;  /* (B): the one row of each sequence that is wanted;
                              NULL: all */
    bool causal;
    float *x;      /* (R, C): in, and result: all rows, or the B picked ones */
    float *h;      /* (R, C) */
    float *big;    /* (R, max(3 C, M)) */
    float *scores; /* akin__scores_size(longest sequence) */
    const akin__packs *packs; /* NULL: float32 */
    void *scratch;            /* for packs */
    bool failed;              /* oneDNN refused something: no result */
    akin__trace *trace;       /* NULL: none. With it nothing is left out */
    void *trace_user;
    const char *trace_tower;
} akin__pass;

/* A linear layer in the precision of the pass, then the activation. */
void akin__linear_in(akin__pass *pass, const akin__linear *l, size_t from,
                     size_t to, const float *x, size_t R, float *y, size_t ldy,
                     bool add, akin__act act);
/* y (R, ldy) = x (R, in) W^T + bias for outputs [from, to) of l; with add it is
 * added to what y holds. Columns of y count from `from`. */
void akin__linear_f32(const akin__linear *l, size_t from, size_t to,
                      const float *x, size_t R, float *y, size_t ldy, bool add);

void akin__layers(akin__pass *pass);
/* Floats that akin__pass.scores needs for sequences of up to T tokens. */
size_t akin__scores_size(size_t T);
/* One query row per sequence over all its rows. q: (B, ldq), or with ldq 0 one
 * row for all; kv: (R, ldkv), keys first, values C behind them; out: (B, C).
 * n[b] rows count, all where n is NULL. */
void akin__attend_one(const akin__pass *pass, const float *q, size_t ldq,
                      const float *kv, size_t ldkv, float *out);
void akin__emit(const akin__pass *pass, const char *stage, const float *data,
                size_t rows, size_t cols, size_t ld);

/* ---- vision.c, text.c ---------------------------------------------------- */

/* Memory of one thread of an encoder. */
typedef struct {
    akin_arena arena;
    size_t pictures;         /* most in one pass */
    size_t texts, text_rows; /* the same for texts, and for their tokens */
    float *x, *h, *big, *scores;
    uint32_t *start, *pick;   /* (max(pictures, texts) + 1) */
    const akin__packs *packs; /* NULL: float32 */
    void *scratch;
    akin__trace *trace;
    void *trace_user;
} akin__worker;

/* lut: (3, 256), pixel values to network inputs. out: (n, dim), not normalised.
 * n at most worker->pictures. */
/* false: no result */
bool akin__vision(const akin_model *model, akin__worker *worker,
                  const float *lut, const uint8_t *pixels, size_t n,
                  float *out);

/* Length of a text's ids that must be computed, as its last row is the one that
 * is pooled. */
uint32_t akin__text_length(const akin_model *model, const int32_t *ids,
                           uint32_t count);
/* lengths: from akin__text_length; their sum at most worker->text_rows, n at
 * most worker->texts. ids: (n, stride). */
bool akin__text(const akin_model *model, akin__worker *worker,
                const int32_t *ids, size_t stride, const uint32_t *lengths,
                size_t n, float *out);

#endif
