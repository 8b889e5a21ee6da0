/* wire.c - see wire.h. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void wire_init(struct wire *wire)
{
    wire->fd = -1;
    wire->has_hung = false;
    wire->used = 0;
    buf_init(&wire->in);
}

void wire_fini(struct wire *wire)
{
    wire_disconnect(wire);
    buf_fini(&wire->in);
}

bool wire_connect(struct wire *wire, int port)
{
    wire_disconnect(wire);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return false;
    }
    int on = 1;
    struct timeval patience = {.tv_sec = WIRE_PATIENCE_S};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    wire->fd = fd;
    return true;
}

void wire_disconnect(struct wire *wire)
{
    if (wire->fd >= 0) {
        close(wire->fd);
    }
    wire->fd = -1;
    wire->used = 0;
    buf_reset(&wire->in, SIZE_MAX);
}

bool wire_send(struct wire *wire, struct bytes data)
{
    while (data.len > 0 && wire->fd >= 0) {
        ssize_t sent = send(wire->fd, data.data, data.len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            wire->has_hung = sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
            return false;
        }
        data = bytes_of(data.data + sent, data.len - (size_t)sent);
    }
    return wire->fd >= 0;
}

/* Takes in more bytes. */
static bool wire_fill(struct wire *wire)
{
    if (wire->fd < 0) {
        return false;
    }
    if (wire->used > 0) {
        buf_consume(&wire->in, wire->used);
        wire->used = 0;
    }
    if (!buf_reserve(&wire->in, 65536)) {
        abort();
    }
    ssize_t got;
    do {
        got =
            recv(wire->fd, wire->in.data + wire->in.len, wire->in.cap - wire->in.len, 0);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        wire->has_hung = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
        return false;
    }
    wire->in.len += (size_t)got;
    return true;
}

/* An item at the front of what was taken in: its bytes, 0 when it is not whole yet. */
static size_t item_parse(struct bytes in, struct item *item)
{
    const char *end = in.len < 3 ? NULL : memchr(in.data, '\n', in.len);
    if (end == NULL) {
        return 0;
    }
    size_t line = (size_t)(end - in.data) + 1;
    item->type = in.data[0];
    item->text = bytes_of(in.data + 1, line - 3);
    item->number = strtoll(in.data + 1, NULL, 10);
    if (item->type == '$' && item->number >= 0) {
        size_t len = (size_t)item->number;
        if (in.len < line + len + 2) {
            return 0;
        }
        item->text = bytes_of(in.data + line, len);
        line += len + 2;
    }
    item->raw = bytes_of(in.data, line);
    return line;
}

bool wire_read(struct wire *wire, struct item *item)
{
    for (;;) {
        struct bytes in = buf_bytes(&wire->in);
        if (wire->used > 0) { /* before the first byte there is no memory to point into */
            in = bytes_of(in.data + wire->used, in.len - wire->used);
        }
        size_t len = item_parse(in, item);
        if (len > 0) {
            wire->used += len;
            return true;
        }
        if (!wire_fill(wire)) {
            return false;
        }
    }
}

bool wire_ask(struct wire *wire, const char *request, struct item *item)
{
    struct buf out;
    buf_init(&out);
    request_text(&out, request);
    bool sent = wire_send(wire, buf_bytes(&out));
    buf_fini(&out);
    return sent && wire_read(wire, item);
}

void request_begin(struct buf *out, size_t words)
{
    buf_appendf(out, "*%zu\r\n", words);
}

void request_word(struct buf *out, struct bytes word)
{
    buf_append_char(out, '$');
    buf_append_integer(out, (int64_t)word.len);
    buf_append(out, "\r\n", 2);
    buf_append_bytes(out, word);
    buf_append(out, "\r\n", 2);
}

void request_string(struct buf *out, const char *word)
{
    request_word(out, bytes_of_string(word));
}

void request_number(struct buf *out, int64_t number)
{
    char text[24];
    int len = snprintf(text, sizeof(text), "%lld", (long long)number);
    request_word(out, bytes_of(text, (size_t)len));
}

void request_text(struct buf *out, const char *request)
{
    size_t words = 1;
    for (const char *c = request; *c != '\0'; c++) {
        words += *c == ' ';
    }
    request_begin(out, words);
    for (const char *word = request; words > 0; words--) {
        size_t len = strcspn(word, " ");
        request_word(out, bytes_of(word, len));
        word += len + 1;
    }
}
