/* archive_fuzz.c - whatever lies in the segments of a log: reading does no harm, and what it
 * gives, if it does not refuse, is exactly the frames before the first thing that is wrong.
 *
 * The input is a list of what to lay down: frames with right checksums around records of any
 * bytes, marks, seals, frames with a wrong number, rubbish. The disk is in memory: the functions
 * of os_file.h that reading calls are defined here. */
#include "base/buf.h"
#include "base/check.h"
#include "base/crc.h"
#include "base/os_file.h"
#include "log/archive.h"
#include "log/scan.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENTS = 3, FRAMES_MAX = 4096, SALT = 77 };

/* ---- the disk ---- */

/* Descriptor i is file i: the manifest, then the segments. */
static struct buf files[1 + SEGMENTS];

int os_file_open(int dir, const char *name, int flags)
{
    (void)dir;
    (void)flags;
    uint64_t id = strcmp(name, MANIFEST_NAME) == 0 ? 0 : segment_id_of_name(name);
    CHECK(id <= SEGMENTS);
    return (int)id;
}

int os_file_close(int fd)
{
    CHECK(fd >= 0 && fd <= SEGMENTS);
    return 0;
}

bool os_file_size(int fd, uint64_t *bytes)
{
    *bytes = files[fd].len;
    return true;
}

ssize_t os_file_read(int fd, void *data, size_t size, uint64_t offset)
{
    const struct buf *file = &files[fd];
    if (offset >= file->len) {
        return 0;
    }
    size_t len = size < file->len - offset ? size : file->len - (size_t)offset;
    memcpy(data, file->data + offset, len);
    return (ssize_t)len;
}

void os_file_drop_cache(int fd)
{
    (void)fd;
}

/* Reading calls none of these, but the room has them. */
ssize_t os_file_write(int fd, const struct iovec *parts, int count, uint64_t offset)
{
    (void)fd;
    (void)parts;
    (void)count;
    (void)offset;
    errno = EROFS;
    return -1;
}

int os_file_sync(int fd)
{
    (void)fd;
    return -1;
}

int os_file_rename(int dir, const char *from, const char *to)
{
    (void)dir;
    (void)from;
    (void)to;
    return -1;
}

int os_file_remove(int dir, const char *name)
{
    (void)dir;
    (void)name;
    return -1;
}

int os_dir_sync(int dir)
{
    (void)dir;
    return -1;
}

/* ---- laying down ---- */

struct input {
    const uint8_t *data;
    size_t left;
};

static uint8_t take(struct input *input)
{
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->data++;
}

struct layout {
    unsigned segment; /* 1.. */
    uint64_t sequence;
    bool is_whole; /* nothing wrong yet */
    bool has_rubbish, is_unreadable;
    uint32_t crcs[FRAMES_MAX]; /* of the payloads that count */
    size_t frames;
};

static void begin_segment(struct layout *layout)
{
    struct file_header header = {
        .major = FORMAT_MAJOR, .kind = FILE_LOG, .id = ++layout->segment, .salt = SALT};
    char bytes[FILE_HEADER_BYTES];
    file_header_write(bytes, &header);
    buf_append(&files[layout->segment], bytes, sizeof(bytes));
}

static uint32_t count_records(struct bytes payload, bool *is_readable)
{
    uint32_t count = 0;
    *is_readable = true;
    while (payload.len > 0 && *is_readable) {
        struct record record;
        *is_readable = record_read(&payload, 1000, &record) == MEMENTO_OK;
        count++;
    }
    return count;
}

static void lay_frame(struct layout *layout, uint16_t flags, struct bytes payload,
                      uint64_t sequence, bool is_durable)
{
    static const char zeros[8];
    struct buf *file = &files[layout->segment];
    buf_append(file, zeros, (size_t)(-(int64_t)file->len & 7));
    uint64_t position = position_of(layout->segment, file->len);
    bool is_readable;
    struct frame_header header = {.payload_bytes = (uint32_t)payload.len,
                                  .flags = flags,
                                  .sequence = sequence,
                                  .durable = is_durable ? position : 0,
                                  .base_version = 1000,
                                  .records = count_records(payload, &is_readable),
                                  .payload_crc = crc32c(0, payload)};
    char bytes[FRAME_HEADER_BYTES];
    frame_header_write(bytes, &header, SALT, position);
    struct frame_header again;
    bool is_right = frame_header_read(bytes, SALT, position, &again) == MEMENTO_OK &&
                    sequence == layout->sequence;
    buf_append(file, bytes, sizeof(bytes));
    buf_append_bytes(file, payload);
    buf_append(file, zeros, (size_t)(-(int64_t)file->len & 7));
    layout->is_whole = layout->is_whole && is_right;
    layout->has_rubbish = layout->has_rubbish || !is_right;
    layout->is_unreadable = layout->is_unreadable || !is_readable;
    layout->sequence++;
    if (layout->is_whole && payload.len > 0 && layout->frames < FRAMES_MAX) {
        layout->crcs[layout->frames++] = header.payload_crc;
    }
}

static void lay_next(struct layout *layout, struct input *input)
{
    uint8_t what = take(input);
    size_t len = take(input);
    len = len < input->left ? len : input->left;
    struct bytes bytes = bytes_of(input->data, len);
    bool is_durable = (what & 8) != 0;
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        input->data += len;
        input->left -= len;
        lay_frame(layout, len == 0 ? FRAME_MARK : 0, bytes, layout->sequence, is_durable);
        break;
    case 3:
        lay_frame(layout, FRAME_MARK, BYTES(""), layout->sequence, is_durable);
        break;
    case 4:
        lay_frame(layout, FRAME_SEAL, BYTES(""), layout->sequence, is_durable);
        if (layout->segment < SEGMENTS) {
            begin_segment(layout);
        } else {
            layout->is_whole = false; /* nothing counts behind the last seal */
        }
        break;
    case 5: /* a number that is ahead, or behind */
        lay_frame(layout, FRAME_MARK, BYTES(""), layout->sequence + 1 + len, is_durable);
        break;
    case 6: /* rubbish */
        input->data += len;
        input->left -= len;
        buf_append_bytes(&files[layout->segment], bytes);
        layout->is_whole = layout->is_whole && len == 0;
        layout->has_rubbish = layout->has_rubbish || len > 0;
        break;
    default: /* a hole */
        for (size_t i = 0; i < 8 * len; i++) {
            buf_append_char(&files[layout->segment], 0);
        }
        layout->is_whole = layout->is_whole && len == 0;
        break;
    }
}

/* ---- reading ---- */

/* What was given; it counts only when nothing is refused to the very end. */
struct seen {
    uint32_t crcs[FRAMES_MAX];
    size_t frames;
};

static enum memento_status see(void *context, const struct archive_frame *frame)
{
    struct seen *seen = context;
    CHECK(crc32c(0, frame->payload) == frame->header.payload_crc);
    if (seen->frames < FRAMES_MAX) {
        seen->crcs[seen->frames++] = frame->header.payload_crc;
    }
    return MEMENTO_OK;
}

static void read_and_check(const struct layout *layout)
{
    struct archive archive;
    static struct seen seen;
    seen.frames = 0;
    struct buf why;
    buf_init(&why);
    enum memento_status status = archive_open(&archive, 0, NULL);
    for (size_t i = 0; i < archive.file_count && status == MEMENTO_OK; i++) {
        status = archive_read_file(&archive, i, see, &seen, NULL, &why);
    }
    if (status == MEMENTO_OK) {
        status = archive_check_chain(&archive, &why);
    }
    if (status == MEMENTO_OK) {
        CHECK(seen.frames == layout->frames);
        CHECK(memcmp(seen.crcs, layout->crcs, seen.frames * sizeof(seen.crcs[0])) == 0);
    } else {
        CHECK(status == MEMENTO_ERR_CORRUPT || status == MEMENTO_ERR_UNSUPPORTED);
        CHECK(why.len > 0 || archive.finding.text.len > 0);
        CHECK(!layout->is_whole || layout->has_rubbish || layout->is_unreadable);
    }
    archive_close(&archive);
    buf_fini(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct layout layout;
    struct input input = {data, size};
    layout = (struct layout){.sequence = 1, .is_whole = true};
    for (unsigned i = 0; i <= SEGMENTS; i++) {
        buf_init(&files[i]);
    }
    begin_segment(&layout);
    while (input.left > 0) {
        lay_next(&layout, &input);
    }
    struct manifest manifest;
    manifest_init(&manifest);
    manifest.next_id = SEGMENTS + 1;
    unsigned laid = layout.segment;
    for (unsigned id = 1; id <= laid; id++) {
        CHECK(manifest_add_segment(&manifest, id) == MEMENTO_OK);
    }
    manifest_print(&manifest, &files[0]);
    read_and_check(&layout);
    manifest_fini(&manifest);
    for (unsigned i = 0; i <= SEGMENTS; i++) {
        buf_fini(&files[i]);
    }
    return 0;
}
