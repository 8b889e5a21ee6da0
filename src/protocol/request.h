/* request.h - from the bytes of a connection to requests: two dialects, told apart request by
 * request. One that begins with '*' is RESP, anything else is a line of text.
 *
 * Words are views of the input, nothing is copied; a quoted word of a line is decoded in place,
 * which is why the input is writable. A request may arrive in any number of pieces: the parser
 * remembers how far it got, so each byte is looked at once; what a client declares is never
 * allocated ahead of the bytes.
 *
 * May use:    base/.
 * Thread:     the owner of the connection. */
#pragma once

#include "base/annotate.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Words of all requests of a turn, one after the other. */
struct words {
    struct bytes *items;
    size_t count, cap;
};
void words_init(struct words *words);
void words_fini(struct words *words);

struct request_limits {
    size_t words_max;
    size_t word_bytes_max; /* of a RESP bulk */
    size_t line_bytes_max; /* of a text line without its end */
    bool unauthenticated;  /* chooses the error text */
};

enum request_status {
    REQUEST_READY,   /* a whole request: words [first, first + count) */
    REQUEST_PARTIAL, /* more bytes are needed; nothing consumed */
    REQUEST_EMPTY,   /* an empty line or "*0": consumed, nothing to answer */
    REQUEST_BAD,     /* `error` is to be answered; consumed; the connection lives */
    REQUEST_BROKEN   /* `error` is to be answered, then the connection is closed */
};

struct request {
    size_t first, count; /* in words */
    bool is_resp;
    char error[96]; /* without the "ERR "; BAD and BROKEN only */
};

struct span; /* request.c: where a word of an unfinished request lies */

/* What is known of an unfinished request, from its first byte. One a connection. */
struct parser {
    size_t offset;     /* bytes already understood */
    size_t words_left; /* of a RESP request whose first line has been read; 0 = not yet */
    size_t bulk_bytes; /* of the bulk whose header has been read */
    bool in_bulk;
    bool skipping; /* the rest of an over-long line is being thrown away */
    bool oom;
    struct span *spans;
    size_t span_count, span_cap;
};
void parser_init(struct parser *parser);
void parser_fini(struct parser *parser);

/* Reads one request from the beginning of `input`, and says how many bytes it took. On PARTIAL
 * the caller passes the same bytes again with more behind them (they may have moved); but when
 * *consumed is not 0 (part of a line being skipped) those are done with. */
enum request_status request_parse(struct parser *parser, char *input, size_t len,
                                  const struct request_limits *limits,
                                  struct words *words, struct request *request,
                                  size_t *consumed);

/* How many bytes, from the beginning of the unfinished request, must be there before parsing
 * can get further; 0 when unknown. */
size_t parser_wants(const struct parser *parser);

/* Splits a text line (without its end) into words, decoding quotes in place, as request_parse
 * does. False: unbalanced quotes, or no memory. */
bool words_split(struct words *words, char *line, size_t len);
