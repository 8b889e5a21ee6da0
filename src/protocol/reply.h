/* reply.h - what is answered, in the dialect of the connection.
 *
 * A handler says what it means (a value, a list of three, nothing there); the dialect decides
 * what that looks like. Replies go to the end of `out`; an error reply counts in `errors`.
 *
 * May use:    base/.
 * Thread:     the owner of the connection. */
#pragma once

#include "base/annotate.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum dialect { DIALECT_TEXT, DIALECT_RESP2, DIALECT_RESP3 };

#define REPLY_DEPTH_MAX 16

/* A value that is not copied: its bytes are sent between out[0, at) and what follows. */
struct pin {
    size_t at;
    struct bytes bytes;
    void *owner; /* to be released once sent */
};

struct reply {
    struct buf *out;
    enum dialect dialect;
    uint32_t errors;
    /* Lists that are still open, for the text dialect's "(end)" and "field: value". */
    unsigned depth;
    struct reply_level {
        size_t left;
        bool is_map;
    } levels[REPLY_DEPTH_MAX];
    /* Values that are sent from where they lie; in order of `at`. */
    struct pin *pins;
    size_t pin_count, pin_cap;
    size_t pinned_bytes;          /* of all pins */
    void (*release)(void *owner); /* for the owner of a pin that was copied after all */
};

void reply_init(struct reply *reply, struct buf *out, void (*release)(void *owner));
void reply_fini(struct reply *reply); /* the pins' array; releases pins that are left */

void reply_ok(struct reply *reply);
void reply_simple(struct reply *reply, const char *word); /* +PONG, +QUEUED */
void reply_integer(struct reply *reply, int64_t value);
void reply_boolean(struct reply *reply, bool value);  /* RESP2: 1 or 0 */
void reply_double(struct reply *reply, double value); /* RESP2: a bulk string */
void reply_value(struct reply *reply, struct bytes value);
void reply_string(struct reply *reply, const char *value);
/* Takes over one reference of `owner`; the bytes stay valid until it is released. */
void reply_value_pinned(struct reply *reply, struct bytes value, void *owner);
void reply_null(struct reply *reply);
void reply_null_list(struct reply *reply); /* RESP2: *-1 */
/* A text of several lines: INFO, CLIENT LIST. RESP3: a verbatim string. */
void reply_text(struct reply *reply, struct bytes text);

/* `error` begins with its code: "ERR syntax error". Line ends at its end are cut off, those inside become spaces. */
void reply_error(struct reply *reply, const char *error);
void reply_errorf(struct reply *reply, const char *format, ...) PRINTF_LIKE(2, 3);
void reply_error_bytes(struct reply *reply, struct bytes error);

/* The next `count` replies (for a map: 2 * count) are its elements. */
void reply_list(struct reply *reply, size_t count);
void reply_map(struct reply *reply, size_t count);
void reply_set(struct reply *reply, size_t count);
void reply_push(struct reply *reply, size_t count);

/* A list whose length is known only at the end; such lists do not nest in one another. */
struct reply_mark {
    size_t at;
};
struct reply_mark reply_list_begin(struct reply *reply);
void reply_list_end(struct reply *reply, struct reply_mark mark, size_t count);
