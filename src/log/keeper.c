/* keeper.c - files: segments made before they are needed, exchanged when they are full, removed
 * when nobody needs them; see log.h.
 *
 * A segment is filled with zeros and synced before it is used, so that a sync of the log has no
 * blocks to allocate, and so that a full disk is met here, where nothing is at risk. */
#include "base/check.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "base/random.h"
#include "base/trace.h"
#include "log/running.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Zeros are written in small steps with pauses, so that nobody waits long for the core, and synced
 * now and then, so that the log's own syncs need not wait behind all of them. */
#define FILL_BYTES      (256u * 1024)
#define FILL_SYNC_BYTES (4u * 1024 * 1024)
#define FILL_PAUSE_NS   1000000
/* Between attempts to make a segment when one has failed. */
#define RETRY_S 1

/* ---- files ---- */

uint64_t log_new_id(struct log *log)
{
    lock_acquire(&log->manifest_lock);
    uint64_t id = log->manifest.next_id++;
    lock_release(&log->manifest_lock);
    return id;
}

bool log_write_file_header(struct log *log, int fd, enum file_kind kind, uint64_t id,
                           uint64_t *salt)
{
    if (random_bytes(salt, sizeof(*salt)) != MEMENTO_OK) {
        return false;
    }
    struct file_header header = {.major = FORMAT_MAJOR,
                                 .minor = FORMAT_MINOR,
                                 .kind = (uint8_t)kind,
                                 .id = id,
                                 .salt = *salt,
                                 .created_ms = clock_wall_ms()};
    memcpy(header.uuid, log->uuid, sizeof(header.uuid));
    char page[FILE_HEADER_BYTES];
    file_header_write(page, &header);
    struct iovec part = {page, sizeof(page)};
    return os_file_write_all(fd, &part, 1, 0);
}

/* Writers are about to need it. */
static bool is_urgent(struct log *log)
{
    lock_acquire(&log->append);
    bool urgent = log->active == NULL || log->active->used > log->active->bytes / 2;
    log_append_release(log);
    return urgent;
}

static bool fill_with_zeros(struct log *log, int fd, uint64_t bytes)
{
    static const char zeros[FILL_BYTES];
    uint64_t synced = 0;
    for (uint64_t at = FILE_HEADER_BYTES; at < bytes;) {
        uint64_t step = bytes - at < FILL_BYTES ? bytes - at : FILL_BYTES;
        struct iovec part = {(void *)(uintptr_t)zeros, (size_t)step};
        if (!os_file_write_all(fd, &part, 1, at)) {
            return false;
        }
        at += step;
        if (at - synced >= FILL_SYNC_BYTES) {
            synced = at;
            if (os_file_sync_data(fd) != 0) {
                return false;
            }
        }
        if (log->options.has_threads && !is_urgent(log)) {
            struct timespec pause = {.tv_nsec = FILL_PAUSE_NS};
            nanosleep(&pause, NULL);
        }
    }
    return true;
}

/* On a file system that never overwrites in place zeros would be written for nothing. */
static bool prepare(struct log *log, int fd, uint64_t bytes)
{
    struct os_volume volume;
    bool in_vain = os_volume_of(log->dir, &volume) && volume.is_copy_on_write;
    bool ok =
        in_vain ? os_file_truncate(fd, bytes) == 0 : fill_with_zeros(log, fd, bytes);
    return ok && os_file_sync(fd) == 0;
}

struct segment *segment_create(struct log *log, uint64_t id)
{
    struct segment *segment = heap_alloc_zeroed(1, sizeof(*segment));
    if (segment == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    char name[FILE_NAME_BYTES];
    segment_name(name, id);
    *segment = (struct segment){.id = id,
                                .bytes = log->options.segment_bytes,
                                .used = FILE_HEADER_BYTES,
                                .fd = -1};
    segment->fd = os_file_open(log->dir, name, O_RDWR | O_CREAT | O_EXCL);
    if (segment->fd >= 0 &&
        log_write_file_header(log, segment->fd, FILE_LOG, id, &segment->salt) &&
        prepare(log, segment->fd, segment->bytes)) {
        return segment;
    }
    int error = errno;
    if (segment->fd >= 0) {
        (void)os_file_remove(log->dir, name);
    }
    segment_close(segment);
    errno = error;
    return NULL;
}

void segment_close(struct segment *segment)
{
    if (segment != NULL) {
        if (segment->fd >= 0) {
            os_file_close(segment->fd);
        }
        heap_free(segment);
    }
}

void segment_give_back(const struct segment *segment)
{
    if (segment->bytes > segment->used + segment->bytes / RESERVE_SHARE) {
        (void)os_file_truncate(segment->fd, segment->used);
    }
}

/* ---- exchanging ---- */

bool log_rotate_locked(struct log *log)
{
    if (log->spare == NULL || !log_write_flag(log, FRAME_SEAL)) {
        return false;
    }
    struct segment **last = &log->sealed;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = log->active;
    log->closed_bytes += log->active->used - FILE_HEADER_BYTES;
    log->sealed_end = position_of(log->active->id, log->active->used);
    log->active = log->spare;
    log->spare = NULL;
    atomic_store(&log->is_wanted,
                 true); /* to sync and close the old one, under any policy */
    log_wake_keeper(log);
    log_wake_sync(log);
    return true;
}

/* One look: true when it is done or cannot be; false: there is no spare yet. */
static bool try_rotate(struct log *log, uint64_t *before, uint64_t *first_segment,
                       enum memento_status *status)
{
    lock_acquire(&log->append);
    *before = *before == 0 ? log->active->id : *before;
    log_drain_locked(log);
    bool is_fresh = log->active->used == FILE_HEADER_BYTES || log->active->id != *before;
    bool done = true;
    *status = MEMENTO_OK;
    if (log_state(log) == LOG_FAILED) {
        *status = MEMENTO_ERR_LOG_FAILED;
    } else if (!is_fresh && !log_rotate_locked(log)) {
        done = false;
    }
    *first_segment = log->active->id;
    log->closed_before = log->closed_bytes;
    log_append_release(log);
    return done;
}

/* Waits a moment for the keeper; false when it cannot make a segment. */
static bool wait_for_spare(struct log *log)
{
    if (!log->options.has_threads) {
        return log_keep_step(log);
    }
    lock_acquire(&log->sync_lock);
    bool may_wait = !log->keeper_has_failed && !log->is_stopping;
    if (may_wait) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec++;
        pthread_cond_signal(&log->keeper_wanted);
        pthread_cond_timedwait(&log->spare_made, &log->sync_lock.mutex, &until);
    }
    lock_release(&log->sync_lock);
    return may_wait;
}

enum memento_status log_rotate(struct log *log, uint64_t *first_segment)
{
    enum memento_status status;
    uint64_t before = 0;
    while (!try_rotate(log, &before, first_segment, &status)) {
        if (log_state(log) == LOG_NO_SPACE || !wait_for_spare(log)) {
            return log_state(log) == LOG_FAILED ? MEMENTO_ERR_LOG_FAILED
                                                : MEMENTO_ERR_NO_SPACE;
        }
    }
    return status;
}

/* ---- the keeper ---- */

void log_wake_keeper(struct log *log)
{
    lock_acquire(&log->sync_lock);
    log->keeper_is_wanted = true;
    pthread_cond_signal(&log->keeper_wanted);
    lock_release(&log->sync_lock);
}

bool log_keeper_has_failed(struct log *log)
{
    lock_acquire(&log->sync_lock);
    bool has_failed = log->keeper_has_failed;
    lock_release(&log->sync_lock);
    return has_failed;
}

void log_keeper_note_space(struct log *log)
{
    lock_acquire(&log->sync_lock);
    bool has_failed = log->keeper_has_failed;
    char reason[sizeof(log->keeper_reason)];
    memcpy(reason, log->keeper_reason, sizeof(reason));
    lock_release(&log->sync_lock);
    const struct segment *active = log->active;
    uint64_t left = active->bytes > active->used ? active->bytes - active->used : 0;
    if (has_failed && (left < active->bytes / RESERVE_SHARE || log->is_stalled)) {
        log_set_state(log, LOG_NO_SPACE, reason);
    }
}

static void keeper_failed(struct log *log, int error)
{
    lock_acquire(&log->sync_lock);
    bool is_new = !log->keeper_has_failed;
    log->keeper_has_failed = true;
    snprintf(log->keeper_reason, sizeof(log->keeper_reason),
             "the next segment of the log cannot be made: %s", strerror(error));
    pthread_cond_broadcast(&log->spare_made);
    lock_release(&log->sync_lock);
    if (is_new) {
        trace_warning("%s; trying again every second", log->keeper_reason);
    }
    lock_acquire(&log->append);
    if (log->spare == NULL) {
        log_keeper_note_space(log);
    }
    log_append_release(log);
}

static bool is_last(const struct manifest *manifest, uint64_t id)
{
    return manifest->segment_count == 0 ||
           manifest->segments[manifest->segment_count - 1] < id;
}

/* Named by the manifest before it is used. ERR_LOG_FAILED: the manifest may name it or not;
 * otherwise, on failure, it does not. */
static enum memento_status list_segment(struct log *log, uint64_t id)
    REQUIRES(log->manifest_lock)
{
    struct manifest *manifest = &log->manifest;
    if (!is_last(manifest, id)) {
        errno = EAGAIN; /* LOG REOPEN has named a later one */
        return MEMENTO_AGAIN;
    }
    manifest->wall_ms = log->options.now_ms(log->options.context);
    enum memento_status status = manifest_add_segment(manifest, id);
    if (status != MEMENTO_OK) {
        errno = ENOMEM;
        return status;
    }
    status = manifest_write(log->dir, manifest);
    if (status != MEMENTO_OK) {
        manifest->segment_count--;
    }
    log_show_manifest(log);
    return status;
}

/* Lists it and makes it the spare, unless the log has failed meanwhile: LOG REOPEN begins
 * another one then. */
static enum memento_status put_in_reserve(struct log *log, struct segment *segment)
{
    enum memento_status status = MEMENTO_AGAIN;
    errno = EAGAIN;
    lock_acquire(&log->manifest_lock);
    if (log_state(log) != LOG_FAILED) {
        status = list_segment(log, segment->id);
    }
    int error = errno;
    if (status == MEMENTO_OK) {
        lock_acquire(&log->append);
        bool is_overtaken = log_state(log) == LOG_FAILED || segment->id < log->active->id;
        if (is_overtaken) {
            status = MEMENTO_ERR_LOG_FAILED; /* it is listed, and stays unused */
        } else {
            log->spare = segment;
        }
        log_append_release(log);
    }
    lock_release(&log->manifest_lock);
    errno = error;
    return status;
}

static void keeper_succeeded(struct log *log)
{
    lock_acquire(&log->sync_lock);
    log->keeper_has_failed = false;
    pthread_cond_broadcast(&log->spare_made);
    lock_release(&log->sync_lock);
    if (log_state(log) == LOG_NO_SPACE) {
        log_set_state(log, LOG_READY, "");
    }
    lock_acquire(&log->append); /* frames may have waited for it */
    log_drain_locked(log);
    log_append_release(log);
}

/* The file goes, unless a manifest may name it. */
static void keeper_gave_up(struct log *log, struct segment *segment,
                           enum memento_status status)
{
    int error = errno;
    char name[FILE_NAME_BYTES];
    segment_name(name, segment->id);
    segment_close(segment);
    if (status != MEMENTO_ERR_LOG_FAILED) {
        (void)os_file_remove(log->dir, name);
    } else if (log_state(log) != LOG_FAILED) {
        log_fail(log, "syncing the data directory", error);
    }
    if (status != MEMENTO_AGAIN) {
        keeper_failed(log, error);
    }
}

static bool needs_spare(struct log *log)
{
    lock_acquire(&log->append);
    bool needs = log->spare == NULL && log_state(log) != LOG_FAILED;
    log_append_release(log);
    return needs;
}

/* There is a spare, but the active segment could not grow: tried again. */
static bool leave_no_space(struct log *log)
{
    lock_acquire(&log->append);
    log_drain_locked(log);
    bool has_left = log->pending == NULL && log->spare != NULL;
    log_append_release(log);
    if (has_left) {
        log_set_state(log, LOG_READY, "");
    }
    return has_left;
}

bool log_keep_step(struct log *log)
{
    if (!needs_spare(log)) {
        return log_state(log) == LOG_NO_SPACE && leave_no_space(log);
    }
    struct segment *segment = segment_create(log, log_new_id(log));
    if (segment == NULL) {
        keeper_failed(log, errno);
        return false;
    }
    enum memento_status status = put_in_reserve(log, segment);
    if (status != MEMENTO_OK) {
        keeper_gave_up(log, segment, status);
        return false;
    }
    keeper_succeeded(log);
    return true;
}

void log_keeper_main(void *context)
{
    struct log *log = context;
    lock_acquire(&log->sync_lock);
    while (!log->is_stopping) {
        log->keeper_is_wanted = false;
        lock_release(&log->sync_lock);
        (void)log_keep_step(log);
        lock_acquire(&log->sync_lock);
        if (log->is_stopping || (log->keeper_is_wanted && !log->keeper_has_failed &&
                                 log_state(log) != LOG_NO_SPACE)) {
            continue;
        }
        if (log->keeper_has_failed || log_state(log) == LOG_NO_SPACE) {
            struct timespec until;
            clock_gettime(CLOCK_MONOTONIC, &until);
            until.tv_sec += RETRY_S;
            pthread_cond_timedwait(&log->keeper_wanted, &log->sync_lock.mutex, &until);
        } else {
            pthread_cond_wait(&log->keeper_wanted, &log->sync_lock.mutex);
        }
    }
    lock_release(&log->sync_lock);
}

/* ---- what nobody needs ---- */

struct strangers {
    int dir;
    const struct manifest *manifest;
};

static bool names_segment(const struct manifest *manifest, uint64_t id)
{
    for (size_t i = 0; i < manifest->segment_count; i++) {
        if (manifest->segments[i] == id) {
            return true;
        }
    }
    return false;
}

static bool names_part(const struct manifest *manifest, uint64_t id)
{
    for (size_t i = 0; i < manifest->part_count; i++) {
        if (manifest->parts[i].id == id) {
            return true;
        }
    }
    return false;
}

static void remove_stranger(void *context, const char *name)
{
    const struct strangers *strangers = context;
    uint64_t segment = segment_id_of_name(name);
    uint64_t part = part_id_of_name(name);
    bool is_stranger = (segment != 0 && !names_segment(strangers->manifest, segment)) ||
                       (part != 0 && !names_part(strangers->manifest, part)) ||
                       strcmp(name, MANIFEST_NAME ".tmp") == 0;
    if (is_stranger && os_file_remove(strangers->dir, name) != 0) {
        trace_warning("cannot remove %s, which is not needed any more: %s", name,
                      strerror(errno));
    }
}

void log_remove_strangers(int dir, const struct manifest *manifest)
{
    struct strangers strangers = {dir, manifest};
    if (!os_dir_list(dir, remove_stranger, &strangers)) {
        trace_warning("cannot list the data directory: %s", strerror(errno));
    }
}
