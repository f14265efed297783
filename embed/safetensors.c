/* Weight files: 8 bytes little-endian header length, a JSON object that maps
 * tensor names to dtype, shape and byte range, then the bytes. Files are mapped
 * and stay so; tensors point into the mapping. Nothing in the header is
 * believed: ranges must lie in the file, must not overlap or leave holes (the
 * reference reader refuses both), and must have the size that shape and dtype
 * give. Large models come in shards, listed by a .index.json. */
#include "internal.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_LIMIT (16u << 20) /* a ViT-bigG header has 150 KB */
#define INDEX_LIMIT  (16u << 20)
#define FILES_LIMIT  256u

typedef struct {
    char *name; /* without folder */
    akin_map map;
} weight_file;

struct akin__tensors {
    akin__tensor *list; /* sorted by name */
    size_t count, capacity;
    weight_file *files;
    size_t file_count, file_capacity;
};

static const struct {
    const char *name;
    akin__dtype dtype;
    uint32_t bits;
} dtypes[] = {
    {"F32", AKIN__F32, 32},      {"F16", AKIN__F16, 16},
    {"BF16", AKIN__BF16, 16},    {"F64", AKIN__OTHER, 64},
    {"I64", AKIN__OTHER, 64},    {"I32", AKIN__OTHER, 32},
    {"I16", AKIN__OTHER, 16},    {"I8", AKIN__OTHER, 8},
    {"U64", AKIN__OTHER, 64},    {"U32", AKIN__OTHER, 32},
    {"U16", AKIN__OTHER, 16},    {"U8", AKIN__OTHER, 8},
    {"BOOL", AKIN__OTHER, 8},    {"F8_E4M3", AKIN__OTHER, 8},
    {"F8_E5M2", AKIN__OTHER, 8},
};

static uint64_t read_u64(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* *out = a * b, false on overflow. */
static bool times(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* A JSON array of n non-negative integers. */
static bool read_integers(const json_t *array, uint64_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);

        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return false;
        out[i] = (uint64_t)json_integer_value(item);
    }
    return true;
}

static akin_status read_dtype(const json_t *entry, akin__tensor *t,
                              uint32_t *bits, akin_error *err)
{
    const char *text = json_string_value(json_object_get(entry, "dtype"));

    if (!text)
        return akin_fail(err, AKIN_CORRUPT, "tensor %s: no dtype", t->name);
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(text, dtypes[i].name) == 0) {
            t->dtype = dtypes[i].dtype;
            *bits = dtypes[i].bits;
            return AKIN_OK;
        }
    }
    return akin_fail(err, AKIN_UNSUPPORTED, "tensor %s: unknown dtype %.40s",
                     t->name, text);
}

/* Fills t from its header entry; data_bytes is what follows the header. */
static akin_status read_entry(const json_t *entry, const uint8_t *data,
                              uint64_t data_bytes, akin__tensor *t,
                              akin_error *err)
{
    const json_t *shape = json_object_get(entry, "shape");
    const json_t *range = json_object_get(entry, "data_offsets");
    uint64_t ends[2], want;
    uint32_t bits = 0;
    akin_status rc = read_dtype(entry, t, &bits, err);

    if (rc) return rc;
    if (!json_is_array(shape) || json_array_size(shape) > AKIN__MAX_RANK ||
        !read_integers(shape, t->shape, json_array_size(shape)))
        return akin_fail(err, AKIN_CORRUPT,
                         "tensor %s: shape is not a list of at most %d sizes",
                         t->name, AKIN__MAX_RANK);
    if (!json_is_array(range) || json_array_size(range) != 2 ||
        !read_integers(range, ends, 2))
        return akin_fail(err, AKIN_CORRUPT,
                         "tensor %s: data_offsets are not two offsets",
                         t->name);
    t->rank = (uint32_t)json_array_size(shape);
    t->count = 1;
    for (uint32_t i = 0; i < t->rank; i++) {
        if (!times(t->count, t->shape[i], &t->count))
            return akin_fail(err, AKIN_CORRUPT, "tensor %s: shape overflows",
                             t->name);
    }
    if (!times(t->count, bits / 8, &want))
        return akin_fail(err, AKIN_CORRUPT, "tensor %s: shape overflows",
                         t->name);
    if (ends[0] > ends[1] || ends[1] > data_bytes)
        return akin_fail(err, AKIN_CORRUPT,
                         "tensor %s: bytes %llu to %llu are outside the %llu "
                         "bytes of data (file cut short?)",
                         t->name, (unsigned long long)ends[0],
                         (unsigned long long)ends[1],
                         (unsigned long long)data_bytes);
    if (ends[1] - ends[0] != want)
        return akin_fail(err, AKIN_CORRUPT,
                         "tensor %s: expected %llu bytes, got %llu", t->name,
                         (unsigned long long)want,
                         (unsigned long long)(ends[1] - ends[0]));
    t->data = data + ends[0];
    t->size = (size_t)want;
    return AKIN_OK;
}

static int by_place(const void *a, const void *b)
{
    const akin__tensor *x = a, *y = b;

    if (x->data != y->data) return x->data < y->data ? -1 : 1;
    return x->size < y->size ? -1 : x->size > y->size;
}

static int by_name(const void *a, const void *b)
{
    const akin__tensor *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* The n tensors of one file must cover its data exactly once. */
static akin_status check_cover(akin__tensor *list, size_t n,
                               const uint8_t *data, uint64_t data_bytes,
                               akin_error *err)
{
    const uint8_t *end = data;

    qsort(list, n, sizeof *list, by_place);
    for (size_t i = 0; i < n; i++) {
        if (list[i].data != end)
            return akin_fail(err, AKIN_CORRUPT, "tensor %s: its bytes %s",
                             list[i].name,
                             list[i].data < end ? "overlap another tensor's"
                                                : "leave a gap before them");
        end += list[i].size;
    }
    if (end != data + data_bytes)
        return akin_fail(err, AKIN_CORRUPT, "%llu bytes after the last tensor",
                         (unsigned long long)(data + data_bytes - end));
    return AKIN_OK;
}

static akin_status read_header(akin__tensors *set, json_t *header,
                               const uint8_t *data, uint64_t data_bytes,
                               akin_error *err)
{
    size_t first = set->count;
    const char *name;
    json_t *entry;
    akin_status rc;

    rc = akin_grow(&set->list, &set->capacity,
                   set->count + json_object_size(header), sizeof *set->list,
                   err);
    if (rc) return rc;
    json_object_foreach(header, name, entry)
    {
        akin__tensor *t = &set->list[set->count];

        if (strcmp(name, "__metadata__") == 0) continue;
        *t = (akin__tensor){.name = akin_strdup(name)};
        if (!t->name) return akin_fail(err, AKIN_NOMEM, "out of memory");
        set->count++;
        rc = read_entry(entry, data, data_bytes, t, err);
        if (rc) return rc;
    }
    return check_cover(set->list + first, set->count - first, data, data_bytes,
                       err);
}

static akin_status parse_file(akin__tensors *set, const akin_map *map,
                              akin_error *err)
{
    json_error_t bad;
    json_t *header;
    uint64_t length;
    akin_status rc;

    if (map->size < 8)
        return akin_fail(err, AKIN_CORRUPT,
                         "%zu bytes are too few for a safetensors file",
                         map->size);
    length = read_u64(map->data);
    if (length > map->size - 8)
        return akin_fail(err, AKIN_CORRUPT,
                         "header of %llu bytes in a file of %zu (cut short, or "
                         "not a safetensors file)",
                         (unsigned long long)length, map->size);
    if (length > HEADER_LIMIT)
        return akin_fail(err, AKIN_CORRUPT,
                         "header of %llu bytes, more than the limit of %u",
                         (unsigned long long)length, HEADER_LIMIT);
    header = json_loadb((const char *)map->data + 8, (size_t)length,
                        JSON_REJECT_DUPLICATES, &bad);
    if (!json_is_object(header)) {
        rc = akin_fail(err, AKIN_CORRUPT, "header is not a JSON object: %s",
                       header ? "another type" : bad.text);
    } else {
        rc = read_header(set, header, map->data + 8 + length,
                         map->size - 8 - length, err);
    }
    json_decref(header);
    return rc;
}

static akin_status add_file(akin__tensors *set, const char *path,
                            akin_error *err)
{
    const char *slash = strrchr(path, '/');
    weight_file *file;
    akin_status rc;

    rc = akin_grow(&set->files, &set->file_capacity, set->file_count + 1,
                   sizeof *set->files, err);
    if (rc) return rc;
    file = &set->files[set->file_count];
    *file = (weight_file){.name = akin_strdup(slash ? slash + 1 : path)};
    if (!file->name) return akin_fail(err, AKIN_NOMEM, "out of memory");
    set->file_count++;
    rc = akin_map_open(&file->map, path, err);
    if (rc) return rc;
    rc = parse_file(set, &file->map, err);
    if (rc) return akin_fail_prefix(err, rc, "%s", path);
    return AKIN_OK;
}

static int by_string(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Opens each shard that the index names, once, in order of names. */
static akin_status add_shards(akin__tensors *set, const char *path,
                              const json_t *weight_map, akin_error *err)
{
    size_t n = json_object_size(weight_map), used = 0;
    const char **names = akin_calloc(n + 1, sizeof *names);
    const char *key, *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path + 1) : 0;
    akin_status rc = AKIN_OK;
    json_t *value;

    if (!names) return akin_fail(err, AKIN_NOMEM, "out of memory");
    json_object_foreach((json_t *)weight_map, key, value)
    {
        const char *file = json_string_value(value);

        if (!file || !*file || strchr(file, '/')) {
            rc = akin_fail(err, AKIN_CORRUPT,
                           "%s: tensor %s: not the name of a file beside it",
                           path, key);
            goto done;
        }
        names[used++] = file;
    }
    qsort(names, used, sizeof *names, by_string);
    for (size_t i = 0; i < used && !rc; i++) {
        char *full;

        if (i && strcmp(names[i], names[i - 1]) == 0) continue;
        if (set->file_count == FILES_LIMIT) {
            rc = akin_fail(err, AKIN_CORRUPT, "%s: more than %u files", path,
                           FILES_LIMIT);
            break;
        }
        full = akin_format("%.*s%s", folder, path, names[i]);
        rc = full ? add_file(set, full, err)
                  : akin_fail(err, AKIN_NOMEM, "out of memory");
        akin_free(full);
    }
done:
    akin_free(names);
    return rc;
}

static akin_status add_index(akin__tensors *set, const char *path,
                             akin_error *err)
{
    uint8_t *text = NULL;
    size_t size = 0;
    json_error_t bad;
    json_t *root;
    const json_t *weight_map;
    akin_status rc;

    rc = akin_file_read(path, INDEX_LIMIT, &text, &size, err);
    if (rc) return rc;
    root = json_loadb((const char *)text, size, JSON_REJECT_DUPLICATES, &bad);
    weight_map = json_object_get(root, "weight_map");
    if (!root)
        rc = akin_fail(err, AKIN_CORRUPT, "%s: line %d: %s", path, bad.line,
                       bad.text);
    else if (!json_is_object(weight_map))
        rc = akin_fail(err, AKIN_CORRUPT, "%s: no weight_map", path);
    else
        rc = add_shards(set, path, weight_map, err);
    json_decref(root);
    akin_free(text);
    return rc;
}

akin_status akin__tensors_open(const char *path, akin__tensors **out,
                               akin_error *err)
{
    akin__tensors *set = akin_calloc(1, sizeof *set);
    size_t length = strlen(path);
    akin_status rc;

    *out = NULL;
    if (!set) return akin_fail(err, AKIN_NOMEM, "out of memory");
    if (length > 5 && strcmp(path + length - 5, ".json") == 0)
        rc = add_index(set, path, err);
    else
        rc = add_file(set, path, err);
    if (rc) goto failed;
    qsort(set->list, set->count, sizeof *set->list, by_name);
    for (size_t i = 1; i < set->count; i++) {
        if (strcmp(set->list[i].name, set->list[i - 1].name) == 0) {
            rc = akin_fail(err, AKIN_CORRUPT, "%s: tensor %s is there twice",
                           path, set->list[i].name);
            goto failed;
        }
    }
    *out = set;
    return AKIN_OK;

failed:
    akin__tensors_close(set);
    return rc;
}

void akin__tensors_close(akin__tensors *set)
{
    if (!set) return;
    for (size_t i = 0; i < set->count; i++)
        akin_free(set->list[i].name);
    for (size_t i = 0; i < set->file_count; i++) {
        akin_map_close(&set->files[i].map);
        akin_free(set->files[i].name);
    }
    akin_free(set->list);
    akin_free(set->files);
    akin_free(set);
}

const akin__tensor *akin__tensors_find(const akin__tensors *set,
                                       const char *name)
{
    size_t low = 0, high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(set->list[middle].name, name);

        if (order == 0) return &set->list[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

size_t akin__tensors_files(const akin__tensors *set)
{
    return set->file_count;
}

const char *akin__tensors_file(const akin__tensors *set, size_t i,
                               akin_span *contents)
{
    *contents = (akin_span){set->files[i].map.data, set->files[i].map.size};
    return set->files[i].name;
}

void akin__tensor_read(const akin__tensor *tensor, uint64_t first, size_t n,
                       float *out)
{
    uint16_t chunk[512];

    if (tensor->dtype == AKIN__F32) {
        memcpy(out, tensor->data + 4 * first, 4 * n);
        return;
    }
    while (n > 0) {
        size_t now = n < 512 ? n : 512;

        memcpy(chunk, tensor->data + 2 * first, 2 * now);
        if (tensor->dtype == AKIN__F16) {
            akin_float_from_half(out, chunk, now);
        } else {
            for (size_t i = 0; i < now; i++) {
                uint32_t bits = (uint32_t)chunk[i] << 16;

                memcpy(out + i, &bits, 4);
            }
        }
        first += now;
        out += now;
        n -= now;
    }
}
