/* scan.h - one file of frames, read through a window: a frame at a place is verified as a whole,
 * and valid frames behind damage are searched for.
 *
 * Memory grows with the largest frame that the file's size covers, never with what a damaged
 * length says. Bytes are answered, never CHECKed. Its owner's thread. */
#pragma once

#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "log/format.h"
#include "log/manifest.h"

#include <stddef.h>
#include <stdint.h>

/* Reads begin with so much. */
#define SCAN_WINDOW_BYTES (1024 * 1024)
/* Behind damage a frame counts as one of this log only if its number is so little ahead: values
 * full of bytes that look like frames must not be taken for them. */
#define SCAN_SEQUENCE_AHEAD_MAX (1u << 20)
/* Instead of a number: any. */
#define SCAN_ANY UINT64_MAX

struct scan {
    int fd;
    char name[FILE_NAME_BYTES];
    uint64_t size;
    struct file_header header;
    const char *reason; /* why the last ERR_CORRUPT or ERR_UNSUPPORTED, or what failed */
    char *window;
    size_t window_cap, window_len;
    uint64_t window_at;
};

/* A whole frame; the payload is good until the next call. */
struct scan_frame {
    uint64_t offset;
    struct frame_header header;
    struct bytes payload;
};

/* Opens the file of that kind and id and reads its header, whose uuid must be `uuid`. Cached
 * pages are dropped, so that the disk is read. ERR_CORRUPT (also: there is no such file),
 * ERR_UNSUPPORTED, ERR_IO, ERR_NO_MEMORY say why in one line. On failure there is nothing to
 * close. */
MUST_USE enum memento_status scan_open(struct scan *scan, int dir, enum file_kind kind,
                                       uint64_t id, const unsigned char uuid[UUID_BYTES],
                                       struct buf *why);
void scan_close(struct scan *scan);

/* The header of the frame at `offset`; its payload may be anything. ERR_CORRUPT, ERR_IO. */
MUST_USE enum memento_status scan_frame_header(struct scan *scan, uint64_t offset,
                                               struct frame_header *header);
/* The frame at `offset` with that sequence (SCAN_ANY), its payload verified. ERR_CORRUPT:
 * there is none; ERR_IO, ERR_NO_MEMORY. */
MUST_USE enum memento_status scan_frame(struct scan *scan, uint64_t offset,
                                        uint64_t sequence, struct scan_frame *frame);
/* Whether the records are what the header says. The greatest version is raised to theirs.
 * ERR_CORRUPT, ERR_UNSUPPORTED. */
MUST_USE enum memento_status scan_records(struct scan *scan,
                                          const struct scan_frame *frame,
                                          uint64_t *version_max);
/* The first valid frame at `from` or behind it whose sequence is above `last`, but not by more
 * than SCAN_SEQUENCE_AHEAD_MAX (SCAN_ANY: any). NOT_FOUND: none to the end of the file. The end
 * of what is not zero between here and there is put into *nonzero_end, which stays when all of
 * it is. ERR_IO, ERR_NO_MEMORY. */
MUST_USE enum memento_status scan_search(struct scan *scan, uint64_t from, uint64_t last,
                                         struct scan_frame *frame, uint64_t *nonzero_end);
/* "log-….mem, offset 4096: reason". */
void scan_explain(const struct scan *scan, uint64_t offset, struct buf *why);
