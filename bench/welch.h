/* Whether two samples come from one distribution: Welch's t over what is left of them without
 * outliers. */
#ifndef BENCH_WELCH_H
#define BENCH_WELCH_H

#include <stddef.h>
#include <stdint.h>

/* At this |t| or more two samples count as told apart (THREATS row 8): by chance alone it comes
 * once in 150,000 comparisons. */
#define WELCH_TOLD_APART 4.5

struct welch_sample {
    const uint32_t *values;
    size_t count;
};

struct welch {
    uint32_t low, high; /* values outside were left out */
    size_t count[2];    /* of those that are left */
    double mean[2];
    double variance[2];    /* of the sample: divided by count - 1 */
    double difference;     /* mean[0] - mean[1] */
    double standard_error; /* of the difference */
    double t; /* positive if the first is larger; infinite if nothing varies but the means */
};

/* Of the pooled values, ordered, `crop_percent` (0 up to, not including, 50; rounded down to a
 * count) are cut off at either end; values equal to the last that remains are kept. The rule does
 * not know the samples apart, so that it cannot make a difference where there is none. 0; -EINVAL:
 * fewer than two values remain of either; -ENOMEM. */
int welch_compare(struct welch *out, const struct welch_sample samples[2], double crop_percent);

#endif
