/* keys.c - calls on one key, and on all of them; see memento.h. */
#include "base/heap.h"
#include "base/number.h"
#include "embed/handle.h"

#include <string.h>

/* ---- what callers give ---- */

enum memento_status check_sizes(size_t key_size, size_t value_size)
{
    return key_size > MEMENTO_KEY_BYTES_MAX || value_size > MEMENTO_VALUE_BYTES_MAX
               ? MEMENTO_ERR_TOO_LARGE
               : MEMENTO_OK;
}

enum memento_status deadline_of(int64_t now_ms, int64_t ttl_ms, int64_t *deadline_ms)
{
    if (ttl_ms == MEMENTO_FOREVER) {
        *deadline_ms = ENTRY_NO_DEADLINE;
        return MEMENTO_OK;
    }
    if (ttl_ms < 0 || ttl_ms >= ENTRY_NO_DEADLINE - now_ms) {
        return MEMENTO_ERR_INVALID;
    }
    *deadline_ms = now_ms + ttl_ms;
    return MEMENTO_OK;
}

int64_t ttl_of(int64_t now_ms, int64_t deadline_ms)
{
    if (deadline_ms == ENTRY_NO_DEADLINE) {
        return MEMENTO_FOREVER;
    }
    return deadline_ms > now_ms ? deadline_ms - now_ms : 1;
}

/* ---- one key in a turn ---- */

struct spot {
    struct seat *seat;
    struct writer *writer;
    struct key key;
    struct shard *shard; /* locked */
};

static void spot_lock(struct memento *handle, struct seat *seat, const void *key,
                      size_t key_size, struct spot *spot)
{
    spot->seat = seat;
    spot->writer = &seat->writer;
    spot->key = key_of(handle, key, key_size);
    spot->shard = engine_lock(spot->writer, &spot->key);
}

static enum memento_status spot_to_read(struct memento *handle, const void *key,
                                        size_t key_size, struct spot *spot)
{
    struct seat *seat;
    enum memento_status status = check_sizes(key_size, 0);
    if (status == MEMENTO_OK) {
        status = turn_begin(handle, &seat);
    }
    if (status == MEMENTO_OK) {
        spot_lock(handle, seat, key, key_size, spot);
    }
    return status;
}

static enum memento_status spot_to_change(struct memento *handle, bool is_deletion,
                                          const void *key, size_t key_size,
                                          struct spot *spot)
{
    struct seat *seat;
    enum memento_status status = check_sizes(key_size, 0);
    if (status == MEMENTO_OK) {
        status = turn_begin_change(handle, is_deletion, &seat);
    }
    if (status == MEMENTO_OK) {
        spot_lock(handle, seat, key, key_size, spot);
    }
    return status;
}

static enum memento_status spot_end(struct spot *spot, enum memento_status status)
{
    engine_unlock(spot->writer, spot->shard);
    return turn_end(spot->seat, status);
}

/* ---- reading ---- */

/* The value as it was under the lock: a large one by reference, a small one copied. */
struct found {
    struct bytes bytes;
    struct large *large; /* one reference is ours, or NULL: the bytes are in `copy` */
    char copy[SHARD_INLINE_MAX];
};

static enum memento_status find_value(struct memento *handle, const void *key,
                                      size_t key_size, struct found *found)
{
    struct spot spot;
    enum memento_status status = spot_to_read(handle, key, key_size, &spot);
    if (status != MEMENTO_OK) {
        return status;
    }
    struct bytes value;
    struct large *large;
    status = engine_get(spot.writer, spot.shard, &spot.key, &value, &large);
    found->large = NULL;
    if (status == MEMENTO_OK && large != NULL) {
        found->large = large_take(large);
        found->bytes = value;
    } else if (status == MEMENTO_OK) {
        memcpy(found->copy, value.data, value.len);
        found->bytes = bytes_of(found->copy, value.len);
    }
    status = spot_end(&spot, status);
    if (status != MEMENTO_OK) {
        large_drop(found->large);
    }
    return status;
}

enum memento_status memento_get(struct memento *handle, const void *key, size_t key_size,
                                struct memento_value *value)
{
    *value = (struct memento_value){NULL, 0, NULL};
    struct found found;
    enum memento_status status = find_value(handle, key, key_size, &found);
    if (status != MEMENTO_OK) {
        return status;
    }
    /* A block that somebody refers to is never changed: it need not be copied. */
    const void *data = found.large != NULL ? found.bytes.data
                                           : heap_copy(found.bytes.data, found.bytes.len);
    if (data == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    *value = (struct memento_value){data, found.bytes.len, found.large};
    return MEMENTO_OK;
}

void memento_value_free(struct memento_value *value)
{
    if (value->internal != NULL) {
        large_drop(value->internal);
    } else {
        heap_free((void *)(uintptr_t)value->data);
    }
    *value = (struct memento_value){NULL, 0, NULL};
}

enum memento_status memento_read(struct memento *handle, const void *key, size_t key_size,
                                 void *buffer, size_t buffer_size, size_t *value_size)
{
    struct found found;
    enum memento_status status = find_value(handle, key, key_size, &found);
    *value_size = status == MEMENTO_OK ? found.bytes.len : 0;
    if (status != MEMENTO_OK) {
        return status;
    }
    if (found.bytes.len > buffer_size) {
        status = MEMENTO_ERR_TOO_LARGE;
    } else if (found.bytes.len > 0) {
        memcpy(buffer, found.bytes.data, found.bytes.len);
    }
    large_drop(found.large);
    return status;
}

static enum memento_status find_item(struct memento *handle, const void *key,
                                     size_t key_size, int64_t *ttl_ms)
{
    struct spot spot;
    enum memento_status status = spot_to_read(handle, key, key_size, &spot);
    if (status != MEMENTO_OK) {
        return status;
    }
    struct item item;
    status = engine_find(spot.writer, spot.shard, &spot.key, &item);
    if (status == MEMENTO_OK) {
        *ttl_ms = ttl_of(spot.writer->now_ms, item.deadline_ms);
    }
    return spot_end(&spot, status);
}

enum memento_status memento_exists(struct memento *handle, const void *key,
                                   size_t key_size)
{
    int64_t ttl_ms;
    return find_item(handle, key, key_size, &ttl_ms);
}

enum memento_status memento_ttl(struct memento *handle, const void *key, size_t key_size,
                                int64_t *ttl_ms)
{
    *ttl_ms = MEMENTO_FOREVER;
    return find_item(handle, key, key_size, ttl_ms);
}

uint64_t memento_count(struct memento *handle)
{
    return engine_count(&handle->engine, 0);
}

/* ---- setting ---- */

static enum memento_status check_condition(enum memento_condition condition, bool exists)
{
    if (condition == MEMENTO_IF_ABSENT && exists) {
        return MEMENTO_EXISTS;
    }
    return condition == MEMENTO_IF_PRESENT && !exists ? MEMENTO_NOT_FOUND : MEMENTO_OK;
}

static enum memento_status set_in_turn(struct spot *spot,
                                       enum memento_condition condition,
                                       struct engine_value *value, int64_t ttl_ms)
{
    int64_t deadline_ms = ENTRY_NO_DEADLINE;
    enum memento_status status = MEMENTO_OK;
    if (ttl_ms != MEMENTO_KEEP_TTL) {
        status = deadline_of(spot->writer->now_ms, ttl_ms, &deadline_ms);
    }
    if (status == MEMENTO_OK &&
        (condition != MEMENTO_IF_ANY || ttl_ms == MEMENTO_KEEP_TTL)) {
        struct item item;
        bool exists =
            engine_find(spot->writer, spot->shard, &spot->key, &item) == MEMENTO_OK;
        deadline_ms =
            exists && ttl_ms == MEMENTO_KEEP_TTL ? item.deadline_ms : deadline_ms;
        status = check_condition(condition, exists);
    }
    if (status == MEMENTO_OK) {
        status = engine_set(spot->writer, spot->shard, &spot->key, value, deadline_ms,
                            ENGINE_CREATED_NOW);
    }
    return status;
}

enum memento_status memento_set_if(struct memento *handle,
                                   enum memento_condition condition, const void *key,
                                   size_t key_size, const void *value, size_t value_size,
                                   int64_t ttl_ms)
{
    if (condition != MEMENTO_IF_ANY && condition != MEMENTO_IF_ABSENT &&
        condition != MEMENTO_IF_PRESENT) {
        return MEMENTO_ERR_INVALID;
    }
    enum memento_status status = check_sizes(key_size, value_size);
    struct engine_value made = {bytes_of(NULL, 0), NULL};
    if (status == MEMENTO_OK) {
        status = engine_value_make(given(value, value_size), &made);
    }
    struct spot spot;
    if (status == MEMENTO_OK) {
        status = spot_to_change(handle, false, key, key_size, &spot);
        if (status == MEMENTO_OK) {
            status = spot_end(&spot, set_in_turn(&spot, condition, &made, ttl_ms));
        }
    }
    engine_value_drop(&made);
    return status;
}

enum memento_status memento_set(struct memento *handle, const void *key, size_t key_size,
                                const void *value, size_t value_size)
{
    return memento_set_if(handle, MEMENTO_IF_ANY, key, key_size, value, value_size,
                          MEMENTO_FOREVER);
}

/* ---- other changes ---- */

enum memento_status memento_delete(struct memento *handle, const void *key,
                                   size_t key_size)
{
    struct spot spot;
    enum memento_status status = spot_to_change(handle, true, key, key_size, &spot);
    if (status != MEMENTO_OK) {
        return status;
    }
    status = engine_delete(spot.writer, spot.shard, &spot.key);
    if (status == MEMENTO_NOT_FOUND) {
        /* It may have been deleted by somebody whose change is not durable yet. */
        struct item item;
        status = engine_find(spot.writer, spot.shard, &spot.key, &item);
    }
    return spot_end(&spot, status);
}

enum memento_status memento_expire(struct memento *handle, const void *key,
                                   size_t key_size, int64_t ttl_ms)
{
    struct spot spot;
    enum memento_status status = spot_to_change(handle, false, key, key_size, &spot);
    if (status != MEMENTO_OK) {
        return status;
    }
    int64_t deadline_ms;
    status = deadline_of(spot.writer->now_ms, ttl_ms, &deadline_ms);
    struct item item;
    if (status == MEMENTO_OK) {
        status = engine_find(spot.writer, spot.shard, &spot.key, &item);
    }
    if (status == MEMENTO_OK) {
        status = engine_set_deadline(spot.writer, spot.shard, &spot.key, deadline_ms);
    }
    return spot_end(&spot, status);
}

/* The value of a key that was absent. */
static enum memento_status set_fresh(struct spot *spot, struct bytes bytes)
{
    struct engine_value value;
    enum memento_status status = engine_value_make(bytes, &value);
    if (status == MEMENTO_OK) {
        status = engine_set(spot->writer, spot->shard, &spot->key, &value,
                            ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
        engine_value_drop(&value);
    }
    return status;
}

/* Writes `bytes` at `at`, and the value ends behind them; its deadline stays. */
static enum memento_status write_end(struct spot *spot, size_t at, struct bytes bytes)
{
    char *stored;
    enum memento_status status =
        engine_edit(spot->writer, spot->shard, &spot->key, at + bytes.len, &stored);
    if (status == MEMENTO_OK) {
        if (bytes.len > 0) {
            memcpy(stored + at, bytes.data, bytes.len);
        }
        engine_edited(spot->writer, spot->shard, &spot->key, true);
    }
    return status;
}

static enum memento_status increment_in_turn(struct spot *spot, int64_t quantity,
                                             int64_t *sum)
{
    struct item item;
    bool exists = engine_find(spot->writer, spot->shard, &spot->key, &item) == MEMENTO_OK;
    int64_t number = 0;
    if ((exists && !number_parse_int64(item.value, &number)) ||
        __builtin_add_overflow(number, quantity, sum)) {
        return MEMENTO_ERR_INVALID;
    }
    char text[NUMBER_SHORT_MAX];
    struct bytes bytes = bytes_of(text, number_format_int64(text, *sum));
    return exists ? write_end(spot, 0, bytes) : set_fresh(spot, bytes);
}

enum memento_status memento_increment(struct memento *handle, const void *key,
                                      size_t key_size, int64_t quantity, int64_t *result)
{
    struct spot spot;
    enum memento_status status = spot_to_change(handle, false, key, key_size, &spot);
    if (status != MEMENTO_OK) {
        return status;
    }
    int64_t sum = 0;
    status = spot_end(&spot, increment_in_turn(&spot, quantity, &sum));
    if (status == MEMENTO_OK && result != NULL) {
        *result = sum;
    }
    return status;
}

static enum memento_status append_in_turn(struct spot *spot, struct bytes bytes,
                                          size_t *value_size)
{
    struct item item;
    bool exists = engine_find(spot->writer, spot->shard, &spot->key, &item) == MEMENTO_OK;
    size_t at = exists ? item.value.len : 0;
    enum memento_status status = check_sizes(0, at + bytes.len);
    *value_size = at + bytes.len;
    if (status != MEMENTO_OK || (exists && bytes.len == 0)) {
        return status;
    }
    return exists ? write_end(spot, at, bytes) : set_fresh(spot, bytes);
}

enum memento_status memento_append(struct memento *handle, const void *key,
                                   size_t key_size, const void *data, size_t data_size,
                                   size_t *value_size)
{
    enum memento_status status = check_sizes(key_size, data_size);
    struct spot spot;
    if (status == MEMENTO_OK) {
        status = spot_to_change(handle, false, key, key_size, &spot);
    }
    if (status != MEMENTO_OK) {
        return status;
    }
    size_t size;
    status = spot_end(&spot, append_in_turn(&spot, given(data, data_size), &size));
    if (status == MEMENTO_OK && value_size != NULL) {
        *value_size = size;
    }
    return status;
}

enum memento_status memento_clear(struct memento *handle)
{
    struct seat *seat;
    enum memento_status status = turn_begin_change(handle, true, &seat);
    return status == MEMENTO_OK ? turn_end(seat, engine_flush(&seat->writer, 0)) : status;
}
