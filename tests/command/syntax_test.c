#include "base/buf.h"
#include "command/syntax.h"
#include "support/test.h"

/* ---- a tree written as text again ---- */

static void write_one(struct buf *text, const struct syntax *syntax, int at, int depth);

static void write_list(struct buf *text, const struct syntax *syntax, int at,
                       const char *between, int depth)
{
    for (int i = at; i >= 0; i = syntax->nodes[i].next) {
        if (i != at) {
            buf_append_string(text, between);
        }
        write_one(text, syntax, i, depth);
    }
}

static void write_plain(struct buf *text, const struct syntax *syntax, int at, int depth)
{
    const struct syntax_node *node = &syntax->nodes[at];
    assert_true(depth < 10);
    switch (node->kind) {
    case SYNTAX_TOKEN:
        buf_append_bytes(text, node->token);
        break;
    case SYNTAX_ARGUMENT:
        if (node->token.len > 0) {
            buf_append_bytes(text, node->token);
            buf_append_char(text, ' ');
        }
        buf_append_string(text, node->name);
        break;
    case SYNTAX_ONE_OF:
        write_list(text, syntax, node->child, " | ", depth + 1);
        break;
    case SYNTAX_BLOCK:
        write_list(text, syntax, node->child, " ", depth + 1);
        break;
    }
}

static void write_one(struct buf *text, const struct syntax *syntax, int at, int depth)
{
    const struct syntax_node *node = &syntax->nodes[at];
    if (node->is_optional) {
        buf_append_char(text, '[');
        write_plain(text, syntax, at, depth);
        buf_append_string(text, node->is_multiple ? " ...]" : "]");
    } else {
        write_plain(text, syntax, at, depth);
        if (node->is_multiple) {
            buf_append_string(text, " [");
            write_plain(text, syntax, at, depth);
            buf_append_string(text, " ...]");
        }
    }
}

static const struct command_row *row_named(const char *name)
{
    for (size_t i = 0; i < command_row_count; i++) {
        if (strcmp(command_rows[i].name, name) == 0) {
            return &command_rows[i];
        }
    }
    fail_msg("no row %s", name);
    return NULL;
}

/* What the grammar leaves out on purpose, because it cannot be told for certain. */
static bool is_too_hard(const char *name)
{
    static const char *const names[] = {"bitfield", "bitfield_ro", "bitop", "client|kill",
                                        "command|list"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void every_row_but_a_few_reads_and_writes_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_row_count; i++) {
        const struct command_row *row = &command_rows[i];
        struct syntax syntax;
        bool was_read = syntax_read(&syntax, row);
        if (was_read == is_too_hard(row->name)) {
            fail_msg("%s: %s", row->name, row->syntax);
        }
        if (was_read) {
            struct buf text;
            buf_init(&text);
            write_list(&text, &syntax, syntax.first, " ", 0);
            assert_bytes_equal(buf_bytes(&text), bytes_of_string(row->syntax));
            buf_fini(&text);
        }
    }
}

static void the_tree_of_set(void **state)
{
    (void)state;
    struct command_row row = *row_named("set");
    row.syntax = "key value [NX | XX] [GET] [EX seconds | KEEPTTL]";
    struct syntax syntax;
    assert_true(syntax_read(&syntax, &row));
    assert_int_equal(syntax_length(&syntax, syntax.first), 5);
    const struct syntax_node *node = &syntax.nodes[syntax.first];
    assert_string_equal(node->name, "key");
    assert_int_equal(node->key_spec, 0);
    node = &syntax.nodes[node->next];
    assert_string_equal(node->name, "value");
    assert_int_equal(node->key_spec, -1);
    node = &syntax.nodes[node->next];
    assert_int_equal(node->kind, SYNTAX_ONE_OF);
    assert_true(node->is_optional && !node->is_multiple);
    assert_int_equal(syntax_length(&syntax, node->child), 2);
    assert_int_equal(syntax.nodes[node->child].kind, SYNTAX_TOKEN);
    node = &syntax.nodes[node->next];
    assert_int_equal(node->kind, SYNTAX_TOKEN);
    assert_string_equal(node->name, "get");
    node = &syntax.nodes[node->next];
    const struct syntax_node *seconds = &syntax.nodes[node->child];
    assert_int_equal(seconds->kind, SYNTAX_ARGUMENT);
    assert_string_equal(seconds->name, "seconds");
    assert_bytes_equal(seconds->token, B("EX"));
}

static void the_block_of_mset(void **state)
{
    (void)state;
    struct syntax syntax;
    assert_true(syntax_read(&syntax, row_named("mset")));
    assert_int_equal(syntax_length(&syntax, syntax.first), 1);
    const struct syntax_node *block = &syntax.nodes[syntax.first];
    assert_int_equal(block->kind, SYNTAX_BLOCK);
    assert_string_equal(block->name, "key_value");
    assert_true(block->is_multiple && !block->is_optional);
    assert_int_equal(syntax.nodes[block->child].key_spec, 0);
    assert_int_equal(syntax_length(&syntax, block->child), 2);
}

static void keys_know_their_specification(void **state)
{
    (void)state;
    struct syntax syntax;
    assert_true(syntax_read(&syntax, row_named("rename")));
    assert_int_equal(syntax.nodes[0].key_spec, 0);
    assert_int_equal(syntax.nodes[1].key_spec, 1);
    assert_true(syntax_read(&syntax, row_named("lcs")));
    assert_int_equal(syntax.nodes[0].key_spec, 0);
    assert_int_equal(syntax.nodes[1].key_spec, 0);
    assert_true(syntax_read(&syntax, row_named("object|freq")));
    assert_int_equal(syntax.nodes[0].key_spec, 0);
}

static void texts_that_are_no_syntax_are_refused(void **state)
{
    (void)state;
    char too_many[SYNTAX_NODES_MAX * 2 + 3];
    for (size_t i = 0; i < sizeof(too_many); i++) {
        too_many[i] = i % 2 == 0 ? 'a' : ' ';
    }
    too_many[sizeof(too_many) - 1] = '\0';
    const char *const texts[] = {"[",       "]",     "[]",      "a]",
                                 "[a",      "a |",   "| a",     "a b | c",
                                 "a | b c", "A B c", "a b ...", "[[[[[[[[a]]]]]]]]",
                                 "...",     too_many};
    struct command_row row = *row_named("set");
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct syntax syntax;
        row.syntax = texts[i];
        if (syntax_read(&syntax, &row)) {
            fail_msg("%s", texts[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_but_a_few_reads_and_writes_back),
        cmocka_unit_test(the_tree_of_set),
        cmocka_unit_test(the_block_of_mset),
        cmocka_unit_test(keys_know_their_specification),
        cmocka_unit_test(texts_that_are_no_syntax_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
