/* The delta: rows newer than the generation, in chunks that double, so that a
 * row never moves and a reader needs no lock. Memory of a chunk that is not
 * used yet is not touched, so it costs address space only. */
#include "internal.h"

#include <string.h>

akin__delta *akin__delta_new(uint32_t dim)
{
    akin__delta *delta = akin_calloc(1, sizeof *delta);
    if (!delta) return NULL;
    atomic_init(&delta->refs, 1);
    delta->dim = dim;
    return delta;
}

void akin__delta_unref(akin__delta *delta)
{
    if (!delta || atomic_fetch_sub(&delta->refs, 1) > 1) return;
    for (unsigned c = 0; c < AKIN__DELTA_CHUNKS; c++)
        akin_free(delta->chunks[c].vectors);
    akin_free(delta);
}

/* One allocation: vectors, labels, died, norms. */
static bool chunk_init(akin__chunk *chunk, size_t rows, size_t dim)
{
    size_t vectors = rows * dim * sizeof(uint16_t);
    uint8_t *p = akin_alloc(vectors + rows * (8 + 8 + sizeof(float)));
    if (!p) return false;
    chunk->vectors = (uint16_t *)p;
    chunk->labels = (uint64_t *)(p + vectors);
    chunk->died = (_Atomic uint64_t *)(chunk->labels + rows);
    chunk->norms = (void *)(chunk->died + rows);
    return true;
}

akin_status akin__delta_reserve(akin__delta *delta, size_t n, akin_error *err)
{
    unsigned c, last;
    size_t i;
    if (n == 0) return AKIN_OK;
    if (n > UINT32_MAX - 1 - delta->rows) goto full;
    i = akin__delta_at(delta->rows + n - 1, &last);
    (void)i;
    if (last >= AKIN__DELTA_CHUNKS) goto full;
    for (c = 0; c <= last; c++) {
        size_t rows = (size_t)AKIN__DELTA_FIRST << c;
        if (delta->chunks[c].vectors) continue;
        if (!chunk_init(&delta->chunks[c], rows, delta->dim))
            return akin_fail(err, AKIN_NOMEM,
                             "out of memory for %zu vectors of %u dimensions",
                             rows, delta->dim);
    }
    return AKIN_OK;
full:
    return akin_fail(err, AKIN_TOO_LARGE,
                     "%zu vectors wait for a build: no room for %zu more",
                     delta->rows, n);
}

size_t akin__delta_append(akin__delta *delta, uint64_t label,
                          const uint16_t *vector, float norm)
{
    unsigned c;
    size_t row = delta->rows, i = akin__delta_at(row, &c);
    akin__chunk *chunk = &delta->chunks[c];
    memcpy(chunk->vectors + i * delta->dim, vector, delta->dim * 2);
    chunk->labels[i] = label;
    chunk->norms[i] = norm;
    atomic_init(&chunk->died[i], AKIN__ALIVE);
    delta->rows = row + 1;
    return row;
}

void akin__delta_kill(akin__delta *delta, size_t row, uint64_t seq)
{
    unsigned c;
    size_t i = akin__delta_at(row, &c);
    atomic_store_explicit(&delta->chunks[c].died[i], seq, memory_order_release);
}

size_t akin__delta_bytes(const akin__delta *delta, size_t rows)
{
    return sizeof *delta + rows * (delta->dim * 2u + 20);
}
