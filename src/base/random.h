/* random.h - seeds from the kernel, and a fast generator for what is not a secret. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"

#include <stddef.h>
#include <stdint.h>

/* Fills with unpredictable bytes (getrandom). Any thread. */
MUST_USE enum memento_status random_bytes(void *data, size_t size);

/* A deterministic generator: the same seed gives the same numbers. Its owner's thread. */
struct random {
    uint64_t state[2];
};
void random_init(struct random *random, uint64_t seed);
uint64_t random_next(struct random *random);
/* Uniform in [0, bound), bound > 0. */
uint64_t random_below(struct random *random, uint64_t bound);
