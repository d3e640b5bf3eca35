/* Names and sums of the counters; the lists themselves are metrics.def and reason.def. Called by
 * the metrics page. */
#include "base/counters.h"

#include <stddef.h>

static const struct {
    const char *name, *help;
} reasons[REASON_COUNT] = {
#define REASON(id, name, help) [REASON_##id] = {name, help},
#include "base/reason.def"
#undef REASON
};

static const struct {
    const char *name, *labels, *help;
} metrics[METRIC_COUNT] = {
#define METRIC(id, name, labels, help) [METRIC_##id] = {name, labels, help},
#include "base/metrics.def"
#undef METRIC
};

const char *reason_name(enum reason r)
{
    return reasons[r].name;
}

const char *reason_help(enum reason r)
{
    return reasons[r].help;
}

const char *metric_name(enum metric m)
{
    return metrics[m].name;
}

const char *metric_labels(enum metric m)
{
    return metrics[m].labels;
}

const char *metric_help(enum metric m)
{
    return metrics[m].help;
}

void counters_sum_add(struct counters_sum *sum, const struct counters *c)
{
    for (size_t i = 0; i < METRIC_COUNT; i++)
        sum->metric[i] += atomic_load_explicit(&c->metric[i], memory_order_relaxed);
    for (size_t i = 0; i < REASON_COUNT; i++) {
        sum->dropped[i] += atomic_load_explicit(&c->dropped[i], memory_order_relaxed);
        sum->refused[i] += atomic_load_explicit(&c->refused[i], memory_order_relaxed);
    }
}

int64_t counters_sum_imbalance(const struct counters_sum *sum)
{
    const uint64_t *m = sum->metric;
    uint64_t received =
        m[METRIC_RECEIVED_CLIENT] + m[METRIC_RECEIVED_PEER] + m[METRIC_ICMP_RECEIVED];
    uint64_t accounted = m[METRIC_RELAYED_TO_PEER] + m[METRIC_RELAYED_TO_CLIENT] +
                         m[METRIC_ICMP_RELAYED] + m[METRIC_CONSUMED];
    for (size_t i = 0; i < REASON_COUNT; i++)
        accounted += sum->dropped[i];
    return (int64_t)(received - accounted);
}
