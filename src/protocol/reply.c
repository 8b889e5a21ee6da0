/* reply.c - the three dialects of an answer; see reply.h. */
#include "protocol/reply.h"

#include "base/check.h"
#include "base/heap.h"
#include "base/number.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void reply_init(struct reply *reply, struct buf *out, void (*release)(void *owner))
{
    *reply = (struct reply){.out = out, .dialect = DIALECT_TEXT, .release = release};
}

void reply_fini(struct reply *reply)
{
    for (size_t i = 0; i < reply->pin_count; i++) {
        reply->release(reply->pins[i].owner);
    }
    heap_free(reply->pins);
    reply->pins = NULL;
    reply->pin_count = reply->pin_cap = 0;
}

/* ---- RESP pieces ---- */

/* "$64\r\n": a type byte, a number, the end of the line. Room was reserved. */
static ALWAYS_INLINE char *put_header(char *to, char type, uint64_t number)
{
    *to++ = type;
    if (LIKELY(number < 100)) {
        if (number >= 10) {
            *to++ = (char)('0' + number / 10);
        }
        *to++ = (char)('0' + number % 10);
    } else {
        char digits[20];
        size_t at = sizeof(digits);
        while (number > 0) {
            digits[--at] = (char)('0' + number % 10);
            number /= 10;
        }
        memcpy(to, digits + at, sizeof(digits) - at);
        to += sizeof(digits) - at;
    }
    *to++ = '\r';
    *to++ = '\n';
    return to;
}

#define HEADER_BYTES_MAX 24

static void append_header(struct reply *reply, char type, uint64_t number)
{
    struct buf *out = reply->out;
    if (buf_reserve(out, HEADER_BYTES_MAX)) {
        out->len = (size_t)(put_header(out->data + out->len, type, number) - out->data);
    }
}

static void append_literal(struct reply *reply, const char *text)
{
    buf_append(reply->out, text, strlen(text));
}

/* ---- the text dialect ---- */

/* Before a scalar: "field: " needs nothing, the value behind a field neither. After it: ends
 * the line, and the lists that are complete now. */
static void text_close_lists(struct reply *reply)
{
    while (reply->depth > 0 && reply->levels[reply->depth - 1].left == 0) {
        reply->depth--;
        append_literal(reply, "(end)\r\n");
    }
}

static void text_end_scalar(struct reply *reply)
{
    if (reply->depth > 0) {
        struct reply_level *level = &reply->levels[reply->depth - 1];
        level->left--;
        if (level->is_map && level->left % 2 == 1) {
            append_literal(reply, ": "); /* that was the field, its value follows */
            return;
        }
    }
    append_literal(reply, "\r\n");
    text_close_lists(reply);
}

static void text_open_list(struct reply *reply, size_t replies, bool is_map)
{
    if (reply->depth > 0) {
        struct reply_level *level = &reply->levels[reply->depth - 1];
        level->left--;
        if (level->is_map && level->left % 2 == 1) {
            append_literal(reply, ": ");
        } else if (level->is_map) {
            append_literal(reply, "\r\n"); /* the list begins on a line of its own */
        }
    }
    CHECK(reply->depth < REPLY_DEPTH_MAX);
    reply->levels[reply->depth].left = replies;
    reply->levels[reply->depth].is_map = is_map;
    reply->depth++;
    text_close_lists(reply);
}

/* A value stands as it is when a reader cannot mistake it for anything else. */
static bool text_is_plain(struct bytes value)
{
    if (value.len == 0 || value.data[0] == '"' || value.data[0] == '(') {
        return false;
    }
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static void text_append_quoted(struct buf *out, struct bytes value)
{
    static const char hex[] = "0123456789abcdef";
    buf_append_char(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c == '"' || c == '\\') {
            buf_append_char(out, '\\');
            buf_append_char(out, (char)c);
        } else if (c == '\n') {
            buf_append_string(out, "\\n");
        } else if (c == '\r') {
            buf_append_string(out, "\\r");
        } else if (c == '\t') {
            buf_append_string(out, "\\t");
        } else if (c == '\b') {
            buf_append_string(out, "\\b");
        } else if (c == '\a') {
            buf_append_string(out, "\\a");
        } else if (c < 0x20 || c == 0x7f) {
            char escape[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
            buf_append(out, escape, sizeof(escape));
        } else {
            buf_append_char(out, (char)c);
        }
    }
    buf_append_char(out, '"');
}

static COLD void text_value(struct reply *reply, struct bytes value)
{
    if (text_is_plain(value)) {
        buf_append_bytes(reply->out, value);
    } else {
        text_append_quoted(reply->out, value);
    }
    text_end_scalar(reply);
}

static COLD void text_word(struct reply *reply, const char *word)
{
    append_literal(reply, word);
    text_end_scalar(reply);
}

/* ---- scalars ---- */

void reply_ok(struct reply *reply)
{
    if (LIKELY(reply->dialect != DIALECT_TEXT)) {
        buf_append(reply->out, "+OK\r\n", 5);
    } else {
        text_word(reply, "OK");
    }
}

void reply_simple(struct reply *reply, const char *word)
{
    if (reply->dialect == DIALECT_TEXT) {
        text_word(reply, word);
        return;
    }
    buf_append_char(reply->out, '+');
    append_literal(reply, word);
    append_literal(reply, "\r\n");
}

void reply_integer(struct reply *reply, int64_t value)
{
    if (LIKELY(reply->dialect != DIALECT_TEXT && value >= 0)) {
        append_header(reply, ':', (uint64_t)value);
        return;
    }
    if (reply->dialect != DIALECT_TEXT) {
        buf_append_char(reply->out, ':');
        buf_append_integer(reply->out, value);
        append_literal(reply, "\r\n");
        return;
    }
    buf_append_integer(reply->out, value);
    text_end_scalar(reply);
}

void reply_boolean(struct reply *reply, bool value)
{
    if (reply->dialect == DIALECT_RESP3) {
        append_literal(reply, value ? "#t\r\n" : "#f\r\n");
    } else {
        reply_integer(reply, value ? 1 : 0);
    }
}

void reply_double(struct reply *reply, double value)
{
    char text[NUMBER_TEXT_MAX];
    size_t len = number_format_double(text, value);
    if (reply->dialect == DIALECT_RESP3) {
        buf_append_char(reply->out, ',');
        buf_append(reply->out, text, len);
        append_literal(reply, "\r\n");
    } else {
        reply_value(reply, bytes_of(text, len));
    }
}

void reply_value(struct reply *reply, struct bytes value)
{
    if (UNLIKELY(reply->dialect == DIALECT_TEXT)) {
        text_value(reply, value);
        return;
    }
    struct buf *out = reply->out;
    if (LIKELY(buf_reserve(out, value.len + HEADER_BYTES_MAX + 2))) {
        char *to = put_header(out->data + out->len, '$', value.len);
        if (LIKELY(value.len > 0)) {
            memcpy(to, value.data, value.len);
        }
        to += value.len;
        to[0] = '\r';
        to[1] = '\n';
        out->len = (size_t)(to + 2 - out->data);
    }
}

void reply_string(struct reply *reply, const char *value)
{
    reply_value(reply, bytes_of_string(value));
}

static bool add_pin(struct reply *reply, struct bytes value, void *owner)
{
    if (reply->pin_count == reply->pin_cap) {
        size_t cap = reply->pin_cap == 0 ? 8 : reply->pin_cap * 2;
        struct pin *pins = heap_realloc(reply->pins, cap * sizeof(*pins));
        if (pins == NULL) {
            return false;
        }
        reply->pins = pins;
        reply->pin_cap = cap;
    }
    reply->pins[reply->pin_count++] = (struct pin){reply->out->len, value, owner};
    reply->pinned_bytes += value.len;
    return true;
}

void reply_value_pinned(struct reply *reply, struct bytes value, void *owner)
{
    if (reply->dialect != DIALECT_TEXT) {
        size_t before = reply->out->len;
        append_header(reply, '$', value.len);
        if (add_pin(reply, value, owner)) {
            append_literal(reply, "\r\n");
            return;
        }
        reply->out->len = before;
    }
    reply_value(reply, value);
    reply->release(owner);
}

void reply_null(struct reply *reply)
{
    switch (reply->dialect) {
    case DIALECT_RESP2:
        buf_append(reply->out, "$-1\r\n", 5);
        break;
    case DIALECT_RESP3:
        buf_append(reply->out, "_\r\n", 3);
        break;
    case DIALECT_TEXT:
        text_word(reply, "(null)");
        break;
    }
}

void reply_null_list(struct reply *reply)
{
    if (reply->dialect == DIALECT_RESP2) {
        append_literal(reply, "*-1\r\n");
    } else {
        reply_null(reply);
    }
}

/* In the text dialect: its lines as they are (they end in \r\n or \n), then (end). */
static void text_lines(struct reply *reply, struct bytes text)
{
    size_t at = 0;
    while (at < text.len) {
        const char *end = memchr(text.data + at, '\n', text.len - at);
        size_t stop = end == NULL ? text.len : (size_t)(end - text.data);
        size_t len = stop - at;
        if (len > 0 && text.data[stop - 1] == '\r') {
            len--;
        }
        buf_append(reply->out, text.data + at, len);
        append_literal(reply, "\r\n");
        at = stop + 1;
    }
    append_literal(reply, "(end)");
    text_end_scalar(reply);
}

void reply_text(struct reply *reply, struct bytes text)
{
    switch (reply->dialect) {
    case DIALECT_RESP2:
        reply_value(reply, text);
        break;
    case DIALECT_RESP3:
        append_header(reply, '=', text.len + 4);
        append_literal(reply, "txt:");
        buf_append_bytes(reply->out, text);
        append_literal(reply, "\r\n");
        break;
    case DIALECT_TEXT:
        text_lines(reply, text);
        break;
    }
}

/* ---- errors ---- */

void reply_error_bytes(struct reply *reply, struct bytes error)
{
    while (error.len > 0 &&
           (error.data[error.len - 1] == '\r' || error.data[error.len - 1] == '\n')) {
        error.len--;
    }
    reply->errors++;
    struct buf *out = reply->out;
    append_literal(reply, reply->dialect == DIALECT_TEXT ? "(error) " : "-");
    size_t from = out->len;
    buf_append_bytes(out, error);
    for (size_t i = from; i < out->len; i++) {
        if (out->data[i] == '\r' || out->data[i] == '\n') {
            out->data[i] = ' ';
        }
    }
    if (reply->dialect == DIALECT_TEXT) {
        text_end_scalar(reply);
    } else {
        append_literal(reply, "\r\n");
    }
}

void reply_error(struct reply *reply, const char *error)
{
    reply_error_bytes(reply, bytes_of_string(error));
}

void reply_errorf(struct reply *reply, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    size_t shown = (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
    reply_error_bytes(reply, bytes_of(text, shown));
}

/* ---- lists ---- */

static void open_list(struct reply *reply, char resp3_type, size_t count,
                      size_t per_element)
{
    if (reply->dialect == DIALECT_TEXT) {
        text_open_list(reply, count * per_element, per_element == 2);
    } else if (reply->dialect == DIALECT_RESP3) {
        append_header(reply, resp3_type, count);
    } else {
        append_header(reply, '*', count * per_element);
    }
}

void reply_list(struct reply *reply, size_t count)
{
    open_list(reply, '*', count, 1);
}

void reply_map(struct reply *reply, size_t count)
{
    open_list(reply, '%', count, 2);
}

void reply_set(struct reply *reply, size_t count)
{
    open_list(reply, '~', count, 1);
}

void reply_push(struct reply *reply, size_t count)
{
    open_list(reply, '>', count, 1);
}

struct reply_mark reply_list_begin(struct reply *reply)
{
    struct reply_mark mark = {reply->out->len};
    if (reply->dialect == DIALECT_TEXT) {
        text_open_list(reply, SIZE_MAX, false);
    }
    return mark;
}

void reply_list_end(struct reply *reply, struct reply_mark mark, size_t count)
{
    if (reply->dialect == DIALECT_TEXT) {
        reply->levels[reply->depth - 1].left = 0;
        text_close_lists(reply);
        return;
    }
    char header[HEADER_BYTES_MAX];
    size_t len = (size_t)(put_header(header, '*', count) - header);
    struct buf *out = reply->out;
    if (out->failed || !buf_reserve(out, len)) {
        return;
    }
    memmove(out->data + mark.at + len, out->data + mark.at, out->len - mark.at);
    memcpy(out->data + mark.at, header, len);
    out->len += len;
    for (size_t i = 0; i < reply->pin_count; i++) {
        if (reply->pins[i].at >= mark.at) {
            reply->pins[i].at += len;
        }
    }
}
