/* acceptor.h - listening sockets, and new clients on their way to a worker.
 *
 * Thread: main. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "server/server.h"

#define LISTENERS_MAX 16

struct acceptor {
    struct server *server;
    int listeners[LISTENERS_MAX];
    unsigned count;
    int reserve_fd; /* given up for a moment when no descriptor is left: see acceptor_accept */
    int64_t refusal_traced_ms; /* refusals are traced once a second */
    struct buf unix_path;      /* to be removed at the end */
    struct buf described;      /* "127.0.0.1:6737 [::1]:6737", for the operator */
};

/* Opens every listener that the configuration names. ERR_IO with `error` for people. */
MUST_USE enum memento_status acceptor_open(struct acceptor *acceptor,
                                           struct server *server, struct buf *error);
void acceptor_close(struct acceptor *acceptor);

/* Takes what waits at this listener and hands each client to the worker with the fewest. */
void acceptor_accept(struct acceptor *acceptor, int listener);
