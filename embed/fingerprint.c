/* A model's fingerprint: SHA-256 over its weights, config and tokenizer files.
 *
 * To cost little it is a tree: each file is cut into pieces of 16 MiB that are
 * hashed on all processors, and the fingerprint is the SHA-256 of
 *     "akin model 1\n"
 *     for each file, in this order: config, preprocessor, tokenizer, weights by
 *     name:  role "\n", size as 8 bytes little-endian, digest of each piece
 * A file that is absent adds nothing. Names of weight files are not part of it:
 * the same bytes in one directory and another are the same model.
 *
 * Hashing 605 MB (ViT-B/32) takes 0.35 s of CPU, more than all else before a
 * first answer. The digests of large weight files are therefore kept in the
 * user's cache folder, akin/digests-KEY, and believed while device, inode,
 * size, modification and change time of each file are the same. A change time
 * cannot be set back by a program; one that is not older than three seconds is
 * not believed, since a file could change again within a clock tick. The file:
 *     "akin digests 1\n", 7 numbers of 8 bytes for each weight file (see
 *     file_key), the digests, SHA-256 of all that
 * Anything else in its place is as good as none. */
#include "internal.h"

#include <string.h>
#include <sys/stat.h>

#define PIECE_BYTES   ((size_t)16 << 20)
#define KEEP_BYTES    ((size_t)32 << 20) /* of weights: less is hashed at once */
#define KEEP_TITLE    "akin digests 1\n"
#define KEY_NUMBERS   7
#define YOUNG_SECONDS 3

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

/* The first `pieces` of the tree. */
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

/* ---- digests kept ----------------------------------------------------------- */

/* What is compared, and where it is kept. */
typedef struct {
    akin_buf key; /* title and numbers; empty: nothing is kept */
    char *folder, *path;
    int64_t newest; /* change time, seconds since 1970 */
} keeping;

static void add_number(akin_buf *out, int64_t number)
{
    uint8_t bytes[8];

    for (int k = 0; k < 8; k++)
        bytes[k] = (uint8_t)((uint64_t)number >> 8 * k);
    akin_buf_append(out, bytes, sizeof bytes);
}

/* false when the file at path cannot be looked at or has another size than what
 * is mapped. */
static bool file_key(keeping *k, const char *path, size_t size)
{
    struct stat st;
    int64_t numbers[KEY_NUMBERS];

    if (!path || stat(path, &st) || (uint64_t)st.st_size != size) return false;
    numbers[0] = (int64_t)st.st_dev;
    numbers[1] = (int64_t)st.st_ino;
    numbers[2] = (int64_t)st.st_size;
    numbers[3] = (int64_t)st.st_mtim.tv_sec;
    numbers[4] = (int64_t)st.st_mtim.tv_nsec;
    numbers[5] = (int64_t)st.st_ctim.tv_sec;
    numbers[6] = (int64_t)st.st_ctim.tv_nsec;
    for (size_t i = 0; i < KEY_NUMBERS; i++)
        add_number(&k->key, numbers[i]);
    if (numbers[5] > k->newest) k->newest = numbers[5];
    return true;
}

/* The key is empty where weights are small, or there is nowhere to keep them. */
static void keeping_begin(keeping *k, const char *dir,
                          const akin__tensors *tensors)
{
    uint8_t place[AKIN_SHA256_BYTES];
    char hex[2 * AKIN_SHA256_BYTES + 1];
    size_t total = 0;
    bool ok = true;

    *k = (keeping){0};
    akin_buf_text(&k->key, KEEP_TITLE);
    for (size_t i = 0; i < akin__tensors_files(tensors) && ok; i++) {
        akin_span data;
        char *path =
            akin_format("%s/%s", dir, akin__tensors_file(tensors, i, &data));

        ok = file_key(k, path, data.size);
        total += data.size;
        akin_free(path);
    }
    k->folder = akin__cache_folder();
    ok = ok && k->folder && !k->key.failed && total > KEEP_BYTES &&
         akin_sha256_of((akin_span){k->key.data, k->key.size}, place, NULL) ==
             AKIN_OK;
    if (ok) {
        akin_hex(place, 16, hex);
        k->path = akin_format("%s/digests-%s", k->folder, hex);
    }
    if (!k->path) k->key.size = 0;
}

static void keeping_end(keeping *k)
{
    akin_buf_clear(&k->key);
    akin_free(k->folder);
    akin_free(k->path);
}

/* true: all `size` bytes of digests were kept. */
static bool read_digests(const keeping *k, uint8_t *digests, size_t size)
{
    size_t want = k->key.size + size + AKIN_SHA256_BYTES, got = 0;
    uint8_t *data = NULL, sum[AKIN_SHA256_BYTES];
    bool ok;

    if (!k->key.size || akin_file_read(k->path, want, &data, &got, NULL))
        return false;
    ok = got == want && memcmp(data, k->key.data, k->key.size) == 0 &&
         akin_sha256_of((akin_span){data, want - AKIN_SHA256_BYTES}, sum,
                        NULL) == AKIN_OK &&
         memcmp(sum, data + want - AKIN_SHA256_BYTES, sizeof sum) == 0;
    if (ok) memcpy(digests, data + k->key.size, size);
    akin_free(data);
    return ok;
}

/* before: from before the files were read; now: from after, at `seconds`. Failing to keep
 * them costs time, nothing else. */
static void write_digests(const keeping *before, const keeping *now,
                          int64_t seconds, const uint8_t *digests, size_t size)
{
    uint8_t sum[AKIN_SHA256_BYTES];
    akin_buf out = {0};

    if (!before->key.size || before->key.size != now->key.size ||
        memcmp(before->key.data, now->key.data, now->key.size) != 0 ||
        now->newest + YOUNG_SECONDS >= seconds)
        return;
    akin_buf_append(&out, now->key.data, now->key.size);
    akin_buf_append(&out, digests, size);
    if (out.failed ||
        akin_sha256_of((akin_span){out.data, out.size}, sum, NULL))
        goto done;
    akin_buf_append(&out, sum, sizeof sum);
    if (out.failed || akin_dir_make(now->folder, NULL) ||
        akin_file_replace(now->path, (akin_span){out.data, out.size}, NULL))
        akin_log(AKIN_LOG_DEBUG, "digests are not kept in %s", now->path);
done:
    akin_buf_clear(&out);
}

/* All digests: those of weights kept or computed, those of small files always
 * computed. weights: first piece of theirs. */
static akin_status find_digests(tree *t, const char *dir,
                                const akin__tensors *tensors, int64_t seconds,
                                size_t weights, size_t pieces, akin_error *err)
{
    size_t size = (pieces - weights) * AKIN_SHA256_BYTES;
    keeping before, now;
    bool kept;
    akin_status rc;

    keeping_begin(&before, dir, tensors);
    kept = read_digests(&before, t->digests[weights], size);
    rc = hash_pieces(t, kept ? weights : pieces, err);
    if (!rc && !kept) {
        keeping_begin(&now, dir, tensors);
        write_digests(&before, &now, seconds, t->digests[weights], size);
        keeping_end(&now);
    }
    keeping_end(&before);
    return rc;
}

/* ---- a model's files -------------------------------------------------------- */

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
                              int64_t seconds, uint8_t out[AKIN_SHA256_BYTES],
                              akin_error *err)
{
    size_t files = akin__tensors_files(tensors), pieces = 0, weights;
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
    weights = t.sources[t.count - files].first_piece;
    rc = find_digests(&t, dir, tensors, seconds, weights, pieces, err);
    if (!rc) hash_tree(&t, hash);
done:
    if (hash) akin_sha256_finish(hash, rc ? NULL : out);
    for (size_t i = 0; i < SMALL_FILES; i++)
        akin_map_close(&maps[i]);
    akin_free(t.sources);
    akin_free(t.digests);
    return rc;
}
