/* Values that are numbers: Redis' commands and memento's own. */
#define FIXTURE_STRINGS_ONLY
#include "command/fixture.h"

#define OK          "+OK\r\n"
#define NO_INTEGER  "-ERR value is not an integer or out of range\r\n"
#define NO_FLOAT    "-ERR value is not a valid float\r\n"
#define OVERFLOW    "-ERR increment or decrement would overflow\r\n"
#define NOT_FINITE  "-ERR increment would produce NaN or Infinity\r\n"
#define INT64_LEAST "-9223372036854775808"
#define INT64_MOST  "9223372036854775807"

static int setup(void **state)
{
    struct fixture *f = fixture_create();
    fixture_add(f, "inc", command_inc);
    fixture_add(f, "dec", command_dec);
    fixture_add(f, "incf", command_incf);
    fixture_add(f, "decf", command_decf);
    *state = f;
    return 0;
}

static void integers_count_from_zero(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "INCR a", ":1\r\n");
    assert_replies(f, "INCRBY a 41", ":42\r\n");
    assert_replies(f, "DECR a", ":41\r\n");
    assert_replies(f, "DECRBY a 50", ":-9\r\n");
    assert_replies(f, "GET a", "$2\r\n-9\r\n");
    assert_replies(f, "DECR b", ":-1\r\n");
    assert_replies(f, "INC c", ":1\r\n");
    assert_replies(f, "INC c 10", ":11\r\n");
    assert_replies(f, "DEC c", ":10\r\n");
    assert_replies(f, "DEC c -5", ":15\r\n");
    assert_replies(f, "DEC d 2", ":-2\r\n");
}

static void integers_do_not_wrap(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SET n " INT64_MOST, OK);
    assert_replies(f, "INCR n", OVERFLOW);
    assert_replies(f, "INC n", OVERFLOW);
    assert_replies(f, "DECRBY n -1", OVERFLOW);
    assert_replies(f, "GET n", "$19\r\n" INT64_MOST "\r\n");
    assert_replies(f, "SET n " INT64_LEAST, OK);
    assert_replies(f, "DECR n", OVERFLOW);
    assert_replies(f, "INCRBY n " INT64_MOST, ":-1\r\n");
    assert_replies(f, "INCRBY n " INT64_LEAST, OVERFLOW);
    assert_replies(f, "DECRBY n " INT64_LEAST, "-ERR decrement would overflow\r\n");
    assert_replies(f, "DEC n " INT64_LEAST, "-ERR decrement would overflow\r\n");
    assert_replies(f, "GET n", "$2\r\n-1\r\n");
}

static void only_plain_integers_are_numbers(void **state)
{
    struct fixture *f = *state;
    static const char *const texts[] = {
        "abc",        "\"\"", "\" 1\"", "\"1 \"", "+1",
        "01",         "-0",   "1.0",    "0x10",   "9223372036854775808",
        "\"1\\x00\"",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char line[100];
        snprintf(line, sizeof(line), "SET n %s", texts[i]);
        assert_replies(f, line, OK);
        assert_replies(f, "INCR n", NO_INTEGER);
        assert_replies(f, "DEC n", NO_INTEGER);
        snprintf(line, sizeof(line), "INCRBY none %s", texts[i]);
        assert_replies(f, line, NO_INTEGER);
        snprintf(line, sizeof(line), "DEC none %s", texts[i]);
        assert_replies(f, line, NO_INTEGER);
    }
    assert_replies(f, "GET none", "$-1\r\n");
}

static void numbers_keep_their_deadline(void **state)
{
    struct fixture *f = *state;
    static const char *const lines[] = {"INCR n", "INCRBYFLOAT n 1", "INCF n",
                                        "DEC n -5"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        run(f, "SET n 1 PX 1000");
        run(f, lines[i]);
        f->writer.now_ms += 999;
        assert_replies(f, "STRLEN n", ":1\r\n");
        f->writer.now_ms += 1;
        assert_replies(f, "STRLEN n", ":0\r\n");
    }
}

static void incrbyfloat_answers_as_redis(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "INCRBYFLOAT f 10.50", "$4\r\n10.5\r\n");
    assert_replies(f, "INCRBYFLOAT f 0.1", "$4\r\n10.6\r\n");
    assert_replies(f, "INCRBYFLOAT f -5.6", "$1\r\n5\r\n");
    assert_replies(f, "SET f 5.0e3", OK);
    assert_replies(f, "INCRBYFLOAT f 2.0e2", "$4\r\n5200\r\n");
    assert_replies(f, "SET f 1.1", OK);
    assert_replies(f, "INCRBYFLOAT f 2.2", "$3\r\n3.3\r\n");
    assert_replies(f, "SET f 3", OK);
    assert_replies(f, "INCRBYFLOAT f abc", NO_FLOAT);
    assert_replies(f, "INCRBYFLOAT f \" 1\"", NO_FLOAT);
    assert_replies(f, "INCRBYFLOAT f nan", NO_FLOAT);
    assert_replies(f, "INCRBYFLOAT f inf", NOT_FINITE);
    assert_replies(f, "INCRBYFLOAT f -inf", NOT_FINITE);
    assert_replies(f, "SET f abc", OK);
    assert_replies(f, "INCRBYFLOAT f 1", NO_FLOAT);
    assert_replies(f, "GET f", "$3\r\nabc\r\n");
}

static void incf_prints_the_shortest_text(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "INCF f", "$1\r\n1\r\n");
    assert_replies(f, "INCF f 0.1", "$3\r\n1.1\r\n");
    assert_replies(f, "DECF f", "$19\r\n0.10000000000000009\r\n");
    assert_replies(f, "SET f 3.5", OK);
    assert_replies(f, "DECF f 1.25", "$4\r\n2.25\r\n");
    assert_replies(f, "DECF g", "$2\r\n-1\r\n");
    assert_replies(f, "SET f 1e300", OK);
    assert_replies(f, "INCF f 1e300", "$6\r\n2e+300\r\n");
    assert_replies(f, "SET f 1.7e308", OK);
    assert_replies(f, "INCF f 1.7e308", NOT_FINITE);
    assert_replies(f, "DECF f -inf", NOT_FINITE);
    assert_replies(f, "INCF f x", NO_FLOAT);
    assert_replies(f, "INCF f nan", NO_FLOAT);
    assert_replies(f, "SET f x", OK);
    assert_replies(f, "INCF f", NO_FLOAT);
    assert_replies(f, "GET f", "$1\r\nx\r\n");
}

static void the_seeds_commands_take_one_quantity(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "INC n 1 2",
                   "-ERR wrong number of arguments for 'inc' command\r\n");
    assert_replies(f, "DEC n 1 2",
                   "-ERR wrong number of arguments for 'dec' command\r\n");
    assert_replies(f, "INCF n 1 2",
                   "-ERR wrong number of arguments for 'incf' command\r\n");
    assert_replies(f, "DECF n 1 2",
                   "-ERR wrong number of arguments for 'decf' command\r\n");
    assert_replies(f, "GET n", "$-1\r\n");
}

static void numbers_in_a_text_line(void **state)
{
    struct fixture *f = *state;
    fixture_dialect(f, DIALECT_TEXT);
    assert_replies(f, "INC n 42", "42\r\n");
    assert_replies(f, "INCF x 3.5", "3.5\r\n");
    assert_replies(f, "INC x", "(error) ERR value is not an integer or out of range\r\n");
}

#define NUMBER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        NUMBER_TEST(integers_count_from_zero),
        NUMBER_TEST(integers_do_not_wrap),
        NUMBER_TEST(only_plain_integers_are_numbers),
        NUMBER_TEST(numbers_keep_their_deadline),
        NUMBER_TEST(incrbyfloat_answers_as_redis),
        NUMBER_TEST(incf_prints_the_shortest_text),
        NUMBER_TEST(the_seeds_commands_take_one_quantity),
        NUMBER_TEST(numbers_in_a_text_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
