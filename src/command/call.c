#include "command/call.h"

#include "base/number.h"
#include "store/large.h"

/* From here on sending a value from where it lies costs less than copying it; below,
 * one more part of a scattered write costs more than the copy. */
#define PIN_BYTES_MIN 16384

void (*call_run)(struct call *call);

struct key call_key(const struct call *call, size_t at)
{
    const struct engine *engine = call->writer->engine;
    struct bytes bytes = call->args[at];
    bool is_known = call->hash_known && (int)at == call->row->first_key;
    uint64_t hash = is_known ? call->first_key_hash : engine_hash(engine, bytes);
    return engine_key(engine, bytes, hash, call->session->database);
}

bool call_integer(const struct call *call, size_t at, int64_t *value)
{
    if (!number_parse_int64(call->args[at], value)) {
        reply_error(call->reply, "ERR value is not an integer or out of range");
        return false;
    }
    return true;
}

void call_failed(const struct call *call, enum memento_status status)
{
    switch (status) {
    case MEMENTO_ERR_NO_MEMORY:
        reply_error(call->reply,
                    "OOM command not allowed: the system gives no more memory.");
        return;
    case MEMENTO_ERR_TOO_LARGE:
        reply_error(call->reply, "ERR transaction too large for the log");
        return;
    default:
        reply_errorf(call->reply, "ERR the command failed with status %d", (int)status);
        return;
    }
}

void call_answer(const struct call *call, enum memento_status status)
{
    if (status == MEMENTO_OK) {
        reply_ok(call->reply);
    } else {
        call_failed(call, status);
    }
}

void call_syntax_error(const struct call *call)
{
    reply_error(call->reply, "ERR syntax error");
}

bool call_value_fits(const struct call *call, uint64_t len)
{
    if (len > call->writer->value_bytes_max) {
        reply_error(call->reply,
                    "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return false;
    }
    return true;
}

void call_reply_found(const struct call *call, struct bytes value, struct large *large)
{
    /* A pin keeps the whole block alive, so a small part of one is copied. */
    if (LIKELY(large == NULL || value.len < PIN_BYTES_MIN ||
               value.len < large->cap / 4)) {
        reply_value(call->reply, value);
    } else {
        reply_value_pinned(call->reply, value, large_take(large));
    }
}
