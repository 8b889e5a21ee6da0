/* session.h - what the server remembers about one client between its requests.
 *
 * Owned by the connection, touched by its worker only (CLIENT LIST of another worker reads a
 * copy that the connection publishes). */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "protocol/reply.h"

#include <stdbool.h>
#include <stdint.h>

struct command_row;

/* A request that MULTI has queued: a copy of its words. */
struct queued {
    const struct command_row *row;
    struct bytes *words; /* one allocation together with what they point to */
    size_t count;
};

struct session {
    uint64_t id;
    enum dialect dialect;
    uint8_t database;
    bool is_authenticated;
    bool close_after_reply; /* QUIT, or a framing error */
    bool reply_off;         /* CLIENT REPLY OFF */
    bool reply_skip;        /* CLIENT REPLY SKIP: nothing for this request */
    bool reply_skip_next;   /* ... it is the next one that gets nothing */

    uint8_t
        durability; /* enum log_policy, by DURABILITY; the server's wins when stronger */

    bool in_multi;
    bool multi_broken; /* a queued request was refused: EXEC aborts */
    struct queued *queue;
    size_t queue_count, queue_cap;
    size_t queue_bytes;
    struct list watches; /* struct watch, by of_client */

    struct buf name, library_name, library_version; /* CLIENT SETNAME, SETINFO */
};

void session_init(struct session *session, uint64_t id, enum dialect dialect);
