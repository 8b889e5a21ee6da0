#include "scanner.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define PATTERN "0123456789abcdef"

struct sample {
    enum dialect dialect;
    struct bytes input;      /* one reply */
    enum outcome outcome;    /* when nothing is expected */
    uint64_t expected_bytes; /* 0: nothing is */
    enum outcome expecting;  /* when that many bytes of the pattern are */
};

static const struct sample samples[] = {
    {DIALECT_RESP2, BYTES("+OK\r\n"), OUTCOME_OK, 0, OUTCOME_OK},
    {DIALECT_RESP2, BYTES(":42\r\n"), OUTCOME_OK, 0, OUTCOME_OK},
    {DIALECT_RESP2, BYTES("-ERR no\r\n"), OUTCOME_ERROR, 5, OUTCOME_ERROR},
    {DIALECT_RESP2, BYTES("$-1\r\n"), OUTCOME_MISS, 5, OUTCOME_MISS},
    {DIALECT_RESP2, BYTES("*-1\r\n"), OUTCOME_MISS, 0, OUTCOME_MISS},
    {DIALECT_RESP2, BYTES("$0\r\n\r\n"), OUTCOME_OK, 5, OUTCOME_WRONG},
    {DIALECT_RESP2, BYTES("$5\r\n01234\r\n"), OUTCOME_OK, 5, OUTCOME_OK},
    {DIALECT_RESP2, BYTES("$5\r\n01235\r\n"), OUTCOME_OK, 5, OUTCOME_WRONG},
    {DIALECT_RESP2, BYTES("$5\r\n01234\r\n"), OUTCOME_OK, 6, OUTCOME_WRONG},
    {DIALECT_RESP2, BYTES("$6\r\n012345\r\n"), OUTCOME_OK, 5, OUTCOME_WRONG},
    {DIALECT_RESP2, BYTES("$20\r\n" PATTERN "0123\r\n"), OUTCOME_OK, 20, OUTCOME_OK},
    {DIALECT_RESP2, BYTES("$20\r\n" PATTERN "0124\r\n"), OUTCOME_OK, 20, OUTCOME_WRONG},
    {DIALECT_RESP2, BYTES("$8\r\n\r\n+OK\r\n\n\r\n"), OUTCOME_OK, 0, OUTCOME_OK},
    {DIALECT_RESP2, BYTES("*2\r\n$1\r\na\r\n*1\r\n:1\r\n"), OUTCOME_OK, 0, OUTCOME_OK},
    {DIALECT_RESP2, BYTES("*0\r\n"), OUTCOME_OK, 0, OUTCOME_OK},
    {DIALECT_RESP3, BYTES("_\r\n"), OUTCOME_MISS, 5, OUTCOME_MISS},
    {DIALECT_RESP3, BYTES("!6\r\nERR no\r\n"), OUTCOME_ERROR, 0, OUTCOME_ERROR},
    {DIALECT_RESP3, BYTES("=5\r\ntxt:a\r\n"), OUTCOME_OK, 0, OUTCOME_OK},
    {DIALECT_RESP3, BYTES("%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n#t\r\n"), OUTCOME_OK, 0,
     OUTCOME_OK},
    {DIALECT_RESP3, BYTES(">2\r\n+a\r\n+b\r\n$3\r\n012\r\n"), OUTCOME_OK, 3, OUTCOME_OK},
    {DIALECT_TEXT, BYTES("OK\r\n"), OUTCOME_OK, 0, OUTCOME_OK},
    {DIALECT_TEXT, BYTES("(null)\r\n"), OUTCOME_MISS, 5, OUTCOME_MISS},
    {DIALECT_TEXT, BYTES("(error) ERR no\r\n"), OUTCOME_ERROR, 5, OUTCOME_ERROR},
    {DIALECT_TEXT, BYTES("01234\r\n"), OUTCOME_OK, 5, OUTCOME_OK},
    {DIALECT_TEXT, BYTES("01234\n"), OUTCOME_OK, 5, OUTCOME_OK},
    {DIALECT_TEXT, BYTES("01235\r\n"), OUTCOME_OK, 5, OUTCOME_WRONG},
    {DIALECT_TEXT, BYTES("0123\r\n"), OUTCOME_OK, 5, OUTCOME_WRONG},
    {DIALECT_TEXT, BYTES("012345\r\n"), OUTCOME_OK, 5, OUTCOME_WRONG},
    {DIALECT_TEXT, BYTES("+OK\r\n"), OUTCOME_OK, 0, OUTCOME_OK},
    {DIALECT_TEXT, BYTES("$5\r\n01234\r\n"), OUTCOME_OK, 5, OUTCOME_OK},
    {DIALECT_TEXT, BYTES("$5\r\n01230\r\n"), OUTCOME_OK, 5, OUTCOME_WRONG},
    {DIALECT_MEMCACHED, BYTES("STORED\r\n"), OUTCOME_OK, 0, OUTCOME_OK},
    {DIALECT_MEMCACHED, BYTES("END\r\n"), OUTCOME_MISS, 5, OUTCOME_MISS},
    {DIALECT_MEMCACHED, BYTES("ERROR\r\n"), OUTCOME_ERROR, 0, OUTCOME_ERROR},
    {DIALECT_MEMCACHED, BYTES("SERVER_ERROR out\r\n"), OUTCOME_ERROR, 0, OUTCOME_ERROR},
    {DIALECT_MEMCACHED, BYTES("VALUE k 0 5\r\n01234\r\nEND\r\n"), OUTCOME_OK, 5,
     OUTCOME_OK},
    {DIALECT_MEMCACHED, BYTES("VALUE k 0 5\r\nEND\r\n\r\nEND\r\n"), OUTCOME_OK, 5,
     OUTCOME_WRONG},
    {DIALECT_MEMCACHED, BYTES("VALUE k 0 5 77\r\n01234\r\nEND\r\n"), OUTCOME_OK, 5,
     OUTCOME_OK},
};

/* Feeds `input` in pieces of `piece` bytes; counts the replies. Each piece is a block of its
 * own size, so that a sanitizer sees a look beyond its end. */
static size_t feed(struct scanner *scanner, struct bytes input, size_t piece)
{
    size_t replies = 0;
    for (size_t from = 0; from < input.len; from += piece) {
        size_t len = input.len - from < piece ? input.len - from : piece;
        char *block = malloc(len);
        assert_non_null(block);
        memcpy(block, input.data + from, len);
        const char *at = block;
        while (at < block + len) {
            enum memento_status status = scanner_next(scanner, &at, block + len);
            assert_true(status == MEMENTO_OK || status == MEMENTO_AGAIN);
            replies += status == MEMENTO_OK;
        }
        free(block);
    }
    return replies;
}

/* A reply ends at its last byte, however it was cut, and means the same. */
static void replies_may_come_cut_anywhere(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *sample = &samples[i];
        for (size_t piece = 1; piece <= sample->input.len; piece++) {
            struct scanner scanner;
            scanner_init(&scanner, sample->dialect);
            struct bytes but_one = bytes_of(sample->input.data, sample->input.len - 1);
            assert_int_equal(feed(&scanner, but_one, piece), 0);
            struct bytes last = bytes_of(sample->input.data + but_one.len, 1);
            assert_int_equal(feed(&scanner, last, 1), 1);
            assert_int_equal(scanner.outcome, sample->outcome);

            /* The same scanner again: nothing is left over from the reply before. */
            if (sample->expected_bytes > 0) {
                scanner_expect(&scanner, PATTERN, sample->expected_bytes);
                assert_int_equal(feed(&scanner, sample->input, piece), 1);
                assert_int_equal(scanner.outcome, sample->expecting);
            }
        }
    }
}

static void many_replies_in_one_piece_are_counted(void **state)
{
    (void)state;
    struct bytes input = B("$5\r\n01234\r\n$-1\r\n-ERR x\r\n+OK\r\n*1\r\n:1\r\n+OK\r\n");
    for (size_t piece = 1; piece <= input.len; piece++) {
        struct scanner scanner;
        scanner_init(&scanner, DIALECT_RESP2);
        assert_int_equal(feed(&scanner, input, piece), 6);
    }
}

static void the_text_of_an_error_is_kept_without_its_line_end(void **state)
{
    (void)state;
    struct scanner scanner;
    scanner_init(&scanner, DIALECT_RESP2);
    assert_int_equal(feed(&scanner, B("-ERR no\r\n"), 3), 1);
    assert_string_equal(scanner.line, "-ERR no");
}

/* Lines longer than what is kept of them are still compared to their end. */
static void long_text_values_are_verified(void **state)
{
    (void)state;
    char line[1000 + 2];
    for (size_t i = 0; i < 1000; i++) {
        line[i] = PATTERN[i % SCANNER_PATTERN_BYTES];
    }
    memcpy(line + 1000, "\r\n", 2);
    struct scanner scanner;
    scanner_init(&scanner, DIALECT_TEXT);
    scanner_expect(&scanner, PATTERN, 1000);
    assert_int_equal(feed(&scanner, bytes_of(line, sizeof(line)), 100), 1);
    assert_int_equal(scanner.outcome, OUTCOME_OK);
    line[999] = 'x';
    assert_int_equal(feed(&scanner, bytes_of(line, sizeof(line)), 100), 1);
    assert_int_equal(scanner.outcome, OUTCOME_WRONG);
    scanner_expect(&scanner, PATTERN, 1001);
    assert_int_equal(feed(&scanner, bytes_of(line, sizeof(line)), 100), 1);
    assert_int_equal(scanner.outcome, OUTCOME_WRONG);
}

static void what_no_server_says_is_refused(void **state)
{
    (void)state;
    static const struct {
        enum dialect dialect;
        const char *input;
    } wrong[] = {
        {DIALECT_RESP2, "OK\r\n"},
        {DIALECT_RESP2, "\r\n"},
        {DIALECT_RESP2, "$x\r\n"},
        {DIALECT_RESP2, "$-2\r\n"},
        {DIALECT_RESP2, "$\r\n"},
        {DIALECT_RESP2, "$99999999999999999999\r\n"},
        {DIALECT_MEMCACHED, "OK\r\n"},
        {DIALECT_MEMCACHED, "VALUE k 0\r\n"},
        {DIALECT_MEMCACHED, "VALUE\r\n"},
        {DIALECT_MEMCACHED, "VALUE k 0 x\r\n"},
        {DIALECT_MEMCACHED, "VALUE k 0 -1\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct scanner scanner;
        scanner_init(&scanner, wrong[i].dialect);
        const char *at = wrong[i].input;
        assert_int_equal(scanner_next(&scanner, &at, at + strlen(at)),
                         MEMENTO_ERR_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_may_come_cut_anywhere),
        cmocka_unit_test(many_replies_in_one_piece_are_counted),
        cmocka_unit_test(the_text_of_an_error_is_kept_without_its_line_end),
        cmocka_unit_test(long_text_values_are_verified),
        cmocka_unit_test(what_no_server_says_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
