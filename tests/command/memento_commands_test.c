#include "fixture.h"

#define NOW_MS 1000000000000

static int setup(void **state)
{
    fixture_setup(state);
    struct fixture *f = *state;
    fixture_add(f, "getp", command_getp);
    fixture_add(f, "flush", command_flush);
    fixture_add(f, "select", command_select);
    fixture_add(f, "dbsize", command_dbsize);
    f->writer.now_ms = NOW_MS;
    return 0;
}

#define MEMENTO_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

/* The number behind a field of a text reply. */
static int64_t field(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    assert_non_null(at);
    at += strlen(name);
    int64_t value;
    assert_true(number_parse_int64(bytes_of(at, strcspn(at, "\r")), &value));
    return value;
}

static void getp_tells_everything_about_a_key(void **state)
{
    struct fixture *f = *state;
    fixture_dialect(f, DIALECT_TEXT);
    run(f, "SET greeting hello PX 2600");
    f->writer.now_ms += 1000;
    const char *text = run(f, "GETP greeting");
    static const char begin[] =
        "key: greeting\r\nvalue: hello\r\ncreation_time: "
        "1000000000000\r\nexpire_time: 1000000002600\r\nttl: 2\r\n"
        "size: 5\r\nversion: ";
    assert_true(strncmp(text, begin, strlen(begin)) == 0);
    assert_true(strstr(text, "\r\n(end)\r\n") != NULL);
}

static void getp_without_an_end_and_without_a_key(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "GETP nothing", "$-1\r\n");
    run(f, "SET a 1");
    assert_true(bytes_start_with(bytes_of_string(run(f, "GETP a")),
                                 B("*14\r\n$3\r\nkey\r\n$1\r\na\r\n")));
    fixture_dialect(f, DIALECT_RESP3);
    assert_true(bytes_start_with(bytes_of_string(run(f, "GETP a")),
                                 B("%7\r\n$3\r\nkey\r\n$1\r\na\r\n")));
    fixture_dialect(f, DIALECT_TEXT);
    assert_int_equal(field(run(f, "GETP a"), "expire_time: "), -1);
    assert_int_equal(field(run(f, "GETP a"), "ttl: "), -1);
    assert_replies(f, "GETP nothing", "(null)\r\n");
    assert_int_equal(f->writer.hits, 4);
    assert_int_equal(f->writer.misses, 2);
}

static void set_and_copy_reset_the_creation_time_and_others_keep_it(void **state)
{
    struct fixture *f = *state;
    fixture_dialect(f, DIALECT_TEXT);
    static const struct {
        const char *request;
        int64_t created_ms;
    } table[] = {
        {"INCR a", NOW_MS},         {"APPEND a 1", NOW_MS},     {"EXPIRE a 100", NOW_MS},
        {"RENAME a b", NOW_MS},     {"RENAME b a", NOW_MS},     {"PERSIST a", NOW_MS},
        {"SETRANGE a 1 3", NOW_MS}, {"SET a 2", NOW_MS + 5000},
    };
    run(f, "SET a 1");
    f->writer.now_ms += 5000;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        run(f, table[i].request);
        const char *text =
            run(f, strcmp(table[i].request, "RENAME a b") == 0 ? "GETP b" : "GETP a");
        assert_int_equal(field(text, "creation_time: "), table[i].created_ms);
    }
    f->writer.now_ms += 1000;
    run(f, "COPY a c");
    assert_int_equal(field(run(f, "GETP c"), "creation_time: "), NOW_MS + 6000);
}

static void every_change_gives_a_greater_version(void **state)
{
    struct fixture *f = *state;
    fixture_dialect(f, DIALECT_TEXT);
    static const char *const requests[] = {"SET a 1", "SET a 1", "INCR a", "EXPIRE a 10",
                                           "PERSIST a"};
    int64_t before = 0;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        run(f, requests[i]);
        int64_t version = field(run(f, "GETP a"), "version: ");
        assert_true(version > before);
        assert_int_equal(field(run(f, "GETP a"), "version: "), version);
        before = version;
    }
}

static void flush_empties_all_databases(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    run(f, "SELECT 7");
    run(f, "SET a 1");
    assert_replies(f, "FLUSH", "+OK\r\n");
    assert_replies(f, "DBSIZE", ":0\r\n");
    run(f, "SELECT 0");
    assert_replies(f, "DBSIZE", ":0\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMENTO_TEST(getp_tells_everything_about_a_key),
        MEMENTO_TEST(getp_without_an_end_and_without_a_key),
        MEMENTO_TEST(set_and_copy_reset_the_creation_time_and_others_keep_it),
        MEMENTO_TEST(every_change_gives_a_greater_version),
        MEMENTO_TEST(flush_empties_all_databases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
