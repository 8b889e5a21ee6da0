/* ttl_clock.h - wall time that never goes back.
 *
 * Deadlines on disk are wall-clock milliseconds. A wall clock may be set: back (a key that has
 * expired would return) or forth. This clock begins at the wall clock's time or the newest time
 * ever seen on disk, whichever is later, and then advances with CLOCK_BOOTTIME, which counts
 * through suspend and cannot be set. When the wall clock is behind it, it advances at nine tenths
 * of the speed until they agree again; when the wall clock is ahead by more than a second, it
 * follows at once. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct ttl_clock {
    _Atomic uint32_t sequence; /* odd while the three below are being changed */
    _Atomic int64_t base_ms;   /* what it says ... */
    _Atomic uint64_t base_ns;  /* ... at this boot time */
    _Atomic uint32_t tenths;   /* speed: 10 of 10, or 9 */
};

/* Before threads use it. `newest_ms`: the newest time on disk, or 0. */
void ttl_clock_init(struct ttl_clock *clock, int64_t newest_ms);
/* Any thread. */
int64_t ttl_clock_ms(const struct ttl_clock *clock);
/* One thread, a few times a second: compares with the wall clock. How many milliseconds the
 * clock was set forth: 0 almost always. */
int64_t ttl_clock_follow(struct ttl_clock *clock);
