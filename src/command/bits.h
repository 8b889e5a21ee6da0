/* bits.h - bytes seen as a row of bits, the highest bit of the first byte being bit 0.
 * Pure.
 *
 * May use:    base/. */
#pragma once

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many bits are set from `first` to `last`, both inside the bytes, both inclusive. */
uint64_t bits_count(struct bytes bytes, uint64_t first, uint64_t last);
/* The first bit that is `bit`, from `first` to `last` inclusive; -1 when there is
 * none. */
int64_t bits_find(struct bytes bytes, uint64_t first, uint64_t last, bool bit);

/* The number in `width` bits (1 to 64) from `offset` on; bits beyond the bytes are 0. */
uint64_t bits_read(struct bytes bytes, uint64_t offset, unsigned width);
/* Writes the low `width` bits of `number`; all of them lie inside the bytes. */
void bits_write(char *bytes, uint64_t offset, unsigned width, uint64_t number);

enum bits_operation { BITS_AND, BITS_OR, BITS_XOR, BITS_NOT };
/* target = target OP source, byte by byte; a source that is shorter counts as followed by
 * zeros. NOT takes the source alone. source.len <= target_len. */
void bits_combine(enum bits_operation operation, char *target, size_t target_len,
                  struct bytes source);
