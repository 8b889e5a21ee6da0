/* server.h - everything a running memento-server is made of. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "command/call.h"
#include "engine/engine.h"
#include "server/clients.h"
#include "server/config.h"
#include "server/worker.h"

#include <stdatomic.h>
#include <stdint.h>

struct server {
    struct config config;
    struct engine engine;
    struct clients clients;
    struct worker *workers;
    unsigned worker_count;
    struct mailbox main_mailbox; /* wakes the main thread */
    atomic_bool stop_wanted;     /* SHUTDOWN or a signal */
    char run_id[41];             /* hex, new at every start */
    int64_t started_ms;
    /* Main writes, INFO reads. */
    _Atomic uint64_t connections_received, connections_rejected;
    _Atomic uint64_t ops_per_second; /* sampled by main */
    _Atomic uint64_t memory_peak;    /* info_note_memory */
    /* What CONFIG RESETSTAT has subtracted from the sums. */
    struct {
        _Atomic uint64_t commands, connections_received, connections_rejected, hits,
            misses, expired, input_bytes, output_bytes, errors;
    } baseline;
};

/* The server, worker and connection that a handler works for. */
static inline struct connection *call_connection(const struct call *call)
{
    return connection_of_session(call->session);
}
static inline struct worker *call_worker(const struct call *call)
{
    return call_connection(call)->worker;
}
static inline struct server *call_server(const struct call *call)
{
    return call_worker(call)->server;
}

/* Any thread: asks main to drain and end. */
void server_stop(struct server *server);
