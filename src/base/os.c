#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What a test has armed. Atomics, because the calls they count and refuse come from any
 * thread. */
struct fault {
    uint64_t calls;
    uint64_t fail_at; /* 0: never */
    int error;
    bool repeat;
};

static struct fault faults[OS_CALLS];
bool os_faults_armed;

void os_fail_at(enum os_call call, uint64_t nth, int error, bool repeat)
{
    struct fault *fault = &faults[call];
    uint64_t fail_at = __atomic_load_n(&fault->calls, __ATOMIC_RELAXED) + nth;
    __atomic_store_n(&fault->error, error, __ATOMIC_RELAXED);
    __atomic_store_n(&fault->repeat, repeat, __ATOMIC_RELAXED);
    __atomic_store_n(&fault->fail_at, fail_at, __ATOMIC_RELAXED);
    __atomic_store_n(&os_faults_armed, true, __ATOMIC_RELAXED);
}

void os_fail_never(void)
{
    __atomic_store_n(&os_faults_armed, false, __ATOMIC_RELAXED);
    for (int i = 0; i < OS_CALLS; i++) {
        __atomic_store_n(&faults[i].fail_at, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&faults[i].calls, 0, __ATOMIC_RELAXED);
    }
}

uint64_t os_calls(enum os_call call)
{
    return __atomic_load_n(&faults[call].calls, __ATOMIC_RELAXED);
}

COLD bool os_must_fail_slow(enum os_call call)
{
    struct fault *fault = &faults[call];
    uint64_t number = __atomic_add_fetch(&fault->calls, 1, __ATOMIC_RELAXED);
    uint64_t fail_at = __atomic_load_n(&fault->fail_at, __ATOMIC_RELAXED);
    if (fail_at == 0) {
        return false;
    }
    bool repeat = __atomic_load_n(&fault->repeat, __ATOMIC_RELAXED);
    bool fails = repeat ? number >= fail_at : number == fail_at;
    if (fails) {
        errno = __atomic_load_n(&fault->error, __ATOMIC_RELAXED);
    }
    return fails;
}

ssize_t os_read(int fd, void *data, size_t size)
{
    if (os_must_fail(OS_READ)) {
        return -1;
    }
    ssize_t got;
    do {
        got = read(fd, data, size);
    } while (got < 0 && errno == EINTR);
    return got;
}

ssize_t os_write(int fd, const void *data, size_t size)
{
    if (os_must_fail(OS_WRITE)) {
        return -1;
    }
    ssize_t put;
    do {
        put = write(fd, data, size);
    } while (put < 0 && errno == EINTR);
    return put;
}

ssize_t os_receive(int fd, void *data, size_t size)
{
    if (os_must_fail(OS_READ)) {
        return -1;
    }
    ssize_t got;
    do {
        got = recv(fd, data, size, 0);
    } while (got < 0 && errno == EINTR);
    return got;
}

ssize_t os_send(int fd, const void *data, size_t size)
{
    if (os_must_fail(OS_WRITE)) {
        return -1;
    }
    ssize_t put;
    do {
        put = send(fd, data, size, MSG_NOSIGNAL);
    } while (put < 0 && errno == EINTR);
    return put;
}

ssize_t os_writev(int fd, const struct iovec *parts, int count)
{
    if (os_must_fail(OS_WRITE)) {
        return -1;
    }
    ssize_t put;
    do {
        put = writev(fd, parts, count);
    } while (put < 0 && errno == EINTR);
    return put;
}

int os_open(const char *path, int flags, mode_t mode)
{
    if (os_must_fail(OS_OPEN)) {
        return -1;
    }
    int fd;
    do {
        fd = open(path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

int os_close(int fd)
{
    /* Not retried: Linux has given the descriptor back even when it answers EINTR, and a
     * second close could hit one that another thread has just been given. */
    return close(fd);
}

int os_socket(int domain, int type, int protocol)
{
    if (os_must_fail(OS_SOCKET)) {
        return -1;
    }
    return socket(domain, type | SOCK_CLOEXEC, protocol);
}

int os_bind(int fd, const struct sockaddr *address, socklen_t len)
{
    if (os_must_fail(OS_BIND)) {
        return -1;
    }
    return bind(fd, address, len);
}

int os_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    if (os_must_fail(OS_CONNECT)) {
        return -1;
    }
    /* Not retried: after EINTR a TCP connection goes on in the background, and a second
     * call would only learn EALREADY. */
    return connect(fd, address, len);
}

int os_accept(int fd, struct sockaddr *address, socklen_t *len)
{
    if (os_must_fail(OS_ACCEPT)) {
        return -1;
    }
    int accepted;
    do {
        accepted = accept4(fd, address, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (accepted < 0 && errno == EINTR);
    return accepted;
}

int os_epoll_create(void)
{
    if (os_must_fail(OS_EPOLL)) {
        return -1;
    }
    return epoll_create1(EPOLL_CLOEXEC);
}

int os_epoll_ctl(int epoll, int operation, int fd, uint32_t events, void *data)
{
    if (os_must_fail(OS_EPOLL)) {
        return -1;
    }
    struct epoll_event event = {.events = events, .data.ptr = data};
    return epoll_ctl(epoll, operation, fd, &event);
}

int os_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms)
{
    if (os_must_fail(OS_EPOLL)) {
        return -1;
    }
    return epoll_wait(epoll, events, count, timeout_ms);
}

int os_eventfd(void)
{
    if (os_must_fail(OS_EVENTFD)) {
        return -1;
    }
    return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}
