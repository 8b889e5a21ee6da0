/* memento_commands.c - commands of memento's own but those on numbers: GETP, FLUSH. */
#include "command/handlers.h"

static void reply_field(struct call *call, const char *name, int64_t value)
{
    reply_string(call->reply, name);
    reply_integer(call->reply, value);
}

static void reply_properties(struct call *call, const struct item *item)
{
    bool has_end = item->deadline_ms != ENTRY_NO_DEADLINE;
    int64_t left_ms = item->deadline_ms - call->writer->now_ms;
    reply_map(call->reply, 7);
    reply_string(call->reply, "key");
    reply_value(call->reply, item->key);
    reply_string(call->reply, "value");
    call_reply_found(call, item->value, item->large);
    reply_field(call, "creation_time", item->created_ms);
    reply_field(call, "expire_time", has_end ? item->deadline_ms : -1);
    reply_field(call, "ttl", has_end ? left_ms / 1000 + (left_ms % 1000 >= 500) : -1);
    reply_field(call, "size", (int64_t)item->value.len);
    reply_field(call, "version", (int64_t)item->version);
}

void command_getp(struct call *call)
{
    struct key key = call_key(call, 1);
    struct item item;
    struct shard *shard = engine_lock(call->writer, &key);
    enum memento_status status = engine_find(call->writer, shard, &key, &item);
    engine_count_lookup(call->writer, status == MEMENTO_OK);
    if (status == MEMENTO_OK) {
        reply_properties(call, &item);
    } else {
        reply_null(call->reply);
    }
    engine_unlock(call->writer, shard);
}

void command_flush(struct call *call)
{
    call_answer(call, engine_flush(call->writer, -1));
}
