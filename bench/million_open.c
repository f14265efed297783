/* bench_million: `akin serve` from its start to the first answer; a snapshot of
 * a directory in use, and opening that. */
#include "million.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the page cache ------------------------------------------------------------ */

/* Every file below `path` is put out of memory. */
static void forget(const char *path)
{
    DIR *dir = opendir(path);
    if (dir) {
        for (struct dirent *e; (e = readdir(dir));) {
            if (e->d_name[0] == '.') continue;
            char *inner = akin_format("%s/%s", path, e->d_name);
            if (inner) forget(inner);
            akin_free(inner);
        }
        closedir(dir);
        return;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    fsync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

/* ---- the server --------------------------------------------------------------------- */

static pid_t serve(const char *dir, const char *akin, const char *path)
{
    pid_t pid = fork();
    if (pid < 0) abort();
    if (pid) return pid;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 1);
    execl(akin, akin, "serve", "--data", dir, "--unix", path, "--port", "0",
          "--no-http", "-q", (char *)NULL);
    _exit(127);
}

static int connect_to(const char *path, pid_t pid)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && !connect(fd, (struct sockaddr *)&at, sizeof at))
            return fd;
        close(fd);
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            fprintf(stderr, "bench_million: akin serve ended\n");
            exit(1);
        }
        usleep(500);
    }
}

/* VSIM million FP32 vector; the time from the start of the server to its reply.
 * The server goes on. */
static double first_answer(const char *dir, const char *akin, const char *path,
                           const float *vector, pid_t *pid, int *fd)
{
    akin_buf request = {0};
    char reply[4096];
    akin_buf_printf(
        &request, "*5\r\n$4\r\nVSIM\r\n$7\r\n" NAME "\r\n$4\r\nFP32\r\n$%d\r\n",
        (int)(DIM * sizeof *vector));
    akin_buf_append(&request, vector, DIM * sizeof *vector);
    akin_buf_text(&request, "\r\n$10\r\nWITHSCORES\r\n");
    unlink(path);
    double start = now();
    *pid = serve(dir, akin, path);
    *fd = connect_to(path, *pid);
    if (write(*fd, request.data, request.size) != (ssize_t)request.size ||
        read(*fd, reply, sizeof reply) <= 0 || reply[0] != '*') {
        fprintf(stderr, "bench_million: no answer\n");
        exit(1);
    }
    double seconds = now() - start;
    akin_buf_clear(&request);
    return seconds;
}

static double cpu_of(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t)) return 0;
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void start_once(const char *dir, const char *akin, const float *vector,
                       const char *what)
{
    char path[64];
    pid_t pid;
    int fd;
    snprintf(path, sizeof path, "/tmp/akin-million-%ld.sock", (long)getpid());
    double seconds = first_answer(dir, akin, path, vector, &pid, &fd);
    printf("  %s: %.2f s to the first answer, %.2f s of CPU time\n", what,
           seconds, cpu_of(pid));
    fflush(stdout);
    close(fd);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    unlink(path);
}

void million_open(const char *dir, const char *akin)
{
    ann_vectors rows = {0};
    float *queries;
    make_queries(0, &rows, &queries);
    start_once(dir, akin, queries, "as it was left");
    for (int i = 0; i < 3; i++)
        start_once(dir, akin, queries, "files in memory");
    for (int i = 0; i < 2; i++) {
        forget(dir);
        start_once(dir, akin, queries, "files on disk only");
    }
    ann_clear(&rows);
    free(queries);
}

/* ---- snapshot ------------------------------------------------------------------------ */

/* Puts items one by one, some 50 a second, and notes the longest wait. */
typedef struct {
    akin_engine *engine;
    const uint16_t *rows;
    atomic_bool stop;
    size_t n;
    double longest;
} writer;

static void *write_on(void *arg)
{
    writer *w = arg;
    while (!atomic_load(&w->stop)) {
        double start = now();
        put_items(w->engine, w->rows, 6000000 + w->n++ % 100, 1);
        double seconds = now() - start;
        if (seconds > w->longest) w->longest = seconds;
        usleep(20000);
    }
    return NULL;
}

void million_snapshot(const char *dir, const char *akin)
{
    ann_vectors rows = {0};
    float *queries;
    make_queries(1, &rows, &queries);
    akin_engine *engine = open_engine(dir, "no");
    char *file = akin_format("%s.snapshot", dir);
    char *copy = akin_format("%s.restored", dir);
    akin_snapshot_info info;
    akin_restored restored = {0};
    asker a;
    pthread_t thread;
    writer w = {.engine = engine, .rows = rows.rows + QUERIES * DIM};
    if (!file || !copy) abort();

    asker_start(&a, engine, queries);
    sleep(3);
    asker_end(&a, "searches before");
    if (pthread_create(&thread, NULL, write_on, &w)) abort();
    asker_start(&a, engine, queries);
    sleep(3);
    asker_end(&a, "searches with 50 writes a second");
    asker_start(&a, engine, queries);
    size_t before = w.n;
    double start = now();
    must(akin_engine_snapshot_write(engine, NULL, file, NULL, NULL, &info,
                                    &failure));
    double seconds = now() - start;
    asker_end(&a, "the same during the snapshot");
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    printf("snapshot in %.1f s, %.0f MB; %zu writes since it began, the "
           "longest wait of all %.0f ms\n",
           seconds, (double)info.size / 1048576, w.n - before, w.longest * 1e3);
    akin_engine_close(engine);

    start = now();
    must(akin_snapshot_restore(file, copy, false, NULL, NULL, &restored,
                               &failure));
    printf("restored in %.1f s\n", now() - start);
    akin_free(restored.kept);
    start_once(copy, akin, queries, "a restored one, without indexes");
    akin_free(file);
    akin_free(copy);
    ann_clear(&rows);
    free(queries);
}
