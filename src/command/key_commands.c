/* key_commands.c - keys, whatever their value: delete, count, rename, copy, flush. */
#include "base/number.h"
#include "command/call_keys.h"
#include "command/database.h"
#include "command/handlers.h"

/* ---- the same for every key of a request, all at one moment ---- */

/* OK or NOT_FOUND; a failure ends the request. */
typedef enum memento_status key_action(struct writer *writer, struct shard *shard,
                                       struct key *key);

static enum memento_status act(const struct call *call, struct key *key,
                               key_action *action, int64_t *done)
{
    struct shard *shard = engine_lock(call->writer, key);
    enum memento_status status = action(call->writer, shard, key);
    engine_unlock(call->writer, shard);
    *done += status == MEMENTO_OK;
    return status;
}

static enum memento_status act_under_lock(const struct call *call,
                                          const struct call_keys *keys,
                                          key_action *action, int64_t *done)
{
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < keys->count && status >= 0; i++) {
        call_keys_ahead(keys, call, i);
        status = act(call, &keys->keys[i], action, done);
    }
    return status;
}

static void for_each_key(struct call *call, key_action *action)
{
    int64_t done = 0;
    enum memento_status status;
    if (call->count == 2) {
        struct key key = call_key(call, 1);
        status = act(call, &key, action, &done);
    } else {
        struct call_keys keys;
        if (!call_keys_init(&keys, call, 1, 1)) {
            return;
        }
        call_keys_lock(&keys, call);
        status = act_under_lock(call, &keys, action, &done);
        engine_unlock_span(call->writer);
        call_keys_fini(&keys);
    }
    if (status < 0) {
        call_failed(call, status);
    } else {
        reply_integer(call->reply, done);
    }
}

static enum memento_status delete_key(struct writer *writer, struct shard *shard,
                                      struct key *key)
{
    return engine_delete(writer, shard, key);
}

static enum memento_status find_key(struct writer *writer, struct shard *shard,
                                    struct key *key)
{
    struct bytes value;
    struct large *large;
    return engine_get(writer, shard, key, &value, &large);
}

void command_del(struct call *call)
{
    for_each_key(call, delete_key);
}

void command_unlink(struct call *call)
{
    for_each_key(call, delete_key);
}

void command_exists(struct call *call)
{
    for_each_key(call, find_key);
}

void command_touch(struct call *call)
{
    for_each_key(call, find_key);
}

void command_type(struct call *call)
{
    struct key key = call_key(call, 1);
    int64_t found = 0;
    (void)act(call, &key, find_key, &found);
    reply_simple(call->reply, found > 0 ? "string" : "none");
}

/* ---- from one key to another ---- */

static enum memento_status find(struct writer *writer, struct key *key, struct item *item)
{
    struct shard *shard = engine_lock(writer, key);
    enum memento_status status = engine_find(writer, shard, key, item);
    engine_unlock(writer, shard);
    return status;
}

static bool is_taken(struct writer *writer, struct key *key)
{
    struct item item;
    return find(writer, key, &item) == MEMENTO_OK;
}

/* Stores what `item` says under `key`; a value in a block of its own is shared, not
 * copied. The shards of both are held, and the views of `item` are void afterwards. */
static enum memento_status put(struct writer *writer, struct key *key,
                               const struct item *item, int64_t created_ms)
{
    struct engine_value value = {item->value, NULL};
    if (item->large != NULL) {
        value.large = large_take(item->large);
    }
    struct shard *shard = engine_lock(writer, key);
    enum memento_status status =
        engine_set(writer, shard, key, &value, item->deadline_ms, created_ms);
    engine_unlock(writer, shard);
    engine_value_drop(&value);
    return status;
}

/* The target is written first: without memory for it the source stays as it was. Without memory for
 * the deletion both are there, and the answer is that failure. */
static enum memento_status put_and_delete(struct writer *writer, struct key *from,
                                          struct key *to, const struct item *item)
{
    enum memento_status status = put(writer, to, item, item->created_ms);
    if (status == MEMENTO_OK) {
        struct shard *shard = engine_lock(writer, from);
        status = engine_delete(writer, shard, from);
        engine_unlock(writer, shard);
    }
    return status;
}

static enum memento_status rename_locked(struct writer *writer, struct key *from,
                                         struct key *to, bool only_if_free)
{
    struct item item;
    enum memento_status status = find(writer, from, &item);
    if (status != MEMENTO_OK) {
        return status;
    }
    bool is_same = bytes_equal(from->bytes, to->bytes);
    if (only_if_free && (is_same || is_taken(writer, to))) {
        return MEMENTO_EXISTS;
    }
    return is_same ? MEMENTO_OK : put_and_delete(writer, from, to, &item);
}

static enum memento_status rename_key(struct call *call, bool only_if_free)
{
    struct key keys[2] = {call_key(call, 1), call_key(call, 2)};
    engine_lock_keys(call->writer, keys, 2);
    enum memento_status status =
        rename_locked(call->writer, &keys[0], &keys[1], only_if_free);
    engine_unlock_span(call->writer);
    return status;
}

static void reply_renamed(struct call *call, enum memento_status status, bool as_integer)
{
    if (status == MEMENTO_NOT_FOUND) {
        reply_error(call->reply, "ERR no such key");
    } else if (status < 0) {
        call_failed(call, status);
    } else if (as_integer) {
        reply_integer(call->reply, status == MEMENTO_OK);
    } else {
        reply_ok(call->reply);
    }
}

void command_rename(struct call *call)
{
    reply_renamed(call, rename_key(call, false), false);
}

void command_renamenx(struct call *call)
{
    reply_renamed(call, rename_key(call, true), true);
}

struct copy {
    unsigned database;
    bool replace;
};

static bool parse_copy(struct call *call, struct copy *copy)
{
    *copy = (struct copy){.database = call->session->database};
    for (size_t at = 3; at < call->count; at++) {
        if (call_is(call, at, "REPLACE")) {
            copy->replace = true;
        } else if (call_is(call, at, "DB") && at + 1 < call->count) {
            at++;
            if (!database_parse(call, at, &copy->database)) {
                return false;
            }
        } else {
            call_syntax_error(call);
            return false;
        }
    }
    return true;
}

static void reply_same_object(struct call *call)
{
    reply_error(call->reply, "ERR source and destination objects are the same");
}

/* 1 when the key is at its new place, 0 when there was none or the place was taken. */
static void reply_placed(struct call *call, enum memento_status status)
{
    if (status < 0) {
        call_failed(call, status);
    } else {
        reply_integer(call->reply, status == MEMENTO_OK);
    }
}

void command_copy(struct call *call)
{
    struct copy copy;
    if (!parse_copy(call, &copy)) {
        return;
    }
    if (copy.database == call->session->database &&
        bytes_equal(call->args[1], call->args[2])) {
        reply_same_object(call);
        return;
    }
    struct writer *writer = call->writer;
    struct key keys[2] = {call_key(call, 1), database_key(call, 2, copy.database)};
    struct item item;
    engine_lock_keys(writer, keys, 2);
    enum memento_status status = find(writer, &keys[0], &item);
    engine_count_lookup(writer, status == MEMENTO_OK);
    if (status == MEMENTO_OK && !copy.replace && is_taken(writer, &keys[1])) {
        status = MEMENTO_EXISTS;
    }
    if (status == MEMENTO_OK) {
        status = put(writer, &keys[1], &item, ENGINE_CREATED_NOW);
    }
    engine_unlock_span(writer);
    reply_placed(call, status);
}

void command_move(struct call *call)
{
    unsigned database;
    if (!database_parse(call, 2, &database)) {
        return;
    }
    if (database == call->session->database) {
        reply_same_object(call);
        return;
    }
    struct writer *writer = call->writer;
    struct key keys[2] = {call_key(call, 1), database_key(call, 1, database)};
    struct item item;
    engine_lock_keys(writer, keys, 2);
    enum memento_status status = find(writer, &keys[0], &item);
    if (status == MEMENTO_OK && is_taken(writer, &keys[1])) {
        status = MEMENTO_EXISTS;
    }
    if (status == MEMENTO_OK) {
        status = put_and_delete(writer, &keys[0], &keys[1], &item);
    }
    engine_unlock_span(writer);
    reply_placed(call, status);
}

/* ---- databases ---- */

void command_randomkey(struct call *call)
{
    struct buf name;
    buf_init(&name);
    enum memento_status status =
        engine_random_key(call->writer, call->session->database, &name);
    if (status == MEMENTO_OK) {
        reply_value(call->reply, buf_bytes(&name));
    } else if (status == MEMENTO_NOT_FOUND) {
        reply_null(call->reply);
    } else {
        call_failed(call, status);
    }
    buf_fini(&name);
}

void command_dbsize(struct call *call)
{
    engine_note_read_all(call->writer);
    reply_integer(call->reply,
                  (int64_t)engine_count(call->writer->engine, call->session->database));
}

static void flush(struct call *call, int database)
{
    bool is_plain = call->count == 1;
    bool has_mode =
        call->count == 2 && (call_is(call, 1, "SYNC") || call_is(call, 1, "ASYNC"));
    if (!is_plain && !has_mode) {
        call_syntax_error(call);
        return;
    }
    call_answer(call, engine_flush(call->writer, database));
}

void command_flushall(struct call *call)
{
    flush(call, -1);
}

void command_flushdb(struct call *call)
{
    flush(call, call->session->database);
}

/* SWAPDB says which of its two numbers is none. */
static bool parse_swapped(struct call *call, size_t at, const char *error, int64_t *index)
{
    if (!number_parse_int64(call->args[at], index) || !database_is_int(*index)) {
        reply_error(call->reply, error);
        return false;
    }
    return true;
}

void command_swapdb(struct call *call)
{
    int64_t a, b;
    if (!parse_swapped(call, 1, "ERR invalid first DB index", &a) ||
        !parse_swapped(call, 2, "ERR invalid second DB index", &b)) {
        return;
    }
    if (!database_exists(a) || !database_exists(b)) {
        reply_error(call->reply, "ERR DB index is out of range");
        return;
    }
    call_answer(call, engine_swap_databases(call->writer, (unsigned)a, (unsigned)b));
}
