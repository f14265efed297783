/* start: from starting the program to its first answer, with a warm page cache.
 *
 *     start AKIN MODEL_DIR [ROUNDS]
 *
 * For each precision: `akin search WORDS`, `akin search --image FILE`, and
 * `akin serve` until the first reply to a VSIM by words and by picture over its
 * Unix socket. Lowest and median wall time, lowest CPU time (which other work on
 * the machine disturbs less), of processes that each start anew. Nothing is
 * remembered between them but what akin keeps in the user's cache folder. */
#include "akin_base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PICTURE     AKIN_SOURCE "/tests/data/pictures/src/wide.png"
#define MOST_ROUNDS 50

static char dir[] = "/tmp/akin-start-XXXXXX";
static const char *program;

static void die(const char *what)
{
    fprintf(stderr, "start: %s: %s\n", what, strerror(errno));
    exit(1);
}

static pid_t spawn(const char *const *argv)
{
    pid_t pid = fork();
    int null;

    if (pid < 0) die("fork");
    if (pid) return pid;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    execv(program, (char *const *)(uintptr_t)argv);
    _exit(127);
}

typedef struct {
    double wall[MOST_ROUNDS], cpu[MOST_ROUNDS];
    int n;
} times;

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static void print_times(const char *precision, const char *what, times *t)
{
    qsort(t->wall, (size_t)t->n, sizeof *t->wall, ascending);
    qsort(t->cpu, (size_t)t->n, sizeof *t->cpu, ascending);
    printf("%-6s %-22s %8.0f %8.0f %10.0f\n", precision, what, 1e3 * t->wall[0],
           1e3 * t->wall[t->n / 2], 1e3 * t->cpu[0]);
    fflush(stdout);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + 1e-6 * (double)t.tv_usec;
}

/* One run of a command; it must find something. */
static void run_once(const char *const *argv, times *t)
{
    uint64_t start = akin_mono_ns();
    pid_t pid = spawn(argv);
    struct rusage usage;
    int status;

    if (wait4(pid, &status, 0, &usage) != pid) die("wait4");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "start: akin %s failed\n", argv[1]);
        exit(1);
    }
    t->wall[t->n] = 1e-9 * (double)(akin_mono_ns() - start);
    t->cpu[t->n++] = seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/* ---- the server ------------------------------------------------------------- */

static int connect_to(const char *path, pid_t pid)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct timespec nap = {0, 1000000};

    snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0) die("socket");
        if (!connect(fd, (struct sockaddr *)&at, sizeof at)) return fd;
        close(fd);
        if (waitpid(pid, NULL, WNOHANG) == pid) die("akin serve ended");
        nanosleep(&nap, NULL);
    }
}

static void serve_once(const char *const *argv, const akin_buf *request,
                       times *t)
{
    char path[80], reply[64];
    uint64_t start = akin_mono_ns();
    pid_t pid;
    clockid_t clock;
    struct timespec cpu;
    int fd;

    snprintf(path, sizeof path, "%s/data/akin.sock", dir);
    unlink(path);
    pid = spawn(argv);
    fd = connect_to(path, pid);
    if (write(fd, request->data, request->size) != (ssize_t)request->size ||
        read(fd, reply, sizeof reply) <= 0 || reply[0] != '*')
        die("the first question");
    t->wall[t->n] = 1e-9 * (double)(akin_mono_ns() - start);
    if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &cpu))
        die("clock");
    t->cpu[t->n++] = (double)cpu.tv_sec + 1e-9 * (double)cpu.tv_nsec;
    close(fd);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

/* VSIM default TEXT/IMAGE value */
static void make_request(akin_buf *out, const char *kind, akin_span value)
{
    akin_buf_printf(out,
                    "*4\r\n$4\r\nVSIM\r\n$7\r\ndefault\r\n$%zu\r\n%s\r\n"
                    "$%zu\r\n",
                    strlen(kind), kind, value.size);
    akin_buf_append(out, value.data, value.size);
    akin_buf_text(out, "\r\n");
    if (out->failed) die("memory");
}

/* ---- the table -------------------------------------------------------------- */

static void measure(const char *precision, int rounds, akin_span picture)
{
    const char *words[] = {"akin", "search", "a photo of a cat", NULL};
    const char *image[] = {"akin", "search", "--image", PICTURE, NULL};
    const char *serve[] = {"akin",        "serve", "--port", "0",
                           "--http-port", "0",     NULL};
    akin_buf requests[2] = {{0}};
    times t[4] = {{.n = 0}};

    setenv("AKIN_ENCODER_PRECISION", precision, 1);
    make_request(&requests[0], "TEXT", akin_span_of("a photo of a cat"));
    make_request(&requests[1], "IMAGE", picture);
    for (int i = 0; i < rounds; i++) {
        run_once(words, &t[0]);
        run_once(image, &t[1]);
        serve_once(serve, &requests[0], &t[2]);
        serve_once(serve, &requests[1], &t[3]);
    }
    print_times(precision, "search WORDS", &t[0]);
    print_times(precision, "search --image FILE", &t[1]);
    print_times(precision, "serve, VSIM TEXT", &t[2]);
    print_times(precision, "serve, VSIM IMAGE", &t[3]);
    akin_buf_clear(&requests[0]);
    akin_buf_clear(&requests[1]);
}

int main(int argc, char **argv)
{
    static const char *const precisions[] = {"f32", "bf16", "int8"};
    int rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 7;
    times first = {.n = 0};
    char *data;
    uint8_t *bytes;
    size_t size;

    if (argc < 3 || rounds < 1 || rounds > MOST_ROUNDS) {
        fprintf(stderr, "usage: start AKIN MODEL_DIR [ROUNDS]\n");
        return 2;
    }
    program = argv[1];
    if (!mkdtemp(dir)) die(dir);
    data = akin_format("%s/data", dir);
    if (!data || akin_file_read(PICTURE, 1 << 20, &bytes, &size, NULL))
        die(PICTURE);
    setenv("AKIN_DATA", data, 1);
    setenv("AKIN_MODEL", argv[2], 1);
    run_once((const char *const[]){"akin", "add", "-q",
                                   AKIN_SOURCE "/tests/data/pictures/photos",
                                   NULL},
             &first);
    printf("first add of a few pictures, nothing known of the model: %.1f s, "
           "%.1f s CPU\n\nprec.  what                   lowest   median  "
           "lowest CPU   (ms)\n",
           first.wall[0], first.cpu[0]);
    for (size_t i = 0; i < 3; i++)
        measure(precisions[i], rounds, (akin_span){bytes, size});
    akin_free(bytes);
    akin_free(data);
    if (akin_dir_remove(dir, NULL)) die(dir);
    return 0;
}
