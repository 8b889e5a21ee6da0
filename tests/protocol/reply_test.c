/* reply_test.c - one meaning, three dialects. */
#include "protocol/reply.h"
#include "support/test.h"

static unsigned released;

static void release(void *owner)
{
    (void)owner;
    released++;
}

struct said {
    struct buf out;
    struct reply reply;
};

static struct said *say(struct said *said, enum dialect dialect)
{
    buf_init(&said->out);
    reply_init(&said->reply, &said->out, release);
    said->reply.dialect = dialect;
    return said;
}

static void expect(struct said *said, const char *wire)
{
    assert_string_equal(buf_c_string(&said->out), wire);
    assert_int_equal(said->reply.depth, 0);
    reply_fini(&said->reply);
    buf_fini(&said->out);
}

static void scalars_have_a_form_in_every_dialect(void **state)
{
    (void)state;
    static const char *const wire[] = {
        "OK\r\n42\r\n-7\r\nvalue\r\n(null)\r\n1\r\n0.1\r\n(error) ERR no\r\n",
        "+OK\r\n:42\r\n:-7\r\n$5\r\nvalue\r\n$-1\r\n:1\r\n$3\r\n0.1\r\n-ERR no\r\n",
        "+OK\r\n:42\r\n:-7\r\n$5\r\nvalue\r\n_\r\n#t\r\n,0.1\r\n-ERR no\r\n"};
    for (int dialect = 0; dialect < 3; dialect++) {
        struct said said;
        say(&said, (enum dialect)dialect);
        reply_ok(&said.reply);
        reply_integer(&said.reply, 42);
        reply_integer(&said.reply, -7);
        reply_string(&said.reply, "value");
        reply_null(&said.reply);
        reply_boolean(&said.reply, true);
        reply_double(&said.reply, 0.1);
        reply_error(&said.reply, "ERR no");
        assert_int_equal(said.reply.errors, 1);
        expect(&said, wire[dialect]);
    }
}

static void a_text_value_always_reads_back_as_itself(void **state)
{
    (void)state;
    static const struct {
        struct bytes value;
        const char *line;
    } rows[] = {
        {{"plain with spaces", 17}, "plain with spaces\r\n"},
        {{"", 0}, "\"\"\r\n"},
        {{"\"quoted\"", 8}, "\"\\\"quoted\\\"\"\r\n"},
        {{"(null)", 6}, "\"(null)\"\r\n"},
        {{"back\\slash", 10}, "back\\slash\r\n"},
        {{"two\nlines\\", 10}, "\"two\\nlines\\\\\"\r\n"},
        {{"\0\x01\x7f", 3}, "\"\\x00\\x01\\x7f\"\r\n"},
        {{"gr\xc3\xbc\xc3\x9f", 6}, "gr\xc3\xbc\xc3\x9f\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct said said;
        say(&said, DIALECT_TEXT);
        reply_value(&said.reply, rows[i].value);
        expect(&said, rows[i].line);
    }
}

static void text_lists_end_with_end_and_nest_flat(void **state)
{
    (void)state;
    struct said said;
    say(&said, DIALECT_TEXT);
    reply_list(&said.reply, 2);
    reply_string(&said.reply, "17");
    reply_list(&said.reply, 2);
    reply_string(&said.reply, "a");
    reply_string(&said.reply, "b");
    reply_list(&said.reply, 0);
    expect(&said, "17\r\na\r\nb\r\n(end)\r\n(end)\r\n(end)\r\n");
}

static void a_text_map_is_a_field_a_line(void **state)
{
    (void)state;
    struct said said;
    say(&said, DIALECT_TEXT);
    reply_map(&said.reply, 2);
    reply_string(&said.reply, "key");
    reply_string(&said.reply, "a b");
    reply_string(&said.reply, "size");
    reply_integer(&said.reply, 3);
    expect(&said, "key: a b\r\nsize: 3\r\n(end)\r\n");
}

static void aggregates_choose_the_type_of_their_protocol(void **state)
{
    (void)state;
    struct said said;
    say(&said, DIALECT_RESP2);
    reply_map(&said.reply, 1);
    reply_set(&said.reply, 1);
    reply_push(&said.reply, 3);
    reply_null_list(&said.reply);
    reply_text(&said.reply, BYTES("a\r\nb\r\n"));
    expect(&said, "*2\r\n*1\r\n*3\r\n*-1\r\n$6\r\na\r\nb\r\n\r\n");
    say(&said, DIALECT_RESP3);
    reply_map(&said.reply, 1);
    reply_set(&said.reply, 1);
    reply_push(&said.reply, 3);
    reply_null_list(&said.reply);
    reply_text(&said.reply, BYTES("a\r\n"));
    expect(&said, "%1\r\n~1\r\n>3\r\n_\r\n=7\r\ntxt:a\r\n\r\n");
    say(&said, DIALECT_TEXT);
    reply_text(&said.reply, BYTES("a\r\nb\n"));
    expect(&said, "a\r\nb\r\n(end)\r\n");
}

static void a_list_may_learn_its_length_at_the_end(void **state)
{
    (void)state;
    for (int dialect = 0; dialect < 3; dialect++) {
        struct said said;
        say(&said, (enum dialect)dialect);
        reply_list(&said.reply, 2);
        reply_string(&said.reply, "x");
        struct reply_mark mark = reply_list_begin(&said.reply);
        for (int i = 0; i < 12; i++) {
            reply_integer(&said.reply, 1);
        }
        reply_list_end(&said.reply, mark, 12);
        expect(&said,
               dialect == 0
                   ? "x\r\n1\r\n1\r\n1\r\n1\r\n1\r\n1\r\n1\r\n1\r\n1\r\n1\r\n1\r\n"
                     "1\r\n(end)\r\n(end)\r\n"
                   : "*2\r\n$1\r\nx\r\n*12\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1"
                     "\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n");
    }
}

static void an_error_cannot_break_the_line(void **state)
{
    (void)state;
    struct said said;
    say(&said, DIALECT_RESP2);
    reply_errorf(&said.reply, "ERR %s", "a\r\nb");
    expect(&said, "-ERR a  b\r\n");
}

static void a_pinned_value_is_marked_not_copied(void **state)
{
    (void)state;
    released = 0;
    struct said said;
    say(&said, DIALECT_RESP2);
    reply_value_pinned(&said.reply, BYTES("large"), &released);
    assert_int_equal(said.reply.pin_count, 1);
    assert_int_equal(said.reply.pins[0].at, 4); /* behind "$5\r\n" */
    assert_int_equal(released, 0);
    expect(&said, "$5\r\n\r\n");
    assert_int_equal(released, 1); /* by reply_fini, since nobody sent it */
    say(&said, DIALECT_TEXT);
    reply_value_pinned(&said.reply, BYTES("large"), &released);
    assert_int_equal(released, 2); /* copied, so let go at once */
    expect(&said, "large\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_have_a_form_in_every_dialect),
        cmocka_unit_test(a_text_value_always_reads_back_as_itself),
        cmocka_unit_test(text_lists_end_with_end_and_nest_flat),
        cmocka_unit_test(a_text_map_is_a_field_a_line),
        cmocka_unit_test(aggregates_choose_the_type_of_their_protocol),
        cmocka_unit_test(a_list_may_learn_its_length_at_the_end),
        cmocka_unit_test(an_error_cannot_break_the_line),
        cmocka_unit_test(a_pinned_value_is_marked_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
