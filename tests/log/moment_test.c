#include "log/moment.h"
#include "support/test.h"

static struct archive_limit parsed(const char *text)
{
    struct archive_limit limit;
    if (!moment_parse(bytes_of_string(text), &limit)) {
        fail_msg("refused: %s", text);
    }
    return limit;
}

static void a_frame_is_named_by_its_number(void **state)
{
    (void)state;
    assert_int_equal(parsed("seq:1234").sequence, 1234);
    assert_int_equal(parsed("seq:1234").wall_ms, 0);
}

static void a_time_is_a_date_or_unix_seconds_or_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(parsed("1769862896").wall_ms, 1769862896000);
    assert_int_equal(parsed("1769862896123").wall_ms, 1769862896123);
    assert_int_equal(parsed("2026-01-31T12:34:56Z").wall_ms, 1769862896000);
    assert_int_equal(parsed("2026-01-31T12:34:56.123Z").wall_ms, 1769862896123);
    assert_int_equal(parsed("2026-01-31T12:34:56Z").sequence, 0);
}

static void a_frame_is_no_time(void **state)
{
    (void)state;
    int64_t wall_ms;
    assert_false(moment_parse_time(B("seq:1234"), &wall_ms));
    assert_true(moment_parse_time(B("1769862896"), &wall_ms));
    assert_int_equal(wall_ms, 1769862896000);
}

static void a_leap_day_is_a_day(void **state)
{
    (void)state;
    assert_int_equal(parsed("2024-02-29T00:00:00Z").wall_ms, 1709164800000);
    assert_int_equal(parsed("2000-03-01T00:00:00Z").wall_ms, 951868800000);
    assert_int_equal(parsed("1970-01-01T00:00:01Z").wall_ms, 1000);
}

static void anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "yesterday",
                                        "seq:",
                                        "seq:0",
                                        "seq:-1",
                                        "seq:1x",
                                        "0",
                                        "-5",
                                        "2026-01-31",
                                        "2026-01-31T12:34:56",
                                        "2026-01-31 12:34:56Z",
                                        "2026-01-31T12:34:56+01:00",
                                        "2026-13-01T00:00:00Z",
                                        "2026-02-29T00:00:00Z",
                                        "2026-01-00T00:00:00Z",
                                        "1969-12-31T23:59:59Z",
                                        "1970-01-01T00:00:00Z",
                                        "2026-01-31T24:00:00Z",
                                        "2026-01-31T12:60:00Z",
                                        "2026-01-31T12:34:5Z",
                                        "2026-01-31T12:34:56.1Z",
                                        "2026-01-31T12:34:56ZZ"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct archive_limit limit;
        if (moment_parse(bytes_of_string(texts[i]), &limit)) {
            fail_msg("taken: %s", texts[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_is_named_by_its_number),
        cmocka_unit_test(a_time_is_a_date_or_unix_seconds_or_milliseconds),
        cmocka_unit_test(a_frame_is_no_time),
        cmocka_unit_test(a_leap_day_is_a_day),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
