/* scanner.h - finds where replies end, and as little else as a benchmark has to know.
 *
 * Incremental: the bytes may come cut anywhere. Values are skipped, not copied; a value that
 * is expected is compared on the way. The load generator would otherwise be what is measured.
 *
 * May use:    base/.
 * Thread:     its owner. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dialect { DIALECT_RESP2, DIALECT_RESP3, DIALECT_TEXT, DIALECT_MEMCACHED };

enum outcome {
    OUTCOME_OK,
    OUTCOME_MISS,  /* no such key */
    OUTCOME_WRONG, /* another value than the expected one */
    OUTCOME_ERROR  /* the server refused; scanner->line says why */
};

/* Bytes of a line that are kept; of a longer one only the end is looked for. */
#define SCANNER_LINE_BYTES_MAX 256

/* The values of a verified run repeat a pattern of so many bytes. */
#define SCANNER_PATTERN_BYTES 16

struct scanner {
    enum dialect dialect;
    enum outcome outcome;    /* of the reply that has ended */
    bool is_idle;            /* between two replies */
    bool is_push;            /* RESP3: this is no reply to anything */
    bool has_value;          /* some value came in this reply */
    uint64_t elements_left;  /* values still to come in this reply */
    uint64_t skip_bytes;     /* still to come of this value, its line end included */
    uint64_t value_at;       /* position in this value */
    uint64_t line_bytes;     /* of this line so far, also those not kept */
    const char *expected;    /* NULL: any value will do */
    uint64_t expected_bytes; /* length of the whole value */
    bool is_different;
    char last;       /* byte of this line */
    size_t line_len; /* kept of it */
    char line[SCANNER_LINE_BYTES_MAX + 1];
};
void scanner_init(struct scanner *scanner, enum dialect dialect);

/* While idle: the value in the next reply repeats `pattern` (SCANNER_PATTERN_BYTES, which
 * must stay where they are until then) over value_bytes. NULL stops expecting. */
void scanner_expect(struct scanner *scanner, const char *pattern, uint64_t value_bytes);

/* Goes on at *at. OK: a reply has ended, *at is behind it. AGAIN: all bytes are used.
 * ERR_INVALID: this is not the dialect. */
MUST_USE enum memento_status scanner_next(struct scanner *scanner, const char **at,
                                          const char *end);
