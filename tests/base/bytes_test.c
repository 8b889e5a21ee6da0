#include "base/bytes.h"
#include "support/test.h"

static void a_literal_keeps_the_nul_bytes_inside_it(void **state)
{
    (void)state;
    assert_int_equal(B("a\0b").len, 3);
    assert_int_equal(B("").len, 0);
}

static void views_of_nothing_are_equal_wherever_they_point(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_of(NULL, 0), B("")));
    assert_true(bytes_equal_nocase(bytes_of(NULL, 0), B("")));
    assert_int_equal(bytes_compare(bytes_of(NULL, 0), B("")), 0);
    assert_true(bytes_equal_constant_time(bytes_of(NULL, 0), bytes_of(NULL, 0)));
}

static void equality_looks_at_every_byte_and_at_the_length(void **state)
{
    (void)state;
    assert_true(bytes_equal(B("a\0b"), B("a\0b")));
    assert_false(bytes_equal(B("a\0b"), B("a\0c")));
    assert_false(bytes_equal(B("ab"), B("abc")));
}

static void case_is_ignored_for_ascii_letters_only(void **state)
{
    (void)state;
    assert_true(bytes_is(B("GeT"), "gEt"));
    assert_false(bytes_is(B("GET"), "GETEX"));
    assert_false(bytes_is(B("GETEX"), "GET"));
    /* Neighbours of the letters that differ in the same bit: @ ` [ { */
    assert_false(bytes_equal_nocase(B("@["), B("`{")));
    assert_false(bytes_equal_nocase(B("\xc4"), B("\xe4")));
}

static void order_is_by_unsigned_bytes_and_a_prefix_comes_first(void **state)
{
    (void)state;
    assert_true(bytes_compare(B("a"), B("b")) < 0);
    assert_true(bytes_compare(B("\xff"), B("a")) > 0);
    assert_true(bytes_compare(B("ab"), B("abc")) < 0);
    assert_true(bytes_compare(B("abc"), B("ab")) > 0);
    assert_int_equal(bytes_compare(B("ab"), B("ab")), 0);
}

static void a_secret_equals_itself_and_nothing_else(void **state)
{
    (void)state;
    assert_true(bytes_equal_constant_time(B("secret"), B("secret")));
    assert_false(bytes_equal_constant_time(B("secreT"), B("secret")));
    assert_false(bytes_equal_constant_time(B("secre"), B("secret")));
    /* Goes round the secret twice and finds no byte that differs: the length still
     * does. */
    assert_false(bytes_equal_constant_time(B("secretsecret"), B("secret")));
    assert_false(bytes_equal_constant_time(B(""), B("secret")));
    assert_false(bytes_equal_constant_time(B("secret"), B("")));
    assert_false(bytes_equal_constant_time(B("\0"), B("")));
}

static void a_text_starts_with_its_prefixes(void **state)
{
    (void)state;
    assert_true(bytes_start_with(B("user:1"), B("user:")));
    assert_true(bytes_start_with(B("user:1"), B("")));
    assert_true(bytes_start_with(B("user:1"), B("user:1")));
    assert_false(bytes_start_with(B("user"), B("user:")));
    assert_false(bytes_start_with(B("user"), B("s")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_keeps_the_nul_bytes_inside_it),
        cmocka_unit_test(views_of_nothing_are_equal_wherever_they_point),
        cmocka_unit_test(equality_looks_at_every_byte_and_at_the_length),
        cmocka_unit_test(case_is_ignored_for_ascii_letters_only),
        cmocka_unit_test(order_is_by_unsigned_bytes_and_a_prefix_comes_first),
        cmocka_unit_test(a_secret_equals_itself_and_nothing_else),
        cmocka_unit_test(a_text_starts_with_its_prefixes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
