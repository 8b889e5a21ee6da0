/* call_keys.h - several keys of one request, locked together.
 *
 * May use:    base/, engine/. */
#pragma once

#include "command/call.h"

#define CALL_KEYS_FEW 16

struct call_keys {
    struct key *keys;
    size_t count;
    struct key few[CALL_KEYS_FEW];
};

/* The keys at args[first], args[first + step], … to the end of the words. False, and
 * the error is answered, without memory. */
bool call_keys_init(struct call_keys *keys, const struct call *call, size_t first,
                    size_t step);
void call_keys_fini(struct call_keys *keys);

/* Locks them all, until engine_unlock_span. */
void call_keys_lock(struct call_keys *keys, const struct call *call);
/* Called before the key at `at` is looked up, for each in order: asks the memory for
 * those behind it, so that a long MGET does not wait for each key in turn. */
void call_keys_ahead(const struct call_keys *keys, const struct call *call, size_t at);
