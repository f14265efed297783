/* Drift: whether what is put and what is asked lately still looks like what the
 * collection holds. Of each stream (vectors put, by space; questions in words,
 * questions by pictures) the mean of the last few hundred unit vectors is kept,
 * and compared with the mean of the collection, its background:
 *
 *     drift = sqrt((|m - b|^2 - noise) / v)    v = 1 - |b|^2
 *
 * v is the mean squared distance of an item from the background's mean, noise
 * what |m - b|^2 is of two samples of the same. So 0 is "as what is there", and
 * 1 "as far from the middle as an item is". The square of it is the maximum
 * mean discrepancy with the linear kernel (Gretton et al. 2012), in units of the
 * spread. Costs one pass over a vector where one comes in, and a sample of the
 * collection where one asks and something has changed.
 *
 * The index has a measure of its own, by which it is trained again: rows added
 * since training that lie far from its centroids (akin_space_info.drifted). */
#include "internal.h"

#include <math.h>
#include <string.h>

#define WINDOW 256  /* a vector's weight has halved after 177 others */
#define ENOUGH 32   /* vectors before anything is said */
#define SAMPLE 1024 /* of the background */
#define SEED   7

typedef struct {
    float *mean;    /* (dim), weighted */
    double weights; /* sum of the squared weights: 1 / n of a plain mean */
    uint64_t n;
} window;

typedef struct {
    float *mean;  /* (dim) */
    size_t n;     /* sampled; 0: not yet */
    uint64_t seq; /* storage change the sample is of */
} background;

struct akin__drift {
    pthread_mutex_t lock;
    uint32_t dim;
    window put[AKIN_SPACES], asked[AKIN__QUESTIONS];
    background backgrounds[AKIN_SPACES];
    float *scratch; /* (dim), of put */
    float *memory;  /* of all the above */
};

akin_status akin__drift_open(uint32_t dim, akin__drift **out, akin_error *err)
{
    enum { ROWS = 2 * AKIN_SPACES + AKIN__QUESTIONS + 1 };
    akin__drift *d = akin_calloc(1, sizeof *d);
    float *row = akin_calloc((size_t)ROWS * dim, sizeof *row);

    *out = d;
    if (!d || !row) {
        akin_free(row);
        akin_free(d);
        *out = NULL;
        return akin__nomem(err);
    }
    pthread_mutex_init(&d->lock, NULL);
    d->dim = dim;
    d->memory = d->scratch = row;
    for (int i = 0; i < AKIN_SPACES; i++)
        d->put[i].mean = row += dim;
    for (int i = 0; i < AKIN__QUESTIONS; i++)
        d->asked[i].mean = row += dim;
    for (int i = 0; i < AKIN_SPACES; i++)
        d->backgrounds[i].mean = row += dim;
    return AKIN_OK;
}

void akin__drift_close(akin__drift *d)
{
    if (!d) return;
    pthread_mutex_destroy(&d->lock);
    akin_free(d->memory);
    akin_free(d);
}

/* ---- streams ------------------------------------------------------------------------- */

/* A plain mean until the window is full, then an exponential one. */
static void take(window *w, const float *unit, uint32_t dim)
{
    if (w->n < WINDOW) w->n++;
    double a = 1.0 / (double)w->n;
    for (uint32_t i = 0; i < dim; i++)
        w->mean[i] += (float)a * (unit[i] - w->mean[i]);
    w->weights = w->weights * (1 - a) * (1 - a) + a * a;
}

void akin__drift_put(akin__drift *d, akin_space space, const uint16_t *vectors,
                     size_t n)
{
    pthread_mutex_lock(&d->lock);
    for (size_t i = 0; i < n; i++) {
        akin_float_from_half(d->scratch, vectors + i * d->dim, d->dim);
        if (akin_normalize(d->scratch, d->dim))
            take(&d->put[space], d->scratch, d->dim);
    }
    pthread_mutex_unlock(&d->lock);
}

void akin__drift_asked(akin__drift *d, akin__question kind, const float *unit)
{
    pthread_mutex_lock(&d->lock);
    take(&d->asked[kind], unit, d->dim);
    pthread_mutex_unlock(&d->lock);
}

/* ---- the background ------------------------------------------------------------------- */

/* Adds up the unit vectors of the labels; gives how many are still there. */
static size_t add_up(const akin_index *index, uint32_t dim,
                     const uint64_t *labels, size_t n, float *row, double *sum)
{
    size_t got = 0;
    for (size_t i = 0; i < n; i++) {
        if (akin_index_get(index, labels[i], row, NULL) ||
            !akin_normalize(row, dim))
            continue;
        for (uint32_t j = 0; j < dim; j++)
            sum[j] += row[j];
        got++;
    }
    return got;
}

/* Samples one space anew when it has changed. */
static akin_status refresh(akin__view *view, akin_space space, akin_error *err)
{
    akin__drift *d = view->drift;
    background *b = &d->backgrounds[space];
    uint64_t seq = atomic_load(&view->applied[space]);

    pthread_mutex_lock(&d->lock);
    bool fresh = b->n && b->seq == seq;
    pthread_mutex_unlock(&d->lock);
    if (fresh) return AKIN_OK;

    uint64_t *labels = akin_calloc(SAMPLE, sizeof *labels);
    float *row = akin_calloc(d->dim, sizeof *row);
    double *sum = akin_calloc(d->dim, sizeof *sum);
    akin_status rc = labels && row && sum ? AKIN_OK : akin__nomem(err);
    if (!rc) {
        size_t n = akin_index_sample(view->index[space], SEED, SAMPLE, labels);
        n = add_up(view->index[space], d->dim, labels, n, row, sum);
        pthread_mutex_lock(&d->lock);
        for (uint32_t i = 0; i < d->dim && n; i++)
            b->mean[i] = (float)(sum[i] / (double)n);
        b->n = n;
        b->seq = seq;
        pthread_mutex_unlock(&d->lock);
    }
    akin_free(labels);
    akin_free(row);
    akin_free(sum);
    return rc;
}

/* ---- comparing ------------------------------------------------------------------------- */

static double compare(const window *w, const background *b, uint32_t dim)
{
    double apart = 0, length = 0, n = (double)b->n;

    if (w->n < ENOUGH || b->n < ENOUGH) return NAN;
    for (uint32_t i = 0; i < dim; i++) {
        double step = (double)w->mean[i] - b->mean[i];
        apart += step * step;
        length += (double)b->mean[i] * b->mean[i];
    }
    double spread = (1 - length) * n / (n - 1);
    if (spread < 1e-6) return NAN; /* all the same */
    double rest = apart - spread * (w->weights + 1 / n);
    return rest > 0 ? sqrt(rest / spread) : 0;
}

/* Words are compared with captions, where there are some: words and pictures
 * lie apart, whatever they are about. */
static void fill(akin__drift *d, akin_drift *out)
{
    const background *images = &d->backgrounds[AKIN_SPACE_IMAGE];
    const background *captions = &d->backgrounds[AKIN_SPACE_CAPTION];

    pthread_mutex_lock(&d->lock);
    const background *words = captions->n < ENOUGH ? images : captions;
    const background *things = images->n < ENOUGH ? captions : images;
    out->put_image = compare(&d->put[AKIN_SPACE_IMAGE], images, d->dim);
    out->put_caption = compare(&d->put[AKIN_SPACE_CAPTION], captions, d->dim);
    out->asked_text = compare(&d->asked[AKIN__IN_WORDS], words, d->dim);
    out->asked_picture = compare(&d->asked[AKIN__BY_PICTURE], things, d->dim);
    pthread_mutex_unlock(&d->lock);
}

akin_status akin_engine_drift(akin_engine *engine, const char *collection,
                              akin_drift *out, akin_error *err)
{
    akin__collection *c;
    akin_status rc = akin__collection_find(engine, collection, &c, err);

    if (rc) return rc;
    akin__view *view = akin__view_hold(c);
    for (int space = 0; space < AKIN_SPACES && !rc; space++)
        rc = refresh(view, space, err);
    if (!rc) fill(view->drift, out);
    akin__view_release(view);
    akin__collection_release(c);
    return rc;
}
