/* clock.h - the time, and the place that asks for it.
 *
 * Deadlines and creation times are wall-clock milliseconds since 1970, so that they
 * survive a restart. Durations are measured with the monotonic clock. Tests own both. */
#pragma once

#include <stdint.h>

int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);
uint64_t clock_monotonic_ns(void);
/* As the monotonic clock, but it goes on while the machine is suspended. */
uint64_t clock_boot_ns(void);
/* CPU time of the calling thread. */
uint64_t clock_thread_cpu_ns(void);

/* Tests only: freezes the wall clock at `ms` and the monotonic and boot clocks at the same
 * distance from 0; negative lets them all run again. */
void clock_freeze_ms(int64_t ms);
/* Tests only: puts the wall clock elsewhere, until clock_freeze_ms or a negative `ms`. */
void clock_freeze_wall_ms(int64_t ms);
