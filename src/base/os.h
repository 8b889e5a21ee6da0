/* os.h - the shim: what can fail in the world outside goes through here (README.md names the few
 * calls that do not).
 *
 * In production each function is the system call of the same name (EINTR retried where
 * that is safe). A test can make the nth call of a kind fail with an errno, and can own
 * the clock and the source of randomness. Nothing else in the project calls these system
 * calls. */
#pragma once

#include "base/annotate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

enum os_call {
    OS_MEMORY, /* malloc, realloc, mmap, populating */
    OS_OPEN,
    OS_READ,
    OS_WRITE, /* write, writev, send */
    OS_SOCKET,
    OS_BIND,
    OS_ACCEPT,
    OS_CONNECT,
    OS_EPOLL, /* create, ctl, wait */
    OS_EVENTFD,
    OS_THREAD, /* pthread_create */
    OS_RANDOM,
    OS_CALLS
};

/* Tests only, before threads start or from the only thread: the `nth` call of this kind
 * from now on (1 = the next one) fails with `error`, and with `repeat` all after it
 * too. */
void os_fail_at(enum os_call call, uint64_t nth, int error, bool repeat);
void os_fail_never(void);
/* How many calls of a kind were made since the last os_fail_never; counted only while
 * some failure is armed. */
uint64_t os_calls(enum os_call call);

/* For the wrappers in base/ only: true, with errno set, when this call has to fail. */
bool os_must_fail_slow(enum os_call call);
extern bool os_faults_armed;
static inline bool os_must_fail(enum os_call call)
{
    return UNLIKELY(__atomic_load_n(&os_faults_armed, __ATOMIC_RELAXED)) &&
           os_must_fail_slow(call);
}

/* As the system calls. -1 and errno on failure; EINTR is retried but by os_epoll_wait
 * and os_connect. */
ssize_t os_read(int fd, void *data, size_t size);
ssize_t os_write(int fd, const void *data, size_t size);
/* As read and write, for sockets only: the kernel is spared the layer of files, and a closed
 * peer raises no SIGPIPE. */
ssize_t os_receive(int fd, void *data, size_t size);
ssize_t os_send(int fd, const void *data, size_t size);
ssize_t os_writev(int fd, const struct iovec *parts, int count);
int os_open(const char *path, int flags, mode_t mode); /* adds O_CLOEXEC */
int os_close(int fd);
int os_socket(int domain, int type, int protocol); /* adds SOCK_CLOEXEC */
int os_bind(int fd, const struct sockaddr *address, socklen_t len);
int os_connect(int fd, const struct sockaddr *address, socklen_t len);
int os_accept(int fd, struct sockaddr *address,
              socklen_t *len); /* non-blocking, cloexec */
int os_epoll_create(void);
int os_epoll_ctl(int epoll, int operation, int fd, uint32_t events, void *data);
struct epoll_event;
int os_epoll_wait(int epoll, struct epoll_event *events, int count, int timeout_ms);
int os_eventfd(void); /* non-blocking, cloexec */
