#include "probe.h"

#include "base/clock.h"
#include "base/os.h"
#include "base/random.h"
#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#define SLOT_NS 1000000ULL

/* Enough to be run before the load generator on a machine that has few cores. Needs a right
 * that not everybody has; without it the probe is noisier and still honest. */
#define PROBE_NICE (-15)

static void sleep_until(uint64_t time_ns)
{
    struct timespec time = {.tv_sec = (time_t)(time_ns / 1000000000),
                            .tv_nsec = (long)(time_ns % 1000000000)};
    /* A signal ends the sleep early; the loop looks at the flag it set. */
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

/* Keeps the list of the longest sorted. */
static void note_stall(struct probe *probe, double at_s, uint64_t duration_ns)
{
    unsigned at = probe->stall_count;
    while (at > 0 && probe->stalls[at - 1].duration_ns < duration_ns) {
        at--;
    }
    if (at == PROBE_STALLS_MAX) {
        return;
    }
    if (probe->stall_count < PROBE_STALLS_MAX) {
        probe->stall_count++;
    }
    memmove(&probe->stalls[at + 1], &probe->stalls[at],
            (probe->stall_count - at - 1) * sizeof(probe->stalls[0]));
    probe->stalls[at] = (struct stall){.at_s = at_s, .duration_ns = duration_ns};
}

/* One request and its reply. False, with probe->error, when that was the last. */
static bool ask(struct probe *probe, int fd, struct scanner *scanner,
                const struct batch *batch)
{
    enum memento_status status = target_write(fd, batch->data, batch->len);
    if (status == MEMENTO_OK) {
        status = target_read(fd, scanner);
    }
    if (status != MEMENTO_OK && load_is_interrupted()) {
        return false;
    }
    if (status != MEMENTO_OK) {
        snprintf(probe->error, sizeof(probe->error), "%s",
                 status == MEMENTO_CLOSED ? "the server closed the connection"
                                          : "no sensible reply came");
        return false;
    }
    if (scanner->outcome == OUTCOME_ERROR) {
        snprintf(probe->error, sizeof(probe->error), "%s", scanner->line);
        return false;
    }
    probe->misses += scanner->outcome == OUTCOME_MISS;
    return true;
}

static void watch(struct probe *probe, int fd, const struct options *options,
                  const struct workload *workload, struct batch *batch)
{
    struct scanner scanner;
    struct random random;
    scanner_init(&scanner, options->dialect);
    random_init(&random, options->seed);
    uint64_t start_ns = clock_monotonic_ns();
    uint64_t end_ns =
        options->seconds > 0 ? start_ns + (uint64_t)(options->seconds * 1e9) : UINT64_MAX;
    uint64_t slot_ns = start_ns;
    uint64_t now_ns = start_ns;
    while (!load_is_interrupted() && now_ns < end_ns) {
        slot_ns += SLOT_NS;
        if (now_ns >= slot_ns + SLOT_NS) {
            uint64_t late = (now_ns - slot_ns) / SLOT_NS;
            probe->skipped += late;
            slot_ns += late * SLOT_NS;
        }
        sleep_until(slot_ns);
        batch_clear(batch);
        batch_append(batch, workload, OPERATION_GET,
                     random_below(&random, workload->keyspace));
        uint64_t sent_ns = clock_monotonic_ns();
        if (!ask(probe, fd, &scanner, batch)) {
            break;
        }
        now_ns = clock_monotonic_ns();
        histogram_record(&probe->latency, now_ns - sent_ns, 1);
        note_stall(probe, (double)(sent_ns - start_ns) / 1e9, now_ns - sent_ns);
    }
    probe->seconds = (double)(now_ns - start_ns) / 1e9;
}

enum memento_status probe_run(struct probe *probe, const struct options *options,
                              const struct target *target,
                              const struct workload *workload)
{
    memset(probe, 0, sizeof(*probe));
    int fd = target_connect(target, probe->error);
    if (fd < 0) {
        return MEMENTO_ERR_IO;
    }
    struct batch batch;
    enum memento_status status = batch_init(&batch, workload, OPERATION_GET, 1);
    if (status == MEMENTO_OK) {
        setpriority(PRIO_PROCESS, 0, PROBE_NICE);
        prctl(PR_SET_TIMERSLACK, 1UL);
        watch(probe, fd, options, workload, &batch);
        status = probe->error[0] == '\0' ? MEMENTO_OK : MEMENTO_ERR_IO;
    } else {
        snprintf(probe->error, sizeof(probe->error), "out of memory");
    }
    batch_fini(&batch);
    os_close(fd);
    return status;
}
