#include "fixture.h"

static int setup(void **state)
{
    fixture_setup(state);
    struct fixture *f = *state;
    fixture_add(f, "ping", command_ping);
    fixture_add(f, "echo", command_echo);
    fixture_add(f, "select", command_select);
    fixture_add(f, "quit", command_quit);
    fixture_add(f, "exit", command_exit);
    fixture_add(f, "time", command_time);
    return 0;
}

static int teardown(void **state)
{
    clock_freeze_ms(-1);
    return fixture_teardown(state);
}

#define CONNECTION_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static void ping_answers_pong_or_the_message(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "PING", "+PONG\r\n");
    assert_replies(f, "PING \"a b\"", "$3\r\na b\r\n");
    assert_replies(f, "PING a b",
                   "-ERR wrong number of arguments for 'ping' command\r\n");
    assert_replies(f, "ECHO \"\"", "$0\r\n\r\n");
}

/* Health checks send the line and look for the plus sign. */
static void ping_as_a_line_has_its_plus_in_the_text_dialect_too(void **state)
{
    struct fixture *f = *state;
    static const enum dialect dialects[] = {DIALECT_TEXT, DIALECT_RESP2, DIALECT_RESP3};
    for (size_t i = 0; i < ARRAY_LEN(dialects); i++) {
        fixture_dialect(f, dialects[i]);
        struct bytes ping[] = {B("PING")};
        struct call call = {.row = command_find(ping[0]),
                            .args = ping,
                            .count = 1,
                            .is_line = true,
                            .session = &f->session,
                            .writer = &f->writer,
                            .reply = &f->reply};
        buf_reset(&f->out, SIZE_MAX);
        command_ping(&call);
        assert_bytes_equal(buf_bytes(&f->out), B("+PONG\r\n"));
    }
}

static void select_changes_the_database(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SELECT 15", "+OK\r\n");
    assert_int_equal(f->session.database, 15);
    assert_replies(f, "SELECT 16", "-ERR DB index is out of range\r\n");
    assert_replies(f, "SELECT -1", "-ERR DB index is out of range\r\n");
    assert_replies(f, "SELECT x", "-ERR value is not an integer or out of range\r\n");
    assert_replies(f, "SELECT 9999999999",
                   "-ERR value is out of range, value must between -2147483648 and "
                   "2147483647\r\n");
    assert_int_equal(f->session.database, 15);
}

static void quit_answers_before_it_closes(void **state)
{
    struct fixture *f = *state;
    assert_false(f->session.close_after_reply);
    assert_replies(f, "QUIT", "+OK\r\n");
    assert_true(f->session.close_after_reply);
    f->session.close_after_reply = false;
    assert_replies(f, "EXIT", "+OK\r\n");
    assert_true(f->session.close_after_reply);
}

static void time_is_seconds_and_microseconds(void **state)
{
    struct fixture *f = *state;
    clock_freeze_ms(1234567890045);
    assert_replies(f, "TIME", "*2\r\n$10\r\n1234567890\r\n$5\r\n45000\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONNECTION_TEST(ping_answers_pong_or_the_message),
        CONNECTION_TEST(ping_as_a_line_has_its_plus_in_the_text_dialect_too),
        CONNECTION_TEST(select_changes_the_database),
        CONNECTION_TEST(quit_answers_before_it_closes),
        CONNECTION_TEST(time_is_seconds_and_microseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
