#include "base/file.h"
#include "log/archive.h"
#include "log/fixture.h"
#include "log/scan.h"

#include <stdio.h>
#include <sys/stat.h>

#define SEGMENT_BYTES (12 * 1024)
#define SECTOR_BYTES  512

/* A directory, what is in it, and where its last frame begins. */
struct world {
    struct maker maker;
    struct reading whole, reading;
    uint64_t snapshot_id, first_id, second_id, spare_id;
    uint64_t offsets[6];  /* of the frames in the second segment */
    uint64_t last_offset; /* of the last of them */
    uint64_t end_offset;  /* behind it */
};

static void make_snapshot(struct world *w)
{
    struct maker *m = &w->maker;
    uint64_t sequence = m->sequence;
    m->sequence = 0;
    maker_begin(m, FILE_SNAPSHOT);
    w->snapshot_id = m->id;
    for (unsigned i = 0; i < 3; i++) {
        maker_stage_sets(m, 3, 3 * i);
        maker_frame(m);
    }
    maker_put(m, FRAME_SEAL);
    maker_end(m, 0);
    m->sequence = sequence;
}

/* A snapshot part, a sealed segment, one that is being written, and a spare. Each frame tells
 * that everything before it is durable. */
static void world_make_open(struct world *w)
{
    struct maker *m = &w->maker;
    maker_init(m);
    reading_init(&w->whole);
    reading_init(&w->reading);
    make_snapshot(w);
    m->durable = UINT64_MAX;
    maker_begin(m, FILE_LOG);
    w->first_id = m->id;
    maker_stage_all_kinds(m, 10);
    maker_frame(m);
    for (unsigned i = 0; i < 4; i++) {
        m->wall_ms++;
        maker_stage_sets(m, 1 + i, 10 * i);
        maker_frame(m);
        maker_put(m, FRAME_MARK);
    }
    maker_put(m, FRAME_SEAL);
    maker_end(m, SEGMENT_BYTES);
    maker_begin(m, FILE_LOG);
    w->second_id = m->id;
    for (unsigned i = 0; i < 6; i++) {
        m->wall_ms++;
        maker_stage_sets(m, 1 + i % 3, 50 + 10 * i);
        w->offsets[i] = w->last_offset = m->file.len;
        maker_frame(m);
    }
    w->end_offset = m->file.len;
}

static void world_make_spare(struct world *w)
{
    maker_begin(&w->maker, FILE_LOG);
    w->spare_id = w->maker.id;
    maker_end(&w->maker, 2 * FILE_HEADER_BYTES);
    maker_manifest(&w->maker);
    assert_int_equal(read_directory(&w->whole, w->maker.dir), MEMENTO_OK);
}

/* As a crash leaves it, a while after the last write. */
static void world_init(struct world *w)
{
    world_make_open(w);
    maker_end(&w->maker, SEGMENT_BYTES);
    world_make_spare(w);
    assert_int_equal(w->whole.state, ARCHIVE_OPEN);
}

/* As a clean shutdown leaves it. */
static void world_init_clean(struct world *w)
{
    world_make_open(w);
    maker_put(&w->maker, FRAME_SEAL);
    w->maker.manifest.required_end = maker_position(&w->maker);
    w->maker.manifest.is_clean = true;
    maker_end(&w->maker, SEGMENT_BYTES);
    world_make_spare(w);
    assert_int_equal(w->whole.state, ARCHIVE_CLEAN);
}

static void world_fini(struct world *w)
{
    reading_fini(&w->whole);
    reading_fini(&w->reading);
    maker_fini(&w->maker);
}

static void world_read(struct world *w)
{
    (void)!read_directory(&w->reading, w->maker.dir);
}

static bool has_said(const struct reading *reading, const char *text)
{
    return memmem(reading->why.data, reading->why.len, text, strlen(text)) != NULL;
}

#define assert_said(reading, text)                                        \
    do {                                                                  \
        if (!has_said((reading), (text))) {                               \
            fail_msg("\"%.*s\" does not say %s", (int)(reading)->why.len, \
                     (reading)->why.data, (text));                        \
        }                                                                 \
    } while (0)

/* ---- damage ---- */

static int open_segment(struct world *w, uint64_t id)
{
    char name[FILE_NAME_BYTES];
    segment_name(name, id);
    int fd = os_file_open(w->maker.dir, name, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

static void put(int fd, const void *data, size_t size, uint64_t offset)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    assert_true(os_file_write_all(fd, &part, 1, offset));
}

static void flip(int fd, uint64_t offset, unsigned bit)
{
    unsigned char byte;
    assert_int_equal(os_file_read_all(fd, &byte, 1, offset), 1);
    byte = (unsigned char)(byte ^ 1u << bit);
    put(fd, &byte, 1, offset);
}

static void damage(struct world *w, uint64_t id, uint64_t offset)
{
    int fd = open_segment(w, id);
    flip(fd, offset, 0);
    os_file_close(fd);
}

/* ---- ends ---- */

static void a_log_closed_cleanly_is_read_whole(void **state)
{
    (void)state;
    struct world w;
    world_init_clean(&w);
    assert_int_equal(w.whole.frames, 3 + 5 + 6);
    assert_true(w.whole.finding.sequence == 18);
    assert_true(w.whole.finding.position == w.maker.manifest.required_end);
    assert_int_equal(w.whole.why.len, 0);
    world_fini(&w);
}

static void a_log_that_ends_by_zeros_is_open(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    assert_int_equal(w.whole.frames, 3 + 5 + 6);
    assert_true(w.whole.finding.sequence == 17);
    assert_true(w.whole.finding.position == position_of(w.second_id, w.end_offset));
    assert_int_equal(w.whole.finding.bytes, 0);
    world_fini(&w);
}

static void a_log_that_ends_by_a_seal_without_a_clean_end_is_open(void **state)
{
    (void)state;
    struct world w;
    world_init_clean(&w);
    w.maker.manifest.is_clean = false;
    maker_manifest(&w.maker);
    world_read(&w);
    assert_int_equal(w.reading.status, MEMENTO_OK);
    assert_int_equal(w.reading.state, ARCHIVE_OPEN);
    assert_bytes_equal(buf_bytes(&w.reading.text), buf_bytes(&w.whole.text));
    world_fini(&w);
}

static void a_directory_without_a_manifest_is_not_found(void **state)
{
    (void)state;
    struct maker maker;
    struct reading reading;
    maker_init(&maker);
    reading_init(&reading);
    assert_int_equal(read_directory(&reading, maker.dir), MEMENTO_NOT_FOUND);
    reading_fini(&reading);
    maker_fini(&maker);
}

static void a_new_log_without_a_frame_is_open(void **state)
{
    (void)state;
    struct maker maker;
    struct reading reading;
    maker_init(&maker);
    reading_init(&reading);
    maker.manifest.snapshot_sequence = 7;
    maker_begin(&maker, FILE_LOG);
    maker_end(&maker, SEGMENT_BYTES);
    maker_manifest(&maker);
    assert_int_equal(read_directory(&reading, maker.dir), MEMENTO_OK);
    assert_int_equal(reading.state, ARCHIVE_OPEN);
    assert_true(reading.finding.position == position_of(1, FILE_HEADER_BYTES));
    assert_true(reading.finding.sequence == 7);
    reading_fini(&reading);
    maker_fini(&maker);
}

static void a_damaged_last_frame_is_torn(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    damage(&w, w.second_id, w.last_offset + FRAME_HEADER_BYTES);
    world_read(&w);
    assert_int_equal(w.reading.status, MEMENTO_OK);
    assert_int_equal(w.reading.state, ARCHIVE_TORN);
    assert_int_equal(w.reading.frames, w.whole.frames - 1);
    assert_true(reading_is_prefix(&w.reading, &w.whole));
    assert_true(w.reading.finding.position == position_of(w.second_id, w.last_offset));
    assert_true(w.reading.finding.sequence == 16);
    assert_true(w.reading.finding.bytes > 0);
    assert_true(w.reading.finding.bytes <= w.end_offset - w.last_offset);
    assert_int_equal(w.reading.finding.frames, 0);
    assert_said(&w.reading, "log-0000000000000003.mem, offset");
    world_fini(&w);
}

static void damage_before_what_a_later_frame_knows_to_be_durable_is_corrupt(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    damage(&w, w.second_id, FILE_HEADER_BYTES + FRAME_HEADER_BYTES);
    world_read(&w);
    assert_int_equal(w.reading.status, MEMENTO_ERR_CORRUPT);
    assert_int_equal(w.reading.state, ARCHIVE_CORRUPT);
    assert_true(w.reading.finding.position ==
                position_of(w.second_id, FILE_HEADER_BYTES));
    assert_true(w.reading.finding.sequence == 11);
    assert_said(&w.reading, "log-0000000000000003.mem, offset 4096");
    assert_said(&w.reading, "a later frame");
    world_fini(&w);
}

static void damage_before_what_the_manifest_requires_is_corrupt(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    damage(&w, w.second_id, w.last_offset);
    w.maker.manifest.required_end = position_of(w.second_id, w.last_offset);
    maker_manifest(&w.maker);
    world_read(&w);
    assert_int_equal(w.reading.state, ARCHIVE_TORN);
    w.maker.manifest.required_end = position_of(w.second_id, w.end_offset);
    maker_manifest(&w.maker);
    world_read(&w);
    assert_int_equal(w.reading.status, MEMENTO_ERR_CORRUPT);
    assert_said(&w.reading, "the manifest");
    world_fini(&w);
}

/* Nothing was ever synced: a hole with whole frames behind it, also in the next segment. */
static void frames_behind_a_hole_that_were_never_synced_are_torn(void **state)
{
    (void)state;
    struct maker m;
    struct reading reading;
    maker_init(&m);
    reading_init(&reading);
    uint64_t ids[2], offsets[2];
    for (unsigned s = 0; s < 2; s++) {
        maker_begin(&m, FILE_LOG);
        ids[s] = m.id;
        for (unsigned i = 0; i < 4; i++) {
            m.wall_ms += 10;
            offsets[s] = i == 2 ? m.file.len : offsets[s];
            maker_stage_sets(&m, 1, i);
            maker_frame(&m);
        }
        if (s == 0) {
            maker_put(&m, FRAME_SEAL);
        }
        maker_end(&m, SEGMENT_BYTES);
    }
    maker_manifest(&m);
    assert_int_equal(read_directory(&reading, m.dir), MEMENTO_OK);
    assert_int_equal(reading.frames, 8);
    struct world w = {.maker = m};
    damage(&w, ids[0], offsets[0]);
    assert_int_equal(read_directory(&reading, m.dir), MEMENTO_OK);
    assert_int_equal(reading.state, ARCHIVE_TORN);
    assert_int_equal(reading.frames, 2);
    assert_int_equal(reading.finding.frames,
                     1 + 1 + 4); /* one, the seal, the next segment */
    assert_true(reading.finding.first_ms == MAKER_MS + 40);
    assert_true(reading.finding.last_ms == MAKER_MS + 80);
    assert_true(reading.finding.sequence == 3);
    maker_fini(&m);
    reading_fini(&reading);
}

static void missing_files_and_damaged_headers_are_corrupt(void **state)
{
    (void)state;
    for (unsigned which = 0; which < 4; which++) {
        struct world w;
        world_init(&w);
        char name[FILE_NAME_BYTES];
        uint64_t ids[] = {w.snapshot_id, w.first_id, w.second_id, w.spare_id};
        if (which == 0) {
            part_name(name, ids[0]);
        } else {
            segment_name(name, ids[which]);
        }
        int fd = os_file_open(w.maker.dir, name, O_RDWR);
        flip(fd, 50, 3);
        world_read(&w);
        assert_int_equal(w.reading.status, MEMENTO_ERR_CORRUPT);
        assert_said(&w.reading, name);
        assert_said(&w.reading, "header");
        os_file_close(fd);
        assert_int_equal(os_file_remove(w.maker.dir, name), 0);
        world_read(&w);
        assert_int_equal(w.reading.status, MEMENTO_ERR_CORRUPT);
        assert_said(&w.reading, name);
        assert_said(&w.reading, "missing");
        world_fini(&w);
    }
}

/* Not even with the right name: the header knows its id and its directory. */
static void another_file_in_its_place_is_corrupt(void **state)
{
    (void)state;
    struct world w;
    char first[FILE_NAME_BYTES], second[FILE_NAME_BYTES];
    world_init(&w);
    segment_name(first, w.first_id);
    segment_name(second, w.second_id);
    assert_int_equal(os_file_remove(w.maker.dir, second), 0);
    assert_int_equal(os_file_link(w.maker.dir, first, w.maker.dir, second), 0);
    world_read(&w);
    assert_int_equal(w.reading.status, MEMENTO_ERR_CORRUPT);
    assert_said(&w.reading, "another file");
    world_fini(&w);
    world_init(&w);
    w.maker.manifest.uuid[0] ^= 1;
    maker_manifest(&w.maker);
    world_read(&w);
    assert_int_equal(w.reading.status, MEMENTO_ERR_CORRUPT);
    assert_said(&w.reading, "another data directory");
    world_fini(&w);
}

static void frames_behind_a_clean_end_are_corrupt(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.maker.manifest.is_clean = true;
    w.maker.manifest.required_end = position_of(w.second_id, w.last_offset);
    maker_manifest(&w.maker);
    world_read(&w);
    assert_int_equal(w.reading.status, MEMENTO_ERR_CORRUPT);
    assert_said(&w.reading, "the manifest");
    world_fini(&w);
}

/* ---- what is no end ---- */

static void a_read_error_is_not_an_end(void **state)
{
    (void)state;
    struct world w;
    char name[FILE_NAME_BYTES];
    world_init(&w);
    segment_name(name, w.second_id);
    assert_int_equal(os_file_remove(w.maker.dir, name), 0);
    assert_int_equal(mkdirat(w.maker.dir, name, 0700), 0); /* reading it fails */
    world_read(&w);
    assert_int_not_equal(w.reading.status, MEMENTO_OK);
    assert_int_equal(unlinkat(w.maker.dir, name, AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat(MANIFEST_NAME, w.maker.dir, name), 0);
    world_read(&w);
    assert_int_equal(w.reading.status, MEMENTO_ERR_IO);
    assert_said(&w.reading, name);
    world_fini(&w);
}

static enum memento_status refuse(void *context, const struct archive_frame *frame)
{
    (void)frame;
    return *(enum memento_status *)context;
}

static void a_visitor_ends_the_reading(void **state)
{
    (void)state;
    struct world w;
    struct archive archive;
    struct buf why;
    world_init(&w);
    buf_init(&why);
    assert_int_equal(archive_open(&archive, w.maker.dir, NULL), MEMENTO_OK);
    enum memento_status status = MEMENTO_CLOSED;
    assert_int_equal(archive_read_file(&archive, 1, refuse, &status, NULL, &why),
                     MEMENTO_CLOSED);
    assert_int_equal(why.len, 0);
    status = MEMENTO_ERR_CORRUPT;
    assert_int_equal(archive_read_file(&archive, 1, refuse, &status, NULL, &why),
                     MEMENTO_ERR_CORRUPT);
    assert_non_null(strstr(buf_c_string(&why), "log-0000000000000002.mem, offset 4096"));
    buf_fini(&why);
    archive_close(&archive);
    world_fini(&w);
}

static enum memento_status accept(void *context, const struct archive_frame *frame)
{
    uint64_t *records = context;
    *records += frame->header.records;
    return MEMENTO_OK;
}

static void reading_counts_what_it_reads(void **state)
{
    (void)state;
    struct world w;
    struct archive archive;
    struct buf why;
    world_init(&w);
    buf_init(&why);
    assert_int_equal(archive_open(&archive, w.maker.dir, NULL), MEMENTO_OK);
    assert_int_equal(archive.file_count, 4);
    _Atomic uint64_t progress = 0;
    uint64_t records = 0, counted = 0;
    for (size_t i = 0; i < archive.file_count; i++) {
        assert_int_equal(
            archive_read_file(&archive, i, accept, &records, &progress, &why),
            MEMENTO_OK);
        counted += archive.files[i].records;
    }
    assert_true(progress == archive.bytes);
    assert_true(records == counted);
    const struct archive_file *first = &archive.files[1], *second = &archive.files[2];
    assert_true(first->is_sealed && !second->is_sealed);
    assert_true(first->first_sequence == 1 && first->next_sequence == 11);
    assert_true(second->first_sequence == 11 && second->next_sequence == 17);
    assert_true(second->wall_max_ms == MAKER_MS + 10);
    assert_true(second->version_max == MAKER_VERSION + 100 + 102);
    assert_true(first->end > FILE_HEADER_BYTES && first->end < SEGMENT_BYTES);
    assert_true(archive.files[3].frames == 0);
    assert_true(archive.files[3].first_sequence == 17);
    assert_true(archive.files[3].next_sequence == 17);
    assert_int_equal(archive_check_chain(&archive, &why), MEMENTO_OK);
    archive.files[2].first_sequence = 12;
    assert_int_equal(archive_check_chain(&archive, &why), MEMENTO_ERR_CORRUPT);
    assert_non_null(strstr(buf_c_string(&why), "log-0000000000000003.mem"));
    buf_fini(&why);
    archive_close(&archive);
    world_fini(&w);
}

/* ---- restoring to an earlier moment ---- */

static void a_limit_cuts_at_the_first_frame_beyond_it(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    /* Numbers 1 to 10 are the first segment (1, then frame and mark by turns, 10 the seal). */
    for (uint64_t sequence = 1; sequence <= 20; sequence++) {
        struct archive_limit limit = {.sequence = sequence};
        uint64_t expected = sequence >= 16   ? 11
                            : sequence >= 10 ? sequence - 5
                                             : 1 + sequence / 2;
        assert_int_equal(read_directory_to(&w.reading, w.maker.dir, &limit), MEMENTO_OK);
        assert_int_equal(w.reading.frames, 3 + expected);
        assert_true(reading_is_prefix(&w.reading, &w.whole));
        assert_true(w.reading.finding.sequence == (sequence < 16 ? sequence + 1 : 17));
        assert_int_equal(w.reading.state, ARCHIVE_OPEN);
    }
    for (int64_t ms = 0; ms <= 12; ms++) {
        struct archive_limit limit = {.wall_ms = MAKER_MS + ms};
        assert_int_equal(read_directory_to(&w.reading, w.maker.dir, &limit), MEMENTO_OK);
        assert_int_equal(w.reading.frames, 3 + 1 + (ms < 10 ? ms : 10));
        assert_true(reading_is_prefix(&w.reading, &w.whole));
    }
    world_fini(&w);
}

static void a_limit_before_the_snapshot_is_refused(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    w.maker.manifest.snapshot_sequence = 6;
    w.maker.manifest.snapshot_ms = MAKER_MS + 2;
    maker_manifest(&w.maker);
    struct archive_limit limit = {.sequence = 4};
    assert_int_equal(read_directory_to(&w.reading, w.maker.dir, &limit),
                     MEMENTO_ERR_INVALID);
    assert_said(&w.reading, "1763721600002 ms, sequence 5");
    limit.sequence = 5;
    assert_int_equal(read_directory_to(&w.reading, w.maker.dir, &limit), MEMENTO_OK);
    limit = (struct archive_limit){.wall_ms = MAKER_MS + 1};
    assert_int_equal(read_directory_to(&w.reading, w.maker.dir, &limit),
                     MEMENTO_ERR_INVALID);
    world_fini(&w);
}

static void damage_behind_the_limit_does_not_hinder(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    damage(&w, w.second_id, FILE_HEADER_BYTES);
    struct archive_limit limit = {.sequence = 9};
    assert_int_equal(read_directory_to(&w.reading, w.maker.dir, &limit), MEMENTO_OK);
    assert_true(reading_is_prefix(&w.reading, &w.whole));
    assert_int_equal(w.reading.why.len, 0);
    limit.sequence = 12;
    assert_int_equal(read_directory_to(&w.reading, w.maker.dir, &limit),
                     MEMENTO_ERR_CORRUPT);
    world_fini(&w);
}

/* ---- frames of all sizes, and what only looks like one ---- */

static void a_frame_larger_than_the_window_is_read(void **state)
{
    (void)state;
    struct maker m;
    struct reading reading;
    maker_init(&m);
    reading_init(&reading);
    size_t size = 3 * SCAN_WINDOW_BYTES + 5;
    char *value = heap_alloc(size);
    assert_non_null(value);
    memset(value, 'v', size);
    maker_begin(&m, FILE_LOG);
    for (unsigned i = 0; i < 3; i++) {
        maker_set(&m, i, B("small"), B("1"));
        maker_frame(&m);
        maker_set(&m, 10 + i, B("large"), bytes_of(value, size));
        maker_frame(&m);
    }
    maker_end(&m, 0);
    maker_manifest(&m);
    assert_int_equal(read_directory(&reading, m.dir), MEMENTO_OK);
    assert_int_equal(reading.state, ARCHIVE_OPEN);
    assert_int_equal(reading.frames, 6);
    assert_true(reading.text.len > 3 * size);
    heap_free(value);
    reading_fini(&reading);
    maker_fini(&m);
}

/* A length that is valid by its checksum, but that the file does not have. */
static void no_memory_is_taken_for_what_the_file_does_not_have(void **state)
{
    (void)state;
    struct maker m;
    struct reading reading;
    maker_init(&m);
    reading_init(&reading);
    maker_begin(&m, FILE_LOG);
    struct frame_header header = {.payload_bytes = FRAME_PAYLOAD_MAX,
                                  .sequence = 1,
                                  .records = 1,
                                  .wall_ms = MAKER_MS};
    char bytes[FRAME_HEADER_BYTES];
    frame_header_write(bytes, &header, m.salt, maker_position(&m));
    buf_append(&m.file, bytes, sizeof(bytes));
    maker_end(&m, SEGMENT_BYTES);
    maker_manifest(&m);
    assert_int_equal(read_directory(&reading, m.dir), MEMENTO_OK);
    assert_int_equal(reading.state, ARCHIVE_TORN);
    assert_int_equal(reading.frames, 0);
    assert_said(&reading, "reaches beyond the end of the file");
    reading_fini(&reading);
    maker_fini(&m);
}

/* The value of the damaged frame holds whole frames: copies of one of this log, and one that
 * is right in everything but its number, which is too far ahead. */
static void frames_inside_a_value_are_not_taken_for_the_log(void **state)
{
    (void)state;
    struct maker m;
    struct reading reading;
    maker_init(&m);
    reading_init(&reading);
    m.durable = UINT64_MAX;
    maker_begin(&m, FILE_LOG);
    maker_set(&m, 0, B("key"), B("value"));
    maker_frame(&m);
    char forged[10 * FRAME_HEADER_BYTES + 5] = "";
    memcpy(forged, m.file.data + FILE_HEADER_BYTES, m.file.len - FILE_HEADER_BYTES);
    /* kind, flags, version, two lengths, two bytes of key: the value begins behind 8 */
    uint64_t value_at = m.file.len + FRAME_HEADER_BYTES + 8;
    assert_int_equal(value_at % 8, 0);
    struct frame_header ahead = {.flags = FRAME_MARK,
                                 .sequence = 2 + SCAN_SEQUENCE_AHEAD_MAX,
                                 .durable = position_of(m.id, value_at)};
    uint64_t at = 5 * FRAME_HEADER_BYTES;
    frame_header_write(forged + at, &ahead, m.salt, position_of(m.id, value_at + at));
    maker_set(&m, 1, B("ke"), bytes_of(forged, sizeof(forged)));
    assert_memory_equal(m.payload.data + 8, forged, sizeof(forged));
    maker_frame(&m);
    m.file.data[value_at - 1] ^= 1;
    maker_end(&m, SEGMENT_BYTES);
    maker_manifest(&m);
    assert_int_equal(read_directory(&reading, m.dir), MEMENTO_OK);
    assert_int_equal(reading.state, ARCHIVE_TORN);
    assert_int_equal(reading.frames, 1);
    assert_int_equal(reading.finding.frames, 0);
    reading_fini(&reading);
    maker_fini(&m);
}

static void a_frame_with_bad_records_is_corrupt_with_critical_ones_unsupported(
    void **state)
{
    (void)state;
    static const struct {
        struct bytes payload;
        uint32_t records;
        enum memento_status expected;
    } cases[] = {
        {B("\4\0\0"), 1, MEMENTO_OK},
        {B("\4\0\0\4\0\0\4\0\0"), 2, MEMENTO_ERR_CORRUPT}, /* three, and not two */
        {B("\x7f\0\0\5xxxxx"), 2, MEMENTO_ERR_CORRUPT},    /* one, and not two */
        {B("\4\0\0\4\0"), 1, MEMENTO_ERR_CORRUPT},
        {B("\4\xff\0"), 1, MEMENTO_ERR_CORRUPT},
        {B("\x7f\0\0\1x"), 1, MEMENTO_OK},
        {B("\x80\0\0\1x"), 1, MEMENTO_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct maker m;
        struct reading reading;
        maker_init(&m);
        reading_init(&reading);
        maker_begin(&m, FILE_LOG);
        buf_append_bytes(&m.payload, cases[i].payload);
        m.records = cases[i].records;
        maker_frame(&m);
        maker_end(&m, SEGMENT_BYTES);
        maker_manifest(&m);
        assert_int_equal(read_directory(&reading, m.dir), cases[i].expected);
        if (cases[i].expected != MEMENTO_OK) {
            assert_said(&reading, "log-0000000000000001.mem, offset 4096");
        }
        reading_fini(&reading);
        maker_fini(&m);
    }
}

static void a_file_of_a_greater_major_is_unsupported(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct file_header header = {.major = 2, .minor = 1, .kind = FILE_LOG};
    char bytes[FILE_HEADER_BYTES];
    file_header_write(bytes, &header);
    int fd = open_segment(&w, w.first_id);
    put(fd, bytes, sizeof(bytes), 0);
    os_file_close(fd);
    world_read(&w);
    assert_int_equal(w.reading.status, MEMENTO_ERR_UNSUPPORTED);
    assert_said(&w.reading, "format 2.1; this program reads up to 1");
    world_fini(&w);
}

/* ---- every byte, every bit ---- */

/* Long tests take every 7th bit, all of them with MEMENTO_TEST_FULL=1. */
static size_t bit_step(void)
{
    const char *full = getenv("MEMENTO_TEST_FULL");
    return full != NULL && strcmp(full, "1") == 0 ? 1 : 7;
}

static size_t frames_before(const size_t *ends, size_t count, size_t bytes)
{
    size_t frames = 0;
    while (frames < count && ends[frames] <= bytes) {
        frames++;
    }
    return frames;
}

/* A log of 64 KiB with every kind of record, cut at every length: what is left is exactly the
 * frames that are whole, or, when the manifest knows of a clean end, the log is refused. */
static void truncated(bool is_clean)
{
    struct maker m;
    struct reading whole, reading;
    size_t ends[256], frames = 0;
    maker_init(&m);
    reading_init(&whole);
    reading_init(&reading);
    m.durable = UINT64_MAX;
    maker_begin(&m, FILE_LOG);
    for (unsigned i = 0; m.file.len < 64 * 1024; i++) {
        if (i % 3 == 0) {
            maker_stage_all_kinds(&m, i);
        }
        maker_stage_sets(&m, 1 + i % 5, i);
        maker_frame(&m);
        ends[frames++] = m.file.len;
    }
    if (is_clean) {
        maker_put(&m, FRAME_SEAL);
        m.manifest.is_clean = true;
        m.manifest.required_end = maker_position(&m);
    }
    size_t used = m.file.len;
    maker_end(&m, used + 100);
    maker_manifest(&m);
    assert_int_equal(read_directory(&whole, m.dir), MEMENTO_OK);
    assert_int_equal(whole.frames, frames);

    struct world w = {.maker = m};
    int fd = open_segment(&w, m.id);
    for (size_t len = used + 100; len-- > 0;) {
        assert_int_equal(os_file_truncate(fd, len), 0);
        (void)!read_directory(&reading, m.dir);
        if (len < FILE_HEADER_BYTES || (is_clean && len < used)) {
            assert_int_equal(reading.status, MEMENTO_ERR_CORRUPT);
            assert_said(&reading, "log-0000000000000001.mem, offset");
            continue;
        }
        assert_int_equal(reading.status, MEMENTO_OK);
        assert_int_equal(reading.frames, frames_before(ends, frames, len));
        assert_true(reading_is_prefix(&reading, &whole));
    }
    os_file_close(fd);
    reading_fini(&whole);
    reading_fini(&reading);
    maker_fini(&m);
}

static void an_open_log_cut_anywhere_gives_the_whole_frames_before(void **state)
{
    (void)state;
    truncated(false);
}

static void a_closed_log_cut_anywhere_is_refused(void **state)
{
    (void)state;
    truncated(true);
}

/* Whether the log was cut at a frame that `from` lies in, or behind it. */
static bool is_cut_at(const struct world *w, uint64_t from)
{
    uint64_t cut = position_offset(w->reading.finding.position);
    for (size_t i = 0; i < ARRAY_LEN(w->offsets); i++) {
        uint64_t end = i + 1 < ARRAY_LEN(w->offsets) ? w->offsets[i + 1] : w->end_offset;
        if (cut == w->offsets[i]) {
            return end > from;
        }
    }
    return false;
}

/* After damage to bytes [from, to) of the file `id` there are three outcomes: the same data; a
 * refusal that names file and offset; or, when the last frame of a log that was not closed is
 * touched, the data without the frames that are touched. */
static void assert_harmless(struct world *w, const char *name, uint64_t id, uint64_t from,
                            uint64_t to)
{
    struct reading *r = &w->reading;
    world_read(w);
    if (r->status == MEMENTO_OK &&
        bytes_equal(buf_bytes(&r->text), buf_bytes(&w->whole.text))) {
        return;
    }
    if (r->status == MEMENTO_ERR_CORRUPT) {
        assert_said(r, name);
        if (strcmp(name, MANIFEST_NAME) != 0) {
            assert_said(r, "offset");
        }
        return;
    }
    bool is_last_touched = id == w->second_id && from < w->end_offset &&
                           to > w->last_offset && w->whole.state == ARCHIVE_OPEN;
    if (r->status != MEMENTO_OK || r->state != ARCHIVE_TORN || !is_last_touched ||
        !reading_is_prefix(r, &w->whole) || !is_cut_at(w, from)) {
        fail_msg("%s, bytes %" PRIu64 " to %" PRIu64 ": status %d state %d, %.*s", name,
                 from, to, r->status, (int)r->state, (int)r->why.len, r->why.data);
    }
}

static void flip_every_bit_of(struct world *w, const char *name, uint64_t id)
{
    int fd = os_file_open(w->maker.dir, name, O_RDWR);
    uint64_t bytes = 0;
    assert_true(fd >= 0 && os_file_size(fd, &bytes));
    for (uint64_t bit = 0; bit < 8 * bytes; bit += bit_step()) {
        flip(fd, bit / 8, bit % 8);
        assert_harmless(w, name, id, bit / 8, bit / 8 + 1);
        flip(fd, bit / 8, bit % 8);
    }
    os_file_close(fd);
}

static void damage_every_sector_of(struct world *w, const char *name, uint64_t id)
{
    static const char zeros[SECTOR_BYTES];
    char old[2 * SECTOR_BYTES], swapped[2 * SECTOR_BYTES];
    int fd = os_file_open(w->maker.dir, name, O_RDWR);
    uint64_t bytes = 0;
    assert_true(fd >= 0 && os_file_size(fd, &bytes));
    for (uint64_t at = 0; at + sizeof(old) <= bytes; at += SECTOR_BYTES) {
        assert_int_equal(os_file_read_all(fd, old, sizeof(old), at), sizeof(old));
        put(fd, zeros, sizeof(zeros), at);
        assert_harmless(w, name, id, at, at + SECTOR_BYTES);
        put(fd, old + SECTOR_BYTES, SECTOR_BYTES, at);
        assert_harmless(w, name, id, at, at + SECTOR_BYTES);
        memcpy(swapped, old + SECTOR_BYTES, SECTOR_BYTES);
        memcpy(swapped + SECTOR_BYTES, old, SECTOR_BYTES);
        put(fd, swapped, sizeof(swapped), at);
        assert_harmless(w, name, id, at, at + 2 * SECTOR_BYTES);
        put(fd, old, SECTOR_BYTES, at);
        put(fd, old, SECTOR_BYTES, at + SECTOR_BYTES); /* the first one twice */
        assert_harmless(w, name, id, at + SECTOR_BYTES, at + 2 * SECTOR_BYTES);
        put(fd, old, sizeof(old), at);
    }
    os_file_close(fd);
}

static void for_each_file(struct world *w,
                          void (*visit)(struct world *, const char *, uint64_t))
{
    char name[FILE_NAME_BYTES];
    uint64_t segments[] = {w->first_id, w->second_id, w->spare_id};
    part_name(name, w->snapshot_id);
    visit(w, name, w->snapshot_id);
    for (size_t i = 0; i < ARRAY_LEN(segments); i++) {
        segment_name(name, segments[i]);
        visit(w, name, segments[i]);
    }
    visit(w, MANIFEST_NAME, 0);
    /* All of it was put back. */
    assert_int_equal(read_directory(&w->reading, w->maker.dir), MEMENTO_OK);
    assert_bytes_equal(buf_bytes(&w->reading.text), buf_bytes(&w->whole.text));
}

static void no_flipped_bit_gives_other_data(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for_each_file(&w, flip_every_bit_of);
    world_fini(&w);
}

static void no_flipped_bit_of_a_closed_log_gives_other_data(void **state)
{
    (void)state;
    struct world w;
    world_init_clean(&w);
    for_each_file(&w, flip_every_bit_of);
    world_fini(&w);
}

static void no_damaged_sector_gives_other_data(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    for_each_file(&w, damage_every_sector_of);
    world_fini(&w);
    world_init_clean(&w);
    for_each_file(&w, damage_every_sector_of);
    world_fini(&w);
}

/* ---- a directory of each format there ever was ---- */

/* tests/log/golden/FORMAT, beside this file. */
static void golden_path(char path[TEST_PATH_MAX], const char *format, const char *suffix)
{
    const char *slash = strrchr(__FILE__, '/');
    int folder = (int)(slash - __FILE__);
    snprintf(path, TEST_PATH_MAX, "%.*s/golden/%s%s", folder, __FILE__, format, suffix);
}

/* How golden/1 was made; MEMENTO_GOLDEN=DIRECTORY makes it again, in an empty one. The files of
 * a format that was released are never changed. */
static void golden_make(const char *path)
{
    struct world w = {0};
    struct maker *m = &w.maker;
    maker_open(m, path);
    m->manifest.cut = MAKER_VERSION + 5;
    m->manifest.snapshot_sequence = 3;
    make_snapshot(&w);
    m->durable = UINT64_MAX;
    maker_begin(m, FILE_LOG);
    maker_stage_all_kinds(m, 10);
    maker_frame(m);
    maker_put(m, FRAME_MARK);
    /* A kind that this program does not know and may skip. */
    buf_append_bytes(&m->payload, B("\x40\0\0\5later"));
    m->records = 1;
    maker_stage_sets(m, 5, 3);
    maker_frame(m);
    maker_put(m, FRAME_SEAL);
    maker_end(m, SEGMENT_BYTES);
    maker_begin(m, FILE_LOG);
    m->wall_ms += 1000;
    m->base_version += 1000 << 20;
    maker_stage_all_kinds(m, 100);
    maker_stage_sets(m, 7, 30);
    maker_frame(m);
    maker_put(m, FRAME_SEAL);
    m->manifest.required_end = maker_position(m);
    m->manifest.is_clean = true;
    maker_end(m, SEGMENT_BYTES);
    maker_begin(m, FILE_LOG);
    maker_end(m, 2 * FILE_HEADER_BYTES);
    maker_manifest(m);
    maker_close(m);
}

static void write_reading(const char *path, struct bytes text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
    assert_int_equal(fclose(file), 0);
}

static void the_directory_of_format_1_is_read(void **state)
{
    (void)state;
    char path[TEST_PATH_MAX], text_path[TEST_PATH_MAX];
    struct reading reading;
    struct buf expected;
    reading_init(&reading);
    buf_init(&expected);
    reading.is_for_people = true;
    golden_path(path, "1", "");
    golden_path(text_path, "1", ".txt");
    const char *make = getenv("MEMENTO_GOLDEN");
    if (make != NULL) {
        golden_make(make);
        snprintf(path, sizeof(path), "%s", make);
        snprintf(text_path, sizeof(text_path), "%s.txt", make);
    }
    int dir = os_dir_open(path);
    assert_true(dir >= 0);
    assert_int_equal(read_directory(&reading, dir), MEMENTO_OK);
    assert_int_equal(reading.state, ARCHIVE_CLEAN);
    if (make != NULL) {
        write_reading(text_path, buf_bytes(&reading.text));
    }
    assert_int_equal(file_read_all(text_path, 1 << 20, &expected), MEMENTO_OK);
    assert_bytes_equal(buf_bytes(&reading.text), buf_bytes(&expected));
    os_file_close(dir);
    buf_fini(&expected);
    reading_fini(&reading);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_closed_cleanly_is_read_whole),
        cmocka_unit_test(a_log_that_ends_by_zeros_is_open),
        cmocka_unit_test(a_log_that_ends_by_a_seal_without_a_clean_end_is_open),
        cmocka_unit_test(a_directory_without_a_manifest_is_not_found),
        cmocka_unit_test(a_new_log_without_a_frame_is_open),
        cmocka_unit_test(a_damaged_last_frame_is_torn),
        cmocka_unit_test(damage_before_what_a_later_frame_knows_to_be_durable_is_corrupt),
        cmocka_unit_test(damage_before_what_the_manifest_requires_is_corrupt),
        cmocka_unit_test(frames_behind_a_hole_that_were_never_synced_are_torn),
        cmocka_unit_test(missing_files_and_damaged_headers_are_corrupt),
        cmocka_unit_test(another_file_in_its_place_is_corrupt),
        cmocka_unit_test(frames_behind_a_clean_end_are_corrupt),
        cmocka_unit_test(a_read_error_is_not_an_end),
        cmocka_unit_test(a_visitor_ends_the_reading),
        cmocka_unit_test(reading_counts_what_it_reads),
        cmocka_unit_test(a_limit_cuts_at_the_first_frame_beyond_it),
        cmocka_unit_test(a_limit_before_the_snapshot_is_refused),
        cmocka_unit_test(damage_behind_the_limit_does_not_hinder),
        cmocka_unit_test(a_frame_larger_than_the_window_is_read),
        cmocka_unit_test(no_memory_is_taken_for_what_the_file_does_not_have),
        cmocka_unit_test(frames_inside_a_value_are_not_taken_for_the_log),
        cmocka_unit_test(
            a_frame_with_bad_records_is_corrupt_with_critical_ones_unsupported),
        cmocka_unit_test(a_file_of_a_greater_major_is_unsupported),
        cmocka_unit_test(an_open_log_cut_anywhere_gives_the_whole_frames_before),
        cmocka_unit_test(a_closed_log_cut_anywhere_is_refused),
        cmocka_unit_test(no_flipped_bit_gives_other_data),
        cmocka_unit_test(no_flipped_bit_of_a_closed_log_gives_other_data),
        cmocka_unit_test(no_damaged_sector_gives_other_data),
        cmocka_unit_test(the_directory_of_format_1_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
