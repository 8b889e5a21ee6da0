#include "base/buf.h"

#include "base/check.h"
#include "base/heap.h"
#include "base/number.h"

#include <stdarg.h>
#include <stdio.h>

/* The first block of a buffer: most answers fit, and it is one cache line. */
#define BUF_BYTES_MIN 64

void buf_init(struct buf *buf)
{
    *buf = (struct buf){0};
}

void buf_fini(struct buf *buf)
{
    heap_free(buf->data);
    buf_init(buf);
}

void buf_reset(struct buf *buf, size_t keep_bytes)
{
    if (buf->cap > keep_bytes) {
        buf_fini(buf);
    }
    buf->len = 0;
    buf->failed = false;
}

/* Forgets the room that is left, so that a later, smaller append cannot slip in behind
 * the hole that this one left. */
static bool fail(struct buf *buf)
{
    buf->failed = true;
    buf->cap = buf->len;
    return false;
}

bool buf_grow(struct buf *buf, size_t more)
{
    if (buf->failed || more > SIZE_MAX - buf->len) {
        return fail(buf);
    }
    size_t needed = buf->len + more;
    if (buf->max != 0 && needed > buf->max) {
        return fail(buf);
    }
    size_t cap = buf->cap > SIZE_MAX / 2 ? SIZE_MAX : buf->cap * 2;
    if (cap < BUF_BYTES_MIN) {
        cap = BUF_BYTES_MIN;
    }
    if (cap < needed) {
        cap = needed;
    }
    if (buf->max != 0 && cap > buf->max) {
        cap = buf->max;
    }
    char *data = heap_realloc(buf->data, cap);
    if (data == NULL) {
        return fail(buf);
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void buf_append_string(struct buf *buf, const char *string)
{
    buf_append(buf, string, strlen(string));
}

void buf_append_integer(struct buf *buf, int64_t value)
{
    if (buf_reserve(buf, NUMBER_SHORT_MAX)) {
        buf->len += number_format_int64(buf->data + buf->len, value);
    }
}

void buf_appendf(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (len < 0 || !buf_reserve(buf, (size_t)len + 1)) { /* vsnprintf writes a NUL too */
        (void)fail(buf);
        return;
    }
    va_start(arguments, format);
    vsnprintf(buf->data + buf->len, (size_t)len + 1, format, arguments);
    va_end(arguments);
    buf->len += (size_t)len;
}

void buf_consume(struct buf *buf, size_t count)
{
    CHECK(count <= buf->len);
    if (count == 0) {
        return;
    }
    buf->len -= count;
    memmove(buf->data, buf->data + count, buf->len);
    if (buf->failed) {
        (void)fail(buf); /* still nothing may follow */
    }
}

const char *buf_c_string(struct buf *buf)
{
    if (!buf_reserve(buf, 1)) {
        return "";
    }
    buf->data[buf->len] = '\0';
    return buf->data;
}
