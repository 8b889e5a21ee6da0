/* bytes.h - a view of bytes that somebody else owns: passed by value, never freed. */
#pragma once

#include "base/annotate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const char *data; /* may be NULL when len is 0 */
    size_t len;
};

/* A view of a string literal, without its terminating NUL. */
#define BYTES(literal) ((struct bytes){"" literal, sizeof(literal) - 1})

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){(const char *)data, len};
}

/* A view of a NUL-terminated string. */
static inline struct bytes bytes_of_string(const char *string)
{
    return (struct bytes){string, strlen(string)};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Equal but for the case of ASCII letters. */
bool bytes_equal_nocase(struct bytes a, struct bytes b);

/* The same against a string literal or C string: bytes_is(word, "EX"). */
bool bytes_is(struct bytes word, const char *string);

/* Order as memcmp gives it; a prefix comes first. */
int bytes_compare(struct bytes a, struct bytes b);

/* Equal, in a time that depends on the length of `given` only: for secrets. */
bool bytes_equal_constant_time(struct bytes given, struct bytes secret);

bool bytes_start_with(struct bytes text, struct bytes prefix);
