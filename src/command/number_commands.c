/* number_commands.c - values that are numbers: Redis' INCR family and memento's
 * own INC family. A key that is absent counts from 0; one that is there keeps its deadline. */
#include "base/number.h"
#include "command/call.h"
#include "command/handlers.h"

#include <math.h>
#include <string.h>

/* What is stored under the key, when it is there; the new text is put in its place. */
struct cell {
    struct key key;
    struct shard *shard; /* locked */
    struct bytes text;   /* until the store; empty and !exists when there is none */
    bool exists;
};

static void cell_lock(const struct call *call, struct cell *cell)
{
    cell->key = call_key(call, 1);
    cell->shard = engine_lock(call->writer, &cell->key);
    struct item item;
    cell->exists =
        engine_find(call->writer, cell->shard, &cell->key, &item) == MEMENTO_OK;
    cell->text = cell->exists ? item.value : bytes_of(NULL, 0);
}

static enum memento_status cell_store(const struct call *call, const struct cell *cell,
                                      const char *text, size_t len)
{
    if (cell->exists) {
        char *bytes;
        enum memento_status status =
            engine_edit(call->writer, cell->shard, &cell->key, len, &bytes);
        if (status == MEMENTO_OK) {
            memcpy(bytes, text, len);
            engine_edited(call->writer, cell->shard, &cell->key, true);
        }
        return status;
    }
    struct engine_value value;
    enum memento_status status = engine_value_make(bytes_of(text, len), &value);
    if (status == MEMENTO_OK) {
        status = engine_set(call->writer, cell->shard, &cell->key, &value,
                            ENTRY_NO_DEADLINE, ENGINE_CREATED_NOW);
        engine_value_drop(&value);
    }
    return status;
}

static void cell_unlock(const struct call *call, const struct cell *cell)
{
    engine_unlock(call->writer, cell->shard);
}

/* ---- integers ---- */

static void add_integer(const struct call *call, int64_t quantity)
{
    struct cell cell;
    cell_lock(call, &cell);
    int64_t number = 0;
    if (cell.exists && !number_parse_int64(cell.text, &number)) {
        reply_error(call->reply, "ERR value is not an integer or out of range");
    } else if (__builtin_add_overflow(number, quantity, &number)) {
        reply_error(call->reply, "ERR increment or decrement would overflow");
    } else {
        char text[NUMBER_SHORT_MAX];
        size_t len = number_format_int64(text, number);
        enum memento_status status = cell_store(call, &cell, text, len);
        if (status == MEMENTO_OK) {
            reply_integer(call->reply, number);
        } else {
            call_failed(call, status);
        }
    }
    cell_unlock(call, &cell);
}

static void subtract_integer(const struct call *call, int64_t quantity)
{
    if (quantity == INT64_MIN) { /* it has no positive twin to add */
        reply_error(call->reply, "ERR decrement would overflow");
        return;
    }
    add_integer(call, -quantity);
}

void command_incr(struct call *call)
{
    add_integer(call, 1);
}

void command_decr(struct call *call)
{
    add_integer(call, -1);
}

void command_incrby(struct call *call)
{
    int64_t quantity;
    if (call_integer(call, 2, &quantity)) {
        add_integer(call, quantity);
    }
}

void command_decrby(struct call *call)
{
    int64_t quantity;
    if (call_integer(call, 2, &quantity)) {
        subtract_integer(call, quantity);
    }
}

/* INC, DEC, INCF and DECF take a key and perhaps a quantity, no more. */
static bool has_quantity_at_most(const struct call *call)
{
    if (call->count > 3) {
        reply_errorf(call->reply, "ERR wrong number of arguments for '%s' command",
                     call->row->name);
        return false;
    }
    return true;
}

static bool integer_quantity(const struct call *call, int64_t *quantity)
{
    *quantity = 1;
    return has_quantity_at_most(call) &&
           (call->count < 3 || call_integer(call, 2, quantity));
}

void command_inc(struct call *call)
{
    int64_t quantity;
    if (integer_quantity(call, &quantity)) {
        add_integer(call, quantity);
    }
}

void command_dec(struct call *call)
{
    int64_t quantity;
    if (integer_quantity(call, &quantity)) {
        subtract_integer(call, quantity);
    }
}

/* ---- floating point numbers ---- */

static void reply_not_a_float(const struct call *call)
{
    reply_error(call->reply, "ERR value is not a valid float");
}

static void reply_not_finite(const struct call *call)
{
    reply_error(call->reply, "ERR increment would produce NaN or Infinity");
}

/* Stores the text of a number and answers with it. */
static void store_and_reply(const struct call *call, const struct cell *cell,
                            const char *text, size_t len)
{
    enum memento_status status = cell_store(call, cell, text, len);
    if (status == MEMENTO_OK) {
        reply_value(call->reply, bytes_of(text, len));
    } else {
        call_failed(call, status);
    }
}

/* Redis looks at the stored value first, so its error comes first as well. */
void command_incrbyfloat(struct call *call)
{
    struct cell cell;
    cell_lock(call, &cell);
    long double number = 0;
    long double quantity;
    if ((cell.exists && !number_parse_long_double(cell.text, &number)) ||
        !number_parse_long_double(call->args[2], &quantity)) {
        reply_not_a_float(call);
    } else if (!isfinite(number + quantity)) {
        reply_not_finite(call);
    } else {
        char text[NUMBER_TEXT_MAX];
        size_t len = number_format_long_double(text, number + quantity);
        store_and_reply(call, &cell, text, len);
    }
    cell_unlock(call, &cell);
}

static void add_double(const struct call *call, double sign)
{
    double quantity = 1;
    if (!has_quantity_at_most(call)) {
        return;
    }
    if (call->count > 2 && !number_parse_double(call->args[2], &quantity)) {
        reply_not_a_float(call);
        return;
    }
    struct cell cell;
    cell_lock(call, &cell);
    double number = 0;
    if (cell.exists && !number_parse_double(cell.text, &number)) {
        reply_not_a_float(call);
    } else if (!isfinite(number + sign * quantity)) {
        reply_not_finite(call);
    } else {
        char text[NUMBER_SHORT_MAX];
        size_t len = number_format_double(text, number + sign * quantity);
        store_and_reply(call, &cell, text, len);
    }
    cell_unlock(call, &cell);
}

void command_incf(struct call *call)
{
    add_double(call, 1);
}

void command_decf(struct call *call)
{
    add_double(call, -1);
}
