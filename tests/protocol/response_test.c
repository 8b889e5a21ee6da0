#include "base/os.h"
#include "base/random.h"
#include "protocol/response.h"
#include "support/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every type, nested, with attributes on the way. */
#define EVERYTHING                                                                    \
    "*13\r\n+OK\r\n-ERR no\r\n:-42\r\n$5\r\na\r\nbc\r\n$-1\r\n*-1\r\n_\r\n,1.5e3\r\n" \
    "#t\r\n(12345678901234567890\r\n=8\r\ntxt:a\r\nb\r\n"                             \
    "%2\r\n+k\r\n~2\r\n:1\r\n:2\r\n$0\r\n\r\n*0\r\n"                                  \
    "|1\r\n+ttl\r\n*2\r\n:1\r\n:2\r\n!5\r\nERR x\r\n"

static int setup(void **state)
{
    struct response *response = malloc(sizeof(*response));
    response_init(response);
    *state = response;
    return 0;
}

static int teardown(void **state)
{
    os_fail_never();
    response_fini(*state);
    free(*state);
    return 0;
}

static const struct response_node *parse(struct response *response, struct bytes input)
{
    size_t consumed = 0;
    assert_int_equal(response_parse(response, input, &consumed), MEMENTO_OK);
    assert_int_equal(consumed, input.len);
    return response->nodes;
}

static enum memento_status status_of(struct response *response, struct bytes input)
{
    size_t consumed = 0;
    response_reset(response);
    return response_parse(response, input, &consumed);
}

static void every_type_is_told_apart(void **state)
{
    struct response *response = *state;
    const struct response_node *nodes = parse(response, B(EVERYTHING));
    const struct {
        enum response_type type;
        const char *bytes;
    } expected[] = {{RESPONSE_LIST, NULL},
                    {RESPONSE_STATUS, "OK"},
                    {RESPONSE_ERROR, "ERR no"},
                    {RESPONSE_INTEGER, "-42"},
                    {RESPONSE_VALUE, "a\r\nbc"},
                    {RESPONSE_NULL, ""},
                    {RESPONSE_NULL, ""},
                    {RESPONSE_NULL, ""},
                    {RESPONSE_DOUBLE, "1.5e3"},
                    {RESPONSE_BOOLEAN, "t"},
                    {RESPONSE_BIG_NUMBER, "12345678901234567890"},
                    {RESPONSE_TEXT, "a\r\nb"},
                    {RESPONSE_MAP, NULL},
                    {RESPONSE_STATUS, "k"},
                    {RESPONSE_SET, NULL},
                    {RESPONSE_INTEGER, "1"},
                    {RESPONSE_INTEGER, "2"},
                    {RESPONSE_VALUE, ""},
                    {RESPONSE_LIST, NULL},
                    {RESPONSE_ERROR, "ERR x"}};
    assert_int_equal(response->count, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_int_equal(nodes[i].type, expected[i].type);
        if (expected[i].bytes != NULL) {
            assert_bytes_equal(nodes[i].bytes, bytes_of_string(expected[i].bytes));
        }
    }
    assert_int_equal(nodes[3].integer, -42);
    assert_int_equal(nodes[9].integer, 1);
}

/* A list says how many children it has and where its last descendant ends. */
static void lists_know_their_children(void **state)
{
    const struct response_node *nodes = parse(*state, B(EVERYTHING));
    assert_int_equal(nodes[0].count, 13);
    assert_int_equal(nodes[0].end, 20);
    assert_int_equal(nodes[12].count, 2); /* pairs */
    assert_int_equal(nodes[12].end, 19);
    assert_int_equal(nodes[14].count, 2);
    assert_int_equal(nodes[14].end, 17);
    assert_int_equal(nodes[18].count, 0);
    assert_int_equal(nodes[18].end, 19);
}

/* Attributes describe what follows them, wherever they stand, and leave no trace. */
static void attributes_are_skipped(void **state)
{
    struct response *response = *state;
    const struct response_node *nodes =
        parse(response, B("|1\r\n+a\r\n|1\r\n+b\r\n+c\r\n*1\r\n:7\r\n|0\r\n+OK\r\n"));
    assert_int_equal(response->count, 1);
    assert_bytes_equal(nodes[0].bytes, B("OK"));
}

static void a_push_is_a_list_of_its_own_type(void **state)
{
    struct response *response = *state;
    const struct response_node *nodes =
        parse(response, B(">3\r\n+message\r\n$1\r\nc\r\n$1\r\nm\r\n"));
    assert_int_equal(nodes[0].type, RESPONSE_PUSH);
    assert_int_equal(nodes[0].count, 3);
}

/* Wherever the bytes are cut, the same response comes out, at its last byte and not
 * before; and the input may move in between. */
static void any_cut_gives_the_same_response(void **state)
{
    struct response *response = *state;
    struct bytes whole = B(EVERYTHING);
    for (size_t cut = 0; cut < whole.len; cut++) {
        char *first = malloc(whole.len);
        memcpy(first, whole.data, whole.len);
        size_t consumed = 99;
        assert_int_equal(response_parse(response, bytes_of(first, cut), &consumed),
                         MEMENTO_AGAIN);
        assert_int_equal(consumed, 99);
        memset(first, 'x', whole.len);
        free(first);
        const struct response_node *nodes = parse(response, whole);
        assert_int_equal(response->count, 20);
        assert_bytes_equal(nodes[4].bytes, B("a\r\nbc"));
        assert_bytes_equal(nodes[19].bytes, B("ERR x"));
    }
}

static void byte_after_byte_gives_the_same_response(void **state)
{
    struct response *response = *state;
    struct bytes whole = B(EVERYTHING);
    size_t consumed = 0;
    for (size_t len = 0; len < whole.len; len++) {
        assert_int_equal(response_parse(response, bytes_of(whole.data, len), &consumed),
                         MEMENTO_AGAIN);
    }
    parse(response, whole);
    assert_int_equal(response->count, 20);
}

/* Only the first response is taken; the next stands behind it. */
static void responses_come_one_by_one(void **state)
{
    struct response *response = *state;
    struct bytes input = B("+A\r\n:1\r\n");
    size_t consumed = 0;
    assert_int_equal(response_parse(response, input, &consumed), MEMENTO_OK);
    assert_int_equal(consumed, 4);
    assert_bytes_equal(response->nodes[0].bytes, B("A"));
    parse(response, bytes_of(input.data + 4, input.len - 4));
    assert_int_equal(response->nodes[0].integer, 1);
}

static void what_is_no_protocol_is_refused(void **state)
{
    const struct bytes wrong[] = {B("HTTP/1.1 400 Bad Request\r\n"),
                                  B("\r\n"),
                                  B("\n"),
                                  B("+OK\n"),
                                  B("?\r\n"),
                                  B(":\r\n"),
                                  B(":1x\r\n"),
                                  B(":+1\r\n"),
                                  B(":9223372036854775808\r\n"),
                                  B("$\r\n"),
                                  B("$-2\r\n"),
                                  B("$?\r\n"),
                                  B("$3\r\nabcde"),
                                  B("$3\r\nabc\n\n"),
                                  B("*-2\r\n"),
                                  B("*x\r\n"),
                                  B("*1 \r\n"),
                                  B("%-2\r\n"),
                                  B("|-1\r\n"),
                                  B("#\r\n"),
                                  B("#x\r\n"),
                                  B("#tt\r\n"),
                                  B("_x\r\n"),
                                  B(",\r\n"),
                                  B(",abc\r\n"),
                                  B(",1,5\r\n"),
                                  B("(1.5\r\n"),
                                  B("(\r\n"),
                                  B("=3\r\ntxt\r\n"),
                                  B("=4\r\ntxt;\r\n"),
                                  B("*1\r\nx\r\n"),
                                  B("\0"),
                                  B("x"),
                                  B("(error) ERR in the other dialect\r\n"),
                                  B("OK\r\n")};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (status_of(*state, wrong[i]) != MEMENTO_ERR_INVALID) {
            test_bytes_equal(wrong[i], B("(refused)"), __FILE__, __LINE__);
        }
    }
}

/* What is declared is checked before a byte is allocated for it: the sizes of these,
 * times the size of anything, do not fit into 64 bits (CVE-2021-32762 was such a
 * product). */
static void declared_sizes_are_bounded(void **state)
{
    const struct bytes large[] = {B("*67108865\r\n"),
                                  B("*4294967296\r\n"),
                                  B("*1152921504606846976\r\n"),
                                  B("*9223372036854775807\r\n"),
                                  B("%33554433\r\n"),
                                  B("%9223372036854775807\r\n"),
                                  B("~9223372036854775807\r\n"),
                                  B(">9223372036854775807\r\n"),
                                  B("|9223372036854775807\r\n"),
                                  B("$9223372036854775807\r\n"),
                                  B("$536870977\r\n"),
                                  B("=9223372036854775807\r\n"),
                                  B("!9223372036854775807\r\n")};
    os_fail_at(OS_MEMORY, 1, ENOMEM, true);
    for (size_t i = 0; i < ARRAY_LEN(large); i++) {
        if (status_of(*state, large[i]) != MEMENTO_ERR_TOO_LARGE) {
            test_bytes_equal(large[i], B("(too large)"), __FILE__, __LINE__);
        }
    }
    assert_int_equal(os_calls(OS_MEMORY), 0);
}

/* The largest count that is allowed costs one node until its elements come. */
static void memory_grows_with_what_arrives(void **state)
{
    struct response *response = *state;
    assert_int_equal(status_of(response, B("*67108864\r\n:1\r\n:2\r\n")), MEMENTO_AGAIN);
    assert_int_equal(response->count, 3);
    assert_true(response->cap <= 64);
}

static void lists_nest_to_the_limit_and_no_deeper(void **state)
{
    char input[(RESPONSE_DEPTH_MAX + 1) * 4 + 4];
    size_t len = 0;
    for (int i = 0; i < RESPONSE_DEPTH_MAX + 1; i++) {
        memcpy(input + len, "*1\r\n", 4);
        len += 4;
    }
    assert_int_equal(status_of(*state, bytes_of(input, len)), MEMENTO_ERR_TOO_LARGE);
    len -= 4;
    memcpy(input + len, ":1\r\n", 4);
    assert_int_equal(status_of(*state, bytes_of(input, len + 4)), MEMENTO_OK);
}

static void a_line_without_end_is_refused_at_the_limit(void **state)
{
    char *line = malloc(RESPONSE_LINE_BYTES_MAX);
    memset(line, 'a', RESPONSE_LINE_BYTES_MAX);
    line[0] = '+';
    assert_int_equal(status_of(*state, bytes_of(line, RESPONSE_LINE_BYTES_MAX - 1)),
                     MEMENTO_AGAIN);
    assert_int_equal(status_of(*state, bytes_of(line, RESPONSE_LINE_BYTES_MAX)),
                     MEMENTO_ERR_TOO_LARGE);
    free(line);
}

static void no_memory_is_an_answer(void **state)
{
    os_fail_at(OS_MEMORY, 1, ENOMEM, true);
    assert_int_equal(status_of(*state, B("+OK\r\n")), MEMENTO_ERR_NO_MEMORY);
}

/* Damaged bytes are answered somehow, and never make the parser claim more than there is.
 * The copy has exactly the size of its bytes, so a sanitizer sees one read too many. */
static void damaged_bytes_do_no_harm(void **state)
{
    struct response *response = *state;
    struct bytes whole = B(EVERYTHING);
    struct random random;
    random_init(&random, 20260131);
    static const char likely[] = "*$%~>|:+-_,#(=!\r\n0123456789-t";
    size_t answered = 0;
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)random_below(&random, whole.len + 1);
        char *copy = malloc(len > 0 ? len : 1);
        memcpy(copy, whole.data, len);
        for (size_t i = 0; len > 0 && i < 1 + random_below(&random, 4); i++) {
            copy[random_below(&random, len)] =
                likely[random_below(&random, sizeof(likely) - 1)];
        }
        size_t consumed = 0;
        response_reset(response);
        if (response_parse(response, bytes_of(copy, len), &consumed) == MEMENTO_OK) {
            assert_true(consumed <= len);
            assert_int_equal(response->nodes[0].end, response->count);
            for (size_t i = 0; i < response->count; i++) {
                struct bytes bytes = response->nodes[i].bytes;
                assert_true(bytes.data >= copy && bytes.data + bytes.len <= copy + len);
                assert_true(response->nodes[i].end > i);
            }
            answered++;
        }
        free(copy);
    }
    assert_true(answered > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_is_told_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_know_their_children, setup, teardown),
        cmocka_unit_test_setup_teardown(attributes_are_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_push_is_a_list_of_its_own_type, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(any_cut_gives_the_same_response, setup, teardown),
        cmocka_unit_test_setup_teardown(byte_after_byte_gives_the_same_response, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(responses_come_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_protocol_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(declared_sizes_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_grows_with_what_arrives, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_nest_to_the_limit_and_no_deeper, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_line_without_end_is_refused_at_the_limit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(no_memory_is_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_bytes_do_no_harm, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
