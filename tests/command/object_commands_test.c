#include "fixture.h"

static int setup(void **state)
{
    fixture_setup(state);
    struct fixture *f = *state;
    fixture_add(f, "memory", command_memory);
    fixture_add(f, "memory|help", command_memory_help);
    fixture_add(f, "memory|usage", command_memory_usage);
    return 0;
}

#define OBJECT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static void encoding_is_that_of_redis(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a -9223372036854775808");
    assert_replies(f, "OBJECT ENCODING a", "$3\r\nint\r\n");
    run(f, "SET a 9223372036854775808");
    assert_replies(f, "OBJECT ENCODING a", "$6\r\nembstr\r\n");
    run(f, "SET a 12345678901234567890123456789012345678901234");
    assert_replies(f, "OBJECT ENCODING a", "$6\r\nembstr\r\n");
    run(f, "APPEND a 5");
    assert_replies(f, "OBJECT ENCODING a", "$3\r\nraw\r\n");
    run(f, "SET a \"\"");
    assert_replies(f, "OBJECT ENCODING a", "$6\r\nembstr\r\n");
}

static void idle_time_begins_with_the_last_change(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    assert_replies(f, "OBJECT IDLETIME a", ":0\r\n");
    f->writer.now_ms += 12999;
    run(f, "GET a");
    assert_replies(f, "OBJECT IDLETIME a", ":12\r\n");
    run(f, "INCR a");
    assert_replies(f, "OBJECT IDLETIME a", ":0\r\n");
    f->writer.now_ms -= 50000; /* a clock set back */
    assert_replies(f, "OBJECT IDLETIME a", ":0\r\n");
}

static void frequency_is_not_tracked(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    assert_true(
        bytes_start_with(bytes_of_string(run(f, "OBJECT FREQ a")), B("-ERR An LFU ")));
    assert_replies(f, "OBJECT FREQ nothing", "$-1\r\n");
    assert_replies(f, "OBJECT REFCOUNT a", ":1\r\n");
}

static void an_absent_key_is_null(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "OBJECT ENCODING a", "$-1\r\n");
    assert_replies(f, "OBJECT IDLETIME a", "$-1\r\n");
    assert_replies(f, "OBJECT REFCOUNT a", "$-1\r\n");
    assert_replies(f, "MEMORY USAGE a", "$-1\r\n");
    fixture_dialect(f, DIALECT_RESP3);
    assert_replies(f, "MEMORY USAGE a", "_\r\n");
    assert_int_equal(f->writer.misses, 0); /* to look at a key is not to use it */
}

static int64_t usage(struct fixture *f)
{
    int64_t bytes = 0;
    const char *reply = run(f, "MEMORY USAGE a SAMPLES 0");
    size_t len = strlen(reply);
    assert_true(reply[0] == ':' && len > 3);
    assert_true(number_parse_int64(bytes_of(reply + 1, len - 3), &bytes));
    return bytes;
}

static void memory_usage_grows_with_the_value(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    int64_t small = usage(f);
    assert_true(small > 2 && small < 100);
    run(f, "SETRANGE a 999 x");
    assert_true(usage(f) >= small + 998);
    run(f, "SETRANGE a 99999 x");
    assert_true(usage(f) >= 100000);
}

static void memory_usage_reads_its_options(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    assert_replies(f, "MEMORY USAGE a SAMPLES", "-ERR syntax error\r\n");
    assert_replies(f, "MEMORY USAGE a SAMPLES -1", "-ERR syntax error\r\n");
    assert_replies(f, "MEMORY USAGE a OTHER 1", "-ERR syntax error\r\n");
    assert_replies(f, "MEMORY USAGE a SAMPLES x",
                   "-ERR value is not an integer or out of range\r\n");
}

static void unknown_subcommands(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "object nothing x",
                   "-ERR unknown subcommand 'nothing'. Try OBJECT HELP.\r\n");
    assert_replies(f, "MEMORY \"\\n\"",
                   "-ERR unknown subcommand ' '. Try MEMORY HELP.\r\n");
}

static void help_has_two_lines_for_each_subcommand(void **state)
{
    struct fixture *f = *state;
    const char *reply = run(f, "OBJECT HELP");
    assert_true(strncmp(reply, "*11\r\n+OBJECT ", 13) == 0);
    assert_non_null(strstr(reply, "+ENCODING key\r\n+    The internal kind"));
    assert_true(
        bytes_start_with(bytes_of_string(run(f, "memory help")), B("*5\r\n+MEMORY ")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OBJECT_TEST(encoding_is_that_of_redis),
        OBJECT_TEST(idle_time_begins_with_the_last_change),
        OBJECT_TEST(frequency_is_not_tracked),
        OBJECT_TEST(an_absent_key_is_null),
        OBJECT_TEST(memory_usage_grows_with_the_value),
        OBJECT_TEST(memory_usage_reads_its_options),
        OBJECT_TEST(unknown_subcommands),
        OBJECT_TEST(help_has_two_lines_for_each_subcommand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
