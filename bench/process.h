/* process.h - the CPU time of the server's process, and of this one.
 *
 * May use:    base/.
 * Thread:     any. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"

#include <stdint.h>

struct cpu_time {
    double user_us, system_us; /* since the process began, of all its threads */
};

/* From /proc/PID/stat, which counts in steps of 10 ms. NOT_FOUND without such a process. */
MUST_USE enum memento_status process_cpu_time(uint64_t pid, struct cpu_time *time);
struct cpu_time process_own_cpu_time(void);
static inline struct cpu_time cpu_time_since(struct cpu_time now, struct cpu_time then)
{
    return (struct cpu_time){.user_us = now.user_us - then.user_us,
                             .system_us = now.system_us - then.system_us};
}
