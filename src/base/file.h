/* file.h - whole small files. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"

/* Appends the whole file, refusing one over `max_bytes` (ERR_TOO_LARGE); errno tells why
 * on ERR_IO. */
MUST_USE enum memento_status file_read_all(const char *path, size_t max_bytes,
                                           struct buf *out);
