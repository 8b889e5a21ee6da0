/* classic.h - the report memento-benchmark has always printed: four parts, one request in
 * flight at a time, elapsed time by the clock on the wall.
 *
 * May use:    base/, target, options, scanner.
 * Thread:     main; it starts the ten of the last part and joins them. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "target.h"

/* Prints as it goes. ERR_IO with `error` (TARGET_ERROR_BYTES) saying why it stopped. */
MUST_USE enum memento_status classic_run(const struct target *target, char *error);
