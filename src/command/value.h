/* value.h - values on both sides of a change: the old one kept for the reply, the new one
 * written byte by byte.
 *
 * May use:    base/, engine/. */
#pragma once

#include "command/call.h"
#include "store/large.h"

/* ---- a value kept after its shard has changed or was unlocked ---- */

struct kept {
    struct bytes bytes;
    struct large *large; /* one reference is ours, or NULL: the bytes are in `copy` */
    char copy[SHARD_INLINE_MAX];
};
void kept_take(struct kept *kept, struct bytes value, struct large *large);
void kept_drop(struct kept *kept);
/* Answers with it, and drops it. */
void kept_reply(const struct call *call, struct kept *kept);

/* ---- a value that a command changes in parts ---- */

/* `bytes` are the old ones, made `len` long with zeros behind; write, then commit. */
struct draft {
    char *bytes;
    size_t len;
    bool is_new;
    bool is_unchanged;          /* the user found that it wrote what was there already */
    struct engine_value value;  /* of a new key */
    char few[SHARD_INLINE_MAX]; /* its bytes, when they fit */
};
/* The shard of `key` is locked until the commit. `exists`: whether the key does. Existing
 * ones keep their deadline and creation time. ERR_NO_MEMORY changes nothing. */
MUST_USE enum memento_status draft_open(const struct call *call, struct shard *shard,
                                        const struct key *key, bool exists, size_t len,
                                        struct draft *draft);
/* Stores; takes the draft back in any case. */
MUST_USE enum memento_status draft_commit(const struct call *call, struct shard *shard,
                                          const struct key *key, struct draft *draft);
