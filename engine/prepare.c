/* First step of the put pipeline: one item, from what came in to what must be
 * encoded and written. Runs on the decode pool, several items at once; touches
 * its own work, its own rows of the chunk, and storage for reading.
 *
 * What is known is not done again: a file with the time and size it had, bytes
 * with a hash whose embedding is stored (of any item), a caption that did not
 * change. A picture is known when its pixel hash is stored too: an item that was
 * removed between the look at it and the write came again with the hash and the
 * embedding of its bytes alone, and the next put describes it. */
#include "internal.h"

#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static uint16_t *half_row(const akin__chunk *chunk, const akin__work *w,
                          akin_space space)
{
    size_t i = (size_t)(w - chunk->works);
    return chunk->halves + (i * AKIN_SPACES + space) * chunk->view->dim;
}

/* Takes over the stored vector of this space, if there is one. */
static bool keep_vector(akin__chunk *chunk, akin__work *w, akin_space space)
{
    const akin_vector *v = &w->existing.vectors[space];
    if (!w->stored || !v->data || v->dim != chunk->view->dim) return false;
    memcpy(half_row(chunk, w, space), v->data, v->dim * sizeof *v->data);
    return true;
}

/* ---- the picture ------------------------------------------------------------------ */

static bool unchanged_file(const akin__work *w)
{
    const akin_item *e = &w->existing;
    return w->stored && !w->force && e->content_hash && e->pixel_hash &&
           e->vectors[AKIN_SPACE_IMAGE].data &&
           akin__span_equal(e->source, akin_span_of(w->file)) &&
           e->source_mtime_ns == w->file_mtime_ns &&
           e->source_size == w->file_size;
}

/* Two folders added to one collection may hold the same relative path: the
 * second must not silently replace the first. */
static akin_status check_owner(const akin__work *w, akin_error *err)
{
    const akin_item *e = &w->existing;
    struct stat st;
    if (!w->stored || !e->source.size ||
        akin__span_equal(e->source, akin_span_of(w->file)) ||
        stat(e->source.data, &st))
        return AKIN_OK;
    return akin_fail(
        err, AKIN_EXISTS,
        "id is taken by %.200s; add this folder to a collection of "
        "its own",
        (const char *)e->source.data);
}

static akin_status read_picture(akin__chunk *chunk, akin__work *w,
                                akin_error *err)
{
    if (!w->file) return AKIN_OK;
    size_t limit = (size_t)akin_config_uint(chunk->collection->engine->config,
                                            "picture.max-bytes");
    size_t size;
    akin_status rc = akin_file_read(w->file, limit, &w->bytes, &size, err);
    if (rc) return rc;
    w->in.picture = (akin_span){w->bytes, size};
    return AKIN_OK;
}

/* The item is stored with these very bytes. */
static bool known_bytes(const akin__work *w)
{
    const uint8_t *known = w->existing.content_hash;
    return w->stored && known && !memcmp(known, w->hash, AKIN_HASH_BYTES);
}

/* The embedding of these bytes, from this item or any other. */
static bool reuse_vector(akin__chunk *chunk, akin__work *w)
{
    if (known_bytes(w) && keep_vector(chunk, w, AKIN_SPACE_IMAGE)) return true;
    return akin_storage_vector_by_hash(chunk->collection->engine->storage,
                                       w->hash, chunk->view->fingerprint,
                                       half_row(chunk, w, AKIN_SPACE_IMAGE),
                                       chunk->view->dim, NULL) == AKIN_OK;
}

static akin_status describe_picture(akin__chunk *chunk, akin__work *w,
                                    const akin_picture *picture,
                                    akin_error *err)
{
    uint32_t side = (uint32_t)akin_config_uint(
        chunk->collection->engine->config, "thumbnail.size");
    akin_picture_hashes hashes;

    akin_status rc = akin_picture_hash(picture, &hashes, err);
    if (!rc && side) rc = akin_picture_thumbnail(picture, side, &w->thumb, err);
    if (rc) return rc;
    memcpy(w->pixel_hash, hashes.pixels, AKIN_HASH_BYTES);
    memcpy(w->phashes, hashes.whole.word, sizeof hashes.whole.word);
    memcpy(w->phashes + 4, hashes.trimmed.word, sizeof hashes.trimmed.word);
    w->phashes[8] = hashes.detail;
    memcpy(w->sketch, hashes.sketch, sizeof w->sketch);
    w->width = picture->file_width;
    w->height = picture->file_height;
    memcpy(w->format, picture->format, sizeof w->format);
    w->format[sizeof w->format - 1] = 0;
    w->new_picture = true;
    return AKIN_OK;
}

static akin_status decode_picture(akin__chunk *chunk, akin__work *w,
                                  bool encode, akin_error *err)
{
    const akin_model_info *info = chunk->model->info;
    size_t row_bytes = (size_t)info->image_size * info->image_size * 3;
    akin_picture picture = {0};
    uint8_t *pixels = akin_alloc(row_bytes);

    if (!pixels) return akin__nomem(err);
    akin_status rc =
        akin__decode(chunk->model, w->in.picture, pixels, &picture, err);
    if (!rc) rc = describe_picture(chunk, w, &picture, err);
    if (!rc && encode) { /* a row only for what will be encoded */
        w->pixel_row = atomic_fetch_add(&chunk->rows, 1);
        memcpy(chunk->pixels + w->pixel_row * row_bytes, pixels, row_bytes);
    }
    akin_picture_clear(&picture);
    akin_free(pixels);
    return rc;
}

static akin_status prepare_picture(akin__chunk *chunk, akin__work *w,
                                   akin_error *err)
{
    if (!w->file && !w->in.picture.data) return AKIN_OK;
    if (!chunk->model)
        return akin_fail(err, AKIN_UNSUPPORTED,
                         "the collection holds raw vectors and takes no "
                         "pictures");
    w->known_file = w->file && unchanged_file(w);
    if (w->known_file && !chunk->replace) return AKIN_OK;
    akin_status rc = w->file ? check_owner(w, err) : AKIN_OK;
    if (!rc) rc = read_picture(chunk, w, err);
    if (!rc) rc = akin_sha256_of(w->in.picture, w->hash, err);
    if (rc) return rc;
    w->hashed = true;

    w->has_image = reuse_vector(chunk, w);
    w->result.reused = w->has_image;
    if (w->has_image)
        atomic_fetch_add(&chunk->collection->engine->counters.reused, 1);
    w->norm = 1;
    if (w->has_image && known_bytes(w) && w->existing.pixel_hash &&
        !chunk->replace)
        return AKIN_OK;
    return decode_picture(chunk, w, !w->has_image, err);
}

static akin_status prepare_vector(akin__chunk *chunk, akin__work *w,
                                  akin_error *err)
{
    uint32_t dim = chunk->view->dim;
    if (!w->in.vector) return AKIN_OK;
    if (w->in.picture.data)
        return akin_fail(err, AKIN_INVALID,
                         "an item takes a vector or a picture, not both");
    if (w->in.dim != dim)
        return akin_fail(err, AKIN_INVALID, "expected %u dimensions, got %u",
                         dim, w->in.dim);

    float *copy = akin_alloc(dim * sizeof *copy);
    if (!copy) return akin__nomem(err);
    double square = 0;
    for (uint32_t i = 0; i < dim; i++) {
        copy[i] = w->in.vector[i];
        square += (double)copy[i] * copy[i];
    }
    akin_status rc = AKIN_OK;
    if (akin_normalize(copy, dim))
        akin_half_from_float(half_row(chunk, w, AKIN_SPACE_IMAGE), copy, dim);
    else
        rc = akin_fail(err, AKIN_INVALID,
                       "the vector is zero or not finite and has no direction");
    w->norm = (float)__builtin_sqrt(square);
    w->has_image = !rc;
    akin_free(copy);
    return rc;
}

/* ---- caption ------------------------------------------------------------------------- */

/* What a file itself says: metadata, then (if wanted) its name. */
static char *caption_of_file(const akin__work *w)
{
    char *caption = NULL;
    if (w->caption_from == AKIN_CAPTION_NONE) return NULL;
    if (!strcmp(w->format, "svg")) caption = akin__svg_caption(w->in.picture);
    if (!caption && w->caption_from == AKIN_CAPTION_FILENAME) {
        akin_span name = w->in.path.size ? w->in.path : w->in.id;
        char *copy = akin_strndup(name.data, name.size);
        caption = akin__filename_caption(w->file ? w->file : copy ? copy : "");
        akin_free(copy);
    }
    return caption;
}

static akin_status prepare_caption(akin__chunk *chunk, akin__work *w,
                                   akin_error *err)
{
    if (!w->in.caption.data && (w->file || w->in.make_caption) &&
        w->new_picture) {
        w->made_caption = caption_of_file(w);
        w->in.caption = akin_span_of(w->made_caption);
    }
    akin_span caption = w->in.caption;
    if (!caption.data || !caption.size) return AKIN_OK;
    if (caption.size > AKIN_CAPTION_BYTES)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "caption: expected at most %d bytes, got %zu",
                         AKIN_CAPTION_BYTES, caption.size);
    if (!akin__is_utf8(caption))
        return akin_fail(err, AKIN_INVALID, "the caption is not UTF-8");
    if (!chunk->model) return AKIN_OK; /* stored for full text alone */

    if (w->stored && akin__span_equal(w->existing.caption, caption))
        w->has_caption = keep_vector(chunk, w, AKIN_SPACE_CAPTION);
    w->encode_caption = !w->has_caption;
    return AKIN_OK;
}

/* ---- attributes ------------------------------------------------------------------------ */

static void set_text(json_t *object, const char *key, const char *text,
                     size_t size)
{
    json_object_set_new(object, key, json_stringn(text, size));
}

static void describe_file(const akin__work *w, json_t *object)
{
    const char *id = w->in.id.data;
    const char *slash = memrchr(id, '/', w->in.id.size);
    char modified[32];
    time_t seconds = (time_t)(w->file_mtime_ns / 1000000000);
    struct tm tm;

    set_text(object, "path", id, w->in.id.size);
    set_text(object, "folder", slash ? id : "",
             slash ? (size_t)(slash - id) : 0);
    json_object_set_new(object, "width", json_integer(w->width));
    json_object_set_new(object, "height", json_integer(w->height));
    set_text(object, "format", w->format, strlen(w->format));
    json_object_set_new(object, "bytes", json_integer(w->file_size));
    if (gmtime_r(&seconds, &tm) &&
        strftime(modified, sizeof modified, "%Y-%m-%dT%H:%M:%SZ", &tm))
        set_text(object, "modified", modified, strlen(modified));
}

akin_status akin__check_attributes(akin_span json, akin_error *err)
{
    json_error_t error;
    if (!json.data || !json.size) return AKIN_OK;
    if (json.size > AKIN_ATTRIBUTES_BYTES)
        return akin_fail(err, AKIN_TOO_LARGE,
                         "attributes: expected at most %d bytes, got %zu",
                         AKIN_ATTRIBUTES_BYTES, json.size);
    json_t *object = json_loadb(json.data, json.size, 0, &error);
    akin_status rc = AKIN_OK;
    if (!object)
        rc = akin_fail(err, AKIN_INVALID, "attributes: %s at byte %d",
                       error.text, error.position);
    else if (!json_is_object(object))
        rc = akin_fail(
            err, AKIN_INVALID,
            "attributes: expected a JSON object, like {\"price\": 5}");
    json_decref(object);
    return rc;
}

/* What a folder's pictures are filtered by; what users set beside it stays: what
 * cannot be read of it (an earlier version let that in) is not thrown away. */
static akin_status make_attributes(akin__work *w, akin_error *err)
{
    const akin_item *e = &w->existing;
    bool some = w->stored && e->attributes.size;

    if (!w->describe || !w->new_picture) return AKIN_OK;
    akin_status rc =
        some ? akin__check_attributes(e->attributes, err) : AKIN_OK;
    if (rc) return akin_fail_prefix(err, AKIN_BAD_DATA, "as it is stored");
    json_t *object =
        some ? json_loadb(e->attributes.data, e->attributes.size, 0, NULL)
             : json_object();
    if (!object) return akin__nomem(err);
    describe_file(w, object);
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    w->made_attributes = text ? akin_strdup(text) : NULL;
    free(text);
    w->in.attributes = akin_span_of(w->made_attributes);
    return w->made_attributes ? AKIN_OK : akin__nomem(err);
}

static bool same_json(akin_span a, akin_span b)
{
    if (akin__span_equal(a, b)) return true;
    json_t *x = json_loadb(a.data, a.size, 0, NULL);
    json_t *y = json_loadb(b.data, b.size, 0, NULL);
    bool same = x && y && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

/* ---- the whole item ------------------------------------------------------------------------ */

static akin_status load_existing(akin__chunk *chunk, akin__work *w,
                                 akin_error *err)
{
    akin_status rc = akin_storage_get(
        chunk->collection->engine->storage, chunk->collection->num, w->in.id,
        AKIN_WITH_VECTORS | AKIN_WITH_CAPTION, &w->existing, err);
    w->stored = rc == AKIN_OK;
    return rc == AKIN_NOT_FOUND ? AKIN_OK : rc;
}

/* Nothing that was given differs from what is there. */
static bool nothing_new(const akin__chunk *chunk, const akin__work *w)
{
    const akin_item *e = &w->existing;
    if (!w->known_file || chunk->replace) return false;
    if (w->in.caption.data &&
        (!akin__span_equal(w->in.caption, e->caption) || w->encode_caption))
        return false;
    return !w->in.attributes.data || same_json(w->in.attributes, e->attributes);
}

static akin_status prepare(akin__chunk *chunk, akin__work *w, akin_error *err)
{
    akin_status rc = akin__check_id(w->in.id, err);
    if (!rc && w->in.picture.data && !w->in.picture.size)
        rc = akin_fail(err, AKIN_BAD_DATA, "the picture is empty");
    if (!rc) rc = akin__check_attributes(w->in.attributes, err);
    if (!rc) rc = load_existing(chunk, w, err);
    if (!rc) rc = prepare_vector(chunk, w, err);
    if (!rc) rc = prepare_picture(chunk, w, err);
    if (!rc) rc = prepare_caption(chunk, w, err);
    if (!rc) rc = make_attributes(w, err);
    if (!rc) w->skip = nothing_new(chunk, w);
    return rc;
}

static void prepare_part(void *arg, size_t i)
{
    akin__chunk *chunk = arg;
    akin__work *w = &chunk->works[i];
    akin_error error = {0};

    if (w->result.status) return; /* failed while it was read */
    w->pixel_row = SIZE_MAX;
    akin_status rc = prepare(chunk, w, &error);
    w->result.status = rc;
    if (rc)
        snprintf(w->result.message, sizeof w->result.message, "%.*s",
                 (int)sizeof w->result.message - 1, error.message);
    else if (w->skip)
        w->result.outcome = AKIN_PUT_UNCHANGED;
    akin_free(w->bytes);
    w->bytes = NULL;
    w->in.picture.data = NULL;
}

akin_status akin__chunk_prepare(akin__chunk *chunk, akin_error *err)
{
    size_t side = chunk->model ? chunk->model->info->image_size : 0;
    size_t pictures = 0;

    for (size_t i = 0; i < chunk->n; i++)
        pictures += chunk->works[i].file || chunk->works[i].in.picture.data;
    chunk->halves = akin_calloc(chunk->n * AKIN_SPACES,
                                chunk->view->dim * sizeof *chunk->halves);
    if (pictures && side)
        chunk->pixels = akin_alloc(pictures * side * side * 3);
    if (!chunk->halves || (pictures && side && !chunk->pixels))
        return akin__nomem(err);
    akin_pool_each(chunk->n > 1 ? chunk->collection->engine->decoders : NULL,
                   chunk->n, prepare_part, chunk);
    return AKIN_OK;
}
