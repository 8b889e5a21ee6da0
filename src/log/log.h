/* log.h - the append-only log: what is staged by writers becomes frames, frames become bytes of
 * segments, and the sync thread makes them durable.
 *
 *   writer     log_stage... while it holds the shard; log_commit at the end of its turn, without
 *              a shard: the frame is queued, and whoever finds the log free writes all that is
 *              queued with one pwritev. Nobody waits for the log or the disk.
 *   sync       fdatasync, and nothing else that could delay it
 *   keeper     prepares the next segment: zeros, synced and in the manifest before it is needed
 *
 * May use:    base/, and the other files of log/.
 * Invariants: frames lie in the order of their sequence; a frame is reported written when all
 *             of it has been handed to the kernel, durable after an fdatasync that began later;
 *             the file of a failed sync is never synced again. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "base/lock.h"
#include "base/thread.h"
#include "log/format.h"
#include "log/manifest.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log;
struct archive;

enum log_policy { LOG_ALWAYS, LOG_EVERYSEC, LOG_NEVER };

/* What the log can do just now. */
enum log_state {
    LOG_READY,
    LOG_NO_SPACE, /* the next segment cannot be made: only deletions are taken */
    LOG_FAILED /* a write or a sync failed: nothing is taken until LOG REOPEN or a restart */
};

struct log_options {
    enum log_policy policy;
    uint64_t segment_bytes;    /* LOG_SEGMENT_BYTES_MIN.. */
    uint32_t max_unsynced_ms;  /* everysec: the bound on what a power loss takes */
    uint64_t buffer_bytes_max; /* staged and not written: above it log_is_crowded */
    /* Reads the TTL clock, for frames and marks. */
    int64_t (*now_ms)(void *context);
    void *context;
    /* Values staged by reference are let go with it. */
    void (*release)(void *owner);
    /* False: no threads; the test calls log_sync_step and log_keep_step itself. */
    bool has_threads;
};
#define LOG_SEGMENT_BYTES_DEFAULT (64u * 1024 * 1024)
#define LOG_SEGMENT_BYTES_MIN     (64u * 1024)
/* Values from here on are staged by reference. */
#define LOG_REFERENCE_BYTES 16384

/* ---- the directory ---- */

/* Opens (and with `create` makes) the directory and locks it. ERR_BUSY: another process has it
 * open, *pid is its number (0 unknown). ERR_IO with errno. */
MUST_USE enum memento_status log_lock_directory(const char *path, bool create, int *dir,
                                                int *lock, long *pid);
void log_unlock_directory(int dir, int lock);

/* ---- life ---- */

/* Goes on where `archive`, all of whose files have been read, ends; or begins a new directory when
 * archive is NULL. The frames of a last segment without a seal are copied to a new one first,
 * what was torn is kept in a file of its own. On success the manifest on disk is the log's. ERR_IO, ERR_NO_SPACE: nothing
 * that counts was changed. The lock of the directory stays the caller's. */
MUST_USE enum memento_status log_open(struct log **log, int dir,
                                      const struct log_options *options,
                                      const struct archive *archive);
/* After the last log_writer_fini. Writes what is queued, syncs, seals, and notes the clean end in
 * the manifest. ERR_IO: the next start will recover. Frees the log. */
MUST_USE enum memento_status log_close(struct log *log);
/* Frees it as a crash would leave it: nothing more is written. */
void log_abandon(struct log *log);

/* ---- writers ---- */

/* A value that is not copied: the frame holds a reference until it has been written. */
struct log_reference {
    struct bytes bytes;
    void *owner;
    size_t at; /* offset in the staged bytes where it belongs */
};

struct log_frame;

/* What one writer stages; its thread's own but for what is atomic. */
struct log_writer {
    struct log *log; /* NULL: in memory only, nothing is staged */
    struct log_frame *open;
    /* An empty one for the next turn; whoever has written a frame puts it here. */
    struct log_frame *_Atomic reserve;
    uint64_t lowest; /* no version of this turn is below it: the open frame's base */
    struct log_writer *next; /* of the log's list */
    void (*wake)(
        void *context); /* called by other threads: what it waits for may have come */
    void *context;
    uint64_t committed;           /* number of the last frame it committed; 0 none */
    _Atomic uint64_t written;     /* number of its last frame that is written */
    _Atomic uint64_t written_end; /* position behind it; stored before `written` */
    /* No change that is not written yet has a version below it (log_settled_version). Frames up
     * to floor_frame have to be written before it may become floor_then. */
    _Atomic uint64_t floor;
    uint64_t floor_frame, floor_then;
    _Atomic bool waits; /* wants to be woken after the next sync */
};
#define LOG_FLOOR_IDLE UINT64_MAX

MUST_USE enum memento_status log_writer_init(struct log_writer *writer, struct log *log,
                                             void (*wake)(void *context), void *context);
void log_writer_fini(struct log_writer *writer);

/* A turn: wakes, before the clock is read that its versions come from; turn, with the lowest
 * version that clock can give; commit; and sleeps, before the writer waits for something that
 * is not the log. All cost next to nothing. */
void log_writer_wakes(struct log_writer *writer);
void log_writer_turn(struct log_writer *writer, uint64_t lowest_version);
void log_writer_sleeps(struct log_writer *writer);
/* Milliseconds are shifted by so much in a version. */
#define LOG_VERSION_SHIFT 20

/* A place in what is staged, to go back to when the change is not made after all. */
struct log_mark {
    size_t bytes, references;
    uint32_t records;
};

/* Room for a record, before the change is made: with it log_stage cannot fail. ERR_NO_MEMORY;
 * ERR_TOO_LARGE: the frame would be larger than FRAME_PAYLOAD_MAX. */
MUST_USE enum memento_status log_reserve(struct log_writer *writer, size_t key_bytes,
                                         size_t value_bytes);
/* Adds the record to the open frame. `owner` (with one reference, which is taken over) holds
 * record->value when it is LOG_REFERENCE_BYTES or longer; NULL: the value is copied. */
void log_stage(struct log_writer *writer, const struct record *record, void *owner);
struct log_mark log_staged(const struct log_writer *writer);
void log_unstage(struct log_writer *writer, struct log_mark mark);
/* Bytes staged and not committed. */
size_t log_staged_bytes(const struct log_writer *writer);

/* Makes a frame of what is staged and writes it, if the log is free. Afterwards
 * writer->committed is its number; it is written when writer->written has reached that: at
 * once, or later (`wake` is called). Never waits. */
void log_commit(struct log_writer *writer);

/* Asks for a sync now (policy always), and to be woken when it is done. Look at
 * log_durable_end again afterwards: it may have been reached meanwhile. */
void log_want_sync(struct log_writer *writer);

/* ---- what has been reached: any thread ---- */

enum log_state log_state(const struct log *log);
/* Why it is not READY, one line; "" when it is. Copies. */
void log_state_reason(struct log *log, struct buf *out);
uint64_t log_written_end(const struct log *log);
uint64_t log_durable_end(const struct log *log);
/* Every change with a version up to this is durable. */
uint64_t log_settled_version(const struct log *log);
/* Everysec: acknowledging has to stop until a sync is done. */
bool log_is_overdue(const struct log *log);
/* More is waiting to be written than buffer_bytes_max. */
bool log_is_crowded(const struct log *log);
void log_set_policy(struct log *log, enum log_policy policy);

struct log_stats {
    uint64_t segments;       /* files, with the one that is prepared */
    uint64_t log_bytes;      /* used in them, without headers */
    uint64_t snapshot_bytes; /* parts of the snapshot in force */
    uint64_t queued_bytes;   /* committed, not written */
    uint64_t unsynced_bytes;
    uint64_t unsynced_age_ms;
    uint64_t syncs, frames, records, bytes_written;
    uint64_t sync_us_max, sync_us_p50, sync_us_p99; /* of the last 1,024 */
    uint64_t stalls, stall_ms;                      /* episodes without a next segment */
    uint64_t sequence;                              /* of the next frame */
    int64_t last_sync_ms;                           /* wall */
};
void log_stats(struct log *log, struct log_stats *stats);
void log_uuid(const struct log *log, unsigned char uuid[UUID_BYTES]);

/* Waits until everything before the position is durable; until every change up to the version
 * is settled. Not for workers: the caller sleeps. ERR_LOG_FAILED. Without threads the steps are
 * done by the caller, and no other writer may be in the middle of a turn. */
MUST_USE enum memento_status log_sync_wait(struct log *log, uint64_t position);
MUST_USE enum memento_status log_settle_wait(struct log *log, uint64_t version);

/* ---- steps of the threads, for tests without threads ---- */

/* One round of the sync thread: true when it did something. */
bool log_sync_step(struct log *log);
/* One round of the keeper. */
bool log_keep_step(struct log *log);

/* ---- snapshots (compaction, LOG REOPEN) and backups: one background thread at a time ---- */

struct snapshot;                   /* being written */
#define SNAPSHOT_REFERENCES_MAX 64 /* in a frame of it */
#define BACKUP_NAME_MAX         64 /* bytes */

/* Begins a new segment and gives its id: every record in an earlier one was staged before this
 * call. Waits for the keeper when it must. ERR_NO_SPACE: there is none; *first_segment is the active
 * one's, of which the same holds, so a snapshot may do without. ERR_LOG_FAILED. */
MUST_USE enum memento_status log_rotate(struct log *log, uint64_t *first_segment);

/* ERR_NO_MEMORY. No file is made before the first append. */
MUST_USE enum memento_status snapshot_create(struct snapshot **snapshot, struct log *log);
/* A frame of `records` records; `references` as log_stage has them. Writes and, each few MiB,
 * syncs. ERR_IO, ERR_NO_SPACE: abandon it. */
MUST_USE enum memento_status snapshot_append(struct snapshot *snapshot,
                                             struct bytes records,
                                             const struct log_reference *references,
                                             size_t reference_count,
                                             uint32_t record_count,
                                             uint64_t base_version);
uint64_t snapshot_bytes(const struct snapshot *snapshot);
/* Seals and syncs the parts, waits until every change up to `newest` (the greatest version that
 * can be in the snapshot) is durable in the log, and puts the snapshot in force: {parts, cut,
 * segments from first_segment on}. Then removes the files that are not needed any more. Frees
 * it. On failure the old ones stay in force. */
MUST_USE enum memento_status snapshot_commit(struct snapshot *snapshot, uint64_t cut,
                                             uint64_t newest, uint64_t first_segment);
void snapshot_abandon(struct snapshot *snapshot); /* removes its files; accepts NULL */

/* Out of LOG_FAILED: begin gives up all segments for a new one, which nothing is written to yet;
 * then the caller makes a snapshot of everything, as after log_rotate; commit puts it in force,
 * and the log is READY. A failure leaves it FAILED, to be tried again. ERR_INVALID: it has not
 * failed. */
MUST_USE enum memento_status log_reopen_begin(struct log *log, uint64_t *first_segment);
MUST_USE enum memento_status log_reopen_commit(struct snapshot *snapshot, uint64_t cut);

/* Hard links of everything durable now, with a manifest of its own, as `name` in the directory
 * `to`. ERR_IO with errno (EEXIST, EXDEV...). */
MUST_USE enum memento_status log_backup(struct log *log, int to, const char *name);
