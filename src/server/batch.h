/* batch.h - what a worker has in hand during a turn: the input it has read, the requests it has
 * parsed, and each connection's share of them.
 *
 * Batching over all ready connections is what lets one turn hide the latency of memory: the
 * table lines of 64 requests are on their way before the first of them is needed.
 *
 * Thread: its worker. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "protocol/request.h"
#include "server/execute.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Input of all connections of a batch, one behind the other. A batch runs when less than one
 * read's worth is left; sized to stay in a core's second-level cache together with its output. */
#define BATCH_INPUT_BYTES (512 * 1024)
#define BATCH_READ_BYTES  (64 * 1024)

/* More than this in buffers of connections, or in requests, and the batch runs before the next
 * socket is read: what clients send at once must not decide how much memory is used. */
#define BATCH_OWN_BYTES (4 * 1024 * 1024)
#define BATCH_REQUESTS  16384

/* Requests whose lines are prefetched together: 16 to 256 measured the same, fewer were worse. */
#define BATCH_PREFETCH 64

/* What has been changed is handed to the log early when it is more than this, so that a frame
 * stays small. Only a single request may make a larger one. */
#define BATCH_FRAME_BYTES (256 * 1024)

/* Replies are sent early when more than this has gathered, so that the output stays small. */
#define BATCH_OUTPUT_BYTES (1024 * 1024)

/* One connection's part of a batch. */
struct share {
    struct connection *connection;
    size_t first_request, request_count;
    size_t own_consumed; /* bytes to drop from connection->in afterwards */
    size_t output_from;  /* where its unsent output begins in worker->output */
    size_t pins_from;
    /* From the first of its requests on that has to wait for the log. */
    bool waits, has_written;
    enum log_policy waits_policy; /* the strongest that was in force when it wrote */
    size_t waits_from, waits_pins_from;
    uint32_t waits_replies;
    uint64_t waits_version; /* the newest change it has shown that is not on disk */
};

struct batch {
    char *input;
    size_t input_used;
    size_t own_bytes; /* read into buffers of connections */
    struct words words;
    struct parsed *requests;
    size_t request_count, request_cap;
    struct share *shares;
    size_t share_count, share_cap;
    /* Texts of parse errors; few, so they are kept by value. */
    struct buf errors;
    struct request_limits limits, limits_unauthenticated;
};

MUST_USE enum memento_status batch_create(struct batch **batch);
void batch_destroy(struct batch *batch); /* accepts NULL */

/* Phase 1 for one connection: one read, then all complete requests of it. False: run the batch
 * first, there is no room for another read; nothing was read. */
bool gather_read(struct worker *worker, struct connection *connection);
/* The same from requests that were read in an earlier turn. */
void gather_waiting(struct worker *worker, struct connection *connection);

/* Phases 2 to 5 for everything gathered; empties the batch. */
void batch_run(struct worker *worker);
