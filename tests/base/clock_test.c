#include "base/clock.h"
#include "support/test.h"

static int run_again(void **state)
{
    (void)state;
    clock_freeze_ms(-1);
    return 0;
}

static void frozen_clocks_stand_where_the_test_wants_them(void **state)
{
    (void)state;
    clock_freeze_ms(1234);
    assert_int_equal(clock_wall_ms(), 1234);
    assert_int_equal(clock_wall_us(), 1234000);
    assert_int_equal(clock_monotonic_ns(), 1234000000);
    assert_int_equal(clock_boot_ns(), 1234000000);
    clock_freeze_ms(0);
    assert_int_equal(clock_wall_ms(), 0);
    assert_int_equal(clock_monotonic_ns(), 0);
}

static void the_wall_clock_can_stand_elsewhere(void **state)
{
    (void)state;
    clock_freeze_ms(1234);
    clock_freeze_wall_ms(7);
    assert_int_equal(clock_wall_ms(), 7);
    assert_int_equal(clock_wall_us(), 7000);
    assert_int_equal(clock_boot_ns(), 1234000000);
    clock_freeze_wall_ms(-1);
    assert_int_equal(clock_wall_ms(), 1234);
    clock_freeze_wall_ms(7);
    clock_freeze_ms(1235);
    assert_int_equal(clock_wall_ms(), 1235);
    clock_freeze_ms(-1);
    clock_freeze_wall_ms(7); /* alone */
    assert_int_equal(clock_wall_ms(), 7);
    uint64_t monotonic_ns = clock_monotonic_ns();
    assert_true(clock_boot_ns() >= monotonic_ns);
}

static void running_clocks_do_not_go_back(void **state)
{
    (void)state;
    clock_freeze_ms(5);
    clock_freeze_ms(-1);
    int64_t year_2020_ms = 1577836800000;
    assert_true(clock_wall_ms() > year_2020_ms);
    assert_true(clock_wall_us() / 1000 > year_2020_ms);
    uint64_t before_ns = clock_monotonic_ns();
    uint64_t boot_before_ns = clock_boot_ns();
    uint64_t cpu_before_ns = clock_thread_cpu_ns();
    for (int i = 0; i < 1000; i++) {
        uint64_t now_ns = clock_monotonic_ns();
        uint64_t boot_now_ns = clock_boot_ns();
        uint64_t cpu_now_ns = clock_thread_cpu_ns();
        assert_true(now_ns >= before_ns);
        assert_true(boot_now_ns >= boot_before_ns);
        assert_true(cpu_now_ns >= cpu_before_ns);
        before_ns = now_ns;
        boot_before_ns = boot_now_ns;
        cpu_before_ns = cpu_now_ns;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(frozen_clocks_stand_where_the_test_wants_them,
                                  run_again),
        cmocka_unit_test_teardown(the_wall_clock_can_stand_elsewhere, run_again),
        cmocka_unit_test(running_clocks_do_not_go_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
