/* string_commands.c - reading values, whole or in parts, and lengthening them; several
 * keys at a time. SET and its kin are in set_commands.c. */
#include "base/heap.h"
#include "command/call.h"
#include "command/call_keys.h"
#include "command/handlers.h"
#include "command/value.h"

#include <string.h>

/* ---- one key ---- */

void command_get(struct call *call)
{
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct bytes value;
    struct large *large;
    if (LIKELY(engine_get(call->writer, shard, &key, &value, &large) == MEMENTO_OK)) {
        call_reply_found(call, value, large);
    } else {
        reply_null(call->reply);
    }
    engine_unlock(call->writer, shard);
}

void command_getdel(struct call *call)
{
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct bytes value;
    struct large *large;
    enum memento_status status = engine_get(call->writer, shard, &key, &value, &large);
    if (status == MEMENTO_OK) {
        struct kept kept;
        kept_take(&kept, value, large);
        status = engine_delete(call->writer, shard, &key);
        if (status == MEMENTO_OK) {
            kept_reply(call, &kept);
        } else {
            kept_drop(&kept);
            call_failed(call, status);
        }
    } else {
        reply_null(call->reply);
    }
    engine_unlock(call->writer, shard);
}

void command_strlen(struct call *call)
{
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct bytes value = {NULL, 0};
    struct large *large;
    if (engine_get(call->writer, shard, &key, &value, &large) != MEMENTO_OK) {
        value.len = 0;
    }
    engine_unlock(call->writer, shard);
    reply_integer(call->reply, (int64_t)value.len);
}

/* The part of `value` from `start` to `end`, both inclusive; negative ones count from its
 * end. */
static struct bytes value_part(struct bytes value, int64_t start, int64_t end)
{
    int64_t len = (int64_t)value.len;
    if (start < 0) {
        start = start < -len ? 0 : start + len;
    }
    if (end < 0) {
        end = end < -len ? 0 : end + len;
    }
    if (end >= len) {
        end = len - 1;
    }
    if (start > end) {
        return bytes_of(NULL, 0);
    }
    return bytes_of(value.data + start, (size_t)(end - start) + 1);
}

static void get_range(const struct call *call)
{
    int64_t start, end;
    if (!call_integer(call, 2, &start) || !call_integer(call, 3, &end)) {
        return;
    }
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct bytes value;
    struct large *large;
    if (engine_get(call->writer, shard, &key, &value, &large) != MEMENTO_OK ||
        (start < 0 && end < 0 && start > end)) {
        reply_value(call->reply, BYTES(""));
    } else {
        call_reply_found(call, value_part(value, start, end), large);
    }
    engine_unlock(call->writer, shard);
}

void command_getrange(struct call *call)
{
    get_range(call);
}

void command_substr(struct call *call)
{
    get_range(call);
}

/* ---- a value made longer ---- */

/* The key is absent: stores the words's bytes as they are. */
static enum memento_status create_value(const struct call *call, struct shard *shard,
                                        struct key *key, struct bytes bytes)
{
    struct engine_value value;
    enum memento_status status = engine_value_make(bytes, &value);
    if (status == MEMENTO_OK) {
        status = engine_set(call->writer, shard, key, &value, ENTRY_NO_DEADLINE,
                            ENGINE_CREATED_NOW);
        engine_value_drop(&value);
    }
    return status;
}

static void lengthen(const struct call *call, bool at_front)
{
    struct bytes more = call->args[2];
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct item item;
    size_t len = more.len;
    enum memento_status status = engine_find(call->writer, shard, &key, &item);
    if (status != MEMENTO_OK) {
        status = create_value(call, shard, &key, more);
    } else {
        size_t old_len = item.value.len;
        len += old_len;
        if (!call_value_fits(call, len)) {
            engine_unlock(call->writer, shard);
            return;
        }
        char *bytes;
        status = engine_edit(call->writer, shard, &key, len, &bytes);
        if (status == MEMENTO_OK && more.len > 0) {
            if (at_front) {
                memmove(bytes + more.len, bytes, old_len);
            }
            memcpy(at_front ? bytes : bytes + old_len, more.data, more.len);
        }
        if (status == MEMENTO_OK) {
            engine_edited(call->writer, shard, &key, true);
        }
    }
    engine_unlock(call->writer, shard);
    if (status == MEMENTO_OK) {
        reply_integer(call->reply, (int64_t)len);
    } else {
        call_failed(call, status);
    }
}

void command_append(struct call *call)
{
    lengthen(call, false);
}

void command_prepend(struct call *call)
{
    lengthen(call, true);
}

/* Writes args[3] over the bytes from `offset` on. */
static enum memento_status overwrite(const struct call *call, struct shard *shard,
                                     struct key *key, bool exists, size_t old_len,
                                     size_t offset, size_t *len)
{
    struct bytes part = call->args[3];
    *len = offset + part.len > old_len ? offset + part.len : old_len;
    struct draft draft;
    enum memento_status status = draft_open(call, shard, key, exists, *len, &draft);
    if (status == MEMENTO_OK) {
        memcpy(draft.bytes + offset, part.data, part.len);
        status = draft_commit(call, shard, key, &draft);
    }
    return status;
}

void command_setrange(struct call *call)
{
    int64_t offset;
    if (!call_integer(call, 2, &offset)) {
        return;
    }
    if (offset < 0) {
        reply_error(call->reply, "ERR offset is out of range");
        return;
    }
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct item item;
    bool exists = engine_find(call->writer, shard, &key, &item) == MEMENTO_OK;
    size_t old_len = exists ? item.value.len : 0;
    size_t len = old_len;
    enum memento_status status = MEMENTO_OK;
    if (call->args[3].len > 0) { /* nothing to write creates nothing */
        if (!call_value_fits(call, (uint64_t)offset + call->args[3].len)) {
            goto unlock;
        }
        status = overwrite(call, shard, &key, exists, old_len, (size_t)offset, &len);
    }
    if (status == MEMENTO_OK) {
        reply_integer(call->reply, (int64_t)len);
    } else {
        call_failed(call, status);
    }
unlock:
    engine_unlock(call->writer, shard);
}

/* ---- several keys, at one moment ---- */

void command_mget(struct call *call)
{
    struct call_keys keys;
    if (!call_keys_init(&keys, call, 1, 1)) {
        return;
    }
    reply_list(call->reply, keys.count);
    call_keys_lock(&keys, call);
    for (size_t i = 0; i < keys.count; i++) {
        call_keys_ahead(&keys, call, i);
        struct shard *shard = engine_lock(call->writer, &keys.keys[i]);
        struct bytes value;
        struct large *large;
        if (engine_get(call->writer, shard, &keys.keys[i], &value, &large) ==
            MEMENTO_OK) {
            call_reply_found(call, value, large);
        } else {
            reply_null(call->reply);
        }
        engine_unlock(call->writer, shard);
    }
    engine_unlock_span(call->writer);
    call_keys_fini(&keys);
}

/* The keys and values of MSET; every large value is ready before the first lock. */
struct pairs {
    struct call_keys keys;
    struct engine_value *values;
    size_t values_made;
    struct engine_value few[CALL_KEYS_FEW];
};

static void pairs_fini(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->values_made; i++) {
        engine_value_drop(&pairs->values[i]);
    }
    if (pairs->values != pairs->few) {
        heap_free(pairs->values);
    }
    call_keys_fini(&pairs->keys);
}

/* False, and the error is answered. */
static bool pairs_init(struct pairs *pairs, const struct call *call)
{
    if (call->count % 2 == 0) {
        reply_errorf(call->reply, "ERR wrong number of arguments for '%s' command",
                     call->row->name);
        return false;
    }
    if (!call_keys_init(&pairs->keys, call, 1, 2)) {
        return false;
    }
    size_t count = pairs->keys.count;
    pairs->values_made = 0;
    pairs->values = pairs->few;
    if (count > CALL_KEYS_FEW) {
        pairs->values = heap_alloc(count * sizeof(pairs->values[0]));
    }
    enum memento_status status =
        pairs->values != NULL ? MEMENTO_OK : MEMENTO_ERR_NO_MEMORY;
    while (status == MEMENTO_OK && pairs->values_made < count) {
        size_t i = pairs->values_made;
        status = engine_value_make(call->args[2 + 2 * i], &pairs->values[i]);
        pairs->values_made += status == MEMENTO_OK;
    }
    if (status != MEMENTO_OK) {
        pairs_fini(pairs);
        call_failed(call, status);
        return false;
    }
    return true;
}

static bool any_exists(const struct pairs *pairs, const struct call *call)
{
    bool found = false;
    for (size_t i = 0; i < pairs->keys.count && !found; i++) {
        call_keys_ahead(&pairs->keys, call, i);
        struct key *key = &pairs->keys.keys[i];
        struct shard *shard = engine_lock(call->writer, key);
        struct item item;
        found = engine_find(call->writer, shard, key, &item) == MEMENTO_OK;
        engine_unlock(call->writer, shard);
    }
    return found;
}

/* Without memory for all of them, those before stay stored. */
static enum memento_status store_pairs(struct pairs *pairs, const struct call *call,
                                       size_t *stored)
{
    *stored = 0;
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < pairs->keys.count && status == MEMENTO_OK; i++) {
        call_keys_ahead(&pairs->keys, call, i);
        struct key *key = &pairs->keys.keys[i];
        struct shard *shard = engine_lock(call->writer, key);
        status = engine_set(call->writer, shard, key, &pairs->values[i],
                            ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
        engine_unlock(call->writer, shard);
        *stored += status == MEMENTO_OK;
    }
    return status;
}

void command_mset(struct call *call)
{
    struct pairs pairs;
    if (!pairs_init(&pairs, call)) {
        return;
    }
    call_keys_lock(&pairs.keys, call);
    size_t stored;
    enum memento_status status = store_pairs(&pairs, call, &stored);
    engine_unlock_span(call->writer);
    pairs_fini(&pairs);
    if (status == MEMENTO_OK) {
        reply_ok(call->reply);
    } else {
        call_failed(call, status);
    }
}

/* All keys of MSETNX were absent: so they shall be again. What cannot be deleted for want of memory
 * stays; the answer is a failure in any case. */
static void forget_pairs(const struct pairs *pairs, const struct call *call,
                         size_t stored)
{
    for (size_t i = 0; i < stored; i++) {
        struct key *key = &pairs->keys.keys[i];
        struct shard *shard = engine_lock(call->writer, key);
        (void)!engine_delete(call->writer, shard, key);
        engine_unlock(call->writer, shard);
    }
}

/* OK, EXISTS when one of the keys was there, or a failure. */
static enum memento_status store_absent_pairs(struct pairs *pairs,
                                              const struct call *call)
{
    if (any_exists(pairs, call)) {
        return MEMENTO_EXISTS;
    }
    size_t stored;
    enum memento_status status = store_pairs(pairs, call, &stored);
    if (status != MEMENTO_OK) {
        forget_pairs(pairs, call, stored);
    }
    return status;
}

void command_msetnx(struct call *call)
{
    struct pairs pairs;
    if (!pairs_init(&pairs, call)) {
        return;
    }
    call_keys_lock(&pairs.keys, call);
    enum memento_status status = store_absent_pairs(&pairs, call);
    engine_unlock_span(call->writer);
    pairs_fini(&pairs);
    if (status >= 0) {
        reply_integer(call->reply, status == MEMENTO_OK);
    } else {
        call_failed(call, status);
    }
}
