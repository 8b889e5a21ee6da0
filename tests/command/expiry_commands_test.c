#include "fixture.h"

#include <stdlib.h>

#define NOW_MS 1000000000000

static int setup(void **state)
{
    fixture_setup(state);
    ((struct fixture *)*state)->writer.now_ms = NOW_MS;
    return 0;
}

#define EXPIRY_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static void a_deadline_in_all_four_forms(void **state)
{
    struct fixture *f = *state;
    static const char *const requests[] = {"EXPIRE a 100", "PEXPIRE a 100000",
                                           "EXPIREAT a 1000000100",
                                           "PEXPIREAT a 1000000100000"};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        run(f, "SET a 1");
        assert_string_equal(run(f, requests[i]), ":1\r\n");
        assert_replies(f, "TTL a", ":100\r\n");
        assert_replies(f, "PTTL a", ":100000\r\n");
        assert_replies(f, "EXPIRETIME a", ":1000000100\r\n");
        assert_replies(f, "PEXPIRETIME a", ":1000000100000\r\n");
    }
    assert_replies(f, "EXPIRE nothing 100", ":0\r\n");
}

static void seconds_are_rounded_to_the_nearest(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1 PX 1499");
    assert_replies(f, "TTL a", ":1\r\n");
    run(f, "PEXPIRE a 1500");
    assert_replies(f, "TTL a", ":2\r\n");
    assert_replies(f, "EXPIRETIME a", ":1000000002\r\n");
    run(f, "PEXPIRE a 1");
    assert_replies(f, "TTL a", ":0\r\n");
}

static void without_an_end_or_a_key(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    static const char *const names[] = {"TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char line[32];
        snprintf(line, sizeof(line), "%s a", names[i]);
        assert_string_equal(run(f, line), ":-1\r\n");
        snprintf(line, sizeof(line), "%s b", names[i]);
        assert_string_equal(run(f, line), ":-2\r\n");
    }
}

static void a_deadline_that_has_passed_deletes_at_once(void **state)
{
    struct fixture *f = *state;
    static const char *const requests[] = {"EXPIRE a 0",
                                           "EXPIRE a -1",
                                           "PEXPIRE a 0",
                                           "EXPIREAT a 1",
                                           "PEXPIREAT a -5",
                                           "PEXPIREAT a 1000000000000",
                                           "PEXPIRE a -9223372036854775808"};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        run(f, "SET a 1");
        assert_string_equal(run(f, requests[i]), ":1\r\n");
        assert_replies(f, "EXISTS a", ":0\r\n");
        assert_int_equal(engine_count(&f->engine, 0), 0);
    }
}

/* Not a millisecond before, and the store alone decides it: nothing sweeps here. */
static void a_key_ends_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    run(f, "PEXPIRE a 50");
    f->writer.now_ms = NOW_MS + 49;
    assert_replies(f, "PTTL a", ":1\r\n");
    f->writer.now_ms = NOW_MS + 50;
    assert_replies(f, "PTTL a", ":-2\r\n");
    assert_replies(f, "PERSIST a", ":0\r\n");
    assert_replies(f, "EXPIRE a 100", ":0\r\n");
}

static void conditions_compare_with_the_deadline_there_is(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *condition;
        const char *replies; /* without an end; then earlier, equal, later than 100 s */
    } table[] = {{"NX", "1000"},    {"XX", "0111"},    {"GT", "0001"},   {"LT", "1100"},
                 {"XX GT", "0001"}, {"LT XX", "0100"}, {"nx nx", "1000"}};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        for (int j = 0; j < 4; j++) {
            run(f, j == 0 ? "SET a 1" : "SET a 1 EX 100");
            char line[64];
            snprintf(line, sizeof(line), "EXPIRE a %d %s", j == 0 ? 100 : 98 + j,
                     table[i].condition);
            char expected[] = {':', table[i].replies[j], '\r', '\n', '\0'};
            assert_string_equal(run(f, line), expected);
            int seconds = j == 0 ? -1 : 100;
            if (expected[1] == '1') {
                seconds = j == 0 ? 100 : 98 + j;
            }
            assert_int_equal(atoi(run(f, "TTL a") + 1), seconds);
        }
    }
}

static void conditions_that_contradict_each_other(void **state)
{
    struct fixture *f = *state;
    static const char nx[] =
        "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n";
    assert_string_equal(run(f, "EXPIRE a 1 NX XX"), nx);
    assert_string_equal(run(f, "EXPIRE a 1 GT NX"), nx);
    assert_string_equal(run(f, "EXPIRE a 1 LT GT NX"), nx);
    assert_replies(f, "EXPIRE a 1 GT LT",
                   "-ERR GT and LT options at the same time are not compatible\r\n");
    assert_replies(f, "EXPIRE a x YY", "-ERR Unsupported option YY\r\n");
}

static void times_out_of_range(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    assert_replies(f, "EXPIRE a x", "-ERR value is not an integer or out of range\r\n");
    static const char *const names[] = {"EXPIRE", "PEXPIRE", "EXPIREAT"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char line[64], expected[64];
        snprintf(line, sizeof(line), "%s a 9223372036854775807", names[i]);
        snprintf(expected, sizeof(expected),
                 "-ERR invalid expire time in '%s' command\r\n",
                 i == 0   ? "expire"
                 : i == 1 ? "pexpire"
                          : "expireat");
        assert_string_equal(run(f, line), expected);
    }
    assert_replies(f, "EXPIRE b 9223372036854775807",
                   "-ERR invalid expire time in 'expire' command\r\n");
    assert_replies(f, "TTL a", ":-1\r\n");
    /* As far away as can be is still an end. */
    assert_replies(f, "PEXPIREAT a 9223372036854775807", ":1\r\n");
    assert_replies(f, "PERSIST a", ":1\r\n");
}

static void persist_says_whether_there_was_an_end(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "PERSIST a", ":0\r\n");
    run(f, "SET a 1");
    assert_replies(f, "PERSIST a", ":0\r\n");
    run(f, "EXPIRE a 100");
    assert_replies(f, "PERSIST a", ":1\r\n");
    assert_replies(f, "TTL a", ":-1\r\n");
    f->writer.now_ms += 200000;
    assert_replies(f, "GET a", "$1\r\n1\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EXPIRY_TEST(a_deadline_in_all_four_forms),
        EXPIRY_TEST(seconds_are_rounded_to_the_nearest),
        EXPIRY_TEST(without_an_end_or_a_key),
        EXPIRY_TEST(a_deadline_that_has_passed_deletes_at_once),
        EXPIRY_TEST(a_key_ends_at_its_deadline),
        EXPIRY_TEST(conditions_compare_with_the_deadline_there_is),
        EXPIRY_TEST(conditions_that_contradict_each_other),
        EXPIRY_TEST(times_out_of_range),
        EXPIRY_TEST(persist_says_whether_there_was_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
