/* Models and their encoders. Everybody who needs an embedding comes here with
 * rows and waits; each lane has one thread and one encoder, and what comes
 * together is encoded together. The bulk lane holds a batch open for a moment
 * (encoder.wait-ms) so that many small puts share one pass; the query lane
 * never waits, and is a lane of its own so that a question does not stand
 * behind a batch of pictures.
 *
 * Opening a lane takes seconds (packing weights, choosing a precision). It is put
 * into its model when it is whole and stays until close, so that others look
 * without model.lock: figures never wait for an encoder, nor what waits for them.
 *
 * A lane's thread touches: its encoder, its gather buffers, and requests from
 * the moment it takes them off the list until it marks them done. */
#include "internal.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct request {
    struct request *next;
    const uint8_t *pixels; /* (n, S, S, 3), or NULL: texts */
    const akin_span *texts;
    size_t n;
    float *out;
    akin_status *failed;
    akin_error error; /* of the last row that failed */
    bool done;
} request;

struct akin__lane {
    akin__model *model;
    akin__lane_kind kind;
    akin_encoder *encoder;
    uint32_t max_batch;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    request *head, **tail;
    size_t rows; /* waiting */
    bool stop;
    /* the thread's own */
    uint8_t *pixels;
    akin_span *texts;
    float *vectors;
    akin_status *failed;
};

/* ---- the lane's thread ------------------------------------------------------ */

/* Encodes n rows; when the batch fails, row by row, so that one bad row spoils
 * only itself. */
static void encode_rows(akin__lane *lane, const uint8_t *pixels,
                        const akin_span *texts, size_t n, float *out,
                        akin_status *failed, akin_error *err)
{
    const akin_model_info *info = lane->model->info;
    size_t pixel_bytes = (size_t)info->image_size * info->image_size * 3;
    akin_status rc =
        pixels ? akin_encoder_images(lane->encoder, pixels, n, out, err)
               : akin_encoder_texts(lane->encoder, texts, n, out, err);
    if (!rc || n == 1) {
        for (size_t i = 0; i < n; i++)
            failed[i] = rc;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float *row = out + i * info->dim;
        failed[i] =
            pixels ? akin_encoder_images(lane->encoder,
                                         pixels + i * pixel_bytes, 1, row, err)
                   : akin_encoder_texts(lane->encoder, texts + i, 1, row, err);
    }
}

/* Several requests of one kind, gathered into the lane's buffers. */
static void encode_gathered(akin__lane *lane, request *list)
{
    const akin_model_info *info = lane->model->info;
    size_t pixel_bytes = (size_t)info->image_size * info->image_size * 3;
    bool pictures = list->pixels != NULL;
    akin_error error = {0};
    size_t n = 0;

    for (request *r = list; r; r = r->next) {
        if (pictures)
            memcpy(lane->pixels + n * pixel_bytes, r->pixels,
                   r->n * pixel_bytes);
        else
            memcpy(lane->texts + n, r->texts, r->n * sizeof *r->texts);
        n += r->n;
    }
    encode_rows(lane, pictures ? lane->pixels : NULL, lane->texts, n,
                lane->vectors, lane->failed, &error);
    n = 0;
    for (request *r = list; r; r = r->next) {
        memcpy(r->out, lane->vectors + n * info->dim,
               r->n * info->dim * sizeof(float));
        memcpy(r->failed, lane->failed + n, r->n * sizeof *r->failed);
        r->error = error;
        n += r->n;
    }
}

/* Takes requests of the first one's kind off the list, max_batch rows at most
 * (one larger request alone is fine). Lock held. */
static request *take(akin__lane *lane, size_t *rows)
{
    request *first = NULL, **last = &first, **link = &lane->head;
    bool pictures = lane->head->pixels != NULL;

    *rows = 0;
    while (*link) {
        request *r = *link;
        if ((r->pixels != NULL) != pictures) {
            link = &r->next;
            continue;
        }
        if (*rows && *rows + r->n > lane->max_batch) break;
        *link = r->next;
        r->next = NULL;
        *last = r;
        last = &r->next;
        *rows += r->n;
    }
    for (lane->tail = &lane->head; *lane->tail;)
        lane->tail = &(*lane->tail)->next;
    lane->rows -= *rows;
    return first;
}

/* Waits for rows, then a moment longer for a batch to fill. Lock held. */
static void await_batch(akin__lane *lane)
{
    while (!lane->head && !lane->stop)
        pthread_cond_wait(&lane->work, &lane->lock);
    if (lane->kind != AKIN__BULK || lane->stop) return;

    struct timespec until;
    uint64_t wait_ms =
        akin_config_uint(lane->model->engine->config, "encoder.wait-ms");
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + wait_ms * 1000000;
    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    while (lane->rows < lane->max_batch && !lane->stop)
        if (pthread_cond_timedwait(&lane->work, &lane->lock, &until) ==
            ETIMEDOUT)
            return;
}

/* The class of akin_engine_stats.batch_sizes. */
static size_t size_class(size_t rows)
{
    size_t i = 0;
    while (i + 1 < AKIN_BATCH_SIZES && rows > (size_t)1 << i)
        i++;
    return i;
}

static void *lane_main(void *arg)
{
    akin__lane *lane = arg;
    akin__counters *counters = &lane->model->engine->counters;

    pthread_mutex_lock(&lane->lock);
    for (;;) {
        size_t rows;
        await_batch(lane);
        if (!lane->head) break;
        request *list = take(lane, &rows);
        pthread_mutex_unlock(&lane->lock);

        uint64_t started = akin_mono_ns();
        if (list->next)
            encode_gathered(lane, list);
        else
            encode_rows(lane, list->pixels, list->texts, list->n, list->out,
                        list->failed, &list->error);
        atomic_fetch_add(&counters->batches, 1);
        atomic_fetch_add(&counters->batch_sizes[size_class(rows)], 1);
        atomic_fetch_add(&counters->batch_items, rows);
        atomic_fetch_add(&counters->batch_ns, akin_mono_ns() - started);

        pthread_mutex_lock(&lane->lock);
        for (request *r = list, *next; r; r = next) {
            next = r->next; /* r is gone once its caller saw done */
            r->done = true;
        }
        pthread_cond_broadcast(&lane->finished);
    }
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

/* ---- opening and closing ------------------------------------------------------ */

static void lane_close(akin__lane *lane)
{
    if (!lane) return;
    if (lane->thread) {
        pthread_mutex_lock(&lane->lock);
        lane->stop = true;
        pthread_cond_broadcast(&lane->work);
        pthread_mutex_unlock(&lane->lock);
        pthread_join(lane->thread, NULL);
    }
    akin_encoder_close(lane->encoder);
    pthread_mutex_destroy(&lane->lock);
    pthread_cond_destroy(&lane->work);
    pthread_cond_destroy(&lane->finished);
    akin_free(lane->pixels);
    akin_free(lane->texts);
    akin_free(lane->vectors);
    akin_free(lane->failed);
    akin_free(lane);
}

static akin_status lane_buffers(akin__lane *lane, akin_error *err)
{
    const akin_model_info *info = lane->model->info;
    size_t n = lane->max_batch;
    lane->pixels =
        akin_calloc(n, (size_t)info->image_size * info->image_size * 3);
    lane->texts = akin_calloc(n, sizeof *lane->texts);
    lane->vectors = akin_calloc(n, info->dim * sizeof(float));
    lane->failed = akin_calloc(n, sizeof *lane->failed);
    return lane->pixels && lane->texts && lane->vectors && lane->failed
               ? AKIN_OK
               : akin__nomem(err);
}

/* Vectors of a precision that is too far from float32 would have a fingerprint of
 * their own and could not be compared with those that a collection has. */
static akin_status same_fingerprint(const akin__model *model,
                                    const akin_encoder *encoder,
                                    akin_error *err)
{
    if (!memcmp(akin_encoder_fingerprint(encoder),
                model->info->fingerprint_bytes, AKIN_SHA256_BYTES))
        return AKIN_OK;
    return akin_fail(
        err, AKIN_UNSUPPORTED,
        "%s embeds this model at a cosine of only %.4f to float32; "
        "leave encoder.precision at auto, or choose f32",
        akin_precision_name(akin_encoder_precision(encoder)),
        (double)akin_encoder_cosine(encoder));
}

static akin_status lane_open(akin__model *model, akin__lane_kind kind,
                             akin__lane **out, akin_error *err)
{
    const akin_config *config = model->engine->config;
    char precision[16];
    akin__lane *lane = akin_calloc(1, sizeof *lane);
    pthread_condattr_t attr;
    akin_status rc;

    if (!lane) return akin__nomem(err);
    lane->model = model;
    lane->kind = kind;
    lane->tail = &lane->head;
    lane->max_batch = (uint32_t)akin_config_uint(config, "encoder.batch");
    if (kind == AKIN__QUERY && lane->max_batch > 8) lane->max_batch = 8;
    pthread_mutex_init(&lane->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&lane->work, &attr);
    pthread_cond_init(&lane->finished, NULL);
    pthread_condattr_destroy(&attr);

    akin_encoder_options options = {.max_batch = lane->max_batch,
                                    .threads = akin__threads(model->engine)};
    akin_config_text(config, "encoder.precision", precision, sizeof precision);
    if (!akin_precision_parse(precision, &options.precision))
        options.precision = AKIN_PRECISION_AUTO;
    rc = akin_encoder_open(model->model, &options, &lane->encoder, err);
    if (!rc) rc = same_fingerprint(model, lane->encoder, err);
    if (!rc) rc = lane_buffers(lane, err);
    if (!rc) {
        int e = pthread_create(&lane->thread, NULL, lane_main, lane);
        if (e) {
            lane->thread = 0;
            rc = akin_fail_errno(err, e, "cannot start the encoder's thread");
        }
    }
    if (rc) {
        lane_close(lane);
        return rc;
    }
    akin_log(AKIN_LOG_INFO,
             "model %s embeds %s in %s, lowest cosine to float32 %.4f",
             model->info->name, kind == AKIN__BULK ? "what is put" : "queries",
             akin_precision_name(akin_encoder_precision(lane->encoder)),
             (double)akin_encoder_cosine(lane->encoder));
    *out = lane;
    return AKIN_OK;
}

static akin_status lane_get(akin__model *model, akin__lane_kind kind,
                            akin__lane **out, akin_error *err)
{
    akin_status rc = AKIN_OK;
    akin__lane *lane = atomic_load(&model->lanes[kind]);

    if (!lane) {
        pthread_mutex_lock(&model->lock);
        lane = atomic_load(&model->lanes[kind]);
        if (!lane) rc = lane_open(model, kind, &lane, err);
        if (!rc) atomic_store(&model->lanes[kind], lane);
        pthread_mutex_unlock(&model->lock);
    }
    *out = lane;
    return rc;
}

static void model_close(akin__model *model)
{
    for (int i = 0; i < AKIN__LANES; i++)
        lane_close(atomic_load(&model->lanes[i]));
    akin_model_close(model->model);
    pthread_mutex_destroy(&model->lock);
    akin_free(model->dir);
    akin_free(model);
}

static akin_status model_open(akin_engine *engine, const char *dir,
                              akin__model **out, akin_error *err)
{
    akin__model *model = akin_calloc(1, sizeof *model);
    if (!model) return akin__nomem(err);
    pthread_mutex_init(&model->lock, NULL);
    model->engine = engine;
    model->dir = akin_strdup(dir);
    akin_status rc = model->dir ? AKIN_OK : akin__nomem(err);
    if (!rc) rc = akin_model_open(dir, &model->model, err);
    if (rc) {
        model_close(model);
        return rc;
    }
    model->info = akin_model_get_info(model->model);
    *out = model;
    return AKIN_OK;
}

akin_status akin__model_get(akin_engine *engine, const char *dir,
                            akin__model **out, akin_error *err)
{
    char absolute[PATH_MAX];
    akin_status rc = AKIN_OK;
    akin__model *model;

    if (!realpath(dir, absolute))
        return akin_fail(err, AKIN_NOT_FOUND, "no such model directory: %s",
                         dir);
    pthread_mutex_lock(&engine->lock);
    for (model = engine->models; model; model = model->next)
        if (!strcmp(model->dir, absolute)) break;
    if (!model) {
        rc = model_open(engine, absolute, &model, err);
        if (!rc) {
            model->next = engine->models;
            engine->models = model;
        }
    }
    pthread_mutex_unlock(&engine->lock);
    *out = rc ? NULL : model;
    return rc;
}

void akin__models_close(akin_engine *engine)
{
    while (engine->models) {
        akin__model *model = engine->models;
        engine->models = model->next;
        model_close(model);
    }
}

uint32_t akin__models_queued(akin_engine *engine)
{
    size_t n = 0;
    pthread_mutex_lock(&engine->lock);
    for (akin__model *m = engine->models; m; m = m->next) {
        for (int i = 0; i < AKIN__LANES; i++) {
            akin__lane *lane = atomic_load(&m->lanes[i]);
            if (!lane) continue;
            pthread_mutex_lock(&lane->lock);
            n += lane->rows;
            pthread_mutex_unlock(&lane->lock);
        }
    }
    pthread_mutex_unlock(&engine->lock);
    return (uint32_t)n;
}

bool akin__model_encoder(akin__model *m, akin_encoder_state *out)
{
    const akin__lane *lane = NULL;

    for (int i = 0; i < AKIN__LANES && !lane; i++)
        lane = atomic_load(&m->lanes[i]);
    if (!lane) return false;
    const akin_encoder *e = lane->encoder;
    snprintf(out->model, sizeof out->model, "%s", m->info->name);
    snprintf(out->precision, sizeof out->precision, "%s",
             akin_precision_name(akin_encoder_precision(e)));
    out->cosine = akin_encoder_cosine(e);
    return true;
}

size_t akin_engine_encoders(akin_engine *engine, akin_encoder_state *out,
                            size_t capacity)
{
    akin_encoder_state state;
    size_t n = 0;

    pthread_mutex_lock(&engine->lock);
    for (akin__model *m = engine->models; m; m = m->next) {
        if (!akin__model_encoder(m, &state)) continue;
        if (n < capacity) out[n] = state;
        n++;
    }
    pthread_mutex_unlock(&engine->lock);
    return n;
}

akin_status akin_engine_model_info(akin_engine *engine, const char *collection,
                                   akin_engine_model *out, akin_error *err)
{
    akin_encoder_state state;
    akin__model *model;

    akin_status rc = akin__model_for(engine, collection, &model, err);
    if (rc) return rc;
    const akin_model_info *info = model->info;
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", info->name);
    snprintf(out->dir, sizeof out->dir, "%s", model->dir);
    snprintf(out->architecture, sizeof out->architecture, "%s",
             info->architecture);
    snprintf(out->weights, sizeof out->weights, "%s", info->weights_dtype);
    snprintf(out->fingerprint, sizeof out->fingerprint, "%s",
             info->fingerprint);
    out->dim = info->dim;
    out->parameters = info->parameters;
    out->image_size = info->image_size;
    out->patch = info->patch;
    out->vision_layers = info->vision_layers;
    out->vision_width = info->vision_width;
    out->vision_heads = info->vision_heads;
    out->context = info->context;
    out->vocab = info->vocab;
    out->text_layers = info->text_layers;
    out->text_width = info->text_width;
    out->text_heads = info->text_heads;
    out->logit_scale = info->logit_scale;
    out->has_tokenizer = info->has_tokenizer;
    if (akin__model_encoder(model, &state)) {
        memcpy(out->precision, state.precision, sizeof out->precision);
        out->cosine = state.cosine;
    }
    return AKIN_OK;
}

/* ---- asking --------------------------------------------------------------------- */

akin_status akin__encode(akin__model *model, akin__lane_kind kind,
                         const uint8_t *pixels, const akin_span *texts,
                         size_t n, float *out, akin_status *failed,
                         akin_error *err)
{
    akin__lane *lane;
    if (!n) return AKIN_OK;
    akin_status rc = lane_get(model, kind, &lane, err);
    if (rc) return rc;

    request r = {
        .pixels = pixels, .texts = texts, .n = n, .out = out, .failed = failed};
    pthread_mutex_lock(&lane->lock);
    *lane->tail = &r;
    lane->tail = &r.next;
    lane->rows += n;
    pthread_cond_signal(&lane->work);
    while (!r.done)
        pthread_cond_wait(&lane->finished, &lane->lock);
    pthread_mutex_unlock(&lane->lock);
    if (err) *err = r.error;
    return AKIN_OK;
}

akin_status akin__decode(akin__model *model, akin_span bytes, uint8_t *pixels,
                         akin_picture *picture, akin_error *err)
{
    akin_engine *engine = model->engine;
    akin_picture own = {0};
    akin_picture_options options = {
        .max_bytes = akin_config_uint(engine->config, "picture.max-bytes"),
        .max_pixels = akin_config_uint(engine->config, "picture.max-pixels"),
        .shrink_to = model->info->resize_edge};
    akin_picture_transform transform = {.resize = model->info->resize,
                                        .resize_edge = model->info->resize_edge,
                                        .image_size = model->info->image_size};
    uint64_t started = akin_mono_ns();

    akin_status rc = akin_picture_decode(bytes, &options, &own, err);
    if (!rc) rc = akin_picture_prepare(&own, &transform, pixels, err);
    atomic_fetch_add(&engine->counters.decoded, 1);
    atomic_fetch_add(&engine->counters.decode_ns, akin_mono_ns() - started);
    if (!rc && picture)
        *picture = own;
    else
        akin_picture_clear(&own);
    return rc;
}

/* Key of a text in the cache: fingerprint, then the text. */
static uint8_t *text_key(const akin__model *model, akin_span text, size_t *size)
{
    *size = AKIN_HASH_BYTES + text.size;
    uint8_t *key = akin_alloc(*size);
    if (!key) return NULL;
    memcpy(key, model->info->fingerprint_bytes, AKIN_HASH_BYTES);
    if (text.size) memcpy(key + AKIN_HASH_BYTES, text.data, text.size);
    return key;
}

akin_status akin__embed_query_text(akin__model *model, akin_span text,
                                   float *out, akin_error *err)
{
    akin_engine *engine = model->engine;
    akin_status failed = AKIN_OK;
    size_t size;

    if (text.size > AKIN_CAPTION_BYTES)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "query text: expected at most %d bytes, got %zu",
                         AKIN_CAPTION_BYTES, text.size);
    uint8_t *key = text_key(model, text, &size);
    if (!key) return akin__nomem(err);
    akin_span span = {key, size};
    if (akin__cache_get(engine->texts, span, out, model->info->dim)) {
        atomic_fetch_add(&engine->counters.text_hits, 1);
        akin_free(key);
        return AKIN_OK;
    }
    atomic_fetch_add(&engine->counters.text_misses, 1);
    akin_status rc =
        akin__encode(model, AKIN__QUERY, NULL, &text, 1, out, &failed, err);
    if (!rc) rc = failed;
    if (!rc) akin__cache_put(engine->texts, span, out, model->info->dim);
    akin_free(key);
    return rc;
}

/* The embedding of these bytes, encoded lately or stored with any item. */
static bool known_picture(akin__model *model, const uint8_t *hash,
                          akin_span key, float *out)
{
    akin_engine *engine = model->engine;
    uint32_t dim = model->info->dim;
    uint16_t *half;
    bool known = akin__cache_get(engine->recent, key, out, dim);

    if (!known && (half = akin_calloc(dim, sizeof *half)) != NULL) {
        known = akin_storage_vector_by_hash(engine->storage, hash,
                                            model->info->fingerprint_bytes,
                                            half, dim, NULL) == AKIN_OK;
        if (known) akin_float_from_half(out, half, dim);
        akin_free(half);
        known = known && akin_normalize(out, dim);
    }
    if (known) atomic_fetch_add(&engine->counters.reused, 1);
    return known;
}

akin_status akin__embed_query_picture(akin__model *model, akin_span bytes,
                                      float *out, akin_error *err)
{
    uint32_t side = model->info->image_size;
    uint8_t hash[AKIN_SHA256_BYTES], key[AKIN__CONTENT_KEY];
    akin_span span = {key, sizeof key};
    akin_status failed = AKIN_OK, rc = akin_sha256_of(bytes, hash, err);

    if (rc) return rc;
    akin__content_key(model, AKIN_SPACE_IMAGE, hash, key);
    if (known_picture(model, hash, span, out)) return AKIN_OK;
    uint8_t *pixels = akin_calloc((size_t)side * side, 3);
    if (!pixels) return akin__nomem(err);
    rc = akin__decode(model, bytes, pixels, NULL, err);
    if (!rc)
        rc = akin__encode(model, AKIN__QUERY, pixels, NULL, 1, out, &failed,
                          err);
    if (!rc) rc = failed;
    if (!rc)
        akin__cache_put(model->engine->recent, span, out, model->info->dim);
    akin_free(pixels);
    return rc;
}
