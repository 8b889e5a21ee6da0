#include "base/os.h"
#include "command/transaction.h"
#include "fixture.h"

#include <errno.h>

static int setup(void **state)
{
    fixture_setup(state);
    struct fixture *f = *state;
    fixture_add(f, "select", command_select);
    fixture_add(f, "dbsize", command_dbsize);
    fixture_add(f, "flushall", command_flushall);
    fixture_add(f, "swapdb", command_swapdb);
    fixture_add(f, "ping", command_ping);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    transaction_forget(&f->session, &f->writer);
    return fixture_teardown(state);
}

#define TRANSACTION_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static bool queue_words(struct fixture *f, const struct bytes *words, size_t count)
{
    struct call call = {.row = fixture_find(words, count),
                        .args = words,
                        .count = count,
                        .session = &f->session,
                        .writer = &f->writer,
                        .reply = &f->reply};
    buf_reset(&f->out, SIZE_MAX);
    bool queued = transaction_queue(&call);
    fixture_collect(f);
    (void)buf_c_string(&f->text);
    return queued;
}

/* What the server's gates do with a request inside MULTI. run() is another client. */
static void queue(struct fixture *f, const char *line)
{
    char copy[256];
    size_t len = strlen(line);
    assert_true(len < sizeof(copy));
    memcpy(copy, line, len);
    f->words.count = 0;
    assert_true(words_split(&f->words, copy, len));
    assert_true(queue_words(f, f->words.items, f->words.count));
    assert_string_equal(f->text.data, "+QUEUED\r\n");
    memset(copy, '?', sizeof(copy)); /* the queue must have copied the words */
}

static void exec_runs_what_was_queued_in_order(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "MULTI", "+OK\r\n");
    queue(f, "SET a x");
    queue(f, "INCR a");
    queue(f, "SET a 5");
    queue(f, "INCR a");
    queue(f, "MGET a \"\" b");
    assert_replies(f, "EXISTS a", ":0\r\n");
    assert_replies(f, "EXEC",
                   "*5\r\n+OK\r\n-ERR value is not an integer or out of range\r\n+OK\r\n"
                   ":6\r\n*3\r\n$1\r\n6\r\n$-1\r\n$-1\r\n");
    assert_replies(f, "EXEC", "-ERR EXEC without MULTI\r\n");
    assert_int_equal(f->session.queue_bytes, 0);
}

static void an_empty_transaction(void **state)
{
    struct fixture *f = *state;
    run(f, "MULTI");
    assert_replies(f, "EXEC", "*0\r\n");
    fixture_dialect(f, DIALECT_TEXT);
    assert_replies(f, "MULTI", "OK\r\n");
    assert_replies(f, "EXEC", "(end)\r\n");
}

static void lists_in_a_text_transaction_each_have_an_end(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    fixture_dialect(f, DIALECT_TEXT);
    run(f, "MULTI");
    struct bytes mget[] = {B("MGET"), B("a"), B("b")};
    assert_true(queue_words(f, mget, 3));
    assert_string_equal(f->text.data, "QUEUED\r\n");
    struct bytes keys[] = {B("KEYS"), B("*")};
    assert_true(queue_words(f, keys, 2));
    struct bytes ping[] = {B("PING")};
    assert_true(queue_words(f, ping, 1));
    assert_replies(f, "EXEC", "1\r\n(null)\r\n(end)\r\na\r\n(end)\r\nPONG\r\n(end)\r\n");
}

static void discard_forgets_queue_and_watches(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "DISCARD", "-ERR DISCARD without MULTI\r\n");
    run(f, "WATCH a");
    run(f, "MULTI");
    queue(f, "SET a 1");
    assert_replies(f, "DISCARD", "+OK\r\n");
    assert_replies(f, "EXISTS a", ":0\r\n");
    assert_true(list_is_empty(&f->session.watches));
    run(f, "SET a 2");
    run(f, "MULTI");
    assert_replies(f, "EXEC", "*0\r\n");
}

static void multi_and_watch_are_refused_inside_multi(void **state)
{
    struct fixture *f = *state;
    run(f, "MULTI");
    assert_replies(f, "MULTI", "-ERR MULTI calls can not be nested\r\n");
    assert_replies(f, "WATCH a", "-ERR WATCH inside MULTI is not allowed\r\n");
    queue(f, "SET a 1");
    assert_replies(f, "EXEC", "*1\r\n+OK\r\n"); /* neither spoils it */
}

static void a_broken_transaction_is_aborted(void **state)
{
    struct fixture *f = *state;
    run(f, "WATCH a");
    run(f, "MULTI");
    queue(f, "SET a 1");
    f->session.multi_broken = true; /* as a gate does that refuses a request */
    queue(f, "SET a 2");
    run(f, "SET a 3"); /* the error goes before the broken watch */
    assert_replies(f, "EXEC",
                   "-EXECABORT Transaction discarded because of previous errors.\r\n");
    assert_false(f->session.in_multi || f->session.multi_broken);
    assert_replies(f, "GET a", "$1\r\n3\r\n");
}

static void exec_itself_may_be_refused(void **state)
{
    struct fixture *f = *state;
    run(f, "MULTI");
    queue(f, "SET a 1");
    struct call call = {.session = &f->session, .writer = &f->writer, .reply = &f->reply};
    buf_reset(&f->out, SIZE_MAX);
    transaction_abort(&call, "wrong number of arguments for 'exec' command");
    assert_bytes_equal(buf_bytes(&f->out),
                       B("-EXECABORT Transaction discarded because of: wrong number of "
                         "arguments for 'exec' command\r\n"));
    assert_false(f->session.in_multi);
    assert_int_equal(f->session.queue_count, 0);
}

/* Each of these changes a, b or nothing of database 0 between WATCH and EXEC. */
static void exec_is_null_when_a_watched_key_was_changed(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request;
        bool is_broken;
    } table[] = {
        {"SET a 1", true},      {"APPEND a x", true},       {"DEL a", true},
        {"EXPIRE a 100", true}, {"EXPIRE a -1", true},      {"RENAME a c", true},
        {"RENAME c a", true},   {"COPY c a REPLACE", true}, {"MOVE a 3", true},
        {"FLUSHALL", true},     {"SWAPDB 0 1", true},       {"MSET c 1 a 2", true},
        {"SET none 1", true},   {"SETBIT none 1 1", true},  {"GET a", false},
        {"SET c 1", false},     {"DEL none", false},        {"SETNX a 1", false},
        {"TOUCH a", false},     {"PERSIST a", false},       {"EXPIRE a 1 XX", false},
        {"RENAME c d", false},  {"SET nonesuch 1", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        run(f, "FLUSHALL");
        run(f, "MSET a 1 c 1");
        assert_replies(f, "WATCH a none a", "+OK\r\n");
        run(f, table[i].request);
        run(f, "MULTI");
        queue(f, "PING");
        const char *reply = run(f, "EXEC");
        if (strcmp(reply, table[i].is_broken ? "*-1\r\n" : "*1\r\n+PONG\r\n") != 0) {
            fail_msg("%s: %s", table[i].request, reply);
        }
        assert_true(list_is_empty(&f->session.watches));
    }
}

static void a_watched_key_that_expires_is_changed(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1 PX 10");
    run(f, "WATCH a");
    f->writer.now_ms += 10;
    run(f, "MULTI");
    assert_replies(f, "EXEC", "*-1\r\n");
}

static void set_then_del_is_a_change(void **state)
{
    struct fixture *f = *state;
    run(f, "WATCH a");
    run(f, "SET a 1");
    run(f, "DEL a");
    run(f, "MULTI");
    assert_replies(f, "EXEC", "*-1\r\n");
}

static void unwatch_forgets_the_change(void **state)
{
    struct fixture *f = *state;
    run(f, "WATCH a");
    run(f, "SET a 1");
    assert_replies(f, "UNWATCH", "+OK\r\n");
    run(f, "MULTI");
    queue(f, "UNWATCH");
    assert_replies(f, "EXEC", "*1\r\n+OK\r\n");
}

static void a_watch_is_of_its_database(void **state)
{
    struct fixture *f = *state;
    run(f, "WATCH a");
    run(f, "SELECT 1");
    run(f, "SET a 1");
    run(f, "WATCH a");
    run(f, "SELECT 0");
    run(f, "MULTI");
    assert_replies(f, "EXEC", "*0\r\n");
}

/* Whatever the order of keys and databases, no request meets a shard that is not held. */
static void requests_on_the_whole_keyspace_run_inside(void **state)
{
    struct fixture *f = *state;
    run(f, "WATCH w");
    run(f, "MULTI");
    queue(f, "SET a 1");
    queue(f, "SELECT 1");
    queue(f, "SET b 2");
    queue(f, "SWAPDB 0 1");
    queue(f, "GET a");
    queue(f, "MOVE a 2");
    queue(f, "DBSIZE");
    queue(f, "KEYS *");
    queue(f, "FLUSHALL");
    queue(f, "SCAN 0");
    queue(f, "RANDOMKEY");
    queue(f, "COPY x y DB 5");
    assert_replies(
        f, "EXEC",
        "*12\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n$1\r\n1\r\n:1\r\n:0\r\n*0\r\n+OK\r\n"
        "*2\r\n$1\r\n0\r\n*0\r\n$-1\r\n:0\r\n");
    assert_int_equal(f->session.database, 1);
}

/* So many keys that EXEC takes all shards instead of theirs. */
static void a_transaction_of_many_keys(void **state)
{
    struct fixture *f = *state;
    run(f, "MULTI");
    for (int i = 0; i < 3000; i++) {
        char line[64];
        snprintf(line, sizeof(line), "SET k%d %d", i, i);
        queue(f, line);
    }
    assert_true(bytes_start_with(bytes_of_string(run(f, "EXEC")), B("*3000\r\n+OK\r\n")));
    assert_replies(f, "DBSIZE", ":3000\r\n");
}

static void more_bytes_than_a_transaction_may_queue(void **state)
{
    struct fixture *f = *state;
    size_t len = TRANSACTION_BYTES_MAX / 4;
    char *value = heap_alloc_zeroed(1, len);
    assert_non_null(value);
    struct bytes words[] = {B("SET"), B("a"), bytes_of(value, len)};
    run(f, "MULTI");
    for (int i = 0; i < 3; i++) {
        assert_true(queue_words(f, words, 3));
    }
    assert_false(queue_words(f, words, 3));
    assert_string_equal(f->text.data,
                        "-ERR a transaction is at most 1048576 requests and 67108864 "
                        "bytes\r\n");
    assert_int_equal(f->session.queue_bytes, 0);
    queue(f, "SET a 1");
    assert_true(bytes_start_with(bytes_of_string(run(f, "EXEC")), B("-EXECABORT ")));
    assert_replies(f, "EXISTS a", ":0\r\n");
    heap_free(value);
}

static void more_keys_than_a_client_may_watch(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < TRANSACTION_WATCHES_MAX; i++) {
        char line[32];
        snprintf(line, sizeof(line), "WATCH k%u", i);
        assert_string_equal(run(f, line), "+OK\r\n");
    }
    assert_replies(f, "WATCH more", "-ERR a client may watch at most 16384 keys\r\n");
    assert_replies(f, "WATCH k0", "+OK\r\n"); /* it is already */
    run(f, "MULTI");
    assert_replies(f, "EXEC", "*0\r\n");
}

/* Every allocation of a transaction fails once: it is refused, or it runs. */
static void without_memory_a_transaction_is_refused_or_runs(void **state)
{
    struct fixture *f = *state;
    struct bytes words[] = {B("DEL"), B("b")};
    for (uint64_t nth = 1; nth < 20; nth++) {
        run(f, "SET b 1");
        os_fail_at(OS_MEMORY, nth, ENOMEM, false);
        bool is_watched = strcmp(run(f, "WATCH b"), "+OK\r\n") == 0;
        run(f, "MULTI");
        bool is_queued = queue_words(f, words, 2);
        const char *reply = run(f, "EXEC");
        bool failed = os_calls(OS_MEMORY) >= nth;
        os_fail_never();
        if (is_queued) {
            assert_string_equal(reply, "*1\r\n:1\r\n");
        } else {
            assert_true(bytes_start_with(bytes_of_string(reply), B("-EXECABORT ")));
            assert_replies(f, "EXISTS b", ":1\r\n");
        }
        assert_true(failed || (is_watched && is_queued));
        assert_true(list_is_empty(&f->session.watches));
        assert_int_equal(f->session.queue_count, 0);
        if (!failed) {
            assert_true(nth > 4); /* watch, its list, queue, words, keys to lock */
            return;
        }
    }
    fail_msg("more allocations than expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRANSACTION_TEST(exec_runs_what_was_queued_in_order),
        TRANSACTION_TEST(an_empty_transaction),
        TRANSACTION_TEST(lists_in_a_text_transaction_each_have_an_end),
        TRANSACTION_TEST(discard_forgets_queue_and_watches),
        TRANSACTION_TEST(multi_and_watch_are_refused_inside_multi),
        TRANSACTION_TEST(a_broken_transaction_is_aborted),
        TRANSACTION_TEST(exec_itself_may_be_refused),
        TRANSACTION_TEST(exec_is_null_when_a_watched_key_was_changed),
        TRANSACTION_TEST(a_watched_key_that_expires_is_changed),
        TRANSACTION_TEST(set_then_del_is_a_change),
        TRANSACTION_TEST(unwatch_forgets_the_change),
        TRANSACTION_TEST(a_watch_is_of_its_database),
        TRANSACTION_TEST(requests_on_the_whole_keyspace_run_inside),
        TRANSACTION_TEST(a_transaction_of_many_keys),
        TRANSACTION_TEST(more_bytes_than_a_transaction_may_queue),
        TRANSACTION_TEST(more_keys_than_a_client_may_watch),
        TRANSACTION_TEST(without_memory_a_transaction_is_refused_or_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
