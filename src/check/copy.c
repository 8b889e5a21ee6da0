/* copy.c - repair and truncate: what is whole of one directory becomes another one, closed
 * cleanly, with a uuid and a manifest of its own.
 *
 * Every frame is written anew, since its checksum depends on file and place; records, base
 * versions and clocks stay as they are. Behind missing frames the sequences are numbered again,
 * so that they follow one another. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/os_file.h"
#include "base/random.h"
#include "check/check.h"
#include "log/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct copy {
    int to;
    struct manifest manifest;   /* of the new directory */
    uint64_t snapshot_sequence; /* of the old one */
    bool has_snapshot_sequence; /* its new number is in the manifest */
    uint64_t sequence; /* of the next frame of the log; 0: none was written yet */
    uint64_t frames, records, lost;
    struct buf why;
    /* Ends of files, and whole ones, that are lost and not told yet. */
    struct buf missing;
    bool has_empty; /* a segment in front of the log's first frame has none */
    /* What a server would say of the old directory; one line tells of one damage. */
    const struct archive_finding *finding;
    bool is_finding_told;
    /* The last frame that was read of the log, or of the snapshot part. */
    struct frame_header before;
    bool has_before;
    /* The file being written; -1: none, a file is made with its first frame. */
    int fd;
    enum file_kind kind;
    uint64_t id, salt, offset, part_sequence;
};

/* ---- writing ---- */

static enum memento_status put(struct copy *copy, struct bytes header,
                               struct bytes payload, size_t padding)
{
    static const char zeros[8];
    struct iovec parts[] = {
        {.iov_base = (void *)(uintptr_t)header.data, .iov_len = header.len},
        {.iov_base = (void *)(uintptr_t)payload.data, .iov_len = payload.len},
        {.iov_base = (void *)(uintptr_t)zeros, .iov_len = padding},
    };
    if (!os_file_write_all(copy->fd, parts, ARRAY_LEN(parts), copy->offset)) {
        buf_appendf(&copy->why, "cannot write to the new directory: %s", strerror(errno));
        return MEMENTO_ERR_IO;
    }
    copy->offset += header.len + payload.len + padding;
    return MEMENTO_OK;
}

static enum memento_status begin_file(struct copy *copy, enum file_kind kind)
{
    char name[FILE_NAME_BYTES];
    copy->kind = kind;
    copy->id = copy->manifest.next_id++;
    copy->offset = copy->part_sequence = 0;
    if (random_bytes(&copy->salt, sizeof(copy->salt)) != MEMENTO_OK) {
        buf_append_string(&copy->why, "no random bytes");
        return MEMENTO_ERR_IO;
    }
    (kind == FILE_LOG ? segment_name : part_name)(name, copy->id);
    copy->fd = os_file_open(copy->to, name, O_WRONLY | O_CREAT | O_EXCL);
    if (copy->fd < 0) {
        buf_appendf(&copy->why, "cannot make %s: %s", name, strerror(errno));
        return MEMENTO_ERR_IO;
    }
    struct file_header header = {.major = FORMAT_MAJOR,
                                 .minor = FORMAT_MINOR,
                                 .kind = (uint8_t)kind,
                                 .id = copy->id,
                                 .salt = copy->salt,
                                 .created_ms = clock_wall_ms()};
    memcpy(header.uuid, copy->manifest.uuid, UUID_BYTES);
    char bytes[FILE_HEADER_BYTES];
    file_header_write(bytes, &header);
    return put(copy, bytes_of(bytes, sizeof(bytes)), BYTES(""), 0);
}

static enum memento_status put_frame(struct copy *copy, struct frame_header header,
                                     struct bytes payload)
{
    uint64_t old_sequence = header.sequence;
    header.durable = 0;
    if (copy->kind == FILE_SNAPSHOT) {
        header.sequence = copy->part_sequence++;
    } else {
        copy->sequence = copy->sequence == 0 ? old_sequence : copy->sequence;
        if (!copy->has_snapshot_sequence && old_sequence >= copy->snapshot_sequence) {
            copy->has_snapshot_sequence = true;
            copy->manifest.snapshot_sequence = copy->sequence;
        }
        header.sequence = copy->sequence++;
    }
    char bytes[FRAME_HEADER_BYTES];
    frame_header_write(bytes, &header, copy->salt, position_of(copy->id, copy->offset));
    uint64_t padded = frame_bytes(header.payload_bytes);
    copy->frames += header.records > 0;
    copy->records += header.records;
    return put(copy, bytes_of(bytes, sizeof(bytes)), payload,
               (size_t)(padded - FRAME_HEADER_BYTES - payload.len));
}

/* Seals it; the seal has the clock of the frame before. */
static enum memento_status end_file(struct copy *copy)
{
    struct frame_header seal = {.flags = FRAME_SEAL,
                                .sequence = copy->before.sequence,
                                .wall_ms = copy->before.wall_ms};
    enum memento_status status = put_frame(copy, seal, BYTES(""));
    if (status == MEMENTO_OK && os_file_sync(copy->fd) != 0) {
        buf_appendf(&copy->why, "cannot sync the new files: %s", strerror(errno));
        status = MEMENTO_ERR_IO;
    }
    if (status != MEMENTO_OK) {
        return status;
    }
    if (copy->kind == FILE_LOG) {
        copy->manifest.required_end = position_of(copy->id, copy->offset);
        return manifest_add_segment(&copy->manifest, copy->id);
    }
    struct snapshot_part part = {.id = copy->id, .bytes = copy->offset};
    return manifest_add_part(&copy->manifest, part);
}

/* ---- what is lost ---- */

/* `after`: the frame behind it, or NULL. */
static void tell(struct copy *copy, const char *what, const struct frame_header *after)
{
    char text[TIME_TEXT_BYTES];
    printf("lost: %s", what);
    if (copy->has_before) {
        printf(", after frame %" PRIu64 " of %s", copy->before.sequence,
               time_text(text, copy->before.wall_ms));
    }
    if (after != NULL) {
        printf(", before frame %" PRIu64 " of %s", after->sequence,
               time_text(text, after->wall_ms));
    }
    puts("");
    copy->lost++;
}

/* Whether what is lost here is what the server would say: something at the same place, before
 * the same frame, or of a file that it would not read at all. */
static void compare_finding(struct copy *copy, uint64_t id, uint64_t offset)
{
    const struct archive_finding *finding = copy->finding;
    if (finding == NULL) {
        return;
    }
    uint64_t position = finding->position;
    copy->is_finding_told |= position == position_of(id, offset) ||
                             position == position_of(id, 0) ||
                             (copy->kind == FILE_LOG && copy->has_before &&
                              finding->sequence == copy->before.sequence + 1);
}

/* What a file lacks at its end, or all of it. It is told with the frame behind it, once that is
 * known. */
static void add_missing(struct copy *copy, const char *what, uint64_t id, uint64_t offset)
{
    compare_finding(copy, id, offset);
    buf_append_string(&copy->missing, copy->missing.len > 0 ? "; " : "");
    buf_append_string(&copy->missing, what);
}

static void tell_missing(struct copy *copy, const struct frame_header *after)
{
    if (copy->missing.len > 0) {
        tell(copy, buf_c_string(&copy->missing), after);
        buf_reset(&copy->missing, SIZE_MAX);
    }
}

#define PLACE_BYTES (FILE_NAME_BYTES + 64)
/* Bytes [from, to) of a file. */
static void print_place(char place[PLACE_BYTES], const struct scan *scan, uint64_t from,
                        uint64_t to)
{
    snprintf(place, PLACE_BYTES, "%s, offset %" PRIu64 " to %" PRIu64, scan->name, from,
             to);
}

/* What is missing right before a frame: bytes from `offset` on, or frames by their numbers,
 * unless those are of a file that lacks its end. */
static void tell_gap(struct copy *copy, const struct scan *scan, uint64_t offset,
                     const struct scan_frame *frame)
{
    bool has_bytes = frame->offset != offset, is_missing = copy->missing.len > 0;
    /* Before the first frame only segments without any may have been. */
    bool has_frames = copy->has_before
                          ? frame->header.sequence != copy->before.sequence + 1
                          : copy->has_empty;
    tell_missing(copy, has_bytes ? NULL : &frame->header);
    if (has_bytes || (has_frames && !is_missing)) {
        char place[PLACE_BYTES];
        print_place(place, scan, offset, frame->offset);
        compare_finding(copy, scan->header.id, offset);
        tell(copy, place, &frame->header);
    }
}

/* No frame is at `offset` or behind it, and no seal was. */
static void note_end(struct copy *copy, const struct scan *scan, uint64_t offset,
                     uint64_t nonzero_end)
{
    /* A part has a seal; of a segment the next one's numbers tell what is missing. */
    if (nonzero_end > offset || copy->kind == FILE_SNAPSHOT) {
        char place[PLACE_BYTES];
        print_place(place, scan, offset, nonzero_end);
        add_missing(copy, place, scan->header.id, offset);
    } else {
        copy->has_empty |= !copy->has_before;
    }
}

/* ---- reading ---- */

/* The next frame that can be kept, at *offset or behind it; *nonzero_end tells how far there is
 * anything. NOT_FOUND: none. */
static enum memento_status next_frame(struct copy *copy, struct scan *scan,
                                      uint64_t offset, struct scan_frame *frame,
                                      uint64_t *nonzero_end)
{
    uint64_t last = copy->has_before ? copy->before.sequence : SCAN_ANY;
    for (;;) {
        uint64_t version_max = 0;
        enum memento_status status = scan_search(scan, offset, last, frame, nonzero_end);
        if (status == MEMENTO_OK) {
            status = scan_records(scan, frame, &version_max);
        }
        if (status == MEMENTO_ERR_CORRUPT) {
            offset = frame->offset + frame_bytes(frame->header.payload_bytes);
            *nonzero_end = offset;
            continue;
        }
        if (status != MEMENTO_OK && status != MEMENTO_NOT_FOUND) {
            scan_explain(scan, offset, &copy->why);
        }
        return status;
    }
}

static enum memento_status keep_frame(struct copy *copy, const struct scan_frame *frame)
{
    enum memento_status status = MEMENTO_OK;
    if (copy->fd < 0) {
        status = begin_file(copy, copy->kind);
    }
    return status == MEMENTO_OK ? put_frame(copy, frame->header, frame->payload) : status;
}

/* All valid frames of a file, up to `end` (UINT64_MAX: all there are) or its seal. */
static enum memento_status copy_frames(struct copy *copy, struct scan *scan, uint64_t end)
{
    uint64_t offset = FILE_HEADER_BYTES;
    while (offset < end) {
        struct scan_frame frame;
        uint64_t nonzero_end = offset;
        enum memento_status status = next_frame(copy, scan, offset, &frame, &nonzero_end);
        if (status == MEMENTO_NOT_FOUND) {
            note_end(copy, scan, offset, nonzero_end);
            return MEMENTO_OK;
        }
        if (status != MEMENTO_OK) {
            return status;
        }
        tell_gap(copy, scan, offset, &frame);
        copy->before = frame.header;
        copy->has_before = true;
        if (frame.header.flags & FRAME_SEAL) {
            return MEMENTO_OK;
        }
        status = keep_frame(copy, &frame);
        if (status != MEMENTO_OK) {
            return status;
        }
        offset = frame.offset + frame_bytes(frame.header.payload_bytes);
    }
    return MEMENTO_OK;
}

/* A file that is missing or has no header is lost as a whole; one that cannot be read, or is of
 * a newer format, ends the copying. */
static enum memento_status copy_file(struct copy *copy, int from,
                                     const unsigned char *uuid, enum file_kind kind,
                                     uint64_t id, uint64_t end)
{
    /* The frames of a part have nothing to do with those of the file before. */
    bool is_apart = kind == FILE_SNAPSHOT || copy->kind == FILE_SNAPSHOT;
    if (is_apart) {
        tell_missing(copy, NULL);
        copy->has_before = false;
    }
    copy->kind = kind;
    struct scan scan;
    struct buf why;
    buf_init(&why);
    enum memento_status status = scan_open(&scan, from, kind, id, uuid, &why);
    if (status == MEMENTO_ERR_CORRUPT) {
        add_missing(copy, buf_c_string(&why), id, 0);
        buf_fini(&why);
        return MEMENTO_OK;
    }
    if (status != MEMENTO_OK) {
        buf_append_bytes(&copy->why, buf_bytes(&why));
        buf_fini(&why);
        return status;
    }
    buf_fini(&why);
    copy->fd = -1;
    status = copy_frames(copy, &scan, end);
    if (copy->fd >= 0) {
        if (status == MEMENTO_OK) {
            status = end_file(copy);
        }
        os_file_close(copy->fd);
    }
    scan_close(&scan);
    return status;
}

/* ---- the new directory ---- */

static void copy_init(struct copy *copy, const struct manifest *old)
{
    *copy = (struct copy){.to = -1};
    buf_init(&copy->why);
    buf_init(&copy->missing);
    manifest_init(&copy->manifest);
    copy->manifest.cut = old->cut;
    copy->manifest.snapshot_ms = old->snapshot_ms;
    copy->manifest.is_clean = true;
    copy->snapshot_sequence = old->snapshot_sequence;
}

static enum memento_status copy_begin(struct copy *copy, const char *out)
{
    if (random_bytes(copy->manifest.uuid, UUID_BYTES) != MEMENTO_OK) {
        buf_append_string(&copy->why, "no random bytes");
        return MEMENTO_ERR_IO;
    }
    int there = os_dir_open(out);
    if (there >= 0) {
        os_file_close(there);
        buf_appendf(&copy->why, "%s is there already: name a new directory", out);
        return MEMENTO_ERR_INVALID;
    }
    if (os_dir_make(out) != 0 || (copy->to = os_dir_open(out)) < 0) {
        buf_appendf(&copy->why, "cannot make %s: %s", out, strerror(errno));
        return MEMENTO_ERR_IO;
    }
    return MEMENTO_OK;
}

/* The manifest is written last: without it the new directory is none. */
static enum memento_status copy_end(struct copy *copy)
{
    enum memento_status status = MEMENTO_OK;
    if (copy->manifest.segment_count == 0) {
        /* A log has a segment, if only with a seal. */
        copy->before = (struct frame_header){.sequence = copy->snapshot_sequence,
                                             .wall_ms = copy->manifest.snapshot_ms};
        status = begin_file(copy, FILE_LOG);
        if (status == MEMENTO_OK) {
            status = end_file(copy);
            os_file_close(copy->fd);
        }
    }
    if (!copy->has_snapshot_sequence) {
        copy->manifest.snapshot_sequence = copy->sequence;
    }
    copy->manifest.wall_ms = clock_wall_ms();
    if (status == MEMENTO_OK) {
        status = manifest_write(copy->to, &copy->manifest);
    }
    if (status == MEMENTO_ERR_IO && copy->why.len == 0) {
        buf_appendf(&copy->why, "cannot write the new manifest: %s", strerror(errno));
    }
    return status;
}

static void copy_fini(struct copy *copy)
{
    if (copy->to >= 0) {
        os_file_close(copy->to);
    }
    manifest_fini(&copy->manifest);
    buf_fini(&copy->why);
    buf_fini(&copy->missing);
}

/* ---- the two commands ---- */

static enum memento_status repair_files(struct copy *copy, int dir,
                                        const struct manifest *old)
{
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < old->part_count && status == MEMENTO_OK; i++) {
        status =
            copy_file(copy, dir, old->uuid, FILE_SNAPSHOT, old->parts[i].id, UINT64_MAX);
    }
    for (size_t i = 0; i < old->segment_count && status == MEMENTO_OK; i++) {
        status = copy_file(copy, dir, old->uuid, FILE_LOG, old->segments[i], UINT64_MAX);
    }
    tell_missing(copy, NULL);
    return status;
}

/* Of the old directory, with what a server would say of it: an end that the manifest promised
 * may be missing without a trace in the files. */
static enum memento_status repair_into(struct copy *copy, const char *out, int dir,
                                       const struct manifest *old)
{
    copy_init(copy, old);
    enum memento_status status = copy_begin(copy, out);
    if (status != MEMENTO_OK) {
        return status;
    }
    struct archive archive;
    bool is_corrupt = archive_open(&archive, dir, NULL) == MEMENTO_ERR_CORRUPT;
    copy->finding = &archive.finding;
    status = repair_files(copy, dir, old);
    if (status == MEMENTO_OK && is_corrupt && !copy->is_finding_told) {
        printf("damage: %s\n", buf_c_string(&archive.finding.text));
        copy->lost++;
    }
    copy->finding = NULL;
    archive_close(&archive);
    return status == MEMENTO_OK ? copy_end(copy) : status;
}

enum exit_status check_repair(int dir, const char *out)
{
    struct manifest old;
    struct buf why;
    buf_init(&why);
    enum exit_status result = EXIT_GOOD;
    enum memento_status status = manifest_read(dir, &old, &why);
    if (status != MEMENTO_OK) {
        result = complain_of(status, &why);
        buf_fini(&why);
        return result;
    }
    struct copy copy;
    status = repair_into(&copy, out, dir, &old);
    if (status == MEMENTO_OK) {
        printf("%s has %" PRIu64 " frames, %" PRIu64 " records; places where something "
               "is lost: %" PRIu64 "\n",
               out, copy.frames, copy.records, copy.lost);
        result = copy.lost == 0 ? EXIT_GOOD : EXIT_LESS;
    } else {
        result = complain_of(status, &copy.why);
    }
    copy_fini(&copy);
    manifest_fini(&old);
    buf_fini(&why);
    return result;
}

static enum memento_status ignore_frame(void *context, const struct archive_frame *frame)
{
    (void)context;
    (void)frame;
    return MEMENTO_OK;
}

/* All up to the limit is verified first: nothing may be missing from a restored state. */
static enum memento_status verify_all(struct archive *archive, struct buf *why)
{
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < archive->file_count && status == MEMENTO_OK; i++) {
        status = archive_read_file(archive, i, ignore_frame, NULL, NULL, why);
    }
    return status == MEMENTO_OK ? archive_check_chain(archive, why) : status;
}

static enum memento_status truncate_files(struct copy *copy, struct archive *archive,
                                          const char *out)
{
    copy_init(copy, &archive->manifest);
    enum memento_status status = verify_all(archive, &copy->why);
    if (status == MEMENTO_OK) {
        status = copy_begin(copy, out);
    }
    for (size_t i = 0; i < archive->file_count && status == MEMENTO_OK; i++) {
        const struct archive_file *file = &archive->files[i];
        if (file->frames > 0) {
            status = copy_file(copy, archive->dir, archive->manifest.uuid, file->kind,
                               file->id, file->end_is_known ? file->end : UINT64_MAX);
        }
    }
    tell_missing(copy, NULL);
    if (status == MEMENTO_OK && copy->lost > 0) {
        buf_append_string(&copy->why, "the directory was changed while it was copied");
        return MEMENTO_ERR_IO;
    }
    return status == MEMENTO_OK ? copy_end(copy) : status;
}

/* What became of it: how much, up to when, and whether that is what was asked for. */
static enum exit_status tell_truncated(const struct copy *copy,
                                       const struct archive *archive, const char *out)
{
    uint64_t next = archive->finding.sequence, last = next > 0 ? next - 1 : 0;
    if (archive->limit.sequence > last) {
        printf("the log ends at %" PRIu64 "\n", last);
    }
    if (copy->frames == 0) {
        complain("%s is made, but has no frame: nothing was written up to that moment",
                 out);
        return EXIT_LESS;
    }
    char text[TIME_TEXT_BYTES];
    int64_t last_ms = 0;
    for (size_t i = 0; i < archive->file_count; i++) {
        if (archive->files[i].wall_max_ms > last_ms) {
            last_ms = archive->files[i].wall_max_ms;
        }
    }
    printf("%s has %" PRIu64 " frames, %" PRIu64 " records, up to sequence %" PRIu64
           " of %s\n",
           out, copy->frames, copy->records, last, time_text(text, last_ms));
    return EXIT_GOOD;
}

enum exit_status check_truncate(int dir, const char *path, const char *out,
                                const struct archive_limit *limit)
{
    struct archive archive;
    enum exit_status result = check_open(&archive, dir, path, limit);
    if (result == EXIT_GOOD || result == EXIT_TORN) {
        struct copy copy;
        enum memento_status status = truncate_files(&copy, &archive, out);
        result = status == MEMENTO_OK ? tell_truncated(&copy, &archive, out)
                                      : complain_of(status, &copy.why);
        copy_fini(&copy);
    }
    archive_close(&archive);
    return result;
}
