/* trace.h - lines for the operator: [INF][2026-01-31 12-34-56] - text
 *
 * One line an event, control bytes escaped as \xNN, at most TRACE_BYTES_MAX bytes.
 * Written with one write, to stdout until trace_open. Any thread. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/bytes.h"

#define TRACE_BYTES_MAX 1024

enum trace_level { TRACE_DEBUG, TRACE_INFO, TRACE_WARNING, TRACE_ERROR, TRACE_NOTHING };

/* Lines below this level are dropped. Any thread. */
void trace_set_level(enum trace_level level);
enum trace_level trace_level(void);
/* "debug" "info" "warning" "error" "nothing" (and Redis' verbose, notice). */
bool trace_parse_level(struct bytes word, enum trace_level *level);
const char *trace_level_name(enum trace_level level);

/* Appends to `path` (0600), or stdout for NULL or "". The main thread. trace_reopen opens
 * the same path again, after somebody has moved the file away. */
MUST_USE enum memento_status trace_open(const char *path);
MUST_USE enum memento_status trace_reopen(void);

void trace_debug(const char *format, ...) PRINTF_LIKE(1, 2);
void trace_info(const char *format, ...) PRINTF_LIKE(1, 2);
void trace_warning(const char *format, ...) PRINTF_LIKE(1, 2);
void trace_error(const char *format, ...) PRINTF_LIKE(1, 2);
