/* probe.h - one GET a millisecond on a connection of its own, to see a server stall.
 *
 * The next slot begins when the last reply is there: slots that passed meanwhile are skipped,
 * so a stall is one sample of its length and not a heap of samples about the same event.
 *
 * May use:    base/, histogram, load (its stop flag), options, target, workload.
 * Thread:     main. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "histogram.h"
#include "options.h"
#include "target.h"
#include "workload.h"

#define PROBE_STALLS_MAX 10

struct stall {
    double at_s; /* since the probe began */
    uint64_t duration_ns;
};

struct probe {
    struct histogram latency;
    uint64_t skipped, misses;
    double seconds;
    struct stall stalls[PROBE_STALLS_MAX]; /* the longest, longest first */
    unsigned stall_count;
    char error[TARGET_ERROR_BYTES]; /* empty when all went well */
};
/* Runs for options->seconds, or until load_interrupt when that is 0. What it saw is in
 * `probe` even when it fails. */
MUST_USE enum memento_status probe_run(struct probe *probe, const struct options *options,
                                       const struct target *target,
                                       const struct workload *workload);
