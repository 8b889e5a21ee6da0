/* histogram.h - how long things took: counts by duration, within 1 % of the truth.
 *
 * Log-linear: every power of two is cut into 128 equal buckets, so a bucket is at most
 * 0.8 % wide. Below 128 ns, and for the maximum, the figures are exact.
 *
 * May use:    nothing.
 * Thread:     its owner; threads merge theirs when they have ended. */
#pragma once

#include <stdint.h>

#define HISTOGRAM_PART_BITS 7
#define HISTOGRAM_PARTS     (1U << HISTOGRAM_PART_BITS)

/* 2^40 ns are 18 minutes; what is longer is counted in the last bucket. */
#define HISTOGRAM_BITS_MAX 40
#define HISTOGRAM_BUCKETS \
    ((HISTOGRAM_BITS_MAX - HISTOGRAM_PART_BITS + 1) * HISTOGRAM_PARTS)

struct histogram {
    uint64_t count;
    uint64_t max_ns;
    double sum_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *histogram);
/* `count` things, each of which took duration_ns. */
void histogram_record(struct histogram *histogram, uint64_t duration_ns, uint64_t count);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The duration that `percent` (0 to 100) of all did not exceed; 0 when empty. */
uint64_t histogram_percentile_ns(const struct histogram *histogram, double percent);
double histogram_mean_ns(const struct histogram *histogram);
/* How many took more than limit_ns, within the width of a bucket. */
uint64_t histogram_count_above(const struct histogram *histogram, uint64_t limit_ns);
