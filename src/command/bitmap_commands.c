/* bitmap_commands.c - single bits of a value, counting and finding them, and whole values
 * combined bit by bit. */
#include "base/number.h"
#include "command/bits.h"
#include "command/call.h"
#include "command/call_keys.h"
#include "command/handlers.h"
#include "command/value.h"

#include <string.h>

static const char not_an_integer[] = "ERR value is not an integer or out of range";
static const char syntax_error[] = "ERR syntax error";

/* ---- one bit ---- */

/* False, and the error is answered, when args[at] is no bit that a value may have. */
static bool parse_offset(const struct call *call, size_t at, uint64_t *offset)
{
    int64_t number;
    if (!number_parse_int64(call->args[at], &number) || number < 0 ||
        (uint64_t)number / 8 >= call->writer->value_bytes_max) {
        reply_error(call->reply, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *offset = (uint64_t)number;
    return true;
}

void command_getbit(struct call *call)
{
    uint64_t offset;
    if (!parse_offset(call, 2, &offset)) {
        return;
    }
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct bytes value;
    struct large *large;
    uint64_t bit = 0;
    if (engine_get(call->writer, shard, &key, &value, &large) == MEMENTO_OK) {
        bit = bits_read(value, offset, 1);
    }
    engine_unlock(call->writer, shard);
    reply_integer(call->reply, (int64_t)bit);
}

/* Sets the bit and gives what it was. */
static enum memento_status set_bit(const struct call *call, struct shard *shard,
                                   struct key *key, uint64_t offset, bool bit,
                                   uint64_t *before)
{
    struct item item;
    bool exists = engine_find(call->writer, shard, key, &item) == MEMENTO_OK;
    size_t item_len = exists ? item.value.len : 0;
    size_t len = (size_t)(offset / 8) + 1;
    if (item_len > len) {
        len = item_len;
    }
    struct draft draft;
    enum memento_status status = draft_open(call, shard, key, exists, len, &draft);
    if (status == MEMENTO_OK) {
        *before = bits_read(bytes_of(draft.bytes, len), offset, 1);
        draft.is_unchanged = exists && len == item_len && *before == (uint64_t)bit;
        bits_write(draft.bytes, offset, 1, bit);
        status = draft_commit(call, shard, key, &draft);
    }
    return status;
}

void command_setbit(struct call *call)
{
    uint64_t offset;
    if (!parse_offset(call, 2, &offset)) {
        return;
    }
    int64_t bit;
    if (!number_parse_int64(call->args[3], &bit) || (bit != 0 && bit != 1)) {
        reply_error(call->reply, "ERR bit is not an integer or out of range");
        return;
    }
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    uint64_t before = 0;
    enum memento_status status = set_bit(call, shard, &key, offset, bit == 1, &before);
    engine_unlock(call->writer, shard);
    if (status == MEMENTO_OK) {
        reply_integer(call->reply, (int64_t)before);
    } else {
        call_failed(call, status);
    }
}

/* ---- a range of bits ---- */

/* What BITCOUNT and BITPOS may say about where. An error in it is told only of a key
 * that is there: an absent one is answered without a look at the rest, as Redis does. */
struct bit_range {
    int64_t start, end;
    bool has_start, has_end, in_bits;
    const char *error;
};

static void parse_unit(const struct call *call, size_t at, struct bit_range *range)
{
    if (call_is(call, at, "BIT")) {
        range->in_bits = true;
    } else if (!call_is(call, at, "BYTE")) {
        range->error = syntax_error;
    }
}

static void parse_edge(const struct call *call, size_t at, int64_t *edge,
                       struct bit_range *range)
{
    if (!number_parse_int64(call->args[at], edge)) {
        range->error = not_an_integer;
    }
}

/* The value of a key that is there, kept beyond the lock; false when it is absent. */
static bool take_value(const struct call *call, struct kept *kept)
{
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct bytes value;
    struct large *large;
    bool exists = engine_get(call->writer, shard, &key, &value, &large) == MEMENTO_OK;
    if (exists) {
        kept_take(kept, value, large);
    }
    engine_unlock(call->writer, shard);
    return exists;
}

/* The first and last bit meant, in a value of `len` bytes; false when that is none. */
static bool resolve_range(const struct bit_range *range, size_t len, uint64_t *first,
                          uint64_t *last)
{
    int64_t total = (int64_t)len * (range->in_bits ? 8 : 1);
    int64_t start = range->has_start ? range->start : 0;
    int64_t end = range->has_end ? range->end : total - 1;
    if (start < 0) {
        start = start < -total ? 0 : start + total;
    }
    if (end < 0) {
        end = end < -total ? 0 : end + total;
    }
    if (end >= total) {
        end = total - 1;
    }
    if (start > end) {
        return false;
    }
    *first = (uint64_t)start * (range->in_bits ? 1 : 8);
    *last = range->in_bits ? (uint64_t)end : (uint64_t)end * 8 + 7;
    return true;
}

static struct bit_range parse_count_range(const struct call *call)
{
    struct bit_range range = {.error = NULL};
    if (call->count == 2) {
        return range;
    }
    if (call->count != 4 && call->count != 5) {
        range.error = syntax_error;
        return range;
    }
    range.has_start = range.has_end = true;
    parse_edge(call, 2, &range.start, &range);
    if (range.error == NULL) {
        parse_edge(call, 3, &range.end, &range);
    }
    /* A range that ends before it begins is empty whatever its unit may be. */
    bool is_empty = range.start < 0 && range.end < 0 && range.start > range.end;
    if (call->count == 5 && range.error == NULL && !is_empty) {
        parse_unit(call, 4, &range);
    }
    return range;
}

void command_bitcount(struct call *call)
{
    struct bit_range range = parse_count_range(call);
    struct kept kept;
    if (!take_value(call, &kept)) {
        reply_integer(call->reply, 0);
        return;
    }
    uint64_t first, last;
    bool is_backwards = range.start < 0 && range.end < 0 && range.start > range.end;
    if (range.error != NULL) {
        reply_error(call->reply, range.error);
    } else if (!is_backwards && resolve_range(&range, kept.bytes.len, &first, &last)) {
        reply_integer(call->reply, (int64_t)bits_count(kept.bytes, first, last));
    } else {
        reply_integer(call->reply, 0);
    }
    kept_drop(&kept);
}

static struct bit_range parse_position_range(const struct call *call)
{
    struct bit_range range = {.has_start = call->count > 3, .has_end = call->count > 4};
    if (call->count > 6) {
        range.error = syntax_error;
        return range;
    }
    if (range.has_start) {
        parse_edge(call, 3, &range.start, &range);
    }
    if (call->count == 6 && range.error == NULL) {
        parse_unit(call, 5, &range);
    }
    if (range.has_end && range.error == NULL) {
        parse_edge(call, 4, &range.end, &range);
    }
    return range;
}

static int64_t find_bit(const struct bit_range *range, struct bytes value, bool bit)
{
    uint64_t first, last;
    if (!resolve_range(range, value.len, &first, &last)) {
        return -1;
    }
    int64_t found = bits_find(value, first, last, bit);
    if (found < 0 && !bit && !range->has_end) {
        return (int64_t)value.len * 8; /* without an end, zeros follow the value */
    }
    return found;
}

void command_bitpos(struct call *call)
{
    int64_t bit;
    if (!call_integer(call, 2, &bit)) {
        return;
    }
    if (bit != 0 && bit != 1) {
        reply_error(call->reply, "ERR The bit argument must be 1 or 0.");
        return;
    }
    struct bit_range range = parse_position_range(call);
    struct kept kept;
    if (!take_value(call, &kept)) {
        reply_integer(call->reply, bit == 1 ? -1 : 0);
        return;
    }
    if (range.error != NULL) {
        reply_error(call->reply, range.error);
    } else {
        reply_integer(call->reply, find_bit(&range, kept.bytes, bit == 1));
    }
    kept_drop(&kept);
}

/* ---- whole values ---- */

static bool parse_operation(struct bytes word, enum bits_operation *operation)
{
    static const char *const names[] = {
        [BITS_AND] = "AND",
        [BITS_OR] = "OR",
        [BITS_XOR] = "XOR",
        [BITS_NOT] = "NOT",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (bytes_is(word, names[i])) {
            *operation = (enum bits_operation)i;
            return true;
        }
    }
    return false;
}

/* The keys are locked: the value of one of them, empty when it is absent. */
static struct bytes source_value(const struct call *call, struct key *key, bool counts)
{
    struct shard *shard = engine_lock(call->writer, key);
    struct item item;
    bool exists = engine_find(call->writer, shard, key, &item) == MEMENTO_OK;
    if (counts) {
        engine_count_lookup(call->writer, exists);
    }
    engine_unlock(call->writer,
                  shard); /* free, and the view stays good: the span goes on */
    return exists ? item.value : bytes_of(NULL, 0);
}

/* Key 0 gets what comes out of keys 1 and up; they are locked. */
static enum memento_status combine_values(const struct call *call,
                                          const struct call_keys *keys,
                                          enum bits_operation operation, size_t *len)
{
    *len = 0;
    for (size_t i = 1; i < keys->count; i++) {
        size_t source_len = source_value(call, &keys->keys[i], true).len;
        *len = source_len > *len ? source_len : *len;
    }
    struct key *target = &keys->keys[0];
    struct shard *shard = engine_lock(call->writer, target);
    enum memento_status status;
    if (*len == 0) {
        status = engine_delete(call->writer, shard, target);
        status = status == MEMENTO_NOT_FOUND ? MEMENTO_OK : status;
    } else {
        struct draft draft;
        status = draft_open(call, shard, target, false, *len, &draft);
        if (status == MEMENTO_OK) {
            /* The draft is all zeros, and 0 OR x is x: so the first source gets in. */
            bits_combine(operation == BITS_NOT ? BITS_NOT : BITS_OR, draft.bytes, *len,
                         source_value(call, &keys->keys[1], false));
            for (size_t i = 2; i < keys->count; i++) {
                bits_combine(operation, draft.bytes, *len,
                             source_value(call, &keys->keys[i], false));
            }
            status = draft_commit(call, shard, target, &draft);
        }
    }
    engine_unlock(call->writer, shard);
    return status;
}

void command_bitop(struct call *call)
{
    enum bits_operation operation;
    if (!parse_operation(call->args[1], &operation)) {
        call_syntax_error(call);
        return;
    }
    if (operation == BITS_NOT && call->count != 4) {
        reply_error(call->reply,
                    "ERR BITOP NOT must be called with a single source key.");
        return;
    }
    struct call_keys keys;
    if (!call_keys_init(&keys, call, 2, 1)) {
        return;
    }
    size_t len;
    call_keys_lock(&keys, call);
    enum memento_status status = combine_values(call, &keys, operation, &len);
    engine_unlock_span(call->writer);
    call_keys_fini(&keys);
    if (status == MEMENTO_OK) {
        reply_integer(call->reply, (int64_t)len);
    } else {
        call_failed(call, status);
    }
}
