#include "base/check.h"
#include "support/test.h"

static void a_check_that_holds_lets_the_program_go_on(void **state)
{
    (void)state;
    int evaluated = 0;
    CHECK(++evaluated == 1);
    assert_int_equal(evaluated, 1);
}

static void a_check_that_does_not_hold_stops_the_program(void **state)
{
    (void)state;
    assert_check_fails(CHECK(1 + 1 == 3));
}

static void a_debug_check_is_not_even_evaluated_in_release_builds(void **state)
{
    (void)state;
    int evaluated = 0;
    DCHECK(++evaluated == 1);
#ifdef NDEBUG
    assert_int_equal(evaluated, 0);
#else
    assert_int_equal(evaluated, 1);
    assert_check_fails(DCHECK(evaluated == 2));
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_that_holds_lets_the_program_go_on),
        cmocka_unit_test(a_check_that_does_not_hold_stops_the_program),
        cmocka_unit_test(a_debug_check_is_not_even_evaluated_in_release_builds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
