#include "fixture.h"

static int setup(void **state)
{
    fixture_setup(state);
    struct fixture *f = *state;
    fixture_add(f, "help", command_help);
    fixture_dialect(f, DIALECT_TEXT);
    return 0;
}

#define HELP_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static void help_lists_every_command_with_its_summary(void **state)
{
    struct fixture *f = *state;
    const char *text = run(f, "HELP");
    for (size_t i = 0; i < command_row_count; i++) {
        const struct command_row *row = &command_rows[i];
        if ((row->flags & COMMAND_CONTAINER) == 0) {
            assert_non_null(strstr(text, row->summary));
            assert_non_null(strstr(text, row->syntax));
        }
    }
    assert_non_null(strstr(text, "string:\r\n  APPEND key value"));
    assert_non_null(strstr(text, "\r\n  CLIENT SETNAME name  "));
    assert_string_equal(text + strlen(text) - strlen("\r\n(end)\r\n"), "\r\n(end)\r\n");
}

static void summaries_stand_in_one_column(void **state)
{
    struct fixture *f = *state;
    const char *text = run(f, "HELP");
    const char *get = strstr(text, "\r\n  GET key ");
    const char *decrby = strstr(text, "\r\n  DECRBY key decrement ");
    assert_non_null(get);
    assert_non_null(decrby);
    assert_int_equal(strstr(get, "The value of a key") - get,
                     strstr(decrby, "Subtracts from") - decrby);
    const char *set = strstr(text, "\r\n  SET key value [");
    assert_non_null(set); /* too long for the column: its summary is below */
    const char *below = strstr(set + 2, "\r\n");
    assert_int_equal(strstr(below, "Stores a value") - below,
                     strstr(get, "The value of a key") - get);
}

static void help_about_one_command(void **state)
{
    struct fixture *f = *state;
    assert_replies(
        f, "HELP get",
        "GET key\r\n  summary:    The value of a key\r\n  group:      string\r\n"
        "  since:      1.0.0\r\n  complexity: O(1)\r\n(end)\r\n");
    const char *text = run(f, "HELP Client SetName");
    assert_true(strncmp(text, "CLIENT SETNAME name\r\n", 21) == 0);
    text = run(f, "HELP object");
    assert_non_null(strstr(text, "\r\n\r\n  OBJECT ENCODING key  "));
}

static void help_for_what_there_is_not(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "HELP exprie",
                   "(error) ERR no help for 'exprie'. Did you mean 'expire'?\r\n");
    assert_replies(f, "HELP xyzzyxyzzy", "(error) ERR no help for 'xyzzyxyzzy'\r\n");
    assert_replies(f, "HELP client xyzzyxyzzy",
                   "(error) ERR no help for 'xyzzyxyzzy'\r\n");
    assert_replies(f, "HELP a b c", "(error) ERR syntax error\r\n");
}

static void help_is_one_value_in_resp(void **state)
{
    struct fixture *f = *state;
    fixture_dialect(f, DIALECT_RESP2);
    assert_true(run(f, "HELP get")[0] == '$');
    fixture_dialect(f, DIALECT_RESP3);
    assert_true(run(f, "HELP get")[0] == '=');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HELP_TEST(help_lists_every_command_with_its_summary),
        HELP_TEST(summaries_stand_in_one_column),
        HELP_TEST(help_about_one_command),
        HELP_TEST(help_for_what_there_is_not),
        HELP_TEST(help_is_one_value_in_resp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
