/* scan_commands.c - walks over the names of keys: KEYS, SCAN, COUNT. */
#include "base/glob.h"
#include "base/number.h"
#include "command/handlers.h"

/* Keys, and buckets, of one step of a walk over everything: no shard is held longer. */
#define STEP_KEYS    512
#define STEP_BUCKETS 1024

/* Where keys of this database are rare, a SCAN ends after so many buckets for each key it
 * asked for; but not before it has seen as many as an empty keyspace of 64 shards has, so
 * that a small database is walked in one step. */
#define BUCKETS_FOR_KEY 10
#define BUCKETS_MIN     (64 * TABLE_BUCKETS_MIN)

/* Some clients read a cursor as a double: the engine's are below this. */
#define CURSOR_MAX (1ull << 53)

struct filter {
    struct bytes pattern;
    bool is_everything;
    bool is_nothing; /* SCAN TYPE with a type that no value here has */
};

static bool filter_init(struct filter *filter, const struct call *call,
                        struct bytes pattern)
{
    if (pattern.len > MEMENTO_PATTERN_BYTES_MAX) {
        reply_errorf(call->reply, "ERR pattern is longer than %d bytes",
                     MEMENTO_PATTERN_BYTES_MAX);
        return false;
    }
    filter->pattern = pattern;
    filter->is_everything = glob_is_everything(pattern);
    return true;
}

/* As in Redis the empty key passes one star, but not two. */
static bool filter_passes(const struct filter *filter, struct bytes key)
{
    if (filter->is_nothing) {
        return false;
    }
    if (filter->is_everything) {
        return key.len > 0 || filter->pattern.len == 1;
    }
    return glob_match(filter->pattern, key, false);
}

/* ---- KEYS and COUNT: the whole database at once ---- */

static void scan_everything(struct call *call, engine_visit *visit, void *context)
{
    uint64_t cursor = 0;
    do {
        cursor = engine_scan(call->writer, cursor, call->session->database, STEP_KEYS,
                             STEP_BUCKETS, visit, context);
    } while (cursor != 0);
}

struct keys {
    struct filter filter;
    struct reply *reply; /* NULL: only count them */
    size_t found;
};

static void keys_visit(void *context, const struct item *item)
{
    struct keys *keys = context;
    if (filter_passes(&keys->filter, item->key)) {
        keys->found++;
        if (keys->reply != NULL) {
            reply_value(keys->reply, item->key);
        }
    }
}

void command_keys(struct call *call)
{
    struct keys keys = {.reply = call->reply};
    struct bytes pattern = call->count > 1 ? call->args[1] : BYTES("*");
    if (!filter_init(&keys.filter, call, pattern)) {
        return;
    }
    struct reply_mark mark = reply_list_begin(call->reply);
    scan_everything(call, keys_visit, &keys);
    reply_list_end(call->reply, mark, keys.found);
}

void command_count(struct call *call)
{
    if (call->count > 2) {
        reply_error(call->reply, "ERR wrong number of arguments for 'count' command");
        return;
    }
    if (call->count == 1) {
        engine_note_read_all(call->writer);
        reply_integer(call->reply, (int64_t)engine_count(call->writer->engine,
                                                         call->session->database));
        return;
    }
    struct keys keys = {.reply = NULL};
    if (filter_init(&keys.filter, call, call->args[1])) {
        scan_everything(call, keys_visit, &keys);
        reply_integer(call->reply, (int64_t)keys.found);
    }
}

/* ---- SCAN ---- */

struct scan {
    struct filter filter;
    uint64_t cursor;
    size_t count;
    struct buf names; /* each key behind its length: the cursor is answered before them */
    size_t found;
};

/* As Redis reads it, strtoul's way: a sign may stand before it, and nothing is 0. */
static bool parse_cursor(struct bytes text, uint64_t *cursor)
{
    const char *nul = text.len > 0 ? memchr(text.data, '\0', text.len) : NULL;
    if (nul != NULL) {
        text.len = (size_t)(nul - text.data); /* Redis reads a C string */
    }
    size_t at = 0;
    bool is_negative = text.len > 0 && text.data[0] == '-';
    if (text.len > 1 && (is_negative || text.data[0] == '+')) {
        at = 1;
    }
    uint64_t value = 0;
    for (; at < text.len; at++) {
        unsigned digit = (unsigned char)text.data[at] - (unsigned)'0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *cursor = is_negative ? 0 - value : value;
    return true;
}

static bool parse_scan_option(struct call *call, size_t at, struct scan *scan)
{
    if (call_is(call, at, "COUNT")) {
        int64_t count;
        if (!call_integer(call, at + 1, &count)) {
            return false;
        }
        if (count < 1) {
            call_syntax_error(call);
            return false;
        }
        scan->count = (size_t)count;
        return true;
    }
    if (call_is(call, at, "MATCH")) {
        return filter_init(&scan->filter, call, call->args[at + 1]);
    }
    if (call_is(call, at, "TYPE")) {
        scan->filter.is_nothing = !call_is(call, at + 1, "string");
        return true;
    }
    call_syntax_error(call);
    return false;
}

static bool parse_scan(struct call *call, struct scan *scan)
{
    *scan = (struct scan){.filter = {.pattern = BYTES("*"), .is_everything = true},
                          .count = 10};
    if (call->count > 1 && !parse_cursor(call->args[1], &scan->cursor)) {
        reply_error(call->reply, "ERR invalid cursor");
        return false;
    }
    for (size_t at = 2; at < call->count; at += 2) {
        if (at + 1 == call->count) {
            call_syntax_error(call);
            return false;
        }
        if (!parse_scan_option(call, at, scan)) {
            return false;
        }
    }
    return true;
}

static void scan_visit(void *context, const struct item *item)
{
    struct scan *scan = context;
    if (filter_passes(&scan->filter, item->key)) {
        size_t len = item->key.len;
        scan->found++;
        buf_append(&scan->names, &len, sizeof(len));
        buf_append_bytes(&scan->names, item->key);
    }
}

static void reply_scan(struct call *call, const struct scan *scan)
{
    char text[NUMBER_SHORT_MAX];
    reply_list(call->reply, 2);
    reply_value(call->reply,
                bytes_of(text, number_format_int64(text, (int64_t)scan->cursor)));
    reply_list(call->reply, scan->found);
    const char *at = scan->names.data;
    for (size_t i = 0; i < scan->found; i++) {
        size_t len;
        memcpy(&len, at, sizeof(len));
        at += sizeof(len);
        reply_value(call->reply, bytes_of(at, len));
        at += len;
    }
}

static size_t buckets_for(size_t keys)
{
    if (keys > SIZE_MAX / BUCKETS_FOR_KEY) {
        return SIZE_MAX;
    }
    size_t buckets = keys * BUCKETS_FOR_KEY;
    return buckets < BUCKETS_MIN ? BUCKETS_MIN : buckets;
}

void command_scan(struct call *call)
{
    struct scan scan;
    if (!parse_scan(call, &scan)) {
        return;
    }
    buf_init(&scan.names);
    if (call->count == 1) {
        scan_everything(call, scan_visit, &scan);
    } else if (scan.cursor >= CURSOR_MAX) {
        scan.cursor = 0; /* nobody was given such a cursor: nothing is behind it */
    } else {
        scan.cursor = engine_scan(call->writer, scan.cursor, call->session->database,
                                  scan.count, buckets_for(scan.count), scan_visit, &scan);
    }
    if (scan.names.failed) {
        call_failed(call, MEMENTO_ERR_NO_MEMORY);
    } else {
        reply_scan(call, &scan);
    }
    buf_fini(&scan.names);
}
