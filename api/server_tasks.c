/* Work that leaves the loop and comes back. A worker puts the finished task on
 * a list under the server's lock and wakes the loop, which calls its `done`.
 *
 * Waking a thread costs some 10 us on a virtual machine, of a query that takes
 * 100. So a task may be patient, as that of a client whose reply is already on
 * the wire: the loop finds it when the client's next request wakes it. If the
 * loop comes to wait for that task before, it says so under the lock, and the
 * task, if it still runs, wakes it after all. */
#include "server_internal.h"

#define SLOW_THREADS 16 /* they mostly wait */

typedef void plain_job(void *);

static void run_task(void *arg)
{
    akin_task *task = arg;
    akin_server *s = task->server;

    task->run(task);
    task->next = NULL;
    uv_mutex_lock(&s->lock);
    if (s->done_last)
        s->done_last->next = task;
    else
        s->done_first = task;
    s->done_last = task;
    task->finished = true;
    /* Inside the lock: once the list is empty again the loop may end and close
     * the handle. */
    if (!task->patient || task->awaited || s->hasty) uv_async_send(&s->wake);
    uv_mutex_unlock(&s->lock);
}

bool akin__server_task_await(akin_task *task)
{
    akin_server *s = task->server;
    uv_mutex_lock(&s->lock);
    bool finished = task->finished;
    task->awaited = true;
    uv_mutex_unlock(&s->lock);
    return finished;
}

void akin__server_tasks_await_all(akin_server *s)
{
    uv_mutex_lock(&s->lock);
    s->hasty = true;
    uv_mutex_unlock(&s->lock);
    akin__server_tasks_run_done(s);
}

akin_status akin_server_hand_off(akin_server *s, akin_task *task, bool slow,
                                 akin_error *err)
{
    plain_job *job = run_task;
    task->server = s;
    task->next = NULL;
    task->patient = task->awaited = task->finished = false;
    akin_status rc =
        akin_pool_submit(slow ? s->slow_pool : s->pool, job, task, err);
    if (!rc) s->tasks++;
    return rc;
}

akin_server_queues akin_server_queued(akin_server *s)
{
    return (akin_server_queues){akin_pool_queued(s->pool),
                                akin_pool_queued(s->slow_pool)};
}

void akin__server_tasks_run_done(akin_server *s)
{
    uv_mutex_lock(&s->lock);
    akin_task *task = s->done_first;
    s->done_first = s->done_last = NULL;
    uv_mutex_unlock(&s->lock);
    while (task) {
        akin_task *next = task->next;
        s->tasks--;
        task->done(task);
        task = next;
    }
}

akin_status akin__server_tasks_open(akin_server *s, akin_error *err)
{
    /* A client has one task at a time, so the queues cannot fill up before
     * the connections do; HTTP takes its share of the rest. */
    uint32_t queue = 4 * s->options.max_clients + 1024;
    uint32_t threads = s->options.threads;
    if (!threads) threads = 2 * akin_cpu_count() + 2;
    if (threads > 256) threads = 256;
    akin_status rc = akin_pool_open(threads, queue, "akin-work", &s->pool, err);
    if (!rc)
        rc = akin_pool_open(SLOW_THREADS, queue, "akin-slow", &s->slow_pool,
                            err);
    return rc;
}

void akin__server_tasks_close(akin_server *s)
{
    akin_pool_close(s->pool);
    akin_pool_close(s->slow_pool);
    s->pool = s->slow_pool = NULL;
}
