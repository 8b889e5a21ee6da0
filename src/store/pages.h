/* pages.h - the common pool of 64 KiB pages that tables, slabs and wheels are made of.
 *
 * One stretch of address space is reserved at start and never unmapped, so a stale reference
 * read without a lock (the prefetch phase does that) always reads memory, never faults. Memory
 * is faulted in ahead by a thread of its own, 2 MiB at a time, so that a SET that needs a new
 * page does not pay for zeroing it; the same thread gives surplus memory back to the kernel.
 * An address is an index in units of 4 bytes from the base; index 0 is nothing.
 *
 * May use:    base/.
 * Invariants: a page is owned by one shard or by the pool; page 0, and the first page of
 *             every 16 GiB (whose indexes would have 32 low bits of zero), are never given;
 *             a page that was a table's is only ever a table's again, so that who reads a
 *             bucket without the lock reads words that are written as atomics, always. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES       65536u
#define PAGE_SHIFT       16
#define PAGE_NONE        0u
#define INDEX_UNIT_SHIFT 2 /* log2 of the bytes of one step of an index */
#define INDEX_BITS       36
#define PAGES_BYTES_MAX  (1ull << (INDEX_BITS + INDEX_UNIT_SHIFT)) /* 256 GiB */

struct pages; /* pages.c */

/* What a page is for. */
enum page_kind {
    PAGE_CHUNKS, /* bytes are whatever they were */
    PAGE_LINES,  /* bytes are zero */
    PAGE_KINDS
};

/* What the owner of a page keeps about it, beside it rather than in it. */
struct page_info {
    uint32_t next, prev; /* in a list of the owner's */
    uint16_t
        free_chunk; /* first free chunk, in index units in the page, or PAGE_NO_CHUNK */
    uint16_t chunks_used;  /* live chunks */
    uint16_t chunks_fresh; /* chunks from here on were never given out */
    uint8_t class_index;
    bool is_zero; /* the pool's: nobody has written to it since the kernel gave it */
};
#define PAGE_NO_CHUNK UINT16_MAX

/* Reserves the address space (less of it where the system limits that) and starts the thread
 * that faults memory in ahead. ERR_NO_MEMORY. */
MUST_USE enum memento_status pages_create(struct pages **pages);
void pages_destroy(struct pages *pages); /* accepts NULL */

/* Any thread. A page, or PAGE_NONE without memory. */
MUST_USE uint32_t pages_take(struct pages *pages, enum page_kind kind);
/* The same kind as it was taken for; `is_zero` promises that PAGE_LINES are all zero. */
void pages_give(struct pages *pages, uint32_t page, enum page_kind kind, bool is_zero);

char *pages_base(const struct pages *pages);
/* The first of an array with one element a page of the address space. */
struct page_info *pages_infos(const struct pages *pages);
/* Bytes of the pages that are taken. Any thread. */
size_t pages_bytes_used(const struct pages *pages);
