/* engine.h - the keyspace as the rest of memento sees it: the only door to the store.
 *
 * Whoever writes or reads does so through a `struct writer` of its own (a worker has one, an
 * embedding thread has one): the time of its turn, its counters, the shards it holds, and what it
 * has staged for the log (persist.h): staged before the change is made, so that memory never
 * shows what the log will lack.
 *
 * The pattern of every command on one key:
 *     struct shard *shard = engine_lock(writer, &key);
 *     ... engine_find, engine_set, engine_delete ...; copy what views point to
 *     engine_unlock(writer, shard);
 * and on several: engine_lock_keys ... engine_unlock_span, which locks the shards in ascending
 * order and makes the engine_lock calls between them free. Spans nest (EXEC around MSET).
 *
 * May use:    base/, store/, log/.
 * Invariants: a writer never waits for a shard while it holds a higher one. */
#pragma once

#include <memento/limits.h>
#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "base/list.h"
#include "base/random.h"
#include "base/ttl_clock.h"
#include "log/log.h"
#include "store/keyspace.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct persist;

struct engine {
    struct keyspace keyspace;
    /* SELECT n speaks to physical database map[n]; SWAPDB exchanges two of them. */
    _Atomic uint8_t database_map[MEMENTO_DATABASES];
    uint64_t map_version; /* of the last SWAPDB; all shards are held by who changes it */
    struct ttl_clock clock;
    struct persist *_Atomic persist; /* NULL: in memory only */
};

/* The time that deadlines and versions are measured with; it never goes back. Any thread. */
static inline int64_t engine_now_ms(const struct engine *engine)
{
    return ttl_clock_ms(&engine->clock);
}

MUST_USE enum memento_status engine_init(struct engine *engine, unsigned shards,
                                         const struct hash_seed *seed, int64_t now_ms);
void engine_fini(struct engine *engine);

struct writer {
    struct engine *engine;
    int64_t now_ms;         /* the owner sets it once a turn */
    size_t value_bytes_max; /* the owner sets it: how long a value may become */
    struct random random;
    unsigned sweep_next; /* which of its shards the next sweep begins with */
    unsigned span_depth; /* > 0: `held` shards are locked until it is 0 again */
    uint64_t held[MEMENTO_SHARDS_MAX / 64];
    struct log_writer log;
    /* Policy always: the newest version among what was read, or not found any more, since the
     * owner set it to 0. Noted while tracks_reads is set. */
    bool tracks_reads;
    uint64_t version_read;
    /* Counters, written by the owner only, read by INFO from other threads. */
    _Atomic uint64_t hits, misses, expired, changes;
};

MUST_USE enum memento_status writer_init(struct writer *writer, struct engine *engine);
void writer_fini(struct writer *writer);

/* A key in a logical database, from the hash of its bytes (hash_bytes with engine's seed). */
static inline struct key engine_key(const struct engine *engine, struct bytes bytes,
                                    uint64_t bytes_hash, unsigned database)
{
    uint8_t db =
        atomic_load_explicit(&engine->database_map[database], memory_order_relaxed);
    return (struct key){bytes, key_hash_in_db(bytes_hash, db), db, (uint8_t)database};
}
static inline uint64_t engine_hash(const struct engine *engine, struct bytes bytes)
{
    return hash_bytes(&engine->keyspace.seed, bytes);
}

/* ---- locking: the writer's thread ---- */

/* A key names a physical database, which SWAPDB may have exchanged by the time its shard is
 * ours: it is then named anew. While a shard is held nothing is exchanged. */
struct shard *engine_lock(struct writer *writer, struct key *key);
void engine_unlock(struct writer *writer, struct shard *shard);
void engine_lock_keys(struct writer *writer, struct key *keys, size_t count);
void engine_lock_all(struct writer *writer);
void engine_unlock_span(struct writer *writer);

/* ---- one key; its shard is locked by this writer ---- */

/* Counted as hit or miss. Views are good until the next change to the shard. */
MUST_USE enum memento_status engine_get(struct writer *writer, struct shard *shard,
                                        const struct key *key, struct bytes *value,
                                        struct large **large);
/* Everything about the entry, not counted. */
MUST_USE enum memento_status engine_find(struct writer *writer, struct shard *shard,
                                         const struct key *key, struct item *item);
void engine_count_lookup(struct writer *writer, bool hit);

/* Bytes ready to be stored: a large value is copied into a block of its own here, before the
 * lock is taken. engine_value_drop is safe after engine_set has taken it over. */
struct engine_value {
    struct bytes bytes;
    struct large *large;
};
MUST_USE enum memento_status engine_value_make(struct bytes bytes,
                                               struct engine_value *value);
void engine_value_drop(struct engine_value *value);

#define ENGINE_CREATED_NOW SHARD_CREATED_NOW
/* Stores; takes value->large over. created_ms: ENGINE_CREATED_NOW, or what to carry.
 * ERR_NO_MEMORY changes nothing; neither does ERR_TOO_LARGE, which says that this writer has
 * staged as much as one frame of the log may hold. The same is true of all changes below. */
MUST_USE enum memento_status engine_set(struct writer *writer, struct shard *shard,
                                        const struct key *key, struct engine_value *value,
                                        int64_t deadline_ms, int64_t created_ms);
/* Makes the existing value `len` bytes long (see shard_edit); the caller writes to *bytes, then
 * says with engine_edited whether that changed anything, before it changes anything else or
 * lets the shard go. With a log the whole new value is staged: a value of LOG_REFERENCE_BYTES
 * or more by reference, so that the next edit copies it when the log has not been written by
 * then. */
MUST_USE enum memento_status engine_edit(struct writer *writer, struct shard *shard,
                                         const struct key *key, size_t len, char **bytes);
void engine_edited(struct writer *writer, struct shard *shard, const struct key *key,
                   bool is_changed);
MUST_USE enum memento_status engine_set_deadline(struct writer *writer,
                                                 struct shard *shard,
                                                 const struct key *key,
                                                 int64_t deadline_ms);
/* OK when there was one, NOT_FOUND when there was none; or a failure, as above. */
MUST_USE enum memento_status engine_delete(struct writer *writer, struct shard *shard,
                                           const struct key *key);

/* ---- the whole keyspace; takes the locks itself ---- */

/* Logical database, or all with database < 0. ERR_NO_MEMORY, ERR_TOO_LARGE: nothing was
 * changed. */
MUST_USE enum memento_status engine_flush(struct writer *writer, int database);
MUST_USE enum memento_status engine_swap_databases(struct writer *writer, unsigned a,
                                                   unsigned b);
uint64_t engine_count(const struct engine *engine, unsigned database);
uint64_t engine_count_with_deadline(const struct engine *engine, unsigned database);
/* For answers that depend on all keys at once (a count): while the writer tracks reads, notes
 * everything changed until now as read. */
void engine_note_read_all(struct writer *writer);

/* Visits at least `count` keys of the logical database (when so many are left), whole buckets
 * at a time, under the shard's lock: `visit` copies what it needs and takes no lock. Gives the
 * cursor to go on from, 0 at the end; begins with 0; below 2^53. Every key present from begin
 * to end is visited exactly once. `work_max` bounds the buckets looked at. */
typedef void engine_visit(void *context, const struct item *item);
uint64_t engine_scan(struct writer *writer, uint64_t cursor, unsigned database,
                     size_t count, size_t work_max, engine_visit *visit, void *context);

/* Copies some key of the database to `out`; NOT_FOUND when it is empty. */
MUST_USE enum memento_status engine_random_key(struct writer *writer, unsigned database,
                                               struct buf *out);

/* Removes due keys in the shards `index`, `index` + `step`, …; at most `budget` of them, one
 * shard lock at a time. True when more are due. */
bool engine_sweep(struct writer *writer, unsigned index, unsigned step, size_t budget);

/* ---- WATCH ---- */

/* One watched key of one client. `changed` becomes true when anybody changes the key. Where the
 * key lies changes when SWAPDB moves the database it is watched in. */
struct watch {
    struct list of_shard;  /* engine's */
    struct list of_client; /* the owner's */
    struct bytes bytes;    /* the key's, behind the struct */
    uint8_t database;      /* logical */
    _Atomic uint64_t hash;
    _Atomic uint8_t db; /* physical */
    bool was_there;     /* when WATCH was executed */
    atomic_bool changed;
};
/* The key as it lies now; it stays so while any shard is held. */
struct key engine_watch_key(const struct watch *watch);
/* NULL without memory. */
MUST_USE struct watch *engine_watch(struct writer *writer, const struct key *key);
void engine_unwatch(struct writer *writer, struct watch *watch); /* frees it */
/* The key's shard is held: true when it was changed, or has expired since. */
bool engine_watch_is_broken(struct writer *writer, struct watch *watch);
