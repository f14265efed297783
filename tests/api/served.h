/* A real `akin serve` in a temporary directory, and a socket to it on which
 * bytes are compared with bytes. For the test programs of this folder. */
#ifndef AKIN_TESTS_SERVED_H
#define AKIN_TESTS_SERVED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "akin_base.h"

typedef struct {
    char dir[32], data[48], socket[64], log[48];
    pid_t pid;
} served;

static void nap_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static inline void served_paths(served *s)
{
    /* not TMPDIR: a socket's path has 108 bytes at most */
    snprintf(s->dir, sizeof s->dir, "/tmp/akin-test-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    snprintf(s->data, sizeof s->data, "%s/data", s->dir);
    snprintf(s->socket, sizeof s->socket, "%s/data/akin.sock", s->dir);
    snprintf(s->log, sizeof s->log, "%s/log", s->dir);
}

static inline int try_connect(const served *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s", s->socket);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (!connect(fd, (struct sockaddr *)&at, sizeof at)) return fd;
    close(fd);
    return -1;
}

/* Runs the program; its output goes to `out` (NULL: nowhere, stderr to the
 * log). */
static inline pid_t spawn(const served *s, const char *const *argv,
                          const char *out)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing behind */
    int null = open("/dev/null", O_RDONLY);
    int to = open(out ? out : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(null, 0);
    dup2(to, 1);
    dup2(log, 2);
    unsetenv("AKIN_CONNECT");
    unsetenv("AKIN_DATA");
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

/* Starts it with further options (NULL-terminated) and waits until it
 * answers. */
static inline void serve_again(served *s, const char *const *options)
{
    const char *argv[32] = {AKIN_PROGRAM, "serve",   "--data",
                            s->data,      "--port",  "0",
                            "--unix",     s->socket, "--no-http"};
    size_t n = 9;
    while (options && *options && n < 31)
        argv[n++] = *options++;
    s->pid = spawn(s, argv, NULL);
    for (int i = 0; i < 600; i++) {
        int fd = try_connect(s), status;
        if (fd >= 0) {
            close(fd);
            return;
        }
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) break;
        nap_ms(50);
    }
    fail_msg("the server did not start; see %s", s->log);
}

static inline void serve(served *s, const char *const *options)
{
    served_paths(s);
    serve_again(s, options);
}

/* Ends it and gives its exit status, 1000 + n for signal n. */
static inline int serve_end(served *s, int with_signal)
{
    int status = 0;
    kill(s->pid, with_signal);
    for (int i = 0; i < 1200; i++) {
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            s->pid = 0;
            return WIFEXITED(status) ? WEXITSTATUS(status)
                                     : 1000 + WTERMSIG(status);
        }
        nap_ms(25);
    }
    kill(s->pid, SIGKILL);
    waitpid(s->pid, &status, 0);
    s->pid = 0;
    return -1;
}

static inline void served_clear(served *s)
{
    if (s->pid) serve_end(s, SIGTERM);
    assert_int_equal(akin_dir_remove(s->dir, NULL), AKIN_OK);
}

/* ---- bytes ------------------------------------------------------------------ */

static inline int dial(const served *s)
{
    int fd = try_connect(s);
    if (fd < 0) fail_msg("cannot connect to %s", s->socket);
    return fd;
}

static inline void send_bytes(int fd, const void *data, size_t size)
{
    const char *p = data;
    while (size) {
        ssize_t n = send(fd, p, size, MSG_NOSIGNAL);
        assert_true(n > 0);
        p += n;
        size -= (size_t)n;
    }
}

static inline void send_text(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

/* Reads until `size` bytes came, the peer closed, or `patience` ms of silence;
 * gives how many. */
static inline size_t receive(int fd, char *out, size_t size, int patience)
{
    size_t got = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (got < size && poll(&wait, 1, patience) == 1) {
        ssize_t n = recv(fd, out + got, size - got, 0);
        if (n <= 0) break;
        got += (size_t)n;
    }
    return got;
}

/* "~" in a pattern stands for any text without a line end. */
static inline int fits(const char *pattern, const char *text)
{
    for (; *pattern; pattern++, text++) {
        if (*pattern == '~') {
            while (*text && *text != '\r') {
                if (fits(pattern + 1, text)) return 1;
                text++;
            }
            return fits(pattern + 1, text);
        }
        if (*pattern != *text) return 0;
    }
    return !*text;
}

/* One exchange: request as a line, reply as bytes. The lines of a reply end in
 * "\r\n", written here as "\n". */
static inline void expect_reply(int fd, const char *request, const char *want)
{
    char got[65536], pattern[65536];
    size_t n = 0, size, lines = 0, wanted = 0;
    for (const char *c = want; *c; c++) {
        if (*c == '\n') {
            pattern[n++] = '\r';
            wanted++;
        }
        pattern[n++] = *c;
    }
    pattern[n] = 0;
    send_text(fd, request);
    send_text(fd, "\r\n");
    for (size = 0; size < sizeof got - 1 && lines < wanted;) {
        if (!receive(fd, got + size, 1, 20000)) break;
        lines += got[size++] == '\n';
    }
    got[size] = 0;
    if (!fits(pattern, got))
        fail_msg("%s\nexpected:\n%s\ngot:\n%s", request, pattern, got);
}

/* The peer closes without another byte. */
static inline void expect_closed(int fd)
{
    char c;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 20000), 1);
    assert_true(recv(fd, &c, 1, 0) <= 0);
}

#endif
