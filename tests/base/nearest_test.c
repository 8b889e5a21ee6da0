#include "base/annotate.h"
#include "base/nearest.h"
#include "support/test.h"

static const char *const names[] = {"get",    "set",        "getset", "incrbyfloat",
                                    "expire", "expiretime", "del",    "dbsize"};

static const char *nearest(struct bytes given)
{
    return nearest_name(given, names, ARRAY_LEN(names));
}

static void a_slip_finds_the_name(void **state)
{
    (void)state;
    assert_string_equal(nearest(B("gte")), "get");       /* swapped */
    assert_string_equal(nearest(B("gget")), "get");      /* doubled */
    assert_string_equal(nearest(B("ge")), "get");        /* forgotten */
    assert_string_equal(nearest(B("sez")), "set");       /* beside the key */
    assert_string_equal(nearest(B("EXPRIE")), "expire"); /* case does not count */
    assert_string_equal(nearest(B("incbyflaot")), "incrbyfloat");
    assert_string_equal(nearest(B("dbsize")), "dbsize");
}

static void a_word_that_is_no_slip_finds_nothing(void **state)
{
    (void)state;
    assert_null(nearest(B("")));
    assert_null(nearest(B("x")));
    assert_null(nearest(B("xyz")));
    assert_null(nearest(B("gxx"))); /* two of three bytes */
    assert_null(
        nearest(B("inxxxxfloat"))); /* four of eleven: a third is too much over 3 */
    const char *const long_name[] = {"maxmemory-policy"};
    assert_string_equal(nearest_name(B("mxmmory-plicy"), long_name, 1), long_name[0]);
    assert_null(nearest_name(B("mxmmry-plicy"), long_name, 1)); /* four of sixteen */
    assert_null(nearest_name(B("get"), names, 0));
}

static void the_nearest_of_several_wins_and_the_first_of_equals(void **state)
{
    (void)state;
    assert_string_equal(nearest(B("expiretme")), "expiretime");
    assert_string_equal(nearest(B("bet")), "get"); /* set is as near */
}

static void words_longer_than_any_name_are_passed_over(void **state)
{
    (void)state;
    char longest[1000];
    memset(longest, 'a', sizeof(longest));
    assert_null(nearest(bytes_of(longest, sizeof(longest))));
    longest[sizeof(longest) - 1] = '\0';
    const char *const long_names[] = {longest, "aaa"};
    assert_string_equal(nearest_name(B("aab"), long_names, 2), "aaa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slip_finds_the_name),
        cmocka_unit_test(a_word_that_is_no_slip_finds_nothing),
        cmocka_unit_test(the_nearest_of_several_wins_and_the_first_of_equals),
        cmocka_unit_test(words_longer_than_any_name_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
