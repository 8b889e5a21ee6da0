/* hash.h - the keyed hash of keys: SipHash-1-3, whose key is drawn at every start, so
 * that nobody outside can choose keys that collide. */
#pragma once

#include "base/bytes.h"

#include <stdint.h>

struct hash_seed {
    uint64_t k0, k1;
};

/* Any thread, pure. */
uint64_t hash_bytes(const struct hash_seed *seed, struct bytes bytes);
