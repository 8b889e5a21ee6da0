#include "base/number.h"
#include "base/random.h"
#include "support/test.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void integers_are_read_only_as_they_are_printed(void **state)
{
    (void)state;
    static const struct {
        struct bytes text;
        int64_t value;
    } good[] = {
        {BYTES("0"), 0},
        {BYTES("7"), 7},
        {BYTES("-7"), -7},
        {BYTES("10"), 10},
        {BYTES("9223372036854775807"), INT64_MAX},
        {BYTES("-9223372036854775807"), -INT64_MAX},
        {BYTES("-9223372036854775808"), INT64_MIN},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t value = 99;
        assert_true(number_parse_int64(good[i].text, &value));
        assert_int_equal(value, good[i].value);
    }
    static const struct bytes bad[] = {
        BYTES(""),
        BYTES("-"),
        BYTES("+1"),
        BYTES("-0"),
        BYTES("00"),
        BYTES("01"),
        BYTES("-01"),
        BYTES(" 1"),
        BYTES("1 "),
        BYTES("1\n"),
        BYTES("1\0"),
        BYTES("1.0"),
        BYTES("1e3"),
        BYTES("0x10"),
        BYTES("--1"),
        BYTES("1a"),
        BYTES("a"),
        BYTES("1/"),
        BYTES("1:"),
        BYTES("\xb1"),
        BYTES("9223372036854775808"),
        BYTES("-9223372036854775809"),
        BYTES("18446744073709551615"),
        BYTES("99999999999999999999"),
        BYTES("100000000000000000000"),
        BYTES("-99999999999999999999999999"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t value = 99;
        assert_false(number_parse_int64(bad[i], &value));
        assert_int_equal(value, 99);
    }
}

static void unsigned_integers_end_at_their_largest(void **state)
{
    (void)state;
    uint64_t value = 99;
    assert_true(number_parse_uint64(B("18446744073709551615"), &value));
    assert_int_equal(value, UINT64_MAX);
    assert_true(number_parse_uint64(B("0"), &value));
    assert_int_equal(value, 0);
    assert_false(number_parse_uint64(B("18446744073709551616"), &value));
    assert_false(number_parse_uint64(B("28446744073709551615"), &value));
    assert_false(number_parse_uint64(B("-1"), &value));
    assert_false(number_parse_uint64(B(""), &value));
    assert_false(number_parse_uint64(bytes_of(NULL, 0), &value));
    assert_int_equal(value, 0);
}

static void check_int64(int64_t value)
{
    char text[NUMBER_SHORT_MAX], expected[NUMBER_SHORT_MAX];
    int len = snprintf(expected, sizeof(expected), "%lld", (long long)value);
    struct bytes printed = bytes_of(text, number_format_int64(text, value));
    assert_bytes_equal(printed, bytes_of(expected, (size_t)len));
    int64_t again;
    assert_true(number_parse_int64(printed, &again));
    assert_int_equal(again, value);
}

static void integers_print_as_printf_does_and_read_back(void **state)
{
    (void)state;
    for (int64_t value = -1100; value <= 1100; value++) {
        check_int64(value);
    }
    check_int64(INT64_MAX);
    check_int64(INT64_MIN);
    struct random random;
    random_init(&random, 3);
    for (int i = 0; i < 20000; i++) {
        check_int64((int64_t)(random_next(&random) >> random_below(&random, 64)));
        check_int64((int64_t)random_next(&random));
    }
}

static void long_doubles_are_read_as_redis_reads_them(void **state)
{
    (void)state;
    static const struct {
        struct bytes text;
        long double value;
    } good[] = {
        {BYTES("0"), 0},
        {BYTES("3.0e3"), 3000},
        {BYTES("-.5"), -0.5L},
        {BYTES("+5."), 5},
        {BYTES("0x10"), 16},
        {BYTES("1E-2"), 0.01L},
        {BYTES("0.1"), 0.1L},
        {BYTES("007"), 7},
        {BYTES("-0"), 0},
        {BYTES("inf"), INFINITY},
        {BYTES("-Infinity"), -INFINITY},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        long double value = 99;
        double narrow = 99;
        assert_true(number_parse_long_double(good[i].text, &value));
        assert_true(value == good[i].value);
        assert_true(number_parse_double(good[i].text, &narrow));
        assert_true(narrow == (double)good[i].value);
    }
    static const struct bytes bad[] = {
        BYTES(""),        BYTES(" 1"),       BYTES("\t1"),      BYTES("\n1"),
        BYTES("\v1"),     BYTES("\f1"),      BYTES("\r1"),      BYTES("1 "),
        BYTES("1\0"),     BYTES("1\0002"),   BYTES("nan"),      BYTES("-nan"),
        BYTES("nan(1)"),  BYTES("abc"),      BYTES("1.5.2"),    BYTES("1e"),
        BYTES("-"),       BYTES("."),        BYTES("1,5"),      BYTES("e5"),
        BYTES("1e99999"), BYTES("-1e99999"), BYTES("1e-99999"), BYTES("\0"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        long double value = 99;
        double narrow = 99;
        assert_false(number_parse_long_double(bad[i], &value));
        assert_true(value == 99);
        assert_false(number_parse_double(bad[i], &narrow));
        assert_true(narrow == 99);
    }
}

static void a_double_has_a_smaller_range(void **state)
{
    (void)state;
    double narrow = 99;
    assert_false(number_parse_double(B("1e309"), &narrow));
    assert_false(number_parse_double(B("1e-400"), &narrow));
    assert_true(number_parse_double(B("5e-324"), &narrow)); /* small, but not 0 */
    assert_true(narrow > 0);
#if LDBL_MAX_10_EXP > 1000
    long double value;
    assert_true(number_parse_long_double(B("1e309"), &value));
    assert_true(value == 1e309L);
#endif
}

static void float_text_ends_where_redis_ends_it(void **state)
{
    (void)state;
    char zeroes[NUMBER_TEXT_MAX];
    memset(zeroes, '0', sizeof(zeroes));
    zeroes[NUMBER_TEXT_MAX - 2] = '5';
    long double value;
    double narrow;
    assert_true(number_parse_long_double(bytes_of(zeroes, NUMBER_TEXT_MAX - 1), &value));
    assert_true(value == 5);
    assert_true(number_parse_double(bytes_of(zeroes, NUMBER_TEXT_MAX - 1), &narrow));
    assert_false(number_parse_long_double(bytes_of(zeroes, NUMBER_TEXT_MAX), &value));
    assert_false(number_parse_double(bytes_of(zeroes, NUMBER_TEXT_MAX), &narrow));
}

static void assert_double_prints(double value, struct bytes expected)
{
    char text[NUMBER_SHORT_MAX];
    assert_bytes_equal(bytes_of(text, number_format_double(text, value)), expected);
}

static void doubles_print_short_and_plain(void **state)
{
    (void)state;
    assert_double_prints(0, B("0"));
    assert_double_prints(-0.0, B("-0"));
    assert_double_prints(1, B("1"));
    assert_double_prints(-3.5, B("-3.5"));
    assert_double_prints(0.1, B("0.1"));
    assert_double_prints(0.1 + 0.2, B("0.30000000000000004"));
    assert_double_prints(1e15, B("1000000000000000"));
    assert_double_prints(9007199254740993.0, B("9007199254740992"));
    assert_double_prints(1e21, B("1e+21"));
    assert_double_prints(1e-7, B("1e-07"));
    assert_double_prints(5e-324, B("5e-324"));
    assert_double_prints(DBL_MIN, B("2.2250738585072014e-308"));
    assert_double_prints(DBL_MAX, B("1.7976931348623157e+308"));
    assert_double_prints((double)INFINITY, B("inf"));
    assert_double_prints(-(double)INFINITY, B("-inf"));
    assert_double_prints((double)NAN, B("nan"));
}

/* Also: no text of fewer digits would have read back as the same number. */
static void random_doubles_read_back_from_their_shortest_text(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 5);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = random_next(&random);
        if (i % 16 == 0) {
            bits &= ~(UINT64_C(0x7ff) << 52); /* a subnormal one */
        }
        double value;
        memcpy(&value, &bits, sizeof(value));
        if (!isfinite(value) || (fabs(value) < 1e17 && value == trunc(value))) {
            continue; /* whole numbers are written out */
        }
        char text[NUMBER_SHORT_MAX];
        size_t len = number_format_double(text, value);
        double again = 0;
        assert_true(number_parse_double(bytes_of(text, len), &again));
        assert_memory_equal(&again, &value, sizeof(value));

        int digits = 0;
        for (size_t at = 0; at < len && text[at] != 'e'; at++) {
            digits +=
                text[at] >= '0' && text[at] <= '9' && (digits > 0 || text[at] != '0');
        }
        for (int fewer = 1; fewer < digits; fewer++) {
            char shorter[64];
            snprintf(shorter, sizeof(shorter), "%.*e", fewer - 1, value);
            assert_true(strtod(shorter, NULL) != value);
        }
    }
}

static void assert_long_double_prints(long double value, struct bytes expected)
{
    char text[NUMBER_TEXT_MAX];
    assert_bytes_equal(bytes_of(text, number_format_long_double(text, value)), expected);
}

static void long_doubles_print_as_redis_prints_them(void **state)
{
    (void)state;
    assert_long_double_prints(0, B("0"));
    assert_long_double_prints(-0.0L, B("0"));
    assert_long_double_prints(-1e-20L, B("0")); /* nothing left but its sign */
    assert_long_double_prints(3, B("3"));
    assert_long_double_prints(-100, B("-100"));
    assert_long_double_prints(10.5L, B("10.5"));
    assert_long_double_prints(5e3L, B("5000"));
    assert_long_double_prints(1e20L, B("100000000000000000000"));
    assert_long_double_prints(INFINITY, B("inf"));
    assert_long_double_prints(-(long double)INFINITY, B("-inf"));
    assert_long_double_prints(NAN, B("nan"));
#if LDBL_MANT_DIG == 64
    assert_long_double_prints(0.1L, B("0.1"));
    assert_long_double_prints(10.5L + 0.1L, B("10.6"));
    assert_long_double_prints(1.0L / 3, B("0.33333333333333333"));
#endif
}

static void the_largest_long_double_fits(void **state)
{
    (void)state;
    char text[NUMBER_TEXT_MAX];
    size_t len = number_format_long_double(text, -LDBL_MAX);
    assert_int_equal(len, LDBL_MAX_10_EXP + 2);
    long double again;
    assert_true(number_parse_long_double(bytes_of(text, len), &again));
    assert_true(again == -LDBL_MAX);
}

static void sizes_are_read_with_their_units(void **state)
{
    (void)state;
    static const struct {
        struct bytes text;
        uint64_t bytes;
    } good[] = {
        {BYTES("0"), 0},
        {BYTES("512"), 512},
        {BYTES("512b"), 512},
        {BYTES("1k"), 1000},
        {BYTES("1kb"), 1024},
        {BYTES("10M"), 10000000},
        {BYTES("64mb"), 67108864},
        {BYTES("2g"), 2000000000},
        {BYTES("1Gb"), 1073741824},
        {BYTES("17179869183gb"), UINT64_C(17179869183) * 1073741824},
        {BYTES("18446744073709551615"), UINT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        uint64_t bytes = 99;
        assert_true(number_parse_size(good[i].text, &bytes));
        assert_int_equal(bytes, good[i].bytes);
    }
    static const struct bytes bad[] = {
        BYTES(""),
        BYTES("mb"),
        BYTES("-1"),
        BYTES("1.5gb"),
        BYTES("1 mb"),
        BYTES("1tb"),
        BYTES("1kbb"),
        BYTES("1k\0"),
        BYTES("1kk"),
        BYTES("17179869184gb"),
        BYTES("18446744073709551616"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t bytes;
        assert_false(number_parse_size(bad[i], &bytes));
    }
}

static void sizes_print_with_two_places(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        struct bytes text;
    } sizes[] = {
        {0, BYTES("0B")},
        {1023, BYTES("1023B")},
        {1024, BYTES("1.00K")},
        {1536 * 1024, BYTES("1.50M")},
        {(uint64_t)3 << 30, BYTES("3.00G")},
        {(uint64_t)5 << 40, BYTES("5.00T")},
        {(uint64_t)7 << 50, BYTES("7.00P")},
        {UINT64_MAX, BYTES("16384.00P")},
    };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char text[NUMBER_SHORT_MAX];
        size_t len = number_format_size(text, sizes[i].bytes);
        assert_bytes_equal(bytes_of(text, len), sizes[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_only_as_they_are_printed),
        cmocka_unit_test(unsigned_integers_end_at_their_largest),
        cmocka_unit_test(integers_print_as_printf_does_and_read_back),
        cmocka_unit_test(long_doubles_are_read_as_redis_reads_them),
        cmocka_unit_test(a_double_has_a_smaller_range),
        cmocka_unit_test(float_text_ends_where_redis_ends_it),
        cmocka_unit_test(doubles_print_short_and_plain),
        cmocka_unit_test(random_doubles_read_back_from_their_shortest_text),
        cmocka_unit_test(long_doubles_print_as_redis_prints_them),
        cmocka_unit_test(the_largest_long_double_fits),
        cmocka_unit_test(sizes_are_read_with_their_units),
        cmocka_unit_test(sizes_print_with_two_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
