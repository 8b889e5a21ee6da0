#include "base/crc.h"
#include "base/random.h"
#include "support/test.h"

/* Bit by bit from the polynomials, so that a wrong entry in a table shows. */
static uint16_t plain_crc16(struct bytes bytes)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (uint32_t)(unsigned char)bytes.data[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
        }
    }
    return (uint16_t)crc;
}

static uint32_t plain_crc32c(struct bytes bytes)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned char)bytes.data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
        }
    }
    return ~crc;
}

static void the_check_values_are_those_of_the_catalogues(void **state)
{
    (void)state;
    assert_int_equal(crc16(B("123456789")), 0x31c3);
    assert_int_equal(crc32c(0, B("123456789")), 0xe3069283);
    assert_int_equal(crc32c_by_table(0, B("123456789")), 0xe3069283);
    /* RFC 3720, B.4: 32 bytes of zeroes, 32 of ones. */
    char block[32] = {0};
    assert_int_equal(crc32c(0, bytes_of(block, 32)), 0x8a9136aa);
    memset(block, 0xff, sizeof(block));
    assert_int_equal(crc32c(0, bytes_of(block, 32)), 0x62a8ab43);
    assert_int_equal(crc16(bytes_of(NULL, 0)), 0);
    assert_int_equal(crc32c(0, bytes_of(NULL, 0)), 0);
}

static void every_entry_of_the_tables_is_right(void **state)
{
    (void)state;
    for (int i = 0; i < 256; i++) {
        char byte = (char)i;
        assert_int_equal(crc16(bytes_of(&byte, 1)), plain_crc16(bytes_of(&byte, 1)));
        assert_int_equal(crc32c_by_table(0, bytes_of(&byte, 1)),
                         plain_crc32c(bytes_of(&byte, 1)));
    }
}

static void instruction_and_table_agree_at_every_length_and_alignment(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 2);
    char data[100];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (char)random_next(&random);
    }
    for (size_t from = 0; from < 8; from++) {
        for (size_t len = 0; from + len <= sizeof(data); len++) {
            struct bytes bytes = bytes_of(data + from, len);
            assert_int_equal(crc32c(0, bytes), plain_crc32c(bytes));
            assert_int_equal(crc32c_by_table(0, bytes), plain_crc32c(bytes));
            assert_int_equal(crc16(bytes), plain_crc16(bytes));
        }
    }
}

static void parts_give_what_the_whole_gives(void **state)
{
    (void)state;
    struct bytes whole = B("the quick brown fox jumps over the lazy dog");
    uint32_t crc = crc32c(0, whole);
    for (size_t cut = 0; cut <= whole.len; cut++) {
        struct bytes first = bytes_of(whole.data, cut);
        struct bytes second = bytes_of(whole.data + cut, whole.len - cut);
        assert_int_equal(crc32c(crc32c(0, first), second), crc);
        assert_int_equal(crc32c_by_table(crc32c_by_table(0, first), second), crc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_values_are_those_of_the_catalogues),
        cmocka_unit_test(every_entry_of_the_tables_is_right),
        cmocka_unit_test(instruction_and_table_agree_at_every_length_and_alignment),
        cmocka_unit_test(parts_give_what_the_whole_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
