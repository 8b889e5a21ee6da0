/* check.h - what must be true, or the program stops before it can damage anything.
 *
 * CHECK stays in release builds: it guards the data. DCHECK may be expensive and is
 * compiled into debug and sanitizer builds only. Bytes that come from outside (a socket,
 * a file, the command line) are never checked this way: they are answered. */
#pragma once

#include "base/annotate.h"

/* Any thread. Prints the file, line and condition to stderr and aborts. */
NORETURN COLD void check_failed(const char *file, int line, const char *condition);

#define CHECK(condition)                                  \
    do {                                                  \
        if (UNLIKELY(!(condition))) {                     \
            check_failed(__FILE__, __LINE__, #condition); \
        }                                                 \
    } while (0)

#ifdef NDEBUG
#define DCHECK(condition)        \
    do {                         \
        (void)sizeof(condition); \
    } while (0)
#else
#define DCHECK(condition) CHECK(condition)
#endif
