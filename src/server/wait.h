/* wait.h - a connection whose next reply is made later: WAITAOF until its writes are on disk or
 * time is up, SAVE, BACKUP and LOG REOPEN until the thread that does it is done. Meanwhile nothing
 * more of the connection is read or run: the rows of those commands are barriers.
 *
 * Thread: the worker of the connection; the outcome of a job comes from another thread. */
#pragma once

#include "base/annotate.h"
#include "base/buf.h"
#include "base/list.h"
#include "command/call.h"
#include "engine/persist.h"
#include "server/hold.h"

#include <stdatomic.h>
#include <stdbool.h>

struct worker;

/* Something that a background thread does for a client that may be gone by then. Owned by the
 * worker; the background thread writes status and why, then is_done, and wakes the worker. */
struct job {
    struct list of_worker;
    struct worker *worker;
    uint64_t client;
    enum memento_status status;
    struct buf why;
    struct buf made;   /* BACKUP: the path of what it makes, for its trace */
    uint64_t begin_ns; /* ... and since when */
    atomic_bool is_done;
};

/* NULL without memory. job_done is the engine_done of it. */
struct job *job_create(struct worker *worker, uint64_t client);
void job_done(void *job, enum memento_status status, struct bytes why);
/* One that was not accepted, or at the end when no thread can know it any more. */
void job_destroy(struct job *job);
/* Answers the clients whose jobs are done. */
void job_look(struct worker *worker);

/* The handler gives no reply: it comes later. */
void wait_for_job(struct call *call);
void wait_for_log(struct call *call, int64_t wanted_local, int64_t wanted_replicas,
                  int64_t timeout_ms);
/* Whether all that the connection has written is on disk: NEED_MET then. */
enum need_state wait_state(struct connection *connection);
/* Answers a WAITAOF whose time has come. False: the connection cannot be answered. */
MUST_USE bool wait_look(struct connection *connection, bool *wants_sync);
