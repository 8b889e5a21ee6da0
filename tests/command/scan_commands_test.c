#include "fixture.h"

#include <stdlib.h>

static int setup(void **state)
{
    fixture_setup(state);
    struct fixture *f = *state;
    fixture_add(f, "select", command_select);
    fixture_add(f, "count", command_count);
    return 0;
}

#define SCAN_TEST(test) cmocka_unit_test_setup_teardown(test, setup, fixture_teardown)

#define KEYS 2000

/* k0 … k1999; every tenth of them has expired. */
static void fill(struct fixture *f)
{
    for (int i = 0; i < KEYS; i++) {
        char line[64];
        snprintf(line, sizeof(line), "SET k%d v%s", i, i % 10 == 0 ? " PX 1" : "");
        assert_string_equal(run(f, line), "+OK\r\n");
    }
    f->writer.now_ms += 1;
}

/* Marks the keys of a flat list in RESP2 text, and says how many there are. */
static size_t mark(const char *text, unsigned char seen[KEYS])
{
    size_t count = 0;
    for (const char *at = strstr(text, "\r\nk"); at != NULL;
         at = strstr(at + 1, "\r\nk")) {
        int number = atoi(at + 3);
        assert_in_range(number, 0, KEYS - 1);
        seen[number]++;
        count++;
    }
    return count;
}

static void assert_each_once(const unsigned char seen[KEYS])
{
    for (int i = 0; i < KEYS; i++) {
        assert_int_equal(seen[i], i % 10 == 0 ? 0 : 1);
    }
}

static void keys_gives_every_key_once(void **state)
{
    struct fixture *f = *state;
    static unsigned char seen[KEYS];
    memset(seen, 0, sizeof(seen));
    fill(f);
    const char *reply = run(f, "KEYS *");
    assert_true(strncmp(reply, "*1800\r\n", 7) == 0);
    assert_int_equal(mark(reply, seen), 1800);
    assert_each_once(seen);
}

static void keys_matches_its_pattern(void **state)
{
    struct fixture *f = *state;
    fill(f);
    assert_replies(f, "KEYS k1234", "*1\r\n$5\r\nk1234\r\n");
    assert_replies(f, "KEYS x*", "*0\r\n");
    assert_replies(f, "KEYS \"\"", "*0\r\n");
    assert_true(bytes_start_with(bytes_of_string(run(f, "KEYS k199[1-9]")), B("*9\r\n")));
    run(f, "SELECT 1");
    assert_replies(f, "KEYS *", "*0\r\n");
}

/* A peculiarity of Redis that a client may have built upon. */
static void the_empty_key_passes_one_star_only(void **state)
{
    struct fixture *f = *state;
    run(f, "SET \"\" 1");
    assert_replies(f, "KEYS *", "*1\r\n$0\r\n\r\n");
    assert_replies(f, "KEYS **", "*0\r\n");
    assert_replies(f, "KEYS \"\"", "*1\r\n$0\r\n\r\n");
    assert_replies(f, "SCAN 0", "*2\r\n$1\r\n0\r\n*1\r\n$0\r\n\r\n");
    assert_replies(f, "SCAN 0 MATCH **", "*2\r\n$1\r\n0\r\n*0\r\n");
}

static void a_text_line_may_leave_the_pattern_out(void **state)
{
    struct fixture *f = *state;
    run(f, "SET a 1");
    fixture_dialect(f, DIALECT_TEXT);
    struct bytes keys[] = {B("KEYS")};
    struct call call = {.row = command_find(keys[0]),
                        .args = keys,
                        .count = 1,
                        .is_line = true,
                        .session = &f->session,
                        .writer = &f->writer,
                        .reply = &f->reply};
    buf_reset(&f->out, SIZE_MAX);
    command_keys(&call);
    assert_bytes_equal(buf_bytes(&f->out), B("a\r\n(end)\r\n"));
    call.row = command_find(B("scan"));
    buf_reset(&f->out, SIZE_MAX);
    command_scan(&call);
    assert_bytes_equal(buf_bytes(&f->out), B("0\r\na\r\n(end)\r\n(end)\r\n"));
}

static void scan_without_a_cursor_is_the_whole_walk(void **state)
{
    struct fixture *f = *state;
    static unsigned char seen[KEYS];
    memset(seen, 0, sizeof(seen));
    fill(f);
    struct bytes scan[] = {B("SCAN")};
    struct call call = {.row = command_find(scan[0]),
                        .args = scan,
                        .count = 1,
                        .session = &f->session,
                        .writer = &f->writer,
                        .reply = &f->reply};
    buf_reset(&f->out, SIZE_MAX);
    command_scan(&call);
    const char *reply = buf_c_string(&f->out);
    assert_true(strncmp(reply, "*2\r\n$1\r\n0\r\n*1800\r\n", 18) == 0);
    assert_int_equal(mark(reply, seen), 1800);
    assert_each_once(seen);
}

/* The cursor of a reply, copied to `cursor`. */
static void read_cursor(const char *reply, char cursor[32])
{
    assert_true(strncmp(reply, "*2\r\n$", 5) == 0);
    const char *from = strchr(reply + 5, '\n') + 1;
    size_t len = (size_t)(strchr(from, '\r') - from);
    assert_true(len < 32);
    memcpy(cursor, from, len);
    cursor[len] = '\0';
}

static void a_walk_sees_every_key_once(void **state)
{
    struct fixture *f = *state;
    static unsigned char seen[KEYS];
    fill(f);
    static const int counts[] = {1, 10, 500, 100000};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        memset(seen, 0, sizeof(seen));
        char cursor[32] = "0";
        do {
            char line[96];
            snprintf(line, sizeof(line), "SCAN %s COUNT %d", cursor, counts[i]);
            const char *reply = run(f, line);
            read_cursor(reply, cursor);
            assert_true(strlen(cursor) <= 16); /* below 2^53 */
            mark(reply, seen);
        } while (strcmp(cursor, "0") != 0);
        assert_each_once(seen);
    }
}

static void scan_filters(void **state)
{
    struct fixture *f = *state;
    run(f, "MSET a 1 b 2");
    assert_replies(f, "SCAN 0 MATCH b COUNT 1000", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n");
    assert_replies(f, "SCAN 0 TYPE list COUNT 1000", "*2\r\n$1\r\n0\r\n*0\r\n");
    assert_true(strstr(run(f, "SCAN 0 TYPE STRING COUNT 1000"), "*2\r\n$1\r\na") !=
                    NULL ||
                strstr(run(f, "SCAN 0 TYPE STRING COUNT 1000"), "*2\r\n$1\r\nb") != NULL);
    assert_replies(f, "SCAN 0 COUNT 9223372036854775807 MATCH a",
                   "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n");
}

static void cursors_as_redis_reads_them(void **state)
{
    struct fixture *f = *state;
    static const char *const good[] = {"0", "00", "+0", "-0", "\"\""};
    static const char *const none[] = {"-1", "18446744073709551615", "9007199254740992"};
    static const char *const bad[] = {"x",   "-",      "0x",
                                      "1.5", "\" 0\"", "18446744073709551616"};
    run(f, "SET a 1");
    char line[96];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        snprintf(line, sizeof(line), "SCAN %s COUNT 1000", good[i]);
        assert_string_equal(run(f, line), "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n");
    }
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        snprintf(line, sizeof(line), "SCAN %s COUNT 1000", none[i]);
        assert_string_equal(run(f, line), "*2\r\n$1\r\n0\r\n*0\r\n");
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(line, sizeof(line), "SCAN %s WHATEVER", bad[i]);
        assert_string_equal(run(f, line), "-ERR invalid cursor\r\n");
    }
}

static void options_that_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "SCAN 0 COUNT 0", "-ERR syntax error\r\n");
    assert_replies(f, "SCAN 0 COUNT", "-ERR syntax error\r\n");
    assert_replies(f, "SCAN 0 LIMIT 1", "-ERR syntax error\r\n");
    assert_replies(f, "SCAN 0 COUNT x",
                   "-ERR value is not an integer or out of range\r\n");
    static char line[1200];
    snprintf(line, sizeof(line), "KEYS %01025d", 0);
    assert_string_equal(run(f, line), "-ERR pattern is longer than 1024 bytes\r\n");
    snprintf(line, sizeof(line), "KEYS %01024d", 0);
    assert_string_equal(run(f, line), "*0\r\n");
}

static void count_of_all_keys_or_of_matching_ones(void **state)
{
    struct fixture *f = *state;
    assert_replies(f, "COUNT", ":0\r\n");
    run(f, "MSET a 1 ab 2 b 3");
    assert_replies(f, "COUNT", ":3\r\n");
    assert_replies(f, "COUNT a*", ":2\r\n");
    assert_replies(f, "COUNT a b",
                   "-ERR wrong number of arguments for 'count' command\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCAN_TEST(keys_gives_every_key_once),
        SCAN_TEST(keys_matches_its_pattern),
        SCAN_TEST(the_empty_key_passes_one_star_only),
        SCAN_TEST(a_text_line_may_leave_the_pattern_out),
        SCAN_TEST(scan_without_a_cursor_is_the_whole_walk),
        SCAN_TEST(a_walk_sees_every_key_once),
        SCAN_TEST(scan_filters),
        SCAN_TEST(cursors_as_redis_reads_them),
        SCAN_TEST(options_that_cannot_be_read),
        SCAN_TEST(count_of_all_keys_or_of_matching_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
