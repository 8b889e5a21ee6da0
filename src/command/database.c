#include "command/database.h"

bool database_is_int(int64_t index)
{
    return index >= INT32_MIN && index <= INT32_MAX;
}

bool database_exists(int64_t index)
{
    return index >= 0 && index < MEMENTO_DATABASES;
}

bool database_parse(const struct call *call, size_t at, unsigned *database)
{
    int64_t index;
    if (!call_integer(call, at, &index)) {
        return false;
    }
    if (!database_is_int(index)) {
        reply_error(call->reply, "ERR value is out of range, value must between "
                                 "-2147483648 and 2147483647");
        return false;
    }
    if (!database_exists(index)) {
        reply_error(call->reply, "ERR DB index is out of range");
        return false;
    }
    *database = (unsigned)index;
    return true;
}

struct key database_key(const struct call *call, size_t at, unsigned database)
{
    const struct engine *engine = call->writer->engine;
    struct bytes bytes = call->args[at];
    return engine_key(engine, bytes, engine_hash(engine, bytes), database);
}
