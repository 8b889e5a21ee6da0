#include "command/key_specs.h"
#include "fixture.h"

static int setup(void **state)
{
    fixture_setup(state);
    struct fixture *f = *state;
    fixture_add(f, "command", command_command);
    fixture_add(f, "command|count", command_command_count);
    fixture_add(f, "command|docs", command_command_docs);
    fixture_add(f, "command|getkeys", command_command_getkeys);
    fixture_add(f, "command|help", command_command_help);
    fixture_add(f, "command|info", command_command_info);
    fixture_add(f, "command|list", command_command_list);
    return 0;
}

#define COMMAND_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

/* The form a cluster client reads its key positions from. */
static void info_has_the_ten_fields_of_redis(void **state)
{
    struct fixture *f = *state;
    assert_replies(
        f, "COMMAND INFO GET nothing",
        "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n"
        ":1\r\n*3\r\n+@read\r\n+@string\r\n+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\n"
        "flags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n$4\r\n"
        "type\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\n"
        "find_keys\r\n*4\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\n"
        "lastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:0\r\n*0\r\n"
        "$-1\r\n");
    fixture_dialect(f, DIALECT_RESP3);
    assert_replies(
        f, "COMMAND INFO mset",
        "*1\r\n*10\r\n$4\r\nmset\r\n:-3\r\n~2\r\n+write\r\n+denyoom\r\n:1\r\n:-1"
        "\r\n:2\r\n~3\r\n+@write\r\n+@string\r\n+@slow\r\n~2\r\n$26\r\n"
        "request_policy:multi_shard\r\n$29\r\nresponse_policy:all_succeeded\r\n"
        "~1\r\n%3\r\n$5\r\nflags\r\n~2\r\n+OW\r\n+update\r\n$12\r\nbegin_search"
        "\r\n%2\r\n$4\r\ntype\r\n$5\r\nindex\r\n$4\r\nspec\r\n%1\r\n$5\r\nindex"
        "\r\n:1\r\n$9\r\nfind_keys\r\n%2\r\n$4\r\ntype\r\n$5\r\nrange\r\n$4\r\n"
        "spec\r\n%3\r\n$7\r\nlastkey\r\n:-1\r\n$7\r\nkeystep\r\n:2\r\n$5\r\n"
        "limit\r\n:0\r\n~0\r\n");
}

static void info_of_a_container_holds_its_subcommands(void **state)
{
    struct fixture *f = *state;
    const char *text = run(f, "COMMAND INFO object");
    static const char begin[] =
        "*1\r\n*10\r\n$6\r\nobject\r\n:-2\r\n*0\r\n:0\r\n:0\r\n:0\r\n"
        "*1\r\n+@slow\r\n*0\r\n*0\r\n*5\r\n*10\r\n$15\r\n"
        "object|encoding\r\n:3\r\n*1\r\n+readonly\r\n:2\r\n:2\r\n:1"
        "\r\n*3\r\n+@keyspace\r\n+@read\r\n+@slow\r\n";
    assert_true(strncmp(text, begin, strlen(begin)) == 0);
    assert_true(bytes_start_with(bytes_of_string(run(f, "COMMAND INFO Object|Freq")),
                                 B("*1\r\n*10\r\n$11\r\nobject|freq\r\n")));
    assert_replies(f, "COMMAND INFO object|nothing | get|x \"\"",
                   "*4\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n");
}

static size_t commands(void)
{
    size_t count = 0;
    for (size_t i = 0; i < command_row_count; i++) {
        count += !command_is_sub(&command_rows[i]);
    }
    return count;
}

static void all_replies_are_of_one_length(void **state)
{
    struct fixture *f = *state;
    char expected[32];
    snprintf(expected, sizeof(expected), ":%zu\r\n", commands());
    assert_string_equal(run(f, "COMMAND COUNT"), expected);
    snprintf(expected, sizeof(expected), "*%zu\r\n*10\r\n", commands());
    assert_true(strncmp(run(f, "COMMAND"), expected, strlen(expected)) == 0);
    assert_true(strncmp(run(f, "COMMAND INFO"), expected, strlen(expected)) == 0);
    snprintf(expected, sizeof(expected), "*%zu\r\n", commands() * 2);
    assert_true(strncmp(run(f, "COMMAND DOCS"), expected, strlen(expected)) == 0);
    snprintf(expected, sizeof(expected), "*%zu\r\n", command_row_count);
    assert_true(strncmp(run(f, "COMMAND LIST"), expected, strlen(expected)) == 0);
}

/* Elements that a RESP3 text opens and does not hold would make `left` end above 0. */
static void assert_is_one_reply(const char *text, size_t len)
{
    size_t at = 0;
    long long left = 1;
    while (at < len) {
        char type = text[at];
        long long number = 0;
        const char *end = strchr(text + at, '\n');
        assert_non_null(end);
        bool is_counted = strchr("*%~$", type) != NULL;
        if (is_counted) {
            int64_t parsed;
            size_t digits = (size_t)(end - text) - at - 2;
            assert_true(number_parse_int64(bytes_of(text + at + 1, digits), &parsed));
            number = parsed;
        }
        at = (size_t)(end - text) + 1;
        left--;
        if (type == '$') {
            at += (size_t)number + 2;
        } else if (is_counted) {
            left += type == '%' ? 2 * number : number;
        } else {
            assert_true(type == '+' || type == ':');
        }
        assert_true(left >= 0 && (left > 0 || at == len));
    }
    assert_int_equal(left, 0);
    assert_int_equal(at, len);
}

static void every_length_in_a_reply_is_true(void **state)
{
    struct fixture *f = *state;
    static const char *const requests[] = {"COMMAND", "COMMAND DOCS", "COMMAND LIST",
                                           "COMMAND HELP",
                                           "COMMAND DOCS mset object set"};
    fixture_dialect(f, DIALECT_RESP3);
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        run(f, requests[i]);
        assert_is_one_reply(f->text.data, f->text.len);
    }
}

static void docs_tell_summary_group_and_arguments(void **state)
{
    struct fixture *f = *state;
    fixture_dialect(f, DIALECT_RESP3);
    assert_replies(
        f, "COMMAND DOCS mget nothing",
        "%1\r\n$4\r\nmget\r\n%5\r\n$7\r\nsummary\r\n$41\r\nThe values of several "
        "keys, at one moment\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n$5\r\ngroup\r\n$6\r\n"
        "string\r\n$10\r\ncomplexity\r\n$16\r\nO(n) of the keys\r\n$9\r\narguments"
        "\r\n*1\r\n%4\r\n$4\r\nname\r\n$3\r\nkey\r\n$4\r\ntype\r\n$3\r\nkey\r\n$14"
        "\r\nkey_spec_index\r\n:0\r\n$5\r\nflags\r\n~1\r\n+multiple\r\n");
    const char *text = run(f, "COMMAND DOCS object");
    assert_non_null(
        strstr(text, "$11\r\nsubcommands\r\n%5\r\n$15\r\nobject|encoding\r\n"));
    text = run(f, "COMMAND DOCS expire");
    assert_non_null(strstr(text,
                           "$4\r\ntype\r\n$5\r\noneof\r\n$5\r\nflags\r\n~1\r\n"
                           "+optional\r\n$9\r\narguments\r\n*4\r\n%3\r\n$4\r\nname\r\n"
                           "$2\r\nnx\r\n$4\r\ntype\r\n$10\r\npure-token\r\n$5\r\ntoken"
                           "\r\n$2\r\nNX\r\n"));
}

static void list_filters(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "COMMAND LIST FILTERBY PATTERN EXPIRE?*",
                   "*2\r\n$8\r\nexpireat\r\n$10\r\nexpiretime\r\n");
    assert_replies(f, "COMMAND LIST filterby ACLCAT Transaction",
                   "*5\r\n$7\r\ndiscard\r\n$4\r\nexec\r\n$5\r\nmulti\r\n$7\r\nunwatch\r\n"
                   "$5\r\nwatch\r\n");
    assert_replies(f, "COMMAND LIST FILTERBY ACLCAT @write", "*0\r\n");
    assert_replies(f, "COMMAND LIST FILTERBY MODULE x", "*0\r\n");
    assert_replies(f, "COMMAND LIST FILTERBY PATTERN", "-ERR syntax error\r\n");
    assert_replies(f, "COMMAND LIST FILTERBY COLOUR red", "-ERR syntax error\r\n");
    assert_replies(f, "COMMAND LIST x", "-ERR syntax error\r\n");
}

static void getkeys_names_the_keys(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "COMMAND GETKEYS mset a 1 b 2", "*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_replies(f, "COMMAND GETKEYS bitop and d a b",
                   "*3\r\n$1\r\nd\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_replies(f, "COMMAND GETKEYS object encoding a", "*1\r\n$1\r\na\r\n");
    assert_replies(f, "COMMAND GETKEYS nothing a", "-ERR Invalid command specified\r\n");
    assert_replies(f, "COMMAND GETKEYS object nothing a",
                   "-ERR Invalid command specified\r\n");
    assert_replies(f, "COMMAND GETKEYS ping a b c",
                   "-ERR The command has no key arguments\r\n");
    assert_replies(f, "COMMAND GETKEYS get a b",
                   "-ERR Invalid number of arguments specified for command\r\n");
}

struct positions {
    const struct command_row *row;
    uint64_t positions;
};

static void note(void *context, size_t position)
{
    struct positions *found = context;
    found->positions |= 1ull << position;
    assert_true(key_specs_find(found->row, position) >= 0);
}

/* What EXEC locks and what a cluster client is told are the same keys. */
static void specifications_find_the_keys_of_a_request(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_row_count; i++) {
        const struct command_row *row = &command_rows[i];
        struct positions found = {row, 0};
        size_t count = 7;
        if (!command_each_key(row, count, note, &found)) {
            continue;
        }
        for (size_t at = 1; at < count; at++) {
            assert_int_equal(key_specs_find(row, at) >= 0, found.positions >> at & 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(info_has_the_ten_fields_of_redis),
        COMMAND_TEST(info_of_a_container_holds_its_subcommands),
        COMMAND_TEST(all_replies_are_of_one_length),
        COMMAND_TEST(every_length_in_a_reply_is_true),
        COMMAND_TEST(docs_tell_summary_group_and_arguments),
        COMMAND_TEST(list_filters),
        COMMAND_TEST(getkeys_names_the_keys),
        cmocka_unit_test(specifications_find_the_keys_of_a_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
