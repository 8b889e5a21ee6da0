#include "base/crc.h"
#include "base/random.h"
#include "log/fixture.h"
#include "log/format.h"

/* ---- file header ---- */

static const struct file_header some_header = {.major = 1,
                                               .minor = 0,
                                               .kind = FILE_LOG,
                                               .uuid = "0123456789abcde",
                                               .id = 0x0102030405060708,
                                               .salt = 0x1122334455667788,
                                               .created_ms = MAKER_MS};

static void a_file_header_is_read_as_it_was_written(void **state)
{
    (void)state;
    char bytes[FILE_HEADER_BYTES];
    struct file_header header;
    file_header_write(bytes, &some_header);
    assert_int_equal(file_header_read(bytes, &header), MEMENTO_OK);
    assert_int_equal(header.major, 1);
    assert_int_equal(header.minor, 0);
    assert_int_equal(header.kind, FILE_LOG);
    assert_memory_equal(header.uuid, some_header.uuid, UUID_BYTES);
    assert_true(header.id == some_header.id);
    assert_true(header.salt == some_header.salt);
    assert_true(header.created_ms == some_header.created_ms);
}

/* The table of README.md, byte by byte. */
static void a_file_header_has_the_layout_of_the_table(void **state)
{
    (void)state;
    char bytes[FILE_HEADER_BYTES];
    file_header_write(bytes, &some_header);
    assert_memory_equal(bytes, "MEMENTO\n\1\0\0\0\1\0\0\x10", 16);
    assert_memory_equal(bytes + 16, "0123456789abcde", 16);
    assert_memory_equal(bytes + 32, "\x08\7\6\5\4\3\2\1", 8);
    assert_memory_equal(bytes + 40, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
}

static void every_flipped_bit_of_a_file_header_is_noticed(void **state)
{
    (void)state;
    char bytes[FILE_HEADER_BYTES];
    struct file_header header;
    file_header_write(bytes, &some_header);
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(file_header_read(bytes, &header), MEMENTO_ERR_CORRUPT);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
}

static void a_greater_major_is_unsupported_a_greater_minor_is_read(void **state)
{
    (void)state;
    char bytes[FILE_HEADER_BYTES];
    struct file_header header, other = some_header;
    other.minor = 9;
    file_header_write(bytes, &other);
    assert_int_equal(file_header_read(bytes, &header), MEMENTO_OK);
    assert_int_equal(header.minor, 9);
    other.major = 2;
    file_header_write(bytes, &other);
    assert_int_equal(file_header_read(bytes, &header), MEMENTO_ERR_UNSUPPORTED);
    assert_int_equal(header.major, 2);
    assert_int_equal(header.minor, 9);
    other.major = 0;
    file_header_write(bytes, &other);
    assert_int_equal(file_header_read(bytes, &header), MEMENTO_ERR_CORRUPT);
}

/* ---- frames ---- */

static const struct frame_header some_frame = {.payload_bytes = 300,
                                               .sequence = 77,
                                               .durable = 0x500000200,
                                               .base_version = MAKER_VERSION,
                                               .wall_ms = MAKER_MS,
                                               .records = 5,
                                               .payload_crc = 0xdeadbeef};
#define SOME_SALT     0xabcdef0123456789
#define SOME_POSITION 0x500000300

static void a_frame_header_is_read_as_it_was_written(void **state)
{
    (void)state;
    char bytes[FRAME_HEADER_BYTES];
    struct frame_header header;
    frame_header_write(bytes, &some_frame, SOME_SALT, SOME_POSITION);
    assert_memory_equal(bytes, "MBF1", 4);
    assert_int_equal(frame_header_read(bytes, SOME_SALT, SOME_POSITION, &header),
                     MEMENTO_OK);
    assert_memory_equal(&header, &some_frame, sizeof(header));
}

static void every_flipped_bit_of_a_frame_header_is_noticed(void **state)
{
    (void)state;
    char bytes[FRAME_HEADER_BYTES];
    struct frame_header header;
    frame_header_write(bytes, &some_frame, SOME_SALT, SOME_POSITION);
    for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(frame_header_read(bytes, SOME_SALT, SOME_POSITION, &header),
                         MEMENTO_ERR_CORRUPT);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
}

static void a_frame_is_valid_only_at_its_place_in_its_file(void **state)
{
    (void)state;
    char bytes[FRAME_HEADER_BYTES];
    struct frame_header header;
    frame_header_write(bytes, &some_frame, SOME_SALT, SOME_POSITION);
    assert_int_equal(frame_header_read(bytes, SOME_SALT + 1, SOME_POSITION, &header),
                     MEMENTO_ERR_CORRUPT);
    assert_int_equal(frame_header_read(bytes, SOME_SALT, SOME_POSITION + 1, &header),
                     MEMENTO_ERR_CORRUPT);
}

static void assert_frame_is_refused(struct frame_header frame)
{
    char bytes[FRAME_HEADER_BYTES];
    struct frame_header header;
    frame_header_write(bytes, &frame, SOME_SALT, SOME_POSITION);
    assert_int_equal(frame_header_read(bytes, SOME_SALT, SOME_POSITION, &header),
                     MEMENTO_ERR_CORRUPT);
}

static void a_frame_header_beyond_its_limits_is_refused(void **state)
{
    (void)state;
    struct frame_header frame = some_frame;
    frame.flags = 4; /* unknown */
    assert_frame_is_refused(frame);
    frame.flags = FRAME_MARK; /* with a payload */
    assert_frame_is_refused(frame);
    frame = some_frame;
    frame.records = 101; /* of 3 bytes at least, in 300 */
    assert_frame_is_refused(frame);
    frame.records = 0;
    assert_frame_is_refused(frame);
    frame = some_frame;
    frame.payload_bytes = 0; /* neither a mark nor a seal */
    frame.records = 0;
    assert_frame_is_refused(frame);
    frame = some_frame;
    frame.wall_ms = -1;
    assert_frame_is_refused(frame);
}

/* ---- records ---- */

static void assert_round_trip(const struct record *record)
{
    char bytes[1024];
    struct record again;
    size_t len = record_write(bytes, record, MAKER_VERSION);
    if (record->kind == RECORD_SET) {
        memcpy(bytes + len, record->value.data, record->value.len);
        len += record->value.len;
    }
    /* Every part of it is refused, and nothing behind it is touched. */
    for (size_t part = 0; part < len; part++) {
        struct bytes left = bytes_of(bytes, part);
        assert_int_equal(record_read(&left, MAKER_VERSION, &again), MEMENTO_ERR_CORRUPT);
    }
    struct bytes left = bytes_of(bytes, len + 1);
    assert_int_equal(record_read(&left, MAKER_VERSION, &again), MEMENTO_OK);
    assert_int_equal(left.len, 1);
    assert_int_equal(again.kind, record->kind);
    assert_int_equal(again.db, record->db);
    assert_true(again.version == record->version);
    assert_true(again.deadline_ms == record->deadline_ms);
    assert_bytes_equal(again.key, record->key);
    assert_bytes_equal(again.value, record->value);
    int64_t created_ms = record->flags & RECORD_HAS_CREATED
                             ? record->created_ms
                             : (int64_t)(record->version >> 20);
    assert_true(again.created_ms == created_ms);
    assert_int_equal(again.flags & RECORD_IS_EVICTED, record->flags & RECORD_IS_EVICTED);
}

static void records_are_read_as_they_were_written(void **state)
{
    (void)state;
    static const char map[MEMENTO_DATABASES] = {15, 0, 1, 2,  3,  4,  5,  6,
                                                7,  8, 9, 10, 11, 12, 13, 14};
    static const uint64_t deltas[] = {0, 1, 127, 128, 16383, 16384, 1ull << 40};
    for (size_t i = 0; i < ARRAY_LEN(deltas); i++) {
        uint64_t v = MAKER_VERSION + deltas[i];
        for (unsigned mix = 0; mix < 8; mix++) {
            int64_t deadline_ms = mix & 1 ? MAKER_MS + 1 : RECORD_NO_DEADLINE;
            uint8_t created = mix & 2 ? RECORD_HAS_CREATED : 0;
            uint8_t evicted = mix & 2 ? RECORD_IS_EVICTED : 0;
            uint8_t db = mix & 4 ? 15 : 0;
            assert_round_trip(&(struct record){RECORD_SET, created, db, v, deadline_ms,
                                               created ? MAKER_MS - 9 : 0, B("key"),
                                               B("a value")});
            assert_round_trip(&(struct record){RECORD_TOUCH, 0, db, v, deadline_ms, 0,
                                               B("a longer key"), B("")});
            assert_round_trip(&(struct record){RECORD_DELETE, evicted, db, v,
                                               RECORD_NO_DEADLINE, 0, B("k"), B("")});
            assert_round_trip(&(struct record){RECORD_FLUSH, 0,
                                               mix & 1 ? RECORD_ALL_DBS : db, v,
                                               RECORD_NO_DEADLINE, 0, B(""), B("")});
        }
        assert_round_trip(&(struct record){
            RECORD_MAP, 0, 0, v, RECORD_NO_DEADLINE, 0, B(""), {map, sizeof(map)}});
    }
}

static void a_set_of_16_and_32_bytes_takes_53_bytes(void **state)
{
    (void)state;
    char bytes[128];
    struct record record = {RECORD_SET,
                            0,
                            0,
                            MAKER_VERSION,
                            RECORD_NO_DEADLINE,
                            0,
                            B("0123456789abcdef"),
                            B("0123456789abcdef0123456789abcdef")};
    assert_int_equal(record_write(bytes, &record, MAKER_VERSION) + record.value.len, 53);
}

static enum memento_status read_one(struct bytes bytes)
{
    struct record record;
    return record_read(&bytes, MAKER_VERSION, &record);
}

static void what_is_no_record_is_refused(void **state)
{
    (void)state;
    static const struct bytes bad[] = {
        B(""),
        B("\1"),
        B("\1\0"),
        B("\2\0\0\1"),      /* the key is missing */
        B("\2\0\x80\0\1k"), /* a varint longer than it need be */
        B("\2\0\0\x81\0k"), /* the same, of the key's length */
        B("\2\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\1k"), /* the version overflows */
        B("\2\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\2\1k"), /* more than 64 bits */
        B("\2\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\1k"),
        B("\2\1\0\1k"),                    /* DELETE has no deadline */
        B("\2\2\0\1k"),                    /* nor a creation time */
        B("\1\x8\0\1\1kv"),                /* a SET is not evicted */
        B("\1\x10\0\1\1kv"),               /* no such flag */
        B("\3\2\0\1k"),                    /* TOUCH leaves the creation time */
        B("\4\1\0"),                       /* FLUSH has no deadline */
        B("\4\4\0\x10"),                   /* database 16 */
        B("\2\4\0\1\xffk"),                /* database 255 */
        B("\2\0\0\x81\x80\4k"),            /* a key of 65,537 bytes */
        B("\1\0\0\1\x81\x80\x80\x80\2kv"), /* a value of 512 MiB and 1 byte */
        B("\5\4\0\0\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf"), /* MAP has no flag */
        B("\5\0\0\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe"),      /* 15 of 16 */
        B("\5\0\0\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\x10"),  /* database 16 */
        B("\5\0\0\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\0"),    /* 0 twice */
        B("\6\0\0\5abcd"), /* unknown, and cut short */
        B("\x80\0\0\5abcd"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (read_one(bad[i]) != MEMENTO_ERR_CORRUPT) {
            fail_msg("number %zu was not refused", i);
        }
    }
    assert_int_equal(read_one(B("\2\0\0\1k")), MEMENTO_OK);
    assert_int_equal(read_one(B("\2\0\0\0")), MEMENTO_OK); /* the empty key is a key */
}

static void an_unknown_kind_is_skipped_a_critical_one_is_unsupported(void **state)
{
    (void)state;
    struct record record;
    struct bytes left = B("\x7f\xff\5\4abcd\2\0\0\1k");
    assert_int_equal(record_read(&left, MAKER_VERSION, &record), MEMENTO_OK);
    assert_int_equal(record.kind, 0x7f);
    assert_int_equal(record.key.len, 0);
    assert_int_equal(record_read(&left, MAKER_VERSION, &record), MEMENTO_OK);
    assert_int_equal(record.kind, RECORD_DELETE);
    assert_int_equal(left.len, 0);
    assert_int_equal(read_one(B("\x80\0\0\4abcd")), MEMENTO_ERR_UNSUPPORTED);
    assert_int_equal(read_one(B("\xff\0\0\0")), MEMENTO_ERR_UNSUPPORTED);
}

/* Whatever the bytes: a record read can be written, and is then read alike. */
static void random_bytes_do_no_harm(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 20251121);
    for (unsigned round = 0; round < 200000; round++) {
        char bytes[48];
        size_t len = random_below(&random, sizeof(bytes));
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (char)random_below(&random, i < 6 ? 24 : 256);
        }
        char *exact = heap_copy(bytes, len);
        assert_non_null(exact);
        struct bytes left = bytes_of(exact, len);
        struct record record;
        while (left.len > 0 && record_read(&left, MAKER_VERSION, &record) == MEMENTO_OK) {
            if (record.kind >= RECORD_SET && record.kind <= RECORD_MAP) {
                assert_round_trip(&record);
            }
        }
        heap_free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_header_is_read_as_it_was_written),
        cmocka_unit_test(a_file_header_has_the_layout_of_the_table),
        cmocka_unit_test(every_flipped_bit_of_a_file_header_is_noticed),
        cmocka_unit_test(a_greater_major_is_unsupported_a_greater_minor_is_read),
        cmocka_unit_test(a_frame_header_is_read_as_it_was_written),
        cmocka_unit_test(every_flipped_bit_of_a_frame_header_is_noticed),
        cmocka_unit_test(a_frame_is_valid_only_at_its_place_in_its_file),
        cmocka_unit_test(a_frame_header_beyond_its_limits_is_refused),
        cmocka_unit_test(records_are_read_as_they_were_written),
        cmocka_unit_test(a_set_of_16_and_32_bytes_takes_53_bytes),
        cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(an_unknown_kind_is_skipped_a_critical_one_is_unsupported),
        cmocka_unit_test(random_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
