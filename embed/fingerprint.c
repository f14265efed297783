/* A model's fingerprint: SHA-256 over its weights, config and tokenizer files.
 *
 * It is computed at every open, because a cache keyed by time stamps could
 * vouch for weights that changed. To cost little it is a tree: each file is cut
 * into pieces of 16 MiB that are hashed on all processors (0.2 s on two cores
 * for the 605 MB of ViT-B/32, which also brings the weights into memory), and
 * the fingerprint is the SHA-256 of
 *     "akin model 1\n"
 *     for each file, in this order: config, preprocessor, tokenizer, weights by
 *     name:  role "\n", size as 8 bytes little-endian, digest of each piece
 * A file that is absent adds nothing. Names of weight files are not part of it:
 * the same bytes in one directory and another are the same model. */
#include "internal.h"

#include <string.h>

#define PIECE_BYTES ((size_t)16 << 20)

typedef struct {
    const char *role;
    akin_span data;
    size_t first_piece;
} source;

typedef struct {
    source *sources;
    size_t count;
    uint8_t (*digests)[AKIN_SHA256_BYTES];
    bool failed;
} tree;

static size_t pieces_of(akin_span data)
{
    return data.size / PIECE_BYTES + (data.size % PIECE_BYTES != 0);
}

static void hash_piece(void *arg, size_t i)
{
    tree *t = arg;
    size_t s = 0, offset, size;

    while (s + 1 < t->count && t->sources[s + 1].first_piece <= i)
        s++;
    offset = (i - t->sources[s].first_piece) * PIECE_BYTES;
    size = t->sources[s].data.size - offset;
    if (size > PIECE_BYTES) size = PIECE_BYTES;
    if (akin_sha256_of(
            (akin_span){(const uint8_t *)t->sources[s].data.data + offset,
                        size},
            t->digests[i], NULL))
        __atomic_store_n(&t->failed, true, __ATOMIC_RELAXED);
}

static akin_status hash_pieces(tree *t, size_t pieces, akin_error *err)
{
    uint32_t threads = akin_cpu_count();
    akin_pool *pool = NULL;
    akin_status rc = AKIN_OK;

    if (pieces > 1 && threads > 1) {
        threads = threads > pieces ? (uint32_t)pieces : threads;
        rc = akin_pool_open(threads > 256 ? 256 : threads - 1, 0, "hash", &pool,
                            err);
        if (rc) return rc;
    }
    akin_pool_each(pool, pieces, hash_piece, t);
    akin_pool_close(pool);
    return t->failed ? akin_fail(err, AKIN_NOMEM, "out of memory") : AKIN_OK;
}

static void hash_tree(const tree *t, akin_sha256 *hash)
{
    static const char title[] = "akin model 1\n";

    akin_sha256_add(hash, title, sizeof title - 1);
    for (size_t i = 0; i < t->count; i++) {
        const source *s = &t->sources[i];
        uint8_t size[8];

        for (int k = 0; k < 8; k++)
            size[k] = (uint8_t)((uint64_t)s->data.size >> 8 * k);
        akin_sha256_add(hash, s->role, strlen(s->role));
        akin_sha256_add(hash, "\n", 1);
        akin_sha256_add(hash, size, sizeof size);
        akin_sha256_add(hash, t->digests[s->first_piece],
                        pieces_of(s->data) * AKIN_SHA256_BYTES);
    }
}

/* Small files that decide what the model gives, in the order of the hash. */
static const struct {
    const char *role, *name;
} small_files[] = {
    {"config", "config.json"},
    {"open_clip config", "open_clip_config.json"},
    {"preprocessor", "preprocessor_config.json"},
    {"tokenizer", "tokenizer.json"},
    {"tokenizer config", "tokenizer_config.json"},
    {"vocabulary", "vocab.json"},
    {"merges", "merges.txt"},
};
#define SMALL_FILES (sizeof small_files / sizeof small_files[0])

static akin_status map_small(const char *dir, const char *name, akin_map *map,
                             akin_error *err)
{
    char *path = akin_format("%s/%s", dir, name);
    akin_error missing;
    akin_status rc;

    if (!path) return akin_fail(err, AKIN_NOMEM, "out of memory");
    rc = akin_map_open(map, path, &missing);
    akin_free(path);
    if (rc == AKIN_NOT_FOUND) {
        *map = (akin_map){0};
        return AKIN_OK;
    }
    if (rc && err) *err = missing;
    return rc;
}

akin_status akin__fingerprint(const char *dir, const akin__tensors *tensors,
                              uint8_t out[AKIN_SHA256_BYTES], akin_error *err)
{
    size_t files = akin__tensors_files(tensors), pieces = 0;
    akin_map maps[SMALL_FILES] = {{0}};
    tree t = {0};
    akin_sha256 *hash = NULL;
    akin_status rc = AKIN_OK;

    t.sources = akin_calloc(SMALL_FILES + files, sizeof *t.sources);
    hash = akin_sha256_begin();
    if (!t.sources || !hash) {
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        goto done;
    }
    for (size_t i = 0; i < SMALL_FILES; i++) {
        rc = map_small(dir, small_files[i].name, &maps[i], err);
        if (rc) goto done;
        if (maps[i].size)
            t.sources[t.count++] =
                (source){small_files[i].role, {maps[i].data, maps[i].size}, 0};
    }
    for (size_t i = 0; i < files; i++) {
        source *s = &t.sources[t.count++];

        s->role = "weights";
        akin__tensors_file(tensors, i, &s->data);
    }
    for (size_t i = 0; i < t.count; i++) {
        t.sources[i].first_piece = pieces;
        pieces += pieces_of(t.sources[i].data);
    }
    t.digests = akin_calloc(pieces, sizeof *t.digests);
    if (!t.digests) {
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        goto done;
    }
    rc = hash_pieces(&t, pieces, err);
    if (!rc) hash_tree(&t, hash);
done:
    if (hash) akin_sha256_finish(hash, rc ? NULL : out);
    for (size_t i = 0; i < SMALL_FILES; i++)
        akin_map_close(&maps[i]);
    akin_free(t.sources);
    akin_free(t.digests);
    return rc;
}
