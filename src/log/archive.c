#include "log/archive.h"

#include "base/heap.h"
#include "base/os_file.h"
#include "log/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* ---- what the files are ---- */

static struct archive_file *first_segment(struct archive *archive)
{
    return archive->files + archive->manifest.part_count;
}

static void file_name(const struct archive_file *file, char name[FILE_NAME_BYTES])
{
    if (file->kind == FILE_LOG) {
        segment_name(name, file->id);
    } else {
        part_name(name, file->id);
    }
}

/* Stands for a size that need not be compared. */
#define ANY_BYTES UINT64_MAX

static enum memento_status find_file(struct archive *archive, enum file_kind kind,
                                     uint64_t id, uint64_t bytes)
{
    struct archive_file *file = &archive->files[archive->file_count++];
    *file = (struct archive_file){.kind = kind, .id = id};
    char name[FILE_NAME_BYTES];
    file_name(file, name);
    struct buf *text = &archive->finding.text;
    archive->finding.position = position_of(id, 0);
    int fd = os_file_open(archive->dir, name, O_RDONLY);
    if (fd < 0) {
        bool is_missing = errno == ENOENT;
        buf_appendf(text, "%s: %s", name,
                    is_missing ? "the file is missing" : strerror(errno));
        return is_missing ? MEMENTO_ERR_CORRUPT : MEMENTO_ERR_IO;
    }
    enum memento_status status = MEMENTO_OK;
    if (!os_file_size(fd, &file->bytes)) {
        buf_appendf(text, "%s: %s", name, strerror(errno));
        status = MEMENTO_ERR_IO;
    } else if (bytes != ANY_BYTES && file->bytes != bytes) {
        buf_appendf(text, "%s: the file has %" PRIu64 " bytes and not %" PRIu64, name,
                    file->bytes, bytes);
        status = MEMENTO_ERR_CORRUPT;
    } else if (file->bytes > LOG_FILE_BYTES_MAX) {
        buf_appendf(text, "%s: the file has %" PRIu64 " bytes, more than any has", name,
                    file->bytes);
        status = MEMENTO_ERR_CORRUPT;
    }
    os_file_close(fd);
    return status;
}

static enum memento_status find_files(struct archive *archive)
{
    const struct manifest *manifest = &archive->manifest;
    size_t count = manifest->part_count + manifest->segment_count;
    archive->files = heap_alloc_zeroed(count, sizeof(*archive->files));
    if (archive->files == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    enum memento_status status = MEMENTO_OK;
    for (size_t i = 0; i < manifest->part_count && status == MEMENTO_OK; i++) {
        status = find_file(archive, FILE_SNAPSHOT, manifest->parts[i].id,
                           manifest->parts[i].bytes);
    }
    for (size_t i = 0; i < manifest->segment_count && status == MEMENTO_OK; i++) {
        status = find_file(archive, FILE_LOG, manifest->segments[i], ANY_BYTES);
    }
    return status;
}

/* ---- where the log ends ---- */

/* What looking through one segment has found. */
struct tail {
    bool is_scanned;
    /* The frames that follow one another from its beginning. */
    uint64_t end;            /* offset behind the last of them */
    uint64_t first_sequence; /* equal to next_sequence: there is none */
    uint64_t next_sequence;
    bool is_sealed;
    const char *reason; /* not sealed: why no frame is at `end` */
    /* Behind `end`; nothing of it when sealed. */
    uint64_t nonzero_end; /* of what is not zero, or `end` */
    uint64_t frames;      /* valid ones */
    uint64_t last_sequence;
    int64_t first_ms, last_ms;
    /* The greatest that any of its frames tells, behind `end` or not. */
    uint64_t durable;
};

/* What is known of the end while the segments are looked through. */
struct ending {
    struct tail *tails;
    size_t index;  /* of the segment where the log ends */
    uint64_t last; /* the last valid sequence so far, or SCAN_ANY */
    uint64_t next; /* sequence behind the last frame that counts, or SCAN_ANY */
    uint64_t end;  /* position behind that frame, or 0 */
    bool is_found, is_sealed;
    uint64_t durable; /* told by frames behind the end */
};

/* The frames from the front of the file up to the first that is not valid. */
static enum memento_status walk_front(struct scan *scan, uint64_t expected,
                                      struct tail *tail, struct buf *why)
{
    enum memento_status status = MEMENTO_OK;
    uint64_t version_max = 0;
    tail->end = FILE_HEADER_BYTES;
    while (!tail->is_sealed) {
        struct scan_frame frame;
        status = scan_frame(scan, tail->end, expected, &frame);
        if (status == MEMENTO_ERR_CORRUPT) {
            tail->reason = scan->reason;
            return MEMENTO_OK;
        }
        if (status == MEMENTO_OK) {
            /* The checksums hold, so it was written like this: never the mark of a crash. */
            status = scan_records(scan, &frame, &version_max);
        }
        if (status != MEMENTO_OK) {
            scan_explain(scan, tail->end, why);
            return status;
        }
        if (tail->next_sequence == tail->first_sequence) {
            tail->first_sequence = frame.header.sequence;
        }
        tail->next_sequence = expected = frame.header.sequence + 1;
        tail->durable =
            frame.header.durable > tail->durable ? frame.header.durable : tail->durable;
        tail->end += frame_bytes(frame.header.payload_bytes);
        tail->is_sealed = (frame.header.flags & FRAME_SEAL) != 0;
    }
    return status;
}

/* Valid frames behind the end of the front. */
static enum memento_status search_behind(struct scan *scan, uint64_t last,
                                         struct tail *tail, struct buf *why)
{
    uint64_t offset = tail->end;
    tail->nonzero_end = tail->end;
    tail->last_sequence = last;
    for (;;) {
        struct scan_frame frame;
        enum memento_status status =
            scan_search(scan, offset, tail->last_sequence, &frame, &tail->nonzero_end);
        if (status == MEMENTO_NOT_FOUND) {
            return MEMENTO_OK;
        }
        if (status != MEMENTO_OK) {
            scan_explain(scan, offset, why);
            return status;
        }
        if (tail->frames++ == 0) {
            tail->first_ms = frame.header.wall_ms;
        }
        tail->last_ms = frame.header.wall_ms;
        tail->last_sequence = frame.header.sequence;
        tail->durable =
            frame.header.durable > tail->durable ? frame.header.durable : tail->durable;
        offset = frame.offset + frame_bytes(frame.header.payload_bytes);
        tail->nonzero_end = offset;
    }
}

/* Looks through one segment. `expected`: the sequence its first frame must have, or SCAN_ANY.
 * `is_behind`: the log has ended before it, nothing in it counts. */
static enum memento_status scan_tail(struct archive *archive, size_t index,
                                     uint64_t expected, bool is_behind, struct tail *tail)
{
    const struct archive_file *file = first_segment(archive) + index;
    struct buf *why = &archive->finding.text;
    struct scan scan;
    *tail = (struct tail){.is_scanned = true, .end = FILE_HEADER_BYTES};
    archive->finding.position = position_of(file->id, 0);
    enum memento_status status =
        scan_open(&scan, archive->dir, FILE_LOG, file->id, archive->manifest.uuid, why);
    if (status != MEMENTO_OK) {
        return status;
    }
    uint64_t last = expected == SCAN_ANY ? SCAN_ANY : expected - 1;
    if (!is_behind) {
        status = walk_front(&scan, expected, tail, why);
        if (tail->next_sequence != tail->first_sequence) {
            last = tail->next_sequence - 1;
        }
    }
    if (status != MEMENTO_OK) {
        archive->finding.position = position_of(file->id, tail->end);
    } else if (!tail->is_sealed) {
        status = search_behind(&scan, last, tail, why);
    }
    scan_close(&scan);
    return status;
}

static bool tail_has_front(const struct tail *tail)
{
    return tail->next_sequence != tail->first_sequence;
}

/* From the last segment backwards, until everything before is known to have been on disk: what
 * frames tell only grows, and archive_read_file will verify those segments from front to seal.
 * The segment to begin with is put into *first. */
static enum memento_status scan_backwards(struct archive *archive, struct tail *tails,
                                          size_t *first)
{
    uint64_t durable = archive->manifest.required_end;
    size_t i = archive->manifest.segment_count;
    while (i > 0) {
        i--;
        enum memento_status status = scan_tail(archive, i, SCAN_ANY, false, &tails[i]);
        if (status != MEMENTO_OK) {
            return status;
        }
        if (tails[i].durable > durable) {
            durable = tails[i].durable;
        }
        if (tail_has_front(&tails[i]) &&
            first_segment(archive)[i].id <= position_file(durable)) {
            break;
        }
    }
    *first = i;
    return MEMENTO_OK;
}

/* One segment more, in order. */
static enum memento_status ending_add(struct archive *archive, struct ending *ending,
                                      size_t i)
{
    struct tail *tail = &ending->tails[i];
    uint64_t expected = ending->last == SCAN_ANY ? SCAN_ANY : ending->last + 1;
    bool is_as_scanned = expected == SCAN_ANY ||
                         (tail_has_front(tail) && tail->first_sequence == expected);
    bool is_empty = !tail_has_front(tail) && tail->frames == 0;
    if (!is_empty && (ending->is_found || !is_as_scanned)) {
        enum memento_status status =
            scan_tail(archive, i, expected, ending->is_found, tail);
        if (status != MEMENTO_OK) {
            return status;
        }
    }
    if (!ending->is_found) {
        ending->index = i;
        if (tail_has_front(tail)) {
            ending->next = tail->next_sequence;
            ending->last = tail->next_sequence - 1;
            ending->end = position_of(first_segment(archive)[i].id, tail->end);
            ending->is_sealed = tail->is_sealed;
        }
        ending->is_found = !tail->is_sealed;
    }
    if (ending->is_found && tail->frames > 0) {
        ending->last = tail->last_sequence;
        ending->durable = tail->durable;
    }
    return MEMENTO_OK;
}

/* What lies behind the end: bytes, frames, and the times of the frames. */
static void note_behind(struct archive *archive, const struct ending *ending)
{
    struct archive_finding *finding = &archive->finding;
    for (size_t i = ending->index; i < archive->manifest.segment_count; i++) {
        const struct tail *tail = &ending->tails[i];
        if (tail->is_sealed) {
            continue;
        }
        finding->bytes += tail->nonzero_end - tail->end;
        if (tail->frames > 0) {
            finding->first_ms = finding->frames == 0 ? tail->first_ms : finding->first_ms;
            finding->last_ms = tail->last_ms;
            finding->frames += tail->frames;
        }
    }
}

static void explain_end(struct archive *archive, const struct ending *ending)
{
    char name[FILE_NAME_BYTES];
    uint64_t position = archive->finding.position;
    segment_name(name, position_file(position));
    const struct tail *tail = &ending->tails[ending->index];
    buf_appendf(&archive->finding.text, "%s, offset %" PRIu64 ": %s (frame %" PRIu64 ")",
                name, position_offset(position),
                tail->is_sealed ? "the log ends here" : tail->reason,
                archive->finding.sequence);
}

static void explain_corrupt(struct archive *archive, const struct ending *ending)
{
    struct buf *text = &archive->finding.text;
    uint64_t required = archive->manifest.required_end;
    bool is_told_by_manifest = required > ending->durable;
    char name[FILE_NAME_BYTES];
    uint64_t known = is_told_by_manifest ? required : ending->durable;
    segment_name(name, position_file(known));
    explain_end(archive, ending);
    if (known <= archive->finding.position) {
        buf_append_string(text, ", but the manifest says that the log was closed "
                                "elsewhere, by a seal");
        return;
    }
    buf_appendf(text,
                ", but the log was on disk up to %s, offset %" PRIu64
                ", says %s: something is damaged or gone",
                name, position_offset(known),
                is_told_by_manifest ? "the manifest" : "a later frame");
}

static void explain_torn(struct archive *archive, const struct ending *ending)
{
    const struct archive_finding *finding = &archive->finding;
    explain_end(archive, ending);
    buf_appendf(&archive->finding.text,
                "; %" PRIu64
                " bytes behind it were never known to be on disk, with %" PRIu64
                " whole frames",
                finding->bytes, finding->frames);
    if (finding->frames > 0) {
        buf_appendf(&archive->finding.text, " written from %" PRId64 " to %" PRId64 " ms",
                    finding->first_ms, finding->last_ms);
    }
}

/* The rule of README.md, "Where a log ends". */
static enum archive_state judge(const struct archive *archive,
                                const struct ending *ending)
{
    const struct archive_finding *finding = &archive->finding;
    const struct manifest *manifest = &archive->manifest;
    if (ending->durable > finding->position ||
        manifest->required_end > finding->position) {
        return ARCHIVE_CORRUPT;
    }
    if (manifest->is_clean) {
        /* After a clean end nothing was written: the rest was zeros and does not matter. */
        return ending->is_sealed && ending->end == manifest->required_end &&
                       finding->frames == 0
                   ? ARCHIVE_CLEAN
                   : ARCHIVE_CORRUPT;
    }
    return finding->bytes > 0 ? ARCHIVE_TORN : ARCHIVE_OPEN;
}

/* Files behind the end are not read; of those before it that were looked through, the end is
 * known. */
static void set_ends(struct archive *archive, const struct ending *ending)
{
    for (size_t i = 0; i < archive->manifest.segment_count; i++) {
        struct archive_file *file = first_segment(archive) + i;
        const struct tail *tail = &ending->tails[i];
        file->end_is_known = i >= ending->index || tail->is_scanned;
        if (file->end_is_known) {
            file->end = i > ending->index ? FILE_HEADER_BYTES : tail->end;
        }
    }
}

static enum memento_status look_for_end(struct archive *archive, struct ending *ending)
{
    size_t count = archive->manifest.segment_count;
    size_t first = 0;
    enum memento_status status = scan_backwards(archive, ending->tails, &first);
    for (size_t i = first; i < count && status == MEMENTO_OK; i++) {
        status = ending_add(archive, ending, i);
        if (status == MEMENTO_OK && !ending->is_found && i == count - 1) {
            ending->is_found = true; /* by a seal with nothing behind it */
        }
    }
    return status;
}

static enum memento_status find_end(struct archive *archive, struct ending *ending)
{
    struct archive_finding *finding = &archive->finding;
    finding->sequence = archive->manifest.snapshot_sequence;
    enum memento_status status = look_for_end(archive, ending);
    if (status != MEMENTO_OK) {
        return status;
    }
    if (ending->next != SCAN_ANY) {
        finding->sequence = ending->next;
    }
    uint64_t id = first_segment(archive)[ending->index].id;
    finding->position = position_of(id, ending->tails[ending->index].end);
    note_behind(archive, ending);
    set_ends(archive, ending);
    finding->state = judge(archive, ending);
    if (finding->state == ARCHIVE_CLEAN) {
        finding->position = ending->end; /* and not a spare's beginning */
    }
    if (finding->state == ARCHIVE_CORRUPT) {
        explain_corrupt(archive, ending);
        return MEMENTO_ERR_CORRUPT;
    }
    if (finding->state == ARCHIVE_TORN) {
        explain_torn(archive, ending);
    }
    return MEMENTO_OK;
}

/* ---- a restore to an earlier moment ---- */

static bool is_beyond(const struct archive_limit *limit,
                      const struct frame_header *header)
{
    return (limit->wall_ms != 0 && header->wall_ms > limit->wall_ms) ||
           (limit->sequence != 0 && header->sequence > limit->sequence);
}

/* What was written after a restore must not be left out by the next start with the same words. */
static void forget_restored(struct archive *archive)
{
    struct archive_limit *limit = &archive->limit;
    const struct manifest *manifest = &archive->manifest;
    bool is_any = limit->wall_ms != 0 || limit->sequence != 0;
    archive->was_restored = is_any && limit->wall_ms == manifest->restored_ms &&
                            limit->sequence == manifest->restored_sequence;
    if (archive->was_restored) {
        *limit = (struct archive_limit){0, 0};
    }
}

static enum memento_status check_limit(struct archive *archive)
{
    const struct archive_limit *limit = &archive->limit;
    const struct manifest *manifest = &archive->manifest;
    bool is_too_early =
        (limit->wall_ms != 0 && limit->wall_ms < manifest->snapshot_ms) ||
        (limit->sequence != 0 && limit->sequence + 1 < manifest->snapshot_sequence);
    if (!is_too_early) {
        return MEMENTO_OK;
    }
    uint64_t first =
        manifest->snapshot_sequence > 0 ? manifest->snapshot_sequence - 1 : 0;
    buf_appendf(&archive->finding.text,
                "the earliest moment that can be restored is %" PRId64
                " ms, sequence %" PRIu64,
                manifest->snapshot_ms, first);
    return MEMENTO_ERR_INVALID;
}

/* The offset of the first frame beyond the limit in one segment, up to `end` (position). OK:
 * found; NOT_FOUND. Headers are enough: what they cover is verified when it is read. */
static enum memento_status find_cut(struct archive *archive, size_t index, uint64_t end,
                                    uint64_t *offset, uint64_t *sequence)
{
    const struct archive_file *file = first_segment(archive) + index;
    struct buf *why = &archive->finding.text;
    struct scan scan;
    enum memento_status status =
        scan_open(&scan, archive->dir, FILE_LOG, file->id, archive->manifest.uuid, why);
    if (status != MEMENTO_OK) {
        return status;
    }
    *offset = FILE_HEADER_BYTES;
    status = MEMENTO_NOT_FOUND;
    while (position_of(file->id, *offset) < end) {
        struct frame_header header;
        status = scan_frame_header(&scan, *offset, &header);
        if (status != MEMENTO_OK) {
            scan_explain(&scan, *offset, why);
            break;
        }
        if (is_beyond(&archive->limit, &header)) {
            *sequence = header.sequence;
            break;
        }
        status = MEMENTO_NOT_FOUND;
        if (header.flags & FRAME_SEAL) {
            break;
        }
        *offset += frame_bytes(header.payload_bytes);
    }
    scan_close(&scan);
    return status;
}

/* From segment `index` on, at `offset`, nothing is read. */
static void cut_at(struct archive *archive, size_t index, uint64_t offset,
                   uint64_t sequence)
{
    for (size_t i = index; i < archive->manifest.segment_count; i++) {
        struct archive_file *file = first_segment(archive) + i;
        file->end = i == index ? offset : FILE_HEADER_BYTES;
        file->end_is_known = true;
    }
    struct archive_finding *finding = &archive->finding;
    struct buf text = finding->text;
    buf_reset(&text, SIZE_MAX);
    *finding = (struct archive_finding){
        .state = ARCHIVE_OPEN,
        .position = position_of(first_segment(archive)[index].id, offset),
        .sequence = sequence,
        .is_limited = true,
        .text = text};
}

/* `end_status` is what was found out about the log's end: it stands when the limit lies behind
 * it. Damage behind the limit does not hinder a restore to before it. */
static enum memento_status apply_limit(struct archive *archive,
                                       enum memento_status end_status)
{
    struct archive_finding *finding = &archive->finding;
    uint64_t end = finding->position;
    size_t said = finding->text.len;
    for (size_t i = 0; i < archive->manifest.segment_count; i++) {
        uint64_t id = first_segment(archive)[i].id;
        uint64_t offset = 0, sequence = 0;
        if (id > position_file(end)) {
            break;
        }
        enum memento_status status = find_cut(archive, i, end, &offset, &sequence);
        if (status == MEMENTO_OK) {
            cut_at(archive, i, offset, sequence);
            return MEMENTO_OK;
        }
        if (status != MEMENTO_NOT_FOUND) {
            buf_consume(&finding->text, said);
            finding->position = position_of(id, offset);
            return status;
        }
    }
    return end_status;
}

/* ---- opening ---- */

static enum memento_status open_log(struct archive *archive)
{
    size_t count = archive->manifest.segment_count;
    struct archive_finding *finding = &archive->finding;
    if (count == 0) {
        finding->sequence = archive->manifest.snapshot_sequence;
        finding->position = 0;
        if (archive->manifest.required_end == 0) {
            finding->state = archive->manifest.is_clean ? ARCHIVE_CLEAN : ARCHIVE_OPEN;
            return MEMENTO_OK;
        }
        buf_append_string(&finding->text, MANIFEST_NAME ": it names no segment of a log");
        return MEMENTO_ERR_CORRUPT;
    }
    struct ending ending = {.last = SCAN_ANY, .next = SCAN_ANY};
    ending.tails = heap_alloc_zeroed(count, sizeof(*ending.tails));
    if (ending.tails == NULL) {
        return MEMENTO_ERR_NO_MEMORY;
    }
    enum memento_status status = find_end(archive, &ending);
    bool end_is_known = ending.is_found;
    heap_free(ending.tails);
    if (end_is_known && (archive->limit.wall_ms != 0 || archive->limit.sequence != 0)) {
        status = apply_limit(archive, status);
    }
    return status;
}

static void count_bytes(struct archive *archive)
{
    for (size_t i = 0; i < archive->file_count; i++) {
        const struct archive_file *file = &archive->files[i];
        archive->bytes += file->end_is_known ? file->end : file->bytes;
    }
}

enum memento_status archive_open(struct archive *archive, int dir,
                                 const struct archive_limit *limit)
{
    *archive = (struct archive){.dir = dir, .finding = {.state = ARCHIVE_OPEN}};
    manifest_init(&archive->manifest);
    buf_init(&archive->finding.text);
    if (limit != NULL) {
        archive->limit = *limit;
    }
    struct buf *text = &archive->finding.text;
    enum memento_status status = manifest_read(dir, &archive->manifest, text);
    if (status == MEMENTO_NOT_FOUND) {
        buf_append_string(text, "there is no " MANIFEST_NAME);
    }
    if (status == MEMENTO_OK) {
        forget_restored(archive);
        status = check_limit(archive);
    }
    if (status == MEMENTO_OK) {
        status = find_files(archive);
    }
    if (status == MEMENTO_OK) {
        status = open_log(archive);
    }
    if (status == MEMENTO_ERR_CORRUPT) {
        archive->finding.state = ARCHIVE_CORRUPT;
    }
    if (status == MEMENTO_ERR_NO_MEMORY) {
        buf_append_string(text, "out of memory");
    }
    count_bytes(archive);
    return status;
}

void archive_close(struct archive *archive)
{
    manifest_fini(&archive->manifest);
    buf_fini(&archive->finding.text);
    heap_free(archive->files);
    archive->files = NULL;
    archive->file_count = 0;
}

/* ---- reading ---- */

/* One frame that is known to be whole: counted, its records verified, given to the visitor. */
static enum memento_status give_frame(struct scan *scan, struct archive_file *file,
                                      const struct scan_frame *from, archive_visit *visit,
                                      void *context, struct buf *why)
{
    const struct frame_header *header = &from->header;
    enum memento_status status = scan_records(scan, from, &file->version_max);
    if (status == MEMENTO_OK && header->records > 0) {
        struct archive_frame frame = {.file = file,
                                      .offset = from->offset,
                                      .header = *header,
                                      .payload = from->payload};
        status = visit(context, &frame);
        scan->reason = "the records of the frame make no sense";
        if (status != MEMENTO_OK && status != MEMENTO_ERR_CORRUPT) {
            return status; /* the visitor's own affair */
        }
    }
    if (status != MEMENTO_OK) {
        scan_explain(scan, from->offset, why);
        return status;
    }
    if (file->frames++ == 0) {
        file->first_sequence = header->sequence;
    }
    file->next_sequence = header->sequence + 1;
    file->records += header->records;
    if (header->wall_ms > file->wall_max_ms) {
        file->wall_max_ms = header->wall_ms;
    }
    file->is_sealed = (header->flags & FRAME_SEAL) != 0;
    return MEMENTO_OK;
}

static enum memento_status read_frames(struct scan *scan, struct archive_file *file,
                                       archive_visit *visit, void *context,
                                       _Atomic uint64_t *progress, struct buf *why)
{
    uint64_t offset = FILE_HEADER_BYTES;
    uint64_t expected = file->kind == FILE_SNAPSHOT ? 0 : SCAN_ANY;
    while (file->end_is_known ? offset < file->end : !file->is_sealed) {
        struct scan_frame frame;
        enum memento_status status = scan_frame(scan, offset, expected, &frame);
        if (status != MEMENTO_OK) {
            scan_explain(scan, offset, why);
            return status;
        }
        status = give_frame(scan, file, &frame, visit, context, why);
        if (status != MEMENTO_OK) {
            return status;
        }
        uint64_t bytes = frame_bytes(frame.header.payload_bytes);
        offset += bytes;
        expected = file->next_sequence;
        if (progress != NULL) {
            *progress += bytes;
        }
    }
    if (progress != NULL) {
        *progress += (file->end_is_known ? file->end : file->bytes) - offset;
    }
    file->end = offset;
    if (file->kind == FILE_SNAPSHOT && offset != file->bytes) {
        scan->reason = "the file goes on behind its seal";
        scan_explain(scan, offset, why);
        return MEMENTO_ERR_CORRUPT;
    }
    return MEMENTO_OK;
}

enum memento_status archive_read_file(struct archive *archive, size_t index,
                                      archive_visit *visit, void *context,
                                      _Atomic uint64_t *progress, struct buf *why)
{
    struct archive_file *file = &archive->files[index];
    /* Without a frame it is a part's beginning, or the end of the log. */
    file->first_sequence = file->next_sequence =
        file->kind == FILE_LOG ? archive->finding.sequence : 0;
    file->frames = file->records = file->version_max = 0;
    file->wall_max_ms = 0;
    file->is_sealed = false;
    struct scan scan;
    enum memento_status status =
        scan_open(&scan, archive->dir, file->kind, file->id, archive->manifest.uuid, why);
    if (status != MEMENTO_OK) {
        return status;
    }
    if (progress != NULL) {
        *progress += FILE_HEADER_BYTES;
    }
    status = read_frames(&scan, file, visit, context, progress, why);
    scan_close(&scan);
    return status;
}

enum memento_status archive_check_chain(const struct archive *archive, struct buf *why)
{
    uint64_t next = 0;
    bool is_begun = false;
    for (size_t i = 0; i < archive->file_count; i++) {
        const struct archive_file *file = &archive->files[i];
        if (file->kind != FILE_LOG || file->frames == 0) {
            continue;
        }
        if (is_begun && file->first_sequence != next) {
            char name[FILE_NAME_BYTES];
            file_name(file, name);
            buf_appendf(why,
                        "%s, offset %d: the first frame is %" PRIu64
                        ", but the segment before ends with %" PRIu64,
                        name, FILE_HEADER_BYTES, file->first_sequence, next - 1);
            return MEMENTO_ERR_CORRUPT;
        }
        is_begun = true;
        next = file->next_sequence;
    }
    if (is_begun && next != archive->finding.sequence) {
        buf_appendf(why, "the log ends before frame %" PRIu64 " and not %" PRIu64, next,
                    archive->finding.sequence);
        return MEMENTO_ERR_CORRUPT;
    }
    return MEMENTO_OK;
}
