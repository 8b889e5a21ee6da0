/* keyspace.c */
#include "store/keyspace.h"

#include "base/check.h"
#include "base/heap.h"

#include <string.h>

enum memento_status keyspace_init(struct keyspace *keyspace, unsigned shard_count,
                                  const struct hash_seed *seed, int64_t now_ms)
{
    CHECK(shard_count >= 1 && shard_count <= MEMENTO_SHARDS_MAX);
    memset(keyspace, 0, sizeof(*keyspace));
    unsigned bits = 0;
    while (1u << bits < shard_count) {
        bits++;
    }
    keyspace->seed = *seed;
    keyspace->shard_shift = 64 - bits;
    unsigned count = 1u << bits;

    enum memento_status status = pages_create(&keyspace->pages);
    if (status != MEMENTO_OK) {
        return status;
    }
    keyspace->shards =
        heap_alloc_aligned(_Alignof(struct shard), count * sizeof(struct shard));
    if (keyspace->shards == NULL) {
        status = MEMENTO_ERR_NO_MEMORY;
    }
    while (status == MEMENTO_OK && keyspace->shard_count < count) {
        status = shard_init(&keyspace->shards[keyspace->shard_count], keyspace->pages,
                            &keyspace->seed, now_ms);
        keyspace->shard_count += status == MEMENTO_OK;
    }
    if (status != MEMENTO_OK) {
        keyspace_fini(keyspace);
    }
    return status;
}

void keyspace_fini(struct keyspace *keyspace)
{
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        shard_fini(&keyspace->shards[i]);
    }
    heap_free(keyspace->shards);
    pages_destroy(keyspace->pages);
    memset(keyspace, 0, sizeof(*keyspace));
}

/* As many keys are in flight at once; more of them would push each other out of the cache. */
#define PREFETCH_MAX 64

static void prefetch_some(const struct keyspace *keyspace, const uint64_t *hashes,
                          size_t count)
{
    uint64_t unfound[PREFETCH_MAX];
    size_t unfound_count = 0;
    for (size_t i = 0; i < count; i++) {
        table_prefetch_bucket(&keyspace_shard(keyspace, hashes[i])->table, hashes[i]);
    }
    for (size_t i = 0; i < count; i++) {
        unfound[unfound_count] = hashes[i];
        unfound_count +=
            table_prefetch_entry(&keyspace_shard(keyspace, hashes[i])->table, hashes[i]);
    }
    for (size_t i = 0; i < unfound_count; i++) {
        table_prefetch_overflow(&keyspace_shard(keyspace, unfound[i])->table, unfound[i]);
    }
}

void keyspace_prefetch(const struct keyspace *keyspace, const uint64_t *hashes,
                       size_t count)
{
    for (size_t done = 0; done < count; done += PREFETCH_MAX) {
        size_t left = count - done;
        prefetch_some(keyspace, hashes + done, left < PREFETCH_MAX ? left : PREFETCH_MAX);
    }
}

uint64_t keyspace_keys(const struct keyspace *keyspace, uint8_t db)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        sum += atomic_load_explicit(&keyspace->shards[i].keys[db], memory_order_relaxed);
    }
    return sum;
}

uint64_t keyspace_keys_with_deadline(const struct keyspace *keyspace, uint8_t db)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        sum += atomic_load_explicit(&keyspace->shards[i].keys_with_deadline[db],
                                    memory_order_relaxed);
    }
    return sum;
}

void keyspace_memory(struct keyspace *keyspace, struct keyspace_memory *memory)
{
    *memory = (struct keyspace_memory){.pages_bytes = pages_bytes_used(keyspace->pages)};
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        struct shard *shard = &keyspace->shards[i];
        shard_lock(shard);
        memory->entry_bytes +=
            shard->slab.bytes_used - shard->table.overflow_lines * sizeof(struct bucket);
        memory->table_bytes += table_bytes(&shard->table);
        memory->large_bytes += shard->large_bytes;
        shard_unlock(shard);
    }
}
