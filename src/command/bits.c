#include "command/bits.h"

#include "base/check.h"

#include <string.h>

static inline uint64_t word_at(const char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

/* ---- counting ---- */

/* Four counts at a time, which the processor does side by side. Always inlined, so
 * that it is compiled for the processor of whoever calls it. */
static ALWAYS_INLINE uint64_t count_words(const char *data, size_t len)
{
    uint64_t a = 0, b = 0, c = 0, d = 0;
    size_t at = 0;
    for (; at + 32 <= len; at += 32) {
        a += (uint64_t)__builtin_popcountll(word_at(data + at));
        b += (uint64_t)__builtin_popcountll(word_at(data + at + 8));
        c += (uint64_t)__builtin_popcountll(word_at(data + at + 16));
        d += (uint64_t)__builtin_popcountll(word_at(data + at + 24));
    }
    for (; at + 8 <= len; at += 8) {
        a += (uint64_t)__builtin_popcountll(word_at(data + at));
    }
    for (; at < len; at++) {
        a += (uint64_t)__builtin_popcountll((unsigned char)data[at]);
    }
    return a + b + c + d;
}

#if defined(__x86_64__) && !defined(__POPCNT__)
/* Every processor of the last fifteen years has the instruction, but the baseline of the
 * architecture does not. */
__attribute__((target("popcnt"))) static uint64_t count_with_popcnt(const char *data,
                                                                    size_t len)
{
    return count_words(data, len);
}

static uint64_t count_bytes(const char *data, size_t len)
{
    return __builtin_cpu_supports("popcnt") ? count_with_popcnt(data, len)
                                            : count_words(data, len);
}
#else
static uint64_t count_bytes(const char *data, size_t len)
{
    return count_words(data, len);
}
#endif

/* The bits of the byte of `first` that are not before it. */
static inline unsigned mask_from(uint64_t first)
{
    return 0xffu >> (first & 7);
}

/* The bits of the byte of `last` that are not behind it. */
static inline unsigned mask_to(uint64_t last)
{
    return 0xffu << (7 - (last & 7)) & 0xffu;
}

uint64_t bits_count(struct bytes bytes, uint64_t first, uint64_t last)
{
    size_t from = (size_t)(first >> 3), to = (size_t)(last >> 3);
    CHECK(first <= last && to < bytes.len);
    uint64_t count = count_bytes(bytes.data + from, to - from + 1);
    unsigned before = (unsigned char)bytes.data[from] & ~mask_from(first);
    unsigned behind = (unsigned char)bytes.data[to] & ~mask_to(last);
    return count - (uint64_t)__builtin_popcount(before) -
           (uint64_t)__builtin_popcount(behind);
}

/* ---- finding ---- */

/* The first byte of [from, to) that is not `skipped`; `to` when all are. */
static size_t find_other_byte(const char *data, size_t from, size_t to,
                              unsigned char skipped)
{
    uint64_t word = skipped * 0x0101010101010101u;
    while (from + 8 <= to && word_at(data + from) == word) {
        from += 8;
    }
    while (from < to && (unsigned char)data[from] == skipped) {
        from++;
    }
    return from;
}

int64_t bits_find(struct bytes bytes, uint64_t first, uint64_t last, bool bit)
{
    size_t from = (size_t)(first >> 3), to = (size_t)(last >> 3);
    CHECK(first <= last && to < bytes.len);
    /* Looking for a 0 is looking for a 1 in the complement. */
    unsigned char flip = bit ? 0x00 : 0xff;
    unsigned mask = mask_from(first);
    for (size_t at = from; at <= to; mask = 0xff) {
        if (at == to) {
            mask &= mask_to(last);
        }
        unsigned found = ((unsigned char)bytes.data[at] ^ flip) & mask;
        if (found != 0) {
            unsigned zeros_before = (unsigned)__builtin_clz(found) - 24; /* of a byte */
            return (int64_t)at * 8 + zeros_before;
        }
        at = at < to ? find_other_byte(bytes.data, at + 1, to, flip) : to + 1;
    }
    return -1;
}

/* ---- numbers ---- */

uint64_t bits_read(struct bytes bytes, uint64_t offset, unsigned width)
{
    uint64_t number = 0;
    while (width > 0) {
        size_t at = (size_t)(offset >> 3);
        unsigned skip = (unsigned)(offset & 7);
        unsigned take = width < 8 - skip ? width : 8 - skip;
        unsigned byte = at < bytes.len ? (unsigned char)bytes.data[at] : 0;
        number = number << take | (byte >> (8 - skip - take) & ((1u << take) - 1));
        offset += take;
        width -= take;
    }
    return number;
}

void bits_write(char *bytes, uint64_t offset, unsigned width, uint64_t number)
{
    while (width > 0) {
        unsigned skip = (unsigned)(offset & 7);
        unsigned take = width < 8 - skip ? width : 8 - skip;
        unsigned shift = 8 - skip - take;
        unsigned mask = ((1u << take) - 1) << shift;
        unsigned part = (unsigned)(number >> (width - take)) << shift & mask;
        char *byte = &bytes[offset >> 3];
        *byte = (char)(((unsigned char)*byte & ~mask) | part);
        offset += take;
        width -= take;
    }
}

/* ---- combining ---- */

/* One word in, one word out; the same for the bytes that are left at the end. */
#define COMBINE(expression)                                                       \
    do {                                                                          \
        size_t at = 0;                                                            \
        for (; at + 8 <= source.len; at += 8) {                                   \
            uint64_t old = word_at(target + at), new = word_at(source.data + at); \
            (void)old;                                                            \
            uint64_t word = (expression);                                         \
            memcpy(target + at, &word, sizeof(word));                             \
        }                                                                         \
        for (; at < source.len; at++) {                                           \
            unsigned old = (unsigned char)target[at];                             \
            unsigned new = (unsigned char)source.data[at];                        \
            (void)old;                                                            \
            target[at] = (char)(expression);                                      \
        }                                                                         \
    } while (0)

void bits_combine(enum bits_operation operation, char *target, size_t target_len,
                  struct bytes source)
{
    CHECK(source.len <= target_len);
    switch (operation) {
    case BITS_AND:
        COMBINE(old & new);
        memset(target + source.len, 0, target_len - source.len);
        return;
    case BITS_OR:
        COMBINE(old | new);
        return;
    case BITS_XOR:
        COMBINE(old ^ new);
        return;
    case BITS_NOT:
        COMBINE(~new);
        memset(target + source.len, 0xff, target_len - source.len);
        return;
    }
}
