#include "base/socket.h"

#include "base/clock.h"
#include "base/os.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const struct sockaddr *generic(const struct address *address)
{
    return (const struct sockaddr *)&address->storage;
}

static int family(const struct address *address)
{
    return address->storage.ss_family;
}

int address_resolve(const char *host, int port, struct address *addresses, int max,
                    const char **error)
{
    if (port < 0 || port > 65535) {
        *error = "the port is not in 0..65535";
        return 0;
    }
    char service[8];
    snprintf(service, sizeof(service), "%d", port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    int failure = getaddrinfo(host, service, &hints, &found);
    if (failure != 0) {
        *error = failure == EAI_SYSTEM ? strerror(errno) : gai_strerror(failure);
        return 0;
    }
    int count = 0;
    for (struct addrinfo *at = found; at != NULL && count < max; at = at->ai_next) {
        if (at->ai_family == AF_INET || at->ai_family == AF_INET6) {
            struct address *address = &addresses[count++];
            *address = (struct address){.len = at->ai_addrlen};
            memcpy(&address->storage, at->ai_addr, at->ai_addrlen);
        }
    }
    freeaddrinfo(found);
    if (count == 0) {
        *error = "the name has no IPv4 or IPv6 address";
    }
    return count;
}

enum memento_status address_unix(struct address *address, const char *path)
{
    size_t len = strlen(path);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (len == 0 || len >= sizeof(un.sun_path)) {
        return MEMENTO_ERR_INVALID;
    }
    memcpy(un.sun_path, path, len + 1);
    *address = (struct address){
        .len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1)};
    memcpy(&address->storage, &un, sizeof(un));
    return MEMENTO_OK;
}

/* The path of a unix socket; empty for the side that was never bound. A name in the
 * abstract space begins with a NUL and is no path. */
static struct bytes unix_path(const struct address *address)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&address->storage;
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t room = address->len > start ? address->len - start : 0;
    return bytes_of(un->sun_path, strnlen(un->sun_path, room));
}

void address_print(const struct address *address, struct buf *out)
{
    char text[INET6_ADDRSTRLEN] = "";
    if (family(address) == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
        buf_appendf(out, "%s:%d", text, address_port(address));
    } else if (family(address) == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;
        inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
        buf_appendf(out, "[%s]:%d", text, address_port(address));
    } else if (family(address) == AF_UNIX && unix_path(address).len > 0) {
        buf_append_bytes(out, unix_path(address));
        buf_append_string(out, ":0");
    } else {
        buf_append_string(out, "unix:0"); /* a client's side, which has no name */
    }
}

bool address_is_loopback(const struct address *address)
{
    if (family(address) == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (family(address) == AF_INET6) {
        const struct in6_addr *in6 =
            &((const struct sockaddr_in6 *)&address->storage)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(in6) ||
               (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
    }
    return family(address) == AF_UNIX;
}

int address_port(const struct address *address)
{
    if (family(address) == AF_INET) {
        return ntohs(((const struct sockaddr_in *)&address->storage)->sin_port);
    }
    if (family(address) == AF_INET6) {
        return ntohs(((const struct sockaddr_in6 *)&address->storage)->sin6_port);
    }
    return 0;
}

static bool set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* -1, with the errno of what failed rather than of the close. */
static int close_failed(int fd)
{
    int error = errno;
    os_close(fd);
    errno = error;
    return -1;
}

/* False when somebody answers on the path (EADDRINUSE) or nobody can tell. A file that is
 * no socket is left alone: bind refuses it. */
static bool remove_stale_socket(const struct address *address)
{
    const char *path = ((const struct sockaddr_un *)&address->storage)->sun_path;
    struct stat stat;
    if (lstat(path, &stat) != 0 || !S_ISSOCK(stat.st_mode)) {
        return true;
    }
    int fd = os_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    bool refused =
        os_connect(fd, generic(address), address->len) != 0 && errno == ECONNREFUSED;
    os_close(fd);
    if (!refused) {
        errno = EADDRINUSE;
        return false;
    }
    return unlink(path) == 0 || errno == ENOENT;
}

static bool bind_unix(int fd, const struct address *address)
{
    if (!remove_stale_socket(address)) {
        return false;
    }
    /* The socket appears with the rights it shall have: there is no moment in which
     * others could open it. The mask is the whole process's, and threads have not started
     * yet. */
    mode_t mask = umask(077);
    bool bound = os_bind(fd, generic(address), address->len) == 0;
    umask(mask);
    return bound;
}

static bool bind_tcp(int fd, const struct address *address)
{
    return set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
           (family(address) != AF_INET6 ||
            set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) &&
           os_bind(fd, generic(address), address->len) == 0;
}

int socket_listen(const struct address *address, int backlog)
{
    int fd = os_socket(family(address), SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    bool bound =
        family(address) == AF_UNIX ? bind_unix(fd, address) : bind_tcp(fd, address);
    if (!bound || listen(fd, backlog) != 0) {
        return close_failed(fd);
    }
    return fd;
}

/* Milliseconds left until the deadline for poll: -1 without one. */
static int poll_timeout_ms(uint64_t deadline_ns)
{
    if (deadline_ns == 0) {
        return -1;
    }
    uint64_t now_ns = clock_monotonic_ns();
    return now_ns >= deadline_ns ? 0 : (int)((deadline_ns - now_ns + 999999) / 1000000);
}

/* Waits for a connection under way: its errno, 0 when it stands. */
static int wait_connected(int fd, int timeout_ms)
{
    uint64_t timeout_ns = (uint64_t)timeout_ms * 1000000;
    uint64_t deadline_ns = timeout_ms > 0 ? clock_monotonic_ns() + timeout_ns : 0;
    struct pollfd event = {.fd = fd, .events = POLLOUT};
    int ready;
    do {
        ready = poll(&event, 1, poll_timeout_ms(deadline_ns));
    } while (ready < 0 && errno == EINTR);
    if (ready <= 0) {
        return ready == 0 ? ETIMEDOUT : errno;
    }
    int error = 0;
    socklen_t len = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : errno;
}

static int connect_tcp(int fd, const struct address *address, int timeout_ms)
{
    if (os_connect(fd, generic(address), address->len) == 0) {
        return 0;
    }
    return errno == EINPROGRESS ? wait_connected(fd, timeout_ms) : errno;
}

/* A unix socket is either connected or not, and a non-blocking one would not wait for
 * room in the backlog. A blocking one does, as long as its send timeout says. */
static int connect_unix(int fd, const struct address *address, int timeout_ms)
{
    struct timeval limit = {.tv_sec = timeout_ms / 1000,
                            .tv_usec = timeout_ms % 1000 * 1000};
    struct timeval none = {0};
    socket_set_nonblocking(fd, false);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    int connected;
    do {
        connected = os_connect(fd, generic(address), address->len);
    } while (connected != 0 && errno == EINTR);
    int error = connected == 0 ? 0 : errno == EAGAIN ? ETIMEDOUT : errno;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof(none));
    return error;
}

int socket_connect(const struct address *address, int timeout_ms)
{
    int fd = os_socket(family(address), SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    int error = family(address) == AF_UNIX ? connect_unix(fd, address, timeout_ms)
                                           : connect_tcp(fd, address, timeout_ms);
    if (error != 0) {
        errno = error;
        return close_failed(fd);
    }
    socket_set_nonblocking(fd, false);
    return fd;
}

void socket_set_nonblocking(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0) {
        fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
    }
}

void socket_set_low_delay(int fd)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY,
               1); /* unix sockets refuse, and need it not */
}

void socket_set_keepalive(int fd, int keepalive_s)
{
    if (keepalive_s <= 0) {
        set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 0);
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 0);
        return;
    }
    /* Silent for half of the time, then three probes share the rest. */
    int probes = 3;
    int interval_s = keepalive_s / (2 * probes) > 0 ? keepalive_s / (2 * probes) : 1;
    int idle_s = keepalive_s - probes * interval_s;
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle_s > 0 ? idle_s : 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval_s);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, probes);
    /* Keepalive rests while data is on its way: then this limit takes over. */
    int timeout_ms = keepalive_s > INT32_MAX / 1000 ? INT32_MAX : keepalive_s * 1000;
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout_ms);
}

bool socket_peer(int fd, struct address *address)
{
    *address = (struct address){.len = sizeof(address->storage)};
    return getpeername(fd, (struct sockaddr *)&address->storage, &address->len) == 0;
}

bool socket_local(int fd, struct address *address)
{
    *address = (struct address){.len = sizeof(address->storage)};
    return getsockname(fd, (struct sockaddr *)&address->storage, &address->len) == 0;
}
