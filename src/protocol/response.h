/* response.h - a server's replies as a client reads them: RESP2 and RESP3.
 *
 * A response is a tree in one array of nodes, parents before children; bytes are views of
 * the input. Incremental: AGAIN until a whole response is there, and what has been
 * understood is not looked at again. Bounded: depth, length and count are checked before
 * anything is allocated for them, and nothing is allocated ahead of the bytes that
 * arrive.
 *
 * May use:    base/.
 * Thread:     its owner. */
#pragma once

#include <memento/limits.h>
#include <memento/status.h>

#include "base/annotate.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum response_type {
    RESPONSE_STATUS,  /* +OK */
    RESPONSE_ERROR,   /* -ERR, and RESP3's ! */
    RESPONSE_INTEGER, /* : */
    RESPONSE_VALUE,   /* $ */
    RESPONSE_TEXT,    /* RESP3's = , bytes without the "txt:" */
    RESPONSE_NULL,
    RESPONSE_DOUBLE,
    RESPONSE_BOOLEAN,
    RESPONSE_BIG_NUMBER,
    RESPONSE_LIST,
    RESPONSE_MAP, /* count pairs: 2 * count children */
    RESPONSE_SET,
    RESPONSE_PUSH
};

/* Lists in lists; EXEC of SCAN, the deepest that is answered, has four. */
#define RESPONSE_DEPTH_MAX 32

/* Bytes of a line that is not a bulk string: errors repeat what was asked, numbers are
 * short. */
#define RESPONSE_LINE_BYTES_MAX 65536

/* Bytes of one bulk string: the largest value, and room for a verbatim one's "txt:". */
#define RESPONSE_BULK_BYTES_MAX (MEMENTO_VALUE_BYTES_MAX + 64)

/* Elements of one response, at all depths: as many keys as KEYS can be asked for by
 * people who mean it. A node is 56 bytes. */
#define RESPONSE_NODES_MAX (64 * 1024 * 1024)

/* Bytes of one response. Nobody reads more; a server that never ends is stopped here. */
#define RESPONSE_BYTES_MAX (4LL * 1024 * 1024 * 1024)

struct response_node {
    enum response_type type;
    struct bytes bytes; /* of a scalar, as it stood on the wire */
    int64_t integer;    /* of an integer; 1 or 0 of a boolean */
    size_t count;       /* children (pairs for a map) */
    size_t end;         /* index of the node behind this one's last descendant */
    size_t at;          /* where bytes begin in the input */
};

/* A list whose elements are still arriving. An attribute's nodes are dropped. */
struct response_level {
    size_t node;
    size_t left;
    bool is_attribute;
};

struct response {
    struct response_node *nodes;
    size_t count, cap;

    /* What is known of an unfinished response, from its first byte. */
    size_t offset; /* bytes already understood */
    unsigned depth;
    struct response_level levels[RESPONSE_DEPTH_MAX];
};
void response_init(struct response *response);
void response_fini(struct response *response);
/* Forgets an unfinished response: the next bytes begin a new one. */
void response_reset(struct response *response);

/* One response from the beginning of `input`. OK: *consumed bytes were it, nodes[0] is
 * its root, good as long as the input stays where it is. AGAIN: incomplete; the caller
 * passes the same bytes again with more behind them (they may have moved). ERR_INVALID:
 * not the protocol. ERR_TOO_LARGE: over a limit. ERR_NO_MEMORY. After an error the stream
 * is of no further use. */
MUST_USE enum memento_status response_parse(struct response *response, struct bytes input,
                                            size_t *consumed);
