#include "fixture.h"

static void add_server_rows(struct fixture *f)
{
    fixture_add(f, "select", command_select);
    fixture_add(f, "dbsize", command_dbsize);
    fixture_add(f, "flushall", command_flushall);
    fixture_add(f, "flushdb", command_flushdb);
    fixture_add(f, "swapdb", command_swapdb);
    fixture_add(f, "getp", command_getp);
}

static int setup(void **state)
{
    fixture_setup(state);
    add_server_rows(*state);
    return 0;
}

#define KEY_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

static void del_says_how_many_went(void **state)
{
    struct fixture *f = *state;
    run(f, "MSET a 1 b 2 c 3");
    assert_replies(f, "DEL a b b nothing", ":2\r\n");
    assert_replies(f, "EXISTS a b c c", ":2\r\n");
    assert_replies(f, "UNLINK c", ":1\r\n");
    assert_replies(f, "UNLINK c", ":0\r\n");
    assert_replies(f, "DBSIZE", ":0\r\n");
}

/* More keys than fit the few that need no memory, on all shards. */
static void many_keys_at_once(void **state)
{
    struct fixture *f = *state;
    static char names[1000][8];
    static struct bytes words[1001];
    for (size_t i = 0; i < 1000; i++) {
        int len = snprintf(names[i], sizeof(names[i]), "k%zu", i);
        words[i + 1] = bytes_of(names[i], (size_t)len);
        struct bytes set[] = {B("SET"), words[i + 1], B("v")};
        assert_string_equal(run_words(f, set, 3), "+OK\r\n");
    }
    words[0] = B("TOUCH");
    assert_string_equal(run_words(f, words, 1001), ":1000\r\n");
    words[0] = B("DEL");
    assert_string_equal(run_words(f, words, 1001), ":1000\r\n");
    assert_string_equal(run_words(f, words, 1001), ":0\r\n");
}

static void reading_commands_count_hits_and_misses(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    run(f, "EXISTS a b c");
    run(f, "TYPE a");
    run(f, "TTL b");
    assert_int_equal(f->writer.hits, 2);
    assert_int_equal(f->writer.misses, 3);
}

static void type_is_string_or_none(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    assert_replies(f, "TYPE a", "+string\r\n");
    assert_replies(f, "TYPE b", "+none\r\n");
}

static void rename_carries_value_deadline_and_creation_time(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a value PX 5000");
    char before[512];
    snprintf(before, sizeof(before), "%s", run(f, "GETP a"));
    char *creation = strstr(before, "creation_time");
    assert_non_null(creation);
    f->writer.now_ms += 1000;
    run(f, "SET b old");
    assert_replies(f, "RENAME a b", "+OK\r\n");
    assert_replies(f, "EXISTS a", ":0\r\n");
    assert_replies(f, "GET b", "$5\r\nvalue\r\n");
    assert_replies(f, "PTTL b", ":4000\r\n");
    const char *after = strstr(run(f, "GETP b"), "creation_time");
    assert_non_null(after);
    assert_memory_equal(after, creation, strlen("creation_time\r\n:1234567890123\r\n"));
}

static void rename_of_nothing_and_to_itself(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "RENAME a b", "-ERR no such key\r\n");
    assert_replies(f, "RENAME a a", "-ERR no such key\r\n");
    assert_replies(f, "RENAMENX a b", "-ERR no such key\r\n");
    run(f, "SET a 1");
    assert_replies(f, "RENAME a a", "+OK\r\n");
    assert_replies(f, "RENAMENX a a", ":0\r\n");
    run(f, "SET b 2");
    assert_replies(f, "RENAMENX a b", ":0\r\n");
    assert_replies(f, "MGET a b", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n");
    run(f, "DEL b");
    assert_replies(f, "RENAMENX a b", ":1\r\n");
    assert_replies(f, "MGET a b", "*2\r\n$-1\r\n$1\r\n1\r\n");
}

#define LARGE 100000

static void set_large(struct fixture *f, const char *key, char fill)
{
    static char value[LARGE];
    memset(value, fill, sizeof(value));
    struct bytes words[] = {B("SET"), bytes_of_string(key), bytes_of(value, LARGE)};
    assert_string_equal(run_words(f, words, 3), "+OK\r\n");
}

static void assert_large(struct fixture *f, const char *key, char fill)
{
    struct bytes words[] = {B("GET"), bytes_of_string(key)};
    run_words(f, words, 2);
    assert_int_equal(f->text.len, strlen("$100000\r\n") + LARGE + 2);
    for (size_t i = 0; i < LARGE; i++) {
        assert_int_equal(f->text.data[strlen("$100000\r\n") + i], fill);
    }
}

/* A block that two keys share is not changed through one of them. */
static void a_large_value_is_renamed_and_copied(void **state)
{
    struct fixture *f = *state;
    set_large(f, "a", 'x');
    assert_replies(f, "RENAME a b", "+OK\r\n");
    assert_large(f, "b", 'x');
    assert_replies(f, "COPY b c", ":1\r\n");
    assert_replies(f, "SETRANGE b 0 y", ":100000\r\n");
    assert_large(f, "c", 'x');
    assert_replies(f, "GETRANGE b 0 1", "$2\r\nyx\r\n");
    assert_replies(f, "DEL b", ":1\r\n");
    assert_large(f, "c", 'x');
}

static void copy_makes_a_new_key_with_the_deadline_of_the_old(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a value PX 5000");
    assert_replies(f, "COPY a b", ":1\r\n");
    assert_replies(f, "PTTL b", ":5000\r\n");
    assert_replies(f, "SET a other", "+OK\r\n");
    assert_replies(f, "COPY a b", ":0\r\n");
    assert_replies(f, "GET b", "$5\r\nvalue\r\n");
    assert_replies(f, "COPY a b REPLACE", ":1\r\n");
    assert_replies(f, "GET b", "$5\r\nother\r\n");
    assert_replies(f, "PTTL b", ":-1\r\n");
    assert_replies(f, "COPY nothing b", ":0\r\n");
}

static void copy_to_another_database(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    assert_replies(f, "COPY a a DB 3", ":1\r\n");
    assert_replies(f, "COPY a a DB 3", ":0\r\n");
    assert_replies(f, "COPY a b DB 3 REPLACE DB 4", ":1\r\n");
    assert_replies(f, "SELECT 3", "+OK\r\n");
    assert_replies(f, "GET a", "$1\r\n1\r\n");
    assert_replies(f, "EXISTS b", ":0\r\n");
    assert_replies(f, "SELECT 4", "+OK\r\n");
    assert_replies(f, "EXISTS b", ":1\r\n");
}

static void copy_refuses_what_it_cannot_read(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "COPY a a", "-ERR source and destination objects are the same\r\n");
    assert_replies(f, "COPY a a DB 0",
                   "-ERR source and destination objects are the same\r\n");
    assert_replies(f, "COPY a b DB", "-ERR syntax error\r\n");
    assert_replies(f, "COPY a b OVER", "-ERR syntax error\r\n");
    assert_replies(f, "COPY a b DB 16", "-ERR DB index is out of range\r\n");
    assert_replies(f, "COPY a b DB -1", "-ERR DB index is out of range\r\n");
    assert_replies(f, "COPY a b DB x",
                   "-ERR value is not an integer or out of range\r\n");
    assert_replies(f, "COPY a b DB 2147483648",
                   "-ERR value is out of range, value must between -2147483648 and "
                   "2147483647\r\n");
}

static void move_takes_a_key_to_another_database(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1 PX 5000");
    assert_replies(f, "MOVE a 0", "-ERR source and destination objects are the same\r\n");
    assert_replies(f, "MOVE a 16", "-ERR DB index is out of range\r\n");
    assert_replies(f, "MOVE a x", "-ERR value is not an integer or out of range\r\n");
    assert_replies(f, "MOVE a 5", ":1\r\n");
    assert_replies(f, "MOVE a 5", ":0\r\n");
    assert_replies(f, "EXISTS a", ":0\r\n");
    run(f, "SET a 2");
    assert_replies(f, "MOVE a 5", ":0\r\n");
    run(f, "SELECT 5");
    assert_replies(f, "PTTL a", ":5000\r\n");
    assert_replies(f, "GET a", "$1\r\n1\r\n");
}

static void swapdb_exchanges_two_databases(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a zero");
    assert_replies(f, "SWAPDB 0 9", "+OK\r\n");
    assert_replies(f, "EXISTS a", ":0\r\n");
    run(f, "SET a nine");
    run(f, "SELECT 9");
    assert_replies(f, "GET a", "$4\r\nzero\r\n");
    assert_replies(f, "SWAPDB 9 0", "+OK\r\n");
    assert_replies(f, "GET a", "$4\r\nnine\r\n");
    assert_replies(f, "SWAPDB 9 9", "+OK\r\n");
    assert_replies(f, "SWAPDB x 0", "-ERR invalid first DB index\r\n");
    assert_replies(f, "SWAPDB 0 99999999999", "-ERR invalid second DB index\r\n");
    assert_replies(f, "SWAPDB 16 0", "-ERR DB index is out of range\r\n");
    assert_replies(f, "SWAPDB 0 -1", "-ERR DB index is out of range\r\n");
}

static void flush_empties_one_database_or_all(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    run(f, "SELECT 1");
    run(f, "MSET a 1 b 2");
    assert_replies(f, "FLUSHDB NOW", "-ERR syntax error\r\n");
    assert_replies(f, "FLUSHALL SYNC ASYNC", "-ERR syntax error\r\n");
    assert_replies(f, "DBSIZE", ":2\r\n");
    assert_replies(f, "FLUSHDB async", "+OK\r\n");
    assert_replies(f, "DBSIZE", ":0\r\n");
    run(f, "SELECT 0");
    assert_replies(f, "DBSIZE", ":1\r\n");
    run(f, "SELECT 1");
    assert_replies(f, "FLUSHALL", "+OK\r\n");
    run(f, "SELECT 0");
    assert_replies(f, "DBSIZE", ":0\r\n");
}

static void randomkey_names_a_key_of_this_database(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "RANDOMKEY", "$-1\r\n");
    run(f, "SET a 1");
    assert_replies(f, "RANDOMKEY", "$1\r\na\r\n");
    run(f, "SET b 1");
    bool seen_a = false, seen_b = false;
    for (int i = 0; i < 1000; i++) {
        const char *reply = run(f, "RANDOMKEY");
        seen_a = seen_a || strcmp(reply, "$1\r\na\r\n") == 0;
        seen_b = seen_b || strcmp(reply, "$1\r\nb\r\n") == 0;
    }
    assert_true(seen_a && seen_b);
    run(f, "SELECT 1");
    assert_replies(f, "RANDOMKEY", "$-1\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KEY_TEST(del_says_how_many_went),
        KEY_TEST(many_keys_at_once),
        KEY_TEST(reading_commands_count_hits_and_misses),
        KEY_TEST(type_is_string_or_none),
        KEY_TEST(rename_carries_value_deadline_and_creation_time),
        KEY_TEST(rename_of_nothing_and_to_itself),
        KEY_TEST(a_large_value_is_renamed_and_copied),
        KEY_TEST(copy_makes_a_new_key_with_the_deadline_of_the_old),
        KEY_TEST(copy_to_another_database),
        KEY_TEST(copy_refuses_what_it_cannot_read),
        KEY_TEST(move_takes_a_key_to_another_database),
        KEY_TEST(swapdb_exchanges_two_databases),
        KEY_TEST(flush_empties_one_database_or_all),
        KEY_TEST(randomkey_names_a_key_of_this_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
