/* expiry_commands.c - when keys end: the EXPIRE and TTL families. */
#include "command/handlers.h"

enum when { IF_NEW = 1, IF_THERE = 2, IF_LATER = 4, IF_EARLIER = 8 };

/* ---- setting a deadline ---- */

/* The option is given back whole, as Redis does: up to a NUL, and within reason. */
#define SHOWN_BYTES_MAX 16384

static void reply_unsupported(struct call *call, struct bytes option)
{
    struct buf error;
    buf_init(&error);
    size_t len = option.len < SHOWN_BYTES_MAX ? option.len : SHOWN_BYTES_MAX;
    buf_append_string(&error, "ERR Unsupported option ");
    buf_append(&error, option.data, len > 0 ? strnlen(option.data, len) : 0);
    reply_error_bytes(call->reply, buf_bytes(&error));
    buf_fini(&error);
}

static bool parse_condition(struct call *call, unsigned *when)
{
    *when = 0;
    for (size_t at = 3; at < call->count; at++) {
        if (call_is(call, at, "NX")) {
            *when |= IF_NEW;
        } else if (call_is(call, at, "XX")) {
            *when |= IF_THERE;
        } else if (call_is(call, at, "GT")) {
            *when |= IF_LATER;
        } else if (call_is(call, at, "LT")) {
            *when |= IF_EARLIER;
        } else {
            reply_unsupported(call, call->args[at]);
            return false;
        }
    }
    if ((*when & IF_NEW) != 0 && *when != IF_NEW) {
        reply_error(call->reply,
                    "ERR NX and XX, GT or LT options at the same time are not "
                    "compatible");
        return false;
    }
    if ((*when & IF_LATER) != 0 && (*when & IF_EARLIER) != 0) {
        reply_error(call->reply,
                    "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* args[2] times `unit_ms`, from `base_ms` on. */
static bool parse_deadline(struct call *call, int64_t unit_ms, int64_t base_ms,
                           int64_t *deadline_ms)
{
    int64_t time;
    if (!call_integer(call, 2, &time)) {
        return false;
    }
    if (time > INT64_MAX / unit_ms || time < INT64_MIN / unit_ms ||
        time * unit_ms > INT64_MAX - base_ms) {
        reply_errorf(call->reply, "ERR invalid expire time in '%s' command",
                     call->row->name);
        return false;
    }
    *deadline_ms = time * unit_ms + base_ms;
    if (*deadline_ms == ENTRY_NO_DEADLINE) {
        *deadline_ms -= 1; /* an end, if a distant one */
    }
    return true;
}

static bool condition_holds(unsigned when, int64_t old_ms, int64_t new_ms)
{
    bool has_end = old_ms != ENTRY_NO_DEADLINE;
    return !((when & IF_NEW) != 0 && has_end) && !((when & IF_THERE) != 0 && !has_end) &&
           !((when & IF_LATER) != 0 && (!has_end || new_ms <= old_ms)) &&
           !((when & IF_EARLIER) != 0 && has_end && new_ms >= old_ms);
}

static enum memento_status expire_locked(struct writer *writer, struct shard *shard,
                                         const struct key *key, unsigned when,
                                         int64_t deadline_ms)
{
    struct item item;
    enum memento_status status = engine_find(writer, shard, key, &item);
    if (status != MEMENTO_OK) {
        return status;
    }
    if (!condition_holds(when, item.deadline_ms, deadline_ms)) {
        return MEMENTO_EXISTS;
    }
    if (deadline_ms <= writer->now_ms) {
        return engine_delete(writer, shard, key);
    }
    return engine_set_deadline(writer, shard, key, deadline_ms);
}

static void reply_done(struct call *call, enum memento_status status)
{
    if (status < 0) {
        call_failed(call, status);
    } else {
        reply_integer(call->reply, status == MEMENTO_OK);
    }
}

static void expire(struct call *call, int64_t unit_ms, int64_t base_ms)
{
    unsigned when;
    int64_t deadline_ms;
    if (!parse_condition(call, &when) ||
        !parse_deadline(call, unit_ms, base_ms, &deadline_ms)) {
        return;
    }
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    enum memento_status status =
        expire_locked(call->writer, shard, &key, when, deadline_ms);
    engine_unlock(call->writer, shard);
    reply_done(call, status);
}

void command_expire(struct call *call)
{
    expire(call, 1000, call->writer->now_ms);
}

void command_pexpire(struct call *call)
{
    expire(call, 1, call->writer->now_ms);
}

void command_expireat(struct call *call)
{
    expire(call, 1000, 0);
}

void command_pexpireat(struct call *call)
{
    expire(call, 1, 0);
}

void command_persist(struct call *call)
{
    struct writer *writer = call->writer;
    struct key key = call_key(call, 1);
    struct item item;
    struct shard *shard = engine_lock(writer, &key);
    enum memento_status status = engine_find(writer, shard, &key, &item);
    if (status == MEMENTO_OK && item.deadline_ms == ENTRY_NO_DEADLINE) {
        status = MEMENTO_NOT_FOUND;
    }
    if (status == MEMENTO_OK) {
        status = engine_set_deadline(writer, shard, &key, ENTRY_NO_DEADLINE);
    }
    engine_unlock(writer, shard);
    reply_done(call, status);
}

/* ---- asking for it ---- */

/* To the nearest second, halves upwards. */
static int64_t seconds(int64_t ms)
{
    return ms / 1000 + (ms % 1000 >= 500);
}

/* -2: no such key. -1: it has no end. */
static int64_t deadline_of(struct call *call)
{
    struct key key = call_key(call, 1);
    struct item item;
    struct shard *shard = engine_lock(call->writer, &key);
    enum memento_status status = engine_find(call->writer, shard, &key, &item);
    engine_unlock(call->writer, shard);
    engine_count_lookup(call->writer, status == MEMENTO_OK);
    if (status != MEMENTO_OK) {
        return -2;
    }
    return item.deadline_ms == ENTRY_NO_DEADLINE ? -1 : item.deadline_ms;
}

static int64_t left_ms(struct call *call)
{
    int64_t deadline_ms = deadline_of(call);
    return deadline_ms < 0 ? deadline_ms : deadline_ms - call->writer->now_ms;
}

void command_ttl(struct call *call)
{
    int64_t left = left_ms(call);
    reply_integer(call->reply, left < 0 ? left : seconds(left));
}

void command_pttl(struct call *call)
{
    reply_integer(call->reply, left_ms(call));
}

void command_expiretime(struct call *call)
{
    int64_t deadline_ms = deadline_of(call);
    reply_integer(call->reply, deadline_ms < 0 ? deadline_ms : seconds(deadline_ms));
}

void command_pexpiretime(struct call *call)
{
    reply_integer(call->reply, deadline_of(call));
}
