/* buf.h - bytes that grow, owned by whoever holds the struct.
 *
 * Appending never reports: when memory runs out the buffer becomes `failed`, keeps what
 * it has and swallows the rest, and its owner asks once at the end. */
#pragma once

#include "base/annotate.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max; /* growing beyond it fails as running out of memory does; 0: no limit */
    bool failed;
};

void buf_init(struct buf *buf);
void buf_fini(struct buf *buf);
/* Empty again; memory is kept unless it is more than `keep_bytes`. Clears `failed`. */
void buf_reset(struct buf *buf, size_t keep_bytes);

/* Makes room for `more` bytes after len: false (and failed) without memory. */
bool buf_grow(struct buf *buf, size_t more);
static inline bool buf_reserve(struct buf *buf, size_t more)
{
    return LIKELY(buf->cap - buf->len >= more) || buf_grow(buf, more);
}

static inline void buf_append(struct buf *buf, const void *data, size_t len)
{
    if (LIKELY(buf_reserve(buf, len)) && len > 0) {
        memcpy(buf->data + buf->len, data, len);
        buf->len += len;
    }
}

static inline void buf_append_bytes(struct buf *buf, struct bytes bytes)
{
    buf_append(buf, bytes.data, bytes.len);
}

static inline void buf_append_char(struct buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void buf_append_string(struct buf *buf, const char *string);
void buf_append_integer(struct buf *buf, int64_t value);
void buf_appendf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* Drops the first `count` bytes. */
void buf_consume(struct buf *buf, size_t count);

static inline struct bytes buf_bytes(const struct buf *buf)
{
    return bytes_of(buf->data, buf->len);
}

/* Appends a NUL that does not count and gives the C string; "" when memory runs out. */
const char *buf_c_string(struct buf *buf);
