#include "client/client.h"

#include "base/check.h"
#include "base/os.h"
#include "base/socket.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* What one read asks for at least; the more of a response has come, the more it asks. */
#define READ_BYTES_MIN (size_t)(64 * 1024)

/* Memory of a buffer that is kept from one response to the next. */
#define KEPT_BYTES_MAX (size_t)(1024 * 1024)

/* Addresses of a name that are tried, one after the other. */
#define ADDRESSES_MAX 8

/* Seconds after which a server that has vanished without a word is noticed. */
#define KEEPALIVE_S 300

void client_init(struct client *client)
{
    *client = (struct client){.fd = -1};
    buf_init(&client->in);
    buf_init(&client->out);
    response_init(&client->response);
}

void client_fini(struct client *client)
{
    client_disconnect(client);
    buf_fini(&client->in);
    buf_fini(&client->out);
    response_fini(&client->response);
}

void client_disconnect(struct client *client)
{
    if (client->fd >= 0) {
        os_close(client->fd);
        client->fd = -1;
    }
    buf_reset(&client->in, KEPT_BYTES_MAX);
    buf_reset(&client->out, KEPT_BYTES_MAX);
    client->in_used = 0;
    response_reset(&client->response);
}

static enum memento_status fail(struct client *client, enum memento_status status,
                                const char *why)
{
    snprintf(client->error, sizeof(client->error), "%s", why);
    return status;
}

static int connect_any(const struct address *addresses, int count, int timeout_ms)
{
    int fd = -1;
    for (int i = 0; i < count && fd < 0; i++) {
        fd = socket_connect(&addresses[i], timeout_ms);
    }
    return fd;
}

enum memento_status client_connect(struct client *client, const char *host, int port,
                                   const char *unix_path, int timeout_ms)
{
    client_disconnect(client);
    client->timeout_ms = timeout_ms;
    struct address addresses[ADDRESSES_MAX];
    int count = 1;
    if (unix_path != NULL) {
        if (address_unix(&addresses[0], unix_path) != MEMENTO_OK) {
            return fail(client, MEMENTO_ERR_IO, "the path of the socket is too long");
        }
    } else {
        const char *error = "";
        count = address_resolve(host, port, addresses, ADDRESSES_MAX, &error);
        if (count == 0) {
            return fail(client, MEMENTO_ERR_IO, error);
        }
    }
    client->fd = connect_any(addresses, count, timeout_ms);
    if (client->fd < 0) {
        return fail(client, MEMENTO_ERR_IO, strerror(errno));
    }
    socket_set_nonblocking(client->fd, true);
    socket_set_low_delay(client->fd);
    socket_set_keepalive(client->fd, KEEPALIVE_S);
    client->error[0] = '\0';
    return MEMENTO_OK;
}

void client_request(struct client *client, const struct bytes *words, size_t count)
{
    struct buf *out = &client->out;
    buf_append_char(out, '*');
    buf_append_integer(out, (int64_t)count);
    buf_append(out, "\r\n", 2);
    for (size_t i = 0; i < count; i++) {
        buf_append_char(out, '$');
        buf_append_integer(out, (int64_t)words[i].len);
        buf_append(out, "\r\n", 2);
        buf_append_bytes(out, words[i]);
        buf_append(out, "\r\n", 2);
    }
}

/* Waits for one of `events`: OK, or ERR_IO when the time is over. */
static enum memento_status wait_for(struct client *client, short events)
{
    struct pollfd event = {.fd = client->fd, .events = events};
    int timeout_ms = client->timeout_ms > 0 ? client->timeout_ms : -1;
    int ready;
    do {
        ready = poll(&event, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        return fail(client, MEMENTO_ERR_IO, "the server does not answer");
    }
    return ready > 0 ? MEMENTO_OK : fail(client, MEMENTO_ERR_IO, strerror(errno));
}

static enum memento_status closed(struct client *client)
{
    return fail(client, MEMENTO_CLOSED, "the server has closed the connection");
}

enum memento_status client_receive(struct client *client)
{
    if (client->fd < 0) {
        return fail(client, MEMENTO_CLOSED, "not connected");
    }
    struct buf *in = &client->in;
    if (client->in_used == in->len) {
        buf_reset(in, KEPT_BYTES_MAX);
        client->in_used = 0;
    } else if (client->in_used > in->len / 2) {
        buf_consume(in,
                    client->in_used); /* moves less than has been read since the last */
        client->in_used = 0;
    }
    if (!buf_reserve(in, READ_BYTES_MIN)) {
        return fail(client, MEMENTO_ERR_NO_MEMORY, "out of memory");
    }
    ssize_t got = os_read(client->fd, in->data + in->len, in->cap - in->len);
    if (got > 0) {
        in->len += (size_t)got;
        return MEMENTO_OK;
    }
    if (got == 0 || errno == ECONNRESET || errno == EPIPE) {
        return closed(client);
    }
    return errno == EAGAIN ? MEMENTO_AGAIN
                           : fail(client, MEMENTO_ERR_IO, strerror(errno));
}

/* Waits until there is room to send or something to take in, and takes it in: the server
 * may have stopped reading until its answers are read. */
static enum memento_status wait_to_send(struct client *client)
{
    enum memento_status status = wait_for(client, POLLIN | POLLOUT);
    if (status == MEMENTO_OK) {
        status = client_receive(client);
    }
    return status == MEMENTO_AGAIN ? MEMENTO_OK : status;
}

enum memento_status client_flush(struct client *client)
{
    if (client->out.failed) {
        return fail(client, MEMENTO_ERR_NO_MEMORY, "out of memory");
    }
    enum memento_status status = MEMENTO_OK;
    size_t sent = 0;
    while (sent < client->out.len && status == MEMENTO_OK) {
        ssize_t wrote =
            os_write(client->fd, client->out.data + sent, client->out.len - sent);
        if (wrote >= 0) {
            sent += (size_t)wrote;
        } else if (errno == EAGAIN) {
            status = wait_to_send(client);
        } else if (errno == EPIPE || errno == ECONNRESET) {
            status = closed(client);
        } else {
            status = fail(client, MEMENTO_ERR_IO, strerror(errno));
        }
    }
    buf_reset(&client->out, KEPT_BYTES_MAX); /* on failure the rest has nowhere to go */
    return status;
}

enum memento_status client_take(struct client *client)
{
    if (client->in.len == client->in_used) {
        return MEMENTO_AGAIN;
    }
    struct bytes input =
        bytes_of(client->in.data + client->in_used, client->in.len - client->in_used);
    size_t consumed = 0;
    enum memento_status status = response_parse(&client->response, input, &consumed);
    client->in_used += consumed;
    switch (status) {
    case MEMENTO_ERR_NO_MEMORY:
        return fail(client, status, "out of memory");
    case MEMENTO_ERR_TOO_LARGE:
        return fail(client, status, "the server's answer is over a limit");
    case MEMENTO_ERR_INVALID:
        return fail(client, status, "the server does not answer in RESP");
    default:
        return status;
    }
}

static enum memento_status read_more(struct client *client)
{
    enum memento_status status = wait_for(client, POLLIN);
    if (status == MEMENTO_OK) {
        status = client_receive(client);
    }
    return status == MEMENTO_AGAIN ? MEMENTO_OK : status;
}

enum memento_status client_read(struct client *client)
{
    if (client->fd < 0) {
        return fail(client, MEMENTO_CLOSED, "not connected");
    }
    enum memento_status status = MEMENTO_OK;
    if (client->out.len > 0 || client->out.failed) {
        status = client_flush(client);
    }
    /* A server that closes says why first: "-ERR max number of clients reached". */
    if (status == MEMENTO_OK || status == MEMENTO_CLOSED) {
        status = client_take(client);
    }
    while (status == MEMENTO_AGAIN) {
        status = read_more(client);
        if (status == MEMENTO_OK) {
            status = client_take(client);
        }
    }
    if (status != MEMENTO_OK) {
        client_disconnect(client);
    }
    return status;
}

enum memento_status client_authenticate(struct client *client, struct bytes password)
{
    CHECK(client->out.len == 0);
    /* Room first: growing would leave a copy behind. */
    if (!buf_reserve(&client->out, password.len + 64)) {
        return fail(client, MEMENTO_ERR_NO_MEMORY, "out of memory");
    }
    const struct bytes words[] = {BYTES("AUTH"), password};
    client_request(client, words, ARRAY_LEN(words));
    size_t len = client->out.len;
    enum memento_status status = client_flush(client);
    if (client->out.data != NULL) {
        explicit_bzero(client->out.data, len);
    }
    if (status == MEMENTO_OK) {
        status = client_read(client);
    }
    if (status != MEMENTO_OK) {
        client_disconnect(client);
    }
    if (status == MEMENTO_OK && client->response.nodes[0].type == RESPONSE_ERROR) {
        struct bytes error = client->response.nodes[0].bytes;
        int len_shown = error.len < sizeof(client->error) ? (int)error.len : 255;
        snprintf(client->error, sizeof(client->error), "%.*s", len_shown, error.data);
        return MEMENTO_ERR_INVALID;
    }
    return status;
}
