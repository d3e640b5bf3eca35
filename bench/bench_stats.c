/*
 * Percentiles and rates. A histogram never grows: adding a value is one increment, so that the
 * generator's cost does not depend on how long a row lasts.
 *
 * Called by the rows for every packet received, and by the report.
 */
#include "bench/bench_stats.h"

#include <math.h>
#include <string.h>

#define STEPS (1u << HISTOGRAM_STEP_BITS)

static unsigned bucket_of(uint64_t value)
{
    if (value < STEPS) {
        return (unsigned)value;
    }
    unsigned octave = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
    unsigned step = (unsigned)(value >> octave) & (STEPS - 1);
    return ((octave + 1) << HISTOGRAM_STEP_BITS) + step;
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < STEPS) {
        return bucket;
    }
    unsigned octave = (bucket >> HISTOGRAM_STEP_BITS) - 1;
    uint64_t first = (uint64_t)(STEPS + (bucket & (STEPS - 1))) << octave;
    return first + ((uint64_t)1 << octave) - 1;
}

void histogram_init(struct histogram *h)
{
    memset(h, 0, sizeof(*h));
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->count++;
    h->buckets[bucket_of(value)]++;
    if (value > h->max) {
        h->max = value;
    }
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    uint64_t rank = (uint64_t)ceil((double)h->count * percent / 100.0);
    uint64_t seen = 0;

    if (h->count == 0) {
        return 0;
    }
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += h->buckets[bucket];
        if (seen > 0 && seen >= rank) {
            uint64_t end = bucket_end(bucket);
            return end < h->max ? end : h->max;
        }
    }
    return h->max;
}

double stats_each(double amount, uint64_t count)
{
    return count == 0 ? 0.0 : amount / (double)count;
}

double stats_per_second(uint64_t count, uint64_t ns)
{
    return ns == 0 ? 0.0 : (double)count * 1e9 / (double)ns;
}

double stats_loss_percent(uint64_t sent, uint64_t received)
{
    if (sent == 0 || received >= sent) {
        return 0.0;
    }
    return (double)(sent - received) * 100.0 / (double)sent;
}
