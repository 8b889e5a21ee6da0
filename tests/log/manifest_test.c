#include "log/fixture.h"
#include "log/manifest.h"

static const char example[] = "memento-manifest 1\n"
                              "uuid 101112131415161718191a1b1c1d1e1f\n"
                              "next-id 7\n"
                              "cut 1c2f00000\n"
                              "required-end 500000200 clean\n"
                              "written 1763721600000\n"
                              "snapshot-from 1234 1763721500000\n"
                              "part 3 67108960\n"
                              "part 4 4096\n"
                              "segment 5\n"
                              "segment 6\n";

static void append_crc(struct buf *text)
{
    buf_appendf(text, "crc %08" PRIx32 "\n", crc32c(0, buf_bytes(text)));
}

/* What comes of a text when its checksum is right. */
static enum memento_status parse(const char *text, struct manifest *manifest)
{
    struct buf whole, why;
    buf_init(&whole);
    buf_init(&why);
    buf_append_string(&whole, text);
    append_crc(&whole);
    enum memento_status status = manifest_parse(buf_bytes(&whole), manifest, &why);
    assert_true((status == MEMENTO_OK) == (why.len == 0));
    buf_fini(&whole);
    buf_fini(&why);
    return status;
}

static void the_text_is_parsed_and_printed_again(void **state)
{
    (void)state;
    struct manifest manifest;
    assert_int_equal(parse(example, &manifest), MEMENTO_OK);
    assert_int_equal(manifest.uuid[0], 0x10);
    assert_int_equal(manifest.uuid[15], 0x1f);
    assert_int_equal(manifest.next_id, 7);
    assert_true(manifest.cut == 0x1c2f00000);
    assert_true(manifest.required_end == position_of(5, 4096));
    assert_true(manifest.is_clean);
    assert_true(manifest.wall_ms == 1763721600000);
    assert_int_equal(manifest.snapshot_sequence, 1234);
    assert_true(manifest.snapshot_ms == 1763721500000);
    assert_int_equal(manifest.part_count, 2);
    assert_int_equal(manifest.parts[0].id, 3);
    assert_int_equal(manifest.parts[0].bytes, 67108960);
    assert_int_equal(manifest.segment_count, 2);
    assert_int_equal(manifest.segments[1], 6);

    struct buf printed, expected;
    buf_init(&printed);
    buf_init(&expected);
    manifest_print(&manifest, &printed);
    buf_append_string(&expected, example);
    append_crc(&expected);
    assert_bytes_equal(buf_bytes(&printed), buf_bytes(&expected));
    buf_fini(&printed);
    buf_fini(&expected);
    manifest_fini(&manifest);
}

/* Replaces the first `from` of the example by `to`. */
static void assert_refused(const char *from, const char *to, enum memento_status expected)
{
    char text[2048];
    struct manifest manifest;
    const char *at = strstr(example, from);
    assert_non_null(at);
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - example), example, to,
             at + strlen(from));
    enum memento_status status = parse(text, &manifest);
    if (status != expected) {
        fail_msg("\"%s\" for \"%s\" gave %d", to, from, status);
    }
}

static void every_line_has_one_form(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"memento-manifest 1", "memento-manifest 0"},
        {"memento-manifest 1", "memento-manifest 01"},
        {"memento-manifest 1\n", ""},
        {"uuid 10", "uuid 1"},
        {"1a1b", "1A1b"},
        {"1a1b", "1g1b"},
        {"next-id 7", "next-id 0"},
        {"next-id 7", "next-id +7"},
        {"next-id 7", "next-id 6"}, /* a segment has it already */
        {"next-id 7", "next-id 4294967297"},
        {"next-id 7\n", ""},
        {"cut 1c", "cut 01c"},
        {"cut 1c2f00000", "cut 11112222333344445"},
        {"cut 1c2f00000", "cut "},
        {" clean", ""},
        {" clean", " closed"},
        {" clean", " clean "},
        {"required-end 5", "required-end  5"},
        {"written 1", "written -1"},
        {"written 1763721600000\n", "written 1763721600000\nwritten 1763721600000\n"},
        {"snapshot-from 1234 ", "snapshot-from 1234"},
        {"part 3", "part 0"},
        {"part 3", "part 7"},
        {"part 4 4096", "part 4 4095"},
        {"part 4 4096", "part 4 34359738368"},
        {"part 4 4096\nsegment 5\n", "segment 5\npart 4 4096\n"},
        {"segment 5", "segment 0"},
        {"segment 5", "segment 6"},
        {"segment 6", "segment 5"},
        {"segment 6", "segment 7"},
        {"segment 6", "segment 6 7"},
        {"segment 6\n", "segment 6\n\n"},
        {"segment 6\n", "segment 6"},
        {"segment 6\n", "segment 6\nunknown 1\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_refused(cases[i].from, cases[i].to, MEMENTO_ERR_CORRUPT);
    }
    assert_refused("memento-manifest 1", "memento-manifest 2", MEMENTO_ERR_UNSUPPORTED);
}

static void every_flipped_bit_and_every_missing_byte_is_noticed(void **state)
{
    (void)state;
    struct buf text, why;
    struct manifest manifest;
    buf_init(&text);
    buf_init(&why);
    buf_append_string(&text, example);
    append_crc(&text);
    for (size_t bit = 0; bit < 8 * text.len; bit++) {
        text.data[bit / 8] = (char)(text.data[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(manifest_parse(buf_bytes(&text), &manifest, &why),
                         MEMENTO_ERR_CORRUPT);
        text.data[bit / 8] = (char)(text.data[bit / 8] ^ 1 << bit % 8);
    }
    for (size_t len = 0; len < text.len; len++) {
        assert_int_equal(manifest_parse(bytes_of(text.data, len), &manifest, &why),
                         MEMENTO_ERR_CORRUPT);
    }
    buf_fini(&text);
    buf_fini(&why);
}

static void what_is_written_is_read_and_a_copy_is_its_own(void **state)
{
    (void)state;
    struct maker maker;
    struct manifest again, copy;
    struct buf why, a, b;
    maker_init(&maker);
    buf_init(&why);
    buf_init(&a);
    buf_init(&b);
    assert_int_equal(manifest_read(maker.dir, &again, &why), MEMENTO_NOT_FOUND);
    for (unsigned round = 0; round < 20; round++) {
        struct snapshot_part part = {maker.manifest.next_id++, 5000 + round};
        assert_int_equal(manifest_add_part(&maker.manifest, part), MEMENTO_OK);
        assert_int_equal(manifest_add_segment(&maker.manifest, maker.manifest.next_id++),
                         MEMENTO_OK);
        maker_manifest(&maker);
        assert_int_equal(manifest_read(maker.dir, &again, &why), MEMENTO_OK);
        assert_int_equal(manifest_copy(&copy, &again), MEMENTO_OK);
        manifest_fini(&again);
        buf_reset(&a, SIZE_MAX);
        buf_reset(&b, SIZE_MAX);
        manifest_print(&maker.manifest, &a);
        manifest_print(&copy, &b);
        assert_bytes_equal(buf_bytes(&a), buf_bytes(&b));
        manifest_fini(&copy);
    }
    assert_false(os_file_exists(maker.dir, MANIFEST_NAME ".tmp"));
    buf_fini(&why);
    buf_fini(&a);
    buf_fini(&b);
    maker_fini(&maker);
}

static void names_carry_their_id(void **state)
{
    (void)state;
    char name[FILE_NAME_BYTES];
    segment_name(name, 0x1f);
    assert_string_equal(name, "log-000000000000001f.mem");
    assert_int_equal(segment_id_of_name(name), 0x1f);
    assert_int_equal(part_id_of_name(name), 0);
    part_name(name, 0xabcdef01);
    assert_string_equal(name, "snap-00000000abcdef01.mem");
    assert_int_equal(part_id_of_name(name), 0xabcdef01);
    assert_int_equal(segment_id_of_name(name), 0);
    torn_name(name, 2);
    assert_string_equal(name, "log-0000000000000002.torn");
    assert_int_equal(segment_id_of_name(name), 0);
    static const char *const others[] = {
        "",
        "log-.mem",
        "log-000000000000001F.mem",
        "log-00000000000001f.mem",
        "log-0000000000000001f.mem",
        "log-000000000000001f.mem.tmp",
        "log-000000000000001f_mem",
        "xlog-00000000000001f.mem",
        "log-000000000000001g.mem",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_int_equal(segment_id_of_name(others[i]), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_parsed_and_printed_again),
        cmocka_unit_test(every_line_has_one_form),
        cmocka_unit_test(every_flipped_bit_and_every_missing_byte_is_noticed),
        cmocka_unit_test(what_is_written_is_read_and_a_copy_is_its_own),
        cmocka_unit_test(names_carry_their_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
