/* slab.h - chunks of a few sizes in pages of the common pool; one slab a shard.
 *
 * Sizes go in steps of 4 bytes up to 256, then by an eighth up to SLAB_CHUNK_MAX. A class is
 * two lists of pages, those with room and the full ones; an empty page goes back to the pool
 * at once (taking it again is cheap: the pool keeps it warm).
 *
 * Thread: the holder of the shard's lock. */
#pragma once

#include "base/annotate.h"
#include "store/pages.h"

#include <stddef.h>
#include <stdint.h>

#define SLAB_CHUNK_MIN 12u
#define SLAB_STEP      4u
#define SLAB_STEPS_TO  256u
#define SLAB_CHUNK_MAX 16384u
#define SLAB_SIZE_CLASSES                               \
    ((SLAB_STEPS_TO - SLAB_CHUNK_MIN) / SLAB_STEP + 1 + \
     8 * 6) /* 6 doublings to the max */
/* The last class is that of the table's lines, in pages of their own kind. */
#define SLAB_CLASSES    (SLAB_SIZE_CLASSES + 1)
#define SLAB_LINE_BYTES 64u

struct slab_class {
    uint32_t page_with_room; /* head of the list, PAGE_NONE when there is none */
    uint32_t page_full;      /* the same of pages without room */
    uint32_t pages;          /* how many pages the class owns */
    uint16_t chunk_bytes;
    uint16_t chunks_per_page;
    uint64_t chunks_used;
};

struct slab {
    struct pages *pages;
    char *base;              /* pages_base */
    struct page_info *infos; /* pages_infos */
    size_t bytes_used;
    struct slab_class classes[SLAB_CLASSES];
};

void slab_init(struct slab *slab, struct pages *pages);
/* Gives every page back, whatever is in it. The slab may be used again. */
void slab_clear(struct slab *slab);

/* An index, 0 without memory. bytes <= SLAB_CHUNK_MAX. A request of exactly 64 bytes is
 * aligned to 64. */
MUST_USE uint64_t slab_alloc(struct slab *slab, size_t bytes);
/* 64 bytes, aligned, in a page that only ever holds lines: who reads it without the lock reads
 * what was written as atomics, by slab.c too. Its bytes are anything. */
MUST_USE uint64_t slab_alloc_line(struct slab *slab);
void slab_free(struct slab *slab, uint64_t index);
/* Bytes of the chunk that holds `bytes`: the class' size. */
size_t slab_chunk_bytes(const struct slab *slab, size_t bytes);

static inline char *slab_pointer(const struct slab *slab, uint64_t index)
{
    return slab->base + (index << INDEX_UNIT_SHIFT);
}

static inline uint32_t slab_page(uint64_t index)
{
    return (uint32_t)(index >> (PAGE_SHIFT - INDEX_UNIT_SHIFT));
}

/* Tests: walks all pages; CHECKs counts and lists. */
void slab_verify(const struct slab *slab);
