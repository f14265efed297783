/* Embeddings made before: a hash table with chains and a list in the order of last
 * use. One cache holds query texts, because people ask the same words again and
 * again and encoding them is most of what a text query costs; another what was
 * encoded lately and may not be stored yet. */
#include "internal.h"

#include <string.h>

typedef struct entry {
    struct entry *chain; /* same bucket */
    struct entry *newer, *older;
    uint64_t hash;
    size_t key_size, dim;
    float *vector; /* (dim), then the key */
} entry;

struct akin__cache {
    pthread_mutex_t lock;
    size_t capacity, count, buckets;
    entry **table;
    entry *newest, *oldest;
};

#define LONGEST_KEY 1024 /* longer texts are not asked twice */

static uint64_t hash_of(akin_span key)
{
    const uint8_t *p = key.data;
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < key.size; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h;
}

akin_status akin__cache_open(size_t capacity, akin__cache **out,
                             akin_error *err)
{
    akin__cache *cache = akin_calloc(1, sizeof *cache);
    if (!cache) return akin__nomem(err);
    cache->capacity = capacity;
    for (cache->buckets = 1; cache->buckets < capacity;)
        cache->buckets *= 2;
    cache->table = akin_calloc(cache->buckets, sizeof *cache->table);
    if (!cache->table) {
        akin_free(cache);
        return akin__nomem(err);
    }
    pthread_mutex_init(&cache->lock, NULL);
    *out = cache;
    return AKIN_OK;
}

static void entry_free(entry *e)
{
    akin_free(e->vector);
    akin_free(e);
}

void akin__cache_close(akin__cache *cache)
{
    if (!cache) return;
    for (entry *e = cache->newest, *next; e; e = next) {
        next = e->older;
        entry_free(e);
    }
    pthread_mutex_destroy(&cache->lock);
    akin_free(cache->table);
    akin_free(cache);
}

static void unlink_entry(akin__cache *cache, entry *e)
{
    *(e->newer ? &e->newer->older : &cache->newest) = e->older;
    *(e->older ? &e->older->newer : &cache->oldest) = e->newer;
}

static void link_newest(akin__cache *cache, entry *e)
{
    e->newer = NULL;
    e->older = cache->newest;
    *(e->older ? &e->older->newer : &cache->oldest) = e;
    cache->newest = e;
}

static entry **bucket(akin__cache *cache, uint64_t hash)
{
    return &cache->table[hash & (cache->buckets - 1)];
}

static entry *find(akin__cache *cache, uint64_t hash, akin_span key, size_t dim)
{
    for (entry *e = *bucket(cache, hash); e; e = e->chain)
        if (e->hash == hash && e->dim == dim && e->key_size == key.size &&
            !memcmp(e->vector + dim, key.data, key.size))
            return e;
    return NULL;
}

bool akin__cache_get(akin__cache *cache, akin_span key, float *out, size_t dim)
{
    uint64_t hash = hash_of(key);
    pthread_mutex_lock(&cache->lock);
    entry *e = find(cache, hash, key, dim);
    if (e) {
        memcpy(out, e->vector, dim * sizeof *out);
        unlink_entry(cache, e);
        link_newest(cache, e);
    }
    pthread_mutex_unlock(&cache->lock);
    return e != NULL;
}

static void drop_oldest(akin__cache *cache)
{
    entry *old = cache->oldest, **link = bucket(cache, old->hash);
    while (*link != old)
        link = &(*link)->chain;
    *link = old->chain;
    unlink_entry(cache, old);
    cache->count--;
    entry_free(old);
}

void akin__cache_put(akin__cache *cache, akin_span key, const float *vector,
                     size_t dim)
{
    if (!cache->capacity || key.size > LONGEST_KEY) return;
    entry *e = akin_calloc(1, sizeof *e);
    if (e) e->vector = akin_alloc(dim * sizeof *vector + key.size);
    if (!e || !e->vector) {
        akin_free(e);
        return;
    }
    e->hash = hash_of(key);
    e->key_size = key.size;
    e->dim = dim;
    memcpy(e->vector, vector, dim * sizeof *vector);
    memcpy(e->vector + dim, key.data, key.size);

    pthread_mutex_lock(&cache->lock);
    if (find(cache, e->hash, key, dim)) {
        entry_free(e);
    } else {
        if (cache->count == cache->capacity) drop_oldest(cache);
        e->chain = *bucket(cache, e->hash);
        *bucket(cache, e->hash) = e;
        link_newest(cache, e);
        cache->count++;
    }
    pthread_mutex_unlock(&cache->lock);
}
