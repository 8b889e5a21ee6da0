/* request_test.c - what request_parse promises: both dialects, cut anywhere, bounded. */
#include "base/buf.h"
#include "base/heap.h"
#include "base/os.h"
#include "protocol/request.h"
#include "support/test.h"

#include <errno.h>
#include <stdlib.h>

static const struct request_limits generous = {
    .words_max = 1048576, .word_bytes_max = 512u << 20, .line_bytes_max = 1 << 20};

/* Feeds `input` in pieces of `piece` bytes and describes what comes out, one request a line:
 * R[word|word] for RESP, T[...] for text, !error for BAD, X error for BROKEN. */
static void describe(const char *input, size_t len, size_t piece,
                     const struct request_limits *limits, struct buf *out)
{
    struct parser parser;
    struct words words;
    struct buf in;
    parser_init(&parser);
    words_init(&words);
    buf_init(&in);
    size_t fed = 0;
    bool broken = false;
    while (!broken && fed < len) {
        size_t step = piece < len - fed ? piece : len - fed;
        buf_append(&in, input + fed, step);
        fed += step;
        for (;;) {
            struct request request;
            size_t consumed;
            enum request_status status = request_parse(&parser, in.data, in.len, limits,
                                                       &words, &request, &consumed);
            if (status == REQUEST_READY) {
                buf_append_string(out, request.is_resp ? "R[" : "T[");
                for (size_t i = 0; i < request.count; i++) {
                    if (i > 0) {
                        buf_append_char(out, '|');
                    }
                    buf_append_bytes(out, words.items[request.first + i]);
                }
                buf_append_string(out, "]\n");
            } else if (status == REQUEST_BAD || status == REQUEST_BROKEN) {
                buf_appendf(out, "%c %s\n", status == REQUEST_BAD ? '!' : 'X',
                            request.error);
            }
            buf_consume(&in, consumed);
            words.count = 0;
            if (status == REQUEST_BROKEN) {
                broken = true;
                break;
            }
            if (status == REQUEST_PARTIAL) {
                break;
            }
        }
    }
    buf_fini(&in);
    words_fini(&words);
    parser_fini(&parser);
}

/* The same requests must come out however the bytes are cut. */
static void check_with(const char *input, size_t len, const struct request_limits *limits,
                       const char *expected)
{
    for (size_t piece = 1; piece <= len; piece++) {
        struct buf out;
        buf_init(&out);
        describe(input, len, piece, limits, &out);
        assert_string_equal(buf_c_string(&out), expected);
        buf_fini(&out);
    }
}

#define CHECK_PARSE(input, expected) \
    check_with(input, sizeof(input) - 1, &generous, expected)

static void resp_requests_come_out_whole_however_they_are_cut(void **state)
{
    (void)state;
    CHECK_PARSE("*1\r\n$4\r\nPING\r\n", "R[PING]\n");
    CHECK_PARSE("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", "R[SET|k|]\n");
    CHECK_PARSE("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n",
                "R[GET|a]\nR[GET|b]\n");
    CHECK_PARSE("*2\r\n$4\r\nECHO\r\n$12\r\n*1\r\n$4\r\nPING\r\n",
                "R[ECHO|*1\r\n$4\r\nPING]\n");
    CHECK_PARSE("*0\r\n*-1\r\n*1\r\n$1\r\nA\r\n", "R[A]\n");
}

static void dialects_are_told_apart_request_by_request(void **state)
{
    (void)state;
    CHECK_PARSE("get a\n*1\r\n$4\r\nPING\r\nget b\r\n", "T[get|a]\nR[PING]\nT[get|b]\n");
}

static void lines_are_split_and_unquoted(void **state)
{
    (void)state;
    CHECK_PARSE("SET  k\t v \r\n\r\n  \nGET k\n", "T[SET|k|v]\nT[GET|k]\n");
    CHECK_PARSE("SET k \"a b\\n\\x41\\\"\\\\\" 'c\\'d\\n'\n",
                "T[SET|k|a b\nA\"\\|c'd\\n]\n");
    CHECK_PARSE("SET k \"\"\n", "T[SET|k|]\n");
    CHECK_PARSE("SET k \"\\xzz\\q\"\n", "T[SET|k|xzzq]\n");
}

static void nul_bytes_are_data_in_both_dialects(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out);
    static const char input[] = "ECHO a\0b\n*2\r\n$4\r\nECHO\r\n$3\r\na\0b\r\n";
    describe(input, sizeof(input) - 1, 5, &generous, &out);
    static const char expected[] = "T[ECHO|a\0b]\nR[ECHO|a\0b]\n";
    assert_bytes_equal(buf_bytes(&out), bytes_of(expected, sizeof(expected) - 1));
    buf_fini(&out);
}

static void an_unbalanced_quote_is_answered_and_the_connection_lives(void **state)
{
    (void)state;
    CHECK_PARSE("SET k \"abc\nGET k\n",
                "! Protocol error: unbalanced quotes in request\nT[GET|k]\n");
    CHECK_PARSE("SET k \"a\"b\nGET k\n",
                "! Protocol error: unbalanced quotes in request\nT[GET|k]\n");
}

static void an_overlong_line_is_skipped_to_its_end(void **state)
{
    (void)state;
    struct request_limits small = generous;
    small.line_bytes_max = 8;
    static const char input[] = "GET k\nSET k 0123456789\nGET 12345\r\nGET kk\r\n";
    check_with(input, sizeof(input) - 1, &small,
               "T[GET|k]\n! Protocol error: too big inline request\n"
               "! Protocol error: too big inline request\nT[GET|kk]\n");
}

/* A million words or half a gigabyte announced cost nothing until they come. */
static void declared_lengths_allocate_nothing_ahead_of_the_bytes(void **state)
{
    (void)state;
    size_t before = heap_bytes_used();
    struct parser parser;
    struct words words;
    parser_init(&parser);
    words_init(&words);
    char input[] = "*1048576\r\n$536870912\r\nabc";
    struct request request;
    size_t consumed;
    assert_int_equal(request_parse(&parser, input, sizeof(input) - 1, &generous, &words,
                                   &request, &consumed),
                     REQUEST_PARTIAL);
    assert_true(heap_bytes_used() - before < 8192);
    assert_int_equal(parser_wants(&parser), 22 + 536870912u + 2);
    parser_fini(&parser);
    words_fini(&words);
}

static void framing_errors_break_the_connection_with_a_reason(void **state)
{
    (void)state;
    CHECK_PARSE("*x\r\n", "X Protocol error: invalid multibulk length\n");
    CHECK_PARSE("*1048577\r\n", "X Protocol error: invalid multibulk length\n");
    CHECK_PARSE("*99999999999999999999\r\n",
                "X Protocol error: invalid multibulk length\n");
    CHECK_PARSE("*1\r\n+PING\r\n", "X Protocol error: expected '$', got '+'\n");
    CHECK_PARSE("*1\r\n$-1\r\n", "X Protocol error: invalid bulk length\n");
    CHECK_PARSE("*1\r\n$536870913\r\n", "X Protocol error: invalid bulk length\n");
    CHECK_PARSE("*1\r\n$1a\r\n", "X Protocol error: invalid bulk length\n");
    CHECK_PARSE("*1\r\n$01\r\nx\r\n", "X Protocol error: invalid bulk length\n");
}

static void before_auth_the_limits_are_tight(void **state)
{
    (void)state;
    struct request_limits tight = {.words_max = 10,
                                   .word_bytes_max = 16384,
                                   .line_bytes_max = 65536,
                                   .unauthenticated = true};
    static const char many[] = "*11\r\n";
    check_with(many, sizeof(many) - 1, &tight,
               "X Protocol error: unauthenticated multibulk length\n");
    static const char large[] = "*2\r\n$16385\r\n";
    check_with(large, sizeof(large) - 1, &tight,
               "X Protocol error: unauthenticated bulk length\n");
}

static void an_endless_number_is_refused(void **state)
{
    (void)state;
    size_t len = 70000;
    char *input = malloc(len);
    memset(input, '1', len);
    input[0] = '*';
    struct buf out;
    buf_init(&out);
    describe(input, len, 4096, &generous, &out);
    assert_string_equal(buf_c_string(&out),
                        "X Protocol error: too big mbulk count string\n");
    buf_fini(&out);
    free(input);
}

/* Each byte is looked at once: a million words in small pieces must not take quadratic time,
 * which this test would not survive within ctest's patience. */
static void the_largest_request_arrives_in_small_pieces(void **state)
{
    (void)state;
    enum { WORDS = 1048576, WORD = 7 };
    struct buf input;
    buf_init(&input);
    buf_appendf(&input, "*%d\r\n", WORDS);
    for (int i = 0; i < WORDS; i++) {
        buf_append_string(&input, "$1\r\nx\r\n");
    }
    struct parser parser;
    struct words words;
    parser_init(&parser);
    words_init(&words);
    struct request request;
    size_t consumed = 0;
    enum request_status status = REQUEST_PARTIAL;
    for (size_t len = 1000; status == REQUEST_PARTIAL; len += 1000) {
        size_t there = len < input.len ? len : input.len;
        status = request_parse(&parser, input.data, there, &generous, &words, &request,
                               &consumed);
    }
    assert_int_equal(status, REQUEST_READY);
    assert_int_equal(request.count, WORDS);
    assert_int_equal(consumed, input.len);
    assert_int_equal(words.items[request.first + WORDS - 1].data - input.data,
                     input.len - 3);
    parser_fini(&parser);
    words_fini(&words);
    buf_fini(&input);
}

/* The nth allocation fails, whichever it is: the request is refused with a reason or comes out
 * whole, and no byte of memory is lost. */
static void running_out_of_memory_breaks_the_request_and_nothing_else(void **state)
{
    (void)state;
    static const char input[] = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    unsigned refused = 0;
    for (uint64_t nth = 1; nth <= 4; nth++) {
        struct buf out;
        buf_init(&out);
        assert_true(buf_reserve(&out, 4096));
        struct parser parser;
        struct words words;
        parser_init(&parser);
        words_init(&words);
        size_t before = heap_bytes_used();
        os_fail_at(OS_MEMORY, nth, ENOMEM, false);
        char bytes[sizeof(input)];
        memcpy(bytes, input, sizeof(input));
        struct request request;
        size_t consumed;
        enum request_status status =
            request_parse(&parser, bytes, 15, &generous, &words, &request, &consumed);
        if (status == REQUEST_PARTIAL) {
            status = request_parse(&parser, bytes, sizeof(input) - 1, &generous, &words,
                                   &request, &consumed);
        }
        os_fail_never();
        assert_true(status == REQUEST_READY || status == REQUEST_BROKEN);
        if (status == REQUEST_BROKEN) {
            assert_string_equal(request.error, "out of memory");
            refused++;
        }
        parser_fini(&parser);
        words_fini(&words);
        assert_int_equal(heap_bytes_used(), before);
        buf_fini(&out);
    }
    assert_true(refused >= 2); /* the words, and the spans of the unfinished request */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resp_requests_come_out_whole_however_they_are_cut),
        cmocka_unit_test(dialects_are_told_apart_request_by_request),
        cmocka_unit_test(lines_are_split_and_unquoted),
        cmocka_unit_test(nul_bytes_are_data_in_both_dialects),
        cmocka_unit_test(an_unbalanced_quote_is_answered_and_the_connection_lives),
        cmocka_unit_test(an_overlong_line_is_skipped_to_its_end),
        cmocka_unit_test(declared_lengths_allocate_nothing_ahead_of_the_bytes),
        cmocka_unit_test(framing_errors_break_the_connection_with_a_reason),
        cmocka_unit_test(before_auth_the_limits_are_tight),
        cmocka_unit_test(an_endless_number_is_refused),
        cmocka_unit_test(the_largest_request_arrives_in_small_pieces),
        cmocka_unit_test(running_out_of_memory_breaks_the_request_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
