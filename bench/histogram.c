#include "histogram.h"

#include <string.h>

void histogram_reset(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

static unsigned bucket_of(uint64_t duration_ns)
{
    if (duration_ns < HISTOGRAM_PARTS) {
        return (unsigned)duration_ns;
    }
    if (duration_ns >> HISTOGRAM_BITS_MAX != 0) {
        return HISTOGRAM_BUCKETS - 1;
    }
    unsigned shift = 63U - (unsigned)__builtin_clzll(duration_ns) - HISTOGRAM_PART_BITS;
    unsigned part = (unsigned)(duration_ns >> shift) - HISTOGRAM_PARTS;
    return (shift + 1) * HISTOGRAM_PARTS + part;
}

/* The middle of a bucket: at most half a width from whatever was counted in it. */
static uint64_t bucket_middle_ns(unsigned bucket)
{
    if (bucket < HISTOGRAM_PARTS) {
        return bucket;
    }
    unsigned shift = bucket / HISTOGRAM_PARTS - 1;
    uint64_t low = (uint64_t)(HISTOGRAM_PARTS + bucket % HISTOGRAM_PARTS) << shift;
    return low + ((uint64_t)1 << shift) / 2;
}

void histogram_record(struct histogram *histogram, uint64_t duration_ns, uint64_t count)
{
    histogram->buckets[bucket_of(duration_ns)] += count;
    histogram->count += count;
    histogram->sum_ns += (double)duration_ns * (double)count;
    if (duration_ns > histogram->max_ns && count > 0) {
        histogram->max_ns = duration_ns;
    }
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        into->buckets[bucket] += from->buckets[bucket];
    }
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    if (from->max_ns > into->max_ns) {
        into->max_ns = from->max_ns;
    }
}

uint64_t histogram_percentile_ns(const struct histogram *histogram, double percent)
{
    /* The rank is rounded up: of one thing, every percentile is that thing. */
    double exact = percent / 100 * (double)histogram->count;
    uint64_t rank = (uint64_t)exact;
    if ((double)rank < exact || rank == 0) {
        rank++;
    }
    if (rank >= histogram->count) {
        return histogram->max_ns;
    }
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= rank) {
            uint64_t middle_ns = bucket_middle_ns(bucket);
            return middle_ns < histogram->max_ns ? middle_ns : histogram->max_ns;
        }
    }
    return histogram->max_ns;
}

double histogram_mean_ns(const struct histogram *histogram)
{
    return histogram->count > 0 ? histogram->sum_ns / (double)histogram->count : 0;
}

uint64_t histogram_count_above(const struct histogram *histogram, uint64_t limit_ns)
{
    uint64_t count = 0;
    for (unsigned bucket = bucket_of(limit_ns) + 1; bucket < HISTOGRAM_BUCKETS;
         bucket++) {
        count += histogram->buckets[bucket];
    }
    return count;
}
