/*
 * Welch's t: the difference of two means in units of its own standard error, for samples of unequal
 * size and variance. Means and variances are taken in two passes over what the crop leaves, so that
 * nothing is lost where values are large and differences small.
 *
 * Called by the row that looks for users, once.
 */
#include "bench/welch.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int find_bounds(struct welch *w, const struct welch_sample samples[2], double crop_percent)
{
    const size_t total = samples[0].count + samples[1].count;
    const size_t cut = (size_t)((double)total * crop_percent / 100.0);
    uint32_t *pool = malloc((total + 1) * sizeof(*pool));

    if (pool == NULL) {
        return -ENOMEM;
    }
    memcpy(pool, samples[0].values, samples[0].count * sizeof(*pool));
    memcpy(pool + samples[0].count, samples[1].values, samples[1].count * sizeof(*pool));
    qsort(pool, total, sizeof(*pool), by_value);
    w->low = pool[cut];
    w->high = pool[total - 1 - cut];
    free(pool);
    return 0;
}

static bool is_kept(const struct welch *w, uint32_t value)
{
    return value >= w->low && value <= w->high;
}

static bool describe(struct welch *w, unsigned which, const struct welch_sample *sample)
{
    double sum = 0, squares = 0;
    size_t count = 0;

    for (size_t i = 0; i < sample->count; i++) {
        if (is_kept(w, sample->values[i])) {
            sum += sample->values[i];
            count++;
        }
    }
    if (count < 2) {
        return false;
    }
    const double mean = sum / (double)count;
    for (size_t i = 0; i < sample->count; i++) {
        if (is_kept(w, sample->values[i])) {
            squares += (sample->values[i] - mean) * (sample->values[i] - mean);
        }
    }
    w->count[which] = count;
    w->mean[which] = mean;
    w->variance[which] = squares / (double)(count - 1);
    return true;
}

int welch_compare(struct welch *out, const struct welch_sample samples[2], double crop_percent)
{
    struct welch w = {0};

    if (samples[0].count < 2 || samples[1].count < 2 || !(crop_percent >= 0 && crop_percent < 50)) {
        return -EINVAL;
    }
    int rc = find_bounds(&w, samples, crop_percent);
    if (rc < 0) {
        return rc;
    }
    for (unsigned i = 0; i < 2; i++) {
        if (!describe(&w, i, &samples[i])) {
            return -EINVAL;
        }
    }
    w.difference = w.mean[0] - w.mean[1];
    w.standard_error =
        sqrt(w.variance[0] / (double)w.count[0] + w.variance[1] / (double)w.count[1]);
    if (w.standard_error > 0) {
        w.t = w.difference / w.standard_error;
    } else {
        w.t = w.difference == 0 ? 0 : copysign(INFINITY, w.difference);
    }
    *out = w;
    return 0;
}
