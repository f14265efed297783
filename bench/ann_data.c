#include "ann_data.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15ull; /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/* Near enough to normal: the sum of four uniforms, variance 1. */
static float bell(uint64_t *state)
{
    uint64_t b = random_bits(state);
    int sum = (int)(b & 0xffff) + (int)(b >> 16 & 0xffff) +
              (int)(b >> 32 & 0xffff) + (int)(b >> 48);
    return ((float)sum - 131070) * (1.7320508f / 65536);
}

static double uniform(uint64_t *state)
{
    return (double)(random_bits(state) >> 11) * 0x1p-53;
}

static akin_status make_room(size_t n, uint32_t dim, ann_vectors *out,
                             akin_error *err)
{
    *out = (ann_vectors){.dim = dim, .n = n};
    out->rows = akin_calloc(n, dim * sizeof(uint16_t));
    if (out->rows) return AKIN_OK;
    return akin_fail(err, AKIN_NOMEM, "out of memory for %zu vectors", n);
}

/* What the parts of one seed share. */
typedef struct {
    uint32_t dim, clusters;
    float *offset, *gap; /* (dim): of all; between texts and pictures */
    float *centers;      /* (clusters, dim) */
    float *directions;   /* (clusters, LOCAL, dim): how a cluster spreads */
    float *v;            /* (dim) */
} world;

#define LOCAL 24 /* dimensions that a neighbourhood has, about as pictures do */

static akin_status world_init(world *s, uint32_t dim, uint32_t clusters,
                              uint64_t seed, akin_error *err)
{
    size_t n = (size_t)clusters * dim;
    float plain = 1 / sqrtf((float)dim);
    *s = (world){.dim = dim, .clusters = clusters};
    s->offset = akin_calloc(dim, sizeof *s->offset);
    s->gap = akin_calloc(dim, sizeof *s->gap);
    s->centers = akin_calloc(n, sizeof *s->centers);
    s->directions = akin_calloc(n * LOCAL, sizeof *s->directions);
    s->v = akin_calloc(dim, sizeof *s->v);
    if (!s->offset || !s->gap || !s->centers || !s->directions || !s->v)
        return akin_fail(err, AKIN_NOMEM, "out of memory for %u clusters",
                         clusters);
    for (uint32_t d = 0; d < dim; d++) {
        s->offset[d] = 0.71f * plain * bell(&seed);
        s->gap[d] = 0.71f * plain * bell(&seed);
    }
    for (size_t i = 0; i < n; i++) /* variance falls along the dimensions */
        s->centers[i] = 0.48f * plain * bell(&seed) *
                        sqrtf(2 / (0.3f + 4 * (float)(i % dim) / (float)dim));
    for (size_t i = 0; i < n * LOCAL; i++) {
        size_t direction = i / dim % LOCAL, cluster = i / dim / LOCAL;
        float width = 0.6f + 0.8f * (float)(cluster * 7919 % 1000) / 1000;
        s->directions[i] = 0.07f * width * plain * bell(&seed) /
                           sqrtf(0.25f + (float)direction / LOCAL);
    }
    return AKIN_OK;
}

static void world_clear(world *s)
{
    akin_free(s->offset);
    akin_free(s->gap);
    akin_free(s->centers);
    akin_free(s->directions);
    akin_free(s->v);
}

static void one_vector(world *s, ann_part part, uint64_t *state, uint16_t *out)
{
    double u = uniform(state); /* some clusters are larger */
    size_t cluster = (size_t)(u * sqrt(u) * s->clusters);
    const float *center = s->centers + cluster * s->dim;
    const float *direction = s->directions + cluster * LOCAL * s->dim;
    bool text = part == ANN_TEXT;
    float grain = (text ? 0.3f : 0.15f) / sqrtf((float)s->dim);
    for (uint32_t d = 0; d < s->dim; d++)
        s->v[d] =
            center[d] + grain * bell(state) +
            (text ? 0.4f * s->offset[d] + 0.9f * s->gap[d] : s->offset[d]);
    for (size_t j = 0; j < LOCAL; j++, direction += s->dim) {
        float x = bell(state);
        for (uint32_t d = 0; d < s->dim; d++)
            s->v[d] += x * direction[d];
    }
    akin_normalize(s->v, s->dim);
    akin_half_from_float(out, s->v, s->dim);
}

akin_status ann_generate(ann_part part, size_t n, uint32_t dim,
                         uint32_t clusters, uint64_t seed, ann_vectors *out,
                         akin_error *err)
{
    uint64_t state = seed * 7919 + 17 * (uint64_t)part;
    world s = {0};
    akin_status rc = make_room(n, dim, out, err);
    if (!rc) rc = world_init(&s, dim, clusters, seed, err);
    for (size_t i = 0; !rc && i < n; i++)
        one_vector(&s, part, &state, out->rows + i * dim);
    world_clear(&s);
    if (rc) ann_clear(out);
    return rc;
}

/* ---- files ------------------------------------------------------------------ */

static akin_status load_fvecs(const akin_map *map, const char *path,
                              size_t most, ann_vectors *out, akin_error *err)
{
    int32_t dim = 0;
    size_t width, n;
    if (map->size >= 4) memcpy(&dim, map->data, 4);
    if (dim < 1 || dim > 65536)
        return akin_fail(err, AKIN_BAD_DATA, "%s: not an .fvecs file", path);
    width = 4 + 4 * (size_t)dim;
    n = map->size / width;
    if (most && n > most) n = most;
    akin_status rc = make_room(n, (uint32_t)dim, out, err);
    for (size_t i = 0; !rc && i < n; i++)
        akin_half_from_float(out->rows + i * (size_t)dim,
                             (const void *)(map->data + i * width + 4),
                             (size_t)dim);
    return rc;
}

/* NumPy's format 1.0 and 2.0: magic, version, header length, a Python dict. */
static akin_status load_npy(const akin_map *map, const char *path, size_t most,
                            ann_vectors *out, akin_error *err)
{
    char header[512] = "";
    const char *shape;
    unsigned long long n = 0, dim = 0;
    size_t at = map->size > 12 && map->data[6] >= 2 ? 12 : 10, length, width;
    bool half;
    if (map->size < 64 || memcmp(map->data, "\x93NUMPY", 6) != 0)
        return akin_fail(err, AKIN_BAD_DATA, "%s: not an .npy file", path);
    length = map->data[8] + 256u * map->data[9];
    if (at + length > map->size || length >= sizeof header)
        return akin_fail(err, AKIN_BAD_DATA, "%s: header too long", path);
    memcpy(header, map->data + at, length);
    half = strstr(header, "'<f2'") != NULL;
    shape = strstr(header, "'shape': (");
    if ((!half && !strstr(header, "'<f4'")) || !shape ||
        strstr(header, "'fortran_order': True") ||
        sscanf(shape, "'shape': (%llu, %llu", &n, &dim) != 2 || dim < 1 ||
        dim > 65536)
        return akin_fail(err, AKIN_BAD_DATA,
                         "%s: expected a 2-d array of float32 or float16",
                         path);
    width = (size_t)dim * (half ? 2 : 4);
    if (n > (map->size - at - length) / width)
        return akin_fail(err, AKIN_BAD_DATA, "%s: cut short", path);
    if (most && n > most) n = most;
    akin_status rc = make_room((size_t)n, (uint32_t)dim, out, err);
    if (rc) return rc;
    if (half)
        memcpy(out->rows, map->data + at + length, (size_t)n * width);
    else
        akin_half_from_float(out->rows, (const void *)(map->data + at + length),
                             (size_t)(n * dim));
    return AKIN_OK;
}

akin_status ann_load(const char *path, size_t most, ann_vectors *out,
                     akin_error *err)
{
    const char *dot = strrchr(path, '.');
    akin_map map;
    akin_status rc = akin_map_open(&map, path, err);
    if (rc) return rc;
    if (dot && strcmp(dot, ".fvecs") == 0)
        rc = load_fvecs(&map, path, most, out, err);
    else
        rc = load_npy(&map, path, most, out, err);
    akin_map_close(&map);
    return rc;
}

void ann_clear(ann_vectors *v)
{
    akin_free(v->rows);
    memset(v, 0, sizeof *v);
}
