/* hold.h - replies that wait for the log.
 *
 * A reply to a write leaves when its frame has reached what the connection's policy asks for: the
 * kernel (everysec, never) or the disk (always); a reply that shows somebody's change leaves, under
 * always, when that change is on disk. What waits, and everything behind it, is kept here in
 * groups, in order; a group whose need is met moves to the connection's unsent parts.
 *
 * Thread: the worker of the connection. */
#pragma once

#include "base/annotate.h"
#include "engine/engine.h"
#include "server/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worker;

/* A connection with more bytes held than this is not read further. */
#define HELD_BYTES_MAX (1024 * 1024)
/* ... and one whose last read alone asked for so much to be held is cut: the limit is there for
 * memory, since requests that have been read are also run. */
#define HELD_BYTES_CUT (64u * 1024 * 1024)

enum need_state {
    NEED_MET,
    NEED_WRITE, /* waits until its frame is written */
    NEED_SYNC,  /* waits for the disk: log_want_sync */
    NEED_LOST   /* the log has failed: it will never be met */
};

/* Where the need stands now; a position that has become known is noted in it. */
enum need_state need_look(struct need *need, const struct log_writer *writer);

/* The stronger of fsync-policy and what DURABILITY asked for on this connection. */
enum log_policy hold_policy(const struct connection *connection);

/* Begins a group of `replies` replies behind what is held; hold_add adds to the last group and
 * takes the reference of an owner over in any case. False without memory: the connection has to be
 * given up, for its replies would have a gap. */
MUST_USE bool hold_open(struct connection *connection, const struct need *need,
                        uint32_t replies);
MUST_USE bool hold_add(struct connection *connection, struct bytes bytes, void *owner);
/* Adds what follows a group without a need of its own. */
MUST_USE bool hold_follow(struct connection *connection, struct bytes bytes, void *owner);
/* Drops all of it. */
void hold_drop(struct connection *connection);

/* Whether the connection must not be read, nor its waiting requests run, for the time being. */
bool hold_stalls(const struct connection *connection);

/* Looks at all connections of the worker that hold something or wait, sends what may go, and asks
 * for a sync when one of them needs it. Each turn. */
void hold_turn(struct worker *worker);
