/* manifest.h - which files make up a data directory, and what is known of them. Small, text,
 * with a checksum; replaced as a whole by write - sync - rename - sync of the directory, so
 * that a crash at any point leaves the old one or the new one.
 *
 * Thread: whoever owns the struct. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "log/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_NAME "MANIFEST"
#define LOCK_NAME     "LOCK"
/* log-0123456789abcdef.mem, snap-….mem, log-….torn */
#define FILE_NAME_BYTES    32
#define MANIFEST_BYTES_MAX (16 * 1024 * 1024)

struct snapshot_part {
    uint64_t id;
    uint64_t bytes; /* exact size */
};

struct manifest {
    unsigned char uuid[UUID_BYTES]; /* of the directory, made with it */
    uint64_t next_id;               /* for new files: never used twice */
    uint64_t cut; /* log records with versions up to it are in the snapshot */
    /* Everything before this position was on disk once: damage there is corruption. */
    uint64_t required_end;
    bool is_clean; /* the log ends at required_end, by a clean shutdown */
    /* Frames with smaller numbers are needed to make the snapshot whole: nothing earlier than
     * this frame, written at this time, can be restored. */
    uint64_t snapshot_sequence;
    int64_t snapshot_ms;
    int64_t wall_ms; /* TTL clock when it was written */
    /* The moment that an earlier start restored; asked for again, it has been done. 0: none. */
    uint64_t restored_sequence;
    int64_t restored_ms;
    struct snapshot_part *parts;
    size_t part_count;
    uint64_t *segments; /* ids of live log files, ascending; the last may be unused yet */
    size_t segment_count;
};

void manifest_init(struct manifest *manifest);
void manifest_fini(struct manifest *manifest);
MUST_USE enum memento_status manifest_add_segment(struct manifest *manifest, uint64_t id);
MUST_USE enum memento_status manifest_add_part(struct manifest *manifest,
                                               struct snapshot_part part);
/* A deep copy, into one that is not initialised. */
MUST_USE enum memento_status manifest_copy(struct manifest *to,
                                           const struct manifest *from);

/* The text, and back. ERR_CORRUPT with a reason in `why`; ERR_UNSUPPORTED. */
void manifest_print(const struct manifest *manifest, struct buf *out);
MUST_USE enum memento_status manifest_parse(struct bytes text, struct manifest *manifest,
                                            struct buf *why);

/* NOT_FOUND when the directory has none. */
MUST_USE enum memento_status manifest_read(int dir, struct manifest *manifest,
                                           struct buf *why);
/* The directory is synced before the rename too: files that were made for this manifest are in it
 * before it can name them. ERR_IO, ERR_NO_MEMORY: the old one is in force (errno). ERR_LOG_FAILED: the directory could not
 * be synced, so after a crash it may be either (errno). */
MUST_USE enum memento_status manifest_write(int dir, const struct manifest *manifest);

void segment_name(char name[FILE_NAME_BYTES], uint64_t id); /* log-….mem */
void part_name(char name[FILE_NAME_BYTES], uint64_t id);    /* snap-….mem */
void torn_name(char name[FILE_NAME_BYTES], uint64_t id);    /* log-….torn */
/* Whether it is a name of ours, and which; 0 otherwise. */
uint64_t segment_id_of_name(const char *name);
uint64_t part_id_of_name(const char *name);
