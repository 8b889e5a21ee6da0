/* running.h - inside the log: what a running log is made of, and what its files share.
 *
 * Lock order: manifest_lock < append < sync_lock. Writers only ever try `append`, and never while
 * they hold a shard; background threads wait for it. manifest_lock is held across file
 * operations, by background threads only. */
#pragma once

#include "base/heap.h"
#include "log/log.h"

/* The last part of a segment is kept for deletions while the disk is full. */
#define RESERVE_SHARE 16
/* Everysec: so much is synced at once, before half of the time has passed, since a disk does
 * better with much a little at a time. */
#define SYNC_EARLY_BYTES (4u * 1024 * 1024)
/* Latencies of so many syncs are remembered. */
#define SYNC_SAMPLES 1024

struct log_frame {
    struct log_frame *next;
    struct log_writer *owner;
    uint64_t number; /* of its owner's frames */
    struct buf
        bytes; /* room for the header, then the payload without what is referred to */
    struct log_reference *references;
    size_t reference_count, reference_cap;
    size_t reference_bytes;
    struct frame_header header;
};

struct segment {
    struct segment *next;
    uint64_t id, salt;
    uint64_t bytes; /* prepared */
    uint64_t used;  /* where the next frame goes */
    int fd;
};

struct log {
    int dir;
    struct log_options options;
    _Atomic int policy; /* enum log_policy */
    unsigned char uuid[UUID_BYTES];

    /* Frames on their way, newest first: pushed by writers, taken as a whole. */
    struct log_frame *_Atomic queue CACHE_ALIGNED;
    _Atomic uint64_t queued_bytes;

    /* ---- under `append` ---- */
    struct lock append CACHE_ALIGNED;
    struct log_frame *pending, **pending_last; /* taken from the queue, oldest first */
    struct log_frame
        *covered; /* LOG_FAILED: those that the snapshot being made will have */
    struct segment *active;
    struct segment *spare;             /* NULL: the keeper is making one */
    struct segment *sealed;            /* not synced yet, oldest first */
    uint64_t sequence;                 /* of the next frame */
    uint64_t unsynced_bytes;           /* written since the last sync began */
    uint64_t sealed_end;               /* position behind the last seal */
    uint64_t closed_bytes;             /* of frames in segments before the active one */
    uint64_t closed_before;            /* the same at the last log_rotate */
    const struct log_writer *combiner; /* whose thread is writing; or NULL */
    _Atomic bool is_stalled;           /* pending frames wait for a segment */
    uint64_t stalled_ns;               /* since */

    _Atomic int state CACHE_ALIGNED; /* enum log_state */
    _Atomic uint64_t written_end, durable_end, settled;
    _Atomic bool is_marked; /* the last frame says how far the log is durable */
    /* Monotonic time of the oldest write that no sync was begun for, and of the oldest that the
     * running sync is for; 0: none. */
    _Atomic uint64_t unsynced_ns, syncing_ns;
    _Atomic uint64_t written_bytes, durable_bytes; /* ever */
    _Atomic uint64_t frames, records, syncs, stalls, stall_ns, growths;
    struct {
        _Atomic uint64_t segments, snapshot_bytes, log_bytes, sequence;
    } shown; /* for log_stats */
    _Atomic int64_t last_sync_ms;

    /* ---- the threads ---- */
    struct lock sync_lock CACHE_ALIGNED;
    pthread_cond_t sync_wanted, sync_done, keeper_wanted, spare_made;
    struct thread sync_thread, keeper_thread;
    bool is_stopping;
    bool is_syncing;        /* descriptors are in use by a sync */
    _Atomic bool is_wanted; /* a sync, now */
    _Atomic bool is_much_unsynced;
    _Atomic bool is_sync_asleep; /* until somebody wants something */
    bool keeper_is_wanted;
    bool keeper_has_failed;  /* the last attempt to make a segment did */
    char keeper_reason[160]; /* why */
    char reason[256];        /* why the state is not READY */
    uint32_t sync_us[SYNC_SAMPLES];
    uint64_t sync_samples;

    struct lock writers_lock;
    struct log_writer *writers;

    struct lock manifest_lock;
    struct manifest manifest; /* as on disk, but for next_id, which may be ahead */
};

/* ---- writer.c ---- */

/* Writes all that is queued, if nobody else is doing so. Any thread; `self` (may be NULL) is the
 * caller's own writer, which need not be woken. */
void log_drain(struct log *log, const struct log_writer *self);
/* The way to let the append lock go: a writer that found it taken has left its frame in the queue,
 * relying on whoever has the lock to look there afterwards. */
void log_append_release(struct log *log) RELEASES(log->append);
/* The same with the append lock held. */
void log_drain_locked(struct log *log) REQUIRES(log->append);
/* A frame without records at the end of the active segment. False: the log has failed. */
bool log_write_flag(struct log *log, uint16_t flag) REQUIRES(log->append);
void log_frame_destroy(
    struct log_frame *frame); /* lets its references go; accepts NULL */
/* Frames that a snapshot makes needless: their owners see them written, at `end`. */
void log_frames_covered(struct log *log, struct log_frame *frames, uint64_t end);
/* All that is queued, oldest first. */
struct log_frame *log_take_queue(struct log *log) REQUIRES(log->append);

/* ---- log.c: what log_stats shows has changed ---- */

void log_show_append(struct log *log) REQUIRES(log->append);
void log_show_manifest(struct log *log) REQUIRES(log->manifest_lock);

/* ---- sync.c ---- */

/* Sticky, traced once; wakes everybody who waits. Any thread, with or without `append`. */
void log_fail(struct log *log, const char *what, int error);
/* Between READY and NO_SPACE, and into FAILED; traced, and everybody who waits is woken. */
void log_set_state(struct log *log, enum log_state state, const char *reason);
void log_wake_sync(struct log *log);
/* Those who wait for a sync, or all. */
void log_wake_writers(struct log *log, bool all);
/* Nothing uses the descriptors of segments after it, until the state is READY again. */
void log_wait_for_sync(struct log *log);
void log_sync_main(void *context);
/* Monotonic; 0 when all is durable. */
uint64_t log_oldest_unsynced_ns(const struct log *log);
/* Percentiles of the last syncs. */
void log_sync_latency(struct log *log, struct log_stats *stats);

/* ---- keeper.c ---- */

void log_keeper_main(void *context);
/* A new segment on disk: header, zeros, synced; in no manifest yet. NULL with errno. */
struct segment *segment_create(struct log *log, uint64_t id);
void segment_close(struct segment *segment); /* accepts NULL; frees */
/* One that was closed early need not take the space of a full one: its zeros are cut off. */
void segment_give_back(const struct segment *segment);
/* Exchanges the active segment for the spare. False: there is none. */
bool log_rotate_locked(struct log *log) REQUIRES(log->append);
void log_wake_keeper(struct log *log);
bool log_keeper_has_failed(struct log *log);
/* There is no next segment: NO_SPACE when it could not be made and this one is nearly full. */
void log_keeper_note_space(struct log *log) REQUIRES(log->append);
/* A fresh id for a file. */
uint64_t log_new_id(struct log *log);
/* Removes every file of ours that the manifest does not name. Only while nobody makes any. */
void log_remove_strangers(int dir, const struct manifest *manifest);

/* Header page of a new file. */
bool log_write_file_header(struct log *log, int fd, enum file_kind kind, uint64_t id,
                           uint64_t *salt);
