#include "base/bytes.h"
#include "histogram.h"
#include "support/test.h"

#include <stdlib.h>

static struct histogram *fresh(void **state)
{
    struct histogram *histogram = *state;
    histogram_reset(histogram);
    return histogram;
}

static int create(void **state)
{
    *state = malloc(sizeof(struct histogram));
    return *state == NULL ? -1 : 0;
}

static int destroy(void **state)
{
    free(*state);
    return 0;
}

/* The error that is promised on the door: 1 %, over the whole range. */
static void a_duration_is_found_again_within_one_percent(void **state)
{
    for (uint64_t duration_ns = 1; duration_ns < 1ULL << 40;
         duration_ns += duration_ns / 37 + 1) {
        struct histogram *histogram = fresh(state);
        histogram_record(histogram, duration_ns, 1);
        histogram_record(histogram, 1ULL << 41, 1); /* the maximum is kept exactly */
        uint64_t found_ns = histogram_percentile_ns(histogram, 50);
        uint64_t distance_ns =
            found_ns > duration_ns ? found_ns - duration_ns : duration_ns - found_ns;
        assert_true(distance_ns * 100 <= duration_ns);
    }
}

static void short_durations_and_the_maximum_are_exact(void **state)
{
    struct histogram *histogram = fresh(state);
    histogram_record(histogram, 7, 99);
    histogram_record(histogram, 123456789, 1);
    assert_int_equal(histogram_percentile_ns(histogram, 99), 7);
    assert_int_equal(histogram_percentile_ns(histogram, 99.9), 123456789);
    assert_int_equal(histogram_percentile_ns(histogram, 100), 123456789);
    assert_int_equal(histogram->max_ns, 123456789);
}

/* Of 1 to 1000, the 50th percentile is 500: the rank is neither rounded down nor up. */
static void percentiles_are_ranks(void **state)
{
    struct histogram *histogram = fresh(state);
    for (uint64_t i = 1; i <= 1000; i++) {
        histogram_record(histogram, i * 1000, 1);
    }
    double percents[] = {10, 50, 90, 99, 99.9};
    for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
        double wanted_ns = percents[i] * 10 * 1000;
        double found_ns = (double)histogram_percentile_ns(histogram, percents[i]);
        assert_true(found_ns >= wanted_ns * 0.99 && found_ns <= wanted_ns * 1.01);
    }
    assert_int_equal((int)histogram_mean_ns(histogram), 500500);
}

static void an_empty_histogram_answers_zero(void **state)
{
    struct histogram *histogram = fresh(state);
    assert_int_equal(histogram_percentile_ns(histogram, 50), 0);
    assert_int_equal((int)histogram_mean_ns(histogram), 0);
    assert_int_equal(histogram_count_above(histogram, 0), 0);
}

static void merging_is_recording_in_one(void **state)
{
    struct histogram *one = fresh(state);
    struct histogram *both = malloc(sizeof(*both));
    struct histogram *other = malloc(sizeof(*other));
    assert_non_null(both);
    assert_non_null(other);
    histogram_reset(both);
    histogram_reset(other);
    for (uint64_t i = 0; i < 5000; i++) {
        uint64_t duration_ns = i * i;
        histogram_record(i % 3 == 0 ? one : other, duration_ns, i);
        histogram_record(both, duration_ns, i);
    }
    histogram_merge(one, other);
    assert_int_equal(one->count, both->count);
    assert_int_equal(one->max_ns, both->max_ns);
    assert_memory_equal(one->buckets, both->buckets, sizeof(one->buckets));
    free(other);
    free(both);
}

static void what_took_longer_than_a_limit_is_counted(void **state)
{
    struct histogram *histogram = fresh(state);
    histogram_record(histogram, 4000000, 10);
    histogram_record(histogram, 6000000, 3);
    histogram_record(histogram, UINT64_MAX, 1);
    assert_int_equal(histogram_count_above(histogram, 5000000), 4);
    assert_int_equal(histogram_count_above(histogram, 50000000), 1);
    assert_int_equal(histogram_count_above(histogram, 1000), 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_is_found_again_within_one_percent),
        cmocka_unit_test(short_durations_and_the_maximum_are_exact),
        cmocka_unit_test(percentiles_are_ranks),
        cmocka_unit_test(an_empty_histogram_answers_zero),
        cmocka_unit_test(merging_is_recording_in_one),
        cmocka_unit_test(what_took_longer_than_a_limit_is_counted),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
