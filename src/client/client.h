/* client.h - a blocking peer: connects, sends requests in RESP, reads responses.
 *
 * Requests are queued and sent together, so a pipeline is client_request, client_request,
 * ..., then as many client_read. While sending, replies that arrive are taken in: a
 * server that waits for its reader and a client that waits for its server never wait for
 * each other.
 *
 * May use:    base/, protocol/.
 * Thread:     its owner. The process ignores SIGPIPE. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "protocol/response.h"

#include <stdbool.h>

struct client {
    int fd;         /* -1 when not connected; does not block */
    int timeout_ms; /* of each wait for the server, 0 = for ever; may be changed */
    struct buf in;
    size_t in_used; /* bytes of `in` that belong to the last response and those before */
    struct buf out;
    struct response response;
    char error[256]; /* what went wrong, for people; may hold bytes of the server */
};
void client_init(struct client *client);
void client_fini(struct client *client); /* disconnects */

/* host and port, or the path of a unix socket (then host is NULL). timeout_ms bounds
 * connecting and each wait; 0 waits for ever. ERR_IO with client->error. */
MUST_USE enum memento_status client_connect(struct client *client, const char *host,
                                            int port, const char *unix_path,
                                            int timeout_ms);
/* Forgets what was queued and what was not read. */
void client_disconnect(struct client *client);

/* Queues a request; client_flush or client_read sends what is queued. */
void client_request(struct client *client, const struct bytes *words, size_t count);
/* Sends all that is queued. CLOSED when the server has gone (what it said last may still
 * be read), ERR_IO, ERR_NO_MEMORY; with client->error. */
MUST_USE enum memento_status client_flush(struct client *client);
/* Sends what is queued and gives the next response, good until the next call of any
 * function here. CLOSED when the server has gone, ERR_IO (the time is over too),
 * ERR_INVALID or ERR_TOO_LARGE when it does not speak the protocol, ERR_NO_MEMORY; with
 * client->error. After any of them the client is not connected. */
MUST_USE enum memento_status client_read(struct client *client);

/* Sends AUTH and reads the answer; leaves no copy of the password behind. ERR_INVALID
 * when the password is refused: the connection lives, client->error is what the server
 * said. */
MUST_USE enum memento_status client_authenticate(struct client *client,
                                                 struct bytes password);

/* For who waits by other means than client_read: takes in what has arrived, without
 * waiting. OK, AGAIN when there was nothing, or what client_read gives (and stays
 * connected). */
MUST_USE enum memento_status client_receive(struct client *client);
/* The next response of what was taken in, AGAIN when there is no whole one. */
MUST_USE enum memento_status client_take(struct client *client);
