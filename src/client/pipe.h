/* pipe.h - mass sending: the bytes of a file go to the server as they are, while the
 * replies are read and counted.
 *
 * Memory is bounded: no input is read while the last piece has not been sent, and a reply
 * is dropped once it is counted.
 *
 * May use:    base/, protocol/, client.h.
 * Thread:     its owner. */
#pragma once

#include "client/client.h"

#include <stdint.h>

struct pipe_totals {
    uint64_t replies; /* errors included; pushed messages are none */
    uint64_t errors;
};

/* Told of each error reply, in order. */
typedef void pipe_error(void *context, struct bytes error);
/* Told once, when all has been sent. */
typedef void pipe_sent(void *context);

/* Sends what `input_fd` gives until its end, then ECHO of 20 random bytes, and reads
 * until that comes back, so that every request has been answered. The input is RESP or
 * text lines; a PING in RESP before it makes the server answer all of it in RESP.
 * `totals` are right in any case. CLOSED when the server has gone before the end, ERR_IO
 * when input_fd fails or when the server has not moved for quiet_ms (an input that ends
 * inside a request), or what client_read gives; with client->error. */
MUST_USE enum memento_status client_pipe(struct client *client, int input_fd,
                                         int quiet_ms, pipe_error *on_error,
                                         pipe_sent *on_sent, void *context,
                                         struct pipe_totals *totals);
