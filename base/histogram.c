/*
 * Buckets and bounds of the histograms. Always: an observation is some loads and two stores, no
 * locked instruction and no floating point. Called by workers through counters_observe, and by the
 * metrics page.
 */
#include "base/histogram.h"

struct bound {
    int64_t us;
    const char *seconds;
};

static const struct {
    const char *name;
    struct bound bounds[HISTOGRAM_BOUNDS];
} histograms[HISTOGRAM_COUNT] = {
#define BOUND(us, seconds)          {us, seconds},
#define HISTOGRAM(id, name, bounds) [HISTOGRAM_##id] = {name, {bounds}},
#include "base/histograms.def"
#undef HISTOGRAM
#undef BOUND
};

static void add(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(
        c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

void histogram_observe(struct histogram_counters *h, enum histogram_id id, int64_t us)
{
    if (us < 0 || us > HISTOGRAM_MAX_US) {
        return;
    }
    unsigned n = 0;
    while (n < HISTOGRAM_BOUNDS && us > histograms[id].bounds[n].us) {
        n++;
    }
    add(&h->bucket[n], 1);
    add(&h->sum_us, (uint64_t)us);
}

void histogram_sum_add(struct histogram_sum *sum, const struct histogram_counters *h)
{
    for (unsigned i = 0; i <= HISTOGRAM_BOUNDS; i++) {
        sum->bucket[i] += atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
    }
    sum->sum_us += atomic_load_explicit(&h->sum_us, memory_order_relaxed);
}

const char *histogram_name(enum histogram_id id)
{
    return histograms[id].name;
}

const char *histogram_bound(enum histogram_id id, unsigned n)
{
    return histograms[id].bounds[n].seconds;
}
