/* load.h - the load: threads, each with an epoll loop over its own connections.
 *
 * A connection sends a batch of `pipeline` requests, waits for all their replies and sends
 * the next. A request's time runs from its batch's departure to the read that brought its
 * reply. Each connection draws its keys from a random sequence of its own: with one sequence
 * for all, caches would hide what a server's memory costs.
 *
 * May use:    base/, and the files below it: histogram, options, process, target, workload.
 * Thread:     main; it starts the others and joins them. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "histogram.h"
#include "options.h"
#include "process.h"
#include "target.h"
#include "workload.h"

#include <stdbool.h>
#include <stdint.h>

struct tally {
    uint64_t misses; /* keys that were not there; hits are the rest of latency.count */
    uint64_t errors; /* refused by the server */
    uint64_t wrong;  /* a value other than the key's, in a verified run */
    struct histogram latency;
};

/* What one phase, the loading or the run, came to. */
struct measure {
    double seconds;
    struct tally tallies[OPERATIONS];
    uint64_t lost; /* connections that ended before their time */
    char first_error[TARGET_ERROR_BYTES];
    bool has_server; /* server_cpu was readable at both ends */
    struct cpu_time server_cpu, client_cpu;
};
uint64_t measure_requests(const struct measure *measure);
uint64_t measure_errors(
    const struct measure *measure); /* and wrong values and the lost */

struct load;
/* Connects everything. NULL with `error` (TARGET_ERROR_BYTES) saying why. */
struct load *load_create(const struct options *options, const struct target *target,
                         const struct workload *workload, char *error);
void load_destroy(struct load *load);

/* SETs every key once, in order. ERR_NO_MEMORY, or OK whatever the server said. */
MUST_USE enum memento_status load_fill(struct load *load, struct measure *measure);
/* The warm-up, then the measured run, by the options. */
MUST_USE enum memento_status load_run(struct load *load, struct measure *measure);
/* A signal came: the phase under way ends early, later ones do not begin. Any thread, and
 * signal handlers. */
void load_interrupt(void);
bool load_is_interrupted(void);
