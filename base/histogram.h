/*
 * Histograms of durations, one writer each, any number of readers: fixed bounds, written and read
 * relaxed. They lie in `struct counters`, one set a thread. The list is histograms.def.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

/* Of every histogram; behind the last bound lies one more bucket. */
#define HISTOGRAM_BOUNDS 13
/*
 * Durations that are differences of wall clocks may be anything when a clock is set: what is
 * negative or longer than this is not observed.
 */
#define HISTOGRAM_MAX_US 10000000

enum histogram_id {
#define HISTOGRAM(id, name, bounds) HISTOGRAM_##id,
#include "base/histograms.def"
#undef HISTOGRAM
    HISTOGRAM_COUNT
};

struct histogram_counters {
    _Atomic uint64_t bucket[HISTOGRAM_BOUNDS + 1]; /* not cumulative */
    _Atomic uint64_t sum_us;
};

/* A plain sum of several threads'. */
struct histogram_sum {
    uint64_t bucket[HISTOGRAM_BOUNDS + 1]; /* not cumulative */
    uint64_t sum_us;
};

/* Counts a duration in the first bucket whose bound is not below it. Outside 0 to HISTOGRAM_MAX_US
 * nothing happens. */
void histogram_observe(struct histogram_counters *h, enum histogram_id id, int64_t us);
void histogram_sum_add(struct histogram_sum *sum, const struct histogram_counters *h);

const char *histogram_name(enum histogram_id id);
/* In seconds, as decimal text; n < HISTOGRAM_BOUNDS. */
const char *histogram_bound(enum histogram_id id, unsigned n);

#endif
