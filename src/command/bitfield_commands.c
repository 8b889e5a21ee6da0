/* bitfield_commands.c - integers of any width inside a value. */
#include "base/heap.h"
#include "base/number.h"
#include "command/bits.h"
#include "command/call.h"
#include "command/handlers.h"
#include "command/value.h"

#define OPERATIONS_FEW 8

enum field_action { FIELD_GET, FIELD_SET, FIELD_INCRBY };
enum field_overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };

struct field_operation {
    enum field_action action;
    enum field_overflow overflow;
    bool is_signed;
    uint8_t width; /* bits: 1 to 64, 63 when unsigned */
    uint64_t offset;
    int64_t number; /* of SET and INCRBY */
    int64_t answer;
    bool is_refused; /* it would have overflowed: the answer is null */
};

struct field_operations {
    struct field_operation *items;
    size_t count;
    bool has_write;
    uint64_t end; /* one bit behind the last that a write touches */
    struct field_operation few[OPERATIONS_FEW];
};

/* ---- what is asked for ---- */

/* "i16", "u8" */
static bool parse_type(const struct call *call, size_t at,
                       struct field_operation *operation)
{
    struct bytes word = call->args[at];
    int64_t width;
    if (word.len > 1 && (word.data[0] == 'i' || word.data[0] == 'u') &&
        number_parse_int64(bytes_of(word.data + 1, word.len - 1), &width)) {
        operation->is_signed = word.data[0] == 'i';
        if (width >= 1 && width <= (operation->is_signed ? 64 : 63)) {
            operation->width = (uint8_t)width;
            return true;
        }
    }
    reply_error(call->reply,
                "ERR Invalid bitfield type. Use something like i16 u8. Note that "
                "u64 is not supported but i64 is.");
    return false;
}

/* A bit, or with '#' in front how many fields of this width come before. */
static bool parse_field_offset(const struct call *call, size_t at,
                               struct field_operation *operation)
{
    struct bytes word = call->args[at];
    bool in_fields = word.len > 0 && word.data[0] == '#';
    if (in_fields) {
        word = bytes_of(word.data + 1, word.len - 1);
    }
    int64_t offset;
    if (!number_parse_int64(word, &offset) || offset < 0 ||
        (in_fields && __builtin_mul_overflow(offset, operation->width, &offset)) ||
        (uint64_t)offset / 8 >= call->writer->value_bytes_max) {
        reply_error(call->reply, "ERR bit offset is not an integer or out of range");
        return false;
    }
    operation->offset = (uint64_t)offset;
    return true;
}

static bool parse_overflow(const struct call *call, size_t at,
                           enum field_overflow *overflow)
{
    if (call_is(call, at, "WRAP")) {
        *overflow = OVERFLOW_WRAP;
    } else if (call_is(call, at, "SAT")) {
        *overflow = OVERFLOW_SAT;
    } else if (call_is(call, at, "FAIL")) {
        *overflow = OVERFLOW_FAIL;
    } else {
        reply_error(call->reply, "ERR Invalid OVERFLOW type specified");
        return false;
    }
    return true;
}

/* The words of a GET, SET or INCRBY that begins at args[at]; 0, and the error is
 * answered, when it is none. */
static size_t parse_operation(const struct call *call, size_t at,
                              struct field_operation *operation)
{
    size_t words = call->count - at;
    if (call_is(call, at, "GET") && words >= 3) {
        operation->action = FIELD_GET;
    } else if (call_is(call, at, "SET") && words >= 4) {
        operation->action = FIELD_SET;
    } else if (call_is(call, at, "INCRBY") && words >= 4) {
        operation->action = FIELD_INCRBY;
    } else {
        call_syntax_error(call);
        return 0;
    }
    if (!parse_type(call, at + 1, operation) ||
        !parse_field_offset(call, at + 2, operation)) {
        return 0;
    }
    if (operation->action == FIELD_GET) {
        return 3;
    }
    return call_integer(call, at + 3, &operation->number) ? 4 : 0;
}

static void operations_fini(struct field_operations *operations)
{
    if (operations->items != operations->few) {
        heap_free(operations->items);
    }
}

/* False, and the error is answered. */
static bool operations_parse(const struct call *call, struct field_operations *operations)
{
    operations->count = 0;
    operations->has_write = false;
    operations->end = 0;
    operations->items = operations->few;
    size_t count_max = (call->count - 2) / 3; /* the shortest operation has three words */
    if (count_max > OPERATIONS_FEW) {
        operations->items = heap_alloc(count_max * sizeof(operations->items[0]));
        if (operations->items == NULL) {
            call_failed(call, MEMENTO_ERR_NO_MEMORY);
            return false;
        }
    }
    enum field_overflow overflow = OVERFLOW_WRAP;
    for (size_t at = 2; at < call->count;) {
        if (call_is(call, at, "OVERFLOW") && at + 1 < call->count) {
            if (!parse_overflow(call, at + 1, &overflow)) {
                goto failed;
            }
            at += 2;
            continue;
        }
        struct field_operation operation = {.overflow = overflow};
        size_t words = parse_operation(call, at, &operation);
        if (words == 0) {
            goto failed;
        }
        at += words;
        if (operation.action != FIELD_GET) {
            uint64_t end = operation.offset + operation.width;
            operations->has_write = true;
            operations->end = end > operations->end ? end : operations->end;
        }
        operations->items[operations->count++] = operation;
    }
    return true;
failed:
    operations_fini(operations);
    return false;
}

/* ---- arithmetic ---- */

/* A number of `width` bits with its sign. */
static int64_t sign_extend(uint64_t number, unsigned width)
{
    uint64_t sign = (uint64_t)1 << (width - 1);
    uint64_t mask = sign | (sign - 1);
    return (int64_t)(((number & mask) ^ sign) - sign);
}

/* value + more in `width` bits. False on overflow: then *result is what the bits that
 * are left say, or with `saturate` the number nearest to the sum. */
static bool add_signed(int64_t value, int64_t more, unsigned width, bool saturate,
                       int64_t *result)
{
    int64_t max = (int64_t)(((uint64_t)1 << (width - 1)) - 1);
    int64_t min = -max - 1;
    int64_t sum;
    bool over, under;
    if (__builtin_add_overflow(value, more, &sum)) {
        over = more > 0;
        under = !over;
    } else {
        over = sum > max;
        under = sum < min;
    }
    if (!over && !under) {
        *result = sum;
        return true;
    }
    *result = sign_extend((uint64_t)value + (uint64_t)more, width);
    if (saturate) {
        /* As Redis has it, a SET of a number so low that its distance to the largest one
         * does not fit 64 bits ends at the upper limit. */
        int64_t distance;
        over = over || (width < 64 && __builtin_sub_overflow(max, value, &distance));
        *result = over ? max : min;
    }
    return false;
}

/* The same without a sign; width <= 63. */
static bool add_unsigned(uint64_t value, int64_t more, unsigned width, bool saturate,
                         uint64_t *result)
{
    uint64_t max = UINT64_MAX >> (64 - width);
    uint64_t sum = value + (uint64_t)more;
    bool over = value > max || (more > 0 && (uint64_t)more > max - value);
    bool under = !over && more < 0 && 0 - (uint64_t)more > value;
    *result = sum & max;
    if (saturate && (over || under)) {
        *result = over ? max : 0;
    }
    return !over && !under;
}

/* ---- what is done ---- */

static void run_get(struct field_operation *operation, struct bytes value)
{
    uint64_t bits = bits_read(value, operation->offset, operation->width);
    operation->answer =
        operation->is_signed ? sign_extend(bits, operation->width) : (int64_t)bits;
}

/* SET answers the number before, INCRBY the one after; nothing is written when it does
 * not fit and OVERFLOW FAIL was said. */
static void run_write(struct field_operation *operation, struct draft *draft)
{
    unsigned width = operation->width;
    uint64_t bits =
        bits_read(bytes_of(draft->bytes, draft->len), operation->offset, width);
    bool saturate = operation->overflow == OVERFLOW_SAT;
    bool adds = operation->action == FIELD_INCRBY;
    int64_t more = adds ? operation->number : 0;
    int64_t before, after;
    bool fits;
    if (operation->is_signed) {
        before = sign_extend(bits, width);
        fits =
            add_signed(adds ? before : operation->number, more, width, saturate, &after);
    } else {
        uint64_t result;
        before = (int64_t)bits;
        fits = add_unsigned(adds ? bits : (uint64_t)operation->number, more, width,
                            saturate, &result);
        after = (int64_t)result;
    }
    operation->answer = adds ? after : before;
    operation->is_refused = !fits && operation->overflow == OVERFLOW_FAIL;
    if (!operation->is_refused) {
        draft->is_unchanged = draft->is_unchanged && after == before;
        bits_write(draft->bytes, operation->offset, width, (uint64_t)after);
    }
}

static enum memento_status run_reads(const struct call *call,
                                     struct field_operations *operations)
{
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct bytes value;
    struct large *large;
    if (engine_get(call->writer, shard, &key, &value, &large) != MEMENTO_OK) {
        value = bytes_of(NULL, 0);
    }
    for (size_t i = 0; i < operations->count; i++) {
        run_get(&operations->items[i], value);
    }
    engine_unlock(call->writer, shard);
    return MEMENTO_OK;
}

static enum memento_status run_writes(const struct call *call,
                                      struct field_operations *operations)
{
    size_t len = (size_t)((operations->end + 7) / 8);
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct item item;
    bool exists = engine_find(call->writer, shard, &key, &item) == MEMENTO_OK;
    size_t item_len = exists ? item.value.len : 0;
    if (item_len > len) {
        len = item_len;
    }
    struct draft draft;
    enum memento_status status = draft_open(call, shard, &key, exists, len, &draft);
    if (status == MEMENTO_OK) {
        draft.is_unchanged = exists && len == item_len;
        for (size_t i = 0; i < operations->count; i++) {
            struct field_operation *operation = &operations->items[i];
            if (operation->action == FIELD_GET) {
                run_get(operation, bytes_of(draft.bytes, len));
            } else {
                run_write(operation, &draft);
            }
        }
        status = draft_commit(call, shard, &key, &draft);
    }
    engine_unlock(call->writer, shard);
    return status;
}

static void reply_answers(const struct call *call,
                          const struct field_operations *operations)
{
    reply_list(call->reply, operations->count);
    for (size_t i = 0; i < operations->count; i++) {
        if (operations->items[i].is_refused) {
            reply_null(call->reply);
        } else {
            reply_integer(call->reply, operations->items[i].answer);
        }
    }
}

static void run_bitfield(const struct call *call, bool reads_only)
{
    struct field_operations operations;
    if (!operations_parse(call, &operations)) {
        return;
    }
    if (operations.has_write && reads_only) {
        reply_error(call->reply, "ERR BITFIELD_RO only supports the GET subcommand");
    } else if (!operations.has_write || call_value_fits(call, (operations.end + 7) / 8)) {
        enum memento_status status = operations.has_write ? run_writes(call, &operations)
                                                          : run_reads(call, &operations);
        if (status == MEMENTO_OK) {
            reply_answers(call, &operations);
        } else {
            call_failed(call, status);
        }
    }
    operations_fini(&operations);
}

void command_bitfield(struct call *call)
{
    run_bitfield(call, false);
}

void command_bitfield_ro(struct call *call)
{
    run_bitfield(call, true);
}
