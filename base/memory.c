/* Allocation with overflow checks and a switch that makes the nth one fail, so
 * that tests walk every out-of-memory path; arena; byte buffer. */
#include "akin_base.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 64u

static _Atomic uint64_t fail_at, made;

uint64_t akin_alloc_fail_at(uint64_t nth)
{
    atomic_store(&fail_at, nth);
    return atomic_exchange(&made, 0);
}

static bool should_fail(void)
{
    uint64_t nth =
        atomic_fetch_add_explicit(&made, 1, memory_order_relaxed) + 1;
    return nth == atomic_load_explicit(&fail_at, memory_order_relaxed);
}

void *akin_alloc(size_t size)
{
    if (should_fail() || size > SIZE_MAX - ALIGN) return NULL;
    size_t rounded = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    return aligned_alloc(ALIGN, rounded ? rounded : ALIGN);
}

void *akin_calloc(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) return NULL;
    void *p = akin_alloc(total);
    if (p) memset(p, 0, total);
    return p;
}

void akin_free(void *p)
{
    free(p);
}

akin_status akin_grow(void *p, size_t *capacity, size_t want, size_t size,
                      akin_error *err)
{
    if (want <= *capacity) return AKIN_OK;
    size_t bigger = *capacity < 8 ? 8 : *capacity;
    while (bigger < want) {
        if (bigger > SIZE_MAX / 2)
            bigger = want;
        else
            bigger *= 2;
    }
    size_t total;
    void *fresh = NULL, *old;
    memcpy(&old, p, sizeof old);
    if (!__builtin_mul_overflow(bigger, size, &total))
        fresh = akin_alloc(total);
    if (!fresh)
        return akin_fail(err, AKIN_NOMEM,
                         "no memory for %zu items of %zu bytes", bigger, size);
    if (old) memcpy(fresh, old, *capacity * size);
    akin_free(old);
    memcpy(p, &fresh, sizeof fresh);
    *capacity = bigger;
    return AKIN_OK;
}

char *akin_strndup(const char *s, size_t length)
{
    size_t n = strnlen(s, length);
    char *copy = akin_alloc(n + 1);
    if (!copy) return NULL;
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *akin_strdup(const char *s)
{
    return akin_strndup(s, SIZE_MAX);
}

char *akin_format(const char *fmt, ...)
{
    akin_buf buf = {0};
    va_list args;
    va_start(args, fmt);
    akin_buf_vprintf(&buf, fmt, args);
    va_end(args);
    if (!akin_buf_cstr(&buf)) akin_buf_clear(&buf);
    return (char *)buf.data;
}

/* ---- arena -------------------------------------------------------------- */

akin_status akin_arena_init(akin_arena *arena, size_t size, akin_error *err)
{
    *arena = (akin_arena){0};
    arena->base = akin_alloc(size);
    if (!arena->base)
        return akin_fail(err, AKIN_NOMEM, "no memory for an arena of %zu bytes",
                         size);
    arena->size = size;
    return AKIN_OK;
}

void akin_arena_clear(akin_arena *arena)
{
    akin_free(arena->base);
    *arena = (akin_arena){0};
}

void *akin_arena_take(akin_arena *arena, size_t size)
{
    size_t start = (arena->used + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (start < arena->used || start > arena->size ||
        size > arena->size - start)
        return NULL;
    arena->used = start + size;
    if (arena->used > arena->peak) arena->peak = arena->used;
    return arena->base + start;
}

/* ---- buffer ------------------------------------------------------------- */

akin_span akin_span_of(const char *text)
{
    return (akin_span){text, text ? strlen(text) : 0};
}

/* Room for `more` bytes and a NUL. */
static bool reserve(akin_buf *buf, size_t more)
{
    if (buf->failed) return false;
    if (more > SIZE_MAX - buf->size - 1 ||
        (buf->limit && buf->size + more > buf->limit) ||
        akin_grow(&buf->data, &buf->capacity, buf->size + more + 1, 1, NULL)) {
        buf->failed = true;
        return false;
    }
    return true;
}

void akin_buf_append(akin_buf *buf, const void *data, size_t size)
{
    if (!size || !reserve(buf, size)) return;
    memcpy(buf->data + buf->size, data, size);
    buf->size += size;
}

void akin_buf_text(akin_buf *buf, const char *text)
{
    akin_buf_append(buf, text, strlen(text));
}

void akin_buf_vprintf(akin_buf *buf, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n < 0) {
        buf->failed = true;
    } else if (reserve(buf, (size_t)n)) {
        vsnprintf((char *)buf->data + buf->size, (size_t)n + 1, fmt, again);
        buf->size += (size_t)n;
    }
    va_end(again);
}

void akin_buf_printf(akin_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    akin_buf_vprintf(buf, fmt, args);
    va_end(args);
}

const char *akin_buf_cstr(akin_buf *buf)
{
    if (!reserve(buf, 0)) return NULL;
    buf->data[buf->size] = '\0';
    return (const char *)buf->data;
}

void akin_buf_clear(akin_buf *buf)
{
    akin_free(buf->data);
    *buf = (akin_buf){.limit = buf->limit};
}
