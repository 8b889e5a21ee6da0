/* moment.h - the moment that a restore names, of a server or by memento-check: a frame of the log,
 * or a time.
 *
 *     seq:1234                   frames up to this number
 *     2026-01-31T12:34:56Z       UTC, with or without a fraction of milliseconds
 *     1769862896                 unix seconds; from 10^11 on, milliseconds */
#pragma once

#include "base/bytes.h"
#include "log/archive.h"

#include <stdbool.h>
#include <stdint.h>

bool moment_parse(struct bytes text, struct archive_limit *limit);
/* A time only. */
bool moment_parse_time(struct bytes text, int64_t *wall_ms);
