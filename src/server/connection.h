/* connection.h - one client: its socket, what it has sent and not yet finished, what it has not
 * yet read.
 *
 * An idle connection owns no buffers: requests are read into the worker's input area and
 * replies leave from the worker's output; only what is left over is kept here.
 *
 * Thread: its worker. Other threads may look at what `clients.h` says, under its lock. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "command/session.h"
#include "protocol/request.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct worker;

/* Bytes, or a pinned value, that a client has not taken yet. */
struct unsent {
    struct unsent *next;
    struct bytes bytes; /* what is left of it */
    void *owner;        /* of a pinned value; NULL: the bytes follow this struct */
};

struct connection {
    struct session session; /* first: connection_of_session */
    struct worker *worker;
    int fd;
    uint32_t epoll_events; /* what epoll watches now */

    struct parser parser;
    struct buf in; /* an unfinished request, or requests that wait for their turn */
    struct unsent *unsent_first, **unsent_last;
    size_t unsent_bytes; /* pinned values not counted */
    size_t pinned_bytes; /* those of the pinned values */

    bool is_closing;  /* to be destroyed at the end of the turn */
    bool input_ended; /* the peer has closed its sending side */
    bool has_waiting; /* complete requests may wait in `in`: it is in worker->waiting */
    struct list of_worker;
    struct list of_waiting;
    struct list of_clients; /* registry, under its lock */

    /* For CLIENT LIST and the idle timeout; read by other threads. Monotonic milliseconds. */
    int64_t created_ms;
    _Atomic int64_t active_ms;
    _Atomic uint64_t commands;
    _Atomic uint8_t database;
    _Atomic uint8_t dialect;
    atomic_bool in_multi;
    const struct command_row *_Atomic last_row;
    struct {
        _Atomic uint64_t in_bytes, in_free_bytes; /* of an unfinished request */
        _Atomic uint64_t unsent_bytes;
        _Atomic uint64_t queued, queued_bytes; /* by MULTI */
    } shown;
};

static inline struct connection *connection_of_session(struct session *session)
{
    return (struct connection *)(void *)session;
}

/* NULL without memory; the fd stays the caller's then. */
struct connection *connection_create(struct worker *worker, int fd, uint64_t id);
/* Closes the socket. */
void connection_destroy(struct connection *connection);

/* Memory that this client's unread replies cost: what was copied for it, and its share of pinned
 * values that no key holds any more, but for the one that is being sent: a single value of any
 * size may be taken slowly. Looks at the values one by one, so ask it only when it matters. */
size_t connection_unsent_cost(const struct connection *connection);

/* Sends what is unsent as far as the socket takes it. False when the peer is gone. */
bool connection_flush(struct connection *connection);
/* Sends these parts after what is unsent; keeps a copy of what the socket does not take. Parts
 * whose owner is not NULL are pinned values: their reference is taken over. */
struct part {
    struct bytes bytes;
    void *owner;
};
bool connection_send(struct connection *connection, const struct part *parts,
                     size_t count);

/* Ends a client whose unread replies cost more than client-output-limit; false then. A large
 * value that a key still holds costs nothing, so those are told apart when it matters. */
bool connection_is_within_limit(struct connection *connection);

/* After a connection has been served: closes it when it is done with, cuts it when it is over
 * its output limit, tells epoll what to wait for. */
void connection_settle(struct connection *connection);
