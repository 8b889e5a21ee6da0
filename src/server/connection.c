/* connection.c - a client's socket and what it has not read yet; see connection.h. */
#include "server/connection.h"

#include "base/check.h"
#include "base/counter.h"
#include "base/heap.h"
#include "base/os.h"
#include "base/trace.h"
#include "command/transaction.h"
#include "server/hold.h"
#include "server/server.h"

#include <errno.h>
#include <limits.h>
#include <sys/epoll.h>

/* Parts of one writev: the kernel takes up to IOV_MAX, more than this gains nothing. */
#define PARTS_MAX 64

struct connection *connection_create(struct worker *worker, int fd, uint64_t id)
{
    struct connection *connection = heap_alloc_zeroed(1, sizeof(*connection));
    if (connection == NULL) {
        return NULL;
    }
    struct config *config = &worker->server->config;
    bool resp = config_number(config, OPTION_INLINE_REPLIES) == 1;
    session_init(&connection->session, id, resp ? DIALECT_RESP2 : DIALECT_TEXT);
    connection->session.is_authenticated = !config_has_secret(config, OPTION_REQUIREPASS);
    connection->worker = worker;
    connection->fd = fd;
    parser_init(&connection->parser);
    buf_init(&connection->in);
    connection->unsent_last = &connection->unsent_first;
    connection->created_ms = worker->monotonic_ms;
    atomic_init(&connection->active_ms, worker->monotonic_ms);
    list_init(&connection->of_worker);
    list_init(&connection->of_waiting);
    list_init(&connection->of_holding);
    list_init(&connection->of_clients);
    clients_add(&worker->server->clients, connection);
    return connection;
}

static void drop_unsent(struct connection *connection)
{
    while (connection->unsent_first != NULL) {
        struct unsent *unsent = connection->unsent_first;
        connection->unsent_first = unsent->next;
        if (unsent->owner != NULL) {
            large_drop(unsent->owner);
        }
        heap_free(unsent);
    }
    connection->unsent_last = &connection->unsent_first;
    connection->unsent_bytes = 0;
    connection->pinned_bytes = 0;
}

/* A socket that is closed with unread input resets the connection, and the peer loses replies
 * that were on their way. So what has come is read and thrown away first. */
static void close_gently(int fd)
{
    char waste[16 * 1024];
    (void)shutdown(fd, SHUT_WR);
    for (int i = 0; i < 64 && os_receive(fd, waste, sizeof(waste)) > 0; i++) {
    }
    os_close(fd);
}

void connection_destroy(struct connection *connection)
{
    struct session *session = &connection->session;
    clients_remove(&connection->worker->server->clients, connection);
    transaction_forget(session, &connection->worker->writer);
    close_gently(connection->fd);
    hold_drop(connection);
    drop_unsent(connection);
    parser_fini(&connection->parser);
    buf_fini(&connection->in);
    buf_fini(&session->name);
    buf_fini(&session->library_name);
    buf_fini(&session->library_version);
    list_remove(&connection->of_worker);
    list_remove(&connection->of_waiting);
    heap_free(connection);
}

/* ---- sending ---- */

struct unsent *unsent_create(struct bytes bytes, void *owner)
{
    size_t copied = owner == NULL ? bytes.len : 0;
    struct unsent *unsent = heap_alloc(sizeof(*unsent) + copied);
    if (unsent == NULL) {
        return NULL;
    }
    if (copied > 0) {
        memcpy(unsent + 1, bytes.data, copied);
        bytes.data = (const char *)(unsent + 1);
    }
    *unsent = (struct unsent){NULL, bytes, owner};
    return unsent;
}

void unsent_append(struct connection *connection, struct unsent *unsent)
{
    bool is_pinned = unsent->owner != NULL;
    unsent->next = NULL;
    *connection->unsent_last = unsent;
    connection->unsent_last = &unsent->next;
    connection->unsent_bytes += sizeof(*unsent) + (is_pinned ? 0 : unsent->bytes.len);
    connection->pinned_bytes += is_pinned ? unsent->bytes.len : 0;
}

/* False without memory; the owner's reference is taken over otherwise. */
static bool keep_unsent(struct connection *connection, struct bytes bytes, void *owner)
{
    struct unsent *unsent = unsent_create(bytes, owner);
    if (unsent != NULL) {
        unsent_append(connection, unsent);
    }
    return unsent != NULL;
}

/* Replies behind those that wait for the log wait with them. */
static bool follow_held(struct connection *connection, const struct part *parts,
                        size_t count)
{
    bool kept = true;
    for (size_t i = 0; i < count; i++) {
        if (kept) {
            kept = hold_follow(connection, parts[i].bytes, parts[i].owner);
        } else if (parts[i].owner != NULL) {
            large_drop(parts[i].owner);
        }
    }
    return kept;
}

static void drop_first_unsent(struct connection *connection)
{
    struct unsent *unsent = connection->unsent_first;
    connection->unsent_first = unsent->next;
    if (connection->unsent_first == NULL) {
        connection->unsent_last = &connection->unsent_first;
        connection->unsent_bytes = 0;
    } else {
        connection->unsent_bytes -= sizeof(*unsent);
    }
    if (unsent->owner != NULL) {
        large_drop(unsent->owner);
    }
    heap_free(unsent);
}

/* `sent` bytes of the queue have gone. */
static void unsent_advance(struct connection *connection, size_t sent)
{
    while (connection->unsent_first != NULL) {
        struct unsent *unsent = connection->unsent_first;
        size_t step = sent < unsent->bytes.len ? sent : unsent->bytes.len;
        unsent->bytes.data += step;
        unsent->bytes.len -= step;
        sent -= step;
        if (unsent->owner == NULL) {
            connection->unsent_bytes -= step;
        } else {
            connection->pinned_bytes -= step;
        }
        if (unsent->bytes.len > 0) {
            return;
        }
        drop_first_unsent(connection);
    }
}

size_t connection_unsent_cost(const struct connection *connection)
{
    size_t cost = connection->unsent_bytes;
    bool is_being_sent = true;
    for (const struct unsent *unsent = connection->unsent_first; unsent != NULL;
         unsent = unsent->next) {
        if (unsent->owner == NULL) {
            continue;
        }
        if (!is_being_sent && large_is_detached(unsent->owner)) {
            cost += large_share(unsent->owner);
        }
        is_being_sent = false;
    }
    return cost;
}

/* A client that takes its replies is not idle. */
static void note_progress(struct connection *connection)
{
    atomic_store_explicit(&connection->active_ms, connection->worker->monotonic_ms,
                          memory_order_relaxed);
}

/* Bytes written, 0 when the socket is full; -1 when the peer is gone. */
static ssize_t send_parts(struct connection *connection, const struct iovec *parts,
                          int count)
{
    ssize_t sent = count == 1
                       ? os_send(connection->fd, parts[0].iov_base, parts[0].iov_len)
                       : os_writev(connection->fd, parts, count);
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)) {
        return 0;
    }
    return sent;
}

bool connection_flush(struct connection *connection)
{
    while (connection->unsent_first != NULL) {
        struct iovec parts[PARTS_MAX];
        int count = 0;
        size_t wanted = 0;
        for (struct unsent *unsent = connection->unsent_first;
             unsent != NULL && count < PARTS_MAX; unsent = unsent->next) {
            parts[count++] =
                (struct iovec){(void *)(uintptr_t)unsent->bytes.data, unsent->bytes.len};
            wanted += unsent->bytes.len;
        }
        ssize_t sent = send_parts(connection, parts, count);
        if (sent < 0) {
            return false;
        }
        unsent_advance(connection, (size_t)sent);
        note_progress(connection);
        if ((size_t)sent < wanted) {
            return true; /* the socket is full */
        }
    }
    return true;
}

/* What is left of these parts, from byte `sent` on, waits in the queue. */
static bool keep_parts(struct connection *connection, const struct part *parts,
                       size_t count, size_t sent)
{
    bool kept = true;
    for (size_t i = 0; i < count; i++) {
        struct bytes bytes = parts[i].bytes;
        size_t step = sent < bytes.len ? sent : bytes.len;
        sent -= step;
        bytes.data += step;
        bytes.len -= step;
        bool keep = kept && bytes.len > 0;
        if (keep) {
            kept = keep_unsent(connection, bytes, parts[i].owner);
        }
        if (parts[i].owner != NULL && !(keep && kept)) {
            large_drop(parts[i].owner);
        }
    }
    return kept;
}

bool connection_send(struct connection *connection, const struct part *parts,
                     size_t count)
{
    size_t sent = 0;
    bool alive = true;
    if (UNLIKELY(connection->held_first != NULL)) {
        return follow_held(connection, parts, count);
    }
    if (LIKELY(connection->unsent_first == NULL)) {
        struct iovec vector[PARTS_MAX];
        int used = 0;
        while ((size_t)used < count && used < PARTS_MAX) {
            vector[used] = (struct iovec){(void *)(uintptr_t)parts[used].bytes.data,
                                          parts[used].bytes.len};
            used++;
        }
        ssize_t result = send_parts(connection, vector, used);
        alive = result >= 0;
        sent = alive ? (size_t)result : 0;
    }
    if (LIKELY(alive && count == 1 && sent == parts[0].bytes.len &&
               parts[0].owner == NULL)) {
        return true;
    }
    return keep_parts(connection, parts, count, sent) && alive;
}

/* ---- after it was served ---- */

/* What epoll has to tell about this connection from now on. */
static void watch_events(struct connection *connection)
{
    bool reads = !connection->input_ended && !connection->is_stalled;
    uint32_t events = (reads ? (uint32_t)EPOLLIN : 0) |
                      (connection->unsent_first != NULL ? (uint32_t)EPOLLOUT : 0);
    if (LIKELY(events == connection->epoll_events)) {
        return;
    }
    if (os_epoll_ctl(connection->worker->epoll, EPOLL_CTL_MOD, connection->fd, events,
                     connection) != 0) {
        worker_doom(connection);
    }
    connection->epoll_events = events;
}

static COLD void cut(struct connection *connection, const char *why, size_t bytes)
{
    counter_add(&connection->worker->counters.clients_cut, 1);
    trace_warning("client %llu: %zu bytes of replies %s: cut",
                  (unsigned long long)connection->session.id, bytes, why);
    worker_doom(connection);
}

bool connection_is_within_limit(struct connection *connection)
{
    struct worker *worker = connection->worker;
    if (UNLIKELY(connection->held_bytes > HELD_BYTES_CUT)) {
        cut(connection, "wait for the log, all asked for at once",
            connection->held_bytes);
        return false;
    }
    uint64_t limit =
        (uint64_t)config_number(&worker->server->config, OPTION_CLIENT_OUTPUT_LIMIT);
    if (LIKELY(connection->unsent_bytes + connection->pinned_bytes <= limit) ||
        connection_unsent_cost(connection) <= limit) {
        return true;
    }
    cut(connection, "unread, over client-output-limit", connection->unsent_bytes);
    return false;
}

/* Replies of it are on their way though nothing is unsent. */
static inline bool is_expecting(const struct connection *connection)
{
    return connection->held_first != NULL || connection->wait.kind != WAIT_NOTHING;
}

/* Stops the connection while the log is behind, or lets it go on. */
static inline void stall(struct connection *connection)
{
    bool stalls = UNLIKELY(is_expecting(connection)) && hold_stalls(connection);
    if (LIKELY(stalls == connection->is_stalled)) {
        return;
    }
    connection->is_stalled = stalls;
    if (stalls) {
        list_remove(&connection->of_waiting);
    } else if (connection->has_waiting) {
        list_append(&connection->worker->waiting, &connection->of_waiting);
    }
}

static inline void show(_Atomic uint64_t *shown, uint64_t value)
{
    atomic_store_explicit(shown, value, memory_order_relaxed);
}

void connection_settle(struct connection *connection)
{
    if (UNLIKELY(connection->is_closing)) {
        return;
    }
    if (UNLIKELY(connection->session.close_after_reply)) {
        connection->input_ended = true;
        connection->has_waiting = false;
        list_remove(&connection->of_waiting);
    }
    stall(connection);
    if (UNLIKELY(connection->unsent_first != NULL || is_expecting(connection))) {
        if (!connection_is_within_limit(connection)) {
            return;
        }
    } else if (UNLIKELY(connection->input_ended && !connection->has_waiting)) {
        worker_doom(connection);
        return;
    }
    show(&connection->shown.in_bytes, connection->in.len);
    show(&connection->shown.in_free_bytes, connection->in.cap - connection->in.len);
    show(&connection->shown.unsent_bytes,
         connection->unsent_bytes + connection->held_bytes);
    show(&connection->shown.queued, connection->session.queue_count);
    show(&connection->shown.queued_bytes, connection->session.queue_bytes);
    watch_events(connection);
}
