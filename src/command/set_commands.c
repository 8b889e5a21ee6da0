/* set_commands.c - SET, its options, and the older commands that are a SET with one. */
#include "base/number.h"
#include "command/call.h"
#include "command/handlers.h"
#include "command/value.h"

#include <string.h>

enum set_option {
    SET_NX = 1 << 0,
    SET_XX = 1 << 1,
    SET_GET = 1 << 2,
    SET_KEEPTTL = 1 << 3,
    SET_PERSIST = 1 << 4,
    SET_EX = 1 << 5,
    SET_PX = 1 << 6,
    SET_EXAT = 1 << 7,
    SET_PXAT = 1 << 8
};

#define SET_ANY_TIME (SET_EX | SET_PX | SET_EXAT | SET_PXAT)

/* The options of SET and of GETEX: what each is called, what it may not stand with
 * (itself is allowed: the last one counts), whether a word of its own follows, and who
 * has it. */
static const struct option {
    const char *name;
    unsigned bit;
    unsigned excludes;
    bool has_time;
    bool of_set, of_getex;
} options[] = {
    {"NX", SET_NX, SET_XX, false, true, false},
    {"XX", SET_XX, SET_NX, false, true, false},
    {"GET", SET_GET, 0, false, true, false},
    {"KEEPTTL", SET_KEEPTTL, SET_ANY_TIME, false, true, false},
    {"PERSIST", SET_PERSIST, SET_ANY_TIME, false, false, true},
    {"EX", SET_EX, SET_KEEPTTL | SET_PERSIST | (SET_ANY_TIME & ~SET_EX), true, true,
     true},
    {"PX", SET_PX, SET_KEEPTTL | SET_PERSIST | (SET_ANY_TIME & ~SET_PX), true, true,
     true},
    {"EXAT", SET_EXAT, SET_KEEPTTL | SET_PERSIST | (SET_ANY_TIME & ~SET_EXAT), true, true,
     true},
    {"PXAT", SET_PXAT, SET_KEEPTTL | SET_PERSIST | (SET_ANY_TIME & ~SET_PXAT), true, true,
     true},
};

struct set_options {
    unsigned bits;
    size_t time_at; /* the word of the time; 0 = none given */
};

static const struct option *find_option(struct bytes word)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (bytes_is(word, options[i].name)) {
            return &options[i];
        }
    }
    return NULL;
}

/* False: a syntax error, not yet answered. */
static bool parse_options(const struct call *call, size_t from, bool of_getex,
                          struct set_options *parsed)
{
    *parsed = (struct set_options){0};
    for (size_t at = from; at < call->count; at++) {
        const struct option *option = find_option(call->args[at]);
        if (option == NULL || !(of_getex ? option->of_getex : option->of_set) ||
            (parsed->bits & option->excludes) != 0 ||
            (option->has_time && at + 1 == call->count)) {
            return false;
        }
        parsed->bits |= option->bit;
        if (option->has_time) {
            parsed->time_at = ++at;
        }
    }
    return true;
}

/* The deadline that a time in args[at] means. False, and the error is answered, when
 * it means none. */
static bool parse_deadline(const struct call *call, size_t at, unsigned unit,
                           int64_t *deadline_ms)
{
    int64_t time;
    if (!call_integer(call, at, &time)) {
        return false;
    }
    bool in_seconds = (unit & (SET_EX | SET_EXAT)) != 0;
    bool is_relative = (unit & (SET_EX | SET_PX)) != 0;
    if (time <= 0 || (in_seconds && __builtin_mul_overflow(time, 1000, &time)) ||
        (is_relative && __builtin_add_overflow(time, call->writer->now_ms, &time))) {
        reply_errorf(call->reply, "ERR invalid expire time in '%s' command",
                     call->row->name);
        return false;
    }
    /* The last moment there is stands for "no deadline". */
    *deadline_ms = time == ENTRY_NO_DEADLINE ? ENTRY_NO_DEADLINE - 1 : time;
    return true;
}

/* A deadline that has passed means that the key is gone, as if it had been stored and had
 * died at once. */
static enum memento_status store(const struct call *call, struct shard *shard,
                                 const struct key *key, struct engine_value *value,
                                 int64_t deadline_ms)
{
    if (deadline_ms <= call->writer->now_ms) {
        enum memento_status status = engine_delete(call->writer, shard, key);
        return status == MEMENTO_NOT_FOUND ? MEMENTO_OK : status;
    }
    return engine_set(call->writer, shard, key, value, deadline_ms, ENGINE_CREATED_NOW);
}

/* What there was before, for the conditions and for the reply. */
struct before {
    bool exists;
    int64_t deadline_ms;
    struct kept value; /* when it is asked for and exists */
};

static void look_before(const struct call *call, struct shard *shard,
                        const struct key *key, bool keep_value, struct before *before)
{
    struct item item;
    before->exists = engine_find(call->writer, shard, key, &item) == MEMENTO_OK;
    before->deadline_ms = before->exists ? item.deadline_ms : ENTRY_NO_DEADLINE;
    before->value.large = NULL;
    if (keep_value) {
        engine_count_lookup(call->writer, before->exists);
        if (before->exists) {
            kept_take(&before->value, item.value, item.large);
        }
    }
}

/* Stores args[value_at] if the options let it: OK, or NOT_FOUND when they do not. */
static enum memento_status set_under_conditions(const struct call *call, size_t value_at,
                                                unsigned bits, int64_t deadline_ms,
                                                struct before *before)
{
    struct engine_value value;
    enum memento_status status = engine_value_make(call->args[value_at], &value);
    if (status != MEMENTO_OK) {
        before->exists = false;
        before->value.large = NULL;
        return status;
    }
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    look_before(call, shard, &key, (bits & SET_GET) != 0, before);
    if (((bits & SET_NX) != 0 && before->exists) ||
        ((bits & SET_XX) != 0 && !before->exists)) {
        status = MEMENTO_NOT_FOUND;
    } else {
        if ((bits & SET_KEEPTTL) != 0) {
            deadline_ms = before->deadline_ms;
        }
        status = store(call, shard, &key, &value, deadline_ms);
    }
    engine_unlock(call->writer, shard);
    engine_value_drop(&value);
    return status;
}

static void answer_set(const struct call *call, unsigned bits, enum memento_status status,
                       struct before *before)
{
    if (status < 0) {
        kept_drop(&before->value);
        call_failed(call, status);
    } else if ((bits & SET_GET) != 0) {
        if (before->exists) {
            kept_reply(call, &before->value);
        } else {
            reply_null(call->reply);
        }
    } else if (status == MEMENTO_OK) {
        reply_ok(call->reply);
    } else {
        reply_null(call->reply);
    }
}

/* A person who types SET greeting hello world meant one value: say how to write it. One who
 * types SET k v NX XX meant options. */
#define ADVICE_BYTES_MAX 60

static bool are_all_options(const struct call *call, size_t from)
{
    for (size_t at = from; at < call->count; at++) {
        const struct option *option = find_option(call->args[at]);
        if (option == NULL) {
            return false;
        }
        at += option->has_time ? 1 : 0;
    }
    return true;
}

static void set_syntax_error(const struct call *call)
{
    if (call->reply->dialect != DIALECT_TEXT || are_all_options(call, 3)) {
        call_syntax_error(call);
        return;
    }
    char value[ADVICE_BYTES_MAX];
    size_t len = 0;
    for (size_t at = 2; at < call->count; at++) {
        struct bytes word = call->args[at];
        if (len + word.len + 1 > sizeof(value) ||
            memchr(word.data, '"', word.len) != NULL) {
            len = 0;
            break;
        }
        if (len > 0) {
            value[len++] = ' ';
        }
        memcpy(value + len, word.data, word.len);
        len += word.len;
    }
    struct bytes key = call->args[1];
    bool is_short = len > 0 && key.len > 0 && key.len <= ADVICE_BYTES_MAX;
    struct bytes shown_key = is_short ? key : BYTES("key");
    struct bytes shown = is_short ? bytes_of(value, len) : BYTES("a value");
    reply_errorf(
        call->reply,
        "ERR syntax error: quote a value that contains spaces: SET %.*s \"%.*s\"",
        (int)shown_key.len, shown_key.data, (int)shown.len, shown.data);
}

static void set_with_options(const struct call *call)
{
    struct set_options parsed;
    if (!parse_options(call, 3, false, &parsed)) {
        set_syntax_error(call);
        return;
    }
    int64_t deadline_ms = ENTRY_NO_DEADLINE;
    if (parsed.time_at != 0 &&
        !parse_deadline(call, parsed.time_at, parsed.bits, &deadline_ms)) {
        return;
    }
    struct before before;
    enum memento_status status =
        set_under_conditions(call, 2, parsed.bits, deadline_ms, &before);
    answer_set(call, parsed.bits, status, &before);
}

void command_set(struct call *call)
{
    if (UNLIKELY(call->count > 3)) {
        set_with_options(call);
        return;
    }
    struct engine_value value;
    enum memento_status status = engine_value_make(call->args[2], &value);
    if (UNLIKELY(status != MEMENTO_OK)) {
        call_failed(call, status);
        return;
    }
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    status = engine_set(call->writer, shard, &key, &value, ENTRY_NO_DEADLINE,
                        ENGINE_CREATED_NOW);
    engine_unlock(call->writer, shard);
    engine_value_drop(&value);
    if (LIKELY(status == MEMENTO_OK)) {
        reply_ok(call->reply);
    } else {
        call_failed(call, status);
    }
}

void command_setnx(struct call *call)
{
    struct before before;
    enum memento_status status =
        set_under_conditions(call, 2, SET_NX, ENTRY_NO_DEADLINE, &before);
    if (status < 0) {
        call_failed(call, status);
    } else {
        reply_integer(call->reply, status == MEMENTO_OK);
    }
}

static void set_for_a_time(const struct call *call, unsigned unit)
{
    int64_t deadline_ms;
    if (!parse_deadline(call, 2, unit, &deadline_ms)) {
        return;
    }
    struct before before;
    enum memento_status status = set_under_conditions(call, 3, 0, deadline_ms, &before);
    answer_set(call, 0, status, &before);
}

void command_setex(struct call *call)
{
    set_for_a_time(call, SET_EX);
}

void command_psetex(struct call *call)
{
    set_for_a_time(call, SET_PX);
}

void command_getset(struct call *call)
{
    struct before before;
    enum memento_status status =
        set_under_conditions(call, 2, SET_GET, ENTRY_NO_DEADLINE, &before);
    answer_set(call, SET_GET, status, &before);
}

/* Changes when the key found dies, as the options of GETEX say. */
static enum memento_status change_deadline(const struct call *call, struct shard *shard,
                                           const struct key *key, const struct item *item,
                                           int64_t deadline_ms)
{
    if (deadline_ms <= call->writer->now_ms) {
        return engine_delete(call->writer, shard, key);
    }
    if (deadline_ms == item->deadline_ms) {
        return MEMENTO_OK;
    }
    return engine_set_deadline(call->writer, shard, key, deadline_ms);
}

void command_getex(struct call *call)
{
    struct set_options parsed;
    if (!parse_options(call, 2, true, &parsed)) {
        call_syntax_error(call);
        return;
    }
    struct key key = call_key(call, 1);
    struct shard *shard = engine_lock(call->writer, &key);
    struct item item;
    enum memento_status status = engine_find(call->writer, shard, &key, &item);
    engine_count_lookup(call->writer, status == MEMENTO_OK);
    if (status != MEMENTO_OK) {
        reply_null(call->reply);
        goto unlock;
    }
    /* Redis looks at the time only when there is something to expire, and so do we. */
    int64_t deadline_ms = ENTRY_NO_DEADLINE;
    if (parsed.time_at != 0 &&
        !parse_deadline(call, parsed.time_at, parsed.bits, &deadline_ms)) {
        goto unlock;
    }
    if (parsed.bits == 0) {
        call_reply_found(call, item.value, item.large);
        goto unlock;
    }
    struct kept kept;
    kept_take(&kept, item.value, item.large);
    status = change_deadline(call, shard, &key, &item, deadline_ms);
    if (status == MEMENTO_OK) {
        kept_reply(call, &kept);
    } else {
        kept_drop(&kept);
        call_failed(call, status);
    }
unlock:
    engine_unlock(call->writer, shard);
}
