/* socket.h - addresses and sockets, TCP over IPv4 and IPv6, and unix sockets. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"

#include <stdbool.h>
#include <sys/socket.h>

struct address {
    struct sockaddr_storage storage;
    socklen_t len;
};

/* A numeric address or a name (getaddrinfo) and a port; the first `max` results. The
 * number of results, 0 with `error` naming the reason. Blocks on names. */
int address_resolve(const char *host, int port, struct address *addresses, int max,
                    const char **error);
/* A path for a unix socket; INVALID when it is too long (107 bytes). */
MUST_USE enum memento_status address_unix(struct address *address, const char *path);
/* "127.0.0.1:6737", "[::1]:6737", or "/path:0" for a unix socket; "unix:0" for the end of
 * one that has no path, a client's. */
void address_print(const struct address *address, struct buf *out);
bool address_is_loopback(const struct address *address); /* unix sockets too */
int address_port(const struct address *address);

/* A listening non-blocking socket (SO_REUSEADDR; IPv6 sockets take IPv6 only), or -1 with
 * errno. A unix socket is open to its owner only, and replaces a socket on which nobody
 * answers, never another file. Before threads start: it sets the umask for a moment. */
int socket_listen(const struct address *address, int backlog);
/* A connected blocking socket, or -1 with errno (ETIMEDOUT when nobody has answered in
 * time). timeout_ms 0 waits as long as it takes. */
int socket_connect(const struct address *address, int timeout_ms);
void socket_set_nonblocking(int fd, bool on);
/* Small replies leave at once; a dead peer is noticed after `keepalive_s` (0 = never, at
 * least 4), and so is one that takes no data for that long. */
void socket_set_low_delay(int fd);
void socket_set_keepalive(int fd, int keepalive_s);
/* The address of the other side or of our side. False when the socket is gone. */
bool socket_peer(int fd, struct address *address);
bool socket_local(int fd, struct address *address);
