#include "client/pipe.h"

#include "base/os.h"
#include "base/random.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Bytes read at once from the input: enough that the calls cost little per request. */
#define PIECE_BYTES_MAX (size_t)(128 * 1024)

#define TOKEN_BYTES 20

/* Replies to the PING in front: it is not counted. */
#define REPLIES_IN_FRONT 1

struct pipe {
    struct client *client;
    int input_fd;
    struct buf piece; /* what has been read and not yet all sent */
    size_t piece_sent;
    bool at_end; /* the ECHO is in the piece, or sent */
    bool all_sent;
    bool cut; /* the server takes no more; it may still say why */
    bool done;
    uint64_t answers;
    char token[TOKEN_BYTES];
    pipe_error *on_error;
    void *context;
    struct pipe_totals *totals;
};

static enum memento_status fail(struct pipe *pipe, enum memento_status status,
                                const char *why)
{
    snprintf(pipe->client->error, sizeof(pipe->client->error), "%s", why);
    return status;
}

/* Ends a last line that has no end; an empty line is no request. */
static void append_echo(struct pipe *pipe)
{
    buf_append_string(&pipe->piece, "\r\n*2\r\n$4\r\nECHO\r\n$20\r\n");
    buf_append(&pipe->piece, pipe->token, TOKEN_BYTES);
    buf_append_string(&pipe->piece, "\r\n");
    pipe->at_end = true;
}

/* The next piece of input, once the last has been sent. */
static enum memento_status read_piece(struct pipe *pipe)
{
    buf_reset(&pipe->piece, PIECE_BYTES_MAX);
    pipe->piece_sent = 0;
    if (!buf_reserve(&pipe->piece, PIECE_BYTES_MAX)) {
        return fail(pipe, MEMENTO_ERR_NO_MEMORY, "out of memory");
    }
    ssize_t got = os_read(pipe->input_fd, pipe->piece.data, PIECE_BYTES_MAX);
    if (got < 0) {
        return errno == EAGAIN ? MEMENTO_OK : fail(pipe, MEMENTO_ERR_IO, strerror(errno));
    }
    pipe->piece.len = (size_t)got;
    if (got == 0) {
        append_echo(pipe);
    }
    return MEMENTO_OK;
}

static enum memento_status send_piece(struct pipe *pipe)
{
    struct buf *piece = &pipe->piece;
    ssize_t wrote = os_write(pipe->client->fd, piece->data + pipe->piece_sent,
                             piece->len - pipe->piece_sent);
    if (wrote >= 0) {
        pipe->piece_sent += (size_t)wrote;
        return MEMENTO_OK;
    }
    if (errno == EAGAIN) {
        return MEMENTO_OK;
    }
    if (errno == EPIPE || errno == ECONNRESET) {
        pipe->piece_sent = piece->len;
        pipe->cut = true;
        return MEMENTO_OK;
    }
    return fail(pipe, MEMENTO_ERR_IO, strerror(errno));
}

static void count_answer(struct pipe *pipe, const struct response_node *node)
{
    if (node->type == RESPONSE_PUSH || pipe->answers++ < REPLIES_IN_FRONT) {
        return;
    }
    if (pipe->at_end && node->type == RESPONSE_VALUE &&
        bytes_equal(node->bytes, bytes_of(pipe->token, TOKEN_BYTES))) {
        pipe->done = true;
        return;
    }
    pipe->totals->replies++;
    if (node->type == RESPONSE_ERROR) {
        pipe->totals->errors++;
        pipe->on_error(pipe->context, node->bytes);
    }
}

static enum memento_status take_answers(struct pipe *pipe)
{
    enum memento_status status = client_receive(pipe->client);
    enum memento_status taken = MEMENTO_OK;
    while (taken == MEMENTO_OK && !pipe->done) {
        taken = client_take(pipe->client);
        if (taken == MEMENTO_OK) {
            count_answer(pipe, &pipe->client->response.nodes[0]);
        }
    }
    if (taken != MEMENTO_OK && taken != MEMENTO_AGAIN) {
        return taken;
    }
    return status == MEMENTO_AGAIN || pipe->done ? MEMENTO_OK : status;
}

static bool has_piece(const struct pipe *pipe)
{
    return pipe->piece_sent < pipe->piece.len;
}

/* Waits for what can be done next, and does it. The time counts only while it is the
 * server that is waited for: an input that pauses is not the server's fault. */
static enum memento_status step(struct pipe *pipe, int quiet_ms)
{
    bool sends = has_piece(pipe);
    bool reads = !sends && !pipe->at_end && !pipe->cut;
    struct pollfd events[2] = {
        {.fd = pipe->client->fd, .events = (short)(POLLIN | (sends ? POLLOUT : 0))},
        {.fd = reads ? pipe->input_fd : -1, .events = POLLIN}};
    int ready = poll(events, 2, reads ? -1 : quiet_ms);
    if (ready < 0) {
        return errno == EINTR ? MEMENTO_OK : fail(pipe, MEMENTO_ERR_IO, strerror(errno));
    }
    if (ready == 0) {
        return fail(pipe, MEMENTO_ERR_IO,
                    "the server does not answer: the input may end inside a request");
    }
    enum memento_status status = MEMENTO_OK;
    if (events[0].revents & (POLLIN | POLLERR | POLLHUP)) {
        status = take_answers(pipe);
    }
    if (status == MEMENTO_OK && events[1].revents != 0) {
        status = read_piece(pipe);
    }
    if (status == MEMENTO_OK && has_piece(pipe)) {
        status = send_piece(pipe);
    }
    return status;
}

enum memento_status client_pipe(struct client *client, int input_fd, int quiet_ms,
                                pipe_error *on_error, pipe_sent *on_sent, void *context,
                                struct pipe_totals *totals)
{
    *totals = (struct pipe_totals){0};
    struct pipe pipe = {.client = client,
                        .input_fd = input_fd,
                        .on_error = on_error,
                        .context = context,
                        .totals = totals};
    if (random_bytes(pipe.token, sizeof(pipe.token)) != MEMENTO_OK) {
        return fail(&pipe, MEMENTO_ERR_IO, "no random bytes");
    }
    buf_init(&pipe.piece);
    buf_append_string(&pipe.piece, "*1\r\n$4\r\nPING\r\n");
    enum memento_status status = MEMENTO_OK;
    while (status == MEMENTO_OK && !pipe.done) {
        if (pipe.at_end && !has_piece(&pipe) && !pipe.cut && !pipe.all_sent) {
            pipe.all_sent = true;
            on_sent(context);
        }
        status = step(&pipe, quiet_ms);
    }
    buf_fini(&pipe.piece);
    return status;
}
