/* acceptor.c - listening and accepting; see acceptor.h. */
#include "server/acceptor.h"

#include "base/clock.h"
#include "base/os.h"
#include "base/socket.h"
#include "base/trace.h"
#include "protocol/request.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Clients taken from one listener before the others are looked at. */
#define ACCEPTS_MAX 256

#define ADDRESSES_PER_NAME 4

/* ---- listening ---- */

static bool add_listener(struct acceptor *acceptor, const struct address *address,
                         struct buf *error)
{
    if (acceptor->count == LISTENERS_MAX) {
        buf_appendf(error, "too many addresses to listen on: at most %d", LISTENERS_MAX);
        return false;
    }
    int backlog = (int)config_number(&acceptor->server->config, OPTION_TCP_BACKLOG);
    int fd = socket_listen(address, backlog);
    if (fd < 0) {
        int reason = errno;
        buf_append_string(error, "cannot listen on ");
        address_print(address, error);
        buf_appendf(error, ": %s", strerror(reason));
        if (reason == EADDRINUSE) {
            buf_append_string(
                error, " (is a server running there? choose another with -p PORT)");
        }
        return false;
    }
    acceptor->listeners[acceptor->count++] = fd;
    if (acceptor->described.len > 0) {
        buf_append_char(&acceptor->described, ' ');
    }
    struct address bound;
    if (address->storage.ss_family == AF_UNIX) {
        buf_append_bytes(&acceptor->described, buf_bytes(&acceptor->unix_path));
    } else {
        address_print(socket_local(fd, &bound) ? &bound : address, &acceptor->described);
    }
    return true;
}

/* A host without IPv6 is no reason to refuse the default "127.0.0.1 ::1". */
static bool is_missing_ipv6(struct bytes host, int reason)
{
    return bytes_is(host, "::1") && (reason == EADDRNOTAVAIL || reason == EAFNOSUPPORT);
}

static bool listen_on(struct acceptor *acceptor, struct bytes host, struct buf *error)
{
    struct buf name;
    buf_init(&name);
    buf_append_bytes(&name, host);
    struct address addresses[ADDRESSES_PER_NAME];
    const char *reason = NULL;
    int port = (int)config_number(&acceptor->server->config, OPTION_PORT);
    int count = address_resolve(buf_c_string(&name), port, addresses, ADDRESSES_PER_NAME,
                                &reason);
    bool ok = true;
    if (count == 0) {
        buf_appendf(error, "cannot listen on %s: %s", buf_c_string(&name), reason);
        ok = false;
    }
    size_t error_len = error->len;
    for (int i = 0; i < count && ok; i++) {
        ok = add_listener(acceptor, &addresses[i], error);
        if (!ok && is_missing_ipv6(host, errno)) {
            error->len = error_len;
            ok = true;
        }
    }
    buf_fini(&name);
    return ok;
}

static bool listen_on_all(struct acceptor *acceptor, struct buf *error)
{
    struct buf bind;
    buf_init(&bind);
    config_text(&acceptor->server->config, OPTION_BIND, &bind);
    struct words words;
    words_init(&words);
    bool ok = words_split(&words, bind.data, bind.len) && words.count > 0;
    if (!ok) {
        buf_append_string(error, "bind: no address; use for instance bind 127.0.0.1");
    }
    for (size_t i = 0; i < words.count && ok; i++) {
        ok = listen_on(acceptor, words.items[i], error);
    }
    words_fini(&words);
    buf_fini(&bind);
    return ok;
}

static bool listen_on_unix(struct acceptor *acceptor, struct buf *error)
{
    config_text(&acceptor->server->config, OPTION_UNIXSOCKET, &acceptor->unix_path);
    if (acceptor->unix_path.len == 0) {
        return true;
    }
    const char *path = buf_c_string(&acceptor->unix_path);
    struct address address;
    if (address_unix(&address, path) != MEMENTO_OK) {
        buf_append_string(error, "unixsocket: the path is too long: at most 107 bytes");
        acceptor->unix_path.len = 0;
        return false;
    }
    if (!add_listener(acceptor, &address, error)) {
        acceptor->unix_path.len = 0; /* it is not ours to remove */
        return false;
    }
    struct buf mode;
    buf_init(&mode);
    config_text(&acceptor->server->config, OPTION_UNIXSOCKETPERM, &mode);
    bool ok = chmod(path, (mode_t)strtoul(buf_c_string(&mode), NULL, 8)) == 0;
    if (!ok) {
        buf_appendf(error, "unixsocketperm: %s: %s", path, strerror(errno));
    }
    buf_fini(&mode);
    return ok;
}

enum memento_status acceptor_open(struct acceptor *acceptor, struct server *server,
                                  struct buf *error)
{
    *acceptor = (struct acceptor){.server = server, .reserve_fd = -1};
    buf_init(&acceptor->unix_path);
    buf_init(&acceptor->described);
    bool ok = true;
    if (config_number(&server->config, OPTION_PORT) != 0) {
        ok = listen_on_all(acceptor, error);
    }
    ok = ok && listen_on_unix(acceptor, error);
    if (ok && acceptor->count == 0) {
        buf_append_string(error, "nothing to listen on: set port, or unixsocket");
        ok = false;
    }
    acceptor->reserve_fd = os_open("/dev/null", O_RDONLY, 0);
    return ok ? MEMENTO_OK : MEMENTO_ERR_IO;
}

void acceptor_close(struct acceptor *acceptor)
{
    for (unsigned i = 0; i < acceptor->count; i++) {
        os_close(acceptor->listeners[i]);
    }
    acceptor->count = 0;
    if (acceptor->reserve_fd >= 0) {
        os_close(acceptor->reserve_fd);
        acceptor->reserve_fd = -1;
    }
    if (acceptor->unix_path.len > 0) {
        unlink(buf_c_string(&acceptor->unix_path));
    }
    buf_fini(&acceptor->unix_path);
    buf_fini(&acceptor->described);
}

/* ---- accepting ---- */

static void trace_refusal(struct acceptor *acceptor, const char *why)
{
    int64_t now_ms = (int64_t)(clock_monotonic_ns() / 1000000);
    if (acceptor->refusal_traced_ms == 0 ||
        now_ms - acceptor->refusal_traced_ms >= 1000) {
        acceptor->refusal_traced_ms = now_ms;
        trace_warning("a client was refused: %s", why);
    }
}

static void refuse(struct acceptor *acceptor, int fd, const char *why)
{
    static const char answer[] = "-ERR max number of clients reached\r\n";
    trace_refusal(acceptor, why);
    /* Whether the client takes it or not, it is closed. */
    if (os_send(fd, answer, sizeof(answer) - 1) < 0) {
        trace_debug("a refused client did not take its answer");
    }
    os_close(fd);
    atomic_fetch_add_explicit(&acceptor->server->connections_rejected, 1,
                              memory_order_relaxed);
}

static struct worker *worker_with_fewest(struct server *server)
{
    struct worker *fewest = &server->workers[0];
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < server->worker_count; i++) {
        uint64_t connections = atomic_load_explicit(
            &server->workers[i].counters.connections, memory_order_relaxed);
        if (connections < least) {
            least = connections;
            fewest = &server->workers[i];
        }
    }
    return fewest;
}

static void hand_over(struct acceptor *acceptor, int fd)
{
    struct server *server = acceptor->server;
    struct worker *worker = worker_with_fewest(server);
    socket_set_low_delay(fd);
    socket_set_keepalive(fd, (int)config_number(&server->config, OPTION_TCP_KEEPALIVE));
    /* Counted here, so that a burst is spread before the workers have woken up. */
    atomic_fetch_add_explicit(&worker->counters.connections, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&server->clients.count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&server->connections_received, 1, memory_order_relaxed);
    struct mail mail = {MAIL_CONNECTION, (uint64_t)fd, NULL};
    if (mailbox_post(&worker->mailbox, mail) != MEMENTO_OK) {
        atomic_fetch_sub_explicit(&worker->counters.connections, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&server->clients.count, 1, memory_order_relaxed);
        refuse(acceptor, fd, "its worker has no room for news");
    }
}

/* No descriptor is left. The client would stay in the queue and wake us for ever, so the one
 * kept in reserve is given up to take it, tell it and close it. */
static void refuse_without_descriptors(struct acceptor *acceptor, int listener)
{
    if (acceptor->reserve_fd >= 0) {
        os_close(acceptor->reserve_fd);
        acceptor->reserve_fd = -1;
    }
    int fd = os_accept(listener, NULL, NULL);
    if (fd >= 0) {
        refuse(acceptor, fd,
               "no file descriptor is left: raise the limit (ulimit -n) or "
               "lower maxclients");
    }
    acceptor->reserve_fd = os_open("/dev/null", O_RDONLY, 0);
}

void acceptor_accept(struct acceptor *acceptor, int listener)
{
    struct server *server = acceptor->server;
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        int fd = os_accept(listener, NULL, NULL);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
            refuse_without_descriptors(acceptor, listener);
            return;
        }
        if (fd < 0) {
            return; /* none is waiting, or one has gone again */
        }
        uint64_t open =
            atomic_load_explicit(&server->clients.count, memory_order_relaxed);
        if (open >= (uint64_t)config_number(&server->config, OPTION_MAXCLIENTS)) {
            refuse(acceptor, fd, "there are maxclients already");
        } else {
            hand_over(acceptor, fd);
        }
    }
}
