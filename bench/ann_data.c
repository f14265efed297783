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

/* Standard deviation by dimension, squares adding up to 1. */
static void spectrum(float *sigma, uint32_t dim)
{
    double sum = 0;
    for (uint32_t d = 0; d < dim; d++) {
        sigma[d] = powf((float)(d + 4), -0.65f); /* some 50 dimensions count */
        sum += (double)sigma[d] * sigma[d];
    }
    for (uint32_t d = 0; d < dim; d++)
        sigma[d] /= (float)sqrt(sum);
}

static void one_vector(ann_part part, uint64_t cluster, uint64_t seed,
                       const float *sigma, uint32_t dim, uint64_t *state,
                       float *v)
{
    uint64_t offset = seed, gap = seed ^ 0x7e87, center = seed + 31 * cluster;
    float width = 0.35f + 0.35f * (float)uniform(&center);
    float plain = 1 / sqrtf((float)dim);
    for (uint32_t d = 0; d < dim; d++) {
        float mean = 0.75f * bell(&offset), shift = bell(&gap);
        if (part == ANN_TEXT) mean = 0.4f * mean + 0.65f * shift;
        v[d] = mean * plain + 0.5f * sigma[d] * bell(&center) +
               (part == ANN_TEXT ? 1.2f : 1.f) * width * sigma[d] * bell(state);
    }
    akin_normalize(v, dim);
}

akin_status ann_generate(ann_part part, size_t n, uint32_t dim,
                         uint32_t clusters, uint64_t seed, ann_vectors *out,
                         akin_error *err)
{
    uint64_t state = seed * 7919 + 17 * (uint64_t)part;
    float *sigma = akin_calloc(dim, sizeof *sigma);
    float *v = akin_calloc(dim, sizeof *v);
    akin_status rc = make_room(n, dim, out, err);
    if (!rc && (!sigma || !v)) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
    if (rc) goto done;
    spectrum(sigma, dim);
    for (size_t i = 0; i < n; i++) {
        double u = uniform(&state); /* a few clusters are large */
        one_vector(part, (uint64_t)(u * sqrt(u) * clusters), seed, sigma, dim,
                   &state, v);
        akin_half_from_float(out->rows + i * dim, v, dim);
    }
done:
    akin_free(sigma);
    akin_free(v);
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
