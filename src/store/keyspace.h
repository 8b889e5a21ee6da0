/* keyspace.h - all shards, the pool of pages below them, and the key of the hash. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "store/pages.h"
#include "store/shard.h"

#include <stddef.h>
#include <stdint.h>

struct keyspace {
    struct hash_seed seed;
    struct pages *pages;
    struct shard *shards;
    unsigned shard_count; /* power of two */
    unsigned shard_shift; /* hash >> shard_shift is the shard */
};

/* shard_count is rounded up to a power of two; 1..MEMENTO_SHARDS_MAX. */
MUST_USE enum memento_status keyspace_init(struct keyspace *keyspace,
                                           unsigned shard_count,
                                           const struct hash_seed *seed, int64_t now_ms);
void keyspace_fini(struct keyspace *keyspace);

static inline unsigned keyspace_shard_index(const struct keyspace *keyspace,
                                            uint64_t hash)
{
    return (unsigned)((hash >> 52) >> (keyspace->shard_shift - 52));
}

static inline struct shard *keyspace_shard(const struct keyspace *keyspace, uint64_t hash)
{
    return &keyspace->shards[keyspace_shard_index(keyspace, hash)];
}

/* Any thread, no lock. Brings the buckets and entries of all these keys into the cache, in
 * passes over them, so that they wait for memory together. Best for 16 to 64 at a time. */
void keyspace_prefetch(const struct keyspace *keyspace, const uint64_t *hashes,
                       size_t count);

/* Keys of a database, and those of them with a deadline; an instant's sum. Any thread. */
uint64_t keyspace_keys(const struct keyspace *keyspace, uint8_t db);
uint64_t keyspace_keys_with_deadline(const struct keyspace *keyspace, uint8_t db);

struct keyspace_memory {
    size_t pages_bytes; /* taken from the pool */
    size_t entry_bytes; /* chunks in use */
    size_t table_bytes; /* bucket pages and overflow lines */
    size_t large_bytes; /* values beside the slab */
};
/* Takes each shard's lock in turn. */
void keyspace_memory(struct keyspace *keyspace, struct keyspace_memory *memory);
