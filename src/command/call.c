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

const char *call_failure(enum memento_status status)
{
    switch (status) {
    case MEMENTO_ERR_NO_MEMORY:
        return "OOM command not allowed: the system gives no more memory.";
    case MEMENTO_ERR_TOO_LARGE:
        return "ERR transaction too large for the log";
    case MEMENTO_ERR_NO_SPACE:
        return "ERR the disk is full";
    case MEMENTO_ERR_LOG_FAILED:
        return "ERR the log has failed: LOG REOPEN or a restart repairs it";
    case MEMENTO_ERR_IO:
        return "ERR the data directory cannot be read or written: the traces say why";
    case MEMENTO_ERR_CORRUPT:
        return "ERR what is on disk is damaged: the traces say what";
    case MEMENTO_ERR_UNSUPPORTED:
        return "ERR what is on disk was written by a newer memento";
    case MEMENTO_ERR_BUSY:
        return "ERR the data directory is in use by another process";
    case MEMENTO_ERR_INVALID:
        return "ERR invalid argument";
    case MEMENTO_CLOSED:
        return "ERR the server is ending";
    case MEMENTO_NOT_FOUND:
    case MEMENTO_EXISTS:
    case MEMENTO_AGAIN:
    case MEMENTO_OK:
        break;
    }
    return "ERR the command failed";
}

void call_failed(const struct call *call, enum memento_status status)
{
    reply_error(call->reply, call_failure(status));
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
