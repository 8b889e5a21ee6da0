/* object_commands.c - how a key is stored: OBJECT and MEMORY. */
#include "base/number.h"
#include "command/handlers.h"
#include "command/help.h"

/* The length up to which Redis keeps a string and its header in one piece. */
#define EMBEDDED_BYTES_MAX 44

typedef void teller(struct call *call, struct shard *shard, const struct item *item);

static void tell_about(struct call *call, teller *tell)
{
    struct key key = call_key(call, 2);
    struct item item;
    struct shard *shard = engine_lock(call->writer, &key);
    if (engine_find(call->writer, shard, &key, &item) == MEMENTO_OK) {
        tell(call, shard, &item);
    } else {
        reply_null(call->reply);
    }
    engine_unlock(call->writer, shard);
}

static void tell_encoding(struct call *call, struct shard *shard, const struct item *item)
{
    (void)shard;
    int64_t integer;
    if (number_parse_int64(item->value, &integer)) {
        reply_string(call->reply, "int");
    } else {
        reply_string(call->reply,
                     item->value.len <= EMBEDDED_BYTES_MAX ? "embstr" : "raw");
    }
}

static void tell_frequency(struct call *call, struct shard *shard,
                           const struct item *item)
{
    (void)shard;
    (void)item;
    reply_error(
        call->reply,
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. "
        "Please note that when switching between policies at runtime LRU and LFU "
        "data will take some time to adjust.");
}

/* Reads leave no trace in an entry, so this is the time since the last change. */
static void tell_idle_time(struct call *call, struct shard *shard,
                           const struct item *item)
{
    (void)shard;
    int64_t changed_ms = (int64_t)(item->version >> ENTRY_VERSION_SHIFT);
    int64_t idle_ms = call->writer->now_ms - changed_ms;
    reply_integer(call->reply, idle_ms > 0 ? idle_ms / 1000 : 0);
}

static void tell_references(struct call *call, struct shard *shard,
                            const struct item *item)
{
    (void)shard;
    (void)item;
    reply_integer(call->reply, 1);
}

static void tell_bytes(struct call *call, struct shard *shard,
                       const struct item *item) UNCHECKED_LOCKING
{
    reply_integer(call->reply, (int64_t)shard_entry_bytes(shard, item));
}

void command_object(struct call *call)
{
    help_reply_unknown(call);
}

void command_object_help(struct call *call)
{
    help_reply_subcommands(call);
}

void command_object_encoding(struct call *call)
{
    tell_about(call, tell_encoding);
}

void command_object_freq(struct call *call)
{
    tell_about(call, tell_frequency);
}

void command_object_idletime(struct call *call)
{
    tell_about(call, tell_idle_time);
}

void command_object_refcount(struct call *call)
{
    tell_about(call, tell_references);
}

void command_memory(struct call *call)
{
    help_reply_unknown(call);
}

void command_memory_help(struct call *call)
{
    help_reply_subcommands(call);
}

/* SAMPLES is read and has no effect: a string has nothing to take samples of. */
void command_memory_usage(struct call *call)
{
    for (size_t at = 3; at < call->count; at += 2) {
        int64_t samples;
        if (!call_is(call, at, "SAMPLES") || at + 1 == call->count) {
            call_syntax_error(call);
            return;
        }
        if (!call_integer(call, at + 1, &samples)) {
            return;
        }
        if (samples < 0) {
            call_syntax_error(call);
            return;
        }
    }
    tell_about(call, tell_bytes);
}
