/* large.h - a value too large for a chunk: a block of its own, counted references, so that a
 * reply can send it while the key is already overwritten.
 *
 * A block that anybody else refers to is never changed. */
#pragma once

#include "base/annotate.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct large {
    _Atomic uint32_t references;
    _Atomic uint32_t
        keys; /* that hold it now; 0: it is memory of whoever still sends it */
    size_t len;
    size_t cap;
    char bytes[];
};

/* One reference, len == 0, cap >= `cap`. NULL without memory. Any thread. */
MUST_USE struct large *large_create(size_t cap);
struct large *large_take(struct large *large); /* one reference more; returns it */
void large_drop(struct large *large);          /* the last one frees; accepts NULL */

/* Whether nobody else refers to it. The answer stays true while nobody can take a reference:
 * references to a stored value are taken under its shard's lock. */
static inline bool large_is_ours_alone(const struct large *large)
{
    return atomic_load_explicit(&large->references, memory_order_acquire) == 1;
}
/* Our own block with another capacity, not below len. NULL without memory: it stays. */
MUST_USE struct large *large_resize(struct large *large, size_t cap);
/* A key holds the block from now on, or no longer: beside its reference. */
void large_count_key(struct large *large, bool is_added);
static inline bool large_is_detached(const struct large *large)
{
    return atomic_load_explicit(&large->keys, memory_order_relaxed) == 0;
}
/* What one of those who refer to the block answers for. */
static inline size_t large_share(const struct large *large)
{
    uint32_t references = atomic_load_explicit(&large->references, memory_order_relaxed);
    return references == 0 ? 0 : large->cap / references;
}
