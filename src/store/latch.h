/* latch.h - the lock of a shard: one word, held for some tens of nanoseconds.
 *
 * Two workers meet at a shard often, and briefly. A mutex that goes to sleep at once makes
 * each such meeting cost a system call on both sides; this one looks again for about a
 * microsecond first, and sleeps only when the holder is really gone (a flush, or a thread that
 * was preempted). Not fair, not recursive. */
#pragma once

#include "base/annotate.h"

#include <stdatomic.h>
#include <stdint.h>

struct CAPABILITY("latch") latch {
    _Atomic uint32_t word; /* LATCH_FREE, LATCH_HELD, LATCH_AWAITED */
};

enum { LATCH_FREE, LATCH_HELD, LATCH_AWAITED /* held, and somebody may be asleep */ };

void latch_init(struct latch *latch);
void latch_fini(struct latch *latch); /* CHECKs that nobody holds it */

/* For the two below. */
void latch_acquire_contended(struct latch *latch);
void latch_wake(struct latch *latch);

/* Any thread that does not hold it. */
static inline void latch_acquire(struct latch *latch) ACQUIRES(latch) UNCHECKED_LOCKING
{
    uint32_t word = LATCH_FREE;
    if (UNLIKELY(!atomic_compare_exchange_strong_explicit(&latch->word, &word, LATCH_HELD,
                                                          memory_order_acquire,
                                                          memory_order_relaxed))) {
        latch_acquire_contended(latch);
    }
}

/* The holder. */
static inline void latch_release(struct latch *latch) RELEASES(latch) UNCHECKED_LOCKING
{
    if (UNLIKELY(atomic_exchange_explicit(&latch->word, LATCH_FREE,
                                          memory_order_release) == LATCH_AWAITED)) {
        latch_wake(latch);
    }
}
