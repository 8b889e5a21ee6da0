/* snapshot.c - writing a snapshot's parts, putting it in force, and what else gives files a new
 * meaning: reopening a log that has failed, backups. One background thread at a time. */
#include "base/check.h"
#include "base/crc.h"
#include "base/os_file.h"
#include "base/trace.h"
#include "log/running.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* A part is closed when it has so much: parts are loaded by several threads. */
#define PART_BYTES (64u * 1024 * 1024)
/* Written bytes are synced this often, so that the log's syncs never wait for all of it. */
#define SYNC_BYTES    (8u * 1024 * 1024)
#define PARTS_AT_ONCE 256

struct snapshot {
    struct log *log;
    struct snapshot_part *parts; /* closed ones, and the open one at the end */
    size_t count, cap;
    int fd; /* of the open one; -1: none */
    uint64_t salt;
    uint64_t used, synced;
    uint64_t sequence; /* in the open one */
    uint64_t bytes;    /* all */
};

enum memento_status snapshot_create(struct snapshot **created, struct log *log)
{
    struct snapshot *snapshot = heap_alloc_zeroed(1, sizeof(*snapshot));
    if (snapshot == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    snapshot->log = log;
    snapshot->fd = -1;
    *created = snapshot;
    return MEMENTO_OK;
}

uint64_t snapshot_bytes(const struct snapshot *snapshot)
{
    return snapshot->bytes;
}

static enum memento_status status_of_errno(void)
{
    return errno == ENOSPC || errno == EDQUOT ? MEMENTO_ERR_NO_SPACE : MEMENTO_ERR_IO;
}

static bool make_room_for_part(struct snapshot *snapshot)
{
    if (snapshot->count < snapshot->cap) {
        return true;
    }
    size_t cap = snapshot->cap == 0 ? 16 : 2 * snapshot->cap;
    struct snapshot_part *parts =
        heap_realloc(snapshot->parts, cap * sizeof(*snapshot->parts));
    if (parts == NULL) {
        return false;
    }
    snapshot->parts = parts;
    snapshot->cap = cap;
    return true;
}

static enum memento_status open_part(struct snapshot *snapshot)
{
    struct log *log = snapshot->log;
    if (!make_room_for_part(snapshot)) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    uint64_t id = log_new_id(log);
    char name[FILE_NAME_BYTES];
    part_name(name, id);
    snapshot->fd = os_file_open(log->dir, name, O_RDWR | O_CREAT | O_EXCL);
    if (snapshot->fd < 0) {
        return status_of_errno();
    }
    snapshot->parts[snapshot->count++] = (struct snapshot_part){.id = id};
    snapshot->used = FILE_HEADER_BYTES;
    snapshot->synced = 0;
    snapshot->sequence = 0;
    return log_write_file_header(log, snapshot->fd, FILE_SNAPSHOT, id, &snapshot->salt)
               ? MEMENTO_OK
               : status_of_errno();
}

static void header_bytes(struct snapshot *snapshot, struct frame_header *header,
                         char bytes[FRAME_HEADER_BYTES])
{
    const struct log *log = snapshot->log;
    header->sequence = snapshot->sequence++;
    header->wall_ms = log->options.now_ms(log->options.context);
    uint64_t id = snapshot->parts[snapshot->count - 1].id;
    frame_header_write(bytes, header, snapshot->salt, position_of(id, snapshot->used));
}

/* Seals and syncs the open part. */
static enum memento_status close_part(struct snapshot *snapshot)
{
    if (snapshot->fd < 0) {
        return MEMENTO_OK;
    }
    char bytes[FRAME_HEADER_BYTES];
    struct frame_header header = {.flags = FRAME_SEAL};
    header_bytes(snapshot, &header, bytes);
    struct iovec part = {bytes, sizeof(bytes)};
    bool ok = os_file_write_all(snapshot->fd, &part, 1, snapshot->used) &&
              os_file_sync(snapshot->fd) == 0;
    enum memento_status status = ok ? MEMENTO_OK : status_of_errno();
    snapshot->used += sizeof(bytes);
    snapshot->parts[snapshot->count - 1].bytes = snapshot->used;
    os_file_close(snapshot->fd);
    snapshot->fd = -1;
    return status;
}

static uint32_t crc_of(struct bytes records, const struct log_reference *references,
                       size_t count)
{
    uint32_t crc = 0;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        crc = crc32c(crc, bytes_of(records.data + at, references[i].at - at));
        crc = crc32c(crc, references[i].bytes);
        at = references[i].at;
    }
    return crc32c(crc, bytes_of(records.data + at, records.len - at));
}

/* Header, runs of copied bytes and referenced values in turn, zeros to a multiple of 8. */
static size_t lay_out(struct iovec *parts, const char *header, struct bytes records,
                      const struct log_reference *references, size_t count,
                      size_t padding)
{
    static const char zeros[8];
    size_t used = 0;
    size_t at = 0;
    parts[used++] = (struct iovec){(void *)(uintptr_t)header, FRAME_HEADER_BYTES};
    for (size_t i = 0; i < count; i++) {
        parts[used++] =
            (struct iovec){(void *)(uintptr_t)(records.data + at), references[i].at - at};
        parts[used++] = (struct iovec){(void *)(uintptr_t)references[i].bytes.data,
                                       references[i].bytes.len};
        at = references[i].at;
    }
    parts[used++] =
        (struct iovec){(void *)(uintptr_t)(records.data + at), records.len - at};
    parts[used++] = (struct iovec){(void *)(uintptr_t)zeros, padding};
    return used;
}

static enum memento_status sync_sometimes(struct snapshot *snapshot)
{
    if (snapshot->used - snapshot->synced < SYNC_BYTES) {
        return MEMENTO_OK;
    }
    snapshot->synced = snapshot->used;
    return os_file_sync_data(snapshot->fd) == 0 ? MEMENTO_OK : status_of_errno();
}

enum memento_status snapshot_append(struct snapshot *snapshot, struct bytes records,
                                    const struct log_reference *references,
                                    size_t reference_count, uint32_t record_count,
                                    uint64_t base_version)
{
    CHECK(reference_count <= SNAPSHOT_REFERENCES_MAX);
    if (snapshot->fd >= 0 && snapshot->used >= PART_BYTES) {
        enum memento_status status = close_part(snapshot);
        if (status != MEMENTO_OK) {
            return status;
        }
    }
    enum memento_status status = snapshot->fd < 0 ? open_part(snapshot) : MEMENTO_OK;
    if (status != MEMENTO_OK) {
        return status;
    }
    uint64_t payload = records.len;
    for (size_t i = 0; i < reference_count; i++) {
        payload += references[i].bytes.len;
    }
    CHECK(payload <= FRAME_PAYLOAD_MAX);
    struct frame_header header = {.payload_bytes = (uint32_t)payload,
                                  .base_version = base_version,
                                  .records = record_count,
                                  .payload_crc =
                                      crc_of(records, references, reference_count)};
    char bytes[FRAME_HEADER_BYTES];
    header_bytes(snapshot, &header, bytes);
    uint64_t size = frame_bytes(header.payload_bytes);
    struct iovec parts[2 * SNAPSHOT_REFERENCES_MAX + 3];
    size_t count = lay_out(parts, bytes, records, references, reference_count,
                           (size_t)(size - FRAME_HEADER_BYTES - payload));
    if (!os_file_write_all(snapshot->fd, parts, (int)count, snapshot->used)) {
        return status_of_errno();
    }
    snapshot->used += size;
    snapshot->bytes += size;
    return sync_sometimes(snapshot);
}

static void snapshot_free(struct snapshot *snapshot)
{
    if (snapshot->fd >= 0) {
        os_file_close(snapshot->fd);
    }
    heap_free(snapshot->parts);
    heap_free(snapshot);
}

void snapshot_abandon(struct snapshot *snapshot)
{
    if (snapshot == NULL) {
        return;
    }
    for (size_t i = 0; i < snapshot->count; i++) {
        char name[FILE_NAME_BYTES];
        part_name(name, snapshot->parts[i].id);
        (void)os_file_remove(snapshot->log->dir, name);
    }
    snapshot_free(snapshot);
}

/* ---- putting it in force ---- */

static void remove_dropped(struct log *log, const struct manifest *old,
                           uint64_t first_segment)
{
    char name[FILE_NAME_BYTES];
    for (size_t i = 0; i < old->part_count; i++) {
        part_name(name, old->parts[i].id);
        (void)os_file_remove(log->dir, name); /* removed at the next start otherwise */
    }
    for (size_t i = 0; i < old->segment_count; i++) {
        if (old->segments[i] < first_segment) {
            segment_name(name, old->segments[i]);
            (void)os_file_remove(log->dir, name);
        }
    }
}

/* The old manifest with other parts, and without the segments before `first_segment`; when the log
 * is reopened it is the only one. */
static enum memento_status next_manifest(const struct snapshot *snapshot, uint64_t cut,
                                         uint64_t first_segment, uint64_t required_end,
                                         bool is_reopening, struct manifest *next)
{
    struct log *log = snapshot->log;
    enum memento_status status = manifest_copy(next, &log->manifest);
    if (status != MEMENTO_OK) {
        return status;
    }
    next->part_count = 0;
    for (size_t i = 0; i < snapshot->count && status == MEMENTO_OK; i++) {
        status = manifest_add_part(next, snapshot->parts[i]);
    }
    size_t kept = 0;
    for (size_t i = 0; i < next->segment_count; i++) {
        uint64_t id = next->segments[i];
        if (is_reopening ? id == first_segment : id >= first_segment) {
            next->segments[kept++] = id;
        }
    }
    next->segment_count = kept;
    next->cut = cut;
    next->required_end = required_end;
    next->is_clean = false;
    next->wall_ms = log->options.now_ms(log->options.context);
    next->snapshot_ms = next->wall_ms;
    lock_acquire(&log->append);
    next->snapshot_sequence = log->sequence;
    log_append_release(log);
    if (status != MEMENTO_OK) {
        manifest_fini(next);
    }
    return status;
}

/* With the manifest lock held. After a crash a manifest whose directory could not be synced may be
 * the old one or this one: the files of both stay then, and nothing more is promised. */
static enum memento_status exchange_manifest(struct snapshot *snapshot, uint64_t cut,
                                             uint64_t first_segment,
                                             uint64_t required_end, bool is_reopening,
                                             bool *may_abandon) UNCHECKED_LOCKING
{
    struct log *log = snapshot->log;
    struct manifest next;
    *may_abandon = true;
    enum memento_status status =
        next_manifest(snapshot, cut, first_segment, required_end, is_reopening, &next);
    if (status != MEMENTO_OK) {
        return status;
    }
    status = manifest_write(log->dir, &next);
    if (status != MEMENTO_OK) {
        manifest_fini(&next);
        if (status == MEMENTO_ERR_LOG_FAILED) {
            *may_abandon = false;
            log_fail(log, "syncing the data directory", errno);
        }
        return status == MEMENTO_ERR_IO ? status_of_errno() : status;
    }
    struct manifest old = log->manifest;
    log->manifest = next;
    log_show_manifest(log);
    remove_dropped(log, &old, first_segment);
    manifest_fini(&old);
    return MEMENTO_OK;
}

static void end(struct snapshot *snapshot, bool may_abandon)
{
    if (may_abandon) {
        snapshot_abandon(snapshot);
    } else {
        snapshot_free(snapshot);
    }
}

enum memento_status snapshot_commit(struct snapshot *snapshot, uint64_t cut,
                                    uint64_t newest, uint64_t first_segment)
{
    struct log *log = snapshot->log;
    bool may_abandon = true;
    enum memento_status status = close_part(snapshot);
    if (status == MEMENTO_OK) {
        status = log_settle_wait(log, newest);
    }
    if (status == MEMENTO_OK) {
        lock_acquire(&log->manifest_lock);
        status = exchange_manifest(snapshot, cut, first_segment, log_durable_end(log),
                                   false, &may_abandon);
        lock_release(&log->manifest_lock);
    }
    if (status == MEMENTO_OK) {
        lock_acquire(&log->append);
        log->closed_bytes -= log->closed_before;
        log->closed_before = 0;
        log_show_append(log);
        log_append_release(log);
    }
    end(snapshot, status != MEMENTO_OK && may_abandon);
    return status;
}

/* ---- a log that has failed begins anew ---- */

enum memento_status log_reopen_begin(struct log *log, uint64_t *first_segment)
{
    if (log_state(log) != LOG_FAILED) {
        return MEMENTO_ERR_INVALID;
    }
    struct segment *fresh = segment_create(log, log_new_id(log));
    if (fresh == NULL) {
        return status_of_errno();
    }
    lock_acquire(&log->append);
    /* What was staged by now is in memory, and will be in the snapshot: it counts as written when
     * that is in force. What is staged from now on waits for the new segment. */
    log_drain_locked(log);
    struct log_frame **last = &log->covered;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = log->pending;
    log->pending = NULL;
    log->pending_last = &log->pending;
    struct segment *old = log->active;
    old->next = log->sealed;
    if (log->spare != NULL) {
        log->spare->next = old;
        old = log->spare;
        log->spare = NULL;
    }
    log->sealed = NULL;
    log->active = fresh;
    log->closed_bytes = 0;
    log->closed_before = 0;
    log_show_append(log);
    atomic_store(&log->unsynced_ns, 0);
    atomic_store(&log->syncing_ns, 0);
    *first_segment = fresh->id;
    log_append_release(log);
    log_wait_for_sync(log); /* one that began before may still use the descriptors */
    while (old != NULL) {
        struct segment *next = old->next;
        segment_close(old); /* never synced again */
        old = next;
    }
    return MEMENTO_OK;
}

static void become_ready(struct log *log)
{
    lock_acquire(&log->append);
    uint64_t end_position = position_of(log->active->id, log->active->used);
    atomic_store(&log->written_end, end_position);
    atomic_store(&log->durable_end, end_position);
    atomic_store(&log->is_marked, true);
    log_frames_covered(log, log->covered, end_position);
    log->covered = NULL;
    lock_acquire(&log->sync_lock);
    log->reason[0] = '\0';
    atomic_store(&log->state, LOG_READY);
    log->keeper_has_failed = false;
    log->keeper_is_wanted = true;
    pthread_cond_broadcast(&log->sync_done);
    pthread_cond_signal(&log->keeper_wanted);
    lock_release(&log->sync_lock);
    log_drain_locked(log);
    log_append_release(log);
    trace_info("the log takes writes again");
    log_wake_writers(log, true);
}

enum memento_status log_reopen_commit(struct snapshot *snapshot, uint64_t cut)
{
    struct log *log = snapshot->log;
    uint64_t first_segment = log->active->id;
    enum memento_status status = close_part(snapshot);
    bool may_abandon = true;
    if (status == MEMENTO_OK) {
        lock_acquire(&log->manifest_lock);
        status = manifest_add_segment(&log->manifest, first_segment);
        if (status == MEMENTO_OK) {
            uint64_t end_position = position_of(first_segment, FILE_HEADER_BYTES);
            status = exchange_manifest(snapshot, cut, first_segment, end_position, true,
                                       &may_abandon);
        }
        lock_release(&log->manifest_lock);
    }
    end(snapshot, status != MEMENTO_OK && may_abandon);
    if (status == MEMENTO_OK) {
        become_ready(log);
    }
    return status;
}

/* ---- backup ---- */

static bool link_all(struct log *log, const struct manifest *manifest, int to)
{
    char name[FILE_NAME_BYTES];
    bool ok = true;
    for (size_t i = 0; i < manifest->part_count && ok; i++) {
        part_name(name, manifest->parts[i].id);
        ok = os_file_link(log->dir, name, to, name) == 0;
    }
    for (size_t i = 0; i < manifest->segment_count && ok; i++) {
        segment_name(name, manifest->segments[i]);
        ok = os_file_link(log->dir, name, to, name) == 0;
    }
    return ok;
}

static void remove_name(void *context, const char *name)
{
    (void)os_file_remove(*(int *)context, name);
}

/* A backup that was begun and not finished, now or by somebody before. */
static void remove_unfinished(int to, const char *name)
{
    int dir = os_dir_open_at(to, name);
    if (dir >= 0) {
        (void)os_dir_list(dir, remove_name, &dir);
        os_file_close(dir);
        (void)os_dir_remove(to, name);
    }
}

/* The directory's manifest as it is, but that the log ends with its last sealed segment. */
static enum memento_status backup_manifest(struct log *log, uint64_t first_segment,
                                           uint64_t sealed_end, struct manifest *manifest)
{
    lock_acquire(&log->manifest_lock);
    enum memento_status status = manifest_copy(manifest, &log->manifest);
    lock_release(&log->manifest_lock);
    if (status != MEMENTO_OK) {
        return status;
    }
    size_t kept = 0;
    for (size_t i = 0; i < manifest->segment_count; i++) {
        if (manifest->segments[i] < first_segment) {
            manifest->segments[kept++] = manifest->segments[i];
        }
    }
    manifest->segment_count = kept;
    manifest->wall_ms = log->options.now_ms(log->options.context);
    manifest->required_end = kept > 0 ? sealed_end : 0;
    manifest->is_clean = true;
    return MEMENTO_OK;
}

static enum memento_status fill_backup(struct log *log, int to, const char *name,
                                       const char *unfinished,
                                       const struct manifest *manifest)
{
    if (os_dir_make_at(to, unfinished) != 0) {
        return MEMENTO_ERR_IO;
    }
    int dir = os_dir_open_at(to, unfinished);
    if (dir < 0) {
        return MEMENTO_ERR_IO;
    }
    bool ok = link_all(log, manifest, dir) &&
              manifest_write(dir, manifest) == MEMENTO_OK && os_dir_sync(dir) == 0;
    int error = errno;
    os_file_close(dir);
    errno = error;
    ok = ok && os_dir_rename(to, unfinished, name) == 0 && os_dir_sync(to) == 0;
    return ok ? MEMENTO_OK : status_of_errno();
}

enum memento_status log_backup(struct log *log, int to, const char *name)
{
    if (os_file_exists(to, name)) {
        errno = EEXIST;
        return MEMENTO_ERR_IO;
    }
    uint64_t first_segment;
    enum memento_status status = log_rotate(log, &first_segment);
    if (status != MEMENTO_OK) {
        errno = EIO;
        return status;
    }
    status = log_sync_wait(log, log_written_end(log));
    if (status != MEMENTO_OK) {
        errno = EIO;
        return status;
    }
    struct manifest manifest;
    lock_acquire(&log->append);
    uint64_t sealed_end = log->sealed_end;
    log_append_release(log);
    status = backup_manifest(log, first_segment, sealed_end, &manifest);
    if (status != MEMENTO_OK) {
        errno = ENOMEM;
        return status;
    }
    char unfinished[BACKUP_NAME_MAX + 5];
    snprintf(unfinished, sizeof(unfinished), ".%s", name); /* no name begins so */
    remove_unfinished(to, unfinished);
    status = fill_backup(log, to, name, unfinished, &manifest);
    manifest_fini(&manifest);
    if (status != MEMENTO_OK) {
        int error = errno;
        remove_unfinished(to, unfinished);
        errno = error;
    }
    return status;
}
