/* target.h - the server under test: where it is, and a connection that has logged in.
 *
 * May use:    base/, options.h, scanner.h.
 * Thread:     any; a target does not change once it is resolved. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/socket.h"
#include "options.h"
#include "scanner.h"

#include <stddef.h>

#define TARGET_ERROR_BYTES 512

/* What makes a server slow to accept is no news after so long. */
#define TARGET_TIMEOUT_MS 10000

/* A name may stand for several addresses; the server need not listen on the first. */
#define TARGET_ADDRESSES_MAX 8

struct target {
    struct address addresses[TARGET_ADDRESSES_MAX];
    int address_count;
    enum dialect dialect;
    const char *password; /* the options' */
    char name[128];       /* for people: 127.0.0.1:6737 */
};

/* ERR_IO with `error` (TARGET_ERROR_BYTES) saying why. */
MUST_USE enum memento_status target_resolve(struct target *target,
                                            const struct options *options, char *error);
/* A connected, blocking socket with low delay that has logged in and speaks the dialect; or
 * -1 with `error` (TARGET_ERROR_BYTES) saying why. The caller closes it. */
int target_connect(const struct target *target, char *error);
/* Blocks until one reply has come, which must be the only one under way. CLOSED or ERR_IO
 * when the connection is over, ERR_INVALID when the reply makes no sense. */
MUST_USE enum memento_status target_read(int fd, struct scanner *scanner);
/* Blocks until all is written. */
MUST_USE enum memento_status target_write(int fd, const char *data, size_t len);
