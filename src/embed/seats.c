/* seats.c - who may use which writer, and what a turn waits for; see handle.h. */
#include "base/check.h"
#include "base/clock.h"
#include "base/heap.h"
#include "embed/handle.h"

#include <time.h>

/* A wake-up that was missed costs no more than this. */
#define WAIT_NS 10000000

/* ---- waiting ---- */

static bool is_written(const struct log_writer *writer)
{
    return atomic_load_explicit(&writer->written, memory_order_acquire) >=
           writer->committed;
}

/* Called by the log's threads and by those that write others' frames. */
static void seat_wake(void *context)
{
    struct seat *seat = context;
    lock_acquire(&seat->lock);
    seat->is_woken = true;
    pthread_cond_signal(&seat->woken);
    lock_release(&seat->lock);
}

/* Until the log has news since the last wait, or a moment has passed. */
static void seat_wait(struct seat *seat) UNCHECKED_LOCKING
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    lock_acquire(&seat->lock);
    int result = 0;
    while (!seat->is_woken && result == 0) {
        result = pthread_cond_timedwait(&seat->woken, &seat->lock.mutex, &until);
    }
    seat->is_woken = false;
    lock_release(&seat->lock);
}

/* ---- seats ---- */

static void seat_destroy(struct seat *seat)
{
    if (seat->writer.log.log != NULL) {
        writer_detach(&seat->writer);
    }
    writer_fini(&seat->writer);
    pthread_cond_destroy(&seat->woken);
    lock_fini(&seat->lock);
    heap_free(seat);
}

/* Taken by who makes it. */
static struct seat *seat_create(struct memento *handle)
{
    struct seat *seat = heap_alloc_aligned(64, sizeof(*seat));
    if (seat == NULL) {
        return NULL;
    }
    enum memento_status status = writer_init(&seat->writer, &handle->engine);
    seat->writer.tracks_reads = handle->is_logged && handle->policy == LOG_ALWAYS;
    seat->handle = handle;
    seat->is_woken = false;
    atomic_init(&seat->is_late, false);
    atomic_init(&seat->is_taken, true);
    lock_init(&seat->lock);
    lock_condition_init(&seat->woken);
    if (status == MEMENTO_OK && handle->is_logged) {
        status = writer_attach(&seat->writer, seat_wake, seat);
    }
    if (status != MEMENTO_OK) {
        seat_destroy(seat);
        return NULL;
    }
    return seat;
}

void seats_init(struct memento *handle)
{
    lock_init(&handle->seats_lock);
    pthread_cond_init(&handle->seat_given, NULL);
}

void seats_fini(struct memento *handle)
{
    unsigned count = atomic_load(&handle->seat_count);
    for (unsigned i = 0; i < count; i++) {
        struct seat *seat = atomic_load(&handle->seats[i]);
        CHECK(!atomic_load(&seat->is_taken)); /* no call may be under way */
        seat_destroy(seat);
    }
    pthread_cond_destroy(&handle->seat_given);
    lock_fini(&handle->seats_lock);
}

/* Where a thread looks first: where it was last, so that it finds its own warm writer. */
static _Thread_local unsigned usual_seat;

static struct seat *find_free(struct memento *handle)
{
    unsigned count = atomic_load(&handle->seat_count);
    for (unsigned i = 0; i < count; i++) {
        unsigned at = (usual_seat + i) % count;
        struct seat *seat =
            atomic_load_explicit(&handle->seats[at], memory_order_acquire);
        if (!atomic_load_explicit(&seat->is_taken, memory_order_relaxed) &&
            !atomic_exchange(&seat->is_taken, true)) {
            usual_seat = at;
            return seat;
        }
    }
    return NULL;
}

/* All are taken: another one, or the first that is given back. NULL without memory for the
 * only one; with fewer than there might be, one waits. */
static COLD struct seat *make_or_wait(struct memento *handle) UNCHECKED_LOCKING
{
    lock_acquire(&handle->seats_lock);
    /* Who gives a seat back sees that we wait, or we see the seat: both are in one order. */
    atomic_fetch_add(&handle->waiting, 1);
    struct seat *seat = find_free(handle);
    while (seat == NULL) {
        unsigned count = atomic_load(&handle->seat_count);
        seat = count < SEATS_MAX ? seat_create(handle) : NULL;
        if (seat != NULL) {
            atomic_store(&handle->seats[count], seat);
            atomic_store(&handle->seat_count, count + 1);
            usual_seat = count;
            break;
        }
        if (count == 0) {
            break;
        }
        pthread_cond_wait(&handle->seat_given, &handle->seats_lock.mutex);
        seat = find_free(handle);
    }
    atomic_fetch_sub(&handle->waiting, 1);
    lock_release(&handle->seats_lock);
    return seat;
}

static struct seat *seat_take(struct memento *handle)
{
    struct seat *seat = find_free(handle);
    return LIKELY(seat != NULL) ? seat : make_or_wait(handle);
}

static void seat_give(struct seat *seat)
{
    struct memento *handle = seat->handle;
    atomic_store(&seat->is_taken, false);
    if (UNLIKELY(atomic_load(&handle->waiting) > 0)) {
        lock_acquire(&handle->seats_lock);
        pthread_cond_signal(&handle->seat_given);
        lock_release(&handle->seats_lock);
    }
}

/* A frame that could not be written when its call gave up may be by now. Until its writer says
 * that it sleeps, nothing newer counts as settled. */
void seats_rest(struct memento *handle)
{
    unsigned count = atomic_load(&handle->seat_count);
    for (unsigned i = 0; i < count; i++) {
        struct seat *seat = atomic_load(&handle->seats[i]);
        if (atomic_load(&seat->is_late) && !atomic_exchange(&seat->is_taken, true)) {
            log_writer_sleeps(&seat->writer.log);
            atomic_store(&seat->is_late, !is_written(&seat->writer.log));
            seat_give(seat);
        }
    }
}

/* ---- turns ---- */

enum memento_status turn_begin(struct memento *handle, struct seat **seat)
{
    *seat = seat_take(handle);
    if (*seat == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    struct writer *writer = &(*seat)->writer;
    writer->version_read = 0;
    writer->now_ms = engine_now_ms(&handle->engine);
    (*seat)->committed = writer->log.committed;
    return MEMENTO_OK;
}

/* Waits while more is unwritten or unsynced than may be. */
static enum memento_status pass_gate(struct seat *seat, bool is_deletion)
{
    struct log *log = seat->writer.log.log;
    for (;;) {
        enum log_state state = log_state(log);
        if (state == LOG_FAILED) {
            return MEMENTO_ERR_LOG_FAILED;
        }
        if (state == LOG_NO_SPACE && !is_deletion) {
            return MEMENTO_ERR_NO_SPACE;
        }
        if (!log_is_crowded(log) && !log_is_overdue(log)) {
            return MEMENTO_OK;
        }
        log_want_sync(&seat->writer.log);
        seat_wait(seat);
    }
}

enum memento_status turn_begin_change(struct memento *handle, bool is_deletion,
                                      struct seat **seat)
{
    enum memento_status status = turn_begin(handle, seat);
    if (status != MEMENTO_OK || !handle->is_logged) {
        return status;
    }
    status = pass_gate(*seat, is_deletion);
    if (status != MEMENTO_OK) {
        seat_give(*seat);
        return status;
    }
    /* The log is told of the turn before the clock is read that its versions come from. */
    struct writer *writer = &(*seat)->writer;
    log_writer_wakes(&writer->log);
    writer->now_ms = engine_now_ms(&handle->engine);
    log_writer_turn(&writer->log, (uint64_t)writer->now_ms << ENTRY_VERSION_SHIFT);
    return MEMENTO_OK;
}

/* Why what is not written, or not durable, will not be soon. */
static enum memento_status trouble(const struct log *log)
{
    switch (log_state(log)) {
    case LOG_READY:
        return MEMENTO_OK;
    case LOG_NO_SPACE:
        return MEMENTO_ERR_NO_SPACE;
    case LOG_FAILED:
        break;
    }
    return MEMENTO_ERR_LOG_FAILED;
}

/* Usually its own thread has written it. */
static enum memento_status wait_written(struct seat *seat)
{
    struct log_writer *writer = &seat->writer.log;
    while (!is_written(writer)) {
        enum memento_status status = trouble(writer->log);
        if (status != MEMENTO_OK) {
            return is_written(writer) ? MEMENTO_OK : status;
        }
        seat_wait(seat);
    }
    return MEMENTO_OK;
}

static bool is_durable(const struct log_writer *writer)
{
    return log_durable_end(writer->log) >=
           atomic_load_explicit(&writer->written_end, memory_order_relaxed);
}

/* What this turn has written; with everysec, only that the disk is not too far behind. */
static enum memento_status wait_durable(struct seat *seat)
{
    struct log_writer *writer = &seat->writer.log;
    bool always = seat->handle->policy == LOG_ALWAYS;
    while (always ? !is_durable(writer) : log_is_overdue(writer->log)) {
        if (log_state(writer->log) == LOG_FAILED) {
            return MEMENTO_ERR_LOG_FAILED;
        }
        log_want_sync(writer);
        if (always ? !is_durable(writer) : log_is_overdue(writer->log)) {
            seat_wait(seat);
        }
    }
    return MEMENTO_OK;
}

/* What this turn has read. */
static enum memento_status wait_settled(struct seat *seat)
{
    struct log_writer *writer = &seat->writer.log;
    while (log_settled_version(writer->log) < seat->writer.version_read) {
        if (log_state(writer->log) == LOG_FAILED) {
            return MEMENTO_ERR_LOG_FAILED;
        }
        log_writer_sleeps(
            writer); /* an earlier call's frame may have been written by now */
        log_want_sync(writer);
        if (log_settled_version(writer->log) < seat->writer.version_read) {
            seat_wait(seat);
        }
    }
    return MEMENTO_OK;
}

/* Commits, and gives how long the turn's outcome is going to last. A turn that has written has
 * made what it read older than its own change of the same key. */
static enum memento_status settle(struct seat *seat)
{
    struct log_writer *writer = &seat->writer.log;
    log_commit(writer);
    bool has_written = writer->committed != seat->committed;
    enum memento_status status = has_written ? wait_written(seat) : MEMENTO_OK;
    log_writer_sleeps(
        writer); /* nobody's version waits for ours while we wait for the disk */
    if (status == MEMENTO_OK && has_written) {
        status = wait_durable(seat);
    } else if (status == MEMENTO_OK && seat->writer.tracks_reads) {
        status = wait_settled(seat);
    }
    return status;
}

enum memento_status turn_end(struct seat *seat, enum memento_status status)
{
    if (seat->handle->is_logged) {
        enum memento_status lasting = settle(seat);
        status = lasting == MEMENTO_OK ? status : lasting;
        atomic_store(&seat->is_late, !is_written(&seat->writer.log));
    }
    seat_give(seat);
    return status;
}
