/* log.c - the life of a log: the directory's lock, beginning, going on after a restart, the end;
 * see log.h. */
#include "log/log.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "base/random.h"
#include "base/trace.h"
#include "log/archive.h"
#include "log/running.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the directory ---- */

static long read_pid(int fd)
{
    char text[32] = {0};
    ssize_t len = os_file_read_all(fd, text, sizeof(text) - 1, 0);
    return len > 0 ? strtol(text, NULL, 10) : 0;
}

/* For people, and for the message that a second server is refused with. */
static bool write_pid(int fd)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    struct iovec part = {text, (size_t)len};
    return os_file_truncate(fd, 0) == 0 && os_file_write_all(fd, &part, 1, 0);
}

enum memento_status log_lock_directory(const char *path, bool create, int *dir, int *lock,
                                       long *pid)
{
    *pid = 0;
    *lock = -1;
    *dir = -1;
    if ((create && os_dir_make(path) != 0) || (*dir = os_dir_open(path)) < 0) {
        return MEMENTO_ERR_IO;
    }
    enum memento_status status = MEMENTO_ERR_IO;
    *lock = os_file_open(*dir, LOCK_NAME, O_RDWR | O_CREAT);
    if (*lock >= 0 && os_file_lock(*lock) != 0) {
        status = errno == EWOULDBLOCK ? MEMENTO_ERR_BUSY : MEMENTO_ERR_IO;
        *pid = read_pid(*lock);
    } else if (*lock >= 0 && write_pid(*lock)) {
        return MEMENTO_OK;
    }
    int error = errno;
    log_unlock_directory(*dir, *lock);
    errno = error;
    return status;
}

void log_unlock_directory(int dir, int lock)
{
    if (lock >= 0) {
        os_file_close(lock);
    }
    if (dir >= 0) {
        os_file_close(dir);
    }
}

/* ---- beginning ---- */

static struct log *create(int dir, const struct log_options *options)
{
    struct log *log = heap_alloc_aligned(64, sizeof(*log));
    if (log == NULL) {
        return NULL;
    }
    memset(log, 0, sizeof(*log));
    log->dir = dir;
    log->options = *options;
    log->pending_last = &log->pending;
    atomic_store(&log->policy, (int)options->policy);
    lock_init(&log->append);
    lock_init(&log->sync_lock);
    lock_init(&log->writers_lock);
    lock_init(&log->manifest_lock);
    lock_condition_init(&log->sync_wanted);
    lock_condition_init(&log->sync_done);
    lock_condition_init(&log->keeper_wanted);
    lock_condition_init(&log->spare_made);
    manifest_init(&log->manifest);
    return log;
}

static void destroy(struct log *log)
{
    CHECK(log->writers == NULL);
    while (log->sealed != NULL) {
        struct segment *next = log->sealed->next;
        segment_close(log->sealed);
        log->sealed = next;
    }
    segment_close(log->active);
    segment_close(log->spare);
    manifest_fini(&log->manifest);
    lock_fini(&log->append);
    lock_fini(&log->sync_lock);
    lock_fini(&log->writers_lock);
    lock_fini(&log->manifest_lock);
    pthread_cond_destroy(&log->sync_wanted);
    pthread_cond_destroy(&log->sync_done);
    pthread_cond_destroy(&log->keeper_wanted);
    pthread_cond_destroy(&log->spare_made);
    heap_free(log);
}

static enum memento_status status_of(int error)
{
    return error == ENOSPC || error == EDQUOT ? MEMENTO_ERR_NO_SPACE
           : error == ENOMEM                  ? MEMENTO_ERR_NO_MEMORY
                                              : MEMENTO_ERR_IO;
}

/* A segment that ends in the middle is copied into a new one; so is a sealed one that has little,
 * or every restart would leave one more behind. */
static bool is_kept(const struct log *log, const struct archive *archive,
                    const struct archive_file *file)
{
    uint64_t last = position_file(archive->finding.position);
    return file->id < last || (archive->finding.state == ARCHIVE_CLEAN &&
                               file->end > log->options.segment_bytes / 2);
}

/* The log's manifest: of a new directory, or what of the archive goes on, and the segment to be
 * copied. */
static enum memento_status take_manifest(struct log *log, const struct archive *archive,
                                         const struct archive_file **tail)
{
    struct manifest *manifest = &log->manifest;
    *tail = NULL;
    if (archive == NULL) {
        manifest->next_id = 1;
        return random_bytes(manifest->uuid, sizeof(manifest->uuid));
    }
    manifest_fini(manifest);
    enum memento_status status = manifest_copy(manifest, &archive->manifest);
    if (status != MEMENTO_OK) {
        manifest_init(manifest);
        return status;
    }
    manifest->segment_count = 0;
    uint64_t last = position_file(archive->finding.position);
    for (size_t i = 0; i < archive->file_count; i++) {
        const struct archive_file *file = &archive->files[i];
        if (file->kind != FILE_LOG || file->id > last) {
            continue;
        }
        if (is_kept(log, archive, file)) {
            manifest->segments[manifest->segment_count++] = file->id;
            log->closed_bytes += file->end - FILE_HEADER_BYTES;
            log->sealed_end = position_of(file->id, file->end);
        } else {
            *tail = file;
        }
    }
    return MEMENTO_OK;
}

/* ---- going on: the last segment's frames in a new one ---- */

struct copy {
    struct log *log;
    bool failed;
    int error;
};

/* Behind what the segment has. `payload` may be empty. */
static bool copy_write(struct log *log, struct frame_header *header, struct bytes payload)
{
    struct segment *to = log->active;
    header->sequence = log->sequence;
    /* What was durable for it is; everything before this segment has been synced since. */
    header->durable = position_of(to->id, FILE_HEADER_BYTES);
    char bytes[FRAME_HEADER_BYTES];
    frame_header_write(bytes, header, to->salt, position_of(to->id, to->used));
    static const char zeros[8];
    uint64_t size = frame_bytes(header->payload_bytes);
    struct iovec parts[] = {
        {bytes, sizeof(bytes)},
        {(void *)(uintptr_t)payload.data, payload.len},
        {(void *)(uintptr_t)zeros, (size_t)(size - FRAME_HEADER_BYTES - payload.len)}};
    if (!os_file_write_all(to->fd, parts, 3, to->used)) {
        return false;
    }
    to->used += size;
    log->sequence++;
    return true;
}

/* Marks and seals speak of the old segment; marks take their places in the sequence. */
static bool copy_marks(struct log *log, uint64_t sequence, int64_t wall_ms)
{
    bool ok = true;
    while (log->sequence < sequence && ok) {
        struct frame_header header = {.flags = FRAME_MARK, .wall_ms = wall_ms};
        ok = copy_write(log, &header, bytes_of(NULL, 0));
    }
    return ok;
}

static enum memento_status copy_frame(void *context, const struct archive_frame *frame)
{
    struct copy *copy = context;
    struct frame_header header = frame->header;
    if (header.flags != 0) {
        return MEMENTO_OK;
    }
    copy->failed = !copy_marks(copy->log, header.sequence, header.wall_ms) ||
                   !copy_write(copy->log, &header, frame->payload);
    copy->error = errno;
    return copy->failed ? MEMENTO_ERR_IO : MEMENTO_OK;
}

static enum memento_status copy_tail(struct log *log, const struct archive *archive,
                                     const struct archive_file *tail)
{
    struct copy copy = {.log = log};
    struct buf why;
    buf_init(&why);
    struct archive reading = *archive; /* the visitor's results are not the caller's */
    struct archive_file file = *tail;
    reading.files = &file;
    reading.file_count = 1;
    if (tail->frames > 0) {
        log->sequence = tail->first_sequence;
    }
    enum memento_status status =
        archive_read_file(&reading, 0, copy_frame, &copy, NULL, &why);
    if (status == MEMENTO_OK &&
        !copy_marks(log, archive->finding.sequence, archive->manifest.wall_ms)) {
        copy = (struct copy){log, true, errno};
        status = MEMENTO_ERR_IO;
    }
    if (status != MEMENTO_OK) {
        trace_error("going on with the log: %s",
                    copy.failed ? strerror(copy.error) : buf_c_string(&why));
        status = copy.failed ? status_of(copy.error) : status;
    }
    buf_fini(&why);
    return status;
}

/* Files behind the end keep their bytes under another name. */
static enum memento_status keep_torn(struct log *log, const struct archive *archive)
{
    uint64_t last = position_file(archive->finding.position);
    for (size_t i = 0; i < archive->file_count; i++) {
        const struct archive_file *file = &archive->files[i];
        if (file->kind != FILE_LOG || file->id < last) {
            continue;
        }
        char from[FILE_NAME_BYTES], to[FILE_NAME_BYTES];
        segment_name(from, file->id);
        torn_name(to, file->id);
        if (os_file_link(log->dir, from, log->dir, to) != 0 && errno != EEXIST) {
            return status_of(errno);
        }
    }
    return MEMENTO_OK;
}

/* What was written before a kill is whole as it was read, but perhaps not on disk yet: nothing
 * else will sync it. */
static enum memento_status sync_kept(struct log *log)
{
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < log->manifest.segment_count && status == MEMENTO_OK; i++) {
        char name[FILE_NAME_BYTES];
        segment_name(name, log->manifest.segments[i]);
        int fd = os_file_open(log->dir, name, O_RDWR);
        if (fd < 0 || os_file_sync_data(fd) != 0) {
            status = status_of(errno);
        }
        if (fd >= 0) {
            os_file_close(fd);
        }
    }
    return status;
}

/* What the archive has, in files that are on disk: the log's own segment has the last one's. */
static enum memento_status take_over(struct log *log, const struct archive *archive,
                                     const struct archive_file *tail)
{
    const struct archive_finding *finding = &archive->finding;
    enum memento_status status = MEMENTO_OK;
    if (finding->state == ARCHIVE_TORN || finding->state == ARCHIVE_CORRUPT ||
        finding->is_limited) {
        status = keep_torn(log, archive);
    }
    if (status == MEMENTO_OK && tail != NULL) {
        status = copy_tail(log, archive, tail);
    }
    return status == MEMENTO_OK ? sync_kept(log) : status;
}

/* The manifest that names the new segment: until then the old one is in force. */
static enum memento_status put_in_force(struct log *log, const struct archive *archive)
{
    struct manifest *manifest = &log->manifest;
    if (archive != NULL &&
        (archive->limit.wall_ms != 0 || archive->limit.sequence != 0)) {
        manifest->restored_ms = archive->limit.wall_ms;
        manifest->restored_sequence = archive->limit.sequence;
    }
    uint64_t id = log->active->id;
    enum memento_status status = manifest_add_segment(manifest, id);
    if (status == MEMENTO_OK) {
        manifest->required_end = position_of(id, log->active->used);
        manifest->is_clean = false;
        manifest->wall_ms = log->options.now_ms(log->options.context);
        status = manifest_write(log->dir, manifest);
    }
    return status == MEMENTO_OK || status == MEMENTO_ERR_NO_MEMORY ? status
                                                                   : status_of(errno);
}

static enum memento_status go_on(struct log *log, const struct archive *archive)
{
    const struct archive_file *tail;
    enum memento_status status = take_manifest(log, archive, &tail);
    if (status != MEMENTO_OK) {
        return status;
    }
    struct manifest *manifest = &log->manifest;
    memcpy(log->uuid, manifest->uuid, sizeof(log->uuid));
    log_remove_strangers(log->dir, archive == NULL ? manifest : &archive->manifest);
    uint64_t id = log_new_id(log);
    if (archive == NULL) {
        /* So that a start that is cut short leaves a directory that is known to be empty. */
        status = manifest_write(log->dir, manifest);
        if (status != MEMENTO_OK) {
            return status == MEMENTO_ERR_NO_MEMORY ? status : status_of(errno);
        }
    }
    log->active = segment_create(log, id);
    if (log->active == NULL) {
        return status_of(errno);
    }
    /* Frames count from 1: 0 is the limit that is none. */
    log->sequence =
        archive != NULL && archive->finding.sequence > 0 ? archive->finding.sequence : 1;
    if (archive != NULL) {
        status = take_over(log, archive, tail);
    }
    if (status == MEMENTO_OK && os_file_sync(log->active->fd) != 0) {
        status = status_of(errno);
    }
    return status == MEMENTO_OK ? put_in_force(log, archive) : status;
}

static enum memento_status start_threads(struct log *log)
{
    enum memento_status status =
        thread_start(&log->sync_thread, "sync", log_sync_main, log);
    if (status != MEMENTO_OK) {
        return status;
    }
    status = thread_start(&log->keeper_thread, "keeper", log_keeper_main, log);
    if (status != MEMENTO_OK) {
        lock_acquire(&log->sync_lock);
        log->is_stopping = true;
        pthread_cond_broadcast(&log->sync_wanted);
        lock_release(&log->sync_lock);
        thread_join(&log->sync_thread);
    }
    return status;
}

enum memento_status log_open(struct log **opened, int dir,
                             const struct log_options *options,
                             const struct archive *archive) UNCHECKED_LOCKING
{
    CHECK(options->segment_bytes >= LOG_SEGMENT_BYTES_MIN);
    struct log *log = create(dir, options);
    if (log == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    enum memento_status status = go_on(log, archive);
    if (status == MEMENTO_OK) {
        log_remove_strangers(dir, &log->manifest);
        uint64_t end = position_of(log->active->id, log->active->used);
        atomic_store(&log->written_end, end);
        atomic_store(&log->durable_end, end);
        atomic_store(&log->is_marked, true);
        log_show_append(log);
        log_show_manifest(log);
        if (options->has_threads) {
            status = start_threads(log);
        }
    }
    if (status != MEMENTO_OK) {
        int error = errno;
        destroy(log);
        errno = error;
        return status;
    }
    *opened = log;
    return MEMENTO_OK;
}

/* ---- the end ---- */

static void stop_threads(struct log *log)
{
    if (!log->options.has_threads) {
        return;
    }
    lock_acquire(&log->sync_lock);
    log->is_stopping = true;
    pthread_cond_broadcast(&log->sync_wanted);
    pthread_cond_broadcast(&log->keeper_wanted);
    pthread_cond_broadcast(&log->spare_made);
    lock_release(&log->sync_lock);
    thread_join(&log->sync_thread);
    thread_join(&log->keeper_thread);
    log->options.has_threads = false;
}

/* The last frame, synced; then the manifest that says that nothing follows. */
static enum memento_status seal(struct log *log)
{
    lock_acquire(&log->append);
    bool ok = log_state(log) != LOG_FAILED && log_write_flag(log, FRAME_SEAL);
    log_append_release(log);
    if (!ok || log_sync_wait(log, log_written_end(log)) != MEMENTO_OK) {
        return MEMENTO_ERR_LOG_FAILED;
    }
    segment_give_back(log->active);
    struct manifest *manifest = &log->manifest;
    uint64_t spare = log->spare != NULL ? log->spare->id : 0;
    if (spare != 0) {
        CHECK(manifest->segments[manifest->segment_count - 1] == spare);
        manifest->segment_count--;
    }
    manifest->required_end = log_durable_end(log);
    manifest->is_clean = true;
    manifest->wall_ms = log->options.now_ms(log->options.context);
    if (manifest_write(log->dir, manifest) != MEMENTO_OK) {
        log_fail(log, "writing the manifest", errno);
        return MEMENTO_ERR_IO;
    }
    if (spare != 0) {
        char name[FILE_NAME_BYTES];
        segment_name(name, spare);
        (void)os_file_remove(log->dir, name); /* removed at the next start otherwise */
    }
    return MEMENTO_OK;
}

enum memento_status log_close(struct log *log)
{
    stop_threads(log);
    log_drain(log, NULL);
    enum memento_status status = seal(log);
    destroy(log);
    return status;
}

void log_abandon(struct log *log)
{
    stop_threads(log);
    destroy(log);
}

/* ---- figures ---- */

void log_uuid(const struct log *log, unsigned char uuid[UUID_BYTES])
{
    memcpy(uuid, log->uuid, UUID_BYTES);
}

/* Without a lock: manifest_lock is held while a manifest is written, and INFO must not wait. */
static void files_stats(const struct log *log, struct log_stats *stats)
{
    stats->segments = atomic_load(&log->shown.segments);
    stats->snapshot_bytes = atomic_load(&log->shown.snapshot_bytes);
    stats->log_bytes = atomic_load(&log->shown.log_bytes);
    stats->sequence = atomic_load(&log->shown.sequence);
}

void log_show_append(struct log *log)
{
    uint64_t active = log->active->used - FILE_HEADER_BYTES;
    atomic_store_explicit(&log->shown.log_bytes, log->closed_bytes + active,
                          memory_order_relaxed);
    atomic_store_explicit(&log->shown.sequence, log->sequence, memory_order_relaxed);
}

void log_show_manifest(struct log *log)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < log->manifest.part_count; i++) {
        bytes += log->manifest.parts[i].bytes;
    }
    atomic_store(&log->shown.segments, log->manifest.segment_count);
    atomic_store(&log->shown.snapshot_bytes, bytes);
}

void log_stats(struct log *log, struct log_stats *stats)
{
    *stats = (struct log_stats){.segments = 0};
    files_stats(log, stats);
    log_sync_latency(log, stats);
    stats->queued_bytes = atomic_load(&log->queued_bytes);
    uint64_t durable = atomic_load(&log->durable_bytes);
    stats->bytes_written = atomic_load(&log->written_bytes);
    stats->unsynced_bytes = stats->bytes_written - durable;
    uint64_t oldest_ns = log_oldest_unsynced_ns(log);
    stats->unsynced_age_ms =
        oldest_ns == 0 ? 0 : (clock_monotonic_ns() - oldest_ns) / 1000000;
    stats->syncs = atomic_load(&log->syncs);
    stats->frames = atomic_load(&log->frames);
    stats->records = atomic_load(&log->records);
    stats->stalls = atomic_load(&log->stalls);
    stats->stall_ms = atomic_load(&log->stall_ns) / 1000000;
    stats->last_sync_ms = atomic_load(&log->last_sync_ms);
}
