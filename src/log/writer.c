/* writer.c - from staged records to bytes in the active segment; see log.h.
 *
 * Writers push their frames on a queue; whoever gets the append lock writes all that is there
 * (flat combining). Who does not get it goes on with its work: the holder looks at the queue
 * again after it has let the lock go, so nothing that was pushed is forgotten. */
#include "base/check.h"
#include "base/clock.h"
#include "base/crc.h"
#include "base/os_file.h"
#include "log/running.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Parts of one write, and bytes after which it is not made larger. */
#define WRITE_PARTS     256
#define WRITE_BYTES_MAX (8u * 1024 * 1024)
/* What a frame that has been written keeps of its buffer. */
#define FRAME_KEEP_BYTES (512u * 1024)

/* ---- life ---- */

enum memento_status log_writer_init(struct log_writer *writer, struct log *log,
                                    void (*wake)(void *context), void *context)
{
    *writer = (struct log_writer){.log = log, .wake = wake, .context = context};
    if (log == NULL) {
        return MEMENTO_OK;
    }
    atomic_store(&writer->floor, LOG_FLOOR_IDLE);
    writer->floor_then = LOG_FLOOR_IDLE;
    lock_acquire(&log->writers_lock);
    writer->next = log->writers;
    log->writers = writer;
    lock_release(&log->writers_lock);
    return MEMENTO_OK;
}

/* Takes the writer's frames from those that cannot be written; gives where the list ends. */
static struct log_frame **drop_frames(struct log *log, struct log_frame **at,
                                      const struct log_writer *writer)
    REQUIRES(log->append)
{
    while (*at != NULL) {
        struct log_frame *frame = *at;
        if (frame->owner != writer) {
            at = &frame->next;
            continue;
        }
        *at = frame->next;
        atomic_fetch_sub(&log->queued_bytes, frame->header.payload_bytes);
        log_frame_destroy(frame);
    }
    return at;
}

void log_writer_fini(struct log_writer *writer)
{
    struct log *log = writer->log;
    if (log == NULL) {
        return;
    }
    log_commit(writer);
    /* Whoever wrote its last frame has let the lock go by the time it is ours. */
    lock_acquire(&log->append);
    log_drain_locked(log);
    if (atomic_load(&writer->written) < writer->committed) {
        (void)drop_frames(log, &log->covered, writer);
        log->pending_last = drop_frames(log, &log->pending, writer);
    }
    log_append_release(log);
    lock_acquire(&log->writers_lock);
    struct log_writer **at = &log->writers;
    while (*at != writer) {
        at = &(*at)->next;
    }
    *at = writer->next;
    lock_release(&log->writers_lock);
    log_frame_destroy(writer->open);
    log_frame_destroy(atomic_exchange(&writer->reserve, NULL));
    *writer = (struct log_writer){.log = NULL};
}

/* ---- the floor below which nothing is unwritten ---- */

void log_writer_wakes(struct log_writer *writer)
{
    if (writer->log != NULL &&
        atomic_load_explicit(&writer->floor, memory_order_relaxed) == LOG_FLOOR_IDLE) {
        /* Before the clock is read: whoever has read the clock and still sees us idle knows
         * that our versions will be later. */
        atomic_store(&writer->floor, 0);
        writer->floor_then = LOG_FLOOR_IDLE;
    }
}

void log_writer_turn(struct log_writer *writer, uint64_t lowest_version)
{
    writer->lowest = lowest_version;
    if (writer->log == NULL) {
        return;
    }
    uint64_t written = atomic_load_explicit(&writer->written, memory_order_acquire);
    if (log_staged_bytes(writer) > 0) {
        return; /* in the middle of a turn */
    }
    if (written >= writer->committed) {
        atomic_store_explicit(&writer->floor, lowest_version, memory_order_release);
        writer->floor_then = LOG_FLOOR_IDLE;
        return;
    }
    /* Frames are on their way. What is staged from now on is not below lowest_version, so that
     * becomes the floor when those have been written: it moves on however busy the log is. */
    if (writer->floor_then != LOG_FLOOR_IDLE && written >= writer->floor_frame) {
        atomic_store_explicit(&writer->floor, writer->floor_then, memory_order_release);
        writer->floor_then = LOG_FLOOR_IDLE;
    }
    if (writer->floor_then == LOG_FLOOR_IDLE) {
        writer->floor_frame = writer->committed;
        writer->floor_then = lowest_version;
    }
}

void log_writer_sleeps(struct log_writer *writer)
{
    if (writer->log != NULL &&
        atomic_load_explicit(&writer->written, memory_order_acquire) >=
            writer->committed &&
        log_staged_bytes(writer) == 0) {
        atomic_store_explicit(&writer->floor, LOG_FLOOR_IDLE, memory_order_release);
    }
}

/* ---- staging ---- */

void log_frame_destroy(struct log_frame *frame)
{
    if (frame == NULL) {
        return;
    }
    CHECK(frame->reference_count == 0 || frame->owner != NULL);
    for (size_t i = 0; i < frame->reference_count; i++) {
        frame->owner->log->options.release(frame->references[i].owner);
    }
    buf_fini(&frame->bytes);
    heap_free(frame->references);
    heap_free(frame);
}

/* Ready for the first record: room for the header. */
static bool frame_begin(struct log_frame *frame)
{
    frame->next = NULL;
    frame->reference_count = 0;
    frame->reference_bytes = 0;
    frame->header = (struct frame_header){.records = 0};
    buf_reset(&frame->bytes, FRAME_KEEP_BYTES);
    if (!buf_reserve(&frame->bytes, FRAME_HEADER_BYTES)) {
        return false;
    }
    frame->bytes.len = FRAME_HEADER_BYTES;
    return true;
}

static COLD bool open_frame(struct log_writer *writer)
{
    struct log_frame *frame = atomic_exchange(&writer->reserve, NULL);
    if (frame == NULL) {
        frame = heap_alloc_zeroed(1, sizeof(*frame));
        if (frame == NULL) {
            return false;
        }
        buf_init(&frame->bytes);
    }
    frame->owner = writer;
    if (!frame_begin(frame)) {
        log_frame_destroy(frame);
        return false;
    }
    writer->open = frame;
    return true;
}

static COLD bool reserve_reference(struct log_frame *frame)
{
    size_t cap = frame->reference_cap == 0 ? 8 : 2 * frame->reference_cap;
    struct log_reference *references =
        heap_realloc(frame->references, cap * sizeof(*references));
    if (references == NULL) {
        return false;
    }
    frame->references = references;
    frame->reference_cap = cap;
    return true;
}

enum memento_status log_reserve(struct log_writer *writer, size_t key_bytes,
                                size_t value_bytes)
{
    if (UNLIKELY(writer->open == NULL) && !open_frame(writer)) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    struct log_frame *frame = writer->open;
    size_t staged = frame->bytes.len + frame->reference_bytes;
    if (UNLIKELY(staged + RECORD_OVERHEAD_MAX + key_bytes + value_bytes >
                 FRAME_PAYLOAD_MAX)) {
        return MEMENTO_ERR_TOO_LARGE;
    }
    bool by_reference = value_bytes >= LOG_REFERENCE_BYTES;
    if (UNLIKELY(by_reference) && frame->reference_count == frame->reference_cap &&
        !reserve_reference(frame)) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    /* What follows the last record is padded to a multiple of 8. */
    size_t copied =
        RECORD_OVERHEAD_MAX + key_bytes + 8 + (by_reference ? 0 : value_bytes);
    if (UNLIKELY(!buf_reserve(&frame->bytes, copied))) {
        frame->bytes.failed = false; /* what is there stays good */
        return MEMENTO_ERR_NO_MEMORY;
    }
    return MEMENTO_OK;
}

void log_stage(struct log_writer *writer, const struct record *record, void *owner)
{
    struct log_frame *frame = writer->open;
    struct buf *bytes = &frame->bytes;
    if (frame->header.records == 0) {
        frame->header.base_version =
            record->version >= writer->lowest ? writer->lowest : 0;
    }
    CHECK(record->version >= frame->header.base_version);
    bytes->len +=
        record_write(bytes->data + bytes->len, record, frame->header.base_version);
    frame->header.records++;
    if (record->kind != RECORD_SET || record->value.len == 0) {
        if (owner != NULL) {
            writer->log->options.release(owner);
        }
        return;
    }
    if (LIKELY(owner == NULL)) {
        memcpy(bytes->data + bytes->len, record->value.data, record->value.len);
        bytes->len += record->value.len;
        return;
    }
    CHECK(frame->reference_count < frame->reference_cap);
    frame->references[frame->reference_count++] =
        (struct log_reference){record->value, owner, bytes->len};
    frame->reference_bytes += record->value.len;
}

struct log_mark log_staged(const struct log_writer *writer)
{
    const struct log_frame *frame = writer->open;
    return frame == NULL ? (struct log_mark){FRAME_HEADER_BYTES, 0, 0}
                         : (struct log_mark){frame->bytes.len, frame->reference_count,
                                             frame->header.records};
}

void log_unstage(struct log_writer *writer, struct log_mark mark)
{
    struct log_frame *frame = writer->open;
    if (frame == NULL) {
        return;
    }
    while (frame->reference_count > mark.references) {
        struct log_reference *last = &frame->references[--frame->reference_count];
        frame->reference_bytes -= last->bytes.len;
        writer->log->options.release(last->owner);
    }
    frame->bytes.len = mark.bytes;
    frame->header.records = mark.records;
}

size_t log_staged_bytes(const struct log_writer *writer)
{
    const struct log_frame *frame = writer->open;
    return frame == NULL || frame->header.records == 0
               ? 0
               : frame->bytes.len - FRAME_HEADER_BYTES + frame->reference_bytes;
}

/* ---- a frame is complete ---- */

/* Calls for each run of bytes of the frame in file order: the header and copied bytes, values
 * that are referred to. */
static size_t frame_parts(const struct log_frame *frame, size_t from, size_t to,
                          struct iovec *parts)
{
    size_t count = 0;
    size_t at = from;
    for (size_t i = 0; i < frame->reference_count; i++) {
        const struct log_reference *reference = &frame->references[i];
        if (reference->at > at) {
            parts[count++] = (struct iovec){frame->bytes.data + at, reference->at - at};
        }
        parts[count++] = (struct iovec){(void *)(uintptr_t)reference->bytes.data,
                                        reference->bytes.len};
        at = reference->at;
    }
    if (to > at) {
        parts[count++] = (struct iovec){frame->bytes.data + at, to - at};
    }
    return count;
}

static uint32_t payload_crc(const struct log_frame *frame)
{
    uint32_t crc = 0;
    size_t at = FRAME_HEADER_BYTES;
    for (size_t i = 0; i < frame->reference_count; i++) {
        const struct log_reference *reference = &frame->references[i];
        crc = crc32c(crc, bytes_of(frame->bytes.data + at, reference->at - at));
        crc = crc32c(crc, reference->bytes);
        at = reference->at;
    }
    return crc32c(crc, bytes_of(frame->bytes.data + at, frame->bytes.len - at));
}

static void frame_complete(struct log_frame *frame, uint64_t lowest)
{
    frame->header.payload_bytes =
        (uint32_t)(frame->bytes.len - FRAME_HEADER_BYTES + frame->reference_bytes);
    frame->header.payload_crc = payload_crc(frame);
    frame->header.wall_ms = (int64_t)(lowest >> LOG_VERSION_SHIFT);
    uint64_t padded = frame_bytes(frame->header.payload_bytes);
    size_t padding = (size_t)(padded - FRAME_HEADER_BYTES - frame->header.payload_bytes);
    memset(frame->bytes.data + frame->bytes.len, 0, padding); /* log_reserve left room */
    frame->bytes.len += padding;
}

void log_commit(struct log_writer *writer)
{
    struct log_frame *frame = writer->open;
    if (frame == NULL || frame->header.records == 0) {
        return;
    }
    struct log *log = writer->log;
    writer->open = NULL;
    frame_complete(frame, writer->lowest);
    frame->number = ++writer->committed;
    atomic_fetch_add_explicit(&log->queued_bytes, frame->header.payload_bytes,
                              memory_order_relaxed);
    struct log_frame *first = atomic_load_explicit(&log->queue, memory_order_relaxed);
    do {
        frame->next = first;
    } while (!atomic_compare_exchange_weak(&log->queue, &first, frame));
    log_drain(log, writer);
}

/* ---- writing ---- */

struct log_frame *log_take_queue(struct log *log)
{
    struct log_frame *newest = atomic_exchange(&log->queue, NULL);
    struct log_frame *oldest = NULL;
    while (newest != NULL) {
        struct log_frame *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

/* Behind those that wait already. */
static void queue_to_pending(struct log *log) REQUIRES(log->append)
{
    *log->pending_last = log_take_queue(log);
    while (*log->pending_last != NULL) {
        log->pending_last = &(*log->pending_last)->next;
    }
}

/* Its owner sees it written and may use it again. */
static void frame_done(struct log *log, struct log_frame *frame, uint64_t end)
{
    struct log_writer *owner = frame->owner;
    uint64_t number = frame->number;
    for (size_t i = 0; i < frame->reference_count; i++) {
        log->options.release(frame->references[i].owner);
    }
    frame->reference_count = 0;
    atomic_fetch_sub_explicit(&log->queued_bytes, frame->header.payload_bytes,
                              memory_order_relaxed);
    log_frame_destroy(atomic_exchange(&owner->reserve, frame));
    atomic_store_explicit(&owner->written_end, end, memory_order_relaxed);
    atomic_store_explicit(&owner->written, number, memory_order_release);
}

void log_frames_covered(struct log *log, struct log_frame *frames, uint64_t end)
{
    while (frames != NULL) {
        struct log_frame *frame = frames;
        frames = frame->next;
        frame_done(log, frame, end);
    }
}

/* For so many bytes, and the seal. */
static bool has_room(const struct log *log, uint64_t bytes)
{
    const struct segment *active = log->active;
    return active->used + bytes + FRAME_HEADER_BYTES <= active->bytes;
}

/* Rather than let writers wait for the next segment, this one grows beyond what was prepared: its
 * syncs have blocks to allocate then. Not when the disk is full: the rest is kept for deletions. */
static bool grow(struct log *log) REQUIRES(log->append)
{
    struct segment *active = log->active;
    if (log->spare != NULL || log_keeper_has_failed(log) ||
        active->bytes + log->options.segment_bytes > LOG_FILE_BYTES_MAX / 4) {
        return false;
    }
    active->bytes += log->options.segment_bytes;
    atomic_fetch_add(&log->growths, 1);
    log_wake_keeper(log);
    return true;
}

/* A frame that is larger than a segment gets one of its own, which grows with it. */
static bool has_room_for_first(const struct log *log)
{
    static_assert(FILE_HEADER_BYTES + FRAME_PAYLOAD_MAX + 4096ull < LOG_FILE_BYTES_MAX,
                  "every frame fits a file");
    return log->active->used == FILE_HEADER_BYTES ||
           has_room(log, frame_bytes(log->pending->header.payload_bytes));
}

static void note_written(struct log *log, uint64_t bytes, bool counts)
    REQUIRES(log->append)
{
    struct segment *active = log->active;
    active->used += bytes;
    atomic_store_explicit(&log->written_end, position_of(active->id, active->used),
                          memory_order_release);
    atomic_fetch_add_explicit(&log->written_bytes, bytes, memory_order_relaxed);
    log_show_append(log);
    if (!counts) {
        return;
    }
    atomic_store_explicit(&log->is_marked, false, memory_order_relaxed);
    log->unsynced_bytes += bytes;
    bool is_first = atomic_load_explicit(&log->unsynced_ns, memory_order_relaxed) == 0;
    if (is_first) {
        atomic_store(&log->unsynced_ns, clock_monotonic_ns());
    }
    bool is_much = log->unsynced_bytes >= SYNC_EARLY_BYTES;
    if (is_much) {
        atomic_store(&log->is_much_unsynced, true);
    }
    if (is_first || is_much) {
        log_wake_sync(log);
    }
}

static void header_of(struct log *log, struct frame_header *header, uint64_t offset,
                      char *bytes) REQUIRES(log->append)
{
    header->sequence = log->sequence;
    header->durable = atomic_load_explicit(&log->durable_end, memory_order_relaxed);
    frame_header_write(bytes, header, log->active->salt,
                       position_of(log->active->id, offset));
}

/* A full disk is another thing than one that fails. */
static void note_write_error(struct log *log, int error) REQUIRES(log->append)
{
    if (error != ENOSPC && error != EDQUOT) {
        log_fail(log, "writing to a segment", error);
        return;
    }
    char reason[160];
    snprintf(reason, sizeof(reason), "the log cannot grow: %s", strerror(error));
    log_set_state(log, LOG_NO_SPACE, reason);
    log_wake_keeper(log);
}

bool log_write_flag(struct log *log, uint16_t flag)
{
    struct segment *active = log->active;
    char bytes[FRAME_HEADER_BYTES];
    struct frame_header header = {.flags = flag,
                                  .wall_ms = log->options.now_ms(log->options.context)};
    header_of(log, &header, active->used, bytes);
    struct iovec part = {bytes, sizeof(bytes)};
    if (!os_file_write_all(active->fd, &part, 1, active->used)) {
        note_write_error(log, errno);
        return false;
    }
    log->sequence++;
    note_written(log, sizeof(bytes), false);
    atomic_store(&log->is_marked,
                 true); /* behind a seal nothing is to be marked either */
    return true;
}

/* The frames at the front of `pending` that one write takes: they fit the active segment. */
struct gathered {
    struct iovec *parts;
    size_t count, cap;
    struct log_frame *end; /* the first that is not among them */
    uint64_t bytes, frames, records;
};

static void gather(struct log *log, struct gathered *gathered) REQUIRES(log->append)
{
    uint64_t sequence = log->sequence;
    struct log_frame *frame = log->pending;
    while (frame != NULL) {
        uint64_t bytes = frame_bytes(frame->header.payload_bytes);
        size_t parts = 2 * frame->reference_count + 1;
        bool is_first = gathered->frames == 0;
        if (!is_first && (gathered->count + parts > gathered->cap ||
                          gathered->bytes + bytes > WRITE_BYTES_MAX ||
                          !has_room(log, gathered->bytes + bytes))) {
            break;
        }
        header_of(log, &frame->header, log->active->used + gathered->bytes,
                  frame->bytes.data);
        log->sequence++;
        gathered->count +=
            frame_parts(frame, 0, frame->bytes.len, gathered->parts + gathered->count);
        gathered->bytes += bytes;
        gathered->frames++;
        gathered->records += frame->header.records;
        frame = frame->next;
    }
    gathered->end = frame;
    log->sequence = sequence; /* counted when they are written */
}

/* They are in the hands of the kernel. */
static void gathered_written(struct log *log, const struct gathered *gathered)
    REQUIRES(log->append)
{
    uint64_t offset = log->active->used;
    log->sequence += gathered->frames;
    atomic_fetch_add_explicit(&log->frames, gathered->frames, memory_order_relaxed);
    atomic_fetch_add_explicit(&log->records, gathered->records, memory_order_relaxed);
    note_written(log, gathered->bytes, true);
    while (log->pending != gathered->end) {
        struct log_frame *frame = log->pending;
        struct log_writer *owner = frame->owner;
        log->pending = frame->next;
        offset += frame_bytes(frame->header.payload_bytes);
        frame_done(log, frame, position_of(log->active->id, offset));
        if (owner != log->combiner) {
            owner->wake(owner->context);
        }
    }
    if (log->pending == NULL) {
        log->pending_last = &log->pending;
    }
}

/* False: nothing more can be written now. */
static bool write_some(struct log *log) REQUIRES(log->append)
{
    struct iovec on_stack[WRITE_PARTS];
    struct gathered gathered = {.parts = on_stack, .cap = WRITE_PARTS};
    size_t needed = 2 * log->pending->reference_count + 1;
    if (needed > WRITE_PARTS) {
        gathered.parts = heap_alloc(needed * sizeof(*gathered.parts));
        gathered.cap = needed;
        if (gathered.parts == NULL) {
            log_fail(log, "writing to a segment", ENOMEM);
            return false;
        }
    }
    gather(log, &gathered);
    bool ok = os_file_write_all(log->active->fd, gathered.parts, (int)gathered.count,
                                log->active->used);
    int error = errno;
    if (gathered.parts != on_stack) {
        heap_free(gathered.parts);
    }
    if (LIKELY(ok)) {
        gathered_written(log, &gathered);
    } else {
        note_write_error(log, error);
    }
    return ok;
}

/* How long writers had to wait for a segment. */
static void note_stall(struct log *log, bool is_stalled) REQUIRES(log->append)
{
    if (is_stalled == atomic_load_explicit(&log->is_stalled, memory_order_relaxed)) {
        return;
    }
    uint64_t now_ns = clock_monotonic_ns();
    if (is_stalled) {
        atomic_fetch_add(&log->stalls, 1);
        log->stalled_ns = now_ns;
        log_wake_keeper(log);
    } else {
        atomic_fetch_add(&log->stall_ns, now_ns - log->stalled_ns);
    }
    atomic_store(&log->is_stalled, is_stalled);
}

void log_drain_locked(struct log *log)
{
    queue_to_pending(log);
    bool goes_on = true;
    while (log->pending != NULL && goes_on && log_state(log) != LOG_FAILED) {
        goes_on = has_room_for_first(log) || log_rotate_locked(log) || grow(log);
        goes_on = goes_on && write_some(log);
    }
    note_stall(log, log->pending != NULL);
    if (UNLIKELY(log->spare == NULL)) {
        log_keeper_note_space(log);
    }
}

void log_append_release(struct log *log)
{
    lock_release(&log->append);
    log_drain(log, NULL);
}

void log_drain(struct log *log, const struct log_writer *self) UNCHECKED_LOCKING
{
    bool is_stalled = false;
    while (!is_stalled && atomic_load(&log->queue) != NULL &&
           pthread_mutex_trylock(&log->append.mutex) == 0) {
        log->combiner = self;
        log_drain_locked(log);
        log->combiner = NULL;
        is_stalled = log->pending != NULL;
        pthread_mutex_unlock(&log->append.mutex);
    }
}
