/* server.h - everything a running memento-server is made of. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "command/call.h"
#include "engine/engine.h"
#include "server/clients.h"
#include "server/config.h"
#include "server/loader.h"
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
    atomic_bool has_failed;      /* ... or it cannot go on: exit status 1 */
    struct loader loader;        /* main's, while the data is loaded */
    struct log *_Atomic log;     /* NULL: in memory only, or not loaded yet */
    atomic_uint workers_loaded;  /* they all answer commands on data, or none does */
    char run_id[41];             /* hex, new at every start */
    int64_t started_ms;
    /* Main writes, INFO reads. */
    _Atomic uint64_t connections_received, connections_rejected;
    _Atomic uint64_t ops_per_second; /* sampled by main */
    _Atomic uint64_t memory_peak;    /* info_note_memory */
    /* Changes of all writers when the last snapshot was seen to be in force. */
    _Atomic uint64_t changes_at_save;
    /* A look at the data on disk, a few times a second, for those who may not wait for shards. */
    struct lock persist_lock;
    struct persist_stats persist_seen;
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

/* A worker has got the data. Whether all have: then a client that is answered by one of them is
 * not told by the next that it is still loading. */
void server_note_loaded(struct server *server);
static inline bool server_is_loaded(const struct server *server)
{
    return atomic_load(&server->workers_loaded) == server->worker_count;
}

/* Any thread: asks main to drain and end; server_fail with exit status 1. */
void server_stop(struct server *server);
void server_fail(struct server *server);
