/* show.h - what a terminal shows: replies, the command list, hints and completions.
 *
 * What a server sends may be meant to take over the terminal: all but SHOW_RAW escape
 * control bytes, bytes that are no UTF-8, and characters that hide or reorder others.
 *
 * May use:    base/, protocol/, command/spec.h.
 * Thread:     main. */
#pragma once

#include "base/buf.h"
#include "protocol/response.h"

#include <stdbool.h>
#include <stdio.h>

enum show_form {
    SHOW_RAW,   /* the bytes, one element a line */
    SHOW_TYPED, /* "value", (integer) 42, 1) ... */
    SHOW_LINES  /* typed, but a value that is all of the reply is a text of lines: INFO */
};

/* Ends in a newline. */
void show_response(FILE *out, const struct response *response, enum show_form form);
/* Printable as it is, everything else escaped; no quotes, no newline. */
void show_escaped(FILE *out, struct bytes text);

/* The command list; or one command, "client setname", or a group. False, and something
 * helpful printed, when there is none of that name. `width` is the terminal's. */
bool show_help(FILE *out, const struct bytes *topic, size_t topic_words, unsigned width);

/* The command, in lower case, that a mistyped one is nearest to, or NULL. */
const char *show_nearest_command(struct bytes name);

/* The arguments that may follow what has been typed, or nothing. */
void show_hint(struct bytes typed, struct buf *hint);
/* The command words that may complete the last word typed, separated by spaces; *from is
 * where that word begins. */
void show_completions(struct bytes typed, struct buf *words, size_t *from);
