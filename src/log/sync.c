/* sync.c - the thread that makes the log durable, and the state the log is in; see log.h.
 *
 * Only this thread calls fdatasync on a segment in use, on the descriptor that wrote it. After a
 * failure the kernel may take the lost pages for clean, so a second attempt would say nothing:
 * the log has failed, for good, until a snapshot of memory is in new files. */
#include "base/check.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "base/trace.h"
#include "log/running.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* After so long without writes a mark says how far the log is durable. */
#define MARK_MS 100
/* A sync that is wanted when there is nothing to sync: somebody waits for the clock, or for a
 * writer in the middle of a turn. */
#define NAP_NS 500000

#define NS_A_MS 1000000u

/* ---- state ---- */

enum log_state log_state(const struct log *log)
{
    return (enum log_state)atomic_load_explicit(&log->state, memory_order_acquire);
}

void log_set_state(struct log *log, enum log_state state, const char *reason)
{
    lock_acquire(&log->sync_lock);
    enum log_state before = log_state(log);
    bool changes = before != state && before != LOG_FAILED;
    if (changes) {
        snprintf(log->reason, sizeof(log->reason), "%s", reason);
        atomic_store(&log->state, state);
        pthread_cond_broadcast(&log->sync_done);
    }
    lock_release(&log->sync_lock);
    if (!changes) {
        return;
    }
    if (state == LOG_READY) {
        trace_info("the log takes writes again");
    } else {
        trace_error(
            "%s: %s", reason,
            state == LOG_FAILED
                ? "writes are refused, reads go on; LOG REOPEN or a restart repairs it"
                : "writes are refused but deletions, until there is space");
        log_wake_writers(log, true);
    }
}

void log_fail(struct log *log, const char *what, int error)
{
    char reason[200];
    snprintf(reason, sizeof(reason), "%s failed: %s", what, strerror(error));
    log_set_state(log, LOG_FAILED, reason);
}

void log_state_reason(struct log *log, struct buf *out)
{
    lock_acquire(&log->sync_lock);
    buf_append_string(out, log->reason);
    lock_release(&log->sync_lock);
}

/* ---- what has been reached ---- */

uint64_t log_written_end(const struct log *log)
{
    return atomic_load_explicit(&log->written_end, memory_order_acquire);
}

uint64_t log_durable_end(const struct log *log)
{
    return atomic_load_explicit(&log->durable_end, memory_order_acquire);
}

uint64_t log_settled_version(const struct log *log)
{
    return atomic_load_explicit(&log->settled, memory_order_acquire);
}

static enum log_policy policy_of(const struct log *log)
{
    return (enum log_policy)atomic_load_explicit(&log->policy, memory_order_relaxed);
}

void log_set_policy(struct log *log, enum log_policy policy)
{
    atomic_store(&log->policy, (int)policy);
    log_wake_sync(log);
}

/* When the oldest write was made that is not durable; 0: all are. */
uint64_t log_oldest_unsynced_ns(const struct log *log)
{
    uint64_t unsynced_ns = atomic_load(&log->unsynced_ns);
    uint64_t syncing_ns = atomic_load(&log->syncing_ns);
    return syncing_ns != 0 ? syncing_ns : unsynced_ns;
}

bool log_is_overdue(const struct log *log)
{
    uint64_t oldest_ns = log_oldest_unsynced_ns(log);
    return policy_of(log) == LOG_EVERYSEC && oldest_ns != 0 &&
           clock_monotonic_ns() - oldest_ns >
               (uint64_t)log->options.max_unsynced_ms * NS_A_MS;
}

bool log_is_crowded(const struct log *log)
{
    return atomic_load_explicit(&log->queued_bytes, memory_order_relaxed) >
           log->options.buffer_bytes_max;
}

/* ---- waking ---- */

void log_wake_sync(struct log *log)
{
    if (atomic_load(&log->is_sync_asleep)) {
        lock_acquire(&log->sync_lock);
        pthread_cond_signal(&log->sync_wanted);
        lock_release(&log->sync_lock);
    }
}

void log_want_sync(struct log_writer *writer)
{
    struct log *log = writer->log;
    atomic_store(&writer->waits, true);
    atomic_store(&log->is_wanted, true);
    log_wake_sync(log);
}

void log_wake_writers(struct log *log, bool all)
{
    lock_acquire(&log->writers_lock);
    for (struct log_writer *writer = log->writers; writer != NULL;
         writer = writer->next) {
        if (atomic_exchange(&writer->waits, false) || all) {
            writer->wake(writer->context);
        }
    }
    lock_release(&log->writers_lock);
}

/* ---- one sync ---- */

/* No change that is still to be written has a version below it: the clock is read first, so a
 * writer that is idle afterwards, or wakes later, gives later versions. */
static uint64_t lowest_unwritten(struct log *log)
{
    uint64_t lowest = (uint64_t)log->options.now_ms(log->options.context)
                      << LOG_VERSION_SHIFT;
    atomic_thread_fence(memory_order_seq_cst);
    lock_acquire(&log->writers_lock);
    for (const struct log_writer *writer = log->writers; writer != NULL;
         writer = writer->next) {
        uint64_t floor = atomic_load(&writer->floor);
        lowest = floor < lowest ? floor : lowest;
    }
    lock_release(&log->writers_lock);
    return lowest;
}

/* What one sync makes durable. */
struct sync_round {
    uint64_t lowest; /* versions below it */
    uint64_t end;
    uint64_t bytes;
    struct segment *sealed; /* to be synced first, and closed */
    int fd;
    bool has_unsynced, may_sync;
};

static void begin_round(struct log *log, struct sync_round *round)
{
    atomic_store(&log->is_wanted, false);
    round->lowest = lowest_unwritten(log);
    lock_acquire(&log->append);
    round->end = atomic_load(&log->written_end);
    round->bytes = atomic_load(&log->written_bytes);
    round->sealed = log->sealed;
    round->fd = log->active->fd;
    round->may_sync = log_state(log) != LOG_FAILED;
    round->has_unsynced =
        round->end != atomic_load(&log->durable_end) || log->sealed != NULL;
    log->sealed = NULL;
    log->unsynced_bytes = 0;
    atomic_store(&log->is_much_unsynced, false);
    if (round->has_unsynced) {
        /* In this order, and read in the other one: never do both look as if all were synced. */
        atomic_store(&log->syncing_ns, atomic_load(&log->unsynced_ns));
        atomic_store(&log->unsynced_ns, 0);
    }
    /* Under `append`, so that whoever makes the log fail there and then waits for us sees it. */
    lock_acquire(&log->sync_lock);
    log->is_syncing = true;
    lock_release(&log->sync_lock);
    log_append_release(log);
}

static bool sync_files(struct log *log, struct sync_round *round)
{
    for (const struct segment *segment = round->sealed; segment != NULL;
         segment = segment->next) {
        if (os_file_sync_data(segment->fd) != 0) {
            log_fail(log, "syncing a segment", errno);
            return false;
        }
    }
    if (os_file_sync_data(round->fd) != 0) {
        log_fail(log, "syncing a segment", errno);
        return false;
    }
    return true;
}

static void note_sync(struct log *log, const struct sync_round *round, uint64_t began_ns)
{
    uint64_t took_us = (clock_monotonic_ns() - began_ns) / 1000;
    atomic_fetch_add(&log->syncs, 1);
    atomic_store(&log->last_sync_ms, clock_wall_ms());
    atomic_store(&log->durable_bytes, round->bytes);
    atomic_store(&log->syncing_ns, 0);
    lock_acquire(&log->sync_lock);
    log->sync_us[log->sync_samples++ % SYNC_SAMPLES] =
        took_us > UINT32_MAX ? UINT32_MAX : (uint32_t)took_us;
    lock_release(&log->sync_lock);
}

/* Those who wait see it; descriptors are nobody's any more. */
static void end_round(struct log *log, const struct sync_round *round, bool ok)
{
    if (ok) {
        atomic_store(&log->durable_end, round->end);
        if (round->lowest > 0 && round->lowest - 1 > atomic_load(&log->settled)) {
            atomic_store(&log->settled, round->lowest - 1);
        }
    }
    lock_acquire(&log->sync_lock);
    log->is_syncing = false;
    pthread_cond_broadcast(&log->sync_done);
    lock_release(&log->sync_lock);
    log_wake_writers(log, !ok);
}

static void sync_round(struct log *log)
{
    struct sync_round round;
    begin_round(log, &round);
    bool ok = round.may_sync;
    if (ok && round.has_unsynced) {
        uint64_t began_ns = clock_monotonic_ns();
        ok = sync_files(log, &round);
        if (ok) {
            note_sync(log, &round, began_ns);
        }
    }
    while (round.sealed != NULL) {
        struct segment *next = round.sealed->next;
        segment_give_back(round.sealed);
        segment_close(round.sealed);
        round.sealed = next;
    }
    end_round(log, &round, ok && log_state(log) != LOG_FAILED);
}

void log_wait_for_sync(struct log *log)
{
    lock_acquire(&log->sync_lock);
    while (log->is_syncing) {
        pthread_cond_wait(&log->sync_done, &log->sync_lock.mutex);
    }
    lock_release(&log->sync_lock);
}

/* ---- when ---- */

/* Nanoseconds until there is something to do; 0: now; UINT64_MAX: until somebody wants it. */
static uint64_t next_sync_ns(const struct log *log, uint64_t now_ns)
{
    if (log_state(log) == LOG_FAILED) {
        return UINT64_MAX;
    }
    uint64_t unsynced_ns = atomic_load(&log->unsynced_ns);
    if (atomic_load(&log->is_wanted)) {
        return 0;
    }
    if (unsynced_ns == 0 || policy_of(log) == LOG_NEVER) {
        return UINT64_MAX;
    }
    if (policy_of(log) == LOG_ALWAYS || atomic_load(&log->is_much_unsynced)) {
        return 0;
    }
    uint64_t due_ns = unsynced_ns + (uint64_t)log->options.max_unsynced_ms * NS_A_MS / 2;
    return due_ns > now_ns ? due_ns - now_ns : 0;
}

/* Nothing was written since `seen_end` and all is durable: the log says so itself, so that damage
 * to its last frames is told from a torn end. */
static bool mark_if_quiet(struct log *log, uint64_t seen_end)
{
    lock_acquire(&log->append);
    bool is_due = !atomic_load(&log->is_marked) && log_state(log) != LOG_FAILED &&
                  atomic_load(&log->written_end) == seen_end &&
                  atomic_load(&log->durable_end) == seen_end &&
                  log->active->used > FILE_HEADER_BYTES &&
                  log->active->used + 2 * FRAME_HEADER_BYTES <= log->active->bytes;
    if (is_due) {
        (void)log_write_flag(log, FRAME_MARK);
    }
    log_append_release(log);
    return is_due;
}

static bool has_sealed(struct log *log)
{
    lock_acquire(&log->append);
    bool has = log->sealed != NULL && log_state(log) != LOG_FAILED;
    log_append_release(log);
    return has;
}

static bool sync_if_due(struct log *log)
{
    bool is_due = next_sync_ns(log, clock_monotonic_ns()) == 0 || has_sealed(log);
    if (is_due) {
        sync_round(log);
    }
    return is_due;
}

bool log_sync_step(struct log *log)
{
    return sync_if_due(log) || mark_if_quiet(log, log_written_end(log));
}

/* ---- the thread ---- */

static struct timespec at_ns(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000),
                             .tv_nsec = (long)(ns % 1000000000)};
}

/* True when nobody wanted anything for so long that a mark may be due. */
static bool sleep_until_wanted(struct log *log)
{
    bool is_quiet = false;
    lock_acquire(&log->sync_lock);
    /* Announced before the last look: whoever wants something after it sees us asleep. */
    atomic_store(&log->is_sync_asleep, true);
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t wait_ns = next_sync_ns(log, now_ns);
    bool wants_mark = !atomic_load(&log->is_marked) && policy_of(log) != LOG_NEVER &&
                      log_state(log) != LOG_FAILED;
    if (wants_mark && wait_ns > MARK_MS * NS_A_MS) {
        wait_ns = MARK_MS * NS_A_MS;
    }
    if (log->is_stopping || wait_ns == 0) {
        /* no sleep */
    } else if (wait_ns == UINT64_MAX) {
        pthread_cond_wait(&log->sync_wanted, &log->sync_lock.mutex);
    } else {
        struct timespec until = at_ns(now_ns + wait_ns);
        is_quiet = pthread_cond_timedwait(&log->sync_wanted, &log->sync_lock.mutex,
                                          &until) == ETIMEDOUT;
    }
    atomic_store(&log->is_sync_asleep, false);
    lock_release(&log->sync_lock);
    return is_quiet;
}

static bool is_stopping(struct log *log)
{
    lock_acquire(&log->sync_lock);
    bool stopping = log->is_stopping;
    lock_release(&log->sync_lock);
    return stopping;
}

void log_sync_main(void *context)
{
    struct log *log = context;
    while (!is_stopping(log)) {
        uint64_t seen_end = log_written_end(log);
        bool is_quiet = sleep_until_wanted(log);
        uint64_t syncs = atomic_load(&log->syncs);
        bool was_due = sync_if_due(log);
        if (was_due && atomic_load(&log->syncs) == syncs) {
            struct timespec nap = {.tv_nsec = NAP_NS};
            nanosleep(&nap, NULL);
        } else if (!was_due && is_quiet) {
            (void)mark_if_quiet(log, seen_end);
        }
    }
}

/* ---- waiting, for threads that may ---- */

/* What waits to be written waits for space: perhaps for that which the caller is about to free. */
static bool is_without_space(const struct log *log)
{
    return log_state(log) == LOG_NO_SPACE && atomic_load(&log->is_stalled);
}

static enum memento_status wait_until(struct log *log, const _Atomic uint64_t *reached,
                                      uint64_t wanted)
{
    lock_acquire(&log->sync_lock);
    while (atomic_load(reached) < wanted && log_state(log) != LOG_FAILED &&
           !is_without_space(log)) {
        atomic_store(&log->is_wanted, true);
        pthread_cond_signal(&log->sync_wanted);
        pthread_cond_wait(&log->sync_done, &log->sync_lock.mutex);
    }
    lock_release(&log->sync_lock);
    return atomic_load(reached) >= wanted ? MEMENTO_OK
           : log_state(log) == LOG_FAILED ? MEMENTO_ERR_LOG_FAILED
                                          : MEMENTO_ERR_NO_SPACE;
}

static enum memento_status sync_by_steps(struct log *log, uint64_t position)
{
    while (log_durable_end(log) < position) {
        if (log_state(log) == LOG_FAILED) {
            return MEMENTO_ERR_LOG_FAILED;
        }
        atomic_store(&log->is_wanted, true);
        (void)log_sync_step(log);
    }
    return MEMENTO_OK;
}

enum memento_status log_sync_wait(struct log *log, uint64_t position)
{
    return log->options.has_threads ? wait_until(log, &log->durable_end, position)
                                    : sync_by_steps(log, position);
}

enum memento_status log_settle_wait(struct log *log, uint64_t version)
{
    if (log->options.has_threads) {
        return wait_until(log, &log->settled, version);
    }
    log_drain(log, NULL);
    return sync_by_steps(log, log_written_end(log));
}

/* ---- figures ---- */

static int compare_us(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

void log_sync_latency(struct log *log, struct log_stats *stats)
{
    uint32_t samples[SYNC_SAMPLES];
    lock_acquire(&log->sync_lock);
    size_t count = log->sync_samples < SYNC_SAMPLES ? log->sync_samples : SYNC_SAMPLES;
    memcpy(samples, log->sync_us, count * sizeof(samples[0]));
    lock_release(&log->sync_lock);
    if (count == 0) {
        return;
    }
    qsort(samples, count, sizeof(samples[0]), compare_us);
    stats->sync_us_p50 = samples[count / 2];
    stats->sync_us_p99 = samples[count * 99 / 100];
    stats->sync_us_max = samples[count - 1];
}
