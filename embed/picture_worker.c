/* Drawings are rendered in processes of their own. SVG is a small programming
 * language: nested references, patterns and filters make a few hundred bytes run
 * for hours inside librsvg, which cannot be interrupted and is not meant for
 * hostile input. A process can be given a time and a memory limit by the kernel.
 *
 * One helper is forked when the first drawing comes (or by
 * akin_picture_init_library, better: then it is small). It has one thread and
 * does nothing but fork: children that start with everything loaded (fonts too)
 * and render one drawing after another. A child costs the kernel more than most
 * drawings cost librsvg, hence its further use; it ends after USES drawings, with
 * one that failed, or when it has grown, so that what one drawing leaves behind
 * is not collected without end. A drawing that fails in a child that rendered
 * others before is tried again in a fresh one.
 *
 *   caller ---- control socket, one message a child, a stream end in it ---> helper
 *   caller <--- stream: request, file; reply, pixels; and again ------------ child
 *
 * The control socket takes whole messages from any thread without a lock. The
 * helper ends when the last caller's end of it is closed, so it never outlives
 * its program. It is forked from a program with threads, whose locks may be
 * taken at that moment: a first drawing is rendered as a trial, and the helper
 * forked again when that hangs. */
#include "picture_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIALS       5
#define TRIAL_MS     2000u
#define MEMORY_BYTES ((rlim_t)3 << 30) /* address space of a child */
#define USES         100u              /* drawings of one child */
#define IDLE         32u               /* children that wait for the next */
#define GROWN_KB     (256 * 1024)      /* resident; a child that ends early */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* reserves terabytes of address space */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

typedef struct {
    uint64_t size; /* of the file, which follows */
    akin_picture_options options;
} request;

typedef struct {
    akin_status status;
    akin_error error;
    akin_picture picture; /* its pixels follow */
} reply;

typedef struct {
    int fd;
    uint32_t uses; /* drawings so far */
} stream;

/* One helper a process, like libvips itself. All under lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int control = -1;
static stream idle[IDLE];
static uint32_t idle_count;
static pid_t idle_owner; /* a fork of the program must not share streams */

/* ---- both ends ------------------------------------------------------------ */

/* Moves exactly n bytes; false at the end of the stream, on errors and at the
 * deadline (0: none). */
static bool transfer(int fd, void *data, size_t n, bool writing,
                     uint64_t deadline_ns)
{
    uint8_t *p = data;

    while (n > 0) {
        struct pollfd ready = {.fd = fd, .events = writing ? POLLOUT : POLLIN};
        uint64_t now = akin_mono_ns();
        int wait_ms = -1;
        ssize_t done;

        if (deadline_ns != 0) {
            if (now >= deadline_ns) return false;
            wait_ms = (int)((deadline_ns - now) / 1000000 + 1);
        }
        if (poll(&ready, 1, wait_ms) < 0 && errno != EINTR) return false;
        done = writing ? send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT)
                       : recv(fd, p, n, MSG_DONTWAIT);
        if (done == 0 || (done < 0 && errno != EAGAIN && errno != EINTR))
            return false;
        if (done > 0) {
            p += done;
            n -= (size_t)done;
        }
    }
    return true;
}

/* ---- helper and its children ---------------------------------------------- */

static void limit(int resource, rlim_t value)
{
    struct rlimit r = {value, value};

    setrlimit((__rlimit_resource_t)resource, &r);
}

/* One drawing; false: the child is to end. */
static bool serve_one(int fd)
{
    struct itimerval timer = {{0, 0}, {0, 0}};
    struct rusage usage;
    request ask;
    reply answer;
    uint8_t *bytes;
    bool sent;

    if (!transfer(fd, &ask, sizeof ask, false, 0)) return false;
    timer.it_value.tv_sec = ask.options.max_ms / 1000;
    timer.it_value.tv_usec = ask.options.max_ms % 1000 * 1000 + 1;
    setitimer(ITIMER_REAL, &timer, NULL); /* SIGALRM ends the process */
    bytes = akin_alloc(ask.size);
    if (bytes == NULL || !transfer(fd, bytes, ask.size, false, 0)) return false;
    memset(&answer, 0, sizeof answer);
    answer.status =
        akin__picture_decode_here((akin_span){bytes, ask.size}, &ask.options,
                                  &answer.picture, &answer.error);
    akin_free(bytes);
    sent = transfer(fd, &answer, sizeof answer, true, 0);
    if (sent && answer.status == AKIN_OK)
        sent = transfer(
            fd, answer.picture.pixels,
            (size_t)answer.picture.width * answer.picture.height * 3, true, 0);
    timer.it_value = (struct timeval){0, 0};
    setitimer(ITIMER_REAL, &timer, NULL);
    if (answer.status == AKIN_OK) akin_picture_clear(&answer.picture);
    return sent && answer.status == AKIN_OK &&
           getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss < GROWN_KB;
}

static void serve(int fd)
{
    limit(RLIMIT_CORE, 0);
    if (!SANITIZED) limit(RLIMIT_AS, MEMORY_BYTES);
    while (serve_one(fd))
        ;
    _exit(0);
}

/* The next stream end; -1 when the program is gone. */
static int receive_stream(int socket_fd)
{
    char byte;
    struct iovec data = {&byte, 1};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } extra;
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = extra.space,
                             .msg_controllen = sizeof extra.space};
    struct cmsghdr *c;
    ssize_t got;
    int fd = -1;

    do {
        got = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    c = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (c != NULL && c->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(c), sizeof fd);
    return fd;
}

/* Fonts and everything else that the first drawing with text loads. */
static void warm_up(void)
{
    const char *svg = "<svg xmlns='http://www.w3.org/2000/svg' width='8' "
                      "height='8'><text y='8'>a</text></svg>";
    akin_picture_options options = {.shrink_to = 4};
    akin_picture picture;

    if (akin__picture_decode_here(akin_span_of(svg), &options, &picture,
                                  NULL) == AKIN_OK)
        akin_picture_clear(&picture);
}

static void help(int socket_fd)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR), fd, i;

    setsid(); /* no signals from a terminal */
    prctl(PR_SET_NAME, "akin-drawings");
    sigemptyset(&none);
    for (i = 1; i < 32; i++)
        if (i != SIGKILL && i != SIGSTOP)
            signal(i, i == SIGCHLD ? SIG_IGN : SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
        dup2(null, 2) < 0 || dup2(socket_fd, 3) < 0)
        _exit(1);
    close_range(4, ~0u, 0); /* the program's files, sockets, databases */
    warm_up();
    while ((fd = receive_stream(3)) >= 0) {
        pid_t child = fork();

        if (child == 0) {
            close(3);
            serve(fd);
        }
        close(fd);
    }
    _exit(0);
}

/* ---- caller ---------------------------------------------------------------- */

static bool send_stream(int socket_fd, int fd)
{
    char byte = 0;
    struct iovec data = {&byte, 1};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } extra;
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = extra.space,
                             .msg_controllen = sizeof extra.space};
    struct cmsghdr *c;

    memset(&extra, 0, sizeof extra);
    c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    return sendmsg(socket_fd, &message, MSG_NOSIGNAL) == 1;
}

/* Gives a new child a stream; -1 when the helper is gone. */
static int open_stream(int socket_fd)
{
    int ends[2];
    bool sent;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    sent = send_stream(socket_fd, ends[1]);
    close(ends[1]);
    if (sent) return ends[0];
    close(ends[0]);
    return -1;
}

/* *broken: the stream ended before the answer. */
static akin_status converse(int fd, akin_span bytes,
                            const akin_picture_options *options,
                            akin_picture *out, bool *broken, akin_error *err)
{
    uint64_t deadline = akin_mono_ns() + options->max_ms * UINT64_C(1000000);
    request ask;
    reply answer;
    size_t size;

    *broken = false;
    memset(&ask, 0, sizeof ask);
    ask.size = bytes.size;
    ask.options = *options;
    if (!transfer(fd, &ask, sizeof ask, true, deadline) ||
        !transfer(fd, (void *)(uintptr_t)bytes.data, bytes.size, true,
                  deadline) ||
        !transfer(fd, &answer, sizeof answer, false, deadline)) {
        /* the child's own timer runs out a moment before or after ours */
        if (akin_mono_ns() + 50000000 >= deadline)
            return akin_fail(err, AKIN_TIMEOUT,
                             "svg picture took longer than %u ms",
                             options->max_ms);
        *broken = true;
        return akin_fail(err, AKIN_BAD_DATA,
                         "unreadable svg picture: its renderer gave up");
    }
    if (answer.status != AKIN_OK) {
        if (err != NULL) *err = answer.error;
        return answer.status;
    }
    size = (size_t)answer.picture.width * answer.picture.height * 3;
    answer.picture.pixels = akin_alloc(size);
    if (answer.picture.pixels == NULL)
        return akin_fail(err, AKIN_NOMEM,
                         "not enough memory for %u x %u pixels",
                         answer.picture.width, answer.picture.height);
    *out = answer.picture;
    if (transfer(fd, out->pixels, size, false, deadline)) return AKIN_OK;
    akin_picture_clear(out);
    return akin_fail(err, AKIN_TIMEOUT, "svg picture took longer than %u ms",
                     options->max_ms);
}

static bool try_helper(int socket_fd)
{
    akin_picture_options options = {.max_ms = TRIAL_MS, .shrink_to = 1};
    akin_picture picture = {0};
    int fd = open_stream(socket_fd);
    akin_status rc;
    bool broken;

    akin__picture_fill_options(&options);
    if (fd < 0) return false;
    rc = converse(fd,
                  akin_span_of("<svg xmlns='http://www.w3.org/2000/svg' "
                               "width='8' height='8'/>"),
                  &options, &picture, &broken, NULL);
    close(fd);
    akin_picture_clear(&picture);
    return rc == AKIN_OK;
}

/* Forks a helper that is nobody's child; its control socket, or -1. */
static int fork_helper(void)
{
    int ends[2];
    pid_t child;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    child = fork();
    if (child == 0) {
        close(ends[0]);
        if (fork() == 0) help(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    if (child > 0 && try_helper(ends[0])) return ends[0];
    close(ends[0]); /* the helper sees the end and ends */
    return -1;
}

/* A duplicate of the control socket, so that another thread may replace it
 * meanwhile; the caller closes it. `dead`: what the caller found not to work. */
static int borrow_helper(bool renew)
{
    int copy, trial;

    pthread_mutex_lock(&lock);
    if (renew && control >= 0) {
        close(control);
        control = -1;
    }
    for (trial = 0; control < 0 && trial < TRIALS; trial++)
        control = fork_helper();
    copy = control < 0 ? -1 : fcntl(control, F_DUPFD_CLOEXEC, 3);
    pthread_mutex_unlock(&lock);
    return copy;
}

/* A child of one's own; -1 when the helper does not start. */
static int open_child(void)
{
    int attempt, helper, fd = -1;

    for (attempt = 0; attempt < 2 && fd < 0; attempt++) {
        helper = borrow_helper(attempt > 0);
        if (helper < 0) break;
        fd = open_stream(helper);
        close(helper);
    }
    return fd;
}

/* With the lock held: forgets what a fork of the program inherited. */
static void own_idle(void)
{
    if (idle_owner == getpid()) return;
    while (idle_count > 0)
        close(idle[--idle_count].fd);
    idle_owner = getpid();
}

static stream take_stream(void)
{
    stream s = {-1, 0};

    pthread_mutex_lock(&lock);
    own_idle();
    if (idle_count > 0) s = idle[--idle_count];
    pthread_mutex_unlock(&lock);
    return s;
}

static void keep_stream(stream s)
{
    bool kept = false;

    pthread_mutex_lock(&lock);
    own_idle();
    if (++s.uses < USES && idle_count < IDLE) {
        idle[idle_count++] = s;
        kept = true;
    }
    pthread_mutex_unlock(&lock);
    if (!kept) close(s.fd); /* the child sees the end and ends */
}

akin_status akin__picture_decode_apart(akin_span bytes,
                                       const akin_picture_options *options,
                                       akin_picture *out, akin_error *err)
{
    stream s = take_stream();
    bool broken = s.fd >= 0;
    akin_status rc = AKIN_INTERNAL;

    if (s.fd >= 0) {
        rc = converse(s.fd, bytes, options, out, &broken, err);
        if (broken) close(s.fd);
    }
    if (s.fd < 0 || broken) {
        s = (stream){open_child(), 0};
        if (s.fd < 0)
            return akin_fail(
                err, AKIN_INTERNAL,
                "the process that renders drawings does not start");
        rc = converse(s.fd, bytes, options, out, &broken, err);
    }
    if (rc)
        close(s.fd);
    else
        keep_stream(s);
    return rc;
}

akin_status akin_picture_init_library(akin_error *err)
{
    akin_status rc = akin__picture_need_vips(err);
    int helper;

    if (rc) return rc;
    helper = borrow_helper(false);
    if (helper < 0)
        return akin_fail(err, AKIN_INTERNAL,
                         "the process that renders drawings does not start");
    close(helper);
    return AKIN_OK;
}
