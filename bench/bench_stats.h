/* The arithmetic of the benchmark: a histogram of latencies, and rates that are safe for a count of
 * zero. */
#ifndef BENCH_BENCH_STATS_H
#define BENCH_BENCH_STATS_H

#include <stdint.h>

/* Values below 2^6 are kept exactly, larger ones in 64 steps an octave: an error under 1.6 %. */
#define HISTOGRAM_STEP_BITS 6
#define HISTOGRAM_BUCKETS   ((64 - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS)

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_init(struct histogram *h);
void histogram_add(struct histogram *h, uint64_t value);
/* The nearest-rank percentile: the least value that `percent` (0–100) of all values do not exceed,
 * rounded up to the end of its bucket, never over the largest value added. 0 when empty. */
uint64_t histogram_percentile(const struct histogram *h, double percent);

/* `amount` for each of `count`; 0 when count is 0. */
double stats_each(double amount, uint64_t count);
/* How often a second, `ns` being nanoseconds; 0 when ns is 0. */
double stats_per_second(uint64_t count, uint64_t ns);
/* What is missing of `sent`, in percent; 0 when nothing was sent or more came than was sent. */
double stats_loss_percent(uint64_t sent, uint64_t received);

#endif
