/* no_memory.h - for tests that make allocations fail. Armed failures are plain words that the
 * pool's thread reads while it faults memory in, so such a test is not one for
 * ThreadSanitizer; all other builds run it. */
#pragma once

#include "base/os.h"
#include "support/test.h"

#include <errno.h>

#if defined(__SANITIZE_THREAD__)
#define SKIP_UNDER_THREAD_SANITIZER() ((void)0)
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SKIP_UNDER_THREAD_SANITIZER() ((void)0)
#endif
#endif
#ifndef SKIP_UNDER_THREAD_SANITIZER
#define SKIP_UNDER_THREAD_SANITIZER() ((void)0)
#endif
