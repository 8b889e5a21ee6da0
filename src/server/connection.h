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
#include "log/log.h"
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

/* What the log must have reached before a reply may leave; see hold.h. */
struct need {
    uint64_t frame;    /* number of a frame of this worker's; 0: nothing was written */
    uint64_t position; /* where it ends at the latest; 0: it is not written yet */
    uint64_t version;  /* the newest change that was shown; 0: all of it was on disk */
    enum log_policy policy;
};
struct held;

/* Why the next reply is made later; see wait.h. */
enum wait_kind { WAIT_NOTHING, WAIT_JOB, WAIT_LOG };
struct wait {
    enum wait_kind kind;
    bool is_silent; /* CLIENT REPLY OFF or SKIP: it is waited for, and not answered */
    bool wants_local, wants_replicas; /* WAITAOF */
    int64_t until_ms;                 /* monotonic */
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
    /* Replies that wait for the log, behind the unsent ones. */
    struct held *held_first, *held_last;
    size_t held_bytes;        /* copied, their records included */
    size_t held_pinned_bytes; /* pinned values among them */
    struct need last_write;   /* of this connection, under always: for WAITAOF */
    bool is_uncommitted;      /* it has written more in the batch that runs */
    struct wait wait;

    bool is_closing;  /* to be destroyed at the end of the turn */
    bool input_ended; /* the peer has closed its sending side */
    bool
        has_waiting; /* complete requests may wait in `in`: it is in worker->waiting ... */
    bool is_stalled; /* ... but not while this: nothing is read, nothing is run */
    struct list of_worker;
    struct list of_waiting;
    struct list of_holding; /* holds or waits: in worker->holding */
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

/* A copy of the bytes or, with an owner, the bytes of a pinned value, whose reference it takes
 * over. NULL without memory: the reference stays the caller's. */
struct unsent *unsent_create(struct bytes bytes, void *owner);
/* Behind all that is unsent. */
void unsent_append(struct connection *connection, struct unsent *unsent);

/* Sends what is unsent as far as the socket takes it. False when the peer is gone. */
bool connection_flush(struct connection *connection);
/* Sends these parts after what is unsent or held; keeps a copy of what the socket does not take. Parts
 * whose owner is not NULL are pinned values: their reference is taken over. */
struct part {
    struct bytes bytes;
    void *owner;
};
bool connection_send(struct connection *connection, const struct part *parts,
                     size_t count);

/* Ends a client whose unread replies cost more than client-output-limit; false then. A large
 * value that a key still holds costs nothing, so those are told apart when it matters. What waits
 * for the log is not the client's fault and has a limit of its own. */
bool connection_is_within_limit(struct connection *connection);

/* After a connection has been served: closes it when it is done with, cuts it when it is over
 * its output limit, tells epoll what to wait for. */
void connection_settle(struct connection *connection);
