/* worker.h - a thread that serves its connections, a turn at a time.
 *
 *   1 gather    wait for ready sockets, read each once, parse all complete requests, hash keys
 *   2 prefetch  touch the table lines of the batch, then the entries they name
 *   3 execute   each connection's requests in order; replies gather in the worker's output
 *   4 commit    what the turn has changed becomes one frame of the log
 *   5 answer    one write a connection; what has to wait for the log is held (hold.h)
 *   then        a bounded slice of expiry
 *
 * Thread: everything is the worker's own but the mailbox and the counters. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/thread.h"
#include "engine/engine.h"
#include "protocol/reply.h"
#include "protocol/request.h"
#include "server/connection.h"

#include <stdatomic.h>
#include <stdint.h>

struct server;
struct batch;

enum worker_mail {
    MAIL_CONNECTION, /* number: an accepted fd */
    MAIL_KILL,       /* number: id of the client to close */
    MAIL_LOADED,     /* the data is there: attach to the log, serve all commands */
    MAIL_STOP        /* answer what has arrived, then end */
};

/* Written by the worker, read by INFO: relaxed loads and stores, no locked instructions. */
struct worker_counters {
    _Atomic uint64_t connections; /* open now */
    _Atomic uint64_t commands;
    _Atomic uint64_t errors; /* error replies */
    _Atomic uint64_t turns;
    _Atomic uint64_t input_bytes, output_bytes;
    _Atomic uint64_t clients_cut;         /* over the output limit */
    _Atomic uint64_t longest_turn_us;     /* wall */
    _Atomic uint64_t longest_turn_cpu_us; /* with measure-turns */
};

struct worker {
    struct server *server;
    struct thread thread;
    unsigned index;
    int epoll;
    struct mailbox mailbox CACHE_ALIGNED;
    struct writer writer;
    struct reply reply;
    struct buf output;
    struct batch *batch;
    struct list connections; /* of_worker */
    struct list waiting;     /* connections with requests that were read but not run */
    struct list
        holding;        /* connections with replies that wait for the log, or for a job */
    struct list jobs;   /* asked for by clients of this worker; wait.h */
    struct list doomed; /* is_closing, destroyed at the end of the turn */
    bool has_data;      /* the engine may be used, and has its clock */
    bool is_loaded;     /* all workers have it: commands that need data may run */
    bool is_stopping;
    size_t staged; /* bytes of this batch's changes that the log does not have yet */
    int64_t monotonic_ms; /* at the beginning of the turn */
    int ready_last;       /* sockets of the last turn */
    int64_t next_timeout_check_ms;
    int64_t next_sweep_ms;
    struct worker_counters counters CACHE_ALIGNED;
};

MUST_USE enum memento_status worker_init(struct worker *worker, struct server *server,
                                         unsigned index);
MUST_USE enum memento_status worker_start(struct worker *worker);
/* After the thread has ended. */
void worker_fini(struct worker *worker);

/* Marks a connection to be closed at the end of the turn. */
void worker_doom(struct connection *connection);
