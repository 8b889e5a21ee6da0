/* wire.h - a blocking connection that speaks RESP2, one item of a reply at a time.
 *
 * Small on purpose and its own: what judges a server shares no code with it. A connection
 * that ends is an expected outcome here (the server was killed), not an error.
 *
 * Thread: its owner. The process ignores SIGPIPE. */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How long a server may be silent before it counts as hanging: far beyond what it takes. */
#define WIRE_PATIENCE_S 60

struct wire {
    int fd;        /* -1: not connected */
    bool has_hung; /* silent for WIRE_PATIENCE_S: a finding, where a lost one is none */
    struct buf in;
    size_t used; /* bytes of `in` that were handed out */
};

/* A line, or a bulk string with its bytes; of an array its head only, the elements follow. */
struct item {
    char type;         /* + - : $ * */
    int64_t number;    /* of ':', the length of '$' and '*' (-1: nil) */
    struct bytes text; /* of '+', '-' and '$' */
    struct bytes raw;  /* all its bytes, for comparing */
};

void wire_init(struct wire *wire);
void wire_fini(struct wire *wire); /* disconnects */
bool wire_connect(struct wire *wire, int port);
void wire_disconnect(struct wire *wire);
/* False: the connection is lost. */
bool wire_send(struct wire *wire, struct bytes data);
/* The next item, good until the next call; false: the connection is lost or not RESP. */
bool wire_read(struct wire *wire, struct item *item);
/* Sends one request written as words between spaces, and reads the first item. */
bool wire_ask(struct wire *wire, const char *request, struct item *item);

/* ---- building requests ---- */

void request_begin(struct buf *out, size_t words);
void request_word(struct buf *out, struct bytes word);
void request_string(struct buf *out, const char *word);
void request_number(struct buf *out, int64_t number);
/* Words between single spaces. */
void request_text(struct buf *out, const char *request);
