/* akin base: what every folder may use, and nothing of akin's own below it.
 *
 *   status and errors     akin_status, akin_error, akin_fail
 *   log                   akin_log, akin_log_set
 *   memory                akin_alloc ... akin_free, akin_arena, akin_buf
 *   bytes                 akin_span, akin_map (files), akin_sha256
 *   float16               akin_half_from_float, akin_float_from_half
 *   time                  akin_now_ms, akin_mono_ns
 *   threads               akin_pool, akin_queue
 *
 * Unless a comment says otherwise a function may be called from any thread,
 * arguments are borrowed for the call, and `err` may be NULL. */
#ifndef AKIN_BASE_H
#define AKIN_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- status and errors ------------------------------------------------- */

/* Every status once: name, text for people, RESP error prefix, HTTP code. */
#define AKIN_STATUS_LIST(X)                                                    \
    X(AKIN_OK, "ok", "OK", 200)                                                \
    X(AKIN_INVALID, "invalid argument", "ERR", 400)                            \
    X(AKIN_UNAUTHENTICATED, "authentication required", "NOAUTH", 401)          \
    X(AKIN_DENIED, "not permitted", "NOPERM", 403)                             \
    X(AKIN_NOT_FOUND, "not found", "ERR", 404)                                 \
    X(AKIN_EXISTS, "already exists", "ERR", 409)                               \
    X(AKIN_WRONG_MODEL, "vectors of another model", "ERR", 409)                \
    X(AKIN_TOO_LARGE, "too large", "ERR", 413)                                 \
    X(AKIN_UNSUPPORTED, "not supported", "ERR", 415)                           \
    X(AKIN_BAD_DATA, "unreadable data", "ERR", 422)                            \
    X(AKIN_CANCELLED, "cancelled", "ERR", 409)                                 \
    X(AKIN_BUSY, "busy", "BUSY", 503)                                          \
    X(AKIN_TIMEOUT, "timed out", "ERR", 504)                                   \
    X(AKIN_UNTRAINED, "index not built yet", "ERR", 503)                       \
    X(AKIN_NOMEM, "out of memory", "OOM", 507)                                 \
    X(AKIN_IO, "input/output error", "ERR", 500)                               \
    X(AKIN_CORRUPT, "damaged file", "ERR", 500)                                \
    X(AKIN_INTERNAL, "internal error", "ERR", 500)

typedef enum {
#define X(name, text, resp, http) name,
    AKIN_STATUS_LIST(X)
#undef X
        AKIN_STATUS_COUNT
} akin_status;

/* Static strings; an unknown status reads as AKIN_INTERNAL. */
const char *akin_status_text(akin_status status);
const char *akin_status_resp(akin_status status);
int akin_status_http(akin_status status);

#define AKIN_ERROR_BYTES 480

/* Why a call failed, for a person. Travels by value with a request; valid only
 * after a call that returned something other than AKIN_OK. */
typedef struct {
    akin_status status;
    char message[AKIN_ERROR_BYTES]; /* NUL-terminated UTF-8, cut when longer */
} akin_error;

#if defined(__GNUC__)
#define AKIN_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define AKIN_MUST_CHECK         __attribute__((warn_unused_result))
#else
#define AKIN_PRINTF(fmt, first)
#define AKIN_MUST_CHECK
#endif

/* Writes the message into err (if any) and returns status, so that
 *     return akin_fail(err, AKIN_INVALID, "expected %u dimensions, got %u",
 * ...); is one line. Say what was expected and what came. */
akin_status akin_fail(akin_error *err, akin_status status, const char *fmt, ...)
    AKIN_PRINTF(3, 4);

/* Puts "prefix: " in front of the message of a call that just failed with
 * status; returns status. */
akin_status akin_fail_prefix(akin_error *err, akin_status status,
                             const char *fmt, ...) AKIN_PRINTF(3, 4);

/* akin_fail with strerror(errno_value) appended: "cannot open x: No such file".
 */
akin_status akin_fail_errno(akin_error *err, int errno_value, const char *fmt,
                            ...) AKIN_PRINTF(3, 4);

/* ---- log ---------------------------------------------------------------- */

typedef enum {
    AKIN_LOG_ERROR,
    AKIN_LOG_WARN,
    AKIN_LOG_INFO,
    AKIN_LOG_DEBUG
} akin_log_level;

typedef void akin_log_sink(void *user, akin_log_level level, const char *line);

/* Lines at `level` and more severe go to sink (NULL: standard error, with a
 * time stamp). Call before other threads start. Default: AKIN_LOG_WARN. */
void akin_log_set(akin_log_level level, akin_log_sink *sink, void *user);
void akin_log(akin_log_level level, const char *fmt, ...) AKIN_PRINTF(2, 3);

/* ---- memory ------------------------------------------------------------- */

/* malloc and friends with overflow checks. NULL when out of memory or when
 * count * size overflows; size 0 gives a pointer that can be freed. Aligned to
 * 64 bytes (a cache line, an AVX-512 register). Free with akin_free. */
void *akin_alloc(size_t size) AKIN_MUST_CHECK;
void *akin_calloc(size_t count, size_t size) AKIN_MUST_CHECK;
void akin_free(void *p); /* no-op on NULL */

/* Grows the array *p of elements of `size` bytes to hold at least `want` of
 * them, *capacity being what it holds now; grows by doubling, keeps contents.
 * Start from *p = NULL, *capacity = 0. Fails with AKIN_NOMEM, *p intact. */
akin_status akin_grow(void *p, size_t *capacity, size_t want, size_t size,
                      akin_error *err) AKIN_MUST_CHECK;

char *akin_strdup(const char *s) AKIN_MUST_CHECK;
char *akin_strndup(const char *s, size_t length) AKIN_MUST_CHECK;
/* printf into a fresh string; NULL when out of memory. */
char *akin_format(const char *fmt, ...) AKIN_PRINTF(1, 2) AKIN_MUST_CHECK;

/* For tests: the nth allocation from now on (1 = the next) fails, once.
 * 0 switches it off. Process-wide. Returns how many were made since the last
 * call. */
uint64_t akin_alloc_fail_at(uint64_t nth);

/* Scratch memory of a fixed size, given out by moving a mark. One thread. */
typedef struct {
    uint8_t *base;
    size_t size, used, peak; /* bytes */
} akin_arena;

akin_status akin_arena_init(akin_arena *arena, size_t size,
                            akin_error *err) AKIN_MUST_CHECK;
void akin_arena_clear(akin_arena *arena);
/* 64-byte aligned; NULL when it does not fit. Valid until the arena is reset
 * to an earlier mark (arena->used, saved by the caller) or cleared. */
void *akin_arena_take(akin_arena *arena, size_t size) AKIN_MUST_CHECK;

/* ---- bytes -------------------------------------------------------------- */

/* Borrowed bytes; text is UTF-8 without a NUL, unless a comment says so. */
typedef struct {
    const void *data;
    size_t size;
} akin_span;

akin_span akin_span_of(const char *text); /* strlen; NULL gives {NULL, 0} */

/* A growing byte buffer. Start from {0}; clear frees. After a failed append
 * `failed` stays set and later appends do nothing, so that a writer checks once
 * at the end. `limit` in bytes (0: none) makes an append beyond it fail. */
typedef struct {
    uint8_t *data;
    size_t size, capacity, limit;
    bool failed;
} akin_buf;

void akin_buf_append(akin_buf *buf, const void *data, size_t size);
void akin_buf_text(akin_buf *buf, const char *text);
void akin_buf_printf(akin_buf *buf, const char *fmt, ...) AKIN_PRINTF(2, 3);
void akin_buf_vprintf(akin_buf *buf, const char *fmt, va_list args);
/* The contents as a NUL-terminated string (the NUL is not counted in size);
 * NULL if an append failed. Valid until the next append or clear. */
const char *akin_buf_cstr(akin_buf *buf);
void akin_buf_clear(akin_buf *buf);

/* ---- files -------------------------------------------------------------- */

/* A whole file mapped read-only. An empty file gives data = NULL, size = 0. */
typedef struct {
    const uint8_t *data;
    size_t size;
} akin_map;

/* Fails with AKIN_NOT_FOUND, AKIN_IO, AKIN_INVALID (a directory). */
akin_status akin_map_open(akin_map *map, const char *path,
                          akin_error *err) AKIN_MUST_CHECK;
void akin_map_close(akin_map *map); /* no-op on {0} */

/* Reads a whole file of at most `limit` bytes into *out (freed by akin_free,
 * a NUL behind the last byte). Fails with AKIN_NOT_FOUND, AKIN_TOO_LARGE,
 * AKIN_IO, AKIN_NOMEM. */
akin_status akin_file_read(const char *path, size_t limit, uint8_t **out,
                           size_t *size, akin_error *err) AKIN_MUST_CHECK;

/* Replaces path by `data` so that after a crash the old or the new contents
 * are there: temporary file beside it, fsync, rename, fsync of the folder. */
akin_status akin_file_replace(const char *path, akin_span data,
                              akin_error *err) AKIN_MUST_CHECK;

/* fsync of a folder, after files in it were created, renamed or removed. */
akin_status akin_dir_sync(const char *path, akin_error *err) AKIN_MUST_CHECK;

/* mkdir -p, mode 0755. */
akin_status akin_dir_make(const char *path, akin_error *err) AKIN_MUST_CHECK;

/* A new folder NAME-XXXXXX of ours alone (mode 0700) below TMPDIR, or /tmp where
 * that is not set. *out is freed by akin_free. Fails with AKIN_NOMEM, AKIN_IO. */
akin_status akin_dir_temporary(const char *name, char **out,
                               akin_error *err) AKIN_MUST_CHECK;

/* Removes a folder and everything below it; links are removed, not followed. No
 * error when it is not there. Fails with AKIN_IO and the like, and then a part
 * may be gone. */
akin_status akin_dir_remove(const char *path, akin_error *err);

#define AKIN_SHA256_BYTES 32

/* Incremental SHA-256 (FIPS 180-4). begin gives NULL when out of memory;
 * finish writes the digest (out may be NULL to drop it) and frees. */
typedef struct akin_sha256 akin_sha256;
akin_sha256 *akin_sha256_begin(void) AKIN_MUST_CHECK;
void akin_sha256_add(akin_sha256 *hash, const void *data, size_t size);
void akin_sha256_finish(akin_sha256 *hash, uint8_t out[AKIN_SHA256_BYTES]);
/* Digest of one span. */
akin_status akin_sha256_of(akin_span data, uint8_t out[AKIN_SHA256_BYTES],
                           akin_error *err) AKIN_MUST_CHECK;

/* Lower-case hex of `size` bytes; out holds 2 * size + 1 characters. */
void akin_hex(const uint8_t *data, size_t size, char *out);

/* ---- float16 (IEEE 754 binary16, round to nearest even) ------------------ */

void akin_half_from_float(uint16_t *out, const float *in, size_t n);
void akin_float_from_half(float *out, const uint16_t *in, size_t n);

/* Scales n floats to unit length; false (and untouched) when the length is 0,
 * not finite, or a value is. */
bool akin_normalize(float *v, size_t n);

/* ---- time --------------------------------------------------------------- */

int64_t akin_now_ms(void);   /* wall clock, milliseconds since 1970 UTC */
uint64_t akin_mono_ns(void); /* never goes back; origin unspecified */

/* ---- threads ------------------------------------------------------------ */

/* A fixed set of threads that run jobs in the order they came. */
typedef struct akin_pool akin_pool;
typedef void akin_job(void *arg);

/* threads: 1..256. name: at most 15 characters, shown by ps -L. The queue holds
 * at most queue_limit jobs (0: 1024). */
akin_status akin_pool_open(uint32_t threads, uint32_t queue_limit,
                           const char *name, akin_pool **out,
                           akin_error *err) AKIN_MUST_CHECK;
/* Waits for queued jobs, then for the threads. No-op on NULL. */
void akin_pool_close(akin_pool *pool);
/* Queues job(arg). AKIN_BUSY, and nothing queued, when the queue is full. */
akin_status akin_pool_submit(akin_pool *pool, akin_job *job, void *arg,
                             akin_error *err) AKIN_MUST_CHECK;
uint32_t akin_pool_threads(const akin_pool *pool);
uint32_t akin_pool_queued(akin_pool *pool); /* waiting now; for metrics */

/* Runs part(arg, i) for i = 0..n-1 on the pool's threads and the caller's, and
 * returns when all are done. pool NULL: in the caller alone. Do not call it
 * from a job of the same pool. */
typedef void akin_part(void *arg, size_t i);
void akin_pool_each(akin_pool *pool, size_t n, akin_part *part, void *arg);

/* A bounded queue of pointers between threads; push blocks when it is full,
 * pop when it is empty. After close, push returns false at once and pop drains
 * what is left, then returns NULL. */
typedef struct akin_queue akin_queue;
akin_status akin_queue_open(size_t capacity, akin_queue **out,
                            akin_error *err) AKIN_MUST_CHECK;
bool akin_queue_push(akin_queue *queue, void *item) AKIN_MUST_CHECK;
void *akin_queue_pop(akin_queue *queue);
/* Waits at most timeout_ms (0: does not wait); NULL when nothing came. */
void *akin_queue_pop_wait(akin_queue *queue, uint32_t timeout_ms);
size_t akin_queue_size(akin_queue *queue);
void akin_queue_close(akin_queue *queue); /* wakes everyone */
void akin_queue_free(akin_queue *queue);  /* no thread may be in it */

/* Processors this process may run on (cgroup and affinity aware), at least 1.
 */
uint32_t akin_cpu_count(void);

#ifdef __cplusplus
}
#endif
#endif
