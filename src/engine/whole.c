/* whole.c - what concerns all keys: flush, swap, count, scan, a random key, expiry. */
#include "base/check.h"
#include "base/counter.h"
#include "engine/persist_parts.h"
#include "engine/staging.h"
#include "engine/watch.h"

/* A cursor is a shard and a position in it (table.h). */
#define CURSOR_POSITION_BITS KEY_BUCKET_BITS
/* Buckets a scan looks at before others may have the shard again. */
#define BUCKETS_A_LOCK 64

#define CURSOR_POSITION_MASK ((1ull << CURSOR_POSITION_BITS) - 1)

/* The locks of commands on the whole keyspace: one shard at a time, unless EXEC holds all. */
static void lock_one(struct writer *writer, struct shard *shard) UNCHECKED_LOCKING
{
    if (writer->span_depth == 0) {
        shard_lock(shard);
    }
}

static void unlock_one(struct writer *writer, struct shard *shard) UNCHECKED_LOCKING
{
    if (writer->span_depth == 0) {
        shard_unlock(shard);
    }
}

static uint8_t physical(const struct engine *engine, unsigned database)
{
    CHECK(database < MEMENTO_DATABASES);
    return atomic_load_explicit(&engine->database_map[database], memory_order_relaxed);
}

/* A version above everything that has happened, in every shard; all are held. What happens
 * later in any of them is newer. */
static uint64_t next_version_of_all(struct writer *writer) UNCHECKED_LOCKING
{
    struct keyspace *keyspace = &writer->engine->keyspace;
    uint64_t version = 0;
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        uint64_t next = shard_next_version(&keyspace->shards[i], writer->now_ms);
        version = next > version ? next : version;
    }
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        shard_raise_clock(&keyspace->shards[i], version);
    }
    return version;
}

static void flush_shards(struct writer *writer, int db,
                         uint64_t version) UNCHECKED_LOCKING
{
    struct keyspace *keyspace = &writer->engine->keyspace;
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        struct shard *shard = &keyspace->shards[i];
        watch_database_flushed(writer, shard, db);
        shard_clear(shard, db, writer->now_ms);
        shard_note_removal(shard, version);
    }
}

static const struct key no_key;

enum memento_status engine_flush(struct writer *writer, int database) UNCHECKED_LOCKING
{
    enum memento_status status = stage_reserve(writer, &no_key, 0);
    if (status != MEMENTO_OK) {
        return status;
    }
    engine_lock_all(writer); /* nobody sees some shards emptied and others not */
    counter_add(&writer->changes, 1);
    int db = database < 0 ? -1 : physical(writer->engine, (unsigned)database);
    uint64_t version = next_version_of_all(writer);
    stage(writer, &(struct record){.kind = RECORD_FLUSH,
                                   .db = db < 0 ? RECORD_ALL_DBS : (uint8_t)db,
                                   .version = version,
                                   .deadline_ms = RECORD_NO_DEADLINE});
    flush_shards(writer, db, version);
    engine_unlock_span(writer);
    return MEMENTO_OK;
}

/* The map as it is from now on; all shards are held. */
static void stage_map(struct writer *writer)
{
    struct engine *engine = writer->engine;
    engine->map_version = next_version_of_all(writer);
    char map[MEMENTO_DATABASES];
    engine_read_map(engine, map);
    stage(writer, &(struct record){.kind = RECORD_MAP,
                                   .version = engine->map_version,
                                   .deadline_ms = RECORD_NO_DEADLINE,
                                   .value = bytes_of(map, sizeof(map))});
}

void engine_read_map(const struct engine *engine, char map[MEMENTO_DATABASES])
{
    for (unsigned i = 0; i < MEMENTO_DATABASES; i++) {
        map[i] = (char)physical(engine, i);
    }
}

enum memento_status engine_swap_databases(struct writer *writer, unsigned a, unsigned b)
{
    struct engine *engine = writer->engine;
    if (a == b) {
        return MEMENTO_OK;
    }
    enum memento_status status = stage_reserve(writer, &no_key, MEMENTO_DATABASES);
    if (status != MEMENTO_OK) {
        return status;
    }
    engine_lock_all(writer);
    uint8_t of_a = physical(engine, a);
    uint8_t of_b = physical(engine, b);
    watch_databases_swapped(writer, of_a, of_b);
    atomic_store_explicit(&engine->database_map[a], of_b, memory_order_relaxed);
    atomic_store_explicit(&engine->database_map[b], of_a, memory_order_relaxed);
    stage_map(writer);
    engine_unlock_span(writer);
    return MEMENTO_OK;
}

uint64_t engine_count(const struct engine *engine, unsigned database)
{
    return keyspace_keys(&engine->keyspace, physical(engine, database));
}

uint64_t engine_count_with_deadline(const struct engine *engine, unsigned database)
{
    return keyspace_keys_with_deadline(&engine->keyspace, physical(engine, database));
}

void engine_note_read_all(struct writer *writer) UNCHECKED_LOCKING
{
    struct keyspace *keyspace = &writer->engine->keyspace;
    for (unsigned i = 0; writer->tracks_reads && i < keyspace->shard_count; i++) {
        struct shard *shard = &keyspace->shards[i];
        lock_one(writer, shard);
        writer_note_read(writer, shard->clock);
        unlock_one(writer, shard);
    }
}

/* ---- scanning ---- */

struct scan {
    struct writer *writer;
    uint8_t db;
    size_t visited;
    engine_visit *visit;
    void *context;
};

static void scan_visit(void *context, const struct item *item)
{
    struct scan *scan = context;
    if (item->db == scan->db) {
        scan->visited++;
        writer_note_read(scan->writer, item->version);
        scan->visit(scan->context, item);
    }
}

uint64_t engine_scan(struct writer *writer, uint64_t cursor, unsigned database,
                     size_t count, size_t work_max, engine_visit *visit,
                     void *context) UNCHECKED_LOCKING
{
    struct keyspace *keyspace = &writer->engine->keyspace;
    struct scan scan = {writer, physical(writer->engine, database), 0, visit, context};
    uint64_t index = cursor >> CURSOR_POSITION_BITS;
    uint64_t position = cursor & CURSOR_POSITION_MASK;
    size_t work = 0;
    while (index < keyspace->shard_count) {
        struct shard *shard = &keyspace->shards[index];
        lock_one(writer, shard);
        size_t pause = work + BUCKETS_A_LOCK;
        do {
            position = shard_scan(shard, position, writer->now_ms, scan_visit, &scan);
            work++;
        } while (position != 0 && scan.visited < count && work < work_max &&
                 work < pause);
        writer_note_read(writer, shard->last_removed);
        unlock_one(writer, shard);
        if (position == 0) {
            index++;
        }
        if (scan.visited >= count || work >= work_max) {
            break;
        }
    }
    if (index >= keyspace->shard_count) {
        return 0;
    }
    return index << CURSOR_POSITION_BITS | position;
}

/* Shards are asked in order from a random one; the keys of a database lie in them evenly. */
enum memento_status engine_random_key(struct writer *writer, unsigned database,
                                      struct buf *out) UNCHECKED_LOCKING
{
    struct keyspace *keyspace = &writer->engine->keyspace;
    uint8_t db = physical(writer->engine, database);
    unsigned from = (unsigned)random_below(&writer->random, keyspace->shard_count);
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        struct shard *shard = &keyspace->shards[(from + i) & (keyspace->shard_count - 1)];
        struct item item;
        lock_one(writer, shard);
        enum memento_status status =
            shard_random(shard, db, writer->now_ms, &writer->random, &item);
        if (status == MEMENTO_OK) {
            buf_append_bytes(out, item.key);
            writer_note_read(writer, item.version);
        }
        writer_note_read(writer, shard->last_removed);
        unlock_one(writer, shard);
        if (status == MEMENTO_OK) {
            return out->failed ? MEMENTO_ERR_NO_MEMORY : MEMENTO_OK;
        }
    }
    return MEMENTO_NOT_FOUND;
}

/* ---- expiry ---- */

/* Nobody is told of a key that expires: WATCH asks whether a key it saw is still there, and one
 * that was already due when it was watched counts as absent throughout. */
bool engine_sweep(struct writer *writer, unsigned index, unsigned step,
                  size_t budget) UNCHECKED_LOCKING
{
    struct keyspace *keyspace = &writer->engine->keyspace;
    unsigned mine = (keyspace->shard_count - index + step - 1) / step;
    size_t removed = 0;
    bool more = false;
    for (unsigned i = 0; i < mine && removed < budget; i++) {
        unsigned turn = (writer->sweep_next + i) % mine;
        struct shard *shard = &keyspace->shards[index + turn * step];
        bool more_here = false;
        shard_lock(shard);
        removed +=
            shard_expire(shard, writer->now_ms, budget - removed, NULL, NULL, &more_here);
        shard_unlock(shard);
        more = more || more_here;
        if (removed >= budget) {
            writer->sweep_next = turn; /* the next sweep begins where this one stopped */
            more = true;
        }
    }
    counter_add(&writer->expired, removed);
    return more;
}
