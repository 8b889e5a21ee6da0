/* nearest.h - "did you mean": the known name that a mistyped one is nearest to. Pure. */
#pragma once

#include "base/bytes.h"

#include <stddef.h>

/* The name of `names[0..count)` with the smallest edit distance, when that is small
 * enough to be a likely slip (at most a third of the longer word, and 3); otherwise NULL.
 * Of equals the first. A byte added, dropped, replaced or swapped with its neighbour
 * counts one, upper and lower case are the same. */
const char *nearest_name(struct bytes given, const char *const *names, size_t count);
