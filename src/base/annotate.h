/* annotate.h - words the compilers check: what must be used, who holds which lock. */
#pragma once

#define MUST_USE __attribute__((warn_unused_result))
#define NORETURN __attribute__((noreturn))
#define PRINTF_LIKE(format_at, first_at) \
    __attribute__((format(printf, format_at, first_at)))
#define LIKELY(x)     __builtin_expect(!!(x), 1)
#define UNLIKELY(x)   __builtin_expect(!!(x), 0)
#define COLD          __attribute__((cold, noinline))
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define CACHE_ALIGNED __attribute__((aligned(64)))
#define ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))

#if defined(__clang__)
#define CAPABILITY(name)  __attribute__((capability(name)))
#define REQUIRES(...)     __attribute__((requires_capability(__VA_ARGS__)))
#define ACQUIRES(...)     __attribute__((acquire_capability(__VA_ARGS__)))
#define RELEASES(...)     __attribute__((release_capability(__VA_ARGS__)))
#define UNCHECKED_LOCKING __attribute__((no_thread_safety_analysis))
#else
#define CAPABILITY(name)
#define REQUIRES(...)
#define ACQUIRES(...)
#define RELEASES(...)
#define UNCHECKED_LOCKING
#endif
