/* heap.h - the only place that asks the C library or the kernel for memory.
 *
 * Every call goes through the shim of os.h, so a test can make the nth one fail. All
 * memory taken here is counted. Callers handle NULL: running out of memory is an answer,
 * not a bug. */
#pragma once

#include "base/annotate.h"

#include <stddef.h>
#include <stdint.h>

/* Any thread. NULL when there is no memory. size 0 gives a valid pointer. */
MUST_USE void *heap_alloc(size_t size);
MUST_USE void *heap_alloc_zeroed(size_t count, size_t size); /* NULL also on overflow */
/* Keeps the old block when it returns NULL. pointer may be NULL. */
MUST_USE void *heap_realloc(void *pointer, size_t size);
MUST_USE void *heap_copy(const void *data, size_t size);
/* Aligned to `alignment`, a power of two. Freed with heap_free. */
MUST_USE void *heap_alloc_aligned(size_t alignment, size_t size);
/* Accepts NULL. */
void heap_free(void *pointer);

/* Bytes taken by the calls above and not yet freed, as the allocator rounds them. Any
 * thread. */
size_t heap_bytes_used(void);

/* Reserves address space without memory behind it: pages come when touched, zeroed. NULL
 * when refused. `size` is a multiple of 2 MiB; the result is aligned to 2 MiB. */
MUST_USE void *heap_reserve(size_t size);
void heap_unreserve(void *base, size_t size);
/* Faults pages in now, so that nobody has to later. Only advice. Blocks while it
 * zeroes. */
void heap_populate(void *base, size_t size);
/* Gives the memory behind back to the kernel; reading it again gives zeroes. */
void heap_discard(void *base, size_t size);
