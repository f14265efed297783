/* Second step of the put pipeline: what prepare.c left to encode, each thing once.
 *
 * Prepare finds what is stored. What came a moment ago may still be on its way to
 * the store, and one batch may hold the same picture or caption many times: those
 * are found here, by the same content hash, in a cache of what was encoded last
 * and among the batch itself. Touches the chunk, whose only owner it is. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#define NO_ROW SIZE_MAX

void akin__work_fail(akin__work *w, akin_status status, const char *message)
{
    w->result.status = status;
    w->result.outcome = AKIN_PUT_FAILED;
    snprintf(w->result.message, sizeof w->result.message, "%.*s",
             (int)sizeof w->result.message - 1, message);
}

void akin__content_key(const akin__model *model, akin_space space,
                       const uint8_t hash[AKIN_HASH_BYTES],
                       uint8_t key[AKIN__CONTENT_KEY])
{
    memcpy(key, model->info->fingerprint_bytes, AKIN_HASH_BYTES);
    memcpy(key + AKIN_HASH_BYTES, hash, AKIN_HASH_BYTES);
    key[2 * AKIN_HASH_BYTES] = (uint8_t)space;
}

typedef struct {
    akin__work *work; /* NULL: nothing */
    uint8_t key[AKIN__CONTENT_KEY];
    size_t row;  /* whose vector it gets; NO_ROW: it has one */
    bool shared; /* the row is another's */
} wanted;

/* The pictures or the captions of a chunk. */
typedef struct {
    akin__chunk *chunk;
    akin_space space;
    wanted *list;
    size_t n, rows; /* wanted; encoded */
    akin_span *texts;
    float *vectors; /* (rows, dim) */
    akin_status *failed;
} step;

static void give(const step *s, akin__work *w, const float *vector, bool reused)
{
    akin__chunk *chunk = s->chunk;
    size_t dim = chunk->view->dim, i = (size_t)(w - chunk->works);

    akin_half_from_float(chunk->halves + (i * AKIN_SPACES + s->space) * dim,
                         vector, dim);
    if (s->space == AKIN_SPACE_IMAGE) {
        w->has_image = true;
        w->result.reused = reused;
    } else {
        w->has_caption = true;
    }
    if (reused)
        atomic_fetch_add(&chunk->collection->engine->counters.reused, 1);
}

/* In the order of chunk->pixels. */
static void list_pictures(step *s)
{
    akin__chunk *chunk = s->chunk;

    s->n = atomic_load(&chunk->rows);
    for (size_t i = 0; i < chunk->n; i++) {
        akin__work *w = &chunk->works[i];

        if (w->pixel_row == SIZE_MAX || w->result.status) continue;
        s->list[w->pixel_row].work = w;
        akin__content_key(chunk->model, s->space, w->hash,
                          s->list[w->pixel_row].key);
    }
}

static akin_status list_captions(step *s, akin_error *err)
{
    akin__chunk *chunk = s->chunk;
    uint8_t hash[AKIN_SHA256_BYTES];

    for (size_t i = 0; i < chunk->n; i++) {
        akin__work *w = &chunk->works[i];

        if (!w->encode_caption || w->result.status) continue;
        akin_status rc = akin_sha256_of(w->in.caption, hash, err);
        if (rc) return rc;
        s->list[s->n].work = w;
        akin__content_key(chunk->model, s->space, hash, s->list[s->n++].key);
    }
    return AKIN_OK;
}

/* Gives each a row: of its own, or that of one before it with the same content.
 * What was encoded lately has its vector afterwards. vectors is used as scratch
 * memory. */
static void find_rows(step *s)
{
    akin__cache *recent = s->chunk->collection->engine->recent;

    for (size_t i = 0; i < s->n; i++) {
        wanted *w = &s->list[i];
        size_t k = 0;

        w->row = NO_ROW;
        if (!w->work) continue;
        if (akin__cache_get(recent, (akin_span){w->key, sizeof w->key},
                            s->vectors, s->chunk->view->dim)) {
            give(s, w->work, s->vectors, true);
            continue;
        }
        while (k < i && (s->list[k].row == NO_ROW ||
                         memcmp(s->list[k].key, w->key, sizeof w->key) != 0))
            k++;
        w->shared = k < i;
        w->row = w->shared ? s->list[k].row : s->rows++;
    }
}

/* Rows to encode move together, to the front. */
static void gather(step *s)
{
    akin__chunk *chunk = s->chunk;
    size_t side =
        s->space == AKIN_SPACE_IMAGE ? chunk->model->info->image_size : 0;
    size_t row_bytes = side * side * 3;

    for (size_t i = 0; i < s->n; i++) {
        const wanted *w = &s->list[i];

        if (w->row == NO_ROW || w->shared) continue;
        if (s->space == AKIN_SPACE_CAPTION)
            s->texts[w->row] = w->work->in.caption;
        else if (w->row != i) /* row < i */
            memcpy(chunk->pixels + w->row * row_bytes,
                   chunk->pixels + i * row_bytes, row_bytes);
    }
}

static void take_vectors(const step *s, const akin_error *err)
{
    akin__cache *recent = s->chunk->collection->engine->recent;
    size_t dim = s->chunk->view->dim;

    for (size_t i = 0; i < s->n; i++) {
        const wanted *w = &s->list[i];
        const float *vector = s->vectors + w->row * dim;

        if (w->row == NO_ROW) continue;
        if (s->failed[w->row]) {
            akin__work_fail(w->work, s->failed[w->row],
                            err ? err->message : "not encoded");
            continue;
        }
        give(s, w->work, vector, w->shared);
        if (!w->shared)
            akin__cache_put(recent, (akin_span){w->key, sizeof w->key}, vector,
                            dim);
    }
}

static akin_status encode_space(akin__chunk *chunk, akin_space space,
                                akin_error *err)
{
    size_t n = chunk->n;
    step s = {.chunk = chunk, .space = space};
    akin_status rc = AKIN_OK;

    s.list = akin_calloc(n, sizeof *s.list);
    s.texts = akin_calloc(n, sizeof *s.texts);
    s.vectors = akin_alloc(n * chunk->view->dim * sizeof *s.vectors);
    s.failed = akin_calloc(n, sizeof *s.failed);
    if (!s.list || !s.texts || !s.vectors || !s.failed) rc = akin__nomem(err);
    if (!rc && space == AKIN_SPACE_IMAGE) list_pictures(&s);
    if (!rc && space == AKIN_SPACE_CAPTION) rc = list_captions(&s, err);
    if (!rc && s.n) {
        find_rows(&s);
        gather(&s);
        rc = akin__encode(chunk->model, AKIN__BULK,
                          space == AKIN_SPACE_IMAGE ? chunk->pixels : NULL,
                          s.texts, s.rows, s.vectors, s.failed, err);
        if (!rc) take_vectors(&s, err);
    }
    akin_free(s.list);
    akin_free(s.texts);
    akin_free(s.vectors);
    akin_free(s.failed);
    return rc;
}

akin_status akin__chunk_encode(akin__chunk *chunk, akin_error *err)
{
    akin_error error = {0};

    if (!chunk->model || !chunk->n) return AKIN_OK;
    akin_status rc = encode_space(chunk, AKIN_SPACE_IMAGE, &error);
    if (!rc) rc = encode_space(chunk, AKIN_SPACE_CAPTION, &error);
    if (rc && err) *err = error;
    akin_free(chunk->pixels);
    chunk->pixels = NULL;
    return rc;
}
