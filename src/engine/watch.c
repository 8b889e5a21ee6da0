/* watch.c - WATCH; see watch.h. */
#include "engine/watch.h"

#include "base/heap.h"

/* The head of a shard's list; it exists only while somebody watches. */
struct watch_list {
    struct list watches;
};

struct watch *engine_watch(struct writer *writer, const struct key *key) UNCHECKED_LOCKING
{
    struct watch *watch = heap_alloc(sizeof(*watch) + key->bytes.len);
    if (watch == NULL) {
        return NULL;
    }
    char *bytes = (char *)(watch + 1);
    if (key->bytes.len > 0) {
        memcpy(bytes, key->bytes.data, key->bytes.len);
    }
    watch->key = *key;
    watch->key.bytes.data = bytes;
    list_init(&watch->of_client);
    atomic_init(&watch->changed, false);

    struct shard *shard = engine_lock(writer, key);
    struct watch_list *list = shard->watchers;
    if (list == NULL) {
        list = heap_alloc(sizeof(*list));
        if (list != NULL) {
            list_init(&list->watches);
            shard->watchers = list;
        }
    }
    if (list != NULL) {
        struct item item;
        watch->was_there = engine_find(writer, shard, key, &item) == MEMENTO_OK;
        list_append(&list->watches, &watch->of_shard);
    }
    engine_unlock(writer, shard);
    if (list == NULL) {
        heap_free(watch);
        return NULL;
    }
    return watch;
}

void engine_unwatch(struct writer *writer, struct watch *watch)
{
    struct shard *shard = engine_lock(writer, &watch->key);
    list_remove(&watch->of_shard);
    struct watch_list *list = shard->watchers;
    if (list_is_empty(&list->watches)) {
        heap_free(list);
        shard->watchers = NULL;
    }
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
    struct shard *shard = keyspace_shard(&writer->engine->keyspace, watch->key.hash);
    return watch->was_there &&
           engine_find(writer, shard, &watch->key, &item) == MEMENTO_NOT_FOUND;
}

void watch_key_changed(struct shard *shard, const struct key *key)
{
    struct watch_list *list = shard->watchers;
    LIST_EACH(node, next, &list->watches)
    {
        struct watch *watch = CONTAINER_OF(node, struct watch, of_shard);
        if (watch->key.hash == key->hash && watch->key.db == key->db &&
            bytes_equal(watch->key.bytes, key->bytes)) {
            atomic_store_explicit(&watch->changed, true, memory_order_relaxed);
        }
    }
}

void watch_database_flushed(struct writer *writer, struct shard *shard, int db)
{
    struct watch_list *list = shard->watchers;
    if (list == NULL) {
        return;
    }
    LIST_EACH(node, next, &list->watches)
    {
        struct watch *watch = CONTAINER_OF(node, struct watch, of_shard);
        struct item item;
        if ((db < 0 || watch->key.db == db) &&
            engine_find(writer, shard, &watch->key, &item) == MEMENTO_OK) {
            atomic_store_explicit(&watch->changed, true, memory_order_relaxed);
        }
    }
}

void watch_database_swapped(struct shard *shard, int db)
{
    struct watch_list *list = shard->watchers;
    if (list == NULL) {
        return;
    }
    LIST_EACH(node, next, &list->watches)
    {
        struct watch *watch = CONTAINER_OF(node, struct watch, of_shard);
        if (watch->key.db == db) {
            atomic_store_explicit(&watch->changed, true, memory_order_relaxed);
        }
    }
}
