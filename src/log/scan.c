#include "log/scan.h"

#include "base/crc.h"
#include "base/heap.h"
#include "base/os_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

void scan_explain(const struct scan *scan, uint64_t offset, struct buf *why)
{
    buf_appendf(why, "%s, offset %" PRIu64 ": %s", scan->name, offset, scan->reason);
}

static enum memento_status fail(struct scan *scan, enum memento_status status,
                                const char *reason)
{
    scan->reason = reason;
    return status;
}

/* errno is still that of the read when the reason is asked for. */
static enum memento_status fail_io(struct scan *scan, int error)
{
    return fail(scan, MEMENTO_ERR_IO, strerror(error));
}

/* ---- the window ---- */

/* Moves the window to `offset`, with `len` bytes or more, all inside the file. */
static enum memento_status window_move(struct scan *scan, uint64_t offset, size_t len)
{
    uint64_t left = scan->size - offset;
    size_t wanted = len > SCAN_WINDOW_BYTES    ? len
                    : left < SCAN_WINDOW_BYTES ? (size_t)left
                                               : SCAN_WINDOW_BYTES;
    scan->window_len = 0;
    if (wanted > scan->window_cap) {
        heap_free(scan->window);
        scan->window_cap = 0;
        scan->window = heap_alloc(wanted);
        if (scan->window == NULL) {
            return fail(scan, MEMENTO_ERR_NO_MEMORY, "out of memory");
        }
        scan->window_cap = wanted;
    }
    ssize_t got = os_file_read_all(scan->fd, scan->window, wanted, offset);
    if (got < 0) {
        return fail_io(scan, errno);
    }
    if ((size_t)got < len) {
        return fail(scan, MEMENTO_ERR_IO, "the file became shorter while it was read");
    }
    scan->window_at = offset;
    scan->window_len = (size_t)got;
    return MEMENTO_OK;
}

static enum memento_status window_view(struct scan *scan, uint64_t offset, size_t len,
                                       const char **data)
{
    if (offset < scan->window_at || offset - scan->window_at + len > scan->window_len) {
        enum memento_status status = window_move(scan, offset, len);
        if (status != MEMENTO_OK) {
            return status;
        }
    }
    *data = scan->window + (offset - scan->window_at);
    return MEMENTO_OK;
}

/* ---- the file ---- */

static enum memento_status check_header(struct scan *scan, enum file_kind kind,
                                        uint64_t id, const unsigned char *uuid)
{
    const char *bytes;
    if (scan->size < FILE_HEADER_BYTES) {
        return fail(scan, MEMENTO_ERR_CORRUPT, "the file is shorter than its header");
    }
    enum memento_status status = window_view(scan, 0, FILE_HEADER_BYTES, &bytes);
    if (status != MEMENTO_OK) {
        return status;
    }
    status = file_header_read(bytes, &scan->header);
    if (status == MEMENTO_ERR_UNSUPPORTED) {
        return fail(scan, status, "the file was written by a newer memento");
    }
    if (status != MEMENTO_OK) {
        return fail(scan, status, "the file's header is damaged");
    }
    if (scan->header.kind != kind || scan->header.id != id) {
        return fail(scan, MEMENTO_ERR_CORRUPT, "the header is that of another file");
    }
    if (memcmp(scan->header.uuid, uuid, UUID_BYTES) != 0) {
        return fail(scan, MEMENTO_ERR_CORRUPT,
                    "the file belongs to another data directory");
    }
    return MEMENTO_OK;
}

enum memento_status scan_open(struct scan *scan, int dir, enum file_kind kind,
                              uint64_t id, const unsigned char uuid[UUID_BYTES],
                              struct buf *why)
{
    *scan = (struct scan){.reason = ""};
    if (kind == FILE_LOG) {
        segment_name(scan->name, id);
    } else {
        part_name(scan->name, id);
    }
    scan->fd = os_file_open(dir, scan->name, O_RDONLY);
    if (scan->fd < 0) {
        bool is_missing = errno == ENOENT;
        buf_appendf(why, "%s: %s", scan->name,
                    is_missing ? "the file is missing" : strerror(errno));
        return is_missing ? MEMENTO_ERR_CORRUPT : MEMENTO_ERR_IO;
    }
    os_file_drop_cache(scan->fd);
    enum memento_status status = os_file_size(scan->fd, &scan->size)
                                     ? check_header(scan, kind, id, uuid)
                                     : fail_io(scan, errno);
    if (status != MEMENTO_OK) {
        scan_explain(scan, 0, why);
        if (status == MEMENTO_ERR_UNSUPPORTED) {
            buf_appendf(why, " (format %u.%u; this program reads up to %u)",
                        scan->header.major, scan->header.minor, FORMAT_MAJOR);
        }
        scan_close(scan);
    }
    return status;
}

void scan_close(struct scan *scan)
{
    os_file_close(scan->fd);
    heap_free(scan->window);
    scan->window = NULL;
}

/* ---- frames ---- */

enum memento_status scan_frame_header(struct scan *scan, uint64_t offset,
                                      struct frame_header *header)
{
    const char *bytes;
    if (offset > scan->size || scan->size - offset < FRAME_HEADER_BYTES) {
        return fail(scan, MEMENTO_ERR_CORRUPT, "the file ends here");
    }
    enum memento_status status = window_view(scan, offset, FRAME_HEADER_BYTES, &bytes);
    if (status != MEMENTO_OK) {
        return status;
    }
    status = frame_header_read(bytes, scan->header.salt,
                               position_of(scan->header.id, offset), header);
    if (status != MEMENTO_OK) {
        return fail(scan, status, "there is no valid frame here");
    }
    if (frame_bytes(header->payload_bytes) > scan->size - offset) {
        return fail(scan, MEMENTO_ERR_CORRUPT,
                    "the frame reaches beyond the end of the file");
    }
    return MEMENTO_OK;
}

enum memento_status scan_frame(struct scan *scan, uint64_t offset, uint64_t sequence,
                               struct scan_frame *frame)
{
    *frame = (struct scan_frame){.offset = offset};
    enum memento_status status = scan_frame_header(scan, offset, &frame->header);
    if (status != MEMENTO_OK) {
        return status;
    }
    if (sequence != SCAN_ANY && frame->header.sequence != sequence) {
        return fail(scan, MEMENTO_ERR_CORRUPT,
                    "the frame here has another sequence number than the next");
    }
    size_t payload_bytes = frame->header.payload_bytes;
    const char *bytes;
    status = window_view(scan, offset, FRAME_HEADER_BYTES + payload_bytes, &bytes);
    if (status != MEMENTO_OK) {
        return status;
    }
    frame->payload = bytes_of(bytes + FRAME_HEADER_BYTES, payload_bytes);
    if (crc32c(0, frame->payload) != frame->header.payload_crc) {
        return fail(scan, MEMENTO_ERR_CORRUPT,
                    "the checksum of the frame's records is wrong");
    }
    return MEMENTO_OK;
}

enum memento_status scan_records(struct scan *scan, const struct scan_frame *frame,
                                 uint64_t *version_max)
{
    struct bytes left = frame->payload;
    uint32_t count = 0;
    while (left.len > 0) {
        struct record record;
        enum memento_status status =
            record_read(&left, frame->header.base_version, &record);
        if (status == MEMENTO_ERR_UNSUPPORTED) {
            return fail(scan, status,
                        "a record of a kind that only a newer memento understands");
        }
        if (status != MEMENTO_OK) {
            return fail(scan, status, "a record in the frame cannot be read");
        }
        if (record.version > *version_max) {
            *version_max = record.version;
        }
        count++;
    }
    return count == frame->header.records
               ? MEMENTO_OK
               : fail(scan, MEMENTO_ERR_CORRUPT,
                      "the frame has another number of records than it says");
}

/* ---- behind damage ---- */

static bool is_ahead(uint64_t sequence, uint64_t last)
{
    return last == SCAN_ANY ||
           (sequence > last && sequence - last <= SCAN_SEQUENCE_AHEAD_MAX);
}

/* The offset in `chunk` of the first header that may be a frame's; the chunk's length (rounded
 * up to 8) without any. The last bytes may be less than a header: then what is left is looked
 * at again with more behind it, unless the file ends there. */
static size_t chunk_search(const struct scan *scan, struct bytes chunk, uint64_t at,
                           uint64_t last, uint64_t *nonzero_end)
{
    static const char zeros[8];
    size_t i = 0;
    for (; i < chunk.len; i += 8) {
        size_t step = chunk.len - i < 8 ? chunk.len - i : 8;
        if (memcmp(chunk.data + i, zeros, step) == 0) {
            continue;
        }
        struct frame_header header;
        if (chunk.len - i < FRAME_HEADER_BYTES) {
            if (at + chunk.len < scan->size) {
                return i;
            }
        } else if (frame_header_read(chunk.data + i, scan->header.salt,
                                     position_of(scan->header.id, at + i),
                                     &header) == MEMENTO_OK &&
                   is_ahead(header.sequence, last)) {
            return i;
        }
        *nonzero_end = at + i + step;
    }
    return i;
}

enum memento_status scan_search(struct scan *scan, uint64_t from, uint64_t last,
                                struct scan_frame *frame, uint64_t *nonzero_end)
{
    uint64_t offset = from;
    while (offset < scan->size) {
        uint64_t left = scan->size - offset;
        size_t len = left < SCAN_WINDOW_BYTES ? (size_t)left : SCAN_WINDOW_BYTES;
        const char *data;
        enum memento_status status = window_view(scan, offset, len, &data);
        if (status != MEMENTO_OK) {
            return status;
        }
        size_t found = chunk_search(scan, bytes_of(data, len), offset, last, nonzero_end);
        if (found >= len) {
            offset += found;
            continue;
        }
        offset += found;
        status = scan_frame(scan, offset, SCAN_ANY, frame);
        if (status == MEMENTO_OK && is_ahead(frame->header.sequence, last)) {
            return MEMENTO_OK;
        }
        if (status != MEMENTO_OK && status != MEMENTO_ERR_CORRUPT) {
            return status;
        }
        *nonzero_end = offset + 8;
        offset += 8;
    }
    return MEMENTO_NOT_FOUND;
}
