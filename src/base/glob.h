/* glob.h - patterns of KEYS and SCAN: * ? [abc] [^a-z] \x. Iterative, and bounded:
 * matching takes at most length of pattern times length of text steps. Pure.
 *
 * Patterns mean what they mean in Redis, the odd ones too, but that "**" matches the
 * empty text as "*" does. */
#pragma once

#include "base/annotate.h"
#include "base/bytes.h"

#include <stdbool.h>

MUST_USE bool glob_match(struct bytes pattern, struct bytes text, bool ignore_case);
/* The same, and the bytes of the pattern that were held against a byte of the text. */
MUST_USE bool glob_match_counted(struct bytes pattern, struct bytes text,
                                 bool ignore_case, size_t *steps);
/* True when the pattern matches everything (only stars). */
bool glob_is_everything(struct bytes pattern);
