/* Names and sums of the counters; the lists themselves are the .def files. Called by
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

static const bool auth_failures[REASON_COUNT] = {
#define REASON(id, name, help)
#define REASON_AUTH(id, name, help) [REASON_##id] = true,
#include "base/reason.def"
#undef REASON_AUTH
#undef REASON
};

static const char *const limit_scopes[REASON_COUNT] = {
#define REASON(id, name, help)
#define REASON_LIMIT(id, name, scope, help) [REASON_##id] = scope,
#include "base/reason.def"
#undef REASON_LIMIT
#undef REASON
};

static const bool only_drops[REASON_COUNT] = {
#define REASON(id, name, help)
#define REASON_DROP(id, name, help)  [REASON_##id] = true,
#define REASON_GUARD(id, name, help) [REASON_##id] = true,
#include "base/reason.def"
#undef REASON_GUARD
#undef REASON_DROP
#undef REASON
};

static const bool guarded[REASON_COUNT] = {
#define REASON(id, name, help)
#define REASON_GUARD(id, name, help) [REASON_##id] = true,
#include "base/reason.def"
#undef REASON_GUARD
#undef REASON
};

static const bool closings[REASON_COUNT] = {
#define REASON(id, name, help)
#define REASON_CLOSE(id, name, help) [REASON_##id] = true,
#include "base/reason.def"
#undef REASON_CLOSE
#undef REASON
};

static const struct {
    const char *name;
    enum metric reason, result;
} ends[END_COUNT] = {
#define END(id, name, result, help)                                                                \
    [END_##id] = {name, METRIC_END_##id, METRIC_ALLOCATIONS_##result},
#include "base/end.def"
#undef END
};

static const struct {
    const char *name, *labels, *help;
} metrics[METRIC_COUNT] = {
#define METRIC(id, name, labels, help) [METRIC_##id] = {name, labels, help},
#include "base/metrics.def"
#undef METRIC
};

static const struct {
    const char *name, *labels, *help;
} gauges[GAUGE_COUNT] = {
#define GAUGE(id, name, labels, help) [GAUGE_##id] = {name, labels, help},
#include "base/gauges.def"
#undef GAUGE
};

static const char *const methods[REQUEST_METHOD_COUNT] = {
#define REQUEST_METHOD(id, label) [REQUEST_METHOD_##id] = label,
#include "base/requests.def"
#undef REQUEST_METHOD
};

static const struct {
    int code;
    const char *label;
    int first; /* method */
} codes[REQUEST_CODE_COUNT] = {
#define REQUEST_METHOD_ONLY_ALLOCATE REQUEST_METHOD_COUNT
#define REQUEST_CODE(id, code, label, first)                                                       \
    [REQUEST_CODE_##id] = {code, label, REQUEST_METHOD_##first},
#include "base/requests.def"
#undef REQUEST_CODE
};

const char *reason_name(enum reason r)
{
    return reasons[r].name;
}

const char *reason_help(enum reason r)
{
    return reasons[r].help;
}

bool reason_is_auth_failure(enum reason r)
{
    return auth_failures[r];
}

bool reason_only_drops(enum reason r)
{
    return only_drops[r];
}

bool reason_is_guard(enum reason r)
{
    return guarded[r];
}

const char *reason_limit_scope(enum reason r)
{
    return limit_scopes[r];
}

bool reason_is_closing(enum reason r)
{
    return closings[r];
}

const char *end_reason_name(enum end_reason r)
{
    return ends[r].name;
}

void counters_end(struct counters *c, enum end_reason r)
{
    counters_add(c, ends[r].reason, 1);
    counters_add(c, ends[r].result, 1);
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

const char *gauge_name(enum gauge g)
{
    return gauges[g].name;
}

const char *gauge_labels(enum gauge g)
{
    return gauges[g].labels;
}

const char *gauge_help(enum gauge g)
{
    return gauges[g].help;
}

const char *request_method_label(enum request_method m)
{
    return methods[m];
}

const char *request_code_label(enum request_code c)
{
    return codes[c].label;
}

bool request_code_is_told(enum request_method m, enum request_code c)
{
    return codes[c].first <= (int)m ||
           (codes[c].first == REQUEST_METHOD_ONLY_ALLOCATE && m == REQUEST_METHOD_ALLOCATE);
}

enum request_code request_code_of(enum request_method m, unsigned code)
{
    for (int i = 0; i < REQUEST_CODE_OTHER; i++) {
        if (codes[i].code == (int)code && request_code_is_told(m, (enum request_code)i))
            return (enum request_code)i;
    }
    return REQUEST_CODE_OTHER;
}

void counters_sum_add(struct counters_sum *sum, const struct counters *c)
{
    for (size_t i = 0; i < METRIC_COUNT; i++)
        sum->metric[i] += atomic_load_explicit(&c->metric[i], memory_order_relaxed);
    for (size_t i = 0; i < REASON_COUNT; i++) {
        sum->dropped[i] += atomic_load_explicit(&c->dropped[i], memory_order_relaxed);
        sum->refused[i] += atomic_load_explicit(&c->refused[i], memory_order_relaxed);
        sum->closed[i] += atomic_load_explicit(&c->closed[i], memory_order_relaxed);
    }
    for (size_t i = 0; i < GAUGE_COUNT; i++)
        sum->gauge[i] += atomic_load_explicit(&c->gauge[i], memory_order_relaxed);
    for (size_t m = 0; m < REQUEST_METHOD_COUNT; m++) {
        for (size_t i = 0; i < REQUEST_CODE_COUNT; i++)
            sum->request[m][i] += atomic_load_explicit(&c->request[m][i], memory_order_relaxed);
    }
    for (size_t i = 0; i < HISTOGRAM_COUNT; i++)
        histogram_sum_add(&sum->histogram[i], &c->histogram[i]);
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
