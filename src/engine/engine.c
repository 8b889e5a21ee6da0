/* engine.c - one key at a time, and the locks around it; see engine.h.
 *
 * Room in the log is reserved before anything is changed, so that what was changed can always be
 * staged; both happen while the shard is held, and nobody sees the one without the other. */
#include "engine/engine.h"

#include "base/check.h"
#include "base/counter.h"
#include "engine/persist_parts.h"
#include "engine/staging.h"
#include "engine/watch.h"

enum memento_status engine_init(struct engine *engine, unsigned shards,
                                const struct hash_seed *seed, int64_t now_ms)
{
    for (unsigned i = 0; i < MEMENTO_DATABASES; i++) {
        atomic_init(&engine->database_map[i], (uint8_t)i);
    }
    engine->map_version = 0;
    ttl_clock_init(&engine->clock, now_ms);
    atomic_init(&engine->persist, NULL);
    return keyspace_init(&engine->keyspace, shards, seed, now_ms);
}

void engine_fini(struct engine *engine)
{
    persist_destroy(engine->persist);
    engine->persist = NULL;
    keyspace_fini(&engine->keyspace);
}

enum memento_status writer_init(struct writer *writer, struct engine *engine)
{
    *writer = (struct writer){.engine = engine,
                              .value_bytes_max = (size_t)MEMENTO_VALUE_BYTES_MAX};
    uint64_t seed;
    enum memento_status status = random_bytes(&seed, sizeof(seed));
    random_init(&writer->random, seed);
    return status;
}

void writer_fini(struct writer *writer)
{
    CHECK(writer->span_depth == 0 && writer->log.log == NULL);
}

/* ---- locks ---- */

static inline bool is_held(const struct writer *writer, unsigned shard)
{
    return (writer->held[shard / 64] >> (shard % 64)) & 1;
}

static inline bool is_named_right(const struct engine *engine, const struct key *key)
{
    return key->db == atomic_load_explicit(&engine->database_map[key->database],
                                           memory_order_relaxed);
}

/* The mixing of the database into a hash undoes itself. */
static COLD void name_again(const struct engine *engine, struct key *key)
{
    *key =
        engine_key(engine, key->bytes, key_hash_in_db(key->hash, key->db), key->database);
}

struct shard *engine_lock(struct writer *writer, struct key *key) UNCHECKED_LOCKING
{
    struct keyspace *keyspace = &writer->engine->keyspace;
    if (UNLIKELY(writer->span_depth > 0)) {
        CHECK(is_held(writer, keyspace_shard_index(keyspace, key->hash)));
        return keyspace_shard(keyspace, key->hash);
    }
    for (;;) {
        struct shard *shard = keyspace_shard(keyspace, key->hash);
        shard_lock(shard);
        if (LIKELY(is_named_right(writer->engine, key))) {
            return shard;
        }
        shard_unlock(shard);
        name_again(writer->engine, key);
    }
}

void engine_unlock(struct writer *writer, struct shard *shard) UNCHECKED_LOCKING
{
    if (LIKELY(writer->span_depth == 0)) {
        shard_unlock(shard);
    }
}

/* Ascending order, whatever the order of the keys: so that two spans never wait in a circle. */
static void lock_held(struct writer *writer) UNCHECKED_LOCKING
{
    struct keyspace *keyspace = &writer->engine->keyspace;
    for (unsigned word = 0; word * 64 < keyspace->shard_count; word++) {
        for (uint64_t held = writer->held[word]; held != 0; held &= held - 1) {
            shard_lock(&keyspace->shards[word * 64 + (unsigned)__builtin_ctzll(held)]);
        }
    }
}

/* Always true. */
static bool unlock_held(struct writer *writer) UNCHECKED_LOCKING
{
    struct keyspace *keyspace = &writer->engine->keyspace;
    for (unsigned word = 0; word * 64 < keyspace->shard_count; word++) {
        for (uint64_t held = writer->held[word]; held != 0; held &= held - 1) {
            shard_unlock(&keyspace->shards[word * 64 + (unsigned)__builtin_ctzll(held)]);
        }
        writer->held[word] = 0;
    }
    return true;
}

/* True when the names are right now that the shards are held; makes them right otherwise. */
static bool name_keys(const struct engine *engine, struct key *keys, size_t count)
{
    bool were_right = true;
    for (size_t i = 0; i < count; i++) {
        if (UNLIKELY(!is_named_right(engine, &keys[i]))) {
            name_again(engine, &keys[i]);
            were_right = false;
        }
    }
    return were_right;
}

void engine_lock_keys(struct writer *writer, struct key *keys, size_t count)
{
    if (writer->span_depth > 0) {
        writer->span_depth++;
        return; /* the outermost span has locked what its requests name */
    }
    do {
        for (size_t i = 0; i < count; i++) {
            unsigned shard =
                keyspace_shard_index(&writer->engine->keyspace, keys[i].hash);
            writer->held[shard / 64] |= 1ull << (shard % 64);
        }
        lock_held(writer);
    } while (!name_keys(writer->engine, keys, count) && unlock_held(writer));
    writer->span_depth = 1;
}

void engine_lock_all(struct writer *writer)
{
    if (writer->span_depth++ > 0) {
        return;
    }
    for (unsigned i = 0; i < writer->engine->keyspace.shard_count; i++) {
        writer->held[i / 64] |= 1ull << (i % 64);
    }
    lock_held(writer);
}

void engine_unlock_span(struct writer *writer)
{
    CHECK(writer->span_depth > 0);
    if (--writer->span_depth == 0) {
        unlock_held(writer);
    }
}

/* ---- reading ---- */

void engine_count_lookup(struct writer *writer, bool hit)
{
    counter_add(hit ? &writer->hits : &writer->misses, 1);
}

/* What a shard says of a key that is not there: it may have been until a moment ago. */
static COLD enum memento_status note_read(struct writer *writer, struct shard *shard,
                                          enum memento_status status,
                                          const struct item *item) UNCHECKED_LOCKING
{
    writer_note_read(writer, item->version);
    if (status != MEMENTO_OK) {
        writer_note_read(writer, shard->last_removed);
    }
    return status;
}

enum memento_status engine_get(struct writer *writer, struct shard *shard,
                               const struct key *key, struct bytes *value,
                               struct large **large) UNCHECKED_LOCKING
{
    enum memento_status status;
    if (UNLIKELY(writer->tracks_reads)) {
        struct item item;
        status = engine_find(writer, shard, key, &item);
        if (status == MEMENTO_OK) {
            *value = item.value;
            *large = item.large;
        }
    } else {
        status = shard_find_value(shard, key, writer->now_ms, value, large);
    }
    engine_count_lookup(writer, status == MEMENTO_OK);
    return status;
}

enum memento_status engine_find(struct writer *writer, struct shard *shard,
                                const struct key *key,
                                struct item *item) UNCHECKED_LOCKING
{
    enum memento_status status = shard_find(shard, key, writer->now_ms, item);
    if (UNLIKELY(writer->tracks_reads)) {
        return note_read(writer, shard, status, item);
    }
    return status;
}

/* ---- writing ---- */

enum memento_status engine_value_make(struct bytes bytes, struct engine_value *value)
{
    *value = (struct engine_value){bytes, NULL};
    if (LIKELY(bytes.len <= SHARD_INLINE_MAX)) {
        return MEMENTO_OK;
    }
    value->large = large_create(bytes.len);
    if (value->large == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    memcpy(value->large->bytes, bytes.data, bytes.len);
    value->large->len = bytes.len;
    return MEMENTO_OK;
}

void engine_value_drop(struct engine_value *value)
{
    large_drop(value->large);
    value->large = NULL;
}

/* Every change of one key ends here: it is counted, and those who watch the key are told. What
 * changes many at once (flush, swap, sweep) is in whole.c. */
static inline void changed(struct writer *writer, struct shard *shard,
                           const struct key *key)
{
    counter_add(&writer->changes, 1);
    if (UNLIKELY(!list_is_empty(&shard->watchers))) {
        watch_key_changed(shard, key);
    }
}

/* Staged first: the value may be a view of what it replaces. */
static inline enum memento_status stage_set(struct writer *writer, const struct key *key,
                                            const struct engine_value *value,
                                            int64_t deadline_ms, int64_t created_ms,
                                            uint64_t version)
{
    struct bytes bytes = value->large == NULL
                             ? value->bytes
                             : bytes_of(value->large->bytes, value->large->len);
    enum memento_status status = log_reserve(&writer->log, key->bytes.len, bytes.len);
    if (LIKELY(status == MEMENTO_OK)) {
        bool is_carried = created_ms != ENGINE_CREATED_NOW;
        stage_value(writer,
                    &(struct record){.kind = RECORD_SET,
                                     .flags = is_carried ? RECORD_HAS_CREATED : 0,
                                     .db = key->db,
                                     .version = version,
                                     .deadline_ms = deadline_ms,
                                     .created_ms = created_ms,
                                     .key = key->bytes,
                                     .value = bytes},
                    value->large);
    }
    return status;
}

enum memento_status engine_set(struct writer *writer, struct shard *shard,
                               const struct key *key, struct engine_value *value,
                               int64_t deadline_ms, int64_t created_ms) UNCHECKED_LOCKING
{
    struct shard_value stored = {value->bytes, value->large, deadline_ms, created_ms};
    uint64_t version = shard_next_version(shard, writer->now_ms);
    struct log_mark mark = {0, 0, 0};
    if (writer_is_logged(writer)) {
        mark = log_staged(&writer->log);
        enum memento_status status =
            stage_set(writer, key, value, deadline_ms, created_ms, version);
        if (UNLIKELY(status != MEMENTO_OK)) {
            return status;
        }
    }
    enum memento_status status = shard_put(shard, key, &stored, version, writer->now_ms);
    if (LIKELY(status == MEMENTO_OK)) {
        value->large = NULL;
        changed(writer, shard, key);
    } else if (writer_is_logged(writer)) {
        log_unstage(&writer->log, mark);
    }
    return status;
}

enum memento_status engine_edit(struct writer *writer, struct shard *shard,
                                const struct key *key, size_t len,
                                char **bytes) UNCHECKED_LOCKING
{
    enum memento_status status = stage_reserve(writer, key, len);
    if (LIKELY(status == MEMENTO_OK)) {
        uint64_t version = shard_next_version(shard, writer->now_ms);
        status = shard_edit(shard, key, len, version, writer->now_ms, bytes);
    }
    return status;
}

/* An edit that has changed nothing leaves a newer version in memory than in the log: with the
 * same value it may be lost. */
void engine_edited(struct writer *writer, struct shard *shard, const struct key *key,
                   bool is_changed) UNCHECKED_LOCKING
{
    if (!is_changed) {
        return;
    }
    if (writer_is_logged(writer)) {
        struct item item;
        CHECK(shard_find(shard, key, INT64_MIN, &item) == MEMENTO_OK);
        stage_entry(writer, &item);
    }
    changed(writer, shard, key);
}

enum memento_status engine_set_deadline(struct writer *writer, struct shard *shard,
                                        const struct key *key,
                                        int64_t deadline_ms) UNCHECKED_LOCKING
{
    enum memento_status status = stage_reserve(writer, key, 0);
    if (UNLIKELY(status != MEMENTO_OK)) {
        return status;
    }
    uint64_t version = shard_next_version(shard, writer->now_ms);
    status = shard_set_deadline(shard, key, deadline_ms, version, writer->now_ms);
    if (status == MEMENTO_OK) {
        stage(writer, &(struct record){.kind = RECORD_TOUCH,
                                       .db = key->db,
                                       .version = version,
                                       .deadline_ms = deadline_ms,
                                       .key = key->bytes});
        changed(writer, shard, key);
    }
    return status;
}

enum memento_status engine_delete(struct writer *writer, struct shard *shard,
                                  const struct key *key) UNCHECKED_LOCKING
{
    enum memento_status status = stage_reserve(writer, key, 0);
    if (UNLIKELY(status != MEMENTO_OK)) {
        return status;
    }
    status = shard_remove(shard, key, writer->now_ms);
    if (status == MEMENTO_OK) {
        uint64_t version = shard_next_version(shard, writer->now_ms);
        shard_note_removal(shard, version);
        stage(writer, &(struct record){.kind = RECORD_DELETE,
                                       .db = key->db,
                                       .version = version,
                                       .deadline_ms = RECORD_NO_DEADLINE,
                                       .key = key->bytes});
        changed(writer, shard, key);
    }
    return status;
}
