/* format.h - the bytes of a log and of a snapshot: file header, frames, records. README.md is the
 * same in words. Pure: no files, no state.
 *
 * All numbers little-endian. A file is a page of header and then frames, each at a multiple of
 * 8. Everything a frame says is covered by its header's checksum, which begins with the file's
 * salt and the frame's position: a frame is valid only in its own file and at its own place.
 *
 * Bytes read here come from a disk: they are answered, never CHECKed. */
#pragma once

#include <memento/limits.h>
#include <memento/status.h>

#include "base/annotate.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FORMAT_MAJOR 1
#define FORMAT_MINOR 0

/* ---- positions ---- */

/* Where something is in the log: the file's id, and the offset in it in units of 8 bytes. Grows
 * with every frame of a log's life; 0 is before everything. */
#define POSITION_OFFSET_UNIT 8
static inline uint64_t position_of(uint64_t file_id, uint64_t offset)
{
    return file_id << 32 | offset / POSITION_OFFSET_UNIT;
}
static inline uint64_t position_file(uint64_t position)
{
    return position >> 32;
}
static inline uint64_t position_offset(uint64_t position)
{
    return (position & UINT32_MAX) * POSITION_OFFSET_UNIT;
}

/* ---- file header ---- */

#define FILE_HEADER_BYTES 4096
#define UUID_BYTES        16
/* No file is larger: what a position can say. */
#define LOG_FILE_BYTES_MAX (((uint64_t)UINT32_MAX - 8) * POSITION_OFFSET_UNIT)

enum file_kind { FILE_LOG = 1, FILE_SNAPSHOT = 2 };

struct file_header {
    uint16_t major, minor;
    uint8_t kind; /* enum file_kind */
    unsigned char uuid[UUID_BYTES];
    uint64_t id;   /* the file's, in the manifest and in its name */
    uint64_t salt; /* random */
    int64_t created_ms;
};
void file_header_write(char bytes[FILE_HEADER_BYTES], const struct file_header *header);
/* ERR_CORRUPT; ERR_UNSUPPORTED (with major and minor filled in) for a greater major. */
MUST_USE enum memento_status file_header_read(const char bytes[FILE_HEADER_BYTES],
                                              struct file_header *header);

/* ---- frames ---- */

#define FRAME_HEADER_BYTES 56
#define FRAME_MAGIC        0x3146424Du
/* So much one frame holds at most. */
#define FRAME_PAYLOAD_MAX (UINT32_MAX - 4096u)

enum frame_flag {
    FRAME_MARK = 1, /* no records: says how far the log was durable */
    FRAME_SEAL = 2, /* no records: the file ends here */
};

struct frame_header {
    uint32_t payload_bytes;
    uint16_t flags;
    uint64_t sequence;     /* consecutive over the whole log; in a snapshot part from 0 */
    uint64_t durable;      /* position known durable when this was written */
    uint64_t base_version; /* records say how far above it they are */
    int64_t wall_ms;       /* TTL clock when it was written */
    uint32_t records;
    uint32_t payload_crc; /* CRC32C of the payload */
};

/* Bytes a frame takes in the file. */
static inline uint64_t frame_bytes(uint32_t payload_bytes)
{
    return ((uint64_t)FRAME_HEADER_BYTES + payload_bytes + 7) / 8 * 8;
}
void frame_header_write(char bytes[FRAME_HEADER_BYTES], const struct frame_header *header,
                        uint64_t salt, uint64_t position);
/* ERR_CORRUPT unless magic, checksum and limits hold. Says nothing about the payload. */
MUST_USE enum memento_status frame_header_read(const char bytes[FRAME_HEADER_BYTES],
                                               uint64_t salt, uint64_t position,
                                               struct frame_header *header);

/* ---- records ---- */

enum record_kind {
    RECORD_SET = 1, /* key, value, deadline, creation: all there is to know */
    RECORD_DELETE = 2,
    RECORD_TOUCH = 3, /* another deadline, or none; the value stays */
    RECORD_FLUSH = 4, /* everything of one database, or of all */
    RECORD_MAP = 5    /* SWAPDB: which physical database each logical one is */
};
/* Other kinds have a varint with their length behind the version; from here on they may not be
 * skipped by a reader that does not know them. */
#define RECORD_CRITICAL 0x80

enum record_flag {
    RECORD_HAS_DEADLINE = 1,
    RECORD_HAS_CREATED = 2,
    RECORD_HAS_DB = 4,    /* absent: database 0 (FLUSH: all of them) */
    RECORD_IS_EVICTED = 8 /* DELETE: not the user's wish */
};

#define RECORD_NO_DEADLINE INT64_MAX /* as ENTRY_NO_DEADLINE */
#define RECORD_ALL_DBS     UINT8_MAX /* of a FLUSH */

/* One record, decoded; the views point into what was read. */
struct record {
    uint8_t kind;
    uint8_t flags;
    uint8_t db; /* physical; RECORD_ALL_DBS */
    uint64_t version;
    int64_t deadline_ms; /* wall, or RECORD_NO_DEADLINE */
    int64_t created_ms;  /* with RECORD_HAS_CREATED; otherwise the version's own time */
    struct bytes key;
    struct bytes value; /* SET; MAP: MEMENTO_DATABASES bytes */
};

/* No record is longer beside its key and value. */
#define RECORD_OVERHEAD_MAX 64
/* The longest varint. */
#define VARINT_BYTES_MAX 10

/* Writes everything but the value of a SET (its length is written; the caller lets the bytes
 * follow, at once or by reference) to `out`, which has RECORD_OVERHEAD_MAX + the key's length of
 * room; gives the number of bytes. Flags for deadline, creation (when record->flags has
 * RECORD_HAS_CREATED) and database are worked out here. */
size_t record_write(char *out, const struct record *record, uint64_t base_version);
/* Reads one record from the front of `left` and takes it off. ERR_CORRUPT: not a record of this
 * format (lengths, flags, limits, varints that are longer than they need be).
 * ERR_UNSUPPORTED: a critical kind this program does not know. A kind that may be skipped is
 * given back with its kind and nothing else. */
MUST_USE enum memento_status record_read(struct bytes *left, uint64_t base_version,
                                         struct record *record);
