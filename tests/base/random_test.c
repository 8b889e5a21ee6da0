#include "base/os.h"
#include "base/random.h"
#include "support/test.h"

#include <errno.h>

static int no_faults(void **state)
{
    (void)state;
    os_fail_never();
    return 0;
}

static void the_same_seed_gives_the_same_numbers(void **state)
{
    (void)state;
    struct random a, b, c;
    random_init(&a, 42);
    random_init(&b, 42);
    random_init(&c, 43);
    int same_as_c = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t number = random_next(&a);
        assert_int_equal(number, random_next(&b));
        same_as_c += number == random_next(&c);
    }
    assert_int_equal(same_as_c, 0);
}

static void the_seed_zero_is_as_good_as_any(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 0);
    uint64_t ones = 0, zeroes = 0;
    for (int i = 0; i < 100; i++) {
        uint64_t number = random_next(&random);
        ones |= number;
        zeroes |= ~number;
    }
    assert_int_equal(ones, UINT64_MAX);
    assert_int_equal(zeroes, UINT64_MAX);
}

static void below_reaches_every_number_under_its_bound_about_equally(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 7);
    for (uint64_t bound = 1; bound <= 10; bound++) {
        int seen[10] = {0};
        for (int i = 0; i < 10000; i++) {
            uint64_t number = random_below(&random, bound);
            assert_true(number < bound);
            seen[number]++;
        }
        /* The seed is fixed, so is the outcome. A tenth of the share is more than three
         * standard deviations even with ten numbers. */
        for (uint64_t i = 0; i < bound; i++) {
            int share = 10000 / (int)bound;
            assert_in_range(seen[i], share - share / 10 - 1, share + share / 10 + 1);
        }
    }
}

/* Scaled down to 3 * 2^62, four draws fall on three numbers: every third number would
 * come twice as often as the others, were the draws that do not fit not repeated. */
static void below_is_fair_for_bounds_that_do_not_divide_two_to_the_64(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 9);
    int seen[3] = {0};
    for (int i = 0; i < 30000; i++) {
        seen[random_below(&random, UINT64_C(3) << 62) % 3]++;
    }
    for (int i = 0; i < 3; i++) {
        assert_in_range(seen[i], 9500, 10500);
    }
}

static void a_bound_of_zero_is_a_bug(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, 1);
    assert_check_fails(random_below(&random, 0));
}

static void bytes_of_the_kernel_fill_all_that_was_asked_for(void **state)
{
    (void)state;
    /* Beyond 256 bytes the kernel may give less than it was asked for. */
    unsigned char data[1024] = {0}, seen[1024] = {0};
    for (int round = 0; round < 10; round++) {
        assert_int_equal(random_bytes(data, sizeof(data)), MEMENTO_OK);
        for (size_t i = 0; i < sizeof(data); i++) {
            seen[i] |= data[i];
        }
    }
    for (size_t i = 0; i < sizeof(seen); i++) {
        assert_int_not_equal(seen[i], 0); /* ten zeroes at one place: once in 256^10 */
    }
    assert_int_equal(random_bytes(NULL, 0), MEMENTO_OK);
}

static void a_kernel_without_randomness_is_an_answer(void **state)
{
    (void)state;
    char data[8];
    os_fail_at(OS_RANDOM, 1, ENOSYS, false);
    assert_int_equal(random_bytes(data, sizeof(data)), MEMENTO_ERR_IO);
    assert_int_equal(errno, ENOSYS);
    assert_int_equal(random_bytes(data, sizeof(data)), MEMENTO_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_numbers),
        cmocka_unit_test(the_seed_zero_is_as_good_as_any),
        cmocka_unit_test(below_reaches_every_number_under_its_bound_about_equally),
        cmocka_unit_test(below_is_fair_for_bounds_that_do_not_divide_two_to_the_64),
        cmocka_unit_test(a_bound_of_zero_is_a_bug),
        cmocka_unit_test(bytes_of_the_kernel_fill_all_that_was_asked_for),
        cmocka_unit_test_teardown(a_kernel_without_randomness_is_an_answer, no_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
