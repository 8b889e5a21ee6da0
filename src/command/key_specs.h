/* key_specs.h - where a command's keys are and what it does to them, as COMMAND INFO says
 * it.
 *
 * Positions come from the row; what happens to the keys is what most rows with its flags
 * do, unless key_specs.c knows better.
 *
 * May use:    base/. */
#pragma once

#include "command/spec.h"

#define KEY_SPECS_MAX 2

struct key_spec {
    const char *flags; /* "RW access update": words with a space between them */
    int index;         /* of the first key */
    int last;          /* counted from it; negative: from the end of the words */
    int step;
};

/* How many there are. */
size_t key_specs_of(const struct command_row *row, struct key_spec specs[KEY_SPECS_MAX]);
/* The one that finds the word at `position` of a request of any length, or -1. */
int key_specs_find(const struct command_row *row, size_t position);
