/*
 * Counters of one thread: one writer, any number of readers. Written and read relaxed; a reader
 * sums the workers'. The lists are the .def files beside this one, nothing else.
 */
#ifndef BASE_COUNTERS_H
#define BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"

enum reason {
#define REASON(id, name, help) REASON_##id,
#include "base/reason.def"
#undef REASON
    REASON_COUNT
};

enum metric {
#define METRIC(id, name, labels, help) METRIC_##id,
#include "base/metrics.def"
#undef METRIC
    METRIC_COUNT
};

/* Why an allocation ends. */
enum end_reason {
#define END(id, name, result, help) END_##id,
#include "base/end.def"
#undef END
    END_COUNT
};

enum gauge {
#define GAUGE(id, name, labels, help) GAUGE_##id,
#include "base/gauges.def"
#undef GAUGE
    GAUGE_COUNT
};

enum request_method {
#define REQUEST_METHOD(id, label) REQUEST_METHOD_##id,
#include "base/requests.def"
#undef REQUEST_METHOD
    REQUEST_METHOD_COUNT
};

enum request_code {
#define REQUEST_CODE(id, code, label, first) REQUEST_CODE_##id,
#include "base/requests.def"
#undef REQUEST_CODE
    REQUEST_CODE_COUNT
};

struct counters {
    _Alignas(64) _Atomic uint64_t metric[METRIC_COUNT];
    _Atomic uint64_t dropped[REASON_COUNT]; /* datagrams dropped without an answer */
    _Atomic uint64_t refused[REASON_COUNT]; /* requests answered with an error */
    _Atomic uint64_t closed[REASON_COUNT];  /* connections */
    _Atomic uint64_t gauge[GAUGE_COUNT];
    _Atomic uint64_t request[REQUEST_METHOD_COUNT][REQUEST_CODE_COUNT]; /* responses */
    struct histogram_counters histogram[HISTOGRAM_COUNT];
};

static inline void counter_add_(_Atomic uint64_t *c, uint64_t n)
{
    /* One writer: a load and a store, no locked instruction. */
    atomic_store_explicit(
        c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void counters_add(struct counters *c, enum metric m, uint64_t n)
{
    counter_add_(&c->metric[m], n);
}

static inline void counters_drop(struct counters *c, enum reason r)
{
    counter_add_(&c->dropped[r], 1);
}

static inline void counters_refuse(struct counters *c, enum reason r)
{
    counter_add_(&c->refused[r], 1);
}

static inline void counters_close(struct counters *c, enum reason r)
{
    counter_add_(&c->closed[r], 1);
}

/* `by` is 1 or -1. What ends in another worker than it began in is right in the sum. */
static inline void counters_gauge(struct counters *c, enum gauge g, int by)
{
    counter_add_(&c->gauge[g], (uint64_t)(int64_t)by);
}

/* For a gauge that one thread alone writes. */
static inline void counters_gauge_set(struct counters *c, enum gauge g, uint64_t value)
{
    atomic_store_explicit(&c->gauge[g], value, memory_order_relaxed);
}

static inline void counters_request(
    struct counters *c, enum request_method method, enum request_code code)
{
    counter_add_(&c->request[method][code], 1);
}

static inline void counters_observe(struct counters *c, enum histogram_id id, int64_t us)
{
    histogram_observe(&c->histogram[id], id, us);
}

const char *reason_name(enum reason r);
const char *reason_help(enum reason r);
bool reason_is_auth_failure(enum reason r);
/* The scope of the limit that was reached, or NULL: no limit. */
const char *reason_limit_scope(enum reason r);
/* Nothing but datagrams is dropped for it: no request is ever refused. */
bool reason_only_drops(enum reason r);
/* The media guard dropped it. */
bool reason_is_guard(enum reason r);
/* Why connections close: such a reason drops and refuses nothing. */
bool reason_is_closing(enum reason r);
const char *end_reason_name(enum end_reason r);
/* One allocation has ended for it: in turnpike_allocations_ended_total, and by its result in
 * turnpike_allocations_total. */
void counters_end(struct counters *c, enum end_reason r);
const char *metric_name(enum metric m);
const char *metric_labels(enum metric m);
const char *metric_help(enum metric m);
const char *gauge_name(enum gauge g);
const char *gauge_labels(enum gauge g);
const char *gauge_help(enum gauge g);
const char *request_method_label(enum request_method m);
const char *request_code_label(enum request_code c);
/* Of a STUN error code; 0: success. What is not told of this method is REQUEST_CODE_OTHER. */
enum request_code request_code_of(enum request_method m, unsigned code);
/* Whether it is a series. */
bool request_code_is_told(enum request_method m, enum request_code c);

/* A plain sum of several threads' counters. */
struct counters_sum {
    uint64_t metric[METRIC_COUNT];
    uint64_t dropped[REASON_COUNT];
    uint64_t refused[REASON_COUNT];
    uint64_t closed[REASON_COUNT];
    uint64_t gauge[GAUGE_COUNT];
    uint64_t request[REQUEST_METHOD_COUNT][REQUEST_CODE_COUNT];
    struct histogram_sum histogram[HISTOGRAM_COUNT];
};
void counters_sum_add(struct counters_sum *sum, const struct counters *c);
/*
 * received = relayed + consumed + Σ dropped, for datagrams of both legs and ICMP errors. Returns
 * received − (the rest): 0 when it holds (datagrams still in an outbox count as missing).
 */
int64_t counters_sum_imbalance(const struct counters_sum *sum);

#endif
