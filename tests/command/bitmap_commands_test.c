/* Bits, bit fields and LCS through their commands. */
#define FIXTURE_STRINGS_ONLY
#include "command/fixture.h"

#define OK         "+OK\r\n"
#define SYNTAX     "-ERR syntax error\r\n"
#define NO_INTEGER "-ERR value is not an integer or out of range\r\n"
#define NO_OFFSET  "-ERR bit offset is not an integer or out of range\r\n"
#define NO_BIT     "-ERR bit is not an integer or out of range\r\n"
#define NO_TYPE                                                                    \
    "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not " \
    "supported but i64 is.\r\n"

static void single_bits(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "GETBIT k 5", ":0\r\n");
    assert_replies(f, "SETBIT k 7 1", ":0\r\n");
    assert_replies(f, "SETBIT k 7 1", ":1\r\n");
    assert_replies(f, "SETBIT k 17 0", ":0\r\n");
    assert_replies(f, "GET k", "$3\r\n\x01\x00\x00\r\n");
    assert_replies(f, "GETBIT k 7", ":1\r\n");
    assert_replies(f, "GETBIT k 4294967295", ":0\r\n");
    assert_replies(f, "SETBIT k 7 0", ":1\r\n");
    assert_replies(f, "SETBIT k -1 1", NO_OFFSET);
    assert_replies(f, "SETBIT k 4294967296 1", NO_OFFSET);
    assert_replies(f, "GETBIT k x", NO_OFFSET);
    assert_replies(f, "SETBIT k x 2", NO_OFFSET);
    assert_replies(f, "SETBIT k 1 2", NO_BIT);
    assert_replies(f, "SETBIT k 1 -1", NO_BIT);
    assert_replies(f, "SETBIT k 1 x", NO_BIT);
    assert_replies(f, "SETBIT far 800000 1", ":0\r\n");
    assert_replies(f, "STRLEN far", ":100001\r\n");
    assert_replies(f, "BITPOS far 1", ":800000\r\n");
    assert_replies(f, "SETBIT far 3 1", ":0\r\n");
    assert_replies(f, "BITCOUNT far", ":2\r\n");
    assert_replies(f, "BITPOS far 1 1", ":800000\r\n");
}

static void bits_are_counted(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SET k foobar", OK);
    assert_replies(f, "BITCOUNT k", ":26\r\n");
    assert_replies(f, "BITCOUNT k 0 0", ":4\r\n");
    assert_replies(f, "BITCOUNT k 1 1 byte", ":6\r\n");
    assert_replies(f, "BITCOUNT k 5 30 BIT", ":17\r\n");
    assert_replies(f, "BITCOUNT k 4 1", ":0\r\n");
    assert_replies(f, "BITCOUNT k -100 -50", ":4\r\n"); /* as Redis has it: byte 0 */
    assert_replies(f, "BITCOUNT k -1 -2 nonsense", ":0\r\n");
    assert_replies(f, "BITCOUNT k 1 2 nonsense", SYNTAX);
    assert_replies(f, "BITCOUNT k 1", SYNTAX);
    assert_replies(f, "BITCOUNT k 1 x", NO_INTEGER);
    assert_replies(f, "BITCOUNT none", ":0\r\n");
    assert_replies(f, "BITCOUNT none 1", ":0\r\n");
    assert_replies(f, "SET k \"\"", OK);
    assert_replies(f, "BITCOUNT k", ":0\r\n");
    assert_replies(f, "BITCOUNT k 0 -1", ":0\r\n");
}

static void positions_of_bits(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SET k \"\\xff\\xf0\\x00\"", OK);
    assert_replies(f, "BITPOS k 0", ":12\r\n");
    assert_replies(f, "BITPOS k 1 2", ":-1\r\n");
    assert_replies(f, "BITPOS k 0 0 0", ":-1\r\n");
    assert_replies(f, "BITPOS k 0 -1", ":16\r\n");
    assert_replies(f, "BITPOS k 0 13 -1 BIT", ":13\r\n");
    assert_replies(f, "BITPOS k 1 13 -1 BIT", ":-1\r\n");
    assert_replies(f, "SET k \"\\xff\\xff\"", OK);
    assert_replies(f, "BITPOS k 0", ":16\r\n");
    assert_replies(f, "BITPOS k 0 0", ":16\r\n");
    assert_replies(f, "BITPOS k 0 0 -1", ":-1\r\n");
    assert_replies(f, "BITPOS k 0 2", ":-1\r\n");
    assert_replies(f, "BITPOS k 2", "-ERR The bit argument must be 1 or 0.\r\n");
    assert_replies(f, "BITPOS k x", NO_INTEGER);
    assert_replies(f, "BITPOS k 1 x", NO_INTEGER);
    assert_replies(f, "BITPOS k 1 0 1 nonsense", SYNTAX);
    assert_replies(f, "BITPOS k 1 0 1 BIT more", SYNTAX);
    assert_replies(f, "BITPOS none 0", ":0\r\n");
    assert_replies(f, "BITPOS none 1 x", ":-1\r\n");
}

static void values_are_combined(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "MSET a \"\\xff\\x0f\" b \"\\x0f\"", OK);
    assert_replies(f, "BITOP AND d a b", ":2\r\n");
    assert_replies(f, "GET d", "$2\r\n\x0f\x00\r\n");
    assert_replies(f, "BITOP or d a b none", ":2\r\n");
    assert_replies(f, "GET d", "$2\r\n\xff\x0f\r\n");
    assert_replies(f, "BITOP XOR d a b", ":2\r\n");
    assert_replies(f, "GET d", "$2\r\n\xf0\x0f\r\n");
    assert_replies(f, "BITOP NOT a a", ":2\r\n"); /* onto itself */
    assert_replies(f, "GET a", "$2\r\n\x00\xf0\r\n");
    assert_replies(f, "BITOP AND d a none", ":2\r\n");
    assert_replies(f, "GET d", "$2\r\n\x00\x00\r\n");
    assert_replies(f, "BITOP AND d none", ":0\r\n");
    assert_replies(f, "GET d", "$-1\r\n");
    assert_replies(f, "BITOP NAND d a", SYNTAX);
    assert_replies(f, "BITOP NOT d a b",
                   "-ERR BITOP NOT must be called with a single source key.\r\n");
    assert_replies(f, "SET d x EX 10", OK);
    assert_replies(f, "BITOP OR d b", ":1\r\n");
    f->writer.now_ms += 20000;
    assert_replies(f, "GET d", "$1\r\n\x0f\r\n");
}

static void fields_are_read_and_written(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "BITFIELD k", "*0\r\n");
    assert_replies(f, "BITFIELD k GET u8 0", "*1\r\n:0\r\n");
    assert_replies(f, "GET k", "$-1\r\n");
    assert_replies(f, "BITFIELD k SET i5 100 -3 GET i5 100 GET u5 100",
                   "*3\r\n:0\r\n:-3\r\n:29\r\n");
    assert_replies(f, "STRLEN k", ":14\r\n");
    assert_replies(f, "BITFIELD k INCRBY u2 #3 1 SET i64 0 -1 GET i64 0 GET u63 1",
                   "*4\r\n:1\r\n:72057594037927936\r\n:-1\r\n:9223372036854775807\r\n");
    assert_replies(f, "BITFIELD_RO k GET u8 #1 GET u4 1000", "*2\r\n:255\r\n:0\r\n");
}

static void fields_overflow_as_they_were_told(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "BITFIELD k INCRBY u2 0 5", "*1\r\n:1\r\n"); /* wraps */
    assert_replies(f, "BITFIELD k OVERFLOW SAT INCRBY u2 0 5 INCRBY u2 0 -9",
                   "*2\r\n:3\r\n:0\r\n");
    assert_replies(f, "BITFIELD k OVERFLOW FAIL INCRBY u2 0 3 INCRBY u2 0 1 GET u2 0",
                   "*3\r\n:3\r\n$-1\r\n:3\r\n");
    assert_replies(f,
                   "BITFIELD k OVERFLOW SAT SET u8 8 -1 GET u8 8 SET i8 8 200 GET i8 8",
                   "*4\r\n:0\r\n:255\r\n:-1\r\n:127\r\n");
    assert_replies(f, "BITFIELD k OVERFLOW WRAP INCRBY i8 8 1 INCRBY i8 8 -1",
                   "*2\r\n:-128\r\n:127\r\n");
    assert_replies(f, "BITFIELD k SET i64 64 9223372036854775807 INCRBY i64 64 1",
                   "*2\r\n:0\r\n:-9223372036854775808\r\n");
    assert_replies(f, "BITFIELD k OVERFLOW SAT INCRBY i64 64 -1 INCRBY i1 0 5",
                   "*2\r\n:-9223372036854775808\r\n:0\r\n");
    /* The last of these is how Redis has it. */
    assert_replies(f,
                   "BITFIELD low OVERFLOW SAT SET i8 0 -1000 SET i8 0 "
                   "-9223372036854775680 SET i8 0 -9223372036854775681 GET i8 0",
                   "*4\r\n:0\r\n:-128\r\n:-128\r\n:127\r\n");
    assert_replies(f, "BITFIELD new OVERFLOW FAIL SET u1 99 2", "*1\r\n$-1\r\n");
    assert_replies(f, "STRLEN new", ":13\r\n");
}

static void fields_that_cannot_be(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "BITFIELD k GET u64 0", NO_TYPE);
    assert_replies(f, "BITFIELD k GET i65 0", NO_TYPE);
    assert_replies(f, "BITFIELD k GET u0 0", NO_TYPE);
    assert_replies(f, "BITFIELD k GET x8 0", NO_TYPE);
    assert_replies(f, "BITFIELD k GET u 0", NO_TYPE);
    assert_replies(f, "BITFIELD k GET u8 -1", NO_OFFSET);
    assert_replies(f, "BITFIELD k GET u8 4294967296", NO_OFFSET);
    assert_replies(f, "BITFIELD k GET u8 #536870912", NO_OFFSET);
    assert_replies(f, "BITFIELD k GET u8 #9223372036854775807", NO_OFFSET);
    assert_replies(f, "BITFIELD k SET u8 0 x", NO_INTEGER);
    assert_replies(f, "BITFIELD k GET u8", SYNTAX);
    assert_replies(f, "BITFIELD k SET u8 0", SYNTAX);
    assert_replies(f, "BITFIELD k OVERFLOW", SYNTAX);
    assert_replies(f, "BITFIELD k SET u8 0 1 nonsense", SYNTAX);
    assert_replies(f, "BITFIELD k OVERFLOW what",
                   "-ERR Invalid OVERFLOW type specified\r\n");
    assert_replies(f, "BITFIELD_RO k SET u8 0 1",
                   "-ERR BITFIELD_RO only supports the GET subcommand\r\n");
    assert_replies(f, "GET k", "$-1\r\n");
}

static void many_fields_in_one_request(void **state)
{
    struct fixture *f = *state;
    static struct bytes words[2 + 100 * 4];
    words[0] = B("BITFIELD");
    words[1] = B("k");
    for (size_t i = 0; i < 100; i++) {
        words[2 + 4 * i] = B("INCRBY");
        words[3 + 4 * i] = B("u32");
        words[4 + 4 * i] = B("#0");
        words[5 + 4 * i] = B("1");
    }
    struct buf expected = {0};
    buf_append_string(&expected, "*100\r\n");
    for (int i = 1; i <= 100; i++) {
        buf_appendf(&expected, ":%d\r\n", i);
    }
    run_words(f, words, ARRAY_LEN(words));
    assert_bytes_equal(buf_bytes(&f->text), buf_bytes(&expected));
    buf_fini(&expected);
}

static void common_subsequences(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "MSET a ohmytext b mynewtext", OK);
    assert_replies(f, "LCS a b", "$6\r\nmytext\r\n");
    assert_replies(f, "LCS a b LEN", ":6\r\n");
    assert_replies(f, "LCS a b IDX",
                   "*4\r\n$7\r\nmatches\r\n*2\r\n"
                   "*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n"
                   "*2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:1\r\n"
                   "$3\r\nlen\r\n:6\r\n");
    assert_replies(f, "LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
                   "*4\r\n$7\r\nmatches\r\n*1\r\n"
                   "*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n"
                   "$3\r\nlen\r\n:6\r\n");
    assert_replies(f, "LCS a none", "$0\r\n\r\n");
    assert_replies(f, "LCS none nothing LEN", ":0\r\n");
    assert_replies(f, "LCS a a", "$8\r\nohmytext\r\n");
    assert_replies(f, "LCS a b what", SYNTAX);
    assert_replies(f, "LCS a b MINMATCHLEN", SYNTAX);
    assert_replies(f, "LCS a b MINMATCHLEN x", NO_INTEGER);
    assert_replies(
        f, "LCS a b IDX LEN",
        "-ERR If you want both the length and indexes, please just use IDX.\r\n");
    fixture_dialect(f, DIALECT_RESP3);
    assert_replies(f, "LCS a none IDX",
                   "%2\r\n$7\r\nmatches\r\n*0\r\n$3\r\nlen\r\n:0\r\n");
}

/* A table of more than 512 MiB is not made, though the values themselves are small. */
static void a_table_for_lcs_has_its_limit(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SETRANGE a 11600 x", ":11601\r\n");
    assert_replies(f, "LCS a a LEN",
                   "-ERR Insufficient memory, transient memory for LCS exceeds "
                   "proto-max-bulk-len\r\n");
    assert_replies(f, "LCS a none LEN", ":0\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(single_bits),
        FIXTURE_TEST(bits_are_counted),
        FIXTURE_TEST(positions_of_bits),
        FIXTURE_TEST(values_are_combined),
        FIXTURE_TEST(fields_are_read_and_written),
        FIXTURE_TEST(fields_overflow_as_they_were_told),
        FIXTURE_TEST(fields_that_cannot_be),
        FIXTURE_TEST(many_fields_in_one_request),
        FIXTURE_TEST(common_subsequences),
        FIXTURE_TEST(a_table_for_lcs_has_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
