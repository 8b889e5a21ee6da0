/* watch.c - WATCH; see watch.h. */
#include "engine/watch.h"

#include "base/heap.h"

struct key engine_watch_key(const struct watch *watch)
{
    return (struct key){watch->bytes,
                        atomic_load_explicit(&watch->hash, memory_order_relaxed),
                        atomic_load_explicit(&watch->db, memory_order_relaxed)};
}

static struct watch *watch_create(struct bytes bytes)
{
    struct watch *watch = heap_alloc(sizeof(*watch) + bytes.len);
    if (watch != NULL) {
        char *copy = (char *)(watch + 1);
        if (bytes.len > 0) {
            memcpy(copy, bytes.data, bytes.len);
        }
        watch->bytes = bytes_of(copy, bytes.len);
        list_init(&watch->of_client);
        atomic_init(&watch->changed, false);
    }
    return watch;
}

/* Locks the key's shard, naming the key anew when SWAPDB came in between. */
static struct shard *lock_in_database(struct writer *writer, struct bytes bytes,
                                      uint64_t bytes_hash, unsigned database,
                                      struct key *key)
{
    for (;;) {
        *key = engine_key(writer->engine, bytes, bytes_hash, database);
        struct shard *shard = engine_lock(writer, key);
        if (engine_key(writer->engine, bytes, bytes_hash, database).db == key->db) {
            return shard;
        }
        engine_unlock(writer, shard);
    }
}

struct watch *engine_watch(struct writer *writer, struct bytes bytes, uint64_t bytes_hash,
                           unsigned database) UNCHECKED_LOCKING
{
    struct watch *watch = watch_create(bytes);
    if (watch == NULL) {
        return NULL;
    }
    struct key key;
    struct item item;
    struct shard *shard =
        lock_in_database(writer, watch->bytes, bytes_hash, database, &key);
    atomic_init(&watch->hash, key.hash);
    atomic_init(&watch->db, key.db);
    watch->was_there = engine_find(writer, shard, &key, &item) == MEMENTO_OK;
    list_append(&shard->watchers, &watch->of_shard);
    engine_unlock(writer, shard);
    return watch;
}

void engine_unwatch(struct writer *writer, struct watch *watch)
{
    for (;;) {
        struct key key = engine_watch_key(watch);
        struct shard *shard = engine_lock(writer, &key);
        bool is_here = engine_watch_key(watch).hash == key.hash;
        if (is_here) {
            list_remove(&watch->of_shard);
        }
        engine_unlock(writer, shard);
        if (is_here) {
            break;
        }
    }
    heap_free(watch);
}

bool engine_watch_is_broken(struct writer *writer, struct watch *watch)
{
    if (atomic_load_explicit(&watch->changed, memory_order_relaxed)) {
        return true;
    }
    /* A key that has expired since counts as changed, though nobody may have removed it yet. */
    struct item item;
    struct key key = engine_watch_key(watch);
    struct shard *shard = keyspace_shard(&writer->engine->keyspace, key.hash);
    return watch->was_there &&
           engine_find(writer, shard, &key, &item) == MEMENTO_NOT_FOUND;
}

static void watch_break(struct watch *watch)
{
    atomic_store_explicit(&watch->changed, true, memory_order_relaxed);
}

void watch_key_changed(struct shard *shard, const struct key *key)
{
    LIST_EACH (node, next, &shard->watchers) {
        struct watch *watch = CONTAINER_OF(node, struct watch, of_shard);
        struct key watched = engine_watch_key(watch);
        if (watched.hash == key->hash && watched.db == key->db &&
            bytes_equal(watched.bytes, key->bytes)) {
            watch_break(watch);
        }
    }
}

void watch_database_flushed(struct writer *writer, struct shard *shard, int db)
{
    LIST_EACH (node, next, &shard->watchers) {
        struct watch *watch = CONTAINER_OF(node, struct watch, of_shard);
        struct key key = engine_watch_key(watch);
        struct item item;
        if ((db < 0 || key.db == db) &&
            engine_find(writer, shard, &key, &item) == MEMENTO_OK) {
            watch_break(watch);
        }
    }
}

/* ---- SWAPDB ---- */

static struct key key_in_database(struct key key, uint8_t db)
{
    uint64_t bytes_hash = key_hash_in_db(key.hash, key.db); /* the mixing undoes itself */
    return (struct key){key.bytes, key_hash_in_db(bytes_hash, db), db};
}

static bool is_there(struct writer *writer, const struct key *key) UNCHECKED_LOCKING
{
    struct item item;
    struct shard *shard = keyspace_shard(&writer->engine->keyspace, key->hash);
    return engine_find(writer, shard, key, &item) == MEMENTO_OK;
}

/* Breaks the watches of the two databases in one shard, or takes them out into `moved`. */
static void take_watches(struct writer *writer, struct shard *shard, uint8_t a, uint8_t b,
                         struct list *moved)
{
    LIST_EACH (node, next, &shard->watchers) {
        struct watch *watch = CONTAINER_OF(node, struct watch, of_shard);
        struct key key = engine_watch_key(watch);
        if (key.db != a && key.db != b) {
            continue;
        }
        struct key other = key_in_database(key, key.db == a ? b : a);
        if (is_there(writer, &key) || is_there(writer, &other)) {
            watch_break(watch);
            continue;
        }
        list_remove(node);
        list_append(moved, node);
        atomic_store_explicit(&watch->hash, other.hash, memory_order_relaxed);
        atomic_store_explicit(&watch->db, other.db, memory_order_relaxed);
    }
}

void watch_databases_swapped(struct writer *writer, uint8_t a,
                             uint8_t b) UNCHECKED_LOCKING
{
    struct keyspace *keyspace = &writer->engine->keyspace;
    struct list moved;
    list_init(&moved);
    for (unsigned i = 0; i < keyspace->shard_count; i++) {
        take_watches(writer, &keyspace->shards[i], a, b, &moved);
    }
    LIST_EACH (node, next, &moved) {
        struct watch *watch = CONTAINER_OF(node, struct watch, of_shard);
        struct shard *shard = keyspace_shard(keyspace, engine_watch_key(watch).hash);
        list_remove(node);
        list_append(&shard->watchers, node);
    }
}
