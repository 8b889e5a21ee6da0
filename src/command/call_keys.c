#include "command/call_keys.h"

#include "base/heap.h"

/* Keys whose cache lines are in flight at a time: what a core can wait for at once. */
#define AHEAD 16

bool call_keys_init(struct call_keys *keys, const struct call *call, size_t first,
                    size_t step)
{
    keys->count = (call->count - first + step - 1) / step;
    keys->keys = keys->few;
    if (keys->count > CALL_KEYS_FEW) {
        keys->keys = heap_alloc(keys->count * sizeof(keys->keys[0]));
        if (keys->keys == NULL) {
            call_failed(call, MEMENTO_ERR_NO_MEMORY);
            return false;
        }
    }
    for (size_t i = 0; i < keys->count; i++) {
        keys->keys[i] = call_key(call, first + i * step);
    }
    return true;
}

void call_keys_fini(struct call_keys *keys)
{
    if (keys->keys != keys->few) {
        heap_free(keys->keys);
    }
}

void call_keys_lock(struct call_keys *keys, const struct call *call)
{
    engine_lock_keys(call->writer, keys->keys, keys->count);
}

void call_keys_ahead(const struct call_keys *keys, const struct call *call, size_t at)
{
    if (at % AHEAD != 0) {
        return;
    }
    uint64_t hashes[AHEAD];
    size_t count = keys->count - at < AHEAD ? keys->count - at : AHEAD;
    for (size_t i = 0; i < count; i++) {
        hashes[i] = keys->keys[at + i].hash;
    }
    keyspace_prefetch(&call->writer->engine->keyspace, hashes, count);
}
