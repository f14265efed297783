/* Byte-level byte pair encoding with CLIP's end-of-word mark. A word's bytes
 * become one symbol each (the last one with "</w>"), then the neighbouring pair
 * whose merge has the lowest rank, leftmost first, is joined until none is
 * left. A heap of candidate pairs keeps a megabyte-long word at n log n. */
#include "internal.h"

#include <string.h>

#define NONE UINT32_MAX

typedef struct {
    size_t start;
    uint32_t length;
    int32_t id; /* -1: empty slot */
} token_slot;

typedef struct {
    int32_t left, right; /* left -1: empty slot */
    uint32_t rank;
    int32_t id;
} merge_slot;

struct akin__bpe {
    akin_buf text; /* spellings, one after another */
    token_slot *tokens;
    size_t token_count, token_slots; /* slots: a power of two */
    merge_slot *merges;
    size_t merge_count, merge_slots;
    int32_t byte[256], last_byte[256]; /* ids of single bytes */
};

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    h ^= h >> 29;
    h *= 0xbf58476d1ce4e5b9u;
    return h ^ h >> 32;
}

static uint64_t hash_bytes(const uint8_t *p, size_t n)
{
    uint64_t h = n;

    for (; n >= 8; p += 8, n -= 8) {
        uint64_t word;

        memcpy(&word, p, 8);
        h = mix(h ^ word);
    }
    for (; n > 0; p++, n--)
        h = (h ^ *p) * 0x100000001b3u;
    return mix(h);
}

static uint64_t hash_pair(int32_t left, int32_t right)
{
    return mix((uint64_t)(uint32_t)left << 32 | (uint32_t)right);
}

static token_slot *token_place(const akin__bpe *bpe, const void *text,
                               size_t size)
{
    size_t mask = bpe->token_slots - 1, i = hash_bytes(text, size) & mask;

    while (bpe->tokens[i].id >= 0 &&
           (bpe->tokens[i].length != size ||
            memcmp(bpe->text.data + bpe->tokens[i].start, text, size) != 0))
        i = (i + 1) & mask;
    return &bpe->tokens[i];
}

static merge_slot *merge_place(const akin__bpe *bpe, int32_t left,
                               int32_t right)
{
    size_t mask = bpe->merge_slots - 1, i = hash_pair(left, right) & mask;

    while (bpe->merges[i].left >= 0 &&
           (bpe->merges[i].left != left || bpe->merges[i].right != right))
        i = (i + 1) & mask;
    return &bpe->merges[i];
}

static token_slot *new_tokens(size_t slots)
{
    token_slot *tokens = akin_calloc(slots, sizeof *tokens);

    for (size_t i = 0; tokens && i < slots; i++)
        tokens[i].id = -1;
    return tokens;
}

static merge_slot *new_merges(size_t slots)
{
    merge_slot *merges = akin_calloc(slots, sizeof *merges);

    for (size_t i = 0; merges && i < slots; i++)
        merges[i].left = -1;
    return merges;
}

akin_status akin__bpe_open(akin__bpe **out, akin_error *err)
{
    akin__bpe *bpe = akin_calloc(1, sizeof *bpe);

    *out = bpe;
    if (!bpe) return akin_fail(err, AKIN_NOMEM, "out of memory");
    bpe->token_slots = bpe->merge_slots = 4096;
    bpe->tokens = new_tokens(bpe->token_slots);
    bpe->merges = new_merges(bpe->merge_slots);
    if (!bpe->tokens || !bpe->merges) {
        akin__bpe_close(bpe);
        *out = NULL;
        return akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    return AKIN_OK;
}

void akin__bpe_close(akin__bpe *bpe)
{
    if (!bpe) return;
    akin_buf_clear(&bpe->text);
    akin_free(bpe->tokens);
    akin_free(bpe->merges);
    akin_free(bpe);
}

static akin_status widen_tokens(akin__bpe *bpe, akin_error *err)
{
    token_slot *old = bpe->tokens, *wide = new_tokens(2 * bpe->token_slots);
    size_t slots = bpe->token_slots;

    if (!wide) return akin_fail(err, AKIN_NOMEM, "out of memory");
    bpe->tokens = wide;
    bpe->token_slots = 2 * slots;
    for (size_t i = 0; i < slots; i++) {
        if (old[i].id >= 0)
            *token_place(bpe, bpe->text.data + old[i].start, old[i].length) =
                old[i];
    }
    akin_free(old);
    return AKIN_OK;
}

static akin_status widen_merges(akin__bpe *bpe, akin_error *err)
{
    merge_slot *old = bpe->merges, *wide = new_merges(2 * bpe->merge_slots);
    size_t slots = bpe->merge_slots;

    if (!wide) return akin_fail(err, AKIN_NOMEM, "out of memory");
    bpe->merges = wide;
    bpe->merge_slots = 2 * slots;
    for (size_t i = 0; i < slots; i++) {
        if (old[i].left >= 0)
            *merge_place(bpe, old[i].left, old[i].right) = old[i];
    }
    akin_free(old);
    return AKIN_OK;
}

akin_status akin__bpe_add_token(akin__bpe *bpe, const char *token, int32_t id,
                                akin_error *err)
{
    size_t size = strlen(token);
    token_slot *slot;
    akin_status rc;

    if (2 * (bpe->token_count + 1) > bpe->token_slots) {
        rc = widen_tokens(bpe, err);
        if (rc) return rc;
    }
    slot = token_place(bpe, token, size);
    if (slot->id >= 0)
        return akin_fail(err, AKIN_CORRUPT, "token %.40s is there twice",
                         token);
    *slot = (token_slot){bpe->text.size, (uint32_t)size, id};
    akin_buf_append(&bpe->text, token, size);
    if (bpe->text.failed) return akin_fail(err, AKIN_NOMEM, "out of memory");
    bpe->token_count++;
    return AKIN_OK;
}

int32_t akin__bpe_find(const akin__bpe *bpe, akin_span token)
{
    return token_place(bpe, token.data, token.size)->id;
}

static int shown(akin_span text)
{
    return text.size < 40 ? (int)text.size : 40;
}

akin_status akin__bpe_add_merge(akin__bpe *bpe, akin_span left, akin_span right,
                                akin_error *err)
{
    int32_t a = akin__bpe_find(bpe, left), b = akin__bpe_find(bpe, right), id;
    akin_buf both = {0};
    merge_slot *slot;
    akin_status rc;

    akin_buf_append(&both, left.data, left.size);
    akin_buf_append(&both, right.data, right.size);
    if (both.failed) {
        akin_buf_clear(&both);
        return akin_fail(err, AKIN_NOMEM, "out of memory");
    }
    id = akin__bpe_find(bpe, (akin_span){both.data, both.size});
    akin_buf_clear(&both);
    if (a < 0 || b < 0 || id < 0)
        return akin_fail(err, AKIN_CORRUPT,
                         "merge %zu (%.*s %.*s): not in the vocabulary",
                         bpe->merge_count, shown(left), (const char *)left.data,
                         shown(right), (const char *)right.data);
    if (2 * (bpe->merge_count + 1) > bpe->merge_slots) {
        rc = widen_merges(bpe, err);
        if (rc) return rc;
    }
    slot = merge_place(bpe, a, b);
    if (slot->left < 0) /* of a pair listed twice the first rank counts */
        *slot = (merge_slot){a, b, (uint32_t)bpe->merge_count, id};
    bpe->merge_count++;
    return AKIN_OK;
}

/* Bytes that print stand for themselves; the others, in order, for U+0100 and
 * up (GPT-2's table). */
static uint32_t byte_symbol(uint32_t byte)
{
    uint32_t next = 256;

    for (uint32_t b = 0; b < 256; b++) {
        bool prints = (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad);

        if (b == byte) return prints ? b : next;
        if (!prints) next++;
    }
    return 0;
}

akin_status akin__bpe_finish(akin__bpe *bpe, int32_t unknown, akin_error *err)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t c = byte_symbol(b);
        char text[8];
        size_t n = 0;

        if (c < 0x80) {
            text[n++] = (char)c;
        } else {
            text[n++] = (char)(0xc0 | c >> 6);
            text[n++] = (char)(0x80 | (c & 63));
        }
        bpe->byte[b] = akin__bpe_find(bpe, (akin_span){text, n});
        memcpy(text + n, "</w>", 4);
        bpe->last_byte[b] = akin__bpe_find(bpe, (akin_span){text, n + 4});
        if (bpe->byte[b] < 0) bpe->byte[b] = unknown;
        if (bpe->last_byte[b] < 0) bpe->last_byte[b] = unknown;
        if (bpe->byte[b] < 0 || bpe->last_byte[b] < 0)
            return akin_fail(err, AKIN_CORRUPT,
                             "byte %u is not in the vocabulary", b);
    }
    return AKIN_OK;
}

/* ---- encoding -------------------------------------------------------------- */

typedef struct {
    int32_t id; /* -1: joined to the symbol before */
    uint32_t before, after;
} symbol;

typedef struct {
    uint32_t rank, place; /* of the left symbol */
    int32_t left, right;  /* ids when it was noted; it is stale if changed */
    int32_t id;
} candidate;

typedef struct {
    const akin__bpe *bpe;
    symbol *symbols;
    candidate *heap;
    size_t heap_size;
} joiner;

static bool sooner(const candidate *a, const candidate *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->place < b->place;
}

static void heap_push(joiner *j, candidate c)
{
    size_t i = j->heap_size++;

    while (i > 0 && sooner(&c, &j->heap[(i - 1) / 2])) {
        j->heap[i] = j->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    j->heap[i] = c;
}

static candidate heap_pop(joiner *j)
{
    candidate top = j->heap[0], last = j->heap[--j->heap_size];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= j->heap_size) break;
        if (child + 1 < j->heap_size &&
            sooner(&j->heap[child + 1], &j->heap[child]))
            child++;
        if (!sooner(&j->heap[child], &last)) break;
        j->heap[i] = j->heap[child];
        i = child;
    }
    j->heap[i] = last;
    return top;
}

/* Notes the pair that starts at symbol `place`, if it can be merged. */
static void consider(joiner *j, uint32_t place)
{
    const symbol *s = &j->symbols[place];
    const merge_slot *merge;

    if (s->after == NONE) return;
    merge = merge_place(j->bpe, s->id, j->symbols[s->after].id);
    if (merge->left >= 0)
        heap_push(j, (candidate){merge->rank, place, merge->left, merge->right,
                                 merge->id});
}

static void join(joiner *j)
{
    while (j->heap_size > 0) {
        candidate c = heap_pop(j);
        symbol *s = &j->symbols[c.place], *next;

        if (s->id != c.left || s->after == NONE ||
            j->symbols[s->after].id != c.right)
            continue;
        next = &j->symbols[s->after];
        s->id = c.id;
        s->after = next->after;
        next->id = -1;
        if (s->after != NONE) j->symbols[s->after].before = c.place;
        if (s->before != NONE) consider(j, s->before);
        consider(j, c.place);
    }
}

akin_status akin__bpe_encode(const akin__bpe *bpe, akin_span word,
                             akin_buf *out, akin_error *err)
{
    const uint8_t *bytes = word.data;
    size_t n = word.size;
    joiner j = {.bpe = bpe};
    akin_status rc = AKIN_OK;

    if (n == 0) return AKIN_OK;
    if (n >= UINT32_MAX / 4)
        return akin_fail(err, AKIN_TOO_LARGE, "word of %zu bytes", n);
    /* every join takes one symbol away and notes at most two pairs */
    j.symbols = akin_calloc(n, sizeof *j.symbols);
    j.heap = akin_calloc(3 * n, sizeof *j.heap);
    if (!j.symbols || !j.heap) {
        rc = akin_fail(err, AKIN_NOMEM, "out of memory");
        goto done;
    }
    for (uint32_t i = 0; i < n; i++)
        j.symbols[i] =
            (symbol){i + 1 < n ? bpe->byte[bytes[i]] : bpe->last_byte[bytes[i]],
                     i > 0 ? i - 1 : NONE, i + 1 < n ? i + 1 : NONE};
    for (uint32_t i = 0; i < n; i++)
        consider(&j, i);
    join(&j);
    for (uint32_t i = 0; i != NONE; i = j.symbols[i].after)
        akin_buf_append(out, &j.symbols[i].id, sizeof j.symbols[i].id);
    if (out->failed) rc = akin_fail(err, AKIN_NOMEM, "out of memory");
done:
    akin_free(j.symbols);
    akin_free(j.heap);
    return rc;
}
