/* archive.h - a data directory as it lies on disk, read only: what the server loads, and what
 * memento-check looks at.
 *
 * Reading has two steps. archive_open reads the manifest, checks that the files are there, and
 * decides where the log ends: cleanly, torn, or corrupt (the rule is in README.md). Then
 * archive_read_file gives the frames of one file after another, or of several at once from
 * several threads, each verified before it is given.
 *
 * Bytes from a disk are answered, never CHECKed. A read error is never taken for an end. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "log/format.h"
#include "log/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum archive_state {
    ARCHIVE_CLEAN, /* ends by a seal, as a clean shutdown leaves it */
    ARCHIVE_OPEN, /* ends by zeros: nothing is missing that was acknowledged as durable */
    ARCHIVE_TORN, /* ends in bytes that were never known to be on disk: they are cut off */
    ARCHIVE_CORRUPT /* something that was on disk once is damaged or gone */
};

/* Where the log ends or is damaged. */
struct archive_finding {
    enum archive_state state;
    uint64_t position;         /* the first byte that does not count */
    uint64_t sequence;         /* of the frame expected there */
    uint64_t bytes;            /* TORN: behind it, to the end of what is not zero */
    uint64_t frames;           /* TORN: valid ones among them, dropped all the same */
    int64_t first_ms, last_ms; /* their wall clock; 0 without any */
    bool is_limited;           /* it ends here because of archive->limit */
    struct buf text;           /* one line for people: file, offset, what is wrong */
};

/* Frames up to here are read: a restore to an earlier moment. 0: no limit. */
struct archive_limit {
    int64_t wall_ms;   /* frames written after it are left out */
    uint64_t sequence; /* frames with a greater number are left out */
};

struct archive {
    int dir;
    struct manifest manifest;
    struct archive_limit
        limit;         /* {0, 0} too when an earlier start has restored just this */
    bool was_restored; /* ... which this says */
    struct archive_finding finding;
    /* All files to read: snapshot parts, then log segments in order. */
    struct archive_file *files;
    size_t file_count;
    uint64_t bytes; /* of all of them, for progress */
};

struct archive_file {
    enum file_kind kind;
    uint64_t id;
    uint64_t bytes; /* size of the file */
    /* Offset where reading stops; frames behind it do not count. When archive_open did not have
     * to look for it, the file must end by a seal, and `end` is 0 until it has been read. */
    uint64_t end;
    bool end_is_known;
    /* Filled in by archive_read_file. The sequences are those of its frames; they are equal
     * when it has none, and of a segment that of the frame expected next. */
    uint64_t first_sequence, next_sequence;
    uint64_t frames, records;
    uint64_t version_max;
    int64_t wall_max_ms;
    bool is_sealed;
};

/* Opens the directory's files for reading; `dir` stays the caller's. NOT_FOUND: there is no
 * manifest. ERR_CORRUPT and ERR_UNSUPPORTED say why in archive->finding.text, ERR_IO too. A log
 * that is TORN is OK here: whoever opens decides. Nothing on disk is changed. Whatever comes of
 * it, the archive is closed in the end. ERR_INVALID: the limit is before the snapshot. */
MUST_USE enum memento_status archive_open(struct archive *archive, int dir,
                                          const struct archive_limit *limit);
void archive_close(struct archive *archive);

/* A frame that was verified, and its records' bytes, good during the call. Returning another
 * status than OK ends the reading with it. */
struct archive_frame {
    const struct archive_file *file;
    uint64_t offset;
    struct frame_header header;
    struct bytes payload;
};
typedef enum memento_status archive_visit(void *context,
                                          const struct archive_frame *frame);
/* Any thread, different files at the same time. ERR_CORRUPT and ERR_IO put file, offset and reason
 * into `why`. *progress (may be NULL) grows by the bytes read. */
MUST_USE enum memento_status archive_read_file(struct archive *archive, size_t index,
                                               archive_visit *visit, void *context,
                                               _Atomic uint64_t *progress,
                                               struct buf *why);
/* After all files were read: whether the log's frames follow one another without a gap.
 * ERR_CORRUPT with the reason. */
MUST_USE enum memento_status archive_check_chain(const struct archive *archive,
                                                 struct buf *why);
