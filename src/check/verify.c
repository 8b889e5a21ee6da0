/* verify.c - verify and stats: everything is read, as a server that loads would. */
#include "base/buf.h"
#include "check/check.h"

#include <inttypes.h>
#include <stdio.h>

/* What the records are. Kinds without a name are counted in the first place. */
struct count {
    uint64_t frames, bytes, records, kinds[RECORD_MAP + 1];
    uint64_t version_min, version_max;
    int64_t wall_min_ms, wall_max_ms;
};

static enum memento_status count_frame(void *context, const struct archive_frame *frame)
{
    struct count *count = context;
    struct bytes left = frame->payload;
    int64_t ms = frame->header.wall_ms;
    while (left.len > 0) {
        struct record record;
        enum memento_status status =
            record_read(&left, frame->header.base_version, &record);
        if (status != MEMENTO_OK) {
            return status;
        }
        bool is_known = record.kind >= RECORD_SET && record.kind <= RECORD_MAP;
        count->kinds[is_known ? record.kind : 0]++;
        count->records++;
        if (is_known && record.version < count->version_min) {
            count->version_min = record.version;
        }
        if (record.version > count->version_max) {
            count->version_max = record.version;
        }
    }
    if (frame->file->kind == FILE_LOG) {
        count->wall_min_ms = ms < count->wall_min_ms ? ms : count->wall_min_ms;
        count->wall_max_ms = ms > count->wall_max_ms ? ms : count->wall_max_ms;
    }
    count->frames++;
    count->bytes += frame_bytes(frame->header.payload_bytes);
    return MEMENTO_OK;
}

/* Every file, also behind one that is damaged: all damage is told. */
static enum exit_status read_all(struct archive *archive, struct count *count)
{
    enum exit_status worst = EXIT_GOOD;
    struct buf why;
    buf_init(&why);
    for (size_t i = 0; i < archive->file_count; i++) {
        buf_reset(&why, SIZE_MAX);
        enum memento_status status =
            archive_read_file(archive, i, count_frame, count, NULL, &why);
        if (status != MEMENTO_OK) {
            bool is_told =
                bytes_equal(buf_bytes(&why), buf_bytes(&archive->finding.text));
            enum exit_status now = is_told ? EXIT_CORRUPT : complain_of(status, &why);
            worst = now > worst ? now : worst;
        }
    }
    if (worst == EXIT_GOOD && archive->finding.state != ARCHIVE_CORRUPT) {
        enum memento_status status = archive_check_chain(archive, &why);
        if (status != MEMENTO_OK) {
            worst = complain_of(status, &why);
        }
    }
    buf_fini(&why);
    return worst;
}

static enum exit_status open_and_read(struct archive *archive, int dir, const char *path,
                                      struct count *count)
{
    *count = (struct count){.version_min = UINT64_MAX, .wall_min_ms = INT64_MAX};
    enum exit_status opened = check_open(archive, dir, path, NULL);
    if (opened == EXIT_TROUBLE) {
        return opened;
    }
    enum exit_status read = read_all(archive, count);
    if (read == EXIT_CORRUPT) {
        archive->finding.state = ARCHIVE_CORRUPT; /* behind an end that may look clean */
    }
    if (read == EXIT_CORRUPT && opened != EXIT_CORRUPT) {
        complain("keep %s as it is and run: memento-check repair --out=%s.repaired %s",
                 path, path, path);
    }
    return read > opened ? read : opened;
}

static const char *state_name(enum archive_state state)
{
    static const char *const names[] = {[ARCHIVE_CLEAN] = "closed cleanly",
                                        [ARCHIVE_OPEN] = "open end",
                                        [ARCHIVE_TORN] = "torn end",
                                        [ARCHIVE_CORRUPT] = "corrupt"};
    return names[state];
}

enum exit_status check_verify(int dir, const char *path)
{
    struct archive archive;
    struct count count;
    enum exit_status status = open_and_read(&archive, dir, path, &count);
    if (status < EXIT_CORRUPT) {
        printf("%s: %zu files, %" PRIu64 " frames, %" PRIu64 " records: %s\n", path,
               archive.file_count, count.frames, count.records,
               state_name(archive.finding.state));
    }
    archive_close(&archive);
    return status;
}

static void print_time(const char *name, int64_t ms)
{
    char text[TIME_TEXT_BYTES];
    printf("%-22s %" PRId64 " (%s)\n", name, ms, time_text(text, ms));
}

static void print_files(const struct archive *archive, const struct count *count)
{
    uint64_t bytes[2] = {0, 0};
    size_t counts[2] = {0, 0};
    for (size_t i = 0; i < archive->file_count; i++) {
        const struct archive_file *file = &archive->files[i];
        bytes[file->kind == FILE_LOG] += file->bytes;
        counts[file->kind == FILE_LOG]++;
    }
    printf("%-22s %zu, %" PRIu64 " bytes\n", "snapshot parts", counts[0], bytes[0]);
    printf("%-22s %zu, %" PRIu64 " bytes\n", "log segments", counts[1], bytes[1]);
    printf("%-22s %" PRIu64 " bytes\n", "of them used", count->bytes);
}

static void print_records(const struct count *count)
{
    static const char *const names[] = {"records, other kinds", "records, SET",
                                        "records, DELETE",      "records, TOUCH",
                                        "records, FLUSH",       "records, MAP"};
    printf("%-22s %" PRIu64 "\n%-22s %" PRIu64 "\n", "frames", count->frames, "records",
           count->records);
    for (size_t i = 1; i < ARRAY_LEN(names); i++) {
        printf("%-22s %" PRIu64 "\n", names[i], count->kinds[i]);
    }
    printf("%-22s %" PRIu64 "\n", names[0], count->kinds[0]);
    if (count->version_min <= count->version_max) {
        printf("%-22s %" PRIu64 " to %" PRIu64 "\n", "versions", count->version_min,
               count->version_max);
    }
}

static void print_log(const struct archive *archive, const struct count *count)
{
    const struct manifest *manifest = &archive->manifest;
    for (size_t i = 0; i < archive->file_count; i++) {
        const struct archive_file *file = &archive->files[i];
        if (file->kind == FILE_LOG && file->frames > 0) {
            printf("%-22s %" PRIu64 "\n", "first sequence", file->first_sequence);
            break;
        }
    }
    printf("%-22s %" PRIu64 "\n", "next sequence", archive->finding.sequence);
    if (count->wall_min_ms <= count->wall_max_ms) {
        print_time("first written", count->wall_min_ms);
        print_time("last written", count->wall_max_ms);
    }
    if (manifest->part_count == 0 && manifest->snapshot_ms == 0) {
        printf("%-22s the beginning\n", "earliest restorable");
        return;
    }
    print_time("earliest restorable", manifest->snapshot_ms);
    printf("%-22s %" PRIu64 "\n", "at sequence",
           manifest->snapshot_sequence > 0 ? manifest->snapshot_sequence - 1 : 0);
}

enum exit_status check_stats(int dir, const char *path)
{
    struct archive archive;
    struct count count;
    enum exit_status status = open_and_read(&archive, dir, path, &count);
    if (status != EXIT_TROUBLE) {
        printf("%-22s ", "uuid");
        for (size_t i = 0; i < UUID_BYTES; i++) {
            printf("%02x", archive.manifest.uuid[i]);
        }
        printf("\n%-22s %d.%d\n%-22s %s\n", "format", FORMAT_MAJOR, FORMAT_MINOR, "state",
               state_name(archive.finding.state));
        print_files(&archive, &count);
        print_records(&count);
        print_log(&archive, &count);
    }
    archive_close(&archive);
    return status;
}
