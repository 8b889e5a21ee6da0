#include "command/value.h"

#include "base/check.h"

#include <string.h>

void kept_take(struct kept *kept, struct bytes value, struct large *large)
{
    if (large != NULL) {
        kept->large = large_take(large);
        kept->bytes = value;
        return;
    }
    CHECK(value.len <= sizeof(kept->copy)); /* only a large value may be longer */
    if (value.len > 0) {
        memcpy(kept->copy, value.data, value.len);
    }
    kept->large = NULL;
    kept->bytes = bytes_of(kept->copy, value.len);
}

void kept_drop(struct kept *kept)
{
    large_drop(kept->large);
    kept->large = NULL;
}

void kept_reply(const struct call *call, struct kept *kept)
{
    call_reply_found(call, kept->bytes, kept->large);
    kept_drop(kept);
}

static enum memento_status draft_create(size_t len, struct draft *draft)
{
    draft->is_new = true;
    draft->value.large = NULL;
    draft->bytes = draft->few;
    if (len > sizeof(draft->few)) {
        struct large *large = large_create(len);
        if (large == NULL) {
            return MEMENTO_ERR_NO_MEMORY;
        }
        large->len = len;
        draft->value.large = large;
        draft->bytes = large->bytes;
    }
    memset(draft->bytes, 0, len);
    draft->value.bytes = bytes_of(draft->bytes, len);
    return MEMENTO_OK;
}

enum memento_status draft_open(const struct call *call, struct shard *shard,
                               const struct key *key, bool exists, size_t len,
                               struct draft *draft)
{
    draft->len = len;
    draft->is_unchanged = false;
    if (!exists) {
        return draft_create(len, draft);
    }
    draft->is_new = false;
    return engine_edit(call->writer, shard, key, len, &draft->bytes);
}

enum memento_status draft_commit(const struct call *call, struct shard *shard,
                                 const struct key *key, struct draft *draft)
{
    if (!draft->is_new) {
        engine_edited(call->writer, shard, key, !draft->is_unchanged);
        return MEMENTO_OK; /* the bytes were those of the entry */
    }
    enum memento_status status = engine_set(call->writer, shard, key, &draft->value,
                                            ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
    engine_value_drop(&draft->value);
    return status;
}
