#include "base/clock.h"

#include <time.h>

/* Milliseconds since 1970 that a test has chosen, negative while the clocks run. Atomic,
 * because a test turns it while threads read. */
static int64_t frozen_ms = -1;
static int64_t frozen_wall_ms = -1; /* the wall clock alone; it goes before the other */

static int64_t frozen(void)
{
    return __atomic_load_n(&frozen_ms, __ATOMIC_RELAXED);
}

static int64_t frozen_wall(void)
{
    int64_t ms = __atomic_load_n(&frozen_wall_ms, __ATOMIC_RELAXED);
    return ms >= 0 ? ms : frozen();
}

static uint64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now); /* these clocks exist on every Linux: it cannot fail */
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    int64_t ms = frozen_wall();
    return ms >= 0 ? ms : (int64_t)(now_ns(CLOCK_REALTIME) / 1000000);
}

int64_t clock_wall_us(void)
{
    int64_t ms = frozen_wall();
    return ms >= 0 ? ms * 1000 : (int64_t)(now_ns(CLOCK_REALTIME) / 1000);
}

uint64_t clock_monotonic_ns(void)
{
    int64_t ms = frozen();
    return ms >= 0 ? (uint64_t)ms * 1000000 : now_ns(CLOCK_MONOTONIC);
}

uint64_t clock_boot_ns(void)
{
    int64_t ms = frozen();
    return ms >= 0 ? (uint64_t)ms * 1000000 : now_ns(CLOCK_BOOTTIME);
}

uint64_t clock_thread_cpu_ns(void)
{
    return now_ns(CLOCK_THREAD_CPUTIME_ID);
}

void clock_freeze_ms(int64_t ms)
{
    __atomic_store_n(&frozen_wall_ms, -1, __ATOMIC_RELAXED);
    __atomic_store_n(&frozen_ms, ms, __ATOMIC_RELAXED);
}

void clock_freeze_wall_ms(int64_t ms)
{
    __atomic_store_n(&frozen_wall_ms, ms, __ATOMIC_RELAXED);
}
