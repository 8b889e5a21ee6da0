/* counter.h - numbers that one thread counts and others read: relaxed loads and stores, no locked
 * instruction. The owner's thread only. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

static inline void counter_add(_Atomic uint64_t *counter, uint64_t more)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + more, memory_order_relaxed);
}
