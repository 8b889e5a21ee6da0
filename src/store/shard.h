/* shard.h - one slice of the keyspace: a table, its memory, its clocks, one lock.
 *
 * May use:    base/, and the other files of store/.
 * Invariants: every entry in the table lives in this shard's slab; the counts by database are
 *             those of the table; an entry at or past its deadline is never handed out;
 *             versions only grow. */
#pragma once

#include <memento/limits.h>
#include <memento/status.h>

#include "base/annotate.h"
#include "base/list.h"
#include "base/random.h"
#include "store/entry.h"
#include "store/expiry.h"
#include "store/key.h"
#include "store/latch.h"
#include "store/slab.h"
#include "store/table.h"

#include <stdatomic.h>
#include <stdbool.h>

struct CAPABILITY("shard") shard {
    struct latch latch CACHE_ALIGNED;
    struct list watchers; /* WATCHed keys here; engine's */
    uint64_t clock;       /* the last version given */
    /* The newest version that is not to be seen any more: of a removal, or of an entry that was
     * due. What a reader who finds nothing has to wait for, when it waits for the log. */
    uint64_t last_removed;
    /* A line of its own: prefetching reads it without the lock. */
    struct table table CACHE_ALIGNED;
    struct expiry *expiry;
    size_t deadlines;      /* entries with one, in all databases */
    uint64_t expired_late; /* due keys that the wheel had missed: a bug counter */
    size_t large_bytes;    /* of values and keys beside the slab */
    size_t large_count;
    /* Read without the lock by DBSIZE and INFO. */
    _Atomic uint64_t keys[MEMENTO_DATABASES];
    _Atomic uint64_t keys_with_deadline[MEMENTO_DATABASES];
    struct slab slab;
};

MUST_USE enum memento_status shard_init(struct shard *shard, struct pages *pages,
                                        const struct hash_seed *seed, int64_t now_ms);
void shard_fini(struct shard *shard);

/* Any thread. Sleeps until the shard is ours. One shard at a time, or ascending. */
static inline void shard_lock(struct shard *shard) ACQUIRES(shard) UNCHECKED_LOCKING
{
    latch_acquire(&shard->latch);
}
static inline void shard_unlock(struct shard *shard) RELEASES(shard) UNCHECKED_LOCKING
{
    latch_release(&shard->latch);
}

/* The next version: greater than all before, and not behind the wall clock. */
uint64_t shard_next_version(struct shard *shard, int64_t now_ms) REQUIRES(shard);
/* Versions are greater than this from now on. */
static inline void shard_raise_clock(struct shard *shard, uint64_t version)
    REQUIRES(shard)
{
    shard->clock = version > shard->clock ? version : shard->clock;
}
static inline void shard_note_removal(struct shard *shard, uint64_t version)
    REQUIRES(shard)
{
    shard->last_removed = version > shard->last_removed ? version : shard->last_removed;
}

/* What is stored under the key; the views are good until the next change to this shard.
 * NOT_FOUND when it is absent (item->version is 0) or due (the item is filled in). */
MUST_USE enum memento_status shard_find(struct shard *shard, const struct key *key,
                                        int64_t now_ms, struct item *item)
    REQUIRES(shard);

/* Only the value, for the hot path: as shard_find, but decodes nothing else.
 * *large is set when the value lives in a block of its own (take a reference to keep it). */
MUST_USE enum memento_status shard_find_value(struct shard *shard, const struct key *key,
                                              int64_t now_ms, struct bytes *value,
                                              struct large **large) REQUIRES(shard);

/* The version of the key's entry, due or not; false without one. */
MUST_USE bool shard_find_version(struct shard *shard, const struct key *key,
                                 uint64_t *version) REQUIRES(shard);

/* What to store. A value over SHARD_INLINE_MAX must come as `large` (one reference, which the
 * shard takes over on success only). */
#define SHARD_INLINE_MAX 8192
struct shard_value {
    struct bytes bytes; /* when large is NULL; may be a view of the entry replaced */
    struct large *large;
    int64_t deadline_ms; /* or ENTRY_NO_DEADLINE */
    int64_t created_ms;  /* or SHARD_CREATED_NOW: the version's own time */
};
#define SHARD_CREATED_NOW INT64_MIN

/* Stores under the key, whatever was there; the old value's block is dropped. ERR_NO_MEMORY
 * leaves everything as it was. A deadline that has passed is stored all the same and dies at
 * once: deciding that is the caller's. */
MUST_USE enum memento_status shard_put(struct shard *shard, const struct key *key,
                                       const struct shard_value *value, uint64_t version,
                                       int64_t now_ms) REQUIRES(shard);

/* Makes the stored value `len` bytes long, keeping what fits of the old bytes and zeroing what
 * is new, keeps creation time, sets version, and gives a pointer to the bytes, good until the
 * next change to this shard. The key must exist (CHECK). For APPEND, SETRANGE, SETBIT. */
MUST_USE enum memento_status shard_edit(struct shard *shard, const struct key *key,
                                        size_t len, uint64_t version, int64_t now_ms,
                                        char **bytes) REQUIRES(shard);

/* Changes only deadline and version; creation time stays. NOT_FOUND. */
MUST_USE enum memento_status shard_set_deadline(struct shard *shard,
                                                const struct key *key,
                                                int64_t deadline_ms, uint64_t version,
                                                int64_t now_ms) REQUIRES(shard);

/* OK or NOT_FOUND (a due entry is removed too, and answered NOT_FOUND). */
MUST_USE enum memento_status shard_remove(struct shard *shard, const struct key *key,
                                          int64_t now_ms) REQUIRES(shard);

/* Everything of one database, or all of them with db < 0. */
void shard_clear(struct shard *shard, int db, int64_t now_ms) REQUIRES(shard);

/* Removes the entries, due or not, for which `is_wanted` says so. */
typedef bool shard_question(void *context, const struct item *item);
void shard_remove_if(struct shard *shard, shard_question *is_wanted, void *context)
    REQUIRES(shard);

/* Removes up to `budget` due entries; `expired` (may be NULL) is told of each before it goes.
 * The number removed; *more is set when there may be others due. */
typedef void shard_told(void *context, const struct item *item);
size_t shard_expire(struct shard *shard, int64_t now_ms, size_t budget,
                    shard_told *expired, void *context, bool *more) REQUIRES(shard);

/* Visits the entries of one bucket that are not due, and gives the next position (0 = the
 * end). See table_scan. */
typedef void shard_visit(void *context, const struct item *item);
uint64_t shard_scan(struct shard *shard, uint64_t position, int64_t now_ms,
                    shard_visit *visit, void *context) REQUIRES(shard);

/* Some entry of the database, each about as likely as another; NOT_FOUND when there is none
 * that is not due. */
MUST_USE enum memento_status shard_random(struct shard *shard, uint8_t db, int64_t now_ms,
                                          struct random *random, struct item *item)
    REQUIRES(shard);

/* Bytes one entry takes: chunk, its share of the bucket, its block. */
size_t shard_entry_bytes(const struct shard *shard, const struct item *item)
    REQUIRES(shard);

/* Tests: walks everything and CHECKs every invariant. */
void shard_verify(struct shard *shard) REQUIRES(shard);
