/* fixture.h - data directories made by hand, frame by frame, and read back as text.
 *
 * Nothing of the running log is used: what is tested here is the format itself. */
#pragma once

#include "base/crc.h"
#include "base/heap.h"
#include "base/os_file.h"
#include "log/archive.h"
#include "support/test.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 2025-11-21, and versions of that time. */
#define MAKER_MS      1763721600000
#define MAKER_VERSION ((uint64_t)MAKER_MS << 20)

struct maker {
    char path[TEST_PATH_MAX];
    int dir;
    struct manifest manifest;
    /* The file that is being made. */
    enum file_kind kind;
    uint64_t id, salt;
    struct buf file;
    /* The next frame. */
    uint64_t sequence, durable, base_version;
    int64_t wall_ms;
    uint32_t records;
    struct buf payload;
};

static inline void maker_open(struct maker *maker, const char *path)
{
    *maker = (struct maker){.dir = os_dir_open(path)};
    assert_true(maker->dir >= 0);
    snprintf(maker->path, sizeof(maker->path), "%s", path);
    manifest_init(&maker->manifest);
    for (unsigned i = 0; i < UUID_BYTES; i++) {
        maker->manifest.uuid[i] = (unsigned char)(0x10 + i);
    }
    maker->manifest.wall_ms = MAKER_MS;
    maker->manifest.snapshot_ms = MAKER_MS;
    buf_init(&maker->file);
    buf_init(&maker->payload);
    maker->sequence = 1;
    maker->base_version = MAKER_VERSION;
    maker->wall_ms = MAKER_MS;
}

/* In memory where there is such a folder: a disk would be written a million times. */
static inline void maker_init(struct maker *maker)
{
    char path[TEST_PATH_MAX];
    if (access("/dev/shm", W_OK) == 0) {
        setenv("TMPDIR", "/dev/shm", 1);
    }
    test_folder_create(path);
    maker_open(maker, path);
}

static inline void maker_close(struct maker *maker)
{
    os_file_close(maker->dir);
    manifest_fini(&maker->manifest);
    buf_fini(&maker->file);
    buf_fini(&maker->payload);
}

static inline void maker_fini(struct maker *maker)
{
    maker_close(maker);
    test_folder_remove(maker->path);
}

static inline void maker_begin(struct maker *maker, enum file_kind kind)
{
    maker->kind = kind;
    maker->id = maker->manifest.next_id++;
    maker->salt = 0x5a17000000000000 + maker->id * 0x1234567;
    struct file_header header = {.major = FORMAT_MAJOR,
                                 .minor = FORMAT_MINOR,
                                 .kind = (uint8_t)kind,
                                 .id = maker->id,
                                 .salt = maker->salt,
                                 .created_ms = maker->wall_ms};
    memcpy(header.uuid, maker->manifest.uuid, UUID_BYTES);
    char bytes[FILE_HEADER_BYTES];
    file_header_write(bytes, &header);
    buf_reset(&maker->file, SIZE_MAX);
    buf_append(&maker->file, bytes, sizeof(bytes));
}

/* Where the next frame goes. */
static inline uint64_t maker_position(const struct maker *maker)
{
    return position_of(maker->id, maker->file.len);
}

/* Writes what has been staged as a frame. UINT64_MAX as maker->durable: everything before it
 * is. */
static inline void maker_put(struct maker *maker, uint16_t flags)
{
    static const char zeros[8];
    bool is_log = maker->kind == FILE_LOG;
    uint64_t position = maker_position(maker);
    struct frame_header header = {.payload_bytes = (uint32_t)maker->payload.len,
                                  .flags = flags,
                                  .sequence = maker->sequence++,
                                  .durable = !is_log ? 0
                                             : maker->durable == UINT64_MAX
                                                 ? position
                                                 : maker->durable,
                                  .base_version = maker->base_version,
                                  .wall_ms = maker->wall_ms,
                                  .records = maker->records,
                                  .payload_crc = crc32c(0, buf_bytes(&maker->payload))};
    char bytes[FRAME_HEADER_BYTES];
    frame_header_write(bytes, &header, maker->salt, position);
    buf_append(&maker->file, bytes, sizeof(bytes));
    buf_append_bytes(&maker->file, buf_bytes(&maker->payload));
    buf_append(&maker->file, zeros, (size_t)(-(int64_t)maker->file.len & 7));
    buf_reset(&maker->payload, SIZE_MAX);
    maker->records = 0;
}

static inline void maker_frame(struct maker *maker)
{
    maker_put(maker, 0);
}

static inline void maker_stage(struct maker *maker, const struct record *record)
{
    assert_true(buf_reserve(&maker->payload, RECORD_OVERHEAD_MAX + record->key.len));
    maker->payload.len += record_write(maker->payload.data + maker->payload.len, record,
                                       maker->base_version);
    if (record->kind == RECORD_SET) {
        buf_append_bytes(&maker->payload, record->value);
    }
    maker->records++;
}

static inline void maker_set(struct maker *maker, uint64_t version, struct bytes key,
                             struct bytes value)
{
    struct record record = {.kind = RECORD_SET,
                            .version = maker->base_version + version,
                            .deadline_ms = RECORD_NO_DEADLINE,
                            .key = key,
                            .value = value};
    maker_stage(maker, &record);
}

static inline void write_file(int dir, const char *name, struct bytes bytes)
{
    int fd = os_file_open(dir, name, O_WRONLY | O_CREAT | O_TRUNC);
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.len};
    assert_true(fd >= 0);
    assert_true(os_file_write_all(fd, &part, 1, 0));
    os_file_close(fd);
}

/* Writes the file, with zeros behind up to `bytes`, and puts it into the manifest. */
static inline void maker_end(struct maker *maker, size_t bytes)
{
    char name[FILE_NAME_BYTES];
    while (maker->file.len < bytes) {
        buf_append_char(&maker->file, 0);
    }
    if (maker->kind == FILE_LOG) {
        segment_name(name, maker->id);
        assert_int_equal(manifest_add_segment(&maker->manifest, maker->id), MEMENTO_OK);
    } else {
        part_name(name, maker->id);
        struct snapshot_part part = {.id = maker->id, .bytes = maker->file.len};
        assert_int_equal(manifest_add_part(&maker->manifest, part), MEMENTO_OK);
    }
    write_file(maker->dir, name, buf_bytes(&maker->file));
}

static inline void maker_manifest(struct maker *maker)
{
    assert_int_equal(manifest_write(maker->dir, &maker->manifest), MEMENTO_OK);
}

/* ---- reading back ---- */

/* What was read, every field of it in a row; and where each frame ended there. */
struct reading {
    enum memento_status status;
    enum archive_state state;
    struct archive_finding finding; /* without its text */
    struct buf text, why;
    size_t ends[4096];
    size_t frames;
    bool is_for_people; /* the text is to be readable */
};

static inline void reading_print(struct buf *out, const struct archive_frame *frame,
                                 const struct record *record)
{
    buf_appendf(out, "%" PRIu64 " %" PRIu64 " kind %d flags %d db %d %" PRIx64,
                frame->file->id, frame->header.sequence, record->kind, record->flags,
                record->db, record->version);
    buf_appendf(out, " %" PRId64 " %" PRId64 " ", record->deadline_ms,
                record->created_ms);
    buf_append_bytes(out, record->key);
    buf_append_char(out, '=');
    buf_append_bytes(out, record->value);
    buf_append_char(out, '\n');
}

static inline void reading_copy(struct buf *out, const struct archive_frame *frame,
                                const struct record *record)
{
    const uint64_t fields[] = {frame->file->id,
                               frame->header.sequence,
                               record->kind,
                               record->flags,
                               record->db,
                               record->version,
                               (uint64_t)record->deadline_ms,
                               (uint64_t)record->created_ms,
                               record->key.len,
                               record->value.len};
    buf_append(out, fields, sizeof(fields));
    buf_append_bytes(out, record->key);
    buf_append_bytes(out, record->value);
}

static inline enum memento_status reading_add(void *context,
                                              const struct archive_frame *frame)
{
    struct reading *reading = context;
    struct bytes left = frame->payload;
    while (left.len > 0) {
        struct record record;
        enum memento_status status =
            record_read(&left, frame->header.base_version, &record);
        if (status != MEMENTO_OK) {
            return status;
        }
        (reading->is_for_people ? reading_print : reading_copy)(&reading->text, frame,
                                                                &record);
    }
    if (reading->frames < ARRAY_LEN(reading->ends)) {
        reading->ends[reading->frames++] = reading->text.len;
    }
    return MEMENTO_OK;
}

static inline void reading_init(struct reading *reading)
{
    buf_init(&reading->text);
    buf_init(&reading->why);
    reading->is_for_people = false;
}

static inline void reading_fini(struct reading *reading)
{
    buf_fini(&reading->text);
    buf_fini(&reading->why);
}

/* All there is in a directory, as a server would load it. */
static inline enum memento_status read_directory_to(struct reading *reading, int dir,
                                                    const struct archive_limit *limit)
{
    struct archive archive;
    buf_reset(&reading->text, SIZE_MAX);
    buf_reset(&reading->why, SIZE_MAX);
    reading->frames = 0;
    reading->status = archive_open(&archive, dir, limit);
    reading->state = archive.finding.state;
    reading->finding = archive.finding;
    buf_append_bytes(&reading->why, buf_bytes(&archive.finding.text));
    for (size_t i = 0; i < archive.file_count && reading->status == MEMENTO_OK; i++) {
        reading->status =
            archive_read_file(&archive, i, reading_add, reading, NULL, &reading->why);
    }
    if (reading->status == MEMENTO_OK) {
        reading->status = archive_check_chain(&archive, &reading->why);
    }
    archive_close(&archive);
    return reading->status;
}

static inline enum memento_status read_directory(struct reading *reading, int dir)
{
    return read_directory_to(reading, dir, NULL);
}

/* Whether `part` has read what `whole` has, up to the end of one of its frames; how many. */
static inline bool reading_is_prefix(const struct reading *part,
                                     const struct reading *whole)
{
    return part->frames <= whole->frames &&
           part->text.len == (part->frames > 0 ? whole->ends[part->frames - 1] : 0) &&
           (part->text.len == 0 ||
            memcmp(part->text.data, whole->text.data, part->text.len) == 0);
}

/* ---- every kind of record ---- */

/* One of each, and each with everything it can have. */
static inline void maker_stage_all_kinds(struct maker *maker, uint64_t version)
{
    static const char map[MEMENTO_DATABASES] = {1, 0, 2,  3,  4,  5,  6,  7,
                                                8, 9, 10, 11, 12, 13, 14, 15};
    uint64_t v = maker->base_version + version;
    int64_t ms = MAKER_MS;
    const struct record records[] = {
        {RECORD_SET, 0, 0, v, RECORD_NO_DEADLINE, 0, B("key"), B("value")},
        {RECORD_SET, RECORD_HAS_CREATED, 15, v + 1, ms + 5000, ms - 1, B("k\0\xff"),
         B("")},
        {RECORD_DELETE, 0, 0, v + 2, RECORD_NO_DEADLINE, 0, B("gone"), B("")},
        {RECORD_DELETE, RECORD_IS_EVICTED, 3, v + 3, RECORD_NO_DEADLINE, 0, B("evicted"),
         B("")},
        {RECORD_TOUCH, 0, 0, v + 4, ms + 90000, 0, B("key"), B("")},
        {RECORD_TOUCH, 0, 7, v + 5, RECORD_NO_DEADLINE, 0, B("persisted"), B("")},
        {RECORD_FLUSH, 0, RECORD_ALL_DBS, v + 6, RECORD_NO_DEADLINE, 0, B(""), B("")},
        {RECORD_FLUSH, 0, 0, v + 7, RECORD_NO_DEADLINE, 0, B(""), B("")},
        {RECORD_MAP, 0, 0, v + 8, RECORD_NO_DEADLINE, 0, B(""), {map, sizeof(map)}},
    };
    for (size_t i = 0; i < ARRAY_LEN(records); i++) {
        maker_stage(maker, &records[i]);
    }
}

/* A frame's worth of SETs of several sizes, from a counter. */
static inline void maker_stage_sets(struct maker *maker, unsigned count, unsigned from)
{
    static const char filler[600] = "";
    for (unsigned i = from; i < from + count; i++) {
        char key[32], value[640];
        int key_bytes = snprintf(key, sizeof(key), "key:%06u", i % 97);
        int value_bytes = snprintf(value, sizeof(value), "value of %u ", i);
        size_t more = (i * 37) % sizeof(filler);
        memset(value + value_bytes, 'a' + (int)(i % 26), more);
        maker_set(maker, 100 + i, bytes_of(key, (size_t)key_bytes),
                  bytes_of(value, (size_t)value_bytes + more));
    }
}
