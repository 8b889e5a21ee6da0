#include "command/spec.h"
#include "support/test.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 64

static struct bytes row_name(const struct command_row *row)
{
    return bytes_of(row->name, row->name_len);
}

/* What was typed for a row: the name with every letter in the case that `bits` says. */
static struct bytes in_case(char text[NAME_MAX_BYTES], struct bytes name, unsigned bits)
{
    assert_true(name.len <= NAME_MAX_BYTES);
    for (size_t i = 0; i < name.len; i++) {
        int c = (unsigned char)name.data[i];
        text[i] = (char)((bits >> (i % 16) & 1) != 0 ? toupper(c) : c);
    }
    return bytes_of(text, name.len);
}

static const struct command_row *container_of(const struct command_row *row)
{
    const char *bar = strchr(row->name, '|');
    return command_find(bytes_of(row->name, (size_t)(bar - row->name)));
}

static void every_row_is_found_in_any_case(void **state)
{
    (void)state;
    char text[NAME_MAX_BYTES];
    for (size_t i = 0; i < command_row_count; i++) {
        const struct command_row *row = &command_rows[i];
        if (command_is_sub(row)) {
            continue;
        }
        for (unsigned bits = 0; bits < 1u << 11; bits++) {
            assert_ptr_equal(command_find(in_case(text, row_name(row), bits)), row);
        }
    }
}

static void every_subcommand_is_found_in_its_container_in_any_case(void **state)
{
    (void)state;
    char text[NAME_MAX_BYTES];
    size_t found = 0;
    for (size_t i = 0; i < command_row_count; i++) {
        const struct command_row *row = &command_rows[i];
        if (!command_is_sub(row)) {
            continue;
        }
        const struct command_row *container = container_of(row);
        assert_non_null(container);
        assert_true((container->flags & COMMAND_CONTAINER) != 0);
        const char *sub = strchr(row->name, '|') + 1;
        for (unsigned bits = 0; bits < 1u << 9; bits++) {
            struct bytes typed = in_case(text, bytes_of_string(sub), bits);
            assert_ptr_equal(command_find_sub(container, typed), row);
        }
        found++;
    }
    assert_true(found > 0);
}

static void every_container_has_a_subcommand(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_row_count; i++) {
        const struct command_row *row = &command_rows[i];
        if ((row->flags & COMMAND_CONTAINER) != 0) {
            assert_true(i + 1 < command_row_count);
            assert_true(command_is_sub(row + 1));
            assert_ptr_equal(container_of(row + 1), row);
        }
    }
}

static void no_name_stands_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_row_count; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(command_rows[i].name, command_rows[j].name);
        }
    }
}

/* One byte changed, taken away or put behind: no row, or the row of that other name. */
static void names_that_are_nearly_right_are_not_found(void **state)
{
    (void)state;
    char text[NAME_MAX_BYTES + 1];
    for (size_t i = 0; i < command_row_count; i++) {
        struct bytes name = row_name(&command_rows[i]);
        memcpy(text, name.data, name.len);
        for (size_t at = 0; at < name.len; at++) {
            for (int byte = 0; byte < 256; byte++) {
                text[at] = (char)byte;
                const struct command_row *row = command_find(bytes_of(text, name.len));
                assert_true(row == NULL ||
                            bytes_equal_nocase(row_name(row), bytes_of(text, name.len)));
            }
            text[at] = name.data[at];
        }
        for (int byte = 0; byte < 256; byte++) {
            text[name.len] = (char)byte;
            const struct command_row *row = command_find(bytes_of(text, name.len + 1));
            assert_true(row == NULL || row->name_len == name.len + 1);
        }
        const struct command_row *row = command_find(bytes_of(text, name.len - 1));
        assert_true(row == NULL || row->name_len == name.len - 1);
    }
}

static void names_nobody_has_are_not_found(void **state)
{
    (void)state;
    static char long_name[100000];
    memset(long_name, 'g', sizeof(long_name));
    assert_null(command_find(bytes_of(NULL, 0)));
    assert_null(command_find(B("g")));
    assert_null(command_find(B("lpush")));
    assert_null(command_find(B("client|id"))); /* a subcommand is not typed so */
    assert_null(command_find(bytes_of(long_name, sizeof(long_name))));
    const struct command_row *client = command_find(B("client"));
    assert_null(command_find_sub(client, bytes_of(NULL, 0)));
    assert_null(command_find_sub(client, B("nothing")));
    assert_null(command_find_sub(client, B("i")));
    assert_null(command_find_sub(client, B("idx")));
    assert_null(command_find_sub(command_find(B("get")), B("id")));
    assert_null(command_find_sub(&command_rows[command_row_count - 1], B("id")));
}

static void rows_say_what_they_are(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_row_count; i++) {
        const struct command_row *row = &command_rows[i];
        assert_int_equal(row->index, i);
        assert_int_equal(row->name_len, strlen(row->name));
        assert_true(row->arity != 0);
        assert_true(command_group_name(row->group)[0] != '\0');
        assert_true(row->summary[0] != '\0');
        assert_true(row->since[0] != '\0');
        assert_non_null(row->syntax);
        assert_non_null(row->complexity);
        /* Nothing both reads only and writes. */
        uint32_t both = COMMAND_WRITE | COMMAND_READONLY;
        assert_true((row->flags & both) != both);
        if (row->first_key == 0) {
            assert_int_equal(row->last_key, 0);
            assert_int_equal(row->key_step, 0);
        } else {
            assert_true(row->first_key > 0 && row->key_step > 0 && row->last_key != 0);
        }
    }
}

struct positions {
    char text[128];
    size_t len;
};

static void note_position(void *context, size_t position)
{
    struct positions *positions = context;
    positions->len +=
        (size_t)snprintf(positions->text + positions->len,
                         sizeof(positions->text) - positions->len, "%zu ", position);
}

static void keys_stand_where_redis_says(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t count;
        const char *positions; /* NULL: the words do not tell */
    } table[] = {
        {"get", 2, "1 "},      {"get", 1, NULL},         {"set", 3, "1 "},
        {"set", 7, "1 "},      {"mget", 2, "1 "},        {"mget", 5, "1 2 3 4 "},
        {"mget", 1, NULL},     {"mset", 3, "1 "},        {"mset", 7, "1 3 5 "},
        {"mset", 6, "1 3 5 "}, {"msetnx", 5, "1 3 "},    {"mset", 0, NULL},
        {"lcs", 3, "1 2 "},    {"lcs", 6, "1 2 "},       {"lcs", 2, NULL},
        {"bitop", 4, "2 3 "},  {"bitop", 6, "2 3 4 5 "}, {"bitop", 2, NULL},
        {"bitfield", 5, "1 "}, {"del", 4, "1 2 3 "},     {"rename", 3, "1 2 "},
        {"copy", 6, "1 2 "},   {"ping", 1, ""},          {"keys", 2, ""},
        {"watch", 3, "1 2 "},  {"inc", 2, "1 "},         {"prepend", 3, "1 "},
        {"incf", 3, "1 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct command_row *row = command_find(bytes_of_string(table[i].name));
        assert_non_null(row);
        struct positions positions = {.len = 0};
        bool told = command_each_key(row, table[i].count, note_position, &positions);
        assert_int_equal(told, table[i].positions != NULL);
        assert_string_equal(positions.text, told ? table[i].positions : "");
    }
    const struct command_row *row =
        command_find_sub(command_find(B("object")), B("freq"));
    struct positions positions = {.len = 0};
    assert_true(command_each_key(row, 3, note_position, &positions));
    assert_string_equal(positions.text, "2 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_in_any_case),
        cmocka_unit_test(every_subcommand_is_found_in_its_container_in_any_case),
        cmocka_unit_test(every_container_has_a_subcommand),
        cmocka_unit_test(no_name_stands_twice),
        cmocka_unit_test(names_that_are_nearly_right_are_not_found),
        cmocka_unit_test(names_nobody_has_are_not_found),
        cmocka_unit_test(rows_say_what_they_are),
        cmocka_unit_test(keys_stand_where_redis_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
