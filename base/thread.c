/* Time, a thread pool, a bounded queue. Plain mutexes and conditions: jobs here
 * take milliseconds, a lock some nanoseconds. */
#include "akin_base.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t akin_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t akin_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Whole processors a cgroup v2 quota allows; 0 when there is none. */
static uint32_t cgroup_cpus(void)
{
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (!f) return 0;
    unsigned long quota = 0, period = 0;
    int got = fscanf(f, "%lu %lu", &quota, &period);
    fclose(f);
    if (got != 2 || !period) return 0;
    return (uint32_t)((quota + period - 1) / period);
}

uint32_t akin_cpu_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    uint32_t n = 1, quota = cgroup_cpus();
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = (uint32_t)CPU_COUNT(&set);
    if (quota && quota < n) n = quota;
    return n ? n : 1;
}

/* ---- queue -------------------------------------------------------------- */

struct akin_queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    size_t capacity, head, size;
    bool closed;
    void *items[];
};

akin_status akin_queue_open(size_t capacity, akin_queue **out, akin_error *err)
{
    akin_queue *q = NULL;
    *out = NULL;
    if (capacity == 0 || capacity > (1u << 24))
        return akin_fail(err, AKIN_INVALID,
                         "queue capacity %zu is not in 1..16777216", capacity);
    q = akin_calloc(1, sizeof *q + capacity * sizeof *q->items);
    if (!q) return akin_fail(err, AKIN_NOMEM, "no memory for a queue");
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->not_empty, &attr);
    pthread_cond_init(&q->not_full, &attr);
    pthread_condattr_destroy(&attr);
    q->capacity = capacity;
    *out = q;
    return AKIN_OK;
}

void akin_queue_free(akin_queue *q)
{
    if (!q) return;
    pthread_cond_destroy(&q->not_full);
    pthread_cond_destroy(&q->not_empty);
    pthread_mutex_destroy(&q->lock);
    akin_free(q);
}

/* With the lock held and room in the queue. */
static void put_item(akin_queue *q, void *item)
{
    q->items[(q->head + q->size++) % q->capacity] = item;
    pthread_cond_signal(&q->not_empty);
}

/* With the lock held; NULL when the queue is empty. */
static void *take_item(akin_queue *q)
{
    if (q->size == 0) return NULL;
    void *item = q->items[q->head];
    q->head = (q->head + 1) % q->capacity;
    q->size--;
    pthread_cond_signal(&q->not_full);
    return item;
}

bool akin_queue_push(akin_queue *q, void *item)
{
    pthread_mutex_lock(&q->lock);
    while (q->size == q->capacity && !q->closed)
        pthread_cond_wait(&q->not_full, &q->lock);
    bool open = !q->closed;
    if (open) put_item(q, item);
    pthread_mutex_unlock(&q->lock);
    return open;
}

void *akin_queue_pop(akin_queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (q->size == 0 && !q->closed)
        pthread_cond_wait(&q->not_empty, &q->lock);
    void *item = take_item(q);
    pthread_mutex_unlock(&q->lock);
    return item;
}

void *akin_queue_pop_wait(akin_queue *q, uint32_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&q->lock);
    int late = 0;
    while (timeout_ms && q->size == 0 && !q->closed && late != ETIMEDOUT)
        late = pthread_cond_timedwait(&q->not_empty, &q->lock, &until);
    void *item = take_item(q);
    pthread_mutex_unlock(&q->lock);
    return item;
}

size_t akin_queue_size(akin_queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->size;
    pthread_mutex_unlock(&q->lock);
    return n;
}

void akin_queue_close(akin_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_empty);
    pthread_cond_broadcast(&q->not_full);
    pthread_mutex_unlock(&q->lock);
}

/* ---- pool --------------------------------------------------------------- */

typedef struct {
    akin_job *job; /* NULL: none, look again */
    void *arg;
} task;

/* A worker that finds nothing to do lies down on top of a stack, and a job wakes
 * the one on top: the thread that worked last, whose memory is still in the
 * caches. (A condition wakes them in turn: a query then met a cold thread each
 * time, and took 40 us longer.) Each sleeps on a semaphore of its own, which
 * wakes without a lock to take. */
typedef struct idler {
    struct idler *below;
    akin_pool *pool;
    sem_t wake;
    task given; /* before wake is posted */
} idler;

struct akin_pool {
    pthread_mutex_t lock; /* all but threads and started */
    idler *idle;          /* top of the stack */
    task *queue;          /* ring; empty while somebody is idle */
    size_t capacity, head, size;
    bool closed;
    uint32_t started;
    pthread_t *threads; /* (started) */
    idler *workers;     /* (started) */
};

/* The next job, or NULL in it when the pool is closed and empty. */
static task next_task(idler *self)
{
    akin_pool *pool = self->pool;
    task next = {0};
    for (;;) {
        pthread_mutex_lock(&pool->lock);
        if (pool->size) {
            next = pool->queue[pool->head];
            pool->head = (pool->head + 1) % pool->capacity;
            pool->size--;
        }
        bool done = next.job || pool->closed;
        if (!done) {
            self->given = next;
            self->below = pool->idle;
            pool->idle = self;
        }
        pthread_mutex_unlock(&pool->lock);
        if (done) return next;
        while (sem_wait(&self->wake)) { /* a signal */
        }
        if (self->given.job) return self->given;
    }
}

static void *worker(void *arg)
{
    task next;
    while ((next = next_task(arg)).job)
        next.job(next.arg);
    return NULL;
}

static akin_status start_workers(akin_pool *pool, uint32_t threads,
                                 const char *name, akin_error *err)
{
    for (; pool->started < threads; pool->started++) {
        idler *self = &pool->workers[pool->started];
        self->pool = pool;
        if (sem_init(&self->wake, 0, 0))
            return akin_fail_errno(err, errno, "cannot make a semaphore");
        int e =
            pthread_create(&pool->threads[pool->started], NULL, worker, self);
        if (e) {
            sem_destroy(&self->wake);
            return akin_fail_errno(err, e, "cannot start a thread");
        }
        pthread_setname_np(pool->threads[pool->started], name);
    }
    return AKIN_OK;
}

akin_status akin_pool_open(uint32_t threads, uint32_t queue_limit,
                           const char *name, akin_pool **out, akin_error *err)
{
    akin_status rc;
    *out = NULL;
    if (threads == 0 || threads > 256)
        return akin_fail(err, AKIN_INVALID, "%u threads; expected 1 to 256",
                         threads);
    akin_pool *pool = akin_calloc(1, sizeof *pool);
    if (!pool) return akin_fail(err, AKIN_NOMEM, "no memory for a pool");
    pthread_mutex_init(&pool->lock, NULL);
    pool->capacity = queue_limit ? queue_limit : 1024;
    pool->queue = akin_calloc(pool->capacity, sizeof *pool->queue);
    pool->threads = akin_calloc(threads, sizeof *pool->threads);
    pool->workers = akin_calloc(threads, sizeof *pool->workers);
    if (pool->queue && pool->threads && pool->workers)
        rc = start_workers(pool, threads, name, err);
    else
        rc = akin_fail(err, AKIN_NOMEM, "no memory for a pool");
    if (rc)
        akin_pool_close(pool);
    else
        *out = pool;
    return rc;
}

void akin_pool_close(akin_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    for (idler *i = pool->idle, *below; i; i = below) {
        below = i->below;
        sem_post(&i->wake);
    }
    pool->idle = NULL;
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->started; i++) {
        pthread_join(pool->threads[i], NULL);
        sem_destroy(&pool->workers[i].wake);
    }
    pthread_mutex_destroy(&pool->lock);
    akin_free(pool->workers);
    akin_free(pool->threads);
    akin_free(pool->queue);
    akin_free(pool);
}

akin_status akin_pool_submit(akin_pool *pool, akin_job *job, void *arg,
                             akin_error *err)
{
    bool taken = true;
    pthread_mutex_lock(&pool->lock);
    idler *idle = pool->closed ? NULL : pool->idle;
    if (idle) {
        pool->idle = idle->below;
        idle->given = (task){job, arg};
    } else if (pool->size < pool->capacity && !pool->closed) {
        pool->queue[(pool->head + pool->size++) % pool->capacity] =
            (task){job, arg};
    } else {
        taken = false;
    }
    pthread_mutex_unlock(&pool->lock);
    if (idle) sem_post(&idle->wake);
    return taken ? AKIN_OK
                 : akin_fail(err, AKIN_BUSY, "too many requests are waiting");
}

uint32_t akin_pool_threads(const akin_pool *pool)
{
    return pool->started;
}

uint32_t akin_pool_queued(akin_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    size_t n = pool->size;
    pthread_mutex_unlock(&pool->lock);
    return (uint32_t)n;
}

/* One akin_pool_each call: threads take the next index until none is left. The
 * caller waits for the helpers that entered, so the struct may be on its
 * stack. */
struct each {
    pthread_mutex_t lock;
    pthread_cond_t idle;
    size_t next, n;
    uint32_t helpers;
    akin_part *part;
    void *arg;
};

static void each_run(struct each *e)
{
    for (;;) {
        pthread_mutex_lock(&e->lock);
        size_t i = e->next < e->n ? e->next++ : e->n;
        pthread_mutex_unlock(&e->lock);
        if (i == e->n) return;
        e->part(e->arg, i);
    }
}

static void each_help(void *arg)
{
    struct each *e = arg;
    each_run(e);
    pthread_mutex_lock(&e->lock);
    if (--e->helpers == 0) pthread_cond_signal(&e->idle);
    pthread_mutex_unlock(&e->lock);
}

void akin_pool_each(akin_pool *pool, size_t n, akin_part *part, void *arg)
{
    struct each e = {.n = n, .part = part, .arg = arg};
    pthread_mutex_init(&e.lock, NULL);
    pthread_cond_init(&e.idle, NULL);
    for (uint32_t i = 0; pool && i < pool->started && i + 1 < n; i++) {
        pthread_mutex_lock(&e.lock);
        e.helpers++;
        pthread_mutex_unlock(&e.lock);
        if (akin_pool_submit(pool, each_help, &e, NULL)) {
            pthread_mutex_lock(&e.lock);
            e.helpers--;
            pthread_mutex_unlock(&e.lock);
            break;
        }
    }
    each_run(&e);
    pthread_mutex_lock(&e.lock);
    while (e.helpers > 0)
        pthread_cond_wait(&e.idle, &e.lock);
    pthread_mutex_unlock(&e.lock);
    pthread_cond_destroy(&e.idle);
    pthread_mutex_destroy(&e.lock);
}
