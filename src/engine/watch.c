/* watch.c - WATCH; see watch.h. */
#include "engine/watch.h"

#include "base/heap.h"

struct key engine_watch_key(const struct watch *watch)
{
    return (struct key){
        watch->bytes, atomic_load_explicit(&watch->hash, memory_order_relaxed),
        atomic_load_explicit(&watch->db, memory_order_relaxed), watch->database};
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

struct watch *engine_watch(struct writer *writer, const struct key *key) UNCHECKED_LOCKING
{
    struct watch *watch = watch_create(key->bytes);
    if (watch == NULL) {
        return NULL;
    }
    struct key named = *key;
    struct item item;
    struct shard *shard = engine_lock(writer, &named);
    watch->database = named.database;
    atomic_init(&watch->hash, named.hash);
    atomic_init(&watch->db, named.db);
    watch->was_there = engine_find(writer, shard, &named, &item) == MEMENTO_OK;
    list_append(&shard->watchers, &watch->of_shard);
    engine_unlock(writer, shard);
    return watch;
}

void engine_unwatch(struct writer *writer, struct watch *watch)
{
    struct key key = engine_watch_key(watch);
    struct shard *shard = engine_lock(writer, &key);
    list_remove(&watch->of_shard);
    engine_unlock(writer, shard);
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
    return (struct key){key.bytes, key_hash_in_db(bytes_hash, db), db, key.database};
}

static bool is_there(struct writer *writer, const struct key *key) UNCHECKED_LOCKING
{
    struct item item;
    struct shard *shard = keyspace_shard(&writer->engine->keyspace, key->hash);
    return engine_find(writer, shard, key, &item) == MEMENTO_OK;
}

/* Takes the watches of the two databases out of one shard; those of keys that are in either of
 * the databases break. */
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
