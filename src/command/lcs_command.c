/* lcs_command.c - the longest common subsequence of two values: the classic table,
 * whose cell (i, j) is the length for the first i bytes of a and the first j of b. */
#include "base/heap.h"
#include "command/call.h"
#include "command/handlers.h"
#include "command/value.h"

struct lcs_options {
    bool idx, len, with_match_len;
    int64_t match_len_min;
};

struct lcs {
    const unsigned char *a, *b;
    size_t a_len, b_len;
    uint32_t *cells; /* (a_len + 1) rows of (b_len + 1) */
};

static bool parse_options(const struct call *call, struct lcs_options *options)
{
    *options = (struct lcs_options){.match_len_min = 0};
    for (size_t at = 3; at < call->count; at++) {
        if (call_is(call, at, "IDX")) {
            options->idx = true;
        } else if (call_is(call, at, "LEN")) {
            options->len = true;
        } else if (call_is(call, at, "WITHMATCHLEN")) {
            options->with_match_len = true;
        } else if (call_is(call, at, "MINMATCHLEN") && at + 1 < call->count) {
            at++;
            if (!call_integer(call, at, &options->match_len_min)) {
                return false;
            }
        } else {
            call_syntax_error(call);
            return false;
        }
    }
    if (options->idx && options->len) {
        reply_error(call->reply,
                    "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

/* The values of both keys at one moment; an absent one is empty. */
static void take_values(const struct call *call, struct kept kept[2])
{
    struct key keys[2] = {call_key(call, 1), call_key(call, 2)};
    engine_lock_keys(call->writer, keys, 2);
    for (size_t i = 0; i < 2; i++) {
        struct shard *shard = engine_lock(call->writer, &keys[i]);
        struct bytes value;
        struct large *large;
        if (engine_get(call->writer, shard, &keys[i], &value, &large) != MEMENTO_OK) {
            value = bytes_of(NULL, 0);
            large = NULL;
        }
        kept_take(&kept[i], value, large);
        engine_unlock(call->writer, shard);
    }
    engine_unlock_span(call->writer);
}

static uint32_t cell(const struct lcs *lcs, size_t i, size_t j)
{
    return lcs->cells[i * (lcs->b_len + 1) + j];
}

static void fill_cells(const struct lcs *lcs)
{
    size_t width = lcs->b_len + 1;
    memset(lcs->cells, 0, width * sizeof(lcs->cells[0]));
    for (size_t i = 1; i <= lcs->a_len; i++) {
        const uint32_t *above = lcs->cells + (i - 1) * width;
        uint32_t *row = lcs->cells + i * width;
        row[0] = 0;
        for (size_t j = 1; j <= lcs->b_len; j++) {
            if (lcs->a[i - 1] == lcs->b[j - 1]) {
                row[j] = above[j - 1] + 1;
            } else {
                row[j] = above[j] > row[j - 1] ? above[j] : row[j - 1];
            }
        }
    }
}

/* ---- the way back through the table ---- */

/* Bytes that both have in one piece: `len` from a_at on in a, and from b_at on in b. */
typedef void lcs_visit(void *context, size_t a_at, size_t b_at, size_t len);

/* Calls `visit` for each stretch of the subsequence, the last one first. */
static void walk(const struct lcs *lcs, lcs_visit *visit, void *context)
{
    size_t i = lcs->a_len, j = lcs->b_len, len = 0;
    while (i > 0 && j > 0) {
        if (lcs->a[i - 1] == lcs->b[j - 1]) {
            i--;
            j--;
            len++;
            continue;
        }
        if (len > 0) {
            visit(context, i, j, len);
            len = 0;
        }
        if (cell(lcs, i - 1, j) > cell(lcs, i, j - 1)) {
            i--;
        } else {
            j--;
        }
    }
    if (len > 0) {
        visit(context, i, j, len);
    }
}

struct collector {
    const struct lcs *lcs;
    char *text;
    size_t left; /* bytes in front that are not yet known */
};

static void collect(void *context, size_t a_at, size_t b_at, size_t len)
{
    (void)b_at;
    struct collector *collector = context;
    collector->left -= len;
    memcpy(collector->text + collector->left, collector->lcs->a + a_at, len);
}

static void reply_subsequence(const struct call *call, const struct lcs *lcs)
{
    size_t len = cell(lcs, lcs->a_len, lcs->b_len);
    char *text = heap_alloc(len);
    if (text == NULL) {
        call_failed(call, MEMENTO_ERR_NO_MEMORY);
        return;
    }
    struct collector collector = {lcs, text, len};
    walk(lcs, collect, &collector);
    reply_value(call->reply, bytes_of(text, len));
    heap_free(text);
}

struct matches {
    const struct call *call;
    const struct lcs_options *options;
    size_t count;
};

static bool is_wanted(const struct matches *matches, size_t len)
{
    int64_t min = matches->options->match_len_min;
    return min <= 0 || len >= (uint64_t)min;
}

static void count_match(void *context, size_t a_at, size_t b_at, size_t len)
{
    (void)a_at;
    (void)b_at;
    struct matches *matches = context;
    matches->count += is_wanted(matches, len);
}

static void reply_stretch(struct reply *reply, size_t at, size_t len)
{
    reply_list(reply, 2);
    reply_integer(reply, (int64_t)at);
    reply_integer(reply, (int64_t)(at + len - 1));
}

static void reply_match(void *context, size_t a_at, size_t b_at, size_t len)
{
    struct matches *matches = context;
    if (!is_wanted(matches, len)) {
        return;
    }
    struct reply *reply = matches->call->reply;
    reply_list(reply, matches->options->with_match_len ? 3 : 2);
    reply_stretch(reply, a_at, len);
    reply_stretch(reply, b_at, len);
    if (matches->options->with_match_len) {
        reply_integer(reply, (int64_t)len);
    }
}

static void reply_matches(const struct call *call, const struct lcs *lcs,
                          const struct lcs_options *options)
{
    struct matches matches = {call, options, 0};
    walk(lcs, count_match, &matches);
    reply_map(call->reply, 2);
    reply_string(call->reply, "matches");
    reply_list(call->reply, matches.count);
    walk(lcs, reply_match, &matches);
    reply_string(call->reply, "len");
    reply_integer(call->reply, cell(lcs, lcs->a_len, lcs->b_len));
}

/* ---- the command ---- */

/* False, and the error is answered, when the table would be larger than any value. */
static bool make_table(const struct call *call, struct lcs *lcs)
{
    uint64_t bytes;
    if (__builtin_mul_overflow((uint64_t)lcs->a_len + 1, (uint64_t)lcs->b_len + 1,
                               &bytes) ||
        bytes > (uint64_t)MEMENTO_VALUE_BYTES_MAX / sizeof(lcs->cells[0])) {
        reply_error(call->reply,
                    "ERR Insufficient memory, transient memory for LCS exceeds "
                    "proto-max-bulk-len");
        return false;
    }
    lcs->cells = heap_alloc((size_t)bytes * sizeof(lcs->cells[0]));
    if (lcs->cells == NULL) {
        reply_error(
            call->reply,
            "ERR Insufficient memory, failed allocating transient memory for LCS");
        return false;
    }
    return true;
}

void command_lcs(struct call *call)
{
    struct lcs_options options;
    if (!parse_options(call, &options)) {
        return;
    }
    struct kept kept[2];
    take_values(call, kept);
    struct lcs lcs = {
        .a = (const unsigned char *)kept[0].bytes.data,
        .b = (const unsigned char *)kept[1].bytes.data,
        .a_len = kept[0].bytes.len,
        .b_len = kept[1].bytes.len,
    };
    if (make_table(call, &lcs)) {
        fill_cells(&lcs);
        if (options.idx) {
            reply_matches(call, &lcs, &options);
        } else if (options.len) {
            reply_integer(call->reply, cell(&lcs, lcs.a_len, lcs.b_len));
        } else {
            reply_subsequence(call, &lcs);
        }
        heap_free(lcs.cells);
    }
    kept_drop(&kept[0]);
    kept_drop(&kept[1]);
}
