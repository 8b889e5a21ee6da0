/* prefetch.h - asks for a cache line that will be needed soon.
 *
 * gcc takes a function that does nothing else for one without effect and drops the calls of
 * it (seen with gcc 12, with and without link-time optimisation), so an empty volatile asm
 * makes it one that counts. */
#pragma once

#include "base/annotate.h"

static ALWAYS_INLINE void prefetch_line(const void *address)
{
    __builtin_prefetch(address);
    __asm__ volatile("");
}
