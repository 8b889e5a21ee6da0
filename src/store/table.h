/* table.h - linear hashing over cache lines: from a key's hash to its entry's reference.
 *
 * A bucket is one 64-byte line of ten references, each with 12 bits of hash and 36 bits of
 * index, and a link to an overflow line. The table grows and shrinks one bucket at a time
 * (Litwin, 1980), so there is neither a rehash pause nor a doubled table. Bucket words are
 * written as relaxed atomics under the shard's lock, so that the prefetch phase may read them
 * without it; lines live in pages of the pool that never hold anything else and are never
 * unmapped.
 *
 * A scan position is a bit-reversed bucket hash (39 bits, left aligned in KEY_BUCKET_BITS): a
 * bucket is an interval of them, and a split refines an interval without moving any key across
 * a position, so a scan sees every key that was there throughout, exactly once.
 *
 * Thread: the holder of the shard's lock, but for table_prefetch_*. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "store/key.h"
#include "store/slab.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUCKET_SLOTS 10
/* Mean entries a bucket is allowed before one more bucket is split off, and below which the
 * last one is merged back. */
#define TABLE_LOAD_MAX 8
#define TABLE_LOAD_MIN 4
/* The table begins, and ends shrinking, with so many. */
#define TABLE_BUCKETS_MIN 64

struct bucket {
    uint32_t low[BUCKET_SLOTS];  /* low 32 bits of the index; 0 = empty slot */
    uint16_t high[BUCKET_SLOTS]; /* tag << 4 | high 4 bits of the index */
    uint32_t overflow; /* next line of the chain, in units of 64 bytes; 0 = none */
};

struct table {
    /* Read without the lock: written rarely, and kept apart from what every insert writes. */
    char *base;          /* pages_base */
    uint32_t *directory; /* reserved address space: page number of each run of buckets */
    uint64_t buckets;    /* how many there are now */
    struct slab *slab;   /* for overflow lines, and to reach the entries */
    const struct hash_seed *seed; /* splitting needs the hash of the keys it moves */
    uint64_t count;               /* entries */
    uint64_t overflow_lines;
};

/* A place found: which line and slot, so that it can be replaced or removed. */
struct table_place {
    struct bucket *line;
    unsigned slot;
    uint64_t index; /* of the entry */
};

MUST_USE enum memento_status table_init(struct table *table, struct slab *slab,
                                        const struct hash_seed *seed);
void table_fini(struct table *table); /* gives its pages back; entries are the caller's */
/* As new, without asking for memory; the slab is cleared by the caller. */
void table_clear(struct table *table);

MUST_USE bool table_find(const struct table *table, const struct key *key,
                         struct table_place *place);
/* The key must not be there. ERR_NO_MEMORY leaves the table as it was. Splits at most one
 * bucket. */
MUST_USE enum memento_status table_insert(struct table *table, uint64_t hash,
                                          uint64_t index);
void table_replace(struct table *table, const struct table_place *place, uint64_t index);
/* Merges at most one bucket. The place is void afterwards. */
void table_remove(struct table *table, const struct table_place *place, uint64_t hash);
/* The place of an entry that is in the table (CHECK). */
void table_locate(const struct table *table, uint64_t hash, uint64_t index,
                  struct table_place *place);

/* Any thread, no lock: brings the key's bucket, then its probable entry (two lines), into the
 * cache; true when the bucket's first line did not have it, and the chain goes on: then the
 * third brings the entry. May prefetch nothing or nonsense while the table changes; never
 * faults. Each wants the lines of the one before in the cache: do others meanwhile. */
void table_prefetch_bucket(const struct table *table, uint64_t hash);
bool table_prefetch_entry(const struct table *table, uint64_t hash);
void table_prefetch_overflow(const struct table *table, uint64_t hash);

/* Calls `visit` for every entry of the bucket at `position` whose own position is not before
 * it, and gives the position of the next bucket, or 0 after the last (and for a position that
 * no key can have). `visit` must not change the table. */
typedef void table_visit(void *context, uint64_t index);
uint64_t table_scan(const struct table *table, uint64_t position, table_visit *visit,
                    void *context);
/* The scan position of a hash. */
uint64_t table_position(uint64_t hash);
/* Every entry of the bucket with this number, below table->buckets. */
void table_visit_bucket(const struct table *table, uint64_t bucket, table_visit *visit,
                        void *context);

/* A mark is 24 of a hash's bits, kept where a whole hash is too much (expiry.h): 20 of the
 * bucket and 4 of the tag. Every entry whose hash may have this mark is visited, and some
 * others of its bucket; prefetching first brings buckets, then entries, into the cache. */
#define TABLE_MARK_BITS 24
uint32_t table_mark(uint64_t hash);
void table_prefetch_mark_bucket(const struct table *table, uint32_t mark);
void table_prefetch_mark_entries(const struct table *table, uint32_t mark);
void table_visit_mark(const struct table *table, uint32_t mark, table_visit *visit,
                      void *context);

/* Bytes of bucket pages and overflow lines. */
size_t table_bytes(const struct table *table);

void table_verify(const struct table *table);
