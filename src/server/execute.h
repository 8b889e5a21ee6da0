/* execute.h - one parsed request on its way to a handler: the gates, in one sequence.
 *
 *   known? -> arity? -> authorised? -> loaded, and does the log take it? -> queued by MULTI?
 *   -> handler */
#pragma once

#include "base/bytes.h"
#include "command/call.h"
#include "server/connection.h"

/* What the gather phase found out about a request. */
struct parsed {
    struct connection *connection;
    const struct command_row *row; /* NULL: unknown, or an error */
    size_t first_word;
    uint32_t word_count;
    bool is_resp;
    bool hash_known;
    bool is_error;  /* `error` is the answer */
    bool is_broken; /* ... and the connection is closed behind it */
    union {
        uint64_t key_hash; /* of the bytes of the first key */
        size_t error_at;   /* where the error's text begins in batch->errors */
    };
};

/* Its worker. Replies through worker->reply, whose dialect it sets. */
void execute(struct worker *worker, struct parsed *parsed, const struct bytes *words);

/* Runs the row's handler, its counters included; what call_run points to. */
void execute_call(struct call *call);
