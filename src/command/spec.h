/* spec.h - the words of commands.def: what can be said, without what it does.
 *
 * HELP, COMMAND, hints and completion are printed from these rows. Everything is constant.
 * May use:    base/. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum command_flag {
    COMMAND_WRITE = 1 << 0,
    COMMAND_READONLY = 1 << 1,
    COMMAND_DENYOOM = 1 << 2,
    COMMAND_ADMIN = 1 << 3,
    COMMAND_FAST = 1 << 4,
    COMMAND_NO_AUTH = 1 << 5,       /* allowed before AUTH */
    COMMAND_NO_MULTI = 1 << 6,      /* refused inside MULTI */
    COMMAND_MULTI_CONTROL = 1 << 7, /* runs, is not queued, inside MULTI */
    COMMAND_BARRIER = 1 << 8,       /* requests behind it are parsed after it has run */
    COMMAND_WHOLE_KEYSPACE =
        1 << 9, /* touches keys it does not name: EXEC locks all shards */
    COMMAND_CONTAINER = 1 << 10, /* has subcommands, rows named "name|sub" */
    COMMAND_LOADING = 1 << 11,
    COMMAND_STALE = 1 << 12,
    COMMAND_NOSCRIPT = 1 << 13,
    COMMAND_MOVABLE_KEYS = 1 << 14,
    COMMAND_DANGEROUS = 1 << 15,
    COMMAND_TEXT_NO_ARGS = 1 << 16, /* in a text line its words may be left out */
    COMMAND_PROTECTED = 1 << 17,    /* only with enable-debug-command */
    COMMAND_FREES = 1 << 18         /* only deletes: a full disk does not stop it */
};

enum command_group {
    GROUP_STRING,
    GROUP_GENERIC,
    GROUP_BITMAP,
    GROUP_TRANSACTIONS,
    GROUP_CONNECTION,
    GROUP_SERVER,
    GROUP_MEMENTO /* memento's own commands */
};

struct command_row {
    const char *name; /* lower case; a subcommand is "client|setname" */
    int arity;        /* with the name; negative: at least so many */
    uint32_t flags;
    int first_key, last_key, key_step; /* as COMMAND tells them; 0 = no keys */
    enum command_group group;
    const char *since;  /* the version of Redis that has it, or memento's own */
    const char *syntax; /* arguments as HELP prints them */
    const char *complexity;
    const char *summary;
    uint16_t index; /* of the row */
    uint8_t name_len;
};

extern const struct command_row command_rows[];
extern const size_t command_row_count;

/* The row of a name in any case, or NULL. A container's subcommand: command_find_sub. */
const struct command_row *command_find(struct bytes name);
const struct command_row *command_find_sub(const struct command_row *container,
                                           struct bytes sub);
const char *command_group_name(enum command_group group);
bool command_is_sub(const struct command_row *row);

/* The positions of the keys in a request of `count` words: calls `visit` for each, in order.
 * False when the words do not tell (too few of them). Follows numkeys-style commands too. */
typedef void command_key_visit(void *context, size_t position);
bool command_each_key(const struct command_row *row, size_t count,
                      command_key_visit *visit, void *context);
