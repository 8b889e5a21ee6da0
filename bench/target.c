#include "target.h"

#include "base/buf.h"
#include "base/os.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

enum memento_status target_resolve(struct target *target, const struct options *options,
                                   char *error)
{
    *target = (struct target){.dialect = options->dialect, .password = options->password};
    if (options->socket != NULL) {
        snprintf(target->name, sizeof(target->name), "%s", options->socket);
        target->address_count = 1;
        if (address_unix(&target->addresses[0], options->socket) != MEMENTO_OK) {
            snprintf(error, TARGET_ERROR_BYTES, "%.200s: not the path of a socket",
                     options->socket);
            return MEMENTO_ERR_IO;
        }
        return MEMENTO_OK;
    }
    const char *why;
    snprintf(target->name, sizeof(target->name), "%s:%d", options->host,
             (int)options->port);
    target->address_count = address_resolve(
        options->host, (int)options->port, target->addresses, TARGET_ADDRESSES_MAX, &why);
    if (target->address_count == 0) {
        snprintf(error, TARGET_ERROR_BYTES, "%s: %s", target->name, why);
        return MEMENTO_ERR_IO;
    }
    return MEMENTO_OK;
}

enum memento_status target_write(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t written = os_write(fd, data, len);
        if (written <= 0) {
            return MEMENTO_ERR_IO;
        }
        data += written;
        len -= (size_t)written;
    }
    return MEMENTO_OK;
}

enum memento_status target_read(int fd, struct scanner *scanner)
{
    char in[4096];
    enum memento_status status = MEMENTO_AGAIN;
    while (status == MEMENTO_AGAIN) {
        ssize_t got = os_read(fd, in, sizeof(in));
        if (got <= 0) {
            return got == 0 ? MEMENTO_CLOSED : MEMENTO_ERR_IO;
        }
        const char *at = in;
        status = scanner_next(scanner, &at, in + got);
    }
    return status;
}

static void append_bulk(struct buf *out, const char *word)
{
    buf_appendf(out, "$%zu\r\n", strlen(word));
    buf_append_string(out, word);
    buf_append_string(out, "\r\n");
}

/* A quoted word of the text dialect. */
static void append_quoted(struct buf *out, const char *word)
{
    buf_append_char(out, '"');
    for (; *word != '\0'; word++) {
        buf_appendf(out, "\\x%02x", (unsigned)(unsigned char)*word);
    }
    buf_append_char(out, '"');
}

/* The login, or without a password the smallest request there is: its answer shows that the
 * server has taken this connection, and did not merely leave it in its backlog. */
static void append_greeting(const struct target *target, struct buf *out)
{
    const char *password = target->password;
    if (target->dialect == DIALECT_RESP3) {
        buf_append_string(out, password != NULL ? "*5\r\n" : "*2\r\n");
        append_bulk(out, "HELLO");
        append_bulk(out, "3");
        if (password != NULL) {
            append_bulk(out, "AUTH");
            append_bulk(out, "default");
            append_bulk(out, password);
        }
    } else if (password != NULL && target->dialect == DIALECT_RESP2) {
        buf_append_string(out, "*2\r\n");
        append_bulk(out, "AUTH");
        append_bulk(out, password);
    } else if (password != NULL && target->dialect == DIALECT_TEXT) {
        buf_append_string(out, "AUTH ");
        append_quoted(out, password);
        buf_append_string(out, "\r\n");
    } else if (target->dialect == DIALECT_MEMCACHED) {
        buf_append_string(out, "get memento-benchmark\r\n");
    } else {
        buf_append_string(out, target->dialect == DIALECT_TEXT ? "PING\r\n"
                                                               : "*1\r\n$4\r\nPING\r\n");
    }
}

/* True when the server has let us in. */
static bool greet(const struct target *target, int fd, char *error)
{
    struct buf out;
    buf_init(&out);
    append_greeting(target, &out);
    struct scanner scanner;
    scanner_init(&scanner, target->dialect);
    enum memento_status status = MEMENTO_ERR_NO_MEMORY;
    if (!out.failed) {
        status = target_write(fd, out.data, out.len);
    }
    if (status == MEMENTO_OK) {
        status = target_read(fd, &scanner);
    }
    buf_fini(&out);
    if (status != MEMENTO_OK) {
        snprintf(error, TARGET_ERROR_BYTES, "%s: connected, but no answer that is %s",
                 target->name, options_dialect_name(target->dialect));
        return false;
    }
    if (scanner.outcome == OUTCOME_ERROR) {
        snprintf(error, TARGET_ERROR_BYTES, "%s: %s", target->name, scanner.line);
        return false;
    }
    return true;
}

static void set_timeout(int fd, int timeout_ms)
{
    struct timeval limit = {.tv_sec = timeout_ms / 1000,
                            .tv_usec = timeout_ms % 1000 * 1000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

int target_connect(const struct target *target, char *error)
{
    int fd = -1;
    for (int i = 0; i < target->address_count && fd < 0; i++) {
        fd = socket_connect(&target->addresses[i], TARGET_TIMEOUT_MS);
    }
    if (fd < 0) {
        snprintf(error, TARGET_ERROR_BYTES, "cannot connect to %s: %s", target->name,
                 strerror(errno));
        return -1;
    }
    socket_set_low_delay(fd);
    set_timeout(fd, TARGET_TIMEOUT_MS);
    if (!greet(target, fd, error)) {
        os_close(fd);
        return -1;
    }
    set_timeout(fd, 0);
    return fd;
}
